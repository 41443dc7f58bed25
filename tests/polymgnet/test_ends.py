"""Training that fails or is stopped: one line, its exit status, the way to go on, and nothing
lost."""

import errno
import os
import shlex
import signal
import sys
import tomllib
from pathlib import Path

import pytest

SMALL = (
    "--set",
    "epochs=2",
    "--set",
    "width=2",
    "--set",
    "tensorboard=false",
    "--set",
    "batch_size=500",
)


@pytest.fixture
def failed(run):
    """The one line of a command that must fail and print nothing on stdout."""

    def call(*words, status=1):
        result = run(*words, "--json")
        assert result.status == status, (result.status, result.err)
        assert result.out == ""
        assert result.err.count("\n") == 1, result.err
        return result.err

    return call


def test_loss_that_is_not_a_number(failed, tmp_path):
    assert "not finite at step" in failed(
        "train", "--out", tmp_path / "run", *SMALL, "--set", "lr=1e30"
    )
    assert not (tmp_path / "run" / "summary.json").exists()


def test_full_disk(failed, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr("os.replace", full)
    assert "No space left on device" in failed("train", "--out", tmp_path / "run", *SMALL)


def test_signal(failed, document, tmp_path, monkeypatch):
    """Stopped by a real signal within the first epoch; gone on with the command that the line
    names, as a shell reads it."""
    from nets.training.trainer import Trainer

    out = tmp_path / "my run"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "check_finite", lambda self: signal.raise_signal(signal.SIGTERM))
        said = failed("train", "--out", out, *SMALL, status=143)
    start = "polymgnet: stopped as asked after step 1, 0 of 2 epochs are complete; the state is"
    assert said.startswith(f"{start} saved, polymgnet train ")
    assert said.endswith(" goes on\n")
    words = shlex.split(said.removeprefix(start).removesuffix(" goes on\n"))[2:]
    assert words == ["train", "--resume", "--out", str(out)]
    assert document(*words)["epochs"] == 2
    # finished; the same options are right too
    assert document("train", "--out", out, *SMALL, "--resume")["epochs"] == 2


def test_a_stop_is_said_once(run, tmp_path, monkeypatch):
    """With progress on: the heading, what was found, and the reason; SIGUSR1, as Slurm sends it
    before its time limit."""
    from nets.training.trainer import Trainer

    monkeypatch.setattr(Trainer, "check_finite", lambda self: signal.raise_signal(signal.SIGUSR1))
    result = run("train", "--out", tmp_path / "run", *SMALL)
    assert result.status == 128 + signal.SIGUSR1
    heading, *found, reason = result.err.splitlines()
    assert heading.startswith("q2 on digits")
    assert not any("stopped" in line for line in found)
    assert "stopped as asked after step 1" in reason


def test_ctrl_c_while_the_command_is_loaded(monkeypatch, capsys):
    """In the first tenth of a second, from the console script and by python -m alike."""
    from polymgnet.__main__ import main

    class Interrupted:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "polymgnet.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "polymgnet.cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupted, *sys.meta_path])
    assert main() == 130
    assert capsys.readouterr() == ("", "polymgnet: interrupted\n")
    script = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert script["project"]["scripts"] == {"polymgnet": f"{main.__module__}:main"}


def test_ctrl_c(failed, tmp_path, monkeypatch):
    from nets.training.trainer import Trainer

    monkeypatch.setattr(Trainer, "check_finite", lambda self: signal.raise_signal(signal.SIGINT))
    said = failed("train", "--out", tmp_path / "run", *SMALL, status=130)
    assert (
        said == "polymgnet: interrupted; what was saved is kept, polymgnet train --resume --out"
        f" {tmp_path / 'run'} goes on\n"
    )


def test_ctrl_c_before_there_is_a_run(failed, tmp_path, monkeypatch):
    """There is nothing that --resume could go on with."""
    monkeypatch.setattr("nets.train", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    said = failed("train", "--out", tmp_path / "run", *SMALL, status=130)
    assert said == "polymgnet: interrupted; nothing was begun\n"


def test_signal_ends_a_demo(failed, tmp_path, monkeypatch):
    from nets.training.trainer import Trainer
    from polymgnet import demo

    monkeypatch.setattr(demo, "MOST_JOBS", 1)  # in this process
    monkeypatch.setattr(Trainer, "check_finite", lambda self: signal.raise_signal(signal.SIGTERM))
    said = failed("demo", "--out", tmp_path / "demo", status=143)
    assert (
        said == "polymgnet: stopped as asked: 0 of 18 runs are finished, the states of those on"
        " their way are saved; the same command goes on\n"
    )


def test_signal_ends_a_study(failed, tmp_path, monkeypatch):
    """The runs behind the stopped one are not begun."""
    file = tmp_path / "study.toml"
    file.write_text(f'config = "q2"\nout = "{tmp_path / "runs"}"\n[grid]\nseed = [0, 1, 2]\n')
    begun = []

    def train(config, out, **options):
        begun.append(out.name)

    monkeypatch.setattr("nets.train", train)
    said = failed("study", file, status=143)
    assert len(begun) == 1
    assert "0 of 3 runs are finished" in said
    assert "the same command goes on" in said


@pytest.mark.parametrize("line", ["solve --n 7", "lfa --n 8", "figures --theory --out {}"])
def test_ctrl_c_has_a_line_everywhere(failed, monkeypatch, tmp_path, line):
    """Also of a command that has nothing to go on with; typer alone would end without a word."""
    for name in ("mgtheory.solving.solve", "mgtheory.fourier.smoothing_factor"):
        monkeypatch.setattr(name, lambda *_, **__: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr("figures.make_gallery", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    said = failed(*line.format(tmp_path / "pictures").split(), status=130)
    assert said == "polymgnet: interrupted\n"
