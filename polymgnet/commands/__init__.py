"""The subcommands, one group of them per module; a new subcommand is one function and one line
here."""

from collections.abc import Callable
from typing import Any

import typer

from polymgnet.commands import compare, config, derive, lfa, runs, solve, training
from polymgnet.options import Command

# name -> (function, heading under which --help lists it)
COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "derive": (derive.derive, "Multigrid"),
    "solve": (solve.solve, "Multigrid"),
    "lfa": (lfa.lfa, "Multigrid"),
    "compare-smoothers": (compare.compare_smoothers, "Multigrid"),
    "config": (config.config, "Networks"),
    "train": (training.train, "Networks"),
    "analyze": (training.analyze, "Networks"),
    "figures": (training.figures, "Networks"),
    "study": (runs.study, "Networks"),
    "demo": (runs.demo, "Everything at once"),
}


def register(app: typer.Typer) -> None:
    """Add every subcommand to the application, once."""
    if not app.registered_commands:
        for name, (function, heading) in COMMANDS.items():
            app.command(name, cls=Command, rich_help_panel=heading)(function)
