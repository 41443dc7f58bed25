"""Training that fails or is stopped: one line, exit status 1, the way to go on, and nothing lost."""

import errno
import os
import signal

import pytest

SMALL = ("--set", "epochs=2", "--set", "width=2", "--set", "tensorboard=false", "--set", "batch_size=500")


@pytest.fixture
def failed(run):
    """The one line of a command that must end with exit status 1 and print nothing on stdout."""

    def call(*words):
        result = run(*words, "--json")
        assert result.status == 1, (result.status, result.err)
        assert result.out == ""
        assert result.err.count("\n") == 1, result.err
        return result.err

    return call


def test_loss_that_is_not_a_number(failed, tmp_path):
    assert "not finite at step" in failed("train", "--out", tmp_path / "run", *SMALL, "--set", "lr=1e30")
    assert not (tmp_path / "run" / "summary.json").exists()


def test_full_disk(failed, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr("os.replace", full)
    assert "No space left on device" in failed("train", "--out", tmp_path / "run", *SMALL)


def test_signal(failed, document, tmp_path, monkeypatch):
    """Stopped by a real signal within the first epoch; gone on with what the line names."""
    from nets.trainer import Trainer

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "check_finite", lambda self: signal.raise_signal(signal.SIGTERM))
        said = failed("train", "--out", tmp_path / "run", *SMALL)
    assert "stopped as asked" in said
    assert "--resume" in said
    assert document("train", "--out", tmp_path / "run", *SMALL, "--resume")["epochs"] == 2


def test_signal_ends_a_study(failed, tmp_path, monkeypatch):
    """The runs behind the stopped one are not begun."""
    file = tmp_path / "study.toml"
    file.write_text(f'config = "q2"\nout = "{tmp_path / "runs"}"\n[grid]\nseed = [0, 1, 2]\n')
    begun = []

    def train(config, out, **options):
        begun.append(out.name)

    monkeypatch.setattr("nets.train", train)
    said = failed("study", file)
    assert len(begun) == 1
    assert begun[0] in said
    assert "the same command goes on" in said
