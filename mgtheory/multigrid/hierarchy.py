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
* **Interpolation.** Linear for constant stencils. Where coefficients vary it follows the entries of
  A (`mgtheory.multigrid.blackbox`): V(1,1) has the factor 0.13 on ``jump2d``, with linear
  interpolation 0.42. Linear again where they vary slowly on grids that do not nest, and rows of A
  have negative sums or a symmetric A has an axis that is not coarsened. Where the couplings of a
  Hermitian matrix have phases, as in a magnetic field, or a sign of their own around a periodic
  axis, transfers follow them (`mgtheory.multigrid.phases`); and where its unknowns have scales of
  their own, as with a unit diagonal, they are in these units (`mgtheory.multigrid.scales`).
* **Smoother.** By default Chebyshev of the first kind on the level's high frequencies, once before
  and once after, of degree 2 on the finest level and of one more on each coarser one, up to 6;
  where a real A is not symmetric the GMRES polynomial of the level, of degree 3 and more: see
  `mgtheory.smoothers.DEFAULT` for the reasons.
* **Singular operators** (Neumann, periodic). The nullspace is the problem's, or the constants where
  A 1 = 0, of a matrix in other units what becomes of them; see `Hierarchy.solve`.
* **Coarsest level.** Solved directly; a singular one by its pseudo-inverse.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator

from mgtheory._checks import check_number, check_vector, own_errors
from mgtheory._html import html_table
from mgtheory.multigrid.aggregates import Aggregates
from mgtheory.multigrid.base import GridHierarchy
from mgtheory.multigrid.cycle import cycle_products, visits
from mgtheory.multigrid.doubts import (
    about_empty_rows,
    about_indefiniteness,
    about_penalties,
    about_winds,
)
from mgtheory.multigrid.given import Given, same_matrix
from mgtheory.multigrid.level import Level
from mgtheory.multigrid.loop import Plan, Stop, norm
from mgtheory.multigrid.nullspace import (
    barely_singular,
    dominated_by_rounding,
    nearly_singular,
    singular_below,
)
from mgtheory.multigrid.options import PYAMG, Counts, Options, takes_options
from mgtheory.multigrid.setup import Coarsening
from mgtheory.multigrid.solution import Cycle, Reason, Solution, check_cycle
from mgtheory.multigrid.solve import in_cycle_type, rounding_floor, solve_levels
from mgtheory.problems.problem import Problem
from mgtheory.spectra.symmetry import (
    NEARLY,
    advice_said,
    check_symmetry,
    difference_said,
)


class Hierarchy(GridHierarchy):
    """Levels from fine to coarse, with their transfers, smoothings and the solver of the coarsest;
    made by `Hierarchy.build`, or from PyAMG's by `Hierarchy.from_pyamg`.

    Attributes
    ----------
    levels
        `Level` objects, the finest first.
    given
        A with its grid, and what is known of its nullspace.
    coarsening
        ``rediscretise``, ``galerkin`` or ``pyamg``.
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
        self, given: Given, levels: Sequence[Level], coarsening: str, setup_seconds: float
    ) -> None:
        self.given, self.levels, self.nullspace = given, list(levels), given.nullspace
        self.coarsening, self.setup_seconds = coarsening, setup_seconds

    @classmethod
    @takes_options
    @own_errors
    def build(cls, problem: Problem | Any, options: Options) -> Self:
        """Set up a hierarchy.

        Parameters
        ----------
        problem
            A `Problem`, or a sparse array or matrix A of a grid operator, with `shape` and
            `boundary`.
        options
            See `mgtheory.multigrid.options.Options`.

        Raises
        ------
        ValueError
            For an unknown name, a matrix that is not square, floating and of the given shape, or an
            option that does not fit.
        """
        return cls._of(problem, options)

    @classmethod
    @own_errors
    def from_pyamg(
        cls,
        ml: Any,
        smoother: Any = None,
        post_smoother: Any = None,
        *,
        degree: Counts | None = None,
        pre: Counts = 1,
        post: Counts = 1,
        damped: float | None = None,
        coarse_solver: Callable[[Any], Callable[[NDArray[Any]], NDArray[Any]]] | None = None,
        nullspace: NDArray[Any] | str | None = "auto",
        dtype: Any = None,
    ) -> Self:
        """A, P and R of all levels of a hierarchy of PyAMG, with our smoothers.

        For graphs and unstructured matrices, and for systems of several unknowns per node, whose
        near-nullspace B and blocks PyAMG takes. The cycle is that of PyAMG's own ``solve``. A
        coarsest operator that is singular has its pseudo-inverse.

        Parameters
        ----------
        ml
            A ``MultilevelSolver``, as ``pyamg.smoothed_aggregation_solver(A, B)`` gives it; it is
            left as it is.
        smoother, post_smoother, degree, pre, post, coarse_solver, nullspace, dtype
            As `build` takes them, see `mgtheory.multigrid.options.Options`. A given polynomial is
            one for B A of the finest level, B the inverse diagonal where that varies.
        damped
            a/b of the interval [a, b] for the families that need one, such as Chebyshev's of the
            first kind; b bounds the spectrum of the level. By default the number of coarse over
            fine unknowns, at least 1/10 and at most 1/2. The fourth kind needs none.

        Raises
        ------
        ValueError
            For what is no such hierarchy, or an option that does not fit.

        Examples
        --------
        >>> import pyamg
        >>> A, B = pyamg.gallery.linear_elasticity((20, 20))
        >>> ml = pyamg.smoothed_aggregation_solver(A, B, max_coarse=50)
        >>> hierarchy = Hierarchy.from_pyamg(ml, "chebyshev4", degree=3)
        >>> hierarchy.solve(np.ones(A.shape[0])).converged
        True
        """
        levels = getattr(ml, "levels", None)
        if not isinstance(levels, list) or not all(
            hasattr(level, name)
            for level in levels
            for name in ("A" if level is levels[-1] else "APR")
        ):
            raise ValueError(
                f"ml is a {type(ml).__name__}, must be a MultilevelSolver of PyAMG, with A, P and R"
                " of its levels; a matrix takes Hierarchy.build(A, coarsening='pyamg')"
            )
        if damped is not None and check_number(damped, "damped", "larger than 0") >= 1:
            raise ValueError(f"damped is {damped!r}, must be less than 1: a/b of an interval")
        options = Options(
            smoother=smoother,
            degree=degree,
            post_smoother=post_smoother,
            pre=pre,
            post=post,
            coarsening=PYAMG,
            coarse_solver=coarse_solver,
            nullspace=nullspace,
            dtype=dtype,
            max_levels=len(levels),
        )
        return cls._of(levels[0].A, options, Aggregates(levels, damped))

    @classmethod
    def _of(cls, problem: Any, options: Options, known: Aggregates | None = None) -> Self:
        if options.shift is True:
            raise ValueError(
                "shift is True, corrections are shifted with backend 'stencil' alone"
                " (mgtheory.StencilHierarchy); allowed here are False and 'auto', which shifts none"
            )
        given = Given.of(problem, options)
        start = time.perf_counter()
        rule = Coarsening.of(given, options, known)
        levels = rule.levels()
        for level in levels[:-1]:
            level.smooth_with(options)
        return cls(rule.given, levels, rule.name, time.perf_counter() - start)

    def _smoothed(self, options: Options) -> Self:
        """A copy with other smoothers; matrices and transfers are shared."""
        made = copy.copy(self)
        made.levels = [replace(level) for level in self.levels]
        for level in made.levels[:-1]:
            level.smooth_with(options)
        return made

    @own_errors
    def _solve(self, b: ArrayLike, x0: ArrayLike | None, stop: Stop, plan: Plan) -> Solution:
        known: dict[str, Any] = {"nullspace": self.nullspace, "warnings": self.warnings}
        found = solve_levels(self.levels, b, x0, stop, plan, **known)
        A = self.given.A
        said = [nearly_singular(found.x, self.given.on_constants, singular_below(A))]
        if found.reason is Reason.INCOMPATIBLE:
            said.append(barely_singular(A, self.nullspace))
        if found.reason in (Reason.STAGNATED, Reason.INCOMPATIBLE):
            said.append(about_empty_rows(A, np.asarray(b) * stop.unit))
        left = found.residual_norms[-1] / stop.unit
        if not found.converged:
            said += [about_winds(self.levels[0]), about_indefiniteness(self.levels)]
        if found.reason in (Reason.STAGNATED, Reason.DIVERGED) and np.isfinite(left):
            floor = rounding_floor(A, found.x)
            if left <= 100 * floor:  # else x is so large because cycles amplify
                said.append(dominated_by_rounding(found.x, floor, norm(np.asarray(b))))
        said = [*filter(None, said)]
        return replace(
            found,
            warnings=found.warnings + tuple(said),
            message="; ".join([found.message, *said]),
        )

    def _hidden(self, b: NDArray[Any], x: NDArray[Any], tol: float) -> str:
        return about_penalties(self.levels[0], b, x, tol)

    @own_errors
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
            is symmetric, and this is checked; positive it is for positive A where no smoothing
            amplifies (`mgtheory.multigrid.krylov` watches r^* M r). False for gmres: the
            hierarchy's own cycle.

        Raises
        ------
        ValueError
            If M is not symmetric: an F-cycle, a restriction that is no multiple of P^T, a
            nonsymmetric A, or a user's object.
        """
        return self._preconditioner(cycle, symmetric=symmetric)

    def of_symmetric_form(self, cycle: str = "V") -> LinearOperator:
        """One cycle for cg and minres: M, or M D for S where A = D S with D = `rows`."""
        if self.rows is None:
            return super().of_symmetric_form(cycle)
        return self._preconditioner(cycle, symmetric=True, rows=self.rows)

    def _preconditioner(
        self, cycle: str, *, symmetric: bool, rows: NDArray[Any] | None = None
    ) -> LinearOperator:
        M = super()._preconditioner(cycle, symmetric=symmetric, rows=rows)
        if symmetric:
            finest = self.levels[0]
            eps = float(np.finfo(finest.operator.dtype).eps)
            # an A with rounded entries hands its asymmetry on to M, measured: a tenth of it
            rounded = finest.asymmetry if finest.symmetric and finest.rows is None else 0.0
            tolerance = max(1e4 * eps, 1e2 * rounded)
            kind = np.iscomplexobj(self.given.A.data)
            check_symmetry(M.matvec, M.shape[0], kind, tolerance, self._why_not(rows))
        return M

    def _why_not(self, rows: NDArray[Any] | None) -> str:
        """What a refusal of a cycle that is not symmetric says of A."""
        finest = self.levels[0]
        if self.rows is not rows:
            return "; A is so but for scales of its rows, which mgtheory.solve(krylov=) takes out"
        if finest.symmetric or finest.asymmetry > NEARLY:
            return ""
        # few printed digits may have kept it from being symmetric
        return f"; {difference_said(finest.A, finest.asymmetry)}: {advice_said(finest.A)}"

    @property
    def rows(self) -> NDArray[np.float64] | None:  # type: ignore[override]
        """D, shape (n,), where A = D S with a symmetric S; else None."""
        return self.levels[0].form_rows

    def _symmetrised(self) -> Self:
        made = copy.copy(self)
        made.levels = [
            level if level.pre is None else replace(level, post=level.pre.adjoint())
            for level in self.levels
        ]
        return made

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of A, and of residuals."""
        return np.dtype(self.given.A.dtype)

    @property
    def coarse_solver(self) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """r -> A^-1 r on the coarsest level."""
        solve = self.levels[-1].solve
        assert solve is not None
        return solve

    @property
    def doubts(self) -> tuple[str, ...]:
        """What in a bare matrix speaks against its grid, in sentences."""
        return self.levels[0].doubts

    @property
    def warnings(self) -> tuple[str, ...]:
        """What in a bare matrix speaks against its grid, and one sentence per level on which the
        polynomial amplifies high frequencies (its lmax or interval is too small) or does nothing
        (far too large), or whose family does not fit a nonsymmetric A."""
        found = (
            getattr(smoothing, "warning", "")
            for level in self.levels
            for smoothing in (level.pre, level.post)
        )
        return tuple(dict.fromkeys(text for text in (*self.doubts, *found) if text))

    @property
    def operator_complexity(self) -> float:
        """Non-zeros of A on all levels over those on the finest."""
        return sum(level.A.nnz for level in self.levels) / self.levels[0].A.nnz

    def cycle_complexity(self, cycle: str = "V") -> float:
        """Non-zeros visited by the smoothings (each counted once) and the coarsest solve in one
        cycle, over those of the finest A."""
        times = visits(len(self.levels), check_cycle(cycle))
        sweeps = [*(sum(level.counts) for level in self.levels[:-1]), 1]
        total = sum(
            t * s * level.A.nnz for t, s, level in zip(times, sweeps, self.levels, strict=True)
        )
        return total / self.levels[0].A.nnz

    def work_units(self, cycle: str = "V") -> float:
        """Products with A in one cycle on all levels, in units of one on the finest; the residual
        of the stopping test not included."""
        return cycle_products(self.levels, check_cycle(cycle))

    def solves(self, given: Any) -> bool:
        """Whether the A of a problem, or a sparse matrix, is the finest one here up to rounding."""
        return given is self.given.problem or same_matrix(given, self.given.A)

    def _repr_html_(self) -> str:
        """For notebooks: a row a level, the smoothing beside it, and the complexity below."""
        head = ("level", "grid", "unknowns", "non-zeros", "smoothing (pre + post)")
        rows = [
            (level.index, " × ".join(map(str, level.shape)), level.size, level.A.nnz, how)
            for level, how in zip(self.levels, map(self._smoothing, self.levels), strict=True)
        ]
        below = f"{self.coarsening}, operator complexity {self.operator_complexity:.3f}"
        return html_table(head, rows, [below, *(f"warning: {text}" for text in self.warnings)])

    def _smoothing(self, level: Level) -> str:
        if level.index + 1 == len(self.levels):
            return f"solved by {type(self.coarse_solver).__name__}"
        return level.smoothing

    def __str__(self) -> str:
        lines = [
            f"Hierarchy: {len(self.levels)} levels, {self.coarsening}, cycle in"
            f" {self.levels[0].operator.dtype}"
            + (", singular" if self.nullspace is not None else ""),
            f"operator complexity {self.operator_complexity:.3f}, grid complexity"
            f" {self.grid_complexity:.3f}",
            *(
                f"{c}-cycle: complexity {self.cycle_complexity(c):.3f}, {self.work_units(c):.2f}"
                " work units"
                for c in ("V", "W", "F")
            ),
            f"{'level':>5} {'grid':>14} {'unknowns':>10} {'non-zeros':>11} {'storage':>7} "
            " smoothing (pre + post)",
        ]
        for level in self.levels:
            grid = "x".join(map(str, level.shape))
            lines.append(
                f"{level.index:>5} {grid:>14} {level.size:>10} {level.A.nnz:>11}"
                f" {level.operator.format:>7}  {self._smoothing(level)}"
            )
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])
