"""Pages of the site that are made from the code: a reference page for every public module, the
command's reference, and the gallery of the examples."""

import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import typer
from typer.cli import get_docs_for_click

from polymgnet import cli, commands

PACKAGES = ("mgtheory", "nets", "analysis", "figures", "polymgnet")
# what `nets.DeviceHierarchy` has of Triton, and imports it
WITHOUT = ("nets.pde.fused", "nets.pde.kernels")


@cache
def modules() -> tuple[str, ...]:
    """Names of all public modules, in the order of imports."""
    found: list[str] = []
    for package in PACKAGES:
        inside = walk_packages(import_module(package).__path__, f"{package}.")
        found += [package, *(module.name for module in inside if "._" not in module.name)]
    return tuple(name for name in found if name not in WITHOUT)


@cache
def offered() -> list[tuple[str, str, str, str]]:
    """(package, name, where it is documented, its first line) of all that packages offer."""
    return list(_offered())


def _offered() -> Iterator[tuple[str, str, str, str]]:
    for package in modules():
        for name in getattr(import_module(package), "__all__", ()):
            value = getattr(import_module(package), name)
            if inspect.isroutine(value) or inspect.isclass(value):
                yield package, name, f"{value.__module__}.{value.__qualname__}", first(value)
            else:  # a value does not know its module: the one that assigns it
                home = next((m for m in modules() if _assigns(m, name)), None)
                if home:
                    yield package, name, f"{home}.{name}", ""


def _assigns(module: str, name: str) -> bool:
    return bool(re.search(rf"^{name}\b.* = ", inspect.getsource(import_module(module)), re.M))


def first(value: object) -> str:
    """The first sentence of a docstring, as text."""
    paragraph = " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())
    return escaped(re.split(r"(?<=[.:;]) ", paragraph)[0].rstrip(".:;"))


def api_pages() -> dict[str, str]:
    """The text of the page of every module, and of the one above them all."""
    pages = {f"api/{name}.rst": _module_page(name) for name in modules()}
    top = "\n".join(f"   {name}" for name in PACKAGES)
    rows = "\n".join(f":py:mod:`{name}`\n   {first(import_module(name))}" for name in PACKAGES)
    pages["api/index.rst"] = (
        f"{heading('Reference of the packages')}\n{rows}\n\n.. toctree::\n   :hidden:\n\n{top}\n"
    )
    return pages


def heading(text: str) -> str:
    """A title of reStructuredText."""
    return f"{text}\n{'=' * len(text)}\n"


def _module_page(name: str) -> str:
    page = f"{heading(name)}\n.. automodule:: {name}\n"
    public = [f"`{n} <{home}>`\n   {line or '…'}" for p, n, home, line in offered() if p == name]
    below = [m for m in modules() if m.rpartition(".")[0] == name]
    if public:
        page += f"\n.. rubric:: Offered by ``{name}``\n\n" + "\n".join(public) + "\n"
    if below:
        lines = "\n".join(f":py:mod:`{m}`\n   {first(import_module(m))}" for m in below)
        page += f"\n.. rubric:: Modules\n\n{lines}\n\n.. toctree::\n   :hidden:\n\n"
        page += "".join(f"   {m}\n" for m in below)
    return page


def escaped(text: str) -> str:
    """A line of a docstring as reStructuredText: nothing but backticks has a meaning, so that |q|,
    ||E||_A and x* are what they look like."""
    parts = re.split(r"(`+[^`]+`+)", text)
    parts[::2] = [re.sub(r"[\\|*]|_(?=\W|$)", r"\\\g<0>", part) for part in parts[::2]]
    parts[2::2] = [re.sub(r"^(?=\w)", r"\\ ", part) for part in parts[2::2]]  # `Name`s
    return "".join(parts)


def command_page() -> str:
    """What `polymgnet COMMAND --help` says of every command."""
    commands.register(cli.app)
    group = typer.main.get_command(cli.app)
    page = "# Command reference\n\nMade from the command itself: this is what `polymgnet COMMAND"
    page += " --help` says.\n\n"
    for name, command in group.commands.items():
        context = typer.Context(command, info_name=f"polymgnet {name}")
        shown = command.shown(context)
        page += get_docs_for_click(obj=shown, ctx=context, indent=1, call_prefix="polymgnet")
    return re.sub(r"^(Examples?: )(polymgnet .*)$", r"\1`\2`", page, flags=re.M)


def gallery_page(root: Path) -> str:
    """docs/gallery.md with a card for every example, its words from the table in examples/."""
    table = (root / "examples/README.md").read_text("utf-8")
    cards = "".join(
        f"\n:::{{grid-item-card}} {_title(root / 'examples' / name)}\n"
        f":img-top: ../examples/{Path(name).stem}.png\n:link: /examples/{Path(name).stem}\n"
        f":link-type: doc\n\n{what}\n:::\n"
        for name, what in re.findall(r"^\| \[(\w+\.py)\]\(\1\) \| (.*) \|$", table, re.M)
    )
    page = (root / "docs/gallery.md").read_text("utf-8")
    return page.replace("{{ examples }}", f"::::{{grid}} 1 2 2 3\n:gutter: 3\n{cards}\n::::")


def _title(example: Path) -> str:
    found = re.search(r'^"""# (.*)$', example.read_text("utf-8"), re.M)
    assert found, f"{example.name} has no title"
    return found[1]
