"""Interpolation and restriction between tensor grids of any shape and boundary, as products of
one-dimensional matrices.

Coarse unknowns lie on the uniform grid of the coarse size; interpolation is piecewise linear (or
cubic) *in the coordinates*. For n = 2m + 1 (Dirichlet) or n = 2m (periodic) that is the usual
nested one with weights 1, 1/2; for every other size the coarse points lie between the fine ones,
all levels keep a constant stencil, and no thin last cell appears. Restriction is the transpose
times h/H per axis, which is full weighting (1/4, 1/2, 1/4) on nested grids.

An operator of d axes is applied axis by axis (`TensorOperator`): less arithmetic than its Kronecker
product, and nothing to set up.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory._checks import check_name
from mgtheory.problems.grids import Boundary, Ends, Shape, coordinates, mesh_width


class TensorOperator:
    """T_0 x T_1 x .. (Kronecker product), applied axis by axis with ``@``.

    Parameters
    ----------
    factors
        One sparse array of shape (m_j, n_j) per axis; the whole has shape (prod m_j, prod n_j),
        unknowns in C order.
    """

    def __init__(self, factors: Sequence[sp.csr_array]) -> None:
        self.factors = tuple(sp.csr_array(factor) for factor in factors)
        self.shape = tuple(map(math.prod, zip(*(f.shape for f in self.factors), strict=True)))
        self.dtype = np.result_type(*(f.dtype for f in self.factors))

    @functools.cached_property
    def _stages(self) -> list[tuple[sp.csr_array, int]]:
        """(I x T_j, unknowns behind axis j) per axis, in the order of application."""
        rows, columns = [f.shape[0] for f in self.factors], [f.shape[1] for f in self.factors]
        # axes that shrink go from the first to the last, axes that grow backwards: large arrays
        # meet only contiguous lines
        order = range(len(rows)) if self.shape[0] <= self.shape[1] else range(len(rows) - 1, -1, -1)
        current, stages = list(columns), []
        for axis in order:
            factor = self.factors[axis]
            if (
                factor.shape[0] == factor.shape[1]
                and (factor != sp.eye_array(factor.shape[0])).nnz == 0
            ):
                continue
            before, after = math.prod(current[:axis]), math.prod(current[axis + 1 :])
            stages.append((_repeat(factor, before), after))
            current[axis] = rows[axis]
        return stages

    def __matmul__(self, x: Any) -> Any:
        if sp.issparse(x):
            return self.tocsr() @ x
        x = np.asarray(x)
        if x.shape[:1] != self.shape[1:]:
            raise ValueError(
                f"got an array of shape {x.shape}, needs ({self.shape[1]},) or ({self.shape[1]}, m)"
            )
        tail = x.shape[1:]
        for factor, after in self._stages:
            x = factor @ (
                x.reshape(-1) if after == 1 and not tail else x.reshape(factor.shape[1], -1)
            )
        return x.reshape(self.shape[0], *tail)

    @property
    def T(self) -> TensorOperator:
        """The transpose."""
        return TensorOperator([factor.T.tocsr() for factor in self.factors])

    @property
    def nnz(self) -> int:
        """Non-zeros of the Kronecker product."""
        return math.prod(int(factor.nnz) for factor in self.factors)

    def astype(self, dtype: Any) -> TensorOperator:
        """The same operator with entries of another type."""
        return TensorOperator([factor.astype(dtype) for factor in self.factors])

    def tocsr(self) -> sp.csr_array:
        """The Kronecker product as a CSR array."""
        return functools.reduce(
            lambda left, right: sp.csr_array(sp.kron(left, right, format="csr")), self.factors
        )

    def toarray(self) -> NDArray[Any]:
        """The Kronecker product as a dense array."""
        return self.tocsr().toarray()

    def __repr__(self) -> str:
        return f"TensorOperator({' x '.join(str(factor.shape) for factor in self.factors)})"


def _repeat(factor: sp.csr_array, times: int) -> sp.csr_array:
    """I_times x factor as a CSR array."""
    if times == 1:
        return factor
    (rows, columns), nnz = factor.shape, factor.nnz
    index = np.dtype(np.int32 if times * max(nnz, columns) < np.iinfo(np.int32).max else np.int64)
    block = np.arange(times, dtype=index)[:, None]
    indices = (block * np.array(columns, index) + factor.indices.astype(index)).reshape(-1)
    indptr = np.append(
        (block * np.array(nnz, index) + factor.indptr[:-1].astype(index)).reshape(-1),
        np.array(times * nnz, index),
    )
    return sp.csr_array(
        (np.tile(factor.data, times), indices, indptr), shape=(times * rows, times * columns)
    )


# of an odd N, between which the coarse intervals may be: the mesh width is then 1.8 to 2.1 times
# the fine one
LEAST, MOST = 0.48, 0.56
# what ends every axis, or the ends axis by axis
Sides = Boundary | Sequence[Ends]


def sides(boundary: Sides, dim: int) -> tuple[Ends, ...]:
    """The ends of every axis."""
    each = [boundary] * dim if isinstance(boundary, Boundary) else boundary
    return tuple(map(Ends.of, each))


def sides_said(ends: Sequence[Ends]) -> str:
    """Those in words."""
    return f"{' x '.join(dict.fromkeys(map(str, ends)))} boundaries"


def coarse_size(n: int, axis: Boundary | Ends, *, least: float = LEAST) -> int:
    """Unknowns of the next coarser grid; n itself where n < 3.

    The number of mesh intervals N is halved. Where it is odd, axes that end at nodes take that
    number between `least` N and `MOST` N with the most factors 2 (there is only one), so that the
    grids below are nested; those with a cell at an end take (n + 1)/2.
    """
    ends = Ends.of(axis)
    if n < 3:
        return n
    if not ends.at_nodes:
        return (n + 1) // 2
    intervals = int(ends.intervals(n))
    coarse = (intervals + 1) // 2
    if intervals % 2:
        nearby = range(math.ceil(least * intervals), math.floor(MOST * intervals) + 1)
        coarse = max(nearby, key=lambda m: m & -m, default=coarse)
    return coarse + 1 - int(ends.first + ends.last)


def nested(fine: Shape, coarse: Shape, boundary: Sides) -> bool:
    """Whether every second fine point is a coarse one along the axes that are coarsened."""
    lines = zip(fine, coarse, sides(boundary, len(fine)), strict=True)
    return all(
        n == m or (ends.at_nodes and ends.intervals(n) == 2 * ends.intervals(m))
        for n, m, ends in lines
    )


def _positions(n: int, m: int, axis: Boundary | Ends) -> NDArray[np.float64]:
    """Where the n fine unknowns lie, in units of the coarse index."""
    position = coordinates(n, axis) / mesh_width(m, axis) - Ends.of(axis).first
    nearest = np.round(position)
    return np.where(np.abs(position - nearest) < 1e-9 * m, nearest, position)


def _from_slots(
    rows: int, m: int, columns: Sequence[NDArray[Any]], weights: Sequence[NDArray[Any]]
) -> sp.csr_array:
    """A matrix with the given columns and weights in each row; zeros dropped, equal places added,
    columns -1 and m left out."""
    row = np.tile(np.arange(rows), len(columns))
    column, weight = np.concatenate(columns), np.concatenate(weights)
    keep = (column >= 0) & (column < m) & (weight != 0.0)
    matrix = sp.csr_array(sp.coo_array((weight[keep], (row[keep], column[keep])), shape=(rows, m)))
    matrix.sum_duplicates()
    return matrix


def linear(n: int, m: int, axis: Boundary | Ends) -> sp.csr_array:
    """Piecewise linear interpolation from m to n unknowns, shape (n, m): 0 at the node beyond a
    Dirichlet boundary, even at a Neumann boundary, odd at a face with the value 0."""
    ends, position = Ends.of(axis), _positions(n, m, axis)
    left = np.floor(position).astype(int)
    columns, weights = [left, left + 1], [left + 1.0 - position, position - left]
    if ends.around:
        return _from_slots(n, m, [c % m for c in columns], weights)
    low, high = -int(ends.first), m - 1 + int(ends.last)
    signs = [
        np.where((c < low) & ends.odd[0] | (c > high) & ends.odd[1], -1.0, 1.0) for c in columns
    ]
    weights = [weight * sign for weight, sign in zip(weights, signs, strict=True)]
    return _from_slots(n, m, [np.clip(c, low, high) for c in columns], weights)


def lagrange(n: int, m: int, axis: Boundary | Ends, *, points: int) -> sp.csr_array:
    """Lagrange interpolation in the nearest `points` unknowns (an even number), shape (n, m): exact
    for polynomials of degree points - 1.

    One-sided at a boundary, so that it holds for any boundary values; of lower degree where m <
    points. For the solution itself in full multigrid, not for corrections.
    """
    around = Ends.of(axis).around
    first, weights = lagrange_weights(_positions(n, m, axis), m, points, inside=not around)
    return _from_slots(n, m, [(first + i) % m for i in range(len(weights))], [*weights])


def lagrange_weights(
    position: NDArray[np.float64], m: int, points: int, *, inside: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The first of the nearest `points` unknowns (at most m) to each of n positions, `inside` 0 ..
    m - 1, and the weights of those from there on, shape (points, n)."""
    nodes = np.arange(min(points, m))
    first = np.floor(position).astype(np.int64) + 1 - nodes.size // 2
    if inside:
        first = first.clip(0, m - nodes.size)
    # prod over j != i of (position - j) / (i - j), with 1 for j = i
    apart = nodes[:, None] - nodes
    apart[nodes, nodes] = 1
    ratios = (position - (first + nodes[:, None])) / apart[..., None]
    ratios[nodes, nodes] = 1.0
    return first, ratios.prod(axis=1)


cubic = functools.partial(lagrange, points=4)
quintic = functools.partial(lagrange, points=6)


def injection(n: int, m: int, axis: Boundary | Ends) -> sp.csr_array:
    """The fine value at each coarse point, shape (m, n); nested grids only."""
    at_points = sp.csr_array(linear(n, m, axis).T)
    at_points.data[at_points.data < 1.0 - 1e-12] = 0.0
    at_points.eliminate_zeros()
    if at_points.nnz != m:
        raise ValueError(
            f"injection and half weighting need nested grids, got {n} and {m} unknowns with"
            f" {sides_said([Ends.of(axis)])}"
        )
    return at_points


Line = Callable[[int, int, Any], sp.csr_array]
INTERPOLATIONS: dict[str, Line] = {
    "linear": linear,
    "cubic": cubic,
    "quintic": quintic,
}


def interpolation(
    fine: Shape, coarse: Shape, boundary: Sides, *, kind: str = "linear"
) -> TensorOperator:
    """P of shape (prod(fine), prod(coarse)); an axis of equal sizes is left alone.

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    line = INTERPOLATIONS[check_name(kind, list(INTERPOLATIONS), "interpolation")]
    return _along_axes(fine, coarse, boundary, line)


def _along_axes(fine: Shape, coarse: Shape, boundary: Sides, line: Line) -> TensorOperator:
    """The line along every axis, made once for axes that are alike; the identity for n = m."""
    axes = list(zip(fine, coarse, sides(boundary, len(fine)), strict=True))
    made = {
        (n, m, ends): sp.eye_array(n, format="csr") if n == m else line(n, m, ends)
        for n, m, ends in set(axes)
    }
    return TensorOperator([made[axis] for axis in axes])


def embedding(shape: Shape, part: Sequence[slice]) -> TensorOperator:
    """E of shape (prod(shape), size of the part): values on a part of the grid, 0 around it."""
    return TensorOperator(
        [
            sp.eye_array(n, line.stop - line.start, k=-line.start, format="csr")
            for n, line in zip(shape, part, strict=True)
        ]
    )


def weight(fine: Shape, coarse: Shape, boundary: Sides) -> float:
    """prod_j h_j/H_j: with it P^T restricts a constant to itself."""
    lines = zip(fine, coarse, sides(boundary, len(fine)), strict=True)
    return math.prod(_ratio(*line) for line in lines)


def _ratio(n: int, m: int, axis: Boundary | Ends) -> float:
    return mesh_width(n, axis) / mesh_width(m, axis)


def full_weighting(n: int, m: int, axis: Boundary | Ends) -> sp.csr_array:
    """(h/H) P^T of linear interpolation, shape (m, n)."""
    return sp.csr_array(linear(n, m, axis).T) * _ratio(n, m, axis)


RESTRICTIONS = ("full", "half", "injection")


def restriction(fine: Shape, coarse: Shape, boundary: Sides, *, kind: str = "full") -> Any:
    """R of shape (prod(coarse), prod(fine)), scaled so that a constant stays itself: full
    weighting, injection, or half weighting, with 1/2 at the coarse point and 1/(4d) at its 2d
    neighbours, d the number of coarsened axes.

    Raises
    ------
    ValueError
        For an unknown kind, or half weighting and injection on grids that are not nested.
    """
    full = check_name(kind, RESTRICTIONS, "restriction") == "full"
    along = _along_axes(fine, coarse, boundary, full_weighting if full else injection)
    if kind != "half":
        return along
    weighting = _along_axes(fine, coarse, boundary, full_weighting).factors
    terms = [
        TensorOperator([*along.factors[:j], weighting[j], *along.factors[j + 1 :]]).tocsr()
        for j, (n, m) in enumerate(zip(fine, coarse, strict=True))
        if n != m
    ]
    return sp.csr_array(functools.reduce(lambda left, right: left + right, terms) / len(terms))
