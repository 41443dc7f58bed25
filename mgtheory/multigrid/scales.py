"""Scales that the unknowns have of their own: A = D S D with a positive diagonal D, as of a matrix
that was given a unit diagonal, where D = diag(S)^(-1/2), or of unknowns in units of their own.

What S makes least of are nearly constants, what A makes least of is D^-1 times these: neighbours
are as unlike as their scales, and an interpolation between them is none. With w near D^-1 1, up to
a smooth factor, the unknowns of W A W, W = diag(w), are alike again, and the sums of its rows are
negative no more. A cycle of A with the transfers W P and R W is that of W A W.

Where 1 differs from D^-1 1 by a part e from unknown to unknown, what is interpolated differs by e
from a smooth v: C of the weak approximation property, min_c ||v - P c||^2_D <= C ||v||^2_A, is the
mean of e^2 over the smallest eigenvalue, which on n points along an axis is about (pi/n)^2, and A 1
is about e D, of both signs. So the squares of negative sums beside the diagonal say that scales are
needed where their mean is more than a `SPREAD` part of (pi/n)^2. A line of other units is few
unknowns of a mean; there one sum beyond `NEEDED` says so.

Such a w is the eigenvector of the smallest eigenvalue of A v = lambda diag(A) v, which is positive
where A has no positive couplings (Perron and Frobenius). It is found by inverse iteration, (A + eps
diag(A)) v' = diag(A) v, each by a few steps of cg with a cycle for W A W as it is known so far,
which is made anew where they are not enough. It begins with the better one of 1 and
diag(A)^(-1/2).

Sources: M. Brezina et al., Adaptive algebraic multigrid, SIAM J. Sci. Comput. 27 (2006) 1261-1286;
A. Berman, R. J. Plemmons, Nonnegative matrices in the mathematical sciences, ch. 6.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from mgtheory.spectra.symmetry import is_symmetric

Vector = NDArray[np.float64]
Cycle = Callable[[Vector], Vector]
# of unit diagonals of -div k grad, k between 1 and 1.3, on 32, 64 and 128 points an axis, the mean
# is 0.01, 0.04 and 0.17 of (pi/n)^2, and a cycle that knows no scales leaves 0.05, 0.11 and 0.35
SPREAD = 0.01
# where only the 32 cells at free sides have other units the sums are -0.08, the mean is as small,
# 0.01, and a cycle leaves 0.28
NEEDED = 0.05
# negative sums of rows beside their diagonal up to which the scales are known well enough: the
# squares are 0.01 (pi/n)^2 for 3e4 points along an axis
ENOUGH = 1e-5
# positive entries in a row beside its diagonal, in the mean, which itself is one: 1.3 of bilinear
# elements that are stretched by three; 1.5 of a biharmonic A, which is no M-matrix
POSITIVE = 1.4
# of the unknowns, in which v must be positive: by Perron's theorem in all, but where coefficients
# jump by 1000 from point to point not after few steps of cg; of an indefinite A in 0 to 0.64
MOST = 0.9
# by which positive sums exceed negative ones in a regular matrix
CLEARLY = 10.0
# of the first negative sums, above which w is no good: where there are scales 1e-5 or less are left
PART = 0.25
# most divide what is left by 20 or more; where coefficients jump by 1e6 eight were not enough
ROUNDS = 12
# eps, at least and at most, in between a tenth of the largest negative sum: a smaller one damps
# other eigenvectors more, with a larger one few steps of cg are enough
SHIFT = 1e-9, 1e-2
# steps of cg and what they may leave; the second pair where w is known well enough but A may be
# singular, of which its sums shall be rounding
STEPS, FINE = (8, 1e-3), (25, 1e-10)
FARTHEST = 60.0  # decimal powers between the scales: their squares and those of A are numbers
LEAST = 1e-3  # of the mean of a step; what is below, or not positive yet, is taken for this


def unknown_scales(
    A: sp.csr_array,
    cycle_of: Callable[[sp.csr_array], Cycle],
    fixed: NDArray[np.bool_],
    longest: float,
) -> Vector | None:
    """w > 0, shape (n,) and of mean 1, with which the unknowns of W A W are alike; None where those
    of A are so themselves, and where none is found, as of an indefinite A.

    Parameters
    ----------
    A
        Real; one that is not symmetric, or has more than a few positive couplings, has none.
    cycle_of
        What makes a symmetric cycle, r -> e, for such a matrix of A's grid.
    fixed
        The rows that fix a value, to which those of others still couple, if there are any.
    longest
        n, the points along the longest axis.
    """
    rounding, A = 8.0 * float(np.finfo(A.dtype).eps), A.astype(np.float64, copy=False)
    if (empty := np.diff(A.indptr) == 0).any():  # such an unknown may have any
        A = sp.csr_array(A + sp.diags_array(1.0 * empty))
    if not fixed.any():
        return _of_symmetric(A, cycle_of, rounding, longest)
    S = uncoupled(A, fixed)
    w = _of_symmetric(S, cycle_of, rounding, longest)
    if w is None:
        return None
    # the value that each of the others lacks in its sum, and what a fixed one is in their mean
    towards = abs(sp.csr_array(sp.diags_array(1.0 * ~fixed) @ A[:, fixed]))
    lacking, whole = np.maximum(S @ w, 0.0), towards.sum(axis=1)
    seen = np.divide(lacking, whole, out=np.zeros_like(whole), where=whole > 0.0)
    parts = towards.sum(axis=0)
    least = np.full_like(parts, LEAST * w[~fixed].min())
    w[fixed] = np.maximum(np.divide(towards.T @ seen, parts, out=least, where=parts > 0.0), least)
    return w


def _of_symmetric(
    A: sp.csr_array, cycle_of: Callable[[sp.csr_array], Cycle], rounding: float, longest: float
) -> Vector | None:
    """w of a symmetric A, of mean 1; `rounding` is what is left of sums that are 0. Each part of
    the unknowns that no coupling joins to others has a v of its own size, and ends by itself."""
    diagonal = A.diagonal()
    if not (diagonal > 0.0).all() or A.sum() <= 0.0:
        return None
    first, spread = _negative(A), np.mean(np.clip(_sums(A), -1.0, 0.0) ** 2)
    if first <= NEEDED and spread <= SPREAD * (np.pi / longest) ** 2:
        return None
    w = diagonal**-0.5
    if not is_symmetric(A) or np.maximum(alike(A, w).data, 0.0).sum() > POSITIVE * w.size:
        return None
    part = connected_components(A, directed=False)[1]
    w = min(np.ones_like(w), w, key=lambda v: _negative(alike(A, v)))
    cycle, unit, last = None, w, np.inf
    for _ in range(ROUNDS):
        S = alike(A, w)
        D, most, (negative, positive) = S.diagonal(), _negative(S), _balance(S, part)
        known = most <= ENOUGH
        # in a singular matrix, of which w leaves nothing but rounding at last, they are equal
        rest = np.abs(_sums(S))[(positive <= CLEARLY * negative)[part]]
        if known and (rest.max(initial=0.0) <= rounding or most > 0.5 * last):
            break
        last = most
        shift = np.clip(0.1 * most, max(SHIFT[0], rounding), SHIFT[1])
        shifted = sp.csr_array(S + sp.diags_array(shift * D))
        if cycle is None:
            cycle, unit = cycle_of(shifted), w
        M = sla.LinearOperator(S.shape, partial(_in_units, cycle, w / unit), dtype=S.dtype)
        steps, tol = FINE if known else STEPS
        v, left = sla.cg(shifted, D, M=M, rtol=tol, maxiter=steps)
        cycle = None if left else cycle  # of a better w it is faster
        means = np.bincount(part, v) / np.bincount(part)
        if not (means > 0.0).all() or np.mean(v > 0.0) < MOST:
            return None
        w = w * np.maximum(v / means[part], LEAST)
    good = _negative(alike(A, w)) <= PART * first and np.ptp(np.log10(w)) < FARTHEST
    return w / np.mean(w) if good else None


def _in_units(cycle: Cycle, w: Vector, r: Vector) -> Vector:
    """A cycle for A as one for W A W."""
    return cycle(r / w) / w


def beside_fixed(A: sp.csr_array, w: Vector, fixed: NDArray[np.bool_]) -> Vector:
    """w of the others, and of the rows that fix a value such that in W A W their couplings both
    ways, beside the diagonals, are equal; 1 where they are not both ways."""
    D, sizes = np.abs(A.diagonal()), abs(A)
    here = sizes[fixed][:, ~fixed] @ w / D[fixed]
    there = sizes[~fixed][:, fixed].T @ (1.0 / (D[~fixed] * w))
    both = (here > 0.0) & (there > 0.0)
    found = np.ones(fixed.size)
    found[~fixed] = w
    found[fixed] = np.sqrt(np.divide(here, there, out=np.ones_like(here), where=both))
    return found


def uncoupled(A: sp.csr_array, fixed: NDArray[np.bool_]) -> sp.csr_array:
    """A without the couplings between rows that fix a value and others: where they go one way
    alone, it has the eigenvalues of A."""
    kept = sp.diags_array(1.0 * ~fixed)
    return sp.csr_array(kept @ A @ kept + sp.diags_array(A.diagonal() * fixed))


def alike(A: sp.csr_array, w: Vector) -> sp.csr_array:
    """W A W, in A's type, and symmetric to the last digit where A is."""
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    entries = (A.data * (w[rows] * w[A.indices])).astype(A.dtype, copy=False)
    return sp.csr_array((entries, A.indices, A.indptr), shape=A.shape)


def _negative(A: sp.csr_array) -> float:
    """The largest negative sum of a row beside its diagonal; less than 0 where there is none."""
    return float(-_sums(A).min())


def _sums(A: sp.csr_array) -> Any:
    """The sums of A's rows beside its diagonal."""
    return A.sum(axis=1) / A.diagonal()


def _balance(A: sp.csr_array, part: NDArray[np.int32]) -> tuple[Vector, Vector]:
    """The negative and the positive sums of rows, both added up on each part."""
    sums: Vector = A.sum(axis=1)
    kinds = -np.minimum(sums, 0.0), np.maximum(sums, 0.0)
    negative, positive = (np.bincount(part, kind).astype(float) for kind in kinds)
    return negative, positive
