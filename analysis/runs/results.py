"""What the analysis found, as data: the report on one run, and several runs side by side.

The words for reading are made of these by `analysis.runs.text`, the files by `analysis.runs.report`
and `analysis.runs.comparison`.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, computed_field
from pydantic.dataclasses import dataclass as checked

from analysis.levels.report import LevelReport, operator_of
from analysis.numbers import number, plain
from mgtheory._files import read_json
from mgtheory._html import html_table
from mgtheory.multigrid.solution import counted

KIND, SCHEMA = "spectral_report", 5


@checked(frozen=True, eq=False)
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

    @computed_field  # type: ignore[prop-decorator]
    @property
    def has_polynomial(self) -> bool:
        """Whether the model's steps are polynomials in A (Poly-MgNet, not MgNet or ResNet)."""
        return any(level.kind == "polynomial" for level in self.levels)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        stored = STORED.dump_python(self, mode="json", by_alias=True)
        return {"kind": KIND, "schema": SCHEMA, **stored}

    def __repr__(self) -> str:
        return f"SpectralReport({self.label}, {counted(len(self.levels), 'level')}, {self.run})"

    def _repr_html_(self) -> str:
        """For notebooks: a row a level and role."""
        rows = [
            (
                level.level,
                role,
                number(view.smoothing_factor),
                number(view.max_modulus),
                view.verdict,
            )
            for level in self.levels
            for role, view in level.views.items()
        ]
        head = ("level", "of", "mu", "max |q|", "smoother")
        return html_table(head, rows, [self.label, self.run])

    def to_json(self) -> str:
        """`to_dict` as indented JSON text; numbers that are not finite do not occur."""
        return json.dumps(plain(self.to_dict(), infinite=False), indent=1, allow_nan=False) + "\n"

    def table(self) -> pd.DataFrame:
        """One row per level and role, with its verdicts; one row for a ResNet."""
        rows: list[dict[str, Any]] = []
        for level in self.levels:
            for role, view in level.views.items():
                operator = level.operators[operator_of(role)]
                verdict = {"learned": level.verdict, "effective": level.effective_verdict}.get(role)
                q, nearest = view.polynomial, None if verdict is None else verdict.nearest
                lost = level.not_identifiable if role == "learned" else ()
                rows.append(
                    {
                        "level": level.level,
                        "channels": level.channels,
                        "role": role,
                        "degree": None if q is None else q.degree,
                        "spectral_radius": operator.radius,
                        "roots": "" if q is None else " ".join(number(z) for z in q.roots),
                        "smoothing_factor": view.smoothing_factor,
                        "max_modulus": view.max_modulus,
                        "smoothing_norm": view.smoothing_norm,
                        "smoother": view.verdict,
                        "training": "" if verdict is None else verdict.word,
                        "distance_to_theory": None if verdict is None else verdict.learned_distance,
                        "nearest": "" if nearest is None else str(nearest),
                        "not_identifiable": ", ".join(f"step {r.step} {r.name}" for r in lost),
                    }
                )
        run = {"run": self.run, "model": self.model}
        return pd.DataFrame([run | row for row in rows or [{"role": "no polynomial"}]])

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> SpectralReport:
        """What `report.write_report` wrote; FileNotFoundError; ValueError where damaged."""
        where = Path(folder)
        data = read_json(where / "report.json", "spectral report")
        if data.get("kind") != KIND or data.get("schema") != SCHEMA:
            raise ValueError(
                f"{where / 'report.json'}: kind {data.get('kind')!r}, schema"
                f" {data.get('schema')!r}; this version reads {KIND}, {SCHEMA}"
            )
        try:
            report = STORED.validate_python(data)
            levels = {f"level{level.level}": level for level in report.levels}
            with np.load(where / "spectra.npz", allow_pickle=False) as packed:
                for name in packed.files:
                    level, _, own = name.partition("/")
                    levels[level].arrays[own] = packed[name]
        except (ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{where}: the report is damaged ({reason})") from error
        return report


# of a report's file, beside its kind and schema
STORED = TypeAdapter(SpectralReport)


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Several runs side by side.

    Attributes
    ----------
    runs
        One row a run: model, scheme, operator, placement, seed, weights, accuracies, smoothing
        factors (learned only where the coefficients are identifiable; effective always), words.
    groups
        One row a configuration: number of runs, mean, standard deviation and confidence interval of
        the test accuracy, and the mean of the largest smoothing factor of its levels at the start
        and learned.
    pairs
        One row for every two configurations with shared seeds: mean difference of test accuracy,
        its interval, p-values (paired t-test and the same adjusted by Holm; signed-rank from 6
        seeds on), wins and losses.
    reports
        The report of each run.
    """

    runs: pd.DataFrame
    groups: pd.DataFrame
    pairs: pd.DataFrame
    reports: tuple[SpectralReport, ...]

    def to_dict(self) -> dict[str, Any]:
        """The tables as JSON types; empty cells are null."""
        return {
            name: plain(getattr(self, name).to_dict(orient="records"), infinite=False)
            for name in ("runs", "groups", "pairs")
        }
