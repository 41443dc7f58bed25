"""A correction in float32 added to the solution, and the residual that it leaves, in one pass: the
step of iterative refinement (cycles in float32, residuals in float64)."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
from __future__ import annotations

from mgtheory.matrixfree.kernels.compiling import entry, planewise
from mgtheory.matrixfree.kernels.rows import (
    PAD,
    borrowed,
    clear,
    copy_row,
    multiple_square,
    sum_row,
)
from mgtheory.matrixfree.kernels.sweep import load_plane, source_plane, stencil_plane
from mgtheory.matrixfree.threads import Block


@planewise
def residual_plane(out, r, below, plane, above, b, stencil, unit):
    """r = unit (b - A x) of a plane, in the type of r, and the square sum of b - A x; `out` is
    workspace."""
    out, r, below, plane, above, b = borrowed(out, r, below, plane, above, b)
    py, n2, total = 1 if b.shape[0] > 1 else 0, b.shape[1], 0.0
    stencil_plane(out, below, plane, above, b, py, n2, stencil, -1.0, 1.0, 0.0)
    for y in range(b.shape[0]):
        total += multiple_square(r[y, :n2], out[y + py, PAD : PAD + n2], unit)
        clear(r[y], n2)
    return total


@planewise
def sum_plane(out, x, source, e, factor, mine):
    """The padded plane out = source + factor e; also to the plane x if it is `mine`."""
    out, x, source, e = borrowed(out, x, source, e)
    py, n2 = 1 if source.shape[0] > 1 else 0, source.shape[1]
    for y in range(source.shape[0]):
        row = out[y + py, PAD : PAD + n2]
        sum_row(row, source[y], e[y], factor)
        if mine:
            copy_row(x[y], row)


@entry
def refine(x, e, b, r, add, factor, unit, stencil, lo, hi, ring, halo):
    """x += factor e if `add`, and r = unit (b - A x), on the planes lo .. hi - 1; returns their
    square sum of b - A x.

    x, b            (n0, n1, n2), C order.
    e, r            the same in float32.
    stencil, ring, halo
                    as of `mgtheory.matrixfree.kernels.sweep.sweep`, a plane of `halo` at least.
    """
    x, e, b, r, stencil, ring, halo = borrowed(x, e, b, r, stencil, ring, halo)
    block, n0, total = Block(lo, hi, 0, 0), x.shape[0], 0.0
    py = 1 if x.shape[1] > 1 else 0
    for t in range(lo - 1, hi + 1):
        plane = ring[0, t % 3]
        if t < 0 or t == n0:  # beyond the boundary
            plane[:] = 0.0
        elif add:
            source = source_plane(x, halo, block, t)
            sum_plane(plane, x[t], source, e[t], factor, lo <= t < hi)
        else:
            load_plane(plane, source_plane(x, halo, block, t), py)
        i = t - 1
        if i >= lo:
            below, centre = ring[0, (i - 1) % 3], ring[0, i % 3]
            total += residual_plane(ring[1, 0], r[i], below, centre, plane, b[i], stencil, unit)
    return total
