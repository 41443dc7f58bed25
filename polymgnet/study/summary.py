"""What a study found: mean and spread over the seeds, and paired differences."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polymgnet.study.run import Run, text_of


@dataclass(frozen=True)
class Row:
    """One point of the grid over its seeds: an `Estimate` of each measure, its values by seed."""

    point: Mapping[str, Any]
    measures: Mapping[str, Any]
    values: Mapping[str, Mapping[str, float]]
    runs: int

    @property
    def label(self) -> str:
        """The point in words."""
        words = [f"{key} {text_of(value)}" for key, value in self.point.items()]
        return ", ".join(words) or "all runs"

    def to_dict(self) -> dict[str, Any]:
        """For JSON; spread and confidence interval are null where there is one run."""
        return {"point": self.point, "runs": self.runs, **self.measures}


def summarise(results: Iterable[tuple[Run, Mapping[str, Any]]]) -> list[Row]:
    """A row for every point of the grid but the seed, with its estimates, from the finished runs
    and what they measured."""
    from analysis.stats import groups_of
    from analysis.studies.grid import Cell, place_of
    from analysis.studies.question import MEASURES

    rows = []
    for members in groups_of(results, lambda one: json.dumps(place_of(one[0].point))).values():
        cell = Cell.of([(run.point, measured) for run, measured in members])
        measures = {name: cell.estimate(name) for name in MEASURES if name in cell.values}
        point = dict(place_of(members[0][0].point))
        rows.append(Row(point, measures, cell.values, len(members)))
    return rows


def tested_on(results: Iterable[tuple[Run, Mapping[str, Any]]]) -> int | None:
    """The number of test images of the finished runs; None where they differ or are unknown."""
    from analysis.runs.records import tested_on

    counts = {
        measured["test_images"] if "test_images" in measured else tested_on(run.folder)
        for run, measured in results
        if "diverged" not in measured
    }
    return counts.pop() if len(counts) == 1 else None


def differences(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Test accuracies of every two points over the seeds they share, none for one seed:
    `analysis.stats.pair_rows`."""
    from analysis.stats import pair_rows

    name = "test_accuracy"
    values = {row.label: row.values[name] for row in rows if name in row.values}
    return [pair for pair in pair_rows(values) if pair["seeds"] > 1]
