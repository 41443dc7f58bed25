"""The loop of every solver: cycles until the stopping test holds, and what went wrong put into
words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_callable, check_number, check_whole
from mgtheory.multigrid.solution import Cycle, Reason
from mgtheory.problems.grids import Shape

SOLVED = 1e-2  # of ||b||: a residual of this size is one, whatever rounding allows
GROWTH = 1e3  # the residual may grow to this multiple of its smallest value
WINDOW = 20  # cycles in which the residual must fall by 1 %
ROUNDED = "rounding allows no less"  # the message of a solve that ended there has it
Loads = Callable[[Shape], ArrayLike]


def norm(v: NDArray[Any]) -> float:
    """||v||_2."""
    return float(np.linalg.norm(v))


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
    cycles = f"{count} cycle{'s' * (count != 1)}"
    match reason:
        case Reason.CONVERGED:
            return f"residual {last:.2e} <= {target:.2e} after {cycles}"
        case Reason.INCOMPATIBLE:
            return (
                f"A is singular and b - A x has a component of norm {lost:.2e} outside its range"
                f" (wanted {target:.2e}), which no x reduces; x is the least-squares solution"
                + (" up to rounding" if rounding else "")
            )
        case Reason.DIVERGED:
            return f"the residual grew from {min(norms):.2e} to {last:.2e} in {cycles}"
        case Reason.STAGNATED:
            cause = ROUNDED if rounding else "the cycle does not reduce it"
            return f"the residual stays at {last:.2e} (wanted {target:.2e}); {cause}"
        case Reason.MAXITER:
            return f"residual {last:.2e} (wanted {target:.2e}) after the {count} cycles allowed"
