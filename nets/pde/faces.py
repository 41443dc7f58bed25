"""-div(k grad u) on a device, in plain operations of torch: k on the faces of every grid, transfers
that follow the flux, and the level that smooths with them. The formulas are those of
`mgtheory.matrixfree.kernels.faces`, batched.

Where every point has a stencil of its own, no power of A is known beforehand, and several degrees
are no single pass over memory, as they are where it is constant: with d axes each degree moves
8 + 8 d vectors here, and 3 + d in the kernel of `nets.pde.fused`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from mgtheory.matrixfree.faces import FaceOperator
from mgtheory.matrixfree.operators import as_grid, places
from mgtheory.matrixfree.tables import Grid, cubic
from mgtheory.multigrid.coarse import DirectSolver
from mgtheory.multigrid.transfer import nested
from mgtheory.problems.grids import Boundary, Shape
from nets.pde.levels import Array, DeviceLevel, moved, transfer

# unknowns of a coarsest grid up to which A is inverted: 128 MB in float64, which a GPU reads faster
# than it launches the sweeps of another grid
INVERTED = 4096
# k/h^2 and their reciprocals within which float32 keeps products of either with numbers around 1
SHORT = 1e-30, 1e30


class Coefficients(NamedTuple):
    """k/h^2 of one grid as tensors.

    Attributes
    ----------
    faces
        On the faces along planes, rows and columns, shapes (n0 + 1, n1, n2), (n0, n1 + 1, n2) and
        (n0, n1, n2 + 1), the i-th one before point i; None along an axis that the problem has not.
    diagonal
        That of A, the sum of the faces around each point.
    largest
        A bound of the entries of A.
    """

    faces: tuple[Tensor | None, ...]
    diagonal: Tensor
    largest: float

    def add_neighbours(self, out: Tensor, v: Tensor) -> Tensor:
        """out += sum_f k_f v_f, v_f the neighbour behind a face, 0 beyond the boundary; tensors of
        the shape (systems, planes, rows, columns)."""
        for axis, k in enumerate(self.faces):
            n = v.shape[axis + 1]
            if k is not None and n > 1:
                inner = k.narrow(axis, 1, n - 1)
                for to, of in ((0, 1), (1, 0)):
                    beside = v.narrow(axis + 1, of, n - 1)
                    out.narrow(axis + 1, to, n - 1).addcmul_(inner, beside)
        return out


# tensors of an operator, kept as long as that: its other hierarchies, and residuals in float64
# above cycles in float32, need no second copy to the device
_KEPT = WeakKeyDictionary[FaceOperator, dict[tuple[torch.device, torch.dtype], Coefficients]]()


def coefficients(operator: FaceOperator, device: torch.device, dtype: torch.dtype) -> Coefficients:
    """Those of an operator on a device.

    Raises
    ------
    ValueError
        Where float32 cannot hold them.
    """
    kept = _KEPT.setdefault(operator, {})
    if (device, dtype) not in kept:
        least = min(float(k.min()) for k in operator.faces)
        most = max(float(k.max()) for k in operator.faces)
        if dtype == torch.float32 and not SHORT[0] <= least <= most <= SHORT[1]:
            raise ValueError(
                f"the coefficients over h^2 are {least:g} to {most:g}, cycles in float32 take"
                f" {SHORT[0]:g} to {SHORT[1]:g}: take dtype 'float64', or scale the equation"
            )
        grid, used = as_grid(operator.shape), places(len(operator.shape))
        faces: list[Tensor | None] = [None, None, None]
        diagonal = torch.zeros(grid, device=device, dtype=dtype)
        for axis, given in zip(used, operator.faces, strict=True):
            k = torch.from_numpy(given.reshape(as_grid(given.shape))).to(device, dtype)
            n, faces[axis] = grid[axis], k
            diagonal += k.narrow(axis, 0, n)
            diagonal += k.narrow(axis, 1, n)
        kept[device, dtype] = Coefficients(tuple(faces), diagonal, 2.0 * most * len(used))
    return kept[device, dtype]


class Part(NamedTuple):
    """The points that are fine along some of the coarsened axes, and coarse along the others.

    Attributes
    ----------
    place
        Where they stand on the fine grid, as slices of (systems, planes, rows, columns).
    weights
        For each axis that they are fine along, the part that the neighbour before has in their
        mean, without the first point, and the part of the neighbour behind, of those that have one.
    """

    place: tuple[slice, ...]
    weights: dict[int, tuple[Tensor, Tensor]]


class FluxTransfer:
    """Interpolation that keeps the flux, and its transpose times 1/2 for each coarsened axis
    (`mgtheory.matrixfree.kernels.faces`): points fine along the axes S are the mean of their
    neighbours along S, which are fine along all of S but one, weighted by the faces in between.

    Parameters
    ----------
    given
        The coefficients of the fine grid.
    grid
        Its shape.
    halved
        The axes of (planes, rows, columns) that are coarsened, every second point of them.
    """

    def __init__(self, given: Coefficients, grid: Grid, halved: Sequence[int]) -> None:
        self.grid, self.scale = grid, 0.5 ** len(halved)
        self.parts: dict[tuple[int, ...], Part] = {}  # those fine along fewer axes first
        for count in range(len(halved) + 1):
            for fine in itertools.combinations(halved, count):
                place = tuple(
                    slice(0, None, 2)
                    if a in fine
                    else slice(1 if a in halved else 0, None, 2)
                    if a in halved
                    else slice(None)
                    for a in range(3)
                )
                self.parts[fine] = Part((slice(None), *place), _weights(given, grid, fine, place))

    @property
    def held_bytes(self) -> int:
        """Of the weights."""
        pairs = itertools.chain(*(part.weights.values() for part in self.parts.values()))
        return sum(w.nbytes for w in itertools.chain(*pairs))

    def up(self, e: Tensor, onto: Tensor | None) -> Tensor:
        """P e, or x + P e for x = `onto`; a new tensor."""
        out = e.new_empty((len(e), *self.grid)) if onto is None else onto.clone()
        found: dict[tuple[int, ...], Tensor] = {}
        for fine, (place, weights) in self.parts.items():
            target = out[place]
            v = found[fine] = e.new_zeros(target.shape) if fine else e
            for a, (before, behind) in weights.items():
                beside, axis = found[_without(fine, a)], a + 1
                v.narrow(axis, 1, before.shape[a]).addcmul_(
                    before, beside.narrow(axis, 0, before.shape[a])
                )
                v.narrow(axis, 0, behind.shape[a]).addcmul_(behind, beside)
            if onto is None:
                target.copy_(v)
            else:
                target.add_(v)
        return out

    def down(self, r: Tensor) -> Tensor:
        """R r."""
        found = {fine: r[part.place].clone() for fine, part in self.parts.items()}
        for fine in reversed(self.parts):
            v = found[fine]
            for a, (before, behind) in self.parts[fine].weights.items():
                beside, axis = found[_without(fine, a)], a + 1
                beside.narrow(axis, 0, before.shape[a]).addcmul_(
                    before, v.narrow(axis, 1, before.shape[a])
                )
                beside.addcmul_(behind, v.narrow(axis, 0, behind.shape[a]))
        return found[()].mul_(self.scale)


def _without(fine: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(a for a in fine if a != axis)


def _weights(
    given: Coefficients, grid: Grid, fine: tuple[int, ...], place: tuple[slice, ...]
) -> dict[int, tuple[Tensor, Tensor]]:
    """Those of a `Part`."""
    sides: dict[int, tuple[Tensor, Tensor]] = {}
    for a in fine:
        k = given.faces[a]
        assert k is not None
        sides[a] = k.narrow(a, 0, grid[a])[place], k.narrow(a, 1, grid[a])[place]
    if not sides:
        return {}
    total = torch.stack([one + two for one, two in sides.values()]).sum(dim=0)
    return {
        a: (
            (before / total).narrow(a, 1, before.shape[a] - 1).contiguous(),
            (behind / total).narrow(a, 0, grid[a] // 2).contiguous(),
        )
        for a, (before, behind) in sides.items()
    }


@dataclass(frozen=True)
class Inverse:
    """b -> A^-1 b of several systems, by a product with the inverse, shape (n, n)."""

    matrix: Tensor

    def __call__(self, b: Tensor) -> Tensor:
        """A^-1 b."""
        return (b.reshape(len(b), -1) @ self.matrix).reshape(b.shape)


@dataclass(frozen=True)
class OnHost:
    """The same by sparse factors on the host, one system after the other."""

    solver: DirectSolver

    def __call__(self, b: Tensor) -> Tensor:
        """A^-1 b."""
        rows = b.reshape(len(b), -1).double().cpu().numpy()
        return torch.from_numpy(np.stack([*map(self.solver, rows)])).to(b).reshape(b.shape)


def inverse_of(
    operator: FaceOperator, device: torch.device, dtype: torch.dtype
) -> Inverse | OnHost:
    """The solver of a grid: its inverse, computed in float64, of up to `INVERTED` unknowns.

    Raises
    ------
    ValueError
        If A is singular to rounding.
    """
    A = operator.matrix()
    if operator.size > INVERTED:
        return OnHost(DirectSolver(A))
    scale = torch.from_numpy(1.0 / np.sqrt(A.diagonal())).to(device)
    whole = torch.from_numpy(A.toarray()).to(device) * scale * scale[:, None]
    factor, failed = torch.linalg.cholesky_ex(whole)
    if failed.item():
        raise ValueError(
            f"the coarsest A, of {operator.size} unknowns, is singular to rounding: the"
            " coefficients differ by too many orders of magnitude"
        )
    return Inverse((torch.cholesky_inverse(factor) * scale * scale[:, None]).to(dtype))


class TorchFaceLevel(DeviceLevel):
    """One grid of -div(k grad u) on a device; a step is x + omega D^-1 (b - A x)."""

    coarsest, pattern = "inverse of A", "faces"

    def __init__(
        self, operator: FaceOperator, coarse: Shape | None, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__(operator, coarse, device, dtype)
        self.operator = operator
        self.k = coefficients(operator, device, dtype)
        self.largest = self.k.largest
        self.aligned = coarse is None or nested(self.shape, coarse, Boundary.DIRICHLET)

    def set_smoothing(
        self, before: list[Array], counts: tuple[int, int], after: list[Array] | None = None
    ) -> None:
        """See `SweptLevel.set_smoothing`; makes the transfers too, or the inverse, which a level
        for residuals alone does not need."""
        super().set_smoothing(before, counts, after)
        like = self.device, self.dtype
        if self.coarse is None:
            self.direct = inverse_of(self.operator, *like)
            return
        used = places(len(self.shape))
        self.P = FluxTransfer(self.k, self.grid, [used[j] for j in self.operator.axes])
        smooth = self.aligned and self.operator.smooth  # without kinks, as the coefficient
        below = as_grid(self.coarse)
        self.C = transfer(cubic, self.grid, below, True, *like) if smooth else None

    @property
    def held_bytes(self) -> int:  # type: ignore[override]
        """See `DeviceLevel`."""
        held = [self.k.diagonal, *(k for k in self.k.faces if k is not None)]
        weights = 0 if self.coarse is None else self.P.held_bytes
        return weights + sum(v.nbytes for v in held)

    def step(self, x: Tensor | None, omega: float) -> Tensor:
        """See `DeviceLevel.step`."""
        b: Tensor = self.b
        if x is None:
            return (b / self.k.diagonal).mul_(omega)
        flux = self.k.add_neighbours(b.clone(), x)
        return torch.lerp(x, flux.div_(self.k.diagonal), omega)

    def rest(self, x: Tensor | None) -> Tensor:
        """See `DeviceLevel.rest`."""
        b: Tensor = self.b
        if x is None:
            return b
        r = torch.addcmul(b, self.k.diagonal, x, value=-1.0)
        return self.k.add_neighbours(r, x)

    def restricted(self, r: Tensor) -> Tensor:
        """See `DeviceLevel.restricted`."""
        return self.P.down(r)

    def interpolated(self, e: Tensor, *, full: bool, onto: Tensor | None) -> Tensor:
        """See `DeviceLevel.interpolated`; cubic where the solution has no kinks, but corrections
        follow the flux in full multigrid too."""
        if full and onto is None and self.C is not None:
            return moved(e, self.C)
        return self.P.up(e, onto)
