"""The five real factors a residual polynomial is built from: the steps of a smoother and the blocks
of a network.

A factor is a polynomial ``q_f(t) = 1 - t p_f(t)`` of low degree with real coefficients. Applying it
once adds the correction ``c = p_f(M) s`` to the iterate, where ``M`` is the operator as it is
applied (``A`` or ``B A``) and ``s`` the residual as it is applied (``r`` or ``B r``), and leaves
the residual ``q_f(M) s = s - M c``. Every kind of factor is its parameters and two formulas,
``correction_coefficients`` (of ``p_f``) and ``roots`` (of ``q_f``); all else follows from them.

==================  ==========================  =======================================
=============== factor              roots                       correction c
parameters ==================  ==========================  =======================================
=============== `Linear`            1/w                         w s
w `RealPair`          r1, r2                      ((r1 + r2) s - M s) / (r1 r2)            r1, r2
`SymmetricPair`     ±1/sqrt(kappa)              kappa M s                                kappa,
signed `ComplexPair`       a ± ib                      (2 a s - M s) / (a^2 + b^2)              a, b
`General`           of 1 - sum c_j t^(j+1)      sum c_j M^j s, by Horner                 c_0 ..
c_{d-1} ==================  ==========================  =======================================
===============
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import check_array, check_kind
from mgtheory.polynomials.roots import reciprocals

__all__ = [
    "FACTORS",
    "ComplexPair",
    "Factor",
    "General",
    "Linear",
    "RealPair",
    "SymmetricPair",
    "factor_from_dict",
]


@dataclass(frozen=True)
class Factor:
    """q_f(t) = 1 - t p_f(t) with real coefficients; the common part of the five kinds."""

    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            for number in value if isinstance(value, tuple) else (value,):
                if not (isinstance(number, Real) and math.isfinite(number)):
                    raise ValueError(f"{self.kind} factor: {name} is {number!r}, must be finite")

    @property
    def correction_coefficients(self) -> tuple[float, ...]:
        """Ascending coefficients of p_f, one for each product with the operator that q_f costs."""
        raise TypeError("a factor is one of " + ", ".join(FACTORS))

    @property
    def roots(self) -> NDArray[np.complex128]:
        """Roots of q_f, complex, `degree` of them; infinite where a leading coefficient
        vanishes."""
        raise TypeError("a factor is one of " + ", ".join(FACTORS))

    @property
    def degree(self) -> int:
        """Degree of q_f: the number of products with the operator in one step."""
        return len(self.correction_coefficients)

    @property
    def coefficients(self) -> tuple[float, ...]:
        """Ascending coefficients of q_f, the first of them 1."""
        return (1.0, *(-c for c in self.correction_coefficients))

    def correction(self, apply_operator: Callable[[Any], Any], s: Any) -> Any:
        """c = p_f(M) s by Horner's rule, `degree` - 1 products with M.

        Parameters
        ----------
        apply_operator
            ``v -> M v``.
        s
            The residual as it is applied: any array type with ``+`` and multiplication by a number.
        """
        *lower, leading = self.correction_coefficients
        c = leading * s
        for coefficient in reversed(lower):
            c = apply_operator(c)
            if coefficient != 0.0:
                c = c + coefficient * s
        return c

    def to_dict(self) -> dict[str, Any]:
        """The factor as JSON types: its kind and its parameters."""
        return {
            "kind": self.kind,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()},
        }


@dataclass(frozen=True)
class Linear(Factor):
    """q_f(t) = 1 - w t: one damped Richardson (or Jacobi) step; w = 0 is a root at infinity."""

    w: float
    kind: ClassVar[str] = "linear"

    @property
    def correction_coefficients(self) -> tuple[float, ...]:
        return (float(self.w),)

    @property
    def roots(self) -> NDArray[np.complex128]:
        return reciprocals(np.array([self.w], dtype=complex))


def _check_product(kind: str, product: float) -> None:
    """Refuse a pair of roots whose product, or its reciprocal, is no double: its correction would
    silently be another one."""
    if not 1e-300 <= abs(product) <= 1e300:
        raise ValueError(
            f"{kind} factor: the product of the roots is {product:g}, allowed are moduli from"
            " 1e-300 to 1e300"
        )


@dataclass(frozen=True)
class RealPair(Factor):
    """q_f(t) = (1 - t/r1)(1 - t/r2) with two real roots, neither of them zero."""

    r1: float
    r2: float
    kind: ClassVar[str] = "real_pair"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.r1 == 0.0 or self.r2 == 0.0:
            raise ValueError(
                f"real_pair factor: roots are {self.r1} and {self.r2}, must not be zero (q(0) = 1)"
            )
        _check_product(self.kind, float(self.r1) * float(self.r2))

    @property
    def correction_coefficients(self) -> tuple[float, ...]:
        return (1.0 / self.r1 + 1.0 / self.r2, -1.0 / (self.r1 * self.r2))

    @property
    def roots(self) -> NDArray[np.complex128]:
        return np.array([self.r1, self.r2], dtype=complex)


@dataclass(frozen=True)
class SymmetricPair(Factor):
    """q_f(t) = 1 - kappa t^2: roots ±1/sqrt(kappa), on the imaginary axis where kappa < 0, at
    infinity where kappa = 0."""

    kappa: float
    kind: ClassVar[str] = "symmetric_pair"

    @property
    def correction_coefficients(self) -> tuple[float, ...]:
        return (0.0, float(self.kappa))

    @property
    def roots(self) -> NDArray[np.complex128]:
        w = cmath.sqrt(self.kappa)
        return reciprocals(np.array([w, -w]))


@dataclass(frozen=True)
class ComplexPair(Factor):
    """q_f(t) = 1 - (2 a t - t^2) / (a^2 + b^2): the roots a ± ib; b = 0 is a double real root."""

    a: float
    b: float
    kind: ClassVar[str] = "complex_pair"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.a == 0.0 and self.b == 0.0:
            raise ValueError(
                "complex_pair factor: a and b are both 0, a^2 + b^2 must be positive (q(0) = 1)"
            )
        _check_product(self.kind, float(self.a) * float(self.a) + float(self.b) * float(self.b))

    @property
    def correction_coefficients(self) -> tuple[float, ...]:
        square = self.a**2 + self.b**2
        return (2.0 * self.a / square, -1.0 / square)

    @property
    def roots(self) -> NDArray[np.complex128]:
        return np.array([complex(self.a, self.b), complex(self.a, -self.b)])


@dataclass(frozen=True)
class General(Factor):
    """q_f(t) = 1 - sum_j c_j t^(j+1) given by the coefficients c_0 .. c_{d-1} of p_f; for low
    degrees d."""

    c: tuple[float, ...]
    kind: ClassVar[str] = "general"

    def __post_init__(self) -> None:
        object.__setattr__(
            self,
            "c",
            tuple(check_array(self.c, "general factor: c", real=True).reshape(-1).tolist()),
        )
        super().__post_init__()
        if not self.c:
            raise ValueError("general factor: no coefficients given, at least c_0 is needed")

    @property
    def correction_coefficients(self) -> tuple[float, ...]:
        return self.c

    @property
    def roots(self) -> NDArray[np.complex128]:
        # The weights 1/r are the roots of the monic w^d - c_0 w^(d-1) - ... - c_{d-1}; a vanishing
        # leading c is a root at infinity.
        weights = np.roots([1.0, *(-x for x in self.c)])
        return reciprocals(weights.astype(complex))


FACTORS: dict[str, type[Factor]] = {
    cls.kind: cls for cls in (Linear, RealPair, SymmetricPair, ComplexPair, General)
}


def factor_from_dict(data: dict[str, Any]) -> Factor:
    """The inverse of `Factor.to_dict`.

    Raises
    ------
    ValueError
        For an unknown kind, or parameters that do not belong to it.
    """
    parameters = dict(check_kind(data, dict, "factor", "a dictionary as to_dict gives"))
    kind = parameters.pop("kind", None)
    if not isinstance(kind, str) or kind not in FACTORS:
        raise ValueError(f"unknown factor kind {kind!r}, known are: {', '.join(FACTORS)}")
    try:
        return FACTORS[kind](
            **{k: tuple(v) if isinstance(v, list) else v for k, v in parameters.items()}
        )
    except TypeError as error:
        expected = ", ".join(field.name for field in fields(FACTORS[kind]))
        raise ValueError(
            f"{kind} factor: got the parameters {sorted(parameters)}, needs {expected}"
        ) from error
