"""Convolutions of any dimension: torch's, strided ones of images, and separable ones,

    (A u)_o = sum_i P_oi (D_i * u_i),

a filter D_i for each channel and a matrix P that mixes the channels at each point. Of c channels
and a 3 x 3 kernel that is c^2 + 9 c weights in place of 9 c^2, and about a ninth of the operations.
Neither norm nor activation stands between the two, so that A is linear, the convolution with the
weight W_oi = P_oi D_i, and has a spectrum. [Chollet 2017, arXiv 1610.02357; Howard et al. 2017,
arXiv 1704.04861]
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional as F

TorchConv = nn.Conv1d | nn.Conv2d | nn.Conv3d
# by the number of space dimensions
CONVOLUTIONS: dict[int, type[TorchConv]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class StridedConv(nn.Conv2d):
    """A convolution of images without bias, "same" padding, whose 1 x 1 kernel reads the points
    that its stride leaves.

    That is the same function. oneDNN's strided 1 x 1 convolution of NHWC images with fewer than 8
    channels writes beyond its buffer in the backward pass, on processors with AVX2 (torch 2.13).
    """

    def __init__(
        self, fine: int, coarse: int, kernel_size: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        same: dict[str, Any] = {"padding": kernel_size // 2, "groups": groups, "bias": False}
        super().__init__(fine, coarse, kernel_size, stride=stride, **same)

    def forward(self, input: Tensor) -> Tensor:
        """W u at every `stride`-th point of both axes."""
        if self.kernel_size != (1, 1):
            return super().forward(input)
        down, right = self.stride
        return F.conv2d(input[..., ::down, ::right], self.weight, groups=self.groups)


class SeparableConv(nn.Module):
    """A depthwise convolution D and behind it a 1 x 1 convolution P, without biases, "same"
    padding.

    Its parts are drawn as torch draws them, P uniform in ±1/sqrt(c) and D in ±1/sqrt(k) of k taps:
    then its eigenvalues fill, with many channels and periodic padding, a disc around 0 of radius
    1/3. (At the frequency theta the entries of P diag(D_i(theta)) have the variance 1/(9 c) in the
    mean.)
    """

    groups = 1

    def __init__(
        self,
        fine: int,
        coarse: int,
        kernel_size: int,
        *,
        dim: int = 2,
        stride: int = 1,
        padding_mode: str = "zeros",
    ) -> None:
        super().__init__()
        kind = CONVOLUTIONS[dim]
        same: dict[str, Any] = {"padding": kernel_size // 2, "padding_mode": padding_mode}
        self.depthwise = kind(
            fine, fine, kernel_size, stride=stride, groups=fine, bias=False, **same
        )
        self.pointwise = kind(fine, coarse, 1, bias=False)
        self.in_channels, self.out_channels = fine, coarse
        self.kernel_size, self.padding_mode = self.depthwise.kernel_size, padding_mode

    @property
    def weight(self) -> Tensor:
        """W_oi = P_oi D_i, shape (outputs, inputs, k, ...)."""
        return self.pointwise.weight * self.depthwise.weight.transpose(0, 1)

    def forward(self, u: Tensor) -> Tensor:
        """P D u."""
        return cast("Tensor", self.pointwise(self.depthwise(u)))


Conv = TorchConv | SeparableConv
