"""Smoothing steps and levels: u <- u + c with c = p(A) rho(f - A u), at any placement, in the
correction form and in the plain form.

A level starts from features u_0 and the restricted residual g (on the first level u_0 = 0 and g =
f). Its data are f = g + A u_0, so

    f - A u = g - A e   with   e = u - u_0,

because A is linear and shared by the level: the full approximation scheme and the correction scheme
are one function. The correction form carries e. It needs no product for f, none for the first
residual (e = 0), and none after the last step of the last level. The plain form computes every A u
as it is written; it is the reference of the tests and the yardstick of the benchmarks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgtheory.polynomials.factors import Factor
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.models.coefficients import Coefficients, make_coefficients
from nets.models.convolutions import CONVOLUTIONS, Conv, SeparableConv
from nets.models.options import check_groups, check_kernel, check_separable, one_of
from nets.models.paddings import padding_of
from nets.models.placements import RESIDUALS, Placement, placement_for

FORMS = ("correction", "plain")
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


@dataclass(frozen=True)
class LevelOptions:
    """What all levels of a multigrid network have in common.

    Attributes
    ----------
    placement
        Where norm and activation stand: one placement for all steps, or a mapping kind of factor ->
        placement.
    residual
        rho, which the residual passes through before it is smoothed: ``bn_relu``, ``bn`` or
        ``identity``.
    kernel_size, groups, padding_mode
        Of the operators A; padding_mode is that of an entry of `PADDINGS` in
        `nets.models.paddings`, such as ``zeros`` or ``circular``. The kernel size is that of
        stem and transfers too.
    separable
        Whether the operators A are separable: filters of the channels, then a matrix that mixes
        them (`nets.models.convolutions`).
    form
        ``correction`` or ``plain``: one function, computed in two ways.
    """

    placement: str | Placement | Mapping[str, str | Placement] = "regular"
    residual: str = "bn_relu"
    kernel_size: int = 3
    groups: int = 1
    padding_mode: str = "zeros"
    separable: bool = False
    form: str = "correction"

    def __post_init__(self) -> None:
        one_of(self.residual, "residual", RESIDUALS)
        padding_of(self.padding_mode)  # refuses an unknown one
        one_of(self.form, "form", FORMS)
        check_kernel(self.kernel_size)
        check_separable(self.separable, self.groups)

    def operator(self, channels: int, dim: int = 2) -> Conv:
        """A convolution A of one level in `dim` dimensions: channels kept, "same" padding, no
        bias."""
        check_groups(self.groups, [channels])
        size, groups = self.kernel_size, self.groups
        if self.separable:
            return SeparableConv(channels, channels, size, dim=dim, padding_mode=self.padding_mode)
        same: dict[str, Any] = {"padding": size // 2, "padding_mode": self.padding_mode}
        return CONVOLUTIONS[dim](channels, channels, size, groups=groups, bias=False, **same)

    def step(
        self, coefficients: Coefficients | Convolution, channels: int, *, shared: bool, dim: int = 2
    ) -> SmoothingStep:
        """A smoothing step with these coefficients, at the placement of their kind."""
        where, rho = placement_for(self.placement, coefficients.kind), self.residual
        return SmoothingStep(coefficients, channels, where, residual=rho, shared=shared, dim=dim)

    def polynomial_level(
        self,
        channels: int,
        kinds: Sequence[str],
        *,
        coefficients: str = "step",
        parameterisation: str = "weights",
        last: bool = False,
        dim: int = 2,
    ) -> Level:
        """A level whose steps are factors of these kinds, with coefficients of their own (``step``)
        or one set for all steps of a kind (``level``)."""
        own = one_of(coefficients, "coefficients", ("step", "level")) == "step"
        make = partial(make_coefficients, parameterisation=parameterisation)
        shared = {} if own else {kind: make(kind) for kind in kinds}
        steps = [
            self.step(shared.get(kind) or make(kind), channels, shared=not own, dim=dim)
            for kind in kinds
        ]
        A = self.operator(channels, dim)
        return Level(A, steps, shared=shared, last=last, form=self.form)


def refuse_idle_operator(degree: int) -> None:
    """ValueError where the last level's q has degree 1: its A would have no effect on the output.

    The last level's residual is not used, so its A acts only between two products.
    """
    if degree == 1:
        raise ValueError(
            "the last level has a single step of degree 1: its A would have no effect on the output"
            " and no gradient; give it two steps"
        )


class Convolution(nn.Module):
    """c = B r: MgNet's correction, a convolution B in place of a polynomial in A."""

    kind = "convolution"
    degree = 1

    def __init__(self, conv: Conv) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, operator: nn.Module, r: Tensor) -> Tensor:
        """B r; the operator A is not used."""
        return cast("Tensor", self.conv(r))


class SmoothingStep(nn.Module):
    """One step u <- u + c, c = p(A) rho(f - A u), with norm and activation where the placement puts
    them.

    Parameters
    ----------
    coefficients
        Of one factor, or a convolution B.
    residual
        rho, as of `LevelOptions`.
    shared
        Whether the coefficients belong to the level: then they are reached from here, but not
        registered twice.
    dim
        Number of space dimensions.

    Attributes
    ----------
    norm, residual_norm
        torch's batch norm, or None where it is not used.
    norm_position, activation_position
        ``nowhere``, ``correction``, ``sum`` or ``operator``; a norm or activation at the level's
        end is the level's, here ``nowhere``.
    """

    def __init__(
        self,
        coefficients: Coefficients | Convolution,
        channels: int,
        placement: Placement,
        *,
        residual: str = "bn_relu",
        shared: bool = False,
        dim: int = 2,
    ) -> None:
        super().__init__()
        if placement.is_quadratic and coefficients.degree != 2:
            raise ValueError(
                f"placement {placement.name} is for factors of degree 2, but a {coefficients.kind}"
                f" step has degree {coefficients.degree}"
            )
        self.placement = placement
        self.residual = residual
        self.norm_position, self.activation_position = (
            "nowhere" if position == "level" else position
            for position in (placement.norm, placement.activation)
        )
        norm = NORMS[dim]
        self.residual_norm = norm(channels) if residual != "identity" else None
        self.norm = norm(channels) if self.norm_position != "nowhere" else None
        if shared:
            # Registered here as well, they would stand in the state dict once for every step; torch
            # does not look into tuples.
            self._shared = (coefficients,)
        else:
            self.own_coefficients = coefficients

    @property
    def coefficients(self) -> Coefficients | Convolution:
        """The step's own coefficients, or those it shares with other steps of the level."""
        return self._shared[0] if hasattr(self, "_shared") else self.own_coefficients

    @property
    def kind(self) -> str:
        """Kind of factor, or ``convolution``."""
        return self.coefficients.kind

    def factor(self) -> Factor:
        """The mgtheory factor of the coefficients as they are; ValueError for a convolution B."""
        if not isinstance(self.coefficients, Coefficients):
            raise ValueError(
                "the correction of this step is a convolution B, not a polynomial in A"
            )
        return self.coefficients.factor()

    def rho(self, d: Tensor) -> Tensor:
        """The residual as it is smoothed: relu(bn(d)), bn(d) or d, for d = f - A u."""
        if self.residual_norm is not None:
            d = self.residual_norm(d)
        return F.relu(d) if self.residual == "bn_relu" else d

    def at(self, position: str, x: Tensor) -> Tensor:
        """x, the norm, then the activation applied where they stand at this position."""
        if self.norm is not None and self.norm_position == position:
            x = self.norm(x)
        return F.relu(x) if self.activation_position == position else x

    def correction(self, operator: nn.Module, r: Tensor) -> Tensor:
        """c for r = rho(f - A u), with what acts on it or on its part with the operator."""
        if self.placement.is_quadratic:
            first, second = cast("Coefficients", self.coefficients).parts(operator, r)
            second = self.at("operator", second)
            c = -second if first is None else first - second
        else:
            c = self.coefficients(operator, r)
        return self.at("correction", c)


class Level(nn.Module):
    """All of one resolution: the operator A, its smoothing steps, what acts once at the end, and
    the residual for the next level.

    Parameters
    ----------
    steps
        In the order of application, all with the operator A. A norm or activation at the level's
        end is built once if any of their placements asks for it.
    shared
        Coefficients that belong to several steps, by name.
    last
        Whether no level follows: then no residual is returned (the plain form computes it and drops
        it).
    final_relu
        Whether the residual for the next level is relu(f - A u), or f - A u as it is.
    """

    def __init__(
        self,
        operator: Conv,
        steps: Sequence[SmoothingStep],
        *,
        shared: Mapping[str, nn.Module] | None = None,
        last: bool = False,
        final_relu: bool = True,
        form: str = "correction",
    ) -> None:
        super().__init__()
        self.A: Conv = operator
        self.steps = nn.ModuleList(steps)
        if shared:
            self.shared = nn.ModuleDict(dict(shared))
        placements = [step.placement for step in steps]
        at_end = any(placement.norm == "level" for placement in placements)
        norm = NORMS[operator.weight.ndim - 2]
        self.norm = norm(operator.out_channels) if at_end else None
        self.activation = any(placement.activation == "level" for placement in placements)
        self.last, self.final_relu, self.form = last, final_relu, form

    @property
    def smoothing_steps(self) -> list[SmoothingStep]:
        """The steps with their type."""
        return [cast("SmoothingStep", step) for step in self.steps]

    def polynomial(self) -> ResidualPolynomial:
        """q of the whole level now: the product of the steps' factors, in Leja order."""
        return ResidualPolynomial.from_factors([step.factor() for step in self.smoothing_steps])

    @property
    def degree(self) -> int:
        """Degree of q of the whole level."""
        return sum(step.coefficients.degree for step in self.smoothing_steps)

    def forward(self, g: Tensor, u0: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(u, relu(f - A u)) of the level's end, from the restricted residual g and the first
        features u0; None stands for 0 in u0, and for the residual that a last level does not
        give."""
        if self.form == "plain":
            return self._plain(g, u0)
        e = None  # u - u0
        for step in self.smoothing_steps:
            c = step.correction(self.A, step.rho(self.residual_to_smooth(g, e)))
            e = self.add(e, c)
            if "sum" in (step.norm_position, step.activation_position):
                e = minus(step.at("sum", plus(u0, e)), u0)
        u = self.add(u0, cast("Tensor", e))
        if self.norm is not None or self.activation:
            u = self.finish(u)
            e = None if self.last else minus(u, u0)
        return u, None if self.last else self.end(self.residual(g, e))

    def residual(self, g: Tensor, e: Tensor | None) -> Tensor:
        """g - A e = f - A u."""
        return g if e is None else cast("Tensor", g - self.A(e))

    def residual_to_smooth(self, g: Tensor, e: Tensor | None) -> Tensor:
        """The residual as a step takes it."""
        return self.residual(g, e)

    def add(self, x: Tensor | None, y: Tensor) -> Tensor:
        """x + y, the updated features or the sum of the corrections so far."""
        return plus(x, y)

    def finish(self, u: Tensor) -> Tensor:
        """The norm and the activation after the level's last step."""
        if self.norm is not None:
            u = self.norm(u)
        return F.relu(u) if self.activation else u

    def end(self, residual: Tensor) -> Tensor:
        """The residual as the next level takes it."""
        return F.relu(residual) if self.final_relu else residual

    def _plain(self, g: Tensor, u0: Tensor | None) -> tuple[Tensor, Tensor | None]:
        u = torch.zeros_like(g) if u0 is None else u0
        f = g if u0 is None else g + self.A(u0)
        for step in self.smoothing_steps:
            u = step.at("sum", u + step.correction(self.A, step.rho(f - self.A(u))))
        u = self.finish(u)
        residual = self.end(f - self.A(u))
        return u, None if self.last else residual


def plus(x: Tensor | None, y: Tensor) -> Tensor:
    """x + y; None stands for 0, which is not added."""
    return y if x is None else x + y


def minus(x: Tensor, y: Tensor | None) -> Tensor:
    """x - y; None stands for 0."""
    return x if y is None else x - y
