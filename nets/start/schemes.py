"""Where the starting roots come from: schemes by name.

A scheme draws n roots for A, or for a power of it (a symmetric pair 1 - kappa t^2 is a linear
factor in t^2); `nets.start.factors` turns them into the factors of a level. A new scheme is one
function under `_scheme`; every family of `mgtheory.families.FAMILIES` is one unasked.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mgtheory import InitialCoefficients, derive, problems
from mgtheory._checks import named_values
from mgtheory.families import FAMILIES, Family
from mgtheory.multigrid.solution import counted
from mgtheory.polynomials.bounded import AMPLIFICATION
from nets.start.padded import DOUBLE
from nets.start.scheme import Draw, Drawn, Notes, Rng, Roots, Scheme, Target, guarded
from nets.start.spectrum import LOWER, LevelSpectrum

# imaginary part of a pair without one, relative to its real part, where the gradient for b would
# vanish; and half of the distance between two equal roots, whose gradients would be equal for ever
PAIR_GUARD = 1e-2
SMALL_B = (
    "b of a complex pair starts at a small value instead of 0, where its gradient would vanish"
)

SCHEMES: dict[str, Scheme] = {}  # what `_scheme` enters


def _scheme(summary: str, *, draw_pairs: Draw | None = None) -> Callable[[Draw], Draw]:
    """Enters a function as the scheme of its name, its keywords as the scheme's options."""

    def enter(draw: Draw) -> Draw:
        name, options = draw.__name__.removeprefix("_"), draw.__kwdefaults__ or {}
        SCHEMES[name] = Scheme(name, summary, draw, options, draw_pairs=draw_pairs)
        return draw

    return enter


def _uniformly(n: int, low: float, high: float, rng: Rng) -> Drawn:
    draws = torch.rand(n, generator=rng, dtype=torch.float64).numpy() * (high - low) + low
    return guarded(draws, max(abs(low), abs(high)))


def _published_pairs(target: Target, n: int, rng: Rng) -> Drawn:
    """a ± ib, b small: the published code draws one number v a pair and sets a to 1/|v|."""
    drawn = _xavier(target, n, rng)
    a = 1.0 / np.abs(drawn.roots)
    pairs = np.stack([a * (1 + PAIR_GUARD * 1j), a * (1 - PAIR_GUARD * 1j)], axis=1)
    return replace(drawn, roots=pairs.ravel(), notes=drawn.notes + Notes((SMALL_B,)))


@_scheme(
    "published: root uniform in ±sqrt(3/c), weight its reciprocal", draw_pairs=_published_pairs
)
def _xavier(target: Target, n: int, rng: Rng) -> Drawn:
    limit = (3.0 / target.spectrum.kernel.shape[0]) ** 0.5
    return _uniformly(n, -limit, limit, rng)


@_scheme("its control: the same sizes, positive", draw_pairs=_published_pairs)
def _abs_xavier(target: Target, n: int, rng: Rng) -> Drawn:
    drawn = _xavier(target, n, rng)
    return replace(drawn, roots=np.abs(drawn.roots).astype(complex))


@_scheme("roots uniform in (a, b)")
def _uniform(target: Target, n: int, rng: Rng, *, a: float = 0.5, b: float = 1.5) -> Drawn:
    if not a < b:
        raise ValueError(f"uniform: a is {a:g}, b is {b:g}, must have a < b")
    return _uniformly(n, a, b, rng)


@_scheme("every root the same value")
def _constant(target: Target, n: int, rng: Rng, *, value: float = 1.0) -> Drawn:
    if value == 0.0:
        raise ValueError(f"constant: value is {value:g}, the root must be finite and not 0")
    return Drawn(np.full(n, value, dtype=complex), target.radius)


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


def _outermost_pairs(target: Target, n: int, rng: Rng) -> Drawn:
    """The n conjugate pairs of eigenvalues of largest modulus."""
    spectrum = target.spectrum
    values, rounding, _ = _known(spectrum)
    upper = values[values.imag > rounding * spectrum.radius]
    kept: list[complex] = []
    # equal ones come from symmetries of the grid and are one pair
    for value in upper[np.argsort(-np.abs(upper), kind="stable")]:
        if all(abs(value - other) > spectrum.accuracy * abs(value) for other in kept):
            kept.append(complex(value))
        if len(kept) == n:
            roots = np.array([z for value in kept for z in (value, value.conjugate())])
            return Drawn(roots, target.radius)
    raise ValueError(
        f"spectral: A has {len(kept)} different complex pairs of eigenvalues, the level has {n}"
        " complex pairs"
    )


@_scheme(
    "extreme real eigenvalues and outermost complex pairs of the level's own A",
    draw_pairs=_outermost_pairs,
)
def _spectral(target: Target, n: int, rng: Rng) -> Drawn:
    """Real eigenvalues from both ends inwards, largest first; for A^power their powers."""
    spectrum, b = target.spectrum, target.spectrum.radius
    values, close, reasons = _known(spectrum)
    real = _distinct(values.real[np.abs(values.imag) <= close * b], spectrum.accuracy * b)
    if real.size < n:
        reasons += ("too few real eigenvalues: real parts of the others were taken as well",)
        real = _distinct(values.real, spectrum.accuracy * b)
        if real.size < n:
            raise ValueError(
                f"spectral: the real parts of A's eigenvalues have {counted(real.size, 'value')},"
                f" the level needs {counted(n, 'root')}"
            )
    if b == 0.0:
        raise ValueError("spectral: every eigenvalue of A is 0, no root can be taken from them")
    inwards = np.empty(real.size)
    inwards[0::2], inwards[1::2] = real[::-1][: (real.size + 1) // 2], real[: real.size // 2]
    drawn = guarded(inwards[:n], b)
    return Drawn(drawn.roots**target.power, drawn.scale, Notes(reasons) + drawn.notes)


@_scheme("harmonic Ritz values of the level's own A")
def _harmonic_ritz(target: Target, n: int, rng: Rng) -> Drawn:
    start = torch.randn(target.spectrum.unknowns, generator=rng, dtype=torch.float64).numpy()
    used = derive("harmonic_ritz", n, target.record, start=start, copies=False)
    drawn = guarded(used.roots, target.radius)
    return replace(drawn, notes=Notes((), (used,)) + drawn.notes)


def _scaled(initial: InitialCoefficients, target: Target, reasons: tuple[str, ...] = ()) -> Drawn:
    """The roots of a polynomial that was derived elsewhere, for the level's operator."""
    roots = initial.polynomial.on(target.record).roots
    return Drawn(roots, target.radius, Notes(reasons, (initial,)))


@functools.lru_cache(maxsize=256)
def _derived(
    name: str, degree: int, lower: float, options: tuple[tuple[str, Any], ...]
) -> InitialCoefficients:
    """The family on (lower, 1], or for the 2D Poisson problem where it needs one; once for all
    levels."""
    needs_problem = FAMILIES[name].needs == "problem"
    of = problems.create("poisson2d", 63) if needs_problem else (lower, 1.0)
    return derive(name, degree, of, **dict(options))


def _family(
    name: str, target: Target, n: int, rng: Rng, *, lower: float = LOWER, **further: Any
) -> Drawn:
    """The family's roots with a relative lower end of its interval, scaled by b (for A^m: lower^m
    and b^m)."""
    if FAMILIES[name].needs == "problem" and target.power > 1:
        raise ValueError(
            f"{name} is made for the problem's operator and has none for A^{target.power}: it"
            " cannot start symmetric pairs"
        )
    used = _derived(name, n, lower**target.power, tuple(sorted(further.items())))
    if used.degree != n:
        raise ValueError(f"{name} gives degree {used.degree} where the level needs {n}")
    return _scaled(used, target)


def _longest_step(target: Target, n: int, M: float, reasons: tuple[str, ...] = ()) -> Drawn:
    try:
        used = derive("bounded", n, target.points, amplification=M, optimal=True)
    except ValueError:  # fewer eigenvalues than roots, or some far outside of the others
        used = derive("bounded", n, target.radius, amplification=M, optimal=True)
    return Drawn(used.roots, target.radius, Notes(reasons, (used,)))


@_scheme(
    "equal roots, max |q| = amplification on the disc |z| <= b, 8 if not given; optimal=1: the"
    " longest step with it on the level's own spectrum"
)
def _bounded(
    target: Target, n: int, rng: Rng, *, amplification: float = AMPLIFICATION, optimal: float = 0
) -> Drawn:
    """Of A^power, with the share of these n factors in the level's amplification."""
    M = target.share(amplification, n)
    if optimal:
        return _longest_step(target, n, M)
    return _scaled(_derived("bounded", n, 0.0, (("amplification", M),)), target)


@_scheme("minimax on the level's own spectrum; around 0 the longest step")
def _minimax(
    target: Target, n: int, rng: Rng, *, lower: float = LOWER, amplification: float = AMPLIFICATION
) -> Drawn:
    """On the eigenvalues of A from ``lower`` times b on, those that a coarse level leaves alone, or
    on all of that interval where they are positive; where they surround 0, the longest step on all
    of them."""
    if target.record.positive:
        return _family("minimax", target, n, rng, lower=lower)
    points = target.points
    try:
        used = derive("minimax", n, points[np.abs(points) >= lower**target.power * target.radius])
    except ValueError as error:
        M = target.share(amplification, n)
        why = (
            f"no minimax on the eigenvalues of A ({error}): the longest step with max |q| ="
            f" {amplification:g}"
        )
        return _longest_step(target, n, M, (why,))
    return Drawn(used.roots, target.radius, Notes((), (used,)))


# [Zhang, Dauphin, Ma 2019, arXiv 1901.09321] with its last layers not 0; for that, `zero`
@_scheme("weights (number of steps)^(-1/(2m-2)), m layers in a step")
def _fixup(target: Target, n: int, rng: Rng) -> Drawn:
    """w b^m = L^(-1/(2m)) for one of L steps w A^m r: its m products with A and w are layers."""
    root = target.radius * target.steps ** (0.5 / target.power)
    return Drawn(np.full(n, root, dtype=complex), target.radius)


# SkipInit [De, Smith 2020, arXiv 2002.10444], ReZero [Bachlechner et al. 2020, 2003.04887]
@_scheme("weights near 0: a level starts near the identity")
def _zero(target: Target, n: int, rng: Rng, *, weight: float = 0.01) -> Drawn:
    """Not 0 itself: with u = 0 at the first level and no correction, every u would be 0, where a
    relu has no gradient, and the coefficients could never leave it."""
    if weight <= 0.0:
        raise ValueError(
            f"zero: weight is {weight:g}, must be positive: at 0 a relu has no gradient"
        )
    return Drawn(np.full(n, target.radius / weight, dtype=complex), target.radius)


def scheme_text(given: str | InitialCoefficients) -> str:
    """How a report names what `find_scheme` takes."""
    return given if isinstance(given, str) else f"derived {given.family}"


def _of_file(path: str) -> Scheme:
    """The coefficients that `derive` wrote to the file at `path`, which may begin with ~."""
    if not path.strip():
        raise ValueError("file: has no path behind it; write file:init.json, of derive --out")
    return _of_coefficients(InitialCoefficients.load(Path(path).expanduser()), f"file:{path}")


def _of_coefficients(initial: InitialCoefficients, name: str) -> Scheme:
    def draw(target: Target, n: int, rng: Rng) -> Drawn:
        where = "A" if target.power == 1 else f"A^{target.power} for its symmetric pairs"
        if initial.degree != n:
            raise ValueError(
                f"the initial coefficients have degree {initial.degree}, the level needs degree {n}"
                f" in {where}"
            )
        changed = (
            "the polynomial was made for an interval of A; its relative form was taken for"
            f" A^{target.power}"
        )
        interval_of_a = target.power > 1 and initial.interval[0] > 0
        return _scaled(initial, target, (changed,) if interval_of_a else ())

    return Scheme(name, "the coefficients that derive made", draw, {}, exact=True)


def _of_family(name: str, family: Family) -> Scheme:
    taken = signature(family.function).parameters
    further = tuple(key for key in taken if key not in ("degree", family.needs))
    summary, draw = f"the family {name}, scaled to the level", functools.partial(_family, name)
    options = {"lower": LOWER} if family.needs in ("interval", "points") else {}
    return Scheme(name, summary, draw, options, further)


def _known_schemes() -> dict[str, Scheme]:
    """`SCHEMES` and the families that are registered now."""
    return SCHEMES | {
        name: _of_family(name, family)
        for name, family in FAMILIES.items()
        if name not in SCHEMES and family.needs != "operator"
    }


def list_schemes() -> dict[str, str]:
    """The schemes' names with a line on each; ``file:PATH`` and ``none`` (coefficients stay) come
    beside them."""
    return {name: scheme.summary for name, scheme in _known_schemes().items()}


def find_scheme(given: str | InitialCoefficients) -> Scheme | None:
    """The scheme of ``name``, ``name:option=value,...`` or ``file:init.json``, with its options, or
    of what `derive` returns; None for ``none``. ValueError for an unknown scheme (it lists the
    known ones), an option it does not have or a malformed one; FileNotFoundError for a missing
    file."""
    if isinstance(given, InitialCoefficients):
        return _of_coefficients(given, scheme_text(given))
    if not isinstance(given, str):
        raise ValueError(
            f"scheme is {given!r}, must be text, such as 'bounded', or what derive returns"
        )
    name, _, rest = given.partition(":")
    if given == "none":
        return None
    if name == "none":
        raise ValueError(f"scheme {given!r}: none leaves the coefficients and takes no option")
    if name == "file":
        return _of_file(rest)
    if name not in (known := _known_schemes()):
        raise ValueError(
            f"unknown scheme {name!r}, known are: {', '.join([*known, 'file:init.json', 'none'])}"
        )
    options: dict[str, Any] = {}
    for key, value in named_values(rest, f"scheme {given!r}").items() if rest else ():
        options[key] = value
        for number in (float, int):  # the last that reads it: a degree stays whole
            with contextlib.suppress(ValueError):
                options[key] = number(value)
    return known[name].with_options(options)
