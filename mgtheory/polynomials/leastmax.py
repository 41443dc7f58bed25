"""The smallest maximum of smooth functions, min over x of max_i f_i(x), by sequential quadratic
programming.

At x, with values f_i, gradients g_i and phi = max f_i, the step d solves

    minimise  d^T H d / 2 + delta + eps delta^2 / (2 phi)
    subject to  f_i + g_i.d <= phi + delta for all i,

H a quasi-Newton matrix of the Lagrangian sum_i lambda_i f_i (damped BFGS, from a small multiple of
I, so that the first steps are nearly those of a linear program). The term in eps vanishes at a
solution, where delta = 0, and makes this a problem of least distance, which non-negative least
squares solve [Lawson, Hanson, Solving Least Squares Problems (1974), chapter 23]. Because d
descends on phi itself, the line search is on phi; a second-order correction keeps it from cutting
good steps short at the kinks of phi.

Sources: K. Madsen, J. Inst. Math. Appl. 16 (1975) 321-328; M. J. D. Powell, Lecture Notes in
Mathematics 630 (1978) 144-157 (damping).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from mgtheory._frozen import ReadOnlyArrays

__all__ = ["LeastMaximum", "minimise_maximum"]

Array = NDArray[np.float64]
Pieces = Callable[[Array], tuple[Array, Array]]
PROXIMAL = 0.1  # eps
CURVATURE = 0.03  # the first H is this times phi: variables are of order 1
FLATTEST = 1e-8  # smallest eigenvalue of H that is used, relative to its largest
DESCENT = 1e-4  # share of the predicted decrease that a step must reach
HALVINGS = 20


@dataclass(frozen=True)
class LeastMaximum(ReadOnlyArrays):
    """A local minimiser of the maximum.

    Attributes
    ----------
    x, value
        Where, and the maximum there.
    iterations
        Steps taken.
    converged
        Whether no further decrease than the tolerance was predicted.
    """

    x: Array
    value: float
    iterations: int
    converged: bool


def minimise_maximum(
    pieces: Pieces,
    start: Array,
    *,
    iterations: int = 200,
    tolerance: float = 1e-8,
    goal: float = 0.0,
) -> LeastMaximum:
    """A local minimum of max_i f_i, found from `start` and never above the maximum there.

    Parameters
    ----------
    pieces
        x of shape (n,) -> the values f_i, shape (m,), their largest never negative, and their
        gradients, shape (m, n). Steps to where they are not finite are shortened.
    start
        Shape (n,), in variables of order 1.
    iterations
        Most steps.
    tolerance
        Relative decrease of the maximum below which a predicted step ends the search.
    goal
        The search ends, converged, where the maximum is no larger than this.

    Examples
    --------
    >>> def pieces(x):  # |x - 1| and |x + 1|: 1 at x = 0
    ...     return np.array([abs(x[0] - 1), abs(x[0] + 1)]), np.sign([[x[0] - 1], [x[0] + 1]])
    >>> round(minimise_maximum(pieces, np.array([0.7])).value, 12)
    1.0
    """
    x = np.array(start, dtype=float)
    values, slopes = pieces(x)
    H, fresh = _flat(values, x.size), True
    for iteration in range(iterations):
        largest = float(values.max())
        if largest <= goal:
            return LeastMaximum(x, largest, iteration, True)
        step, predicted, multipliers = _step(values, slopes, H)
        if predicted <= tolerance * largest:
            return LeastMaximum(x, largest, iteration, True)
        taken = _descent(pieces, x, values, slopes, H, step, predicted)
        if taken is None:
            if fresh:
                return LeastMaximum(x, largest, iteration, False)
            H, fresh = _flat(values, x.size), True  # once more, without the curvature collected
            continue
        step, new_values, new_slopes = taken
        H, fresh = _updated(H, step, multipliers @ (new_slopes - slopes)), False
        x, values, slopes = x + step, new_values, new_slopes
    return LeastMaximum(x, float(values.max()), iterations, bool(values.max() <= goal))


def _flat(values: Array, size: int) -> Array:
    return CURVATURE * float(values.max()) * np.eye(size)


def _step(values: Array, slopes: Array, H: Array) -> tuple[Array, float, Array]:
    """The step d, the decrease -delta of the maximum that it predicts, and the multipliers lambda,
    shape (m,)."""
    largest = float(values.max())
    scales, axes = np.linalg.eigh(H)
    W = axes / np.sqrt(np.maximum(scales, FLATTEST * scales[-1]))  # d = W u makes d^T H d = |u|^2
    root = np.sqrt(PROXIMAL / largest)
    # With v = root (delta + 1/root^2): the (u, v) of least norm with rows (u, v) >= bounds.
    rows = np.hstack([-slopes @ W, np.full((len(values), 1), 1 / root)])
    bounds = root**-2 + values - largest
    y, _ = nnls(np.vstack([rows.T, bounds]), np.append(np.zeros(rows.shape[1]), 1.0))
    multipliers = y / (1.0 - bounds @ y)
    least = rows.T @ multipliers
    return W @ least[:-1], float(root**-2 - least[-1] / root), multipliers


def _descent(
    pieces: Pieces, x: Array, values: Array, slopes: Array, H: Array, step: Array, predicted: float
) -> tuple[Array, Array, Array] | None:
    """A step along which the maximum falls, with the values and gradients at its end: whole,
    corrected or halved; None if there is none."""
    largest = float(values.max())

    def falls(found: tuple[Array, Array], length: float) -> bool:
        return bool(
            np.isfinite(found[1]).all() and found[0].max() <= largest - DESCENT * length * predicted
        )

    found, length = pieces(x + step), 1.0
    if not falls(found, length) and np.isfinite(found[0]).all():
        # the same gradients, the values that the step found
        corrected, _, _ = _step(found[0] - slopes @ step, slopes, H)
        if np.linalg.norm(corrected) <= 2 * np.linalg.norm(step):
            second = pieces(x + corrected)
            if falls(second, length):
                return corrected, *second
    for _ in range(HALVINGS):
        if falls(found, length):
            return length * step, *found
        length *= 0.5
        found = pieces(x + length * step)
    return None


def _updated(H: Array, step: Array, change: Array) -> Array:
    """The BFGS update of H, the change of the gradient damped so that H stays positive definite."""
    Hs = H @ step
    curvature, expected = float(change @ step), float(step @ Hs)
    if curvature < 0.2 * expected:
        share = 0.8 * expected / (expected - curvature)
        change = share * change + (1 - share) * Hs
    return H - np.outer(Hs, Hs) / expected + np.outer(change, change) / float(change @ step)
