"""Constant stencils that reach one point and are symmetric in every axis: eight numbers, their
symbol and coarse operators.

Every grid is seen as (planes, rows, columns): (n,) is (1, 1, n), (n0, n1) is (n0, 1, n1). The
stencil is c[i, j, k] for the absolute offsets; its symbol sum c[i, j, k] (2 cos t_0)^i (2 cos
t_1)^j (2 cos t_2)^k is multi-affine in the cosines, so its range is found in corners, and it gives
the eigenvalues for the coarsest solve.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import check_number
from mgtheory.matrixfree.tables import CACHED, Grid, coarse_points
from mgtheory.multigrid.options import Options
from mgtheory.problems import tensor
from mgtheory.problems.grids import Boundary, Shape, check_shape, choose_axes
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil
from mgtheory.spectra.record import Form, OperatorRecord, check_positive

Array = NDArray[np.float64]
COARSEST = 4096  # unknowns up to which a sine transform is as cheap as the cycles below it


def eight_numbers(stencil: Array) -> Array:
    """c[i, j, k] of shape (2, 2, 2) from a stencil of shape (3,), (3, 3) or (3, 3, 3); extents may
    be 1.

    Raises
    ------
    ValueError
        If the stencil reaches further than one point or is not symmetric in every axis.
    """
    given = np.asarray(stencil, dtype=float)
    if any(n not in (1, 3) for n in given.shape):
        raise ValueError(
            "the matrix-free cycle takes stencils that reach one point, got an array of shape"
            f" {given.shape}"
        )
    full = np.pad(given, [((3 - n) // 2,) * 2 for n in given.shape])
    size = np.abs(full).max()
    for axis in range(given.ndim):
        mirrored = np.flip(full, axis)
        if not (np.abs(full - mirrored) <= 1e-12 * np.abs(mirrored) + 1e-14 * size).all():
            raise ValueError(
                "the matrix-free cycle takes stencils that are symmetric in every axis, this one"
                f" is not along axis {axis}"
            )
    return _octant(full)


def _octant(stencil: Array) -> Array:
    """The eight numbers of a stencil of shape (3,) * d that is symmetric in every axis."""
    half = stencil[(slice(1, None),) * stencil.ndim]
    grid = as_grid(half.shape)
    c = np.zeros((2, 2, 2))
    c[: grid[0], : grid[1], : grid[2]] = half.reshape(grid)
    return c


def places(dim: int) -> tuple[int, ...]:
    """Which of (planes, rows, columns) the axes of a grid are."""
    return {1: (2,), 2: (0, 2), 3: (0, 1, 2)}[dim]


def as_grid(shape: Sequence[int]) -> Grid:
    """(planes, rows, columns) of a grid of 1 to 3 axes."""
    grid = [1, 1, 1]
    for place, n in zip(places(len(shape)), shape, strict=True):
        grid[place] = int(n)
    return grid[0], grid[1], grid[2]


def symbol_values(c: Array, doubled_cosines: Sequence[Array]) -> Array:
    """sum c[i, j, k] u_0^i u_1^j u_2^k on the tensor grid of three arrays u."""
    for u in doubled_cosines:  # each takes the place of the first axis, at the end
        c = np.tensordot(c, np.stack([np.ones_like(u), u]), axes=(0, 0))
    return c


@functools.lru_cache(maxsize=CACHED)
def _known(taps: tuple[float, ...], dim: int, axes: tuple[int, ...]) -> tuple[float, float, Form]:
    """The exact ends of the symbol on the frequencies with some |t_j| >= pi/2 on one of the axes,
    the upper one over all frequencies, and the form of the eight numbers `taps`.

    Kept, because nested grids have one stencil up to a factor.
    """
    c, used = np.reshape(taps, (2, 2, 2)), places(dim)
    # multi-affine in u = 2 cos t, so extreme where every u is 2, 0 (at pi/2) or -2
    corners = symbol_values(c, [np.array([2.0, 0.0, -2.0])] * 3)
    high = np.zeros((3, 3, 3), dtype=bool)
    for j in axes or range(dim):
        np.moveaxis(high, used[j], 0)[1:] = True
    form = [
        (offset, float(value / np.abs(c).max()))
        for offset in itertools.product((-1, 0, 1), repeat=dim)
        if (value := c[tuple(np.bincount(used, np.abs(offset), 3).astype(int))])
    ]
    return float(corners[high].min()), float(corners.max()), tuple(form)


def galerkin(c: Array, axes: Sequence[int]) -> Array:
    """R A P of the stencil with linear interpolation and full weighting, axes coarsened by nested
    halving."""
    full = c
    for a in range(3):
        full = np.concatenate([np.take(full, [1], axis=a), full], axis=a)
    for a in axes:
        # R A P along an axis: convolve with (1, 2, 1)/4 and (1, 2, 1)/2 and keep every second
        # offset
        taps = np.array([[4.0, 1.0, 0.0], [4.0, 6.0, 4.0], [0.0, 1.0, 4.0]]) / 8.0
        full = np.moveaxis(np.tensordot(taps, full, axes=(1, a)), 0, a)
    return np.ascontiguousarray(full[1:, 1:, 1:])


class OnGrid:
    """What follows of the shapes of a grid and of the next coarser one."""

    shape: Shape
    coarse: Shape

    @property
    def size(self) -> int:
        """Unknowns."""
        return math.prod(self.shape)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that are coarsened from here."""
        return tuple(j for j, (n, m) in enumerate(zip(self.shape, self.coarse)) if n != m)


@dataclass(frozen=True, eq=False)
class Operator(OnGrid):
    """A constant stencil on one grid.

    Attributes
    ----------
    shape, c
        Unknowns per axis; the stencil's eight numbers, 1/h^2 included.
    coarse
        Shape of the next coarser grid; the same where no axis is coarsened.
    index
        0 on the finest grid.
    problem
        The model problem it comes from; None for a bare stencil.
    finest
        The operator of level 0; None there.
    """

    shape: Shape
    c: Array
    coarse: Shape = ()
    index: int = 0
    problem: Problem | None = None
    finest: Operator | None = None
    varies = False

    @property
    def numbers(self) -> tuple[Array, ...]:
        """What A is made of."""
        return (self.c,)

    @property
    def diagonal(self) -> float:
        """The centre tap, the diagonal of A."""
        centre = float(self.c[0, 0, 0])
        if centre == 0.0:
            raise ValueError(f"level {self.index}: the stencil has a zero diagonal")
        return centre

    @property
    def couplings(self) -> tuple[float, ...]:
        """The strength of the coupling along each axis, as `Stencil.couplings`."""
        if self.problem is not None:
            return self.problem.couplings(self.shape)
        both = np.array([1.0, 2.0])  # a number stands for two taps, but at the centre
        lines = (np.moveaxis(self.c, p, -1)[..., 1] for p in places(len(self.shape)))
        return tuple(abs(float(both @ taps @ both)) for taps in lines)

    @cached_property
    def _spectrum(self) -> tuple[float, float, Form]:
        """The ends of that of |D|^-1 A, and the form of A."""
        return _known(tuple((self.c / abs(self.diagonal)).flat), len(self.shape), self.axes)

    def record(self, *, signed: bool = False) -> OperatorRecord:
        """The record of |D|^-1 A. It is the same on all grids on which A is a multiple of one
        stencil, so that a polynomial is derived once for them.

        Raises
        ------
        ValueError
            If the spectrum to damp is not positive, unless it may be `signed`.
        """
        a, b, form = self._spectrum
        positive = 0.0 <= a <= b > 0.0
        if not positive:
            if not signed:
                size = abs(self.diagonal)
                check_positive(a * size, b * size, f"level {self.index}", self.index)
            a, b = 0.0, max(abs(a), abs(b))
        what = "a stencil" if self.problem is None else self.problem.name
        return _record(f"the grids of {what}", b, a, self.axes or None, positive, form)


@functools.lru_cache(maxsize=CACHED)
def _record(
    name: str, b: float, a: float, axes: tuple[int, ...] | None, positive: bool, form: Form
) -> OperatorRecord:
    """The record of a |D|^-1 A with the spectrum [a, b]; kept, for its checks take longer than a
    small grid."""
    return OperatorRecord(
        "problem",
        name,
        b,
        a,
        scaling="diagonal",
        axes=axes,
        padding="dirichlet",
        found="the symbol, exact",
        positive=positive,
        form=form,  # and no source: caches hold the record, not the problem's matrix
    )


@dataclass(frozen=True)
class Coarsening:
    """How one grid's operator gives the next one's, by ``coarsening`` (rediscretise by default),
    ``axes`` and ``coarsest`` of the options."""

    options: Options

    def from_here(self, fine: Operator) -> Operator:
        """The operator with the shape of the grid below it."""
        chosen = choose_axes(fine.couplings, fine.shape, self.options.axes)
        coarse = tuple(coarse_points(n) if j in chosen else n for j, n in enumerate(fine.shape))
        return replace(fine, coarse=coarse)

    def next(self, fine: Operator) -> Operator | None:
        """The operator of the next coarser grid; None where no axis has one."""
        if not fine.axes or fine.size <= (self.options.coarsest or COARSEST):
            return None
        below = replace(
            fine,
            shape=fine.coarse,
            c=self._numbers(fine),
            index=fine.index + 1,
            finest=fine.finest or fine,
        )
        return self.from_here(below)

    def _numbers(self, fine: Operator) -> Array:
        if self.options.coarsening == "galerkin":
            if any(fine.shape[j] != 2 * fine.coarse[j] + 1 for j in fine.axes):
                raise ValueError(
                    f"galerkin from {fine.shape} to {fine.coarse} gives no constant stencil; take"
                    " odd sizes, or rediscretise"
                )
            return galerkin(fine.c, [places(len(fine.shape))[j] for j in fine.axes])
        if fine.problem is not None:
            return problem_numbers(fine.problem, fine.coarse)
        ratios = {(n + 1) / (m + 1) for n, m in zip(fine.shape, fine.coarse, strict=True)}
        if len(ratios) > 1:
            raise ValueError(
                f"a bare stencil on {fine.shape} has no twin on {fine.coarse} (unequal ratios);"
                " give a Problem, or galerkin"
            )
        return fine.c / ratios.pop() ** 2


def problem_numbers(problem: Problem, shape: Shape) -> Array:
    """The eight numbers of the problem's scheme on a shape."""
    polynomial = problem.equation.polynomial(shape)
    assert polynomial is not None
    # a polynomial in second differences is symmetric in every axis
    return _octant(tensor.stencil_array(polynomial, problem.equation.widths(shape)))


def check_problem(problem: Problem, shape: Any, h: Any) -> None:
    """Refuse boundaries that the kernels do not have, and what belongs to a bare stencil."""
    if shape is not None or h is not None:
        raise ValueError("shape and h belong to a bare stencil, a Problem brings its own")
    if problem.boundary is not Boundary.DIRICHLET:
        raise ValueError(
            f"the matrix-free cycle takes dirichlet boundaries, got {problem.boundary};"
            " mgtheory.Hierarchy takes all (backend 'sparse')"
        )


def make_operator(problem: Any, shape: int | Sequence[int] | None, h: float | None) -> Operator:
    """The finest operator, or a ValueError that says what is not supported."""
    if isinstance(problem, Problem):
        check_problem(problem, shape, h)
        if problem.polynomial is None:
            raise ValueError(
                f"{problem.name}: the matrix-free cycle takes stencils of reach one that are even"
                " along every axis; mgtheory.Hierarchy takes others (backend 'sparse')"
            )
        numbers = problem_numbers(problem, problem.shape)
        return Operator(problem.shape, numbers, problem=problem)
    if not isinstance(problem, Stencil):
        raise ValueError(
            f"got a {type(problem).__name__}, the matrix-free cycle takes a Problem or a Stencil"
        )
    if shape is None:
        raise ValueError("a bare stencil needs the shape of its grid")
    if problem.channels != 1 or np.iscomplexobj(problem.values):
        raise ValueError("the matrix-free cycle takes real stencils of one channel")
    grid = check_shape(shape, Boundary.DIRICHLET)
    if problem.dim != len(grid):
        raise ValueError(f"the stencil has {problem.dim} axes, the shape {grid} has {len(grid)}")
    width = 1.0 / (grid[0] + 1) if h is None else check_number(h, "h", "larger than 0")
    return Operator(grid, eight_numbers(problem.to_array().astype(float)) / width**2)
