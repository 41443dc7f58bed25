"""Files that survive: written aside, synced and renamed; weights and training state as safetensors
with a digest, never pickled code.

`save_model` writes weights and the model's description, and nothing that differs between two equal
runs. `Checkpoints` keeps the newest two states of a run; a kill at any instruction leaves at least
one whole, and a damaged newest one falls back to the one before and says so.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from mgtheory._files import write_atomically
from nets.defaults import own_defaults
from nets.models.create import create_model
from nets.models.spec import ModelSpec

_NAME = re.compile(r"step-(\d{9})\.safetensors")


def _digest(tensors: Mapping[str, Tensor], info: str) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    mark = hashlib.sha256(info.encode())
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        mark.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        mark.update(value.reshape(-1).view(torch.uint8).numpy().data if value.numel() else b"")
    return mark.hexdigest()


def _pack(tensors: Mapping[str, Tensor], info: dict[str, Any]) -> bytes:
    """One safetensors file; a single metadata entry, because the order of several is not fixed."""
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    places = Counter(value.untyped_storage().data_ptr() for value in plain.values())
    for name, value in plain.items():  # what has two names, as weights that are shared, is two
        if places[value.untyped_storage().data_ptr()] > 1:
            plain[name] = value.clone()
    text = json.dumps(info)
    outer = json.dumps({"digest": _digest(plain, text), "info": text}, sort_keys=True)
    return save(plain, metadata={"polymgnet": outer})


def _unpack(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The inverse of `_pack`; ValueError where the file is truncated, damaged or foreign."""
    if path.is_dir():
        raise IsADirectoryError(
            f"{path}: a folder, not a file of weights; nets.load(run) and nets.load_classifier(run)"
            " take a run's folder"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        content = path.read_bytes()  # safetensors itself opens names in UTF-8 alone
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        outer = json.loads(header["__metadata__"]["polymgnet"])
        info = json.loads(outer["info"])
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise ValueError(
            f"{path}: truncated, damaged or not a file of this program ({type(error).__name__}:"
            f" {error})"
        ) from error
    if _digest(tensors, outer["info"]) != outer["digest"]:
        raise ValueError(f"{path}: damaged, the digest does not fit the content")
    return tensors, info


def save_model(
    path: Path, model: nn.Module, *, weights: Mapping[str, Tensor] | None = None
) -> None:
    """Weights (by default the model's) and what rebuilds it; equal models give equal files.

    ValueError for a model without a spec, and for one that is no longer what its spec says, as with
    another last layer: its file could not be read.
    """
    spec = getattr(model, "spec", None)
    if not isinstance(spec, ModelSpec):
        raise ValueError(
            "the model has no spec; only models from create_model can be saved so that they can be"
            " rebuilt"
        )
    tensors = model.state_dict() if weights is None else weights
    try:
        with torch.random.fork_rng(devices=[]):
            _rebuilt(spec, tensors)
    except ValueError as error:
        raise ValueError(
            f"the model is no longer what its spec rebuilds, {error}; change the last layer by"
            " reset_classifier, and end prunings and parametrizations"
        ) from error
    write_model(path, spec, tensors)


def write_model(path: Path, spec: ModelSpec, weights: Mapping[str, Tensor]) -> None:
    """The file of `save_model`, of what was not changed since it was made: nothing is rebuilt."""
    info = {"kind": "model", "spec": dict(sorted(spec.to_dict().items()))}
    write_atomically(path, _pack(weights, info))


@own_defaults()
def _rebuilt(spec: ModelSpec, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The model of a spec with these weights, in their precision; ValueError where they do not
    fit."""
    model: nn.Module = create_model(spec.name, **spec.overrides)
    kinds = (value.dtype for value in tensors.values() if value.is_floating_point())
    try:
        model.to(next(kinds, torch.float32)).load_state_dict(tensors)
    except RuntimeError as error:
        why = str(error).splitlines()[-1].strip()
        raise ValueError(f"weights do not fit {spec.name} ({why})") from error
    return model


def load_model(path: Path) -> nn.Module:
    """The model of a file written by `save_model`, on the CPU in eval mode; FileNotFoundError,
    IsADirectoryError or ValueError (truncated, damaged or foreign). For a run's folder there is
    `nets.load`."""
    tensors, info = _unpack(Path(path))
    if info.get("kind") != "model":
        raise ValueError(f"{path}: holds {info.get('kind', 'something else')}, not a model")
    spec = ModelSpec.from_dict(info["spec"])
    try:
        return _rebuilt(spec, tensors).eval()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as named tensors and JSON."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for index, values in state["state"].items():
        for key, value in values.items():
            (tensors if isinstance(value, Tensor) else scalars)[f"{index}.{key}"] = value
    return tensors, scalars


def load_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]
) -> None:
    """Puts the state of `optimizer_state` back, in the memory format of the parameters;
    hyperparameters stay those of the optimiser."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in (*tensors.items(), *scalars.items()):
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    # files are contiguous; fused optimisers refuse other strides than the parameter's
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                kind: Any = {"dtype": value.dtype, "device": value.device}
                values[key] = torch.empty_like(parameter, **kind).copy_(value)


@dataclass(frozen=True)
class State:
    """A moment of a run: tensors "model.*", "optim.*", "ema.*", "best.*", "sums.*"; the rest."""

    tensors: dict[str, Tensor]
    info: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under a prefix, without it."""
        split = {tuple(name.split(".", 1)): value for name, value in self.tensors.items()}
        return {name: value for (first, name), value in split.items() if first == prefix}


class Checkpoints:
    """The newest two states of a run in a folder, made when first written to; one file each, named
    by the optimiser step. `report` is called with one line when a damaged file is passed over."""

    def __init__(self, folder: Path, *, report: Callable[[str], None] = warnings.warn) -> None:
        self.folder, self.report = Path(folder), report

    def files(self) -> list[Path]:
        """Whole-looking files, newest first."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted((path for path in found if _NAME.fullmatch(path.name)), reverse=True)

    def save(self, state: State, *, step: int) -> Path:
        """Writes a step's state, then removes all but the newest two and a killed writer's."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{step:09d}.safetensors"
        write_atomically(path, _pack(state.tensors, {"kind": "checkpoint", **state.info}))
        for old in (*self.files()[2:], *self.folder.glob(".*.tmp")):
            old.unlink(missing_ok=True)
        return path

    def load(self) -> State | None:
        """The newest readable state; None without a file, ValueError where none can be read."""
        files = self.files()
        for i, path in enumerate(files):
            try:
                tensors, info = _unpack(path)
                if info.pop("kind", None) != "checkpoint":
                    raise ValueError(f"{path}: not a checkpoint")
            except ValueError as error:
                older = [f"going back to {file.name}" for file in files[i + 1 :]]
                self.report(f"{error}; {next(iter(older), 'no older one is left')}")
                continue
            return State(tensors, info)
        if files:
            raise ValueError(
                f"{self.folder}: none of the {len(files)} checkpoints can be read; remove the"
                " folder to start this run anew"
            )
        return None
