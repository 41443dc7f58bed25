"""A study as numbers: the runs of a grid by what is compared, mean and 95 % interval of each, and a
candidate tested against all others, paired by seed.

What is compared is one key of the grid, such as the start; it is compared at every place, that is
at every combination of the other keys but the seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from analysis.stats import Comparison, Estimate, estimate, holm, paired

SEED = "seed"
LEVEL = 0.01  # below this adjusted p-value a difference is called significant


@dataclass(frozen=True)
class Measure:
    """A number of a finished run.

    Attributes
    ----------
    title, unit
        Of a table; the number times `unit` is shown.
    digits
        Decimals shown.
    smaller_is_better
        Which way an improvement goes.
    margin
        In shown units: a candidate that is worse by less is called not worse.
    log
        Whether figures have a logarithmic axis.
    """

    title: str
    unit: float = 1.0
    digits: int = 2
    smaller_is_better: bool = False
    margin: float = 0.0
    log: bool = False


MEASURES = {
    "test_accuracy": Measure("test accuracy (%)", 100.0, 2, margin=0.3),
    "val_accuracy": Measure("validation accuracy (%)", 100.0, 2, margin=0.3),
    "train_loss": Measure("training loss", 1.0, 3, smaller_is_better=True, margin=0.01),
    "factor": Measure("convergence factor", 1.0, 4, smaller_is_better=True, log=True),
    "seconds": Measure("time (s)", 1.0, 1, smaller_is_better=True),
    "images_per_second": Measure("images/s", 1.0, 0),
}
COSTS = {"parameters": "weights", "flops_per_image": "FLOPs an image", "seconds": "time (s)"}

Place = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Question:
    """What the page of a study asks: the table [report] of its file.

    Attributes
    ----------
    title, about
        Of the page, in Markdown.
    compare
        The key of the grid whose values are compared.
    along
        The key that runs along the axis of the figure, such as the degree; without one, the figure
        shows the measure against what a run costs.
    measures
        What is compared, of `MEASURES`.
    candidate
        The value that is tested against all others; none is, where there is none.
    searched
        Values of which the best at every place is the yardstick of the candidate.
    """

    title: str
    compare: str
    measures: tuple[str, ...]
    about: str = ""
    along: str | None = None
    candidate: str | None = None
    searched: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Question:
        """From a file's table; ValueError for a key or measure that is unknown or missing."""
        known = [field.name for field in fields(cls)]
        if unknown := [key for key in given if key not in known]:
            allowed = ", ".join(known)
            raise ValueError(f"unknown key {unknown[0]!r} of report, allowed are {allowed}")
        for key in ("title", "compare", "measures"):
            if not given.get(key):
                raise ValueError(f"report has no {key}; a page needs title, compare and measures")
        if wrong := [name for name in given["measures"] if name not in MEASURES]:
            allowed = ", ".join(MEASURES)
            raise ValueError(f"unknown measure {wrong[0]!r} of report, allowed are {allowed}")
        lists = {key: tuple(given.get(key, ())) for key in ("measures", "searched")}
        return cls(**{**given, **lists})

    def panels(self, grid: Grid) -> dict[Place, dict[Any, Place]]:
        """The places of a grid by all keys but `along`: panel -> value along -> place."""
        found: dict[Place, dict[Any, Place]] = {}
        for place in grid.cells:
            panel = tuple(item for item in place if item[0] != self.along)
            found.setdefault(panel, {})[dict(place).get(self.along or "", "")] = place
        return found


@dataclass(frozen=True)
class Cell:
    """One compared value at one place.

    Attributes
    ----------
    values
        Measure -> seed -> value, of the runs that ended.
    rows
        All of them, with their costs.
    diverged
        Number of runs whose loss was not finite.
    """

    values: Mapping[str, Mapping[str, float]]
    rows: tuple[Mapping[str, Any], ...]
    diverged: int

    def estimate(self, measure: str) -> Estimate | None:
        """Mean and interval over the seeds; None where nothing ended."""
        found = self.values.get(measure)
        return estimate(list(found.values())) if found else None

    def cost(self, name: str) -> float | None:
        """Mean of a cost over the runs."""
        found = [float(row[name]) for row in self.rows if row.get(name) is not None]
        return sum(found) / len(found) if found else None

    @property
    def amplification(self) -> float | None:
        """max |q| over the levels at the start, geometric mean over the runs."""
        found = [
            max(levels)
            for row in self.rows
            if (levels := [m for m in row.get("amplification", ()) if m is not None])
        ]
        return math.exp(sum(map(math.log, found)) / len(found)) if found else None


@dataclass(frozen=True)
class Test:
    """The candidate against another value at one place: candidate - other, paired by seed."""

    place: Place
    other: str
    comparison: Comparison
    p_holm: float | None

    def better(self, measure: Measure) -> bool:
        """Whether the candidate is the better one, in the mean."""
        return (self.comparison.difference.mean < 0) == measure.smaller_is_better

    @property
    def significant(self) -> bool:
        """Whether the adjusted p-value is below `LEVEL`."""
        return self.p_holm is not None and self.p_holm < LEVEL


@dataclass(frozen=True)
class Grid:
    """The cells of a study: place -> compared value -> cell, in the order of the grid."""

    compare: str
    cells: Mapping[Place, Mapping[str, Cell]]

    @classmethod
    def of(
        cls, results: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], compare: str
    ) -> Grid:
        """From (point of the grid, row or summary) of every finished run."""
        sorted_in: dict[Place, dict[str, list[tuple[str, Mapping[str, Any]]]]] = {}
        for point, row in results:
            where = tuple(
                (key, value) for key, value in point.items() if key != compare and not is_seed(key)
            )
            seed = json.dumps({key: value for key, value in point.items() if is_seed(key)})
            values = sorted_in.setdefault(where, {})
            values.setdefault(str(point.get(compare, "")), []).append((seed, row))
        return cls(
            compare,
            {
                place: {value: _cell(runs) for value, runs in values.items()}
                for place, values in sorted_in.items()
            },
        )

    @property
    def compared(self) -> list[str]:
        """The compared values, in the order of their first appearance."""
        return list(dict.fromkeys(value for cells in self.cells.values() for value in cells))

    @property
    def measures(self) -> list[str]:
        """The known measures that some run has."""
        found = {name for cells in self.cells.values() for c in cells.values() for name in c.values}
        return [name for name in MEASURES if name in found]

    def tests(self, measure: str, candidate: str) -> list[Test]:
        """The candidate against every other value at every place where they share two seeds, Holm's
        adjustment over all of them."""
        found: list[tuple[Place, str, Comparison]] = []
        for place, cells in self.cells.items():
            mine = cells[candidate].values.get(measure, {}) if candidate in cells else {}
            for other, cell in cells.items():
                theirs = cell.values.get(measure, {})
                if other != candidate and len(set(mine) & set(theirs)) > 1:
                    found.append((place, other, paired(mine, theirs)))
        tested = [k for k, (*_, c) in enumerate(found) if c.p_value is not None]
        p = dict(zip(tested, holm([found[k][2].p_value or 0.0 for k in tested])))
        return [Test(*one, p.get(k)) for k, one in enumerate(found)]

    def best(self, measure: str, place: Place, among: Sequence[str]) -> str | None:
        """Of some compared values the one with the best mean at a place."""
        cells = self.cells[place]
        means = {
            value: found.mean
            for value in among
            if value in cells and (found := cells[value].estimate(measure)) is not None
        }
        if not means:
            return None
        pick = min if MEASURES[measure].smaller_is_better else max
        return pick(means, key=lambda value: means[value])


def is_seed(key: str) -> bool:
    """Whether a key of a grid is the seed."""
    return key.split(".")[-1] == SEED


def _cell(runs: Sequence[tuple[str, Mapping[str, Any]]]) -> Cell:
    values: dict[str, dict[str, float]] = {}
    for seed, row in runs:
        for name in MEASURES:
            if row.get(name) is not None:
                values.setdefault(name, {})[seed] = float(row[name])
    return Cell(values, tuple(row for _, row in runs), sum("diverged" in row for _, row in runs))
