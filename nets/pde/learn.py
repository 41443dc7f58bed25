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

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from mgtheory._html import html_table
from mgtheory.derive import InitialCoefficients, versions
from mgtheory.families import FAMILIES, get_family
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.solution import Cycle, check_cycle
from mgtheory.multigrid.solve import without
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.problem import Problem
from mgtheory.problems.record import operator_record
from mgtheory.smoothers import Polynomial
from mgtheory.smoothers import smoother as described
from nets.defaults import own_defaults
from nets.pde.cycle import CYCLES, MultigridCycle, check_smoothings, reduction
from nets.pde.energy import EnergyCycle
from nets.pde.error import SETS, ErrorOperator, smoothing
from nets.pde.modes import ModalCycle

Float = NDArray[np.float64]

# numbers in the sums of modes by which all blocks of E are had, up to which the mean is exact
EXACT = 2**18
# options of `mgtheory.Hierarchy.build` that `MultigridCycle` knows
CONVOLVED = {"axes", "coarsening", "coarsest", "max_levels"}
ITERATIONS, MINIMAX = 10, 100  # of one step, of the two methods
FALLS = 1 - 1e-9  # a loss times this is no smaller one but for rounding
FLAT = 100  # where nothing falls any more a gradient of so many tolerances is rounding


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
        return (
            f"LearnedSmoother({self.polynomial!r}, factor {self.factor_start:.4g} ->"
            f" {self.factor:.4g}, {len(self.losses) - 1} steps, {ended}: {self.reason})"
        )

    def _repr_html_(self) -> str:
        """For notebooks: a row a step, and what was learned below."""
        rows = [
            (k, f"{loss:.4g}", f"{factor:.4g}")
            for k, (loss, factor) in enumerate(zip(self.losses, self.factors, strict=True))
        ]
        return html_table(["step", "loss", "measured factor"], rows, [repr(self)])


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"mean": torch.mean, "worst": torch.amax}


def contraction(cycle: MultigridCycle, errors: Tensor, power: int, *, loss: str = "mean") -> Tensor:
    """(mean ||E^m z||^2 / mean ||z||^2)^(1/(2m)) over the batch of errors z, shape (batch,
    *grid); with `loss` worst, max (||E^m z||^2 / ||z||^2)^(1/(2m))."""
    axes = tuple(range(1, errors.ndim))

    def reduced(e: Tensor) -> Tensor:
        e = cycle(torch.zeros_like(e), e)
        return e if cycle.problem.nullspace is None else e - e.mean(dim=axes, keepdim=True)

    return _contraction(reduced, errors, power, loss).exp()


def _contraction(
    reduced: Callable[[Tensor], Tensor], errors: Tensor, power: int, loss: str
) -> Tensor:
    """The logarithm of it, for the map e -> E e."""
    axes = tuple(range(1, errors.ndim))
    e = errors
    if loss == "worst":  # each error counts alike, whatever its size
        e = errors / errors.square().mean(dim=axes, keepdim=True).sqrt()
    log = e.new_zeros(())
    first = 0.5 * e.square().mean().log()
    for _ in range(power):
        e = reduced(e)
        size = e.square().mean().sqrt()
        log = log + size.log()
        e = e / size
    last = 0.5 * LOSSES[loss](e.square().mean(dim=axes)).log()  # 0 for the mean
    return (log + last - first) / power


@dataclass(frozen=True)
class Descent:
    """Where a descent ended: the coefficients, shape (n,), the loss there, whether it stopped by
    its own criterion or its gradient is but rounding, and the inverse Hessian that it collected."""

    c: Float
    value: float
    converged: bool = False
    flat: bool = False
    inverse: Float | None = None


class Objective:
    """A loss as a function of the coefficients of all polynomials, shape (n,), and its descent.

    Parameters
    ----------
    operator
        E of the cycle.
    loss, power
        As for `learn_smoother`.
    errors
        Random errors in the unknowns of E, in a batch, where not all of it can be had.
    """

    def __init__(self, operator: ErrorOperator, loss: str, power: int, errors: Tensor) -> None:
        self.operator, self.loss, self.power = operator, loss, power
        self.errors = operator.project(errors)
        self.exact = operator.entries <= EXACT
        self.minimax = loss == "worst" and (self.exact or operator.iterative)

    def __call__(self, c: Float) -> float:
        """The loss."""
        if self.minimax:
            return float(self.operator.pieces(c)[0].max())
        return math.exp(self.logarithm(c)[0])

    def logarithm(self, c: Float) -> tuple[float, Float]:
        """log of the loss, and its gradient, shape (n,)."""
        given = torch.from_numpy(np.array(c)).requires_grad_()
        sets = given.reshape(self.operator.sets, self.operator.degree)
        if self.exact:  # of all errors, which have as many parts as there are modes
            E = self.operator.matrices(sets)
            scale = E.detach().square().sum().sqrt()
            power = torch.linalg.matrix_power(E / scale, self.power)
            mean = power.square().sum() / self.operator.unknowns
            value = scale.log() + 0.5 * mean.log() / self.power
        else:
            value = _contraction(self.operator.map(sets), self.errors, self.power, self.loss)
        (gradient,) = torch.autograd.grad(value, given)
        return float(value.detach()), gradient.numpy()

    def descend(self, state: Descent, tolerance: float) -> Descent:
        """Up to `ITERATIONS`, or `MINIMAX`, from where another ended."""
        if self.minimax:
            found = self.operator.minimise(state.c, MINIMAX, tolerance)
            return Descent(found.c, found.value, found.converged, found.converged)
        options = {"maxiter": ITERATIONS, "gtol": tolerance, "hess_inv0": state.inverse}
        with np.errstate(all="ignore"):  # a long step of a line search, which is taken back
            end = minimize(self.logarithm, state.c, jac=True, method="BFGS", options=options)
        slope = float(np.abs(end.jac).max())
        inverse = 0.5 * (end.hess_inv + end.hess_inv.T)  # to the last bit symmetric
        return Descent(
            end.x, math.exp(end.fun), slope < tolerance, slope < FLAT * tolerance, inverse
        )


def _held_out() -> torch.Generator:
    """Draws the error that factors are measured with, which is in no loss but by chance."""
    return torch.Generator().manual_seed(0)


def _factor_of(hierarchy: Hierarchy, kind: Cycle, e: Float) -> float:
    """As `MultigridCycle.convergence_factor` measures it, of the sparse solver's cycle from the
    error e, shape (n,)."""
    A, N = hierarchy.levels[0].A, hierarchy.nullspace

    def projected(e: Float) -> Tensor:
        return torch.from_numpy(e if N is None else without(N, e))

    def reduced(e: Tensor) -> Tensor:
        return projected(e.numpy() - hierarchy.apply(A @ e.numpy(), kind))

    return float(reduction(reduced, projected(e), CYCLES))


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
    **options: Any,
) -> LearnedSmoother:
    """The smoothing polynomial of a degree that makes the V-cycle converge fastest on a problem, by
    a Newton-like method on its coefficients.

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
    positive = {"power": power, "batch": batch, "steps": steps, "tolerance": tolerance}
    for name, number in positive.items():
        if not number > 0:
            raise ValueError(f"{name} is {number}, must be positive")
    check_smoothings(pre, post)
    if taken := {"smoother", "post_smoother", "degree"} & set(options):
        raise ValueError(
            f"{', '.join(sorted(taken))}: the smoother is what is learned, give the one to start"
            " from as start="
        )
    start = start.polynomial if isinstance(start, InitialCoefficients) else start
    own = start.degree if isinstance(start, ResidualPolynomial) else None
    if own not in (None, degree):
        raise ValueError(f"the start has degree {own}, asked is {degree}")
    if not isinstance(described(start), Polynomial):
        raise ValueError(
            f"smoother is {start!r}; what is learned is a polynomial: start from a"
            f" ResidualPolynomial or the name of a family, {', '.join(FAMILIES)}"
        )
    kind = check_cycle(options.pop("cycle", "V"), without=(Cycle.FMG,))
    of_torch = {"parameterisation": options.pop("parameterisation", "weights"), "cycle": kind}
    of_family = degree if own is None else None
    around: dict[str, Any] = {"pre": pre, "post": post}
    hierarchy = Hierarchy.build(problem, smoother=start, degree=of_family, **around, **options)
    levels = hierarchy.levels[:-1]
    if not levels:
        raise ValueError(
            f"the grid {hierarchy.levels[0].shape} has no coarser one: give a larger grid, or"
            " coarsest=, up to how many unknowns are solved directly"
        )
    records = [level.record(smoothing(level).B) for level in levels]
    scaling = records[0].scaling or "auto"

    def cycle_of(polynomials: list[ResidualPolynomial]) -> MultigridCycle:
        shared = {"shared": per == "cycle", **of_torch}
        made = MultigridCycle(problem, smoother=polynomials[0], **shared, **around, **options)
        if per != "cycle":
            made.set_polynomials(*operator.legs(polynomials))
        return made

    def on_levels(polynomials: list[ResidualPolynomial]) -> list[list[ResidualPolynomial]]:
        """Before and after the correction, each with the record of its BA."""
        return [[q.of(r) for q, r in zip(leg, records)] for leg in operator.legs(polynomials)]

    def hierarchy_of(polynomials: list[ResidualPolynomial]) -> Hierarchy:
        before, after = on_levels(polynomials)
        return hierarchy.with_smoothers(
            lambda level: before[level.index], lambda level: after[level.index], **around
        )

    def measured(polynomials: list[ResidualPolynomial]) -> float:
        if convolved:
            return cycle_of(polynomials).convergence_factor(generator=_held_out())
        return _factor_of(hierarchy_of(polynomials), kind, error.numpy())

    operator: ErrorOperator
    how: dict[str, Any] = {**around, "kind": kind, "per": per}
    if convolved := _convolved(problem, start, of_family, {**around, **of_torch}, options):
        operator = ModalCycle(problem, hierarchy, degree, **how)
        shape = problem.shape
    else:
        operator = EnergyCycle(hierarchy, degree, **how)
        shape = (hierarchy.levels[0].size,)

    def of_levels(family: str, degree: int) -> list[ResidualPolynomial]:
        named = Polynomial(family, degree, scaling=scaling)
        made = hierarchy.with_smoothers(named, **around)
        return [smoothing(level).polynomial for level in made.levels[:-1]]

    def of_sets(found: list[ResidualPolynomial]) -> list[ResidualPolynomial]:
        return [found[0]] if per == "cycle" else (found if per == "level" else found * 2)

    starts = {"start": of_sets([smoothing(level).polynomial for level in levels])}
    for family in [get_family(name).name for name in also]:
        with suppress(ValueError):  # it has no such degree, or none for this problem
            starts[family] = of_sets(of_levels(family, degree))
    if per == "leg" and pre and post:
        # equal legs have equal gradients, and would stay equal: two that together have the roots of
        # one polynomial of twice the degree
        for name in [start, *also] if isinstance(start, str) else also:
            with suppress(ValueError):
                pairs = [np.sort(q.roots.real) for q in of_levels(name, 2 * degree)]
                halves = [roots[k::2] for k in range(2) for roots in pairs]
                starts[f"{name}, halved"] = [ResidualPolynomial(half) for half in halves]

    errors = torch.randn((batch, *shape), generator=generator, dtype=torch.float64)
    objective = Objective(operator, loss, power, errors)
    began = {
        name: Descent(c, objective(c))
        for name, c in ((name, operator.coefficients(given)) for name, given in starts.items())
    }
    losses, iterates = [began["start"].value], [starts["start"]]
    if not losses[0] < 1.0:
        raise ValueError(
            "the cycle with the starting polynomial does not converge (contraction"
            f" {losses[0]:.3g}); start from another one"
        )
    beginning = min(began, key=lambda name: began[name].value)
    if began[beginning].value > losses[0] * FALLS:  # they tie
        beginning = "start"
    state = began[beginning]
    if beginning != "start":
        losses.append(state.value)
        iterates.append(starts[beginning])
    converged, reason = False, f"{steps} steps were used up"
    for _ in range(steps):
        state = objective.descend(state, tolerance)
        if not np.isfinite(state.value) or state.value > losses[-1] * FALLS:
            reason = "the loss no longer falls"
            converged = bool(np.isfinite(state.value)) and state.flat
            break
        losses.append(state.value)
        iterates.append(operator.polynomials(state.c))
        if state.converged:
            converged, reason = True, "the gradient is small"
            if objective.minimax:
                reason = "no change of the coefficients makes the largest eigenvalue smaller"
            break
    # as fast as E has it; then the start and the best as the grids have them
    error = torch.randn(shape, generator=_held_out(), dtype=torch.float64)
    factors = operator.factors(np.array([operator.coefficients(q) for q in iterates]), error)
    best = int(np.argmin(factors))
    smallest = measured(iterates[best])
    factors = [max(f, smallest) for f in factors]  # of equal ones, rounding may be either
    factors[best] = smallest
    if best:
        factors[0] = max(smallest, measured(iterates[0]))
    if best + 1 < len(factors):  # the loss is not the factor, but tends to it with the power
        converged = False
        reason += (
            f"; the loss fell further, to {losses[-1]:.4g}, but the measured factor was smallest,"
            f" {factors[best]:.4g}, after {best} of {len(factors) - 1} steps (at the end"
            f" {factors[-1]:.4g})"
        )
        if not objective.minimax:
            reason += f"; a power above {power} brings them together"
    asked = {**around, "loss": loss, "power": power, "batch": batch, "per": per}
    learned = {
        "formula": "learned on the equation: smallest contraction of the multigrid cycle",
        "options": asked | {"contraction": losses[best]},
        "degree_asked": degree,
        "versions": versions() | {"torch": torch.__version__},
    }
    before, after = (
        tuple(InitialCoefficients(q, "learned", learned) for q in leg)
        for leg in on_levels(iterates[best])
    )
    initial = (before if pre else after)[0]
    if isinstance(problem, Problem):
        record = operator_record(problem, scaling=scaling, axes=options.get("axes", "auto"))
        initial = replace(initial, polynomial=initial.polynomial.of(record))
    return LearnedSmoother(
        initial=initial,
        before=before,
        after=after,
        start=iterates[0][0],
        losses=tuple(losses),
        factors=tuple(factors),
        hierarchy=hierarchy_of(iterates[best]),
        cycle=cycle_of(iterates[best]) if convolved else None,
        converged=converged,
        reason=reason,
    )


def _convolved(
    problem: Any, start: Any, degree: int | None, cycle: dict[str, Any], options: dict[str, Any]
) -> bool:
    """Whether `MultigridCycle` has the problem and all options of a hierarchy that exists."""
    if not isinstance(problem, Problem) or not CONVOLVED.issuperset(options):
        return False
    with suppress(ValueError):
        MultigridCycle(problem, smoother=start, degree=degree, **cycle, **options)
        return True
    return False
