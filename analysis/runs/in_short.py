"""Runs in three sentences that need no knowledge of the field: how good, what training did to the
theory's polynomials, and whether the levels smooth; in six lines for a terminal; and in tables that
it has room for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.levels.report import LevelReport, View
from analysis.levels.spectra import SMOOTHER
from analysis.levels.verdict import (
    AWAY,
    ELSEWHERE,
    KEPT,
    LEFT,
    NEAR,
    NO_SPECTRUM,
    NOT_IDENTIFIABLE,
    REDISCOVERED,
    RESCALED,
)
from analysis.numbers import number
from analysis.runs.results import RunComparison, SpectralReport
from analysis.stats import fraction_interval, groups_of
from mgtheory.multigrid.solution import counted

# word of a verdict -> what training did, in plain words; the levels stand behind it
DID = {
    KEPT: "kept the theory's polynomial",
    RESCALED: "kept the shape of the theory's polynomial while its operator A changed size",
    LEFT: "moved away from the theory's polynomial that it started from",
    REDISCOVERED: "found the theory's polynomial from another start",
    ELSEWHERE: "started away from the theory's polynomial and stayed away from it",
    NOT_IDENTIFIABLE: (
        "may have changed the coefficients without changing the network, since norms stand in"
        " between, so nothing is read from them as they stand"
    ),
}
FOLDED = {
    NEAR: "near the theory's polynomial",
    AWAY: "away from the theory's polynomial",
}
# of a start without a spectrum
DID |= {word: f"ended {where}" for word, where in FOLDED.items()}
DID[NO_SPECTRUM] = "left an A of spectral radius 0, on whose spectrum every q is 1"


ORIGINS = {"start": "from which it started", "reference": "for comparison", "none": "none"}


def judged(level: LevelReport) -> View:
    """The view that stands for what the level does in the end: learned, norms folded in where there
    are any."""
    return level.views.get("effective", level.views["learned"])


def run_in_short(report: SpectralReport) -> list[str]:
    """Three sentences on a run."""
    return [_accuracy(report), _training(report), _smoothing(report)]


def runs_in_short(found: RunComparison) -> list[str]:
    """Three sentences on several runs."""
    words = [report for report in found.reports if report.levels]
    smooth = sum(all(judged(level).verdict == SMOOTHER for level in r.levels) for r in words)
    ending = (
        f"In {smooth or 'none'} of the {counted(len(words), 'run')} with levels is every level a"
        " smoother in the end: one whose pass shrinks every error that a coarser grid cannot see."
        if words
        else "None of the runs has levels, so multigrid theory has nothing to say of them."
    )
    if len(images := {report.facts["data"] for report in found.reports}) > 1:
        apart = f"The runs are of different images ({', '.join(sorted(images))})"
        return [f"{apart}, so that their accuracies do not compare.", ending]
    return [_best(found), _difference(found), ending]


def run_in_lines(report: SpectralReport) -> list[tuple[str, str]]:
    """A run in five lines, name and text, for a terminal: what `run_in_short` says, in the words of
    the field, which the report's Markdown explains."""
    facts, theory = report.facts, report.theory
    epochs = counted(facts["epochs"], "epoch")
    accuracy, count = facts["test_accuracy"], facts["tested_on"]
    tested = "not tested on images of its own" if accuracy is None else _percent(accuracy)
    if accuracy is not None and count:
        tested += f" of {count:,} unseen images (95 % interval {_interval(facts)})"
    trained = f"{facts['data']}, {epochs}, seed {facts['seed']}, {facts['parameters']:,} weights"
    by_word = groups_of(report.levels, lambda level: level.verdict.word)
    words = [f"{word}{_on(levels, report.levels)}" for word, levels in by_word.items()]
    smooth = "no levels"
    if report.levels:
        views, good, worst, size = _smoothers(report)
        smooth = (
            f"{len(good)} of {counted(len(views), 'level')} smooth; largest µ {size}, level {worst}"
        )
    return [
        ("trained on", trained),
        ("accuracy", tested),
        ("theory", f"{theory['name']} ({ORIGINS[theory['origin']]})" if theory["name"] else "none"),
        ("training", "; ".join(words) or "no polynomial"),
        ("smoothing", smooth),
    ]


LEVEL_COLUMNS = ("level", "b", "µ start", "µ end", "max |q|", "nearest", "at")


def level_rows(report: SpectralReport) -> list[list[Any]]:
    """A row of `LEVEL_COLUMNS` for every level: b, µ and max |q| at the end, norms folded in where
    there are any, and the classical polynomial nearest to q."""
    rows = []
    for level in report.levels:
        end, start = judged(level), level.views.get("start")
        verdicts = [v for v in (level.verdict, level.effective_verdict) if v is not None]
        near = next((v.nearest for v in verdicts if v.nearest is not None), None)
        name = near and f"{near.family} {near.degree}{' in A²' if near.squared else ''}"
        numbers = (
            level.operators["learned"].radius,
            start and start.smoothing_factor,
            *(end.smoothing_factor, end.max_modulus),
        )
        shown = [number(value, 3) for value in numbers]
        rows.append([level.level, *shown, name or "", near and number(near.distance, 2)])
    return rows


RUN_COLUMNS = ("configuration", "seed", "test (%)", "µ start", "µ end", "smooth")


def run_rows(found: RunComparison) -> list[list[Any]]:
    """A row of `RUN_COLUMNS` for every run, µ the largest of its levels."""
    rows = []
    for name, report in zip(found.runs["configuration"], found.reports, strict=True):
        accuracy = report.facts["test_accuracy"]
        tested = None if accuracy is None else f"{100 * accuracy:.2f}"
        starts = [
            one.views["start"].smoothing_factor for one in report.levels if "start" in one.views
        ]
        worst = smooth = None
        if report.levels:
            views, good, _, worst = _smoothers(report)
            smooth = f"{len(good)} of {len(views)}"
        start = number(max(starts), 3) if starts else None
        rows.append([name, report.facts["seed"], tested, start, worst, smooth])
    return rows


GROUP_COLUMNS = ("configuration", "n", "mean (%)", "std", "95 % from", "to")
PAIR_COLUMNS = ("first", "second", "seeds", "difference", "p (Holm)")


def group_rows(found: RunComparison) -> list[list[Any]]:
    """A row of `GROUP_COLUMNS` for every configuration: its test accuracy over the seeds."""
    return [
        [row["configuration"], row["n"], *(_points(row[k]) for k in ("mean", "std", "low", "high"))]
        for row in found.groups.to_dict(orient="records")
    ]


def pair_rows(found: RunComparison) -> list[list[Any]]:
    """A row of `PAIR_COLUMNS` for every two configurations with shared seeds."""
    return [
        [
            *(row["first"], row["second"], row["seeds"], _points(row["difference"])),
            None if pd.isna(row["p_holm"]) else number(row["p_holm"], 2),
        ]
        for row in found.pairs.to_dict(orient="records")
    ]


def _points(value: Any) -> str | None:
    return None if value is None or pd.isna(value) else f"{100 * value:.2f}"


def _accuracy(report: SpectralReport) -> str:
    facts = report.facts
    epochs = counted(facts["epochs"], "epoch")
    accuracy, count = facts["test_accuracy"], facts["tested_on"]
    who = f"After {epochs} on {facts['data']}, the network {report.label}"
    if accuracy is None:
        value = facts["val_accuracy"]
        held = "" if value is None else f"; of the held-back images it names {_percent(value)}"
        return f"{who} was not tested on images of its own{held}."
    text = f"{who} names {_percent(accuracy)} of {f'{count:,} ' if count else ''}unseen images"
    if not count:
        return f"{text} correctly."
    return (
        f"{text} correctly; so many images pin the true rate down to {_interval(facts)}"
        " (95 % interval)."
    )


def _training(report: SpectralReport) -> str:
    if not report.levels:
        return "It has no levels and no polynomial, so multigrid theory has nothing to say of it."
    if not report.has_polynomial:
        return (
            "Its steps are learned convolutions and no polynomials, so there is none of the"
            " theory's to keep or leave."
        )
    parts = []
    for word, levels in groups_of(report.levels, lambda level: level.verdict.word).items():
        also = _folded(levels) if word == NOT_IDENTIFIABLE else ""
        parts.append(f"{DID[word]}{_on(levels, report.levels)}{also}")
    measured = report.theory["name"]
    return f"Training {'; it '.join(parts)}; the theory is {measured}."


def _folded(levels: Sequence[LevelReport]) -> str:
    """What is left of levels whose coefficients say nothing as they stand."""
    found: dict[str, list[LevelReport]] = {}
    for level in levels:
        if level.effective_verdict is not None:
            found.setdefault(level.effective_verdict.word, []).append(level)
    on = {word: _on(own, levels) if len(found) > 1 else "" for word, own in found.items()}
    ends = " and ".join(f"{FOLDED[word]}{which}" for word, which in on.items())
    return f" (with the norms counted in, what is left is {ends})" if found else ""


def _interval(facts: dict[str, Any]) -> str:
    low, high = fraction_interval(facts["test_accuracy"], facts["tested_on"])
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def _smoothers(report: SpectralReport) -> tuple[dict[int, View], list[int], int, str]:
    """The view of every level in the end, the levels that smooth, that with the largest smoothing
    factor, and this factor."""
    views = {level.level: judged(level) for level in report.levels}
    worst = max(views, key=lambda k: views[k].smoothing_factor)
    good = [k for k, view in views.items() if view.verdict == SMOOTHER]
    return views, good, worst, number(views[worst].smoothing_factor, 3)


def _smoothing(report: SpectralReport) -> str:
    if not report.levels:
        return "There is no smoothing to be measured."
    views, good, worst, size = _smoothers(report)
    if len(good) == len(views):
        return (
            "Every level is a smoother in the end: one pass leaves at most"
            f" {size} of the errors that a coarser grid cannot see (largest at level {worst})."
        )
    some = f"Only {levels_text(good)} of {len(views)} levels is" if len(good) == 1 else ""
    some = some or (f"Of {len(views)} levels {levels_text(good)} are" if good else "No level is")
    return (
        f"{some} a smoother in the end: at level {worst} one pass multiplies an error that a"
        f" coarser grid cannot see by {size}, not below 1."
    )


def _best(found: RunComparison) -> str:
    table = found.groups.dropna(subset=["mean"]).sort_values("mean", ascending=False)
    if table.empty:
        return "None of the runs was tested."
    shown, two = [], table.head(2).to_dict(orient="records")
    for row in two:
        seeds = f" over {row['n']} seeds" if row["n"] > 1 else " with one seed"
        spread = f", standard deviation {100 * row['std']:.2f}" if row["n"] > 1 else ""
        shown.append(f"{row['configuration']} ({_percent(row['mean'])}{seeds}{spread})")
    if len(shown) == 1:
        return f"There is one configuration, {shown[0]} of test accuracy."
    if math.isclose(two[0]["mean"], two[1]["mean"], rel_tol=1e-12):
        return (
            f"Of {len(table)} configurations {shown[0]} and {shown[1]} name as many unseen images"
            " correctly, and none names more."
        )
    return (
        f"Of {len(table)} configurations {shown[0]} names the most unseen images correctly, before"
        f" {shown[1]}."
    )


def _difference(found: RunComparison) -> str:
    table = found.groups.dropna(subset=["mean"]).sort_values("mean", ascending=False)
    names = list(table["configuration"].head(2))
    pairs = [] if found.pairs.empty else found.pairs.to_dict(orient="records")
    for row in pairs:
        if {row["first"], row["second"]} == set(names) and pd.notna(row["p_holm"]):
            beyond = row["p_holm"] < 0.05
            told = "is more than chance explains" if beyond else "may be chance"
            size = 100 * row["difference"] * (1 if row["first"] == names[0] else -1)
            # all seeds decide which mean is larger, those that both have decide the difference
            other = f", on which {names[1]} is ahead" if size < 0 else ""
            return (
                f"The difference between these two, {abs(size):.2f} points over {row['seeds']}"
                f" shared seeds{other}, {told} (p = {number(row['p_holm'], 2)}, adjusted for"
                f" {len(pairs)} comparison{'s' if len(pairs) > 1 else ''})."
            )
    if len(names) < 2:
        return "There is nothing to compare it with."
    return "They share too few seeds for their difference to be told from chance."


def _on(levels: Sequence[LevelReport], every: Sequence[LevelReport]) -> str:
    if len(levels) == len(every):
        return "" if len(levels) == 1 else " on every level"
    return f" on {levels_text([level.level for level in levels])}"


def levels_text(numbers: Sequence[int]) -> str:
    """Levels by number: level 2, or levels 1, 2."""
    return f"level{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"
