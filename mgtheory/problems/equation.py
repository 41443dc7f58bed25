"""A boundary value problem with its scheme, before a grid is chosen: operator, right-hand side and
exact solution on any shape.

Coarse levels and full multigrid take theirs from here: `Equation.load` is what the scheme makes of
f on the coarse grid itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory._checks import on_grid
from mgtheory.problems import grids, manufactured, tensor, variable
from mgtheory.problems.grids import Boundary, Shape
from mgtheory.problems.schemes import SCHEMES
from mgtheory.problems.tensor import Polynomial
from mgtheory.problems.tensorform import TensorForm

__all__ = ["Equation"]


@dataclass(frozen=True, eq=False)
class Equation:
    """-sum_j a_j d^2 u/dx_j^2 = f or -div(k grad u) = f with a scheme of
    `mgtheory.problems.schemes`; fields as the options of `poisson`."""

    boundary: Boundary
    scheme: str
    weights: tuple[float, ...]
    coefficient: Callable[..., NDArray[Any]] | None = None
    average: str = "harmonic"
    solution: str | None = None
    f: Callable[..., NDArray[Any]] | None = None

    @property
    def knows_solution(self) -> bool:
        """Whether the right-hand side is made from an exact solution."""
        return self.f is None and (
            self.coefficient is None or isinstance(self.coefficient, manufactured.SmoothCoefficient)
        )

    def widths(self, shape: Shape) -> tuple[float, ...]:
        """Mesh width per axis."""
        return tuple(grids.mesh_width(n, self.boundary) for n in shape)

    def polynomial(self, shape: Shape) -> Polynomial | None:
        """The operator as a polynomial in the second differences K_j; None with variable
        coefficients."""
        return (
            None
            if self.coefficient is not None
            else SCHEMES[self.scheme].matrix(self.weights, self.widths(shape))
        )

    def form(self, shape: Shape) -> TensorForm | None:
        """The operator as a sum of tensor products; None with variable coefficients."""
        polynomial = self.polynomial(shape)
        return None if polynomial is None else TensorForm.finest(polynomial, shape, self.boundary)

    def operator(self, shape: Shape) -> sp.csr_array:
        """A on this shape, CSR, unknowns in C order."""
        polynomial = self.polynomial(shape)
        if polynomial is not None:
            return tensor.assemble(polynomial, shape, self.boundary)
        assert self.coefficient is not None
        diagonals = variable.variable_diagonals(
            self.coefficient, shape, self.boundary, average=self.average
        )
        return sp.csr_array(tensor.diagonals_to_dia(diagonals, shape))

    def load(self, shape: Shape) -> NDArray[np.float64]:
        """b on this shape, (n,): the scheme's right-hand side with boundary values; mean removed
        where A is singular."""
        x = self._points(shape)
        everywhere = on_grid(self._source, x, [n + 2 for n in shape], "f")
        inner = tuple(slice(1, -1) for _ in shape)
        if self.boundary is not Boundary.DIRICHLET:
            everywhere = np.pad(
                everywhere[inner],
                1,
                mode="wrap" if self.boundary is Boundary.PERIODIC else "symmetric",
            )
        h = self.widths(shape)
        b = tensor.apply_extended(SCHEMES[self.scheme].load(h), everywhere, h)
        if self.boundary is not Boundary.DIRICHLET:
            b = b - b.mean()
            # a mean taken off twice is off to rounding, of a b that is rounding alone too
            return _finite(b - b.mean())
        if self.knows_solution:
            shell = np.broadcast_to(self._manufactured().u(*x), everywhere.shape).copy()
            shell[inner] = 0.0
            b -= self._on_boundary_values(shell, h)
        return _finite(b)

    def exact(self, shape: Shape) -> NDArray[np.float64] | None:
        """The continuous solution at the unknowns, (n,), mean zero where A is singular; None where
        it is not known."""
        if not self.knows_solution:
            return None
        x = np.meshgrid(
            *(grids.coordinates(n, self.boundary) for n in shape), indexing="ij", sparse=True
        )
        u = np.broadcast_to(self._manufactured().u(*x), shape).reshape(-1).copy()
        return u if self.boundary is Boundary.DIRICHLET else u - u.mean()

    def _points(self, shape: Shape) -> list[NDArray[np.float64]]:
        points = (grids.coordinates(n, self.boundary, extended=True) for n in shape)
        return list(np.meshgrid(*points, indexing="ij", sparse=True))

    def _manufactured(self) -> manufactured.Solution1D:
        return manufactured.check_solution(self.solution, self.boundary)

    def _source(self, *x: NDArray[Any]) -> NDArray[Any]:
        if self.f is not None:
            return self.f(*x)
        if isinstance(self.coefficient, manufactured.SmoothCoefficient):
            return manufactured.variable_right_hand_side(self._manufactured(), self.coefficient, x)
        return manufactured.right_hand_side(self._manufactured(), self.weights, x)

    def _on_boundary_values(self, shell: NDArray[Any], h: Sequence[float]) -> NDArray[Any]:
        """A applied to the boundary values alone, to be taken off the right-hand side."""
        if self.coefficient is not None:
            return variable.variable_boundary(self.coefficient, shell, average=self.average)
        return tensor.apply_extended(SCHEMES[self.scheme].matrix(self.weights, h), shell, h)


def _finite(b: NDArray[np.float64]) -> NDArray[np.float64]:
    """b as a vector, without infinite values."""
    if not np.isfinite(b).all():
        raise ValueError("f gives values on the grid that are infinite or not a number")
    return b.reshape(-1)
