"""ResidualPolynomial: conversions, application against dense twins, stability at high degree
against 60-digit arithmetic."""

import json
import math

import mpmath
import numpy as np
import pytest
import scipy.sparse as sp
import sympy
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from mgtheory.polynomials.factors import ComplexPair, General, Linear, RealPair, SymmetricPair
from mgtheory.polynomials.recurrence import Recurrence
from mgtheory.polynomials.residual import MAX_DEGREE, POWER_BASIS_DEGREE, ResidualPolynomial
from mgtheory.polynomials.roots import leja_order, roots_to_json
from mgtheory.problems.record import operator_record

CHEBYSHEV_3 = 1.5 + 0.5 * np.cos(np.pi * (np.arange(1, 4) - 0.5) / 3)  # first kind on [1, 2]


def fourth_kind_roots(k, lmax=1.0):
    return lmax / 2 * (1 - np.cos(2 * np.pi * np.arange(1, k + 1) / (2 * k + 1)))


def laplacian(n):
    return sp.diags_array(
        [-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]
    ).tocsr()


POLYNOMIALS = {
    "chebyshev": ResidualPolynomial(CHEBYSHEV_3),
    "one root": ResidualPolynomial([1.7]),
    "complex": ResidualPolynomial([1 + 2j, 1 - 2j, 3.0, -4.0]),
    "double": ResidualPolynomial([2.0, 2.0, 0.5]),
    "with infinity": ResidualPolynomial([np.inf, 1.5, 2.5]),
    "imaginary": ResidualPolynomial.from_factors([SymmetricPair(-0.2), Linear(0.3)]),
}
every_polynomial = pytest.mark.parametrize("q", POLYNOMIALS.values(), ids=POLYNOMIALS.keys())


def test_chebyshev_coefficients_oracle():
    q = ResidualPolynomial(CHEBYSHEV_3)
    # the oracle's printed digits
    np.testing.assert_allclose(q.coefficients, [1, -2.12121212, 1.45454545, -0.32323232], atol=5e-9)
    np.testing.assert_allclose(q.correction_coefficients, -q.coefficients[1:])


@every_polynomial
def test_q_is_one_minus_t_p_and_vanishes_at_its_roots(q):
    t = np.linspace(-3, 5, 41)
    np.testing.assert_allclose(q(t), 1 - t * q.p(t), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        q(t), np.prod([1 - t * w for w in q.weights], axis=0).real, rtol=1e-12, atol=1e-12
    )
    assert q(0.0) == 1.0
    np.testing.assert_allclose(q.p(0.0), q.weights.sum().real, rtol=1e-14)
    np.testing.assert_allclose(np.abs(q(q.roots[np.isfinite(q.roots)])), 0, atol=1e-13)


@every_polynomial
def test_conversions_give_the_same_polynomial(q):
    t = np.linspace(-2, 4, 25) + 0.5j
    for other in (
        ResidualPolynomial.from_weights(q.weights),
        ResidualPolynomial.from_factors(q.factors),
        ResidualPolynomial.from_coefficients(q.coefficients),
        ResidualPolynomial.from_json(q.to_json()),
    ):
        assert other.degree == q.degree
        # a double root comes back from coefficients with half of its digits
        np.testing.assert_allclose(other(t), q(t), rtol=1e-7)
    assert ResidualPolynomial.from_json(q.to_json()) == q
    symbol = sympy.Symbol("t")
    np.testing.assert_allclose(sympy.lambdify(symbol, q.sympy(symbol))(t), q(t), rtol=1e-13)


@every_polynomial
@pytest.mark.parametrize("form", ["sparse", "operator", "dense"])
def test_application_is_the_matrix_polynomial(q, form):
    A = laplacian(9)
    dense = A.toarray()
    r = np.random.default_rng(0).standard_normal(9)
    B = 1.0 / (1.0 + np.arange(9))
    operator = {"sparse": A, "operator": aslinearoperator(A), "dense": dense}[form]
    for b, matrix in ((None, np.eye(9)), (B, np.diag(B)), (sp.diags_array(B), np.diag(B))):
        residual = r.astype(complex)
        for w in q.weights:
            residual = residual - w * (dense @ matrix @ residual)  # q(AB) r = r - A p(BA) B r
        np.testing.assert_allclose(
            dense @ q.apply(operator, r, b), r - residual.real, rtol=1e-10, atol=1e-10
        )
        x = np.ones(9)
        np.testing.assert_allclose(
            q.smooth(operator, x, r, b), x + q.apply(operator, r - dense @ x, b), rtol=1e-12
        )


def test_error_of_one_smoothing_step_is_multiplied_by_q():
    A = laplacian(15).toarray()
    q = ResidualPolynomial(fourth_kind_roots(3, 4.0))
    eigenvalues, vectors = np.linalg.eigh(A)
    exact = np.zeros(15)
    for value, vector in zip(eigenvalues, vectors.T):
        np.testing.assert_allclose(q.smooth(A, vector, A @ exact), q(value) * vector, atol=1e-13)


def test_several_right_hand_sides_at_once():
    A, q = laplacian(6), POLYNOMIALS["complex"]
    R = np.random.default_rng(2).standard_normal((6, 3))
    B = np.full(6, 0.5)
    columns = [q.apply(A, R[:, j], B) for j in range(3)]
    np.testing.assert_allclose(q.apply(A, R, B), np.stack(columns, axis=1), rtol=1e-13)


@pytest.mark.parametrize("degree", [1, 2, 5, 16, 64, 256])
def test_ordered_factors_stay_stable(degree):
    """Rounding error of the ordered product on (0, 1], measured against 60 digits; q itself is at
    most 1 there."""
    q = ResidualPolynomial(fourth_kind_roots(degree))
    t = np.linspace(0.003, 1.0, 60)
    with mpmath.workdps(60):
        exact = [
            float(
                mpmath.fprod(1 - mpmath.mpf(float(x)) / mpmath.mpf(float(r)) for r in q.roots.real)
            )
            for x in t
        ]
    D = sp.diags_array(t)
    residual = 1.0 - t * q.apply(D, np.ones(60))
    growth = q.amplification(t)
    # A backward stable product has an error of a few eps per factor, times the amplification of the
    # order.
    assert np.abs(residual - exact).max() <= 8 * degree * np.finfo(float).eps * growth
    # linear growth; the natural order of the roots reaches 1e11 at degree 64 (below)
    assert growth <= 4 * degree


def test_leja_order_is_what_keeps_it_stable():
    q = ResidualPolynomial(fourth_kind_roots(64))
    t = np.linspace(0.003, 1.0, 200)
    values = 1 - t[None, :] / np.sort(q.roots.real)[:, None]
    natural = np.abs(np.cumprod(values, axis=0)).max()
    assert natural > 1e8 * q.amplification(t)


def test_leja_order_maximises_products_of_distances():
    rng = np.random.default_rng(3)
    z = rng.uniform(0.1, 1, 6) + 1j * rng.uniform(0.1, 1, 6)
    ordered = leja_order(np.concatenate([z, z.conj(), rng.uniform(0.1, 1, 5), [np.inf]]))
    assert np.isinf(ordered[-1])
    finite = ordered[:-1]
    assert abs(finite[0]) == pytest.approx(np.abs(finite).max())
    position = 2 if finite[0].imag else 1
    while position < finite.size:
        scores = [np.prod(np.abs(candidate - finite[:position])) for candidate in finite[position:]]
        assert scores[0] >= max(scores) * (1 - 1e-9)
        step = 1 if finite[position].imag == 0 else 2
        if step == 2:
            assert finite[position + 1] == finite[position].conjugate()
        position += step


def test_of_roots_of_one_modulus_the_right_one_is_first():
    assert leja_order([1.0, -2.0, 2.0])[0] == 2.0
    assert leja_order([-2.0, 2j, -2j])[0] == 2j


@every_polynomial
def test_products_are_one_less_than_the_degree(q):
    count = []
    free = LinearOperator((9, 9), matvec=lambda v: count.append(1) or laplacian(9) @ v, dtype=float)
    q.apply(free, np.ones(9))
    assert len(count) == q.degree - 1


def test_values_at_a_number_are_numbers():
    q = POLYNOMIALS["complex"]
    assert isinstance(q(0.5), float)
    assert isinstance(q.p(0.5), float)
    assert isinstance(q(0.5j), complex)


def test_a_record_keeps_no_matrix_alive():
    record = operator_record(laplacian(9))
    assert record.source is not None
    kept = POLYNOMIALS["double"].of(record).operator
    assert kept == record
    assert kept.source is None


def test_repeated_roots_survive_ordering():
    ordered = leja_order([2.0, 1.0, 2.0, 2.0, 1.0])
    assert sorted(ordered.real) == [1.0, 1.0, 2.0, 2.0, 2.0]


@given(
    st.lists(st.floats(0.05, 20) | st.floats(-20, -0.05), min_size=1, max_size=12),
    st.floats(0.1, 10),
)
def test_scaling_is_a_change_of_variable(roots, factor):
    q = ResidualPolynomial(roots)
    t = np.linspace(-1, 1, 7) * 0.05
    np.testing.assert_allclose(q.scaled(factor)(t * factor), q(t), rtol=1e-10, atol=1e-12)


def chebyshev_recurrence(k, a, b):
    """The textbook three-term form for [a, b] [Saad 2003, algorithm 12.1], written independently of
    the package."""
    theta, delta = (a + b) / 2, (b - a) / 2
    sigma = theta / delta
    rho, steps = 1 / sigma, [(0.0, 1 / theta)]
    for _ in range(k - 1):
        new = 1 / (2 * sigma - rho)
        steps.append((new * rho, 2 * new / delta))
        rho = new
    return Recurrence(tuple(s[0] for s in steps), tuple(s[1] for s in steps), (1.0,) * k)


def test_recurrence_applies_the_same_polynomial():
    recurrence = chebyshev_recurrence(3, 1.0, 2.0)
    plain, q = ResidualPolynomial(CHEBYSHEV_3), ResidualPolynomial(CHEBYSHEV_3, recurrence)
    A = sp.diags_array(np.linspace(0.5, 2.0, 20))
    B = np.linspace(0.9, 1.1, 20)
    r = np.ones(20)
    np.testing.assert_allclose(q.apply(A, r, B), plain.apply(A, r, B), rtol=1e-12)
    np.testing.assert_allclose(q.scaled(4.0).apply(4.0 * A, r), plain.apply(A, r) / 4.0, rtol=1e-12)
    assert q.scaled(4.0).recurrence == recurrence.scaled(4.0)  # stable at every degree there too
    assert ResidualPolynomial.from_json(q.to_json()) == q
    with pytest.raises(ValueError, match="different polynomials"):
        ResidualPolynomial([1.0, 1.5, 2.0], recurrence)
    with pytest.raises(ValueError, match="3 steps, the polynomial degree 2"):
        ResidualPolynomial([1.0, 2.0], recurrence)


def test_flags_and_equality():
    assert POLYNOMIALS["chebyshev"].is_real_rooted
    assert not POLYNOMIALS["complex"].is_real_rooted
    assert POLYNOMIALS["complex"] == ResidualPolynomial([-4.0, 1 - 2j, 3.0, 1 + 2j])
    assert POLYNOMIALS["complex"] != POLYNOMIALS["double"]
    assert len({ResidualPolynomial([1.0, 2.0]), ResidualPolynomial([2.0, 1.0])}) == 1
    imaginary = [
        ResidualPolynomial([complex(zero, 1.0), complex(zero, -1.0)]) for zero in (0.0, -0.0)
    ]
    assert imaginary[0] == imaginary[1]
    assert len(set(imaginary)) == 1
    nothing = [ResidualPolynomial.from_weights([1.0, zero]) for zero in (0.0, -0.0)]
    assert nothing[0] == nothing[1]
    assert len(set(nothing)) == 1
    assert POLYNOMIALS["complex"].factors[0] == Linear(-0.25)
    assert {f.kind for f in POLYNOMIALS["complex"].factors} == {"linear", "complex_pair"}
    assert POLYNOMIALS["with infinity"].factors[-1] == Linear(0.0)
    with pytest.raises(ValueError, match="read-only"):
        POLYNOMIALS["double"].roots[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        POLYNOMIALS["double"].weights[0] = 1.0


def test_files_keep_the_weights_and_earlier_ones_are_read():
    for q in POLYNOMIALS.values():
        data = json.loads(q.to_json())
        assert data["version"] == 2
        assert [complex(*w) for w in data["weights"]] == q.weights.tolist()
        former = {"roots": roots_to_json(q.roots)}
        again = ResidualPolynomial.from_dict(json.loads(json.dumps(former)))
        np.testing.assert_allclose(again.weights, q.weights, rtol=4e-16)
    q = POLYNOMIALS["with infinity"]
    assert q.to_dict()["weights"][-1] == [0.0, 0.0]
    assert roots_to_json(q.roots)[-1] is None


def test_weights_are_kept_exactly():
    """1/(1/w) is another number for one w in seven."""
    w = np.random.default_rng(5).uniform(0.1, 1, 64)
    assert (1 / (1 / w) != w).any()
    q = ResidualPolynomial.from_weights([*w, 0.3 + 0.1j, 0.3 - 0.1j, 0.0])
    assert set(q.weights) == {*w, 0.3 + 0.1j, 0.3 - 0.1j, 0.0}
    assert ResidualPolynomial.from_factors(q.factors) == q
    assert ResidualPolynomial.from_json(q.to_json()) == q


def test_mixed_factors_multiply():
    factors = [
        Linear(0.3),
        RealPair(1.0, 3.0),
        SymmetricPair(-0.1),
        ComplexPair(1.0, 0.5),
        General((0.1, 0.2)),
    ]
    q = ResidualPolynomial.from_factors(factors)
    t = np.linspace(-1, 3, 17)
    expected = np.prod(
        [np.polynomial.polynomial.polyval(t, f.coefficients) for f in factors], axis=0
    )
    assert q.degree == 9
    np.testing.assert_allclose(q(t), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResidualPolynomial([]), "degree is 0, .* from 1 to 256"),
        (lambda: ResidualPolynomial(np.ones(MAX_DEGREE + 1)), "degree is 257"),
        (lambda: ResidualPolynomial([1.0, 0.0]), "must be non-zero"),
        (lambda: ResidualPolynomial([math.nan]), "must be non-zero|not a number"),
        (lambda: ResidualPolynomial([[1.0]]), "one-dimensional"),
        (
            lambda: ResidualPolynomial([1e-320]),
            "a root has modulus 1.0e-320, allowed are 1e-300 to 1e.300",
        ),
        (
            lambda: ResidualPolynomial([1e-200 * (1 + 1j), 1e-200 * (1 - 1j)]),
            "a complex root has modulus 1.4e-200",
        ),
        (lambda: ResidualPolynomial([1e200]).scaled(1e200), "leaves the range of double precision"),
        (lambda: ResidualPolynomial([1 + 1j]), "no conjugate partner"),
        (lambda: ResidualPolynomial([1 + 1j, 1 - 1.1j]), "no conjugate partner"),
        (lambda: ResidualPolynomial([1 + 1j, 1 - (1 + 1e-8) * 1j]), "no conjugate partner"),
        (lambda: ResidualPolynomial([1.0]).scaled(-2.0), "must be positive"),
        (lambda: ResidualPolynomial.from_coefficients([2.0, 1.0]), r"q\(0\) = 1"),
        (
            lambda: ResidualPolynomial.from_coefficients([1.0] * (POWER_BASIS_DEGREE + 2)),
            "lose more than half of the digits",
        ),
        (
            lambda: ResidualPolynomial(np.arange(1.0, POWER_BASIS_DEGREE + 2)).coefficients,
            "lose more than half of the digits",
        ),
        (lambda: ResidualPolynomial.from_json("[1, 2"), "not a residual polynomial"),
        (lambda: ResidualPolynomial.from_json("[1, 2]"), "not a residual polynomial"),
        (lambda: ResidualPolynomial.from_json('{"roots": [1.0]}'), "not a residual polynomial"),
        (lambda: Recurrence((1.0,), (1.0, 2.0), (1.0,)), "lengths 1, 2 and 1"),
    ],
)
def test_refusals_say_what_is_allowed(make, message):
    with pytest.raises(ValueError, match=message):
        make()
