"""A convolution, and the dense matrix that it is on a grid."""

import torch
from torch import nn


def conv(channels=6, groups=1, k=3, seed=0):
    made = nn.Conv2d(channels, channels, k, padding=k // 2, groups=groups, bias=False)
    with torch.no_grad():
        made.weight.normal_(generator=torch.Generator().manual_seed(seed))
    return made


def dense(operator, grid, padding_mode="circular"):
    """The convolution as a dense matrix, through unit vectors and torch's own module."""
    module = nn.Conv2d(
        operator.in_channels,
        operator.out_channels,
        operator.kernel_size,
        padding=operator.padding,
        groups=operator.groups,
        bias=False,
        padding_mode=padding_mode,
    ).double()
    n = operator.in_channels * grid[0] * grid[1]
    with torch.no_grad():
        module.weight.copy_(operator.weight)
        columns = module(torch.eye(n, dtype=torch.float64).reshape(n, -1, *grid))
    return columns.reshape(n, n).T.numpy()
