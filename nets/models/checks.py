"""What public functions refuse in one line before torch does in its own words."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mgtheory._checks import check_kind, check_unmasked

NUMBERS = (torch.float64, torch.float32, torch.int32, torch.int64)


def as_tensor(given: Any, name: str, device: torch.device | str = "cpu") -> Tensor:
    """Real numbers of a caller as a tensor: a tensor as it is, what speaks DLPack where it lies,
    and an array of NumPy, or a list, on `device`; ValueError for other types and masked entries."""
    if not isinstance(given, Tensor) and (
        isinstance(given, np.ndarray) or not hasattr(given, "__dlpack__")
    ):
        check_unmasked(given, name)
        array = np.ascontiguousarray(given)  # torch knows no negative strides
        if array.dtype.kind not in "iuf":
            raise ValueError(f"{name} has type {array.dtype}, must be real")
        kept = array.dtype in (np.float32, np.float64) and array.flags.writeable
        return torch.from_numpy(array if kept else array.astype(np.float64)).to(device)
    tensor: Tensor = given if isinstance(given, Tensor) else torch.utils.dlpack.from_dlpack(given)
    if tensor.dtype not in NUMBERS:
        raise ValueError(f"{name} has type {tensor.dtype}, must be of 32 or 64 bits")
    return tensor


def on_cpu(device: torch.device | str | int | None) -> AbstractContextManager[Any]:
    """Where a module is made that goes to `device`: on the CPU, whatever torch's default is; with
    None there."""
    return nullcontext() if device is None else torch.device("cpu")


def check_numbers(module: nn.Module) -> None:
    """ValueError for one with weights on the device ``meta``."""
    if any(parameter.is_meta for parameter in module.parameters()):
        raise ValueError(
            "weights are on the device meta, where they have no numbers: make the network on"
            " another device, and give it its weights, before it is started"
        )


def check_images(images: Any, name: str = "images") -> None:
    """ValueError for what is no tensor, such as an array of NumPy, or has no values, as on the
    device ``meta``, or some that are not finite."""
    check_kind(images, Tensor, name, "a tensor, as the network takes it (torch.from_numpy(array))")
    if images.is_meta:
        raise ValueError("the images are on the device meta, where they have no values to start by")
    if not images.isfinite().all():
        raise ValueError("the images have values that are not finite, which no start can go by")


def check_generator(generator: Any) -> None:
    """ValueError for what draws no random numbers, such as a seed; None is torch's own."""
    if generator is not None:
        what = "a torch.Generator, as torch.Generator().manual_seed(seed) gives, or None"
        check_kind(generator, torch.Generator, "generator", what)
