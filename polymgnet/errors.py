"""Every way a command can end: an exit status and, where it is not 0, one line on stderr that says
what was given and what is allowed."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer

TRACEBACK = "POLYMGNET_TRACEBACK"
EXTRAS = {"numba": "fast", "submitit": "slurm", "pyamg": "bench"}
# a wrong value, file or folder of the user; everything else is a fault of the program and says so
WRONG_VALUE = (
    ValueError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
# the common base of all usage errors, wherever this typer keeps it
CLICK = typer.BadParameter.__mro__[2]


class Failure(Exception):
    """The work itself failed although every value was right; ends with one line and exit status
    1."""


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
def on_interrupt(text: str) -> Iterator[None]:
    """Ctrl-C within ends the command with this line, what is kept and how to go on, and exit status
    130."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(f"interrupted; {text}", signal.SIGINT) from None


def one_line(error: BaseException) -> str:
    """What happened in one line, without the name of the exception."""
    fields = getattr(error, "errors", None)
    if callable(fields):  # pydantic's ValidationError
        parts = [
            f"{'.'.join(str(part) for part in e['loc']) or 'value'}: {e['msg']} (got"
            f" {e.get('input')!r:.80})"
            for e in fields()
        ]
        return "; ".join(parts)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or ''}: {error.strerror}".lstrip(": ")
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    return " ".join(text.split()) or type(error).__name__


def _say(text: str, *, command: str) -> None:
    print(f"{command}: {text}", file=sys.stderr)


def _given(error: BaseException, words: Sequence[str]) -> str:
    """What stood on the command line for the option that a usage error is about, where its own
    message does not say."""
    for name in getattr(getattr(error, "param", None), "opts", ()):
        for k, word in enumerate(words):
            value = (
                word.partition("=")[2]
                if word.startswith(f"{name}=")
                else words[k + 1]
                if word == name and k + 1 < len(words)
                else ""
            )
            if value and value not in str(error):
                return f", got {value!r}"
    return ""


def guarded(
    work: Callable[[], int | None],
    *,
    command: str = "polymgnet",
    full: bool = False,
    words: Sequence[str] = (),
) -> int:
    """Run the work and turn every way it can end into an exit status, with one line on stderr where
    it is not 0.

    Parameters
    ----------
    work
        Returns an exit status, None for 0.
    command
        What the line begins with.
    words
        The command line, to name what was given.
    full
        Show the whole traceback; the environment variable POLYMGNET_TRACEBACK asks for it too.
    """
    full = full or os.environ.get(TRACEBACK, "") not in ("", "0")
    try:
        return work() or 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BrokenPipeError:  # the reader of stdout (head, less) has gone
        # what is still buffered goes nowhere at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted", command=command)
        return 130
    except Exception as error:
        if full:
            traceback.print_exc()
        if isinstance(error, CLICK):
            _say(
                f"{one_line(error)}{_given(error, words)} (see {_path(error, command)} --help)",
                command=command,
            )
            return int(getattr(error, "exit_code", 2))
        # torch's, of a CPU
        if type(error) is RuntimeError and "alloc" in str(error) and "memory" in str(error):
            error = MemoryError(
                one_line(error).partition("allocate memory: ")[2] or one_line(error)
            )
        if isinstance(error, Failure | FloatingPointError | MemoryError) or type(error) in (
            ArithmeticError,
            _out_of_memory(),
        ):
            _say(
                ("out of memory: " if isinstance(error, MemoryError) else "") + one_line(error),
                command=command,
            )
            return getattr(error, "status", 1)
        if isinstance(error, WRONG_VALUE):
            _say(one_line(error), command=command)
            return 2
        if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
            _say(
                f"this needs {error.name}: pip install 'polymgnet[{EXTRAS[error.name]}]'",
                command=command,
            )
            return 2
        if isinstance(error, OSError):  # a full disk, a broken device
            _say(one_line(error), command=command)
            return 1
        _say(
            f"internal error, {type(error).__name__}: {one_line(error)}; --traceback shows where,"
            " please report it",
            command=command,
        )
        return 70


def _out_of_memory() -> type[BaseException] | None:
    """torch's error for a device whose memory is used up; None where torch was not needed."""
    return getattr(sys.modules.get("torch"), "OutOfMemoryError", None)


def _path(error: Exception, command: str) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else command
