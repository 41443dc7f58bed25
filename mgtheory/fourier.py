"""Local Fourier analysis: smoothing, two-grid and three-grid factors of any stencil and smoother, in 1, 2 and 3 dimensions.

On an infinite grid a constant-coefficient operator multiplies exp(i theta.x) by its symbol; smoothing and coarse-grid correction
couple only the harmonics that a coarser grid cannot tell apart, so the whole cycle is a small matrix for each theta. A **factor** is
the largest spectral radius of these matrices over the sampled theta: the asymptotic factor by which one cycle shrinks the error. The
spectral norm stands beside it. Sources: Brandt 1977; Stueben, Trottenberg 1982; Trottenberg, Oosterlee, Schueller 2001; Wienands,
Joppich 2005.

Everything is on the h = 1 scale, as are the roots of a polynomial smoother: the 5-point Laplacian has the spectrum [0, 8]. High
frequencies have some |theta_j| >= pi/2, ends included; sample counts that are multiples of 4 contain these ends and pi exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mgtheory.relaxation import GaussSeidel, Jacobi, Polynomial, Relaxation, as_relaxation
from mgtheory.stencils import Stencil
from mgtheory.symbols import Complex, Float, channel_eigenvalues, grid_frequencies, spectral_radius, symbol, the_stencil

SAMPLES = {1: 256, 2: 64, 3: 32}  # frequencies an axis, by dimension

__all__ = [
    "FourierFactor",
    "GaussSeidel",
    "Jacobi",
    "Polynomial",
    "channel_eigenvalues",
    "grid_frequencies",
    "smoothing_factor",
    "symbol",
]


@dataclass(frozen=True, eq=False)
class FourierFactor:
    """A convergence factor, where it is attained, and the damping of every sampled frequency.

    Attributes
    ----------
    factor
        Largest spectral radius over the samples (per step, for a smoothing factor).
    norm
        Largest spectral norm of the same matrices; `inf` where it grows without bound as theta -> 0.
    frequency
        The theta at which `factor` is attained, in radians.
    frequencies
        The sampled theta, shape (*grid, d), ascending in (-pi, pi] (smoothing) or (-pi/n, pi/n] (n grid points of the finest level
        for each of the coarsest, along an axis).
    damping
        Shape (*grid). Smoothing: what one step leaves of each mode, its spectral radius, or the norm of its image if modes are
        coupled. Cycles: the spectral radius on the harmonics of each base frequency.
    high
        Shape (*grid): the frequencies over which `factor` is taken.
    """

    factor: float
    norm: float
    frequency: tuple[float, ...]
    frequencies: Float
    damping: Float
    high: npt.NDArray[np.bool_]

    def __float__(self) -> float:
        return self.factor


def sample_shape(samples: int | Sequence[int] | None, dim: int, multiple: int = 1) -> tuple[int, ...]:
    """Sample counts per axis from one number, one per axis, or None for the default of `SAMPLES`."""
    given = SAMPLES[dim] if samples is None else samples
    shape = (int(given),) * dim if isinstance(given, int | np.integer) else tuple(int(n) for n in given)
    if len(shape) != dim or any(n < 2 or n % multiple for n in shape):
        raise ValueError(
            f"samples must be an integer, or {dim} of them, each a multiple of {max(multiple, 1)} and at least 2; got {samples}"
        )
    return shape


def high_frequencies(theta: Float) -> npt.NDArray[np.bool_]:
    """Whether some |theta_j| >= pi/2, to rounding: shape theta.shape[:-1]."""
    return np.asarray((np.abs(theta) >= np.pi / 2 - 1e-12).any(axis=-1))


def smoothing_factor(
    operator: Any,
    smoother: Any,
    *,
    steps: int = 1,
    scaling: str = "identity",
    samples: int | Sequence[int] | None = None,
) -> FourierFactor:
    """mu = sup over high frequencies of the spectral radius of the smoother's symbol, q(Ahat(theta)) for a polynomial.

    Parameters
    ----------
    operator
        A `Stencil`, a problem with one, or a centred odd array.
    smoother
        A `ResidualPolynomial` with roots on the h = 1 scale, a name (`jacobi`, `gauss-seidel`, `red-black`) or a smoother object.
    steps
        Steps taken before the low frequencies are removed; the factor is per step. It matters for red-black alone, where it is
        (rho(Q S^steps))^(1/steps) with the projection Q onto high frequencies.
    scaling
        B of a polynomial in BA: `identity`, or `diagonal` for its inverse.
    samples
        Frequencies per axis, 2 pi m / n in (-pi, pi]; multiples of 4 contain the ends pi/2 and pi.

    Examples
    --------
    >>> from mgtheory.stencils import laplacian
    >>> round(smoothing_factor(laplacian(2), Jacobi(0.8)).factor, 12)
    0.6
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    stencil, relaxation = the_stencil(operator), as_relaxation(smoother, scaling)
    theta = grid_frequencies(sample_shape(samples, stencil.dim))
    flat = theta.reshape(-1, stencil.dim)
    high = high_frequencies(flat)
    radius, norm, damping = (_coupled if relaxation.couples else _uncoupled)(stencil, relaxation, flat, high, steps)
    worst = int(np.argmax(np.where(high, radius, -1.0)))
    grid = theta.shape[:-1]
    return FourierFactor(
        float(radius[worst]), float(norm[high].max()), tuple(flat[worst].tolist()), theta, damping.reshape(grid), high.reshape(grid)
    )


def _uncoupled(stencil: Stencil, relaxation: Relaxation, theta: Float, high: Any, steps: int) -> tuple[Float, Float, Float]:
    symbols = relaxation.symbols(stencil, theta, np.zeros((1, stencil.dim), np.int64), 2)[:, 0]
    radius = spectral_radius(symbols)
    return radius, spectral_norm(symbols), radius


def _coupled(stencil: Stencil, relaxation: Relaxation, theta: Float, high: Any, steps: int) -> tuple[Float, Float, Float]:
    """Pairs theta, theta + (pi, ..., pi), the low one of which Q removes."""
    turns = np.stack([np.zeros(stencil.dim, np.int64), np.ones(stencil.dim, np.int64)])
    step = relaxation.symbols(stencil, theta, turns, 2)
    partner = np.where(theta > 1e-12, theta - np.pi, theta + np.pi)
    kept = np.repeat(np.stack([high, high_frequencies(partner)], axis=1), stencil.channels, axis=1)
    projected = np.linalg.matrix_power(step, steps) * kept[:, :, None]
    image = spectral_norm(step[:, :, : stencil.channels])
    return spectral_radius(projected) ** (1 / steps), spectral_norm(projected) ** (1 / steps), image


def spectral_norm(matrices: Complex) -> Float:
    """Largest singular value of each matrix of a stack; infinite where an entry is not finite."""
    if matrices.shape[-2:] == (1, 1):
        return spectral_radius(matrices)
    finite = np.isfinite(matrices).all(axis=(-2, -1))
    safe = matrices if finite.all() else np.where(finite[..., None, None], matrices, 0.0)
    return np.where(finite, np.linalg.norm(safe, 2, axis=(-2, -1)), np.inf)
