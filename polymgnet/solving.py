"""Solving a model problem by name: the backends, and Krylov methods with a cycle as
preconditioner."""

import math
import os
import time
from collections.abc import Callable
from typing import Any

Callback = Callable[[int, float], None]


def _sparse(problem: Any, **options: Any) -> Any:
    from mgtheory.multigrid.hierarchy import Hierarchy

    return Hierarchy.build(problem, **options)


def _stencil(problem: Any, **options: Any) -> Any:
    from mgtheory.matrixfree import StencilHierarchy

    return StencilHierarchy.build(problem, **options)


def _torch(problem: Any, **options: Any) -> Any:
    from nets.pde.solve import TorchHierarchy

    return TorchHierarchy(problem, **options)


# --backend -> how its hierarchy is set up
BACKENDS: dict[str, Callable[..., Any]] = {"sparse": _sparse, "stencil": _stencil, "torch": _torch}
# unknowns on the coarsest grid by default, as each of them has it
COARSEST = {"sparse": 64, "stencil": 4096, "torch": 64}
# for an unknown, measured on the leanest problems: below it nothing is solved
LEAST_BYTES = {"sparse": 250, "stencil": 32, "torch": 250}
KRYLOV = ("cg", "minres", "gmres")
RESTART = 10  # steps of gmres between two looks at the true residual


def build(backend: str, cycle: str, problem: Any, **options: Any) -> Any:
    """The hierarchy of a backend; ValueError for an unknown one or what it does not support."""
    from mgtheory._checks import check_name

    given = {name: value for name, value in options.items() if value is not None}
    if given.get("pre") == given.get("post") == 0:
        raise ValueError(
            "pre and post are 0: a cycle without smoothing does not converge; one of them must be"
            " larger"
        )
    # the module is made for one kind of cycle
    kind = {"cycle": cycle} if backend == "torch" else {}
    return BACKENDS[check_name(backend, tuple(BACKENDS), "backend")](problem, **kind, **given)


def check_limits(tol: float, maxiter: int) -> None:
    """Refuse limits without a sense; x = 0 already satisfies a tolerance of 1."""
    from mgtheory._checks import check_number, check_whole

    if check_number(tol, "tol") >= 1:
        raise ValueError(
            f"tol is {tol:g}, must be smaller than 1: the start x = 0 has ||b - A x|| = ||b||"
        )
    check_whole(maxiter, "maxiter", 0)


def check_size(problem: Any, backend: str) -> None:
    """ValueError where the machine's memory is less than the backend needs for the unknowns."""
    from mgtheory._checks import check_name

    least = LEAST_BYTES[check_name(backend, tuple(BACKENDS), "backend")]
    there = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if hasattr(os, "sysconf")
        else math.inf
    )
    if problem.unknowns * least > there:
        most = math.floor((there / least) ** (1 / problem.dim))
        need, have = problem.unknowns * least / 2**30, there / 2**30
        lean = "" if backend == "stencil" else ", with --backend stencil more"
        raise ValueError(
            f"{problem.name} has {problem.unknowns:,} unknowns, which take {need:,.0f} GiB or more"
            f" with backend {backend}; this machine has {have:,.0f}: at most --n {most:,}{lean}"
        )


def iterate(
    hierarchy: Any, problem: Any, *, tol: float, maxiter: int, cycle: str, callback: Callback
) -> Any:
    """Cycles from 0; full multigrid starts from the scheme's own right-hand side on every level."""
    loads = {"loads": problem.equation.load} if cycle == "FMG" else {}
    return hierarchy.solve(
        problem.b, tol=tol, maxiter=maxiter, cycle=cycle, callback=callback, **loads
    )


class _Done(Exception):
    """The true residual is small enough."""

    def __init__(self, x: Any) -> None:
        super().__init__()
        self.x = x


def krylov(
    hierarchy: Any,
    problem: Any,
    *,
    method: str,
    tol: float,
    maxiter: int,
    cycle: str,
    callback: Callback,
) -> Any:
    """A Krylov method of SciPy with one cycle as preconditioner, as a `Solution` with the true
    residual norms.

    Parameters
    ----------
    method
        cg and minres take a symmetric cycle, gmres any; its iterations are restarts of `RESTART`
        steps.
    """
    import numpy as np
    import scipy.sparse.linalg as sla

    from mgtheory._checks import check_name
    from mgtheory.multigrid.solution import Reason, Solution

    check_name(method, KRYLOV, "Krylov method")
    check_limits(tol, maxiter)
    if cycle == "FMG":
        raise ValueError(
            f"cycle FMG with krylov {method}: full multigrid solves by itself; as a preconditioner"
            " V, W and F are allowed"
        )
    preconditioner = hierarchy.as_preconditioner(cycle, symmetric=method != "gmres")
    A, b = problem.A, problem.b
    norms = [float(np.linalg.norm(b))]
    callback(0, norms[0])

    def note(x: Any) -> None:
        norms.append(float(np.linalg.norm(b - A @ x)))
        callback(len(norms) - 1, norms[-1])
        # the methods' own tests use estimates or the preconditioner's norm
        if norms[-1] <= tol * norms[0]:
            raise _Done(x.copy())

    extra: dict[str, Any] = {"restart": RESTART, "callback_type": "x"} if method == "gmres" else {}
    start = time.perf_counter()
    try:
        x, _ = getattr(sla, method)(
            A,
            b,
            rtol=tol * (1.0 if method == "gmres" else 1e-4),
            maxiter=maxiter,
            M=preconditioner,
            callback=note,
            **extra,
        )
    except _Done as done:
        x = done.x
    seconds = time.perf_counter() - start
    last = float(np.linalg.norm(b - A @ x))
    if method == "gmres" and last != norms[-1]:
        norms.append(last)
    converged = last <= tol * norms[0] * (1 + 1e-12)
    what = f"restarts of gmres({RESTART})" if method == "gmres" else f"steps of {method}"
    message = f"residual {last:.2e} (wanted {tol * norms[0]:.2e}) after {len(norms) - 1} {what}"
    reason = Reason.CONVERGED if converged else Reason.MAXITER
    times = {"setup_seconds": hierarchy.setup_seconds, "solve_seconds": seconds}
    return Solution(x, tuple(norms), reason, message, **times)
