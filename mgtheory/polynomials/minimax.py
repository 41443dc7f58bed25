"""The q of degree k, q(0) = 1, with the smallest maximum modulus on any set of the real line or the
complex plane, with a proof of it.

Scaling turns the problem into a linear one over a convex set: maximise q(0) subject to |q(z)| <= 1
on the set, by the exchange method of `mgtheory.polynomials.exchange`. Each linear program bounds
the optimum from one side, its q scaled to |q| <= 1 from the other: `Minimax.lower` and
`Minimax.value` enclose the true minimum on the points. A single interval needs none of this: there
q is the Chebyshev polynomial, in closed form, and only there degrees above `MAX_EXCHANGE_DEGREE`
are allowed.

A point far outside of the others is made a root of q, see `_resolving`: without, the basis
loses all digits there. In doubles such a root must often be repeated, `Minimax.copies`, as in
`mgtheory.polynomials.gmres`.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mgtheory.polynomials.classical import chebyshev
from mgtheory.polynomials.exchange import (
    BINDING,
    GAP,
    MAX_EXCHANGE_DEGREE,
    MAX_EXCHANGES,
    NONE,
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
from mgtheory.spectra.arnoldi import binary_scale
from mgtheory.spectra.interval import Interval

AGREED = 1e-6  # relative distance up to which the minimum counts as found
PATIENCE = 12  # exchanges without gain after which it ends
USELESS = 1 - 1e-8  # values above this are 1 up to rounding
UNIT = 2.0**-53  # relative rounding of a root
FAR = 1.01  # times the bound: from here on a lower degree is looked for
RESOLVED = 1e-8  # relative residual of a Ritz value at which a point is made a root
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
        Whether value and lower agree to 1e-6 relative.
    copies
        Pairs (point, how many times its root was repeated): of points so far out that rounding of
        one root would leave more than `value`. The degree is the one asked for, so that the rest of
        the set has fewer roots, and `value` is no longer near `lower`.
    better
        Where `value` is far from `lower`: a lower degree with a smaller value, and that value.
    """

    polynomial: ResidualPolynomial
    value: float
    lower: float
    exchanges: int
    converged: bool
    copies: tuple[tuple[complex, int], ...] = ()
    better: tuple[int, float] | None = None

    @property
    def message(self) -> str:
        """One line on why `value` is not the minimum, and what to do; empty where it is."""
        if self.converged:
            return ""
        text = f"not converged, {self.value / self.lower:.6g} times the bound {self.lower:.3g}"
        if self.copies:
            places = ", ".join(f"{abs(f):.6g}" for f, _ in self.copies[:3])
            text += f": outlying points (of modulus {places}) take several roots each, for rounding"
        if self.better is not None:
            text += f"; degree {self.better[0]} reaches {self.better[1]:.3g}"
        return text


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
        refused: no q with q(0) = 1 is below 1 on a region around it.

    Examples
    --------
    >>> minimax(2, points=Interval(1, 3)).roots.real.round(6).tolist()  # 2 +- cos(pi/4)
    [2.707107, 1.292893]
    """
    return minimax_report(degree, points=points).polynomial


def minimax_report(degree: int, *, points: Points) -> Minimax:
    """`minimax` with the value reached and the bound below which no polynomial gets."""
    degree = check_degree(degree, family="minimax")
    intervals, z = sampled(points, degree, "minimax")
    if any(part.a <= 0 <= part.b for part in intervals):
        raise ValueError("an interval contains 0, where q(0) = 1: minimax needs a set without 0")
    if len(intervals) == 1:  # at any distance from 0
        return _chebyshev(degree, intervals[0])
    _check_apart_from_0(intervals, z)
    if degree > MAX_EXCHANGE_DEGREE:
        raise ValueError(
            f"degree is {degree}, minimax allows 1 to {MAX_EXCHANGE_DEGREE} on points and on"
            f" several intervals (1 to {MAX_DEGREE} on one)"
        )
    scale = binary_scale(z)  # exact: the polynomial that is returned is the one that was scored
    unit = tuple(Interval(part.a / scale, part.b / scale) for part in intervals)
    found = _exchange(degree, unit, z / scale)
    better: list[tuple[int, float]] = []
    if found.value > FAR * found.lower:
        for lower in {degree - 1, 3 * degree // 4, degree // 2} - {0}:
            with contextlib.suppress(ValueError):
                better.append((lower, _exchange(lower, unit, z / scale).value))
    better = [(lower, value) for lower, value in better if value < found.value]
    return replace(
        found,
        polynomial=found.polynomial.scaled(scale),
        copies=tuple((scale * f, n) for f, n in found.copies),
        better=min(better, key=lambda pair: pair[1], default=None),
    )


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
    and on whole intervals; roots on the points that it resolves are repeated as far as rounding
    asks for."""
    basis = _resolving(z, degree)
    found = _search(basis, intervals, z)
    lower, exchanges = found.lower / (1 + _cost(basis, found.polynomial, z)), found.exchanges
    while (more := _unsettled(basis, found)).size and basis.fixed.size + more.size < degree:
        basis = Basis.build(z, degree, np.concatenate([basis.fixed, more]))
        found = _search(basis, intervals, z)
        exchanges += found.exchanges
    if more.size:
        raise ValueError(
            f"degree is {degree}, but the set has points so far apart that the rounding of a root"
            " leaves more than the maximum: take a lower or a higher degree, or leave outlying"
            " points out"
        )
    places, counts = np.unique(basis.fixed, return_counts=True)
    copies = tuple((complex(f), int(n) - 1) for f, n in zip(places, counts) if n > 1)
    settled = found.value <= lower * (1 + AGREED)
    return Minimax(found.polynomial, found.value, lower, exchanges, settled, copies)


def _search(basis: Basis, intervals: tuple[Interval, ...], z: Complex) -> Minimax:
    """The exchange method for the q of a basis: linear programs with the cuts found so far, and a
    new cut wherever their q exceeds 1."""
    degree, z = basis.degree, z[~np.isin(z, basis.fixed)]
    cuts, best, before, idle = first_cuts(basis, z), None, math.inf, 0
    for exchanges in range(1, MAX_EXCHANGES + 1):
        solved = best_under(basis, cuts, basis.at_zero)
        if solved is None:
            break
        c, bound = solved
        if bound < 1 / USELESS:
            raise _useless(degree)
        q = ResidualPolynomial(np.concatenate([basis.fixed, basis.roots(c)]))
        candidates = np.concatenate([z, *(peaks(q, interval) for interval in intervals)])
        value, lower = float(np.abs(q(candidates)).max()), 1 / bound
        # where several q have one bound, as on the imaginary axis, cuts that go come back for ever
        share = BINDING if best is None or lower > best.lower * (1 + GAP) else 0.0
        if best is not None:
            lower = max(lower, best.lower)
            if best.value < value:
                q, value = best.polynomial, best.value
        gap = value / lower - 1
        best = Minimax(q, value, lower, exchanges, gap <= PRECISION)
        idle = idle + 1 if gap > 0.9 * before else 0  # rounding, or a slow start
        if gap <= GAP or (idle and gap <= PRECISION) or idle == PATIENCE:
            break
        before = gap
        cuts = exchanged(basis, cuts, candidates, c, share=share)
    if best is None:
        raise ArithmeticError(
            f"minimax: the linear program of degree {degree} was not solved on these points; take a"
            " lower degree, or points whose distances from 0 are less far apart"
        )
    if best.value > USELESS:
        raise _useless(degree)
    return best


def _resolving(z: Complex, degree: int) -> Basis:
    """The basis for all q of that degree, or for those with roots on the points it resolves.

    A point far from the others is soon an eigenvalue of H to many digits (a Ritz value). All
    further phi_j nearly vanish there, their recurrence is unstable, and its errors grow with
    the digits resolved. Such a point is made a root at once.
    """
    fixed = NONE
    while True:
        basis = Basis.build(z, degree, fixed)
        m, free = basis.H.shape[1] - 1, z[~np.isin(z, fixed)]
        values, vectors = np.linalg.eig(basis.H[:m, :m])
        nearest = np.abs(free[:, None] - values).argmin(axis=0)
        rest = np.array([np.abs(np.delete(free, i)).max(initial=0.0) for i in nearest])
        # of the residual z/theta is left where q(0) = 1 is kept, see `_cost`
        with np.errstate(divide="ignore"):  # a Ritz value 0 of a set that is symmetric about 0
            left = basis.H[m, m - 1] * np.abs(vectors[-1:]).sum(axis=0) * rest / np.abs(values) ** 2
        near = np.unique(free[nearest[(left <= RESOLVED) & (values.imag >= 0)]])
        found = np.concatenate([near, near[near.imag > 0].conj()])
        if not found.size or fixed.size + found.size >= degree:
            return basis
        fixed = np.concatenate([fixed, found])


def _cost(basis: Basis, q: ResidualPolynomial, z: Complex) -> float:
    """How far the fixed roots, all different, may raise the minimum, relative to it.

    Let r be the best of all, |r| <= E on the points. With l_f(z) = z q(z)/(1 - z/f), over its
    value at f, r - sum_f r(f) l_f has the fixed roots, the same degree and value 1 at 0, and is
    at most E (1 + sum_f max |l_f|).
    """
    z = z[~np.isin(z, basis.fixed)]
    return sum(
        float(np.exp((np.log(np.abs(z / f)) + log_q - log_f).max()))
        for f in basis.fixed
        for log_q, log_f in [(_log_others(q, f, z), _log_others(q, f, f))]
    )


def _unsettled(basis: Basis, found: Minimax) -> Complex:
    """The fixed roots, once each, at which rounding leaves more than the maximum.

    What is left is the rounding of each copy of the root times what the other factors make of
    it. A root may be luckier than that: by a factor of 8 it is believed.
    """
    places, counts = np.unique(basis.fixed, return_counts=True)
    q, most = found.polynomial, math.log(found.value)
    logs = np.array([float(_log_others(q, f, f)) for f in places])
    return places[
        (logs + counts * math.log(UNIT) > most + math.log(8)) | (np.abs(q(places)) > found.value)
    ]


def _log_others(q: ResidualPolynomial, f: complex, z: Any) -> Any:
    """log |q(z)| without the factors of the root f, however large it is."""
    others = q.roots[np.abs(q.roots - f) > 4 * np.finfo(float).eps * abs(f)]
    with np.errstate(divide="ignore"):  # a root on a point
        return np.log(np.abs(1 - np.asarray(z)[..., None] / others)).sum(axis=-1)


def _useless(degree: int) -> ValueError:
    return ValueError(
        f"no q of degree {degree} with q(0) = 1 is below 1 on these points: they surround 0, or lie"
        " on opposite sides of it or far apart and need a higher degree"
    )


def _check_apart_from_0(intervals: tuple[Interval, ...], z: Complex) -> None:
    """ValueError for a set that contains 0 up to rounding, or surrounds it."""
    if np.abs(z).min() <= 1e-12 * np.abs(z).max():
        raise ValueError(
            f"points contain 0 up to rounding (moduli {np.abs(z).min():.3g} to"
            f" {np.abs(z).max():.3g}), where q(0) = 1: minimax needs a set without 0"
        )
    directions = np.sort(np.concatenate([np.angle(z), -np.angle(z)]))
    gap = np.degrees(np.diff(np.append(directions, directions[0] + 2 * np.pi)).max())
    if not intervals and gap < WIDEST_GAP:
        raise ValueError(
            f"points surround 0 (the widest gap between their directions is {gap:.0f} degrees), and"
            " no q with q(0) = 1 is below 1 on a region around it; take a set with a gap of at"
            f" least {WIDEST_GAP:.0f} degrees, or shift the operator"
        )
