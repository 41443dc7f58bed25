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
from typing import Any

import torch
from torch import Tensor, nn

from mgtheory.polynomials.factors import ComplexPair, Factor, Linear, SymmetricPair
from nets.models.coefficients import Coefficients
from nets.models.create import create_model
from nets.models.polymgnet import PolyMgNet

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
    if overrides.get("separable"):
        raise ValueError("the published networks have dense operators: separable must be false")
    tensors = _tensors(state)
    for key, value in tensors.items():
        if key == "fc.weight" and value.ndim != 2:
            raise ValueError(f"{key} has shape {tuple(value.shape)}, must be (classes, features)")
        if re.search(r"(conv1|Ablock\.A)\.weight$", key) and value.ndim != 4:
            raise ValueError(
                f"{key} has shape {tuple(value.shape)}, must be a convolution's"
                " (out, in, height, width)"
            )
    levels = len({key.split(".")[0] for key in tensors if re.match(r"mg_block\d+\.", key)})
    blocks = [f"mg_block{l}.Ablock.A.weight" for l in range(1, max(levels, 1) + 1)]
    given: dict[str, Any] = {
        "channels": [len(_needed(tensors, key)) for key in blocks],
        "in_channels": _needed(tensors, "conv1.weight").shape[1],
        "num_classes": len(_needed(tensors, "fc.weight")),
    }
    made = create_model(model, **(given | overrides))
    if not isinstance(made, PolyMgNet):
        raise ValueError(
            f"model {model} has no published Poly-MgNet checkpoint; use q2, g4, g6 or g8"
        )
    places = _places(made)
    for key, place in places.items():
        if key in tensors or not (place is None or key.endswith("num_batches_tracked")):
            _fill(place, key, _needed(tensors, key))
    unused = sorted(tensors.keys() - places.keys())
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
    prefix = "module." if all(key.startswith("module.") for key in state) else ""
    return {key.removeprefix(prefix): torch.as_tensor(value) for key, value in state.items()}


def _needed(tensors: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in tensors:
        raise ValueError(
            f"not a checkpoint of the published code, or of another model: {key} is missing"
        )
    return tensors[key]


def _places(model: PolyMgNet) -> dict[str, Any]:
    """Published name -> where it belongs: a tensor, the coefficients of a step, or None for what
    the published code builds and does not use."""
    places: dict[str, Any] = {
        "conv1.weight": model.stem.weight,
        "fc.weight": getattr(model.fc, "weight", None),
        "fc.bias": getattr(model.fc, "bias", None),
        "mg_block1.convR.weight": None,
        "mg_block1.convI.weight": None,
    }

    def add_norm(prefix: str, norm: nn.Module | None) -> None:
        for name in NORM:
            places[f"{prefix}.{name}"] = getattr(norm, name, None)

    add_norm("bn", model.stem_norm)
    for l, level in enumerate(model.multigrid_levels, start=1):
        block = f"mg_block{l}"
        places[f"{block}.Ablock.A.weight"] = level.A.weight
        if l > 1:
            transfer: Any = model.transfers[l - 2]
            places[f"{block}.convR.weight"] = transfer.R.weight
            places[f"{block}.convI.weight"] = transfer.Pi.weight
        for i, step in enumerate(level.smoothing_steps):
            places[f"{block}.Bblock.{i}"] = step.coefficients
            add_norm(f"{block}.batchnorms.bn{2 * i}", step.residual_norm)
            last = i + 1 == len(level.steps)
            # at the level's end the published code uses the last step's
            norm = level.norm if step.norm is None and last else step.norm
            add_norm(f"{block}.batchnorms.bn{2 * i + 1}", norm)
    return places


def _fill(place: Tensor | Coefficients | None, key: str, value: Tensor) -> None:
    if place is not None and value.is_floating_point() and not torch.isfinite(value).all():
        raise ValueError(f"{key} holds numbers that are not finite")
    if isinstance(place, Coefficients):
        if value.numel() != 1:
            raise ValueError(f"{key} has shape {tuple(value.shape)}, must be one number")
        if place.kind not in PUBLISHED:
            raise ValueError(
                f"{place.kind} steps have no form in the published code, it knows:"
                f" {', '.join(PUBLISHED)}"
            )
        try:
            place.set_factor(PUBLISHED[place.kind](float(value.real.reshape(()))))
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
    elif place is not None:
        if value.shape != place.shape:
            raise ValueError(
                f"{key} has shape {tuple(value.shape)}, the model needs {tuple(place.shape)}"
            )
        with torch.no_grad():
            place.copy_(value)
