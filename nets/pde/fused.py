"""The three operations of a level as Triton's kernels, each one pass over memory: a smoothing of
several degrees, interpolation with its sum, the residual with its restriction and its norm.

A smoothing of k degrees is x <- Q x + P b, with Q = q(A) and P = p(A) known as stencils that reach
k and k - 1 points. Beyond a Dirichlet boundary a grid function is continued oddly, which every
symmetric stencil keeps, so that Q and P are the same stencils at every point. A program marches
along the planes over a strip of rows and columns: it reads each plane of x and b at every shift
along rows and columns, and adds it to the 2 k + 1 planes of the result that it is part of, which
stay in registers. No thread needs what another one has computed: Triton has no way to hand it over.
"""

# tuples of the kernels grow as they are compiled
# mypy: disable-error-code="no-untyped-def, untyped-decorator, assignment"
from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from torch import Tensor

from mgtheory.matrixfree.swept import joined
from mgtheory.matrixfree.tables import CACHED, Grid, cubic, linear, restriction
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


@triton.constexpr_function
def apart(i, j):
    """|i - j| of constants."""
    return abs(i - j)


@triton.jit
def mirrored(i, n):
    """Index i of the odd continuation of n values: the index that it has its value from, whether
    with the other sign, and whether there is one."""
    j = tl.where(i < 0, -2 - i, tl.where(i >= n, 2 * n - i, i))
    return j, j != i, (j >= 0) & (j < n)


@triton.jit
def around(i, n, K: tl.constexpr):
    """`mirrored` of i - K .. i + K."""
    found = ()
    for d in tl.static_range(-K, K + 1):
        found = found + (mirrored(i + d, n),)  # noqa: RUF005  the compiler knows no star
    return found


@triton.jit
def value(v, y, x, n2, plane, flip, inside):
    """Values of a plane that begins at v, of rows and columns as `mirrored` gives them."""
    found = tl.load(v + plane + y[0] * n2 + x[0], mask=inside & y[2] & x[2], other=0.0)
    return tl.where(y[1] ^ x[1] ^ flip, -found, found)


@triton.jit
def gathered(
    acc, v, coefficients, rows, columns, t, inside, n0, n1, n2,
    K: tl.constexpr, REACH: tl.constexpr, K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr,
    A0: tl.constexpr, A1: tl.constexpr, A2: tl.constexpr,
):  # fmt: skip
    """The accumulators of the planes t - A0 .. t + A0 with plane t of v added, times the
    coefficients of a stencil that reaches (K0, K1, K2); rows and columns as `around` gives them, A1
    and A2 to a side."""
    z, flip, known = mirrored(t, n0)
    inside, plane = inside & known, z * n1 * n2
    for dy in tl.static_range(K1 + 1):
        for dx in tl.static_range(K2 + 1):
            if dy + dx <= REACH * K:
                north, south, east, west = (
                    rows[A1 + dy], rows[A1 - dy], columns[A2 + dx], columns[A2 - dx]
                )  # fmt: skip
                s = value(v, north, east, n2, plane, flip, inside)
                if dx > 0:
                    s += value(v, north, west, n2, plane, flip, inside)
                if dy > 0:
                    s += value(v, south, east, n2, plane, flip, inside)
                    if dx > 0:
                        s += value(v, south, west, n2, plane, flip, inside)
                new = ()
                for j in tl.static_range(2 * A0 + 1):
                    if apart(j, A0) <= K0 and apart(j, A0) + dy + dx <= REACH * K:
                        c = coefficients[(apart(j, A0) * (K1 + 1) + dy) * (K2 + 1) + dx]
                        new = new + (acc[j] + c * s,)  # noqa: RUF005
                    else:
                        new = new + (acc[j],)  # noqa: RUF005
                acc = new
    return acc


@triton.jit
def smooth(
    x, b, out, coefficients, n0, n1, n2,
    K: tl.constexpr, REACH: tl.constexpr, K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr,
    P0: tl.constexpr, P1: tl.constexpr, P2: tl.constexpr, FROM_X: tl.constexpr,
    TZ: tl.constexpr, TY: tl.constexpr, TX: tl.constexpr, UNROLL: tl.constexpr,
):  # fmt: skip
    """out = Q x + P b (P b without FROM_X), on TZ planes, TY rows and TX columns.

    x, b, out       (systems, n0, n1, n2).
    coefficients    those of Q, by absolute offsets, (K0 + 1, K1 + 1, K2 + 1), then those of P,
                    (P0 + 1, P1 + 1, P2 + 1); used up to a sum of REACH times the degree.
    """
    lane = tl.arange(0, TY * TX)
    across, strips = tl.cdiv(n2, TX), tl.cdiv(n1, TY)
    line = tl.program_id(0) // across
    row = line % strips * TY + lane // TX
    column = tl.program_id(0) % across * TX + lane % TX
    first = line // strips * TZ
    base = tl.program_id(1).to(tl.int64) * n0 * n1 * n2
    inside = (row < n1) & (column < n2)
    q = ()
    for i in tl.static_range((K0 + 1) * (K1 + 1) * (K2 + 1)):
        q = q + (tl.load(coefficients + i),)  # noqa: RUF005
    p = ()
    for i in tl.static_range((P0 + 1) * (P1 + 1) * (P2 + 1)):
        p = p + (tl.load(coefficients + (K0 + 1) * (K1 + 1) * (K2 + 1) + i),)  # noqa: RUF005
    zero = tl.zeros((TY * TX,), out.dtype.element_ty)
    acc = (zero,) * (2 * K0 + 1)
    rows, columns = around(row, n1, K1), around(column, n2, K2)
    for i in tl.range(0, TZ + 2 * K0, loop_unroll_factor=UNROLL):
        t = first - K0 + i
        if FROM_X:
            acc = gathered(
                acc, x + base, q, rows, columns, t, inside, n0, n1, n2,
                K, REACH, K0, K1, K2, K0, K1, K2,
            )  # fmt: skip
        acc = gathered(
            acc, b + base, p, rows, columns, t, inside, n0, n1, n2,
            K - 1, REACH, P0, P1, P2, K0, K1, K2,
        )  # fmt: skip
        r = t - K0
        done = inside & (r >= first) & (r < n0)
        tl.store(out + base + (r * n1 + row) * n2 + column, acc[0], mask=done)
        acc = acc[1:] + (zero,)  # noqa: RUF005


@triton.jit
def at(v, base, z, y, x, n0, n1, n2):
    """Values of v, 0 beyond the boundary."""
    inside = (z >= 0) & (z < n0) & (y >= 0) & (y < n1) & (x >= 0) & (x < n2)
    return tl.load(v + base + (z * n1 + y) * n2 + x, mask=inside, other=0.0)


@triton.jit
def restrict(
    x, b, to, partial, stencil, f0, w0, o0, f1, w1, o1, f2, w2, o2, n0, n1, n2, m0, m1, m2,
    T0: tl.constexpr, T1: tl.constexpr, T2: tl.constexpr, R0: tl.constexpr, R1: tl.constexpr,
    R2: tl.constexpr, REACH: tl.constexpr, FROM_X: tl.constexpr, STORE: tl.constexpr,
    NORM: tl.constexpr, TZ: tl.constexpr, TY: tl.constexpr, TX: tl.constexpr,
):  # fmt: skip
    """to = R (b - A x), or R b without FROM_X; the square sum of the programs' own residuals.

    x, b            (systems, n0, n1, n2).
    to              (systems, m0, m1, m2), where STORE.
    partial         (systems, programs), where NORM.
    stencil         its eight numbers; used up to a sum of REACH, along axes with R0, R1, R2.
    f, w, o         of each axis, shapes (m,), (T, m), (T, m): the first fine point of a coarse one,
                    the T weights from there on, and whether it counts in the norm here.
    """
    lane = tl.arange(0, TZ * TY * TX)
    across, strips = tl.cdiv(m2, TX), tl.cdiv(m1, TY)
    line = tl.program_id(0) // across
    tz = line // strips * TZ + lane // (TY * TX)
    ty = line % strips * TY + lane // TX % TY
    tx = tl.program_id(0) % across * TX + lane % TX
    inside = (tz < m0) & (ty < m1) & (tx < m2)
    system = tl.program_id(1).to(tl.int64)
    base = system * n0 * n1 * n2
    z = tl.load(f0 + tz, mask=inside, other=0)
    y = tl.load(f1 + ty, mask=inside, other=0)
    c = tl.load(f2 + tx, mask=inside, other=0)
    total = tl.zeros((TZ * TY * TX,), b.dtype.element_ty)
    square = tl.zeros((TZ * TY * TX,), tl.float64)
    for qz in tl.static_range(T0):
        wz = tl.load(w0 + qz * m0 + tz, mask=inside, other=0.0)
        for qy in tl.static_range(T1):
            wy = wz * tl.load(w1 + qy * m1 + ty, mask=inside, other=0.0)
            for qx in tl.static_range(T2):
                w = wy * tl.load(w2 + qx * m2 + tx, mask=inside, other=0.0)
                r = at(b, base, z + qz, y + qy, c + qx, n0, n1, n2)
                if FROM_X:
                    for i in tl.static_range(-R0, R0 + 1):
                        for j in tl.static_range(-R1, R1 + 1):
                            for k in tl.static_range(-R2, R2 + 1):
                                if apart(i, 0) + apart(j, 0) + apart(k, 0) <= REACH:
                                    number = apart(i, 0) * 4 + apart(j, 0) * 2 + apart(k, 0)
                                    a = tl.load(stencil + number)
                                    # sums of constants first: equal reads are then done once
                                    v = at(
                                        x, base, z + (qz + i), y + (qy + j), c + (qx + k),
                                        n0, n1, n2,
                                    )  # fmt: skip
                                    r -= a * v
                total += w * r
                if NORM:
                    own = tl.load(o0 + qz * m0 + tz, mask=inside, other=0)
                    own &= tl.load(o1 + qy * m1 + ty, mask=inside, other=0)
                    own &= tl.load(o2 + qx * m2 + tx, mask=inside, other=0)
                    square += tl.where(own != 0, r.to(tl.float64) * r.to(tl.float64), 0.0)
    if STORE:
        tl.store(to + system * m0 * m1 * m2 + (tz * m1 + ty) * m2 + tx, total, mask=inside)
    if NORM:
        here = system * tl.num_programs(0) + tl.program_id(0)
        tl.store(partial + here, tl.sum(square, axis=0))


@triton.jit
def interpolate(
    e, x, out, f0, w0, f1, w1, f2, w2, n0, n1, n2, m0, m1, m2,
    T0: tl.constexpr, T1: tl.constexpr, T2: tl.constexpr, ADD: tl.constexpr,
    TZ: tl.constexpr, TY: tl.constexpr, TX: tl.constexpr,
):  # fmt: skip
    """out = P e, or x + P e if ADD.

    e               (systems, m0, m1, m2).
    x, out          (systems, n0, n1, n2).
    f, w            of each axis, shapes (n,) and (T, n): the first coarse point of a fine one, and
                    the T weights from there on.
    """
    lane = tl.arange(0, TZ * TY * TX)
    across, strips = tl.cdiv(n2, TX), tl.cdiv(n1, TY)
    line = tl.program_id(0) // across
    tz = line // strips * TZ + lane // (TY * TX)
    ty = line % strips * TY + lane // TX % TY
    tx = tl.program_id(0) % across * TX + lane % TX
    inside = (tz < n0) & (ty < n1) & (tx < n2)
    system = tl.program_id(1).to(tl.int64)
    base, place = system * m0 * m1 * m2, system * n0 * n1 * n2 + (tz * n1 + ty) * n2 + tx
    z = tl.load(f0 + tz, mask=inside, other=0)
    y = tl.load(f1 + ty, mask=inside, other=0)
    c = tl.load(f2 + tx, mask=inside, other=0)
    total = tl.zeros((TZ * TY * TX,), out.dtype.element_ty)
    if ADD:
        total = tl.load(x + place, mask=inside, other=0.0)
    for qz in tl.static_range(T0):
        wz = tl.load(w0 + qz * n0 + tz, mask=inside, other=0.0)
        for qy in tl.static_range(T1):
            wy = wz * tl.load(w1 + qy * n1 + ty, mask=inside, other=0.0)
            for qx in tl.static_range(T2):
                w = wy * tl.load(w2 + qx * n2 + tx, mask=inside, other=0.0)
                source = base + ((z + qz) * m1 + y + qy) * m2 + c + qx
                # whole warps of nested grids have no weight on a plane or row
                total += w * tl.load(e + source, mask=w != 0.0, other=0.0)
    tl.store(out + place, total, mask=inside)


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
        if self.size >= 2**31:
            raise ValueError(
                f"the grid {self.shape} has {self.size:,} unknowns, the kernels reach 2^31 - 1:"
                " take kernels='torch'"
            )
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
        coarse: Grid = self.grid if to is None else tuple(to.shape[1:])
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
