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
        `refine=False` the factor is exactly that of the periodic grid; refined, both are the
        supremum.

    Raises
    ------
    ValueError
        For an unknown `zero`, or samples that do not allow that many grids.
    """
    check_kind(cycle, LocalCycle, "cycle", "a LocalCycle")
    check_name(zero, ("limit", "remove"), "zero")
    shape = sample_shape(samples, cycle.dim, itertools.chain(*cycle.relaxations))
    sampled = _Sampled(cycle, shape, zero)
    factor, frequency = sampled.largest()
    direction = None
    if refine and np.isfinite(factor) and len(sampled.regular):
        factor, frequency = sampled.supremum(factor, frequency)
        if 0 < (length := float(np.linalg.norm(frequency))) < REACH:
            frequency, direction = np.zeros(cycle.dim), tuple((frequency / length).tolist())
            sampled.radius[sampled.origin] = max(sampled.radius[sampled.origin], factor)
    return FourierFactor(
        factor,
        float(sampled.norm.max()),
        tuple(frequency.tolist()),
        sampled.theta,
        sampled.radius[sampled.solved][sampled.place].reshape(sampled.grid),
        np.ones(sampled.grid, bool),
        direction,
    )


class _Sampled:
    """Radius and norm of the cycle at the base frequencies of a grid, those of one spectrum solved
    for once, and the search between them.

    Attributes
    ----------
    theta, flat
        The frequencies, shape (*grid, dim) and (count, dim).
    solved, place, regular
        The first of each spectrum among `flat`, where each frequency's stands in `solved`, and
        those but 0.
    radius, norm
        (count,), at the solved ones.
    """

    def __init__(self, cycle: LocalCycle, shape: Sequence[int], zero: str) -> None:
        self.cycle, self.zero = cycle, zero
        self.theta = cycle.base_frequencies(shape)
        self.grid, self.flat = self.theta.shape[:-1], self.theta.reshape(-1, cycle.dim)
        self.origin = int(np.flatnonzero((self.flat == 0).all(axis=1))[0])
        self.solved, self.place = np.unique(orbits(cycle, self.grid), return_inverse=True)
        self.regular = self.solved[self.solved != self.origin]
        self.radius, self.norm = np.zeros(len(self.flat)), np.zeros(len(self.flat))
        self.batch = 2**19 // cycle.modes**2
        if len(self.regular):
            found = in_batches(self._local, self.flat[self.regular], self.batch)
            self.radius[self.regular], self.norm[self.regular] = found
        self.radius[self.origin], self.norm[self.origin] = self._at_zero()
        self.norm[self.norm > 0.1 / NEAR] = np.inf

    def _local(self, points: Float) -> list[Float]:
        matrices = self.cycle.error_operator(points)
        return [spectral_radius(matrices), spectral_norm(matrices)]

    def _at_zero(self) -> tuple[float, float]:
        """Radius and norm of what stands for theta = 0."""
        cycle, along = self.cycle, NEAR * directions(self.cycle.dim)
        if self.zero == "remove":
            basis, origin = cycle.kernel_complement(), self.flat[self.origin : self.origin + 1]
            near = basis.conj().T @ cycle.error_operator(origin, removed=True) @ basis
            return spectral_radius(near).max(), spectral_norm(near).max()
        near = cycle.error_operator(along)
        norms, twice = spectral_norm(near), spectral_norm(cycle.error_operator(2 * along))
        growing = (norms > np.maximum(GROWING * twice, LEAST)).any()
        return spectral_radius(near).max(), np.inf if growing else norms.max()

    def largest(self) -> tuple[float, Float]:
        """The largest radius, and its frequency."""
        worst = int(self.solved[np.argmax(self.radius[self.solved])])
        return float(self.radius[worst]), self.flat[worst]

    def supremum(self, factor: float, frequency: Float) -> tuple[float, Float]:
        """The largest radius between the samples too, and its frequency, where it exceeds the
        `factor` at `frequency`; the largest norm is kept as the origin's."""
        radii, norms = (
            functools.partial(self._measured, of) for of in (spectral_radius, spectral_norm)
        )
        half = np.pi / np.array(self.cycle.counts[0])
        found, where = supremum(
            radii,
            self._starts(radii, self.radius, half),
            half,
            fold=self.cycle.representative,
            count=len(self.regular),
            limits=NEAR,
        )
        if np.isfinite(self.norm).all():
            largest = search(norms, self._starts(norms, self.norm, half), half)[0]
            self.norm[self.origin] = max(self.norm[self.origin], largest)
        return (found, where) if found > factor else (factor, frequency)

    def _measured(self, measure: Callable[[Complex], Float], points: Float) -> Float:
        """Of theta, and near 0 of its limit."""
        points = off_zero(points)
        place = np.arange(len(points))
        if self.cycle.modes >= MANY:  # around a peak on an axis of symmetry many are images
            points = self.cycle.representative(points)
            keys = np.round(points / RESOLVED).astype(np.int64)
            _, first, place = np.unique(keys, axis=0, return_index=True, return_inverse=True)
            points, place = points[first], place.ravel()

        def values(points: Float) -> list[Float]:
            return [measure(self.cycle.error_operator(points))]

        return in_batches(values, points, self.batch)[0][place]

    def _starts(
        self, function: Callable[[Float], Float], values: Float, half: Float
    ) -> list[Starts]:
        """Where a search begins: the peaks of the samples, and near 0 those of the limits."""
        whole = values[self.solved][self.place]
        whole[self.origin] = -1.0  # which has no value of its own
        found = self.regular[grid_peaks(whole.reshape(self.grid))[self.regular]]
        peaks = self.flat[found], whole[found], half / self.grid
        return [peaks, largest_limit(function, directions(self.cycle.dim), NEAR)]


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
