"""What a study's page says of few seeds, against SciPy's t-test."""

import re

import numpy as np
import pytest
from scipy import stats

from analysis.studies.grid import LEVEL, Grid
from analysis.studies.question import Question
from analysis.studies.text import few_text, scale_text

GIVEN = {"title": "x", "compare": "start", "measures": ["train_loss"]}
SCATTER = np.array([-1.0, 0.0, 1.0])  # of standard deviation 1


def grid(*, seeds=3, others=9, apart=0.0):
    """A candidate that is better than each other by so much, the others alone on one more seed."""
    losses = {f"other {k}": SCATTER + apart for k in range(others)} | {"mine": np.zeros(3)}
    return Grid.of(
        [
            ({"seed": seed, "start": start}, {"train_loss": values[seed % 3]})
            for start, values in losses.items()
            for seed in range(seeds)
        ],
        "start",
    )


def test_few_seeds_decide_differences_of_many_deviations_alone():
    """The number on the page is the difference from which on a test of nine has p < 0.01; the
    interval of three reaches 2.5 standard deviations."""
    question = Question.of({**GIVEN, "candidate": "mine"})
    (said,) = few_text(grid(), question)
    assert said in scale_text(grid(), question)[0]
    assert "10 of 10 means are of fewer than 5 (n = 3: 10)" in said
    half = float(re.search(r"reaches ([\d.]+) standard", said)[1])
    low, high = stats.t.interval(0.95, 2, 0.0, 1.0 / np.sqrt(3.0))
    assert half == pytest.approx((high - low) / 2, abs=0.05)
    size = int(re.search(r"difference of (\d+) standard", said)[1])
    assert stats.ttest_1samp(SCATTER + 0.95 * size, 0.0).pvalue > LEVEL / 9
    assert stats.ttest_1samp(SCATTER + 1.05 * size, 0.0).pvalue < LEVEL / 9
    for factor, significant in ((0.95, False), (1.05, True)):
        tests = grid(apart=factor * size).tests("train_loss", "mine")
        assert {test.significant for test in tests} == {significant}


@pytest.mark.parametrize(
    ("seeds", "there"), [(1, "One seed has no interval"), (2, "An interval of 2"), (5, None)]
)
def test_what_few_seeds_have(seeds, there):
    """From five on nothing is said, and of one seed nothing of tests."""
    said = few_text(grid(seeds=seeds), Question.of({**GIVEN, "candidate": "mine"}))
    assert len(said) == (there is not None)
    assert there is None or there in said[0]
    assert (seeds == 2) == any("tests" in one for one in said)
