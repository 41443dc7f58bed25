"""Learning a smoother on the equation itself: the coefficients of a cycle's smoothing polynomials
that make its error fall fastest.

E is the cycle's error operator. The loss ``mean`` is the normalised Frobenius norm of its m-th
power,

    (mean ||E^m z||^2 / mean ||z||^2)^(1/(2m))  ->  spectral radius of E as m grows,

the mean over all errors z: smooth in the coefficients, so that a quasi-Newton method applies. The
loss ``worst`` is the spectral radius itself, the factor of the error that falls slowest: a maximum
of smooth functions, the moduli of eigenvalues.

Where A is constant and the grids nest, E is small blocks in the eigenvectors of A
(`nets.pde.modes`): both losses are exact, and the maximum is minimised by sequential quadratic
programming as `mgtheory.fourier.optimal` does for two grids. Where these blocks are large, E^m is
applied to some random errors in place of all; the worst case is then the largest ||E^m z||^2 /
||z||^2 of these. Elsewhere E is that of the sparse solver's own cycle (`nets.pde.energy`): the
worst case is had without chance on grids of any size, by descents on spans of its leading
eigenvectors, the mean on small ones alone.

The loss is not the factor that a run measures: what is returned is the iterate that measures best,
the start among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mgtheory._checks import check_callable, check_kind, check_number, check_whole
from mgtheory._html import html_table
from mgtheory.derive import InitialCoefficients, versions
from mgtheory.families import FAMILIES
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.problem import Problem
from mgtheory.problems.record import operator_record
from mgtheory.smoothers import Polynomial
from mgtheory.smoothers import smoother as described
from nets.defaults import own_defaults
from nets.models.checks import check_generator
from nets.pde.cycle import MultigridCycle, check_smoothings
from nets.pde.descent import LOSSES, Course, Objective
from nets.pde.error import SETS, Watch
from nets.pde.learned import LearnedCycle


@dataclass(frozen=True)
class LearnedSmoother:
    """What was learned, from where, and what it is worth.

    Attributes
    ----------
    initial
        The learned polynomial as initial coefficients: save it, and start a network with ``file:``.
        Of several, that of the finest level before the coarse-grid correction.
    before, after
        The learned polynomials of each level but the coarsest, before and after the coarse-grid
        correction, for the BA of that level.
    hierarchy
        The sparse solver smoothed by them; another kind of cycle than V is an argument of its
        `solve`.
    start
        The polynomial it started from.
    losses, factors
        The loss and the cycle's measured convergence factor of each iterate, the start first.
        What is learned is the iterate with the smallest measured factor.
    cycle
        The same as a torch module, where convolutions have the problem; else None.
    converged, reason
        Whether that is the last one and no step makes its loss smaller; in words why it ended.
    """

    initial: InitialCoefficients
    before: tuple[InitialCoefficients, ...]
    after: tuple[InitialCoefficients, ...]
    start: ResidualPolynomial
    losses: tuple[float, ...]
    factors: tuple[float, ...]
    hierarchy: Hierarchy
    cycle: MultigridCycle | None
    converged: bool
    reason: str

    @property
    def polynomial(self) -> ResidualPolynomial:
        """The learned q on the finest level."""
        return self.initial.polynomial

    @property
    def factor_start(self) -> float:
        """The measured factor of the start."""
        return self.factors[0]

    @property
    def factor(self) -> float:
        """The measured factor of what was learned, never larger than that of the start."""
        return min(self.factors)

    def __repr__(self) -> str:
        """In a line: the cycle as a module has dozens."""
        ended = "converged" if self.converged else "not converged"
        steps = len(self.losses) - 1
        return (
            f"LearnedSmoother({self.polynomial!r}, factor {self.factor_start:.4g} ->"
            f" {self.factor:.4g}, {steps} step{'s' * (steps != 1)}, {ended}: {self.reason})"
        )

    def _repr_html_(self) -> str:
        """For notebooks: a row a step, and what was learned below."""
        rows = [
            (k, f"{loss:.4g}", f"{factor:.4g}")
            for k, (loss, factor) in enumerate(zip(self.losses, self.factors, strict=True))
        ]
        return html_table(["step", "loss", "measured factor"], rows, [repr(self)])


@own_defaults()
def learn_smoother(
    problem: Problem | Any,
    degree: int,
    *,
    start: ResidualPolynomial | InitialCoefficients | str = "chebyshev4",
    also: Sequence[str] = ("richardson", "chebyshev"),
    per: str = "cycle",
    pre: int = 1,
    post: int = 1,
    loss: str = "worst",
    power: int = 12,
    batch: int = 8,
    steps: int = 15,
    tolerance: float = 1e-5,
    generator: torch.Generator | None = None,
    progress: Callable[[int, str], None] | None = None,
    **options: Any,
) -> LearnedSmoother:
    """The smoothing polynomial of a degree that makes the V-cycle converge fastest on a problem, by
    a Newton-like method on its coefficients.

    Ctrl-C ends the search with the best polynomial so far, and `reason` says so.

    Parameters
    ----------
    problem
        A `Problem` or a real matrix, as `mgtheory.Hierarchy.build` takes them.
    degree
        Degree of q.
    start
        A polynomial for BA on the finest level or initial coefficients, of this degree, or a
        family's name.
    also
        Families whose polynomials are tried too: the descent begins at the one with the smallest
        loss of all. Those that do not exist for the problem and degree are left out.
    per
        One polynomial for the whole ``cycle``, in units of each level's largest eigenvalue; one for
        each ``level``, as families are derived anew for each; or one for each ``leg`` of each
        level, before and after the coarse-grid correction.
    pre, post
        Smoothings before and after.
    loss
        ``worst``, what a cycle leaves of the error that falls slowest (the spectral radius), or
        ``mean``, what m cycles leave of an error in the mean of all errors, which tends to it as m
        grows.
    power, batch
        m, and the number of random errors in place of all where the blocks of E together have more
        than 2^18 entries, which `generator` draws: a square of more than 63 x 63 points, or of more
        than 22 x 22, where all of E is one block, as of coefficients that vary. There the worst
        case does without. Where the factors stop falling before the mean does, a larger m goes on.
    steps, tolerance
        At most this many outer steps (of up to 10 iterations each, of the worst case up to 100, and
        of the sparse solver's E some times as many); it ends when every component of the relative
        gradient, in coefficients of Chebyshev polynomials, or the relative decrease of the worst
        case is below the tolerance, or the loss no longer falls.
    progress
        Called, often, with the number of cycles so far and the smallest loss that was reached.
    options
        Of `MultigridCycle`, and of `mgtheory.Hierarchy.build`; ``shared=False`` is one polynomial
        per leg.

    Raises
    ------
    ValueError
        For a start of another degree or whose cycle diverges, a family that does not exist, a
        complex A, or high frequencies that are not positive.
    """
    if not options.pop("shared", True):
        per = "leg"
    for name, value, allowed in (("loss", loss, LOSSES), ("per", per, SETS)):
        if value not in allowed:
            raise ValueError(f"{name} is {value!r}, allowed are {', '.join(allowed)}")
    for name, count in {"power": power, "batch": batch, "steps": steps}.items():
        check_whole(count, name, 1)
    check_number(tolerance, "tolerance", "larger than 0")
    check_callable(progress, "progress")
    check_kind(also, (list, tuple), "also", "a list of families, as ['chebyshev']")
    check_smoothings(pre, post)
    check_generator(generator)
    if taken := {"smoother", "post_smoother", "degree"} & set(options):
        raise ValueError(
            f"{', '.join(sorted(taken))}: the smoother is what is learned, give the one to start"
            " from as start="
        )
    first = _checked_start(start, degree)
    around = {"pre": pre, "post": post}
    cycle = LearnedCycle.of(problem, degree, first, per=per, around=around, options=options)
    operator = cycle.operator
    operator.watch = Watch(progress)
    errors = torch.randn((batch, *cycle.shape), generator=generator, dtype=torch.float64)
    objective = Objective(operator, loss, power, errors)
    starts = cycle.starts(first, also, degree)
    course = objective.minimised(
        {name: operator.coefficients(given) for name, given in starts.items()},
        steps=steps,
        tolerance=tolerance,
    )
    iterates = [
        operator.polynomials(c) if name is None else starts[name]
        for name, c in zip(course.names, course.coefficients, strict=True)
    ]
    factors, best = _factors(cycle, course, iterates)
    reason = course.reason
    if fell_on := best + 1 < len(factors):
        reason += _fell_on(course.losses, factors, best)
        if not objective.minimax:
            reason += f"; a power above {power} brings them together"
    asked = {**around, "loss": loss, "power": power, "batch": batch, "per": per}
    learned = {
        "formula": "learned on the equation: smallest contraction of the multigrid cycle",
        "options": asked | {"contraction": course.losses[best]},
        "degree_asked": degree,
        "versions": versions() | {"torch": torch.__version__},
    }
    before, after = (
        tuple(InitialCoefficients(q, "learned", learned) for q in leg)
        for leg in cycle.on_levels(iterates[best])
    )
    initial = (before if pre else after)[0]
    if isinstance(problem, Problem):
        record = operator_record(problem, scaling=cycle.scaling, axes=options.get("axes", "auto"))
        initial = replace(initial, polynomial=initial.polynomial.of(record))
    return LearnedSmoother(
        initial=initial,
        before=before,
        after=after,
        start=iterates[0][0],
        losses=course.losses,
        factors=tuple(factors),
        hierarchy=cycle.solver(iterates[best]),
        cycle=cycle.module(iterates[best]),
        converged=course.converged and not fell_on,
        reason=reason,
    )


def _checked_start(
    given: ResidualPolynomial | InitialCoefficients | str, degree: int
) -> ResidualPolynomial | str:
    """The polynomial or family to start from; ValueError for another degree, or what is neither."""
    start = given.polynomial if isinstance(given, InitialCoefficients) else given
    if isinstance(start, ResidualPolynomial) and start.degree != degree:
        raise ValueError(f"the start has degree {start.degree}, asked is {degree}")
    if not isinstance(described(start), Polynomial):
        raise ValueError(
            f"smoother is {start!r}; what is learned is a polynomial: start from a"
            f" ResidualPolynomial or the name of a family, {', '.join(FAMILIES)}"
        )
    return start


def _factors(cycle: LearnedCycle, course: Course, iterates: list[Any]) -> tuple[list[float], int]:
    """The factor of every iterate, as fast as E has it, and the number of the smallest; that and
    the start's are then measured as the grids have them."""
    factors = cycle.operator.factors(np.array(course.coefficients), cycle.error())
    best = int(np.argmin(factors))
    smallest = cycle.measured(iterates[best])
    factors = [max(f, smallest) for f in factors]  # of equal ones, rounding may be either
    factors[best] = smallest
    if best:
        factors[0] = max(smallest, cycle.measured(iterates[0]))
    return factors, best


def _fell_on(losses: Sequence[float], factors: Sequence[float], best: int) -> str:
    """That the loss went on to fall: it is not the factor, but tends to it with the power."""
    return (
        f"; the loss fell further, to {losses[-1]:.4g}, but the measured factor was smallest,"
        f" {factors[best]:.4g}, after {best} of {len(factors) - 1} steps (at the end"
        f" {factors[-1]:.4g})"
    )
