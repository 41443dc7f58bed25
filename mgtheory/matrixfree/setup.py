"""Set-up of the matrix-free hierarchy: the stencil on every grid, what is coarsened, and each
level's smoothing polynomial."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import check_number
from mgtheory.families import FAMILIES
from mgtheory.matrixfree.operators import (
    eight_numbers,
    galerkin,
    places,
    smoothing_steps,
    symbol_range,
)
from mgtheory.matrixfree.tables import CACHED
from mgtheory.multigrid.setup import count
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems import tensor
from mgtheory.problems.grids import Boundary, Shape, check_shape, choose_axes
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil
from mgtheory.smoothers import Jacobi, Polynomial
from mgtheory.smoothers import smoother as make_smoother

__all__ = ["Operator", "Smoothers", "make_operator"]

Array = NDArray[np.float64]
COARSENINGS = ("rediscretise", "galerkin")


@dataclass(frozen=True, eq=False)
class Operator:
    """A constant stencil on one grid: its eight numbers c (1/h^2 included), and how it looks on the
    next grid.

    `problem` is None for a bare stencil, whose coarse operators have the same numbers over the
    coarse h^2.
    """

    shape: Shape
    c: Array
    coarsening: str
    problem: Problem | None = None

    @property
    def couplings(self) -> tuple[float, ...]:
        """The strength of the coupling along each axis."""
        if self.problem is not None:
            return self.problem.couplings(self.shape)
        unit = [tuple(int(a == p) for a in range(3)) for p in places(len(self.shape))]
        return tuple(abs(float(self.c[u])) for u in unit)

    def choose_axes(self, axes: Sequence[int] | str) -> tuple[int, ...]:
        """The axes to coarsen: the strongly coupled ones, all, or the given ones."""
        return choose_axes(self.couplings, self.shape, axes)

    def coarsen(self, coarse: Shape) -> Operator:
        """The operator on the grid of the coarse shape."""
        pairs = list(zip(self.shape, coarse, strict=True))
        axes = [j for j, (n, m) in enumerate(pairs) if n != m]
        ratios = {(n + 1) / (m + 1) for n, m in pairs}
        if self.coarsening == "galerkin":
            if any(pairs[j][0] != 2 * pairs[j][1] + 1 for j in axes):
                raise ValueError(
                    f"galerkin from {self.shape} to {coarse} gives no constant stencil; take odd"
                    " sizes, or rediscretise"
                )
            c = galerkin(self.c, [places(len(coarse))[j] for j in axes])
        elif self.problem is not None:
            c = problem_numbers(self.problem, coarse)
        elif len(ratios) > 1:
            raise ValueError(
                f"a bare stencil on {self.shape} has no twin on {coarse} (unequal ratios); give a"
                " Problem, or galerkin"
            )
        else:
            c = self.c / ratios.pop() ** 2
        return replace(self, shape=coarse, c=c)


def problem_numbers(problem: Problem, shape: Shape) -> Array:
    """The eight numbers of the problem's scheme on a shape."""
    polynomial = problem.equation.polynomial(shape)
    assert polynomial is not None
    return eight_numbers(tensor.stencil_array(polynomial, problem.equation.widths(shape)))


def make_operator(
    problem: Any, shape: int | Sequence[int] | None, h: float | None, coarsening: str
) -> Operator:
    """The finest operator, or a ValueError that says what is not supported."""
    if coarsening not in COARSENINGS:
        raise ValueError(f"unknown coarsening {coarsening!r}, known are: {', '.join(COARSENINGS)}")
    if isinstance(problem, Problem):
        if shape is not None or h is not None:
            raise ValueError("shape and h belong to a bare stencil, a Problem brings its own")
        if problem.boundary is not Boundary.DIRICHLET:
            raise ValueError(
                f"the matrix-free cycle takes dirichlet boundaries, got {problem.boundary};"
                " mgtheory.Hierarchy takes all"
            )
        if problem.polynomial is None:
            raise ValueError(
                "the matrix-free cycle takes constant coefficients; mgtheory.Hierarchy takes"
                " variable ones"
            )
        return Operator(problem.shape, problem_numbers(problem, problem.shape), coarsening, problem)
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
    return Operator(grid, eight_numbers(problem.to_array().astype(float)) / width**2, coarsening)


@functools.lru_cache(maxsize=CACHED)
def _family_steps(family: str, degree: int, a: float, b: float) -> list[Array]:
    """The steps of a family's polynomial for high frequencies in [a, b]; kept for the next
    set-up."""
    entry = FAMILIES[family]
    return smoothing_steps(
        entry.function(degree, interval=(a, b))
        if entry.needs == "interval"
        else entry.function(degree, lmax=b)
    )


@dataclass
class Smoothers:
    """Each level's smoothing steps, from what `StencilHierarchy.build` was given."""

    smoother: Any
    degree: Any = None
    reference: float | None = None
    derived: dict[tuple[int, tuple[int, ...]], tuple[Array, list[Array]]] = field(
        default_factory=dict
    )

    @classmethod
    def make(cls, smoother: Any, degree: Any) -> Smoothers:
        """Read the option, or refuse it; a sequence or a callable gives a degree for each level."""
        single = degree is None or (
            isinstance(degree, int | np.integer) and not isinstance(degree, bool)
        )
        made = make_smoother(smoother, degree if single else count(degree, 0, "degree", 1))
        if (
            isinstance(made, Polynomial)
            and made.family is not None
            and FAMILIES[made.family].needs == "operator"
        ):
            raise ValueError(
                f"{made.family} needs the level's matrix; derive it first and pass its polynomial"
            )
        if not isinstance(made, Polynomial | Jacobi) and (
            hasattr(made, "setup") or not callable(made)
        ):
            raise ValueError(
                f"the matrix-free cycle smooths by polynomials or Jacobi, got {smoother!r}"
            )
        return cls(made) if single else cls(smoother, degree)

    def steps(self, index: int, c: Array, axes: Sequence[int]) -> list[Array]:
        """The smoothing steps for a level's A; `axes` are the coarsened places.

        A family's polynomial is derived once for the levels whose stencils are multiples of one
        another.
        """
        diagonal = float(c[0, 0, 0])
        made: Any = (
            self.smoother
            if self.degree is None
            else make_smoother(self.smoother, count(self.degree, index, "degree", 1))
        )
        if diagonal == 0.0:
            raise ValueError(f"level {index}: the stencil has a zero diagonal")
        if isinstance(made, Jacobi):
            return [np.array([[made.omega / diagonal, 0.0]])]
        if not isinstance(made, Polynomial):
            own = made(index)
            if not isinstance(own, ResidualPolynomial):
                raise ValueError(
                    f"level {index}: the smoother gave a {type(own).__name__}, must be a"
                    " ResidualPolynomial"
                )
            return smoothing_steps(own)
        if made.polynomial is not None:
            b = symbol_range(c, axes)[1] / (diagonal if made.scaling == "diagonal" else 1.0)
            self.reference = b if self.reference is None else self.reference
            return smoothing_steps(
                made.polynomial.scaled(
                    (diagonal if made.scaling == "diagonal" else 1.0) * b / self.reference
                )
            )
        assert made.family is not None
        unit, key = c / diagonal, (made.degree, tuple(axes))
        if key not in self.derived or np.max(np.abs(self.derived[key][0] - unit)) > 1e-14:
            a, b = symbol_range(unit, axes)
            self.derived[key] = unit, _family_steps(made.family, made.degree, a, b)
        return [steps * (1.0 / diagonal, 1.0) for steps in self.derived[key][1]]
