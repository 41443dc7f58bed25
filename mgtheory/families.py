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
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.polynomials.amplified import Spectrum, scale_to
from mgtheory.polynomials.bounded import MAX_STEP_DEGREE, bounded, longest_step
from mgtheory.polynomials.classical import chebyshev, chebyshev4, chebyshev4_opt, mls, richardson
from mgtheory.polynomials.exchange import MAX_EXCHANGE_DEGREE
from mgtheory.polynomials.gmres import gmres_polynomial, harmonic_ritz
from mgtheory.polynomials.minimax import minimax, minimax_report
from mgtheory.polynomials.residual import MAX_DEGREE, ResidualPolynomial
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import complex_symbols
from mgtheory.spectra.interval import Interval
from mgtheory.spectra.record import OperatorRecord

# a polynomial, and what there is to say about how it came about, as JSON types
Recorded = tuple[ResidualPolynomial, dict[str, Any]]
Arguments = dict[str, Any]


def _interval(record: OperatorRecord) -> Arguments | None:
    """The interval to damp; None where its lower end is unknown or the spectrum not positive."""
    usable = record.positive or record.kind == "problem"
    return {"interval": record.interval} if usable and 0 < record.lower < record.upper else None


def _lmax(record: OperatorRecord) -> Arguments | None:
    usable = record.positive or record.kind in ("problem", "level")
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
    if (w := getattr(source, "scales", None)) is not None:  # else large units had the norm alone
        A = sp.csr_array((1.0 / w)[:, None] * A * w)
    if record.kind == "problem" and record.scaling == "diagonal":
        diagonal = A.diagonal()  # 0 where a row is empty
        A = sp.csr_array(sp.diags_array(1.0 / np.where(diagonal == 0, 1.0, diagonal)) @ A)
    return {"operator": A, "start": start}


def _points(record: OperatorRecord) -> Arguments | None:
    """Points that are known, the high frequencies of a complex symbol, or the interval to damp."""
    if record.kind == "points":
        return {"points": record.source}
    if (values := high_symbol(record)) is not None:
        return {"points": values}
    return {"points": Interval(*record.interval)} if 0 < record.lower < record.upper else None


def high_symbol(record: OperatorRecord) -> NDArray[np.complex128] | None:
    """The symbol of BA on the high frequencies where it is complex, as with a wind: `minimax` takes
    it as it is. None where it is real, or not known."""
    stencil = getattr(record.source, "stencil", record.source)
    if not isinstance(stencil, Stencil) or record.kind not in ("problem", "stencil"):
        return None
    values = complex_symbols(stencil, record.axes)
    if values is None or record.scaling != "diagonal":
        return values
    return np.asarray(values / stencil.diagonal.item())


def _radius(record: OperatorRecord) -> Arguments:
    """b, whatever the sign of the spectrum, and the points of it that are known."""
    known = _points(record) if record.kind in ("points", "interval") else None
    points = known["points"] if known else getattr(record.source, "outline", None)
    return {"radius": record.upper, "points": points}


def spectrum_of(record: OperatorRecord) -> Spectrum:
    """What |q| is measured on: points that are known, (0, b] where the spectrum is positive, else
    b, for the disc |z| <= b that holds it."""
    known = record.source if record.kind == "points" else getattr(record.source, "outline", None)
    if known is not None:
        return cast(Spectrum, known)
    return Interval(0.0, record.upper) if record.positive else record.upper


def amplification_scale(
    q: ResidualPolynomial, record: OperatorRecord, amplification: float, *, only_down: bool = False
) -> float:
    """The s > 0 with which max |q(s t)| over the spectrum of a record is the amplification (see
    `mgtheory.polynomials.amplified`).

    It is 1 where max |q| <= 1, for there the classical theory holds and q is left to it. Where the
    spectrum is positive, or with `only_down`, q is never stretched: s <= 1.
    """
    kept = amplification if record.positive or only_down else 1.0
    return scale_to(q, spectrum_of(record), amplification, kept=kept)


def _problem(record: OperatorRecord) -> Arguments | None:
    """What Fourier analysis takes: of a level its problem, or the stencil of R A P; its matrix is
    none of it."""
    source, known = record.source, {"scaling": record.scaling, "axes": record.axes}
    if record.kind != "stencil" and getattr(source, "stencil", None) is None:
        return None
    if getattr(source, "problem", source) is None:
        return known | {"problem": source.stencil, "coarsening": "galerkin"}
    return known | {"problem": source}


@dataclass(frozen=True)
class Need:
    """What a family takes of an operator's record: the arguments of its function, None where the
    record has none for it; and, for people, what it can be derived from."""

    arguments: Callable[[OperatorRecord], Arguments | None]
    sources: str


NEEDS: dict[str, Need] = {
    "interval": Need(_interval, "a Problem, a Stencil, or the interval (a, b), 0 < a < b"),
    "lmax": Need(
        _lmax,
        "a Problem, a Stencil, the interval (a, b), the number b, or a symmetric positive matrix",
    ),
    "operator": Need(_operator, "a matrix, a LinearOperator with its start vector, or a Problem"),
    "points": Need(
        _points, "points of a spectrum, an Interval or a list of them, a Problem or a Stencil"
    ),
    "radius": Need(_radius, "anything with a spectrum: its largest modulus b is enough"),
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

    @property
    def is_amplified(self) -> bool:
        """Whether the amplification is a parameter of its own."""
        return "amplification" in inspect.signature(self.function).parameters

    @property
    def takes_upper_end(self) -> bool:
        """Whether b is all that it takes of an interval [a, b]."""
        return self.needs in ("lmax", "radius")

    def on(
        self,
        degree: int,
        record: OperatorRecord,
        *,
        amplification: float | None = None,
        **options: Any,
    ) -> Recorded:
        """The polynomial for the operator of a record, and how it came about (empty for a formula).

        With an `amplification` it is scaled to it (`amplification_scale`), which ``scale`` records,
        unless that is a parameter of the family's own function. A ValueError says where the record
        has not what the family needs, or an option is unknown.
        """
        if amplification is not None and self.is_amplified:
            options, amplification = options | {"amplification": amplification}, None
        need = NEEDS[self.needs]
        # what bounds |q| on any spectrum may ask for the shape of a family for positive ones
        shaped = record if amplification is None else replace(record, positive=True)
        arguments = need.arguments(shaped)
        if arguments is None:
            said = f"family {self.name} cannot be derived from {record}, it needs {need.sources}"
            if record.kind == "matrix":  # of one that is nearly symmetric, what it lacks
                lacking = record.found.partition("; ")[2]
                said += f"; {lacking}" * bool(lacking)
                if np.iscomplexobj(record.source):
                    said += "; of a complex one: bounded, or minimax of points of its spectrum"
                else:
                    others = [one.name for one in FAMILIES.values() if one.needs == "operator"]
                    said += f"; of any matrix: {', '.join(others)}"
            raise ValueError(said)
        if options:  # to read a signature takes as long as a formula
            known = inspect.signature(self.function).parameters.values()
            allowed = [p.name for p in known if p.kind is p.KEYWORD_ONLY and p.name not in NEEDS]
            for name in options:
                if name not in allowed:
                    raise ValueError(
                        f"family {self.name} got the unknown option {name!r}, allowed are:"
                        f" {', '.join(allowed) or 'none'}"
                    )
        made = self.recorded or (lambda *a, **k: (self.function(*a, **k), {}))
        polynomial, came_about = made(degree, **(arguments | options))
        if amplification is not None:
            scale = amplification_scale(polynomial, record, amplification)
            polynomial, came_about = polynomial.scaled(1 / scale), came_about | {"scale": scale}
        # a lower end that plays no part must not refuse a conversion
        lower = 0.0 if self.takes_upper_end or self.needs == "operator" else record.lower
        used = replace(record, lower=lower, source=None)
        return polynomial.of(used), came_about


def _minimax(degree: int, **options: Any) -> Recorded:
    found = minimax_report(degree, **options)
    return found.polynomial, {
        "value": found.value,
        "lower_bound": found.lower,
        "converged": found.converged,
        "message": found.message,
        "copies": _counted(found.copies),
    }


def _bounded(degree: int, *, optimal: bool = False, **options: Any) -> Recorded:
    if not optimal:
        return bounded(degree, **options), {}
    found = longest_step(degree, **options)
    return found.polynomial, {
        "step": found.step,
        "upper_bound": found.bound,
        "converged": found.converged,
    }


def _harmonic_ritz(degree: int, **options: Any) -> Recorded:
    found = gmres_polynomial(degree, **options)
    return found.polynomial, {
        "copies": _counted(found.copies),
        "relative_residual": found.residual_norm,
    }


def _counted(copies: tuple[tuple[complex, int], ...]) -> list[dict[str, Any]]:
    """Repeated roots as JSON types."""
    return [{"root": [root.real, root.imag], "count": count} for root, count in copies]


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
        Family(
            "bounded",
            bounded,
            "radius",
            "k equal roots, max |q| = M on a disc: mgtheory.polynomials.bounded",
            f"1 to {MAX_DEGREE}, the longest step to {MAX_STEP_DEGREE}",
            _bounded,
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
