"""Eigenvalues of an operator in the complex plane, with the roots that are to damp them and the
region where |q| < 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from figures.style import (
    BLACK,
    GREY,
    LIGHT_GREY,
    SKY,
    VERMILION,
    Look,
    legend_above,
    look_of,
    named,
)
from mgtheory.polynomials.residual import ResidualPolynomial

__all__ = ["draw_spectrum"]

# roots up to this many spectral radii from 0 widen the view; others are drawn at its edge
MARGIN = 1.25
# a spectrum less high than this part of its width is drawn in a flat panel, any other in a square
# one
FLAT = 0.15
SHOWN_POINTS = 6000
ROOT_SIZE = 5.0
DAMPED = "#FFF3D6"
Ends = tuple[float, float]


def draw_spectrum(
    ax: Axes,
    eigenvalues: ArrayLike,
    *,
    high: ArrayLike | None = None,
    applied: ArrayLike | None = None,
    roots: Mapping[str, ArrayLike] | None = None,
    damping: tuple[str, ResidualPolynomial] | None = None,
    unit: str = "",
    columns: int = 2,
    legend: bool = True,
) -> Axes:
    """Eigenvalues and roots in the complex plane; the region |q| < 1 of one polynomial is shaded
    and named.

    Parameters
    ----------
    eigenvalues
        Complex, shape (H, W, c) by frequency, or any shape.
    high
        The high frequencies, shape (H, W); drawn in a colour and a marker of their own.
    applied
        Eigenvalues of the operator with the network's own padding, complex, of any shape, where
        `eigenvalues` are its symbol's: drawn over them.
    roots
        Label -> complex roots. Those out of view are drawn at the edge, as triangles that point to
        them; infinite ones on the right.
    damping
        (label, q), q on the scale of the eigenvalues: inside of the curve |q| = 1, which has the
        label's look, it damps, outside it amplifies.
    unit
        What the eigenvalues are given in units of, e.g. "b" for their spectral radius; without it
        they are what they are.
    columns
        Of the legend, which stands above the axes.
    """
    values = np.asarray(eigenvalues, dtype=complex)
    given = {label: np.ravel(np.asarray(z, dtype=complex)) for label, z in (roots or {}).items()}
    x, y = _view(values, given, whole_disc=bool(unit))
    if damping is not None:
        _draw_damped(ax, *damping, x, y)
    groups = {"eigenvalues": (values.ravel(), SKY, "o")}
    if high is not None:
        mask = np.broadcast_to(
            np.asarray(high, dtype=bool)[(...,) + (None,) * (values.ndim - np.ndim(high))],
            values.shape,
        )
        groups = {
            "low frequencies": (values[~mask], LIGHT_GREY, "s"),
            "high frequencies": (values[mask], SKY, "o"),
        }
    if applied is not None:
        groups = {f"symbol, {label}": drawn for label, drawn in groups.items()}
        groups["eigenvalues as applied"] = (np.ravel(np.asarray(applied, complex)), BLACK, "o")
    for k, (label, (points, colour, marker)) in enumerate(groups.items()):
        shown = (
            points if points.size <= SHOWN_POINTS else points[:: -(-points.size // SHOWN_POINTS)]
        )
        style: dict[str, Any] = {
            "linestyle": "none",
            "marker": marker,
            "markeredgewidth": 0,
            "color": colour,
        }
        ax.plot(
            shown.real,
            shown.imag,
            markersize=1.8,
            alpha=0.5,
            rasterized=True,
            zorder=2 + k,
            label=f"_{label}",
            **style,
        )
        ax.plot([], [], markersize=4.0, label=label, **style)
    for k, (label, found) in enumerate(given.items()):
        # equal roots stay visible around one another
        _draw_roots(ax, found, label, k, ROOT_SIZE + 1.3 * (len(given) - 1 - k), x, y)
    ax.axhline(0.0, color=GREY, linewidth=0.6, zorder=1)
    ax.axvline(0.0, color=GREY, linewidth=0.6, zorder=1)
    ax.set_xlim(*x)
    ax.set_ylim(*y)
    ax.set_aspect("equal", adjustable="box")
    ax.set_xlabel(f"Re λ / {unit}" if unit else "Re λ")
    ax.set_ylabel(f"Im λ / {unit}" if unit else "Im λ")
    if legend:
        legend_above(ax, columns=columns)
    return ax


def _view(
    values: np.ndarray, roots: Mapping[str, np.ndarray], *, whole_disc: bool
) -> tuple[Ends, Ends]:
    """Limits of both axes: around the spectrum and the near roots, symmetric about the real axis,
    square unless the spectrum is flat.

    With `whole_disc` around all of the disc that has the spectral radius, so that panels in units
    of it are alike.
    """
    radius = float(np.abs(values).max()) or 1.0
    near = [z for found in roots.values() for z in found if abs(z) <= MARGIN * radius]
    points = np.concatenate([values.ravel(), np.array(near, dtype=complex), [0.0]])
    pad = 0.15 * radius
    low, high = float(points.real.min()) - pad, float(points.real.max()) + pad
    reach = float(np.abs(points.imag).max()) + pad
    if np.abs(points.imag).max() <= FLAT * (high - low):
        reach = max(reach, (high - low) / 4)
        return (low, high), (-reach, reach)
    if whole_disc:
        low, high, reach = (
            min(low, -radius - pad),
            max(high, radius + pad),
            max(reach, radius + pad),
        )
    half, middle = max(reach, 0.5 * (high - low)), 0.5 * (low + high)
    return (middle - half, middle + half), (-half, half)


def _draw_damped(ax: Axes, label: str, q: ResidualPolynomial, x_ends: Ends, y_ends: Ends) -> None:
    x, y = np.meshgrid(np.linspace(*x_ends, 601), np.linspace(*y_ends, 601))
    size, look = np.abs(q(x + 1j * y)), _look(label, 0)
    ax.contourf(x, y, size, levels=[0.0, 1.0], colors=[DAMPED], zorder=0)
    ax.contour(x, y, size, levels=[1.0], colors=["white"], linewidths=2.4, zorder=5)
    # over the roots
    ax.contour(
        x,
        y,
        size,
        levels=[1.0],
        colors=[look.colour],
        linestyles=[look.dashes],
        linewidths=1.1,
        zorder=20,
    )
    patch: dict[str, Any] = {
        "facecolor": DAMPED,
        "edgecolor": look.colour,
        "linestyle": look.dashes,
        "linewidth": 1.1,
    }
    ax.fill([np.nan], [np.nan], label=f"|q| < 1, q {named(label)}", **patch)


def _look(label: str, index: int) -> Look:
    """The label's own look, in another colour where it would be that of the points."""
    look = look_of(label, index)
    return replace(look, colour=VERMILION) if look.colour == SKY else look


def _draw_roots(
    ax: Axes, roots: np.ndarray, label: str, index: int, size: float, x: Ends, y: Ends
) -> None:
    look = _look(label, index)
    inside = (
        np.isfinite(roots)
        & (roots.real >= x[0])
        & (roots.real <= x[1])
        & (np.abs(roots.imag) <= y[1])
    )
    style: dict[str, Any] = {
        "linestyle": "none",
        "color": look.colour,
        "markersize": size,
        "zorder": 6 + index,
    }
    halo = [withStroke(linewidth=2.4, foreground="white")]
    ax.plot(
        roots[inside].real,
        roots[inside].imag,
        marker=look.marker,
        markerfacecolor="none" if look.marker != "x" else look.colour,
        markeredgewidth=1.2,
        path_effects=halo,
        label=f"roots, {named(label)}",
        **style,
    )
    if not inside.all():
        ax.plot(
            [],
            [],
            linestyle="none",
            marker=">",
            color=GREY,
            markerfacecolor="none",
            markersize=size,
            label="towards a root out of view",
        )
    middle, half = 0.5 * (x[0] + x[1]), 0.5 * (x[1] - x[0])
    for z in roots[~inside]:
        direction = z - middle if np.isfinite(z) else 1.0 + 0.0j
        scale = min(
            half / abs(direction.real) if direction.real else np.inf,
            y[1] / abs(direction.imag) if direction.imag else np.inf,
        )
        edge = middle + 0.95 * scale * direction
        arrow = (3, 0, float(np.degrees(np.angle(direction))) - 90.0)
        ax.plot(
            edge.real,
            edge.imag,
            marker=arrow,
            markeredgewidth=1.0,
            path_effects=halo,
            label="_edge",
            **style,
        )
