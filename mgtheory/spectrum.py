"""Where the eigenvalues are: intervals, exact spectra, Gershgorin discs, Lanczos and Arnoldi estimates, the field of values.

A polynomial smoother needs the largest eigenvalue b of BA, and fails if b is taken too small. The ways to it, from sure to sharp: a
Gershgorin disc is a bound that costs one look at the matrix; `exact_eigenvalues` knows the model problems; `lanczos` and `arnoldi` run a
few products with A (see `mgtheory.ritz`), and carry an error and a bound with a margin.

Random starts come from `numpy.random.default_rng(0)` unless a generator is given, so that results repeat.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from mgtheory import assembly
from mgtheory.checks import check_array, check_whole
from mgtheory.frozen import ReadOnlyArrays
from mgtheory.ritz import ArnoldiEstimate, LanczosEstimate, Operator, arnoldi, lanczos, square_operator, start_vector

if TYPE_CHECKING:
    from mgtheory.problems import Problem

__all__ = [
    "ArnoldiEstimate",
    "FieldOfValues",
    "Gershgorin",
    "Interval",
    "LanczosEstimate",
    "arnoldi",
    "exact_eigenvalues",
    "field_of_values",
    "gershgorin",
    "lanczos",
]
DENSE = 400  # up to this size the field of values is computed by dense eigenvalue problems


@dataclass(frozen=True)
class Interval:
    """[a, b] with a < b, both finite: the real interval that a family of polynomials is built for.

    Unpacks like a pair, ``a, b = interval``.

    Raises
    ------
    ValueError
        If an end is not finite or a >= b.

    Examples
    --------
    >>> Interval(2, 8).relative
    Interval(a=0.25, b=1.0)
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        if not (isinstance(self.a, Real) and isinstance(self.b, Real)):
            raise ValueError(f"an interval needs numbers a < b, got a = {self.a!r}, b = {self.b!r}")
        a, b = float(self.a), float(self.b)
        if not (math.isfinite(a) and math.isfinite(b) and a < b):
            raise ValueError(f"an interval needs finite ends a < b, got a = {a:g}, b = {b:g}")
        object.__setattr__(self, "a", a)
        object.__setattr__(self, "b", b)

    def __iter__(self) -> Iterator[float]:
        return iter((self.a, self.b))

    @property
    def as_tuple(self) -> tuple[float, float]:
        """The pair (a, b)."""
        return (self.a, self.b)

    @property
    def relative(self) -> Interval:
        """The interval divided by its upper end, [a/b, 1]; needs b > 0."""
        if self.b <= 0:
            raise ValueError(f"only an interval with b > 0 can be scaled to (0, 1], got b = {self.b:g}")
        return Interval(self.a / self.b, 1.0)

    def scaled(self, factor: float) -> Interval:
        """[factor a, factor b] for a factor > 0."""
        if not (isinstance(factor, Real) and factor > 0):
            raise ValueError(f"an interval is scaled by a factor > 0, got {factor!r}")
        return Interval(factor * self.a, factor * self.b)


def exact_eigenvalues(problem: Problem) -> NDArray[np.float64]:
    """All eigenvalues of a model problem's A in closed form, shape `problem.shape`: entry k belongs to wavenumber k of each axis.

    Raises
    ------
    ValueError
        If the coefficients vary: then there is no closed form.

    Examples
    --------
    >>> from mgtheory import problems
    >>> exact_eigenvalues(problems.create("poisson1d", n=3)).round(4).tolist()  # h = 1/4: (2 - sqrt 2, 2, 2 + sqrt 2)/h^2
    [9.3726, 32.0, 54.6274]
    """
    if not hasattr(problem, "polynomial"):
        raise ValueError(f"problem is a {type(problem).__name__}, exact eigenvalues are known for model problems")
    if problem.polynomial is None:
        raise ValueError(f"{problem.name}: with variable coefficients the eigenvalues have no closed form; use lanczos")
    wavenumbers = (np.arange(n) + (1 if problem.boundary is assembly.Boundary.DIRICHLET else 0) for n in problem.shape)
    axes = [assembly.eigenvalue(k, n, problem.boundary) for k, n in zip(wavenumbers, problem.shape, strict=True)]
    values = assembly.evaluate(problem.polynomial, np.meshgrid(*axes, indexing="ij", sparse=True))
    return np.array(np.broadcast_to(values, problem.shape), dtype=float)


@dataclass(frozen=True)
class Gershgorin(ReadOnlyArrays):
    """Every eigenvalue lies in a disc |z - a_ii| <= sum_{j != i} |a_ij|: centres and radii, shape (n,)."""

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
    """The discs |z - a_ii| <= sum_{j != i} |a_ij| of the rows of BA, B a diagonal.

    Parameters
    ----------
    A
        Sparse or dense array, shape (n, n).
    B
        The diagonal of B, shape (n,); None for the identity.

    Examples
    --------
    >>> gershgorin(np.array([[2.0, -1.0], [-1.0, 2.0]])).upper
    3.0
    """
    matrix = scipy.sparse.csr_array(A if scipy.sparse.issparse(A) else np.atleast_2d(check_array(A, "A")))
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.shape[0]:
        raise ValueError(f"A has shape {matrix.shape}, must be square")
    if not np.isfinite(matrix.data).all():
        raise ValueError("A has entries that are infinite or not a number")
    scale = np.ones(matrix.shape[0]) if B is None else check_array(B, "B")
    if scale.shape != (matrix.shape[0],):
        raise ValueError(f"B has shape {scale.shape}, must be the diagonal of B, ({matrix.shape[0]},)")
    centres = matrix.diagonal()
    radii = np.asarray(abs(matrix).sum(axis=1)).ravel() - np.abs(centres)
    return Gershgorin(scale * centres, np.abs(scale) * np.maximum(radii, 0.0))


@dataclass(frozen=True)
class FieldOfValues(ReadOnlyArrays):
    """The numerical range W(A) = {v^* A v: ||v|| = 1} between an inner polygon (points on it) and an outer one (its support lines).

    Attributes
    ----------
    angles
        Outward normals phi of the support lines, shape (m,), from 0 towards 2 pi.
    points
        Points of the boundary, complex, shape (m,); their convex hull lies in W(A).
    support
        h(phi) = max over W(A) of Re(exp(-i phi) z), shape (m,).
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
        """False, if converged, proves 0 outside W(A): a support line separates it, and some q with q(0) = 1 is below 1 on all of W(A)."""
        return bool((self.support >= 0).all())


def field_of_values(A: Operator, *, angles: int = 64, generator: np.random.Generator | None = None) -> FieldOfValues:
    """The boundary of W(A): at normal angle phi the largest eigenvector v of (e^(-i phi) A + e^(i phi) A^*)/2 gives the point v^* A v.

    Parameters
    ----------
    A
        Sparse or dense array, or LinearOperator with its adjoint, shape (n, n). Up to n = 400 dense; above by Lanczos iteration (ARPACK).
    angles
        Number of boundary points.
    generator
        Draws the start vector of the iteration; by default the same one every time.
    """
    angles = check_whole(angles, "angles", 3)  # fewer lines bound nothing
    operator = square_operator(A)
    n = operator.shape[0]
    phi = 2 * np.pi * np.arange(angles) / angles
    start = start_vector(operator, generator).astype(complex)
    dense = operator.matmat(np.eye(n)) if n <= DENSE else None
    points, support, converged = np.empty(angles, dtype=complex), np.empty(angles), True
    for i, angle in enumerate(phi):
        turn = np.exp(-1j * angle)
        if dense is not None:
            v = scipy.linalg.eigh(_hermitian_part(turn * dense), subset_by_index=(n - 1, n - 1))[1][:, 0]
            points[i] = np.vdot(v, dense @ v)
        else:
            v, success = _largest_eigenvector(operator, turn, start)
            converged = converged and success
            points[i] = np.vdot(v, operator.matvec(v))
        support[i] = (turn * points[i]).real
    return FieldOfValues(phi, points, support, converged)


def _hermitian_part(M: NDArray[Any]) -> NDArray[Any]:
    return 0.5 * (M + M.conj().T)


def _largest_eigenvector(operator: LinearOperator, turn: complex, start: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """The unit eigenvector of the largest eigenvalue of (turn A + (turn A)^*)/2; on failure the start vector and False."""

    def product(v: NDArray[Any]) -> Any:
        return 0.5 * (turn * operator.matvec(v) + np.conj(turn) * operator.rmatvec(v))

    hermitian = LinearOperator(operator.shape, matvec=product, dtype=complex)
    try:
        return eigsh(hermitian, k=1, which="LA", v0=start, tol=1e-8)[1][:, 0], True
    except ArpackNoConvergence:
        return start / np.linalg.norm(start), False
