"""Polynomials of bounded amplification: q(0) = 1, |q| <= M on the spectrum, and a step p(0) = sum
of the weights, for spectra on which nothing with q(0) = 1 stays below 1.

On a disc |z| <= b around 0, the spectrum of a random convolution, the maximum principle leaves the
question how much amplification M > 1 is worth. `bounded` takes k equal roots,

    q(z) = (1 - z/r)^k,   r = b/(M^(1/k) - 1),   max |q| = M, at z = -b alone,

k equal steps of explicit Euler for u' = -A u over the time p(0) = k (M^(1/k) - 1)/b, which falls to
ln M/b with k, where q becomes exp(-z ln M/b). Of all products of k factors 1 - w_i z, w_i >= 0,
with that maximum, prod (1 + w_i b) = M, it is the one whose largest single factor is smallest, and
by the inequality of the means the one with the shortest step; the longest of them is a single
factor with p(0) = (M - 1)/b.

`longest_step` asks for the longest step of any q, on any set: a convex problem, solved by exchange
with a bound from above. On the disc it lies between (M - 1)/b and (M - 1/M)/b, which the lemma of
Schwarz and Pick gives for functions of any degree. For M -> 1 it is the stability polynomial of
order 1 with the largest step [Ketcheson, Ahmadia, Commun. Appl. Math. Comput. Sci. 7 (2012) 247].

M bounds the factors of eigenvectors; ||q(A)|| of an A that is not normal may be larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mgtheory._checks import check_number
from mgtheory.polynomials.amplified import check_amplification, on_circle
from mgtheory.polynomials.exchange import (
    GAP,
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
from mgtheory.polynomials.peaks import PER_DEGREE
from mgtheory.polynomials.residual import ResidualPolynomial, check_degree
from mgtheory.spectra.interval import Interval

AMPLIFICATION = 8.0  # M by default
# of the longest step: on a disc it is the limit to 1e-8 there, and programs grow slow beyond
MAX_STEP_DEGREE = 32
SLACK = 1e-6  # relative excess over M that is rounding


@dataclass(frozen=True)
class LongestStep:
    """A polynomial of bounded amplification and the enclosure step <= longest step <= bound.

    Attributes
    ----------
    polynomial
        q, q(0) = 1, |q| <= M on the set up to rounding.
    step
        p(0), the sum of its weights.
    bound
        The optimum of a relaxed linear program, solved to 1e-10.
    exchanges
        Linear programs solved.
    converged
        Whether step and bound agree to 1e-8 relative.
    """

    polynomial: ResidualPolynomial
    step: float
    bound: float
    exchanges: int
    converged: bool


def bounded(
    degree: int,
    *,
    radius: float,
    points: Points | None = None,
    amplification: float = AMPLIFICATION,
    optimal: bool = False,
) -> ResidualPolynomial:
    """q(z) = (1 - z/r)^k with r = radius/(M^(1/k) - 1): max |q| = M on the disc |z| <= radius; or,
    with `optimal`, the q of `longest_step` on the points.

    Parameters
    ----------
    radius
        b > 0, the largest modulus in the spectrum.
    points
        What is known of the spectrum beside b; used with `optimal`. None for the whole disc.
    amplification
        M > 1.

    Examples
    --------
    >>> q = bounded(3, radius=2.0, amplification=8.0)
    >>> q.roots.real.tolist(), float(q(-2.0))
    ([2.0, 2.0, 2.0], 8.0)
    """
    if optimal:
        return longest_step(
            degree, points=points, radius=radius, amplification=amplification
        ).polynomial
    check_degree(degree, family="bounded")
    M, b = check_amplification(amplification), check_number(radius, "radius", "larger than 0")
    # M^(1/k) - 1 without cancellation where k is large
    return ResidualPolynomial(np.full(degree, b / math.expm1(math.log(M) / degree)))


def longest_step(
    degree: int,
    *,
    points: Points | None = None,
    radius: float = 1.0,
    amplification: float = AMPLIFICATION,
) -> LongestStep:
    """The q of degree k with q(0) = 1 and |q| <= M on a set that takes the longest step p(0) =
    -q'(0).

    Parameters
    ----------
    degree
        k, 1 to 32.
    points
        As in `mgtheory.polynomials.minimax.minimax`, but the set may contain or surround 0. None
        for the disc |z| <= radius.
    amplification
        M > 1.

    Examples
    --------
    >>> found = longest_step(1, radius=2.0, amplification=8.0)  # (M - 1)/b
    >>> round(found.step, 9), found.converged
    (3.5, True)
    """
    check_degree(degree, family="the longest step", most=MAX_STEP_DEGREE)
    M = check_amplification(amplification)
    if M * np.finfo(float).eps >= 1:  # of q(0) = 1 nothing is left beside M
        raise _lost(degree, M)
    intervals: tuple[Interval, ...] = ()
    if points is None:
        scale = check_number(radius, "radius", "larger than 0")
        z = np.exp(1j * np.linspace(0.0, np.pi, PER_DEGREE * degree + 33))
    else:
        intervals, z = sampled(points, degree, "the longest step")
        scale = float(np.abs(z).max())
        if scale == 0:
            raise ValueError("points are all 0, where q(0) = 1: a step has no scale there")
        z = z / scale

    def candidates(q: ResidualPolynomial) -> Complex:
        """Where |q| may be largest: the points, and the maxima between them."""
        between = [peaks(q, Interval(part.a / scale, part.b / scale)) for part in intervals]
        if points is None:
            between.append(on_circle(q, 1.0))
        return np.concatenate([z, *between])

    basis = Basis.build(z, int(degree))
    at_zero = {"A_eq": basis.at_zero[None], "b_eq": [1.0]}
    one = np.eye(1, basis.at_zero.size)[0]  # the coefficients of q = 1
    cuts, best, before = first_cuts(basis, z), None, math.inf
    for exchanges in range(1, MAX_EXCHANGES + 1):
        solved = best_under(basis, cuts, -basis.slope, limit=M, **at_zero)
        if solved is None:
            break
        c, bound = solved
        there = candidates(ResidualPolynomial(basis.roots(c)))
        # |1 + s (q - 1)| <= 1 + s (max |q| - 1) <= M for the share s of the step that is feasible
        excess = float(np.abs(basis.evaluate(there) @ c).max()) - 1
        share = (M - 1) / max(excess, M - 1)
        step = share * bound
        q = ResidualPolynomial(basis.roots(share * c + (1 - share) * one))
        if best is not None:
            bound = min(bound, best.bound)
            if step < best.step:
                q, step = best.polynomial, best.step
        gap = bound / step - 1
        best = LongestStep(q, step, bound, exchanges, gap <= PRECISION)
        if gap <= GAP or 0.5 * before < gap <= PRECISION:
            break
        before = gap
        cuts = exchanged(basis, cuts, there, c, M)
    # scored as it is returned: a root on a point far outside of the others may not round to it
    if best is None or np.abs(best.polynomial(candidates(best.polynomial))).max() > M * (1 + SLACK):
        raise _lost(degree, M)
    return replace(
        best,
        polynomial=best.polynomial.scaled(scale),
        step=best.step / scale,
        bound=best.bound / scale,
    )


def _lost(degree: int, M: float) -> ValueError:
    return ValueError(
        f"degree is {degree} and the amplification {M:g}, but the rounding of a root leaves more"
        " than that on the set, as it does where points are far apart, or beside an immense"
        " amplification: take a lower degree or a smaller amplification, or leave outlying points"
        " out"
    )
