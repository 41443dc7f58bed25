"""Options that several subcommands share, with help that lists the registered names when it is
asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup


def _families() -> str:
    from mgtheory.families import FAMILIES

    return ", ".join(FAMILIES)


def _problems() -> str:
    from mgtheory.problems.problem import PROBLEMS

    return ", ".join(PROBLEMS)


def _smoothers() -> str:
    from mgtheory.smoothers import SMOOTHERS

    return ", ".join(SMOOTHERS)


def _recipes() -> str:
    from nets.config import list_recipes

    return ", ".join(list_recipes())


def _data() -> str:
    from nets.data.sources import SOURCES

    return ", ".join([*SOURCES, "folder:PATH"])


def _models() -> str:
    from nets.models.registry import PATTERNS, list_models

    return ", ".join([*list_models(), *PATTERNS])


def _placements() -> str:
    from nets.models.placements import PLACEMENTS

    return ", ".join(PLACEMENTS)


def _schemes() -> str:
    from nets.start.initialise import list_schemes

    return ", ".join([*list_schemes(), "none (they stay at 1)", "file:PATH"])


def _operators() -> str:
    from nets.start.operators import OPERATOR_STARTS

    return ", ".join(OPERATOR_STARTS)


def _backends() -> str:
    from polymgnet.solving import BACKENDS

    return ", ".join(BACKENDS)


# {name} in a help text -> the registered names; asked only when help is shown, so that starting
# stays quick
NAMES: dict[str, Callable[[], str]] = {
    "families": _families,
    "problems": _problems,
    "smoothers": _smoothers,
    "backends": _backends,
    "recipes": _recipes,
    "data": _data,
    "models": _models,
    "placements": _placements,
    "schemes": _schemes,
    "operators": _operators,
}


def filled(text: str | None) -> str | None:
    """The text with the registered names in the place of each {name} of `NAMES`."""
    for name, names in NAMES.items():
        if text and "{" + name + "}" in text:
            text = text.replace("{" + name + "}", names())
    return text


class Command(TyperCommand):
    """A subcommand whose help may name a registry, as in `{families}`, and whose options are not
    empty."""

    def invoke(self, ctx: Any) -> Any:
        """Run it; ValueError for an option with an empty value, as an unset variable of a shell
        leaves it."""
        for param in self.params:
            value = ctx.params.get(param.name)
            if value == "" or (isinstance(value, list) and "" in value):
                raise ValueError(
                    f"{param.opts[0]} has an empty value; give one, or leave the option out"
                )
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help with the registries' names filled in."""
        self.help = filled(self.help)
        for param in self.get_params(ctx):
            if hasattr(param, "help"):
                param.help = filled(param.help)
            if getattr(param, "is_flag", False):
                param.metavar = ""  # a flag takes no value
        super().format_help(ctx, formatter)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words after the command, RUN... and not {RUN}... as typer writes what is required."""
        return [
            piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)
        ]


class Group(TyperGroup):
    """The command itself, whose flags take no value."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help without `<bool>` behind the flags."""
        for param in self.get_params(ctx):
            if getattr(param, "is_flag", False):
                param.metavar = ""
        super().format_help(ctx, formatter)


Family = Annotated[
    str, typer.Option("--family", metavar="NAME", help="Polynomial family: {families}.")
]
Degree = Annotated[
    int,
    typer.Option(
        "--degree",
        metavar="K",
        help="Degree of the residual polynomial q = products with A per smoothing; 1 to 256.",
    ),
]
OptionalFamily = Annotated[
    str | None,
    typer.Option(
        "--family",
        metavar="NAME",
        help="Polynomial family: {families}; chebyshev4 if nothing is given.",
    ),
]
OptionalDegree = Annotated[
    int | None,
    typer.Option(
        "--degree",
        metavar="K",
        help="Degree of q = products with A per smoothing, 1 to 256; 2 if nothing is given.",
    ),
]
Smoother = Annotated[
    str | None,
    typer.Option("--smoother", metavar="NAME", help="A classical smoother instead: {smoothers}."),
]
Problem = Annotated[
    str, typer.Option("--problem", metavar="NAME", help="Model problem: {problems}.")
]
Points = Annotated[
    int,
    typer.Option(
        "--n", metavar="N", help="Unknowns per axis (for dirichlet the mesh width is 1/(N+1))."
    ),
]
Boundary = Annotated[
    str,
    typer.Option(
        "--boundary", metavar="KIND", help="Boundary conditions: dirichlet, neumann or periodic."
    ),
]
Pre = Annotated[
    int,
    typer.Option(
        "--pre", metavar="V1", min=0, help="Smoothings before the coarse-grid correction."
    ),
]
Post = Annotated[
    int,
    typer.Option(
        "--post", metavar="V2", min=0, help="Smoothings after the coarse-grid correction."
    ),
]
Init = Annotated[
    Path | None,
    typer.Option(
        "--init", metavar="FILE", help="Take the polynomial from a file that derive --out wrote."
    ),
]
Coarsening = Annotated[
    str | None,
    typer.Option(
        "--coarsening",
        metavar="KIND",
        help=(
            "Coarse operators: rediscretise (the scheme on the coarse grid) or galerkin (R A P); by"
            " default what suits the problem."
        ),
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document on stdout instead of tables; complex numbers are [re, im].",
    ),
]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help=(
            "Change one value of the configuration: a dotted key (optim.lr) or a short one (lr,"
            " epochs, seed, width). May be repeated."
        ),
    ),
]


def size(problem: str, n: int | None, default: dict[int, int]) -> int:
    """n, or the default of the problem's dimension where none was given; an unknown problem is
    refused where it is made."""
    from mgtheory.problems.problem import PROBLEMS

    return n if n is not None else default[PROBLEMS[problem].dim if problem in PROBLEMS else 2]
