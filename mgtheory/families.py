"""Polynomial families: name -> function(degree, ...) -> ResidualPolynomial, with what each needs and where it comes from.

Every function returns the residual polynomial q, q(0) = 1, of the asked degree (degree of q = products with A in one smoothing).
``interval`` is an interval of BA in the scaling in which BA is applied, ``lmax`` its largest eigenvalue.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mgtheory.polynomial import MAX_DEGREE, Recurrence, ResidualPolynomial, check_degree
from mgtheory.spectrum import Interval

IntervalLike = Interval | tuple[float, float]


def check_lmax(lmax: float, *, family: str) -> float:
    """The largest eigenvalue as a float > 0, or a ValueError that names the family."""
    value = float(lmax)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{family}: lmax, the largest eigenvalue of BA, must be finite and > 0, got {value:g}")
    return value


def check_interval(interval: IntervalLike, *, family: str) -> tuple[float, float]:
    """The ends 0 < a < b as floats, or a ValueError that names the family and what was given."""
    try:
        a, b = (float(end) for end in interval)
    except (TypeError, ValueError):
        raise ValueError(f"{family}: an interval is a pair (a, b) with 0 < a < b, got {interval!r}") from None
    if not (math.isfinite(b) and 0 < a < b):
        raise ValueError(f"{family}: an interval (a, b) needs 0 < a < b, got a = {a:g}, b = {b:g}")
    return a, b


def richardson(degree: int, *, interval: IntervalLike) -> ResidualPolynomial:
    """q(t) = (1 - t/r)^k with r = (a + b)/2: damped Richardson, the best single root for [a, b], repeated k times.

    With B the inverse diagonal it is damped Jacobi. max |q| on [a, b] is ((b - a)/(b + a))^k.

    Parameters
    ----------
    degree : k, products with A.
    interval : the pair (a, b), 0 < a < b, of eigenvalues of BA to damp.
    """
    check_degree(degree, family="richardson")
    a, b = check_interval(interval, family="richardson")
    return ResidualPolynomial(np.full(degree, 0.5 * (a + b), dtype=complex))


def chebyshev(degree: int, *, interval: IntervalLike) -> ResidualPolynomial:
    """q(t) = T_k((b + a - 2t)/(b - a)) / T_k((b + a)/(b - a)): Chebyshev of the first kind, minimax on [a, b].

    Roots (a + b)/2 + (b - a)/2 cos(pi (i - 1/2)/k); max |q| on [a, b] = 1/T_k((b + a)/(b - a)). It carries its three-term recurrence.

    Parameters
    ----------
    degree : k, products with A.
    interval : the pair (a, b), 0 < a < b, of eigenvalues of BA to damp. For smoothing the 5- and 7-point Laplacian in d dimensions
        a = b/(2d), the high frequencies.

    Notes
    -----
    Saad, Iterative Methods for Sparse Linear Systems, 2nd ed. (2003), algorithm 12.1.

    Examples
    --------
    >>> chebyshev(3, interval=(1, 2)).coefficients.round(8).tolist()
    [1.0, -2.12121212, 1.45454545, -0.32323232]
    """
    check_degree(degree, family="chebyshev")
    a, b = check_interval(interval, family="chebyshev")
    centre, half = 0.5 * (a + b), 0.5 * (b - a)
    i = np.arange(1, degree + 1)
    # b - (b - a) sin^2(.) and a + (b - a) sin^2(.): each root from the nearer end, without cancellation where a << b
    low, high = np.sin(0.25 * np.pi * (2 * (degree - i) + 1) / degree) ** 2, np.sin(0.25 * np.pi * (2 * i - 1) / degree) ** 2
    roots = np.where(low < 0.5, a + 2 * half * low, b - 2 * half * high)
    sigma = centre / half
    rho = np.empty(degree)
    rho[0] = 1 / sigma
    for n in range(1, degree):
        rho[n] = 1 / (2 * sigma - rho[n - 1])
    keep = np.concatenate(([0.0], rho[1:] * rho[:-1]))
    step = np.concatenate(([1 / centre], 2 * rho[1:] / half))
    recurrence = Recurrence(tuple(keep.tolist()), tuple(step.tolist()), (1.0,) * degree)
    return ResidualPolynomial(roots.astype(complex), recurrence=recurrence)


def chebyshev4(degree: int, *, lmax: float) -> ResidualPolynomial:
    """q(t) = W_k(1 - 2t/lmax)/(2k + 1): Chebyshev of the fourth kind; sup over (0, lmax] of t q^2/lmax = 1/(2k + 1)^2.

    Needs no lower bound of the spectrum. Roots lmax/2 (1 - cos(2 pi i/(2k + 1))), i = 1..k; 1/gamma = (4/3) k (k + 1). It carries the
    recurrence z_i = (2i - 3)/(2i + 1) z_{i-1} + (8i - 4)/((2i + 1) lmax) B r_{i-1}.

    Parameters
    ----------
    degree : k, products with A.
    lmax : the largest eigenvalue of BA.

    Notes
    -----
    J. Lottes, Numer. Linear Algebra Appl. 30(6) (2023) e2518, arXiv 2202.08830.

    Examples
    --------
    >>> chebyshev4(1, lmax=8).roots
    array([6.+0.j])
    """
    check_degree(degree, family="chebyshev4")
    lmax = check_lmax(lmax, family="chebyshev4")
    i = np.arange(1, degree + 1)
    roots = lmax * np.sin(np.pi * i / (2 * degree + 1)) ** 2
    return ResidualPolynomial(roots.astype(complex), recurrence=fourth_kind_recurrence(np.ones(degree), lmax=lmax))


def fourth_kind_recurrence(beta: np.ndarray, *, lmax: float) -> Recurrence:
    """z_i = (2i - 3)/(2i + 1) z_{i-1} + (8i - 4)/((2i + 1) lmax) B s_{i-1}; x += beta_i z_i; s_i = s_{i-1} - A z_i, i = 1..len(beta).

    beta = 1 is the fourth kind itself; the weights of ``chebyshev4_opt`` optimise it.
    """
    i = np.arange(1, len(beta) + 1)
    keep = np.where(i == 1, 0.0, (2 * i - 3) / (2 * i + 1))
    step = (8 * i - 4) / ((2 * i + 1) * lmax)
    return Recurrence(tuple(keep.tolist()), tuple(step.tolist()), tuple(np.asarray(beta, dtype=float).tolist()))


@dataclass(frozen=True)
class Family:
    """One entry of the registry: a function, what it needs beside the degree, which degrees it has, and its source."""

    name: str
    function: Callable[..., ResidualPolynomial]
    needs: Literal["interval", "lmax", "operator", "points", "problem"]
    citation: str
    degrees: str = f"1 to {MAX_DEGREE}"


FAMILIES: dict[str, Family] = {
    entry.name: entry
    for entry in (
        Family("richardson", richardson, "interval", "L. F. Richardson, Phil. Trans. R. Soc. A 210 (1911) 307-357"),
        Family("chebyshev", chebyshev, "interval", "Y. Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., SIAM (2003), alg. 12.1"),
        Family("chebyshev4", chebyshev4, "lmax", "J. Lottes, Numer. Linear Algebra Appl. 30(6) (2023) e2518, arXiv 2202.08830"),
    )
}


def get_family(name: str) -> Family:
    """The registry's entry of that name; an unknown name is answered with the list of known ones."""
    try:
        return FAMILIES[name]
    except (KeyError, TypeError):
        raise ValueError(f"unknown family {name!r}; known: {', '.join(FAMILIES)}") from None
