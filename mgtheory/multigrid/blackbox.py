"""Black-box interpolation: P from the entries of A, so that it follows coefficients that vary or
jump, on tensor grids of any size.

A coarse unknown is every second one along the coarsened axes, of vertices or of cells: entries know
no coordinates. A point that is fine along the axes F
takes the value that solves its own equation, A lumped (summed) over the offsets along all other
axes:

    sum_o c_o u(x + o) = 0,   o in {-1, 0, 1}^F,   so   u(x) = -1/c_0 sum_{o != 0} c_o u(x + o),

first the points with one axis in F, then those with two, then three. In one dimension, and for
points on a line between two coarse ones, that keeps the flux k u' continuous; where k is constant
it is linear interpolation. With R = c P^T the Galerkin product of a 3^d stencil is one again.

A reaction term adds to c_0: with it constants are no longer interpolated to themselves, although
smooth functions are what a coarse grid is for. So what c_0 has beyond -sum_{o != 0} c_o is left out
as far as it is no more than the coupling -sum_{o_j = s} c_o to the weakest side (j in F, s = +-1):
all of it where the solution changes over more than a mesh width, nearly none at a fixed value, none
beside a node beyond the grid. Dendy's codes leave out all or nothing, up to about that size.

Sources: R. E. Alcouffe, A. Brandt, J. E. Dendy, J. W. Painter, SIAM J. Sci. Stat. Comput. 2 (1981)
430-454; J. E. Dendy, Black box multigrid, J. Comput. Phys. 48 (1982) 366-386.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.multigrid.transfer import Sides, sides, sides_said
from mgtheory.problems.grids import Boundary, Ends, Shape

# the most that sum |weights| of a point may be: 1 where A has no positive couplings and no negative
# row sum, and then no value leaves those around it
LARGEST = 1.25
# the part of the points that may exceed it: few do at the corners of a jump on coarse levels, where
# linear interpolation left 0.5, and nearly all where A is far from an M-matrix
STRAY = 0.5

Offsets = dict[tuple[int, ...], NDArray[Any]]


class NoInterpolation(ValueError):
    """Why there is no black-box interpolation for a matrix on these grids."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"black-box interpolation {reason}")


def blackbox(A: sp.csr_array, fine: Shape, coarse: Shape, boundary: Sides) -> sp.csr_array:
    """P of shape (prod(fine), prod(coarse)) from a matrix with at most 3^d entries in a row, those
    of a stencil that may vary.

    An axis of equal sizes is not coarsened.

    Raises
    ------
    NoInterpolation
        Where the coarse points are not every second one, for a complex A or one that reaches
        farther than one point, and where the points' own equations give no stable values (c_0 <= 0,
        or in more than half of them weights whose moduli sum up to more than 5/4: A is far from
        an M-matrix). At fewer points, positive couplings are left out.
    """
    if np.iscomplexobj(A.data):
        raise NoInterpolation(f"needs a real A, got {A.dtype}")
    ends = sides(boundary, len(fine))
    if any(n != m != coarse_size(n, e) for n, m, e in zip(fine, coarse, ends, strict=True)):
        raise NoInterpolation(
            f"needs nested grids, got {fine} and {coarse} with {sides_said(ends)}"
        )
    entries = _entries(A, fine, ends)
    index = np.arange(math.prod(fine)).reshape(fine)
    first = [int(e.first) for e in ends]
    axes = [j for j, (n, m) in enumerate(zip(fine, coarse, strict=True)) if n != m]
    at_coarse = index[
        tuple(slice(first[j], None, 2) if j in axes else slice(None) for j in range(len(fine)))
    ].reshape(-1)
    P = sp.csr_array(
        (np.ones(at_coarse.size), (at_coarse, np.arange(at_coarse.size))),
        shape=(index.size, at_coarse.size),
    )
    for count in range(1, len(axes) + 1):
        for F in itertools.combinations(axes, count):
            places = [_places(n, j in axes, j in F, first[j]) for j, n in enumerate(fine)]
            line = _own_equation(_lumped(entries, F, ends), index, F, places)
            if line is None:
                raise NoInterpolation(
                    "finds an equation that gives no stable value: A is far from an M-matrix"
                )
            P = P + line @ P
    P = sp.csr_array(P, dtype=A.dtype)
    P.sort_indices()
    return P


def coarse_size(n: int, axis: Boundary | Ends) -> int:
    """Every second one of n points, from the second on beside a Dirichlet boundary, else from the
    first on."""
    return len(range(int(Ends.of(axis).first), n, 2))


def _places(n: int, coarsened: bool, between: bool, first: int) -> NDArray[np.intp]:
    """Positions along an axis of n points: those between coarse ones, those at coarse ones, or
    all."""
    return np.arange(n) if not coarsened else np.arange(1 - first if between else first, n, 2)


def _entries(A: sp.csr_array, shape: Shape, ends: Sequence[Ends]) -> Offsets:
    """{o: A[x, x + o] for every x, on the grid}, o in {-1, 0, 1}^d, around a periodic axis too;
    refused if A reaches farther."""
    lengths = np.diff(A.indptr)
    # the offset as a number with digits 0, 1, 2
    code: NDArray[Any] = np.zeros(A.nnz, dtype=np.int64)
    for j, n in enumerate(shape):
        line = np.broadcast_to(
            np.arange(n, dtype=np.int32).reshape([-1 if i == j else 1 for i in range(len(shape))]),
            shape,
        ).reshape(-1)
        step = line[A.indices] - np.repeat(line, lengths)
        if ends[j].around:
            step = (step + n // 2) % n - n // 2
        if step.size and max(-int(step.min()), int(step.max())) > 1:
            raise NoInterpolation(
                "needs an A that reaches one point along each axis, this one reaches farther"
            )
        code *= 3
        code += step + 1
    found = np.bincount(code, minlength=3 ** len(shape))
    code *= A.shape[0]
    code += np.repeat(np.arange(A.shape[0]), lengths)
    values = np.zeros((found.size, *shape))
    values.reshape(-1)[code] = A.data
    return {
        offset: values[k]
        for k, offset in enumerate(itertools.product((-1, 0, 1), repeat=len(shape)))
        if found[k]
    }


def _lumped(entries: Offsets, F: tuple[int, ...], ends: Sequence[Ends]) -> Offsets:
    """The entries summed over the offsets along all axes but F: {o in {-1, 0, 1}^F: values on the
    grid}.

    The coupling to a node with the value 0 that such an axis misses at its ends is taken from the
    opposite neighbour, as far as the sum of the row has it: along F nothing changes there.
    """
    result: Offsets = {}
    sums = np.sum(list(entries.values()), axis=0)
    for offset, values in entries.items():
        for j, n in enumerate(values.shape):
            beyond = ends[j].first if offset[j] > 0 else ends[j].last
            if offset[j] and j not in F and beyond == 1.0 and not ends[j].around:
                end = (slice(None),) * j + (0 if offset[j] > 0 else n - 1,)
                inner = -np.sum([v[end] for o, v in entries.items() if o[j] == offset[j]], axis=0)
                part = np.divide(sums[end], inner, out=np.zeros_like(inner), where=inner > 0.0)
                values = values.copy()
                values[end] *= 1.0 + np.clip(part, 0.0, 1.0)
        key = tuple(offset[j] for j in F)
        result[key] = result[key] + values if key in result else values
    return result


def _own_equation(
    lumped: Offsets, index: NDArray[np.intp], F: tuple[int, ...], places: list[NDArray[np.intp]]
) -> sp.csr_array | None:
    """W with u = W u at the given places: the lumped equation solved for its own point; None where
    that is not stable."""
    here = np.ix_(*places)
    centre = lumped[(0,) * len(F)][here] if (0,) * len(F) in lumped else np.zeros(1)
    if not np.min(centre) > 0.0:
        return None
    excess = np.sum([values[here] for values in lumped.values()], axis=0)
    centre = centre - np.clip(excess, 0.0, np.maximum(_weakest(lumped, here), 0.0))
    rows, columns, weights = [], [], []
    for key, on_grid in lumped.items():
        if not any(key):
            continue
        values = on_grid[here]
        steps = dict(zip(F, key, strict=True))
        # a neighbour beyond a Dirichlet boundary has the entry 0, and may stand for any point
        around = [
            (line + steps.get(j, 0)) % n
            for j, (line, n) in enumerate(zip(places, index.shape, strict=True))
        ]
        rows.append(index[here].reshape(-1))
        columns.append(index[np.ix_(*around)].reshape(-1))
        weights.append((-values / centre).reshape(-1))
    if not weights:
        return sp.csr_array((index.size, index.size))
    table = np.stack(weights)
    stray = ~(np.sum(np.abs(table), axis=0) <= LARGEST)
    if np.mean(stray) > STRAY or not np.isfinite(table).all():
        return None
    table[:, stray] = _of_one_sign(table[:, stray])
    value = table.reshape(-1)
    keep = value != 0.0
    place = np.concatenate(rows)[keep], np.concatenate(columns)[keep]
    return sp.csr_array(sp.coo_array((value[keep], place), shape=(index.size, index.size)))


def _weakest(lumped: Offsets, here: Any) -> NDArray[Any]:
    """The weakest of the couplings to each side along each axis, -sum_{o_j = s} c_o; 0 where there
    is none to a side."""
    axes = range(len(next(iter(lumped))))
    sides = [
        -np.sum([c[here] for o, c in lumped.items() if o[j] == s], axis=0)
        for j in axes
        for s in (-1, 1)
    ]
    return functools.reduce(np.minimum, sides)


def _of_one_sign(weights: NDArray[Any]) -> NDArray[Any]:
    """The weights of each column without the negative ones, their sum kept: constants stay what
    they are, and no value leaves those around it."""
    total = np.clip(np.sum(weights, axis=0), 0.0, 1.0)
    kept = np.maximum(weights, 0.0)
    sums = np.sum(kept, axis=0)
    return kept * np.divide(total, sums, out=np.zeros_like(sums), where=sums > 0.0)
