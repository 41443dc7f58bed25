"""The page of a solve: the residual cycle by cycle, the predicted factor beside the measured one,
the levels, and the solution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.numbers import number, plain
from figures.page.glossary import OF_SOLVING
from figures.page.traces import Data, Picture, curve, guide, log_axis, short
from figures.page.write import Page, Section, Table
from figures.style import BLUE, GREEN, GREY, ORANGE
from mgtheory.multigrid.solution import counted, several
from mgtheory.problems.grids import check_boundary, coordinates

MOST = 101  # points of a solution along an axis
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
RESIDUAL = "‖b − Ax‖₂, relative to the first"
CLOSE = 1.1  # a measured factor up to so many times the predicted one is called the same
COLUMNS = ("level", "grid", "unknowns", "non-zeros", "smoothing", "rough")
MEANINGS = {
    "grid": "unknowns along each axis",
    "non-zeros": "of A on this level; with each of them a product with A does one multiplication",
    "smoothing": "how often before + after the correction from the coarser grid, and by what",
    "rough": "the smallest and the largest eigenvalue of A on rough waves, where it is known",
}


def solve_page(
    result: Mapping[str, Any], x: NDArray[Any], *, method: str, exact: str, tol: float
) -> Page:
    """The page of what `polymgnet solve` found.

    Parameters
    ----------
    result
        The document that `solve --json` prints with --report: with ``predicted_factor`` and
        ``levels``.
    x
        The solution, shape (n,).
    method
        Cycle and smoother in words.
    exact
        What the error is the distance from, in words.
    tol
        The relative tolerance.
    """
    grid = " × ".join(map(str, result["shape"]))
    sides = f", {result['boundary']} boundaries" if result["boundary"] else ", a graph"
    facts = [
        ("problem", f"{result['problem']}, {grid} unknowns{sides}"),
        ("method", f"{method}, backend {result['backend']}"),
        ("result", f"{result['reason']}: {result['message']}"),
        ("work", f"{result['work_units']:.1f} products with A" if result["work_units"] else ""),
        ("set-up", f"{result['setup_seconds']:.3f} s"),
        ("solve", f"{result['solve_seconds']:.3f} s"),
        *(("warning", text) for text in result["warnings"] if text not in result["message"]),
    ]
    every = [
        [
            *(
                one["level"],
                "\u00a0×\u00a0".join(map(str, one["grid"])),
                one["unknowns"],
                one["nonzeros"],
            ),
            *(one["smoothing"], one["rough"] and " to ".join(map(number, one["rough"]))),
        ]
        for one in result["levels"]
    ]
    kept = [k for k in range(len(COLUMNS)) if any(row[k] is not None for row in every)]
    table = Table([COLUMNS[k] for k in kept], [[row[k] for k in kept] for row in every])
    pictures = [_convergence(result, tol), _factors(result), _solution(result, x)]
    return Page(
        f"{result['problem']}, {grid}: {method}",
        [_solved(result), _error(result, exact), _prediction(result)],
        [
            Section(
                "convergence",
                "Convergence",
                [one for one in pictures if one is not None],
                facts=[(name, text) for name, text in facts if text],
            ),
            Section("levels", "Levels", words=LEVELS, tables=[table]),
        ],
        plain(dict(result)),
        printed_by="polymgnet solve --json",
        glossary=OF_SOLVING,
        meanings=MEANINGS,
    )


LEVELS = (
    "The same equation on coarser and coarser grids: what is smooth on one grid is rough on the"
    " next, where a smoother removes it for less work."
)


def _solved(result: Mapping[str, Any]) -> str:
    norms, done = result["residual_norms"], counted(result["iterations"], result["step"])
    what = f"The {result['unknowns']:,} equations of {result['problem']}"
    if not norms[0] > 0:
        return f"{what} are solved by 0: {result['message']}."
    shrunk = norms[-1] / norms[0]
    if not result["converged"]:
        return f"{what} are not solved: {result['reason']}, {result['message']}."
    digits = -math.log10(shrunk or 5e-324)
    times = f"{1 / shrunk:,.0f}" if digits < 6 else f"10{str(int(digits)).translate(RAISED)}"
    return (
        f"{what} are solved: {done} made what is left of them {times}"
        " times smaller, in"
        f" {number(result['solve_seconds'], 3)} s after {number(result['setup_seconds'], 3)} s of"
        " set-up."
    )


def _error(result: Mapping[str, Any], exact: str) -> str:
    if result["error"] is None:
        return "How far the answer is from the true one is not known here: none is given."
    return f"The answer differs by {100 * result['error']:.2g} % from {exact}."


def _prediction(result: Mapping[str, Any]) -> str:
    p, m = result["predicted_factor"], result["factor"]
    if p is None:
        return (
            "Theory predicts nothing here: Fourier analysis needs an operator that is the same at"
            " every point."
        )
    said = f"Theory predicts that a cycle of two grids leaves {100 * p:.2g} % of the worst error"
    if not math.isfinite(m):
        return f"{said}; too few cycles were needed to measure it."
    if result["krylov"]:
        return (
            f"{said}; with {result['krylov']} around it a step left {100 * m:.2g} % of what remains"
            " of the equations in the mean."
        )
    word = "and" if m <= p * CLOSE else "but"
    tail = (
        "as predicted or better"
        if m <= p * CLOSE
        else "more than two grids alone would: many grids, borders or rounding add to it"
    )
    return f"{said}, {word} {100 * m:.2g} % was left in the mean: {tail}."


def _convergence(result: Mapping[str, Any], tol: float) -> Picture | None:
    norms = np.asarray(result["residual_norms"], dtype=float)
    if not norms[0] > 0 or not np.isfinite(norms).all():
        return None
    relative = np.where(norms > 0, norms / norms[0], np.nan)
    k = np.arange(norms.size)
    mark: Data = {"size": 8, "color": BLUE}
    line: Data = {"color": BLUE, "width": 2}
    data = [curve("measured", k, relative, mode="lines+markers", line=line, marker=mark)]
    p = result["predicted_factor"]
    if p is not None and norms.size > 2 and not result["krylov"]:
        dash: Data = {"color": ORANGE, "width": 2, "dash": "dash"}
        ahead = relative[1] * p ** (k[1:] - 1.0)
        name = f"predicted from the first cycle on: {number(p, 3)} a cycle"
        data.append(curve(name, k[1:], ahead, line=dash))
    layout: Data = {
        "xaxis": {"title": {"text": several(result["step"])}, "rangemode": "tozero"},
        "yaxis": {**log_axis(relative, [tol]), "title": {"text": RESIDUAL}},
    }
    if tol:
        layout["shapes"] = [guide(tol)]
    caption = (
        f"What is left of the equations (the residual) after each {result['step']}; the dashed grey"
        " line is the tolerance."
    )
    return Picture("residual", "What is left of the equations", caption, data, layout)


def _factors(result: Mapping[str, Any]) -> Picture | None:
    norms = np.asarray(result["residual_norms"], dtype=float)
    if norms.size < 2 or not np.isfinite(norms).all() or not (norms[:-1] > 0).all():
        return None
    ratios, k = norms[1:] / norms[:-1], np.arange(1, norms.size)
    bars: Data = {"type": "bar", "name": "measured", "marker": {"color": BLUE}}
    data: list[Data] = [{**bars, "x": short(k), "y": short(ratios)}]
    p, m, step = result["predicted_factor"], result["factor"], result["step"]
    p = None if result["krylov"] else p  # which is a cycle's, and of no step around it
    lines = [("predicted", p, ORANGE, "dash"), ("mean measured", m, GREEN, "dot")]
    for name, value, colour, dash in lines:
        if value is not None and math.isfinite(value):
            look: Data = {"color": colour, "width": 2, "dash": dash}
            title = f"{name}: {number(value, 3)}"
            data.append(curve(title, [0.5, norms.size - 0.5], [value] * 2, line=look))
    layout = {
        "xaxis": {"title": {"text": step}, "dtick": max(1, norms.size // 12)},
        "yaxis": {"title": {"text": f"factor of a {step}"}, "rangemode": "tozero"},
    }
    caption = (
        "The smaller the better; at 1 nothing would happen. The prediction, by Fourier analysis of"
        " two grids, is for the worst error in the long run: the first cycles, which meet easy"
        " errors too, are often better. The mean leaves the first cycle out."
    )
    if p is None:
        caption = (
            "The smaller the better; at 1 nothing would happen. The mean leaves the first"
            f" {step} out."
        )
    title = "Measured" if p is None else "Predicted and measured"
    return Picture("factors", title, caption, data, layout)


def _solution(result: Mapping[str, Any], x: NDArray[Any]) -> Picture | None:
    shape = tuple(result["shape"])
    if math.prod(shape) != x.size or not np.isfinite(x).all() or np.iscomplexobj(x):
        return None
    values, where = x.reshape(shape), ""
    if len(shape) == 3:
        values, where = values[shape[0] // 2], ", on the plane in the middle"
    thin = tuple(slice(None, None, -(-n // MOST)) for n in values.shape)
    sides = check_boundary(result["boundary"] or "dirichlet")
    axes = [short(coordinates(n, sides)[part]) for n, part in zip(values.shape, thin)]
    values = values[thin]
    if len(shape) == 1:
        data: list[Data] = [curve("x", axes[0], values, line={"color": BLUE, "width": 2})]
        layout: Data = {"xaxis": {"title": {"text": "place"}}, "yaxis": {"title": {"text": "x"}}}
    else:
        heat: Data = {"type": "heatmap", "colorscale": "Cividis", "x": axes[1], "y": axes[0]}
        data = [{**heat, "z": [short(row) for row in values], "colorbar": {"thickness": 12}}]
        names = [f"axis {len(shape) - 1}", f"axis {len(shape)}"]  # of three the first is cut
        down, along = ({"constrain": "domain", "title": {"text": name}} for name in names)
        layout = {"xaxis": along, "yaxis": down | {"scaleanchor": "x"}, "plot_bgcolor": GREY}
    caption = f"x at every point{where}; along each axis at most {MOST} of them are drawn."
    return Picture("solution", "The solution", caption, data, layout)
