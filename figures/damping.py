"""Damping of each Fourier mode as a heat map: what one smoothing leaves, over the frequencies
(theta_1, theta_2). Of a network's level it is the symbol's map: zero padding has no such modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colorbar import Colorbar
from matplotlib.colors import FuncNorm, Normalize
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from figures.style import BLACK, DASHES, finished, heat_map
from mgtheory._checks import check_array, check_finite, check_number
from mgtheory.fourier import FourierFactor, grid_frequencies
from mgtheory.polynomials.residual import ResidualPolynomial

ABOVE_ONE = 1.0 + 1e-9  # q(0) = 1 exactly at the constant mode: rounding there is no amplification
# of the colour scale goes to [0, 1] where there is amplification, the rest to the logarithm above 1
LOWER_PART = 0.6


def draw_damping(
    ax: Axes, damping: ArrayLike | FourierFactor, *, limit: float | None = None, title: str = ""
) -> Axes:
    """|q| of each mode in colour, linear from 0 to 1; amplified modes (above 1) in reds by their
    logarithm, with a black outline.

    Parameters
    ----------
    damping
        Shape (H, W), both at least 2: what one smoothing leaves of the modes of a periodic grid, in
        the order of `mgtheory.fourier.grid_frequencies`, ascending in (-pi, pi]; or what
        `smoothing_factor` returns, which has it. The modes at pi are drawn at -pi too.
    limit
        Upper end of the colour scale, so that several panels share one: `colour_limit` of all of
        them. By default that of this one.
    title
        A short line above the panel.
    """
    known: Any = damping
    if isinstance(damping, FourierFactor):
        known = damping.damping
        if damping.frequencies.max() < 0.99 * np.pi:
            raise ValueError(
                "damping is the factor of a cycle, which couples modes; a map is of what"
                " smoothing_factor returns"
            )
    values = check_array(known, "damping", real=True)
    check_finite(values, "damping")
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(
            f"damping has shape {values.shape}, must be (H, W) with at least 2 modes an axis"
        )
    values = np.where((values > 1.0) & (values <= ABOVE_ONE), 1.0, values)
    upper = colour_limit([values])
    if limit is not None:
        upper = check_number(limit, "limit", "larger than 0")
    centres = []
    for axis, n in enumerate(values.shape):
        theta = grid_frequencies(n)[:, 0] / np.pi
        if n % 2 == 0:  # theta = pi is theta = -pi
            theta = np.concatenate([[-1.0], theta])
            values = np.concatenate([np.take(values, [-1], axis=axis), values], axis=axis)
        centres.append(theta)
    edges = [
        np.append(theta, 2 * theta[-1] - theta[-2]) - 0.5 * (theta[1] - theta[0])
        for theta in centres
    ]
    colours = "cividis" if upper <= 1.0 else heat_map(LOWER_PART)
    ax.grid(False)
    ax.pcolormesh(edges[1], edges[0], values, cmap=colours, norm=_norm(upper), rasterized=True)
    _outline(ax, values > 1.0, edges)
    # white below black dashes: seen on dark and on light cells
    for border in ({"edgecolor": "white"}, {"edgecolor": BLACK, "linestyle": (0, (3, 3))}):
        ax.add_patch(Rectangle((-0.5, -0.5), 1.0, 1.0, fill=False, linewidth=1.2, **border))
    ticks, labels = (-1.0, 0.0, 1.0), ("−π", "0", "π")
    ax.set(xlim=(-1.0, 1.0), ylim=(-1.0, 1.0), aspect="equal")
    ax.set_xticks(ticks, labels)
    ax.set_yticks(ticks, labels)
    ax.set_xlabel("θ₂ (rad)", labelpad=1.0)
    ax.set_ylabel("θ₁ (rad)", labelpad=1.0)
    if title:
        ax.set_title(title)
    return ax


def draw_amplified(ax: Axes, damping: ArrayLike, *, title: str = "") -> Axes:
    """The numbers of a map that would be red all over, since every mode is amplified."""
    values = np.asarray(damping, dtype=float)
    least, median, most = np.quantile(values, [0.0, 0.5, 1.0])
    text = f"all amplified\n{least:.3g}\nto {most:.3g}\n\nmedian\n{median:.3g}"
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, fontsize=7.5)
    ax.grid(False)
    ax.set(aspect="equal", xlim=(-1.0, 1.0), ylim=(-1.0, 1.0), facecolor="#FCE8E2")
    ax.set_xticks([])
    ax.set_yticks([])
    if title:
        ax.set_title(title)
    return ax


def amplified(damping: ArrayLike) -> bool:
    """Whether every mode is amplified."""
    return bool(np.min(np.asarray(damping, dtype=float)) > ABOVE_ONE)


def draw_disc(ax: Axes, polynomials: Mapping[int, ResidualPolynomial]) -> Axes:
    """|q| on the disc |z| <= 1 in the colours of `draw_damping`, for the polynomial of the highest
    degree, and the curves |q| = 1 of all of them; words say on which side of its own it damps,
    where both ends of the colours are as dark in grey.

    Parameters
    ----------
    polynomials
        Degree -> q, in units of the disc's radius.
    """
    radius, angle = np.meshgrid(np.linspace(0, 1, 201), np.linspace(-np.pi, np.pi, 361))
    z = radius * np.exp(1j * angle)
    sizes = {k: np.abs(q(z)) for k, q in polynomials.items()}
    last = sizes[max(sizes)]
    ax.grid(False)
    colours, norm = heat_map(LOWER_PART), _norm(colour_limit([last]))
    mesh: dict[str, Any] = {"shading": "gouraud", "rasterized": True}
    ax.pcolormesh(z.real, z.imag, last, cmap=colours, norm=norm, **mesh)
    for i, (k, values) in enumerate(sizes.items()):
        # white below black dashes: seen on dark and on light colours
        for colour, width, dashes in (("white", 2.0, "-"), (BLACK, 0.9, DASHES[i])):
            line: dict[str, Any] = {"linewidths": width, "linestyles": [dashes]}
            ax.contour(z.real, z.imag, values, levels=[1.0], colors=colour, **line)
        ax.plot([], [], color=BLACK, ls=DASHES[i], lw=0.9, label=f"k = {k}")
    inside = np.where(radius <= 0.9, last, np.inf)
    least = z.flat[np.argmin(inside)]
    seen: dict[str, Any] = {"color": "white", "ha": "center", "va": "center", "fontsize": 7.5}
    seen["path_effects"] = [withStroke(linewidth=1.8, foreground=BLACK)]
    arrow: dict[str, Any] = {"arrowstyle": "->", "color": "white", "shrinkB": 1.0}
    arrow["path_effects"] = [withStroke(linewidth=2.2, foreground=BLACK)]
    ax.text(-0.55, 0.0, "|q| > 1", **seen)  # products of 1 - w z, w > 0, are largest on the left
    ax.annotate("|q| < 1", (least.real, least.imag), (0.45, -0.65), arrowprops=arrow, **seen)
    ax.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")
    return finished(ax, "Re z / b", "Im z / b", legend=False)


def _outline(ax: Axes, amplified: NDArray[np.bool_], edges: Sequence[NDArray[np.float64]]) -> None:
    """The border of the amplified cells, along their edges."""
    x, y = edges[1], edges[0]
    across, along = np.diff(amplified, axis=1), np.diff(amplified, axis=0)
    lines = [[(x[j + 1], y[i]), (x[j + 1], y[i + 1])] for i, j in np.argwhere(across)]
    lines += [[(x[j], y[i + 1]), (x[j + 1], y[i + 1])] for i, j in np.argwhere(along)]
    ax.add_collection(LineCollection(lines, colors=BLACK, linewidths=0.7, capstyle="projecting"))


def colour_limit(dampings: Sequence[ArrayLike]) -> float:
    """1 if nothing is amplified, else the power of ten at or above the largest modulus."""
    largest = max(float(np.max(values)) for values in dampings)
    if largest <= ABOVE_ONE:
        return 1.0
    # a rounding error above a power of ten is that power
    return float(10.0 ** max(1, int(np.ceil(np.log10(largest) - 1e-12))))


def colour_bar(
    axes: Sequence[Axes], *, of: Axes | None = None, label: str = "remaining amplitude |q|"
) -> Colorbar:
    """One scale beside the panels of `draw_damping`, that `of` one of them, by default the
    first."""
    mesh = next(c for c in (of or axes[0]).collections if isinstance(c, QuadMesh))
    bar = axes[0].figure.colorbar(mesh, ax=list(axes), shrink=0.9, aspect=22, pad=0.01)
    upper = float(np.max(mesh.norm.vmax or 1.0))
    if upper > 1.0:
        powers = np.arange(1, round(np.log10(upper)) + 1)
        powers = powers[:: -(-powers.size // 4)] if powers.size > 4 else powers
        between = [2.0, 5.0] if upper <= 10.0 else []
        bar.set_ticks(
            [0.0, 0.5, 1.0, *between, *(10.0**powers)],
            labels=["0", "0.5", "1", *(f"{t:g}" for t in between), *map(_power, powers)],
        )
        bar.ax.axhline(1.0, color=BLACK, linewidth=0.8)
        label += "\n(linear below 1, logarithmic above)"
    bar.minorticks_off()
    bar.set_label(label)
    return bar


def _power(exponent: int) -> str:
    return "10" if exponent == 1 else f"$10^{{{exponent}}}$"


def _norm(upper: float) -> Normalize:
    if upper <= 1.0:
        return Normalize(0.0, 1.0)
    decades = np.log10(upper)

    def forward(value: NDArray[np.float64]) -> NDArray[np.float64]:
        value = np.asarray(value, dtype=float)
        above = LOWER_PART + (1.0 - LOWER_PART) * np.log10(np.maximum(value, 1.0)) / decades
        # 1 is the last colour of the lower part
        return np.where(value <= 1.0, np.minimum(LOWER_PART * value, LOWER_PART - 1e-9), above)

    def inverse(position: NDArray[np.float64]) -> NDArray[np.float64]:
        position = np.asarray(position, dtype=float)
        above = 10.0 ** (
            decades * (np.maximum(position, LOWER_PART) - LOWER_PART) / (1.0 - LOWER_PART)
        )
        return np.where(position <= LOWER_PART, position / LOWER_PART, above)

    return FuncNorm((forward, inverse), vmin=0.0, vmax=upper)
