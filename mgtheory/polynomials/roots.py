"""Sets of roots: their order for stable products, conjugate pairs, roots and weights as reciprocals
of each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_array

__all__ = ["leja_order", "reciprocals", "symmetrised"]

# relative distance at which two roots count as conjugates of each other
CONJUGATE_TOLERANCE = 1e-10


def leja_order(roots: ArrayLike) -> NDArray[np.complex128]:
    """Roots ordered so that each maximises the product of distances to those before it; conjugates
    adjacent, infinite ones last.

    The first is the one of largest modulus (ties: the larger real part). A repeated root counts as
    a near one, at distance eps times the largest modulus, so that copies are spread out and none is
    lost.
    """
    given = check_array(roots, "roots").astype(complex).reshape(-1)
    if (given == 0).any() or np.isnan(given).any():
        raise ValueError("a root is 0 or not a number; roots must be non-zero, because q(0) = 1")
    finite = given[np.isfinite(given)]
    infinite = np.full(given.size - finite.size, complex(np.inf, 0.0))
    upper = finite[finite.imag >= 0]
    if not upper.size:
        return infinite
    upper = upper[np.lexsort((-upper.imag, -upper.real))]
    smallest = np.finfo(float).eps * np.abs(upper).max()

    def log_distance(point: complex) -> NDArray[np.float64]:
        return np.log(np.maximum(np.abs(upper - point), smallest))

    score, ordered = np.abs(upper), []
    left = np.ones(upper.size, dtype=bool)
    for step in range(upper.size):
        # Scores that differ by rounding alone are ties, decided by the sorted order: conjugation
        # and scaling do not change the result.
        best = score[left].max()
        chosen = int(np.flatnonzero(left & (score >= best - 1e-12 * max(1.0, abs(best))))[0])
        left[chosen] = False
        pair = (
            [upper[chosen]]
            if upper[chosen].imag == 0
            else [upper[chosen], upper[chosen].conjugate()]
        )
        ordered += pair
        score = (np.zeros(upper.size) if step == 0 else score) + sum(
            log_distance(point) for point in pair
        )
    return np.concatenate([np.array(ordered), infinite])


def symmetrised(roots: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Roots with rounding removed: each complex one exactly conjugate to its partner, nearly real
    ones real; refused without partner."""
    infinite = ~np.isfinite(roots)
    finite = roots[~infinite]
    real = np.abs(finite.imag) <= 4 * np.finfo(float).eps * np.abs(finite)
    upper, lower = finite[~real & (finite.imag > 0)], finite[~real & (finite.imag < 0)]
    remaining = list(lower)
    pairs: list[complex] = []
    for z in upper:
        distances = [abs(z.conjugate() - other) for other in remaining]
        if not distances or min(distances) > CONJUGATE_TOLERANCE * abs(z):
            raise ValueError(
                f"the root {z:.6g} has no conjugate partner; complex roots must come in conjugate"
                " pairs"
            )
        mean = 0.5 * (z + remaining.pop(int(np.argmin(distances))).conjugate())
        pairs += [mean, mean.conjugate()]
    if remaining:
        raise ValueError(
            f"the root {remaining[0]:.6g} has no conjugate partner; complex roots must come in"
            " conjugate pairs"
        )
    return np.concatenate(
        [
            finite[real].real,
            np.array(pairs, dtype=complex),
            np.full(infinite.sum(), complex(np.inf, 0.0)),
        ]
    )


def reciprocals(values: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """1/z elementwise with 1/0 = +infinity, so that weights and roots convert into each other."""
    zero = values == 0
    return np.where(zero, complex(np.inf, 0.0), 1.0 / np.where(zero, 1.0, values))
