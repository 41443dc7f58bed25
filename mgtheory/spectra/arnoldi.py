"""Arnoldi's process: k steps on A from b give A V_k = V_{k+1} H with orthonormal vectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from mgtheory._checks import check_array, check_whole
from mgtheory._frozen import ReadOnlyArrays

# relative size of a new Krylov vector below which it is rounding: its direction has at most three
# digits left
BREAKDOWN = 1e-12


@dataclass(frozen=True)
class Arnoldi(ReadOnlyArrays):
    """A V_k = V_{k+1} scale H with orthonormal vectors and H upper Hessenberg; the last row of H
    vanishes on an invariant subspace.

    Attributes
    ----------
    V
        Basis vectors as rows, shape (k + 1, n), or (k, n) if invariant.
    H
        Shape (k + 1, k).
    scale
        A power of 2 of the size of A, so that no norm overflows or vanishes.
    invariant
        Whether the first k vectors span an invariant subspace: k is the grade of the start vector.
    """

    V: NDArray[Any]
    H: NDArray[Any]
    scale: float
    invariant: bool

    @property
    def steps(self) -> int:
        """k, products with A."""
        return self.H.shape[1]


def arnoldi_process(apply: Callable[[Any], Any], start: NDArray[Any], steps: int) -> Arnoldi:
    """At most `steps` steps of Arnoldi's process on v -> A v, from a finite vector other than 0 of
    shape (n,), each vector orthogonalised twice; it ends early at an invariant subspace."""
    steps, peak = check_whole(steps, "steps", 1), float(np.abs(start).max(initial=0.0))
    if not (math.isfinite(peak) and peak > 0):
        raise ValueError(
            f"start has norm {peak:g}, Krylov methods need a finite vector other than 0"
        )
    unit = start / peak
    unit = unit / np.linalg.norm(unit)
    first = np.asarray(apply(unit))
    scale = binary_scale(first)
    dtype = np.result_type(start.dtype, first.dtype, float)
    V = np.zeros((steps + 1, start.size), dtype=dtype)
    H = np.zeros((steps + 1, steps), dtype=dtype)
    V[0] = unit
    largest = 0.0
    for j in range(steps):
        w = np.array(apply(V[j]) if j else first, dtype=dtype) / scale
        size = float(np.linalg.norm(w))
        if not math.isfinite(size):
            raise ValueError("the operator gives values that are not finite")
        largest = max(largest, size)
        for _ in range(2):
            h = V[: j + 1].conj() @ w
            w -= h @ V[: j + 1]
            H[: j + 1, j] += h
        rest = float(np.linalg.norm(w))
        if rest <= BREAKDOWN * largest or j + 1 == start.size:
            return Arnoldi(V[: j + 1], H[: j + 2, : j + 1], scale, True)
        H[j + 1, j] = rest
        V[j + 1] = w / rest
    return Arnoldi(V, H, scale, False)


def binary_scale(v: NDArray[Any]) -> float:
    """A power of 2 near the largest entry of v (1 for v = 0): products divided by it have squares
    in the range of doubles."""
    largest = float(np.abs(v).max(initial=0.0))
    if not math.isfinite(largest):
        raise ValueError("the operator gives values that are not finite")
    return math.ldexp(1.0, max(math.frexp(largest)[1], -1022)) if largest > 0 else 1.0


def product(operator: LinearOperator, *, adjoint: bool = False) -> Callable[[Any], Any]:
    """v -> A v (A^H v) for real and complex v of shape (n,).

    A real operator gets real vectors alone: a function of a user's own, such as a convolution, may
    drop the imaginary part without a word.
    """
    apply = operator.rmatvec if adjoint else operator.matvec

    def parts(v: NDArray[Any]) -> Any:
        return apply(v.real) + 1j * apply(v.imag) if np.iscomplexobj(v) else apply(v)

    return apply if np.issubdtype(operator.dtype, np.complexfloating) else parts


def linear_operator(operator: Any) -> LinearOperator:
    """A sparse or dense array (nested lists too) or LinearOperator as a LinearOperator."""
    if isinstance(operator, list | tuple):
        operator = check_array(operator, "operator")
    if isinstance(operator, np.ndarray) and (
        operator.ndim != 2 or operator.dtype.kind not in "iufc"
    ):
        raise ValueError(
            f"operator has shape {operator.shape} and type {operator.dtype}, must be a matrix of"
            " numbers"
        )
    try:
        found = aslinearoperator(operator)
    except TypeError:
        raise ValueError(
            f"operator is a {type(operator).__name__}, must be a sparse or dense array or a"
            " LinearOperator"
        ) from None
    if not np.can_cast(found.dtype, np.complex128):  # LAPACK has no longer type, and no objects
        raise ValueError(f"operator is of type {found.dtype}, allowed are those up to complex128")
    return found
