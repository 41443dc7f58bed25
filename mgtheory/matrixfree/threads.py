"""Threads that share the sweeps of large grids: how many, and that each runs on a processor of its
own.

The threads wait without spinning, unlike OpenMP's: on a shared machine those cost more than they
bring. But a thread that wakes for a few milliseconds is often left on the processor of the thread
that woke it, where it gains nothing. Workers therefore keep off the processor of their caller, by
the affinity that Linux has for single threads; elsewhere they run where the system puts them.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from mgtheory._checks import check_whole


class Block(NamedTuple):
    """A thread's part of a sweep: the planes lo .. hi - 1, and the coarse planes j0 .. j1 - 1 that
    it restricts to."""

    lo: int
    hi: int
    j0: int
    j1: int


_last = threading.local()  # the processors a worker was given last


def thread_count(threads: int | None) -> int:
    """The number of blocks a large sweep is divided into: one for each processor this process may
    use by default."""
    if threads is not None:
        return check_whole(threads, "threads", 1)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_blocks(kernel: Callable[..., Any], blocks: Sequence[tuple[Any, ...]]) -> list[Any]:
    """[kernel(*block) for block in blocks], each in a thread; the caller's own takes the first."""
    if len(blocks) == 1 or not _threads_start():
        return [kernel(*block) for block in blocks]
    pool, elsewhere = _pool(len(blocks) - 1), _other_processors()
    others = [pool.submit(_run, kernel, block, elsewhere) for block in blocks[1:]]
    return [kernel(*blocks[0]), *(other.result() for other in others)]


def _run(kernel: Callable[..., Any], block: tuple[Any, ...], processors: frozenset[int]) -> Any:
    if processors and getattr(_last, "processors", None) != processors:
        _last.processors = processors
        # where a sandbox forbids it, threads run where they are put
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, processors)  # 0 is this thread
    return kernel(*block)


def _other_processors() -> frozenset[int]:
    """Those that the calling thread may use but does not run on; empty where nothing is known."""
    own = _getcpu()()
    return frozenset() if own < 0 else frozenset(os.sched_getaffinity(0)) - {own}


@functools.cache
def _getcpu() -> Callable[[], int]:
    """The C library's sched_getcpu, or -1 (unknown) where it or the affinity of threads does not
    exist."""
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(AttributeError, OSError):
            found: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
            return found
    return lambda: -1


@functools.cache
def _threads_start() -> bool:
    """Whether the system lets this process start a thread (some limit their number)."""
    try:
        thread = threading.Thread(target=bool)
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    return True


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="sweep")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
