"""What figures are given, checked where it is drawn: data by their labels, lists of numbers, an
interval, polynomials with or without the record of their operator, eigenvalues, residual norms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import check_array, check_finite, check_kind, check_unmasked
from mgtheory.derive import InitialCoefficients
from mgtheory.multigrid.solution import Solution
from mgtheory.polynomials.residual import ResidualPolynomial

# a q to draw
Drawn = ResidualPolynomial | InitialCoefficients


def labelled(given: Any, name: str, what: str) -> Mapping[str, Any]:
    """Label -> what is drawn; a ValueError for anything else than a mapping."""
    found: Mapping[str, Any] = check_kind(given, Mapping, name, f"a mapping {{label: {what}}}")
    return found


def numbers(given: Any, what: str) -> NDArray[np.float64]:
    """A list of real numbers; None is not a number, and has no place in the figure."""
    check_unmasked(given, what)
    try:  # by way of objects, since an array of complex numbers would lose its imaginary parts
        values = np.asarray(given, dtype=object).astype(float)
    except (TypeError, ValueError, RuntimeError):
        values = np.zeros(())
    if values.ndim != 1:
        raise ValueError(f"{what} must be a list of numbers")
    return values


def interval(given: Any, name: str) -> tuple[float, float]:
    """The ends of an interval, the lower one first."""
    ends = check_array(given, name, real=True)
    if ends.shape != (2,) or not -np.inf < ends[0] < ends[1] < np.inf:
        raise ValueError(f"{name} is {given!r}, must be two finite numbers, the lower one first")
    return float(ends[0]), float(ends[1])


def polynomial(given: Any, label: str, *, relative: bool) -> ResidualPolynomial:
    """q of a polynomial or of initial coefficients; if `relative`, in units of the b of the
    operator that it was derived for, where it says which that is."""
    q = given.polynomial if isinstance(given, InitialCoefficients) else given
    check_kind(q, ResidualPolynomial, repr(label), "a ResidualPolynomial or what derive returns")
    return q.scaled(1.0 / q.operator.upper) if relative and q.operator is not None else q


def eigenvalues(given: Any, name: str = "eigenvalues") -> NDArray[np.complex128]:
    """Complex numbers of any shape, at least one and all finite."""
    values = check_array(given, name).astype(complex)
    if not values.size:
        raise ValueError(f"{name} is empty, must have at least one number")
    check_finite(values, name)
    return values


def residual_norms(given: Any, label: str) -> NDArray[np.float64]:
    """The norms of a solution, or those given."""
    norms = given.residual_norms if isinstance(given, Solution) else given
    norms = numbers(norms, f"history {label!r}")
    if norms.size < 1 or not 0 < norms[0] < np.inf:
        raise ValueError(
            f"history {label!r} starts with {norms.ravel()[:1].tolist()}, must be a list that"
            " starts with a finite residual norm > 0"
        )
    return norms
