"""Coarse operators R A P from the entries of A, without what is rounding in them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from mgtheory.multigrid.level import Level
from mgtheory.spectra.symmetry import row_maxima

# of the largest entries of the row and the column: what a sum of some dozen products leaves of an
# entry that cancels, in double precision
CANCELLED = 1e-14


def galerkin(level: Level) -> sp.csr_array:
    """R A P as a CSR array in A's type."""
    R, P = (T.tocsr() if hasattr(T, "tocsr") else sp.csr_array(T) for T in (level.R, level.P))
    return tidied(sp.csr_array(R @ level.A @ P), level)


def tidied(coarse: sp.csr_array, level: Level) -> sp.csr_array:
    """A coarse operator R A P of a level without what is rounding beside the other entries of its
    row and its column, or beside what the row is made of, and without empty rows; it may be
    changed."""
    coarse.sum_duplicates()  # abs() would, and move the entries
    alone = np.diff(coarse.indptr) == 1
    if alone.any():  # of a part of a graph that is a single aggregate A leaves but rounding
        R, P = (abs(sp.csr_array(T.tocsr())) for T in (level.R, level.P))
        made_of = sp.csr_array(R.multiply(P.T)) @ np.abs(level.A.diagonal())
        alone &= row_maxima(coarse) <= 50.0 * np.finfo(level.A.dtype).eps * made_of
        coarse.data[np.repeat(alone, np.diff(coarse.indptr))] = 0.0
    sizes = np.abs(coarse.data)
    small = np.flatnonzero(sizes <= CANCELLED * np.max(sizes, initial=0.0))
    if small.size:
        largest = row_maxima(coarse)
        rows, columns = np.searchsorted(coarse.indptr, small, "right") - 1, coarse.indices[small]
        rounding = sizes[small] <= CANCELLED * np.minimum(largest[rows], largest[columns])
        coarse.data[small[rounding]] = 0.0
        coarse.eliminate_zeros()
    empty = np.diff(coarse.indptr) == 0
    if empty.any():  # every fine unknown around has a fixed value: nothing arrives here
        coarse = sp.csr_array(coarse + sp.diags_array(empty * np.max(sizes, initial=1.0)))
    coarse.sort_indices()
    return coarse.astype(level.A.dtype)
