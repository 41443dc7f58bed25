"""The engines that a polynomial is exported to, by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mgtheory.export.conversion import Export, Given, given
from mgtheory.export.hypre import hypre
from mgtheory.export.petsc import petsc
from mgtheory.export.pyamg import pyamg
from mgtheory.export.trilinos import trilinos
from mgtheory.polynomials.residual import ResidualPolynomial

TARGETS: dict[str, Callable[[Given], Export]] = {
    "petsc": petsc,
    "hypre": hypre,
    "trilinos": trilinos,
    "pyamg": pyamg,
}


def export(
    polynomial: ResidualPolynomial,
    to: str,
    *,
    family: str = "",
    provenance: Mapping[str, Any] = MappingProxyType({}),
    lmax: float | None = None,
    scaling: str | None = None,
) -> Export:
    """The polynomial for an engine.

    Parameters
    ----------
    polynomial
        With the record of the operator it was derived for.
    to
        ``petsc``: a file for ``-options_file``. Chebyshev's kinds by their names, other real roots
        as one Richardson step each, complex pairs by a PC in Python that lies beside the file.
        ``hypre``: calls of BoomerAMG, for the first kind up to degree 4. ``trilinos``: a
        ParameterList of Ifpack2, for the three kinds of Chebyshev. ``pyamg``: a Python file, for
        any polynomial.
    family, provenance
        Where it comes from, as in `mgtheory.derive.InitialCoefficients`.
    lmax
        The largest eigenvalue of D^-1 A where the polynomial will be applied: q is stretched to it.
        Needed for the level of a network, whose own A that is not.
    scaling
        ``diagonal`` says that a spectrum that came without an operator is that of D^-1 A.

    Raises
    ------
    ValueError
        For an unknown engine, a polynomial that it cannot apply, or one that cannot be converted to
        D^-1 A.

    Examples
    --------
    >>> from mgtheory.polynomials.classical import chebyshev
    >>> from mgtheory.problems.record import operator_record
    >>> q = chebyshev(2, interval=(0.5, 2.0)).of(operator_record((0.5, 2.0)))
    >>> print(*export(q, "petsc", scaling="diagonal").text.splitlines()[-6:], sep="\\n")
    -mg_levels_ksp_type chebyshev
    -mg_levels_ksp_chebyshev_kind first
    -mg_levels_ksp_chebyshev_eigenvalues 0.5,2.0
    -mg_levels_ksp_max_it 2
    -mg_levels_ksp_norm_type none
    -mg_levels_pc_type jacobi
    """
    if to not in TARGETS:
        raise ValueError(f"unknown engine {to!r}, allowed are {', '.join(TARGETS)}")
    if scaling not in (None, "diagonal"):
        raise ValueError(f"scaling is {scaling!r}, the engines apply D^-1 A: diagonal, or nothing")
    return TARGETS[to](given(polynomial, family, provenance, lmax, scaling))
