"""The closed forms of the families against the products over their roots, in doubles and exact."""

import numpy as np
import pytest
import sympy

from mgtheory.polynomials import classical
from mgtheory.polynomials.classical import CLOSED_FORMS, closed_form

INTERVAL = (0.5, 3.0)


def polynomial(family, k):
    source = {"interval": INTERVAL} if family in ("richardson", "chebyshev") else {"lmax": 3.0}
    return getattr(classical, family)(k, **source)


@pytest.mark.parametrize("k", [1, 4, 7, 16, 64, 256])
@pytest.mark.parametrize("family", CLOSED_FORMS)
def test_values_are_those_of_the_roots(family, k):
    if family == "mls" and k not in classical.MLS_DEGREES:
        with pytest.raises(ValueError, match=f"degree is {k}, mls allows 3d"):
            polynomial(family, k)
        return
    t = np.linspace(0.0, 3.0, 301)
    expected = polynomial(family, k)(t)
    assert closed_form(family, k, 0.0, INTERVAL) == pytest.approx(1.0, rel=1e-13)
    np.testing.assert_allclose(closed_form(family, k, t, INTERVAL), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("family", CLOSED_FORMS)
def test_the_same_formulas_are_exact_with_sympy(family):
    def ratio(k, x, outer):
        return sympy.chebyshevt(k, x) / sympy.chebyshevt(k, outer)

    def fourth(k, x):
        return sympy.chebyshevu(k, x) + sympy.chebyshevu(k - 1, x)

    t, (a, b) = sympy.Symbol("t"), (sympy.Rational(1, 2), sympy.Integer(3))
    q = sympy.Poly(CLOSED_FORMS[family](4, t, a, b, ratio, fourth), t)
    assert q.degree() == 4
    assert q.eval(0) == 1
    found = [float(c) for c in reversed(q.all_coeffs())]
    np.testing.assert_allclose(found, polynomial(family, 4).coefficients, rtol=1e-12)
