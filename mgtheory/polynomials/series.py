"""Residual polynomials as unknowns of an optimisation: q(t) = 1 + (t / b) sum_i c_i T_i(2 t / b -
1), i < k.

q(0) = 1 always, every real q of degree k on (0, b] has its c, and roots may become complex; small
changes of c are small changes of q, which neither powers nor roots give.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial import chebyshev as cheb
from numpy.typing import NDArray

from mgtheory.polynomials.residual import ResidualPolynomial

Float = NDArray[np.float64]


def basis(t: Any, b: float, degree: int, *, divided: bool = False) -> Any:
    """(t / b) T_i(2 t / b - 1), or `divided` by t, i < degree along a last axis."""
    s = 2 * t / b - 1
    table = [np.ones_like(s), s]
    for _ in range(degree - 2):
        table.append(2 * s * table[-1] - table[-2])
    stacked = np.stack(table[:degree], axis=-1)
    return stacked / b if divided else (t / b)[..., None] * stacked


def coefficients(polynomial: ResidualPolynomial, b: float) -> Float:
    """c of a residual polynomial: q at Chebyshev points, b (q - 1) / t expanded in T_i."""
    k = polynomial.degree
    nodes = np.cos(np.pi * (np.arange(k) + 0.5) / k)
    t = b * (nodes + 1) / 2
    values = (np.real(polynomial.q(t)) - 1) * b / t
    return np.asarray(np.linalg.solve(cheb.chebvander(nodes, k - 1), values))


def from_coefficients(c: Float, b: float) -> ResidualPolynomial:
    """The residual polynomial of the coefficients c."""
    series = cheb.chebmul([0.5, 0.5], c)
    series[0] += 1.0
    return ResidualPolynomial(b * (cheb.chebroots(series) + 1) / 2)
