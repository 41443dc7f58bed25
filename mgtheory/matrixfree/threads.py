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
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, NamedTuple

from mgtheory._checks import check_whole


class Block(NamedTuple):
    """A thread's part of a sweep: the planes lo .. hi - 1, and the coarse planes j0 .. j1 - 1 that
    it restricts to."""

    lo: int
    hi: int
    j0: int
    j1: int


def thread_count(threads: int | None) -> int:
    """The number of blocks a large sweep is divided into: one for each processor this process may
    use by default."""
    if threads is not None:
        return check_whole(threads, "threads", 1)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker:
    """A thread that runs one block at a time. A simple queue and a lock wake it and its caller: an
    executor's queue and futures take 0.05 ms longer, as long as a pass over 100,000 unknowns."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Any] = SimpleQueue()
        self._end = threading.Lock()
        self._end.acquire()
        self._ended: tuple[Any, BaseException | None] = None, None
        self._processors: frozenset[int] = frozenset()  # that it was given last
        self.left = False
        try:
            threading.Thread(target=self._serve, name="sweep", daemon=True).start()
        except BaseException:  # Ctrl-C may come when it runs already
            self.dismiss()
            raise

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                self._ended = self._run(*task), None
            except BaseException as error:
                self._ended = None, error
            del task  # holds the caller's arrays
            self._end.release()
        self.left = True

    def _run(
        self, kernel: Callable[..., Any], block: tuple[Any, ...], processors: frozenset[int]
    ) -> Any:
        if processors and self._processors != processors:
            self._processors = processors
            # where a sandbox forbids it, threads run where they are put
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, processors)  # 0 is this thread
        return kernel(*block)

    def begin(self, *task: Any) -> None:
        """Start kernel(*block) on one of some processors, on any if none is named."""
        self._tasks.put(task)

    def end(self) -> tuple[Any, BaseException | None]:
        """Wait; the result or the error."""
        self._end.acquire()
        ended, self._ended = self._ended, (None, None)
        return ended

    def dismiss(self) -> None:
        """Leave after the blocks that are begun."""
        self._tasks.put(None)


_idle: list[_Worker] = []  # callers in several threads have workers of their own


def _worker() -> _Worker:
    try:
        return _idle.pop()
    except IndexError:
        return _Worker()


def run_blocks(kernel: Callable[..., Any], blocks: Sequence[tuple[Any, ...]]) -> list[Any]:
    """[kernel(*block) for block in blocks], each in a thread; the caller's own takes the first.

    An exception, Ctrl-C too, leaves when no block is at work any more.
    """
    if len(blocks) == 1 or not _threads_start():
        return [kernel(*block) for block in blocks]
    elsewhere, workers = _other_processors(), list[_Worker]()
    try:
        for block in blocks[1:]:
            workers.append(_worker())
            workers[-1].begin(kernel, block, elsewhere)
        first = kernel(*blocks[0])
        ended = [worker.end() for worker in workers]
    except BaseException:
        _dismiss(workers)
        raise
    _idle.extend(workers)
    for _, error in ended:
        if error is not None:
            raise error
    return [first, *(result for result, _ in ended)]


def _dismiss(workers: list[_Worker]) -> None:
    """Wait until they have ended what they have begun, which writes to the caller's arrays, and
    have left: after Ctrl-C nobody knows which of them was begun, and whether its lock is taken."""
    try:
        for worker in workers:
            worker.dismiss()
        # an interrupted join of a thread takes it for ended
        while not all(worker.left for worker in workers):
            time.sleep(1e-3)
    except BaseException:  # Ctrl-C once more; the first one is on its way
        _dismiss(workers)


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


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # threads do not survive a fork
