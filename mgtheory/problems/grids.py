"""Grids on the unit interval with n unknowns per axis, their boundaries, and the second difference
K = -d^2/dx^2 on them.

=========  ==================  =========  ========================  ============================
boundary   unknowns at         h          K at the ends             eigenvalues of K
=========  ==================  =========  ========================  ============================
dirichlet  (i + 1) h           1/(n + 1)  u = 0 outside             4/h^2 sin^2(pi k/(2n + 2)),
                                                                    k = 1..n
neumann    (i + 1/2) h, cells  1/n        even reflection at the    4/h^2 sin^2(pi k/(2n)),
                                          boundary                  k = 0..n-1
periodic   i h                 1/n        wraps                     4/h^2 sin^2(pi k/n),
                                                                    k = 0..n-1
=========  ==================  =========  ========================  ============================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory import _checks
from mgtheory._checks import check_axes, check_name

Shape = tuple[int, ...]


class Boundary(StrEnum):
    """What holds at both ends of every axis."""

    DIRICHLET = "dirichlet"
    NEUMANN = "neumann"
    PERIODIC = "periodic"


@dataclass(frozen=True)
class Ends:
    """Where an axis ends, in mesh widths from its `first` and its `last` unknown outwards: 1 where
    the next node has the value 0, 1/2 beside a cell, 0 where the unknown lies at the end itself;
    `around` where the first unknown follows the last; `odd` where the face of the first or of the
    last cell has the value 0: beyond a face values are even, beyond such a one odd. A node at the
    end is `odd` where values fall to 0 not far beyond it, which counts where it is taken for a
    cell."""

    first: float
    last: float
    around: bool = False
    odd: tuple[bool, bool] = (False, False)

    @classmethod
    def of(cls, axis: Boundary | Ends) -> Ends:
        """Those of an axis with this boundary at both ends."""
        return _ENDS[axis] if isinstance(axis, Boundary) else axis

    def intervals(self, n: int) -> float:
        """Mesh widths from end to end with n unknowns."""
        return n - 1 + self.first + self.last

    def __str__(self) -> str:
        known = [str(boundary) for boundary, ends in _ENDS.items() if ends == self]
        names = {0.0: "free-node", 0.5: "cell", 1.0: "zero-node"}
        both = zip((self.first, self.last), self.odd, strict=True)
        return (*known, "/".join("zero-face" if odd and end else names[end] for end, odd in both))[
            0
        ]

    def paired(self, n: int) -> Ends:
        """Those that n unknowns are coarsened with: an odd number of intervals between free nodes
        has no half, but as many cells as nodes have."""
        free = self.first == self.last == 0.0
        return replace(_ENDS[Boundary.NEUMANN], odd=self.odd) if free and n % 2 == 0 else self

    @property
    def at_nodes(self) -> bool:
        """Whether both ends are nodes, unknown or not."""
        return not (self.first % 1 or self.last % 1)


_ENDS = {
    Boundary.DIRICHLET: Ends(1.0, 1.0),
    Boundary.NEUMANN: Ends(0.5, 0.5),
    Boundary.PERIODIC: Ends(0.0, 1.0, around=True),
}


def check_boundary(boundary: str) -> Boundary:
    """The boundary by its name, or a ValueError that lists the known ones."""
    return Boundary(check_name(boundary, list(Boundary), "boundary"))


def least_points(boundary: Boundary) -> int:
    """The fewest unknowns along an axis: 1 (Dirichlet) or 2 (Neumann, periodic)."""
    return 1 if boundary is Boundary.DIRICHLET else 2


def check_points(n: Any, boundary: Boundary, name: str = "n") -> int:
    """Unknowns per axis, a whole number of at least `least_points`; errors call it `name`."""
    least = least_points(boundary)
    if not _checks.is_whole(n) or n < least:
        raise ValueError(
            f"{name} is {n!r}, allowed are whole numbers, each at least {least} with {boundary}"
            " boundaries"
        )
    return int(n)


def check_shape(shape: int | Sequence[int], boundary: Boundary) -> Shape:
    """The shape as a tuple of 1 to 3 whole numbers, each at least `least_points`."""
    least = least_points(boundary)
    try:
        sizes = _checks.check_shape(shape, "shape")
    except ValueError:
        sizes = ()
    if not (1 <= len(sizes) <= 3 and min(sizes) >= least):
        raise ValueError(
            f"shape is {shape!r}, allowed are 1 to 3 whole numbers, each at least {least} with"
            f" {boundary} boundaries"
        )
    return sizes


def mesh_width(n: int, boundary: Boundary | Ends) -> float:
    """The mesh width h of n unknowns on the unit interval."""
    return 1.0 / Ends.of(boundary).intervals(n)


def coordinates(
    n: int, boundary: Boundary | Ends, *, extended: bool = False
) -> NDArray[np.float64]:
    """Positions of the unknowns in (0, 1), shape (n,); `extended` adds one neighbour on each side,
    shape (n + 2,)."""
    first = Ends.of(boundary).first
    i = np.arange(-1, n + 1) if extended else np.arange(n)
    return (i + first) * np.float64(mesh_width(n, boundary))


def mesh(
    shape: Shape, boundary: Boundary, *, extended: bool = False
) -> tuple[NDArray[np.float64], ...]:
    """`coordinates` along every axis as sparse arrays that broadcast to the grid."""
    points = (coordinates(n, boundary, extended=extended) for n in shape)
    return np.meshgrid(*points, indexing="ij", sparse=True)


def eigenvalue(k: float | NDArray[Any], n: int, boundary: Boundary) -> Any:
    """Eigenvalue k of K, increasing in k: k = 1..n (Dirichlet), 0..n-1 (Neumann), 0..n//2
    (periodic, most of them double)."""
    h = mesh_width(n, boundary)
    period = 1.0 if boundary is Boundary.PERIODIC else 2.0
    return 4.0 / h**2 * np.sin(np.pi * k * h / period) ** 2


def eigenvalue_range(n: int, boundary: Boundary) -> tuple[float, float]:
    """The smallest and the largest eigenvalue of K."""
    first = 1 if boundary is Boundary.DIRICHLET else 0
    last = n // 2 if boundary is Boundary.PERIODIC else first + n - 1
    return float(eigenvalue(first, n, boundary)), float(eigenvalue(last, n, boundary))


STRONG = 0.5  # an axis is coarsened where its coupling is at least this part of the strongest one


def choose_axes(
    couplings: Sequence[float], shape: Sequence[int] | None, axes: Sequence[int] | str
) -> tuple[int, ...]:
    """The axes to coarsen: the strongly coupled ones (``auto``), ``all``, or the given numbers.

    An axis of fewer than 3 unknowns has no coarse grid, so that its coupling sets no measure;
    `shape` is None for an infinite grid.
    """
    dim = len(couplings)
    if isinstance(axes, str) and axes == "all":
        return tuple(range(dim))
    if not isinstance(axes, str) or axes != "auto":
        return check_axes(axes, dim, names="auto, all, or ")
    sizes = (3,) * dim if shape is None else shape
    largest = max((s for s, n in zip(couplings, sizes, strict=True) if n >= 3), default=0.0)
    return tuple(j for j, s in enumerate(couplings) if s >= STRONG * largest)
