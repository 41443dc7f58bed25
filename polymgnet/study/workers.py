"""Worker processes that train the runs of a study on this machine, and what happens within one."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from polymgnet.errors import Stopped
from polymgnet.packages import prefer_own
from polymgnet.study.run import Run


class Workers:
    """So many worker processes, each in a pool of its own, which its death breaks; left, they save
    and end.

    Attributes
    ----------
    idle
        The pools that wait for a run.
    training
        What is on its way -> its run, and the pool that has it.
    """

    def __init__(self, count: int) -> None:
        self._count, self._context = count, multiprocessing.get_context("spawn")
        # asks all workers to stop; without a lock, because signal handlers write it
        self._flag = self._context.RawValue("b", 0)
        self.idle = [self._worker() for _ in range(count)]
        self.training: dict[Future[None], tuple[Run, ProcessPoolExecutor]] = {}

    def _worker(self) -> ProcessPoolExecutor:
        shared: dict[str, Any] = {"initializer": _start, "initargs": (self._count, self._flag)}
        return ProcessPoolExecutor(1, mp_context=self._context, **shared)

    def begin(self, run: Run) -> None:
        """Give a run to a worker that is idle."""
        pool = self.idle.pop()
        try:
            future = pool.submit(_work, run)
        except BrokenProcessPool:  # killed while it waited for a run
            pool = self._worker()
            future = pool.submit(_work, run)
        self.training[future] = run, pool

    def stop(self) -> None:
        """Ask all to save and stop. A worker may ask for it too: it is never taken back."""
        self._flag.value = 1

    def ended(self, seconds: float) -> Iterator[tuple[Run, Future[None], bool]]:
        """(a run, how it ended, whether its process died) of those that ended within so many
        seconds; the first to end is waited for alone."""
        for future in wait(self.training, timeout=seconds, return_when=FIRST_COMPLETED).done:
            run, pool = self.training.pop(future)
            died = isinstance(future.exception(), BrokenProcessPool)
            self.idle.append(self._worker() if died else pool)
            yield run, future, died

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *raised: object) -> None:
        if self.training:
            self.stop()
        for pool in (*self.idle, *(pool for _, pool in self.training.values())):
            pool.shutdown(wait=True, cancel_futures=True)


_flag: Any = None  # in a worker: the byte that says to stop
_busy = threading.Lock()  # in a worker: held while it trains


def _start(workers: int, flag: Any) -> None:
    """The worker's share of the threads that torch takes here (by OMP_NUM_THREADS, else the cores
    that the process may use), what a signal to it does between runs, and its end."""
    global _flag
    prefer_own()
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    _flag = flag
    for number in (signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])):
        signal.signal(number, lambda *_: setattr(flag, "value", 1))
    # a terminal's Ctrl-C reaches the study too, which tells its workers to save
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_study, daemon=True).start()


def _end_with_study() -> None:
    """When the study is gone (killed), the run on its way saves and the worker ends."""
    study = multiprocessing.parent_process()
    if study is not None:
        study.join()
        _flag.value = 1
        with _busy:
            os._exit(1)


def _work(run: Run) -> None:
    with _busy:
        if _flag.value:
            raise Stopped("not begun")
        if not run.finished:  # by another study, by now
            run(stop=lambda: bool(_flag.value))
