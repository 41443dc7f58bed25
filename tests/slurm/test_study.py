"""A study on a Slurm: one array, every way a job can end told in one line, and runs that go on from
their checkpoints with the same weights."""

import json
import os
import re
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import nets
from nets.training.environment import processor
from nets.training.folder import read_config, read_summary
from polymgnet import study
from polymgnet.cli import main
from polymgnet.study import queue, slurm

# the signal is known where the end of the step reached Slurm before that of the job
END = r"exit code 0(, signal \d+)?"
FILE = """
config = "digits"
rows = "rows"
out = "runs"
[set]
epochs = {epochs}
width = 2
levels = 1
batch_size = 500
tensorboard = false
accelerator = "cpu"
checkpoint_steps = 1
"init.scheme" = "constant"
[grid]
seed = {seeds}
[slurm]
{options}
"""
STEPS = 3  # an epoch of the digits has


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """The study of some seeds; without an accelerator's name a run is the same on all devices."""
    monkeypatch.chdir(tmp_path)

    def plan(*options, seeds=(0,), epochs=1):
        text = FILE.format(epochs=epochs, seeds=list(seeds), options="\n".join(options))
        Path("study.toml").write_text(text)
        return study.load_study(Path("study.toml"))

    return plan


@pytest.fixture
def slowly(monkeypatch):
    """Jobs take this many seconds a step."""
    script = slurm.SCRIPT.replace(
        "-m polymgnet.study.job", str(Path(__file__).with_name("slow.py"))
    )
    assert script != slurm.SCRIPT

    def put(seconds):
        monkeypatch.setattr(slurm, "SCRIPT", script)
        monkeypatch.setenv("SECONDS_A_STEP", str(seconds))

    return put


class Watched(threading.Thread):
    """A study that is waited for in a thread; its lines and what failed."""

    def __init__(self, plan):
        super().__init__(daemon=True)
        self.plan, self.lines, self.failed, self.error = plan, [], {}, None

    def run(self):
        try:
            self.failed = study.run_slurm(self.plan, poll=0.3, report=self.step)
        except Exception as error:
            self.error = error

    def step(self, done, state="", *, finished=""):
        self.lines.append(finished or state)

    def ended(self):
        self.join(300)
        assert not self.is_alive()
        if self.error:
            raise self.error
        return self.failed


def begun(plan, count=1):
    """Whether every run has saved so many states' worth of steps."""
    return lambda: all(run.folder.is_dir() and _steps(run.folder) >= count for run in plan.runs)


def _steps(folder):
    names = [path.stem for path in folder.glob("checkpoint/step-*")]
    return int(max(names, default="step-0").removeprefix("step-"))


def whole(run):
    """The weights of a finished run are those of one that nothing interrupted, in this process."""
    assert read_summary(run.folder).finished
    out = run.folder.with_name("whole-" + run.folder.name)
    nets.train(read_config(run.folder), out, progress=False)
    found, expected = ((f / "model.safetensors").read_bytes() for f in (run.folder, out))
    return found == expected


def test_the_runs_are_arrays_and_are_not_queued_twice(cluster, planned, capfd):
    """Six runs, and a cluster whose arrays have at most four jobs. Another call at the same time
    waits for the same jobs, one afterwards finds rows and queues nothing; no command of Slurm is
    heard."""
    lines = ("array_parallelism = 2", 'setup = ["echo {$SLURM_JOB_ID} is set up"]')
    plan = planned(*lines, seeds=range(6))
    first, second = Watched(plan), Watched(plan)
    first.start()
    cluster.wait_for(lambda: Path("runs/jobs.json").is_file())
    second.start()
    assert first.ended() == second.ended() == {}
    book = json.loads(Path("runs/jobs.json").read_text())
    arrays = [job.partition("_")[0] for job in book.values()]
    assert sorted(arrays.count(one) for one in set(arrays)) == [2, 4]
    assert all("is set up" in Path(f"runs/jobs/{job}.log").read_text() for job in book.values())
    assert not planned(seeds=range(6)).missing
    again = Watched(planned(seeds=range(6)))
    again.start()
    assert again.ended() == {}
    assert json.loads(Path("runs/jobs.json").read_text()) == book
    assert "".join(capfd.readouterr()) == ""


def test_a_cancelled_run_goes_on(cluster, planned, slowly, capsys):
    """`--status` and `--cancel`; one line that says what happened; the next call ends with the
    weights of a run that nobody cancelled."""
    slowly(0.5)
    plan = planned(epochs=4)
    (run,) = plan.runs
    waiting = Watched(plan)
    waiting.start()
    cluster.wait_for(begun(plan, 2), 120)
    assert main(["study", "study.toml", "--status", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["runs"]
    assert (told["run"], told["state"]) == (run.folder.name, "running")
    assert main(["study", "study.toml", "--cancel"]) == 0
    assert capsys.readouterr().out.startswith("runs: 1 job cancelled; ")
    said = waiting.ended()[run.folder.name]
    job = told["job"]
    assert re.match(rf"job {job} was cancelled \(state CANCELLED, {END}\); ", said)
    assert f"last line: stopped as asked in {run.folder.absolute()}; its state is saved" in said
    assert said.endswith(f"; log runs/jobs/{job}.log")
    assert "\n" not in said
    (told,) = slurm.standing(planned(epochs=4))
    assert (told.state, told.about) == ("failed", said)
    before = _steps(run.folder)
    assert 2 <= before < 4 * STEPS
    slowly(0)
    again = Watched(plan)
    again.start()
    assert again.ended() == {}
    assert again.lines[1].startswith(f"queued again: 1 run, {run.folder.name}: job {job} was")
    assert read_summary(run.folder).resumed == 1
    assert whole(run)


def test_a_job_without_memory_is_told(cluster, planned):
    """Of a cluster that kills by its own accounts; what it has to say is in the line. With more it
    is whole."""
    plan = planned('mem = "60M"')
    waiting = Watched(plan)
    waiting.start()
    (said,) = waiting.ended().values()
    assert "was killed for want of memory: give [slurm] more mem" in said
    assert "exceeded memory limit" in said
    assert "exit code 137" in said
    more = Watched(replace(plan, slurm={"mem": "1500M"}))
    more.start()
    assert more.ended() == {}


def test_a_lost_node_is_told(cluster, planned, slowly):
    """Not queued again by Slurm (requeue = false), the run goes on at the next call."""
    slowly(0.3)
    plan = planned("requeue = false", epochs=8)
    waiting = Watched(plan)
    waiting.start()
    cluster.wait_for(begun(plan, 2), 120)
    cluster.say("scontrol", "update", f"nodename={cluster.host}", "state=down", "reason=test")
    (said,) = waiting.ended().values()
    cluster.wait_for(lambda: not cluster.steps())
    cluster.say("scontrol", "update", f"nodename={cluster.host}", "state=resume")
    assert re.search(rf"lost its node \(state NODE_FAIL, {END}\); last line: ", said)
    slowly(0)
    again = Watched(plan)
    again.start()
    assert again.ended() == {}
    assert whole(plan.runs[0])


def test_the_time_limit_is_none(cluster, planned, slowly):
    """A run of longer than its job's minute: signalled, saved, queued again and whole in the end,
    by one call and one job, with the weights of an uninterrupted run."""
    slowly(2)
    plan = planned("time = 1", epochs=12)
    (run,) = plan.runs
    waiting = Watched(plan)
    waiting.start()
    # Slurm lets a job that was queued again wait for two minutes; less is enough, but not none, in
    # which the node still takes it for the one that it has just ended
    since = None
    while waiting.is_alive():
        told = cluster.say("squeue", "--noheader", "--array", "--format=%i %r").split()
        job, reason = [*told, "", ""][:2]
        since = (since or time.monotonic()) if reason == "BeginTime" else None
        if since and time.monotonic() - since > 5:
            cluster.say("scontrol", "update", f"jobid={job}", "starttime=now")
            since = None
        waiting.join(1)
    assert waiting.ended() == {}
    (log,) = Path("runs/jobs").glob("*_0.log")
    saved = re.findall(r"^stopped as asked in .*$", log.read_text(), re.MULTILINE)
    assert len(saved) == read_summary(run.folder).resumed >= 1
    assert whole(run)


def test_a_diverged_run_has_its_row(cluster, planned):
    plan = planned()
    plan = study.load_study(_edited("optim.lr", "1e30"))
    waiting = Watched(plan)
    waiting.start()
    (said,) = waiting.ended().values()
    assert said.startswith("FloatingPointError: ")
    (row,) = map(json.loads, Path("rows/study.jsonl").read_text().splitlines())
    assert "not finite" in row["diverged"]
    assert not study.load_study(Path("study.toml")).missing


def _edited(key, value):
    path = Path("study.toml")
    path.write_text(path.read_text().replace("[grid]", f'"{key}" = {value}\n[grid]'))
    return path


WRONG = {
    'partition = "nope"': "slurm.partition is 'nope'; the partitions of this cluster are main,",
    'mem = "900G"': "asked are mem = '900G'; the largest node has 4000 MB, 2 CPUs, no GPUs",
    "cpus_per_task = 64": "asked are cpus_per_task = 64; the largest node has",
    "gpus_per_node = 1": "asked are gpus_per_node = 1; the largest node has 4000 MB, 2 CPUs, no",
    "timeout_min = 3": "slurm.timeout_min is no option of this cluster's sbatch; allowed are",
    'time = "99:00:00"': "slurm.time is '99:00:00'; the partition takes at most 01:00:00",
    'time = "soon"': "slurm: sbatch refuses the options of [slurm]: sbatch: error: Invalid --time",
    'array = "0-3"': "slurm.array is given, but the study sets it; take it out",
    "setup = 3": "slurm.setup is 3, must be a list of shell commands",
}


@pytest.mark.parametrize("option", WRONG)
def test_what_the_cluster_does_not_have_is_refused(cluster, planned, option):
    """In one line, before anything is queued or written."""
    with pytest.raises(ValueError) as error:
        study.run_slurm(planned(option))
    assert WRONG[option] in str(error.value)
    assert "\n" not in str(error.value)
    assert not Path("runs").exists()
    assert cluster.say("squeue", "--noheader").strip() == ""


def test_two_processes_of_a_job_train_one_run(cluster, planned, slowly):
    """One line of [slurm]. Killed as one of two, both end within seconds and the line says so; the
    next call ends with the weights of a run that was not killed."""
    slowly(0.5)
    plan = planned("ntasks_per_node = 2", epochs=6)
    (run,) = plan.runs
    assert run.train_config.train.devices == 2
    waiting = Watched(plan)
    waiting.start()
    cluster.wait_for(begun(plan, 2), 120)
    ranks = [pid for pid in _processes(run) if b"SLURM_PROCID=1" in _environment(pid)]
    began = time.monotonic()
    os.kill(ranks[0], signal.SIGKILL)
    (said,) = waiting.ended().values()
    assert time.monotonic() - began < 30
    assert "failed (state FAILED, exit code 137)" in said
    assert _steps(run.folder) < 6 * STEPS
    slowly(0)
    again = Watched(plan)
    again.start()
    assert again.ended() == {}
    assert read_summary(run.folder).resumed == 1
    assert f" cpu ({processor()}) x 2," in Path(f"runs/jobs/{_last_job()}.log").read_text()
    (run.folder / "model.safetensors").rename("killed")
    shutil.rmtree(run.folder)
    Path("rows/study.jsonl").unlink()
    whole = Watched(planned("ntasks_per_node = 2", epochs=6))
    whole.start()
    assert whole.ended() == {}
    assert read_summary(run.folder).resumed == 0
    assert Path("killed").read_bytes() == (run.folder / "model.safetensors").read_bytes()


def _last_job():
    (job,) = json.loads(Path("runs/jobs.json").read_text()).values()
    return job


def _environment(pid):
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _processes(run):
    """The jobs' processes that train it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        here = str(run.folder.parent.absolute() / "jobs").encode()
        if b"python" in words[0] and any(word.startswith(here) for word in words):
            found.append(int(entry.name))
    return found


def test_a_job_that_slurm_has_forgotten(cluster, planned, slowly, monkeypatch):
    """The controller goes, which is waited for, and comes back without its jobs: told in one line,
    and queued again by the next call. (Last: it takes the cluster's memory.)"""
    monkeypatch.setattr(slurm, "LATE", 1.0)
    slowly(1)
    plan = planned(epochs=40)
    waiting = Watched(plan)
    waiting.start()
    cluster.wait_for(begun(plan, 1), 120)
    cluster.stop("slurmctld", signal.SIGKILL)
    cluster.wait_for(lambda: "Slurm does not answer" in waiting.lines)
    assert waiting.is_alive()
    for pid in cluster.steps():  # on a real cluster: on a node that has gone with it
        os.killpg(os.getpgid(pid), signal.SIGKILL)
    for pid in _processes(plan.runs[0]):
        os.kill(pid, signal.SIGKILL)
    cluster.start("slurmctld", "-D", "-c")
    (said,) = waiting.ended().values()
    assert said.startswith(f"job {_last_job()} is no longer known to Slurm; last line: ")
    slowly(0)
    cluster.wait_for(lambda: "idle" in cluster.say("sinfo", "--noheader", "--format=%T"))
    again = Watched(plan)
    again.start()
    assert again.ended() == {}
    assert any("is no longer known to Slurm" in line for line in again.lines)
    assert whole(plan.runs[0])
    assert queue.end_of("4242", Path("runs/jobs")).state == queue.UNKNOWN
