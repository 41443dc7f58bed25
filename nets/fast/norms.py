"""Batch norm for code that is generated for a GPU: torch's function, with a backward pass that the
compiler can keep in half precision.

Generated code writes the gradient that a batch norm receives in float32, because torch's formula
converts it first and uses it three times after. `batch_norm` uses the gradient as it is and lets
every sum convert for itself: half of the bytes. In bfloat16 its statistics are plain sums, formed
in one pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nets.fast.memory import channel_sums, memory_format, written

AXES = (0, 2, 3)


class _BatchNorm(torch.autograd.Function):
    """y = a x + b with a = s w and b = c - m a, s = (v + eps)^(-1/2), of the mean m and the
    variance v; also m and v, without gradients.

    With g the gradient of y, d = x - m, and n numbers in a channel: the gradient of c is sum g,
    that of w is s sum g d, and that of x is a (g - sum g / n - s^2 d sum g d / n) = a g - (k x +
    k0), with k = a s^2 sum g d / n and k0 = a sum g / n - k m. [Ioffe, Szegedy 2015]
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = _moments(x)
        scale = written(torch.rsqrt(variance + eps))
        a = written(scale * weight)
        b = written(bias - mean * a)
        ctx.save_for_backward(x, mean, scale, a)
        ctx.mark_non_differentiable(mean, variance)
        return _as_type(x * a[:, None, None] + b[:, None, None], x.dtype), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        g = gradients[0]
        x, mean, scale, a = ctx.saved_tensors
        count = x.numel() // x.shape[1]
        sum_g = channel_sums(g, mean.dtype)
        sum_gd = channel_sums(g * (x - mean[:, None, None]), mean.dtype)
        k = written(a * scale * scale * sum_gd / count)
        k0 = written(a * sum_g / count - k * mean)
        gx = g * a[:, None, None] - (x * k[:, None, None] + k0[:, None, None])
        gx = _as_type(gx, x.dtype).contiguous(memory_format=memory_format(x))
        return gx, scale * sum_gd, sum_g, None


def _as_type(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x.to(dtype), or x itself where it has it: torch 2.11 makes that a gradient of zeros."""
    return x if x.dtype == dtype else x.to(dtype)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance v per channel, in bfloat16 from the sums of x and x^2 in float32: one pass,
    without a division for every number.

    What cancels is a few times 2^-23 m^2 / v of the variance; the rounding of x to bfloat16, with
    steps of 2^-7 m, has already moved it by up to 2^-14 m^2 / (12 v), which is more.
    """
    if x.dtype != torch.bfloat16:
        z = x.float() if x.dtype == torch.float16 else x
        variance, mean = torch.var_mean(z, AXES, correction=0)
        return mean, variance
    z, count = x.float(), x.numel() // x.shape[1]
    mean, square = (channel_sums(y, z.dtype) / count for y in (z, z * z))
    return mean, (square - mean * mean).clamp_min(0.0)


def batch_norm(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, mean, variance): the batch norm of a training step, with the mean and the (biased)
    variance of every channel, at least float32; no gradient flows through these two, and there are
    no second derivatives.

    x has the shape (images, channels, height, width), more than one number in a channel.
    """
    result: tuple[Tensor, Tensor, Tensor] = _BatchNorm.apply(x, weight, bias, eps)  # type: ignore[no-untyped-call]
    return result


class FusedBatchNorm2d(nn.BatchNorm2d):
    """torch's batch norm, a training step's by `batch_norm`."""

    def forward(self, x: Tensor) -> Tensor:
        """The normalised batch; the running statistics move as torch's do."""
        momentum, batches = self.momentum, self.num_batches_tracked
        mean, var = self.running_mean, self.running_var
        count = x.numel() // x.shape[1]
        if (
            not self.training
            or count < 2  # refused by torch's
            or not self.track_running_stats
            or not self.affine
            or momentum is None
            or mean is None
            or var is None
            or batches is None
        ):
            return super().forward(x)
        y, new_mean, variance = batch_norm(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            mean.lerp_(new_mean.to(mean.dtype), momentum)
            var.lerp_((variance * (count / (count - 1))).to(var.dtype), momentum)
            batches.add_(1)
        return y
