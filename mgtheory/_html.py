"""Tables for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def html_table(
    head: Sequence[str], rows: Iterable[Sequence[Any]], below: Sequence[str] = ()
) -> str:
    """An HTML table, None as a dash, with lines of text below it."""

    def line(cells: Sequence[Any], tag: str) -> str:
        shown = ("–" if cell is None else escape(str(cell)) for cell in cells)
        return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in shown)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table>{line(head, 'th')}{body}</table><p>{'<br>'.join(map(escape, below))}</p>"
