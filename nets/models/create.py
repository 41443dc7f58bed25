"""A model by its name in the registry, with the options of its class and those of all models.

``create_model(name, **overrides)`` takes the entry's defaults, replaces what is overridden and
keeps name and overrides as ``model.spec``, from which the same architecture is built again. Models
are plain ``nn.Module`` objects.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

import torch
from torch import nn

from mgtheory._checks import plain
from nets.models.base import FeatureMaps, ImageModel
from nets.models.checks import check_generator, on_cpu
from nets.models.mgnet import MgNet
from nets.models.options import level_channels, per_level
from nets.models.polymgnet import PolyMgNet
from nets.models.pretrained import find_pretrained
from nets.models.registry import ModelEntry, model_entry, model_options
from nets.models.resnet import ResNet
from nets.models.spec import ModelSpec

MOST = 2**20  # channels, classes and the like, of which torch would make a tensor

PolyName = Literal["q2", "g4", "g6", "g8", "r4", "p2", "p3", "p4"]
MgName = Literal["mgnet", "preact_mgnet"]
ResName = Literal["resnet18", "resnet20", "preact_resnet18", "preact_resnet20"]


@overload
def create_model(
    name: str,
    *,
    features_only: Literal[True],
    pretrained: str | Literal[False] | None = None,
    generator: torch.Generator | None = None,
    **overrides: Any,
) -> FeatureMaps: ...
@overload
def create_model(
    name: PolyName,
    *,
    pretrained: str | Literal[False] | None = None,
    generator: torch.Generator | None = None,
    **overrides: Any,
) -> PolyMgNet: ...
@overload
def create_model(
    name: MgName,
    *,
    pretrained: str | Literal[False] | None = None,
    generator: torch.Generator | None = None,
    **overrides: Any,
) -> MgNet: ...
@overload
def create_model(
    name: ResName,
    *,
    pretrained: str | Literal[False] | None = None,
    generator: torch.Generator | None = None,
    **overrides: Any,
) -> ResNet: ...
@overload
def create_model(
    name: str,
    *,
    pretrained: str | Literal[False] | None = None,
    generator: torch.Generator | None = None,
    **overrides: Any,
) -> nn.Module: ...
def create_model(
    name: str,
    *,
    features_only: bool = False,
    pretrained: str | Literal[False] | None = None,
    generator: torch.Generator | None = None,
    device: torch.device | str | int | None = None,
    dtype: torch.dtype | None = None,
    **overrides: Any,
) -> nn.Module:
    """A new model of the registry, in training mode, weights at torch's default start and
    polynomial coefficients at 1.

    Parameters
    ----------
    name
        One of `list_models()`, or a name of a pattern such as ``p5``.
    generator
        Draws the weights; None is torch's global generator.
    pretrained
        A name of weights that come with the package, ``digits`` or ``cifar10-16`` for q2: its
        options are theirs, and `pretrained_cfg` is its card, with what normalises images. Another
        `num_classes` draws a new last layer. None or False: none.
    features_only
        Without the head: a module that gives the list of the feature maps of all resolutions.
    device, dtype
        Of its parameters and norms, as torch's modules take them; for a given device weights are
        drawn on the CPU and moved.
    overrides
        Options of the model's class (``num_classes=0`` gives the averaged features in place of
        scores, as in timm), and for all models ``width`` (an int: channels of the first
        level, the others in proportion; a float: a factor for all), ``levels`` (how many) and
        ``steps`` (per level; where all steps of the model are of one kind). ``channels`` gives
        every level's width and replaces width and levels.

    Raises
    ------
    ValueError
        For an unknown name or option, or a value that does not fit; it lists what is allowed.
    """
    check_generator(generator)
    entry = model_entry(name)
    weights = None if pretrained in (None, False) else find_pretrained(name, pretrained)
    overrides = {key: plain(value) for key, value in overrides.items()}
    asked = overrides.get("num_classes")
    if weights is not None:
        weights.check(overrides)
        overrides = dict(weights.options)
    allowed = model_options(name)
    _check_names(name, overrides, allowed)
    given = {key: value for key, value in overrides.items() if value is not None}
    spec = ModelSpec(name, given)
    options = {**entry.defaults, **given}
    if "channels" in allowed:
        options = _with_channels(name, entry, options, given)
    if entry.build is PolyMgNet and "steps" in options:
        options = _with_steps(name, options, given)
    _check_values(options, headless=issubclass(entry.build, ImageModel))
    with on_cpu(device):
        model = _built(entry.build, options, generator)
    model.spec = spec  # type: ignore[assignment]
    if weights is not None:
        weights.fill(model)
        if isinstance(model, ImageModel) and asked not in (None, model.num_classes):
            model.reset_classifier(asked, generator=generator)
    model.to(device=device, dtype=dtype)
    if not features_only:
        return model
    if not isinstance(model, ImageModel):
        raise ValueError(f"{name} is no ImageModel: it has no feature maps for features_only")
    return FeatureMaps(model)


def _check_names(name: str, overrides: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """ValueError for an option that the model does not have."""
    for option in overrides:
        if option not in allowed:
            close = difflib.get_close_matches(option, allowed, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise ValueError(
                f"{name} has no option {option!r}{hint}; it takes: {', '.join(allowed)}"
            )


def _with_channels(
    name: str, entry: ModelEntry, options: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The options with the channels of every level in the place of width and levels."""
    sizes = {key: given.get(key) for key in ("channels", "width", "levels")}
    own = inspect.signature(entry.build).parameters["channels"].default
    default = entry.defaults.get("channels", own)
    if default is inspect.Parameter.empty:
        raise ValueError(f"{name} has no default channels; its class or its entry must have")
    others = {key: value for key, value in options.items() if key not in sizes}
    return {**others, "channels": level_channels(default, **sizes)}


def _with_steps(name: str, options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the factors of every level's steps in the place of their number."""
    factors = options["factors"]
    if "factors" in given or len(set(factors)) != 1:
        raise ValueError(
            f"{name} has steps of several kinds or factors are given: give the factors of each"
            " level and not steps"
        )
    counts = per_level(options["steps"], len(options["channels"]), what="steps")
    others = {key: value for key, value in options.items() if key != "steps"}
    return {**others, "factors": [[factors[0]] * count for count in counts]}


def _check_values(options: Mapping[str, Any], *, headless: bool) -> None:
    """ValueError for a number or a flag that no model can have; `headless`, that it can do without
    classes."""
    for option in ("in_channels", "num_classes", "kernel_size", "groups"):
        value, least = options.get(option, 1), int(not (headless and option == "num_classes"))
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
            what = "a positive whole number" + " or 0 for the features" * (not least)
            raise ValueError(f"{option} is {value!r}, must be {what}, at most {MOST:,}")
    for option in ("train_coefficients", "preactivation"):
        if not isinstance(options.get(option, True), bool):
            raise ValueError(f"{option} is {options[option]!r}, allowed are: true, false")


def _built(
    build: type[nn.Module], options: Mapping[str, Any], generator: torch.Generator | None
) -> nn.Module:
    """The model, its weights drawn by the generator. A class of a user's may start in a way of its
    own, which a fresh draw would undo: its constructor draws, torch's global generator seeded."""
    if generator is None or build in (PolyMgNet, MgNet, ResNet):
        model = build(**options)
        if generator is not None:
            reset_weights(model, generator=generator)
        return model
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(
            int(torch.randint(2**62, (), generator=generator, device="cpu"))
        )
        return build(**options)


def reset_weights(model: nn.Module, *, generator: torch.Generator | None = None) -> None:
    """Draw every convolution and linear layer anew: uniform in ±1/sqrt(fan_in), torch's default,
    from one generator.

    Norms go back to weight 1, bias 0 and fresh statistics; polynomial coefficients stay.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = module.weight[0].numel() ** -0.5
            with torch.no_grad():
                module.weight.uniform_(-bound, bound, generator=generator)
                if module.bias is not None:
                    module.bias.uniform_(-bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
