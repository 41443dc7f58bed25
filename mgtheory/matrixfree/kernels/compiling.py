"""How the kernels are compiled: by numba, and kept on disk for the next process where there is a
place for them. Nothing but speed depends on either."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import contextlib
import functools
import hashlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from numba import config, njit, types
from numba.core import event
from numba.core.caching import FunctionCache, IndexDataCacheFile

# fused multiply-add and vector sums, nothing that changes NaN or infinity
REORDERED = {"contract", "reassoc", "nsz"}
CONSTANTS = ("tables.py", "threads.py")  # files of the package that kernels take constants from
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


@functools.cache
def _stamp(folder: Path) -> str:
    """What the kernels of a folder are made of: its sources, and the constants from elsewhere."""
    own = Path(__file__).resolve()
    sources = [*sorted(folder.glob("*.py")), own, *(own.parents[1] / n for n in CONSTANTS)]
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()


class KernelCache(FunctionCache):
    """numba's cache on disk, which numba lets stop a program: here a kernel that cannot be read is
    compiled, and one that cannot be written is compiled again by the next process.

    What is kept belongs to the text of all kernels, since they are compiled into each other. numba
    asks for the file's time, which another checkout or version changes where the text is the same,
    and for that of one file alone.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        folder = Path(function.__code__.co_filename).resolve().parent
        base = self._impl.filename_base
        self._cache_file = IndexDataCacheFile(self._cache_path, base, _stamp(folder))

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


class _Listener(event.Listener):
    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell

    def on_start(self, event):
        self.tell(event.data["dispatcher"].py_func.__name__)

    def on_end(self, event):
        """Nothing: what ends is what began."""


@contextlib.contextmanager
def watched(tell: Callable[[str], None]) -> Iterator[None]:
    """tell(name) is called before each function that is compiled, not where it is read from
    disk."""
    with event.install_listener("numba:compile", _Listener(tell)):
        yield


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
        template = made.get_call_template

        def unliteral(args, kws):
            return template(tuple(map(types.unliteral, args)), kws)

        # else a call with 0 or True in it compiles another one
        made.get_call_template = unliteral
        try:
            # numba's own, of cache=True, would raise here
            made._cache = KernelCache(function)
        except RuntimeError as error:  # there is no folder that may be written
            _not_kept(error)
        return made

    return decorate


INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # called by kernels alone
compiled = compiler(forceinline=True, **INNER)  # a part of the kernel that calls it
planewise = compiler(**INNER)  # a function of its own, called for each plane
entry = compiler()  # what Python calls
