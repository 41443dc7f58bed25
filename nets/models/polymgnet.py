"""Poly-MgNet: a classifier whose levels are multigrid levels and whose blocks are smoothing steps
with polynomials in A.

Level 1: f = relu(bn(stem(x))), u = 0. Between levels: u <- Pi u, f <- R relu(f - A u) + A_next u
with depthwise 3x3 convolutions Pi and R of stride 2. After the last level: average of u over the
image, linear classifier. [van Betteray, Rottmann, Kahl 2025, arXiv 2503.10594]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from nets.models.blocks import (
    Level,
    SmoothingStep,
    operator_convolution,
    refuse_idle_operator,
)
from nets.models.classifier import MultigridClassifier
from nets.models.coefficients import (
    Coefficients,
    factor_degree,
    make_coefficients,
    parse_kind,
)
from nets.models.options import per_level
from nets.models.placements import Placement, placement_for
from nets.models.transfers import Transfer


class PolyMgNet(MultigridClassifier):
    """Poly-MgNet with any mixture of polynomial smoothing steps.

    Parameters
    ----------
    factors
        Kinds of the steps of each level: one sequence of names for all levels, or one such sequence
        per level.
    channels
        Width of each level; their number is the number of levels.
    placement
        One placement, or a mapping kind -> placement.
    residual
        rho: ``bn_relu``, ``bn`` or ``identity``.
    coefficients
        ``step``: every step has its own; ``level``: the steps of a kind share theirs within the
        level.
    train_coefficients
        False freezes all of them.
    parameterisation
        ``weights`` or ``roots``, see `nets.models.coefficients`.
    kernel_size, groups, padding_mode
        Of the operators A (kernel size also of stem and transfers).
    form
        ``correction`` or ``plain``.

    Raises
    ------
    ValueError
        For values that do not fit, among them a last level with a single linear step: there A has
        no effect on the output.
    """

    def __init__(
        self,
        *,
        factors: Sequence[str] | Sequence[Sequence[str]],
        channels: Sequence[int] = (64, 128, 256, 256),
        placement: str | Placement | Mapping[str, str | Placement] = "regular",
        residual: str = "bn_relu",
        coefficients: str = "step",
        train_coefficients: bool = True,
        parameterisation: str = "weights",
        in_channels: int = 3,
        num_classes: int = 10,
        kernel_size: int = 3,
        groups: int = 1,
        padding_mode: str = "zeros",
        form: str = "correction",
    ) -> None:
        if coefficients not in ("step", "level"):
            raise ValueError(f"coefficients is {coefficients!r}, allowed are: step, level")
        kinds = per_level(factors, len(channels), what="factors")
        refuse_idle_operator(sum(factor_degree(kind) for kind in kinds[-1]))
        levels = []
        for i, (width, names) in enumerate(zip(channels, kinds)):
            placements = [placement_for(placement, parse_kind(name)[0]) for name in names]
            shared: dict[str, nn.Module] = {}
            steps = []
            for name, where in zip(names, placements):
                own = shared.get(name) or make_coefficients(name, parameterisation=parameterisation)
                if coefficients == "level":
                    shared[name] = own
                steps.append(
                    SmoothingStep(
                        cast("Coefficients", own),
                        width,
                        where,
                        residual=residual,
                        shared=coefficients == "level",
                    )
                )
            operator = operator_convolution(
                width, kernel_size=kernel_size, groups=groups, padding_mode=padding_mode
            )
            levels.append(
                Level(
                    operator,
                    steps,
                    placements,
                    shared=shared,
                    last=i + 1 == len(channels),
                    form=form,
                )
            )
        transfers = [
            Transfer(fine, coarse, kernel_size=kernel_size) for fine, coarse in pairwise(channels)
        ]
        super().__init__(
            levels,
            transfers,
            in_channels=in_channels,
            num_classes=num_classes,
            kernel_size=kernel_size,
        )
        if not train_coefficients:
            for module in self.modules():
                if isinstance(module, Coefficients):
                    module.requires_grad_(False)


def coefficient_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The polynomial coefficients among a model's parameters, each once: those without weight decay
    and with their own learning rate."""
    return [
        p
        for module in model.modules()
        if isinstance(module, Coefficients)
        for p in module.parameters()
    ]


def operator_products(model: nn.Module, x: Tensor) -> int:
    """Convolutions with the levels' operators A in one forward pass of the images x, counted."""
    count = 0

    def one_more(*_: object) -> None:
        nonlocal count
        count += 1

    handles = [
        level.A.register_forward_hook(one_more)
        for level in cast("MultigridClassifier", model).multigrid_levels
    ]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return count
