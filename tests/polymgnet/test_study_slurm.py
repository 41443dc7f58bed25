"""A study on Slurm, whose commands stand in as scripts; a real one is in tests/slurm."""

import json
import os
import signal
from types import SimpleNamespace

import pytest

from polymgnet import study
from polymgnet.errors import Failure, Stopped
from polymgnet.study import job, queue, slurm
from polymgnet.study.queue import End
from polymgnet.study.rows import Rows
from polymgnet.study.run import Run
from polymgnet.study.slurm import _queued, error_of


@pytest.fixture
def file(study_file):
    return study_file


# Slurm's commands, as a cluster in which every job has run by the time it is queued
STAND_IN = {
    "sbatch": """
for word; do
  case $word in
    --test-only) exit 0 ;;
    --array=0-*) last=${word#--array=0-} ;;
    --output=*) output=${word#--output=} ;;
  esac
done
job=$(($(wc -l < jobs) + 1))
for task in $(seq 0 $last); do
  log=${output/\\%A/$job}
  SLURM_JOB_ID=$job SLURM_ARRAY_TASK_ID=$task bash $word > ${log/\\%a/$task} 2>&1
  status=$?
  [ $status = 0 ] && state=COMPLETED || state=FAILED
  echo "${job}_$task|$state|None|$word|$status" >> jobs
done
echo $job
""",
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"',
    "squeue": "cut -d'|' -f1-4 jobs",
    "scontrol": """
while IFS='|' read job state reason script status; do
  [ "$3" = $job ] && echo JobId=7 JobState=$state ExitCode=$status:0 Command=$script WorkDir=/
done < jobs
true
""",
    "scancel": "exit 1",
}


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").touch()
    (tmp_path / "bin").mkdir()
    for name, text in STAND_IN.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/bash\n{text}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr("polymgnet.study.queue.WAIT", 600)


def test_slurm_path_in_local_processes(file, stand_in):
    """The Slurm engine with commands that stand in for Slurm's: submits once, waits, and finds
    everything done the second time."""
    file.write_text(
        file.read_text().replace('"constant", "chebyshev4"', '"constant"').replace("[0, 1]", "[0]")
    )
    plan = study.load_study(file)
    assert study.run_slurm(plan, poll=0.2) == {}
    assert plan.missing == ()
    book = (plan.out / "jobs.json").read_text()
    assert list(json.loads(book).values()) == ["1_0"]
    assert study.run_slurm(plan, poll=0.2) == {}
    assert (plan.out / "jobs.json").read_text() == book


def test_where_the_runs_stand(file, stand_in, monkeypatch):
    """A job that waits says why, and one that runs how far it is."""
    plan = study.load_study(file)
    waits, trains = (run.folder.name for run in plan.runs[:2])
    states = {"7_0": ("PENDING", "Priority"), "7_1": ("RUNNING", "None")}
    monkeypatch.setattr(queue, "states", lambda *_: states)
    (plan.out / trains).mkdir(parents=True)
    (plan.out / trains / "metrics.csv").write_text("epoch,loss\n1,2.5\n")
    (plan.out / slurm.JOBS).write_text(json.dumps({waits: "7_0", trains: "7_1"}))
    found = [(one.state, one.about) for one in slurm.standing(plan)]
    assert found[:2] == [("pending", "Priority"), ("running", "1 of 1 epochs")]
    assert set(found[2:]) == {("not begun", "")}


def test_a_diverged_job_has_its_row(file, tmp_path, stand_in):
    """By the last line of its log, in which an earlier error may stand too."""
    text = file.read_text().replace('"constant", "chebyshev4"', '"constant"')
    text = text.replace("[0, 1]", "[0]").replace('lr" = 0.05', 'lr" = 1e30')
    file.write_text('rows = "rows"\n' + text)
    plan = study.load_study(file)
    failed = study.run_slurm(plan, poll=0.2)
    (name,) = failed
    assert failed[name].startswith("FloatingPointError: ")
    (row,) = Rows(tmp_path / "rows" / "study.jsonl").known.values()
    assert "not finite" in row["diverged"]
    assert "\n" not in row["diverged"]
    assert study.load_study(file).missing == ()

    log = tmp_path / "log"
    log.write_text("FloatingPointError: x\nDuring its handling:\npolymgnet: OSError: disk full\n")
    error = error_of(End("1_0", "FAILED", "1:0"), log)
    assert isinstance(error, Failure)
    assert str(error) == (
        "job 1_0 failed (state FAILED, exit code 1); last line: OSError: disk full; log " + str(log)
    )


@pytest.mark.parametrize("silent", [2, 9])
def test_a_controller_that_does_not_answer_is_waited_for(file, monkeypatch, silent):
    """A look takes 5 minutes: it is asked again, and tells how the job ended; after 15 minutes the
    command ends, and leaves the job alone."""
    plan, looks, said = study.load_study(file), [], []
    run = plan.runs[0]

    def states(*_):
        looks.append(1)
        if len(looks) <= silent:
            raise queue.Unreachable("squeue: away")
        return {}

    monkeypatch.setattr(queue, "states", states)
    monkeypatch.setattr(queue, "end_of", lambda job, _: End(job, "FAILED", "1:0"))
    monkeypatch.setattr(slurm, "SETTLED", 0)
    monkeypatch.setattr(slurm, "time", SimpleNamespace(monotonic=lambda: 300 * len(looks)))
    waiting = {run.folder.name: "7_0"}

    def wait():
        runs = {run.folder.name: run}
        return slurm._wait(plan, runs, waiting, 0.0, lambda *words, **_: said.append(words[1:]))

    if silent == 9:
        with pytest.raises(Failure, match=r"^squeue: away, for 900 s now; the jobs go on"):
            wait()
        assert len(looks) == 4
    else:
        assert wait()[run.folder.name].startswith("job 7_0 failed")
        assert said[:silent] == [("Slurm does not answer",)] * silent
        assert not waiting


@pytest.mark.parametrize(
    ("lines", "devices"),
    [
        ("ntasks_per_node = 2", (2, 1)),
        ('gpus_per_node = "a100:4"', (4, 1)),
        ("gpus-per-node = 2\nnodes = 3", (2, 3)),
        ("gpus_per_node = 1", (1, 1)),
        ('mem = "1G"', (1, 1)),
    ],
)
def test_devices_of_jobs_are_those_of_runs(file, lines, devices):
    """One line of [slurm]; where the file says train.devices itself, that stands."""
    text = file.read_text()
    before = {run.digest for run in study.load_study(file).runs}
    file.write_text(f"{text}[slurm]\n{lines}\n")
    plan = study.load_study(file)
    assert {run.devices for run in plan.runs} == {devices}
    assert (before == {run.digest for run in plan.runs}) == (devices == (1, 1))
    file.write_text(file.read_text().replace("[grid]", '"train.devices" = 3\n[grid]'))
    assert {run.devices for run in study.load_study(file).runs} == {(3, devices[1])}


def test_auto_is_as_many_devices_as_a_job_has(file, monkeypatch):
    """With one process in a job of four GPUs no run began; where [slurm] does not say how many, a
    job alone would know."""
    text = file.read_text().replace("epochs = 1", 'epochs = 1\ndevices = "auto"')
    for count in (4, 1):
        file.write_text(f"{text}[slurm]\ngpus_per_node = {count}\n")
        runs = study.load_study(file).runs
        assert {run.devices for run in runs} == {(count, 1)}
        assert {run.train_config.train.devices for run in runs} == {count}
        recipe = file.with_name("own.toml")  # the same, said in the recipe
        recipe.write_text('base = "q2"\n[train]\ndevices = "auto"\n')
        own = text.replace('devices = "auto"', "").replace('"q2"', f"'{recipe}'")
        file.write_text(f"{own}[slurm]\ngpus_per_node = {count}\n")
        assert {run.devices for run in study.load_study(file).runs} == {(count, 1)}
    file.write_text(text)
    plan = study.load_study(file)
    monkeypatch.setattr("polymgnet.study.queue.check_here", lambda: None)
    with pytest.raises(ValueError, match=r"^train.devices is auto, .* gpus_per_node .* \[slurm\]$"):
        study.run_slurm(plan)
    assert not plan.out.exists()
    file.write_text(text.replace("epochs = 1", 'epochs = 1\naccelerator = "cpu"'))
    assert {run.devices for run in study.load_study(file).runs} == {(1, 1)}


def test_slurm_where_there_is_none(file, monkeypatch):
    plan = study.load_study(file)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(
        ValueError, match=r"engine slurm needs Slurm's commands .* allowed here is local"
    ):
        study.run_slurm(plan)
    assert not plan.out.exists()


@pytest.mark.parametrize(("limit", "grace"), [(40.0, 10), (3600.0, 90), (None, 90)])
def test_arrays_are_as_long_as_the_cluster_takes_and_told_in_time(file, monkeypatch, limit, grace):
    """Of MaxArraySize 3 the last index is 2; the signal comes a quarter of a short limit before its
    end."""
    plan, given = study.load_study(file), []
    monkeypatch.setattr("polymgnet.study.queue.call", lambda *words: "MaxArraySize = 3\n")
    monkeypatch.setattr("polymgnet.study.queue.limit_of", lambda options: (limit, None))
    monkeypatch.setattr(
        "polymgnet.study.queue.submit", lambda script, options: given.append(options) or "7"
    )
    found = list(_queued(plan, plan.runs, {}))
    assert [len(runs) for runs, _ in found] == [3, 1]
    assert [one["array"] for one in given] == ["0-2", "0-0"]
    assert {one["signal"] for one in given} == {f"USR1@{grace}"}


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
@pytest.mark.parametrize("process", ["0", "1"])
def test_a_job_is_queued_again_by_its_time_limit_alone(file, monkeypatch, process, number):
    """The first process ends with the status that the script has queued again; another signal is an
    end, and the other processes say nothing."""

    def stopped(run, *, progress):
        signal.raise_signal(number)
        raise Stopped

    monkeypatch.setattr(Run, "__call__", stopped)
    monkeypatch.setenv("SLURM_PROCID", process)
    runs = [run.described() for run in study.load_study(file).runs]
    book = file.with_name("book.json")
    book.write_text(json.dumps({"kind": "train", "runs": runs}))
    if (process, number) == ("0", signal.SIGTERM):
        with pytest.raises(Stopped) as error:
            job.work(book, 0)
        assert error.value.status == 128 + number
    else:
        assert job.work(book, 0) == (job.AGAIN if process == "0" else 0)
