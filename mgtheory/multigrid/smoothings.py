"""What smooths on a level: a linear map r -> c that also hands on the residual it leaves, with a
diagonal, a triangle, colour by colour, or by a polynomial.

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

from mgtheory.polynomials.factors import Factor
from mgtheory.polynomials.residual import ResidualPolynomial

Vector = NDArray[Any]
# up to here the ordered product is as accurate as the recurrence, and makes fewer passes over the
# vectors
PRODUCT_DEGREE = 4


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
        return c, _minus(r, self.A @ c)

    def adjoint(self) -> Smoothing:
        """The smoothing whose map is the adjoint of this one, with conjugate values or in the
        opposite order; needed for symmetric cycles."""
        raise NotImplementedError(f"{self.label}: this smoothing has no adjoint")


def _times(D: Any, r: Vector) -> Vector:
    """D r for a diagonal, shape (n,), or a sparse matrix of blocks."""
    return np.asarray(D * r if D.ndim == 1 else D @ r)


class DiagonalSmoothing(Smoothing):
    """c = D r with a fixed diagonal D, shape (n,), or one of blocks, a sparse matrix."""

    def __init__(self, A: Any, diagonal: Any, label: str) -> None:
        super().__init__(A)
        self.diagonal, self.label = diagonal, label

    def correct(self, r: Vector) -> Vector:
        return _times(self.diagonal, r)

    def adjoint(self) -> Smoothing:
        return DiagonalSmoothing(self.A, self.diagonal.conj().T, self.label)


class TriangularSmoothing(Smoothing):
    """c = (D/omega + L)^-1 r, or (D/omega + U)^-1 r backward, A = L + D + U: lexicographic
    Gauss-Seidel, by SciPy's triangular factor object. A given `split` stands for D/omega + L where
    it is no triangle, as on a periodic grid."""

    def __init__(
        self, A: Any, backward: bool, omega: float = 1.0, split: sp.csr_array | None = None
    ) -> None:
        super().__init__(A)
        self.backward, self.omega, self.split = backward, omega, split
        way = ", backward" if backward else ""
        self.label = f"gauss_seidel(lexicographic{way}{'' if omega == 1 else f', {omega:g}'})"
        self._factorise()

    def _factorise(self) -> None:
        if self.split is not None:
            try:
                self._lu = sla.splu(sp.csc_array(self.split))
            except RuntimeError as error:
                raise ValueError(
                    f"the sweep's D/omega + L is singular on this grid: {error}"
                ) from error
            return
        triangle = sp.csc_array(sp.triu(self.A) if self.backward else sp.tril(self.A))
        if (empty := triangle.diagonal() == 0).any():  # a node without edges
            triangle = sp.csc_array(triangle + sp.diags_array(empty.astype(triangle.dtype)))
        if self.omega != 1.0:
            triangle = sp.csc_array(
                triangle + sp.diags_array((1.0 / self.omega - 1.0) * self.A.diagonal())
            )
            triangle = triangle.astype(self.A.dtype)
        triangle.indices, triangle.indptr = (
            triangle.indices.astype(np.int32),
            triangle.indptr.astype(np.int32),
        )
        self._lu = sla.splu(triangle, permc_spec="NATURAL", diag_pivot_thresh=0.0)

    def correct(self, r: Vector) -> Vector:
        return self._lu.solve(r)

    def adjoint(self) -> Smoothing:
        split = None if self.split is None else self.split.conj().T
        return TriangularSmoothing(self.A, not self.backward, self.omega, split)

    def __getstate__(self) -> dict[str, Any]:
        # a SuperLU object does not pickle
        return {key: value for key, value in self.__dict__.items() if key != "_lu"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._factorise()


class ColourSmoothing(Smoothing):
    """Gauss-Seidel by colours: within one colour all unknowns at once, the colours one after the
    other; `inverse` is omega D^-1 of all unknowns, as `DiagonalSmoothing` takes it."""

    def __init__(self, A: Any, colours: list[NDArray[np.intp]], label: str, inverse: Any) -> None:
        super().__init__(A)
        self.label, self.colours, self.inverse = label, colours, inverse
        matrix, whole = sp.csr_array(A), inverse.ndim == 1
        self._rows = [matrix[colour] for colour in colours]
        self._inverse = [inverse[own] if whole else inverse[own][:, own] for own in colours]

    def correct(self, r: Vector) -> Vector:
        c = np.zeros(r.shape, dtype=np.result_type(r, self.A.dtype))
        for i, (colour, rows, inverse) in enumerate(
            zip(self.colours, self._rows, self._inverse, strict=True)
        ):
            c[colour] = _times(inverse, r[colour] if i == 0 else r[colour] - rows @ c)
        return c

    def adjoint(self) -> Smoothing:
        return ColourSmoothing(self.A, self.colours[::-1], self.label, self.inverse.conj().T)


class PolynomialSmoothing(Smoothing):
    """c = p(BA) B r with B None (identity) or a diagonal."""

    def __init__(
        self,
        A: Any,
        polynomial: ResidualPolynomial,
        B: Vector | None,
        label: str,
        *,
        warning: str = "",
    ) -> None:
        super().__init__(A)
        self.polynomial, self.B, self.label, self.warning = polynomial, B, label, warning
        self.products = float(polynomial.degree)
        real = np.zeros(0, dtype=A.dtype).real.dtype.type
        recurrence = polynomial.recurrence
        self._steps: list[tuple[Any, Any]] = []
        long = polynomial.degree > PRODUCT_DEGREE
        if long and recurrence is not None and all(beta == 1.0 for beta in recurrence.beta):
            self._steps = list(zip(map(real, recurrence.a), map(real, recurrence.b)))
        self._factors = [
            [real(c) for c in factor.correction_coefficients]
            for factor in _in_pairs(polynomial, real)
        ]

    def correct(self, r: Vector) -> Vector:
        return self._apply(r, False)[0]

    def correct_with_residual(self, r: Vector) -> tuple[Vector, Vector]:
        return self._apply(r, True)

    def _apply(self, r: Vector, last: bool) -> tuple[Vector, Vector]:
        """The correction, and the residual after it if `last`."""
        return self._recurrence(r, last) if self._steps else self._product(r, last)

    def _recurrence(self, r: Vector, last: bool) -> tuple[Vector, Vector]:
        A, B, s = self.A, self.B, r
        z = c = r
        for i, (a, b) in enumerate(self._steps):
            step = b * s if B is None else (b * B) * s
            if i == 0:
                c = z = step
            else:
                if i == 1:
                    z = a * z  # a new array: c keeps the old one
                else:
                    z *= a
                z += step
                c += z
            if last or i + 1 < len(self._steps):
                s = _minus(s, A @ z)
        return c, s

    def _product(self, r: Vector, last: bool) -> tuple[Vector, Vector]:
        A, B, s = self.A, self.B, r
        total: Vector | None = None
        for i, coefficients in enumerate(self._factors):
            residual_needed = last or i + 1 < len(self._factors)
            start = s if B is None else B * s
            c = coefficients[-1] * start
            for coefficient in reversed(coefficients[:-1]):
                c = A @ c
                if B is not None:
                    c *= B
                c += coefficient * start
            if residual_needed:
                s = _minus(s, A @ c)
            if total is None:
                total = c
            else:
                total += c
        assert total is not None
        return total, s

    def adjoint(self) -> PolynomialSmoothing:
        """Itself: p(BA) B is symmetric for a symmetric A and a real p."""
        return self


def _in_pairs(polynomial: ResidualPolynomial, real: Any = np.float64) -> list[Factor]:
    """The factors in Leja order, two successive linear ones as one real pair: fewer passes over the
    vectors for the same products.

    Only where the product of the weights is a normal number of the type `real`.
    """
    smallest = float(np.finfo(real).tiny)
    factors: list[Factor] = []
    for factor in polynomial.factors:
        last = factors[-1] if factors else None
        if (
            last is not None
            and factor.kind == last.kind == "linear"
            and smallest < abs(factor.w * last.w) < 1 / smallest
        ):
            factors[-1] = Factor("real_pair", (last.w, factor.w))
        else:
            factors.append(factor)
    return factors


def _minus(s: Vector, product: Vector) -> Vector:
    """s - product, in the memory of the product."""
    return np.subtract(s, product, out=product)


class Wrapped(Smoothing):
    """A user's object with ``correct(r)`` alone."""

    def __init__(self, A: Any, own: Any) -> None:
        super().__init__(A)
        self.own = own
        self.label = type(own).__name__

    def correct(self, r: Vector) -> Vector:
        return np.asarray(self.own.correct(r))
