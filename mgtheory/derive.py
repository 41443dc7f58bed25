"""The mission's product: initial coefficients derived for an operator by a family and a degree.

`derive` runs the chain operator -> record -> polynomial. What it returns is written as JSON by
`save`, given to the networks as ``file:init.json``, kept in the run folder and read again by the
analysis.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import own_errors, plain
from mgtheory._files import parse_json, read_json, write_atomically
from mgtheory.export import Export, export
from mgtheory.families import get_family
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import PROBLEMS, create
from mgtheory.problems.record import operator_record
from mgtheory.spectra.record import OperatorRecord

SCHEMA = 2
KIND = "initial_coefficients"
RANDOM_START = "for Krylov families: normal, numpy's default_rng(0)"


@dataclass(frozen=True)
class InitialCoefficients:
    """A residual polynomial derived from theory, with the operator it belongs to.

    Attributes
    ----------
    polynomial
        q for the operator BA of its record, as it is applied.
    provenance
        The formula's citation, options (null for one that JSON cannot hold, such as a stencil),
        the degree asked for, versions, and `result`: for families
        that are computed what came of it, such as the copies of roots that raise the degree
        ("copies", root as [re, im] and count), or whether the search converged.
    """

    polynomial: ResidualPolynomial
    family: str
    provenance: Mapping[str, Any] = field(compare=False)

    def __post_init__(self) -> None:
        if self.polynomial.operator is None:
            raise ValueError("initial coefficients need a polynomial with its operator's record")
        if not isinstance(self.family, str) or not self.family:
            raise ValueError(f"family is {self.family!r}, must be a family's name or 'learned'")

    def __repr__(self) -> str:
        return f"InitialCoefficients({self.family}, {self.polynomial!r}, for {self.operator})"

    def _repr_latex_(self) -> str:
        """For notebooks: q as a formula."""
        return self.polynomial._repr_latex_()

    @property
    def operator(self) -> OperatorRecord:
        """The record of the operator that the polynomial was derived for."""
        assert self.polynomial.operator is not None
        return self.polynomial.operator

    @property
    def interval(self) -> tuple[float, float]:
        """(a, b), the part of the spectrum of BA that q was made for; a = 0 for lmax families."""
        return self.operator.interval

    @property
    def degree(self) -> int:
        """Degree of q; for a family that adds copies of roots it may exceed the one asked for."""
        return self.polynomial.degree

    @property
    def relative(self) -> ResidualPolynomial:
        """The same polynomial on (0, 1]: roots divided by b."""
        return self.polynomial.scaled(1.0 / self.operator.upper)

    @property
    def roots(self) -> NDArray[np.complex128]:
        """Roots of `polynomial`, complex, shape (degree,), in Leja order."""
        return self.polynomial.roots

    @property
    def weights(self) -> NDArray[np.complex128]:
        """Step sizes 1/r_i in the order of the roots."""
        return self.polynomial.weights

    def on(self, of: Any, *, scaling: str = "auto", axes: Sequence[int] | str = "auto") -> Self:
        """The same coefficients for another operator: converted exactly, or refused with the reason
        (`OperatorRecord.factor_to`)."""
        record = operator_record(of, scaling=scaling, axes=axes)
        return replace(self, polynomial=self.polynomial.on(record))

    def export(self, to: str, *, lmax: float | None = None, scaling: str | None = None) -> Export:
        """The polynomial as a file for another engine, ``petsc``, ``hypre``, ``trilinos`` or
        ``pyamg``: its `save(path)` writes it, `text` is it. Parameters and errors are those of
        `mgtheory.export.export`.

        Examples
        --------
        >>> start = derive("chebyshev4", 3, create("poisson2d", n=63))
        >>> print(start.export("petsc").text.splitlines()[-4])
        -mg_levels_ksp_chebyshev_eigenvalues 0.2,2.0
        """
        where: dict[str, Any] = {"family": self.family, "provenance": self.provenance}
        return export(self.polynomial, to, lmax=lmax, scaling=scaling, **where)

    def to_dict(self) -> dict[str, Any]:
        """JSON types; the polynomial is kept exactly, weights stand beside it for the reader."""
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "family": self.family,
            "degree": self.degree,
            "interval": list(self.interval),
            "operator": self.operator.to_dict(),
            "polynomial": self.polynomial.of(None).to_dict(),
            "weights": _pairs(self.weights),
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; reads schema 1 too. A ValueError says what is wrong."""
        kind = data.get("kind") if isinstance(data, dict) else None
        if kind != KIND:
            raise ValueError(
                f"not a file of initial coefficients, as `derive` writes: kind is {kind!r}, must be"
                f" {KIND!r}"
            )
        schema, provenance = data.get("schema"), data.get("provenance")
        if isinstance(schema, bool) or schema not in (1, SCHEMA):
            raise ValueError(
                f"initial coefficients have schema {data.get('schema')!r}, this version reads 1"
                f" and {SCHEMA}"
            )
        try:
            polynomial = ResidualPolynomial.from_dict(data["polynomial"])
            record = (
                _record_of_schema_1(data)
                if data["schema"] == 1
                else OperatorRecord.from_dict(data["operator"])
            )
            if not isinstance(provenance, dict):
                raise TypeError("'provenance' is no object")
            result = cls(polynomial.of(record), data["family"], dict(provenance))
        except KeyError as error:
            raise ValueError(f"initial coefficients are damaged: {error} is missing") from error
        except (TypeError, ValueError) as error:
            raise ValueError(f"initial coefficients are damaged: {error}") from error
        try:
            json.dumps(data["provenance"], allow_nan=False)
        except ValueError as error:
            raise ValueError(
                "initial coefficients are damaged: 'provenance' holds a number that is not finite"
            ) from error
        # what stands twice, for the reader, must say the same
        if data.get("degree") != result.degree:
            raise ValueError(
                f"initial coefficients are damaged: degree {data.get('degree')!r} with"
                f" {result.degree} roots"
            )
        for key, found in (("interval", result.interval), ("weights", _pairs(result.weights))):
            if data["schema"] == SCHEMA and not _close(data.get(key), found):
                raise ValueError(
                    f"initial coefficients are damaged: {key!r} is not that of the polynomial and"
                    " its operator"
                )
        return result

    def to_json(self) -> str:
        """`to_dict` as indented JSON text; numbers round-trip exactly."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        return cls.from_dict(parse_json(text, "a file of initial coefficients"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the JSON file, whole or not at all."""
        write_atomically(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; FileNotFoundError or ValueError with one line where it cannot."""
        document = read_json(path, "initial coefficients")
        try:
            return cls.from_dict(document)
        except ValueError as error:
            raise ValueError(f"{Path(path)}: {error}") from error


def _pairs(values: NDArray[np.complex128]) -> list[list[float]]:
    return [[v.real, v.imag] for v in values.tolist()]


def _close(given: Any, found: Any) -> bool:
    """Equal numbers in lists of one shape, up to the rounding of another program's output."""
    try:
        numbers = np.array(given, dtype=float)
    except (TypeError, ValueError):
        return False
    return numbers.shape == np.shape(found) and np.allclose(numbers, found, rtol=1e-9, atol=0.0)


def _record_of_schema_1(data: dict[str, Any]) -> OperatorRecord:
    """Schema 1 had an interval, and its source in the provenance: a model problem by its name, or
    what cannot be recognised. Its polynomials were all derived for A itself, B = I, and for the
    high frequencies of all axes."""
    a, b = (float(end) for end in data["interval"])
    source = data["provenance"].get("source", {})
    named = source.get("problem") if isinstance(source, dict) else None
    if isinstance(named, dict) and named.get("name") in PROBLEMS:
        problem = create(named["name"], named["shape"], boundary=named["boundary"])
        record = operator_record(problem, scaling="identity", axes="all")
        return replace(record, lower=a, upper=b, found="a file of schema 1")
    return OperatorRecord("interval", f"a spectrum in [{a:g}, {b:g}]", b, a)


@own_errors
def derive(
    family: str,
    degree: int,
    of: Any,
    *,
    scaling: str = "auto",
    axes: Sequence[int] | str = "auto",
    start: ArrayLike | None = None,
    amplification: float | None = None,
    **options: Any,
) -> InitialCoefficients:
    """Initial coefficients of one family and degree for an operator.

    Parameters
    ----------
    family
        A name in `mgtheory.families.FAMILIES`.
    degree
        Degree of q, 1 to 256.
    of
        What the polynomial will be applied to: a `Problem`, a `Stencil`, an interval (a, b) of BA,
        its largest eigenvalue, a matrix, points of a spectrum, or whatever else
        `mgtheory.problems.record.operator_record` takes.
    scaling, axes
        B and the coarsened axes, as the solver chooses them by default.
    start
        The start vector of a Krylov family; random by default.
    amplification
        M > 1: q is stretched along its axis until max |q| over the spectrum is M, as
        `mgtheory.families.amplification_scale` says (where the spectrum is positive only shortened,
        if |q| exceeds M); the family ``bounded`` is made for it. None leaves q what it is.
    **options
        Further keywords of the family's own function.

    Examples
    --------
    >>> start = derive("chebyshev", 2, (2.0, 8.0))
    >>> start.weights.real.round(4).tolist()
    [0.1404, 0.3474]
    >>> around_zero = [2.0, 2j, -2j, -2.0]
    >>> q = derive("chebyshev4", 2, around_zero, amplification=8).polynomial
    >>> round(float(abs(q(-2.0))), 9)
    8.0
    """
    entry = get_family(family)
    if amplification is not None:
        options["amplification"] = amplification
    degree, options = plain(degree), {name: plain(value) for name, value in options.items()}
    record = operator_record(of, scaling=scaling, axes=axes)
    given: dict[str, Any] = {} if start is None else {"start": start}
    polynomial, came_about = entry.on(degree, record, **given, **options)
    provenance = {
        "formula": entry.citation,
        "options": {
            name: value if isinstance(value, int | float | str) else None
            for name, value in options.items()
            if value is not None
        },
        "degree_asked": degree,
        "start": RANDOM_START if start is None else "given",
        "result": came_about,
        "versions": dict(versions()),
    }
    return InitialCoefficients(polynomial, family, provenance)


@functools.cache
def versions() -> MappingProxyType[str, str]:
    """Versions of what took part, for the provenance; read once, for the metadata of installed
    packages is slow to parse."""
    found = {"python": platform.python_version()}
    for name in ("polymgnet", "numpy", "scipy"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return MappingProxyType(found)
