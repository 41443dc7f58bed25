"""One grid of the matrix-free cycle on a device, in plain operations of torch: the same formulas as
the compiled sweeps of `mgtheory.matrixfree.kernels`, batched.

Tensors have the shape (systems, planes, rows, columns). Each operation passes over memory by
itself, so that this is the definition of a level and what runs where Triton does not;
`nets.pde.fused` has the three operations that cost the time as kernels. `DeviceLevel` is what every
level on a device shares, `TorchLevel` one with a constant stencil; `nets.pde.faces` has the one
where a coefficient varies.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mgtheory.matrixfree.operators import Operator, as_grid
from mgtheory.matrixfree.swept import SweptLevel, joined
from mgtheory.matrixfree.tables import (
    ADD,
    CACHED,
    KEEP,
    SET,
    ZERO,
    Grid,
    Tables,
    cubic,
    linear,
    restriction,
)
from mgtheory.problems.grids import Shape
from nets.models.checks import as_tensor

Array = NDArray[np.float64]
# an axis of the coarsest grid up to which products with a sine matrix take less than an FFT does
DENSE = 1024
NOTHING = torch.empty(0)


class Along(NamedTuple):
    """A transfer along one axis: target i is sum_q weights[q, i] source[first[i] + q].

    Attributes
    ----------
    first, weights
        Shapes (n,) and (taps, n), on the device; the places 32-bit whole numbers.
    size
        Of the source.
    """

    first: Tensor
    weights: Tensor
    size: int

    def __call__(self, v: Tensor, axis: int) -> Tensor:
        """The target of v along an axis."""
        shape = [1] * v.ndim
        shape[axis] = -1
        total: Tensor | None = None
        for q, weights in enumerate(self.weights):
            # beyond the source weights are 0
            index = (self.first + q).clamp(max=self.size - 1)
            part = v.index_select(axis, index) * weights.view(shape)
            total = part if total is None else total.add_(part)
        assert total is not None
        return total


Transfer = tuple[Along | None, ...]  # for planes, rows and columns; None on an axis left alone


@functools.lru_cache(maxsize=CACHED)
def transfer(
    make: Any, fine: Grid, coarse: Grid, up: bool, device: torch.device, dtype: torch.dtype
) -> Transfer:
    """A transfer of `mgtheory.matrixfree.tables` on a device, kept for the next set-up."""
    tables: Tables = make(fine, coarse)
    made: list[Along | None] = []
    for axis, (n, m) in enumerate(zip(fine, coarse, strict=True)):
        target, source = (n, m) if up else (m, n)
        weights = tables.weights[axis, :, :target]
        taps = 1 + int(np.flatnonzero(weights.any(axis=1)).max())
        made.append(
            Along(
                torch.from_numpy(tables.first[axis, :target].astype(np.int32)).to(device),
                torch.from_numpy(weights[:taps].copy()).to(device, dtype),
                source,
            )
            if n != m
            else None
        )
    return tuple(made)


def moved(v: Tensor, along: Transfer) -> Tensor:
    """The transfer of a tensor (systems, planes, rows, columns), in the order of the axes."""
    for axis, step in enumerate(along):
        if step is not None:
            v = step(v, axis + 1)
    return v


def add_neighbours(out: Tensor, v: Tensor, axis: int, factor: float = 1.0) -> Tensor:
    """out += factor times the sum of the two neighbours of v along an axis, 0 beyond the ends."""
    n = v.shape[axis]
    if n > 1:
        out.narrow(axis, 0, n - 1).add_(v.narrow(axis, 1, n - 1), alpha=factor)
        out.narrow(axis, 1, n - 1).add_(v.narrow(axis, 0, n - 1), alpha=factor)
    return out


def product(c: Array, v: Tensor) -> Tensor:
    """A v for the eight numbers of a stencil, see `mgtheory.matrixfree.operators`."""
    if c.ndim == 0:
        return float(c) * v
    axis = v.ndim - c.ndim
    out, beside = product(c[0], v), c[1]
    if beside.any():
        if not beside.ravel()[1:].any():
            add_neighbours(out, v, axis, float(beside.flat[0]))
        else:
            add_neighbours(out, product(beside, v), axis)
    return out


@functools.lru_cache(maxsize=CACHED)
def sines(n: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The orthonormal sine matrix of n points, kept for the next set-up."""
    k = torch.arange(1, n + 1, device=device)
    # the angle by whole numbers, below 2 pi
    turns = torch.outer(k, k).remainder_(2 * (n + 1))
    values = torch.sin(turns.to(torch.float64).mul_(math.pi / (n + 1)))
    return values.mul_(math.sqrt(2.0 / (n + 1))).to(dtype)


class SineTransform:
    """e = A^-1 r on the coarsest grid by the sine transform: products with sine matrices along axes
    of up to `DENSE` points, which tensor cores do in microseconds, and FFTs along longer ones.

    Raises
    ------
    ValueError
        If A is singular.
    """

    def __init__(self, c: Array, grid: Grid, device: torch.device, dtype: torch.dtype) -> None:
        self.grid, self.kind = grid, {"device": device, "dtype": dtype}
        eigenvalues = torch.from_numpy(np.asarray(c)).to(device)
        for n in grid:  # each takes the place of the first axis, at the end
            t = torch.arange(1, n + 1, device=device, dtype=torch.float64) * (math.pi / (n + 1))
            u = 2.0 * torch.cos(t)
            eigenvalues = eigenvalues[0, ..., None] + eigenvalues[1, ..., None] * u
        sizes = eigenvalues.abs()
        if float(sizes.min() / sizes.max()) <= 1e-14:
            raise ValueError("the coarsest operator is singular")
        self.inverse = eigenvalues.reciprocal_().to(dtype)

    def _transform(self, v: Tensor) -> Tensor:
        count, n0, _, n2 = v.shape
        for axis, n in enumerate(self.grid, start=1):
            if n == 1:
                continue
            if n > DENSE:
                v = long_transform(v, axis)
            elif axis == 1:
                v = (sines(n, **self.kind) @ v.reshape(count, n0, -1)).reshape(v.shape)
            elif axis == 2:
                v = sines(n, **self.kind) @ v
            else:
                v = (v.reshape(-1, n2) @ sines(n, **self.kind)).reshape(v.shape)
        return v

    def __call__(self, r: Tensor) -> Tensor:
        """A^-1 r."""
        return self._transform(self._transform(r) * self.inverse)


@functools.lru_cache(maxsize=4)  # each has a vector of its grid
def sine_transform(c: bytes, grid: Grid, device: torch.device, dtype: torch.dtype) -> SineTransform:
    """That of a stencil's eight numbers, kept for the next set-up."""
    return SineTransform(np.frombuffer(c).reshape(2, 2, 2).copy(), grid, device, dtype)


def long_transform(v: Tensor, axis: int) -> Tensor:
    """The orthonormal sine transform along an axis by an FFT of the odd continuation."""
    n = v.shape[axis]
    shape = [2 * (n + 1) if a == axis else m for a, m in enumerate(v.shape)]
    odd: Tensor = v.new_zeros(shape)
    odd.narrow(axis, 1, n).copy_(v)
    odd.narrow(axis, n + 2, n).copy_(v.flip(axis)).neg_()
    found: Tensor = torch.fft.rfft(odd, dim=axis).imag.narrow(axis, 1, n)
    return found * (-0.5 * math.sqrt(2.0 / (n + 1)))


def square_sum(r: Tensor) -> Tensor:
    """The square sum of each system, in float64."""
    norms: Tensor = torch.linalg.vector_norm(r.flatten(1), dim=1, dtype=torch.float64)
    return norms.square_()


class DeviceLevel(SweptLevel):
    """One grid on a device. A sweep is made of three operations, `smoothed`, `interpolated` and
    `residual`, which a faster kind of level has in kernels; the first and the last are here made of
    `step`, `rest` and `restricted`.

    Parameters
    ----------
    operator, coarse
        That of the grid, and the shape of the next coarser one; None on the coarsest.
    device, dtype
        Where and in which type its tensors are.

    Attributes
    ----------
    direct
        The solver of the coarsest grid.
    pattern
        Of two levels of equal grids and steps that differ in it, kernels are compiled for each.
    held_bytes
        What it holds of the operator for its sweeps, where that is as long as a vector.
    """

    how = "plain torch"
    pattern: str
    direct: Callable[[Tensor], Tensor] | None = None
    held_bytes = 0

    def __init__(
        self, operator: Any, coarse: Shape | None, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.shape, self.coarse, self.grid = operator.shape, coarse, as_grid(operator.shape)
        self.device, self.dtype = device, dtype
        self.release()

    @abstractmethod
    def step(self, x: Tensor | None, omega: float) -> Tensor:
        """A smoothing step from x (None is 0) without its momentum, a new tensor."""

    @abstractmethod
    def rest(self, x: Tensor | None) -> Tensor:
        """b - A x."""

    @abstractmethod
    def restricted(self, r: Tensor) -> Tensor:
        """R r."""

    @abstractmethod
    def interpolated(self, e: Tensor, *, full: bool, onto: Tensor | None) -> Tensor:
        """P e, or x + P e for x = `onto`, a new tensor; to the order of solutions if `full`."""

    def release(self) -> None:
        """Forget the tensors of a solve."""
        self.x = self.b = NOTHING

    def allocate(self, count: int) -> None:
        """Memory for the b of a coarse grid, of `count` systems; x is made when it is known."""
        self.b = torch.empty((count, *self.grid), device=self.device, dtype=self.dtype)

    def cut(self, factors: list[Array]) -> list[Array]:
        """One sweep of all steps."""
        return joined(factors, math.inf)

    def fitted(self, given: Any, name: str) -> Tensor:
        """A real array or tensor of shape (n,), that of the grid, or of several grids, as a tensor
        of the level's shape, device and type."""
        v = as_tensor(given, name)
        if v.shape[-len(self.shape) :] != self.shape and v.shape != (self.size,):
            raise ValueError(
                f"{name} has shape {tuple(v.shape)}, must be ({self.size},) or {self.shape}, with"
                " axes of systems before it or none"
            )
        return v.to(self.device, self.dtype).reshape(-1, *self.grid)

    def smoothed(self, x: Tensor | None, steps: Array) -> Tensor | None:
        """The last of x_i = step(x_{i-1}, omega) + mu (x_{i-1} - x_{i-2}), from x (None is 0)."""
        last = None
        for omega, mu in steps.tolist():
            new = self.step(x, omega)
            if mu and x is not None:
                new.add_(x if last is None else x - last, alpha=mu)
            x, last = new, x
        return x

    def residual(self, x: Tensor | None, to: Tensor | None, *, norm: bool) -> Tensor | float:
        """||b - A x||_2^2 of each system if `norm`; restricts the residual to `to`."""
        r = self.rest(x)
        if to is not None:
            to.copy_(self.restricted(r))
        return square_sum(r) if norm else 0.0

    def remainder(self, x: Tensor) -> tuple[Tensor, Any]:
        """b - A x, and its square sum of each system."""
        r = self.rest(x)
        return r, square_sum(r)

    def sweep(
        self,
        start: int,
        sweeps: list[Array],
        *,
        e: Any = None,
        full: bool = False,
        to: Any = None,
        write: int = 1,
        norm: bool = False,
    ) -> Any:
        """See `SweptLevel.sweep`; the square sums have the shape (systems,). Where x is written it
        is a new tensor."""
        x = None if start == ZERO else self.x
        if start in (SET, ADD):
            x = self.interpolated(e, full=full, onto=x if start == ADD else None)
        for steps in sweeps:
            x = self.smoothed(x, steps)
        square = self.residual(x, to, norm=norm) if norm or to is not None else 0.0
        if write:
            new = torch.zeros_like(self.b) if x is None else x
            self.x = new + self.x if write == 2 else new
        return square

    def solve(self, r: None = None, *, add: bool = False) -> int:
        """See `SweptLevel.solve`."""
        assert self.direct is not None
        new = self.direct(self.b)
        self.x = self.x + new if add else new
        return KEEP

    def add_b(self, factor: float) -> None:
        """See `SweptLevel.add_b`; a new tensor."""
        self.x = self.x.add(self.b, alpha=factor)


class TorchLevel(DeviceLevel):
    """One grid with a constant stencil on a device; a step is x + omega (b - A x)."""

    coarsest = "sine transform"

    def __init__(
        self, operator: Operator, coarse: Shape | None, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__(operator, coarse, device, dtype)
        self.c, self.largest = operator.c, float(np.abs(operator.c).max())
        self.pattern = self.c.astype(bool).tobytes().hex()
        if coarse is None:
            self.direct = sine_transform(self.c.tobytes(), self.grid, device, dtype)
        else:
            below = as_grid(coarse)
            self.P, self.C = (
                transfer(make, self.grid, below, True, device, dtype) for make in (linear, cubic)
            )
            self.R = transfer(restriction, self.grid, below, False, device, dtype)

    def step(self, x: Tensor | None, omega: float) -> Tensor:
        """See `DeviceLevel.step`."""
        r = self.rest(x)
        return omega * r if x is None else x.add(r, alpha=omega)

    def rest(self, x: Tensor | None) -> Tensor:
        """See `DeviceLevel.rest`."""
        b: Tensor = self.b
        return b if x is None else b - product(self.c, x)

    def restricted(self, r: Tensor) -> Tensor:
        """See `DeviceLevel.restricted`."""
        return moved(r, self.R)

    def interpolated(self, e: Tensor, *, full: bool, onto: Tensor | None) -> Tensor:
        """See `DeviceLevel.interpolated`; cubic if `full`."""
        # the longest axis of memory last: the others are done on smaller grids
        step = moved(e, self.C if full else self.P)
        return step if onto is None else step.add_(onto)
