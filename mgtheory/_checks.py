"""Checks of arguments that several files share: each gives the value back, or a ValueError of one
line with what was given and allowed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

# numpy's default, for what a program has set to "raise" for itself
OWN_ERRORS: dict[str, Any] = {
    "divide": "warn",
    "over": "warn",
    "under": "ignore",
    "invalid": "warn",
}
Function = TypeVar("Function", bound=Callable[..., Any])


def own_errors(function: Function) -> Function:
    """A function in which no floating-point error is an exception: np.seterr(all="raise") of a
    user's program must not turn an underflow in here into one."""

    @functools.wraps(function)
    def quiet(*args: Any, **options: Any) -> Any:
        raised = [kind for kind, treatment in np.geterr().items() if treatment == "raise"]
        if not raised:
            return function(*args, **options)
        with np.errstate(**{kind: OWN_ERRORS[kind] for kind in raised}):
            return function(*args, **options)

    return cast(Function, quiet)


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


def check_number(
    value: Any, name: str, allowed: str = "from 0 on", *, most: float = np.inf
) -> float:
    """A finite real number, ``"from 0 on"``, ``"larger than 0"`` or ``"of any sign"``; more words
    may follow, and the largest modulus does where it is given."""
    value = plain(value)
    if most < np.inf:
        allowed += f", of modulus up to {most:g}"
    if (
        not is_number(value)
        or not np.isfinite(float(value))
        or (value < 0 and not allowed.startswith("of any sign"))
        or (value == 0 and allowed.startswith("larger than 0"))
        or abs(value) > most
    ):
        raise ValueError(f"{name} is {value!r}, must be a number {allowed}".replace("\n", ""))
    return float(value)


def check_unmasked(value: Any, name: str) -> None:
    """ValueError for a masked array of NumPy with an entry that is masked: what stands below the
    mask would count."""
    masked = int(np.ma.count_masked(value)) if isinstance(value, np.ma.MaskedArray) else 0
    if masked:
        raise ValueError(
            f"{name} is a masked array, {masked} of its {value.size} entries masked, must have a"
            " number everywhere, as filled(0) gives one"
        )


def check_array(value: Any, name: str, *, real: bool = False) -> NDArray[Any]:
    """An array of numbers (new where its type changes), complex or float; NaN and infinity pass."""
    check_unmasked(value, name)
    try:
        array = np.asarray(value)
        if array.dtype == object and array.size and all(map(is_number, array.flat)):
            array = array.astype(float)  # fractions
    except ValueError:
        raise ValueError(
            f"{name} has rows of different lengths, must be an array of numbers"
        ) from None
    except (OverflowError, RuntimeError, TypeError) as error:  # too large; a tensor with gradients
        raise ValueError(f"{name} is {_article(value)} that is no array: {error}") from None
    if array.dtype.kind not in ("iuf" if real else "iufc"):
        kind = f"type {array.dtype}" if isinstance(value, np.ndarray) else _article(value)
        raise ValueError(f"{name} is {kind}, must be {'real ' if real else ''}numbers")
    return array.astype(complex if array.dtype.kind == "c" else float, copy=False)


def check_finite(values: Any, name: str) -> None:
    """ValueError for an array, dense or sparse, with an entry that is infinite or not a number: the
    first one and where it stands, counted from 0."""
    flat = values.data if hasattr(values, "nnz") else np.asarray(values)
    bad = ~np.isfinite(flat)
    if not bad.any():
        return
    if hasattr(values, "nnz"):
        entries = values.tocoo()
        k = int(np.flatnonzero(~np.isfinite(entries.data))[0])
        value, where = entries.data[k], [int(axis[k]) for axis in (entries.row, entries.col)]
    else:
        where = np.argwhere(bad)[0].tolist()
        value = flat[tuple(where)]
    place = f"entry {where[0]}" if len(where) == 1 else f"entry {tuple(where)}" if where else "it"
    raise ValueError(
        f"{name} has entries that are infinite or not a number: {place}, counted from 0, is"
        f" {value.item():g}"
    )


def named_values(text: str, what: str) -> dict[str, str]:
    """The texts of key=value,key=value by their keys; ValueError, which calls the whole `what`, for
    a part without = and a key that stands twice."""
    found: dict[str, str] = {}
    for part in text.split(","):
        key, sign, value = (word.strip() for word in part.partition("="))
        if not (key and sign):
            raise ValueError(f"{what}: {part.strip()!r} is not key=value")
        if key in found:
            raise ValueError(f"{what}: {key} stands there twice; give it once")
        found[key] = value
    return found


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
    """The entries of a sequence or array, `plain`; nothing for a text or anything else."""
    value = plain(value)
    sequence = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    return tuple(map(plain, value)) if sequence else ()


def check_callable(value: Any, name: str) -> None:
    """None, or something that can be called."""
    if not (value is None or callable(value)):
        given = repr(value) if is_number(value) or isinstance(value, str) else _article(value)
        raise ValueError(f"{name} is {given}, must be callable")


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
    check_unmasked(given, name)
    try:
        vector = np.asarray(given)
    except ValueError:  # rows of different lengths
        vector = np.asarray(None)
    if vector.shape == () and vector.dtype == object:  # a sparse array too
        raise ValueError(f"{name} is {_article(given)}, must be an array of shape ({n},)")
    if vector.shape not in ((n,), (n, 1)):
        several = vector.ndim == 2 and vector.shape[0] == n
        one = "; give one column at a time" if several else ""
        raise ValueError(f"{name} has shape {vector.shape}, must be ({n},){one}")
    if (
        vector.dtype.kind not in "biufc"
        or np.promote_types(vector.dtype, dtype).name not in FLOATING
    ):
        raise ValueError(f"{name} has type {vector.dtype}, must be real or complex floating")
    vector = vector.reshape(n).astype(np.promote_types(vector.dtype, dtype), copy=finite)
    if finite:
        check_finite(vector, name)
    return vector


def on_grid(
    function: Callable[..., Any], x: Sequence[NDArray[Any]], shape: Sequence[int], name: str
) -> NDArray[np.float64]:
    """The real values of a function of the coordinates, one array per axis, broadcast to the
    shape."""
    values = function(*x)
    check_unmasked(values, name)
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name} gives values of type {values.dtype}, must be real")
    try:
        return np.broadcast_to(values.astype(float), tuple(shape))
    except ValueError:
        raise ValueError(
            f"{name} gives values of shape {values.shape} on a grid of shape {tuple(shape)}"
        ) from None
