"""What theory says of a smoother on a problem: factors, scores and the bound of the V-cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from mgtheory import fourier
from mgtheory.comparison.table import OPTIMISED
from mgtheory.derive import InitialCoefficients, derive
from mgtheory.families import get_family
from mgtheory.multigrid.approximation import approximation_constants, constants_and_ends
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.level import Level
from mgtheory.multigrid.nullspace import without
from mgtheory.polynomials import scores
from mgtheory.problems.problem import Problem
from mgtheory.spectra.ritz import arnoldi

STEPS = 16  # of Arnoldi for a two-grid factor
# dimension -> unknowns up to which the approximation constants of this very grid are computed: its
# matrices are factorised
BOUNDED = {1: 1 << 15, 2: 1 << 15, 3: 1 << 13}
# dimension -> points per axis of the periodic grid on which the approximation constant is computed:
# with a multiple of 4 it has the frequencies of the supremum, which a Dirichlet grid comes near to
# from below (3 % at 31 x 31)
CONSTANT_SIZE = {1: 256, 2: 32, 3: 16}


def approximation(problem: Problem | Level, axes: Sequence[int] | str = "auto") -> float | None:
    """The levels' largest C on an infinite grid with `axes` coarsened.

    No Dirichlet grid with an odd number of points on every level exceeds it. None with variable
    coefficients, and where A is not symmetric positive definite: then there is no bound.
    """
    if problem.stencil is None or not isinstance(problem, Problem):
        return None
    shape = (CONSTANT_SIZE[problem.dim],) * problem.dim
    periodic = Problem.from_stencil(problem.stencil, shape, boundary="periodic")
    try:
        hierarchy = Hierarchy.build(periodic, coarsening="galerkin", axes=axes)
        return max(approximation_constants(hierarchy))
    except ValueError:
        return None


def here(
    hierarchy: Any, of: Problem | Level, axes: Sequence[int]
) -> tuple[tuple[float, float], ...] | None:
    """C and lmax of the levels of this very hierarchy, for the B with which a polynomial derived
    for `of` is applied there; None where there is no bound, and where it is too large or has no
    matrices."""
    if not isinstance(hierarchy, Hierarchy):
        return None
    fine = hierarchy.levels[0]
    if fine.size > BOUNDED[min(len(fine.shape), 3)]:
        return None
    try:
        # a family by its name is derived anew on each level, and may have another B on coarse ones
        start = derived(of, OPTIMISED, 1, axes=axes, around={})
        return constants_and_ends(hierarchy.with_smoothers(start))
    except (ValueError, ArithmeticError):
        return None


def derived(
    problem: Problem | Level,
    family: str,
    degree: int,
    *,
    axes: Sequence[int] | str,
    around: Mapping[str, Any],
) -> InitialCoefficients:
    """A family's coefficients for a problem; one that is made for a cycle gets the one `around`."""
    cycle = around if get_family(family).needs == "problem" else {}
    return derive(family, degree, problem, axes=axes, **cycle)


def predict(
    problem: Problem,
    smoother: InitialCoefficients | str,
    *,
    axes: Sequence[int],
    around: Mapping[str, Any],
    constant: float | None,
) -> dict[str, Any]:
    """What Fourier analysis and the scores say; no scores for a classical smoother."""
    given = smoother if isinstance(smoother, str) else smoother.polynomial
    found: dict[str, Any] = {
        "smoothing_factor": fourier.smoothing_factor(problem, given, axes=axes).factor,
        "two_grid_factor": fourier.two_grid_factor(problem, given, axes=axes, **around).factor,
    }
    if isinstance(smoother, str):
        return found
    found["gamma"] = gamma_of(smoother)
    if constant is not None:
        found["bound"] = scores.v_cycle_bound(smoother.relative, constant=constant)
    return found


def gamma_of(smoother: InitialCoefficients) -> float | None:
    """Of the polynomial alone, whatever the coarse grids are; None where A is not symmetric."""
    return scores.gamma(smoother.relative) if smoother.operator.positive else None


def ritz_factor(hierarchy: Hierarchy, nullspace: NDArray[np.float64] | None = None) -> float:
    """The largest |Ritz value| of I - M A after 16 Arnoldi steps from a random start, M one cycle.

    With two levels, whose coarse one is solved exactly, it is what Fourier analysis predicts for
    constant coefficients, up to 2 % (measured against dense eigenvalues). That of a lexicographic
    sweep, which is far from normal, lies above the spectral radius, nearer to what cycles leave.

    Examples
    --------
    >>> from mgtheory import poisson
    >>> problem = poisson((63, 63))
    >>> two = Hierarchy.build(problem, smoother="jacobi", max_levels=2)
    >>> exact = fourier.two_grid_factor(problem, "jacobi").factor
    >>> bool(0.98 * exact < ritz_factor(two) < 1.001 * exact)
    True
    """
    A = hierarchy.levels[0].A

    def left(x: NDArray[Any]) -> NDArray[Any]:
        y = x - hierarchy.apply(A @ x)
        return y if nullspace is None else without(nullspace, y)

    of = LinearOperator(A.shape, matvec=left, dtype=A.dtype)
    return abs(arnoldi(of, steps=STEPS).dominant)
