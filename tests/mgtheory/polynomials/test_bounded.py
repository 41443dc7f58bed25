"""Bounded amplification: the closed form on a disc, and the longest step as the solution of a
convex problem: feasible, not to be improved, and equal to what is known in closed form."""

import math

import numpy as np
import pytest

from mgtheory import derive, poisson
from mgtheory.polynomials.bounded import bounded, longest_step
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.spectra.interval import Interval


def circle(radius, count=4000):
    return radius * np.exp(1j * np.pi * np.arange(count + 1) / count)


def step(q):
    return float(q.weights.real.sum())


@pytest.mark.parametrize("M", [1.5, 8.0, 100.0])
@pytest.mark.parametrize("k", [1, 2, 5, 32, 256])
def test_equal_roots_reach_the_amplification_at_the_left_end_alone(k, M):
    b = 0.6
    q = bounded(k, radius=b, amplification=M)
    np.testing.assert_allclose(q.roots, b / (M ** (1 / k) - 1), rtol=1e-12)
    z = circle(b)
    values = np.abs(q(z))
    assert values.argmax() == z.size - 1  # z = -b
    assert values.max() == pytest.approx(M, rel=1e-11)
    assert abs(q(-b)) == pytest.approx(M, rel=1e-11)
    assert step(q) == pytest.approx(k * (M ** (1 / k) - 1) / b, rel=1e-11)


def test_the_steps_of_equal_roots_fall_to_the_logarithm():
    """And q becomes the exponential: ln M/b is the time of u' = -A u that k Euler steps take."""
    M, b = 8.0, 2.0
    steps = [step(bounded(k, radius=b, amplification=M)) for k in (1, 2, 4, 8, 64, 256)]
    assert (np.diff(steps) < 0).all()
    limit = math.log(M) / b
    assert steps[0] == pytest.approx((M - 1) / b)
    assert limit < steps[-1] < limit * (1 + math.log(M) / 256)  # k (e^x - 1) with x = ln M / k
    z = circle(b, 60)
    q = bounded(256, radius=b, amplification=M)
    np.testing.assert_allclose(q(z), np.exp(-z * limit), rtol=2 * math.log(M) ** 2 / 256)


def test_equal_roots_are_the_most_even_product_and_the_shortest():
    """Of products of k factors 1 - w z, w >= 0, with max |q| = M: every other one has a larger
    factor, and a longer step, up to the single factor's (M - 1)/b."""
    rng = np.random.default_rng(0)
    M, b, k = 8.0, 1.5, 5
    equal = bounded(k, radius=b, amplification=M)
    for _ in range(200):
        shares = rng.dirichlet(np.full(k, rng.choice([0.3, 1.0, 10.0])))
        w = (M**shares - 1) / b  # prod (1 + w b) = M
        q = ResidualPolynomial.from_weights(w)
        assert np.abs(q(circle(b, 400))).max() == pytest.approx(M)
        assert (1 + w * b).max() > 1 + equal.weights.real.max() * b
        assert step(equal) < step(q) <= (M - 1) / b * (1 + 1e-12)


@pytest.mark.parametrize("M", [1.2, 2.0, 8.0, 50.0])
@pytest.mark.parametrize("k", [1, 2, 3, 8, 16])
def test_the_longest_step_on_a_disc(k, M):
    """Feasible on the whole circle, enclosed to 1e-6 and better, and between the single factor and
    the lemma of Schwarz and Pick, to which it tends."""
    b = 0.7
    found = longest_step(k, radius=b, amplification=M)
    assert found.converged
    assert found.step <= found.bound * (1 + 1e-12)
    assert found.bound <= found.step * (1 + 1e-6)
    assert step(found.polynomial) == pytest.approx(found.step, rel=1e-9)
    assert np.abs(found.polynomial(circle(b))).max() <= M * (1 + 1e-7)
    assert (M - 1) / b * (1 - 1e-9) <= found.step <= (M - 1 / M) / b * (1 + 1e-9)
    if k == 1:
        assert found.step == pytest.approx((M - 1) / b)
    if k == 16:
        assert found.step == pytest.approx((M - 1 / M) / b, rel=2e-2 if M < 2 else 1e-4)


@pytest.mark.parametrize("M", [1.5, 8.0, 50.0])
def test_the_longest_step_of_degree_2_on_a_disc(M):
    """For q = 1 - a z - c z^2 the maximum of |q|^2 on |z| = 1 is (1 + c)^2 (1 + a^2/(4 c)), largest
    a where M^2 (1 - c) = (1 + c)^3."""
    (c,) = (r.real for r in np.roots([1, 3, 3 + M**2, 1 - M**2]) if abs(r.imag) < 1e-12)
    found = longest_step(2, amplification=M)
    assert found.step == pytest.approx(2 * (c * (M**2 / (1 + c) ** 2 - 1)) ** 0.5, rel=1e-7)
    np.testing.assert_allclose(found.polynomial.coefficients[2], -c, rtol=1e-3)


@pytest.mark.parametrize("M", [2.0, 8.0])
def test_the_longest_steps_tend_to_the_extremal_function_of_schwarz_and_pick(M):
    q, z = longest_step(32, amplification=M).polynomial, circle(1.0, 200)
    np.testing.assert_allclose(q(z), (1 - M * z) / (1 - z / M), atol=1e-2)
    assert abs(q(0.9 * 2 / (M + 1 / M))) < 1 < abs(q(1.1 * 2 / (M + 1 / M)))  # its damped disc


@pytest.mark.parametrize(("k", "optimal"), [(1, False), (4, False), (8, True)])
def test_a_random_matrix_amplifies_most_vectors_by_less_than_m_and_some_by_more(k, optimal):
    """The root mean square of |q(A) v|/|v| is that of |q| on the circle; M is no norm."""
    n, M = 300, 8.0
    A = np.random.default_rng(0).standard_normal((n, n)) / n**0.5
    q = bounded(k, radius=1.0, amplification=M, optimal=optimal)
    Q = np.eye(n) - A @ q.apply(A, np.eye(n))
    mean = np.mean(np.abs(q(np.exp(2j * np.pi * np.arange(512) / 512))) ** 2) ** 0.5
    assert np.linalg.norm(Q) / n**0.5 == pytest.approx(mean, rel=0.02)
    assert mean < (1 + 1e-6) * M < 0.7 * np.linalg.norm(Q, 2)
    if not optimal:
        x = M ** (1 / k) - 1
        assert mean**2 == pytest.approx(sum((math.comb(k, j) * x**j) ** 2 for j in range(k + 1)))


SETS = {
    "disc": None,
    "shifted disc": 0.4 + np.exp(2j * np.pi * np.arange(512) / 512),
    "cloud": np.linalg.eigvals(np.random.default_rng(1).standard_normal((60, 60))) / 60**0.5,
    "interval": Interval(-1.0, 1.0),
    "two intervals": [Interval(-1.0, -0.2), Interval(0.5, 1.0)],
    "with 0": Interval(0.0, 1.0),
}


def dense(points):
    if points is None:
        return circle(1.0)
    if isinstance(points, np.ndarray):
        return points
    parts = [points] if isinstance(points, Interval) else points
    return np.concatenate([np.linspace(part.a, part.b, 20001) for part in parts])


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("k", "M"), [(3, 2.0), (6, 8.0)])
def test_no_perturbation_of_the_optimum_is_feasible_and_longer(name, k, M):
    points, rng = SETS[name], np.random.default_rng(0)
    found = longest_step(k, points=points, amplification=M)
    z = dense(points)
    values = found.polynomial(z)
    assert np.abs(values).max() <= M * (1 + 1e-7)
    assert found.bound <= found.step * (1 + 1e-6)
    for size in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(50):
            d = rng.standard_normal(k)  # q + z (d_0 + d_1 z + ...), p(0) - d_0
            d *= -np.sign(d[0]) * size
            moved = values + z * np.polynomial.Polynomial(d)(z)
            assert np.abs(moved).max() > M


@pytest.mark.parametrize("k", [1, 2, 5, 9])
@pytest.mark.parametrize("M", [1.1, 3.0])
def test_the_longest_step_on_a_positive_interval_is_a_stretched_chebyshev_polynomial(k, M):
    """M T_k(c - (1 + c) t/b) with T_k(c) = 1/M: |q| = M at k points; M -> 1 gives 2 k^2/b."""
    b, angle = 4.0, math.acos(1 / M) / k
    slope = M * k * math.sin(k * angle) / math.sin(angle) * (1 + math.cos(angle))
    found = longest_step(k, points=Interval(0.0, b), amplification=M)
    assert found.step == pytest.approx(slope / b, rel=1e-6)
    assert 2 * k**2 / b < found.step
    assert longest_step(k, points=Interval(0, b), amplification=1 + 1e-6).step == pytest.approx(
        2 * k**2 / b, rel=1e-3
    )


def test_steps_scale_with_the_spectrum():
    for points in (SETS["cloud"], SETS["two intervals"]):
        scaled = (
            [Interval(7 * p.a, 7 * p.b) for p in points]
            if isinstance(points, list)
            else (7 * points)
        )
        one, seven = (longest_step(4, points=p) for p in (points, scaled))
        assert seven.step == pytest.approx(one.step / 7, rel=1e-7)
        np.testing.assert_allclose(
            np.sort_complex(seven.polynomial.roots),
            np.sort_complex(7 * one.polynomial.roots),
            rtol=1e-3,
        )


def test_derived_for_every_kind_of_operator():
    """b of the record, whatever the operator; the optimum on the points where they are known."""
    for of, b in (
        (8.0, 8.0),
        ((2.0, 8.0), 8.0),
        (poisson((7, 7)), poisson((7, 7)).smoothing_interval().b),
        (np.array([1j, -1j, -2.0]), 2.0),
        ([Interval(-3, -1), Interval(1, 2)], 3.0),
    ):
        start = derive("bounded", 3, of, amplification=27.0)
        np.testing.assert_allclose(start.roots, b / 2, rtol=1e-12)
        assert start.operator.upper == pytest.approx(b)
    disc = derive("bounded", 3, 8.0, optimal=True)
    assert disc.provenance["result"]["upper_bound"] == pytest.approx(
        longest_step(3, radius=8.0).step, rel=1e-6
    )
    cloud = derive("bounded", 3, SETS["cloud"], optimal=True)
    assert step(cloud.polynomial) > step(derive("bounded", 3, SETS["cloud"]).polynomial)
    assert np.abs(cloud.polynomial(SETS["cloud"])).max() == pytest.approx(8, rel=1e-7)
    interval = derive("bounded", 3, (2.0, 8.0), optimal=True, amplification=2.0)
    assert np.abs(interval.polynomial(np.linspace(2, 8, 999))).max() == pytest.approx(2, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"amplification": 1.0}, "amplification is 1.0, must be larger than 1"),
        ({"amplification": -2}, "amplification is -2"),
        ({"amplification": math.inf}, "amplification is inf"),
        ({"amplification": "8"}, "amplification is '8'"),
        ({"radius": 0.0}, "radius is 0.0"),
    ],
)
def test_wrong_values_are_refused(options, message):
    for function in (bounded, longest_step):
        with pytest.raises(ValueError, match=message):
            function(3, **({"radius": 1.0} | options))


@pytest.mark.parametrize(
    ("degree", "points", "message"),
    [
        (33, None, "degree is 33, the longest step allows whole numbers from 1 to 32"),
        (3, [1.0, 2.0], "a polynomial of degree 2 vanishes on the 2 points"),
        (1, [0.0, 0.0], "all 0"),
        (2, [1.0, np.nan, 2.0], "finite"),
        (3, [*np.linspace(1, 2, 60), 1e7], "points are far apart"),
        (6, [*np.linspace(1, 2, 60), 1e7], "points are far apart"),
        (6, [*np.linspace(-1, 1, 60), -1e4], "points are far apart"),
    ],
)
def test_sets_without_a_longest_step_are_refused(degree, points, message):
    with pytest.raises(ValueError, match=message):
        longest_step(degree, points=points)


def test_an_immense_amplification_is_named_where_a_disc_has_no_points_far_apart():
    with pytest.raises(
        ValueError, match=r"amplification 1e\+20, .*take .* a smaller amplification"
    ):
        longest_step(4, amplification=1e20)
    with pytest.raises(ValueError, match=r"take .* a smaller amplification"):
        longest_step(2, points=np.linspace(-1, 1, 200), amplification=1e16)
