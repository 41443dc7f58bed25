"""What a start of the coefficients is worth: training by start, how much each amplifies, and what a
start on a Laplacian damps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from figures.curves import draw_training, plain_labels
from figures.polynomials import LINEAR_UP_TO, SCALE, linear_then_logarithmic
from figures.style import DOUBLE, GUIDE, figure, figure_legend, finished, looks, named

LARGEST = 10.0  # training loss that is shown, over the smallest
# |lambda| / b and |q(lambda)| of eigenvalues lambda, and the smoothing factor mu
Cloud = tuple[ArrayLike, ArrayLike, float]


def starts(
    losses: Mapping[str, Sequence[ArrayLike]],
    amplifications: Mapping[str, Sequence[ArrayLike]],
    damped: Mapping[str, Cloud],
    *,
    titles: tuple[str, str, str],
) -> Figure:
    """(a) Training loss by start; (b) max |q| of the levels at the start; (c) |q| on the spectrum
    of a level that starts as a smoother.

    Parameters
    ----------
    losses
        Label -> a training loss per epoch, of every run.
    amplifications
        The same labels -> max |q| of each level, of every run.
    damped
        Role (start, learned) -> |lambda| / b and |q(lambda)| of every eigenvalue, and mu.
    titles
        Of the panels.
    """
    made, axes = figure(1, 3, width=DOUBLE, height=2.6)
    shown: Any = {"log": True, "counted": False, "legend": False}
    draw_training(axes[0, 0], losses, ylabel="training loss", **shown)
    axes[0, 0].lines[0].set_linewidth(2.2)  # the start that is compared with the others
    # where the lowest are told apart; what starts far above enters from the top, at its end at last
    lowest = min(float(np.min(run)) for runs in losses.values() for run in runs)
    last = max(float(np.mean([np.ravel(run)[-1] for run in runs])) for runs in losses.values())
    top = min(max(LARGEST * lowest, 1.5 * last), axes[0, 0].get_ylim()[1])
    axes[0, 0].set_ylim(0.9 * lowest, top)
    plain_labels(axes[0, 0])
    draw_amplifications(axes[0, 1], amplifications)
    draw_damped(axes[0, 2], damped)
    for ax, title in zip(axes.flat, titles, strict=True):
        ax.set_title(title)
    figure_legend(made, [axes[0, 0], axes[0, 2]])
    return made


def draw_amplifications(ax: Axes, groups: Mapping[str, Sequence[ArrayLike]]) -> Axes:
    """max |q| on the spectrum, a point for every level of every run, a row for every label; left of
    the line at 1 everything is damped."""
    styles = looks(groups, ax)
    for row, (label, runs) in enumerate(groups.items()):
        values = np.concatenate([np.ravel(np.asarray(run, float)) for run in runs])
        marks = {**styles[label].points, "mfc": "none", "label": f"_{label}"}
        ax.plot(values, np.full(values.size, row), **marks)
    ax.axvline(1.0, **GUIDE)
    ax.set_xscale("log")
    ax.set_yticks(range(len(groups)), list(groups))
    ax.set_ylim(len(groups) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    return finished(ax, "max |q| of a level at the start", "", legend=False)


def draw_damped(ax: Axes, clouds: Mapping[str, Cloud]) -> Axes:
    """|q(lambda)| against |lambda| / b, a point for every eigenvalue; below the line at 1 a mode is
    damped."""
    largest, styles = 1.0, looks(clouds, ax)
    for label, (size, values, mu) in clouds.items():
        dots: Any = {"color": styles[label].colour, "alpha": 0.7, "markeredgewidth": 0}
        ax.plot(np.ravel(size), np.ravel(values), ".", ms=3.0, label=f"_{label}", **dots)
        name = f"{named(label)}: µ = {mu:.3g}"
        ax.plot([], [], "o", ms=4.0, color=styles[label].colour, label=name)
        largest = max(largest, float(np.max(values)))
    ax.axhline(1.0, **GUIDE)
    ylabel = "|q(λ)|"
    if largest > LINEAR_UP_TO:
        linear_then_logarithmic(ax)
        ylabel += f"\n({SCALE})"
    ax.set_xlim(0.0, 1.02)
    ax.set_ylim(bottom=0.0)
    return finished(ax, "|λ| / b", ylabel, legend=False)
