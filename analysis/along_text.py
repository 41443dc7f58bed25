"""Runs along training in words: tables for reading, what their columns mean, and what becomes of
smoothers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.along import Along, Moment, Smoother
from analysis.numbers import number
from analysis.stats import rank_correlation
from analysis.text import filled, markdown

MEANINGS = {
    "b": "spectral radius of the A of that epoch, as the network applies it",
    "max modulus": "max |q| on its spectrum, of the coefficients as they stand",
    "µ": "smoothing factor, what a perfect coarse level leaves of q(A)",
    "µ effective": "the same with the batch norms folded in, which have no statistics at the start",
    "amplification": (
        "of the level's Jacobian with its norms and activations, on a few images: max modulus where"
        " there are none of them and A is normal"
    ),
    "nearest": (
        "the classical polynomial nearest to q on the level's own spectrum; none where a batch norm"
        " takes the coefficients' meaning away"
    ),
    "distance": "of the two, the largest |difference| there",
}


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
        "\n".join(f"- {smoother_text(one)}" for one in found.smoothers()),
        *(f"{note}." for note in found.notes),
    ]
    return "\n\n".join([*parts, ""])


def _row(one: Moment) -> dict[str, Any]:
    near = one.nearest
    return {
        **{"level": one.level, "epoch": one.epoch, "b": one.radius},
        "max modulus": one.max_modulus,
        "amplification": one.amplification,
        **{"µ": one.smoothing_factor, "µ effective": one.effective_factor},
        "nearest": "" if near is None else str(near),
        "distance": "" if near is None else number(near.distance, 2),
    }


def _by_level(found: Along) -> list[Moment]:
    return sorted(found.moments, key=lambda one: (one.level, one.epoch))


def smoother_text(found: Smoother) -> str:
    """Whether a level that starts as a smoother stays one, in a line."""
    if found.first is None or found.last is None:
        return f"level {found.level}: its coefficients have no meaning, so none as a smoother"
    (epoch, mu), (_, at_end) = found.first, found.last
    begins = f"level {found.level}: {'a' if found.starts else 'no'} smoother at"
    begins += f" {'the start' if epoch == 0 else f'epoch {epoch}'} (µ {number(mu, 3)})"
    end = f"µ {number(at_end, 3)} at the end"
    if not found.changes:
        return f"{begins}, {'stays one' if found.starts else 'and never one'}; {end}"
    smooths, turns = found.starts, []
    for epoch, mu in found.changes:
        smooths = not smooths
        turns.append(f"{'one' if smooths else 'none'} at epoch {epoch} (µ {number(mu, 3)})")
    return f"{begins}, {', '.join(turns)}; {end}"


def several_text(found: Mapping[str, Along], accuracies: Mapping[str, float | None]) -> str:
    """Several runs by name: a row for every run and level with start and end, and how max |q| at
    the start goes with the test accuracy."""
    rows = []
    for name, run in found.items():
        for one in run.smoothers():
            moments = {moment.epoch: moment for moment in run.of(one.level)}
            start, end = moments[0], moments[run.end]
            rows.append(
                {
                    "run": name,
                    "level": one.level,
                    "max modulus start": start.max_modulus,
                    "end": end.max_modulus,
                    "µ start": start.left,
                    "µ end": end.left,
                    "smoother": _word(one),
                    "nearest at the end": "" if end.nearest is None else str(end.nearest),
                }
            )
    if not rows:
        return ""
    parts = ["## Along training, µ with the norms folded in", markdown(filled(pd.DataFrame(rows)))]
    pairs = [
        (max(one.max_modulus for one in run.moments if one.epoch == 0), accuracy)
        for name, run in found.items()
        if (accuracy := accuracies[name]) is not None
    ]
    if rank := rank_correlation(*zip(*pairs)) if pairs else None:
        parts.append(
            "Spearman's correlation of max |q| at the start, the largest of a run's levels, with the"
            f" test accuracy over {len(pairs)} runs: {rank_text(rank)}."
        )
    return "\n\n".join([*parts, ""])


def _word(found: Smoother) -> str:
    if found.first is None:
        return ""
    if found.stays:
        return "stays one"
    if found.starts:
        return f"none from epoch {found.changes[0][0]} on"
    return f"one from epoch {found.changes[0][0]} on" if found.changes else "never one"


def rank_text(found: tuple[float, float]) -> str:
    """A correlation with its p-value."""
    return f"{found[0]:+.2f} (p = {found[1]:.2g})"
