"""Exact solutions with their right-hand sides: products u = prod_j v(x_j), and coefficients k with
their gradients.

A solution is one function of one variable with two derivatives; what the operator makes of it in d
dimensions follows by the product rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import check_name, check_number
from mgtheory.problems.grids import Boundary

Function = Callable[..., NDArray[Any]]


@dataclass(frozen=True)
class Solution1D:
    """v with v' and v'' on [0, 1], and the boundary condition that u = prod_j v(x_j) satisfies."""

    v: Function
    dv: Function
    ddv: Function
    boundary: Boundary

    def u(self, *x: NDArray[Any]) -> NDArray[Any]:
        """prod_j v(x_j)."""
        return _product(self.v(t) for t in x)

    def derivative(self, axis: int, order: int, *x: NDArray[Any]) -> NDArray[Any]:
        """The first or second derivative of u along one axis."""
        own = self.dv if order == 1 else self.ddv
        return _product(own(t) if j == axis else self.v(t) for j, t in enumerate(x))


def _product(factors: Iterable[NDArray[Any]]) -> NDArray[Any]:
    return math.prod(factors, start=np.ones(()))


PI = math.pi
D, N, P = Boundary.DIRICHLET, Boundary.NEUMANN, Boundary.PERIODIC

# of each boundary the first is the default
SOLUTIONS: dict[str, Solution1D] = {
    # f does not vanish on the boundary: a wrong boundary value of f in the compact scheme costs its
    # order
    "exp_sine": Solution1D(
        lambda t: np.exp(t) * np.sin(PI * t),
        lambda t: np.exp(t) * (np.sin(PI * t) + PI * np.cos(PI * t)),
        lambda t: np.exp(t) * ((1.0 - PI**2) * np.sin(PI * t) + 2.0 * PI * np.cos(PI * t)),
        D,
    ),
    "exponential": Solution1D(np.exp, np.exp, np.exp, D),  # boundary values that are not zero
    "sine": Solution1D(  # an eigenfunction of every constant-coefficient operator here
        lambda t: np.sin(PI * t),
        lambda t: PI * np.cos(PI * t),
        lambda t: -(PI**2) * np.sin(PI * t),
        D,
    ),
    "exp_cosine": Solution1D(
        lambda t: np.exp(np.cos(PI * t)),
        lambda t: -PI * np.sin(PI * t) * np.exp(np.cos(PI * t)),
        lambda t: PI**2 * (np.sin(PI * t) ** 2 - np.cos(PI * t)) * np.exp(np.cos(PI * t)),
        N,
    ),
    "exp_periodic": Solution1D(
        lambda t: np.exp(np.sin(2 * PI * t)),
        lambda t: 2 * PI * np.cos(2 * PI * t) * np.exp(np.sin(2 * PI * t)),
        lambda t: (
            4 * PI**2 * (np.cos(2 * PI * t) ** 2 - np.sin(2 * PI * t)) * np.exp(np.sin(2 * PI * t))
        ),
        P,
    ),
}


def check_solution(name: str | None, boundary: Boundary) -> Solution1D:
    """The solution by its name, the boundary's default for None; a ValueError lists those that
    satisfy the boundary condition."""
    fitting = [key for key, solution in SOLUTIONS.items() if solution.boundary is boundary]
    given = fitting[0] if name is None else name
    return SOLUTIONS[check_name(given, fitting, f"solution for {boundary} boundaries")]


@dataclass(frozen=True)
class SmoothCoefficient:
    """k(x) = exp(c prod_j sin(2 pi x_j)): smooth, periodic, between exp(-c) and exp(c)."""

    c: float = 2.0

    def __post_init__(self) -> None:
        # kept as a float: what it prints as names the equation, in `Problem.form`
        object.__setattr__(self, "c", check_number(self.c, "c", "of any sign"))

    def __call__(self, *x: NDArray[Any]) -> NDArray[Any]:
        """k at the points x."""
        return np.exp(self.c * _product(np.sin(2 * PI * t) for t in x))

    def gradient(self, axis: int, *x: NDArray[Any]) -> NDArray[Any]:
        """The derivative of k along one axis."""
        inner = (
            2 * PI * np.cos(2 * PI * t) if j == axis else np.sin(2 * PI * t)
            for j, t in enumerate(x)
        )
        return self.c * _product(inner) * self(*x)


@dataclass(frozen=True)
class JumpCoefficient:
    """k = `inside` where every coordinate lies in (1/4, 3/4), else 1: it jumps."""

    inside: float = 1000.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "inside", check_number(self.inside, "inside", "larger than 0"))

    def __call__(self, *x: NDArray[Any]) -> NDArray[Any]:
        """k at the points x."""
        within = math.prod(((t > 0.25) & (t < 0.75) for t in x), start=np.ones((), dtype=bool))
        return np.where(within, self.inside, 1.0)


def right_hand_side(
    solution: Solution1D, weights: Sequence[float], x: Sequence[NDArray[Any]]
) -> NDArray[Any]:
    """f = -sum_j weights[j] d^2 u/dx_j^2."""
    terms = (w * solution.derivative(j, 2, *x) for j, w in enumerate(weights))
    return -sum(terms, start=np.zeros(()))


def plane_right_hand_side(
    solution: Solution1D,
    weights: Sequence[float],
    mixed: float,
    wind: Sequence[float],
    x: Sequence[NDArray[Any]],
) -> NDArray[Any]:
    """f = -a_1 u_xx - 2 m u_xy - a_2 u_yy + w.grad u."""
    f = right_hand_side(solution, weights, x) - 2.0 * mixed * _product(map(solution.dv, x))
    terms = (w * solution.derivative(j, 1, *x) for j, w in enumerate(wind))
    return f + sum(terms, start=np.zeros(()))


def variable_right_hand_side(
    solution: Solution1D, k: SmoothCoefficient, x: Sequence[NDArray[Any]]
) -> NDArray[Any]:
    """f = -div(k grad u) = -sum_j (k d^2 u/dx_j^2 + dk/dx_j du/dx_j)."""
    terms = (
        k(*x) * solution.derivative(j, 2, *x) + k.gradient(j, *x) * solution.derivative(j, 1, *x)
        for j in range(len(x))
    )
    return -sum(terms, start=np.zeros(()))
