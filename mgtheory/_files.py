"""Files that appear whole or not at all, and JSON that is refused with one clear line where it is
not what was promised."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

HALF = 60.0  # s from which on a temporary file is no longer being written
Data = str | bytes | Callable[[IO[bytes]], object]  # what a file holds, or what writes it


def write_atomically(path: str | os.PathLike[str], data: Data) -> None:
    """The file has either its old content or all of the new, whatever happens: temporary file,
    fsync, rename, fsync of the folder. The data may be a function that writes into a file. What
    killed processes had half written of it goes. Of a link the target is written; what is no file
    (a pipe, /dev/null) is written as it is, where a rename would put a file in its place. An
    OSError is of the kind of the failure (FileNotFoundError for a missing folder, say), with the
    path."""
    path = Path(path)
    fill = data if callable(data) else _filler(data)
    # before its links are followed: that of a pipe, as /dev/stdout has it, leads to no path
    if path.exists() and not (path.is_file() or path.is_dir()):
        with path.open("wb") as file:
            fill(file)
        return
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _remove_halves(path)
        # elsewhere a folder cannot be opened, and the rename is the system's own affair
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # the new name is on the disk
            finally:
                os.close(folder)
    except OSError as error:
        raise OSError(
            error.errno,
            f"could not write {path} ({error.strerror or error}); nothing is half written, the old"
            " file is intact",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_array(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """A .npy file, like `write_atomically`: of a disk that is full NumPy's own writing of files
    says how many numbers it took, and not why."""
    write_atomically(path, lambda file: np.save(_Plain(file.write), array))


@dataclass(frozen=True)
class _Plain:
    """What NumPy takes for no file of the system."""

    write: Callable[[bytes], object]


def _filler(data: str | bytes) -> Callable[[IO[bytes]], object]:
    content = data.encode() if isinstance(data, str) else data
    return lambda file: file.write(content)


def check_writable(path: Path, *, way: str = "give another place") -> None:
    """PermissionError for a folder, or one that would be made there, that is for reading alone; of
    a file its folder, where it is written by a rename."""
    if path.is_file() or not path.exists():  # a pipe leads to no path
        path = path.resolve()
    if path.is_file():
        path = path.parent
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not os.access(there, os.W_OK):
        raise PermissionError(f"{there} is for reading alone; {way}")


def _remove_halves(path: Path) -> None:
    """Remove the temporary files of `path` whose process is gone, from a minute on: in a shared
    folder it may be one of another machine, which writes for a second or two."""
    for half in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError, ValueError, OverflowError):
            old = time.time() - half.stat().st_mtime > HALF
            if old and not _runs(int(half.name.split(".")[-2])):
                half.unlink()


def _runs(pid: int) -> bool:
    """Whether there is such a process here."""
    if os.name != "posix":  # where to ask so would end it
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def check_folder(folder: Path) -> None:
    """NotADirectoryError if a file lies where the folder, or one above it, is or would be."""
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(f"{path} is a file; give the name of a folder")


def check_is_file(path: Path, what: str) -> None:
    """IsADirectoryError or FileNotFoundError for what cannot be read as a file; a pipe can."""
    if path.is_dir():
        raise IsADirectoryError(f"{what}: {path} is a folder, a file is needed")
    if not path.exists():
        raise FileNotFoundError(f"{what}: there is no file {path}")


def parse_json(text: str, what: str = "") -> Any:
    """The document in a JSON text, or a ValueError, that it is not `what` if that is given: also
    for a key that stands twice, of which Python takes the last, for a whole number beyond the
    doubles, which every later sum would trip over, and for a nesting deeper than the parser's
    stack."""

    def within(digits: str) -> int:
        if len(digits) > 300:  # the largest double has 309 digits
            raise ValueError(f"a whole number of {len(digits)} digits")
        return int(digits)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"the key {twice!r} stands there twice")
        return table

    try:
        return json.loads(text, object_pairs_hook=once, parse_int=within)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"not {what}: {error}" if what else str(error)) from error


def _parse_toml(text: str) -> Any:
    """The document in a TOML text, in JSON's types: of dates and times their text."""
    return parse_json(json.dumps(tomllib.loads(text), default=str))


def read_json(path: str | os.PathLike[str], what: str, *, toml: bool = False) -> dict[str, Any]:
    """The object in a JSON file (of TOML the table); `what` says in messages what it should be:
    "run record".

    A FileNotFoundError if there is no such file; a ValueError if it is no UTF-8, no JSON text or
    not an object (truncated, or another kind of file), or if a key stands twice in it.
    """
    path = Path(path)
    check_is_file(path, what)
    kind, loads = ("TOML", _parse_toml) if toml else ("JSON", parse_json)
    try:
        # some editors write a byte order mark before UTF-8, which neither format has
        document = loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{what}: {path} is not {kind} in UTF-8 ({error}); save it as UTF-8"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{what}: {path} is not {kind} ({error}); truncated, or another kind of file"
        ) from error
    if not isinstance(document, dict):
        raise ValueError(
            f"{what}: {path} holds a {kind} {type(document).__name__}, must be an object; another"
            " kind of file"
        )
    return document
