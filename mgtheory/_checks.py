"""Checks of arguments that several files share: each gives the value back, or a ValueError of one
line with what was given and allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOATING = ("float32", "float64", "complex64", "complex128")


def plain(value: Any) -> Any:
    """Python's own number for one of numpy's, or for an array or tensor without axes; anything else
    as it is. What is kept goes through this: JSON knows no other numbers."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def is_whole(value: Any) -> bool:
    """Whether it is a whole number, which True and False are not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether it is a real number, infinite or not one at all included; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_whole(value: Any, name: str, least: int) -> int:
    """A whole number from `least` on."""
    value = plain(value)
    if not is_whole(value) or value < least:
        raise ValueError(f"{name} is {value!r}, must be a whole number from {least} on")
    return int(value)


def check_number(value: Any, name: str, allowed: str = "from 0 on") -> float:
    """A finite real number, ``"from 0 on"``, ``"larger than 0"`` or ``"of any sign"``; more words
    may follow."""
    value = plain(value)
    if (
        not is_number(value)
        or not np.isfinite(float(value))
        or (value < 0 and not allowed.startswith("of any sign"))
        or (value == 0 and allowed.startswith("larger than 0"))
    ):
        raise ValueError(f"{name} is {value!r}, must be a number {allowed}".replace("\n", ""))
    return float(value)


def check_array(value: Any, name: str, *, real: bool = False) -> NDArray[Any]:
    """An array of numbers (new where its type changes), complex or float; NaN and infinity pass."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{name} has rows of different lengths, must be an array of numbers"
        ) from None
    except (RuntimeError, TypeError) as error:  # a tensor with a gradient, or on another device
        raise ValueError(f"{name} is {_article(value)} that is no array: {error}") from None
    if array.dtype.kind not in ("iuf" if real else "iufc"):
        kind = f"type {array.dtype}" if isinstance(value, np.ndarray) else _article(value)
        raise ValueError(f"{name} is {kind}, must be {'real ' if real else ''}numbers")
    return array.astype(complex if array.dtype.kind == "c" else float, copy=False)


def _article(value: Any) -> str:
    """The type of a value in words: "a str", "an int"."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def check_kind(value: Any, kind: type | tuple[type, ...], name: str, what: str) -> Any:
    """An object of that kind."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {_article(value)}, must be {what}")
    return value


def check_generator(value: Any, name: str) -> np.random.Generator:
    """A numpy Generator."""
    what = "a numpy Generator, as numpy.random.default_rng(seed) gives"
    generator: np.random.Generator = check_kind(value, np.random.Generator, name, what)
    return generator


def check_shape(value: Any, name: str, dim: int | None = None) -> tuple[int, ...]:
    """The sizes of a grid, from 1 on: one number stands for each of `dim` axes (None: one axis)."""
    value = plain(value)
    given = (value,) * (dim or 1) if is_whole(value) else _listed(value)
    if not (given and all(is_whole(n) and n >= 1 for n in given) and dim in (None, len(given))):
        axes = "each axis" if dim is None else f"{dim} axes"
        raise ValueError(
            f"{name} is {value!r}, must be positive integers, one for {axes}".replace("\n", "")
        )
    return tuple(int(n) for n in given)


def _listed(value: Any) -> tuple[Any, ...]:
    """The entries of a sequence or array; nothing for a text or anything else."""
    sequence = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    return tuple(value) if sequence else ()


def check_callable(value: Any, name: str) -> None:
    """None, or something that can be called."""
    if not (value is None or callable(value)):
        raise ValueError(f"{name} is {value!r}, must be callable")


def check_name(value: Any, known: Sequence[str], what: str) -> str:
    """One of the known names."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"unknown {what} {value!r}, known are: {', '.join(known)}")
    return value


def check_axes(axes: Any, dim: int, *, names: str = "") -> tuple[int, ...]:
    """Different axes of a grid in ascending order, at least one."""
    given = _listed(axes)
    if not given or not all(is_whole(j) and 0 <= j < dim for j in given):
        raise ValueError(f"axes are {axes!r}, allowed are: {names}numbers from 0 to {dim - 1}")
    return tuple(sorted({int(j) for j in given}))


def check_vector(given: Any, n: int, dtype: Any, name: str, *, finite: bool = True) -> NDArray[Any]:
    """A finite vector of shape (n,) or (n, 1), as a new array of shape (n,) in the common floating
    type with `dtype`; with ``finite=False`` infinite values pass, and it may be the given one."""
    vector = np.asarray(given)
    if vector.shape not in ((n,), (n, 1)):
        raise ValueError(f"{name} has shape {vector.shape}, must be ({n},)")
    if (
        vector.dtype.kind not in "biufc"
        or np.promote_types(vector.dtype, dtype).name not in FLOATING
    ):
        raise ValueError(f"{name} has type {vector.dtype}, must be real or complex floating")
    vector = vector.reshape(n).astype(np.promote_types(vector.dtype, dtype), copy=finite)
    if finite and not np.isfinite(vector).all():
        raise ValueError(f"{name} has entries that are infinite or not a number")
    return vector


def on_grid(
    function: Callable[..., Any], x: Sequence[NDArray[Any]], shape: Sequence[int], name: str
) -> NDArray[np.float64]:
    """The real values of a function of the coordinates, one array per axis, broadcast to the
    shape."""
    values = np.asarray(function(*x))
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name} gives values of type {values.dtype}, must be real")
    try:
        return np.broadcast_to(values.astype(float), tuple(shape))
    except ValueError:
        raise ValueError(
            f"{name} gives values of shape {values.shape} on a grid of shape {tuple(shape)}"
        ) from None
