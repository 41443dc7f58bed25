"""Eigenvalues of a convolution as it is padded: all of a small dense matrix, else the outermost
ones by Arnoldi's method.

Krylov spaces are built in single precision, where torch's convolution is three times as fast: they
are stopped at a residual of a hundredth, far above its rounding. The spectral radius is then
evaluated in double precision from a right and a left vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from mgtheory.problems.symbols import high_frequencies
from nets.models.paddings import find_padding
from nets.start.threads import serial

# unknowns up to which all eigenvalues are computed at once, 0.06 s; farther on Arnoldi's method is
# faster (16 times at 1024), but gives the outermost ones alone
SMALL = 256
LARGEST = 1e30  # in single precision: far from its range, which powers of high degree go beyond
DENSE = 1024  # unknowns up to which all are computed where they are asked for: about a second
DOUBLE = 1e-9  # relative accuracy to count on
# of Arnoldi's method at the first attempt; of six eigenvalues that converge to a hundredth the
# outermost are accurate to 1e-5 and better, and fewer missed it by 1e-3 on wide random levels
WANTED, BASIS, TOLERANCE, RESTARTS = 6, 40, 1e-2, 40
# of q(A), beyond `DENSE`: max |q| and mu to a few thousandths, in half of the products
OF_Q = 2
ATTEMPTS = 3  # each with a basis twice as large
ACCEPTED = 1e-3  # relative difference of b from A and from its transpose

Vector = NDArray[Any]
Complex = NDArray[np.complex128]
Product = Callable[[Vector], Vector]


@dataclass(frozen=True, eq=False)
class Eigenvalues:
    """What was found of a spectrum.

    Attributes
    ----------
    measured
        Complex: all eigenvalues or the outermost ones, whichever is cheaper. Of shape (*grid, c)
        by frequency for periodic padding, else of shape (m,). Not to be written to.
    radius
        b, the largest modulus of an eigenvalue.
    complete
        Whether all eigenvalues are known, or cheap enough to be computed where they are asked for.
    found
        How, in words.
    accuracy
        Of the values, relative to the radius, where the eigenvectors are well conditioned.
    error
        Of the radius, relative: the rounding of a dense eigenproblem, or what two runs of Arnoldi's
        method differ by, again where the eigenvectors are well conditioned. It is one of the
        eigenvalue that was found: that none is larger cannot be proved by an iteration.

    Of few or depthwise channels on long grids the eigenvectors are not: the kernel is that of a
    Toeplitz matrix which is far from normal, and what rounding leaves are eigenvalues of a matrix
    beside it, between its own and the symbol's (21 % above b for one channel of three weights on
    400 points). By these, the pseudo-eigenvalues, its powers grow at first, not by its own.
    [Trefethen, Embree, Spectra and Pseudospectra, 2005, part II]
    """

    measured: Complex
    radius: float
    complete: bool
    found: str
    accuracy: float
    error: float


def product(
    kernel: NDArray[np.float64],
    grid: tuple[int, ...],
    padding: str,
    dtype: type[np.floating[Any]] = np.float64,
    *,
    transposed: bool = False,
) -> Product:
    """The convolution on fields of shape (..., channels * points of the grid), as torch's module,
    or its transpose, in the precision of `dtype`."""
    weight = torch.from_numpy(np.array(kernel, dtype=dtype))
    entry, channels = find_padding(padding), weight.shape[0]
    multiply = entry.transposed(weight) if transposed else lambda u: entry.convolve(u, weight)

    def apply(v: Vector) -> Vector:
        if np.iscomplexobj(v):
            return np.asarray(apply(np.real(v)) + 1j * apply(np.imag(v)))
        u = torch.from_numpy(np.array(v, dtype=dtype)).reshape(-1, channels, *grid)
        return np.asarray(multiply(u).reshape(np.shape(v)).numpy())

    return apply


def high_part(grid: tuple[int, ...], padding: str) -> Product:
    """The projection of fields of shape (..., channels * points of the grid) that takes out what is
    of low frequency along all axes."""
    low = []  # on each axis the orthogonal projection on the modes with |theta| < pi/2, symmetric
    for n in grid:
        theta, modes = find_padding(padding).modes(n)
        modes = modes[:, ~high_frequencies(theta[:, None])]
        low.append((modes @ modes.conj().T).real)

    def project(v: Vector) -> Vector:
        u = smooth = np.reshape(v, (-1, *grid))
        for axis, one in enumerate(low, start=1):
            along = np.moveaxis(smooth, axis, -1) @ one.astype(u.dtype)
            smooth = np.moveaxis(along, -1, axis)
        return np.asarray(np.reshape(u - smooth, v.shape))

    return project


def blocks(kernel: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Channels of the diagonal blocks of the kernel's block triangular form (its groups, if it has
    some): together their eigenvalues are those of A."""
    count, label = connected_components(
        (kernel != 0).any(axis=tuple(range(2, kernel.ndim))), directed=True, connection="strong"
    )
    return sorted((np.flatnonzero(label == i) for i in range(count)), key=lambda own: own[0])


def distinct_blocks(kernel: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The kernels of the blocks, equal ones once: a pure Laplacian's channels are one."""
    parts = [np.ascontiguousarray(kernel[np.ix_(own, own)]) for own in blocks(kernel)]
    return list({part.tobytes(): part for part in parts}.values())


def eigenvalues(
    kernel: NDArray[np.float64], grid: tuple[int, ...], padding: str = "zero"
) -> Eigenvalues:
    """All of them where the blocks are small together, else the outermost; shape (m,)."""
    n = sum((len(part) * math.prod(grid)) ** 3 for part in distinct_blocks(kernel)) ** (1 / 3)
    if n > SMALL:
        measured, radius, error = _radius(kernel, grid, padding)
        found = f"Arnoldi's method on A and its transpose, {measured.size} outermost eigenvalues"
        accuracy = DOUBLE if n <= DENSE else TOLERANCE
        return Eigenvalues(measured, radius, n <= DENSE, found, accuracy, error)
    values = all_eigenvalues(kernel, grid, padding)
    found = f"all {values.size} eigenvalues of the matrix"
    return Eigenvalues(values, float(np.abs(values).max()), True, found, DOUBLE, DOUBLE)


def all_eigenvalues(kernel: NDArray[np.float64], grid: tuple[int, ...], padding: str) -> Complex:
    """Those of the matrix, shape (channels * points of the grid,); equal blocks are solved once."""
    solved = {
        part.tobytes(): dense_eigenvalues(product(part, grid, padding), len(part) * math.prod(grid))
        for part in distinct_blocks(kernel)
    }
    return np.concatenate([solved[kernel[np.ix_(own, own)].tobytes()] for own in blocks(kernel)])


def dense_eigenvalues(apply: Product, n: int) -> Complex:
    """All eigenvalues of the real n x n matrix that `apply` multiplies the rows of an array by."""
    matrix = torch.from_numpy(np.ascontiguousarray(apply(np.eye(n))))
    return np.asarray(torch.linalg.eigvals(matrix).numpy())


def _radius(
    kernel: NDArray[np.float64], grid: tuple[int, ...], padding: str
) -> tuple[Complex, float, float]:
    """(outermost eigenvalues, spectral radius, its relative error).

    Arnoldi's method on A gives an eigenvalue with its right vector, on the transpose, from another
    start, one with its left vector u. Where the two are one eigenvalue, ``u.(A v) / u.v`` is better
    than both by the product of their errors; the error stated is the larger distance from it. Where
    they are not, one run missed the outermost eigenvalue and both are repeated on a larger basis.
    """
    n = kernel.shape[0] * math.prod(grid)
    A = product(kernel, grid, padding)
    single, transposed = (
        product(kernel, grid, padding, np.float32, transposed=way) for way in (False, True)
    )
    for attempt in range(ATTEMPTS):
        effort = 2**attempt
        right, V = outermost(single, n, "LM", effort=effort, seed=2 * attempt)
        left, U = outermost(transposed, n, "LM", effort=effort, seed=2 * attempt + 1)
        i, j = int(np.abs(right).argmax()), int(np.abs(left).argmax())
        v, u = V[:, i], U[:, j]
        if abs(left[j] - right[i]) > abs(left[j].conj() - right[i]):
            u = u.conj()
        moduli = np.abs([right[i], left[j]])
        radius = float(moduli.max())
        if abs(u @ v) > 1e-8:
            refined = (u @ A(v)) / (u @ v)
            if abs(abs(refined) - radius) <= ACCEPTED * radius:
                radius = float(abs(refined))
        error = float(np.abs(moduli - radius).max()) / radius if radius else 0.0
        if error <= ACCEPTED:
            break
    return np.concatenate([right, left]), radius, max(error, DOUBLE)


def spectral_radius(apply: Product, n: int) -> float:
    """The largest modulus of an eigenvalue of the real operator `apply` on vectors of length n (or
    on the rows of an array, where n is at most `SMALL`)."""
    with serial():
        if n <= SMALL:
            return float(np.abs(dense_eigenvalues(apply, n)).max())
        if n <= DENSE:
            values, _ = outermost(apply, n, "LM", dtype=np.float64, tolerance=0.1 * TOLERANCE)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                single = np.abs(apply(np.ones(n, np.float32))).max() < LARGEST
            dtype = np.float32 if single else np.float64
            values, _ = outermost(apply, n, "LM", wanted=OF_Q, dtype=dtype)
        return float(np.abs(values).max())


def outermost(
    apply: Product,
    n: int,
    which: str,
    *,
    wanted: int = WANTED,
    effort: int = 1,
    seed: int = 0,
    dtype: type[np.floating[Any]] = np.float32,
    tolerance: float = TOLERANCE,
) -> tuple[Complex, Complex]:
    """(eigenvalues, right vectors as columns) of some outermost eigenvalues by Arnoldi's method, to
    a relative residual of `tolerance`; `which` in the words of scipy's `eigs`.

    Those that converged are taken where not all did: the farthest out do so first.
    """
    start = np.random.default_rng(seed).standard_normal(n).astype(dtype)
    A = LinearOperator((n, n), matvec=apply, dtype=dtype)
    if not np.any(apply(start)):  # A = 0: the method has nothing to start from
        return np.zeros(1, complex), start[:, None] / np.linalg.norm(start) + 0j
    for attempt in range(ATTEMPTS):
        basis = min(BASIS * effort * 2**attempt, n)
        options = {"k": wanted, "ncv": basis, "tol": tolerance, "maxiter": RESTARTS, "v0": start}
        try:
            found = eigs(A, which=which, **options)
        except ArpackNoConvergence as stopped:
            found = stopped.eigenvalues, stopped.eigenvectors
        if len(found[0]):
            return np.asarray(found[0], complex), np.asarray(found[1], complex)
    raise ValueError(
        f"Arnoldi's method found no outermost eigenvalue of an operator of {n} unknowns;"
        " take padding=periodic, whose spectrum is exact"
    )
