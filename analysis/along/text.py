"""Runs along training in words: tables for reading, what their columns mean, and what becomes of
smoothers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.along.results import Along, Moment, Smoother
from analysis.numbers import number
from analysis.runs.text import filled, markdown
from analysis.stats import rank_correlation

MEANINGS = {
    "b": "spectral radius of the A of that epoch, as the network applies it",
    "max modulus": "max |q| on its spectrum, of the coefficients as they stand",
    "µ": "smoothing factor, what a perfect coarse level leaves of q(A)",
    "µ effective": "the same with the batch norms folded in, which have no statistics at the start",
    "‖J‖": (
        "2-norm of the level's Jacobian with its norms and activations, on a few images: max"
        " modulus where there are none of them and A is normal"
    ),
    "nearest": (
        "the classical polynomial nearest to q on the level's own spectrum; none where a batch norm"
        " takes the coefficients' meaning away"
    ),
    "distance": "of the two, the largest |difference| there",
}


FOLDED = "norms folded in"


def along_text(found: Along) -> str:
    """One run: a row for every level and measured epoch, what the columns mean, and a line on each
    level as a smoother."""
    table = filled(pd.DataFrame([_row(one) for one in _by_level(found)]))
    measured = sorted({one.epoch for one in found.moments})
    recorded = f"coefficients of epochs 0 to {found.epochs[-1]}, "
    parts = [
        f"## Along training: {recorded if len(found.epochs) > 2 else ''}measured at"
        f" {', '.join(map(str, measured))}",
        markdown(table),
        "\n".join(f"- *{name}*: {MEANINGS[name]}." for name in table if name in MEANINGS),
        "\n".join(f"- level {level}: {_smoother(found, level)}." for level in _levels(found)),
        *(f"{note}." for note in found.notes),
    ]
    return "\n\n".join([*parts, ""])


def _row(one: Moment) -> dict[str, Any]:
    near = one.nearest
    return {
        **{"level": one.level, "epoch": one.epoch, "b": one.radius},
        "max modulus": one.max_modulus,
        "‖J‖": one.jacobian_norm,
        **{"µ": one.smoothing_factor, "µ effective": one.effective_factor},
        "nearest": "" if near is None else str(near),
        "distance": "" if near is None else number(near.distance, 2),
    }


def _by_level(found: Along) -> list[Moment]:
    return sorted(found.moments, key=lambda one: (one.level, one.epoch))


def _levels(found: Along) -> range:
    return range(1, found.levels + 1)


def _smoother(found: Along, level: int) -> str:
    """Whether a level that starts as a smoother stays one: as it stands, and norms folded in."""
    own, folded = found.smoothers()[level - 1], found.smoothers(folded=True)[level - 1]
    texts = [] if own.first is None and folded.first else [smoother_text(own)]
    texts += [f"{FOLDED}: {smoother_text(folded)}"] if folded.first else []
    return "; ".join(texts)


def smoothers_in_lines(found: Along) -> list[tuple[list[int], str]]:
    """What becomes of the levels as smoothers, those of which the same is said together: norms
    folded in where there are any, as in the tables of `in_short`."""
    said = [
        f"{FOLDED}, {smoother_text(folded)}" if folded.first else smoother_text(own)
        for own, folded in zip(found.smoothers(), found.smoothers(folded=True), strict=True)
    ]
    return [
        ([level for level, other in enumerate(said, 1) if other == text], text)
        for text in dict.fromkeys(said)
    ]


def smoother_text(found: Smoother) -> str:
    """Whether what starts as a smoother stays one."""
    if found.first is None or found.last is None:
        return "not every coefficient has a meaning, so µ of q as it stands says nothing"
    (epoch, mu), smooths, turns = found.first, found.starts, []
    if found.first == found.last:
        return f"{'a' if smooths else 'no'} smoother at the end (µ {number(mu, 3)})"
    when = f"epoch {epoch}" if epoch else "the start"
    if not found.changes:
        always = "a smoother throughout" if smooths else "never a smoother"
        return f"{always}: µ {number(mu, 3)} at {when}, {number(found.last[1], 3)} at the end"
    begins = f"{'a' if smooths else 'no'} smoother at {when}"
    for at, there in found.changes:
        smooths = not smooths
        turns.append(f"{'one' if smooths else 'none'} at epoch {at} (µ {number(there, 3)})")
    end = f"{number(found.last[1], 3)} at the end"
    return f"{begins} (µ {number(mu, 3)}), {', '.join(turns)}, {end}"


def several_text(found: Mapping[str, Along], accuracies: Mapping[str, float | None]) -> str:
    """Several runs by name: a row for every run and level with start and end, and how max |q| at
    the start goes with the test accuracy."""
    rows = []
    for name, run in found.items():
        for level, one in zip(_levels(run), run.smoothers()):
            moments = {moment.epoch: moment for moment in run.of(level)}
            start, end = moments[0], moments[run.end]
            rows.append(
                {
                    "run": name,
                    "level": level,
                    "max modulus start": start.max_modulus,
                    "end": end.max_modulus,
                    "µ start": start.smoothing_factor,
                    "µ end": end.smoothing_factor,
                    "µ effective end": end.effective_factor,
                    "smoother": _word(one),
                    "nearest at the end": "" if end.nearest is None else str(end.nearest),
                }
            )
    if not rows:
        return ""
    parts = ["## Along training", markdown(filled(pd.DataFrame(rows)))]
    pairs = [
        (max(one.max_modulus for one in run.moments if one.epoch == 0), accuracy)
        for name, run in found.items()
        if (accuracy := accuracies[name]) is not None
    ]
    rank = rank_correlation(*zip(*pairs)) if pairs else None
    if rank is not None:
        parts.append(
            "Spearman's correlation of max |q| at the start, the largest of a run's levels, with"
            f" the test accuracy over {len(pairs)} runs: {rank:+.2f}."
        )
    return "\n\n".join([*parts, ""])


def _word(found: Smoother) -> str:
    """From where on it is a smoother, and from where on not."""
    if found.first is None:
        return ""
    if not found.changes:
        return "stays one" if found.starts else "never one"
    words = itertools.cycle(("none", "one") if found.starts else ("one", "none"))
    turns = (f"{word} from epoch {epoch}" for word, (epoch, _) in zip(words, found.changes))
    return f"{', '.join(turns)} on"
