"""A study as numbers: the runs of a grid by what is compared, mean and 95 % interval of each, and a
candidate tested against all others, paired by seed.

What is compared is one key of the grid, such as the start; it is compared at every place, that is
at every combination of the other keys but the seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy  # scipy.stats, 0.7 s to import, is loaded where a test is made

from analysis.stats import Estimate, estimate, holm, paired
from analysis.studies.question import MEASURES, STARTS, Measure
from nets.settings import is_seed

LEVEL = 0.01  # below this adjusted p-value a difference is called significant
FEW_SEEDS = 5  # fewer are named wherever a mean of them is shown

Place = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Cell:
    """One compared value at one place.

    Attributes
    ----------
    values
        Measure -> seed -> value, of the runs that ended.
    rows
        All of them, with their costs.
    lost
        The seeds of the runs whose loss was not finite.
    """

    values: Mapping[str, Mapping[str, float]]
    rows: tuple[Mapping[str, Any], ...]
    lost: frozenset[str] = frozenset()

    @classmethod
    def of(cls, runs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Cell:
        """From (point of the grid, row or summary) of the finished runs of one place."""
        values: dict[str, dict[str, float]] = {}
        lost = set()
        for point, row in runs:
            seed = json.dumps({key: value for key, value in point.items() if is_seed(key)})
            for name in MEASURES:
                if row.get(name) is not None:
                    values.setdefault(name, {})[seed] = float(row[name])
            if "diverged" in row:
                lost.add(seed)
        return cls(values, tuple(row for _, row in runs), frozenset(lost))

    @property
    def diverged(self) -> int:
        """Number of runs whose loss was not finite."""
        return len(self.lost)

    def estimate(self, measure: str) -> Estimate | None:
        """Mean and interval over the seeds; None where nothing ended."""
        found = self.values.get(measure)
        return estimate(list(found.values())) if found else None

    def cost(self, name: str) -> float | None:
        """A cost of the cheapest run: all have the same weights and operations, and what else the
        machine did can only have lengthened the others' times."""
        found = [row[name] for row in self.rows if row.get(name) is not None]
        return min(found, default=None)

    def at_start(self, name: str) -> float | None:
        """A number of `STARTS`, of several levels the largest, geometric mean over the runs: 0 as
        soon as one is, such as the features of a network whose relus let nothing pass."""
        found = []
        for row in self.rows:
            values = row.get(name)
            known = [v for v in (values if isinstance(values, list) else [values]) if v is not None]
            found += [max(known)] if known else []
        with np.errstate(divide="ignore"):
            return float(np.exp(np.log(found).mean())) if found else None


@dataclass(frozen=True)
class Test:
    """The candidate against another value at one place, paired by seed.

    A pair of which exactly one run diverged is lost by that side. It has no difference, so that
    where there is one the test is the exact sign test of all pairs, and the better side is the one
    that wins more of them: survivors alone would hide what divergence costs.

    Attributes
    ----------
    difference
        candidate - other, over the pairs of which both ended; None without any.
    wins, losses
        Pairs that the candidate wins and loses, those with a diverged run too.
    diverged, other_diverged
        Runs of the candidate and of the other that diverged, at seeds that both have.
    pairs
        Seeds that both have.
    p_value, p_holm
        Of the two-sided paired t-test or the sign test, as it is and adjusted; None where neither
        is possible.
    """

    place: Place
    other: str
    difference: Estimate | None
    wins: int
    losses: int
    diverged: int
    other_diverged: int
    pairs: int
    p_value: float | None
    p_holm: float | None = None

    def lead(self, measure: Measure) -> float:
        """Above 0 where the candidate is the better one, in the mean, or by pairs where a run
        diverged; 0 where neither is."""
        if self.difference is None or self.diverged or self.other_diverged:
            return self.wins - self.losses
        return -self.difference.mean if measure.smaller_is_better else self.difference.mean

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
        grouped: dict[Place, dict[str, list[Any]]] = {}
        for point, row in results:
            values = grouped.setdefault(place_of(point, compare), {})
            values.setdefault(str(point.get(compare, "")), []).append((point, row))
        cells = {
            place: {value: Cell.of(runs) for value, runs in values.items()}
            for place, values in grouped.items()
        }
        return cls(compare, cells)

    @property
    def compared(self) -> list[str]:
        """The compared values, in the order of their first appearance."""
        return list(dict.fromkeys(value for cells in self.cells.values() for value in cells))

    @property
    def measures(self) -> list[str]:
        """The known measures that some run has."""
        found = {name for cells in self.cells.values() for c in cells.values() for name in c.values}
        return [name for name in MEASURES if name in found]

    @property
    def starts(self) -> list[str]:
        """The names of `STARTS` that there is something to show of."""
        return [name for name in STARTS if self.known(name)]

    def known(self, start: str) -> list[Place]:
        """The places where most cells have a number of `STARTS` that depends on what is compared:
        of others, as max |q| of placements or what earlier versions did not measure, there is
        nothing to show."""
        found = {
            place: [one for cell in cells.values() if (one := cell.at_start(start)) is not None]
            for place, cells in self.cells.items()
        }
        return [
            place
            for place, values in found.items()
            if len(values) > len(self.cells[place]) / 2 and len({f"{v:.6g}" for v in values}) > 1
        ]

    def panels(self, along: str | None) -> dict[Place, dict[Any, Place]]:
        """The places by all keys but `along`: panel -> value along -> place."""
        found: dict[Place, dict[Any, Place]] = {}
        for place in self.cells:
            panel = tuple(item for item in place if item[0] != along)
            found.setdefault(panel, {})[dict(place).get(along or "", "")] = place
        return found

    def tests(self, measure: str, candidate: str) -> list[Test]:
        """The candidate against every other value at every place where they share two seeds, Holm's
        adjustment over all that have a p-value."""
        found = [
            self.test(measure, place, candidate, other)
            for place, cells in self.cells.items()
            if candidate in cells
            for other in cells
            if other != candidate
        ]
        shared = [test for test in found if test.pairs > 1]
        adjusted = holm([test.p_value for test in shared])
        return [replace(test, p_holm=p) for test, p in zip(shared, adjusted)]

    def test(self, measure: str, place: Place, candidate: str, other: str) -> Test:
        """The candidate against one other value at a place that has both."""
        mine, theirs = self.cells[place][candidate], self.cells[place][other]
        a, b = mine.values.get(measure, {}), theirs.values.get(measure, {})
        shared = (a.keys() | mine.lost) & (b.keys() | theirs.lost)
        lost, other_lost = mine.lost & shared, theirs.lost & shared
        ended = paired(a, b) if a.keys() & b.keys() else None
        above, below = (ended.wins, ended.losses) if ended else (0, 0)
        if MEASURES[measure].smaller_is_better:
            above, below = below, above
        wins, losses = above + len(other_lost - lost), below + len(lost - other_lost)
        p_value = ended.p_value if ended else None
        if lost or other_lost:
            pairs = wins + losses
            p_value = float(scipy.stats.binomtest(wins, pairs).pvalue) if pairs else None
        return Test(
            *(place, other, ended.difference if ended else None, wins, losses),
            *(len(lost), len(other_lost), len(shared), p_value),
        )

    def best(
        self, measure: str, place: Place, among: Sequence[str], *, seeds: int = 1
    ) -> str | None:
        """Of some compared values the one with the best mean at a place, over the seeds at which
        all of them ended: a seed is easier than another. What has diverged runs is left out, unless
        all have some. None where they share fewer than `seeds` seeds."""
        cells = self.cells[place]
        known = {v: cells[v] for v in among if v in cells and measure in cells[v].values}
        whole = {value: cell for value, cell in known.items() if not cell.diverged} or known
        found = {value: cell.values[measure] for value, cell in whole.items()}
        shared = sorted(set.intersection(*map(set, found.values()))) if found else []
        if len(shared) < max(1, seeds):
            return None
        totals = {value: sum(own[seed] for seed in shared) for value, own in found.items()}
        pick = min if MEASURES[measure].smaller_is_better else max
        return pick(totals, key=lambda value: totals[value])


def place_of(point: Mapping[str, Any], compare: str = "") -> Place:
    """A point of the grid without what is compared and without the seed."""
    return tuple(
        (key, value) for key, value in point.items() if key != compare and not is_seed(key)
    )
