"""Plane kernels of the matrix-free cycle that change the grid: interpolation and restriction by the
tables of `tables.py`.

Interpolation expands each coarse plane along its rows and columns once, into a ring of four; a fine
plane is then a sum of those planes. Restriction sums fine planes first, then rows, then columns, so
that long rows are read once and in order.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
from __future__ import annotations

from mgtheory.matrixfree.kernels.compiling import planewise
from mgtheory.matrixfree.kernels.rows import (
    PAD,
    add_row,
    borrowed,
    clear,
    copy_row,
    expand,
    expand_cubic,
    full_weight,
    gather,
    mix2,
    mix3,
    mix4,
    scale_row,
)
from mgtheory.matrixfree.tables import COPY, GENERAL, NESTED


@planewise
def last_tap(tables, i):
    """The last source plane that target plane i is made of."""
    q = 3
    while q > 0 and tables.weights[0, q, i] == 0.0:
        q -= 1
    return tables.first[0, i] + q


@planewise
def blend(out, v, first, weights, i, end):
    """out = sum_q weights[q, i] v[first[i] + q]: row v of a stack of `end` rows, few terms where
    weights vanish."""
    out, v = borrowed(out, v)
    k = first[i]
    p0, p1, p2, p3 = weights[0, i], weights[1, i], weights[2, i], weights[3, i]
    if p2 == 0.0 and p3 == 0.0:
        mix2(out, v[k], v[min(k + 1, end - 1)], p0, p1)
    else:
        one, two, three = v[min(k + 1, end - 1)], v[min(k + 2, end - 1)], v[min(k + 3, end - 1)]
        mix4(out, v[k], one, two, three, p0, p1, p2, p3)


@planewise
def expand_plane(out, e, n2, m2, scratch, tables):
    """The coarse plane e of m2 columns interpolated along its rows and columns, to n2; `scratch` is
    a padded row."""
    out, e, scratch, tables = borrowed(out, e, scratch, tables)
    first, weights, kind = tables
    m1 = e.shape[0]
    for y in range(out.shape[0]):
        target = out[y, PAD : PAD + n2]
        row = e[first[1, y], :m2]
        if weights[1, 0, y] != 1.0:
            row = scratch[PAD : PAD + m2]
            blend(row, e[:, :m2], first[1], weights[1], y, m1)
        elif kind == GENERAL:
            copy_row(scratch[PAD : PAD + m2], row)
        if kind == NESTED:
            expand(target, row)
        elif kind == COPY:
            copy_row(target, row)
        elif kind == GENERAL:
            gather(target, scratch[PAD:], first[2], weights[2])
        else:
            expand_cubic(target, row)
            for j in (0, 2, n2 - 3, n2 - 1):
                gather(target[j : j + 1], row, first[2, j : j + 1], weights[2, :, j : j + 1])


@planewise
def interpolate_plane(out, n2, expanded, t, py, tables, add, source):
    """Plane t of the interpolant, plus the plane `source` of x if `add`, into the padded plane out;
    from a ring of expanded planes."""
    out, expanded, source = borrowed(out, expanded, source)
    k, w = tables.first[0, t], tables.weights
    p0, p1, p2, p3 = w[0, 0, t], w[0, 1, t], w[0, 2, t], w[0, 3, t]
    # a plane of the nested cubic interpolation that is a coarse one
    if p0 == 0.0 and p2 == 0.0 and p3 == 0.0:
        k, p0, p1 = k + 1, p1, p0
    one = out.dtype.type(1.0)
    for y in range(out.shape[0] - 2 * py):
        target = out[y + py, PAD : PAD + n2]
        a, b = expanded[k % 4, y, PAD : PAD + n2], expanded[(k + 1) % 4, y, PAD : PAD + n2]
        if p2 != 0.0 or p3 != 0.0:
            c, d = expanded[(k + 2) % 4, y], expanded[(k + 3) % 4, y]
            c, d = c[PAD : PAD + n2], d[PAD : PAD + n2]
            mix4(target, a, b, c, d, p0, p1, p2, p3)
            if add:
                add_row(target, source[y])
        elif p1 == 0.0 and add:
            mix2(target, a, source[y], p0, one)
        elif p1 == 0.0:
            scale_row(target, a, p0)
        elif add:
            mix3(target, a, b, source[y], p0, p1, one)
        else:
            mix2(target, a, b, p0, p1)


@planewise
def restrict_plane(out, planes, n2, m2, i, modulus, off, py, scratch, tables):
    """Coarse plane i of the restriction, m2 columns.

    Fine plane r is planes[r % modulus], its row y starts at [y + py, off]; `scratch` holds two
    rows, zero beyond their n2 values.
    """
    out, planes, scratch, tables = borrowed(out, planes, scratch, tables)
    first, weights, kind = tables
    total, row = scratch[0], scratch[1]
    k, z = first[0, i], off + n2
    a, b = planes[k % modulus], planes[(k + 1) % modulus]
    c, d = planes[(k + 2) % modulus], planes[(k + 3) % modulus]
    for y in range(out.shape[0]):
        for q in range(4):
            w = weights[1, q, y]
            if w == 0.0:
                continue
            r = first[1, y] + q + py
            target = (row if q > 0 else total)[PAD : PAD + n2]
            p0, p1 = w * weights[0, 0, i], w * weights[0, 1, i]
            p2, p3 = w * weights[0, 2, i], w * weights[0, 3, i]
            if p3 == 0.0 and p2 == 0.0 and p1 == 0.0:
                scale_row(target, a[r, off:z], p0)
            elif p3 == 0.0:
                mix3(target, a[r, off:z], b[r, off:z], c[r, off:z], p0, p1, p2)
            else:
                mix4(target, a[r, off:z], b[r, off:z], c[r, off:z], d[r, off:z], p0, p1, p2, p3)
            if q > 0:
                add_row(total[PAD : PAD + n2], target)
        if kind == NESTED:
            full_weight(out[y, :m2], total[PAD : PAD + n2])
        elif kind == COPY:
            copy_row(out[y, :m2], total[PAD : PAD + m2])
        else:
            gather(out[y, :m2], total[PAD:], first[2], weights[2])
        clear(out[y], m2)
