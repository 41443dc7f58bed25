"""Discretisations of -sum_j a_j d^2 u/dx_j^2: each a multi-affine polynomial in the second
differences K_j for the matrix, another for b.

Adding one is an entry of `SCHEMES`; see `mgtheory.problems.tensor` for what follows from it.

* **3-point, 5-point, 7-point**: ``sum_j a_j K_j``, order 2.
* **9-point, 19-point** (compact, Mehrstellen): ``sum_j a_j K_j - sum_{i<j} (a_i h_j^2 + a_j
  h_i^2)/12 K_i K_j``, order 4 with the right-hand side ``f - sum_j h_j^2/12 K_j f``, which needs f
  on the boundary. On a square grid the stencil is ``(20, -4, -1)/6``. [Collatz 1960]
* **q1**: (bi-, tri-)linear finite elements divided by the cell's volume, ``sum_j a_j K_j prod_{i !=
  j} M_i`` with the mass matrix ``M = 1 - h^2/6 K``; right-hand side ``prod_j M_j f``. Order 2.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mgtheory.problems.tensor import Polynomial, subsets


@dataclass(frozen=True)
class Scheme:
    """A discretisation: the dimensions it exists in, its order, and the polynomials in K_j of the
    matrix and of the right-hand side."""

    dims: tuple[int, ...]
    order: int
    matrix: Callable[[Sequence[float], Sequence[float]], Polynomial]
    load: Callable[[Sequence[float]], Polynomial]


def _standard(a: Sequence[float], h: Sequence[float]) -> Polynomial:
    return {(j,): a_j for j, a_j in enumerate(a)}


def _compact(a: Sequence[float], h: Sequence[float]) -> Polynomial:
    mixed: dict[tuple[int, ...], float] = {
        (i, j): -(a[i] * h[j] ** 2 + a[j] * h[i] ** 2) / 12.0
        for i, j in itertools.combinations(range(len(a)), 2)
    }
    return {**_standard(a, h), **mixed}


def _compact_load(h: Sequence[float]) -> Polynomial:
    return {(): 1.0, **{(j,): -(h_j**2) / 12.0 for j, h_j in enumerate(h)}}


def _elements(a: Sequence[float], h: Sequence[float]) -> Polynomial:
    result: dict[tuple[int, ...], float] = {}
    mass = _mass(h)
    for j, a_j in enumerate(a):
        for axes in (S for S in mass if j not in S):
            key = tuple(sorted((j, *axes)))
            result[key] = result.get(key, 0.0) + a_j * mass[axes]
    return result


def _mass(h: Sequence[float]) -> Polynomial:
    return {
        axes: math.prod((-(h[j] ** 2) / 6.0 for j in axes), start=1.0) for axes in subsets(len(h))
    }


def _plain_load(h: Sequence[float]) -> Polynomial:
    return {(): 1.0}


SCHEMES: dict[str, Scheme] = {
    "3-point": Scheme((1,), 2, _standard, _plain_load),
    "5-point": Scheme((2,), 2, _standard, _plain_load),
    "7-point": Scheme((3,), 2, _standard, _plain_load),
    "9-point": Scheme((2,), 4, _compact, _compact_load),
    "19-point": Scheme((3,), 4, _compact, _compact_load),
    "q1": Scheme((1, 2, 3), 2, _elements, _mass),
}
