"""The runs of a study on Slurm: queued once, as one array, and waited for; a later call queues what
is missing alone.

`out/jobs.json` says which job a run had last. `out/jobs` has the script and the list of runs of
every array, and a log for each of its jobs.

This is no work for submitit, which earlier versions used: it finds the end of a job through `sacct`
alone, leaves the training wherever it is when a signal comes, so that what was computed since the
last checkpoint is lost, queues again three times at most, and tells failures as tracebacks.
"""

import shlex
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymgnet.console import Step, silent, write_json
from polymgnet.errors import Failure, Stopped
from polymgnet.study import queue
from polymgnet.study.job import AGAIN
from polymgnet.study.plan import KINDS, Study
from polymgnet.study.rows import alone
from polymgnet.study.run import Run, outcome
from polymgnet.wording import counted

POLL = 10.0  # seconds between two looks at the queue
SETTLED = 5.0  # seconds after which an end is one, and no step on the way back into the queue
LATE = 60.0  # seconds after which a shared file system shows what a job has written
PATIENCE = 900.0  # seconds without an answer of the controller
GRACE = 90.0  # seconds from the signal to the time limit, a quarter of it if that is less
# of [slurm], what is not sbatch's: what it must be, as types too
OWN: dict[str, tuple[str, tuple[type, ...]]] = {
    "setup": ("a list of shell commands", (list,)),
    "array_parallelism": ("how many jobs run at once", (int,)),
}
OF_SBATCH = "text, a number, true, false or a list of texts", (str, int, float, list)
SET_HERE = (
    *("array", "error", "input", "open_mode", "output", "parsable"),
    *("test_only", "wait", "wrap"),
)
LARGEST = 1000  # jobs of an array, where the cluster does not say
JOBS = "jobs.json"  # run -> its last job
JOBS_GO_ON = "the jobs go on; the same command waits for them, --cancel ends them"
SCRIPT = """\
#!/bin/bash
{setup}
# srun does not take this from sbatch by itself
[ -z "$SLURM_CPUS_PER_TASK" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
srun --unbuffered --kill-on-bad-exit=1 {python} -u -m polymgnet.study.job {book}
status=$?
if [ $status = {again} ]; then # saved before its time limit
    # not all of the array, whose number its last job has; and no end before it is ended
    if scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"; then sleep 60; fi
    echo "polymgnet: saved before its time limit, but Slurm does not queue the job again" >&2
fi
exit $status
"""


def run_slurm(study: Study, *, poll: float | None = None, report: Step = silent) -> dict[str, str]:
    """Queue what is missing and wait; jobs that an earlier call queued and that are still on their
    way are waited for, not doubled. Returns name -> reason of the runs that failed.

    Parameters
    ----------
    poll
        Seconds between two looks at the queue.

    Raises
    ------
    ValueError
        No Slurm here, or [slurm] asks for what it does not know or have: nothing was queued.
    Stopped
        SIGTERM or SIGUSR1 came: the jobs go on.
    """
    queue.check_here()
    runs = {run.folder.name: run for run in study.missing}
    options = {devices: _options(study.slurm, devices) for devices in _alike(runs.values())}
    for given in options.values():
        queue.check(_for_sbatch(given))
    waiting = _submit(study, runs, options, report)
    return _wait(study, runs, waiting, POLL if poll is None else poll, report)


def _submit(
    study: Study,
    runs: Mapping[str, Run],
    options: Mapping[tuple[int, int], Mapping[str, Any]],
    report: Step,
) -> dict[str, str]:
    """Run -> the job that it has now, queued where it had none on its way."""
    scripts = study.out / "jobs"
    with _book(study) as book:
        states = queue.states([book[name] for name in runs if name in book], scripts)
        waiting = {name: book[name] for name in runs if _on_its_way(states, book.get(name))}
        done = len(study.runs) - len(runs)
        report(done, "")
        new = [run for name, run in runs.items() if name not in waiting]
        if again := [run.folder.name for run in new if run.folder.name in book]:
            first = queue.end_of(book[again[0]], scripts).text(_log(study, book[again[0]]))
            report(
                done, finished=f"queued again: {counted(len(again), 'run')}, {again[0]}: {first}"
            )
        for devices, alike in _alike(new).items():
            for some, job in _queued(study, alike, options[devices]):
                waiting |= {run.folder.name: f"{job}_{k}" for k, run in enumerate(some)}
                book |= waiting
                write_json(study.out / JOBS, book)
    return waiting


def _wait(
    study: Study, runs: Mapping[str, Run], waiting: dict[str, str], poll: float, report: Step
) -> dict[str, str]:
    """Look at the jobs every `poll` seconds until all have ended, each of which leaves `waiting`;
    name -> reason of the runs that failed."""
    from nets.training.signals import StopRequest

    failed: dict[str, str] = {}
    seen: dict[str, float] = {}  # run -> when its job was first seen to have ended
    answered = time.monotonic()
    done = len(study.runs) - len(runs)
    with StopRequest() as asked:
        while waiting:
            try:
                ends, said = _ends(study, waiting)
                answered = time.monotonic()
                seen = {name: when for name, when in seen.items() if name in ends}
            except queue.Unreachable as error:
                ends, said = {}, "Slurm does not answer"
                if time.monotonic() - answered > PATIENCE:
                    raise Failure(f"{error}, for {PATIENCE:.0f} s now; {JOBS_GO_ON}") from None
            for name, end in ends.items():
                since = time.monotonic() - seen.setdefault(name, time.monotonic())
                if not _is_over(runs[name], end, since):
                    continue
                with study.attempt(runs[name], failed):
                    if not runs[name].finished:
                        raise error_of(end, _log(study, waiting[name]))
                del waiting[name]
                done += 1
                report(done, finished=outcome(runs[name], failed))
            report(done, said if waiting else "")
            _pause(poll if waiting else 0.0, asked)
    return failed


def _ends(study: Study, waiting: Mapping[str, str]) -> tuple[dict[str, queue.End], str]:
    """How the jobs ended that are not on their way any more, and in words where the others are."""
    scripts = study.out / "jobs"
    states = queue.states(waiting.values(), scripts)
    said = _told(states[job] for job in waiting.values() if job in states)
    gone = {name: job for name, job in waiting.items() if not _on_its_way(states, job)}
    ends = {name: queue.end_of(job, scripts) for name, job in gone.items()}
    # some were queued again between the two looks
    return {name: end for name, end in ends.items() if end.state not in queue.ON_ITS_WAY}, said


def _is_over(run: Run, end: queue.End, since: float) -> bool:
    """Whether the job of a run, which was first seen to have ended `since` seconds ago, stays so:
    what one on another machine wrote is seen later than its end."""
    patience = LATE if end.state in ("COMPLETED", queue.UNKNOWN) else SETTLED
    return run.finished or since >= patience


def _pause(seconds: float, asked: Any) -> None:
    """Sleep for so long; Stopped as soon as a signal has come."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if asked():
            raise Stopped(f"stopped as asked: {JOBS_GO_ON}", asked.signal)
        time.sleep(min(left, 0.2))


@dataclass(frozen=True)
class Standing:
    """Where one run of a study stands.

    Attributes
    ----------
    state
        finished, diverged, begun, not begun, failed, or its job's state as Slurm has it.
    about
        Why it waits, how far it is, or how its last job ended.
    """

    run: str
    state: str
    about: str = ""
    job: str | None = None
    log: Path | None = None


def standing(study: Study) -> list[Standing]:
    """Where every run stands, by its row, its folder and, where it has a job, Slurm; nothing is
    changed."""
    book = _read(study)
    missing = {run.folder.name for run in study.missing}
    known = study.rows.known if study.rows else {}
    asked = {name: job for name, job in book.items() if name in missing}
    if asked:
        queue.check_here()
    states = queue.states(asked.values(), study.out / "jobs")
    found = []
    for run in study.runs:
        name, job = run.folder.name, asked.get(run.folder.name)
        log = _log(study, job) if job else None
        if name not in missing:
            row = known.get(run.digest, {})
            found.append(Standing(name, "diverged" if "diverged" in row else "finished"))
        elif job and log and _on_its_way(states, job):
            state, reason = states[job]
            why = "" if reason == "None" else reason
            found.append(Standing(name, state.lower(), why or _epochs(run), job, log))
        elif job and log:
            found.append(
                Standing(name, "failed", queue.end_of(job, log.parent).text(log), job, log)
            )
        else:
            epochs = _epochs(run)
            found.append(Standing(name, "begun" if epochs else "not begun", epochs))
    return found


def cancel(study: Study) -> list[str]:
    """The jobs of a study that were on their way and are ended: those that run save first."""
    if not (study.out / JOBS).is_file():  # nothing is made where nothing was submitted
        return []
    with _book(study) as book:
        missing = {run.folder.name for run in study.missing}
        asked = {name: job for name, job in book.items() if name in missing}
        if not asked:
            return []
        queue.check_here()
        states = queue.states(asked.values(), study.out / "jobs")
        jobs = [job for job in asked.values() if _on_its_way(states, job)]
        queue.cancel(jobs)
    return jobs


def _on_its_way(states: Mapping[str, tuple[str, str]], job: str | None) -> bool:
    return job is not None and job in states and states[job][0] in queue.ON_ITS_WAY


def _told(states: Iterator[tuple[str, str]]) -> str:
    """How many jobs are in which state, and what those that wait are waiting for."""
    found = list(states)
    waits = sorted({reason for state, reason in found if state == "PENDING"} - {"None"})
    counts: dict[str, int] = {}
    for state, _ in found:
        counts[state] = counts.get(state, 0) + (state in queue.ON_ITS_WAY)
    words = [f"{count} {state.lower()}" for state, count in sorted(counts.items()) if count]
    return ", ".join(words) + (f" ({', '.join(waits)})" if waits else "")


def _epochs(run: Run) -> str:
    """How many epochs a run has behind it; empty where it has none."""
    try:
        lines = (run.folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return f"{len(lines) - 1} of {run.train_config.train.epochs} epochs" if len(lines) > 1 else ""


def error_of(end: queue.End, log: Path) -> Exception:
    """What a job's end is told by: a loss that was not finite as such, which gives a row."""
    text = end.text(log)
    lost = queue.last_line(log).text
    if lost.startswith("FloatingPointError: "):
        return FloatingPointError(lost.partition(": ")[2])
    return Failure(text)


def _log(study: Study, job: str) -> Path:
    return study.out / "jobs" / f"{job}.log"


def _alike(runs: Iterable[Run]) -> dict[tuple[int, int], list[Run]]:
    """(processes on a machine, machines) -> the runs of so many, which one array can have."""
    found: dict[tuple[int, int], list[Run]] = {}
    for run in runs:
        found.setdefault(run.devices, []).append(run)
    return found


def _options(given: Mapping[str, Any], devices: tuple[int, int]) -> dict[str, Any]:
    """[slurm] and what follows from the number of devices, as options of sbatch and those of `OWN`;
    ValueError for a key that is set here or a value that an option cannot have."""
    options = {key.replace("-", "_"): value for key, value in given.items()}
    for key, value in options.items():
        if key in SET_HERE:
            raise ValueError(f"slurm.{key} is given, but the study sets it; take it out")
        allowed, kinds = OWN.get(key, OF_SBATCH)
        items = value if isinstance(value, list) else []
        if not isinstance(value, kinds) or not all(isinstance(item, str) for item in items):
            raise ValueError(f"slurm.{key} is {value!r}, must be {allowed}")
    processes, nodes = devices
    options |= {"nodes": nodes} if nodes > 1 else {}
    options |= {"ntasks_per_node": processes} if processes * nodes > 1 else {}
    if not options.pop("requeue", True):
        return options | {"no_requeue": True}
    return options | {"requeue": True}


def _for_sbatch(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in OWN}


def _queued(
    study: Study, runs: Sequence[Run], options: Mapping[str, Any]
) -> Iterator[tuple[Sequence[Run], str]]:
    """(runs, the number of their array): one array, cut where the cluster has smaller ones."""
    from mgtheory._files import write_atomically

    folder = (study.out / "jobs").absolute()
    kind = next(name for name, one in KINDS.items() if type(runs[0]) is one)
    limit, _ = queue.limit_of(options)
    grace = GRACE if limit is None else min(GRACE, limit / 4)
    ours = {"signal": f"USR1@{grace:.0f}", "job_name": f"polymgnet-{study.out.name}"}
    given = ours | _for_sbatch(options)
    given |= {"open_mode": "append", "output": str(folder).replace("%", "%%") + "/%A_%a.log"}
    at_once = f"%{options['array_parallelism']}" if "array_parallelism" in options else ""
    largest = _largest_array()
    for k in range(0, len(runs), largest):
        some = runs[k : k + largest]
        name = folder / uuid.uuid4().hex[:12]
        book, script = name.with_suffix(".json"), name.with_suffix(".sh")
        write_json(book, {"kind": kind, "runs": [run.described() for run in some]})
        words = {"python": shlex.quote(sys.executable), "book": shlex.quote(str(book))}
        setup = "\n".join(options.get("setup", []))
        write_atomically(script, SCRIPT.format(setup=setup, again=AGAIN, **words))
        try:
            yield some, queue.submit(script, given | {"array": f"0-{len(some) - 1}{at_once}"})
        except queue.Refused as error:
            raise Failure(f"sbatch queued nothing: {error}") from None


def _largest_array() -> int:
    """How many jobs an array can have here."""
    for line in queue.call("scontrol", "show", "config").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize" and value.strip().isdecimal():
            return max(1, int(value))
    return LARGEST


@contextmanager
def _book(study: Study) -> Iterator[dict[str, str]]:
    """Run -> its last job, which no other process reads or writes within."""
    study.out.mkdir(parents=True, exist_ok=True)
    with (study.out / ".jobs.lock").open("w") as lock, alone(lock):
        yield _read(study)


def _read(study: Study) -> dict[str, str]:
    from mgtheory._files import read_json

    path = study.out / JOBS
    return read_json(path, "list of a study's jobs") if path.is_file() else {}
