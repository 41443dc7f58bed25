"""Numbers as short text and as JSON, in one spelling for reports, tables and the command."""

from __future__ import annotations

import cmath
import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any


def number(value: Any, digits: int = 4, *, missing: str = "") -> str:
    """A number for reading: `digits` significant digits, a±bi for a complex one, ∞ for infinity;
    text as it is.

    Parameters
    ----------
    missing
        What stands for None and for what is not a number.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return missing
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    z = complex(value)
    if cmath.isinf(z):
        return "−∞" if z.real == -math.inf else "∞"
    if z.imag:
        return f"{z.real:.{digits}g}{'+' if z.imag > 0 else '−'}{abs(z.imag):.{digits}g}i"
    return f"{z.real:.{digits}g}"


def plain(value: Any, *, infinite: bool = True) -> Any:
    """JSON-able twin of a value: complex -> [re, im], arrays -> lists, not a number -> null.

    An infinite root, which is a complex number, is null: its weight is 0.

    Parameters
    ----------
    infinite
        Whether infinite real numbers become the words "inf" and "-inf", or null too.

    Raises
    ------
    TypeError
        For an object that has no JSON form.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist(), infinite=infinite)
    if isinstance(value, complex):
        return [value.real, value.imag] if cmath.isfinite(value) else None
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return str(value) if infinite and math.isinf(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item, infinite=infinite) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, infinite=infinite) for item in value]
    if hasattr(value, "to_dict"):
        return plain(value.to_dict(), infinite=infinite)
    if is_dataclass(value):
        named = {field.name: getattr(value, field.name) for field in fields(value)}
        return plain(named, infinite=infinite)
    raise TypeError(f"no JSON form for {type(value).__name__}")


def heading(name: Any) -> str:
    """The name of a column in words; the letter of the smoothing factor as everywhere."""
    text = str(name).replace("_", " ")
    return f"µ{text[2:]}" if text.startswith("mu ") else text
