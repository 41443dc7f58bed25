"""The report on a run: `analyse(run)` reads the folder, measures every level, and writes analysis/
with JSON, tables and spectra.

report.json holds every number with a schema version, table.csv one row per level and role, table.md
the same for reading, spectra.npz the eigenvalues, frequencies, dampings and effective coefficients.
A report whose run has not changed since is read and not computed again.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from analysis.level_report import LevelReport, analyse_level
from analysis.records import REFERENCE, RunRecord, read_run
from analysis.tables import number
from analysis.text import report_text
from analysis.verdict import TOLERANCE
from mgtheory._files import read_json, write_atomically

__all__ = ["SpectralReport", "analyse", "analyse_record"]

KIND, SCHEMA = "spectral_report", 5
Progress = Callable[[int, str], None]


@dataclass(frozen=True, eq=False)
class SpectralReport:
    """What a run's levels are, before and after training.

    Attributes
    ----------
    run, model, label
        The folder, the model's name, and model with scheme.
    facts
        Parameters, accuracies (fractions) and the number of test images, epochs and that of the
        weights, seconds, seed, placement, operator, data, scheme (of a file the family in it) and
        how the scheme was given.
    theory
        origin ("start", "reference" or "none"), name and what was fitted.
    levels
        One report each; none for a ResNet.
    tolerance
        Distance on (0, 1] up to which a polynomial counts as the theory's.
    fingerprint
        Of the files it was computed from.
    """

    run: str
    model: str
    label: str
    facts: dict[str, Any]
    theory: dict[str, Any]
    levels: tuple[LevelReport, ...]
    tolerance: float
    fingerprint: str

    @property
    def has_polynomial(self) -> bool:
        """Whether the model's steps are polynomials in A (Poly-MgNet, not MgNet or ResNet)."""
        return any(level.kind == "polynomial" for level in self.levels)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "run": self.run,
            "model": self.model,
            "label": self.label,
            "facts": self.facts,
            "has_polynomial": self.has_polynomial,
            "theory": self.theory,
            "tolerance": self.tolerance,
            "fingerprint": self.fingerprint,
            "levels": [level.to_dict() for level in self.levels],
        }

    def to_json(self) -> str:
        """`to_dict` as indented JSON text; numbers that are not finite do not occur."""
        return json.dumps(_finite(self.to_dict()), indent=1, allow_nan=False) + "\n"

    def table(self) -> pd.DataFrame:
        """One row per level and role: spectral radius, roots, smoothing factor, max |q|, word,
        verdict; one row for a ResNet."""
        rows: list[dict[str, Any]] = []
        for level in self.levels:
            for role, view in level.views.items():
                operator = level.operators["start" if role == "start" else "learned"]
                verdict = {"learned": level.verdict, "effective": level.effective_verdict}.get(role)
                q = view.polynomial
                rows.append(
                    {
                        "run": self.run,
                        "model": self.model,
                        "level": level.level,
                        "channels": level.channels,
                        "role": role,
                        "degree": None if q is None else q.degree,
                        "spectral_radius": operator.radius,
                        "roots": "" if q is None else " ".join(number(z) for z in q.roots),
                        "smoothing_factor": view.smoothing.smoothing_factor,
                        "max_modulus": view.smoothing.max_modulus,
                        "smoothing_norm": view.smoothing.smoothing_norm,
                        "smoother": view.smoothing.verdict,
                        "training": "" if verdict is None else verdict.word,
                        "distance_to_theory": None if verdict is None else verdict.learned_distance,
                        "nearest": (
                            ""
                            if verdict is None or verdict.nearest is None
                            else str(verdict.nearest)
                        ),
                        "not_identifiable": (
                            ", ".join(f"step {r.step} {r.name}" for r in level.not_identifiable)
                            if role == "learned"
                            else ""
                        ),
                    }
                )
        if not rows:
            rows.append({"run": self.run, "model": self.model, "role": "no polynomial"})
        return pd.DataFrame(rows)

    def text(self) -> str:
        """The report for reading, as markdown: `text.report_text`."""
        return report_text(self)

    def __str__(self) -> str:
        return self.text()

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write report.json, table.csv, table.md and spectra.npz, each whole or not at all;
        report.json last."""
        where = Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        arrays = {
            f"level{level.level}/{name}": values
            for level in self.levels
            for name, values in level.arrays.items()
        }
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
        contents: dict[str, str | bytes] = {
            "spectra.npz": packed.getvalue(),
            "table.csv": self.table().to_csv(index=False, lineterminator="\n"),
            "table.md": self.text(),
            "report.json": self.to_json(),
        }
        for name, content in contents.items():
            write_atomically(where / name, content)
        return [where / name for name in contents]

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> SpectralReport:
        """What `save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            A file is missing; it is truncated, damaged or of another schema.
        """
        where = Path(folder)
        data = read_json(where / "report.json", "spectral report")
        if data.get("kind") != KIND or data.get("schema") != SCHEMA:
            raise ValueError(
                f"{where / 'report.json'}: kind {data.get('kind')!r}, schema"
                f" {data.get('schema')!r}; this version reads {KIND}, {SCHEMA}"
            )
        try:
            with np.load(where / "spectra.npz", allow_pickle=False) as packed:
                arrays = {name: packed[name] for name in packed.files}
            levels = tuple(
                LevelReport.from_dict(
                    level,
                    {
                        key.split("/", 1)[1]: value
                        for key, value in arrays.items()
                        if key.startswith(f"level{level['level']}/")
                    },
                )
                for level in data["levels"]
            )
            names = ("run", "model", "label", "facts", "theory", "tolerance", "fingerprint")
            return cls(levels=levels, **{name: data[name] for name in names})
        except (KeyError, TypeError, zipfile.BadZipFile, EOFError) as error:
            raise ValueError(
                f"{where}: the report is damaged ({type(error).__name__}: {error})"
            ) from error


def analyse(
    run: str | os.PathLike[str],
    *,
    reference: str = REFERENCE,
    tolerance: float = TOLERANCE,
    write: bool = True,
    progress: Progress | None = None,
) -> SpectralReport:
    """The report on a finished run; written to RUN/analysis unless told otherwise.

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
        The folder is missing, unfinished, truncated or foreign: one line.
    """
    record = read_run(run, reference=reference)
    folder = record.path / "analysis"
    if write:
        try:
            report = SpectralReport.load(folder)
            if (
                report.fingerprint == record.fingerprint
                and report.tolerance == tolerance
                and report.run == str(record.path)
            ):
                return report
        except (FileNotFoundError, ValueError):
            pass  # none there, or a damaged one: computed anew and replaced
    report = analyse_record(record, tolerance=tolerance, progress=progress)
    if write:
        report.save(folder)
    return report


def analyse_record(
    record: RunRecord, *, tolerance: float = TOLERANCE, progress: Progress | None = None
) -> SpectralReport:
    """The report on a record that was read, levels in parallel; nothing is written.

    Meanwhile BLAS and LAPACK have one thread in this process: with more, each level's wait for one
    another's (4 times slower on two cores).
    """

    def one(index: int) -> LevelReport:
        return analyse_level(
            index + 1,
            record.start[index],
            record.learned[index],
            theory=record.theory.polynomials[index],
            tolerance=tolerance,
            progress=None if progress is None else lambda word: progress(index + 1, word),
        )

    widest_first = sorted(range(len(record.learned)), key=lambda i: -record.learned[i].channels)
    workers = max(1, min(len(widest_first), os.cpu_count() or 1))
    threads = torch.get_num_threads()
    try:
        with (
            threadpool_limits(1, user_api="blas"),
            ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        ):
            jobs = {index: pool.submit(one, index) for index in widest_first}
            levels = tuple(jobs[index].result() for index in range(len(record.learned)))
    finally:
        torch.set_num_threads(threads)
    return SpectralReport(
        run=str(record.path),
        model=record.config.model.name,
        label=record.label,
        facts=facts_of(record),
        theory={
            "origin": record.theory.origin,
            "name": record.theory.name,
            "fitted": list(record.theory.fitted),
        },
        levels=levels,
        tolerance=tolerance,
        fingerprint=record.fingerprint,
    )


def facts_of(record: RunRecord) -> dict[str, Any]:
    """The run's own numbers and choices, for tables."""
    summary, config = record.summary, record.config
    return {
        "data": config.data.name,
        "scheme": record.scheme,
        "given": config.init.scheme,
        "operator": config.init.operator,
        "placement": config.model.placement,
        "seed": record.seed,
        "parameters": summary.parameters,
        "epochs": summary.epochs,
        "chosen_epoch": summary.best_epoch,
        "select": config.train.select,
        "test_accuracy": summary.test_accuracy,
        "tested_on": record.tested_on,
        "val_accuracy": summary.val_accuracy,
        "seconds": summary.seconds,
        "images_per_second": summary.images_per_second,
    }


def _finite(value: Any) -> Any:
    """JSON has no infinities: null stands for them."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
