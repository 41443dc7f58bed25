"""Numbers that stand in docs/evidence.md and docs/choosing.md by hand are those of the rows of
studies, rounded once: tables cell by cell, and sentences with a difference, its interval and its
p-value.

The pages of docs/studies are made of the same rows; the arithmetic here is NumPy's and SciPy's own.
"""

import re

import numpy as np
import pytest
from scipy import stats

from .from_rows import NOBN, alike, assert_said, difference, half, mean, rows, table, values

RATES = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)
DEFAULT = {"s": "bounded:features=0.6"}
CONSTANTS = [
    "constant",
    *(f"constant:value={v}" for v in ("0.25", "0.5", "2", "4", "8", "16", "32")),
]


def behind_at_its_best_rate(scheme):
    """How far a start of q32 is behind the default in loss, at that rate of its coefficients with
    which it is best."""
    study, q32 = "coefficients-digits", {"m": "q32"}
    rates = (0, 0.2, 1, 5, 20, 50)
    best = min(rates, key=lambda c: mean(study, "train_loss", s=scheme, c=c, **q32))
    return difference(study, {"s": scheme, "c": best}, {**DEFAULT, "c": 0.2}, "train_loss", **q32)


def behind_where_alive():
    """xavier against the default with q2 at the rate 0.04, over the seeds that learn at all."""
    place = {"m": "q2", "lr": 0.04}
    alive, default = (
        values("rates-digits", "train_loss", **place, s=s)
        for s in ("xavier", "bounded:features=0.6")
    )
    extra = np.array([loss - default[seed] for seed, loss in alive.items() if loss < 2.3])
    assert (len(alive), len(extra)) == (10, 9)  # ln 10 is 2.303
    middle, reach = float(np.mean(extra)), half(extra)
    return middle, middle - reach, middle + reach, float(stats.ttest_1samp(extra, 0).pvalue)


def reaches_of_the_confirmation():
    """The shortest and the longest half of an interval of accuracy, of the default minus the
    constant that the search found."""
    roots = {"q2": "=0.5", "q4": "", "q8": "=2", "q16": "=4", "q32": "=16"}
    found = [
        difference(
            "confirmation-digits", DEFAULT, {"s": f"constant{root and f':value{root}'}"}, m=m
        )
        for m, root in roots.items()
    ]
    halves = sorted(high - middle for middle, _, high, _ in found)
    return halves[0], halves[-1]


def lead_of_chebyshev4(measure, lr):
    """By how much it is better than the default with q2."""
    pair = [{"s": "chebyshev4"}, DEFAULT]
    pair = pair if measure == "test_accuracy" else pair[::-1]
    return difference("rates-digits", *pair, measure, m="q2", lr=lr)


def behind_at_chosen_rates(scheme):
    """How far a start of q32 is behind the default in loss over the seeds 5 to 9, each at the rate
    with the lowest mean over the seeds 0 to 4."""
    ended = []
    for s in (scheme, "bounded:features=0.6"):
        tried = [values("rates-digits", "train_loss", m="q32", s=s, lr=lr) for lr in RATES]
        ended.append(min(tried, key=lambda one: sum(one[seed] for seed in range(5))))
    extra = np.array([ended[0][seed] - ended[1][seed] for seed in range(5, 10)])
    return np.mean(extra), np.mean(extra) - half(extra), np.mean(extra) + half(extra)


def test_no_rate_has_chebyshev4_of_q2_behind():
    assert all(lead_of_chebyshev4("train_loss", lr)[0] > 0 for lr in RATES)


def test_learned_smoothers_against_those_that_were_tried():
    found = {}
    for row in (row for row in rows("smoothers") if "factor" in row):  # else it was refused
        place, smoother = (row["point"][k] for k in ("problem", "smoother"))
        own = found.setdefault((place, row["point"]["degree"]), {}).setdefault(smoother, [])
        own.append(row["factor"])
    means = [{name: np.mean(own) for name, own in one.items()} for one in found.values()]
    tried = {name for one in means for name in one if not name.startswith("learned")}
    kinds = {"chebyshev", "chebyshev4", "chebyshev4_opt"}
    assert tried == {"richardson", *kinds, "two_grid_optimal"}
    ratios = [one["learned (worst)"] / min(one[k] for k in tried & one.keys()) for one in means]
    said = """than `richardson`, the three kinds of Chebyshev and `two_grid_optimal` on all
        seven model problems at degrees 1 to 6 (means of three errors, {0:.2f} to {1:.2f} times"""
    assert_said("docs/choosing.md", said, [max(ratios), min(ratios)])


LOSSES = {
    "mean over ten seeds\n([study](studies/starts.md))": (
        "starts-digits",
        lambda row, column: {"p": NOBN, "m": column, "s": row},
    ),
    "q4 on the digits, training loss, mean of five seeds": (
        "levels-digits",
        lambda row, column: {
            "levels": int(column.split()[0]),
            "s": "bounded:amplification=8" if row.startswith("bounded (") else row,
        },
    ),
    "Whether that pays, ten seeds on the digits": (
        "operator-digits",
        lambda row, column: {"start": row.replace("Laplacian", "laplacian"), "m": column},
    ),
    "What the meaning of coefficients costs": (
        "placement-digits",
        lambda row, column: {"p": row, "m": column},
    ),
}


@pytest.mark.parametrize("before", LOSSES)
def test_training_losses(before):
    study, where = LOSSES[before]
    columns, body = table("docs/evidence.md", before)
    checked = 0
    for row, cells in body.items():
        for column, cell in zip(columns, cells, strict=True):
            if row.startswith("the best of eight"):
                losses = {s: mean(study, "train_loss", p=NOBN, m=column, s=s) for s in CONSTANTS}
                best = min(losses, key=losses.get)
                shown, root = re.fullmatch(r"([\d.]+) \(([\d.]+)\)", cell).groups()
                alike(shown, losses[best])
                assert root == best.partition("=")[2] or (root, best) == ("1", "constant")
            elif row.startswith("its max"):
                at = [r for r in rows(study) if r["point"]["init.scheme"] == "bounded:features=0.6"]
                level = int(column.split()[0])
                sizes = [max(r["max_modulus"]) for r in at if r["point"]["model.levels"] == level]
                alike(cell, float(stats.gmean(sizes)))
            elif cell != "–":
                alike(cell, mean(study, "train_loss", **where(row, column)))
            checked += cell != "–"
    assert checked >= 15


def test_accuracies_on_cifar16():
    _, body = table("docs/evidence.md", "test accuracy in %, mean of five seeds; s,")
    for scheme, cells in body.items():
        for m, accuracy, size in (("q2", *cells[:2]), ("q8", *cells[2:])):
            alike(accuracy, mean("starts-cifar16", "test_accuracy", m=m, s=scheme))
            found = values("starts-cifar16", "features", m=m, s=scheme)
            alike(size, float(stats.gmean(list(found.values()))))


# page, sentence with the numbers that are computed, and they
SENTENCES = [
    (
        "docs/choosing.md",
        "and by {0:.3f} at a better one",
        lambda: difference(
            "rates-digits", {"m": "q2"}, {"m": "q8"}, "train_loss", **DEFAULT, lr=0.04
        ),
    ),
    *(
        (
            "docs/evidence.md",
            "{0:.2f} " + f"{'points ' if m == 'q2' else ''}({m}, {extra}" + "{1:.2f} to {2:.2f}",
            lambda m=m, s=s: difference("accuracy-digits", DEFAULT, {"s": s}, m=m),
        )
        for m, s, extra in (
            ("q2", "constant:value=0.5", "95 % interval "),
            ("q4", "constant", ""),
            ("q8", "constant:value=2", ""),
            ("q16", "constant:value=4", ""),
            ("q32", "constant:value=16", ""),
        )
    ),
    (
        "docs/evidence.md",
        "is lower by {0:.3f} ({1:.3f} to {2:.3f}, p = {3:.4f} by itself",
        lambda: difference(
            "operator-digits",
            {"start": "random, bounded"},
            {"start": "random, chebyshev4"},
            "train_loss",
            m="q2",
        ),
    ),
    (
        "docs/evidence.md",
        "in `plain` by {0:.3f} ({1:.3f} to {2:.3f}, p = 0.04 after Holm",
        lambda: difference(
            "starts-digits", {"s": "bounded"}, {"s": "chebyshev4"}, "train_loss", m="q2", p="plain"
        ),
    ),
    (
        "docs/evidence.md",
        "(q32: {0:.1f} points behind, {1:.1f} to {2:.1f}, p = 0.1 after Holm)",
        lambda: difference("confirmation-digits", DEFAULT, {"s": "constant"}, m="q32"),
    ),
    (
        "docs/evidence.md",
        "(intervals of ±{0:.1f} to ±{1:.1f})",
        reaches_of_the_confirmation,
    ),
    *(
        (
            "docs/evidence.md",
            sentence,
            lambda lr=lr, measure=measure: lead_of_chebyshev4(measure, lr),
        )
        for sentence, lr, measure in (
            ("by {0:.3f} at 0.0025 ({1:.3f} to {2:.3f}, p = 0.001", 0.0025, "train_loss"),
            ("there {0:.1f} points more accurate ({1:.1f} to {2:.1f},", 0.0025, "test_accuracy"),
            ("by {0:.3f} at 0.08 ({1:.3f} to {2:.3f}, p = {3:.3f} by", 0.08, "train_loss"),
        )
    ),
    *(
        ("docs/evidence.md", sentence, lambda s=s: behind_at_chosen_rates(s))
        for sentence, s in (
            ("`constant` is behind by {0:.2f} ({1:.2f} to {2:.2f}), `xavier`", "constant"),
            ("`xavier` by {0:.2f} ({1:.2f} to {2:.2f}).", "xavier"),
        )
    ),
    (
        "docs/evidence.md",
        "on the Laplacian {0:.1f} points behind ({1:.1f} to {2:.1f}, p < 0.001)",
        lambda: difference(
            "operator-cifar16",
            {"start": "random, bounded:features=0.6"},
            {"start": "laplacian, chebyshev4"},
            m="q2",
        ),
    ),
    (
        "docs/evidence.md",
        "comes to 58.5 % ({0:.1f} points behind, {1:.1f} to {2:.1f}: not decided)",
        lambda: difference(
            "operator-cifar16",
            {"start": "random, bounded:features=0.6"},
            {"start": "laplacian, bounded:features=0.6"},
            m="q2",
        ),
    ),
    *(
        (
            page,
            sentence,
            lambda: difference("degree-digits", {"m": "q2"}, {"m": "q8"}, "train_loss"),
        )
        for page, sentence in (
            ("docs/evidence.md", "than q2 by {0:.3f}, {1:.3f} to {2:.3f}, and by 0.010"),
            ("docs/choosing.md", "q8 is lower than q2 by {0:.3f} at one rate"),
        )
    ),
    (
        "docs/evidence.md",
        "and by {0:.3f}, {1:.3f} to {2:.3f}, at",
        lambda: difference(
            "rates-digits", {"m": "q2"}, {"m": "q8"}, "train_loss", **DEFAULT, lr=0.04
        ),
    ),
    (
        "docs/evidence.md",
        "other nine are behind by {0:.3f} ({1:.3f} to {2:.3f}, p = {3:.2f} by itself)",
        behind_where_alive,
    ),
    (
        "docs/evidence.md",
        "**q8**: `constant` is behind by {0:.3f} ({1:.3f} to {2:.3f}, p = {3:.2f} by itself;",
        lambda: difference(
            "rates-digits", {"s": "constant"}, DEFAULT, "train_loss", m="q8", lr=0.04
        ),
    ),
    (
        "docs/evidence.md",
        "and {0:.1f} points there ({1:.1f} to {2:.1f}, p = 0.005 after Holm)",
        lambda: difference("rates-digits", DEFAULT, {"s": "chebyshev4"}, m="q8", lr=0.04),
    ),
    (
        "docs/evidence.md",
        "`constant` is behind by {0:.2f} ({1:.2f} to {2:.2f}, p = {3:.4f} by itself)",
        lambda: difference(
            "rates-digits", {"s": "constant"}, DEFAULT, "train_loss", m="q32", lr=0.02
        ),
    ),
    *(
        (
            "docs/evidence.md",
            sentence,
            lambda s=s: difference("rates-digits", DEFAULT, {"s": s}, m="q32", lr=0.02),
        )
        for sentence, s in (
            ("and {0:.1f} points ({1:.1f} to {2:.1f}), `xavier`", "constant"),
            ("`xavier` by {0:.1f} points ({1:.1f} to {2:.1f}) and", "xavier"),
            ("`chebyshev4` by {0:.1f} ({1:.1f} to {2:.1f}), and from", "chebyshev4"),
        )
    ),
    *(
        (
            "docs/evidence.md",
            sentence,
            lambda m=m, one=one, other=other, measure=measure: difference(
                "coefficients-digits", {"c": one}, {"c": other}, measure, **DEFAULT, m=m
            ),
        )
        for sentence, one, other, measure, m in (
            ("is {0:.3f} higher ({1:.3f} to {2:.3f} with q2,", 0, 0.2, "train_loss", "q2"),
            ("with q2, {1:.3f} to {2:.3f} with q8)", 0, 0.2, "train_loss", "q8"),
            ("gain with q2: {0:.3f} in loss ({1:.3f} to {2:.3f})", 0, 20, "train_loss", "q2"),
            ("and {0:.1f} points ({1:.1f} to {2:.1f}), and", 20, 0, "test_accuracy", "q2"),
            ("gain nothing in loss ({0:.3f}, {1:.3f} to {2:.3f})", 0, 20, "train_loss", "q8"),
            ("with q32 {0:.3f} ({1:.3f} to {2:.3f}), the", 0, 0.2, "train_loss", "q32"),
            ("0.4 and {0:.1f} points lower", 0.2, 0, "test_accuracy", "q32"),
            ("0.09 and {3:.2f} by itself)", 0, 0.2, "test_accuracy", "q32"),
        )
    ),
    *(
        ("docs/evidence.md", sentence, lambda s=s: behind_at_its_best_rate(s))
        for sentence, s in (
            ("is behind the default by {0:.2f} in loss ({1:.2f} to {2:.2f})", "constant"),
            ("`xavier` by {0:.2f} ({1:.2f} to {2:.2f})", "xavier"),
            ("`chebyshev4` by {0:.1f} ({1:.1f} to {2:.1f}). At", "chebyshev4"),
        )
    ),
    (
        "docs/evidence.md",
        "the default breaks down too ({0:.2f})",
        lambda: [mean("coefficients-digits", "train_loss", **DEFAULT, m="q32", c=20)],
    ),
    *(
        (
            "docs/evidence.md",
            sentence,
            lambda m=m, one=one, other=other, measure=measure: difference(
                "placement-cifar16", {"p": one}, {"p": other}, measure, m=m
            ),
        )
        for sentence, one, other, measure, m in (
            (
                "is {0:.1f} points behind `relu_outside_nobn` ({1:.1f} to {2:.1f},",
                NOBN,
                "regular",
                "test_accuracy",
                "q2",
            ),
            (
                "is {0:.1f} points ahead of it ({1:.1f} to {2:.1f}, p = 0.008)",
                "regular",
                NOBN,
                "test_accuracy",
                "g4",
            ),
            (
                "training loss by {0:.3f} ({1:.3f} to {2:.3f}, p < 0.001)",
                NOBN,
                "regular",
                "train_loss",
                "g4",
            ),
        )
    ),
]


def test_accuracies_of_placements_of_photographs():
    columns, body = table("docs/evidence.md", "test accuracy (%), the mean of five seeds, of g4")
    for placement, cells in body.items():
        for model, cell in zip(columns, cells, strict=True):
            found = values("placement-cifar16", "test_accuracy", p=placement, m=model)
            normless = model == "g4" and placement in (NOBN, "plain")
            assert sorted(found) == [*range(4 if normless else 5)]
            alike(cell, float(np.mean([*found.values()])))


@pytest.mark.parametrize(("page", "sentence", "numbers"), SENTENCES)
def test_sentences(page, sentence, numbers):
    assert_said(page, sentence, numbers())
