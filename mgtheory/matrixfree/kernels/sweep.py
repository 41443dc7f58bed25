"""The one sweep of the matrix-free cycle: interpolate, smooth several degrees, form the residual,
restrict it, in one pass over memory.

A grid is a stack of planes, a plane a stack of rows: shape (planes, rows, columns); a
two-dimensional grid has one row per plane. The sweep is a wavefront along the planes: each stage
needs the one before it a plane ahead, so all of them move on together. With k = 2 smoothing steps,
at time t:

    plane             t-4   t-3   t-2   t-1    t
    stage 0: start     .     .     o     o     *      of x, of P e, or of their sum
    stage 1: step 1    .     o     o     *            from the planes beside it of stage 0
    stage 2: step 2    o     o     *                  from those of stage 1; the last one goes to x
    residual           o     *                        from those of stage 2
    R r                *                              of every second plane, when its four are there

``*`` is computed now, ``o`` is still kept: three planes of every stage, four residuals. Main memory
therefore sees x and b once, 24 bytes an unknown, whatever the degree, as long as these planes fit
into the cache. Each thread takes a block of planes and recomputes what it needs of its neighbours'
planes, k + 4 at most at either side, from copies made before anything is overwritten.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
from __future__ import annotations

from mgtheory.matrixfree.kernels.compiling import compiled, entry, planewise
from mgtheory.matrixfree.kernels.planes import (
    expand_plane,
    interpolate_plane,
    last_tap,
    restrict_plane,
)
from mgtheory.matrixfree.kernels.rows import (
    PAD,
    add_pair,
    add_row,
    borrowed,
    clear,
    copy_row,
    scale_row,
    square5,
    square7,
    square_sum,
    step3,
    step5,
    step5_bare,
    step7,
    step7_bare,
    three_term,
)
from mgtheory.matrixfree.tables import ADD, KEEP, ZERO, Tables
from mgtheory.matrixfree.threads import Block


@compiled
def stencil_plane(out, below, plane, above, b, py, columns, stencil, factor, omega, centre):
    """out = centre plane + factor (stencil applied to the three planes) + omega b, on padded
    planes of so many columns; out may be without padding."""
    n1, n2 = b.shape
    off = out.shape[1] - n2  # 0 for a plane of x itself, 2 PAD for one of the workspace
    first, top = (PAD, py) if off else (0, 0)
    of = out.dtype.type  # a literal would make doubles of them
    factor, omega = of(factor), of(omega)
    kc, kx = of(centre) + factor * stencil[0, 0, 0], factor * stencil[0, 0, 1]
    ky, kxy = factor * stencil[0, 1, 0], factor * stencil[0, 1, 1]
    kz, kxz = factor * stencil[1, 0, 0], factor * stencil[1, 0, 1]
    kyz, kxyz = factor * stencil[1, 1, 0], factor * stencil[1, 1, 1]
    a, z = PAD, PAD + n2
    for y in range(n1):
        i = y + py
        row = out[y + top, first : first + n2]
        c, w, e = plane[i, a:z], plane[i, a - 1 : z - 1], plane[i, a + 1 : z + 1]
        d, u = below[i, a:z], above[i, a:z]
        if kxz == 0.0 and kxy == 0.0 and kyz == 0.0 and kxyz == 0.0:
            if py == 0:
                step5(row, c, w, e, d, u, b[y], (kc, kx, kz, omega))
            else:
                s, n = plane[i - 1, a:z], plane[i + 1, a:z]
                step7(row, c, w, e, s, n, d, u, b[y], (kc, kx, ky, kz, omega))
            clear(row, columns)
            continue
        step3(row, c, w, e, b[y], kc, kx, omega)
        dw, de = below[i, a - 1 : z - 1], below[i, a + 1 : z + 1]
        add_pair(row, d, dw, de, u, above[i, a - 1 : z - 1], above[i, a + 1 : z + 1], kz, kxz)
        if py:
            for p, k, kk in ((plane, ky, kxy), (below, kyz, kxyz), (above, kyz, kxyz)):
                s, n = p[i - 1], p[i + 1]
                sw, se = s[a - 1 : z - 1], s[a + 1 : z + 1]
                add_pair(row, s[a:z], sw, se, n[a:z], n[a - 1 : z - 1], n[a + 1 : z + 1], k, kk)
        clear(row, columns)


@compiled
def source_plane(x, halo, block, t):
    """Plane t of x; from the copies in `halo` outside the block, where another thread may have
    overwritten it."""
    if t < block.lo:
        return halo[0, t - block.lo + halo.shape[1]]
    return halo[1, t - block.hi] if t >= block.hi else x[t]


@compiled
def bare_plane(out, x, halo, block, r, b, zero, columns, stencil, factor, omega, centre):
    """`stencil_plane` for plane r with a (2 d + 1)-point stencil, straight from x; `zero` is a row
    of zeros, out a padded plane."""
    n0, n1, n2 = x.shape
    py = 1 if n1 > 1 else 0
    of = out.dtype.type
    factor, omega = of(factor), of(omega)
    kc, kx = of(centre) + factor * stencil[0, 0, 0], factor * stencil[0, 0, 1]
    ky, kz = factor * stencil[0, 1, 0], factor * stencil[1, 0, 0]
    plane = source_plane(x, halo, block, r)
    below = source_plane(x, halo, block, r - 1) if r > 0 else plane
    above = source_plane(x, halo, block, r + 1) if r + 1 < n0 else plane
    for y in range(n1):
        row = out[y + py, PAD : PAD + n2]
        d, u = below[y] if r > 0 else zero, above[y] if r + 1 < n0 else zero
        if n1 == 1:
            step5_bare(row, plane[y], d, u, b[y], (kc, kx, kz, omega))
        else:
            s, n = plane[y - 1] if y > 0 else zero, plane[y + 1] if y + 1 < n1 else zero
            step7_bare(row, plane[y], s, n, d, u, b[y], (kc, kx, ky, kz, omega))
        clear(row, columns)


@planewise
def store_plane(out, plane, py, add):
    """out = plane without its padding, or out += it."""
    out, plane = borrowed(out, plane)
    for y in range(out.shape[0]):
        row = plane[y + py, PAD : PAD + out.shape[1]]
        if add:
            add_row(out[y], row)
        else:
            copy_row(out[y], row)


@planewise
def load_plane(out, plane, py):
    """out = plane, out padded."""
    out, plane = borrowed(out, plane)
    for y in range(plane.shape[0]):
        copy_row(out[y + py, PAD : PAD + plane.shape[1]], plane[y])


@compiled
def written_row(x, planes, block, r, y, py):
    """Row y of plane r after the last step: in x where this thread has written it there, else in
    the ring `planes`."""
    if block.lo <= r < block.hi:
        return x[r, y]
    return planes[r % 3, y + py, PAD : PAD + x.shape[2]]


@planewise
def written_residual(out, store, x, planes, block, r, b, py, zero, columns, stencil):
    """The residual b - A x of plane r with a (2 d + 1)-point stencil, into the padded plane out if
    `store`, else its square sum."""
    out, x, planes, b, zero = borrowed(out, x, planes, b, zero)
    n1, n2 = b.shape
    m = n2 if store else columns
    kc, kx, ky, kz = -stencil[0, 0, 0], -stencil[0, 0, 1], -stencil[0, 1, 0], -stencil[1, 0, 0]
    one = out.dtype.type(1.0)
    k5, k7 = (kc, kx, kz, one), (kc, kx, ky, kz, one)
    total = 0.0
    for y in range(n1):
        row, c = out[y + py, PAD : PAD + n2], written_row(x, planes, block, r, y, py)
        d = written_row(x, planes, block, r - 1, y, py)
        u = written_row(x, planes, block, r + 1, y, py)
        if n1 == 1 and store:
            step5_bare(row, c, d, u, b[y], k5)
        elif n1 == 1:
            total += square5(c[:m], d[:m], u[:m], b[y, :m], k5)
        else:
            s = written_row(x, planes, block, r, y - 1, py) if y > 0 else zero
            n = written_row(x, planes, block, r, y + 1, py) if y + 1 < n1 else zero
            if store:
                step7_bare(row, c, s, n, d, u, b[y], k7)
            else:
                total += square7(c[:m], s[:m], n[:m], d[:m], u[:m], b[y, :m], k7)
        if store:
            clear(row, columns)
    return total


@compiled
def smooth_plane(target, ring, i, r, start, b, columns, stencil, omega, mu):
    """Stage i of plane r, from the planes of stage i - 1 (and i - 2) in the ring, into target."""
    n1, n2 = b.shape
    py = 1 if ring.shape[2] > 1 else 0
    off, top = (PAD, py) if target.shape[1] > n2 else (0, 0)
    before = ring[i - 1]
    below, plane, above = before[(r - 1) % 3], before[r % 3], before[(r + 1) % 3]
    if i == 1 and start == ZERO:
        for y in range(n1):
            scale_row(target[y + top, off : off + n2], b[y], omega)
    else:
        stencil_plane(target, below, plane, above, b, py, columns, stencil, -omega, omega, 1.0)
    if mu != 0.0:
        last = ring[i - 2, r % 3]
        for y in range(n1):
            row, c = target[y + top, off : off + n2], plane[y + py, PAD : PAD + n2]
            three_term(row, c, last[y + py, PAD : PAD + n2], mu)


@planewise
def restrict_b(b, rc, norm, columns, down, block, scratch):
    """Restrict b to the block's coarse planes; the square sum of its own planes if `norm`."""
    b, rc, down = borrowed(b, rc, down)
    total = 0.0
    r = block.lo
    for j in range(block.j0, block.j1):
        if norm:
            while r < block.hi and r <= last_tap(down, j):
                for y in range(b.shape[1]):
                    total += square_sum(b[r, y])
                r += 1
        restrict_plane(rc[j], b, b.shape[2], columns, j, b.shape[0], 0, 0, scratch, down)
    if norm:
        for i in range(r, block.hi):
            for y in range(b.shape[1]):
                total += square_sum(b[i, y])
    return total


@entry
def sweep(
    x,
    b,
    e,
    rc,
    start,
    rest,
    unit,
    columns,
    coarse_columns,
    stencil,
    steps,
    write,
    norm,
    pi,
    pw,
    pk,
    ri,
    rw,
    rk,
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

    Threads can sweep blocks of planes at the same time (Python's lock is released): what is read of
    x beyond a block is in `halo`.

    x, b            (n0, n1, n2), C order. Rows and planes beyond the ends count as zero.
    e               correction or start on the coarse grid, (m0, m1, m2); where `start` says so.
    rc              receives the restricted residual, if j1 > j0.
    rest            receives the residual times `unit`, if it has any planes; it may be float32.
    columns         the grid's; beyond them rows of x, b and rest may have zeros, which remain.
    coarse_columns  likewise of e and rc.
    start           KEEP, ZERO, ADD or SET.
    stencil         (2, 2, 2): the coefficient by the absolute offsets along planes, rows, columns.
    steps           (k, 2): omega and mu of
                    x_i = x_{i-1} + omega (b - A x_{i-1}) + mu (x_{i-1} - x_{i-2}).
    write           0: x stays; 1: x is overwritten by the result; 2: the result is added to it.
    pi, pw, pk      the `Tables` of the interpolation.
    ri, rw, rk      the `Tables` of the restriction.
    lo, hi, j0, j1  the `Block`.
    ring            (>= k + 2, 4, n1 padded, n2 padded), zero in the padding.
    expanded        (4, n1, n2 padded): coarse planes, interpolated along rows and columns.
    scratch         (4, n2 padded), the first row zero, the others in the padding.
    halo            (2, >= k + 4, n1, n2): copies of the planes of x that end below lo, and
                    of those from hi on.
    """
    x, b, e, rc, rest, stencil, steps = borrowed(x, b, e, rc, rest, stencil, steps)
    ring, expanded, scratch, halo = borrowed(ring, expanded, scratch, halo)
    # packed here: numba takes microseconds to read a tuple of Python's, as long as a small sweep
    up, down = borrowed(Tables(pi, pw, pk), Tables(ri, rw, rk))
    block = Block(lo, hi, j0, j1)
    n0, n1, n2 = x.shape
    py = 1 if n1 > 1 else 0
    k, restrict = steps.shape[0], j1 > j0
    if start == ZERO and k == 0 and write == 0:
        return restrict_b(b, rc, norm, coarse_columns, down, block, scratch[2:])
    kept = restrict or rest.shape[0] > 0
    residual = 1 if (kept or norm) else 0
    # the last plane whose residual is needed
    last = max(hi - 1, last_tap(down, j1 - 1)) if restrict else hi - 1
    # no stage needs the zero planes of stage 0
    skip = start == ZERO and (k < 2 or steps[1, 1] == 0.0)
    cross = (
        stencil[0, 1, 1] == 0.0
        and stencil[1, 0, 1] == 0.0
        and stencil[1, 1, 0] == 0.0
        and stencil[1, 1, 1] == 0.0
    )
    # stage 0 is read straight from x where neither corner values of the stencil nor a complex pair
    # need it padded; x is overwritten from stage 2 on, and stage 1, as the last one, is stored a
    # plane later, when its neighbour has read x there
    bare = start == KEEP and cross and (k < 2 or steps[1, 1] == 0.0)
    late = bare and k == 1
    # the last stage goes to x, and the residual reads it there
    direct = write == 1 and k > 0 and not late and (cross or not residual)
    pending, loaded = -1, -1
    zero = scratch[0, PAD : PAD + n2]
    final = ring[ring.shape[0] - 1]
    total = 0.0
    for t in range(max(lo - residual - k, -1), last + residual + k + 1):
        for i in range(1 if skip or bare else 0, k + 1):
            r = t - i
            # each later stage needs one plane less of the neighbours' at either side
            if r < max(lo - residual - (k - i), -1) or r > min(last + residual + k - i, n0):
                continue
            plane = ring[i, r % 3]
            if r == -1 or r == n0:  # beyond the boundary
                plane[:] = 0.0
                continue
            mine = write > 0 and i == k and lo <= r < hi
            if i == 0:
                if start == ZERO:
                    plane[:] = 0.0
                elif start == KEEP:
                    load_plane(plane, source_plane(x, halo, block, r), py)
                else:
                    loaded = max(loaded, pi[0, r] - 1)
                    while loaded < last_tap(up, r):
                        loaded += 1
                        expand_plane(
                            expanded[loaded % 4], e[loaded], columns, coarse_columns, scratch[1], up
                        )
                    source = source_plane(x, halo, block, r)
                    interpolate_plane(plane, n2, expanded, r, py, up, start == ADD, source)
            elif i == 1 and bare:
                omega = steps[0, 0]
                bare_plane(
                    plane, x, halo, block, r, b[r], zero, columns, stencil, -omega, omega, 1.0
                )
                if late:
                    if pending >= 0:
                        store_plane(x[pending], ring[1, pending % 3], py, False)
                    pending = r if mine else -1
                    continue
            else:
                target = x[r] if (mine and direct) else plane
                omega, mu = steps[i - 1, 0], steps[i - 1, 1]
                smooth_plane(target, ring, i, r, start, b[r], columns, stencil, omega, mu)
            if mine and not direct:
                store_plane(x[r], plane, py, write == 2)
        r = t - k - 1
        if residual and lo <= r <= last:
            plane, before = final[r % 4], ring[k]
            if bare and k == 0:
                bare_plane(plane, x, halo, block, r, b[r], zero, columns, stencil, -1.0, 1.0, 0.0)
            elif direct:
                total += written_residual(
                    plane, kept, x, before, block, r, b[r], py, zero, columns, stencil
                )
            else:
                below, centre, above = before[(r - 1) % 3], before[r % 3], before[(r + 1) % 3]
                stencil_plane(
                    plane, below, centre, above, b[r], py, columns, stencil, -1.0, 1.0, 0.0
                )
            if norm and r < hi and (kept or not direct):
                for y in range(n1):
                    total += square_sum(plane[y + py, PAD : PAD + n2])
            if rest.shape[0] > 0 and r < hi:
                for y in range(n1):
                    scale_row(rest[r, y, :columns], plane[y + py, PAD : PAD + columns], unit)
                    clear(rest[r, y], columns)
            while j0 < j1 and last_tap(down, j0) <= r:
                restrict_plane(rc[j0], final, n2, coarse_columns, j0, 4, PAD, py, scratch[2:], down)
                j0 += 1
    if pending >= 0:
        store_plane(x[pending], ring[1, pending % 3], py, False)
    return total
