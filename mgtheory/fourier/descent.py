"""A local minimum of the largest of many smooth functions, by sequential quadratic programming.

min z subject to z >= f_i(c), on the pieces f_i that matter where a descent starts; it is begun anew
where others outgrow them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from mgtheory._frozen import ReadOnlyArrays

Float = npt.NDArray[np.float64]

# the pieces that one descent sees: those above this part of the maximum, and at least so many for
# each variable
PART, LEAST = 0.5, 6
# a maximum of this size is 0: of moduli of eigenvalues, those of a nilpotent matrix are known to
# the square root of rounding
EXACT = 1e-8
TOLERANCE = 1e-9  # of one descent, relative to the maximum where it starts
GAIN = 1e-5  # relative decrease for which a descent is started once more


@dataclass(frozen=True)
class LeastMaximum(ReadOnlyArrays):
    """Where a descent ended: the variables, the maximum there, the steps taken, and whether it
    stopped by its own criterion."""

    c: Float
    value: float
    iterations: int
    converged: bool


class _Outgrown(Exception):
    """Pieces that a descent does not see are larger than where it started: their values, shape
    (m,), and the steps taken."""


def minimise_maximum(
    pieces: Callable[[Float], tuple[Float, Float]],
    start: Float,
    iterations: int,
    known: float = math.inf,
    tolerance: float = TOLERANCE,
) -> LeastMaximum:
    """A local minimum of max_i f_i(c), from a start and never above it: min z subject to z >=
    f_i(c), by SciPy's SLSQP, to a relative tolerance in at most so many iterations.

    `pieces` takes c, shape (n,), to the f_i, shape (m,), their largest never negative, and their
    gradients, shape (m, n). Where a `known` value was reached from elsewhere, pieces well below it
    are not expected to matter.
    """
    c, values, taken = np.array(start, float), pieces(start)[0], 0
    value = float(values.max())
    converged, chosen = value <= EXACT, _chosen(values, len(c), known)
    # a restart forgets the curvature collected elsewhere, and is made while it gains
    while not converged and taken < iterations:
        try:
            ended = _descent(pieces, chosen, c, value, iterations - taken, tolerance)
        except _Outgrown as others:
            values, steps = others.args
            chosen, taken = chosen | _chosen(values, len(c), min(value, known)), taken + steps
            continue
        taken += int(ended.nit)
        values = pieces(ended.x[:-1])[0]
        reached = float(values.max())
        gained = reached < value * (1 - max(GAIN, tolerance))
        converged = (bool(ended.success) and not gained) or reached <= EXACT
        if reached < value:
            c, value, chosen = ended.x[:-1], reached, _chosen(values, len(c), known)
        if not (ended.success or gained):
            break
    return LeastMaximum(c, value, taken, converged)


def _chosen(values: Float, size: int, known: float) -> npt.NDArray[np.bool_]:
    """The pieces for a descent in so many variables."""
    rank = min(LEAST * (size + 1), len(values))
    part = PART * min(values.max(), known)
    return np.asarray(values >= min(part, np.partition(values, -rank)[-rank]))


def _descent(
    pieces: Any, chosen: Any, c: Float, value: float, iterations: int, tolerance: float
) -> Any:
    """One run of SLSQP on the chosen pieces, whose number is its cost. Its tolerance is absolute,
    so that values are divided by the first maximum."""
    taken = 0

    @functools.lru_cache(maxsize=1)  # values and gradients are asked for one by one
    def at(x: bytes) -> tuple[Float, Float]:
        return pieces(np.frombuffer(x))

    def gaps(z: Float) -> Float:
        return np.asarray(z[-1] - at(z[:-1].tobytes())[0][chosen] / value)

    def slopes(z: Float) -> Float:
        """Asked for where a step has ended."""
        nonlocal taken
        values, gradients = at(z[:-1].tobytes())
        if values.max() > max(value, values[chosen].max()) * (1 + GAIN):
            raise _Outgrown(values, taken)
        taken += 1
        return np.hstack([-gradients[chosen] / value, np.ones((int(chosen.sum()), 1))])

    upwards = np.append(np.zeros(len(c)), 1.0)
    return minimize(
        lambda z: z[-1],
        np.append(c, 1.0),
        jac=lambda z: upwards,
        method="SLSQP",
        constraints={"type": "ineq", "fun": gaps, "jac": slopes},
        options={"maxiter": iterations, "ftol": tolerance},
    )
