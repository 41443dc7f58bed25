"""Which learned coefficients mean something: a batch norm directly after a correction takes the
size of its coefficients away.

``bn(w r)`` is the same function for every w > 0, up to eps: per channel the effective weight is
``gamma_c w / sqrt(w^2 var_c(r) + eps)``. Even the sign is a symmetry, ``(w, gamma) -> (-w,
-gamma)``. The same holds for kappa of a symmetric pair; any other factor keeps the ratios of the
terms of its p, which for a quadratic is the sum ``r1 + r2`` of its roots (their product is lost).
With the norm on the
operator's part, ``k1 r - bn(k2 A r)``, k1 survives and k2 does not. At the start of level 1, u = 0,
so that ``bn(u + c)`` is ``bn(c)``.

Every size is one relative to A: ``(A, w) -> (A/s, s w)`` is the same network, kappa going with s^2
and c_j with s^(j+1), because the transfers around the level, and norms on the sum, can take s over.
What has a meaning is the coefficient times a power of A's spectral radius b: w b, kappa b^2.

A norm inside rho is weaker: ``(w, gamma_r, beta_r) -> (w/s, s gamma_r, s beta_r)`` is the same
network for s > 0, so the size of the coefficient is shared with gamma_r and only their product, the
effective coefficient, has a meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import null_space

from analysis.levels.state import LevelState, StepState
from mgtheory.polynomials.factors import FACTORS, Factor

AFTER_CORRECTION = (
    "a batch norm follows the correction directly: its size has no effect, and its sign is a"
    " symmetry with the norm's gain"
)
ZERO_START = (
    "u = 0 before this step, so the batch norm on u + c normalises the correction alone: its size"
    " has no effect"
)
ONLY_STEP = (
    "u = 0 before the level's only step, so the norm at the level's end normalises the correction"
    " alone: its size has no effect"
)
SHARED = (
    "its size is shared with the gain of the residual's batch norm: read the effective coefficient"
)
PRODUCT_LOST = "the batch norm keeps r1 + r2 of a quadratic, the product is lost"
RATIOS = "the batch norm keeps the ratios of the coefficients alone"
OPERATOR = "the batch norm on the operator's part keeps k1 and loses k2"


@dataclass(frozen=True)
class Reading:
    """Whether one learned coefficient has a meaning, and why not.

    Attributes
    ----------
    step, name, value
        Number of the step (from 1), name of the coefficient (w, w1, w2, kappa, x, y, c_0, ...), and
        its value as it stands.
    identifiable
        False where, with A as it is, the network is the same function for other values.
    shares_scale
        Whether its size is shared with a residual norm's gamma (then the effective coefficient is
        what to read).
    power
        The power of A's spectral radius b that makes the coefficient free of the scale of A: value
        b^power is what has a meaning.
    keeps
        The combinations that do survive, by name.
    reason
        Why it is not identifiable, or with whom it is shared; empty where neither is the case.
    """

    step: int
    name: str
    value: float
    identifiable: bool
    shares_scale: bool
    power: int
    keeps: dict[str, float]
    reason: str


def readings(level: LevelState) -> tuple[Reading, ...]:
    """One reading for each learned coefficient of the level, in the order of the steps; empty for
    MgNet."""
    found: list[Reading] = []
    for number, step in enumerate(level.steps, 1):
        if step.factor is None:
            continue
        reason, keeps = _kept(level, number, step)
        lost = _lost(step.factor, reason) if reason else set()
        shares = step.residual_norm is not None
        for name, value in step.factor.values.items():
            shared = shares and name not in lost
            said = reason if name in lost else SHARED if shares else ""
            kind = (name not in lost, shared, step.factor.powers[name])
            found.append(Reading(number, name, value, *kind, keeps, said))
    return tuple(found)


def outlook(levels: Sequence[LevelState]) -> str:
    """One line on which coefficients will have no meaning, whatever training does, by where the
    norms stand; empty for networks without coefficients.

    A coefficient that shares its size with gamma of the residual's norm is told apart: its product
    with gamma has a meaning.
    """
    found = [(k, one) for k, level in enumerate(levels, 1) for one in readings(level)]
    lost = [(k, one) for k, one in found if not one.identifiable]
    if not found:
        return ""
    if not lost:
        shared = any(one.shares_scale for _, one in found)
        effective = "; read their effective values, with the residual's batch norm folded in"
        return f"coefficients: all {len(found)} have a meaning{effective if shared else ''}"
    count = f"all {len(found)}" if len(lost) == len(found) else f"{len(lost)} of {len(found)}"
    places = dict.fromkeys(f"{one.name} of level {k}, step {one.step}" for k, one in lost)
    which = "" if len(lost) == len(found) else f" ({', '.join(places)})"
    reasons = "; or ".join(dict.fromkeys(one.reason for _, one in lost))
    return (
        f"coefficients: {count}{which} will have no meaning of their own: {reasons}. With"
        " model.placement=relu_outside_nobn they have one"
    )


def _kept(level: LevelState, number: int, step: StepState) -> tuple[str, dict[str, float]]:
    """The reason why coefficients of this step are lost (empty: none is), and the combinations of
    them that a norm keeps all the same."""
    factor = step.factor
    assert factor is not None
    c = factor.correction_coefficients
    first = number == 1 and level.starts_from_zero
    alone = first and len(level.steps) == 1 and level.end_norm is not None
    if step.norm_position == "operator":
        return OPERATOR, {"k1": c[0]}
    if step.norm_position == "correction":
        reason = AFTER_CORRECTION
    elif step.norm_position == "sum" and first:
        reason = ZERO_START
    elif step.norm_position == "nowhere" and alone:
        reason = ONLY_STEP
    else:
        return "", {}
    formula = enumerate(FACTORS[factor.kind].terms(*factor.parameters))
    terms = [j for j, term in formula if not isinstance(term, int)]  # no literal 0
    if len(terms) < 2:
        return reason, {}
    if factor.degree == 2:
        # the roots of 1 - c_0 t - c_1 t^2 have the sum -c_0/c_1
        return f"{reason}; {PRODUCT_LOST}", {"r1 + r2": -c[0] / c[1]} if c[1] else {}
    largest = max(terms, key=lambda j: abs(c[j]))
    ratios = {f"c_{j} / c_{largest}": c[j] / c[largest] for j in terms} if c[largest] else {}
    return f"{reason}; {RATIOS}", ratios


def _lost(factor: Factor, reason: str) -> set[str]:
    """The coefficients that can change while what the norm keeps does not.

    A norm on the operator's part keeps k1 = c_0, one on the correction the direction of the terms c
    of p_f. The changes dp that leave it as it is are the nullspace of dc_0/dp, or of (dc/dp, -c).
    Which coefficients move in it is a property of the kind, found at a point without coincidences.
    """
    names, formula = tuple(factor.powers), FACTORS[factor.kind].terms
    point = 0.3 + 1.0 / np.arange(2.0, len(names) + 2.0)
    step = 1e-30j  # the formula is analytic: its derivative without cancellation
    terms = np.array(formula(*point), dtype=float)
    moved = [formula(*(point + step * e)) for e in np.eye(len(names))]
    jacobian = np.imag(moved).T / step.imag
    kept = jacobian[:1] if reason == OPERATOR else np.column_stack([jacobian, -terms])
    moves = null_space(kept)[: len(names)]
    return {name for name, move in zip(names, moves) if np.abs(move).max(initial=0.0) > 1e-9}
