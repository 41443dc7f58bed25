"""Rows of a study: max |q| at the start against the outcome, and smoothers at start and end."""

import pytest
from scipy import stats

from analysis.studies.along import along_section, ranks_text, smoothers_text
from analysis.studies.grid import Grid
from analysis.studies.text import start_rank


def rows(loss, *, count=6, places=(2, 4)):
    """A run for every start and place: M = 2, 4, ..., 2^count, and its loss by number and place."""
    return [
        (
            {"train.seed": 0, "k": place, "start": f"s{k}"},
            {"train_loss": loss(k, place), "max_modulus": [1.0, 2.0 ** (k + 1)]},
        )
        for place in places
        for k in range(count)
    ]


def test_ranks_of_the_modulus():
    """The loss falls with M at one place, and has one exchange at the other."""
    order = [0, 1, 3, 2, 4, 5]
    grid = Grid.of(rows(lambda k, place: -k if place == 2 else order[k]), "start")
    first, second = ((("k", 2),), (("k", 4),))
    assert start_rank(grid, first, "train_loss", "max_modulus") == pytest.approx(-1.0)
    exact = float(stats.spearmanr(range(6), order).statistic)
    assert start_rank(grid, second, "train_loss", "max_modulus") == pytest.approx(exact)
    text = ranks_text(grid)
    assert "| 2 | 6 | -1.00 |" in text
    assert f"| 4 | 6 | {exact:+.2f} |" in text


def test_diverged_is_the_worst_and_few_are_no_sample():
    given = rows(lambda k, place: k, places=(2,))
    lost = {"train.seed": 1, "k": 2, "start": "s0"}, {"diverged": "at step 1"}
    grid = Grid.of([*given, lost], "start")
    # 0, 1, ..., 5 with 0 moved to the end
    exact = float(stats.spearmanr(range(6), [5, 0, 1, 2, 3, 4]).statistic)
    assert start_rank(grid, (("k", 2),), "train_loss", "max_modulus") == pytest.approx(exact)
    # of accuracies, which go the other way, it is the worst too
    given = [(point, row | {"test_accuracy": 1 - row["train_loss"] / 10}) for point, row in given]
    other = Grid.of([*given, lost], "start")
    found = start_rank(other, (("k", 2),), "test_accuracy", "max_modulus")
    assert found == pytest.approx(-exact)
    assert ranks_text(Grid.of(rows(lambda k, place: k, count=4), "start")) == ""
    assert ranks_text(Grid.of(rows(lambda k, place: 1.0), "start")) == ""


def test_smoothers_are_counted():
    """Two runs of two levels: three levels start as smoothers, two stay as they stand, one with
    norms folded in."""
    point = {"k": 2, "start": "laplacian"}
    ends = [([0.4, 0.3], [0.5, 1.0], [2.0, 3.0]), ([1.2, 0.2], [0.1, 0.6], [0.5, 0.9])]
    given = [
        (
            {"train.seed": seed, **point},
            {
                "train_loss": 1.0,
                "smoothing_factor": start,
                "learned": {"smoothing_factor": end, "effective_factor": folded},
            },
        )
        for seed, (start, end, folded) in enumerate(ends)
    ]
    given.append(({"train.seed": 0, "k": 2, "start": "random"}, {"train_loss": 2.0}))
    text = smoothers_text(Grid.of(given, "start"))
    assert "| `laplacian` | 2 | 4 | 3 | 2 of 3 | 1 of 3 | 0.3 | 0.6 | 2 |" in text
    assert "random" not in text
    without = [(point, {"train_loss": 1.0, "smoothing_factor": [0.4]}) for point, _ in given]
    assert along_section(Grid.of(without, "start")) == ""


def test_levels_without_norms_have_no_folded_factor():
    row = {"smoothing_factor": [0.4], "learned": {"smoothing_factor": [0.5]}}
    row["learned"]["effective_factor"] = [None]
    grid = Grid.of([({"train.seed": 0, "start": "a"}, {"train_loss": 1.0, **row})], "start")
    assert "| `a` |  | 1 | 1 | 1 of 1 | – | 0.4 | 0.5 | – |" in smoothers_text(grid)
