"""One frozen, validated configuration of a training run: a shipped recipe's name or a file, then `key=value` settings.

Keys are dotted (`optim.lr`), or short where only one section has the name (`lr`); a section's own name stands for its first field
(`data=cifar10`, `init=chebyshev4`, `model=g6`, `optim=adamw`). A file may say `"base": "q2"` and give only what differs, and
say in `"about"` what it is for.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

__all__ = ["TrainConfig", "config_from_dict", "list_recipes", "load_config"]

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class ModelSection(_Section):
    """Which network: a registered name and the options of `create_model`."""

    name: str = "q2"
    width: int | float | None = None
    levels: int | None = None
    channels: tuple[int, ...] | None = None
    placement: str | dict[str, str] | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    def overrides(self) -> dict[str, Any]:
        """The options that were given, as `create_model` takes them."""
        named = {key: getattr(self, key) for key in ("width", "levels", "channels", "placement")}
        return {key: value for key, value in named.items() if value is not None} | self.options


class DataSection(_Section):
    """Which images: a data set's name or `folder:PATH`, where its files lie, and how validation is cut out of training."""

    name: str = "digits"
    root: str | None = None
    size: Count | None = None
    validation: Fraction = 0.1
    split_seed: int = Field(default=0, ge=0)
    download: bool = True
    on_device: Literal["auto", "always", "never"] = "auto"
    mean: tuple[float, ...] | None = None
    std: tuple[Positive, ...] | None = None


class AugmentSection(_Section):
    """What is done to training images; None takes what is natural to the data set (see `nets.data.SOURCES`)."""

    crop: int | None = Field(default=None, ge=0)
    pad: Literal["zeros", "reflect"] = "zeros"
    flip: Literal["none", "random", "alternating"] | None = None
    rotate: NonNegative | None = None
    scale: Fraction | None = None
    policy: Literal["none", "autoaugment", "randaugment"] = "none"
    randaugment_ops: int = Field(default=2, ge=1, le=8)
    randaugment_magnitude: float = Field(default=9.0, ge=0, le=30)
    cutout: int = Field(default=0, ge=0)
    mixup: NonNegative = 0.0
    cutmix: NonNegative = 0.0


class InitSection(_Section):
    """Where the polynomial coefficients and the operators A start."""

    scheme: str = "xavier"
    operator: str = "random"
    options: dict[str, Any] = Field(default_factory=dict)


class OptimSection(_Section):
    """The optimiser, its schedule, and what is done to loss, gradients and weights."""

    name: Literal["sgd", "adamw"] = "sgd"
    lr: Positive = 0.1
    momentum: Fraction = 0.9
    nesterov: bool = True
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    weight_decay: NonNegative = 5e-4
    coefficient_lr: NonNegative = 1.0
    schedule: Literal["cosine", "onecycle", "step", "linear", "constant"] = "cosine"
    warmup: NonNegative = 0.0
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)  # of what follows the warm-up
    gamma: Positive = 0.1
    label_smoothing: Fraction = 0.0
    ema: Fraction = 0.0
    clip: NonNegative = 0.0


class TrainSection(_Section):
    """How long, on what, and how safely."""

    epochs: Count = 100
    batch_size: int = Field(default=128, ge=2)
    last_batch: Literal["keep", "drop"] = "keep"
    seed: int = Field(default=0, ge=0)
    select: Literal["last", "best"] = "last"
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: Count | Literal["auto"] = 1
    nodes: Count = 1
    precision: Annotated[Literal["32", "bf16", "64"], BeforeValidator(lambda v: str(v) if isinstance(v, int) else v)] = "32"
    channels_last: bool = False
    compile: bool | Literal["auto"] = False  # auto: on CUDA alone; on a CPU generated code gained nothing over eager (measured)
    compile_mode: Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] = "default"
    cuda_graph: bool | Literal["auto"] = "auto"  # steps captured as a CUDA graph; auto: on one GPU, unless compile_mode makes its own
    deterministic: bool = False
    sync_batchnorm: bool = False
    ghost_groups: Count = 1
    checkpoint_epochs: Count = 1
    checkpoint_steps: int = Field(default=0, ge=0)
    tensorboard: bool = True


class TrainConfig(_Section):
    """All of a run: nothing outside it changes the weights that come out (on one kind of device, with one version of torch)."""

    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    augment: AugmentSection = AugmentSection()
    init: InitSection = InitSection()
    optim: OptimSection = OptimSection()
    train: TrainSection = TrainSection()

    @model_validator(mode="after")
    def _no_generator(self) -> TrainConfig:
        if "generator" in self.model.options:
            raise ValueError("model.options.generator is given; the weights are drawn by train.seed")
        return self

    @model_validator(mode="after")
    def _fits(self) -> TrainConfig:
        if (self.data.mean is None) != (self.data.std is None):
            raise ValueError("data.mean and data.std are given together or measured together")
        if self.train.batch_size < 2 * self.train.ghost_groups:
            raise ValueError(
                f"train.batch_size is {self.train.batch_size}; {self.train.ghost_groups} ghost groups need at least 2 images each"
            )
        if self.optim.name == "sgd" and self.optim.nesterov and self.optim.momentum == 0:
            raise ValueError("optim.momentum is 0; Nesterov needs momentum > 0, or set optim.nesterov=false")
        if self.optim.warmup > self.train.epochs:
            raise ValueError(f"optim.warmup is {self.optim.warmup:g} epochs; allowed is at most train.epochs = {self.train.epochs}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """JSON types; the inverse of `config_from_dict`."""
        return self.model_dump(mode="json")


RECIPES = Path(__file__).with_name("recipes")
SECTIONS: dict[str, type[_Section]] = {name: type(field.default) for name, field in TrainConfig.model_fields.items()}


def list_recipes() -> tuple[str, ...]:
    """Names of the shipped configurations."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.json")))


def load_config(name_or_path: str | Path, sets: Sequence[str] = ()) -> TrainConfig:
    """The configuration of a shipped name or a JSON or TOML file, with `key=value` settings applied in order.

    Raises
    ------
    ValueError
        One line: what was given and what is allowed.
    FileNotFoundError
        No such file.
    """
    data = _read(str(name_or_path), seen=())
    for setting in sets:
        key, sign, text = setting.partition("=")
        if not sign or not key.strip():
            raise ValueError(f"setting {setting!r} is not key=value")
        section, field = _resolve(key.strip())
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = {"True": True, "False": False, "None": None}.get(text, text)
        target = data.setdefault(section, {})
        head, _, rest = field.partition(".")
        if rest:  # model.options.groups=2, init.options.small=0.1
            target.setdefault(head, {})[rest] = value
        else:
            target[head] = value
    return config_from_dict(data)


def config_from_dict(data: Mapping[str, Any]) -> TrainConfig:
    """A validated configuration from plain sections.

    Raises
    ------
    ValueError
        One line for the first thing wrong.
    """
    try:
        return TrainConfig.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for i, part in enumerate(first["loc"]) if i < 2 or isinstance(part, int))
        if first["type"] == "extra_forbidden":
            section = first["loc"][0] if len(first["loc"]) > 1 else None
            known = SECTIONS[str(section)].model_fields if section else SECTIONS
            raise ValueError(f"unknown key {where!r}; known {f'in {section} ' if section else ''}are {', '.join(known)}") from None
        if first["type"] == "value_error":
            raise ValueError(str(first["ctx"]["error"])) from None
        section, *field = (str(part) for part in first["loc"][:2])
        allowed = _allowed(SECTIONS[section].model_json_schema()["properties"][field[0]]) if field else "a table"
        raise ValueError(f"{where} is {first['input']!r}; allowed is {allowed}") from None


def _allowed(schema: Mapping[str, Any]) -> str:
    """What a field's JSON schema lets pass, in words: "a number x with 0 <= x < 1", "auto, always, never", "true or false"."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_allowed(part) for part in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    kind = schema.get("type")
    if kind in ("integer", "number"):
        low = next(((sign, f"{schema[key]:g}") for key, sign in (("minimum", "="), ("exclusiveMinimum", "")) if key in schema), None)
        high = next(((sign, f"{schema[key]:g}") for key, sign in (("maximum", "="), ("exclusiveMaximum", "")) if key in schema), None)
        name = "a whole number" if kind == "integer" else "a number"
        if low and high:
            return f"{name} x with {low[1]} <{low[0]} x <{high[0]} {high[1]}"
        return f"{name} >{low[0]} {low[1]}" if low else f"{name} <{high[0]} {high[1]}" if high else name
    if kind == "array":
        entries = schema.get("prefixItems") or [schema.get("items", {})]
        return f"a list of {len(entries) if 'prefixItems' in schema else 'entries'}, each {_allowed(entries[0])}"
    return {"boolean": "true or false", "null": "null", "string": "text", "object": "a table"}.get(str(kind), "another value")


def _read(name_or_path: str, *, seen: tuple[str, ...]) -> dict[str, Any]:
    """Plain sections of a recipe or file, its base's under its own."""
    if name_or_path in list_recipes():
        text = (RECIPES / f"{name_or_path}.json").read_text()
    else:
        path = Path(name_or_path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"config {name_or_path!r} is neither a file nor a shipped name; known names are {', '.join(list_recipes())}"
            )
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not readable as text ({error})") from error
    try:
        data = tomllib.loads(text) if name_or_path.endswith(".toml") else json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name_or_path}: not valid {'TOML' if name_or_path.endswith('.toml') else 'JSON'} ({error})") from error
    if not isinstance(data, dict) or not all(isinstance(v, dict) for k, v in data.items() if k in SECTIONS):
        raise ValueError(f"{name_or_path}: expected one table with the sections {', '.join(SECTIONS)}")
    data.pop("about", None)  # a word to the reader
    base = data.pop("base", None)
    if base is None:
        return data
    if base in seen:
        raise ValueError(f"{name_or_path}: base {base!r} refers back to itself")
    merged = _read(str(base), seen=(*seen, name_or_path))
    for section, fields in data.items():
        merged[section] = {**merged.get(section, {}), **fields} if isinstance(fields, dict) else fields
    return merged


def _resolve(key: str) -> tuple[str, str]:
    """(section, field) of a dotted or short key."""
    head, _, rest = key.partition(".")
    if head in SECTIONS:
        return head, rest or next(iter(SECTIONS[head].model_fields))
    owners = [section for section, model in SECTIONS.items() if head in model.model_fields]
    if len(owners) == 1:
        return owners[0], key
    if owners:
        raise ValueError(f"key {key!r} is not unique; give one of {', '.join(f'{owner}.{head}' for owner in owners)}")
    names = [f"{section}.{field}" for section, model in SECTIONS.items() for field in model.model_fields]
    shorts = [name.split(".")[1] for name in names]
    close = difflib.get_close_matches(head, shorts, n=3)
    if close:
        raise ValueError(f"unknown key {key!r}; did you mean {', '.join(dict.fromkeys(close))}?")
    raise ValueError(f"unknown key {key!r}; known are {', '.join(names)}")
