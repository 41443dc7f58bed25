"""What generated code keeps in memory: vectors per channel, and sums of gradients.

Between two convolutions stands a chain of norms, coefficients and activations. It is cheap to
compute again and dear to write and read, so the limits at which the code generator stops are lifted
(`nets.fast.fusion`). That goes too far in three places, which are told to keep in memory: vectors
per channel (`written`), or their formulas would be evaluated for every pixel; sums with several
readers in both passes (`kept`) and gradients with several sources and several readers
(`written_gradient`), or every reader would add them up anew. Elsewhere it does not go far enough:
`relu_of_normed` reads no result for its sign, and `channel_sums` are formed by the code that
computes what is summed. What all this saves is counted by benchmarks/traffic.py.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


def memory_format(x: Tensor) -> torch.memory_format:
    """channels_last or contiguous as x is, which its gradient should be too to spare a copy."""
    last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def written(x: Tensor) -> Tensor:
    """x itself, which generated code keeps in memory, because as_strided is about memory."""
    return x.as_strided(x.shape, x.stride())


class _WrittenGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.format = memory_format(x)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return written(gradients[0].contiguous(memory_format=ctx.format))


def written_gradient(x: Tensor) -> Tensor:
    """x itself; the sum of its gradients is formed and kept once."""
    return cast("Tensor", _WrittenGradient.apply(x))  # type: ignore[no-untyped-call]


class _Kept(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        import torch._inductor.inductor_prims

        # not as_strided: a view is computed again in the backward pass
        kept = torch.ops.prims.inductor_force_stride_order(x, x.stride())
        return cast("Tensor", kept)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def kept(x: Tensor) -> Tensor:
    """x itself, which generated code forms once, for the backward pass too."""
    return cast("Tensor", _Kept.apply(x))  # type: ignore[no-untyped-call]


class _ReluOfNormed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.relu(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.where(x <= 0, 0.0, gradients[0])


def relu_of_normed(x: Tensor) -> Tensor:
    """relu(x) for a normed x, whose gradient takes the sign of x.

    The gradient of the norm needs what it normed, and x follows from that without another number
    read. torch's own reads the result, where that is kept for a convolution.
    """
    return cast("Tensor", _ReluOfNormed.apply(x))  # type: ignore[no-untyped-call]


def channel_sums(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Sums over images and pixels, shape (channels,), formed in `dtype`, of each image first.

    Generated code forms those of an image where x is computed, also while it writes x. For a sum
    over both at once it reads x again.
    """
    return x.sum((2, 3), dtype=dtype).sum(0)
