"""Equations with a scheme, before a grid is chosen: what makes A, b and the exact solution on any
shape.

    -sum_j a_j d^2 u/dx_j^2 = f    or    -div(k grad u) = f    or a stencil of one's own
    or, in the plane,  -a_1 u_xx - 2 m u_xy - a_2 u_yy + w.grad u = f

The schemes are listed in `mgtheory.problems.schemes`. Variable coefficients are finite volumes with
averaged face coefficients (harmonic by default), order 2 where k is smooth. Boundary values other
than zero go to the right-hand side. Neumann conditions are homogeneous, on cell-centred unknowns,
by even reflection; the compact scheme keeps order 4 there only if the normal derivative of f
vanishes on the boundary too. Neumann and periodic problems are singular: their nullspace is the
constants, b is made compatible (its mean removed) and the exact solution has mean zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory._checks import on_grid
from mgtheory.problems import grids, manufactured, tensor, variable
from mgtheory.problems.grids import Boundary, Shape
from mgtheory.problems.schemes import SCHEMES
from mgtheory.problems.stencils import Stencil, plane_stencil
from mgtheory.problems.tensor import Polynomial
from mgtheory.problems.tensorform import TensorForm


@dataclass(frozen=True, eq=False)
class Equation:
    """-sum_j a_j d^2 u/dx_j^2 = f or -div(k grad u) = f with a scheme, before a shape is chosen;
    fields as the options of `poisson`.

    Coarse levels and full multigrid take A and b from here: `load` is what the scheme makes of f on
    the coarse grid itself.
    """

    boundary: Boundary
    scheme: str
    weights: tuple[float, ...]
    coefficient: Callable[..., NDArray[Any]] | None = None
    average: str = "harmonic"
    solution: str | None = None
    f: Callable[..., NDArray[Any]] | None = None

    @property
    def singular(self) -> bool:
        """Whether the constants are in the nullspace of A."""
        return self.boundary is not Boundary.DIRICHLET

    def stencil_at(self, h: Sequence[float]) -> Stencil | None:
        """The interior stencil for mesh widths h; None with variable coefficients."""
        polynomial = self.polynomial_at(h)
        if polynomial is None:
            return None
        return Stencil.from_array(tensor.stencil_array(polynomial, h), channels=False)

    @property
    def order(self) -> int:
        """Order of convergence of the scheme in h."""
        return SCHEMES[self.scheme].order

    def latex(self) -> str:
        """The equation as TeX."""
        if self.coefficient is not None:
            return r"-\nabla\cdot(k\,\nabla u) = f"
        letters = "xyz" if len(self.weights) > 1 else "x"
        terms = ((-a, f"u_{{{x}{x}}}") for a, x in zip(self.weights, letters, strict=False))
        return f"{_sum(terms)} = f"

    @property
    def rediscretises(self) -> bool:
        """Whether coarse operators are by default the scheme on the coarse grid, else R A P."""
        return self.coefficient is None

    def couplings_at(self, h: Sequence[float]) -> tuple[float, ...]:
        """a_j/h_j^2 per axis (a_j = 1 with variable coefficients): which axes are coarsened."""
        return tuple(a / width**2 for a, width in zip(self.weights, h, strict=True))

    @property
    def knows_solution(self) -> bool:
        """Whether the right-hand side is made from an exact solution."""
        return self.f is None and (
            self.coefficient is None or isinstance(self.coefficient, manufactured.SmoothCoefficient)
        )

    def widths(self, shape: Shape) -> tuple[float, ...]:
        """Mesh width per axis."""
        return tuple(grids.mesh_width(n, self.boundary) for n in shape)

    def polynomial_at(self, h: Sequence[float]) -> Polynomial | None:
        """The operator for mesh widths h as a polynomial in the second differences K_j; None with
        variable coefficients."""
        if self.coefficient is not None:
            return None
        return SCHEMES[self.scheme].matrix(self.weights, h)

    def polynomial(self, shape: Shape) -> Polynomial | None:
        """The same on a shape."""
        return self.polynomial_at(self.widths(shape))

    def form(self, shape: Shape) -> TensorForm | None:
        """The operator as a sum of tensor products; None with variable coefficients."""
        polynomial = self.polynomial(shape)
        return None if polynomial is None else TensorForm.finest(polynomial, shape, self.boundary)

    def operator(self, shape: Shape) -> sp.csr_array:
        """A on this shape, CSR, unknowns in C order."""
        form = self.form(shape)
        if form is not None:
            return sp.csr_array(form.todia())
        diagonals = variable.variable_diagonals(self.faces(shape), shape, self.boundary)
        return sp.csr_array(tensor.diagonals_to_dia(diagonals, shape))

    def faces(self, shape: Shape) -> list[NDArray[np.float64]]:
        """The averaged variable coefficient on the faces over h^2, by axis
        (`mgtheory.problems.variable.face_coefficients`)."""
        assert self.coefficient is not None
        k, average = self.coefficient, self.average
        return variable.face_coefficients(k, shape, self.boundary, average=average)

    def load(self, shape: Shape) -> NDArray[np.float64]:
        """b on this shape: with boundary values, mean removed where A is singular."""
        x = grids.mesh(shape, self.boundary, extended=True)
        everywhere = on_grid(self._source, x, [n + 2 for n in shape], "f")
        inner = tuple(slice(1, -1) for _ in shape)
        if self.boundary is not Boundary.DIRICHLET:
            periodic = self.boundary is Boundary.PERIODIC
            everywhere = np.pad(everywhere[inner], 1, mode="wrap" if periodic else "symmetric")
        h = self.widths(shape)
        b = tensor.apply_extended(self._averaging(h), everywhere, h)
        if self.singular:
            for _ in range(2):  # once is not off to rounding, of a b that is rounding alone
                b = b - b.mean()
        elif self.knows_solution:  # A applied to the boundary values alone
            shell = np.broadcast_to(self._manufactured().u(*x), everywhere.shape).copy()
            shell[inner] = 0.0
            stencil = self.stencil_at(h)
            if stencil is not None:
                b -= tensor.apply_array(stencil.to_array().real, shell)
            elif self.coefficient is not None:
                b -= variable.variable_boundary(self.coefficient, shell, average=self.average)
        if not np.isfinite(b).all():
            raise ValueError("f gives values on the grid that are infinite or not a number")
        return b.reshape(-1)

    def exact(self, shape: Shape) -> NDArray[np.float64] | None:
        """The continuous solution, mean zero where A is singular; None where it is not known."""
        if not self.knows_solution:
            return None
        x = grids.mesh(shape, self.boundary)
        u = np.broadcast_to(self._manufactured().u(*x), shape).reshape(-1).copy()
        return u if self.boundary is Boundary.DIRICHLET else u - u.mean()

    def _averaging(self, h: Sequence[float]) -> Polynomial:
        """What the scheme makes of f, as a polynomial in the K_j."""
        return SCHEMES[self.scheme].load(h)

    def _manufactured(self) -> manufactured.Solution1D:
        return manufactured.check_solution(self.solution, self.boundary)

    def _source(self, *x: NDArray[Any]) -> NDArray[Any]:
        if self.f is not None:
            return self.f(*x)
        if isinstance(self.coefficient, manufactured.SmoothCoefficient):
            return manufactured.variable_right_hand_side(self._manufactured(), self.coefficient, x)
        return manufactured.right_hand_side(self._manufactured(), self.weights, x)


def _sum(terms: Iterable[tuple[float, str]]) -> str:
    """sum c_i x_i as TeX, to four digits, without what is 0."""
    text = "".join(
        f" {'-' if c < 0 else '+'} {'' if abs(c) == 1 else f'{abs(c):.4g} '}{x}"
        for c, x in terms
        if c
    )
    return "-" * text.startswith(" - ") + text[3:]


@dataclass(frozen=True, eq=False)
class PlaneEquation(Equation):
    """-a_1 u_xx - 2 m u_xy - a_2 u_yy + w.grad u = f in 2D, see `plane_stencil`; a_j = weights, m
    and w not both zero.

    Its stencil is not even along every axis, so that A is no polynomial in the K_j.
    """

    mixed: float = field(kw_only=True)
    wind: tuple[float, float] = field(kw_only=True)

    def latex(self) -> str:
        """The equation as TeX."""
        (a, b), (w, v) = self.weights, self.wind
        terms = (
            (-a, "u_{xx}"),
            (-2 * self.mixed, "u_{xy}"),
            (-b, "u_{yy}"),
            (w, "u_x"),
            (v, "u_y"),
        )
        return f"{_sum(terms)} = f"

    @property
    def order(self) -> int:
        """Upwind differences have order 1."""
        return 1 if any(self.wind) else 2

    @property
    def rediscretises(self) -> bool:
        """With a wind: upwind differences stay so on every grid, while R A P becomes central, and
        the V-cycle diverges from peclet 100 on. Without one R A P gives the better cycle."""
        return any(self.wind)

    def stencil_at(self, h: Sequence[float]) -> Stencil:
        """The interior stencil for mesh widths h."""
        return plane_stencil(self.weights, self.mixed, self.wind, h)

    def couplings_at(self, h: Sequence[float]) -> tuple[float, ...]:
        """Of the stencil: the wind couples too."""
        return self.stencil_at(h).couplings()

    def polynomial_at(self, h: Sequence[float]) -> None:
        """None."""

    def operator(self, shape: Shape) -> sp.csr_array:
        """A on this shape."""
        stencil = self.stencil_at(self.widths(shape))
        return sp.csr_array(getattr(stencil, str(self.boundary))(shape))

    def _averaging(self, h: Sequence[float]) -> Polynomial:
        return {(): 1.0}

    def _source(self, *x: NDArray[Any]) -> NDArray[Any]:
        if self.f is not None:
            return self.f(*x)
        known = self._manufactured()
        return manufactured.plane_right_hand_side(known, self.weights, self.mixed, self.wind, x)


@dataclass(frozen=True, eq=False)
class StencilEquation(Equation):
    """A stencil of one's own on one grid, as `Problem.from_stencil` takes it: the stencil with its
    1/h^2, the shape that it is meant for, and b there, or None for f = 1."""

    own: Stencil = field(kw_only=True)
    grid: Shape = field(kw_only=True)
    right: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls, own: Stencil, grid: Shape, boundary: Boundary, right: NDArray[np.float64] | None
    ) -> StencilEquation:
        """The equation of a real scalar stencil; refused where it does not fit."""
        if own.channels != 1 or np.iscomplexobj(own.values):
            raise ValueError("a problem's stencil is real and of one channel")
        if own.dim != len(grid):
            raise ValueError(f"the stencil has {own.dim} axes, the shape {grid} has {len(grid)}")
        widths = [grids.mesh_width(n, boundary) for n in grid]
        weights = tuple(s * h**2 for s, h in zip(own.couplings(), widths, strict=True))
        made = cls(boundary, "stencil", weights, own=own, grid=grid, right=right)
        if boundary is Boundary.NEUMANN and made.polynomial(grid) is None:
            raise ValueError(
                "neumann boundaries need a stencil of reach one that is even along every axis"
            )
        return made

    @property
    def singular(self) -> bool:
        """Also the taps must have the sum 0."""
        total, largest = abs(self.own.values.sum()), np.abs(self.own.values).max()
        return super().singular and bool(total <= 1e-12 * largest)

    def latex(self) -> str:
        """A u = b: the stencil says what A is."""
        return r"A u = b"

    @property
    def rediscretises(self) -> bool:
        """Where its polynomial says what it is on the coarse grid."""
        return self.polynomial(self.grid) is not None

    @property
    def order(self) -> int:
        """Of an elliptic equation of second order."""
        return 2

    @property
    def knows_solution(self) -> bool:
        """No."""
        return False

    def stencil_at(self, h: Sequence[float]) -> Stencil | None:
        """The own stencil for its own mesh widths, and what it is elsewhere."""
        here = np.allclose(h, self.widths(self.grid), rtol=1e-12)
        return self.own if here else super().stencil_at(h)

    def polynomial_at(self, h: Sequence[float]) -> Polynomial | None:
        """The operator as a polynomial in the K_j, where the stencil reaches one point and is even
        along every axis.

        For other mesh widths it is that of a second-order equation with a mass term: the
        coefficient of K_i grows with h^0, that of K_i K_j with h^2, as in the compact schemes.
        """
        if max(self.own.reach) > 1:
            return None
        array = np.pad(self.own.to_array(), [(1 - reach, 1 - reach) for reach in self.own.reach])
        widths = self.widths(self.grid)
        here = tensor.from_stencil_array(array, widths, uneven=1e-10, rounding=1e-13)
        if here is None:
            return None
        ratios = np.divide(h, widths)

        def growth(S: tuple[int, ...]) -> float:
            return float(np.prod(ratios[list(S)] ** 2) ** ((len(S) - 1) / len(S))) if S else 1.0

        return {S: c * growth(S) for S, c in here.items()}

    def operator(self, shape: Shape) -> sp.csr_array:
        """A on this shape; without a polynomial on the stencil's own alone."""
        if self.polynomial(shape) is not None:
            return super().operator(shape)
        if shape != self.grid:
            raise ValueError(
                "a stencil that is not even along every axis, or reaches farther than one point,"
                " has no coarser twin; take coarsening='galerkin'"
            )
        return sp.csr_array(getattr(self.own, str(self.boundary))(shape))

    def load(self, shape: Shape) -> NDArray[np.float64]:
        """b on the grid of the stencil; f = 1 where none is given, and on any other shape."""
        given = self.right is not None and shape == self.grid
        b = np.array(self.right) if given else np.ones(int(np.prod(shape)))
        return b - b.mean() if self.singular else b
