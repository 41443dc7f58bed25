"""The models by name: a registry of entries (class, defaults, one line), patterns for the families
p<d>, q<n> and resnet<6n+2>."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from torch import nn

from mgtheory.polynomials.factors import FACTORS
from nets.models.blocks import LevelOptions
from nets.models.classifier import MultigridClassifier
from nets.models.coefficients import MAX_GENERAL_DEGREE
from nets.models.mgnet import MgNet
from nets.models.polymgnet import PolyMgNet
from nets.models.resnet import ResNet

MOST_LINEAR = 64  # steps of q<n>


@dataclass(frozen=True)
class ModelEntry:
    """A registered model: the class, what it is called with, and one line on what it is."""

    build: type[nn.Module]
    summary: str
    defaults: Mapping[str, Any] = field(default_factory=dict)


MIXED = dict.fromkeys(FACTORS, "regular") | {"complex_pair": "outside"}
SYMMETRIC, COMPLEX = "symmetric_pair", "complex_pair"
WIDE, NARROW = (64, 128, 256, 512), (16, 32, 64)  # channels of the published ResNets


def _poly(summary: str, *factors: str, **defaults: Any) -> ModelEntry:
    return ModelEntry(
        PolyMgNet, summary, {"channels": (64, 128, 256, 256), "factors": factors, **defaults}
    )


def _mgnet(summary: str, **defaults: Any) -> ModelEntry:
    return ModelEntry(MgNet, summary, {"channels": (256,) * 4, "steps": 2, **defaults})


def _resnet(summary: str, channels: Sequence[int], steps: int, **defaults: Any) -> ModelEntry:
    return ModelEntry(ResNet, summary, {"channels": tuple(channels), "steps": steps, **defaults})


def _general(degree: int) -> ModelEntry:
    if not 2 <= degree <= MAX_GENERAL_DEGREE:
        raise ValueError(
            f"model p{degree}: the degree must be from 2 to {MAX_GENERAL_DEGREE} (with 1, the last"
            " level's A would have no effect; higher ones are products of factors, e.g."
            " factors=[...])"
        )
    summary = f"Poly-MgNet, one general polynomial of degree {degree} a level"
    return _poly(summary, f"general{degree}")


def _linear(steps: int) -> ModelEntry:
    if not 2 <= steps <= MOST_LINEAR:
        raise ValueError(
            f"model q{steps}: the number of linear steps must be from 2 to {MOST_LINEAR} (with 1,"
            " the last level's A would have no effect)"
        )
    return _poly(f"Poly-MgNet, {steps} linear steps a level", *["linear"] * steps)


def _six_n_plus_two(depth: int, *, pre: bool = False) -> ModelEntry:
    if depth < 8 or depth % 6 != 2:
        raise ValueError(
            f"model {'preact_' if pre else ''}resnet{depth}: the depth must be 18, or 6n + 2 with"
            " n >= 1 (20, 32, 44, 56, 110, ...)"
        )
    summary = f"ResNet-{depth}, option A shortcuts" + (", pre-activation" if pre else "")
    return _resnet(summary, NARROW, (depth - 2) // 6, shortcut="pad", preactivation=pre)


MODELS: dict[str, ModelEntry] = {
    "q2": _linear(2),
    "g4": _poly("Poly-MgNet, 2 symmetric pairs a level", *[SYMMETRIC] * 2),
    "g6": _poly(
        "Poly-MgNet, 2 symmetric pairs and 1 complex pair a level",
        *(SYMMETRIC, SYMMETRIC, COMPLEX),
        placement=MIXED,
    ),
    "g8": _poly(
        "Poly-MgNet, 3 symmetric pairs and 1 complex pair a level",
        *(SYMMETRIC, SYMMETRIC, SYMMETRIC, COMPLEX),
        placement=MIXED,
    ),
    "r4": _poly("Poly-MgNet, 2 real pairs a level", *["real_pair"] * 2),
    **{f"p{degree}": _general(degree) for degree in (2, 3, 4)},
    "mgnet": _mgnet("MgNet, one B a level"),
    "preact_mgnet": _mgnet("MgNet, pre-activation", placement="plain"),
    "resnet18": _resnet("ResNet-18 with the stem for small images", WIDE, 2),
    "resnet20": _six_n_plus_two(20),
    "preact_resnet18": _resnet("ResNet-18, pre-activation", WIDE, 2, preactivation=True),
    "preact_resnet20": _six_n_plus_two(20, pre=True),
}

PATTERNS: dict[str, tuple[str, Callable[[re.Match[str]], ModelEntry]]] = {
    "p<d>": (r"p([1-9][0-9]*)", lambda match: _general(int(match[1]))),
    "q<n>": (r"q([1-9][0-9]*)", lambda match: _linear(int(match[1]))),
    "resnet<6n+2>": (
        r"(preact_)?resnet([1-9][0-9]*)",
        lambda match: _six_n_plus_two(int(match[2]), pre=match[1] is not None),
    ),
}


def list_models() -> list[str]:
    """The registered names; p<d>, q<n> and (preact_)resnet<6n+2> take other numbers too."""
    return list(MODELS)


def model_entry(name: str) -> ModelEntry:
    """The entry of a name, from the registry or a pattern; a ValueError lists the known names."""
    if isinstance(name, str) and name in MODELS:
        return MODELS[name]
    for pattern, make in PATTERNS.values():
        match = re.fullmatch(pattern, name) if isinstance(name, str) else None
        if match:
            return make(match)
    raise ValueError(
        f"unknown model {name!r}, known are: {', '.join([*MODELS, *PATTERNS])}; one of your own is"
        " registered first, in Python or by polymgnet --import FILE.py"
    )


def model_options(name: str) -> list[str]:
    """The options that `create_model` takes for this model."""
    build = model_entry(name).build
    own = inspect.signature(build).parameters
    return [
        *(key for key, parameter in own.items() if parameter.kind is not parameter.VAR_KEYWORD),
        *([f.name for f in fields(LevelOptions)] if issubclass(build, MultigridClassifier) else []),
        *(["width", "levels"] if "channels" in own else []),
        *(["steps"] if build is PolyMgNet else []),
    ]


def level_steps(steps: str | Sequence[str]) -> Mapping[str, Any]:
    """`factors` of one level and, of a network that has one of its own, `placement`: from the kinds
    of the steps, or the name of a Poly-MgNet with the same steps on every level. ValueError for
    anything else, with the names."""
    if isinstance(steps, list | tuple) and steps and all(isinstance(one, str) for one in steps):
        return {"factors": tuple(steps)}
    poly = [name for name, entry in MODELS.items() if _has_steps(entry)]
    if isinstance(steps, str):
        with contextlib.suppress(ValueError):
            entry = model_entry(steps)
            if _has_steps(entry):
                own = entry.defaults
                return {key: own[key] for key in ("factors", "placement") if key in own}
    raise ValueError(
        f'factors is {steps!r}, must be a list of kinds, such as ["linear", "linear"], or the name'
        f" of a network with these steps on each level: {', '.join(poly)}, p<d> (d from 2 to"
        f" {MAX_GENERAL_DEGREE}), q<n> (n from 2 to {MOST_LINEAR})"
    )


def _has_steps(entry: ModelEntry) -> bool:
    """Whether it is a Poly-MgNet with the same steps on every level."""
    kinds = entry.defaults.get("factors", ())
    return issubclass(entry.build, PolyMgNet) and {type(kind) for kind in kinds} == {str}


def register_model(
    name: str, build: type[nn.Module], summary: str, **defaults: Any
) -> type[nn.Module]:
    """Enter a model of your own under a name: then `create_model`, configurations, training and
    `load` know it, wherever this call is made before.

    Parameters
    ----------
    build
        Its class, which takes its options as keywords, `in_channels` and `num_classes` among them.
        Its constructor draws the weights, from torch's global generator, which a run seeds.
    summary
        One line on what it is.
    defaults
        What it is called with where nothing else is given.

    Raises
    ------
    ValueError
        A name that is taken, or that one of a pattern has, or no text; a function in the place of
        the class.

    Examples
    --------
    >>> from torch import nn
    >>> class Average(nn.Module):
    ...     def __init__(self, *, in_channels: int = 3, num_classes: int = 10) -> None:
    ...         super().__init__()
    ...         self.fc = nn.Linear(in_channels, num_classes)
    ...
    ...     def forward(self, x):
    ...         return self.fc(x.mean(dim=(2, 3)))
    >>> _ = register_model("average", Average, "the average colour")
    >>> create_model("average", num_classes=2)(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 2])
    >>> del MODELS["average"]
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"name is {name!r}, must be the model's name, a text")
    if not isinstance(build, type) or not issubclass(build, nn.Module):
        raise ValueError(
            f"build is {build!r}, must be a class of torch.nn.Module; what a function would call it"
            " with, give as defaults: register_model(name, build, summary, option=value)"
        )
    patterns = [pattern for pattern, _ in PATTERNS.values()]
    if name in MODELS or any(re.fullmatch(pattern, name) for pattern in patterns):
        raise ValueError(f"the model {name!r} is there already; give another name")
    MODELS[name] = ModelEntry(build, summary, defaults)
    return build
