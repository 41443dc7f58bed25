"""What rebuilds a model: its registered name and its options as JSON types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelSpec:
    """A model by its registered name and the options given to `create_model`, as JSON types:
    ``create_model(spec.name, **spec.overrides)`` is the same architecture again."""

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            plain = json.loads(json.dumps(dict(self.overrides)))
        except TypeError as error:
            raise ValueError(f"model options must be JSON types: {error}") from error
        object.__setattr__(self, "overrides", plain)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {"name": self.name, "overrides": dict(self.overrides)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelSpec:
        """The inverse of `to_dict`."""
        if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
            raise ValueError("not a model's description: needs a name and overrides")
        return cls(data["name"], data.get("overrides") or {})
