"""The optimised fourth kind: published weights, equioscillation at every degree to 64, speed, and
its recurrence."""

import math
import time

import numpy as np
import pytest

from mgtheory.polynomials import fourthkind
from mgtheory.polynomials.classical import chebyshev4_opt
from mgtheory.polynomials.fourthkind import optimised_beta, optimised_roots
from mgtheory.polynomials.scores import gamma

BETA = {
    1: [1.125],
    2: [1.02387287570313, 1.26408905371085],
    3: [1.00842544782028, 1.08867839208730, 1.33753125909618],
}


@pytest.mark.parametrize("k", BETA)
def test_weights_are_the_published_ones(k):
    np.testing.assert_allclose(optimised_beta(k), BETA[k], rtol=1e-14)  # all printed digits


def extremal_values(k):
    """t q^2/(1 - q^2) at t -> 0, its k - 1 interior maxima and t = 1, by a fine grid and parabolas,
    independent of the solver."""
    r = optimised_roots(k)
    theta = np.linspace(0, np.pi, 4000 * k + 1)[1:]
    t = np.sin(theta / 2) ** 2
    q = np.prod(1 - t[:, None] / r, axis=1)
    F = t * q**2 / (1 - q**2)
    i = np.flatnonzero((F[1:-1] > F[:-2]) & (F[1:-1] > F[2:])) + 1
    i = i[t[i] > r[0]]
    top = F[i] + (F[i + 1] - F[i - 1]) ** 2 / (8 * (2 * F[i] - F[i + 1] - F[i - 1]))
    return np.concatenate([[1 / (2 * np.sum(1 / r))], top, F[-1:]])


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8, 16])
def test_extremal_values_are_equal(k):
    values = extremal_values(k)
    assert values.size == k + 1
    assert np.ptp(values) <= 1e-10 * values[0]


def equioscillation(k):
    """Relative spread of F over its k + 1 extremal points: 0 for the exact roots."""
    phi = np.array(fourthkind._optimised_angles(k))
    error, _ = fourthkind._conditions(np.append(fourthkind._maxima(phi), np.pi), phi)
    return np.expm1(np.ptp(np.append(error, 0.0)))


@pytest.mark.parametrize("k", range(1, 65))
def test_equioscillation_at_every_degree(k):
    assert equioscillation(k) < 1e-10
    roots = optimised_roots(k)
    assert np.all(np.diff(roots) > 0)
    assert roots[0] > 0
    assert roots[-1] < 1


# of processor time, so that a busy machine does not matter
def test_degree_64_takes_less_than_a_second():
    fourthkind._optimised_angles.cache_clear()
    start = time.process_time()
    chebyshev4_opt(64, lmax=1.0)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(("k", "inverse"), [(1, 3.0), (2, 5 + 2 * math.sqrt(5))])
def test_gamma_in_closed_form(k, inverse):
    assert 1 / gamma(chebyshev4_opt(k, lmax=1.0)) == pytest.approx(inverse, rel=1e-13)


@pytest.mark.parametrize("k", [8, 16, 32, 64, 128])
def test_gamma_for_large_degree(k):
    measured = 2 * np.sum(1 / optimised_roots(k))
    assert measured == pytest.approx(
        4 / np.pi**2 * (2 * k + 1) ** 2 - 2 / 3, abs=0.045 / k**2
    )  # the remainder is near 0.0405/k^2 (measured)


@pytest.mark.parametrize("k", [1, 2, 4, 17, 64, 256])
def test_recurrence_with_weights_is_the_root_product(k):
    q = chebyshev4_opt(k, lmax=3.0)
    t = np.linspace(0, 3, 200)
    by_recurrence = 1 - t * q.recurrence.correction(lambda z: t * z, lambda s: s, np.ones_like(t))
    # rounding grows with the degree
    np.testing.assert_allclose(by_recurrence, q(t), atol=1e-12 if k <= 64 else 1e-10)
