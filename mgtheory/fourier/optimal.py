"""The polynomial smoother of degree k that minimises the two-grid factor of a given problem, by
numerical optimisation.

With the same smoother q before and after, the two-grid operator is similar to K q(A)^nu, nu = pre +
post, where the coarse-grid correction K does not depend on q. The unknowns are the k coefficients c
of q(t) = 1 + (t / b) sum_i c_i T_i(2 t / b - 1), see `mgtheory.polynomials.series`.
Minimised is the largest |lambda|^(1/nu) over frequencies and eigenvalues, a maximum of smooth
functions f_i: min z subject to z >= f_i(c), by sequential quadratic programming, with derivatives
from left and right eigenvectors. It is an exchange method: frequencies start as a coarse sample,
and the worst ones between them are added until the supremum over all frequencies is within `GAP` of
the sampled maximum. The problem is not convex: the result is a local minimum, the best from several
starts, and never worse than these. For the 5- and 7-point Laplacian all starts reach the same one;
for the 3-point one and V(1,1) it is the fourth kind, with the factor 1/(2k+1)^2.

`two_grid_optimal` is the family made of it. By its name in a hierarchy or in Fourier analysis it is
the optimum of the cycle there, of its counts, transfers and coarse operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mgtheory._checks import check_whole
from mgtheory.families import Family, Recorded, register
from mgtheory.fourier.analysis import cycle_factor, off_zero, orbits
from mgtheory.fourier.cycle import NEAR, LocalCycle, directions, whole
from mgtheory.fourier.descent import EXACT, LeastMaximum, minimise_maximum
from mgtheory.fourier.factor import FourierFactor
from mgtheory.fourier.relaxation import scaled_symbols
from mgtheory.fourier.supremum import ROUNDING, climb, grid_peaks, largest_limit
from mgtheory.polynomials import series
from mgtheory.polynomials.classical import chebyshev, chebyshev4
from mgtheory.polynomials.residual import ResidualPolynomial, check_degree
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import Float, eigenvectors, spectral_radius, the_stencil

MAX_OPTIMAL_DEGREE = 16
# points per axis whose frequencies the optimisation sees first, and from whose peaks the worst are
# sought, by dimension
SAMPLES, DENSE = {1: 64, 2: 32, 3: 24}, {1: 256, 2: 128, 3: 48}
# relative size of imaginary parts that are rounding: symmetric stencils have real symbols
REAL = 1e-9
PIECES = 3  # eigenvalues per frequency that take part, largest first
# relative excess of the supremum over the sampled maximum that is accepted, and how often
# frequencies are added
GAP, ROUNDS = 3e-4, 12
ROUGH = 1e-5  # tolerance of the descents of which the best is sought


@dataclass(frozen=True)
class OptimalTwoGrid:
    """The outcome of the optimisation.

    Attributes
    ----------
    polynomial
        The minimiser found, for BA.
    factor
        Its two-grid factor, the supremum over all frequencies.
    start_factor
        The smallest two-grid factor among the starting polynomials (Chebyshev of the first and
        fourth kind).
    iterations
        Steps of the optimisation, over all starts and rounds.
    converged
        Whether the optimisation stopped by its own criterion and the supremum is within `GAP` of
        the maximum over the sampled frequencies.
    """

    polynomial: ResidualPolynomial
    factor: float
    start_factor: float
    iterations: int
    converged: bool


def optimise_two_grid(
    degree: int,
    operator: Any,
    *,
    pre: int = 1,
    post: int = 1,
    iterations: int = 200,
    **options: Any,
) -> OptimalTwoGrid:
    """Minimise the two-grid factor over all residual polynomials of one degree; see the module.

    Parameters
    ----------
    degree
        Degree of q, 1 to 16.
    operator
        A `Stencil`, a problem with one, or a centred odd array; c coupled channels are allowed.
    pre, post
        Smoothing steps before and after.
    iterations
        Largest number of steps of one optimisation.
    **options
        Further options of `LocalCycle`: coarsening, restriction, interpolation, order, scaling,
        axes.
    """
    check_degree(degree, family="two_grid_optimal", most=MAX_OPTIMAL_DEGREE)
    if check_whole(pre, "pre", 0) + check_whole(post, "post", 0) < 1:
        raise ValueError("pre and post are both 0, at least one smoothing step is needed")
    check_whole(iterations, "iterations", 1)
    operator, scale = _canonical(operator, options.get("coarsening"))
    steps = pre + post

    def over_all(c: Float) -> FourierFactor:
        return cycle_factor(LocalCycle(operator, polynomial(c), pre=pre, post=post, **options))

    nothing = ResidualPolynomial.from_weights([0.0])
    correction = LocalCycle(operator, nothing, pre=0, post=0, **options)
    sampled = _Sampled(correction, _first_frequencies(correction), steps, degree)
    dense, polynomial = _Dense(sampled), sampled.polynomial
    starts = sorted(_starts(sampled), key=sampled.largest)

    best, start_factor = _best_start(sampled, dense, starts)

    lowest, total = _lowest(sampled, starts, iterations)

    # exchange: add the peaks above the sampled maximum, minimise on what they are added to
    least, verified = start_factor, False
    for remaining in reversed(range(ROUNDS)):
        factor, worse = _above(dense, lowest, over_all)
        verified = not len(worse)
        if factor < (start_factor if verified else least):
            best, least = lowest.c, factor
        if verified or not remaining:
            break
        sampled = sampled.on(np.concatenate([sampled.theta, worse]))
        lowest = minimise_maximum(sampled.pieces, lowest.c, iterations)
        total += lowest.iterations
    if not verified or least == start_factor:
        least = over_all(best).factor
    settled = verified and lowest.converged
    if correction.relaxations[0][0].scaling == "diagonal":  # BA has no scale
        scale = 1.0
    return OptimalTwoGrid(polynomial(best).scaled(scale), least, start_factor, total, settled)


def _canonical(operator: Any, coarsening: Any) -> tuple[Any, float]:
    """A stencil with its taps in order and the largest 1, so that rounding, and with it the steps,
    are the same for every multiple of it; and what it was divided by."""
    stencil = the_stencil(operator)
    if operator is not stencil or not (coarsening is None or isinstance(coarsening, str)):
        return operator, 1.0
    scale = float(np.abs(stencil.values).max()) or 1.0
    order = sorted(range(len(stencil.offsets)), key=stencil.offsets.__getitem__)
    offsets = tuple(sorted(stencil.offsets))
    return Stencil(offsets, stencil.values[order] / scale), scale


def _first_frequencies(cycle: LocalCycle) -> Float:
    """One of each class with the same spectrum: of a coarse grid, of a dense one around 0, where
    the correction changes most, and the limits there."""
    dim, near = cycle.dim, 2 * np.pi / SAMPLES[cycle.dim]
    found = [np.unique(cycle.representative(NEAR * directions(dim)), axis=0)]
    for samples, most in ((SAMPLES[dim], np.pi), (DENSE[dim], near)):
        theta = cycle.base_frequencies((samples,) * dim)
        theta = theta.reshape(-1, dim)[np.unique(orbits(cycle, theta.shape[:-1]))]
        size = np.abs(theta).max(axis=1)
        found.append(theta[(size > 0) & (size <= most * (1 + 1e-9))])
    return np.unique(np.concatenate(found), axis=0)


class _Dense:
    """A dense sample of one frequency of each class with the same spectrum, and the peaks around
    it."""

    def __init__(self, sampled: _Sampled) -> None:
        cycle = sampled.correction
        self.half = np.pi / np.array(cycle.counts[0])
        theta = cycle.base_frequencies((DENSE[cycle.dim],) * cycle.dim)
        self.grid, flat = theta.shape[:-1], theta.reshape(-1, cycle.dim)
        self.solved, self.place = np.unique(orbits(cycle, self.grid), return_inverse=True)
        self.sampled = sampled.on(off_zero(flat[self.solved]))
        self.zero = (flat[self.solved] == 0).all(axis=1)

    def peaks(self, c: Float, wanted: float = math.inf) -> tuple[Float, Float]:
        """Where |lambda|^(1/nu) has its largest peaks, or those above a `wanted` value, shape (n,
        d), and how large it is, shape (n,): what searches reach from the peaks of the sample and
        of the limits at 0."""

        def radii(theta: Float) -> Float:
            return self.sampled.on(off_zero(theta)).radii(c)

        values = np.where(self.zero, -1.0, self.sampled.radii(c))  # 0 has no value of its own
        top = grid_peaks(values[self.place].reshape(self.grid))[self.solved] & ~self.zero
        groups = [
            (self.sampled.theta[top], values[top], self.half / self.grid),
            largest_limit(radii, directions(self.sampled.correction.dim), NEAR),
        ]
        small = ROUNDING if wanted == math.inf else GAP / 100
        places, values = climb(radii, groups, self.half, wanted=wanted, small=small)
        return off_zero(places), values


class _Sampled:
    """K and the eigenvalues t of BA on the harmonics of each sampled frequency, in the eigenvectors
    of BA, and the `basis` (t / b) T_i(2 t / b - 1), i < degree, shape (F, m, degree); b is the
    largest |t|, of these or of another sample."""

    def __init__(
        self, correction: LocalCycle, theta: Float, steps: int, degree: int, b: float | None = None
    ) -> None:
        self.correction, self.theta, self.steps, self.degree = correction, theta, steps, degree
        stencil, harmonics = correction.stencils[0], correction.harmonics()
        scaling = correction.relaxations[0][0].scaling
        t: Any = scaled_symbols(stencil, scaling, theta, *harmonics)
        K: Any = correction.error_operator(theta)
        if stencil.channels > 1:
            t, vectors = np.linalg.eig(t)
            eigenvectors = whole(vectors.astype(np.complex128))
            K = np.linalg.solve(eigenvectors, K @ eigenvectors)
        t = t.reshape(K.shape[:2])
        # real where all symbols are
        if all(np.abs(v.imag).max() <= REAL * np.abs(v).max() for v in (K, t)):
            K, t = K.real.copy(), t.real.copy()
        self.K, self.b = K, float(np.abs(t).max()) if b is None else b
        high = t[:, stencil.channels :]
        self.low = float(high.real.min()) if np.abs(high.imag).max() < 1e-12 * self.b else 0.0
        self.basis = series.basis(t, self.b, degree)

    def on(self, theta: Float) -> _Sampled:
        """The same at other frequencies, shape (F, d)."""
        return _Sampled(self.correction, theta, self.steps, self.degree, self.b)

    def radii(self, c: Float) -> Float:
        """The largest |lambda|^(1/nu) of each frequency, shape (F,)."""
        q = 1 + self.basis @ c
        return np.asarray(spectral_radius(self.K * (q**self.steps)[:, None, :]) ** (1 / self.steps))

    def largest(self, c: Float) -> float:
        """max |lambda|^(1/nu)."""
        return float(self.radii(c).max())

    def pieces(self, c: Float) -> tuple[Float, Float]:
        """The `PIECES` largest |lambda|^(1/nu) of each frequency, shape (F * PIECES,), and their
        gradients, shape (F * PIECES, degree)."""
        q = 1 + self.basis @ c
        values, right, left = eigenvectors(self.K * (q**self.steps)[:, None, :])
        moduli = np.abs(values) ** (1 / self.steps)
        order = np.argsort(moduli, axis=1)[:, ::-1][:, :PIECES]
        frequency, which = np.repeat(np.arange(len(values)), order.shape[1]), order.ravel()
        x, y = (vectors[frequency, :, which] for vectors in (right, left))
        weight = (
            np.einsum("na,nab->nb", y, self.K[frequency])
            * x
            * self.steps
            * q[frequency] ** (self.steps - 1)
        )
        slopes = np.einsum("nb,nbi->ni", weight, self.basis[frequency])
        chosen, size = values[frequency, which], moduli[frequency, which]
        return size, size[:, None] / self.steps * (
            slopes / np.where(chosen == 0, 1.0, chosen)[:, None]
        ).real

    def coefficients(self, polynomial: ResidualPolynomial) -> Float:
        """c of a residual polynomial."""
        return series.coefficients(polynomial, self.b)

    def polynomial(self, c: Float) -> ResidualPolynomial:
        """The residual polynomial of the coefficients c."""
        return series.from_coefficients(c, self.b)


def _starts(sampled: _Sampled) -> Iterator[Float]:
    """Chebyshev of the first kind on the high frequencies and on [b/4, b], and of the fourth kind
    on (0, b]."""
    b, degree = sampled.b, sampled.degree
    for part in {round(float(np.clip(sampled.low / b, 1 / 16, 0.9)), 6), 0.25}:
        yield sampled.coefficients(chebyshev(degree, interval=(part * b, b)))
    yield sampled.coefficients(chebyshev4(degree, lmax=b))


def _best_start(sampled: _Sampled, dense: _Dense, starts: Sequence[Float]) -> tuple[Float, float]:
    """The best of the classical families by their factors over all frequencies, and its factor."""
    best, least = starts[0], math.inf
    for c in starts:
        if sampled.largest(c) ** sampled.steps < least:  # which bounds its factor from below
            factor = float(dense.peaks(c)[1].max()) ** sampled.steps
            if factor < least:
                best, least = c, factor
    return best, least


def _lowest(
    sampled: _Sampled, starts: Sequence[Float], iterations: int
) -> tuple[LeastMaximum, int]:
    """The minimum on the sample, from each start roughly and then from the best; and the steps of
    all."""
    lowest, total = LeastMaximum(starts[0], math.inf, 0, False), 0
    for c in starts:
        found = minimise_maximum(sampled.pieces, c, iterations, lowest.value, ROUGH)
        lowest, total = min(lowest, found, key=lambda d: d.value), total + found.iterations
    lowest = minimise_maximum(sampled.pieces, lowest.c, iterations)
    return lowest, total + lowest.iterations


def _above(
    dense: _Dense, lowest: LeastMaximum, over_all: Callable[[Float], FourierFactor]
) -> tuple[float, Float]:
    """The factor of a minimum on the sample, and the frequencies at which it is larger than there,
    shape (n, d)."""
    steps = dense.sampled.steps
    bound = lowest.value**steps * (1 + GAP) + EXACT**steps
    theta, values = dense.peaks(lowest.c, lowest.value)
    worse = theta[values**steps > bound]
    if len(worse):
        return float(values.max()) ** steps, worse
    everywhere = over_all(lowest.c)  # between other frequencies it may be larger
    factor, along = everywhere.factor, everywhere.direction
    worst = everywhere.frequency if along is None else NEAR * np.array(along)
    return factor, np.array([worst])[: int(factor > bound)]


def two_grid_optimal(
    degree: int,
    *,
    problem: Any,
    pre: int = 1,
    post: int = 1,
    coarsening: str | None = None,
    restriction: str = "full",
    interpolation: str = "linear",
    scaling: str = "auto",
    axes: Sequence[int] | str = "auto",
) -> ResidualPolynomial:
    """The q of degree k with the smallest two-grid factor for a problem, pre and post, by numerical
    optimisation (see the module).

    Parameters
    ----------
    degree
        k, products with A, 1 to 16.
    problem
        A problem with constant coefficients or a `Stencil`; the roots refer to its BA.
    pre, post
        Smoothing steps before and after; only their sum matters.
    coarsening, restriction, interpolation, scaling, axes
        As in `mgtheory.fourier.cycle.LocalCycle`.

    Examples
    --------
    >>> from mgtheory.problems.stencils import laplacian
    >>> two_grid_optimal(1, problem=laplacian(2)).roots.real.round(4).tolist()  # 4/5 Jacobi: 0.36
    [5.0]
    """
    return _two_grid(
        degree,
        problem=problem,
        pre=pre,
        post=post,
        coarsening=coarsening,
        restriction=restriction,
        interpolation=interpolation,
        scaling=scaling,
        axes=axes,
    )[0]


def _two_grid(degree: int, *, problem: Any, **options: Any) -> Recorded:
    found = optimise_two_grid(degree, problem, **options)
    return found.polynomial, {
        "two_grid_factor": found.factor,
        "best_start": found.start_factor,
        "converged": found.converged,
    }


register(
    Family(
        "two_grid_optimal",
        two_grid_optimal,
        "problem",
        "method of K. Madsen, J. Inst. Math. Appl. 16 (1975) 321-328, on the two-grid factor",
        f"1 to {MAX_OPTIMAL_DEGREE}",
        _two_grid,
    )
)
