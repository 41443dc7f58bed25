"""The model of a run, built and started as its configuration says, or as a begun run left it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mgtheory.multigrid.solution import counted
from nets.data.augment import normalise
from nets.data.sources import DataSet, find_source
from nets.models.base import evaluating
from nets.models.create import create_model
from nets.models.norms import convert_ghost_batchnorm
from nets.models.pretrained import list_pretrained
from nets.models.registry import model_options
from nets.settings import DEFAULT_SCHEME, TrainConfig, TrainSection
from nets.start.block import PolynomialBlock, start_blocks
from nets.start.features import affordable
from nets.start.initialise import initialise, resolve_start, takes_scheme
from nets.training.checkpoint import load_model
from nets.training.folder import load, read_start
from nets.training.predict import read_data_facts

FORMER_DEFAULTS = ("xavier", "bounded")  # of `init.scheme`
SAMPLE = 64  # training images by which the start measures the features, of large ones fewer


def check_start(config: TrainConfig, made: dict[str, nn.Module] | None = None) -> None:
    """ValueError or FileNotFoundError where the model or its start cannot be what the configuration
    says, found without data or weights.

    Models of many configurations are made once each, where they are kept in `made`.
    """
    made = {} if made is None else made
    own = config.model.model_dump_json()
    if own not in made:
        with torch.device("meta"):
            made[own] = create_model(config.model.name, **_options(config))
    model = made[own]
    resolve_start(model, _scheme(model, config), config.init.operator, config.init.options)
    find_source(config.data.name)
    if config.init.weights is not None:
        _source(config.init.weights)


def _scheme(model: nn.Module, config: TrainConfig) -> str:
    """That of the configuration; ``none`` for a default, of this or an earlier version, where the
    model has nothing to start by it, so that one recipe is for all models."""
    default = config.init.scheme in (DEFAULT_SCHEME, *FORMER_DEFAULTS)
    return "none" if default and not takes_scheme(model) else config.init.scheme


def _options(config: TrainConfig) -> dict[str, Any]:
    """The model's options; ValueError for keys of the configuration that it does not take, as where
    a recipe made for another model gives them, with the settings that take them out."""
    given, taken = config.model.overrides(), model_options(config.model.name)
    keys = [key for key in given if key not in taken and key not in config.model.options]
    if keys:
        fix = " ".join(f"--set {key}=null" for key in keys)
        raise ValueError(
            f"{config.model.name} has no option {', '.join(map(repr, keys))}, which the"
            f" configuration gives: take it out by {fix}; it takes: {', '.join(taken)}"
        )
    return given


def build(config: TrainConfig, data: DataSet) -> tuple[nn.Module, dict[str, Any]]:
    """(model, report): the configured model for a data set, started by its seed; of the report's
    notes one says which of `init.weights` were taken, another which blocks images do not reach."""
    generator = torch.Generator().manual_seed(config.train.seed)
    channels, height, width = data.shape
    given = {"in_channels": channels, "num_classes": len(data.classes)} | _options(config)
    model = create_model(config.model.name, generator=generator, **given)
    if given["in_channels"] != channels or given["num_classes"] < len(data.classes):
        raise ValueError(
            f"{data.name} has {counted(channels, 'channel')} and {len(data.classes)} classes; the"
            " model options say otherwise"
        )
    init = config.init
    notes = [_take(model, init.weights, data)] if init.weights is not None else []
    moments = data.normalisation(config.data.mean, config.data.std)
    rows = _spread(data.train, affordable(SAMPLE, (height, width)))
    sample = normalise(torch.from_numpy(data.images[rows]), *moments)
    options = {"operator": init.operator, "size": (height, width), **init.options}
    scheme = _scheme(model, config)
    # blocks of polynomials start here, the same in every process
    blocks = start_blocks(model, sample, generator=generator)
    if not type(model).__module__.startswith("nets."):
        _check_scores(model, config.model.name, sample[:1], len(data.classes))
    own = [(n, one) for n, one in model.named_modules() if isinstance(one, PolynomialBlock)]
    if idle := [name for name, one in own if one.dim == 2 and not one.started]:
        notes.append(
            "no block is shown as a level, for these are given nothing of the images:"
            f" {', '.join(idle)}"
        )
    started = initialise(model, scheme, generator=generator, sample=sample, **options)
    said: dict[str, Any] = {"levels": blocks.levels} if blocks.levels else {"scheme": init.scheme}
    if blocks.features is not None:
        said |= {"options": blocks.options, "features": blocks.features}
    return model, replace(started, **said, notes=tuple(notes)).to_dict()


def _check_scores(model: nn.Module, name: str, image: Tensor, classes: int) -> None:
    """ValueError where what a user's network makes of an image are no scores that can be trained;
    with what it says itself where it does not take the image."""
    try:
        with evaluating(model):
            scores = model(image)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ValueError(
            f"{name} does not take images {tuple(image.shape)}: {' '.join(str(error).split())}"
        ) from error
    if not (isinstance(scores, Tensor) and scores.ndim == 2 and scores.shape[1] >= classes):
        given = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(
            f"{name} makes {given} of images {tuple(image.shape)}, must make scores, a tensor"
            f" (images, {classes} classes)"
        )
    if not scores.requires_grad:
        raise ValueError(f"the scores of {name} depend on no parameter that can be trained")


def _spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """So many of them, evenly: those of a folder are in the order of their classes."""
    evenly = np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)
    return np.take(rows, evenly)


def _source(path: str) -> nn.Module:
    """The model of a run's folder, at its trained weights, or of a file."""
    return load(path) if Path(path).is_dir() else load_model(Path(path))


def _classes_of(path: Path) -> tuple[str, ...]:
    """What the weights of a run, of a file in its folder or of the package tell apart; empty where
    it is not known."""
    cards = {one.file: one.card for one in list_pretrained()}
    if card := cards.get(path.resolve()):
        return tuple(card["classes"])
    run = path if path.is_dir() else path.parent
    return read_data_facts(run).classes if (run / "config.json").is_file() else ()


def _take(model: nn.Module, path: str, data: DataSet) -> str:
    """Copy weights of equal name and shape into a model, in place, and say in one line what stays
    as it was drawn: the last layer's where the classes are others, and those of a block of which
    one does not fit. ValueError where less than half of them fit."""
    there, here = _source(path).state_dict(), model.state_dict()
    classes = _classes_of(Path(path)) or data.classes
    head = () if classes == data.classes else ("fc.weight", "fc.bias")
    fits = [
        name
        for name, value in here.items()
        if name in there and there[name].shape == value.shape and name not in head
    ]
    weights = [name for name, _ in model.named_parameters()]
    # the coefficients of a block, and that it was started, say nothing beside another A
    blocks = [f"{name}." for name, one in model.named_modules() if isinstance(one, PolynomialBlock)]
    split = tuple(
        block
        for block in blocks
        if any(name.startswith(block) and name not in fits for name in weights)
    )
    fits = [name for name in fits if not name.startswith(split)]
    new = [name for name in weights if name not in fits]
    count = f"{len(weights) - len(new)} of {len(weights)} tensors of weights from {path}"
    if 2 * len(new) > len(weights):
        raise ValueError(f"init.weights: only {count} fit; give the model and the width of its run")
    with torch.no_grad():
        for name in fits:
            here[name].copy_(there[name])
    others = "" if classes == data.classes else f" ({len(data.classes)} other classes)"
    rest = f"; drawn anew: {', '.join(new[:4])}{', ...' if len(new) > 4 else ''}{others}"
    return count + (rest if new else "")


def begun_model(out: Path) -> tuple[nn.Module, dict[str, Any]] | None:
    """(model, report) as a begun run left them, without measuring again; None where damaged."""
    try:
        return load_model(out / "start.safetensors").train(), read_start(out).to_dict()
    except (OSError, ValueError):
        return None


def with_norms(model: nn.Module, section: TrainSection) -> nn.Module:
    """The model with the batch norms of ghost groups, or of all ranks, where they are asked for."""
    if section.sync_batchnorm:
        if not torch.cuda.is_available():
            raise ValueError(
                "train.sync_batchnorm needs CUDA devices; on CPUs use train.ghost_groups or neither"
            )
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    groups = section.ghost_groups
    return convert_ghost_batchnorm(model, groups) if groups > 1 else model
