"""All figures of runs, and the gallery of the theory: `make(runs, out)` and `make_gallery(out)` write PNG and PDF and return the paths.

A figure of one run is an entry of `RUN_FIGURES`: name -> function(report) -> Figure, or None where the run has nothing of the kind. A
figure of all runs together is an entry of `COMMON_FIGURES`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.compare import unique_labels
from analysis.levels import LevelReport
from analysis.records import read_metrics
from analysis.report import SpectralReport, analyse
from analysis.stats import configuration_key, groups_of
from figures.curves import draw_convergence, draw_training
from figures.damping import colour_bar, colour_limit, draw_damping
from figures.gallery import GALLERY
from figures.polynomials import draw_polynomials
from figures.spectra import draw_spectrum
from figures.study import draw_accuracies, draw_level_factors
from figures.style import DOUBLE, figure, figure_legend, panel_letters, paper, save
from mgtheory.fourier import grid_frequencies, smoothing_factor, symbol
from mgtheory.hierarchy import Hierarchy
from mgtheory.polynomial import ResidualPolynomial
from mgtheory.problems import create
from mgtheory.stencils import laplacian
from nets.runs import read_config

__all__ = ["COMMON_FIGURES", "RUN_FIGURES", "Run", "make", "make_gallery"]

PANELS = 4  # in a row; further levels follow below
POISSON_SIZE, POISSON_CYCLES = 127, 12
Progress = Callable[[int, str], None]


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run as the figures need it: its report, its history, its configuration but the seed, and a name for files."""

    report: SpectralReport
    metrics: pd.DataFrame
    key: str
    name: str


def make(runs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], *, progress: Progress | None = None) -> list[Path]:
    """Every figure of the runs, as PNG and PDF.

    Parameters
    ----------
    runs
        Finished run folders; they are analysed first where they have not been.
    out
        The folder of the figures, made if missing. Figures of one run carry its name in front if several are given.
    progress
        Called with (figures done, name of the next).

    Raises
    ------
    FileNotFoundError, ValueError
        No run given, or a folder that is missing, unfinished, truncated or foreign: one line, and nothing is drawn.
    """
    if not runs:
        raise ValueError("no run given, at least one run folder is needed")
    loaded = [
        Run(analyse(run), read_metrics(run), configuration_key(read_config(Path(run)).to_dict()), name)
        for run, name in zip(runs, _file_names(runs))
    ]
    jobs: list[tuple[str, Callable[[], Figure | None]]] = []
    for run in loaded:
        prefix = f"{run.name}_" if len(loaded) > 1 else ""
        jobs += [(prefix + name, partial(draw, run.report)) for name, draw in RUN_FIGURES.items()]
    jobs += [(name, partial(draw, loaded)) for name, draw in COMMON_FIGURES.items()]
    return _draw(jobs, Path(out), progress)


def make_gallery(out: str | os.PathLike[str], *, names: Sequence[str] | None = None, progress: Progress | None = None) -> list[Path]:
    """The figures of the theory, as PNG and PDF; all of `GALLERY` or those named."""
    unknown = [name for name in names or () if name not in GALLERY]
    if unknown:
        raise ValueError(f"unknown figure {unknown[0]!r}, known are: {', '.join(GALLERY)}")
    return _draw([(name, GALLERY[name]) for name in names or GALLERY], Path(out), progress)


def _draw(jobs: Sequence[tuple[str, Callable[[], Figure | None]]], out: Path, progress: Progress | None) -> list[Path]:
    written: list[Path] = []
    with paper():
        for done, (name, job) in enumerate(jobs):
            if progress:
                progress(done, name)
            made = job()
            if made is not None:
                written += save(made, out / name)
    return written


def polynomials(report: SpectralReport) -> Figure | None:
    """(a) Residual polynomials of theory, start and learned on each level's spectrum, in units of its spectral radius b."""
    levels = _polynomial_levels(report)
    if not levels:
        return None
    made, axes = _grid(len(levels), height=2.3)
    for ax, level in zip(axes.flat, levels):
        curves = _meaningful(_relative(level), level)
        values = level.arrays["eigenvalues/learned"] / level.operators["learned"].radius
        chosen = "learned" if "learned" in curves else "effective"
        draw_polynomials(ax, curves, eigenvalues=values, spectrum_of=chosen, xlabel="t / b, |λ| / b of points", legend=False)
        ax.set_title(_title(level))
    _finish(made, axes, len(levels))
    return made


def spectra(report: SpectralReport) -> Figure | None:
    """(b) Eigenvalues of each level's learned convolution in the complex plane, with the roots of theory, start and learned."""
    if not report.levels:
        return None
    made, axes = _grid(len(report.levels), height=_square_panels(len(report.levels)))
    for ax, level in zip(axes.flat, report.levels):
        views = _meaningful({role: view.polynomial for role, view in level.views.items() if view.polynomial is not None}, level)
        draw_spectrum(
            ax,
            level.arrays["eigenvalues/learned"],
            high=_high(level),
            roots={role: q.roots for role, q in views.items()},
            polynomial=views.get("learned", views.get("effective")),
            legend=False,
        )
        ax.set_title(_title(level))
    _finish(made, axes, len(report.levels))
    return made


def damping(report: SpectralReport) -> Figure | None:
    """(c) Damping of each Fourier mode: the Poisson smoother of theory, and each level's, start (above) and learned (below)."""
    if not report.levels:
        return None
    columns = _poisson_column(report) + [_level_column(level) for level in report.levels]
    wide = min(1 + PANELS, len(columns))
    groups = -(-len(columns) // wide)
    made, axes = figure(2 * groups, wide, width=DOUBLE, height=1.75 * 2 * groups)
    limit = colour_limit([values for column in columns for _, values, _ in column])
    drawn = []
    for k, column in enumerate(columns):
        for row, (title, values, mu) in enumerate(column):
            ax = axes[2 * (k // wide) + row, k % wide]
            draw_damping(ax, values, limit=limit, title=f"{title}\nµ = {_short(mu)}")
            drawn.append(ax)
    for ax in axes.flat:
        ax.set_visible(ax in drawn)
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
        ax.set_yticklabels([])
    for ax in axes[:-1].flat:
        ax.set_xlabel("")
    colour_bar(drawn)
    return made


def levels(report: SpectralReport) -> Figure | None:
    """The smoothing factor of every level: theory, start, learned, and with the norms folded in."""
    if not report.levels:
        return None
    made, axes = figure(1, 1, height=2.4)
    roles = [role for role in ("theory", "start", "learned", "effective") if any(role in level.views for level in report.levels)]
    factors = {role: [_mu(level, role) for level in report.levels] for role in roles}
    factors = {role: values for role, values in factors.items() if any(value is not None for value in values)}
    draw_level_factors(axes[0, 0], factors, legend=False)
    figure_legend(made)
    return made


def convergence(report: SpectralReport) -> Figure | None:
    """(e) Multigrid V(1,1) on the 2D Poisson problem, 127 x 127, with the polynomials of level 1 scaled to it as smoothers."""
    levels = _polynomial_levels(report)
    if not levels:
        return None
    chosen = _meaningful(_relative(levels[0]), levels[0])
    problem = create("poisson2d", POISSON_SIZE)
    upper = problem.spectrum().as_tuple[1]
    made, axes = figure(1, 1, height=2.6)
    histories = {}
    for role, q in chosen.items():
        solution = Hierarchy.build(problem, smoother=q.scaled(upper)).solve(problem.b, tol=1e-10, maxiter=POISSON_CYCLES)
        norms = np.asarray(solution.residual_norms)
        histories[role] = norms[np.isfinite(norms)]
    draw_convergence(axes[0, 0], histories, legend=False)
    axes[0, 0].set_title(f"2D Poisson {POISSON_SIZE} × {POISSON_SIZE}, V(1,1), q of level 1")
    figure_legend(made)
    return made


def training(runs: Sequence[Run]) -> Figure | None:
    """(d) Training loss and validation accuracy of every configuration against the epoch."""
    grouped = _configurations(runs)
    panels = [
        ("train_loss", "training loss", 1.0, True),
        ("val_accuracy", "validation accuracy (%)", 100.0, False),
    ]
    found = [panel for panel in panels if all(panel[0] in run.metrics and run.metrics[panel[0]].notna().any() for run in runs)]
    if not found:
        return None
    made, axes = figure(1, len(found), width=DOUBLE, height=2.7)
    for ax, (column, label, factor, log) in zip(axes.flat, found):
        curves = {name: [run.metrics[column].dropna().to_numpy() for run in members] for name, members in grouped.items()}
        draw_training(ax, curves, ylabel=label, factor=factor, log=log, legend=False)
    figure_legend(made)
    panel_letters(axes)
    return made


def accuracies(runs: Sequence[Run]) -> Figure | None:
    """Test accuracy of every configuration, each run a point, with mean and confidence interval; only for two runs or more."""
    values = {
        name: [run.report.facts["test_accuracy"] for run in members if run.report.facts["test_accuracy"] is not None]
        for name, members in _configurations(runs).items()
    }
    values = {name: numbers for name, numbers in values.items() if numbers}
    if len(runs) < 2 or not values:
        return None
    made, axes = figure(1, 1, width=DOUBLE, height=0.9 + 0.3 * len(values))
    draw_accuracies(axes[0, 0], values)
    return made


RUN_FIGURES: dict[str, Callable[[SpectralReport], Figure | None]] = {
    "polynomials": polynomials,
    "spectra": spectra,
    "damping": damping,
    "levels": levels,
    "convergence": convergence,
}

COMMON_FIGURES: dict[str, Callable[[Sequence[Run]], Figure | None]] = {
    "training": training,
    "accuracies": accuracies,
}


def _file_names(runs: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The folders' own names, with a number where two are alike."""
    names = [Path(run).resolve().name for run in runs]
    total, seen, result = Counter(names), Counter[str](), []
    for name in names:
        seen[name] += 1
        result.append(f"{name}-{seen[name]}" if total[name] > 1 else name)
    return result


def _configurations(runs: Sequence[Run]) -> dict[str, list[Run]]:
    grouped = groups_of(runs, lambda run: run.key)
    return dict(zip(unique_labels([members[0].report for members in grouped.values()]), grouped.values()))


def _polynomial_levels(report: SpectralReport) -> list[LevelReport]:
    return [level for level in report.levels if level.kind == "polynomial"]


def _relative(level: LevelReport) -> dict[str, ResidualPolynomial]:
    """The level's polynomials on (0, 1], each in units of the spectral radius of its own A."""
    found = {}
    for role, view in level.views.items():
        radius = level.operators["start" if role == "start" else "learned"].radius
        if view.polynomial is not None and radius > 0:
            found[role] = view.polynomial.scaled(1.0 / radius)
    return found


Panel = tuple[str, np.ndarray, float]  # title, damping, smoothing factor


def _poisson_column(report: SpectralReport) -> list[list[Panel]]:
    """The theory's polynomial, and under it the learned one of level 1, on the 5-point Laplacian; nothing without polynomials."""
    levels = _polynomial_levels(report)
    if not levels:
        return []
    relative = _relative(levels[0])
    learned = "effective" if levels[0].not_identifiable and "effective" in relative else "learned"
    values = symbol(laplacian(2), grid_frequencies((64, 64))).real
    column = []
    for role, title in (("theory", f"Poisson, {report.theory['name']}"), (learned, f"Poisson, {learned} q")):
        if role in relative:
            q = relative[role].scaled(8.0)
            column.append((title, np.abs(q(values)), smoothing_factor(laplacian(2), q).factor))
    return [column]


def _level_column(level: LevelReport) -> list[Panel]:
    """The level's own modes at the start, and under it learned with the norms folded in."""
    learned = "effective" if "effective" in level.views else "learned"
    return [
        (f"level {level.level}, {role}", level.arrays[f"damping/{role}"], level.views[role].smoothing.smoothing_factor)
        for role in ("start", learned)
    ]


def _mu(level: LevelReport, role: str) -> float | None:
    """mu, None where the level has no such role or a batch norm takes the meaning of its coefficients away."""
    if role not in level.views or (role == "learned" and level.not_identifiable):
        return None
    return level.views[role].smoothing.smoothing_factor


def _high(level: LevelReport) -> np.ndarray:
    return np.asarray((np.abs(level.arrays["theta"]) >= np.pi / 2 - 1e-12).any(axis=-1))


def _meaningful(polynomials: dict[str, ResidualPolynomial], level: LevelReport) -> dict[str, ResidualPolynomial]:
    """Without the learned polynomial where a coefficient of it is not identifiable; the effective one stands for it."""
    lost = bool(level.not_identifiable) and "effective" in polynomials
    return {role: q for role, q in polynomials.items() if not (lost and role == "learned")}


def _title(level: LevelReport) -> str:
    return f"level {level.level}, b = {level.operators['learned'].radius:.3g}"


def _short(mu: float) -> str:
    """Three significant digits, without an exponent below a million."""
    return f"{mu:.3g}" if mu < 1000 else f"{mu:.0f}" if mu < 1e6 else f"{mu:.1e}"


def _grid(panels: int, *, height: float) -> tuple[Figure, np.ndarray]:
    columns = min(PANELS, panels)
    rows = -(-panels // columns)
    return figure(rows, columns, width=DOUBLE if columns > 1 else 0.5 * DOUBLE, height=height * rows + 0.2)


def _square_panels(panels: int) -> float:
    """Height of a row, in inches, in which square panels fill their column, with axis labels, titles and a legend of two lines."""
    return DOUBLE / min(PANELS, max(panels, 2)) + 0.7


def _finish(made: Figure, axes: np.ndarray, panels: int) -> None:
    """Hide what is unused, name each axis once, and set one legend above."""
    for k, ax in enumerate(axes.flat):
        ax.set_visible(k < panels)
        if k % axes.shape[1]:
            ax.set_ylabel("")
    figure_legend(made)
