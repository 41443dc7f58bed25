"""Which images a step sees: how many steps an epoch has, and every rank's share of each batch."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from nets.data.counter import keyed_order
from nets.settings import TrainSection

__all__ = ["shares", "steps_per_epoch"]


def steps_per_epoch(section: TrainSection, count: int, world: int) -> int:
    """Steps an epoch: the last, smaller batch counts unless it is dropped or leaves a rank or ghost
    group less than two images.

    Parameters
    ----------
    count
        Training images.
    world
        Ranks.

    Raises
    ------
    ValueError
        For a batch size that leaves a rank or ghost group less than two images, or that no batch
        reaches.
    """
    parts = world * section.ghost_groups
    if section.batch_size < 2 * parts:
        raise ValueError(
            f"train.batch_size is {section.batch_size}; {parts} ranks and ghost groups need at"
            " least 2 images each"
        )
    full, tail = divmod(count, section.batch_size)
    steps = full + (section.last_batch == "keep" and tail >= 2 * parts)
    if not steps:
        raise ValueError(
            f"the training part has {count} images: no batch of {section.batch_size} with"
            f" train.last_batch={section.last_batch}"
        )
    return steps


def shares(
    samples: Tensor,
    *,
    seed: int,
    epoch: int,
    size: int,
    steps: range,
    world: int = 1,
    rank: int = 0,
) -> Iterator[tuple[Tensor, Tensor, int]]:
    """(the rank's samples, their partners, size of the whole batch) of the given steps of an epoch.

    The samples are in the epoch's order (`nets.data.counter.keyed_order`), a rank's share is a
    contiguous part of the batch, and the partner of a sample, for mixing, is the one that follows
    it.
    """
    order = keyed_order(samples, seed=seed, epoch=epoch)
    following = order.roll(-1)
    for step in steps:
        part = slice(step * size, (step + 1) * size)
        batch, partners = order[part], following[part]
        yield batch.tensor_split(world)[rank], partners.tensor_split(world)[rank], len(batch)
