"""Hierarchy of grids: built once from a Problem, or a matrix with its grid's shape, then solved
with many times.

    hierarchy = Hierarchy.build(poisson((1023, 1023)))
    solution = hierarchy.solve(problem.b)

* **Coarsening.** Every axis is halved (any size, see `mgtheory.multigrid.transfer`), except weakly
  coupled ones: an axis is coarsened where its coupling a_j/h_j^2 is at least half of the strongest,
  so that point smoothing works on anisotropic problems and on shapes that differ per axis.
* **Coarse operators.** ``"rediscretise"``: the same scheme on the coarser grid, the default for
  constant coefficients. ``"galerkin"``: R A P, the default for variable coefficients and for a bare
  matrix. Constant stencils, recognised in a bare matrix too, keep a tensor form and cost next to
  nothing.
* **Interpolation.** Linear for constant stencils. Where coefficients vary and the grids are nested
  it follows the entries of A (`mgtheory.multigrid.blackbox`): V(1,1) then has the factor 0.13 on
  ``jump2d``, with linear interpolation 0.42.
* **Smoother.** By default Chebyshev of the first kind on the level's high frequencies, once before
  and once after, of degree 2 on the finest level and of one more on each coarser one, up to 6: see
  `mgtheory.smoothers.DEFAULT` for the reasons.
* **Singular operators** (Neumann, periodic). The nullspace is the problem's, or the constants where
  A 1 = 0; see `Hierarchy.solve`.
* **Coarsest level.** Solved directly; a singular one by its pseudo-inverse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator

from mgtheory._checks import check_callable, check_vector, check_whole
from mgtheory.multigrid import setup
from mgtheory.multigrid.applied import Choice, Counts, count
from mgtheory.multigrid.coarse import DirectSolver
from mgtheory.multigrid.cycle import cycle_products, visits
from mgtheory.multigrid.level import Level
from mgtheory.multigrid.setup import Transfers
from mgtheory.multigrid.solution import Cycle, Solution, check_cycle
from mgtheory.multigrid.solve import Stop, in_cycle_type, solve_levels, without
from mgtheory.problems.grids import Shape
from mgtheory.problems.problem import Problem
from mgtheory.problems.tensorform import recognise


class Hierarchy:
    """Levels from fine to coarse, with their transfers, smoothings and the solver of the coarsest;
    made by `Hierarchy.build`.

    Attributes
    ----------
    levels
        `Level` objects, the finest first.
    nullspace
        Orthonormal basis of A's nullspace, shape (n, m), or None.
    setup_seconds
        Wall-clock time of `build`, after a problem's own A is assembled.

    Examples
    --------
    >>> from mgtheory import poisson
    >>> problem = poisson((31, 31))
    >>> hierarchy = Hierarchy.build(problem, smoother="chebyshev", degree=2)
    >>> [level.shape for level in hierarchy.levels]
    [(31, 31), (15, 15), (7, 7)]
    >>> hierarchy.solve(problem.b, tol=1e-6).converged
    True
    """

    def __init__(
        self,
        levels: Sequence[Level],
        *,
        nullspace: NDArray[Any] | None = None,
        coarsening: str = "galerkin",
        setup_seconds: float = 0.0,
    ) -> None:
        self.levels, self.nullspace = list(levels), nullspace
        self.coarsening, self.setup_seconds = coarsening, setup_seconds

    @classmethod
    def build(
        cls,
        problem: Problem | Any,
        *,
        shape: int | Sequence[int] | None = None,
        boundary: str | None = None,
        smoother: Any = None,
        degree: Counts | None = None,
        post_smoother: Any = None,
        pre: Counts = 1,
        post: Counts = 1,
        coarsening: str | None = None,
        axes: Sequence[int] | str = "auto",
        interpolation: str | None = None,
        restriction: str = "full",
        transfers: Callable[[Level], tuple[Any, Any, Shape] | None] | None = None,
        coarse_solver: Callable[[Any], Callable[[NDArray[Any]], NDArray[Any]]] | None = None,
        nullspace: NDArray[Any] | str | None = "auto",
        max_levels: int = 64,
        coarsest: int = 64,
        dtype: Any = None,
    ) -> Self:
        """Set up a hierarchy.

        Parameters
        ----------
        problem
            A `Problem`, or a sparse array or matrix A of a grid operator, with `shape` and
            `boundary`.
        shape, boundary
            Unknowns per axis (C order) and boundary of a bare matrix, ``"dirichlet"`` by default.
        smoother, degree
            A family's name with its degree, a name of `mgtheory.smoothers.SMOOTHERS`, a
            `ResidualPolynomial` (for BA on the finest level; its roots are scaled on the others),
            an object with ``setup(level)``, or a callable of a `Level` that returns any of these or
            a `Smoothing`. The degree is a number, one per level (the last goes on), or a callable
            of the level's index. By default ``"chebyshev"`` with the degrees 2, 3, 4, 5, 6, 6 ...;
            a family given by its name alone has degree 2 on every level.
        post_smoother
            Another one after the coarse-grid correction; the same by default.
        pre, post
            Smoothings per level before and after: a number, one per level (the last goes on), or a
            callable of the level's index. 0 is allowed.
        coarsening
            ``"rediscretise"`` or ``"galerkin"``; by default the first where the problem has
            constant coefficients.
        axes
            ``"auto"`` (strongly coupled ones), ``"all"``, or the axes that are coarsened.
        interpolation, restriction
            ``"linear"`` (``"cubic"``, ``"quintic"``) or ``"black-box"``, the default where
            coefficients vary and it is possible; ``"full"`` (the transpose times h/H per axis),
            ``"half"`` or ``"injection"``.
        transfers
            Own ones: a callable of a `Level` that returns P, R and the coarse shape (the fine one:
            this is the coarsest level), or None for the default on this level.
        coarse_solver
            Own solver of the coarsest level: a callable of its A that returns a callable of a
            right-hand side.
        nullspace
            Basis of A's nullspace, shape (n, m); None for regular; ``"auto"``: the problem's, or
            the constants where A 1 = 0.
        max_levels, coarsest
            Coarsening ends at this many levels, or when at most this many unknowns are left.
        dtype
            Type in which the cycle computes; A's own by default. float32 is about twice as fast,
            and the residuals stay in A's type; it converges like float64 as long as cond(A) is
            below about 1e6 (1023 unknowns per axis in 2D). ``"auto"`` takes it where a problem is
            known to be so.

        Raises
        ------
        ValueError
            For an unknown name, a matrix that is not square, floating and of the given shape, or an
            option that does not fit.
        """
        A, grid, kind = setup.matrix_and_grid(problem, shape, boundary)
        start = time.perf_counter()
        most, few = check_whole(max_levels, "max_levels", 1), check_whole(coarsest, "coarsest", 1)
        check_callable(coarse_solver, "coarse_solver")
        known = problem if isinstance(problem, Problem) else None
        work = setup.check_work(A.dtype, dtype, known)
        basis = setup.find_nullspace(A, known, nullspace)
        tensor = recognise(A, grid, kind) if known is None else known.equation.form(grid)
        rule = setup.make_coarsening(
            coarsening,
            problem,
            Transfers(kind, axes, interpolation, restriction, transfers, few, known),
        )
        finest = setup.make_level(A, grid, work, tensor=tensor, problem=known)
        levels = setup.coarsened(finest, rule, most)
        levels[-1].solver = _coarse_solver(coarse_solver, levels, basis)
        made = cls(levels, nullspace=basis, coarsening=rule.name)
        smoothed = made.with_smoothers(smoother, post_smoother, degree=degree, pre=pre, post=post)
        smoothed.setup_seconds = time.perf_counter() - start
        return smoothed

    def with_smoothers(
        self,
        smoother: Any = None,
        post_smoother: Any = None,
        *,
        degree: Counts | None = None,
        pre: Counts = 1,
        post: Counts = 1,
    ) -> Self:
        """The hierarchy with other smoothers, matrices and transfers shared with this one.

        Parameters are those of `build`.
        """
        before = Choice.of(smoother, degree)
        after = before if post_smoother is None else Choice.of(post_smoother, None)
        levels = [replace(level) for level in self.levels]
        for level in levels[:-1]:
            counts = count(pre, level.index, "pre"), count(post, level.index, "post")
            level.smooth_with(before, after, counts, same=after is before)
        return type(self)(
            levels,
            nullspace=self.nullspace,
            coarsening=self.coarsening,
            setup_seconds=self.setup_seconds,
        )

    def solve(
        self,
        b: ArrayLike,
        x0: ArrayLike | None = None,
        *,
        tol: float = 1e-8,
        maxiter: int = 100,
        cycle: str = "V",
        loads: Callable[[Shape], ArrayLike] | None = None,
        callback: Callable[[int, float], None] | None = None,
    ) -> Solution:
        """Cycles until ||b - A x||_2 <= tol ||b||_2.

        Parameters
        ----------
        b, x0
            Right-hand side and start (0 by default), shape (n,); neither is changed.
        tol, maxiter
            Relative tolerance on the true residual's 2-norm, and the most cycles allowed.
        cycle
            ``"V"``, ``"W"``, ``"F"``, or ``"FMG"``: a full multigrid pass as the first cycle, then
            V-cycles (with x0, passes on its residual).
        loads
            For a full multigrid pass: right-hand sides on the coarser shapes, such as
            ``problem.equation.load``; restricted ones by default.
        callback
            Called with the number of cycles done (0 first) and the true residual norm ||b - A
            x||_2.

        Notes
        -----
        Where A is singular, cycles run on b without its component outside the range (its norm is
        `Solution.incompatibility`), x is orthogonal to the nullspace, and the residual norms are
        still those of the given b. (If A is not Hermitian and its range is not the complement of
        the nullspace, b is left as it is, and an incompatible one stagnates.) Non-convergence is no
        error; see `Reason`.

        Raises
        ------
        ValueError
            For a right-hand side or start of another shape or with infinite entries, or an option
            out of range.
        """
        stop, kind = Stop(tol, maxiter, callback), check_cycle(cycle)
        return self._solve(b, x0, stop, cycle=kind, loads=loads)

    def _solve(self, b: ArrayLike, x0: ArrayLike | None, stop: Stop, **how: Any) -> Solution:
        known: dict[str, Any] = {"nullspace": self.nullspace, "warnings": self.warnings}
        return replace(
            solve_levels(self.levels, b, x0, stop, **known, **how),
            setup_seconds=self.setup_seconds,
        )

    def full_multigrid(
        self,
        b: ArrayLike,
        *,
        cycles: int = 2,
        cycle: str = "V",
        loads: Callable[[Shape], ArrayLike] | None = None,
    ) -> Solution:
        """One full multigrid pass: from the coarsest level upwards, interpolation of the solution
        and `cycles` cycles per level.

        Coarse right-hand sides are restricted ones by default. For smooth b and zero Dirichlet
        values the error is then at most 1.02 times the direct solution's, of order 2 with one cycle
        per level already. Other boundary values, and compact schemes with Neumann boundaries, need
        `loads` (``problem.equation.load``): at most 1.1 times, with three cycles for the compact
        schemes. The result's reason is ``maxiter`` unless the pass reaches 1e-8.
        """
        kind = check_cycle(cycle, without=(Cycle.FMG,))
        how = {"cycle": Cycle.FMG, "inner": kind, "cycles": cycles, "loads": loads}
        return self._solve(b, None, Stop(maxiter=1), **how)

    def apply(self, r: NDArray[Any], cycle: str = "V") -> NDArray[Any]:
        """The correction of one cycle for the residual r, shape (n,): a linear map, zero start."""
        kind, finest = check_cycle(cycle, without=(Cycle.FMG,)), self.levels[0]
        return in_cycle_type(self.levels, kind)(
            check_vector(r, finest.size, finest.A.dtype, "r", finite=False)
        )

    def as_preconditioner(self, cycle: str = "V", *, symmetric: bool = True) -> LinearOperator:
        """One cycle as a LinearOperator M for SciPy's Krylov methods.

        Parameters
        ----------
        symmetric
            For cg and minres: post-smoothing is replaced by the adjoint of pre-smoothing, so that M
            is symmetric, and this is checked. False for gmres: the hierarchy's own cycle.

        Raises
        ------
        ValueError
            If M is not symmetric: an F-cycle, a restriction that is no multiple of P^T, a
            nonsymmetric A, or a user's object.
        """
        kind = check_cycle(cycle, without=(Cycle.FMG,))
        chosen = self._symmetrised(kind) if symmetric else self
        A, N = self.levels[0].A, self.nullspace

        def matvec(r: NDArray[Any]) -> NDArray[Any]:
            r = np.asarray(r).reshape(-1)
            if N is None:
                return chosen.apply(r, kind)
            return without(N, chosen.apply(without(N, r), kind))

        if symmetric:
            setup.check_symmetry(
                matvec,
                A.shape[0],
                np.iscomplexobj(A.data),
                1e4 * np.finfo(self.levels[0].operator.dtype).eps,
            )
        return LinearOperator(A.shape, matvec=matvec, dtype=A.dtype)

    def _symmetrised(self, cycle: Cycle) -> Hierarchy:
        if cycle is Cycle.F:
            raise ValueError(
                "an F-cycle is not symmetric, allowed are V and W; for gmres pass symmetric=False"
            )
        levels = []
        for level in self.levels[:-1]:
            if level.pre_count != level.post_count or level.pre is None:
                counts = f"{level.pre_count} before and {level.post_count} after"
                raise ValueError(
                    f"level {level.index}: {counts}, a symmetric cycle needs equally many, at least"
                    " 1; for gmres pass symmetric=False"
                )
            twin = replace(level, post=level.pre.adjoint())
            levels.append(twin)
        return Hierarchy([*levels, self.levels[-1]], nullspace=self.nullspace)

    @property
    def coarse_solver(self) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """r -> A^-1 r on the coarsest level."""
        return self.levels[-1].solve if self.levels[-1].solver is None else self.levels[-1].solver

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence per level on which the polynomial amplifies high frequencies (its lmax or
        interval is too small) or does nothing (far too large), or whose family does not fit a
        nonsymmetric A."""
        found = (
            getattr(smoothing, "warning", "")
            for level in self.levels
            for smoothing in (level.pre, level.post)
        )
        return tuple(dict.fromkeys(text for text in found if text))

    @property
    def operator_complexity(self) -> float:
        """Non-zeros of A on all levels over those on the finest."""
        return sum(level.A.nnz for level in self.levels) / self.levels[0].A.nnz

    @property
    def grid_complexity(self) -> float:
        """Unknowns on all levels over those on the finest."""
        return sum(level.size for level in self.levels) / self.levels[0].size

    def cycle_complexity(self, cycle: str = "V") -> float:
        """Non-zeros visited by the smoothings (each counted once) and the coarsest solve in one
        cycle, over those of the finest A."""
        times = visits(len(self.levels), check_cycle(cycle))
        sweeps = [*(level.pre_count + level.post_count for level in self.levels[:-1]), 1]
        total = sum(
            t * s * level.A.nnz for t, s, level in zip(times, sweeps, self.levels, strict=True)
        )
        return total / self.levels[0].A.nnz

    def work_units(self, cycle: str = "V") -> float:
        """Products with A in one cycle on all levels, in units of one on the finest; the residual
        of the stopping test not included."""
        return cycle_products(self.levels, check_cycle(cycle))

    def __str__(self) -> str:
        lines = [
            f"Hierarchy: {len(self.levels)} levels, {self.coarsening}, cycle in"
            f" {self.levels[0].operator.dtype}"
            + (", singular (constants)" if self.nullspace is not None else ""),
            (
                f"operator complexity {self.operator_complexity:.3f}, grid complexity"
                f" {self.grid_complexity:.3f}"
            ),
        ]
        for c in ("V", "W", "F"):
            lines.append(
                f"{c}-cycle: complexity {self.cycle_complexity(c):.3f}, {self.work_units(c):.2f}"
                " work units"
            )
        lines.append(
            f"{'level':>5} {'grid':>14} {'unknowns':>10} {'non-zeros':>11} {'storage':>7} "
            " smoothing (pre + post)"
        )
        for level in self.levels:
            if level.index + 1 < len(self.levels):
                labels = dict.fromkeys(s.label for s in (level.pre, level.post) if s is not None)
                how = f"{level.pre_count} + {level.post_count} {' / '.join(labels)}"
            else:
                how = f"solved by {type(self.coarse_solver).__name__}"
            grid = "x".join(map(str, level.shape))
            lines.append(
                f"{level.index:>5} {grid:>14} {level.size:>10} {level.A.nnz:>11}"
                f" {level.operator.format:>7}  {how}"
            )
        return "\n".join(lines)

    __repr__ = __str__


def _coarse_solver(
    own: Callable[[Any], Any] | None, levels: Sequence[Level], nullspace: NDArray[Any] | None
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The solver of the coarsest level: the user's, or a direct one."""
    matrix = levels[-1].cycle_matrix
    if own is None:
        return DirectSolver(matrix, setup.coarse_nullspace(nullspace, levels))
    solve: Callable[[NDArray[Any]], NDArray[Any]] = own(matrix)
    if not callable(solve):
        raise ValueError(f"coarse_solver gave {solve!r}, must give a callable of a right-hand side")
    return solve
