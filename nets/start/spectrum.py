"""The spectrum of a level's convolution A as the network applies it: with its padding, on its grid.

Zero padding: the eigenvalues of the n x n matrix of A, n = channels * height * width, all of them
where a dense eigenproblem is cheap (`DENSE`), else the outermost ones by Arnoldi's method, which
is enough for the three numbers that a start needs:

- b, the spectral radius, from A and from its transpose, two runs that check one another;
- the least real part;
- max |q| over the spectrum, which is the spectral radius of q(A) and is found as such.

Periodic padding: all eigenvalues, from one c x c eigenproblem a frequency.

The **smoothing factor** mu is what a perfect coarse level leaves of one smoothing: the spectral
radius of ``P q(A)``, where P takes the low frequencies out. With periodic padding the frequencies
are Fourier's and mu is the classical one, the largest |q| on the high frequencies. With zero
padding they are those of the sines ``sin(theta_1 y) sin(theta_2 x)``, theta = j pi / (n + 1), which
are the modes of a Laplacian with zero padding; low where both are below pi/2. On 1 x 1 nothing is
low, and mu is max |q|. Where A is a Laplacian both are exact; a general A mixes the sines.

The **symbol** is the periodic operator with the same kernel on at least 16 points an axis. It shows
what a smoothing leaves of each frequency, away from the border. On a small grid zero padding makes
b smaller than the symbol's, by up to a factor 4 on 1 x 1, where only the centre tap acts. The
symbol's eigenvalues are not those of A, but part of its pseudospectrum: A is not normal, and a q
that is small on its spectrum may amplify for a few steps.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs
from threadpoolctl import threadpool_limits
from torch import Tensor

from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import grid_frequencies, mirrored, symbol

PADDINGS = ("zero", "periodic")
SYMBOL = "symbol"  # periodic, without the second pass that gives the radius in double precision
MINIMUM_GRID = 16  # points per axis of a symbol at least: on fewer the samples miss the extremes
# unknowns up to which all eigenvalues are computed: about a second; Arnoldi's method needs less
# from about 500 on, but gives the outermost ones alone
DENSE = 1024
NARROW = 64  # channels of a block up to which a symbol is measured in double precision
# relative accuracies to count on; random starts of 256 channels came to 5e-6 in single precision
DOUBLE, SINGLE = 1e-9, 1e-5
# of Arnoldi's method at the first attempt; of six eigenvalues that converge to a hundredth the
# outermost are accurate to 1e-5 and better, and fewer missed it by 1e-3 on wide random levels
WANTED, BASIS, TOLERANCE, RESTARTS = 6, 40, 1e-2, 40
ATTEMPTS = 3  # each with a basis twice as large
ACCEPTED = 1e-3  # relative difference of b from A and from its transpose
REMEMBERED = 32  # spectra of at most about 1 MiB each for the published models

Vector = NDArray[np.float64]
Complex = NDArray[np.complex128]
Product = Callable[[Vector], Vector]


@dataclass(frozen=True, eq=False)
class LevelSpectrum:
    """Eigenvalues of one convolution on one grid.

    Attributes
    ----------
    kernel
        Shape (c, c, k, k), torch layout; groups are written out as zeros.
    grid, padding
        (height, width), and "zero" or "periodic".
    values
        Complex; of shape (height, width, c) by frequency for periodic padding, else of shape (m,).
        Not to be written to.
    radius
        b, the largest modulus of an eigenvalue.
    complete
        Whether `values` are all eigenvalues; else they are the outermost ones that were found.
    found
        How, in words.
    accuracy
        Of the values, relative to the radius, where the eigenvectors are well conditioned.
    error
        Of the radius, relative: the rounding of a dense eigenproblem, or what two runs of Arnoldi's
        method differ by. It is one of the eigenvalue that was found: that none is larger cannot be
        proved by an iteration.
    """

    kernel: NDArray[np.float64]
    grid: tuple[int, int]
    padding: str
    values: Complex
    radius: float
    complete: bool
    found: str
    accuracy: float
    error: float

    def apply(self, u: NDArray[Any]) -> NDArray[Any]:
        """A u for real fields u of shape (..., channels * height * width), float64."""
        return product(self.kernel, self.grid, self.padding)(u)

    @cached_property
    def operator(self) -> LinearOperator:
        """A on vectors of channels * height * width."""
        n = self.kernel.shape[0] * math.prod(self.grid)
        return LinearOperator((n, n), matvec=self.apply, dtype=float)

    @cached_property
    def least_real(self) -> float:
        """The smallest real part of an eigenvalue."""
        return float(self.left.real.min())

    @cached_property
    def left(self) -> Complex:
        """The eigenvalues, or those found with the smallest real parts."""
        return self._ends("SR")

    @cached_property
    def right(self) -> Complex:
        """The eigenvalues, or those found with the largest real parts."""
        return self._ends("LR")

    def _ends(self, which: str) -> Complex:
        if self.complete:
            return self.values.ravel()
        with _serial():
            return np.concatenate([_outermost(self.operator, which)[0], self.values])

    @property
    def is_positive(self) -> bool:
        """Whether the eigenvalues that are known are real and not negative, up to rounding: the
        home ground of the classical families."""
        tolerance = (1e-10 if self.complete else TOLERANCE) * max(self.radius, 1e-300)
        return bool(
            (np.abs(self.values.imag) <= tolerance).all() and self.left.real.min() >= -tolerance
        )

    def max_modulus(self, q: ResidualPolynomial) -> float:
        """max |q| over the spectrum: over all eigenvalues, or the spectral radius of q(A) by
        Arnoldi's method."""
        largest = float(np.abs(q(self.values)).max())
        return largest if self.complete else max(largest, self._radius_of(q, np.asarray))

    def smoothing_factor(self, q: ResidualPolynomial) -> float:
        """mu: the spectral radius of P q(A), where P takes the low frequencies out."""
        if self.padding == "periodic":
            return float(self.modulus(q)[self.high].max(initial=0.0))
        return self._radius_of(q, high_part(self.grid, self.padding))

    def _radius_of(self, q: ResidualPolynomial, after: Product) -> float:
        """The spectral radius of ``after`` q(A); of each block by itself where all are small."""
        kernels = _distinct_blocks(self.kernel) if self.complete else [self.kernel]
        return max(
            spectral_radius(
                _residual(q, product(kernel, self.grid, self.padding), after),
                len(kernel) * math.prod(self.grid),
            )
            for kernel in kernels
        )

    @property
    def symbol(self) -> LevelSpectrum:
        """The periodic operator with this kernel, on at least `MINIMUM_GRID` points an axis."""
        height, width = (max(MINIMUM_GRID, n) for n in self.grid)
        if self.padding == "periodic" and self.grid == (height, width):
            return self
        return convolution_spectra([(self.kernel, (height, width), SYMBOL)])[0]

    @property
    def theta(self) -> NDArray[np.float64]:
        """The frequencies in (-pi, pi] of a periodic operator, shape (height, width, 2)."""
        return grid_frequencies(self.grid)

    @property
    def high(self) -> NDArray[np.bool_]:
        """Where some |theta_j| >= pi/2, shape (height, width)."""
        return high_frequencies(self.theta)

    def modulus(self, q: ResidualPolynomial) -> NDArray[np.float64]:
        """Spectral radius of q(Ahat(theta)), shape (height, width), of a periodic operator."""
        return np.asarray(np.abs(q(self.values)).max(axis=-1))


def high_frequencies(theta: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where some |theta_j| >= pi/2, ends included up to rounding."""
    return np.asarray((np.abs(np.asarray(theta)) >= np.pi / 2 - 1e-12).any(axis=-1))


def convolution_spectrum(
    kernel: NDArray[np.float64], grid: Sequence[int], *, padding: str = "zero"
) -> LevelSpectrum:
    """The spectrum of the convolution with `kernel` (c, c, k, k) on a grid (height, width)."""
    return convolution_spectra([(kernel, grid, padding)])[0]


def convolution_spectra(
    asked: Sequence[tuple[NDArray[np.float64], Sequence[int], str]],
) -> list[LevelSpectrum]:
    """The spectra of several (kernel, grid, padding).

    The work is shared among as many threads as torch is set to; the newest `REMEMBERED` spectra
    are kept, so that runs of one seed that differ in their scheme or placement measure A once.
    """
    for _, _, padding in asked:
        if padding not in (*PADDINGS, SYMBOL):
            raise ValueError(f"padding is {padding!r}, allowed are: {', '.join(PADDINGS)}")
    keys = [
        hashlib.sha256(
            repr((kernel.shape, tuple(grid), padding)).encode() + kernel.tobytes()
        ).digest()
        for kernel, grid, padding in asked
    ]
    kept = {key: _memory.pop(key, None) for key in dict.fromkeys(keys)}  # newest last
    found = {key: spectrum for key, spectrum in kept.items() if spectrum is not None}
    missing = {
        key: (np.array(kernel, dtype=float), (int(grid[0]), int(grid[1])))
        for key, (kernel, grid, padding) in zip(keys, asked)
        if key not in found and padding == "zero"
    }
    found |= dict(zip(missing, _in_threads(lambda one: _applied(*one), list(missing.values()))))
    for key, (kernel, grid, padding) in zip(keys, asked):
        if key not in found:  # shares its frequencies among the threads
            own = np.array(kernel, dtype=float), (int(grid[0]), int(grid[1]))
            found[key] = _periodic(*own, extremes=padding != SYMBOL)
    _memory.update(found)
    while len(_memory) > REMEMBERED:
        _memory.popitem(last=False)
    return [found[key] for key in keys]


_memory: OrderedDict[bytes, LevelSpectrum] = OrderedDict()


@contextmanager
def _serial() -> Iterator[None]:
    """One thread for torch and for numpy's BLAS, whose threads would wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(threads)


def _in_threads(work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """The work on each item, shared among as many threads as torch is set to, each serial within.

    torch's LAPACK, because numpy's may be one whose threads wait for those of the pool (30 times
    slower on two cores); those of numpy's BLAS, which makes the symbols, would wait likewise. Each
    worker sets torch's limit itself: a new thread starts with OpenMP's default and takes over the
    limit only at its first large torch operation.
    """
    threads = torch.get_num_threads()
    with (
        _serial(),
        ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        return list(pool.map(work, items))


class _Rows:
    """``A @ v`` for the rows of an array."""

    def __init__(self, apply: Product) -> None:
        self.apply = apply

    def __matmul__(self, v: Vector) -> Vector:
        return self.apply(v)


def _residual(q: ResidualPolynomial, apply: Product, after: Product) -> Product:
    """v -> after(q(A) v)."""
    A = _Rows(apply)
    return lambda v: after(v - A @ q.apply(A, v))


def high_part(grid: tuple[int, int], padding: str) -> Product:
    """The projection of fields of shape (..., channels * height * width) that takes out what is of
    low frequency along both axes."""
    low_y, low_x = (_low_frequencies(n, padding) for n in grid)

    def project(v: Vector) -> Vector:
        u = np.reshape(v, (-1, *grid))
        return np.asarray(np.reshape(u - low_y @ u @ low_x, np.shape(v)))

    return project


def _low_frequencies(n: int, padding: str) -> NDArray[np.float64]:
    """The orthogonal projection on the modes of n points with |theta| < pi/2, symmetric."""
    x = np.arange(n)
    if padding == "periodic":
        theta = grid_frequencies(n)[:, 0]
        modes = np.exp(1j * np.outer(x, theta[np.abs(theta) < np.pi / 2 - 1e-12])) / math.sqrt(n)
    else:
        theta = np.pi * (x + 1) / (n + 1)
        modes = np.sin(np.outer(x + 1, theta[theta < np.pi / 2 - 1e-12])) * math.sqrt(2 / (n + 1))
    return np.asarray((modes @ modes.conj().T).real)


# ------------------------------------------------------------------ zero padding, on the own grid


def product(kernel: NDArray[np.float64], grid: tuple[int, int], padding: str) -> Product:
    """The convolution on fields of shape (..., channels * height * width), as torch's module."""
    weight = torch.from_numpy(np.array(kernel, dtype=float))
    channels, (kh, kw) = weight.shape[0], (weight.shape[2] // 2, weight.shape[3] // 2)

    def apply(v: Vector) -> Vector:
        u = torch.from_numpy(np.array(v, dtype=float)).reshape(-1, channels, *grid)
        if padding == "periodic":
            u = torch.nn.functional.pad(u, (kw, kw, kh, kh), mode="circular")
            result = torch.nn.functional.conv2d(u, weight)
        else:
            result = torch.nn.functional.conv2d(u, weight, padding=(kh, kw))
        return np.asarray(result.reshape(np.shape(v)).numpy())

    return apply


def _blocks(kernel: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Channels of the diagonal blocks of the kernel's block triangular form (its groups, if it has
    some): together their eigenvalues are those of A."""
    count, label = connected_components(
        (kernel != 0).any(axis=(2, 3)), directed=True, connection="strong"
    )
    return sorted((np.flatnonzero(label == i) for i in range(count)), key=lambda own: own[0])


def _distinct_blocks(kernel: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The kernels of the blocks, equal ones once: a pure Laplacian's channels are one."""
    parts = [np.ascontiguousarray(kernel[np.ix_(own, own)]) for own in _blocks(kernel)]
    return list({part.tobytes(): part for part in parts}.values())


def _applied(kernel: NDArray[np.float64], grid: tuple[int, int]) -> LevelSpectrum:
    cells = math.prod(grid)
    distinct = _distinct_blocks(kernel)
    if sum((len(part) * cells) ** 3 for part in distinct) <= DENSE**3:
        solved = {
            part.tobytes(): dense_eigenvalues(product(part, grid, "zero"), len(part) * cells)
            for part in distinct
        }
        values = np.concatenate(
            [solved[kernel[np.ix_(own, own)].tobytes()] for own in _blocks(kernel)]
        )
        radius, complete, accuracy, error = float(np.abs(values).max()), True, DOUBLE, DOUBLE
        found = f"all {values.size} eigenvalues of the matrix"
    else:
        values, radius, error = _radius(kernel, grid)
        complete, accuracy = False, TOLERANCE
        found = f"Arnoldi's method on A and its transpose, {values.size} outermost eigenvalues"
    values.setflags(write=False)
    return LevelSpectrum(kernel, grid, "zero", values, radius, complete, found, accuracy, error)


def dense_eigenvalues(apply: Product, n: int) -> Complex:
    """All eigenvalues of the real n x n matrix that `apply` multiplies the rows of an array by."""
    matrix = torch.from_numpy(np.ascontiguousarray(apply(np.eye(n))))
    return np.asarray(torch.linalg.eigvals(matrix).numpy())


def _radius(kernel: NDArray[np.float64], grid: tuple[int, int]) -> tuple[Complex, float, float]:
    """(outermost eigenvalues, spectral radius, its relative error).

    Arnoldi's method on A gives an eigenvalue with its right vector, on the transpose, from another
    start, one with its left vector u. Where the two are one eigenvalue, ``u.(A v) / u.v`` is better
    than both by the product of their errors; the error stated is the larger distance from it. Where
    they are not, one run missed the outermost eigenvalue and both are repeated on a larger basis.
    """
    n = kernel.shape[0] * math.prod(grid)
    A, transposed = (
        LinearOperator((n, n), matvec=product(weights, grid, "zero"), dtype=float)
        for weights in (kernel, kernel.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])
    )
    for attempt in range(ATTEMPTS):
        effort = 2**attempt
        right, V = _outermost(A, "LM", effort=effort, seed=2 * attempt)
        left, U = _outermost(transposed, "LM", effort=effort, seed=2 * attempt + 1)
        i, j = int(np.abs(right).argmax()), int(np.abs(left).argmax())
        v, u = V[:, i], U[:, j]
        if abs(left[j] - right[i]) > abs(left[j].conj() - right[i]):
            u = u.conj()
        moduli = np.abs([right[i], left[j]])
        radius = float(moduli.max())
        if abs(u @ v) > 1e-8:
            refined = (u @ (A @ v.real + 1j * (A @ v.imag))) / (u @ v)
            if abs(abs(refined) - radius) <= ACCEPTED * radius:
                radius = float(abs(refined))
        error = float(np.abs(moduli - radius).max()) / radius if radius else 0.0
        if error <= ACCEPTED:
            break
    return np.concatenate([right, left]), radius, max(error, DOUBLE)


def spectral_radius(apply: Product, n: int) -> float:
    """The largest modulus of an eigenvalue of the real operator `apply` on vectors of length n (or
    on the rows of an array, where n is at most `DENSE`)."""
    with _serial():
        if n <= DENSE:
            return float(np.abs(dense_eigenvalues(apply, n)).max())
        return float(np.abs(_outermost(LinearOperator((n, n), apply, dtype=float), "LM")[0]).max())


def _outermost(
    A: LinearOperator, which: str, *, effort: int = 1, seed: int = 0
) -> tuple[Complex, Complex]:
    """(eigenvalues, right vectors as columns) of some outermost eigenvalues by Arnoldi's method.

    Those that converged are taken where not all did: the farthest out do so first.
    """
    start = np.random.default_rng(seed).standard_normal(A.shape[0])
    if not np.any(A @ start):  # A = 0: the method has nothing to start from
        return np.zeros(1, complex), start[:, None] / np.linalg.norm(start) + 0j
    for attempt in range(ATTEMPTS):
        more = effort * 2**attempt
        try:
            values, vectors = eigs(
                A,
                k=WANTED,
                which=which,
                ncv=min(BASIS * more, A.shape[0]),
                tol=TOLERANCE,
                maxiter=RESTARTS,
                v0=start,
            )
            return np.asarray(values, complex), np.asarray(vectors, complex)
        except ArpackNoConvergence as stopped:
            if len(stopped.eigenvalues):
                return (
                    np.asarray(stopped.eigenvalues, complex),
                    np.asarray(stopped.eigenvectors, complex),
                )
    raise ValueError(
        f"Arnoldi's method found no outermost eigenvalue of an operator of {A.shape[0]} unknowns;"
        " take padding=periodic, whose spectrum is exact"
    )


# --------------------------------------------------------------------- periodic padding, by symbols


def _periodic(
    kernel: NDArray[np.float64], grid: tuple[int, int], *, extremes: bool = True
) -> LevelSpectrum:
    """One eigenproblem of the block's width per frequency and block of channels.

    Those of `mgtheory.problems.symbols.channel_eigenvalues`. Of theta and -theta one is solved, the
    other is its conjugate. Blocks wider than `NARROW` are solved in single precision first, in
    double where theta = -theta, and with `extremes` again in double where the largest modulus or
    the least real part may lie.
    """
    theta = grid_frequencies(grid).reshape(-1, 2)
    index = np.arange(len(theta))
    partner = mirrored(grid)  # where -theta stands
    # theta = -theta modulo 2 pi: a real symbol
    own, pairs = np.flatnonzero(index == partner), np.flatnonzero(index < partner)
    values = np.empty((len(theta), kernel.shape[0]), complex)
    widest, solved = 1, dict[bytes, Complex]()
    for channels in _blocks(kernel):
        part = np.ascontiguousarray(kernel[np.ix_(channels, channels)])
        width, key = len(channels), part.tobytes()
        if key not in solved:
            solved[key] = found = np.empty((len(theta), width), complex)
            stencil = Stencil.from_array(part, channels=True)
            found[own] = _symbol_eigenvalues(stencil, theta[own], real=True)
            found[pairs] = _symbol_eigenvalues(stencil, theta[pairs], single=width > NARROW)
            if width > NARROW and extremes:
                size, left = np.abs(found[pairs]).max(axis=1), found[pairs].real.min(axis=1)
                margin = 1e-3 * size.max()
                extreme = pairs[(size > size.max() - margin) | (left < left.min() + margin)]
                found[extreme] = _symbol_eigenvalues(stencil, theta[extreme])
            found[partner[pairs]] = found[pairs].conj()
        values[:, channels] = solved[key]
        widest = max(widest, width)
    values.setflags(write=False)
    return LevelSpectrum(
        kernel,
        grid,
        "periodic",
        values.reshape(*grid, -1),
        radius=float(np.abs(values).max()),
        complete=True,
        found="all eigenvalues, by Fourier symbols",
        accuracy=SINGLE if widest > NARROW else DOUBLE,
        error=DOUBLE if extremes or widest <= NARROW else SINGLE,
    )


def _symbol_eigenvalues(
    stencil: Stencil, theta: NDArray[np.float64], *, real: bool = False, single: bool = False
) -> Complex:
    """Of the symbol at every theta, shape (len(theta), channels)."""
    if not len(theta):
        return np.empty((0, stencil.channels), complex)
    size = max(
        1, min(2**21 // stencil.channels**2, -(-len(theta) // (4 * torch.get_num_threads())))
    )

    def solve(start: int) -> Tensor:
        matrices = torch.from_numpy(symbol(stencil, theta[start : start + size]))
        matrices = matrices.real.contiguous() if real else matrices
        found: Tensor = torch.linalg.eigvals(matrices.to(torch.complex64) if single else matrices)
        return found

    parts = _in_threads(solve, range(0, len(theta), size))
    return np.asarray(torch.cat(parts).to(torch.complex128).numpy())
