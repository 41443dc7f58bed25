"""Learning a smoother on the equation itself: the coefficients of a `MultigridCycle` that make its
error fall fastest.

The loss is the normalised Frobenius norm of the m-th power of the cycle's error operator E,
estimated on a fixed batch of random errors,

    (mean ||E^m z||^2 / mean ||z||^2)^(1/(2m))  ->  spectral radius of E as m grows,

smooth in the coefficients (the radius itself is not where two modes tie) and free of noise, so that
a quasi-Newton method applies. The worst case takes the largest ||E^m z||^2 / ||z||^2 of the batch
in place of the quotient of the means, and has kinks where two errors tie.

The loss is not the factor: what is returned is the iterate that measures best, the start among
them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgtheory.derive import InitialCoefficients, versions
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.problem import Problem
from mgtheory.problems.record import operator_record
from nets.defaults import own_defaults
from nets.pde.cycle import MultigridCycle


@dataclass(frozen=True)
class LearnedSmoother:
    """What was learned, from where, and what it is worth.

    Attributes
    ----------
    initial
        The learned polynomial as initial coefficients: save it, and start a network with ``file:``.
    start
        The polynomial it started from.
    losses, factors
        The loss and the cycle's measured convergence factor of each iterate, the start first.
    cycle
        The cycle with the learned coefficients: those of the iterate with the smallest measured
        factor.
    converged, reason
        Whether that is the last one and the gradient there is small; in words why it ended.
    """

    initial: InitialCoefficients
    start: ResidualPolynomial
    losses: tuple[float, ...]
    factors: tuple[float, ...]
    cycle: MultigridCycle
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


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"mean": torch.mean, "worst": torch.amax}


def contraction(cycle: MultigridCycle, errors: Tensor, power: int, *, loss: str = "mean") -> Tensor:
    """(mean ||E^m z||^2 / mean ||z||^2)^(1/(2m)) over the batch of errors z, shape (batch,
    *grid); with `loss` worst, max (||E^m z||^2 / ||z||^2)^(1/(2m))."""
    singular = cycle.problem.nullspace is not None
    axes = tuple(range(1, errors.ndim))
    e = errors
    if loss == "worst":  # each error counts alike, whatever its size
        e = errors / errors.square().mean(dim=axes, keepdim=True).sqrt()
    log = e.new_zeros(())
    first = 0.5 * e.square().mean().log()
    for _ in range(power):
        e = cycle(torch.zeros_like(e), e)
        if singular:
            e = e - e.mean(dim=axes, keepdim=True)
        size = e.square().mean().sqrt()
        log = log + size.log()
        e = e / size
    last = 0.5 * LOSSES[loss](e.square().mean(dim=axes)).log()  # 0 for the mean
    return ((log + last - first) / power).exp()


@own_defaults()
def learn_smoother(
    problem: Problem,
    degree: int,
    *,
    start: ResidualPolynomial | InitialCoefficients | str = "chebyshev4",
    pre: int = 1,
    post: int = 1,
    loss: str = "mean",
    power: int = 12,
    batch: int = 8,
    steps: int = 15,
    tolerance: float = 1e-5,
    generator: torch.Generator | None = None,
    **options: Any,
) -> LearnedSmoother:
    """The smoothing polynomial of a degree that makes the V-cycle converge fastest on a problem, by
    L-BFGS on its coefficients.

    Parameters
    ----------
    problem
        As `MultigridCycle` takes it.
    degree
        Degree of q.
    start
        A polynomial for A on the finest level or initial coefficients, of this degree, or a
        family's name.
    pre, post
        Smoothings before and after.
    loss
        ``mean`` or ``worst``, the mean of the batch of errors or the one that is reduced least.
    power, batch
        m and the number of random errors in the loss. The loss tends to the factor as m grows:
        where the factors stop falling before the losses do, a larger m goes on.
    steps, tolerance
        At most this many outer steps (of up to 10 iterations each); it ends when every component of
        the gradient, in coefficients scaled by b, is below the tolerance, or the loss no longer
        falls.
    options
        Of `MultigridCycle`.

    Raises
    ------
    ValueError
        For a start of another degree, or a start whose cycle diverges.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss is {loss!r}, allowed are {', '.join(LOSSES)}")
    positive = {"power": power, "batch": batch, "steps": steps, "tolerance": tolerance}
    for name, value in positive.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}, must be positive")
    start = start.polynomial if isinstance(start, InitialCoefficients) else start
    own = start.degree if isinstance(start, ResidualPolynomial) else None
    if own not in (None, degree):
        raise ValueError(f"the start has degree {own}, asked is {degree}")
    of_family = degree if own is None else None
    cycle = MultigridCycle(problem, smoother=start, degree=of_family, pre=pre, post=post, **options)
    b = float(problem.smoothing_interval().b)
    first = cycle.polynomial()
    errors = torch.randn((batch, *problem.shape), generator=generator, dtype=torch.float64)
    if problem.nullspace is not None:
        errors = errors - errors.mean(dim=tuple(range(1, errors.ndim)), keepdim=True)

    def measured() -> float:
        return cycle.convergence_factor(generator=torch.Generator().manual_seed(0))

    factors = [measured()]
    with torch.no_grad():
        losses = [float(contraction(cycle, errors, power, loss=loss))]
    if not losses[0] < 1.0:
        raise ValueError(
            "the cycle with the starting polynomial does not converge (contraction"
            f" {losses[0]:.3g}); start from another one"
        )
    parameters = [p for p in cycle.parameters() if p.requires_grad]
    # weights are of size 1/b: one scale for all
    scaled = [torch.nn.Parameter(p.detach() * b) for p in parameters]
    optimiser = torch.optim.LBFGS(
        scaled,
        max_iter=10,
        history_size=10,
        line_search_fn="strong_wolfe",
        tolerance_grad=0.1 * tolerance,
    )

    def closure() -> Tensor:
        with torch.no_grad():
            for p, s in zip(parameters, scaled):
                p.copy_(s / b)
        value = contraction(cycle, errors, power, loss=loss)
        gradients = torch.autograd.grad(value, parameters)
        for s, g in zip(scaled, gradients):
            s.grad = g / b
        return value.detach()

    def current() -> list[Tensor]:
        return [p.detach().clone() for p in parameters]

    iterates, converged, reason = [current()], False, f"{steps} steps were used up"
    for _ in range(steps):
        optimiser.step(closure)  # type: ignore[no-untyped-call]
        value = float(closure())
        gradient = max(float(s.grad.abs().max()) for s in scaled if s.grad is not None)
        if not np.isfinite(value) or value > losses[-1] * (1 - 1e-9):
            reason = "the loss no longer falls"
            converged = bool(np.isfinite(value)) and gradient < 100 * tolerance
            break
        losses.append(value)
        iterates.append(current())
        factors.append(measured())
        if gradient < tolerance:
            converged, reason = True, "the gradient is small"
            break
    best = int(np.argmin(factors))
    if best + 1 < len(factors):  # the loss is not the factor, but tends to it with the power
        converged = False
        reason += (
            f"; the loss fell further, to {losses[-1]:.4g}, but the measured factor was smallest,"
            f" {factors[best]:.4g}, after {best} of {len(factors) - 1} steps (at the end"
            f" {factors[-1]:.4g}); a power above {power} brings them together"
        )
    with torch.no_grad():
        for p, k in zip(parameters, iterates[best]):
            p.copy_(k)
    record = operator_record(problem, axes=options.get("axes", "auto"))
    asked = {"pre": pre, "post": post, "loss": loss, "power": power, "batch": batch}
    learned = {
        "formula": "learned on the equation: smallest contraction of the multigrid cycle",
        "options": asked | {"contraction": losses[best]},
        "degree_asked": degree,
        "versions": versions() | {"torch": torch.__version__},
    }
    return LearnedSmoother(
        initial=InitialCoefficients(cycle.polynomial().of(record), "learned", learned),
        start=first,
        losses=tuple(losses),
        factors=tuple(factors),
        cycle=cycle,
        converged=converged,
        reason=reason,
    )
