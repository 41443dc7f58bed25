"""The benchmark's table of accuracies: planned to fit, no row lost, none trained twice."""

import argparse
import importlib
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nets.training.folder import read_summary

SETS = ["width=2", "levels=2", "batch_size=256", "precision=32"]


@pytest.fixture
def accuracy(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("accuracy")
    sys.modules.pop("accuracy")


@pytest.fixture
def args(tmp_path):
    options = {
        "data": "digits",
        "set": [*SETS, "model.levels=2"],
        "epochs": 0,
        "seeds": 2,
        "calls": 1,
        "only": "nobn, c",
        "runs": None,
    }
    return argparse.Namespace(out=str(tmp_path / "out"), **options)


@pytest.fixture
def trained(accuracy, monkeypatch):
    """nets.train replaced; `outcome` maps a call's number to what it raises or returns instead of a
    finished summary."""
    calls, outcome = [], {}

    def train(config, out, *, resume, progress, stop):
        calls.append((config.train.seed, config.init.scheme, config.train.epochs))
        end = outcome.get(len(calls))
        if isinstance(end, Exception):
            raise end
        values = {
            "test_loss": 1.0,
            "val_accuracy": 0.5,
            "train_loss": 1.0,
            "parameters": 1,
            "epochs": 3,
            "environment": {},
        }
        return SimpleNamespace(
            finished=end != "stopped",
            test_accuracy=0.25 * len(calls),
            images_per_second=1.0,
            roots_at_guard=[],
            **values,
        )

    cost = accuracy.Cost(
        "q2 relu_outside_nobn", start=1.0, epoch=2.0, images_per_second=100.0, gibibytes=1.0
    )
    monkeypatch.setattr(accuracy, "measure", lambda *_: cost)
    monkeypatch.setattr(accuracy.nets, "train", train)
    return SimpleNamespace(calls=calls, outcome=outcome)


def lines(args):
    return (Path(args.out) / "accuracy.jsonl").read_text().splitlines()


def test_every_row(accuracy):
    found = accuracy.cases()
    assert len(found) == 11
    assert {case.group for case in found} == {"q2 regular", "q2 relu_outside_nobn", "resnet18"}
    with pytest.raises(ValueError, match="leaves no case"):
        accuracy.cases("densenet")
    budget = 6 * (1.0 + 7 * 2.0) / (1 - accuracy.RESERVE) + 1
    costs = {"q2 regular": accuracy.Cost("q2 regular", 1.0, 2.0, 1.0, 1.0)}
    chosen = [case for case in found if case.group == "q2 regular"][:3] * 2
    assert accuracy.affordable(costs, chosen, budget + 6 * accuracy.RESERVE) == 7
    assert accuracy.affordable(costs, chosen, 1.0) == 1


def test_plan_rows_and_going_on(accuracy, args, trained, capsys):
    trained.outcome.update(
        {
            2: FloatingPointError("the loss is not finite at step 3"),
            3: RuntimeError("no memory"),
            5: "stopped",
        }
    )
    cases = 3  # constant, chebyshev4 and chebyshev4 with laplacian
    assert not accuracy.accuracy_rows(args, deadline=math.inf, budget=100.0)
    plan, *rows = map(json.loads, lines(args))
    assert plan["epochs"] == int((0.85 * 100.0 - 6) / 12)
    assert [(row["case"].split(", ", 1)[1], row["seed"]) for row in rows] == [
        ("constant", 0),
        ("chebyshev4", 0),
        ("chebyshev4", 1),
    ]
    assert (rows[0]["accuracy"], rows[1]["accuracy"]) == (25.0, None)
    assert "not finite" in rows[1]["error"]
    assert len(trained.calls) == 5  # nothing is begun after a stop
    assert {call[2] for call in trained.calls} == {plan["epochs"]}
    said = capsys.readouterr().out
    assert "RuntimeError: no memory" in said
    assert "(2 of 2 runs)" in said.replace(", 1 diverged", "")
    path = Path(args.out) / "accuracy.jsonl"
    path.write_text(path.read_text() + '{"case": "q2 relu')  # killed while it wrote
    trained.outcome.clear()
    before = len(trained.calls)
    assert accuracy.accuracy_rows(args, deadline=math.inf, budget=1.0)  # the plan stays
    assert len(trained.calls) - before == 2 * cases - 3
    assert len(lines(args)) == 1 + 2 * cases
    assert accuracy.accuracy_rows(args, deadline=math.inf, budget=1.0)
    assert len(lines(args)) == 1 + 2 * cases
    assert "1 diverged" in capsys.readouterr().out
    args.data = "cifar10"
    with pytest.raises(ValueError, match="has rows for data 'digits', asked is 'cifar10'"):
        accuracy.accuracy_rows(args, deadline=math.inf, budget=1.0)


def test_nothing_is_begun_after_the_deadline(accuracy, args, trained):
    assert not accuracy.accuracy_rows(args, deadline=0.0, budget=100.0)
    assert trained.calls == []
    assert len(lines(args)) == 1


def test_measures_and_trains_for_real(accuracy, args, capsys):
    """On the digits, one epoch of one case: measured, planned, trained, and the row is what the run
    folder says."""
    args.only, args.seeds, args.epochs = "nobn, constant", 1, 1
    assert accuracy.accuracy_rows(args, deadline=math.inf, budget=1.0)
    plan, row = map(json.loads, lines(args))
    (cost,) = plan["costs"]
    assert min(cost["epoch"], cost["start"], cost["images_per_second"]) > 0
    (folder,) = (Path(args.out) / "runs").iterdir()
    assert row["accuracy"] == pytest.approx(100 * read_summary(folder).test_accuracy)
    assert "together" in capsys.readouterr().out
