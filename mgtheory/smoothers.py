"""Smoothers in two steps: a description (`Smoother`) is set up once on a level, the result
(`Smoothing`) is applied many times.

A smoothing is a fixed linear map r -> c from a residual to a correction, x <- x + c(b - A x). It
also returns the residual that is left, which a polynomial has almost for free: smoothing of degree
k from a residual, with the residual after it, costs k products with A.

* `Polynomial`: any `ResidualPolynomial`, or a family of `mgtheory.families` derived on each level's
  own interval; B is the identity or the inverse diagonal. By a recurrence where the family has one
  whose s_i are the true residuals, by Leja-ordered factors else.
* `Jacobi`: c = omega D^-1 r.
* `GaussSeidel`: lexicographic (c = (D - L)^-1 r) or by colours (red-black: parity of the index sum;
  `multicolour`: parity of every index, 2^d colours, exact Gauss-Seidel for compact stencils). The
  adjoint runs the other way round.

An object of your own is a smoother if it has ``setup(level)``, and a smoothing if it has
``correct(r)``; deriving from `Smoothing` adds the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory._checks import check_name, check_number
from mgtheory.families import FAMILIES
from mgtheory.multigrid.applied import (
    ColourSmoothing,
    DiagonalSmoothing,
    Smoothing,
    TriangularSmoothing,
)
from mgtheory.polynomials.factors import Factor
from mgtheory.polynomials.residual import ResidualPolynomial, check_degree

if TYPE_CHECKING:
    from mgtheory.multigrid.level import Level

__all__ = [
    "SMOOTHERS",
    "GaussSeidel",
    "Jacobi",
    "Polynomial",
    "Smoother",
    "Smoothing",
    "make_smoother",
]

Vector = NDArray[Any]
SAMPLES = 257  # points on which a polynomial is watched
# up to here the ordered product is as accurate as the recurrence, and makes fewer passes over the
# vectors
PRODUCT_DEGREE = 4


class Smoother(Protocol):
    """A description of a smoother that can be set up on any level."""

    def setup(self, level: Level) -> Smoothing:
        """The smoothing for this level's A."""


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
        self._steps: list[tuple[Any, Any]] | None = None
        if (
            recurrence is not None
            and all(beta == 1.0 for beta in recurrence.beta)
            and polynomial.degree > PRODUCT_DEGREE
        ):
            self._steps = [
                (real(a), real(b)) for a, b in zip(recurrence.a, recurrence.b, strict=True)
            ]
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
        return self._recurrence(r, last) if self._steps is not None else self._product(r, last)

    def _recurrence(self, r: Vector, last: bool) -> tuple[Vector, Vector]:
        assert self._steps is not None
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


def amplification(level: Level, q: ResidualPolynomial, B: Vector | None) -> str:
    """A sentence if |q| > 1 on the high frequencies of BA, up to a value that the spectrum reaches;
    else empty."""
    end = level.reached(B)
    if end is None:
        return ""
    a = min(level.smoothing_interval(B)[0], end)
    worst = float(np.max(np.abs(q(np.linspace(a, end, SAMPLES)))))
    if worst <= 1.0 + 1e-3:
        return ""
    return (
        f"level {level.index}: the polynomial smoother multiplies high frequencies by up to"
        f" {worst:.3g}; its lmax (or interval) is too small for this A"
    )


@dataclass(frozen=True)
class Polynomial:
    """A polynomial smoother: a family derived on each level's own interval, or one
    `ResidualPolynomial` for all of them.

    Parameters
    ----------
    family
        A name of `mgtheory.families.FAMILIES` that needs an interval, lmax or the operator. The
        interval is the level's high-frequency one.
    degree
        Degree of q: products with A in one smoothing.
    polynomial
        Instead of a family: a q for BA on the finest level. Its roots are scaled by the ratio of
        the levels' largest eigenvalues.
    scaling
        B: ``"identity"``, ``"diagonal"`` (inverse diagonal), or ``"auto"``: diagonal only where A's
        diagonal is not constant.

    Raises
    ------
    ValueError
        For an unknown family or scaling, a family that cannot be derived on a level, or both or
        neither of family and polynomial.
    """

    family: str | None = None
    degree: int = 2
    polynomial: ResidualPolynomial | None = None
    scaling: str = "auto"

    def __post_init__(self) -> None:
        if (self.family is None) == (self.polynomial is None):
            raise ValueError("a polynomial smoother needs either a family or a polynomial")
        check_name(self.scaling, ("auto", "identity", "diagonal"), "scaling")
        if self.family is None:
            if not isinstance(self.polynomial, ResidualPolynomial):
                raise ValueError(f"polynomial is {self.polynomial!r}, must be a ResidualPolynomial")
            return
        usable = [
            name
            for name, entry in FAMILIES.items()
            if entry.needs in ("interval", "lmax", "operator")
        ]
        if self.family not in usable:
            raise ValueError(
                f"unknown family {self.family!r} for a smoother, known are: {', '.join(usable)}; "
                "derive any other one first and pass its polynomial"
            )
        check_degree(self.degree, family=self.family)

    def setup(self, level: Level) -> PolynomialSmoothing:
        """The smoothing on this level."""
        B = level.inverse_diagonal(self.scaling)
        a, b = level.smoothing_interval(B)
        if self.polynomial is not None:
            reference = level.finest.smoothing_interval(
                level.finest.inverse_diagonal(self.scaling)
            )[1]
            q = self.polynomial if level.index == 0 else self.polynomial.scaled(b / reference)
            return PolynomialSmoothing(
                level.operator, q, B, f"polynomial({q.degree})", warning=amplification(level, q, B)
            )
        assert self.family is not None
        entry = FAMILIES[self.family]
        if entry.needs in ("interval", "lmax") and not 0.0 < a < b:
            raise ValueError(
                f"level {level.index}: the high frequencies of A lie in [{a:g}, {b:g}],"
                f" {self.family} needs them positive; a negative definite A must change its sign"
            )
        if entry.needs == "interval":
            q = entry.function(self.degree, interval=(a, b))
        elif entry.needs == "lmax":
            q = entry.function(self.degree, lmax=b)
        else:
            start = np.random.default_rng(level.index).standard_normal(level.A.shape[0])
            operator = level.A if B is None else sp.csr_array(sp.diags_array(B) @ level.A)
            q = entry.function(self.degree, operator=operator, start=start)
        return PolynomialSmoothing(level.operator, q, B, f"{self.family}({q.degree})")


@dataclass(frozen=True)
class Jacobi:
    """c = omega D^-1 r: damped Jacobi, omega = 4/5 by default (best for the 5-point Laplacian,
    smoothing factor 0.6)."""

    omega: float = 0.8

    def __post_init__(self) -> None:
        check_number(self.omega, "omega", "larger than 0")

    def setup(self, level: Level) -> Smoothing:
        """The smoothing on this level."""
        diagonal = level.inverse_diagonal("diagonal")
        assert diagonal is not None
        return DiagonalSmoothing(
            level.operator,
            np.asarray(self.omega * diagonal, dtype=diagonal.dtype),
            f"jacobi({self.omega:g})",
        )


@dataclass(frozen=True)
class GaussSeidel:
    """Gauss-Seidel: c = (D - L)^-1 r in the given order of the unknowns.

    Parameters
    ----------
    ordering
        ``"lexicographic"`` (C order), ``"red-black"`` or ``"multicolour"``.
    backward
        The reverse order.
    """

    ordering: str = "lexicographic"
    backward: bool = False

    def __post_init__(self) -> None:
        check_name(self.ordering, ("lexicographic", "red-black", "multicolour"), "ordering")
        if not isinstance(self.backward, bool):
            raise ValueError(f"backward is {self.backward!r}, must be True or False")

    def setup(self, level: Level) -> Smoothing:
        """The smoothing on this level."""
        level.inverse_diagonal("diagonal")  # refuses a zero on the diagonal
        if self.ordering == "lexicographic":
            return TriangularSmoothing(level.cycle_matrix, self.backward)
        index = np.indices(level.shape).reshape(len(level.shape), -1)
        weights = (
            np.ones(len(level.shape))
            if self.ordering == "red-black"
            else 2.0 ** np.arange(len(level.shape))
        )
        colour = (index.sum(axis=0) % 2) if self.ordering == "red-black" else weights @ (index % 2)
        colours = [np.flatnonzero(colour == value) for value in np.unique(colour)]
        return ColourSmoothing(
            level.cycle_matrix,
            colours[::-1] if self.backward else colours,
            f"gauss_seidel({self.ordering})",
        )


SMOOTHERS: dict[str, Callable[[], Smoother]] = {
    "jacobi": Jacobi,
    "gauss_seidel": GaussSeidel,
    "red_black": lambda: GaussSeidel("red-black"),
    "multicolour": lambda: GaussSeidel("multicolour"),
}


def make_smoother(smoother: Any, degree: int | None = None) -> Smoother | Callable[[Any], Any]:
    """What `Hierarchy.build` accepts as a smoother, made one that has ``setup``; callables of a
    level are passed through.

    A string names a polynomial family that needs an interval, its upper end or the matrix (of the
    given degree, 2 by default), or an entry of `SMOOTHERS`.
    """
    if isinstance(smoother, str):
        if smoother in SMOOTHERS:
            if degree is not None:
                raise ValueError(
                    f"a degree belongs to a polynomial family, not to the smoother {smoother!r}"
                )
            return SMOOTHERS[smoother]()
        families = [
            name
            for name, entry in FAMILIES.items()
            if entry.needs in ("interval", "lmax", "operator")
        ]
        if smoother in FAMILIES and smoother not in families:
            raise ValueError(
                f"{smoother} is not derived level by level: derive it first, and pass its"
                " polynomial as the smoother"
            )
        if smoother not in families:
            raise ValueError(
                f"unknown smoother {smoother!r}, known are: {', '.join([*families, *SMOOTHERS])}"
            )
        return Polynomial(smoother, 2 if degree is None else degree)
    if degree is not None:
        raise ValueError("a degree belongs to a polynomial family given by its name")
    if isinstance(smoother, ResidualPolynomial):
        return Polynomial(polynomial=smoother)
    if isinstance(getattr(smoother, "polynomial", None), ResidualPolynomial) and not hasattr(
        smoother, "setup"
    ):
        return Polynomial(polynomial=smoother.polynomial)
    if not (hasattr(smoother, "setup") or callable(smoother)):
        raise ValueError(
            f"smoother is {smoother!r}, must be a name, a ResidualPolynomial, an object with"
            " setup(level), or a callable of a level"
        )
    return smoother
