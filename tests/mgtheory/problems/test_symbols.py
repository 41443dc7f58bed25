"""Symbols and channel eigenvalues against the matrices of periodic grids."""

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory import Hierarchy
from mgtheory.problems.stencils import Stencil, laplacian, mehrstellen, multilinear, tensor
from mgtheory.problems.symbols import (
    channel_eigenvalues,
    complex_symbols,
    grid_frequencies,
    harmonic_symbols,
    spectral_radius,
    symbol,
    the_stencil,
)


def same_set(found, expected):
    """Largest distance of either set to the other."""
    distance = np.abs(np.ravel(found)[:, None] - np.ravel(expected)[None])
    return max(distance.min(axis=0).max(), distance.min(axis=1).max())


@pytest.mark.parametrize("shape", [(8,), (4, 6), (3, 5), (4, 2, 3)])
def test_symbols_are_eigenvalues_with_fourier_modes(shape):
    rng = np.random.default_rng(len(shape))
    stencil = Stencil.from_array(rng.standard_normal((3,) * len(shape)))
    matrix, points = stencil.periodic(shape), np.indices(shape).reshape(len(shape), -1)
    for theta in grid_frequencies(shape).reshape(-1, len(shape)):
        mode = np.exp(1j * theta @ points)
        np.testing.assert_allclose(matrix @ mode, symbol(stencil, theta) * mode, atol=1e-12)


def test_frequencies_contain_the_ends_exactly():
    theta = grid_frequencies((8, 12))
    assert theta.shape == (8, 12, 2)
    assert theta.max() == np.pi
    assert theta.min() > -np.pi
    assert {-np.pi / 2, 0.0, np.pi / 2} <= set(theta[:, 0, 0])
    assert (np.diff(theta[:, 0, 0]) > 0).all()


@pytest.mark.parametrize("order", [2, 4, 8])
def test_harmonics_are_shifted_frequencies(order):
    stencil = Stencil.from_array(np.random.default_rng(0).standard_normal((3, 3)))
    turns = np.array([[0, 0], [1, 0], [order - 1, order // 2]])
    theta = np.array([[0.3, -0.2], [1e-3, 0.1]])
    shifted = theta[:, None] + 2 * np.pi * turns / order
    np.testing.assert_allclose(
        harmonic_symbols(stencil, theta, turns, order)[..., 0, 0],
        symbol(stencil, shifted),
        atol=1e-13,
    )


@pytest.mark.parametrize("stencil", [laplacian(2), multilinear(2), mehrstellen(2)])
def test_symbols_are_accurate_near_zero(stencil):
    # relative, where plain summation would have lost every digit; what remains is the rounding of
    # the taps
    theta = 1e-7 * np.array([0.6, 0.8])
    assert symbol(stencil, theta).real == pytest.approx(1e-14, rel=1e-12)


def test_transfers_and_fourth_order_operators_near_zero():
    theta = 1e-5 * np.array([[0.6, 0.8]])
    near_pi = harmonic_symbols(
        tensor((0.25, 0.5, 0.25), (0.25, 0.5, 0.25)), theta, np.array([[1, 0]]), 2
    )
    assert near_pi[0, 0, 0, 0].real == pytest.approx(
        np.sin(theta[0, 0] / 2) ** 2 * np.cos(theta[0, 1] / 2) ** 2, rel=1e-4
    )
    # terms of size theta^2 cancel to theta^4: a rounding of 1e-16 / theta^2 remains
    assert symbol(laplacian(2) @ laplacian(2), theta[0]).real == pytest.approx(1e-20, rel=1e-4)


@pytest.mark.parametrize(
    ("channels", "shape"), [(1, (4, 4)), (3, (4, 6)), (3, (5, 4)), (2, (7,)), (2, (2, 3))]
)
def test_channel_eigenvalues_are_those_of_the_periodic_matrix(channels, shape):
    kernel = np.random.default_rng(channels).standard_normal(
        (channels, channels, *(3,) * len(shape))
    )
    found = channel_eigenvalues(kernel, shape)
    assert found.shape == (*shape, channels)
    matrix = Stencil.from_array(kernel, channels=True).periodic(shape).toarray()
    assert same_set(found, np.linalg.eigvals(matrix)) < 1e-11


def test_channel_eigenvalues_stand_at_their_frequencies():
    kernel = np.random.default_rng(4).standard_normal((3, 3, 3, 3))
    found, theta = channel_eigenvalues(kernel, (6, 4)), grid_frequencies((6, 4))
    for place in ((0, 0), (5, 1), (3, 3)):
        assert (
            same_set(
                found[place], np.linalg.eigvals(symbol(Stencil.from_array(kernel), theta[place]))
            )
            < 1e-12
        )
    complex_kernel = kernel * np.exp(0.3j)
    matrix = Stencil.from_array(complex_kernel).periodic((3, 4)).toarray()
    assert same_set(channel_eigenvalues(complex_kernel, (3, 4)), np.linalg.eigvals(matrix)) < 1e-11


def test_the_sign_of_the_frequency_is_the_cross_correlation():
    # u(x + 1) on exp(i theta x) gives exp(+i theta)
    assert symbol(Stencil(((1,),), np.ones(1)), 0.7) == pytest.approx(np.exp(0.7j))


def test_spectral_radius_of_infinite_matrices_is_infinite():
    matrices = np.stack([np.diag([0.5, -2.0]), np.full((2, 2), np.inf)])
    np.testing.assert_array_equal(spectral_radius(matrices), [2.0, np.inf])


def test_wrong_input_is_refused():
    class Variable:
        name, stencil = "variable2d", None

    with pytest.raises(ValueError, match="constant coefficients"):
        the_stencil(Variable())
    with pytest.raises(ValueError, match="last axis of length 2"):
        symbol(laplacian(2), np.zeros(3))
    with pytest.raises(ValueError, match="positive integers"):
        grid_frequencies((4, 0))
    with pytest.raises(ValueError, match="2 entries"):
        channel_eigenvalues(np.ones((2, 2, 3, 3)), (4,))


def test_of_a_matrix_a_level_has_the_stencil():
    """Where it is even; else, and of the bare matrix, the error says so."""
    even, wind = (
        sp.diags_array(taps, offsets=[-1, 0, 1], shape=(15, 15)).tocsr()
        for taps in ([-1.0, 2.0, -1.0], [-1.5, 2.0, -0.5])
    )
    level = Hierarchy.build(even, shape=15).levels[0]
    assert the_stencil(level).values.ravel().tolist() == [-1.0, 2.0, -1.0]
    with pytest.raises(ValueError, match=r"got csr_array; of a matrix take Problem.*Hierarchy"):
        the_stencil(even)
    level = Hierarchy.build(wind, shape=15).levels[0]
    for given in (level, level.stencil):
        with pytest.raises(ValueError, match=r"got \w+: of a matrix, .* even along every axis"):
            the_stencil(given)


def test_samples_of_a_complex_symbol_are_those_of_one_channel():
    """Of several Ahat is a matrix; of an even stencil it is real."""
    kernel = np.random.default_rng(0).standard_normal((2, 2, 3, 3))
    assert complex_symbols(Stencil.from_array(kernel)) is None
    assert complex_symbols(laplacian(2)) is None
    one = complex_symbols(Stencil.from_array(kernel[0, 0]), axes=(0,))
    assert one.shape == (32 * (32 // 2 + 1),)  # |theta_0| >= pi/2
    assert np.abs(one.imag).max() > 0.1


@pytest.mark.parametrize("size", [1, 2])
def test_the_radius_of_what_is_not_finite_is_infinite(size):
    stack = np.stack([np.full((size, size), value) for value in (np.nan, np.inf, -3.0)])
    np.testing.assert_allclose(spectral_radius(stack), [np.inf, np.inf, 3.0 * size])
