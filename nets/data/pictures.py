"""The image files of a path: the file that it is, those beneath a folder, those in an archive."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nets.data.archives import hidden_part, is_archive, members
from nets.data.folders import IMAGES, decode


def pictures(
    path: Path, size: int | tuple[int, int] | None = None
) -> dict[Path, NDArray[np.uint8]]:
    """Every image file of a path, by name, as `decode` reads it; FileNotFoundError, ValueError or
    OSError for what is not there, holds no image or cannot be read."""
    files = image_files(path)
    read = {one: decode(str(one), content(), size)[0] for one, content in contents(path, files)}
    return {one: read[one] for one in files}


def image_files(path: Path) -> list[Path]:
    """The image files of a folder or an archive, by name, hidden ones left out; or the one file."""
    if not path.exists():  # before the others are looked at
        raise FileNotFoundError(f"{path}: No such file or directory")
    if not path.is_dir() and not is_archive(path):
        return [path]
    found = [
        one
        for one in sorted(_below(path) if path.is_dir() else _within(path))
        if one.suffix.lower() in IMAGES and not hidden_part(str(one.relative_to(path)))
    ]
    if not found:
        raise ValueError(f"{path} holds no image; allowed are {', '.join(IMAGES)}")
    return found


def _below(folder: Path) -> Iterator[Path]:
    """All files of a folder; OSError for one in it that cannot be read."""

    def fail(error: OSError) -> None:  # else left out without a word
        raise error

    for place, _, names in os.walk(folder, onerror=fail):
        yield from (Path(place, name) for name in names)


def _within(archive: Path) -> set[Path]:
    """All files of an archive, which is read to its end: a damaged one is refused before anything
    is predicted."""
    names = set[str]()

    def listed(name: str) -> bool:
        names.add(name)
        return False

    list(members(archive, wanted=listed))
    return {archive / name for name in names if not name.endswith("/")}


def contents(path: Path, files: list[Path]) -> Iterator[tuple[Path, Callable[[], bytes]]]:
    """The files, each with what reads it; those of an archive in its order."""
    if files == [path] or path.is_dir():
        yield from ((one, one.read_bytes) for one in files)
        return
    chosen = {one.relative_to(path).as_posix() for one in files}
    for name, content in members(path, wanted=chosen.__contains__):
        yield path / name, partial(bytes, content)
