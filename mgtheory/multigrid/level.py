"""One level of a hierarchy: its matrix in the storage it is applied in, its couplings, and the
interval a smoother needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.problems.grids import Shape
from mgtheory.problems.record import matrix_interval
from mgtheory.spectra.bounds import quick_ritz
from mgtheory.spectra.record import Form, OperatorRecord

if TYPE_CHECKING:
    from mgtheory.multigrid.applied import Smoothing


MAX_DIAGONALS = 27
# a matrix is stored by diagonals if that stores at most this many numbers per non-zero
STORED = 1.5


@dataclass(eq=False, repr=False)
class Level:
    """One grid: A, the way to the next coarser grid (P, R) and the smoothings.

    Attributes
    ----------
    index
        0 is the finest.
    A
        Sparse CSR array, shape (n, n).
    exact, operator
        The same matrix in the storage in which it is applied fastest: in A's type for residuals,
        and in the type of the cycle.
    P, R
        Interpolation (n, m) from and restriction (m, n) to the next coarser level; None on the
        coarsest.
    interpolation
        Interpolation of the solution in full multigrid, (n, m).
    shape, axes
        Unknowns per axis, and the axes that are coarsened from here.
    pre, post, pre_count, post_count
        Smoothings before and after the coarse-grid correction, and how many of each.
    interval
        High-frequency part of the spectrum of A, where the problem gives it exactly; None where it
        is estimated.
    """

    index: int
    A: sp.csr_array
    shape: Shape
    exact: Any
    operator: Any
    axes: tuple[int, ...] = ()
    interval: tuple[float, float] | None = None
    P: Any = None
    R: Any = None
    interpolation: Any = None
    pre: Smoothing | None = None
    post: Smoothing | None = None
    pre_count: int = 0
    post_count: int = 0
    reference: Level | None = None
    form: Form | None = None
    problem: Any = None

    @property
    def finest(self) -> Level:
        """Level 0."""
        return self if self.reference is None else self.reference

    @property
    def size(self) -> int:
        """Unknowns."""
        return int(self.A.shape[0])

    @property
    def cycle_matrix(self) -> sp.csr_array:
        """A as a CSR array in the type of the cycle."""
        return self.A if self.A.dtype == self.operator.dtype else self.A.astype(self.operator.dtype)

    def inverse_diagonal(self, scaling: str) -> NDArray[Any] | None:
        """B: None for the identity, or 1/diag(A), shape (n,). "auto" takes the diagonal where it
        varies by more than 1e-6 of its largest.

        Raises
        ------
        ValueError
            If the diagonal is wanted and has a zero.
        """
        if scaling == "identity":
            return None
        diagonal = self.operator.diagonal()
        if scaling == "auto" and np.ptp(np.abs(diagonal)) <= 1e-6 * np.max(np.abs(diagonal)):
            return None
        if not np.all(diagonal):
            raise ValueError(
                f"level {self.index}: the diagonal of A has {np.sum(diagonal == 0)} zeros, this"
                " smoother divides by it"
            )
        return 1.0 / diagonal

    def smoothing_interval(self, B: NDArray[Any] | None = None) -> tuple[float, float]:
        """[a, b] for smoothing BA: exact where the problem gives it, else b bounds the spectrum and
        a = b min_j s_j/(2 sum_j s_j).

        The s_j are the couplings along the axes, the minimum is over the coarsened ones; equal
        couplings give a = b/(2d).
        """
        if B is None and self.interval is not None:
            a, b = self.interval
            return (a if a < b else b / 2.0), b  # a multiple of the identity has one eigenvalue
        return matrix_interval(self.A, self.shape, self.axes, B)

    def record(self, B: NDArray[Any] | None = None) -> OperatorRecord:
        """The record of this level's BA; B is None for the identity, else the inverse diagonal."""
        a, b = self.smoothing_interval(B)
        return OperatorRecord(
            "problem" if self.problem is not None else "matrix",
            f"level {self.index}, {' x '.join(map(str, self.shape))}",
            b,
            max(a, 0.0),
            scaling="identity" if B is None else "diagonal",
            axes=self.axes or None,
            grid=self.shape,
            found="the level's matrix",
            form=self.form,
            source=self.problem
            if self.problem is not None and self.index == 0
            else self.A
            if B is None
            else sp.csr_array(sp.diags_array(B) @ self.A),
        )

    def reached(self, B: NDArray[Any] | None = None) -> float | None:
        """A value up to which the spectrum of BA surely reaches: the exact end, or a Ritz value;
        None where BA is not Hermitian."""
        if B is None and self.interval is not None:
            return self.interval[1]
        found = quick_ritz(self.A, B)
        return None if found is None else found.largest


def diagonal_storage(A: sp.csr_array) -> Any:
    """A as the faster of SciPy's storages for products: by diagonals where it has few of them and
    they are full, else A itself.

    On 5 diagonals and a million unknowns a product by diagonals takes 0.6 of the time of a CSR one,
    in float32 0.3.
    """
    n = A.shape[0]
    rows = np.unique(np.linspace(0, n - 1, 9).astype(int))
    offsets = sorted(
        {int(c) - int(i) for i in rows for c in A.indices[A.indptr[i] : A.indptr[i + 1]]}
    )
    if 0 < len(offsets) <= MAX_DIAGONALS and len(offsets) * n <= STORED * A.nnz + 64:
        data = np.zeros((len(offsets), n), dtype=A.dtype)
        for row, k in zip(data, offsets, strict=True):
            row[max(k, 0) : n + min(k, 0)] = A.diagonal(k)
        if np.count_nonzero(data) == np.count_nonzero(A.data):
            return sp.dia_array((data, offsets), shape=A.shape)
    return A
