"""Polynomial families: name -> function(degree, ...) -> ResidualPolynomial, with what each needs and where it comes from.

Every function returns the residual polynomial q, q(0) = 1, of the asked degree (degree of q = products with A in one smoothing).
``interval`` is an interval of BA in the scaling in which BA is applied, ``lmax`` its largest eigenvalue. A new family is one function
and one entry of `FAMILIES`; the tests and the command line then cover it unasked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mgtheory.fourthkind import optimised_beta, optimised_roots
from mgtheory.krylov import gmres_polynomial, harmonic_ritz
from mgtheory.minimax import MAX_EXCHANGE_DEGREE, minimax, minimax_report
from mgtheory.polynomial import MAX_DEGREE, ResidualPolynomial, check_degree
from mgtheory.recurrence import first_kind_recurrence, fourth_kind_recurrence
from mgtheory.spectrum import Interval

__all__ = [
    "FAMILIES",
    "Family",
    "chebyshev",
    "chebyshev4",
    "chebyshev4_opt",
    "get_family",
    "harmonic_ritz",
    "minimax",
    "mls",
    "richardson",
    "two_grid_optimal",
]

IntervalLike = Interval | Iterable[float]


def richardson(degree: int, *, interval: IntervalLike) -> ResidualPolynomial:
    """q(t) = (1 - t/r)^k with r = (a + b)/2: damped Richardson, the best single root for [a, b], repeated k times.

    With B the inverse diagonal it is damped Jacobi. max |q| on [a, b] is ((b - a)/(b + a))^k.

    Parameters
    ----------
    degree
        k, products with A.
    interval
        The pair (a, b), 0 < a < b, of eigenvalues of BA to damp.

    Examples
    --------
    >>> richardson(1, interval=(2, 8)).weights.real.tolist()  # 0.8/4: damped Jacobi with 4/5 on the 5-point Laplacian
    [0.2]
    """
    check_degree(degree, family="richardson")
    a, b = _check_interval(interval, family="richardson")
    return ResidualPolynomial(np.full(degree, 0.5 * (a + b), dtype=complex))


def chebyshev(degree: int, *, interval: IntervalLike) -> ResidualPolynomial:
    """q(t) = T_k((b + a - 2t)/(b - a)) / T_k((b + a)/(b - a)): Chebyshev of the first kind, minimax on [a, b].

    Roots (a + b)/2 + (b - a)/2 cos(pi (i - 1/2)/k); max |q| on [a, b] = 1/T_k((b + a)/(b - a)). It carries its three-term recurrence.

    Parameters
    ----------
    degree
        k, products with A.
    interval
        The pair (a, b), 0 < a < b, of eigenvalues of BA to damp. For smoothing the 5- and 7-point Laplacian in d dimensions
        a = b/(2d), the high frequencies.

    Notes
    -----
    Y. Saad, Iterative Methods for Sparse Linear Systems, 2nd ed. (2003), algorithm 12.1.

    Examples
    --------
    >>> chebyshev(3, interval=(1, 2)).coefficients.round(8).tolist()
    [1.0, -2.12121212, 1.45454545, -0.32323232]
    """
    check_degree(degree, family="chebyshev")
    a, b = _check_interval(interval, family="chebyshev")
    centre, half = 0.5 * (a + b), 0.5 * (b - a)
    i = np.arange(1, degree + 1)
    # From the nearer end, a + (b - a) sin^2 or b - (b - a) sin^2, no digits are lost where a << b; in the middle from the centre.
    from_a, from_b = (2 * half * np.sin(0.25 * np.pi * (2 * n - 1) / degree) ** 2 for n in (degree + 1 - i, i))
    middle = centre + half * np.sin(0.5 * np.pi * (degree + 1 - 2 * i) / degree)
    roots = np.select([from_a < 0.5 * half, from_b < 0.5 * half], [a + from_a, b - from_b], middle)
    return ResidualPolynomial(roots.astype(complex), recurrence=first_kind_recurrence(degree, interval=(a, b)))


def chebyshev4(degree: int, *, lmax: float) -> ResidualPolynomial:
    """q(t) = W_k(1 - 2t/lmax)/(2k + 1): Chebyshev of the fourth kind; sup over (0, lmax] of t q^2/lmax = 1/(2k + 1)^2.

    Needs no lower bound of the spectrum. Roots lmax/2 (1 - cos(2 pi i/(2k + 1))), i = 1..k; 1/gamma = (4/3) k (k + 1). It carries the
    recurrence of `mgtheory.recurrence.fourth_kind_recurrence` with beta = 1.

    Parameters
    ----------
    degree
        k, products with A.
    lmax
        The largest eigenvalue of BA.

    Notes
    -----
    J. Lottes, Numer. Linear Algebra Appl. 30(6) (2023) e2518, arXiv 2202.08830.

    Examples
    --------
    >>> chebyshev4(2, lmax=1).roots.real.round(4).tolist()
    [0.9045, 0.3455]
    """
    check_degree(degree, family="chebyshev4")
    lmax = _check_lmax(lmax, family="chebyshev4")
    recurrence = fourth_kind_recurrence(np.ones(degree), lmax=lmax)
    return ResidualPolynomial((lmax * _fourth_kind_roots(degree)).astype(complex), recurrence=recurrence)


def chebyshev4_opt(degree: int, *, lmax: float) -> ResidualPolynomial:
    """The q of degree k with the smallest gamma = sup t q^2/(1 - q^2) over (0, lmax] (t scaled by lmax): the optimised fourth kind.

    1/gamma = 3, 5 + 2 sqrt(5), .. for k = 1, 2, ..; about (4/pi^2)(2k + 1)^2 - 2/3 for large k. Computed for any degree; carries the
    recurrence of the fourth kind with its weights beta. The bound it minimises targets poor coarse spaces: on 2D Poisson with full
    coarsening it can lose to `chebyshev` on [lmax/4, lmax].

    Parameters
    ----------
    degree
        k, products with A.
    lmax
        The largest eigenvalue of BA.

    Notes
    -----
    J. Lottes, Numer. Linear Algebra Appl. 30(6) (2023) e2518, arXiv 2202.08830; computed as `mgtheory.fourthkind` says.

    Examples
    --------
    >>> chebyshev4_opt(2, lmax=1).recurrence.beta
    (1.0238728757..., 1.2640890537...)
    """
    check_degree(degree, family="chebyshev4_opt")
    lmax = _check_lmax(lmax, family="chebyshev4_opt")
    recurrence = fourth_kind_recurrence(optimised_beta(degree), lmax=lmax)
    return ResidualPolynomial((lmax * optimised_roots(degree)).astype(complex), recurrence=recurrence)


def mls(degree: int, *, lmax: float) -> ResidualPolynomial:
    """(1 - (2d + 1)^2/lmax t S(t)^2) S(t), S the fourth kind of degree d: the smoothed-aggregation (MLS) smoother, degree 3d + 1.

    Roots in closed form: the d of S; lmax/2 (1 - cos((2i - 1) pi/(2d + 1))), i = 1..d, each twice; lmax once.

    Parameters
    ----------
    degree
        3d + 1 = 4, 7, 10, .., products with A.
    lmax
        The largest eigenvalue of BA (rho in the source).

    Notes
    -----
    M. Adams, M. Brezina, J. Hu, R. Tuminaro, J. Comput. Phys. 188 (2003) 593-610.

    Examples
    --------
    >>> mls(4, lmax=1).roots.real.round(6).tolist()
    [1.0, 0.25, 0.75, 0.25]
    """
    check_degree(degree, family="mls")
    d, rest = divmod(int(degree) - 1, 3)
    if rest or d < 1:
        raise ValueError(f"degree is {degree}, mls allows 3d + 1: 4, 7, 10, .., {MAX_DEGREE}")
    lmax = _check_lmax(lmax, family="mls")
    double = np.sin(0.5 * np.pi * (2 * np.arange(1, d + 1) - 1) / (2 * d + 1)) ** 2
    return ResidualPolynomial((lmax * np.concatenate([_fourth_kind_roots(d), double, double, [1.0]])).astype(complex))


def two_grid_optimal(
    degree: int,
    *,
    problem: Any,
    pre: int = 1,
    post: int = 1,
    coarsening: str | None = None,
    restriction: str = "full",
    interpolation: str = "linear",
    scaling: str = "identity",
) -> ResidualPolynomial:
    """The q of degree k with the smallest two-grid factor for a problem, pre and post, by numerical optimisation (`mgtheory.optimal`).

    Parameters
    ----------
    degree
        k, products with A, 1 to 16.
    problem
        A problem with constant coefficients (the roots then refer to its matrix A, which carries 1/h^2), or a `Stencil` (h = 1).
    pre, post
        Smoothing steps before and after; only their sum matters.
    coarsening, restriction, interpolation, scaling
        As in `mgtheory.localcycle.LocalCycle`. With scaling="diagonal" the roots refer to BA, B the inverse diagonal, which has no h.

    Examples
    --------
    >>> from mgtheory.stencils import laplacian
    >>> two_grid_optimal(1, problem=laplacian(2)).roots.real.round(4).tolist()  # 4/5 Jacobi: factor 0.36
    [5.0]
    """
    return _two_grid(
        degree,
        problem=problem,
        pre=pre,
        post=post,
        coarsening=coarsening,
        restriction=restriction,
        interpolation=interpolation,
        scaling=scaling,
    )[0]


Recorded = tuple[ResidualPolynomial, dict[str, Any]]  # a polynomial, and what there is to say about how it came about, as JSON types


def _two_grid(degree: int, *, problem: Any, scaling: str = "identity", **options: Any) -> Recorded:
    from mgtheory.optimal import optimise_two_grid  # on use: it starts from the families above

    found = optimise_two_grid(degree, problem, scaling=scaling, **options)
    h = getattr(problem, "h", None)
    polynomial = found.polynomial if h is None or scaling == "diagonal" else found.polynomial.scaled(float(np.ravel(h)[0]) ** -2)
    return polynomial, {"two_grid_factor": found.factor, "best_start": found.start_factor, "converged": found.converged}


def _minimax(degree: int, **options: Any) -> Recorded:
    found = minimax_report(degree, **options)
    return found.polynomial, {"value": found.value, "lower_bound": found.lower, "converged": found.converged}


def _harmonic_ritz(degree: int, **options: Any) -> Recorded:
    found = gmres_polynomial(degree, **options)
    copies = [{"root": [root.real, root.imag], "count": count} for root, count in found.copies]
    return found.polynomial, {"copies": copies, "relative_residual": found.residual_norm}


def _fourth_kind_roots(degree: int) -> np.ndarray:
    """1/2 (1 - cos(2 pi i/(2k + 1))), i = 1..k, as squares of sines."""
    return np.sin(np.pi * np.arange(1, degree + 1) / (2 * degree + 1)) ** 2


def _check_lmax(lmax: float, *, family: str) -> float:
    try:
        value = float(lmax)
    except (TypeError, ValueError):
        raise ValueError(f"lmax is {lmax!r}, {family} needs the largest eigenvalue of BA, a number > 0".replace("\n", "")) from None
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"lmax is {value:g}, {family} needs the largest eigenvalue of BA, finite and > 0")
    return value


def _check_interval(interval: IntervalLike, *, family: str) -> tuple[float, float]:
    try:
        a, b = (float(end) for end in interval)
    except (TypeError, ValueError):
        raise ValueError(f"interval is {interval!r}, {family} needs a pair (a, b) with 0 < a < b".replace("\n", "")) from None
    if not (math.isfinite(b) and 0 < a < b):
        raise ValueError(f"interval is ({a:g}, {b:g}), {family} needs 0 < a < b, both finite")
    return a, b


@dataclass(frozen=True)
class Family:
    """One entry of the registry.

    Attributes
    ----------
    name, function
        Its name and q(degree, ...).
    needs
        What the function needs beside the degree.
    citation
        Its source.
    degrees
        Which degrees it has.
    recorded
        The same function with a record beside the polynomial, where there is more to say than the formula.
    """

    name: str
    function: Callable[..., ResidualPolynomial]
    needs: Literal["interval", "lmax", "operator", "points", "problem"]
    citation: str
    degrees: str = f"1 to {MAX_DEGREE}"
    recorded: Callable[..., Recorded] | None = None

    def derive(self, degree: int, **arguments: Any) -> Recorded:
        """The polynomial and a record of how it came about, JSON types: values reached, bounds, copies of roots; empty for a formula."""
        return (self.function(degree, **arguments), {}) if self.recorded is None else self.recorded(degree, **arguments)


_LOTTES = "J. Lottes, Numer. Linear Algebra Appl. 30(6) (2023) e2518, arXiv 2202.08830"

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("richardson", richardson, "interval", "L. F. Richardson, Phil. Trans. R. Soc. A 210 (1911) 307-357"),
        Family("chebyshev", chebyshev, "interval", "Y. Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., SIAM (2003), alg. 12.1"),
        Family("chebyshev4", chebyshev4, "lmax", _LOTTES),
        Family("chebyshev4_opt", chebyshev4_opt, "lmax", _LOTTES),
        Family(
            "mls",
            mls,
            "lmax",
            "M. Adams, M. Brezina, J. Hu, R. Tuminaro, J. Comput. Phys. 188 (2003) 593-610",
            f"3d + 1: 4, 7, 10, .., {MAX_DEGREE}",
        ),
        Family(
            "harmonic_ritz",
            harmonic_ritz,
            "operator",
            "J. A. Loe, R. B. Morgan, Numer. Linear Algebra Appl. 29 (2022) e2427",
            f"1 to {MAX_DEGREE}, at most the grade of the start",
            _harmonic_ritz,
        ),
        Family(
            "minimax",
            minimax,
            "points",
            "B. Fischer, R. Freund, J. Approx. Theory 65 (1991) 261-272",
            f"1 to {MAX_EXCHANGE_DEGREE}, on a single interval to {MAX_DEGREE}",
            _minimax,
        ),
        Family(
            "two_grid_optimal",
            two_grid_optimal,
            "problem",
            "method of K. Madsen, J. Inst. Math. Appl. 16 (1975) 321-328, on the two-grid factor",
            "1 to 16",
            _two_grid,
        ),
    )
}


def get_family(name: str) -> Family:
    """The registry's entry of that name; an unknown name is answered with the list of known ones."""
    try:
        return FAMILIES[name]
    except (KeyError, TypeError):
        raise ValueError(f"family is {name!r}, known are {', '.join(FAMILIES)}") from None
