"""What a hierarchy is built for: A, its grid and boundary, its nullspace, and the type of the
cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory._checks import FLOATING, check_finite, check_unmasked
from mgtheory.multigrid.nullspace import (
    find_nullspace,
    orthonormal,
    rounded_image,
    singular_below,
    smoothest,
)
from mgtheory.multigrid.options import PYAMG, Options
from mgtheory.multigrid.phases import Phases
from mgtheory.multigrid.scales import alike
from mgtheory.problems.catalogue import poisson
from mgtheory.problems.grids import Boundary, Shape, check_boundary, check_shape
from mgtheory.problems.problem import Problem
from mgtheory.spectra.record import SAME

# the largest condition number with which a float32 cycle converges like a float64 one, and how far
# from 1 the entries of A may be, so that x and what lies between are numbers of that type
SINGLE, FAR = 1e6, 1e15


@dataclass(frozen=True, eq=False)
class Given:
    """A as a canonical CSR array, the grid's shape and its boundary, of a problem or of a bare
    matrix (`problem` is None), whose boundary is None where A is to say it; the type of the cycle;
    what was asked for A's nullspace, as in `mgtheory.multigrid.options.Options`; and scales that
    its unknowns were found to have (`mgtheory.multigrid.scales`)."""

    A: sp.csr_array
    shape: Shape
    boundary: Boundary | None
    problem: Problem | None
    work: np.dtype[Any]
    asked_nullspace: Any
    scales: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, problem: Any, options: Options) -> Self:
        """Of a problem, or of a bare matrix with the options' shape and boundary.

        Raises
        ------
        ValueError
            For a matrix that is not square, finite and of the given shape, or options that
            contradict the problem.
        """
        if isinstance(problem, Problem):
            shape, kind = problem.shape, problem.boundary
            sides: Boundary | None = kind
            checks: list[tuple[str, Any, Any, Callable[[Any], Any]]] = [
                ("shape", options.shape, shape, lambda s: check_shape(s, kind)),
                ("boundary", options.boundary, kind, check_boundary),
            ]
            for name, given, own, check in checks:
                if given is not None and check(given) != own:
                    raise ValueError(
                        f"{name} is {given!r}, the problem has {own}; {name} belongs to a bare"
                        " matrix"
                    )
            if options.coarsening == PYAMG:
                raise ValueError("coarsening 'pyamg' is for a bare matrix: give the problem's A")
            A, model = check_matrix(problem.A), problem
        else:
            A, model, sizes = check_matrix(problem), None, options.shape
            if sizes is None and options.coarsening != PYAMG:
                raise ValueError(
                    "a bare matrix needs its grid's shape; one without a grid, such as a graph's,"
                    " takes coarsening='pyamg'"
                )
            sides = None if options.boundary is None else check_boundary(options.boundary)
            sizes = A.shape[0] if sizes is None else sizes
            shape = check_shape(sizes, sides or Boundary.DIRICHLET)
            if A.shape[0] != int(np.prod(shape)):
                raise ValueError(
                    f"A has {A.shape[0]} rows, the grid {shape} has {int(np.prod(shape))} unknowns"
                )
            if options.coarsening == "rediscretise":
                raise ValueError(
                    "unknown coarsening 'rediscretise', allowed: galerkin (rediscretise needs a"
                    " Problem)"
                )
        work = check_work(A, options.dtype, model)
        return cls(A, shape, sides, model, work, options.nullspace)

    @cached_property
    def phases(self) -> Phases | None:
        """Those of A's couplings."""
        return Phases.of(self.A, self.shape)

    @cached_property
    def nullspace(self) -> Any:
        """An orthonormal basis of A's nullspace, shape (n, m), or None."""
        found = find_nullspace(self.A, self.problem, self.asked_nullspace, self.shape)
        automatic = isinstance(self.asked_nullspace, str) and self.problem is None
        if found is not None or not automatic:
            return found
        A = self.A if self.scales is None else alike(self.A, self.scales)
        below = singular_below(A) * A.shape[0] ** 0.5  # products of many phases, or steps of cg
        phases = self.phases if self.scales is None else Phases.of(A, self.shape)
        if phases is not None or self.scales is not None:
            found = smoothest(A, self.shape, phases, below)
        if found is None or self.scales is None:
            return found
        return orthonormal(self.scales[:, None].astype(A.dtype) * found)

    @cached_property
    def on_constants(self) -> float:
        """What a bare matrix makes of the constants, relative to |A|, where that may be rounding
        of its entries; else 0."""
        unsure = self.problem is None and self.asked_nullspace is not None
        return rounded_image(self.A) if unsure and self.nullspace is None else 0.0


def check_matrix(A: Any) -> sp.csr_array:
    """A as a canonical CSR array without stored zeros, which PyAMG and colours would take for
    couplings; integers become float64.

    Raises
    ------
    ValueError
        If A is not a sparse square matrix with finite entries of a supported type.
    """
    check_unmasked(A, "A")
    if not sp.issparse(A):
        made = ", as scipy.sparse.csr_array(A) makes one" if isinstance(A, np.ndarray) else ""
        raise ValueError(f"A is a {type(A).__name__}, must be a sparse array or matrix{made}")
    if A.ndim != 2 or A.shape[0] != A.shape[1] or A.shape[0] == 0:
        raise ValueError(f"A has shape {A.shape}, must be square")
    if np.issubdtype(A.dtype, np.integer):
        A = A.astype(np.float64)
    check_dtype(A.dtype, "the type of A")
    matrix = sp.csr_array(A)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    check_finite(matrix, "A")
    if not matrix.data.any():
        raise ValueError("A is zero")
    if not matrix.data.all():
        matrix = matrix.copy()
        matrix.eliminate_zeros()
    return matrix


def check_dtype(dtype: Any, what: str = "dtype") -> np.dtype[Any]:
    """The type as a NumPy dtype: float32, float64, complex64 or complex128."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = repr(dtype)
    if name not in FLOATING:
        raise ValueError(f"{what} is {name}, allowed are: {', '.join(FLOATING)}")
    return np.dtype(dtype)


def check_work(A: sp.csr_array, dtype: Any, problem: Problem | None) -> np.dtype[Any]:
    """The type of the cycle: that of A, the one asked for, or for "auto" float32 where the residual
    equation is known to be well enough conditioned for it, and of numbers that it has."""
    given, largest = np.dtype(A.dtype), float(np.abs(A.data).max())
    if isinstance(dtype, str) and dtype == "auto":
        dtype = given
        if given == np.float64 and problem is not None and _condition(problem) < SINGLE:
            dtype = np.float32 if 1.0 / FAR < largest < FAR else given
    work = check_dtype(given if dtype is None else dtype)
    low, high = float(np.finfo(work).tiny), float(np.finfo(work).max)
    if work != given and not low <= largest <= high:
        raise ValueError(
            f"dtype is {work}, of numbers from {low:.0e} to {high:.0e}, A has entries up to"
            f" {largest:.0e}: scale A, or take {given}"
        )
    if np.issubdtype(given, np.complexfloating) and not np.issubdtype(work, np.complexfloating):
        raise ValueError(f"A is {given}, the cycle's type {work} must be complex too")
    if np.issubdtype(work, np.complexfloating) and not np.issubdtype(given, np.complexfloating):
        raise ValueError(f"A is {given}, the cycle's type {work} must be real too")
    return work


def same_matrix(one: Any, other: Any) -> bool:
    """Whether two problems or sparse matrices have one A up to rounding."""
    if one is other:
        return True
    A, B = (check_matrix(getattr(given, "A", given)) for given in (one, other))
    if A.shape != B.shape or not np.array_equal(A.indptr, B.indptr):
        return False
    return np.array_equal(A.indices, B.indices) and np.allclose(A.data, B.data, rtol=SAME, atol=0.0)


def _condition(problem: Problem) -> float:
    """Largest over smallest non-zero eigenvalue: exact with constant coefficients; else that of the
    Laplacian times the range of k, a bound up to averages; infinite where it is not known."""
    if problem.polynomial is None:
        if problem.coefficient is None:
            return np.inf
        k = problem.coefficient(*problem.grid)
        laplacian = poisson(problem.shape, boundary=str(problem.boundary))
        return float(np.max(k) / np.min(k)) * _condition(laplacian)
    if problem.unknowns == 1 or not any(problem.polynomial):  # a multiple of the identity
        return 1.0
    a, b = problem.spectrum()
    if a <= 1e-12 * b and problem.nullspace is not None:
        values = problem.eigenvalues()
        a = float(values[values > 1e-12 * b].min())
    return b / a if a > 0 else np.inf
