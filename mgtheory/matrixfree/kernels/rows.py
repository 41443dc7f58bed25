"""Row kernels of the matrix-free cycle: everything that is done to one contiguous row of a grid,
compiled by numba.

A row of the workspace is ``PAD + n + PAD`` values long; its n grid values start at index `PAD` and
have zeros beside them, which is the Dirichlet boundary. Whoever calls passes views shifted by one
value (w west, c centre, e east), so that the compiler sees plain vector loops without index
arithmetic. Additions may be reordered and fused (nothing else of "fast math": NaN and infinity keep
their meaning).
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mgtheory.matrixfree.kernels.compiling import IN_PYTHON, compiled

PAD = 8  # one cache line of doubles, so that the grid values of every workspace row start on one


def _borrowed(context, *given):
    """The arrays, also those in tuples, as views that count no references: rows and planes cut from
    them in a loop would each count up and down, atomically.

    Only for arguments, which the caller keeps alive.
    """
    kinds = types.Tuple(given)

    def code(target, builder, signature, args):
        def view(kind, value):
            if isinstance(kind, types.BaseTuple):
                inner: Any = kind
                parts = zip(inner.types, cgutils.unpack_tuple(builder, value))
                return target.make_tuple(builder, kind, [view(*part) for part in parts])
            if not isinstance(kind, types.Array):
                return value
            array = target.make_array(kind)(target, builder, value=value)
            array.meminfo = array.meminfo.type(None)
            array.parent = array.parent.type(None)
            return array._getvalue()

        return view(kinds, args[0])

    return kinds(types.StarArgTuple(given)), code


def _as_they_are(*given: Any) -> Any:
    return given


borrowed: Any = _as_they_are if IN_PYTHON else intrinsic(_borrowed)


@compiled
def step3(out, c, w, e, b, kc, kx, omega):
    """out = kc c + kx (w + e) + omega b: the part of a step that stays within the row."""
    for j in range(out.size):
        out[j] = kc * c[j] + kx * (w[j] + e[j]) + omega * b[j]


@compiled
def step5(out, c, w, e, s, n, b, k):
    """out = kc c + kx (w + e) + ky (s + n) + kb b, k = (kc, kx, ky, kb): a step with a 5-point
    stencil."""
    kc, kx, ky, kb = k
    for j in range(out.size):
        out[j] = kc * c[j] + kx * (w[j] + e[j]) + ky * (s[j] + n[j]) + kb * b[j]


@compiled
def step5_bare(out, c, s, n, b, k):
    """`step5` on rows without padding: the two ends apart."""
    kc, kx, ky, kb = k
    last = out.size - 1
    if last > 0:
        out[0] = kc * c[0] + kx * c[1] + ky * (s[0] + n[0]) + kb * b[0]
        i, w, e = slice(1, last), slice(0, last - 1), slice(2, last + 1)
        step5(out[i], c[i], c[w], c[e], s[i], n[i], b[i], k)
    west = c[last - 1] if last > 0 else c.dtype.type(0.0)
    out[last] = kc * c[last] + kx * west + ky * (s[last] + n[last]) + kb * b[last]


@compiled
def step7(out, c, w, e, s, n, d, u, b, k):
    """out = kc c + kx (w + e) + ky (s + n) + kz (d + u) + kb b, k = (kc, kx, ky, kz, kb): a step
    with a 7-point stencil."""
    kc, kx, ky, kz, kb = k
    for j in range(out.size):
        out[j] = (
            kc * c[j] + kx * (w[j] + e[j]) + ky * (s[j] + n[j]) + kz * (d[j] + u[j]) + kb * b[j]
        )


@compiled
def _end7(i, neighbour, c, s, n, d, u, b, k):
    """Entry i of `step7` at an end of a row, from its one neighbour in the row."""
    kc, kx, ky, kz, kb = k
    return kc * c[i] + kx * neighbour + ky * (s[i] + n[i]) + kz * (d[i] + u[i]) + kb * b[i]


@compiled
def step7_bare(out, c, s, n, d, u, b, k):
    """`step7` on rows without padding: the two ends apart."""
    last = out.size - 1
    if last > 0:
        out[0] = _end7(0, c[1], c, s, n, d, u, b, k)
        i, w, e = slice(1, last), slice(0, last - 1), slice(2, last + 1)
        step7(out[i], c[i], c[w], c[e], s[i], n[i], d[i], u[i], b[i], k)
    out[last] = _end7(last, c[last - 1] if last > 0 else c.dtype.type(0.0), c, s, n, d, u, b, k)


@compiled
def square5(c, s, n, b, k):
    """The sum of the squares of what `step5_bare` stores, none of them stored."""
    kc, kx, ky, kb = k
    last = c.size - 1
    west = c[last - 1] if last > 0 else c.dtype.type(0.0)
    total = (kc * c[last] + kx * west + ky * (s[last] + n[last]) + kb * b[last]) ** 2
    if last > 0:
        total += (kc * c[0] + kx * c[1] + ky * (s[0] + n[0]) + kb * b[0]) ** 2
    m, w, e, s, n, b = c[1:last], c[: last - 1], c[2:], s[1:last], n[1:last], b[1:last]
    for j in range(m.size):
        r = kc * m[j] + kx * (w[j] + e[j]) + ky * (s[j] + n[j]) + kb * b[j]
        total += r * r
    return total


@compiled
def square7(c, s, n, d, u, b, k):
    """The sum of the squares of what `step7_bare` stores, none of them stored."""
    kc, kx, ky, kz, kb = k
    last = c.size - 1
    total = _end7(last, c[last - 1] if last > 0 else c.dtype.type(0.0), c, s, n, d, u, b, k) ** 2
    if last > 0:
        total += _end7(0, c[1], c, s, n, d, u, b, k) ** 2
    i = slice(1, last)
    m, w, e, s, n, d, u, b = c[i], c[: last - 1], c[2:], s[i], n[i], d[i], u[i], b[i]
    for j in range(m.size):
        r = kc * m[j] + kx * (w[j] + e[j]) + ky * (s[j] + n[j]) + kz * (d[j] + u[j]) + kb * b[j]
        total += r * r
    return total


@compiled
def add_pair(out, c, w, e, c2, w2, e2, kc, kx):
    """out += kc (c + c2) + kx (w + e + w2 + e2): two rows at mirrored offsets."""
    for j in range(out.size):
        out[j] += kc * (c[j] + c2[j]) + kx * ((w[j] + e[j]) + (w2[j] + e2[j]))


@compiled
def three_term(out, c, p, mu):
    """out += mu (c - p): the momentum of a complex pair, from the iterate c and the one before it,
    p."""
    for j in range(out.size):
        out[j] += mu * (c[j] - p[j])


@compiled
def scale_row(out, a, factor):
    """out = factor a, which may have another type."""
    for j in range(out.size):
        out[j] = factor * a[j]


@compiled
def clear(out, n):
    """Zeros from entry n on: what a row has beyond its grid, so that it ends with whole vectors."""
    for j in range(n, out.size):
        out[j] = 0.0


@compiled
def copy_row(out, a):
    """out = a."""
    for j in range(out.size):
        out[j] = a[j]


@compiled
def add_row(out, a):
    """out += a."""
    for j in range(out.size):
        out[j] += a[j]


@compiled
def sum_row(out, a, e, factor):
    """out = a + factor e, e in a shorter type."""
    for j in range(out.size):
        out[j] = a[j] + factor * e[j]


@compiled
def multiple_square(out, a, factor):
    """out = factor a, and the sum of the squares of a row a."""
    total = 0.0
    for j in range(a.size):
        out[j] = factor * a[j]
        total += a[j] * a[j]
    return total


@compiled
def mix2(out, a, b, p, q):
    """out = p a + q b."""
    for j in range(out.size):
        out[j] = p * a[j] + q * b[j]


@compiled
def mix3(out, a, b, c, p, q, r):
    """out = p a + q b + r c."""
    for j in range(out.size):
        out[j] = p * a[j] + q * b[j] + r * c[j]


@compiled
def mix4(out, a, b, c, d, p, q, r, s):
    """out = p a + q b + r c + s d."""
    for j in range(out.size):
        out[j] = p * a[j] + q * b[j] + r * c[j] + s * d[j]


@compiled
def square_sum(a):
    """The sum of the squares of a row."""
    total = a.dtype.type(0.0)
    for j in range(a.size):
        total += a[j] * a[j]
    return total


@compiled
def gather(out, v, first, weights):
    """out_j = sum_q weights[q, j] v[first[j] + q], q = 0 .. 3: any interpolation or restriction
    along a row."""
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    for j in range(out.size):
        i = first[j]
        out[j] = w0[j] * v[i] + w1[j] * v[i + 1] + w2[j] * v[i + 2] + w3[j] * v[i + 3]


@compiled
def expand(out, v):
    """Linear interpolation along a row from m to 2 m + 1 values, nested, zero beyond the ends."""
    m, half = v.size, v.dtype.type(0.5)
    out[0], out[1] = half * v[0], v[0]
    west, east = v[: m - 1], v[1:]
    for j in range(m - 1):
        out[2 * j + 2] = half * (west[j] + east[j])
        out[2 * j + 3] = east[j]
    out[2 * m] = half * v[m - 1]


@compiled
def expand_cubic(out, v):
    """Cubic interpolation along a row from m >= 4 to 2 m + 1 values, nested; out[0], [2], [2 m - 2]
    and [2 m] are not its task."""
    m, near, far = v.size, v.dtype.type(0.5625), v.dtype.type(0.0625)
    a, b, c, d = v[: m - 3], v[1 : m - 2], v[2 : m - 1], v[3:]
    for j in range(m - 3):
        out[2 * j + 4] = near * (b[j] + c[j]) - far * (a[j] + d[j])
        out[2 * j + 5] = c[j]
    out[1], out[3] = v[0], v[1]
    out[2 * m - 1] = v[m - 1]


@compiled
def band5(out, v, k0, k1, k2):
    """out_j = k0 v_j+2 + k1 (v_j+1 + v_j+3) + k2 (v_j + v_j+4): a symmetric band of five
    diagonals."""
    for j in range(out.size):
        out[j] = k0 * v[j + 2] + k1 * (v[j + 1] + v[j + 3]) + k2 * (v[j] + v[j + 4])


@compiled
def twice_band5(out, two, v, k0, k1, k2, l0, l1, l2):
    """`band5` with two bands."""
    for j in range(out.size):
        near, far = v[j + 1] + v[j + 3], v[j] + v[j + 4]
        out[j] = k0 * v[j + 2] + k1 * near + k2 * far
        two[j] = l0 * v[j + 2] + l1 * near + l2 * far


@compiled
def subtract2(out, a, b, p, q):
    """out -= p a + q b."""
    for j in range(out.size):
        out[j] -= p * a[j] + q * b[j]


@compiled
def subtract10(out, ps, qs, k, l):
    """out -= k_0 p_0 + ... + k_4 p_4 + l_0 q_0 + ... + l_4 q_4."""
    p0, p1, p2, p3, p4 = ps
    q0, q1, q2, q3, q4 = qs
    k0, k1, k2, k3, k4 = k
    l0, l1, l2, l3, l4 = l
    for j in range(out.size):
        one = (k0 * p0[j] + k1 * p1[j]) + (k2 * p2[j] + k3 * p3[j]) + k4 * p4[j]
        two = (l0 * q0[j] + l1 * q1[j]) + (l2 * q2[j] + l3 * q3[j]) + l4 * q4[j]
        out[j] -= one + two


@compiled
def full_weight(out, a):
    """out_j = (a_2j + 2 a_2j+1 + a_2j+2) / 4: restriction along a row, nested, from 2 m + 1 to m
    values."""
    half, quarter = a.dtype.type(0.5), a.dtype.type(0.25)
    for j in range(out.size):
        out[j] = quarter * a[2 * j] + half * a[2 * j + 1] + quarter * a[2 * j + 2]
