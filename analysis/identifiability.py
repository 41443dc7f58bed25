"""Which learned coefficients mean something: a batch norm directly after a correction takes the
size of its coefficients away.

``bn(w r)`` is the same function for every w > 0, up to eps: per channel the effective weight is
``gamma_c w / sqrt(w^2 var_c(r) + eps)``. Even the sign is a symmetry, ``(w, gamma) -> (-w,
-gamma)``. The same holds for kappa of a symmetric pair; a quadratic keeps only ``r1 + r2`` (the
product is lost), a general polynomial the ratios of its coefficients. With the norm on the
operator's part, ``k1 r - bn(k2 A r)``, k1 survives and k2 does not. At the start of level 1, u = 0,
so that ``bn(u + c)`` is ``bn(c)``.

Every size is one relative to A: ``(A, w) -> (A/s, s w)`` is the same network, kappa going with s^2
and c_j with s^(j+1), because the transfers around the level, and norms on the sum, can take s over.
What has a meaning is the coefficient times a power of A's spectral radius b: w b, kappa b^2, r/b.

A norm inside rho is weaker: ``(w, gamma_r, beta_r) -> (w/s, s gamma_r, s beta_r)`` is the same
network for s > 0, so the size of the coefficient is shared with gamma_r and only their product, the
effective coefficient, has a meaning.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from analysis.level_state import LevelState, StepState
from mgtheory.polynomials.factors import ComplexPair, Factor, General, RealPair

__all__ = ["Reading", "readings"]

AFTER_CORRECTION = (
    "a batch norm follows the correction directly: its size has no effect, and its sign is a"
    " symmetry with gamma"
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
    "its size is shared with gamma of the residual's batch norm: read the effective coefficient"
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
        Number of the step (from 1), name of the coefficient (w, r1, r2, kappa, a, b, c_0, ...), and
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

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)

    def __str__(self) -> str:
        state = "identifiable" if self.identifiable else "not identifiable"
        return f"step {self.step}, {self.name} = {self.value:.6g}: {state}" + (
            f" ({self.reason})" if self.reason else ""
        )


def readings(level: LevelState) -> tuple[Reading, ...]:
    """One reading for each learned coefficient of the level, in the order of the steps; empty for
    MgNet."""
    found: list[Reading] = []
    for number, step in enumerate(level.steps, 1):
        if step.factor is None:
            continue
        reason, keeps = _lost(level, number, step)
        lost = _lost_names(step.factor, reason) if reason else set()
        shares = step.residual_norm is not None
        for name, value in coefficient_values(step.factor).items():
            identifiable = name not in lost
            text = reason if not identifiable else SHARED if shares else ""
            found.append(
                Reading(
                    number,
                    name,
                    value,
                    identifiable,
                    shares and identifiable,
                    _power(name),
                    keeps,
                    text,
                )
            )
    return tuple(found)


def coefficient_values(factor: Factor) -> dict[str, float]:
    """The factor's coefficients by name, as a network trains them."""
    if isinstance(factor, General):
        return {f"c_{j}": value for j, value in enumerate(factor.c)}
    return {name: float(value) for name, value in asdict(factor).items()}


def _lost(level: LevelState, number: int, step: StepState) -> tuple[str, dict[str, float]]:
    """The reason why coefficients of this step are lost (empty: none is), and what is kept all the
    same."""
    factor = step.factor
    assert factor is not None
    first = number == 1 and level.starts_from_zero
    if step.norm_position == "operator":
        return OPERATOR, {"k1": factor.correction_coefficients[0]}
    if step.norm_position == "correction":
        reason = AFTER_CORRECTION
    elif step.norm_position == "sum" and first:
        reason = ZERO_START
    elif (
        step.norm_position == "nowhere"
        and first
        and level.end_norm is not None
        and len(level.steps) == 1
    ):
        reason = ONLY_STEP
    else:
        return "", {}
    if isinstance(factor, RealPair):
        return f"{reason}; {PRODUCT_LOST}", {"r1 + r2": factor.r1 + factor.r2}
    if isinstance(factor, ComplexPair):
        return f"{reason}; {PRODUCT_LOST}", {"r1 + r2": 2.0 * factor.a}
    if isinstance(factor, General) and factor.degree > 1:
        largest = max(factor.c, key=abs)
        ratios = (
            {
                f"c_{j} / c_{factor.c.index(largest)}": value / largest
                for j, value in enumerate(factor.c)
            }
            if largest
            else {}
        )
        return f"{reason}; {RATIOS}", ratios
    return reason, {}


def _lost_names(factor: Factor, reason: str) -> set[str]:
    """The coefficients without a meaning.

    A norm on the operator's part leaves c_0 = k1 of a general quadratic; one on the correction a of
    a complex pair, as r1 + r2 = 2 a.
    """
    kept = set()
    if reason == OPERATOR and isinstance(factor, General):
        kept = {"c_0"}
    elif reason != OPERATOR and isinstance(factor, ComplexPair):
        kept = {"a"}
    return set(coefficient_values(factor)) - kept


def _power(name: str) -> int:
    if name.startswith("c_"):
        return int(name[2:]) + 1
    return {"w": 1, "kappa": 2}.get(name, -1)  # the rest are roots and their parts
