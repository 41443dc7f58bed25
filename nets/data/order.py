"""Random numbers by address, and which images a step sees.

What a sample draws depends on (seed, epoch, sample, draw) and on nothing else. A stateful generator
makes the numbers depend on how the work was cut into batches and ranks, and its state must be saved
to resume. Here every number is a hash of its address, computed on the tensor's device in 32-bit
integer arithmetic held in int64, so that a CPU, a GPU, one process or eight, and a run that was
killed and went on, all draw the same bits. The order of an epoch is made of the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor

from mgtheory.multigrid.solution import counted
from nets.settings import TrainSection

_MASK = 0xFFFFFFFF

Word = TypeVar("Word", int, Tensor)


def _mix(x: Word) -> Word:
    """x -> a bijection of 32-bit words with full avalanche (xor-shift, multiply, twice).

    The multipliers are the low-bias pair found by Ellis's search over this family; products wrap
    modulo 2^64, the low 32 bits are exact.
    """
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & _MASK
    x = x ^ (x >> 15)
    x = (x * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def keyed_word(*address: int) -> int:
    """A uniform 32-bit word of an address of integers, of which the low 32 bits count."""
    key = 0x9E3779B9
    for word in address:
        key = _mix(_mix(key ^ (word & _MASK)) + 0x85EBCA6B & _MASK)
    return key


def keyed_bits(samples: Tensor, count: int, *, seed: int, epoch: int, stream: int = 0) -> Tensor:
    """h(seed, epoch, stream, sample, draw) -> int64 tensor (n, count) of uniform 32-bit words, on
    the device of the sample numbers, int64 (n,).

    `stream` separates uses (order, augmentation, ...); seed, epoch and stream are any integers of
    at most 64 bits.
    """
    device = samples.device
    key = keyed_word(seed, seed >> 32, epoch, stream)
    rows = _mix(_mix((samples & _MASK) ^ key) ^ (samples >> 32 & _MASK))
    draws = _mix(torch.arange(1, count + 1, device=device) * 0x9E3779B1 & _MASK)
    return _mix(_mix(rows[:, None] ^ draws[None, :]) + key & _MASK)


def keyed_uniform(samples: Tensor, count: int, *, seed: int, epoch: int, stream: int = 0) -> Tensor:
    """U[0, 1) with 24 bits, float32 (n, count), addressed as in `keyed_bits`."""
    bits = keyed_bits(samples, count, seed=seed, epoch=epoch, stream=stream)
    return (bits >> 8).to(torch.float32) * 2.0**-24


def keyed_order(samples: Tensor, *, seed: int, epoch: int) -> Tensor:
    """The samples sorted by 62 hashed bits: an order of (seed, epoch), not of rank or history."""
    bits = keyed_bits(samples, 2, seed=seed, epoch=epoch)
    return samples[torch.argsort((bits[:, 0] >> 1 << 31) | (bits[:, 1] >> 1), stable=True)]


def steps_per_epoch(section: TrainSection, count: int, world: int) -> int:
    """Steps an epoch over `count` training images on `world` ranks: the last, smaller batch counts
    unless it is dropped or leaves a rank or ghost group less than two images.

    ValueError where a whole batch does so, or where there is none.
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
        fitting = fitting_batch(count, parts)
        raise ValueError(
            f"the training part has {counted(count, 'image')}: no batch of {section.batch_size}"
            f" with train.last_batch={section.last_batch}"
            + (f"; a batch_size that fits is {fitting}" if count >= fitting else "")
        )
    return steps


def fitting_batch(count: int, parts: int = 1) -> int:
    """The largest parts * 2^k, k >= 1, of which `count` images give 8 batches an epoch or more; 2
    images for each of the parts where there is none."""
    size = 2 * parts
    while 16 * size <= count:
        size *= 2
    return size


def one_step_an_epoch(section: TrainSection, count: int, world: int) -> str:
    """A line where an epoch is one step of the optimiser, with a batch that fits; else empty."""
    size = fitting_batch(count, world * section.ghost_groups)
    smaller = section.model_copy(update={"batch_size": size})
    steps = steps_per_epoch(smaller, count, world) if count >= size else 0
    if steps < 2 or steps_per_epoch(section, count, world) > 1:
        return ""
    return (
        f"an epoch is one step of the optimiser: train.batch_size is {section.batch_size} and"
        f" there are {count} images to train on; batch_size={size} makes it {steps} steps"
    )


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

    The samples are in the epoch's order (`keyed_order`), a rank's share is a
    contiguous part of the batch, and the partner of a sample, for mixing, is the one that follows
    it.
    """
    order = keyed_order(samples, seed=seed, epoch=epoch)
    following = order.roll(-1)
    for step in steps:
        part = slice(step * size, (step + 1) * size)
        batch, partners = order[part], following[part]
        yield batch.tensor_split(world)[rank], partners.tensor_split(world)[rank], len(batch)
