"""The loop of `Hierarchy.solve`: cycles on the true residual, the stopping test, and what goes
wrong put into words."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_callable, check_number, check_vector, check_whole
from mgtheory.multigrid.cycle import cycle_products, full_pass_products, run_cycle
from mgtheory.multigrid.level import Level
from mgtheory.multigrid.solution import Cycle, Reason, Solution
from mgtheory.problems.grids import Shape

if TYPE_CHECKING:
    from mgtheory.multigrid.hierarchy import Hierarchy

__all__ = ["iterate"]

GROWTH = 1e3  # the residual may grow to this multiple of its smallest value
WINDOW = 20  # cycles in which the residual must fall by 1 %
SLOW = 0.9  # from this reduction per cycle on, smoothings are watched


class Watch:
    """Notices smoothings that amplify the residual: |q| > 1 somewhere on the spectrum, so lmax is
    too small or A indefinite."""

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        self.known = known  # of the hierarchy itself, said in any case
        self.worst: dict[int, float] = {}

    def __call__(self, level: Level, before: NDArray[Any], after: NDArray[Any]) -> None:
        B = getattr(level.pre, "B", None)
        weight = 1.0 if B is None else np.sqrt(np.abs(B))
        start = _norm(weight * before)
        growth = _norm(weight * after) / start if start > 0.0 else 0.0
        if hasattr(level.pre, "polynomial") and not growth <= 1.0 + 1e-3:
            self.worst[level.index] = max(growth, self.worst.get(level.index, 0.0))

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence per level on which it happened, or that was known before."""
        said = {text.partition(":")[0] for text in self.known}
        return self.known + tuple(
            f"level {index}: the polynomial smoother multiplied the residual by {growth:.3g}; "
            "its lmax (or interval) is too small for this A, or A is not positive definite"
            for index, growth in sorted(self.worst.items())
            if f"level {index}" not in said
        )


def _norm(v: NDArray[Any]) -> float:
    """||v||_2, with v scaled where its squares leave the range of its type: a right-hand side of
    size 1e-200 is not 0."""
    value = float(np.linalg.norm(v))
    range_ = np.finfo(v.dtype)
    if (range_.tiny / range_.eps) ** 0.5 <= value < np.inf:
        return value
    size = float(np.max(np.abs(v), initial=0.0))
    if size == 0.0 or not np.isfinite(size):
        return size
    return size * float(np.linalg.norm(v.astype(np.promote_types(v.dtype, np.float64)) / size))


def iterate(
    hierarchy: Hierarchy,
    b: ArrayLike,
    x0: ArrayLike | None,
    *,
    tol: float,
    maxiter: int,
    cycle: Cycle,
    inner: Cycle = Cycle.V,
    cycles: int = 1,
    loads: Callable[[Shape], ArrayLike] | None = None,
    callback: Callable[[int, float], None] | None,
) -> Solution:
    """See `Hierarchy.solve` and `Hierarchy.full_multigrid`; `inner` and `cycles` are those of a
    full multigrid pass."""
    start = time.perf_counter()
    # a cycle that diverges may overflow; that is an answer, not an error
    with np.errstate(over="ignore", invalid="ignore"):
        return _iterate(
            hierarchy, b, x0, tol, maxiter, cycle, inner, cycles, loads, callback, start
        )


def _iterate(
    hierarchy: Hierarchy,
    b: ArrayLike,
    x0: ArrayLike | None,
    tol: float,
    maxiter: int,
    cycle: Cycle,
    inner: Cycle,
    cycles: int,
    loads: Callable[[Shape], ArrayLike] | None,
    callback: Callable[[int, float], None] | None,
    start: float,
) -> Solution:
    check_number(tol, "tol")
    check_whole(maxiter, "maxiter", 0)
    check_whole(cycles, "cycles", 1)
    check_callable(loads, "loads")
    if loads is not None and cycle is not Cycle.FMG:
        raise ValueError(f"loads belong to a full multigrid pass, the cycle is {cycle}")
    check_callable(callback, "callback")
    finest = hierarchy.levels[0]
    right = check_vector(b, finest.size, finest.A.dtype, "b")
    x = np.zeros_like(right) if x0 is None else check_vector(x0, finest.size, right.dtype, "x0")
    right = right.astype(x.dtype)
    N = hierarchy.nullspace
    missing = 0.0
    if N is not None:
        if _ranges_complement(finest.A, N):
            outside = N.conj().T @ right
            missing = _norm(outside)
            if missing <= 1e2 * np.finfo(right.dtype).eps * _norm(right):
                missing = 0.0
            right = right - N @ outside
        x = x - N @ (N.conj().T @ x)
    target = tol * float(np.hypot(_norm(right), missing))
    watch = Watch(hierarchy.warnings)
    norms: list[float] = []
    work = 0.0
    residual = right.copy() if x0 is None else right - finest.exact @ x
    inside = _norm(residual)
    norms.append(float(np.hypot(inside, missing)))
    if callback is not None:
        callback(0, norms[0])
    reason = (
        None
        if inside > target
        else (Reason.CONVERGED if norms[0] <= target else Reason.INCOMPATIBLE)
    )
    while reason is None and len(norms) <= maxiter:
        slow = len(norms) > 1 and norms[-1] > SLOW * norms[-2]
        full = cycle is Cycle.FMG and len(norms) == 1
        if full:
            x = x + full_pass(hierarchy, residual, inner, cycles, loads if x0 is None else None)
            work += full_pass_products(hierarchy.levels, inner, cycles) + 1.0
        else:
            x = x + in_cycle_type(
                hierarchy, inner if cycle is Cycle.FMG else cycle, watch if slow else None
            )(residual)
            work += cycle_products(hierarchy.levels, inner if cycle is Cycle.FMG else cycle) + 1.0
        if N is not None:
            x = x - N @ (N.conj().T @ x)
        residual = right - finest.exact @ x
        inside = _norm(residual)
        norms.append(float(np.hypot(inside, missing)))
        if callback is not None:
            callback(len(norms) - 1, norms[-1])
        reason = _reason(norms, inside, target)
    reason = reason or Reason.MAXITER
    return Solution(
        x,
        tuple(norms),
        reason,
        _message(reason, hierarchy, x, norms, target, missing, watch.warnings),
        watch.warnings,
        work,
        missing,
        hierarchy.setup_seconds,
        time.perf_counter() - start,
    )


def _ranges_complement(A: Any, N: NDArray[Any]) -> bool:
    """Whether N is orthogonal to A's range too, A^* N = 0: so for every Hermitian A. If not, b is
    left as it is."""
    scale = float(np.max(np.abs(A.data), initial=0.0)) * float(np.max(np.abs(N)))
    return bool(np.max(np.abs(A.conj().T @ N)) <= 1e-6 * scale)


def in_cycle_type(
    hierarchy: Hierarchy, cycle: Cycle, watch: Watch | None, first: int = 0
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """One cycle from level `first` on, as a map of residuals of any type: scaled, computed in the
    hierarchy's type, scaled back."""
    levels, work = hierarchy.levels[first:], hierarchy.levels[0].operator.dtype

    def correct(r: NDArray[Any]) -> NDArray[Any]:
        if np.iscomplexobj(r) and not np.issubdtype(work, np.complexfloating):
            return correct(r.real) + 1j * correct(r.imag)
        if r.dtype == work:
            return run_cycle(levels, hierarchy.coarse_solver, r, cycle, observe=watch)
        size = float(np.max(np.abs(r), initial=0.0))
        if size == 0.0 or not np.isfinite(size):
            return r.copy()
        e = run_cycle(
            levels,
            hierarchy.coarse_solver,
            np.multiply(r, 1.0 / size, dtype=r.dtype).astype(work),
            cycle,
            observe=watch,
        )
        return np.multiply(e, size, dtype=r.dtype)

    return correct


def full_pass(
    hierarchy: Hierarchy,
    b: NDArray[Any],
    cycle: Cycle,
    cycles: int,
    loads: Callable[[Shape], ArrayLike] | None,
    first: int = 0,
) -> NDArray[Any]:
    """Full multigrid from level `first` on: the coarse solution interpolated, then `cycles` cycles;
    residuals in A's type on all levels."""
    level = hierarchy.levels[first]
    correct = in_cycle_type(hierarchy, cycle, None, first)
    if level.P is None:
        return correct(b)
    below = hierarchy.levels[first + 1]
    coarse = (
        level.R @ b
        if loads is None
        else check_vector(loads(below.shape), below.size, b.dtype, f"loads({below.shape})").astype(
            b.dtype
        )
    )
    x = level.interpolation @ full_pass(hierarchy, coarse, cycle, cycles, loads, first + 1)
    for _ in range(cycles):
        x = x + correct(b - level.exact @ x)
    return x


def _reason(norms: list[float], inside: float, target: float) -> Reason | None:
    if inside <= target:
        return Reason.CONVERGED if norms[-1] <= target else Reason.INCOMPATIBLE
    if not np.isfinite(norms[-1]) or norms[-1] > GROWTH * min(norms):
        return Reason.DIVERGED
    if len(norms) > WINDOW and norms[-1] > 0.99 * norms[-1 - WINDOW]:
        return Reason.STAGNATED
    return None


def _message(
    reason: Reason,
    hierarchy: Hierarchy,
    x: NDArray[Any],
    norms: list[float],
    target: float,
    missing: float,
    warnings: tuple[str, ...],
) -> str:
    count = len(norms) - 1
    match reason:
        case Reason.CONVERGED:
            text = f"residual {norms[-1]:.2e} <= {target:.2e} after {count} cycles"
        case Reason.INCOMPATIBLE:
            text = (
                f"A is singular and b has a component of norm {missing:.2e} outside its range; x is"
                " the least-squares solution"
            )
        case Reason.DIVERGED:
            text = f"the residual grew from {min(norms):.2e} to {norms[-1]:.2e} in {count} cycles"
        case Reason.STAGNATED:
            A = hierarchy.levels[0].A
            floor = float(np.finfo(x.dtype).eps * np.max(np.abs(A.data)) * np.linalg.norm(x))
            cause = (
                "rounding allows no less"
                if norms[-1] <= 100 * floor
                else "the cycle does not reduce it"
            )
            text = f"the residual stays at {norms[-1]:.2e} (wanted {target:.2e}); {cause}"
        case Reason.MAXITER:
            text = (
                f"residual {norms[-1]:.2e} (wanted {target:.2e}) after the {count} cycles allowed"
            )
    return "; ".join([text, *warnings])
