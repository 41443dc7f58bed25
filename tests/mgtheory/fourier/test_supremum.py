"""Suprema over all frequencies: nothing is larger where no sample was."""

import itertools

import numpy as np
import pytest

from mgtheory.fourier import cycle_factor, smoothing_factor, two_grid_factor
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.fourier.factor import sample_shape, spectral_norm
from mgtheory.fourier.supremum import grid_peaks, quadratic_steps, search, supremum
from mgtheory.polynomials.classical import chebyshev
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.stencils import Stencil, laplacian, rotated_anisotropic
from mgtheory.problems.symbols import grid_frequencies, spectral_radius
from mgtheory.smoothers import Polynomial

L2 = laplacian(2)


def dense_supremum(cycle, measure=spectral_radius):
    """The largest value at frequencies and limits that no search has seen."""
    rng, half = np.random.default_rng(11), np.pi / np.array(cycle.counts[0])
    angle = np.linspace(0, np.pi, 2000)
    limits = 1e-5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    theta = np.concatenate([rng.uniform(-half, half, (20_000, cycle.dim)), limits])
    return measure(cycle.error_operator(theta)).max()


class TestSuprema:
    def test_limits_in_every_direction(self):
        """The largest lies between the directions of small integers; a periodic grid has it in the
        limit."""
        cycle = LocalCycle(
            rotated_anisotropic(0.1, 0.6),
            ResidualPolynomial([3.3]),
            pre=0,
            post=1,
            restriction="half",
        )
        found = cycle_factor(cycle)
        assert found.factor == pytest.approx(1.1568261, abs=1e-7)
        assert found.frequency == (0.0, 0.0)
        assert np.linalg.norm(found.direction) == pytest.approx(1.0)
        assert found.damping.max() == found.factor
        along = np.array(found.direction) * np.array([[1e-4], [1e-3], [1e-2]])
        values = spectral_radius(cycle.error_operator(along))
        np.testing.assert_allclose(values, found.factor, rtol=5e-4)
        periodic = [
            cycle_factor(cycle, samples=n, refine=False, zero="remove").factor
            for n in (64, 256, 1024)
        ]
        assert periodic == sorted(periodic)
        assert found.factor - 0.003 < periodic[-1] < found.factor
        # what lies beside 0 belongs to the supremum, whatever stands for 0 itself
        assert cycle_factor(cycle, zero="remove").factor == pytest.approx(found.factor, rel=1e-9)

    @pytest.mark.parametrize("turned", [False, True])
    def test_frequencies_that_share_a_spectrum(self, turned):
        """x and y of the Laplacian are exchanged on square grids alone, theta and -theta share one
        where all is real."""
        wave = Stencil.from_array(np.outer([0.5j, 1, -0.5j], [0.5, 1, 0.5]))
        options = {"interpolation": wave} if turned else {}
        cycle = LocalCycle(L2, chebyshev(2, interval=(2, 8)), **options)
        found = cycle_factor(cycle, samples=(12, 20), refine=False, zero="remove")
        theta, zero = found.frequencies, (found.frequencies == 0).all(axis=-1)
        expected = spectral_radius(cycle.error_operator(theta[~zero]))
        np.testing.assert_allclose(found.damping[~zero], expected, atol=1e-12)

    @pytest.mark.parametrize("restriction", ["full", "half"])
    @pytest.mark.parametrize(("epsilon", "angle"), [(0.1, 0.6), (0.03, 0.3), (0.01, 1.1)])
    @pytest.mark.parametrize("smoother", [ResidualPolynomial([3.3]), chebyshev(5, interval=(1, 4))])
    def test_nothing_is_larger_elsewhere(self, restriction, epsilon, angle, smoother):
        operator = rotated_anisotropic(epsilon, angle)
        cycle = LocalCycle(operator, smoother, pre=0, restriction=restriction)
        found = cycle_factor(cycle)
        assert dense_supremum(cycle) < found.factor * (1 + 1e-9)
        if np.isfinite(found.norm):
            assert dense_supremum(cycle, spectral_norm) < found.norm * (1 + 1e-9)
        # which samples are taken first does not matter
        assert cycle_factor(cycle, samples=48).factor == pytest.approx(found.factor, rel=1e-7)

    @pytest.mark.parametrize("degree", [12, 32])
    def test_polynomials_of_high_degree_have_narrow_peaks(self, degree):
        q = chebyshev(degree, interval=(0.3, 8.0))
        expected = 1 / np.cosh(degree * np.arccosh(8.3 / 7.7))
        assert smoothing_factor(L2, q).factor == pytest.approx(expected, rel=1e-9)
        cycle = LocalCycle(L2, q)
        assert dense_supremum(cycle) < cycle_factor(cycle).factor * (1 + 1e-9)

    @pytest.mark.parametrize(("degree", "dim", "count"), [(4, 2, 64), (12, 2, 128), (32, 3, 64)])
    def test_samples_for_each_wave_of_a_polynomial(self, degree, dim, count):
        """Six an axis for each degree, as long as they are 2^18 at most."""
        smoother = Polynomial(polynomial=chebyshev(degree, interval=(0.3, 8.0)))
        assert sample_shape(None, dim, [smoother]) == (count,) * dim

    def test_norms_are_suprema_too(self):
        found = two_grid_factor(L2, "red_black")
        samples = two_grid_factor(L2, "red_black", refine=False)
        assert samples.norm < found.norm
        assert dense_supremum(LocalCycle(L2, "red_black"), spectral_norm) <= found.norm * (1 + 1e-9)

    def test_one_peak_of_many(self):
        """Sixteen peaks of one height for any sample, one of which has a narrow tip."""
        peak = np.array([np.pi / 2, -np.pi / 2]) + 0.05
        tip = peak + np.array([0.006, -0.004])

        def comb(theta):
            tooth = 0.1 * np.exp(-((theta - tip) ** 2).sum(axis=1) / 0.02**2)
            return np.cos(2 * (theta - 0.05)).prod(axis=1) ** 2 + tooth

        theta = grid_frequencies((32, 32)).reshape(-1, 2)
        values = comb(theta)
        peaks = grid_peaks(values.reshape(32, 32))
        assert peaks.sum() == 16
        half = np.full(2, np.pi)
        start = (theta[peaks], values[peaks], half / 32)
        found, where = supremum(comb, [start], half, fold=lambda points: points, count=1024)
        grid = np.stack(np.meshgrid(*[np.linspace(-0.02, 0.02, 401)] * 2), axis=-1).reshape(-1, 2)
        assert found == pytest.approx(comb(peak + grid).max(), rel=1e-6)
        np.testing.assert_allclose(where, tip, atol=0.002)

    def test_searches_follow_a_narrow_ridge(self):
        """Curvatures of 1 and 10^4, turned: steps along the axes alone would creep."""

        def ridge(theta):
            along, across = theta @ [0.6, 0.8], theta @ [-0.8, 0.6]
            return 1 - (along - 0.3) ** 2 - 1e4 * (across - 0.1) ** 2

        half, calls = np.full(2, np.pi), []

        def counted(theta):
            calls.append(len(theta))
            return ridge(theta)

        start = (np.zeros((1, 2)), ridge(np.zeros((1, 2))), np.array([0.1, 0.1]))
        found, where = search(counted, [start], half)
        assert found == pytest.approx(1.0, abs=1e-12)
        np.testing.assert_allclose(where, [0.6 * 0.3 - 0.8 * 0.1, 0.8 * 0.3 + 0.6 * 0.1], atol=1e-6)
        assert sum(calls) < 400

    def test_the_quadratic_of_a_box(self):
        corners = list(itertools.product((-1.0, 1.0), repeat=2))
        pattern = np.array([*corners, (1, 0), (-1, 0), (0, 1), (0, -1)])
        H, g = np.array([[-2.0, 0.5], [0.5, -1.0]]), np.array([0.3, -0.2])
        values = pattern @ g + 0.5 * np.einsum("ni,ij,nj->n", pattern, H, pattern)
        steps, rises = quadratic_steps(pattern, values[None])
        top = -np.linalg.solve(H, g)
        np.testing.assert_allclose(steps[0], top, atol=1e-12)
        assert rises[0] == pytest.approx(g @ top / 2, abs=1e-12)
        flat, rises = quadratic_steps(pattern, (pattern @ [1.0, 0.0])[None])
        assert 4 < flat[0, 0] < 12  # upwards, and not far
        assert rises[0] == 0.0  # not promised

    def test_frequencies_that_stand_for_all(self):
        cycle = LocalCycle(laplacian(3), "jacobi")
        theta = np.random.default_rng(2).uniform(-1.5, 1.5, (20, 3))
        expected = cycle.representative(theta)
        for axes, signs in cycle.symmetries:
            np.testing.assert_array_equal(cycle.representative(theta[:, axes] * signs), expected)
        np.testing.assert_allclose(
            spectral_radius(cycle.error_operator(theta)),
            spectral_radius(cycle.error_operator(expected)),
            rtol=1e-9,
        )
