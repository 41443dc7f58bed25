"""What rebuilds a model: its registered name and its options as JSON types, and how options are
spelled out per level."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ModelSpec:
    """A model by name and options; ``spec.build()`` gives the same architecture again.

    Attributes
    ----------
    name
        Registered name, e.g. ``q2``.
    overrides
        Options given to `create_model`, as JSON types.
    """

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            plain = json.loads(json.dumps(dict(self.overrides)))
        except TypeError as error:
            raise ValueError(f"model options must be JSON types: {error}") from error
        object.__setattr__(self, "overrides", plain)

    def build(self) -> nn.Module:
        """A new model, weights at torch's default start."""
        from nets.models.registry import create_model

        return create_model(self.name, **self.overrides)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {"name": self.name, "overrides": dict(self.overrides)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelSpec:
        """The inverse of `to_dict`."""
        if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
            raise ValueError("not a model's description: needs a name and overrides")
        return cls(data["name"], data.get("overrides") or {})


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


MOST_CHANNELS = 1 << 14  # of a level: one 3 x 3 convolution of so many holds 9 GiB of weights
