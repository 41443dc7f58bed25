"""The page of a run, or of several side by side."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.along import dampings
from analysis.along.results import Along
from analysis.along.text import MEANINGS as ALONG
from analysis.along.text import smoothers_in_lines
from analysis.along.training import along_recorded, along_training
from analysis.levels.report import LevelReport
from analysis.numbers import number, plain
from analysis.runs.comparison import compare
from analysis.runs.in_short import DID, ORIGINS, run_in_short, runs_in_short
from analysis.runs.records import read_metrics
from analysis.runs.report import can_write
from analysis.runs.results import RunComparison, SpectralReport
from analysis.runs.text import MEANINGS, filled, in_percent
from analysis.stats import fraction_interval, groups_of
from figures.page import levels, several
from figures.page.mistakes import mistakes
from figures.page.write import Page, Section, Table, write
from mgtheory.multigrid.solution import counted

TITLES = {
    **{"spectral_radius": "spectral radius b", "smoothing_factor": "smoothing factor"},
    **{"max_modulus": "max modulus", "smoothing_norm": "smoothing norm", "smoother": "verdict"},
}
PICTURES = "pictures"  # in a run's folder, by default of `polymgnet figures`
PDF_BYTES = 1_000_000  # of all figures for a paper that lie within a page
Progress = Callable[[int, str], None]


def write_page(
    runs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    command: str,
    brief: bool = False,
    labels: Mapping[Path, str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page on one run, or on several side by side, to the file `out`; returns its path.

    Parameters
    ----------
    runs
        Finished run folders; they are analysed first where they have not been.
    command
        What makes the page, for its end.
    brief
        Leave out what was not yet measured and takes as long as all else: b, µ and max |q| at the
        epochs in between, the largest factors of the Jacobians, maps of damped waves, mistakes.
    labels
        Run folder -> what its configuration is called; the others by their settings.
    progress
        Called with (number of parts done, what is being done).

    Raises
    ------
    FileNotFoundError, ValueError
        No run, or a folder that is missing, unfinished, truncated or foreign: one line.
    """
    say = progress or (lambda done, word: None)
    labels = labels or {}
    found = compare(runs, labels=[labels.get(Path(run), "") for run in runs], progress=say)
    ways = [
        along_recorded(report)
        if brief
        else along_training(run, write=can_write(run), progress=partial(say, done))
        for done, (run, report) in enumerate(zip(runs, found.reports, strict=True))
    ]
    if len(runs) == 1:
        say(0, "find its mistakes")
        page = _of_run(found, runs[0], ways[0], brief=brief)
    else:
        page = _of_runs(found, runs, ways)
    if brief:  # what `analyze` prints has all epochs
        page = replace(page, printed_by="polymgnet analyze --json (along: every epoch)")
    say(len(runs), "write the page")
    return write(page, out, command=command)


def _of_run(
    found: RunComparison, run: str | os.PathLike[str], way: Along | None, *, brief: bool
) -> Page:
    """What stands on the page of one run."""
    (report,) = found.reports
    maps = dampings.kept_dampings(Path(run)) if report.has_polynomial and not brief else {}
    notes = [f"{note[0].upper()}{note[1:]}." for note in (way.notes if way else ())]
    sections = [
        Section("what", "What was trained on what", facts=_facts(report)),
        Section("training", "Training", several.training({report.label: [read_metrics(run)]})),
        *([] if brief else mistakes(run)),
        *(
            Section(
                f"level{one.level}",
                f"Level {one.level}",
                levels.of_level(one, way, maps),
                words=_words(one, way),
                tables=[Table.of(_table(report, one))],
            )
            for one in report.levels
        ),
    ]
    return Page(
        f"{report.label} on {report.facts['data']}",
        run_in_short(report),
        sections,
        plain({**report.to_dict(), "along": way}, infinite=False),
        printed_by="polymgnet analyze --json",
        meanings=ALONG | MEANINGS,
        notes=notes,
        papers=list(_papers(run)),
    )


def _of_runs(
    found: RunComparison,
    runs: Sequence[str | os.PathLike[str]],
    ways: Sequence[Along | None],
) -> Page:
    """What stands on the page of several runs."""
    names = found.runs["configuration"].tolist()
    reports = _grouped(names, found.reports)
    metrics = _grouped(names, [read_metrics(run) for run in runs])
    # a study's own label need not say what another name does
    said = all(name.startswith(one.label) for name, one in zip(names, found.reports))
    same = [name for name in ("operator", "placement") if found.runs[name].nunique() < 2]
    same += [name for name in ("model", "scheme") if said or found.runs[name].nunique() < 2]
    shown = found.runs.drop(columns=["run", *same])
    accuracies = {"val_accuracy": "validation", "test_accuracy": "test accuracy"}
    tables = {"Runs": in_percent(shown, accuracies)}
    if (found.groups["n"] > 1).any():
        tables = {"Test accuracy over the seeds": _percent(found.groups, "mean", "std")} | tables
    pairs = found.pairs if found.pairs.empty else found.pairs[found.pairs["seeds"] > 1]
    if not pairs.empty:
        tables["Differences, paired by seed"] = _percent(pairs, "difference")
    count = len(reports)
    name = counted(count, "configuration") if count < len(runs) else ""
    documents = [
        {**report.to_dict(), "along": way} for report, way in zip(found.reports, ways, strict=True)
    ]
    together = several.side_by_side(found, reports, _grouped(names, ways))
    return Page(
        f"{len(runs)} runs{f' of {name}' if name else ''}",
        runs_in_short(found),
        [
            Section(
                "together",
                "Side by side",
                together,
                tables=[Table.of(filled(table), caption) for caption, table in tables.items()],
            ),
            Section("training", "Training", several.training(metrics)),
        ],
        plain({"reports": documents, "comparison": found}, infinite=False),
        printed_by="polymgnet analyze --json",
        meanings=ALONG | MEANINGS,
        notes=["The page of one run, with all of its levels: polymgnet report RUN."],
    )


def _percent(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return in_percent(table, {name: name for name in (*columns, "low", "high")})


def _grouped(names: Sequence[str], items: Sequence[Any]) -> dict[str, list[Any]]:
    grouped = groups_of(zip(names, items, strict=True), lambda pair: pair[0])
    return {name: [item for _, item in members] for name, members in grouped.items()}


def _facts(report: SpectralReport) -> list[tuple[str, str]]:
    """What was trained on what, and what came out; names of `GLOSSARY` explain themselves."""
    facts, theory = report.facts, report.theory
    tested, count = facts["test_accuracy"], facts["tested_on"]
    accuracy = "not measured" if tested is None else f"{100 * tested:.2f} %"
    if tested is not None and count:
        low, high = (100 * end for end in fraction_interval(tested, count))
        accuracy += f" of {count:,} images (95 % interval {low:.2f} to {high:.2f} %)"
    chosen = {"best": "the best by validation", "last": "the last"}[facts["select"]]
    epochs = f"{facts['epochs']}"
    if facts["chosen_epoch"] is not None:
        epochs += f"; the weights are those of epoch {facts['chosen_epoch']}, {chosen}"
    pairs: dict[str, Any] = {
        "network": f"{report.model}, {facts['parameters']:,} weights"
        + (f", {counted(len(report.levels), 'level')}" if report.levels else ""),
        "images": facts["data"],
        "scheme": facts["given"] if theory["origin"] != "none" else None,
        # what an earlier version wrote has not
        "start": facts.get("came_to") if theory["origin"] != "none" else None,
        "operator": f"{facts['operator']} at the start" if report.levels else None,
        "placement": facts["placement"],
        "theory": f"{theory['name']} ({ORIGINS[theory['origin']]})" if theory["name"] else None,
        "epochs": epochs,
        "seed": facts["seed"],
        "training time": f"{facts['seconds']:.1f} s, {facts['images_per_second']:,.0f} images/s",
        "test accuracy": accuracy,
        "validation": facts["val_accuracy"] and f"{100 * facts['val_accuracy']:.2f} %",
        "folder": report.run,
    }
    fitted = [("fitted", reason) for reason in theory["fitted"]]
    return [(name, str(text)) for name, text in pairs.items() if text not in (None, "")] + fitted


def _words(level: LevelReport, way: Along | None) -> str:
    """What training did to a level, and what became of it as a smoother."""
    sizes = f"{counted(level.channels, 'channel')} of {level.size[0]} × {level.size[1]}"
    text = f"{sizes}."
    if level.kind == "polynomial":
        text += f" Training {DID[level.verdict.word]}."
    if level.verdict.nearest is not None:
        nearest = level.verdict.nearest
        at = number(nearest.distance, 2)
        text += f" The classical polynomial nearest to the learned one is {nearest}, at {at}."
    if way is not None:
        said = next(text for own, text in smoothers_in_lines(way) if level.level in own)
        text += f" As a smoother: {said}."
    return text


def _table(report: SpectralReport, level: LevelReport) -> pd.DataFrame:
    """The roles of a level in numbers."""
    table = report.table()
    table = table[table["level"] == level.level].rename(columns=TITLES)
    return filled(table[["role", "degree", *TITLES.values(), "roots"]])


def _papers(run: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """The PDFs that `polymgnet figures` drew in the run's folder, name and content, the small ones
    first while they fit."""
    total = 0
    files = (Path(run) / PICTURES).glob("*.pdf")
    for path in sorted(files, key=lambda one: (one.stat().st_size, one.name)):
        data = path.read_bytes()
        total += len(data)
        if total <= PDF_BYTES:
            yield path.name, f"data:application/pdf;base64,{base64.b64encode(data).decode()}"
