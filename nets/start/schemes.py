"""Where the starting roots come from: one class of schemes, and the rules that turn roots into the
factors of a level.

A scheme gives n roots for A, or for a power of it (a symmetric pair 1 - kappa t^2 is a linear
factor in t^2). The rules:

- linear steps take the roots in Leja order; a complex root is replaced by its modulus (fitted);
- symmetric pairs take the family of their number on A^2, spectrum (0, b^2]: kappa_i = 1/r_i; a kind
  with one parameter in units of 1/A^m takes it on A^m likewise;
- real pairs take two real roots each, equal ones a little apart (fitted); complex pairs a conjugate
  pair where there is one, else the mean of two real roots with a small imaginary part (fitted);
  general steps any polynomial of their degree, exactly.

Nothing here is changed on the way: a scheme returns factors and `Notes` on them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mgtheory import InitialCoefficients, derive, problems
from mgtheory.families import FAMILIES
from mgtheory.polynomials.factors import FACTORS, ComplexPair, Factor, General, RealPair
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.roots import leja_order
from nets.start.spectrum import DOUBLE, LevelSpectrum

# roots are kept at least this far from 0, relative to the scale they are drawn from or to b
GUARD = 1e-2
# imaginary part of a pair without one, relative to its real part, where the gradient for b would
# vanish; and half of the distance between two equal roots, whose gradients would be equal for ever
PAIR_GUARD = 1e-2
MODULUS = "complex roots on steps with real ones were replaced by their modulus"
APART = "equal roots of a real pair start a little apart: equal gradients would keep them equal"
SMALL_B = (
    "b of a complex pair starts at a small value instead of 0, where its gradient would vanish"
)
MEAN = (
    "the roots are real: a complex pair takes the mean of two of them with a small imaginary part"
)

Roots = NDArray[np.complex128]
Rng = torch.Generator | None


@dataclass(frozen=True)
class Notes:
    """What there is to say of some factors: why a root is not what the scheme gives by itself, and
    the initial coefficients that roots were taken from; each once."""

    reasons: tuple[str, ...] = ()
    sources: tuple[InitialCoefficients, ...] = ()

    def __add__(self, other: Notes) -> Notes:
        return Notes(
            tuple(dict.fromkeys(self.reasons + other.reasons)),
            self.sources + tuple(one for one in other.sources if one not in self.sources),
        )


@dataclass(frozen=True)
class Target:
    """What roots are for: A^power of one level."""

    spectrum: LevelSpectrum
    power: int = 1

    @property
    def radius(self) -> float:
        """b^power."""
        return self.spectrum.radius**self.power


@dataclass(frozen=True)
class Drawn:
    """Roots, what small ones are measured by, and notes."""

    roots: Roots
    scale: float
    notes: Notes = Notes()


def guarded(values: NDArray[Any], scale: float) -> Drawn:
    """The values with their modulus raised to `GUARD` * scale, direction kept."""
    modulus, floor = np.abs(values), GUARD * scale
    if (modulus >= floor).all():
        return Drawn(values.astype(complex), scale)
    direction = np.where(modulus > 0, values / np.where(modulus > 0, modulus, 1.0), 1.0)
    moved = np.where(modulus < floor, floor * direction, values).astype(complex)
    reason = f"a root nearer to 0 than {floor:.3g} was moved out to that modulus"
    return Drawn(moved, scale, Notes((reason,)))


@dataclass(frozen=True)
class Scheme:
    """One way to start.

    Attributes
    ----------
    name, summary
        And a line about it.
    draw
        ``(target, n, options, rng) -> Drawn``: n roots for the target.
    options
        With their values, at first the defaults.
    further
        Options without a default, which go on to the family's function.
    """

    name: str
    summary: str
    draw: Callable[[Target, int, Mapping[str, Any], Rng], Drawn]
    options: Mapping[str, Any] = field(default_factory=dict)
    further: tuple[str, ...] = ()

    def with_options(self, given: Mapping[str, Any], *, beside: Sequence[str] = ()) -> Scheme:
        """The scheme with these values of its options; ValueError for one that it does not have (it
        names those and the ones `beside` them), or a value that is not a finite number."""
        for key, value in given.items():
            if key not in self.options and key not in self.further:
                allowed = ", ".join([*self.options, *self.further, *beside]) or "none"
                raise ValueError(
                    f"unknown option {key!r} of scheme {self.name}, allowed are: {allowed}"
                )
            if key in self.options and (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not math.isfinite(value)
            ):
                raise ValueError(
                    f"option {key} of scheme {self.name} is {value!r}, must be a finite number"
                )
        return replace(self, options={**self.options, **given})

    def roots(self, target: Target, n: int, rng: Rng) -> Drawn:
        """n roots for the target."""
        return self.draw(target, n, self.options, rng)

    def conjugate_pairs(self, target: Target, count: int, rng: Rng) -> Drawn:
        """The 2 * count roots of complex pairs; real ones are paired by the caller."""
        drawn = self.roots(target, 2 * count, rng)
        return replace(drawn, roots=leja_order(drawn.roots))

    def factors(
        self, spectrum: LevelSpectrum, steps: Sequence[tuple[str, int]], rng: Rng = None
    ) -> tuple[tuple[Factor, ...], Notes]:
        """The factors of steps that are given as (kind, degree), in their order, and notes on them.

        Steps of one kind and degree take their roots together, the kinds in order of appearance.
        """
        chosen: dict[int, Factor] = {}
        notes = Notes()
        for kind, degree in dict.fromkeys(steps):
            own = [i for i, step in enumerate(steps) if step == (kind, degree)]
            for i, (factor, said) in zip(
                own, _factors(self, spectrum, kind, len(own), degree, rng), strict=True
            ):
                chosen[i] = factor
                notes += said
        return tuple(chosen[i] for i in range(len(steps))), notes


class Numbers(Scheme):
    """Draws one number v per learned value and sets a complex pair's a to 1/|v|, as the published
    code does."""

    def conjugate_pairs(self, target: Target, count: int, rng: Rng) -> Drawn:
        """a ± ib with a = 1/|v|, b small."""
        drawn = self.roots(target, count, rng)
        a = 1.0 / np.abs(drawn.roots)
        pairs = np.stack([a * (1 + PAIR_GUARD * 1j), a * (1 - PAIR_GUARD * 1j)], axis=1)
        return replace(drawn, roots=pairs.ravel(), notes=drawn.notes + Notes((SMALL_B,)))


class Spectral(Scheme):
    """Takes eigenvalues of the level's own A."""

    def conjugate_pairs(self, target: Target, count: int, rng: Rng) -> Drawn:
        """Those of largest modulus among the eigenvalues."""
        return Drawn(outermost_pairs(target.spectrum, count), target.radius)


@dataclass(frozen=True)
class FromFile(Scheme):
    """The coefficients that `derive` wrote: relative to (0, 1], times b."""

    initial: InitialCoefficients = field(kw_only=True)

    @classmethod
    def load(cls, path: str) -> FromFile:
        """Of the file at `path`, which may begin with ~."""
        initial = InitialCoefficients.load(Path(path).expanduser())
        draw = functools.partial(_file_roots, initial)
        return cls(f"file:{path}", "the coefficients that derive wrote", draw, initial=initial)


def _file_roots(
    initial: InitialCoefficients, target: Target, n: int, options: Mapping[str, Any], rng: Rng
) -> Drawn:
    """The file's n roots."""
    if initial.degree != n:
        where = "A" if target.power == 1 else f"A^{target.power} for its symmetric pairs"
        raise ValueError(
            f"the initial coefficients have degree {initial.degree}, the level needs degree {n} in"
            f" {where}"
        )
    reasons: tuple[str, ...] = ()
    if target.power > 1 and initial.interval[0] > 0:
        reasons = (
            "the polynomial was made for an interval of A; its relative form was taken for"
            f" A^{target.power}",
        )
    return _scaled(initial, target, reasons)


def _scaled(initial: InitialCoefficients, target: Target, reasons: tuple[str, ...] = ()) -> Drawn:
    """The one place where a polynomial that was derived elsewhere is scaled to a level's A."""
    roots = initial.relative.scaled(target.radius).roots
    return Drawn(roots, target.radius, Notes(reasons, (initial,)))


def _uniformly(n: int, low: float, high: float, rng: Rng) -> Drawn:
    draws = torch.rand(n, generator=rng, dtype=torch.float64).numpy() * (high - low) + low
    return guarded(draws, max(abs(low), abs(high)))


def _xavier(target: Target, n: int, options: Mapping[str, Any], rng: Rng) -> Drawn:
    limit = (3.0 / target.spectrum.kernel.shape[0]) ** 0.5
    return _uniformly(n, -limit, limit, rng)


def _abs_xavier(target: Target, n: int, options: Mapping[str, Any], rng: Rng) -> Drawn:
    drawn = _xavier(target, n, options, rng)
    return replace(drawn, roots=np.abs(drawn.roots).astype(complex))


def _uniform(target: Target, n: int, options: Mapping[str, Any], rng: Rng) -> Drawn:
    low, high = float(options["a"]), float(options["b"])
    if not low < high:
        raise ValueError(f"uniform: a is {low:g}, b is {high:g}, must have a < b")
    return _uniformly(n, low, high, rng)


def _constant(target: Target, n: int, options: Mapping[str, Any], rng: Rng) -> Drawn:
    value = float(options["value"])
    if value == 0.0 or not np.isfinite(value):
        raise ValueError(f"constant: value is {value:g}, the root must be finite and not 0")
    return Drawn(np.full(n, value, dtype=complex), target.radius)


def _spectral(target: Target, n: int, options: Mapping[str, Any], rng: Rng) -> Drawn:
    """Real eigenvalues from both ends inwards, largest first; for A^power their powers."""
    spectrum, b = target.spectrum, target.spectrum.radius
    values, close, reasons = _known(spectrum)
    real = _distinct(values.real[np.abs(values.imag) <= close * b], spectrum.accuracy * b)
    if real.size < n:
        reasons += ("too few real eigenvalues: real parts of the others were taken as well",)
        real = _distinct(values.real, spectrum.accuracy * b)
        if real.size < n:
            raise ValueError(
                f"spectral: the eigenvalues of A have {real.size} different real parts, the level"
                f" needs {n} roots"
            )
    if b == 0.0:
        raise ValueError("spectral: every eigenvalue of A is 0, no root can be taken from them")
    inwards = np.empty(real.size)
    inwards[0::2], inwards[1::2] = real[::-1][: (real.size + 1) // 2], real[: real.size // 2]
    drawn = guarded(inwards[:n], b)
    return Drawn(drawn.roots**target.power, drawn.scale, Notes(reasons) + drawn.notes)


def _known(spectrum: LevelSpectrum) -> tuple[Roots, float, tuple[str, ...]]:
    """The eigenvalues that are known, the relative size of an imaginary part that is rounding, and
    what is to be said of them."""
    if spectrum.complete:
        return spectrum.values.ravel(), spectrum.accuracy, ()
    reason = "the eigenvalues are the outermost ones, found by Arnoldi's method"
    return np.concatenate([spectrum.left, spectrum.right]), DOUBLE, (reason,)


def _distinct(values: NDArray[np.float64], distance: float) -> NDArray[np.float64]:
    """Ascending, of those nearer to one another than `distance` the first: conjugates have one real
    part, and two runs find an eigenvalue twice."""
    ordered = np.sort(values)
    return ordered[np.diff(ordered, prepend=-np.inf) > distance]


def outermost_pairs(spectrum: LevelSpectrum, pairs: int) -> Roots:
    """The conjugate pairs of eigenvalues of largest modulus, shape (2 * pairs,), conjugates
    adjacent."""
    values, rounding, _ = _known(spectrum)
    close = spectrum.accuracy
    upper = values[values.imag > rounding * spectrum.radius]
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


def _harmonic_ritz(target: Target, n: int, options: Mapping[str, Any], rng: Rng) -> Drawn:
    A = functools.reduce(lambda M, N: M @ N, [target.spectrum.operator] * target.power)
    start = torch.randn(A.shape[0], generator=rng, dtype=torch.float64).numpy()
    used = derive("harmonic_ritz", n, A, start=start, copies=False)
    drawn = guarded(used.roots, target.radius)
    return replace(drawn, notes=Notes((), (used,)) + drawn.notes)


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


def _family(name: str) -> Callable[[Target, int, Mapping[str, Any], Rng], Drawn]:
    """Roots of a family derived on (0, 1] with the relative lower end of its source problem, times
    b (for A^m: lower^m and b^m)."""

    def draw(target: Target, n: int, options: Mapping[str, Any], rng: Rng) -> Drawn:
        further = dict(options)
        lower = float(further.pop("lower", 0.25))
        if not 0.0 < lower < 1.0:
            raise ValueError(
                f"{name}: lower is {lower:g}, the relative lower end must be between 0 and 1"
            )
        if FAMILIES[name].needs == "problem" and target.power > 1:
            raise ValueError(
                f"{name} is made for the problem's operator and has none for A^{target.power}: it"
                " cannot start symmetric pairs"
            )
        used = _derived(name, n, lower**target.power, tuple(sorted(further.items())))
        if used.degree != n:
            raise ValueError(f"{name} gives degree {used.degree} where the level needs {n}")
        return _scaled(used, target)

    return draw


def _of_family(name: str) -> Scheme:
    family = FAMILIES[name]
    return Scheme(
        name,
        f"the family {name}, scaled to the level",
        _family(name),
        {"lower": 0.25} if family.needs in ("interval", "points") else {},
        further=tuple(
            key
            for key in signature(family.function).parameters
            if key not in ("degree", family.needs)
        ),
    )


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Numbers("xavier", "published: root uniform in ±sqrt(3/c), weight its reciprocal", _xavier),
        Numbers("abs_xavier", "its control: the same sizes, positive", _abs_xavier),
        Scheme("uniform", "roots uniform in (a, b)", _uniform, {"a": 0.5, "b": 1.5}),
        Scheme("constant", "every root the same value", _constant, {"value": 1.0}),
        Spectral(
            "spectral",
            "extreme real eigenvalues and outermost complex pairs of the level's own A",
            _spectral,
        ),
        Scheme("harmonic_ritz", "harmonic Ritz values of the level's own A", _harmonic_ritz),
    )
} | {name: _of_family(name) for name, family in FAMILIES.items() if family.needs != "operator"}


def find_scheme(text: str) -> tuple[Scheme, dict[str, Any]]:
    """(scheme, the options given) of ``name``, ``name:option=value,...`` or ``file:init.json``.

    Raises
    ------
    ValueError
        For an unknown scheme (it lists the known ones) or a malformed option; FileNotFoundError for
        a missing file.
    """
    name, _, rest = text.partition(":")
    if name == "file":
        return FromFile.load(rest), {}
    # a family that was registered after this module had been imported is a scheme too
    late = name in FAMILIES and name not in SCHEMES and FAMILIES[name].needs != "operator"
    if name not in SCHEMES and not late:
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
    return _of_family(name) if late else SCHEMES[name], options


def _factors(
    scheme: Scheme, spectrum: LevelSpectrum, kind: str, count: int, degree: int, rng: Rng
) -> Iterator[tuple[Factor, Notes]]:
    """The factors of `count` steps of one kind (a general step's `degree` given)."""
    target = Target(spectrum)
    if kind == "general":
        for _ in range(count):
            drawn = scheme.roots(target, degree, rng)
            terms = ResidualPolynomial(drawn.roots).correction_coefficients
            yield General(tuple(terms)), drawn.notes
        return
    parameters = FACTORS[kind].parameters or {}
    if len(parameters) == 1:  # w t^m for a parameter w in units of 1/A^m: linear in A^m
        (power,) = parameters.values()
        drawn = scheme.roots(Target(spectrum, power), count, rng)
        for r in _real(leja_order(drawn.roots) if power == 1 else drawn.roots):
            yield Factor(kind, (1.0 / r,)), drawn.notes + _of_moduli(drawn.roots)
    elif kind == "real_pair":
        drawn = scheme.roots(target, 2 * count, rng)
        roots = _real(leja_order(drawn.roots))
        for first, second in zip(roots[0::2], roots[1::2]):
            notes = drawn.notes + _of_moduli(drawn.roots)
            if math.isclose(first, second, rel_tol=1e-6):  # equal in single precision
                first, second = first / (1 - PAIR_GUARD), second / (1 + PAIR_GUARD)
                notes += Notes((APART,))
            yield RealPair(first, second), notes
    else:
        drawn = scheme.conjugate_pairs(target, count, rng)
        for z in drawn.roots[drawn.roots.imag > 0.0]:
            yield ComplexPair(float(z.real), float(z.imag)), drawn.notes
        real = drawn.roots[drawn.roots.imag == 0.0].real
        for first, second in zip(real[0::2], real[1::2]):
            mean = guarded(np.array([0.5 * (first + second)]), drawn.scale)
            a = float(mean.roots[0].real)
            yield (
                ComplexPair(a, PAIR_GUARD * abs(a)),
                drawn.notes + mean.notes + Notes((MEAN,)),
            )


def _real(roots: Roots) -> list[float]:
    return [float(abs(z)) if z.imag != 0.0 else float(z.real) for z in roots]


def _of_moduli(roots: Roots) -> Notes:
    return Notes((MODULUS,) if np.any(roots.imag != 0.0) else ())
