"""V-, W- and F-cycles: the one recursion, for every kind of level.

A cycle asks of a level ``down(r, start)``, which smooths A e = r from `start` (None is 0) and gives
a state for `up` and the restricted residual; ``up(state, coarse)``, which adds the interpolated
coarse approximation, smooths, and gives the new one; and, of the coarsest, ``solve(r)``. Right-hand
sides, approximations and states are the level's own: arrays, or nothing but a sign where it keeps
them itself. Sparse matrices, stencils without matrices, convolutions of torch and periodic grids
have such levels, and share what is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mgtheory.multigrid.loop import Plan
from mgtheory.multigrid.solution import Cycle


def run_cycle(
    levels: Sequence[Any], r: Any, cycle: Cycle, *, first: int = 0, start: Any = None
) -> Any:
    """The approximation to A^-1 r of one cycle on level `first`, from `start` (None is 0)."""
    level = levels[first]
    if first + 1 == len(levels):
        return level.solve(r)
    state, below = level.down(r, start)
    return level.up(state, visit_below(levels, below, cycle, first))


def visit_below(levels: Sequence[Any], r: Any, cycle: Cycle, first: int) -> Any:
    """What the level below `first` gives for r: one cycle, or two where it is not the coarsest. The
    second is a V-cycle in an F-cycle, so that level l is visited l + 1 times."""
    e = run_cycle(levels, r, cycle, first=first + 1)
    if cycle is not Cycle.V and first + 2 < len(levels):
        second = Cycle.W if cycle is Cycle.W else Cycle.V
        e = run_cycle(levels, r, second, first=first + 1, start=e)
    return e


def visits(count: int, cycle: Cycle) -> list[int]:
    """How often each of `count` levels is visited in one cycle; the coarsest is solved once per
    visit of the level above it."""
    result = []
    for l in range(count):
        depth = l if l + 1 < count else max(l - 1, 0)
        result.append({Cycle.V: 1, Cycle.W: 2**depth, Cycle.F: depth + 1, Cycle.FMG: l + 1}[cycle])
    return result


def cycle_products(levels: Sequence[Any], cycle: Cycle) -> float:
    """Products with A in one cycle from 0 on all levels, in units of one on the finest (by the
    levels' `weight`); the coarsest solve is not counted.

    A visit has `products` of its smoothings: from 0 the first one needs none, and the residual
    between them is one.
    """
    if cycle is Cycle.FMG:
        return full_pass_products(levels, Cycle.V, 1)
    times = visits(len(levels), cycle)
    total = 0.0
    for level, often, above in zip(levels[:-1], times, [0, *times], strict=False):
        # second visits start from a new residual
        again = often - above if level is not levels[0] and cycle is not Cycle.V else 0
        total += (often * level.products + again) * level.weight
    return total / levels[0].weight


def full_pass_products(levels: Sequence[Any], cycle: Cycle, cycles: int) -> float:
    """The same for a full multigrid pass with `cycles` cycles on each level, each from a new
    residual."""
    parts = (
        cycles * (cycle_products(levels[l:], cycle) + 1.0) * level.weight
        for l, level in enumerate(levels[:-1])
    )
    return sum(parts) / levels[0].weight


def step_products(levels: Sequence[Any], plan: Plan, *, passing: bool) -> float:
    """The same for a step of a solve, the full multigrid pass if `passing`, and for the residual
    that it ends with."""
    if passing:
        return full_pass_products(levels, plan.inner, plan.cycles) + 1.0
    return cycle_products(levels, plan.repeated) + 1.0
