"""Cycles and full multigrid on the grids of a `StencilHierarchy`, and the loop of its solve.

A cycle on a level is two sweeps: `StencilLevel.down` smooths from its start and restricts the
residual in the same pass, `up` adds the interpolated correction, smooths, and takes the residual's
norm in the same pass. Without smoothing before the correction, `up` restricts too, and the next
cycle begins with its own `up`: one pass over the finest grid per cycle. Full multigrid then needs
but one `up` for each grid: what the grid tells the coarser one about its start is known there
(`mgtheory.matrixfree.kernels.defect`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mgtheory.matrixfree.swept import SweptLevel
from mgtheory.matrixfree.tables import KEEP, SET, ZERO
from mgtheory.multigrid.cycle import step_products, visit_below
from mgtheory.multigrid.fitted import check_sizes
from mgtheory.multigrid.loop import Ended, Plan, Stop, drive
from mgtheory.multigrid.solution import Cycle

Levels = Sequence[SweptLevel]


def run_cycle(
    levels: Levels,
    kind: Cycle,
    *,
    l: int = 0,
    start: int = ZERO,
    norm: bool = False,
    restricted: bool = False,
    add: bool = False,
    full: bool = False,
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
    full
        Interpolate the correction cubically.
    """
    level = levels[l]
    if l + 1 == len(levels):
        level.solve(add=add)
        return level.residual_square() if norm else 0.0
    if not restricted:
        start, _ = level.down(None, start)
    visit_below(levels, None, kind, l)
    to = level.below.b if norm and not level.smooths_before else None
    level.up(start, norm=norm, to=to, add=add, full=full)
    return level.square


def correct_below(levels: Levels, l: int, *, loaded: bool) -> bool:
    """Correct the solution x of level l + 1 for its use on level l: by a V-cycle for R (b - A P x),
    never visiting level l.

    False, and nothing done, where level l or the next smooths before the correction, or R A P is
    not known.
    """
    level, below = levels[l], levels[l + 1]
    if level.smooths_before or below.smooths_before or len(below.after) > 1:
        return False
    if not level.defect_known:
        return False
    if loaded:  # below.b is not the restricted b
        level.residual_square(ZERO, norm=False, to=below.b)
    level.subtract_product(below)
    run_cycle(levels, Cycle.V, l=l + 1, add=True)
    return True


def run_full_multigrid(
    levels: Levels, plan: Plan, *, restricted: bool, again: bool, finest: int = 0
) -> float:
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
    finest
        The level to end at; norms are of level 0 alone.
    """
    for l, below in enumerate(levels[1:]):
        if plan.loads is not None and all(level.aligned for level in levels[: l + 1]):
            below.b[...] = below.fitted(plan.loads(below.shape), f"loads({below.shape})")
        elif l or not restricted:
            levels[l].residual_square(ZERO, norm=False, to=below.b)
    levels[-1].solve()
    for l in reversed(range(finest, len(levels) - 1)):
        for i in range(plan.cycles):
            level, last = levels[l], l == 0 and i + 1 == plan.cycles
            start, full = KEEP, i == 0
            loaded = plan.loads is not None
            if full and plan.inner is Cycle.V and correct_below(levels, l, loaded=loaded):
                start = SET
            else:
                level.down(None, SET if full else KEEP, full=full)
                visit_below(levels, None, plan.inner, l)
            to = level.below.b if last and again and not level.smooths_before else None
            level.up(start, norm=last, to=to, full=full)
    if finest:
        return math.nan
    return levels[0].square if len(levels) > 1 else levels[0].residual_square()


def solve_grids(
    levels: Levels, stop: Stop, plan: Plan, *, zero: bool, single: Any = None
) -> tuple[Ended, float]:
    """Cycles on the finest x (0 at first if `zero`) and b: how they ended, and their products with
    A. In float32 where `single` has the levels for that
    (`mgtheory.matrixfree.refined.Refinement`).

    Raises
    ------
    Unfit
        See `mgtheory.multigrid.fitted.check_sizes`.
    """
    finest = levels[0]
    passing = plan.cycle is Cycle.FMG
    # take the norm of b while restricting it
    fused = passing and plan.loads is None and len(levels) > 1
    size = math.sqrt(finest.residual_square(ZERO, to=levels[1].b if fused else None))
    first = size if zero else math.sqrt(finest.residual_square())
    check_sizes(finest.b, size, first, zero=zero)
    target = stop.target(size, first)
    if zero and (first <= target or stop.maxiter == 0):
        finest.x[...] = 0.0
    work, known = 0.0, False
    # what one cycle gains is less than a residual in float64 takes
    if single is not None and (stop.maxiter < 2 or not (passing or single.fits)):
        single = None

    def short(once: bool, norms: list[float]) -> float:
        if once and passing:
            norm = single.begin_pass(levels, plan, size, restricted=fused)
        else:
            if once:
                if zero:
                    finest.x[...] = 0.0
                single.begin(first, zero=zero)
            norm = single.cycle(plan.repeated)
        done = norm <= target or len(norms) == stop.maxiter
        return single.refine(norm) if single.ended(norm) or done else norm

    def step(norms: list[float]) -> float:
        nonlocal work, known
        once = len(norms) == 1
        work += step_products(levels, plan, passing=once and passing)
        if single is not None and (once or single.serves):
            return short(once, norms)
        restricted, known = known, not finest.smooths_before
        if once and passing:
            again = stop.maxiter > 1
            return math.sqrt(run_full_multigrid(levels, plan, restricted=fused, again=again))
        start = ZERO if zero and once else KEEP
        work += start == KEEP and not restricted  # once more: the norm's residual was not kept
        # from the second cycle on the last sweep has restricted the residual
        square = run_cycle(levels, plan.repeated, start=start, norm=True, restricted=restricted)
        return math.sqrt(square)

    def floor() -> float:
        return float(np.finfo(float).eps * finest.largest * np.linalg.norm(finest.x))

    ended = drive(step, first, size, stop, floor=floor)
    if single is not None and len(ended.norms) > 1:
        single.finish()
        work += single.products
    return ended, work
