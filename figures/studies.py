"""Figures of studies: a measure along the degree (or another key) for everything that is compared,
and against what a run costs."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from analysis.studies.grid import FEW_SEEDS, Grid, Place
from analysis.studies.question import COSTS, MEASURES, STARTS, Measure, Question
from analysis.studies.text import axis_text, place_text
from figures.curves import plain_labels
from figures.legends import fitted
from figures.names import FRONT, IF_ROOM, NAME, place_names
from figures.style import (
    BLACK,
    BLUE,
    COLOURS,
    DOUBLE,
    GREEN,
    GREY,
    GUIDE,
    LIGHT_GREY,
    VERMILION,
    Look,
    figure_legend,
    finished,
    ground,
    ink,
    look,
    panel_letters,
    panels,
)
from mgtheory._checks import is_number

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
OTHERS = [k for k, colour in enumerate(COLOURS) if colour != BLACK]
ACROSS = 4  # panels of one measure beside one another
# colour by what a network is
KINDS = {
    "Poly-MgNet": Look(BLUE, "none", "o"),
    "MgNet": Look(GREEN, "none", "D"),
    "ResNet": Look(VERMILION, "none", "s"),
}
ALONE = 0.4  # half the width that the points of a single place fill
BESIDE, NEXT = 0.6, 0.06  # of several places: the whole width, and most between two points
# of all means: the worst lie beyond the axis where they would make the rest so many times smaller,
# but for those that are nearer to its end than this part of it
SHOWN, HIDES, NEAR = 0.8, 2.5, 0.25
# points with their names beside them; more have numbers, and a list below: across, and how high
NAMED, LISTED, LINE = 10, 2, 0.15
MEANS = "means over the seeds, 95 % intervals of each; of pairs of a seed: the tables"
BEYOND = "triangles: means beyond the axis"


def study_figure(grid: Grid, question: Question) -> Figure:
    """The figure of one scale: a row a measure, or several of at most `ACROSS` panels; a column for
    every panel, or, where nothing runs along an axis and weights or operations differ, for every
    cost."""
    names = [name for name in question.measures if name in grid.measures]
    places = grid.panels(question.along)
    # the time, of this machine, stands in the table alone where there is room for two
    costs = [cost for cost in COSTS if _costs(grid, cost)][:2] if question.along is None else []
    if all(len({x for _, x, _ in _costs(grid, cost)}) < 2 for cost in costs if cost != "seconds"):
        costs = []
    columns: list[Any] = costs or list(places)
    across, height = min(len(columns), ACROSS), 3.1 if costs else 2.1
    left_over = [None] * (-len(columns) % across if across else 0)  # of a measure's last row
    cells = [cell for name in names for cell in [*((name, one) for one in columns), *left_over]]
    numbers = _numbers(grid, names[0], costs) if costs else {}
    extra = 0.7 + (LINE * (1 + -(-len(numbers) // LISTED)) if numbers else 0.0)
    made, axes = panels(len(cells), across, width=DOUBLE, height=height, extra=extra)
    drawn = []
    for ax, cell in zip(axes.flat, cells):
        if cell is None:
            ax.set_visible(False)
            continue
        drawn.append(ax)
        name, column = cell
        if costs:
            draw_costs(ax, grid, name, column, numbers=numbers)
            continue
        draw_along(ax, grid, places[column], name, question=question)
        if ax not in axes[:, 0]:
            ax.set_ylabel("")
        if column and (name == names[0] or len(columns) > across):
            ax.set_title(", ".join(_named(column)))
    if any(ax.get_legend_handles_labels()[1] for ax in axes.flat):
        _legend(made, MEANS)
    panel_letters(drawn)
    if numbers:
        _list(made, grid, names[0], numbers)
    if costs:
        place_names(made)
    return made


def _numbers(grid: Grid, name: str, costs: Sequence[str]) -> dict[str, int]:
    """Label -> rank by the mean of a measure, the best first; none where there are few."""
    sign = 1.0 if MEASURES[name].smaller_is_better else -1.0
    means = {label: sign * y.mean for cost in costs for label, _, y in _costs(grid, cost, name)}
    ranked = sorted(means, key=lambda label: means[label])
    return {label: k for k, label in enumerate(ranked, 1)} if len(ranked) > NAMED else {}


def _list(made: Figure, grid: Grid, name: str, numbers: Mapping[str, int]) -> None:
    """Below the panels what the numbers stand for, and how many seeds where these are few."""
    seeds = {label: y.n for cost in COSTS for label, _, y in _costs(grid, cost, name)}
    entries = {}
    for label, k in numbers.items():
        few = f" (n = {seeds[label]})" if seeds[label] < FEW_SEEDS else ""
        entries[f"{k}  {label}{few}"] = Line2D([], [], **_mark(label, numbers).points)
    place: Any = {"loc": "outside lower center", "columns": LISTED, "handlelength": 1.0}
    legend = fitted(made.legend, entries, made.bbox.width, 0.5 * made.bbox.height, **place)
    few = f"; n: seeds, where fewer than {FEW_SEEDS}" if min(seeds.values()) < FEW_SEEDS else ""
    legend.set_title(f"numbers: by the mean {MEASURES[name].title}, the best first{few}")


def _mark(label: str, labels: Collection[str]) -> Look:
    """A network's look by its kind where all are networks, else that of its place among all."""
    kinds = [kind_of(one) for one in labels]
    own = kind_of(label)
    return look(list(labels).index(label)) if own is None or None in kinds else KINDS[own]


def draw_along(
    ax: Axes, grid: Grid, places: Mapping[Any, Place], name: str, *, question: Question
) -> Axes:
    """A curve for everything that is compared: means with 95 % intervals at every value along the
    axis; at few values they stand beside one another.

    The candidate is thick and black; the values that were searched are grey, and a dashed line
    joins the best of them at each place. The axis is cut where the worst means would hide the rest,
    but never before the candidate; a mean beyond it has no interval, and a triangle at its end.
    """
    measure, where = MEASURES[name], list(places)
    means: list[float] = []
    needed: list[float] = []
    curves: list[tuple[Any, ...]] = []
    others = _others(grid, question)
    values = [*question.searched, *others, *([question.candidate] if question.candidate else [])]
    alone = len(places) == 1
    shared = 0 if alone else max(0, len(question.searched) - 1)  # the searched lie over one another
    apart = len(values) - shared
    spread = ALONE if alone else 0.5 * min(BESIDE, NEXT * (apart - 1))
    shifts = np.linspace(-spread, spread, apart) if apart > 1 else np.zeros(1)
    whole = alone or not others  # intervals are seen to their ends
    for value, shift in zip(values, [*np.repeat(shifts[0], shared), *shifts]):
        cells = [grid.cells[place].get(value) for place in places.values()]
        found = [cell.estimate(name) if cell else None for cell in cells]
        known = {k: one for k, one in enumerate(found) if one is not None}
        if not known:
            continue
        y = measure.unit * np.array([one.mean for one in known.values()])
        half = np.array([measure.unit * (one.half or np.nan) for one in known.values()])
        reach = np.nan_to_num(half)
        means += [*(y - reach), *(y + reach)] if whole else y.tolist()
        x = np.array(list(known)) + shift
        style: dict[str, Any] = {"label": value, "capsize": 1.5, "elinewidth": 0.7}
        if value == question.candidate:
            style |= {"color": ink(ax), "linewidth": 2.2, "marker": "o", "zorder": 5}
            needed = y.tolist()
        elif value in question.searched:
            style |= {"color": LIGHT_GREY, "linewidth": 0.8, "label": "each searched", "zorder": 2}
        else:
            style |= _look(others.index(value)).on(ax).marked | {"zorder": 3}
        curves.append((x, y, half, style))
    _cut(ax, means, measure, needed=needed)
    for x, y, half, style in curves:
        beyond = _beyond(ax, x, y, style["color"])
        ax.errorbar(x, y, yerr=np.where(beyond, np.nan, half), **style)
    if question.searched:
        best = {
            k: grid.cells[place][pick].estimate(name)
            for k, place in enumerate(places.values())
            if (pick := grid.best(name, place, question.searched)) is not None
        }
        joined = [measure.unit * one.mean for one in best.values() if one is not None]
        line: dict[str, Any] = {"color": GREY, "linestyle": (0, (4, 2)), "zorder": 4}
        at = np.array(list(best)) + (0.0 if alone else shifts[0])
        ax.plot(at, joined, label="best of the searched", **line)
    if measure.log:
        plain_labels(ax)
    ax.set_xticks(range(len(where)), [str(one) for one in where])
    if alone:
        ax.set_xlim(-0.5, 0.5)
    return finished(ax, axis_text(question.along or question.compare), measure.title, legend=False)


def start_figure(grid: Grid, question: Question, start: str) -> Figure:
    """The first measure against a number of `STARTS`, a panel for each place that has it."""
    places = grid.known(start)
    shape: Any = {"width": DOUBLE, "height": 1.9, "extra": 0.7}
    made, axes = panels(len(places), ACROSS + 1, sharey=True, **shape)
    name = question.measures[0]
    known = [cell.estimate(name) for place in places for cell in grid.cells[place].values()]
    means = [MEASURES[name].unit * one.mean for one in known if one is not None]
    _cut(axes[0, 0], means, MEASURES[name])
    for ax, place in zip(axes.flat, places):
        draw_start(ax, grid, place, start, question=question)
        ax.set_title("\n".join(_named(place)))
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
    _legend(made, "means over the seeds")
    return made


def _named(place: Place) -> list[str]:
    """The values of a place as titles; what a number is of stands before it."""
    return [f"{axis_text(key)} {value}" if is_number(value) else str(value) for key, value in place]


def _legend(made: Figure, title: str) -> None:
    """The legend, which says what is drawn, and what triangles are where there are any."""
    cut = any(line.get_gid() == BEYOND for ax in made.axes for line in ax.lines)
    figure_legend(made).set_title(f"{title}; {BEYOND}" if cut else title)


def draw_start(ax: Axes, grid: Grid, place: Place, start: str, *, question: Question) -> Axes:
    """A point for everything that is compared: the mean of the first measure against a number of
    the start; the dashed line is the value that the studies found to be good. A mean beyond an axis
    that is cut has a triangle at its end."""
    name, others = question.measures[0], _others(grid, question)
    about, (low, high) = STARTS[start], STARTS[start].shown
    measure = MEASURES[name]
    for value in grid.compared:
        cell = grid.cells[place].get(value)
        at = None if cell is None else cell.at_start(start)
        if cell is None or at is None or (found := cell.estimate(name)) is None:
            continue
        if value == question.candidate:
            style: dict[str, Any] = {"color": ink(ax), "marker": "o", "zorder": 5, "label": value}
        elif value in question.searched:
            style = {"color": LIGHT_GREY, "marker": "o", "label": "each searched"}
        else:
            style = _look(others.index(value)).points | {"mfc": ground(ax), "label": value}
        # beyond the axis a polynomial of degree 16 and more says no more
        x, y = np.array([min(max(at, low), high)]), np.array([measure.unit * found.mean])
        _beyond(ax, x, y, style["color"])
        ax.plot(x, y, **{"linestyle": "none"} | style)
    ax.axvline(about.best, **GUIDE)
    ax.set_xscale("log")
    ax.set_xlim(0.8 * low, 1.25 * high)
    ticks = [high / 100**k for k in range(4) if high / 100**k >= 0.99 * low]
    signs = {high: "≥ ", low: "≤ "}
    ax.set_xticks(ticks, [f"{signs.get(one, '')}{_power(one)}" for one in ticks])
    ax.minorticks_off()
    return finished(ax, f"{about.axis} at the start", measure.title, legend=False)


def _power(value: float) -> str:
    """A power of ten in digits, as 10⁶ and 0.01."""
    exponent = round(math.log10(value))
    return f"{value:g}" if abs(exponent) < 3 else f"10{str(exponent).translate(RAISED)}"


def _cut(
    ax: Axes, means: Sequence[float], measure: Measure, *, needed: Sequence[float] = ()
) -> None:
    """The y axis: logarithmic, or of all means, or, where the worst would hide the rest, from the
    best mean to where `SHOWN` of all means end and everything `needed` is seen."""
    if measure.log:
        ax.set_yscale("log")
    elif means:
        down = measure.smaller_is_better
        most = np.quantile(means, [SHOWN, 0.0] if down else [1.0 - SHOWN, 1.0])
        most = np.append(most, needed)
        seen, near = np.asarray(means), NEAR * np.ptp(most)
        if np.ptp(seen) > HIDES * np.ptp(most):
            seen = seen[(seen >= min(most) - near) & (seen <= max(most) + near)]
        pad = 0.1 * float(np.ptp(seen)) or 0.1 * abs(float(seen[0])) or 1.0
        ax.set_ylim(min(seen) - pad, max(seen) + pad)


def _beyond(ax: Axes, x: NDArray[Any], y: NDArray[Any], colour: str) -> NDArray[np.bool_]:
    """Which means lie beyond the y axis where that is cut: each a triangle at the end of it, so
    that none is left out in silence."""
    low, high = ax.get_ylim()
    if ax.get_autoscaley_on():
        low, high = -np.inf, np.inf
    for beyond, end, marker in ((y < low, low, "v"), (y > high, high, "^")):
        if beyond.any():
            marks: dict[str, Any] = {"marker": marker, "color": colour, "markersize": 5.0}
            marks |= {"linestyle": "none", "clip_on": False, "zorder": 6, "gid": BEYOND}
            ax.plot(x[beyond], np.full(beyond.sum(), end), **marks)
    return (y < low) | (y > high)


def _others(grid: Grid, question: Question) -> list[str]:
    """What is neither the candidate nor searched."""
    return [one for one in grid.compared if one not in (question.candidate, *question.searched)]


def _look(index: int) -> Look:
    """The look of what is neither the candidate, which has black, nor searched; colours return
    after eight, each with another line and marker."""
    again, k = divmod(index, len(OTHERS))
    own, partner = look(OTHERS[k]), look(OTHERS[(k + 3 * again) % len(OTHERS)])
    return Look(own.colour, partner.dashes, partner.marker)


def draw_costs(
    ax: Axes, grid: Grid, name: str, cost: str, *, numbers: Mapping[str, int] | None = None
) -> Axes:
    """Everything that is compared as a point: its mean and 95 % interval against what a run costs;
    the line joins what nothing else beats in both, whose points are filled.

    Networks have the colour of their kind, anything else a look of its own. `place_names` writes
    the names beside the points: those on the line and the best of each kind, with their costs, the
    best first, then the others where there is room. Where `numbers` are given, label -> number,
    these stand in the place of all names, bold on the line.
    """
    measure, points = MEASURES[name], _costs(grid, cost, name)
    labels = numbers or [label for label, *_ in points]
    front = undominated([(x, y.mean) for _, x, y in points], smaller=measure.smaller_is_better)
    kinds = [kind_of(label) for label, *_ in points]
    for k, (label, x, found) in enumerate(points):
        y, half = measure.unit * found.mean, measure.unit * (found.half or 0.0)
        style: dict[str, Any] = {"elinewidth": 0.6, "zorder": 3, **_mark(label, labels).points}
        style |= {} if k in front else {"mfc": ground(ax)}
        # solid, not transparent: few colours make a small file
        red, green, blue = (0.5 + 0.5 * part for part in to_rgb(style["color"]))
        ax.errorbar([x], [y], yerr=[half], ecolor=(red, green, blue), **style)
    for kind in dict.fromkeys(kinds) if None not in kinds else ():
        ax.plot([], [], label=kind, **KINDS[str(kind)].points)
    sign = 1.0 if measure.smaller_is_better else -1.0
    order = sorted(range(len(points)), key=lambda k: sign * points[k][2].mean)
    # who is known by no colour of a kind needs the name
    known = front if None not in kinds and not numbers else set(order)
    known = known | {next(k for k in order if kinds[k] == kind) for kind in set(kinds)}
    short = EngFormatter(sep=" ")
    for k in sorted(order, key=lambda k: k not in known):
        label, x, found = points[k]
        name_style: dict[str, Any] = {"color": ink(ax) if k in front else GREY, "fontsize": 6.5}
        name_style |= {"arrowprops": {"arrowstyle": "-", "color": LIGHT_GREY, "linewidth": 0.6}}
        name_style["arrowprops"] |= {"shrinkA": 0.5, "shrinkB": 3.0}
        at = x, measure.unit * found.mean
        words = f"{label}: {short(float(f'{x:.3g}'))}" if k in known else label
        if numbers:
            words = str(numbers[label])
            name_style |= {"color": ink(ax), "fontweight": "bold" if k in front else "normal"}
        text = ax.annotate(words, at, (4, 3), textcoords="offset points", **name_style)
        text.set_gid(NAME if k in known else IF_ROOM)
        text.set_in_layout(False)
        text.set_path_effects([withStroke(linewidth=1.5, foreground=ground(ax))])
    ends = sorted((points[k][1], measure.unit * points[k][2].mean) for k in front)
    if len(ends) > 1:
        line: dict[str, Any] = {"color": LIGHT_GREY, "linewidth": 1.2, "zorder": 1}
        ax.plot(*zip(*ends), label=FRONT, **line)
    costs = [x for _, x, _ in points]
    if costs and max(costs) >= 10 * min(costs):
        ax.set_xscale("log")
        if max(costs) < 100 * min(costs):
            ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:  # the numbers between two powers of 10 would stand on one another
        ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.xaxis.set_major_formatter(EngFormatter(sep=" "))
    ax.margins(x=0.08 if numbers else 0.22, y=0.08 if numbers else 0.16)
    return finished(ax, COSTS[cost], measure.title, legend=False)


def kind_of(label: str) -> str | None:
    """Of a network's name its kind, of `KINDS`; None for what is no network."""
    name = label.lower().removeprefix("preact_").partition(",")[0].strip()
    if name.startswith(("resnet", "mgnet")):
        return "ResNet" if name.startswith("resnet") else "MgNet"
    return "Poly-MgNet" if re.fullmatch(r"[a-z]\d+", name) else None


def undominated(points: Sequence[tuple[float, float]], *, smaller: bool) -> set[int]:
    """The indices of (cost, measure) that no other beats or equals in both and beats in one."""
    sign = 1.0 if smaller else -1.0
    values = np.array([(x, sign * y) for x, y in points]).reshape(-1, 2)
    return {
        k
        for k, own in enumerate(values)
        if not ((values <= own).all(axis=1) & (values < own).any(axis=1)).any()
    }


def _costs(grid: Grid, cost: str, name: str | None = None) -> list[tuple[str, float, Any]]:
    """(label, cost, estimate) of what has both."""
    found = []
    for place, cells in grid.cells.items():
        for value, cell in cells.items():
            x, y = cell.cost(cost), cell.estimate(name or next(iter(grid.measures), ""))
            if x and y is not None:
                found.append((" ".join(filter(None, (value, place_text(place)))), x, y))
    return found
