"""Numbers and tables as text: markdown with aligned columns, six significant digits, complex
numbers as a ± bi."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

__all__ = ["filled", "markdown", "number"]


def number(value: Any, *, digits: int = 4) -> str:
    """A number for reading: `digits` significant digits, ∞ for infinity, empty for None or not a
    number; text as it is."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return ""
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:d}"
    z = complex(value)
    if math.isinf(z.real) or math.isinf(z.imag):
        return "∞"
    if z.imag:
        return f"{z.real:.{digits}g}{'+' if z.imag > 0 else '−'}{abs(z.imag):.{digits}g}i"
    return f"{z.real:.{digits}g}"


def filled(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the columns that say nothing in any row."""
    return table[[name for name in table.columns if any(number(value) for value in table[name])]]


def markdown(table: pd.DataFrame) -> str:
    """A markdown table with columns padded to one width, numbers to the right."""
    header = [str(name).replace("_", " ") for name in table.columns]
    cells = [
        [number(value).replace("|", "\\|") for value in row]
        for row in table.itertuples(index=False, name=None)
    ]
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table.columns]
    widths = [max(3, *(len(row[k]) for row in [header, *cells])) for k in range(len(header))]

    def line(row: list[str]) -> str:
        return (
            "| "
            + " | ".join(
                t.rjust(w) if right else t.ljust(w) for t, w, right in zip(row, widths, numeric)
            )
            + " |"
        )

    rule = (
        "|"
        + "|".join("-" * (w + 1) + (":" if right else "-") for w, right in zip(widths, numeric))
        + "|"
    )
    return "\n".join([line(header), rule, *map(line, cells)])
