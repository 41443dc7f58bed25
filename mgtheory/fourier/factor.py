"""What Fourier analysis finds: a factor, where it is attained, and the damping of every frequency
that was sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mgtheory._checks import check_shape
from mgtheory._frozen import ReadOnlyArrays
from mgtheory._html import html_table
from mgtheory.problems.symbols import Complex, Float, spectral_radius

SAMPLES = {1: 256, 2: 64, 3: 32}  # frequencies an axis, by dimension
WAVE, MOST = 6, 2**18  # frequencies an axis for each degree of a polynomial, in all at most


@dataclass(frozen=True, eq=False)
class FourierFactor(ReadOnlyArrays):
    """A convergence factor, where it is attained, and the damping of every sampled frequency.

    Attributes
    ----------
    factor
        Largest spectral radius over the samples (per step, for a smoothing factor).
    norm
        Largest spectral norm of the same matrices; `inf` where it grows without bound as theta ->
        0.
    frequency
        The theta at which `factor` is attained, in radians.
    frequencies
        The sampled theta, shape (*grid, d), ascending in (-pi, pi] (smoothing) or (-pi/n, pi/n] (n
        grid points of the finest level for each of the coarsest, along an axis).
    damping
        Shape (*grid). Smoothing: what one step leaves of each mode, its spectral radius, or the
        norm of its image if modes are coupled. Cycles: the spectral radius on the harmonics of each
        base frequency.
    high
        Shape (*grid): the frequencies over which `factor` is taken.
    direction
        The unit vector along which theta -> 0 where the factor is such a limit, if it was searched
        for; else None.
    """

    factor: float
    norm: float
    frequency: tuple[float, ...]
    frequencies: Float = field(repr=False)
    damping: Float = field(repr=False)
    high: npt.NDArray[np.bool_] = field(repr=False)
    direction: tuple[float, ...] | None = None

    def __float__(self) -> float:
        return self.factor

    def _repr_html_(self) -> str:
        """In notebooks, without the samples."""
        theta = ", ".join(f"{t / np.pi:.3g} π" for t in self.frequency)
        places = "" if self.direction is None else ", a limit θ → 0"
        row = [f"{self.factor:.4g}", f"{self.norm:.4g}", f"({theta}){places}", self.damping.size]
        return html_table(["factor", "norm", "attained at θ", "frequencies"], [row])


def sample_shape(
    samples: int | Sequence[int] | None, dim: int, smoothers: Iterable[Any]
) -> tuple[int, ...]:
    """Sample counts per axis from one number, one per axis, or None for the default of `SAMPLES`,
    with more where a polynomial's degree gives it more waves than that."""
    if samples is None:
        samples = SAMPLES[dim]
        degree = max(getattr(getattr(s, "polynomial", None), "degree", 1) for s in smoothers)
        while samples < WAVE * degree and (2 * samples) ** dim <= MOST:
            samples *= 2
    shape = check_shape(samples, "samples", dim)
    if min(shape) < 2:
        raise ValueError(f"samples is {samples!r}, each must be at least 2")
    return shape


def in_batches(
    function: Callable[[Float], Sequence[Float]], theta: Float, size: int
) -> list[Float]:
    """The arrays of a function of theta, shape (F, d), for `size` frequencies at a time."""
    size = max(1, size)
    parts = [function(theta[i : i + size]) for i in range(0, len(theta), size)]
    return [np.concatenate(part) for part in zip(*parts)]


def spectral_norm(matrices: Complex) -> Float:
    """Largest singular value of each matrix of a stack; infinite where an entry is not finite."""
    if matrices.shape[-2:] == (1, 1):
        return spectral_radius(matrices)
    finite = np.asarray(np.isfinite(matrices).all(axis=(-2, -1)))
    safe = matrices if finite.all() else np.where(finite[..., None, None], matrices, 0.0)
    return np.where(finite, np.linalg.norm(safe, 2, axis=(-2, -1)), np.inf)
