"""Eigenvalues of periodic convolutions against dense matrices, smoothing factors against the
numbers of theory."""

import numpy as np
import pytest

from analysis.levels.effective import propagator
from analysis.levels.report import known_eigenvalues
from analysis.levels.spectra import damping, half_plane, matrix_symbol, verdict_of
from analysis.levels.state import LevelState, StepState
from mgtheory import ResidualPolynomial
from mgtheory.polynomials.classical import chebyshev, chebyshev4
from mgtheory.polynomials.factors import Linear
from mgtheory.problems.symbols import grid_frequencies
from nets.start.spectrum import convolution_spectrum

FIVE = np.array([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])


def per_channel(stencil, channels):
    weights = np.zeros((channels, channels, *stencil.shape))
    weights[np.arange(channels), np.arange(channels)] = stencil
    return weights


@pytest.mark.parametrize("shape", [(5, 4), (6, 6), (3, 7)])
def test_matrix_symbol_acts_on_fourier_modes(shape):
    rng = np.random.default_rng(1)
    weights, v = rng.standard_normal((2, 2, 3, 3)), rng.standard_normal(2)
    y, x = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    for theta in grid_frequencies(shape).reshape(-1, 2):
        wave = v[:, None, None] * np.exp(1j * (theta[0] * y + theta[1] * x))
        image = sum(
            np.einsum(
                "oi,ihw->ohw", weights[:, :, a, b], np.roll(wave, (1 - a, 1 - b), axis=(1, 2))
            )
            for a in range(3)
            for b in range(3)
        )
        expected = matrix_symbol(weights, theta[None])[0] @ v
        # sums of 18 rounded terms of order 1
        np.testing.assert_allclose(image[:, 0, 0], expected, atol=1e-13)


def test_half_plane_covers_every_frequency_once():
    for shape in [(4, 4), (5, 6), (3, 3), (1, 2)]:
        kept, partner = half_plane(shape)
        assert set(kept) | set(partner) == set(range(shape[0] * shape[1]))
        theta = grid_frequencies(shape).reshape(-1, 2)
        turns = (theta[kept] + theta[partner]) / (2 * np.pi)
        np.testing.assert_allclose(turns, np.round(turns), atol=1e-12)


@pytest.mark.parametrize(
    ("q", "mu"),
    [
        (ResidualPolynomial([5.0]), 0.6),
        (chebyshev(1, interval=(2, 8)), 0.6),
        (chebyshev(2, interval=(2, 8)), 1 / 4.555555555555555),  # 1/T_2(5/3)
        (chebyshev(3, interval=(2, 8)), 1 / 13.518518518518519),  # 1/T_3(5/3)
        (chebyshev4(1, lmax=8), 2 / 3),
        (chebyshev4(3, lmax=8), 0.233),
    ],
)
def test_smoothing_factors_of_theory(q, mu):
    weights = per_channel(FIVE, 3)
    spectrum = convolution_spectrum(weights, (16, 16), padding="periodic")
    assert spectrum.is_positive
    assert spectrum.radius == pytest.approx(8.0, rel=1e-14)
    found = damping(
        weights,
        (16, 16),
        propagator(LevelState(weights, tuple(map(StepState, q.factors)), (16, 16)), folded=False),
    )
    # every grid of a multiple of 4 holds theta = pi/2 and pi, where these maxima lie
    tolerance = 1e-3 if mu == 0.233 else 1e-12  # that one is rounded
    assert found.smoothing_factor == pytest.approx(mu, rel=tolerance)
    # one channel each: the symbol is normal
    assert found.smoothing_norm == pytest.approx(found.smoothing_factor, rel=1e-12)
    assert found.radius.max() == pytest.approx(1.0)  # the constant mode
    assert verdict_of(found.smoothing_factor) == "smoother"


def test_a_flipped_sign_is_not_a_smoother():
    weights = per_channel(FIVE, 2)
    found = damping(
        weights,
        (16, 16),
        propagator(LevelState(weights, (StepState(Linear(-0.2)),), (16, 16)), folded=False),
    )
    assert verdict_of(found.smoothing_factor) == "not a smoother"
    assert found.smoothing_factor == pytest.approx(2.6)  # 1 + 8/5


def test_a_flipped_laplacian_is_not_positive():
    stencil = np.array([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])[None, None]
    for padding in ("periodic", "zero"):
        assert convolution_spectrum(stencil, (8, 8), padding=padding).is_positive
        assert not convolution_spectrum(-stencil, (8, 8), padding=padding).is_positive


def test_random_convolution_fills_a_disc_and_has_no_smoother():
    rng = np.random.default_rng(7)
    weights = rng.standard_normal((24, 24, 3, 3)) / np.sqrt(9 * 24)
    spectrum = convolution_spectrum(weights, (16, 16), padding="periodic")
    assert not spectrum.is_positive
    # circular law: radius 1, edge fluctuations of order c^(-1/2)
    assert 0.85 < spectrum.radius < 1.25
    q = chebyshev4(2, lmax=spectrum.radius)
    assert spectrum.modulus(q)[spectrum.high].max() > 1.0


def test_known_eigenvalues_in_single_precision_but_of_what_is_symmetric():
    """Those of the matrix to 1e-5 of b (6.3e-6 at most with six seeds); of Laplacians, whose signs
    are looked at, as they are."""
    rng = np.random.default_rng(4)
    spectrum = convolution_spectrum(rng.standard_normal((24, 24, 3, 3)), (4, 4))
    assert spectrum.complete
    assert not spectrum.all_measured
    found, expected = known_eigenvalues(spectrum), spectrum.values.ravel()
    distances = np.abs(found[:, None] - expected[None, :])
    assert max(distances.min(0).max(), distances.min(1).max()) < 1e-5 * spectrum.radius
    laplacian = convolution_spectrum(per_channel(FIVE, 24), (4, 4))
    assert np.array_equal(known_eigenvalues(laplacian), laplacian.values.ravel())


def test_a_pass_beyond_single_precision(monkeypatch):
    """What wide levels are measured in: 40 times 1 - 9 lambda on symbols that are known."""
    monkeypatch.setattr("analysis.levels.spectra.NARROW", 1)
    kernel, steps = per_channel(FIVE, 2), (StepState(Linear(-9.0)),) * 40
    level = LevelState(kernel, steps, (16, 16))
    found = damping(kernel, (16, 16), propagator(level, folded=False))
    assert found.smoothing_norm == pytest.approx(73.0**40, rel=1e-9)  # lambda = 8 at (pi, pi)
    assert found.smoothing_factor == pytest.approx(73.0**40, rel=1e-9)
    level = LevelState(kernel, steps * 9, (16, 16))
    with pytest.raises(ValueError, match="beyond the range of numbers"):
        damping(kernel, (16, 16), propagator(level, folded=False))
