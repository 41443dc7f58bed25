"""Every way a command can end: an exit status and, where it is not 0, one line on stderr that says
what was given and what is allowed."""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from polymgnet.options import CLICK
from polymgnet.packages import Shadowed
from polymgnet.wording import worded

TRACEBACK = "POLYMGNET_TRACEBACK"
EXTRAS = {"numba": "fast", "pyamg": "pyamg"}
EXTRAS |= dict.fromkeys(("onnx", "onnxruntime", "onnxscript"), "export")
# a wrong value, file or folder of the user; everything else is a fault of the program and says so
WRONG_VALUE = (
    ValueError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
    Shadowed,
)
NO_NAME = (errno.ENAMETOOLONG, errno.ELOOP)  # what a path of the user's may be too
GO_ON = "finished work and any checkpoints are kept, the same command goes on"
# as a shell has them: 128 and the number of SIGINT, of SIGPIPE
INTERRUPTED, BROKEN_PIPE = 130, 141
FAULT = 70  # of the program
# how typer tells of a word that is no value of its option, and how every other line does
CHECKED = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "allowed is a whole"
    " number",
    "Input should be a valid number, unable to parse string as a number": "allowed is a number",
    "Input should be": "must be",
}


class Failure(Exception):
    """The work itself failed although every value was right; ends with exit status 1."""


class Stopped(Failure):
    """A signal asked the work to stop; whatever was to follow is not begun.

    Parameters
    ----------
    text
        What is kept and how to go on.
    number
        The signal; without one, the exit status is that of a failure.
    """

    def __init__(self, text: str = "stopped as asked", number: int | None = None) -> None:
        super().__init__(text, number)
        self.text, self.status = text, 1 if number is None else 128 + number

    def __str__(self) -> str:
        return self.text


@contextmanager
def on_interrupt(text: str | Callable[[], str]) -> Iterator[None]:
    """Ctrl-C within ends with this line, what is kept then and how to go on, and exit status
    130."""
    try:
        yield
    except KeyboardInterrupt:
        then = text if isinstance(text, str) else text()
        raise Stopped(f"interrupted; {then}", signal.SIGINT) from None


def one_line(error: BaseException) -> str:
    """What happened in one line, without the name of the exception."""
    fields = getattr(error, "errors", None)
    if callable(fields):  # pydantic's ValidationError
        return "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']} (got {e.get('input')!r:.80})"
            for e in fields()
        )
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or ''}: {error.strerror}".lstrip(": ")
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    return " ".join(text.split()) or type(error).__name__


def guarded(work: Callable[[], int | None], *, full: bool = False) -> int:
    """Run the work and turn every way it can end into an exit status, with one line on stderr where
    it is not 0.

    Parameters
    ----------
    work
        Returns an exit status, None for 0.
    full
        Show the whole traceback; the environment variable POLYMGNET_TRACEBACK asks for it too.
    """
    try:
        status = work() or 0
        try:
            sys.stdout.flush()  # a reader that has gone, or a full disk, is met here, not at exit
        except OSError:
            _silence(sys.stdout)
            raise
        return status
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # click's answer to it, with status 1
            return BROKEN_PIPE
        return end.code if isinstance(end.code, int) else 1
    except BrokenPipeError:  # the reader of stdout (head, less) has gone
        _silence(sys.stdout)
        return BROKEN_PIPE
    except (KeyboardInterrupt, typer.Abort):
        status, line = INTERRUPTED, "interrupted"
    except Exception as error:
        if full or os.environ.get(TRACEBACK, "") not in ("", "0"):
            traceback.print_exc()
        status, line = _end(error)
    try:
        # a fault of the program is reported as it came
        print(f"polymgnet: {line if status == FAULT else worded(line)}", file=sys.stderr)
    except OSError:  # nobody reads stderr; the status says it
        _silence(sys.stderr)
    return status


def _silence(stream: Any) -> None:
    """What is still buffered goes nowhere at exit, where Python would fail with it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _end(error: Exception) -> tuple[int, str]:
    """Exit status and line of an error: 2 for what the user gave, 1 for what the work or the
    machine met, 70 for a fault of the program."""
    line, torch = one_line(error), sys.modules.get("torch")
    if isinstance(error, CLICK):
        context = getattr(error, "ctx", None)
        path = "polymgnet" if context is None else context.command_path
        # pydantic's, whose value typer leaves out
        checked: list[Any] = getattr(error.__cause__, "errors", list)()
        for theirs, ours in CHECKED.items():
            line = line.replace(theirs, ours)
        line = line.rstrip(".")
        given = "".join(f", got {f['input']!r}" for f in checked if repr(f["input"]) not in line)
        return int(getattr(error, "exit_code", 2)), f"{line}{given} (see {path} --help)"
    if isinstance(error, WRONG_VALUE) or getattr(error, "errno", None) in NO_NAME:
        return 2, line
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        return 2, f"this needs {error.name}: pip install 'polymgnet[{EXTRAS[error.name]}]'"
    if torch is not None and isinstance(error, torch.OutOfMemoryError):  # a GPU's
        return 1, line
    # torch has no class of its own for the memory of a CPU
    if isinstance(error, MemoryError) or "can't allocate memory: " in line:
        about = line.rpartition("allocate memory: ")[2].removeprefix("MemoryError")
        return 1, f"out of memory: {about}".removesuffix(": ")
    # OSError: a full disk, a broken device; of ArithmeticError the class itself, which iterations
    # raise, and not a division by zero
    if isinstance(error, Failure | FloatingPointError | OSError) or type(error) is ArithmeticError:
        return getattr(error, "status", 1), line
    name = type(error).__name__
    return FAULT, f"internal error, {name}: {line}; --traceback shows where, please report it"


def reason(error: BaseException) -> str:
    """Why a run failed in one line, with the kind of the error unless it is a line of ours."""
    kind = "" if isinstance(error, Failure) else f"{type(error).__name__}: "
    return kind + one_line(error)
