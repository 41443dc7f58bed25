"""Poly-MgNet: a classifier whose levels are multigrid levels and whose blocks are smoothing steps
with polynomials in A.

Level 1: f = relu(bn(stem(x))), u = 0. Between levels: u <- Pi u, f <- R relu(f - A u) + A_next u
with depthwise 3x3 convolutions Pi and R of stride 2. After the last level: average of u over the
image, linear classifier. [van Betteray, Rottmann, Kahl 2025, arXiv 2503.10594]
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Transfer(nn.Module):
    """u <- Pi u and g <- R r to the next level: two convolutions of stride 2, depthwise (one filter
    per output channel).

    The function is the same everywhere; how it is computed is not, because depthwise kernels are
    slow in half precision. Under a CPU's autocast both compute in the precision of their weights
    and round the result: with oneDNN, the bfloat16 backward pass takes about three times that of
    float32. Under a GPU's autocast they are dense convolutions whose other weights are zero: on an
    H200, the transfers of q2, forward and backward, take about a tenth of what they do with cuDNN's
    depthwise kernels.

    Parameters
    ----------
    fine, coarse
        Channels of the two levels; `coarse` is a multiple of `fine`.
    kernel_size
        Odd.
    """

    def __init__(self, fine: int, coarse: int, *, kernel_size: int = 3) -> None:
        super().__init__()
        if coarse % fine:
            raise ValueError(
                f"channels grow from {fine} to {coarse}: with depthwise transfers each level's must"
                " be a multiple of the one before"
            )
        self.Pi = nn.Conv2d(
            fine, coarse, kernel_size, stride=2, padding=kernel_size // 2, groups=fine, bias=False
        )
        self.R = nn.Conv2d(
            fine, coarse, kernel_size, stride=2, padding=kernel_size // 2, groups=fine, bias=False
        )

    def forward(self, u: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """(Pi u, R r)."""
        if u.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            dtype = self.Pi.weight.dtype
            with torch.autocast("cpu", enabled=False):
                return self.Pi(u.to(dtype)).to(u.dtype), self.R(residual.to(dtype)).to(
                    residual.dtype
                )
        if u.device.type == "cuda" and torch.is_autocast_enabled("cuda"):
            return as_dense(self.Pi, u), as_dense(self.R, residual)
        return self.Pi(u), self.R(residual)


def dense_weight(depthwise: nn.Conv2d) -> Tensor:
    """The weight (outputs, inputs, k, k) of the equal dense convolution: output o reads input o //
    (outputs / inputs) alone."""
    outputs, inputs, device = depthwise.out_channels, depthwise.in_channels, depthwise.weight.device
    own = torch.arange(outputs, device=device)[:, None] // (outputs // inputs) == torch.arange(
        inputs, device=device
    )
    return torch.where(own[:, :, None, None], depthwise.weight, 0.0)


def as_dense(depthwise: nn.Conv2d, x: Tensor) -> Tensor:
    """A depthwise convolution by a dense one."""
    return F.conv2d(
        x,
        dense_weight(depthwise),
        depthwise.bias,
        stride=depthwise.stride,
        padding=depthwise.padding,
    )
