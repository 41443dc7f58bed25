"""The approximation constant of a coarse space: how well it represents what a smoother leaves, the
second half of the V-cycle bound.

    C = sup over v of  min_w ||v - P w||^2_{B^-1} lmax / ||v||^2_A

The minimum over w is v^T S v with S = M - M P (P^T M P)^-1 P^T M, M = B^-1, so C/lmax is the
largest eigenvalue of the pencil (S, A). A singular A (the constants are its nullspace) is allowed
where P represents them: neither S nor A sees them, so one unknown may be pinned.

Source: J. Lottes, Numer. Linear Algebra Appl. 30(6) (2023) e2518, arXiv 2202.08830; the
approximation property is Hackbusch's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, splu

from mgtheory._checks import check_array, check_number
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.scores import gamma

# up to this size by a dense eigenvalue problem, above by Lanczos iteration with sparse factors
DENSE = 300
# Krylov vectors: the largest eigenvalues are clustered, and with 20 the iteration stalls
BASIS = 100


def approximation_constant(
    A: Any, P: Any, *, B: ArrayLike | None = None, lmax: float | None = None
) -> float:
    """C = lmax times the largest eigenvalue of the pencil (S, A), S = M - M P (P^T M P)^-1 P^T M, M
    = B^-1.

    Parameters
    ----------
    A
        Sparse or dense array, shape (n, n), symmetric positive definite, or semidefinite with the
        constants as its nullspace.
    P
        Interpolation from the coarse space, sparse or dense, shape (n, m), full rank.
    B
        The diagonal of B, positive, shape (n,); None for the identity.
    lmax
        The largest eigenvalue of BA that the smoother is built for; by default it is computed.

    Returns
    -------
    C >= 1 when lmax is the largest eigenvalue and m < n; +infinity if A's nullspace is not in the
    coarse space.

    Examples
    --------
    >>> A = np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]])
    >>> round(approximation_constant(A, np.array([[0.5], [1.0], [0.5]]), lmax=4.0), 12)
    2.0
    """
    matrix, prolongation = _real_matrix(A, "A"), _real_matrix(P, "P")
    n, m = prolongation.shape
    if matrix.shape != (n, n) or not 0 < m < n:
        raise ValueError(
            f"A has shape {matrix.shape} and P {prolongation.shape}, must be (n, n) and (n, m) with"
            " 0 < m < n"
        )
    diagonal = np.ones(n) if B is None else check_array(B, "B", real=True)
    if diagonal.shape != (n,) or not (np.isfinite(diagonal) & (diagonal > 0)).all():
        raise ValueError(f"B must be a positive diagonal of shape ({n},)")
    mass = 1.0 / diagonal
    lmax = _largest(matrix, mass) if lmax is None else check_number(lmax, "lmax", "larger than 0")
    try:
        coarse = splu(scipy.sparse.csc_array(prolongation.T @ (mass[:, None] * prolongation)))
    except RuntimeError:
        raise ValueError(f"P of shape {prolongation.shape} must have full rank") from None

    def complement(v: NDArray[np.float64]) -> NDArray[np.float64]:
        v = v.reshape(n, -1)
        weighted = mass[:, None] * v
        return weighted - mass[:, None] * (
            prolongation @ coarse.solve(np.asarray(prolongation.T @ weighted))
        )

    ones = np.ones(n)
    if np.abs(matrix @ ones).max() <= 1e-10 * abs(matrix).max():
        if np.abs(complement(ones)).max() > 1e-8 * mass.max():
            return math.inf
        matrix = scipy.sparse.csc_array(
            matrix + scipy.sparse.csc_array(([matrix.diagonal()[0]], ([0], [0])), shape=(n, n))
        )
    if n <= DENSE:
        S = complement(np.eye(n))
        try:
            return lmax * float(
                scipy.linalg.eigh(
                    0.5 * (S + S.T),
                    matrix.toarray(),
                    eigvals_only=True,
                    subset_by_index=(n - 1, n - 1),
                )[0]
            )
        except np.linalg.LinAlgError:
            raise ValueError(
                "A must be symmetric positive definite, or semidefinite with the constants as its"
                " nullspace"
            ) from None
    factor = splu(matrix)
    S = LinearOperator((n, n), matvec=lambda v: complement(v).ravel(), dtype=float)
    inverse = LinearOperator((n, n), matvec=factor.solve, dtype=float)
    return lmax * _iterate(S, k=1, M=matrix, Minv=inverse, which="LA")


def approximation_constants(hierarchy: Any) -> tuple[float, ...]:
    """C of every level but the coarsest, finest first, with the smoother's own B and lmax.

    lmax is the upper end that the level's polynomial was derived for, and the largest eigenvalue of
    BA for one made by hand. C and gamma only bound a cycle together, so both must be of one B and
    one lmax: `energy_bound` puts them together.

    Raises
    ------
    ValueError
        If a smoother is no polynomial, or a coarse operator is not Galerkin's: the V-cycle bound
        holds for P^T A P (up to a factor) alone.
    """
    return tuple(C for C, _, _ in _parts(hierarchy))


def energy_bound(hierarchy: Any) -> float:
    """C/(C + 1/gamma) >= ||E||_A of the V-cycle with as many smoothings before as after, the
    largest over the levels.

    Raises
    ------
    ValueError
        As `approximation_constants`, or if smoothings before and after differ.

    Examples
    --------
    >>> from mgtheory import Hierarchy, poisson
    >>> build = {"smoother": "chebyshev4", "degree": 1, "coarsening": "galerkin"}
    >>> energy_bound(Hierarchy.build(poisson((15,)), coarsest=7, **build)) < 0.45
    True
    """
    worst = 0.0
    for (C, lmax, q), level in zip(_parts(hierarchy), hierarchy.levels, strict=False):
        if level.pre is not level.post or level.pre_count != level.post_count:
            raise ValueError(
                f"level {level.index}: the bound needs the same smoothing before and after"
            )
        if level.pre_count != 1:
            q = ResidualPolynomial(np.tile(q.roots, level.pre_count))
        worst = max(worst, C * gamma(q, lmax=lmax))
    return worst / (1.0 + worst) if worst < math.inf else 1.0


def _parts(hierarchy: Any) -> Iterator[tuple[float, float, ResidualPolynomial]]:
    """C, lmax and q of every level but the coarsest."""
    if not hasattr(hierarchy, "levels"):
        raise ValueError(f"hierarchy is a {type(hierarchy).__name__}, must be a Hierarchy")
    for fine, coarse in itertools.pairwise(hierarchy.levels):
        smoothing = fine.pre or fine.post
        q = getattr(smoothing, "polynomial", None)
        if not isinstance(q, ResidualPolynomial):
            raise ValueError(
                f"level {fine.index}: the bound is one of polynomial smoothers, this one is"
                f" {getattr(smoothing, 'label', smoothing)}"
            )
        P = scipy.sparse.csr_array(fine.P.tocsr())
        galerkin = P.T @ fine.A @ P
        factor = abs(coarse.A).sum() / abs(galerkin).sum()
        if abs(coarse.A - factor * galerkin).max() > 1e-8 * abs(coarse.A).max():
            raise ValueError(
                f"level {coarse.index} is not a multiple of P^T A P: the bound needs"
                " coarsening='galerkin'"
            )
        mass = np.ones(fine.size) if smoothing.B is None else 1.0 / smoothing.B
        largest = _largest(_real_matrix(fine.A, "A"), mass)
        # beyond the end that q was derived for nothing is known, so it must not lie too low
        lmax = largest if q.operator is None else max(q.operator.upper, largest)
        yield approximation_constant(fine.A, P, B=smoothing.B, lmax=lmax), lmax, q


def _real_matrix(given: Any, name: str) -> scipy.sparse.csc_array:
    matrix = scipy.sparse.csc_array(
        given if scipy.sparse.issparse(given) else np.atleast_2d(check_array(given, name))
    )
    if len(matrix.shape) != 2 or np.iscomplexobj(matrix.data) or not np.isfinite(matrix.data).all():
        raise ValueError(
            f"{name} has shape {matrix.shape} and type {matrix.dtype}, must be a real, finite"
            " matrix"
        )
    return matrix.astype(float)


def _largest(A: scipy.sparse.csc_array, mass: NDArray[np.float64]) -> float:
    """The largest eigenvalue of M^-1 A, M a diagonal."""
    root = 1.0 / np.sqrt(mass)
    scaled = root[:, None] * A * root
    if A.shape[0] <= DENSE:
        return float(
            scipy.linalg.eigvalsh(
                scaled.toarray(), subset_by_index=(A.shape[0] - 1, A.shape[0] - 1)
            )[0]
        )
    return _iterate(scaled, k=1, which="LA")


def _iterate(operator: Any, **options: Any) -> float:
    """The eigenvalue that `eigsh` finds from a seeded start."""
    start = np.random.default_rng(0).standard_normal(operator.shape[0])
    try:
        return float(
            eigsh(
                operator,
                v0=start,
                ncv=BASIS,
                tol=1e-6,
                maxiter=1000,
                return_eigenvectors=False,
                **options,
            )[0]
        )
    except ArpackNoConvergence as error:
        raise ArithmeticError(
            "approximation_constant: the eigenvalue iteration did not converge"
        ) from error
