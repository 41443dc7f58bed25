"""Slurm's own commands: submitting, looking, telling how a job ended, and cancelling.

`squeue` and `scontrol` answer everywhere; `sacct`, which needs a data base that many clusters do
not have, is asked last. All of them are told to speak English, and nothing that they print reaches
the user but in a line of ours.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymgnet.errors import Failure

NEEDED = ("sbatch", "squeue", "scontrol", "scancel", "srun")
UNKNOWN = "UNKNOWN"  # the state of a job that no command knows any more
# what a job is before its end; every other state of Slurm is an end
ON_ITS_WAY = frozenset(
    (
        *("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING"),
        *("STAGE_OUT", "RESIZING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"),
    )
)
# state -> what happened
ENDS = {
    "CANCELLED": "was cancelled",
    "COMPLETED": "ended without finishing its run",
    "FAILED": "failed",
    "NODE_FAIL": "lost its node",
    "OUT_OF_MEMORY": "was killed for want of memory: give [slurm] more mem",
    "PREEMPTED": "was preempted",
    "TIMEOUT": "reached its time limit",
    UNKNOWN: "is no longer known to Slurm",
}
WAIT = 60  # seconds for an answer of one command
MANY = 500  # jobs on one command line
OURS = "polymgnet: "
THEIRS = re.compile(r"^(srun|slurmstepd[^ ]*|sbatch|scontrol): ")
MEMORY = re.compile(r"oom.?kill|out of memory|exceeded (job )?memory limit", re.IGNORECASE)


class Unreachable(Failure):
    """The cluster's controller does not answer now; jobs that it has are not affected."""


class Refused(Failure):
    """A command of Slurm said no, in these words."""


@dataclass(frozen=True)
class End:
    """How a job ended: its state, and its exit code and signal where Slurm still knows them."""

    job: str
    state: str
    code: str = ""

    def text(self, log: Path) -> str:
        """One line: what happened, state, exit code, the log's last line, and where that is."""
        last, state = last_line(log), self.state
        if last.memory and state == "FAILED":  # as clusters without cgroups say it
            state = "OUT_OF_MEMORY"
        known = [] if self.state == UNKNOWN else [f"state {self.state}"]
        status, _, number = self.code.partition(":")
        known += [f"exit code {status}"] if status else []
        known += [f"signal {number}"] if number not in ("", "0") else []
        about = f" ({', '.join(known)})" if known else ""
        said = f"; last line: {last.text}" if last.text else ""
        where = f"; log {log}" if log.is_file() else "; it left no log"
        return f"job {self.job} {ENDS.get(state, 'ended')}{about}{said}{where}"


@dataclass(frozen=True)
class Last:
    """Of a log: the line that says most, and whether Slurm speaks of memory."""

    text: str
    memory: bool


def last_line(log: Path) -> Last:
    """The last line of the product in a log, else of anything but Slurm, else the last; the end of
    one process of several is no reason while another one gave its own."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 65_536))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return Last("", False)
    lines = [" ".join(line.split()) for line in lines if line.strip()]
    own = [line for line in lines if not THEIRS.match(line)]
    said = [line.removeprefix(OURS) for line in own if line.startswith(OURS)]
    first = [line for line in said if not line.startswith("ConnectionError: ")]
    memory = [line for line in lines[-10:] if THEIRS.match(line) and MEMORY.search(line)]
    for found in (first, said, memory[:1], own, lines):
        if found:
            return Last(found[-1], bool(memory) and not first)
    return Last("", False)


def check_here() -> None:
    """ValueError where Slurm's commands are not on this machine."""
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        raise ValueError(
            f"engine slurm needs Slurm's commands ({', '.join(NEEDED)}), of which this machine has"
            f" no {missing[0]}; allowed here is local"
        )


def call(*words: str) -> str:
    """What one of the commands prints; Unreachable or Refused with its words where it fails,
    ValueError where it belongs to no cluster."""
    environment = os.environ | {"LC_ALL": "C"}
    try:
        found = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=WAIT,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{words[0]} gave no answer within {WAIT} s") from None
    if found.returncode == 0:
        return found.stdout
    said = " ".join((found.stderr or found.stdout).split()) or f"exit status {found.returncode}"
    if "configuration source" in said:
        raise ValueError(
            f"engine slurm: {words[0]} is here, but knows of no cluster (neither a slurm.conf nor"
            " SLURM_CONF); allowed here is local"
        )
    if re.search(r"[Uu]nable to contact|[Cc]onnection refused|[Ss]ocket timed out", said):
        raise Unreachable(f"{words[0]}: {said}")
    raise Refused(said)


def states(jobs: Iterable[str], scripts: Path) -> dict[str, tuple[str, str]]:
    """Job -> (state, why it waits) of those that the queue still shows; Unreachable. A job whose
    script is none of this folder only has the number, as after a cluster was set up anew."""
    mains = sorted({job.partition("_")[0] for job in jobs})
    found: dict[str, tuple[str, str]] = {}
    for some in (mains[k : k + MANY] for k in range(0, len(mains), MANY)):
        words = ("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r|%o")
        try:
            answer = call(*words, f"--jobs={','.join(some)}")
        except Refused as error:  # of one that it does not know alone, not of one among others
            if "Invalid job id" not in str(error):
                raise Unreachable(f"squeue: {error}") from None
            continue
        for line in answer.splitlines():
            job, state, reason, script = line.strip().split("|", 3)
            if (scripts / Path(script).name).is_file():
                found[job] = state, reason
    return found


def end_of(job: str, scripts: Path) -> End:
    """How a job ended, as far as any command knows; see `states`."""
    try:
        for line in call("scontrol", "show", "job", job, "--oneliner").splitlines():
            fields = dict(word.partition("=")[::2] for word in line.split())
            script = re.search(r" Command=(.*?)(?: WorkDir=|$)", line)
            if script and (scripts / Path(script[1]).name).is_file():
                return End(job, fields["JobState"], fields.get("ExitCode", ""))
            return End(job, UNKNOWN)
    except Refused as error:  # a job is forgotten soon after its end
        if "Invalid job id" not in str(error):
            raise Unreachable(f"scontrol: {error}") from None
    if shutil.which("sacct"):
        words = ("sacct", "--allocations", "--noheader", "--parsable2", "--format=State,ExitCode")
        try:
            lines = call(*words, f"--jobs={job}").split("\n")
            state, _, code = lines[0].partition("|")
            if state:  # "CANCELLED by 1000" too
                return End(job, state.split()[0], code.strip())
        except Failure:  # no accounting
            pass
    return End(job, UNKNOWN)


def cancel(jobs: Sequence[str]) -> None:
    """End jobs: those that run get SIGTERM first."""
    for k in range(0, len(jobs), MANY):
        call("scancel", *jobs[k : k + MANY])


def words_of(options: Mapping[str, Any]) -> list[str]:
    """sbatch's long options: true is one without a value, false none, a list one with commas."""
    words = []
    for key, value in options.items():
        if value is False:
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        words.append(f"--{key.replace('_', '-')}" + ("" if value is True else f"={text}"))
    return words


def submit(script: Path, options: Mapping[str, Any]) -> str:
    """The number of the job that was queued; Refused, Unreachable."""
    answer = call("sbatch", "--parsable", *words_of(options), str(script))
    return answer.strip().splitlines()[-1].partition(";")[0]


def check(options: Mapping[str, Any]) -> None:
    """ValueError, in words of the study file, for what sbatch or the cluster would refuse; nothing
    is queued."""
    _check_time(options)
    try:
        call("sbatch", "--test-only", "--wrap=true", *words_of(options))
    except Refused as error:
        said = str(error)
    else:
        return
    if "not available (down" in said or "busy" in said:  # now; a job waits for that
        return
    if unknown := re.search(r"unrecognized option '--([^'=]*)", said):
        raise ValueError(
            f"slurm.{unknown[1].replace('-', '_')} is no option of this cluster's sbatch; allowed"
            " are its long options, as in partition, time, mem, cpus_per_task, gpus_per_node"
        )
    if re.search("invalid partition", said, re.IGNORECASE):
        here = ", ".join(dict.fromkeys(call("sinfo", "--noheader", "--format=%R").split()))
        given = options.get("partition")
        raise ValueError(f"slurm.partition is {given!r}; the partitions of this cluster are {here}")
    if "node configuration" in said or "generic resource" in said:
        raise ValueError(f"slurm: no node has what [slurm] asks for; {_largest(options)}")
    raise ValueError(f"slurm: sbatch refuses the options of [slurm]: {said.rstrip('.')}")


def _largest(options: Mapping[str, Any]) -> str:
    """What was asked for, and the most that a node has."""
    keys = [key for key in options if re.match("mem|cpus|gpus|gres|nodes|ntasks|exclusive", key)]
    asked = ", ".join(f"{key} = {options[key]!r}" for key in keys)
    where = [f"--partition={options['partition']}"] if "partition" in options else []
    answer = call("sinfo", "--noheader", *where, "--format=%m|%c|%G|%D")
    rows = [line.strip().split("|") for line in answer.splitlines()]
    memory, cpus = (max(int(re.sub(r"\D", "", row[k]) or 0) for row in rows) for k in (0, 1))
    kinds = ", ".join(sorted({row[2] for row in rows} - {"(null)"})) or "no GPUs"
    return f"asked are {asked}; the largest node has {memory} MB, {cpus} CPUs, {kinds}"


def seconds_of(time: Any) -> float | None:
    """Seconds of a time limit as sbatch reads it ("30", "1:30", "2:00:00", "1-12", "1-12:30");
    None for none."""
    text = str(time).strip()
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdecimal() for part in [*parts, *([days] if dash else [])]) or len(parts) > 3:
        return None
    numbers = [int(part) for part in parts]
    if dash:  # days-hours, hours:minutes or hours:minutes:seconds
        hours, minutes, seconds = numbers + [0] * (3 - len(numbers))
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, [*numbers, 0][:2]
    total = ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
    return float(total) or None  # 0 asks for none


def limit_of(options: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Seconds of (the job's time limit, the longest that its partition takes); None for none."""
    limits = partition_limits(options.get("partition"))
    given = seconds_of(options["time"]) if "time" in options else None
    longest = seconds_of(limits.get("MaxTime", ""))
    return given or seconds_of(limits.get("DefaultTime", "")) or longest, longest


def partition_limits(name: Any) -> dict[str, str]:
    """The fields of a partition, of the default one where none is named; none where unknown."""
    try:
        lines = call("scontrol", "show", "partition", "--oneliner").splitlines()
    except Refused:
        return {}
    for line in lines:
        fields = dict(word.partition("=")[::2] for word in line.split())
        if fields.get("PartitionName") == name or (name is None and fields.get("Default") == "YES"):
            return fields
    return {}


def _check_time(options: Mapping[str, Any]) -> None:
    """ValueError for a limit beyond the partition's, with which a job would wait for ever."""
    limit, longest = limit_of(options)
    if limit is not None and longest is not None and limit > longest:
        raise ValueError(
            f"slurm.time is {options['time']!r}; the partition takes at most"
            f" {partition_limits(options.get('partition'))['MaxTime']}"
        )
