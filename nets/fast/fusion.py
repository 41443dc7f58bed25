"""A model's twin for one device: its modules that are computed in another way there are exchanged,
its parameters are the model's own.

The models are written as their formulas are. What makes them fast belongs to a device: how
transfers and separable operators are computed, and what the code generator of torch.compile must be
told on a GPU.
`prepare` makes a copy of the module tree around the very same tensors and exchanges the classes of
these modules, so that training the twin trains the model, and what is saved, averaged, counted and
analysed is the model as it is written.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import cast

import torch
from torch import nn

from nets.fast.levels import (
    DenseSeparable,
    DenseTransfer,
    FusedCoefficients,
    FusedLevel,
    FusedStep,
    SingleTransfer,
    SplitTransfer,
)
from nets.fast.norms import FusedBatchNorm2d
from nets.models.blocks import Level, SmoothingStep
from nets.models.classifier import MultigridClassifier
from nets.models.coefficients import Coefficients
from nets.models.convolutions import SeparableConv
from nets.models.transfers import Transfer

# The code generator stops at 4 or 8 inputs or 30 operations. Without these limits the generated
# code of q2 moves 11 % fewer bytes and that of g6 4 % (benchmarks/results/train-h200.md); that of
# residual networks moved more, and they keep them.
FUSION = {
    "realize_reads_threshold": 64,
    "realize_acc_reads_threshold": 64,
    "realize_opcount_threshold": 300,
}
# what is computed in another way in code that is generated for a GPU
GENERATED: dict[type[nn.Module], type[nn.Module]] = {
    Level: FusedLevel,
    SmoothingStep: FusedStep,
    Coefficients: FusedCoefficients,
    nn.BatchNorm2d: FusedBatchNorm2d,
}
# models that one process may train compiled, as one of a study does: their forward passes are one
# code, which torch would run uncompiled from the ninth model on
MODELS = 256


def prepare(
    model: nn.Module, device: torch.device, *, half: bool = False, generated: bool = False
) -> nn.Module:
    """The model as it is computed on a device: a twin with the same tensors, or the model itself
    where nothing is to be exchanged.

    `half` says that it runs under autocast to bfloat16, `generated` that torch.compile is going to
    compile it for training.
    """
    swaps: dict[type[nn.Module], type[nn.Module]] = {}
    if device.type == "cpu":
        swaps[Transfer] = SingleTransfer if half else SplitTransfer
    elif device.type == "cuda" and half:
        swaps |= {Transfer: DenseTransfer, SeparableConv: DenseSeparable}
    if generated and device.type == "cuda":
        swaps |= GENERATED
    return exchanged(model, swaps)


def exchanged(model: nn.Module, swaps: dict[type[nn.Module], type[nn.Module]]) -> nn.Module:
    """A twin with the model's own tensors, its modules of the given classes turned into others of
    the same state; the model itself where it has none of them."""
    if not any(type(module) in swaps for module in model.modules()):
        return model
    # what the memo holds is not copied
    kept = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    twin = copy.deepcopy(model, kept)
    for module in twin.modules():
        module.__class__ = swaps.get(type(module), type(module))
    return twin


def compiled(model: nn.Module, mode: str = "default") -> nn.Module:
    """torch.compile for fixed shapes, with `FUSION` where the model has multigrid levels, of up to
    `MODELS` models in a process."""
    import torch._dynamo as dynamo
    import torch._inductor as inductor

    dynamo.config.recompile_limit = max(dynamo.config.recompile_limit, MODELS)
    options = dict(inductor.list_mode_options(mode))
    if isinstance(model, MultigridClassifier):
        options |= {key: value for key, value in FUSION.items() if hasattr(inductor.config, key)}
    return cast("nn.Module", torch.compile(model, dynamic=False, options=options))
