"""Solving a problem in one call, by the defaults that every door shares.

The smoother is `mgtheory.smoothers.DEFAULT` for every hierarchy, V(1,1), and so are coarsening,
axes and transfers. What a call that solves once takes beside it is `FASTEST`: a hierarchy that is
built by itself is an iteration x -> x in A's own type, as one studies it; from x = 0 full multigrid
is the faster start, and the cycle in float32 the faster cycle where it is known to converge alike.
Coarse corrections are shifted where that is shown to help (`mgtheory.matrixfree.shift`), but not
under a Krylov method, for which eigenvalues near each other matter, not near 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike

from mgtheory._checks import check_name
from mgtheory.matrixfree import StencilHierarchy
from mgtheory.multigrid.base import MultigridSolver
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.krylov import krylov as krylov_solve
from mgtheory.multigrid.solution import Cycle, Solution
from mgtheory.problems.problem import Problem

# On 1023 x 1023 unknowns full multigrid takes 0.55 of the time of V-cycles from 0, and the float32
# cycle 0.6 of the rest.
FASTEST = {"dtype": "auto", "cycle": "FMG", "shift": "auto"}
BACKENDS: dict[str, type[Hierarchy] | type[StencilHierarchy]] = {
    "sparse": Hierarchy,
    "stencil": StencilHierarchy,
}


def solve(
    problem: Problem | Any,
    hierarchy: MultigridSolver | None = None,
    *,
    b: ArrayLike | None = None,
    x0: ArrayLike | None = None,
    backend: str | None = None,
    tol: float = 1e-8,
    atol: float = 0.0,
    maxiter: int = 100,
    cycle: str | None = None,
    krylov: str | None = None,
    callback: Callable[[int, float], None] | None = None,
    **options: Any,
) -> Solution:
    """A x = b of a problem: full multigrid and then V-cycles, or a Krylov method.

    Parameters
    ----------
    problem
        A `Problem`, or a sparse matrix A with `b`, and `shape` among the options.
    hierarchy
        Already built for the problem, under a Krylov method also for one that is near it; by
        default it is made with `backend` and `options`, which are refused beside one.
    b, x0
        Right-hand side and start, shape (n,); by default the problem's, and 0.
    backend
        ``"sparse"`` matrices, the default, or compiled ``"stencil"`` sweeps, which need numba.
    tol, atol, maxiter, callback
        See `Hierarchy.solve`.
    cycle
        ``"FMG"`` by default, ``"V"`` with an x0 and as a preconditioner. A full multigrid pass
        takes the scheme's own right-hand side on every level.
    krylov
        ``"cg"``, ``"minres"`` or ``"gmres"``, preconditioned by one cycle.
    options
        See `mgtheory.multigrid.options.Options`.

    Examples
    --------
    >>> from mgtheory import poisson
    >>> solve(poisson((63, 63))).converged
    True
    """
    if hierarchy is None:
        kind = BACKENDS[check_name(backend or "sparse", tuple(BACKENDS), "backend")]
        shift = FASTEST["shift"] if krylov is None else False
        hierarchy = kind.build(problem, **{"dtype": FASTEST["dtype"], "shift": shift, **options})
    elif backend is not None or options:
        beside = ", ".join([*(["backend"] if backend is not None else []), *options])
        raise ValueError(
            f"{beside} beside a hierarchy, which is built already: give them to its build, or leave"
            " out the hierarchy"
        )
    limits: dict[str, Any] = {"tol": tol, "atol": atol, "maxiter": maxiter, "callback": callback}
    if b is None and not isinstance(problem, Problem):
        raise ValueError("a bare matrix needs its right-hand side b")
    right = problem.b if b is None else b
    if krylov is not None:
        of = hierarchy, getattr(problem, "A", problem), right, x0
        return krylov_solve(*of, method=krylov, cycle=cycle or Cycle.V, **limits)
    if not hierarchy.solves(problem):
        raise ValueError(
            "the hierarchy was built for another matrix, which its cycles solve; build one for this"
            " matrix, or take a Krylov method, which it preconditions: krylov='cg'"
        )
    cycle = cycle or (FASTEST["cycle"] if x0 is None else Cycle.V)
    loads = problem.equation.load if cycle == Cycle.FMG and b is None else None
    return hierarchy.solve(right, x0, cycle=cycle, loads=loads, **limits)
