"""Figures of one run: polynomials on the spectrum, eigenvalues with roots, damping of each mode, smoothing factors, a multigrid solve.

Each takes the run's report and returns a finished figure, or None where the run has nothing of the kind.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from analysis.levels import LevelReport
from analysis.report import SpectralReport
from figures.curves import draw_convergence
from figures.damping import colour_bar, colour_limit, draw_damping
from figures.polynomials import draw_polynomials
from figures.spectra import draw_spectrum
from figures.study import draw_level_factors
from figures.style import DOUBLE, figure, figure_legend
from mgtheory.fourier import grid_frequencies, smoothing_factor, symbol
from mgtheory.hierarchy import Hierarchy
from mgtheory.polynomial import ResidualPolynomial
from mgtheory.problems import create
from mgtheory.stencils import laplacian

__all__ = ["convergence", "damping", "levels", "polynomials", "spectra"]

PANELS = 4  # in a row; further levels follow below
POISSON_SIZE, POISSON_CYCLES = 127, 12


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
