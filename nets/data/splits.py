"""Parts that a data set does not have, drawn by seed; the mean and deviation of its pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import is_number, plain


def check_fraction(value: Any, name: str) -> float:
    """A part of a whole, x with 0 <= x < 1."""
    value = plain(value)
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{name} is {value!r}, must be a number x with 0 <= x < 1")
    return float(value)


def stratified(
    labels: NDArray[np.int64], fraction: float, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rest, chosen), sorted: the same fraction in [0, 1) of every class by seed alone, rounded, at
    least one remains."""
    fraction = check_fraction(fraction, "fraction")
    rng = np.random.Generator(np.random.PCG64(seed))
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen[members[: min(round(fraction * len(members)), len(members) - 1)]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def cut(
    pool: NDArray[np.int64], labels: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rest, chosen) of a pool of images, see `stratified`."""
    rest, chosen = stratified(labels[pool], fraction, seed=seed)
    return pool[rest], pool[chosen]


def moments(
    images: NDArray[np.uint8], train: NDArray[np.int64]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per-channel mean and standard deviation of pixels / 255, exact, from histograms of bytes."""
    counts = np.zeros((images.shape[1], 256), np.int64)
    for start in range(0, len(train), 4096):
        block = images[train[start : start + 4096]]
        for channel in range(len(counts)):
            counts[channel] += np.bincount(block[:, channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    weights = counts / counts.sum(1, keepdims=True)
    mean = weights @ levels
    std = np.sqrt(np.maximum(weights @ levels**2 - mean**2, 1e-12))
    return tuple(mean.tolist()), tuple(std.tolist())
