"""Stencils: named discretisations, algebra and matrices against dense twins."""

import numpy as np
import pytest
from scipy.ndimage import correlate

from mgtheory.fourier.relaxation import splitting
from mgtheory.problems.catalogue import create
from mgtheory.problems.stencils import (
    STENCILS,
    Stencil,
    anisotropic,
    laplacian,
    mehrstellen,
    multilinear,
    named,
    rotated_anisotropic,
    tensor,
)
from mgtheory.problems.symbols import symbol
from mgtheory.smoothers import GaussSeidel

ROUND = 1e-13  # sums of a few dozen numbers of size 1


def random_stencil(rng, dim, channels=None):
    shape = (3, 5, 3)[:dim]
    return Stencil.from_array(
        rng.standard_normal(shape if channels is None else (channels, channels, *shape)),
        channels=channels is not None,
    )


def test_couplings_are_the_mean_of_both_sides():
    """Of -u_xx - u_yy/4 with an upwind wind along x: 1 to one side and 3 to the other."""
    stencil = Stencil([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)], [4.5, -1, -3, -0.25, -0.25])
    assert stencil.couplings() == pytest.approx((2.0, 0.25))


@pytest.mark.parametrize("name", STENCILS)
def test_named_stencils_are_consistent(name):
    stencil = named(name)
    assert stencil.dim == STENCILS[name].dim
    assert abs(stencil.values.sum()) < 1e-14
    np.testing.assert_allclose(stencil.adjoint.to_array(), stencil.to_array(), atol=0)
    theta = np.random.default_rng(0).uniform(-np.pi, np.pi, (200, stencil.dim))
    values = symbol(stencil, theta)
    assert np.abs(values.imag).max() < ROUND
    assert values.real.min() > 0


@pytest.mark.parametrize("name", [name for name in STENCILS if "anisotropic" not in name])
def test_order_of_the_symbol(name):
    # |theta|^2 - |theta|^4/12 is what the averaged right-hand side of a compact fourth-order scheme
    # cancels
    stencil = named(name)
    direction = np.array([1.0, 0.6, -0.3])[: stencil.dim]
    compact = name in ("9-point", "19-point")
    errors = []
    for size in (0.2, 0.1):
        square = size**2 * float(direction @ direction)
        exact = square - square**2 / 12 if compact else square
        errors.append(abs(symbol(stencil, size * direction).real - exact) / square)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4 if compact else 2, abs=0.1)


def test_literal_values():
    np.testing.assert_array_equal(laplacian(2).to_array(), [[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    np.testing.assert_allclose(
        6 * mehrstellen(2).to_array(), [[-1, -4, -1], [-4, 20, -4], [-1, -4, -1]], atol=1e-14
    )
    np.testing.assert_allclose(
        3 * multilinear(2).to_array(), [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], atol=1e-14
    )
    np.testing.assert_allclose(
        6 * mehrstellen(3).to_array()[0], [[0, -1, 0], [-1, -2, -1], [0, -1, 0]], atol=1e-14
    )
    np.testing.assert_array_equal(
        anisotropic((1, 0.25)).to_array(), [[0, -1, 0], [-0.25, 2.5, -0.25], [0, -1, 0]]
    )
    np.testing.assert_array_equal(tensor((1, 2, 1), (0, 1, 0)).to_array(), [[1], [2], [1]])


def test_rotation_by_a_right_angle_exchanges_the_axes():
    np.testing.assert_allclose(
        rotated_anisotropic(0.1, np.pi / 2).to_array(),
        anisotropic((0.1, 1.0)).to_array(),
        atol=1e-15,
    )
    # along the weak axis (cos 120, sin 120) the second derivative counts epsilon
    theta = 1e-3 * np.array([np.cos(2 * np.pi / 3), np.sin(2 * np.pi / 3)])
    assert symbol(rotated_anisotropic(0.1, np.pi / 6), theta).real / 1e-6 == pytest.approx(
        0.1, rel=1e-5
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("5-point", "poisson2d"),
        ("9-point", "poisson2d-9point"),
        ("q1", "poisson2d-q1"),
        ("7-point", "poisson3d"),
    ],
)
def test_problems_have_these_stencils(name, problem):
    np.testing.assert_allclose(
        create(problem, 7).stencil.to_array() / 8**2, named(name).to_array(), atol=1e-13
    )


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
def test_matrix_is_the_cross_correlation(dim, boundary):
    rng = np.random.default_rng(dim)
    stencil, shape = random_stencil(rng, dim), (6, 5, 4)[:dim]
    u = rng.standard_normal(shape)
    expected = correlate(
        u, stencil.to_array(), mode="wrap" if boundary == "periodic" else "constant"
    )
    matrix = getattr(stencil, boundary)(shape)
    np.testing.assert_allclose((matrix @ u.ravel()).reshape(shape), expected, atol=ROUND)


@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
def test_coupled_channels_are_a_convolution_layer(boundary):
    rng = np.random.default_rng(5)
    kernel, u = rng.standard_normal((3, 3, 3, 3)), rng.standard_normal((3, 4, 6))
    mode = "wrap" if boundary == "periodic" else "constant"
    expected = np.stack(
        [sum(correlate(u[q], kernel[p, q], mode=mode) for q in range(3)) for p in range(3)]
    )
    matrix = getattr(Stencil.from_array(kernel), boundary)((4, 6))
    np.testing.assert_allclose((matrix @ u.ravel()).reshape(u.shape), expected, atol=ROUND)


@pytest.mark.parametrize("channels", [None, 2])
def test_algebra_is_that_of_the_matrices(channels):
    rng = np.random.default_rng(7)
    a, b = random_stencil(rng, 2, channels), random_stencil(rng, 2, channels)
    shape = (6, 7)
    A, B = a.periodic(shape).toarray(), b.periodic(shape).toarray()
    for combined, dense in (
        (a + b, A + B),
        (a - 2 * b, A - 2 * B),
        (-a / 4, -A / 4),
        (a @ b, A @ B),
        (a.adjoint, A.T),
    ):
        np.testing.assert_allclose(combined.periodic(shape).toarray(), dense, atol=ROUND * 100)
    turned = a * 1j + b  # the adjoint is that of complex values too
    dense = (1j * A + B).conj().T
    np.testing.assert_allclose(turned.adjoint.periodic(shape).toarray(), dense, atol=ROUND * 100)


def test_array_round_trip_and_small_periodic_grids():
    rng = np.random.default_rng(3)
    kernel = rng.standard_normal((2, 2, 3, 5))
    np.testing.assert_array_equal(Stencil.from_array(kernel).to_array(), kernel)
    assert Stencil.from_array(kernel).channels == 2
    assert Stencil.from_array(np.ones((3, 3, 3))).dim == 3
    assert Stencil.from_array(np.ones((3, 3, 3)), channels=True).dim == 1
    # a grid with two points sees both neighbours in one
    np.testing.assert_array_equal(laplacian(1).periodic((2,)).toarray(), [[2, -2], [-2, 2]])
    np.testing.assert_array_equal(laplacian(1).dirichlet((2,)).toarray(), [[2, -1], [-1, 2]])


def test_subsampled_product_is_galerkin():
    full, linear = tensor((0.25, 0.5, 0.25)), tensor((0.5, 1, 0.5))
    np.testing.assert_array_equal(
        (full @ laplacian(1) @ linear).subsampled(2).to_array(), [-0.25, 0.5, -0.25]
    )


def test_values_are_kept_from_change():
    values = np.array([2.0, -1.0])
    stencil = Stencil(((0,), (1,)), values)
    values[0] = 7.0
    assert stencil.values[0] == 2.0
    with pytest.raises(ValueError, match="read-only"):
        stencil.values[0] = 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: named("6-point"), "known are: 3-point"),
        (lambda: Stencil(((0,), (0,)), np.ones(2)), "distinct"),
        (lambda: Stencil(((0,), (0, 1)), np.ones(2)), "common length"),
        (lambda: Stencil(((0,), (1,)), np.ones(3)), r"shape \(2,\)"),
        (lambda: Stencil(((0,),), np.array([np.nan])), "finite"),
        (lambda: Stencil.from_array(np.ones((2, 3))), "odd extents"),
        (lambda: Stencil.from_array(np.ones((2, 3, 3, 3))), "2 out, 3 in"),
        (lambda: laplacian(1) + laplacian(2), "agree in dimension"),
        (lambda: laplacian(2).periodic((4,)), "must be positive integers, one for 2 axes"),
        (lambda: anisotropic((1.0, 0.0)), "positive"),
        (lambda: mehrstellen(1), r"dim is \d, allowed are 2, 3"),
        (lambda: laplacian(4), "dim is 4, allowed are 1, 2, 3"),
    ],
)
def test_wrong_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_splitting_of_a_sweep_is_what_comes_before():
    """The row above and the point to the left, all of the 9-point stencil's; what comes after,
    backward; the centre over omega."""
    before = {(-1, -1), (-1, 0), (-1, 1), (0, -1)}
    for backward in (False, True):
        split = splitting(GaussSeidel(backward=backward, omega=1.25), named("9-point"))
        centre = split.offsets.index((0, 0))
        assert {k for k in split.offsets if k != (0, 0)} == (
            {tuple(-j for j in k) for k in before} if backward else before
        )
        assert split.matrices[centre].item() == pytest.approx(
            named("9-point").diagonal.item() / 1.25
        )
