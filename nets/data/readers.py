"""Readers of published data sets: CIFAR (binary and pickled), IDX and the digits; nothing is run.

Every reader yields uint8 images (N, C, H, W) and int64 labels. The CIFAR pickles go through an
unpickler that knows five names, all of them bound to inert functions of this file, so that a
hostile file can execute nothing.
"""

from __future__ import annotations

import gzip
import io
import math
import pickle
import struct
import zlib
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nets.data.archives import members

DIGITS = "data/digits.csv.gz"  # in scikit-learn
Part = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images (N, C, H, W) and labels (N,)


class Pool(NamedTuple):
    """All parts of a data set in one array: images (N, C, H, W), labels (N,), first and last+1
    index of every part ("train", "validation", "test", or "all" where there is no split), class
    names, in words how many files of which kind were left out, and of a folder the images' names,
    relative to it (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    parts: dict[str, tuple[int, int]]
    classes: tuple[str, ...]
    left_out: str = ""
    names: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        parts: Mapping[str, Part],
        classes: tuple[str, ...],
        left_out: str = "",
        names: tuple[str, ...] = (),
    ) -> Pool:
        """The parts one after another."""
        images, labels = (np.concatenate(arrays) for arrays in zip(*parts.values(), strict=True))
        ends = np.cumsum([len(part[1]) for part in parts.values()]).tolist()
        places = dict(zip(parts, pairwise([0, *ends]), strict=True))
        return cls(images, labels, places, classes, left_out, names)

    def part(self, name: str) -> Part:
        """Images and labels of one part."""
        place = slice(*self.parts[name])
        return self.images[place], self.labels[place]


# CIFAR --------------------------------------------------------------------------------------------


class _Inert:
    """Holds what a pickle says about an array or its dtype: arguments and state."""

    def __init__(self, *given: Any) -> None:
        self.given, self.state = given, ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _array(pickled: Any) -> NDArray[np.uint8]:
    """The array of bytes whose shape, dtype, order and bytes are the state."""
    try:
        _, shape, dtype, fortran, data = pickled.state
        if dtype.given[0] not in ("u1", b"u1") or not isinstance(data, bytes):
            raise ValueError("not bytes of dtype u1")
        return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")
    except (ValueError, TypeError) as error:
        raise ValueError(f"CIFAR batch: array not understood ({error})") from error


def _encode(text: str | bytes, *_: Any) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin1")


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Inert,
    ("numpy._core.multiarray", "_reconstruct"): _Inert,
    ("numpy", "ndarray"): _Inert,
    ("numpy", "dtype"): _Inert,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise ValueError(
                f"refused: the pickle asks for {module}.{name}; only arrays, lists, numbers and"
                " text are allowed"
            ) from None


# what an unpickler meets in bytes that are no pickle
_MALFORMED = (EOFError, AttributeError, LookupError, TypeError, UnicodeError)


def restricted_unpickle(data: bytes) -> Any:
    """The object in a pickle of dicts, lists, numbers, bytes and uint8 arrays; any other name in it
    is refused, and nothing of it runs."""
    try:
        return _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except (pickle.UnpicklingError, struct.error, *_MALFORMED) as error:
        raise ValueError(f"damaged pickle ({error})") from error


def read_cifar(path: Path, *, classes: int) -> Pool:
    """CIFAR of 10 or 100 classes from cifar-10-binary.tar.gz, cifar-10-python.tar.gz or one of
    CIFAR-100's, with its fine labels; images (N, 3, 32, 32), channels red, green, blue.
    """
    try:
        return _cifar(path, classes)
    except (LookupError, TypeError, AttributeError, OverflowError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path.name}: a batch does not hold what CIFAR-{classes} does ({type(error).__name__}:"
            f" {error})"
        ) from error


def _cifar(path: Path, classes: int) -> Pool:
    parts: dict[str, dict[str, Part]] = {"train": {}, "test": {}}
    names: tuple[str, ...] = tuple(map(str, range(classes)))
    fine = b"" if classes == 10 else b"fine_"
    width = 1 if classes == 10 else 2  # label bytes before the 3072 pixels
    for name, content in members(path):
        base = PurePosixPath(name).name
        if base in ("batches.meta", "meta"):
            meta = restricted_unpickle(content)
            names = tuple(name.decode() for name in meta[fine + b"label_names"])
        elif base in ("batches.meta.txt", "fine_label_names.txt"):
            names = tuple(line.strip() for line in content.decode().splitlines() if line.strip())
        elif (split := base.removesuffix(".bin").split("_")[0]) in ("data", "test", "train"):
            part = "test" if split == "test" else "train"
            if base.endswith(".bin"):
                raw = np.frombuffer(content, np.uint8)
                size = width + 3072
                if raw.size == 0 or raw.size % size:
                    raise ValueError(
                        f"{path.name}: {name} holds {raw.size} bytes, not a multiple of {size}"
                    )
                rows = raw.reshape(-1, size)
                pixels, labels = rows[:, width:], rows[:, width - 1].astype(np.int64)
            else:
                batch = restricted_unpickle(content)
                pixels = _array(batch[b"data"])
                labels = np.array(batch[fine + b"labels"], np.int64)
            parts[part][name] = (pixels.reshape(-1, 3, 32, 32), labels)
    if not parts["train"] or not parts["test"]:
        raise ValueError(
            f"{path.name}: not a CIFAR-{classes} archive (no training or no test batch inside)"
        )
    splits = {}
    for part, batches in parts.items():
        images, labels = map(np.concatenate, zip(*(batches[name] for name in sorted(batches))))
        if not 0 <= labels.min() <= labels.max() < classes or len(labels) != len(images):
            raise ValueError(f"{path.name}: labels do not fit CIFAR-{classes}")
        splits[part] = (images, labels)
    return Pool.of(splits, names)


# IDX (MNIST, Fashion-MNIST), and the digits -------------------------------------------------------


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The uint8 array in an IDX file, gzipped or not: big-endian magic 0 0 8 dims, the sizes as
    uint32, then the bytes."""
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name}: damaged gzip file ({error})") from error
    if len(data) < 4 or data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        raise ValueError(f"{path.name}: not an IDX file of unsigned bytes")
    shape = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    body = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if body.size != (least := math.prod(shape)):
        raise ValueError(
            f"{path.name}: {body.size} bytes for the shape {shape}, which takes {least};"
            " truncated, or more than one file"
        )
    return body.reshape(shape)


def read_mnist(paths: list[Path], classes: tuple[str, ...]) -> Pool:
    """Images and labels of both parts, four IDX files, of MNIST or what has its form."""
    arrays = [read_idx(path) for path in paths]
    splits = {}
    for part, images, labels in zip(("train", "test"), arrays[::2], arrays[1::2]):
        shaped = images.ndim == 3 and labels.shape == images.shape[:1]
        if not shaped or labels.max(initial=0) >= len(classes):
            raise ValueError(
                f"{paths[0].name}: images {images.shape} and labels {labels.shape} do not belong"
                " together"
            )
        splits[part] = (images[:, None], labels.astype(np.int64))
    return Pool.of(splits, classes)


def read_digits(_: list[Path]) -> Pool:
    """scikit-learn's 1,797 handwritten digits, 8x8, values 0 to 16 [Alpaydin, Kaynak 1998]."""
    spec = find_spec("sklearn")
    file = Path((spec and spec.origin) or "sklearn").with_name("datasets") / DIGITS
    if file.is_file():  # what `load_digits` reads; its import takes longer than a short run
        table = np.loadtxt(file, delimiter=",")
        pixels, labels = table[:, :-1], table[:, -1]
    else:
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    return Pool.of({"all": (images, labels.astype(np.int64))}, tuple("0123456789"))
