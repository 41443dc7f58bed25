"""What a study's rows say of max |q| at the start and of levels that start as smoothers, in
Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.numbers import number
from analysis.studies.grid import Cell, Grid
from analysis.studies.question import MEASURES
from analysis.studies.text import markdown, place_text, start_rank

RANKED = ("train_loss", "test_accuracy")  # what max |q| at the start is correlated with


def along_section(grid: Grid) -> str:
    """Both parts that the rows have something to say for; empty without any."""
    return "\n\n".join(part for part in (ranks_text(grid), smoothers_text(grid)) if part)


def ranks_text(grid: Grid) -> str:
    """Spearman's correlation of max |q| at the start with training loss and accuracy at every
    place, over what is compared there; empty where no place has values enough."""
    names = [name for name in RANKED if name in grid.measures]
    body = []
    for place, cells in grid.cells.items():
        ranks = [start_rank(grid, place, name, "max_modulus") for name in names]
        if any(rank is not None for rank in ranks):
            known = sum(cell.at_start("max_modulus") is not None for cell in cells.values())
            shown = ["" if rank is None else f"{rank:+.2f}" for rank in ranks]
            body.append([place_text(place) or "all", known, *shown])
    if not body:
        return ""
    columns = ["place", grid.compare, *(MEASURES[name].title for name in names)]
    return (
        "### Does max |q| at the start go with the outcome?\n\n"
        "Spearman's correlation of max \\|q\\| at the start with the outcome, over the means of"
        " what is compared at each place (how many in the second column; what has diverged runs is"
        " the worst). It says how strongly the two go together over what was chosen to be compared,"
        " which is no sample: there is no p-value. It sees what goes up or down all the way: an"
        f" outcome that is best in between has none\n\n{markdown(columns, body)}"
    )


def smoothers_text(grid: Grid) -> str:
    """Of the levels that start as smoothers, how many are still some at the end; empty where no row
    knows of one."""
    body = []
    for place, cells in grid.cells.items():
        for value, cell in cells.items():
            line = _smoothers(cell)
            if line:
                body.append([f"`{value}`", place_text(place), *line])
    if not body:
        return ""
    columns = [
        *(
            grid.compare,
            "place",
            "levels",
            "start as smoothers",
            "stay: q",
            "stay: norms folded in",
        ),
        *("µ start", "µ end", "µ end, norms folded in"),
    ]
    return (
        "### Do levels that start as smoothers stay smoothers?\n\n"
        "Levels of all runs of which the end was measured, by the smoothing factor µ < 1 of q on"
        " the level's own A, and with the batch norms folded in; µ: medians over the levels that"
        f" start as smoothers\n\n{markdown(columns, body)}"
    )


def _smoothers(cell: Cell) -> list[Any]:
    """A line of the table without value and place; empty where no level starts as a smoother or no
    end was measured."""
    levels = [level for row in cell.rows if "learned" in row for level in _levels(row)]
    known = [level for level in levels if level[0] is not None]
    smooth = [level for level in known if level[0] < 1]
    if not smooth:
        return []
    ends = [[level[k] for level in smooth if level[k] is not None] for k in (0, 1, 2)]
    stays = [f"{sum(mu < 1 for mu in own)} of {len(own)}" if own else "–" for own in ends[1:]]
    medians = [number(statistics.median(own), 3) if own else "–" for own in ends]
    return [len(known), len(smooth), *stays, *medians]


def _levels(row: Mapping[str, Any]) -> Sequence[tuple[Any, Any, Any]]:
    """(mu at the start, at the end, at the end with norms folded in) of each level."""
    learned = row["learned"]
    ends = learned["smoothing_factor"], learned["effective_factor"]
    return list(zip(row["smoothing_factor"], *ends, strict=True))
