"""The rows of a study's finished runs: a file of JSON lines that is committed, so that a study
grows over time and from machine to machine, and every table and figure is drawn from it alone."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# of a run's summary: what was measured, and what did it
MEASURED = (
    *("test_accuracy", "test_loss", "val_accuracy", "val_loss", "train_loss"),
    *("factor", "factor_start", "reason", "refused"),
    *("parameters", "flops_per_image", "epochs", "seconds", "images_per_second"),
)
BY = ("revision", "torch", "device", "threads")


def row_of(run: Any, *, diverged: str = "") -> dict[str, Any]:
    """The row of a finished run, or of one whose loss was not finite.

    Beside the numbers of its summary it has max |q| and the smoothing factor of every level at the
    start, on the true spectrum, the size of the features there, and the number of test images.
    Where a level starts as a smoother, what became of max |q| and the factors is measured on the
    learned weights.
    """
    from mgtheory._files import read_json

    row: dict[str, Any] = {"digest": run.digest, "point": dict(run.point)}
    if diverged:
        return row | {"diverged": diverged}
    summary = run.summary()
    row |= {key: summary[key] for key in MEASURED if summary.get(key) is not None}
    if (run.folder / "init.json").is_file():
        row |= _of_start(run.folder)
    if (run.folder / "data.json").is_file():
        row["test_images"] = read_json(run.folder / "data.json", "data of a run")["images"]["test"]
    return row | {key: summary["environment"][key] for key in BY if "environment" in summary}


def max_moduli(folder: Path) -> list[float | None]:
    """max |q| of every level of a run at the start."""
    return [level["max_modulus"] for level in _start(folder)["levels"]]


def _start(folder: Path) -> dict[str, Any]:
    from mgtheory._files import read_json

    return read_json(folder / "init.json", "start of a run")


def _of_start(folder: Path) -> dict[str, Any]:
    start = _start(folder)
    levels = start["levels"]
    names = [name for name in ("max_modulus", "smoothing_factor") if levels and name in levels[0]]
    row: dict[str, Any] = {name: [_number(level[name]) for level in levels] for name in names}
    if (features := _number(start.get("features"))) is not None:
        row["features"] = features
    starts = [mu for mu in row.get("smoothing_factor", ()) if mu is not None]
    if any(mu < 1 for mu in starts):
        from analysis.along.training import learned_factors

        row["learned"] = learned_factors(folder)
    return row


def _number(value: float | None) -> float | None:
    """As JSON has it: none where a start goes beyond the range of numbers."""
    return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class Rows:
    """The file; missing, it has no row yet. Several processes may append to it."""

    path: Path

    @cached_property
    def known(self) -> dict[str, dict[str, Any]]:
        """Digest -> row, the first of each; ValueError names a line that is none. What a killed
        process left of its last line is no row."""
        return self._rows(_whole(self.path.read_bytes())) if self.path.is_file() else {}

    def _rows(self, lines: bytes) -> dict[str, dict[str, Any]]:
        known: dict[str, dict[str, Any]] = {}
        for number, line in enumerate(lines.splitlines(), start=1):
            try:
                row = json.loads(line)
                known.setdefault(row["digest"], row)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{self.path}, line {number} is no row of a study ({error}); take the line out"
                ) from None
        return known

    @cached_property
    def elsewhere(self) -> dict[str, dict[str, Any]]:
        """Digest -> row of the studies beside this one, each with its file's name as `of`: a run
        that two studies ask for is done once."""
        files = sorted(self.path.parent.glob("*.jsonl"))
        found: dict[str, dict[str, Any]] = {}
        for path in files:
            if path.name != self.path.name:
                for digest, row in Rows(path).known.items():
                    found.setdefault(digest, {"of": path.stem, **row})
        return found

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row in one write, behind whole lines, unless its run has one already here."""
        if row["digest"] in self.known:
            return
        self.known[row["digest"]] = dict(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(row, allow_nan=False) + "\n"
        # of two that find no file, the second must not empty that of the first
        with self.path.open("a+b") as file, alone(file):
            file.seek(0)
            found = file.read()
            lines = _whole(found)
            file.truncate(min(len(lines), len(found)))
            file.write(lines[len(found) :])  # the last line's end, if an editor left it out
            # another process may have added it since, as one of several that train the run
            if row["digest"] not in self._rows(lines):
                file.write(line.encode())


def _whole(data: bytes) -> bytes:
    """The lines of a file, each with its end, but for what a killed process left of the last one:
    a row that is cut anywhere is no JSON."""
    last = data.rpartition(b"\n")[2]
    try:
        json.loads(last)
    except ValueError:
        return data[: len(data) - len(last)]
    return data + b"\n"


@contextmanager
def alone(file: Any) -> Iterator[None]:
    """Within, no other process appends; where the system has no such locks, nothing is done."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
        file.flush()
        os.fsync(file.fileno())
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
