"""The solver of the coarsest grid: the sine transform, exact for constant stencils."""

from __future__ import annotations

import functools

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from mgtheory.matrixfree.operators import symbol_values
from mgtheory.matrixfree.tables import Grid

Array = NDArray[np.float64]


class SineSolver:
    """e = A^-1 r by the sine transform, exact for these stencils: products with sine matrices where
    all axes are short, else SciPy's."""

    def __init__(self, c: Array, grid: Grid) -> None:
        angles = [np.pi * np.arange(1, n + 1) / (n + 1) for n in grid]
        eigenvalues = symbol_values(c, [2.0 * np.cos(t) for t in angles])
        if np.min(np.abs(eigenvalues)) <= 1e-14 * np.max(np.abs(eigenvalues)):
            raise ValueError("the coarsest operator is singular")
        self._inverse = 1.0 / eigenvalues
        self._matrices: list[Array] | None = None
        if max(grid) <= 96:
            self._matrices = [
                np.sqrt(2.0 / (n + 1)) * np.sin(np.outer(np.arange(1, n + 1), t))
                for n, t in zip(grid, angles, strict=True)
            ]

    def single(self, unit: float) -> SineSolver:
        """The same for A / unit in float32."""
        made = object.__new__(SineSolver)
        made._inverse = (self._inverse * unit).astype(np.float32)
        matrices = self._matrices
        made._matrices = None if matrices is None else [s.astype(np.float32) for s in matrices]
        return made

    def _transform(self, v: Array) -> Array:
        if self._matrices is None:
            return np.asarray(scipy.fft.dstn(v, type=1, norm="ortho"))
        s0, s1, s2 = self._matrices
        if v.shape[1] == 1:
            return (s0 @ v[:, 0] @ s2)[:, None]
        # plane by plane: a BLAS shares the products of all of them between threads of its own,
        # which wait for each other longer than it takes, 100 times as long on a busy machine
        v = np.matmul(np.matmul(s1, v), s2)
        result = np.empty_like(v)
        np.matmul(s0, v.transpose(1, 0, 2), out=result.transpose(1, 0, 2))
        return result

    def __call__(self, r: Array) -> Array:
        """A^-1 r, shape of the grid."""
        return self._transform(self._transform(r) * self._inverse)


@functools.lru_cache(maxsize=4)  # each has a vector of its grid
def sine_solver(c: bytes, grid: Grid) -> SineSolver:
    """That of a stencil's eight numbers, kept for the next set-up."""
    return SineSolver(np.frombuffer(c).reshape(2, 2, 2), grid)
