"""Poly-MgNet: a multigrid classifier whose steps are smoothing steps with polynomials in A.

Between levels stand depthwise 3x3 convolutions Pi and R of stride 2, and the next level's data are
f = R relu(f - A u) + A_next Pi u. [van Betteray, Rottmann, Kahl 2025, arXiv 2503.10594]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from nets.models.blocks import LevelOptions, refuse_idle_operator
from nets.models.classifier import MultigridClassifier
from nets.models.coefficients import Coefficients, parse_kind
from nets.models.options import per_level
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
    coefficients
        ``step``: every step has its own; ``level``: the steps of a kind share theirs within the
        level.
    train_coefficients
        False freezes all of them.
    parameterisation
        ``weights`` or ``roots``, see `nets.models.coefficients`.
    **options
        Of `LevelOptions`: placement, residual, kernel_size, groups, padding_mode, separable,
        form.

    A single linear step on the last level is refused: there A has no effect on the output.
    """

    def __init__(
        self,
        *,
        factors: Sequence[str] | Sequence[Sequence[str]],
        channels: Sequence[int] = (64, 128, 256, 256),
        coefficients: str = "step",
        train_coefficients: bool = True,
        parameterisation: str = "weights",
        in_channels: int = 3,
        num_classes: int = 10,
        **options: Any,
    ) -> None:
        common = LevelOptions(**options)
        kinds = per_level(factors, len(channels), what="factors")
        refuse_idle_operator(sum(parse_kind(kind)[1] for kind in kinds[-1]))
        trained: dict[str, Any] = {
            "coefficients": coefficients,
            "parameterisation": parameterisation,
        }
        levels = [
            common.polynomial_level(width, names, last=i == len(channels), **trained)
            for i, (width, names) in enumerate(zip(channels, kinds), start=1)
        ]
        ends = {"in_channels": in_channels, "num_classes": num_classes}
        super().__init__(levels, Transfer, kernel_size=common.kernel_size, **ends)
        for parameter in coefficient_parameters(self):
            parameter.requires_grad_(train_coefficients)


def coefficient_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The polynomial coefficients among a model's parameters, each once: those without weight decay
    and with their own learning rate."""
    modules = [module for module in model.modules() if isinstance(module, Coefficients)]
    return [parameter for module in modules for parameter in module.parameters()]


def operator_products(model: nn.Module, x: Tensor) -> int:
    """Convolutions with the levels' operators A in one forward pass of the images x, counted."""
    calls: list[None] = []
    levels = cast("MultigridClassifier", model).multigrid_levels
    handles = [level.A.register_forward_hook(lambda *_: calls.append(None)) for level in levels]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return len(calls)
