"""The factors against their table in the documentation, written out again with dense matrices."""

import copy
import json
import pickle
from fractions import Fraction

import numpy as np
import pytest
import sympy

from mgtheory.polynomials.factors import (
    FACTORS,
    ComplexPair,
    Factor,
    General,
    Linear,
    RealPair,
    SymmetricPair,
    factor_from_dict,
    horner,
)
from mgtheory.polynomials.residual import ResidualPolynomial

EXAMPLES = [
    Linear(0.25),
    Linear(-3.0),
    RealPair(1.5, -4.0),
    SymmetricPair(0.3),
    SymmetricPair(-0.3),
    ComplexPair(2.0, 0.7),
    ComplexPair(-1.0, 0.0),
    General((0.5, -0.2, 0.05)),
]


@pytest.fixture
def operator():
    rng = np.random.default_rng(1)
    return rng.standard_normal((7, 7)), rng.standard_normal(7)


def test_every_kind_has_an_example():
    assert {factor.kind for factor in EXAMPLES} == set(FACTORS)


def test_corrections_are_the_published_formulas(operator):
    A, r = operator
    table = {
        Linear(0.25): 0.25 * r,
        RealPair(1.5, -4.0): ((1.5 - 4.0) * r - A @ r) / (1.5 * -4.0),
        SymmetricPair(-0.3): -0.3 * (A @ r),
        ComplexPair(2.0, 0.7): (2 * 2.0 * r - A @ r) / (2.0**2 + 0.7**2),
        General((0.5, -0.2, 0.05)): 0.5 * r - 0.2 * A @ r + 0.05 * A @ A @ r,
    }
    for factor, expected in table.items():
        # rounding of a 7x7 product
        np.testing.assert_allclose(
            factor.correction(lambda v: A @ v, r), expected, rtol=1e-13, atol=1e-13
        )


@pytest.mark.parametrize("factor", EXAMPLES, ids=str)
def test_roots_annihilate_and_residual_is_their_product(factor, operator):
    A, r = operator
    assert factor.degree == factor.roots.size == len(factor.correction_coefficients)
    q_at_roots = np.polynomial.polynomial.polyval(factor.roots, factor.coefficients)
    # a double root is known to half the digits of its coefficients
    np.testing.assert_allclose(q_at_roots, 0, atol=1e-7)
    expected = r.astype(complex)
    for root in factor.roots:
        expected = expected - A @ expected / root
    residual = r - A @ factor.correction(lambda v: A @ v, r)
    np.testing.assert_allclose(residual, expected, rtol=1e-10, atol=1e-10)


def test_products_with_the_operator_are_one_less_than_the_degree(operator):
    A, r = operator
    for factor in EXAMPLES:
        calls = []
        factor.correction(lambda v, calls=calls: calls.append(1) or A @ v, r)
        assert len(calls) == factor.degree - 1


def test_vanishing_coefficients_are_roots_at_infinity():
    assert np.isinf(Linear(0.0).roots).all()
    assert np.isinf(SymmetricPair(0.0).roots).sum() == 2
    assert np.isinf(General((0.5, 0.0)).roots).sum() == 1


ZEROS = [
    Factor("linear", (0.0,)),
    Factor("real_pair", (0.0, 0.5)),
    Factor("real_pair", (0.0, 0.0)),
    Factor("symmetric_pair", (0.0,)),
    Factor("complex_pair", (0.0, 0.0)),
    Factor("general", (0.5, 0.0)),
]


@pytest.mark.parametrize("factor", ZEROS, ids=str)
def test_a_root_at_infinity_is_the_weight_0(factor, operator):
    """The correction is that of the finite roots alone, and the factor is one like any other."""
    A, r = operator
    assert (
        np.isinf(factor.roots).sum()
        == (factor.weights == 0).sum()
        == factor.degree - len(factor.roots[np.isfinite(factor.roots)])
    )
    expected = r.astype(complex)
    for root in factor.roots[np.isfinite(factor.roots)]:
        expected = expected - A @ expected / root
    np.testing.assert_allclose(
        r - A @ factor.correction(lambda v: A @ v, r), expected, rtol=1e-13, atol=1e-13
    )
    assert factor_from_dict(json.loads(json.dumps(factor.to_dict()))) == factor
    assert ResidualPolynomial.from_factors([factor]).degree == factor.degree


@pytest.mark.parametrize("factor", EXAMPLES, ids=str)
def test_dictionaries_round_trip(factor):
    assert factor_from_dict(json.loads(json.dumps(factor.to_dict()))) == factor
    assert copy.deepcopy(factor) == pickle.loads(pickle.dumps(factor)) == factor


def test_dictionaries_of_earlier_versions_are_read():
    for former, factor in (
        ({"kind": "linear", "w": -3.0}, Linear(-3.0)),
        ({"kind": "real_pair", "r1": 1.5, "r2": -4.0}, RealPair(1.5, -4.0)),
        ({"kind": "symmetric_pair", "kappa": 0.3}, SymmetricPair(0.3)),
        ({"kind": "complex_pair", "a": 2.0, "b": 0.7}, ComplexPair(2.0, 0.7)),
        ({"kind": "general", "c": [0.5, -0.2, 0.05]}, General((0.5, -0.2, 0.05))),
    ):
        assert factor_from_dict(former) == factor


@pytest.mark.parametrize("factor", EXAMPLES, ids=str)
def test_one_formula_serves_every_kind_of_number(factor):
    """numpy arrays, sympy symbols and exact fractions go through the kind's terms."""
    terms, names = FACTORS[factor.kind].terms, tuple(factor.powers)
    many = terms(*(np.array([value, 2 * value]) for value in factor.parameters))
    exact = terms(*map(Fraction, factor.parameters))
    symbols = terms(*sympy.symbols(names))
    for j, expected in enumerate(factor.correction_coefficients):
        assert np.broadcast_to(many[j], 2)[0] == pytest.approx(expected, rel=1e-15)
        assert float(exact[j]) == pytest.approx(expected, rel=1e-15)
        found = sympy.sympify(symbols[j]).subs(factor.values)
        assert float(found) == pytest.approx(expected, rel=1e-14)
    assert factor.values == {name: getattr(factor, name) for name in names}


@pytest.mark.parametrize("factor", EXAMPLES, ids=str)
def test_parameters_carry_the_powers_of_the_scale_they_name(factor):
    """Roots of q_f(t/3) are three times those of q_f, whatever the kind."""
    np.testing.assert_allclose(factor.scaled(3.0).roots, 3.0 * factor.roots, rtol=1e-13)
    with pytest.raises(AttributeError, match="no attribute 'r3'"):
        factor.r3  # noqa: B018


def test_horner_skips_plain_zeros_alone():
    calls = []

    def times(term, s):
        calls.append(term)
        return term * s

    s = np.array([1.0, 2.0])
    c = horner(lambda v: 10 * v, (0, np.array(0.0), 2.0), s, times=times)
    np.testing.assert_array_equal(c, 200 * s)
    assert calls == [2.0, 0.0]  # the array 0 is used, as a parameter that happens to be 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(float("nan")), "must be finite"),
        (lambda: RealPair(0.0, 1.0), "must not be zero"),
        (lambda: ComplexPair(0.0, 0.0), "must be positive"),
        (lambda: RealPair(1e-160, 1e-160), r"leaves the range of double precision \(-inf\)"),
        (lambda: RealPair(1e200, 1e200), r"leaves the range of double precision \(-?0\)"),
        (lambda: ComplexPair(1e-300, 1e-300), "leaves the range of double precision"),
        (lambda: ComplexPair(1e300, 1e300), r"leaves the range of double precision \(-?0\)"),
        (lambda: General(()), "at least c_0"),
        (lambda: Factor("real_pair", (1.0,)), "got 1 parameters, needs w1, w2"),
        (
            lambda: factor_from_dict({"kind": "real_pair", "r1": "a", "r2": 1.0}),
            "roots is a list, must be real numbers",
        ),
        (lambda: factor_from_dict({"kind": ["linear"]}), "known are: linear, real_pair"),
        (lambda: factor_from_dict({"kind": "cubic"}), "known are: linear, real_pair"),
        (
            lambda: factor_from_dict({"kind": "linear", "weight": 1.0}),
            r"got the parameters \['weight'\], needs w",
        ),
    ],
)
def test_refusals_say_what_is_allowed(make, message):
    with pytest.raises(ValueError, match=message):
        make()
