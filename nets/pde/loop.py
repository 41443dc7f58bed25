"""The loop of a solve on a device: its steps for several systems at once, in the type of the cycles
or with residuals in float64 above cycles in float32."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from mgtheory.matrixfree.cycle import run_cycle, run_full_multigrid
from mgtheory.matrixfree.tables import KEEP, ZERO
from mgtheory.multigrid.cycle import step_products
from mgtheory.multigrid.fitted import check_sizes
from mgtheory.multigrid.loop import Plan, Stop
from mgtheory.multigrid.solution import Cycle
from nets.models.checks import as_tensor
from nets.pde.levels import square_sum


def scale_of(r: Tensor) -> Tensor:
    """The largest modulus of each system, 1 where that is 0, to divide by before a shorter type."""
    size = r.flatten(1).abs().amax(dim=1).view(-1, 1, 1, 1)
    return torch.where(size > 0.0, size, 1.0)


def scaled_down(r: Tensor, scale: Tensor) -> Tensor:
    """r / scale in float32."""
    return (r / scale).to(torch.float32)


class Loop:
    """The steps of a solve, as `mgtheory.matrixfree.cycle.solve_grids` has them for one system.

    The norm that the loop sees is, for one system, ||b - A x||_2; for several the largest, each
    times the ratio of the largest target to its own: it is small enough when all are.
    """

    def __init__(self, of: Any, b: Tensor, x0: Tensor | None, stop: Stop, plan: Plan) -> None:
        self.of, self.levels, self.b, self.stop, self.plan = of, of.levels, b, stop, plan
        self.zero, self.work = x0 is None, 0.0
        sizes = self.start(x0)
        firsts = sizes if x0 is None else self.residual()
        rows = [list(map(math.sqrt, v.tolist())) for v in (sizes, firsts)]
        for i, (size, first) in enumerate(zip(*rows)):
            # of b this asks the type, and whether it is 0 where its square sum is
            stands = np.full(1, float(size or b[i].abs().max()), str(b.dtype)[6:])
            check_sizes(stands, size, first, zero=self.zero)
        targets = [stop.target(*pair) for pair in zip(*rows)]
        largest = max(targets)
        shares = [largest / one if one > 0.0 else 1.0 for one in targets]
        self.shares = torch.tensor(shares, dtype=torch.float64, device=b.device)
        self.size, self.first = max(rows[0]), max(s * r for s, r in zip(shares, rows[1]))
        if self.zero and (self.first <= stop.target(self.size, self.first) or not stop.maxiter):
            self.levels[0].x = torch.zeros_like(b)

    @property
    def passing(self) -> bool:
        """Whether the first step is a full multigrid pass."""
        return self.plan.cycle is Cycle.FMG

    @property
    def x(self) -> Any:
        """The solution so far."""
        return self.levels[0].x

    def start(self, x0: Tensor | None) -> Any:
        """||b||^2 of each system; b is restricted on the way where a pass begins with that."""
        self.fused = self.passing and self.plan.loads is None and len(self.levels) > 1
        return self.levels[0].residual_square(ZERO, to=self.levels[1].b if self.fused else None)

    def residual(self) -> Any:
        """||b - A x||^2 of each system."""
        return self.levels[0].residual_square()

    def floor(self) -> float:
        """What rounding leaves of the residual of the largest system."""
        rounding = torch.finfo(self.b.dtype).eps * self.levels[0].largest
        return float(rounding * self.x.flatten(1).norm(dim=1).max())

    def step(self, norms: list[float]) -> float:
        """One cycle; the new norm."""
        once = len(norms) == 1
        passing = once and self.passing
        self.work += step_products(self.levels, self.plan, passing=passing)
        if passing:
            again = self.stop.maxiter > 1
            square: Any = self.full_pass(again)
        else:
            square = self.cycle(ZERO if self.zero and once else KEEP, known=not once)
        return float((square.sqrt() * self.shares).max())

    def full_pass(self, again: bool) -> Any:
        """A full multigrid pass; the new square sums."""
        return run_full_multigrid(self.levels, self.plan, restricted=self.fused, again=again)

    def cycle(self, start: int, *, known: bool) -> Any:
        """One cycle; the new square sums. From the second one on the last sweep has restricted the
        residual."""
        restricted = known and not self.levels[0].smooths_before
        if start == KEEP and not restricted:
            self.work += 1.0  # the norm's residual was not kept
        kind = self.plan.repeated
        return run_cycle(self.levels, kind, start=start, norm=True, restricted=restricted)


class Refined(Loop):
    """The same with cycles in float32: each on a residual in float64, scaled to 1."""

    def start(self, x0: Tensor | None) -> Tensor:
        """||b||^2 of each system."""
        self.fused, self.solution = False, torch.zeros_like(self.b) if x0 is None else x0
        self.exact = self.of.in_float64()
        self.exact.b = self.b
        return square_sum(self.b)

    @property
    def x(self) -> Tensor:
        """The solution so far."""
        return self.solution

    def residual(self) -> Any:
        """||b - A x||^2 of each system."""
        self.rest, square = self.exact.remainder(self.solution)
        return square

    def full_pass(self, again: bool) -> Any:
        """A full multigrid pass for b; the new square sums."""
        scale, plan = scale_of(self.b), self.plan
        if plan.loads is not None:
            loads, level = plan.loads, self.levels[0]

            def scaled(shape: Any) -> Any:
                v = as_tensor(loads(shape), f"loads({shape})").to(scale)
                return v.reshape(-1, *shape) / scale.view(-1, *[1] * len(level.shape))

            plan = replace(plan, loads=cast(Any, scaled))
        self.levels[0].b = scaled_down(self.b, scale)
        run_full_multigrid(self.levels, plan, restricted=False, again=False)
        self.work += 1.0  # the residual in float64
        self.solution = self.levels[0].x.to(self.b.dtype).mul_(scale)
        return self.residual()

    def cycle(self, start: int, *, known: bool) -> Any:
        """One cycle for the residual; the new square sums."""
        if start == ZERO:
            self.rest = self.b
        scale = scale_of(self.rest)
        self.levels[0].b = scaled_down(self.rest, scale)
        run_cycle(self.levels, self.plan.repeated)
        self.solution = self.solution + self.levels[0].x.to(self.b.dtype).mul_(scale)
        return self.residual()
