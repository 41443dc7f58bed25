"""The benchmark of training's speed, as far as a processor goes in seconds."""

import importlib
import sys
from pathlib import Path

import pytest


@pytest.fixture
def bench(monkeypatch):
    """benchmarks/train.py; what it imports of them is forgotten again."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    before = set(sys.modules)
    yield importlib.import_module("train")
    for name in {"train", "accuracy", "plain", "probes"} - before:
        sys.modules.pop(name, None)


def test_both_forms_of_a_separable_operator_are_timed(bench, monkeypatch, tmp_path, capsys):
    """And what the benchmark takes from the packages is there: it runs where there is a GPU."""
    monkeypatch.setattr(bench, "SHAPES", ((4, 8), (6, 4)))
    once = ("--device=cpu", "--batch=2", "--steps=1", "--repeats=1")
    monkeypatch.setattr(sys, "argv", ["train.py", "--rows=operators", f"--out={tmp_path}", *once])
    bench.main()
    said = capsys.readouterr().out
    assert (tmp_path / "steps.txt").read_text() == said
    rows = [line.split() for line in said.splitlines()[3:]]
    assert [" ".join(row[:3]) for row in rows] == ["4 x 8^2", "6 x 4^2"]
    for row in rows:
        plain, dense, ratio = map(float, row[3:])
        assert ratio == pytest.approx(plain / dense, rel=0.05, abs=0.01)
