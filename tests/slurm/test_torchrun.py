"""Two processes under torchrun: the end of one is that of the other within seconds, our own last
line stands last, and going on gives the weights of a run that nothing interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nets.training.folder import read_summary

SECONDS = 30  # of an end, on a machine that is busy with other work
SETS = (
    *("width=2", "levels=1", "batch_size=500", "epochs=4", "tensorboard=false"),
    *("init=constant", "devices=2", "accelerator=cpu", "checkpoint_steps=1"),
)


@pytest.fixture
def launch(tmp_path):
    """launch(run, *words, slow=seconds a step) -> the launcher's process; its stderr is a file."""
    started = []

    def start(run, *words, slow=0.0):
        sets = [word for one in SETS for word in ("--set", one)]
        script = str(Path(__file__).with_name("slow.py"))
        with (tmp_path / "said").open("w") as said:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "polymgnet.torchrun", "--nproc-per-node=2", script),
                    *("train", "--config", "digits", *sets, "--out", str(run), *words),
                ],
                env=os.environ | {"SECONDS_A_STEP": str(slow)},
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _rank(process, number):
    """The process id of a rank."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in children:
        if f"\0RANK={number}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes():
            return int(pid)
    raise AssertionError(f"no rank {number} among {children}")


def _steps(run, count):
    """Wait for so many further checkpoints."""
    names = {path.name for path in run.glob("checkpoint/step-*")}
    for _ in range(count):
        until = time.monotonic() + 120
        while not (new := {path.name for path in run.glob("checkpoint/step-*")} - names):
            assert time.monotonic() < until
            time.sleep(0.05)
        names |= new


def _ended(process):
    began = time.monotonic()
    status = process.wait(SECONDS)
    assert time.monotonic() - began < SECONDS
    return status


def test_killed_and_signalled_runs_end_with_the_same_weights(tmp_path, launch):
    said, whole, run = tmp_path / "said", tmp_path / "whole", tmp_path / "run"
    assert launch(whole).wait(300) == 0

    for number in (1, 0):
        process = launch(run, "--resume", slow=0.5)
        _steps(run, 1)
        os.kill(_rank(process, number), signal.SIGKILL)
        assert _ended(process) == 128 + signal.SIGKILL
        lines = said.read_text().splitlines()
        assert lines[-1] == (
            f"polymgnet: process {number} of the run was ended by SIGKILL; what was saved is kept,"
            " the same command with --resume goes on"
        )
        assert "Traceback" not in said.read_text()

    process = launch(run, "--resume", slow=0.5)
    _steps(run, 1)
    process.terminate()
    assert _ended(process) == 128 + signal.SIGTERM
    *_, last = said.read_text().splitlines()
    assert last.startswith("polymgnet: stopped as asked after step ")
    assert "Traceback" not in said.read_text()

    process = launch(run, "--resume", slow=0.5)
    _steps(run, 1)
    os.kill(_rank(process, 1), signal.SIGUSR1)  # the other saves with it
    # the other does not know which signal it was
    assert _ended(process) in (128 + signal.SIGUSR1, 128 + signal.SIGTERM)
    *_, last = said.read_text().splitlines()
    assert last.startswith("polymgnet: stopped as asked after step ")

    assert launch(run, "--resume").wait(300) == 0
    assert read_summary(run).resumed == 4
    ends = ((folder / "model.safetensors").read_bytes() for folder in (whole, run))
    assert next(ends) == next(ends)


def test_a_wrong_value_has_the_last_word(tmp_path, launch):
    process = launch(tmp_path / "run", "--set", "width=-3")
    assert process.wait(300) == 2
    *_, last = (tmp_path / "said").read_text().splitlines()
    assert last.startswith("polymgnet: ")
    assert "width" in last
    assert "Traceback" not in (tmp_path / "said").read_text()
