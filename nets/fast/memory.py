"""What generated code keeps in memory: vectors per channel, and sums of gradients.

Between two convolutions stands a chain of norms, coefficients and activations. It is cheap to
compute again and dear to write and read, so the limits at which the code generator stops are lifted
(`nets.fast.fusion`). That goes too far in two places, which are told to keep in memory: vectors per
channel (`written`), or their formulas would be evaluated for every pixel, and gradients with
several sources and several readers (`written_gradient`), or every reader would add them up anew.
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
