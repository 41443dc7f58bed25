"""Estimates of the outermost eigenvalues by Lanczos and Arnoldi steps from a seeded start, each
with its error and a bound with a margin.

A Ritz value of a symmetric operator lies inside the spectrum, so as the largest eigenvalue of a
smoother it is too small; its residual norm says how near some eigenvalue is, not that none lies
beyond. `LanczosEstimate.upper` adds both the residual norm and a margin, the safety factor: on the
Poisson problems that of 10 to 30 steps is between 1.00 and 1.03 times the largest eigenvalue. An
eigenvalue that stands alone a little above the others can be missed by either: 10 steps miss it
where it is up to about 7 % higher. `LanczosEstimate.bound` holds for every spectrum, but with a
stated probability.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator

from mgtheory._checks import check_array, check_generator, check_number, check_whole, own_errors
from mgtheory._frozen import ReadOnlyArrays
from mgtheory.spectra.arnoldi import Arnoldi, arnoldi_process, linear_operator, product
from mgtheory.spectra.symmetry import ROUNDED, asymmetry

Operator = Any  # a sparse or dense array, or a LinearOperator, of shape (n, n)


@dataclass(frozen=True)
class LanczosEstimate:
    """Extreme Ritz values of a symmetric operator, with the distance within which an eigenvalue
    lies.

    Attributes
    ----------
    smallest, largest
        Extreme Ritz values; both lie within the spectrum.
    errors
        ||A v - theta v||, ||v|| = 1, of the two, computed anew.
    steps
        Products with A taken for the Krylov space.
    converged
        Whether both errors are at most the tolerance times the largest modulus.
    asymmetry
        That of A's entries (`mgtheory.spectra.symmetry`), of an operator without entries ||H -
        H^*||/||H|| on the Krylov space, the larger of both: rounding, or what counts as it; the
        values are then those of (A + A^*)/2.
    safety
        The factor by which each end is widened, beside its error.
    size
        n, rows of the operator.
    """

    smallest: float
    largest: float
    errors: tuple[float, float]
    steps: int
    converged: bool
    safety: float
    size: int
    asymmetry: float = 0.0

    @property
    def lower(self) -> float:
        """smallest - error - (safety - 1)|smallest|: an estimate of the smallest eigenvalue from
        below."""
        return self.smallest - self.errors[0] - (self.safety - 1) * abs(self.smallest)

    @property
    def upper(self) -> float:
        """largest + error + (safety - 1)|largest|: an estimate of the largest eigenvalue from
        above, see the module on what it can miss."""
        return self.largest + self.errors[1] + (self.safety - 1) * abs(self.largest)

    @property
    def radius(self) -> float:
        """max(|lower|, |upper|), the estimate of the spectral radius."""
        return max(abs(self.lower), abs(self.upper))

    def bound(self, failure: float = 1e-3) -> float:
        """largest + e (largest - smallest)/(1 - 2e): no eigenvalue is above it, but for a part
        `failure` of all normal random starts, whatever the spectrum.

        e = (log(3.296 sqrt(n)/failure)/(2 steps - 1))^2, for both ends; infinite where e >= 1/2:
        that takes about 10 steps at least. [J. Kuczynski, H. Wozniakowski, SIAM J. Matrix Anal.
        Appl. 13 (1992) 1094-1122]
        """
        if check_number(failure, "failure", "larger than 0") >= 1:
            raise ValueError(f"failure is {failure!r}, must be a number below 1: a part of all")
        e = (math.log(3.296 * math.sqrt(self.size) / failure) / (2 * self.steps - 1)) ** 2
        return (
            self.largest + e * (self.largest - self.smallest) / (1 - 2 * e) if e < 0.5 else math.inf
        )


@own_errors
def lanczos(
    A: Operator,
    *,
    B: ArrayLike | None = None,
    steps: int = 30,
    tolerance: float = 1e-2,
    safety: float = 1.01,
    generator: np.random.Generator | None = None,
) -> LanczosEstimate:
    """The extreme eigenvalues of BA, A symmetric, by Lanczos steps with full orthogonalisation.

    Parameters
    ----------
    A
        Sparse or dense array or LinearOperator, symmetric (Hermitian), shape (n, n).
    B
        The diagonal of B, positive, shape (n,); None for the identity. Lanczos runs on B^(1/2) A
        B^(1/2), which has the same eigenvalues.
    steps
        Most products with A, and vectors of memory less one.
    tolerance
        Relative error at which the estimate counts as converged. It does not change the work.
    safety
        At least 1: widens the bounds beside the error, for what a random start can miss.
    generator
        Draws the start vector; by default the same one every time.

    Examples
    --------
    >>> lanczos(np.diag([-5.0, 1.0, 2.0])).radius.__round__(2)
    5.05
    """
    operator = square_operator(A)
    steps = _check_estimate(steps, tolerance, safety)
    if B is None:
        apply = product(operator)
    else:
        diagonal = check_array(B, "B", real=True)
        if diagonal.shape != (operator.shape[0],) or not (diagonal > 0).all():
            raise ValueError(
                f"B must be a positive diagonal of shape ({operator.shape[0]},), got shape"
                f" {diagonal.shape}; otherwise use arnoldi"
            )
        root = np.sqrt(diagonal)

        def apply(v: NDArray[Any]) -> NDArray[Any]:
            return root * product(operator)(root * v)

    start = start_vector(operator, generator)
    process = arnoldi_process(apply, start, min(steps, start.size))
    H = process.H[: process.steps]
    whole = float(np.linalg.norm(H))
    skew = float(np.linalg.norm(H - H.conj().T)) / (whole or 1.0)
    if not isinstance(A, LinearOperator):
        # a skew part that commutes with A, as of a wind, is unseen but for the boundary: v^T p(A) K
        # q(A) v is 0 for a real v
        skew = max(skew, asymmetry(sp.csr_array(A)))
    if not skew <= ROUNDED:
        raise ValueError(
            "the operator is not symmetric, lanczos needs A = A^T (and B a positive diagonal); use"
            " arnoldi"
        )
    theta, Y = np.linalg.eigh(0.5 * (H + H.conj().T))
    errors = [_residual(apply, process, theta[i], Y[:, i]) for i in (0, -1)]
    converged = max(errors) <= tolerance * float(np.abs(theta).max())
    smallest, largest, below, above = (
        float(process.scale * number) for number in (theta[0], theta[-1], *errors)
    )
    return LanczosEstimate(
        *(smallest, largest, (below, above), process.steps, converged, float(safety), start.size),
        skew,
    )


def _residual(
    apply: Callable[[NDArray[Any]], Any], process: Arnoldi, theta: complex, y: NDArray[Any]
) -> float:
    """||A v - theta v||/||v|| of the Ritz vector v with coordinates y, over the scale."""
    v = y @ process.V[: process.steps]
    return float(np.linalg.norm(apply(v) / process.scale - theta * v) / np.linalg.norm(v))


@dataclass(frozen=True)
class ArnoldiEstimate(ReadOnlyArrays):
    """Ritz values of any operator and the residual norm of the outermost.

    Attributes
    ----------
    values
        All Ritz values, complex, largest modulus first.
    error
        ||A v - theta v||, ||v|| = 1, of values[0], computed anew. theta is an eigenvalue of A + E
        with ||E|| = error; if A is far from normal, A's own eigenvalues can be farther away.
    steps, converged
        As in `LanczosEstimate`.
    safety
        The factor of `radius`.
    """

    values: NDArray[np.complex128]
    error: float
    steps: int
    converged: bool
    safety: float

    @property
    def dominant(self) -> complex:
        """The Ritz value of largest modulus."""
        return complex(self.values[0])

    @property
    def radius(self) -> float:
        """safety |dominant| + error: an estimate of the spectral radius from above."""
        return self.safety * abs(self.dominant) + self.error


@own_errors
def arnoldi(
    A: Operator,
    *,
    steps: int = 30,
    tolerance: float = 1e-2,
    safety: float = 1.01,
    generator: np.random.Generator | None = None,
) -> ArnoldiEstimate:
    """The outermost eigenvalues of any operator, real or complex, by Arnoldi steps; parameters as
    for `lanczos`.

    Examples
    --------
    >>> round(arnoldi(np.array([[0.0, -2.0], [2.0, 0.0]])).radius, 12)  # eigenvalues 2i and -2i
    2.02
    """
    operator = square_operator(A)
    steps = _check_estimate(steps, tolerance, safety)
    start = start_vector(operator, generator)
    process = arnoldi_process(product(operator), start, min(steps, start.size))
    values, Y = np.linalg.eig(process.H[: process.steps])
    order = np.argsort(-np.abs(values), kind="stable")
    error = _residual(product(operator), process, values[order[0]], Y[:, order[0]])
    converged = error <= tolerance * float(np.abs(values).max())
    found = np.asarray(process.scale * values[order], dtype=complex)
    return ArnoldiEstimate(found, process.scale * error, process.steps, converged, float(safety))


def square_operator(A: Operator) -> LinearOperator:
    """A as a LinearOperator, refused if not square."""
    operator = linear_operator(A)
    if operator.shape[0] != operator.shape[1] or not operator.shape[0]:
        raise ValueError(f"the operator has shape {operator.shape}, must be square")
    return operator


def _check_estimate(steps: Any, tolerance: Any, safety: Any) -> int:
    check_number(tolerance, "tolerance", "larger than 0")
    if check_number(safety, "safety", "larger than 0") < 1:
        raise ValueError(f"safety is {safety!r}, must be a number from 1 on")
    return check_whole(steps, "steps", 1)


def start_vector(
    operator: LinearOperator, generator: np.random.Generator | None
) -> NDArray[np.float64]:
    """A normal random vector of shape (n,); without a generator the same one every time."""
    seed = 0 if generator is None else check_generator(generator, "generator")
    return np.random.default_rng(seed).standard_normal(operator.shape[0])
