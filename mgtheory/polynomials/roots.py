"""Sets of roots: order for stable products, conjugate pairs, reciprocals (weights), JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_array

Complex = NDArray[np.complex128]
# relative distance at which two roots count as conjugates of each other
CONJUGATE_TOLERANCE = 1e-10
# largest modulus, and reciprocal of the smallest, of a real root and of a pair: doubles hold
# 1/|r|^2
REAL_RANGE, PAIR_RANGE = 1e300, 1e150


def leja_order(roots: ArrayLike) -> Complex:
    """Roots ordered so that each maximises the product of distances to those before it; conjugates
    adjacent, infinite ones last.

    The first is the one of largest modulus (ties: the larger real part). A repeated root counts as
    a near one, at distance eps times the largest modulus, so that copies are spread out and none is
    lost.
    """
    given = check_array(roots, "roots").astype(complex).reshape(-1)
    if (wrong := (given == 0) | np.isnan(given)).any():
        k = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"a root is 0 or not a number, entry {k} counted from 0; roots must be non-zero,"
            " because q(0) = 1"
        )
    finite = given[np.isfinite(given)]
    upper = finite[finite.imag >= 0]
    infinite = np.full(given.size - finite.size, complex(np.inf, 0.0))
    return np.concatenate([_with_conjugates(upper[_leja(upper)]), infinite])


def leja_weights(weights: Complex) -> Complex:
    """Symmetric weights, their values untouched, in the Leja order of their roots; of each pair the
    one with the root in the upper half-plane first, weights 0 last."""
    half = weights[(weights.imag <= 0) & (weights != 0)]
    zeros = weights[weights == 0]
    return np.concatenate([_with_conjugates(half[_leja(reciprocals(half))]), zeros])


def _leja(upper: Complex) -> NDArray[np.intp]:
    """The Leja order, as indices, of finite roots with imag >= 0, each with its conjugate."""
    if not upper.size:
        return np.empty(0, dtype=np.intp)
    by_size = np.lexsort((-upper.imag, -upper.real))
    upper = upper[by_size]
    smallest = np.finfo(float).eps * np.abs(upper).max()

    def log_distance(point: complex) -> NDArray[np.float64]:
        return np.log(np.maximum(np.abs(upper - point), smallest))

    score, order = np.abs(upper), []
    for step in range(upper.size):
        # Scores that differ by rounding alone are ties, decided by the sorted order: conjugation
        # and scaling do not change the result.
        best = float(score.max())
        chosen = int((score >= best - 1e-12 * max(1.0, abs(best))).argmax())
        order.append(chosen)
        z = upper[chosen]
        gained = log_distance(z) + log_distance(z.conjugate()) if z.imag else log_distance(z)
        score = gained if step == 0 else score + gained
        score[order] = -np.inf  # taken
    return by_size[order]


def _with_conjugates(half: Complex) -> Complex:
    """Each complex one followed by its conjugate."""
    if not half.imag.any():
        return half
    size = np.where(half.imag == 0, 1, 2)
    both = np.repeat(half, size)
    second = (np.cumsum(size) - 1)[size == 2]
    both[second] = both[second].conj()
    return both


def symmetrised(roots: Complex, what: str = "root") -> Complex:
    """Roots (or weights) with rounding removed: each complex one exactly conjugate to its partner,
    nearly real ones real; refused without partner."""
    if not roots.imag.any() and np.isfinite(roots).all():
        return roots
    infinite = ~np.isfinite(roots)
    finite = roots[~infinite]
    real = np.abs(finite.imag) <= 4 * np.finfo(float).eps * np.abs(finite)
    remaining = list(finite[~real & (finite.imag < 0)])
    upper: list[complex] = []
    alone: list[complex] = []
    for z in finite[~real & (finite.imag > 0)]:
        distances = [abs(z.conjugate() - other) for other in remaining]
        if distances and min(distances) <= CONJUGATE_TOLERANCE * abs(z):
            upper.append(0.5 * (z + remaining.pop(int(np.argmin(distances))).conjugate()))
        else:
            alone.append(z)
    for z in alone + remaining:
        raise ValueError(
            f"the {what} {z:.6g} has no conjugate partner; complex roots must come in conjugate"
            " pairs"
        )
    pairs = _with_conjugates(np.array(upper, dtype=complex))
    at_infinity = np.full(infinite.sum(), complex(np.inf, 0.0))
    return np.concatenate([finite[real].real, pairs, at_infinity])


def in_pairs(values: Complex, what: str) -> Complex:
    """Roots or weights as exact conjugate pairs, their factors in the range of double precision."""
    values = symmetrised(values, what)
    modulus, real = np.abs(values), values.imag == 0
    limit = np.where(real, REAL_RANGE, PAIR_RANGE)
    proper = (modulus == 0) | np.isinf(modulus) | ((1 / limit <= modulus) & (modulus <= limit))
    if not proper.all():
        i = int(np.argmin(proper))
        raise ValueError(
            f"a {'' if real[i] else 'complex '}{what} has modulus {modulus[i]:.1e}, allowed are"
            f" {1 / limit[i]:g} to {limit[i]:g}: scale the operator"
        )
    return values


def reciprocals(values: Complex) -> Complex:
    """1/z elementwise, weights from roots and back: 1/0 = +infinity and 1/infinity = 0."""
    proper = np.isfinite(values) & (values != 0)
    limits = np.where(values == 0, complex(np.inf, 0.0), 0.0)
    return np.where(proper, 1.0 / np.where(proper, values, 1.0), limits)


def roots_to_json(roots: Iterable[complex]) -> list[list[float] | None]:
    """[re, im] for each root, None (null) for one at infinity, which JSON has no number for."""
    return [[float(z.real), float(z.imag)] if np.isfinite(z) else None for z in np.asarray(roots)]


def roots_from_json(listed: Sequence[Any]) -> Complex:
    """The inverse of `roots_to_json`."""
    roots = [complex(math.inf, 0.0) if z is None else complex(*map(float, z)) for z in listed]
    return np.array(roots, dtype=complex)
