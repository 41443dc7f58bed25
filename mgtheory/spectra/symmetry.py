"""Whether a matrix counts as symmetric.

A = S + K, S its Hermitian and K its skew part: the eigenvalues of A lie in the box of the real
interval from the smallest to the largest eigenvalue of S, and ||K||_2 high [I. Bendixson, Acta
Math. 25 (1902) 359-365]. A polynomial of degree n made for an interval (a, b) of S changes on that
box by a part of about 2 n ||K||_2/(b - a), at the ends of the interval 2 n^2 ||K||_2/(b - a). So a
K of `ROUNDED` beside A changes nothing that is derived for the interval of a smoother, and A is
taken as S where a spectrum is needed. Eigenvalues of S below ||K||_2 are another matter: A^-1 can
be far from S^-1 there, and products and residuals are of A as it is given.

A = D S with a positive diagonal D and a Hermitian S, as of finite volumes divided by their sizes,
is self-adjoint in the inner product u^* D^-1 v: its spectrum is real, and a cycle with P and
P^T D^-1 in place of P^T is that of S [as for a lumped mass matrix D^-1, where S is the stiffness].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import breadth_first_order, connected_components

# of `asymmetry`: what computing in double precision leaves, and what computing in single precision
# or printing 6 digits does, of which one unit in the last is at most 1e-5 of a number
EXACT, ROUNDED = 1e-8, 1.1e-5
NEARLY = 1e-2  # what printing 3 digits leaves: the symmetric part is then named
EPS = float(np.finfo(float).eps)
ROUNDING = 1e-12  # entries below this part of the others of their row are rounding

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


def turned(A: sp.csr_array) -> sp.csr_array:
    """c A, |c| = 1, with a positive sum of the diagonal: Hermitian where any multiple of A is that
    has a positive diagonal."""
    whole = complex(A.diagonal().sum(dtype=complex))
    if np.isrealobj(A.data):
        return -A if whole.real < 0.0 else A
    if whole.imag == 0.0 <= whole.real:  # also of a sum of 0
        return A
    return sp.csr_array((whole.conjugate() / abs(whole) * A).astype(A.dtype))


def real_if_rounded(A: sp.csr_array) -> sp.csr_array:
    """A of real type where imaginary parts are up to `ROUNDED` of the largest entries of the
    rows."""
    if np.isrealobj(A.data):
        return A
    largest = np.repeat(row_maxima(A), np.diff(A.indptr))
    return sp.csr_array(A.real) if (np.abs(A.data.imag) <= ROUNDED * largest).all() else A


def difference_said(A: Any, found: float) -> str:
    """The sentence that an `asymmetry` of A is told with."""
    other = "conjugate transpose" if np.iscomplexobj(A.data) else "transpose"
    return f"A and its {other} differ by up to {found:.0e} of the largest entries of a row"


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


def couplings(A: sp.csr_array) -> sp.csr_array:
    """1 at each entry of A, which may be complex, but at those that are `ROUNDING` beside others of
    their row: SciPy's graphs are of real numbers."""
    kept = np.abs(A.data) > ROUNDING * np.repeat(row_maxima(A), np.diff(A.indptr))
    graph = sp.csr_array((kept.astype(float), A.indices, A.indptr), shape=A.shape, copy=True)
    graph.eliminate_zeros()
    return graph


@np.errstate(divide="ignore", invalid="ignore")  # couplings one way alone
def symmetriser(A: sp.csr_array) -> NDArray[np.float64] | None:
    """s > 0, shape (n,), largest 1, from s_i |a_ij| = s_j |a_ji| along a tree of A's couplings, of
    each part of a graph that is not connected; None where these do not go both ways.

    diag(s) A is Hermitian if any positive diagonal times A is.
    """

    def ratio(i: NDArray[np.intp], j: NDArray[np.intp]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.log(np.abs(A[j, i])) - np.log(np.abs(A[i, j]))
        return found

    logs = added_along_trees(A, ratio)
    return np.exp(logs - logs.max()) if np.isfinite(logs).all() else None


def added_along_trees(
    A: sp.csr_array,
    step: Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """The sums, shape (n,), of step(i, j) over the couplings a_ij on the way from each unknown to
    the root of its part, along a tree of A's couplings in each part of its graph."""
    graph = couplings(A)
    n, parts = A.shape[0], connected_components(graph, directed=False)[1]
    roots = np.unique(parts, return_index=True)[1]
    # one more unknown is joined to the first of each part
    joined = sp.csr_array((np.ones(roots.size), (0 * roots, roots)), shape=(1, n))
    graph = sp.block_array([[graph, None], [joined, sp.csr_array((1, 1))]], format="csr")
    child, parent = np.arange(n), breadth_first_order(graph, n, directed=False)[1][:n]
    parent[roots] = roots
    sums = step(child, parent)
    sums[roots] = 0.0
    while (parent[parent] != parent).any():
        # each step doubles the part of the way to the root that is added up
        sums, parent = sums + sums[parent], parent[parent]
    return sums


def symmetric_rows(A: sp.csr_array, least: float = EPS) -> NDArray[np.float64] | None:
    """d > 0, shape (n,), geometric mean 1, where A = diag(d) S with a Hermitian S; None where A is
    Hermitian itself, or there is none whose smallest entry is more than `least` times its largest:
    the digits of A carry no more."""
    scales = None if is_symmetric(A) else symmetriser(A)
    if scales is None or not scales.min() > least:
        return None
    if not is_symmetric(scaled_rows(A, scales)):
        return None
    return np.asarray(np.exp(np.mean(np.log(scales))) / scales)


def scaled_rows(A: sp.csr_array, scales: NDArray[np.float64]) -> sp.csr_array:
    """diag(scales) A."""
    return sp.csr_array(scales[:, None] * A)


def check_symmetry(
    matvec: Callable[[NDArray[Any]], NDArray[Any]],
    n: int,
    complex_: bool,
    tolerance: float,
    hint: str = "",
) -> None:
    """<M x, y> = <x, M y> for two seeded random vectors, or a ValueError that has the hint."""
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal(n), generator.standard_normal(n)
    if complex_:
        x, y = x + 1j * generator.standard_normal(n), y + 1j * generator.standard_normal(n)
    Mx, My = matvec(x), matvec(y)
    difference = abs(np.vdot(Mx, y) - np.vdot(x, My)) / (np.linalg.norm(Mx) * np.linalg.norm(y))
    if not difference <= tolerance:
        raise ValueError(
            f"the cycle is not symmetric (relative difference {difference:.1e}): needs R = c P^T,"
            f" symmetric A and coarse solver{hint}; {ANY_M}"
        )
