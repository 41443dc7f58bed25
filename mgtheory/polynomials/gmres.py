"""The GMRES polynomial of any operator, whose roots are its harmonic Ritz values.

k steps of Arnoldi's process on A from b give A V_k = V_{k+1} H. GMRES minimises ||q(A) b|| over the
q of degree k with q(0) = 1; the roots of its q are the harmonic Ritz values, the eigenvalues of the
pencil (H^* H, H_k^*), H_k the upper square part of H. With H = Q R this is the pencil (R, Q_k^*),
which does not square the condition number and puts the roots of a stagnating GMRES at infinity,
where they belong.

Source: J. A. Loe, R. B. Morgan, Toward efficient polynomial preconditioning for GMRES, Numer.
Linear Algebra Appl. 29 (2022) e2427.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_array, own_errors
from mgtheory._frozen import ReadOnlyArrays
from mgtheory.polynomials.residual import MAX_DEGREE, ResidualPolynomial, check_degree
from mgtheory.polynomials.roots import symmetrised
from mgtheory.spectra.arnoldi import arnoldi_process, linear_operator

# roots below this, relative to the operator's norm, are refused: their weights cost ten digits or
# more
NEAR_ZERO = 1e-10
# log10 of the product at a root above which it is repeated; 14 more digits ask for one more copy
# [Loe, Morgan]
COPY_THRESHOLD = 4.0
DIGITS_PER_COPY = 14.0


@dataclass(frozen=True)
class HarmonicRitz(ReadOnlyArrays):
    """The GMRES polynomial, with copies included, and how it came about.

    Attributes
    ----------
    values
        The harmonic Ritz values, shape (k,), roots of the GMRES polynomial itself.
    copies
        Pairs (root, how many times it was added). If there are any, q(A) b is no longer the GMRES
        residual.
    residual_norm
        ||q(A) b|| / ||b|| of GMRES after k steps, without copies.
    """

    polynomial: ResidualPolynomial
    values: NDArray[np.complex128]
    copies: tuple[tuple[complex, int], ...]
    residual_norm: float


def harmonic_ritz(
    degree: int, *, operator: Any, start: ArrayLike, copies: bool = True
) -> ResidualPolynomial:
    """The q of degree k that minimises ||q(A) b||: the GMRES residual polynomial.

    For any real operator, also a non-symmetric one. `gmres_polynomial` says which roots were
    repeated, which raises the degree.

    Parameters
    ----------
    operator, start
        A (or BA), an array or LinearOperator of shape (n, n), and b, shape (n,), both real. A
        random b serves all right-hand sides.
    copies
        Repeat roots where the product of the other factors exceeds 1e4. Without, an eigenvalue far
        outside of the others amplifies rounding by that product (see
        `ResidualPolynomial.amplification`).

    A ValueError says where the degree exceeds the grade of the start vector (breakdown), or a root
    is near 0.

    Examples
    --------
    >>> q = harmonic_ritz(2, operator=np.diag([1.0, 3.0]), start=np.ones(2))
    >>> q.roots.real.round(12).tolist()
    [3.0, 1.0]
    """
    return gmres_polynomial(degree, operator=operator, start=start, copies=copies).polynomial


@own_errors
def gmres_polynomial(
    degree: int, *, operator: Any, start: ArrayLike, copies: bool = True
) -> HarmonicRitz:
    """`harmonic_ritz` with how it came about."""
    degree = check_degree(degree, family="harmonic_ritz")
    A, b = linear_operator(operator), check_array(start, "start")
    if A.shape[0] != A.shape[1] or b.shape != (A.shape[0],):
        raise ValueError(
            f"operator has shape {A.shape} and start {b.shape}, harmonic_ritz needs (n, n) and (n,)"
        )
    for name, dtype in (("A", A.dtype), ("start", b.dtype)):
        if np.issubdtype(dtype, np.complexfloating):
            raise ValueError(
                f"{name} is {dtype}, harmonic_ritz takes a real one: its roots come in conjugate"
                " pairs"
            )
    process = arnoldi_process(A.matvec, b.astype(float), min(degree, b.size))
    if process.steps < degree:
        raise ValueError(
            f"degree is {degree}, but the start vector has grade {process.steps} (Arnoldi breaks"
            f" down): take a degree up to {process.steps} or a start with more eigenvectors in it"
        )
    values = _harmonic_ritz_values(process.H, process.scale)
    repeated = _copies(values) if copies else ()
    extra = [root for root, count in repeated for _ in range(count)]
    if values.size + len(extra) > MAX_DEGREE:
        raise ValueError(
            f"degree is {degree} and {len(extra)} copies are needed, together more than"
            f" {MAX_DEGREE}: take a lower degree"
        )
    residual = 0.0
    if not process.invariant:  # the smallest ||e_1 - H y||, for ||b|| = 1
        H, e = process.H, np.eye(degree + 1)[0]
        residual = float(np.linalg.norm(e - H @ np.linalg.lstsq(H, e, rcond=None)[0]))
    return HarmonicRitz(ResidualPolynomial(np.append(values, extra)), values, repeated, residual)


def _harmonic_ritz_values(H: NDArray[np.float64], scale: float) -> NDArray[np.complex128]:
    """Eigenvalues of the pencil (scale R, Q_k^T), H = QR: real or in exact conjugate pairs, those
    of a stagnating GMRES at infinity; near-zero ones are refused."""
    k = H.shape[1]
    Q, R = np.linalg.qr(H)
    norm = float(np.linalg.norm(H, 2))
    top, bottom = scipy.linalg.eigvals(R, Q[:k].T, homogeneous_eigvals=True)
    # LAPACK lists a pair as z, conj(z), but rounds each by itself: the first stands for both, so
    # that all that follows (infinite or not, near 0, copies, order) treats them alike.
    first = np.flatnonzero(top.imag > 0)
    top[first + 1], bottom[first + 1] = top[first].conj(), bottom[first].conj()
    at_infinity = np.abs(bottom) * norm <= 4 * k * np.finfo(float).eps * np.abs(top)
    near_zero = ~at_infinity & (np.abs(top) <= NEAR_ZERO * norm * np.abs(bottom))
    if near_zero.any():
        root, norm = scale * np.abs(top[near_zero] / bottom[near_zero]).min(), scale * norm
        raise ValueError(
            f"a harmonic Ritz value, {root:.1e}, is near 0 beside the operator's norm {norm:.1e}:"
            " the operator is singular or nearly so on the Krylov space; project its nullspace out"
            " of operator and start, or take a lower degree"
        )
    values = scale * (top / np.where(at_infinity, 1.0, bottom))
    values[first + 1] = values[first].conj()
    return symmetrised(np.where(at_infinity, complex(np.inf, 0.0), values))


def _copies(values: NDArray[np.complex128]) -> tuple[tuple[complex, int], ...]:
    """(root, count) for every root r_k with log10 prod_{i != k} |1 - r_k/r_i| > 4; conjugates
    alike."""
    finite = values[np.isfinite(values)]
    # A root and its conjugate have the same product, but not the same rounding of it: the upper one
    # decides for both, so that no threshold falls between them.
    own = np.flatnonzero(finite.imag >= 0)
    upper = finite[own]
    with np.errstate(divide="ignore"):
        logs = np.log10(np.abs(1 - upper[:, None] / finite))
    logs[np.arange(own.size), own] = 0.0
    excess = logs.sum(axis=1) - COPY_THRESHOLD
    counts = np.ceil(np.maximum(excess, 0.0) / DIGITS_PER_COPY).astype(int)
    return tuple(
        (complex(z), int(count))
        for root, count in zip(upper, counts, strict=True)
        if count
        for z in ((root, root.conjugate()) if root.imag else (root,))
    )
