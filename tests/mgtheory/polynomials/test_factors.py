"""The factors against their table in the documentation, written out again with dense matrices."""

import numpy as np
import pytest

from mgtheory.polynomials.factors import (
    FACTORS,
    ComplexPair,
    General,
    Linear,
    RealPair,
    SymmetricPair,
    factor_from_dict,
)

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
    assert {type(factor) for factor in EXAMPLES} == set(FACTORS.values())


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


@pytest.mark.parametrize("factor", EXAMPLES, ids=str)
def test_dictionaries_round_trip(factor):
    assert factor_from_dict(factor.to_dict()) == factor


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(float("nan")), "must be finite"),
        (lambda: RealPair(0.0, 1.0), "must not be zero"),
        (lambda: ComplexPair(0.0, 0.0), "must be positive"),
        (lambda: RealPair(1e-160, 1e-160), "product of the roots is 9.99"),
        (lambda: RealPair(1e200, 1e200), "product of the roots is inf"),
        (lambda: ComplexPair(1e-300, 1e-300), "product of the roots is 0"),
        (lambda: ComplexPair(1e300, 1e300), "product of the roots is inf"),
        (lambda: General(()), "at least c_0"),
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
