"""The report of a network's start: what every level started from, as it is kept in a run's
`init.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from torch import nn

from mgtheory import InitialCoefficients
from mgtheory._html import html_table
from mgtheory.multigrid.solution import counted
from mgtheory.polynomials.factors import Factor, factor_from_dict
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.roots import roots_to_json
from nets.models.blocks import Level
from nets.models.classifier import levels_of
from nets.models.coefficients import Coefficients, root_warnings
from nets.start.features import CLOSE
from nets.start.padded import DOUBLE
from nets.start.scheme import Notes
from nets.start.spectrum import LevelSpectrum

SCHEMA = 3
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
    jacobian_norm
        |J|_2 of the level's map with its norms and activations, on the images that were given (see
        `nets.start.jacobian`); None without images.
    found, error
        How the spectrum was found, in words, and the relative error of b (see `LevelSpectrum`).
    """

    level: int
    grid: tuple[int, ...]
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
    jacobian_norm: float | None = None

    @classmethod
    def of(cls, number: int, level: Level, spectrum: LevelSpectrum, notes: Notes) -> LevelReport:
        """Of a level as it is now."""
        polynomial = isinstance(level.smoothing_steps[0].coefficients, Coefficients)
        factors = tuple(step.factor() for step in level.smoothing_steps) if polynomial else ()
        q = ResidualPolynomial.from_factors(factors) if factors else None
        interval = notes.sources[0].interval if notes.sources else None
        return cls(
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

    @property
    def roots(self) -> np.ndarray:
        """Roots of the level's q in the order of the steps, complex; infinite where a weight is
        0."""
        return np.concatenate([np.empty(0, complex), *(factor.roots for factor in self.factors)])

    def to_dict(self) -> dict[str, Any]:
        """JSON types; complex numbers as [re, im], an infinite root as null."""
        factors, roots = [factor.to_dict() for factor in self.factors], roots_to_json(self.roots)
        lists = {"grid": list(self.grid), "reasons": list(self.reasons)}
        return asdict(self) | lists | {"factors": factors, "roots": roots}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LevelReport:
        """The inverse of `to_dict`. A report of schema 1 says nothing of padding: it was
        periodic; up to schema 2 the Jacobian's norm was called amplification."""
        former = {"padding": "periodic", "found": "all eigenvalues, by Fourier symbols"}
        values = {"error": DOUBLE, **former, **data}
        del values["roots"]
        if "amplification" in values:
            values["jacobian_norm"] = values.pop("amplification")
        values |= {key: tuple(data[key]) for key in ("grid", "reasons")}
        return cls(**values | {"factors": tuple(map(factor_from_dict, data["factors"]))})


def _shown(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


@dataclass(frozen=True, repr=False)
class InitReport:
    """How a model was started: scheme, options, operators, each level, the initial coefficients
    that were used, the size of the features that the classifier reads (None: not measured), and in
    words what else a run's summary says of it, as where its weights came from."""

    model: Mapping[str, Any] | None
    scheme: str
    options: Mapping[str, Any]
    operator: str
    size: tuple[int, int]
    levels: tuple[LevelReport, ...]
    sources: tuple[InitialCoefficients, ...] = ()
    features: float | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """One line; `to_dict` has all of it."""
        b = ", ".join(f"{level.radius:.3g}" for level in self.levels)
        levels = counted(len(self.levels), "level") + f", b {b}" * bool(b)
        return f"InitReport({self.scheme}, operator {self.operator}, {levels}{self._read()})"

    @property
    def missed(self) -> float | None:
        """The size of the features that was asked for, where the start has not come to it: no
        amplification gives it, as behind norms, and M is the family's own."""
        asked = self.options.get("features")
        if asked is None or self.features is None or not self.levels:
            return None
        return asked if abs(self.features - asked) > 2.0 * CLOSE * asked else None

    def about(self) -> str:
        """One line: by how much a level amplifies, and how large the features are."""
        M = self.options.get("amplification")
        moduli = [one.max_modulus for one in self.levels if one.max_modulus is not None]
        said = []
        if moduli:
            given = "" if M is None else f" (amplification M = {M:.3g})"
            said.append(f"max |q| of a level is up to {max(moduli):.3g}{given}")
        if self.features is not None:
            short = "" if self.missed is None else f", no M gives {self.missed:g}"
            said.append(
                f"the features that the classifier reads have size {self.features:.2g}{short}"
            )
        return "; ".join(said)

    def _read(self) -> str:
        M, missed = self.options.get("amplification"), self.missed
        said = "" if M is None else f", amplification {M:.3g}"
        if self.features is not None:
            said += f", features {self.features:.2g}"
        return said + ("" if missed is None else f" (no M gives {missed:g})")

    def _repr_html_(self) -> str:
        """For notebooks: a row a level."""
        rows = [
            (one.level, sum(f.degree for f in one.factors), *map(_shown, numbers))
            for one in self.levels
            for numbers in [(one.radius, one.max_modulus, one.smoothing_factor)]
        ]
        head = ("level", "degree", "b", "max |q|", "µ")
        return html_table(head, rows, [f"{self.scheme}, operator {self.operator}{self._read()}"])

    def to_dict(self) -> dict[str, Any]:
        """JSON types. ``source`` is the first of ``sources``: the file's coefficients, or the
        family's on (0, 1]."""
        sources = [source.to_dict() for source in self.sources]
        return {
            "kind": KIND,
            "schema": SCHEMA,
            **vars(self),
            "size": list(self.size),
            "levels": [level.to_dict() for level in self.levels],
            "source": sources[0] if sources else None,
            "sources": sources,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> InitReport:
        """The inverse of `to_dict`; ValueError for another kind or schema, or a damaged
        document."""
        head = (data.get("kind"), data.get("schema")) if isinstance(data, Mapping) else ()
        if head not in tuple((KIND, one) for one in range(1, SCHEMA + 1)):
            raise ValueError(
                f"not a report of a network's start: needs kind {KIND!r} and schema 1 to {SCHEMA}"
            )
        try:
            former = {"features": None, "notes": ()}  # reports of older versions have neither
            values = {field.name: ({**former, **data})[field.name] for field in fields(cls)}
            values["size"] = int(data["size"][0]), int(data["size"][1])
            values["levels"] = tuple(map(LevelReport.from_dict, data["levels"]))
            values["sources"] = tuple(map(InitialCoefficients.from_dict, data["sources"]))
            values["notes"] = tuple(map(str, values["notes"]))
            return cls(**values)
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"the report of a network's start is damaged: {error}") from error

    def to_json(self) -> str:
        """`to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"


def roots_at_guard(model: nn.Module, start: InitReport | None = None) -> list[dict[str, Any]]:
    """The polynomial steps whose roots reached a guard, infinity, or passed through it: level,
    step, kind and what happened; changes of sign too where the report of the start is given."""
    found = []
    for i, level in enumerate(levels_of(model)):
        # of blocks earlier versions wrote no levels
        factors = start.levels[i].factors if start is not None and start.levels else ()
        for j, step in enumerate(level.smoothing_steps):
            if not isinstance(step.coefficients, Coefficients):
                continue
            for message in root_warnings(step.coefficients, start=factors[j] if factors else None):
                found.append({"level": i + 1, "step": j + 1, "kind": step.kind, "message": message})
    return found
