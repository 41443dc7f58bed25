"""The two-grid, three-grid, n-grid cycle as a small matrix for each frequency (local Fourier
analysis of whole cycles).

Level l = 0 .. L-1 has mesh width 2^l. On a level with n = 2^(L-1-l) of its points for each coarsest
point, along an axis, the n^d harmonics theta + 2 pi alpha / n are coupled. With M_{L-1} = 0 (the
coarsest equation is solved exactly) the error operator of the cycle is

    M_l = S_post^post (I - P (I - M_{l+1}^gamma) A_{l+1}^-1 R A_l) S_pre^pre,

gamma = 1 in a V-cycle, 2 in a W-cycle [Wienands, Joppich 2005]. R is a stencil, sampled at every
second point; P is a stencil applied to the coarse values with zeros between, with symbol
That(theta) / 2^d.

**theta -> 0.** Where A is singular at theta = 0 its coarse twin is too, and the matrix has a limit
only along each direction. The zero frequency therefore stands for `NEAR` times a set of directions,
where all quotients are still accurate (see `mgtheory.problems.symbols`), and the factor includes
the largest of them. On a periodic grid the constants in the kernel of A are taken out instead
(`removed=True`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mgtheory._checks import check_name, check_shape, check_whole
from mgtheory.fourier.relaxation import Relaxation, Turns, as_relaxation, inverse
from mgtheory.problems.stencils import Stencil, tensor
from mgtheory.problems.symbols import (
    ROW_SUM,
    Complex,
    Float,
    grid_frequencies,
    harmonic_symbols,
    the_stencil,
)

NEAR = 1e-5  # distance at which theta -> 0 is sampled: the limits are reached to about NEAR^2
CYCLES = {"V": 1, "W": 2}

__all__ = ["COARSENINGS", "CYCLES", "INTERPOLATIONS", "NEAR", "RESTRICTIONS", "LocalCycle"]


def _half_weighting(dim: int) -> Stencil:
    neighbours = [
        tuple(sign if i == j else 0 for i in range(dim)) for j in range(dim) for sign in (-1, 1)
    ]
    return Stencil(((0,) * dim, *neighbours), np.array([0.5] + [0.25 / dim] * (2 * dim)))


RESTRICTIONS: dict[str, Callable[[int], Stencil]] = {
    "full": lambda dim: tensor(*[(0.25, 0.5, 0.25)] * dim),
    "half": _half_weighting,
    "injection": lambda dim: Stencil(((0,) * dim,), np.ones(1)),
}
INTERPOLATIONS: dict[str, Callable[[int], Stencil]] = {
    "linear": lambda dim: tensor(*[(0.5, 1.0, 0.5)] * dim),
    "cubic": lambda dim: tensor(*[(-1 / 16, 0.0, 9 / 16, 1.0, 9 / 16, 0.0, -1 / 16)] * dim),
}
COARSENINGS = ("galerkin", "rediscretise")


def _transfer(
    given: str | Stencil, known: dict[str, Callable[[int], Stencil]], fine: Stencil, what: str
) -> Stencil:
    if isinstance(given, str):
        if given not in known:
            raise ValueError(f"unknown {what} {given!r}; known: {', '.join(known)}, or a Stencil")
        return known[given](fine.dim)
    if (
        isinstance(given, Stencil)
        and given.dim == fine.dim
        and given.channels in (1, fine.channels)
    ):
        return given
    raise ValueError(
        f"{what} must be a name or a Stencil in {fine.dim} dimensions with 1 or {fine.channels}"
        f" channels, got {given!r}"
    )


@dataclass(frozen=True, eq=False)
class LocalCycle:
    """A multigrid cycle on infinite (or periodic) grids, its operators and smoothers chosen on
    every level.

    Parameters
    ----------
    operator
        The finest operator on the h = 1 scale: a `Stencil`, a problem with one, or a centred odd
        array.
    smoother, post_smoother
        Anything `as_relaxation` takes; the same before and after unless `post_smoother` is given.
        On coarser levels a smoother is moved by its `on_level` (roots of a polynomial are scaled
        with the spectral radius).
    pre, post
        Smoothing steps before and after the coarse-grid correction; either may be 0.
    levels
        Number of grids, 2 or more.
    cycle
        `V` or `W`.
    coarsening
        `rediscretise` (the stencil of A over 2^order), `galerkin` (R A P), or one stencil per
        coarser level, on the scale of R A P. None: rediscretise a scalar stencil whose values sum
        to zero, a differential operator, and take the Galerkin operator of all others.
    restriction, interpolation
        Names in `RESTRICTIONS` and `INTERPOLATIONS`, or stencils (with c x c values for c channels,
        if you like).
    order
        Order of the differential operator, for `rediscretise`.
    scaling
        B of a polynomial in BA, `identity` or `diagonal`.

    Attributes
    ----------
    stencils
        The operator of every level.
    R, P
        The transfers as stencils.
    relaxations
        The smoothers before and after on every level but the coarsest.
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
    order: int = 2
    scaling: str = "identity"
    stencils: tuple[Stencil, ...] = field(init=False)
    R: Stencil = field(init=False)
    P: Stencil = field(init=False)
    relaxations: tuple[tuple[Relaxation, Relaxation], ...] = field(init=False)

    def __post_init__(self) -> None:
        fine = the_stencil(self.operator)
        check_whole(self.levels, "levels", 2)
        check_whole(self.pre, "pre", 0)
        check_whole(self.post, "post", 0)
        check_whole(self.order, "order", 0)
        check_name(self.cycle, tuple(CYCLES), "cycle")
        object.__setattr__(
            self, "R", _transfer(self.restriction, RESTRICTIONS, fine, "restriction")
        )
        object.__setattr__(
            self, "P", _transfer(self.interpolation, INTERPOLATIONS, fine, "interpolation")
        )
        if self.coarsening is None:
            zero_sum = abs(fine.matrices.sum()) <= ROW_SUM * np.abs(fine.matrices).sum()
            object.__setattr__(
                self,
                "coarsening",
                "rediscretise" if fine.channels == 1 and zero_sum else "galerkin",
            )
        object.__setattr__(self, "stencils", (fine, *self._coarse_stencils(fine)))
        before = as_relaxation(self.smoother, self.operator, scaling=self.scaling)
        after = (
            before
            if self.post_smoother is None
            else as_relaxation(self.post_smoother, self.operator, scaling=self.scaling)
        )
        pairs = [(before, after)]
        for coarse in self.stencils[1:-1]:
            pairs.append((before.on_level(fine, coarse), after.on_level(fine, coarse)))
        object.__setattr__(self, "relaxations", tuple(pairs))

    def _coarse_stencils(self, fine: Stencil) -> list[Stencil]:
        if not isinstance(self.coarsening, str):
            given = [self.coarsening] if isinstance(self.coarsening, Stencil) else self.coarsening
            stencils = (
                list(given)
                if isinstance(given, list | tuple) and all(isinstance(s, Stencil) for s in given)
                else []
            )
            if len(stencils) != self.levels - 1 or any(
                (s.dim, s.channels) != (fine.dim, fine.channels) for s in stencils
            ):
                raise ValueError(
                    f"coarsening is one of {', '.join(COARSENINGS)}, or {self.levels - 1} stencils"
                    " of the operator's dimension and channels"
                )
            return stencils
        if self.coarsening == "rediscretise":
            return [fine / 2.0 ** (self.order * l) for l in range(1, self.levels)]
        if self.coarsening != "galerkin":
            raise ValueError(
                f"unknown coarsening {self.coarsening!r}; known: {', '.join(COARSENINGS)}, or"
                " stencils"
            )
        coarse = [fine]
        for _ in range(1, self.levels):
            coarse.append((self.R @ coarse[-1] @ self.P).subsampled(2))
        return coarse[1:]

    @property
    def dim(self) -> int:
        """Number of space dimensions."""
        return self.stencils[0].dim

    @property
    def is_real(self) -> bool:
        """Whether all stencils are real, so that the spectra at theta and -theta are conjugate."""
        return not any(np.iscomplexobj(s.values) for s in (*self.stencils, self.R, self.P))

    def error_operator(self, theta: Float, *, removed: bool = False) -> Complex:
        """The matrix of the cycle on the harmonics of each base frequency, shape (F, m, m), m =
        2^((levels - 1) d) c.

        Parameters
        ----------
        theta
            Base frequencies, shape (F, d).
        removed
            Use pseudo-inverses of the coarse operators, as on a periodic grid with the constants in
            the kernel of A removed.
        """
        return self._error_operator(0, np.asarray(theta, dtype=float), removed)

    def _error_operator(self, level: int, theta: Float, removed: bool) -> Complex:
        n, dim, stencil = 2 ** (self.levels - 1 - level), self.dim, self.stencils[level]
        turns, channels = _harmonics(n, dim), stencil.channels
        modes, count = len(turns), len(theta)
        ahat = harmonic_symbols(stencil, theta, turns, n)
        ra = _matmul(harmonic_symbols(self.R, theta, turns, n), ahat)
        p = harmonic_symbols(self.P, theta, turns, n) / 2**dim
        coarse = self._coarse_correction(level + 1, 2 * theta, removed)
        places = _places(turns % (n // 2), n // 2)
        chosen = coarse[:, places][:, :, places]
        with np.errstate(invalid="ignore", over="ignore"):
            correction = _matmul(_matmul(p[:, :, None], chosen), ra[:, None])
        matrix = np.eye(modes * channels) - correction.swapaxes(2, 3).reshape(
            count, modes * channels, modes * channels
        )
        before, after = self.relaxations[level]
        with np.errstate(invalid="ignore"):
            if self.pre:
                matrix = _times(
                    matrix,
                    np.linalg.matrix_power(before.symbols(stencil, theta, turns, n), self.pre),
                )
            if self.post:
                matrix = _after(
                    np.linalg.matrix_power(after.symbols(stencil, theta, turns, n), self.post),
                    matrix,
                )
        return matrix

    def _coarse_correction(self, level: int, theta: Float, removed: bool) -> Complex:
        """(I - M_l^gamma) A_l^-1 on the harmonics of level l, shape (F, m, m, c, c)."""
        n, stencil = 2 ** (self.levels - 1 - level), self.stencils[level]
        turns, channels = _harmonics(n, self.dim), stencil.channels
        ahat = harmonic_symbols(stencil, theta, turns, n)
        inverted: Complex = (
            np.asarray(np.linalg.pinv(ahat, rcond=1e-12)) if removed else inverse(ahat)
        )
        if n == 1:
            return inverted[:, :, None]
        matrix = np.eye(len(turns) * channels) - np.linalg.matrix_power(
            self._error_operator(level, theta, removed), CYCLES[self.cycle]
        )
        blocks = _times(matrix, inverted).reshape(
            len(theta), len(turns), channels, len(turns), channels
        )
        return blocks.swapaxes(2, 3)

    def base_frequencies(self, shape: Sequence[int]) -> Float:
        """The base frequencies of a periodic grid of `shape` points, in (-pi/n, pi/n] with n =
        2^(levels - 1); shape (*(shape/n), d)."""
        n = 2 ** (self.levels - 1)
        shape = check_shape(shape, "shape", self.dim)
        if any(size % n for size in shape):
            raise ValueError(
                f"{self.levels} grids need sizes that are multiples of {n}, got {tuple(shape)}"
            )
        return grid_frequencies([size // n for size in shape]) / n

    def kernel_complement(self) -> Complex:
        """Orthonormal basis, shape (m, m - r), of what remains of the harmonics of 0 without the
        r-dimensional kernel of Ahat(0)."""
        fine = self.stencils[0]
        symbol = harmonic_symbols(fine, np.zeros((1, self.dim)))[0, 0]
        _, values, vectors = np.linalg.svd(symbol)
        regular = values > 1e-12 * max(1.0, float(np.abs(fine.matrices).sum(axis=0).max()))
        size = 2 ** (self.dim * (self.levels - 1)) * fine.channels
        basis = np.eye(size, dtype=np.complex128)
        basis[: fine.channels, : fine.channels] = vectors.conj().T
        return basis[:, np.concatenate([regular, np.ones(size - fine.channels, bool)])]


def directions(dim: int) -> Float:
    """Unit vectors along the integer vectors with entries -2..2, one of each opposite pair, shape
    (1, 8 or 49, d)."""
    units = [
        np.array(v) / np.linalg.norm(v)
        for v in itertools.product(range(-2, 3), repeat=dim)
        if v > (0,) * dim
    ]
    return np.unique(np.round(units, 15), axis=0)


def _harmonics(n: int, dim: int) -> Turns:
    return np.array(list(itertools.product(range(n), repeat=dim)), dtype=np.int64)


def _places(turns: Turns, n: int) -> npt.NDArray[np.int64]:
    return np.ravel_multi_index(tuple(turns.T), (n,) * turns.shape[1])


def _matmul(a: Complex, b: Complex) -> Complex:
    """A product of stacks of blocks, where a 1 x 1 block acts as a number."""
    return a * b if 1 in (a.shape[-1], b.shape[-1]) else a @ b


def _times(matrix: Complex, step: Complex) -> Complex:
    """Matrix (F, mc, mc) times a step, (F, m, c, c) if it keeps each mode."""
    if step.ndim == 3:
        return matrix @ step
    count, modes, channels = step.shape[:3]
    if channels == 1:
        return matrix * step.reshape(count, 1, modes)
    columns = matrix.reshape(count, modes * channels, modes, channels).swapaxes(1, 2)
    return (columns @ step).swapaxes(1, 2).reshape(matrix.shape)


def _after(step: Complex, matrix: Complex) -> Complex:
    """A step times a matrix (F, mc, mc)."""
    if step.ndim == 3:
        return step @ matrix
    count, modes, channels = step.shape[:3]
    if channels == 1:
        return step.reshape(count, modes, 1) * matrix
    return (step @ matrix.reshape(count, modes, channels, -1)).reshape(matrix.shape)
