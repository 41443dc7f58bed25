"""Numbers of many runs: accuracies with what is noise in them, and smoothing factors of every level
before and after training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from analysis.stats import estimate, fraction_interval
from figures.curves import plain_labels
from figures.given import labelled, numbers
from figures.style import GREY, GUIDE, VERMILION, finished, ink, look, looks, named
from mgtheory._checks import check_whole, is_number
from mgtheory.polynomials.residual import ResidualPolynomial

SMALLEST = 1e-3  # |q| that is drawn
ROW_NAME = 26  # letters of a line beside a row


def draw_accuracies(
    ax: Axes,
    groups: Mapping[str, ArrayLike],
    *,
    images: Mapping[str, int] | None = None,
    floors: Mapping[str, float] | None = None,
    xlabel: str = "test accuracy (%)",
    legend: bool = True,
) -> Axes:
    """One row per configuration: every run a point, and two kinds of noise around the mean, that of
    the test images and that of the seeds.

    The band is what so many images say of an accuracy that is measured on them
    (`fraction_interval`, 95 %): where it may lie on others. Rows that are measured on the same
    images may differ on these although their bands overlap: that is asked by pairs of a seed. The
    bar is the 95 % confidence interval of the mean over the runs (Student's t), cut at 0 and 100 %.

    Parameters
    ----------
    groups
        Label -> one accuracy per run (seed), fractions.
    images
        Label -> number of test images; no band where it is not known.
    floors
        Label -> accuracy of a simple method on the same images, a fraction: a dashed line, with its
        own band behind all rows.
    xlabel
        With its unit.
    """
    for label, count in labelled(images or {}, "images", "their number").items():
        check_whole(count, f"images of {label!r}", 1)
    check_floors(floors)
    ax.use_sticky_edges = False  # the axis goes beyond the bands
    for row, (label, given) in enumerate(labelled(groups, "groups", "accuracies").items()):
        values = numbers([given] if is_number(given) else given, f"accuracies of {label!r}")
        if not (values.size and ((values >= 0.0) & (values <= 1.0)).all()):
            raise ValueError(
                f"accuracies of {label!r} are {values.tolist()}, must be fractions from 0 to 1, one"
                " a run"
            )
        summary, count = estimate(values), (images or {}).get(label)
        if count is not None:
            low, high = fraction_interval(summary.mean, count)
            title, band = "95 % interval by the number of images", 100 * (high - low)
            grey: dict[str, Any] = {"color": GREY, "alpha": 0.235, "zorder": 1}
            ax.barh(row, band, height=0.5, left=100 * low, label=title, **grey)
        spread = np.linspace(-0.12, 0.12, values.size) if values.size > 1 else np.zeros(1)
        marks = {**look(row).on(ax).points, "mfc": "none", "zorder": 4, "label": f"_{label}"}
        ax.plot(100 * values, row + spread, **marks)
        if summary.low is not None and summary.high is not None:
            ends = 100 * np.clip([summary.low, summary.high], 0.0, 1.0)
            title = "95 % interval of the mean over the seeds"
            ax.plot(ends, [row, row], color=ink(ax), linewidth=1.0, zorder=3, label=title)
            mean, tick = [100 * summary.mean] * 2, [row - 0.25, row + 0.25]
            ax.plot(mean, tick, color=ink(ax), linewidth=1.6, zorder=3, label="_mean")
    counts = set((images or {}).values())
    for label, value in (floors or {}).items():
        if len(counts) == 1:  # what the same images say of it
            low, high = fraction_interval(value, next(iter(counts)))
            ax.axvspan(100 * low, 100 * high, color=VERMILION, alpha=0.1, linewidth=0, zorder=0)
        line: dict[str, Any] = {"color": VERMILION, "linewidth": 1.0, "linestyle": (0, (4, 2))}
        ax.axvline(100 * value, zorder=2, label=label, **line)
    ax.set_yticks(range(len(groups)), row_names(groups))
    ax.set_ylim(max(len(groups), 1) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    return finished(ax, xlabel, "", legend=legend)


def row_names(labels: Iterable[str]) -> list[str]:
    """The labels in lines, as they stand beside rows."""
    return [fill(label, ROW_NAME) for label in labels]


def check_floors(floors: Any) -> None:
    """ValueError for floors that are no mapping of labels to fractions."""
    for label, value in labelled(floors or {}, "floors", "an accuracy").items():
        if not (is_number(value) and 0 <= value <= 1):
            raise ValueError(f"the floor {label!r} is {value!r}, must be a fraction from 0 to 1")


def draw_level_factors(
    ax: Axes,
    factors: Mapping[str, Sequence[float | None]],
    *,
    legend: bool = True,
) -> Axes:
    """The smoothing factor of each level, by role (theory, start, learned, effective); above the
    line at 1 nothing is smoothed.

    Parameters
    ----------
    factors
        Role or label -> one number per level, None where there is none.
    """
    labelled(factors, "factors", "a number a level")
    known = {label: numbers(own, f"factors of {label!r}") for label, own in factors.items()}
    levels = max([1, *map(len, known.values())])
    largest, styles = 1.0, looks(factors, ax)
    for k, (label, values) in enumerate(known.items()):
        largest = max(largest, float(np.nanmax(values, initial=1.0)))
        offset = 0.12 * (k - 0.5 * (len(factors) - 1))
        style = styles[label]
        face = style.colour if style.marker == "x" else "none"
        marks = {**style.points, "ms": 5.0, "mew": 1.2, "mfc": face}
        ax.plot(np.arange(1, values.size + 1) + offset, values, label=named(label), **marks)
    ax.axhline(1.0, label="µ = 1: smooths below", **GUIDE)
    if largest > 3.0:
        ax.set_yscale("log")
        plain_labels(ax)
    else:
        ax.set_ylim(bottom=0.0)
    ax.set_xlim(0.5, levels + 0.5)
    ax.set_xticks(range(1, levels + 1))
    return finished(ax, "level", "smoothing factor µ", legend=legend)


def draw_compared(
    ax: Axes, groups: Mapping[str, Sequence[ResidualPolynomial]], *, legend: bool = True
) -> Axes:
    """|q(t)| on (0, 1] of several configurations, logarithmic: the mean of each one's polynomials,
    with a band from the lowest to the highest. Below the line at 1 errors shrink.

    Parameters
    ----------
    groups
        Label -> polynomials in units of b, one for each run (seed).
    """
    styles = looks(groups, ax)
    for label, polynomials in groups.items():
        # at the roots too, so that the curve falls as far at each of them
        zeros = [z.real for q in polynomials for z in q.roots if z.imag == 0.0 <= z.real <= 1.0]
        t = np.unique([*np.linspace(0.0, 1.0, 401), *zeros])
        sizes = np.maximum([np.abs(q(t)) for q in polynomials], SMALLEST)
        ax.semilogy(t, sizes.mean(axis=0), label=named(label), **styles[label].line)
        if len(polynomials) > 1:
            band = sizes.min(axis=0), sizes.max(axis=0)
            ax.fill_between(t, *band, color=styles[label].colour, alpha=0.18, linewidth=0)
    ax.axhline(1.0, **GUIDE)
    ax.set_xlim(0.0, 1.0)
    plain_labels(ax)
    return finished(ax, "t / b", f"max(|q|, {SMALLEST:g}), as learned", legend=legend)
