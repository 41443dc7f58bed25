"""Polynomials stretched along their axis, q(s t) in place of q(t), until max |q| over a spectrum is
a given amplification M > 1.

max |q(s z)| over a set is no monotone function of s: a root that s moves onto an eigenvalue takes
the maximum there away. `scale_to` takes the smallest crossing, the largest s up to which no smaller
one exceeds M. There are three reasons. The maximum over the set is M exactly. |q| <= M holds on the
segments from 0 to the spectrum too, so that an operator that shrinks (or whose b was measured too
large) is amplified no more than this one. And s grows with M. On discs around 0 and on [0, b] there
is one crossing only, by the maximum principle and because the segments lie in the set.

The search cannot step over a crossing: |1 - s w z| is convex in s, so that between s and s + d a
factor is at most the larger of its two ends, and as long as the product of these is at most M
nothing there exceeds it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_number, own_errors
from mgtheory.polynomials.exchange import intervals_of, peaks
from mgtheory.polynomials.peaks import PER_DEGREE, local_maxima
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.spectra.interval import Interval

Complex = NDArray[np.complex128]
Spectrum = Interval | Sequence[Interval] | ArrayLike  # a number b: |z| <= b
CLOSE = 1e-11  # relative length of a step of the search that ends it
CHANGE = 1e-8  # relative change of s that ends the search on a disc
ROUNDING = 1e-6  # relative excess over M that is none, that of the exchange method included


def check_amplification(value: float) -> float:
    """M > 1."""
    M = check_number(value, "amplification", "larger than 0")
    if M <= 1:
        raise ValueError(
            f"amplification is {value!r}, must be larger than 1: |q(0)| = 1 is reached already"
        )
    return M


def largest_modulus(q: ResidualPolynomial, spectrum: Spectrum) -> float:
    """max |q| over intervals, points, or the disc |z| <= b of a number b; infinite beyond the range
    of doubles.

    Examples
    --------
    >>> q = ResidualPolynomial([2.0, 2.0])
    >>> largest_modulus(q, 2.0), largest_modulus(q, Interval(0, 3)), largest_modulus(q, [1.0, 4.0])
    (4.0, 1.0, 1.0)
    """
    if isinstance(spectrum, Real):
        z = on_circle(q, float(spectrum))
    elif parts := intervals_of(spectrum):
        z = np.concatenate([peaks(q, part) for part in parts])
    else:
        z = np.asarray(spectrum, dtype=complex).ravel()
    return float(_modulus(q, z).max())


def _modulus(q: ResidualPolynomial, z: Complex) -> NDArray[np.float64]:
    """|q(z)|; infinite where it leaves the doubles, also where they then say inf - inf."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.abs(q(z))
    return np.where(np.isnan(values), np.inf, values)


@own_errors
def scale_to(
    q: ResidualPolynomial, spectrum: Spectrum, amplification: float, *, kept: float = 1.0
) -> float:
    """The smallest s > 0 at which max |q(s z)| over the spectrum (as for `largest_modulus`) is M >
    1; 1 where max |q(z)| is not above `kept`: there q stays what it is.

    Examples
    --------
    >>> round(scale_to(ResidualPolynomial([1.0, 1.0]), 0.5, 4.0), 9)  # (1 + s/2)^2 = 4
    2.0
    """
    M = check_amplification(amplification)
    if largest_modulus(q, spectrum) <= kept * (1 + ROUNDING):
        return 1.0
    if isinstance(spectrum, Real):
        b = float(spectrum)
        z = np.array([-b, b], dtype=complex)
        s, before = _first_crossing(z, q, M), np.inf
        while s < before * (1 - CHANGE):  # by the maximum principle s is at most too large
            z = np.concatenate([z, on_circle(q, s * b) / s])
            s, before = _first_crossing(z, q, M), s
        return s
    if parts := intervals_of(spectrum):  # the segments from 0 to both ends hold all others
        z = np.array([min(p.a for p in parts), max(p.b for p in parts)], dtype=complex)
    else:
        z = np.asarray(spectrum, dtype=complex).ravel()
        z = np.unique(z.real + 1j * np.abs(z.imag))  # q is real
    return _first_crossing(z, q, M)


def _first_crossing(z: Complex, q: ResidualPolynomial, M: float) -> float:
    """The smallest s > 0 with max |q(s z)| = M over points, from below."""
    products, limit = z[:, None] * q.weights, math.log(M)
    total = float(np.abs(products).sum(axis=1).max(initial=0.0))
    if total == 0.0:
        raise ValueError("q is 1 on the whole spectrum, no scale of it reaches an amplification")
    s, step = 0.0, limit / total  # prod (1 + step |w z|) <= exp(step sum |w z|) <= M
    here = np.ones(products.shape)
    while step > CLOSE * s:
        there = np.abs(1 - (s + step) * products)
        if np.log(np.maximum(here, there)).sum(axis=1).max() <= limit:
            s, step, here = s + step, 2 * step, there
        else:
            step = 0.5 * step
    return s


def on_circle(q: ResidualPolynomial, radius: float) -> Complex:
    """Where |q| has its local maxima on the upper half of |z| = radius, both ends included."""
    angles = np.linspace(0.0, np.pi, PER_DEGREE * q.degree + 33)
    found, _ = local_maxima(lambda a: _modulus(q, radius * np.exp(1j * a)), angles)
    return np.asarray(radius * np.exp(1j * found))
