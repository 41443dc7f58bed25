"""What in a bare matrix speaks against the grid that is given with it: the order of its unknowns,
its boundary, scales that its rows or its unknowns have of their own. Each is one sentence, or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.multigrid.coarse import DENSE
from mgtheory.multigrid.ends import Kinds
from mgtheory.multigrid.level import Level
from mgtheory.problems.grids import Boundary, Shape
from mgtheory.spectra.bounds import coupling_ratio, entries
from mgtheory.spectra.symmetry import (
    EPS,
    EXACT,
    NEARLY,
    ROUNDING,
    advice_said,
    difference_said,
    is_symmetric,
    row_maxima,
    symmetric_rows,
    turned,
)

REACH = 2  # points that a stencil of high order reaches
# from this factor between one point and the next on a coefficient is no smooth function
JUMP = 3.0
LOOSELY = 100.0  # times the tolerance: more than a residual that is spread evenly
# couplings over the diagonal, of those in most rows, from which on the unknowns have scales of
# their own, and from which on a coarse grid sees but the largest; and in which part of the rows
UNEVEN, HOPELESS, MANY = 3.0, 1e8, 0.05
APART = 3.0  # decimal powers between scales from which on a residual says little of some unknowns


def about_order(level: Level, named: Boundary | None) -> str:
    """If A couples unknowns that are no neighbours on the grid, its unknowns are in another order,
    or of another grid.

    Discretisations reach one point, those of high order two with smaller weights. Entries that are
    rounding beside the others of their row and column do not count; opposite ends are left to
    `about_boundary`.

    Raises
    ------
    ValueError
        If hardly any coupling is one of neighbours, so that no coarse grid fits.
    """
    A, shape, around = level.A, level.shape, named is Boundary.PERIODIC
    if _reaches_one_point(level.exact, shape):
        return ""
    rows = np.repeat(np.arange(A.shape[0], dtype=A.indices.dtype), np.diff(A.indptr))
    largest, columns = row_maxima(A), A.indices
    kept = np.abs(A.data) > ROUNDING * np.minimum(largest[rows], largest[columns])
    kept &= rows != columns
    if not kept.any():
        return ""
    i, j = rows[kept], columns[kept]
    size = np.abs(A.data[kept]) / largest[i]
    steps = []
    for n in reversed(shape):
        i, here = np.divmod(i, n)
        j, there = np.divmod(j, n)
        step = np.abs(there - here)
        steps.append(np.minimum(step, n - step) if around else step)
    reach, total = np.max(steps, axis=0), np.sum(steps, axis=0)
    far, near = reach > REACH, float(size[reach <= 1].sum() / size.sum())
    skipping = any(
        size[(step == 1) & (total == 1)].sum() < size[(step == 2) & (total == 2)].sum()
        for step in steps
    )
    if not (far.any() or skipping):
        return ""
    pairs = list(zip(steps, reversed(shape), strict=True))
    beside = np.all([(step <= REACH) | (step >= n - REACH) for step, n in pairs], axis=0)
    straight = np.any([(step == n - 1) & (total == step) for step, n in pairs], axis=0)
    # of trilinear elements with cubic cells no coupling is straight
    if far.any() and beside[far].all() and (straight[far].any() or not (total == 1).any()):
        return ""
    what = (
        f"A does not couple neighbours on the grid {' x '.join(map(str, shape))}:"
        f" {np.count_nonzero(far)} of its {far.size} couplings reach farther than {REACH} points,"
        f" next neighbours have {100 * near:.0f} % of the weight; shape is that of the unknowns in"
        " the order of A's rows, the last axis fastest; several unknowns per node are a last axis"
        " of their own; a graph, or any A without a grid, takes coarsening='pyamg'"
    )
    if near < 0.01:
        raise ValueError(what)
    return what


def _reaches_one_point(A: Any, shape: Shape) -> bool:
    """Whether a matrix stored by diagonals surely couples next neighbours alone; a diagonal may
    have no entry where a line of the grid ends."""
    if not isinstance(A, sp.dia_array):
        return False
    for offset, line in zip(A.offsets, A.data, strict=True):
        rest, values = int(offset), line[: A.shape[1]].reshape(shape)
        for j in reversed(range(len(shape))):
            n = shape[j]
            step = (rest + n // 2) % n - n // 2
            rest = (rest - step) // n
            beyond = slice(0, step) if step > 0 else slice(n + step, n)
            if abs(step) > 1 or (step and values[(slice(None),) * j + (beyond,)].any()):
                return False
    return True


def about_boundary(ends: Kinds, shape: Shape, boundary: Boundary) -> str:
    """If the ends of the grid look like those of another boundary. Where they differ, each is taken
    as A has it with the boundary that is named; zero values do not serve free ends."""
    kinds = set(ends.values())
    grid = " x ".join(map(str, shape))
    if "free" in kinds and boundary is not Boundary.NEUMANN:
        axes = sorted({j for (j, _), kind in ends.items() if kind == "free"})
        return (
            f"the rows of A sum to zero up to the boundary of the grid {grid} (axes {axes}): this"
            " looks like Neumann, also where other ends have other values; give"
            " boundary='neumann', or none"
        )
    if "around" in kinds and "free" not in kinds and boundary is not Boundary.PERIODIC:
        return (
            f"A couples opposite ends of the grid {grid}: with boundary='periodic' they are"
            " neighbours"
        )
    if kinds == {"zero"} and boundary is not Boundary.DIRICHLET:
        return (
            f"the rows of A at the boundary of the grid {grid} lack a coupling: this looks like"
            " zero values outside; give boundary='dirichlet'"
        )
    return ""


def about_scales(level: Level) -> str:
    """If rows differ by factors from point to point, or the unknowns do: an interpolation between
    neighbours takes them as alike.

    Raises
    ------
    ValueError
        If what couples neighbours is rounding beside the scales of the unknowns, so that no coarse
        grid fits.
    """
    if level.rows is not None and _on_diagonal(level.A, level.shape):
        spread = np.ptp(np.log10(level.rows))
        return (
            f"the rows of A have scales of their own, up to 1e{spread:.0f} apart: coarse grids take"
            " them as balanced, but the residual norm is that of the largest rows"
        )
    ratio = coupling_ratio(level.A)
    excess = ratio / max(1.0, float(np.median(ratio)))
    many = float(np.mean(excess > UNEVEN))
    if many <= MANY:
        return ""
    what = (
        f"level 0: the unknowns of A have scales of their own: in {100 * many:.0f} % of the rows"
        f" the couplings are more than {UNEVEN:g} times those usual beside the diagonal, by up to"
        f" {excess.max():.0e}; give A D for x = D y, D a diagonal with which neighbours are alike"
    )
    if np.mean(excess > HOPELESS) > MANY:
        raise ValueError(what)
    if level.scales is None:
        return what
    if (spread := np.ptp(np.log10(level.scales))) < APART:
        return ""
    return (
        f"the unknowns of A have scales of their own, up to 1e{spread:.0f} apart: coarse grids"
        " take them as alike, but the residual norm is that of the largest rows"
    )


def about_symmetry(level: Level) -> tuple[str, ...]:
    """If A is Hermitian but for rounding of its entries, or for little more, how it is taken; no
    doubt about a level, after which nothing more would be said of that. A complex A that is its own
    transpose, as with absorption, is no rounded one."""
    if level.rows is not None or not EXACT < level.asymmetry <= NEARLY:
        return ()
    if not (level.A - level.A.T).count_nonzero():
        return ()
    differ = difference_said(level.A, level.asymmetry)
    if level.symmetric:
        return (f"{differ}, as by few printed digits: A is taken as symmetric",)
    return (
        f"{differ}, more than 6 printed digits leave: A is not taken as symmetric; "
        f"{advice_said(level.A)}",
    )


def about_penalties(level: Level, b: NDArray[Any], x: NDArray[Any], tol: float) -> str:
    """If ||b - A x|| <= tol ||b|| says little of x, because ||b|| is that of rows which fix values
    by a penalty: in the others more is left of the residual that x has with these values alone.
    Else empty."""
    A, fixed = level.A, level.fixed & (level.A.diagonal() != 0.0)
    if level.problem is not None or not fixed.any() or fixed.all():
        return ""
    values = np.where(fixed, b / np.where(fixed, A.diagonal(), 1.0), 0.0)
    first, left = (float(np.linalg.norm((b - A @ v)[~fixed])) for v in (values, x))
    if not left > LOOSELY * tol * first:
        return ""
    part = first / float(np.linalg.norm(b))
    return (
        f"||b|| is that of {np.count_nonzero(fixed)} rows that fix values by a penalty, and in the"
        f" others {left / first:.0e} of the residual is left, not {tol:.0e}: take"
        f" tol={tol * part:.0e}, or rows that fix values without a penalty"
    )


def about_winds(level: Level) -> str:
    """If A is not symmetric, and in most rows the couplings to both sides along an axis have
    opposite signs: what cycles fail of. Else empty."""
    if level.symmetric:
        return ""
    for j in range(len(level.shape)):
        unit = [int(i == j) for i in range(len(level.shape))]
        back, on = (entries(level.A, level.shape, [k * i for i in unit]).real for k in (-1, 1))
        if np.mean(np.sign(back) * on < 0.0) > 0.5:
            return (
                "A couples a point with opposite signs to both sides, as central differences of a"
                " wind do from a cell Peclet number of 2 on, which coarse grids do not carry: take"
                " upwind differences; krylov='gmres' may converge, slowly"
            )
    return ""


def about_indefiniteness(levels: Sequence[Level]) -> str:
    """If a bare A is symmetric and its coarsest Galerkin product c P^T A P has eigenvalues of
    another sign than its diagonal, so that A has as many. Else empty."""
    finest, coarsest = levels[0], levels[-1]
    A = coarsest.A if np.mean(finest.A.diagonal().real, dtype=float) > 0.0 else -coarsest.A
    known = finest.problem is None and finest.symmetric and coarsest.size <= DENSE
    if not (known and is_symmetric(A)):
        return ""
    values = np.linalg.eigvalsh(A.toarray())
    if not (below := np.count_nonzero(values < -ROUNDING * np.abs(values).max())):
        return ""
    return (
        f"A is indefinite: of {values.size} eigenvalues on the coarsest grid {below} are of"
        " the other sign, as of a wave, which cycles amplify; krylov='gmres' may converge"
    )


def about_empty_rows(A: sp.csr_array, b: NDArray[Any]) -> str:
    """If rows of A without entries have a right-hand side, which no x meets. Else empty."""
    unmet = np.flatnonzero((np.diff(A.indptr) == 0) & (b.reshape(-1) != 0.0))
    if not unmet.size:
        return ""
    left = float(np.linalg.norm(b.reshape(-1)[unmet]))
    return (
        f"{unmet.size} of A's rows are empty where b is not 0, the first is row {unmet[0]}, counted"
        f" from 0: every x leaves {left:.2e} there"
    )


def row_scales(level: Level) -> NDArray[np.float64] | None:
    """d, shape (n,), where A is a balanced matrix with its rows multiplied by d_i; None for any
    other matrix.

    Of a symmetric balanced matrix, |a_ij|/|a_ji| = d_i/d_j gives d exactly. That of a wind is
    e^(w.x), its matrix being one of -div(e^(-w.x) grad), and serves as long as the digits of A
    carry it. Rows that are scaled by more than that have it on their diagonal, too, and so do
    those of a matrix that is not quite symmetric.
    """
    if level.symmetric:
        return None
    on_diagonal = _on_diagonal(level.A, level.shape)
    exact = symmetric_rows(turned(level.A), 0.0 if on_diagonal else EPS)
    if exact is not None or not on_diagonal:
        return exact
    logs = np.log(np.abs(level.A.diagonal()))
    return np.asarray(np.exp(logs - np.mean(logs)))


@np.errstate(divide="ignore", invalid="ignore")  # rows that are coupled one way, or not at all
def _on_diagonal(A: sp.csr_array, shape: Shape) -> bool:
    """Whether the diagonal changes by a factor of `JUMP` from one point to the next, and explains
    most of the ratios |a_ij|/|a_ji|; convection, which makes them too, leaves it even."""
    diagonal = np.abs(A.diagonal())
    if not diagonal.all():
        return False
    own, ratios, left, largest = np.log(diagonal).reshape(shape), 0.0, 0.0, 0.0
    for j, n in enumerate(shape):
        if n == 1:
            continue
        stride = int(np.prod(shape[j + 1 :]))
        there, back = (np.abs(A.diagonal(k)) for k in (-stride, stride))
        steps = np.pad(np.log(there) - np.log(back), (0, stride)).reshape(shape)
        steps = np.moveaxis(steps, j, 0)[: n - 1]
        change = np.diff(np.moveaxis(own, j, 0), axis=0)
        known = np.isfinite(steps)
        ratios += float(np.abs(steps[known]).sum())
        left += float(np.abs(steps - change)[known].sum())
        largest = max(largest, float(np.abs(change).max()))
    return left < 0.5 * ratios and largest > np.log(JUMP)
