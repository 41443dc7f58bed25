"""Smoothing factors: what one step leaves of the high frequencies, of any stencil and smoother.

High frequencies have some |theta_j| >= pi/2 on a coarsened axis, ends included; sample counts that
are multiples of 4 contain these ends and pi exactly.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mgtheory._checks import check_whole, own_errors
from mgtheory.fourier.factor import FourierFactor, in_batches, sample_shape, spectral_norm
from mgtheory.fourier.relaxation import couples, described, on_level, step_symbols
from mgtheory.fourier.supremum import Starts, grid_peaks, search, supremum
from mgtheory.problems.grids import choose_axes
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import (
    Float,
    grid_frequencies,
    high_frequencies,
    mirrored,
    of_level,
    spectral_radius,
    the_stencil,
)


@own_errors
def smoothing_factor(
    operator: Any,
    smoother: Any,
    *,
    degree: int | None = None,
    steps: int = 1,
    scaling: str = "auto",
    axes: Sequence[int] | str = "auto",
    samples: int | Sequence[int] | None = None,
    refine: bool = True,
) -> FourierFactor:
    """mu = sup over high frequencies of the spectral radius of the smoother's symbol,
    q(Ahat(theta)) for a polynomial.

    Parameters
    ----------
    operator, smoother, degree, scaling, axes
        As in `mgtheory.fourier.LocalCycle`. A frequency is high where it is on one of the axes that
        are coarsened.
    steps
        Steps taken before the low frequencies are removed; the factor is per step. It matters where
        modes are coupled (red-black), where it is (rho(Q S^steps))^(1/steps) with the projection Q
        onto high frequencies.
    samples
        Frequencies per axis, 2 pi m / n in (-pi, pi]; multiples of 4 contain the ends pi/2 and pi.
        More by default for polynomials of high degree.
    refine
        Search between the samples too, from these and from points on no grid, so that the factor is
        the supremum and not that of the samples (see `mgtheory.fourier.supremum`).

    Examples
    --------
    >>> from mgtheory.problems import create
    >>> round(smoothing_factor(create("poisson2d"), "jacobi").factor, 12)  # omega = 4/5
    0.6
    >>> round(smoothing_factor(create("poisson2d"), "chebyshev4", degree=2).factor, 12)
    0.25
    """
    steps = check_whole(steps, "steps", 1)
    operator = of_level(operator)
    stencil = the_stencil(operator)
    finest = operator if isinstance(operator, Problem) else stencil
    chosen = choose_axes(finest.couplings(), None, axes)
    relaxation = on_level(described(smoother, scaling=scaling, degree=degree), finest, chosen)
    evaluate = _evaluation(stencil, relaxation, steps, chosen)
    theta = grid_frequencies(sample_shape(samples, stencil.dim, [relaxation]))
    flat = theta.reshape(-1, stencil.dim)
    high, grid = high_frequencies(flat, chosen), theta.shape[:-1]
    # a real stencil's symbols at theta and -theta are conjugate
    complex_values, partner = np.iscomplexobj(stencil.values), np.arange(len(flat))
    if not complex_values:
        partner = np.minimum(partner, mirrored(grid))
    solved, place = np.unique(partner, return_inverse=True)
    radius, norm, damping = (values[place] for values in evaluate(flat[solved]))
    radius = np.where(high, radius, -1.0)
    worst = int(np.argmax(radius))
    factor, frequency = float(radius[worst]), flat[worst]
    largest_norm = float(norm[high].max())
    if refine and np.isfinite(factor):

        def measured(which: int) -> Callable[[Float], Float]:
            return lambda points: evaluate(reflected(points, chosen))[which]

        def peaks(values: Float) -> Starts:
            found = solved[grid_peaks(values.reshape(grid))[solved]]
            return flat[found], values[found], np.pi / np.array(grid)

        half = np.full(stencil.dim, np.pi)
        factor, frequency = supremum(
            measured(0),
            [peaks(radius)],
            half,
            fold=lambda points: points if complex_values else points * np.sign(points[:, :1]),
            count=len(solved),
        )
        frequency = reflected(frequency[None], chosen)[0]
        largest_norm = search(measured(1), [peaks(np.where(high, norm, -1.0))], half)[0]
    return FourierFactor(
        factor,
        max(factor, largest_norm),
        tuple(frequency.tolist()),
        theta,
        damping.reshape(grid),
        high.reshape(grid),
    )


def _evaluation(
    stencil: Stencil, relaxation: Any, steps: int, axes: Sequence[int]
) -> Callable[[Float], list[Float]]:
    """theta, shape (F, d) -> spectral radius, norm and damping at each, so many frequencies at a
    time that their matrices take about 64 MiB."""
    size = 2**22 // (stencil.channels * (2**stencil.dim if couples(relaxation) else 1)) ** 2

    def local(theta: Float) -> Sequence[Float]:
        if couples(relaxation):
            return _coupled(stencil, relaxation, theta, steps, axes)
        alone = np.zeros((1, stencil.dim), np.int64)
        symbols = step_symbols(relaxation, stencil, theta, alone, 2)[:, 0]
        radius = spectral_radius(symbols)
        return radius, spectral_norm(symbols), radius

    return lambda theta: in_batches(local, theta, size)


def _coupled(
    stencil: Stencil, relaxation: Any, theta: Float, steps: int, axes: Sequence[int]
) -> tuple[Float, Float, Float]:
    """The modes theta + pi s, s in {0, 1}^d, the low ones of which Q removes."""
    turns = np.array(list(itertools.product(range(2), repeat=stencil.dim)), dtype=np.int64)
    step = step_symbols(relaxation, stencil, theta, turns, 2)
    opposite = np.where(theta > 1e-12, theta - np.pi, theta + np.pi)
    modes = np.where(turns[None] == 1, opposite[:, None], theta[:, None])
    kept = np.repeat(high_frequencies(modes, axes), stencil.channels, axis=1)
    projected = np.linalg.matrix_power(step, steps) * kept[:, :, None]
    image = spectral_norm(step[:, :, : stencil.channels])
    return spectral_radius(projected) ** (1 / steps), spectral_norm(projected) ** (1 / steps), image


def reflected(theta: Float, axes: Sequence[int]) -> Float:
    """High frequencies themselves; of a low one the image in the nearest end |theta_j| = pi/2 of
    the high ones: so what is sought there has no jump at the ends."""
    points, row = theta.copy(), np.arange(len(theta))
    nearest = np.array(axes)[np.abs(theta[:, list(axes)]).argmax(axis=1)]
    there = theta[row, nearest]
    points[row, nearest] = np.where(
        high_frequencies(theta, axes), there, np.copysign(np.pi, there) - there
    )
    return points
