"""Finite volumes for -div(k grad u) with a variable coefficient: faces, diagonals, boundaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import on_grid
from mgtheory.problems.grids import Boundary, Shape, mesh, mesh_width
from mgtheory.problems.tensor import Diagonals


def face_coefficients(
    k: Callable[..., NDArray[Any]], shape: Shape, boundary: Boundary, *, average: str
) -> list[NDArray[np.float64]]:
    """Averaged k on the faces over h^2, one array per axis with one face more than unknowns along
    it; 0 on a Neumann boundary.

    k > 0 is called with one coordinate array per axis (broadcastable), at the unknowns and, for
    Dirichlet, at the boundary points. `average` is ``"harmonic"`` 2 k1 k2/(k1 + k2), the exact flux
    for k constant in each cell, or ``"arithmetic"`` (k1 + k2)/2.
    """
    x = mesh(shape, boundary, extended=boundary is Boundary.DIRICHLET)
    values = on_grid(k, x, [line.size for line in x], "the coefficient")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(
            f"the coefficient ranges from {values.min():g} to {values.max():g} on the grid, must be"
            " positive and finite"
        )
    if boundary is not Boundary.DIRICHLET:
        values = np.pad(values, 1, mode="wrap" if boundary is Boundary.PERIODIC else "edge")
    faces = []
    for axis, n in enumerate(shape):
        one = values[_window(axis, slice(0, -1), len(shape))]
        two = values[_window(axis, slice(1, None), len(shape))]
        scale, face = 1.0 / mesh_width(n, boundary) ** 2, one + two
        if average == "harmonic":
            face = np.divide(one, face, out=face)  # a product of both may leave the range
            face *= two
            scale *= 4.0
        face *= 0.5 * scale
        if boundary is Boundary.NEUMANN:
            face[_window(axis, slice(None, None, n), len(shape), slice(None))] = 0.0
        faces.append(face)
    return faces


def _window(axis: int, chosen: slice, dim: int, others: slice = slice(1, -1)) -> tuple[slice, ...]:
    return tuple(chosen if j == axis else others for j in range(dim))


def variable_diagonals(
    given: Sequence[NDArray[np.float64]], shape: Shape, boundary: Boundary
) -> Diagonals:
    """-div(k grad u) by finite volumes, the flux through a face being one of the
    `face_coefficients` given times the difference of u, as {offset per axis: values on the grid}
    like `tensor_diagonals`.
    """
    dim, whole = len(shape), slice(None)
    result: Diagonals = {(0,) * dim: np.zeros(shape)}
    for axis, faces in enumerate(given):
        n, index = shape[axis], np.indices(shape, sparse=True)[axis]
        before = faces[_window(axis, slice(0, -1), dim, whole)]
        after = faces[_window(axis, slice(1, None), dim, whole)]
        result[(0,) * dim] += before + after
        for side, face, at_edge in ((-1, before, index == 0), (1, after, index == n - 1)):
            parts = {side: np.where(at_edge, 0.0, -face)}
            if boundary is Boundary.PERIODIC:
                parts[side * (1 - n)] = np.where(at_edge, -face, 0.0)
            for step, part in parts.items():
                offset = tuple(step if j == axis else 0 for j in range(dim))
                result[offset] = result[offset] + part if offset in result else part
    return result


def variable_boundary(
    k: Callable[..., NDArray[Any]], shell: NDArray[Any], *, average: str
) -> NDArray[Any]:
    """-div(k grad u) applied to Dirichlet boundary values alone: `shell` is 0 inside, shape (n_j +
    2); the result has shape (n_j)."""
    shape = tuple(n - 2 for n in shell.shape)
    dim, whole = len(shape), slice(None)
    result = np.zeros(shape)
    for axis, faces in enumerate(face_coefficients(k, shape, Boundary.DIRICHLET, average=average)):
        for face, outside in ((slice(0, -1), slice(0, -2)), (slice(1, None), slice(2, None))):
            values = shell[_window(axis, outside, dim)]
            result -= faces[_window(axis, face, dim, whole)] * values
    return result
