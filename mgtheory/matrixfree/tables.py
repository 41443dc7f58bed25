"""Interpolation and restriction along one axis as tables: for every target index a first source index and four weights.

These are the transfers of `mgtheory.transfer` (Dirichlet) in the form the kernels use. Coarse unknowns lie on the uniform grid of the
coarse size, so every size can be coarsened; sizes n = 2 m + 1 are nested, with weights (1/2, 1, 1/2) up and (1/4, 1/2, 1/4) down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ADD", "COPY", "CUBIC", "GENERAL", "KEEP", "NESTED", "SET", "ZERO", "Tables", "cubic", "linear", "restriction"]

KEEP, ZERO, ADD, SET = 0, 1, 2, 3  # where a sweep starts: x; 0; x + P e; P e
COPY, NESTED, CUBIC, GENERAL = 0, 1, 2, 3  # how a transfer acts along a row: not at all; nested, linear; nested, cubic; by its table


Indices = NDArray[np.int64]
Weights = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tables:
    """A tensor-product transfer to a grid of `shape`: target i on axis a is sum_q weights[a, q, i] source[first[a, i] + q].

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
    """Lagrange interpolation through four points (fewer where m < 4), one-sided at the boundary: any boundary values are allowed."""
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
        weights[:3] = np.array([[0.25], [0.5], [0.25]])
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


def _kind(n: int, m: int, nested: int) -> int:
    return COPY if n == m else nested if n == 2 * m + 1 else GENERAL


def linear(fine: tuple[int, ...], coarse: tuple[int, ...]) -> Tables:
    """Interpolation of corrections; axes of equal size are left alone."""
    axes = [_identity(n) if n == m else _linear(n, m) for n, m in zip(fine, coarse, strict=True)]
    return Tables.stack(axes, _kind(fine[2], coarse[2], NESTED))


def cubic(fine: tuple[int, ...], coarse: tuple[int, ...]) -> Tables:
    """Interpolation of solutions in full multigrid."""
    axes = [_identity(n) if n == m else _cubic(n, m) for n, m in zip(fine, coarse, strict=True)]
    return Tables.stack(axes, _kind(fine[2], coarse[2], CUBIC if coarse[2] >= 4 else GENERAL))


def restriction(fine: tuple[int, ...], coarse: tuple[int, ...]) -> Tables:
    """Full weighting of residuals."""
    axes = [_identity(n) if n == m else _restriction(n, m) for n, m in zip(fine, coarse, strict=True)]
    return Tables.stack(axes, _kind(fine[2], coarse[2], NESTED))
