"""How torch.compile generates a multigrid model's code for a GPU: what is computed again, and what
is written to memory once.

Between two convolutions stands a chain of norms, coefficients and activations. It is cheap to
compute again and dear to write and read, so the limits at which the code generator stops are lifted
(`compiled`). That goes too far in two places, which are told to keep in memory: vectors per channel
(`written`), or their formulas would be evaluated for every pixel, and gradients with several
sources and several readers (`written_gradient`), or every reader would add them up anew.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

__all__ = ["FUSION", "compiled", "for_gpu", "memory_format", "written", "written_gradient"]

# The code generator stops at 4 or 8 inputs or 30 operations. Without these limits the generated
# code of q2 moves half of the bytes and that of g6 five sixths (benchmarks/results/train-h200.md);
# residual networks gain nothing and keep them.
FUSION = {
    "realize_reads_threshold": 64,
    "realize_acc_reads_threshold": 64,
    "realize_opcount_threshold": 300,
}


def compiled(model: nn.Module, mode: str = "default") -> nn.Module:
    """torch.compile for fixed shapes in one of its modes, with `FUSION` where the model has
    multigrid levels."""
    import torch._inductor as inductor

    from nets.models.registry import is_multigrid

    options = dict(inductor.list_mode_options(mode))
    if is_multigrid(model):
        options |= {key: value for key, value in FUSION.items() if hasattr(inductor.config, key)}
    return cast("nn.Module", torch.compile(model, dynamic=False, options=options))


def for_gpu(x: Tensor) -> bool:
    """Whether this is a step as it is compiled for a GPU (an export is the plain model)."""
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting() and x.is_cuda


def memory_format(x: Tensor) -> torch.memory_format:
    """channels_last or contiguous: that of x, which its gradient should have too, or a convolution
    before it would have to copy."""
    return (
        torch.channels_last
        if x.is_contiguous(memory_format=torch.channels_last)
        else torch.contiguous_format
    )


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
    """x itself; where a step is compiled for a GPU, the sum of its gradients is formed and kept
    once."""
    if not for_gpu(x):
        return x
    return cast("Tensor", _WrittenGradient.apply(x))  # type: ignore[no-untyped-call]
