"""`StencilHierarchy`: multigrid on constant-coefficient stencils without matrices, the same cycle
as `mgtheory.Hierarchy` and much faster.

    hierarchy = StencilHierarchy.build(poisson((1023, 1023)))
    solution = hierarchy.solve(problem.b, cycle="FMG")

The grids are the same too, but where a coarse point would reach five fine ones
(`tables.coarse_points`).

Supported: 1 to 3 axes of any length, Dirichlet boundaries, real constant coefficients, stencils
that reach one point and are symmetric in every axis (3, 5, 7, 9, 19 and 27 points, finite elements,
anisotropy); polynomial smoothers of any roots, complex pairs included, and damped Jacobi. Other
boundaries, variable coefficients and Gauss-Seidel are the task of `mgtheory.Hierarchy`. The
arithmetic is float64.

A V-cycle visits the memory of x and b twice, whatever the degree (see
`mgtheory.matrixfree.kernels.sweep`), with ``pre=0`` once: the sweep that smooths also restricts the
residual for the next cycle and takes its norm. Beside x and b it needs the coarser grids (2/3 of a
vector in two dimensions) and a few planes per thread. A hierarchy owns this workspace: while one
Python thread uses it, another is refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator

from mgtheory._checks import check_callable, check_name, check_whole
from mgtheory.matrixfree.cycle import Loads, cycle_products, run_cycle, solve_grids
from mgtheory.matrixfree.level import StencilLevel, compile_kernels
from mgtheory.matrixfree.operators import (
    COARSENINGS,
    Coarsening,
    SineSolver,
    check_choice,
    make_operator,
    steps_on,
)
from mgtheory.matrixfree.tables import KEEP
from mgtheory.matrixfree.threads import thread_count
from mgtheory.multigrid.options import Counts, Schedule, count
from mgtheory.multigrid.setup import coarsened
from mgtheory.multigrid.solution import Cycle, Solution, check_cycle
from mgtheory.multigrid.solve import Stop
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil

__all__ = ["StencilHierarchy"]

Array = NDArray[np.float64]


class StencilHierarchy:
    """Grids from fine to coarse with constant stencils; made by `StencilHierarchy.build`.

    Attributes
    ----------
    levels
        `StencilLevel` objects, the finest first.
    setup_seconds, compile_seconds
        Wall-clock time of `build`, and of compiling (or loading) the kernels, which happens once in
        a process and is not part of it.
    """

    def __init__(
        self,
        levels: Sequence[StencilLevel],
        *,
        setup_seconds: float = 0.0,
        compile_seconds: float = 0.0,
    ) -> None:
        self.levels = list(levels)
        self.setup_seconds, self.compile_seconds = setup_seconds, compile_seconds
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @contextmanager
    def _working_on(self, x: Array, b: Array) -> Iterator[StencilLevel]:
        """The finest level with x and b in it; refused while another caller works, because the
        workspace is one."""
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                "this hierarchy is at work in another thread or a callback, and owns its workspace;"
                " build one for each"
            )
        finest = self.levels[0]
        finest.x, finest.b = x, b
        try:
            yield finest
        finally:
            finest.release()
            self._lock.release()

    @classmethod
    def build(
        cls,
        problem: Problem | Stencil,
        *,
        shape: int | Sequence[int] | None = None,
        h: float | None = None,
        smoother: Any = None,
        degree: Counts | None = None,
        post_smoother: Any = None,
        pre: Counts = 1,
        post: Counts = 1,
        coarsening: str = "rediscretise",
        axes: Sequence[int] | str = "auto",
        coarsest: int = 4096,
        max_levels: int = 64,
        threads: int | None = None,
        **fixed: Any,
    ) -> Self:
        """Set up a hierarchy; the problem's matrix is not touched.

        Parameters
        ----------
        problem
            A `Problem`, or a `Stencil` (scaled to h = 1) for the operator stencil/h^2 with zero
            boundary values.
        shape, h
            For a `Stencil`: unknowns per axis, and the mesh width, 1/(shape[0] + 1) by default.
        smoother, degree, post_smoother
            A family's name with its degree (a number, one per level, or a callable, as for `pre`),
            a `ResidualPolynomial` or `InitialCoefficients` (for the finest level, and converted
            for the others), a `mgtheory.smoothers.Polynomial` or `Jacobi`, or a callable of a
            level's `Operator` that returns any of these for that level; by default
            `mgtheory.smoothers.DEFAULT` with growing degrees. Another one after the coarse-grid
            correction; the same by default.
        pre, post
            Smoothings per level before and after: a number, one per level (the last goes on), or a
            callable of the level's index. ``pre=0`` is the cheapest cycle; a symmetric
            preconditioner needs pre = post.
        coarsening
            ``"rediscretise"``, or ``"galerkin"`` (R A P; with odd sizes on the coarsened axes, else
            the coarse stencil is not constant).
        axes
            ``"auto"`` (strongly coupled ones), ``"all"``, or the axes that are coarsened.
        coarsest, max_levels
            Coarsening ends when at most this many unknowns are left, or at this many levels; the
            rest is solved by a sine transform. A full multigrid pass gains from a fine coarsest
            grid: there V-cycles reduce smooth errors least.
        threads
            Threads that share a sweep of a large grid; by default as many as the process has
            processors.

        fixed
            Other options of `mgtheory.Hierarchy.build`, as far as they mean what is done here
            (zero boundary values, linear interpolation, full weighting, float64); else refused.

        Raises
        ------
        ValueError
            For what is not supported (see above), or an unknown name.
        ImportError
            Without numba.
        """
        _check_fixed(fixed)
        check_name(coarsening, COARSENINGS, "coarsening")
        most, few = check_whole(max_levels, "max_levels", 1), check_whole(coarsest, "coarsest", 1)
        workers = thread_count(threads)
        compile_seconds = compile_kernels()
        start = time.perf_counter()
        choice = Schedule.of(smoother, degree)
        after = choice if post_smoother is None else Schedule.of(post_smoother, None)
        rule = Coarsening(coarsening, axes, few)
        finest = rule.from_here(make_operator(problem, shape, h))
        for each in (choice, after):
            check_choice(each, finest)
        operators = coarsened(finest, rule, most)
        levels: list[StencilLevel] = []
        for operator, below in zip(operators, [*operators[1:], None], strict=True):
            coarse = None if below is None else below.shape
            level = StencilLevel(operator.shape, operator.c, coarse, workers)
            if below is None:
                level.set_smoothing([], 0, 0)
                level.direct = SineSolver(operator.c, level.grid)
            else:
                counts = count(pre, operator.index, "pre"), count(post, operator.index, "post")
                steps = steps_on(choice, operator)
                later = steps if after is choice else steps_on(after, operator)
                level.set_smoothing(steps, *counts, later=later)
            if levels:
                level.allocate()
            levels.append(level)
        return cls(
            levels, setup_seconds=time.perf_counter() - start, compile_seconds=compile_seconds
        )

    def solve(
        self,
        b: ArrayLike,
        x0: ArrayLike | None = None,
        *,
        tol: float = 1e-8,
        maxiter: int = 100,
        cycle: str = "V",
        loads: Loads | None = None,
        callback: Callable[[int, float], None] | None = None,
    ) -> Solution:
        """Cycles until ||b - A x||_2 <= tol ||b||_2.

        Parameters
        ----------
        b, x0
            Right-hand side and start (0 by default), real, shape (n,) or that of the grid; neither
            is changed. x has the shape of b.
        tol, maxiter
            Relative tolerance on the true residual's 2-norm, and the most cycles allowed.
        cycle
            ``"V"``, ``"W"``, ``"F"``, or ``"FMG"``: a full multigrid pass as the first cycle, then
            V-cycles; it starts from 0.
        loads
            For FMG: a callable of a shape that gives the right-hand side of that grid, such as
            ``problem.equation.load``; by default the restricted right-hand side, which serves
            smooth b with zero boundary values.
        callback
            Called with the number of cycles done (0 first) and the true residual norm ||b - A
            x||_2.

        Raises
        ------
        ValueError
            For a right-hand side or start of another shape or with infinite entries, or an option
            out of range.
        """
        return self._solve(b, x0, Stop(tol, maxiter, callback), check_cycle(cycle), loads=loads)

    def full_multigrid(
        self, b: ArrayLike, *, cycles: int = 1, cycle: str = "V", loads: Loads | None = None
    ) -> Solution:
        """One full multigrid pass: from the coarsest level upwards, cubic interpolation and
        `cycles` cycles per level.

        On smooth problems the error of second-order schemes is then that of the discretisation. The
        result says `maxiter` unless the pass reaches 1e-8.
        """
        kind = check_cycle(cycle, without=(Cycle.FMG,))
        stop = Stop(maxiter=1)
        return self._solve(b, None, stop, Cycle.FMG, inner=kind, cycles=cycles, loads=loads)

    def _solve(
        self,
        b: ArrayLike,
        x0: ArrayLike | None,
        stop: Stop,
        cycle: Cycle,
        *,
        inner: Cycle = Cycle.V,
        cycles: int = 1,
        loads: Loads | None,
    ) -> Solution:
        began = time.perf_counter()
        check_whole(cycles, "cycles", 1)
        check_callable(loads, "loads")
        if cycle is Cycle.FMG and x0 is not None:
            raise ValueError("an FMG cycle starts from 0, x0 must be None; with x0 take V, W or F")
        finest = self.levels[0]
        right = self._grid_array(b, "b")
        x = np.empty(finest.grid) if x0 is None else self._grid_array(x0, "x0", copy=True)
        with self._working_on(x, right):
            ended, work = solve_grids(
                self.levels,
                stop,
                zero=x0 is None,
                cycle=cycle,
                inner=inner,
                cycles=cycles,
                loads=loads,
            )
        return Solution(
            x.reshape(np.shape(b)),
            ended.norms,
            ended.reason,
            ended.message,
            work_units=work,
            setup_seconds=self.setup_seconds,
            solve_seconds=time.perf_counter() - began,
        )

    def _grid_array(self, given: ArrayLike, name: str, *, copy: bool = False) -> Array:
        """The vector as float64 in the shape of the finest grid; b itself where it is fit to be
        read by the kernels."""
        finest = self.levels[0]
        array = np.asarray(given)
        if array.shape not in (finest.shape, (finest.size,)):
            raise ValueError(
                f"{name} has shape {array.shape}, must be ({finest.size},) or {finest.shape}"
            )
        if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
            raise ValueError(f"{name} has type {array.dtype}, must be real")
        fit = (
            np.array(array, dtype=np.float64, order="C")
            if copy
            else np.require(array, np.float64, ["C", "A", "W"])
        )
        return fit.reshape(finest.grid)

    def smooth(self, x: ArrayLike, b: ArrayLike, *, out: Array | None = None) -> Array:
        """x + p(A) (b - A x) on the finest grid: what is done before the coarse-grid correction, or
        after it where nothing is before.

        Parameters
        ----------
        x, b
            Shape (n,) or that of the grid; not changed.
        out
            A float64 array in C order for the result; x itself smooths in place. A new one by
            default.
        """
        right = self._grid_array(b, "b")
        if out is None:
            target = self._grid_array(x, "x", copy=True)
        else:
            target = self._grid_array(out, "out")
            if not np.may_share_memory(target, out):
                raise ValueError("out must be a writeable float64 array in C order")
            if out is not x:
                target[...] = self._grid_array(x, "x")
        with self._working_on(target, right) as finest:
            finest.sweep(KEEP, finest.before if finest.smooths_before else finest.after)
        return target.reshape(np.shape(x)) if out is None else out

    def apply(self, r: ArrayLike, cycle: str = "V") -> Array:
        """The correction of one cycle for the residual r, a linear map with zero start; shape of
        r."""
        kind = check_cycle(cycle, without=(Cycle.FMG,))
        x = np.empty(self.levels[0].grid)
        with self._working_on(x, self._grid_array(r, "r")):
            run_cycle(self.levels, kind)
        return x.reshape(np.shape(r))

    def as_preconditioner(self, cycle: str = "V", *, symmetric: bool = True) -> LinearOperator:
        """One cycle as a LinearOperator M for SciPy's Krylov methods.

        Parameters
        ----------
        symmetric
            Refuse a cycle that is not symmetric, for cg and minres. False for gmres.

        Raises
        ------
        ValueError
            If M is not symmetric: an F-cycle, or different smoothing before and after.
        """
        kind = check_cycle(cycle, without=(Cycle.FMG,))
        if symmetric:
            if kind is Cycle.F:
                raise ValueError(
                    "an F-cycle is not symmetric, allowed are V and W; for gmres pass"
                    " symmetric=False"
                )
            for index, level in enumerate(self.levels[:-1]):
                if not level.same:
                    raise ValueError(
                        f"level {index}: different smoothers before and after, a symmetric cycle"
                        " needs one; for gmres pass symmetric=False"
                    )
                if level.counts[0] != level.counts[1] or level.counts[0] == 0:
                    raise ValueError(
                        f"level {index}: {level.counts[0]} smoothings before and {level.counts[1]}"
                        " after, a symmetric cycle needs equally many, at least 1; for gmres pass"
                        " symmetric=False"
                    )
        n = self.levels[0].size
        return LinearOperator(
            (n, n),
            matvec=lambda r: self.apply(np.asarray(r).reshape(-1), kind),
            dtype=np.dtype(np.float64),
        )

    @property
    def memory_bytes(self) -> int:
        """What the hierarchy holds beside x and b: the coarser grids, the workspace of the sweeps,
        the tables."""
        return sum(level.memory_bytes for level in self.levels)

    @property
    def grid_complexity(self) -> float:
        """Unknowns on all levels over those on the finest."""
        return sum(level.size for level in self.levels) / self.levels[0].size

    def work_units(self, cycle: str = "V") -> float:
        """Products with A in one cycle on all levels, the residuals included, in units of one on
        the finest."""
        return cycle_products(self.levels, check_cycle(cycle))

    def __str__(self) -> str:
        lines = [
            f"StencilHierarchy: {len(self.levels)} levels, grid complexity"
            f" {self.grid_complexity:.3f}, {self.memory_bytes / 1e6:.1f} MB"
        ]
        lines.append(f"{'level':>5} {'grid':>14} {'unknowns':>10} {'threads':>7}  smoothing")
        for index, level in enumerate(self.levels):
            degrees = (
                "sine transform"
                if level.coarse is None
                else f"degree {sum(map(len, level.before))} + {sum(map(len, level.after))}"
            )
            lines.append(
                f"{index:>5} {'x'.join(map(str, level.shape)):>14} {level.size:>10}"
                f" {level.blocks:>7}  {degrees}"
            )
        return "\n".join(lines)

    __repr__ = __str__


# what `mgtheory.Hierarchy.build` lets one choose and this cycle does in one way alone
FIXED: dict[str, tuple[Any, ...]] = {
    "boundary": (None, "dirichlet"),
    "interpolation": (None, "linear"),
    "restriction": ("full",),
    "transfers": (None,),
    "coarse_solver": (None,),
    "nullspace": ("auto", None),
    "dtype": (None, "auto", "float64", float, np.float64, np.dtype(np.float64)),
}


def _check_fixed(fixed: dict[str, Any]) -> None:
    """Refuse other values of what cannot be chosen here."""
    for name, value in fixed.items():
        if name not in FIXED:
            raise TypeError(f"StencilHierarchy.build got the unknown option {name!r}")
        if not any(
            value is known or (isinstance(value, str) and value == known) for known in FIXED[name]
        ):
            shown = ", ".join(repr(known) for known in FIXED[name][:3])
            raise ValueError(
                f"{name} is {value!r}, the matrix-free cycle has {shown}; mgtheory.Hierarchy has"
                " others"
            )
