"""One grid of the matrix-free hierarchy: its stencil, its smoothing steps, its transfers and the workspace of its sweeps.

Every grid is seen as (planes, rows, columns): (n,) is (n, 1, 1), (n0, n1) is (n0, 1, n1). A stencil that reaches one point and is
symmetric in every axis is eight numbers, c[i, j, k] for the absolute offsets; its symbol sum c[i, j, k] (2 cos t_0)^i (2 cos t_1)^j
(2 cos t_2)^k is multi-affine in the cosines, so its range is found in corners, and it gives the eigenvalues for the coarsest solve.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from mgtheory.factors import ComplexPair, Factor, Linear
from mgtheory.matrixfree.tables import ADD, KEEP, Tables, cubic, linear, restriction
from mgtheory.polynomial import ResidualPolynomial

__all__ = [
    "SineSolver",
    "StencilLevel",
    "as_grid",
    "compile_kernels",
    "eight_numbers",
    "galerkin",
    "places",
    "smoothing_steps",
    "symbol_range",
    "thread_count",
]

Array = NDArray[np.float64]
Grid = tuple[int, int, int]
PAD = 8  # as in rows.py, which needs numba
CACHE = 8 * 2**20  # bytes of a thread's planes, about half of a core's share of a last-level cache; longer smoothings take several sweeps
MAX_STEPS = 8  # in one sweep: beyond, the recomputed planes of the neighbours cost more than the memory traffic saved
SMALL = 2**14  # unknowns below which a second thread costs more than it brings


def kernel() -> Callable[..., float]:
    """The compiled sweep; imports numba, and only here.

    Raises
    ------
    ImportError
        If numba is not installed.
    """
    try:
        from mgtheory.matrixfree.sweep import sweep
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        message = "the matrix-free cycle needs numba, which is not installed: pip install 'polymgnet[fast]'"
        raise ModuleNotFoundError(message, name="numba") from None
    return sweep


def thread_count(threads: int | None) -> int:
    """The number of blocks a large sweep is divided into: one for each processor this process may use by default."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads is {threads!r}, must be a whole number from 1 on")
    return threads


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Threads that wait without spinning, unlike OpenMP's: on a shared machine those cost more than they bring."""
    return ThreadPoolExecutor(workers, thread_name_prefix="sweep")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


@functools.cache
def compile_kernels() -> float:
    """Seconds for importing numba and compiling the kernels, or loading them from numba's cache; 0.0 from the second call on.

    They are cached beside the source, or, where that is not writable, in numba's directory for the user (NUMBA_CACHE_DIR).
    """
    start = time.perf_counter()
    kernel()
    level = StencilLevel((3,), np.ones((2, 2, 2)), None, 1)
    level.allocate()
    level.residual_square()
    return time.perf_counter() - start


def eight_numbers(stencil: Array) -> Array:
    """c[i, j, k] of shape (2, 2, 2) from a stencil of shape (3,), (3, 3) or (3, 3, 3); extents may be 1.

    Raises
    ------
    ValueError
        If the stencil reaches further than one point or is not symmetric in every axis.
    """
    given = np.asarray(stencil, dtype=float)
    if any(n not in (1, 3) for n in given.shape):
        raise ValueError(f"the matrix-free cycle takes stencils that reach one point, got an array of shape {given.shape}")
    full = np.zeros((3,) * given.ndim)
    full[tuple(slice(1, 2) if n == 1 else slice(None) for n in given.shape)] = given
    for axis in range(given.ndim):
        if not np.allclose(full, np.flip(full, axis), rtol=1e-12, atol=1e-14 * np.abs(full).max()):
            raise ValueError(f"the matrix-free cycle takes stencils that are symmetric in every axis, this one is not along axis {axis}")
    half = full[(slice(1, 3),) * given.ndim]
    c = np.zeros((2, 2, 2))
    c[tuple(slice(0, 2) if a in places(given.ndim) else 0 for a in range(3))] = half
    return c


def places(dim: int) -> tuple[int, ...]:
    """Which of (planes, rows, columns) the axes of a grid are."""
    return {1: (0,), 2: (0, 2), 3: (0, 1, 2)}[dim]


def as_grid(shape: Sequence[int]) -> Grid:
    """(planes, rows, columns) of a grid of 1 to 3 axes."""
    grid = [1, 1, 1]
    for place, n in zip(places(len(shape)), shape, strict=True):
        grid[place] = int(n)
    return grid[0], grid[1], grid[2]


def _evaluate(c: Array, doubled_cosines: Sequence[Any]) -> Any:
    """sum c[i, j, k] u_0^i u_1^j u_2^k, with broadcasting."""
    return sum(
        c[p] * math.prod((u for u, q in zip(doubled_cosines, p, strict=True) if q), start=1.0) for p in np.ndindex(2, 2, 2) if c[p] != 0.0
    )


def symbol_range(c: Array, axes: Sequence[int]) -> tuple[float, float]:
    """Exact range of the symbol over the frequencies with some |t_j| >= pi/2 on one of the given axes."""
    boxes = [[(-2.0, 0.0) if i == j else (-2.0, 2.0) for i in range(3)] for j in axes]
    values = [float(_evaluate(c, corner)) for box in boxes for corner in itertools.product(*box)]
    return min(values), max(values)


def galerkin(c: Array, axes: Sequence[int]) -> Array:
    """R A P of the stencil with linear interpolation and full weighting, axes coarsened by nested halving."""
    full = c
    for a in range(3):
        full = np.concatenate([np.take(full, [1], axis=a), full], axis=a)
    for a in axes:
        # R A P along an axis: convolve with (1, 2, 1)/4 and (1, 2, 1)/2 and keep every second offset
        taps = np.array([[4.0, 1.0, 0.0], [4.0, 6.0, 4.0], [0.0, 1.0, 4.0]]) / 8.0
        full = np.moveaxis(np.tensordot(taps, full, axes=(1, a)), 0, a)
    return np.ascontiguousarray(full[1:, 1:, 1:])


def smoothing_steps(polynomial: ResidualPolynomial) -> list[Array]:
    """The polynomial as steps x_i = x_{i-1} + omega r_{i-1} + mu (x_{i-1} - x_{i-2}), one array of (omega, mu) rows for each real factor.

    A conjugate pair a +- ib, m = a^2 + b^2, is two steps with omega = m^(-1/2), the second with mu = 2 (a m^(-1/2) - 1): the first gives
    A r = (r_0 - r_1)/omega without another product.
    """
    return [_factor_steps(factor) for factor in polynomial.factors if not (isinstance(factor, Linear) and factor.w == 0.0)]


def _factor_steps(factor: Factor) -> Array:
    if isinstance(factor, Linear):
        return np.array([[factor.w, 0.0]])
    if not isinstance(factor, ComplexPair):
        raise TypeError(f"no steps for a {factor.kind} factor")
    omega = (factor.a**2 + factor.b**2) ** -0.5
    return np.array([[omega, 0.0], [omega, 2.0 * (factor.a * omega - 1.0)]])


class SineSolver:
    """e = A^-1 r by the sine transform, exact for these stencils: products with sine matrices where all axes are short, else SciPy's."""

    def __init__(self, c: Array, grid: Grid) -> None:
        angles = [np.pi * np.arange(1, n + 1) / (n + 1) for n in grid]
        cosines = [(2.0 * np.cos(t)).reshape([-1 if i == a else 1 for i in range(3)]) for a, t in enumerate(angles)]
        eigenvalues = np.broadcast_to(_evaluate(c, cosines), grid)
        if np.min(np.abs(eigenvalues)) <= 1e-14 * np.max(np.abs(eigenvalues)):
            raise ValueError("the coarsest operator is singular")
        self._inverse = 1.0 / eigenvalues
        self._matrices: list[Array] | None = None
        if max(grid) <= 96:
            self._matrices = [np.sqrt(2.0 / (n + 1)) * np.sin(np.outer(np.arange(1, n + 1), t)) for n, t in zip(grid, angles, strict=True)]

    def _transform(self, v: Array) -> Array:
        if self._matrices is None:
            return np.asarray(scipy.fft.dstn(v, type=1, norm="ortho"))
        s0, s1, s2 = self._matrices
        n0, n1, n2 = v.shape
        v = (s0 @ v.reshape(n0, -1)).reshape(n0 * n1, n2) @ s2
        return v.reshape(n0, n1, n2) if n1 == 1 else np.matmul(s1, v.reshape(n0, n1, n2))

    def __call__(self, r: Array) -> Array:
        """A^-1 r, shape of the grid."""
        return self._transform(self._transform(r) * self._inverse)


def _aligned(shape: tuple[int, ...]) -> Array:
    """Zeros on a cache line's boundary."""
    size = math.prod(shape)
    raw = np.zeros(size + 8)
    start = (-raw.ctypes.data // 8) % 8
    return raw[start : start + size].reshape(shape)


class StencilLevel:
    """One grid: stencil, transfers to the next coarser one, smoothing steps, workspace.

    Parameters
    ----------
    shape
        Unknowns per axis.
    c
        The stencil's eight numbers, 1/h^2 included.
    coarse
        Shape of the next coarser grid; None on the coarsest.
    threads
        The most blocks a sweep is divided into.

    Attributes
    ----------
    grid
        The shape as (planes, rows, columns).
    before, after, counts
        Smoothing steps before and after the coarse-grid correction, cut into sweeps; how many smoothings they are.
    x, b
        Solution and right-hand side, shape `grid`; on the finest grid the caller's arrays, during a solve alone.
    direct
        The solver of the coarsest grid.
    """

    def __init__(self, shape: tuple[int, ...], c: Array, coarse: tuple[int, ...] | None, threads: int) -> None:
        self.shape, self.grid, self.c, self.coarse = shape, as_grid(shape), c, coarse
        below = self.grid if coarse is None else as_grid(coarse)
        self.P, self.R, self.C = linear(self.grid, below), restriction(self.grid, below), cubic(self.grid, below)
        self.blocks = 1 if self.size < SMALL else max(1, min(threads, self.grid[0] // 8))
        self.direct: SineSolver | None = None
        self._nothing, self._no_halo = np.empty((0, 1, 1)), np.empty((2, 0, 1, 1))
        self.release()
        self.set_smoothing([], 0, 0)

    def set_smoothing(self, steps: list[Array], before: int, after: int) -> None:
        """Give the level the steps of its smoothing and how often it is done before and after the coarse-grid correction."""
        self.counts = (before, after)
        self.before, self.after = self.cut(before * steps), self.cut(after * steps)
        longest = max(len(sweep) for sweep in [*self.before, *self.after])
        _, n1, n2 = self.grid
        columns = -(-(n2 + 2 * PAD) // 8) * 8
        columns += 8 * (columns % 512 == 0)  # rows a multiple of 4 KiB apart would share their cache sets
        rows = (n1 if self.coarse is None else as_grid(self.coarse)[1]) + 3
        self.ring = _aligned((self.blocks, longest + 2, 4, n1 + 2 * (n1 > 1), columns))
        self.scratch = _aligned((self.blocks, rows, columns))
        self.halo = _aligned((self.blocks if self.blocks > 1 else 0, 2, longest + 4, n1, n2))

    def allocate(self) -> None:
        """Memory for x and b of a coarse grid."""
        self.x, self.b = np.zeros(self.grid), np.zeros(self.grid)

    def release(self) -> None:
        """Forget the caller's arrays."""
        self.x = self.b = np.empty((0, 0, 0))

    @property
    def size(self) -> int:
        """Unknowns."""
        return math.prod(self.grid)

    @property
    def smooths_before(self) -> bool:
        """Whether anything is done before the coarse-grid correction."""
        return any(len(steps) for steps in self.before)

    @property
    def memory_bytes(self) -> int:
        """x and b (of a coarse grid), workspace and tables."""
        tables = [a for t in (self.P, self.R, self.C) for a in (t.first, t.weights)]
        return sum(a.nbytes for a in [self.x, self.b, self.ring, self.scratch, self.halo, *tables])

    def cut(self, factors: list[Array]) -> list[Array]:
        """Join the steps of factors to sweeps of as many steps as the cache holds; at least one sweep, possibly of no steps."""
        plane = 8 * (self.grid[1] + 2) * (self.grid[2] + 2 * PAD) if self.grid[1] > 1 else 8 * (self.grid[2] + 2 * PAD)
        limit = max(2, min(MAX_STEPS, CACHE // (3 * plane) - 1))
        sweeps: list[list[Array]] = [[]]
        for steps in factors:
            if sum(map(len, sweeps[-1])) + len(steps) > limit:
                sweeps.append([])
            sweeps[-1].append(steps)
        return [np.concatenate([np.empty((0, 2)), *parts]) for parts in sweeps]

    def sweep(
        self,
        start: int,
        sweeps: list[Array],
        *,
        e: Array | None = None,
        P: Tables | None = None,
        to: Array | None = None,
        write: bool = True,
        norm: bool = False,
    ) -> float:
        """Run the sweeps from `start`, the last with restriction to `to` and the residual's square sum."""
        run, tables = kernel(), self.P if P is None else P
        total = 0.0
        for i, steps in enumerate(sweeps):
            last = i + 1 == len(sweeps)
            target = to if last and to is not None else self._nothing
            task = (self.x, self.b, self._nothing if e is None else e, target, start, self.c, steps, write, norm and last)
            transfers = (tables.first, tables.weights, tables.kind, self.R.first, self.R.weights, self.R.kind)
            bounds = self._bounds(target.shape[0])
            if start in (KEEP, ADD):
                self._copy_neighbours(bounds, len(steps) + 4)
            blocks = [(*task, *transfers, *limits, *self._workspace(p)) for p, limits in enumerate(bounds)]
            others = [_pool(self.blocks - 1).submit(run, *block) for block in blocks[1:]]
            total = run(*blocks[0]) + sum(other.result() for other in others)
            start = KEEP
        return total

    def _bounds(self, m: int) -> list[tuple[int, int, int, int]]:
        """For each block its planes lo .. hi - 1, and the j0 .. j1 - 1 of the m coarse planes that it restricts to."""
        coarse = [p * m // self.blocks for p in range(self.blocks + 1)]
        fine = [p * self.grid[0] // self.blocks for p in range(self.blocks + 1)]
        if m:
            fine[1:-1] = [int(self.R.first[0, j]) for j in coarse[1:-1]]
        return list(zip(fine[:-1], fine[1:], coarse[:-1], coarse[1:], strict=True))

    def _copy_neighbours(self, bounds: list[tuple[int, int, int, int]], depth: int) -> None:
        """Copy `depth` planes of x on either side of each block, before anything is overwritten."""
        n, most = self.grid[0], self.halo.shape[2]
        for p, (lo, hi, _, _) in enumerate(bounds[: self.halo.shape[0]]):
            first, end = max(lo - depth, 0), min(hi + depth, n)
            self.halo[p, 0, most - (lo - first) :] = self.x[first:lo]
            self.halo[p, 1, : end - hi] = self.x[hi:end]

    def _workspace(self, p: int) -> tuple[Array, Array, Array]:
        return self.ring[p], self.scratch[p], self.halo[p] if self.blocks > 1 else self._no_halo

    def residual_square(self, start: int = KEEP) -> float:
        """||b - A x||_2^2 (||b||_2^2 from ZERO)."""
        return self.sweep(start, [np.empty((0, 2))], write=False, norm=True)

    def solve_directly(self) -> None:
        """x = A^-1 b on the coarsest grid."""
        assert self.direct is not None
        self.x[...] = self.direct(self.b)
