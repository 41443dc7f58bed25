"""The grids of a local cycle: on every level the coarsened axes, the transfers and the next coarser
operator, all as stencils.

A coarse operator is a problem's scheme on the coarser grid, the stencil of the same differential
operator with h doubled where the stencil says what that is, or the Galerkin product R A P.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mgtheory.problems.grids import Boundary, choose_axes
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import ROW_SUM, the_stencil
from mgtheory.problems.transfers import (
    CELL_INTERPOLATIONS,
    CELL_RESTRICTIONS,
    INTERPOLATIONS,
    RESTRICTIONS,
    Transfer,
)

COARSENINGS = ("galerkin", "rediscretise")
Axes = tuple[int, ...]


def coarsen(
    operator: Any,
    levels: int,
    *,
    coarsening: Any,
    restriction: str | Stencil,
    interpolation: str | Stencil,
    order: int | None,
    axes: Sequence[int] | str,
) -> dict[str, Any]:
    """The grids below an operator, as fields of `mgtheory.fourier.cycle.LocalCycle`, which has the
    options too; `coarsening` is then the name of the rule that was taken, or the given stencils."""
    fine, problem = the_stencil(operator), operator if isinstance(operator, Problem) else None
    h = (1.0,) * fine.dim if problem is None else problem.h
    downwards, upwards = RESTRICTIONS, INTERPOLATIONS
    if problem is not None and problem.boundary is Boundary.NEUMANN:
        downwards, upwards = CELL_RESTRICTIONS, CELL_INTERPOLATIONS
    given = _given_stencils(coarsening, fine, levels)
    rule = coarsening if given is None else "given"
    stencils, coarsened, R, P = [fine], [], [], []
    for l in range(levels - 1):
        couplings = (
            stencils[-1].couplings() if problem is None else problem.equation.couplings_at(h)
        )
        chosen = choose_axes(couplings, None, axes)
        coarsened.append(chosen)
        R.append(_transfer("restriction", restriction, downwards, fine, chosen))
        P.append(_transfer("interpolation", interpolation, upwards, fine, chosen))
        steps = [2 if j in chosen else 1 for j in range(fine.dim)]
        h = tuple(h_j * step for h_j, step in zip(h, steps))
        coarse = None if given is None else given[l]
        if rule in (None, "rediscretise"):
            coarse = _by_scheme(stencils[-1], problem, h, chosen, rule, order)
            # the first coarsening decides for all
            rule = "galerkin" if coarse is None else "rediscretise"
        if coarse is None:
            coarse = (R[-1] @ stencils[-1] @ P[-1]).subsampled(steps)
        stencils.append(coarse)
    return {
        "stencils": tuple(stencils),
        "coarsened": tuple(coarsened),
        "R": tuple(R),
        "P": tuple(P),
        "coarsening": rule if given is None else coarsening,
    }


def _by_scheme(
    fine: Stencil,
    problem: Problem | None,
    h: tuple[float, ...],
    axes: Axes,
    rule: str | None,
    order: int | None,
) -> Stencil | None:
    """The next coarser operator by the problem's scheme on the mesh widths h, or by what the
    stencil says; None where it says nothing and no rule is given. A problem is not asked for its
    stencil then: without a coarser twin it has the Galerkin operator, as its solver has it."""
    if problem is not None and order is None:
        if rule is not None or problem.equation.rediscretises:
            coarse = problem.stencil_at(h)
            if coarse is not None:
                return coarse
        if rule is None:
            return None
    if rule is None and not (fine.channels == 1 and zero_sum(fine)):
        return None
    try:
        return rediscretised(fine, axes, order)
    except ValueError:
        if rule is not None:
            raise
        return None


def _given_stencils(coarsening: Any, fine: Stencil, levels: int) -> list[Stencil] | None:
    """The coarse stencils, if these were given; a name is checked."""
    if coarsening is None or (isinstance(coarsening, str) and coarsening in COARSENINGS):
        return None
    given = [coarsening] if isinstance(coarsening, Stencil) else coarsening
    size = (fine.dim, fine.channels)
    if not (
        isinstance(given, list | tuple)
        and len(given) == levels - 1
        and all(isinstance(s, Stencil) and (s.dim, s.channels) == size for s in given)
    ):
        raise ValueError(
            f"coarsening is {coarsening!r}; known: {', '.join(COARSENINGS)}, or"
            f" {levels - 1} stencils of the operator's dimension and channels".replace("\n", "")
        )
    return list(given)


def _transfer(
    what: str, given: Any, known: Mapping[str, Transfer], fine: Stencil, axes: Axes
) -> Stencil:
    made = known[given](fine.dim, axes) if isinstance(given, str) and given in known else given
    channels = (1, fine.channels)
    if not isinstance(made, Stencil) or made.dim != fine.dim or made.channels not in channels:
        raise ValueError(
            f"{what} is {given!r}; known: {', '.join(known)}, or a Stencil in {fine.dim}"
            f" dimensions with 1 or {fine.channels} channels".replace("\n", "")
        )
    if made.channels == fine.channels:
        return made
    return Stencil(made.offsets, made.matrices * np.eye(fine.channels))  # on each channel


def differential_orders(stencil: Stencil) -> tuple[int, ...]:
    """The orders of derivatives in the operator that a stencil discretises, read off its moments
    sum_k a_k k^p.

    Those of 0, 1 and 2 that do not vanish; without any the first that does not. Terms of one order
    scale alike when h doubles, of two they do not. An upwind difference has the orders 1 and 2: its
    second moment is that of the diffusion that it adds.

    Examples
    --------
    >>> differential_orders(Stencil(((-1,), (0,), (1,)), np.array([-1.0, 2.0, -1.0])))
    (2,)
    >>> differential_orders(Stencil(((-1,), (0,)), np.array([-1.0, 1.0])))
    (1, 2)
    """
    k = np.array(stencil.offsets, dtype=float)
    taps = stencil.matrices.reshape(len(k), -1)
    present = []
    for order in range(2 * len(k) + 1):
        powers = [
            math.prod((k[:, j] for j in chosen), start=np.ones(len(k)))
            for chosen in itertools.combinations_with_replacement(range(stencil.dim), order)
        ]
        moments, sizes = np.stack(powers) @ taps, np.abs(np.stack(powers)) @ np.abs(taps)
        if (np.abs(moments) > ROW_SUM * sizes).any():
            present.append(order)
        if order >= 2 and present:
            break
    return tuple(present)


def rediscretised(stencil: Stencil, axes: Axes, order: int | None) -> Stencil:
    """The stencil of the same differential operator, of that order or of the one that is read off
    the stencil, where h is doubled on the coarsened axes.

    These are all axes; or some, where the stencil is a sum of differences along single axes. A
    ValueError where the stencil does not say what it is on the coarser grid.
    """
    orders = differential_orders(stencil) if order is None else (order,)
    if len(orders) != 1:
        raise ValueError(
            f"the stencil has terms of the orders {' and '.join(map(str, orders))}, which scale"
            " differently with h; take coarsening='galerkin', or give the order"
        )
    factor = 2.0 ** -orders[0]
    if len(axes) == stencil.dim:
        return stencil * factor
    origin = (0,) * stencil.dim
    along = {k: np.flatnonzero(k) for k in stencil.offsets if k != origin}
    if any(len(places) > 1 for places in along.values()) or not zero_sum(stencil):
        raise ValueError(
            f"the stencil is no sum of differences along single axes, so that coarsening the axes"
            f" {axes} does not say what it becomes; take coarsening='galerkin' or axes='all'"
        )
    taps = dict(zip(stencil.offsets, stencil.values))
    values = [taps[k] * (factor if places[0] in axes else 1.0) for k, places in along.items()]
    return Stencil((*along, origin), np.stack([*values, -np.sum(values, axis=0)]))


def zero_sum(stencil: Stencil) -> bool:
    """Whether A vanishes on constants, to rounding."""
    return bool(abs(stencil.matrices.sum()) <= ROW_SUM * np.abs(stencil.matrices).sum())
