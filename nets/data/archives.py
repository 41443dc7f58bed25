"""The files of a directory, a tar or a zip, one after another in memory; nothing is unpacked.

Archives are read to their very end, so that a truncated one is refused; so is a member whose name
leaves the archive's folder, a link or a device. Of directories links are followed.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Self

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".zip")
# what the libraries raise for damaged files
PACKED = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error)
# of what a small file can hold endlessly much: bytes of a member, bytes of the names before a
# member of a tar, and how many times its packed size an archive may grow beyond LARGEST
LARGEST = 1 << 28
NAMES = 1 << 20
GROWTH = 200  # images hardly shrink; zeros do 1,000 times in gzip and 7,000 times in xz


def is_archive(path: Path) -> bool:
    """Whether the name ends like an archive that `members` reads."""
    return path.name.lower().endswith(ARCHIVES)


def hidden_part(name: str) -> str:
    """The path up to its first hidden folder or file: of a leading dot, or what macOS adds to a
    zip; empty where nothing of it is hidden."""
    parts = PurePosixPath(name).parts
    marks = (i for i, part in enumerate(parts, 1) if part.startswith(".") or part == "__MACOSX")
    return "/".join(parts[: next(marks, 0)])


def names_under(path: Path) -> list[str]:
    """Everything below a directory, sorted, relative with forward slashes, a folder's name with one
    at its end; links are followed, hidden folders are named and not entered.

    ValueError for what is no file, a link to nothing, a folder that is reached twice (or leads back
    to one above it), and a name that is not text; PermissionError for a folder that cannot be read.
    """

    def fail(error: OSError) -> None:  # else left out, without a word
        raise error

    found: list[str] = []
    entered: dict[Path, str] = {}
    for folder, below, files in os.walk(path, onerror=fail, followlinks=True):
        place = Path(folder).resolve()
        if place in entered:
            raise ValueError(f"{folder} and {entered[place]} are the same folder; remove the link")
        entered[place] = folder
        home = Path(_text(folder)).relative_to(path)
        found += [f"{(home / _text(name)).as_posix()}/" for name in below]
        below[:] = [name for name in below if not hidden_part(name)]
        for name in files:
            file = Path(folder, _text(name))
            # what editors lock files with are hidden links to nothing
            if not (hidden_part(name) or file.is_file()):
                raise ValueError(f"{file} is a link to nothing, or no regular file; remove it")
            found.append((home / name).as_posix())
    return sorted(found)


def _text(name: str | Path) -> str:
    """The name; ValueError where its bytes are not UTF-8."""
    try:
        str(name).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{str(name)!a}: the name is not UTF-8 text; rename it") from None
    return str(name)


def members(
    path: Path, *, wanted: Callable[[str], bool] = lambda name: not hidden_part(name)
) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every wanted regular file under a directory or in a tar or zip archive,
    names relative with forward slashes. `wanted` is asked about folders too, whose names end in a
    slash, so that it knows of everything that is there.

    ValueError for a member that lies outside the folder, is a link or a device, and for a damaged
    archive; FileNotFoundError where there is no such path.
    """
    if path.is_dir():
        for name in names_under(path):
            if wanted(name) and not name.endswith("/"):
                yield name, (path / name).read_bytes()
        return
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such folder or archive")
    read = _zipped if path.name.lower().endswith(".zip") else _tarred
    try:
        yield from read(path, wanted)
    except (*PACKED, EOFError, OSError) as error:
        raise ValueError(f"{path.name}: damaged archive ({error})") from error
    # zip: encrypted, or packed by an unknown method
    except (RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{path.name}: archive not readable ({error})") from error


def _zipped(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > _room(path):
            _refuse_growth(path)
        for info in archive.infolist():
            name = _inside(path, info.filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise ValueError(
                    f"{path.name}: member {name!r} is a link; only regular files are allowed"
                )
            if info.is_dir():
                wanted(f"{name}/")
            elif wanted(name):
                _check_size(path, name, info.file_size)
                yield name, archive.read(info)


def _check_size(path: Path, name: str, size: int) -> None:
    if size > LARGEST:
        raise ValueError(
            f"{path.name}: member {name!r} would be {size:,} bytes; allowed are {LARGEST:,}"
        )


def _refuse_growth(path: Path) -> None:
    raise ValueError(
        f"{path.name}: its {path.stat().st_size:,} bytes unpack to more than {_room(path):,}; that"
        " is no archive of images"
    )


def _room(path: Path) -> int:
    """The bytes that the archive may unpack to."""
    return max(LARGEST, GROWTH * path.stat().st_size)


# members whose content is no file but says something of the next one, or of all that follow
SAYING = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)


class _Header(tarfile.TarInfo):
    """A header whose member's name is not so long that it alone fills the memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in SAYING and header.size > NAMES:
            raise tarfile.ReadError(f"a name of {header.size:,} bytes; allowed are {NAMES:,}")
        return header


class _Watched:
    """A stream on its way to `tarfile`: how many bytes passed, where the last non-zero ended."""

    def __init__(self, stream: Any, path: Path) -> None:
        self.stream, self.path, self.room = stream, path, _room(path)
        self.passed = self.end = 0

    def read(self, size: int) -> bytes:
        data: bytes = self.stream.read(size)
        if kept := len(data.rstrip(b"\0")):
            self.end = self.passed + kept
        self.passed += len(data)
        if self.passed > self.room:
            _refuse_growth(self.path)
        return data


OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\0": lzma.open,
    b"BZh": bz2.open,
}


def _tarred(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """The members of a tar, compressed or not. tarfile takes the end of the data for the end of the
    archive, which has a block of zeros."""
    with path.open("rb") as handle:
        first = handle.read(6)
    opener = next((opener for magic, opener in OPENERS.items() if first.startswith(magic)), open)
    with opener(path, "rb") as stream:
        watched = _Watched(stream, path)
        # typeshed asks for tell and seek too, which tarfile does not call in this mode
        with tarfile.open(fileobj=watched, mode="r|", tarinfo=_Header) as archive:  # type: ignore[call-overload]
            for member in archive:
                name = _inside(path, member.name)
                if member.isdir():
                    wanted(f"{name}/")
                    continue
                if not member.isfile():
                    raise ValueError(
                        f"{path.name}: member {member.name!r} is a link or a device; only regular"
                        " files are allowed"
                    )
                if wanted(name) and (content := archive.extractfile(member)) is not None:
                    _check_size(path, name, member.size)
                    yield name, content.read()
            while watched.read(1 << 20):  # a truncated compressed stream shows here
                pass
            if watched.passed < archive.offset + tarfile.BLOCKSIZE:
                raise ValueError(
                    f"{path.name}: truncated archive, its end is missing; fetch it again"
                )
            if watched.end > archive.offset:
                raise ValueError(
                    f"{path.name}: damaged archive, or several in one file: there is more behind"
                    f" byte {archive.offset:,}"
                )


def _inside(path: Path, name: str) -> str:
    """The member's name without a leading "./"; refused where it leaves the archive's folder."""
    pure = PurePosixPath(name.replace("\\", "/"))
    if not name.strip():
        raise ValueError(f"{path.name}: damaged archive, a member has no name")
    if pure.is_absolute() or ".." in pure.parts or ":" in name[:3]:
        raise ValueError(f"{path.name}: member {name!r} lies outside the archive's folder; refused")
    return _text(pure.as_posix())
