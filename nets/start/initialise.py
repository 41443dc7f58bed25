"""The start of a network from theory: operators and polynomial coefficients of every level by name,
with a report of what was done.

``initialise(model, "chebyshev4", operator="laplacian", size=(32, 32))`` starts each level's A,
measures its exact spectrum on the periodic grid of the level, takes the family on (0, 1], scales it
by the spectral radius b, and turns its roots into the level's factors. Every level reports max |q|
over its true spectrum: below 1 (but for q(0) = 1 at an eigenvalue 0) the theory applies, above it
does not, whatever the family's name.
"""

from __future__ import annotations

import json
import math
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
from nets.start.operators import LevelSpectrum, level_grids, start_operators, start_options
from nets.start.schemes import SCHEMES, Scheme, Source, factors_from_roots, find_scheme

__all__ = ["InitReport", "LevelReport", "initialise", "list_schemes", "roots_at_guard"]

SCHEMA = 1
KIND = "start"


@dataclass(frozen=True)
class LevelReport:
    """What one level started from.

    Attributes
    ----------
    level
        From 1.
    grid
        Periodic grid of the measurements.
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
        max |q| over the true spectrum; None without a polynomial.
    smoothing_factor
        max |q| over the high frequencies; None without a polynomial.
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
        """The inverse of `to_dict`."""
        values = {key: value for key, value in data.items() if key != "roots"}
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
            or data.get("schema") != SCHEMA
        ):
            raise ValueError(
                f"not a report of a network's start: needs kind {KIND!r} and schema {SCHEMA}"
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
    chosen, given, initial = (None, {}, None) if scheme == "none" else find_scheme(scheme)
    height, width = _image_size(size)
    for_operator = {key: value for key, value in options.items() if key in extra}
    for_scheme = given | {key: value for key, value in options.items() if key not in extra}
    merged = _checked_options(chosen, for_scheme, operator, extra)
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
    grids = level_grids((height, width), len(levels))
    spectra = start_operators(
        [level.A for level in levels], operator, grids, generator=generator, **for_operator
    )
    sources = []
    for level, spectrum in zip(levels, spectra):
        sources.append(Source(level.A, spectrum, generator, merged))
        if chosen is not None and has_coefficients:
            _start_coefficients(level, chosen, sources[-1])
    reports = tuple(
        _report(i, level, source) for i, (level, source) in enumerate(zip(levels, sources), start=1)
    )
    used: list[InitialCoefficients] = [] if initial is None else [initial]
    for source in sources:
        used += [one for one in source.used if one not in used]
    spec = getattr(model, "spec", None)
    return InitReport(
        spec and spec.to_dict(),
        scheme,
        merged | for_operator,
        operator,
        (height, width),
        reports,
        tuple(used),
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


def _checked_options(
    scheme: Scheme | None, given: Mapping[str, Any], operator: str, extra: set[str]
) -> dict[str, Any]:
    """The scheme's options with defaults; an option that nothing would use is refused."""
    known = {} if scheme is None else dict(scheme.options)
    further = () if scheme is None else scheme.further
    for key, value in given.items():
        name = "none" if scheme is None else scheme.name
        if key not in known and key not in further:
            allowed = ", ".join([*known, *further, *sorted(extra)]) or "none"
            raise ValueError(
                f"unknown option {key!r} of scheme {name} and operator {operator}, allowed are:"
                f" {allowed}"
            )
        if key in known and (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ValueError(f"option {key} of scheme {name} is {value!r}, must be a finite number")
    return known | dict(given)


def _distinct(level: Level) -> list[Coefficients]:
    """The level's coefficient modules in the order of the steps, shared ones once."""
    return list(
        dict.fromkeys(cast("Coefficients", step.coefficients) for step in level.smoothing_steps)
    )


def _start_coefficients(level: Level, scheme: Scheme, source: Source) -> None:
    groups: dict[tuple[str, int], list[Coefficients]] = {}
    for module in _distinct(level):
        groups.setdefault((module.kind, module.degree), []).append(module)
    for (kind, degree), modules in groups.items():
        for module, factor in zip(
            modules, factors_from_roots(scheme, source, kind, len(modules), degree), strict=True
        ):
            module.set_factor(factor)


def _report(number: int, level: Level, source: Source) -> LevelReport:
    polynomial = isinstance(level.smoothing_steps[0].coefficients, Coefficients)
    factors = tuple(step.factor() for step in level.smoothing_steps) if polynomial else ()
    spectrum = source.spectrum
    interval = source.used[0].interval if source.used else None
    return LevelReport(
        level=number,
        grid=spectrum.grid,
        radius=spectrum.radius,
        lower=None if interval is None else interval[0] / interval[1],
        factors=factors,
        fitted=bool(source.reasons),
        reasons=tuple(source.reasons),
        max_modulus=_max_modulus(factors, spectrum, "values"),
        smoothing_factor=_max_modulus(factors, spectrum, "high"),
    )


def _max_modulus(factors: Sequence[Factor], spectrum: LevelSpectrum, part: str) -> float | None:
    if not factors:
        return None
    q = ResidualPolynomial.from_factors(factors)
    return float(np.abs(q(getattr(spectrum, part).ravel())).max())


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
