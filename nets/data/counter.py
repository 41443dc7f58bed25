"""Counter-based random numbers: what a sample draws depends on (seed, epoch, sample, draw) and on
nothing else.

A stateful generator makes the numbers depend on how the work was cut into batches and ranks, and
its state must be saved to resume. Here every number is a hash of its address, computed on the
tensor's device in 32-bit integer arithmetic held in int64, so that a CPU, a GPU, one process or
eight, and a run that was killed and went on, all draw the same bits.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["keyed_bits", "keyed_order", "keyed_uniform"]

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


def keyed_bits(samples: Tensor, count: int, *, seed: int, epoch: int, stream: int = 0) -> Tensor:
    """h(seed, epoch, stream, sample, draw) -> int64 tensor (n, count) of uniform 32-bit words.

    Parameters
    ----------
    samples
        Sample numbers, int64 (n,), on the device where the result is wanted.
    count
        Draws for each sample.
    seed, epoch, stream
        The address; `stream` separates uses (order, augmentation, ...). Any integers of at most 64
        bits.
    """
    device = samples.device
    key = 0x9E3779B9
    for word in (seed, seed >> 32, epoch, stream):
        key = _mix(_mix(key ^ (word & _MASK)) + 0x85EBCA6B & _MASK)
    rows = _mix(_mix((samples & _MASK) ^ key) ^ (samples >> 32 & _MASK))
    draws = _mix(torch.arange(1, count + 1, device=device) * 0x9E3779B1 & _MASK)
    return _mix(_mix(rows[:, None] ^ draws[None, :]) + key & _MASK)


def keyed_uniform(samples: Tensor, count: int, *, seed: int, epoch: int, stream: int = 0) -> Tensor:
    """U[0, 1) with 24 bits, float32 (n, count), addressed as in `keyed_bits`."""
    return (keyed_bits(samples, count, seed=seed, epoch=epoch, stream=stream) >> 8).to(
        torch.float32
    ) * 2.0**-24


def keyed_order(samples: Tensor, *, seed: int, epoch: int, stream: int = 0) -> Tensor:
    """The samples in random order: sorted by 62 hashed bits, so that the order depends on (seed,
    epoch) and not on rank or history."""
    bits = keyed_bits(samples, 2, seed=seed, epoch=epoch, stream=stream)
    return samples[torch.argsort((bits[:, 0] >> 1 << 31) | (bits[:, 1] >> 1), stable=True)]
