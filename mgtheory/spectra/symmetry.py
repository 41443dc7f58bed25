"""Whether a matrix counts as symmetric.

A = S + K, S its Hermitian and K its skew part: the eigenvalues of A lie in the box of the real
interval from the smallest to the largest eigenvalue of S, and ||K||_2 high [I. Bendixson, Acta
Math. 25 (1902) 359-365]. A polynomial of degree n made for an interval (a, b) of S changes on that
box by a part of about 2 n ||K||_2/(b - a), at the ends of the interval 2 n^2 ||K||_2/(b - a). So a
K of `ROUNDED` beside A changes nothing that is derived for the interval of a smoother, and A is
taken as S where a spectrum is needed. Eigenvalues of S below ||K||_2 are another matter: A^-1 can
be far from S^-1 there, and products and residuals are of A as it is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

# of `asymmetry`: what computing in double precision leaves, and what computing in single precision
# or printing 6 digits does, of which one unit in the last is at most 1e-5 of a number
EXACT, ROUNDED = 1e-8, 1.1e-5
NEARLY = 1e-2  # what printing 3 digits leaves: the symmetric part is then named

# what a refusal of an M for cg and minres ends in: methods of SciPy that take any. Its tfqmr does
# not end at the residual that is asked for: of a wind at a tenth of b, measured
ANY_M = "for gmres, lgmres, gcrotmk, bicgstab or cgs pass symmetric=False"


def asymmetry(A: sp.csr_array) -> float:
    """max |a_ij - conj(a_ji)| / sqrt(max_k |a_ik| max_k |a_jk|): each entry beside the largest of
    its row and of its column, whose scales may vary from place to place."""
    largest = row_maxima(A)
    scale = 1.0 / np.sqrt(np.where(largest > 0.0, largest, 1.0))
    difference = scale[:, None] * abs(A - A.conj().T) * scale
    return float(difference.max())


def is_symmetric(A: sp.csr_array) -> bool:
    """Whether A counts as Hermitian: up to `ROUNDED`."""
    return asymmetry(A) <= ROUNDED


def difference_said(found: float) -> str:
    """The sentence that an `asymmetry` is told with."""
    return f"A and its transpose differ by up to {found:.0e} of the largest entries of a row"


def advice_said(A: sp.csr_array) -> str:
    """What helps where an A is `NEARLY` symmetric and does not count as symmetric."""
    other = "A^H" if np.iscomplexobj(A.data) else "A^T"
    return f"if that is rounding, give (A + {other})/2"


def row_maxima(A: sp.csr_array) -> NDArray[Any]:
    """max_j |a_ij| of every row; 0 where it is empty."""
    result = np.zeros(A.shape[0], dtype=A.data.real.dtype)
    filled = np.diff(A.indptr) > 0
    result[filled] = np.maximum.reduceat(np.abs(A.data), A.indptr[:-1][filled])
    return result
