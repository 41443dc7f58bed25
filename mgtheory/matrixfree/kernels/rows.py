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

from numba import njit
from numba.extending import intrinsic

PAD = 8  # one cache line of doubles, so that the grid values of every workspace row start on one

# fused multiply-add and vector sums, nothing that changes NaN or infinity
REORDERED = {"contract", "reassoc", "nsz"}
compiled = njit(cache=True, nogil=True, forceinline=True, fastmath=REORDERED, error_model="numpy")


def _borrowed(context, array):
    """The array as a view that counts no references: rows and planes cut from it in a loop would
    each count up and down, atomically.

    Only for arguments, which the caller keeps alive.
    """

    def code(target, builder, signature, args):
        view = target.make_array(array)(target, builder, value=args[0])
        view.meminfo = view.meminfo.type(None)
        view.parent = view.parent.type(None)
        return view._getvalue()

    return array(array), code


borrowed: Any = intrinsic(_borrowed)


@compiled
def step3(out, c, w, e, b, kc, kx, omega):
    """out = kc c + kx (w + e) + omega b: the part of a step that stays within the row."""
    for j in range(out.size):
        out[j] = kc * c[j] + kx * (w[j] + e[j]) + omega * b[j]


@compiled
def step5(out, c, w, e, s, n, b, kc, kx, ky, omega):
    """out = kc c + kx (w + e) + ky (s + n) + omega b: a step with a 5-point stencil."""
    for j in range(out.size):
        out[j] = kc * c[j] + kx * (w[j] + e[j]) + ky * (s[j] + n[j]) + omega * b[j]


@compiled
def step5_bare(out, c, s, n, b, kc, kx, ky, omega):
    """`step5` on rows without padding: the two ends apart."""
    last = out.size - 1
    if last > 0:
        out[0] = kc * c[0] + kx * c[1] + ky * (s[0] + n[0]) + omega * b[0]
        step5(
            out[1:last],
            c[1:last],
            c[: last - 1],
            c[2:],
            s[1:last],
            n[1:last],
            b[1:last],
            kc,
            kx,
            ky,
            omega,
        )
    west = c[last - 1] if last > 0 else 0.0
    out[last] = kc * c[last] + kx * west + ky * (s[last] + n[last]) + omega * b[last]


@compiled
def step7(out, c, w, e, s, n, d, u, b, kc, kx, ky, kz, omega):
    """out = kc c + kx (w + e) + ky (s + n) + kz (d + u) + omega b: a step with a 7-point
    stencil."""
    for j in range(out.size):
        out[j] = (
            kc * c[j] + kx * (w[j] + e[j]) + ky * (s[j] + n[j]) + kz * (d[j] + u[j]) + omega * b[j]
        )


@compiled
def step7_bare(out, c, s, n, d, u, b, kc, kx, ky, kz, omega):
    """`step7` on rows without padding: the two ends apart."""
    last = out.size - 1
    if last > 0:
        out[0] = kc * c[0] + kx * c[1] + ky * (s[0] + n[0]) + kz * (d[0] + u[0]) + omega * b[0]
        i, w, e = slice(1, last), slice(0, last - 1), slice(2, last + 1)
        step7(out[i], c[i], c[w], c[e], s[i], n[i], d[i], u[i], b[i], kc, kx, ky, kz, omega)
    west = c[last - 1] if last > 0 else 0.0
    out[last] = (
        kc * c[last]
        + kx * west
        + ky * (s[last] + n[last])
        + kz * (d[last] + u[last])
        + omega * b[last]
    )


@compiled
def square5(c, s, n, b, kc, kx, ky):
    """The sum of the squares of kc c + kx (w + e) + ky (s + n) + b on rows without padding, none of
    them stored."""
    last = c.size - 1
    if last == 0:
        return (kc * c[0] + ky * (s[0] + n[0]) + b[0]) ** 2
    total = (kc * c[0] + kx * c[1] + ky * (s[0] + n[0]) + b[0]) ** 2
    total += (kc * c[last] + kx * c[last - 1] + ky * (s[last] + n[last]) + b[last]) ** 2
    m, w, e, s, n, b = c[1:last], c[: last - 1], c[2:], s[1:last], n[1:last], b[1:last]
    for j in range(m.size):
        r = kc * m[j] + kx * (w[j] + e[j]) + ky * (s[j] + n[j]) + b[j]
        total += r * r
    return total


@compiled
def square7(c, s, n, d, u, b, kc, kx, ky, kz):
    """The sum of the squares of kc c + kx (w + e) + ky (s + n) + kz (d + u) + b, likewise."""
    last = c.size - 1
    if last == 0:
        return (kc * c[0] + ky * (s[0] + n[0]) + kz * (d[0] + u[0]) + b[0]) ** 2
    total = (kc * c[0] + kx * c[1] + ky * (s[0] + n[0]) + kz * (d[0] + u[0]) + b[0]) ** 2
    total += (
        kc * c[last]
        + kx * c[last - 1]
        + ky * (s[last] + n[last])
        + kz * (d[last] + u[last])
        + b[last]
    ) ** 2
    m, w, e, s, n, d, u, b = (
        c[1:last],
        c[: last - 1],
        c[2:],
        s[1:last],
        n[1:last],
        d[1:last],
        u[1:last],
        b[1:last],
    )
    for j in range(m.size):
        r = kc * m[j] + kx * (w[j] + e[j]) + ky * (s[j] + n[j]) + kz * (d[j] + u[j]) + b[j]
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
    """out = factor a."""
    for j in range(out.size):
        out[j] = factor * a[j]


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
    total = 0.0
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
    m = v.size
    out[0], out[1] = 0.5 * v[0], v[0]
    west, east = v[: m - 1], v[1:]
    for j in range(m - 1):
        out[2 * j + 2] = 0.5 * (west[j] + east[j])
        out[2 * j + 3] = east[j]
    out[2 * m] = 0.5 * v[m - 1]


@compiled
def expand_cubic(out, v):
    """Cubic interpolation along a row from m >= 4 to 2 m + 1 values, nested; out[0], [2], [2 m - 2]
    and [2 m] are not its task."""
    m = v.size
    a, b, c, d = v[: m - 3], v[1 : m - 2], v[2 : m - 1], v[3:]
    for j in range(m - 3):
        out[2 * j + 4] = 0.5625 * (b[j] + c[j]) - 0.0625 * (a[j] + d[j])
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
def subtract10(out, a, b, c, d, e, p, q, r, s, t, k, l):
    """out -= k_0 a + k_1 b + ... + k_4 e + l_0 p + ... + l_4 t."""
    k0, k1, k2, k3, k4 = k
    l0, l1, l2, l3, l4 = l
    for j in range(out.size):
        one = (k0 * a[j] + k1 * b[j]) + (k2 * c[j] + k3 * d[j]) + k4 * e[j]
        two = (l0 * p[j] + l1 * q[j]) + (l2 * r[j] + l3 * s[j]) + l4 * t[j]
        out[j] -= one + two


@compiled
def full_weight(out, a):
    """out_j = (a_2j + 2 a_2j+1 + a_2j+2) / 4: restriction along a row, nested, from 2 m + 1 to m
    values."""
    for j in range(out.size):
        out[j] = 0.25 * a[2 * j] + 0.5 * a[2 * j + 1] + 0.25 * a[2 * j + 2]
