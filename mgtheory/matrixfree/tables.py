"""Interpolation and restriction along one axis as tables: for every target index a first source
index and four weights.

These are the transfers of `mgtheory.multigrid.transfer` (Dirichlet) in the form the kernels use.
Coarse unknowns lie on the uniform grid of the coarse size, so every size can be coarsened
(`coarse_points`); sizes n = 2 m + 1 are nested, with weights (1/2, 1, 1/2) up and (1/4, 1/2, 1/4)
down.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mgtheory.multigrid.transfer import coarse_size
from mgtheory.problems.grids import Boundary
from mgtheory.problems.transfers import FULL_WEIGHTING

KEEP, ZERO, ADD, SET = 0, 1, 2, 3  # where a sweep starts: x; 0; x + P e; P e
# how a transfer acts along a row: not at all; nested, linear; nested, cubic; by its table
COPY, NESTED, CUBIC, GENERAL = 0, 1, 2, 3
# tables kept for the next set-up of the same sizes, as FFT libraries keep their plans; about 30 n
# doubles each
CACHED = 64
# off-diagonals of `bands` on either side; rows at either end that may differ from the others
REACH, EDGE = 3, 4


Indices = NDArray[np.int64]
Weights = NDArray[np.float64]


class Tables(NamedTuple):
    """A tensor-product transfer to a grid of `shape`: target i on axis a is sum_q weights[a, q, i]
    source[first[a, i] + q].

    Attributes
    ----------
    first
        Shape (3, n), n the largest target size; padded with zeros.
    weights
        Shape (3, 4, n), likewise.
    kind
        How the last axis is done: COPY, NESTED, CUBIC or GENERAL.
    """

    first: Indices
    weights: Weights
    kind: int

    @classmethod
    def stack(cls, axes: list[tuple[Indices, Weights]], kind: int) -> Tables:
        """The tables of three axes in one array each."""
        n = [first.size for first, _ in axes]
        first, weights = np.zeros((3, max(n)), dtype=np.int64), np.zeros((3, 4, max(n)))
        for a, (i, w) in enumerate(axes):
            first[a, : n[a]], weights[a, :, : n[a]] = i, w
        return cls(first, weights, kind)


def coarse_points(n: int) -> int:
    """Unknowns of the next coarser axis: as everywhere, but none with the hat of a coarse point
    over five fine ones, as where H > 2 h."""
    m = coarse_size(n, Boundary.DIRICHLET)
    # over m + 1: where the coarse points and the boundary lie, in units of h
    ends = np.arange(m + 2) * (n + 1)
    within = -(-ends[2:] // (m + 1)) - ends[:-2] // (m + 1) - 1
    return m if within.max(initial=0) <= 4 else coarse_size(n, Boundary.DIRICHLET, least=0.5)


def _positions(n: int, m: int) -> Weights:
    """Where the n fine unknowns lie, in units of the coarse index."""
    if n == 2 * m + 1:
        return 0.5 * np.arange(n, dtype=np.float64) - 0.5
    return np.arange(1, n + 1, dtype=np.float64) * ((m + 1) / (n + 1)) - 1.0


def _identity(n: int) -> tuple[Indices, Weights]:
    weights = np.zeros((4, n))
    weights[0] = 1.0
    return np.arange(n), weights


def _linear(n: int, m: int) -> tuple[Indices, Weights]:
    """Piecewise linear interpolation from m to n > m points, 0 at the boundary."""
    position = _positions(n, m)
    left = np.floor(position).astype(np.int64)
    weights = np.zeros((4, n))
    weights[1] = position - left
    weights[0] = 1.0 - weights[1]
    weights[1, left == m - 1] = 0.0
    outside = left < 0
    weights[0, outside], weights[1, outside] = weights[1, outside], 0.0
    return np.maximum(left, 0), weights


def _cubic(n: int, m: int) -> tuple[Indices, Weights]:
    """Lagrange interpolation through four points (fewer where m < 4), one-sided at the boundary:
    any boundary values are allowed."""
    position = _positions(n, m)
    count = min(4, m)
    first = np.clip(np.floor(position).astype(np.int64) - 1, 0, m - count)
    local = position - first
    weights = np.zeros((4, n))
    for i in range(count):
        weights[i] = 1.0
        for j in range(count):
            if j != i:
                weights[i] *= (local - j) / (i - j)
    return first, weights


def _restriction(n: int, m: int) -> tuple[Indices, Weights]:
    """(h/H) times the transpose of `_linear`: at most four fine points for each coarse one."""
    if n == 2 * m + 1:
        weights = np.zeros((4, m))
        weights[:3] = np.array(FULL_WEIGHTING)[:, None]
        return 2 * np.arange(m), weights
    first, up = _linear(n, m)
    fine, slot = np.nonzero(up[:2].T)
    coarse = first[fine] + slot
    order = np.argsort(coarse, kind="stable")
    fine, coarse, value = fine[order], coarse[order], up[slot[order], fine[order]]
    start = fine[np.searchsorted(coarse, np.arange(m))].astype(np.int64)
    weights = np.zeros((4, m))
    weights[fine - start[coarse], coarse] = value * ((m + 1) / (n + 1))
    return start, weights


@functools.cache
def _small(make: Callable[[int, int], tuple[Indices, Weights]], m: int) -> tuple[Indices, Weights]:
    return make(2 * m + 1, m)


def _representative(n: int, small: int, period: int) -> Indices:
    """For n rows of a table that repeats itself away from its ends: the row of a table of `small`
    rows, odd, that is the same."""
    edge = small // 2 // period * period
    rows = np.arange(n)
    rows[edge : n - edge] = edge + rows[: n - 2 * edge] % period
    rows[n - edge :] += small - n
    return rows


def _nested(
    make: Callable[[int, int], tuple[Indices, Weights]], n: int, m: int, up: bool
) -> tuple[Indices, Weights]:
    """make(n, m), where n = 2 m + 1 from the tables for few points: all rows but those at the ends
    are shifts of one another."""
    if n != 2 * m + 1 or m <= 2 * EDGE + 1:
        return make(n, m)
    first, weights = _small(make, 2 * EDGE + 1)
    size = n if up else m
    rows = _representative(size, first.size, 2 if up else 1)
    shift = np.arange(size) - rows
    return first[rows] + (shift // 2 if up else 2 * shift), weights[:, rows]


def _kind(n: int, m: int, nested: int) -> int:
    return COPY if n == m else nested if n == 2 * m + 1 else GENERAL


def _axes(
    make: Callable[[int, int], tuple[Indices, Weights]],
    fine: tuple[int, ...],
    coarse: tuple[int, ...],
    up: bool,
) -> list[tuple[Indices, Weights]]:
    """One table per axis; axes of equal sizes share it, axes left alone have the identity."""
    pairs = list(zip(fine, coarse, strict=True))
    made = {(n, m): _identity(n) if n == m else _nested(make, n, m, up) for n, m in set(pairs)}
    return [made[pair] for pair in pairs]


@functools.lru_cache(maxsize=CACHED)
def linear(fine: tuple[int, ...], coarse: tuple[int, ...]) -> Tables:
    """Interpolation of corrections; axes of equal size are left alone."""
    return Tables.stack(_axes(_linear, fine, coarse, True), _kind(fine[2], coarse[2], NESTED))


@functools.lru_cache(maxsize=CACHED)
def cubic(fine: tuple[int, ...], coarse: tuple[int, ...]) -> Tables:
    """Interpolation of solutions in full multigrid."""
    return Tables.stack(
        _axes(_cubic, fine, coarse, True),
        _kind(fine[2], coarse[2], CUBIC if coarse[2] >= 4 else GENERAL),
    )


@functools.lru_cache(maxsize=CACHED)
def restriction(fine: tuple[int, ...], coarse: tuple[int, ...]) -> Tables:
    """Full weighting of residuals."""
    return Tables.stack(_axes(_restriction, fine, coarse, False), _kind(fine[2], coarse[2], NESTED))


@functools.cache
def _small_bands(m: int) -> Weights:
    """The bands of one axis of 2 m + 1 and m points, (2, 2 REACH + 1, m): P cubic, R full
    weighting, E the sum of the two neighbours."""
    n = 2 * m + 1
    P, R = np.zeros((n, m + 4)), np.zeros((m, n + 4))
    for dense, (first, weights) in ((P, _cubic(n, m)), (R, _restriction(n, m))):
        for q in range(4):
            dense[np.arange(first.size), first + q] += weights[q]
    P, R = P[:, :m], R[:, :n]
    products = np.stack([R @ P, R @ (np.eye(n, k=1) + np.eye(n, k=-1)) @ P])
    padded = np.pad(products, ((0, 0), (0, 0), (REACH, REACH)))
    return np.stack(
        [padded[:, np.arange(m), np.arange(m) + o] for o in range(2 * REACH + 1)], axis=1
    )


@functools.lru_cache(maxsize=CACHED)
def bands(fine: tuple[int, ...], coarse: tuple[int, ...]) -> Weights | None:
    """M_0 = R P and M_1 = R E P of each axis as bands: [i, axis, o, j] is the entry (j, j + o -
    REACH) of M_i on that axis.

    Their rows but `EDGE` at either end are all the same, so a matrix of 2 EDGE + 1 rows has them
    all. None where an axis is neither nested nor left alone.
    """
    if any(n not in (m, 2 * m + 1) for n, m in zip(fine, coarse, strict=True)):
        return None
    result = np.zeros((2, 3, 2 * REACH + 1, max(coarse)))
    for axis, (n, m) in enumerate(zip(fine, coarse, strict=True)):
        if n == m:
            result[0, axis, REACH, :m] = 1.0
            result[1, axis, REACH + 1, : m - 1] = result[1, axis, REACH - 1, 1:m] = 1.0
        elif m <= 2 * EDGE + 1:
            result[:, axis, :, :m] = _small_bands(m)
        else:
            small = _small_bands(2 * EDGE + 1)
            result[:, axis, :, EDGE : m - EDGE] = small[:, :, EDGE, None]
            result[:, axis, :, :EDGE], result[:, axis, :, m - EDGE : m] = (
                small[:, :, :EDGE],
                small[:, :, -EDGE:],
            )
    return result
