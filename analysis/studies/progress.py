"""How much of a study is there, what made it, and how long the rest will take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.studies.grid import Grid, Place, place_of
from mgtheory.multigrid.solution import counted


@dataclass(frozen=True)
class Left:
    """The runs that a study asks for and does not have.

    Attributes
    ----------
    runs
        How many they are.
    timed
        Of how many the time is known, by finished runs like them.
    seconds
        That those will take, one after another.
    """

    runs: int
    timed: int
    seconds: float

    def text(self) -> str:
        """How long they will take, in words that follow on how many there are; empty where no time
        is known."""
        if not self.timed:
            return ""
        text = f", some {_duration(self.seconds)} of one process"
        if self.timed < self.runs:
            others = self.runs - self.timed
            text += f" for {self.timed:,} of them; none like the other {others:,} has finished"
        return text


def left_of(grid: Grid, points: Sequence[Mapping[str, Any]], *, along: str | None = None) -> Left:
    """What is left of the points of a grid: each takes as long as those of the same value and place
    did, else of the same place, else of the same value along the axis; a run of q32 is no mean of
    q2 to q16."""
    times: dict[Any, list[float]] = {}

    def like(place: Place, value: str) -> list[Any]:
        return [(place, value), place, *([dict(place).get(along)] if along else [])]

    for place, cells in grid.cells.items():
        for value, cell in cells.items():
            for row in cell.rows:
                if "seconds" in row:
                    for key in like(place, value):
                        times.setdefault(key, []).append(float(row["seconds"]))
    asked = Counter(
        (place_of(point, grid.compare), str(point.get(grid.compare, ""))) for point in points
    )
    seconds, timed, left = 0.0, 0, 0
    for (place, value), count in asked.items():
        there = grid.cells.get(place, {}).get(value)
        count -= len(there.rows) if there else 0
        known = next((times[key] for key in like(place, value) if key in times), None)
        left += count
        if known is not None:
            timed += count
            seconds += count * sum(known) / len(known)
    return Left(left, timed, seconds)


def left_text(left: Left, total: int, *, there: str = "have rows") -> str:
    """What a reader of means must know where runs are missing; empty where none is.

    Parameters
    ----------
    total
        How many the grid asks for.
    there
        What the others are said to have.
    """
    if not left.runs:
        return ""
    return (
        f"{total - left.runs:,} of {total:,} runs {there}; {left.runs:,} are left to"
        f" run{left.text()}. The number of seeds stands behind each mean."
    )


def made_text(grid: Grid, total: int, *, there: str = "have rows") -> str:
    """How many runs of the grid there are, on what device they were made, and by which revisions of
    the code."""
    rows = [row for cells in grid.cells.values() for cell in cells.values() for row in cell.rows]
    made: dict[str, Counter[str]] = {}
    for row in rows:
        if "device" in row:
            threads = counted(row["threads"], "thread")
            on = f"{row['device']}, {threads}, torch {row['torch']}"
            made.setdefault(on, Counter())[row["revision"]] += 1
    lines = [
        f"- {on}: {', '.join(f'{revision} ({n:,})' for revision, n in counts.most_common())}"
        for on, counts in made.items()
    ]
    how = ", by device and revision of the code:" if lines else "."
    parts = ["### Runs", f"{len(rows):,} of {total:,} runs {there}{how}", "\n".join(lines)]
    return "\n\n".join(filter(None, parts))


def _duration(seconds: float) -> str:
    """In the largest unit of which there are two."""
    units = {"hours": 3600.0, "minutes": 60.0, "s": 1.0}
    unit = next((name for name, size in units.items() if seconds >= 2 * size), "s")
    count = seconds / units[unit]
    return f"{count:.0f} {unit}" if count >= 10 else f"{count:.2g} {unit}"
