"""The pictures of several runs side by side: training, accuracy and its price, and of every level
its polynomials and roots, with a slider over the epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.along.results import Along
from analysis.runs.in_short import judged as judged_view
from analysis.runs.results import RunComparison, SpectralReport
from analysis.stats import fraction_interval
from figures.page.levels import Moving, in_plane
from figures.page.traces import (
    FAR,
    FEW,
    FLOOR,
    HEIGHT,
    SIZES,
    SYMBOLS,
    Data,
    Picture,
    banded,
    cloud,
    curve,
    guide,
    log_axis,
    short,
    slider,
    spread,
    tone,
)
from figures.polynomials import LINEAR_UP_TO
from figures.runs.views import learned as ends_of
from figures.runs.views import meaningful
from figures.style import BLACK, GREY, LIGHT_GREY

MOST_STEPS, MOST_CURVES = 12, 60  # of a slider; of all of its steps together
SHARED_POINTS = 81  # of a curve among several that move
CAPTION = (
    "At the end as learned, norms folded in where they take the coefficients' meaning away; such a"
    " configuration does not move. Several seeds are a mean with a band from the lowest to the"
    " highest, their roots all together."
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
                data += banded(which, x, np.stack([one[:length] for one in curves]), k)
        if not data:
            continue
        few = max(len(one["x"]) for one in data) <= 2 * FEW  # bands go there and back
        axis = log_axis(*(one["y"] for one in data)) if log else {}
        layout = {
            "xaxis": {"title": {"text": "epoch"}} | ({"dtick": 1} if few else {}),
            "yaxis": {"title": {"text": label}, **axis},
        }
        caption = "One point an epoch; of several seeds their mean, with a band from the lowest to"
        text = f"{caption} the highest." if any(len(r) > 1 for r in metrics.values()) else ""
        made.append(Picture(f"training-{name}", title, text, data, layout))
    return made


def side_by_side(
    found: RunComparison,
    groups: Mapping[str, Sequence[SpectralReport]],
    ways: Mapping[str, Sequence[Along | None]],
) -> list[Picture]:
    """Several runs: accuracy, its price, smoothing factors, and roots and polynomials of every
    level that is there."""
    made = [_accuracies(found, groups), _price(found, groups)]
    if any(report.levels for own in groups.values() for report in own):
        made.append(_factors(groups))
    count = max(len(report.levels) for own in groups.values() for report in own)
    for k in range(count):
        steps = Steps(groups, ways, k)
        made += [_curves_of(groups, steps, k), _roots_of(groups, steps, k)]
    return [one for one in made if one.data]


def _accuracies(found: RunComparison, groups: Mapping[str, Sequence[SpectralReport]]) -> Picture:
    data: list[Data] = []
    table = found.groups.set_index("configuration")

    def bar(name: str, title: str, ends: Any, line: Data, **given: Any) -> None:
        """An interval, which the legend has once, whichever configuration has it first."""
        given["showlegend"] = all(one["name"] != title for one in data)
        where = np.array([name] * 2)
        data.append(curve(title, 100 * ends, where, line=line, legendgroup=title, **given))

    for k, (name, reports) in enumerate(groups.items()):
        values = [r.facts["test_accuracy"] for r in reports if r.facts["test_accuracy"] is not None]
        if not values:
            continue
        row, count = table.loc[name], reports[0].facts["tested_on"]
        if count:
            ends = np.array(fraction_interval(float(np.mean(values)), count))
            band = {"color": "#DDDDDD", "width": 14}
            bar(name, "95 % interval by the number of images", ends, band, hoverinfo="skip")
        if len(values) > 1:
            ends = np.array([row["low"], row["high"]])
            title = "95 % interval of the mean over the seeds"
            bar(name, title, ends, {"color": BLACK, "width": 2})
        marker = {"color": tone(k), "size": 9, "symbol": SYMBOLS[k % len(SYMBOLS)]}
        data.append(
            {
                **cloud(name, 100 * np.array(values), np.array([name] * len(values))),
                **{"marker": marker, "showlegend": False},
            }
        )
    layout = {
        "height": 170 + 34 * len(groups),
        "xaxis": {"title": {"text": "test accuracy (%)"}},
        "yaxis": {"automargin": True, "autorange": "reversed"},
    }
    caption = (
        "One point a run. Grey: where the accuracy may lie on other images, by the number of these"
        " (95 %). Which of two is better on these images, the pairs by seed say"
    )
    return Picture("accuracies", "Accuracy", f"{caption}.", data, layout)


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
        data.append(curve("front", *args, line=dash, hoverinfo="skip", showlegend=False))
    for row in table.to_dict(orient="records"):
        k, known = order[row["configuration"]], pd.notna(row["high"])
        ends = [[100 * abs(row[end] - row["mean"])] for end in ("high", "low")] if known else []
        mark = {"color": tone(k), "size": 11, "symbol": SYMBOLS[k % len(SYMBOLS)]}
        point = cloud(row["configuration"], [row["parameters"]], [100 * row["mean"]], marker=mark)
        bars: Data = {"type": "data", "symmetric": False}
        bars |= dict(zip(("array", "arrayminus"), ends, strict=False))
        data.append(point | ({"error_y": bars} if ends else {}))
    buttons = []
    for title, column in prices.items():
        best = front(column)
        xs = [short(best[column]), *([value] for value in table[column].tolist())]
        ys = [short(100 * best["mean"]), *([100 * value] for value in table["mean"].tolist())]
        change = {"xaxis": {"title": {"text": title}, **log_axis(table[column])}}
        buttons.append({"label": title, "method": "update", "args": [{"x": xs, "y": ys}, change]})
    menu = {"buttons": buttons, "type": "buttons", "direction": "right", "x": 0, "y": 0}
    layout = {
        "xaxis": {"title": {"text": "weights"}, **log_axis(table["parameters"])},
        "yaxis": {"title": {"text": "mean test accuracy (%)"}},
        "updatemenus": [{**menu, "xanchor": "left", "yanchor": "top", "pad": {"t": 56}}],
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
            data += banded(name, np.arange(1, len(values[0]) + 1), np.array(values), k)
    every = [value for one in data for value in one["y"] if value]
    axis = log_axis(every, [1.0]) if max(every, default=1.0) > 3.0 else {}
    layout = {
        "xaxis": {"title": {"text": "level"}, "dtick": 1},
        "yaxis": {"title": {"text": "smoothing factor µ at the end"}, **axis},
        "shapes": [guide(1.0)],
    }
    return Picture(
        "factors",
        "Do the levels smooth?",
        "Below the dashed line at 1 a level is a smoother. As learned, norms folded in where there"
        " are any; mean over the seeds, with a band from the lowest to the highest.",
        data,
        layout,
    )


class Steps:
    """The level k of several configurations at the epochs of a slider, at most `MOST_STEPS`,
    fewer where there are many configurations.

    Configurations whose coefficients have a meaning in every run move; the others stand still.
    """

    def __init__(
        self,
        groups: Mapping[str, Sequence[SpectralReport]],
        ways: Mapping[str, Sequence[Along | None]],
        k: int,
    ) -> None:
        self.moving: dict[str, list[Moving]] = {}
        for name, reports in groups.items():
            known = [way for way in ways[name] if way is not None and k < way.levels]
            learned = [
                "learned" in meaningful(report.levels[k].relative, report.levels[k])
                for report in reports
                if k < len(report.levels)
            ]
            if len(known) == len(reports) == sum(learned):
                self.moving[name] = [Moving(way, k + 1) for way in known]
        every = sorted(
            {epoch for own in self.moving.values() for one in own for epoch in one.epochs}
        )
        count = max(3, min(MOST_STEPS, MOST_CURVES // max(len(self.moving), 1)))
        chosen = np.unique(np.linspace(0, len(every) - 1, min(count, len(every))).round())
        self.epochs = [every[int(index)] for index in chosen]

    @property
    def labels(self) -> list[str]:
        """What the slider says."""
        return [f"epoch {epoch}" if epoch else "start" for epoch in self.epochs] + ["learned"]

    def slider(
        self,
        data: Sequence[Data],
        groups: Mapping[str, Any],
        change: Callable[[str, list[tuple[Moving, int]]], list[Data]],
        axis: str,
        **given: Any,
    ) -> Data:
        """The slider of a picture, from what `change` says of a configuration at the moments of its
        runs, a dict for each of its traces; empty where nothing moves."""
        if not self.moving:
            return {}
        traces = [k for k, one in enumerate(data) if one["name"] in self.moving]
        moves: list[tuple[Data, str]] = []
        for epoch, label in zip(self.epochs, self.labels, strict=False):
            new = [
                one
                for name in groups
                if name in self.moving
                for one in change(name, [(run, run.at(epoch)) for run in self.moving[name]])
            ]
            moves.append(({key: [one[key] for one in new] for key in new[0]}, label))
        now = [{key: data[k][key] for key in moves[0][0]} for k in traces]
        moves.append(({key: [one[key] for one in now] for key in now[0]}, "learned"))
        return slider(self.labels, moves, traces, axis, **given)


def _curves_of(groups: Mapping[str, Sequence[SpectralReport]], steps: Steps, k: int) -> Picture:
    t, data = np.linspace(0.0, 1.0, SHARED_POINTS), list[Data]()
    ends = {name: [np.real(q(t)) for q in ends_of(own, k)] for name, own in groups.items()}
    ways = [
        np.real(one.values(one.at(epoch), t))
        for own in steps.moving.values()
        for one in own
        for epoch in steps.epochs
    ]
    every = [*(one for own in ends.values() for one in own), *ways]
    log = any(np.abs(one).max() > LINEAR_UP_TO for one in every)

    def shown(values: Iterable[NDArray[Any]]) -> NDArray[Any]:
        return np.maximum(np.abs(list(values)), FLOOR) if log else np.array(list(values))

    def change(name: str, moments: list[tuple[Moving, int]]) -> list[Data]:
        rows = shown(np.real(one.values(index, t)) for one, index in moments)
        return [{"y": short(row)} for row in spread(rows)]

    for index, (name, own) in enumerate(ends.items()):
        if own:
            data += banded(name, t, shown(own), index, mode="lines")
    axis: Data = {"title": {"text": SIZES if log else "q"}}
    axis |= log_axis(shown(every)) if log else {}
    layout = {"xaxis": {"title": {"text": "t / b"}}, "yaxis": axis}
    layout |= steps.slider(data, ends, change, "t / b")
    title = f"Level {k + 1}: polynomials"
    return Picture(f"polynomials-level{k + 1}", title, CAPTION, data, layout)


def _roots_of(groups: Mapping[str, Sequence[SpectralReport]], steps: Steps, k: int) -> Picture:
    data: list[Data] = []

    def change(name: str, moments: list[tuple[Moving, int]]) -> list[Data]:
        return [_in_view(one.roots[index] / one.radii[index] for one, index in moments)]

    for index, (name, reports) in enumerate(groups.items()):
        roots = [q.roots for q in ends_of(reports, k)]
        if roots:
            symbol = f"{SYMBOLS[index % len(SYMBOLS)]}-open"
            mark = {"color": tone(index), "size": 9, "symbol": symbol}
            data.append(cloud(name, [], [], marker=mark) | _in_view(roots))
    circle = np.exp(1j * np.linspace(0.0, 2.0 * np.pi, 121))
    if data:
        ring = {"color": GREY, "width": 1, "dash": "dot"}
        data.append(curve("|λ| = b", circle.real, circle.imag, line=ring, hoverinfo="skip"))
    axis, square = "Re z / b", {"constrain": "domain"}
    layout = {
        "height": HEIGHT,
        "xaxis": {"title": {"text": axis}, **square},
        "yaxis": {"title": {"text": "Im z / b"}, "scaleanchor": "x"},
        **steps.slider(data, groups, change, axis, **square),
    }
    caption = f"{CAPTION} In units of b; roots beyond {FAR:g} b are left out."
    return Picture(f"roots-level{k + 1}", f"Level {k + 1}: roots", caption, data, layout)


def _in_view(roots: Iterable[NDArray[np.complex128]]) -> Data:
    """The roots of several runs that are not too far away."""
    z = np.concatenate(list(roots))
    return in_plane(z[np.abs(z) <= FAR])
