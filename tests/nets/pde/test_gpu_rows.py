"""The benchmark of the solver on a GPU, as far as a processor goes: the same cycles as in the
processor's table, parts that fail alone, and a checkout without what training needs."""

import argparse
import importlib
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bench(monkeypatch):
    """A file of the benchmarks by its name; what it imports of them is forgotten again."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    before = set(sys.modules)
    yield importlib.import_module
    made = {"_checkout", "algorithms", "gpu", "gpu_clock", "gpu_operations"}
    for name in (made | {"matrixfree", "peers", "table"}) - before:
        sys.modules.pop(name, None)


def test_both_tables_run_the_same_cycles(bench):
    """But for the grid that is solved directly."""
    gpu, processor = bench("gpu"), bench("matrixfree")
    for name in ("CYCLE", "PASS"):
        theirs = {
            dim: {key: value for key, value in options.items() if key != "coarsest"}
            for dim, options in getattr(processor, name).items()
        }
        assert getattr(gpu, name) == theirs


def test_a_part_that_fails_leaves_the_others(bench, monkeypatch, capsys):
    def broken(*given):
        raise RuntimeError("out of memory")

    gpu, done = bench("gpu"), []
    monkeypatch.setattr(gpu, "operations", broken)
    for name in ("poisson_rows", "module_rows", "variable_rows", "peer_rows"):
        monkeypatch.setattr(gpu, name, lambda *given, name=name, **options: done.append(name))
    options = argparse.Namespace(rehearse=True, tune=False, no_cpu=True, repeats=1)
    assert gpu.solver(options) == 2
    said = capsys.readouterr().out
    rows = ["module_rows", "variable_rows", "peer_rows"]
    assert done == ["poisson_rows", "poisson_rows", *rows]
    assert said.count("RuntimeError: out of memory") == 2
    assert "63 x 63" in said


def test_a_bare_checkout_has_the_solver_without_pydantic(monkeypatch):
    whole = sys.modules["nets"]
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "nets", whole)
    runpy.run_path(str(ROOT / "benchmarks/_checkout.py"))
    assert sys.modules["nets"] is whole
    assert sys.path[-1] == str(ROOT)
    monkeypatch.setitem(sys.modules, "pydantic", None)
    runpy.run_path(str(ROOT / "benchmarks/_checkout.py"))
    assert sys.modules["nets"].__path__ == [str(ROOT / "nets")]
    assert not hasattr(sys.modules["nets"], "train")
