"""Smoothers as Fourier analysis sees them: the symbol of one smoothing step on the harmonics of a
frequency.

A step is x <- x + M (b - A x) with error operator S = I - M A. For polynomials and Jacobi, S keeps
each Fourier mode; lexicographic Gauss-Seidel does so on an infinite grid, where "earlier points" is
a stencil too; Gauss-Seidel by colours couples the modes theta + pi alpha, since a colour, a
function of the parities of the indices, is a sum of such modes itself. A smoother is data plus
`symbols`; `SMOOTHERS` has the names of `mgtheory.smoothers.SMOOTHERS`, where the same smoothers act
on matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from mgtheory import smoothers
from mgtheory._checks import check_kind, check_name, check_number
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.record import operator_record
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import (
    Complex,
    Float,
    grid_frequencies,
    harmonic_symbols,
    spectral_radius,
)

Turns = npt.NDArray[np.int64]

SCALINGS = ("identity", "diagonal")


@runtime_checkable
class Relaxation(Protocol):
    """What the analysis needs of a smoother."""

    @property
    def couples(self) -> bool:
        """Whether the modes theta + pi alpha, alpha in {0, 1}^d, are coupled."""

    def symbols(self, stencil: Stencil, theta: Float, turns: Turns, order: int) -> Complex:
        """Error operator of one step on the harmonics theta + 2 pi alpha / order, alpha in the m
        rows of `turns`.

        Shape (F, m, c, c), one block a mode, or (F, m c, m c) if modes are coupled (then `turns`
        contains all that are).
        """

    def on_level(self, fine: Stencil, coarse: Stencil) -> Relaxation:
        """The smoother to use on a coarser level, whose operator is `coarse`."""


@dataclass(frozen=True)
class Polynomial:
    """x <- x + p(BA) B (b - A x), with S = q(BA); B is the identity or the inverse of the diagonal
    (of a_0's diagonal if c > 1).

    On a coarser level the roots are multiplied by rho(B_H A_H) / rho(B A), so that q keeps its
    place on the spectrum.
    """

    polynomial: ResidualPolynomial
    scaling: str = "identity"

    def __post_init__(self) -> None:
        check_kind(self.polynomial, ResidualPolynomial, "polynomial", "a ResidualPolynomial")
        check_name(self.scaling, SCALINGS, "scaling")

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
        """max over `samples` frequencies an axis (theta = pi among them) of the spectral radius of
        B Ahat."""
        theta = grid_frequencies((samples,) * stencil.dim).reshape(-1, stencil.dim)
        return float(
            spectral_radius(
                self.scaled_symbols(stencil, harmonic_symbols(stencil, theta)[:, 0])
            ).max()
        )

    def on_level(self, fine: Stencil, coarse: Stencil) -> Polynomial:
        """The polynomial with its roots moved by the ratio of the spectral radii."""
        return Polynomial(
            self.polynomial.scaled(self.radius(coarse) / self.radius(fine)), self.scaling
        )


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
    """Point by point (block by block for c channels), in C order of the grid or one colour after
    the other.

    Parameters
    ----------
    ordering
        `lexicographic`; `red-black`, the parity of the sum of the indices, even first; or
        `multicolour`, the 2^d parities of the indices. A colour is relaxed at once, which for
        stencils that couple points of one colour (9-point, red-black) is a Jacobi step on it.
    backward
        The reverse order of points or colours.
    omega
        Over-relaxation: (D / omega + L) instead of (D + L).
    """

    ordering: str = "lexicographic"
    backward: bool = False
    omega: float = 1.0

    def __post_init__(self) -> None:
        _check_omega(self.omega)
        check_name(self.ordering, smoothers.ORDERINGS, "ordering")

    @property
    def couples(self) -> bool:
        """Colours couple modes, lexicographic order does not."""
        return self.ordering != "lexicographic"

    def splitting(self, stencil: Stencil) -> Stencil:
        """D / omega + L, with L the points that lexicographic order visits before x (after x if
        backward)."""
        sign, origin = (-1 if self.backward else 1), (0,) * stencil.dim
        kept = [i for i, k in enumerate(stencil.offsets) if tuple(sign * j for j in k) < origin]
        taps = np.concatenate([stencil.matrices[kept], stencil.diagonal[None] / self.omega])
        return Stencil((*(stencil.offsets[i] for i in kept), origin), taps)

    def masks(self, shape: tuple[int, ...]) -> list[npt.NDArray[np.bool_]]:
        """The points of each colour in the order in which they are relaxed, each of shape
        (prod(shape),)."""
        colour = smoothers.COLOURINGS[self.ordering](np.indices(shape).reshape(len(shape), -1) % 2)
        return [colour == value for value in sorted(set(colour.tolist()), reverse=self.backward)]

    def symbols(self, stencil: Stencil, theta: Float, turns: Turns, order: int) -> Complex:
        """I - (D / omega + L)^-1 Ahat, shape (F, m, c, c); with colours the product of their
        partial steps, (F, m c, m c)."""
        if not self.couples:
            earlier = harmonic_symbols(self.splitting(stencil), theta, turns, order)
            # a singular splitting, as of pure convection at theta = 0: not a number, so infinite
            with np.errstate(invalid="ignore"):
                return np.eye(stencil.channels) - inverse(earlier) @ harmonic_symbols(
                    stencil, theta, turns, order
                )
        jacobi = Jacobi(self.omega).symbols(stencil, theta, turns, order)
        size = len(turns) * stencil.channels
        result = np.eye(size, dtype=np.complex128)
        for mask in self.masks((2,) * stencil.dim):
            result = _partial_step(jacobi, mask, turns, order) @ result
        return result

    def on_level(self, fine: Stencil, coarse: Stencil) -> GaussSeidel:
        """The same on every level."""
        return self


def _partial_step(
    jacobi: Complex, mask: npt.NDArray[np.bool_], turns: Turns, order: int
) -> Complex:
    """Jacobi at the points of a colour: I + m (J - I), where m(x) = sum_s m_s exp(i pi s.x) takes
    theta to the theta + pi s."""
    count, modes, channels = jacobi.shape[:3]
    shifts = np.stack(np.unravel_index(np.arange(len(mask)), (2,) * turns.shape[1]), axis=1)
    coefficients = (-1.0) ** (shifts @ shifts.T) @ mask / len(mask)
    places = {tuple(alpha): i for i, alpha in enumerate(turns.tolist())}
    change = jacobi - np.eye(channels)
    step = np.zeros((count, modes, channels, modes, channels), np.complex128)
    for column, alpha in enumerate(turns):
        step[:, column, :, column] += np.eye(channels)
        for shift, coefficient in zip(shifts, coefficients):
            if coefficient:
                step[:, places[tuple((alpha + order // 2 * shift) % order)], :, column] += (
                    coefficient * change[:, column]
                )
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
        return np.asarray(
            np.where(regular[..., None, None], np.linalg.inv(safe), np.inf), np.complex128
        )


def _check_omega(omega: float) -> None:
    if not 0.0 < check_number(omega, "omega", "of any sign") < 2.0:
        raise ValueError(f"omega must lie in (0, 2), got {omega}")


def _diagonal(stencil: Stencil) -> npt.NDArray[np.inexact]:
    diagonal = np.diagonal(stencil.diagonal)
    if np.any(diagonal == 0):
        raise ValueError(
            "scaling by the inverse diagonal needs a centre tap without zeros on its diagonal"
        )
    return diagonal


def _centre_inverse(stencil: Stencil) -> npt.NDArray[np.inexact]:
    try:
        return np.linalg.inv(stencil.diagonal)
    except np.linalg.LinAlgError:
        raise ValueError("Jacobi and Gauss-Seidel need a regular centre tap") from None


SMOOTHERS: dict[str, Callable[[], Relaxation]] = {
    "jacobi": Jacobi,
    "gauss_seidel": GaussSeidel,
    "red_black": lambda: GaussSeidel("red_black"),
    "multicolour": lambda: GaussSeidel("multicolour"),
}


def as_relaxation(
    given: Any,
    operator: Any,
    *,
    scaling: str = "auto",
    degree: int | None = None,
    axes: Sequence[int] | str = "auto",
) -> Relaxation:
    """The analysable form of a smoother for a stencil or a problem.

    Parameters
    ----------
    given
        Whatever `mgtheory.smoothers.smoother` takes, or an object with `symbols`, `couples` and
        `on_level`.
    operator
        What it is applied to: a `Stencil` or a problem with one.
    scaling, degree, axes
        B of a polynomial, the degree of a family, and the coarsened axes.
    """
    if isinstance(given, Relaxation) and not isinstance(given, type):
        return given
    described = smoothers.smoother(given, degree, scaling=scaling)
    if isinstance(described, smoothers.Jacobi):
        return Jacobi(described.omega)
    if isinstance(described, smoothers.GaussSeidel):
        return GaussSeidel(described.ordering, described.backward, described.omega)
    if not isinstance(described, smoothers.Polynomial):
        raise ValueError(
            f"smoother is {given!r}; Fourier analysis knows {', '.join(smoothers.SMOOTHERS)},"
            " polynomials and their families, and objects with symbols, couples and on_level"
        )
    kind = "identity" if described.scaling == "auto" else described.scaling
    record = operator_record(operator, scaling=kind, axes=axes)
    return Polynomial(described.on(record), kind)
