"""What smooths on a level, as steps: a polynomial of D^-1 A, or damped Jacobi, without a matrix."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory.families import FAMILIES
from mgtheory.matrixfree.tables import CACHED
from mgtheory.multigrid.options import Schedule
from mgtheory.polynomials.factors import Factor
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.smoothers import Jacobi, Polynomial, called
from mgtheory.spectra.record import OperatorRecord

Array = NDArray[np.float64]


def smoothing_steps(polynomial: ResidualPolynomial) -> list[Array]:
    """The polynomial as steps x_i = x_{i-1} + omega r_{i-1} + mu (x_{i-1} - x_{i-2}), one array of
    (omega, mu) rows for each real factor.

    A pair with correction c_0 r + c_1 A r, c_1 < 0 (a conjugate one), is two steps with omega =
    (-c_1)^(1/2), the second with mu = c_0/omega - 2: the first gives A r = (r_0 - r_1)/omega
    without another product.
    """
    return [
        _factor_steps(factor)
        for factor in polynomial.factors
        if any(factor.correction_coefficients)
    ]


def _factor_steps(factor: Factor) -> Array:
    c = factor.correction_coefficients
    if len(c) == 1:
        return np.array([[c[0], 0.0]])
    if len(c) > 2 or c[1] >= 0.0:
        raise TypeError(f"no steps for a {factor.kind} factor with the terms {c}")
    omega = (-c[1]) ** 0.5
    return np.array([[omega, 0.0], [omega, c[0] / omega - 2.0]])


def described_on(schedule: Schedule, operator: Any) -> tuple[Polynomial | Jacobi, bool]:
    """What smooths on a level, and whether it was made for this very level; refused where it needs
    a matrix."""
    made, own = schedule.on(operator)
    if not isinstance(made, Polynomial | Jacobi):
        raise ValueError(
            f"the matrix-free cycle smooths by polynomials or Jacobi, got {called(schedule.given)};"
            " mgtheory.Hierarchy has others (backend 'sparse')"
        )
    if isinstance(made, Polynomial) and made.polynomial is None:
        assert made.family is not None
        if FAMILIES[made.family].needs == "operator":
            raise ValueError(
                f"{made.family} needs the level's matrix, which the matrix-free cycle has not:"
                " derive it first and pass its polynomial; mgtheory.Hierarchy derives it itself"
                " (backend 'sparse')"
            )
    return made, own


def steps_on(schedule: Schedule, operator: Any) -> list[Array]:
    """The steps (omega, mu) that smooth a level's A, see `smoothing_steps`; D^-1 A where the
    coefficients of the operator vary."""
    described, own = described_on(schedule, operator)
    if isinstance(described, Jacobi):
        return [np.array([[described.omega / operator.diagonal, 0.0]])]
    if operator.varies and described.scaling == "identity":
        raise ValueError(
            f"level {operator.index}: a polynomial of A itself was given, the matrix-free cycle"
            " smooths variable coefficients by those of D^-1 A: take scaling='diagonal'"
        )
    finest = operator if own or operator.finest is None else operator.finest
    if described.polynomial is not None:
        described = replace(described, polynomial=_of_unit_diagonal(described, finest))
    steps = _steps(
        replace(described, scaling="diagonal"),
        operator.record(signed=described.signed),
        None if finest is operator else finest.record(signed=described.signed),
    )
    return [step * (1.0 / abs(operator.diagonal), 1.0) for step in steps]


def _of_unit_diagonal(described: Polynomial, finest: Any) -> ResidualPolynomial:
    """The given polynomial for D^-1 A of the finest level: where D is a number, that is a factor
    like any other."""
    q, unit = described.polynomial, finest.record(signed=described.signed)
    assert q is not None
    if described.scaling == "diagonal" or finest.varies:
        return q.on(unit)
    size = abs(finest.diagonal)
    a, b = (end * size for end in unit.interval)
    moved = q.on(replace(unit, lower=a, upper=b, scaling="identity"))
    scaled = moved.scaled(1.0 / size)
    return scaled if moved.operator is None else scaled.of(unit)


@functools.lru_cache(maxsize=CACHED)
def _steps(
    described: Polynomial, record: OperatorRecord, finest: OperatorRecord | None
) -> list[Array]:
    """Steps for D^-1 A of a record; kept for the next level and the next set-up."""
    return smoothing_steps(described.on(record, finest))
