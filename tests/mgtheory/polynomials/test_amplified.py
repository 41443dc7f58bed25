"""Polynomials stretched to an amplification: the smallest crossing, against brute force; every
family on every kind of spectrum; files and conversions."""

import re
import time

import numpy as np
import pytest

from mgtheory import Hierarchy, InitialCoefficients, derive, poisson
from mgtheory.families import FAMILIES, amplification_scale, get_family, spectrum_of
from mgtheory.polynomials.amplified import largest_modulus, scale_to
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import create
from mgtheory.problems.record import operator_record
from mgtheory.spectra.interval import Interval

CLOUD = np.linalg.eigvals(np.random.default_rng(1).standard_normal((80, 80))) / 80**0.5
CIRCLE = np.exp(2j * np.pi * np.arange(2000) / 2000)
SETS = {
    "cloud": CLOUD,
    "few points": np.array([-0.5, 0.4 + 0.6j, 0.4 - 0.6j, 1.3]),
    "positive points": np.array([0.3, 0.35, 1.0, 2.0]),
    "right half": 1.2 + CLOUD,
    "interval": Interval(-0.4, 1.0),
    "two intervals": [Interval(-1.0, -0.7), Interval(0.5, 1.5)],
    "disc": 0.7,
}


def dense(spectrum):
    if isinstance(spectrum, float):
        return spectrum * CIRCLE
    if isinstance(spectrum, np.ndarray):
        return spectrum
    parts = [spectrum] if isinstance(spectrum, Interval) else spectrum
    return np.concatenate([np.linspace(part.a, part.b, 2001) for part in parts])


def random_polynomial(rng, k):
    pairs = k // 3
    z = rng.standard_normal(pairs) + 1j * rng.standard_normal(pairs)
    return ResidualPolynomial(np.concatenate([z, z.conj(), rng.standard_normal(k - 2 * pairs)]))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("M", [1.3, 8.0])
def test_the_smallest_crossing_by_brute_force(name, M):
    """No smaller scale exceeds M, and this one reaches it. Random roots of all signs: the maximum
    is far from monotone in the scale."""
    spectrum, rng = SETS[name], np.random.default_rng(0)
    z = dense(spectrum)
    falls = 0
    for k in (1, 2, 5, 9):
        q = random_polynomial(rng, k)
        s = scale_to(q, spectrum, M)
        assert largest_modulus(q.scaled(1 / s), spectrum) == pytest.approx(M, rel=1e-6)
        largest = [np.abs(q(share * s * z)).max() for share in np.linspace(0, 1, 400)]
        assert max(largest) <= M * (1 + 1e-6)
        assert largest[-1] == pytest.approx(M, rel=2e-5)
        falls += (np.diff(largest) < -1e-3).any()
        assert scale_to(q, spectrum, 2 * M) > s
    assert falls > 0 or name not in ("positive points", "right half")


def test_a_later_scale_may_be_below_m_again():
    """On one point |q| rises over M between its roots, and the last root brings it down: the
    smallest crossing is before that hill."""
    q = ResidualPolynomial([0.5, 0.6, 4.0])
    s = scale_to(q, np.array([1.0]), 5.0, kept=0.1)
    assert s < 4
    assert abs(q(s)) == pytest.approx(5)
    assert abs(q(4.0)) < 1e-12


@pytest.mark.parametrize("k", [1, 2, 8, 32, 256])
def test_real_roots_on_a_disc_and_no_overflow(k):
    """The maximum is at -b: prod (1 + s b/r_i) = M; far beyond the range of doubles unscaled."""
    q = derive("chebyshev4", k, 1.0).polynomial
    s = scale_to(q, 3.0, 8.0)
    assert np.prod(1 + 3 * s * q.weights.real) == pytest.approx(8, rel=1e-8)
    equal = ResidualPolynomial(np.full(k, 0.1))
    assert scale_to(equal, 1.0, 8.0) == pytest.approx(0.1 * (8 ** (1 / k) - 1), rel=1e-9)


def test_a_maximum_that_rounding_alone_lifts_keeps_q():
    """(1 + 4)^3 on the disc |z| <= 4 r: some r round it above 125."""
    roots = np.linspace(0.1, 1.0, 40)
    made = [ResidualPolynomial([r] * 3) for r in roots]
    largest = [largest_modulus(q, 4 * r) for q, r in zip(made, roots)]
    assert 125 < max(largest) < 125 * (1 + 1e-14)
    for q, r in zip(made, roots):
        assert scale_to(q, 4 * r, 125.0, kept=125.0) == 1.0


def test_beyond_the_doubles_the_maximum_is_infinite():
    """There inf - inf is no number, and a maximum all the same."""
    pair = ResidualPolynomial([1e-140 * (1 + 1j), 1e-140 * (1 - 1j)])
    assert largest_modulus(pair, [1e100 * (1 + 1j)]) == np.inf
    assert largest_modulus(pair, 1e100) == np.inf


def test_of_what_is_only_shortened_nothing_is_stretched():
    """|q| = 2 at -2: 8 is not reached, 1.5 exceeded."""
    record, q = operator_record([2.0, 2j, -2j, -2.0]), ResidualPolynomial([2.0])
    assert amplification_scale(q, record, 8.0) == pytest.approx(7.0)
    assert amplification_scale(q, record, 8.0, only_down=True) == 1.0
    assert amplification_scale(q, record, 1.5, only_down=True) == pytest.approx(0.5)


def test_without_a_scale():
    with pytest.raises(ValueError, match="q is 1 on the whole spectrum"):
        scale_to(ResidualPolynomial([np.inf]), 1.0, 8.0, kept=0.5)
    for M in (1.0, 0.5, -8, np.inf, "8"):
        with pytest.raises(ValueError, match="amplification"):
            scale_to(ResidualPolynomial([1.0]), 1.0, M)


def sources():
    rng = np.random.default_rng(3)
    A = rng.standard_normal((40, 40)) / 40**0.5
    return {
        "number": 3.0,
        "interval": (0.5, 2.0),
        "problem": poisson((15, 15)),
        "cloud": CLOUD,
        "right half": 1.2 + CLOUD,
        "two intervals": [Interval(-3, -1), Interval(1, 2)],
        "matrix": A,
        "positive matrix": A @ A.T + np.eye(40),
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_on_every_source(family):
    """max |q| is M, or what it was where that is at most 1; on a positive spectrum q is never
    enlarged. A file keeps it exactly."""
    served, refused = 0, []
    for name, of in sources().items():
        for k in (4, 7) if get_family(family).needs != "problem" else (2,):
            try:
                found = derive(family, k, of, amplification=8.0)
            except ValueError as error:
                refused.append(str(error))
                continue
            served += 1
            largest = largest_modulus(found.polynomial, spectrum_of(operator_record(of)))
            assert largest <= 8 * (1 + 1e-6)
            assert found.provenance["options"]["amplification"] == 8.0
            if not get_family(family).is_amplified:
                scale = found.provenance["result"]["scale"]
                if found.operator.positive:
                    assert scale <= 1
                if scale != 1:
                    assert largest == pytest.approx(8, rel=1e-6), name
                else:
                    assert largest <= 1 + 1e-6 or found.operator.positive
            read = InitialCoefficients.from_json(found.to_json())
            assert read.polynomial == found.polynomial
            assert read.to_dict() == found.to_dict()
    assert served >= 1
    why = "surround 0|contains 0|on opposite sides" if family == "minimax" else "cannot be derived"
    assert all(re.search(why + "|cannot be derived", text) for text in refused)


def test_conversion_keeps_the_amplification():
    """q for 5 A on 5 times the spectrum is q for A on the spectrum."""
    problem = poisson((15, 15))
    start = derive("richardson", 6, (problem.spectrum().b / 40, problem.spectrum().b / 4))
    q = ResidualPolynomial(start.roots).of(operator_record(problem))
    s = scale_to(q, spectrum_of(q.operator.times(1.0)), 2.0)
    moved = q.scaled(1 / s).of(operator_record(problem))
    other = operator_record(poisson((31, 31)))
    assert largest_modulus(moved.on(other), spectrum_of(other)) == pytest.approx(2, rel=1e-6)
    assert s < 1


def test_degree_32_is_evaluated_and_kept_to_rounding():
    for family in ("chebyshev4", "chebyshev4_opt"):
        found = derive(family, 32, CLOUD, amplification=8.0)
        q = InitialCoefficients.from_json(found.to_json()).polynomial
        assert np.abs(q(CLOUD)).max() == pytest.approx(8, rel=1e-9)
        assert q.recurrence is not None
        A = np.diag(np.array([0.3, 0.9, 1.0]))
        t = A.diagonal()
        np.testing.assert_allclose(1 - t * q.apply(A, np.ones(3)), q(t), rtol=1e-9)


@pytest.mark.parametrize("family", ["chebyshev4", "bounded"])
def test_a_hierarchy_derives_it_on_every_level(family):
    """The amplification goes with the family's name to levels whose operators are no multiples."""
    problem = create("jump2d", 15)
    start = derive(family, 3, problem, amplification=5.0)
    assert Hierarchy.build(problem, smoother=start).solve(problem.b, tol=1e-8).converged


def test_a_number_of_numpy_is_a_radius():
    q = ResidualPolynomial([1.0, 1.0])
    assert largest_modulus(q, np.float32(2.0)) == largest_modulus(q, 2.0) == pytest.approx(9.0)


def test_where_q_grows_like_the_square_of_the_scale():
    """|1 - s i| = sqrt(1 + s^2): with M near 1 the crossing is far out in steps of ln M."""
    begun = time.process_time()
    scale = scale_to(ResidualPolynomial([1.0]), np.array([1j, -1j]), 1 + 1e-12)
    assert scale == pytest.approx(2e-12**0.5, rel=1e-3)
    assert time.process_time() - begun < 2  # it took a million steps, 20 s
