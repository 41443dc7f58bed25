"""The two-grid, three-grid, n-grid cycle as a small matrix for each frequency (local Fourier
analysis of whole cycles).

From level l to level l + 1 the mesh width doubles on the coarsened axes, which are chosen on every
level as the solver chooses them. On a level with n_j of its points for each coarsest point, along
axis j, the n_1 .. n_d harmonics theta + 2 pi alpha / n are coupled. With M_{L-1} = 0 (the coarsest
equation is solved exactly) the error operator of the cycle is

    M_l = S_post^post (I - P (I - M_{l+1}^gamma) A_{l+1}^-1 R A_l) S_pre^pre,

gamma = 1 in a V-cycle, 2 in a W-cycle [Wienands, Joppich 2005]. R is a stencil, sampled at every
second point of the coarsened axes; P is a stencil applied to the coarse values with zeros between,
with symbol That(theta) / 2^(number of coarsened axes).

**theta -> 0.** Where A is singular at theta = 0 its coarse twin is too, and the matrix has a limit
only along each direction. The zero frequency therefore stands for `NEAR` times a set of directions,
where all quotients are still accurate (see `mgtheory.problems.symbols`), and the factor includes
the largest of them. On a periodic grid the constants in the kernel of A are taken out instead
(`removed=True`).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import check_name, check_number, check_shape, check_whole
from mgtheory.fourier.coarsening import Axes, coarsen
from mgtheory.fourier.relaxation import Turns, couples, described, inverse, on_level, step_symbols
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import (
    Complex,
    Float,
    grid_frequencies,
    harmonic_symbols,
    of_level,
    the_stencil,
)

NEAR = 1e-5  # distance at which theta -> 0 is sampled: the limits are reached to about NEAR^2
CYCLES = {"V": 1, "W": 2}


@dataclass(frozen=True, eq=False)
class LocalCycle:
    """A multigrid cycle on infinite (or periodic) grids, its operators and smoothers chosen on
    every level.

    Parameters
    ----------
    operator
        The finest operator: a `Stencil`, a problem with one, a level of a hierarchy for its
        problem, or a centred odd array.
    smoother, post_smoother
        Whatever `mgtheory.smoothers.smoother` takes; the same before and after unless
        `post_smoother` is given. On coarser levels a family, given by its name or with initial
        coefficients, is derived anew; the roots of other polynomials are scaled with the spectrum.
    pre, post
        Smoothing steps before and after the coarse-grid correction; either may be 0.
    levels
        Number of grids, 2 or more.
    cycle
        `V` or `W`.
    coarsening
        `rediscretise` (a problem's scheme on the coarser grid; the stencil of A over 2^order),
        `galerkin` (R A P), or one stencil per coarser level, on the scale of R A P. None:
        of a problem what its solver does, the scheme where it has one on the coarser grid, else
        Galerkin; of a bare stencil, which has no solver, what the stencil says where it is a scalar
        differential operator of one order, else Galerkin. By its name each is the same for both.
    restriction, interpolation
        Names in `mgtheory.problems.transfers`, or stencils (with c x c values for c channels,
        if you like). On the cells of a Neumann problem `full`, `linear` and `cubic` are those of
        cells, and others are refused: they need nested grids.
    order
        Order of the differential operator, for `rediscretise`; None to read it off the stencil.
    scaling
        B of a polynomial in BA: `identity`, `diagonal`, or `auto`, that of its record.
    axes
        What is coarsened: `auto` (on each level the strongly coupled axes, as the solver does),
        `all`, or the axes.
    degree
        Of a family given by its name as `smoother`.
    shift
        beta of a correction P (A_H^-1 + beta) R, over the largest entry of the stencil of A, on
        every level (`mgtheory.matrixfree.shift`).

    Attributes
    ----------
    stencils
        The operator of every level.
    coarsened
        The coarsened axes of every level but the coarsest.
    R, P
        The transfers as stencils, of every level but the coarsest.
    relaxations
        The smoothers before and after on every level but the coarsest.
    counts
        n of every level: its points for each coarsest point, per axis. Where a coloured smoother
        couples modes on an axis that is not coarsened, the coarsest level counts as two points.
    """

    operator: Any
    smoother: Any
    post_smoother: Any = None
    pre: int = 1
    post: int = 1
    levels: int = 2
    cycle: str = "V"
    coarsening: str | Stencil | Sequence[Stencil] | None = None
    restriction: str | Stencil = "full"
    interpolation: str | Stencil = "linear"
    order: int | None = None
    scaling: str = "auto"
    axes: Sequence[int] | str = "auto"
    degree: int | None = None
    shift: float = 0.0
    stencils: tuple[Stencil, ...] = field(init=False)
    coarsened: tuple[Axes, ...] = field(init=False)
    R: tuple[Stencil, ...] = field(init=False)
    P: tuple[Stencil, ...] = field(init=False)
    relaxations: tuple[tuple[Any, Any], ...] = field(init=False)
    counts: tuple[tuple[int, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.__dict__["operator"] = of_level(self.operator)
        fine = the_stencil(self.operator)
        check_whole(self.levels, "levels", 2)
        check_whole(self.pre, "pre", 0)
        check_whole(self.post, "post", 0)
        if self.order is not None:
            check_whole(self.order, "order", 0)
        check_name(self.cycle, tuple(CYCLES), "cycle")
        check_number(self.shift, "shift", "of any sign")
        names = ("coarsening", "restriction", "interpolation", "order", "axes")
        options = {name: getattr(self, name) for name in names}
        self.__dict__.update(coarsen(self.operator, self.levels, **options))
        known = functools.partial(described, scaling=self.scaling, around=self._around)
        before = after = known(self.smoother, degree=self.degree)
        if self.post_smoother is not None:
            after = known(self.post_smoother)
        finest = self.operator if isinstance(self.operator, Problem) else fine
        pairs = []
        for l, axes in enumerate(self.coarsened):
            place = (
                (finest, axes) if l == 0 else (self.stencils[l], axes, finest, self.coarsened[0])
            )
            first = on_level(before, *place)
            pairs.append((first, first if after is before else on_level(after, *place)))
        coupled = any(couples(one) for pair in pairs for one in pair)
        counts = [
            tuple(2 if coupled and j not in self.coarsened[-1] else 1 for j in range(self.dim))
        ]
        for axes in reversed(self.coarsened):
            counts.insert(0, tuple(n * (2 if j in axes else 1) for j, n in enumerate(counts[0])))
        self.__dict__.update(relaxations=tuple(pairs), counts=tuple(counts))

    @functools.cached_property
    def _of_size_1(self) -> tuple[Stencil, ...]:
        """The stencils over a power of two: corrections are those of A times any number, but 1/Ahat
        may leave the range of numbers near the frequency 0."""
        size = float(np.abs(self.stencils[0].matrices).max()) or 1.0
        unit = 2.0 ** max(math.floor(math.log2(size)), -1021)
        return tuple((1.0 / unit) * stencil for stencil in self.stencils)

    @property
    def _around(self) -> dict[str, Any]:
        """What a family that is made for a cycle is to know of this one; of two smoothers neither
        knows how often it is applied."""
        names = ("restriction", "interpolation")
        found = {
            name: getattr(self, name) for name in names if isinstance(getattr(self, name), str)
        }
        if str(self.coarsening) == "galerkin":
            found["coarsening"] = "galerkin"
        if self.post_smoother is None:
            found["pre"], found["post"] = self.pre, self.post
        return found

    @property
    def dim(self) -> int:
        """Number of space dimensions."""
        return self.stencils[0].dim

    @property
    def modes(self) -> int:
        """Number of coupled modes: harmonics of the finest level, times channels."""
        return math.prod(self.counts[0]) * self.stencils[0].channels

    @property
    def is_real(self) -> bool:
        """Whether all stencils are real, so that the spectra at theta and -theta are conjugate."""
        return not any(np.iscomplexobj(s.values) for s in (*self.stencils, *self.R, *self.P))

    def harmonics(self, level: int = 0) -> tuple[Turns, int]:
        """The alpha of a level, shape (m, d), and the order n of its harmonics theta + 2 pi alpha /
        n: the largest n_j, of which alpha_j takes the multiples of n / n_j."""
        counts = self.counts[level]
        order = max(counts)
        return _multiples(counts) * (order // np.array(counts)), order

    def error_operator(self, theta: Float, *, removed: bool = False, level: int = 0) -> Complex:
        """M_l, the matrix of the cycle on the harmonics of each base frequency, shape (F, m, m), on
        the finest level m = `modes`; rows and columns are harmonics, then channels.

        Parameters
        ----------
        theta
            Base frequencies of the level, shape (F, d).
        removed
            Use pseudo-inverses of the coarse operators, as on a periodic grid with the constants in
            the kernel of A removed.
        """
        stencil, axes = self.stencils[level], self.coarsened[level]
        turns, order = self.harmonics(level)
        ahat, r, p = (
            harmonic_symbols(one, theta, turns, order)
            for one in (self._of_size_1[level], self.R[level], self.P[level])
        )
        doubled = theta * [2.0 if j in axes else 1.0 for j in range(self.dim)]
        coarse = self._coarse_correction(level + 1, doubled, removed)
        if self.shift:
            beta = self.shift / np.abs(self._of_size_1[level].matrices).max()
            coarse = coarse + beta * np.eye(coarse.shape[-1])
        # its entries of what the harmonics are on the coarser grid: on a coarsened axis theta + 2
        # pi a / n_j is 2 theta + 2 pi a / (n_j / 2), a mod n_j / 2
        coarser = self.counts[level + 1]
        harmonic = np.ravel_multi_index(
            tuple((_multiples(self.counts[level]) % np.array(coarser)).T), coarser
        )
        places = (harmonic[:, None] * stencil.channels + np.arange(stencil.channels)).ravel()
        chosen = coarse[:, places[:, None], places]
        before, after = self.relaxations[level]
        with np.errstate(invalid="ignore", over="ignore"):
            matrix = whole(p / 2 ** len(axes)) @ chosen @ whole(r @ ahat)
            matrix = np.eye(len(places)) - matrix
            steps: dict[int, Complex] = {}
            if self.pre:
                steps[id(before)] = step_symbols(before, stencil, theta, turns, order)
                matrix = matrix @ whole(np.linalg.matrix_power(steps[id(before)], self.pre))
            if self.post:
                if id(after) not in steps:  # mostly the same before and after
                    steps[id(after)] = step_symbols(after, stencil, theta, turns, order)
                matrix = whole(np.linalg.matrix_power(steps[id(after)], self.post)) @ matrix
        return matrix

    def _coarse_correction(self, level: int, theta: Float, removed: bool) -> Complex:
        """(I - M_l^gamma) A_l^-1 on the harmonics of level l, shape (F, m, m), m with channels; A
        is the operator of `_of_size_1`."""
        ahat = harmonic_symbols(self._of_size_1[level], theta, *self.harmonics(level))
        solved = whole(np.asarray(np.linalg.pinv(ahat, rcond=1e-12)) if removed else inverse(ahat))
        if level == self.levels - 1:  # M = 0
            return solved
        error = self.error_operator(theta, removed=removed, level=level)
        with np.errstate(invalid="ignore"):
            return solved - np.linalg.matrix_power(error, CYCLES[self.cycle]) @ solved

    def base_frequencies(self, shape: Sequence[int]) -> Float:
        """The base frequencies of a periodic grid of `shape` points, theta_j in (-pi/n_j, pi/n_j]
        with the `counts` n of the finest level; shape (*(shape/n), d)."""
        shape, counts = check_shape(shape, "shape", self.dim), self.counts[0]
        if any(size % n for size, n in zip(shape, counts)):
            raise ValueError(
                f"{self.levels} grids need sizes or samples that are a multiple of"
                f" {' x '.join(map(str, counts))}, got {tuple(shape)}"
            )
        return grid_frequencies([size // n for size, n in zip(shape, counts)]) / counts

    @functools.cached_property
    def symmetries(self) -> list[tuple[list[int], Float]]:
        """The exchanges and reflections of axes theta_i -> s_i theta_(axes_i), as pairs (axes, s),
        under which the spectrum does not change.

        Those that keep all stencils, where no smoother has an order of its own; and theta -> -theta
        for real stencils (conjugate spectra).
        """
        dim = self.dim
        used = [
            Stencil(s.offsets, s.matrices).to_array() for s in (*self.stencils, *self.R, *self.P)
        ]
        used = [np.moveaxis(taps, (0, 1), (-2, -1)) for taps in used]
        ordered = any(getattr(one, "ordered", True) for pair in self.relaxations for one in pair)
        every = itertools.product(
            itertools.permutations(range(dim)), itertools.product((1, -1), repeat=dim)
        )
        identity = (tuple(range(dim)), (1,) * dim)
        allowed = [
            (list(axes), np.array(signs, dtype=float))
            for axes, signs in ([identity] if ordered else every)
            if all(_keeps(taps, axes, signs) for taps in used)
        ]
        if self.is_real:
            allowed += [(axes, -signs) for axes, signs in allowed]
        once = {(*axes, *signs.tolist()): (axes, signs) for axes, signs in allowed}
        return list(once.values())

    def representative(self, theta: Float) -> Float:
        """Of each theta, shape (F, d), the image under `symmetries` that stands for all."""
        images = np.stack([theta[:, axes] * signs for axes, signs in self.symmetries])
        # the first in any order will do; this one takes all axes and no two images for equal
        order = images @ np.sqrt([2.0, 3.0, 5.0])[: self.dim]
        return images[order.argmax(axis=0), np.arange(len(theta))]

    def kernel_complement(self) -> Complex:
        """Orthonormal basis, shape (m, m - r), of what remains of the harmonics of 0 without the
        r-dimensional kernel of Ahat(0)."""
        fine = self.stencils[0]
        symbol = harmonic_symbols(fine, np.zeros((1, self.dim)))[0, 0]
        _, values, vectors = np.linalg.svd(symbol)
        regular = values > 1e-12 * float(np.abs(fine.matrices).sum(axis=0).max())
        basis = np.eye(self.modes, dtype=np.complex128)
        basis[: fine.channels, : fine.channels] = vectors.conj().T
        return basis[:, np.concatenate([regular, np.ones(self.modes - fine.channels, bool)])]


def _keeps(taps: NDArray[Any], axes: Sequence[int], signs: Sequence[int]) -> bool:
    """Whether the centred array of a stencil, shape (n_1, .., n_d, c, c), is its own image."""
    image = taps.transpose(*axes, -2, -1)[tuple(slice(None, None, sign) for sign in signs)]
    return image.shape == taps.shape and bool(
        np.abs(image - taps).max() <= 1e-12 * np.abs(taps).max()
    )


def directions(dim: int) -> Float:
    """Unit vectors along the integer vectors with entries -2..2, one of each opposite pair, shape
    (1, 8 or 49; d)."""
    units = [
        np.array(v) / np.linalg.norm(v)
        for v in itertools.product(range(-2, 3), repeat=dim)
        if v > (0,) * dim
    ]
    return np.unique(np.round(units, 15), axis=0)


def _multiples(counts: Sequence[int]) -> Turns:
    """The integer vectors with 0 <= a_j < n_j, shape (prod n, d)."""
    return np.array(list(itertools.product(*map(range, counts))), dtype=np.int64)


def whole(blocks: Complex) -> Complex:
    """The matrix (F, mc, mc) of what keeps each mode, (F, m, c, c); a whole one stays itself."""
    if blocks.ndim == 3:
        return blocks
    count, modes, channels = blocks.shape[:3]
    matrix = np.zeros((count, modes, channels, modes, channels), blocks.dtype)
    matrix[:, range(modes), :, range(modes)] = blocks.swapaxes(0, 1)
    return matrix.reshape(count, modes * channels, modes * channels)
