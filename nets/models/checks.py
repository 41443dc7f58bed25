"""What public functions refuse in one line before torch does in its own words."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mgtheory._checks import check_kind


def check_images(images: Any, name: str = "images") -> None:
    """ValueError for what is no tensor, such as an array of NumPy, or has values that are not
    finite."""
    check_kind(images, Tensor, name, "a tensor, as the network takes it (torch.from_numpy(array))")
    if not images.isfinite().all():
        raise ValueError("the images have values that are not finite, which no start can go by")


def check_generator(generator: Any) -> None:
    """ValueError for what draws no random numbers, such as a seed; None is torch's own."""
    if generator is not None:
        what = "a torch.Generator, as torch.Generator().manual_seed(seed) gives, or None"
        check_kind(generator, torch.Generator, "generator", what)
