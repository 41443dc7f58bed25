"""The runs of a study on this machine: in turn or side by side in worker processes, stopped as a
whole with every state saved."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from polymgnet.console import Step, silent
from polymgnet.errors import Stopped
from polymgnet.packages import prefer_own
from polymgnet.study.plan import Study
from polymgnet.study.run import Run, outcome

LOOK = 0.2  # seconds between two looks at whether a signal came


def run_local(study: Study, *, jobs: int = 1, report: Step = silent) -> dict[str, str]:
    """Train what is missing here, in turn or in `jobs` processes that share the cores; returns name
    -> reason of the runs that failed.

    Stopped, with its number, where SIGTERM or SIGUSR1 came to this process or a worker: every run
    on its way has saved its state. Workers whose study was killed save and end by themselves.
    """
    from nets.training.run import StopRequest

    failed: dict[str, str] = {}
    missing = study.missing
    done = len(study.runs) - len(missing)
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


# (the run that has ended, "") or (None, what is being done)
Progress = Iterator[tuple[Run | None, str]]


def _in_turn(
    study: Study,
    runs: Sequence[Run],
    failed: dict[str, str],
    asked: Callable[[], bool],
    report: Callable[[str], None],
) -> Progress:
    """The runs one after another in this process, `report` called after every epoch."""
    for run in runs:
        if asked():
            raise Stopped
        yield None, run.folder.name
        with study.attempt(run, failed):
            run(report=report)
        yield run, ""


def _side_by_side(
    study: Study,
    runs: Sequence[Run],
    failed: dict[str, str],
    asked: Callable[[], bool],
    jobs: int,
) -> Progress:
    """The runs in worker processes, `jobs` at a time."""
    import multiprocessing
    from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait

    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")
    # asks all workers to stop; without a lock, because signal handlers write it
    flag = context.RawValue("b", 0)
    with ProcessPoolExecutor(
        jobs, mp_context=context, initializer=_start_worker, initargs=(threads, flag)
    ) as pool:
        futures = {pool.submit(_work, run): run for run in runs}
        left = set(futures)
        try:
            while left:
                done, left = wait(left, timeout=LOOK, return_when=FIRST_COMPLETED)
                flag.value |= asked()
                for future in done:
                    with study.attempt(futures[future], failed):
                        future.result()
                    yield futures[future], ""
                yield None, f"{min(jobs, len(left))} on their way" if left else ""
        except BaseException:
            flag.value = 1
            pool.shutdown(wait=True, cancel_futures=True)
            raise


_flag: Any = None  # in a worker: the byte that says to stop
_busy = threading.Lock()  # in a worker: held while it trains


def _start_worker(threads: int, flag: Any) -> None:
    """The worker's share of the cores, what a signal to it does between runs, and its end."""
    global _flag
    prefer_own()
    import torch

    torch.set_num_threads(threads)
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
        run(stop=lambda: bool(_flag.value))
