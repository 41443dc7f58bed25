"""What the description of a smoother becomes on a level (`set_up`): the polynomial derived or
converted for its BA, with a sentence where it does not fit, and the diagonals and triangles of the
classical ones."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import singledispatch
from typing import Any, cast

import numpy as np
import scipy.sparse as sp

from mgtheory.families import FAMILIES, NEEDS
from mgtheory.multigrid.options import Schedule
from mgtheory.multigrid.smoothings import (
    ColourSmoothing,
    DiagonalSmoothing,
    PolynomialSmoothing,
    Smoothing,
    TriangularSmoothing,
    Vector,
    Wrapped,
)
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.smoothers import COLOURINGS, GaussSeidel, Jacobi, Polynomial
from mgtheory.spectra.record import LOOSE, SLACK, OperatorRecord
from mgtheory.spectra.ritz import arnoldi

SAMPLES = 257  # points on which a polynomial is watched
IDLE = 0.9  # a smoother that leaves this much of every high frequency does nothing
# families that are made for a positive real interval; the others ask the operator itself
REAL = ("interval", "lmax")
VARYING = 2.5  # a diagonal with such a factor between its places slows a polynomial of A itself


def why_amplified(q: ResidualPolynomial, otherwise: str) -> str:
    """Why a smoothing amplifies: q does so on the spectrum that it was derived for, as `bounded` of
    degree 1, or what is said `otherwise` of A and its lmax."""
    own = q.operator
    if own is None or not np.abs(q(np.linspace(*own.interval, SAMPLES))).max() > 1.0 + 1e-3:
        return otherwise
    return "it does so on the very spectrum that it was derived for: take another family or degree"


def amplification(level: Any, q: ResidualPolynomial, B: Vector | None) -> str:
    """A sentence if |q| > 1 somewhere on the high frequencies of BA, up to a value that the
    spectrum reaches, or |q| is about 1 everywhere there; else empty."""
    end = level.reached(B)
    if end is None:
        return ""
    a = min(level.smoothing_interval(B)[0], end)
    values = np.abs(q(np.linspace(a, end, SAMPLES)))
    worst, least = float(np.max(values)), float(np.min(values))
    if IDLE <= least <= 1.0:
        return (
            f"level {level.index}: the polynomial smoother does next to nothing, it leaves at least"
            f" {least:.3g} of every high frequency; its lmax (or interval) is far too large for"
            " this A"
        )
    if worst <= 1.0 + 1e-3:
        return ""
    why = why_amplified(q, "its lmax (or interval) is too small for this A")
    return (
        f"level {level.index}: the polynomial smoother multiplies high frequencies by up to"
        f" {worst:.3g}; {why}"
    )


def smoothing(schedule: Schedule, level: Any) -> Smoothing:
    """What a schedule becomes on a level. By default, where A is not symmetric, it is the GMRES
    polynomial of the level, unless that has none, as of a complex A."""
    if schedule.by_default and not (level.self_adjoint and level.finest.self_adjoint):
        with suppress(ValueError):
            return cast(Smoothing, set_up(schedule.unsymmetric(level), level))
    described, own = schedule.on(level)
    ready = hasattr(described, "correct") and not hasattr(described, "setup")
    made = described if ready else set_up(described, level, own=own)
    if isinstance(made, Smoothing):
        return made
    if hasattr(made, "correct"):
        return Wrapped(level.operator, made)
    raise ValueError(
        f"level {level.index}: the smoother gave {made!r}, which has neither setup(level) nor"
        " correct(r)"
    )


def asymmetry(level: Any, family: str) -> str:
    """A sentence if a family for real intervals meets a matrix whose spectrum need not be real."""
    if level.index or level.self_adjoint:
        return ""
    one = "harmonic_ritz of degree 3 takes any"
    if np.iscomplexobj(level.A.data):
        one = "of a complex A bounded takes its largest eigenvalue"
    return (
        f"level 0: A is not symmetric, its spectrum need not lie on the real interval that {family}"
        f" is made for; {one}, minimax points of the spectrum"
    )


def uneven(level: Any) -> str:
    """A sentence if a polynomial of A itself meets a diagonal that varies from place to place."""
    if level.index or level.stencil is not None:
        return ""
    low, high = np.quantile(np.abs(level.A.diagonal()), (0.05, 0.95))
    if not high > VARYING * low > 0.0:
        return ""
    return (
        f"level 0: the diagonal of A varies by a factor of {high / low:.3g}, and the polynomial is"
        " one of A itself (B = I): one of D^-1 A, derived with scaling='diagonal', converges"
        " faster"
    )


@singledispatch
def set_up(described: Any, level: Any, *, own: bool = False) -> Any:
    """What a description becomes on a level: one registered function for each class of
    descriptions; a user's own object answers by its ``setup``.

    Parameters
    ----------
    own
        A given polynomial is for this level's A, not for the finest level's.
    """
    if hasattr(described, "setup"):
        return described.setup(level)
    kinds = ", ".join(kind.__name__ for kind in set_up.registry if kind is not object)
    raise ValueError(
        f"no matrix form is known for the smoother {described!r}; known are {kinds} (see `set_up`),"
        " and objects with setup(level)"
    )


@set_up.register
def _jacobi(described: Jacobi, level: Any, *, own: bool = False) -> DiagonalSmoothing:
    return DiagonalSmoothing(
        level.operator, _relaxed(described.omega, level), f"jacobi({described.omega:g})"
    )


def _relaxed(omega: float, level: Any) -> Any:
    """omega D^-1 in the type of the cycle."""
    centres = level.centres
    return (omega * centres).astype(centres.dtype)


@set_up.register
def _polynomial(described: Polynomial, level: Any, *, own: bool = False) -> PolynomialSmoothing:
    B = level.inverse_diagonal(described.scaling)
    q = on_level(described, level, B, level if own else level.finest)
    name = described.family if described.polynomial is None else "polynomial"
    warning = "" if described.polynomial is None else amplification(level, q, B)
    record = q.operator
    if described.family is None:  # derived for a positive spectrum, and handed over without a name
        real = record is not None and record.positive and q.is_real_rooted
    else:
        real = FAMILIES[described.family].needs in REAL
    if real:
        warning = warning or asymmetry(level, described.family or "the polynomial")
    if B is None:
        warning = warning or uneven(level)
    return PolynomialSmoothing(level.operator, q, B, f"{name}({q.degree})", warning=warning)


def on_level(
    described: Polynomial, level: Any, B: Vector | None, finest: Any
) -> ResidualPolynomial:
    """The polynomial of a description for the level's BA; a given one is that of level `finest`."""
    given = described.polynomial
    by_hand = described.family is None and given is not None and given.operator is None
    if by_hand and given is not None:  # nothing is derived: A may be anything
        return given if level is finest else given.scaled(level.growth(described.scaling))
    record = _comparable(described, level, B)
    needs = None if described.family is None else NEEDS[FAMILIES[described.family].needs]
    if level is finest or (given is None and needs and needs.arguments(record) is not None):
        return described.on(record)
    D = finest.inverse_diagonal(described.scaling)
    growth = level.growth(described.scaling) if described.family is None else None
    return described.on(record, _comparable(described, finest, D), growth)


def _comparable(described: Polynomial, level: Any, B: Vector | None) -> OperatorRecord:
    """The level's record. Where a given polynomial's operator is no known form, spectra alone are
    compared. What was made for the level's own bound fits it. Else that bound may lie above the
    upper end of the very same spectrum: then the record says up to where the spectrum surely
    reaches. What a family is derived from anew, on a coarse level, is the bound, as it is by
    name."""
    record: OperatorRecord = level.record(B, signed=described.signed)
    known = None if described.polynomial is None else described.polynomial.operator
    anew = described.family is not None and level.index > 0
    if known is None or anew or (known.form is not None and record.form is not None):
        return record
    if LOOSE <= record.upper / known.upper <= SLACK:
        return record
    reached = level.reached(B)
    if reached is None:  # not Hermitian; as `derive` finds it of a matrix
        reached = arnoldi(level.A if B is None else sp.diags_array(B) @ level.A).radius
    return record if reached < record.lower else replace(record, upper=reached)


@set_up.register
def _gauss_seidel(described: GaussSeidel, level: Any, *, own: bool = False) -> Smoothing:
    inverse = _relaxed(described.omega, level)  # refuses a zero on the diagonal
    A, omega = level.cycle_matrix, described.omega
    over = "" if omega == 1.0 else f", {omega:g}"
    if described.ordering == "lexicographic":
        return TriangularSmoothing(A, described.backward, omega, level.sweep(described))
    parity = np.indices(level.shape) % 2
    of_points = COLOURINGS[described.ordering](parity).ravel()
    colour = np.tile(of_points, A.shape[0] // of_points.size)  # every channel of a point
    colours = [np.flatnonzero(colour == value) for value in np.unique(colour)]
    return ColourSmoothing(
        A,
        colours[::-1] if described.backward else colours,
        f"gauss_seidel({described.ordering}{over})",
        inverse,
    )
