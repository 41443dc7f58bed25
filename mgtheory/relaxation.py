"""Smoothers as Fourier analysis sees them: the symbol of one smoothing step on the harmonics of a frequency.

A step is x <- x + M (b - A x) with error operator S = I - M A. For polynomials and Jacobi, S keeps each Fourier mode; lexicographic
Gauss-Seidel does so on an infinite grid, where "earlier points" is a stencil too; red-black couples the modes theta and
theta + (pi, ..., pi), since the colours are a mode themselves. A smoother is data plus `symbols`; `SMOOTHERS` names the defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from mgtheory.polynomial import ResidualPolynomial
from mgtheory.stencils import Stencil
from mgtheory.symbols import Complex, Float, grid_frequencies, harmonic_symbols, spectral_radius

Turns = npt.NDArray[np.int64]

SCALINGS = ("identity", "diagonal")
ORDERS = ("lexicographic", "red-black")

__all__ = ["SCALINGS", "SMOOTHERS", "GaussSeidel", "Jacobi", "Polynomial", "Relaxation", "as_relaxation", "inverse"]


@runtime_checkable
class Relaxation(Protocol):
    """What the analysis needs of a smoother."""

    @property
    def couples(self) -> bool:
        """Whether theta and theta + (pi, ..., pi) are coupled."""

    def symbols(self, stencil: Stencil, theta: Float, turns: Turns, order: int) -> Complex:
        """Error operator of one step on the harmonics theta + 2 pi alpha / order, alpha in the m rows of `turns`.

        Shape (F, m, c, c), one block a mode, or (F, m c, m c) if modes are coupled (then `turns` contains each mode's partner).
        """

    def on_level(self, fine: Stencil, coarse: Stencil) -> Relaxation:
        """The smoother to use on a coarser level, whose operator is `coarse`."""


@dataclass(frozen=True)
class Polynomial:
    """x <- x + p(BA) B (b - A x), with S = q(BA); B is the identity or the inverse of the diagonal (of a_0's diagonal if c > 1).

    On a coarser level the roots are multiplied by rho(B_H A_H) / rho(B A), so that q keeps its place on the spectrum.
    """

    polynomial: ResidualPolynomial
    scaling: str = "identity"

    def __post_init__(self) -> None:
        if self.scaling not in SCALINGS:
            raise ValueError(f"unknown scaling {self.scaling!r}; known: {', '.join(SCALINGS)}")

    @property
    def couples(self) -> bool:
        """A polynomial in a constant-coefficient operator keeps every mode."""
        return False

    def scaled_symbols(self, stencil: Stencil, values: Complex) -> Complex:
        """B Ahat: rows divided by the diagonal of the centre tap, if asked."""
        return values if self.scaling == "identity" else values / _diagonal(stencil)[:, None]

    def symbols(self, stencil: Stencil, theta: Float, turns: Turns, order: int) -> Complex:
        """q(B Ahat), shape (F, m, c, c)."""
        t = self.scaled_symbols(stencil, harmonic_symbols(stencil, theta, turns, order))
        if stencil.channels == 1:
            return np.asarray(self.polynomial.q(t), dtype=np.complex128)
        identity = np.eye(stencil.channels)
        result = np.broadcast_to(identity.astype(np.complex128), t.shape)
        for weight in self.polynomial.weights:
            result = result @ (identity - weight * t)
        return result

    def radius(self, stencil: Stencil, samples: int = 16) -> float:
        """max over `samples` frequencies an axis (theta = pi among them) of the spectral radius of B Ahat."""
        theta = grid_frequencies((samples,) * stencil.dim).reshape(-1, stencil.dim)
        return float(spectral_radius(self.scaled_symbols(stencil, harmonic_symbols(stencil, theta)[:, 0])).max())

    def on_level(self, fine: Stencil, coarse: Stencil) -> Polynomial:
        """The polynomial with its roots moved by the ratio of the spectral radii."""
        return Polynomial(self.polynomial.scaled(self.radius(coarse) / self.radius(fine)), self.scaling)


@dataclass(frozen=True)
class Jacobi:
    """x <- x + omega D^-1 (b - A x), D the centre tap (the c x c block of it for c channels)."""

    omega: float = 0.8

    def __post_init__(self) -> None:
        _check_omega(self.omega)

    @property
    def couples(self) -> bool:
        """Jacobi keeps every mode."""
        return False

    def symbols(self, stencil: Stencil, theta: Float, turns: Turns, order: int) -> Complex:
        """I - omega a_0^-1 Ahat, shape (F, m, c, c)."""
        ahat = harmonic_symbols(stencil, theta, turns, order)
        return np.eye(stencil.channels) - self.omega * (_centre_inverse(stencil) @ ahat)

    def on_level(self, fine: Stencil, coarse: Stencil) -> Jacobi:
        """The same: D^-1 A does not scale."""
        return self


@dataclass(frozen=True)
class GaussSeidel:
    """Point by point (block by block for c channels): in C order of the grid, or the even points of a chessboard, then the odd ones.

    Parameters
    ----------
    order
        `lexicographic` or `red-black` (red: the sum of the indices is even). A colour is relaxed at once, which for stencils that
        couple points of one colour (9-point) is a Jacobi step on that colour.
    omega
        Over-relaxation: (D / omega + L) instead of (D + L).
    backward
        Reverse order; red-black then takes black first.
    """

    order: str = "lexicographic"
    omega: float = 1.0
    backward: bool = False

    def __post_init__(self) -> None:
        _check_omega(self.omega)
        if self.order not in ORDERS:
            raise ValueError(f"unknown order {self.order!r}; known: {', '.join(ORDERS)}")

    @property
    def couples(self) -> bool:
        """The chessboard colouring couples theta and theta + (pi, ..., pi)."""
        return self.order == "red-black"

    def splitting(self, stencil: Stencil) -> Stencil:
        """D / omega + L, with L the points that lexicographic order visits before x (after x if backward)."""
        sign, origin = (-1 if self.backward else 1), (0,) * stencil.dim
        kept = [i for i, k in enumerate(stencil.offsets) if tuple(sign * j for j in k) < origin]
        taps = np.concatenate([stencil.matrices[kept], stencil.diagonal[None] / self.omega])
        return Stencil((*(stencil.offsets[i] for i in kept), origin), taps)

    def symbols(self, stencil: Stencil, theta: Float, turns: Turns, order: int) -> Complex:
        """I - (D / omega + L)^-1 Ahat, shape (F, m, c, c); for red-black the product of the two half steps, (F, m c, m c)."""
        if self.order == "lexicographic":
            earlier = harmonic_symbols(self.splitting(stencil), theta, turns, order)
            return np.eye(stencil.channels) - inverse(earlier) @ harmonic_symbols(stencil, theta, turns, order)
        jacobi = Jacobi(self.omega).symbols(stencil, theta, turns, order)
        first, second = (-1.0, 1.0) if self.backward else (1.0, -1.0)
        return _half_step(jacobi, turns, order, second) @ _half_step(jacobi, turns, order, first)

    def on_level(self, fine: Stencil, coarse: Stencil) -> GaussSeidel:
        """The same on every level."""
        return self


def _half_step(jacobi: Complex, turns: Turns, order: int, colour: float) -> Complex:
    """Jacobi on one colour, (1 + colour (-1)^(x_1 + ... + x_d)) / 2 = 1 there: (J + I)/2 to theta, colour (J - I)/2 to its partner."""
    count, modes, channels = jacobi.shape[:3]
    places = {tuple(alpha): i for i, alpha in enumerate(turns.tolist())}
    partner = [places[tuple((alpha + order // 2) % order)] for alpha in turns]
    identity = np.eye(channels)
    step = np.zeros((count, modes, channels, modes, channels), np.complex128)
    for column in range(modes):
        step[:, column, :, column] += (jacobi[:, column] + identity) / 2
        step[:, partner[column], :, column] += colour * (jacobi[:, column] - identity) / 2
    return step.reshape(count, modes * channels, modes * channels)


def inverse(matrices: Complex) -> Complex:
    """The inverse of each matrix of a stack; infinite where a matrix is singular."""
    if matrices.shape[-1] == 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(matrices == 0, np.inf, 1.0 / matrices), np.complex128)
    try:
        return np.asarray(np.linalg.inv(matrices), np.complex128)
    except np.linalg.LinAlgError:
        regular = np.linalg.svd(matrices, compute_uv=False)[..., -1] > 0
        safe = np.where(regular[..., None, None], matrices, np.eye(matrices.shape[-1]))
        return np.asarray(np.where(regular[..., None, None], np.linalg.inv(safe), np.inf), np.complex128)


def _check_omega(omega: float) -> None:
    if not 0.0 < omega < 2.0:
        raise ValueError(f"omega must lie in (0, 2), got {omega}")


def _diagonal(stencil: Stencil) -> npt.NDArray[np.inexact]:
    diagonal = np.diagonal(stencil.diagonal)
    if np.any(diagonal == 0):
        raise ValueError("scaling by the inverse diagonal needs a centre tap without zeros on its diagonal")
    return diagonal


def _centre_inverse(stencil: Stencil) -> npt.NDArray[np.inexact]:
    try:
        return np.linalg.inv(stencil.diagonal)
    except np.linalg.LinAlgError:
        raise ValueError("Jacobi and Gauss-Seidel need a regular centre tap") from None


SMOOTHERS: dict[str, Callable[[], Relaxation]] = {
    "jacobi": Jacobi,
    "gauss-seidel": GaussSeidel,
    "red-black": lambda: GaussSeidel("red-black"),
}


def as_relaxation(smoother: Any, scaling: str = "identity") -> Relaxation:
    """The analysable form of a `ResidualPolynomial`, a name in `SMOOTHERS`, or a smoother object.

    Parameters
    ----------
    smoother
        A polynomial (in BA), a name, an object of this module, or any object with `symbols`, `couples` and `on_level`.
    scaling
        B for a polynomial: `identity` or `diagonal` (its inverse).
    """
    if isinstance(smoother, ResidualPolynomial):
        return Polynomial(smoother, scaling)
    if isinstance(smoother, str):
        if smoother not in SMOOTHERS:
            raise ValueError(f"unknown smoother {smoother!r}; known: {', '.join(SMOOTHERS)}, or a ResidualPolynomial")
        return SMOOTHERS[smoother]()
    if isinstance(smoother, Relaxation) and not isinstance(smoother, type):
        return smoother
    raise ValueError(f"a smoother is a ResidualPolynomial, a smoother object or one of {', '.join(SMOOTHERS)}; got {smoother!r}")
