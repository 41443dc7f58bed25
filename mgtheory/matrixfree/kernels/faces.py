"""The sweep for -div(k grad u): as `sweep`, with one number for each face of the grid in place of a
stencil, and transfers that follow them.

Equation of a point, k_f and u_f the coefficient of a face and the neighbour behind it (0 beyond the
boundary): sum_f k_f (u - u_f) = b, so the diagonal is sum_f k_f and nothing else is stored. A
smoothing step is x + omega D^-1 (b - A x) + mu (x - the x before).

Interpolation keeps the flux: coarse points are every second one along the coarsened axes, and a
point that is fine along the axes S is the mean of its neighbours along them, weighted by the faces
in between (`mgtheory.multigrid.blackbox`, for 2 d + 1 points). Points fine along one axis come
first, then along two, then three. Restriction is its transpose times 1/2 for each coarsened axis,
in the opposite order: a fine point's residual over its sum of faces, times each face, is added to
the neighbour behind it.

Faces of an axis are one more than points; face i lies before point i. Planes, rows, the ring and
the blocks of threads are those of `mgtheory.matrixfree.kernels.sweep`.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
from __future__ import annotations

from mgtheory.matrixfree.kernels.compiling import compiled, entry, planewise
from mgtheory.matrixfree.kernels.rows import (
    PAD,
    add_row,
    borrowed,
    copy_row,
    square_sum,
    three_term,
)
from mgtheory.matrixfree.kernels.sweep import load_plane, source_plane, store_plane
from mgtheory.matrixfree.tables import ADD, KEEP, ZERO
from mgtheory.matrixfree.threads import Block


@planewise
def apply_plane(out, below, plane, above, b, faces, r, omega, smooth):
    """out = a step from `plane` without its momentum if `smooth`, else b - A x: plane r, of padded
    planes."""
    out, below, plane, above, b, faces = borrowed(out, below, plane, above, b, faces)
    k0, k1, k2 = faces
    n1, n2 = b.shape
    py = 1 if n1 > 1 else 0
    p, q, keep = PAD, PAD + n2, 1.0 - omega
    for y in range(n1):
        i, f = y + py, b[y]
        row, c, w, e = out[i, p:q], plane[i, p:q], plane[i, p - 1 : q - 1], plane[i, p + 1 : q + 1]
        d, u, kd, ku = below[i, p:q], above[i, p:q], k0[r, y], k0[r + 1, y]
        kw, ke = k2[r, y, :n2], k2[r, y, 1:]
        if py:
            s, n, ks, kn = plane[i - 1, p:q], plane[i + 1, p:q], k1[r, y], k1[r, y + 1]
            for j in range(n2):
                total = (kw[j] + ke[j]) + (kd[j] + ku[j]) + (ks[j] + kn[j])
                flux = (kw[j] * w[j] + ke[j] * e[j]) + (kd[j] * d[j] + ku[j] * u[j])
                flux += f[j] + (ks[j] * s[j] + kn[j] * n[j])
                row[j] = keep * c[j] + omega * flux / total if smooth else flux - total * c[j]
        elif k1.shape[0] > 0:  # a single row of three axes: the boundary lies behind either face
            ks, kn = k1[r, 0], k1[r, 1]
            for j in range(n2):
                total = (kw[j] + ke[j]) + (kd[j] + ku[j]) + (ks[j] + kn[j])
                flux = f[j] + (kw[j] * w[j] + ke[j] * e[j]) + (kd[j] * d[j] + ku[j] * u[j])
                row[j] = keep * c[j] + omega * flux / total if smooth else flux - total * c[j]
        else:
            for j in range(n2):
                total = (kw[j] + ke[j]) + (kd[j] + ku[j])
                flux = f[j] + (kw[j] * w[j] + ke[j] * e[j]) + (kd[j] * d[j] + ku[j] * u[j])
                row[j] = keep * c[j] + omega * flux / total if smooth else flux - total * c[j]


@planewise
def between(row, a, b, ka, kb, k, columns):
    """A padded row between the rows a and b: their mean weighted by ka and kb, where columns are
    coarsened at every second point alone; there the points between take part along the row too."""
    row, a, b, ka, kb, k = borrowed(row, a, b, ka, kb, k)
    n = ka.size
    p = row[PAD : PAD + n]
    for j in range(n):
        p[j] = (ka[j] * a[j] + kb[j] * b[j]) / (ka[j] + kb[j])
    if columns:
        w, e = row[PAD - 1 : PAD + n - 1], row[PAD + 1 : PAD + n + 1]
        for i in range((n + 1) // 2):
            j = 2 * i
            part, total = ka[j] * a[j] + kb[j] * b[j], ka[j] + kb[j] + k[j] + k[j + 1]
            p[j] = (part + k[j] * w[j] + k[j + 1] * e[j]) / total


@planewise
def between_four(row, a, b, ka, kb, c, d, kc, kd, k, columns):
    """`between` of the four rows a, b, c and d."""
    row, a, b, ka, kb = borrowed(row, a, b, ka, kb)
    c, d, kc, kd, k = borrowed(c, d, kc, kd, k)
    n = ka.size
    p = row[PAD : PAD + n]
    for j in range(n):
        part = (ka[j] * a[j] + kb[j] * b[j]) + (kc[j] * c[j] + kd[j] * d[j])
        p[j] = part / ((ka[j] + kb[j]) + (kc[j] + kd[j]))
    if columns:
        w, e = row[PAD - 1 : PAD + n - 1], row[PAD + 1 : PAD + n + 1]
        for i in range((n + 1) // 2):
            j = 2 * i
            part = (ka[j] * a[j] + kb[j] * b[j]) + (kc[j] * c[j] + kd[j] * d[j])
            total = (ka[j] + kb[j]) + (kc[j] + kd[j]) + (k[j] + k[j + 1])
            p[j] = (part + k[j] * w[j] + k[j + 1] * e[j]) / total


@planewise
def expand_faces(out, e, r, faces, axes, zero):
    """The coarse plane e on the rows and columns of plane r, which is coarse along the planes."""
    out, e, faces, zero = borrowed(out, e, faces, zero)
    _, k1, k2 = faces
    n1, n2 = out.shape[0], k2.shape[2] - 1
    for y in range(1 if axes[1] else 0, n1, 2 if axes[1] else 1):
        k, row, v = k2[r, y], out[y, PAD : PAD + n2], e[y // 2 if axes[1] else y]
        m = v.size
        if not axes[2]:
            copy_row(row, v)
            continue
        row[0] = k[1] * v[0] / (k[0] + k[1])
        for i in range(1, m):
            j = 2 * i
            row[j - 1] = v[i - 1]
            row[j] = (k[j] * v[i - 1] + k[j + 1] * v[i]) / (k[j] + k[j + 1])
        row[2 * m - 1] = v[m - 1]
        if n2 > 2 * m:
            row[n2 - 1] = k[n2 - 1] * v[m - 1] / (k[n2 - 1] + k[n2])
    for y in range(0, n1 if axes[1] else 0, 2):
        a = out[y - 1, PAD : PAD + n2] if y > 0 else zero
        b = out[y + 1, PAD : PAD + n2] if y + 1 < n1 else zero
        between(out[y], a, b, k1[r, y], k1[r, y + 1], k2[r, y], axes[2])


@planewise
def interpolate_faces(out, expanded, r, faces, axes, py, zero):
    """Plane r of the interpolant, padded, from a ring of expanded coarse planes."""
    out, expanded, faces, zero = borrowed(out, expanded, faces, zero)
    k0, k1, k2 = faces
    n0, n1, n2 = k2.shape[0], k2.shape[1], k2.shape[2] - 1
    p, q, J = PAD, PAD + n2, r // 2 if axes[0] else r
    if not axes[0] or r % 2:
        for y in range(n1):
            copy_row(out[y + py, p:q], expanded[J % 4, y, p:q])
        return
    for later in range(2):
        for y in range(n1):
            if later != (1 if axes[1] and y % 2 == 0 else 0):
                continue
            i = y + py
            a = expanded[(J - 1) % 4, y, p:q] if r > 0 else zero
            b = expanded[J % 4, y, p:q] if r + 1 < n0 else zero
            ka, kb = k0[r, y], k0[r + 1, y]
            if later:
                c, d, kc, kd = out[i - 1, p:q], out[i + 1, p:q], k1[r, y], k1[r, y + 1]
                between_four(out[i], a, b, ka, kb, c, d, kc, kd, k2[r, y], axes[2])
            else:
                between(out[i], a, b, ka, kb, k2[r, y], axes[2])


@planewise
def divide(row, ka, kb, kc, kd, four, k, columns):
    """The transpose of `between` (of `between_four` if `four`) along a padded row: residuals to
    those over their sum of faces."""
    row, ka, kb, kc, kd, k = borrowed(row, ka, kb, kc, kd, k)
    n = ka.size
    p, w, e = row[PAD : PAD + n], row[PAD - 1 : PAD + n - 1], row[PAD + 1 : PAD + n + 1]
    if columns:
        for i in range((n + 1) // 2):
            j = 2 * i
            total = ka[j] + kb[j] + k[j] + k[j + 1]
            p[j] /= total + kc[j] + kd[j] if four else total
        for i in range(n // 2):
            j = 2 * i + 1
            total = ka[j] + kb[j]
            p[j] = (p[j] + k[j] * w[j] + k[j + 1] * e[j]) / (
                total + kc[j] + kd[j] if four else total
            )
    else:
        for j in range(n):
            p[j] /= ka[j] + kb[j] + kc[j] + kd[j] if four else ka[j] + kb[j]


@compiled
def add_shares(row, a, b, ka, kb):
    """row += ka a + kb b."""
    for j in range(row.size):
        row[j] += ka[j] * a[j] + kb[j] * b[j]


@planewise
def share_plane(plane, r, faces, axes, py, fine):
    """Plane r of a residual, padded, as its fine points hand it on along rows and columns; if
    `fine`, all of its points hand on along the planes too, and are over their sums of faces."""
    plane, faces = borrowed(plane, faces)
    k0, k1, k2 = faces
    n1, n2 = k2.shape[1], k2.shape[2] - 1
    p, q = PAD, PAD + n2
    for y in range(0, n1 if axes[1] else 0, 2):
        i, ka, kb = y + py, k1[r, y], k1[r, y + 1]
        divide(plane[i], ka, kb, k0[r, y], k0[r + 1, y], fine, k2[r, y], axes[2])
    for y in range(1 if axes[1] else 0, n1, 2 if axes[1] else 1):
        i = y + py
        if axes[1]:
            south, north = plane[i - 1, p:q], plane[i + 1, p:q]
            add_shares(plane[i, p:q], south, north, k1[r, y], k1[r, y + 1])
        if fine:
            ka, kb = k0[r, y], k0[r + 1, y]
            divide(plane[i], ka, kb, ka, kb, False, k2[r, y], axes[2])


@planewise
def collect(out, plane, r, faces, axes, py):
    """The coarse plane out of plane r, which has received what the planes beside it hand on."""
    out, plane, faces = borrowed(out, plane, faces)
    k2, n2 = faces[2], faces[2].shape[2] - 1
    scale = 0.5 ** (axes[0] + axes[1] + axes[2])
    for y in range(out.shape[0]):
        fine = 2 * y + 1 if axes[1] else y
        row, s, k = out[y], plane[fine + py, PAD:], k2[r, fine]
        if axes[2]:
            for i in range((n2 + 1) // 2):
                s[2 * i] /= k[2 * i] + k[2 * i + 1]
            for i in range(row.size):  # beyond n2 values the plane is 0
                j = 2 * i + 1
                row[i] = scale * (s[j] + k[j] * s[j - 1] + k[j + 1] * s[j + 1])
        else:
            for i in range(row.size):
                row[i] = scale * s[i]


@entry
def sweep_faces(
    x,
    b,
    e,
    rc,
    start,
    k0,
    k1,
    k2,
    a0,
    a1,
    a2,
    steps,
    write,
    norm,
    lo,
    hi,
    j0,
    j1,
    ring,
    expanded,
    scratch,
    halo,
):
    """Smooth the planes lo .. hi - 1 of x in place, restrict to the coarse planes j0 .. j1 - 1;
    returns their residual's square sum.

    k0, k1, k2      the faces along planes, rows and columns: (n0 + 1, n1, n2), (n0, n1 + 1, n2),
                    (n0, n1, n2 + 1).
    a0, a1, a2      whether planes, rows and columns are coarsened.

    The rest, and the order of the stages, as `mgtheory.matrixfree.kernels.sweep.sweep`.
    """
    x, b, e, rc, steps = borrowed(x, b, e, rc, steps)
    k0, k1, k2 = borrowed(k0, k1, k2)
    ring, expanded, scratch, halo = borrowed(ring, expanded, scratch, halo)
    faces, axes, block = (k0, k1, k2), (a0, a1, a2), Block(lo, hi, j0, j1)
    n0, n1, n2 = x.shape
    py, k, restrict = 1 if n1 > 1 else 0, steps.shape[0], j1 > j0
    residual = 1 if (restrict or norm) else 0
    last = hi - 1
    if restrict and a0:  # the residual of a coarse plane needs the fine ones beside it
        last = max(last, min(2 * j1, n0 - 1))
    zero, final, total, loaded = scratch[0, PAD : PAD + n2], ring[ring.shape[0] - 1], 0.0, -1
    for t in range(max(lo - residual - k, -1), last + residual + k + 1):
        for i in range(k + 1):
            r = t - i
            # each later stage needs one plane less of the neighbours' at either side
            if r < max(lo - residual - (k - i), -1) or r > min(last + residual + k - i, n0):
                continue
            plane = ring[i, r % 3]
            if r == -1 or r == n0 or (i == 0 and start == ZERO):
                plane[:] = 0.0
                continue
            if i == 0 and start == KEEP:
                load_plane(plane, source_plane(x, halo, block, r), py)
            elif i == 0:
                loaded = max(loaded, (r // 2 - 1 + r % 2 if a0 else r) - 1)
                while loaded < (min(r // 2, e.shape[0] - 1) if a0 else r):
                    loaded += 1
                    if loaded >= 0:
                        fine = 2 * loaded + 1 if a0 else loaded
                        expand_faces(expanded[loaded % 4], e[loaded], fine, faces, axes, zero)
                interpolate_faces(plane, expanded, r, faces, axes, py, zero)
                if start == ADD:
                    source = source_plane(x, halo, block, r)
                    for y in range(n1):
                        add_row(plane[y + py, PAD : PAD + n2], source[y])
            else:
                before, omega, mu = ring[i - 1], steps[i - 1, 0], steps[i - 1, 1]
                below, centre, above = before[(r - 1) % 3], before[r % 3], before[(r + 1) % 3]
                apply_plane(plane, below, centre, above, b[r], faces, r, omega, True)
                if mu != 0.0:
                    for y in range(n1):
                        c = centre[y + py, PAD : PAD + n2]
                        was = ring[i - 2, r % 3, y + py, PAD : PAD + n2]
                        three_term(plane[y + py, PAD : PAD + n2], c, was, mu)
            if write > 0 and i == k and lo <= r < hi:
                store_plane(x[r], plane, py, write == 2)
        r = t - k - 1
        if not residual or r < lo or r > last:
            continue
        plane, before = final[r % 4], ring[k]
        below, centre, above = before[(r - 1) % 3], before[r % 3], before[(r + 1) % 3]
        apply_plane(plane, below, centre, above, b[r], faces, r, 0.0, False)
        if norm and r < hi:
            for y in range(n1):
                total += square_sum(plane[y + py, PAD : PAD + n2])
        if not restrict:
            continue
        if a0 and r % 2 == 0:
            share_plane(plane, r, faces, axes, py, True)
        # the coarse plane that has all it needs: the one before a fine plane, or at the end itself
        ready = r - 1 if a0 and r % 2 == 0 else r
        if a0 and (ready < 1 or (ready == r and r + 1 < n0)):
            continue
        j = ready // 2 if a0 else ready
        if j0 <= j < j1:
            plane = final[ready % 4]
            if a0:
                for y in range(n1):
                    s, i = plane[y + py, PAD : PAD + n2], y + py
                    add_shares(
                        s,
                        final[(ready - 1) % 4, i, PAD : PAD + n2],
                        final[(ready + 1) % 4, i, PAD : PAD + n2] if ready + 1 < n0 else zero,
                        k0[ready, y],
                        k0[ready + 1, y],
                    )
            share_plane(plane, ready, faces, axes, py, False)
            collect(rc[j], plane, ready, faces, axes, py)
    return total
