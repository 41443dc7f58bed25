"""Phases of the couplings of A: of a magnetic field (Peierls), of a gauge, of a boundary that is
periodic but for a factor (Bloch), which of a real A is a sign (antiperiodic).

Where a_xy = -|a_xy| e^(i phi_xy), a_yx its conjugate, beside a positive diagonal, A is smallest on
functions that follow the phases: v(x) = e^(i phi_xy) v(y) for neighbours x and y along an axis, and
v(x) = U(x, y) v(y) for others, U the product of these factors along the axes, one after the other.
What is interpolated from a coarse unknown at y to x is multiplied by U(x, y), and what is
restricted by its conjugate. Along an axis whose couplings are positive, as of stretched elements,
the sign is no phase: of both readings that is taken by which A makes less of what is smoothest.
Where the phases around every mesh cancel, A = G^* S G with a diagonal G of modulus 1 and a real S,
whose cycle it is.

Source: parallel transport on a lattice, K. G. Wilson, Phys. Rev. D 10 (1974) 2445-2459.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.multigrid.scales import alike
from mgtheory.problems.grids import Ends, Shape, coordinates, mesh_width
from mgtheory.spectra.bounds import entries
from mgtheory.spectra.symmetry import (
    EXACT,
    ROUNDED,
    added_along_trees,
    is_symmetric,
    row_maxima,
    turned,
)

Indices = NDArray[np.intp]
# of the coupling to the next line, of three: less between opposite ends, and of the other sign, is
# that of a stencil of far reach
AROUND = 0.2


def joined(opposite: sp.csr_array, beside: sp.csr_array, n: int) -> bool:
    """Whether couplings of an end of n unknowns to the opposite one go around the axis, beside
    those to the next line: also weak ones, as of a coefficient that jumps at the seam."""
    far = n == 3 and (opposite.sum() * np.conj(beside.sum())).real <= 0.0
    return bool(abs(opposite).sum() > (AROUND if far else EXACT) * abs(beside).sum())


@dataclass(frozen=True, eq=False)
class Phases:
    """The angles phi from each point to the next along each axis, shape (d, *grid): of the last one
    to the first, which counts where an axis is `around`."""

    steps: NDArray[np.float64]
    around: tuple[bool, ...]

    @classmethod
    def of(cls, A: sp.csr_array, shape: Shape) -> Phases | None:
        """Those of A; None for one of which no complex multiple is Hermitian, and where couplings
        are real, but for signs at the ends of an axis."""
        A = turned(A)
        if not np.iscomplexobj(A.data):
            return cls._of_signs(A, shape)
        off = sp.csr_array(A - sp.diags_array(A.diagonal()))
        off.eliminate_zeros()
        if not off.nnz:
            return None
        # rows that fix a value, to which others may still couple
        alone = sp.diags_array(1.0 * (np.diff(off.indptr) == 0))
        off = sp.csr_array(off + alone @ off.conj().T)
        # each coupling beside the largest of its unknowns, whose scales may vary
        largest = row_maxima(off)
        unit = np.where(largest > 0.0, largest, 1.0) ** -0.5
        off = alike(off, unit)
        if np.abs(off.data.imag).max() <= ROUNDED:
            return cls._of_signs(A, shape)
        if not is_symmetric(off):
            return None
        balanced = alike(A, unit)
        steps, around, coupled = np.zeros((len(shape), *shape)), [], []
        for j, n in enumerate(shape):
            step = np.eye(len(shape), dtype=int)[j]
            seam = entries(off, shape, (1 - n) * step) * (n > 2)
            found = entries(off, shape, step) + seam
            coupled.append(np.abs(found) > ROUNDED)
            steps[j] = np.where(coupled[j], np.angle(-found), 0.0)
            around.append(bool(seam.any()))

        def stretched(axes: Sequence[bool]) -> Phases:
            """With the couplings along these axes taken for positive ones, as of elements that are
            stretched."""
            half = np.pi * np.asarray(axes).reshape(-1, *len(shape) * [1]) * np.asarray(coupled)
            return cls(steps + half, tuple(around))

        def energy(one: Phases) -> float:
            return float(one.without(balanced).sum())

        found = min(map(stretched, itertools.product((False, True), repeat=len(shape))), key=energy)
        return found._across(np.asarray(coupled))

    def _across(self, coupled: NDArray[np.bool_]) -> Phases:
        """With angles also where a point is not coupled to the next, as at a hole: those of any
        other way around it, if there is one and the phases around every mesh cancel."""
        lines = [
            np.moveaxis(one, j, 0)[: None if self.around[j] else -1]
            for j, one in enumerate(coupled)
        ]
        if all(line.all() for line in lines):
            return self
        places = np.arange(coupled[0].size).reshape(self.shape)
        next_ = np.array([np.roll(places, -1, axis=j) for j in range(len(coupled))])
        x, y = np.broadcast_to(places, coupled.shape)[coupled], next_[coupled]
        graph = sp.csr_array((np.ones(x.size), (x, y)), shape=(places.size, places.size))
        angles = np.angle(self.smoothest(sp.csr_array(graph + graph.T))).reshape(self.shape)
        between = angles - angles.reshape(-1)[next_]
        return Phases(np.where(coupled, self.steps, between), self.around)

    @classmethod
    def _of_signs(cls, A: sp.csr_array, shape: Shape) -> Phases | None:
        """Those of real couplings, where some go around an axis with another sign than along it."""
        steps, around, places = np.zeros((len(shape), *shape)), [], np.arange(A.shape[0])
        for j, n in enumerate(shape):
            lines = np.moveaxis(places.reshape(shape), j, 0).reshape(n, -1)
            # couplings around the axis each way, and those along it
            ways = (((-1, 0), (-2, -1)), ((0, -1), (1, 0))) if n > 3 else ()
            pairs = [[A[lines[x]][:, lines[y]].real for x, y in way] for way in ways]
            around.append(n > 3 and all(joined(over, along, n) for over, along in pairs))
            if around[j] and all(over.sum() * along.sum() < 0.0 for over, along in pairs):
                np.moveaxis(steps[j], j, 0)[-1] = np.pi
        return cls(steps, tuple(around)) if steps.any() else None

    @property
    def shape(self) -> Shape:
        """The grid."""
        return self.steps.shape[1:]

    def between(self, x: Indices, y: Indices) -> NDArray[Any]:
        """U(x, y) for points x and y of equal number, by their places in C order; of real type
        where all phases are signs."""
        here, there = (list(np.unravel_index(places, self.shape)) for places in (x, y))
        angle = np.zeros(len(x))
        for j, n in enumerate(self.shape):
            from_first = np.cumsum(self.steps[j], axis=j) - self.steps[j]
            start, here[j] = tuple(here), there[j]
            angle += from_first[tuple(here)] - from_first[start]
            if self.around[j]:
                apart = there[j] - start[j]
                turns = (2 * apart < -n).astype(int) - (2 * apart > n)
                angle += (
                    turns
                    * self.steps[j].sum(axis=j, keepdims=True)[
                        tuple(0 if i == j else places for i, places in enumerate(here))
                    ]
                )
        return self._turned(angle)

    def _turned(self, angle: NDArray[np.float64]) -> NDArray[Any]:
        """e^(i angle), of real type where all phases are signs."""
        return np.exp(1j * angle) if (self.steps % np.pi).any() else np.cos(angle)

    def smoothest(self, A: sp.csr_array) -> NDArray[Any]:
        """A function of modulus 1 that follows the phases from unknown to unknown along a tree of
        A's couplings, shape (n,): what A makes of it, and of it on each part that no coupling joins
        to others, is what the real A without phases makes of constants, where the phases around
        every mesh cancel."""
        return self._turned(added_along_trees(A, lambda x, y: np.angle(self.between(x, y))))

    def without(self, A: sp.csr_array) -> sp.csr_array:
        """The real matrix of the a_xy conj(U(x, y)), A as `turned` has it."""
        x, y = sp.coo_array(A).coords
        return sp.csr_array(
            ((A.tocoo().data * self.between(x, y).conj()).real, (x, y)), shape=A.shape
        )

    def followed(self, P: Any, coarse: Indices) -> sp.csr_array:
        """An interpolation from coarse unknowns at some points that follows the phases."""
        whole = sp.coo_array(P.tocsr())
        x, X = whole.coords
        values = whole.data * self.between(x, coarse[X])
        return sp.csr_array((values, (x, X)), shape=whole.shape)

    def on(self, coarse: Indices, shape: Shape) -> Phases:
        """Those of a coarser grid, whose unknowns lie at some points."""
        places = coarse.reshape(shape)
        steps = [
            self.between(coarse, np.roll(places, -1, axis=j).reshape(-1)) for j in range(len(shape))
        ]
        angles = np.asarray(np.angle(steps), dtype=np.float64)
        return Phases(angles.reshape(-1, *shape), self.around)


def nearest_points(fine: Shape, coarse: Shape, ends: Sequence[Ends]) -> Indices:
    """The fine point at, or next to, each unknown of a uniform coarse grid, in C order."""
    lines = [
        np.rint(coordinates(m, e) / mesh_width(n, e) - e.first).astype(int).clip(0, n - 1)
        for n, m, e in zip(fine, coarse, ends, strict=True)
    ]
    grid = np.meshgrid(*lines, indexing="ij")
    return np.ravel_multi_index(tuple(grid), fine).reshape(math.prod(coarse))
