"""The files of a directory, a tar or a zip, one after another in memory; nothing is unpacked.

Archives are read to their very end, so that a truncated one is refused; so is a member whose name leaves the archive's folder, a link or a
device. Of directories links are followed.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

__all__ = ["files_under", "is_archive", "members"]

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".zip")


def is_archive(path: Path) -> bool:
    """Whether the name ends like an archive that `members` reads."""
    return path.name.lower().endswith(ARCHIVES)


def files_under(path: Path, *, above: tuple[Path, ...] = ()) -> list[Path]:
    """All regular files below a directory, sorted; links to directories are followed, but for one to a directory `above` it."""
    place = path.resolve()
    if place in above:
        return []
    below = [files_under(entry, above=(*above, place)) if entry.is_dir() else [entry] * entry.is_file() for entry in path.iterdir()]
    return sorted(file for files in below for file in files)


def members(path: Path, *, wanted: Callable[[str], bool] = lambda name: True) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every wanted regular file under a directory or in a tar or zip archive, names relative with forward slashes.

    Raises
    ------
    ValueError
        A member that lies outside the folder, is a link or a device, or an archive that is damaged.
    FileNotFoundError
        No such directory or file.
    """
    if path.is_dir():
        for file in files_under(path):
            name = file.relative_to(path).as_posix()
            if wanted(name):
                yield name, file.read_bytes()
        return
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such folder or archive")
    try:
        yield from _zipped(path, wanted) if path.name.lower().endswith(".zip") else _tarred(path, wanted)
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{path.name}: damaged archive ({error})") from error
    except (RuntimeError, NotImplementedError) as error:  # zip: encrypted, or packed by an unknown method
        raise ValueError(f"{path.name}: archive not readable ({error})") from error


def _zipped(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = _inside(path, info.filename)
            if not info.is_dir() and wanted(name):
                yield name, archive.read(info)


class _Watched:
    """A stream of bytes on its way to `tarfile`: how many have passed, and where the last one that is not 0 ended."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.passed, self.end = stream, 0, 0

    def read(self, size: int) -> bytes:
        data: bytes = self.stream.read(size)
        if kept := len(data.rstrip(b"\0")):
            self.end = self.passed + kept
        self.passed += len(data)
        return data


OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\0": lzma.open, b"BZh": bz2.open}


def _tarred(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """The members of a tar, compressed or not. tarfile takes the end of the data for the end of the archive, which has a block of zeros."""
    with path.open("rb") as handle:
        first = handle.read(6)
    opener = next((opener for magic, opener in OPENERS.items() if first.startswith(magic)), open)
    with opener(path, "rb") as stream:
        watched = _Watched(stream)
        with tarfile.open(fileobj=watched, mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                name = _inside(path, member.name)
                if member.isdir():
                    continue
                if not member.isfile():
                    raise ValueError(f"{path.name}: member {member.name!r} is a link or a device; only regular files are allowed")
                if wanted(name) and (content := archive.extractfile(member)) is not None:
                    yield name, content.read()
            while watched.read(1 << 20):  # a truncated compressed stream shows here
                pass
            if watched.passed < archive.offset + tarfile.BLOCKSIZE:
                raise ValueError(f"{path.name}: truncated archive, its end is missing; fetch it again")
            if watched.end > archive.offset:
                raise ValueError(f"{path.name}: damaged archive, or several in one file: there is more behind byte {archive.offset:,}")


def _inside(path: Path, name: str) -> str:
    """The member's name without a leading "./"; refused where it leaves the archive's folder."""
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or ":" in name[:3]:
        raise ValueError(f"{path.name}: member {name!r} lies outside the archive's folder; refused")
    return pure.as_posix()
