"""The families in closed form: their roots, and the formulas of their values.

Every function returns the residual polynomial q, q(0) = 1, of degree k (the products with A in one
smoothing). ``interval`` is the pair (a, b), 0 < a < b, of eigenvalues of BA to damp, ``lmax`` the
largest eigenvalue of BA. `CLOSED_FORMS` has q(t) itself, for any kind of number.

Sources: Saad, Iterative Methods for Sparse Linear Systems, 2nd ed. (2003), algorithm 12.1
(chebyshev); J. Lottes, Numer. Linear Algebra Appl. 30(6) (2023) e2518, arXiv 2202.08830
(chebyshev4, chebyshev4_opt); M. Adams, M. Brezina, J. Hu, R. Tuminaro, J. Comput. Phys. 188 (2003)
593-610 (mls).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import check_number, own_errors
from mgtheory.polynomials.fourthkind import optimised_beta, optimised_roots
from mgtheory.polynomials.recurrence import first_kind_recurrence, fourth_kind_recurrence
from mgtheory.polynomials.residual import MAX_DEGREE, ResidualPolynomial, check_degree
from mgtheory.spectra.interval import Interval

IntervalLike = Interval | Iterable[float]
MLS_DEGREES = range(4, MAX_DEGREE + 1, 3)


@own_errors
def richardson(degree: int, *, interval: IntervalLike) -> ResidualPolynomial:
    """q(t) = (1 - t/r)^k with r = (a + b)/2: damped Richardson, the best single root for [a, b],
    repeated k times.

    With B the inverse diagonal it is damped Jacobi. max |q| on [a, b] is ((b - a)/(b + a))^k.

    Examples
    --------
    >>> richardson(1, interval=(2, 8)).weights.real.tolist()  # 0.8/4: Jacobi with 4/5 in 2D
    [0.2]
    """
    degree = check_degree(degree, family="richardson")
    a, b = _check_interval(interval, family="richardson")
    return ResidualPolynomial(np.full(degree, 0.5 * (a + b)))


@own_errors
def chebyshev(degree: int, *, interval: IntervalLike) -> ResidualPolynomial:
    """q(t) = T_k((b + a - 2t)/(b - a)) / T_k((b + a)/(b - a)): Chebyshev of the first kind, minimax
    on [a, b].

    Roots (a + b)/2 + (b - a)/2 cos(pi (i - 1/2)/k); max |q| on [a, b] = 1/T_k((b + a)/(b - a)). It
    carries its three-term recurrence. The high frequencies of the 5- and 7-point Laplacian in d
    dimensions have a = b/(2d).

    Examples
    --------
    >>> chebyshev(3, interval=(1, 2)).coefficients.round(8).tolist()
    [1.0, -2.12121212, 1.45454545, -0.32323232]
    """
    degree = check_degree(degree, family="chebyshev")
    a, b = _check_interval(interval, family="chebyshev")
    centre, half = 0.5 * (a + b), 0.5 * (b - a)
    i = np.arange(1, degree + 1)
    # From the nearer end, a + (b - a) sin^2 or b - (b - a) sin^2, no digits are lost where a << b;
    # in the middle from the centre.
    from_a, from_b = (
        2 * half * np.sin(0.25 * np.pi * (2 * n - 1) / degree) ** 2 for n in (degree + 1 - i, i)
    )
    middle = centre + half * np.sin(0.5 * np.pi * (degree + 1 - 2 * i) / degree)
    roots = np.select([from_a < 0.5 * half, from_b < 0.5 * half], [a + from_a, b - from_b], middle)
    return ResidualPolynomial(roots, first_kind_recurrence(degree, interval=(a, b)))


@own_errors
def chebyshev4(degree: int, *, lmax: float) -> ResidualPolynomial:
    """q(t) = W_k(1 - 2t/lmax)/(2k + 1): Chebyshev of the fourth kind; sup over (0, lmax] of t
    q^2/lmax = 1/(2k + 1)^2.

    Needs no lower bound of the spectrum. Roots lmax/2 (1 - cos(2 pi i/(2k + 1))), i = 1..k; 1/gamma
    = (4/3) k (k + 1). It carries the recurrence of
    `mgtheory.polynomials.recurrence.fourth_kind_recurrence` with beta = 1.

    Examples
    --------
    >>> chebyshev4(2, lmax=1).roots.real.round(4).tolist()
    [0.9045, 0.3455]
    """
    degree = check_degree(degree, family="chebyshev4")
    lmax = _check_lmax(lmax, family="chebyshev4")
    recurrence = fourth_kind_recurrence(np.ones(degree), lmax=lmax)
    return ResidualPolynomial(lmax * _fourth_kind_roots(degree), recurrence)


@own_errors
def chebyshev4_opt(degree: int, *, lmax: float) -> ResidualPolynomial:
    """The q of degree k with the smallest gamma = sup t q^2/(1 - q^2) over (0, lmax] (t scaled by
    lmax): the optimised fourth kind.

    1/gamma = 3, 5 + 2 sqrt(5), .. for k = 1, 2, ..; about (4/pi^2)(2k + 1)^2 - 2/3 for large k.
    Computed for any degree (`mgtheory.polynomials.fourthkind`); carries the recurrence of the
    fourth kind with its weights beta. The bound it minimises targets poor coarse spaces: on 2D
    Poisson with full coarsening it can lose to `chebyshev` on [lmax/4, lmax].

    Examples
    --------
    >>> chebyshev4_opt(2, lmax=1).recurrence.beta
    (1.0238728757..., 1.2640890537...)
    """
    degree = check_degree(degree, family="chebyshev4_opt")
    lmax = _check_lmax(lmax, family="chebyshev4_opt")
    recurrence = fourth_kind_recurrence(optimised_beta(degree), lmax=lmax)
    return ResidualPolynomial(lmax * optimised_roots(degree), recurrence)


@own_errors
def mls(degree: int, *, lmax: float) -> ResidualPolynomial:
    """(1 - (2d + 1)^2/lmax t S(t)^2) S(t), S the fourth kind of degree d: the smoothed-aggregation
    (MLS) smoother, degree 3d + 1 = 4, 7, 10, ...

    Roots in closed form: the d of S; lmax/2 (1 - cos((2i - 1) pi/(2d + 1))), i = 1..d, each twice;
    lmax (rho in the source) once. Trilinos' ML has 2/1.025 times the (2d + 1)^2.

    Examples
    --------
    >>> mls(4, lmax=1).roots.real.round(6).tolist()
    [1.0, 0.25, 0.75, 0.25]
    """
    degree = check_degree(degree, family="mls")
    if degree not in MLS_DEGREES:
        raise ValueError(f"degree is {degree}, mls allows 3d + 1: 4, 7, 10, .., {MAX_DEGREE}")
    d = (degree - 1) // 3
    lmax = _check_lmax(lmax, family="mls")
    double = np.sin(0.5 * np.pi * (2 * np.arange(1, d + 1) - 1) / (2 * d + 1)) ** 2
    roots = np.concatenate([_fourth_kind_roots(d), double, double, [1.0]])
    return ResidualPolynomial(lmax * roots)


def _fourth_kind_roots(degree: int) -> np.ndarray:
    """1/2 (1 - cos(2 pi i/(2k + 1))), i = 1..k, as squares of sines."""
    return np.sin(np.pi * np.arange(1, degree + 1) / (2 * degree + 1)) ** 2


def first_kind_ratio(degree: int, x: Any, outer: float) -> NDArray[Any]:
    """T_k(x)/T_k(outer) for x >= -1 or complex x, and outer > 1, which overflows for no degree.

    T_k is cos(k arccos x) up to 1 and cosh(k arccosh x) from there on; of the latter only
    exp(-k arccosh) of the difference is formed.
    """
    far = math.acosh(outer)
    if np.iscomplexobj(x):
        near = np.arccosh(x)
        ratio = 0.5 * (np.exp(degree * (near - far)) + np.exp(-degree * (near + far)))
        return np.asarray(ratio * (2 / (1 + math.exp(-2 * degree * far))))
    x = np.asarray(x, dtype=float)
    ratio = np.asarray(math.exp(-degree * far) * np.cos(degree * np.arccos(np.clip(x, -1.0, 1.0))))
    beyond = x > 1
    near = np.arccosh(x[beyond])
    ratio[beyond] = 0.5 * (np.exp(degree * (near - far)) + np.exp(-degree * (near + far)))
    return ratio * (2 / (1 + math.exp(-2 * degree * far)))


def fourth_kind(degree: int, x: Any) -> NDArray[np.float64]:
    """W_k(x) = sin((k + 1/2) theta)/sin(theta/2), cos(theta) = x in [-1, 1]; W_k(1) = 2k + 1."""
    theta = np.arccos(np.clip(x, -1.0, 1.0))
    half = np.where(theta == 0, 1.0, np.sin(0.5 * theta))
    return np.where(theta == 0, 2 * degree + 1.0, np.sin((degree + 0.5) * theta) / half)


def _mls(k: int, t: Any, a: Any, b: Any, T: Any, W: Any) -> Any:
    d = (k - 1) // 3
    S = W(d, 1 - 2 * t / b) / (2 * d + 1)
    return (1 - (2 * d + 1) ** 2 / b * S**2 * t) * S


# q(t) of degree k on [a, b] (those on (0, b] ignore a), from T(k, x, outer) = T_k(x)/T_k(outer) and
# W(k, x). With first_kind_ratio and fourth_kind for numbers; others for exact arithmetic.
CLOSED_FORMS: dict[str, Callable[..., Any]] = {
    "richardson": lambda k, t, a, b, T, W: (1 - 2 * t / (a + b)) ** k,
    "chebyshev": lambda k, t, a, b, T, W: T(k, (a + b - 2 * t) / (b - a), (a + b) / (b - a)),
    "chebyshev4": lambda k, t, a, b, T, W: W(k, 1 - 2 * t / b) / (2 * k + 1),
    "mls": _mls,
}


@own_errors
def closed_form(family: str, degree: int, t: Any, interval: tuple[float, float]) -> Any:
    """q(t) of a family of `CLOSED_FORMS` on [a, b] for t in [0, b], without its roots.

    Examples
    --------
    >>> round(float(closed_form("chebyshev", 3, 2.0, (1.0, 2.0))), 6)  # -1/T_3(3) = -1/99
    -0.010101
    """
    return CLOSED_FORMS[family](degree, t, *interval, first_kind_ratio, fourth_kind)


def _check_lmax(lmax: Any, *, family: str) -> float:
    return check_number(lmax, "lmax", f"larger than 0: {family} needs the largest eigenvalue of BA")


def _check_interval(interval: IntervalLike, *, family: str) -> tuple[float, float]:
    try:
        a, b = Interval.of(interval)
    except ValueError:
        a = b = math.nan
    if not a > 0:
        message = f"interval is {interval!r}, {family} needs a pair (a, b), 0 < a < b, both finite"
        raise ValueError(message.replace("\n", ""))
    return a, b
