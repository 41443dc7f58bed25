"""The progress of a run in a notebook: one bar that its front end draws anew in its place."""

from __future__ import annotations

import sys
import time
from html import escape
from importlib import import_module
from typing import Any

BETWEEN = 0.25  # seconds from one drawing of a bar to the next


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process: IPython in a terminal has no kernel."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class Bar:
    """Steps done of `total`, with the remaining time and a note; without ipywidgets, so that it
    stays in the notebook's file as it was at the end.

    It has the two methods of `rich.progress.Progress` that a run calls.
    """

    def __init__(self, total: int, done: int = 0) -> None:
        self.total, self.first, self.done, self.note = total, done, done, ""
        self.began = self.drawn = time.monotonic()
        # plain HTML: what a notebook's file keeps of it needs no program to be shown
        show: Any = import_module("IPython.display")
        self._html: Any = show.HTML
        self._handle: Any = show.display(show.HTML(self.html()), display_id=True)

    def html(self) -> str:
        """The bar as it is now."""
        here, spent = self.done - self.first, time.monotonic() - self.began
        left = f"{spent * (self.total - self.done) / here:.0f} s left" if here else ""
        ended = f"{spent:.0f} s" if self.done >= self.total else left
        words = [f"{self.done:,} of {self.total:,} steps", ended, escape(self.note)]
        bar = f'<progress max="{self.total}" value="{self.done}" style="width: 16em"></progress>'
        return f"<div>{bar} {', '.join(filter(None, words))}</div>"

    def advance(self, task: Any = None) -> None:
        """A step more."""
        self.done += 1
        if time.monotonic() - self.drawn >= BETWEEN:
            self.draw()

    def update(self, task: Any = None, *, note: str) -> None:
        """Another note."""
        self.note = note
        self.draw()

    def draw(self) -> None:
        """In the place of what was drawn before."""
        self.drawn = time.monotonic()
        self._handle.update(self._html(self.html()))
