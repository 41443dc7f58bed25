"""Local maxima: all found, positions and values right, ends included, infinities allowed."""

import numpy as np

from mgtheory.polynomials.peaks import angular_grid, local_maxima


def test_grid_reaches_both_ends_without_rounding():
    grid = angular_grid(0.1, 0.7, 5)
    assert (grid[0], grid[-1]) == (0.1, 0.7)
    assert np.all(np.diff(grid) > 0)


def test_all_maxima_of_a_chebyshev_polynomial():
    k = 9
    where, values = local_maxima(
        lambda x: np.abs(np.cos(k * np.arccos(np.clip(x, -1, 1)))), angular_grid(-1, 1, k)
    )
    np.testing.assert_allclose(values, 1, atol=1e-14)
    # flat: half of the digits
    np.testing.assert_allclose(np.sort(where), np.cos(np.pi * np.arange(k, -1, -1) / k), atol=1e-7)


def test_a_peak_between_grid_points_and_an_infinity():
    where, values = local_maxima(lambda x: -np.abs(x - 0.123456), np.linspace(0, 1, 11))
    np.testing.assert_allclose((where, values), ([0.123456], [0]), atol=1e-10)
    _, values = local_maxima(lambda x: np.where(x > 0.5, np.inf, x), np.linspace(0, 1, 11))
    assert values.max() == np.inf
