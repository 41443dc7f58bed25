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
from mgtheory.multigrid.loop import Plan, Stop, norm
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
        ``"cg"`` and ``"minres"`` take a symmetric cycle, ``"gmres"`` any; its iterations are
        restarts of 10 steps.
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
        return hierarchy.as_preconditioner(cycle, symmetric=KRYLOV[method])
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
    right = check_vector(b, A.shape[0], A.dtype, "b")
    x = np.zeros_like(right) if x0 is None else check_vector(x0, right.size, right.dtype, "x0")
    N, size = hierarchy.nullspace, norm(right)
    split = range_split(A, N, right)
    M, products = _Watched(_preconditioner(hierarchy, method, plan.cycle)), _Counted(A)
    lost, inside, whole = 0.0, list[float](), list[float]()

    def floor(x: NDArray[Any]) -> float:
        return 100 * rounding_floor(A, x) if sp.issparse(A) else 0.0

    def look(v: NDArray[Any]) -> NDArray[Any]:
        """Take note of the residual v; its part in the range of A."""
        nonlocal lost
        part, lost = split(v)
        inside.append(norm(part))
        whole.append(stop.unit * math.hypot(inside[-1], lost))
        return part

    def note(e: NDArray[Any]) -> None:
        look(right - products.operator @ (x + e))
        if stop.callback is not None:
            stop.callback(len(whole) - 1, whole[-1])
        # the methods' own tests use estimates or the preconditioner's norm
        if inside[-1] <= target or (lost > target and inside[-1] <= floor(x + e)):
            raise _Done(e.copy())

    residual = look(right if x0 is None else right - A @ x)
    check_sizes(right, size, inside[0], zero=x0 is None)
    if stop.callback is not None:
        stop.callback(0, whole[0])
    target, missing = stop.target(size, inside[0]), split(right)[1]
    gmres = method == "gmres"
    extra: dict[str, Any] = {"restart": RESTART, "callback_type": "x"} if gmres else {}
    if inside[0] > target and stop.maxiter:  # SciPy's gmres cannot take no step
        own = max(target / inside[0] * (1.0 if gmres else 1e-4), LEAST)
        try:
            given: Any = products.operator, residual
            limits: dict[str, Any] = {"rtol": own, "maxiter": stop.maxiter, "callback": note}
            e, _ = getattr(sla, method)(*given, M=M.operator, **limits, **extra)
            look(right - products.operator @ (x + e))  # gmres may end within a restart
            if inside[-1] == inside[-2]:
                del inside[-1], whole[-1]
        except _Done as done:
            e = done.args[0]
        except ValueError as error:
            if str(error) not in INDEFINITE:
                raise
            raise ValueError(f"krylov {method}: {NOT_POSITIVE}") from None
        x = x + e
    x = x if N is None else without(N, x)
    reason = Reason.MAXITER if len(whole) > stop.maxiter else Reason.STAGNATED
    wanted, count = stop.unit * target, len(whole) - 1
    step = f"restart of gmres({RESTART})" if gmres else f"step of {method}"
    if inside[-1] <= target:
        reason = Reason.CONVERGED if whole[-1] <= wanted else Reason.INCOMPATIBLE
    elif lost > target and inside[-1] <= floor(x):
        reason = Reason.INCOMPATIBLE
    message = f"residual {whole[-1]:.2e} (wanted {wanted:.2e}) after {counted(count, step)}"
    if reason is Reason.INCOMPATIBLE:
        message += "; A is singular and the rest of it is outside its range"
    said: tuple[str, ...] = getattr(hierarchy, "warnings", ())  # of a matrix and its grid
    if KRYLOV[method] and M.least < NEGATIVE and reason in (Reason.MAXITER, Reason.STAGNATED):
        said = (*said, NOT_POSITIVE)
    message = "; ".join([message, *said])
    work = products.count + M.count * hierarchy.work_units(plan.cycle)
    return Solution(x, tuple(whole), reason, message, said, work, missing, step=step)
