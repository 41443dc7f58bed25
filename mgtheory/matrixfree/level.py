"""One grid of the matrix-free hierarchy: its smoothing steps and the workspace of its sweeps
(`KernelLevel`), and with a constant stencil also that and its transfers (`StencilLevel`)."""

from __future__ import annotations

import functools
import itertools
import math
import time
from abc import abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory.matrixfree.operators import Operator, SineSolver, as_grid
from mgtheory.matrixfree.swept import SweptLevel, joined
from mgtheory.matrixfree.tables import (
    ADD,
    KEEP,
    bands,
    cubic,
    linear,
    restriction,
)
from mgtheory.matrixfree.threads import Block, run_blocks
from mgtheory.problems.grids import Shape

Array = NDArray[np.float64]
PAD = 8  # as in rows.py, which needs numba
# bytes of a thread's planes, about half of a core's share of a last-level cache; longer smoothings
# take several sweeps
CACHE = 8 * 2**20
# in one sweep: beyond, the recomputed planes of the neighbours cost more than the memory traffic
# saved
MAX_STEPS = 8
# unknowns times (1 + 2 steps) of a sweep, about half a nanosecond each, below which a second thread
# costs more than it brings: 0.1 ms for waking it and for what it has not in its cache
SMALL = 2**19


def imported(name: str) -> Any:
    """A module of compiled kernels; imports numba, and only here.

    Raises
    ------
    ImportError
        If numba is not installed.
    """
    try:
        return import_module(f"mgtheory.matrixfree.kernels.{name}")
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        message = (
            "the matrix-free cycle needs numba, which is not installed: pip install"
            " 'polymgnet[fast]'"
        )
        raise ModuleNotFoundError(message, name="numba") from None


def _aligned(shape: tuple[int, ...]) -> Array:
    """Zeros on a cache line's boundary."""
    size = math.prod(shape)
    raw = np.zeros(size + 8)
    start = (-raw.ctypes.data // 8) % 8
    return raw[start : start + size].reshape(shape)


class KernelLevel(SweptLevel):
    """One grid whose sweeps compiled kernels do: their workspace. A kind of it adds what they
    read.

    Parameters
    ----------
    shape, coarse
        Of the grid and the next coarser one; None on the coarsest.
    threads
        The most blocks a sweep is divided into.

    Attributes
    ----------
    direct
        The solver of the coarsest grid.
    """

    direct: Callable[[Array], Array] | None = None

    def __init__(self, shape: Shape, coarse: Shape | None, threads: int) -> None:
        self.shape, self.coarse = shape, coarse
        self.grid = as_grid(shape)
        self.blocks = max(1, min(threads, self.grid[0] // 8)) if self._shared(MAX_STEPS) else 1
        self._nothing = np.empty((0, 1, 1))
        self.release()

    @staticmethod
    @abstractmethod
    def compiled() -> float:
        """Seconds for importing numba and compiling the sweep, or loading it from numba's cache;
        later calls do nothing and say the same.

        They are kept beside the source, or, where that is not writable, in numba's directory for
        the user (NUMBA_CACHE_DIR); where none can be written, a warning says so once.
        """

    @abstractmethod
    def _kernel(self) -> Callable[..., float]:
        """The compiled sweep."""

    @abstractmethod
    def _data(self, full: bool) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """What the sweep takes of the operator before the steps, and of the transfers behind them,
        in full multigrid if `full`."""

    @abstractmethod
    def _tables(self) -> list[NDArray[Any]]:
        """The arrays of both, for the memory that they take."""

    @abstractmethod
    def _first(self, j: int) -> int:
        """The first fine plane that coarse plane j is restricted from."""

    def set_smoothing(
        self, before: list[Array], counts: tuple[int, int], after: list[Array] | None = None
    ) -> None:
        """See `SweptLevel.set_smoothing`; makes the workspace too."""
        super().set_smoothing(before, counts, after)
        longest = max(len(sweep) for sweep in [*self.before, *self.after])
        _, n1, n2 = self.grid
        columns = -(-(n2 + 2 * PAD) // 8) * 8
        # rows a multiple of 4 KiB apart would share their cache sets
        columns += 8 * (columns % 512 == 0)
        ring = _aligned((self.blocks, longest + 2, 4, n1 + 2 * (n1 > 1), columns))
        expanded = _aligned((self.blocks, 4 if self.coarse else 0, n1, columns))
        scratch = _aligned((self.blocks, 4, columns))
        halo = _aligned((self.blocks, 2, longest + 4 if self.blocks > 1 else 0, n1, n2))
        self._workspace = list(zip(ring, expanded, scratch, halo, strict=True))  # of each block

    def fitted(self, given: ArrayLike, name: str, *, copy: bool = False) -> Array:
        """A real vector of shape (n,) or that of the grid as the kernels read it, float64 in the
        shape `grid`; the given array itself where that is possible."""
        array = np.asarray(given)
        if array.shape not in (self.shape, (self.size,)):
            raise ValueError(
                f"{name} has shape {array.shape}, must be ({self.size},) or {self.shape}"
            )
        if array.dtype.kind not in "iuf":
            raise ValueError(f"{name} has type {array.dtype}, must be real")
        if copy:
            return np.array(array, dtype=np.float64, order="C").reshape(self.grid)
        return np.require(array, np.float64, ["C", "A", "W"]).reshape(self.grid)

    def allocate(self) -> None:
        """Memory for x and b of a coarse grid."""
        self.x, self.b = np.empty(self.grid), np.empty(self.grid)

    def release(self) -> None:
        """Forget the caller's arrays."""
        self.x = self.b = np.empty((0, 0, 0))

    @property
    def memory_bytes(self) -> int:
        """x and b (of a coarse grid), workspace and tables."""
        arrays = [self.x, self.b, *itertools.chain(*self._workspace), *self._tables()]
        return sum(array.nbytes for array in arrays)

    def cut(self, factors: list[Array]) -> list[Array]:
        """Join the steps of factors to sweeps of as many steps as the cache holds; at least one
        sweep, possibly of no steps."""
        _, n1, n2 = self.grid
        plane = 8 * (n1 + 2 * (n1 > 1)) * (n2 + 2 * PAD)
        return joined(factors, max(2, min(MAX_STEPS, CACHE // (3 * plane) - 1)))

    def sweep(
        self,
        start: int,
        sweeps: list[Array],
        *,
        e: Array | None = None,
        full: bool = False,
        to: Array | None = None,
        write: int = 1,
        norm: bool = False,
    ) -> float:
        """Run the sweeps from `start`, the last with restriction to `to` and the residual's square
        sum."""
        run, (operator, transfers) = self._kernel(), self._data(full)
        total = 0.0
        for i, steps in enumerate(sweeps):
            last = i + 1 == len(sweeps)
            target = to if last and to is not None else self._nothing
            grids = self.x, self.b, self._nothing if e is None else e, target
            task = start, *operator, steps, write, norm and last, *transfers
            blocks = self._blocks(target.shape[0], len(steps))
            if start in (KEEP, ADD) and len(blocks) > 1:
                self._copy_neighbours(blocks, len(steps) + 4)
            total = sum(
                run_blocks(
                    run,
                    [
                        (*grids, *task, *block, *workspace)
                        for block, workspace in zip(blocks, self._workspace, strict=False)
                    ],
                )
            )
            start = KEEP
        return total

    def _shared(self, steps: int) -> bool:
        """Whether a sweep of so many steps is long enough for more than one thread."""
        return self.size * (1 + 2 * steps) >= SMALL

    def _blocks(self, m: int, steps: int) -> list[Block]:
        """The parts of a sweep of so many steps that restricts to m coarse planes."""
        parts = self.blocks if self._shared(steps) else 1
        coarse = [p * m // parts for p in range(parts + 1)]
        fine = [p * self.grid[0] // parts for p in range(parts + 1)]
        if m:
            fine[1:-1] = [self._first(j) for j in coarse[1:-1]]
        return list(map(Block, fine[:-1], fine[1:], coarse[:-1], coarse[1:]))

    def _copy_neighbours(self, blocks: list[Block], depth: int) -> None:
        """Copy `depth` planes of x on either side of each block, before anything is overwritten."""
        n = self.grid[0]
        for block, (_, _, _, halo) in zip(blocks, self._workspace, strict=False):
            first, end = max(block.lo - depth, 0), min(block.hi + depth, n)
            halo[0, halo.shape[1] - (block.lo - first) :] = self.x[first : block.lo]
            halo[1, : end - block.hi] = self.x[block.hi : end]

    def solve(self, r: None = None, *, add: bool = False) -> int:
        """x = A^-1 b on the coarsest grid, or x += A^-1 b."""
        assert self.direct is not None
        if add:
            self.x += self.direct(self.b)
        else:
            self.x[...] = self.direct(self.b)
        return KEEP


class StencilLevel(KernelLevel):
    """One grid with a constant stencil: that, the transfers to the next coarser one, and the sine
    transform on the coarsest."""

    below: StencilLevel
    coarsest = "sine transform"

    def __init__(self, operator: Operator, coarse: Shape | None, threads: int) -> None:
        super().__init__(operator.shape, coarse, threads)
        self.c, self.largest = operator.c, float(np.abs(operator.c).max())
        below = self.grid if coarse is None else as_grid(coarse)
        self.P, self.R = linear(self.grid, below), restriction(self.grid, below)
        self.C = cubic(self.grid, below)
        self.bands = None if coarse is None else bands(self.grid, below)
        self.defect_known = self.bands is not None
        if coarse is None:
            self.direct = SineSolver(self.c, self.grid)

    @staticmethod
    @functools.cache
    def compiled() -> float:
        """See `KernelLevel.compiled`."""
        start = time.perf_counter()
        fine, coarse = (Operator((n,), np.ones((2, 2, 2))) for n in (3, 1))
        level, below = StencilLevel(fine, coarse.shape, 1), StencilLevel(coarse, None, 1)
        for each in (level, below):
            each.set_smoothing([], (0, 0))
            each.allocate()
        level.residual_square()
        return time.perf_counter() - start

    @staticmethod
    @functools.cache
    def compiled_defect() -> float:
        """The same for `subtract_product`, which cycles that smooth before the correction never
        ask."""
        start = time.perf_counter()
        fine, coarse = (Operator((n,), np.ones((2, 2, 2))) for n in (3, 1))
        level, below = StencilLevel(fine, coarse.shape, 1), StencilLevel(coarse, None, 1)
        below.allocate()
        level.subtract_product(below)
        return time.perf_counter() - start

    def _kernel(self) -> Callable[..., float]:
        run: Callable[..., float] = imported("sweep").sweep
        return run

    def _data(self, full: bool) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (self.c,), (*(self.C if full else self.P), *self.R)

    def _tables(self) -> list[NDArray[Any]]:
        tables = [a for t in (self.P, self.R, self.C) for a in (t.first, t.weights)]
        return tables if self.bands is None else [*tables, self.bands]

    def _first(self, j: int) -> int:
        return int(self.R.first[0, j])

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
            ring = _aligned((2, 8, n1, columns))
            stack = _aligned((2, 2, n1 if n1 > 1 else 0, 1, n2))
            blocks.append((*shared, block.lo, block.hi, ring, stack))
        run_blocks(run, blocks)
