"""What a comparison of smoothers found: its rows, the table of them, and what follows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from mgtheory._html import html_table
from mgtheory.smoothers import SMOOTHERS

OPTIMISED = "chebyshev4_opt"
NOISE = 0.05  # relative difference of times that any machine makes
# of a table: heading -> attribute of a row, and what one of it is in the heading's unit
COLUMNS: dict[str, tuple[str, float | None]] = {
    "family": ("family", None),
    "degree": ("degree", None),
    "smoothing": ("smoothing_factor", None),
    "two-grid": ("two_grid", None),
    "gamma": ("gamma", None),
    "bound": ("bound", None),
    "measured": ("measured_factor", None),
    "work/cycle": ("work_units", None),
    "ms/cycle": ("seconds_per_cycle", 1e3),
    "ms/digit": ("seconds_per_digit", 1e3),
    "± %": ("spread", 100.0),
}


@dataclass(frozen=True)
class Row:
    """One smoother: what theory predicts and what was measured; None where something does not
    exist.

    Attributes
    ----------
    smoothing_factor, two_grid_factor
        Of Fourier analysis, on the infinite grid; two grids with the given numbers of smoothings.
    two_grid_computed
        Where Fourier analysis has no operator that is the same at every point: by `ritz_factor`,
        on this very grid, which is no prediction for another one.
    gamma, bound
        Of scores: gamma of the polynomial, and C/(C + 1/gamma), proved for Galerkin coarsening, one
        smoothing before and one after; with variable coefficients of this very grid, with C and
        gamma of the level where they are largest.
    measured_factor
        Geometric mean of the residual's reduction over the second half of the cycles, from a random
        right-hand side.
    work_units
        Products with A on all levels in one cycle, in units of one on the finest grid.
    seconds_per_cycle, seconds_per_digit
        Median over the repeats; a digit is a factor of 10 in the residual.
    seconds_range
        The least and the most seconds per digit of a repeat.
    refused
        Why there is no such smoother or no result.
    """

    family: str
    degree: int
    smoothing_factor: float | None = None
    two_grid_factor: float | None = None
    gamma: float | None = None
    bound: float | None = None
    measured_factor: float | None = None
    work_units: float | None = None
    seconds_per_cycle: float | None = None
    seconds_per_digit: float | None = None
    seconds_range: tuple[float, float] | None = None
    refused: str = ""
    two_grid_computed: float | None = None

    @property
    def two_grid(self) -> float | None:
        """The two-grid factor, predicted, else computed on this very grid."""
        predicted = self.two_grid_factor
        return self.two_grid_computed if predicted is None else predicted

    @property
    def spread(self) -> float | None:
        """Half of the range of the times over their median."""
        if self.seconds_range is None or not self.seconds_per_digit:
            return None
        return (self.seconds_range[1] - self.seconds_range[0]) / (2 * self.seconds_per_digit)

    def ties_with(self, faster: Row) -> bool:
        """Whether the times of the two are within noise: a run of this one took at most 5 % longer
        than the other's median."""
        if self.seconds_range is None or faster.seconds_per_digit is None:
            return False
        return self.seconds_range[0] <= faster.seconds_per_digit * (1 + NOISE)


@dataclass(frozen=True, repr=False)
class SmootherComparison:
    """All rows and what follows from them; `doubts` says what in a matrix speaks against its
    grid, `boundary` what ends that, None for a graph."""

    problem: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    constant: float | None
    rows: tuple[Row, ...]
    doubts: tuple[str, ...] = ()
    boundary: str | None = None

    @property
    def winner(self) -> Row | None:
        """The row with the least time per digit."""
        timed = [row for row in self.rows if row.seconds_per_digit is not None]
        return min(timed, key=lambda row: row.seconds_per_digit or math.inf) if timed else None

    @property
    def ties(self) -> tuple[Row, ...]:
        """The rows that tie with the winner within noise, the fastest first."""
        best = self.winner
        if best is None:
            return ()
        found = [row for row in self.rows if row is not best and row.ties_with(best)]
        return tuple(sorted(found, key=lambda row: row.seconds_per_digit or math.inf))

    @property
    def verdict(self) -> tuple[str, ...]:
        """What the rows say, in lines: the fastest and what ties with it, where the optimised
        fourth kind loses."""
        lines, best = [], self.winner
        if best is not None and best.seconds_range is not None:
            low, high = (f"{1e3 * end:.3g}" for end in best.seconds_range)
            time = f"{1e3 * (best.seconds_per_digit or 0):.3g} ms per digit ({low} to {high})"
            lines.append(f"fastest here: {best.family} of degree {best.degree}, {time}")
            if self.ties:
                tied = ", ".join(f"{row.family} {row.degree}" for row in self.ties)
                lines.append(f"tie within noise: some of their runs were as fast: {tied}")
        lines += self.losses
        shown = {row.family for row in self.rows if not row.refused}
        if OPTIMISED in shown and not self.losses:
            lines.append(
                f"{OPTIMISED} does not lose to another family of the same degree here, but for ties"
            )
        return tuple(lines)

    @property
    def table(self) -> list[list[Any]]:
        """The rows that were measured, under the headings of `COLUMNS`."""
        return [
            [
                value if value is None or unit is None else unit * value
                for name, unit in COLUMNS.values()
                for value in [getattr(row, name)]
            ]
            for row in self.rows
            if not row.refused
        ]

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """For notebooks: the table, and below it the doubts and the verdict."""
        head, *rows = self._cells()
        return html_table(head, rows, [*self._warnings, *self.verdict])

    def _cells(self) -> list[list[str]]:
        """The table in text, with its head."""

        def text(cell: Any) -> str:
            return "–" if cell is None else cell if isinstance(cell, str) else f"{cell:.4g}"

        return [list(COLUMNS), *([text(cell) for cell in row] for row in self.table)]

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if k == 0 else cell.rjust(width)
                for k, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in cells
        ]
        left = [f"left out: {text}" for text in self.left_out]
        title = f"{self.problem}, {' x '.join(map(str, self.shape))}"
        return "\n".join([title, *lines, *left, *self._warnings, *self.verdict])

    @property
    def _warnings(self) -> list[str]:
        return [f"warning: {text}" for text in self.doubts]

    @property
    def left_out(self) -> tuple[str, ...]:
        """The rows without a result, those of a family that have one reason together."""
        degrees: dict[tuple[str, str], list[int]] = {}
        for row in self.rows:
            if row.refused:
                why = row.refused.removeprefix(f"degree is {row.degree}, ")
                degrees.setdefault((row.family, why), []).append(row.degree)
        return tuple(
            f"{family} {', '.join(map(str, of))}: {why}" for (family, why), of in degrees.items()
        )

    @property
    def losses(self) -> tuple[str, ...]:
        """Where the optimised fourth kind loses to another family, a line a degree."""
        lines = []
        for mine in self.rows:
            if mine.family != OPTIMISED or mine.refused:
                continue
            alike = [row for row in self.rows if row.degree == mine.degree and not row.refused]
            rivals = [row for row in alike if row.family not in (OPTIMISED, *SMOOTHERS)]
            lost = []
            for name, (title, margin, shown) in LOSABLE.items():
                own = getattr(mine, name)
                known = [row for row in rivals if getattr(row, name) is not None]
                best = min(known, key=lambda row: getattr(row, name), default=None)
                if own is None or best is None or not getattr(best, name) < own * (1 - margin):
                    continue
                if name != "seconds_per_digit" or not mine.ties_with(best):
                    lost.append(
                        f"{title} ({shown(own)}, {best.family} {shown(getattr(best, name))})"
                    )
            if lost:
                lines.append(f"degree {mine.degree}: {OPTIMISED} loses in {', '.join(lost)}")
        return tuple(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "problem": self.problem,
            "shape": list(self.shape),
            "boundary": self.boundary,
            "approximation_constant": self.constant,
            "axes": list(self.axes),
            "rows": [asdict(row) for row in self.rows],
            "winner": None if self.winner is None else asdict(self.winner),
            "tied": [[row.family, row.degree] for row in self.ties],
            "optimised_fourth_kind_loses": list(self.losses),
            "doubts": list(self.doubts),
        }


# what a smoother can lose in -> its title, what is a tie (relative: rounding, power iteration,
# timing noise) and how it is written
LOSABLE: dict[str, tuple[str, float, Callable[[float], str]]] = {
    "two_grid_factor": ("two-grid factor", 1e-6, "{:.4g}".format),
    "measured_factor": ("measured factor", 1e-3, "{:.4g}".format),
    "seconds_per_digit": ("time per digit", NOISE, lambda s: f"{1e3 * s:.3g} ms"),
}
