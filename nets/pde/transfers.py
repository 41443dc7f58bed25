"""What the bridge's cycle has beside its levels: the stencil of a matrix, and transfers as
convolutions and products with small matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mgtheory.multigrid.transfer import INTERPOLATIONS
from mgtheory.problems.grids import Boundary
from mgtheory.problems.transfers import RESTRICTIONS

APPLY = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class GridTransfer(nn.Module):
    """R, full weighting by a convolution of stride 2, and P = 2^d R^T, linear interpolation, on the
    coarsened axes of a nested grid.

    On Dirichlet grids of odd size there is no padding: the first coarse point is the second fine
    one. On periodic grids of even size the padding is circular. `gain` multiplies R.
    """

    weight: Tensor

    def __init__(self, axes: Sequence[int], dim: int, *, periodic: bool, gain: float) -> None:
        super().__init__()
        self.dim, self.gain = dim, gain
        self.stride = tuple(2 if j in axes else 1 for j in range(dim))
        self.pad = [1 if periodic and s == 2 else 0 for s in self.stride]
        self.axes = tuple(axes)
        self.register_buffer("weight", self.full_weighting()[None, None])

    def full_weighting(self) -> Tensor:
        """The kernel of R, in float64."""
        return torch.from_numpy(RESTRICTIONS["full"](self.dim, self.axes).to_array())

    def restrict(self, r: Tensor) -> Tensor:
        """gain * R r."""
        # circular: the coarse points are the even fine ones
        padding = [p for q in reversed(self.pad) for p in (q, 0)]
        if any(padding):
            r = F.pad(r, padding, mode="circular")
        return self.gain * APPLY[self.dim](r, self.weight, stride=self.stride)

    def interpolate(self, e: Tensor) -> Tensor:
        """P e."""
        e = TRANSPOSED[self.dim](e, self.weight * math.prod(self.stride), stride=self.stride)
        for axis, pad in enumerate(self.pad, start=2):
            if pad:  # the first entry lies at index -1 and belongs to the last point
                first, inner, last = torch.split(e, [1, e.shape[axis] - 2, 1], axis)
                e = torch.cat([inner, last + first], axis)
        return e


def stencil_of(A: Any, shape: Sequence[int], *, periodic: bool) -> NDArray[np.float64]:
    """The 3^d stencil of a constant-coefficient matrix, read from its entries and checked on a
    random vector.

    Raises
    ------
    ValueError
        If the matrix is not such a stencil with zero (or periodic) continuation.
    """
    shape = tuple(int(n) for n in shape)
    index = np.arange(math.prod(shape)).reshape(shape)
    # -1, beyond the boundary, is the index of the 0 behind all values
    around = np.pad(index, 1, mode="wrap") if periodic else np.pad(index, 1, constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(around, (3,) * len(shape))
    neighbours = windows.reshape(index.size, -1)
    kernel = np.zeros(neighbours.shape[1])
    for k, column in enumerate(neighbours.T):
        inside = np.flatnonzero(column >= 0)
        if inside.size:  # else the neighbour lies outside for every point
            row = inside[0] if not periodic else index[tuple(n // 2 for n in shape)]
            kernel[k] = A[int(row), int(column[row])]
    x = np.append(np.random.default_rng(0).standard_normal(index.size), 0.0)
    atol = 1e-11 * np.abs(kernel).sum()
    constant = np.allclose(x[neighbours] @ kernel, A @ x[:-1], rtol=0, atol=atol)
    if (periodic and min(shape) < 3) or not constant:
        raise ValueError(
            f"on the grid {shape} the operator is no constant stencil of 3 points per axis, which"
            " the bridge needs"
        )
    return kernel.reshape((3,) * len(shape))


class Lift(nn.Module):
    """Quintic interpolation of solutions, as `mgtheory.Hierarchy` has it, along the coarsened axes
    of a grid one after the other."""

    def __init__(self, fine: Sequence[int], coarse: Sequence[int], boundary: Boundary) -> None:
        super().__init__()
        self.axes = [j for j, (n, m) in enumerate(zip(fine, coarse, strict=True)) if n != m]
        for j in self.axes:
            line = INTERPOLATIONS["quintic"](fine[j], coarse[j], boundary)
            # made for the sizes anew: a state that was stored before has none
            self.register_buffer(f"P{j}", torch.from_numpy(line.toarray()), persistent=False)

    def forward(self, v: Tensor) -> Tensor:
        """P v for v of shape (systems, 1, *coarse)."""
        for axis in (j + 2 for j in self.axes):
            line = getattr(self, f"P{axis - 2}").T
            v = torch.movedim(torch.movedim(v, axis, -1) @ line, -1, axis)
        return v
