"""The one object of this project: the residual polynomial q(t) = prod (1 - w_i t), q(0) = 1.

One smoothing step with q is ``x <- x + p(BA) B (b - A x)``, where ``q(t) = 1 - t p(t)``; it
multiplies the error by ``q(BA)``. The solver, the Fourier analysis, the network blocks and the
plots all take the same `ResidualPolynomial`. It is given by its **roots** r_i and keeps their
reciprocals, the **weights** (step sizes) w_i = 1/r_i. A root at infinity, weight 0, does nothing.

Products are applied in Leja order [Calvetti, Reichel 1996; Loe, Morgan 2022], which keeps the
intermediate products small; a family with a three-term recurrence carries it as a `Recurrence` and
is applied by that.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator

from mgtheory._checks import (
    check_array,
    check_finite,
    check_kind,
    check_number,
    is_whole,
    own_errors,
    plain,
)
from mgtheory._files import parse_json
from mgtheory._frozen import ReadOnlyArrays
from mgtheory.polynomials.factors import FACTORS, Factor, General
from mgtheory.polynomials.recurrence import Recurrence
from mgtheory.polynomials.roots import in_pairs, leja_weights, reciprocals, roots_from_json
from mgtheory.polynomials.written import listed, sympy_product, tex
from mgtheory.spectra.record import OperatorRecord
from mgtheory.spectra.ritz import lanczos, square_operator
from mgtheory.spectra.symmetry import ANY_M

if TYPE_CHECKING:
    import sympy

MAX_DEGREE = 256
# on (0, 1] the coefficients grow like (3 + sqrt 8)^k: 4e7 at k = 10, where half of a double's
# digits are left
POWER_BASIS_DEGREE = 10
# a recurrence of degree 256 and its roots agree to about 1e-11; another polynomial differs by far
# more
RECURRENCE_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ResidualPolynomial(ReadOnlyArrays):
    """q(t) = prod_i (1 - t / r_i) = prod_i (1 - w_i t), a real polynomial with q(0) = 1.

    Parameters
    ----------
    roots
        Array-like of shape (degree,); complex roots in conjugate pairs; infinite roots allowed,
        zero not. `from_weights` takes their reciprocals.
    recurrence
        A recurrence with the same q, by which it is then applied.

    Attributes
    ----------
    operator
        The record of the operator BA it was derived for, see `of`; None for a polynomial made by
        hand.
    weights
        The step sizes w_i = 1/r_i, complex, shape (degree,), in the Leja order of their roots:
        conjugates adjacent, weights 0 (infinite roots) last.

    Raises
    ------
    ValueError
        Also for more than 256 roots, or a recurrence that belongs to another polynomial.

    Examples
    --------
    >>> q = ResidualPolynomial([5.0])  # damped Jacobi with 4/5 on the 5-point Laplacian, diagonal 4
    >>> float(q(2.0)), float(q(8.0))
    (0.6, -0.6000000000000001)
    """

    weights: NDArray[np.complex128]
    recurrence: Recurrence | None
    operator: OperatorRecord | None = None

    @own_errors
    def __init__(self, roots: ArrayLike, recurrence: Recurrence | None = None) -> None:
        given = check_array(roots, "roots").astype(complex)
        if given.ndim != 1:
            raise ValueError(f"roots have shape {given.shape}, must be one-dimensional")
        if np.isnan(given).any() or (given == 0).any():
            raise ValueError(
                "a root is 0 or not a number; roots must be non-zero, because q(0) = 1"
            )
        self._settle(reciprocals(in_pairs(given, "root")), recurrence)

    def _settle(self, weights: NDArray[np.complex128], recurrence: Recurrence | None) -> None:
        check_degree(weights.size)
        self.__dict__.update(weights=leja_weights(weights), recurrence=recurrence)
        super().__post_init__()
        if recurrence is not None:
            self._check_recurrence(check_kind(recurrence, Recurrence, "recurrence", "a Recurrence"))

    def _check_recurrence(self, recurrence: Recurrence) -> None:
        steps = len(recurrence.a)
        if steps != self.degree:
            raise ValueError(
                f"the recurrence has {steps} steps, the polynomial degree {self.degree}"
            )
        largest = float(np.abs(self.roots[np.isfinite(self.roots)]).max(initial=0.0)) or 1.0
        t = largest * np.linspace(0.0, 1.0, 2 * self.degree + 2)[1:]
        other = 1.0 - t * recurrence.correction(lambda z: t * z, lambda s: s, np.ones_like(t))
        difference = float(np.max(np.abs(other - self(t)) / np.maximum(1.0, np.abs(self(t)))))
        if not difference <= RECURRENCE_TOLERANCE:
            raise ValueError(
                "the recurrence and the roots are different polynomials: relative difference"
                f" {difference:.1e}"
            )

    @property
    def degree(self) -> int:
        """Degree of q: the products with A in one smoothing step."""
        return self.weights.size

    @cached_property
    def roots(self) -> NDArray[np.complex128]:
        """The roots r_i = 1/w_i, in the order of the weights; infinite where a weight is 0."""
        roots = reciprocals(self.weights)
        roots.flags.writeable = False
        return roots

    @property
    def is_real_rooted(self) -> bool:
        """Whether every root is real (or infinite)."""
        return not self.weights.imag.any()

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """Linear factors and complex pairs, in the order of application."""
        # of two conjugates the one whose root is in the upper half-plane
        return tuple(
            Factor("complex_pair", (w.real, -w.imag)) if w.imag else Factor("linear", (w.real,))
            for w in self.weights.tolist()
            if w.imag <= 0
        )

    @property
    @own_errors
    def coefficients(self) -> NDArray[np.float64]:
        """Ascending monomial coefficients of q, shape (degree + 1,); a ValueError above degree 10,
        where they lose too many digits."""
        _check_power_basis(self.degree)
        product = np.ones(1)
        for factor in self.factors:
            product = np.convolve(product, factor.coefficients)
        return product

    @property
    def correction_coefficients(self) -> NDArray[np.float64]:
        """Ascending monomial coefficients of p, shape (degree,), up to degree 10."""
        return 0.0 - self.coefficients[1:]

    @own_errors
    def _evaluate(self, t: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """q(t) and p(t) together: p gains q_so_far * p_f at each factor, which has none of the
        cancellation of (1 - q)/t."""
        t = check_array(t, "t")
        q, p = np.ones_like(t), np.zeros_like(t)
        for factor in self.factors:
            correction = factor.correction(lambda v: t * v, 1.0)
            p += q * correction
            q = q * (1.0 - t * correction)
        return q, p

    def q(self, t: ArrayLike) -> NDArray[Any]:
        """q(t) = prod (1 - t / r_i), elementwise; real for real t."""
        return self._evaluate(t)[0]

    __call__ = q

    def p(self, t: ArrayLike) -> NDArray[Any]:
        """p(t) = (1 - q(t)) / t, elementwise; p(0) = sum w_i."""
        return self._evaluate(t)[1][()]

    @own_errors
    def apply(self, A: Any, r: Any, B: Any = None) -> Any:
        """p(BA) B r: the correction for the residual r, with degree - 1 products with A.

        Parameters
        ----------
        A
            Anything with ``A @ v``, shape (n, n).
        r
            The residual b - A x, shape (n,) or (n, m).
        B
            Its diagonal, shape (n,), or anything with ``B @ v``. None for the B that the polynomial
            was derived for: the inverse diagonal of A where its record says so, else the identity.
        """
        apply_b = _multiplication(self._b(A) if B is None else B)
        if self.recurrence is not None:
            return self.recurrence.correction(lambda v: A @ v, apply_b, r)
        s, x = apply_b(r), None
        for i, factor in enumerate(self.factors):
            c = factor.correction(lambda v: apply_b(A @ v), s)
            x = c if x is None else x + c
            if i + 1 < len(self.factors):
                s = s - apply_b(A @ c)
        return x

    def _b(self, A: Any) -> Any:
        """The B that the polynomial was derived for: None for the identity."""
        if self.operator is None or self.operator.scaling != "diagonal":
            return None
        if not hasattr(A, "diagonal"):
            raise ValueError(f"the polynomial was derived for {self.operator}; pass B = D^-1")
        return 1.0 / A.diagonal()

    @own_errors
    def as_preconditioner(
        self, A: Any, B: Any = None, *, symmetric: bool = True, kind: Any = None
    ) -> Any:
        """z = p(BA) B r as a LinearOperator for the Krylov methods of SciPy, or of CuPy.

        M = p(BA) B has the eigenvalues 1 - q(t) of MA at those t of BA. For symmetric positive
        definite A it is so itself where q < 1 on the spectrum, and cg then needs the steps of the
        condition number max (1 - q)/min (1 - q); see Saad, Iterative Methods, 2nd ed., 12.3.

        Parameters
        ----------
        A
            A matrix or LinearOperator, shape (n, n).
        B
            The diagonal of B, positive, shape (n,); None as for `apply`.
        symmetric
            For cg and minres: that M is symmetric and positive is checked, by Lanczos steps. False
            for gmres: nothing is, and A may be any.
        kind
            The class of LinearOperator for arrays of another library, in whose memory everything
            then stays: for CuPy ``cupyx.scipy.sparse.linalg.LinearOperator``, with A, B and r of
            CuPy. The check is made on copies, by their method ``get``.

        Raises
        ------
        ValueError
            If A is not symmetric and positive, q reaches 1 within its spectrum, or the polynomial
            was derived for an operator whose spectrum ends elsewhere.

        Examples
        --------
        >>> A = np.diag([1.0, 2.0, 4.0])
        >>> M = ResidualPolynomial([1.5, 3.5]).as_preconditioner(A)
        >>> bool(np.allclose(M @ A, np.diag([1 - 0.5 / 2.1, 1 + 0.5 / 3.5, 1 - 2.5 / 10.5])))
        True
        """
        if kind is None:
            kind, operator = LinearOperator, square_operator(A)
            diagonal = self._b(A) if B is None else check_array(B, "B", real=True)
        else:
            operator, diagonal = A, self._b(A) if B is None else B
        if symmetric:
            self._check_preconditioner(_on_host(A), _on_host(diagonal), scaled=B is not None)

        def apply(r: NDArray[Any]) -> Any:
            return self.apply(A, r, diagonal)

        return kind(operator.shape, matvec=apply, matmat=apply, dtype=operator.dtype)

    def _check_preconditioner(self, A: Any, B: NDArray[Any] | None, *, scaled: bool) -> None:
        """ValueError where p(BA) B is not symmetric positive definite, as far as can be known."""
        try:
            found = lanczos(A, B=B)
        except ValueError as error:
            raise ValueError(f"{error}; {ANY_M}") from None
        if found.smallest < -1e-9 * found.largest:
            raise ValueError(
                f"A has eigenvalues from {found.smallest:.3g} to {found.largest:.3g}, must be"
                f" positive; {ANY_M}"
            )
        b, own = found.largest, self.operator
        if own is not None:
            # within what the estimate leaves open, the end that was known when q was derived
            b = min(max(own.upper, found.largest), found.upper)
            scaling, name = None if scaled else own.scaling, f"a matrix of {found.size} rows"
            self.on(OperatorRecord("matrix", name, b, scaling=scaling, found="Lanczos"))
        t = np.linspace(0.0, b, 64 * (self.degree + 1))
        worst = t[np.argmin(p := self.p(t))]
        if not p.min() > 0:
            raise ValueError(
                f"q({worst:.4g}) = {float(self(worst)):.4g} within the spectrum, which ends at"
                f" {b:.4g}: a preconditioner for cg needs q < 1 there; derive a polynomial for this"
                f" A, or {ANY_M}"
            )

    def smooth(self, A: Any, x: Any, b: Any, B: Any = None) -> Any:
        """x + p(BA) B (b - A x): one smoothing step, which multiplies the error by q(BA)."""
        return x + self.apply(A, b - A @ x, B)

    @own_errors
    def scaled(self, factor: float) -> ResidualPolynomial:
        """q(t / factor): the same polynomial for the operator multiplied by `factor` > 0."""
        factor = check_number(factor, "scale factor", "larger than 0: it must be positive")
        with np.errstate(over="ignore", under="ignore"):
            weights = self.weights / factor
        if not (np.isfinite(weights) & ((weights == 0) == (self.weights == 0))).all():
            raise ValueError(
                f"scale factor is {factor:g}, a finite root leaves the range of double precision"
            )
        moved = ResidualPolynomial.from_weights(
            weights, self.recurrence and self.recurrence.scaled(factor)
        )
        return moved.of(self.operator and self.operator.times(factor))

    def of(self, record: OperatorRecord | None) -> Self:
        """The same polynomial with the record of the operator it was derived for, without the
        operator itself: a polynomial keeps no matrix alive."""
        moved = copy.copy(self)
        if record is not None and record.source is not None:
            record = replace(record, source=None)
        object.__setattr__(moved, "operator", record)
        return moved

    def on(self, record: OperatorRecord) -> ResidualPolynomial:
        """The polynomial for another operator: converted exactly, or refused by a ValueError with
        both records (`OperatorRecord.factor_to`). One made by hand, without a record, is taken to
        be meant for that operator.
        """
        if self.operator is None:
            return self
        factor = self.operator.factor_to(record)
        moved = self if factor == 1.0 else self.scaled(factor)
        return moved.of(record)

    @own_errors
    def amplification(self, t: ArrayLike) -> float:
        """max_j (max_t |first j factors|)(max_t |the others|) for points t of the spectrum: how far
        rounding may grow in the ordered product. 1 is the best possible; 1e8 loses eight digits."""
        t = np.atleast_1d(check_array(t, "t").astype(complex))
        if not t.size:
            raise ValueError("t is empty, points of the spectrum are needed")
        values = np.stack(
            [1.0 - t * factor.correction(lambda v: t * v, 1.0) for factor in self.factors]
        )
        ones = np.ones((1, t.size))
        first = np.abs(np.concatenate([ones, np.cumprod(values, axis=0)])).max(axis=1)
        others = np.abs(np.concatenate([ones, np.cumprod(values[::-1], axis=0)])).max(axis=1)[::-1]
        return float((first * others).max())

    @classmethod
    @own_errors
    def from_weights(cls, weights: ArrayLike, recurrence: Recurrence | None = None) -> Self:
        """From the step sizes w_i = 1/r_i; a weight 0 is a root at infinity."""
        values = np.atleast_1d(check_array(weights, "weights").astype(complex))
        check_finite(values, "weights")
        self = cls.__new__(cls)
        self._settle(in_pairs(values.reshape(-1), "weight"), recurrence)
        return self

    @classmethod
    def from_factors(cls, factors: Iterable[Factor]) -> Self:
        """The product of real factors, in any order and mixture."""
        kinds = "of the kinds " + ", ".join(FACTORS)
        given = check_kind(factors, Iterable, "factors", "factors, as Linear(0.5)")
        weights = [check_kind(factor, Factor, "a factor", kinds).weights for factor in given]
        return cls.from_weights(np.concatenate([np.empty(0, dtype=complex), *weights]))

    @classmethod
    def from_coefficients(cls, coefficients: Sequence[float] | NDArray[np.float64]) -> Self:
        """From ascending monomial coefficients of q, [1, q_1, .., q_k]; degree at most 10."""
        q = check_array(coefficients, "coefficients of q", real=True)
        if q.ndim != 1 or q.size < 2 or q[0] != 1.0:
            raise ValueError(
                f"coefficients of q are {q.tolist()}, must be [1, q_1, ..., q_k], k >= 1, q(0) = 1"
            )
        _check_power_basis(q.size - 1)
        return cls.from_factors([General(0.0 - q[1:])])

    def to_dict(self) -> dict[str, Any]:
        """JSON types, version 2: the exact weights as [re, im], recurrence and record if any."""
        data = {"version": 2, "weights": [[w.real, w.imag] for w in self.weights.tolist()]}
        if self.recurrence:
            data |= {"recurrence": asdict(self.recurrence)}
        return data | ({"operator": self.operator.to_dict()} if self.operator else {})

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; it also reads version 1, which had roots, null for infinity."""
        try:
            weights = (
                [complex(*map(float, w)) for w in data["weights"]]
                if "weights" in data
                else reciprocals(roots_from_json(data["roots"]))
            )
            recurrence = Recurrence(**data["recurrence"]) if data.get("recurrence") else None
            record = data.get("operator") and OperatorRecord.from_dict(data["operator"])
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise ValueError(
                "not a residual polynomial: needs 'weights', a list of [re, im] (or 'roots' with"
                " null for infinity)"
            ) from error
        return cls.from_weights(np.array(weights, dtype=complex), recurrence).of(record or None)

    def to_json(self) -> str:
        """`to_dict` as JSON text; numbers round-trip exactly."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        return cls.from_dict(parse_json(text, "a residual polynomial"))

    def sympy(self, t: sympy.Symbol | None = None) -> sympy.Expr:
        """q as a product of real sympy factors in the symbol t, with 17-digit floats."""
        return sympy_product(self.factors, t)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ResidualPolynomial):
            return NotImplemented
        return np.array_equal(self.weights, other.weights) and self.recurrence == other.recurrence

    def __hash__(self) -> int:
        return hash(((self.weights + 0.0).tobytes(), self.recurrence))  # -0.0 equals 0.0

    def _repr_latex_(self) -> str:
        """For notebooks: q as the product of its real factors, the first six of many."""
        return tex(self.factors)

    def __repr__(self) -> str:
        return f"ResidualPolynomial(degree={self.degree}, roots=[{listed(self.roots)}])"


def check_degree(
    degree: Any, *, family: str = "a residual polynomial", most: int = MAX_DEGREE
) -> int:
    """A whole number from 1 to `most`."""
    if not is_whole(degree := plain(degree)) or not 1 <= degree <= most:
        raise ValueError(f"degree is {degree!r}, {family} allows whole numbers from 1 to {most}")
    return int(degree)


def _multiplication(B: Any) -> Callable[[Any], Any]:
    """v -> B v for None, a diagonal or an operator."""
    if B is None:
        return lambda v: v
    if getattr(B, "ndim", 0) == 1:  # of NumPy, or of a library with arrays like its
        return lambda v: B * v if v.ndim == 1 else B[:, None] * v
    return lambda v: B @ v


def _on_host(value: Any) -> Any:
    """A copy in the host's memory, where the arrays of a device have a method for it."""
    return value.get() if hasattr(value, "get") else value


def _check_power_basis(degree: int) -> None:
    if degree > POWER_BASIS_DEGREE:
        raise ValueError(
            f"degree is {degree}: monomial coefficients are allowed up to {POWER_BASIS_DEGREE},"
            " above it they lose more than half of the digits; use the roots"
        )
