"""Cycles and full multigrid on the grids of a `StencilHierarchy`, and the loop of its solve.

A cycle on a level is two sweeps: `Grid.down` smooths from its start and restricts the residual in
the same pass, `Grid.up` adds the interpolated correction, smooths, and takes the residual's norm in
the same pass. Without smoothing before the correction, `up` restricts too, and the next cycle
begins with its own `up`: one pass over the finest grid per cycle. Full multigrid then needs but one
`up` for each grid: what the grid tells the coarser one about its start is known there
(`mgtheory.matrixfree.kernels.defect`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory.matrixfree.level import StencilLevel
from mgtheory.matrixfree.tables import ADD, KEEP, SET, ZERO
from mgtheory.multigrid.cycle import visit_below, visits
from mgtheory.multigrid.solution import Cycle
from mgtheory.multigrid.solve import Ended, Plan, Stop, check_sizes, drive

NOTHING = [np.empty((0, 2))]  # one sweep without smoothing steps
Levels = Sequence[StencilLevel]
Array = NDArray[np.float64]


class Grid:
    """A level as `mgtheory.multigrid.cycle` asks for it. It keeps right-hand side and solution in
    its own b and x; what is handed around says how x stands: KEEP, or ZERO where it is still 0 and
    was not written."""

    def __init__(self, levels: Levels, index: int) -> None:
        self.level = levels[index]
        self.below = levels[index + 1] if index + 1 < len(levels) else levels[index]

    def down(self, r: Any, start: int | None, *, full: bool = False) -> tuple[int, None]:
        """Smooth, and restrict the residual to the b of the grid below, in one sweep."""
        level, stands = self.level, ZERO if start is None else start
        write = level.smooths_before or stands == SET
        level.sweep(
            stands,
            level.before,
            e=self.below.x,
            P=level.C if full else None,
            to=self.below.b,
            write=int(write),
        )
        return (KEEP if write else stands), None

    def up(
        self,
        state: int,
        coarse: Any = None,
        *,
        norm: bool = False,
        to: Array | None = None,
        full: bool = False,
        add: bool = False,
    ) -> int:
        """Add the interpolated correction and smooth, in one sweep.

        Parameters
        ----------
        norm
            Take the square sum of the residual: `square`.
        to
            Restrict the residual to it.
        full
            Interpolate cubically.
        add
            Add the result to what x holds.
        """
        self.square = self.level.sweep(
            ADD if state == KEEP else SET,
            self.level.after,
            e=self.below.x,
            P=self.level.C if full else None,
            norm=norm,
            to=to,
            write=2 if add else 1,
        )
        return KEEP

    def solve(self, r: Any) -> int:
        """x = A^-1 b on the coarsest grid."""
        self.level.solve_directly()
        return KEEP


def grids(levels: Levels) -> list[Grid]:
    """The levels as a cycle asks for them."""
    return [Grid(levels, l) for l in range(len(levels))]


def run_cycle(
    levels: Levels,
    kind: Cycle,
    *,
    l: int = 0,
    start: int = ZERO,
    norm: bool = False,
    restricted: bool = False,
    add: bool = False,
) -> float:
    """One cycle on level l for A x = b, from x (KEEP) or 0 (ZERO).

    Parameters
    ----------
    norm
        Return ||b - A x||_2^2 of the new x.
    restricted
        Level l does not smooth before the correction, and the right-hand side of level l + 1 is the
        restricted residual already; it is again afterwards.
    add
        From ZERO, without smoothing before: add the result to what x holds.
    """
    if l + 1 == len(levels):
        levels[l].solve_directly(add=add)
        return levels[l].residual_square() if norm else 0.0
    all_grids = grids(levels)
    grid = all_grids[l]
    if not restricted:
        start, _ = grid.down(None, start)
    visit_below(all_grids, None, kind, l)
    to = levels[l + 1].b if _one_sweep(levels, l) and norm else None
    grid.up(start, norm=norm, to=to, add=add)
    return grid.square


def _one_sweep(levels: Levels, l: int) -> bool:
    return l + 1 < len(levels) and not levels[l].smooths_before


def _correct_below(levels: Levels, l: int, *, loaded: bool) -> bool:
    """Correct the solution x of level l + 1 for its use on level l: by a V-cycle for R (b - A P x),
    never visiting level l.

    False, and nothing done, where level l or the next smooths before the correction, or their sizes
    are not nested.
    """
    level, below = levels[l], levels[l + 1]
    if level.smooths_before or below.smooths_before or len(below.after) > 1 or level.bands is None:
        return False
    if loaded:  # below.b is not the restricted b
        level.sweep(ZERO, NOTHING, write=0, to=below.b)
    level.subtract_product(below)
    run_cycle(levels, Cycle.V, l=l + 1, add=True)
    return True


def run_full_multigrid(levels: Levels, plan: Plan, *, restricted: bool, again: bool) -> float:
    """x from the coarsest grid upwards, and ||b - A x||_2^2: cubic interpolation of the solution,
    then `plan.cycles` cycles on each grid.

    The first of them interpolates its correction cubically too.

    Parameters
    ----------
    restricted
        The right-hand side of level 1 is the restricted b already.
    again
        Another cycle will follow on the finest grid: leave the restricted residual as `run_cycle`
        takes it.
    """
    for l, below in enumerate(levels[1:]):
        if plan.loads is not None:
            below.b[...] = below.fitted(plan.loads(below.shape), f"loads({below.shape})")
        elif l or not restricted:
            levels[l].sweep(ZERO, NOTHING, write=0, to=below.b)
    levels[-1].solve_directly()
    all_grids = grids(levels)
    for l in reversed(range(len(levels) - 1)):
        for i in range(plan.cycles):
            last = l == 0 and i + 1 == plan.cycles
            start, full = KEEP, i == 0
            loaded = plan.loads is not None
            if full and plan.inner is Cycle.V and _correct_below(levels, l, loaded=loaded):
                start = SET
            else:
                all_grids[l].down(None, SET if full else KEEP, full=full)
                visit_below(all_grids, None, plan.inner, l)
            to = levels[1].b if last and again and _one_sweep(levels, 0) else None
            all_grids[l].up(start, norm=last, to=to, full=full)
    return all_grids[0].square if len(levels) > 1 else levels[0].residual_square()


def solve_grids(levels: Levels, stop: Stop, plan: Plan, *, zero: bool) -> tuple[Ended, float]:
    """Cycles on the finest x (0 at first if `zero`) and b: how they ended, and their products with
    A.

    Raises
    ------
    Unfit
        See `mgtheory.multigrid.solve.check_sizes`.
    """
    finest = levels[0]
    passing = plan.cycle is Cycle.FMG
    # take the norm of b while restricting it
    fused = passing and plan.loads is None and len(levels) > 1
    size = math.sqrt(
        finest.sweep(ZERO, NOTHING, write=0, norm=True, to=levels[1].b if fused else None)
    )
    first = size if zero else math.sqrt(finest.residual_square())
    check_sizes(finest.b, size, first, zero=zero)
    if zero and (first <= stop.target(size, first) or stop.maxiter == 0):
        finest.x[...] = 0.0
    work = 0.0

    def step(norms: list[float]) -> float:
        nonlocal work
        once = len(norms) == 1
        work += cycle_products(levels, plan.cycle if once else plan.repeated)
        if once and passing:
            again = stop.maxiter > 1
            return math.sqrt(run_full_multigrid(levels, plan, restricted=fused, again=again))
        start = ZERO if zero and once else KEEP
        # from the second cycle on the last sweep has restricted the residual
        known = not once and _one_sweep(levels, 0)
        return math.sqrt(run_cycle(levels, plan.repeated, start=start, norm=True, restricted=known))

    def floor() -> float:
        return float(np.finfo(float).eps * np.abs(finest.c).max() * np.linalg.norm(finest.x))

    return drive(step, first, size, stop, floor=floor), work


def cycle_products(levels: Levels, kind: Cycle) -> float:
    """Products with A of one cycle, weighted by unknowns, in units of one on the finest grid; the
    coarsest solve not counted."""
    total = 0.0
    for level, often in zip(levels[:-1], visits(len(levels), kind), strict=False):
        total += often * (sum(map(len, [*level.before, *level.after])) + 1) * level.size
    return total / levels[0].size
