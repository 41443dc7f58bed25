"""What a level's smoothing does to each Fourier mode, by the symbol of its convolution.

A convolution of c channels with periodic padding is block diagonal in the Fourier basis: one c x c
matrix ``Ahat(theta)`` for each frequency. A smoothing with the polynomial q multiplies the modes of
frequency theta by ``q(Ahat(theta))``. With batch norms folded in (`effective.propagator`), each
step is a c x c matrix of its own and the product of the steps takes the place of q. High
frequencies: some |theta_j| >= pi/2. Activations are taken as the identity: this is the linear part.

A network pads with zeros, where there are no such modes: maps over frequencies are the symbol's,
while b, max |q| and mu of a level are those of A as it is applied (`nets.start.spectrum`).

Order everywhere: frequencies ascending in (-pi, pi] as in
`mgtheory.fourier.grid_frequencies`, axis 0 along H and axis 1 along W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mgtheory.fourier import grid_frequencies, high_frequencies, symbol
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import mirrored
from nets.start.padded import LARGEST
from nets.start.periodic import NARROW

SMOOTHER, NOT_A_SMOOTHER = "smoother", "not a smoother"
# (Ahat (F, c, c), theta (F, 2)) -> E (F, c, c), the matrix of one smoothing
Propagator = Callable[[NDArray[np.complex128], NDArray[np.float64]], NDArray[np.complex128]]
CHUNK = 2**22  # complex numbers in one block of c x c symbols: 64 MiB


@dataclass(frozen=True, eq=False)
class Damping:
    """What one smoothing leaves of each Fourier mode.

    Attributes
    ----------
    radius
        Spectral radius of the smoothing's c x c matrix at each frequency, shape (H, W).
    norm
        Its 2-norm, shape (H, W), which a single smoothing may reach.
    high
        The high frequencies, shape (H, W).
    """

    radius: NDArray[np.float64]
    high: NDArray[np.bool_]
    norm: NDArray[np.float64]

    @property
    def smoothing_factor(self) -> float:
        """mu: the largest spectral radius over the high frequencies."""
        return float(self.radius[self.high].max())

    @property
    def smoothing_norm(self) -> float:
        """The largest 2-norm over the high frequencies; it stands beside mu because c x c symbols
        are not normal."""
        return float(self.norm[self.high].max())


def verdict_of(smoothing_factor: float) -> str:
    """`smoother` where mu < 1, else the plain words `not a smoother`."""
    return SMOOTHER if smoothing_factor < 1.0 else NOT_A_SMOOTHER


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
    partner = mirrored(shape)
    kept = np.flatnonzero(np.arange(len(partner)) <= partner)
    return kept, partner[kept]


def damping(
    kernel: NDArray[np.float64],
    shape: tuple[int, int],
    propagate: Propagator,
    *,
    radius: NDArray[np.float64] | None = None,
) -> Damping:
    """Spectral radius and 2-norm, at each frequency, of the matrix that one smoothing multiplies
    the error by.

    Parameters
    ----------
    kernel, shape
        (c, c, k, k) in torch layout, and the periodic grid.
    propagate
        The smoothing's matrix, as built by `effective.propagator`.
    radius
        The spectral radii where they are known, shape (H, W); else they are computed.
    """
    theta, flat = grid_frequencies(shape), grid_frequencies(shape).reshape(-1, 2)
    radii, norm = np.empty((2, len(flat)))
    kept, partners = half_plane(shape)
    block = max(1, CHUNK // kernel.shape[0] ** 2)
    # wide ones in half of the time, to 1e-5, as their eigenvalues are
    kinds = (np.complex64, np.complex128)[kernel.shape[0] <= NARROW :]
    for start in range(0, len(kept), block):
        here, there = kept[start : start + block], partners[start : start + block]
        for kind in kinds:  # powers of high degree go beyond single precision
            with np.errstate(over="ignore", invalid="ignore"):
                matrices = propagate(matrix_symbol(kernel, flat[here]).astype(kind), flat[here])
            if np.abs(matrices).max() < LARGEST:
                break
        if not np.isfinite(matrices).all():
            raise ValueError("one pass over the steps amplifies beyond the range of numbers")
        norm[here] = norm[there] = np.linalg.norm(matrices, 2, axis=(-2, -1))
        if radius is None:
            values = torch.linalg.eigvals(torch.from_numpy(matrices))
            radii[here] = radii[there] = values.abs().amax(dim=-1).numpy()
    radius = radii.reshape(shape) if radius is None else radius
    return Damping(radius, high_frequencies(theta), norm.reshape(shape))
