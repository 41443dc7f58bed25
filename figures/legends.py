"""Legends that fit: in as many columns as the width allows, long names in lines, and what does not
fit the height in smaller letters, or counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

LEAST_LINE = 10  # letters of a line
SIZES = (0.85, 0.7, 0.55)  # of the letters, as parts of what the settings ask for
SMALLEST = 6.0  # typographic points
SLOT = "above the axes"


def entries_of(axes: Iterable[Axes]) -> dict[str, Any]:
    """Label -> what a legend shows beside it, the first of each label."""
    entries: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels()):
            entries.setdefault(label, handle)
    return entries


def fitted(
    add: Callable[..., Legend],
    entries: Mapping[str, Any],
    width: float,
    height: float,
    *,
    columns: int | None = None,
    **place: Any,
) -> Legend:
    """The legend in at most so many columns, by default as many as the width, in pixels, allows.

    Where it is higher than the height, in pixels, its letters are smaller, as far as they can be
    read; if that is not enough either, the first entries that fit are followed by how many more
    there are.
    """
    asked = FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points()
    sizes = [asked, *(part * asked for part in SIZES if part * asked >= SMALLEST)]
    most = columns or len(entries)
    for size in sizes:
        legend = _in_columns(add, entries, width, most, fontsize=size, **place)
        tall = legend.get_window_extent().height
        if tall <= height or size == sizes[-1]:
            break
        legend.remove()
    shown = len(entries)
    while tall > height and shown > 1:
        legend.remove()
        shown = max(1, min(shown - 1, int(shown * height / tall)))
        some = dict(list(entries.items())[:shown])
        some[f"and {len(entries) - shown} more"] = Line2D([], [], linestyle="none")
        legend = _in_columns(add, some, width, most, fontsize=sizes[-1], **place)
        tall = legend.get_window_extent().height
    return legend


def titles_above(ax: Axes, legend: Legend) -> None:
    """A title of these axes, whenever it is set, stands above their legend: matplotlib puts one
    above whatever axes are inset, and knows of no legend. These are empty, and as high as it."""
    for inset in [one for one in ax.child_axes if one.get_label() == SLOT]:
        inset.remove()  # of an earlier legend
    made: Any = ax.get_figure()
    top: Any = ax.transAxes
    tall = (legend.get_window_extent().y1 - ax.get_window_extent().y1) / made.dpi
    inches = made.dpi_scale_trans + ScaledTranslation(0.0, 1.0, top)
    slot = ax.inset_axes((0.0, 0.0, 1.0, tall), transform=inches, label=SLOT)
    slot.set_axis_off()
    slot.set_in_layout(False)


def _in_columns(
    add: Callable[..., Legend], entries: Mapping[str, Any], width: float, most: int, **place: Any
) -> Legend:
    def made(columns: int) -> Legend:
        return add(list(entries.values()), list(entries), ncols=columns, **place)

    if most > 1:
        one = made(1)
        most = _most_columns(one, width, most)
        one.remove()
    for columns in range(most, 1, -1):
        legend = made(columns)
        # letters are up to 3 % wider at other resolutions than that of the screen
        if legend.get_window_extent().width <= 0.95 * width:
            return legend
        legend.remove()
    legend = made(1)
    _break_lines(legend, width)
    return legend


def _most_columns(one: Legend, width: float, most: int) -> int:
    """How many columns the names of a legend of one column leave room for, in pixels: what stands
    between columns is no narrower than the legend's edges."""
    extents = [text.get_window_extent().width for text in one.get_texts()]
    beside = one.get_window_extent().width - max(extents)
    fitting = (
        columns
        for columns in range(min(most, len(extents)), 1, -1)
        if sum(max(part) + beside for part in np.array_split(extents, columns)) <= width
    )
    return next(fitting, 1)


def _break_lines(legend: Legend, width: float) -> None:
    """Names that are too long for the width, in pixels, broken into lines."""
    extents = [text.get_window_extent().width for text in legend.get_texts()]
    beside = legend.get_window_extent().width - max(extents, default=0.0)
    room = max(0.95 * width - beside, 0.25 * width)
    for text, extent in zip(legend.get_texts(), extents):
        if extent > room:
            lines = text.get_text().splitlines()
            most = max(LEAST_LINE, int(max(map(len, lines)) * room / extent))
            text.set_text("\n".join(fill(line, most) for line in lines))
