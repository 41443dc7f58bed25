"""Every compared value at its own best setting of one key, such as the learning rate: a start that
is tried at a single rate may only have met the wrong one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.studies.grid import Grid, Place, place_of
from analysis.studies.question import MEASURES, Question
from analysis.studies.text import axis_text, markdown, mean_text, place_text, rivals_text
from nets.settings import is_seed

# what is measured on test images is not chosen by them
CHOSEN_BY = {"test_accuracy": "val_accuracy"}

Results = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]  # (point of the grid, row)


@dataclass(frozen=True)
class Tuned:
    """The runs of one measure at chosen settings.

    Attributes
    ----------
    grid
        Without the key that was chosen; of the seeds that had no part in the choice.
    chosen
        Place -> compared value -> the setting that was chosen.
    ends
        The first and last setting of the grid, beyond which a better one may lie.
    chosen_on, shown_on
        The seeds.
    """

    grid: Grid
    chosen: Mapping[Place, Mapping[str, str]]
    ends: tuple[str, str]
    chosen_on: tuple[str, ...]
    shown_on: tuple[str, ...]


def tune(results: Results, question: Question, measure: str) -> Tuned | None:
    """Choose `question.tuned` for every compared value and place by the mean over the first half of
    the seeds, of the validation accuracy where `measure` is one of test images, and take the runs
    of the other half there; None where there is one setting alone, or nothing can be shown.

    The same seeds for both would favour what varies most from run to run.
    """
    key = question.tuned or ""
    order = list(dict.fromkeys(str(point[key]) for point, _ in results))
    if len(order) < 2:
        return None
    seeds = list(dict.fromkeys(seed_of(point) for point, _ in results))
    first = seeds[: len(seeds) // 2]
    by = CHOSEN_BY.get(measure, measure)
    tried: dict[tuple[Place, str], list[Any]] = {}
    for point, row in results:
        place = tuple(item for item in place_of(point, question.compare) if item[0] != key)
        tried.setdefault((place, str(point.get(question.compare, ""))), []).append((point, row))
    chosen: dict[Place, dict[str, str]] = {}
    kept = []
    for (place, value), runs in tried.items():
        settings = Grid.of([run for run in runs if seed_of(run[0]) in first], key)
        best = [settings.best(by, where, settings.compared) for where in settings.cells]
        if not best or best[0] is None:
            continue
        chosen.setdefault(place, {})[value] = best[0]
        kept += [
            ({k: v for k, v in point.items() if k != key}, row)
            for point, row in runs
            if seed_of(point) not in first and str(point[key]) == best[0]
        ]
    grid = Grid.of(kept, question.compare)
    if measure not in grid.measures:
        return None
    return Tuned(grid, chosen, (order[0], order[-1]), tuple(first), tuple(seeds[len(first) :]))


def seed_of(point: Mapping[str, Any]) -> str:
    """The seed of a run, or all of them where its grid has several."""
    seeds = {key: value for key, value in point.items() if is_seed(key)}
    return str(*seeds.values()) if len(seeds) == 1 else json.dumps(seeds)


def tuned_section(results: Results, question: Question) -> str:
    """For the page: what every compared value reaches at its own best setting, and the candidate
    against the others there; empty where nothing is tuned."""
    if question.tuned is None:
        return ""
    parts = []
    for measure in question.measures:
        if (found := tune(results, question, measure)) is not None:
            parts += [_caption(found, question, measure), _table(found, measure)]
            if question.candidate is not None:
                parts += reversed(rivals_text(found.grid, question, measure))
    if not parts:
        return ""
    title = f"### Each at its own best {axis_text(question.tuned)}"
    return "\n\n".join([title, *filter(None, parts)])


def _caption(found: Tuned, question: Question, measure: str) -> str:
    by, shown = MEASURES[CHOSEN_BY.get(measure, measure)].title, MEASURES[measure].title
    return (
        f"{shown[0].upper()}{shown[1:]}: `{question.tuned}` is chosen for each by the mean {by} of"
        f" the seeds {', '.join(found.chosen_on)}, and the numbers are of the seeds"
        f" {', '.join(found.shown_on)}; (end) marks a choice at an end of the list, beyond which a"
        " better one may lie"
    )


def _table(found: Tuned, measure: str) -> str:
    grid = found.grid
    body = []
    for value in grid.compared:
        line = [f"`{value}`"]
        for place, cells in grid.cells.items():
            setting = found.chosen[place].get(value, "")
            end = " (end)" if setting in found.ends else ""
            text = mean_text(cells[value], measure) if value in cells else ""
            line.append(text and f"{text} at {setting}{end}")
        body.append(line)
    columns = [place_text(place) or MEASURES[measure].title for place in grid.cells]
    return markdown([grid.compare, *columns], body)
