"""Eigenvalues of an operator in the complex plane, with the roots that are to damp them and the
region where |q| < 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

from figures.given import Drawn, labelled, polynomial
from figures.given import eigenvalues as checked_eigenvalues
from figures.style import (
    GREY,
    LIGHT_GREY,
    SKY,
    VERMILION,
    Look,
    finished,
    ground,
    ink,
    look_of,
    named,
)
from mgtheory._checks import check_array
from mgtheory.polynomials.residual import ResidualPolynomial

# roots up to this many spectral radii from 0 widen the view; others are drawn at its edge
MARGIN = 1.25
# a spectrum less high than this part of its width is drawn in a flat panel, any other in a square
# one
FLAT = 0.15
REAL = 1e-4  # of imaginary parts, in spectral radii: float32's rounding
SHOWN_POINTS = 6000
ROOT_SIZE, LARGER = 5.0, 4.0  # of the last label's, and by how much the first's are larger at most
FEW_POINTS, FEW = 300, {"markersize": 3.0, "alpha": 0.8}
DAMPED: dict[str, Any] = {"color": "#FFB000", "alpha": 0.16}  # #FFF2D6 on white
Ends = tuple[float, float]
Group = tuple[np.ndarray, str, str]


def draw_spectrum(
    ax: Axes,
    eigenvalues: ArrayLike,
    *,
    high: ArrayLike | None = None,
    applied: ArrayLike | None = None,
    roots: Mapping[str, ArrayLike | Drawn] | None = None,
    damping: tuple[str, Drawn] | None = None,
    unit: str = "",
    largest_only: bool = False,
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
        Label -> complex roots, a polynomial, or what `derive` returns. Those out of view are drawn
        at the edge, as triangles that point to them; infinite ones on the right.
    damping
        (label, q), q on the scale of the eigenvalues: inside of the curve |q| = 1, which has the
        label's look, it damps, outside it amplifies.
    unit
        What the eigenvalues are given in units of, e.g. "b" for their spectral radius, in units of
        which polynomials that know their operator are then drawn too; without it all are what they
        are.
    largest_only
        Of the applied ones those of largest modulus alone are given: a light circle |z| = b shows
        where the others are within, or a light line on the real axis where all are real.
    """
    values, relative = checked_eigenvalues(eigenvalues), bool(unit)
    given = {
        k: _roots(z, k, relative=relative) for k, z in labelled(roots or {}, "roots", "z").items()
    }
    x, y = _view(values, given, whole_disc=bool(unit))
    if damping is not None:
        if not (isinstance(damping, tuple) and len(damping) == 2):
            raise ValueError(f"damping is {damping!r}, must be a pair (label, q)")
        label, q = damping
        _draw_damped(ax, label, polynomial(q, label, relative=relative), x, y)
    groups = _by_frequency(values, high)
    if applied is not None:
        groups = {f"symbol, {label}": drawn for label, drawn in groups.items()}
        own = np.ravel(checked_eigenvalues(applied, "applied"))
        label = "as applied, largest eigenvalues only" if largest_only else "eigenvalues as applied"
        groups[label] = (own, ink(ax), "o")
        if largest_only:
            _draw_within(ax, own)
    for k, (label, (points, colour, marker)) in enumerate(groups.items()):
        shown = points[:: max(1, -(-points.size // SHOWN_POINTS))]
        style: dict[str, Any] = {"ls": "none", "marker": marker, "mew": 0, "color": colour}
        seen = {"markersize": 1.8, "alpha": 0.5} if points.size > FEW_POINTS else FEW
        points_style = style | seen | {"zorder": 2 + k}
        ax.plot(shown.real, shown.imag, rasterized=True, label=f"_{label}", **points_style)
        ax.plot([], [], markersize=4.0, label=label, **style)
    for k, (label, found) in enumerate(given.items()):
        # equal roots stay visible around one another
        larger = min(1.3, LARGER / max(1, len(given) - 1)) * (len(given) - 1 - k)
        _draw_roots(ax, found, label, k, ROOT_SIZE + larger, x, y)
    ax.axhline(0.0, color=GREY, linewidth=0.6, zorder=1)
    ax.axvline(0.0, color=GREY, linewidth=0.6, zorder=1)
    ax.set_xlim(*x)
    ax.set_ylim(*y)
    ax.set_aspect("equal", adjustable="box")
    scale = f" / {unit}" if unit else ""
    return finished(ax, f"Re λ{scale}", f"Im λ{scale}", legend=legend)


FINE = 241  # points an axis for the curve |q| = 1; a panel has some 340 pixels
PILED = 0.06  # roots of two roles nearer than so many radii hide one another
STRIP_LINEAR = 0.1  # the strip is linear up to so many radii, logarithmic beyond


def _by_frequency(values: np.ndarray, high: ArrayLike | None) -> dict[str, Group]:
    """Label -> eigenvalues, their colour and marker: the low and the high ones apart where these
    are known, shape (H, W)."""
    if high is None:
        return {"eigenvalues": (values.ravel(), SKY, "o")}
    known = np.asarray(high)
    if known.dtype != bool or known.shape != values.shape[: known.ndim]:
        raise ValueError(
            f"high has shape {known.shape} and type {known.dtype}, must be Booleans for the first"
            f" axes of the eigenvalues, which have shape {values.shape}"
        )
    mask = np.broadcast_to(known[(...,) + (None,) * (values.ndim - known.ndim)], values.shape)
    return {
        "low frequencies": (values[~mask], LIGHT_GREY, "s"),
        "high frequencies": (values[mask], SKY, "o"),
    }


def _draw_within(ax: Axes, largest: np.ndarray) -> None:
    """Where the other eigenvalues are: on a line where the largest are real, else in a circle."""
    b = float(np.abs(largest).max())
    if float(np.abs(largest.imag).max()) < REAL * b:
        ends = min(largest.real.min(), 0.0), max(largest.real.max(), 0.0)
        within = np.linspace(*ends, 2) + 0j
    else:
        within = b * np.exp(1j * np.linspace(0.0, 2.0 * np.pi, 361))
    light: dict[str, Any] = {"color": LIGHT_GREY, "linewidth": 1.2, "zorder": 1.5}
    ax.plot(within.real, within.imag, label="the others: within", **light)


def piled_up(roots: Mapping[str, ArrayLike]) -> bool:
    """Whether roots of one label lie over those of another, in units of the spectral radius."""
    given = [np.ravel(np.asarray(z, dtype=complex)) for z in roots.values()]
    given = [z[np.isfinite(z)] for z in given]
    return any(
        a.size and b.size and float(np.abs(a[:, None] - b[None, :]).min()) < PILED
        for a, b in combinations(given, 2)
    )


def draw_root_strip(ax: Axes, roots: Mapping[str, ArrayLike]) -> Axes:
    """Real parts of roots, in units of b, a row for each label: what lies over one another in the
    plane lies apart here. Linear up to b/10, logarithmic beyond; infinite roots are left out."""
    for row, (label, given) in enumerate(roots.items()):
        z, look = np.ravel(np.asarray(given, dtype=complex)), _look(label, row).on(ax)
        x = z[np.isfinite(z)].real
        face = look.colour if look.marker == "x" else "none"
        own: Any = {"marker": look.marker, "mfc": face, "mew": 1.0, "ms": 4.0, "ls": "none"}
        ax.plot(x, np.full(x.size, row), color=look.colour, label=f"_strip {label}", **own)
    ax.set_xscale("symlog", linthresh=STRIP_LINEAR, linscale=0.6)
    low, high = ax.get_xlim()
    far = 1.3 * max(1.0, *(abs(end) for end in (low, high)))
    ends = [-far if low < 0 else -0.02, far]
    ticks = [0.0, STRIP_LINEAR, 1.0, *(10.0**k for k in range(1, 7))]
    ticks = [t for t in [*(-t for t in ticks[:0:-1]), *ticks] if ends[0] <= t <= ends[1]]
    ticks = ticks if len(ticks) < 6 else [t for t in ticks if abs(t) != STRIP_LINEAR]
    ax.set_xticks(ticks, [f"{t:g}".replace("-", "−") for t in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.tick_params(axis="x", labelsize=6.5)
    ax.set_xlim(*ends)
    ax.set_yticks(range(len(roots)), list(roots))
    ax.set_ylim(max(len(roots), 1) - 0.5, -0.5)
    return finished(ax, "Re of the roots / b", "", legend=False)


def _roots(given: Any, label: str, *, relative: bool) -> np.ndarray:
    """Complex roots, shape (k,); infinite ones pass."""
    if isinstance(given, Drawn):
        return polynomial(given, label, relative=relative).roots
    roots = np.ravel(check_array(given, f"roots of {label!r}").astype(complex))
    if np.isnan(roots).any():
        raise ValueError(f"roots of {label!r} have one that is not a number")
    return roots


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
        disc = radius + pad
        low, high, reach = min(low, -disc), max(high, disc), max(reach, disc)
    half, middle = max(reach, 0.5 * (high - low)), 0.5 * (low + high)
    return (middle - half, middle + half), (-half, half)


def _draw_damped(ax: Axes, label: str, q: ResidualPolynomial, x_ends: Ends, y_ends: Ends) -> None:
    x, y = np.meshgrid(np.linspace(*x_ends, FINE), np.linspace(*y_ends, FINE))
    size, look = np.abs(q(x + 1j * y)), _look(label, 0).on(ax)
    ax.contourf(
        x, y, size, levels=[0.0, 1.0], colors=[DAMPED["color"]], alpha=DAMPED["alpha"], zorder=0
    )
    ax.contour(x, y, size, levels=[1.0], colors=[ground(ax)], linewidths=2.4, zorder=5)
    # over the roots
    border: Any = {"colors": [look.colour], "linestyles": [look.dashes], "linewidths": 1.1}
    ax.contour(x, y, size, levels=[1.0], zorder=20, **border)
    # what the legend shows of a filled contour, which has no entry of its own
    face = to_rgba(DAMPED["color"], DAMPED["alpha"])
    patch: Any = {"facecolor": face, "edgecolor": look.colour, "ls": look.dashes, "lw": 1.1}
    ax.fill([np.nan], [np.nan], label=f"|q| < 1, q {named(label)}", **patch)


def _look(label: str, index: int) -> Look:
    """The label's own look, in another colour where it would be that of the points."""
    look = look_of(label, index)
    return replace(look, colour=VERMILION) if look.colour == SKY else look


def _draw_roots(
    ax: Axes, roots: np.ndarray, label: str, index: int, size: float, x: Ends, y: Ends
) -> None:
    look = _look(label, index).on(ax)
    inside = (x[0] <= roots.real) & (roots.real <= x[1]) & (np.abs(roots.imag) <= y[1])
    style: dict[str, Any] = {
        **{"color": look.colour, "ls": "none", "ms": size, "zorder": 6 + index},
        "path_effects": [withStroke(linewidth=2.4, foreground=ground(ax))],
    }
    face = look.colour if look.marker == "x" else "none"
    own: Any = {"marker": look.marker, "mfc": face, "mew": 1.2, **style}
    ax.plot(roots[inside].real, roots[inside].imag, label=f"roots, {named(label)}", **own)
    if not inside.all():
        hint: Any = {"ls": "none", "marker": ">", "color": GREY, "mfc": "none", "ms": size}
        ax.plot([], [], label="towards a root out of view", **hint)
    middle, half = 0.5 * (x[0] + x[1]), 0.5 * (x[1] - x[0])
    for z in roots[~inside]:
        direction = z - middle if np.isfinite(z) else 1.0 + 0.0j
        # the first edge that the ray from the middle meets
        scale = min(
            half / abs(direction.real) if direction.real else np.inf,
            y[1] / abs(direction.imag) if direction.imag else np.inf,
        )
        edge = middle + 0.95 * scale * direction
        arrow = (3, 0, float(np.degrees(np.angle(direction))) - 90.0)
        ax.plot(edge.real, edge.imag, marker=arrow, mew=1.0, label="_edge", **style)
