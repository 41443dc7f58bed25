"""Did training keep, leave or rediscover the theory's polynomial? Distances between polynomials,
and the nearest classical one.

Polynomials are compared on (0, 1], each scaled by the spectral radius b of the operator it smooths:
there the theory's polynomial is the same object at every level, at the start and after training.
The distance is ``max |q1(b1 t) - q2(b2 t)|`` over t in (0, 1]; beside it stands the distance of the
weights, ``sqrt(sum |b1 w_i - b2 v_i|^2 / sum |b2 v_i|^2)`` under the best assignment of one set to
the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import computed_field
from pydantic.dataclasses import dataclass as checked
from scipy.optimize import linear_sum_assignment, minimize_scalar

from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.scores import nearest_families

# of q, whose values on (0, 1] are of order 1: curves that close are hard to tell apart in a figure
TOLERANCE = 0.1
POINTS = np.sin(0.5 * np.pi * np.arange(1, 513) / 512) ** 2  # (0, 1], denser at both ends
FITTED = {"chebyshev": "a", "richardson": "root"}  # what `nearest_families` fits of a family

KEPT, RESCALED, LEFT = "kept", "rescaled", "left"
REDISCOVERED, ELSEWHERE = "rediscovered", "elsewhere"
NEAR, AWAY = "near theory", "away from theory"
NOT_IDENTIFIABLE = "not identifiable"
NO_POLYNOMIAL = "no polynomial"
NO_SPECTRUM = "no spectrum"
WORDS = {
    KEPT: "started at the theory's polynomial and is still within the tolerance of it",
    RESCALED: (
        "started at the theory's polynomial and is within the tolerance of it up to a scaling of"
        " its axis: the shape was kept, beside an A whose size changed"
    ),
    LEFT: "started at the theory's polynomial and is no longer within the tolerance of it",
    REDISCOVERED: "started elsewhere and came within the tolerance of the theory's polynomial",
    ELSEWHERE: "started elsewhere and is still not within the tolerance of the theory's polynomial",
    NEAR: "with any norms folded in it is within the tolerance of the theory's polynomial",
    AWAY: "with any norms folded in it is not within the tolerance of the theory's polynomial",
    NOT_IDENTIFIABLE: (
        "a batch norm takes the meaning of at least one coefficient away, so nothing is said about"
        " the polynomial"
    ),
    NO_POLYNOMIAL: "the steps are convolutions, not polynomials in A",
    NO_SPECTRUM: "the spectral radius of A is 0, so q is 1 on all of the spectrum",
}


@dataclass(frozen=True)
class Nearest:
    """The classical polynomial closest to a given one.

    Attributes
    ----------
    family, degree
        Its name and its degree as a polynomial in A.
    fitted
        Lower end a of chebyshev's interval or richardson's root, the best there is, in units of b
        (of b^2 in A^2); None for other families.
    squared
        Whether it is the family's polynomial in A^2, as symmetric pairs take it.
    distance
        max |difference| on (0, 1], or at the points that were asked for.
    """

    family: str
    degree: int
    fitted: float | None
    squared: bool
    distance: float

    def __str__(self) -> str:
        unit, of = ("b^2", ", in A^2") if self.squared else ("b", "")
        fitted = self.fitted
        end = "" if fitted is None else f", {FITTED[self.family]} = {fitted:.3g} {unit}"
        return f"{self.family}({self.degree}{end}{of})"


@checked(frozen=True)
class Verdict:
    """What training did to one level's polynomial.

    Attributes
    ----------
    word
        One of `WORDS`.
    start_distance, learned_distance
        max |q - q_theory| on (0, 1] before and after training; None where nothing may be said.
    moved
        max |q_learned - q_start| on (0, 1]; None without a start, as `start_distance`.
    weight_distance
        Relative distance of the learned weights from the theory's; None where the degrees differ.
    shape_distance, shape_scale
        The smallest max |q_learned(s t) - q_theory(t)| over all scalings s > 0 of the axis, and
        that s: small where the learned polynomial is the theory's for another upper end of the
        spectrum, b s.
    nearest
        The classical polynomial nearest to the learned one.
    tolerance
        The distance up to which the two count as the same.
    """

    word: str
    start_distance: float | None = None
    learned_distance: float | None = None
    moved: float | None = None
    weight_distance: float | None = None
    shape_distance: float | None = None
    shape_scale: float | None = None
    nearest: Nearest | None = None
    tolerance: float = TOLERANCE

    @computed_field  # type: ignore[prop-decorator]
    @property
    def meaning(self) -> str:
        """What the word says."""
        return WORDS[self.word]


def distance(q: ResidualPolynomial, other: ResidualPolynomial) -> float:
    """max |q(t) - other(t)| over t in (0, 1], on 512 points denser at the ends."""
    return float(np.abs(q(POINTS) - other(POINTS)).max())


def weight_distance(q: ResidualPolynomial, other: ResidualPolynomial) -> float | None:
    """sqrt(sum |w_i - v_i|^2 / sum |v_i|^2) with the weights of `q` assigned to those v of `other`;
    None for different degrees."""
    if q.degree != other.degree:
        return None
    cost = np.abs(q.weights[:, None] - other.weights[None, :]) ** 2
    rows, columns = linear_sum_assignment(cost)
    size = float((np.abs(other.weights) ** 2).sum())
    return float(np.sqrt(cost[rows, columns].sum() / size)) if size else None


def shape_distance(q: ResidualPolynomial, other: ResidualPolynomial) -> tuple[float, float]:
    """(distance, s): the smallest max |q(s t) - other(t)| over t in (0, 1] and s in [1/100, 100],
    found to 1e-6 in s."""
    target = other(POINTS)

    def measure(exponent: float) -> float:
        return float(np.abs(q(np.exp(exponent) * POINTS) - target).max())

    grid = np.linspace(-np.log(100.0), np.log(100.0), 185)  # steps of 5 %
    values = [measure(exponent) for exponent in grid]
    best = int(np.argmin(values))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    found = minimize_scalar(measure, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    least = (found.fun, found.x) if found.fun < values[best] else (values[best], grid[best])
    return float(least[0]), float(np.exp(least[1]))


def nearest_classical(
    q: ResidualPolynomial, *, points: NDArray[np.complex128] | None = None
) -> Nearest:
    """The classical polynomial closest to q on (0, 1], or at points of a spectrum of radius 1, of
    degrees up to that of q: by `nearest_families` in A and, if q is even, in A^2.

    Symmetric pairs make q a polynomial in A^2; t^2 fills (0, 1] as t does, so the distance is the
    same maximum.
    """
    half = _in_square(q)
    found = [
        Nearest(match.family, (1 + squared) * match.degree, match.fitted, squared, match.distance)
        for squared, polynomial in ((False, q), (True, half))
        if polynomial is not None
        for match in nearest_families(
            polynomial, points=None if points is None else points ** (1 + squared)
        )
    ]
    return min(found, key=lambda entry: (entry.distance, entry.degree))


def _in_square(q: ResidualPolynomial) -> ResidualPolynomial | None:
    """p with q(t) = p(t^2), where q consists of symmetric pairs 1 - kappa t^2; None elsewhere."""
    squares = np.sort_complex(q.weights**2)
    rounding = 1e-12 * float(np.abs(squares).max())
    paired = (
        q.degree % 2 == 0
        and np.abs(squares[::2] - squares[1::2]).max() <= rounding
        and np.abs(squares.imag).max() <= rounding
    )
    if not paired or abs(q.weights.sum()) > 1e-12 * np.abs(q.weights).sum():  # -q'(0) = 0
        return None
    return ResidualPolynomial.from_weights(squares.real[::2])


def judge(
    start: ResidualPolynomial | None,
    learned: ResidualPolynomial | None,
    theory: ResidualPolynomial | None,
    *,
    identifiable: bool = True,
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Keep, rescale, leave or rediscover, from the three polynomials scaled to (0, 1].

    Parameters
    ----------
    start, learned, theory
        On (0, 1]; None where the steps are no polynomials. Without a start alone, the word says how
        learned stands to the theory and nothing of training: the start of a network with norms has
        no statistics to be folded in yet, so no start belongs beside a learned polynomial that has
        its norms folded in.
    identifiable
        Whether every coefficient is; if not, nothing is said.
    tolerance
        Distance up to which a polynomial counts as the theory's.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance}, must be positive")
    if learned is None or theory is None:
        return Verdict(NO_POLYNOMIAL, tolerance=tolerance)
    if not identifiable:
        return Verdict(NOT_IDENTIFIABLE, tolerance=tolerance)
    before, after = None if start is None else distance(start, theory), distance(learned, theory)
    shape, scale = shape_distance(learned, theory)
    if before is None:
        words = (NEAR, AWAY)
    elif before <= tolerance:
        words = (KEPT, RESCALED if shape <= tolerance else LEFT)
    else:
        words = (REDISCOVERED, ELSEWHERE)
    return Verdict(
        words[0] if after <= tolerance else words[1],
        before,
        after,
        None if start is None else distance(learned, start),
        weight_distance(learned, theory),
        shape,
        scale,
        nearest=nearest_classical(learned),
        tolerance=tolerance,
    )
