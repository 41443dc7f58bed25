"""One look for all figures: paper sizes, 8 pt type, colours that differ for colour-blind readers
and in grey, PNG and PDF at once.

Every curve gets a colour, a line style and a marker together, so that none depends on colour alone.
Colours are those of Okabe and Ito (2008), ordered so that neighbours differ in lightness too; heat
maps use cividis, which is monotone in grey. Legends stand above the axes, where they cover no data.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import Colormap, ListedColormap, to_hex, to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from numpy.typing import NDArray

from figures.legends import entries_of, fitted, titles_above
from mgtheory._checks import check_number, check_whole
from mgtheory._files import write_atomically
from mgtheory.families import FAMILIES

# what a file says of itself: no date, no version, so that equal data give equal files; and whose it
# is, so that it may be drawn again
OWN = "polymgnet"
METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": OWN},
    ".pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": OWN},
    ".svg": {"Date": None, "Creator": OWN},
}
CANVASES: dict[str, Any] = {
    ".png": FigureCanvasAgg,
    ".pdf": FigureCanvasPdf,
    ".svg": FigureCanvasSVG,
}
About = tuple[str, str]
SINGLE, DOUBLE = 3.35, 7.0  # widths of one and two columns of a paper, in inches (85 and 178 mm)
DPI = 200  # of PNG, for the screen; print has the PDF
MOST_ABOVE = 0.6  # of the height, for a legend
FINER = 1.5  # times as many in what a PDF holds as an image

BLACK, WHITE, GREY, LIGHT_GREY = "#000000", "#FFFFFF", "#8C8C8C", "#B8B8B8"
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
SKY, ORANGE, PURPLE = "#56B4E9", "#E69F00", "#CC79A7"
BROWN, OLIVE = "#7A5230", "#999933"
# of a dashed line that curves are compared with
GUIDE: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (3, 2)), "zorder": 1}
COLOURS = (BLUE, VERMILION, BLACK, GREEN, ORANGE, PURPLE, SKY, OLIVE, BROWN)
DASHES: tuple[Any, ...] = (
    *("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.2, 1, 1.2))),
    *((0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (2, 2)), (0, (9, 1.5, 3, 1.5))),
    (0, (6, 1, 1, 1)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", ">", "<")

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    **dict.fromkeys(("axes.labelsize", "axes.titlesize"), 8.0),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 7.5),
    "legend.frameon": False,
    "legend.handlelength": 3.0,  # two periods of the longest dashes
    "legend.columnspacing": 1.2,
    "legend.handletextpad": 0.5,
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.6),
    **dict.fromkeys(("xtick.minor.width", "ytick.minor.width"), 0.4),
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.0,
    "savefig.dpi": DPI,
    "figure.dpi": 100,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "axes.unicode_minus": True,
}


@dataclass(frozen=True)
class Look:
    """Colour, line style and marker of one curve."""

    colour: str
    dashes: Any
    marker: str
    face: str = WHITE  # of a marker on a line

    @property
    def line(self) -> dict[str, Any]:
        """Keywords of `Axes.plot` for a line without markers."""
        return {"color": self.colour, "linestyle": self.dashes}

    @property
    def marked(self) -> dict[str, Any]:
        """Keywords of `Axes.plot` for a line with markers."""
        marker = {"marker": self.marker, "markerfacecolor": self.face, "markeredgewidth": 1.0}
        return {**self.line, **marker}

    @property
    def points(self) -> dict[str, Any]:
        """Keywords of `Axes.plot` for markers without a line."""
        return {"color": self.colour, "linestyle": "none", "marker": self.marker}

    def on(self, ax: Axes) -> Look:
        """The look on these axes: black is their ink, and white their ground."""
        colour = ink(ax) if self.colour == BLACK else self.colour
        return replace(self, colour=colour, face=ground(ax))


ROLES = {
    "theory": Look(BLACK, (0, (1, 1)), "x"),
    "start": Look(ORANGE, (0, (5, 1.5)), "s"),
    "learned": Look(BLUE, "-", "D"),
    "effective": Look(GREEN, (0, (5, 1.2, 1, 1.2)), "^"),
}


def look(index: int) -> Look:
    """The look of the curve number `index`, a different one for each of the first 81.

    All three properties differ among nine in a row; from then on colours come back with other
    dashes and markers, because a curve that looks like an earlier one is read as that one.
    """
    turn, k = divmod(index, len(COLOURS))
    other = (k + turn) % len(COLOURS)
    return Look(COLOURS[k], DASHES[other], MARKERS[other])


def look_of(label: str, index: int) -> Look:
    """The look of a role (theory, start, ...) or a family in all figures, else of the number."""
    if label in ROLES:
        return ROLES[label]
    return look(list(FAMILIES).index(label) if label in FAMILIES else index)


def looks(labels: Iterable[str], ax: Axes | None = None) -> dict[str, Look]:
    """The looks of the curves of one figure: those of roles and families, and for other labels the
    first that none of them has, nor a curve that is on the axes already, but for a label's own;
    with the axes as they are on these."""
    wanted = list(labels)
    there = {} if ax is None else dict(zip(*_drawn(ax)))
    known = {label: look_of(label, 0) for label in wanted if label in ROLES or label in FAMILIES}
    again = [label for label in wanted if label not in known and there.get(label) in COLOURS]
    known |= {label: look(COLOURS.index(there[label])) for label in again}
    taken = set() if {*COLOURS} <= {*there.values()} else {*there.values()}
    every = map(look, itertools.count())
    free = (one for one in every if one not in known.values() and one.colour not in taken)
    found = known | dict(zip((label for label in wanted if label not in known), free))
    return found if ax is None else {label: one.on(ax) for label, one in found.items()}


def _drawn(ax: Axes) -> tuple[list[str], list[Any]]:
    """Labels and colours of the curves on the axes; what is drawn in their ink is black."""
    curves = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    colours = [line.get_color() for line in curves]
    colours = [BLACK if colour == ink(ax) else colour for colour in colours]
    return [str(line.get_label()) for line in curves], colours


def ground(ax: Axes) -> str:
    """The colour behind the axes, opaque: theirs over that of the figure, which is over white."""
    behind = np.ones(3)
    made = ax.get_figure()
    for face in (*([] if made is None else [made.get_facecolor()]), ax.get_facecolor()):
        *colour, alpha = to_rgba(face)
        behind = alpha * np.array(colour) + (1.0 - alpha) * behind
    return to_hex((behind[0], behind[1], behind[2]))


def ink(ax: Axes) -> str:
    """What is black on a page: white where the ground is dark, as in matplotlib's
    ``dark_background``."""
    lightness = np.dot(to_rgb(ground(ax)), (0.299, 0.587, 0.114))
    return BLACK if lightness > 0.5 else WHITE


def named(label: str) -> str:
    """A label as legends write it: what is special about a role stands behind it."""
    return f"{label} (norms folded in)" if label == "effective" else label


@contextmanager
def paper() -> Iterator[None]:
    """The settings of all figures, within a with block; nothing is left changed behind it.

    They are matplotlib's own defaults but for those named here, whatever a matplotlibrc says.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def figure(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = SINGLE,
    height: float | None = None,
    **options: Any,
) -> tuple[Figure, NDArray[Any]]:
    """A figure that fits its labels by itself, and its axes as an array of shape (rows, columns);
    no window, no global state.

    Parameters
    ----------
    width, height
        In inches; by default the height is 0.72 of a panel's width for each row.
    **options
        Of `Figure.subplots`.
    """
    check_whole(rows, "rows", 1)
    check_whole(columns, "columns", 1)
    for name, inches in (("width", width), ("height", height)):
        if inches is not None:
            check_number(inches, name, "larger than 0")
    tall = height if height is not None else 0.72 * width / columns * rows + 0.25
    made = Figure(figsize=(width, tall), layout="constrained")
    FigureCanvasAgg(made)
    return made, made.subplots(rows, columns, squeeze=False, **options)


def panels(
    count: int, across: int, *, height: float, extra: float, **options: Any
) -> tuple[Figure, NDArray[Any]]:
    """A figure of so many panels, at most `across` beside one another, in rows of `height` inches
    and `extra` above them; the axes that are left over in the last row are hidden."""
    columns = max(1, min(across, count))
    rows = -(-count // columns)
    made, axes = figure(rows, columns, height=height * rows + extra, **options)
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    return made, axes


def finished(ax: Axes, xlabel: str, ylabel: str, *, legend: bool) -> Axes:
    """The axes with its labels, and its own legend, each label once, where that is wanted: of a
    panel that stands alone.

    Above the axes, which make room for it in a figure of `figure`; in one without a layout of its
    own, which would cut it off, inside of them.
    """
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    made = ax.get_figure()
    entries = entries_of([ax]) if legend else {}
    if not entries or made is None:
        return ax
    engine: Any = made.get_layout_engine()
    if engine is None:
        room = ax.get_window_extent()
        fitted(ax.legend, entries, room.width, room.height, columns=1, loc="best")
        return ax
    tall = MOST_ABOVE * ax.get_window_extent().height
    engine.execute(made.figure)  # labels of ticks make the axes narrower
    ax.apply_aspect()
    slot = ax.get_position(original=True).transformed(made.transSubfigure)
    factor = ax.yaxis.get_offset_text()  # as 1e6, above the axis
    lift = factor.get_window_extent().height if factor.get_text() else 0.0
    above = 0.0, 1.0 + 1.2 * lift / ax.get_window_extent().height
    place: Any = {"loc": "lower left", "bbox_to_anchor": above, "borderaxespad": 0.2}
    shown = fitted(ax.legend, entries, slot.x1 - ax.get_window_extent().x0, tall, **place)
    engine.execute(made.figure)  # axes of one scale move once more
    titles_above(ax, shown)
    return ax


def figure_legend(made: Figure, axes: Iterable[Axes] | None = None) -> Legend:
    """One legend over all panels, each label once, for the curves of all axes or of those given."""
    entries = entries_of(made.axes if axes is None else axes)
    if not entries:
        raise ValueError("the figure has no labelled curve, so there is nothing for a legend")
    room = made.bbox
    most = MOST_ABOVE * room.height
    return fitted(made.legend, entries, room.width, most, loc="outside upper center")


def panel_letters(axes: Iterable[Axes]) -> None:
    """(a), (b), ... inside the upper left corner of each panel's outside margin."""
    for k, ax in enumerate(axes):
        place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        ax.annotate(f"({chr(97 + k)})", (0, 1), (-26, 4), fontweight="bold", **place)


def signed(made: Figure, text: str) -> None:
    """Write whose picture it is, small, in the lower right corner."""
    made.supxlabel(text, x=0.995, ha="right", fontsize=6.0, color=GREY)


def heat_map(lower: float) -> Colormap:
    """cividis on the first part of the scale, `lower`, then from light to dark red: monotone in
    lightness within each, and alike for all kinds of colour vision."""
    count = 500
    first = round(lower * count)
    reds = mpl.colormaps["Reds"](np.linspace(0.35, 1.0, count - first))
    colours = np.vstack([mpl.colormaps["cividis"](np.linspace(0.0, 1.0, first)), reds])
    return ListedColormap(colours, name="cividis_reds")


def save(made: Figure, path: str | os.PathLike[str], *, about: About = ("", "")) -> list[Path]:
    """Write PNG (200 dpi) and PDF next to each other, without dates, so that equal data give equal
    files.

    Parameters
    ----------
    path
        Without suffix, or with that of one of the two; missing folders are made.
    about
        Title and caption, which the files carry within.

    Returns
    -------
    The two paths, PNG first.
    """
    base = Path(path)
    base = base.with_suffix("") if base.suffix.lower() in (".png", ".pdf") else base
    base.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix in (".png", ".pdf"):
        written.append(save_as(made, base.with_name(base.name + suffix), about=about))
        # the second file has the same layout, without working it out again
        made.set_layout_engine("none")
    return written


def save_as(made: Figure, path: str | os.PathLike[str], *, about: About = ("", "")) -> Path:
    """Write one file, whole or not at all, without a date, as .png, .pdf or .svg, title and caption
    within."""
    target, drawn = check_suffix(path), io.BytesIO()
    kind = target.suffix.lower()
    known = dict(METADATA[kind])
    names = ("Title", "Subject" if kind == ".pdf" else "Description")
    known |= {name: text for name, text in zip(names, about, strict=True) if text}
    _print(made, drawn, kind, known)
    write_atomically(target, drawn.getvalue())
    return target


def _print(made: Figure, to: io.BytesIO, kind: str, metadata: Mapping[str, str | None]) -> None:
    """What `Figure.savefig` writes, drawn once: that draws all of a figure a first time without a
    trace, for its layout alone, which the canvas works out too."""
    canvas, dpi, asked = made.canvas, made.dpi, mpl.rcParams["savefig.dpi"]
    made.dpi = (dpi if asked == "figure" else asked) * (1.0 if kind == ".png" else FINER)
    try:
        getattr(CANVASES[kind](made), f"print_{kind[1:]}")(to, metadata=dict(metadata))
    finally:
        made.set_canvas(canvas)
        made.dpi = dpi


def check_suffix(path: str | os.PathLike[str]) -> Path:
    """The path, or a ValueError that lists the formats of figures."""
    target = Path(path)
    if target.suffix.lower() not in METADATA:
        raise ValueError(
            f"{target} has the suffix {target.suffix!r}, a figure is one of {', '.join(METADATA)}"
        )
    return target
