"""The pictures of one level of a run: polynomials, roots, damped waves, its way along training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.along.results import Along
from analysis.levels.report import LevelReport
from analysis.numbers import number
from figures.page.traces import (
    FAR,
    FEW,
    FLOOR,
    HEIGHT,
    MARKS,
    POINTS,
    SIZES,
    Data,
    Picture,
    cloud,
    curve,
    guide,
    log_axis,
    role_marker,
    short,
    slider,
)
from figures.page.waves import damped_waves
from figures.polynomials import LINEAR_UP_TO
from figures.runs.along import CURVES
from figures.runs.views import judged, meaningful
from figures.style import GREY, VERMILION

EIGENVALUES, STEPS, CONTOUR = 500, 33, 61
MOVING = "epoch of the slider"
FACTOR = "largest factor of a pass"
SHADED = "rgba(0,158,115,0.12)"


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

    def at(self, epoch: int) -> int:
        """The index of that epoch, or of the last one before it that is known."""
        return max(0, int(np.searchsorted(self.epochs, epoch, side="right")) - 1)

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
        some = ", largest eigenvalues only" if level.largest_only else ""
        title = f"|q(λ)| of A, {judged(curves)}{some}"
        dots = {"color": GREY, "size": 4, "opacity": 0.5}
        data.append(cloud(title, np.abs(points), shown(sizes), marker=dots))
    for role, own in values.items():
        data.append(curve(role, t, shown(own), role=role))
    axis = "t / b; points: |λ| / b"
    layout: Data = {
        "xaxis": {"title": {"text": axis}, "range": [0, 1.02]},
        "yaxis": {"title": {"text": SIZES if log else "q of curves, |q| of points"}},
    }
    if log:
        layout["yaxis"] |= log_axis(*map(shown, every))
        layout["shapes"] = [guide(1.0)]
    if moving:
        data.append(_moving(mode="lines", x=short(t), y=short(shown(steps[-1]))))
        moves = [({"y": [short(shown(one))]}, moving.words(k)) for k, one in enumerate(steps)]
        layout |= slider(moving.epochs, moves, [len(data) - 1], axis, range=[0, 1.02])
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
                **{"type": "contour", "x": short(grid), "y": short(grid)},
                **{"z": [short(row) for row in np.minimum(size, 4.0)], "hoverinfo": "skip"},
                **{"name": f"|q| < 1, {judged(curves)}", "showscale": False, "showlegend": True},
                **{"contours": {"type": "constraint", "operation": ">", "value": 1.0}},
                **{"fillcolor": SHADED, "line": {"color": "#7fbfa9", "width": 1}},
            }
        )
    some = ", the largest only" if level.largest_only else ""
    dots = {"color": GREY, "size": 3, "opacity": 0.6}
    data.append(cloud(f"eigenvalues of A{some}", points.real, points.imag, marker=dots))
    ring = {"color": GREY, "width": 1, "dash": "dot"}
    data.append(curve("|λ| = b", circle.real, circle.imag, line=ring, hoverinfo="skip"))
    for role, own in roots.items():
        mark = role_marker(role)
        data.append(cloud(f"roots, {role}", own.real, own.imag, marker=mark))
    span: Data = {"range": [-half, half], "zeroline": True}
    axis = "Re z / b"
    layout: Data = {
        "height": HEIGHT,
        "xaxis": {"title": {"text": axis}, "constrain": "domain", **span},
        "yaxis": {"title": {"text": "Im z / b"}, "scaleanchor": "x", **span},
    }
    if moving:
        mark = {"color": VERMILION, "size": 12, "symbol": "circle-open", "line": {"width": 2}}
        data.append(_moving(mode="markers", marker=mark, **in_plane(steps[-1])))
        moves = [
            ({name: [own] for name, own in in_plane(z).items()}, moving.words(k))
            for k, z in enumerate(steps)
        ]
        layout |= slider(moving.epochs, moves, [len(data) - 1], axis, constrain="domain", **span)
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
    return damped_waves(
        order,
        caption="Smooth waves are in the middle, rough ones outside of the dashed square: those a"
        " pass should remove. Waves of a periodic grid, the largest of all"
        " channels; µ of the table and the words is that of the level as it is padded, on its own"
        " grid.",
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
            data.append(curve(label, x, y, line=dash, mode="lines+markers", marker=mark))
    axis = {**log_axis(*(one["y"] for one in data), [1.0]), "title": {"text": FACTOR}}
    last = max([1.0, *(one["x"][-1] for one in data)])
    layout = {
        "height": HEIGHT,
        # a little more at both ends, where marks were cut
        "xaxis": {"title": {"text": "epoch"}, "range": [-0.03 * last, 1.03 * last]}
        | ({"dtick": 1} if last <= FEW else {}),
        "yaxis": axis,
        "shapes": [guide(1.0)],
    }
    return Picture(
        "along",
        "Along training",
        "Below the dashed line at 1 the level is a smoother (µ), and its passes converge (max |q|)."
        " Measured at the start, at the epochs whose weights were kept, and at the end.",
        data,
        layout,
    )


def _moving(**given: Any) -> Data:
    look = {"color": VERMILION, "width": 3}
    return {"type": "scatter", "name": MOVING, "line": look, **given}


def in_plane(z: NDArray[np.complex128]) -> Data:
    """The finite numbers as points of the complex plane."""
    finite = z[np.isfinite(z)]
    return {"x": short(finite.real), "y": short(finite.imag)}


def _spectrum(level: LevelReport) -> NDArray[np.complex128]:
    """Of the learned A as the network applies it, in units of b, at most `EIGENVALUES`: every so
    many by size, the largest among them."""
    values = np.ravel(level.arrays["eigenvalues/learned"])
    values = values[np.argsort(-np.abs(values), kind="stable")]
    chosen = values[:: max(1, -(-values.size // EIGENVALUES))]
    return np.asarray(chosen / (level.operators["learned"].radius or 1.0), complex)
