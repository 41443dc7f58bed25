"""Smoothers compared on a problem or a matrix: every family and degree, predicted by theory and
measured.

>>> from mgtheory import poisson
>>> found = compare_smoothers(poisson((31, 31)), families=["chebyshev4"], degrees=[1, 2])
>>> [round(row.smoothing_factor, 3) for row in found.rows[:2]]
[0.667, 0.25]
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from mgtheory import fourier
from mgtheory._html import html_table
from mgtheory.derive import InitialCoefficients, derive
from mgtheory.families import FAMILIES, get_family
from mgtheory.multigrid.approximation import approximation_constants
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.level import Level
from mgtheory.multigrid.options import Options
from mgtheory.multigrid.setup import grid_operator
from mgtheory.multigrid.solve import without
from mgtheory.multigrid.transfer import coarse_size
from mgtheory.polynomials import scores
from mgtheory.problems.grids import check_boundary
from mgtheory.problems.problem import Problem
from mgtheory.problems.record import operator_record
from mgtheory.smoothers import SMOOTHERS, Polynomial
from mgtheory.spectra.ritz import arnoldi

OPTIMISED = "chebyshev4_opt"
COARSEST = 64  # unknowns that are solved directly, as `Hierarchy.build` has it
TOLERANCE = 1e-11  # of the measured runs: low enough for the asymptotic factor, above rounding
CYCLES = 60
STEPS = 16  # of Arnoldi for a two-grid factor
MOST = 1 << 17  # unknowns up to which its coarse grid is factorised
NOISE = 0.05  # relative difference of times that any machine makes
# of a table: heading -> attribute of a row, and what one of it is in the heading's unit
COLUMNS: dict[str, tuple[str, float | None]] = {
    "family": ("family", None),
    "degree": ("degree", None),
    "smoothing": ("smoothing_factor", None),
    "two-grid": ("two_grid_factor", None),
    "gamma": ("gamma", None),
    "bound": ("bound", None),
    "measured": ("measured_factor", None),
    "work/cycle": ("work_units", None),
    "ms/cycle": ("seconds_per_cycle", 1e3),
    "ms/digit": ("seconds_per_digit", 1e3),
    "± %": ("spread", 100.0),
}
# dimension -> points per axis of the periodic grid on which the approximation constant is computed:
# with a multiple of 4 it has the frequencies of the supremum, which a Dirichlet grid comes near to
# from below (3 % at 31 x 31)
CONSTANT_SIZE = {1: 256, 2: 32, 3: 16}


@dataclass(frozen=True)
class Row:
    """One smoother: what theory predicts and what was measured; None where something does not
    exist.

    Attributes
    ----------
    smoothing_factor, two_grid_factor
        Of Fourier analysis, on the infinite grid; two grids with the given numbers of smoothings.
    two_grid_computed
        Where Fourier analysis has no operator that is the same at every point: by `ritz_factor`,
        on this very grid, which is no prediction for another one.
    gamma, bound
        Of scores: gamma of the polynomial, and C/(C + 1/gamma), proved for Galerkin coarsening, one
        smoothing before and one after.
    measured_factor
        Geometric mean of the residual's reduction over the second half of the cycles, from a random
        right-hand side.
    work_units
        Products with A on all levels in one cycle, in units of one on the finest grid.
    seconds_per_cycle, seconds_per_digit
        Median over the repeats; a digit is a factor of 10 in the residual.
    seconds_range
        The least and the most seconds per digit of a repeat.
    refused
        Why there is no such smoother or no result.
    """

    family: str
    degree: int
    smoothing_factor: float | None = None
    two_grid_factor: float | None = None
    gamma: float | None = None
    bound: float | None = None
    measured_factor: float | None = None
    work_units: float | None = None
    seconds_per_cycle: float | None = None
    seconds_per_digit: float | None = None
    seconds_range: tuple[float, float] | None = None
    refused: str = ""
    two_grid_computed: float | None = None

    @property
    def spread(self) -> float | None:
        """Half of the range of the times over their median."""
        if self.seconds_range is None or not self.seconds_per_digit:
            return None
        return (self.seconds_range[1] - self.seconds_range[0]) / (2 * self.seconds_per_digit)

    def ties_with(self, faster: Row) -> bool:
        """Whether the times of the two are within noise: a run of this one took at most 5 % longer
        than the other's median."""
        if self.seconds_range is None or faster.seconds_per_digit is None:
            return False
        return self.seconds_range[0] <= faster.seconds_per_digit * (1 + NOISE)


@dataclass(frozen=True, repr=False)
class SmootherComparison:
    """All rows and what follows from them; `doubts` says what in a matrix speaks against its
    grid."""

    problem: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    constant: float | None
    rows: tuple[Row, ...]
    doubts: tuple[str, ...] = ()

    @property
    def winner(self) -> Row | None:
        """The row with the least time per digit."""
        timed = [row for row in self.rows if row.seconds_per_digit is not None]
        return min(timed, key=lambda row: row.seconds_per_digit or math.inf) if timed else None

    @property
    def ties(self) -> tuple[Row, ...]:
        """The rows that tie with the winner within noise, the fastest first."""
        best = self.winner
        if best is None:
            return ()
        found = [row for row in self.rows if row is not best and row.ties_with(best)]
        return tuple(sorted(found, key=lambda row: row.seconds_per_digit or math.inf))

    @property
    def verdict(self) -> tuple[str, ...]:
        """What the rows say, in lines: the fastest and what ties with it, where the optimised
        fourth kind loses."""
        lines, best = [], self.winner
        if best is not None and best.seconds_range is not None:
            low, high = (f"{1e3 * end:.3g}" for end in best.seconds_range)
            time = f"{1e3 * (best.seconds_per_digit or 0):.3g} ms per digit ({low} to {high})"
            lines.append(f"fastest here: {best.family} of degree {best.degree}, {time}")
            if self.ties:
                tied = ", ".join(f"{row.family} {row.degree}" for row in self.ties)
                lines.append(f"tie within noise: some of their runs were as fast: {tied}")
        lines += self.losses
        shown = {row.family for row in self.rows if not row.refused}
        if OPTIMISED in shown and not self.losses:
            lines.append(
                f"{OPTIMISED} does not lose to another family of the same degree here, but for ties"
            )
        return tuple(lines)

    @property
    def table(self) -> list[list[Any]]:
        """The rows that were measured, under the headings of `COLUMNS`."""
        return [
            [
                value if value is None or unit is None else unit * value
                for name, unit in COLUMNS.values()
                for value in [getattr(row, name)]
            ]
            for row in self.rows
            if not row.refused
        ]

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """For notebooks: the table, and the verdict below it."""
        head, *rows = self._cells()
        return html_table(head, rows, self.verdict)

    def _cells(self) -> list[list[str]]:
        """The table in text, with its head."""

        def text(cell: Any) -> str:
            return "–" if cell is None else cell if isinstance(cell, str) else f"{cell:.4g}"

        return [list(COLUMNS), *([text(cell) for cell in row] for row in self.table)]

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if k == 0 else cell.rjust(width)
                for k, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in cells
        ]
        left = [f"left out: {r.family} {r.degree}: {r.refused}" for r in self.rows if r.refused]
        title = f"{self.problem}, {' x '.join(map(str, self.shape))}"
        doubts = [f"warning: {text}" for text in self.doubts]
        return "\n".join([title, *lines, *left, *doubts, *self.verdict])

    @property
    def losses(self) -> tuple[str, ...]:
        """Where the optimised fourth kind loses to another family, a line a degree."""
        lines = []
        for mine in self.rows:
            if mine.family != OPTIMISED or mine.refused:
                continue
            alike = [row for row in self.rows if row.degree == mine.degree and not row.refused]
            rivals = [row for row in alike if row.family not in (OPTIMISED, *SMOOTHERS)]
            lost = []
            for name, (title, margin, shown) in LOSABLE.items():
                own = getattr(mine, name)
                known = [row for row in rivals if getattr(row, name) is not None]
                best = min(known, key=lambda row: getattr(row, name), default=None)
                if own is None or best is None or not getattr(best, name) < own * (1 - margin):
                    continue
                if name != "seconds_per_digit" or not mine.ties_with(best):
                    lost.append(
                        f"{title} ({shown(own)}, {best.family} {shown(getattr(best, name))})"
                    )
            if lost:
                lines.append(f"degree {mine.degree}: {OPTIMISED} loses in {', '.join(lost)}")
        return tuple(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "problem": self.problem,
            "shape": list(self.shape),
            "approximation_constant": self.constant,
            "axes": list(self.axes),
            "rows": [asdict(row) for row in self.rows],
            "winner": None if self.winner is None else asdict(self.winner),
            "tied": [[row.family, row.degree] for row in self.ties],
            "optimised_fourth_kind_loses": list(self.losses),
            "doubts": list(self.doubts),
        }


# what a smoother can lose in -> its title, what is a tie (relative: rounding, power iteration,
# timing noise) and how it is written
LOSABLE: dict[str, tuple[str, float, Callable[[float], str]]] = {
    "two_grid_factor": ("two-grid factor", 1e-6, "{:.4g}".format),
    "measured_factor": ("measured factor", 1e-3, "{:.4g}".format),
    "seconds_per_digit": ("time per digit", NOISE, lambda s: f"{1e3 * s:.3g} ms"),
}


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
        constant coefficients; with others, up to 131,072 unknowns, the two-grid factor is computed.
    families, degrees
        All of `FAMILIES` by default.
    pre, post, coarsening, axes, cycle
        Of the cycle; coarsening by default what suits the problem, axes those the solver coarsens.
    repeats
        Timed runs of each smoother, of which the median counts.
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
    kept = problem.nullspace if isinstance(problem, Problem) else first.nullspace
    two = None
    if even is None and math.prod(of.shape) <= MOST:
        two = Hierarchy.build(problem, max_levels=2, **grid, coarsening=coarsening, axes=axes)
    rows: list[dict[str, Any]] = []
    hierarchies: dict[int, Any] = {}
    asked = [(get_family(name).name, degree) for degree in degrees for name in families or FAMILIES]
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
    """One run to `TOLERANCE`: the factor from its second half; the time of a cycle, from all of it,
    is added to `seconds`."""
    solution = hierarchy.solve(b, tol=TOLERANCE, maxiter=CYCLES, cycle=cycle)
    norms, done = solution.residual_norms, solution.iterations
    if done < 2 or solution.reason in ("diverged", "stagnated") or not np.isfinite(norms).all():
        once = "solved in one cycle, so there is no factor to measure; a larger grid has one"
        return {"refused": once if solution.converged else str(solution.message)}
    seconds.append(solution.solve_seconds / done)
    return {"measured_factor": (norms[-1] / norms[done // 2]) ** (1 / (done - done // 2))}
