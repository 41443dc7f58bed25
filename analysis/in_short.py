"""Runs in three sentences that need no knowledge of the field: how good, what training did to the
theory's polynomials, and whether the levels smooth."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.level_report import LevelReport, View
from analysis.numbers import number
from analysis.results import RunComparison, SpectralReport
from analysis.spectra import SMOOTHER
from analysis.stats import fraction_interval, groups_of
from analysis.verdict import (
    AWAY,
    ELSEWHERE,
    KEPT,
    LEFT,
    NEAR,
    NOT_IDENTIFIABLE,
    REDISCOVERED,
    RESCALED,
)

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
    NEAR: "with the norms counted in, what is left is near the theory's polynomial",
    AWAY: "with the norms counted in, what is left is away from the theory's polynomial",
}


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
        f"In {smooth or 'none'} of the {len(words)} runs with levels is every level a smoother in"
        " the end, so that one pass shrinks every error that a coarser grid cannot see."
        if words
        else "None of the runs has levels, so multigrid theory has nothing to say of them."
    )
    return [_best(found), _difference(found), ending]


def _accuracy(report: SpectralReport) -> str:
    facts = report.facts
    epochs = f"{facts['epochs']} epoch{'s' if facts['epochs'] != 1 else ''}"
    accuracy, count = facts["test_accuracy"], facts["tested_on"]
    who = f"After {epochs} on {facts['data']}, the network {report.label}"
    if accuracy is None:
        value = facts["val_accuracy"]
        held = "" if value is None else f"; of the held-back images it names {_percent(value)}"
        return f"{who} was not tested on images of its own{held}."
    text = f"{who} names {_percent(accuracy)} of {f'{count:,} ' if count else ''}unseen images"
    if not count:
        return f"{text} correctly."
    low, high = fraction_interval(accuracy, count)
    return (
        f"{text} correctly; so many images pin the true rate down to {100 * low:.1f} to"
        f" {100 * high:.1f} % (95 % interval)."
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
        folded = {v.word: FOLDED[v.word] for x in levels if (v := x.effective_verdict) is not None}
        also = f" ({', '.join(folded.values())})" if folded and word == NOT_IDENTIFIABLE else ""
        parts.append(f"{DID[word]}{_on(levels, report)}{also}")
    measured = report.theory["name"]
    return f"Training {'; it '.join(parts)}; the theory is {measured}."


def _smoothing(report: SpectralReport) -> str:
    if not report.levels:
        return "There is no smoothing to be measured."
    views = {level.level: judged(level) for level in report.levels}
    worst = max(views, key=lambda k: views[k].smoothing_factor)
    good = [k for k, view in views.items() if view.verdict == SMOOTHER]
    size = number(views[worst].smoothing_factor, 3)
    if len(good) == len(views):
        return (
            "Every level is a smoother in the end: one pass leaves at most"
            f" {size} of the errors that a coarser grid cannot see (largest at level {worst})."
        )
    some = f"Only {_levels(good)} of {len(views)} levels is" if len(good) == 1 else ""
    some = some or (f"Of {len(views)} levels {_levels(good)} are" if good else "No level is")
    return (
        f"{some} a smoother in the end: at level {worst} one pass multiplies an error that a"
        f" coarser grid cannot see by {size}, above 1."
    )


def _best(found: RunComparison) -> str:
    table = found.groups.dropna(subset=["mean"]).sort_values("mean", ascending=False)
    if table.empty:
        return "None of the runs was tested."
    shown = []
    for row in table.head(2).to_dict(orient="records"):
        spread = f" ± {100 * row['std']:.2f}" if row["n"] > 1 else ""
        seeds = f"{row['n']} seed{'s' if row['n'] > 1 else ''}"
        shown.append(f"{row['configuration']} ({100 * row['mean']:.2f}{spread} % over {seeds})")
    if len(shown) == 1:
        return f"There is one configuration, {shown[0]} of test accuracy."
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
            size = abs(100 * row["difference"])
            return (
                f"The difference between these two, {size:.2f} points over {row['seeds']} shared"
                f" seeds, {told} (p = {number(row['p_holm'], 2)}, adjusted for"
                f" {len(pairs)} comparison{'s' if len(pairs) > 1 else ''})."
            )
    if len(names) < 2:
        return "There is nothing to compare it with."
    return "They share too few seeds for their difference to be told from chance."


def _on(levels: Sequence[LevelReport], report: SpectralReport) -> str:
    if len(levels) == len(report.levels):
        return "" if len(levels) == 1 else " on every level"
    return f" on {_levels([level.level for level in levels])}"


def _levels(numbers: Sequence[int]) -> str:
    return f"level{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"
