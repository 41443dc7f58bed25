"""The learned coefficients of a smoothing step: one module for every kind of factor of mgtheory,
with exact conversion to and from it.

Every correction is ``c = p(A) r`` with the kind's formula for p (the table of
`mgtheory.polynomials.factors`), whose parameters are trained: the weights. `COEFFICIENTS` says
where they start and, for pairs, how the roots are trained in their place (``parameterisation =
"roots"``: r1, r2, or a, b of a ± ib).

Weights are the default because they cannot lose their meaning: c is a polynomial in them, so loss
and gradients are finite for every finite value; no finite weight gives a root at zero (q(0) = 1
always); and a root that leaves through infinity (a weight crossing 0) does so smoothly. In the
roots themselves the same passage is a pole. There, roots are therefore kept outside of the disc of
radius `ROOT_GUARD` around 0 (pushed out along their own direction, sign kept; zero to the positive
side), and `factor` gives the polynomial that is really applied. `root_warnings` reports both kinds
of events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from mgtheory.polynomials.factors import FACTORS, Factor, horner
from mgtheory.polynomials.residual import POWER_BASIS_DEGREE
from nets.models.options import one_of

# a hundredth of the smallest size the published uniform start draws from, sqrt(3/256)
ROOT_GUARD = 1e-3
TINY_SQUARE = 1e-24  # a^2 + b^2 below which a pair has no direction
# farther out a factor is the identity to single precision on any spectrum of order 1
FAR_ROOT = 1e6
MAX_GENERAL_DEGREE = POWER_BASIS_DEGREE
PARAMETERISATIONS = ("weights", "roots")

Operator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Roots:
    """Roots trained in the place of a kind's weights.

    Attributes
    ----------
    names
        Of the trained numbers.
    weights
        Trained numbers -> the kind's parameters, roots nearer to 0 than `ROOT_GUARD` pushed out.
    trained
        Roots of a factor (in the order of its weights) -> the trained numbers.
    modulus
        Trained numbers -> the smallest modulus of the roots they stand for.
    """

    names: tuple[str, ...]
    weights: Callable[..., tuple[Tensor, ...]]
    trained: Callable[..., tuple[float, ...]]
    modulus: Callable[..., float]


@dataclass(frozen=True)
class Learned:
    """What a network makes of a kind of factor: values other than 1 to start at, by name, and the
    roots that can be trained in the place of the weights."""

    start: Mapping[str, float] = field(default_factory=dict)
    roots: Roots | None = None


def _real_weights(*roots: Tensor) -> tuple[Tensor, ...]:
    """1/r of the root itself outside of the guard, else of the guard with the root's sign; by what
    ONNX has, which is no copysign."""
    pushed = ((r.clamp_max(-ROOT_GUARD), r.clamp_min(ROOT_GUARD)) for r in roots)
    return tuple(1.0 / torch.where(r < 0, *ends) for r, ends in zip(roots, pushed))


def _pair_weights(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    """x, y with x - iy = 1/(a + ib), the root pushed out to the guard along its own direction."""
    zero = a * a + b * b < TINY_SQUARE  # without a direction: to the positive side
    a = torch.where(zero, torch.full_like(a, ROOT_GUARD), a)
    b = torch.where(zero, torch.zeros_like(b), b)
    square = a * a + b * b
    # the push, 1 outside of the guard
    out = (ROOT_GUARD * square.rsqrt()).clamp_min(1.0) * square
    return a / out, b / out


# What is learned of the kinds in mgtheory's FACTORS; one that is not named here is trained by its
# weights, all starting at 1.
COEFFICIENTS: dict[str, Learned] = {
    "real_pair": Learned(
        roots=Roots(
            ("r1", "r2"),
            _real_weights,
            lambda first, second: (first.real, second.real),
            lambda *values: min(map(abs, values)),
        )
    ),
    # on b = 0, which is y = 0, the gradient with respect to it vanishes
    "complex_pair": Learned(
        {"y": 0.5, "b": 0.5},
        Roots(
            ("a", "b"),
            _pair_weights,
            lambda upper, lower: (upper.real, upper.imag),
            lambda a, b: abs(complex(a, b)),
        ),
    ),
}


class Coefficients(nn.Module):
    """c = p(A) r with trained coefficients.

    Parameters
    ----------
    kind
        A key of mgtheory's `FACTORS`; its parameters become those of the module, by the same names.
    degree
        Degree d of q for a kind of any degree, whose terms are one parameter ``c`` of shape (d,).
    parameterisation
        ``weights`` or ``roots``.
    """

    def __init__(self, kind: str, degree: int = 0, *, parameterisation: str = "weights") -> None:
        super().__init__()
        self.kind, self.parameterisation = kind, parameterisation
        self.degree = FACTORS[kind].degree or degree
        for name, value in self._as_made():
            self.register_parameter(name, nn.Parameter(value))

    def _as_made(self) -> Iterator[tuple[str, Tensor]]:
        """(name, value) of every trained parameter before any start."""
        start = COEFFICIENTS.get(self.kind, Learned()).start
        for name in self.names:
            one = torch.tensor(float(start.get(name, 1.0)))
            yield name, torch.eye(1, self.degree)[0] if name == "c" else one

    def reset_parameters(self) -> None:
        """As they are made, in place: by this name torch's own layers draw theirs anew."""
        for name, value in self._as_made():
            assign(self, name, value)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the trained parameters."""
        entry = FACTORS[self.kind]
        if entry.parameters is None:
            return ("c",)
        return self.by_roots.names if self.by_roots else tuple(entry.parameters)

    @property
    def settable(self) -> bool:
        """Whether they can be set: not where other tensors stand in their place, as
        `torch.func.functional_call` puts them."""
        return all(is_settable(self, name) for name in self.names)

    @property
    def by_roots(self) -> Roots | None:
        """How the roots are trained; None where the weights are."""
        learned = COEFFICIENTS.get(self.kind, Learned())
        return learned.roots if self.parameterisation == "roots" else None

    def _trained(self) -> tuple[Tensor, ...]:
        if FACTORS[self.kind].parameters is None:
            terms = cast("Tensor", self.c).unbind()
            return tuple(terms[i] for i in range(self.degree))  # torch.fx unpacks no tuple
        return tuple(getattr(self, name) for name in self.names)

    def _weights(self, trained: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return trained if self.by_roots is None else self.by_roots.weights(*trained)

    def terms(self) -> Sequence[Tensor | int]:
        """Ascending coefficients of p, one for each product with A: tensors, or a literal 0."""
        return FACTORS[self.kind].terms(*self._weights(self._trained()))

    def forward(self, operator: Operator, r: Tensor) -> Tensor:
        """The correction c for the residual r, `degree` - 1 products with A."""
        c: Tensor = horner(operator, self.terms(), r, times=self.scaled)
        return c

    def parts(self, operator: Operator, r: Tensor) -> tuple[Tensor | None, Tensor]:
        """(k1 r, k2 A r) with c = k1 r - k2 A r; for degree 2 alone. None stands for k1 = 0."""
        k1, minus_k2 = self.terms()
        first = None if isinstance(k1, int) else self.scaled(k1, r)
        return first, operator(self.scaled(-minus_k2, r))

    def scaled(self, term: Any, r: Tensor) -> Tensor:
        """term r."""
        return _scaled(term, r)

    def nearest_root(self) -> float | None:
        """The smallest modulus of roots that are trained, before the guard; None for weights."""
        trained = (float(value.detach()) for value in self._trained())
        return None if self.by_roots is None else self.by_roots.modulus(*trained)

    def factor(self) -> Factor:
        """The factor that is applied now, in float64."""
        trained = tuple(value.detach().double() for value in self._trained())
        return Factor(self.kind, tuple(float(w) for w in self._weights(trained)))

    def set_factor(self, factor: Factor) -> None:
        """Set the parameters to those of a factor of the same kind, or degree for a kind of any."""
        if factor.degree != self.degree:
            raise ValueError(
                f"a factor of degree {factor.degree} does not fit a {self.kind} step of degree"
                f" {self.degree}"
            )
        if FACTORS[self.kind].parameters is None:
            factor = Factor(self.kind, factor.correction_coefficients)
        if factor.kind != self.kind:
            raise ValueError(f"a {factor.kind} factor does not fit a {self.kind} step")
        names, values = tuple(factor.powers), factor.parameters
        if self.by_roots is not None:
            names, values = self.by_roots.names, self.by_roots.trained(*factor.roots)
        dtype = self._trained()[0].dtype
        for name, value in zip(names, values, strict=True):
            if not abs(value) <= torch.finfo(dtype).max:
                raise ValueError(
                    f"{self.kind} coefficient {name} would be {value:g}, must be finite in {dtype}"
                )
            if value and not torch.tensor(value, dtype=dtype, device="cpu"):
                raise ValueError(
                    f"{self.kind} coefficient {name} would be {value:g}, which is 0 in {dtype}:"
                    " scale the operator"
                )
        whole = torch.tensor(values, dtype=dtype, device="cpu")
        for name, value in zip(self.names, [whole] if self.names == ("c",) else whole):
            assign(self, name, value)


def is_settable(module: nn.Module, name: str) -> bool:
    """Whether a parameter, or what a parametrization of torch makes of one, stands there."""
    own = isinstance(getattr(module, name), nn.Parameter)
    return own or parametrize.is_parametrized(module, name)


@contextmanager
def writing(tensor: Tensor) -> Iterator[None]:
    """Within, a tensor may be written in place: without gradients, and in inference mode where it
    was made in that, for torch lets nobody else."""
    with torch.inference_mode(tensor.is_inference()), torch.no_grad():  # the first turns them on
        yield


def assign(module: nn.Module, name: str, value: Tensor) -> None:
    """Set a parameter in place, through its parametrization (`torch.nn.utils.parametrize`, such as
    a weight norm) where it has one.

    ValueError for what is computed before every pass, as by pruning or an old `weight_norm`, and
    where a parametrization does not take the value, for it would be lost.
    """
    what = f"the {name} of a {type(module).__name__}"
    if not is_settable(module, name):
        raise ValueError(
            f"{what} is computed from other tensors and cannot be set: start it before"
        )
    old = getattr(module, name)
    with writing(old):
        if not parametrize.is_parametrized(module, name):
            old.copy_(value)
            return
        new, why = value.to(old), ""
        try:
            setattr(module, name, new)  # by the `right_inverse` of the parametrization
        except (NotImplementedError, RuntimeError, ValueError) as error:
            why = f": {error}"
        close = 1e3 * torch.finfo(new.dtype).eps
        if why or not torch.allclose(getattr(module, name), new, rtol=close, atol=close):
            raise ValueError(f"{what} has a parametrization that cannot give its start{why}")


@fx.wrap
def _scaled(term: Any, r: Tensor) -> Tensor:
    """term r, the coefficient first spread over the channels: its gradient is then summed per
    channel, in one pass with a batch norm's."""
    spread = term if r.ndim < 3 else term.to(r.dtype).expand(r.shape[-3])[:, None, None]
    return spread * r  # type: ignore[no-any-return]


def parse_kind(kind: str) -> tuple[str, int]:
    """(kind, degree of q) of a step's name, a key of mgtheory's `FACTORS`; a kind of any degree has
    its degree, 1 to 10, behind it: ``general3``. ValueError for others."""
    known: dict[str, tuple[str, int]] = {}
    for name, entry in FACTORS.items():
        if entry.degree is None:
            degrees = range(1, MAX_GENERAL_DEGREE + 1)
            known |= {f"{name}{degree}": (name, degree) for degree in degrees}
        else:
            known[name] = name, entry.degree
    if not isinstance(kind, str) or kind not in known:
        raise ValueError(f"unknown kind of step {kind!r}, known are: {', '.join(known)}")
    return known[kind]


def make_coefficients(kind: str, *, parameterisation: str = "weights") -> Coefficients:
    """The module for one step; its coefficients start at 1 (a general step's at 1, 0, 0, ...)."""
    one_of(parameterisation, "parameterisation", PARAMETERISATIONS)
    return Coefficients(*parse_kind(kind), parameterisation=parameterisation)


def root_warnings(coefficients: Coefficients, *, start: Factor | None = None) -> list[str]:
    """What happened to the roots of one step: at the guard around 0, at infinity, or passed through
    infinity since `start`; one sentence per event."""
    messages = []
    guarded = coefficients.nearest_root()
    if guarded is not None and guarded <= ROOT_GUARD:
        messages.append(f"a root of modulus {guarded:.2g} was held at the guard {ROOT_GUARD:g}")
    factor = coefficients.factor()
    for root in abs(factor.roots):
        if not root < FAR_ROOT:
            messages.append(f"a root is at infinity (modulus {root:.2g}): its factor does nothing")
        elif root <= ROOT_GUARD and guarded is None:
            messages.append(
                f"a root of modulus {root:.2g} is inside of {ROOT_GUARD:g}: its weight is"
                f" {1 / root:.2g}"
            )
    if start is not None and start.degree == factor.degree:
        now, then = (sorted(f.weights.real) for f in (factor, start))
        crossed = sum(a * b < 0 for a, b in zip(now, then))
        if crossed:
            messages.append(f"the real part of {crossed} root(s) changed its sign since the start")
        if factor.kind == start.kind:
            for name, power in factor.powers.items():
                # 1 - kappa t^2: kappa > 0 has real roots, kappa < 0 imaginary ones
                turned = factor.values[name] * start.values[name] < 0
                if turned and power % 2 == 0 and len(factor.powers) == 1:
                    messages.append(
                        f"the roots left their axis since the start: {name} changed its sign"
                    )
    return messages
