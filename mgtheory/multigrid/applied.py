"""What a smoother becomes on a level: a linear map r -> c that also hands on the residual it
leaves; Gauss-Seidel and diagonal ones.

A smoothing is set up once on a matrix and applied many times. An object of your own derives from
`Smoothing` and writes `correct`; the rest has defaults.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from numpy.typing import NDArray

__all__ = ["ColourSmoothing", "DiagonalSmoothing", "Smoothing", "TriangularSmoothing"]

Vector = NDArray[Any]


class Smoothing(ABC):
    """A smoother set up on a matrix A: r -> c, linear, the same every time."""

    # with A (or of its cost) in `correct_with_residual`; `correct` costs one less
    products: float = 1.0
    label: str = "user"

    def __init__(self, A: Any) -> None:
        self.A = A

    @abstractmethod
    def correct(self, r: Vector) -> Vector:
        """The correction c for the residual r; r is left as it is and c is a new array."""

    def correct_with_residual(self, r: Vector) -> tuple[Vector, Vector]:
        """The correction c and what is left, s = r - A c."""
        c = self.correct(r)
        s = self.A @ c
        np.subtract(r, s, out=s)
        return c, s

    def adjoint(self) -> Smoothing:
        """The smoothing whose map is the adjoint of this one; needed for symmetric cycles."""
        raise NotImplementedError(f"{self.label}: this smoothing has no adjoint")


class DiagonalSmoothing(Smoothing):
    """c = d * r with a fixed diagonal d."""

    def __init__(self, A: Any, diagonal: Vector, label: str) -> None:
        super().__init__(A)
        self.diagonal, self.label = diagonal, label

    def correct(self, r: Vector) -> Vector:
        """The correction for the residual r."""
        return self.diagonal * r

    def adjoint(self) -> Smoothing:
        """The adjoint: conjugate values, or the opposite order."""
        return DiagonalSmoothing(self.A, np.conj(self.diagonal), self.label)


class TriangularSmoothing(Smoothing):
    """c = (D - L)^-1 r, or (D - U)^-1 r backward: lexicographic Gauss-Seidel, by SciPy's triangular
    factor object."""

    def __init__(self, A: Any, backward: bool) -> None:
        super().__init__(A)
        self.backward = backward
        self.label = (
            "gauss_seidel(lexicographic, backward)" if backward else "gauss_seidel(lexicographic)"
        )
        self._factorise()

    def _factorise(self) -> None:
        triangle = sp.csc_array(sp.triu(self.A) if self.backward else sp.tril(self.A))
        triangle.indices, triangle.indptr = (
            triangle.indices.astype(np.int32),
            triangle.indptr.astype(np.int32),
        )
        self._lu = sla.splu(triangle, permc_spec="NATURAL", diag_pivot_thresh=0.0)

    def correct(self, r: Vector) -> Vector:
        """The correction for the residual r."""
        return self._lu.solve(r)

    def adjoint(self) -> Smoothing:
        """The adjoint: conjugate values, or the opposite order."""
        return TriangularSmoothing(self.A, not self.backward)

    def __getstate__(self) -> dict[str, Any]:
        # a SuperLU object does not pickle
        return {key: value for key, value in self.__dict__.items() if key != "_lu"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._factorise()


class ColourSmoothing(Smoothing):
    """Gauss-Seidel by colours: within one colour all unknowns at once, the colours one after the
    other."""

    def __init__(self, A: Any, colours: list[NDArray[np.intp]], label: str) -> None:
        super().__init__(A)
        self.label, self.colours = label, colours
        matrix, diagonal = sp.csr_array(A), A.diagonal()
        self._rows = [matrix[colour] for colour in colours]
        self._inverse = [1.0 / diagonal[colour] for colour in colours]

    def correct(self, r: Vector) -> Vector:
        """The correction for the residual r."""
        c = np.zeros(r.shape, dtype=np.result_type(r, self.A.dtype))
        for i, (colour, rows, inverse) in enumerate(
            zip(self.colours, self._rows, self._inverse, strict=True)
        ):
            c[colour] = inverse * (r[colour] if i == 0 else r[colour] - rows @ c)
        return c

    def adjoint(self) -> Smoothing:
        """The adjoint: conjugate values, or the opposite order."""
        return ColourSmoothing(self.A, self.colours[::-1], self.label)
