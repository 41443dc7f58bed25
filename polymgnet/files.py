"""Files of the user: nothing is overwritten unasked; reading and atomic writing are mgtheory's."""

import json
from pathlib import Path
from typing import Any

from polymgnet.console import plain


def refuse_existing(path: Path, *, force: bool) -> None:
    """FileExistsError if the file is there and `force` was not given; FileNotFoundError if its
    folder is missing."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file")
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists; give another name, or --force to overwrite it")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"folder {path.parent} does not exist; make it first")


def check_folder(folder: Path) -> None:
    """NotADirectoryError if a file lies where the folder, or a folder above it, is or would be
    made."""
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(f"{path} is a file; give the name of a folder")


def write_json(path: Path, document: Any) -> None:
    """Write one JSON document, whole or not at all."""
    from mgtheory._files import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(
        path, json.dumps(plain(document), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    )
