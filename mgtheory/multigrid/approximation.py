"""The approximation constant of a coarse space: how well it represents what a smoother leaves, the
second half of the V-cycle bound.

    C = lmax ||A^-1 - P (P^T A P)^-1 P^T||,  from the norm of B to that of B^-1

Three forms of one number, pi = P (P^T A P)^-1 P^T A the A-orthogonal projection on the range of P:

    lmax times the largest eigenvalue of B^-1 K,  K = A^-1 - P (P^T A P)^-1 P^T = (I - pi) A^-1;
    sup over f of  lmax ||K f||^2_A / ||f||^2_B,  as ||K f||^2_A = f^T K f;
    sup over v of  lmax ||v - pi v||^2_{B^-1} / ||v||^2_A,  its transpose.

With the best P w in place of pi v the last one is a number that is never larger, on model problems
with the same limit as h -> 0. With that weak constant the bound need not hold; with this one, of
Hackbusch's approximation property, it does: the proof is in docs/theory.md, section 3.

A singular A (the constants are its nullspace) is allowed: the energy norm does not see constants,
so they are counted among the coarse functions, and f is a right-hand side without a mean.

Sources: W. Hackbusch, Multi-Grid Methods and Applications, Springer (1985), 7.2; J. Lottes, Numer.
Linear Algebra Appl. 30(6) (2023) e2518, arXiv 2202.08830.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, SuperLU, eigsh, splu

from mgtheory._checks import check_array, check_number
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.scores import gamma
from mgtheory.spectra.symmetry import is_symmetric

Array = NDArray[np.float64]

# up to this size by a dense eigenvalue problem, above by Lanczos iteration
DENSE = 300
# Krylov vectors: the largest eigenvalues are clustered, 20 need twice the products
BASIS = 40
# relative; what an iteration finds lies below the eigenvalue by up to this, and a bound adds it
ACCURACY = 1e-5
# relative to the largest entry: what a multiple of another matrix differs by, and what is left of a
# nullspace
MULTIPLE, NULL = 1e-8, 1e-10
DEFINITE = "symmetric positive definite, or semidefinite with the constants as its nullspace"


def approximation_constant(
    A: Any, P: Any, *, B: ArrayLike | None = None, lmax: float | None = None
) -> float:
    """C = lmax times the largest eigenvalue of B^-1 (A^-1 - P (P^T A P)^-1 P^T).

    Above 300 unknowns it is found by iteration, to a relative accuracy of 1e-5.

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
    C >= 1 when lmax is the largest eigenvalue and m < n.

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
    largest_entry = abs(matrix).max()
    if not is_symmetric(scipy.sparse.csr_array(matrix)):
        raise ValueError(f"A differs from its transpose, must be {DEFINITE}")
    matrix = scipy.sparse.csc_array(0.5 * (matrix + matrix.T))
    diagonal = np.ones(n) if B is None else check_array(B, "B", real=True)
    if diagonal.shape != (n,) or not (np.isfinite(diagonal) & (diagonal > 0)).all():
        raise ValueError(f"B must be a positive diagonal of shape ({n},)")
    lmax = (
        _largest(matrix, diagonal) if lmax is None else check_number(lmax, "lmax", "larger than 0")
    )
    singular = np.abs(matrix @ np.ones(n)).max() <= NULL * largest_entry
    if singular:
        # one unknown is held: for f without a mean, A x = f and A_pinned x = f have the same x
        pin = ([matrix.diagonal()[0]], ([0], [0]))
        matrix = scipy.sparse.csc_array(matrix + scipy.sparse.csc_array(pin, shape=(n, n)))
        prolongation = _with_constants(prolongation)
    fine = _factor(matrix, f"A must be {DEFINITE}")
    coarse = _factor(
        prolongation.T @ matrix @ prolongation, f"P of shape {(n, m)} must have full rank"
    )
    root = 1.0 / np.sqrt(diagonal)
    mean = root / np.linalg.norm(root)

    def project(g: Array) -> Array:
        return g - mean[:, None] * (mean @ g) if singular else g

    def apply(g: Array) -> Array:
        """B^-1/2 K B^-1/2 g of the columns g."""
        x = fine.solve(root[:, None] * project(g.reshape(n, -1)))
        # twice: the rounding of a smooth x can be as large as all that the first time leaves of it
        for _ in range(2):
            x = x - prolongation @ coarse.solve(np.asarray(prolongation.T @ (matrix @ x)))
        return project(root[:, None] * x)

    if n <= DENSE:
        K = apply(np.eye(n))
        return lmax * _largest_dense(0.5 * (K + K.T))
    return lmax * _iterate(LinearOperator((n, n), matvec=lambda g: apply(g).ravel(), dtype=float))


def approximation_constants(hierarchy: Any) -> tuple[float, ...]:
    """C of every level but the coarsest, finest first, with the smoother's own B and lmax.

    lmax is the upper end that the level's polynomial was derived for, and the largest eigenvalue of
    BA for one made by hand. C and gamma only bound a cycle together, so both must be of one B and
    one lmax: `energy_bound` puts them together.

    Raises
    ------
    ValueError
        If a smoother is no polynomial, or the coarse-grid correction is no A-orthogonal projection:
        the V-cycle bound holds for R = c P^T and the coarse operator c P^T A P alone, c a number;
        where A = D S with a symmetric S for R = c P^T D^-1, in the energy norm of S.
    """
    return tuple(C for C, _, _ in _parts(hierarchy))


def constants_and_ends(hierarchy: Any) -> tuple[tuple[float, float], ...]:
    """(C, lmax) of every level but the coarsest, lmax the largest eigenvalue of its BA."""
    if not hasattr(hierarchy, "levels"):
        raise ValueError(f"hierarchy is a {type(hierarchy).__name__}, must be a Hierarchy")
    found = []
    for fine, coarse in itertools.pairwise(hierarchy.levels):
        _polynomial(fine)
        P = scipy.sparse.csr_array(fine.P.tocsr())
        D = np.ones(fine.size) if fine.form_rows is None else fine.form_rows
        A = fine.A if fine.form_rows is None else fine.balanced
        galerkin = P.T @ A @ P
        size = abs(galerkin).sum()  # 0 where P is, as of a diagonal matrix
        factor = abs(coarse.A).sum() / size if size else 0.0
        if abs(coarse.A - factor * galerkin).max() > MULTIPLE * abs(coarse.A).max():
            raise ValueError(
                f"level {coarse.index} is not a multiple of P^T A P: the bound needs"
                " coarsening='galerkin'"
            )
        R = scipy.sparse.csr_array(scipy.sparse.csr_array(fine.R.tocsr()) * D[None, :])
        if abs(R - factor * P.T).max() > MULTIPLE * abs(R).max():
            raise ValueError(
                f"level {fine.index}: the restriction is not the multiple of P^T that"
                f" {factor:.3g} P^T A P belongs to: the bound needs it to be"
            )
        given = (fine.pre or fine.post).B
        B = D if given is None else D * np.asarray(given, dtype=float)
        lmax = _largest(_real_matrix(A, "A"), B)
        found.append((approximation_constant(A, P, B=B, lmax=lmax), lmax))
    return tuple(found)


def energy_bound(hierarchy: Any, *, known: Sequence[tuple[float, float]] | None = None) -> float:
    """C/(C + 1/gamma) >= ||E||_A of the V-cycle with as many smoothings before as after, with the
    largest C gamma of the levels; +infinity where a gamma is: nothing is proved there, and the
    cycle may diverge.

    Parameters
    ----------
    known
        `constants_and_ends` of a hierarchy that differs in its polynomials alone: these numbers are
        what takes time.

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
    for (C, lmax, q), level in zip(_parts(hierarchy, known), hierarchy.levels, strict=False):
        if level.pre is not level.post or level.pre_count != level.post_count:
            raise ValueError(
                f"level {level.index}: the bound needs the same smoothing before and after"
            )
        if level.pre_count != 1:
            q = ResidualPolynomial(np.tile(q.roots, level.pre_count))
        worst = max(worst, C * gamma(q, lmax=lmax) * (1.0 + (level.size > DENSE) * 2 * ACCURACY))
    return worst / (1.0 + worst) if worst < math.inf else math.inf


def _parts(
    hierarchy: Any, known: Sequence[tuple[float, float]] | None = None
) -> Iterator[tuple[float, float, ResidualPolynomial]]:
    """C, lmax and q of every level but the coarsest."""
    pairs = constants_and_ends(hierarchy) if known is None else known
    for level, (C, largest) in zip(hierarchy.levels, pairs, strict=False):
        q = _polynomial(level)
        # beyond the end that q was derived for nothing is known, so it must not lie too low
        lmax = largest if q.operator is None else max(q.operator.upper, largest)
        yield C * lmax / largest, lmax, q


def _polynomial(level: Any) -> ResidualPolynomial:
    smoothing = level.pre or level.post
    q = getattr(smoothing, "polynomial", None)
    if not isinstance(q, ResidualPolynomial):
        raise ValueError(
            f"level {level.index}: the bound is one of polynomial smoothers, this one is"
            f" {getattr(smoothing, 'label', smoothing)}"
        )
    return q


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


def _with_constants(P: scipy.sparse.csc_array) -> scipy.sparse.csc_array:
    """P, with a column of ones where its columns do not combine to one."""
    ones = np.ones(P.shape[0])
    normal = _factor(P.T @ P, f"P of shape {P.shape} must have full rank")
    left = ones - P @ normal.solve(P.T @ ones)
    if np.abs(left).max() <= 1e-8:
        return P
    return scipy.sparse.csc_array(scipy.sparse.hstack([P, ones[:, None]]))


def _factor(matrix: Any, otherwise: str) -> SuperLU:
    """Factors of a symmetric matrix, or `otherwise` as an error where it is not positive definite:
    without interchanges the pivots have the signs of the eigenvalues."""
    matrix = scipy.sparse.csc_array(matrix)
    try:
        factors = splu(
            matrix,
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
    except RuntimeError:  # a pivot is exactly 0
        raise ValueError(otherwise) from None
    # each against its own diagonal, whose sizes may differ by any factor
    pivots = factors.U.diagonal()[factors.perm_c]
    rounding = len(pivots) * np.finfo(float).eps
    if (factors.perm_r != factors.perm_c).any() or (pivots <= rounding * matrix.diagonal()).any():
        raise ValueError(otherwise)
    return factors


def _largest(A: scipy.sparse.csc_array, B: Array) -> float:
    """The largest eigenvalue of BA, B a diagonal."""
    root = np.sqrt(B)
    scaled = root[:, None] * A * root
    return _largest_dense(scaled.toarray()) if A.shape[0] <= DENSE else _iterate(scaled)


def _largest_dense(matrix: Array) -> float:
    last = len(matrix) - 1
    return float(scipy.linalg.eigvalsh(matrix, subset_by_index=(last, last))[0])


def _iterate(operator: Any) -> float:
    """The largest eigenvalue of a symmetric operator, from a seeded start."""
    start = np.random.default_rng(0).standard_normal(operator.shape[0])
    try:
        return float(
            eigsh(
                operator,
                k=1,
                which="LA",
                v0=start,
                ncv=BASIS,
                tol=ACCURACY,
                maxiter=1000,
                return_eigenvectors=False,
            )[0]
        )
    except ArpackNoConvergence as error:
        raise ArithmeticError(
            "approximation_constant: the eigenvalue iteration did not converge"
        ) from error
