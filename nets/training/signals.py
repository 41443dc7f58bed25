"""Signals that ask a run to stop: noted, and looked at between steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def handled(names: Sequence[str], handler: Any) -> Iterator[dict[int, Any]]:
    """The handler of these signals within; yields those from before, which come back at the end.
    Python takes handlers in the main thread alone, elsewhere nothing is done."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in names:
            if number := getattr(signal, name, None):  # not every system has all
                before[number] = signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class StopRequest:
    """Notes SIGTERM and SIGUSR1; the loop looks at it between steps and does the saving, the
    handler does nothing else. `further` is asked as well.

    `signal` is the number of the signal that came, None where none did; a request around this one
    (`with` within `with`) notes it as well.
    """

    def __init__(self, further: Callable[[], bool] | None = None) -> None:
        self.signal: int | None = None
        self.further = further

    def __call__(self) -> bool:
        """Whether a signal came, or the further cause says so."""
        return self.signal is not None or (self.further is not None and self.further())

    def __enter__(self) -> StopRequest:
        self._handled = handled(("SIGTERM", "SIGUSR1"), self._note)
        self._before = self._handled.__enter__()
        return self

    def __exit__(self, *end: Any) -> None:
        self._handled.__exit__(*end)

    def _note(self, number: int, frame: object) -> None:
        self.signal = number
        around = getattr(self._before.get(number), "__self__", None)
        if isinstance(around, StopRequest):
            around._note(number, frame)
