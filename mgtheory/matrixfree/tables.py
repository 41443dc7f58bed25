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

from mgtheory.multigrid.transfer import coarse_size, lagrange_weights
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

Grid = tuple[int, int, int]  # planes, rows, columns
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


@functools.lru_cache(maxsize=CACHED)
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
    weights = np.zeros((4, n))
    first, weights[: min(4, m)] = lagrange_weights(_positions(n, m), m, 4)
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


def _tables(
    make: Callable[[int, int], tuple[Indices, Weights]], nested: int, fine: Grid, coarse: Grid
) -> Tables:
    """The tables made for every axis, once for axes of equal sizes, in one array each; the identity
    on those left alone. A nested last axis is done as `nested` says."""
    pairs = list(zip(fine, coarse, strict=True))
    made = {(n, m): _identity(n) if n == m else make(n, m) for n, m in set(pairs)}
    largest = max(first.size for first, _ in made.values())
    first, weights = np.zeros((3, largest), dtype=np.int64), np.zeros((3, 4, largest))
    for a, (i, w) in enumerate(made[pair] for pair in pairs):
        first[a, : i.size], weights[a, :, : i.size] = i, w
    n, m = pairs[2]
    return Tables(first, weights, COPY if n == m else nested if n == 2 * m + 1 else GENERAL)


@functools.lru_cache(maxsize=CACHED)
def linear(fine: Grid, coarse: Grid) -> Tables:
    """Interpolation of corrections; axes of equal size are left alone."""
    return _tables(_linear, NESTED, fine, coarse)


@functools.lru_cache(maxsize=CACHED)
def cubic(fine: Grid, coarse: Grid) -> Tables:
    """Interpolation of solutions in full multigrid."""
    return _tables(_cubic, CUBIC if coarse[2] >= 4 else GENERAL, fine, coarse)


@functools.lru_cache(maxsize=CACHED)
def restriction(fine: Grid, coarse: Grid) -> Tables:
    """Full weighting of residuals."""
    return _tables(_restriction, NESTED, fine, coarse)


def in_float32(tables: Tables) -> Tables:
    """The same in float32."""
    return tables._replace(weights=tables.weights.astype(np.float32))


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
def bands(fine: Grid, coarse: Grid) -> Weights | None:
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
            result[:, axis, :, :EDGE] = small[:, :, :EDGE]
            result[:, axis, :, m - EDGE : m] = small[:, :, -EDGE:]
    return result
