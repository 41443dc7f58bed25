"""Scores of a residual polynomial: gamma and the V-cycle bound, smoothing and damping numbers, the
classical family it is closest to.

All of them look at q, its roots in the scaling of BA, on (0, lmax], lmax the largest eigenvalue of
BA; t stands for the eigenvalue divided by lmax.
With one smoothing by q before and one after the coarse-grid correction, A and B symmetric positive
definite, restriction P^T and Galerkin coarse operators, the V-cycle's error propagation has

    ||E||_A <= C / (C + 1/gamma),    gamma = sup over (0, 1] of t q^2/(1 - q^2),

C the approximation constant of the coarse spaces (`mgtheory.multigrid.approximation`), for a
two-grid cycle and, with the largest C, for any number of levels. The bound targets poor coarse
spaces: on 2D Poisson with full coarsening C is small, and a q with a larger gamma, such as
Chebyshev of the first kind, can converge faster. Measure both.

Sources: J. Lottes, Numer. Linear Algebra Appl. 30(6) (2023) e2518, arXiv 2202.08830; W. Hackbusch,
Multi-Grid Methods and Applications, Springer (1985).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from mgtheory._checks import (
    check_array,
    check_finite,
    check_kind,
    check_number,
    check_whole,
    is_number,
    own_errors,
    plain,
)
from mgtheory.polynomials.classical import MLS_DEGREES, chebyshev4, chebyshev4_opt, closed_form, mls
from mgtheory.polynomials.peaks import angular_grid, local_maxima
from mgtheory.polynomials.residual import ResidualPolynomial, check_degree
from mgtheory.spectra.interval import Interval

Array = NDArray[np.float64]


@own_errors
def gamma(polynomial: ResidualPolynomial, *, lmax: float = 1.0) -> float:
    """sup over t in (0, 1] of t q^2/(1 - q^2), t scaled by lmax; +infinity as soon as |q| >= 1
    somewhere in (0, 1].

    1/gamma is (4/3) k (k + 1) for the fourth kind, 2k for Richardson with 1/lmax.

    Examples
    --------
    >>> round(1 / gamma(chebyshev4(3, lmax=8.0), lmax=8.0), 10)
    16.0
    """
    check_kind(polynomial, ResidualPolynomial, "polynomial", "a ResidualPolynomial")
    weights = polynomial.weights * check_number(lmax, "lmax", "larger than 0")
    slope = float(weights.real.sum())  # -q'(0)
    rounding = 4 * polynomial.degree * np.finfo(float).eps
    if slope <= rounding * float(np.abs(weights).sum()):
        return math.inf

    def log_square(t: Array) -> Array:
        """log q(t)^2, accurate also where q is close to 1."""
        real, imag = t[..., None] * weights.real, t[..., None] * weights.imag
        small = real**2 + imag**2 < 0.25
        with np.errstate(divide="ignore"):
            near_one = np.log1p(np.where(small, real * (real - 2) + imag**2, 0.0))
            return np.where(small, near_one, np.log((1 - real) ** 2 + imag**2)).sum(axis=-1)

    def function(t: Array) -> Array:
        square = log_square(t)
        inside = (t > 0) & (square < 0)
        safe = np.where(inside, square, -1.0)
        value = np.where(inside, t * np.exp(safe) / -np.expm1(safe), math.inf)
        return np.where(t > 0, value, 0.5 / slope)

    grid = angular_grid(0.0, 1.0, polynomial.degree)
    _, largest = local_maxima(log_square, grid[1:])
    if float(largest.max()) >= -rounding * min(1.0, slope):
        return math.inf
    return float(local_maxima(function, grid)[1].max())


def v_cycle_bound(polynomial: ResidualPolynomial, *, constant: float, lmax: float = 1.0) -> float:
    """C/(C + 1/gamma) >= ||E||_A for one smoothing by q before and one after; +infinity where gamma
    is, because nothing is proved there.

    `constant` is C, the largest over the levels (`mgtheory.multigrid.approximation`); q is scaled
    with lmax on the coarser levels.
    """
    if not (is_number(constant := plain(constant)) and constant > 0):
        raise ValueError(f"constant is {constant!r}, the approximation constant is positive")
    value = gamma(polynomial, lmax=lmax)
    unbounded = math.isinf(value) or math.isinf(constant)
    return math.inf if unbounded else constant / (constant + 1 / value)


@own_errors
def smoothing_number(polynomial: ResidualPolynomial, *, lmax: float = 1.0, power: int = 1) -> float:
    """sup over t in (0, 1] of t |q|^power, t scaled by lmax: Hackbusch's smoothing property, ||A
    q(A)^power||/lmax.

    For the fourth kind and power 2 it is 1/(2k + 1)^2, the smallest possible; for Richardson with
    1/lmax and power 1, k^k/(k + 1)^(k + 1).

    Examples
    --------
    >>> round(1 / smoothing_number(chebyshev4(2, lmax=1.0), power=2), 10)
    25.0
    """
    power = check_whole(power, "power", 1)
    lmax = check_number(lmax, "lmax", "larger than 0")
    grid = angular_grid(0.0, 1.0, power * polynomial.degree + 1)
    return float(local_maxima(lambda t: t * np.abs(polynomial(lmax * t)) ** power, grid)[1].max())


@own_errors
def damping_number(
    polynomial: ResidualPolynomial, *, interval: Interval | tuple[float, float]
) -> float:
    """max |q| over [a, b]: with the high frequencies for [a, b] the smoothing factor of one
    smoothing; 1/T_k((b + a)/(b - a)) at best.

    Examples
    --------
    >>> from mgtheory.polynomials.classical import chebyshev
    >>> round(damping_number(chebyshev(2, interval=(2, 8)), interval=(2, 8)), 4)
    0.2195
    """
    a, b = Interval.of(interval)
    grid = angular_grid(a, b, polynomial.degree)
    return float(local_maxima(lambda t: np.abs(polynomial(t)), grid)[1].max())


@dataclass(frozen=True)
class Match:
    """A classical polynomial and its distance max |q - classical| from a given q, over (0, lmax] or
    the points that were asked for.

    `fitted` is richardson's root, or the lower end a of chebyshev's interval (a, lmax); None for
    families without a parameter.
    """

    family: str
    degree: int
    distance: float
    fitted: float | None


@own_errors
def nearest_families(
    polynomial: ResidualPolynomial,
    *,
    lmax: float = 1.0,
    degrees: Iterable[int] | None = None,
    points: ArrayLike | None = None,
) -> tuple[Match, ...]:
    """The best match of every classical family on (0, lmax], the closest first: did training keep,
    leave or rediscover the theory?

    `degrees` are those tried, by default all from 1 to that of q; `points`, complex or real, those
    of a spectrum of spectral radius lmax on which the two are compared in place of (0, lmax].

    Examples
    --------
    >>> from mgtheory.polynomials.classical import chebyshev
    >>> best = nearest_families(chebyshev(3, interval=(2, 8)), lmax=8)[0]
    >>> best.family, best.degree, round(best.fitted, 6)
    ('chebyshev', 3, 2.0)
    """
    lmax = check_number(lmax, "lmax", "larger than 0")
    if degrees is None:
        degrees = range(1, polynomial.degree + 1)
    tried = tuple(map(check_degree, check_kind(degrees, Iterable, "degrees", "degrees of q")))
    if not tried:
        raise ValueError("degrees is empty, at least one degree must be tried")
    t: NDArray[Any] = angular_grid(0.0, 1.0, max(polynomial.degree, *tried))
    if points is not None:
        t = check_array(points, "points").ravel().astype(complex) / lmax
        check_finite(t, "points")
        if not t.size:
            raise ValueError("points: none given, at least one is needed to compare on")
    values = polynomial(lmax * t)
    found: list[Match] = []
    for k in tried:
        found += [
            Match(name, k, float(np.abs(family(k, lmax=1.0)(t) - values).max()), None)
            for name, family in _FIXED.items()
            if name != "mls" or k in MLS_DEGREES
        ]
        for name in _FITTED:
            value, distance = _fit(name, k, t, values)
            found.append(Match(name, k, distance, lmax * value))
    best: dict[str, Match] = {}
    for match in sorted(found, key=lambda match: match.distance):
        best.setdefault(match.family, match)
    return tuple(best.values())


# families without a parameter; those with one, their interval as a function of it (in units of
# lmax) and values of it to start from
_FIXED: dict[str, Callable[..., ResidualPolynomial]] = {
    "chebyshev4": chebyshev4,
    "chebyshev4_opt": chebyshev4_opt,
    "mls": mls,
}
_FITTED: dict[str, tuple[Callable[[float], tuple[float, float]], Array]] = {
    "richardson": (lambda root: (root, root), np.geomspace(1e-2, 1e2, 81)),
    "chebyshev": (
        lambda lower: (lower, 1.0),
        np.append(np.geomspace(1e-4, 0.5, 40), np.linspace(0.52, 0.98, 24)),
    ),
}


def _fit(name: str, k: int, t: Array, values: Array) -> tuple[float, float]:
    """The best parameter, near the best of some candidates, and its distance."""
    interval, candidates = _FITTED[name]

    def distance(x: float) -> float:
        return float(np.abs(closed_form(name, k, t, interval(x)) - values).max())

    with np.errstate(over="ignore"):  # far from a match q may leave the doubles
        at = [distance(float(x)) for x in candidates]
        i = int(np.argmin(at))
        near = candidates[max(i - 1, 0)], candidates[min(i + 1, len(candidates) - 1)]
        found = minimize_scalar(distance, bounds=near, method="bounded", options={"xatol": 1e-12})
    better = found.fun < at[i]
    return (float(found.x), float(found.fun)) if better else (float(candidates[i]), at[i])
