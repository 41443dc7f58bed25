"""Every option and argument of every command refuses wrong values: one line, exit status 2, nothing
written."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.models import OptionInfo

from polymgnet.commands import COMMANDS, register
from polymgnet.commands.study import Engine
from polymgnet.options import Group

ROOT = Path(__file__).resolve().parents[2]
# what the command needs beside the option in question, so that this one alone is wrong
BASE = {
    "derive": "--family chebyshev --degree 2",
    "solve": "--n 7",
    "compare-smoothers": "--n 7 --degrees 1 --repeats 1",
    "train": "--out run --set epochs=1 --set width=2",
    "figures": "--theory --out pictures",
    "study": "study.toml",
}
FILES = {
    "notes.txt": "neither a folder nor a file of this program",
    "study.toml": 'config = "q2"\nout = "runs"\n[set]\nepochs = 1\nwidth = 2\n',
}
# by what the option takes; a path is wrong when something else lies there
WRONG = {
    int: ["x", "1.5", "", "-7"],
    float: ["x", "", "nan", "-1"],
    str: ["nonsense", ""],
    Path: ["notes.txt", "notes.txt/below"],
    Engine: ["nonsense", ""],
    bool: [],
}


def taken(annotation):
    """(type, how many values) of `list[int] | None`, `tuple[float, float]` and the like."""
    if isinstance(annotation, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    parts = get_args(annotation)
    return (parts[0], len(parts)) if parts else (annotation, 1)


def cases():
    """(command, option or argument, wrong value) over the whole registry."""
    for command, (function, _) in COMMANDS.items():
        for hint in get_type_hints(function, include_extras=True).values():
            if get_origin(hint) is Annotated:
                annotation, info = get_args(hint)
                kind, count = taken(annotation)
                # in Annotated the first name stands there
                option = [info.default] if isinstance(info, OptionInfo) else []
                for value in WRONG[kind]:
                    words = [*option, *[value] * count]
                    yield pytest.param(
                        command, words, id=" ".join([command, *(word or "''" for word in words)])
                    )


@pytest.mark.parametrize(("command", "words"), list(cases()))
def test_wrong_value(refused, monkeypatch, tmp_path, command, words):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    base = BASE.get(command, "").split() if words[0].startswith("--") else []
    refused(command, *base, *words)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == FILES


def test_a_new_subcommand_is_one_function_and_one_entry(monkeypatch, capsys):
    """Entered in its registry, it is in the help, reads its options, and names the registries in
    its own help."""

    def twice(
        family: Annotated[str, typer.Option("--family", help="One of {families}.")] = "mls",
    ) -> None:
        """Say a family two times.

        Example: polymgnet twice --family mls
        """
        print(family, family)

    monkeypatch.setitem(COMMANDS, "twice", (twice, "Multigrid"))
    app = typer.Typer(name="polymgnet", cls=Group)
    register(app)

    def said(*words):
        app(args=list(words), standalone_mode=False)
        return capsys.readouterr().out

    assert said("twice", "--family", "own") == "own own\n"
    assert "Say a family two times." in said("--help")
    assert "chebyshev4_opt" in said("twice", "--help")
    with pytest.raises(ValueError, match="--family has an empty value"):
        said("twice", "--family", "")
    assert len(app.registered_commands) == len(COMMANDS)


def test_threads_learn_how_to_wait_before_they_are_there():
    """The library of threads reads GOMP_SPINCOUNT when torch loads it; a policy of the user
    stands."""
    code = """
import os, sys
from polymgnet.cli import main
import polymgnet.commands
for more in ({}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        os.environ.pop(name, None)
    os.environ.update(more)
    main(["--version"])
    print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["1000 False", "7 False", "None False"]


def texts(path):
    """The texts of a source file, values within them as X, with whether an error is raised by
    them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    raised = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Raise)
              for part in ast.walk(node)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [v.value if isinstance(v, ast.Constant) else "X" for v in node.values]
            yield "".join(map(str, parts)), id(node) in raised
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, id(node) in raised


# files that speak to git and to Slurm, and one that is a command of its own
OTHERS = ("nets/training/environment.py", "polymgnet/study/queue.py", "polymgnet/study/slurm.py")
OTHERS += ("polymgnet/pretrained.py",)
PYTHON_ALONE = {"symmetric"}  # of as_preconditioner


def test_options_named_in_messages_exist():
    """In texts, --name is an option, of the command named before it if one is; what a refusal of
    the theory has as name='value' can be said on the command line too."""
    app = typer.Typer(cls=Group)
    register(app)
    commands = typer.main.get_command(app).commands
    has = {
        name: {"--help", *(flag for p in command.params for flag in p.opts)}
        for name, command in commands.items()
    }
    known = {"--version", "--traceback", "--import", "--flag", "--name"}.union(*has.values())
    named, keywords = set(), set()
    for package in ("mgtheory", "nets", "analysis", "figures", "polymgnet"):
        for path in (ROOT / package).rglob("*.py"):
            if str(path.relative_to(ROOT)) in OTHERS:
                continue
            for text, raised in texts(path):
                named |= {(flag, path) for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", text)}
                for command, rest in re.findall(r"polymgnet ([a-z-]+)((?: [^;:,.]*)?)", text):
                    said = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", rest))
                    assert said <= has.get(command, said), (path, text)
                if raised and package == "mgtheory":
                    keywords |= set(re.findall(r"\b([a-z_]+)=(?=['\"(]|$)", text))
    assert {(flag, path) for flag, path in named if flag not in known} == set()
    assert {"scaling", "coarsening", "axes"} <= keywords
    assert {f"--{name}" for name in keywords - PYTHON_ALONE} <= known


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands_and_options(shell, monkeypatch, run):
    """As its script asks; the hints that zsh shows hold no name of a registry's place."""
    words = {"tr": "train", "derive --sc": "--scaling", "train --co": "--config"}
    monkeypatch.setenv("_POLYMGNET_COMPLETE", f"complete_{shell}")
    for typed, expected in words.items():
        monkeypatch.setenv("COMP_WORDS", f"polymgnet {typed}")
        monkeypatch.setenv("COMP_CWORD", str(len(typed.split())))
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", f"polymgnet {typed}")
        out = run().out
        assert expected in re.findall(r"[\w-]+", out)
        assert not set("{}") & set(out)
    monkeypatch.setenv("_POLYMGNET_COMPLETE", f"source_{shell}")
    assert f"_POLYMGNET_COMPLETE=complete_{shell}" in run().out
