"""Problems that have a name: Poisson's equation in its variants, a rotated anisotropy, convection
and diffusion; an entry of `PROBLEMS` makes one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from mgtheory._checks import check_callable, check_name, check_number, is_whole, named_values, plain
from mgtheory.problems import grids, manufactured
from mgtheory.problems.equation import Equation, PlaneEquation
from mgtheory.problems.grids import Boundary
from mgtheory.problems.problem import Problem
from mgtheory.problems.schemes import SCHEMES
from mgtheory.problems.stencils import turned

MOST = 1e100  # of a ratio of coefficients: products of them stay within the doubles


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
        a = tuple(check_number(w, "a weight", "larger than 0", most=MOST) for w in given)
    except (TypeError, ValueError):
        a = ()
    if len(a) != dim:
        raise ValueError(
            f"weights are {weights!r}, must be {dim} positive numbers of at most {MOST:g}"
        )
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
    check_number(epsilon, "epsilon", "larger than 0", most=MOST)
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
    size = check_number(peclet, "peclet", "at least 0", most=MOST)
    c, s = _direction(angle)
    return _plane(shape, (1.0, 1.0), 0.0, (size * c, size * s), boundary, solution, name)


def _direction(angle: float) -> tuple[float, float]:
    """Cosine and sine of an angle in degrees, exact along the axes."""
    turn = math.radians(check_number(angle, "angle", "of any sign", most=360.0))
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
    for key, value in named_values(text, f"problem {name!r}").items() if colon else ():
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
    kind = grids.check_boundary(boundary)
    whole = is_whole(n := plain(n))
    sizes: Any = (grids.check_points(n, kind),) * entry.dim if whole else n
    shape = grids.check_shape(sizes, kind)
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
