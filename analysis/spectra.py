"""Eigenvalues of a level's convolution on the periodic grid, and what a level's smoothing does to
each Fourier mode.

A convolution of c channels with periodic padding is block diagonal in the Fourier basis: one c x c
matrix ``Ahat(theta)`` for each frequency. Its eigenvalues are the operator's spectrum; a smoothing
with the polynomial q multiplies the modes of frequency theta by ``q(Ahat(theta))``. With batch
norms folded in (`coefficients.folded`), each step is a c x c matrix of its own and the product of
the steps takes the place of q. High frequencies: some |theta_j| >= pi/2. Activations are taken as
the identity: this is the linear part.

Order everywhere: frequencies ascending in (-pi, pi] as in
`mgtheory.fourier.analysis.grid_frequencies`, axis 0 along H and axis 1 along W, eigenvalues of one
frequency last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory.fourier import channel_eigenvalues, grid_frequencies, symbol
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.stencils import Stencil

__all__ = [
    "NOT_A_SMOOTHER",
    "SMOOTHER",
    "Damping",
    "Spectrum",
    "convolution_spectrum",
    "damping",
    "half_plane",
    "matrix_symbol",
]

SMOOTHER, NOT_A_SMOOTHER = "smoother", "not a smoother"
CHUNK = 2**22  # complex numbers in one block of c x c symbols: 64 MiB


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues of a periodic convolution, shape (H, W, c), with the frequencies they belong to.

    Attributes
    ----------
    eigenvalues
        Complex, shape (H, W, c).
    theta
        Frequencies in (-pi, pi], shape (H, W, 2).
    """

    eigenvalues: NDArray[np.complex128]
    theta: NDArray[np.float64]

    @property
    def high(self) -> NDArray[np.bool_]:
        """Where some |theta_j| >= pi/2, shape (H, W)."""
        return high_frequencies(self.theta)

    @property
    def radius(self) -> float:
        """The spectral radius of the convolution: the largest modulus of an eigenvalue."""
        return float(np.abs(self.eigenvalues).max())

    @property
    def is_positive(self) -> bool:
        """Whether the spectrum is real and not negative, up to rounding: the home ground of the
        classical families."""
        tolerance = 1e-10 * max(self.radius, np.finfo(float).tiny)
        return bool(
            (np.abs(self.eigenvalues.imag) <= tolerance).all()
            and (self.eigenvalues.real >= -tolerance).all()
        )

    def modulus(self, q: ResidualPolynomial) -> NDArray[np.float64]:
        """Spectral radius of q(Ahat(theta)), shape (H, W): the largest |q| over the eigenvalues of
        each frequency."""
        return np.asarray(np.abs(q(self.eigenvalues)).max(axis=-1))


@dataclass(frozen=True, eq=False)
class Damping:
    """What one smoothing leaves of each Fourier mode.

    Attributes
    ----------
    radius
        Spectral radius of the smoothing's c x c matrix at each frequency, shape (H, W).
    norm
        Its 2-norm, shape (H, W), which a single smoothing may reach; None where it was not asked
        for.
    high
        The high frequencies, shape (H, W).
    """

    radius: NDArray[np.float64]
    high: NDArray[np.bool_]
    norm: NDArray[np.float64] | None = None

    @property
    def smoothing_factor(self) -> float:
        """mu: the largest spectral radius over the high frequencies."""
        return float(self.radius[self.high].max())

    @property
    def max_modulus(self) -> float:
        """The largest spectral radius over all frequencies: max |q| over the true spectrum."""
        return float(self.radius.max())

    @property
    def smoothing_norm(self) -> float | None:
        """The largest 2-norm over the high frequencies; it stands beside mu because c x c symbols
        are not normal."""
        return None if self.norm is None else float(self.norm[self.high].max())

    @property
    def verdict(self) -> str:
        """`smoother` where mu < 1, else the plain words `not a smoother`."""
        return SMOOTHER if self.smoothing_factor < 1.0 else NOT_A_SMOOTHER


def high_frequencies(theta: ArrayLike) -> NDArray[np.bool_]:
    """Where some |theta_j| >= pi/2, ends included up to rounding."""
    return np.asarray((np.abs(np.asarray(theta)) >= np.pi / 2 - 1e-12).any(axis=-1))


def matrix_symbol(
    kernel: NDArray[np.float64], theta: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Ahat(theta), shape (F, c, c) for theta of shape (F, 2) and a kernel of shape (c, c, k, k) in
    torch layout."""
    return symbol(Stencil.from_array(kernel, channels=True), theta).reshape(
        len(theta), *kernel.shape[:2]
    )


def half_plane(shape: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Flat indices of one frequency of each pair ±theta, and those of their partners: a real kernel
    needs half of the matrices."""
    index = np.arange(shape[0] * shape[1]).reshape(shape)
    partner = index[np.ix_(*[(2 * ((n - 1) // 2) - np.arange(n)) % n for n in shape])].ravel()
    kept = np.flatnonzero(index.ravel() <= partner)
    return kept, partner[kept]


def convolution_spectrum(kernel: NDArray[np.float64], shape: tuple[int, int]) -> Spectrum:
    """The eigenvalues of the periodic convolution with `kernel` (c, c, k, k) on a grid of `shape`:
    one c x c eigenproblem a frequency."""
    return Spectrum(channel_eigenvalues(kernel, shape), grid_frequencies(shape))


def damping(
    kernel: NDArray[np.float64],
    shape: tuple[int, int],
    propagate: Callable[[NDArray[np.complex128], NDArray[np.float64]], NDArray[np.complex128]],
    *,
    norms: bool = True,
    radii: bool = True,
) -> Damping:
    """Spectral radius and 2-norm, at each frequency, of the matrix that one smoothing multiplies
    the error by.

    Parameters
    ----------
    kernel, shape
        As in `convolution_spectrum`.
    propagate
        ``(Ahat (F, c, c), theta (F, 2)) -> E (F, c, c)``: the smoothing's matrix, as built by
        `coefficients.propagator`.
    norms, radii
        Whether the 2-norms and the spectral radii are computed; radii that are not are left at
        infinity.
    """
    theta = grid_frequencies(shape)
    radius, norm = np.full((2, shape[0] * shape[1]), np.inf)
    for here, there, symbols in _symbol_blocks(kernel, shape):
        matrices = propagate(symbols, theta.reshape(-1, 2)[here])
        if radii:
            radius[here] = np.abs(np.linalg.eigvals(matrices)).max(axis=-1)
            radius[there] = radius[here]
        if norms:
            norm[here] = np.linalg.norm(matrices, 2, axis=(-2, -1))
            norm[there] = norm[here]
    return Damping(
        radius.reshape(shape), high_frequencies(theta), norm.reshape(shape) if norms else None
    )


def _symbol_blocks(
    kernel: NDArray[np.float64], shape: tuple[int, int]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.complex128]]]:
    kept, partners = half_plane(shape)
    theta = grid_frequencies(shape).reshape(-1, 2)
    block = max(1, CHUNK // kernel.shape[0] ** 2)
    for start in range(0, len(kept), block):
        here = kept[start : start + block]
        yield here, partners[start : start + block], matrix_symbol(kernel, theta[here])
