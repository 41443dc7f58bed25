"""Placements as data: where in a smoothing step the batch norm stands and where the relu stands,
two independent choices.

A step has the residual ``r = rho(f - A u)``, the factor's correction ``c`` and, for factors of
degree 2, its two parts ``c = k1 r - k2 A r``. Norm and activation each take one position; at the
same position the norm comes first.

===========  ===========================================================================
position     the operation there acts on
===========  ===========================================================================
nowhere      nothing (the norm is not built)
correction   the correction: u + op(c)
sum          the updated features, after every step: op(u + c)
operator     the part with the operator, degree 2 alone: u + k1 r - op(k2 A r)
level        the features after the level's last step, once: op(u)
===========  ===========================================================================

The published names are presets of the pair; any other pair is written ``norm/activation``, e.g.
``sum/level``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nets.models.options import one_of

POSITIONS = ("nowhere", "correction", "sum", "operator", "level")
RESIDUALS = ("bn_relu", "bn", "identity")  # rho: relu(bn(.)), bn(.), identity


@dataclass(frozen=True)
class Placement:
    """Where batch norm and activation of a smoothing step stand, each one of `POSITIONS`."""

    norm: str
    activation: str

    def __post_init__(self) -> None:
        one_of(self.norm, "norm position", POSITIONS)
        one_of(self.activation, "activation position", POSITIONS)

    @property
    def name(self) -> str:
        """The published name where there is one, else ``norm/activation``."""
        published = {preset: name for name, preset in PLACEMENTS.items()}
        return published.get(self, f"{self.norm}/{self.activation}")

    @property
    def is_quadratic(self) -> bool:
        """Whether it treats the part with the operator by itself, which asks for degree 2."""
        return "operator" in (self.norm, self.activation)

    @classmethod
    def parse(cls, value: str | Placement) -> Placement:
        """From a published name or ``norm/activation``; a ValueError lists the known names."""
        if isinstance(value, Placement):
            return value
        if isinstance(value, str) and value in PLACEMENTS:
            return PLACEMENTS[value]
        if isinstance(value, str) and value.count("/") == 1:
            return cls(*value.split("/"))
        raise ValueError(
            f"unknown placement {value!r}, known are: {', '.join(PLACEMENTS)}, or norm/activation"
            f" of {', '.join(POSITIONS)}"
        )


PLACEMENTS: dict[str, Placement] = {
    "regular": Placement("correction", "correction"),
    "outside": Placement("sum", "sum"),
    "outside_level": Placement("level", "level"),
    "no_relu": Placement("sum", "nowhere"),
    "bn_correction": Placement("correction", "nowhere"),
    "relu_outside": Placement("correction", "level"),
    "relu_outside_nobn": Placement("nowhere", "level"),
    "plain": Placement("nowhere", "nowhere"),
    "bn_operator": Placement("operator", "nowhere"),
    "relu_operator": Placement("operator", "operator"),
    "relu_outside_bn_operator": Placement("operator", "level"),
}


def placement_for(choice: str | Placement | Mapping[str, str | Placement], kind: str) -> Placement:
    """The placement of one kind of factor, of one for all or a mapping kind -> placement;
    ValueError where there is none."""
    if not isinstance(choice, Mapping):
        return Placement.parse(choice)
    if kind not in choice:
        raise ValueError(
            f"placement is given for {', '.join(sorted(choice))}, but the model also has {kind}"
            " steps"
        )
    return Placement.parse(choice[kind])
