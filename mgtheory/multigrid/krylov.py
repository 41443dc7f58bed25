"""Krylov methods of SciPy with one multigrid cycle as preconditioner."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse.linalg as sla
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_name, check_vector
from mgtheory.multigrid.base import MultigridSolver
from mgtheory.multigrid.solution import Cycle, Reason, Solution
from mgtheory.multigrid.solve import Stop, range_split, without

KRYLOV = ("cg", "minres", "gmres")
RESTART = 10  # steps of gmres between two looks at the true residual


class _Done(Exception):
    """The true residual is small enough."""

    def __init__(self, x: NDArray[Any]) -> None:
        super().__init__()
        self.x = x


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
        For an unknown method, or a cycle that does not fit it.
    """
    check_name(method, KRYLOV, "Krylov method")
    stop = Stop(tol, maxiter, callback, atol)
    if cycle == Cycle.FMG:
        raise ValueError(
            f"cycle FMG with krylov {method}: full multigrid solves by itself; as a preconditioner"
            " V, W and F are allowed"
        )
    right = check_vector(b, A.shape[0], A.dtype, "b")
    x = np.zeros_like(right) if x0 is None else check_vector(x0, right.size, right.dtype, "x0")
    N, size = hierarchy.nullspace, float(np.linalg.norm(right))
    if size == 0.0 and right.any():  # SciPy's methods would call 0 the solution
        largest = float(np.max(np.abs(right)))
        raise ValueError(
            f"b has entries up to {largest:.1e}, too small to be squared; scale the equation"
        )
    split = range_split(A, N, right)
    M = hierarchy.as_preconditioner(cycle, symmetric=method != "gmres")
    inside: list[float] = []
    whole: list[float] = []

    def look(v: NDArray[Any]) -> NDArray[Any]:
        """Take note of the residual v; its part in the range of A."""
        part, outside = split(v)
        inside.append(float(np.linalg.norm(part)))
        whole.append(math.hypot(inside[-1], outside))
        return part

    def note(e: NDArray[Any]) -> None:
        look(right - A @ (x + e))
        if callback is not None:
            callback(len(whole) - 1, whole[-1])
        # the methods' own tests use estimates or the preconditioner's norm
        if inside[-1] <= target:
            raise _Done(e.copy())

    began = time.perf_counter()
    residual = look(right if x0 is None else right - A @ x)
    if callback is not None:
        callback(0, whole[0])
    target, missing = stop.target(size, inside[0]), split(right)[1]
    gmres = method == "gmres"
    extra: dict[str, Any] = {"restart": RESTART, "callback_type": "x"} if gmres else {}
    if inside[0] > target:
        own = target / inside[0] * (1.0 if gmres else 1e-4)
        try:
            e, _ = getattr(sla, method)(
                A, residual, rtol=own, maxiter=maxiter, M=M, callback=note, **extra
            )
            look(right - A @ (x + e))  # gmres may end within a restart
            if inside[-1] == inside[-2]:
                del inside[-1], whole[-1]
        except _Done as done:
            e = done.x
        x = x + e
    x = x if N is None else without(N, x)
    what = f"restarts of gmres({RESTART})" if gmres else f"steps of {method}"
    reason = Reason.MAXITER if len(whole) > maxiter else Reason.STAGNATED
    if inside[-1] <= target:
        reason = Reason.CONVERGED if whole[-1] <= target else Reason.INCOMPATIBLE
    message = f"residual {whole[-1]:.2e} (wanted {target:.2e}) after {len(whole) - 1} {what}"
    if reason is Reason.INCOMPATIBLE:
        message += "; A is singular and the rest of it is outside its range"
    return Solution(
        x,
        tuple(whole),
        reason,
        message,
        incompatibility=missing,
        setup_seconds=hierarchy.setup_seconds,
        solve_seconds=time.perf_counter() - began,
    )
