"""The interactive pictures of a page, as Plotly's data and layout: plain dicts, drawn by the
library in the page.

Numbers in them have four significant digits; the page carries all of them in full beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from analysis.along import Along
from analysis.in_short import judged as judged_view
from analysis.level_report import LevelReport
from analysis.numbers import number
from analysis.results import RunComparison, SpectralReport
from analysis.stats import fraction_interval
from figures.along import CURVES
from figures.damping import colour_limit
from figures.style import BLACK, COLOURS, GREY, LIGHT_GREY, ROLES, VERMILION, heat_map
from figures.views import judged, meaningful
from mgtheory.fourier import grid_frequencies, high_frequencies
from mgtheory.polynomials.residual import ResidualPolynomial

POINTS, EIGENVALUES, STEPS, CONTOUR = 161, 500, 33, 61
LINEAR_UP_TO = 2.0  # larger polynomials are shown by |q|, logarithmically
FLOOR = 1e-3  # of that axis
FAR = 3.0  # roots up to this many radii from 0 are in view
# matplotlib's marks and dashes, by their names in Plotly
MARKS = {"x": "x", "s": "square-open", "D": "diamond-open", "^": "triangle-up-open"}
MARKS |= {"o": "circle-open", "v": "triangle-down-open", "P": "cross", "X": "x-open"}
DASHES = {"theory": "dot", "start": "dash", "learned": "solid", "effective": "dashdot"}
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "star")
MOVING = "epoch of the slider"
HEIGHT = 560
SHADED = "rgba(0,158,115,0.12)"
Data = dict[str, Any]


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
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "height": 420,
            "hoverlabel": {"namelength": -1},
        }
        config = {
            **{"responsive": True, "displaylogo": False, "showSendToCloud": False},
            "toImageButtonOptions": {"format": "svg", "filename": self.name},
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        }
        return {"data": self.data, "layout": {**base, **self.layout}, "config": config}


def of_level(
    level: LevelReport, way: Along | None, maps: Mapping[int, Sequence[NDArray[np.float64]]]
) -> list[Picture]:
    """The pictures of one level."""
    made = [_damping(level, {epoch: own[level.level - 1] for epoch, own in maps.items()})]
    if level.kind == "polynomial":
        moving = None if way is None else Moving(way, level.level)
        made = [_polynomials(level, moving), _plane(level, moving), *made]
        if way is not None:
            made.append(_course(level, way))
    return made


class Moving:
    """The polynomial of a level at the recorded epochs, at most `STEPS` of them and all that were
    measured: roots as recorded; b as measured, between such epochs by its logarithm."""

    def __init__(self, way: Along, level: int) -> None:
        self.moments = {one.epoch: one for one in way.of(level)}
        wanted = {*way.epochs[:: -(-len(way.epochs) // STEPS)], *self.moments}
        chosen = [k for k, epoch in enumerate(way.epochs) if epoch in wanted]
        self.epochs = [way.epochs[k] for k in chosen]
        self.roots = way.paths(level)[chosen]
        at = sorted(self.moments)
        sizes = np.log([max(self.moments[epoch].radius, 1e-300) for epoch in at])
        self.radii = np.exp(np.interp(self.epochs, at, sizes))

    def values(self, index: int, t: NDArray[Any]) -> NDArray[Any]:
        """q(t b), t in units of b."""
        roots = self.roots[index]
        weights = [self.radii[index] / z if np.isfinite(z) else 0.0 for z in roots]
        return np.asarray(np.prod([1.0 - t * w for w in weights], axis=0))

    def words(self, index: int) -> str:
        """What is known of that epoch."""
        epoch = self.epochs[index]
        moment, b = self.moments.get(epoch), number(float(self.radii[index]), 3)
        name = f"epoch {epoch}" if epoch else "the start"
        if moment is None:
            return f"{name}: b ≈ {b}, between measured epochs"
        mu, largest = (number(x, 3) for x in (moment.smoothing_factor, moment.max_modulus))
        return f"{name}: b = {b}, µ = {mu}, max |q| = {largest}"


def _polynomials(level: LevelReport, moving: Moving | None) -> Picture:
    t, curves = np.linspace(0.0, 1.0, POINTS), meaningful(level.relative, level)
    values = {role: np.real(q(t)) for role, q in curves.items()}
    steps = [np.real(moving.values(k, t)) for k in range(len(moving.epochs))] if moving else []
    points, sizes = np.zeros(0, complex), np.zeros(0)
    if curves:
        points = _spectrum(level)
        sizes = np.abs(curves[judged(curves)](points))
    every = [*values.values(), *steps, sizes]
    log = max((float(np.abs(v).max()) for v in every if v.size), default=1.0) > LINEAR_UP_TO

    def shown(v: NDArray[Any]) -> NDArray[Any]:
        return np.maximum(np.abs(v), FLOOR) if log else v

    data: list[Data] = []
    if curves:
        title = f"|q(λ)| of A, {judged(curves)}"
        dots = {"color": GREY, "size": 4, "opacity": 0.5}
        data.append(_points(title, np.abs(points), shown(sizes), marker=dots))
    for role, own in values.items():
        data.append(_line(role, t, shown(own), role=role))
    axis = "t / b; points: |λ| / b"
    layout: Data = {
        "xaxis": {"title": {"text": axis}, "range": [0, 1.02]},
        "yaxis": {"title": {"text": "|q|, logarithmic" if log else "q of curves, |q| of points"}},
    }
    if log:
        layout["yaxis"] |= {"type": "log", "exponentformat": "power"}
        layout["shapes"] = [_level_line(1.0)]
    if moving:
        data.append(_moving(mode="lines", x=_short(t), y=_short(shown(steps[-1]))))
        moves = [({"y": [_short(shown(one))]}, moving.words(k)) for k, one in enumerate(steps)]
        layout |= _slider(moving.epochs, moves, len(data) - 1, axis, range=[0, 1.02])
    return Picture(
        "polynomials",
        "What one pass leaves",
        "One pass multiplies the part of an error at t by q(t): at 0 nothing happens (the coarser"
        " grids see to that end), elsewhere the closer to 0 the better. Each q is in units of the"
        " spectral radius b of its own operator A.",
        data,
        layout,
    )


def _plane(level: LevelReport, moving: Moving | None) -> Picture:
    curves, points = meaningful(level.relative, level), _spectrum(level)
    circle = np.exp(1j * np.linspace(0.0, 2.0 * np.pi, 121))
    roots = {role: q.roots[np.isfinite(q.roots)] for role, q in curves.items()}
    steps = [z / b for z, b in zip(moving.roots, moving.radii)] if moving else []
    shown = [*roots.values(), *steps, np.ones(1)]
    sizes = np.concatenate([np.abs(z[np.isfinite(z)]) for z in shown])
    half = 1.12 * float(min(max(sizes.max(), 1.0), FAR))
    data: list[Data] = []
    if curves:
        grid = np.linspace(-half, half, CONTOUR)
        with np.errstate(over="ignore", invalid="ignore"):
            size = np.abs(curves[judged(curves)](grid[None, :] + 1j * grid[:, None]))
        data.append(
            {
                **{"type": "contour", "x": _short(grid), "y": _short(grid)},
                **{"z": [_short(row) for row in np.minimum(size, 4.0)], "hoverinfo": "skip"},
                **{"name": f"|q| < 1, {judged(curves)}", "showscale": False, "showlegend": True},
                **{"contours": {"type": "constraint", "operation": ">", "value": 1.0}},
                **{"fillcolor": SHADED, "line": {"color": "#7fbfa9", "width": 1}},
            }
        )
    dots = {"color": GREY, "size": 3, "opacity": 0.6}
    data.append(_points("eigenvalues of A", points.real, points.imag, marker=dots))
    ring = {"color": GREY, "width": 1, "dash": "dot"}
    data.append(_line("|λ| = b", circle.real, circle.imag, line=ring, hoverinfo="skip"))
    for role, own in roots.items():
        mark = _mark(role)
        data.append(_points(f"roots, {role}", own.real, own.imag, marker=mark))
    span: Data = {"range": [-half, half], "zeroline": True}
    axis = "Re z / b"
    layout: Data = {
        "height": HEIGHT,
        "xaxis": {"title": {"text": axis}, "constrain": "domain", **span},
        "yaxis": {"title": {"text": "Im z / b"}, "scaleanchor": "x", **span},
    }
    if moving:
        mark = {"color": VERMILION, "size": 12, "symbol": "circle-open", "line": {"width": 2}}
        data.append(_moving(mode="markers", marker=mark, **_plane_of(steps[-1])))
        moves = [
            ({name: [own] for name, own in _plane_of(z).items()}, moving.words(k))
            for k, z in enumerate(steps)
        ]
        layout |= _slider(moving.epochs, moves, len(data) - 1, axis, constrain="domain", **span)
    return Picture(
        "roots",
        "Roots in the complex plane",
        "q is 0 at its roots, so errors near them are removed. The eigenvalues of A are what the"
        " roots should cover; in the shaded region a pass makes errors smaller. Roots farther than"
        f" {FAR:g} b away can be reached by zooming out.",
        data,
        layout,
    )


def _damping(level: LevelReport, maps: Mapping[int, NDArray[np.float64]]) -> Picture:
    shown = meaningful(level.views, level)
    found = {role: level.arrays[f"damping/{role}"] for role in shown}
    order = {name: values for name, values in found.items() if name in ("theory", "start")}
    order |= {f"epoch {epoch}": values for epoch, values in sorted(maps.items())}
    order |= found
    for name in list(found):  # learned and effective stand last
        if name not in ("theory", "start"):
            order[name] = order.pop(name)
    limit = colour_limit(list(order.values()))
    top = 1.0 + np.log10(limit) if limit > 1.0 else 1.0
    colours = mpl.colormaps["cividis"] if top == 1.0 else heat_map(1.0 / top)
    scale = [[k / 40, to_hex(colours(k / 40))] for k in range(41)]
    decades = np.arange(1, round(np.log10(max(limit, 1.0))) + 1)
    bar = {"tickvals": [0, 0.5, 1, *(1 + decades).tolist()], "thickness": 12}
    bar |= {"ticktext": ["0", "0.5", "1", *(f"10<sup>{k}</sup>" for k in decades)]}
    last = list(order)[-1]
    theta = [_short(grid_frequencies(n)[:, 0] / np.pi) for n in order[last].shape]
    data = [
        {
            **{"type": "heatmap", "x": theta[1], "y": theta[0], **_cells(order[last])},
            **{"colorscale": scale, "zmin": 0, "zmax": top, "colorbar": bar},
            "hovertemplate": "θ₂ = %{x:.2f} π, θ₁ = %{y:.2f} π: %{text}<extra></extra>",
        }
    ]
    rough = high_frequencies(level.arrays["theta"])
    moves = [
        (
            {k: [v] for k, v in _cells(values).items()},
            f"{name}: rough waves ≤ {number(float(values[rough].max()), 3)}",
        )
        for name, values in order.items()
    ]
    square = {"range": [-1, 1], "ticksuffix": " π", "dtick": 0.5, "constrain": "domain"}
    inner = {"type": "rect", "x0": -0.5, "x1": 0.5, "y0": -0.5, "y1": 0.5}
    lines = [{"color": "white", "width": 3}, {"color": BLACK, "width": 1.5, "dash": "dash"}]
    layout = {
        "yaxis": {"title": {"text": "θ₁"}, "scaleanchor": "x", **square},
        "shapes": [{**inner, "line": line} for line in lines],
        **_slider(list(order), moves, 0, "θ₂", prefix="", **square),
    }
    return Picture(
        "damping",
        "What is left of each wave",
        "Smooth waves are in the middle, rough ones outside of the dashed square: those a pass"
        " should remove. Red is amplified. Waves of a periodic grid, the largest of all channels.",
        data,
        layout,
    )


def _course(level: LevelReport, way: Along) -> Picture:
    data = []
    for label, (name, look) in CURVES.items():
        known = [(one.epoch, getattr(one, name)) for one in way.of(level.level)]
        known = [(epoch, value) for epoch, value in known if value]
        if known:
            x, y = np.transpose(known)
            mark = {"color": look.colour, "symbol": MARKS[look.marker], "size": 8}
            dash = {"color": look.colour, "width": 0 if look.dashes == "none" else 1.5}
            data.append(_line(label, x, y, line=dash, mode="lines+markers", marker=mark))
    axis = {"type": "log", "exponentformat": "power", "title": {"text": "largest factor of a pass"}}
    layout = {
        "height": HEIGHT,
        "xaxis": {"title": {"text": "epoch"}, "rangemode": "tozero"},
        "yaxis": axis,
        "shapes": [_level_line(1.0)],
    }
    return Picture(
        "along",
        "Along training",
        "Below the dashed line at 1 the level is a smoother (µ), and amplifies nothing (max |q|)."
        " Measured at the start, at the epochs whose weights were kept, and at the end.",
        data,
        layout,
    )


def training(metrics: Mapping[str, Sequence[pd.DataFrame]]) -> list[Picture]:
    """Loss and accuracy against the epoch: a curve a configuration, and a band over its seeds."""
    kinds = (
        ("loss", "Training loss", "train_loss", 1.0, "training loss", True),
        (
            "accuracy",
            "Validation accuracy",
            "val_accuracy",
            100.0,
            "validation accuracy (%)",
            False,
        ),
    )
    made = []
    for name, title, column, factor, label, log in kinds:
        data: list[Data] = []
        for k, (which, runs) in enumerate(metrics.items()):
            curves = [factor * m[column].to_numpy(float) for m in runs if column in m]
            if curves and all(np.isfinite(one).any() for one in curves):
                length = min(map(len, curves))
                x = np.arange(1, length + 1)
                data += _band(which, x, np.stack([one[:length] for one in curves]), k)
        if not data:
            continue
        axis = {"type": "log"} if log else {}
        layout = {
            "xaxis": {"title": {"text": "epoch"}},
            "yaxis": {"title": {"text": label}, **axis},
        }
        caption = "One point an epoch; of several seeds their mean, with a band from the lowest to"
        text = f"{caption} the highest." if any(len(r) > 1 for r in metrics.values()) else ""
        made.append(Picture(f"training-{name}", title, text, data, layout))
    return made


def side_by_side(
    found: RunComparison, groups: Mapping[str, Sequence[SpectralReport]]
) -> list[Picture]:
    """Several runs: accuracy, its price, smoothing factors, and roots and polynomials of every
    level that is there."""
    made = [_accuracies(found, groups), _price(found, groups)]
    if any(report.levels for own in groups.values() for report in own):
        made.append(_factors(groups))
    count = max(len(report.levels) for own in groups.values() for report in own)
    for k in range(count):
        made += [one for one in (_curves_of(groups, k), _roots_of(groups, k)) if one.data]
    return [one for one in made if one.data]


def _accuracies(found: RunComparison, groups: Mapping[str, Sequence[SpectralReport]]) -> Picture:
    data: list[Data] = []
    table = found.groups.set_index("configuration")
    for k, (name, reports) in enumerate(groups.items()):
        values = [r.facts["test_accuracy"] for r in reports if r.facts["test_accuracy"] is not None]
        if not values:
            continue
        row, count = table.loc[name], reports[0].facts["tested_on"]
        if count:
            ends = 100 * np.array(fraction_interval(float(np.mean(values)), count))
            band = {"color": "#DDDDDD", "width": 14}
            title = "95 % interval by the number of images"
            once: Data = {"legendgroup": "images", "showlegend": not k, "hoverinfo": "skip"}
            data.append(_line(title, ends, np.array([name] * 2), line=band, **once))
        if len(values) > 1:
            ends = np.array([100 * row["low"], 100 * row["high"]])
            title = "95 % interval of the mean over the seeds"
            once = {"legendgroup": "seeds", "showlegend": not k}
            bar = {"color": BLACK, "width": 2}
            data.append(_line(title, ends, np.array([name] * 2), line=bar, **once))
        marker = {"color": _colour(k), "size": 9, "symbol": SYMBOLS[k % len(SYMBOLS)]}
        data.append(
            {
                **_points(name, 100 * np.array(values), np.array([name] * len(values))),
                **{"marker": marker, "showlegend": False},
            }
        )
    layout = {
        "height": 170 + 34 * len(groups),
        "xaxis": {"title": {"text": "test accuracy (%)"}},
        "yaxis": {"automargin": True, "autorange": "reversed"},
    }
    caption = (
        "One point a run. Configurations whose grey bands overlap are not told apart by so many"
    )
    return Picture("accuracies", "Accuracy", f"{caption} images.", data, layout)


def _price(found: RunComparison, groups: Mapping[str, Sequence[SpectralReport]]) -> Picture:
    """Accuracy against what it costs, and the configurations that none beats in both."""
    table = found.groups.dropna(subset=["mean"]).reset_index(drop=True)
    order = {name: k for k, name in enumerate(groups)}
    prices = {"weights": "parameters", "training time (s)": "seconds"}

    def front(column: str) -> pd.DataFrame:
        rows = table.sort_values([column, "mean"], ascending=[True, False])
        return rows[rows["mean"] > rows["mean"].cummax().shift(fill_value=-1.0)]

    data: list[Data] = []
    dash: Data = {"color": LIGHT_GREY, "width": 1.5, "shape": "hv"}
    if len(table):
        best = front("parameters")
        args = best["parameters"].to_numpy(float), 100 * best["mean"].to_numpy(float)
        data.append(_line("no other is better and cheaper", *args, line=dash, hoverinfo="skip"))
    for row in table.to_dict(orient="records"):
        k, known = order[row["configuration"]], pd.notna(row["high"])
        half = [100 * (row["high"] - row["mean"])] if known else []
        mark = {"color": _colour(k), "size": 11, "symbol": SYMBOLS[k % len(SYMBOLS)]}
        point = _points(row["configuration"], [row["parameters"]], [100 * row["mean"]], marker=mark)
        data.append(point | ({"error_y": {"type": "data", "array": half}} if half else {}))
    buttons = []
    for title, column in prices.items():
        best = front(column)
        xs = [_short(best[column]), *([value] for value in table[column].tolist())]
        ys = [_short(100 * best["mean"]), *([100 * value] for value in table["mean"].tolist())]
        change = {"xaxis.title.text": title}
        buttons.append({"label": title, "method": "update", "args": [{"x": xs, "y": ys}, change]})
    menu = {"buttons": buttons, "type": "buttons", "direction": "right", "x": 0, "y": 1.0}
    layout = {
        "xaxis": {"title": {"text": "weights"}, "type": "log"},
        "yaxis": {"title": {"text": "mean test accuracy (%)"}},
        "updatemenus": [{**menu, "xanchor": "left", "yanchor": "bottom"}],
        "legend": {"orientation": "h", "y": -0.22, "yanchor": "top"},
        "margin": {"l": 56, "r": 12, "t": 44, "b": 48},
    }
    return Picture(
        "pareto",
        "Accuracy and its price",
        "The line joins the configurations that no other beats in both; bars are 95 % intervals"
        " over the seeds.",
        data,
        layout,
    )


def _factors(groups: Mapping[str, Sequence[SpectralReport]]) -> Picture:
    data: list[Data] = []
    for k, (name, reports) in enumerate(groups.items()):
        values = [[judged_view(one).smoothing_factor for one in r.levels] for r in reports]
        values = [one for one in values if one]
        if values:
            data += _band(name, np.arange(1, len(values[0]) + 1), np.array(values), k)
    every = [value for one in data for value in one["y"] if value]
    axis = {"type": "log", "exponentformat": "power"} if max(every, default=1.0) > 3.0 else {}
    layout = {
        "xaxis": {"title": {"text": "level"}, "dtick": 1},
        "yaxis": {"title": {"text": "smoothing factor µ at the end"}, **axis},
        "shapes": [_level_line(1.0)],
    }
    return Picture(
        "factors",
        "Do the levels smooth?",
        "Below the dashed line at 1 a level is a smoother. As learned, norms folded in where there"
        " are any; mean over the seeds, with a band from the lowest to the highest.",
        data,
        layout,
    )


def _ends(reports: Iterable[SpectralReport], k: int) -> list[ResidualPolynomial]:
    """The polynomials of level k that stand for what was learned, in units of b."""
    found = []
    for report in reports:
        if k < len(report.levels) and report.levels[k].kind == "polynomial":
            curves = meaningful(report.levels[k].relative, report.levels[k])
            if {"learned", "effective"} & set(curves):
                found.append(curves[judged(curves)])
    return found


def _curves_of(groups: Mapping[str, Sequence[SpectralReport]], k: int) -> Picture:
    t, data = np.linspace(0.0, 1.0, POINTS), list[Data]()
    values = {name: [np.real(q(t)) for q in _ends(own, k)] for name, own in groups.items()}
    log = any(np.abs(one).max() > LINEAR_UP_TO for own in values.values() for one in own)
    for index, (name, own) in enumerate(values.items()):
        if own:
            stack = np.maximum(np.abs(own), FLOOR) if log else np.array(own)
            data += _band(name, t, stack, index, mode="lines")
    axis: Data = {"title": {"text": "|q|, logarithmic" if log else "q"}}
    axis |= {"type": "log", "exponentformat": "power"} if log else {}
    layout = {"xaxis": {"title": {"text": "t / b"}}, "yaxis": axis}
    caption = "As learned, norms folded in where there are any; mean and range over the seeds."
    title = f"Level {k + 1}: learned polynomials"
    return Picture(f"polynomials-level{k + 1}", title, caption, data, layout)


def _roots_of(groups: Mapping[str, Sequence[SpectralReport]], k: int) -> Picture:
    data: list[Data] = []
    for index, (name, reports) in enumerate(groups.items()):
        roots = [q.roots for q in _ends(reports, k)]
        if roots:
            z = np.concatenate(roots)
            z = z[np.isfinite(z) & (np.abs(z) <= FAR)]
            symbol = f"{SYMBOLS[index % len(SYMBOLS)]}-open"
            mark = {"color": _colour(index), "size": 9, "symbol": symbol}
            data.append(_points(name, z.real, z.imag, marker=mark))
    circle = np.exp(1j * np.linspace(0.0, 2.0 * np.pi, 121))
    if data:
        ring = {"color": GREY, "width": 1, "dash": "dot"}
        data.append(_line("|λ| = b", circle.real, circle.imag, line=ring, hoverinfo="skip"))
    layout = {
        "height": HEIGHT,
        "xaxis": {"title": {"text": "Re z / b"}, "constrain": "domain"},
        "yaxis": {"title": {"text": "Im z / b"}, "scaleanchor": "x"},
    }
    caption = f"Of all seeds, in units of b; those beyond {FAR:g} b are left out."
    return Picture(f"roots-level{k + 1}", f"Level {k + 1}: learned roots", caption, data, layout)


def _band(name: str, x: Any, stack: NDArray[Any], k: int, **given: Any) -> list[Data]:
    """The mean of several rows, and a band from the lowest to the highest."""
    colour, group = _colour(k), {"legendgroup": name}
    made: list[Data] = []
    if len(stack) > 1:
        edges = np.concatenate([stack.min(axis=0), stack.max(axis=0)[::-1]])
        fill = {"fill": "toself", "fillcolor": colour, "opacity": 0.18, "hoverinfo": "skip"}
        area: Data = {**fill, **group, "showlegend": False}
        around = np.concatenate([x, x[::-1]])
        made.append(_line(name, around, edges, line={"width": 0}, **area))
    line = {"color": colour, "width": 1.8, "dash": "dash" if k // len(COLOURS) % 2 else "solid"}
    marks: Data = {
        "mode": "lines+markers",
        "marker": {"symbol": SYMBOLS[k % len(SYMBOLS)], "size": 6},
    }
    made.append(_line(name, x, stack.mean(axis=0), line=line, **{**marks, **group, **given}))
    return made


def _slider(
    labels: Sequence[Any],
    moves: Sequence[tuple[Data, str]],
    trace: int,
    axis: str,
    *,
    prefix: str = "epoch ",
    **given: Any,
) -> Data:
    """A slider that changes one trace, and tells below the axis what is shown; at its last step."""
    titles = [f"{axis}<br><b>{words}</b>" for _, words in moves]
    steps = [
        {"label": str(label), "method": "update"}
        | {"args": [data, {"xaxis.title.text": title}, [trace]]}
        for label, (data, _), title in zip(labels, moves, titles, strict=True)
    ]
    now = {"prefix": prefix, "font": {"size": 13}}
    slider = {"active": len(steps) - 1, "steps": steps, "currentvalue": now}
    pad = {"pad": {"t": 66, "b": 8}}
    xaxis = {"title": {"text": titles[-1]}, **given}
    return {"sliders": [slider | pad], "xaxis": xaxis, "height": HEIGHT}


def _moving(**given: Any) -> Data:
    look = {"color": VERMILION, "width": 3}
    return {"type": "scatter", "name": MOVING, "line": look, **given}


def _line(name: str, x: Any, y: Any, *, role: str | None = None, **given: Any) -> Data:
    if role is not None:
        given["line"] = {"color": ROLES[role].colour, "dash": DASHES[role], "width": 1.8}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": _short(x),
        "y": _short(y),
    } | given


def _points(name: str, x: Any, y: Any, **given: Any) -> Data:
    return _line(name, x, y, **{"mode": "markers", **given})


def _mark(role: str) -> Data:
    look = ROLES[role]
    return {"color": look.colour, "symbol": MARKS[look.marker], "size": 9, "line": {"width": 2}}


def _plane_of(z: NDArray[np.complex128]) -> Data:
    finite = z[np.isfinite(z)]
    return {"x": _short(finite.real), "y": _short(finite.imag)}


def _cells(values: NDArray[np.float64]) -> Data:
    """Colours linear up to 1 and logarithmic beyond, and the numbers themselves for reading."""
    large = np.maximum(values, 1.0)
    colours = np.where(values <= 1.0, values, 1.0 + np.log10(large))
    texts = [[f"{value:.3g}" for value in row] for row in values]
    return {"z": [_short(row) for row in colours], "text": texts}


def _level_line(y: float) -> Data:
    line = {"color": GREY, "width": 1, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line}


def _spectrum(level: LevelReport) -> NDArray[np.complex128]:
    """Of the learned A as the network applies it, in units of b, at most `EIGENVALUES`: every so
    many by size, the largest among them."""
    values = np.ravel(level.arrays["eigenvalues/learned"])
    values = values[np.argsort(-np.abs(values), kind="stable")]
    chosen = values[:: max(1, -(-values.size // EIGENVALUES))]
    return np.asarray(chosen / (level.operators["learned"].radius or 1.0), complex)


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]


def _short(values: Any) -> list[Any]:
    """Four significant digits; words as they are; what is not finite is a gap."""
    array = np.asarray(values)
    if array.dtype.kind in "US":
        return [str(word) for word in array]
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in array.astype(float)]
