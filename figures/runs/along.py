"""A run along its training: the roots of every level after every epoch, and max |q| and mu at the
epochs that were measured."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from analysis.along.results import Along
from analysis.along.training import NOTHING_KEPT, along_training
from analysis.runs.results import SpectralReport
from figures.curves import plain_labels
from figures.runs.views import PANELS
from figures.spectra import DAMPED
from figures.style import (
    BLACK,
    DOUBLE,
    GREY,
    GUIDE,
    LIGHT_GREY,
    PURPLE,
    ROLES,
    VERMILION,
    Look,
    figure,
    figure_legend,
    finished,
    panel_letters,
)

FAR = 4.0  # roots up to this many spectral radii from 0 are in view
# curve -> attribute of a moment, its look (start and learned have theirs)
CURVES = {
    "max |q|": ("max_modulus", Look(BLACK, "-", "o")),
    "µ": ("smoothing_factor", Look(VERMILION, (0, (5, 1.5)), "v")),
    "µ, norms folded in": ("effective_factor", ROLES["effective"]),
    "‖J‖, with norms and activations": ("jacobian_norm", Look(PURPLE, "none", "P")),
}


def along(report: SpectralReport) -> Figure | None:
    """The figure of a run; None where it has no polynomials or has kept nothing on its way."""
    found = along_training(report.run)
    return None if found is None or NOTHING_KEPT in found.notes else along_figure(found)


def along_figure(found: Along) -> Figure:
    """A column for every level: its roots above, its factors below."""
    across = min(PANELS, found.levels)
    groups = -(-found.levels // across)
    width = DOUBLE if across > 1 else 0.5 * DOUBLE
    made, axes = figure(2 * groups, across, width=width, height=4.5 * groups + 0.5)
    for ax in axes.flat:
        ax.set_visible(False)
    for k in range(found.levels):
        above, below = axes[2 * (k // across) : 2 * (k // across) + 2, k % across]
        draw_roots(above, found, k + 1, legend=False)
        above.set_title(f"level {k + 1}")
        draw_course(below, found, k + 1, legend=False)
        for ax in (above, below):
            ax.set_visible(True)
            if k % across and ax.get_ylabel() == axes[0, 0].get_ylabel():
                ax.set_ylabel("")
        if k % across:
            below.set_ylabel("")
    figure_legend(made)
    panel_letters([ax for ax in axes.flat if ax.get_visible()])
    return made


def draw_roots(ax: Axes, found: Along, level: int, *, legend: bool = True) -> Axes:
    """The roots of a level's q after every epoch, as they stand, with the disc |z| <= b that holds
    the spectrum: in the complex plane, or against the epoch where all are real.

    Equal roots that move together lie over one another. Roots beyond `FAR` radii are out of view,
    beyond `FAR` times the nearest one where all lie far out, as those of a high degree.
    """
    paths, moments = found.paths(level), found.of(level)
    epochs, b = [one.epoch for one in moments], np.array([one.radius for one in moments])
    ends = {"start": b[0], "learned": b[epochs.index(found.end)]}
    sizes = np.abs(paths[np.isfinite(paths)])
    reach = FAR * max(max(b), sizes.min() if sizes.size else 0.0)
    shown = np.where(np.abs(paths) <= reach, paths, np.nan)
    if np.isfinite(paths.real).any() and np.all(paths.imag[np.isfinite(paths)] == 0):
        line: dict[str, Any] = {"color": LIGHT_GREY, "linewidth": 0.9, "zorder": 2}
        ax.plot(found.epochs, shown.real, label="path of a root", **line)
        disc: dict[str, Any] = {**DAMPED, "linewidth": 0, "zorder": 0}
        ax.fill_between(epochs, -b, b, label="|λ| ≤ b, the spectrum's disc", **disc)
        for role, epoch in (("start", 0), ("learned", found.end)):
            at = shown[found.epochs.index(epoch)].real
            _mark(ax, np.full(at.shape, epoch), at, role)
        ax.axhline(0.0, color=GREY, linewidth=0.6, zorder=1)
        if np.nanmin(shown.real) > 0:
            ax.set_ylim(0.0, 1.1 * max(float(np.nanmax(shown.real)), max(b)))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        return finished(ax, "epoch", "roots of q (all real)", legend=legend)
    for path in _followed(shown).T:
        ax.plot(path.real, path.imag, color=LIGHT_GREY, linewidth=0.9, zorder=2)
    ax.plot([], [], color=LIGHT_GREY, linewidth=0.9, label="path of a root")
    for role, radius in ends.items():
        style: dict[str, Any] = {"color": ROLES[role].colour, "ls": ROLES[role].dashes, "lw": 1.0}
        ax.add_patch(Circle((0.0, 0.0), radius, fill=False, zorder=1, **style))
        ax.plot([], [], label=f"|λ| = b, {role}", **style)
        at = shown[found.epochs.index(0 if role == "start" else found.end)]
        _mark(ax, at.real, at.imag, role)
    half = 1.1 * max(float(np.nanmax(np.abs(shown), initial=0.0)), max(b)) or 1.0
    ax.axhline(0.0, color=GREY, linewidth=0.6, zorder=0)
    ax.axvline(0.0, color=GREY, linewidth=0.6, zorder=0)
    ax.set_xlim(-half, half)
    ax.set_ylim(-half, half)
    ax.set_aspect("equal", adjustable="box")
    return finished(ax, "Re of the roots of q", "Im", legend=legend)


def _mark(ax: Axes, x: NDArray[Any], y: NDArray[Any], role: str) -> None:
    own: Look = ROLES[role]
    style: dict[str, Any] = {"marker": own.marker, "color": own.colour, "ls": "none", "ms": 4.5}
    ax.plot(x, y, mfc="none", mew=1.2, zorder=4, label=f"roots, {role}", **style)


def _followed(paths: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Each epoch's roots in the order that continues those of the epoch before: a pair's are stored
    in an order of their own."""
    ordered = paths.copy()
    for before, row in pairwise(ordered):
        cost = np.abs(before[:, None] - row[None, :])
        _, columns = linear_sum_assignment(np.nan_to_num(cost, nan=1e6))
        row[:] = row[columns]
    return ordered


def draw_course(ax: Axes, found: Along, level: int, *, legend: bool = True) -> Axes:
    """max |q|, smoothing factor and |J| of a level against the epoch, logarithmic; below
    the line at 1 a level smooths."""
    moments = found.of(level)
    for label, (name, own) in CURVES.items():
        known = [(one.epoch, getattr(one, name)) for one in moments]
        known = [(epoch, value) for epoch, value in known if value]
        if known:
            ax.plot(*zip(*known), label=label, **own.on(ax).marked)
    ax.axhline(1.0, label="1: smooths below", **GUIDE)
    ax.set_yscale("log")
    plain_labels(ax)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return finished(ax, "epoch", "largest factor of one pass", legend=legend)
