"""What stands in the committed rows of a study and on a page, by NumPy's and SciPy's arithmetic."""

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
NAMES = {
    "m": "model.name",
    "p": "model.placement",
    "s": "init.scheme",
    "levels": "model.levels",
    "lr": "optim.lr",
    "c": "optim.coefficient_lr",
    "start": "start",
    "model": "model",
}
NOBN = "relu_outside_nobn"


@cache
def rows(study):
    lines = (ROOT / f"studies/rows/{study}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def values(study, measure, **where):
    """Seed -> measure, accuracies in per cent."""
    wanted = {NAMES[key]: value for key, value in where.items()}
    unit = 100 if measure == "test_accuracy" else 1
    return {
        row["point"]["train.seed"]: unit * row[measure]
        for row in rows(study)
        if all(row["point"].get(key) == value for key, value in wanted.items())
    }


def mean(study, measure, **where):
    found = list(values(study, measure, **where).values())
    assert found, where
    return float(np.mean(found))


def half(sample):
    return float(stats.t.ppf(0.975, len(sample) - 1) * np.std(sample, ddof=1) / len(sample) ** 0.5)


def difference(study, first, second, measure="test_accuracy", **where):
    """Mean of first - second over their seeds, low, high, p."""
    one, other = (values(study, measure, **where, **own) for own in (first, second))
    shared = sorted(one.keys() & other.keys())
    a, b = (np.array([side[seed] for seed in shared]) for side in (one, other))
    reach, middle = half(a - b), float(np.mean(a - b))
    return middle, middle - reach, middle + reach, float(stats.ttest_rel(a, b).pvalue)


def text(page):
    return (ROOT / page).read_text(encoding="utf-8")


def table(page, before):
    """Columns and rows of the first table behind a text, without bold and code."""
    lines = text(page)[text(page).index(before) :].splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("|"))
    found = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        found.append([cell.strip().replace("*", "").replace("`", "") for cell in cells])
    return found[0][1:], {row[0]: row[1:] for row in found[2:]}


def alike(shown, number):
    """As many digits as are shown, rounded once; halves of the last either way."""
    digits = len(shown.partition(".")[2])
    assert abs(float(shown.replace(",", "")) - number) <= 0.5000001 * 10**-digits, (shown, number)


def assert_said(page, sentence, numbers):
    """A sentence with these numbers in its braces stands on the page, however it is broken."""
    expected = " ".join(sentence.format(*numbers).split())
    assert expected in " ".join(text(page).split())
