"""The runs of a study on this machine: in turn or side by side in worker processes, stopped as a
whole with every state saved."""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from polymgnet.console import Step, silent
from polymgnet.errors import Failure, Stopped
from polymgnet.study.plan import Study
from polymgnet.study.run import Run, outcome
from polymgnet.wording import counted

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
            finished = (
                f"{len(study.runs) - len(study.missing)} of {counted(len(study.runs), 'run')}"
            )
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
    """The runs in worker processes, `jobs` at a time. The run that a worker's death took along is
    tried once more."""
    from nets.training.folder import Busy
    from polymgnet.study.workers import Workers

    left, lost, waiting = deque(runs), set[Path](), set[Path]()
    with Workers(min(jobs, len(runs))) as workers:
        while left or workers.training:
            while left and workers.idle:
                workers.begin(left.popleft())
            if asked():
                workers.stop()
            for run, future, died in workers.ended(LOOK):
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
            yield None, f"{len(workers.training)} on their way" if workers.training else ""
