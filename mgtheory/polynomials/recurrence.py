"""Three-term recurrences of polynomial smoothers: how a Chebyshev family is applied, stable at
every degree and with two vectors more.

A product of many factors needs the right order to be stable (`mgtheory.polynomials.residual`); a
recurrence needs none. Chebyshev polynomials of the first kind have one by their definition [Saad
2003, algorithm 12.1], those of the fourth kind and, with other weights beta, the optimised fourth
kind share another one [Lottes 2023].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mgtheory._checks import check_array, check_finite, check_number


@dataclass(frozen=True)
class Recurrence:
    """z_i = a_i z_{i-1} + b_i B s_{i-1};  x += beta_i z_i;  s_i = s_{i-1} - A z_i, from z_0 = 0,
    s_0 = b - A x.

    With all beta_i = 1 the s_i are the true residuals (Chebyshev of the first and fourth kind);
    otherwise not (optimised fourth kind). `a` and `beta` have no unit, `b` that of 1/A; ``a[0]`` is
    never used.
    """

    a: tuple[float, ...]
    b: tuple[float, ...]
    beta: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("a", "b", "beta"):
            values = check_array(getattr(self, name), f"recurrence: {name}", real=True)
            if values.ndim != 1:
                raise ValueError(
                    f"recurrence: {name} has shape {values.shape}, must be one-dimensional"
                )
            check_finite(values, f"recurrence: {name}")
            object.__setattr__(self, name, tuple(values.tolist()))
        if not len(self.a) == len(self.b) == len(self.beta) > 0:
            raise ValueError(
                f"recurrence: a, b and beta have lengths {len(self.a)}, {len(self.b)} and"
                f" {len(self.beta)}, must be equal and positive"
            )

    def scaled(self, factor: float) -> Recurrence:
        """The same recurrence for the operator multiplied by `factor`."""
        return Recurrence(self.a, tuple(value / factor for value in self.b), self.beta)

    def correction(
        self, apply_operator: Callable[[Any], Any], apply_b: Callable[[Any], Any], r: Any
    ) -> Any:
        """p(BA) B r, with one product with A less than the degree."""
        s, z, x = r, None, None
        for i, (a, b, beta) in enumerate(zip(self.a, self.b, self.beta, strict=True)):
            z = b * apply_b(s) if z is None else a * z + b * apply_b(s)
            x = beta * z if x is None else x + beta * z
            if i + 1 < len(self.a):
                s = s - apply_operator(z)
        return x


def first_kind_recurrence(degree: int, *, interval: tuple[float, float]) -> Recurrence:
    """z_1 = r/c; z_{n+1} = rho_n rho_{n-1} z_n + (2 rho_n/h) s_n, of `classical.chebyshev`.

    c is the centre of the interval, h half of its width, rho_n = T_n/T_{n+1} at c/h; beta = 1.

    Examples
    --------
    >>> first_kind_recurrence(2, interval=(2.0, 8.0)).b  # 1/5, (2/3) rho_1, rho_1 = 15/41
    (0.2, 0.2439...)
    """
    a, b = interval
    centre, half = 0.5 * (a + b), 0.5 * (b - a)
    sigma = centre / half
    rho = np.full(degree, 1 / sigma)
    for n in range(1, degree):
        rho[n] = 1 / (2 * sigma - rho[n - 1])
    keep = np.concatenate(([0.0], rho[1:] * rho[:-1]))
    step = np.concatenate(([1 / centre], 2 * rho[1:] / half))
    return Recurrence(tuple(keep.tolist()), tuple(step.tolist()), (1.0,) * degree)


def fourth_kind_recurrence(beta: ArrayLike, *, lmax: float) -> Recurrence:
    """z_i = (2i - 3)/(2i + 1) z_{i-1} + (8i - 4)/((2i + 1) lmax) B s_{i-1}, i = 1..len(beta).

    beta = 1 is the fourth kind itself; the weights of the optimised polynomial are
    `mgtheory.polynomials.fourthkind.optimised_beta`.
    """
    weights = check_array(beta, "beta", real=True)
    check_number(lmax, "lmax", "larger than 0")
    i = np.arange(1, len(weights) + 1)
    keep = np.where(i == 1, 0.0, (2 * i - 3) / (2 * i + 1))
    step = (8 * i - 4) / ((2 * i + 1) * lmax)
    return Recurrence(tuple(keep.tolist()), tuple(step.tolist()), tuple(weights.tolist()))
