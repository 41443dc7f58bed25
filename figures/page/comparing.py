"""The page of compared smoothers: times to gain a digit with their spread, and predicted beside
measured factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.numbers import plain
from figures.page.glossary import OF_SOLVING
from figures.page.traces import LEGEND_OF_MANY, MARKS, Data, Picture, cloud, curve, log_axis, short
from figures.page.write import Page, Section, Table
from figures.style import GREEN, GREY, looks
from mgtheory.comparison import COLUMNS, Row, SmootherComparison

MEANINGS = {
    "smoothing": "the largest factor by which a smoothing leaves rough waves, by Fourier analysis",
    "two-grid": "what a cycle of two grids leaves of the worst error: by Fourier analysis, or,"
    " where A differs from point to point, computed on this grid",
    "gamma": "of the polynomial alone: the smaller, the better the V-cycle that it promises",
    "bound": "what a V-cycle leaves at most of the error's energy, proved",
    "measured": "what a cycle left of the equations (the residual), in the second half of a run",
    "work/cycle": "products with A in a cycle, in units of one on the finest grid",
    "ms/cycle": "time of a cycle, the median of the repeated runs",
    "ms/digit": "time to make what is left of the equations ten times smaller",
    "± %": "half of the range of the repeated times over their median",
}


def comparison_page(
    found: SmootherComparison, numbers: Mapping[str, Any], *, title: str, repeats: int
) -> Page:
    """The page of what `polymgnet compare-smoothers` found; `numbers` is its JSON document."""
    timed = [row for row in found.rows if row.seconds_per_digit]
    timed.sort(key=lambda row: row.seconds_per_digit or 0.0)
    facts = [("warning", text) for text in found.doubts]
    facts += [("left out", text) for text in found.left_out]
    sections = [
        Section("table", "All numbers", facts=facts, tables=[Table(list(COLUMNS), found.table)])
    ]
    if timed:
        when = TIMES.format(repeats=repeats)
        sections = [
            Section("times", "Times", [_times(found, timed)], words=when),
            Section("factors", "Predicted and measured", _factors(timed)),
            *sections,
        ]
    return Page(
        title,
        _verdict(found, timed, repeats),
        sections,
        plain(dict(numbers)),
        printed_by="polymgnet compare-smoothers --json",
        glossary=OF_SOLVING,
        meanings=MEANINGS,
        notes=[f"{line[0].upper()}{line[1:]}." for line in found.losses],
    )


TIMES = (
    "Every smoother is timed {repeats} times, in turns, so that a slow moment of the machine meets"
    " all of them. Times are of this machine and this moment; factors are not."
)


def _verdict(found: SmootherComparison, timed: Sequence[Row], repeats: int) -> list[str]:
    """Three sentences that need no knowledge of the field."""
    best = found.winner
    if best is None or best.seconds_per_digit is None:
        return ["Nothing could be measured.", "So there is no winner.", "The table says why."]
    span = " to ".join(f"{1e3 * end:.3g}" for end in best.seconds_range or ())
    first = (
        f"Of {len(timed)} smoothers {_name(best)} is the fastest here: it makes what is left of the"
        f" equations ten times smaller every {1e3 * best.seconds_per_digit:.3g} ms"
        f" ({span} in {repeats} runs)."
    )
    names = [_name(row) for row in found.ties]
    if not names:
        second = "No other comes as near as the clock can tell."
    else:
        many = "is" if len(names) == 1 else "are"
        second = (
            f"{', '.join(names)} {many} as fast within the noise of the clock, so that another run"
            " may name another winner."
        )
    predicted = [row for row in timed if row.two_grid_factor is not None]
    if not predicted:
        third = "Fourier analysis predicts nothing here, where A differs from point to point."
        return [first, second, third]
    ahead = min(predicted, key=lambda row: row.two_grid_factor or 0.0)
    third = (
        f"Theory promises most of a cycle with {_name(ahead)}, which leaves"
        f" {100 * (ahead.two_grid_factor or 0):.2g} % of the worst error"
        f" ({100 * (ahead.measured_factor or 0):.2g} % measured)"
    )
    if ahead is best:
        return [first, second, f"{third}, and it is the fastest too."]
    longer = (ahead.seconds_per_cycle or 0.0) / (best.seconds_per_cycle or 1.0)
    but = f"such a cycle takes {longer:.2g} times as long"
    if longer <= 1:  # and so the fastest leaves less
        but = f"measured, {_name(best)} leaves {100 * (best.measured_factor or 0):.2g} %"
    return [first, second, f"{third}; but {but}."]


def _name(row: Row) -> str:
    return f"{row.family} {row.degree}"


def _times(found: SmootherComparison, timed: Sequence[Row]) -> Picture:
    best, data = found.winner, list[Data]()
    groups = {
        "fastest": [row for row in timed if row is best],
        "tie within noise": [row for row in timed if row in found.ties],
        "slower": [row for row in timed if row is not best and row not in found.ties],
    }
    for (name, rows), colour in zip(groups.items(), (GREEN, "#7fbfa9", GREY), strict=True):
        if not rows:
            continue
        middle = np.array([1e3 * (row.seconds_per_digit or np.nan) for row in rows])
        ends = 1e3 * np.array([row.seconds_range or (np.nan, np.nan) for row in rows])
        bars = {"type": "data", "symmetric": False, "array": short(ends[:, 1] - middle)}
        bars |= {"arrayminus": short(middle - ends[:, 0]), "color": colour, "thickness": 1.5}
        mark = {"color": colour, "size": 9}
        point = cloud(name, middle, np.array([_name(row) for row in rows]), marker=mark)
        data.append(point | {"error_x": bars})
    spans = [[1e3 * end for end in row.seconds_range or ()] for row in timed]
    layout = {
        "height": 150 + 20 * len(timed),
        "xaxis": {"title": {"text": "time per digit (ms)"}, **log_axis(*spans)},
        "yaxis": {
            **{"automargin": True, "autorange": "reversed", "categoryorder": "array"},
            **{"categoryarray": [_name(row) for row in timed], "dtick": 1},
        },
    }
    caption = "A point is the median of the repeated runs, its bar goes from the least to the most."
    return Picture("times", "Time to gain a digit", caption, data, layout)


def _factors(timed: Sequence[Row]) -> list[Picture]:
    """Measured against predicted, and against the degree."""
    families = dict.fromkeys(row.family for row in timed)
    styles, made = looks(families), list[Picture]()
    predicted, degrees = list[Data](), list[Data]()
    for k, family in enumerate(families):
        rows = [row for row in timed if row.family == family]
        colour = styles[family].colour
        mark = {"color": colour, "size": 9, "symbol": MARKS.get(styles[family].marker, "star")}
        measured = [row.measured_factor for row in rows]
        known = [row for row in rows if row.two_grid_factor is not None]
        if known:
            names = {"text": [_name(row) for row in known], "hoverinfo": "text+x+y"}
            x, y = ([getattr(row, name) for row in known] for name in PAIR)
            predicted.append(cloud(family, x, y, marker=mark) | names)
        order = sorted(range(len(rows)), key=lambda i: rows[i].degree)
        line = {"color": colour, "width": 1.5, "dash": "solid" if k < 9 else "dash"}
        look: Data = {"mode": "lines+markers", "marker": mark, "line": line}
        x, y = [rows[i].degree for i in order], [measured[i] for i in order]
        degrees.append(curve(family, x, y, **look))
    if predicted:
        every = [value for one in predicted for axis in ("x", "y") for value in one[axis]]
        ends = [min(every), max(every)]
        dash = {"color": GREY, "width": 1, "dash": "dash"}
        predicted.append(curve("measured as predicted", ends, ends, line=dash, hoverinfo="skip"))
        layout = {
            "legend": LEGEND_OF_MANY,
            "xaxis": {"title": {"text": "predicted two-grid factor"}, **log_axis(every)},
            "yaxis": {"title": {"text": "measured factor of a cycle"}, **log_axis(every)},
        }
        caption = (
            "On the dashed line a cycle does what theory says of two grids and endless ones; above"
            " it the many coarser grids cost something, below it a border helps."
        )
        title = "Predicted against measured"
        made.append(Picture("predicted", title, caption, predicted, layout))
    layout = {
        "legend": LEGEND_OF_MANY,
        "xaxis": {"title": {"text": "degree: products with A in a smoothing"}, "dtick": 1},
        "yaxis": {
            **{"title": {"text": "measured factor of a cycle"}},
            **log_axis([row.measured_factor for row in timed]),
        },
    }
    caption = "What a cycle leaves; a higher degree leaves less, and costs more."
    return [*made, Picture("degrees", "By degree", caption, degrees, layout)]


PAIR = ("two_grid_factor", "measured_factor")
