"""Numbers of README, docs/evidence.md and docs/choosing.md that compare networks are those of the
study of networks: tables cell by cell, and differences of two with their intervals."""

from collections import Counter

import numpy as np
import pytest

from .from_rows import alike, assert_said, difference, half, mean, rows, table, values

WIDTHS = {
    "half of the width": "width 1/2",
    "0.3 of the width": "width 0.3",
    "0.7 of the width": "width 0.7",
    "1.4 of the width": "width 1.4",
    "3/16 of the width": "width 3/16",
    "an eighth of the width": "width 1/8",
    "as few weights": "as few weights",
    "width 16": "",
    "width 7: as few weights": "width 7",
}


def network(row):
    """The name in the rows of what a table calls a network."""
    name, *rest = row.replace(" with no_relu", ", no_relu").split(", ")
    quarter = [part for part in rest if part != "a quarter of the width"]
    return ", ".join(part for part in [name, *(WIDTHS.get(part, part) for part in quarter)] if part)


@pytest.mark.parametrize(
    ("page", "before", "study", "unit"),
    [
        ("docs/evidence.md", "(30 epochs of 36 steps, ten seeds", "pareto-digits", 1e3),
        ("docs/evidence.md", "**On the digits**, trained to the end", "pareto-digits", 1e3),
        ("README.md", "| trained to the end, ten seeds", "pareto-digits", 1e3),
        ("docs/evidence.md", "CIFAR-10 at 16 × 16, a quarter of the width", "pareto-cifar16", 1e6),
        ("README.md", "| photographs of 16 × 16", "pareto-cifar16", 1e6),
    ],
)
def test_networks_against_their_costs(page, before, study, unit):
    columns, body = table(page, before)
    for row, cells in body.items():
        where = {"model": network(row)}
        measured = [r for r in rows(study) if r["point"]["model"] == where["model"]]
        alike(cells[0], measured[0]["parameters"])
        alike(cells[1], measured[0]["flops_per_image"] / unit)
        sample = list(values(study, "test_accuracy", **where).values())
        alike(cells[2].partition(" ± ")[0], float(np.mean(sample)))
        if " ± " in cells[2]:
            alike(cells[2].partition(" ± ")[2], half(sample))
        else:
            assert len(sample) == 1
        if columns[-1] == "training loss":
            alike(cells[3], mean(study, "train_loss", **where))
        if columns[-1] == "seeds":
            assert cells[3] == f"{len(sample)}"


MGNET = {"model": "MgNet, as few weights"}
FEW, MORE = {"model": "q4, no_relu"}, {"model": "q4, no_relu, width 1/2"}
RESNET = {
    k: {"model": f"ResNet-18{k and f', {k}'}"}
    for k in ("", "separable", "separable, width 3/16", *WIDTHS.values())
}
SEPARABLE = {"model": "q4, no_relu, separable, width 1/2"}
WIDER = {"model": "q4, no_relu, separable, width 0.7"}
TWO = {"model": "q2, no_relu, separable, width 0.7"}
WIDE_TWO = {"model": "q2, no_relu, separable, width 1.4"}
FASTER = {"model": "ResNet-18, as few weights, rate 0.3"}
SEPARABLE_MGNET = {"model": "MgNet, separable, width 0.3"}
SMALL_MGNET = {"model": "MgNet, separable"}
SMALL_PAIR = {"model": "q4, separable"}, {"model": "ResNet-8, separable, width 8"}


def narrower():
    """How many more weights narrower dense networks on the digits have than separable ones, and by
    how much their loss is lower."""
    for separable, dense in (
        ("q4, separable, width 36", "q4"),
        ("q4, separable", "q4, width 8"),
        ("ResNet-8, separable", "ResNet-8, width 7"),
        ("ResNet-8, separable, width 8", "ResNet-8, width 4"),
    ):
        few, more = (
            next(r for r in rows("pareto-digits") if r["point"]["model"] == name)["parameters"]
            for name in (separable, dense)
        )
        pair = {"model": separable}, {"model": dense}
        loss, accuracy = (difference("pareto-digits", *pair, k) for k in MEASURES)
        assert loss[-1] < 0.006
        assert accuracy[1] < 0 < accuracy[2]
        yield more / few - 1, loss


def accuracy(model):
    return mean("pareto-cifar16", "test_accuracy", model=model)


def among_all(first, second):
    """Their difference and its p-value, by itself and after Holm over those of `first` from every
    network with two seeds: the largest of (m - k) p_k up to it, the smallest p first."""
    names = Counter(row["point"]["model"] for row in rows("pareto-cifar16"))
    others = [{"model": name} for name, n in names.items() if n > 1 and name != first["model"]]
    ordered = sorted(difference("pareto-cifar16", first, other)[-1] for other in others)
    own = difference("pareto-cifar16", first, second)
    grown = [(len(ordered) - k) * p for k, p in enumerate(ordered) if p <= own[-1]]
    return *own, min(1.0, max(grown))


MEASURES = "train_loss", "test_accuracy"
# page, sentence with the numbers that are computed, and they
SENTENCES = [
    (
        "docs/evidence.md",
        "is {0:.2f} points behind, with an interval from {1:.2f} behind to {2:.2f} ahead",
        lambda: np.multiply(
            difference("pareto-digits", {"model": "q8"}, {"model": "ResNet-8"}), (-1, -1, 1, 1)
        ),
    ),
    (
        "docs/evidence.md",
        "q4 is {0:.1f} points above ResNet-8 ({1:.1f} to {2:.1f}, p = {3:.2f} by itself)",
        lambda: difference("pareto-digits", *SMALL_PAIR),
    ),
    (
        "docs/evidence.md",
        "a loss that is lower by {0:.3f} ({1:.3f} to {2:.3f});",
        lambda: difference("pareto-digits", *reversed(SMALL_PAIR), "train_loss"),
    ),
    (
        "docs/evidence.md",
        "is {0:.1f} points above q4 ({1:.1f} to {2:.1f}, p = {3:.2f} by itself) with a loss",
        lambda: difference("pareto-digits", SMALL_MGNET, SMALL_PAIR[0]),
    ),
    (
        "docs/evidence.md",
        "loss that is lower by {0:.3f} ({1:.3f} to {2:.3f}), eight per cent",
        lambda: difference("pareto-digits", SMALL_PAIR[0], SMALL_MGNET, "train_loss"),
    ),
    (
        "docs/evidence.md",
        "with eleven thousand they are not told apart ({0:.1f} points, {1:.1f} to {2:.1f})",
        lambda: difference(
            "pareto-digits",
            {"model": "q4, separable, width 36"},
            {"model": "ResNet-8, separable"},
        ),
    ),
    (
        "docs/evidence.md",
        "of {0:.0f} to {1:.0f} % more weights,",
        lambda: np.sort([100 * more for more, _ in narrower()])[[0, -1]],
    ),
    (
        "docs/evidence.md",
        "have a loss that is lower by {0:.3f} to {1:.3f}",
        lambda: np.sort([lower[0] for _, lower in narrower()])[[0, -1]],
    ),
    *(
        (page, sentence, lambda: difference("pareto-cifar16", MGNET, FEW))
        for page, sentence in (
            ("README.md", "weights**, by {0:.1f} points ({1:.1f} to {2:.1f}, p = {3:.2f} by"),
            (
                "docs/evidence.md",
                "`no_relu` by {0:.1f} points ({1:.1f} to {2:.1f}, by itself p = {3:.2f}), at 92",
            ),
            ("docs/choosing.md", "MgNet is {0:.1f} points ahead of q4 ({1:.1f} to {2:.1f})"),
        )
    ),
    *(
        (page, sentence, lambda: difference("pareto-cifar16", WIDER, FEW))
        for page, sentence in (
            ("README.md", "gain q4 {0:.1f} ({1:.1f} to {2:.1f});"),
            ("docs/evidence.md", "width is {0:.1f} points above the dense q4 of 92 thousand"),
            (
                "docs/evidence.md",
                "({1:.1f} to {2:.1f}, p = {3:.2f} by itself). q2 of as many",
            ),
            ("docs/choosing.md", "{0:.1f} points above the dense q4 ({1:.1f} to {2:.1f});"),
        )
    ),
    (
        "docs/evidence.md",
        "is {0:.1f} points ahead of that ({1:.1f} to {2:.1f}, p = {3:.2f} by itself)",
        lambda: difference("pareto-cifar16", FEW, FASTER),
    ),
    (
        "README.md",
        "rate the last network comes to {0:.1f} ± {1:.1f}",
        lambda: [
            accuracy(FASTER["model"]),
            half(list(values("pareto-cifar16", "test_accuracy", **FASTER).values())),
        ],
    ),
    (
        "docs/evidence.md",
        "comes to what MgNet has ({0:.1f} behind, {1:.1f} to {2:.1f})",
        lambda: difference("pareto-cifar16", MGNET, WIDER),
    ),
    *(
        (page, sentence, lambda: difference("pareto-cifar16", SEPARABLE_MGNET, WIDER))
        for page, sentence in (
            ("README.md", "is then {0:.1f} ahead of it ({1:.1f} to {2:.1f}: not"),
            ("docs/evidence.md", "and is {0:.1f} points behind a separable MgNet of as many"),
            ("docs/evidence.md", "a third more operations ({1:.1f} to {2:.1f}: not"),
        )
    ),
    (
        "docs/evidence.md",
        "is not decided ({0:.1f} points, {1:.1f} less to {2:.1f} more)",
        lambda: np.abs(difference("pareto-cifar16", SEPARABLE_MGNET, MGNET)),
    ),
    (
        "docs/evidence.md",
        "times its operations, is {0:.1f} points below that mean in one run",
        lambda: [accuracy("ResNet-18, width 1/2") - accuracy("q4, no_relu, separable, width 1.4")],
    ),
    (
        "docs/evidence.md",
        "0.4 times, {0:.1f} behind it ({1:.1f} to",
        lambda: difference("pareto-cifar16", RESNET["width 1/2"], WIDE_TWO),
    ),
    (
        "docs/evidence.md",
        "{2:.1f} in two pairs). Full width",
        lambda: difference("pareto-cifar16", RESNET["width 1/2"], WIDE_TWO),
    ),
    *(
        (page, sentence, lambda: difference("pareto-cifar16", TWO, RESNET["width 3/16"]))
        for page, sentence in (
            ("README.md", "more operations ({0:.1f} ahead, {1:.1f} to {2:.1f})"),
            ("docs/evidence.md", "is {0:.1f} points above the ResNet with 10 million ({1:.1f} to"),
            ("docs/evidence.md", "{2:.1f}), which has four times its weights"),
        )
    ),
    (
        "docs/evidence.md",
        "it is {0:.1f} points above the dense q4 ({1:.1f} to {2:.1f}) and",
        lambda: difference("pareto-cifar16", TWO, FEW),
    ),
    (
        "docs/evidence.md",
        "and {0:.1f} behind",
        lambda: difference("pareto-cifar16", WIDER, TWO),
    ),
    (
        "docs/evidence.md",
        "the separable one ({1:.1f} ahead to {2:.1f} behind, not decided)",
        lambda: np.abs(difference("pareto-cifar16", WIDER, TWO)),
    ),
    (
        "docs/choosing.md",
        "q2 has {0:.1f} % with 8 MFLOP an image, a ResNet-18 of four times the weights {1:.1f}",
        lambda: [accuracy(TWO["model"]), accuracy("ResNet-18, width 3/16")],
    ),
    (
        "README.md",
        "differ by {0:.1f} points (95 % interval {1:.1f} to {2:.1f}, p = {4:.3f} after Holm) and",
        lambda: among_all(FEW, RESNET["as few weights"]),
    ),
    (
        "docs/evidence.md",
        "(95 % interval {1:.1f} to {2:.1f}, p = {4:.3f} after Holm), q2 of 91",
        lambda: among_all(FEW, RESNET["as few weights"]),
    ),
    (
        "README.md",
        "and {0:.1f} ({1:.1f} to {2:.1f}, p = {3:.2f} by itself)",
        lambda: difference("pareto-cifar16", MORE, RESNET["width 3/16"]),
    ),
    (
        "README.md",
        "with twice its weights by {0:.1f} ({1:.1f} to {2:.1f})",
        lambda: difference("pareto-cifar16", MORE, RESNET[""]),
    ),
    (
        "README.md",
        "operations: by {0:.1f} points ({1:.1f} to {2:.1f}) at a quarter of the width",
        lambda: difference("pareto-cifar16", RESNET[""], FEW),
    ),
    (
        "README.md",
        "and by {0:.1f} ({1:.1f} to {2:.1f}) at half of it",
        lambda: difference("pareto-cifar16", RESNET["width 1/2"], MORE),
    ),
    *(
        (page, sentence, lambda one=one, other=other: difference("pareto-cifar16", one, other))
        for page, sentence, one, other in (
            (
                "README.md",
                "is nearer: {0:.1f} behind ({1:.1f} to {2:.1f})",
                FEW,
                RESNET["separable"],
            ),
            (
                "docs/evidence.md",
                "q4's operations by {0:.1f} ({1:.1f} to {2:.1f}, by itself p = {3:.3f})",
                {"model": "q2"},
                RESNET["as few weights"],
            ),
            (
                "docs/evidence.md",
                "is alike q2 ({0:.1f} points behind, {1:.1f} to {2:.1f})",
                {"model": "q2"},
                RESNET["separable"],
            ),
            (
                "docs/evidence.md",
                "it is {0:.1f} points above `relu_outside_nobn` ({1:.1f} to {2:.1f})",
                FEW,
                {"model": "q4, relu_outside_nobn"},
            ),
            (
                "docs/evidence.md",
                "and {0:.1f} above `regular` ({1:.1f} to {2:.1f})",
                FEW,
                {"model": "q4"},
            ),
            (
                "docs/evidence.md",
                "({0:.1f} ahead, {1:.1f} to {2:.1f})",
                {"model": "q2"},
                {"model": "q4"},
            ),
            (
                "docs/evidence.md",
                "is {0:.1f} points above the dense one of 100 thousand ({1:.1f} to {2:.1f}), and",
                RESNET["separable"],
                RESNET["as few weights"],
            ),
            (
                "docs/evidence.md",
                "and {0:.1f} behind q4 with `no_relu` and 92 thousand ({1:.1f} to {2:.1f})",
                FEW,
                RESNET["separable"],
            ),
            (
                "docs/evidence.md",
                "is {0:.1f} points behind it ({1:.1f} to {2:.1f}: not decided)",
                FEW,
                SEPARABLE,
            ),
            (
                "docs/evidence.md",
                "{0:.1f} points ahead of a separable ResNet-18 of 58 thousand ({1:.1f} to {2:.1f})",
                SEPARABLE,
                RESNET["separable, width 3/16"],
            ),
            (
                "docs/evidence.md",
                "and {0:.1f} ahead of that of 99 thousand ({1:.1f} to {2:.1f}, by itself)",
                SEPARABLE,
                RESNET["separable"],
            ),
            (
                "docs/choosing.md",
                "with 55 thousand {0:.1f} points behind ({1:.1f} to {2:.1f})",
                FEW,
                SEPARABLE,
            ),
            (
                "docs/choosing.md",
                "and {0:.1f} ahead of a ResNet-18 of separable convolutions",
                SEPARABLE,
                RESNET["separable, width 3/16"],
            ),
        )
    ),
    (
        "docs/choosing.md",
        "and q4 {0:.1f} points ahead of a ResNet-18 of as many weights",
        lambda: difference("pareto-cifar16", FEW, RESNET["as few weights"]),
    ),
    (
        "docs/choosing.md",
        "an eighth of its weights, by {0:.1f} points at a quarter of the width",
        lambda: difference("pareto-cifar16", RESNET[""], FEW),
    ),
    (
        "docs/choosing.md",
        "and {0:.1f} at half of it",
        lambda: difference("pareto-cifar16", RESNET["width 1/2"], MORE),
    ),
]


@pytest.mark.parametrize(("page", "sentence", "numbers"), SENTENCES)
def test_sentences(page, sentence, numbers):
    assert_said(page, sentence, numbers())
