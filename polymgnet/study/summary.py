"""What a study found: mean and spread over the seeds, and paired differences."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polymgnet.study.plan import Run, text_of

AVERAGED = "seed"
# what summary.json holds -> heading of the table with its unit, and what one of it is in that unit
MEASURES = {
    "test_accuracy": ("test accuracy (%)", 100.0),
    "val_accuracy": ("validation accuracy (%)", 100.0),
    "seconds": ("time (s)", 1.0),
    "images_per_second": ("images/s", 1.0),
}
COMPARED = "test_accuracy"


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


def summarise(runs: Sequence[Run]) -> list[Row]:
    """A row for every point of the grid but the seed, with its estimates; finished runs alone."""
    from analysis.stats import estimate, groups_of

    rows = []
    finished = [run for run in runs if run.finished]
    for key, members in groups_of(finished, lambda run: json.dumps(_split(run.point)[0])).items():
        values: dict[str, dict[str, float]] = {}
        for run in members:
            summary, seeds = run.summary(), json.dumps(_split(run.point)[1])
            for name in MEASURES:
                if summary.get(name) is not None:
                    values.setdefault(name, {})[seeds] = float(summary[name])
        measures = {n: estimate(list(values[n].values())) for n in MEASURES if n in values}
        rows.append(Row(json.loads(key), measures, values, len(members)))
    return rows


def tested_on(runs: Sequence[Run]) -> int | None:
    """The number of test images of the finished runs; None where they differ or are unknown."""
    from analysis.records import tested_on

    counts = {tested_on(run.folder) for run in runs if run.finished}
    return counts.pop() if len(counts) == 1 else None


def differences(rows: Sequence[Row], measure: str = COMPARED) -> list[dict[str, Any]]:
    """Every two points over the seeds they share: `analysis.stats.pair_rows`; none for one seed."""
    from analysis.stats import pair_rows

    values = {row.label: row.values[measure] for row in rows if measure in row.values}
    return [pair for pair in pair_rows(values) if pair["seeds"] > 1]


def _split(point: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What tells a row from another, and the seeds within it."""
    seeds = {key: value for key, value in point.items() if key.split(".")[-1] == AVERAGED}
    return {key: value for key, value in point.items() if key not in seeds}, seeds
