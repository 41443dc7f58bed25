"""Bursts of the gradient, told from what training measures anyway: a few steps in which weights are
thrown away, after which the run goes on from a worse place and says nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

# of the training accuracy from an epoch to the next: more than a rate's rise costs, and than three
# standard deviations, sqrt(1/(2 n)) at most, of the difference of two such parts of n images
FALL, DEVIATIONS = 0.05, 3.0
RISE = 5.0  # of the rate, as where a run is made longer: its first epoch is to fall back
BEYOND = 10.0  # times the loss of guessing: more than a network costs that is too sure of itself


def bursts(
    rows: Sequence[Mapping[str, Any]],
    *,
    clip: float,
    images: int,
    classes: int,
    test_loss: float | None = None,
    test_accuracy: float | None = None,
) -> Iterator[str]:
    """What a user is told of them at the end of a run, a line each.

    rows: of metrics.csv, one an epoch. images: of the training part. classes: C; to guess costs a
    loss of ln C. A mean test loss of more than 10 ln C beside an accuracy above 1/C is that of an
    immense output, after a burst on few images, larger there than on all others by orders of
    magnitude; which it is, a mean does not say."""
    advice = f"a smaller optim.clip (it is {clip:g})" if clip else "clipping it (optim.clip=2, say)"
    least = max(FALL, DEVIATIONS * math.sqrt(0.5 / images))
    for before, row in pairwise(rows):
        old, new = before["train_accuracy"], row["train_accuracy"]
        again = row["lr"] > RISE * before["lr"]
        if new < old - least and row["train_loss"] > before["train_loss"] and not again:
            yield (
                f"training fell back in epoch {row['epoch']:.0f}, from {100 * old:.1f} to"
                f" {100 * new:.1f} % of its images and from a loss of {before['train_loss']:.3f} to"
                f" {row['train_loss']:.3f}, as after a burst of the gradient; {advice} or a smaller"
                f" optim.lr may prevent one"  # with AdamW a clip of every step changes nothing
            )
            break
    if test_loss is None or test_accuracy is None or test_accuracy <= 1 / classes:
        return
    if test_loss > BEYOND * math.log(classes):
        yield (
            f"the mean test loss is {test_loss:.3g}, where to guess costs {math.log(classes):.2f},"
            f" though {100 * test_accuracy:.1f} % are right: the network's output is immense,"
            " perhaps on few images alone; what its levels amplify by, polymgnet analyze says"
        )
