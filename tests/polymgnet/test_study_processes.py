"""A study trains in processes of its own: they may be killed, and its signals reach them."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from pathlib import Path

import pytest

from polymgnet import study


@pytest.fixture
def file(study_file):
    return study_file


@pytest.fixture
def one_run(file):
    file.write_text(
        file.read_text().replace('"constant", "chebyshev4"', '"constant"').replace("[0, 1]", "[0]")
    )


def _kill(count):
    """Kills the next workers of this process as they appear."""

    def kill():
        killed = set()
        while len(killed) < count:
            for child in multiprocessing.active_children():
                if child.pid not in killed:
                    os.kill(child.pid, signal.SIGKILL)
                    killed.add(child.pid)
            time.sleep(0.01)

    threading.Thread(target=kill, daemon=True).start()


def test_a_worker_that_is_killed_twice_fails_its_run(run, file, one_run):
    _kill(2)
    result = run("study", file, "--jobs", 2)
    assert result.status == 1
    assert "its process was killed; it is tried again" in result.err
    assert "its process was killed twice, as for want of memory" in result.err


def test_no_other_error_is_taken_for_another_study(run, file, one_run, monkeypatch):
    """Where no process can be started or a terminal takes no more, the run fails, as ever."""

    def train(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("nets.train", train)
    result = run("study", file)
    assert result.status == 1
    assert "Resource temporarily unavailable" in result.err


def test_real_training_in_processes(document, file, one_run, monkeypatch):
    """A process of its own trains for real, in a Slurm job too; nothing is missing afterwards,
    though one was killed on its way, and one before it had a run."""
    monkeypatch.setenv("SLURM_NTASKS", "4")
    submit, gone = ProcessPoolExecutor.submit, []

    def submit_to_the_second(pool, *work):
        if not gone:
            gone.append(pool)
            raise BrokenProcessPool
        return submit(pool, *work)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit_to_the_second)
    _kill(1)
    data = document("study", file, "--jobs", 2)
    assert data["failed"] == {}
    assert (
        study.tested_on(study.load_study(file).results) == 359
    )  # of the digits, counted by the run
    assert all(0 <= entry["summary"]["test_accuracy"] <= 1 for entry in data["runs"])
    assert study.load_study(file).missing == ()


@pytest.mark.parametrize(
    ("allowed", "jobs", "threads"), [(7, 2, 3), (8, 8, 2), (2, 3, 1), (1, 2, 1)]
)
def test_workers_share_the_threads(file, monkeypatch, allowed, jobs, threads):
    """Those that torch takes by itself, among as many workers as there are runs (four), or jobs."""
    shared = []

    def pool(*_, initializer, initargs, **__):
        initializer(*initargs)
        raise RuntimeError("as many as asked")

    monkeypatch.setattr("polymgnet.study.workers.ProcessPoolExecutor", pool)
    monkeypatch.setattr("torch.get_num_threads", lambda: allowed)
    monkeypatch.setattr("torch.set_num_threads", shared.append)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(RuntimeError, match="as many as asked"):
        study.run_local(study.load_study(file), jobs=jobs)
    assert shared == [threads]


@pytest.mark.parametrize("devices", ["2", '"auto"'])
def test_runs_of_several_devices_are_trained_in_turn(file, refused, monkeypatch, devices):
    """For each device the program is begun again: side by side, the processes of one run joined
    those of another and averaged their gradients."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    file.write_text(file.read_text().replace("epochs = 1", f"epochs = 1\ndevices = {devices}"))
    said = refused("study", file, "--jobs", 2)
    assert "jobs is 2, but " in said
    assert "has several devices" in said
    assert not list((file.parent / "runs").glob("*"))


def test_of_several_processes_one_tells(file, one_run):
    """Of a run on two devices, for which the whole command is begun twice."""
    file.write_text(file.read_text().replace("epochs = 1", "epochs = 1\ndevices = 2"))
    words = [sys.executable, "-m", "polymgnet", "study", str(file), "--no-report"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("1 of 1 run in") == 1
    assert study.load_study(file).missing == ()


def _alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _study(file, said):
    """As `python -m polymgnet study`, where Ctrl-C works though a shell started the tests in the
    background."""
    from polymgnet.cli import main

    os.setsid()
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 2)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os._exit(main(["study", str(file), "--jobs", "2"]))


@pytest.mark.parametrize(
    ("number", "count"), [(signal.SIGTERM, 2), (signal.SIGINT, 1), (signal.SIGKILL, 1)]
)
def test_a_signal_to_the_study_reaches_its_workers(apart, file, tmp_path, number, count):
    """SIGTERM: each worker saves and ends, and one line says how to go on; so does SIGINT, which a
    terminal sends to all of them.

    SIGKILL: the workers save and end by themselves.
    """
    file.write_text(
        file.read_text()
        .replace("epochs = 1", 'epochs = 4000\n"model.levels" = 2')
        .replace("[0, 1]", str(list(range(count))))
        .replace('"constant", "chebyshev4"', '"constant"')
    )
    folders = [entry.folder for entry in study.load_study(file).runs]
    process = apart(_study, file, tmp_path / "said")
    while not all(
        (folder / "metrics.csv").exists() and (folder / "metrics.csv").stat().st_size
        for folder in folders
    ):
        assert process.is_alive()
        time.sleep(0.05)
    workers = [
        int(pid)
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    process.join(60)
    status = process.exitcode
    until = time.monotonic() + 60
    while any(map(_alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(workers) >= count
    assert not any(map(_alive, workers))
    for folder in folders:
        # by the stop alone: the next one was due at the end
        assert list((folder / "checkpoint").glob("step-*.safetensors"))
        assert not (folder / "summary.json").exists()
    ends = {
        signal.SIGTERM: (
            f"stopped as asked: 0 of {count} runs are finished, the states of those on their way"
            " are saved; the same command goes on"
        ),
        signal.SIGINT: (
            "interrupted; finished work and any checkpoints are kept, the same command goes on"
        ),
    }
    if number in ends:
        assert status == 128 + number
        *progress, last = (tmp_path / "said").read_text().splitlines()
        assert last == f"polymgnet: {ends[number]}"
        assert all(line.startswith(f"study 0/{count}: {count} on their way, ") for line in progress)
    else:
        assert status == -number
