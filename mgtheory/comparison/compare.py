"""Every family and degree on one problem: predicted by theory, and measured by cycles."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import check_whole
from mgtheory.comparison.predicted import (
    approximation,
    derived,
    gamma_of,
    here,
    predict,
    ritz_factor,
)
from mgtheory.comparison.table import OPTIMISED, Row, SmootherComparison
from mgtheory.families import FAMILIES, get_family
from mgtheory.multigrid.approximation import energy_bound
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.level import Level
from mgtheory.multigrid.loop import ROUNDED
from mgtheory.multigrid.nullspace import left_nullspace, without
from mgtheory.multigrid.options import PYAMG, Options
from mgtheory.multigrid.setup import grid_operator
from mgtheory.multigrid.solution import Cycle, check_cycle
from mgtheory.multigrid.transfer import coarse_size
from mgtheory.problems.problem import Problem
from mgtheory.problems.record import operator_record
from mgtheory.smoothers import SMOOTHERS, Polynomial

COARSEST = 64  # unknowns that are solved directly, as `Hierarchy.build` has it
TOLERANCE = 1e-11  # of the measured runs: low enough for the asymptotic factor, above rounding
CYCLES = 60
ABOVE = 10.0  # times the smallest residual of such a run: larger ones are those of the cycle
MOST = 1 << 17  # unknowns up to which the coarse grid of two is factorised


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
        What is solved: a `Problem`, or a sparse matrix with the `shape` of its grid (its `boundary`
        is found in A where it is not named), or with ``coarsening="pyamg"``. Fourier analysis needs
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
    grid = {name: value for name, value in given.items() if value is not None}
    around = {"pre": pre, "post": post, "coarsening": coarsening}
    setting = _Setting.of(problem, grid, around, axes, build, coarsest)
    rows: list[dict[str, Any]] = []
    hierarchies: dict[int, Any] = {}
    asked = [(get_family(name).name, degree) for degree in numbers for name in names]
    asked += [(name, 1) for name in SMOOTHERS]
    for done, (family, degree) in enumerate(asked):
        step(done, f"{family} {degree}")
        rows.append({"family": family, "degree": degree})
        try:
            hierarchies[done] = setting.expect(rows[done])
            rows[done]["work_units"] = hierarchies[done].work_units(cycle)
        except ValueError as error:
            rows[done]["refused"] = " ".join(str(error).split())
    timed = {number: hierarchies[number] for number in hierarchies if "refused" not in rows[number]}
    b = np.random.default_rng(0).standard_normal(setting.size)  # it holds every frequency
    if (N := setting.nullspace) is not None:
        # of a matrix that is not symmetric the range is another complement than that of N
        L = None if isinstance(setting.on, Problem) else left_nullspace(setting.on.A, N)
        b = without(N if L is None else L, b)
    _measure_in_turn(rows, timed, b, cycle, repeats, partial(step, len(asked)))
    made, of = tuple(Row(**row) for row in rows), setting.on
    name = getattr(of, "name", f"a matrix of {b.size} rows")
    doubts = getattr(of, "doubts", ())
    sides = None if coarsening == PYAMG else str(of.boundary)
    found = name, of.shape, setting.axes, setting.constant
    return SmootherComparison(*found, made, doubts, sides)


@dataclass(frozen=True)
class _Setting:
    """Where smoothers are compared: the problem, and what of it is the same for all of them.

    Attributes
    ----------
    problem, on
        What was given, and what smoothers are derived for: of a matrix on a grid its level.
    axes, around
        The coarsened axes; counts of smoothings and the rule of the coarse operators.
    build
        A smoother -> its hierarchy.
    constant, known
        The approximation constant, and those of this grid with the ends of its spectra, if any.
    nullspace
        Of A, if any.
    two
        Two levels whose smoothers are exchanged, where Fourier analysis does not know A.
    """

    problem: Problem | Any
    on: Problem | Level
    axes: tuple[int, ...]
    around: Mapping[str, Any]
    build: Callable[..., Any]
    constant: float | None
    known: tuple[tuple[float, float], ...] | None
    nullspace: NDArray[np.float64] | None
    two: Hierarchy | None

    @property
    def size(self) -> int:
        """The number of unknowns."""
        return math.prod(self.on.shape)

    @classmethod
    def of(
        cls,
        problem: Problem | Any,
        grid: Mapping[str, Any],
        around: Mapping[str, Any],
        axes: Sequence[int] | str,
        build: Callable[..., Any],
        coarsest: int,
    ) -> _Setting:
        """All of it; ValueError for an option that no smoother could be measured with."""
        asked = around["coarsening"]
        on: Problem | Level = problem
        if not isinstance(problem, Problem):
            on = grid_operator(problem, Options(axes=axes, coarsening=asked, **grid))
        sides = on.boundary
        same = isinstance(problem, Problem) and problem.equation.rediscretises
        rule = asked or ("rediscretise" if same else "galerkin")
        around = {**around, "coarsening": rule}
        twice = [coarse_size(coarse_size(n, sides), sides) for n in on.shape]
        coarsest = min(coarsest, math.prod(twice))
        coarsened = operator_record(on, axes=axes).axes or ()
        options = {**grid, **around, "axes": axes, "coarsest": coarsest}
        # a wrong option is refused here, not once in every row
        first = build(problem, smoother=Polynomial(OPTIMISED, 1), **options)
        bounded = around["pre"] == around["post"] == 1
        constant = approximation(on, axes) if bounded else None
        known = here(first, on, coarsened) if bounded and not _is_uniform(on) else None
        if known is not None:
            constant = max((C for C, _ in known), default=None)
        two = None
        if not _is_uniform(on) and math.prod(on.shape) <= MOST:
            unsolved = {"coarsest": coarsest, "max_levels": 2}  # a small grid too
            two = Hierarchy.build(problem, **unsolved, **grid, coarsening=asked, axes=axes)
        kept = problem.nullspace if isinstance(problem, Problem) else first.nullspace
        made = partial(build, problem, **options)
        return cls(problem, on, coarsened, around, made, constant, known, kept, two)

    def expect(self, row: dict[str, Any]) -> Any:
        """The hierarchy of a row's family and degree; what theory says of it is added to the row,
        as far as it comes before a ValueError."""
        family, smoother = row["family"], row["family"]
        polynomial = family not in SMOOTHERS
        if polynomial:
            smoother = derived(self.on, family, row["degree"], axes=self.axes, around=self.around)
        if _is_uniform(self.on):
            how: dict[str, Any] = {"axes": self.axes, "around": self.around}
            row |= predict(self.on, smoother, **how, constant=self.constant)
        elif polynomial:
            row["gamma"] = gamma_of(smoother)
        hierarchy = self.build(smoother=smoother)
        if self.two is not None:
            counts = {name: self.around[name] for name in ("pre", "post")}
            smoothed = self.two.with_smoothers(smoother, **counts)
            row["two_grid_computed"] = ritz_factor(smoothed, self.nullspace)
        if self.known is not None and polynomial:
            row["bound"] = energy_bound(hierarchy, known=self.known)
        return hierarchy


def _is_uniform(on: Problem | Level) -> TypeGuard[Problem]:
    """Whether A is the same at every point, as Fourier analysis needs it."""
    return isinstance(on, Problem) and on.stencil is not None


def _measure_in_turn(
    rows: list[dict[str, Any]],
    hierarchies: Mapping[int, Any],
    b: NDArray[np.float64],
    cycle: str,
    repeats: int,
    step: Callable[[str], None],
) -> None:
    """Add factor and times to the rows with these numbers, or why a row has none."""
    seconds: dict[int, list[float]] = {number: [] for number in hierarchies}
    for repeat in range(repeats):
        for number, hierarchy in hierarchies.items():
            row = rows[number]
            if "refused" not in row:
                step(f"{row['family']} {row['degree']}, run {repeat + 1} of {repeats}")
                row |= measure(hierarchy, b, cycle, seconds[number])
    for number, times in seconds.items():
        row = rows[number]
        if not times or "refused" in row:
            continue
        row["seconds_per_cycle"] = statistics.median(times)
        if 0 < row["measured_factor"] < 1:
            digits = -math.log10(row["measured_factor"])
            row["seconds_per_digit"] = row["seconds_per_cycle"] / digits
            row["seconds_range"] = (min(times) / digits, max(times) / digits)


def _listed(given: Any, name: str) -> list[Any]:
    """What is to be compared; a single one is no list of them."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"{name} is {given!r}, must be a list, as [{given!r}]")
    return list(given)


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
