"""How the kernels are compiled: by numba, and kept on disk for the next process where there is a
place for them. Nothing but speed depends on either."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from numba import config, njit
from numba.core.caching import FunctionCache

# fused multiply-add and vector sums, nothing that changes NaN or infinity
REORDERED = {"contract", "reassoc", "nsz"}
# numba then leaves functions as they are, for debuggers and coverage
IN_PYTHON = bool(getattr(config, "DISABLE_JIT", False))


_told: set[str] = set()  # a process warns once


def _not_kept(error: Exception) -> None:
    text = (
        "the compiled kernels are not kept, every process compiles them anew (about a minute):"
        f" {error}; NUMBA_CACHE_DIR names a folder that is writable"
    )
    if not _told:
        _told.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=2)


@contextlib.contextmanager
def _tolerated() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # a full disk, a folder of another user
        _not_kept(error)


class KernelCache(FunctionCache):
    """numba's cache on disk, which numba lets stop a program: here a kernel that cannot be read is
    compiled, and one that cannot be written is compiled again by the next process."""

    def load_overload(self, sig, target_context):
        """The compiled kernel, or None."""
        with _tolerated():
            try:
                return super().load_overload(sig, target_context)
            except OSError:
                raise
            except Exception:  # a file cut off: unpickling it fails in a dozen ways
                self.flush()
        return None

    def save_overload(self, sig, data):
        """Keep a compiled kernel, if that is possible."""
        with _tolerated():
            super().save_overload(sig, data)


if IN_PYTHON:
    warnings.warn(
        "NUMBA_DISABLE_JIT is set: the kernels run in Python, about a thousand times slower",
        RuntimeWarning,
        stacklevel=2,
    )


def compiler(**options: Any) -> Callable[[Any], Any]:
    """A decorator that compiles a kernel; `options` are numba's."""

    def decorate(function: Any) -> Any:
        if IN_PYTHON:
            return function
        made = njit(nogil=True, fastmath=REORDERED, error_model="numpy", **options)(function)
        try:
            # numba's own, of cache=True, would raise here
            made._cache = KernelCache(function)
        except RuntimeError as error:  # there is no folder that may be written
            _not_kept(error)
        return made

    return decorate


compiled = compiler(forceinline=True)  # a part of the kernel that calls it
planewise = compiler()  # a function of its own, called for each plane
