"""Triton's kernels of `nets.pde.fused`: a smoothing of several degrees, the residual with its
restriction and its norm, interpolation with its sum; where coefficients vary a smoothing of one
degree, or the residual.

A program of the first marches along the planes over a strip of rows and columns: it reads each
plane of x and b at every shift along rows and columns, and adds it to the 2 k + 1 planes of the
result that it is part of, which stay in registers. No thread needs what another one has computed:
Triton has no way to hand it over.
"""

# tuples of the kernels grow as they are compiled
# mypy: disable-error-code="no-untyped-def, untyped-decorator, assignment"
from __future__ import annotations

import triton
import triton.language as tl


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
def points(n0, n1, n2, TZ: tl.constexpr, TY: tl.constexpr, TX: tl.constexpr):
    """Plane, row and column of each of the TZ TY TX points of a program, and whether the grid has
    it."""
    lane = tl.arange(0, TZ * TY * TX)
    across, strips = tl.cdiv(n2, TX), tl.cdiv(n1, TY)
    line = tl.program_id(0) // across
    z = line // strips * TZ + lane // (TY * TX)
    y = line % strips * TY + lane // TX % TY
    x = tl.program_id(0) % across * TX + lane % TX
    return z, y, x, (z < n0) & (y < n1) & (x < n2)


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
    tz, ty, tx, inside = points(m0, m1, m2, TZ, TY, TX)
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
    tz, ty, tx, inside = points(n0, n1, n2, TZ, TY, TX)
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


@triton.jit
def through(s, total, v, k, point, before, behind, stride, first, last, inside):
    """s and total with k v and k of an axis's two faces added, which k has at `before` and
    `behind`; v is 0 before the first point and behind the last."""
    one = tl.load(k + before, mask=inside, other=1.0)  # of points that are none: no 0 / 0
    two = tl.load(k + behind, mask=inside, other=1.0)
    s += one * tl.load(v + point - stride, mask=inside & (first == 0), other=0.0)
    s += two * tl.load(v + point + stride, mask=inside & (last == 0), other=0.0)
    return s, total + (one + two)


@triton.jit
def flux(
    x, b, out, partial, k0, k1, k2, omega, n0, n1, n2,
    A0: tl.constexpr, A1: tl.constexpr, A2: tl.constexpr, SMOOTH: tl.constexpr,
    STORE: tl.constexpr, NORM: tl.constexpr, TZ: tl.constexpr, TY: tl.constexpr, TX: tl.constexpr,
):  # fmt: skip
    """-div(k grad u): out = x + omega D^-1 (b - A x) if SMOOTH, else b - A x and its square sum.

    x, b            (systems, n0, n1, n2); out too, where STORE.
    partial         (systems, programs), where NORM.
    k0, k1, k2      the faces along planes, rows and columns, (n0 + 1, n1, n2), (n0, n1 + 1, n2) and
                    (n0, n1, n2 + 1), along axes with A0, A1, A2.
    omega           one number, in memory: as an argument it would be in float32.
    """
    z, y, c, inside = points(n0, n1, n2, TZ, TY, TX)
    system = tl.program_id(1).to(tl.int64)
    place = (z * n1 + y) * n2 + c
    point = system * n0 * n1 * n2 + place
    s = tl.load(b + point, mask=inside, other=0.0)
    centre = tl.load(x + point, mask=inside, other=0.0)
    total = tl.zeros((TZ * TY * TX,), b.dtype.element_ty)
    if A0:
        step = n1 * n2
        s, total = through(
            s, total, x, k0, point, place, place + step, step, z == 0, z == n0 - 1, inside
        )
    if A1:
        face = place + z * n2
        s, total = through(s, total, x, k1, point, face, face + n2, n2, y == 0, y == n1 - 1, inside)
    if A2:
        face = place + z * n1 + y
        s, total = through(s, total, x, k2, point, face, face + 1, 1, c == 0, c == n2 - 1, inside)
    if SMOOTH:
        tl.store(out + point, centre + tl.load(omega) * (s / total - centre), mask=inside)
    else:
        r = tl.where(inside, s - total * centre, 0.0)
        if STORE:
            tl.store(out + point, r, mask=inside)
        if NORM:
            here = system * tl.num_programs(0) + tl.program_id(0)
            tl.store(partial + here, tl.sum(r.to(tl.float64) * r.to(tl.float64), axis=0))
