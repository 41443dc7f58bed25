"""`StencilHierarchy`: multigrid on stencils without matrices, the same cycle as
`mgtheory.Hierarchy` and much faster.

    hierarchy = StencilHierarchy.build(poisson((1023, 1023)))
    solution = hierarchy.solve(problem.b, cycle="FMG")

The grids are the same too, but where a coarse point would reach five fine ones
(`tables.coarse_points`).

Supported: 1 to 3 axes of any length, Dirichlet boundaries, real constant coefficients, stencils
that reach one point and are symmetric in every axis (3, 5, 7, 9, 19 and 27 points, finite elements,
anisotropy), and -div(k grad u) with a variable k; polynomial smoothers of any roots, complex pairs
included, and damped Jacobi. Other boundaries and Gauss-Seidel are the task of `mgtheory.Hierarchy`.
The arithmetic is float64; with ``dtype="float32"`` that of the cycles is float32, under residuals
in float64 (`mgtheory.matrixfree.refined`), for constant coefficients.

Where k varies, each grid keeps it on its faces (`mgtheory.matrixfree.faces`): coarse faces are
averages, where `mgtheory.Hierarchy` forms Galerkin products, interpolation follows the flux, and
the smoother is a polynomial in D^-1 A. The factor of the default V-cycle does not depend on h: 0.12
for a smooth k (0.08 with Galerkin products), 0.3 for one that jumps by 1000 in two dimensions
(0.13). Where coefficients are rough it can be slow; a warning of the solution then advises a Krylov
method.

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
from dataclasses import fields, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import own_errors
from mgtheory.matrixfree.cycle import run_cycle, solve_grids
from mgtheory.matrixfree.faces import FaceLevel
from mgtheory.matrixfree.kernel_level import imported
from mgtheory.matrixfree.level import StencilLevel
from mgtheory.matrixfree.refined import Refinement
from mgtheory.matrixfree.setup import finest_of, is_single, operators_of
from mgtheory.matrixfree.shift import shift_of
from mgtheory.matrixfree.steps import steps_on
from mgtheory.matrixfree.tables import KEEP
from mgtheory.matrixfree.threads import thread_count
from mgtheory.multigrid.base import GridHierarchy
from mgtheory.multigrid.cycle import cycle_products
from mgtheory.multigrid.given import same_matrix
from mgtheory.multigrid.loop import Plan, Stop
from mgtheory.multigrid.options import Options, takes_options
from mgtheory.multigrid.solution import Cycle, Solution, check_cycle
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil
from mgtheory.spectra.record import SAME
from mgtheory.spectra.symmetry import ANY_M

ZERO = 1e-14  # of the largest number: what rounding leaves of a tap that is none

Array = NDArray[np.float64]
# the hierarchy on devices, entered by the module that has it: torch is never imported here
ON_DEVICES: list[Any] = []
SLOW = 0.5  # factor of a cycle from which on a Krylov method is advised


class StencilHierarchy(GridHierarchy):
    """Grids from fine to coarse without matrices; made by `StencilHierarchy.build`.

    Attributes
    ----------
    operators
        The stencil of every grid, or k on its faces, the finest first.
    levels
        `StencilLevel` or `FaceLevel` objects: what each operator needs for its sweeps.
    shift
        As in the options.
    refinement
        The same levels for cycles in float32, if asked for.
    setup_seconds, compile_seconds
        Wall-clock time of `build`, and of compiling (or loading) the kernels, which happens once in
        a process and is not part of it.
    """

    PASS_CYCLES: ClassVar[int] = 1
    refinement: Refinement | None = None

    def __init__(self, operators: Sequence[Any], options: Options, threads: int) -> None:
        self.operators, self.threads = list(operators), threads
        level_of = FaceLevel if operators[0].varies else StencilLevel
        began = time.perf_counter()
        self.compile_seconds = level_of.compiled()
        self._compiling = time.perf_counter() - began
        self.levels: list[Any] = []
        self._connect(lambda operator, coarse: level_of(operator, coarse, threads), options)
        for level in self.levels[1:]:
            level.allocate()
        began = time.perf_counter()
        if any(level.defect_known and not level.smooths_before for level in self.levels):
            self.compile_seconds += StencilLevel.compiled_defect()
        self._compiling += time.perf_counter() - began
        if is_single(options.dtype) and len(self.levels) > 1:
            began = time.perf_counter()
            self.compile_seconds += StencilLevel.compiled_single()
            self._compiling += time.perf_counter() - began
            self.refinement = Refinement(self.levels)
        self._lock = threading.Lock()

    def _connect(self, make: Callable[..., Any], options: Options) -> None:
        """Make a level of each operator and the coarser shape, give it its smoothing and its
        shift, and join it to the next."""
        self.shift = options.shift
        for operator, below in zip(self.operators, [*self.operators[1:], None], strict=True):
            level = make(operator, None if below is None else below.shape)
            if below is None:
                level.set_smoothing([], (0, 0))
            else:
                before = steps_on(options.before, operator)
                same = options.after is options.before
                after = before if same else steps_on(options.after, operator)
                level.set_smoothing(before, options.counts(operator.index), after)
                if self.shift and not operator.varies:
                    sweeps = level.before, level.after
                    only = self.shift == "auto"
                    level.shift = shift_of(operator, below, *sweeps, symmetric=only)
            if self.levels:
                self.levels[-1].below = level
            self.levels.append(level)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @contextmanager
    def _working_on(self, x: Array, b: Array) -> Iterator[None]:
        """The finest level has x and b in it; refused while another caller works, because the
        workspace is one."""
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                "this hierarchy is at work in another thread or a callback, and owns its workspace;"
                " build one for each"
            )
        finest = self.levels[0]
        finest.x, finest.b = x, b
        try:
            yield
        finally:
            finest.release()
            self._lock.release()

    @classmethod
    @takes_options
    @own_errors
    def build(
        cls,
        problem: Problem | Stencil,
        options: Options,
        *,
        h: float | None = None,
        threads: int | None = None,
        tell: Callable[[str], None] | None = None,
        device: Any = None,
    ) -> Self:
        """Set up a hierarchy; the problem's matrix is not touched.

        Parameters
        ----------
        problem
            A `Problem`, or a `Stencil` (scaled to h = 1) on a grid of the `shape` in the options,
            for the operator stencil/h^2 with zero boundary values.
        h
            Of a `Stencil`: the mesh width, 1/(shape[0] + 1) by default.
        threads
            Threads that share a sweep of a large grid; by default as many as the process has
            processors.
        tell
            Called with the name of each function before it is compiled: the first call with these
            kernels takes half a minute, later ones read what numba keeps.
        device
            Of torch, such as ``"cuda"``: tensors in, tensors out, computed there. The hierarchy is
            then a `nets.pde.device.DeviceHierarchy`, and `nets` must have been imported; `threads`
            and `tell` belong to a processor.
        options
            See `mgtheory.multigrid.options.Options`. Smoothers are polynomials and Jacobi, and a
            callable is given a level's operator; ``pre=0`` is the cheapest cycle, a symmetric
            preconditioner needs pre = post. ``"galerkin"`` needs odd sizes on the coarsened axes,
            else the coarse stencil is not constant. A full multigrid pass gains from a fine
            coarsest grid: there V-cycles reduce smooth errors least. Boundary and transfers are
            fixed, and other ones refused: zero boundary values, linear interpolation, full
            weighting. ``dtype="float32"`` computes cycles in it and residuals in float64: x has the
            same digits after as many cycles, in 3D a fifth sooner, for a second set of kernels to
            compile and another vector of memory. ``"auto"`` is float64.

        Raises
        ------
        ValueError
            For what is not supported (see above), or an unknown name.
        ImportError
            Without numba.
        """
        given = {field.name: getattr(options, field.name) for field in fields(options)}
        if device is not None:
            for name, value in (("threads", threads), ("tell", tell)):
                if value is not None:
                    raise ValueError(
                        f"{name} and device {str(device)!r} are given: threads and what tells of"
                        f" compiling belong to the processor's sweeps; leave out {name} or device"
                    )
            if not ON_DEVICES:
                raise ValueError(
                    f"device is {device!r}, and torch's hierarchies are not there: import nets"
                    " first, which brings them"
                )
            return ON_DEVICES[0].build(problem, h=h, device=device, **given)
        workers = thread_count(threads)
        if tell is not None:
            with imported("compiling").watched(tell):
                return cls.build(problem, h=h, threads=threads, **given)
        start = time.perf_counter()
        # compiles, which takes half a minute once: what is refused is refused before
        made = cls(operators_of(problem, options, h), options, workers)
        made.setup_seconds = time.perf_counter() - start - made._compiling
        return made

    def _smoothed(self, options: Options) -> Self:
        """Operators are shared; the workspace is its own."""
        dtype = None if self.refinement is None else "float32"
        options = replace(options, dtype=dtype, shift=self.shift)
        made = type(self)(self.operators, options, self.threads)
        made.setup_seconds = self.setup_seconds
        return made

    @own_errors
    def _solve(self, b: ArrayLike, x0: ArrayLike | None, stop: Stop, plan: Plan) -> Solution:
        if plan.cycle is Cycle.FMG and x0 is not None:
            raise ValueError("an FMG cycle starts from 0, x0 must be None; with x0 take V, W or F")
        finest = self.levels[0]
        right = finest.fitted(b, "b")
        x = np.empty(finest.grid) if x0 is None else finest.fitted(x0, "x0", copy=True)
        with self._working_on(x, right):
            ended, work = solve_grids(
                self.levels, stop, plan, zero=x0 is None, single=self.refinement
            )
        return self._advised(Solution(x.reshape(np.shape(b)), *ended, work_units=work))

    def _advised(self, found: Solution) -> Solution:
        """The solution with a word on what to take instead, where its cycles were slow."""
        if not (self.operators[0].varies and found.factor > SLOW) or "rounding" in found.message:
            return found
        said = (
            f"a cycle leaves {found.factor:.2f} of the residual: the averaged coefficients of"
            " coarser grids fit this one badly; take it as a preconditioner, krylov='cg', or"
            " backend 'sparse', which forms Galerkin products"
        )
        message, warnings = f"{found.message}; {said}", (*found.warnings, said)
        return replace(found, message=message, warnings=warnings)

    def smooth(self, x: ArrayLike, b: ArrayLike, *, out: Array | None = None) -> Array:
        """x + p(A) (b - A x) on the finest grid: what is done before the coarse-grid correction, or
        after it where nothing is before.

        Parameters
        ----------
        x, b
            Shape (n,) or that of the grid; not changed unless they lie in `out`.
        out
            A float64 array in C order for the result; x itself smooths in place. A new one by
            default.
        """
        finest = self.levels[0]
        right = finest.fitted(b, "b")
        if out is None:
            target = finest.fitted(x, "x", copy=True)
        else:
            target = finest.fitted(out, "out")
            if not np.may_share_memory(target, out):
                raise ValueError("out must be a writeable float64 array in C order")
            if np.may_share_memory(target, right):
                right = right.copy()
            if out is not x:
                target[...] = finest.fitted(x, "x")
        with self._working_on(target, right):
            finest.sweep(KEEP, finest.before if finest.smooths_before else finest.after)
        return target.reshape(np.shape(x)) if out is None else out

    @own_errors
    def apply(self, r: ArrayLike, cycle: str = "V") -> Array:
        """The correction of one cycle for the residual r, a linear map with zero start; shape of
        r."""
        kind = check_cycle(cycle, without=(Cycle.FMG,))
        x, right = np.empty(self.levels[0].grid), self.levels[0].fitted(r, "r")
        with self._working_on(x, right):
            if self.refinement is None:
                run_cycle(self.levels, kind)
            else:
                self.refinement.apply(right, kind, out=x)
        return x.reshape(np.shape(r))

    def _symmetrised(self) -> Self:
        if not self.levels[0].same:
            raise ValueError(
                f"different smoothers before and after, a symmetric cycle needs one; {ANY_M}"
            )
        return self

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of x, float64."""
        return np.dtype(np.float64)

    @property
    def memory_bytes(self) -> int:
        """What the hierarchy holds beside x and b: the coarser grids, the workspace of the sweeps,
        the tables."""
        single = 0 if self.refinement is None else self.refinement.memory_bytes
        return single + sum(level.memory_bytes for level in self.levels)

    def work_units(self, cycle: str = "V") -> float:
        """Products with A in one cycle on all levels, in units of one on the finest; the residual
        of the stopping test not included."""
        return cycle_products(self.levels, check_cycle(cycle))

    def solves(self, given: Any) -> bool:
        """Whether the A of a problem, or a sparse matrix, is the finest one here up to rounding; of
        problems their numbers are compared, no matrix is made. True of a matrix where this was
        built from a bare stencil: there is none to compare with."""
        own = self.operators[0]
        if not isinstance(given, Problem):
            return own.problem is None or same_matrix(given, own.problem)
        if own.problem is given:
            return True
        try:
            other = finest_of(given, None, None)
        except ValueError:  # which this cycle would not take
            return False
        same = own.shape == other.shape and own.varies == other.varies
        return same and all(
            np.allclose(one, two, rtol=SAME, atol=ZERO * np.abs(two).max())
            for one, two in zip(own.numbers, other.numbers, strict=True)
        )

    def __str__(self) -> str:
        lines = [
            f"StencilHierarchy: {len(self.levels)} levels, grid complexity"
            f" {self.grid_complexity:.3f}, {self.memory_bytes / 1e6:.1f} MB",
            f"{'level':>5} {'grid':>14} {'unknowns':>10} {'threads':>7}  smoothing",
        ]
        for index, level in enumerate(self.levels):
            how = level.coarsest if level.coarse is None else level.smoothing
            lines.append(
                f"{index:>5} {'x'.join(map(str, level.shape)):>14} {level.size:>10}"
                f" {level.blocks:>7}  {how}"
            )
        return "\n".join(lines)
