"""The page of a Fourier analysis: what a smoother leaves of each wave, on the spectrum and by
frequency, and the factors of the cycle around it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.numbers import number, plain
from figures.page.glossary import OF_SOLVING
from figures.page.traces import Data, Picture, cloud, curve, guide, log_axis, short, tone
from figures.page.waves import angles, damped_waves
from figures.page.write import Page, Section, Table
from figures.polynomials import LINEAR_UP_TO
from figures.style import BLUE, GREEN, GREY, LIGHT_GREY, ORANGE, PURPLE
from mgtheory.fourier import FourierFactor, symbol
from mgtheory.multigrid.solution import counted
from mgtheory.problems.stencils import Stencil

MOST_SMOOTHINGS, SLICES, SHOWN = 4, 9, 500
FACTORS = {
    "smoothing factor": "the largest factor by which one smoothing leaves rough waves",
    "predicted by smoothing alone": (
        "the smoothing factor to the power of the smoothings of a cycle: what a coarse grid that"
        " were perfect would leave"
    ),
    "two-grid factor": "what a cycle with an exact solution on the next coarser grid leaves",
    "three-grid factor": "the same with one more grid below",
    "measured": "of the cycle run on a periodic grid, with matrices and without any symbol",
}


def fourier_page(
    result: Mapping[str, Any],
    stencil: Stencil,
    mu: FourierFactor,
    two: FourierFactor,
    *,
    title: str,
    coupled: bool,
) -> Page:
    """The page of what `polymgnet lfa` found.

    Parameters
    ----------
    result
        The document that `lfa --json` prints.
    mu, two
        Smoothing and two-grid factors with what they are the largest of.
    coupled
        Whether the smoother mixes waves, so that one smoothing after another is no power.
    """
    steps = result["pre"] + result["post"]
    run = result.get("verification")
    values = {
        "smoothing factor": mu.factor,
        "predicted by smoothing alone": None if coupled else mu.factor**steps,
        "two-grid factor": two.factor,
        "three-grid factor": result["three_grid_factor"],
        "measured": run and run["measured"],
    }
    known = {name: value for name, value in values.items() if value is not None}
    facts = [
        ("problem", f"{result['problem']}, as it is far from any border"),
        ("smoother", f"{result['family']}, degree {result['degree']}"),
        ("cycle", f"{result['cycle']}({result['pre']},{result['post']}), coarse grids by"),
    ]
    facts[-1] = (facts[-1][0], f"{facts[-1][1]} {result['coarsening']}")
    if result["roots"] is not None:
        facts.append(("roots", ", ".join(number(z) for z in result["roots"])))
    if result.get("remark"):
        facts.append(("note", result["remark"]))
    if run is not None:
        agree = "they agree" if run["agree"] else "they do not agree"
        facts.append(
            (
                "verified",
                f"predicted {number(run['predicted'])}, measured {number(run['measured'])} on a"
                f" periodic grid: {agree}",
            )
        )
    table = Table(["factor", "value", "what it is"], [[k, v, FACTORS[k]] for k, v in known.items()])
    axes = tuple(result["axes"])
    smoothing = [
        _spectrum(stencil, mu, None if result["roots"] is None else np.asarray(result["roots"])),
        _damping(mu, axes, coupled=coupled),
    ]
    cycle = [_bars(known), *([] if mu.damping.ndim == 1 else [_cycle_map(two)])]
    if mu.damping.ndim == 1:
        cycle.append(_cycle_line(two))
    return Page(
        title,
        _verdict(result, mu, steps),
        [
            Section("smoothing", "What the smoother leaves", smoothing, facts=facts),
            Section("cycle", "What the cycle leaves", cycle, tables=[table]),
        ],
        plain(dict(result)),
        printed_by="polymgnet lfa --json",
        glossary=OF_SOLVING,
    )


def _verdict(result: Mapping[str, Any], mu: FourierFactor, steps: int) -> list[str]:
    """Three sentences that need no knowledge of the field."""
    two, name = result["two_grid_factor"], f"{result['family']} of degree {result['degree']}"
    kept = f"{100 * mu.factor:.3g} %"
    first = f"Smoothing once with {name} leaves at most {kept} of every rough wave of an error"
    first += (
        ", and the coarser grid sees to the smooth ones."
        if mu.factor < 1
        else ": some rough waves grow, so it is no smoother."
    )
    if result.get("changes_sign"):
        second = (
            "The symbol of A changes its sign: near waves that the coarser grid takes for zero a"
            " cycle's factor has no bound, so what it leaves depends on the waves that a grid has."
        )
    elif two < 1 and two > 0:
        count = math.ceil(-8 / math.log10(two))
        second = (
            f"A cycle with {counted(steps, 'smoothing')} leaves {100 * two:.3g} % of"
            f" the worst error in the long run, so some {count} cycles gain eight digits."
        )
    elif two >= 1:
        second = f"A cycle multiplies the worst error by {number(two, 3)}: it does not converge."
    else:
        second = "A cycle leaves nothing of any error: it is a direct solver here."
    run = result.get("verification")
    if run is None:
        third = "This is theory for an endless grid; lfa --verify runs the cycle and compares."
    else:
        third = (
            f"Run on a periodic grid the cycle left {100 * run['measured']:.3g} %, where theory"
            f" says {100 * run['predicted']:.3g} %: they {'agree' if run['agree'] else 'differ'}."
        )
    return [first, second, third]


def _spectrum(stencil: Stencil, mu: FourierFactor, roots: NDArray[np.complex128] | None) -> Picture:
    """What is left of a wave against its eigenvalue, and the roots, of q(A)."""
    values = np.abs(symbol(stencil, mu.frequencies)).reshape(-1)
    left, high = mu.damping.reshape(-1), mu.high.reshape(-1)
    b = float(values.max()) or 1.0
    data: list[Data] = []
    for name, part, colour in (("smooth waves", ~high, LIGHT_GREY), ("rough waves", high, BLUE)):
        points = np.unique(np.round(np.stack([values[part] / b, left[part]]), 4), axis=1)
        points = points[:, :: -(-points.shape[1] // SHOWN)] if points.size else points
        data.append(cloud(name, *points, marker={"color": colour, "size": 5}))
    if roots is not None:
        real = roots[np.isfinite(roots) & (roots.imag == 0)].real / b
        mark: Data = {"color": ORANGE, "size": 11, "symbol": "x-thin", "line": {"width": 2}}
        mark["line"]["color"] = ORANGE
        zeros = np.zeros(real.size)
        data.append(cloud("roots of q", real, zeros, marker=mark, cliponaxis=False))
    line: Data = {"color": GREEN, "width": 2, "dash": "dash"}
    title = f"smoothing factor µ = {number(mu.factor, 4)}"
    data.append(curve(title, [0, 1], [mu.factor] * 2, line=line))
    axis = log_axis(left) if float(left.max()) > LINEAR_UP_TO else {"rangemode": "tozero"}
    layout: Data = {
        "xaxis": {"title": {"text": "|eigenvalue of A| / b"}, "range": [0, 1.03]},
        "yaxis": {"title": {"text": "what one smoothing leaves"}, **axis},
        "shapes": [guide(1.0)],
    }
    caption = (
        "One point a wave, at its eigenvalue in units of the largest, b. Rough waves are those that"
        " the coarser grid cannot see; the largest of what is left of them is µ."
    )
    return Picture("spectrum", "On the spectrum", caption, data, layout)


def _damping(mu: FourierFactor, axes: tuple[int, ...], *, coupled: bool) -> Picture:
    caption = (
        "Smooth waves are in the middle, rough ones outside of the dashed lines: those that"
        " smoothing should remove."
    )
    if mu.damping.ndim == 3:
        caption = "Rough waves have a frequency beyond π/2 along a coarsened axis."
    count = 1 if coupled else MOST_SMOOTHINGS
    names = ["one smoothing", *(f"{k} smoothings" for k in range(2, count + 1))]
    if mu.damping.ndim == 2:
        order = {name: mu.damping ** (k + 1) for k, name in enumerate(names)}
        return damped_waves(dict(reversed(order.items())), caption=caption, axes=axes)
    if mu.damping.ndim == 1:
        theta = mu.frequencies[:, 0] / np.pi
        data: list[Data] = [
            curve(name, theta, mu.damping ** (k + 1), line={"color": tone(k), "width": 2})
            for k, name in enumerate(names)
        ]
        layout: Data = {
            "xaxis": {"title": {"text": "θ"}, **angles()},
            "yaxis": {"title": {"text": "what is left"}, "rangemode": "tozero"},
            "shapes": [_border(x) for x in (-0.5, 0.5)] + [guide(1.0)],
        }
        return Picture("damping", "What is left of each wave", caption, data, layout)
    chosen = np.unique(np.linspace(0, mu.damping.shape[0] - 1, SLICES).round().astype(int))
    theta = mu.frequencies[:, 0, 0, 0] / np.pi
    order = {f"θ₁ = {theta[k]:.2f} π": mu.damping[k] for k in chosen}
    text = f"{caption} A slice of all three frequencies, chosen by the slider."
    made = damped_waves(order, caption=text, rough=False)
    made.layout["yaxis"]["title"], made.layout["xaxis"]["title"] = (
        {"text": "θ₂"},
        {"text": made.layout["xaxis"]["title"]["text"].replace("θ₂", "θ₃", 1)},
    )
    return made


def _cycle_map(two: FourierFactor) -> Picture:
    values = two.damping if two.damping.ndim == 2 else two.damping.max(axis=0)
    return damped_waves(
        {"two grids": values},
        name="cycle",
        title="What a cycle leaves of each smooth wave and its partners",
        caption=(
            "A cycle mixes a smooth wave with the rough ones that look like it on the coarser grid:"
            " the largest of what is left of any mixture, by the smooth wave."
            + (" Of three frequencies the largest along the first." if two.damping.ndim > 2 else "")
        ),
        reach=float(np.abs(two.frequencies).max() / np.pi),
    )


def _cycle_line(two: FourierFactor) -> Picture:
    theta = two.frequencies[:, 0] / np.pi
    data = [curve("two grids", theta, two.damping, line={"color": BLUE, "width": 2})]
    layout: Data = {
        "xaxis": {"title": {"text": "θ"}, **angles(0.5)},
        "yaxis": {"title": {"text": "what is left"}, "rangemode": "tozero"},
    }
    caption = "A cycle mixes a smooth wave with the rough one that looks like it on coarser grids."
    return Picture("cycle", "What a cycle leaves of each pair of waves", caption, data, layout)


def _border(x: float) -> Data:
    line = {"color": GREY, "width": 1, "dash": "dash"}
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _bars(values: Mapping[str, float]) -> Picture:
    tones = {"measured": ORANGE, "smoothing factor": LIGHT_GREY}
    tones["predicted by smoothing alone"] = PURPLE
    bars: Data = {"type": "bar", "orientation": "h", "showlegend": False}
    bars["marker"] = {"color": [tones.get(name, BLUE) for name in values]}
    bars |= {"y": list(values), "x": short(list(values.values()))}
    bars |= {"textposition": "auto", "textangle": 0}
    data: list[Data] = [bars | {"text": [number(value, 4) for value in values.values()]}]
    line = {"color": GREY, "width": 1, "dash": "dash"}
    layout: Data = {
        "xaxis": {"title": {"text": "factor"}, "rangemode": "tozero", "nticks": 5},
        "yaxis": {"automargin": True, "autorange": "reversed"},
    }
    if max(values.values()) > 0.8:
        one = {"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1, "line": line}
        layout["shapes"] = [one]
    caption = "The smaller the better; a cycle whose factor is 1 or more does not converge."
    return Picture("factors", "Factors", caption, data, layout)
