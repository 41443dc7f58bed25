"""Constant stencils that reach one point and are symmetric in every axis: eight numbers, their
symbol, Galerkin product and inverse.

Every grid is seen as (planes, rows, columns): (n,) is (1, 1, n), (n0, n1) is (n0, 1, n1). The
stencil is c[i, j, k] for the absolute offsets; its symbol sum c[i, j, k] (2 cos t_0)^i (2 cos
t_1)^j (2 cos t_2)^k is multi-affine in the cosines, so its range is found in corners, and it gives
the eigenvalues for the coarsest solve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from mgtheory.polynomials.factors import Factor
from mgtheory.polynomials.residual import ResidualPolynomial

__all__ = [
    "Grid",
    "SineSolver",
    "as_grid",
    "eight_numbers",
    "galerkin",
    "places",
    "smoothing_steps",
    "symbol_range",
]

Array = NDArray[np.float64]
Grid = tuple[int, int, int]


def eight_numbers(stencil: Array) -> Array:
    """c[i, j, k] of shape (2, 2, 2) from a stencil of shape (3,), (3, 3) or (3, 3, 3); extents may
    be 1.

    Raises
    ------
    ValueError
        If the stencil reaches further than one point or is not symmetric in every axis.
    """
    given = np.asarray(stencil, dtype=float)
    if any(n not in (1, 3) for n in given.shape):
        raise ValueError(
            "the matrix-free cycle takes stencils that reach one point, got an array of shape"
            f" {given.shape}"
        )
    full = np.zeros((3,) * given.ndim)
    full[tuple(slice(1, 2) if n == 1 else slice(None) for n in given.shape)] = given
    for axis in range(given.ndim):
        if not np.allclose(full, np.flip(full, axis), rtol=1e-12, atol=1e-14 * np.abs(full).max()):
            raise ValueError(
                "the matrix-free cycle takes stencils that are symmetric in every axis, this one"
                f" is not along axis {axis}"
            )
    half = full[(slice(1, 3),) * given.ndim]
    c = np.zeros((2, 2, 2))
    c[tuple(slice(0, 2) if a in places(given.ndim) else 0 for a in range(3))] = half
    return c


def places(dim: int) -> tuple[int, ...]:
    """Which of (planes, rows, columns) the axes of a grid are."""
    return {1: (2,), 2: (0, 2), 3: (0, 1, 2)}[dim]


def as_grid(shape: Sequence[int]) -> Grid:
    """(planes, rows, columns) of a grid of 1 to 3 axes."""
    grid = [1, 1, 1]
    for place, n in zip(places(len(shape)), shape, strict=True):
        grid[place] = int(n)
    return grid[0], grid[1], grid[2]


def _evaluate(c: Array, doubled_cosines: Sequence[Any]) -> Any:
    """sum c[i, j, k] u_0^i u_1^j u_2^k, with broadcasting."""
    return sum(
        c[p] * math.prod((u for u, q in zip(doubled_cosines, p, strict=True) if q), start=1.0)
        for p in np.ndindex(2, 2, 2)
        if c[p] != 0.0
    )


def symbol_range(c: Array, axes: Sequence[int]) -> tuple[float, float]:
    """Exact range of the symbol over the frequencies with some |t_j| >= pi/2 on one of the given
    axes."""
    # rows (1, 2 cos t) at the ends
    whole, high = np.array([[1.0, -2.0], [1.0, 2.0]]), np.array([[1.0, -2.0], [1.0, 0.0]])
    corners = []
    for j in axes:
        u0, u1, u2 = (high if i == j else whole for i in range(3))
        corners.append(u1 @ (u0 @ c.reshape(2, 4)).reshape(2, 2, 2) @ u2.T)
    return float(np.min(corners)), float(np.max(corners))


def galerkin(c: Array, axes: Sequence[int]) -> Array:
    """R A P of the stencil with linear interpolation and full weighting, axes coarsened by nested
    halving."""
    full = c
    for a in range(3):
        full = np.concatenate([np.take(full, [1], axis=a), full], axis=a)
    for a in axes:
        # R A P along an axis: convolve with (1, 2, 1)/4 and (1, 2, 1)/2 and keep every second
        # offset
        taps = np.array([[4.0, 1.0, 0.0], [4.0, 6.0, 4.0], [0.0, 1.0, 4.0]]) / 8.0
        full = np.moveaxis(np.tensordot(taps, full, axes=(1, a)), 0, a)
    return np.ascontiguousarray(full[1:, 1:, 1:])


def smoothing_steps(polynomial: ResidualPolynomial) -> list[Array]:
    """The polynomial as steps x_i = x_{i-1} + omega r_{i-1} + mu (x_{i-1} - x_{i-2}), one array of
    (omega, mu) rows for each real factor.

    A pair with correction c_0 r + c_1 A r, c_1 < 0 (a conjugate one), is two steps with omega =
    (-c_1)^(1/2), the second with mu = c_0/omega - 2: the first gives A r = (r_0 - r_1)/omega
    without another product.
    """
    return [
        _factor_steps(factor)
        for factor in polynomial.factors
        if any(factor.correction_coefficients)
    ]


def _factor_steps(factor: Factor) -> Array:
    c = factor.correction_coefficients
    if len(c) == 1:
        return np.array([[c[0], 0.0]])
    if len(c) > 2 or c[1] >= 0.0:
        raise TypeError(f"no steps for a {factor.kind} factor with the terms {c}")
    omega = (-c[1]) ** 0.5
    return np.array([[omega, 0.0], [omega, c[0] / omega - 2.0]])


class SineSolver:
    """e = A^-1 r by the sine transform, exact for these stencils: products with sine matrices where
    all axes are short, else SciPy's."""

    def __init__(self, c: Array, grid: Grid) -> None:
        angles = [np.pi * np.arange(1, n + 1) / (n + 1) for n in grid]
        cosines = [
            (2.0 * np.cos(t)).reshape([-1 if i == a else 1 for i in range(3)])
            for a, t in enumerate(angles)
        ]
        eigenvalues = np.broadcast_to(_evaluate(c, cosines), grid)
        if np.min(np.abs(eigenvalues)) <= 1e-14 * np.max(np.abs(eigenvalues)):
            raise ValueError("the coarsest operator is singular")
        self._inverse = 1.0 / eigenvalues
        self._matrices: list[Array] | None = None
        if max(grid) <= 96:
            self._matrices = [
                np.sqrt(2.0 / (n + 1)) * np.sin(np.outer(np.arange(1, n + 1), t))
                for n, t in zip(grid, angles, strict=True)
            ]

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
