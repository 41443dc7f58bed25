"""The registry of polynomial families: name -> function(degree, ...) with what it needs and where
it comes from.

A new family is one function and one entry of `FAMILIES`; the tests, the networks' schemes and the
command line then cover it unasked. A family that is computed from something defined further on,
such as the two-grid factor, enters itself there (`register`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from mgtheory.polynomials.classical import chebyshev, chebyshev4, chebyshev4_opt, mls, richardson
from mgtheory.polynomials.gmres import gmres_polynomial, harmonic_ritz
from mgtheory.polynomials.minimax import MAX_EXCHANGE_DEGREE, minimax, minimax_report
from mgtheory.polynomials.residual import MAX_DEGREE, ResidualPolynomial
from mgtheory.spectra.interval import Interval
from mgtheory.spectra.record import OperatorRecord

# a polynomial, and what there is to say about how it came about, as JSON types
Recorded = tuple[ResidualPolynomial, dict[str, Any]]
Arguments = dict[str, Any]


def _interval(record: OperatorRecord) -> Arguments | None:
    """The interval to damp; None where its lower end is unknown or the spectrum not positive."""
    usable = record.positive or record.kind in ("problem", "stencil")
    return {"interval": record.interval} if usable and 0 < record.lower < record.upper else None


def _lmax(record: OperatorRecord) -> Arguments | None:
    usable = record.positive or record.kind in ("problem", "stencil", "level")
    return {"lmax": record.upper} if usable else None


def _operator(record: OperatorRecord) -> Arguments | None:
    """The matrix BA with a start vector of all frequencies alike, as errors before smoothing have
    them; the right-hand side of a model problem is smooth."""
    source = record.source
    A = getattr(source, "A", source)
    if record.kind not in ("problem", "matrix", "level") or not hasattr(A, "shape"):
        return None
    start = np.random.default_rng(0).standard_normal(A.shape[0])
    if getattr(source, "nullspace", None) is not None:
        start -= start.mean()
    if record.kind == "problem" and record.scaling == "diagonal":
        A = sp.csr_array(sp.diags_array(1.0 / A.diagonal()) @ A)
    return {"operator": A, "start": start}


def _points(record: OperatorRecord) -> Arguments | None:
    if record.kind == "points":
        return {"points": record.source}
    return {"points": Interval(*record.interval)} if 0 < record.lower < record.upper else None


def _problem(record: OperatorRecord) -> Arguments | None:
    """What Fourier analysis takes; a level's matrix is none of it."""
    if record.kind != "stencil" and getattr(record.source, "stencil", None) is None:
        return None
    return {"problem": record.source, "scaling": record.scaling, "axes": record.axes}


@dataclass(frozen=True)
class Need:
    """What a family takes of an operator's record: the arguments of its function, None where the
    record has none for it; and, for people, what it can be derived from."""

    arguments: Callable[[OperatorRecord], Arguments | None]
    sources: str


NEEDS: dict[str, Need] = {
    "interval": Need(_interval, "a Problem, a Stencil, or the interval (a, b), 0 < a < b"),
    "lmax": Need(
        _lmax, "a Problem, a Stencil, the interval (a, b), the number b, or a symmetric matrix"
    ),
    "operator": Need(_operator, "a matrix or LinearOperator (with start=), or a Problem"),
    "points": Need(_points, "points of a spectrum, an interval or several, a Problem or a Stencil"),
    "problem": Need(_problem, "a Problem with constant coefficients, or a Stencil"),
}


@dataclass(frozen=True)
class Family:
    """One entry of the registry.

    Attributes
    ----------
    function, needs
        q(degree, ...), and what it takes beside the degree: a name of `NEEDS`.
    citation, degrees
        Its source, and which degrees it has, for people.
    recorded
        The same function with how the polynomial came about beside it, where there is more to say
        than the formula.
    """

    name: str
    function: Callable[..., ResidualPolynomial]
    needs: str
    citation: str
    degrees: str = f"1 to {MAX_DEGREE}"
    recorded: Callable[..., Recorded] | None = None

    def on(self, degree: int, record: OperatorRecord, **options: Any) -> Recorded:
        """The polynomial for the operator of a record, and how it came about (empty for a formula).

        A ValueError says where the record has not what the family needs, or an option is unknown.
        """
        need = NEEDS[self.needs]
        arguments = need.arguments(record)
        if arguments is None:
            raise ValueError(
                f"family {self.name} cannot be derived from {record}, it needs {need.sources}"
            )
        if options:  # to read a signature takes as long as a formula
            self._check_options(options)
        made = self.recorded or (lambda *a, **k: (self.function(*a, **k), {}))
        polynomial, came_about = made(degree, **(arguments | options))
        # the lower end of others plays no part, and must not refuse a conversion
        used = record if self.needs in ("interval", "points") else replace(record, lower=0.0)
        return polynomial.of(used), came_about

    def _check_options(self, options: dict[str, Any]) -> None:
        """Refuse keywords that the family's function does not have."""
        known = inspect.signature(self.function).parameters.values()
        allowed = [p.name for p in known if p.kind is p.KEYWORD_ONLY and p.name not in NEEDS]
        for name in options:
            if name not in allowed:
                raise ValueError(
                    f"family {self.name} got the unknown option {name!r}, allowed are:"
                    f" {', '.join(allowed) or 'none'}"
                )


def _minimax(degree: int, **options: Any) -> Recorded:
    found = minimax_report(degree, **options)
    return found.polynomial, {
        "value": found.value,
        "lower_bound": found.lower,
        "converged": found.converged,
    }


def _harmonic_ritz(degree: int, **options: Any) -> Recorded:
    found = gmres_polynomial(degree, **options)
    copies = [{"root": [root.real, root.imag], "count": count} for root, count in found.copies]
    return found.polynomial, {"copies": copies, "relative_residual": found.residual_norm}


_LOTTES = "J. Lottes, Numer. Linear Algebra Appl. 30(6) (2023) e2518, arXiv 2202.08830"

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "richardson",
            richardson,
            "interval",
            "L. F. Richardson, Phil. Trans. R. Soc. A 210 (1911) 307-357",
        ),
        Family(
            "chebyshev",
            chebyshev,
            "interval",
            "Y. Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., SIAM (2003), alg. 12.1",
        ),
        Family("chebyshev4", chebyshev4, "lmax", _LOTTES),
        Family("chebyshev4_opt", chebyshev4_opt, "lmax", _LOTTES),
        Family(
            "mls",
            mls,
            "lmax",
            "M. Adams, M. Brezina, J. Hu, R. Tuminaro, J. Comput. Phys. 188 (2003) 593-610",
            f"3d + 1: 4, 7, 10, .., {MAX_DEGREE}",
        ),
        Family(
            "harmonic_ritz",
            harmonic_ritz,
            "operator",
            "J. A. Loe, R. B. Morgan, Numer. Linear Algebra Appl. 29 (2022) e2427",
            f"1 to {MAX_DEGREE}, at most the grade of the start",
            _harmonic_ritz,
        ),
        Family(
            "minimax",
            minimax,
            "points",
            "B. Fischer, R. Freund, J. Approx. Theory 65 (1991) 261-272",
            f"1 to {MAX_EXCHANGE_DEGREE}, on a single interval to {MAX_DEGREE}",
            _minimax,
        ),
    )
}


def register(family: Family) -> Family:
    """Enter a family in the registry; ValueError where its name is taken."""
    if family.name in FAMILIES:
        raise ValueError(f"family {family.name!r} is in the registry already")
    FAMILIES[family.name] = family
    return family


def get_family(name: str) -> Family:
    """The registry's entry of that name; a ValueError lists the known ones."""
    try:
        return FAMILIES[name]
    except (KeyError, TypeError):
        raise ValueError(f"family is {name!r}, known are {', '.join(FAMILIES)}") from None
