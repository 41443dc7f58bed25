"""One grid whose sweeps compiled kernels do: its smoothing steps, and the workspace of its sweeps,
a part for each thread."""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_unmasked
from mgtheory.matrixfree.operators import as_grid
from mgtheory.matrixfree.swept import SweptLevel, joined
from mgtheory.matrixfree.tables import ADD, KEEP
from mgtheory.matrixfree.threads import Block, run_blocks
from mgtheory.problems.grids import Shape

Array = NDArray[np.float64]
PAD = 8  # as in rows.py, which needs numba
LINE = 64  # bytes of a cache line
# bytes of a thread's planes, about half of a core's share of a last-level cache; longer smoothings
# take several sweeps
CACHE = 8 * 2**20
# in one sweep: beyond, the recomputed planes of the neighbours cost more than the memory traffic
# saved
MAX_STEPS = 8
# unknowns of a product that numpy forms by itself: they stay in a core's own cache
CHUNK = 2**15
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


def aligned(shape: tuple[int, ...], dtype: Any = np.float64) -> NDArray[Any]:
    """Zeros on a cache line's boundary."""
    size, line = math.prod(shape), LINE // np.dtype(dtype).itemsize
    raw = np.empty(size + line, dtype)
    start = (-raw.ctypes.data // raw.itemsize) % line
    found = raw[start : start + size].reshape(shape)
    found[...] = 0.0  # np.zeros would keep other threads waiting
    return found


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
    dtype, width
        Of x, b and the workspace: their type, and the columns of their rows, of which those beyond
        the grid are 0.
    residuals_only
        Whether another level does the smoothing, so that this one needs little workspace.
    """

    direct: Callable[[Array], Array] | None = None
    dtype: np.dtype[Any] = np.dtype(np.float64)
    residuals_only = False

    def __init__(self, shape: Shape, coarse: Shape | None, threads: int) -> None:
        self.shape, self.coarse = shape, coarse
        self.grid = as_grid(shape)
        self.width = self.grid[2]
        self.blocks = max(1, min(threads, self.grid[0] // 8)) if self._shared(MAX_STEPS) else 1
        self._nothing = np.empty((0, 1, 1), self.dtype)
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
        """See `SweptLevel.set_smoothing`; the workspace is for these steps."""
        super().set_smoothing(before, counts, after)
        self._deep = -1  # of what is made
        self._workspace: list[tuple[Array, ...] | None] = []

    def workspace(self, steps: int) -> list[tuple[Array, ...]]:
        """Ring, expanded planes, scratch and neighbours of each block, for so many steps."""
        self._deepen(steps)
        return run_blocks(self._space, [(p,) for p in range(self.blocks)])

    def _deepen(self, steps: int) -> None:
        """Let the workspace be for so many steps at least."""
        if steps > self._deep:
            longest = max(len(sweep) for sweep in [*self.before, *self.after])
            self._deep = max(steps, 0 if self.residuals_only else longest)
            self._workspace = [None] * self.blocks

    def _space(self, p: int) -> tuple[Array, ...]:
        """The workspace of block p: made on first use, and by the thread that will use it, for it
        takes as long as a sweep."""
        found = self._workspace[p]
        if found is None:
            found = self._workspace[p] = self._made(self._deep)
        return found

    def _swept(self, run: Callable[..., float], p: int, task: tuple[Any, ...]) -> float:
        """The sweep of block p."""
        return run(*task, *self._space(p))

    def _made(self, steps: int) -> tuple[Array, ...]:
        """The workspace of a block."""
        n1, n2 = self.grid[1], self.width
        line = LINE // self.dtype.itemsize
        columns = -(-(n2 + 2 * PAD) // line) * line
        # rows a multiple of 4 KiB apart would share their cache sets
        columns += line * (columns % (64 * line) == 0)
        ring = aligned((steps + 2, 4, n1 + 2 * (n1 > 1), columns), self.dtype)
        expanded = aligned((4 if self.coarse else 0, n1, columns), self.dtype)
        scratch = aligned((4, columns), self.dtype)
        deep = steps + 4 if self.blocks > 1 else 0
        return ring, expanded, scratch, np.empty((2, deep, n1, n2), self.dtype)

    def fitted(self, given: ArrayLike, name: str, *, copy: bool = False) -> Array:
        """A real vector of shape (n,) or that of the grid as the kernels read it, float64 in the
        shape `grid`; the given array itself where that is possible."""
        check_unmasked(given, name)
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
        shape = (*self.grid[:2], self.width)
        self.x, self.b = np.empty(shape, self.dtype), np.empty(shape, self.dtype)

    def release(self) -> None:
        """Forget the caller's arrays."""
        self.x = self.b = np.empty((0, 0, 0), self.dtype)

    @property
    def memory_bytes(self) -> int:
        """x and b (of a coarse grid), workspace and tables."""
        spaces = self.workspace(0 if self.residuals_only else MAX_STEPS)
        arrays = [self.x, self.b, *itertools.chain(*spaces), *self._tables()]
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
        for i, given in enumerate(sweeps):
            last, steps = i + 1 == len(sweeps), given.astype(self.dtype, copy=False)
            target = to if last and to is not None else self._nothing
            grids = self.x, self.b, self._nothing if e is None else e, target
            task = start, *operator, steps, write, norm and last, *transfers
            blocks = self._blocks(target.shape[0], len(steps))
            self._deepen(len(steps))
            if start in (KEEP, ADD) and len(blocks) > 1:
                self._copy_neighbours(blocks, len(steps) + 4, self.workspace(len(steps)))
            parts = [(run, p, (*grids, *task, *block)) for p, block in enumerate(blocks)]
            total = sum(run_blocks(self._swept, parts))
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

    def _copy_neighbours(
        self, blocks: list[Block], depth: int, spaces: list[tuple[Array, ...]]
    ) -> None:
        """Copy `depth` planes of x on either side of each block, before anything is overwritten."""
        n = self.grid[0]
        for block, (_, _, _, halo) in zip(blocks, spaces, strict=False):
            first, end = max(block.lo - depth, 0), min(block.hi + depth, n)
            halo[0, halo.shape[1] - (block.lo - first) :] = self.x[first : block.lo]
            halo[1, : end - block.hi] = self.x[block.hi : end]

    def solve(self, r: None = None, *, add: bool = False) -> int:
        """x = A^-1 b on the coarsest grid, or x += A^-1 b."""
        assert self.direct is not None
        x, b = self.x[..., : self.grid[2]], self.b[..., : self.grid[2]]
        if add:
            x += self.direct(b)
        else:
            x[...] = self.direct(b)
            self.x[..., self.grid[2] :] = 0.0
        return KEEP

    def add_b(self, factor: float) -> None:
        """x += factor b."""
        planes = max(1, CHUNK // math.prod(self.x.shape[1:]))
        for i in range(0, self.grid[0], planes):  # without a vector for the product
            self.x[i : i + planes] += self.b[i : i + planes] * factor
