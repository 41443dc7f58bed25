"""Figures of one run: polynomials on the spectrum, eigenvalues with roots, damping of each mode,
smoothing factors, a multigrid solve.

Each takes the run's report and returns a finished figure, or None where the run has nothing of the
kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.levels.report import ROLES, LevelReport
from analysis.runs.results import SpectralReport
from figures.curves import draw_convergence
from figures.damping import (
    amplified,
    colour_bar,
    colour_limit,
    draw_amplified,
    draw_damping,
)
from figures.polynomials import draw_polynomials
from figures.runs.several import draw_level_factors
from figures.spectra import REAL, draw_root_strip, draw_spectrum, piled_up
from figures.style import DOUBLE, figure, figure_legend, named
from mgtheory.fourier import grid_frequencies, high_frequencies, smoothing_factor, symbol
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import create
from mgtheory.problems.stencils import laplacian

AT_THETA = "remaining amplitude at θ, and its largest µ: of the periodic symbol"
PANELS = 4  # in a row; further levels follow below
STRIP = 0.95  # inches of the strip of roots below a panel
POISSON_SIZE, POISSON_CYCLES = 127, 12
Item = TypeVar("Item")


def polynomials(report: SpectralReport) -> Figure | None:
    """q of theory, start and learned on each level's spectrum, in units of its own A's radius b."""

    def draw(ax: Axes, level: LevelReport, curves: Mapping[str, ResidualPolynomial]) -> None:
        own, which = _eigenvalues(level, "eigenvalues"), judged(curves)
        shown: dict[str, Any] = {"xlabel": "t / b; points: |λ| / b", "legend": False}
        shown["interval"] = 0.0, 1.0
        shown["disc"] = level.largest_only and bool(np.abs(own.imag).max() > REAL)
        draw_polynomials(ax, curves, eigenvalues=own, spectrum_of=which, **shown)

    levels = [level for level in _polynomial_levels(report) if level.relative]
    return _by_level(levels, draw, height=2.3)


def spectra(report: SpectralReport) -> Figure | None:
    """Eigenvalues of each level's learned convolution, and the roots of theory, start and learned,
    in the complex plane.

    Eigenvalues as the network applies A (zero padding, the level's grid), and by frequency those of
    its symbol, the periodic operator. All in units of the spectral radius b of the A that they
    belong to, as in `polynomials`: a start from theory has the theory's roots. The region where
    |q| < 1 is that of the learned q, of the effective one where a batch norm takes the meaning of
    the learned away. Where roots pile up, they stand below once more, in a strip with a row for
    each role.
    """

    def draw(ax: Axes, level: LevelReport, curves: Mapping[str, ResidualPolynomial]) -> None:
        draw_spectrum(
            ax,
            _eigenvalues(level, "symbol"),
            high=high_frequencies(level.arrays["theta"]),
            applied=_eigenvalues(level, "eigenvalues"),
            roots={role: q.roots for role, q in curves.items()},
            damping=(judged(curves), curves[judged(curves)]) if curves else None,
            unit="b",
            largest_only=level.largest_only,
            legend=False,
        )

    count = len(report.levels)
    # square panels fill their column, with axis labels, titles and a legend above all
    height = DOUBLE / min(PANELS, max(count, 2)) + (0.55 if count > 1 else 1.25)
    piled = any(piled_up(_roots(level)) for level in report.levels)
    strip = draw_root_strip if piled else None
    return _by_level(report.levels, draw, height=height, below=strip)


def _roots(level: LevelReport) -> dict[str, np.ndarray]:
    return {role: q.roots for role, q in meaningful(level.relative, level).items()}


def damping(report: SpectralReport) -> Figure | None:
    """What one smoothing leaves of each Fourier mode: a row for each role, a column for the 5-point
    Laplacian and for each level's own A.

    Both of the periodic symbol: µ of the reports is that of A as it is padded on the level's grid.
    On the Laplacian stands the q of level 1 scaled to it, on a level what its steps do to its own
    modes, the Fourier modes of its symbol: the largest of the c channels. Where every mode is
    amplified, numbers stand in the place of a map that would be red all over.
    """
    if not report.levels:
        return None
    every = [_laplacian_column(report), *map(_level_column, report.levels)]
    columns = [column for column in every if column]
    roles = [role for role in ROLES if any(role in column for _, column in columns)]
    wide = min(1 + PANELS, len(columns))
    groups = -(-len(columns) // wide)
    row_height = min(1.7, 0.4 + (DOUBLE - 2.15) / wide)  # square panels with a title
    made, axes = figure(
        len(roles) * groups, wide, width=DOUBLE, height=row_height * len(roles) * groups + 0.4
    )
    every_map = [values for _, column in columns for values, _ in column.values()]
    coloured = [values for values in every_map if not amplified(values)]
    limit = colour_limit(coloured) if coloured else 1.0
    drawn, maps = [], []
    for k, (name, column) in enumerate(columns):
        for row, role in enumerate(role for role in roles if role in column):
            values, mu = column[role]
            ax = axes[len(roles) * (k // wide) + roles.index(role), k % wide]
            title = f"{name}\nµ = {_short(mu)}" if row == 0 else f"µ = {_short(mu)}"
            if amplified(values):
                draw_amplified(ax, values, title=title)
            else:
                maps.append(draw_damping(ax, values, limit=limit, title=title))
            drawn.append(ax)
    for row, line in enumerate(axes):
        for k, ax in enumerate(line):
            ax.set_visible(ax in drawn)
            if k:
                ax.set_ylabel("")
                ax.set_yticklabels([])
            if row < len(axes) - 1:
                ax.set_xlabel("")
        role = roles[row % len(roles)]
        name = f"theory ({report.theory['name']})" if role == "theory" else named(role)
        line[0].set_ylabel("\n".join([*name.replace(" (", "\n(").splitlines(), "θ₁ (rad)"]))
    if maps:
        colour_bar(drawn, of=maps[0], label=AT_THETA)
    return made


def levels(report: SpectralReport) -> Figure | None:
    """The smoothing factor of every level: theory, start, learned, and with the norms folded in."""
    if not report.levels:
        return None
    made, axes = figure(1, 1, height=2.7)
    shown = [meaningful(level.views, level) for level in report.levels]
    factors = {
        role: [views[role].smoothing_factor if role in views else None for views in shown]
        for role in ROLES
        if any(role in views for views in shown)
    }
    draw_level_factors(axes[0, 0], factors, legend=False)
    figure_legend(made)
    return made


def convergence(report: SpectralReport) -> Figure | None:
    """Multigrid V(1,1) on the 2D Poisson problem, 127 x 127, with the polynomials of level 1 scaled
    to it as smoothers."""
    levels = _polynomial_levels(report)
    if not levels or not (chosen := meaningful(levels[0].relative, levels[0])):
        return None
    problem = create("poisson2d", POISSON_SIZE)
    upper = problem.spectrum().b
    made, axes = figure(1, 1, height=3.0)
    histories = {}
    for role, q in chosen.items():
        hierarchy = Hierarchy.build(problem, smoother=q.scaled(upper))
        solution = hierarchy.solve(problem.b, tol=1e-10, maxiter=POISSON_CYCLES)
        norms = np.asarray(solution.residual_norms)
        histories[role] = norms[np.isfinite(norms)]
    draw_convergence(axes[0, 0], histories, legend=False)
    axes[0, 0].set_title(f"2D Poisson {POISSON_SIZE} × {POISSON_SIZE}, V(1,1), q of level 1")
    figure_legend(made)
    return made


def _polynomial_levels(report: SpectralReport) -> list[LevelReport]:
    return [level for level in report.levels if level.kind == "polynomial"]


# title, and role -> what is left of each mode, smoothing factor
Column = tuple[str, dict[str, tuple[np.ndarray, float]]]


def _laplacian_column(report: SpectralReport) -> Column | None:
    """The polynomials of level 1 on the 5-point Laplacian; None without polynomials."""
    levels = _polynomial_levels(report)
    if not levels:
        return None
    values = symbol(laplacian(2), grid_frequencies((64, 64))).real
    shown = {}
    for role, q in meaningful(levels[0].relative, levels[0]).items():
        scaled = q.scaled(8.0)  # its spectrum is (0, 8]
        shown[role] = np.abs(scaled(values)), smoothing_factor(laplacian(2), scaled).factor
    return "5-point Laplacian,\nq of level 1", shown


def _level_column(level: LevelReport) -> Column:
    """The level's own modes."""
    shown = meaningful(level.views, level)
    return f"level {level.level}", {
        role: (level.arrays[f"damping/{role}"], view.symbol_factor) for role, view in shown.items()
    }


def meaningful(by_role: Mapping[str, Item], level: LevelReport) -> dict[str, Item]:
    """Without the learned one where it is not identifiable; the effective one stands for it, which
    there is: what takes a coefficient's meaning is a norm."""
    lost = {"learned"} if level.not_identifiable else set()
    return {role: found for role, found in by_role.items() if role not in lost}


def judged(curves: Mapping[str, ResidualPolynomial]) -> str:
    """The role that stands for what was learned."""
    return "learned" if "learned" in curves else "effective"


def learned(reports: Iterable[SpectralReport], k: int) -> list[ResidualPolynomial]:
    """The polynomials of level k that stand for what was learned, in units of b."""
    found = []
    for report in reports:
        if k < len(report.levels) and report.levels[k].kind == "polynomial":
            curves = meaningful(report.levels[k].relative, report.levels[k])
            if {"learned", "effective"} & set(curves):
                found.append(curves[judged(curves)])
    return found


def _eigenvalues(level: LevelReport, of: str) -> np.ndarray:
    """Of the learned A as applied ("eigenvalues") or its symbol, in units of A's radius."""
    return np.asarray(level.arrays[f"{of}/learned"] / (level.operators["learned"].radius or 1.0))


def _short(mu: float) -> str:
    """Three significant digits, without an exponent below a million."""
    return f"{mu:.3g}" if mu < 1000 else f"{mu:.0f}" if mu < 1e6 else f"{mu:.1e}"


def _by_level(
    levels: Sequence[LevelReport],
    draw: Callable[[Axes, LevelReport, Mapping[str, ResidualPolynomial]], None],
    *,
    height: float,
    below: Callable[[Axes, Mapping[str, np.ndarray]], Axes] | None = None,
) -> Figure | None:
    """A panel for each level and its polynomials in units of b, in rows of that height in inches,
    with one legend above, and `below` a strip of its roots; None without levels."""
    if not levels:
        return None
    width = DOUBLE if len(levels) > 1 else 0.5 * DOUBLE
    across = max(1, min(PANELS, len(levels)))
    rows, each = -(-len(levels) // across), 1 if below is None else 2
    options: dict[str, Any] = {"height": (height + STRIP * (each - 1)) * rows + 0.2}
    if below is not None:
        options["height_ratios"] = [height, STRIP] * rows
    made, axes = figure(rows * each, across, width=width, **options)
    for ax in axes.flat:
        ax.set_visible(False)
    for k, level in enumerate(levels):
        column = axes[each * (k // across) : each * (k // across + 1), k % across]
        draw(column[0], level, meaningful(level.relative, level))
        column[0].set_title(f"level {level.level}, b = {level.operators['learned'].radius:.3g}")
        if below is not None:
            below(column[1], _roots(level))
            if k % across:
                column[1].set_yticklabels([])
        for ax in column:
            ax.set_visible(True)
            if k % across:
                ax.set_ylabel("")
    figure_legend(made, axes[::each].flat)
    return made
