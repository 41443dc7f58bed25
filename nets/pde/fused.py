"""The three operations of a level by Triton's kernels (`nets.pde.kernels`), each one pass over
memory: a smoothing of several degrees, interpolation with its sum, the residual with its
restriction and its norm.

A smoothing of k degrees is x <- Q x + P b, with Q = q(A) and P = p(A) known as stencils that reach
k and k - 1 points. Beyond a Dirichlet boundary a grid function is continued oddly, which every
symmetric stencil keeps, so that Q and P are the same stencils at every point.

Where the coefficient varies, Q and P are known nowhere: each degree is a pass, and so is the
residual with its norm; transfers, which follow the flux, are those of plain torch.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mgtheory.matrixfree.operators import as_grid
from mgtheory.matrixfree.swept import joined
from mgtheory.matrixfree.tables import CACHED, Grid, cubic, linear, restriction
from mgtheory.problems.grids import Shape
from nets.pde.faces import TorchFaceLevel
from nets.pde.kernels import flux, interpolate, restrict, smooth
from nets.pde.levels import TorchLevel, transfer

Array = NDArray[np.float64]
# degrees in one pass: beyond, reads of the first cache take longer than the memory saved
DEGREES = {1: 4, 2: 4, 3: 2}  # by the number of axes
# points of x that a restricted residual may be made of: more take as long to read as a second pass,
# and minutes to compile
MOST = 100
# points of a program at a time, its warps, and planes that a smoothing has on their way; not yet
# chosen by measurement (benchmarks/gpu.py --tune)
LANES, WARPS, UNROLL = 128, 4, 1
# planes of a program, the longest with so many programs that a large GPU has work for all
STRIPS, PROGRAMS = (32, 16, 8), 4096


def polynomials(c: Array, steps: Array) -> tuple[Array, Array]:
    """The stencils of Q and P, (2 k + 1)^3 and (2 k - 1)^3 points, extents 1 along unused axes, of
    the k steps (omega, mu) of `TorchLevel.smoothed`."""
    k = len(steps)
    radius = [k if c.take(1, axis).any() else 0 for axis in range(3)]
    full = c[np.ix_(*[(1, 0, 1) if r else (0,) for r in radius])]
    shape = [2 * r + 1 for r in radius]

    def times(v: Array) -> Array:
        out = np.zeros_like(v)
        around = np.pad(v, [(1, 1) if r else (0, 0) for r in radius])
        for place in np.argwhere(full):
            part = tuple(slice(i, i + n) for i, n in zip(place, shape, strict=True))
            out += full[tuple(place)] * around[part]
        return out

    unit = np.zeros(shape)
    unit[tuple(radius)] = 1.0
    q, p, before = unit, np.zeros(shape), None
    for omega, mu in steps:
        new = q - omega * times(q), p - omega * times(p) + omega * unit
        if mu and before is not None:
            new = new[0] + mu * (q - before[0]), new[1] + mu * (p - before[1])
        before, (q, p) = (q, p), new
    return q, p[tuple(slice(1, -1) if r else slice(None) for r in radius)]


class Smoothing(NamedTuple):
    """The steps of one pass as `smooth` takes them."""

    coefficients: Tensor
    constants: dict[str, int]


@functools.lru_cache(maxsize=16 * CACHED)
def smoothing(c: bytes, steps: bytes, device: torch.device, dtype: torch.dtype) -> Smoothing:
    """The `Smoothing` of a stencil's eight numbers and its steps, kept for the next set-up."""
    stencil = np.frombuffer(c).reshape(2, 2, 2)
    q, p = polynomials(stencil, np.frombuffer(steps).reshape(-1, 2))
    parts = [v[tuple(slice(n // 2, None) for n in v.shape)] for v in (q, p)]
    flat = torch.from_numpy(np.concatenate([v.ravel() for v in parts]))
    constants = {"K": len(steps) // 16, "REACH": reach(stencil)}
    for name, part in zip("KP", parts, strict=True):
        constants |= {f"{name}{axis}": n - 1 for axis, n in enumerate(part.shape)}
    return Smoothing(flat.to(device, dtype), constants)


@functools.lru_cache(maxsize=CACHED)
def table(c: bytes, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A stencil's eight numbers on a device, kept for the next set-up, which a copy would hold
    up."""
    return torch.frombuffer(bytearray(c), dtype=torch.float64).to(device, dtype)


def reach(c: Array) -> int:
    """The largest sum of offsets in a stencil of eight numbers."""
    return int(np.argwhere(c).sum(axis=1).max())


def block(grid: Grid) -> dict[str, int]:
    """Planes, rows and columns of a program, `LANES` points: a few of each where there are several
    axes, so that what lies around them is read once."""
    columns = LANES if grid[0] == grid[1] == 1 else min(LANES, 32)
    rows = 1 if grid[1] == 1 else LANES // columns // 2
    return {"TZ": LANES // columns // rows, "TY": rows, "TX": columns}


def programs(grid: Grid, tile: dict[str, int], systems: int) -> tuple[int, int]:
    """The programs that cover a grid with tiles, along columns first, and systems; a ValueError for
    more of these than a GPU has numbers for beside the first axis of its programs."""
    if systems >= 2**16:
        raise ValueError(
            f"{systems:,} systems at once, the kernels take 65,535: solve them in parts, or take"
            " kernels='torch'"
        )
    return math.prod(-(-n // t) for n, t in zip(grid, tile.values(), strict=True)), systems


def check_reach(shape: Shape, size: int) -> None:
    """Refuse a grid with as many numbers as the kernels' indices do not reach."""
    if size >= 2**31:
        raise ValueError(
            f"the grid {shape} has {size:,} numbers, the kernels reach 2^31 - 1: take"
            " kernels='torch'"
        )


class Axes(NamedTuple):
    """A transfer's tables as the kernels take them: of planes, rows and columns, each with the
    first point, the weights, and what counts in a norm, (taps, targets); and the numbers of taps.
    """

    tables: tuple[Tensor, ...]
    taps: dict[str, int]


@functools.lru_cache(maxsize=CACHED)
def axes(
    make: Any, fine: Grid, coarse: Grid, up: bool, device: torch.device, dtype: torch.dtype
) -> Axes:
    """The tables of a transfer (`nets.pde.levels.transfer`), of the identity on axes left alone;
    kept for the next set-up. A point counts where it is first met."""
    made, taps = list[Tensor](), dict[str, int]()
    for axis, along in enumerate(transfer(make, fine, coarse, up, device, dtype)):
        if along is None:
            first = torch.arange(fine[axis], dtype=torch.int32, device=device)
            weights = torch.ones((1, fine[axis]), device=device, dtype=dtype)
        else:
            first, weights = along.first, along.weights
        places, used = first.cpu().numpy()[:, None] + np.arange(len(weights)), weights.cpu().numpy()
        own = np.zeros(places.shape, dtype=np.int32)
        met = np.flatnonzero(used.T)
        own.flat[met[np.unique(places.flat[met], return_index=True)[1]]] = 1
        made += [first, weights.contiguous(), torch.from_numpy(own.T.copy()).to(device)]
        taps[f"T{axis}"] = len(weights)
    return Axes(tuple(made), taps)


class FusedLevel(TorchLevel):
    """A level whose three operations are kernels of Triton.

    Raises
    ------
    ValueError
        For a grid of 2^31 unknowns or more, which the kernels' indices do not reach.
    """

    how = "Triton"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        check_reach(self.shape, self.size)
        self.like = (self.device, self.dtype)
        self.stencil = table(self.c.tobytes(), *self.like)
        self.used = tuple(bool(self.c.take(1, axis).any()) for axis in range(3))
        self.constants = {
            "REACH": reach(self.c),
            **{f"R{a}": int(r) for a, r in enumerate(self.used)},
        }

    def cut(self, factors: list[Array]) -> list[Array]:
        """Join the steps of factors to passes of as many steps as `DEGREES` has; a pass reaches at
        most one point further than an axis has."""
        n = [n for n, used in zip(self.grid, self.used, strict=True) if used]
        return joined(factors, min(DEGREES[max(len(n), 1)], *(k + 1 for k in n), 99))

    def smoothed(self, x: Tensor | None, steps: Array) -> Tensor | None:
        """See `TorchLevel.smoothed`."""
        if not len(steps):
            return x
        done = smoothing(self.c.tobytes(), steps.tobytes(), *self.like)
        out = torch.empty_like(self.b)
        n0, n1, _ = self.grid
        columns = LANES if n1 == 1 else min(LANES, 32)
        tile = {"TZ": 1, "TY": LANES // columns, "TX": columns}
        lines = math.prod(programs((1, *self.grid[1:]), tile, len(out)))
        if n0 > 1:
            fit = [n for n in STRIPS if lines * -(-n0 // n) >= PROGRAMS]
            tile["TZ"] = fit[0] if fit else STRIPS[-1]
        smooth[programs(self.grid, tile, len(out))](
            self.b if x is None else x, self.b, out, done.coefficients, *self.grid,
            FROM_X=x is not None, **done.constants, **tile, UNROLL=UNROLL, num_warps=WARPS,
        )  # fmt: skip
        return out

    def interpolated(self, e: Tensor, *, full: bool, onto: Tensor | None) -> Tensor:
        """See `TorchLevel.interpolated`."""
        out, below = torch.empty_like(self.b), tuple(e.shape[1:])
        made = axes(cubic if full else linear, self.grid, below, True, *self.like)
        first = [t for i, t in enumerate(made.tables) if i % 3 < 2]
        tile = block(self.grid)
        interpolate[programs(self.grid, tile, len(out))](
            e, out if onto is None else onto, out, *first, *self.grid, *below,
            ADD=onto is not None, **made.taps, **tile, num_warps=WARPS,
        )  # fmt: skip
        return out

    def remainder(self, x: Tensor) -> tuple[Tensor, Any]:
        """See `TorchLevel.remainder`."""
        r = torch.empty_like(self.b)
        return r, self._restricted(x, self.b, r, norm=True)

    def residual(self, x: Tensor | None, to: Tensor | None, *, norm: bool) -> Tensor | float:
        """See `TorchLevel.residual`; restricted in the same pass where that takes few reads."""
        if x is not None and to is not None:
            made = axes(restriction, self.grid, tuple(to.shape[1:]), False, *self.like)
            points = math.prod(made.taps.values()) * int(
                (2 ** np.argwhere(self.c).sum(axis=1)).sum()
            )
            if points > MOST:
                r = torch.empty_like(self.b)
                square = self._restricted(x, self.b, r, norm=norm)
                self._restricted(None, r, to, norm=False)
                return square
        return self._restricted(x, self.b, to, norm=norm)

    def _restricted(
        self, x: Tensor | None, b: Tensor, to: Tensor | None, *, norm: bool
    ) -> Tensor | float:
        """R (b - A x) into `to`, R = I for one of this grid, and the square sums."""
        coarse = self.grid if to is None else as_grid(to.shape[1:])
        made = axes(restriction, self.grid, coarse, False, *self.like)
        tile = block(coarse)
        grid = programs(coarse, tile, len(b))
        partial = b.new_empty((len(b), grid[0]), dtype=torch.float64)
        restrict[grid](
            b if x is None else x, b, partial if to is None else to, partial,
            self.stencil, *made.tables, *self.grid, *coarse, FROM_X=x is not None,
            STORE=to is not None, NORM=norm, **self.constants, **made.taps, **tile, num_warps=WARPS,
        )  # fmt: skip
        return partial.sum(dim=1) if norm else 0.0


class FusedFaceLevel(TorchFaceLevel):
    """A level of -div(k grad u) whose smoothing steps and residuals are a kernel of Triton.

    Raises
    ------
    ValueError
        For a grid that the kernel's indices do not reach.
    """

    how = "Triton"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        check_reach(self.shape, max(k.numel() for k in self.k.faces if k is not None))

    def _passed(
        self, x: Tensor, out: Tensor | None, omega: float | None = None, *, norm: bool = False
    ) -> Tensor | float:
        """A step from x into `out`, or without omega the residual, and its square sums."""
        tile = block(self.grid)
        grid = programs(self.grid, tile, len(x))
        partial = x.new_empty((len(x), grid[0]), dtype=torch.float64)
        factor = table(np.float64(omega or 0.0).tobytes(), self.device, self.dtype)
        flux[grid](
            x, self.b, x if out is None else out, partial,
            *(x if k is None else k for k in self.k.faces), factor, *self.grid,
            **{f"A{axis}": k is not None for axis, k in enumerate(self.k.faces)},
            SMOOTH=omega is not None, STORE=out is not None, NORM=norm, **tile, num_warps=WARPS,
        )  # fmt: skip
        return partial.sum(dim=1) if norm else 0.0

    def step(self, x: Tensor | None, omega: float) -> Tensor:
        """See `DeviceLevel.step`."""
        if x is None:
            return super().step(x, omega)
        out = torch.empty_like(x)
        self._passed(x, out, omega)
        return out

    def remainder(self, x: Tensor) -> tuple[Tensor, Any]:
        """See `DeviceLevel.remainder`."""
        r = torch.empty_like(x)
        return r, self._passed(x, r, norm=True)

    def residual(self, x: Tensor | None, to: Tensor | None, *, norm: bool) -> Tensor | float:
        """See `DeviceLevel.residual`."""
        if x is None:
            return super().residual(x, to, norm=norm)
        if to is None:
            return self._passed(x, None, norm=norm)
        r = torch.empty_like(x)
        square = self._passed(x, r, norm=norm)
        to.copy_(self.restricted(r))
        return square
