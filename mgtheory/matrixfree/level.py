"""One grid of the matrix-free hierarchy with a constant stencil: that and its transfers."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory.matrixfree.kernel_level import KernelLevel, aligned, imported
from mgtheory.matrixfree.operators import Operator, as_grid
from mgtheory.matrixfree.sine import SineSolver, sine_solver
from mgtheory.matrixfree.tables import SET, bands, cubic, in_float32, linear, restriction
from mgtheory.matrixfree.threads import run_blocks
from mgtheory.problems.grids import Shape

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
# numbers that a loop over float32 takes at once; the rest of a row goes one by one, and 31 take as
# long as three times 32
VECTORS = 32


class StencilLevel(KernelLevel):
    """One grid with a constant stencil: that, the transfers to the next coarser one, and the sine
    transform on the coarsest."""

    below: StencilLevel
    coarsest = "sine transform"

    def __init__(self, operator: Operator, coarse: Shape | None, threads: int) -> None:
        super().__init__(operator.shape, coarse, threads)
        self.c, self.largest = operator.c, float(np.abs(operator.c).max())
        below = self.grid if coarse is None else as_grid(coarse)
        self._columns = self.grid[2], below[2]
        self._rest: tuple[Array32, float] = np.empty((0, 1, 1), np.float32), 1.0
        self.P, self.R = linear(self.grid, below), restriction(self.grid, below)
        self.C = cubic(self.grid, below)
        self.bands = None if coarse is None else bands(self.grid, below)
        self.defect_known = self.bands is not None
        if coarse is None:
            self.direct = sine_solver(self.c.tobytes(), self.grid)

    @staticmethod
    @functools.cache
    def compiled() -> float:
        """See `KernelLevel.compiled`."""
        start = time.perf_counter()
        level, _ = _smallest()
        level.residual_square()
        return time.perf_counter() - start

    @staticmethod
    @functools.cache
    def compiled_defect() -> float:
        """The same for `subtract_product`, which cycles that smooth before the correction never
        ask."""
        start = time.perf_counter()
        level, below = _smallest()
        level.subtract_product(below)
        return time.perf_counter() - start

    @staticmethod
    @functools.cache
    def compiled_single() -> float:
        """The same for cycles in float32 and what refines by them."""
        start = time.perf_counter()
        level, below = _smallest()
        made, made.below = level.single(1.0), below.single(1.0)
        level.refine(made.x, 1.0, made.b, 1.0)
        made.residual_square()
        return time.perf_counter() - start

    def _kernel(self) -> Callable[..., float]:
        run: Callable[..., float] = imported("sweep").sweep
        return run

    def _data(self, full: bool) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        operator = *self._rest, *self._columns, self.c
        return operator, (*(self.C if full else self.P), *self.R)

    def _tables(self) -> list[NDArray[Any]]:
        tables = [a for t in (self.P, self.R, self.C) for a in (t.first, t.weights)]
        return tables if self.bands is None else [*tables, self.bands]

    def _first(self, j: int) -> int:
        return int(self.R.first[0, j])

    def single(self, unit: float) -> StencilLevel:
        """The same for A / unit in float32, with memory of its own, and the solver of the coarsest
        grid likewise; `below` is for the caller to give."""
        made = copy(self)
        made.dtype = np.dtype(np.float32)
        n = self.grid[2]
        if (spare := -n % VECTORS) <= max(1, n // 16):
            made.width = n + spare
        made._nothing = np.empty((0, 1, 1), made.dtype)
        made.c, made.largest = (self.c / unit).astype(made.dtype), self.largest / unit
        made.shift = self.shift * unit
        made.P, made.R, made.C = map(in_float32, (self.P, self.R, self.C))
        made.before, made.after = (
            [steps * (unit, 1.0) for steps in sweeps] for sweeps in (self.before, self.after)
        )
        made._deep, made._workspace, made.residuals_only = -1, [], False
        made.allocate()
        made.bands, made.defect_known = None, False
        if isinstance(self.direct, SineSolver):
            made.direct = self.direct.single(unit)
        return made

    def take(self, b: Array, unit: float) -> None:
        """Another b, times `unit`, in this level's type."""
        np.multiply(b, unit, out=self.b[..., : self.grid[2]], casting="same_kind")
        self.b[..., self.grid[2] :] = 0.0

    @property
    def diagonal(self) -> float:
        """The modulus of that of A."""
        return abs(float(self.c[0, 0, 0]))

    def interpolate(self, rest: Array32, unit: float, *, restrict: bool) -> None:
        """x = P below.x, cubic, and rest = unit (b - A x), of which below.b is the restriction if
        asked for, without the factor."""
        nothing, self._rest = self._rest, (rest, unit)
        try:
            to = self.below.b if restrict else None
            self.sweep(SET, [np.empty((0, 2))], e=self.below.x, full=True, to=to)
        finally:
            self._rest = nothing

    def refine(self, e: Array32 | None, factor: float, rest: Array32, unit: float) -> float:
        """x += factor e, unless e is None, and rest = unit (b - A x); ||b - A x||_2^2."""
        run, blocks, spaces = imported("refine").refine, self._blocks(0, 2), self.workspace(0)
        if len(blocks) > 1:
            self._copy_neighbours(blocks, 1, spaces)
        task = self.x, rest if e is None else e, self.b, rest, e is not None, factor, unit, self.c
        parts = [
            (*task, block.lo, block.hi, ring, halo)
            for block, (ring, _, _, halo) in zip(blocks, spaces, strict=False)
        ]
        return float(sum(run_blocks(run, parts)))

    def subtract_product(self, below: StencilLevel) -> None:
        """below.b -= R A P below.x, with this level's A and the cubic P, on the coarse grid
        alone."""
        run = imported("defect").subtract_product
        assert self.bands is not None
        _, n1, n2 = below.grid
        rows = np.ascontiguousarray(
            np.einsum("ijk,kob->ijob", self.c if n1 == 1 else -self.c, self.bands[:, 2, :, :n2])
        )
        used = self.c.any(axis=2)
        # ten rows are read together: let them not share their cache sets
        columns = n2 + (40 - n2) % 512 if n1 == 1 else n2
        shared = below.b, below.x, self.bands, rows, used
        blocks = []
        for block in below._blocks(0, steps=2):  # about as long as two steps
            ring = aligned((2, 8, n1, columns))
            stack = aligned((2, 2, n1 if n1 > 1 else 0, 1, n2))
            blocks.append((*shared, block.lo, block.hi, ring, stack))
        run_blocks(run, blocks)


def _smallest() -> tuple[StencilLevel, StencilLevel]:
    """Two grids of 3 and 1 unknowns, ready to be worked on: what kernels are compiled by."""
    fine, coarse = (Operator((n,), np.ones((2, 2, 2))) for n in (3, 1))
    levels = StencilLevel(fine, coarse.shape, 1), StencilLevel(coarse, None, 1)
    for level in levels:
        level.set_smoothing([], (0, 0))
        level.allocate()
    return levels
