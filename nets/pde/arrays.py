"""A caller's arrays as tensors of a level's device, and back: of torch, of NumPy, or of any library
that speaks DLPack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

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
        For another type, device or shape.
    """
    v, back, device = given, _back(given), finest.device
    if not isinstance(v, Tensor):
        if hasattr(v, "__dlpack__") and not isinstance(v, np.ndarray):
            v = torch.utils.dlpack.from_dlpack(v)
        else:
            array = np.ascontiguousarray(v)  # torch knows no negative strides
            if array.dtype.kind not in "iuf":
                raise ValueError(f"{name} has type {array.dtype}, must be real")
            kept = array.dtype in (np.float32, np.float64) and array.flags.writeable
            v = torch.from_numpy(array if kept else array.astype(np.float64)).to(device)
    if v.device != device:
        raise ValueError(
            f"{name} is on {v.device}, the hierarchy on {device}: take"
            f" {name}.to({str(device)!r}), or build with device={str(v.device)!r}"
        )
    if v.dtype not in (*DTYPES.values(), torch.int32, torch.int64):
        raise ValueError(f"{name} has type {v.dtype}, must be float64 or float32")
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
