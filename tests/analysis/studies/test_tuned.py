"""Each compared value at its own best setting, chosen by half of the seeds, shown on the rest."""

import numpy as np
import pytest
from scipy import stats

from analysis.stats import estimate
from analysis.studies.question import Question
from analysis.studies.tuned import tune, tuned_section

RNG = np.random.default_rng(5)
RATES = (0.1, 0.2, 0.4)
SEEDS = range(8)
NOISE = 0.01 * RNG.normal(size=8)
# start -> (where its loss is least, its loss there): "slow" loses at 0.2, and wins at its own rate
STARTS = {"fast": (0.2, 1.0), "slow": (0.4, 0.9)}
GIVEN = {
    **{"title": "Rates", "compare": "start", "tuned": "rate", "candidate": "fast"},
    **{"measures": ["train_loss"]},
}


def loss(start, rate, seed):
    best, least = STARTS[start]
    return least + np.log2(rate / best) ** 2 + NOISE[seed] * (1 + RATES.index(rate))


def results(starts=STARTS, degrees=(2,), measured=None):
    rows = measured or (lambda start, rate, seed: {"train_loss": loss(start, rate, seed)})
    return [
        (
            {"train.seed": seed, "degree": degree, "start": start, "rate": rate},
            rows(start, rate, seed),
        )
        for seed in SEEDS
        for degree in degrees
        for start in starts
        for rate in RATES
    ]


def test_each_is_shown_at_its_own_best_setting():
    found = tune(results(degrees=(2, 4)), Question.of(GIVEN), "train_loss")
    for degree in (2, 4):
        place = (("degree", degree),)
        assert found.chosen[place] == {"fast": "0.2", "slow": "0.4"}
        for start, (best, _) in STARTS.items():
            expected = estimate([loss(start, best, seed) for seed in SEEDS if seed >= 4])
            assert found.grid.cells[place][start].estimate("train_loss") == expected
    (test, _) = found.grid.tests("train_loss", "fast")
    pairs = [
        [loss(start, best, seed) for seed in range(4, 8)] for start, (best, _) in STARTS.items()
    ]
    assert test.p_value == pytest.approx(stats.ttest_rel(*pairs).pvalue, rel=1e-12)
    assert test.difference.mean == pytest.approx(np.mean(pairs[0]) - np.mean(pairs[1]))


def test_the_seeds_that_are_shown_have_no_part_in_the_choice():
    """A setting that is best on the second half alone is not found, and one that is best on the
    first half alone is kept although it is worse on the second."""

    def measured(start, rate, seed):
        lucky = 0.1 if seed < 4 else 0.4
        return {"train_loss": 1.0 if rate == lucky else 2.0}

    found = tune(results(measured=measured), Question.of(GIVEN), "train_loss")
    place = (("degree", 2),)
    assert found.chosen[place] == {"fast": "0.1", "slow": "0.1"}
    assert found.grid.cells[place]["fast"].estimate("train_loss").mean == 2.0
    assert (found.chosen_on, found.shown_on) == (tuple("0123"), tuple("4567"))


def test_accuracy_on_test_images_is_chosen_by_validation():
    def measured(start, rate, seed):
        return {"test_accuracy": rate, "val_accuracy": 1 - rate}

    question = Question.of(GIVEN | {"measures": ["test_accuracy"]})
    found = tune(results(measured=measured), question, "test_accuracy")
    assert found.chosen[("degree", 2),] == {"fast": "0.1", "slow": "0.1"}


def test_runs_that_diverge_are_not_chosen():
    def measured(start, rate, seed):
        if rate == 0.4 and seed == 0:
            return {"diverged": "loss nan"}
        return {"train_loss": 1 - rate}

    found = tune(results(measured=measured), Question.of(GIVEN), "train_loss")
    assert found.chosen[("degree", 2),] == {"fast": "0.2", "slow": "0.2"}


def test_the_page_says_what_was_chosen_and_where_the_list_ends():
    text = tuned_section(results(), Question.of(GIVEN))
    assert text.startswith("### Each at its own best rate\n")
    assert "of the seeds 0, 1, 2, 3, and the numbers are of the seeds 4, 5, 6, 7;" in text
    assert "at 0.2 |" in text  # inside of the list
    assert "at 0.4 (end) |" in text
    assert (
        "0 of 1 others lose to `fast` somewhere with p < 0.01; not shown with these seeds (`slow`)"
        in text
    )
    assert "Significantly better than `fast` somewhere: `slow`" in text


def test_nothing_is_shown_where_nothing_is_tuned_or_left():
    assert tuned_section(results(), Question.of(GIVEN | {"tuned": None})) == ""
    one = [(point, row) for point, row in results() if point["train.seed"] == 0]
    assert tuned_section(one, Question.of(GIVEN)) == ""
    assert tuned_section([], Question.of(GIVEN)) == ""
    at_one = [(point, row) for point, row in results() if point["rate"] == 0.2]
    assert tuned_section(at_one, Question.of(GIVEN)) == ""  # of one rate there is none to choose


def test_one_start_alone_has_a_table_and_no_empty_lines():
    alone = tuned_section(results(["fast"]), Question.of(GIVEN))
    assert "at 0.2 |" in alone
    assert "\n\n\n" not in alone


@pytest.mark.parametrize(
    ("tuned", "message"),
    [("lr", "tuned of report is 'lr', allowed are start, rate"), ("start", "is compared already")],
)
def test_a_key_that_cannot_be_tuned(tuned, message):
    with pytest.raises(ValueError, match=message):
        Question.of(GIVEN | {"tuned": tuned}).check({"start": [], "rate": []}, ["fast", "slow"])
