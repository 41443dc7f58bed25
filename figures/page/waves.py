"""Maps of what is left of each wave, over its two frequencies: of a network's level, and of an
operator of multigrid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from analysis.numbers import number
from figures.damping import ABOVE_ONE, colour_limit
from figures.page.traces import HEIGHT, Data, Picture, short, slider
from figures.style import BLACK, heat_map
from mgtheory.fourier import grid_frequencies, high_frequencies

# beside a map that is square at any width, and so as high as a phone is wide
BAR: Data = {"thickness": 12, "len": 0.52, "y": 1.0, "yanchor": "top"}

Maps = Mapping[str, NDArray[np.float64]]


def damped_waves(
    maps: Maps,
    *,
    name: str = "damping",
    title: str = "What is left of each wave",
    caption: str,
    axes: tuple[int, ...] = (0, 1),
    reach: float = 1.0,
    rough: bool = True,
) -> Picture:
    """Heat maps of one shape, one at a time by a slider; the last is shown first.

    Parameters
    ----------
    maps
        What the slider says -> shape (H, W), over theta_1 and theta_2 in (-reach pi, reach pi].
    axes
        Those that are coarsened, whose high frequencies lie outside of the dashed lines.
    rough
        Whether the rough waves are told apart: those of a slice through three frequencies are not.
    """
    if colour_limit(list(maps.values())) > 1.0:
        caption += " Red is amplified."
    last = list(maps)[-1]
    theta = [short(reach * grid_frequencies(n)[:, 0] / np.pi) for n in maps[last].shape]
    data: list[Data] = [
        {
            **{"type": "heatmap", "x": theta[1], "y": theta[0], **_cells(maps[last])},
            **_colours(maps, reach),
            "hovertemplate": "θ₂ = %{x:.2f} π, θ₁ = %{y:.2f} π: %{text}<extra></extra>",
        }
    ]
    apart = axes if rough else ()
    moves = [
        ({k: [v] for k, v in _cells(values).items()}, _words(own, values, apart, reach))
        for own, values in maps.items()
    ]
    square: Data = {"range": [-reach, reach], **angles(reach)}
    square["constrain"] = "domain"
    layout: Data = {
        "height": HEIGHT,
        "yaxis": {
            **{"title": {"text": "θ₁"}, "scaleanchor": "x", **square},
            "constraintoward": "top",
        },
        **slider(list(maps), moves, [0], "θ₂", **square),
    }
    if len(maps) < 2:
        del layout["sliders"]
    if rough and reach == 1.0:
        ends = [0.5 if j in axes else 1.0 for j in range(2)]
        inner = {"type": "rect", "x0": -ends[1], "x1": ends[1], "y0": -ends[0], "y1": ends[0]}
        lines: list[Data] = [{"color": "white", "width": 3}]
        lines.append({"color": BLACK, "width": 1.5, "dash": "dash"})
        layout["shapes"] = [{**inner, "line": line} for line in lines]
    return Picture(name, title, caption, data, layout)


def angles(reach: float = 1.0) -> Data:
    """The ticks from -reach pi to reach pi of an axis in units of pi: halves, below 1 quarters."""
    ends = int(4 * reach)
    found = range(-ends, ends + 1) if reach < 1.0 else range(-4, 5, 2)
    words = ("0", "π/4", "π/2", "3π/4", "π")
    return {
        "tickvals": [k / 4 for k in found],
        "ticktext": ["−" * (k < 0) + words[abs(k)] for k in found],
    }


def _colours(maps: Maps, reach: float) -> Data:
    """The scale of all maps, its ends and its bar: linear up to 1, logarithmic beyond."""
    limit = colour_limit(list(maps.values()))
    top = 1.0 + np.log10(limit) if limit > 1.0 else 1.0
    colours = mpl.colormaps["cividis"] if top == 1.0 else heat_map(1.0 / top)
    scale = [[k / 40, to_hex(colours(k / 40))] for k in range(41)]
    if reach < 1.0 and limit <= 1.0:  # what a good cycle leaves is all near 0
        top = max(float(np.max(list(maps.values()))), 1e-12)
        return {"colorscale": scale, "zmin": 0, "zmax": top, "colorbar": dict(BAR)}
    last = round(np.log10(max(limit, 1.0)))
    step = max(1, -(-last // 5))  # so that no number lies on another
    decades = np.arange(step, last + 1, step)
    low = [0, 0.5, 1] if last <= 3 else [0, 1] if last <= 9 else [1]
    between = [2, 5] if limit == 10.0 else []
    ticks = [*low, *(1.0 + np.log10(between)).tolist(), *(1 + decades).tolist()]
    texts = [
        *map(str, [*low, *between]),
        *(f"10<sup>{k}</sup>" if k > 1 else "10" for k in decades),
    ]
    bar = {"tickvals": ticks, **BAR, "ticktext": texts}
    if limit > 1.0:
        text = "linear below 1, logarithmic above"
        bar["title"] = {"text": text, "font": {"size": 10}, "side": "right"}
    return {"colorscale": scale, "zmin": 0, "zmax": top, "colorbar": bar}


def _words(name: str, values: NDArray[np.float64], axes: tuple[int, ...], reach: float) -> str:
    """The numbers of a map; where all of it is one colour they are all that it says."""
    if not axes or reach < 1.0:
        return f"{name}: at most {number(float(values.max()), 3)} is left"
    theta = np.stack(np.meshgrid(*(grid_frequencies(n)[:, 0] for n in values.shape), indexing="ij"))
    left = values[high_frequencies(np.moveaxis(theta, 0, -1), axes)]
    least, most = (number(float(end), 3) for end in (left.min(), left.max()))
    if float(left.min()) > ABOVE_ONE:
        return f"{name}: every rough wave is amplified, {least} to {most} times"
    return f"{name}: rough waves ≤ {most}"


def _cells(values: NDArray[np.float64]) -> Data:
    """Colours linear up to 1 and logarithmic beyond, and the numbers themselves for reading."""
    large = np.maximum(values, 1.0)
    colours = np.where(values <= 1.0, values, 1.0 + np.log10(large))
    texts = [[f"{value:.3g}" for value in row] for row in values]
    found: dict[str, Any] = {"z": [short(row) for row in colours], "text": texts}
    return found
