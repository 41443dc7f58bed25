"""The q of degree k, q(0) = 1, with the smallest maximum modulus on any set of the real line or the
complex plane, with a proof of it.

Scaling turns the problem into a linear one over a convex set: maximise q(0) subject to |q(z)| <= 1
on the set, by the exchange method of `mgtheory.polynomials.exchange`. Each linear program bounds
the optimum from one side, its q scaled to |q| <= 1 from the other: `Minimax.lower` and
`Minimax.value` enclose the true minimum on the points. A single interval needs none of this: there
q is the Chebyshev polynomial, in closed form, and only there degrees above `MAX_EXCHANGE_DEGREE`
are allowed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mgtheory.polynomials.classical import chebyshev
from mgtheory.polynomials.exchange import (
    GAP,
    MAX_EXCHANGE_DEGREE,
    MAX_EXCHANGES,
    PRECISION,
    Basis,
    Complex,
    Points,
    best_under,
    exchanged,
    first_cuts,
    peaks,
    sampled,
)
from mgtheory.polynomials.residual import MAX_DEGREE, ResidualPolynomial, check_degree
from mgtheory.spectra.interval import Interval

USELESS = 1 - 1e-8  # values above this are 1 up to rounding
WIDEST_GAP = 45.0  # degrees; points whose directions from 0 leave no gap as wide as this surround 0


@dataclass(frozen=True)
class Minimax:
    """A minimax polynomial and the enclosure lower <= true minimum <= value of its maximum modulus
    on the points.

    Attributes
    ----------
    polynomial
        q, q(0) = 1.
    value
        max |q| over the points, evaluated from the roots; on a single interval in closed form.
    lower
        The optimum of a relaxed linear program, solved to 1e-10; on a single interval the value.
    exchanges
        Linear programs solved; 0 on a single interval.
    converged
        Whether value and lower agree to 1e-8 relative.
    """

    polynomial: ResidualPolynomial
    value: float
    lower: float
    exchanges: int
    converged: bool


def minimax(degree: int, *, points: Points) -> ResidualPolynomial:
    """The q of degree k with the smallest max |q| on a set; on [a, b] Chebyshev's, on the disc |z -
    c| <= rho < c the value is (rho/c)^k.

    Parameters
    ----------
    degree
        k: 1 to 256 on a single interval, 1 to 64 on other sets.
    points
        Samples of a spectrum, real or complex, shape (n,), n > k, 0 not among them, mirrored at the
        real axis; of a region its boundary is enough. Or an `Interval`, or a list of them: then the
        maximum is over every point of them, not over samples. A set that contains or surrounds 0 is
        refused: no q with q(0) = 1 is below 1 on it.

    Examples
    --------
    >>> minimax(2, points=Interval(1, 3)).roots.real.round(6).tolist()  # 2 +- cos(pi/4)
    [2.707107, 1.292893]
    """
    return minimax_report(degree, points=points).polynomial


def minimax_report(degree: int, *, points: Points) -> Minimax:
    """`minimax` with the value reached and the bound below which no polynomial gets."""
    degree = check_degree(degree, family="minimax")
    intervals, z = _the_set(points, degree)
    if len(intervals) == 1:
        return _chebyshev(degree, intervals[0])
    if degree > MAX_EXCHANGE_DEGREE:
        raise ValueError(
            f"degree is {degree}, minimax allows 1 to {MAX_EXCHANGE_DEGREE} on points and on"
            f" several intervals (1 to {MAX_DEGREE} on one)"
        )
    scale = float(np.abs(z).max())
    unit = tuple(Interval(part.a / scale, part.b / scale) for part in intervals)
    found = _exchange(degree, unit, z / scale)
    return replace(found, polynomial=found.polynomial.scaled(scale))


def _chebyshev(degree: int, interval: Interval) -> Minimax:
    """The Chebyshev polynomial of [a, b], mirrored for b < 0; its value 1/T_k."""
    near, far = sorted(abs(end) for end in interval)
    q = chebyshev(degree, interval=(near, far))
    if interval.b < 0:
        assert q.recurrence is not None
        q = ResidualPolynomial(-q.roots, q.recurrence.scaled(-1.0))
    decay = math.exp(-degree * math.acosh((far + near) / (far - near)))
    value = 2 * decay / (1 + decay**2)
    return Minimax(q, value, value, 0, True)


def _exchange(degree: int, intervals: tuple[Interval, ...], z: Complex) -> Minimax:
    """The exchange method on points z in the closed upper half-plane, of modulus at most about 1,
    and on whole intervals."""
    basis = _Basis.build(z, degree)
    cuts, best, before = _first_cuts(basis, z), None, math.inf
    for exchanges in range(1, MAX_EXCHANGES + 1):
        solved = best_under(basis, cuts, basis.at_zero)
        if solved is None:
            break
        c, bound = solved
        if bound < 1 / USELESS:
            raise _useless(degree)
        q = ResidualPolynomial(basis.roots(c))
        candidates = np.concatenate([z, *(peaks(q, interval) for interval in intervals)])
        value, lower = float(np.abs(q(candidates)).max()), 1 / bound
        if best is not None:
            lower = max(lower, best.lower)
            if best.value < value:
                q, value = best.polynomial, best.value
        gap = value / lower - 1
        best = Minimax(q, value, lower, exchanges, gap <= PRECISION)
        if gap <= GAP or 0.5 * before < gap <= PRECISION:
            break
        before = gap
        cuts = exchanged(basis, cuts, candidates, c)
    if best is None:
        raise ArithmeticError(f"minimax: the linear program of degree {degree} was not solved")
    if best.value > USELESS:
        raise _useless(degree)
    return best


def _useless(degree: int) -> ValueError:
    return ValueError(
        f"no q of degree {degree} with q(0) = 1 is below 1 on these points: they surround 0, or lie"
        " on opposite sides of it and need a higher degree"
    )


def _check_apart_from_0(intervals: tuple[Interval, ...], z: Complex) -> None:
    """ValueError for a set that contains or surrounds 0."""
    if any(part.a <= 0 <= part.b for part in intervals):
        raise ValueError("an interval contains 0, where q(0) = 1: minimax needs a set without 0")
    if np.abs(z).min() <= 1e-12 * np.abs(z).max():
        raise ValueError("points contain 0, where q(0) = 1: minimax needs a set without 0")
    directions = np.sort(np.concatenate([np.angle(z), -np.angle(z)]))
    gap = np.degrees(np.diff(np.append(directions, directions[0] + 2 * np.pi)).max())
    if not intervals and gap < WIDEST_GAP:
        raise ValueError(
            f"points surround 0 (the widest gap between their directions is {gap:.0f} degrees): no"
            " q with q(0) = 1 is below 1 on all of such a set; take one with a gap of at least"
            f" {WIDEST_GAP:.0f} degrees, or shift the operator"
        )
