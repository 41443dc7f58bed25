"""Constant-coefficient operators as sums of tensor products, A = sum_S c_S (x)_{j in S} K_j (x)_{j
not in S} M_j, on every level.

On the finest level K_j is the second difference and M_j the identity. A Galerkin product keeps the
form: since P and R are tensor products, R A P has the same coefficients c_S with R_j K_j P_j and
R_j M_j P_j. Coarse operators so cost a few one-dimensional products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.problems import grids, tensor
from mgtheory.problems.grids import Boundary, Shape
from mgtheory.problems.symbols import high_frequencies
from mgtheory.problems.tensor import Bands, Polynomial

ANGLES = 33  # per axis on [0, pi], with pi/2 among them


def _bands(matrix: sp.csr_array) -> Bands:
    """{offset: values} with values[i] = matrix[i, i + offset], 0 outside; one value where they are
    all equal."""
    n = matrix.shape[0]
    rows = np.repeat(np.arange(n), np.diff(matrix.indptr))
    result: Bands = {}
    for offset in np.unique(matrix.indices - rows):
        chosen = matrix.indices - rows == offset
        values = np.zeros(n)
        values[rows[chosen]] = matrix.data[chosen]
        # one number is broadcast: no array of the grid's size
        result[int(offset)] = values[:1] if np.ptp(values) == 0.0 else values
    return result


def _matrix(bands: Bands, n: int) -> sp.csr_array:
    diagonals: tensor.Diagonals = {(offset,): values for offset, values in bands.items()}
    return sp.csr_array(tensor.diagonals_to_dia(diagonals, (n,)))


def _product(R: sp.csr_array, A: sp.csr_array, P: sp.csr_array) -> sp.csr_array:
    """R A P without entries that are rounding."""
    coarse = sp.csr_array(R @ A @ P)
    size = np.abs(coarse.data)
    coarse.data[size < 1e-13 * size.max(initial=0.0)] = 0.0
    coarse.eliminate_zeros()
    coarse.sort_indices()
    return coarse


@dataclass(frozen=True, eq=False)
class TensorForm:
    """sum_S c_S (x)_{j in S} K_j (x)_{j not in S} M_j with one-dimensional sparse arrays K_j and
    M_j."""

    polynomial: Polynomial
    K: tuple[sp.csr_array, ...]
    M: tuple[sp.csr_array, ...]

    @classmethod
    def finest(cls, polynomial: Polynomial, shape: Shape, boundary: Boundary) -> TensorForm:
        """sum_S c_S prod_{j in S} K_j: second differences and identities."""
        K = tuple(_matrix(tensor.second_difference(n, boundary), n) for n in shape)
        return cls(polynomial, K, tuple(sp.eye_array(n, format="csr") for n in shape))

    @property
    def shape(self) -> Shape:
        """Unknowns per axis."""
        return tuple(int(K.shape[0]) for K in self.K)

    def galerkin(self, R: Sequence[sp.csr_array], P: Sequence[sp.csr_array]) -> TensorForm:
        """The form of R A P for tensor products R and P, given by their factors."""
        K, M = tuple(map(_product, R, self.K, P)), tuple(map(_product, R, self.M, P))
        return TensorForm(self.polynomial, K, M)

    def todia(self, dtype: Any = np.float64) -> sp.dia_array:
        """A by diagonals, unknowns in C order."""
        K, M = list(map(_bands, self.K)), list(map(_bands, self.M))
        diagonals = tensor.tensor_diagonals(self.polynomial, K, M)
        return tensor.diagonals_to_dia(diagonals, self.shape, dtype)

    def smoothing_interval(self, axes: Sequence[int]) -> tuple[float, float] | None:
        """The range of the symbol on the frequencies that are high along some axis of `axes`, on a
        grid of frequencies.

        None where the rows inside the grid are not all alike (grids that are not nested), or fewer
        than 3 points are left along an axis: there is no symbol.
        """
        lines = self._lines()
        if lines is None:
            return None
        theta = np.linspace(0.0, np.pi, ANGLES)
        k, m = (
            [np.sum([v * np.cos(o * theta) for o, v in line.items()], 0) for line in kind]
            for kind in lines
        )
        total = tensor.outer_sum(self.polynomial, k, m)
        grid = np.stack(np.meshgrid(*[theta] * len(self.K), indexing="ij"), axis=-1)
        return float(total[high_frequencies(grid, axes)].min()), float(total.max())

    def stencil(self) -> NDArray[np.float64] | None:
        """The entries of a row inside the grid by their offsets, shape (2r + 1, ..); None where the
        rows inside are not all alike."""
        lines = self._lines()
        if lines is None:
            return None
        reach = max(abs(o) for kind in lines for line in kind for o in line)
        k, m = (
            [np.array([line.get(o, 0.0) for o in range(-reach, reach + 1)]) for line in kind]
            for kind in lines
        )
        return tensor.outer_sum(self.polynomial, k, m)

    def _lines(self) -> list[list[dict[int, float]]] | None:
        """`_line` of every K_j and every M_j; None where one has none."""
        lines = [[_line(matrix) for matrix in matrices] for matrices in (self.K, self.M)]
        known = [[line for line in kind if line is not None] for kind in lines]
        return known if known == lines else None


def recognise(A: sp.csr_array, shape: Shape, boundary: Boundary) -> TensorForm | None:
    """The tensor form of a matrix whose entries are those of one stencil of 3^d points, even along
    each axis, with this boundary.

    None for any other matrix. The candidate read from a row in the middle is compared entry by
    entry.
    """
    if min(shape) < 3 or np.iscomplexobj(A.data):
        return None
    dim, middle = len(shape), tuple(n // 2 for n in shape)
    columns, values = _row(A, int(np.ravel_multi_index(middle, shape)))
    steps = np.stack(np.unravel_index(columns, shape)) - np.array(middle)[:, None] + 1
    if not columns.size or steps.min() < 0 or steps.max() > 2:
        return None
    stencil = np.zeros((3,) * dim)
    stencil[tuple(steps)] = values
    h = [grids.mesh_width(n, boundary) for n in shape]
    rounding = 20.0 * float(np.finfo(A.dtype).eps)
    polynomial = tensor.from_stencil_array(stencil, h, uneven=1e-6, rounding=rounding)
    if polynomial is None:
        return None
    form = TensorForm.finest(polynomial, shape, boundary)
    twin = sp.csr_array(form.todia(A.dtype))
    alike = np.array_equal(twin.indptr, A.indptr) and np.array_equal(twin.indices, A.indices)
    tolerance = rounding * float(np.abs(stencil).max())
    return form if alike and np.abs(twin.data - A.data).max() <= tolerance else None


def _line(matrix: sp.csr_array) -> dict[int, float] | None:
    """The entries of the middle row by their offsets, if neighbouring ones inside the grid
    agree."""
    n = matrix.shape[0]
    if n < 3:
        return None
    inside = [i for i in (n // 2, n // 2 - 1, n // 2 + 1, n // 4) if 0 < i < n - 1]
    rows = [{int(c) - i: float(v) for c, v in zip(*_row(matrix, i), strict=True)} for i in inside]
    scale = max(abs(v) for v in rows[0].values())
    for row in rows[1:]:
        if row.keys() != rows[0].keys() or any(
            abs(row[o] - v) > 1e-10 * scale for o, v in rows[0].items()
        ):
            return None
    return rows[0]


def _row(matrix: sp.csr_array, i: int) -> tuple[NDArray[Any], NDArray[Any]]:
    part = slice(int(matrix.indptr[i]), int(matrix.indptr[i + 1]))
    return matrix.indices[part], matrix.data[part]
