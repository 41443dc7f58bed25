"""What pictures of a page are made of: Plotly's data and layout as plain dicts, which the library
in the page draws.

Numbers in them have four significant digits; the page carries all of them in full beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from figures.style import COLOURS, GREY, ROLES

POINTS = 161  # of a curve
HEIGHT = 560
FEW = 10  # epochs, each of which has its number at the axis
LINE = 34  # letters below an axis on a phone
ROWS, ROW = 5, 14  # entries of a legend that a picture has room for, and pixels for each beyond
FLOOR = 1e-3  # of the logarithmic axis of |q|, at which curves lie that are smaller
SIZES = f"max(|q|, {FLOOR:g}), logarithmic"
FAR = 3.0  # roots up to this many radii from 0 are in view
# matplotlib's marks and dashes, by their names in Plotly
MARKS = {"x": "x", "s": "square-open", "D": "diamond-open", "^": "triangle-up-open"}
MARKS |= {"o": "circle-open", "v": "triangle-down-open", "P": "cross", "X": "x-open"}
DASHES = {"theory": "dot", "start": "dash", "learned": "solid", "effective": "dashdot"}
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "star")
Data = dict[str, Any]
# as high as it must be: by default one beyond half of the picture hides entries
LEGEND: Data = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "maxheight": 2000}
# of many entries: two beside one another on a phone
LEGEND_OF_MANY = LEGEND | {"font": {"size": 10}, "entrywidth": 86}


@dataclass(frozen=True)
class Picture:
    """A picture: the name of its files, a title, what is seen in it, and Plotly's data and
    layout."""

    name: str
    title: str
    caption: str
    data: list[Data]
    layout: Data

    def figure(self) -> Data:
        """What `Plotly.newPlot` takes."""
        base: Data = {
            "margin": {"l": 56, "r": 12, "t": 30, "b": 48},
            "font": {"family": "system-ui, sans-serif", "size": 12},
            "legend": LEGEND,
            "height": 420,
            "hoverlabel": {"namelength": -1},
        }
        named = [one for one in self.data if "name" in one and one.get("showlegend", True)]
        layout = {**base, **self.layout}
        layout["height"] += ROW * max(0, len(named) - ROWS)
        config = {
            **{"responsive": True, "displaylogo": False, "showSendToCloud": False},
            "toImageButtonOptions": {"format": "svg", "filename": self.name},
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        }
        return {"data": self.data, "layout": layout, "config": config}


def banded(name: str, x: Any, stack: NDArray[Any], k: int, **given: Any) -> list[Data]:
    """The mean of several rows, and below it a band from the lowest to the highest."""
    colour, group = tone(k), {"legendgroup": name}
    *edges, mean = spread(stack)
    made: list[Data] = []
    for around in edges:
        fill = {"fill": "toself", "fillcolor": colour, "opacity": 0.18, "hoverinfo": "skip"}
        area: Data = {**fill, **group, "showlegend": False, "line": {"width": 0}}
        made.append(curve(name, np.concatenate([x, x[::-1]]), around, **area))
    line = {"color": colour, "width": 1.8, "dash": "dash" if k // len(COLOURS) % 2 else "solid"}
    marks: Data = {
        "mode": "lines+markers",
        "marker": {"symbol": SYMBOLS[k % len(SYMBOLS)], "size": 6},
    }
    made.append(curve(name, x, mean, line=line, **{**marks, **group, **given}))
    return made


def spread(stack: NDArray[Any]) -> list[NDArray[Any]]:
    """What `banded` draws of the rows: the outline of the band of several, and the mean."""
    mean = [stack.mean(axis=0)]
    if len(stack) < 2:
        return mean
    return [np.concatenate([stack.min(axis=0), stack.max(axis=0)[::-1]]), *mean]


def slider(
    labels: Sequence[Any],
    moves: Sequence[tuple[Data, str]],
    traces: Sequence[int],
    axis: str,
    **given: Any,
) -> Data:
    """A slider that changes these traces, and tells below the axis what is shown; it stands at its
    last step."""
    titles = [f"{axis}<br><b>{_in_lines(words)}</b>" for _, words in moves]
    steps = [
        {"label": str(label), "method": "update"}
        | {"args": [data, {"xaxis.title.text": title}, list(traces)]}
        for label, (data, _), title in zip(labels, moves, titles, strict=True)
    ]
    # the words below the axis say what is shown
    slider = {"active": len(steps) - 1, "steps": steps, "currentvalue": {"visible": False}}
    pad = {"pad": {"t": 94, "b": 8}}
    xaxis = {"title": {"text": titles[-1]}, **given}
    return {"sliders": [slider | pad], "xaxis": xaxis, "height": HEIGHT}


def _in_lines(words: str) -> str:
    """In lines that a phone is wide enough for, nothing but whole facts on each."""
    whole = words.replace(" = ", "\u00a0=\u00a0").replace("max |", "max\u00a0|")
    return "<br>".join(wrap(whole, LINE, break_long_words=False, break_on_hyphens=False))


def log_axis(*values: Any) -> Data:
    """A logarithmic axis for these values: plain numbers at 1, 2 and 5 of each decade, or more,
    where it has less than three of them; of two decades and more the powers of ten, at most some
    eight of them."""
    every = np.concatenate([np.ravel(np.asarray(one, dtype=float)) for one in values])
    every = every[np.isfinite(every) & (every > 0)]
    decades = np.log10(every.max() / every.min()) if every.size else 2.0
    if decades >= 2.0:
        return {"type": "log", "exponentformat": "power", "dtick": int(np.ceil(decades / 8.0))}
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [m * 10.0**k for k in range(-12, 13) for m in steps]
        if sum(every.min() <= one <= every.max() for one in ticks) > 2:
            break
    else:
        ticks = [one for one in MaxNLocator(5).tick_values(every.min(), every.max()) if one > 0]
    near = [one for one in ticks if every.min() / 2 <= one <= 2 * every.max()]
    return {"type": "log", "tickvals": short(near), "ticktext": [f"{one:,.10g}" for one in near]}


def curve(name: str, x: Any, y: Any, *, role: str | None = None, **given: Any) -> Data:
    """A line through points, in the look of a role if it is one's."""
    if role is not None:
        given["line"] = {"color": ROLES[role].colour, "dash": DASHES[role], "width": 1.8}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": short(x),
        "y": short(y),
    } | given


def cloud(name: str, x: Any, y: Any, **given: Any) -> Data:
    """Points without a line."""
    return curve(name, x, y, **{"mode": "markers", **given})


def role_marker(role: str) -> Data:
    """The marker of a role."""
    look = ROLES[role]
    return {"color": look.colour, "symbol": MARKS[look.marker], "size": 9, "line": {"width": 2}}


def guide(y: float) -> Data:
    """A dashed line across the picture, that curves are compared with."""
    line = {"color": GREY, "width": 1, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line}


def tone(k: int) -> str:
    """The colour of the curve number k."""
    return COLOURS[k % len(COLOURS)]


def short(values: Any) -> list[Any]:
    """Four significant digits; words as they are; what is not finite is a gap."""
    array = np.asarray(values)
    if array.dtype.kind in "US":
        return [str(word) for word in array]
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in array.astype(float)]
