"""What Slurm's commands answer, read: states, ends in one line, time limits, options."""

import pytest

from polymgnet.errors import Failure
from polymgnet.study import queue
from polymgnet.study.queue import End


@pytest.fixture
def answers(monkeypatch):
    """The commands' answers by their name, an exception one that they end with; what they were
    asked."""
    given, asked = {}, []

    def call(*words):
        asked.append(words)
        answer = given[words[0]]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(queue, "call", call)
    monkeypatch.setattr("shutil.which", lambda name: name if name in given else None)
    given["asked"] = asked
    return given


LOGS = {
    "of ours": (
        "epoch 1/2: loss 2\npolymgnet: ValueError: width is 0\nsrun: error: n1: task 0: Exited\n",
        "ValueError: width is 0",
    ),
    "of two processes": (
        "polymgnet: OSError: disk full\npolymgnet: ConnectionError: another process of this run\n",
        "OSError: disk full",
    ),
    "of the other process alone": (
        "polymgnet: ConnectionError: another process of this run has failed\n",
        "ConnectionError: another process of this run has failed",
    ),
    "of any program": ("one\n  two   words \nslurmstepd-n1: error: *** JOB\n", "two words"),
    "of Slurm": (
        "slurmstepd: error: execve(): python: No such file\n",
        "slurmstepd: error: execve()",
    ),
    "of memory": (
        "epoch 1/2: loss 2\nslurmstepd: error: Detected 1 oom_kill event in StepId=9.0.\nKilled\n",
        "slurmstepd: error: Detected 1 oom_kill event",
    ),
    "of bytes": (b"\xff\xfe\n\xff end\n", "\ufffd end"),
}


@pytest.mark.parametrize("kind", LOGS)
def test_the_line_that_says_most(tmp_path, kind):
    text, line = LOGS[kind]
    log = tmp_path / "log"
    log.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert queue.last_line(log).text.startswith(line)


@pytest.mark.parametrize(
    ("end", "text", "said"),
    [
        (
            End("7_2", "OUT_OF_MEMORY", "0:125"),
            "x\n",
            "was killed for want of memory: give [slurm] more mem (state OUT_OF_MEMORY, exit code"
            " 0, signal 125); last line: x; log ",
        ),
        (
            End("7_2", "FAILED", "137:0"),
            "slurmstepd: error: StepId=7.0 exceeded memory limit (2 > 1), being killed\n",
            "was killed for want of memory: give [slurm] more mem (state FAILED, exit code 137);"
            " last line: slurmstepd: error: StepId=7.0 exceeded memory limit (2 > 1), being killed",
        ),
        (
            End("7_2", "FAILED", "1:0"),  # an error of its own before Slurm spoke of memory
            "polymgnet: ValueError: x\nslurmstepd: error: Detected 1 oom_kill event\n",
            "failed (state FAILED, exit code 1); last line: ValueError: x; log ",
        ),
        (
            End("7_2", "TIMEOUT", "0:0"),  # a step of it was killed before, and it went on
            "slurmstepd: error: Detected 1 oom_kill event\n",
            "reached its time limit (state TIMEOUT, exit code 0)",
        ),
        (End("7_2", "NODE_FAIL", ""), "", "lost its node (state NODE_FAIL); log "),
        (End("7_2", "DEADLINE", "0:0"), "", "ended (state DEADLINE, exit code 0); log "),
        (End("7_2", queue.UNKNOWN), None, "is no longer known to Slurm; it left no log"),
    ],
)
def test_an_end_in_one_line(tmp_path, end, text, said):
    log = tmp_path / "log"
    if text is not None:
        log.write_text(text)
    line = end.text(log)
    assert line.startswith(f"job 7_2 {said}")
    assert "\n" not in line


def test_states_of_arrays(answers, tmp_path):
    """One question for all jobs of an array; a job that is not shown, or no longer, has none, and
    none has one whose number is another's by now."""
    script, foreign = tmp_path / "a b.sh", tmp_path / "other.sh"
    script.touch()
    lines = f"7_0|RUNNING|None|/seen elsewhere/{script.name}\n7_1|PENDING|Priority|{script}\n"
    answers["squeue"] = f"{lines}7_2|RUNNING|None|{foreign}\n"
    assert queue.states(["7_0", "7_1", "7_2", "7_3"], tmp_path) == {
        "7_0": ("RUNNING", "None"),
        "7_1": ("PENDING", "Priority"),
    }
    assert len(answers["asked"]) == 1
    assert answers["asked"][0][-1] == "--jobs=7"
    answers["squeue"] = queue.Refused("slurm_load_jobs error: Invalid job id specified")
    assert queue.states(["7_0"], tmp_path) == {}
    answers["squeue"] = queue.Refused("slurm_load_jobs error: Zero Bytes were transmitted")
    with pytest.raises(queue.Unreachable, match="Zero Bytes"):
        queue.states(["7_0"], tmp_path)


def test_an_end_is_asked_of_the_accounts_last(answers, tmp_path):
    gone = queue.Refused("slurm_load_jobs error: Invalid job id specified")
    told = (
        "JobId=8 ArrayJobId=7 JobState=TIMEOUT Reason=TimeLimit ExitCode=0:15 Command={} WorkDir=/"
    )
    (tmp_path / "a b.sh").touch()
    answers["scontrol"] = told.format(tmp_path / "a b.sh")
    assert queue.end_of("7_1", tmp_path) == End("7_1", "TIMEOUT", "0:15")
    answers["scontrol"] = told.format(tmp_path / "other.sh")
    assert queue.end_of("7_1", tmp_path) == End("7_1", "UNKNOWN")
    answers["scontrol"] = gone
    assert queue.end_of("7_1", tmp_path) == End("7_1", "UNKNOWN")
    answers["sacct"] = "CANCELLED by 1000|0:9\n"
    assert queue.end_of("7_1", tmp_path) == End("7_1", "CANCELLED", "0:9")
    answers["sacct"] = Failure("Slurm accounting storage is disabled")
    assert queue.end_of("7_1", tmp_path) == End("7_1", "UNKNOWN")
    answers["scontrol"] = queue.Refused("slurm_load_jobs error: Zero Bytes were transmitted")
    with pytest.raises(queue.Unreachable):
        queue.end_of("7_1", tmp_path)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        *((30, 1800), ("30", 1800), ("1:30", 90), ("2:00:05", 7205), ("1-12", 129600)),
        *(("1-12:30", 131400), ("1-0:0:1", 86401), ("UNLIMITED", None), (0, None), ("x-1", None)),
    ],
)
def test_time_limits_as_sbatch_reads_them(time, seconds):
    assert queue.seconds_of(time) == seconds


def test_options_as_sbatch_takes_them():
    given = {"gpus_per_node": 2, "exclusive": True, "requeue": False, "mail_type": ["END", "FAIL"]}
    assert queue.words_of(given) == ["--gpus-per-node=2", "--exclusive", "--mail-type=END,FAIL"]


def test_commands_that_fail(tmp_path, monkeypatch):
    """In their own words, of one line; a controller that is away is another thing, and no cluster
    at all a third."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    none = "echo 'sbatch: fatal: Could not establish a configuration source' >&2; false"
    for name, text in (
        ("no", "echo 'a: error: b\n  c' >&2; exit 3"),
        ("silent", "exit 4"),
        ("none", none),
    ):
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "away").write_text(
        "#!/bin/bash\necho 'Unable to contact slurm controller' >&2; false"
    )
    (tmp_path / "away").chmod(0o755)
    with pytest.raises(queue.Refused, match=r"^a: error: b c$"):
        queue.call("no")
    with pytest.raises(queue.Refused, match=r"^exit status 4$"):
        queue.call("silent")
    with pytest.raises(ValueError, match=r"^engine slurm: none is here, but knows of no cluster"):
        queue.call("none")
    with pytest.raises(queue.Unreachable, match=r"^away: Unable to contact"):
        queue.call("away")
    monkeypatch.setattr(queue, "WAIT", 0.1)
    with pytest.raises(queue.Unreachable, match=r"^sleep gave no answer within 0.1 s$"):
        queue.call("sleep", "9")


def test_a_limit_is_the_jobs_own_else_the_partitions_and_no_longer_than_it_takes(monkeypatch):
    limits = {"MaxTime": "1:00:00", "DefaultTime": "30:00"}
    monkeypatch.setattr(queue, "partition_limits", lambda name: limits)
    assert queue.limit_of({"time": "10"}) == (600.0, 3600.0)
    assert queue.limit_of({}) == (1800.0, 3600.0)
    queue._check_time({"time": "1:00:00"})  # as long as it takes
    with pytest.raises(ValueError, match=r"'1:00:01'; the partition takes at most 1:00:00"):
        queue._check_time({"time": "1:00:01"})
    limits["DefaultTime"] = "NONE"
    assert queue.limit_of({}) == (3600.0, 3600.0)
    limits["MaxTime"] = "UNLIMITED"
    assert queue.limit_of({}) == (None, None)
