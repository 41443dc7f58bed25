"""Every way a command can end has its exit status and one line."""

import errno

import pytest

from polymgnet.errors import TRACEBACK, Failure, guarded


def fail(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("degree is 0,\n  allowed 1 to 256"), 2, "polymgnet: degree is 0, allowed 1 to 256"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.json"), 2, "polymgnet: x.json: No such file or directory"),
        (FileExistsError("run exists"), 2, "polymgnet: run exists"),
        (Failure("did not converge"), 1, "polymgnet: did not converge"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "polymgnet: No space left on device"),
        (
            ModuleNotFoundError("No module named 'submitit'", name="submitit"),
            2,
            "polymgnet: this needs submitit: pip install 'polymgnet[slurm]'",
        ),
        (KeyboardInterrupt(), 130, "polymgnet: interrupted; finished work is kept, the same command goes on"),
        (TypeError("bad"), 70, "polymgnet: internal error, TypeError: bad; --traceback shows where, please report it"),
    ],
)
def test_one_line(error, status, line, capsys):
    assert guarded(fail(error)) == status
    captured = capsys.readouterr()
    assert captured.err == line + "\n"
    assert captured.out == ""


def test_status_of_success():
    assert guarded(lambda: None) == 0
    assert guarded(lambda: 1) == 1


def test_full_traceback_when_asked(capsys, monkeypatch):
    assert guarded(fail(ValueError("wrong")), full=True) == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv(TRACEBACK, "1")
    assert guarded(fail(ValueError("wrong"))) == 2
    assert "Traceback" in capsys.readouterr().err


def test_validation_error_is_one_line(capsys):
    from pydantic import BaseModel

    class Config(BaseModel):
        epochs: int

    assert guarded(lambda: Config(epochs="many") and 0) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "epochs" in err
    assert "'many'" in err
