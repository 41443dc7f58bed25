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

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mgtheory._checks import check_kind, check_name, check_shape, check_whole
from mgtheory._frozen import ReadOnlyArrays
from mgtheory.fourier.cycle import NEAR, LocalCycle, directions
from mgtheory.fourier.relaxation import as_relaxation, couples, step_symbols
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
# refinement: the samples it starts from, and how often it halves the distance (2^-24: quadratic
# maxima to rounding)
STARTS, ROUNDS = 3, 24


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
    """

    factor: float
    norm: float
    frequency: tuple[float, ...]
    frequencies: Float
    damping: Float
    high: npt.NDArray[np.bool_]

    def __float__(self) -> float:
        return self.factor


def sample_shape(
    samples: int | Sequence[int] | None, dim: int, multiples: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Sample counts per axis from one number, one per axis, or None for the default of
    `SAMPLES`."""
    shape = check_shape(SAMPLES[dim] if samples is None else samples, "samples", dim)
    for n, multiple in zip(shape, multiples or (1,) * dim):
        if n < 2 or n % multiple:
            raise ValueError(
                f"samples is {samples!r}, each must be a multiple of {multiple} and at least 2"
            )
    return shape


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
    operator
        A `Stencil`, a problem with one, or a centred odd array.
    smoother
        Whatever `mgtheory.smoothers.smoother` takes: a name, a `ResidualPolynomial`, initial
        coefficients, a description.
    degree
        Of a family given by its name.
    steps
        Steps taken before the low frequencies are removed; the factor is per step. It matters where
        modes are coupled (red-black), where it is (rho(Q S^steps))^(1/steps) with the projection Q
        onto high frequencies.
    scaling
        B of a polynomial in BA: `identity`, `diagonal` for its inverse, or `auto`, that of the
        polynomial's record.
    axes
        What is coarsened: `auto` (the strongly coupled axes, as the solver does), `all`, or the
        axes. A frequency is high where it is on one of them.
    samples
        Frequencies per axis, 2 pi m / n in (-pi, pi]; multiples of 4 contain the ends pi/2 and pi.
    refine
        Search between the samples too, around the largest of them, so that the factor is the
        supremum and not that of the samples.

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
    relaxation = as_relaxation(smoother, finest, scaling=scaling, degree=degree, axes=chosen)
    evaluate = _evaluation(stencil, relaxation, steps, chosen)
    theta = grid_frequencies(sample_shape(samples, stencil.dim))
    flat = theta.reshape(-1, stencil.dim)
    high, grid = high_frequencies(flat, chosen), theta.shape[:-1]
    # a real stencil's symbols at theta and -theta are conjugate
    partner = (
        np.arange(len(flat))
        if np.iscomplexobj(stencil.values)
        else np.minimum(np.arange(len(flat)), mirrored(grid))
    )
    solved, place = np.unique(partner, return_inverse=True)
    radius, norm, damping = (values[place] for values in evaluate(flat[solved]))
    radius = np.where(high, radius, -1.0)
    worst = int(np.argmax(radius))
    factor, frequency = float(radius[worst]), flat[worst]
    if refine:

        def local(points: Float) -> Float:
            return np.where(high_frequencies(points, chosen), evaluate(points)[0], -1.0)

        factor, frequency = _refined(local, flat, radius, 2 * np.pi / np.array(grid))
    return FourierFactor(
        factor,
        max(factor, float(norm[high].max())),
        tuple(frequency.tolist()),
        theta,
        damping.reshape(grid),
        high.reshape(grid),
    )


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
        Search between the samples too, around the largest of them.
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
    theta = cycle.base_frequencies(sample_shape(samples, cycle.dim, cycle.counts[0]))
    grid, flat = theta.shape[:-1], theta.reshape(-1, cycle.dim)
    origin = int(np.flatnonzero((flat == 0).all(axis=1))[0])
    solved, place = np.unique(_orbits(cycle, grid), return_inverse=True)
    radius, norm = np.zeros(len(flat)), np.zeros(len(flat))
    batch = max(1, 2**19 // cycle.modes**2)
    for chosen in np.split(regular := solved[solved != origin], range(batch, len(regular), batch)):
        matrices = cycle.error_operator(flat[chosen])
        radius[chosen], norm[chosen] = spectral_radius(matrices), spectral_norm(matrices)
    if zero == "limit":
        near = cycle.error_operator(NEAR * directions(cycle.dim))
    else:
        basis = cycle.kernel_complement()
        near = (
            basis.conj().T @ cycle.error_operator(flat[origin : origin + 1], removed=True) @ basis
        )
    radius[origin], norm[origin] = spectral_radius(near).max(), spectral_norm(near).max()
    norm[norm > 0.1 / NEAR] = np.inf
    worst = int(solved[np.argmax(radius[solved])])
    factor, frequency = float(radius[worst]), flat[worst]
    if refine and worst != origin and np.isfinite(factor):

        def local(points: Float) -> Float:
            points = np.where(np.linalg.norm(points, axis=1, keepdims=True) < NEAR, NEAR, points)
            return spectral_radius(cycle.error_operator(points))

        factor, frequency = _refined(
            local, flat[solved], radius[solved], 2 * np.pi / np.array(cycle.counts[0]) / grid
        )
    return FourierFactor(
        factor,
        float(norm.max()),
        tuple(frequency.tolist()),
        theta,
        radius[solved][place].reshape(grid),
        np.ones(grid, bool),
    )


def _orbits(cycle: LocalCycle, grid: Sequence[int]) -> npt.NDArray[np.int64]:
    """For each base frequency of a grid, flattened, the first of those with the same spectrum."""
    index = np.arange(int(np.prod(grid))).reshape(grid)
    first = index.ravel()
    for axes, signs in cycle.symmetries():
        if [grid[j] for j in axes] != list(grid):
            continue
        reflected = mirrored(grid, [j for j, sign in enumerate(signs) if sign < 0])
        first = np.minimum(first, index.transpose(axes).ravel()[reflected])
    return first


def _refined(
    function: Callable[[Float], Float], theta: Float, values: Float, spacing: Float
) -> tuple[float, Float]:
    """The maximum of a function near the `STARTS` largest samples: a pattern around each (5^d, 3^d
    in 3D), shrunk until it has no width."""
    best = np.argsort(-values, kind="stable")[:STARTS]
    centres, heights = theta[best], values[best]
    reach = np.arange(-2.0, 3.0) if theta.shape[1] < 3 else np.arange(-1.0, 2.0)
    pattern = np.stack(np.meshgrid(*[reach] * theta.shape[1], indexing="ij"), axis=-1).reshape(
        -1, theta.shape[1]
    )
    width = spacing / 2
    for _ in range(ROUNDS):
        points = centres[:, None] + width * pattern
        found = function(points.reshape(-1, theta.shape[1])).reshape(len(centres), -1)
        top = found.argmax(axis=1)
        better = found[np.arange(len(top)), top] > heights * (1 + 1e-13)
        centres = np.where(better[:, None], points[np.arange(len(top)), top], centres)
        heights = np.maximum(heights, found.max(axis=1))
        width = width / 2
    first = int(np.argmax(heights))
    return float(heights[first]), centres[first]


def _evaluation(
    stencil: Stencil, relaxation: Any, steps: int, axes: Sequence[int]
) -> Callable[[Float], tuple[Float, Float, Float]]:
    """theta, shape (F, d) -> spectral radius, norm and damping at each, so many frequencies at a
    time that their matrices take about 64 MiB."""
    coupled = couples(relaxation)
    modes = stencil.channels * (2**stencil.dim if coupled else 1)
    count = max(1, 2**22 // modes**2)

    def evaluate(theta: Float) -> tuple[Float, Float, Float]:
        batches = [theta[i : i + count] for i in range(0, len(theta), count)]
        parts = [
            _coupled(stencil, relaxation, batch, steps, axes)
            if coupled
            else _uncoupled(stencil, relaxation, batch)
            for batch in batches
        ]
        radius, norm, damping = (np.concatenate(part) for part in zip(*parts))
        return radius, norm, damping

    return evaluate


def _uncoupled(stencil: Stencil, relaxation: Any, theta: Float) -> tuple[Float, Float, Float]:
    alone = np.zeros((1, stencil.dim), np.int64)
    symbols = step_symbols(relaxation, stencil, theta, alone, 2)[:, 0]
    radius = spectral_radius(symbols)
    return radius, spectral_norm(symbols), radius


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


def spectral_norm(matrices: Complex) -> Float:
    """Largest singular value of each matrix of a stack; infinite where an entry is not finite."""
    if matrices.shape[-2:] == (1, 1):
        return spectral_radius(matrices)
    finite = np.asarray(np.isfinite(matrices).all(axis=(-2, -1)))
    safe = matrices if finite.all() else np.where(finite[..., None, None], matrices, 0.0)
    return np.where(finite, np.linalg.norm(safe, 2, axis=(-2, -1)), np.inf)
