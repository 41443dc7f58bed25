"""The two losses of a cycle as functions of the coefficients of its polynomials, and their descent.

With E the cycle's error operator, ``mean`` is (mean ||E^m z||^2 / mean ||z||^2)^(1/(2m)), smooth,
and minimised by BFGS; ``worst`` is the spectral radius of E, a maximum of smooth functions, which E
minimises itself (`nets.pde.error.ErrorOperator.minimise`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from nets.pde.error import ErrorOperator

Float = NDArray[np.float64]

# numbers in the sums of modes by which all blocks of E are had, up to which the mean is exact
EXACT = 2**18
ITERATIONS, MINIMAX = 10, 100  # of one step, of the two methods
FALLS = 1 - 1e-9  # a loss times this is no smaller one but for rounding
FLAT = 100  # where nothing falls any more a gradient of so many tolerances is rounding
INTERRUPTED = "interrupted"  # the reason for which a descent ended, as Ctrl-C has it

LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"mean": torch.mean, "worst": torch.amax}


def log_contraction(
    reduced: Callable[[Tensor], Tensor], errors: Tensor, power: int, loss: str = "mean"
) -> Tensor:
    """log (mean ||E^m z||^2 / mean ||z||^2)^(1/(2m)) over the batch of errors z, shape (batch,
    *grid), for the map e -> E e; with `loss` worst, of max (||E^m z||^2 / ||z||^2)^(1/(2m))."""
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
class Course:
    """The iterates of a run of descents: name and loss of the start, of the better start that it
    began from, if there is one, and of every step.

    Attributes
    ----------
    names
        Of a start its name, of a step None.
    coefficients
        Of all polynomials, each of shape (n,).
    converged, reason
        Whether no step from the last iterate makes the loss smaller; in words why it ended.
    """

    names: tuple[str | None, ...]
    coefficients: tuple[Float, ...]
    losses: tuple[float, ...]
    converged: bool
    reason: str


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
            value = float(self.operator.pieces(c)[0].max())
            self.operator.watch.reached(c, value)
            return value
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
            value = log_contraction(self.operator.map(sets), self.errors, self.power, self.loss)
        self.operator.watch.reached(c, float(value.detach().exp()))
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

    def minimised(self, starts: Mapping[str, Float], *, steps: int, tolerance: float) -> Course:
        """At most so many descents, from the start with the smallest loss; the first of `starts` is
        the one that is improved, and holds where others tie with it. Ctrl-C ends them with the
        best coefficients that they met.

        Raises
        ------
        ValueError
            Where the cycle with the first start does not converge.
        """
        begun = {name: Descent(c, self(c)) for name, c in starts.items()}
        first = next(iter(begun))
        names: list[str | None] = [first]
        iterates = [begun[first]]
        if not iterates[0].value < 1.0:
            raise ValueError(
                "the cycle with the starting polynomial does not converge (contraction"
                f" {iterates[0].value:.3g}); start from another one"
            )
        best = min(begun, key=lambda name: begun[name].value)
        if begun[best].value <= iterates[0].value * FALLS:  # otherwise they tie
            names.append(best)
            iterates.append(begun[best])
        converged, reason = False, f"{steps} steps were used up"
        for _ in range(steps):
            try:
                state = self.descend(iterates[-1], tolerance)
            except KeyboardInterrupt:
                reason, met = INTERRUPTED, self.operator.watch
                if met.c is not None and met.value <= iterates[-1].value * FALLS:
                    names.append(None)
                    iterates.append(Descent(met.c, met.value))
                break
            if not np.isfinite(state.value) or state.value > iterates[-1].value * FALLS:
                reason = "the loss no longer falls"
                converged = bool(np.isfinite(state.value)) and state.flat
                break
            names.append(None)
            iterates.append(state)
            if state.converged:
                converged, reason = True, "the gradient is small"
                if self.minimax:
                    reason = "no change of the coefficients makes the largest eigenvalue smaller"
                break
        coefficients, losses = zip(*((one.c, one.value) for one in iterates), strict=True)
        return Course(tuple(names), coefficients, losses, converged, reason)
