"""V-, W- and F-cycles in correction form: the residual goes down, the correction comes up.

A cycle from a given residual needs, with smoothings of degree k, k products with A before and k
after the coarse-grid correction (and one for the residual between them if it smooths afterwards):
every smoothing hands on the residual that it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory.multigrid.level import Level
from mgtheory.multigrid.solution import Cycle

__all__ = ["cycle_products", "full_pass_products", "run_cycle", "visits"]

Vector = NDArray[Any]
Observer = Callable[[Level, Vector, Vector], None]


def run_cycle(
    levels: Sequence[Level],
    solve: Callable[[Vector], Vector],
    r: Vector,
    cycle: Cycle,
    *,
    observe: Observer | None = None,
) -> Vector:
    """The correction e of one cycle for the residual r, an approximation of A^-1 r; linear in r.

    Parameters
    ----------
    levels
        From fine to coarse.
    solve
        The solver of the coarsest level.
    observe
        Called with a level and its residual before and after each first smoothing (where it is
        known).
    """
    level = levels[0]
    if len(levels) == 1:
        return solve(r)
    e: Vector | None = None
    s = r
    if level.pre is not None:
        for _ in range(level.pre_count):
            before = s
            c, s = level.pre.correct_with_residual(s)
            if observe is not None:
                observe(level, before, s)
            e = c if e is None else np.add(e, c, out=e)
    below = level.R @ s
    correction = run_cycle(levels[1:], solve, below, cycle, observe=observe)
    if cycle is not Cycle.V and len(levels) > 2:
        again = below - levels[1].operator @ correction
        second = Cycle.W if cycle is Cycle.W else Cycle.V
        correction = correction + run_cycle(levels[1:], solve, again, second, observe=observe)
    step = level.P @ correction
    e = step if e is None else np.add(e, step, out=e)
    if level.post is not None and level.post_count:
        s = s - level.operator @ step
        for _ in range(level.post_count - 1):
            c, s = level.post.correct_with_residual(s)
            e += c
        e += level.post.correct(s)
    return e


def visits(count: int, cycle: Cycle) -> list[int]:
    """How often each of `count` levels is visited in one cycle; the coarsest is solved once per
    visit of the level above it."""
    result = []
    for l in range(count):
        depth = l if l + 1 < count else max(l - 1, 0)
        result.append({Cycle.V: 1, Cycle.W: 2**depth, Cycle.F: depth + 1, Cycle.FMG: l + 1}[cycle])
    return result


def cycle_products(levels: Sequence[Level], cycle: Cycle) -> float:
    """Products with A in one cycle on all levels, in units of one on the finest (by non-zeros); the
    coarsest solve is not counted."""
    if cycle is Cycle.FMG:
        return full_pass_products(levels, Cycle.V, 1)
    times = visits(len(levels), cycle)
    total = 0.0
    for level, often, above in zip(levels[:-1], times, [0, *times], strict=False):
        sweeps = (
            s.products * n
            for s, n in ((level.pre, level.pre_count), (level.post, level.post_count))
            if s is not None
        )
        # second visits start from a new residual
        again = often - above if level is not levels[0] and cycle is not Cycle.V else 0
        total += (often * sum(sweeps) + again) * level.A.nnz
    return total / levels[0].A.nnz


def full_pass_products(levels: Sequence[Level], cycle: Cycle, cycles: int) -> float:
    """The same for a full multigrid pass with `cycles` cycles on each level, each from a new
    residual."""
    parts = (
        cycles * (cycle_products(levels[l:], cycle) + 1.0) * level.A.nnz
        for l, level in enumerate(levels[:-1])
    )
    return sum(parts) / levels[0].A.nnz
