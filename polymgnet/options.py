"""Options that several subcommands share, with help that lists the registered names when it is
asked for."""

import re
from collections.abc import Mapping
from copy import copy
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

# the common base of all usage errors, wherever this typer keeps it
CLICK: Any = typer.BadParameter.__mro__[2]

# {name} in a help text -> where the registered names stand ("module:attribute", a collection or a
# function that returns one); read only when help is shown, so that starting stays quick
NAMES = {
    "families": "mgtheory.families:FAMILIES",
    "problems": "mgtheory.problems.catalogue:PROBLEMS",
    "smoothers": "mgtheory.smoothers:SMOOTHERS",
    "engines": "mgtheory.export.engines:TARGETS",
    "kinds": "polymgnet.commands.export:kinds",
    "backends": "polymgnet.backends:BACKENDS",
    "recipes": "nets.config:list_recipes",
    "data": "nets.data.sources:SOURCES",
    "models": "nets.models.registry:list_models",
    "patterns": "nets.models.registry:PATTERNS",
    "shipped": "nets.models.pretrained:shipped",
    "placements": "nets.models.placements:PLACEMENTS",
    "schemes": "nets.start.schemes:list_schemes",
    "operators": "nets.start.operators:OPERATOR_STARTS",
}
# what may stand beside the registered names
BESIDE = {
    "data": "folder:PATH",
    "problems": (
        "with numbers of your own as rotated2d:epsilon=0.01,angle=30 or convection2d:peclet=9"
    ),
    "schemes": "none (they stay at 1), file:PATH",
}


def names(kind: str) -> str:
    """The registered names of a kind, in one line."""
    module, _, attribute = NAMES[kind].partition(":")
    found = getattr(import_module(module), attribute)
    listed = found() if callable(found) else found
    return ", ".join([*listed, *([BESIDE[kind]] if kind in BESIDE else [])])


def filled(text: str | None, *, markdown: bool = False) -> str | None:
    """The text with the registered names in the place of each {name} of `NAMES`; in Markdown a <d>
    within them is no tag."""
    for kind in NAMES:
        if text and f"{{{kind}}}" in text:
            listed = names(kind)
            text = text.replace(f"{{{kind}}}", listed.replace("<", r"\<") if markdown else listed)
    return text


def refuse_empty(words: list[str]) -> None:
    """ValueError for an empty value, as an unset variable of a shell leaves it, and which Path
    takes for the working directory."""
    for before, word in zip(["", *words], words):
        name, sign, value = word.partition("=")
        if word and not (name.startswith("--") and sign and not value):
            continue
        name = name or (before if before.startswith("-") else "an argument")
        raise ValueError(f"{name} has an empty value; give one, or leave it out")


class Command(TyperCommand):
    """A subcommand whose help may name a registry, as in `{families}`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; ValueError for --import, which is the command's own."""
        if any(word.partition("=")[0] == "--import" for word in args):
            raise ValueError(
                "--import stands before the command: polymgnet --import FILE.py"
                f" {ctx.info_name} ..."
            )
        try:
            return super().parse_args(ctx, args)
        except CLICK as error:
            error.ctx = ctx  # of an option without its value click names no command to ask
            raise

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """What a shell offers, its hints without the registries' names, whose imports take time."""
        items = super().shell_complete(ctx, incomplete)
        for item in items:
            item.help = re.sub(r"(?: of| or)?[:,]? ?\(?\{\w+\}\)?", "", item.help or "")
        return items

    def shown(self, ctx: Any) -> "Command":
        """The command as its help shows it, with the names that the registries have now."""
        shown = copy(self)
        shown.help = filled(self.help)
        shown.params = [copy(param) for param in self.params]
        params: list[Any] = shown.get_params(ctx)
        for param in params:
            if hasattr(param, "help"):
                param.help = filled(param.help, markdown=True)
            if "{" in (param.metavar or ""):  # a choice; broken between its words
                param.metavar = str(filled(param.metavar)).replace(", ", " | ")
            if getattr(param, "is_flag", False):
                param.metavar = ""  # a flag takes no value
            if param.param_type_name == "argument":  # <list[Path]> beside RUN... helps nobody
                param.display_type_rich = lambda ctx: None
        return shown

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help with the registries' names filled in."""
        super(Command, self.shown(ctx)).format_help(ctx, formatter)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words after the command, RUN... and not {RUN}... as typer writes what is required."""
        return [
            piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)
        ]


class Group(TyperGroup):
    """The command itself, whose flags take no value, and whose words are not empty."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; ValueError for an empty value."""
        refuse_empty(args)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help without `<bool>` behind the flags."""
        for param in self.get_params(ctx):
            if getattr(param, "is_flag", False):
                param.metavar = ""
        super().format_help(ctx, formatter)


def option(usage: str, text: str, **limits: Any) -> Any:
    """An option as help shows it: "--name METAVAR", or "--flag", and what it is for."""
    flag, _, metavar = usage.partition(" ")
    return typer.Option(flag, metavar=metavar or None, help=text, **limits)


Family = Annotated[str, option("--family NAME", "Polynomial family: {families}.")]
Degree = Annotated[
    int,
    option(
        "--degree K",
        "Degree of the residual polynomial q = products with A per smoothing; 1 to 256.",
    ),
]
OptionalFamily = Annotated[
    str | None,
    option(
        "--family NAME",
        "Polynomial family: {families}; if nothing is given chebyshev, of an A that is not"
        " symmetric harmonic_ritz.",
    ),
]
OptionalDegree = Annotated[
    int | None,
    option(
        "--degree K",
        "Degree of q = products with A per smoothing, 1 to 256; if nothing is given 2 (3 where A is"
        " not symmetric), which solve raises by one on each coarser level, up to 6.",
    ),
]
Smoother = Annotated[
    str | None, option("--smoother NAME", "A classical smoother instead: {smoothers}.")
]
Problem = Annotated[
    str | None,
    option("--problem NAME", "Model problem, poisson2d if nothing is given: {problems}."),
]
Points = Annotated[
    int | None,
    option("--n N", "Unknowns per axis, by default 255 (for dirichlet the mesh width is 1/(N+1))."),
]
Boundary = Annotated[
    str | None,
    option(
        "--boundary KIND",
        "Boundary conditions: dirichlet, neumann or periodic; by default dirichlet, of a matrix as"
        " it has them.",
    ),
]
Matrix = Annotated[
    Path | None,
    option(
        "--matrix FILE",
        "Your own matrix in the place of a model problem: .mtx (Matrix Market), or .npz as"
        " scipy.sparse.save_npz writes it.",
    ),
]
Shape = Annotated[
    str | None,
    option(
        "--shape SIZES",
        "Of --matrix: unknowns per axis, as 63x63, in the order of its rows, the last axis"
        " fastest.",
    ),
]
MODEL, SIDES = "poisson2d", "dirichlet"  # where neither a problem nor a matrix is given
STEPS: dict[str, Any] = {"min": 0, "max": 1000}  # smoothings; more is no cycle, and never ends
Pre = Annotated[int, option("--pre V1", "Smoothings before the coarse-grid correction.", **STEPS)]
Post = Annotated[int, option("--post V2", "Smoothings after the coarse-grid correction.", **STEPS)]
Init = Annotated[
    Path | None, option("--init FILE", "Take the polynomial from a file that derive --out wrote.")
]
COARSE_OPERATORS = (
    "Coarse operators: rediscretise (the scheme on the coarse grid) or galerkin (R A P); by default"
    " what suits the problem."
)
Coarsening = Annotated[
    str | None,
    option(
        "--coarsening KIND",
        f"{COARSE_OPERATORS} pyamg: for --matrix without a grid, as a graph's.",
    ),
]
Axes = Annotated[
    str,
    option(
        "--axes AXES",
        "Axes that are coarsened: auto (the strongly coupled ones), all, or their letters, as x"
        " or xz; x is the first.",
    ),
]
Report = Annotated[
    Path | None,
    option("--report FILE", "Write a page that explains the result, a .html file for the browser."),
]
Force = Annotated[bool, option("--force", "Overwrite what is there.")]
Json = Annotated[
    bool,
    option(
        "--json",
        "Print one JSON document on stdout instead of tables; complex numbers are [re, im].",
    ),
]

Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A run folder that train wrote, or weights of the package: {shipped}.",
    ),
]
Settings = Annotated[
    list[str] | None,
    option(
        "--set KEY=VALUE",
        "Change one value of the configuration: a dotted key (optim.lr) or a short one (lr,"
        " epochs, seed, width). May be repeated.",
    ),
]


def model_problem(name: str, n: int | None, default: Mapping[int, int], boundary: str) -> Any:
    """The problem of --problem, --n and --boundary; without --n of the default size of its
    dimension."""
    from mgtheory.problems import grids
    from mgtheory.problems.catalogue import create, find_problem

    entry, _ = find_problem(name)
    if n is None:
        n = default[entry.dim]
    grids.check_points(n, grids.check_boundary(boundary), "--n")
    return create(name, n=n, boundary=boundary)


def axes_of(text: str, dim: int | None = None) -> str | tuple[int, ...]:
    """What --axes names: auto, all, or numbers from letters, those of `dim` axes where that is
    known."""
    if text in ("auto", "all"):
        return text
    letters = "xyz"[:dim]
    if not text or set(text) - set(letters) or len(set(text)) < len(text):
        several = "letters such as x or xz" if dim is None else f"letters of {letters}, each once"
        raise ValueError(f"--axes is {text!r}, allowed are auto, all, or {several}")
    return tuple(sorted(letters.index(letter) for letter in text))


def check_coarsening(coarsening: str | None, matrix: Path | None, backend: str) -> None:
    """ValueError for --coarsening pyamg of a model problem; other backends have none at all."""
    if coarsening == "pyamg" and matrix is None and backend == "sparse":
        raise ValueError(
            "--coarsening is pyamg, which belongs to --matrix; of a model problem allowed are"
            " rediscretise and galerkin"
        )


def one_of(options: Mapping[str, Any]) -> list[str]:
    """The name of the one option that is given, if any; ValueError where several are."""
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise ValueError(
            f"{' and '.join(given)} are given; only one of {', '.join(options)} is allowed"
        )
    return given


def chosen(
    *, family: str | None, degree: int | None, init: Path | None, smoother: str | None
) -> tuple[str, Any]:
    """What to call the one smoother that was asked for, and its description or coefficients; None
    for the default of a hierarchy, whose degrees grow, if nothing was."""
    from mgtheory import InitialCoefficients, smoothers
    from mgtheory._checks import check_name
    from mgtheory.families import FAMILIES

    given = one_of({"--family": family, "--init": init, "--smoother": smoother})
    if degree is not None and (init is not None or smoother is not None):
        raise ValueError(f"--degree belongs to --family; {given[0]} has a degree of its own")
    if init is not None:
        return str(init), InitialCoefficients.load(init)
    if smoother is not None:
        if smoother in FAMILIES:
            raise ValueError(f"{smoother!r} is a polynomial family; write --family {smoother}")
        check_name(smoothers.spelled(smoother), list(smoothers.SMOOTHERS), "smoother")
        return smoothers.spelled(smoother), smoothers.smoother(smoother)
    if family is None and degree is None:
        return smoothers.DEFAULT, None
    return family or smoothers.DEFAULT, smoothers.smoother(family or smoothers.DEFAULT, degree)
