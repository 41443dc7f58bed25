"""One frozen, validated configuration of a training run: a shipped recipe's name or a file, then
`key=value` settings.

Keys are dotted (`optim.lr`), or short where only one section has the name (`lr`); a section's own
name stands for its first field (`data=cifar10`, `init=chebyshev4`, `model=g6`, `optim=adamw`). A
file may say `"base": "q2"` and give only what differs, and say in `"about"` what it is for. The
keys themselves, with their defaults and meanings, are in `nets.settings`.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mgtheory._files import parse_json, read_json
from nets.settings import SECTIONS, TrainConfig

LARGEST = 1e30  # of a number: float32 ends at 3.4e38
RECIPES = Path(__file__).with_name("recipes")


def list_recipes() -> tuple[str, ...]:
    """Names of the shipped configurations."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.json")))


def _is_recipe(name: str) -> bool:
    """Whether it is one of `list_recipes`, which a study of a thousand runs need not list for
    each."""
    return Path(name).name == name and (RECIPES / f"{name}.json").is_file()


@dataclass(frozen=True)
class Setting:
    """One key of a configuration: its value, and in words what it may be and what it means."""

    key: str
    value: Any
    allowed: str
    meaning: str


def list_settings(config: TrainConfig) -> list[Setting]:
    """Every key of the configuration, section by section."""
    return [
        Setting(f"{name}.{field}", values[field], _allowed(schema), _meaning(schema))
        for name, values in config.to_dict().items()
        for field, schema in SECTIONS[name].model_json_schema()["properties"].items()
    ]


def _meaning(schema: Mapping[str, Any]) -> str:
    """As one line, wherever the source breaks it."""
    return " ".join(schema.get("description", "").split())


def load_config(name_or_path: str | Path, sets: Sequence[str] = ()) -> TrainConfig:
    """The configuration of a shipped name or a JSON or TOML file, with `key=value` settings applied
    in order; a ValueError of one line says what was given and what is allowed."""
    if isinstance(sets, str | Mapping):
        raise ValueError(f"settings are {sets!r}; must be a list, as ['epochs=2', 'width=8']")
    data = _read(str(name_or_path), seen=())
    file = None if _is_recipe(str(name_or_path)) else copy.deepcopy(data)
    for setting in sets:
        key, sign, text = setting.partition("=")
        if not sign or not key.strip():
            raise ValueError(f"setting {setting!r} is not key=value")
        section, field = _resolve(key.strip())
        try:
            value = parse_json(text)
        except ValueError:
            value = {"True": True, "False": False, "None": None}.get(text, text)
        target = data.setdefault(section, {})
        head, _, rest = field.partition(".")
        if rest:  # model.options.groups=2, init.options.small=0.1
            inner = target.setdefault(head, {})
            if not isinstance(inner, dict):
                raise ValueError(f"unknown key {key.strip()!r}; {section}.{head} is no table")
            inner[rest] = value
        else:
            target[head] = value
    try:
        return config_from_dict(data)
    except ValueError:
        if file is not None:  # is it the file that is wrong, or a setting?
            try:
                config_from_dict(file)
            except ValueError as error:
                raise ValueError(f"{name_or_path}: {error}") from None
        raise


def absolute(config: TrainConfig) -> TrainConfig:
    """The configuration with its paths (folder:PATH, data.root, file:PATH, init.weights) made
    absolute, as they are seen from the present folder, so that it means the same from another."""

    def full(text: str, prefix: str = "") -> str:
        path = text.removeprefix(prefix)
        if not path or not text.startswith(prefix):
            return text
        # an unknown ~name stays, and is refused where the path is used
        with suppress(RuntimeError):
            path = str(Path(path).expanduser().absolute())
        return prefix + path

    data, init = config.data, config.init
    places = {"name": full(data.name, "folder:"), "root": data.root and full(data.root)}
    scheme = {
        "scheme": full(init.scheme, "file:"),
        "weights": init.weights and full(init.weights),
    }
    sections = {"data": data.model_copy(update=places), "init": init.model_copy(update=scheme)}
    return config.model_copy(update=sections)


def config_from_dict(data: Mapping[str, Any]) -> TrainConfig:
    """A validated configuration from plain sections; a ValueError names the first thing wrong."""
    try:
        return _countable(TrainConfig.model_validate(data))
    except ValidationError as error:
        first = error.errors()[0]
        # beyond section and field, what pydantic calls the members of a union is left out
        inner = [part for part in first["loc"][2:] if isinstance(part, int)]
        where = ".".join(map(str, (*first["loc"][:2], *inner)))
        if first["type"] == "extra_forbidden":
            section = first["loc"][0] if len(first["loc"]) > 1 else None
            known = SECTIONS[str(section)].model_fields if section else SECTIONS
            raise ValueError(
                f"unknown key {where!r}; known {f'in {section} ' if section else ''}are"
                f" {', '.join(known)}"
            ) from None
        if first["type"] == "value_error":
            raise ValueError(str(first["ctx"]["error"])) from None
        section, *field = (str(part) for part in first["loc"][:2])
        schemas = SECTIONS[section].model_json_schema()["properties"]
        allowed = _allowed(schemas[field[0]]) if field else "a table"
        raise ValueError(f"{where} is {first['input']!r}; allowed is {allowed}") from None


def _countable(config: TrainConfig) -> TrainConfig:
    """The configuration, unless a number in it is one that no machine counts to, or that leaves
    float32, in which networks compute: it passes the parsers, and every product with it would
    fail."""
    for section, fields in config.to_dict().items():
        for key, value in fields.items():
            numbers = value if isinstance(value, list) else [value]
            if large := [n for n in numbers if isinstance(n, float) and abs(n) > LARGEST]:
                raise ValueError(
                    f"{section}.{key} is {large[0]:g}; allowed are numbers of modulus up to"
                    f" {LARGEST:g}"
                )
            if isinstance(value, int) and abs(value) >= 2**64:
                raise ValueError(
                    f"{section}.{key} is a whole number of {len(str(abs(value)))} digits; allowed"
                    " are those below 2^64"
                )
    return config


def _allowed(schema: Mapping[str, Any]) -> str:
    """What a field's JSON schema lets pass, in words: "a number x with 0 <= x < 1", "auto, always,
    never", "true or false"."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_allowed(part) for part in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    kind = schema.get("type")
    if kind in ("integer", "number"):
        ends = []
        for least, beyond in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            end = schema.get(least, schema.get(beyond))
            ends.append(None if end is None else ("=" if least in schema else "", f"{end:g}"))
        low, high = ends
        name = "a whole number" if kind == "integer" else "a number"
        if low and high:
            return f"{name} x with {low[1]} <{low[0]} x <{high[0]} {high[1]}"
        least = f" >{low[0]} {low[1]}" if low else ""
        return name + (f" <{high[0]} {high[1]}" if high else least)
    if kind == "array":
        entries = schema.get("prefixItems") or [schema.get("items", {})]
        count = len(entries) if "prefixItems" in schema else "entries"
        return f"a list of {count}, each {_allowed(entries[0])}"
    words = {"boolean": "true or false", "null": "null", "string": "text", "object": "a table"}
    return words.get(str(kind), "another value")


def _read(name_or_path: str, *, seen: tuple[str, ...]) -> dict[str, Any]:
    """Plain sections of a recipe or file, its base's under its own."""
    shipped = _is_recipe(name_or_path)
    path = RECIPES / f"{name_or_path}.json" if shipped else Path(name_or_path).expanduser()
    if path.is_dir() or not path.exists():  # a pipe is read, as of <(...) in a shell
        hint = ""
        if (path / "config.json").is_file():
            hint = f"; the configuration of that run is {path / 'config.json'}"
        raise FileNotFoundError(
            f"config {name_or_path!r} is neither a file nor a shipped name; known names are"
            f" {', '.join(list_recipes())}{hint}"
        )
    data = read_json(path, "configuration", toml=path.suffix.lower() == ".toml")
    if not all(isinstance(v, dict) for k, v in data.items() if k in SECTIONS):
        raise ValueError(
            f"{name_or_path}: expected one table with the sections {', '.join(SECTIONS)}"
        )
    data.pop("about", None)  # a word to the reader
    base = data.pop("base", None)
    if base is None:
        return data
    if base in seen:
        raise ValueError(f"{name_or_path}: base {base!r} refers back to itself")
    merged = _read(str(base), seen=(*seen, name_or_path))
    for section, fields in data.items():
        tables = isinstance(fields, dict)
        merged[section] = {**merged.get(section, {}), **fields} if tables else fields
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
        full = ", ".join(f"{owner}.{head}" for owner in owners)
        raise ValueError(f"key {key!r} is not unique; give one of {full}")
    fields = [field for model in SECTIONS.values() for field in model.model_fields]
    close = difflib.get_close_matches(head, fields, n=3)
    if close:
        raise ValueError(f"unknown key {key!r}; did you mean {', '.join(dict.fromkeys(close))}?")
    raise ValueError(
        f"unknown key {key!r}; known are the fields of {', '.join(SECTIONS)}, which `polymgnet"
        " config` lists"
    )
