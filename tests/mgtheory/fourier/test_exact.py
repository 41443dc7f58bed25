"""Exact symbols, polynomials and smoothing factors against their numerical twins."""

import numpy as np
import pytest
import sympy

from mgtheory.families import FAMILIES
from mgtheory.fourier import exact as symbolic
from mgtheory.fourier import smoothing_factor, symbol
from mgtheory.polynomials.classical import CLOSED_FORMS
from mgtheory.problems.stencils import STENCILS, Stencil, laplacian, named

T = sympy.Symbol("t", real=True)


def numerical(family, degree, a, b):
    entry = FAMILIES[family]
    return entry.function(
        degree, **({"interval": (a, b)} if entry.needs == "interval" else {"lmax": b})
    )


@pytest.mark.parametrize("name", STENCILS)
def test_symbols_agree_with_numbers(name):
    stencil = named(name)
    expression = sympy.lambdify(
        symbolic.frequencies(stencil.dim), symbolic.symbol(stencil), "numpy"
    )
    theta = np.random.default_rng(0).uniform(-np.pi, np.pi, (20, stencil.dim))
    np.testing.assert_allclose(expression(*theta.T), symbol(stencil, theta), atol=1e-12)


def test_symbols_in_literal_form():
    (theta,) = symbolic.frequencies(1)
    one, two = symbolic.frequencies(2)
    assert symbolic.symbol(laplacian(1)) == 2 - 2 * sympy.cos(theta)
    assert (
        sympy.expand(symbolic.symbol(laplacian(2)) - (4 - 2 * sympy.cos(one) - 2 * sympy.cos(two)))
        == 0
    )
    advection = Stencil(((-1,), (1,)), np.array([-0.5, 0.5]))
    assert symbolic.symbol(advection) == sympy.I * sympy.sin(theta)
    assert symbolic.symbol(laplacian(1), [sympy.pi]) == 4
    thin = laplacian(1) * (7 / 6000)  # a fraction with a denominator up to 10^4
    assert symbolic.symbol(thin) == sympy.Rational(7, 3000) * (1 - sympy.cos(theta)).expand()


def test_matrix_symbol_of_channels():
    kernel = np.random.default_rng(1).integers(-2, 3, (2, 2, 3, 3))
    stencil = Stencil.from_array(kernel)
    exact = symbolic.symbol(stencil, [sympy.pi / 2, -sympy.pi / 3])
    found = np.array(exact.evalf(), dtype=complex)
    np.testing.assert_allclose(found, symbol(stencil, [np.pi / 2, -np.pi / 3]), atol=1e-12)


@pytest.mark.parametrize("family", CLOSED_FORMS)
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 7])
def test_closed_forms_agree_with_the_families(family, degree):
    if family == "mls" and degree < 4:
        with pytest.raises(ValueError, match="allows degrees 4 to 31 in steps of 3, got"):
            symbolic.roots(family, degree, interval=(2, 8))
        return
    expected = numerical(family, degree, 2.0, 8.0)
    roots = sorted(float(root) for root in symbolic.roots(family, degree, interval=(2, 8)))
    np.testing.assert_allclose(roots, np.sort(expected.roots.real), rtol=1e-13)
    q = symbolic.residual_polynomial(family, degree, interval=(2, 8), t=T)
    assert q.subs(T, 0) == 1
    ascending = [float(c) for c in reversed(sympy.Poly(q, T).all_coeffs())]
    np.testing.assert_allclose(ascending, expected.coefficients, rtol=1e-9, atol=1e-14)


def test_chebyshev_coefficients_in_fractions():
    q = symbolic.residual_polynomial("chebyshev", 3, interval=(1, 2), t=T)
    ascending = sympy.Poly(q, T).all_coeffs()[::-1]
    assert ascending == [
        1,
        sympy.Rational(-70, 33),
        sympy.Rational(16, 11),
        sympy.Rational(-32, 99),
    ]


def test_symbolic_interval():
    a, b = sympy.symbols("a b", positive=True)
    q = symbolic.residual_polynomial("chebyshev", 2, interval=(a, b), t=T)
    assert (
        sympy.simplify(
            q.subs({a: 2, b: 8})
            - symbolic.residual_polynomial("chebyshev", 2, interval=(2, 8), t=T)
        )
        == 0
    )


@pytest.mark.parametrize(
    ("family", "degree", "expected"),
    [
        ("chebyshev", 1, sympy.Rational(3, 5)),
        ("chebyshev", 2, sympy.Rational(9, 41)),
        ("chebyshev", 3, sympy.Rational(27, 365)),
        ("chebyshev4", 1, sympy.Rational(2, 3)),
        ("chebyshev4", 2, sympy.Rational(1, 4)),
        ("chebyshev4", 3, (1 + 2 * sympy.sqrt(7)) / 27),
        ("richardson", 2, sympy.Rational(9, 25)),
    ],
)
def test_exact_smoothing_factors(family, degree, expected):
    assert sympy.simplify(symbolic.smoothing_factor(family, degree) - expected) == 0


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize(
    ("family", "degree"), [("chebyshev", 4), ("chebyshev4", 5), ("mls", 4), ("mls", 7)]
)
def test_exact_factors_agree_with_fourier_analysis(family, degree, dim):
    exact = float(sympy.N(symbolic.smoothing_factor(family, degree, dim=dim), 20))
    found = smoothing_factor(laplacian(dim), numerical(family, degree, 2.0, 4.0 * dim)).factor
    assert found == pytest.approx(exact, abs=1e-10)


def test_chebyshev_factor_is_one_over_t_k():
    for degree in (2, 5, 9):
        expected = 1 / sympy.chebyshevt(degree, sympy.Rational(5, 3))
        assert symbolic.smoothing_factor("chebyshev", degree) == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: symbolic.roots("bernstein", 2, interval=(0, 1)), "known are: richardson"),
        (lambda: symbolic.roots("chebyshev", 0, interval=(1, 2)), "degrees 1 to 32, got 0"),
        (lambda: symbolic.roots("chebyshev", 2, interval=(2, 1)), "0 <= a < b"),
        (lambda: symbolic.roots("chebyshev", 2, interval=(2, 2)), "0 <= a < b"),
        (lambda: symbolic.roots("chebyshev", 2, interval=(-1, 2)), "0 <= a < b"),
        (lambda: symbolic.smoothing_factor("chebyshev", 2, dim=4), "1, 2 or 3"),
        (lambda: symbolic.symbol(laplacian(2), [0]), "2 entries"),
    ],
)
def test_wrong_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
