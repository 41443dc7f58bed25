"""The supremum of a function of the frequency.

Searches start at the largest local maxima of a sample. These can miss a narrow peak, so searches
are repeated from other points, twice as many each time, until they find nothing larger. The other
points are those of an additive recurrence (Richtmyer 1951), which fill the cell evenly and lie on
no grid: they see what all points of a grid miss.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter
from scipy.spatial import KDTree

Float = npt.NDArray[np.float64]
Function = Callable[[Float], Float]  # theta, shape (F, d) -> values, shape (F,)
# where to search from: theta, values, and the width of the first step, shape (d,)
Starts = tuple[Float, Float, Float]

# searches at a time, and the part of the largest value that they start from: polynomials that were
# optimised have many peaks of nearly one height
STARTS, PART = 64, 0.8
LEAST, MOST = 64, 4096  # other points the first time: as many as samples, within these
STABLE = 1e-6  # relative gain from other points for which there are more of them
REPEATS = 5
# the steps a search takes before it may be given up, and at most; and how often its box is halved
# (2^-20: quadratic maxima to rounding)
EARLY, STEPS, HALVINGS = 2, 64, 20
# a quadratic is trusted where what it promised is gained to a factor of this; how often the box is
# then halved at once; and the relative gain that is rounding
TRUSTED, SURE, ROUNDING = 3.0, 4, 1e-13
BESIDE = 2.5  # half boxes from the largest value
LONGEST = 8.0  # half boxes, along each axis of a quadratic


def supremum(
    function: Function,
    groups: Sequence[Starts],
    half: Float,
    *,
    fold: Callable[[Float], Float],
    count: int,
    limits: float = 0.0,
) -> tuple[float, Float]:
    """sup f over the cell |theta_j| <= half_j, and where it is; f has the period 2 half_j, and is
    not negative where it matters.

    Searched is first from the `groups`, then from other points, as many as the `count` of samples
    at first. `fold` takes theta to one that stands for all with the same value; `limits` is the
    distance from 0 at which f stands for its limits along directions, if it has such: other points
    are then joined by other directions.
    """
    best, place = search(function, groups, half)
    for points in other_points(half, min(max(count, LEAST), MOST)):
        points = fold(points)
        groups = [scattered_peaks(points, function(points), half)]
        if limits:
            groups.append(largest_limit(function, points[: 8 * len(half)], limits))
        found, theta = search(function, groups, half, best)
        gained = found > best * (1 + STABLE)
        if found > best:
            best, place = found, theta
        if not gained:
            break
    return best, place


def grid_peaks(values: Float) -> npt.NDArray[np.bool_]:
    """Where no neighbour on a periodic grid is larger, flattened."""
    return np.asarray(values >= maximum_filter(values, 3, mode="wrap")).ravel()


def scattered_peaks(theta: Float, values: Float, half: Float) -> Starts:
    """The points of which no near one is larger, to search from."""
    count, dim = theta.shape
    near = KDTree(theta).query(theta, k=min(3**dim, count))[1]
    peak = values >= values[near].max(axis=1)
    return theta[peak], values[peak], half / count ** (1 / dim)


def largest_limit(function: Function, directions: Float, near: float) -> Starts:
    """The largest of the limits along directions, to search from."""
    theta = near * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    values = function(theta)
    worst = [int(values.argmax())]
    return theta[worst], values[worst], np.full(theta.shape[1], near / 4)


def other_points(half: Float, count: int) -> Iterator[Float]:
    """Points in the cell that no grid has, `count` of them first, then twice as many, ..."""
    dim, start = len(half), 1
    root = 2.0
    for _ in range(60):  # the root of x^(d+1) = x + 1, whose powers are badly approximable
        root = (1 + root) ** (1 / (dim + 1))
    steps = root ** -np.arange(1.0, dim + 1)
    for _ in range(REPEATS):
        unit = (0.5 + np.arange(start, start + count)[:, None] * steps) % 1.0
        yield half * (2 * unit - 1)
        start, count = start + count, 2 * count


def search(
    function: Function, groups: Sequence[Starts], half: Float, least: float = -np.inf
) -> tuple[float, Float]:
    """The largest of the values that `climb` reaches, and its place in the cell."""
    places, values = climb(function, groups, half, least)
    top = int(values.argmax())
    return float(values[top]), places[top]


def climb(
    function: Function,
    groups: Sequence[Starts],
    half: Float,
    least: float = -np.inf,
    wanted: float = np.inf,
    small: float = ROUNDING,
) -> tuple[Float, Float]:
    """Places in the cell, shape (n, d), and values, shape (n,), reached from the largest starts of
    each group: from those to reach the largest value of all, or all that may reach a `wanted` one;
    to where no more than a `small` relative gain is promised.

    Tried are the faces and corners of a box around each, and the maximum of the quadratic through
    them, which follows ridges. The box stays while that leads out of it, and else is halved, four
    times at once where the quadratic can be trusted. A search ends where the quadratics of two
    boxes promise nothing. It is given up where four times its latest gains would not bring it to
    the largest value, or to `least`; and where it gains nothing beside the largest value.
    """
    centres, heights, widths = _starts(groups, wanted)
    dim = centres.shape[1]
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=dim)))
    pattern = np.unique(np.concatenate([corners, np.eye(dim), -np.eye(dim)]), axis=0)

    def at(points: Float) -> tuple[Float, Float]:
        points = points - 2 * half * np.round(points / (2 * half))
        return points, function(points.reshape(-1, dim)).reshape(points.shape[:-1])

    halvings, gains = np.zeros(len(heights)), np.zeros((len(heights), 2))
    sure, going = np.zeros(len(heights), bool), np.arange(len(heights))
    for step in range(STEPS):
        centre, height, width = centres[going], heights[going], widths[going]
        row, rounding = np.arange(len(going)), small * np.abs(height)
        points, found = at(centre[:, None] + width[:, None] * pattern)
        jumps, rises = quadratic_steps(pattern, found - height[:, None])
        jumped, after = at(centre + width * jumps)
        top = found.argmax(axis=1)
        leap = after >= found[row, top]
        reached = np.maximum(found[row, top], after)
        better = reached > height + rounding
        # a gain inside the box is no reason to keep it
        moved = np.where(leap[:, None], jumps, pattern[top])
        far = better & (np.abs(moved).max(axis=1) >= 1 - 1e-9)
        trusted = (after - height > rises / TRUSTED) & (after - height < rises * TRUSTED)
        quiet = ~better & (rises <= rounding)
        ended = quiet & sure[going]
        sure[going] = quiet | (trusted & ~far)
        halved = np.where(far, 0, np.where(sure[going], SURE, 1))
        widths[going] *= 0.5 ** halved[:, None]
        halvings[going] += halved
        gains[going] = np.column_stack([gains[going, 1], np.where(better, reached - height, 0.0)])
        there = np.where(leap[:, None], jumped, points[row, top])
        centres[going] = np.where(better[:, None], there, centre)
        heights[going] = np.where(better, reached, height)
        best = int(heights.argmax())
        if not np.isfinite(heights[best]):
            break
        away = np.abs(centres[going] - centres[best])
        away = np.abs(away - 2 * half * np.round(away / (2 * half)))
        beside = (away <= BESIDE * widths[going]).all(axis=1) & (going != best)
        # the same peak, most likely: if it is a cone, all halvings would be needed to reach it
        ended |= (halvings[going] >= HALVINGS) | (beside & ~better & ~trusted)
        if step + 1 >= EARLY:
            ended |= heights[going] + 4 * gains[going].sum(axis=1) < max(
                min(heights[best], wanted), least
            )
        going = going[~ended]
        if not len(going):
            break
    return centres, heights


def _starts(groups: Sequence[Starts], wanted: float) -> Starts:
    """Of each group the largest, as many as are searched from; with a width each, shape (n, d)."""
    chosen = []
    for theta, values, width in groups:
        order = np.argsort(-values, kind="stable")[:STARTS]
        top = min(values[order[0]], wanted)
        order = order[values[order] >= top - (1 - PART) * abs(top)]
        chosen.append((theta[order], values[order], np.broadcast_to(width, theta[order].shape)))
    centres, heights, widths = (np.concatenate(part) for part in zip(*chosen))
    return centres, heights, widths


def quadratic_steps(pattern: Float, differences: Float) -> tuple[Float, Float]:
    """From the middle of each pattern, shape (p, d), to the maximum of the quadratic that fits the
    differences of its values to the middle one's, shape (n, p); upwards where it has none. Shape
    (n, d); and how much the quadratic rises there, shape (n,), without axes along which it is
    nearly straight (a gain along these shows at the faces)."""
    dim = pattern.shape[1]
    i, j = np.triu_indices(dim)
    fit = np.linalg.pinv(np.column_stack([pattern, pattern[:, i] * pattern[:, j]])) @ differences.T
    hessian = np.zeros((len(differences), dim, dim))
    hessian[:, i, j] += fit[dim:].T
    hessian[:, j, i] += fit[dim:].T
    curvature, axes = np.linalg.eigh(hessian)
    slope = np.einsum("nij,in->nj", axes, fit[:dim])
    size = np.maximum(np.abs(curvature), np.abs(slope) / LONGEST)
    along = np.divide(slope, size, out=np.zeros_like(slope), where=size > 0)
    rise = np.where(
        np.abs(slope) <= LONGEST * np.abs(curvature), slope * along + curvature * along**2 / 2, 0
    )
    return np.asarray(np.einsum("nij,nj->ni", axes, along)), np.asarray(rise.sum(axis=1))
