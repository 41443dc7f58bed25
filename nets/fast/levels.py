"""Levels and transfers as they are computed fast on one kind of device: the same functions, the
same parameters under the same names."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nets.fast.memory import channel_sums, kept, memory_format, relu_of_normed, written_gradient
from nets.models.blocks import Level, SmoothingStep
from nets.models.coefficients import Coefficients
from nets.models.convolutions import SeparableConv
from nets.models.transfers import Transfer


class FusedLevel(Level):
    """A level for code that is generated for a GPU: sums of gradients are formed once."""

    def forward(self, g: Tensor, u0: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """As `Level.forward`."""
        # every step reads g, so that its gradient is a sum
        return super().forward(written_gradient(g), u0)

    def residual(self, g: Tensor, e: Tensor | None) -> Tensor:
        """g + (-A) e: then g and A e have one and the same gradient, which is written once."""
        if e is None:
            return g
        last = self.A
        if isinstance(last, DenseSeparable):
            return g + last.by(-last.weight, e)
        if isinstance(last, SeparableConv):
            e, last = last.depthwise(e), last.pointwise
        # private, but the only way to another weight at the same padding mode
        return g + cast("Tensor", last._conv_forward(e, -last.weight, None))

    def residual_to_smooth(self, g: Tensor, e: Tensor | None) -> Tensor:
        """The residual, which a step's two norms and its result are computed from, each in a pass
        of its own, in both directions."""
        residual = self.residual(g, e)
        return residual if e is None else kept(residual)

    def add(self, x: Tensor | None, y: Tensor) -> Tensor:
        """x + y, read by the next residual and by the next sum."""
        return written_gradient(super().add(x, y))


class FusedStep(SmoothingStep):
    """A smoothing step for code that is generated for a GPU: relu(bn(x)) is one thing where a
    convolution may read it, which of rho none does."""

    def at(self, position: str, x: Tensor) -> Tensor:
        """As `SmoothingStep.at`."""
        here = self.norm_position == self.activation_position == position
        if self.norm is None or not here:
            return super().at(position, x)
        return relu_of_normed(self.norm(x))


class FusedCoefficients(Coefficients):
    """Coefficients for code that is generated for a GPU: their gradients are summed with those of a
    batch norm, in one pass."""

    def scaled(self, term: Any, r: Tensor) -> Tensor:
        """As `Coefficients.scaled`."""
        if r.ndim != 4:
            return super().scaled(term, r)
        return cast("Tensor", _Scaled.apply(term, r))  # type: ignore[no-untyped-call]


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, term: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(term, x)
        return term.to(x.dtype) * x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        term, x = ctx.saved_tensors
        g = gradients[0]
        return channel_sums(g * x, term.dtype).sum(), term.to(x.dtype) * g


class SplitTransfer(Transfer):
    """Depthwise transfers by as many convolutions as an input channel has readers, their results
    interleaved.

    oneDNN's fast depthwise kernels have one filter a channel; two of them go to a reference kernel
    that is several times slower than both one by one (an eighth of a step of q2 on a CPU).
    """

    def forward(self, u: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """(Pi u, R r)."""
        return as_single(self.Pi, u), as_single(self.R, residual)


class SingleTransfer(SplitTransfer):
    """Depthwise transfers outside of a CPU's autocast: in the precision of their weights, the
    result rounded.

    With oneDNN, the bfloat16 backward pass of a depthwise convolution takes about three times that
    of float32.
    """

    def forward(self, u: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """(Pi u, R r)."""
        with torch.autocast("cpu", enabled=False):
            dtype = self.Pi.weight.dtype
            coarse = super().forward(u.to(dtype), residual.to(dtype))
        return coarse[0].to(u.dtype), coarse[1].to(residual.dtype)


class DenseTransfer(Transfer):
    """Depthwise transfers as dense convolutions whose other weights are zero.

    On an H200 in half precision, the transfers of q2, forward and backward, take about a tenth of
    what they do with cuDNN's depthwise kernels.
    """

    def forward(self, u: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """(Pi u, R r)."""
        return as_dense(self.Pi, u), as_dense(self.R, residual)


class DenseSeparable(SeparableConv):
    """A separable convolution as the dense one with its weight.

    Nine times the operations, but at the rate of matrix products: on an H200 in half precision the
    six depthwise transfers of q2 by cuDNN take three times as long as all of its dense convolutions
    together (benchmarks/results/train-h200.md). These themselves have not been timed there.
    """

    def forward(self, u: Tensor) -> Tensor:
        """W u; generated code makes W once for a level's products, and its gradient for each."""
        return self.by(self.weight, u)

    def by(self, weight: Tensor, u: Tensor) -> Tensor:
        """Its convolution of u with a weight."""
        like = self.depthwise
        padding: Any = like.padding
        if like.padding_mode != "zeros":
            around = like._reversed_padding_repeated_twice
            u, padding = F.pad(u, around, mode=like.padding_mode), 0
        convolve: Any = (F.conv1d, F.conv2d, F.conv3d)[weight.ndim - 3]
        return cast("Tensor", convolve(u, weight, None, like.stride, padding))


def as_single(depthwise: nn.Conv2d, x: Tensor) -> Tensor:
    """A depthwise convolution by those of one filter a channel, in the memory format of x."""
    channels, weight = depthwise.in_channels, depthwise.weight
    filters = weight.view(channels, -1, *weight.shape[1:]).unbind(1)
    if channels == 1 or len(filters) == 1 or depthwise.bias is not None:
        return cast("Tensor", depthwise(x))
    stride, padding = depthwise.stride, depthwise.padding
    found = [F.conv2d(x, w, None, stride, padding, groups=channels) for w in filters]
    if memory_format(x) == torch.channels_last:
        last = torch.stack([y.permute(0, 2, 3, 1) for y in found], dim=-1)
        return last.flatten(3).permute(0, 3, 1, 2)
    return torch.stack(found, dim=-3).flatten(-4, -3)  # also of one image without a batch


def dense_weight(depthwise: nn.Conv2d) -> Tensor:
    """The weight (outputs, inputs, k, k) of the equal dense convolution: output o reads input o //
    (outputs / inputs) alone."""
    inputs, device = depthwise.in_channels, depthwise.weight.device
    readers = depthwise.out_channels // inputs
    rows = torch.arange(depthwise.out_channels, device=device)[:, None]
    own = rows // readers == torch.arange(inputs, device=device)
    return torch.where(own[:, :, None, None], depthwise.weight, 0.0)


def as_dense(depthwise: nn.Conv2d, x: Tensor) -> Tensor:
    """A depthwise convolution by a dense one."""
    weight, bias, padding = dense_weight(depthwise), depthwise.bias, depthwise.padding
    return F.conv2d(x, weight, bias, stride=depthwise.stride, padding=padding)
