"""The nullspace of an operator: found, checked, carried to the coarsest level, and split from a
residual."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from mgtheory._checks import check_unmasked
from mgtheory.multigrid.phases import Phases
from mgtheory.problems.grids import Shape
from mgtheory.problems.problem import Problem
from mgtheory.spectra.bounds import entries, row_sums
from mgtheory.spectra.symmetry import couplings, symmetriser, turned

# what A may leave of a user's basis of its nullspace, of |A| times it: entries of both may be
# rounded to 4 digits. Where it leaves more of constants A is regular, however its entries are
# rounded
NULLSPACE = 1e-4
# so many times the rest of x is its part along the constants where A is singular but for rounding,
# whose part of b is divided by that; between zero values it is a few times the rest
DOMINANT = 100.0
ROWS = 64  # looked at first: at the corner of a Dirichlet grid


def find_nullspace(
    A: sp.csr_array,
    problem: Any,
    nullspace: NDArray[Any] | str | None,
    shape: Shape | None = None,
) -> Any:
    """An orthonormal basis of A's nullspace, shape (n, m), or None: given, the problem's, or the
    constants, see `smoothest`."""
    n = A.shape[0]
    if isinstance(nullspace, str):
        if nullspace != "auto":
            raise ValueError(
                f"nullspace is {nullspace!r}, must be 'auto', None or an array of shape ({n}, m)"
            )
        if isinstance(problem, Problem):
            basis = problem.nullspace
            return None if basis is None else basis.astype(A.dtype)
        return smoothest(A, shape or (n,), None, singular_below(A))
    if nullspace is None:
        return None
    check_unmasked(nullspace, "nullspace")
    given = (
        np.asarray(nullspace).reshape(n, -1)
        if np.size(nullspace) % n == 0 and np.size(nullspace)
        else np.empty((0, 0))
    )
    if given.shape[1] == 0 or not np.isfinite(given).all():
        raise ValueError(
            f"nullspace has shape {np.shape(nullspace)}, must be finite and of shape ({n}, m)"
        )
    basis, _ = np.linalg.qr(given)
    if (image := relative_image(A, basis)) > NULLSPACE:
        raise ValueError(
            f"nullspace: A times the given basis is not zero, but up to {image:.1e} of |A| times"
            f" it, allowed is {NULLSPACE:.0e}"
        )
    return basis.astype(A.dtype)


def smoothest(A: sp.csr_array, shape: Shape, phases: Phases | None, below: float) -> Any:
    """The constants, which follow the phases if there are any, on each part of the unknowns that no
    coupling joins to others, where A makes no more than `below` of them (`relative_image`): shape
    (n, m), orthonormal, sparse where A has several parts; None where there is no such part."""
    first, one = turned(sp.csr_array(A[:ROWS])), _is_one_part(A, shape)
    if one and _regular(first if phases is None else phases.without(first)):
        return None
    S = A if phases is None else phases.without(turned(A))
    basis = _constants(S, below, one)
    if basis is None or phases is None:
        return basis
    basis = phases.smoothest(S)[:, None].astype(A.dtype) * basis
    basis = sp.csr_array(basis) if sp.issparse(basis) else basis
    flat = column_images(A, basis) <= below  # around whose meshes the phases cancel
    return basis[:, flat] if flat.any() else None


def _constants(A: sp.csr_array, below: float, one: bool) -> Any:
    """What `smoothest` finds without phases, of the sums of A's rows; `one` if A is one part."""
    left = np.abs(_images(A, np.ones((A.shape[0], 1), dtype=A.dtype))[:, 0]) > below
    if left.all() or (one and left.any()):
        return None
    if one:
        return np.full((left.size, 1), left.size**-0.5, dtype=A.dtype)
    part = connected_components(couplings(A), directed=False)[1]
    sizes = np.bincount(part)
    singular = np.bincount(part, weights=left) == 0.0
    if not singular.any():
        return None
    rows, column = np.flatnonzero(singular[part]), np.cumsum(singular) - 1
    values = (sizes[part[rows]] ** -0.5).astype(A.dtype)
    if sizes.size == 1:
        return values[:, None]
    shape = left.size, int(column[-1]) + 1
    return sp.csr_array((values, (rows, column[part[rows]])), shape=shape)


def _is_one_part(A: sp.csr_array, shape: Shape) -> bool:
    """Whether all next neighbours along the axes of the grid are coupled, as of most matrices: then
    no coupling need be followed."""
    units = np.eye(len(shape), dtype=int).tolist()
    return all(
        np.count_nonzero(entries(A, shape, unit)) * n == A.shape[0] * (n - 1)
        for unit, n in zip(units, shape, strict=True)
    )


def orthonormal(basis: Any) -> Any:
    """The same span by orthonormal columns. Sparse ones are those of parts that have no unknown in
    common; a part that has none any more is left out."""
    if not sp.issparse(basis):
        return np.linalg.qr(basis)[0]
    size = np.sqrt(np.asarray(abs(basis).power(2).sum(axis=0)).reshape(-1))
    return sp.csr_array(basis[:, size > 0.0] / size[size > 0.0][None, :])


def relative_image(A: sp.csr_array, basis: Any) -> float:
    """The largest |A v| over |A| max |v|, row by row: how nearly the basis is in A's nullspace,
    whatever the scales of the rows."""
    return float(np.max(column_images(A, basis), initial=0.0))


def column_images(A: sp.csr_array, basis: Any) -> NDArray[np.float64]:
    """`relative_image` of each column, shape (m,)."""
    if not sp.issparse(basis):
        return np.max(np.abs(_images(A, basis)), axis=0)
    image, largest = sp.coo_array(A @ basis), np.abs(basis).max(axis=0).toarray()
    i, j = image.coords
    found = np.zeros(basis.shape[1])
    np.maximum.at(found, j, np.abs(image.data) / (row_sums(A)[i] * largest[j]))
    return found


def _images(A: sp.csr_array, basis: NDArray[Any]) -> NDArray[Any]:
    """(A v)_i over sum_j |a_ij| max |v|, shape (n, m); 0 for an empty row."""
    whole = row_sums(A)[:, None] * np.max(np.abs(basis), axis=0)
    image = A @ basis
    return np.asarray(np.divide(image, whole, out=np.zeros_like(image), where=whole > 0.0))


def _regular(rows: sp.csr_array) -> bool:
    """Whether a few rows already say that the constants are no nullspace."""
    return relative_image(rows, np.ones((rows.shape[1], 1), dtype=rows.dtype)) > NULLSPACE


def rounded_image(A: sp.csr_array) -> float:
    """What A makes of the constants, relative to |A|, where it looks like the rounding of a
    singular A's entries; else 0.

    A term that makes A regular has one sign: then only what is at the rounding of eight digits
    counts.
    """
    if _regular(A[:ROWS]):
        return 0.0
    image = _images(A, np.ones((A.shape[0], 1), dtype=A.dtype)).real
    largest, below = float(np.max(np.abs(image))), singular_below(A)
    shifted = float(image.min()) >= -below and largest > 1e-7
    return largest if below < largest <= NULLSPACE and not shifted else 0.0


def nearly_singular(x: NDArray[Any], image: float, below: float) -> str:
    """A sentence if A makes nearly nothing of the constants, `image` (0 is none), and x is little
    else than one. Else empty."""
    if not image:  # then x may be so large that its squares overflow
        return ""
    mean = np.mean(x)
    along, rest = abs(mean) * x.size**0.5, float(np.linalg.norm(x - mean))
    if not along > DOMINANT * rest:
        return ""
    return (
        f"A times constants is {image:.1e} of |A| (it counts as 0 up to {below:.1e}), and x is"
        f" {along / rest if rest else np.inf:.1e} times larger along the constants than elsewhere:"
        " if A is singular but for rounding of its entries, build with"
        f" nullspace=np.ones(({x.size}, 1))"
    )


def barely_singular(A: sp.csr_array, N: Any) -> str:
    """A sentence if A N is not 0 to one rounding of its entries. Else empty."""
    if N is None or (image := relative_image(A, N)) <= float(np.finfo(A.dtype).eps):
        return ""
    return (
        f"A times the nullspace is {image:.1e} of |A|, not 0 (it counts as 0 up to"
        f" {singular_below(A):.1e}): if A is regular, build with nullspace=None, and in double"
        " precision"
    )


def dominated_by_rounding(x: NDArray[Any], floor: float, size: float) -> str:
    """A sentence if the rounding of x alone leaves a residual as large as b. Else empty."""
    if floor <= size:
        return ""
    return (
        f"x is up to {float(np.max(np.abs(x))):.1e}, and its rounding alone leaves a residual of"
        f" {floor:.1e} beside |b| = {size:.1e}: A is singular, or nearly, on more than is known of"
        " its nullspace; give nullspace=, an array of shape (n, m), or a smaller problem"
    )


def singular_below(A: sp.csr_array) -> float:
    """Up to this `relative_image` the constants are a nullspace. Entries that are rounded once, and
    their sum, leave up to three units; a step of implicit Euler in single precision a dozen."""
    return 8.0 * float(np.finfo(A.dtype).eps)


def coarse_nullspace(basis: Any, restrictions: Sequence[Any], dtype: Any) -> Any:
    """The nullspace on the coarsest level: the constants for the constants, also where they follow
    phases, else what R makes of the basis."""
    if basis is None:
        return None
    coarse = basis.astype(dtype)
    for R in restrictions:
        coarse = (R.tocsr() if sp.issparse(basis) else R) @ coarse
    if basis.shape[1] == 1 and np.ptp(np.abs(basis)) <= 1e-6 * np.max(np.abs(basis)):
        sizes = np.abs(coarse)  # R makes more or less of them beside the ends
        coarse = np.divide(coarse, sizes, out=np.ones_like(coarse), where=sizes > 0.0)
    return orthonormal(coarse)


def without(N: Any, v: NDArray[Any]) -> NDArray[Any]:
    """v without its component in the span of N's orthonormal columns."""
    return v - N @ (N.conj().T @ v)


def range_split(
    A: Any, N: Any, b: NDArray[Any]
) -> Callable[[NDArray[Any]], tuple[NDArray[Any], float]]:
    """What splits a residual into its part in the range of A, which cycles reduce, and the norm of
    the rest along the nullspace N, 0 where it is rounding beside b.

    The rest is what no x reduces: b's own, and what rounding of A's entries leaves of A x. It is
    known where `left_nullspace` finds what is orthogonal to the range. If not, or where A is
    regular, all counts as inside.
    """
    L = None if N is None else left_nullspace(A, N)
    if L is None:
        return lambda v: (v, 0.0)
    rounding = 1e2 * float(np.finfo(b.dtype).eps) * float(np.linalg.norm(b))

    def split(v: NDArray[Any]) -> tuple[NDArray[Any], float]:
        along = L.conj().T @ v
        rest = float(np.linalg.norm(along))
        return v - L @ along, rest if rest > rounding else 0.0

    return split


def left_nullspace(A: Any, N: Any) -> Any:
    """An orthonormal basis L of the nullspace of A^*, shape (n, m), from that of A; None where it
    is not found.

    L = N for every Hermitian A. Where S A is Hermitian for a positive diagonal S it is S N: of a
    second derivative that is divided by the widths of its cells, as at a Neumann boundary or on a
    graded mesh, L has the widths.
    """
    if relative_image(A.conj().T, N) <= NULLSPACE:
        return N
    scales = symmetriser(A) if sp.issparse(A) else None
    if scales is None:
        return None
    L = orthonormal(sp.diags_array(scales) @ N).astype(N.dtype)
    return L if relative_image(A.conj().T, L) <= NULLSPACE else None
