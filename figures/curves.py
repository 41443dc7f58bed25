"""Curves against epochs, cycles, degree, work and size: training, convergence histories, factors,
time per unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from figures.given import labelled, numbers, residual_norms
from figures.style import GUIDE, finished, looks, named
from mgtheory._checks import check_number
from mgtheory.multigrid.solution import Solution

LARGEST = 1e250  # with the margins of an axis from the smallest number on


def draw_training(
    ax: Axes,
    runs: Mapping[str, Sequence[ArrayLike]],
    *,
    ylabel: str,
    factor: float = 1.0,
    log: bool = False,
    counted: bool = True,
    legend: bool = True,
) -> Axes:
    """A quantity against the epoch: one curve per label, the mean of its runs, with a band from the
    lowest to the highest run.

    Parameters
    ----------
    runs
        Label -> one array per run (seed), one value per epoch. Runs of one label may differ in
        length: the curve ends with the shortest.
    ylabel
        With its unit.
    factor
        Multiplies the values (100 for percent).
    log
        Logarithmic vertical axis.
    counted
        Whether the legend says how many runs a curve stands for.
    """
    check_number(factor, "factor", "of any sign")
    single, styles = True, looks(labelled(runs, "runs", "[an array for each run]"), ax)
    for label, given in runs.items():
        listed = isinstance(given, Iterable) and not isinstance(given, str)
        arrays = [factor * numbers(run, f"a run of {label!r}") for run in given] if listed else []
        if not arrays:
            raise ValueError(f"runs {label!r} must be a list of runs, at least one")
        length = min(values.size for values in arrays)
        if not length:
            continue
        stack = np.stack([values[:length] for values in arrays])
        epochs = np.arange(1, length + 1)
        single = single and length == 1
        every, style = max(1, length // 8), styles[label]
        several = counted and len(arrays) > 1
        name = f"{label} (mean and range of {len(arrays)} runs)" if several else label
        ax.plot(epochs, stack.mean(axis=0), label=name, markevery=every, **style.marked)
        if len(arrays) > 1:
            band = stack.min(axis=0), stack.max(axis=0)
            ax.fill_between(epochs, *band, color=style.colour, alpha=0.18, linewidth=0)
    if log:
        ax.set_yscale("log")
        plain_labels(ax)
    if single:
        ax.set_xlim(0.5, 1.5)
    whole_numbers(ax)
    return finished(ax, "epoch", ylabel, legend=legend)


def draw_convergence(
    ax: Axes,
    histories: Mapping[str, ArrayLike | Solution],
    *,
    work: Mapping[str, float] | None = None,
    tolerance: float | None = None,
    steps: str = "cycles",
    legend: bool = True,
) -> Axes:
    """Residual norms relative to the first, on a logarithmic axis, against cycles or against work;
    what ends above the first has diverged.

    Parameters
    ----------
    histories
        Label -> true residual 2-norms, one more than cycles, or the `Solution` that has them.
    work
        Label -> work units of a cycle (fine-grid products with A); without it the axis counts
        cycles.
    tolerance
        Relative to the first norm too: a dashed line where the runs may stop.
    steps
        What is counted, instead of cycles.
    """
    styles = looks(labelled(histories, "histories", "residual norms"), ax)
    if work is not None:
        labelled(work, "work", "work units of a cycle")
        if lacking := [label for label in histories if label not in work]:
            raise ValueError(f"work has no {lacking[0]!r}, which is in the histories")
        for label in histories:
            check_number(work[label], f"work of {label!r}", "larger than 0")
    if tolerance is not None:
        check_number(tolerance, "tolerance", "larger than 0")
    for label, given in histories.items():
        norms = residual_norms(given, label)
        diverged = not norms[-1] <= norms[0]  # not a number too
        with np.errstate(over="ignore"):
            norms = norms / norms[0]
        # a residual that is exactly 0 has no place on this axis, which ends at 10^308
        norms = np.where((norms > 0) & (norms < LARGEST), norms, np.nan)
        x = np.arange(norms.size) * (1.0 if work is None else work[label])
        name = f"{named(label)}, diverged" if diverged else named(label)
        every = max(1, norms.size // 12)
        ax.semilogy(x, norms, label=name, markevery=every, **styles[label].marked)
    if work is None:
        whole_numbers(ax)
    if tolerance is not None:
        ax.axhline(tolerance, label="tolerance", **GUIDE)
    xlabel = steps if work is None else "work (fine-grid products with A)"
    ylabel = "‖b − Ax‖₂, relative to the first"
    return finished(ax, xlabel, ylabel, legend=legend)


def draw_factors(
    ax: Axes,
    factors: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    xlabel: str,
    ylabel: str,
    log: bool = True,
    legend: bool = True,
) -> Axes:
    """Smoothing, two-grid or other factors against degree or work, one curve per family.

    Parameters
    ----------
    factors
        Label -> (horizontal values, factors).
    xlabel, ylabel
        With units.
    log
        Logarithmic vertical axis.
    """
    styles = looks(labelled(factors, "factors", "(x, factors)"), ax)
    every, along = list[float](), list[float]()
    for label, given in factors.items():
        x, y = _pair(given, label)
        along += x.tolist()
        every += y.tolist()
        ax.plot(x, y, label=label, **styles[label].marked)
    if log:
        ax.set_yscale("log")
        plain_labels(ax)
    if any(found >= 1.0 for found in every):
        ax.axhline(1.0, **GUIDE)
    if all(x == round(x) for x in along if np.isfinite(x)):
        whole_numbers(ax)
    return finished(ax, xlabel, ylabel, legend=legend)


def draw_time_per_unknown(
    ax: Axes,
    timings: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    legend: bool = True,
) -> Axes:
    """Nanoseconds per unknown against the number of unknowns, both logarithmic: flat where the
    method is of optimal order.

    Parameters
    ----------
    timings
        Label -> (unknowns, seconds).
    """
    styles = looks(labelled(timings, "timings", "(unknowns, seconds)"), ax)
    for label, given in timings.items():
        n, seconds = _pair(given, label)
        ax.loglog(n, 1e9 * seconds / n, label=label, **styles[label].marked)
    plain_labels(ax)
    return finished(ax, "unknowns", "time per unknown (ns)", legend=legend)


def whole_numbers(ax: Axes) -> None:
    """Whole numbers alone on the horizontal axis, of a single point too."""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _pair(given: Any, label: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Horizontal and vertical values, as many; None is no number."""
    try:
        x, y = (numbers(values, repr(label)) for values in given)
    except (TypeError, ValueError):
        x, y = np.zeros(1), np.zeros(0)
    if x.shape != y.shape:
        raise ValueError(f"{label!r} must be a pair of as many horizontal as vertical values")
    return x, y


def plain_labels(ax: Axes) -> None:
    """Plain numbers on a logarithmic axis of less than two decades: at 1, 2 and 5 of each, or,
    where less than two of these may be seen, at equal distances."""
    low, high = ax.get_ylim()
    if high < 100.0 * low:  # low is 0 of axes without points
        seen = (
            LogLocator(subs=(1.0, 2.0, 5.0))
            if high / low >= 5.0
            else MaxNLocator(5, steps=[1, 2, 5, 10])
        )
        ax.yaxis.set_major_locator(seen)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
