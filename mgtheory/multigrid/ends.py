"""What a bare matrix has at the ends of its grid's axes, and where these ends lie.

A node at a free end has half of a control volume, or of an element, inside the grid: in the
symmetric form of A its line has half the couplings along itself that the next line has. A cell at a
free end is a whole one. In one dimension the two are one matrix, and are taken for cells. A cell at
a face with the value 0 is coupled to that face twice as strongly as to its neighbours: it is half
as far away.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.multigrid.level import Level
from mgtheory.multigrid.phases import joined
from mgtheory.problems.grids import Boundary, Ends, Shape
from mgtheory.spectra.bounds import entries, fixed_values

SHORT = 3  # unknowns along an axis from which on its ends say something
EVEN = 1e-6  # by which a part entries that are rounded may differ
# where such ends are, in mesh widths
BEYOND = {"free": 0.5, "robin": 0.5, "face": 0.5, "zero": 1.0}
# such ends by what the sums of their rows have of the coupling from the next line: with the part s
# values fall to 0 1/s mesh widths outwards
PARTS = {"robin": (0.05, 0.65), "zero": (0.65, 1.5), "face": (1.5, np.inf)}
# the boundary that such ends fit best, the first of them that there are
FITTING = {"free": Boundary.NEUMANN, "around": Boundary.PERIODIC, "robin": Boundary.NEUMANN}
HALF = 0.35, 0.71  # parts that are nearer to 1/2 than to 1/4 or to 1

Kinds = dict[tuple[int, int], str]


def kinds_of_ends(A: sp.csr_array, shape: Shape) -> Kinds:
    """What A has at each end of each axis, by (axis, 0 or -1): ``around``, a coupling to the
    opposite end; ``free``, rows that sum to what those beside them do; ``zero``, rows that lack the
    coupling that those beside them have; ``face``, where they lack twice as much or more;
    ``robin``, where less than 0.65 of it; or ``other``, as where some rows fix the values.

    An axis of two unknowns, or along which A does not couple, has no entry.
    """
    places, fixed = np.arange(A.shape[0]).reshape(shape), fixed_values(A)
    found = {}
    for j, n in enumerate(shape):
        if n < SHORT:
            continue
        lines = np.moveaxis(places, j, 0).reshape(n, -1)
        for end, inside in ((0, 1), (-1, -2)):
            border, beside = A[lines[end]], A[lines[inside]]
            around = joined(border[:, lines[-1 - end]], border[:, lines[inside]], n)
            if around and n > 3:
                found[j, end] = "around"
                continue
            if fixed[lines[end]].mean() > 0.5:
                found[j, end] = "other"
                continue
            outward = -beside[:, lines[end]].sum(axis=1)
            lacking = border.sum(axis=1) - beside.sum(axis=1)
            size = np.abs(outward)
            known = size > 1e-8 * abs(beside).sum(axis=1)
            if 2 * np.count_nonzero(known) < known.size:
                continue
            part = lacking[known] / outward[known]
            if np.mean(np.abs(part) <= 0.05) > 0.25:
                found[j, end] = "around" if around else "free"
            elif around:  # three unknowns of one node, no periodic axis
                found.pop((j, 0), None)
                break
            else:
                size = float(np.median(part.real))
                named = (kind for kind, (low, high) in PARTS.items() if low < size <= high)
                found[j, end] = next(named, "other")
    return found


def inside_of_fixed_lines(A: sp.csr_array, shape: Shape) -> tuple[slice, ...]:
    """The part of the grid, axis by axis, without the lines at its ends of which every row fixes
    a value: those are the nodes beyond the ends of the others' grid, if there are others."""
    fixed, inside = fixed_values(A).reshape(shape), []
    for j, n in enumerate(shape):
        free = np.flatnonzero(~fixed.all(axis=tuple(i for i in range(len(shape)) if i != j)))
        inside.append(slice(free[0], free[-1] + 1) if free.size else slice(0, n))
    return tuple(inside)


def fitting_boundary(kinds: Kinds) -> Boundary:
    """The boundary that none of these ends contradicts."""
    found = set(kinds.values())
    for kind, boundary in FITTING.items():
        if kind in found:
            return boundary
    return Boundary.DIRICHLET


def ends_of_axes(level: Level, kinds: Kinds) -> tuple[Ends, ...]:
    """Where the axes of level 0 end; as its boundary has it where A does not say so."""
    known = Ends.of(level.boundary)
    free = 1.0 if level.boundary is Boundary.DIRICHLET else 0.5
    found = []
    for j in range(len(level.shape)):
        both = [kinds.get((j, end)) for end in (0, -1)]
        if None in both:
            found.append(known)
        elif both == ["around"] * 2:
            found.append(Ends.of(Boundary.PERIODIC))
        else:
            nodes = [_halved(level, j, end) for end in (0, -1)]
            sides = list(zip(nodes, both, strict=True))
            first, last = (0.0 if node else BEYOND.get(str(kind), free) for node, kind in sides)
            odd = [kind == "face" or (node and kind == "zero") for node, kind in sides]
            found.append(Ends(first, last, odd=(odd[0], odd[1])))
    return tuple(found)


def _halved(level: Level, axis: int, end: int) -> bool:
    """Whether the couplings along an end are half of those along the line beside it, as far as they
    do not change so inside."""
    S, n = level.in_phase, level.shape[axis]
    places = np.moveaxis(np.arange(level.size).reshape(level.shape), axis, 0).reshape(n, -1)
    lines = places[:: -1 if end else 1]
    sizes = [_along(S, lines[k]) for k in (0, 1, min(2, n - 2))]  # of three the last is an end too
    known = np.all([size > 0.0 for size in sizes], axis=0)
    if 2 * np.count_nonzero(known) < known.size:
        return False
    one, two, three = (size[known] for size in sizes)
    return HALF[0] < float(np.median(one * three / two**2)) < HALF[1]


def _along(S: sp.csr_array, line: NDArray[np.intp]) -> NDArray[np.float64]:
    """sum_j |s_ij| over the other unknowns j of a line, for each of its unknowns i."""
    inside = abs(sp.csr_array(S[line][:, line]))
    return np.asarray(inside.sum(axis=1)).ravel() - inside.diagonal()


def stencil_inside(A: sp.csr_array, shape: Shape) -> NDArray[np.float64] | None:
    """The entries of a row of A by their offsets, shape (3, ..), where all rows that have all
    neighbours are alike, and even about their centre; else None."""
    places = np.arange(A.shape[0]).reshape(shape)[inside_of_fixed_lines(A, shape)]
    if places.shape != shape:
        A, shape = sp.csr_array(A[places.ravel()][:, places.ravel()]), places.shape
    if min(shape) < 3 or np.iscomplexobj(A.data):
        return None
    middle, inside = tuple(n // 2 for n in shape), (slice(1, -1),) * len(shape)
    taps, left = np.zeros((3,) * len(shape)), np.diff(A.indptr).reshape(shape)[inside].sum()
    for place in np.ndindex(taps.shape):
        values = entries(A, shape, [i - 1 for i in place])
        taps[place] = values[middle]
        left -= np.count_nonzero(values[inside])
        if np.ptp(values[inside]) > EVEN * np.abs(values).max():
            return None
    even = np.abs(taps - np.flip(taps)).max() <= EVEN * np.abs(taps).max()
    return taps if even and not left else None
