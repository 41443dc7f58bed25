"""The subcommands, a file each; a new one is one function and one line here."""

from collections.abc import Callable
from typing import Any

import typer

from polymgnet.commands import (
    analyze,
    compare_smoothers,
    config,
    demo,
    derive,
    evaluate,
    export,
    figures,
    lfa,
    models,
    predict,
    report,
    solve,
    study,
    train,
)
from polymgnet.options import Command

# name -> (function, heading under which --help lists it)
COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "derive": (derive.derive, "Multigrid"),
    "solve": (solve.solve, "Multigrid"),
    "lfa": (lfa.lfa, "Multigrid"),
    "compare-smoothers": (compare_smoothers.compare_smoothers, "Multigrid"),
    "config": (config.config, "Networks"),
    "models": (models.models, "Networks"),
    "train": (train.train, "Networks"),
    "analyze": (analyze.analyze, "Networks"),
    "predict": (predict.predict, "Networks"),
    "evaluate": (evaluate.evaluate, "Networks"),
    "export": (export.export, "Networks"),
    "figures": (figures.figures, "Networks"),
    "report": (report.report, "Networks"),
    "study": (study.study, "Networks"),
    "demo": (demo.demo, "Everything at once"),
}


def register(app: typer.Typer) -> None:
    """Add every subcommand to the application, once."""
    if not app.registered_commands:
        for name, (function, heading) in COMMANDS.items():
            app.command(name, cls=Command, rich_help_panel=heading)(function)
