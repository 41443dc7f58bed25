"""The loop that solves: cycles on the true residual, the stopping test, and what goes wrong put
into words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import (
    check_callable,
    check_finite,
    check_number,
    check_vector,
    check_whole,
    own_errors,
)
from mgtheory.multigrid.cycle import cycle_products, full_pass_products, run_cycle
from mgtheory.multigrid.level import Level
from mgtheory.multigrid.nullspace import NULLSPACE, relative_image
from mgtheory.multigrid.solution import Cycle, Reason, Solution
from mgtheory.problems.grids import Shape

SOLVED = 1e-2  # of ||b||: a residual of this size is one, whatever rounding allows
GROWTH = 1e3  # the residual may grow to this multiple of its smallest value
WINDOW = 20  # cycles in which the residual must fall by 1 %
# times the smallest normal number: where b ends below, a residual of 1e-8 ||b|| has no digits
SMALLEST = 1e6
SLOW = 0.9  # from this reduction per cycle on, smoothings are watched
Loads = Callable[[Shape], ArrayLike]


class Watch:
    """Notices smoothings that amplify the residual: |q| > 1 somewhere on the spectrum, so lmax is
    too small, or A indefinite or not symmetric."""

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
        if hasattr(level.pre, "polynomial") and not growth <= 1.0 + 1e-3:
            self.worst[level.index] = max(growth, self.worst.get(level.index, 0.0))
            self.causes[level.index] = (
                "its lmax (or interval) is too small for this A, or A is not positive definite"
                if level.symmetric
                else "A is not symmetric"
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


def norm(v: NDArray[Any]) -> float:
    """||v||_2."""
    return float(np.linalg.norm(v))


class Unfit(Exception):
    """Squares of the norms of b or of the start's residual leave the range of their type, or no
    digit of b is left in b - A x0: `solve_fitted` has the way on."""


def _range(dtype: Any) -> tuple[float, float]:
    """Between which norms squares keep their digits."""
    range_ = np.finfo(dtype)
    low = float((range_.tiny / range_.eps) ** 0.5)
    return low, 1.0 / low


def check_sizes(b: NDArray[Any], size: float, first: float, *, zero: bool) -> None:
    """Raise `Unfit` where ||b|| = size and ||b - A x0|| = first do not fit; `zero` if x0 is 0."""
    low, high = _range(b.dtype)
    if size == 0.0 and not b.any():
        fits = zero or low <= first <= high
    else:
        fits = low <= size <= high and first <= size / float(np.finfo(b.dtype).eps)
    if not fits:
        raise Unfit


@own_errors
def solve_fitted(
    run: Callable[[Any, Any, Stop, Plan], Solution],
    b: ArrayLike,
    x0: ArrayLike | None,
    stop: Stop,
    plan: Plan,
) -> Solution:
    """run(b, x0, stop, plan); where it raises `Unfit`, that of the equation divided by a power of
    two, and from 0 where x0 does not help.

    Raises
    ------
    ValueError
        Where b is too small or too large for its digits to be those of doubles.
    """
    with suppress(Unfit):
        return run(b, x0, stop, plan)
    right, start = np.asarray(b), None if x0 is None else np.asarray(x0)
    for name, vector in (("b", right), ("x0", start)):
        if vector is not None:
            check_finite(vector, name)
    size, other = (0.0 if v is None else float(np.max(np.abs(v))) for v in (right, start))
    if not math.isfinite(size + other):
        raise ValueError("b or x0 leaves the range of numbers in modulus; scale the equation")
    dtype = np.result_type(right.dtype, np.float32)
    low, high = _range(dtype)
    largest, unit = size or other or 1.0, 1.0
    if not low < largest / right.size < largest * right.size < high:
        unit = 2.0 ** math.floor(math.log2(largest))
    right = right / unit
    if 0.0 < size < SMALLEST * np.finfo(dtype).tiny or unit * norm(right) > np.finfo(dtype).max:
        raise ValueError(
            f"b has entries up to {size:.1e}: with its residuals it leaves the range of {dtype};"
            " scale the equation"
        )
    stop, loads, said = replace(stop, unit=unit), plan.loads, ""
    if loads is not None:
        plan = replace(plan, loads=lambda shape: np.asarray(loads(shape)) / unit)
    try:
        if other > np.finfo(dtype).max * min(unit, 1.0) or (size == 0.0 and other < low):
            raise Unfit
        found = run(right, None if start is None else start / unit, stop, plan)
    except Unfit:
        found = run(right, None, stop, plan)
        if size > 0.0:  # else 0 is the solution
            said = "b - A x0 is so much larger than b that x0 tells nothing of x: cycles began at 0"
    with np.errstate(over="ignore"):
        x = (found.x * unit).astype(found.x.dtype)
    if not np.isfinite(x).all():
        raise ValueError(f"x leaves the range of {dtype}; scale the equation")
    return replace(
        found,
        x=x,
        incompatibility=found.incompatibility * unit,
        warnings=found.warnings + ((said,) if said else ()),
        message=found.message + (f"; {said}" if said else ""),
    )


@dataclass(frozen=True)
class Stop:
    """When a solve ends: ||b - A x||_2 <= max(tol ||b||_2, atol), or after `maxiter` cycles;
    `callback` hears of every residual norm. The equation that is solved is the user's over
    `unit`."""

    tol: float = 1e-8
    maxiter: int = 100
    callback: Callable[[int, float], None] | None = None
    atol: float = 0.0
    unit: float = 1.0

    def __post_init__(self) -> None:
        check_number(self.tol, "tol")
        check_number(self.atol, "atol")
        check_whole(self.maxiter, "maxiter", 0)
        check_callable(self.callback, "callback")

    def target(self, size: float, first: float) -> float:
        """The residual norm to reach for ||b|| = size. For b = 0 no x but 0 is relatively exact:
        then the norm at the start takes its place."""
        return max(self.tol * (size or first), self.atol / self.unit)


@dataclass(frozen=True)
class Plan:
    """What a solve runs: cycles of one kind; for FMG first a pass with `cycles` cycles of the kind
    `inner` on each level, then those."""

    cycle: Cycle
    inner: Cycle = Cycle.V
    cycles: int = 1
    loads: Loads | None = None

    def __post_init__(self) -> None:
        check_whole(self.cycles, "cycles", 1)
        check_callable(self.loads, "loads")
        if self.loads is not None and self.cycle is not Cycle.FMG:
            raise ValueError(f"loads belong to a full multigrid pass, the cycle is {self.cycle}")

    @property
    def repeated(self) -> Cycle:
        """The cycle that is repeated, after the pass where there is one."""
        return self.inner if self.cycle is Cycle.FMG else self.cycle


class Ended(NamedTuple):
    """How a loop ended: the residual norms before the first cycle and after each, the reason, and
    the reason in words; the fields of a `Solution` after x."""

    norms: tuple[float, ...]
    reason: Reason
    message: str


def drive(
    step: Callable[[list[float]], float],
    first: float,
    size: float,
    stop: Stop,
    *,
    missing: Callable[[], float] = lambda: 0.0,
    floor: Callable[[], float] = lambda: 0.0,
    judged: Callable[[], float] | None = None,
) -> Ended:
    """The loop of every solver: cycles until the tolerance, stagnation, divergence or `maxiter`.

    Parameters
    ----------
    step
        Does one cycle, given the residual norms so far, and returns the new one.
    first, size
        The residual norm at the start, and ||b||.
    missing
        The norm of the residual's component outside the range of a singular A, which no x can
        reduce: it belongs to every norm that is reported, and plays no part in the convergence of
        the rest.
    floor
        The residual norm that rounding leaves in x, asked for where nothing more is gained.
    judged
        The norm of the latest residual that tells whether the cycles diverge or stagnate, where it
        is another than that of the tolerance.
    """
    target, lost = stop.target(size, first), missing()
    watched = [first if judged is None else judged()]
    inside, norms = [first], [stop.unit * math.hypot(first, lost)]

    def report() -> None:
        if stop.callback is not None:
            stop.callback(len(norms) - 1, norms[-1])

    report()
    reason = Reason.CONVERGED if first <= target else None
    while reason is None and len(inside) <= stop.maxiter:
        inside.append(step(inside))
        watched.append(inside[-1] if judged is None else judged())
        lost = missing()
        norms.append(stop.unit * math.hypot(inside[-1], lost))
        report()
        reason = Reason.CONVERGED if inside[-1] <= target else _failure(watched)
    # least squares only where the part in the range is solved for
    rounding = reason is Reason.STAGNATED and inside[-1] <= min(100 * floor(), SOLVED * size)
    above = norms[-1] > stop.unit * target
    if (reason is Reason.CONVERGED and above) or (rounding and lost > target):
        reason = Reason.INCOMPATIBLE
    reason = reason or Reason.MAXITER
    message = _message(reason, norms, stop.unit * target, stop.unit * lost, rounding)
    return Ended(tuple(norms), reason, message)


def _failure(norms: list[float]) -> Reason | None:
    if not np.isfinite(norms[-1]) or norms[-1] > GROWTH * min(norms):
        return Reason.DIVERGED
    if len(norms) > WINDOW and norms[-1] > 0.99 * norms[-1 - WINDOW]:
        return Reason.STAGNATED
    return None


def _message(reason: Reason, norms: list[float], target: float, lost: float, rounding: bool) -> str:
    count, last = len(norms) - 1, norms[-1]
    match reason:
        case Reason.CONVERGED:
            return f"residual {last:.2e} <= {target:.2e} after {count} cycles"
        case Reason.INCOMPATIBLE:
            return (
                f"A is singular and b - A x has a component of norm {lost:.2e} outside its range"
                f" (wanted {target:.2e}), which no x reduces; x is the least-squares solution"
                + (" up to rounding" if rounding else "")
            )
        case Reason.DIVERGED:
            return f"the residual grew from {min(norms):.2e} to {last:.2e} in {count} cycles"
        case Reason.STAGNATED:
            cause = "rounding allows no less" if rounding else "the cycle does not reduce it"
            return f"the residual stays at {last:.2e} (wanted {target:.2e}); {cause}"
        case Reason.MAXITER:
            return f"residual {last:.2e} (wanted {target:.2e}) after the {count} cycles allowed"


# a cycle that diverges may overflow; that is an answer, not an error
@np.errstate(over="ignore", invalid="ignore")
def solve_levels(
    levels: Sequence[Level],
    b: ArrayLike,
    x0: ArrayLike | None,
    stop: Stop,
    plan: Plan,
    *,
    nullspace: NDArray[Any] | None = None,
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
        if plan.cycle is Cycle.FMG and len(norms) == 1:
            # the loads belong to b, not to the residual of a start
            used = plan if x0 is None else replace(plan, loads=None)
            x = x + full_pass(levels, residual, used)
            work += full_pass_products(levels, plan.inner, plan.cycles) + 1.0
        else:
            slow = len(norms) > 1 and norms[-1] > SLOW * norms[-2]
            x = x + in_cycle_type(levels, plan.repeated, watch if slow else None)(residual)
            work += cycle_products(levels, plan.repeated) + 1.0
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
    largest = float(np.max(np.abs(A.data), initial=0.0))
    return float(max(np.finfo(v.dtype).eps for v in (x, A))) * largest * norm(x)


def without(N: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
    """v without its component in the span of N's orthonormal columns."""
    return v - N @ (N.conj().T @ v)


def range_split(
    A: Any, N: NDArray[Any] | None, b: NDArray[Any]
) -> Callable[[NDArray[Any]], tuple[NDArray[Any], float]]:
    """What splits a residual into its part in the range of A, which cycles reduce, and the norm of
    the rest along the nullspace N, 0 where it is rounding beside b.

    The rest is what no x reduces: b's own, and what rounding of A's entries leaves of A x. So it is
    where N is orthogonal to the range, A^* N = 0, as for every Hermitian A. If not, or where A is
    regular, all counts as inside.
    """
    if N is None or relative_image(A.conj().T, N) > NULLSPACE:
        return lambda v: (v, 0.0)
    rounding = 1e2 * float(np.finfo(b.dtype).eps) * norm(b)

    def split(v: NDArray[Any]) -> tuple[NDArray[Any], float]:
        along = N.conj().T @ v
        rest = norm(along)
        return v - N @ along, rest if rest > rounding else 0.0

    return split


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
