"""Operators on tensor grids as polynomials in the one-dimensional second differences K_1 .. K_d,
and how they become sparse arrays.

Every constant-coefficient model operator of this package is multi-affine in the matrices ``K_j``
(``-u''`` along axis j, three points, with 1/h_j^2 and the boundary built in): ``A = sum_S c_S
prod_{j in S} K_j``. The dictionary ``{S: c_S}``, S a tuple of axes, is the whole scheme. It gives
the matrix, the h = 1 stencil and the eigenvalues: those of K_j are known, all K_j commute, and a
multi-affine function on a box is extreme in a corner, so the ends of the spectrum are exact and
cost 2^d evaluations.

Grids on the unit interval with n unknowns:

=========  =====================  =========  ====================================
===================================== boundary   unknowns at            h          K at the ends
eigenvalues of K =========  =====================  =========  ====================================
===================================== dirichlet  (i + 1) h              1/(n + 1)  u = 0 outside
4/h^2 sin^2(pi k/(2n + 2)), k = 1..n neumann    (i + 1/2) h (cells)    1/n        even reflection at
the boundary       4/h^2 sin^2(pi k/(2n)), k = 0..n-1 periodic   i h                    1/n
wraps                                 4/h^2 sin^2(pi k/n), k = 0..n-1 =========
=====================  =========  ====================================
=====================================
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        raise ValueError(
            f"unknown boundary {boundary!r}, known are: {', '.join(Boundary)}"
        ) from None


def check_shape(shape: int | Sequence[int], boundary: Boundary) -> Shape:
    """The shape as a tuple of 1 to 3 whole numbers, each at least 1 (Dirichlet) or 2 (Neumann,
    periodic)."""
    given: tuple[Any, ...] = (
        tuple(shape)
        if isinstance(shape, Sequence | np.ndarray) and np.ndim(shape) == 1
        else (shape,)
    )
    least = 1 if boundary is Boundary.DIRICHLET else 2
    whole = all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= least for n in given
    )
    if not (1 <= len(given) <= 3 and whole):
        raise ValueError(
            f"shape is {shape!r}, allowed are 1 to 3 whole numbers, each at least {least} with"
            f" {boundary} boundaries"
        )
    return tuple(int(n) for n in given)


def mesh_width(n: int, boundary: Boundary) -> float:
    """The mesh width h of n unknowns on the unit interval."""
    return 1.0 / (n + 1) if boundary is Boundary.DIRICHLET else 1.0 / n


def coordinates(n: int, boundary: Boundary, *, extended: bool = False) -> NDArray[np.float64]:
    """Positions of the unknowns in (0, 1), shape (n,); `extended` adds one neighbour on each side,
    shape (n + 2,)."""
    first = {Boundary.DIRICHLET: 1.0, Boundary.NEUMANN: 0.5, Boundary.PERIODIC: 0.0}[boundary]
    i = np.arange(-1, n + 1) if extended else np.arange(n)
    return (i + first) * np.float64(mesh_width(n, boundary))


def eigenvalue(k: float | NDArray[Any], n: int, boundary: Boundary) -> Any:
    """Eigenvalue k of K, increasing in k: k = 1..n (Dirichlet), 0..n-1 (Neumann), 0..n//2
    (periodic, most of them double)."""
    turns = {
        Boundary.DIRICHLET: 2.0 * (n + 1),
        Boundary.NEUMANN: 2.0 * n,
        Boundary.PERIODIC: float(n),
    }[boundary]
    return 4.0 / mesh_width(n, boundary) ** 2 * np.sin(np.pi * k / turns) ** 2


def eigenvalue_range(n: int, boundary: Boundary) -> tuple[float, float]:
    """The smallest and the largest eigenvalue of K."""
    first, last = {
        Boundary.DIRICHLET: (1, n),
        Boundary.NEUMANN: (0, n - 1),
        Boundary.PERIODIC: (0, n // 2),
    }[boundary]
    return float(eigenvalue(first, n, boundary)), float(eigenvalue(last, n, boundary))
