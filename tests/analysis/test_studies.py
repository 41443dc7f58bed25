"""A study's numbers against those that statistics gives by hand: cells, tests of a candidate, the
verdict by a margin, and what the page says of them."""

import numpy as np
import pytest
from scipy import stats

from analysis.stats import estimate, holm
from analysis.studies import MEASURES, Grid, Question
from analysis.study_text import amplification_text, measure_table, scale_text, verdict_of

RNG = np.random.default_rng(3)
SEEDS = range(8)
NOISE = RNG.normal(size=8)
# start -> degree -> loss by seed: "mine" is worse than "near" by 0.004, better than "far" by 1
LOSSES = {
    "mine": {2: 1.0 + 0.1 * NOISE, 4: 0.9 + 0.1 * NOISE},
    "near": {
        2: 0.996 + 0.1 * NOISE + 0.001 * RNG.normal(size=8),
        4: 1.2 + 0.1 * NOISE + 0.01 * RNG.normal(size=8),
    },
    "far": {2: 2.0 + 0.2 * RNG.normal(size=8), 4: 0.9 + 0.2 * RNG.normal(size=8)},
}
QUESTION = Question.of(
    {
        **{"title": "Which?", "compare": "start", "along": "degree", "candidate": "mine"},
        **{"measures": ["train_loss"], "searched": ["near", "far"]},
    }
)


def results(losses=LOSSES, seeds=SEEDS):
    return [
        ({"train.seed": seed, "degree": degree, "start": start}, {"train_loss": values[seed]})
        for start, own in losses.items()
        for degree, values in own.items()
        for seed in seeds
    ]


@pytest.fixture(scope="module")
def grid():
    return Grid.of(results(), "start")


def test_cells_are_sorted_by_place_and_seed(grid):
    assert list(grid.cells) == [(("degree", 2),), (("degree", 4),)]
    assert grid.compared == ["mine", "near", "far"]
    assert grid.measures == ["train_loss"]
    for start, own in LOSSES.items():
        for degree, values in own.items():
            assert grid.cells[("degree", degree),][start].estimate("train_loss") == estimate(values)


def test_the_candidate_against_all_others(grid):
    """scipy's paired t-test of every pair, adjusted together."""
    tests = grid.tests("train_loss", "mine")
    pairs = [(2, "near"), (2, "far"), (4, "near"), (4, "far")]
    assert [(dict(test.place)["degree"], test.other) for test in tests] == pairs
    p = [stats.ttest_rel(LOSSES["mine"][d], LOSSES[other][d]).pvalue for d, other in pairs]
    assert [test.p_holm for test in tests] == pytest.approx(holm(p), rel=1e-12)
    assert [test.better(MEASURES["train_loss"]) for test in tests] == [False, True, True, False]
    assert [test.significant for test in tests] == [True, True, True, False]


def test_one_seed_has_no_test():
    assert Grid.of(results(seeds=[0]), "start").tests("train_loss", "mine") == []


@pytest.mark.parametrize(
    ("name", "values", "verdict"),
    [
        ("train_loss", [0.004, 0.005, 0.006], "not worse"),
        ("train_loss", [-0.5, -0.6, -0.7], "not worse"),
        ("train_loss", [0.5, 0.6, 0.7], "worse"),
        ("train_loss", [-0.1, 0.1, 0.1], "undecided"),
        ("test_accuracy", [-0.002, -0.0021, -0.0022], "not worse"),
        ("test_accuracy", [-0.5, -0.6, -0.7], "worse"),
        ("test_accuracy", [0.5, 0.6, 0.7], "not worse"),
        ("test_accuracy", [0.5], "one seed, not worse"),
        ("test_accuracy", [-0.5], "one seed, worse"),
    ],
)
def test_verdict_by_the_whole_interval(name, values, verdict):
    """0.01 of the loss, 0.3 points of the accuracy, each on its worse side."""
    assert verdict_of(estimate(values), MEASURES[name]) == verdict


def test_the_page_says_what_the_numbers_say(grid):
    text = scale_text(grid, QUESTION, total=60)
    assert "48 of 60 runs have rows" in text
    assert "| 2 | `near` | +0.00" in text
    assert "within 0.01: not worse at 1, undecided at 1 of 2 places." in text
    assert "2 of 2 others lose to `mine` somewhere with p < 0.01 (`near`, `far`)" in text
    assert "Significantly better than `mine` somewhere: `near`." in text


def test_the_best_of_a_column_is_bold(grid):
    lines = measure_table(grid, QUESTION, "train_loss", ()).splitlines()
    assert lines[2] == "| start | 2 | 4 |"
    bold = {line.split("`")[1]: line.count("**") // 2 for line in lines[4:]}
    best = {d: min(LOSSES, key=lambda s: LOSSES[s][d].mean()) for d in (2, 4)}
    assert bold == {start: list(best.values()).count(start) for start in LOSSES}
    half = stats.t.ppf(0.975, 7) * LOSSES["far"][2].std(ddof=1) / 8**0.5
    assert f"| `far` | {LOSSES['far'][2].mean():.3f} ± {half:.3f} (8) |" in lines[-1]


def test_amplification_goes_with_the_loss():
    """Losses ordered as the distance of M from 8 on a log scale: 2 and 32 are as far."""
    levels = {"a": [1.0, 8.0], "b": [None, 16.0], "c": [4.5], "d": [32.5], "e": [1.9], "f": [0.1]}
    given = [
        ({"seed": seed, "k": 2, "start": start}, {"train_loss": 1.0 + n, "amplification": M})
        for n, (start, M) in enumerate(levels.items())
        for seed in (0, 1)
    ]
    given[-1][1]["amplification"] = [0.1 * 4]
    found = Grid.of(given, "start")
    question = Question.of(
        {"title": "x", "compare": "start", "along": "k", "measures": ["train_loss"]}
    )
    text, finding = amplification_text(found, question)
    assert "| `a` | 8 |" in text
    assert "| `f` | 0.2 |" in text  # sqrt(0.1 * 0.4)
    # by rank: distances 0, ln 2, ln 1.8, ln 4.06, ln 4.2, ln 40; one pair is exchanged
    assert "| *rank correlation* | +0.94 |" in text
    assert "is +0.94 to +0.94 at each place" in finding
    assert amplification_text(Grid.of(results(), "start"), question) == ("", "")


def test_diverged_runs_are_counted_and_not_averaged():
    given = [({"seed": 0, "start": "a"}, {"train_loss": 1.0})]
    given += [({"seed": 1, "start": "a"}, {"diverged": "the loss is not finite at step 1"})]
    found = Grid.of(given, "start")
    assert found.cells[()]["a"].diverged == 1
    assert "| `a` | **1.000 (1); diverges 1 of 2** |" in measure_table(
        found, QUESTION, "train_loss", ()
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"titel": "x"}, "unknown key 'titel' of report, allowed are title"),
        ({"measures": []}, "report has no measures"),
        ({"measures": ["loss"]}, "unknown measure 'loss' of report, allowed are test_accuracy"),
    ],
)
def test_a_wrong_question_is_refused(change, said):
    good = {"title": "x", "compare": "start", "measures": ["train_loss"]}
    with pytest.raises(ValueError, match=said):
        Question.of(good | change)
