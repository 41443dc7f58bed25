"""Help that names commands and registries, config, completion and version."""

import json
import re

import pytest

from mgtheory.families import FAMILIES
from mgtheory.problems.catalogue import PROBLEMS
from nets.models.registry import PATTERNS
from polymgnet.commands import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(run, command):
    result = run(command, "--help")
    assert result.status == 0
    assert "Usage: polymgnet " + command in result.out
    assert "--json" in result.out
    assert not set("{}") & set(result.out)
    out = re.sub("|".join(map(re.escape, PATTERNS)), "", result.out)
    assert not re.search(r"<\w+[\[>]", out)  # a type of Python's, as <list[Path]>
    assert run(command, "-h").out == result.out


def test_help_shows_patterns_whole(run, monkeypatch):
    """Of p<d>, the <d> is no tag of HTML that Markdown leaves out."""
    monkeypatch.setenv("COLUMNS", "200")
    out = run("models", "--help").out
    assert all(pattern in out for pattern in PATTERNS)
    assert "\\" not in out


def test_help_lists_every_command(run):
    out = run("--help").out
    assert all(name in out for name in COMMANDS)
    assert "<bool>" not in out
    assert "143 stopped by SIGTERM" in " ".join(out.split())
    assert run().out == out


def test_help_names_the_registries(run):
    out = " ".join(run("derive", "--help").out.replace("│", " ").split())
    assert ", ".join(FAMILIES) in out
    assert ", ".join(PROBLEMS) in out


def test_help_says_how_a_run_ends_and_starts(run):
    """The exit status of signals where training may be stopped; which A the theory's assumptions
    hold for."""
    for command in ("train", "study", "demo"):
        text = " ".join(run(command, "--help").out.split())
        assert "143 (SIGTERM)" in text
        assert "130 interrupted" in text.replace("│ ", "")
    text = " ".join(run("train", "--help").out.replace("│", " ").split())
    assert "init.operator=laplacian" in text
    assert "random, laplacian, shifted, keep" in text


def test_config_shows_every_key_and_prints_a_file(run, document, tmp_path):
    """What --json prints is a configuration with the same values; the tables name the registries
    and the value that --set gave."""
    data = document("config", "fast", "--set", "lr=0.2")
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(data))
    assert document("config", path) == data
    assert data["optim"]["lr"] == 0.2
    assert data["train"]["precision"] == "bf16"
    out = run("config", "fast", "--set", "lr=0.2").out
    assert {f"{section}.{key}" for section, keys in data.items() for key in keys} <= set(
        out.split()
    )
    assert "optim.lr                0.2 " in out
    assert "0 <= x < 1" in out
    assert "preact_resnet18" in out
    assert "relu_outside_nobn" in out


def test_the_shell_completes_commands_and_options(run, monkeypatch):
    monkeypatch.setenv("_POLYMGNET_COMPLETE", "complete_bash")
    for words, index, expected in (
        ("polymgnet e", 1, ["evaluate", "export"]),
        ("polymgnet train --res", 2, ["--resume"]),
        ("polymgnet export --to o", 3, ["onnx"]),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(index))
        assert run().out.split() == expected


def test_version(run):
    from polymgnet import __version__

    assert run("--version").out == f"polymgnet {__version__}\n"
