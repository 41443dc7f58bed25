"""Solving a model problem by name: the backends, and Krylov methods with a cycle as preconditioner."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Callback = Callable[[int, float], None]


@dataclass(frozen=True)
class Setup:
    """A hierarchy that was built, and what to call to solve with it.

    Attributes
    ----------
    hierarchy
        Of the backend; printed as it is with --levels.
    solve
        (b, tol, maxiter, cycle, callback) -> Solution.
    """

    hierarchy: Any
    solve: Callable[..., Any]


def _sparse(problem: Any, smoother: Any, degree: int | None, options: dict[str, Any]) -> Setup:
    from mgtheory.hierarchy import Hierarchy

    hierarchy = Hierarchy.build(problem, smoother=smoother, degree=degree, **options)
    return Setup(hierarchy, hierarchy.solve)


def _stencil(problem: Any, smoother: Any, degree: int | None, options: dict[str, Any]) -> Setup:
    from mgtheory.matrixfree import StencilHierarchy

    hierarchy = StencilHierarchy.build(problem, smoother=smoother, degree=degree, **options)
    return Setup(hierarchy, hierarchy.solve)


# --backend -> how its hierarchy is set up
BACKENDS: dict[str, Callable[..., Setup]] = {"sparse": _sparse, "stencil": _stencil}
KRYLOV = ("cg", "minres", "gmres")


def set_up(backend: str, problem: Any, smoother: Any, degree: int | None, options: dict[str, Any]) -> Setup:
    """The hierarchy of a backend; ValueError for an unknown one or what it does not support."""
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}, known are: {', '.join(BACKENDS)}")
    return BACKENDS[backend](problem, smoother, degree, {name: value for name, value in options.items() if value is not None})


def krylov(setup: Setup, problem: Any, *, method: str, tol: float, maxiter: int, cycle: str, callback: Callback) -> Any:
    """A Krylov method of SciPy with one cycle as preconditioner, as a `Solution` with the true residual norms.

    Parameters
    ----------
    method
        cg and minres take a symmetric cycle, gmres (restarted after 30 steps) any.
    """
    import numpy as np
    import scipy.sparse.linalg as sla

    from mgtheory.solution import Reason, Solution

    if method not in KRYLOV:
        raise ValueError(f"unknown Krylov method {method!r}, known are: {', '.join(KRYLOV)}")
    preconditioner = setup.hierarchy.as_preconditioner(cycle, symmetric=method != "gmres")
    A, b = problem.A, problem.b
    norms = [float(np.linalg.norm(b))]
    callback(0, norms[0])

    def note(x: Any) -> None:
        norms.append(float(np.linalg.norm(b - A @ x)))
        callback(len(norms) - 1, norms[-1])

    extra: dict[str, Any] = {"restart": 30, "callback_type": "x"} if method == "gmres" else {}
    # gmres calls back once a restart, and counts these
    steps = -(-maxiter // 30) if method == "gmres" else maxiter
    start = time.perf_counter()
    x, _ = getattr(sla, method)(A, b, rtol=tol, maxiter=steps, M=preconditioner, callback=note, **extra)
    seconds = time.perf_counter() - start
    last = float(np.linalg.norm(b - A @ x))
    converged = last <= tol * norms[0]
    message = f"residual {last:.2e} (wanted {tol * norms[0]:.2e}) after {len(norms) - 1} steps of {method}"
    reason = Reason.CONVERGED if converged else Reason.MAXITER
    return Solution(x, tuple(norms), reason, message, setup_seconds=setup.hierarchy.setup_seconds, solve_seconds=seconds)
