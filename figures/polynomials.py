"""Residual polynomials on the real spectrum: families of theory side by side, and theory, start and
learned of one level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullFormatter,
)
from numpy.typing import ArrayLike

from figures.given import Drawn, labelled, polynomial
from figures.given import eigenvalues as checked_eigenvalues
from figures.given import interval as checked_interval
from figures.style import GREY, GUIDE, LIGHT_GREY, finished, looks, named
from mgtheory._checks import check_name
from mgtheory.polynomials.residual import ResidualPolynomial

# a larger |q| is drawn on an axis that is logarithmic beyond 1, or on pages as a whole
LINEAR_UP_TO = 2.0
SCALE = "linear to ±1, logarithmic beyond"
FEW = 30.0  # up to this size 2 and 5 have numbers too
SHOWN_POINTS = 4000
FEW_POINTS = 300  # up to so many are drawn larger
BEYOND = 2.0  # eigenvalues that reach further are not in units of b, which may be an estimate
CIRCLE = 181  # points of half a circle
MOST_DECADES = 4  # with ticks between the powers of ten, and at 1
MOST_TICKS = 6


def draw_polynomials(
    ax: Axes,
    polynomials: Mapping[str, Drawn],
    *,
    interval: tuple[float, float] | None = None,
    high: tuple[float, float] | None = None,
    eigenvalues: ArrayLike | None = None,
    spectrum_of: str | None = None,
    disc: bool = False,
    xlabel: str | None = None,
    legend: bool = True,
) -> Axes:
    """q(t) against t for each polynomial, on one scale.

    Parameters
    ----------
    polynomials
        Label -> q, or what `derive` returns. The labels theory, start, learned and effective have
        looks of their own.
    interval
        The range of t, for polynomials of one operator, drawn as they are. Without it the range is
        (0, 1), in units of b: each polynomial that knows its operator is drawn in units of that
        one's b, the others, such as ``ResidualPolynomial(roots)``, are taken to be so.
    high
        The part of it that the high frequencies fill, shaded.
    eigenvalues
        A true spectrum, complex allowed, in units of t (without an interval those of b): each
        lambda is drawn as the point (|lambda|, |q(lambda)|), at most 4000 of them.
    spectrum_of
        The label of the polynomial to take there; by default the last.
    disc
        The eigenvalues are the largest alone, the others somewhere in |z| <= b: a light curve shows
        the largest |q(z)| on every circle |z| = t, below which all of them are.
    xlabel
        Label of the axis, with its unit; "t / b" by default, with an interval "t".

    Raises
    ------
    ValueError
        For what is no polynomial or no spectrum, or eigenvalues far beyond the axis in units of b.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from mgtheory import derive, poisson
    >>> start = derive("chebyshev4", 3, poisson((63, 63)))
    >>> ax = draw_polynomials(plt.figure().subplots(), {"4th kind, k = 3": start})
    >>> ax.get_xlabel()
    't / b'
    """
    labelled(polynomials, "polynomials", "q")
    known = {k: polynomial(q, k, relative=interval is None) for k, q in polynomials.items()}
    ends, default = (0.0, 1.0), "t / b"
    if interval is not None:
        ends, default = checked_interval(interval, "interval"), "t"
    t = np.linspace(*ends, 1001)
    curves = {label: np.real(q(t)) for label, q in known.items()}
    reach = max((float(np.abs(values).max()) for values in curves.values()), default=1.0)
    if high is not None:
        band: dict[str, Any] = {"color": GREY, "alpha": 0.15, "zorder": 0, "linewidth": 0}
        ax.axvspan(*checked_interval(high, "high"), label="high frequencies", **band)
    ax.axhline(0.0, color=GREY, linewidth=0.6, zorder=1)
    if eigenvalues is not None and known:
        chosen = check_name(spectrum_of or list(known)[-1], list(known), "label in spectrum_of")
        points = _thinned(np.ravel(checked_eigenvalues(eigenvalues)))
        largest = float(np.abs(points).max())
        if interval is None and largest > BEYOND:
            raise ValueError(
                f"eigenvalues reach {largest:.3g} in modulus, but the axis is in units of b: divide"
                " them by b, or give the interval (0, b) for polynomials as they are"
            )
        reach = max(reach, _draw_points(ax, points, known[chosen], named(chosen), disc=disc))
        if disc:
            reach = max(reach, _draw_bound(ax, t, known[chosen]))
    styles = looks(curves, ax)
    for k, (label, values) in enumerate(curves.items()):
        ax.plot(t, values, label=named(label), zorder=3 + k, **styles[label].line)
    ylabel = "residual polynomial q" if eigenvalues is None else "q of curves, |q| of points"
    if reach > LINEAR_UP_TO:
        for level in (-1.0, 1.0):
            ax.axhline(level, **{**GUIDE, "linewidth": 0.6})
        linear_then_logarithmic(ax)  # of all that is drawn, so that both lines have their numbers
        ylabel += f"\n({SCALE})"
    # the largest eigenvalues lie at the end
    beyond = 0.02 * (ends[1] - ends[0]) if eigenvalues is not None else 0.0
    ax.set_xlim(ends[0], ends[1] + beyond)
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
    return finished(ax, default if xlabel is None else xlabel, ylabel, legend=legend)


def _draw_points(
    ax: Axes, points: np.ndarray, q: ResidualPolynomial, name: str, *, disc: bool
) -> float:
    """|q| at eigenvalues, of the `disc` the largest alone; returns the largest |q|."""
    size = np.abs(q(points))
    dots: dict[str, Any] = {"color": GREY, "alpha": 0.6, "markeredgewidth": 0, "zorder": 2}
    dots["ms"] = 5.0 if disc else 3.5 if points.size <= FEW_POINTS else 2.0
    ax.plot(np.abs(points), size, ".", rasterized=True, label="_points", **dots)
    # the legend's, of a size that can be seen
    where = "at the largest eigenvalues only" if disc else "on the spectrum of A"
    ax.plot([], [], "o", markersize=3.5, color=GREY, label=f"|q(λ)| {where}, q {name}")
    return float(size.max())


def _draw_bound(ax: Axes, t: np.ndarray, q: ResidualPolynomial) -> float:
    """The largest |q| on each circle |z| = t, which is returned for all of them."""
    circle = np.exp(1j * np.linspace(0.0, np.pi, CIRCLE))
    bound = np.abs(q(t[:, None] * circle)).max(axis=1)
    light: dict[str, Any] = {"color": LIGHT_GREY, "linewidth": 1.2, "zorder": 1.5}
    ax.plot(t, bound, label="the others at most: max |q| on |λ| = t", **light)
    return float(bound.max())


def linear_then_logarithmic(ax: Axes) -> None:
    """Make the vertical axis linear up to 1 and logarithmic beyond, smooth where it turns, so that
    no curve gets a kink; `SCALE` says so.

    Between the powers of ten stand small ticks, with numbers where there are few powers.
    """
    ax.set_yscale("asinh", linear_width=1.0)
    ax.autoscale_view(scalex=False)  # what was drawn before has margins on this axis
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(FixedLocator(_powers(low, high)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, position: _short(value)))
    decades = int(np.ceil(np.log10(max(abs(low), abs(high), 10.0))))
    # a tick is an object that is laid out several times, half of a figure's time where all are made
    decades = 0 if decades > MOST_DECADES else decades
    between = [s * m * 10.0**k for k in range(decades) for m in range(2, 10) for s in (-1.0, 1.0)]
    ax.yaxis.set_minor_locator(FixedLocator(between))
    few = max(map(abs, ax.get_ylim())) < FEW
    named = FuncFormatter(lambda value, position: _short(value) if abs(value) in (2, 5) else "")
    ax.yaxis.set_minor_formatter(named if few else NullFormatter())
    ax.tick_params(axis="y", which="minor", labelsize="x-small")


def _powers(low: float, high: float) -> list[float]:
    """0 and powers of ten of both signs, as many as have room beside one another; 1 where there are
    few."""
    up, down = (max(0.0, float(np.log10(max(end, 1.0)))) for end in (high, -low))
    decades = up + down + 2.0 * float(np.log10(np.e) * np.arcsinh(1.0))
    stride = max(1, int(np.ceil(decades / MOST_TICKS)))
    powers = [10.0**k for k in range(0 if decades <= MOST_DECADES else stride, 309, stride)]
    upper, lower = ([p for p in powers if p <= end] for end in (high, -low))
    return [*(-p for p in lower[::-1]), 0.0, *upper]


def _short(value: float) -> str:
    """A number at the axis: in figures up to a hundred, as a power of ten beyond."""
    if abs(value) <= 100.0:
        return f"{value:g}".replace("-", "−")
    return f"${'-' if value < 0 else ''}10^{{{np.log10(abs(value)):.0f}}}$"


def _thinned(points: np.ndarray) -> np.ndarray:
    """At most 4000 of the points, evenly chosen and always with the largest."""
    if points.size <= SHOWN_POINTS:
        return points
    order = np.argsort(np.abs(points), kind="stable")
    even = np.round(np.linspace(0, points.size - 1, SHOWN_POINTS)).astype(int)
    return np.asarray(points[order[even]])
