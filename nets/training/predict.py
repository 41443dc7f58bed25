"""Prediction: a trained network together with the normalisation of its data, so that images go in
as they are."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from pydantic import NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from mgtheory._files import write_atomically
from nets.data.augment import normalise
from nets.data.sources import DataSet, load_data
from nets.training.folder import load, read_config
from nets.training.records import STRICT, read_record

DATA_FILE = "data.json"
PARTS = ("train", "validation", "test")
BATCH = 1000  # images at a time


@dataclass(frozen=True, config=STRICT)
class DataFacts:
    """What prediction needs to know of the data a network was trained on; written as data.json of a
    run.

    Attributes
    ----------
    shape
        (channels, height, width) of an image.
    classes
        Names, in the order of the scores.
    mean, std
        Per channel, of pixels in [0, 1]: measured on the training part, or those of the
        configuration.
    images
        Number of images of each part.
    digest
        That of the data set; empty in the files of older runs.
    """

    name: str
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    images: dict[str, NonNegativeInt]
    digest: str = ""

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.std) == self.shape[0] or set(self.images) != set(PARTS):
            raise ValueError(
                f"shape {self.shape}, mean {self.mean}, std {self.std}, images {self.images}; a"
                f" number for each channel and each of {', '.join(PARTS)} is needed"
            )

    @classmethod
    def of(
        cls, data: DataSet, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ) -> DataFacts:
        """Of a data set, with its own moments or others."""
        images = {part: len(getattr(data, part)) for part in PARTS}
        moments = tuple(mean or data.mean), tuple(std or data.std)
        return cls(data.name, data.shape, data.classes, *moments, images, data.digest)

    def save(self, run: Path) -> None:
        """Writes data.json into a run folder."""
        text = json.dumps(asdict(self), indent=2, allow_nan=False, ensure_ascii=False)
        write_atomically(run / DATA_FILE, text + "\n")


def read_data_facts(run: str | Path) -> DataFacts:
    """data.json of a run folder; for a folder from before there was one, measured again on its data
    set. FileNotFoundError where that is not here, ValueError for a damaged file."""
    section, path = read_config(run).data, Path(run) / DATA_FILE
    if not path.is_file():
        data = load_data(**section.arguments())
        return DataFacts.of(data, mean=section.mean, std=section.std)
    return read_record(path, DataFacts, "the data of a run")


def check_data(run: str | Path, data: DataSet) -> None:
    """ValueError where a begun run's data.json is of other data; a damaged one says nothing."""
    if not (Path(run) / DATA_FILE).is_file():
        return
    try:
        there, here = read_data_facts(run), DataFacts.of(data)
    except ValueError:
        return
    for key in ("shape", "classes", "images", "digest"):
        was, now = getattr(there, key), getattr(here, key)
        if was and was != now:
            raise ValueError(
                f"{data.name} has changed since {run} was begun: {key} {was!r} there and {now!r}"
                " here; give the data as they were, another folder, or --force (force=True)"
            )


class Classifier(nn.Module):
    """A network with its normalisation: scores (logits) of images as they are.

    Parameters
    ----------
    model
        Takes normalised images.
    mean, std
        Per channel, of pixels in [0, 1].
    classes
        Names, in the order of the scores.

    Examples
    --------
    >>> import nets
    >>> model = nets.create_model("q2", width=4, in_channels=1).eval()
    >>> classifier = nets.Classifier(model, mean=(0.3,), std=(0.4,))
    >>> images = torch.randint(256, (5, 1, 8, 8), dtype=torch.uint8)
    >>> classifier(images).shape
    torch.Size([5, 10])
    >>> bool(torch.allclose(classifier(images), classifier(images / 255), atol=1e-4))
    True
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        finite = all(map(math.isfinite, (*self.mean, *self.std)))
        if not 0 < len(mean) == len(std) or not finite or min(self.std) <= 0:
            raise ValueError(
                f"mean is {self.mean} and std {self.std}; both need a finite number for each"
                " channel, std > 0"
            )
        self.model = model
        self.classes = tuple(classes)

    def forward(self, images: Tensor | ArrayLike) -> Tensor:
        """Scores (n, classes) of images (n, channels, height, width), bytes or floats in [0, 1]."""
        weight = next(self.model.parameters())
        x = torch.as_tensor(images, device=weight.device)
        if x.ndim != 4 or x.shape[1] != len(self.mean):
            allowed = f"(n, {len(self.mean)}, height, width)"
            raise ValueError(f"images have shape {tuple(x.shape)}; allowed is {allowed}")
        if x.dtype != torch.uint8:
            if not x.is_floating_point():
                raise ValueError(f"images are {x.dtype}; allowed are uint8, or floats in [0, 1]")
            if x.numel() and not (x.min() >= 0 and x.max() <= 1):
                raise ValueError(
                    f"images are floats from {float(x.min()):g} to {float(x.max()):g}; allowed are"
                    " [0, 1], or uint8"
                )
            x = 255 * x
        scores: Tensor = self.model(normalise(x, self.mean, self.std).to(weight.dtype))
        return scores

    @torch.no_grad()
    def predict(self, images: Tensor | ArrayLike) -> Tensor:
        """The class of each image as an index (n,) into `classes`, `BATCH` images at a time."""
        parts = torch.split(torch.as_tensor(images), BATCH)
        return torch.cat([self(part).argmax(1) for part in parts])

    def extra_repr(self) -> str:
        """Moments and classes in one line."""
        return f"mean={self.mean}, std={self.std}, {len(self.classes)} classes"


def load_classifier(run: str | Path, **options: Any) -> Classifier:
    """The network of a run folder with the normalisation it was trained with, on the CPU in eval
    mode: images as they are, scores out. Options and errors are those of `nets.load`.

    On the test part its accuracy is that of the summary; for a run in bf16, whose summary is
    measured in bf16, to rounding.
    """
    model = load(run, **options)
    facts = read_data_facts(run)
    return Classifier(model, mean=facts.mean, std=facts.std, classes=facts.classes).eval()
