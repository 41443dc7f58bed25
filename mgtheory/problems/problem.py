"""Problems A u = b on tensor grids of the unit interval, square and cube: matrix, right-hand side,
exact solution, exact spectrum; and those that have a name.

`Problem` is an equation (`mgtheory.problems.equation`) on a shape. `poisson` and
`Problem.from_stencil` make one; an entry of `PROBLEMS` makes one by its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_axes, check_callable, check_name, check_number, is_whole, plain
from mgtheory.problems import grids, manufactured, tensor
from mgtheory.problems.equation import Equation, PlaneEquation, StencilEquation
from mgtheory.problems.grids import Boundary, Shape
from mgtheory.problems.schemes import SCHEMES
from mgtheory.problems.stencils import Stencil, turned
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
            right = np.asarray(b, dtype=np.float64).reshape(-1)
            if right.size != math.prod(grid) or not np.isfinite(right).all():
                raise ValueError(
                    f"b has {right.size} entries, must be {math.prod(grid)} finite ones"
                )
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
        that is not even along every axis the range of |Ahat|, on 64 frequencies per axis.
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
        return Interval(*tensor.extremes(polynomial, boxes))

    def error(self, x: ArrayLike, norm: str = "max") -> float:
        """||x - exact||, "max" or "l2" (root mean square), x of shape (n,) or that of the grid; its
        mean is removed first where A is singular. A ValueError where `exact` is not known."""
        if self.exact is None:
            raise ValueError(f"{self.name}: the exact solution is not known")
        check_name(norm, ("max", "l2"), "norm")
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
        return f"${self.equation.latex()}$\n\n`{self!r}`"

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        facts = f"{self.name}, {size}, {self.boundary}, {self.scheme}, {self.unknowns} unknowns"
        return f"Problem({facts})"


def poisson(
    shape: int | Sequence[int],
    *,
    stencil: str | None = None,
    boundary: str = "dirichlet",
    weights: Sequence[float] | None = None,
    coefficient: Callable[..., NDArray[Any]] | None = None,
    average: str = "harmonic",
    solution: str | None = None,
    f: Callable[..., NDArray[Any]] | None = None,
    name: str | None = None,
) -> Problem:
    """A Poisson model problem on (0, 1)^d with its right-hand side and exact solution.

    Parameters
    ----------
    shape
        Unknowns per axis, 1 to 3 of them; any sizes.
    stencil
        A name of `SCHEMES`; by default the (2d + 1)-point one.
    boundary
        ``"dirichlet"``, ``"neumann"`` or ``"periodic"``, on all sides.
    weights
        One positive a_j per axis (anisotropy); 1 by default.
    coefficient
        k(x, y, ...) > 0 for -div(k grad u), instead of `weights`. `SmoothCoefficient` has an exact
        solution.
    average
        Face coefficients: ``"harmonic"`` or ``"arithmetic"``.
    solution
        A name of `mgtheory.problems.manufactured.SOLUTIONS`; by default one that is no
        eigenfunction.
    f
        A right-hand side f(x, y, ...) of your own, with homogeneous boundary values; `exact` is
        then None.
    """
    kind = grids.check_boundary(boundary)
    shape = grids.check_shape(shape, kind)
    dim = len(shape)
    chosen = f"{2 * dim + 1}-point" if stencil is None else stencil
    fitting = [key for key, entry in SCHEMES.items() if dim in entry.dims]
    if chosen not in fitting:
        raise ValueError(
            f"unknown stencil {stencil!r} in {dim} dimensions, known are: {', '.join(fitting)}"
        )
    a = _weights(weights, dim)
    check_name(average, ("harmonic", "arithmetic"), "average")
    check_callable(coefficient, "coefficient")
    check_callable(f, "f")
    if f is not None and solution is not None:
        raise ValueError(
            f"f and solution {solution!r} exclude each other: a solution has a right-hand side"
        )
    if coefficient is not None and (weights is not None or chosen != f"{2 * dim + 1}-point"):
        raise ValueError(
            f"a variable coefficient goes with the {2 * dim + 1}-point stencil and without weights"
        )
    manufactured.check_solution(solution, kind)
    title = f"poisson{dim}d" if name is None else str(name)
    equation = Equation(kind, chosen, a, coefficient, average, solution, f)
    problem = Problem(title, equation, shape)
    if coefficient is not None:
        _ = equation.faces(shape)  # a function of the user that gives wrong values is refused here
    if f is not None:
        _ = problem.b
    return problem


def _weights(weights: Sequence[float] | None, dim: int) -> tuple[float, ...]:
    given = (1.0,) * dim if weights is None else weights
    try:
        a = tuple(check_number(w, "a weight", "larger than 0") for w in given)
    except (TypeError, ValueError):
        a = ()
    if len(a) != dim:
        raise ValueError(f"weights are {weights!r}, must be {dim} positive numbers")
    return a


def rotated(
    shape: int | Sequence[int],
    *,
    epsilon: float = 0.1,
    angle: float = 45.0,
    boundary: str = "dirichlet",
    solution: str | None = None,
    name: str = "rotated2d",
) -> Problem:
    """-(d_xi^2 + epsilon d_eta^2) u = f on the unit square, xi at `angle` degrees from the x-axis;
    9 points, order 2.

    -(c^2 + epsilon s^2) u_xx - 2 (1 - epsilon) c s u_xy - (s^2 + epsilon c^2) u_yy, c and s the
    cosine and sine, u_xy by the four corners: no M-matrix. At 45 degrees no axis is coupled more
    strongly, so that neither semi-coarsening nor lines along an axis help, and a point smoother
    leaves the errors that vary across the strong direction. Of the smooth ones among them the
    coarse grid leaves half as epsilon goes to 0, which no degree makes up for, and a V-cycle over
    many grids more. At 0 and 90 degrees, and with epsilon = 1, it is `poisson` with weights.
    Dirichlet and periodic boundaries. [U. Trottenberg, C. W. Oosterlee, A. Schuller, Multigrid,
    Academic Press (2001), ch. 7]
    """
    check_number(epsilon, "epsilon", "larger than 0")
    c, s = _direction(angle)
    weights, mixed = turned(epsilon, math.atan2(s, c))
    if 0.0 in (c, s):
        weights, mixed = ((1.0, epsilon) if s == 0.0 else (epsilon, 1.0)), 0.0
    return _plane(
        shape, weights, mixed if epsilon != 1.0 else 0.0, (0.0, 0.0), boundary, solution, name
    )


def convection_diffusion(
    shape: int | Sequence[int],
    *,
    peclet: float = 100.0,
    angle: float = 30.0,
    boundary: str = "dirichlet",
    solution: str | None = None,
    name: str = "convection2d",
) -> Problem:
    """-Laplace u + peclet (cos(angle) u_x + sin(angle) u_y) = f on the unit square, angle in
    degrees; 5 points, upwind, order 1.

    With epsilon = 1/peclet it is -epsilon Laplace u + w.grad u = epsilon f, |w| = 1. Upwind
    differences add the diffusion peclet h |w_j|/2 along axis j, which makes A an M-matrix at any
    peclet; the mesh Peclet number peclet h says how far A is from Poisson's. A is not symmetric,
    Ahat is complex: `complex_symbols`. Dirichlet and periodic boundaries. [U. Trottenberg, C. W.
    Oosterlee, A. Schuller, Multigrid, Academic Press (2001), ch. 7; of coarse grids A. Brandt, I.
    Yavneh, SIAM J. Sci. Comput. 14 (1993) 607-626]
    """
    size = check_number(peclet, "peclet", "at least 0")
    c, s = _direction(angle)
    return _plane(shape, (1.0, 1.0), 0.0, (size * c, size * s), boundary, solution, name)


def _direction(angle: float) -> tuple[float, float]:
    """Cosine and sine of an angle in degrees, exact along the axes."""
    turn = math.radians(check_number(angle, "angle", "of any sign"))
    c, s = (
        0.0 if abs(v) < 1e-15 * max(1.0, abs(turn)) else v for v in (math.cos(turn), math.sin(turn))
    )
    return c, s


def _plane(
    shape: int | Sequence[int],
    weights: tuple[float, float],
    mixed: float,
    wind: tuple[float, float],
    boundary: str,
    solution: str | None,
    name: str,
) -> Problem:
    """The problem of a `PlaneEquation`, or of `poisson` where it is one of its equations."""
    kind = grids.check_boundary(boundary)
    grid = grids.check_shape(shape, kind)
    if len(grid) != 2:
        raise ValueError(f"{name} has 2 axes, got the shape {grid}")
    if not mixed and not any(wind):
        return poisson(grid, weights=weights, boundary=boundary, solution=solution, name=name)
    if kind is Boundary.NEUMANN:
        raise ValueError(
            f"{name} has dirichlet or periodic boundaries, got neumann: cells are reflected, which"
            " needs a stencil that is even along every axis"
        )
    manufactured.check_solution(solution, kind)
    scheme = "upwind" if any(wind) else "9-point"
    equation = PlaneEquation(
        kind, scheme, weights, solution=solution, mixed=float(mixed), wind=wind
    )
    return Problem(name, equation, grid)


@dataclass(frozen=True)
class ProblemEntry:
    """A problem of the command line: its dimension, and what makes it.

    Attributes
    ----------
    stencil, weights, coefficient
        Options of `poisson`, where it is one of its equations.
    make
        Another function, (shape, *, boundary, solution, name) -> Problem, for any other equation.
    parameters
        Numbers that `make` takes by name, with their defaults.
    boundaries
        Those that it has.
    """

    dim: int
    summary: str
    stencil: str | None = None
    weights: tuple[float, ...] | None = None
    coefficient: Callable[..., NDArray[Any]] | None = None
    make: Callable[..., Problem] | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    boundaries: tuple[Boundary, ...] = tuple(Boundary)


_EVEN_OR_NOT = (Boundary.DIRICHLET, Boundary.PERIODIC)

PROBLEMS: dict[str, ProblemEntry] = {
    "poisson1d": ProblemEntry(1, "3 points, order 2"),
    "poisson2d": ProblemEntry(2, "5 points, order 2"),
    "poisson3d": ProblemEntry(3, "7 points, order 2"),
    "poisson2d-9point": ProblemEntry(2, "compact 9 points, order 4", stencil="9-point"),
    "poisson3d-19point": ProblemEntry(3, "compact 19 points, order 4", stencil="19-point"),
    "poisson2d-q1": ProblemEntry(2, "bilinear finite elements, order 2", stencil="q1"),
    "anisotropic2d": ProblemEntry(2, "-u_xx - 0.01 u_yy, 5 points", weights=(1.0, 0.01)),
    "variable2d": ProblemEntry(
        2,
        "-div(k grad u), k smooth between exp(-2) and exp(2)",
        coefficient=manufactured.SmoothCoefficient(),
    ),
    "jump2d": ProblemEntry(
        2,
        "-div(k grad u), k = 1000 in an inclusion, else 1",
        coefficient=manufactured.JumpCoefficient(),
    ),
    "rotated2d": ProblemEntry(
        2,
        "-(d_xi^2 + epsilon d_eta^2) u, xi at `angle` degrees from x, 9 points",
        make=rotated,
        parameters={"epsilon": 0.1, "angle": 45.0},
        boundaries=_EVEN_OR_NOT,
    ),
    "convection2d": ProblemEntry(
        2,
        "-Laplace u + peclet d u/d xi, xi at `angle` degrees from x, upwind",
        make=convection_diffusion,
        parameters={"peclet": 100.0, "angle": 30.0},
        boundaries=_EVEN_OR_NOT,
    ),
}


def find_problem(name: str) -> tuple[ProblemEntry, dict[str, float]]:
    """The entry of a name in `PROBLEMS`, and the parameters that follow it after a colon, as in
    rotated2d:epsilon=0.01,angle=30; a ValueError for an unknown name or parameter.

    >>> find_problem("rotated2d:angle=30")[1]
    {'angle': 30.0}
    """
    known, colon, text = name.partition(":") if isinstance(name, str) else (name, "", "")
    entry = PROBLEMS[check_name(known, list(PROBLEMS), "problem")]
    given: dict[str, float] = {}
    for part in text.split(",") if colon else []:
        key, _, value = (word.strip() for word in part.partition("="))
        check_name(key, list(entry.parameters) or ["none"], f"parameter of {known}")
        try:
            given[key] = float(value)
        except ValueError:
            raise ValueError(f"{name}: {key} is {value!r}, must be a number") from None
    return entry, given


def create(
    name: str,
    n: int | Sequence[int] = 63,
    *,
    boundary: str = "dirichlet",
    solution: str | None = None,
    **parameters: float,
) -> Problem:
    """A problem by its name in `PROBLEMS`, with n unknowns per axis (or a whole shape), and its
    parameters by name, or in the name.

    Examples
    --------
    >>> create("rotated2d", 15, epsilon=0.01).name
    'rotated2d:epsilon=0.01'
    >>> create("convection2d:peclet=1000,angle=45", 15).order
    1
    """
    entry, given = find_problem(name)
    sizes: Any = (n,) * entry.dim if is_whole(n := plain(n)) else n
    shape = grids.check_shape(sizes, grids.check_boundary(boundary))
    if len(shape) != entry.dim:
        raise ValueError(f"{name} has {entry.dim} axes, got the shape {shape}")
    for key, value in parameters.items():
        known = name.partition(":")[0]
        check_name(key, list(entry.parameters) or ["none"], f"parameter of {known}")
        given[key] = check_number(value, key, "of any sign")
    values = ",".join(f"{key}={str(value).removesuffix('.0')}" for key, value in given.items())
    title = name.partition(":")[0] + (f":{values}" if values else "")
    how: dict[str, Any] = {"boundary": boundary, "solution": solution, "name": title}
    if entry.make is not None:
        return entry.make(shape, **how, **given)
    own = {key: getattr(entry, key) for key in ("stencil", "weights", "coefficient")}
    return poisson(shape, **how, **own)
