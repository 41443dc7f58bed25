"""Numbers of many runs: accuracies with their confidence intervals, and smoothing factors of every level before and after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from analysis.stats import estimate
from figures.style import BLACK, GREY, legend_above, look, look_of, named

__all__ = ["draw_accuracies", "draw_level_factors"]


def draw_accuracies(ax: Axes, groups: Mapping[str, ArrayLike], *, xlabel: str = "test accuracy (%)", factor: float = 100.0) -> Axes:
    """One row per configuration: every run as a point, the mean as a bar with its 95 % confidence interval (Student's t).

    Parameters
    ----------
    groups
        Label -> one number per run (seed).
    xlabel
        With its unit.
    factor
        Multiplies the numbers.
    """
    for row, (label, given) in enumerate(groups.items()):
        values = factor * np.atleast_1d(np.asarray(given, dtype=float))
        summary = estimate(values)
        spread = np.linspace(-0.12, 0.12, values.size) if values.size > 1 else np.zeros(1)
        ax.plot(
            values, row + spread, linestyle="none", marker=look(row).marker, color=look(row).colour, markerfacecolor="none", label=label
        )
        if summary.low is not None and summary.high is not None:
            ax.plot([summary.low, summary.high], [row, row], color=BLACK, linewidth=1.0, zorder=1, label="_interval")
            ax.plot([summary.mean] * 2, [row - 0.25, row + 0.25], color=BLACK, linewidth=1.6, zorder=1, label="_mean")
    ax.set_yticks(range(len(groups)), list(groups))
    ax.set_ylim(len(groups) - 0.5, -0.5)
    ax.set_xlabel(xlabel)
    ax.grid(axis="y", visible=False)
    return ax


def draw_level_factors(
    ax: Axes, factors: Mapping[str, Sequence[float | None]], *, ylabel: str = "smoothing factor µ", columns: int = 3, legend: bool = True
) -> Axes:
    """The smoothing factor of each level, by role (theory, start, learned, effective); above the line at 1 nothing is smoothed.

    Parameters
    ----------
    factors
        Role or label -> one number per level, None where there is none.
    """
    levels = max((len(values) for values in factors.values()), default=0)
    largest = 1.0
    for k, (label, values) in enumerate(factors.items()):
        numbers = np.array([np.nan if value is None else value for value in values], dtype=float)
        largest = max(largest, float(np.nanmax(numbers, initial=1.0)))
        offset = 0.12 * (k - 0.5 * (len(factors) - 1))
        style = look_of(label, k)
        ax.plot(
            np.arange(1, numbers.size + 1) + offset,
            numbers,
            label=named(label),
            linestyle="none",
            marker=style.marker,
            color=style.colour,
            markerfacecolor="none" if style.marker != "x" else style.colour,
            markersize=5.0,
            markeredgewidth=1.2,
        )
    ax.axhline(1.0, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1, label="µ = 1: smooths below")
    if largest > 3.0:
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0.0)
    ax.set_xlim(0.5, levels + 0.5)
    ax.set_xticks(range(1, levels + 1))
    ax.set_xlabel("level")
    ax.set_ylabel(ylabel)
    if legend:
        legend_above(ax, columns=columns)
    return ax
