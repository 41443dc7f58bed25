"""Cycles on the levels of matrices: the residual that they reduce, full multigrid passes, and
smoothings that amplify noticed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_vector
from mgtheory.multigrid.applied import why_amplified
from mgtheory.multigrid.cycle import run_cycle, step_products
from mgtheory.multigrid.fitted import check_sizes
from mgtheory.multigrid.level import Level
from mgtheory.multigrid.loop import Plan, Stop, drive, norm
from mgtheory.multigrid.nullspace import range_split, without
from mgtheory.multigrid.solution import Cycle, Solution

TOO_SMALL = "its lmax (or interval) is too small for this A, or A is not positive definite"
SLOW = 0.9  # from this reduction per cycle on, smoothings are watched


class Watch:
    """Notices smoothings that amplify the residual: |q| > 1 somewhere on the spectrum, so lmax is
    too small, A indefinite or not symmetric, or q made so."""

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        self.known = known  # of the hierarchy itself, said in any case
        self.worst: dict[int, float] = {}
        self.causes: dict[int, str] = {}

    def __call__(self, level: Level, before: NDArray[Any], after: NDArray[Any]) -> None:
        """Compare the residuals before and after a smoothing, in the norm in which q(BA) is
        symmetric."""
        B = getattr(level.pre, "B", None)
        weight = 1.0 if B is None else np.sqrt(np.abs(B))
        start = norm(weight * before)
        growth = norm(weight * after) / start if start > 0.0 else 0.0
        q = getattr(level.pre, "polynomial", None)
        if q is not None and not growth <= 1.0 + 1e-3:
            self.worst[level.index] = max(growth, self.worst.get(level.index, 0.0))
            self.causes[level.index] = (
                why_amplified(q, TOO_SMALL) if level.symmetric else "A is not symmetric"
            )

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence per level on which it happened, or that was known before."""
        said = {text.partition(":")[0] for text in self.known}
        return self.known + tuple(
            f"level {index}: the polynomial smoother multiplied the residual by {growth:.3g}; "
            f"{self.causes[index]}"
            for index, growth in sorted(self.worst.items())
            if f"level {index}" not in said
        )


# a cycle that diverges may overflow; that is an answer, not an error
@np.errstate(over="ignore", invalid="ignore")
def solve_levels(
    levels: Sequence[Level],
    b: ArrayLike,
    x0: ArrayLike | None,
    stop: Stop,
    plan: Plan,
    *,
    nullspace: Any = None,
    warnings: tuple[str, ...] = (),
) -> Solution:
    """See `mgtheory.multigrid.base.MultigridSolver`."""
    finest, N = levels[0], nullspace
    right = check_vector(b, finest.size, finest.A.dtype, "b")
    x = np.zeros_like(right) if x0 is None else check_vector(x0, finest.size, right.dtype, "x0")
    right = right.astype(x.dtype)
    split = range_split(finest.A, N, right)
    size, (inside, missing) = norm(right), split(right)
    x = x if N is None else without(N, x)
    watch = Watch(warnings)
    residual, outside = (inside.copy(), missing) if x0 is None else split(right - finest.exact @ x)
    first = norm(residual)
    check_sizes(right, size, first, zero=x0 is None)
    work = 0.0

    def step(norms: list[float]) -> float:
        nonlocal x, residual, outside, work
        passing = plan.cycle is Cycle.FMG and len(norms) == 1
        work += step_products(levels, plan, passing=passing)
        if passing:
            # the loads belong to b, not to the residual of a start
            used = plan if x0 is None else replace(plan, loads=None)
            x = x + full_pass(levels, residual, used)
        else:
            slow = len(norms) > 1 and norms[-1] > SLOW * norms[-2]
            x = x + in_cycle_type(levels, plan.repeated, watch if slow else None)(residual)
        if N is not None:
            x = without(N, x)
        residual, outside = split(right - finest.exact @ x)
        return norm(residual)

    def floor() -> float:
        return rounding_floor(finest.A, x)

    def balanced() -> float:
        """Rows of large scales hide in the plain norm what the cycle does to the others."""
        return norm(residual if finest.rows is None else residual / finest.rows)

    ended = drive(step, first, size, stop, missing=lambda: outside, floor=floor, judged=balanced)
    return Solution(
        x,
        ended.norms,
        ended.reason,
        "; ".join([ended.message, *watch.warnings]),
        watch.warnings,
        work,
        missing,
    )


def rounding_floor(A: Any, x: NDArray[Any]) -> float:
    """About the residual norm that rounding leaves, of x or of A's entries."""
    largest, unit = (float(np.max(np.abs(v), initial=0.0)) for v in (A.data, x))
    if not 0.0 < unit < np.inf:
        return 0.0
    # the squares of an x beside a large A may leave the range
    inexact = (v.dtype for v in (x, A) if v.dtype.kind in "fc")  # whole numbers are exact
    return float(max(np.finfo(kind).eps for kind in inexact)) * largest * unit * norm(x / unit)


def in_cycle_type(
    levels: Sequence[Level], cycle: Cycle, watch: Watch | None = None, first: int = 0
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """One cycle from level `first` on, as a map of residuals of any type: scaled, computed in the
    levels' type, scaled back."""
    work = levels[0].operator.dtype
    used = levels if watch is None else [replace(level, observe=watch) for level in levels]

    def correct(r: NDArray[Any]) -> NDArray[Any]:
        if np.iscomplexobj(r) and not np.issubdtype(work, np.complexfloating):
            return correct(r.real) + 1j * correct(r.imag)
        if r.dtype == work:
            return np.asarray(run_cycle(used, r, cycle, first=first))
        # the residual falls below the smallest single precision number long before it is small
        size = float(np.max(np.abs(r), initial=0.0))
        if size == 0.0 or not np.isfinite(size):
            return r.copy()
        scaled = np.multiply(r, 1.0 / size, dtype=r.dtype).astype(work)
        return np.multiply(run_cycle(used, scaled, cycle, first=first), size, dtype=r.dtype)

    return correct


def full_pass(levels: Sequence[Level], b: NDArray[Any], plan: Plan, first: int = 0) -> NDArray[Any]:
    """Full multigrid from level `first` on: the coarse solution interpolated, then cycles;
    residuals in A's type on all levels."""
    level = levels[first]
    correct = in_cycle_type(levels, plan.inner, None, first)
    if first + 1 == len(levels):
        return correct(b)
    below = levels[first + 1]
    coarse = level.R @ b
    if plan.loads is not None and all(above.aligned for above in levels[: first + 1]):
        given = check_vector(plan.loads(below.shape), below.size, b.dtype, f"loads({below.shape})")
        coarse = given.astype(b.dtype)
    x = level.interpolation @ full_pass(levels, coarse, plan, first + 1)
    for _ in range(plan.cycles):
        x = x + correct(b - level.exact @ x)
    return x
