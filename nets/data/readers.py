"""Readers of image files: CIFAR (binary and pickled), IDX, image folders as directory, tar or zip;
nothing is run.

Every reader yields uint8 images (N, C, H, W) and int64 labels. The CIFAR pickles go through an
unpickler that knows five names, all of them bound to inert functions of this file, so that a
hostile file can execute nothing.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import zlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from nets.data.archives import members

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".pgm", ".ppm", ".tif", ".tiff", ".gif")
_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_SPLITS |= dict.fromkeys(("val", "valid", "validation"), "validation")


Part = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images (N, C, H, W) and labels (N,)


class Pool(NamedTuple):
    """All parts of a data set in one array: images (N, C, H, W), labels (N,), first and last+1
    index of every part ("train", "validation", "test", or "all" where there is no split), class
    names."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    parts: dict[str, tuple[int, int]]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, parts: Mapping[str, Part], classes: tuple[str, ...]) -> Pool:
        """The parts one after another."""
        images, labels = (np.concatenate(arrays) for arrays in zip(*parts.values(), strict=True))
        ends = np.cumsum([len(part[1]) for part in parts.values()]).tolist()
        places = dict(zip(parts, pairwise([0, *ends]), strict=True))
        return cls(images, labels, places, classes)

    def part(self, name: str) -> Part:
        """Images and labels of one part."""
        place = slice(*self.parts[name])
        return self.images[place], self.labels[place]


# CIFAR --------------------------------------------------------------------------------------------


class _InertArray:
    """Holds what a pickled ndarray says about itself: shape, dtype, order and bytes."""

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def array(self) -> NDArray[np.uint8]:
        try:
            _, shape, dtype, fortran, data = self.state
            code = dtype.code if isinstance(dtype, _InertDtype) else None
            if code not in ("u1", b"u1") or not isinstance(data, bytes):
                raise ValueError("not bytes of dtype u1")
            return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")
        except (ValueError, TypeError) as error:
            raise ValueError(f"CIFAR batch: array not understood ({error})") from error


class _InertDtype:
    """Holds the code of a pickled dtype."""

    def __init__(self, code: str | bytes = "", *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state


def _encode(text: str | bytes, *_: Any) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin1")


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _InertArray,
    ("numpy._core.multiarray", "_reconstruct"): _InertArray,
    ("numpy", "ndarray"): _InertArray,
    ("numpy", "dtype"): _InertDtype,
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
    except (KeyError, TypeError, AttributeError, OverflowError, UnicodeDecodeError) as error:
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
                pixels = batch[b"data"].array()
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


# IDX (MNIST, Fashion-MNIST) -----------------------------------------------------------------------


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
    if body.size != int(np.prod(shape)):
        raise ValueError(f"{path.name}: truncated, {body.size} bytes for the shape {shape}")
    return body.reshape(shape)


# Image folders ------------------------------------------------------------------------------------


def _place(name: str) -> tuple[str, str] | None:
    """(part, class) of an image path such as data/train/cat/7.png, train/n01/images/7.JPEG or
    cat/7.png; None where it has no class."""
    parts = PurePosixPath(name).parts[:-1]
    for i, part in enumerate(parts):
        if part.lower() in _SPLITS:
            return (_SPLITS[part.lower()], parts[i + 1]) if i + 1 < len(parts) else None
    return ("all", parts[-1]) if parts else None


def _decode(name: str, data: bytes, size: int | None) -> NDArray[np.uint8]:
    """The image as (H, W) or (H, W, 3) bytes; with `size`, scaled and cut to a square."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode in ("I;16", "I", "F"):
                raise ValueError(f"{name}: {image.mode} pixels; only 8-bit images are allowed")
            picture = image.convert("L" if image.mode in ("1", "L") else "RGB")
    except UnidentifiedImageError as error:
        raise ValueError(f"{name}: not a readable image (of no kind that Pillow knows)") from error
    except (Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise ValueError(f"{name}: not a readable image ({error})") from error
    if size is not None and picture.size != (size, size):
        scale = size / min(picture.size)
        w, h = (max(size, round(s * scale)) for s in picture.size)
        left, top = (w - size) // 2, (h - size) // 2
        picture = picture.resize((w, h), Image.Resampling.BICUBIC)
        picture = picture.crop((left, top, left + size, top + size))
    return np.asarray(picture)


def read_folder(path: Path, *, size: int | None = None) -> Pool:
    """Images sorted into folders by class, `[top/][train|val|test/]class/.../image`, from a
    directory, tar or zip.

    Tiny-ImageNet's val/val_annotations.txt is understood; its unlabelled test part, in a folder
    "images", is left out. Classes are sorted by name, images of a part by path, whatever their
    order in the archive. Grey images stay one channel unless a colour image is among them.
    ValueError where there is no image, one outside of the class folders, several sizes without
    `size`, a class that the training part does not have, or an unreadable image.
    """
    pictures: dict[str, NDArray[np.uint8]] = {}
    notes: dict[str, str] | None = None

    def wanted(name: str) -> bool:
        return name.lower().endswith(IMAGES) or PurePosixPath(name).name == "val_annotations.txt"

    for name, content in members(path, wanted=wanted):
        base = PurePosixPath(name).name
        if base == "val_annotations.txt":
            lines = content.decode(errors="replace").splitlines()
            notes = dict(line.split("\t")[:2] for line in lines if "\t" in line)
        else:
            pictures[name] = _decode(name, content, size)
    expected = f"expected [train|val|test/]class/image with {', '.join(IMAGES)}"
    found: list[tuple[str, str, str, NDArray[np.uint8]]] = []
    for name, picture in pictures.items():
        base, place = PurePosixPath(name).name, _place(name)
        unsorted = place is None or place == ("validation", "images")
        if notes is not None and unsorted and base in notes:
            found.append((name, "validation", notes[base], picture))
        elif notes is not None and place == ("test", "images"):
            continue
        elif place is None or (notes is not None and unsorted):
            raise ValueError(f"{path}: {name} lies in no class folder; {expected}")
        else:
            found.append((name, *place, picture))
    if not found:
        raise ValueError(f"{path}: no images in class folders found; {expected}")
    outside = next((name for name, part, _, _ in found if part == "all"), None)
    if outside is not None and any(part != "all" for _, part, _, _ in found):
        raise ValueError(
            f"{path}: {outside} lies outside of the parts (train, val, test) that others lie in;"
            f" {expected}"
        )
    shapes = sorted({entry[3].shape[:2] for entry in found})
    if len(shapes) > 1:
        shown = ", ".join([f"{h}x{w}" for h, w in shapes[:4]] + ["..."] * (len(shapes) > 4))
        raise ValueError(
            f"{path}: images of {len(shapes)} sizes ({shown}); give data.size to bring them to one"
        )
    classes = tuple(sorted({label for _, part, label, _ in found if part in ("train", "all")}))
    index = {label: i for i, label in enumerate(classes)}
    colour = any(entry[3].ndim == 3 for entry in found)
    splits = {}
    for part in sorted({entry[1] for entry in found}):
        chosen = sorted((entry for entry in found if entry[1] == part), key=lambda entry: entry[0])
        unknown = sorted({label for _, _, label, _ in chosen} - set(classes))
        if unknown:
            raise ValueError(
                f"{path}: class {unknown[0]!r} of the {part} part is not in the training part;"
                f" known are {', '.join(classes)}"
            )
        images = np.empty((len(chosen), 3 if colour else 1, *shapes[0]), np.uint8)
        for i, (_, _, _, picture) in enumerate(chosen):
            images[i] = picture.transpose(2, 0, 1) if picture.ndim == 3 else picture[None]
        splits[part] = (images, np.array([index[label] for _, _, label, _ in chosen], np.int64))
    return Pool.of(splits, classes)
