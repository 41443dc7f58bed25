"""Cycles and full multigrid on the grids of a `StencilHierarchy`, and the loop of its solve.

A cycle on a level is two sweeps: `_down` smooths from its start and restricts the residual in the
same pass, `_up` adds the interpolated correction, smooths, and takes the residual's norm in the
same pass. Without smoothing before the correction, `_up` restricts too, and the next cycle begins
with its own `_up`: one pass over the finest grid per cycle. Full multigrid then needs but one `_up`
for each grid: what the grid tells the coarser one about its start is known there
(`mgtheory.matrixfree.kernels.defect`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory.matrixfree.level import StencilLevel
from mgtheory.matrixfree.tables import ADD, KEEP, SET, ZERO
from mgtheory.multigrid.solution import Cycle, Reason
from mgtheory.multigrid.solve import GROWTH, WINDOW

__all__ = ["NOTHING", "Loads", "cycle_products", "iterate", "run_cycle", "run_full_multigrid"]

TINY = 1e-140  # norms below it have squares with fewer digits than a double holds
NOTHING = [np.empty((0, 2))]  # one sweep without smoothing steps
Levels = Sequence[StencilLevel]
Array = NDArray[np.float64]
Loads = Callable[[tuple[int, ...]], ArrayLike]


def _down(levels: Levels, l: int, start: int, *, full: bool = False) -> int:
    """Smooth level l and restrict its residual; how x then stands (KEEP, or ZERO where it is still
    0 and was not written)."""
    level, below = levels[l], levels[l + 1]
    write = level.smooths_before or start == SET
    level.sweep(
        start, level.before, e=below.x, P=level.C if full else None, to=below.b, write=int(write)
    )
    return KEEP if write else start


def _below(levels: Levels, l: int, kind: Cycle) -> None:
    """Solve for the correction on level l + 1: one cycle, or two."""
    run_cycle(levels, kind, l=l + 1)
    if kind is not Cycle.V and l + 2 < len(levels):
        run_cycle(levels, Cycle.W if kind is Cycle.W else Cycle.V, l=l + 1, start=KEEP)


def _up(
    levels: Levels,
    l: int,
    start: int,
    *,
    norm: bool = False,
    to: Array | None = None,
    full: bool = False,
    add: bool = False,
) -> float:
    """Add the interpolated correction and smooth; the residual's square sum if `norm`, its
    restriction to `to`."""
    level, first = levels[l], ADD if start == KEEP else SET
    return level.sweep(
        first,
        level.after,
        e=levels[l + 1].x,
        P=level.C if full else None,
        norm=norm,
        to=to,
        write=2 if add else 1,
    )


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
    if not restricted:
        start = _down(levels, l, start)
    _below(levels, l, kind)
    return _up(
        levels,
        l,
        start,
        norm=norm,
        to=levels[l + 1].b if _one_sweep(levels, l) and norm else None,
        add=add,
    )


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


def run_full_multigrid(
    levels: Levels,
    kind: Cycle,
    cycles: int,
    *,
    loads: Loads | None = None,
    norm: bool = False,
    restricted: bool = False,
    again: bool = False,
) -> float:
    """x from the coarsest grid upwards: cubic interpolation of the solution, then `cycles` cycles
    on each grid.

    The first of them interpolates its correction cubically too.

    Parameters
    ----------
    norm
        Return ||b - A x||_2^2.
    restricted
        The right-hand side of level 1 is the restricted b already.
    again
        Another cycle will follow on the finest grid: leave the restricted residual as `run_cycle`
        takes it.
    """
    for l, below in enumerate(levels[1:]):
        if loads is not None:
            below.b[...] = np.reshape(loads(below.shape), below.grid)
        elif l or not restricted:
            levels[l].sweep(ZERO, NOTHING, write=0, to=below.b)
    levels[-1].solve_directly()
    square = 0.0
    for l in reversed(range(len(levels) - 1)):
        for i in range(cycles):
            last = norm and l == 0 and i + 1 == cycles
            start, full = KEEP, i == 0
            if full and kind is Cycle.V and _correct_below(levels, l, loaded=loads is not None):
                start = SET
            else:
                _down(levels, l, SET if full else KEEP, full=full)
                _below(levels, l, kind)
            to = levels[1].b if last and again and _one_sweep(levels, 0) else None
            square = _up(levels, l, start, norm=last, to=to, full=full)
    return square if len(levels) > 1 or not norm else levels[0].residual_square()


def iterate(
    levels: Levels,
    *,
    zero: bool,
    tol: float,
    maxiter: int,
    cycle: Cycle,
    inner: Cycle,
    cycles: int,
    loads: Loads | None,
    callback: Callable[[int, float], None] | None,
) -> tuple[list[float], Reason, float]:
    """Cycles on the finest x and b until the tolerance: the true residual norms before the first
    and after each, how it ended, tol ||b||.

    Raises
    ------
    ValueError
        If ||b|| or the first residual norm is not finite, or ||b|| so small that squares vanish.
    """
    finest = levels[0]
    # take the norm of b while restricting it
    fused = cycle is Cycle.FMG and loads is None and len(levels) > 1
    size = math.sqrt(
        finest.sweep(ZERO, NOTHING, write=0, norm=True, to=levels[1].b if fused else None)
    )
    norms = [size if zero else math.sqrt(finest.residual_square())]
    if not (math.isfinite(size) and math.isfinite(norms[0])):
        raise ValueError(
            "b or x0 has entries that are infinite, not a number, or too large to be squared"
        )
    if size < TINY and finest.b.any():
        raise ValueError(f"b has norm {size:.1e}, too small to be squared; scale the equation")
    if callback is not None:
        callback(0, norms[0])
    target = tol * size
    if zero and (norms[0] <= target or maxiter == 0):
        finest.x[...] = 0.0
    start, restricted = (ZERO if zero else KEEP), False
    reason = Reason.CONVERGED if norms[0] <= target else None
    while reason is None and len(norms) <= maxiter:
        if cycle is Cycle.FMG and len(norms) == 1:
            square = run_full_multigrid(
                levels, inner, cycles, loads=loads, norm=True, restricted=fused, again=maxiter > 1
            )
        else:
            kind = Cycle.V if cycle is Cycle.FMG else cycle
            square = run_cycle(levels, kind, start=start, norm=True, restricted=restricted)
        start, restricted = KEEP, _one_sweep(levels, 0)
        norms.append(math.sqrt(square))
        if callback is not None:
            callback(len(norms) - 1, norms[-1])
        reason = _reason(norms, target)
    return norms, reason or Reason.MAXITER, target


def _reason(norms: list[float], target: float) -> Reason | None:
    if norms[-1] <= target:
        return Reason.CONVERGED
    if not math.isfinite(norms[-1]) or norms[-1] > GROWTH * min(norms):
        return Reason.DIVERGED
    if len(norms) > WINDOW and norms[-1] > 0.99 * norms[-1 - WINDOW]:
        return Reason.STAGNATED
    return None


def cycle_products(levels: Levels, kind: Cycle) -> float:
    """Products with A of one cycle, weighted by unknowns, in units of one on the finest grid; the
    coarsest solve not counted."""
    total = 0.0
    for l, level in enumerate(levels[:-1]):
        visits = {Cycle.V: 1, Cycle.W: 2**l, Cycle.F: l + 1, Cycle.FMG: l + 1}[kind]
        total += visits * (sum(map(len, [*level.before, *level.after])) + 1) * level.size
    return total / levels[0].size
