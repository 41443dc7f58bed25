"""Steps of `Hierarchy.build`: checking the matrix, choosing what is coarsened, transfers, Galerkin
products, nullspaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory._checks import check_name, check_whole
from mgtheory.multigrid import blackbox, transfer
from mgtheory.multigrid.applied import Smoothing, set_up
from mgtheory.multigrid.level import STORED, Level, diagonal_storage
from mgtheory.problems.grids import (
    Boundary,
    Shape,
    check_boundary,
    check_shape,
    choose_axes,
    mesh_width,
)
from mgtheory.problems.problem import Problem
from mgtheory.problems.tensorform import TensorForm, recognise
from mgtheory.smoothers import GaussSeidel, Jacobi, Polynomial
from mgtheory.smoothers import smoother as make_smoother
from mgtheory.spectra.bounds import couplings
from mgtheory.spectra.record import Form

BLACKBOX = "black-box"
# weights k1/(k1 + k2) this far from 1/2 belong to a coefficient that changes by a factor of 3 from
# point to point
JUMP = 0.25
TYPES = ("float32", "float64", "complex64", "complex128")


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """The type as a NumPy dtype: float32, float64, complex64 or complex128."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = repr(dtype)
    if name not in TYPES:
        raise ValueError(f"type is {name}, allowed are: {', '.join(TYPES)}")
    return np.dtype(dtype)


def matrix_and_grid(
    problem: Any, shape: Any, boundary: str | None
) -> tuple[sp.csr_array, Shape, Boundary]:
    """A, the grid's shape and its boundary: of a problem, or of a bare matrix as given (Dirichlet
    by default)."""
    if isinstance(problem, Problem):
        if shape is not None and check_shape(shape, problem.boundary) != problem.shape:
            raise ValueError(
                f"shape is {shape!r}, the problem has {problem.shape}; shape belongs to a bare"
                " matrix"
            )
        if boundary is not None and check_boundary(boundary) is not problem.boundary:
            raise ValueError(
                f"boundary is {boundary!r}, the problem has {problem.boundary}; boundary belongs to"
                " a bare matrix"
            )
        return check_matrix(problem.A), problem.shape, problem.boundary
    if shape is None:
        raise ValueError("a bare matrix needs its grid's shape")
    kind = check_boundary("dirichlet" if boundary is None else boundary)
    A, grid = check_matrix(problem), check_shape(shape, kind)
    if A.shape[0] != int(np.prod(grid)):
        raise ValueError(
            f"A has {A.shape[0]} rows, the grid {grid} has {int(np.prod(grid))} unknowns"
        )
    return A, grid, kind


def check_matrix(A: Any) -> sp.csr_array:
    """A as a canonical CSR array; integers become float64.

    Raises
    ------
    ValueError
        If A is not a sparse square matrix with finite entries of a supported type.
    """
    if not sp.issparse(A):
        raise ValueError(f"A is a {type(A).__name__}, must be a sparse array or matrix")
    if A.ndim != 2 or A.shape[0] != A.shape[1] or A.shape[0] == 0:
        raise ValueError(f"A has shape {A.shape}, must be square")
    if np.issubdtype(A.dtype, np.integer):
        A = A.astype(np.float64)
    check_dtype(A.dtype)
    matrix = sp.csr_array(A)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        raise ValueError("A has entries that are infinite or not a number")
    if not matrix.data.any():
        raise ValueError("A is zero")
    return matrix


def storage(A: sp.csr_array, form: TensorForm | None) -> Any:
    """A in the storage that is applied fastest; by diagonals straight from the tensor form where
    there is one."""
    known = None if form is None else form.todia(A.dtype)
    if known is None or known.data.size > STORED * A.nnz + 64:
        return diagonal_storage(A)
    return known


def finest_storage(
    A: sp.csr_array, problem: Any, shape: Shape, boundary: Boundary
) -> tuple[Any, TensorForm | None]:
    """A in the storage that is applied fastest, and its tensor form: the problem's, or
    recognised."""
    form = (
        problem.equation.form(shape)
        if isinstance(problem, Problem)
        else recognise(A, shape, boundary)
    )
    return storage(A, form), form


def coarse_operator(
    level: Level, form: TensorForm | None, problem: Any, shape: Shape, rule: str
) -> tuple[sp.csr_array, TensorForm | None]:
    """A of the next coarser level, and its tensor form where it has one."""
    if rule == "rediscretise":
        form = problem.equation.form(shape)
        return (
            problem.equation.operator(shape)
            if form is None
            else sp.csr_array(form.todia(level.A.dtype))
        ), form
    if form is None or not (
        isinstance(level.P, transfer.TensorOperator)
        and isinstance(level.R, transfer.TensorOperator)
    ):
        return galerkin(level), None
    coarse = form.galerkin(level.R.factors, level.P.factors)
    return sp.csr_array(coarse.todia(level.A.dtype)), coarse


def find_nullspace(
    A: sp.csr_array, problem: Any, nullspace: NDArray[Any] | str | None
) -> NDArray[Any] | None:
    """An orthonormal basis of A's nullspace, shape (n, m), or None: given, the problem's, or the
    constants where A 1 = 0 to rounding."""
    n = A.shape[0]
    if isinstance(nullspace, str):
        if nullspace != "auto":
            raise ValueError(
                f"nullspace is {nullspace!r}, must be 'auto', None or an array of shape ({n}, m)"
            )
        if isinstance(problem, Problem):
            basis = problem.nullspace
            return None if basis is None else basis.astype(A.dtype)
        row_sums = np.abs(A @ np.ones(n, dtype=A.dtype))
        scale = float(np.max(np.abs(A.data), initial=0.0))
        singular = bool(np.max(row_sums) <= 100 * np.finfo(A.dtype).eps * scale)
        return np.full((n, 1), n**-0.5, dtype=A.dtype) if singular else None
    if nullspace is None:
        return None
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
    scale = float(np.max(np.abs(A.data), initial=0.0))
    if np.max(np.abs(A @ basis)) > 1e-6 * scale * np.max(np.abs(basis)):
        raise ValueError("nullspace: A times the given basis is not zero")
    return basis.astype(A.dtype)


def coarse_nullspace(basis: NDArray[Any] | None, levels: Sequence[Level]) -> NDArray[Any] | None:
    """The nullspace on the coarsest level: the constants for the constants, else what R makes of
    the basis."""
    if basis is None:
        return None
    coarse = basis.astype(levels[0].operator.dtype)
    for level in levels[:-1]:
        coarse = level.R @ coarse
    if basis.shape[1] == 1 and np.ptp(np.abs(basis)) <= 1e-6 * np.max(np.abs(basis)):
        coarse = np.ones_like(coarse)
    return np.linalg.qr(coarse)[0]


def axes_to_coarsen(level: Level, problem: Any, axes: Sequence[int] | str) -> tuple[int, ...]:
    """The axes to coarsen: the strongly coupled ones, all, or the given ones."""
    known = isinstance(problem, Problem) and problem.polynomial is not None
    strength = problem.couplings(level.shape) if known else couplings(level.A, level.shape)
    return choose_axes(strength, level.shape, axes)


def form_of(problem: Any, form: TensorForm | None) -> Form | None:
    """What A is up to a factor: the problem's, or the taps of a tensor form with constant ones."""
    return problem.form if isinstance(problem, Problem) else None


def add_transfers(
    level: Level,
    problem: Any,
    boundary: Boundary,
    axes: Sequence[int] | str,
    interpolation: str | None,
    restriction: str,
    *,
    constant: bool,
) -> Shape:
    """Give the level its P, R, axes and full multigrid interpolation; the coarse shape, or its own
    where nothing is coarsened.

    Without a name for the interpolation: linear where the stencil is `constant`, else black-box
    where that is possible.
    """
    chosen = axes_to_coarsen(level, problem, axes)
    coarse = tuple(
        transfer.coarse_size(n, boundary) if j in chosen else n for j, n in enumerate(level.shape)
    )
    level.axes = tuple(
        j for j, (n, m) in enumerate(zip(level.shape, coarse, strict=True)) if n != m
    )
    R = transfer.restriction(level.shape, coarse, boundary, kind=restriction)
    own: Any = "not asked for"
    if interpolation == BLACKBOX and coarse != level.shape:
        own = blackbox.blackbox(level.A, level.shape, coarse, boundary)
    elif interpolation is None and not constant:
        own = blackbox.attempt(level.A, level.shape, coarse, boundary)
    if coarse == level.shape:
        return coarse
    level.interpolation = transfer.interpolation(level.shape, coarse, boundary, kind="quintic")
    if isinstance(own, str):
        P = transfer.interpolation(
            level.shape, coarse, boundary, kind="linear" if interpolation is None else interpolation
        )
        level.P, level.R = P, R
        return coarse
    ratio = np.prod(
        [
            mesh_width(n, boundary) / mesh_width(m, boundary)
            for n, m in zip(level.shape, coarse, strict=True)
        ]
    )
    level.P, level.R = own, sp.csr_array(own.T) * ratio if restriction == "full" else R
    if abs(own - transfer.interpolation(level.shape, coarse, boundary).tocsr()).max() > JUMP:
        level.interpolation = own  # the solution has kinks where the coefficient jumps
    return coarse


def check_transfers(interpolation: str | None, restriction: str) -> None:
    """Refuse unknown names."""
    if interpolation is not None:
        check_name(interpolation, [*transfer.INTERPOLATIONS, BLACKBOX], "interpolation")
    check_name(restriction, list(transfer.RESTRICTIONS), "restriction")


def known_interval(
    level: Level, form: TensorForm | None, problem: Any, rule: str
) -> tuple[float, float] | None:
    """The high-frequency part of the spectrum of the level's A where its symbol is known: of the
    scheme, or of a Galerkin product.

    Its upper end is that of all frequencies: where the weaker axis is coarsened, it can lie among
    those that are low there.
    """
    if form is None or not level.axes:
        return None
    if isinstance(problem, Problem) and (rule == "rediscretise" or level.index == 0):
        return (
            problem.smoothing_interval(level.axes, shape=level.shape).a,
            problem.smoothing_interval(shape=level.shape).b,
        )
    return form.smoothing_interval(level.axes)


def cast_transfers(level: Level, dtype: np.dtype[Any]) -> None:
    """P and R, where there are any, in the (real) type of the cycle."""
    if level.P is None:
        return
    real = np.zeros(0, dtype=dtype).real.dtype
    level.P, level.R = level.P.astype(real), level.R.astype(real)


def own_transfers(level: Level, transfers: Callable[[Level], Any]) -> Shape | None:
    """Give the level the user's P and R; the coarse shape, the level's own where this is the
    coarsest, None where the default is wanted."""
    given = transfers(level)
    if given is None:
        return None
    if not isinstance(given, tuple | list) or len(given) != 3:
        raise ValueError(
            f"level {level.index}: transfers gave {given!r}, must be P, R and the coarse shape, or"
            " None"
        )
    P, R, shape = given
    coarse = tuple(
        check_whole(n, f"level {level.index}: a coarse size", 1)
        for n in ([shape] if np.ndim(shape) == 0 else shape)
    )
    if coarse == level.shape:
        return coarse
    n, m = level.size, int(np.prod(coarse))
    shapes = tuple(getattr(P, "shape", ())), tuple(getattr(R, "shape", ()))
    if shapes != ((n, m), (m, n)):
        raise ValueError(
            f"level {level.index}: P and R have shapes {shapes[0]} and {shapes[1]}, must be"
            f" {(n, m)} and {(m, n)}"
        )
    level.P, level.R, level.interpolation = P, R, P
    level.axes = tuple(
        j for j, (a, b) in enumerate(zip(level.shape, coarse, strict=False)) if a != b
    )
    return coarse


def galerkin(level: Level) -> sp.csr_array:
    """R A P as a CSR array in A's type."""
    R, P = (T.tocsr() if hasattr(T, "tocsr") else sp.csr_array(T) for T in (level.R, level.P))
    coarse = sp.csr_array(R @ level.A @ P)
    coarse.data[np.abs(coarse.data) <= 1e-14 * np.max(np.abs(coarse.data), initial=0.0)] = 0.0
    coarse.eliminate_zeros()
    coarse.sort_indices()
    return coarse.astype(level.A.dtype)


def count(
    counts: int | Sequence[int] | Callable[[int], int], index: int, name: str, least: int = 0
) -> int:
    """The number of smoothings (or the degree) on a level: a number, one per level (the last goes
    on), or a callable of the index."""
    value: Any = counts(index) if callable(counts) else counts
    if isinstance(value, list | tuple | np.ndarray) and len(value):
        value = value[min(index, len(value) - 1)]
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(
            f"{name} is {value!r} on level {index}, must be a whole number from {least} on"
        )
    return int(value)


def growing(index: int) -> int:
    """The default degree on a level: 2 on the finest, one more on each coarser one, at most 6."""
    return min(2 + index, 6)


def chosen_smoother(smoother: Any, degree: Any) -> Any:
    """What smooths, from the `smoother` and `degree` of `Hierarchy.build`; a degree per level makes
    a callable of the level of it."""
    if smoother is None:
        smoother, degree = "chebyshev", growing if degree is None else degree
    if degree is None or (isinstance(degree, int | np.integer) and not isinstance(degree, bool)):
        return make_smoother(smoother, None if degree is None else int(degree))
    make_smoother(smoother, count(degree, 0, "degree", 1))  # refuses what takes no degree
    return lambda level: make_smoother(smoother, count(degree, level.index, "degree", 1))


class _Wrapped(Smoothing):
    """A user's object with ``correct(r)`` alone."""

    def __init__(self, A: Any, own: Any) -> None:
        super().__init__(A)
        self.own = own
        self.label = type(own).__name__

    def correct(self, r: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self.own.correct(r))


def smoothing(smoother: Any, level: Level) -> Smoothing:
    """What a smoother, or a callable of a level, gives on this level, as a `Smoothing`."""
    made = (
        smoother
        if hasattr(smoother, "setup") or not callable(smoother)
        else make_smoother_or_smoothing(smoother(level))
    )
    if isinstance(made, Polynomial | Jacobi | GaussSeidel) or hasattr(made, "setup"):
        made = set_up(made, level)
    if isinstance(made, Smoothing):
        return made
    if hasattr(made, "correct"):
        return _Wrapped(level.operator, made)
    raise ValueError(
        f"level {level.index}: the smoother gave {made!r}, which has neither setup(level) nor"
        " correct(r)"
    )


def make_smoother_or_smoothing(made: Any) -> Any:
    """A callable's answer: a smoothing is kept, anything else is read like the `smoother` of
    `Hierarchy.build`."""
    return made if hasattr(made, "correct") else make_smoother(made)


def check_symmetry(
    matvec: Callable[[NDArray[Any]], NDArray[Any]], n: int, complex_: bool, tolerance: float
) -> None:
    """<M x, y> = <x, M y> for two seeded random vectors, or a ValueError."""
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal(n), generator.standard_normal(n)
    if complex_:
        x, y = x + 1j * generator.standard_normal(n), y + 1j * generator.standard_normal(n)
    Mx, My = matvec(x), matvec(y)
    difference = abs(np.vdot(Mx, y) - np.vdot(x, My)) / (np.linalg.norm(Mx) * np.linalg.norm(y))
    if not difference <= tolerance:
        raise ValueError(
            f"the cycle is not symmetric (relative difference {difference:.1e}): needs R = c P^T,"
            " symmetric A and coarse solver; for gmres pass symmetric=False"
        )
