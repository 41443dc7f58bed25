"""Local maxima of a smooth function on an interval: a grid fine enough to see all of them, then a
zoom onto each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import own_errors

Array = NDArray[np.float64]
# grid points a degree: a polynomial of degree k turns at most k times over the angle
PER_DEGREE = 16
# each shrinks the bracket by 4: 1e-11 of the grid's width; the value at a maximum is then exact to
# rounding
ZOOMS = 18


@own_errors
def angular_grid(a: float, b: float, degree: int) -> Array:
    """a + (b - a) sin^2(theta/2) on an even grid of theta in [0, pi], both ends included: dense
    where polynomials of that degree oscillate fastest."""
    theta = np.linspace(0.0, np.pi, PER_DEGREE * degree + 33)
    return np.where(
        theta < 0.5 * np.pi,
        a + (b - a) * np.sin(0.5 * theta) ** 2,
        b - (b - a) * np.cos(0.5 * theta) ** 2,
    )


@own_errors
def local_maxima(function: Callable[[Array], Array], grid: Array) -> tuple[Array, Array]:
    """Positions and values of the local maxima of a function over an ascending grid, its ends
    included, each refined between its neighbours.

    The function is elementwise on arrays of any shape; +infinity allowed. The grid has shape (n,),
    n >= 3.
    """
    values = function(grid)
    left = np.concatenate(([-np.inf], values[:-1]))
    right = np.concatenate((values[1:], [-np.inf]))
    peaks = np.flatnonzero((values >= left) & (values >= right))
    best, height = grid[peaks], values[peaks]
    low, high = grid[np.maximum(peaks - 1, 0)], grid[np.minimum(peaks + 1, grid.size - 1)]
    row = np.arange(peaks.size)
    for _ in range(ZOOMS):
        samples = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, 9)
        heights = function(samples)
        top = np.argmax(heights, axis=1)
        place = samples[row, top]
        best = np.where(heights[row, top] > height, place, best)
        height = np.maximum(heights[row, top], height)
        quarter = 0.125 * (high - low)
        low, high = np.maximum(place - quarter, low), np.minimum(place + quarter, high)
    return best, height
