"""Local Fourier analysis: smoothing, two-grid and three-grid factors of any stencil and smoother,
in 1, 2 and 3 dimensions.

On an infinite grid a constant-coefficient operator multiplies exp(i theta.x) by its symbol;
smoothing and coarse-grid correction couple only the harmonics that a coarser grid cannot tell
apart, so the whole cycle is a small matrix for each theta. A **factor** is the largest spectral
radius of these matrices over the sampled theta: the asymptotic factor by which one cycle shrinks
the error. The spectral norm stands beside it. Sources: Brandt 1977; Stueben, Trottenberg 1982;
Trottenberg, Oosterlee, Schueller 2001; Wienands, Joppich 2005.

A factor does not depend on the scale of the operator: a problem's stencil is that of its A, with
its 1/h^2, and a polynomial is converted to it by its record. One made by hand must have its roots
in the spectrum of the operator it is given with. High frequencies have some |theta_j| >= pi/2 on a
coarsened axis, ends included; sample counts that are multiples of 4 contain these ends and pi
exactly. How theta -> 0 is taken stands in `mgtheory.fourier.cycle`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mgtheory._checks import check_kind, check_name, check_shape, check_whole, own_errors
from mgtheory._frozen import ReadOnlyArrays
from mgtheory._html import html_table
from mgtheory.fourier.cycle import NEAR, LocalCycle, directions
from mgtheory.fourier.relaxation import couples, described, on_level, step_symbols
from mgtheory.fourier.supremum import Starts, grid_peaks, largest_limit, search, supremum
from mgtheory.problems.grids import choose_axes
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import (
    Complex,
    Float,
    grid_frequencies,
    high_frequencies,
    mirrored,
    spectral_radius,
    the_stencil,
)

SAMPLING = ("samples", "refine", "zero")  # the options of `cycle_factor`
SAMPLES = {1: 256, 2: 64, 3: 32}  # frequencies an axis, by dimension
WAVE, MOST = 6, 2**18  # frequencies an axis for each degree of a polynomial, in all at most
MANY = 16  # modes from which it takes longer to solve for two equal frequencies than to find them
RESOLVED = 1e-14  # frequencies that differ by less are one
# a norm that is so many times larger at half the distance from 0, and no rounding, is unbounded
GROWING, LEAST = 1.5, 1e-3
REACH = 4 * NEAR  # a search along directions may leave their sphere by so much


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
        radius[regular], norm[regular] = _in_batches(local, flat[regular], size)
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
            values = _in_batches(lambda p: [measure(cycle.error_operator(p))], points, size)[0]
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


def _in_batches(
    function: Callable[[Float], Sequence[Float]], theta: Float, size: int
) -> list[Float]:
    """The arrays of a function of theta, shape (F, d), for `size` frequencies at a time."""
    size = max(1, size)
    parts = [function(theta[i : i + size]) for i in range(0, len(theta), size)]
    return [np.concatenate(part) for part in zip(*parts)]


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

    return lambda theta: _in_batches(local, theta, size)


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


def spectral_norm(matrices: Complex) -> Float:
    """Largest singular value of each matrix of a stack; infinite where an entry is not finite."""
    if matrices.shape[-2:] == (1, 1):
        return spectral_radius(matrices)
    finite = np.asarray(np.isfinite(matrices).all(axis=(-2, -1)))
    safe = matrices if finite.all() else np.where(finite[..., None, None], matrices, 0.0)
    return np.where(finite, np.linalg.norm(safe, 2, axis=(-2, -1)), np.inf)
