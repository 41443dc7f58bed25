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

from mgtheory._checks import check_vector, own_errors
from mgtheory.multigrid import doubts, setup
from mgtheory.multigrid.base import MultigridSolver
from mgtheory.multigrid.cycle import cycle_products, visits
from mgtheory.multigrid.level import Level
from mgtheory.multigrid.nullspace import (
    find_nullspace,
    nearly_singular,
    rounded_image,
    singular_below,
)
from mgtheory.multigrid.options import Counts, Options, takes_options
from mgtheory.multigrid.solution import Cycle, Solution, check_cycle
from mgtheory.multigrid.solve import Plan, Stop, in_cycle_type, solve_levels, without
from mgtheory.problems.problem import Problem


class Hierarchy(MultigridSolver):
    """Levels from fine to coarse, with their transfers, smoothings and the solver of the coarsest;
    made by `Hierarchy.build`.

    Attributes
    ----------
    levels
        `Level` objects, the finest first.
    nullspace
        Orthonormal basis of A's nullspace, shape (n, m), or None.
    doubts
        What in a bare matrix speaks against its grid, in sentences.
    on_constants
        What a bare matrix makes of the constants, relative to |A|, where that may be rounding of
        its entries; else 0.
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
        doubts: Sequence[str] = (),
        on_constants: float = 0.0,
    ) -> None:
        self.levels, self.nullspace = list(levels), nullspace
        self.coarsening, self.setup_seconds = coarsening, setup_seconds
        self.doubts, self.on_constants = tuple(doubts), on_constants

    @classmethod
    @takes_options
    @own_errors
    def build(cls, problem: Problem | Any, **options: Any) -> Self:
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
        asked = Options.of(cls.__name__, options)
        A, grid, boundary = setup.matrix_and_grid(problem, asked.shape, asked.boundary)
        start = time.perf_counter()
        known = problem if isinstance(problem, Problem) else None
        basis = find_nullspace(A, known, asked.nullspace)
        rule = setup.Coarsening(boundary, asked, known)
        finest = setup.finest_level(A, grid, boundary, known, asked.dtype)
        # where the stencil was recognised, the grid is right
        bare = known is None and finest.tensor is None
        found = doubts.doubts(finest, boundary) if bare else ()
        unsure = known is None and basis is None and asked.nullspace is not None
        on_constants = rounded_image(A) if unsure else 0.0
        levels = setup.coarsened(finest, rule, asked.max_levels)
        levels[-1].solver = setup.coarse_solver(asked.coarse_solver, levels, basis)
        bare_levels = cls(
            levels,
            nullspace=basis,
            coarsening=rule.name,
            doubts=found,
            on_constants=on_constants,
        )
        made = bare_levels._smoothed(asked)
        made.setup_seconds = time.perf_counter() - start
        return made

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
        """The hierarchy with other smoothers, matrices and transfers shared with this one.

        Parameters are those of `build`, with its defaults: pre = post = 1, whatever this one has.
        """
        return self._smoothed(
            Options(
                smoother=smoother, post_smoother=post_smoother, degree=degree, pre=pre, post=post
            )
        )

    def _smoothed(self, options: Options) -> Self:
        levels = [replace(level) for level in self.levels]
        for level in levels[:-1]:
            level.smooth_with(options)
        return type(self)(
            levels,
            nullspace=self.nullspace,
            coarsening=self.coarsening,
            setup_seconds=self.setup_seconds,
            doubts=self.doubts,
            on_constants=self.on_constants,
        )

    @own_errors
    def _solve(self, b: ArrayLike, x0: ArrayLike | None, stop: Stop, plan: Plan) -> Solution:
        known: dict[str, Any] = {"nullspace": self.nullspace, "warnings": self.warnings}
        found = solve_levels(self.levels, b, x0, stop, plan, **known)
        said = nearly_singular(found.x, self.on_constants, singular_below(self.levels[0].A))
        return replace(
            found,
            setup_seconds=self.setup_seconds,
            warnings=found.warnings + ((said,) if said else ()),
            message=found.message + (f"; {said}" if said else ""),
        )

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
