"""Constant stencils that reach one point and are symmetric in every axis: eight numbers, their
symbol, coarse operators, smoothing steps and inverse.

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
import scipy.fft
from numpy.typing import NDArray

from mgtheory._checks import check_number
from mgtheory.families import FAMILIES
from mgtheory.matrixfree.tables import CACHED, Grid, coarse_points
from mgtheory.multigrid.options import Options, Schedule
from mgtheory.polynomials.factors import Factor
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems import tensor
from mgtheory.problems.grids import Boundary, Shape, check_shape, choose_axes
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil
from mgtheory.smoothers import Jacobi, Polynomial
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


def smoothing_steps(polynomial: ResidualPolynomial) -> list[Array]:
    """The polynomial as steps x_i = x_{i-1} + omega r_{i-1} + mu (x_{i-1} - x_{i-2}), one array of
    (omega, mu) rows for each real factor.

    A pair with correction c_0 r + c_1 A r, c_1 < 0 (a conjugate one), is two steps with omega =
    (-c_1)^(1/2), the second with mu = c_0/omega - 2: the first gives A r = (r_0 - r_1)/omega
    without another product.
    """
    return [
        _factor_steps(factor)
        for factor in polynomial.factors
        if any(factor.correction_coefficients)
    ]


def _factor_steps(factor: Factor) -> Array:
    c = factor.correction_coefficients
    if len(c) == 1:
        return np.array([[c[0], 0.0]])
    if len(c) > 2 or c[1] >= 0.0:
        raise TypeError(f"no steps for a {factor.kind} factor with the terms {c}")
    omega = (-c[1]) ** 0.5
    return np.array([[omega, 0.0], [omega, c[0] / omega - 2.0]])


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


def described_on(schedule: Schedule, operator: Any) -> tuple[Polynomial | Jacobi, bool]:
    """What smooths on a level, and whether it was made for this very level; refused where it needs
    a matrix."""
    made, own = schedule.on(operator)
    if not isinstance(made, Polynomial | Jacobi):
        raise ValueError(
            f"the matrix-free cycle smooths by polynomials or Jacobi, got {schedule.given!r};"
            " mgtheory.Hierarchy has others (backend 'sparse')"
        )
    if isinstance(made, Polynomial) and made.polynomial is None:
        assert made.family is not None
        if FAMILIES[made.family].needs == "operator":
            raise ValueError(
                f"{made.family} needs the level's matrix, which the matrix-free cycle has not:"
                " derive it first and pass its polynomial; mgtheory.Hierarchy derives it itself"
                " (backend 'sparse')"
            )
    return made, own


def steps_on(schedule: Schedule, operator: Any) -> list[Array]:
    """The steps (omega, mu) that smooth a level's A, see `smoothing_steps`; D^-1 A where the
    coefficients of the operator vary."""
    described, own = described_on(schedule, operator)
    if isinstance(described, Jacobi):
        return [np.array([[described.omega / operator.diagonal, 0.0]])]
    if operator.varies and described.scaling == "identity":
        raise ValueError(
            f"level {operator.index}: a polynomial of A itself was given, the matrix-free cycle"
            " smooths variable coefficients by those of D^-1 A: take scaling='diagonal'"
        )
    finest = operator if own or operator.finest is None else operator.finest
    if described.polynomial is not None:
        described = replace(described, polynomial=_of_unit_diagonal(described, finest))
    steps = _steps(
        replace(described, scaling="diagonal"),
        operator.record(signed=described.signed),
        None if finest is operator else finest.record(signed=described.signed),
    )
    return [step * (1.0 / abs(operator.diagonal), 1.0) for step in steps]


def _of_unit_diagonal(described: Polynomial, finest: Any) -> ResidualPolynomial:
    """The given polynomial for D^-1 A of the finest level: where D is a number, that is a factor
    like any other."""
    q, unit = described.polynomial, finest.record(signed=described.signed)
    assert q is not None
    if described.scaling == "diagonal" or finest.varies:
        return q.on(unit)
    size = abs(finest.diagonal)
    a, b = (end * size for end in unit.interval)
    moved = q.on(replace(unit, lower=a, upper=b, scaling="identity"))
    scaled = moved.scaled(1.0 / size)
    return scaled if moved.operator is None else scaled.of(unit)


@functools.lru_cache(maxsize=CACHED)
def _steps(
    described: Polynomial, record: OperatorRecord, finest: OperatorRecord | None
) -> list[Array]:
    """Steps for D^-1 A of a record; kept for the next level and the next set-up."""
    return smoothing_steps(described.on(record, finest))


class SineSolver:
    """e = A^-1 r by the sine transform, exact for these stencils: products with sine matrices where
    all axes are short, else SciPy's."""

    def __init__(self, c: Array, grid: Grid) -> None:
        angles = [np.pi * np.arange(1, n + 1) / (n + 1) for n in grid]
        eigenvalues = symbol_values(c, [2.0 * np.cos(t) for t in angles])
        if np.min(np.abs(eigenvalues)) <= 1e-14 * np.max(np.abs(eigenvalues)):
            raise ValueError("the coarsest operator is singular")
        self._inverse = 1.0 / eigenvalues
        self._matrices: list[Array] | None = None
        if max(grid) <= 96:
            self._matrices = [
                np.sqrt(2.0 / (n + 1)) * np.sin(np.outer(np.arange(1, n + 1), t))
                for n, t in zip(grid, angles, strict=True)
            ]

    def single(self, unit: float) -> SineSolver:
        """The same for A / unit in float32."""
        made = object.__new__(SineSolver)
        made._inverse = (self._inverse * unit).astype(np.float32)
        matrices = self._matrices
        made._matrices = None if matrices is None else [s.astype(np.float32) for s in matrices]
        return made

    def _transform(self, v: Array) -> Array:
        if self._matrices is None:
            return np.asarray(scipy.fft.dstn(v, type=1, norm="ortho"))
        s0, s1, s2 = self._matrices
        if v.shape[1] == 1:
            return (s0 @ v[:, 0] @ s2)[:, None]
        # plane by plane: a BLAS shares the products of all of them between threads of its own,
        # which wait for each other longer than it takes, 100 times as long on a busy machine
        v = np.matmul(np.matmul(s1, v), s2)
        result = np.empty_like(v)
        np.matmul(s0, v.transpose(1, 0, 2), out=result.transpose(1, 0, 2))
        return result

    def __call__(self, r: Array) -> Array:
        """A^-1 r, shape of the grid."""
        return self._transform(self._transform(r) * self._inverse)


@functools.lru_cache(maxsize=4)  # each has a vector of its grid
def sine_solver(c: bytes, grid: Grid) -> SineSolver:
    """That of a stencil's eight numbers, kept for the next set-up."""
    return SineSolver(np.frombuffer(c).reshape(2, 2, 2), grid)
