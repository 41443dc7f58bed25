"""Bricks of the exchange method: the q of degree k that maximises a linear functional while |q|
stays below a limit on a set of the real line or the complex plane, with a bound of the optimum.

|q(z)| <= M means Re(exp(-i phi) q(z)) <= M for every phi. Only the phases that matter are used: the
linear program with the phases found so far gives a q, and wherever |q| > M the phase of q(z) is
added (an exchange, or cutting plane, method). Each program bounds the optimum from one side, its q
made feasible from the other. For intervals the local maxima of |q| between the points are added too
(Remez).

The basis is orthonormal on the points and built by Arnoldi's process on multiplication by z
("Vandermonde with Arnoldi" [Brubeck, Nakatsukasa, Trefethen, SIAM Review 63 (2021)]), so that no
digits are lost at any degree; the roots are eigenvalues of its Hessenberg matrix with one changed
column. Real polynomials are sought: |q| is then symmetric about the real axis, and so is the set,
without loss of generality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from mgtheory._checks import check_array, check_finite
from mgtheory.polynomials.peaks import angular_grid, local_maxima
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.spectra.interval import Interval

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Points = ArrayLike | Interval | Sequence[Interval]
GAP = 1e-9  # relative distance of the two bounds at which the exchange ends; HiGHS works to 1e-10
PRECISION = 1e-8  # relative distance at which it ends where rounding lets it go no farther
MAX_EXCHANGES = 60  # ten are typical
MAX_EXCHANGE_DEGREE = 64  # a cloud of points takes seconds at 64; at 128 even a curve does
BINDING = 0.5  # a phase is kept while Re(exp(-i phi) q(z)) is above this share of the limit
NONE = np.empty(0, dtype=complex)


@dataclass(frozen=True)
class Basis:
    """Polynomials phi_0..phi_k, orthonormal in the mean over the points: z phi_j = sum_i H[i, j]
    phi_i, phi_0 a multiple of prod (1 - z/f) over the `fixed` roots f; `at_zero` and
    `slope` are the phi_j(0) and their derivatives there.
    """

    H: Array
    fixed: Complex
    start: float  # phi_0(0)
    at_zero: Array
    slope: Array

    @property
    def degree(self) -> int:
        """Of the polynomials that it spans, fixed roots included."""
        return self.H.shape[1] + self.fixed.size

    @classmethod
    def build(cls, z: Complex, most: int, fixed: Complex = NONE) -> Basis:
        """The basis of the polynomials of degree `most` with the fixed roots, on points in the
        closed upper half-plane, each with its conjugate."""
        count = int(z.size + np.count_nonzero(z.imag))
        if count <= most:
            raise ValueError(
                f"degree is {most}, but a polynomial of degree {count} vanishes on the {count}"
                " points: take them as roots, or give more"
            )
        degree, z = most - fixed.size, z[~np.isin(z, fixed)]
        weight = np.prod(1 - z[:, None] / fixed, axis=1)
        start = float(1 / np.sqrt(np.mean(np.abs(weight) ** 2)))
        H = np.zeros((degree + 1, degree))
        phi = start * weight[None]
        for j in range(degree):
            w = z * phi[j]
            for _ in range(2):
                h = (phi.conj() @ w).real / z.size
                w = w - h @ phi
                H[: j + 1, j] += h
            H[j + 1, j] = np.linalg.norm(w) / np.sqrt(z.size)
            if H[j + 1, j] <= 1e-13 * np.abs(z).max():
                raise ValueError(
                    f"degree is {most}, but a polynomial of degree {j + 1 + fixed.size} vanishes on"
                    " the points up to rounding: give more of them"
                )
            phi = np.vstack([phi, w / H[j + 1, j]])
        at_zero, slope = np.full(degree + 1, start), np.zeros(degree + 1)
        slope[0] = -start * np.sum(1 / fixed).real
        for j in range(degree):  # H_{j+1,j} phi_{j+1} = z phi_j - sum_i H_ij phi_i at z = 0
            known = slice(0, j + 1)
            at_zero[j + 1] = -(at_zero[known] @ H[known, j]) / H[j + 1, j]
            slope[j + 1] = (at_zero[j] - slope[known] @ H[known, j]) / H[j + 1, j]
        return cls(H, fixed, start, at_zero, slope)

    def evaluate(self, z: Complex) -> Complex:
        """phi_j(z_i), shape (len(z), k + 1)."""
        phi = np.empty((z.size, self.H.shape[0]), dtype=complex)
        phi[:, 0] = self.start * np.prod(1 - z[:, None] / self.fixed, axis=1)
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


def best_under(
    basis: Basis, cuts: Array, functional: Array, *, limit: float = 1.0, **equal: Any
) -> tuple[Array, float] | None:
    """Coefficients c of the q with the largest functional @ c under cuts @ c <= limit, and that
    value; None where the solver gives up. `equal` is A_eq and b_eq of scipy's `linprog`."""
    goal = -functional / float(np.abs(functional).max())
    # |c_j| <= limit holds for every q with |q| <= limit, and keeps the first programs bounded
    program = {"A_ub": cuts, "b_ub": np.full(len(cuts), limit), "bounds": (-limit, limit), **equal}
    tolerances = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    for method in ("highs-ds", "highs-ipm"):
        result = linprog(goal, **program, method=method, options=tolerances)
        if result.status == 0:
            return result.x, float(functional @ result.x)
    return None


def first_cuts(basis: Basis, z: Complex) -> Array:
    """A few points spread over the set, in a few directions."""
    chosen = z[np.unique(np.linspace(0, z.size - 1, 8 * basis.at_zero.size).astype(int))]
    values = basis.evaluate(chosen)
    turns = np.exp(-0.25j * np.pi * np.arange(8))
    rows = [(turn * values).real for turn in turns]
    return np.vstack([rows[0], rows[4]]) if not z.imag.any() else np.vstack(rows)


def exchanged(
    basis: Basis, cuts: Array, z: Complex, c: Array, limit: float = 1.0, *, share: float = BINDING
) -> Array:
    """The cuts that bind at c, up to a `share` of the limit, and those with phi = arg q(z) at the
    points z where |q| is largest above the limit."""
    phi = basis.evaluate(z)
    values = phi @ c
    size = np.abs(values)
    worst = np.argsort(-size)[: 8 * basis.at_zero.size]
    worst = worst[size[worst] > limit * (1 + 0.1 * GAP)]
    turn = np.exp(-1j * np.angle(values[worst]))
    return np.vstack([cuts[cuts @ c > share * limit], (turn[:, None] * phi[worst]).real])


def intervals_of(points: Any) -> tuple[Interval, ...]:
    """The intervals, if a set is given by them."""
    if isinstance(points, Interval):
        return (points,)
    several = isinstance(points, list | tuple)
    return tuple(points) if several and all(isinstance(p, Interval) for p in points) else ()


def sampled(points: Any, degree: int, family: str) -> tuple[tuple[Interval, ...], Complex]:
    """The intervals, if the set is given by them, and sample points in the closed upper
    half-plane."""
    if parts := _united(intervals_of(points)):
        grids = [angular_grid(part.a, part.b, degree) for part in parts]
        return parts, np.concatenate(grids).astype(complex)
    try:
        z = np.atleast_1d(check_array(points, "points").astype(complex)).ravel()
    except ValueError as error:
        raise ValueError(f"{error}, an Interval or a list of Intervals") from None
    check_finite(z, "the array of points")
    if not z.size:
        raise ValueError(f"points: none given, {family} needs some")
    return (), np.unique(z.real + 1j * np.abs(z.imag))


def _united(intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    """Their union: ascending, those that overlap or touch as one."""
    parts: list[Interval] = []
    for part in sorted(intervals, key=lambda part: part.a):
        if parts and part.a <= parts[-1].b:
            parts[-1] = Interval(parts[-1].a, max(parts[-1].b, part.b))
        else:
            parts.append(part)
    return tuple(parts)


def peaks(q: ResidualPolynomial, interval: Interval) -> Complex:
    """Where |q| has its local maxima on an interval."""
    where, _ = local_maxima(lambda t: np.abs(q(t)), angular_grid(interval.a, interval.b, q.degree))
    return where.astype(complex)
