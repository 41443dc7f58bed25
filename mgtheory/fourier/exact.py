"""Fourier analysis in exact arithmetic (sympy): symbols, residual polynomials, their roots and
smoothing factors in closed form.

Where the numerical modules say 0.0739726..., this one says 27/365. It reads the closed forms of
`mgtheory.polynomials.classical` with exact Chebyshev polynomials of the first kind T_k and of the
fourth, W_k = U_k + U_{k-1}, and the interval's ends as exact numbers. On the high frequencies the
symbol of the (2d+1)-point Laplacian takes every value of [2, 4d] and no other, so its smoothing
factor is the maximum of |q| over that interval: the largest of the values at the ends and at the
critical points, which are algebraic numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import sympy

from mgtheory._checks import check_kind, check_name, check_whole, is_whole
from mgtheory.polynomials.classical import CLOSED_FORMS, MLS_DEGREES
from mgtheory.problems.symbols import the_stencil

MAX_SYMBOLIC_DEGREE = 32


def frequencies(dim: int) -> tuple[sympy.Symbol, ...]:
    """The real symbols theta (1D) or theta_1 .. theta_d."""
    names = ["theta"] if dim == 1 else [f"theta_{j + 1}" for j in range(dim)]
    return tuple(sympy.Symbol(name, real=True) for name in names)


def symbol(operator: Any, theta: Sequence[sympy.Expr] | None = None) -> Any:
    """Ahat(theta) = sum_k a_k exp(i k.theta) as an expression in cosines and sines (a sympy Matrix
    for c coupled channels).

    Parameters
    ----------
    operator
        A `Stencil`, a problem with one, or a centred odd array. Entries within 1e-12 of a fraction
        with denominator up to 10^4 become it.
    theta
        The frequencies, by default the symbols of `frequencies`.

    Examples
    --------
    >>> from mgtheory.problems.stencils import laplacian
    >>> symbol(laplacian(1))
    2 - 2*cos(theta)
    """
    stencil = the_stencil(operator)
    angles = frequencies(stencil.dim) if theta is None else _expressions(theta, "theta")
    if len(angles) != stencil.dim:
        raise ValueError(f"theta must have {stencil.dim} entries, got {len(angles)}")
    size = stencil.channels
    total = sympy.zeros(size, size)
    for k, value in zip(stencil.offsets, stencil.matrices):
        phase = sum((j * angle for j, angle in zip(k, angles)), start=sympy.Integer(0))
        wave = sympy.cos(phase) + sympy.I * sympy.sin(phase)
        total += sympy.Matrix(size, size, [_exact(a) * wave for a in value.ravel()])
    matrix = total.applyfunc(sympy.expand)
    return matrix if stencil.values.ndim == 3 else matrix[0, 0]


def _expressions(values: Sequence[Any], name: str) -> tuple[sympy.Expr, ...]:
    try:
        found = tuple(sympy.sympify(value, strict=True) for value in values)
    except (TypeError, ValueError, sympy.SympifyError):
        found = (None,)
    if not all(isinstance(value, sympy.Expr) for value in found):
        given = repr(values).replace("\n", "")
        raise ValueError(f"{name} must be numbers or sympy expressions, got {given}")
    return found


def _exact(value: complex) -> sympy.Expr:
    if abs(value.imag) > 0:
        return _exact(value.real) + sympy.I * _exact(value.imag)
    number = float(value.real)
    fraction = Fraction(number).limit_denominator(10**4)
    if abs(float(fraction) - number) <= 1e-12 * max(1.0, abs(number)):
        return sympy.Rational(fraction.numerator, fraction.denominator)
    return sympy.Float(number, 17)


def _nodes(a: Any, b: sympy.Expr, first: int, m: int) -> list[sympy.Expr]:
    """(a + b)/2 - (b - a)/2 cos(pi n/m) for n = first, first + 2, .. below m."""
    cosines = (sympy.cos(sympy.pi * sympy.Rational(n, m)) for n in range(first, m, 2))
    return [(a + b) / 2 - (b - a) / 2 * cosine for cosine in cosines]


# the roots of the polynomials of `CLOSED_FORMS`, from the degree and the ends of [a, b]
ROOTS: dict[str, Callable[[int, sympy.Expr, sympy.Expr], list[sympy.Expr]]] = {
    "richardson": lambda k, a, b: [(a + b) / 2] * k,
    "chebyshev": lambda k, a, b: _nodes(a, b, 1, 2 * k),
    "chebyshev4": lambda k, a, b: _nodes(0, b, 2, 2 * k + 1),
    "mls": lambda k, a, b: [  # of degree k = 3d + 1, and (2k + 1)/3 = 2d + 1
        *_nodes(0, b, 2, (2 * k + 1) // 3),
        *2 * _nodes(0, b, 1, (2 * k + 1) // 3),
        b,
    ],
}


def _check_closed_form(family: str, degree: int) -> None:
    check_name(family, tuple(CLOSED_FORMS), "family with a closed form")
    allowed = range(1, MAX_SYMBOLIC_DEGREE + 1)
    if family == "mls":
        allowed = range(MLS_DEGREES.start, MAX_SYMBOLIC_DEGREE + 1, MLS_DEGREES.step)
    if not is_whole(degree) or degree not in allowed:
        steps = f" in steps of {allowed.step}" if allowed.step > 1 else ""
        raise ValueError(
            f"the closed form of {family} allows degrees {allowed[0]} to {allowed[-1]}{steps}, got"
            f" {degree!r}"
        )


def _ends(interval: tuple[Any, Any]) -> tuple[sympy.Expr, sympy.Expr]:
    ends = _expressions(interval, "interval")
    if len(ends) != 2:
        raise ValueError(f"interval must have 2 entries, got {len(ends)}")
    a, b = (sympy.nsimplify(end, rational=True) if end.is_Float else end for end in ends)
    if (
        (b - a).is_positive is False
        or a.is_negative
        or not all(end.is_finite is not False for end in (a, b))
    ):
        raise ValueError(f"an interval needs 0 <= a < b, got ({a}, {b})")
    return a, b


def residual_polynomial(
    family: str, degree: int, *, interval: tuple[Any, Any], t: sympy.Symbol | None = None
) -> sympy.Expr:
    """q(t), q(0) = 1, expanded, with exact coefficients.

    Parameters
    ----------
    family
        A name in `CLOSED_FORMS`.
    degree
        Degree of q.
    interval
        (a, b), integers, fractions, floats that stand for one, or sympy expressions; families on
        (0, b] take b alone (give a = 0).
    t
        The variable, the symbol t by default.

    Examples
    --------
    >>> residual_polynomial("chebyshev", 2, interval=(2, 8))
    2*t**2/41 - 20*t/41 + 1
    """
    _check_closed_form(family, degree)
    a, b = _ends(interval)
    variable = sympy.Symbol("t", real=True) if t is None else t

    def first_kind_ratio(k: int, x: sympy.Expr, outer: sympy.Expr) -> sympy.Expr:
        return sympy.chebyshevt(k, x) / sympy.chebyshevt(k, outer)

    def fourth_kind(k: int, x: sympy.Expr) -> sympy.Expr:
        return sympy.chebyshevu(k, x) + sympy.chebyshevu(k - 1, x)

    q = CLOSED_FORMS[family](degree, variable, a, b, first_kind_ratio, fourth_kind)
    return sympy.expand(q) if (b - a).is_number else sympy.collect(sympy.cancel(q), variable)


def roots(family: str, degree: int, *, interval: tuple[Any, Any]) -> list[sympy.Expr]:
    """The roots of q in closed form, with multiplicity; parameters as for `residual_polynomial`.

    >>> roots("chebyshev4", 1, interval=(0, 8))
    [6]
    """
    _check_closed_form(family, degree)
    return ROOTS[family](degree, *_ends(interval))


def maximum_modulus(q: sympy.Expr, t: sympy.Symbol, interval: tuple[Any, Any]) -> sympy.Expr:
    """max over [a, b] of |q(t)| for a polynomial with rational coefficients, as an exact algebraic
    number."""
    check_kind(q, sympy.Expr, "q", "a sympy expression")
    a, b = _ends(interval)
    critical = (
        sympy.Poly(sympy.diff(q, t), t).real_roots(multiple=False) if sympy.degree(q, t) > 1 else []
    )
    candidates = [a, b, *(point for point, _ in critical if a < point < b)]
    values = [
        sympy.radsimp(sympy.expand(q.subs(t, point))) if point.is_rational else q.subs(t, point)
        for point in candidates
    ]
    best = max(values, key=lambda value: abs(sympy.N(value, 30)))
    exact = best if sympy.N(best, 30) > 0 else -best
    return exact if exact.has(sympy.CRootOf) else sympy.radsimp(sympy.expand(exact))


def high_frequency_range(dim: int) -> tuple[sympy.Integer, sympy.Integer]:
    """[2, 4d]: the values of sum_j 2 (1 - cos theta_j) where some |theta_j| >= pi/2, ends
    included."""
    if check_whole(dim, "dim", 1) not in (1, 2, 3):
        raise ValueError(f"dim must be 1, 2 or 3, got {dim}")
    return sympy.Integer(2), sympy.Integer(4 * dim)


def smoothing_factor(
    family: str, degree: int, *, dim: int = 2, interval: tuple[Any, Any] | None = None
) -> sympy.Expr:
    """The exact smoothing factor of a family for the (2d+1)-point Laplacian on the h = 1 scale.

    Parameters
    ----------
    family, degree
        As for `residual_polynomial`.
    dim
        Space dimension d.
    interval
        Where the polynomial is derived; by default the high frequencies [2, 4d] (so lmax = 4d).

    Examples
    --------
    >>> [smoothing_factor("chebyshev", k) for k in (1, 2, 3)]
    [3/5, 9/41, 27/365]
    >>> [smoothing_factor("chebyshev4", k) for k in (1, 2)]
    [2/3, 1/4]
    """
    t = sympy.Symbol("t", real=True)
    high = high_frequency_range(dim)
    return maximum_modulus(
        residual_polynomial(family, degree, interval=high if interval is None else interval, t=t),
        t,
        high,
    )
