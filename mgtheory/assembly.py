"""Operators on tensor grids as polynomials in the one-dimensional second differences K_1 .. K_d, and how they become sparse arrays.

Every constant-coefficient model operator of this package is multi-affine in the matrices ``K_j`` (``-u''`` along axis j, three points,
with 1/h_j^2 and the boundary built in): ``A = sum_S c_S prod_{j in S} K_j``. The dictionary ``{S: c_S}``, S a tuple of axes, is the whole
scheme. It gives the matrix, the h = 1 stencil and the eigenvalues: those of K_j are known, all K_j commute, and a multi-affine function
on a box is extreme in a corner, so the ends of the spectrum are exact and cost 2^d evaluations.

Grids on the unit interval with n unknowns:

=========  =====================  =========  ====================================  =====================================
boundary   unknowns at            h          K at the ends                         eigenvalues of K
=========  =====================  =========  ====================================  =====================================
dirichlet  (i + 1) h              1/(n + 1)  u = 0 outside                         4/h^2 sin^2(pi k/(2n + 2)), k = 1..n
neumann    (i + 1/2) h (cells)    1/n        even reflection at the boundary       4/h^2 sin^2(pi k/(2n)), k = 0..n-1
periodic   i h                    1/n        wraps                                 4/h^2 sin^2(pi k/n), k = 0..n-1
=========  =====================  =========  ====================================  =====================================
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.checks import on_grid

Polynomial = Mapping[tuple[int, ...], float]
Diagonals = dict[tuple[int, ...], NDArray[Any]]
Bands = dict[int, NDArray[Any]]
Shape = tuple[int, ...]


class Boundary(StrEnum):
    """What holds at both ends of every axis."""

    DIRICHLET = "dirichlet"
    NEUMANN = "neumann"
    PERIODIC = "periodic"


def check_boundary(boundary: str) -> Boundary:
    """The boundary by its name, or a ValueError that lists the known ones."""
    try:
        return Boundary(boundary)
    except ValueError:
        raise ValueError(f"unknown boundary {boundary!r}, known are: {', '.join(Boundary)}") from None


def check_shape(shape: int | Sequence[int], boundary: Boundary) -> Shape:
    """The shape as a tuple of 1 to 3 whole numbers, each at least 1 (Dirichlet) or 2 (Neumann, periodic)."""
    given: tuple[Any, ...] = tuple(shape) if isinstance(shape, Sequence | np.ndarray) and np.ndim(shape) == 1 else (shape,)
    least = 1 if boundary is Boundary.DIRICHLET else 2
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= least for n in given)
    if not (1 <= len(given) <= 3 and whole):
        raise ValueError(f"shape is {shape!r}, allowed are 1 to 3 whole numbers, each at least {least} with {boundary} boundaries")
    return tuple(int(n) for n in given)


def mesh_width(n: int, boundary: Boundary) -> float:
    """The mesh width h of n unknowns on the unit interval."""
    return 1.0 / (n + 1) if boundary is Boundary.DIRICHLET else 1.0 / n


def coordinates(n: int, boundary: Boundary, *, extended: bool = False) -> NDArray[np.float64]:
    """Positions of the unknowns in (0, 1), shape (n,); `extended` adds one neighbour on each side, shape (n + 2,)."""
    first = {Boundary.DIRICHLET: 1.0, Boundary.NEUMANN: 0.5, Boundary.PERIODIC: 0.0}[boundary]
    i = np.arange(-1, n + 1) if extended else np.arange(n)
    return (i + first) * np.float64(mesh_width(n, boundary))


def eigenvalue(k: float | NDArray[Any], n: int, boundary: Boundary) -> Any:
    """Eigenvalue k of K, increasing in k: k = 1..n (Dirichlet), 0..n-1 (Neumann), 0..n//2 (periodic, most of them double)."""
    turns = {Boundary.DIRICHLET: 2.0 * (n + 1), Boundary.NEUMANN: 2.0 * n, Boundary.PERIODIC: float(n)}[boundary]
    return 4.0 / mesh_width(n, boundary) ** 2 * np.sin(np.pi * k / turns) ** 2


def eigenvalue_range(n: int, boundary: Boundary) -> tuple[float, float]:
    """The smallest and the largest eigenvalue of K."""
    first, last = {Boundary.DIRICHLET: (1, n), Boundary.NEUMANN: (0, n - 1), Boundary.PERIODIC: (0, n // 2)}[boundary]
    return float(eigenvalue(first, n, boundary)), float(eigenvalue(last, n, boundary))


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
    return sum((c * math.prod((values[j] for j in axes), start=1.0) for axes, c in polynomial.items()), start=0.0)


def extremes(polynomial: Polynomial, boxes: Iterable[Sequence[tuple[float, float]]]) -> tuple[float, float]:
    """Exact minimum and maximum of a multi-affine polynomial over a union of boxes: it is extreme in their corners."""
    values = [evaluate(polynomial, corner) for box in boxes for corner in itertools.product(*box)]
    return min(values), max(values)


def tensor_diagonals(polynomial: Polynomial, K: Sequence[Bands], M: Sequence[Bands]) -> Diagonals:
    """sum_S c_S (x)_{j in S} K_j (x)_{j not in S} M_j as {offset per axis: values on the grid (broadcastable)}.

    values[x] couples x to x + offset; K and M are {offset: values} per axis, as from `second_difference`.
    """
    dim = len(K)
    result: Diagonals = {}
    for axes, c in polynomial.items():
        for combination in itertools.product(*((K if j in axes else M)[j].items() for j in range(dim))):
            value: NDArray[Any] = np.full((1,) * dim, float(c))
            for axis, (_, values) in enumerate(combination):
                if values.size > 1:
                    values = values.reshape([-1 if i == axis else 1 for i in range(dim)])
                value = value * values
            key = tuple(step for step, _ in combination)
            result[key] = result[key] + value if key in result else value
    return result


IDENTITY: Bands = {0: np.ones(1)}


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
        row[first:last] = np.broadcast_to(flat[step], shape).reshape(-1)[max(-step, 0) : size - max(step, 0)]
    return sp.dia_array((data, offsets), shape=(size, size))


def assemble(polynomial: Polynomial, shape: Shape, boundary: Boundary) -> sp.csr_array:
    """sum_S c_S prod_{j in S} K_j as a CSR array, shape (prod(shape), prod(shape)), unknowns in C order."""
    K = [second_difference(n, boundary) for n in shape]
    return sp.csr_array(diagonals_to_dia(tensor_diagonals(polynomial, K, [IDENTITY] * len(shape)), shape))


def stencil_array(polynomial: Polynomial, h: Sequence[float]) -> NDArray[np.float64]:
    """The interior stencil, shape (3,) * d, in the scaling of the polynomial (1/h^2 included)."""
    dim = len(h)
    stencil = np.zeros((3,) * dim)
    for axes, c in polynomial.items():
        term = np.full((1,) * dim, c)
        for j in range(dim):
            line = np.array([-1.0, 2.0, -1.0]) / h[j] ** 2 if j in axes else np.array([0.0, 1.0, 0.0])
            term = term * line.reshape([-1 if i == j else 1 for i in range(dim)])
        stencil += term
    return stencil


def apply_extended(polynomial: Polynomial, values: NDArray[Any], h: Sequence[float]) -> NDArray[Any]:
    """The interior stencil applied to values on the grid extended by one point on each side, (n_j + 2) -> (n_j)."""
    stencil = stencil_array(polynomial, h)
    shape = tuple(n - 2 for n in values.shape)
    result = np.zeros(shape)
    for position in np.argwhere(stencil):
        window = tuple(slice(p, p + n) for p, n in zip(position, shape, strict=True))
        result += stencil[tuple(position)] * values[window]
    return result


def face_coefficients(k: Callable[..., NDArray[Any]], shape: Shape, boundary: Boundary, *, average: str) -> list[NDArray[np.float64]]:
    """Averaged k on the faces over h^2, one array per axis with one face more than unknowns along it; 0 on a Neumann boundary.

    Parameters
    ----------
    k
        Coefficient, called with one coordinate array per axis (broadcastable), positive; it is evaluated at the unknowns and, for
        Dirichlet, at the boundary points.
    average
        ``"harmonic"`` 2 k1 k2/(k1 + k2), the exact flux for k constant in each cell, or ``"arithmetic"`` (k1 + k2)/2.

    Raises
    ------
    ValueError
        If k is not positive and finite somewhere.
    """
    points = [coordinates(n, boundary, extended=boundary is Boundary.DIRICHLET) for n in shape]
    values = on_grid(k, np.meshgrid(*points, indexing="ij", sparse=True), [p.size for p in points], "the coefficient")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"the coefficient ranges from {values.min():g} to {values.max():g} on the grid, must be positive and finite")
    if boundary is not Boundary.DIRICHLET:
        values = np.pad(values, 1, mode="wrap" if boundary is Boundary.PERIODIC else "edge")
    faces = []
    for axis, n in enumerate(shape):
        one, two = values[_window(axis, slice(0, -1), len(shape))], values[_window(axis, slice(1, None), len(shape))]
        face = (2.0 * one * two / (one + two) if average == "harmonic" else 0.5 * (one + two)) / mesh_width(n, boundary) ** 2
        if boundary is Boundary.NEUMANN:
            face[_window(axis, slice(None, None, n), len(shape), slice(None))] = 0.0
        faces.append(face)
    return faces


def _window(axis: int, chosen: slice, dim: int, others: slice = slice(1, -1)) -> tuple[slice, ...]:
    return tuple(chosen if j == axis else others for j in range(dim))


def variable_diagonals(k: Callable[..., NDArray[Any]], shape: Shape, boundary: Boundary, *, average: str) -> Diagonals:
    """-div(k grad u) by finite volumes: the flux through a face is `face_coefficients` times the difference of u.

    The result is {offset per axis: values on the grid} as from `tensor_diagonals`; parameters as in `face_coefficients`.
    """
    dim, whole = len(shape), slice(None)
    result: Diagonals = {(0,) * dim: np.zeros(shape)}
    for axis, (n, faces) in enumerate(zip(shape, face_coefficients(k, shape, boundary, average=average), strict=True)):
        before, after = faces[_window(axis, slice(0, -1), dim, whole)], faces[_window(axis, slice(1, None), dim, whole)]
        result[(0,) * dim] += before + after
        for side, face, edge, wrap in ((-1, before, slice(0, 1), n - 1), (1, after, slice(n - 1, n), 1 - n)):
            at_edge = _window(axis, edge, dim, whole)
            inside, around = -face, np.zeros(shape)
            around[at_edge] = inside[at_edge]
            inside[at_edge] = 0.0
            parts = [(side, inside), (wrap, around)] if boundary is Boundary.PERIODIC else [(side, inside)]
            for step, part in parts:
                offset = tuple(step if j == axis else 0 for j in range(dim))
                result[offset] = result[offset] + part if offset in result else part
    return result


def variable_boundary(k: Callable[..., NDArray[Any]], shell: NDArray[Any], *, average: str) -> NDArray[Any]:
    """-div(k grad u) applied to Dirichlet boundary values alone: `shell` is 0 inside, shape (n_j + 2); the result has shape (n_j)."""
    shape = tuple(n - 2 for n in shell.shape)
    dim, whole = len(shape), slice(None)
    result = np.zeros(shape)
    for axis, faces in enumerate(face_coefficients(k, shape, Boundary.DIRICHLET, average=average)):
        result -= faces[_window(axis, slice(0, -1), dim, whole)] * shell[_window(axis, slice(0, -2), dim)]
        result -= faces[_window(axis, slice(1, None), dim, whole)] * shell[_window(axis, slice(2, None), dim)]
    return result
