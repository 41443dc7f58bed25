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


WITH_ROWS = """
config = "q2"
out = "{out}"
rows = "rows"
[set]
epochs = 1
width = 2
tensorboard = false
[grid]
seed = [0, 1]
start = ["constant", "chebyshev4"]
[scale.small.grid]
start = [
    {{ label = "one", "init.scheme" = "constant" }},
    {{ label = "other", "init.scheme" = "chebyshev4", "model.placement" = "plain" }},
]
[scale.large]
config = "digits"
about = "More of it."
[scale.large.set]
width = 4
[scale.large.grid]
seed = [0, 1, 2]
start = [{{ label = "one", "init.scheme" = "constant" }}]
[report]
title = "Which?"
about = "What starts best?"
compare = "start"
measures = ["train_loss"]
candidate = "one"
"""


@pytest.fixture
def rows_file(tmp_path):
    """A study with rows: two starts at two scales, whose page asks for the better one."""
    path = tmp_path / "which.toml"
    path.write_text(WITH_ROWS.format(out=tmp_path / "runs"))
    return path


@pytest.fixture
def trained(monkeypatch):
    """nets.train replaced: the loss is a known function of the settings, and placement plain
    diverges for seed 1."""
    calls = []

    def train(config, out, *, resume, progress, callback, stop):
        calls.append(out.name)
        seed, scheme = config.train.seed, config.init.scheme
        if config.model.placement == "plain" and seed == 1:
            raise FloatingPointError("the loss is not finite at step 3")
        out.mkdir(parents=True, exist_ok=True)
        loss = 1.0 + 0.25 * seed + (1.0 if scheme == "chebyshev4" else 0.0)
        by = {"revision": "abc", "torch": "2", "device": "cpu (x)", "threads": 1, "host": "here"}
        summary = {"train_loss": loss, "test_accuracy": 0.5, "seconds": 2.0, "parameters": 7}
        (out / "summary.json").write_text(json.dumps({**summary, "environment": by}))
        (out / "init.json").write_text(json.dumps({"levels": [{"max_modulus": 8.0}]}))
        (out / "data.json").write_text(json.dumps({"images": {"test": 359}}))

    monkeypatch.setattr("nets.train", train)
    return calls
