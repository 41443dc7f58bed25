"""Weights that come with the package, each with a card: data, recipe, command, seed, versions, and
the accuracy with its interval.

nets/pretrained/q2-digits.safetensors   as a run's model.safetensors
nets/pretrained/q2-digits.json          its card

`python -m polymgnet.pretrained` makes both from a run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

FOLDER = Path(__file__).resolve().parents[1] / "pretrained"


def probe(shape: Sequence[int]) -> torch.Tensor:
    """sin(k), k = 0, 1, ..., as one normalised image (1, channels, height, width): its scores stand
    in a card, so that weights are checked without their data."""
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64)).float().reshape(1, *shape)


@dataclass(frozen=True)
class Pretrained:
    """Weights of a model by their name, such as q2 and digits.

    Attributes
    ----------
    options
        Of `create_model`, as the weights have them.
    card
        All of it, as JSON has it: `mean` and `std` normalise images in [0, 1], `classes` names the
        scores, `test_accuracy` and `interval` (95 %) are parts of 1.
    """

    model: str
    name: str
    options: Mapping[str, Any]
    card: Mapping[str, Any]

    @property
    def key(self) -> str:
        """One name for both, as q2-digits."""
        return f"{self.model}-{self.name}"

    @property
    def file(self) -> Path:
        """The weights."""
        return FOLDER / f"{self.key}.safetensors"

    def check(self, overrides: Mapping[str, Any]) -> None:
        """ValueError for an option that the weights do not have so; another number of classes gets
        a head of its own."""
        for key, value in overrides.items():
            if key != "num_classes" and value is not None and value != self.options.get(key):
                fixed = ", ".join(f"{k}={v}" for k, v in self.options.items() if k != "num_classes")
                raise ValueError(
                    f"pretrained {self.name!r} of {self.model}: {key} is {value!r}, its weights"
                    f" have {fixed}; num_classes alone may differ (a new last layer), others are"
                    f" trained: {self.card['command']}"
                )

    def fill(self, model: nn.Module) -> None:
        """The weights into a model of these options, and the card to it as `pretrained_cfg`, timm's
        name."""
        model.load_state_dict(safetensors.torch.load_file(self.file))
        model.pretrained_cfg = dict(self.card)  # type: ignore[assignment]


def list_pretrained() -> list[Pretrained]:
    """All weights that come with the package."""
    cards = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]
    return [Pretrained(card["model"], card["name"], card["options"], card) for card in cards]


def shipped() -> dict[str, Pretrained]:
    """All of them by their `key`."""
    return {one.key: one for one in list_pretrained()}


def find_shipped(key: str | Path) -> Pretrained | None:
    """The weights of that `key`; None where there are none, or a file or folder has the name."""
    return None if Path(key).exists() else shipped().get(str(key))


def find_pretrained(model: str, name: Any) -> Pretrained:
    """The weights of a model by their name; a ValueError lists those that there are."""
    known = list_pretrained()
    for one in known:
        if (one.model, one.name) == (model, name):
            return one
    there = ", ".join(f"{one.model} has {one.name!r}" for one in known)
    raise ValueError(f"no weights {name!r} of {model}; {there}")
