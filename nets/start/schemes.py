"""Where the starting roots come from: one source of roots per scheme, and the rules that turn roots
into the factors of a level.

A source gives n roots for A, or for A^2 (a symmetric pair 1 - kappa t^2 is a linear factor in t^2).
The rules:

- linear steps take the roots in Leja order; a complex root is replaced by its modulus (fitted);
- symmetric pairs take the family of their number on A^2, spectrum (0, b^2]: kappa_i = 1/r_i;
- real pairs take two real roots each, equal ones a little apart (fitted); complex pairs a conjugate
  pair where there is one, else the mean of two real roots with a small imaginary part (fitted);
  general steps any polynomial of their degree, exactly.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mgtheory import InitialCoefficients, derive, problems
from mgtheory.families import FAMILIES
from mgtheory.polynomials.factors import FACTORS, ComplexPair, Factor, General, RealPair
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.roots import leja_order
from nets.start.operators import LevelSpectrum, operator_matrix

__all__ = ["GUARD", "PAIR_GUARD", "SCHEMES", "Source", "factors_from_roots", "find_scheme"]

# roots are kept at least this far from 0, relative to the scale they are drawn from or to b
GUARD = 1e-2
# imaginary part of a pair without one, relative to its real part, where the gradient for b would
# vanish; and half of the
PAIR_GUARD = 1e-2
# distance between two equal roots, whose gradients would be equal for ever
Roots = NDArray[np.complex128]


@dataclass
class Source:
    """What a scheme knows of one level while it gives roots, and what it has to say about them.

    Attributes
    ----------
    operator, spectrum
        The level's A and its eigenvalues.
    generator
        For random schemes.
    options
        The scheme's own.
    reasons
        Why a root is not what the family gives: filled on the way.
    used
        The initial coefficients the roots were taken from, if any.
    scale
        What roots near 0 are measured by: that of the last `guarded` ones, at first b.
    """

    operator: nn.Conv2d
    spectrum: LevelSpectrum
    generator: torch.Generator | None
    options: Mapping[str, Any]
    reasons: list[str] = field(default_factory=list)
    used: list[InitialCoefficients] = field(default_factory=list)
    scale: float = field(init=False)

    def __post_init__(self) -> None:
        self.scale = self.spectrum.radius

    def say(self, reason: str) -> None:
        """Note why a root was changed, once."""
        if reason not in self.reasons:
            self.reasons.append(reason)

    def uniform(self, n: int, low: float, high: float) -> NDArray[np.float64]:
        """n numbers uniform in [low, high), kept away from 0 by `GUARD` times the larger end."""
        draws = (
            torch.rand(n, generator=self.generator, dtype=torch.float64).numpy() * (high - low)
            + low
        )
        return self.guarded(draws, max(abs(low), abs(high)))

    def guarded(self, values: NDArray[Any], scale: float) -> NDArray[Any]:
        """The values with their modulus raised to `GUARD` * scale, direction kept; says so."""
        self.scale = scale
        modulus, floor = np.abs(values), GUARD * scale
        if (modulus >= floor).all():
            return values
        self.say(f"a root nearer to 0 than {floor:.3g} was moved out to that modulus")
        direction = np.where(modulus > 0, values / np.where(modulus > 0, modulus, 1.0), 1.0)
        return np.where(modulus < floor, floor * direction, values)


@dataclass(frozen=True)
class Scheme:
    """One way to start: its roots, its options with defaults, and a line about it.

    `roots(source, n, power)` gives n roots for A^power. `numbers` marks schemes that draw
    one number v per learned value and set a complex pair's a to 1/|v|, as the published code does;
    `further` are options that go on to the family's function.
    """

    name: str
    roots: Callable[[Source, int, int], Roots]
    summary: str
    options: Mapping[str, Any] = field(default_factory=dict)
    numbers: bool = False
    further: tuple[str, ...] = ()


def _xavier(source: Source, n: int, power: int) -> Roots:
    limit = (3.0 / source.operator.out_channels) ** 0.5
    return source.uniform(n, -limit, limit).astype(complex)


def _abs_xavier(source: Source, n: int, power: int) -> Roots:
    return np.abs(_xavier(source, n, power)).astype(complex)


def _uniform(source: Source, n: int, power: int) -> Roots:
    low, high = float(source.options["a"]), float(source.options["b"])
    if not low < high:
        raise ValueError(f"uniform: a is {low:g}, b is {high:g}, must have a < b")
    return source.uniform(n, low, high).astype(complex)


def _constant(source: Source, n: int, power: int) -> Roots:
    value = float(source.options["value"])
    if value == 0.0 or not np.isfinite(value):
        raise ValueError(f"constant: value is {value:g}, the root must be finite and not 0")
    return np.full(n, value, dtype=complex)


def _spectral(source: Source, n: int, power: int) -> Roots:
    """Real eigenvalues from both ends inwards, largest first; for A^power their powers."""
    values, b = source.spectrum.values.ravel(), source.spectrum.radius
    real = np.sort(np.unique(values.real[np.abs(values.imag) <= source.spectrum.accuracy * b]))
    if real.size < n:
        source.say("too few real eigenvalues: real parts of the others were taken as well")
        real = np.sort(values.real)
        # of a conjugate pair once
        real = real[np.append(True, np.diff(real) > source.spectrum.accuracy * b)]
        if real.size < n:
            raise ValueError(
                f"spectral: the eigenvalues of A have {real.size} different real parts, the level"
                f" needs {n} roots"
            )
    if b == 0.0:
        raise ValueError("spectral: every eigenvalue of A is 0, no root can be taken from them")
    inwards = np.empty(real.size)
    inwards[0::2], inwards[1::2] = real[::-1][: (real.size + 1) // 2], real[: real.size // 2]
    roots = source.guarded(inwards[:n], b)
    return (roots**power).astype(complex)


def outermost_pairs(source: Source, pairs: int) -> Roots:
    """The conjugate pairs of eigenvalues of largest modulus, shape (2 * pairs,), conjugates
    adjacent."""
    values, close = source.spectrum.values.ravel(), source.spectrum.accuracy
    upper = values[values.imag > close * source.spectrum.radius]
    upper = upper[np.argsort(-np.abs(upper), kind="stable")]
    kept: list[complex] = []
    for value in upper:  # equal ones come from symmetries of the grid and are one pair
        if all(abs(value - other) > close * abs(value) for other in kept):
            kept.append(complex(value))
        if len(kept) == pairs:
            return np.array([z for value in kept for z in (value, value.conjugate())])
    raise ValueError(
        f"spectral: A has {len(kept)} different complex pairs of eigenvalues, the level has {pairs}"
        " complex pairs"
    )


def _harmonic_ritz(source: Source, n: int, power: int) -> Roots:
    A = operator_matrix(source.operator, source.spectrum.grid)
    start = torch.randn(A.shape[0], generator=source.generator, dtype=torch.float64).numpy()
    used = derive("harmonic_ritz", n, A**power, start=start, copies=False)
    source.used.append(used)
    scale = source.spectrum.radius
    return source.guarded(used.roots, scale**power)


@functools.lru_cache(maxsize=256)
def _derived(
    name: str, degree: int, lower: float, options: tuple[tuple[str, Any], ...]
) -> InitialCoefficients:
    """The family on (lower, 1], or for the 2D Poisson problem where it needs one; once for all
    levels."""
    if FAMILIES[name].needs == "problem":
        try:
            return derive(name, degree, problems.create("poisson2d", 63), **dict(options))
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from error
    return derive(name, degree, (lower, 1.0), **dict(options))


def _family(name: str) -> Callable[[Source, int, int], Roots]:
    """Roots of a family derived on (0, 1] with the relative lower end of its source problem, times
    b (for A^2: lower^2 and b^2)."""

    def roots(source: Source, n: int, power: int) -> Roots:
        options = dict(source.options)
        lower = float(options.pop("lower", 0.25))
        if not 0.0 < lower < 1.0:
            raise ValueError(
                f"{name}: lower is {lower:g}, the relative lower end must be between 0 and 1"
            )
        if FAMILIES[name].needs == "problem" and power > 1:
            raise ValueError(
                f"{name} is made for the problem's operator and has none for A^{power}: it cannot"
                " start symmetric pairs"
            )
        used = _derived(name, n, lower**power, tuple(sorted(options.items())))
        if used.degree != n:
            raise ValueError(f"{name} gives degree {used.degree} where the level needs {n}")
        source.used.append(used)
        b = source.spectrum.radius
        return used.relative.scaled(b**power).roots

    return roots


def from_file(initial: InitialCoefficients) -> Callable[[Source, int, int], Roots]:
    """The roots of given initial coefficients, relative to (0, 1], times b (for A^2 times b^2)."""

    def roots(source: Source, n: int, power: int) -> Roots:
        if initial.degree != n:
            where = "in A" if power == 1 else f"in A^{power} for its steps in A^{power}"
            raise ValueError(
                f"the initial coefficients have degree {initial.degree}, the level needs degree {n}"
                f" {where}"
            )
        if power > 1 and initial.interval[0] > 0:
            source.say(
                "the polynomial was made for an interval of A; its relative form was taken for"
                f" A^{power}"
            )
        if initial not in source.used:
            source.used.append(initial)
        b = source.spectrum.radius
        return initial.relative.scaled(b**power).roots

    return roots


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            "xavier",
            _xavier,
            "published: root uniform in ±sqrt(3/c), weight its reciprocal",
            numbers=True,
        ),
        Scheme("abs_xavier", _abs_xavier, "its control: the same sizes, positive", numbers=True),
        Scheme("uniform", _uniform, "roots uniform in (a, b)", {"a": 0.5, "b": 1.5}),
        Scheme("constant", _constant, "every root the same value", {"value": 1.0}),
        Scheme(
            "spectral",
            _spectral,
            "extreme real eigenvalues and outermost complex pairs of the level's own A",
        ),
        Scheme("harmonic_ritz", _harmonic_ritz, "harmonic Ritz values of the level's own A"),
    )
} | {
    name: Scheme(
        name,
        _family(name),
        f"the family {name}, scaled to the level",
        {"lower": 0.25} if family.needs in ("interval", "points") else {},
        further=tuple(
            key
            for key in signature(family.function).parameters
            if key not in ("degree", family.needs)
        ),
    )
    for name, family in FAMILIES.items()
    if family.needs != "operator"
}


def find_scheme(text: str) -> tuple[Scheme, dict[str, Any], InitialCoefficients | None]:
    """(scheme, its options, the coefficients of a file) of ``name``, ``name:option=value,...`` or
    ``file:init.json``.

    Raises
    ------
    ValueError
        For an unknown scheme (it lists the known ones) or a malformed option; FileNotFoundError for
        a missing file.
    """
    name, _, rest = text.partition(":")
    if name == "file":
        initial = InitialCoefficients.load(Path(rest).expanduser())
        return Scheme(text, from_file(initial), "the coefficients that derive wrote"), {}, initial
    if name not in SCHEMES:
        raise ValueError(
            f"unknown scheme {name!r}, known are: {', '.join([*SCHEMES, 'file:init.json', 'none'])}"
        )
    options: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        key, sign, value = item.partition("=")
        try:
            options[key.strip()] = (
                float(value) if not value.strip().lstrip("+-").isdigit() else int(value)
            )
        except ValueError:
            options[key.strip()] = value.strip()
        if not sign:
            raise ValueError(
                f"scheme {text!r}: {item!r} is not an option, write {name}:option=value"
            )
    return SCHEMES[name], options, None


def factors_from_roots(
    scheme: Scheme, source: Source, kind: str, count: int, degree: int
) -> list[Factor]:
    """The factors of `count` steps of one kind (a general step's `degree` given), by the rules of
    this module."""
    if kind == "general":
        return [
            General(
                tuple(ResidualPolynomial(scheme.roots(source, degree, 1)).correction_coefficients)
            )
            for _ in range(count)
        ]
    parameters = FACTORS[kind].parameters or {}
    if len(parameters) == 1:  # w t^m for a parameter w in units of 1/A^m: linear in A^m
        (power,) = parameters.values()
        given = scheme.roots(source, count, power)
        real = _real(source, leja_order(given) if power == 1 else given)
        return [Factor(kind, (1.0 / r,)) for r in real]
    if kind == "real_pair":
        roots = _real(source, leja_order(scheme.roots(source, 2 * count, 1)))
        return [_real_pair(source, roots[2 * i], roots[2 * i + 1]) for i in range(count)]
    if scheme.numbers:  # one number for a pair, and its reciprocal is a: the published start
        numbers = [1.0 / abs(v) for v in scheme.roots(source, count, 1)]
        source.say(
            "b of a complex pair starts at a small value instead of 0, where its gradient would"
            " vanish"
        )
        return [ComplexPair(a, PAIR_GUARD * a) for a in numbers]
    if scheme.name == "spectral":
        return _complex_pairs(source, outermost_pairs(source, count))
    return _complex_pairs(source, leja_order(scheme.roots(source, 2 * count, 1)))


def _real(source: Source, roots: Roots) -> list[float]:
    if np.any(roots.imag != 0.0):
        source.say("complex roots on steps with real ones were replaced by their modulus")
    return [float(abs(z)) if z.imag != 0.0 else float(z.real) for z in roots]


def _real_pair(source: Source, first: float, second: float) -> Factor:
    if math.isclose(first, second, rel_tol=1e-6):  # equal in single precision
        source.say(
            "equal roots of a real pair start a little apart: equal gradients would keep them equal"
        )
        return RealPair(first / (1 - PAIR_GUARD), second / (1 + PAIR_GUARD))
    return RealPair(first, second)


def _complex_pairs(source: Source, roots: Roots) -> list[Factor]:
    factors: list[Factor] = [
        ComplexPair(float(z.real), float(z.imag)) for z in roots if z.imag > 0.0
    ]
    real = [float(z.real) for z in roots if z.imag == 0.0]
    for first, second in zip(real[0::2], real[1::2]):
        mean = float(source.guarded(np.array([0.5 * (first + second)]), source.scale)[0])
        source.say(
            "the roots are real: a complex pair takes the mean of two of them with a small"
            " imaginary part"
        )
        factors.append(ComplexPair(mean, PAIR_GUARD * abs(mean)))
    return factors
