"""Krylov methods of SciPy with one multigrid cycle as preconditioner."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_name, check_vector
from mgtheory.multigrid.base import MultigridSolver
from mgtheory.multigrid.fitted import check_sizes
from mgtheory.multigrid.loop import ROUNDED, SOLVED, Plan, Stop, norm
from mgtheory.multigrid.nullspace import range_split, without
from mgtheory.multigrid.solution import Cycle, Reason, Solution, check_cycle, counted
from mgtheory.multigrid.solve import rounding_floor
from mgtheory.spectra.symmetry import ANY_M

# each with whether it needs a symmetric cycle
KRYLOV = {"cg": True, "minres": True, "gmres": False}
# what SciPy's minres says of a preconditioner with M v . v < 0
INDEFINITE = ("non-symmetric matrix", "indefinite preconditioner")
# of the first residual: beyond, the methods' own residual is none of x, and 0 at last, as are their
# quotients
LEAST = 1e-30
RESTART = 10  # steps of gmres between two looks at the true residual
NOT_POSITIVE = (
    "the cycle is no positive definite preconditioner, as where A is indefinite or a smoothing"
    " amplifies; take krylov gmres, or another smoother"
)
NEGATIVE = -1e-6  # a cosine between r and M r that is no rounding of a positive one


class _Done(Exception):
    """The true residual is small enough, with the argument as correction of the start."""


def krylov(
    hierarchy: MultigridSolver,
    A: Any,
    b: ArrayLike,
    x0: ArrayLike | None = None,
    *,
    method: str = "cg",
    cycle: str = "V",
    tol: float = 1e-8,
    atol: float = 0.0,
    maxiter: int = 100,
    callback: Callable[[int, float], None] | None = None,
) -> Solution:
    """Steps of a Krylov method until ||b - A x||_2 <= max(tol ||b||_2, atol).

    Parameters
    ----------
    hierarchy
        Built for A; one cycle of it is the preconditioner.
    A
        The matrix or LinearOperator, shape (n, n).
    method
        ``"cg"`` and ``"minres"`` take a symmetric cycle, and where A = D S with a symmetric S the
        equation S x = D^-1 b; ``"gmres"`` takes any; its iterations are restarts of 10 steps.
    b, x0, tol, atol, maxiter, callback
        As `MultigridSolver.solve` takes them; the norms are true ones here too, taken after every
        step.

    Raises
    ------
    ValueError
        For an unknown method, or a cycle that does not fit it: one that is not symmetric, and for
        minres one with r^* M r < 0, as of smoothings that amplify. Of cg the message says so where
        it does not converge.
    """
    check_name(method, tuple(KRYLOV), "Krylov method")
    stop = Stop(tol, maxiter, callback, atol)
    if method == "minres" and any(np.iscomplexobj(np.asarray(v)) for v in (b, x0)):
        raise ValueError(
            "krylov minres with a complex b or x0: SciPy's takes real ones; take cg or gmres"
        )
    if cycle == Cycle.FMG:
        raise ValueError(
            f"cycle FMG with krylov {method}: full multigrid solves by itself; as a preconditioner"
            " V, W and F are allowed"
        )

    run = partial(_run, hierarchy, A, method)
    return hierarchy.fitted(run, b, x0, stop, Plan(check_cycle(cycle)))


def _preconditioner(hierarchy: MultigridSolver, method: str, cycle: Cycle) -> Any:
    """One cycle, or a ValueError that names the methods which take it."""
    try:
        if KRYLOV[method]:
            return hierarchy.of_symmetric_form(cycle)
        return hierarchy.as_preconditioner(cycle, symmetric=False)
    except ValueError as error:
        any_cycle = " or ".join(name for name, symmetric in KRYLOV.items() if not symmetric)
        remedy = f"take krylov {any_cycle}, or cycles alone without a Krylov method"
        raise ValueError(f"krylov {method}: {str(error).replace(ANY_M, remedy)}") from None


class _Counted:
    """An operator or matrix as `operator`, and how often it was multiplied with a vector."""

    def __init__(self, A: Any) -> None:
        self.A, self.count = A, 0
        self.operator = sla.LinearOperator(A.shape, matvec=self._apply, dtype=A.dtype)

    def _apply(self, r: NDArray[Any]) -> NDArray[Any]:
        self.count += 1
        return np.asarray(self.A @ r)


class _Watched(_Counted):
    """A preconditioner M, and the `least` cosine between r and M r that was seen: positive where M
    is positive definite."""

    least = math.inf

    def _apply(self, r: NDArray[Any]) -> NDArray[Any]:
        z = super()._apply(r)
        product, sizes = float(np.vdot(r, z).real), norm(r) * norm(z)
        self.least = min(self.least, product / sizes if sizes > 0.0 else math.inf)
        return z


def _row_by_row(A: sla.LinearOperator, rows: NDArray[Any]) -> sla.LinearOperator:
    """D^-1 A."""
    return sla.LinearOperator(A.shape, matvec=lambda v: A.matvec(v) / rows, dtype=A.dtype)


def _in_units(A: Any, r: NDArray[Any], M: Any) -> tuple[Any, NDArray[Any], Any, float]:
    """A/s, r/(s t), s M and t, with such s and t that |M r| and sqrt(r^* M r) become 1: SciPy's
    minres compares them with |M A| and with each other, and in other units ends too early."""
    z = M.matvec(r)
    product, t = float(np.vdot(r, z).real), norm(z)
    if not (product > 0.0 and 0.0 < t < np.inf):
        return A, r, M, 1.0
    s = product / t**2
    return (1.0 / s) * A, r / (s * t), s * M, t


class _Iteration:
    """The steps from x, with the norms of the true residuals: after each, of the part in the range
    of A as `inside`, and of the whole, in the caller's unit, as `whole`.

    Parameters
    ----------
    A, right, x
        The equation and the start, of numbers that fit.
    nullspace
        Of A, if any.
    """

    def __init__(
        self, A: Any, right: NDArray[Any], x: NDArray[Any], nullspace: Any, stop: Stop
    ) -> None:
        self.A, self.right, self.x, self.stop = A, right, x, stop
        self.products, self.split = _Counted(A), range_split(A, nullspace, right)
        self.inside, self.whole, self.lost = list[float](), list[float](), 0.0
        self.residual = self._look(right - A @ x if x.any() else right)
        size = norm(right)
        check_sizes(right, size, self.inside[0], zero=not x.any())
        self.target = stop.target(size, self.inside[0])
        self._tell()

    def _look(self, v: NDArray[Any]) -> NDArray[Any]:
        """Take note of the residual v; its part in the range of A."""
        part, self.lost = self.split(v)
        self.inside.append(norm(part))
        self.whole.append(self.stop.unit * math.hypot(self.inside[-1], self.lost))
        return part

    def _tell(self) -> None:
        if self.stop.callback is not None:
            self.stop.callback(len(self.whole) - 1, self.whole[-1])

    def rounded(self, x: NDArray[Any]) -> bool:
        """Whether the residual of x in the range of A is what rounding of x leaves."""
        floor = 100 * rounding_floor(self.A, x) if sp.issparse(self.A) else 0.0
        return self.inside[-1] <= min(floor, SOLVED * norm(self.right))

    def _ends_outside(self, x: NDArray[Any]) -> bool:
        """Whether what is left of the residual of x is outside the range of A, beside rounding."""
        return self.lost > self.target and self.rounded(x)

    def _note(self, e: NDArray[Any]) -> None:
        """After a step to x + e; the methods' own tests use estimates or the preconditioner's
        norm."""
        self._look(self.right - self.products.operator @ (self.x + e))
        self._tell()
        if self.inside[-1] <= self.target or self._ends_outside(self.x + e):
            raise _Done(e.copy())

    def correction(self, method: str, M: _Watched, rows: NDArray[Any] | None) -> NDArray[Any]:
        """What the steps add to x, at most `maxiter` of them, of the equation with its rows divided
        by `rows`; ValueError where M is no preconditioner for them."""
        gmres = method == "gmres"
        extra: dict[str, Any] = {"restart": RESTART, "callback_type": "x"} if gmres else {}
        own = max(self.target / self.inside[0] * (1.0 if gmres else 1e-4), LEAST)
        limits: dict[str, Any] = {"rtol": own, "maxiter": self.stop.maxiter, **extra}
        try:
            A, r, cycle, unit = self.products.operator, self.residual, M.operator, 1.0
            if rows is not None:
                A, r = _row_by_row(A, rows), r / rows
            if method == "minres":
                A, r, cycle, unit = _in_units(A, r, cycle)
                limits["rtol"] = LEAST
            limits["callback"] = lambda e: self._note(unit * e)
            e = unit * getattr(sla, method)(A, r, M=cycle, **limits)[0]
        except _Done as done:
            return np.asarray(done.args[0])
        except ValueError as error:
            if str(error) not in INDEFINITE:
                raise
            raise ValueError(f"krylov {method}: {NOT_POSITIVE}") from None
        # gmres may end within a restart
        self._look(self.right - self.products.operator @ (self.x + e))
        if self.inside[-1] == self.inside[-2]:
            del self.inside[-1], self.whole[-1]
        return np.asarray(e)

    def reason(self, x: NDArray[Any]) -> Reason:
        """Why the steps ended at x."""
        if self.inside[-1] <= self.target:
            small = self.whole[-1] <= self.stop.unit * self.target
            return Reason.CONVERGED if small else Reason.INCOMPATIBLE
        if self._ends_outside(x):
            return Reason.INCOMPATIBLE
        return Reason.MAXITER if len(self.whole) > self.stop.maxiter else Reason.STAGNATED


@np.errstate(over="ignore", invalid="ignore")
def _run(
    hierarchy: MultigridSolver,
    A: Any,
    method: str,
    b: ArrayLike,
    x0: ArrayLike | None,
    stop: Stop,
    plan: Plan,
) -> Solution:
    """The steps, on an equation of sizes that fit."""
    right, N = check_vector(b, A.shape[0], A.dtype, "b"), hierarchy.nullspace
    x = np.zeros_like(right) if x0 is None else check_vector(x0, right.size, right.dtype, "x0")
    M = _Watched(_preconditioner(hierarchy, method, plan.cycle))
    steps = _Iteration(A, right, x, N, stop)
    missing = steps.split(right)[1]
    if steps.inside[0] > steps.target and stop.maxiter:  # SciPy's gmres cannot take no step
        x = x + steps.correction(method, M, hierarchy.rows if KRYLOV[method] else None)
    x = x if N is None else without(N, x)
    reason, count = steps.reason(x), len(steps.whole) - 1
    step = f"restart of gmres({RESTART})" if method == "gmres" else f"step of {method}"
    message = (
        f"residual {steps.whole[-1]:.2e} (wanted {stop.unit * steps.target:.2e}) after"
        f" {counted(count, step)}"
    )
    if reason is Reason.INCOMPATIBLE:
        message += "; A is singular and the rest of it is outside its range"
    elif reason is not Reason.CONVERGED and steps.rounded(x):
        message += f"; {ROUNDED}"
    said: tuple[str, ...] = getattr(hierarchy, "warnings", ())  # of a matrix and its grid
    if KRYLOV[method] and M.least < NEGATIVE and reason in (Reason.MAXITER, Reason.STAGNATED):
        said = (*said, NOT_POSITIVE)
    message = "; ".join([message, *said])
    work = steps.products.count + M.count * hierarchy.work_units(plan.cycle)
    return Solution(x, tuple(steps.whole), reason, message, said, work, missing, step=step)
