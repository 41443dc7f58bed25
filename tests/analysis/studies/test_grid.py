"""A study's numbers against those that statistics gives by hand: cells, tests of a candidate, the
verdict by a margin, and what the page says of them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from analysis.stats import estimate, holm, paired
from analysis.studies.grid import Grid
from analysis.studies.question import MEASURES, Question
from analysis.studies.text import (
    cost_table,
    measure_table,
    rivals_text,
    scale_text,
    start_text,
    verdict_of,
    yardstick_text,
)

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


PAGE = {"title": "x", "compare": "start"}


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
    assert [test.lead(MEASURES["train_loss"]) > 0 for test in tests] == [False, True, True, False]
    assert [test.significant for test in tests] == [True, True, True, False]


@pytest.mark.parametrize(
    ("along", "differ"),
    [
        *(("model.name", True), ("name", True), ("degree", True), ("data.size", True)),
        *((None, False), ("optim.lr", False), ("lr", False), ("train.batch_size", False)),
    ],
)
def test_what_is_set_for_training_alone_changes_no_start(grid, along, differ):
    """No table of starts along a learning rate: its columns would be equal."""
    question = replace(QUESTION, along=along)
    assert question.along_starts == differ
    rows = [(point, row | {"max_modulus": [1.0 + len(point["start"])]}) for point, row in results()]
    _, text = scale_text(Grid.of(rows, "start"), question)
    assert ("at the start" in text) == differ


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


def test_the_same_difference_again_is_no_certainty():
    """Two seeds of which each gets one image of 359 more right: no interval of width 0."""
    alike = paired({0: 100 / 359, 1: 110 / 359}, {0: 101 / 359, 1: 111 / 359}).difference
    measure = MEASURES["test_accuracy"]
    assert verdict_of(alike, measure) == "the same on 2 seeds, not worse"  # 0.28 of 0.3 points
    assert verdict_of(replace(alike, mean=-2 / 359), measure) == "the same on 2 seeds, worse"


def test_the_page_says_what_the_numbers_say(grid):
    findings, tables = scale_text(grid, QUESTION)
    assert "| 2 | `near` | +0.00" in tables
    assert "within 0.01: not worse at 1, undecided at 1 of 2 places." in findings
    assert "2 of 2 others lose to `mine` somewhere with p < 0.01 (`near`, `far`)" in findings
    assert "Significantly better than `mine` somewhere: `near`." in findings


def test_what_was_searched_is_counted_at_the_scale_that_is_shown():
    part = {start: own for start, own in LOSSES.items() if start != "far"}
    for losses, what in (
        (LOSSES, "the best of the 2 searched values"),
        (part, "the searched value"),
    ):
        text, _ = yardstick_text(Grid.of(results(losses), "start"), QUESTION, "train_loss")
        assert f"`mine` minus {what} at each place" in text
        assert ("which favours it" in text) == (losses is LOSSES)  # of one nothing is chosen


def test_the_best_of_a_column_is_bold(grid):
    lines = measure_table(grid, QUESTION, "train_loss", ()).splitlines()
    assert lines[2] == "| start | 2 | 4 |"
    bold = {line.split("`")[1]: line.count("**") // 2 for line in lines[4:]}
    best = {d: min(LOSSES, key=lambda s: LOSSES[s][d].mean()) for d in (2, 4)}
    assert bold == {start: list(best.values()).count(start) for start in LOSSES}
    half = stats.t.ppf(0.975, 7) * LOSSES["far"][2].std(ddof=1) / 8**0.5
    assert f"| `far` | {LOSSES['far'][2].mean():.3f} ± {half:.3f} (8) |" in lines[-1]


@pytest.mark.parametrize(
    ("counts", "along", "said"),
    [
        ((359, 359), None, True),
        ((359, 10_000), None, False),
        ((359, None), None, False),  # of a row from before it was kept
        ((359, 359), "data.name", False),  # two sets of one size
    ],
)
def test_intervals_of_the_same_images_are_of_seeds_alone(counts, along, said):
    given = [
        ({"seed": seed, "start": "a"}, {"test_accuracy": 0.9 + seed, "train_loss": 1.0 + seed})
        for seed in (0, 1)
    ]
    given = [
        (
            point | ({along: str(n)} if along else {}),
            row | ({"test_images": count} if count else {}),
        )
        for n, ((point, row), count) in enumerate(zip(given, counts))
    ]
    measures = ["test_accuracy", "train_loss"]
    question = Question.of({**PAGE, "measures": measures} | ({"along": along} if along else {}))
    captions = [
        measure_table(Grid.of(given, "start"), question, name, ()).partition("\n")[0]
        for name in question.measures
    ]
    assert ["test images" in one for one in captions] == [said, False]
    assert ("(seeds), all on the same 359 test images" in captions[0]) is said


def test_a_p_value_is_not_rounded_to_the_level():
    """0.0104 is not below 0.01, and is not shown as 0.01 beside what is called not shown."""
    noise = np.array([-1.0, 1.0])
    t = -stats.t.ppf(0.0104 / 2, 1)  # of one test of two pairs: mean / (std / sqrt(2))
    losses = {"mine": {2: np.zeros(2)}, "near": {2: t + noise}}
    text, finding = rivals_text(Grid.of(results(losses, (0, 1)), "start"), QUESTION, "train_loss")
    assert "| 0.0104 |" in text
    assert "0 of 1 others lose" in finding


def test_max_modulus_goes_with_the_loss():
    """Losses ordered as the distance of M from 8 on a log scale: 2 and 32 are as far."""
    levels = {"a": [1.0, 8.0], "b": [None, 16.0], "c": [4.5], "d": [32.5], "e": [1.9], "f": [0.1]}
    given = [
        ({"seed": seed, "k": 2, "start": start}, {"train_loss": 1.0 + n, "max_modulus": M})
        for n, (start, M) in enumerate(levels.items())
        for seed in (0, 1)
    ]
    given[-1][1]["max_modulus"] = [0.1 * 4]
    found = Grid.of(given, "start")
    question = Question.of({**PAGE, "along": "k", "measures": ["train_loss"]})
    text, finding = start_text(found, question, "max_modulus")
    assert "| `a` | 8 |" in text
    assert "| `f` | 0.2 |" in text  # sqrt(0.1 * 0.4)
    # by rank: distances 0, ln 2, ln 1.8, ln 4.06, ln 4.2, ln 40; one pair is exchanged
    assert "| *rank correlation* | +0.94 |" in text
    assert finding.endswith(" is +0.94, of 6 values each.")
    assert Grid.of(results(), "start").starts == []
    # the same for all that is compared: nothing to show, no correlation with a constant
    alike = [(point, row | {"max_modulus": [point["seed"] + 1.0]}) for point, row in given]
    assert Grid.of(alike, "start").starts == []
    alike[0][1]["max_modulus"] = [2.0]
    found = Grid.of(alike, "start")
    assert found.starts == ["max_modulus"]
    assert "| `a` | 2 |" in start_text(found, question, "max_modulus")[0]
    # another place, of which one value of six is known, is not shown
    bare = [({**point, "k": 4}, row | {"max_modulus": None}) for point, row in given] + given
    bare[0][1]["max_modulus"] = [3.0]
    both = Grid.of(bare, "start")
    assert both.known("max_modulus") == [(("k", 2),)]
    assert "| start | 2 |" in start_text(both, question, "max_modulus")[0]


def test_features_of_size_0_are_the_farthest_from_any():
    """As of a network whose relus let nothing pass: its logarithm is no number."""
    sizes = {"a": (0.6, 0.6), "b": (0.4, 1.6), "c": (1.2, 1.2), "d": (3.0, 3.0)}
    sizes |= {"e": (0.0, 0.6), "f": (9.0, 9.0)}
    given = [
        ({"seed": seed, "k": 2, "start": start}, {"train_loss": loss, "features": size})
        for loss, (start, of) in enumerate(sizes.items())
        for seed, size in enumerate(of)
    ]
    question = Question.of({**PAGE, "along": "k", "measures": ["train_loss"]})
    text, _ = start_text(Grid.of(given, "start"), question, "features")
    assert "| `b` | 0.8 |" in text
    assert "| `e` | 0 |" in text
    # distances 0, ln 4/3, ln 2, ln 5, inf, ln 15: one pair is exchanged
    assert "| *rank correlation* | +0.94 |" in text


@pytest.mark.parametrize(("known", "shown"), [(3, []), (4, ["features"])])
def test_a_number_that_few_cells_have_is_not_shown(known, shown):
    """As of rows that were committed before it was measured: of six starts, three or four."""
    given = [
        (
            {"seed": 0, "start": str(n)},
            {"train_loss": 1.0, "features": n + 0.5 if n < known else None},
        )
        for n in range(6)
    ]
    assert Grid.of(given, "start").starts == shown


def test_diverged_runs_are_counted_and_not_averaged():
    given = [({"seed": 0, "start": "a"}, {"train_loss": 1.0})]
    given += [({"seed": 1, "start": "a"}, {"diverged": "the loss is not finite at step 1"})]
    found = Grid.of(given, "start")
    assert found.cells[()]["a"].diverged == 1
    assert "| `a` | 1.000 (1); diverges 1 of 2 |" in measure_table(
        found, QUESTION, "train_loss", ()
    )


def unstable(values, lost):
    """Rows of `results` in which one start's runs of some seeds diverged."""
    return [
        (point, {"diverged": "the loss is not finite at step 1"})
        if point["start"] == values and point["train.seed"] in lost
        else (point, row)
        for point, row in results()
    ]


def test_survivors_are_not_the_best():
    """ "far" loses half of its runs, and its others are by far the best: it is neither bold nor the
    yardstick, and wins no more than the seeds at which it ends."""
    losses = LOSSES | {"far": {2: 0.1 + 0.2 * NOISE, 4: 0.1 + 0.2 * NOISE}}
    given = [
        (point, {"diverged": "x"} if point["start"] == "far" and point["train.seed"] < 4 else row)
        for point, row in results(losses)
    ]
    found = Grid.of(given, "start")
    assert found.best("train_loss", (("degree", 2),), ("near", "far")) == "near"
    assert found.best("train_loss", (("degree", 2),), ("far",)) == "far"
    table = measure_table(found, QUESTION, "train_loss", ()).splitlines()
    assert "**" not in table[-1]
    assert "diverges 4 of 8" in table[-1]
    text = yardstick_text(found, QUESTION, "train_loss")[0]
    assert "`near`" in text
    assert "`far`" not in text
    test = found.test("train_loss", (("degree", 2),), "mine", "far")
    assert (test.wins, test.losses, test.other_diverged, test.pairs) == (4, 4, 4, 8)
    assert test.p_value == 1.0
    assert test.difference == estimate(LOSSES["mine"][2][4:] - losses["far"][2][4:])


def test_a_diverged_run_is_a_lost_pair():
    """The candidate loses 7 of 8 runs and is better in the one that is left: by the sign test of 0
    or 1 wins of 8, it is the worse one, and never "not worse"."""
    found = Grid.of(unstable("mine", range(7)), "start")
    test = found.test("train_loss", (("degree", 4),), "mine", "near")
    assert (test.wins, test.losses, test.diverged) == (1, 7, 7)
    assert test.p_value == pytest.approx(2 * (1 + 8) / 2**8)
    assert test.lead(MEASURES["train_loss"]) < 0
    _, finding = yardstick_text(found, QUESTION, "train_loss")
    assert "diverges 7 of 8 at 2 of 2 places" in finding
    assert "not worse" not in finding
    rivals, _ = rivals_text(found, QUESTION, "train_loss")
    row = next(line for line in rivals.splitlines() if line.startswith("| `near`"))
    assert row.startswith("| `near` | – |  |  | 2 | ")
    assert "candidate diverges 7 of 8 | 0.0312 |" in row  # all 8 at degree 2, times 4 by Holm
    assert "lost by that side: there p is of the exact sign test" in rivals


def test_a_seed_at_which_both_diverge_is_no_one_s():
    """Of eight pairs one is lost, one is neither's, and the candidate wins or loses the others by
    what they reached."""
    lost = {"mine": (0, 1), "near": (1,)}
    given = [
        (point, {"diverged": "x"} if point["train.seed"] in lost.get(point["start"], ()) else row)
        for point, row in results()
    ]
    test = Grid.of(given, "start").test("train_loss", (("degree", 4),), "mine", "near")
    below = (LOSSES["mine"][4] < LOSSES["near"][4])[2:]
    assert (test.diverged, test.other_diverged, test.pairs) == (2, 1, 8)
    assert (test.wins, test.losses) == (below.sum(), 1 + (~below).sum())
    assert test.p_value == pytest.approx(stats.binomtest(test.wins, 7).pvalue)


def test_all_runs_of_the_candidate_may_diverge():
    found = Grid.of(unstable("mine", SEEDS), "start")
    assert "diverges 8 of 8 at 2 of 2" in yardstick_text(found, QUESTION, "train_loss")[1]
    assert [test.p_value for test in found.tests("train_loss", "mine")] == [2 / 2**8] * 4


def test_the_best_is_that_over_the_seeds_all_share():
    """Seed 2 is easy and "b" alone has it: its mean is smaller, and it is worse at seeds 0, 1."""
    losses = {"a": {0: 1.0, 1: 1.0}, "b": {0: 1.1, 1: 1.1, 2: 0.1}}
    found = Grid.of(
        [
            ({"train.seed": seed, "start": start}, {"train_loss": loss})
            for start, own in losses.items()
            for seed, loss in own.items()
        ],
        "start",
    )
    assert found.best("train_loss", (), ("a", "b"), seeds=2) == "a"
    assert found.best("train_loss", (), ("a", "b"), seeds=3) is None
    assert "| `a` | **1.000" in measure_table(found, QUESTION, "train_loss", ())
    alone = Grid.of(results(seeds=[0]), "start")
    assert "**" not in measure_table(alone, QUESTION, "train_loss", ())


def test_columns_say_who_loses(grid):
    """Without spread there is no p-value, and such a test is not among those of Holm."""
    text = rivals_text(grid, QUESTION, "train_loss")[0]
    assert "| other value | loses at | difference | p (Holm) | wins at |" in text
    assert "| `far` | 2 | -1." in text
    assert "Holm over all 4 tests" in text
    same = Grid.of(
        results(LOSSES | {"near": {d: own + 0.5 for d, own in LOSSES["mine"].items()}}), "start"
    )
    assert "Holm over all 2 tests" in rivals_text(same, QUESTION, "train_loss")[0]


def test_without_an_axis_there_is_no_place_to_name():
    """One difference a line, of whichever sign, and the cost of the run that nothing disturbed."""
    losses = {"mine": (1.0, 1.1, 1.3), "near": (0.9, 0.97, 1.2), "far": (2.0, 2.2, 2.3)}
    rows = [
        (
            {"train.seed": seed, "start": start},
            {"train_loss": loss, "parameters": 12798, "seconds": s},
        )
        for start, of_seeds in losses.items()
        for seed, (loss, s) in enumerate(zip(of_seeds, (90.0, 4.5, 60.0)))
    ]
    found = Grid.of(rows, "start")
    text, finding = rivals_text(found, QUESTION, "train_loss")
    assert "| other value | difference | p (Holm) |" in text
    assert "| `near` | +0.110 [" in text
    assert "| `far` | -1.033 [" in text
    assert "at the place" not in text
    assert "somewhere" not in finding
    assert "| `mine` | 12,798 | – | 4.5 |" in cost_table(found)


def test_a_tie_is_nobody_s():
    """As many images right, with 118, 123, 132 and 129, 105, 139 of 144: neither loses."""
    right = {"mine": (118, 123, 132), "near": (129, 105, 139), "far": (100, 100, 101)}
    rows = [
        ({"train.seed": seed, "start": start, "degree": 2}, {"test_accuracy": images / 144})
        for start, of_seeds in right.items()
        for seed, images in enumerate(of_seeds)
    ]
    text = rivals_text(Grid.of(rows, "start"), QUESTION, "test_accuracy")[0]
    assert "| `near` | – |  |  | – |  |  |" in text
    assert "| `far` | 2 | +16.67 [" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"titel": "x"}, "unknown key 'titel' of report, allowed are title"),
        ({"measures": []}, "report has no measures"),
        ({"measures": ["loss"]}, "unknown measure 'loss' of report, allowed are test_accuracy"),
        ({"measures": "train_loss"}, "measures of report is 'train_loss', must be a list"),
        ({"searched": "constant"}, "searched of report is 'constant', must be a list"),
    ],
)
def test_a_wrong_question_is_refused(change, said):
    good = {"title": "x", "compare": "start", "measures": ["train_loss"]}
    with pytest.raises(ValueError, match=said):
        Question.of(good | change)
