"""Optimisers, learning-rate schedules, parameter groups, and the running mean of weights (EMA).

A schedule is one entry of `SCHEDULES`: a function of the progress p in [0, 1) of the run that
returns the factor on the peak learning rate. It is evaluated on the host from the step number
alone, so a resumed run needs no scheduler state and a step needs no synchronisation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nets.models.polymgnet import coefficient_parameters
from nets.settings import OptimSection

Schedule = Callable[[float, OptimSection], float]


def _onecycle(p: float, _: OptimSection) -> float:
    """Cosine from 1/25 to 1 in the first 30 %, then down to 1e-4 [Smith, Topin 2019]."""
    start, end, peak = 1 / 25, 1e-4, 0.3
    low, x = (start, p / peak) if p < peak else (end, (1 - p) / (1 - peak))
    return low + (1 - low) * 0.5 * (1 - math.cos(math.pi * x))


def _step(p: float, section: OptimSection) -> float:
    return section.gamma ** sum(p >= milestone for milestone in section.milestones)


SCHEDULES: dict[str, Schedule] = {
    "cosine": lambda p, _: 0.5 * (1 + math.cos(math.pi * p)),
    "onecycle": _onecycle,
    "step": _step,
    "linear": lambda p, _: 1 - p,
    "constant": lambda p, _: 1.0,
}


def learning_rate(section: OptimSection, step: int, *, steps: int, steps_per_epoch: int) -> float:
    """lr(step) = peak * schedule(progress) of the 0-based step of a run of `steps`, after `warmup`
    epochs of linear rise; milestones of "step" are fractions of what follows the warm-up."""
    warm = section.warmup * steps_per_epoch
    if step < warm:
        return section.lr * (step + 1) / (warm + 1)
    return section.lr * SCHEDULES[section.schedule]((step - warm) / max(steps - warm, 1), section)


def parameter_groups(model: nn.Module, section: OptimSection) -> list[dict[str, Any]]:
    """Three groups: weights (with decay), norms and biases (without), polynomial coefficients
    (without, `lr_factor` their own).

    Coefficients are the parameters of `nets.models.coefficients.Coefficients` modules; norms and
    biases are those of at most one axis.
    """
    groups: list[dict[str, Any]] = [
        {"name": "weights", "weight_decay": section.weight_decay, "lr_factor": 1.0},
        {"name": "norms", "weight_decay": 0.0, "lr_factor": 1.0},
        {"name": "coefficients", "weight_decay": 0.0, "lr_factor": section.coefficient_lr},
    ]
    coefficients = set(coefficient_parameters(model))
    for p in model.parameters():
        if p.requires_grad:
            group = groups[2 if p in coefficients else 0 if p.ndim > 1 else 1]
            group.setdefault("params", []).append(p)
    return [group for group in groups if "params" in group]


def make_optimizer(
    model: nn.Module, section: OptimSection, *, fused: bool = False, capturable: bool = False
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW, over `parameter_groups`; `fused` for CUDA, `capturable`
    with it where a captured step must see the learning rates change: they are tensors then."""
    groups = parameter_groups(model, section)
    if capturable:
        device = next(model.parameters()).device
        groups = [group | {"lr": torch.tensor(section.lr, device=device)} for group in groups]
    kind: dict[str, Any] = {"lr": section.lr, "fused" if fused else "foreach": True}
    if section.name == "adamw":
        adam = torch.optim.AdamW(groups, betas=section.betas, capturable=capturable, **kind)
        adam._warned_capturable_if_run_uncaptured = True  # the first steps do so on purpose
        return adam
    momentum, nesterov = section.momentum, section.nesterov and section.momentum > 0
    return torch.optim.SGD(groups, momentum=momentum, nesterov=nesterov, **kind)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """lr times each group's `lr_factor`; a rate that is a tensor keeps its place."""
    for group in optimizer.param_groups:
        rate = lr * group["lr_factor"]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


class Ema:
    """w_ema <- d w_ema + (1 - d) w over all floating parameters and buffers, d = min(decay, (1 +
    n)/(10 + n)) after n updates.

    The ramp lets the mean forget the start; integer buffers are copied. `weights` is a state dict
    for evaluation and saving.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        pairs = list(zip(self.weights.values(), model.state_dict(keep_vars=True).values()))
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        others = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._means, self._floating = ([pair[i] for pair in floating] for i in (0, 1))
        self._copies, self._counts = ([pair[i] for pair in others] for i in (0, 1))

    @torch.no_grad()
    def update(self) -> None:
        """One update from the live weights, batched, without synchronisation."""
        rate = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(self._means, self._floating, rate)
        if self._copies:
            torch._foreach_copy_(self._copies, self._counts)
