"""A study's page in words: tables, tests and what follows from them, in Markdown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from scipy.special import stdtrit

from analysis.numbers import number
from analysis.stats import Estimate, rank_correlation
from analysis.studies.grid import FEW_SEEDS, LEVEL, Cell, Grid, Place, Test
from analysis.studies.question import COSTS, MEASURES, STARTS, Measure, Question


def scale_text(grid: Grid, question: Question) -> tuple[str, str]:
    """One scale of a study: its findings, and the tables and tests that they follow from."""
    findings: list[str] = []
    parts: list[str] = []

    def add(text: str, finding: str, title: str) -> None:
        parts.append(text)
        if finding:
            findings.append(f"- {title}: {finding}")

    for name in [one for one in question.measures if one in grid.measures]:
        title = MEASURES[name].title
        parts.append(f"### {title.capitalize()}")
        parts += [
            measure_table(grid, question, name, panel) for panel in grid.panels(question.along)
        ]
        if question.candidate is not None:
            add(*yardstick_text(grid, question, name), title)
            add(*rivals_text(grid, question, name), title)
    if question.along is None:
        parts.append(cost_table(grid))
    elif question.along_starts:
        for name in grid.starts:
            add(*start_text(grid, question, name), STARTS[name].title)
    findings += few_text(grid, question)
    return "\n".join(findings), "\n\n".join(part for part in parts if part)


def few_text(grid: Grid, question: Question) -> list[str]:
    """A finding of how many means are of few seeds, and how little those decide: the interval
    reaches t_{n-1} / sqrt(n) standard deviations, and of m tests the smallest p-value is to be
    below `LEVEL` / m. None where there are `FEW_SEEDS` everywhere."""
    names = [name for name in question.measures if name in grid.measures]
    known = (
        cell.estimate(name) for name in names for c in grid.cells.values() for cell in c.values()
    )
    counts = Counter(one.n for one in known if one is not None)
    few = sorted((n, count) for n, count in counts.items() if n < FEW_SEEDS)
    if not few:
        return []
    listed = ", ".join(f"n = {n}: {count}" for n, count in few)
    total, n = sum(count for _, count in few), few[-1][0]
    parts = [f"{total} of {counts.total()} means are of fewer than {FEW_SEEDS} ({listed})"]
    if few[0][0] == 1:
        parts.append("One seed has no interval")
    if n > 1:
        parts.append(
            f"An interval of {n} reaches {_in_deviations(n, 0.05):.1f} standard deviations to each"
            " side, and holds if seeds scatter normally, which so few cannot show"
        )
    candidate = question.candidate
    tests = grid.tests(names[0], candidate) if candidate is not None else []
    tests = [test for test in tests if test.p_holm is not None]
    pairs = max((test.pairs for test in tests), default=0)
    if 1 < pairs < FEW_SEEDS:
        size = _in_deviations(pairs, LEVEL / len(tests))
        parts.append(
            f"Of {len(tests)} tests of {pairs} pairs one has p < {LEVEL:g} from a difference of"
            f" {size:.0f} standard deviations on: what is not shown may well be there"
        )
    return [f"- few seeds: {'. '.join(parts)}."]


def _in_deviations(n: int, p: float) -> float:
    """The mean over n at which the two-sided t-test has this p-value, in standard deviations."""
    return float(stdtrit(n - 1, 1 - p / 2)) / math.sqrt(n)


def measure_table(grid: Grid, question: Question, name: str, panel: Place) -> str:
    """Mean ± half of the 95 % interval (number of seeds) of every compared value, the best of a
    column in bold where all share two seeds. An interval of accuracies is one of seeds alone where
    all are measured on the same images, and the caption says so."""
    places, measure = grid.panels(question.along)[panel], MEASURES[name]
    best = {
        where: grid.best(name, place, grid.compared, seeds=2) for where, place in places.items()
    }
    body = []
    for value in grid.compared:
        line = [f"`{value}`"]
        for where, place in places.items():
            cell = grid.cells[place].get(value)
            text = "" if cell is None else mean_text(cell, name)
            line.append(f"**{text}**" if best[where] == value else text)
        if any(line[1:]):
            body.append(line)
    title = f"{place_text(panel)}: " if panel else ""
    caption = f"{title}mean ± half of the 95 % interval (seeds)"
    rows = [
        row for place in places.values() for cell in grid.cells[place].values() for row in cell.rows
    ]
    counts = {row.get("test_images") for row in rows if row.get(name) is not None}
    one_part = not any((key or "").startswith("data.") for key in (question.along, grid.compare))
    if name == "test_accuracy" and len(counts) == 1 and (count := counts.pop()) and one_part:
        caption += f", all on the same {count:,} test images"
    if any(best.values()):
        caption += "; bold: the best mean over the seeds that all share"
    columns = [grid.compare, *(str(where) or measure.title for where in places)]
    return f"{caption}\n\n{markdown(columns, body)}"


def rivals_text(grid: Grid, question: Question, name: str) -> tuple[str, str]:
    """The candidate against every other value where it is clearest, and what follows."""
    candidate, measure = question.candidate or "", MEASURES[name]
    tests = grid.tests(name, candidate)
    places = any(test.place for test in tests)
    body: list[list[str]] = []
    lost: list[str] = []
    never: list[str] = []
    for other in dict.fromkeys(test.other for test in tests):
        own = [test for test in tests if test.other == other]
        loses = _clearest([test for test in own if test.lead(measure) > 0])
        wins = _clearest([test for test in own if test.lead(measure) < 0])
        significant = loses is not None and loses.significant
        (lost if significant else never).append(f"`{other}`")
        if places:
            shown = [*_difference(loses, measure), *_difference(wins, measure)]
        else:
            shown = _difference(_clearest(own), measure)[1:]
        body.append([f"`{other}`", *shown])
    if not body:
        return "", ""
    columns = ["other value", "difference", "p (Holm)"]
    if places:
        columns = ["other value", "loses at", *columns[1:], "wins at", *columns[1:]]
    where, somewhere = (
        (", at the place with the smallest p-value", " somewhere") if places else ("", "")
    )
    counted = sum(test.p_holm is not None for test in tests)
    lost_runs = ""
    if any(test.diverged or test.other_diverged for test in tests):
        lost_runs = (
            ". A pair of which one run diverged is lost by that side: there p is of the exact"
            " sign test of all pairs, and the difference of those of which both ended"
        )
    ahead = dict.fromkeys(f"`{t.other}`" for t in tests if t.significant and t.lead(measure) < 0)
    return (
        f"`{candidate}` minus each other value, paired by seed{where} (two-sided paired t-test,"
        f" Holm over all {counted} tests of this measure; the 95 % interval is of each by itself)"
        f"{lost_runs}\n\n"
        f"{markdown(columns, body)}",
        f"{len(lost)} of {len(body)} others lose to `{candidate}`{somewhere} with p < {LEVEL:g}"
        f"{_listed(lost)}; not shown with these seeds{_listed(never) or ': none'}. Significantly"
        f" better than `{candidate}`{somewhere}: {', '.join(ahead) or 'none'}.",
    )


def yardstick_text(grid: Grid, question: Question, name: str) -> tuple[str, str]:
    """The candidate against the best of what was searched at each place, and what follows."""
    measure, body, verdicts = MEASURES[name], [], []
    candidate = question.candidate or ""
    for place, cells in grid.cells.items():
        best = grid.best(name, place, question.searched)
        if best is None or candidate not in cells:
            continue
        test, mine, theirs = grid.test(name, place, candidate, best), cells[candidate], cells[best]
        # before any interval: it would be of the survivors
        if mine.diverged:
            verdict = f"diverges {mine.diverged} of {len(mine.rows)}"
        elif theirs.diverged:
            verdict = f"the best diverges {theirs.diverged} of {len(theirs.rows)}"
        elif test.difference is None:
            continue
        else:
            verdict = verdict_of(test.difference, measure)
        verdicts.append(verdict)
        shown = "" if test.difference is None else _interval(test.difference, measure)
        body.append([place_text(place), f"`{best}`", shown, test.pairs, verdict])
    if not body:
        return "", ""
    margin = f"{measure.margin:g}{' points' if measure.unit == 100 else ''}"
    counted = Counter(verdicts)
    summary = ", ".join(f"{verdict} at {count}" for verdict, count in counted.items())
    columns = ["place", "best of the searched", "difference", "seeds", "verdict"]
    # a scale may have a part of them, and a place
    here = sum(value in grid.compared for value in question.searched)
    among = [sum(value in cells for value in question.searched) for cells in grid.cells.values()]
    chosen = max(among) > 1
    favoured = ". The best is chosen with the same seeds, which favours it" if chosen else ""
    told = f"the best of the {here} searched values" if chosen else "the searched value"
    return (
        f"`{candidate}` minus {told} at each place{favoured};"
        f' "not worse" says that the whole 95 % interval lies within {margin} on the worse side\n\n'
        f"{markdown(columns, body)}",
        f"`{candidate}` against the best of the searched, within {margin}: {summary} of"
        f" {len(body)} places.",
    )


def start_text(grid: Grid, question: Question, name: str) -> tuple[str, str]:
    """A number of `STARTS` for every compared value, and whether it goes with the first measure."""
    measure, parts, all_ranks = question.measures[0], [], []
    counts: list[int] = []
    start, known = STARTS[name], grid.known(name)
    for panel, places in grid.panels(question.along).items():
        places = {along: place for along, place in places.items() if place in known}
        body = []
        for value in grid.compared:
            cells = [grid.cells[place].get(value) for place in places.values()]
            found = [cell.at_start(name) if cell else None for cell in cells]
            if any(m is not None for m in found):
                body.append([f"`{value}`", *("" if m is None else f"{m:.3g}" for m in found)])
        if not body:
            continue
        ranks = [start_rank(grid, place, measure, name, around=True) for place in places.values()]
        for place, rank in zip(places.values(), ranks):
            if rank is not None:
                all_ranks.append(rank)
                known_there = [cell.at_start(name) for cell in grid.cells[place].values()]
                counts.append(sum(value is not None for value in known_there))
        if any(rank is not None for rank in ranks):
            body.append(["*rank correlation*", *("" if r is None else f"{r:+.2f}" for r in ranks)])
        title = f"{place_text(panel)}: " if panel else ""
        table = markdown([grid.compare, *map(str, places)], body)
        parts.append(f"{title}geometric mean over the seeds\n\n{table}")
    if not parts:
        return "", ""
    correlated = (
        f"Spearman's correlation over what is compared of \\|ln({_escaped(start.title)} /"
        f" {start.best:g})\\| with the {MEASURES[measure].title}"
    )
    asked, finding = start.meaning, ""
    if all_ranks:
        asked += f" Last line: {correlated}."
        low, high = f"{min(all_ranks):+.2f}", f"{max(all_ranks):+.2f}"
        told = low if low == high else f"{low} to {high} at each place"
        finding = f"{correlated} is {told}, of {_span(counts)} values each."
    title = f"### {start.title[0].upper()}{start.title[1:]} at the start"
    return "\n\n".join([title, asked, *parts]), finding


def _span(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def start_rank(
    grid: Grid, place: Place, measure: str, name: str, *, around: bool = False
) -> float | None:
    """Spearman's correlation at a place of a number of `STARTS`, or of how far it is `around` what
    is good, |ln(number / best)|, with the mean of a measure; what has diverged runs is the worst,
    whatever its survivors reached. None where too few are known."""
    worst = math.inf if MEASURES[measure].smaller_is_better else -math.inf
    pairs = [
        (
            _from(value, STARTS[name].best) if around else value,
            worst if cell.diverged else found.mean,
        )
        for cell in grid.cells[place].values()
        if (value := cell.at_start(name)) is not None
        and (found := cell.estimate(measure)) is not None
    ]
    return rank_correlation(*zip(*pairs)) if pairs else None


def _from(value: float, best: float) -> float:
    return abs(math.log(value / best)) if value else math.inf


ROUNDING = 1e-12  # of differences of losses and of fractions


def verdict_of(difference: Estimate, measure: Measure) -> str:
    """Whether a candidate is not worse than another by more than the measure's margin: by the
    interval of candidate - other."""
    sign = measure.unit if measure.smaller_is_better else -measure.unit
    if difference.low is None or difference.high is None:
        within = sign * difference.mean <= measure.margin
        known = "one seed" if difference.n == 1 else f"the same on {difference.n} seeds"
        return f"{known}, {'not worse' if within else 'worse'}"
    worse = sorted((sign * difference.low, sign * difference.high))
    if worse[1] <= measure.margin:
        return "not worse"
    return "worse" if worse[0] > measure.margin else "undecided"


def cost_table(grid: Grid) -> str:
    """What a run of every compared value costs, the time of the fastest one."""
    rows = [[grid.compare, "place", *COSTS.values()]]
    for place, cells in grid.cells.items():
        for value, cell in cells.items():
            costs = [number(cell.cost(name), missing="–") for name in COSTS]
            rows.append([f"`{value}`", place_text(place), *costs])
    if not any(place for _, place, *_ in rows[1:]):
        rows = [[value, *costs] for value, _, *costs in rows]
    return f"### Costs\n\nThe time is that of the fastest run\n\n{markdown(rows[0], rows[1:])}"


def place_text(place: Place) -> str:
    """A place in words: the values of its keys."""
    return ", ".join(str(value) for _, value in place)


def axis_text(key: str) -> str:
    """A key of the grid in words, as at an axis: `model.name` is model."""
    return key.removesuffix(".name").split(".")[-1]


def markdown(columns: Sequence[str], body: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *body]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def mean_text(cell: Cell, name: str) -> str:
    """Mean ± half of the 95 % interval (number of seeds), and how many runs diverged."""
    found, measure = cell.estimate(name), MEASURES[name]
    lost = f"diverges {cell.diverged} of {len(cell.rows)}" if cell.diverged else ""
    if found is None:
        return lost
    numbers = [found.mean] if found.half is None else [found.mean, found.half]
    text = " ± ".join(f"{measure.unit * one:.{measure.digits}f}" for one in numbers)
    return f"{text} ({found.n}){'; ' + lost if lost else ''}"


def _interval(difference: Estimate, measure: Measure) -> str:
    given = [x for x in (difference.mean, difference.low, difference.high) if x is not None]
    # a mean of 0 but for rounding has no sign; the end of an interval keeps its own
    given = [x if abs(x) > ROUNDING else 0.0 for x in given]
    mean, *ends = (f"{measure.unit * x:+.{measure.digits}f}" for x in given)
    return f"{mean} [{', '.join(ends)}]" if ends else mean


def _difference(test: Test | None, measure: Measure) -> list[str]:
    if test is None:
        return ["–", "", ""]
    p = "" if test.p_holm is None else f"{test.p_holm:.3g}"  # 0.0104 is not below 0.01
    runs = (("other value", test.other_diverged), ("candidate", test.diverged))
    shown = [] if test.difference is None else [_interval(test.difference, measure)]
    shown += [f"{who} diverges {lost} of {test.pairs}" for who, lost in runs if lost]
    return [place_text(test.place), "; ".join(shown), p]


def _clearest(tests: Sequence[Test]) -> Test | None:
    return min(tests, key=lambda t: math.inf if t.p_value is None else t.p_value, default=None)


def _listed(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


def page(question: Question, scales: Mapping[str, str]) -> str:
    """The whole page: title, question, and a section for each scale that has runs."""
    parts = [f"# {question.title}", question.about.strip()]
    for name, text in scales.items():
        parts += [f"## {name}" if name else "", text]
    return "\n\n".join(part for part in parts if part) + "\n"
