"""Files that appear whole or not at all, and JSON that is refused with one clear line where it is not what was promised."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["read_json", "write_atomically"]


def write_atomically(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Write through a temporary file in the same folder, flushed to the disk, and an atomic rename: interrupted, it leaves the old file."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """The object in a JSON file.

    Parameters
    ----------
    what
        What the file should be, for the message: "initial coefficients", "run record".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no JSON text or not an object: truncated, or another kind of file.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        raise FileNotFoundError(f"{what}: there is no file {path}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{what}: {path} is not JSON ({error}); truncated, or another kind of file") from error
    if not isinstance(document, dict):
        raise ValueError(f"{what}: {path} holds a JSON {type(document).__name__}, must be an object; another kind of file")
    return document
