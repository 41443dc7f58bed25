"""The runs of a study on this machine: in turn or side by side in worker processes, stopped as a
whole with every state saved."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from polymgnet.console import Step, silent
from polymgnet.errors import Failure, Stopped
from polymgnet.packages import prefer_own
from polymgnet.study.plan import Study
from polymgnet.study.run import Run, outcome

LOOK = 0.2  # seconds between two looks at whether a signal came
BUSY = "another process trains it, which is waited for"


def run_local(study: Study, *, jobs: int = 1, report: Step = silent) -> dict[str, str]:
    """Train what is missing here, in turn or in `jobs` processes that share the cores; returns name
    -> reason of the runs that failed.

    ValueError, and nothing is trained, where a run of several devices were to be one of several
    `jobs`. Stopped, with its number, where SIGTERM or SIGUSR1 came to this process or a worker:
    every run on its way has saved its state. Workers whose study was killed save and end by
    themselves.
    """
    from nets.training.signals import StopRequest

    failed: dict[str, str] = {}
    missing = study.missing
    done = len(study.runs) - len(missing)
    if jobs > 1 and (wide := [run.folder.name for run in missing if not run.alone]):
        raise ValueError(
            f"jobs is {jobs}, but {wide[0]} has several devices, for each of which the whole study"
            " is begun again; take 1, or train it alone first"
        )
    report(done, "")
    with StopRequest() as asked:
        try:
            if jobs == 1:
                turns = _in_turn(study, missing, failed, asked, lambda text: report(done, text))
            else:
                turns = _side_by_side(study, missing, failed, asked, jobs)
            for ended, text in turns:
                if ended is None:
                    report(done, text)
                elif text:
                    report(done, finished=f"{ended.folder.name}: {text}")
                else:
                    done += 1
                    report(done, finished=outcome(ended, failed))
        except Stopped:
            finished = f"{len(study.runs) - len(study.missing)} of {len(study.runs)} runs"
            raise Stopped(
                f"stopped as asked: {finished} are finished, the states of those on their way are"
                " saved; the same command goes on",
                asked.signal or signal.SIGTERM,
            ) from None
    return failed


# (the run that has ended, ""), (a run, what happened to it) or (None, what is being done)
Progress = Iterator[tuple[Run | None, str]]


def _in_turn(
    study: Study,
    runs: Sequence[Run],
    failed: dict[str, str],
    asked: Callable[[], bool],
    report: Callable[[str], None],
) -> Progress:
    """The runs one after another in this process, `report` called after every epoch. Failure where
    one of several processes of a run fails: the others wait for it there, and would meet it in the
    next run. A loss that is not finite they all find."""
    from nets.training.folder import Busy
    from nets.training.launch import joined

    left, waiting = deque(runs), set[Path]()
    while left:
        run = left.popleft()
        if asked():
            raise Stopped
        yield None, run.folder.name
        try:
            with study.attempt(run, failed):
                if not run.finished:  # by another study, by now
                    run(report=report)
            yield run, ""
        except Busy:
            if joined():
                raise
            yield from _put_off(run, left, waiting)
        why = failed.get(run.folder.name, "")
        if why and joined() and not why.startswith("FloatingPointError: "):
            raise Failure(f"{run.folder.name} failed: {why}; the same command goes on")


def _put_off(run: Run, left: deque[Run], waiting: set[Path]) -> Progress:
    """A run that another process trains comes last; that is said once."""
    left.append(run)
    if run.folder not in waiting:
        yield run, BUSY
    waiting.add(run.folder)
    time.sleep(LOOK)


def _side_by_side(
    study: Study,
    runs: Sequence[Run],
    failed: dict[str, str],
    asked: Callable[[], bool],
    jobs: int,
) -> Progress:
    """The runs in worker processes, `jobs` at a time. Each worker has a pool of its own, which its
    death breaks; the run that it took along is tried once more."""
    import multiprocessing
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool

    from nets.training.folder import Busy

    workers = min(jobs, len(runs))
    context = multiprocessing.get_context("spawn")
    # asks all workers to stop; without a lock, because signal handlers write it
    flag = context.RawValue("b", 0)

    def worker() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1, mp_context=context, initializer=_start_worker, initargs=(workers, flag)
        )

    left, lost, waiting = deque(runs), set[Path](), set[Path]()
    idle = [worker() for _ in range(workers)]
    training: dict[Future[None], tuple[Run, ProcessPoolExecutor]] = {}
    try:
        while left or training:
            while left and idle:
                run, pool = left.popleft(), idle.pop()
                try:
                    future = pool.submit(_work, run)
                except BrokenProcessPool:  # killed while it waited for a run
                    pool = worker()
                    future = pool.submit(_work, run)
                training[future] = run, pool
            if asked():  # a worker may write the flag too: it is never set back
                flag.value = 1
            for future in wait(training, timeout=LOOK, return_when=FIRST_COMPLETED).done:
                run, pool = training.pop(future)
                died = isinstance(future.exception(), BrokenProcessPool)
                idle.append(worker() if died else pool)
                if died and run.folder not in lost:
                    lost.add(run.folder)
                    left.append(run)
                    yield run, "its process was killed; it is tried again"
                    continue
                try:
                    with study.attempt(run, failed):
                        if died:
                            raise Failure("its process was killed twice, as for want of memory")
                        future.result()
                    yield run, ""
                except Busy:
                    yield from _put_off(run, left, waiting)
            yield None, f"{len(training)} on their way" if training else ""
    finally:
        if training:
            flag.value = 1
        for pool in (*idle, *(pool for _, pool in training.values())):
            pool.shutdown(wait=True, cancel_futures=True)


_flag: Any = None  # in a worker: the byte that says to stop
_busy = threading.Lock()  # in a worker: held while it trains


def _start_worker(workers: int, flag: Any) -> None:
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
    import multiprocessing

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
