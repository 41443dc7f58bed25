"""Every way a command can end has its exit status and one line."""

import errno
import pickle
import signal

import pytest
import torch

from polymgnet.errors import TRACEBACK, Failure, Stopped, guarded, on_interrupt


def fail(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (
            ValueError("degree is 0,\n  allowed 1 to 256"),
            2,
            "polymgnet: degree is 0, allowed 1 to 256",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "x.json"),
            2,
            "polymgnet: x.json: No such file or directory",
        ),
        (FileExistsError("run exists"), 2, "polymgnet: run exists"),
        (Failure("did not converge"), 1, "polymgnet: did not converge"),
        (
            FloatingPointError("the loss is nan\nat step 3"),
            1,
            "polymgnet: the loss is nan at step 3",
        ),
        (
            ArithmeticError("the iteration did not converge"),
            1,
            "polymgnet: the iteration did not converge",
        ),
        (
            ZeroDivisionError("a fault"),
            70,
            (
                "polymgnet: internal error, ZeroDivisionError: a fault; --traceback shows where,"
                " please report it"
            ),
        ),
        (
            MemoryError("Unable to allocate 8. EiB"),
            1,
            "polymgnet: out of memory: Unable to allocate 8. EiB",
        ),
        (
            torch.OutOfMemoryError("out of memory,\ntried 2 GiB"),
            1,
            "polymgnet: out of memory, tried 2 GiB",
        ),
        (
            Stopped("stopped as asked; --resume goes on"),
            1,
            "polymgnet: stopped as asked; --resume goes on",
        ),
        (Stopped("the state is saved", signal.SIGTERM), 143, "polymgnet: the state is saved"),
        (
            OSError(errno.ENOSPC, "No space left on device", "run/model.tmp"),
            1,
            "polymgnet: run/model.tmp: No space left on device",
        ),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "xx"),
            2,
            "polymgnet: xx: File name too long",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "polymgnet: No space left on device"),
        (
            ModuleNotFoundError("No module named 'numba'", name="numba"),
            2,
            "polymgnet: this needs numba: pip install 'polymgnet[fast]'",
        ),
        (KeyboardInterrupt(), 130, "polymgnet: interrupted"),
        (
            TypeError("bad"),
            70,
            "polymgnet: internal error, TypeError: bad; --traceback shows where, please report it",
        ),
    ],
)
def test_one_line(error, status, line, capsys):
    assert guarded(fail(error)) == status
    captured = capsys.readouterr()
    assert captured.err == line + "\n"
    assert captured.out == ""


def test_interrupted_work_says_how_to_go_on(capsys):
    with_line = on_interrupt("what was saved is kept")(fail(KeyboardInterrupt()))
    assert guarded(with_line) == 130
    assert capsys.readouterr().err == "polymgnet: interrupted; what was saved is kept\n"


def test_a_stop_crosses_processes():
    """What a worker raises reaches the study with its line and its status."""
    there = pickle.loads(pickle.dumps(Stopped("saved", signal.SIGTERM)))
    assert (str(there), there.status) == ("saved", 143)


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


def test_memory_of_a_cpu_that_does_not_suffice_is_no_internal_error(capsys):
    def allocate():
        torch.empty(1 << 60, dtype=torch.uint8)

    assert guarded(allocate) == 1
    assert capsys.readouterr().err.startswith("polymgnet: out of memory: ")
