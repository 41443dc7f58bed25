"""All figures of runs, and the gallery of the theory: `make(runs, out)` and `make_gallery(out)`
write PNG and PDF and return the paths.

A figure of one run is an entry of `RUN_FIGURES`: name -> function(report) -> Figure, or None where
the run has nothing of the kind. A figure of all runs together is an entry of `COMMON_FIGURES`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.runs.comparison import (
    check_runs,
    configuration_of,
    numbered,
    seed_accuracies,
    unique_labels,
)
from analysis.runs.records import read_metrics
from analysis.runs.report import analyse
from analysis.runs.results import SpectralReport
from analysis.stats import groups_of
from figures.curves import draw_training
from figures.gallery import GALLERY
from figures.runs.along import along
from figures.runs.several import check_floors, draw_accuracies, draw_compared, row_names
from figures.runs.views import PANELS, convergence, damping, learned, levels, polynomials, spectra
from figures.style import (
    DOUBLE,
    About,
    figure,
    figure_legend,
    panel_letters,
    panels,
    paper,
    save,
    signed,
)
from mgtheory._checks import check_callable, check_name

LINE = 0.14  # inches of a line of a row's name
Progress = Callable[[int, str], None]
Job = tuple[str, Callable[[], Figure | None], About]


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: its report, its history, its configuration but the seed, a name for files."""

    report: SpectralReport
    metrics: pd.DataFrame
    key: str
    name: str


@dataclass(frozen=True, eq=False)
class Together:
    """The runs of a figure of all runs by their configuration, and the floors of their
    accuracies."""

    configurations: Mapping[str, Sequence[Run]]
    floors: Mapping[str, float]


def make(
    runs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    floors: Mapping[str, float] | None = None,
    progress: Progress | None = None,
    guard: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Every figure of the runs, as PNG and PDF.

    Parameters
    ----------
    runs
        Finished run folders; they are analysed first where they have not been.
    out
        The folder of the figures, made if missing. Figures of one run carry its name in front if
        several are given.
    floors
        Label -> test accuracy of a simple method on the same images, a fraction: a line among the
        accuracies.
    progress
        Called with (figures done, name of the next).
    guard
        Called with every path that may be written before anything is drawn; raises where one must
        not be.

    Raises
    ------
    FileNotFoundError, ValueError
        No run given, or a folder that is missing, unfinished, truncated or foreign: one line, and
        nothing is drawn.
    """
    check_runs(runs)
    check_floors(floors)
    check_callable(progress, "progress")
    check_callable(guard, "guard")
    names = numbered([Path(run).resolve().name for run in runs], "-")
    loaded = [
        Run(analyse(run), read_metrics(run), configuration_of(run), name)
        for run, name in zip(runs, names)
    ]
    jobs: list[Job] = []
    for one in loaded:
        prefix = f"{one.name}_" if len(loaded) > 1 else ""
        whose = f"{one.report.label}, {one.name}"
        jobs += [
            (prefix + name, partial(_signed, draw, one.report, whose), _about(draw, whose))
            for name, draw in RUN_FIGURES.items()
        ]
    grouped = groups_of(loaded, lambda run: run.key)
    labels = unique_labels([members[0].report for members in grouped.values()], list(grouped))
    together = Together(dict(zip(labels, grouped.values())), floors or {})
    whose = ", ".join(labels)
    jobs += [
        (name, partial(draw, together), _about(draw, whose))
        for name, draw in COMMON_FIGURES.items()
    ]
    return _draw(jobs, Path(out), progress, guard)


def make_gallery(
    out: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
    guard: Callable[[Path], None] | None = None,
) -> list[Path]:
    """The figures of the theory, as PNG and PDF; all of `GALLERY` or those named."""
    if isinstance(names, str):
        raise ValueError(f"names are {names!r}, must be a list of names")
    chosen = list(GALLERY if names is None else names)
    for name in chosen:
        check_name(name, list(GALLERY), "figure")
    jobs = [(name, GALLERY[name], _about(GALLERY[name], "theory")) for name in chosen]
    return _draw(jobs, Path(out), progress, guard)


def _about(draw: Callable[..., Any], whose: str) -> About:
    """Title and caption: whose figure it is, and what is seen in it."""
    return whose, " ".join((inspect.getdoc(draw) or "").split())


def _signed(
    draw: Callable[[SpectralReport], Figure | None], report: SpectralReport, whose: str
) -> Figure | None:
    made = draw(report)
    if made is not None:
        signed(made, whose)
    return made


def _draw(
    jobs: Sequence[Job],
    out: Path,
    progress: Progress | None,
    guard: Callable[[Path], None] | None,
) -> list[Path]:
    written: list[Path] = []
    if guard is not None:  # before anything is drawn
        for name, *_ in jobs:
            for suffix in (".png", ".pdf"):
                guard(out / f"{name}{suffix}")
    with paper():
        for done, (name, job, about) in enumerate(jobs):
            if progress:
                progress(done, name)
            made = job()
            if made is not None:
                written += save(made, out / name, about=about)
    return written


def training(given: Together) -> Figure | None:
    """Training loss and validation accuracy of every configuration against the epoch."""
    metrics = {name: [run.metrics for run in own] for name, own in given.configurations.items()}
    every = [m for own in metrics.values() for m in own]
    panels = [
        ("train_loss", "training loss", 1.0, True),
        ("val_accuracy", "validation accuracy (%)", 100.0, False),
    ]
    found = [p for p in panels if all(p[0] in m and m[p[0]].notna().any() for m in every)]
    if not found:
        return None
    made, axes = figure(1, len(found), width=DOUBLE, height=2.7)
    for ax, (column, label, factor, log) in zip(axes.flat, found):
        curves = {
            name: [m[column].dropna().to_numpy() for m in own] for name, own in metrics.items()
        }
        draw_training(ax, curves, ylabel=label, factor=factor, log=log, legend=False)
    figure_legend(made)
    panel_letters(axes.flat)
    return made


def accuracies(given: Together) -> Figure | None:
    """Test accuracies with what is noise in them, and `make`'s floors; for two runs or more."""
    reports = {name: [run.report for run in own] for name, own in given.configurations.items()}
    by_seed = {name: seed_accuracies(own) for name, own in reports.items()}
    values = {name: list(found.values()) for name, found in by_seed.items() if found}
    if sum(map(len, reports.values())) < 2 or not values:
        return None
    counts = {name: reports[name][0].facts["tested_on"] for name in values}
    known = {name: count for name, count in counts.items() if count}
    alike = len(known) == len(values) and len(set(known.values())) == 1
    one = next(iter(known.values()), 0)
    lines = max(name.count("\n") + 1 for name in row_names(values))
    made, axes = figure(1, 1, width=DOUBLE, height=1.1 + max(0.3, LINE * lines) * len(values))
    noise = f" on {one:,} images, one is {100 / one:.2g} %" if alike else ""
    label = f"test accuracy (%){noise}"
    floors = given.floors
    draw_accuracies(axes[0, 0], values, images=known, floors=floors, xlabel=label, legend=False)
    if axes[0, 0].get_legend_handles_labels()[1]:
        figure_legend(made)
    return made


def compared(given: Together) -> Figure | None:
    """|q| of every level as learned, in units of its own b, by configuration: mean and range of the
    seeds, norms folded in where they take the coefficients' meaning away; for two runs or more."""
    reports = {name: [run.report for run in own] for name, own in given.configurations.items()}
    if sum(map(len, reports.values())) < 2:
        return None
    count = max(len(report.levels) for own in reports.values() for report in own)
    shown = [{name: learned(own, k) for name, own in reports.items()} for k in range(count)]
    shown = [found for own in shown if (found := {name: q for name, q in own.items() if q})]
    if not shown:
        return None
    made, axes = panels(len(shown), PANELS, height=2.2, extra=0.3, width=DOUBLE)
    for k, (ax, own) in enumerate(zip(axes.flat, shown)):
        draw_compared(ax, own, legend=False)
        ax.set_title(f"level {k + 1}")
        if k % PANELS:
            ax.set_ylabel("")
    figure_legend(made)
    return made


RUN_FIGURES: dict[str, Callable[[SpectralReport], Figure | None]] = {
    "polynomials": polynomials,
    "spectra": spectra,
    "damping": damping,
    "levels": levels,
    "convergence": convergence,
    "along": along,
}

COMMON_FIGURES: dict[str, Callable[[Together], Figure | None]] = {
    "training": training,
    "accuracies": accuracies,
    "compared": compared,
}
