"""Records of a run: frozen dataclasses whose types are checked when they are made and when they are
read from JSON."""

from __future__ import annotations

from codecs import BOM_UTF8
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")
# strict: "8" is no number; what a later version adds is not dropped without a word
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def read_record(path: Path, kind: type[T], what: str) -> T:
    """A JSON file as a record of a kind with the configuration `STRICT`; a ValueError of one line
    has the path and the first thing that is wrong."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes().removeprefix(BOM_UTF8))
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in first["loc"])
        reason = " ".join(f"{where}{first['msg']}".split())
        raise ValueError(f"{path}: not {what} ({reason})") from error
