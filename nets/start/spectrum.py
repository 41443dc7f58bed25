"""The spectrum of a level's convolution A as the network applies it: with its padding, on its grid.

Zero padding: the eigenvalues of the n x n matrix of A, n = channels * height * width, all of them
where a dense eigenproblem is small, else the outermost ones by Arnoldi's method, which is enough
for the three numbers that a start needs:

- b, the spectral radius, from A and from its transpose, two runs that check one another;
- the least real part;
- max |q| over the spectrum, which is the spectral radius of q(A) and is found as such.

Periodic padding: all eigenvalues, from one c x c eigenproblem a frequency. Another entry of
`nets.models.paddings.PADDINGS`: as with zero padding.

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

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.symbols import grid_frequencies, high_frequencies
from mgtheory.spectra.record import OperatorRecord
from nets.models.paddings import find_padding
from nets.start import padded, periodic
from nets.start.padded import Complex, Eigenvalues, Product
from nets.start.threads import in_threads, serial

SYMBOL = "symbol"  # periodic, without the second pass that gives the radius in double precision
MINIMUM_GRID = 16  # points per axis of a symbol at least: on fewer the samples miss the extremes
OUTLINE = 513  # points around a spectrum: 16 a degree up to 32
# larger grids take minutes; b of a random A grows by 2 % from 16 to 32 points an axis, and by 1 %
# from 32 to 128
MOST_POINTS, MOST_UNKNOWNS, FEWEST_POINTS = 128, 2**16, 8
OF_IMAGES = 32  # points an axis that levels of a network for images keep
REMEMBERED = 32  # spectra of at most about 1 MiB each for the published models
# lower end of the part to damp, relative to b, where the whole spectrum is positive: the high
# frequencies of a 5-point Laplacian
LOWER = 0.25


@dataclass(frozen=True, eq=False)
class LevelSpectrum(Eigenvalues):
    """Eigenvalues of one convolution on one grid.

    Attributes
    ----------
    kernel
        Shape (c, c, k, ...), torch layout; groups are written out as zeros.
    grid, padding
        (height, width), or another number of axes, and a name in `nets.models.paddings.PADDINGS`.
    """

    kernel: NDArray[np.float64]
    grid: tuple[int, ...]
    padding: str

    def apply(self, u: NDArray[Any]) -> NDArray[Any]:
        """A u for real fields u of shape (..., unknowns), float64."""
        return padded.product(self.kernel, self.grid, self.padding)(u)

    @property
    def unknowns(self) -> int:
        """channels * points of the grid."""
        return len(self.kernel) * math.prod(self.grid)

    @cached_property
    def values(self) -> Complex:
        """All eigenvalues where `complete`, computed when they are first asked for; else those that
        were measured."""
        if not self.complete or self.all_measured:
            return self.measured
        with serial():
            values = padded.all_eigenvalues(self.kernel, self.grid, self.padding)
        values.setflags(write=False)
        return values

    @property
    def all_measured(self) -> bool:
        """Whether `measured` are all eigenvalues."""
        return self.measured.size == self.unknowns

    @cached_property
    def outline(self) -> Complex:
        """All eigenvalues, or where some are unknown points in the upper half-plane of a curve
        around them, on which |q| is largest: the circle |z| = b, cut off at the outermost real and
        imaginary parts."""
        if self.complete:
            return self.values.ravel()
        circle = self.radius * np.exp(1j * np.linspace(0.0, np.pi, OUTLINE))
        across = np.clip(circle.real, self.least_real, self.right.real.max())
        return np.asarray(
            across + 1j * np.minimum(circle.imag, np.abs(self._ends("LI").imag).max())
        )

    @cached_property
    def A(self) -> LinearOperator:
        """A on vectors of all unknowns."""
        return LinearOperator((self.unknowns,) * 2, matvec=self.apply, dtype=float)

    def operator_record(self, power: int = 1) -> OperatorRecord:
        """The record of A^power, by which ``mgtheory.derive(family, degree, spectrum)`` works and
        polynomials for other operators are scaled to b^power.

        Its lower end is (b / 4)^power where all eigenvalues are known and positive, else 0.
        ValueError where b is 0 or no number.
        """
        if not 0 < self.radius < math.inf:
            raise ValueError(
                f"the spectral radius of a level's A is {self.radius:g}, by which no polynomial can"
                " be scaled: give A weights that are not all 0, and finite, or start by none"
            )
        positive, b = self.complete and self.is_positive, self.radius
        where = " x ".join(map(str, self.grid))
        name = "a level's A" + (f"^{power}" if power > 1 else "")
        return OperatorRecord(
            "level",
            f"{name}, {len(self.kernel)} channels on {where}, padding {self.padding}",
            b**power,
            (LOWER * b) ** power if positive else 0.0,
            scaling="identity",
            axes=tuple(range(len(self.grid))),
            grid=self.grid,
            padding=self.padding,
            found=self.found,
            positive=positive,
            source=self if power == 1 else reduce(lambda M, N: M @ N, [self.A] * power),
        )

    @cached_property
    def left(self) -> Complex:
        """The eigenvalues, or those found with the smallest real parts."""
        return self._ends("SR")

    @cached_property
    def right(self) -> Complex:
        """The eigenvalues, or those found with the largest real parts."""
        return self._ends("LR")

    def _ends(self, which: str) -> Complex:
        if self.all_measured:
            return self.measured.ravel()
        with serial():
            apply = padded.product(self.kernel, self.grid, self.padding, np.float32)
            return np.concatenate([padded.outermost(apply, self.unknowns, which)[0], self.measured])

    @property
    def least_real(self) -> float:
        """The smallest real part of an eigenvalue."""
        return float(self.left.real.min())

    @property
    def is_positive(self) -> bool:
        """Whether the eigenvalues that are known are real and not negative, up to rounding: the
        home ground of the classical families."""
        b = max(self.radius, 1e-300)
        if np.abs(self.measured.imag).max() > padded.TOLERANCE * b:  # the others are not needed
            return False
        tolerance = (1e-10 if self.complete else padded.TOLERANCE) * b
        least = self.values.real.min() if self.complete else self.least_real
        return bool((np.abs(self.values.imag) <= tolerance).all() and least >= -tolerance)

    def max_modulus(self, q: ResidualPolynomial) -> float:
        """max |q| over the spectrum: over all eigenvalues, or the spectral radius of q(A) by
        Arnoldi's method."""
        largest = float(np.abs(q(self.measured)).max())
        return largest if self.all_measured else max(largest, self._radius_of(q, np.asarray))

    def smoothing_factor(self, q: ResidualPolynomial) -> float:
        """mu: the spectral radius of P q(A), where P takes the low frequencies out."""
        if find_padding(self.padding).diagonal:
            return float(self.modulus(q)[self.high].max(initial=0.0))
        return self._radius_of(q, padded.high_part(self.grid, self.padding))

    def _radius_of(self, q: ResidualPolynomial, after: Product) -> float:
        """The spectral radius of ``after`` q(A); of each block by itself where all are small."""
        kernels = padded.distinct_blocks(self.kernel) if self.complete else [self.kernel]
        return max(residual_radius(q, kernel, self.grid, self.padding, after) for kernel in kernels)

    @property
    def symbol(self) -> LevelSpectrum:
        """The periodic operator with this kernel, on at least `MINIMUM_GRID` points an axis."""
        grid = tuple(max(MINIMUM_GRID, n) for n in self.grid)
        if self.padding == "periodic" and self.grid == grid:
            return self
        return convolution_spectra([(self.kernel, grid, SYMBOL)])[0]

    @property
    def theta(self) -> NDArray[np.float64]:
        """The frequencies in (-pi, pi] of a periodic operator, shape (*grid, axes)."""
        return grid_frequencies(self.grid)

    @property
    def high(self) -> NDArray[np.bool_]:
        """Where some |theta_j| >= pi/2, shape of the grid."""
        return high_frequencies(self.theta)

    def modulus(self, q: ResidualPolynomial) -> NDArray[np.float64]:
        """Spectral radius of q(Ahat(theta)), shape of the grid, of a periodic operator."""
        return np.asarray(np.abs(q(self.values)).max(axis=-1))


class _Rows:
    """``A @ v`` for the rows of an array, in their precision."""

    def __init__(self, kernel: NDArray[np.float64], grid: tuple[int, ...], padding: str) -> None:
        kinds: tuple[type[np.floating[Any]], ...] = (np.float32, np.float64)
        self.products = {np.dtype(k): padded.product(kernel, grid, padding, k) for k in kinds}

    def __matmul__(self, v: NDArray[Any]) -> NDArray[Any]:
        return self.products[v.dtype](v)


def residual_radius(
    q: ResidualPolynomial,
    kernel: NDArray[np.float64],
    grid: tuple[int, ...],
    padding: str,
    after: Product,
) -> float:
    """The spectral radius of ``after`` q(A) for the convolution A with a kernel."""
    A, n = _Rows(kernel, grid, padding), len(kernel) * math.prod(grid)
    return padded.spectral_radius(lambda v: after(v - A @ q.apply(A, v)), n)


def shortened(
    grid: Sequence[int], channels: int, *, fewest: int = FEWEST_POINTS
) -> tuple[int, ...]:
    """A grid with its long axes cut to one length, on which a spectrum takes seconds: at most
    `MOST_POINTS`, as many as have `MOST_UNKNOWNS` together, or else `fewest`."""

    def unknowns(side: int) -> int:
        return channels * math.prod(min(side, n) for n in grid)

    sides = range(fewest + 1, MOST_POINTS + 1)
    side = fewest + bisect.bisect_right(sides, MOST_UNKNOWNS, key=unknowns)
    return tuple(min(side, n) for n in grid)


def measured_grid(size: Sequence[int], channels: int) -> tuple[int, ...]:
    """The grid on which a level of a network for images is measured: its own, where it is large
    `shortened`, but not below `OF_IMAGES` points an axis."""
    return shortened(size, channels, fewest=OF_IMAGES)


def convolution_spectrum(
    kernel: NDArray[np.float64], grid: Sequence[int], *, padding: str = "zero"
) -> LevelSpectrum:
    """The spectrum of the convolution with `kernel` (c, c, k, ...) on a grid (height, ...)."""
    return convolution_spectra([(kernel, grid, padding)])[0]


def convolution_spectra(
    asked: Sequence[tuple[NDArray[np.float64], Sequence[int], str]],
) -> list[LevelSpectrum]:
    """The spectra of several (kernel, grid, padding).

    The work is shared among as many threads as torch is set to; the newest `REMEMBERED` spectra
    are kept, so that runs of one seed that differ in their scheme or placement measure A once.
    """
    keys = [
        (np.asarray(kernel, dtype=float).tobytes(), kernel.shape, tuple(map(int, grid)), padding)
        for kernel, grid, padding in asked
    ]
    matrices = [key for key in dict.fromkeys(keys) if not _by_frequency(key[-1])]
    known = dict(zip(matrices, in_threads(lambda key: _measured(*key), matrices)))
    # the others share their frequencies among the threads
    return [known[key] if key in known else _measured(*key) for key in keys]


def _by_frequency(padding: str) -> bool:
    return padding == SYMBOL or find_padding(padding).diagonal


@lru_cache(maxsize=REMEMBERED)
def _measured(
    entries: bytes, shape: tuple[int, ...], grid: tuple[int, ...], padding: str
) -> LevelSpectrum:
    kernel = np.frombuffer(entries).reshape(shape)
    if _by_frequency(padding):
        found = periodic.eigenvalues(kernel, grid, extremes=padding != SYMBOL)
    else:
        found = padded.eigenvalues(kernel, grid, padding)
    found.measured.setflags(write=False)
    return LevelSpectrum(
        **vars(found),
        kernel=kernel,
        grid=grid,
        padding="periodic" if padding == SYMBOL else padding,
    )
