"""The start of a network from theory: operators and polynomial coefficients of every level by name,
with a report of what was done.

``initialise(model, "chebyshev4", operator="laplacian", size=(32, 32))`` starts each level's A,
measures its spectrum as the network applies it (with its padding, on the level's own grid), takes
the family on (0, 1], scales it by the spectral radius b, and turns its roots into the level's
factors. Every level reports max |q| over that spectrum: below 1 (but for q(0) = 1 at an eigenvalue
0) the theory applies, above it does not, whatever the family's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from mgtheory import InitialCoefficients
from mgtheory.polynomials.factors import Factor, factor_from_dict
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.roots import roots_to_json
from nets.models.blocks import Level
from nets.models.classifier import MultigridClassifier
from nets.models.coefficients import Coefficients, root_warnings
from nets.start.operators import level_grids, start_operators, start_options
from nets.start.schemes import SCHEMES, Notes, Rng, Scheme, find_scheme
from nets.start.spectrum import DOUBLE, LevelSpectrum

SCHEMA = 2
KIND = "start"


@dataclass(frozen=True)
class LevelReport:
    """What one level started from.

    Attributes
    ----------
    level
        From 1.
    grid, padding
        That A was measured on and with: the level's own and "zero", unless the model or the option
        ``padding=periodic`` says otherwise.
    radius
        b, the spectral radius of A there.
    lower
        Relative lower end a/b of the family's interval (0 for a family that needs b alone); None
        for a scheme without a family.
    factors
        Of the steps, in their order, as they were set (rounded to the parameters' precision); empty
        for MgNet.
    fitted
        Whether a root is not what the scheme gives by itself; `reasons` says why.
    max_modulus
        max |q| over the spectrum of A on that grid, with that padding; None without a polynomial.
    smoothing_factor
        mu, what a perfect coarse level leaves of q(A) there (see `nets.start.spectrum`); None
        without a polynomial.
    found, error
        How the spectrum was found, in words, and the relative error of b (see `LevelSpectrum`).
    """

    level: int
    grid: tuple[int, int]
    radius: float
    lower: float | None
    factors: tuple[Factor, ...]
    fitted: bool
    reasons: tuple[str, ...]
    max_modulus: float | None
    smoothing_factor: float | None
    padding: str
    found: str
    error: float

    @property
    def roots(self) -> np.ndarray:
        """Roots of the level's q in the order of the steps, complex; infinite where a weight is
        0."""
        return np.concatenate([np.empty(0, complex), *(factor.roots for factor in self.factors)])

    def to_dict(self) -> dict[str, Any]:
        """JSON types; complex numbers as [re, im], an infinite root as null."""
        data = asdict(self) | {"grid": list(self.grid), "reasons": list(self.reasons)}
        data["factors"] = [factor.to_dict() for factor in self.factors]
        data["roots"] = roots_to_json(self.roots)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LevelReport:
        """The inverse of `to_dict`. A report of schema 1 says nothing of padding: it was
        periodic."""
        former = {"padding": "periodic", "found": "all eigenvalues, by Fourier symbols"}
        values = {**former, "error": DOUBLE, **data}
        del values["roots"]
        values["factors"] = tuple(factor_from_dict(f) for f in data["factors"])
        values["grid"] = (int(data["grid"][0]), int(data["grid"][1]))
        return cls(**(values | {"reasons": tuple(data["reasons"])}))


@dataclass(frozen=True)
class InitReport:
    """How a model was started: scheme, options, operators, each level, and the initial coefficients
    that were used."""

    model: Mapping[str, Any] | None
    scheme: str
    options: Mapping[str, Any]
    operator: str
    size: tuple[int, int]
    levels: tuple[LevelReport, ...]
    sources: tuple[InitialCoefficients, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON types. ``source`` is the first of ``sources``: the file's coefficients, or the
        family's on (0, 1]."""
        sources = [source.to_dict() for source in self.sources]
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "model": None if self.model is None else dict(self.model),
            "scheme": self.scheme,
            "options": dict(self.options),
            "operator": self.operator,
            "size": list(self.size),
            "levels": [level.to_dict() for level in self.levels],
            "source": sources[0] if sources else None,
            "sources": sources,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> InitReport:
        """The inverse of `to_dict`; ValueError for another kind or schema, or a damaged
        document."""
        if (
            not isinstance(data, Mapping)
            or data.get("kind") != KIND
            or data.get("schema") not in (1, SCHEMA)
        ):
            raise ValueError(
                f"not a report of a network's start: needs kind {KIND!r} and schema 1 or {SCHEMA}"
            )
        try:
            levels = tuple(LevelReport.from_dict(level) for level in data["levels"])
            sources = tuple(InitialCoefficients.from_dict(source) for source in data["sources"])
            size = (int(data["size"][0]), int(data["size"][1]))
            return cls(
                data["model"],
                data["scheme"],
                dict(data["options"]),
                data["operator"],
                size,
                levels,
                sources,
            )
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"the report of a network's start is damaged: {error}") from error

    def to_json(self) -> str:
        """`to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"


def list_schemes() -> dict[str, str]:
    """The schemes' names with a line on each; ``file:PATH`` and ``none`` (coefficients stay) come
    beside them."""
    return {name: scheme.summary for name, scheme in SCHEMES.items()}


def initialise(
    model: nn.Module,
    scheme: str = "xavier",
    *,
    operator: str = "random",
    padding: str = "applied",
    generator: torch.Generator | None = None,
    size: Sequence[int] = (32, 32),
    **options: Any,
) -> InitReport:
    """Start the operators A and the polynomial coefficients of a model, in place.

    Parameters
    ----------
    model
        Of `create_model`. A model without polynomial coefficients (MgNet, ResNet) takes ``none`` or
        the default ``xavier``, which has nothing to draw there; every other scheme is refused.
    scheme
        ``name``, ``name:option=value,...`` (see `list_schemes`), ``file:init.json`` or ``none``.
    operator
        Start of every A: ``random``, ``laplacian`` (options `small`, `scale`), ``shifted`` (option
        `margin`) or ``keep``.
    padding
        What b, max |q| and a scheme that looks at A's spectrum go by: ``applied``, A with the
        padding and on the grid that the network applies it on; or ``periodic``, A with periodic
        padding on at least 16 points an axis, as in earlier versions.
    generator
        For every random number of the start, on the CPU; None is torch's global one.
    size
        (height, width) of the input images.
    **options
        Of the scheme or of the operator's start, in place of or beside those in the scheme's text.

    Returns
    -------
    InitReport
        Levels with factors, scale, max |q| on the true spectrum, and what was fitted and why.

    Raises
    ------
    ValueError
        For an unknown scheme, operator or option, and where a scheme cannot serve the model, with
        the reason.
    """
    if not isinstance(scheme, str) or not isinstance(operator, str):
        raise ValueError(
            f"scheme is {scheme!r} and operator is {operator!r}; both are given as text"
        )
    extra = start_options(operator)
    chosen, given = (None, {}) if scheme == "none" else find_scheme(scheme)
    height, width = _image_size(size)
    for_operator = {key: value for key, value in options.items() if key in extra}
    for_scheme = given | {key: value for key, value in options.items() if key not in extra}
    if chosen is not None:
        chosen = chosen.with_options(for_scheme, beside=sorted(extra))
    elif for_scheme:
        raise ValueError(
            f"unknown option {next(iter(for_scheme))!r} of scheme none and operator {operator},"
            f" allowed are: {', '.join(sorted(extra)) or 'none'}"
        )
    levels = model.multigrid_levels if isinstance(model, MultigridClassifier) else []
    has_coefficients = any(isinstance(module, Coefficients) for module in model.modules())
    if chosen is not None and not has_coefficients and chosen.name != "xavier":
        raise ValueError(
            f"scheme {scheme} starts polynomial coefficients and {_name(model)} has none; use none"
        )
    if not levels and operator not in ("random", "keep"):
        raise ValueError(
            f"operator {operator} starts the operators A of multigrid levels and {_name(model)} has"
            " none; use random"
        )
    grids = level_grids((height, width), len(levels), padding)
    spectra = start_operators(
        [level.A for level in levels],
        operator,
        grids,
        padding=padding,
        generator=generator,
        **for_operator,
    )
    notes = []
    for level, spectrum in zip(levels, spectra):
        notes.append(Notes())
        if chosen is not None and has_coefficients:
            factors, notes[-1] = level_factors(level, chosen, spectrum, generator)
            for step, factor in zip(level.smoothing_steps, factors):
                cast("Coefficients", step.coefficients).set_factor(factor)
    reports = tuple(
        _report(i, level, spectrum, said)
        for i, (level, spectrum, said) in enumerate(zip(levels, spectra, notes), start=1)
    )
    spec = getattr(model, "spec", None)
    return InitReport(
        spec and spec.to_dict(),
        scheme,
        (dict(chosen.options) if chosen is not None else {}) | for_operator,
        operator,
        (height, width),
        reports,
        sum(notes, Notes()).sources,
    )


def _image_size(size: Any) -> tuple[int, int]:
    if (
        not isinstance(size, Sequence)
        or len(size) != 2
        or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in size)
    ):
        raise ValueError(
            f"size is {size!r}, must be the image's (height, width), two positive whole numbers"
        )
    return size[0], size[1]


def _name(model: nn.Module) -> str:
    spec = getattr(model, "spec", None)
    return spec.name if spec is not None else type(model).__name__


def level_factors(
    level: Level, scheme: Scheme, spectrum: LevelSpectrum, rng: Rng = None
) -> tuple[tuple[Factor, ...], Notes]:
    """The scheme's factor for every step of a level, steps with shared coefficients alike, and
    notes on them."""
    own = [cast("Coefficients", step.coefficients) for step in level.smoothing_steps]
    distinct = list(dict.fromkeys(own))
    factors, notes = scheme.factors(
        spectrum, [(module.kind, module.degree) for module in distinct], rng
    )
    chosen = dict(zip(distinct, factors, strict=True))
    return tuple(chosen[module] for module in own), notes


def _report(number: int, level: Level, spectrum: LevelSpectrum, notes: Notes) -> LevelReport:
    polynomial = isinstance(level.smoothing_steps[0].coefficients, Coefficients)
    factors = tuple(step.factor() for step in level.smoothing_steps) if polynomial else ()
    q = ResidualPolynomial.from_factors(factors) if factors else None
    interval = notes.sources[0].interval if notes.sources else None
    return LevelReport(
        level=number,
        grid=spectrum.grid,
        radius=spectrum.radius,
        lower=None if interval is None else interval[0] / interval[1],
        factors=factors,
        fitted=bool(notes.reasons),
        reasons=notes.reasons,
        max_modulus=None if q is None else spectrum.max_modulus(q),
        smoothing_factor=None if q is None else spectrum.smoothing_factor(q),
        padding=spectrum.padding,
        found=spectrum.found,
        error=spectrum.error,
    )


def roots_at_guard(model: nn.Module, start: InitReport | None = None) -> list[dict[str, Any]]:
    """The steps whose roots reached a guard, infinity, or passed through it since the start: level,
    step, kind and what happened.

    Parameters
    ----------
    model
        A Poly-MgNet, trained or not.
    start
        Its report of the start; with it, changes of sign are found as well.
    """
    found = []
    for i, level in enumerate(
        model.multigrid_levels if isinstance(model, MultigridClassifier) else []
    ):
        for j, step in enumerate(level.smoothing_steps):
            if not isinstance(step.coefficients, Coefficients):
                continue
            then = (
                start.levels[i].factors[j]
                if start is not None and start.levels[i].factors
                else None
            )
            for message in root_warnings(step.coefficients, start=then):
                found.append({"level": i + 1, "step": j + 1, "kind": step.kind, "message": message})
    return found
