"""Prediction: a trained network together with the normalisation of its data, so that images go in
as they are: files, pictures of Pillow, arrays in either order of axes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from pydantic import NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from mgtheory._checks import check_kind, check_shape, check_unmasked
from mgtheory._files import write_atomically
from nets.data.augment import normalise
from nets.data.folders import pixels
from nets.data.pictures import pictures
from nets.data.sources import DataSet, load_data
from nets.models.base import evaluating
from nets.models.pretrained import find_shipped
from nets.training.folder import load, read_config
from nets.training.records import STRICT, read_record

DATA_FILE = "data.json"
PARTS = ("train", "validation", "test")
BATCH = 1000  # images at a time
MISTAKES = 20  # shown of the images that are classified wrongly
TOP = 5  # of the highest scores
LUMINANCE = 19595, 38470, 7471  # of red, green and blue, in parts of 65,536, as Pillow has them


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
        moments = data.normalisation(mean, std)
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
    """ValueError where a run's data.json is of other data; a damaged one says nothing."""
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
                f"{data.name} is not what {run} was begun with: {key} {was!r} there and {now!r}"
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
    size
        (height, width), or one side of both, that files and pictures are scaled and cut to; None
        takes them as they are.

    Examples
    --------
    >>> import nets
    >>> model = nets.create_model("q2", width=4, in_channels=1)
    >>> classifier = nets.Classifier(model, mean=(0.3,), std=(0.4,)).eval()
    >>> images = torch.randint(256, (5, 1, 8, 8), dtype=torch.uint8)
    >>> classifier(images).shape
    torch.Size([5, 10])
    >>> bool(torch.allclose(classifier(images), classifier(images / 255), atol=1e-4))
    True
    >>> classifier.predict(images.permute(0, 2, 3, 1).numpy()).shape    # channels last
    torch.Size([5])
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        mean: ArrayLike,
        std: ArrayLike,
        classes: Sequence[str] = (),
        size: int | tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        check_kind(model, nn.Module, "model", "a network, as create_model makes one")
        self.mean, self.std = (tuple(map(float, np.ravel(given))) for given in (mean, std))
        finite = all(map(math.isfinite, (*self.mean, *self.std)))
        if not 0 < len(self.mean) == len(self.std) or not finite or min(self.std) <= 0:
            raise ValueError(
                f"mean is {self.mean} and std {self.std}; both need a finite number for each"
                " channel, std > 0"
            )
        self.model = model
        if size is not None:
            height, width = check_shape(size, "size", 2)
            size = height, width
        self.classes, self.size = tuple(classes), size

    def forward(self, images: Tensor | ArrayLike) -> Tensor:
        """Scores (n, classes) of images (n, channels, height, width), bytes or floats in [0, 1]."""
        weight = next(self.model.parameters(), torch.empty(0))
        x = _tensor(images).to(weight.device)
        if x.ndim != 4 or x.shape[1] != len(self.mean):
            allowed = f"(n, {len(self.mean)}, height, width)"
            raise ValueError(f"images have shape {tuple(x.shape)}; allowed is {allowed}")
        if x.dtype != torch.uint8:
            if x.numel() and not (x.min() >= 0 and x.max() <= 1):
                raise ValueError(
                    f"images are floats from {float(x.min()):g} to {float(x.max()):g}; allowed are"
                    " [0, 1], or uint8"
                )
            x = 255 * x
        scores: Tensor = self.model(normalise(x, self.mean, self.std).to(weight.dtype))
        return scores

    def predict(self, images: Any) -> Tensor:
        """The class of each image as an index (n,) into `classes`; see `probabilities`."""
        return self._scores(images).argmax(1)

    def probabilities(self, images: Any) -> Tensor:
        """Softmax of the scores (n, classes) in eval mode, `BATCH` images at a time.

        Parameters
        ----------
        images
            A path, a picture of Pillow, an array or tensor of one image, (channels, height, width)
            or (height, width, channels), where it is grey (height, width) too, or a list of these;
            or a batch (n, channels, height, width) or (n, height, width, channels). Bytes, or
            floats in [0, 1]. The path of a folder, or of an archive, is that of all image files in
            it, by name. Files and pictures are brought to `size`, and all to the channels of the
            network: grey ones are repeated, three colours become their luminance. Where a shape
            can be read in two ways, it is that of the network's channels, and channels first.

        Raises
        ------
        ValueError, FileNotFoundError
            Another shape or type, a file that is no image, a folder without any.
        """
        return self._scores(images).softmax(1)

    @torch.no_grad()
    def _scores(self, images: Any) -> Tensor:
        with evaluating(self):  # whatever mode the network is in, as after create_model
            return torch.cat([self(part) for part in torch.split(self.batch(images), BATCH)])

    def batch(self, images: Any) -> Tensor:
        """What `probabilities` takes, as one batch (n, channels, height, width)."""
        channels = len(self.mean)
        if isinstance(images, str) and not images:
            raise ValueError("images is '', must be the path of a file, folder or archive")
        if isinstance(images, str | Path):
            read = pictures(Path(images).expanduser(), self.size)
            images = [Image.fromarray(one) for one in read.values()]
        if isinstance(images, Image.Image):
            picture = _tensor(np.atleast_3d(pixels(images, self.size)))
            return _with_channels(picture.permute(2, 0, 1)[None].contiguous(), channels)
        several = isinstance(images, list | tuple) and images
        if several and not isinstance(images[0], list | tuple | int | float):
            parts = [self.batch(one) for one in images]
            if len({(one.dtype, one.shape[1:]) for one in parts}) > 1:
                kinds = list(dict.fromkeys(f"{tuple(x.shape[1:])} {x.dtype}" for x in parts))
                more = f" and {len(kinds) - 2} more" if len(kinds) > 2 else ""
                raise ValueError(
                    f"images differ: {', '.join(kinds[:2])}{more}; give one kind, or of files and"
                    " pictures a classifier with a size"
                )
            return torch.cat(parts)
        x = _tensor(images)
        if x.ndim == 2:
            return _with_channels(x[None, None], channels)
        if x.ndim == 3:
            x = x[None]
        known = (1, 3) if channels == 1 else (channels, 1)
        for count, axis in product(known, (1, 3)) if x.ndim == 4 else ():
            if x.shape[axis] == count:
                return _with_channels(x.movedim(axis, 1), channels)
        allowed = " or ".join(map(str, known))
        raise ValueError(
            f"images have shape {tuple(np.shape(images))}; allowed are (n, {allowed}, height,"
            f" width), (n, height, width, {allowed}), one of these images, a path, a picture, or a"
            " list"
        )

    def extra_repr(self) -> str:
        """Moments and classes in one line."""
        return f"mean={self.mean}, std={self.std}, {len(self.classes)} classes"


@dataclass(frozen=True)
class Mistake:
    """An image that is classified wrongly.

    Attributes
    ----------
    index
        Of the image in the data set's `images`.
    name
        Of its file, relative to the folder; None for other data.
    truth, answer
        Its class, and what it is taken for.
    probability
        Softmax of the answer's score.
    """

    index: int
    name: str | None
    truth: str
    answer: str
    probability: float

    @property
    def image(self) -> str:
        """Its name, or its index."""
        return str(self.index) if self.name is None else self.name


@dataclass(frozen=True)
class Evaluation:
    """What a network makes of labelled images.

    Attributes
    ----------
    images, right
        How many there are, and how many of them are classified right.
    loss
        Mean cross-entropy.
    top5
        Number of images whose class is among the five highest scores.
    confusion
        Class -> what its images are taken for -> how many of them; both in the network's order,
        without zeros.
    mistakes
        At most `MISTAKES` of the wrong ones, the most probable answer first.
    """

    images: int
    right: int
    loss: float
    top5: int
    confusion: dict[str, dict[str, int]]
    mistakes: tuple[Mistake, ...]

    @property
    def accuracy(self) -> float:
        """right / images."""
        return self.right / self.images

    @property
    def top5_accuracy(self) -> float:
        """top5 / images."""
        return self.top5 / self.images

    @property
    def classes(self) -> dict[str, tuple[int, int]]:
        """Class -> (right, images) of those that have images."""
        rows = self.confusion.items()
        return {name: (row.get(name, 0), sum(row.values())) for name, row in rows}

    def about_mistakes(self) -> str:
        """How many images are classified wrongly, and which of them are in `mistakes`, in words."""
        wrong, shown = self.images - self.right, len(self.mistakes)
        said = (
            f"{wrong:,} of {self.images:,} images {'is' if wrong == 1 else 'are'} taken for another"
        )
        return f"{said} class" + (f"; the {shown} surest answers" if wrong > shown else "")


def evaluate(classifier: Classifier, data: DataSet, part: str = "test") -> Evaluation:
    """A classifier in eval mode on a part of a data set: ``train``, ``validation``, ``test`` or
    ``all``.

    The classes are told by their names: the data may have fewer of them, or in another order.
    Images are brought to the channels of the network as `Classifier.probabilities` does.

    Raises
    ------
    ValueError
        Unknown part or one without images, a class that the network does not know, other channels.
    """
    if part not in (*PARTS, "all"):
        raise ValueError(f"part is {part!r}; allowed are {', '.join(PARTS)}, all")
    chosen = np.arange(len(data.images)) if part == "all" else getattr(data, part)
    known, channels = list(classifier.classes), len(classifier.mean)
    if strange := [name for name in data.classes if name not in known]:
        raise ValueError(
            f"{data.name} has the class {strange[0]!r}; the network knows {', '.join(known)}"
        )
    if data.shape[0] not in (1, channels) and (data.shape[0], channels) != (3, 1):
        raise ValueError(
            f"{data.name} has images of {data.shape[0]} channels; the network takes {channels}"
        )
    if not len(chosen):
        raise ValueError(f"{data.name} has no {part} images; take another part, or all")
    labels = np.array([known.index(name) for name in data.classes])[data.labels[chosen]]
    loss, top5 = 0.0, 0
    taken, sure = list[NDArray[np.int64]](), list[NDArray[np.float64]]()
    for part_of in np.array_split(np.arange(len(chosen)), -(-len(chosen) // BATCH)):
        images = _with_channels(_tensor(data.images[chosen[part_of]]), channels)
        scores = classifier._scores(images).cpu()
        truth = torch.from_numpy(labels[part_of])
        loss += float(F.cross_entropy(scores.double(), truth, reduction="sum"))
        best = scores.argsort(stable=True, descending=True)[:, :TOP]
        top5 += int((best == truth[:, None]).sum())
        taken.append(best[:, 0].numpy())
        sure.append(scores.double().softmax(1).amax(1).numpy())
    answers, probabilities = np.concatenate(taken), np.concatenate(sure)
    counts = np.zeros((len(known), len(known)), np.int64)
    np.add.at(counts, (labels, answers), 1)
    confusion = {
        name: {known[k]: int(row[k]) for k in np.flatnonzero(row)}
        for name, row in zip(known, counts)
        if row.any()
    }
    wrong = np.flatnonzero(answers != labels)
    mistakes = tuple(
        Mistake(
            int(chosen[k]),
            data.names[chosen[k]] if data.names else None,
            known[labels[k]],
            known[answers[k]],
            float(probabilities[k]),
        )
        for k in wrong[np.argsort(-probabilities[wrong], kind="stable")[:MISTAKES]]
    )
    right = int(counts.trace())
    return Evaluation(len(chosen), right, loss / len(chosen), top5, confusion, mistakes)


def _tensor(images: Any) -> Tensor:
    """A tensor as it is; an array that cannot be written to, as Pillow's, or that torch cannot
    share, as one turned back to front, is copied. ValueError for other types than `Classifier`'s.
    """
    if isinstance(images, Tensor):
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise ValueError(f"images are {images.dtype}; allowed are uint8, or floats in [0, 1]")
        return images
    check_unmasked(images, "images")
    array = np.asarray(images)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"images are {images!r:.60}, must be numbers, a path or a picture")
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise ValueError(f"images are {array.dtype}; allowed are uint8, or floats in [0, 1]")
    shared = array.flags.writeable and min(array.strides, default=0) >= 0
    kind = array.dtype.newbyteorder("=") if array.itemsize <= 8 else np.float64
    return torch.from_numpy(array if shared and array.dtype == kind else array.astype(kind, "C"))


def _with_channels(x: Tensor, channels: int) -> Tensor:
    """(n, 1, H, W), (n, 3, H, W) or (n, channels, H, W) with the channels of a network: grey
    repeated, colour as its luminance [ITU-R BT.601], of bytes rounded as Pillow does."""
    if x.shape[1] == 1:
        return x.expand(-1, channels, -1, -1)
    if channels > 1:
        return x
    real = x.to(torch.promote_types(x.dtype, torch.float32))  # exact for bytes
    parts = real.new_tensor(LUMINANCE)[:, None, None] / 2**16
    luminance = (real * parts).sum(1, keepdim=True)
    return luminance if x.is_floating_point() else (luminance + 0.5).floor().to(x.dtype)


def load_classifier(run: str | Path, **options: Any) -> Classifier:
    """The network of a run folder with the normalisation it was trained with, on the CPU in eval
    mode: images as they are, scores out. What is given, options and errors are those of
    `nets.load`.

    On the test part its accuracy is that of the summary; for a run in bf16, whose summary is
    measured in bf16, to rounding.

    Examples
    --------
    >>> load_classifier("q2-digits").predict(np.zeros((8, 8), np.uint8)).shape
    torch.Size([1])
    """
    model = load(run, **options)
    if shipped := find_shipped(run):
        card = shipped.card
        moments = {name: card[name] for name in ("mean", "std", "classes", "size")}
        return Classifier(model, **moments).eval()
    facts = read_data_facts(run)
    moments = {"mean": facts.mean, "std": facts.std}
    return Classifier(model, **moments, classes=facts.classes, size=facts.shape[1:]).eval()
