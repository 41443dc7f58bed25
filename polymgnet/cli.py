"""The command `polymgnet`, whose subcommands are in `polymgnet.commands`."""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from polymgnet.console import open_streams, short_warnings
from polymgnet.errors import INTERRUPTED, guarded
from polymgnet.options import Group, option
from polymgnet.packages import load_own, prefer_own

app = typer.Typer(
    name="polymgnet",
    cls=Group,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Start with: polymgnet demo. Every command explains itself, as in: polymgnet derive --help."
        " Of an option that is given twice the last counts, unless its help says that it may be"
        " repeated."
        " Exit status: 0 done, 1 the work failed, 2 a wrong value, 130 interrupted by Ctrl-C, 143"
        " stopped by SIGTERM."
    ),
)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, option("--version", "Print the version and stop.")] = False,
    own: Annotated[
        Path | None,
        option(
            "--import FILE.py",
            "Run a Python file of yours first, before COMMAND: the families, smoothers, placements,"
            " problems and models that it registers are known then. POLYMGNET_IMPORT in the"
            " environment names one too.",
        ),
    ] = None,
    traceback: Annotated[
        bool, option("--traceback", "For developers: show where an error came from.")
    ] = False,
) -> None:
    """Multigrid theory and neural networks joined.

    Derive polynomial smoothers, check them by Fourier analysis, solve Poisson problems with them,
    start networks from them, and see what training made of them.
    """
    if version:
        from polymgnet import __version__

        print(f"polymgnet {__version__}")
        raise typer.Exit
    if own is not None:
        load_own(own)
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; exit status 0 done, 1 failed, 2 a wrong value, 128 + n by signal n."""
    # Threads that wait for each other spin: on a machine that is busy with other work 7 to 18 times
    # slower, against 5 % on an idle one for sleeping so soon (digits, 2 cores).
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)
    full = "--traceback" in given[:end]
    open_streams()
    kept = [word for k, word in enumerate(given) if k >= end or word != "--traceback"]
    with nullcontext() if full else short_warnings():
        return guarded(lambda: _run(kept), full=full)


@cache
def _command() -> Any:
    """The command with all subcommands; to make it takes longer than to read a line."""
    from polymgnet import commands

    commands.register(app)
    return typer.main.get_command(app)


def _run(words: Sequence[str]) -> int | None:
    prefer_own()
    given = {"args": words, "obj": words}  # the latter for pages, which name their command
    status: int | None = _command()(**given, prog_name="polymgnet", standalone_mode=False)
    if status == INTERRUPTED:  # typer's answer to Ctrl-C, without a line
        raise KeyboardInterrupt
    return status
