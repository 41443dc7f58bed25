"""Run the command line in this process and look at what it says."""

import json
from types import SimpleNamespace

import pytest

from polymgnet.cli import main


@pytest.fixture
def run(capsys):
    """run("derive", "--degree", "3", ...) -> status, out, err; options separated as a shell
    would."""

    def call(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return SimpleNamespace(status=status, out=captured.out, err=captured.err)

    return call


@pytest.fixture
def document(run):
    """The one JSON document that a command prints with --json."""

    def call(*words, status=0):
        result = run(*words, "--json")
        assert result.status == status, result.err
        return json.loads(result.out)

    return call


@pytest.fixture
def refused(run):
    """The one line of a command that must end with exit status 2 and print nothing else."""

    def call(*words):
        result = run(*words)
        assert result.status == 2, (result.status, result.err)
        assert result.out == ""
        assert result.err.count("\n") == 1, result.err
        assert result.err.endswith("\n")
        assert "Traceback" not in result.err
        assert "internal error" not in result.err
        return result.err

    return call


@pytest.fixture(autouse=True)
def no_pages(request, monkeypatch):
    """What trains ends without its page, which takes a second, where a test does not ask for
    `pages`."""
    if "pages" not in request.fixturenames:
        for name in ("train", "study", "demo"):
            monkeypatch.setattr(f"polymgnet.commands.{name}.page_at_end", lambda *_, **__: None)


@pytest.fixture
def pages():
    """What trains ends with its page, as it does for users."""


@pytest.fixture(autouse=True)
def wide_tables(monkeypatch):
    """Parallel test workers set COLUMNS to a terminal's width, which folds tables; without it they
    keep their own."""
    monkeypatch.delenv("COLUMNS", raising=False)


STUDY = """
config = "q2"
out = "{out}"
[set]
epochs = 1
width = 2
tensorboard = false
"optim.lr" = 0.05
[grid]
"init.scheme" = ["constant", "chebyshev4"]
seed = [0, 1]
"""


@pytest.fixture
def study_file(tmp_path):
    """A study of two starts and two seeds, each run an epoch on the digits."""
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(out=tmp_path / "runs"))
    return path
