"""A problem A u = b on a tensor grid of the unit interval, square or cube: matrix, right-hand side,
exact solution, exact spectrum.

`Problem` is an equation (`mgtheory.problems.equation`) on a shape. `mgtheory.problems.catalogue`
makes one by its name, `Problem.from_stencil` one of a stencil.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_array, check_axes, check_finite, check_name, check_unmasked
from mgtheory.problems import grids, manufactured, tensor
from mgtheory.problems.equation import Equation, StencilEquation
from mgtheory.problems.grids import Boundary, Shape
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import (
    complex_symbols,
    grid_frequencies,
    high_frequencies,
    symbol,
)
from mgtheory.problems.tensor import Polynomial
from mgtheory.spectra.interval import Interval
from mgtheory.spectra.record import Form, stencil_form


@dataclass(frozen=True, eq=False, repr=False)
class Problem:
    """A u = b on a tensor grid of `shape` unknowns per axis, in C order; A, b and `exact` are made
    when they are first asked for."""

    name: str
    equation: Equation
    shape: Shape

    @classmethod
    def from_stencil(
        cls,
        stencil: Stencil | ArrayLike,
        shape: int | Sequence[int],
        *,
        boundary: str = "dirichlet",
        b: ArrayLike | None = None,
        name: str = "stencil",
    ) -> Problem:
        """The equation of a stencil of one's own: both hierarchies solve it, and Fourier analysis
        takes it.

        Parameters
        ----------
        stencil
            A real `Stencil` or a centred odd array, as A has it: with its 1/h^2.
        shape, boundary
            Unknowns per axis, and what holds on all sides; ``neumann`` for stencils that reach one
            point and are even along every axis.
        b
            Right-hand side, shape (n,) or that of the grid; 1 everywhere by default.

        Examples
        --------
        >>> from mgtheory import Hierarchy
        >>> helmholtz = Problem.from_stencil([[0, -1, 0], [-1, 4.01, -1], [0, -1, 0]], (31, 31))
        >>> Hierarchy.build(helmholtz).solve(helmholtz.b).converged
        True
        """
        kind = grids.check_boundary(boundary)
        grid = grids.check_shape(shape, kind)
        own = stencil if isinstance(stencil, Stencil) else Stencil.from_array(stencil)
        right = None
        if b is not None:
            right = check_array(b, "b", real=True).reshape(-1).copy()
            if right.size != math.prod(grid):
                raise ValueError(f"b has {right.size} entries, must be {math.prod(grid)}")
            check_finite(right, "b")
        return cls(name, StencilEquation.of(own, grid, kind, right), grid)

    @cached_property
    def A(self) -> sp.csr_array:
        """The matrix, CSR, shape (n, n), n = prod(shape), symmetric; carries 1/h^2."""
        return self.equation.operator(self.shape)

    @cached_property
    def b(self) -> NDArray[np.float64]:
        """Right-hand side, (n,), boundary values included; mean removed where A is singular."""
        return self.equation.load(self.shape)

    @cached_property
    def exact(self) -> NDArray[np.float64] | None:
        """The solution at the unknowns, (n,), mean zero where A is singular; None if not known."""
        return self.equation.exact(self.shape)

    @property
    def unknowns(self) -> int:
        """n = prod(shape)."""
        return math.prod(self.shape)

    @property
    def boundary(self) -> Boundary:
        """What holds at both ends of every axis."""
        return self.equation.boundary

    @property
    def scheme(self) -> str:
        """The name of the scheme in `mgtheory.problems.schemes.SCHEMES`."""
        return self.equation.scheme

    @property
    def weights(self) -> tuple[float, ...]:
        """a_j per axis."""
        return self.equation.weights

    @property
    def coefficient(self) -> Callable[..., NDArray[Any]] | None:
        """k(x, y, ...), or None with constant coefficients."""
        return self.equation.coefficient

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def h(self) -> tuple[float, ...]:
        """Mesh width per axis on the unit interval."""
        return self.equation.widths(self.shape)

    @property
    def order(self) -> int:
        """Order of convergence of the scheme in h."""
        return self.equation.order

    @property
    def grid(self) -> tuple[NDArray[np.float64], ...]:
        """Coordinates of the unknowns, one array of shape `shape` per axis."""
        return tuple(
            np.meshgrid(*(grids.coordinates(n, self.boundary) for n in self.shape), indexing="ij")
        )

    @property
    def nullspace(self) -> NDArray[np.float64] | None:
        """The constants, normalised, shape (n, 1), where A is singular; else None."""
        return np.full((self.unknowns, 1), self.unknowns**-0.5) if self.equation.singular else None

    @property
    def polynomial(self) -> Polynomial | None:
        """A as a polynomial in the second differences K_j; None with variable coefficients."""
        return self.equation.polynomial(self.shape)

    @cached_property
    def stencil(self) -> Stencil | None:
        """The interior stencil of A, with its 1/h^2; None with variable coefficients."""
        return self.stencil_at(self.h)

    def stencil_at(self, h: Sequence[float]) -> Stencil | None:
        """The interior stencil of the same scheme on the mesh widths h, as of a coarser level."""
        return self.equation.stencil_at(h)

    @cached_property
    def form(self) -> Form | None:
        """What A is up to a factor, on any grid: its taps, or the equation's name where its
        coefficient is one of `mgtheory.problems.manufactured`, which compare by value."""
        stencil = self.stencil
        if stencil is not None:
            return stencil_form(stencil.offsets, stencil.values)
        known = manufactured.SmoothCoefficient | manufactured.JumpCoefficient
        if not isinstance(self.coefficient, known):
            return None
        return f"{self.dim}D {self.scheme} {self.coefficient!r} {self.equation.average}"

    def eigenvalues(self) -> NDArray[Any]:
        """All eigenvalues of A in closed form, shape `shape`: entry k belongs to wavenumber k of
        each axis; complex with a wind. A ValueError where the coefficients vary, or the stencil is
        not even along every axis and the boundary not periodic.

        Examples
        --------
        >>> from mgtheory.problems import create
        >>> create("poisson1d", n=3).eigenvalues().round(4).tolist()  # (2 +- sqrt 2)/h^2, 2/h^2
        [9.3726, 32.0, 54.6274]
        """
        if self.polynomial is None:
            if self.stencil is not None and self.boundary is Boundary.PERIODIC:
                axes = [2.0 * np.pi * np.arange(n) / n for n in self.shape]
                theta = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
                return symbol(self.stencil, theta)
            why = "with variable coefficients" if self.stencil is None else "with these boundaries"
            raise ValueError(
                f"{self.name}: {why} the eigenvalues have no closed form; use lanczos or arnoldi"
            )
        first = 1 if self.boundary is Boundary.DIRICHLET else 0
        axes = [grids.eigenvalue(np.arange(n) + first, n, self.boundary) for n in self.shape]
        values = tensor.evaluate(self.polynomial, np.meshgrid(*axes, indexing="ij", sparse=True))
        return np.array(np.broadcast_to(values, self.shape), dtype=float)

    @cached_property
    def _extremes(self) -> tuple[float, float]:
        polynomial = self.polynomial
        if polynomial is not None:
            box = [grids.eigenvalue_range(n, self.boundary) for n in self.shape]
            return tensor.extremes(polynomial, [box])
        if self.unknowns <= 2:  # Lanczos iteration needs more than the one that it looks for
            values = np.linalg.eigvalsh(self.A.toarray())
            return float(values[0]), float(values[-1])
        if self.stencil is not None and complex_symbols(self.stencil) is not None:
            raise ValueError(
                f"{self.name}: A is not symmetric, its spectrum is no interval; take"
                " mgtheory.problems.symbols.symbol, or arnoldi of A"
            )
        start = np.random.default_rng(0).standard_normal(self.unknowns)

        def extreme(**which: Any) -> float:
            found = sla.eigsh(self.A, k=1, v0=start, tol=1e-10, return_eigenvectors=False, **which)
            return float(found[0])

        return extreme(sigma=0.0) if self.nullspace is None else 0.0, extreme(which="LA")

    def spectrum(self) -> Interval:
        """The extreme eigenvalues of A: in closed form with constant coefficients, else by Lanczos
        iteration to 1e-10 relative. A ValueError for one unknown: a point is no interval."""
        return Interval(*self._extremes)

    def couplings(self, shape: Shape | None = None) -> tuple[float, ...]:
        """a_j/h_j^2 per axis, on this or another shape, of a stencil with a wind those of its taps;
        constant coefficients only (a_j = 1 else)."""
        return self.equation.couplings_at(self.equation.widths(self._like(shape)))

    def _like(self, shape: Shape | None) -> Shape:
        """A shape with as many axes as this one, by default this one."""
        chosen = self.shape if shape is None else grids.check_shape(shape, self.boundary)
        if len(chosen) != self.dim:
            raise ValueError(f"shape is {shape!r}, must have {self.dim} axes")
        return chosen

    def smoothing_interval(
        self, axes: Sequence[int] | None = None, *, shape: Shape | None = None
    ) -> Interval:
        """The range of A's symbol on the high frequencies, those with some |theta_j| >= pi/2 on a
        coarsened axis (all by default), on this or another shape.

        Exact with constant coefficients; the 5- and 7-point Laplacian on a square grid give
        [b/(2d), b]. With variable coefficients [b/(2d), b], b the largest eigenvalue. Of a stencil
        that is not even along every axis the range of |Ahat|, on 64 frequencies per axis. Of a
        multiple b of the identity [b/2, b].
        """
        chosen = range(self.dim) if axes is None else check_axes(axes, self.dim)
        sizes = self._like(shape)
        polynomial = self.equation.polynomial(sizes)
        widths = self.equation.widths(sizes)
        if polynomial is None:
            stencil = self.stencil_at(widths)
            if stencil is not None:
                theta = grid_frequencies((64,) * self.dim).reshape(-1, self.dim)
                sizes_of = np.abs(symbol(stencil, theta))
                high = high_frequencies(theta, list(chosen))
                return Interval(float(sizes_of[high].min()), float(sizes_of[high].max()))
            b = self._extremes[1]
            return Interval(b / (2 * self.dim), b)
        boxes = [
            [((2.0 if i == j else 0.0) / h**2, 4.0 / h**2) for i, h in enumerate(widths)]
            for j in chosen
        ]
        a, b = tensor.extremes(polynomial, boxes)
        # a multiple of the identity has one eigenvalue, which is no interval
        return Interval(b / 2.0 if a == b > 0.0 else a, b)

    def error(self, x: ArrayLike, norm: str = "max") -> float:
        """||x - exact||, "max" or "l2" (root mean square), x of shape (n,) or that of the grid; its
        mean is removed first where A is singular. A ValueError where `exact` is not known."""
        if self.exact is None:
            raise ValueError(f"{self.name}: the exact solution is not known")
        check_name(norm, ("max", "l2"), "norm")
        check_unmasked(x, "x")
        values = np.asarray(x)
        if values.shape not in (self.exact.shape, (self.exact.size, 1), self.shape):
            raise ValueError(
                f"x has shape {values.shape}, must be {self.exact.shape} or {self.shape}"
            )
        values = values.reshape(-1)
        e = values - self.exact if self.nullspace is None else values - values.mean() - self.exact
        return float(np.max(np.abs(e)) if norm == "max" else np.sqrt(np.mean(np.abs(e) ** 2)))

    def _repr_latex_(self) -> str:
        """For notebooks: the equation, its numbers rounded, and the line of `__repr__`."""
        return f"${self.equation.latex()}$\n\n{self!r}"

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        facts = f"{self.name}, {size}, {self.boundary}, {self.scheme}, {self.unknowns} unknowns"
        return f"Problem({facts})"
