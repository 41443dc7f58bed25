"""Figures of studies: a measure along the degree (or another key) for everything that is compared,
and against what a run costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.studies import COSTS, MEASURES, Grid, Measure, Place, Question
from analysis.study_text import axis_text, place_text
from figures.style import (
    BLACK,
    COLOURS,
    DOUBLE,
    GREY,
    GUIDE,
    LIGHT_GREY,
    Look,
    figure_legend,
    finished,
    look,
    panel_letters,
    panels,
)
from mgtheory.polynomials.bounded import AMPLIFICATION

FARTHEST = 1e6
OTHERS = [k for k, colour in enumerate(COLOURS) if colour != BLACK]
ACROSS = 4  # panels of one measure beside one another
SHOWN = 0.8  # of all means; the worst lie beyond the axis, which would hide the others


def study_figure(grid: Grid, question: Question) -> Figure:
    """The figure of one scale: a row a measure; a column for every panel, or for every cost."""
    names = [name for name in question.measures if name in grid.measures]
    places = question.panels(grid)
    if question.along is None:
        columns: list[Any] = [cost for cost in COSTS if _costs(grid, cost)]
    else:
        columns = list(places)
    cells = [(name, column) for name in names for column in columns]
    across = len(columns) if len(names) > 1 else ACROSS
    made, axes = panels(len(cells), across, width=DOUBLE, height=2.1, extra=0.7)
    for ax, (name, column) in zip(axes.flat, cells):
        if question.along is None:
            draw_costs(ax, grid, name, column)
            continue
        draw_along(ax, grid, places[column], name, question=question)
        if column and name == names[0]:
            ax.set_title(place_text(column))
    if question.along is not None:
        figure_legend(made)
    panel_letters(axes.flat[: len(cells)])
    return made


def draw_along(
    ax: Axes, grid: Grid, places: Mapping[Any, Place], name: str, *, question: Question
) -> Axes:
    """A curve for everything that is compared: means with 95 % intervals at every value along the
    axis.

    The candidate is thick and black; the values that were searched are grey, and a dashed line
    joins the best of them at each place. The axis is cut where the worst means would hide the rest.
    """
    measure, where = MEASURES[name], list(places)
    means: list[float] = []
    others = _others(grid, question)
    for value in (*question.searched, *others, question.candidate or ""):
        cells = [grid.cells[place].get(value) for place in places.values()]
        found = [cell.estimate(name) if cell else None for cell in cells]
        known = {k: one for k, one in enumerate(found) if one is not None}
        if not known:
            continue
        y = measure.unit * np.array([one.mean for one in known.values()])
        half = [measure.unit * (one.half or 0.0) for one in known.values()]
        means += y.tolist()
        style: dict[str, Any] = {"label": value, "capsize": 1.5, "elinewidth": 0.7}
        if value == question.candidate:
            style |= {"color": BLACK, "linewidth": 2.2, "marker": "o", "zorder": 5}
        elif value in question.searched:
            style |= {"color": LIGHT_GREY, "linewidth": 0.8, "label": "each searched", "zorder": 2}
        else:
            style |= _look(others.index(value)).marked | {"zorder": 3}
        ax.errorbar(list(known), y, yerr=half, **style)
    if question.searched:
        best = {
            k: grid.cells[place][pick].estimate(name)
            for k, place in enumerate(places.values())
            if (pick := grid.best(name, place, question.searched)) is not None
        }
        joined = [measure.unit * one.mean for one in best.values() if one is not None]
        line: dict[str, Any] = {"color": GREY, "linestyle": (0, (4, 2)), "zorder": 4}
        ax.plot(list(best), joined, label="best of the searched", **line)
    _cut(ax, means, measure)
    ax.set_xticks(range(len(where)), [str(one) for one in where])
    return finished(ax, axis_text(question.along or ""), measure.title, legend=False)


def modulus_figure(grid: Grid, question: Question) -> Figure:
    """The first measure against max |q| at the start, a panel for each place."""
    places = list(grid.cells)
    shape: Any = {"width": DOUBLE, "height": 1.9, "extra": 0.7}
    made, axes = panels(len(places), ACROSS + 1, sharey=True, **shape)
    for ax, place in zip(axes.flat, places):
        draw_modulus(ax, grid, place, question=question)
        ax.set_title(place_text(place).replace(", ", "\n"))
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
    name = question.measures[0]
    known = [cell.estimate(name) for cells in grid.cells.values() for cell in cells.values()]
    means = [MEASURES[name].unit * one.mean for one in known if one is not None]
    _cut(axes[0, 0], means, MEASURES[name])
    figure_legend(made)
    return made


def draw_modulus(ax: Axes, grid: Grid, place: Place, *, question: Question) -> Axes:
    """A point for everything that is compared: the mean of the first measure against max |q| at the
    start; the dashed line is the one that `bounded` takes by itself."""
    name, others = question.measures[0], _others(grid, question)
    measure = MEASURES[name]
    for value in grid.compared:
        cell = grid.cells[place].get(value)
        if cell is None or cell.max_modulus is None or (found := cell.estimate(name)) is None:
            continue
        if value == question.candidate:
            style: dict[str, Any] = {"color": BLACK, "marker": "o", "zorder": 5, "label": value}
        elif value in question.searched:
            style = {"color": LIGHT_GREY, "marker": "o", "label": "each searched"}
        else:
            style = _look(others.index(value)).points | {"mfc": "white", "label": value}
        # beyond the axis a polynomial of degree 16 and more says no more
        at = min(max(cell.max_modulus, 1.0), FARTHEST)
        ax.plot([at], [measure.unit * found.mean], **{"linestyle": "none"} | style)
    ax.axvline(AMPLIFICATION, **GUIDE)
    ax.set_xscale("log")
    ax.set_xlim(0.8, 1.25 * FARTHEST)
    ax.set_xticks([1, 1e2, 1e4, FARTHEST], ["1", "10²", "10⁴", "≥ 10⁶"])
    ax.minorticks_off()
    return finished(ax, "max |q| at the start", measure.title, legend=False)


def _cut(ax: Axes, means: Sequence[float], measure: Measure) -> None:
    """The y axis: logarithmic, or from the best mean to where `SHOWN` of all means end."""
    if measure.log:
        ax.set_yscale("log")
    elif means:
        down = measure.smaller_is_better
        ends = np.quantile(means, [SHOWN, 0.0] if down else [1.0 - SHOWN, 1.0])
        pad = 0.1 * float(np.ptp(ends)) or 0.1 * abs(float(ends[0])) or 1.0
        ax.set_ylim(min(ends) - pad, max(ends) + pad)


def _others(grid: Grid, question: Question) -> list[str]:
    """What is neither the candidate nor searched."""
    return [one for one in grid.compared if one not in (question.candidate, *question.searched)]


def _look(index: int) -> Look:
    """The look of what is neither the candidate, which has black, nor searched; colours return
    after eight, each with another line and marker."""
    again, k = divmod(index, len(OTHERS))
    own, partner = look(OTHERS[k]), look(OTHERS[(k + 3 * again) % len(OTHERS)])
    return Look(own.colour, partner.dashes, partner.marker)


def draw_costs(ax: Axes, grid: Grid, name: str, cost: str) -> Axes:
    """Everything that is compared as a point: its mean and 95 % interval against what a run
    costs."""
    measure, points = MEASURES[name], _costs(grid, cost, name)
    for k, (label, x, found) in enumerate(points):
        y, half = measure.unit * found.mean, measure.unit * (found.half or 0.0)
        ax.errorbar([x], [y], yerr=[half], **look(k).points)
        ax.annotate(label, (x, y), (4, 3), textcoords="offset points", fontsize=6.5)
    costs = [x for _, x, _ in points]
    if costs and max(costs) >= 10 * min(costs):
        ax.set_xscale("log")
    else:  # the numbers between two powers of 10 would stand on one another
        ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.margins(x=0.2)
    return finished(ax, COSTS[cost], measure.title, legend=False)


def _costs(grid: Grid, cost: str, name: str | None = None) -> list[tuple[str, float, Any]]:
    """(label, cost, estimate) of what has both."""
    found = []
    for place, cells in grid.cells.items():
        for value, cell in cells.items():
            x, y = cell.cost(cost), cell.estimate(name or next(iter(grid.measures), ""))
            if x and y is not None:
                found.append((" ".join(filter(None, (value, place_text(place)))), x, y))
    return found
