"""`MultigridSolver`: what every hierarchy can do once it is built, whatever its levels are made
of."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator

from mgtheory._checks import own_errors
from mgtheory.multigrid.fitted import solve_fitted
from mgtheory.multigrid.loop import Loads, Plan, Stop
from mgtheory.multigrid.nullspace import without
from mgtheory.multigrid.options import Counts, Options
from mgtheory.multigrid.solution import Cycle, Solution, check_cycle
from mgtheory.spectra.symmetry import ANY_M


class MultigridSolver(ABC):
    """Solving by cycles and by full multigrid. A kind of hierarchy adds `_solve`, one loop over its
    own levels, `as_preconditioner`, `work_units` and `solves`.

    Attributes
    ----------
    setup_seconds
        Wall-clock time of the set-up.
    nullspace
        Orthonormal basis of A's nullspace, shape (n, m), or None; a sparse array where it is that
        of a graph in several parts.
    rows
        D, shape (n,), where A = D S with a Hermitian S and the cycles are those of S; else None.
    """

    PASS_CYCLES: ClassVar[int] = 2
    setup_seconds: float = 0.0
    nullspace: Any = None
    rows: NDArray[Any] | None = None

    def solve(
        self,
        b: ArrayLike,
        x0: ArrayLike | None = None,
        *,
        tol: float = 1e-8,
        atol: float = 0.0,
        maxiter: int = 100,
        cycle: str = "V",
        loads: Loads | None = None,
        callback: Callable[[int, float], None] | None = None,
    ) -> Solution:
        """Cycles until ||b - A x||_2 <= max(tol ||b||_2, atol).

        Parameters
        ----------
        b, x0
            Right-hand side and start (0 by default), shape (n,); neither is changed. Where there is
            no matrix, they may have the shape of the grid, and x has that of b. A start whose
            residual is more than 1/eps times ||b|| has no digit in common with x: a warning says
            that 0 took its place.
        tol, atol
            Relative and absolute tolerance on the true residual's 2-norm, as SciPy's ``rtol`` and
            ``atol``; for b = 0, tol is relative to the residual of x0.
        maxiter
            The most cycles allowed.
        cycle
            ``"V"``, ``"W"``, ``"F"``, or ``"FMG"``: a full multigrid pass as the first cycle, then
            V-cycles (with x0, a pass on its residual, for which there must be a matrix).
        loads
            For a full multigrid pass: a callable of a coarser shape that gives its right-hand side,
            such as ``problem.equation.load``; restricted ones by default, which serve smooth b with
            zero boundary values.
        callback
            Called with the number of cycles done (0 first) and the true residual norm ||b - A
            x||_2.

        Notes
        -----
        Where A is singular, cycles run on b without its component outside the range (its norm is
        `Solution.incompatibility`), x is orthogonal to the nullspace, and the residual norms are
        still those of the given b. (If A is not Hermitian, nor is it with its rows scaled, and its
        range is not the complement of the nullspace, b is left as it is, and an incompatible one
        stagnates.) Non-convergence is no error; see `Reason`.

        Raises
        ------
        ValueError
            For a right-hand side or start of another shape or with infinite entries, or an option
            out of range.
        """
        plan = Plan(check_cycle(cycle), loads=loads)
        return self.fitted(self._solve, b, x0, Stop(tol, maxiter, callback, atol), plan)

    def full_multigrid(
        self,
        b: ArrayLike,
        *,
        cycles: int | None = None,
        cycle: str = "V",
        loads: Loads | None = None,
    ) -> Solution:
        """One full multigrid pass: from the coarsest level upwards, interpolation of the solution
        and `cycles` cycles per level: by default two with matrices, and one with stencils, where
        the first correction is interpolated like the solution.

        Coarse right-hand sides are restricted ones by default. For smooth b and zero Dirichlet
        values the error is then at most 1.02 times the direct solution's, of order 2 with one cycle
        per level already, of compact schemes with stencils with three. Other boundary values, and
        compact schemes with Neumann boundaries, need `loads` (``problem.equation.load``): at most
        1.1 times, with three cycles for the compact schemes, from 16 unknowns per axis on, and with
        one cycle more below. The result's reason is ``maxiter`` unless the pass reaches 1e-8.
        """
        kind = check_cycle(cycle, without=(Cycle.FMG,))
        plan = Plan(Cycle.FMG, kind, self.PASS_CYCLES if cycles is None else cycles, loads)
        return self.fitted(self._solve, b, None, Stop(maxiter=1), plan)

    def fitted(
        self,
        run: Callable[[Any, Any, Stop, Plan], Solution],
        b: ArrayLike,
        x0: ArrayLike | None,
        stop: Stop,
        plan: Plan,
    ) -> Solution:
        """`solve_fitted`, with the seconds that it and the set-up took."""
        began = time.perf_counter()
        found = solve_fitted(run, b, x0, stop, plan)
        if found.converged and (said := self._hidden(np.asarray(b), found.x, stop.tol)):
            message = f"{found.message}; {said}"
            found = replace(found, message=message, warnings=(*found.warnings, said))
        seconds = time.perf_counter() - began
        return replace(found, setup_seconds=self.setup_seconds, solve_seconds=seconds)

    def _hidden(self, b: NDArray[Any], x: NDArray[Any], tol: float) -> str:
        """A sentence where ||b - A x|| <= tol ||b|| says little of x; else empty."""
        return ""

    @abstractmethod
    def _solve(self, b: ArrayLike, x0: ArrayLike | None, stop: Stop, plan: Plan) -> Solution:
        """The loop over the levels; raises `Unfit` as `check_sizes` does."""

    @abstractmethod
    def as_preconditioner(self, cycle: str = "V", *, symmetric: bool = True) -> LinearOperator:
        """One cycle as a LinearOperator M for SciPy's Krylov methods."""

    def of_symmetric_form(self, cycle: str = "V") -> LinearOperator:
        """What cg and minres take: one cycle for A, or for S where A = D S has `rows`."""
        return self.as_preconditioner(cycle)

    @abstractmethod
    def work_units(self, cycle: str = "V") -> float:
        """Products with A in one cycle on all levels, in units of one on the finest."""

    @abstractmethod
    def solves(self, given: Any) -> bool:
        """Whether the A of a problem, or a sparse matrix, is the finest one here up to rounding."""


class GridHierarchy(MultigridSolver):
    """A hierarchy of grids whose smoothers can be exchanged. A kind of it adds `levels` (each with
    its `size`, and `counts`, the smoothings before and after), `apply`, `_smoothed` and
    `_symmetrised`."""

    levels: list[Any]

    @own_errors
    def with_smoothers(
        self,
        smoother: Any = None,
        post_smoother: Any = None,
        *,
        degree: Counts | None = None,
        pre: Counts = 1,
        post: Counts = 1,
    ) -> Self:
        """The hierarchy with other smoothers; operators and transfers are shared with this one.

        Parameters are those of `build`, with its defaults: pre = post = 1, whatever this one has.
        """
        return self._smoothed(
            Options(
                smoother=smoother, post_smoother=post_smoother, degree=degree, pre=pre, post=post
            )
        )

    @abstractmethod
    def _smoothed(self, options: Options) -> Self:
        """A copy with the smoothers of the options."""

    @abstractmethod
    def _symmetrised(self) -> Self:
        """A hierarchy with a symmetric cycle, where the smoothings before and after are equally
        many; a ValueError where there is none."""

    @abstractmethod
    def apply(self, r: Any, cycle: str = "V") -> NDArray[Any]:
        """The correction of one cycle for the residual r: a linear map, zero start."""

    def as_preconditioner(self, cycle: str = "V", *, symmetric: bool = True) -> LinearOperator:
        """One cycle as a LinearOperator M for SciPy's Krylov methods; if `symmetric`, for cg and
        minres, a ValueError where it is not."""
        return self._preconditioner(cycle, symmetric=symmetric)

    def _preconditioner(
        self, cycle: str, *, symmetric: bool, rows: NDArray[Any] | None = None
    ) -> LinearOperator:
        """M, or M D where D is given as `rows`."""
        kind, chosen, N = check_cycle(cycle, without=(Cycle.FMG,)), self, self.nullspace
        if symmetric:
            if kind is Cycle.F:
                raise ValueError(f"an F-cycle is not symmetric, allowed are V and W; {ANY_M}")
            for index, level in enumerate(self.levels[:-1]):
                before, after = level.counts
                if before != after or before == 0:
                    raise ValueError(
                        f"level {index}: smoothings {before} before and {after} after, a symmetric"
                        f" cycle needs equally many, at least 1; {ANY_M}"
                    )
            chosen = self._symmetrised()

        def matvec(r: NDArray[Any]) -> NDArray[Any]:
            r = np.asarray(r).reshape(-1)
            r = r if N is None else without(N, r)
            e = chosen.apply(r if rows is None else rows * r, kind)
            return e if N is None else without(N, e)

        n = self.levels[0].size
        return LinearOperator((n, n), matvec=matvec, dtype=self.dtype)

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """The type of A."""

    @property
    def grid_complexity(self) -> float:
        """Unknowns on all levels over those on the finest."""
        return float(sum(level.size for level in self.levels) / self.levels[0].size)

    def __repr__(self) -> str:
        return str(self)
