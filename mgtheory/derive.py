"""The mission's product: initial coefficients derived from a problem, a family and a degree, with
their provenance.

`derive` runs the chain problem -> spectrum -> interval -> polynomial. What it returns is written as
JSON by `save`, given to the networks as ``file:init.json``, kept in the run folder and read again
by the analysis.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_array
from mgtheory._files import read_json, write_atomically
from mgtheory.families import Family, get_family
from mgtheory.polynomials.residual import ResidualPolynomial, check_degree
from mgtheory.spectra.arnoldi import linear_operator
from mgtheory.spectra.interval import Interval
from mgtheory.spectra.ritz import arnoldi, lanczos

if TYPE_CHECKING:
    from mgtheory.problems.problem import Problem

__all__ = ["InitialCoefficients", "derive"]

SCHEMA = 1
KIND = "initial_coefficients"


@dataclass(frozen=True)
class InitialCoefficients:
    """A residual polynomial derived from theory, on its interval and relative to it.

    Attributes
    ----------
    polynomial
        q on `interval`, for the operator as it is applied.
    interval
        (a, b), the part of the spectrum q was made for, in units of the operator; a = 0 for a
        family that needs b alone.
    family, degree
        The formula and the degree of q.
    provenance
        Source (problem, interval, operator or points), the formula's citation, options, the degree
        asked for, versions, and `result`: for families that are computed what came of it, such as
        the copies of roots that raise the degree ("copies", root as [re, im] and count), or whether
        the search converged.
    """

    polynomial: ResidualPolynomial
    interval: tuple[float, float]
    family: str
    provenance: dict[str, Any] = field(compare=False)

    def __post_init__(self) -> None:
        a, b = (float(end) for end in self.interval)
        if not 0 <= a < b < np.inf:
            raise ValueError(f"interval is ({a:g}, {b:g}), must have 0 <= a < b")
        object.__setattr__(self, "interval", (a, b))

    @property
    def degree(self) -> int:
        """Degree of q; for a family that adds copies of roots it may exceed the one asked for."""
        return self.polynomial.degree

    @property
    def relative(self) -> ResidualPolynomial:
        """The same polynomial on (0, 1]: roots divided by b, ready to be scaled to any operator."""
        return self.polynomial.scaled(1.0 / self.interval[1])

    @property
    def roots(self) -> NDArray[np.complex128]:
        """Roots of `polynomial`, complex, shape (degree,), in Leja order."""
        return self.polynomial.roots

    @property
    def weights(self) -> NDArray[np.complex128]:
        """Step sizes 1/r_i in the order of the roots."""
        return self.polynomial.weights

    def to_dict(self) -> dict[str, Any]:
        """JSON types; the polynomial is kept exactly, weights stand beside it for the reader."""
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "family": self.family,
            "degree": self.degree,
            "interval": list(self.interval),
            "polynomial": self.polynomial.to_dict(),
            "weights": [[w.real, w.imag] for w in self.weights.tolist()],
            "provenance": self.provenance,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises
        ------
        ValueError
            If the kind or the schema is another one, or a part is missing.
        """
        if not isinstance(data, dict) or data.get("kind") != KIND:
            raise ValueError(
                f"not a file of initial coefficients: 'kind' must be {KIND!r}, as `derive`"
                " writes it"
            )
        if data.get("schema") != SCHEMA:
            raise ValueError(
                f"initial coefficients have schema {data.get('schema')!r}, this version reads"
                f" {SCHEMA}"
            )
        try:
            polynomial = ResidualPolynomial.from_dict(data["polynomial"])
            a, b = data["interval"]
            result = cls(
                polynomial, (float(a), float(b)), str(data["family"]), dict(data["provenance"])
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"initial coefficients are damaged: {error}") from error
        if data.get("degree") != result.degree:
            raise ValueError(
                f"initial coefficients are damaged: degree {data.get('degree')!r} with"
                f" {result.degree} roots"
            )
        return result

    def to_json(self) -> str:
        """`to_dict` as indented JSON text; numbers round-trip exactly."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        try:
            return cls.from_dict(json.loads(text))
        except (json.JSONDecodeError, TypeError) as error:
            raise ValueError(f"not a file of initial coefficients: {error}") from error

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


def derive(
    family: str,
    degree: int,
    *,
    problem: Problem | None = None,
    interval: tuple[float, float] | Interval | None = None,
    lmax: float | None = None,
    operator: Any = None,
    start: ArrayLike | None = None,
    points: ArrayLike | Interval | Sequence[Interval] | None = None,
    **options: Any,
) -> InitialCoefficients:
    """Initial coefficients of one family and degree from the first source given that the family can
    use.

    Parameters
    ----------
    family
        A name in `mgtheory.families.FAMILIES`.
    degree
        Degree of q, 1 to 256.
    problem
        A model problem: its exact spectrum gives the interval (the high frequencies), b, the
        operator or the symbol.
    interval
        (a, b) of the operator as it is applied; families that need b alone take b.
    lmax
        Largest eigenvalue b, for families that need it alone.
    operator, start
        Matrix or LinearOperator, and the start vector: for `harmonic_ritz`. Families that need b
        alone take it from Lanczos on a symmetric operator, with the safety factor documented there.
    points
        Points of a spectrum, complex allowed, or intervals, for `minimax`.
    **options
        Further keywords of the family's own function.

    Raises
    ------
    ValueError
        For an unknown family or option, a degree it does not allow, or no source that it can use.

    Examples
    --------
    >>> start = derive("chebyshev", 2, interval=(2.0, 8.0))
    >>> start.weights.real.round(4).tolist()
    [0.1404, 0.3474]
    """
    entry = get_family(family)
    check_degree(degree, family=family)
    _check_options(entry, options)
    sources = {
        "problem": problem,
        "interval": None if interval is None else _interval(interval),
        "lmax": lmax,
        "operator": operator,
        "start": start,
        "points": points,
    }
    for name, make in _SOURCES[entry.needs].items():
        if sources[name] is not None:
            (a, b), arguments, description = make(sources)
            polynomial, record = entry.derive(degree, **arguments, **options)
            provenance = {
                "source": {name: description},
                "formula": entry.citation,
                "options": {
                    key: value
                    for key, value in options.items()
                    if isinstance(value, int | float | str)
                },
                "degree_asked": degree,
                "result": record,
                "versions": dict(_versions()),
            }
            return InitialCoefficients(polynomial, (float(a), float(b)), family, provenance)
    given = [name for name, value in sources.items() if value is not None]
    lack = (
        f"cannot be derived from {' and '.join(given)}"
        if given
        else "got no source for its polynomial"
    )
    usable = _SOURCES[entry.needs]
    hint = (
        "; of a symmetric operator, b of the interval (a, b) is"
        " mgtheory.spectra.bounds.lanczos(operator).upper"
    )
    more = hint if "operator" in given and "interval" in usable else ""
    raise ValueError(f"family {family} {lack}, needs one of: {', '.join(usable)}{more}")


Sources = dict[str, Any]
Derived = tuple[
    tuple[float, float], dict[str, Any], Any
]  # the interval, the arguments of the family's function, what goes into the provenance


def _describe(problem: Problem) -> dict[str, Any]:
    return {"name": problem.name, "shape": list(problem.shape), "boundary": str(problem.boundary)}


def _interval(interval: tuple[float, float] | Interval) -> tuple[float, float]:
    try:
        a, b = (float(end) for end in interval)
    except (TypeError, ValueError):
        raise ValueError(
            f"interval is {interval!r}, needs a pair (a, b) with a < b".replace("\n", "")
        ) from None
    if not a < b:
        raise ValueError(f"interval is ({a:g}, {b:g}), needs a < b")
    return a, b


def _model(given: Sources) -> Problem:
    problem = given["problem"]
    if not (hasattr(problem, "spectrum") and hasattr(problem, "smoothing_interval")):
        raise ValueError(
            f"problem is a {type(problem).__name__}, must be a model problem, as mgtheory.poisson"
            " or problems.create make it"
        )
    return problem


def _smoothing_interval_of_problem(given: Sources) -> Derived:
    ends = _interval(_model(given).smoothing_interval())
    return ends, {"interval": ends}, _describe(given["problem"])


def _given_interval(given: Sources) -> Derived:
    return given["interval"], {"interval": given["interval"]}, list(given["interval"])


def _lmax_of_problem(given: Sources) -> Derived:
    b = _interval(_model(given).spectrum())[1]
    return (0.0, b), {"lmax": b}, _describe(given["problem"])


def _lmax_of_interval(given: Sources) -> Derived:
    b = given["interval"][1]
    return (0.0, b), {"lmax": b}, list(given["interval"])


def _given_lmax(given: Sources) -> Derived:
    return (0.0, given["lmax"]), {"lmax": given["lmax"]}, given["lmax"]


def _lmax_of_operator(given: Sources) -> Derived:
    operator = linear_operator(given["operator"])
    b = lanczos(operator).upper
    return (
        (0.0, b),
        {"lmax": b},
        {"shape": list(operator.shape), "lmax": f"Lanczos with safety factor, {b:.6g}"},
    )


def _krylov_of_operator(given: Sources) -> Derived:
    if given["start"] is None:
        raise ValueError(
            "start is missing: a Krylov family needs the operator and the start vector b"
        )
    operator = linear_operator(given["operator"])
    b = arnoldi(operator).radius
    return (
        (0.0, b),
        {"operator": operator, "start": given["start"]},
        {"shape": list(operator.shape)},
    )


def _krylov_of_problem(given: Sources) -> Derived:
    problem, start, kind = _model(given), given["start"], "given"
    # every frequency alike, as errors before smoothing; the right-hand side of a model problem is
    # smooth
    if start is None:
        start, kind = (
            np.random.default_rng(0).standard_normal(problem.unknowns),
            "normal, numpy's default_rng(0)",
        )
        start -= start.mean() if problem.nullspace is not None else 0.0
    return (
        (0.0, _interval(problem.spectrum())[1]),
        {"operator": problem.A, "start": start},
        {**_describe(problem), "start": kind},
    )


def _given_points(given: Sources) -> Derived:
    points = [given["points"]] if isinstance(given["points"], Interval) else given["points"]
    if (
        isinstance(points, list | tuple)
        and points
        and all(isinstance(part, Interval) for part in points)
    ):
        ends = [abs(end) for part in points for end in part]
        return (
            (min(ends), max(ends)),
            {"points": points},
            {"intervals": [list(part) for part in points]},
        )
    points = np.atleast_1d(check_array(points, "points"))
    modulus = np.abs(points)
    if points.size < 2 or not np.isfinite(modulus).all():
        raise ValueError(f"points: {points.size} given, at least two finite ones are needed")
    a, b = float(modulus.min()), float(modulus.max())
    return (a if a < b else 0.0, b), {"points": points}, {"count": points.size}


def _points_of_interval(given: Sources) -> Derived:
    a, b = given["interval"]
    return (a, b), {"points": Interval(a, b)}, list(given["interval"])


def _points_of_problem(given: Sources) -> Derived:
    ends = _interval(_model(given).smoothing_interval())
    return ends, {"points": Interval(*ends)}, _describe(given["problem"])


def _the_problem(given: Sources) -> Derived:
    problem = _model(given)
    return (0.0, problem.spectrum().b), {"problem": problem}, _describe(problem)


_SOURCES: dict[str, dict[str, Callable[[Sources], Derived]]] = {
    "interval": {"interval": _given_interval, "problem": _smoothing_interval_of_problem},
    "lmax": {
        "lmax": _given_lmax,
        "interval": _lmax_of_interval,
        "problem": _lmax_of_problem,
        "operator": _lmax_of_operator,
    },
    "operator": {"operator": _krylov_of_operator, "problem": _krylov_of_problem},
    "points": {
        "points": _given_points,
        "interval": _points_of_interval,
        "problem": _points_of_problem,
    },
    "problem": {"problem": _the_problem},
}


def _check_options(entry: Family, options: dict[str, Any]) -> None:
    """Refuse keywords that the family's own function does not have."""
    sources = {"interval", "lmax", "operator", "start", "points", "problem"}
    allowed = [
        name
        for name, p in inspect.signature(entry.function).parameters.items()
        if p.kind is p.KEYWORD_ONLY and name not in sources
    ]
    for name in options:
        if name not in allowed:
            raise ValueError(
                f"family {entry.name} got the unknown option {name!r}, allowed are:"
                f" {', '.join(allowed) or 'none'}"
            )


@functools.cache
def _versions() -> MappingProxyType[str, str]:
    """Versions of what took part, for the provenance; read once, for the metadata of installed
    packages is slow to parse."""
    found = {"python": platform.python_version()}
    for name in ("polymgnet", "numpy", "scipy"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return MappingProxyType(found)
