"""What a smoother becomes on a level: a linear map r -> c that also hands on the residual it
leaves; Gauss-Seidel and diagonal ones.

A smoothing is set up once on a matrix and applied many times. An object of your own derives from
`Smoothing` and writes `correct`; the rest has defaults.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import replace
from functools import singledispatch
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from numpy.typing import NDArray

from mgtheory.families import FAMILIES, NEEDS
from mgtheory.multigrid.options import Schedule
from mgtheory.polynomials.factors import Factor
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.smoothers import COLOURINGS, GaussSeidel, Jacobi, Polynomial
from mgtheory.spectra.record import LOOSE, SLACK, OperatorRecord

Vector = NDArray[Any]
SAMPLES = 257  # points on which a polynomial is watched
IDLE = 0.9  # a smoother that leaves this much of every high frequency does nothing
# families that are made for a positive real interval; the others ask the operator itself
REAL = ("interval", "lmax")
VARYING = 2.5  # a diagonal with such a factor between its places slows a polynomial of A itself
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


def amplification(level: Any, q: ResidualPolynomial, B: Vector | None) -> str:
    """A sentence if |q| > 1 somewhere on the high frequencies of BA, up to a value that the
    spectrum reaches, or |q| is about 1 everywhere there; else empty."""
    end = level.reached(B)
    if end is None:
        return ""
    a = min(level.smoothing_interval(B)[0], end)
    values = np.abs(q(np.linspace(a, end, SAMPLES)))
    worst, least = float(np.max(values)), float(np.min(values))
    if IDLE <= least <= 1.0:
        return (
            f"level {level.index}: the polynomial smoother does next to nothing, it leaves at least"
            f" {least:.3g} of every high frequency; its lmax (or interval) is far too large for"
            " this A"
        )
    if worst <= 1.0 + 1e-3:
        return ""
    return (
        f"level {level.index}: the polynomial smoother multiplies high frequencies by up to"
        f" {worst:.3g}; its lmax (or interval) is too small for this A"
    )


class _Wrapped(Smoothing):
    """A user's object with ``correct(r)`` alone."""

    def __init__(self, A: Any, own: Any) -> None:
        super().__init__(A)
        self.own = own
        self.label = type(own).__name__

    def correct(self, r: Vector) -> Vector:
        return np.asarray(self.own.correct(r))


def smoothing(schedule: Schedule, level: Any) -> Smoothing:
    """What a schedule becomes on a level. By default, where A is not symmetric, it is the GMRES
    polynomial of the level, unless that has none, as of a complex A."""
    if schedule.by_default and not level.finest.symmetric:
        with suppress(ValueError):
            return cast(Smoothing, set_up(schedule.unsymmetric(level), level))
    described, own = schedule.on(level)
    ready = hasattr(described, "correct") and not hasattr(described, "setup")
    made = described if ready else set_up(described, level, own=own)
    if isinstance(made, Smoothing):
        return made
    if hasattr(made, "correct"):
        return _Wrapped(level.operator, made)
    raise ValueError(
        f"level {level.index}: the smoother gave {made!r}, which has neither setup(level) nor"
        " correct(r)"
    )


def asymmetry(level: Any, family: str) -> str:
    """A sentence if a family for real intervals meets a matrix whose spectrum need not be real."""
    if level.index or level.symmetric:
        return ""
    return (
        f"level 0: A is not symmetric, its spectrum need not lie on the real interval that {family}"
        " is made for; harmonic_ritz of degree 3 takes any, minimax points of the spectrum"
    )


def uneven(level: Any) -> str:
    """A sentence if a polynomial of A itself meets a diagonal that varies from place to place."""
    if level.index or level.stencil is not None:
        return ""
    low, high = np.quantile(np.abs(level.A.diagonal()), (0.05, 0.95))
    if not high > VARYING * low > 0.0:
        return ""
    return (
        f"level 0: the diagonal of A varies by a factor of {high / low:.3g}, and the polynomial is"
        " one of A itself (B = I): one of D^-1 A, derived and applied with scaling='diagonal',"
        " converges faster"
    )


@singledispatch
def set_up(described: Any, level: Any, *, own: bool = False) -> Any:
    """What a description becomes on a level: one registered function for each class of
    descriptions; a user's own object answers by its ``setup``.

    Parameters
    ----------
    own
        A given polynomial is for this level's A, not for the finest level's.
    """
    if hasattr(described, "setup"):
        return described.setup(level)
    kinds = ", ".join(kind.__name__ for kind in set_up.registry if kind is not object)
    raise ValueError(
        f"no matrix form is known for the smoother {described!r}; known are {kinds} (see `set_up`),"
        " and objects with setup(level)"
    )


@set_up.register
def _jacobi(described: Jacobi, level: Any, *, own: bool = False) -> DiagonalSmoothing:
    return DiagonalSmoothing(
        level.operator, _relaxed(described.omega, level), f"jacobi({described.omega:g})"
    )


def _relaxed(omega: float, level: Any) -> Any:
    """omega D^-1 in the type of the cycle."""
    centres = level.centres
    return (omega * centres).astype(centres.dtype)


@set_up.register
def _polynomial(described: Polynomial, level: Any, *, own: bool = False) -> PolynomialSmoothing:
    B = level.inverse_diagonal(described.scaling)
    q = on_level(described, level, B, level if own else level.finest)
    name = described.family if described.polynomial is None else "polynomial"
    warning = "" if described.polynomial is None else amplification(level, q, B)
    record = q.operator
    if described.family is None:  # derived for a positive spectrum, and handed over without a name
        real = record is not None and record.positive and q.is_real_rooted
    else:
        real = FAMILIES[described.family].needs in REAL
    if real:
        warning = warning or asymmetry(level, described.family or "the polynomial")
    if B is None:
        warning = warning or uneven(level)
    return PolynomialSmoothing(level.operator, q, B, f"{name}({q.degree})", warning=warning)


def on_level(
    described: Polynomial, level: Any, B: Vector | None, finest: Any
) -> ResidualPolynomial:
    """The polynomial of a description for the level's BA; a given one is that of level `finest`."""
    given = described.polynomial
    by_hand = described.family is None and given is not None and given.operator is None
    if by_hand and given is not None:  # nothing is derived: A may be anything
        return given if level is finest else given.scaled(level.growth(described.scaling))
    record = _comparable(described, level, B)
    needs = None if described.family is None else NEEDS[FAMILIES[described.family].needs]
    if level is finest or (given is None and needs and needs.arguments(record) is not None):
        return described.on(record)
    D = finest.inverse_diagonal(described.scaling)
    growth = level.growth(described.scaling) if described.family is None else None
    return described.on(record, _comparable(described, finest, D), growth)


def _comparable(described: Polynomial, level: Any, B: Vector | None) -> OperatorRecord:
    """The level's record. Where a given polynomial's operator is no known form, spectra alone are
    compared. What was made for the level's own bound fits it. Else that bound may lie above the
    upper end of the very same spectrum: then the record says up to where the spectrum surely
    reaches. What a family is derived from anew, on a coarse level, is the bound, as it is by
    name."""
    record: OperatorRecord = level.record(B, signed=described.signed)
    known = None if described.polynomial is None else described.polynomial.operator
    anew = described.family is not None and level.index > 0
    if known is None or anew or (known.form is not None and record.form is not None):
        return record
    if LOOSE <= record.upper / known.upper <= SLACK:
        return record
    reached = level.reached(B)
    return record if reached is None or reached < record.lower else replace(record, upper=reached)


@set_up.register
def _gauss_seidel(described: GaussSeidel, level: Any, *, own: bool = False) -> Smoothing:
    inverse = _relaxed(described.omega, level)  # refuses a zero on the diagonal
    A, omega = level.cycle_matrix, described.omega
    over = "" if omega == 1.0 else f", {omega:g}"
    if described.ordering == "lexicographic":
        return TriangularSmoothing(A, described.backward, omega, level.sweep(described))
    parity = np.indices(level.shape) % 2
    of_points = COLOURINGS[described.ordering](parity).ravel()
    colour = np.tile(of_points, A.shape[0] // of_points.size)  # every channel of a point
    colours = [np.flatnonzero(colour == value) for value in np.unique(colour)]
    return ColourSmoothing(
        A,
        colours[::-1] if described.backward else colours,
        f"gauss_seidel({described.ordering}{over})",
        inverse,
    )
