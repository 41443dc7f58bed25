"""Every family and degree on one problem: predicted by theory, and measured by cycles."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from mgtheory import fourier
from mgtheory._checks import check_whole
from mgtheory.comparison.table import OPTIMISED, Row, SmootherComparison
from mgtheory.derive import InitialCoefficients, derive
from mgtheory.families import FAMILIES, get_family
from mgtheory.multigrid.approximation import (
    approximation_constants,
    constants_and_ends,
    energy_bound,
)
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.level import Level
from mgtheory.multigrid.loop import ROUNDED
from mgtheory.multigrid.nullspace import without
from mgtheory.multigrid.options import Options
from mgtheory.multigrid.setup import grid_operator
from mgtheory.multigrid.solution import Cycle, check_cycle
from mgtheory.multigrid.transfer import coarse_size
from mgtheory.polynomials import scores
from mgtheory.problems.grids import check_boundary
from mgtheory.problems.problem import Problem
from mgtheory.problems.record import operator_record
from mgtheory.smoothers import SMOOTHERS, Polynomial
from mgtheory.spectra.ritz import arnoldi

COARSEST = 64  # unknowns that are solved directly, as `Hierarchy.build` has it
TOLERANCE = 1e-11  # of the measured runs: low enough for the asymptotic factor, above rounding
CYCLES = 60
ABOVE = 10.0  # times the smallest residual of such a run: larger ones are those of the cycle
STEPS = 16  # of Arnoldi for a two-grid factor
MOST = 1 << 17  # unknowns up to which its coarse grid is factorised
# dimension -> unknowns up to which the approximation constants of this very grid are computed: its
# matrices are factorised
BOUNDED = {1: 1 << 15, 2: 1 << 15, 3: 1 << 13}
# dimension -> points per axis of the periodic grid on which the approximation constant is computed:
# with a multiple of 4 it has the frequencies of the supremum, which a Dirichlet grid comes near to
# from below (3 % at 31 x 31)
CONSTANT_SIZE = {1: 256, 2: 32, 3: 16}


def compare_smoothers(
    problem: Problem | Any,
    *,
    shape: int | Sequence[int] | None = None,
    boundary: str | None = None,
    families: Sequence[str] | None = None,
    degrees: Sequence[int] = (1, 2, 3, 4),
    pre: int = 1,
    post: int = 1,
    coarsening: str | None = None,
    axes: Sequence[int] | str = "auto",
    cycle: str = "V",
    repeats: int = 3,
    build: Callable[..., Any] = Hierarchy.build,
    coarsest: int = COARSEST,
    progress: Callable[[int, str], None] | None = None,
) -> SmootherComparison:
    """Predict and measure every family at every degree, and the other smoothers beside them.

    The repeats go round all smoothers in turn, so that a slow moment of the machine meets all of
    them.

    Parameters
    ----------
    problem
        What is solved: a `Problem`, or a sparse matrix with the `shape` of its grid (`boundary`
        is ``"dirichlet"`` by default), or with ``coarsening="pyamg"``. Fourier analysis needs
        constant coefficients; with others the two-grid factor is computed, up to 131,072 unknowns,
        and the bound, up to 32,768 (8,192 in 3D).
    families, degrees
        All of `FAMILIES` by default.
    pre, post, coarsening, axes, cycle
        Of the cycle, V, W or F; coarsening by default what suits the problem, axes those the solver
        coarsens.
    repeats
        Timed runs of each smoother, at least 1, of which the median counts.
    build
        What makes the hierarchy: `Hierarchy.build`, `StencilHierarchy.build`, or another that takes
        the same arguments and returns an object with `solve` and `work_units`.
    coarsest
        Unknowns up to which a grid is solved directly; a small problem is coarsened twice whatever
        it is, so that there is a factor.
    progress
        Called with the number of smoothers that are set up and what is being done.

    Raises
    ------
    ValueError
        An option that no smoother could be measured with. What a single smoother lacks stands in
        its row.
    """
    check_cycle(cycle, without=(Cycle.FMG,))  # one pass is no cycle that could be repeated
    check_whole(repeats, "repeats", 1)
    names = _listed(families or FAMILIES, "families")
    numbers = _listed(degrees, "degrees")
    step = progress or (lambda done, text: None)
    given = {"shape": shape, "boundary": boundary}
    grid: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    of: Problem | Level = problem
    if isinstance(problem, Problem):
        sides = problem.boundary
    else:
        of = grid_operator(problem, Options(axes=axes, coarsening=coarsening, **grid))
        sides = check_boundary(boundary or "dirichlet")
    same = isinstance(problem, Problem) and problem.equation.rediscretises
    rule = coarsening or ("rediscretise" if same else "galerkin")
    around = {"pre": pre, "post": post, "coarsening": rule}
    twice = [coarse_size(coarse_size(n, sides), sides) for n in of.shape]
    coarsened = operator_record(of, axes=axes).axes or ()
    options = {**grid, **around, "axes": axes, "coarsest": min(coarsest, math.prod(twice))}
    # a wrong option is refused here, not once in every row
    first = build(problem, smoother=Polynomial(OPTIMISED, 1), **options)
    constant = approximation(of, axes) if pre == post == 1 else None
    even = of if isinstance(of, Problem) and of.stencil is not None else None
    known = here(first, of, coarsened) if even is None and pre == post == 1 else None
    if known is not None:
        constant = max((C for C, _ in known), default=None)
    kept = problem.nullspace if isinstance(problem, Problem) else first.nullspace
    two = None
    if even is None and math.prod(of.shape) <= MOST:
        unsolved = {"coarsest": options["coarsest"], "max_levels": 2}  # a small grid too
        two = Hierarchy.build(problem, **unsolved, **grid, coarsening=coarsening, axes=axes)
    rows: list[dict[str, Any]] = []
    hierarchies: dict[int, Any] = {}
    asked = [(get_family(name).name, degree) for degree in numbers for name in names]
    asked += [(name, 1) for name in SMOOTHERS]
    for done, (family, degree) in enumerate(asked):
        step(done, f"{family} {degree}")
        row: dict[str, Any] = {"family": family, "degree": degree}
        try:
            smoother: Any = family
            if family not in SMOOTHERS:
                smoother = derived(of, family, degree, axes=coarsened, around=around)
            if even is not None:
                row |= predict(even, smoother, axes=coarsened, around=around, constant=constant)
            elif not isinstance(smoother, str):
                row |= {"gamma": gamma_of(smoother)}
            hierarchies[done] = build(problem, smoother=smoother, **options)
            if two is not None:
                smoothed = two.with_smoothers(smoother, pre=pre, post=post)
                row["two_grid_computed"] = ritz_factor(smoothed, kept)
            if known is not None and family not in SMOOTHERS:
                row["bound"] = energy_bound(hierarchies[done], known=known)
            row["work_units"] = hierarchies[done].work_units(cycle)
        except ValueError as error:
            row["refused"] = " ".join(str(error).split())
        rows.append(row)
    b = np.random.default_rng(0).standard_normal(math.prod(of.shape))  # it holds every frequency
    if kept is not None:
        b = without(kept, b)
    seconds: dict[int, list[float]] = {number: [] for number in hierarchies}
    for repeat in range(repeats):
        for number, hierarchy in hierarchies.items():
            row = rows[number]
            if "refused" not in row:
                name = f"{row['family']} {row['degree']}"
                step(len(asked), f"{name}, run {repeat + 1} of {repeats}")
                row |= measure(hierarchy, b, cycle, seconds[number])
    for number, times in seconds.items():
        if times and "refused" not in rows[number]:
            cycle_seconds, factor = statistics.median(times), rows[number]["measured_factor"]
            rows[number]["seconds_per_cycle"] = cycle_seconds
            if 0 < factor < 1:
                digits = -math.log10(factor)
                rows[number]["seconds_per_digit"] = cycle_seconds / digits
                rows[number]["seconds_range"] = (min(times) / digits, max(times) / digits)
    made = tuple(Row(**row) for row in rows)
    name = getattr(of, "name", f"a matrix of {b.size} rows")
    return SmootherComparison(name, of.shape, coarsened, constant, made, getattr(of, "doubts", ()))


def _listed(given: Any, name: str) -> list[Any]:
    """What is to be compared; a single one is no list of them."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"{name} is {given!r}, must be a list, as [{given!r}]")
    return list(given)


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


def measure(
    hierarchy: Any, b: NDArray[np.float64], cycle: str, seconds: list[float]
) -> dict[str, Any]:
    """One run to `TOLERANCE`, or as far as rounding lets it: the factor from its second half; the
    time of a cycle, from all of it, is added to `seconds`."""
    solution = hierarchy.solve(b, tol=TOLERANCE, maxiter=CYCLES, cycle=cycle)
    norms = solution.residual_norms
    rounded = ROUNDED in solution.message
    if rounded:  # an ill-conditioned A, as of a coefficient that jumps
        norms = tuple(itertools.takewhile(lambda norm: norm > ABOVE * min(norms), norms))
    done = len(norms) - 1
    failed = solution.reason in ("diverged", "stagnated") and not rounded
    if done < 2 or failed or not np.isfinite(norms).all():
        once = "solved in one cycle, so there is no factor to measure; a larger grid has one"
        return {"refused": once if solution.converged else _ended(solution)}
    seconds.append(solution.solve_seconds / solution.iterations)
    return {"measured_factor": (norms[-1] / norms[done // 2]) ** (1 / (done - done // 2))}


def _ended(solution: Any) -> str:
    """Why a solve ended; of warnings, which every level may repeat, the first."""
    text = str(solution.message)
    for warning in solution.warnings[1:]:
        text = text.replace(f"; {warning}", "")
    return text
