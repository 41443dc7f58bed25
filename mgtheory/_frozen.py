"""Arrays of frozen dataclasses that cannot be written to, not even after pickling and copying,
which both give writable arrays."""

from __future__ import annotations

from typing import Any

import numpy as np


class ReadOnlyArrays:
    """Base of a frozen dataclass: its arrays are read-only views.

    The caller's own arrays stay writable. Subclasses with a `__post_init__` of their own call this
    one last.

    Examples
    --------
    >>> import copy
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Values(ReadOnlyArrays):
    ...     x: np.ndarray
    >>> copy.deepcopy(Values(np.ones(2))).x.flags.writeable
    False
    """

    def __post_init__(self) -> None:
        self.__setstate__(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        views = {name: v.view() for name, v in state.items() if isinstance(v, np.ndarray)}
        for view in views.values():
            view.flags.writeable = False
        self.__dict__.update({**state, **views})
