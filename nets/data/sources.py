"""Data sets by name: found or downloaded, verified, decoded once, cached, memory-mapped as uint8,
and split by seed.

A source is one entry of `SOURCES`: files with their published MD5, a reader, and the augmentation
natural to it. The test part is the source's own, or where it has none a fixed stratified part (a
fifth, or `test`) of its images; the validation part is the source's own or cut out of what is left
by `split_seed` alone, stratified, so that both are the same for every run, model and rank.
Selection looks at validation only.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import NoneType

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import check_kind, check_shape, check_whole
from mgtheory.multigrid.solution import counted
from nets.data.archives import is_archive
from nets.data.cache import cache_folder, cached, folder_mark
from nets.data.folders import read_folder
from nets.data.readers import Pool, read_cifar, read_digits, read_mnist
from nets.data.splits import check_fraction, cut, moments

TEST_FRACTION = 0.2  # of a source that has no test part of its own, where no other is asked for
TEST_SEED = 2025  # fixed: the test part of such a source never moves with the run's seeds


@dataclass(frozen=True)
class Source:
    """One data set as data.

    Attributes
    ----------
    read
        Turns the paths of its files into arrays.
    url
        The folder of the published files, with a slash at its end.
    choices
        Alternative sets of files, each {name: MD5} in the order that `read` takes them; the first
        is downloaded. None: the data need no files.
    flip, crop, rotate, scale
        The augmentation natural to it, see `nets.settings.AugmentSection`.
    about
        One line.
    """

    name: str
    read: Callable[[list[Path]], Pool]
    url: str = ""
    choices: tuple[Mapping[str, str], ...] = ()
    flip: str = "none"
    crop: int = 0
    rotate: float = 0.0
    scale: float = 0.0
    about: str = ""


@dataclass(frozen=True)
class DataSet:
    """All images of a data set with its split.

    Attributes
    ----------
    images, labels
        uint8 (N, C, H, W), possibly memory-mapped, and int64 (N,).
    train, validation, test
        Indices into them; disjoint.
    mean, std
        Per channel, of pixels scaled to [0, 1], measured on the training part.
    left_out
        How many files of an image folder were not read, by kind, in words; empty if none.
    drawn
        The parts that the source does not have and that were drawn from its images.
    names
        Of the images of a folder, relative to it (N,); of other data there are none.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: Source
    left_out: str = ""
    drawn: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Of the bytes of all images and labels, in hexadecimal digits."""
        found = hashlib.blake2b(np.ascontiguousarray(self.images).data, digest_size=16)
        found.update(np.ascontiguousarray(self.labels).data)
        return found.hexdigest()

    def __repr__(self) -> str:
        """In a line: the images of a folder have as many names."""
        return f"DataSet({self.name}: {self.about()})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        return self.images.shape[1], self.images.shape[2], self.images.shape[3]

    def normalisation(
        self, mean: Sequence[float] | None, std: Sequence[float] | None
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(mean, std) per channel: what is given, else its own; ValueError for another number of
        channels."""
        found = tuple(mean or self.mean), tuple(std or self.std)
        if not len(found[0]) == len(found[1]) == self.shape[0]:
            raise ValueError(
                f"data.mean and data.std have {len(found[0])} and {len(found[1])} entries;"
                f" {self.name} has {counted(self.shape[0], 'channel')}"
            )
        return found

    def unseen(self) -> list[str]:
        """A line for each part to measure by that has images, but none of some class."""
        found = []
        for part in ("validation", "test"):
            there = np.unique(self.labels[getattr(self, part)])
            names = [name for i, name in enumerate(self.classes) if i not in there]
            if len(there) and names:
                shown = ", ".join(names[:6]) + ", ..." * (len(names) > 6)
                found.append(
                    f"the {part} part has no image of {shown}: its accuracy says nothing of that"
                )
        return found

    def about(self) -> str:
        """One line: the images, their channels and classes, and the split, with the keys that set
        what of it was drawn."""
        channels, height, width = self.shape
        kind = {1: "grey", 3: "colour"}.get(channels, "image")
        count, names = len(self.classes), ", ".join(self.classes[:6])
        names += ", ..." if count > 6 else ""
        parts = [f"{len(getattr(self, part)):,} {part}" for part in ("train", "validation", "test")]
        keys = " and ".join(f"data.{part}" for part in self.drawn)
        drawn = f" ({' and '.join(self.drawn)} drawn from the rest: {keys})" if keys else ""
        return (
            f"{len(self.images):,} images {height} x {width} of {channels} {kind}"
            f" channel{'s' * (channels > 1)}, {count} classes ({names}); {', '.join(parts)}{drawn}"
        )


CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def _mnist(
    name: str, url: str, classes: tuple[str, ...], *md5: str, about: str, flip: str = "none"
) -> Source:
    """MNIST or what has its form: four IDX files with their MD5."""
    kinds = ("images-idx3", "labels-idx1")
    files = (f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in kinds)
    choice = dict(zip(files, md5, strict=True))
    read = partial(read_mnist, classes=classes)
    return Source(name, read, url, (choice,), flip=flip, crop=2, about=about)


def _cifar(classes: int, binary: str, python: str) -> Source:
    """CIFAR of 10 or 100 classes, from the archive of either form with its MD5."""
    forms = {"binary": binary, "python": python}
    return Source(
        f"cifar{classes}",
        lambda paths: read_cifar(paths[0], classes=classes),
        "https://www.cs.toronto.edu/~kriz/",
        tuple({f"cifar-{classes}-{form}.tar.gz": md5} for form, md5 in forms.items()),
        flip="random",
        crop=4,
        about=f"60,000 colour images, 32x32, {classes} classes [Krizhevsky 2009]",
    )


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            "digits",
            read_digits,
            crop=1,
            rotate=8.0,
            scale=0.08,
            about="1,797 handwritten digits, 8x8, bundled with scikit-learn",
        ),
        _cifar(10, "c32a1d4ab5d03f1284b67883e8d87530", "c58f30108f718f92721af3b95e74349a"),
        _cifar(100, "03b5dce01913d631647c71ecec9e9cb8", "eb9058c3a382ffc7106e4002c42a8d85"),
        _mnist(
            "mnist",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            tuple("0123456789"),
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
            about="70,000 handwritten digits, 28x28 [LeCun et al. 1998]",
        ),
        _mnist(
            "fashion_mnist",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            CLOTHES,
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
            flip="random",
            about="70,000 grey images of clothes, 28x28 [Xiao, Rasul, Vollgraf 2017]",
        ),
        Source(
            "tiny_imagenet",
            lambda paths: read_folder(paths[0]),
            "http://cs231n.stanford.edu/",
            ({"tiny-imagenet-200.zip": "90528d7ca1a48142e341f4ef8d21d0de"},),
            flip="random",
            crop=8,
            about="110,000 labelled colour images, 64x64, 200 classes",
        ),
    )
}


def find_source(name: str) -> Source:
    """The entry of a name, or one made for `folder:PATH`; an unknown name lists the known ones."""
    check_kind(name, str, "the data set's name", f"text: {', '.join(SOURCES)} or folder:PATH")
    if name.startswith("folder:"):
        about = "images in class folders"
        return Source(name, lambda paths: read_folder(paths[0]), flip="random", about=about)
    if name not in SOURCES:
        if os.path.exists(name):  # of any text
            raise ValueError(f"data set {name!r} is a path: write folder:{name}")
        raise ValueError(
            f"unknown data set {name!r}; known are {', '.join(SOURCES)} and folder:PATH (a"
            " directory, .tar, .tar.gz, .tar.xz or .zip)"
        )
    return SOURCES[name]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _located(source: Source, root: Path, *, download: bool) -> list[Path]:
    """The verified files of a source: of the first complete choice in `root`/name or `root`, else
    downloaded to `root`/name.

    Data sets may share the names of their files, so that a file in `root` with another's MD5 is
    passed by.
    """
    own, damaged = root / source.name, ""
    choices = [files for other in SOURCES.values() for files in other.choices]
    others = {md5 for files in choices for md5 in files.values()}
    for files in source.choices:
        for folder in (own, root):
            paths = [folder / name for name in files]
            if not all(path.is_file() for path in paths):
                continue
            found = {path: _md5(path) for path in paths}
            wrong = next((path for path in paths if found[path] != files[path.name]), None)
            if wrong is None:
                return paths
            if folder == own or found[wrong] not in others:
                damaged = damaged or (
                    f"{wrong}: MD5 is {found[wrong]}, published is {files[wrong.name]};"
                    " the file is damaged or another one, delete it"
                )
    if damaged:  # not replaced in silence: it may be what its owner has
        raise ValueError(damaged)
    sets = " or ".join(" and ".join(files) for files in source.choices)
    advice = f"put {sets} (from {source.url}) into {own} or {root}"
    if not download:
        raise FileNotFoundError(f"{source.name}: not found, and data.download is off; {advice}")
    import pooch  # which nobody needs who has the files

    registry = {name: f"md5:{md5}" for name, md5 in source.choices[0].items()}
    fetcher = pooch.create(path=own, base_url=source.url, registry=registry)
    try:
        return [Path(fetcher.fetch(name, progressbar=False)) for name in registry]
    except ValueError as error:
        raise ValueError(
            f"{source.name}: what arrived does not have the published MD5 ({error}); try again, or"
            f" {advice}"
        ) from error
    except (OSError, ImportError) as error:  # requests' errors are OSErrors
        raise FileNotFoundError(
            f"{source.name}: could not be downloaded ({type(error).__name__}); without a network,"
            f" {advice}"
        ) from error


def load_data(
    name: str,
    *,
    root: Path | str | None = None,
    validation: float = 0.1,
    test: float | None = None,
    split_seed: int = 0,
    size: int | tuple[int, int] | None = None,
    download: bool = True,
) -> DataSet:
    """The data set of a name, with its train / validation / test indices.

    Parameters
    ----------
    name
        A key of `SOURCES`, or `folder:PATH` for images in class folders, a directory or an archive.
    root
        Where the published files lie or are downloaded to; default `cache_folder()`.
    validation, split_seed
        The fraction of the training part set aside where the source has no validation part, and the
        seed that chooses it.
    test
        The fraction of all images set aside to test on where the source has no test part, a fifth
        if not given; which images they are depends on neither seed. Of a folder with train/ and
        val/ alone, val/ is the test part.
    size
        For image folders: what all images are scaled and cropped to, a side or (height, width).
    download
        Whether a missing file may be fetched.

    Raises
    ------
    ValueError
        Unknown name, another argument that is not allowed, wrong MD5, damaged or unsafe archive.
    FileNotFoundError
        Files missing and no network: the message names them and their place.
    """
    source = find_source(name)
    check_fraction(validation, "validation")
    check_fraction(0 if test is None else test, "test")
    check_whole(split_seed, "split_seed", 0)  # None would draw another validation part every time
    check_kind(root, (str, os.PathLike, NoneType), "root", "a folder or None, the user's cache")
    check_kind(download, bool, "download", "true or false")
    if name.startswith("folder:"):
        if not name.removeprefix("folder:").strip():
            raise ValueError("folder: has no path behind it; write folder:PATH")
        path = _expanded(name.removeprefix("folder:"))
        if not path.is_dir() and not (path.is_file() and is_archive(path)):
            raise FileNotFoundError(
                f"{path}: no directory or archive (.tar, .tar.gz, .tar.xz, .zip) there"
            )
        if size is not None:
            height, width = check_shape(size, "size", 2)
            size = height, width
        # earlier versions filed folders without their names under "folder-"
        sides = "asis" if size is None else "x".join(map(str, dict.fromkeys(size)))
        key = f"images-{folder_mark(path)}-{sides}"
        pool = cached(key, lambda: read_folder(path, size=size))
    elif size is not None:
        raise ValueError(
            f"data.size is {size!r}, which is for folder:PATH; {name} has a size of its own, and"
            " data.size must be null"
        )
    elif not source.choices:
        pool = source.read([])
    else:
        paths = _located(source, _expanded(root) if root else cache_folder(), download=download)
        mark = hashlib.md5("".join(map(_md5, paths)).encode()).hexdigest()[:12]
        pool = cached(f"{name}-{mark}", lambda: source.read(paths))
    return _assemble(name, source, pool, validation, test, split_seed)


def _expanded(path: Path | str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise FileNotFoundError(f"{path}: {error}") from error


def _assemble(
    name: str,
    source: Source,
    pool: Pool,
    validation: float,
    tested: float | None,
    split_seed: int,
) -> DataSet:
    """The pool with indices; see the module's text for how missing parts are drawn."""
    index = {part: np.arange(start, stop) for part, (start, stop) in pool.parts.items()}
    if "test" not in index and "validation" in index and "train" in index:
        # ImageNet's convention: results are reported on the published validation part
        index["test"] = index.pop("validation")
    rest = index.get("train", index.get("all"))
    if rest is None:
        raise ValueError(f"{name}: there is no training part; found {', '.join(index)}")
    test = index.get("test")
    if test is None:
        fraction = TEST_FRACTION if tested is None else tested
        rest, test = cut(rest, pool.labels, fraction, TEST_SEED)
    elif tested is not None:
        raise ValueError(
            f"data.test is {tested:g}; {name} has a test part of its own, leave data.test out"
        )
    train, held = rest, index.get("validation")
    if held is None:
        train, held = cut(rest, pool.labels, validation, split_seed)
    drawn = tuple(part for part in ("validation", "test") if part not in index)
    parts = pool.images, pool.labels, train, held, test, pool.classes
    mean, std = moments(pool.images, train)
    return DataSet(name, *parts, mean, std, source, pool.left_out, drawn, pool.names)
