"""The shifted coarse-grid correction P (A_H^-1 + beta) R, and the two-grid factor that judges it.

Linear interpolation and full weighting both take from a smooth function: with s_j = sin^2(theta_j /
2) each is prod (1 - s_j) over the coarsened axes. A correction of a smooth error therefore leaves,
to first order, 2 sum s_j + (A_H - A)/A of it, where A_H is the coarse operator at the same
frequency. The coarse right-hand side R r is there already, and beta of it added to the coarse
solution takes away beta A. No number does so in every direction; `middle` is the one between the
ends. For the (2d + 1)-point Laplacian these are h^2/4, along an axis, and (2 - 1/d) h^2/4, along a
diagonal:

    beta = (3 - 1/d) h^2/8:    h^2/4, 5 h^2/16 and h^2/3 for d = 1, 2, 3,

and what is left of a smooth error is (1 - 1/d) sum s_j / 2 in place of up to (2 - 1/d) sum s_j: a
fifth in three dimensions, a third in two, nothing to this order in one. The price is paid at the
middle frequencies, where the correction overshoots, and by the smoother. So it is taken only where
the exact factor of two grids, with the smoother of the level, is not larger for it (`two_grid`).

Shifts of other kinds, multiples of the whole correction, are in A. Brandt, Multigrid techniques:
1984 guide, GMD-Studien 85, section 4; symbols as in R. Wienands, W. Joppich, Practical Fourier
analysis for multigrid methods, 2005, chapter 3.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory.matrixfree.operators import Operator, as_grid, symbol_values
from mgtheory.matrixfree.tables import CACHED

Array = NDArray[np.float64]
# angles of an axis at which the factor is taken, ends included, by the number of axes
ANGLES = {1: 33, 2: 9, 3: 5}
SAME = 1.0 + 1e-9  # factors up to rounding
PARTS = 12  # directions: multiples of 1/12, so that axes and diagonals are among them


def shift_of(
    fine: Operator, coarse: Operator, before: list[Array], after: list[Array], *, symmetric: bool
) -> float:
    """beta of the correction from `coarse` on the grid `fine`, 0 where it is not shown to help.

    That is where a coarsened axis is not nested, n = 2 m + 1, or where the two-grid factor with
    these sweeps would be larger. If `symmetric`, 0 as well where the sweeps before and after
    differ: then the factor is no norm, and says nothing of the first cycles.

    Parameters
    ----------
    before, after
        Sweeps of steps (omega, mu), as a level has them.
    """
    if any(fine.shape[j] != 2 * fine.coarse[j] + 1 for j in fine.axes):
        return 0.0
    size = abs(fine.diagonal)
    steps = [np.concatenate(sweeps) * (size, 1.0) for sweeps in (before, after)]
    if symmetric and not np.array_equal(steps[0], steps[1]):
        return 0.0
    # nested grids have one stencil up to a factor, and then up to the last digits one key
    numbers = [tuple(np.round(one.c / size, 14).flat) for one in (fine, coarse)]
    given = [tuple(map(tuple, np.round(one, 14).tolist())) for one in steps]
    grids = [*zip(as_grid(fine.shape), as_grid(coarse.shape), strict=True)]
    axes = tuple(p for p, (n, m) in enumerate(grids) if n != m)
    used = tuple(p for p, (n, _) in enumerate(grids) if n > 1)
    return _helpful(numbers[0], numbers[1], given[0], given[1], axes, used) / size


@functools.lru_cache(maxsize=CACHED)
def _helpful(fine: Any, coarse: Any, before: Any, after: Any, axes: Any, used: Any) -> float:
    """`middle` where the factor is not larger for it, else 0; kept for the next set-up."""
    c, below = (np.reshape(one, (2, 2, 2)) for one in (fine, coarse))
    steps = np.reshape(before, (-1, 2)), np.reshape(after, (-1, 2))
    beta = middle(c, below, axes)
    angles = [
        np.linspace(0.0, np.pi / (2 if p in axes else 1), ANGLES[len(used)] if p in used else 1)
        for p in range(3)
    ]
    without, shifted = (two_grid(c, below, *steps, axes, angles, shift=s) for s in (0.0, beta))
    return beta if beta > 0.0 and shifted <= without * SAME else 0.0


def middle(c: Array, below: Array, axes: Sequence[int]) -> float:
    """Between the ends of what is exact to first order in one direction: lim (1 - prod (1 - s_j)^2
    A/A_H)/A.

    Parameters
    ----------
    c, below
        The eight numbers of the grid and of the next coarser one.
    axes
        The coarsened ones of (planes, rows, columns); functions that are smooth along these alone
        are looked at, for coarsening follows the strong couplings.
    """
    first, second = _expanded(c)
    first_below, second_below = _expanded(below)
    w = np.zeros((PARTS + 1,) * 3 + (3,))
    for p, parts in enumerate(np.indices(w.shape[:3])):
        w[..., p] = parts / PARTS
    others = [p for p in range(3) if p not in axes]
    w = w[np.isclose(w.sum(axis=-1), 1.0) & ~w[..., others].any(axis=-1)]
    # on the coarse grid s is 4 s (1 - s)
    a, a2 = w @ first, np.einsum("ni,ij,nj->n", w, second, w)
    b2 = 16.0 * np.einsum("ni,ij,nj->n", w, second_below, w) - 4.0 * w**2 @ first_below
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = (2.0 * w.sum(axis=1) * a + b2 - a2) / a**2
    return float((exact.min() + exact.max()) / 2.0) if np.isfinite(exact).all() else 0.0


def _expanded(c: Array) -> tuple[Array, Array]:
    """The first and second order of the symbol in s_j = sin^2(theta_j / 2), a vector and a matrix,
    the latter without a diagonal."""
    for _ in range(3):  # 2 cos theta = 2 - 4 s; each axis takes the place of the first, at the end
        c = np.tensordot(c, np.array([[1.0, 0.0], [2.0, -4.0]]), axes=(0, 0))
    first = np.array([c[1, 0, 0], c[0, 1, 0], c[0, 0, 1]])
    second = np.zeros((3, 3))
    second[0, 1], second[0, 2], second[1, 2] = c[1, 1, 0], c[1, 0, 1], c[0, 1, 1]
    return first, second


def two_grid(
    c: Array,
    below: Array,
    before: Array,
    after: Array,
    axes: Sequence[int],
    angles: Sequence[Array],
    *,
    shift: float,
) -> float:
    """The largest spectral radius of q_after (I - P (A_H^-1 + shift) R A) q_before on the 2^k
    harmonics of a frequency, k axes being coarsened.

    With equal sweeps before and after it is the energy norm of the cycle of two grids, which bounds
    each of them.

    Parameters
    ----------
    c, below
        The eight numbers of the grid and of the next coarser one.
    before, after
        Steps (omega, mu), shapes (k, 2).
    axes
        The coarsened ones of (planes, rows, columns).
    angles
        Those of the tensor grid of frequencies, up to pi/2 on coarsened axes; the constant is left
        out. With the sines of a grid, pi k/(n + 1), they are the cycle on that.
    """
    harmonics = []
    for turns in itertools.product(*[(0, 1) if p in axes else (0,) for p in range(3)]):
        s = [np.sin((np.pi - t if turn else t) / 2.0) ** 2 for t, turn in zip(angles, turns)]
        # of the harmonic pi - theta coarse points see the other sign
        weights = [
            (1.0 - 2.0 * turn) * (1.0 - one) if p in axes else np.ones_like(one)
            for p, (one, turn) in enumerate(zip(s, turns))
        ]
        product = functools.reduce(np.multiply.outer, weights)
        harmonics.append((symbol_values(c, [2.0 - 4.0 * one for one in s]), product))
    varies = functools.reduce(np.logical_or.outer, [t > 0.0 for t in angles])
    A, p = (np.stack([one[varies] for one in part], axis=1) for part in zip(*harmonics))
    coarse = [2.0 * np.cos(2.0 * t if j in axes else t) for j, t in enumerate(angles)]
    inverse = 1.0 / symbol_values(below, coarse)[varies]
    correction = (inverse + shift)[:, None, None] * p[:, :, None] * (p * A)[:, None, :]
    smoothed = reduction(before, A) * reduction(after, A)
    matrices = smoothed[:, :, None] * (np.eye(A.shape[1]) - correction)
    if not np.isfinite(matrices).all():
        return float("inf")
    return float(np.abs(np.linalg.eigvals(matrices)).max())


def reduction(steps: Array, eigenvalues: Array) -> Array:
    """What the steps (omega, mu) leave of errors with these eigenvalues."""
    last = now = np.ones_like(eigenvalues)
    for omega, mu in steps:
        last, now = now, now - omega * eigenvalues * now + mu * (now - last)
    return now
