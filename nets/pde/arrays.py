"""A caller's arrays as tensors of a level's device, and back: of torch, of NumPy, or of any library
that speaks DLPack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nets.models.checks import as_tensor
from nets.pde.levels import DeviceLevel

DTYPES = {"float64": torch.float64, "float32": torch.float32}


class Systems(NamedTuple):
    """Right-hand sides as a tensor (systems, planes, rows, columns), and what gives a tensor of
    theirs back in the caller's kind of array, shape and device."""

    values: Tensor
    back: Callable[[Tensor], Any]


def taken(given: Any, name: str, finest: DeviceLevel, dtype: torch.dtype | None = None) -> Systems:
    """Systems called `name` on the finest level's grid and device; in `dtype`, or by default in
    float32 where both they and the level are in that, else in float64.

    Raises
    ------
    ValueError
        For another type, device or shape, or entries that are masked.
    """
    back, device = _back(given), finest.device
    v = as_tensor(given, name, device)
    if v.device != device:
        raise ValueError(
            f"{name} is on {v.device}, the hierarchy on {device}: take"
            f" {name}.to({str(device)!r}), or build with device={str(v.device)!r}"
        )
    shape = tuple(v.shape)
    grids = shape[-len(finest.shape) :] == finest.shape and v.numel() > 0
    if shape != (finest.size,) and not grids:
        raise ValueError(
            f"{name} has shape {shape}, must be ({finest.size},) or {finest.shape}, or have"
            f" axes of one system or more before {finest.shape}"
        )
    if dtype is None:
        dtype = finest.dtype if v.dtype == torch.float32 else torch.float64
    values = v.detach().to(dtype).reshape(-1, *finest.grid).contiguous()
    return Systems(values, lambda x: back(x.reshape(shape)))


def _back(given: Any) -> Callable[[Tensor], Any]:
    """What makes an array like `given` of a tensor."""
    if isinstance(given, Tensor):
        return lambda x: x
    if hasattr(given, "__array_namespace__") and not isinstance(given, np.ndarray):
        space = given.__array_namespace__()  # DLPack, of any library of the array standard
        return lambda x: space.from_dlpack(x)
    if hasattr(given, "__dlpack__") and not isinstance(given, np.ndarray):
        return lambda x: x
    return lambda x: x.cpu().numpy()
