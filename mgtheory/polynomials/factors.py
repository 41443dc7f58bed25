"""The real factors a residual polynomial is built from: the steps of a smoother and the blocks of a
network.

A factor is a polynomial ``q_f(t) = 1 - t p_f(t)`` of low degree with real coefficients. Applying it
once adds the correction ``c = p_f(M) s`` to the iterate, where ``M`` is the operator as it is
applied (``A`` or ``B A``) and ``s`` the residual as it is applied (``r`` or ``B r``), and leaves
the residual ``q_f(M) s = s - M c``. A kind of factor is an entry of `FACTORS`: solver, network and
analysis read it and apply `horner`.

===============  =====================  ================================  ==============
kind             parameters (weights)   correction c = p_f(M) s           roots
===============  =====================  ================================  ==============
linear           w                      w s                               1/w
real_pair        w1, w2                 (w1 + w2) s - w1 w2 M s           1/w1, 1/w2
symmetric_pair   kappa                  kappa M s                         ±1/sqrt(kappa)
complex_pair     x, y                   2 x s - (x^2 + y^2) M s           1/(x ± iy)
general          c_0 .. c_{d-1}         sum_j c_j M^j s                   of q_f
===============  =====================  ================================  ==============

Weights are the natural coordinates: q_f is a polynomial in them, and a root at infinity, which a
network may well pass through, is just the weight 0. The pairs are also made from their roots, as
the literature writes them: `RealPair` (r1, r2) and `ComplexPair` (a, b) for a ± ib.
"""

from __future__ import annotations

import cmath
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import check_array, check_kind, check_name, check_number
from mgtheory.polynomials.roots import reciprocals


@dataclass(frozen=True)
class Kind:
    """A kind of factor: its parameters and one formula.

    Attributes
    ----------
    terms
        Parameters -> ascending coefficients of p_f, by ``+ - *`` alone, so that floats, numpy
        arrays, torch tensors and sympy symbols all go through it. A literal 0 stands for a term
        that the kind does not have.
    parameters
        Name -> m for a parameter in units of 1/A^m: times b^m, b the operator's largest eigenvalue,
        it has no unit. None for a kind whose parameters are its terms, as many as its degree.
    weights
        Parameters -> reciprocals of the roots of q_f in closed form, which keeps the digits of
        double roots; None where they are computed from the terms.
    """

    terms: Callable[..., Sequence[Any]]
    parameters: Mapping[str, int] | None = None
    weights: Callable[..., Sequence[complex]] | None = None

    def powers(self, count: int) -> Mapping[str, int]:
        """`parameters`, of a kind of any degree its `count` terms c_0, c_1, ..."""
        if self.parameters is None:
            return {f"c_{j}": j + 1 for j in range(count)}
        return self.parameters

    @property
    def degree(self) -> int | None:
        """Degree of q_f: the products with the operator in one step; None if it can be any."""
        return None if self.parameters is None else len(self.terms(*(0.0 for _ in self.parameters)))


FACTORS: dict[str, Kind] = {
    "linear": Kind(lambda w: (w,), {"w": 1}, lambda w: (w,)),
    "real_pair": Kind(
        lambda w1, w2: (w1 + w2, -w1 * w2), {"w1": 1, "w2": 1}, lambda w1, w2: (w1, w2)
    ),
    "symmetric_pair": Kind(
        lambda kappa: (0, kappa),
        {"kappa": 2},
        lambda kappa: (cmath.sqrt(kappa), -cmath.sqrt(kappa)),
    ),
    "complex_pair": Kind(
        lambda x, y: (2 * x, -(x * x + y * y)),
        {"x": 1, "y": 1},
        lambda x, y: (complex(x, -y), complex(x, y)),
    ),
    "general": Kind(lambda *c: c),
}


def horner(
    apply: Callable[[Any], Any],
    terms: Sequence[Any],
    s: Any,
    *,
    times: Callable[[Any, Any], Any] = operator.mul,
) -> Any:
    """c = p(M) s = sum_j terms[j] M^j s by Horner's rule, ``len(terms) - 1`` products with M.

    `apply` is v -> M v; s is of any array type, or a number; a term that is a number 0 costs
    nothing. `times` (term, s) -> term s is for arrays that have a better way.

    Examples
    --------
    >>> horner(lambda v: 10 * v, (1, 0, 2), 1.0)  # 1 + 0 * 10 + 2 * 100
    201.0
    """
    *lower, leading = terms
    c = times(leading, s)
    for term in reversed(lower):
        c = apply(c)
        # only a plain number: whether a tensor is 0 must not be asked while a graph is recorded
        if not (isinstance(term, int | float) and term == 0):
            c = c + times(term, s)
    return c


@dataclass(frozen=True, repr=False)
class Factor:
    """q_f(t) = 1 - t p_f(t) with real coefficients: a kind of `FACTORS` and the values of its
    parameters, one finite number each.

    Each parameter is also an attribute, such as ``Linear(0.5).w``.

    Attributes
    ----------
    correction_coefficients
        Ascending coefficients of p_f, one for each product with the operator that q_f costs.

    Raises
    ------
    ValueError
        Also where a term leaves the range of doubles: the factor would silently be another one.

    Examples
    --------
    >>> Factor("real_pair", (0.5, 0.0)).roots.real.tolist()  # the second at infinity
    [2.0, inf]
    """

    kind: str
    parameters: tuple[float, ...]
    correction_coefficients: tuple[float, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        names = tuple(_kind(self.kind).powers(len(self.parameters)))
        count = len(self.parameters)
        if len(names) != count or not names:
            needed = ", ".join(names) or "at least c_0"
            raise ValueError(f"{self.kind} factor: got {count} parameters, needs {needed}")
        values = tuple(
            check_number(value, f"{self.kind} factor: {name}", "of any sign, it must be finite")
            for name, value in zip(names, self.parameters)
        )
        object.__setattr__(self, "parameters", values)
        formula = FACTORS[self.kind].terms
        terms = tuple(float(term) for term in formula(*values))
        # A term 0 or infinite may be out of range: rare, then looked at in exact arithmetic.
        if not all(term != 0 and math.isfinite(term) for term in terms):
            for term, exact in zip(terms, formula(*map(Fraction, values))):
                if (term == 0) != (exact == 0) or not math.isfinite(term):
                    raise ValueError(
                        f"{self.kind} factor: a coefficient of its correction leaves the range of"
                        f" double precision ({term:g}) for the parameters {values}: scale the"
                        " operator"
                    )
        object.__setattr__(self, "correction_coefficients", terms)

    def __getattr__(self, name: str) -> float:
        # while a copy is made, the fields themselves are still missing
        values = self.values if "parameters" in self.__dict__ else {}
        if name in values:
            return values[name]
        raise AttributeError(f"a factor has no attribute {name!r}")

    @property
    def powers(self) -> Mapping[str, int]:
        """Name -> m of each parameter, in units of 1/A^m; see `Kind.parameters`."""
        return FACTORS[self.kind].powers(len(self.parameters))

    @property
    def values(self) -> dict[str, float]:
        """Name -> value of each parameter."""
        return dict(zip(self.powers, self.parameters, strict=True))

    @property
    def coefficients(self) -> tuple[float, ...]:
        """Ascending coefficients of q_f, the first of them 1."""
        return (1.0, *(-c for c in self.correction_coefficients))

    @property
    def degree(self) -> int:
        """Degree of q_f: the products with the operator in one step."""
        return len(self.correction_coefficients)

    @property
    def weights(self) -> NDArray[np.complex128]:
        """The reciprocals of the roots, complex, `degree` of them; 0 for a root at infinity."""
        closed_form = FACTORS[self.kind].weights
        if closed_form is not None:
            return np.array(closed_form(*self.parameters), dtype=complex)
        # 1/r are the roots of the monic w^d - c_0 w^(d-1) - ... - c_{d-1}
        return np.roots(self.coefficients).astype(complex)

    @property
    def roots(self) -> NDArray[np.complex128]:
        """Roots of q_f, complex, `degree` of them; infinite where a weight is 0."""
        return reciprocals(self.weights)

    def correction(self, apply_operator: Callable[[Any], Any], s: Any) -> Any:
        """c = p_f(M) s for ``apply_operator`` v -> M v: `degree` - 1 products with M."""
        return horner(apply_operator, self.correction_coefficients, s)

    def scaled(self, factor: float) -> Factor:
        """The same q_f for the operator multiplied by `factor` > 0: q_f(t / factor)."""
        powers = self.powers.values()
        return Factor(
            self.kind, tuple(p / factor**m for p, m in zip(self.parameters, powers, strict=True))
        )

    def to_dict(self) -> dict[str, Any]:
        """The factor as JSON types: its kind and its parameters by name."""
        return {"kind": self.kind, **self.values}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"{self.kind}({shown})"


def Linear(w: float) -> Factor:
    """q_f(t) = 1 - w t: one damped Richardson (or Jacobi) step; w = 0 is a root at infinity."""
    return Factor("linear", (w,))


def RealPair(r1: float, r2: float) -> Factor:
    """q_f(t) = (1 - t/r1)(1 - t/r2) from two real roots: infinite ones allowed, zero not."""
    r1, r2 = check_array([r1, r2], "real_pair factor: roots", real=True).tolist()
    if r1 == 0.0 or r2 == 0.0:
        raise ValueError(f"real_pair factor: roots are {r1} and {r2}, must not be zero (q(0) = 1)")
    return Factor("real_pair", (1.0 / r1, 1.0 / r2))


def SymmetricPair(kappa: float) -> Factor:
    """q_f(t) = 1 - kappa t^2: roots ±1/sqrt(kappa), imaginary where kappa < 0."""
    return Factor("symmetric_pair", (kappa,))


def ComplexPair(a: float, b: float) -> Factor:
    """q_f(t) = 1 - (2 a t - t^2) / (a^2 + b^2) from the roots a ± ib; b = 0: a double root."""
    a, b = check_array([a, b], "complex_pair factor: a and b", real=True).tolist()
    if a == 0.0 and b == 0.0:
        raise ValueError(
            "complex_pair factor: a and b are both 0, a^2 + b^2 must be positive (q(0) = 1)"
        )
    w = 1.0 / complex(a, b)
    return Factor("complex_pair", (w.real, -w.imag))


def General(c: Sequence[float] | NDArray[np.float64]) -> Factor:
    """q_f(t) = 1 - sum_j c_j t^(j+1), c_0 .. c_{d-1} those of p_f; for low degrees d."""
    values = check_array(c, "general factor: c", real=True)
    return Factor("general", tuple(values.reshape(-1).tolist()))


def factor_from_dict(data: dict[str, Any]) -> Factor:
    """The inverse of `Factor.to_dict`; it also reads what earlier versions wrote: pairs by their
    roots, the general one's c as a list."""
    given = dict(check_kind(data, dict, "factor", "a dictionary as to_dict gives"))
    kind = given.pop("kind", None)
    entry = _kind(kind)
    by_roots: dict[tuple[str, ...], Callable[..., Factor]] = {
        ("real_pair", "r1", "r2"): RealPair,
        ("complex_pair", "a", "b"): ComplexPair,
        ("general", "c"): General,
    }
    former = by_roots.get((str(kind), *sorted(given)))
    if former is not None:
        return former(*(given[name] for name in sorted(given)))
    names = entry.powers(len(given))
    if set(names) == set(given):
        return Factor(str(kind), tuple(given[name] for name in names))
    raise ValueError(f"{kind} factor: got the parameters {sorted(given)}, needs {', '.join(names)}")


def _kind(name: Any) -> Kind:
    return FACTORS[check_name(name, tuple(FACTORS), "factor kind")]
