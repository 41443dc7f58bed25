"""Operators on tensor grids as polynomials in the one-dimensional second differences K_1 .. K_d,
and how they become sparse arrays.

Every constant-coefficient model operator of this package is multi-affine in the matrices ``K_j``
(``-u''`` along axis j, three points, with 1/h_j^2 and the boundary built in): ``A = sum_S c_S
prod_{j in S} K_j``. The dictionary ``{S: c_S}``, S a tuple of axes, is the whole scheme. It gives
the matrix, its stencil and the eigenvalues: those of K_j are known, all K_j commute, and a
multi-affine function on a box is extreme in a corner, so the ends of the spectrum are exact and
cost 2^d evaluations.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.problems.grids import Boundary, Shape, mesh_width

Polynomial = Mapping[tuple[int, ...], float]
Diagonals = dict[tuple[int, ...], NDArray[Any]]
Bands = dict[int, NDArray[Any]]


def second_difference(n: int, boundary: Boundary) -> Bands:
    """K as {offset: values}, values[i] = K[i, i + offset]; entries outside the matrix are 0."""
    scale = mesh_width(n, boundary) ** -2
    diagonal, left, right = np.full(n, 2.0 * scale), np.full(n, -scale), np.full(n, -scale)
    left[0] = right[-1] = 0.0
    k = {-1: left, 0: diagonal, 1: right}
    if boundary is Boundary.NEUMANN:
        diagonal[0] -= scale
        diagonal[-1] -= scale
    elif boundary is Boundary.PERIODIC:
        for offset, row in ((n - 1, 0), (1 - n, n - 1)):
            k[offset] = k.get(offset, np.zeros(n)).copy()
            k[offset][row] -= scale
    return k


def evaluate(polynomial: Polynomial, values: Sequence[Any]) -> Any:
    """sum_S c_S prod_{j in S} values[j], with broadcasting."""
    return sum(c * math.prod(values[j] for j in axes) for axes, c in polynomial.items())


def subsets(dim: int) -> list[tuple[int, ...]]:
    """All S, the tuples of axes, from the empty one to (0, .., dim - 1)."""
    return [axes for count in range(dim + 1) for axes in itertools.combinations(range(dim), count)]


def outer_sum(
    polynomial: Polynomial, k: Sequence[NDArray[Any]], m: Sequence[NDArray[Any]]
) -> NDArray[np.float64]:
    """sum_S c_S (x)_{j in S} k_j (x)_{j not in S} m_j of one array per axis, such as taps or
    symbols."""
    total = np.zeros([line.size for line in k])
    for S, c in polynomial.items():
        lines = [(k if j in S else m)[j] for j in range(len(k))]
        total = total + c * functools.reduce(np.multiply.outer, lines)
    return total


def extremes(
    polynomial: Polynomial, boxes: Iterable[Sequence[tuple[float, float]]]
) -> tuple[float, float]:
    """Exact minimum and maximum of a multi-affine polynomial over a union of boxes: it is extreme
    in their corners."""
    values = [evaluate(polynomial, corner) for box in boxes for corner in itertools.product(*box)]
    return min(values), max(values)


def tensor_diagonals(polynomial: Polynomial, K: Sequence[Bands], M: Sequence[Bands]) -> Diagonals:
    """sum_S c_S (x)_{j in S} K_j (x)_{j not in S} M_j as {offset per axis: values on the grid
    (broadcastable)}, from K and M as {offset: values} per axis; values[x] couples x to x + offset.
    """
    dim = len(K)
    result: Diagonals = {}
    for axes, c in polynomial.items():
        for combination in itertools.product(
            *((K if j in axes else M)[j].items() for j in range(dim))
        ):
            value: NDArray[Any] = np.full((1,) * dim, float(c))
            for axis, (_, values) in enumerate(combination):
                if values.size > 1:
                    values = values.reshape([-1 if i == axis else 1 for i in range(dim)])
                value = value * values
            key = tuple(step for step, _ in combination)
            result[key] = result[key] + value if key in result else value
    return result


def diagonals_to_dia(diagonals: Diagonals, shape: Shape, dtype: Any = np.float64) -> sp.dia_array:
    """The DIA array of an operator given by `tensor_diagonals`, rows and columns in C order."""
    strides = [math.prod(shape[j + 1 :]) for j in range(len(shape))]
    size = math.prod(shape)
    flat: dict[int, NDArray[Any]] = {}
    for offset, values in diagonals.items():
        step = sum(o * s for o, s in zip(offset, strides, strict=True))
        flat[step] = flat[step] + values if step in flat else values
    offsets = sorted(flat)
    data = np.empty((len(offsets), size), dtype=dtype)
    for row, step in zip(data, offsets, strict=True):
        # SciPy stores diagonals by column: data[k, j] = A[j - offset, j]
        first, last = max(step, 0), size + min(step, 0)
        row[:first] = row[last:] = 0.0
        row[first:last] = np.broadcast_to(flat[step], shape).reshape(-1)[
            max(-step, 0) : size - max(step, 0)
        ]
    return sp.dia_array((data, offsets), shape=(size, size))


def stencil_array(polynomial: Polynomial, h: Sequence[float]) -> NDArray[np.float64]:
    """The interior stencil, shape (3,) * d, in the scaling of the polynomial (1/h^2 included)."""
    second = [np.array([-1.0, 2.0, -1.0]) / h_j**2 for h_j in h]
    return outer_sum(polynomial, second, [np.array([0.0, 1.0, 0.0])] * len(h))


def from_stencil_array(
    stencil: NDArray[Any], h: Sequence[float], *, uneven: float, rounding: float
) -> dict[tuple[int, ...], float] | None:
    """The inverse of `stencil_array`; None for a stencil that is not even along every axis.

    Taps may differ by `uneven` times the largest; coefficients whose term is below `rounding` times
    the largest tap are left out.
    """
    largest = float(np.abs(stencil).max())
    for axis, width in enumerate(h):
        before, centre, after = (stencil.take(i, axis=axis) for i in range(3))
        if np.abs(before - after).max() > uneven * largest:
            return None
        # (s_1, s_0, s_1) = (s_0 + 2 s_1) delta - h^2 s_1 K, h^2 K = (-1, 2, -1)
        stencil = np.stack([centre + 2.0 * after, -after * width**2], axis=axis)
    dim = len(h)
    found = {S: float(stencil[tuple(int(j in S) for j in range(dim))]) for S in subsets(dim)}
    size = {S: math.prod(4.0 / h[j] ** 2 for j in S) for S in found}
    return {S: c for S, c in found.items() if abs(c) * size[S] > rounding * largest}


def apply_extended(
    polynomial: Polynomial, values: NDArray[Any], h: Sequence[float]
) -> NDArray[Any]:
    """The interior stencil applied to values on the grid extended by one point on each side, (n_j +
    2) -> (n_j)."""
    return apply_array(stencil_array(polynomial, h), values)


def apply_array(stencil: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """The same for the taps themselves, shape (3,) * d."""
    shape = tuple(n - 2 for n in values.shape)
    result = np.zeros(shape)
    for position in np.argwhere(stencil):
        window = tuple(slice(p, p + n) for p, n in zip(position, shape, strict=True))
        result += stencil[tuple(position)] * values[window]
    return result
