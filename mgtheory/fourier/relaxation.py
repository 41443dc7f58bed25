"""Smoothers as Fourier analysis sees them: the symbol of one smoothing step on the harmonics of a
frequency.

A step is x <- x + M (b - A x) with error operator S = I - M A. For polynomials and Jacobi, S keeps
each Fourier mode; lexicographic Gauss-Seidel does so on an infinite grid, where "earlier points" is
a stencil too; Gauss-Seidel by colours couples the modes theta + pi s, s in {0, 1}^d, since a
colour, a function of the parities of the indices, is a sum of such modes itself.

The smoothers are those of `mgtheory.smoothers`; this module has one function for each kind, and
`step_symbols.register` takes that of a further one. Arrays of symbols have the axes

    f    base frequencies theta
    a    harmonics theta + 2 pi alpha / order, alpha in the rows of `turns`
    p, q channels: the value in channel p that a unit in channel q gives
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import hadamard

from mgtheory import smoothers
from mgtheory._checks import check_name
from mgtheory.problems.record import SCALINGS, operator_record
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import Complex, Float, harmonic_symbols
from mgtheory.smoothers import GaussSeidel, Jacobi, Polynomial

Turns = npt.NDArray[np.int64]
Axes = Sequence[int] | str


def described(
    given: Any,
    *,
    scaling: str = "auto",
    degree: int | None = None,
    around: Mapping[str, Any] | None = None,
) -> Any:
    """The description of a smoother that can be analysed, before any operator.

    `given` is whatever `mgtheory.smoothers.smoother` takes, or an object of your own with
    ``couples`` (whether the modes theta + pi s are coupled) and ``symbols(stencil, theta, turns,
    order)``, the error operator of one step as `step_symbols` returns it. A family that is made for
    a cycle is made for the one `around` it.
    """
    check_name(scaling, SCALINGS, "scaling")
    found = smoothers.smoother(given, degree, scaling=scaling)
    if isinstance(found, Polynomial):
        found = found.for_cycle(**(around or {}))
    known = step_symbols.dispatch(type(found)) is not step_symbols.dispatch(object)
    if not known and not (hasattr(found, "symbols") and hasattr(found, "couples")):
        kinds = ", ".join(kind.__name__ for kind in step_symbols.registry if kind is not object)
        raise ValueError(
            f"smoother is {given!r}; Fourier analysis knows {kinds} (see `step_symbols`), families"
            " of polynomials, and objects with symbols and couples"
        )
    return found


def on_level(
    description: Any, operator: Any, axes: Axes, finest: Any = None, finest_axes: Axes = "auto"
) -> Any:
    """What `described` gave, on one level: a family is derived, a polynomial converted as the
    solver does, for the level's operator and the axes that are coarsened from it; on a coarser one
    `finest` and `finest_axes` are those of the finest level."""
    if not isinstance(description, Polynomial):
        return description
    given = description.polynomial
    if finest is None and given is not None and given.operator is None:  # made for this one by hand
        kind = "identity" if description.scaling == "auto" else description.scaling
        return Polynomial(polynomial=given, scaling=kind)
    record = operator_record(operator, scaling=description.scaling, axes=axes)
    first = None
    if finest is not None:
        first = operator_record(finest, scaling=description.scaling, axes=finest_axes)
    return Polynomial(polynomial=description.on(record, first), scaling=str(record.scaling))


def couples(description: Any) -> bool:
    """Whether one step couples the modes theta + pi s, s in {0, 1}^d; an object of your own that
    says nothing does not."""
    return bool(getattr(description, "couples", False))


@singledispatch
def step_symbols(
    description: Any, stencil: Stencil, theta: Float, turns: Turns, order: int
) -> Complex:
    """Error operator of one step on the harmonics theta + 2 pi alpha / order, alpha in the m rows
    of `turns`; one registered function for each class of descriptions, and an object of your own
    answers by its ``symbols``.

    Shape (F, m, c, c), one block a mode, or (F, m c, m c) if the description couples modes (then
    `turns` contains all that are).
    """
    symbols: Complex = description.symbols(stencil, theta, turns, order)
    return symbols


def scaled_symbols(
    stencil: Stencil, scaling: str, theta: Float, turns: Turns, order: int
) -> Complex:
    """B Ahat, shape (F, m, c, c): rows divided by the diagonal of the centre tap, if asked."""
    values = harmonic_symbols(stencil, theta, turns, order)
    if scaling != "diagonal":
        return values
    diagonal = np.diagonal(stencil.diagonal)
    if np.any(diagonal == 0):
        raise ValueError(
            "scaling by the inverse diagonal needs a centre tap without zeros on its diagonal"
        )
    return values / diagonal[:, None]


@step_symbols.register
def _polynomial(
    description: Polynomial, stencil: Stencil, theta: Float, turns: Turns, order: int
) -> Complex:
    """q(B Ahat), shape (F, m, c, c)."""
    q = description.polynomial
    assert q is not None  # `on_level` has put it there
    t = scaled_symbols(stencil, description.scaling, theta, turns, order)
    if stencil.channels == 1:
        return np.asarray(q(t))
    identity = np.eye(stencil.channels)
    result: Any = np.broadcast_to(identity, t.shape)
    for weight in q.weights.real if q.is_real_rooted else q.weights:
        result = result @ (identity - weight * t)
    return result


@step_symbols.register
def _jacobi(
    description: Jacobi, stencil: Stencil, theta: Float, turns: Turns, order: int
) -> Complex:
    """I - omega a_0^-1 Ahat, shape (F, m, c, c); a_0 is the c x c block of the centre tap."""
    try:
        centre = np.linalg.inv(stencil.diagonal)
    except np.linalg.LinAlgError:
        raise ValueError("Jacobi and Gauss-Seidel need a regular centre tap") from None
    ahat = harmonic_symbols(stencil, theta, turns, order)
    return np.asarray(np.eye(stencil.channels) - description.omega * (centre @ ahat))


@step_symbols.register
def _gauss_seidel(
    description: GaussSeidel, stencil: Stencil, theta: Float, turns: Turns, order: int
) -> Complex:
    """I - (D / omega + L)^-1 Ahat, shape (F, m, c, c); by colours the product of their partial
    steps, shape (F, m c, m c)."""
    if description.couples:
        jacobi = _jacobi(Jacobi(description.omega), stencil, theta, turns, order)
        result: Any = np.eye(len(turns) * stencil.channels)
        parity = np.indices((2,) * stencil.dim).reshape(stencil.dim, -1)
        colours = smoothers.COLOURINGS[description.ordering](parity)
        for colour in sorted(set(colours.tolist()), reverse=description.backward):
            result = _partial_step(jacobi, colours == colour, turns, order) @ result
        return result
    earlier = harmonic_symbols(splitting(description, stencil), theta, turns, order)
    # a singular splitting, as of pure convection at theta = 0: not a number, so infinite
    with np.errstate(invalid="ignore"):
        step = inverse(earlier) @ harmonic_symbols(stencil, theta, turns, order)
        return np.asarray(np.eye(stencil.channels) - step)


def splitting(description: GaussSeidel, stencil: Stencil) -> Stencil:
    """D / omega + L, with L the points that lexicographic order visits before x (after x if
    backward)."""
    sign, origin = (-1 if description.backward else 1), (0,) * stencil.dim
    kept = [i for i, k in enumerate(stencil.offsets) if tuple(sign * j for j in k) < origin]
    taps = np.concatenate([stencil.matrices[kept], stencil.diagonal[None] / description.omega])
    return Stencil((*(stencil.offsets[i] for i in kept), origin), taps)


def _partial_step(
    jacobi: Complex, mask: npt.NDArray[np.bool_], turns: Turns, order: int
) -> Complex:
    """Jacobi at the points of a colour: I + m (J - I), where the mask m(x) = sum_s m_s exp(i pi
    s.x), s in {0, 1}^d, takes theta to the theta + pi s with the factors m_s.

    Since exp(i pi s.x) is (-1)^(s.x), these are the Walsh-Hadamard transform of the 2^d values of
    the mask, in C order of the parities. Red-black in 2D, the red points being those of even sum:

        mask  1 0    is  1/2 + 1/2 (-1)^(x + y),    m = 1/2 0
              0 1                                       0   1/2

    and the black points have 1/2 - 1/2 (-1)^(x + y): each colour couples theta with theta +
    (pi, pi) alone.
    """
    count, modes, channels = jacobi.shape[:3]
    coefficients = hadamard(mask.size) @ mask / mask.size
    shifts = np.stack(np.unravel_index(np.arange(mask.size), (2,) * turns.shape[1]), axis=1)
    places = {tuple(alpha): i for i, alpha in enumerate(turns.tolist())}
    change = jacobi - np.eye(channels)
    step = np.zeros((count, modes, channels, modes, channels), jacobi.dtype)
    for column, alpha in enumerate(turns):
        step[:, column, :, column] += np.eye(channels)
        for shift, coefficient in zip(shifts, coefficients):
            if coefficient:
                row = places[tuple(((alpha + order // 2 * shift) % order).tolist())]
                step[:, row, :, column] += coefficient * change[:, column]
    return step.reshape(count, modes * channels, modes * channels)


def inverse(matrices: Complex) -> Complex:
    """The inverse of each matrix of a stack; infinite where a matrix is singular."""
    if matrices.shape[-1] == 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(matrices == 0, np.inf, 1.0 / matrices))
    try:
        return np.asarray(np.linalg.inv(matrices))
    except np.linalg.LinAlgError:
        regular = np.linalg.svd(matrices, compute_uv=False)[..., -1] > 0
        safe = np.where(regular[..., None, None], matrices, np.eye(matrices.shape[-1]))
        return np.asarray(np.where(regular[..., None, None], np.linalg.inv(safe), np.inf))
