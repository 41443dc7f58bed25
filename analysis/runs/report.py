"""The report on a run: `analyse(run)` reads the folder, measures every level, and writes report/
with JSON, tables and spectra.

report.json holds every number with a schema version, table.csv one row per level and role, table.md
the same for reading, spectra.npz the eigenvalues, frequencies, dampings and effective coefficients.
A report whose run has not changed since is read and not computed again.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from analysis.levels.report import LevelReport, analyse_level
from analysis.levels.verdict import TOLERANCE
from analysis.runs.records import REFERENCE, RunRecord, read_run, tested_on
from analysis.runs.results import SpectralReport
from analysis.runs.text import report_text
from mgtheory._checks import check_callable, check_kind, check_number
from mgtheory._files import write_atomically
from nets.start.threads import in_threads

# in a run folder; not named after a package, which it would hide from a Python that starts there
FOLDER = "report"
OLD_FOLDER = "analysis"  # of earlier versions
Progress = Callable[[int, str], None]


def analyse(
    run: str | os.PathLike[str],
    *,
    reference: str = REFERENCE,
    tolerance: float = TOLERANCE,
    write: bool = True,
    progress: Progress | None = None,
) -> SpectralReport:
    """The report on a finished run; written to RUN/report unless `write` is False, or the folder is
    for reading alone.

    Parameters
    ----------
    run
        The run folder.
    reference
        Family to measure a run by that did not start from one; options as in a scheme.
    tolerance
        Distance on (0, 1] up to which a polynomial counts as the theory's.
    write
        False computes and writes nothing. With True, a report that is there and fits the run's
        files is read and not computed again.
    progress
        Called with (level, what is being measured).

    Raises
    ------
    FileNotFoundError, ValueError
        The folder is missing, unfinished, truncated or foreign, or an argument is not allowed: one
        line.
    """
    check_kind(run, (str, os.PathLike), "run", "the folder of a run; compare takes several")
    check_number(tolerance, "tolerance", "larger than 0")
    check_callable(progress, "progress")
    record = read_run(run, reference=reference)
    if write:
        _check_place(record.path / FOLDER)
        with suppress(FileNotFoundError, ValueError):  # none, or damaged: computed and replaced
            report = SpectralReport.load(report_folder(run))
            asked = (record.fingerprint, tolerance, str(record.path))
            if (report.fingerprint, report.tolerance, report.run) == asked:
                return report
    report = analyse_record(record, tolerance=tolerance, progress=progress)
    if write and can_write(run):
        write_report(report, record.path / FOLDER)
    return report


def _check_place(folder: Path) -> None:
    """NotADirectoryError for a file where a report is written."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, where the report is to lie; move it away")


def can_write(run: str | os.PathLike[str]) -> bool:
    """Whether a report can lie in the run's folder; an archive may be for reading alone."""
    where = Path(run) / FOLDER
    return os.access(where if where.exists() else run, os.W_OK)


def report_folder(run: str | os.PathLike[str]) -> Path:
    """Where the report of a run is, or will be."""
    where, old = Path(run) / FOLDER, Path(run) / OLD_FOLDER
    return old if (old / "report.json").is_file() and not where.is_dir() else where


def analyse_record(
    record: RunRecord, *, tolerance: float = TOLERANCE, progress: Progress | None = None
) -> SpectralReport:
    """The report on a record that was read, levels in parallel; nothing is written."""
    theory = record.theory

    def one(index: int) -> LevelReport:
        return analyse_level(
            index + 1,
            record.start[index],
            record.learned[index],
            theory=theory.polynomials[index],
            tolerance=tolerance,
            progress=None if progress is None else lambda word: progress(index + 1, word),
        )

    widest_first = sorted(range(len(record.learned)), key=lambda i: -record.learned[i].channels)
    found = dict(zip(widest_first, in_threads(one, widest_first), strict=True))
    return SpectralReport(
        run=str(record.path),
        model=record.config.model.name,
        label=record.label,
        facts=_facts(record),
        theory={"origin": theory.origin, "name": theory.name, "fitted": list(theory.fitted)},
        levels=tuple(found[index] for index in sorted(found)),
        tolerance=tolerance,
        fingerprint=record.fingerprint,
    )


def _facts(record: RunRecord) -> dict[str, Any]:
    """What the report says of the run itself."""
    summary, config = record.summary, record.config
    measured = ("parameters", "epochs", "seconds", "images_per_second")
    return {
        "data": config.data.name,
        "scheme": record.scheme,
        "given": config.init.scheme,
        "came_to": record.init.about(),
        "operator": config.init.operator,
        "placement": config.model.placement,
        "seed": config.train.seed,
        "chosen_epoch": summary.best_epoch,
        "select": config.train.select,
        "tested_on": tested_on(record.path),
        **{name: getattr(summary, name) for name in (*measured, "test_accuracy", "val_accuracy")},
    }


def write_report(report: SpectralReport, folder: str | os.PathLike[str]) -> list[Path]:
    """Write table.csv, table.md, spectra.npz and, last, report.json, each whole or not at all."""
    arrays = {
        f"level{level.level}/{name}": values
        for level in report.levels
        for name, values in level.arrays.items()
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    contents: dict[str, str | bytes] = {
        "spectra.npz": packed.getvalue(),
        "table.csv": report.table().to_csv(index=False, lineterminator="\n"),
        "table.md": report_text(report),
        "report.json": report.to_json(),
    }
    return write_files(folder, contents)


def write_files(folder: str | os.PathLike[str], contents: Mapping[str, str | bytes]) -> list[Path]:
    """Write name -> content into the folder, in this order, each file whole or not at all."""
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_atomically(where / name, content)
    return [where / name for name in contents]
