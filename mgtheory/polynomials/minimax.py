"""The q of degree k, q(0) = 1, with the smallest maximum modulus on any set of the real line or the
complex plane, with a proof of it.

Scaling turns the problem into a linear one over a convex set: maximise q(0) subject to |q(z)| <= 1
on the set. |q(z)| <= 1 means Re(exp(-i phi) q(z)) <= 1 for every phi. Only the phases that matter
are used: the linear program with the phases found so far gives a q, and wherever |q| > 1 the phase
of q(z) is added (an exchange, or cutting plane, method). Each program bounds the optimum from one
side, its q scaled to |q| <= 1 from the other: `Minimax.lower` and `Minimax.value` enclose the true
minimum on the points. Phases that no longer bind are dropped. For intervals the local maxima of |q|
between the points are added too (Remez). A single interval needs none of this: there q is the
Chebyshev polynomial, in closed form, and only there degrees above `MAX_EXCHANGE_DEGREE` are
allowed.

The basis is orthonormal on the points and built by Arnoldi's process on multiplication by z
("Vandermonde with Arnoldi" [Brubeck, Nakatsukasa, Trefethen, SIAM Review 63 (2021)]), so that no
digits are lost at any degree; the roots are eigenvalues of its Hessenberg matrix with one changed
column. Real polynomials are sought: |q| is then symmetric about the real axis, and so is the set,
without loss of generality.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from mgtheory._checks import check_array
from mgtheory.polynomials.classical import chebyshev
from mgtheory.polynomials.peaks import angular_grid, local_maxima
from mgtheory.polynomials.residual import MAX_DEGREE, ResidualPolynomial, check_degree
from mgtheory.spectra.interval import Interval

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Points = ArrayLike | Interval | Sequence[Interval]
GAP = 1e-9  # relative distance of the two bounds at which the exchange ends; HiGHS works to 1e-10
PRECISION = 1e-8  # relative distance at which it ends where rounding lets it go no farther
MAX_EXCHANGES = 60  # ten are typical
MAX_EXCHANGE_DEGREE = 64  # a cloud of points takes seconds at 64; at 128 even a curve does
BINDING = 0.5  # a phase is kept while Re(exp(-i phi) q(z)) is above this
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
        solved = _solve(basis, cuts)
        if solved is None:
            break
        c, bound = solved
        if bound < 1 / USELESS:
            raise _useless(degree)
        q = ResidualPolynomial(basis.roots(c))
        candidates = np.concatenate([z, *(_peaks(q, interval) for interval in intervals)])
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
        cuts = np.vstack([cuts[cuts @ c > BINDING], _new_cuts(basis, candidates, c)])
    if best is None:
        raise ArithmeticError(f"minimax: the linear program of degree {degree} was not solved")
    if best.value > USELESS:
        raise _useless(degree)
    return best


@dataclass(frozen=True)
class _Basis:
    """Polynomials phi_0..phi_k, orthonormal in the mean over the points: z phi_j = sum_i H[i, j]
    phi_i; `at_zero` are the phi_j(0)."""

    H: Array
    at_zero: Array

    @classmethod
    def build(cls, z: Complex, degree: int) -> _Basis:
        H = np.zeros((degree + 1, degree))
        phi = np.ones((1, z.size), dtype=complex)
        for j in range(degree):
            w = z * phi[j]
            for _ in range(2):
                h = (phi.conj() @ w).real / z.size
                w = w - h @ phi
                H[: j + 1, j] += h
            H[j + 1, j] = np.linalg.norm(w) / np.sqrt(z.size)
            if H[j + 1, j] <= 1e-13 * np.abs(z).max():
                raise ValueError(
                    f"degree is {degree}, but a polynomial of degree {j + 1} vanishes on the points"
                    " up to rounding: give more of them"
                )
            phi = np.vstack([phi, w / H[j + 1, j]])
        basis = cls(H, np.empty(0))
        return cls(H, basis.evaluate(np.zeros(1, dtype=complex))[0].real)

    def evaluate(self, z: Complex) -> Complex:
        """phi_j(z_i), shape (len(z), k + 1)."""
        phi = np.ones((z.size, self.H.shape[0]), dtype=complex)
        for j in range(self.H.shape[1]):
            rest = z * phi[:, j] - phi[:, : j + 1] @ self.H[: j + 1, j]
            phi[:, j + 1] = rest / self.H[j + 1, j]
        return phi

    def roots(self, c: Array) -> Complex:
        """The k roots of sum_j c_j phi_j; infinite ones where the degree is lower."""
        k = self.H.shape[1]
        M, N = self.H[:k].copy(), np.eye(k)
        M[:, -1] = c[k] * M[:, -1] - self.H[k, k - 1] * c[:k]
        N[-1, -1] = c[k]
        top, bottom = scipy.linalg.eigvals(M, N, homogeneous_eigvals=True)
        infinite = np.abs(bottom) <= 1e-12 * np.abs(top) / np.abs(self.H).max()
        return np.where(infinite, complex(np.inf, 0.0), top / np.where(infinite, 1.0, bottom))


def _useless(degree: int) -> ValueError:
    return ValueError(
        f"no q of degree {degree} with q(0) = 1 is below 1 on these points: they surround 0, or lie"
        " on opposite sides of it and need a higher degree"
    )


def _solve(basis: _Basis, cuts: Array) -> tuple[Array, float] | None:
    """Coefficients c of the q with the largest q(0) under the cuts, and that q(0); None where the
    solver gives up."""
    goal = -basis.at_zero / float(np.abs(basis.at_zero).max())
    program = {"A_ub": cuts, "b_ub": np.ones(len(cuts)), "bounds": (-1.0, 1.0)}
    tolerances = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    for method in ("highs-ds", "highs-ipm"):
        result = linprog(goal, **program, method=method, options=tolerances)
        if result.status == 0:
            return result.x, float(basis.at_zero @ result.x)
    return None


def _first_cuts(basis: _Basis, z: Complex) -> Array:
    """|q| <= 1 at a few points spread over the set, in a few directions; the bounds on c keep the
    first programs bounded."""
    chosen = z[np.unique(np.linspace(0, z.size - 1, 8 * basis.at_zero.size).astype(int))]
    values = basis.evaluate(chosen)
    turns = np.exp(-0.25j * np.pi * np.arange(8))
    rows = [(turn * values).real for turn in turns]
    return np.vstack([rows[0], rows[4]]) if not z.imag.any() else np.vstack(rows)


def _new_cuts(basis: _Basis, z: Complex, c: Array) -> Array:
    """Re(exp(-i phi) q(z)) <= 1 with phi = arg q(z), at the points where |q| is largest above 1."""
    phi = basis.evaluate(z)
    values = phi @ c
    size = np.abs(values)
    worst = np.argsort(-size)[: 8 * basis.at_zero.size]
    worst = worst[size[worst] > 1 + 0.1 * GAP]
    turn = np.exp(-1j * np.angle(values[worst]))
    return (turn[:, None] * phi[worst]).real


def _the_set(points: Any, degree: int) -> tuple[tuple[Interval, ...], Complex]:
    """The intervals, if the set is given by them, and sample points in the closed upper
    half-plane."""
    if isinstance(points, Interval):
        points = (points,)
    several = isinstance(points, list | tuple) and len(points) > 0
    if several and all(isinstance(part, Interval) for part in points):
        if any(part.a <= 0 <= part.b for part in points):
            raise ValueError(
                "an interval contains 0, where q(0) = 1: minimax needs a set without 0"
            )
        parts = _united(points)
        grids = [angular_grid(part.a, part.b, degree) for part in parts]
        return parts, np.concatenate(grids).astype(complex)
    try:
        z = np.atleast_1d(check_array(points, "points").astype(complex)).ravel()
    except ValueError as error:
        raise ValueError(f"{error}, an Interval or a list of Intervals") from None
    if not z.size or not np.isfinite(z).all():
        raise ValueError(f"points: {z.size} given, minimax needs finite ones")
    if np.abs(z).min() <= 1e-12 * np.abs(z).max():
        raise ValueError("points contain 0, where q(0) = 1: minimax needs a set without 0")
    z = np.unique(z.real + 1j * np.abs(z.imag))
    count = int(z.size + np.count_nonzero(z.imag))
    if count <= degree:
        raise ValueError(
            f"degree is {degree}, but a polynomial of degree {count} vanishes on the {count}"
            " points: take them as roots, or give more"
        )
    directions = np.sort(np.concatenate([np.angle(z), -np.angle(z)]))
    gap = np.degrees(np.diff(np.append(directions, directions[0] + 2 * np.pi)).max())
    if gap < WIDEST_GAP:
        raise ValueError(
            f"points surround 0 (the widest gap between their directions is {gap:.0f} degrees): no"
            " q with q(0) = 1 is below 1 on all of such a set; take one with a gap of at least"
            f" {WIDEST_GAP:.0f} degrees, or shift the operator"
        )
    return (), z


def _united(intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    """Their union: ascending, those that overlap or touch as one."""
    parts: list[Interval] = []
    for part in sorted(intervals, key=lambda part: part.a):
        if parts and part.a <= parts[-1].b:
            parts[-1] = Interval(parts[-1].a, max(parts[-1].b, part.b))
        else:
            parts.append(part)
    return tuple(parts)


def _peaks(q: ResidualPolynomial, interval: Interval) -> Complex:
    """Where |q| has its local maxima on an interval."""
    where, _ = local_maxima(lambda t: np.abs(q(t)), angular_grid(interval.a, interval.b, q.degree))
    return where.astype(complex)
