"""Reading checkpoints of the authors' public code into our models.

Its state names, per level l = 1..4: ``mg_block<l>.Ablock.A.weight``; ``mg_block<l>.Bblock.<i>``,
one number a step (w of a linear step, kappa of a symmetric pair; of a complex pair a = |number|, b
= 0); ``mg_block<l>.batchnorms.bn<2i>`` and ``bn<2i+1>``, the norm of step i's residual and that of
its correction or sum; ``convR.weight`` and ``convI.weight`` (R and Pi to this level; those of level
1 exist and are unused); and ``conv1.weight``, ``bn.*``, ``fc.*``.

On b = 0 the gradient with respect to b vanishes: a network read here computes what the authors'
does, and its pairs stay double roots when it is trained on, unless b is set to another value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from mgtheory.polynomials.factors import ComplexPair, Factor, Linear, SymmetricPair
from nets.models.classifier import MultigridClassifier
from nets.models.coefficients import Coefficients
from nets.models.polymgnet import PolyMgNet
from nets.models.registry import create_model

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
# the kinds of step that the public code has, and the factor of the number it keeps for each
PUBLISHED: dict[str, Callable[[float], Factor]] = {
    "linear": Linear,
    "symmetric_pair": SymmetricPair,
    "complex_pair": lambda number: ComplexPair(abs(number), 0.0),
}


def from_published_state(
    state: Mapping[str, Any], *, model: str = "q2", **overrides: Any
) -> nn.Module:
    """A model of the registry with the weights of a checkpoint of the authors' public code, in
    evaluation mode.

    Parameters
    ----------
    state
        The state dict (name -> tensor); a ``module.`` in front of every name is dropped, and a dict
        that holds it under ``state_dict`` or ``model`` is opened. Load it with ``torch.load(path,
        weights_only=True)``.
    model
        The registered Poly-MgNet it belongs to: q2, g4, g6 or g8.
    overrides
        Options of `create_model`, such as the placement. Channels, image channels and classes are
        taken from the state.

    Raises
    ------
    ValueError
        If names are missing or left over, a shape does not fit, or the model's steps have no
        published form.
    """
    if overrides.get("coefficients", "step") != "step":
        raise ValueError(
            "the published code has a number for every step: coefficients must be 'step'"
        )
    tensors = _tensors(state)
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    levels = len({key.split(".")[0] for key in shapes if re.match(r"mg_block\d+\.", key)})
    for key, shape in shapes.items():
        if re.search(r"(conv1|Ablock\.A)\.weight$", key) and len(shape) != 4:
            raise ValueError(
                f"{key} has shape {shape}, must be a convolution's (out, in, height, width)"
            )
    blocks = [f"mg_block{l}.Ablock.A.weight" for l in range(1, levels + 1)]
    given = {
        "channels": [_needed(shapes, key)[0] for key in blocks],
        "in_channels": _needed(shapes, "conv1.weight")[1],
        "num_classes": (*_needed(shapes, "fc.weight"), 0)[0],
    }
    if not given["channels"]:
        raise ValueError(
            "not a checkpoint of the published code: it has no mg_block1.Ablock.A.weight"
        )
    made = create_model(model, **(given | overrides))
    if not isinstance(made, PolyMgNet):
        raise ValueError(
            f"model {model} has no published Poly-MgNet checkpoint; use q2, g4, g6 or g8"
        )
    used = _fill(made, tensors)
    used |= {"mg_block1.convR.weight", "mg_block1.convI.weight"}  # exist, but do nothing
    unused = sorted(tensors.keys() - used)
    if unused:
        raise ValueError(
            f"the state does not fit {model}: {len(unused)} names are left over, among them"
            f" {', '.join(unused[:4])}"
        )
    return made.eval()


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    for name in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(name), Mapping):
            state = state[name]
    entries = state.items() if isinstance(state, Mapping) else ()
    if not entries or not all(
        isinstance(key, str) and isinstance(value, Tensor | int | float) for key, value in entries
    ):
        raise ValueError(
            "not a checkpoint of the published code: needs a mapping of names to tensors"
        )
    prefixed = all(key.startswith("module.") for key in state)
    return {
        key.removeprefix("module.") if prefixed else key: torch.as_tensor(value)
        for key, value in state.items()
    }


def _needed(values: Mapping[str, Any], key: str) -> Any:
    if key not in values:
        raise ValueError(
            f"not a checkpoint of the published code, or of another model: {key} is missing"
        )
    return values[key]


def _fill(model: MultigridClassifier, tensors: Mapping[str, Tensor]) -> set[str]:
    """Copy every tensor to its place and return the names that were used."""
    used: set[str] = set()

    def take(key: str) -> Tensor:
        value = cast("Tensor", _needed(tensors, key))
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{key} holds numbers that are not finite")
        used.add(key)
        return value

    def copy(target: Tensor, key: str) -> None:
        value = take(key)
        if value.shape != target.shape:
            raise ValueError(
                f"{key} has shape {tuple(value.shape)}, the model needs {tuple(target.shape)}"
            )
        with torch.no_grad():
            target.copy_(value)

    def copy_norm(norm: nn.BatchNorm2d | None, prefix: str) -> None:
        for name in NORM:
            key = f"{prefix}.{name}"
            if norm is None:  # the published code builds norms that its placement does not use
                used.add(key)
            elif name != "num_batches_tracked" or key in tensors:
                copy(getattr(norm, name), key)

    copy(model.stem.weight, "conv1.weight")
    copy_norm(model.stem_norm, "bn")
    copy(model.fc.weight, "fc.weight")
    copy(model.fc.bias, "fc.bias")
    for l, level in enumerate(model.multigrid_levels, start=1):
        block = f"mg_block{l}"
        copy(level.A.weight, f"{block}.Ablock.A.weight")
        if l > 1:
            transfer = model.transfers[l - 2]
            copy(transfer.R.weight, f"{block}.convR.weight")  # type: ignore[arg-type, union-attr]
            copy(transfer.Pi.weight, f"{block}.convI.weight")  # type: ignore[arg-type, union-attr]
        for i, step in enumerate(level.smoothing_steps):
            number = take(f"{block}.Bblock.{i}")
            cast("Coefficients", step.coefficients).set_factor(
                _factor(step.kind, number, f"{block}.Bblock.{i}")
            )
            copy_norm(step.residual_norm, f"{block}.batchnorms.bn{2 * i}")
            last = i + 1 == len(level.smoothing_steps)
            # at the level's end the published code uses the last step's
            norm = level.norm if step.norm is None and last else step.norm
            copy_norm(norm, f"{block}.batchnorms.bn{2 * i + 1}")
    return used


def _factor(kind: str, number: Tensor, key: str) -> Factor:
    if number.numel() != 1:
        raise ValueError(f"{key} has shape {tuple(number.shape)}, must be one number")
    if kind not in PUBLISHED:
        raise ValueError(
            f"{kind} steps have no form in the published code, it knows: {', '.join(PUBLISHED)}"
        )
    try:
        return PUBLISHED[kind](float(number.real.reshape(())))
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
