"""Several runs in one table: a row a run, a row a configuration with mean and spread over its
seeds, and paired differences.

`compare(runs)` reads or computes the report of each run. Runs that differ in the seed alone make up
one configuration (`stats.configuration_key`); two configurations are compared over the seeds they
share.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.levels.verdict import TOLERANCE
from analysis.runs.records import REFERENCE
from analysis.runs.report import analyse, write_files
from analysis.runs.results import RunComparison, SpectralReport
from analysis.runs.text import comparison_text
from analysis.stats import configuration_key, estimate, groups_of, pair_rows
from mgtheory._checks import check_callable, check_kind
from nets.training.folder import read_config

MEASURE = "test_accuracy"
DISTINGUISHING = ("model", "scheme", "operator", "placement", "data")


def compare(
    runs: Sequence[str | os.PathLike[str]],
    *,
    labels: Sequence[str] = (),
    reference: str = REFERENCE,
    tolerance: float = TOLERANCE,
    progress: Callable[[int, str], None] | None = None,
) -> RunComparison:
    """The comparison of finished runs; each run's own report is written to its folder.

    Parameters
    ----------
    runs
        Run folders, at least one.
    labels
        What the configuration of each run is called; where none is given, or it is empty, network
        and scheme. Those that are alike are told apart by what differs.
    reference, tolerance
        As in `analyse`.
    progress
        Called with the number of runs done and what is being measured of the next.
    """
    check_runs(
        runs, "; smoothers on a problem or a matrix are compared by mgtheory.compare_smoothers"
    )
    check_callable(progress, "progress")
    places = [Path(run).resolve() for run in runs]
    twice = next((run for run, place in zip(runs, places) if places.count(place) > 1), None)
    if twice is not None:
        raise ValueError(f"run {twice} is given twice; one run is no sample of two")
    _check_labels(labels, len(runs))

    def step(done: int, level: int, word: str) -> None:
        if progress is not None:
            progress(done, f"{places[done].name}, level {level}: {word}")

    reports = [
        analyse(run, reference=reference, tolerance=tolerance, progress=partial(step, done))
        for done, run in enumerate(runs)
    ]
    return compare_reports(reports, [configuration_of(run) for run in runs], labels)


def check_runs(runs: Any, further: str = "") -> None:
    """ValueError for what is no list of run folders, which may say `further` what to do, or an
    empty one."""
    if isinstance(runs, str) or not isinstance(runs, Sequence):
        kind = type(runs).__name__
        raise ValueError(f"runs are a {kind}, must be a list of run folders{further}")
    for run in runs:
        check_kind(run, (str, os.PathLike), f"run {run!r}", "the folder of a run")
    if not runs:
        raise ValueError("no run given, at least one run folder is needed")


def _check_labels(labels: Any, count: int) -> None:
    """ValueError for labels that are not texts of a line each, one a run, unless there is none."""
    listed = isinstance(labels, Sequence) and not isinstance(labels, str)
    texts = listed and all(isinstance(label, str) for label in labels)
    if not texts or len(labels) not in (0, count):
        raise ValueError(
            f"labels are {labels!r}, must be a list of as many as runs, {count}, each a text"
        )
    if broken := [label for label in labels if len(label.splitlines()) > 1]:
        raise ValueError(f"label {broken[0]!r} has several lines, must be one, as tables have it")


def configuration_of(run: str | os.PathLike[str]) -> str:
    """What the runs of one configuration have in common, from a run's folder."""
    return configuration_key(read_config(Path(run)).to_dict())


def compare_reports(
    reports: Sequence[SpectralReport], keys: Sequence[str], labels: Sequence[str] = ()
) -> RunComparison:
    """The comparison of reports, grouped by the keys of their configurations; labels as in
    `compare`."""
    grouped = groups_of(zip(reports, keys, strict=True), lambda item: item[1])
    firsts = [members[0][0] for members in grouped.values()]
    called = dict(zip(keys, labels, strict=bool(labels)))
    own = [called.get(key, "") for key in grouped]
    names = dict(zip(grouped, unique_labels(firsts, list(grouped), own)))
    rows = [{"configuration": names[key], **_row(report)} for report, key in zip(reports, keys)]
    groups, accuracies = [], {}
    for key, members in grouped.items():
        found = [report for report, _ in members]
        groups.append({"configuration": names[key], **_group(found)})
        if by_seed := seed_accuracies(found):
            accuracies[names[key]] = by_seed
    pairs = pair_rows(accuracies)
    tables = (pd.DataFrame(rows), pd.DataFrame(groups), pd.DataFrame(pairs))
    return RunComparison(*tables, reports=tuple(reports))


def seed_accuracies(reports: Sequence[SpectralReport]) -> dict[int, float]:
    """Seed -> test accuracy of one configuration's runs, the mean where a seed has several."""
    found: dict[int, list[float]] = {}
    for report in reports:
        if report.facts[MEASURE] is not None:
            found.setdefault(report.facts["seed"], []).append(report.facts[MEASURE])
    return {seed: sum(values) / len(values) for seed, values in found.items()}


def unique_labels(
    reports: Sequence[SpectralReport], keys: Sequence[str], own: Sequence[str] = ()
) -> list[str]:
    """A short name for each configuration: its own label if it has one, else its report's, with
    those facts, and then settings of its key, added in which equal labels differ (q2 constant
    lr=0.02)."""
    labels = [given or report.label for given, report in zip_longest(own, reports)]
    for fact in DISTINGUISHING:
        values = [report.model if fact == "model" else report.facts[fact] for report in reports]
        labels = _told_apart(labels, _last_parts(values) if fact == "data" else values)
    settings = [_leaves(json.loads(key)) for key in keys]
    known = dict.fromkeys(key for one in settings for key in one)
    short = Counter(key.rpartition(".")[2] for key in known)
    for key in known:
        name = last if short[last := key.rpartition(".")[2]] == 1 else key
        values = [one.get(key) for one in settings]
        labels = _told_apart(labels, [v if v is None else f"{name}={v}" for v in values])
    return numbered(labels, " #")


def _told_apart(labels: Sequence[str], values: Sequence[Any]) -> list[str]:
    """The labels, with its value behind each that stands with different values."""
    found = Counter(label for label, _ in set(zip(labels, map(str, values))))
    return [
        f"{label} {value}" if found[label] > 1 and value is not None else label
        for label, value in zip(labels, values)
    ]


def _leaves(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value of nested tables."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        inner = isinstance(value, Mapping)
        found |= _leaves(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return found


def _last_parts(data: list[str]) -> list[str]:
    """folder:/home/me/photos as folder:photos, where that tells the folders apart."""
    short = [f"folder:{Path(name).name}" if name.startswith("folder:") else name for name in data]
    return short if len(set(short)) == len(set(data)) else data


def numbered(names: Sequence[str], mark: str) -> list[str]:
    """The names, with a mark and a number behind those that are alike."""
    total, seen, result = Counter(names), Counter[str](), []
    for name in names:
        seen[name] += 1
        result.append(f"{name}{mark}{seen[name]}" if total[name] > 1 else name)
    return result


def _row(report: SpectralReport) -> dict[str, Any]:
    choices = ("scheme", "operator", "placement", "seed")
    measured = ("parameters", "val_accuracy", "test_accuracy", "seconds")
    levels = [level for level in report.levels if level.kind == "polynomial"]
    folded = [level.effective_verdict for level in levels if level.effective_verdict is not None]
    return {
        "run": report.run,
        "model": report.model,
        **{name: report.facts[name] for name in (*choices, *measured)},
        **{f"mu_{role}": _worst(report, role) for role in ("start", "learned", "effective")},
        "smoother": _smoother(report),
        "training": _words([level.verdict.word for level in levels]) or "no polynomial",
        "norms_folded": _words([verdict.word for verdict in folded]),
        "not_identifiable": sum(len(level.not_identifiable) for level in report.levels),
    }


def _words(words: Sequence[str]) -> str:
    """The words of several levels, each with how often it stands where there are different ones."""
    counted = Counter(words)
    return ", ".join(
        f"{word} {count}" if len(counted) > 1 else word for word, count in counted.items()
    )


def _group(reports: Sequence[SpectralReport]) -> dict[str, Any]:
    values = list(seed_accuracies(reports).values())
    found = vars(estimate(values)) if values else {}
    mean, std, low, high = (found.get(name) for name in ("mean", "std", "low", "high"))
    return {
        "n": found.get("n", len(reports)),
        "parameters": reports[0].facts["parameters"],
        "mean": mean,
        "std": std,
        # Student's t knows nothing of the ends of a fraction
        "low": None if low is None else max(0.0, low),
        "high": None if high is None else min(1.0, high),
        "mu_start": _mean([_worst(report, "start") for report in reports]),
        "mu_learned": _mean([_worst(report, "learned") for report in reports]),
        "seconds": _mean([report.facts["seconds"] for report in reports]),
    }


def _worst(report: SpectralReport, role: str) -> float | None:
    """The largest smoothing factor of the levels; None where no level has that role, or learned
    coefficients are not identifiable."""
    if role == "learned" and any(level.not_identifiable for level in report.levels):
        return None
    views = [level.views[role] for level in report.levels if role in level.views]
    return max((view.smoothing_factor for view in views), default=None)


def _smoother(report: SpectralReport) -> str:
    """How many levels' learned steps smooth, norms folded in where there are any."""
    if not report.levels:
        return ""
    views = [level.views.get("effective", level.views["learned"]) for level in report.levels]
    return f"{sum(view.verdict == 'smoother' for view in views)} of {len(views)} levels"


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None


TABLES = ("runs", "groups", "pairs")
FILES = (*(f"{name}.csv" for name in TABLES), "comparison.md")


def write_comparison(found: RunComparison, folder: str | os.PathLike[str]) -> list[Path]:
    """Write `FILES`, runs.csv, groups.csv, pairs.csv and comparison.md, each whole or not at
    all."""
    tables = {
        f"{name}.csv": getattr(found, name).to_csv(index=False, lineterminator="\n")
        for name in TABLES
    }
    return write_files(folder, {**tables, "comparison.md": comparison_text(found)})
