"""What docs/evidence.md and docs/choosing.md say of the study of steps is what its rows say:
differences of two steps with their intervals, and the best of each over its rates."""

import pytest

from .from_rows import NOBN, alike, assert_said, difference, mean, table

COMPLEX = "g4 of complex pairs"
EVIDENCE, CHOOSING = "docs/evidence.md", "docs/choosing.md"
RATES = (0.005, 0.02, 0.04, 0.08)
ACCURACY = "test_accuracy"
# page, sentence, the two that differ
STEPS = [
    (
        EVIDENCE,
        "q4 is {0:.3f} below q2, {1:.3f} to {2:.3f}, and",
        ("q2", NOBN, 0.04),
        ("q4", NOBN, 0.04),
    ),
    (
        EVIDENCE,
        "with q2, {0:.3f} ({1:.3f} to {2:.3f}, p < 0.001 by itself)",
        ("q2", NOBN, 0.04),
        ("q2", "no_relu", 0.04),
    ),
    (
        EVIDENCE,
        "`regular` by {0:.3f} ({1:.3f} to {2:.3f}), and it is",
        ("g4", NOBN, 0.02),
        ("g4", "regular", 0.02),
    ),
    (
        EVIDENCE,
        "it is {0:.1f} points less accurate ({1:.1f} to {2:.1f}); at 0.08",
        ("g4", "regular", 0.02),
        ("g4", NOBN, 0.02),
        ACCURACY,
    ),
    (
        EVIDENCE,
        "`plain` is lower by {0:.3f} ({1:.3f} to {2:.3f}), that",
        ("g4", "plain", 0.02),
        (COMPLEX, "plain", 0.02),
    ),
    (
        EVIDENCE,
        "`relu_outside_nobn` by {0:.3f} at 0.04 ({1:.3f} to {2:.3f})",
        ("g4", NOBN, 0.04),
        (COMPLEX, NOBN, 0.04),
    ),
    (
        EVIDENCE,
        "and {0:.1f} points are gained ({1:.1f} to {2:.1f})",
        (COMPLEX, NOBN, 0.04),
        ("g4", NOBN, 0.04),
        ACCURACY,
    ),
    (
        EVIDENCE,
        "ahead by {0:.3f} ({1:.3f} to {2:.3f}), in accuracy",
        (COMPLEX, NOBN, 0.04),
        ("q4", NOBN, 0.04),
    ),
    (
        EVIDENCE,
        "in accuracy by {0:.1f} points ({1:.1f} to {2:.1f})",
        ("q4", NOBN, 0.04),
        (COMPLEX, NOBN, 0.04),
        ACCURACY,
    ),
    (
        EVIDENCE,
        "come to the same ({0:.3f}, {1:.3f} to {2:.3f})",
        (COMPLEX, "regular", 0.04),
        ("g4", "regular", 0.04),
    ),
    (
        EVIDENCE,
        "are ahead by {0:.3f} ({1:.3f} to {2:.3f} at 0.02)",
        (COMPLEX, "no_relu", 0.02),
        ("g4", "no_relu", 0.02),
    ),
    (
        EVIDENCE,
        "it is {0:.3f} below q8 in `relu_outside_nobn` ({1:.3f} to {2:.3f}, by itself)",
        ("q8", NOBN, 0.04),
        ("g6", "regular", 0.04),
    ),
    (
        EVIDENCE,
        "and {0:.1f} points less accurate ({1:.1f} to {2:.1f}: not decided)",
        ("q8", NOBN, 0.04),
        ("g6", "regular", 0.04),
        ACCURACY,
    ),
    (
        CHOOSING,
        "ten epochs is {0:.3f} lower than in `relu_outside_nobn`",
        ("g4", NOBN, 0.02),
        ("g4", "regular", 0.02),
    ),
    (
        CHOOSING,
        "{0:.1f} points more accurate",
        ("g4", "regular", 0.02),
        ("g4", NOBN, 0.02),
        ACCURACY,
    ),
    (
        CHOOSING,
        "of those of g4 the loss is {0:.3f} lower",
        ("g4", NOBN, 0.04),
        (COMPLEX, NOBN, 0.04),
    ),
    (
        CHOOSING,
        "loss of q2 is {0:.3f} lower than in",
        ("q2", NOBN, 0.04),
        ("q2", "no_relu", 0.04),
    ),
]


@pytest.mark.parametrize(("page", "sentence", "differ"), [(*one[:2], one[2:]) for one in STEPS])
def test_sentences(page, sentence, differ):
    """The difference of two (model, placement, rate)."""
    first, second, *measure = differ
    one, other = ({"model": m, "p": p, "lr": lr} for m, p, lr in (first, second))
    numbers = difference("steps-digits", one, other, *(measure or ["train_loss"]))
    assert_said(page, sentence, numbers)


@pytest.mark.parametrize(
    ("sentence", "first", "second"),
    [
        ("{0:.1f} points more than of symmetric ones ({1:.1f} to {2:.1f})", COMPLEX, "g4"),
        ("{0:.1f} less than q2 ({1:.1f} to {2:.1f})", "q2", COMPLEX),
    ],
)
def test_complex_pairs_on_cifar16(sentence, first, second):
    numbers = difference("steps-cifar16", {"model": first}, {"model": second})
    assert_said(EVIDENCE, sentence, numbers)


def best(model, placement):
    """The lowest mean loss over the rates."""
    where = {"model": model, "p": placement}
    return min(mean("steps-digits", "train_loss", lr=lr, **where) for lr in RATES)


def test_the_best_rates_of_steps():
    columns, body = table(EVIDENCE, "Each at its best rate")
    for placement, cells in body.items():
        for model, cell in zip(columns, cells, strict=True):
            alike(cell, best(model, placement))


def test_the_theory_of_symmetric_pairs():
    bare = "a loss of {0:.3f} in `relu_outside_nobn`, of two complex pairs to {1:.3f}"
    assert_said("docs/theory.md", bare, [best("g4", NOBN), best(COMPLEX, NOBN)])
    for model in ("g4", COMPLEX):
        assert_said("docs/theory.md", "both come to {0:.3f}", [best(model, "regular")])


def spans(study, measure, names):
    """The least and the largest mean of these networks."""
    means = [mean(study, measure, m=name) for name in names]
    return min(means), max(means)


def test_degrees():
    page, small, photographs = "docs/evidence.md", "degree-digits", "degree-cifar16"
    losses = [mean(small, "train_loss", m=name) for name in ("q2", "q4", "q8", "q16")]
    assert_said(page, "linear steps {:.3f} (q2), {:.3f} (q4), {:.3f} (q8), {:.3f} (q16)", losses)
    high = [mean(small, "train_loss", m=name) for name in ("p8", "g8")]
    assert_said(page, "at equal degree (p8 {:.3f}, g8 {:.3f})", high)
    linear, quadratic = ("q2", "q4", "q8", "q16", "p2", "p4", "p8"), ("g4", "g6", "g8")
    for sentence, names in (
        ("with a loss of {:.3f} to {:.3f} and {:.1f} to {:.1f} %, q8", linear),
        ("quadratic steps, {:.3f} to {:.3f} and {:.1f} to {:.1f} %, behind", quadratic),
    ):
        measures = ("train_loss", "test_accuracy")
        numbers = [x for measure in measures for x in spans(photographs, measure, names)]
        assert_said(page, sentence, numbers)
    less = difference(photographs, {"m": "q2"}, {"m": "q8"})
    assert_said(page, "q8 with {:.1f} points less than q2 ({:.1f} to {:.1f} by itself)", less)
    pair = difference(photographs, {"m": "g8"}, {"m": "q8"}, "train_loss")
    assert_said(page, "g8 by {:.3f} behind q8 ({:.3f} to {:.3f}, p = 0.002 after Holm)", pair)
    assert 9 * pair[-1] < 0.0025  # the smallest of nine, times their number
