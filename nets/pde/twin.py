"""The matrix-free twin of a `nets.MultigridCycle`: the same cycle without convolutions, on a GPU
several times as fast, where no gradient is asked and the module is still the cycle of its problem.
"""

from __future__ import annotations

import itertools
import math
import threading
from contextlib import suppress
from typing import Any, cast

import torch
from torch import Tensor, nn

from mgtheory.multigrid.setup import COARSEST
from mgtheory.problems.grids import Boundary
from nets.pde.arrays import DTYPES
from nets.pde.device import DeviceHierarchy

# unknowns from which on a processor runs the twin faster than the convolutions: half of the time on
# 511 x 511, twice on 127 x 127, where the single calls decide
QUICK = 2**17
ROUNDING = 1e4  # eps by which the inverse of the coarsest A may differ from a sine transform


class Twin(threading.local):
    """The twin that a thread has made of a module, and the tensors that it was made of."""

    key: list[Any] | None = None
    held: list[Tensor]
    hierarchy: DeviceHierarchy | None = None

    def of(self, cycle: Any, b: Tensor, x: Tensor | None) -> DeviceHierarchy | None:
        """The twin of the module with its tensors as they are now; None where a gradient is asked,
        b or x is what it does not take, or the module has been made another cycle than it."""
        tensors = [*cycle.parameters(), *(t.weight for t in cycle.transfers), cycle.coarse_inverse]
        if not _serves(cycle, tensors, b, x):
            return None
        key = [*map(_state, tensors), *(t.gain for t in cycle.transfers)]
        if self.key != key:
            # views keep the memory, so that no other tensors can come to lie at these addresses
            self.key, self.held, self.hierarchy = key, [v.detach() for v in tensors], None
            with suppress(ValueError):
                self.hierarchy = _made(cycle)
        return self.hierarchy


def _state(v: Tensor) -> Any:
    """What changes with a tensor: its values, or on a GPU, where they would have to be waited for,
    which a capture forbids, its address and the writes that torch has counted."""
    return v.detach().numpy().tobytes() if v.is_cpu else (v.data_ptr(), v._version)


def _serves(cycle: Any, tensors: list[Tensor], b: Tensor, x: Tensor | None) -> bool:
    """Whether a twin may compute the cycle from x for b."""
    given, inverse = [*tensors, *([b] if x is None else [b, x])], cycle.coarse_inverse
    return not (
        cycle.problem.boundary is not Boundary.DIRICHLET
        or torch.compiler.is_compiling()
        or cast(Any, torch.jit).is_tracing()
        or torch._C._are_functorch_transforms_active()
        or (torch.is_grad_enabled() and any(v.requires_grad for v in given))
        or any(leg.A.weight.requires_grad for leg in [*cycle.down, *cycle.up])
        or any(type(v) not in (Tensor, nn.Parameter) or v.is_inference() for v in given)
        or any((v.dtype, v.device) != (inverse.dtype, inverse.device) for v in given)
        or (x is not None and x.shape != b.shape)
        or inverse.dtype not in DTYPES.values()
        or inverse.device.type not in ("cpu", "cuda")
        or (inverse.device.type == "cpu" and math.prod(cycle.shapes[0]) < QUICK)
    )


def _made(cycle: Any) -> DeviceHierarchy | None:
    """The matrix-free cycle of the same grids and polynomials, where it has them, and A, transfers
    and the coarsest solve are still those of the problem."""
    inverse = cycle.coarse_inverse
    pairs = [(t.weight, t.full_weighting()) for t in cycle.transfers]
    for legs in (cycle.down, cycle.up):
        kernels = map(torch.from_numpy, cycle.kernels)
        pairs += [(leg.A.weight, kernel) for leg, kernel in zip(legs, kernels, strict=True)]
    gains = [a / b for a, b in itertools.pairwise(cycle.scales)]
    if [t.gain for t in cycle.transfers] != gains or not all(
        torch.equal(v[0, 0].detach().cpu(), own.to(v.dtype)) for v, own in pairs
    ):
        return None
    twin = DeviceHierarchy.build(
        cycle.problem,
        smoother=lambda level: cycle.polynomial(level.index),
        post_smoother=lambda level: cycle.polynomial(level.index, post=True),
        pre=cycle.pre,
        post=cycle.post,
        device=inverse.device,
        dtype=str(inverse.dtype)[6:],
        **{"coarsest": COARSEST, **cycle.options},
    )
    if [level.shape for level in twin.levels] != cycle.shapes:
        return None
    last = twin.levels[-1]
    noise = torch.randn(last.size, generator=torch.Generator().manual_seed(0)).to(inverse)
    solved = last.direct(noise.reshape(1, *last.grid)).flatten() * cycle.scales[-1]
    far = (inverse.detach() @ noise - solved).abs().max() / solved.abs().max()
    return twin if float(far) < ROUNDING * torch.finfo(inverse.dtype).eps else None
