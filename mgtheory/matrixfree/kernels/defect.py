"""The defect that an interpolated solution leaves on the coarse grid, computed there: b - R A P x,
with P the cubic interpolation.

Full multigrid begins every finer grid with P x. Its restricted residual R (b - A P x) = R b - (R A
P) x needs no visit of that grid: A is a sum of tensor products of I and E (the two neighbours)
along the axes, so R A P is the same sum of products of the coarse matrices M_0 = R P and M_1 = R E
P of each axis. These have five diagonals, (-1, 8, 50, 8, -1)/64 and (-1, 16, 34, 16, -1)/32, where
the axis is halved, other rows beside the boundary (where cubic interpolation is one-sided), and are
I and E where the axis is not coarsened.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
from __future__ import annotations

from mgtheory.matrixfree.kernels.compiling import compiled, entry, planewise
from mgtheory.matrixfree.kernels.rows import band5, borrowed, subtract2, subtract10, twice_band5
from mgtheory.matrixfree.tables import EDGE, REACH


@planewise
def band_rows(out, two, both, v, band, other):
    """out = (banded matrix) v along a row, band[o, j] multiplying v[j + o - REACH]; if `both`, two
    likewise with `other`."""
    out, two, v, band, other = borrowed(out, two, v, band, other)
    m, i, a = v.size, v.size // 2, REACH
    inner = m > 2 * EDGE
    if inner:
        part, source = slice(EDGE, m - EDGE), v[EDGE - 2 : m - EDGE + 2]
        k0, k1, k2 = band[a, i], band[a + 1, i], band[a + 2, i]
        if both:
            l0, l1, l2 = other[a, i], other[a + 1, i], other[a + 2, i]
            twice_band5(out[part], two[part], source, k0, k1, k2, l0, l1, l2)
        else:
            band5(out[part], source, k0, k1, k2)
    for i in range(2 * EDGE if inner else m):
        j = i if i < EDGE or not inner else m - 2 * EDGE + i
        first, second = 0.0, 0.0
        for o in range(max(0, a - j), min(2 * a + 1, m - j + a)):
            first += band[o, j] * v[j + o - a]
            second += other[o, j] * v[j + o - a]
        out[j] = first
        if both:
            two[j] = second


@compiled
def five_rows(p, k, y, m):
    """Row y, m values, of the planes k .. k + 4 of a ring."""
    n = p.shape[0]
    a, b, c, d, e = (
        p[k % n, y],
        p[(k + 1) % n, y],
        p[(k + 2) % n, y],
        p[(k + 3) % n, y],
        p[(k + 4) % n, y],
    )
    return a[:m], b[:m], c[:m], d[:m], e[:m]


@planewise
def subtract_bands(out, p, q, y, both, band0, band1, i, n):
    """out -= sum over k of M_0[i, k] p_k + M_1[i, k] q_k for row i of n, the second sum only if
    `both`; p_k is p[k % len(p), y]."""
    out, p, q, band0, band1 = borrowed(out, p, q, band0, band1)
    o, end, size = max(0, REACH - i), min(2 * REACH + 1, n - i + REACH), p.shape[0]
    while band0[o, i] == 0.0 and band1[o, i] == 0.0:
        o += 1
    while band0[end - 1, i] == 0.0 and band1[end - 1, i] == 0.0:
        end -= 1
    k, m = i + o - REACH, out.size
    if both and end == o + 5:
        w0 = (band0[o, i], band0[o + 1, i], band0[o + 2, i], band0[o + 3, i], band0[o + 4, i])
        w1 = (band1[o, i], band1[o + 1, i], band1[o + 2, i], band1[o + 3, i], band1[o + 4, i])
        subtract10(out, five_rows(p, k, y, m), five_rows(q, k, y, m), w0, w1)
        return
    step = 1 if both else 2
    while o < end:
        a, b = k % size, (k + 1) % size
        if both:
            subtract2(out, p[a, y, :m], q[a, y, :m], band0[o, i], band1[o, i])
        elif o + 1 == end:
            subtract2(out, p[a, y, :m], p[a, y, :m], band0[o, i], 0.0)
        else:
            subtract2(out, p[a, y, :m], p[b, y, :m], band0[o, i], band0[o + 1, i])
        k, o = k + step, o + step


@entry
def subtract_product(b, x, bands, rows, used, lo, hi, ring, stack):
    """b -= (R A P) x on the planes lo .. hi - 1, where the matrix is sum over i, j of M_i (x) M_j
    (x) W_ij for planes, rows and columns.

    b, x            (n0, n1, n2), C order.
    bands           (2, 3, 2 REACH + 1, >= n): M_0 and M_1 along each axis,
                    bands[i, axis, o, j] the entry (j, j + o - REACH).
    rows            (2, 2, 2 REACH + 1, n2): W_ij = c_ij0 M_0 + c_ij1 M_1, negative where n1 > 1.
    used            (2, 2): which W_ij are not zero.
    ring            (2, >= 2 REACH + 1, n1, >= n2): workspace, the sums over rows and columns
                    of the last planes.
    stack           (2, 2, n1, 1, n2) where n1 > 1: workspace, the sums over columns of one plane.
    """
    b, x, bands, rows, used = borrowed(b, x, bands, rows, used)
    ring, stack = borrowed(ring, stack)
    n0, n1, n2 = x.shape
    size = ring.shape[1]
    for t in range(max(lo - REACH, 0), hi + REACH):
        if t < n0 and n1 == 1:
            one, two = ring[0, t % size, 0, :n2], ring[1, t % size, 0, :n2]
            band_rows(one, two, used[1, 0], x[t, 0], rows[0, 0], rows[1, 0])
        elif t < n0:
            for j in range(2):
                for y in range(n1 if used[0, j] or used[1, j] else 0):
                    one, two = stack[0, j, y, 0], stack[1, j, y, 0]
                    band_rows(one, two, used[1, j], x[t, y], rows[0, j], rows[1, j])
            for i in range(2):
                for y in range(n1):
                    target = ring[i, t % size, y, :n2]
                    target[:] = 0.0
                    # of M_0 (x) W_i0 + M_1 (x) W_i1, what there is of the two terms
                    p, q, M0, M1 = stack[i, 0], stack[i, 1], bands[0, 1], bands[1, 1]
                    if used[i, 0]:
                        subtract_bands(target, p, q, 0, used[i, 1], M0, M1, y, n1)
                    elif used[i, 1]:
                        subtract_bands(target, q, q, 0, False, M1, M0, y, n1)
        r = t - REACH
        if lo <= r < hi:
            M0, M1 = bands[0, 0], bands[1, 0]
            for y in range(n1):
                subtract_bands(b[r, y], ring[0], ring[1], y, used[1].any(), M0, M1, r, n0)
