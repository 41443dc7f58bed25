"""Reports in words: the tables of one run and of several for reading, every column explained below
its table, none of them empty.

Accuracies are in per cent here; the JSON and CSV files hold them as fractions, and every number in
full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.levels.verdict import WORDS
from analysis.numbers import heading, number
from analysis.runs.results import RunComparison, SpectralReport
from analysis.stats import fraction_interval
from mgtheory._checks import check_kind
from mgtheory.multigrid.solution import counted

DISTANCE = "Distances are max |q(t) − q_theory(t)| over t in (0, 1], each q in units of its own b"
LEARNED = "learned with the batch norms folded in"
MEANINGS = {
    "role": (
        "start and learned: the coefficients as they stand, on the A of that moment; theory: its"
        f" polynomial scaled to the learned A; effective: {LEARNED}, roots of the mean over the"
        " channels"
    ),
    "spectral radius b": (
        "of the convolution A that the role stands on, as the network applies it: with its padding,"
        " on the level's own grid, or a part of a large one"
    ),
    "roots": "of the residual polynomial q",
    "smoothing factor": (
        "what a perfect coarse level leaves: the spectral radius of one pass over the steps without"
        " its low frequencies, those below π/2 along both axes (with zero padding of sines)"
    ),
    "max modulus": (
        "the same with all of them: max |q| on the spectrum of that A; it may be smaller, for a"
        " learned A mixes the low frequencies with the others"
    ),
    "smoothing norm": (
        "the largest 2-norm of one pass on the high frequencies of the symbol (the same kernel with"
        " periodic padding, at least 16 × 16): a bound of one pass away from the border, since the"
        " c × c symbols are not normal"
    ),
    "verdict": "smoother where the smoothing factor is below 1",
    "b start": "spectral radius of A at the start",
    "b learned": "spectral radius of A after training",
    "moved (%)": (
        "relative change of the step sizes 1/r_i as they stand, beside which A may have changed"
    ),
    "distance start": "of the start's polynomial from the theory's",
    "distance learned": "of the learned polynomial from the theory's",
    "distance effective": f"of the polynomial {LEARNED} from the theory's",
    "distance rescaled": (
        "the smallest distance of the learned polynomial from the theory's over all scalings of its"
        " axis: small where training changed A and not the shape of the polynomial"
    ),
    "scale": (
        "that scaling: the learned polynomial is nearest to the theory's for a spectrum up to"
        " scale · b"
    ),
    "training": (
        "what training did, by the distances of start and learned, in the words below; several"
        " levels: how many of each"
    ),
    "norms folded": (
        "how the effective polynomial stands to the theory's; it says nothing of training"
    ),
    "nearest": "the classical polynomial nearest to the learned one, with its degree",
    "nearest at": "its distance from the learned one, in place of the theory's",
    "coefficients": "of the step as learned",
    "in units of A": (
        "the same times the power of the spectral radius of A that frees them of its scale: w b,"
        " kappa b², r/b, c_j b^(j+1); A/s with s w is the same network"
    ),
    "identifiable": "the coefficients that have a meaning",
    "kept": "what a batch norm leaves of the others",
    "effective": (
        "coefficients p_j of the correction Σ p_j A^j r with the norms folded in, mean ± standard"
        " deviation over the channels"
    ),
    "weights": "number of trainable parameters",
    "time (s)": "of training, wall clock",
    "µ start": (
        "largest smoothing factor of the levels at the start, on their own spectra; below 1 every"
        " level smooths"
    ),
    "µ learned": "the same learned, none where a coefficient is not identifiable",
    "µ effective": f"the same, {LEARNED}",
    "smoother": "how many levels smooth as learned, norms folded in where there are any",
    "not identifiable": "number of coefficients without a meaning",
    "n": "number of seeds, runs of one seed counted once",
    "mean (%)": "of the test accuracy",
    "std (%)": "standard deviation over the seeds, n - 1 in the denominator",
    "low (%)": (
        "and high: the 95 % confidence interval of the mean over the seeds (Student's t), within 0"
        " and 100; it reaches 9 standard deviations to each side for two, 2.5 for three, 1.2 for"
        " five"
    ),
    "difference (%)": (
        "mean of first - second over the shared seeds, in points of test accuracy; low and high:"
        " its 95 % interval"
    ),
    "p value": "of the two-sided paired t-test",
    "p holm": "the same adjusted for the number of comparisons",
    "p signed rank": "of the signed-rank test, from 6 seeds on",
    "wins": "and losses: seeds with first > second, first < second",
}


def report_text(report: SpectralReport) -> str:
    """The report as markdown: facts, smoothing, what training did, the coefficients."""
    check_kind(report, SpectralReport, "report", "what analyse returns")
    parts = [f"# {report.label}: {report.run}", *_facts(report)]
    if not report.levels:
        none = f"{report.model} has no levels and no residual polynomial: accuracies only."
        return "\n\n".join([*parts, none, ""])
    columns = ["level", "role", "spectral_radius", "roots", "smoothing_factor", "max_modulus"]
    smoothing = report.table()[[*columns, "smoothing_norm", "smoother"]]
    titles = {"spectral_radius": "spectral radius b", "smoother": "verdict"}
    smoothing = smoothing.rename(columns=titles)
    parts += ["## Smoothing on the spectrum of each level", *explained(smoothing)]
    if report.has_polynomial:
        parts += ["## What training did", *explained(_training(report)), *_words([report])]
        parts += ["## Coefficients of each step", *explained(_coefficients(report))]
        parts += _identifiability(report)
    else:
        parts += [
            "The steps are convolutions B: smoothing factors are those of the product of I − B A,"
            " there is no polynomial.",
            "Where a batch norm follows B directly, the size of each output channel of B has no"
            " effect and no meaning.",
        ]
    return "\n\n".join([*parts, ""])


def comparison_text(found: RunComparison) -> str:
    """Several runs: a row a run, and over several seeds a row a configuration and differences."""
    check_kind(found, RunComparison, "found", "what compare returns")
    accuracies = {"val_accuracy": "validation", "test_accuracy": "test accuracy"}
    runs = in_percent(found.runs.drop(columns=["run"]), accuracies)
    parts = ["## Runs", *explained(runs), *_words(found.reports)]
    if (found.groups["n"] > 1).any():
        groups = in_percent(found.groups, {name: name for name in ("mean", "std", "low", "high")})
        parts += ["## Configurations: test accuracy over the seeds", *explained(groups)]
    if not found.pairs.empty and (found.pairs["seeds"] > 1).any():
        pairs = in_percent(found.pairs, {name: name for name in ("difference", "low", "high")})
        parts += ["## Differences, paired by seed", *explained(pairs, but=("low (%)",))]
    return "\n\n".join([*parts, ""])


def explained(table: pd.DataFrame, *, but: Sequence[str] = ()) -> list[str]:
    """The table without its empty columns, and a list of what its columns mean."""
    shown = filled(table.rename(columns=heading))
    meanings = [
        f"- *{name}*: {MEANINGS[name]}."
        for name in shown.columns
        if name in MEANINGS and name not in but
    ]
    return [markdown(shown), "\n".join(meanings)]


def in_percent(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Fractions times 100 under a heading with the unit; the other headings in words."""
    scaled = table.assign(**{name: 100.0 * pd.to_numeric(table[name]) for name in columns})
    titles = {name: f"{title} (%)" for name, title in columns.items()}
    return scaled.rename(columns={**titles, "parameters": "weights", "seconds": "time (s)"})


def _facts(report: SpectralReport) -> list[str]:
    facts, origin = report.facts, report.theory["origin"]
    lines = [
        f"{facts['parameters']:,} weights, {counted(facts['epochs'], 'epoch')},"
        f" {facts['seconds']:.1f} s, seed {facts['seed']}, {facts['data']}."
    ]
    tested = f"Test accuracy {_percent(facts['test_accuracy'])}"
    if facts["tested_on"] and facts["test_accuracy"] is not None:
        ends = fraction_interval(facts["test_accuracy"], facts["tested_on"])
        noise = "95 % interval by their number: {:.2f} to {:.2f} %".format(*(100 * x for x in ends))
        tested += f" of {facts['tested_on']:,} images ({noise})"
    chosen = {"best": "the best by validation", "last": "the last"}[facts["select"]]
    weights = f", with the weights of epoch {facts['chosen_epoch']}, {chosen}"
    weights = "" if facts["chosen_epoch"] is None else weights
    lines.append(f"{tested}, validation {_percent(facts['val_accuracy'])}{weights}.")
    if origin != "none":
        given = "" if facts["given"] == facts["scheme"] else f", given as {facts['given']}"
        own = "which is the theory that it is measured by"
        role = own if origin == "start" else f"measured by {report.theory['name']}"
        lines.append(
            f"The coefficients started from {facts['scheme']}{given}, {role}; A started"
            f" {facts['operator']}."
        )
    return [*lines, *(f"Fitted: {reason}." for reason in report.theory["fitted"])]


def _training(report: SpectralReport) -> pd.DataFrame:
    rows = []
    for level in report.levels:
        verdict, effective = level.verdict, level.effective_verdict
        nearest = verdict.nearest or (effective.nearest if effective is not None else None)
        moved, of = level.coefficients_moved, "" if verdict.nearest else " to effective"
        rows.append(
            {
                "level": level.level,
                "b start": level.operators["start"].radius,
                "b learned": level.operators["learned"].radius,
                "moved (%)": None if moved is None else 100 * moved,
                "distance start": verdict.start_distance,
                "distance learned": verdict.learned_distance,
                "distance effective": None if effective is None else effective.learned_distance,
                "distance rescaled": verdict.shape_distance,
                "scale": verdict.shape_scale,
                "training": verdict.word,
                "norms folded": "" if effective is None else effective.word,
                "nearest": "" if nearest is None else f"{nearest}{of}",
                "nearest at": None if nearest is None else nearest.distance,
            }
        )
    return pd.DataFrame(rows)


def _words(reports: Sequence[SpectralReport]) -> list[str]:
    """What the words of the tables mean, and the distances and the tolerance that they speak of;
    nothing without polynomials."""
    levels = [level for report in reports for level in report.levels if level.kind == "polynomial"]
    verdicts = [v for level in levels for v in (level.verdict, level.effective_verdict)]
    words = dict.fromkeys(verdict.word for verdict in verdicts if verdict is not None)
    if not words:
        return []
    lines = [f"- *{word}*: {WORDS[word]}." for word in words]
    tolerance = (
        f"The tolerance is {reports[0].tolerance:g}: up to this distance a polynomial counts as the"
        " theory's."
    )
    return [f"{DISTANCE}. {tolerance}", "\n".join(lines)]


def _coefficients(report: SpectralReport) -> pd.DataFrame:
    """One row per polynomial step: learned coefficients, in units of A, identifiable, effective."""
    rows: list[dict[str, Any]] = []
    for level in report.levels:
        radius = level.operators["learned"].radius
        for entry in level.effective:
            own = [reading for reading in level.readings if reading.step == entry["step"]]
            kept = {name: value for r in own for name, value in r.keeps.items()}
            known = [r.name for r in own if r.identifiable]
            units = [number(r.value * radius**r.power) if radius else "" for r in own]
            pairs = enumerate(zip(map(number, entry["mean"]), map(number, entry["spread"])))
            cells = {
                "coefficients": [f"{r.name} = {number(r.value)}" for r in own],
                "in units of A": units,
                "identifiable": known or ["none"],
                "kept": [f"{name} = {number(value)}" for name, value in kept.items()],
                "effective": [f"p_{j} = {mean} ± {spread}" for j, (mean, spread) in pairs],
            }
            joined = {name: ", ".join(words) for name, words in cells.items()}
            rows.append({"level": level.level, "step": entry["step"], **joined})
    return pd.DataFrame(rows)


def _identifiability(report: SpectralReport) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for level in report.levels:
        for reading in level.not_identifiable:
            where = f"level {level.level} step {reading.step} {reading.name}"
            reasons.setdefault(reading.reason, []).append(where)
    lines = [f"Not identifiable: {', '.join(at)}: {reason}." for reason, at in reasons.items()]
    if any(reading.shares_scale for level in report.levels for reading in level.readings):
        lines.append(
            "A norm stands inside rho: sizes of coefficients are shared with its gain; read the"
            " effective coefficients."
        )
    return lines


def _percent(value: float | None) -> str:
    return "not measured" if value is None else f"{100 * value:.2f} %"


def filled(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the columns that say nothing in any row."""
    return table[[name for name in table.columns if any(_cell(value) for value in table[name])]]


def markdown(table: pd.DataFrame) -> str:
    """A markdown table with columns padded to one width, numbers to the right."""
    header = [heading(name) for name in table.columns]
    cells = [
        [_cell(value).replace("|", "\\|") for value in row]
        for row in table.itertuples(index=False, name=None)
    ]
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table.columns]
    widths = [max(3, *(len(row[k]) for row in [header, *cells])) for k in range(len(header))]

    def line(row: list[str]) -> str:
        columns = zip(row, widths, numeric)
        return f"| {' | '.join(t.rjust(w) if right else t.ljust(w) for t, w, right in columns)} |"

    rules = ["-" * (w + 1) + (":" if right else "-") for w, right in zip(widths, numeric)]
    rule = f"|{'|'.join(rules)}|"
    return "\n".join([line(header), rule, *map(line, cells)])


def _cell(value: Any) -> str:
    return "" if value is pd.NA else number(value)
