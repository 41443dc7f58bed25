"""Where the eigenvalues are: intervals, exact spectra, Gershgorin discs, Lanczos and Arnoldi
estimates, the field of values.

A polynomial smoother needs the largest eigenvalue b of BA, and fails if b is taken too small. The
ways to it, from sure to sharp: a Gershgorin disc is a bound that costs one look at the matrix;
`Problem.eigenvalues` knows the model problems; `lanczos` and `arnoldi` (`mgtheory.spectra.ritz`)
run a few products with A, and carry an error and a bound with a margin.

Random starts come from `numpy.random.default_rng(0)` unless a generator is given, so that results
repeat.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, aslinearoperator, eigsh

from mgtheory._checks import check_array, check_finite, check_whole
from mgtheory._frozen import ReadOnlyArrays
from mgtheory.spectra.arnoldi import linear_operator, product
from mgtheory.spectra.ritz import LanczosEstimate, Operator, lanczos, square_operator, start_vector
from mgtheory.spectra.symmetry import EXACT

# steps of a quick look at a spectrum: the bound is then 1.00 to 1.03 times the largest eigenvalue
QUICK = 10
FIXED = 0.1
HIGHEST = 3  # m of an operator of order 2m that is looked for
DENSE = 400  # up to this size the field of values is computed by dense eigenvalue problems
ENTRIES = 4096  # up to this size an operator without an adjoint is written out: 128 MiB


@dataclass(frozen=True)
class Gershgorin(ReadOnlyArrays):
    """Every eigenvalue lies in a disc |z - a_ii| <= sum_{j != i} |a_ij|: centres and radii, shape
    (n,)."""

    centres: NDArray[Any]
    radii: NDArray[np.float64]

    @property
    def lower(self) -> float:
        """A lower bound of the real parts."""
        return float(np.min(self.centres.real - self.radii))

    @property
    def upper(self) -> float:
        """An upper bound of the real parts."""
        return float(np.max(self.centres.real + self.radii))

    @property
    def radius(self) -> float:
        """An upper bound of the spectral radius."""
        return float(np.max(np.abs(self.centres) + self.radii))


def gershgorin(A: Operator, *, B: ArrayLike | None = None) -> Gershgorin:
    """The discs of the rows of BA: A a sparse or dense array, shape (n, n), B a diagonal, shape
    (n,); None for the identity.

    Examples
    --------
    >>> gershgorin(np.array([[2.0, -1.0], [-1.0, 2.0]])).upper
    3.0
    """
    matrix = sp.csr_array(A if sp.issparse(A) else np.atleast_2d(check_array(A, "A")))
    n = matrix.shape[0]
    if matrix.shape != (n, n) or not n:
        raise ValueError(f"A has shape {matrix.shape}, must be square")
    check_finite(matrix, "A")
    scale = np.ones(n) if B is None else check_array(B, "B")
    if scale.shape != (n,):
        raise ValueError(f"B has shape {scale.shape}, must be the diagonal of B, ({n},)")
    centres = matrix.diagonal()
    radii = np.asarray(abs(matrix).sum(axis=1)).ravel() - np.abs(centres)
    return Gershgorin(scale * centres, np.abs(scale) * np.maximum(radii, 0.0))


@dataclass(frozen=True)
class FieldOfValues(ReadOnlyArrays):
    """The numerical range W(A) = {v^* A v: ||v|| = 1} between an inner polygon (points on it) and
    an outer one (its support lines).

    Attributes
    ----------
    angles, points, support
        Shape (m,) each: outward normals phi of the support lines, from 0 towards 2 pi; points of
        the boundary, complex; h(phi) = max over W(A) of Re(exp(-i phi) z).
    converged
        Whether every eigenvalue problem converged; if not, the points still lie in W(A).
    """

    angles: NDArray[np.float64]
    points: NDArray[np.complex128]
    support: NDArray[np.float64]
    converged: bool

    @property
    def numerical_radius(self) -> float:
        """max |z| over the computed points of W(A); the spectral radius is at most sup |W(A)|."""
        return float(np.abs(self.points).max())

    @property
    def contains_zero(self) -> bool:
        """False, if converged, proves 0 outside W(A): some q with q(0) = 1 is below 1 on W(A)."""
        return bool((self.support >= 0).all())


def field_of_values(
    A: Operator, *, angles: int = 64, generator: np.random.Generator | None = None
) -> FieldOfValues:
    """The boundary of W(A): at normal angle phi the largest eigenvector v of (e^(-i phi) A + e^(i
    phi) A^*)/2 gives the point v^* A v.

    Parameters
    ----------
    A
        Sparse or dense array, or LinearOperator, shape (n, n). Up to n = 400 dense, and up to 4096
        where it has no adjoint; above by Lanczos iteration (ARPACK) from a start that `generator`
        draws.
    angles
        Number of boundary points.
    """
    angles = check_whole(angles, "angles", 3)  # fewer lines bound nothing
    operator = square_operator(A)
    n = operator.shape[0]
    phi = 2 * np.pi * np.arange(angles) / angles
    start = start_vector(operator, generator).astype(complex)
    dense = _entries(operator) if n <= DENSE else None
    if dense is None:
        try:
            operator.rmatvec(np.zeros(n))
        except NotImplementedError:
            if n > ENTRIES:
                raise ValueError(
                    f"the operator has {n} rows and no adjoint, the field of values needs rmatvec"
                    f" above {ENTRIES}"
                ) from None
            operator = aslinearoperator(_entries(operator))
    points, support, converged = np.empty(angles, dtype=complex), np.empty(angles), True
    for i, angle in enumerate(phi):
        turn = np.exp(-1j * angle)
        if dense is not None:
            hermitian = 0.5 * (turn * dense + (turn * dense).conj().T)
            v = scipy.linalg.eigh(hermitian, subset_by_index=(n - 1, n - 1))[1][:, 0]
            points[i] = np.vdot(v, dense @ v)
        else:
            v, success = _largest_eigenvector(operator, turn, start)
            converged = converged and success
            points[i] = np.vdot(v, product(operator)(v))
        support[i] = (turn * points[i]).real
    return FieldOfValues(phi, points, support, converged)


def _entries(operator: LinearOperator) -> NDArray[Any]:
    """The matrix, by one product for each column."""
    return np.stack([operator.matvec(e) for e in np.eye(operator.shape[0])], axis=1)


def _largest_eigenvector(
    operator: LinearOperator, turn: complex, start: NDArray[Any]
) -> tuple[NDArray[Any], bool]:
    """The unit eigenvector of the largest eigenvalue of (turn A + (turn A)^*)/2; on failure the
    start vector and False."""

    apply, back = product(operator), product(operator, adjoint=True)

    def symmetrised(v: NDArray[Any]) -> Any:
        v = np.ravel(v)
        return 0.5 * (turn * apply(v) + np.conj(turn) * back(v))

    hermitian = LinearOperator(operator.shape, matvec=symmetrised, dtype=complex)
    try:
        return eigsh(hermitian, k=1, which="LA", v0=start, tol=1e-8)[1][:, 0], True
    except ArpackNoConvergence:
        return start / np.linalg.norm(start), False


def couplings(A: sp.csr_array, shape: Sequence[int], *, reach: int = 1) -> tuple[float, ...]:
    """The strength of the coupling along each axis: sum_k k^2 mean |sum of A[x, y] over y with y_j
    = x_j +- k, other indices up to `reach` apart|, k = 1..reach, over both signs and the points x
    that have such neighbours; 0 along an axis of one unknown.

    Of a discretised second derivative it is a_j/h_j^2, whatever corners the stencil has: of
    trilinear elements with cubic cells the next entries themselves are 0.
    """
    dim, left = len(shape), A.nnz
    steps = [k for k in range(-reach, reach + 1) if k]
    sums = {(j, way): np.zeros(shape, A.dtype) for j in range(dim) for way in steps}
    for offset in sorted(itertools.product((*steps, 0), repeat=dim), key=np.count_nonzero):
        values = entries(A, shape, offset)
        for j, way in enumerate(offset):
            if way:
                sums[j, way] += values
        left -= np.count_nonzero(values)
        if not left:  # as of compact stencils, which have no corners
            break

    def mean(axis: int, way: int) -> float:
        inside = slice(None, -way) if way > 0 else slice(-way, None)
        line = np.moveaxis(sums[axis, way], axis, 0)[inside]
        return way**2 * float(np.abs(line).mean(dtype=float)) if line.size else 0.0

    return tuple(sum(mean(j, way) for way in steps) / 2 for j in range(dim))


def entries(A: sp.csr_array, shape: Sequence[int], offset: Sequence[int]) -> NDArray[Any]:
    """A[x, x + offset] for every point x, shape as the grid; 0 where x + offset lies outside."""
    result, line = np.zeros(shape, A.dtype), np.zeros(A.shape[0], A.dtype)
    step = sum(o * math.prod(shape[j + 1 :]) for j, o in enumerate(offset))
    first = max(-step, 0)
    if abs(step) < A.shape[0]:
        line[first : first + A.shape[0] - abs(step)] = A.diagonal(step)
    inside = tuple(slice(max(-o, 0), n - max(o, 0)) for o, n in zip(offset, shape, strict=True))
    result[inside] = line.reshape(shape)[inside]
    return result


def half_order(A: sp.csr_array, shape: Sequence[int]) -> int:
    """m of an operator of order 2m: of the entries a_k of the row in the middle of the grid,
    sum a_k k_j^2i is 0 for i < m along every axis j, as the row of a derivative of order 2m makes 0
    of polynomials of lower degree."""
    middle = [n // 2 for n in shape]
    row = int(np.ravel_multi_index(middle, shape))
    part = slice(A.indptr[row], A.indptr[row + 1])
    apart = np.array(np.unravel_index(A.indices[part], shape)) - np.array(middle)[:, None]
    m, reach = 1, min(int(np.abs(apart).max(initial=0)), HIGHEST)
    while m < reach:
        moments = apart.astype(float) ** (2 * m)
        if (np.abs(moments @ A.data[part]) > 0.1 * (moments @ np.abs(A.data[part]))).any():
            break
        m += 1
    return m


def largest_eigenvalue(
    A: sp.csr_array, B: NDArray[Any] | None = None, *, compact: bool = False, margin: float = 1.0
) -> float:
    """An upper bound or safe estimate of the spectral radius of BA.

    Gershgorin's bound, which is sharp for `compact` stencils with non-positive couplings (2d + 1
    points); else the smaller one of it and the upper estimate of `mgtheory.spectra.ritz.lanczos`
    after 10 steps, if A is Hermitian and B positive, times `margin`.
    """
    sums = row_sums(A)
    bound = float(np.max(sums if B is None else np.abs(B) * sums))
    found = None if compact or A.shape[0] < 32 else quick_ritz(A, B)
    return bound if found is None else min(bound, margin * found.radius)


def row_sums(A: sp.csr_array) -> NDArray[Any]:
    """sum_j |a_ij| of every row, shape (n,); a copy of the numbers alone, which SciPy's abs(A) is
    not."""
    sizes = sp.csr_array((np.abs(A.data), A.indices, A.indptr), shape=A.shape)
    return np.asarray(sizes @ np.ones(A.shape[1], dtype=sizes.dtype))


def coupling_ratio(A: sp.csr_array) -> NDArray[np.float64]:
    """sum_{j != i} |a_ij| over |a_ii|, shape (n,); 1 where the diagonal has a zero."""
    diagonal = np.abs(A.diagonal())
    ones = np.ones(diagonal.size)
    return np.divide(row_sums(A) - diagonal, diagonal, out=ones, where=diagonal > 0.0)


def fixed_values(A: sp.csr_array) -> NDArray[np.bool_]:
    """Where a row fixes a value, as one of the identity or with a penalty does: its couplings are
    less than `FIXED` of those in most rows that have any, beside its diagonal; and empty rows,
    which leave a value as it is."""
    ratio = coupling_ratio(A)
    usual = float(np.median(ratio[ratio > 0.0])) if ratio.any() else 0.0
    return np.asarray((ratio < FIXED * min(1.0, usual)) | (np.diff(A.indptr) == 0))


def quick_ritz(
    A: sp.csr_array, B: NDArray[Any] | None, steps: int = QUICK
) -> LanczosEstimate | None:
    """The extreme Ritz values of BA after a few steps; None if not symmetric on their Krylov space,
    or not finite. Of c A with a complex c those of A: the phase that all of B has is given to A."""
    if B is not None and np.iscomplexobj(B):
        turn = B[0] / abs(B[0])
        if np.all(np.abs(B - turn * np.abs(B)) <= EXACT * np.abs(B)):
            A, B = sp.csr_array(turn * A), np.abs(B)
    try:
        return lanczos(linear_operator(A), B=B, steps=steps)  # entries take as long as the steps
    except ValueError:
        return None
