"""Transfers: exactness on polynomials, dense twins, full and half weighting, any sizes and
boundaries."""

import numpy as np
import pytest

from mgtheory.multigrid.transfer import (
    TensorOperator,
    coarse_size,
    injection,
    interpolation,
    lagrange,
    linear,
    restriction,
)
from mgtheory.problems.grids import Boundary, coordinates

SIZES = (3, 4, 5, 8, 9, 14, 15, 16, 33)
LINES = [(n, boundary) for n in SIZES for boundary in Boundary]


@pytest.mark.parametrize(("n", "boundary"), LINES)
def test_linear_reproduces_linear_functions_inside(n, boundary):
    m = coarse_size(n, boundary)
    fine, coarse = coordinates(n, boundary), coordinates(m, boundary)
    inside = (fine >= coarse[0]) & (fine <= coarse[-1])
    np.testing.assert_allclose(
        (linear(n, m, boundary) @ (3.0 * coarse - 1.0))[inside],
        (3.0 * fine - 1.0)[inside],
        atol=1e-12,
    )


@pytest.mark.parametrize(("n", "boundary"), LINES)
def test_constants_and_totals(n, boundary):
    """P 1 = 1 but next to a Dirichlet boundary, where it falls linearly to 0; else R keeps the
    integral, sum H (R v) = sum h v."""
    m = coarse_size(n, boundary)
    ones = linear(n, m, boundary) @ np.ones(m)
    if boundary is Boundary.DIRICHLET:
        np.testing.assert_allclose(
            ones,
            np.minimum(
                1.0, np.minimum(coordinates(n, boundary), 1 - coordinates(n, boundary)) * (m + 1)
            ),
        )
    else:
        np.testing.assert_allclose(ones, 1.0, atol=1e-13)
        totals = restriction((n,), (m,), boundary).toarray().sum(axis=0) / m
        np.testing.assert_allclose(totals, 1.0 / n, rtol=1e-12)


@pytest.mark.parametrize(("n", "boundary"), LINES)
def test_lagrange_reproduces_polynomials(n, boundary):
    """Degree points - 1 everywhere; on a periodic grid a polynomial does not wrap, so only where
    the nodes do not."""
    m = coarse_size(n, boundary)
    fine, coarse = coordinates(n, boundary), coordinates(m, boundary)
    for points in (4, 6):
        degree = min(points, m) - 1
        P = lagrange(n, m, boundary, points=points)
        chosen = np.ones(n, dtype=bool)
        if boundary is Boundary.PERIODIC:
            chosen = np.array(
                [np.ptp(np.flatnonzero(row)) < min(points, m - 1) for row in P.toarray()]
            ) & (fine <= coarse[-1])
        np.testing.assert_allclose((P @ coarse**degree)[chosen], (fine**degree)[chosen], atol=1e-9)
        np.testing.assert_allclose(P @ np.ones(m), 1.0, atol=1e-12)


@pytest.mark.parametrize(
    ("n", "m", "boundary"), [(31, 15, Boundary.DIRICHLET), (32, 16, Boundary.PERIODIC)]
)
def test_lagrange_takes_the_nearest_points(n, m, boundary):
    """Halfway between two coarse points: (-1, 9, 9, -1)/16 and (3, -25, 150, 150, -25, 3)/256."""
    # between the coarse points 6 and 7, or 7 and 8
    i = 14 if boundary is Boundary.DIRICHLET else 15
    for points, weights in (
        (4, np.array([-1, 9, 9, -1]) / 16),
        (6, np.array([3, -25, 150, 150, -25, 3]) / 256),
    ):
        row = lagrange(n, m, boundary, points=points).toarray()[i]
        first = (i - 1) // 2 - (points // 2 - 1)
        expected = np.zeros(m)
        expected[first : first + points] = weights
        np.testing.assert_allclose(row, expected, atol=1e-14)


def test_odd_numbers_of_intervals_take_the_number_with_most_factors_of_two():
    """101 intervals become 56 = 8 x 7 and 65 become 32; so do 101 and 65 periodic points."""
    assert [coarse_size(n, Boundary.DIRICHLET) for n in (100, 64, 300)] == [55, 31, 159]
    assert [coarse_size(n, Boundary.PERIODIC) for n in (101, 65, 301)] == [56, 32, 160]
    assert coarse_size(101, Boundary.NEUMANN) == 51


def test_nested_weights():
    P = linear(7, 3, Boundary.DIRICHLET).toarray()
    assert P[:, 1].tolist() == [0, 0, 0.5, 1, 0.5, 0, 0]
    # and no entry that is rounding, on any of them
    assert all(linear(2 * m + 1, m, Boundary.DIRICHLET).nnz == 3 * m for m in (9, 102, 1023))
    R = restriction((7, 7), (3, 3), Boundary.DIRICHLET).toarray().reshape(3, 3, 7, 7)
    np.testing.assert_allclose(R[1, 1, 2:5, 2:5], np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16)
    assert R[1, 1].sum() == pytest.approx(1.0)
    half = (
        restriction((7, 7), (3, 3), Boundary.DIRICHLET, kind="half").toarray().reshape(3, 3, 7, 7)
    )
    np.testing.assert_allclose(
        half[1, 1, 2:5, 2:5], np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 8
    )
    # along one axis alone they are one
    one, two = (
        restriction((7, 5), (3, 5), Boundary.DIRICHLET, kind=kind).toarray()
        for kind in ("half", "full")
    )
    np.testing.assert_allclose(one, two, atol=1e-15)
    assert injection(8, 4, Boundary.PERIODIC).toarray()[1].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    cells = linear(8, 4, Boundary.NEUMANN).toarray()
    assert cells[2].tolist() == [0.25, 0.75, 0, 0]
    assert cells[0].tolist() == [1, 0, 0, 0]


def test_restriction_is_a_multiple_of_the_transpose():
    for boundary in Boundary:
        fine, coarse = (9, 12), tuple(coarse_size(n, boundary) for n in (9, 12))
        P, R = (
            interpolation(fine, coarse, boundary).toarray(),
            restriction(fine, coarse, boundary).toarray(),
        )
        factor = R.sum() / P.sum()
        np.testing.assert_allclose(R, factor * P.T, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_axis_by_axis_is_the_kronecker_product(dtype):
    """Vectors and blocks, in 1D to 3D, with an axis that is left alone; 10 roundings of its type
    allowed."""
    generator = np.random.default_rng(3)
    for fine, coarse in (
        ((9,), (4,)),
        ((9, 8), (4, 8)),
        ((5, 6, 7), (2, 3, 3)),
        ((5, 6, 7), (5, 6, 3)),
    ):
        real = np.dtype(dtype).type(0).real.dtype
        for T in (
            interpolation(fine, coarse, Boundary.DIRICHLET),
            restriction(fine, coarse, Boundary.DIRICHLET),
        ):
            dense = T.toarray()
            T = T.astype(real)
            assert T.nnz == np.count_nonzero(dense)
            for tail in ((), (3,)):
                x = generator.standard_normal((T.shape[1], *tail)).astype(dtype)
                np.testing.assert_allclose(T @ x, dense @ x, atol=20 * np.finfo(dtype).eps)
                assert (T @ x).dtype == dtype
            np.testing.assert_allclose(T.T.toarray(), dense.T, atol=1e-7)
    with pytest.raises(ValueError, match=r"got an array of shape \(3,\)"):
        TensorOperator([linear(9, 4, Boundary.DIRICHLET)]) @ np.ones(3)


@pytest.mark.parametrize("boundary", Boundary)
def test_coarse_sizes_go_down_to_two(boundary):
    """Every size is about halved, intervals between 0.48 and 0.56 once there are enough of them;
    odd Dirichlet sizes stay nested."""
    for n in range(3, 400):
        m = coarse_size(n, boundary)
        extra = int(boundary is Boundary.DIRICHLET)
        assert 1 <= m < n
        if n > 12:
            assert 0.48 <= (m + extra) / (n + extra) <= 0.56
    assert coarse_size(2, boundary) == 2
    assert coarse_size(1023, Boundary.DIRICHLET) == 511
    assert coarse_size(64, Boundary.PERIODIC) == 32


def test_refusals():
    with pytest.raises(ValueError, match="known are: linear, cubic, quintic"):
        interpolation((7,), (3,), Boundary.DIRICHLET, kind="spline")
    with pytest.raises(ValueError, match="unknown interpolation"):
        interpolation((7,), (3,), Boundary.DIRICHLET, kind=["linear"])
    with pytest.raises(ValueError, match="known are: full, half, injection"):
        restriction((7,), (3,), Boundary.DIRICHLET, kind="none")
    with pytest.raises(ValueError, match="need nested grids, got 8 and 4"):
        restriction((8,), (4,), Boundary.DIRICHLET, kind="half")
