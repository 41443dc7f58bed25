"""V-, W- and F-cycles and full multigrid in correction form: the residual goes down, the correction comes up.

A cycle from a given residual needs, with smoothings of degree k, k products with A before and k after the coarse-grid correction (and one for
the residual between them if it smooths afterwards): every smoothing hands on the residual that it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory.levels import Level
from mgtheory.solution import Cycle

__all__ = ["cycle_products", "full_multigrid", "run_cycle", "visits"]

Vector = NDArray[Any]
Observer = Callable[[Level, Vector, Vector], None]


def run_cycle(
    levels: Sequence[Level], solve: Callable[[Vector], Vector], r: Vector, cycle: Cycle, *, observe: Observer | None = None
) -> Vector:
    """The correction e of one cycle for the residual r, an approximation of A^-1 r; linear in r.

    Parameters
    ----------
    levels
        From fine to coarse.
    solve
        The solver of the coarsest level.
    observe
        Called with a level and its residual before and after each first smoothing (where it is known).
    """
    level = levels[0]
    if len(levels) == 1:
        return solve(r)
    e: Vector | None = None
    s = r
    for _ in range(level.pre_count):
        before = s
        c, s = level.pre.correct_with_residual(s)  # type: ignore[union-attr]
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
    if level.post_count:
        s = s - level.operator @ step
        for i in range(level.post_count):
            if i + 1 < level.post_count:
                c, s = level.post.correct_with_residual(s)  # type: ignore[union-attr]
            else:
                c = level.post.correct(s)  # type: ignore[union-attr]
            e += c
    return e


def full_multigrid(
    levels: Sequence[Level], solve: Callable[[Vector], Vector], b: Vector, cycle: Cycle, cycles: int, *, observe: Observer | None = None
) -> Vector:
    """x from the coarsest level upwards: interpolate the solution, then `cycles` cycles on each level."""
    if len(levels) == 1:
        return solve(b)
    x = levels[0].interpolation @ full_multigrid(levels[1:], solve, levels[0].R @ b, cycle, cycles, observe=observe)
    for _ in range(cycles):
        x += run_cycle(levels, solve, b - levels[0].operator @ x, cycle, observe=observe)
    return x


def visits(count: int, cycle: Cycle) -> list[int]:
    """How often each of `count` levels is visited in one cycle; the coarsest is solved once per visit of the level above it."""
    result = []
    for l in range(count):
        depth = l if l + 1 < count else max(l - 1, 0)
        if cycle is Cycle.FMG:
            result.append(l + 1)
        else:
            result.append({Cycle.V: 1, Cycle.W: 2**depth, Cycle.F: depth + 1}[cycle])
    return result


def cycle_products(levels: Sequence[Level], cycle: Cycle) -> float:
    """Products with A in one cycle, on all levels, in units of one on the finest (weighted by non-zeros); the coarsest solve not counted."""
    total = 0.0
    for level, times, outer in zip(levels[:-1], visits(len(levels), cycle), [0, *visits(len(levels), cycle)], strict=False):
        products = 0.0
        if level.pre_count and level.pre is not None:
            products += level.pre_count * level.pre.products
        if level.post_count and level.post is not None:
            products += level.post_count * level.post.products
        again = float(times - outer) if level.index and cycle in (Cycle.W, Cycle.F) else 0.0
        if cycle is Cycle.FMG:
            again = 1.0
        total += (times * products + again) * level.A.nnz
    return total / levels[0].A.nnz
