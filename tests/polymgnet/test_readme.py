"""What the README and the other texts say is true: its Python runs, its commands exist, its files
are there."""

import doctest
import re
import tomllib
from pathlib import Path

import pytest

from polymgnet.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_example(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    example = "".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    test = doctest.DocTestParser().get_doctest(example, {}, "README.md", "README.md", 0)
    assert test.examples
    assert doctest.DocTestRunner(optionflags=flags).run(test).failed == 0


def test_every_command_is_shown():
    named = set(re.findall(r"^polymgnet ([a-z-]+)", README, re.MULTILINE))
    assert named <= set(COMMANDS)
    assert named | {"demo"} == set(COMMANDS)


@pytest.mark.parametrize("line", re.findall(r"^polymgnet (.*)$", README, re.MULTILINE))
def test_options_exist(run, line):
    """Every option of the README's commands is one of the command's."""
    name, *words = line.split()
    usage = run(name, "--help").out
    assert all(word in usage for word in words if word.startswith("--"))


def test_study_example_is_read(tmp_path, monkeypatch):
    from polymgnet.study.plan import load_study

    monkeypatch.chdir(tmp_path)
    text = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)[0]
    (tmp_path / "study.toml").write_text(text)
    assert len(load_study(tmp_path / "study.toml").runs) == 9


def test_versions_agree():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_linked_files_exist():
    links = re.findall(r"\]\(((?!http)[^)]+)\)", README)
    assert {"CONTRIBUTING.md", "CITATION.cff", "LICENSE"} <= set(links)
    assert [link for link in links if not (ROOT / link).exists()] == []
