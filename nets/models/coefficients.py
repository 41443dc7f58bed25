"""The learned coefficients of a smoothing step: one module per kind of factor, with exact
conversion to and from mgtheory's factors.

Every correction is ``c = p(A) r`` with a real polynomial p of low degree. The table gives what is
trained.

==============  ================================================
========================================== kind            trained, ``parameterisation="weights"``
trained, ``parameterisation="roots"`` ==============
================================================  ========================================== linear
w (the weight)                                    w symmetric_pair  kappa, signed
kappa real_pair       the weights w1, w2:                               the roots r1, r2:
                c = (w1 + w2) r - w1 w2 A r                       c = ((r1 + r2) r - A r) / (r1 r2)
complex_pair    the weight x - iy = 1/(a + ib):                   the root a + ib:
                c = 2 x r - (x^2 + y^2) A r                       c = (2 a r - A r) / (a^2 + b^2)
general<d>      c_0 .. c_{d-1}: c = sum c_j A^j r by Horner       the same
==============  ================================================
==========================================

Weights are the default because they cannot lose their meaning: c is a polynomial in them, so loss
and gradients are finite for every finite value; no finite weight gives a root at zero (a^2 + b^2 =
1/(x^2 + y^2) > 0 always, q(0) = 1 always); and a root that leaves through infinity (a weight
crossing 0) does so smoothly. In the roots themselves the same passage is a pole. There, roots are
therefore kept outside of the disc of radius `ROOT_GUARD` around 0 (pushed out along their own
direction, sign kept; zero to the positive side), and `factor` gives the polynomial that is really
applied. `root_warnings` reports both kinds of events.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from mgtheory.polynomials.factors import (
    ComplexPair,
    Factor,
    General,
    Linear,
    RealPair,
    SymmetricPair,
)

__all__ = [
    "COEFFICIENTS",
    "MAX_GENERAL_DEGREE",
    "PARAMETERISATIONS",
    "ROOT_GUARD",
    "Coefficients",
    "factor_degree",
    "make_coefficients",
    "parse_kind",
    "root_warnings",
]

# a hundredth of the smallest size the published uniform start draws from, sqrt(3/256)
ROOT_GUARD = 1e-3
TINY_SQUARE = 1e-24  # a^2 + b^2 below which a pair has no direction
# farther out a factor is the identity to single precision on any spectrum of order 1
FAR_ROOT = 1e6
# the power basis loses half of a double's digits above it, see mgtheory.polynomials.residual
MAX_GENERAL_DEGREE = 10
PARAMETERISATIONS = ("weights", "roots")

Operator = Callable[[Tensor], Tensor]
F = TypeVar("F", bound=Factor)


class Coefficients(nn.Module):
    """c = p(A) r with trained coefficients; `terms` gives those of p, ascending, as
    zero-dimensional tensors."""

    kind: ClassVar[str] = ""

    def __init__(self, *names: str, parameterisation: str = "weights", start: float = 1.0) -> None:
        super().__init__()
        self.parameterisation = parameterisation
        for name in names:
            self.register_parameter(name, nn.Parameter(torch.tensor(float(start))))

    def terms(self) -> tuple[Tensor, ...]:
        """Ascending coefficients of p, one for each product with A that q costs."""
        raise NotImplementedError

    @property
    def degree(self) -> int:
        """Degree of q; the correction costs `degree` - 1 products with A."""
        return len(self.terms())

    def forward(self, operator: Operator, r: Tensor) -> Tensor:
        """The correction c for the residual r, by Horner's rule."""
        *lower, leading = self.terms()
        c = _scaled(leading, r)
        for term in reversed(lower):
            c = operator(c) + _scaled(term, r)
        return c

    def parts(self, operator: Operator, r: Tensor) -> tuple[Tensor | None, Tensor]:
        """(k1 r, k2 A r) with c = k1 r - k2 A r; for degree 2 alone. None stands for k1 = 0."""
        k1, minus_k2 = self.terms()
        return _scaled(k1, r), operator(_scaled(-minus_k2, r))

    def factor(self) -> Factor:
        """The factor that is applied now, in float64."""
        raise NotImplementedError

    def set_factor(self, factor: Factor) -> None:
        """Set the parameters to those of `factor`, of the same kind."""
        raise NotImplementedError

    def _assign(self, **values: float) -> None:
        with torch.no_grad():
            for name, value in values.items():
                parameter = getattr(self, name)
                if not abs(value) <= torch.finfo(parameter.dtype).max:
                    raise ValueError(
                        f"{self.kind} coefficient {name} would be {value:g}, must be finite in"
                        f" {parameter.dtype}"
                    )
                parameter.fill_(value)

    def _values(self) -> tuple[float, ...]:
        return tuple(float(p.detach()) for p in self.parameters())


class LinearCoefficient(Coefficients):
    """c = w r; the root is 1/w."""

    kind = "linear"
    w: nn.Parameter

    def __init__(self, *, parameterisation: str = "weights") -> None:
        super().__init__("w", parameterisation=parameterisation)

    def terms(self) -> tuple[Tensor, ...]:
        return (self.w,)

    def factor(self) -> Factor:
        return Linear(*self._values())

    def set_factor(self, factor: Factor) -> None:
        self._assign(w=_expect(factor, Linear).w)


class SymmetricPairCoefficient(Coefficients):
    """c = kappa A r; the roots are ±1/sqrt(kappa), imaginary for kappa < 0."""

    kind = "symmetric_pair"
    kappa: nn.Parameter

    def __init__(self, *, parameterisation: str = "weights") -> None:
        super().__init__("kappa", parameterisation=parameterisation)

    def terms(self) -> tuple[Tensor, ...]:
        return (torch.zeros_like(self.kappa), self.kappa)

    def forward(self, operator: Operator, r: Tensor) -> Tensor:
        return operator(_scaled(self.kappa, r))

    def parts(self, operator: Operator, r: Tensor) -> tuple[Tensor | None, Tensor]:
        return None, operator(_scaled(-self.kappa, r))

    def factor(self) -> Factor:
        return SymmetricPair(*self._values())

    def set_factor(self, factor: Factor) -> None:
        self._assign(kappa=_expect(factor, SymmetricPair).kappa)


class RealPairCoefficients(Coefficients):
    """c = (w1 + w2) r - w1 w2 A r; the roots are r_i = 1/w_i."""

    kind = "real_pair"
    w1: nn.Parameter
    w2: nn.Parameter
    r1: nn.Parameter
    r2: nn.Parameter

    def __init__(self, *, parameterisation: str = "weights") -> None:
        super().__init__(
            *(("w1", "w2") if parameterisation == "weights" else ("r1", "r2")),
            parameterisation=parameterisation,
        )

    def terms(self) -> tuple[Tensor, ...]:
        if self.parameterisation == "weights":
            return (self.w1 + self.w2, -self.w1 * self.w2)
        r1, r2 = (_outside_guard(r) for r in (self.r1, self.r2))
        return ((r1 + r2) / (r1 * r2), -1.0 / (r1 * r2))

    def factor(self) -> Factor:
        first, second = self._values()
        if self.parameterisation == "weights":
            if first == 0.0 or second == 0.0:  # a root at infinity, which RealPair cannot name
                return General((first + second, -first * second))
            return RealPair(1.0 / first, 1.0 / second)
        return RealPair(*(math.copysign(max(abs(r), ROOT_GUARD), r) for r in (first, second)))

    def set_factor(self, factor: Factor) -> None:
        pair = _expect(factor, RealPair)
        if self.parameterisation == "weights":
            self._assign(w1=1.0 / pair.r1, w2=1.0 / pair.r2)
        else:
            self._assign(r1=pair.r1, r2=pair.r2)


class ComplexPairCoefficients(Coefficients):
    """c = 2 x r - (x^2 + y^2) A r; the roots are a ± ib with x - iy = 1/(a + ib)."""

    kind = "complex_pair"
    x: nn.Parameter
    y: nn.Parameter
    a: nn.Parameter
    b: nn.Parameter

    def __init__(self, *, parameterisation: str = "weights") -> None:
        super().__init__(
            *(("x", "y") if parameterisation == "weights" else ("a", "b")),
            parameterisation=parameterisation,
        )
        # on b = 0 the gradient with respect to b vanishes
        self._assign(**{"y" if parameterisation == "weights" else "b": 0.5})

    def terms(self) -> tuple[Tensor, ...]:
        if self.parameterisation == "weights":
            return (2.0 * self.x, -(self.x * self.x + self.y * self.y))
        # without a direction: to the positive side
        zero = self.a * self.a + self.b * self.b < TINY_SQUARE
        a = torch.where(zero, torch.full_like(self.a, ROOT_GUARD), self.a)
        b = torch.where(zero, torch.zeros_like(self.b), self.b)
        square = a * a + b * b
        # the push along the root's own direction, 1 outside of the guard
        out = (ROOT_GUARD * square.rsqrt()).clamp_min(1.0)
        return (2.0 * a / (out * square), -1.0 / (out * out * square))

    def factor(self) -> Factor:
        first, second = self._values()
        if self.parameterisation == "weights":
            square = first * first + second * second
            if square == 0.0:
                return General((0.0, 0.0))
            return ComplexPair(first / square, second / square)
        if first * first + second * second < TINY_SQUARE:
            return ComplexPair(ROOT_GUARD, 0.0)
        out = max(1.0, ROOT_GUARD / math.hypot(first, second))
        return ComplexPair(out * first, out * second)

    def set_factor(self, factor: Factor) -> None:
        pair = _expect(factor, ComplexPair)
        if self.parameterisation == "weights":
            square = pair.a**2 + pair.b**2
            self._assign(x=pair.a / square, y=pair.b / square)
        else:
            self._assign(a=pair.a, b=pair.b)


class GeneralCoefficients(Coefficients):
    """c = sum_{j<d} c_j A^j r, by Horner's rule."""

    kind = "general"

    def __init__(self, degree: int, *, parameterisation: str = "weights") -> None:
        super().__init__(parameterisation=parameterisation)
        self.c = nn.Parameter(torch.eye(1, degree)[0])

    def terms(self) -> tuple[Tensor, ...]:
        return self.c.unbind()

    @property
    def degree(self) -> int:
        return self.c.numel()

    def factor(self) -> Factor:
        return General(tuple(self.c.detach().double().tolist()))

    def set_factor(self, factor: Factor) -> None:
        values = factor.correction_coefficients
        if len(values) != self.degree:
            raise ValueError(
                f"a factor of degree {len(values)} does not fit a general step of degree"
                f" {self.degree}"
            )
        with torch.no_grad():
            self.c.copy_(torch.tensor(values, dtype=torch.float64))


def _scaled(term: Tensor, r: Tensor) -> Tensor:
    """term r, the coefficient first spread over the channels: its gradient is then summed per
    channel, in one pass with a batch norm's."""
    return term * r if r.ndim < 3 else term.to(r.dtype).expand(r.shape[-3])[:, None, None] * r


def _expect(factor: Factor, kind: type[F]) -> F:
    if not isinstance(factor, kind):
        raise ValueError(f"a {factor.kind} factor does not fit a {kind.kind} step")
    return factor


def _outside_guard(root: Tensor) -> Tensor:
    """The root itself outside of the guard, else the guard with the root's sign."""
    return torch.where(
        root.abs() < ROOT_GUARD, torch.copysign(torch.full_like(root, ROOT_GUARD), root), root
    )


COEFFICIENTS: dict[str, type[Coefficients]] = {
    cls.kind: cls
    for cls in (
        LinearCoefficient,
        RealPairCoefficients,
        SymmetricPairCoefficient,
        ComplexPairCoefficients,
        GeneralCoefficients,
    )
}


def parse_kind(kind: str) -> tuple[str, int]:
    """(kind, degree of q) of a step's name: one of `COEFFICIENTS`, the general one with its degree,
    ``general3``.

    Raises
    ------
    ValueError
        For an unknown kind, or a general one without a degree from 1 to 10.
    """
    degrees = {"linear": 1, "real_pair": 2, "symmetric_pair": 2, "complex_pair": 2}
    if kind in degrees:
        return kind, degrees[kind]
    digits = kind.removeprefix("general") if isinstance(kind, str) else ""
    if kind != digits and digits.isdecimal() and 1 <= int(digits) <= MAX_GENERAL_DEGREE:
        return "general", int(digits)
    known = ", ".join(degrees)
    raise ValueError(
        f"unknown kind of step {kind!r}, known are: {known}, general<d> with d from 1 to"
        f" {MAX_GENERAL_DEGREE}"
    )


def factor_degree(kind: str) -> int:
    """Degree of q of a step of this kind: the products with A that it costs in the plain form."""
    return parse_kind(kind)[1]


def make_coefficients(kind: str, *, parameterisation: str = "weights") -> Coefficients:
    """The module for one step; its coefficients start at 1 (a general step's at 1, 0, 0, ...)."""
    if parameterisation not in PARAMETERISATIONS:
        raise ValueError(
            f"parameterisation is {parameterisation!r}, allowed are: {', '.join(PARAMETERISATIONS)}"
        )
    name, degree = parse_kind(kind)
    if name == "general":
        return GeneralCoefficients(degree, parameterisation=parameterisation)
    return COEFFICIENTS[name](parameterisation=parameterisation)


def root_warnings(coefficients: Coefficients, *, start: Factor | None = None) -> list[str]:
    """What happened to the roots of one step: at the guard around 0, at infinity, or passed through
    infinity since `start`.

    Returns
    -------
    list of str
        One sentence per event, empty if every root kept its meaning.
    """
    messages = []
    if coefficients.parameterisation == "roots":
        values = coefficients._values()
        modulus = (
            [math.hypot(*values)]
            if coefficients.kind == "complex_pair"
            else [abs(v) for v in values]
        )
        if coefficients.kind in ("complex_pair", "real_pair") and min(modulus) <= ROOT_GUARD:
            messages.append(
                f"a root of modulus {min(modulus):.2g} was held at the guard {ROOT_GUARD:g}"
            )
    roots = coefficients.factor().roots
    for root in roots:
        if not abs(root) < FAR_ROOT:
            messages.append(
                f"a root is at infinity (modulus {abs(root):.2g}): its factor does nothing"
            )
        elif abs(root) <= ROOT_GUARD and coefficients.parameterisation == "weights":
            messages.append(
                f"a root of modulus {abs(root):.2g} is inside of {ROOT_GUARD:g}: its weight is"
                f" {1 / abs(root):.2g}"
            )
    if start is not None and start.degree == len(roots):
        now, then = (
            sorted((1.0 / z).real for z in values if z != 0) for values in (roots, start.roots)
        )
        crossed = sum(a * b < 0 for a, b in zip(now, then))
        if crossed and coefficients.kind != "symmetric_pair":
            messages.append(f"the real part of {crossed} root(s) changed its sign since the start")
        if isinstance(start, SymmetricPair) and start.kappa * coefficients._values()[0] < 0:
            messages.append(
                "the symmetric pair left its axis since the start: kappa changed its sign"
            )
    return messages
