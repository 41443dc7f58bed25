"""The cache of decoded data sets: one folder each, of arrays that are memory-mapped, made aside and
renamed into place."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mgtheory._files import write_array, write_atomically
from nets.data.archives import hidden_part, names_under
from nets.data.readers import Pool

WRITING = 3600.0  # seconds in which a decoded data set is written


def cache_folder() -> Path:
    """Where downloads and decoded arrays are kept: $POLYMGNET_CACHE, else the user's cache."""
    if given := os.environ.get("POLYMGNET_CACHE"):
        return Path(given)
    import pooch

    return Path(pooch.os_cache("polymgnet"))


def folder_mark(path: Path) -> str:
    """A digest of names, sizes and times under a path, under which its cache is filed."""
    names = names_under(path) if path.is_dir() else [""]
    lines = [str(path), *(name for name in names if name.endswith("/") or hidden_part(name))]
    for name in sorted({*names}.difference(lines)):
        stat = (path / name).stat()
        lines.append(f"{name} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def cached(key: str, make: Callable[[], Pool]) -> Pool:
    """The pool filed under `key`, memory-mapped; made aside and renamed into place if missing.
    OSError, with the way to another place, where it cannot be kept there."""
    folder = cache_folder() / "decoded" / key
    for half in folder.parent.glob(f"{key}.*"):  # of a killed process, unless it is being written
        with contextlib.suppress(OSError):  # another process removed it
            if time.time() - half.stat().st_mtime > WRITING:
                shutil.rmtree(half, ignore_errors=True)
    if (kept := _read_cache(folder)) is not None:
        return kept
    shutil.rmtree(folder, ignore_errors=True)  # damaged
    pool = make()
    try:
        return _kept(pool, folder)
    except OSError as error:
        raise OSError(
            error.errno,
            f"could not keep the decoded images in {folder.parent}"
            f" ({os.strerror(error.errno or errno.EIO)}); POLYMGNET_CACHE names another folder",
        ) from error


def _kept(pool: Pool, folder: Path) -> Pool:
    """The pool, written and mapped from there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        for name, array in (("images", pool.images), ("labels", pool.labels)):
            write_array(temporary / f"{name}.npy", array)
        meta = {name: getattr(pool, name) for name in ("parts", "classes", "left_out", "names")}
        write_atomically(temporary / "meta.json", json.dumps(meta))
        with contextlib.suppress(OSError):  # another process was first: its copy is as good
            temporary.rename(folder)
        return _read_cache(folder) or pool  # if another one has just removed it as damaged
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read_cache(folder: Path) -> Pool | None:
    """The pool in a folder; None where it is missing or damaged."""
    with contextlib.suppress(OSError, EOFError, ValueError, KeyError, TypeError):
        meta = json.loads((folder / "meta.json").read_text())
        # copy on write: torch wants writable memory, the file stays as it is
        images = np.load(folder / "images.npy", mmap_mode="c")
        parts = {name: (start, stop) for name, (start, stop) in meta["parts"].items()}
        labels = np.load(folder / "labels.npy")
        classes, names = tuple(meta["classes"]), tuple(meta.get("names", ()))
        return Pool(images, labels, parts, classes, meta["left_out"], names)
    return None
