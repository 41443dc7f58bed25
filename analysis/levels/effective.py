"""Effective coefficients: a step's polynomial with its batch norms folded in, per channel.

A batch norm multiplies channel c by ``s_c = gamma_c / sqrt(var_c + eps)``. Where it follows a
correction ``w r``, the step therefore uses the **effective weight** ``s_c w``; where it stands
inside rho, it is a diagonal B of the theory, ``B = diag(s_c)``. With the step's correction
polynomial ``p(t) = sum_j p_j t^j`` the linear part of a step (activations taken as the identity)
multiplies the error by

=============  =================================================
norm stands    matrix, S of the step's norm, B of the residual's
=============  =================================================
nowhere        I - p(A) B A
correction     I - S p(A) B A
operator       I - (p_0 + S p_1 A) B A
sum            S (I - p(A) B A)
=============  =================================================

and an MgNet step, whose correction is a convolution C, by ``I - S C B A``. A norm at the level's
end multiplies the whole by its S.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.levels.spectra import Propagator, matrix_symbol
from analysis.levels.state import LevelState, StepState
from mgtheory.polynomials.factors import Factor, General, Linear, horner
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.start.padded import product


@dataclass(frozen=True, eq=False)
class EffectiveStep:
    """One polynomial step with its norms folded in.

    Attributes
    ----------
    coefficients
        Coefficients of the correction polynomial in each channel, shape (c, d): column j multiplies
        A^j r. For a linear step the one column is the effective weight ``gamma_c w / sqrt(var_c +
        eps)``, with the residual norm's scale multiplied in too.
    outer
        What a norm on the sum multiplies u and correction by, shape (c,); ones elsewhere.
    """

    coefficients: NDArray[np.float64]
    outer: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over the channels, shape (d,)."""
        return np.asarray(self.coefficients.mean(axis=0))

    @property
    def spread(self) -> NDArray[np.float64]:
        """Standard deviation over the channels, shape (d,): 0 where one polynomial stands for all
        of them."""
        return np.asarray(self.coefficients.std(axis=0))

    @property
    def factor(self) -> Factor:
        """The factor with the mean coefficients."""
        mean = tuple(self.mean.tolist())
        return Linear(mean[0]) if len(mean) == 1 else General(mean)


def has_norms(level: LevelState) -> bool:
    """Whether the level has a batch norm: at its end, or a step of it around its correction or
    inside rho."""
    return level.end_norm is not None or any(
        step.norm is not None or step.residual_norm is not None for step in level.steps
    )


def effective_steps(level: LevelState) -> tuple[EffectiveStep, ...]:
    """Each polynomial step of the level with its norms folded in; empty for MgNet."""
    steps = []
    for step in level.steps:
        if step.factor is not None:
            inner, after = _scales(step, level.channels)
            coefficients = inner * np.array(step.factor.correction_coefficients)
            if step.norm_position == "correction":
                coefficients = after * coefficients
            elif step.norm_position == "operator":
                coefficients[:, 1:] *= after
            outer = after if step.norm_position == "sum" else np.ones_like(after)
            steps.append(EffectiveStep(coefficients, outer[:, 0]))
    return tuple(steps)


def effective_polynomial(level: LevelState) -> ResidualPolynomial | None:
    """The product of the steps' factors with the mean effective coefficients; None for MgNet.

    It stands for the level as far as the channels agree (`EffectiveStep.spread`), and leaves out
    what a norm on the sum or at the end multiplies u by.
    """
    steps = effective_steps(level)
    return ResidualPolynomial.from_factors([step.factor for step in steps]) if steps else None


def propagator(level: LevelState, *, folded: bool) -> Propagator:
    """The function from symbols of A to the matrix of one pass over all steps, ``(Ahat (F, c, c),
    theta (F, 2)) -> E (F, c, c)``.

    Parameters
    ----------
    level
        Its steps are used; A comes in as symbols.
    folded
        Whether the batch norms are folded in, or left out.
    """

    def propagate(symbols: Any, theta: Any) -> Any:
        errors = np.broadcast_to(np.eye(level.channels, dtype=symbols.dtype), symbols.shape)
        return one_pass(
            level,
            errors,
            # half of the products of a network of two steps
            lambda v: symbols if v is errors else symbols @ v,
            lambda kernel, v: matrix_symbol(kernel, theta) @ v,
            folded=folded,
        )

    return propagate


def applied_pass(
    level: LevelState, *, folded: bool
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """One pass over all steps as the network applies it, with its padding, on the grid where it is
    measured: a function on fields of shape (..., channels * height * width)."""
    grid = level.measured
    cells = math.prod(grid)

    def convolve(kernel: NDArray[np.float64], v: Any) -> Any:
        return product(kernel, grid, level.padding)(v)

    def apply(u: NDArray[np.float64]) -> NDArray[np.float64]:
        fields = np.reshape(u, (-1, level.channels, cells))
        left = one_pass(level, fields, lambda v: convolve(level.A, v), convolve, folded=folded)
        return np.asarray(np.reshape(left, np.shape(u)))

    return apply


def one_pass(
    level: LevelState,
    e: Any,
    A: Callable[[Any], Any],
    B: Callable[[NDArray[np.float64], Any], Any],
    *,
    folded: bool,
) -> Any:
    """What one pass over the level's steps leaves of errors e of shape (..., channels, m).

    ``A(v)`` and ``B(kernel, v)`` are the convolutions on arrays of that shape.
    """
    kind = np.float32 if getattr(e, "dtype", None) == np.complex64 else np.float64
    for step in level.steps:
        scales = _scales(step, level.channels) if folded else np.ones((2, level.channels, 1))
        inner, after = scales.astype(kind)
        r = inner * A(e)  # what a step's correction is made of, B A e
        correction = B(step.B, r) if step.B is not None else _correction(step, A, r, after)
        if step.norm_position == "correction":
            correction = after * correction
        e = e - correction
        if step.norm_position == "sum":
            e = after * e
    if folded and level.steps and level.end_norm is not None:
        e = level.end_norm.scale[:, None].astype(kind) * e
    return e


def _correction(
    step: StepState, A: Callable[[Any], Any], r: Any, after: NDArray[np.float64]
) -> Any:
    """p(A) r; with the norm on the operator the coefficient of A alone is scaled."""
    assert step.factor is not None
    # a norm on the operator's part belongs to quadratics, which apply A once
    scaled = step.norm_position == "operator"
    return horner(
        lambda v: after * A(v) if scaled else A(v), step.factor.correction_coefficients, r
    )


def _scales(step: StepState, channels: int) -> NDArray[np.float64]:
    """What the norms inside rho and after the correction multiply by, shape (2, channels, 1)."""
    norms = (step.residual_norm, step.norm)
    return np.array([np.ones(channels) if n is None else n.scale for n in norms])[..., None]
