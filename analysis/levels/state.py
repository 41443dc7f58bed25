"""What a network's levels are, as plain float64 arrays: convolutions, steps and batch norms,
without torch.

A level applies ``r = rho(f - A u)`` and adds a correction for each of its steps. `LevelState` holds
A and the steps; a step holds a factor of the residual polynomial (Poly-MgNet) or a convolution B
(MgNet), and the batch norms around it. Everything else in this package works on these objects, so
that planted truths and trained networks are analysed by the same code; `level_states` reads them
off a model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mgtheory.polynomials.factors import Factor
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.models.classifier import MultigridClassifier, levels_of
from nets.models.paddings import padding_of
from nets.start.operators import dense_kernel
from nets.start.report import InitReport
from nets.start.spectrum import MINIMUM_GRID, LevelSpectrum, convolution_spectrum, measured_grid

NORM_POSITIONS = ("nowhere", "correction", "sum", "operator")


@dataclass(frozen=True, eq=False)
class NormState:
    """gamma (x - mean) / sqrt(var + eps) + beta per channel: a batch norm with its running
    statistics.

    Attributes
    ----------
    gamma, beta, mean, var
        Shape (c,), float64.
    eps
        The number under the root, > 0.
    """

    gamma: NDArray[np.float64]
    beta: NDArray[np.float64]
    mean: NDArray[np.float64]
    var: NDArray[np.float64]
    eps: float

    def __post_init__(self) -> None:
        for name in ("gamma", "beta", "mean", "var"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=float))
        shapes = {getattr(self, name).shape for name in ("gamma", "beta", "mean", "var")}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ValueError(
                f"batch norm: arrays have shapes {sorted(shapes)}, must be one-dimensional and"
                " equal"
            )
        if not all(
            np.isfinite(getattr(self, name)).all() for name in ("gamma", "beta", "mean", "var")
        ):
            raise ValueError("a batch norm holds numbers that are not finite: the run diverged")
        if not self.eps > 0 or not (self.var >= 0).all():
            raise ValueError(
                f"batch norm: eps is {self.eps}, smallest variance {self.var.min()}; must be"
                " positive and not negative"
            )

    @classmethod
    def neutral(cls, channels: int, *, eps: float = 1e-5) -> NormState:
        """gamma = var = 1, beta = mean = 0: the norm before any training, which divides by sqrt(1 +
        eps)."""
        one, zero = np.ones(channels), np.zeros(channels)
        return cls(one, zero, zero, one, eps)

    @property
    def scale(self) -> NDArray[np.float64]:
        """gamma_c / sqrt(var_c + eps), shape (c,): what the norm multiplies its input by."""
        return self.gamma / np.sqrt(self.var + self.eps)


@dataclass(frozen=True, eq=False)
class StepState:
    """One smoothing step: a factor or a convolution B, and the batch norms around it.

    Attributes
    ----------
    factor
        The step's factor of q; None where a convolution stands in its place.
    B
        Convolution of an MgNet step, shape (c, c, k, k), torch layout; None for a polynomial step.
    norm, norm_position
        The step's norm after the correction and where it stands: "nowhere", "correction", "sum" or
        "operator".
    residual_norm
        The norm inside rho, if it has one.
    """

    factor: Factor | None = None
    B: NDArray[np.float64] | None = None
    norm: NormState | None = None
    norm_position: str = "nowhere"
    residual_norm: NormState | None = None

    def __post_init__(self) -> None:
        if (self.factor is None) == (self.B is None):
            raise ValueError("a step has either a factor or a convolution B, got both or none")
        if self.norm_position not in NORM_POSITIONS:
            raise ValueError(
                f"norm position is {self.norm_position!r}, allowed are {', '.join(NORM_POSITIONS)}"
            )
        if (self.norm is None) != (self.norm_position == "nowhere"):
            raise ValueError(
                f"norm position is {self.norm_position!r}, but the step has"
                f" {'no' if self.norm is None else 'a'} norm"
            )
        if self.norm_position == "operator" and (self.factor is None or self.factor.degree != 2):
            raise ValueError("norm position 'operator' belongs to quadratic factors alone")


@dataclass(frozen=True, eq=False)
class LevelState:
    """One level: the convolution A, its steps and the size of its feature maps.

    Attributes
    ----------
    A
        Shape (c, c, k, k), torch layout (output channel, input channel, offsets along H and W), k
        odd.
    steps
        In order of application.
    size
        (H, W) of the level's feature maps.
    starts_from_zero
        Whether u = 0 at the level's start (level 1).
    end_norm
        The norm on u after the last step, if there is one.
    padding
        "zero" or "periodic", as A is applied.
    """

    A: NDArray[np.float64]
    steps: tuple[StepState, ...]
    size: tuple[int, int]
    starts_from_zero: bool = False
    end_norm: NormState | None = None
    padding: str = "zero"

    def __post_init__(self) -> None:
        kernel = np.array(self.A, dtype=float)
        odd = all(k % 2 for k in kernel.shape[2:])
        if kernel.ndim != 4 or kernel.shape[0] != kernel.shape[1] or not odd:
            raise ValueError(f"A has shape {kernel.shape}, must be (c, c, k, k) with odd k")
        if not np.isfinite(kernel).all():
            raise ValueError("A holds numbers that are not finite: the run diverged")
        kernel.flags.writeable = False
        object.__setattr__(self, "A", kernel)
        object.__setattr__(self, "steps", tuple(self.steps))

    @property
    def channels(self) -> int:
        """The number of channels c."""
        return int(self.A.shape[0])

    @property
    def measured(self) -> tuple[int, ...]:
        """The grid on which its spectrum is measured: the level's size, or a part of a large
        one."""
        return measured_grid(self.size, self.channels)

    @property
    def grid(self) -> tuple[int, int]:
        """The periodic grid of its symbol: as measured, at least 16 per axis."""
        height, width = self.measured
        return max(MINIMUM_GRID, height), max(MINIMUM_GRID, width)

    @property
    def spectrum(self) -> LevelSpectrum:
        """The spectrum of A as the network applies it."""
        return convolution_spectrum(self.A, self.measured, padding=self.padding)

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The steps' factors; empty for MgNet."""
        return tuple(step.factor for step in self.steps if step.factor is not None)

    @property
    def polynomial(self) -> ResidualPolynomial | None:
        """The product of the steps' factors with the coefficients as they stand, norms left out;
        None for MgNet."""
        return ResidualPolynomial.from_factors(self.factors) if self.factors else None

    @property
    def degree(self) -> int | None:
        """Degree of that polynomial, None for MgNet."""
        return sum(factor.degree for factor in self.factors) if self.factors else None


def level_states(model: nn.Module, start: InitReport | tuple[int, int]) -> tuple[LevelState, ...]:
    """The levels of a network as arrays, those of `nets.models.classifier.levels_of`; empty for a
    network without any (ResNet).

    Parameters
    ----------
    model
        PolyMgNet, MgNet, or any with blocks of polynomials.
    start
        The report of its start, or (H, W) of the input images in pixels: each level of a multigrid
        classifier after the first halves it, rounding up. The grids of blocks are those of the
        report; without one they are unknown, and there are no levels.
    """
    (height, width), grids = start if isinstance(start, tuple) else start.size, []
    levels = levels_of(model)
    if isinstance(model, MultigridClassifier):
        grids = [(-(-height // 2**k), -(-width // 2**k)) for k in range(len(levels))]
    elif isinstance(start, InitReport):
        grids = [(one.grid[0], one.grid[1]) for one in start.levels]
    states = [
        LevelState(
            A=dense_kernel(level.A),
            steps=tuple(_step(step) for step in level.steps),
            size=grid,
            starts_from_zero=isinstance(model, MultigridClassifier) and level is levels[0],
            end_norm=_norm(level.norm),
            padding=padding_of(level.A.padding_mode),
        )
        for level, grid in zip(levels, grids)
    ]
    return tuple(states)


def _step(step: Any) -> StepState:
    convolution = getattr(step.coefficients, "conv", None)
    return StepState(
        factor=step.factor() if convolution is None else None,
        B=None if convolution is None else dense_kernel(convolution),
        norm=_norm(step.norm),
        norm_position=step.norm_position,
        residual_norm=_norm(step.residual_norm),
    )


def _norm(module: Any) -> NormState | None:
    if module is None:
        return None
    # without affine parameters or running statistics these are None: neutral
    own = {"gamma": module.weight, "beta": module.bias}
    own |= {"mean": module.running_mean, "var": module.running_var}
    arrays = {name: t.detach().cpu().double().numpy() for name, t in own.items() if t is not None}
    return replace(NormState.neutral(module.num_features, eps=float(module.eps)), **arrays)
