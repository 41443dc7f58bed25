"""Local Fourier analysis: two-grid and three-grid factors of any stencil and smoother, in 1, 2 and
3 dimensions; `mgtheory.fourier.smoothing` has the smoothing factors.

On an infinite grid a constant-coefficient operator multiplies exp(i theta.x) by its symbol;
smoothing and coarse-grid correction couple only the harmonics that a coarser grid cannot tell
apart, so the whole cycle is a small matrix for each theta. A **factor** is the largest spectral
radius of these matrices over the sampled theta: the asymptotic factor by which one cycle shrinks
the error. The spectral norm stands beside it. Sources: Brandt 1977; Stueben, Trottenberg 1982;
Trottenberg, Oosterlee, Schueller 2001; Wienands, Joppich 2005.

A factor does not depend on the scale of the operator: a problem's stencil is that of its A, with
its 1/h^2, and a polynomial is converted to it by its record. One made by hand must have its roots
in the spectrum of the operator it is given with. How theta -> 0 is taken stands in
`mgtheory.fourier.cycle`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mgtheory._checks import check_kind, check_name, own_errors
from mgtheory.fourier.cycle import NEAR, LocalCycle, directions
from mgtheory.fourier.factor import FourierFactor, in_batches, sample_shape, spectral_norm
from mgtheory.fourier.supremum import Starts, grid_peaks, largest_limit, search, supremum
from mgtheory.problems.symbols import Complex, Float, mirrored, spectral_radius

SAMPLING = ("samples", "refine", "zero")  # the options of `cycle_factor`
MANY = 16  # modes from which it takes longer to solve for two equal frequencies than to find them
RESOLVED = 1e-14  # frequencies that differ by less are one
# a norm that is so many times larger at half the distance from 0, and no rounding, is unbounded
GROWING, LEAST = 1.5, 1e-3
REACH = 4 * NEAR  # a search along directions may leave their sphere by so much


@own_errors
def two_grid_factor(operator: Any, smoother: Any, **options: Any) -> FourierFactor:
    """The factor of a cycle with two grids, from the 2^a harmonics, a the number of coarsened axes;
    `options` are those of `cycle_factor` and of `LocalCycle`, `degree` and `axes` among them.

    Examples
    --------
    >>> from mgtheory.problems import create
    >>> round(two_grid_factor(create("poisson2d"), "jacobi", pre=1, post=1).factor, 9)
    0.36
    """
    return _factor(2, operator, smoother, options)


@own_errors
def three_grid_factor(operator: Any, smoother: Any, **options: Any) -> FourierFactor:
    """The factor of a cycle with three grids, from the harmonics of two coarsenings (4^d where all
    axes are coarsened twice); `options` as for two grids, `cycle="W"` among them."""
    return _factor(3, operator, smoother, options)


def _factor(levels: int, operator: Any, smoother: Any, options: dict[str, Any]) -> FourierFactor:
    of_cycle = [f.name for f in fields(LocalCycle) if f.init]
    free = [name for name in of_cycle if name not in ("operator", "smoother", "levels")]
    for name in options:
        check_name(name, [*free, *SAMPLING], "option")
    sampling = {name: options.pop(name) for name in SAMPLING if name in options}
    return cycle_factor(LocalCycle(operator, smoother, levels=levels, **options), **sampling)


@own_errors
def cycle_factor(
    cycle: LocalCycle,
    *,
    samples: int | Sequence[int] | None = None,
    refine: bool = True,
    zero: str = "limit",
) -> FourierFactor:
    """sup over theta of the spectral radius of the cycle's error operator on the harmonics of
    theta.

    Parameters
    ----------
    cycle
        The cycle, with any number of grids.
    samples
        Points per axis of the finest grid whose frequencies are sampled; multiples of 2^levels
        contain the ends.
    refine
        Search between the samples too, as for `smoothing_factor`.
    zero
        What stands for theta = 0: `limit`, the limits along many directions; or `remove`, the other
        harmonics of 0 once the constants in the kernel of A are removed. With `remove` and
        `refine=False` the factor is exactly that of the periodic grid.

    Raises
    ------
    ValueError
        For an unknown `zero`, or samples that do not allow that many grids.
    """
    check_kind(cycle, LocalCycle, "cycle", "a LocalCycle")
    check_name(zero, ("limit", "remove"), "zero")
    shape = sample_shape(samples, cycle.dim, itertools.chain(*cycle.relaxations))
    theta = cycle.base_frequencies(shape)
    grid, flat = theta.shape[:-1], theta.reshape(-1, cycle.dim)
    origin = int(np.flatnonzero((flat == 0).all(axis=1))[0])
    solved, place = np.unique(orbits(cycle, grid), return_inverse=True)
    radius, norm = np.zeros(len(flat)), np.zeros(len(flat))
    regular = solved[solved != origin]

    def local(points: Float) -> list[Float]:
        matrices = cycle.error_operator(points)
        return [spectral_radius(matrices), spectral_norm(matrices)]

    size = 2**19 // cycle.modes**2
    if len(regular):
        radius[regular], norm[regular] = in_batches(local, flat[regular], size)
    if zero == "limit":
        near = cycle.error_operator(NEAR * directions(cycle.dim))
    else:
        basis = cycle.kernel_complement()
        near = (
            basis.conj().T @ cycle.error_operator(flat[origin : origin + 1], removed=True) @ basis
        )
    radius[origin], norm[origin] = spectral_radius(near).max(), spectral_norm(near).max()
    if zero == "limit":
        twice = spectral_norm(cycle.error_operator(2 * NEAR * directions(cycle.dim)))
        growing = spectral_norm(near) > np.maximum(GROWING * twice, LEAST)
        norm[origin] = np.inf if growing.any() else norm[origin]
    norm[norm > 0.1 / NEAR] = np.inf
    worst = int(solved[np.argmax(radius[solved])])
    factor, frequency, direction = float(radius[worst]), flat[worst], None
    if refine and np.isfinite(factor) and len(regular):

        def measured(measure: Callable[[Complex], Float], points: Float) -> Float:
            """Of theta, and near 0 of its limit."""
            points = off_zero(points)
            place = np.arange(len(points))
            if cycle.modes >= MANY:  # around a peak on an axis of symmetry many are images
                points = cycle.representative(points)
                keys = np.round(points / RESOLVED).astype(np.int64)
                _, first, place = np.unique(keys, axis=0, return_index=True, return_inverse=True)
                points, place = points[first], place.ravel()
            values = in_batches(lambda p: [measure(cycle.error_operator(p))], points, size)[0]
            return values[place]

        def peaks(values: Float) -> Starts:
            values = values[solved][place]
            values[origin] = -1.0  # which has no value of its own
            found = regular[grid_peaks(values.reshape(grid))[regular]]
            return flat[found], values[found], half / grid

        def groups(function: Callable[[Float], Float], values: Float) -> list[Starts]:
            if zero == "remove":
                return [peaks(values)]
            return [peaks(values), largest_limit(function, directions(cycle.dim), NEAR)]

        half = np.pi / np.array(cycle.counts[0])
        radii, norms = (functools.partial(measured, of) for of in (spectral_radius, spectral_norm))
        found, where = supremum(
            radii,
            groups(radii, radius),
            half,
            fold=cycle.representative,
            count=len(regular),
            limits=NEAR if zero == "limit" else 0.0,
        )
        if found > factor:
            factor, frequency = found, where
        if 0 < (length := float(np.linalg.norm(frequency))) < REACH:
            frequency, direction = np.zeros(cycle.dim), tuple((frequency / length).tolist())
            radius[origin] = max(radius[origin], factor)
        if np.isfinite(norm).all():
            largest_norm = search(norms, groups(norms, norm), half)[0]
            norm[origin] = max(norm[origin], largest_norm)
    return FourierFactor(
        factor,
        float(norm.max()),
        tuple(frequency.tolist()),
        theta,
        radius[solved][place].reshape(grid),
        np.ones(grid, bool),
        direction,
    )


def off_zero(theta: Float) -> Float:
    """What stands for frequencies so close to 0 that they are directions: `NEAR` times these."""
    theta = np.where((theta == 0).all(axis=1, keepdims=True), NEAR, theta)
    length = np.linalg.norm(theta, axis=1, keepdims=True)
    return np.asarray(np.where(length < REACH, NEAR / length, 1.0) * theta)


def orbits(cycle: LocalCycle, grid: Sequence[int]) -> npt.NDArray[np.int64]:
    """For each base frequency of a grid, flattened, the first of those with the same spectrum."""
    index = np.arange(int(np.prod(grid))).reshape(grid)
    first = index.ravel()
    for axes, signs in cycle.symmetries:
        if [grid[j] for j in axes] != list(grid):
            continue
        reflected = mirrored(grid, [j for j, sign in enumerate(signs) if sign < 0])
        first = np.minimum(first, index.transpose(axes).ravel()[reflected])
    return first
