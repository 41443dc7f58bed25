"""The optimised fourth-kind Chebyshev polynomial of any degree: its roots by Newton's method, its
recurrence weights by a sine transform.

Lottes' V-cycle bound is governed by gamma(q) = sup over (0, 1] of F(t) = t q(t)^2/(1 - q(t)^2). The
best q of degree k makes F equal at its k + 1 extremal points: t -> 0, where F = 1/(2 sum 1/r_i),
its k - 1 maxima between the roots, and t = 1. These are k equations for the k roots. In the angles
t = sin^2(theta/2), r_i = sin^2(phi_i/2) the roots of every degree are almost evenly spaced, the
fourth kind, phi_i = 2 pi i/(2k + 1), is a close start, and differences r_i - t = sin((phi_i +
theta)/2) sin((phi_i - theta)/2) lose no digits; because F is stationary at its maxima, their motion
does not enter the Jacobian.

Source: J. Lottes, Optimal polynomial smoothers for multigrid V-cycles, Numer. Linear Algebra Appl.
30(6) (2023) e2518, arXiv 2202.08830.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mgtheory.polynomials.residual import check_degree

Array = NDArray[np.float64]
# spread of log F, for degrees up to 64, then growing with the degree; rounding leaves a tenth of it
EQUIOSCILLATION_TOLERANCE = 1e-12
MAX_NEWTON_STEPS = 30  # five or six are taken


@cache
def _optimised_angles(degree: int) -> tuple[float, ...]:
    """The angles phi_i of the optimised roots sin^2(phi_i/2), ascending."""
    phi = 2 * np.pi * np.arange(1, degree + 1) / (2 * degree + 1)
    for _ in range(MAX_NEWTON_STEPS):
        theta = np.append(_maxima(phi), np.pi)
        error, jacobian = _conditions(theta, phi)
        if np.abs(error).max() <= EQUIOSCILLATION_TOLERANCE * max(1.0, degree / 64):
            return tuple(phi.tolist())
        step = np.linalg.solve(jacobian, -error)
        gaps = np.diff(phi, prepend=0.0, append=np.pi)
        change = np.diff(step, prepend=0.0, append=0.0)
        shrinking = np.where(change < 0, -change / gaps, 0.0).max()
        # no gap between roots shrinks by more than half
        phi = phi + step * min(1.0, 0.5 / max(shrinking, 1e-300))
    raise ArithmeticError(
        f"chebyshev4_opt: Newton's method for degree {degree} stopped at {np.abs(error).max():.1e}"
    )


def optimised_roots(degree: int) -> Array:
    """The roots of the optimised fourth kind on (0, 1], ascending, shape (degree,)."""
    degree = check_degree(degree, family="chebyshev4_opt")
    return np.sin(0.5 * np.array(_optimised_angles(degree))) ** 2


def optimised_beta(degree: int) -> Array:
    """The weights beta_i of `fourth_kind_recurrence` for the optimised polynomial, shape (degree,).

    With omega_n = W_n/(2n + 1) the residuals of the plain recurrence, q = sum_n c_n omega_n and
    beta_i = sum_{n >= i} c_n. Since W_n sin(theta/2) = sin((n + 1/2) theta), the c_n are a sine
    transform of q on k + 1 angles.

    Examples
    --------
    >>> optimised_beta(1), optimised_beta(2)
    (array([1.125]), array([1.02387288, 1.26408905]))
    """
    degree = check_degree(degree, family="chebyshev4_opt")
    phi = np.array(_optimised_angles(degree))
    n = np.arange(degree + 1)
    theta = np.pi * (n + 0.5) / (degree + 1)
    q = np.prod(1 - (np.sin(0.5 * theta[:, None]) / np.sin(0.5 * phi)) ** 2, axis=1)
    transform = np.sin((n[:, None] + 0.5) * theta) @ (q * np.sin(0.5 * theta))
    c = (2 * n + 1) * transform * (2 / (degree + 1))
    return np.cumsum(c[::-1])[::-1][1:].copy()


def _square(difference: Array, phi: Array) -> Array:
    """q(t_j)^2 from the differences t_j - r_i."""
    return np.prod(difference / np.sin(0.5 * phi) ** 2, axis=1) ** 2


def _conditions(theta: Array, phi: Array) -> tuple[Array, Array]:
    """log F(t_j) - log F(0), shape (k,), and its derivative with respect to the angles of the
    roots, shape (k, k)."""
    t, r, slope = np.sin(0.5 * theta) ** 2, np.sin(0.5 * phi) ** 2, 0.5 * np.sin(phi)
    # t_j - r_i without cancellation
    difference = np.sin(0.5 * (theta[:, None] + phi)) * np.sin(0.5 * (theta[:, None] - phi))
    square = _square(difference, phi)
    error = np.log(t * square / (1 - square)) + np.log(2 * np.sum(1 / r))
    of_q = -t[:, None] * slope / (r * difference)  # d log|1 - t/r_i| / d phi_i
    at_zero = slope / r**2 / np.sum(1 / r)
    return error, 2 / (1 - square[:, None]) * of_q - at_zero


def _maxima(phi: Array) -> Array:
    """The angles of the k - 1 maxima of F between neighbouring roots, by safeguarded Newton steps.

    (1 - q^2) d log F/d theta = (1 - q^2) cot(theta/2) + 2 S, S = sum_i sin(theta)/(2 (t - r_i)),
    falls from +inf to -inf between two roots.
    """
    low, high = phi[:-1].copy(), phi[1:].copy()
    theta = 0.5 * (low + high)
    for _ in range(60):
        plus, minus = np.sin(0.5 * (theta[:, None] + phi)), np.sin(0.5 * (theta[:, None] - phi))
        difference = plus * minus  # t - r
        square, cot = _square(difference, phi), 1 / np.tan(0.5 * theta)
        log_slope = np.sum(0.5 * np.sin(theta)[:, None] / difference, axis=1)
        value = (1 - square) * cot + 2 * log_slope
        curvature = -0.25 * np.sum(1 / plus**2 + 1 / minus**2, axis=1)
        of_cot = -0.5 * (1 - square) / np.sin(0.5 * theta) ** 2 - 2 * square * log_slope * cot
        derivative = of_cot + 2 * curvature
        low, high = np.where(value > 0, theta, low), np.where(value > 0, high, theta)
        newton = theta - value / derivative
        following = np.where((newton > low) & (newton < high), newton, 0.5 * (low + high))
        moved = np.abs(following - theta)
        theta = following
        # F is flat here: its value is exact to 1e-18
        if not moved.size or moved.max() <= 1e-9 * np.min(phi[1:] - phi[:-1]):
            break
    return theta
