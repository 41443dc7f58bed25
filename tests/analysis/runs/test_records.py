"""Run folders that are missing, unfinished, truncated or foreign are refused in one line that says
what was given."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch

import nets
from analysis import compare
from analysis.runs.records import read_metrics, read_run, theory_of
from mgtheory import derive

from ..conftest import planted_model, write_run


@pytest.fixture
def run(planted, tmp_path):
    return shutil.copytree(planted, tmp_path / "run", ignore=shutil.ignore_patterns("report"))


def refusal(kind, folder):
    with pytest.raises(kind) as caught:
        read_run(folder)
    text = str(caught.value)
    assert "\n" not in text
    assert str(folder) in text
    return text


def test_a_good_run_is_read(run):
    record = read_run(run)
    assert [level.degree for level in record.start] == [1, 2]
    assert record.label == "q2 constant"
    assert record.metrics["epoch"].tolist() == [1, 2, 3]
    assert record.theory.origin == "reference"
    assert read_run(run).fingerprint == record.fingerprint


def test_missing_folder(tmp_path):
    assert "no such folder" in refusal(FileNotFoundError, tmp_path / "nowhere")


def test_foreign_folder(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"\xff\xd8")
    assert "not a run folder" in refusal(FileNotFoundError, tmp_path)


def test_a_file_is_no_folder(run):
    assert "no such folder" in refusal(FileNotFoundError, run / "config.json")


@pytest.mark.parametrize("name", ["model.safetensors", "summary.json"])
def test_unfinished_run(run, name):
    (run / name).unlink()
    assert "not finished" in refusal(FileNotFoundError, run)


@pytest.mark.parametrize("name", ["init.json", "start.safetensors", "metrics.csv"])
def test_missing_part(run, name):
    (run / name).unlink()
    assert name in refusal(FileNotFoundError, run)


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "init.json",
        "summary.json",
        "start.safetensors",
        "model.safetensors",
        "metrics.csv",
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_truncated_part(run, name, share):
    path = run / name
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    if name == "metrics.csv" and share == 0.0:
        assert read_run(run).metrics.empty  # a run of no epoch has no rows
    else:
        assert name in refusal(ValueError, run)


@pytest.mark.parametrize("name", ["config.json", "init.json", "summary.json"])
@pytest.mark.parametrize("content", ["[1, 2]", "{}", '{"kind": "recipe", "schema": 1}', "\x00\x01"])
def test_foreign_json(run, name, content):
    if name == "config.json" and content == "{}":
        return  # an empty configuration is all defaults
    (run / name).write_text(content)
    refusal(ValueError, run)


class Bomb:
    def __reduce__(self):
        return (open, ("analysed-a-pickle", "w"))


def test_pickled_weights_are_not_executed(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (run / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    assert "model.safetensors" in refusal(ValueError, run)
    assert not (tmp_path / "analysed-a-pickle").exists()


def test_parts_of_two_runs_are_noticed(run, tmp_path):
    init = json.loads((run / "init.json").read_text())
    init["levels"] = init["levels"][:1]
    (run / "init.json").write_text(json.dumps(init))
    assert "mixture of two runs" in refusal(ValueError, run)


@pytest.mark.parametrize(
    ("part", "said"),
    [("levels.0.A.weight", "A are not all finite"), ("levels.1.steps.0.norm.weight", "diverged")],
)
def test_weights_that_are_no_numbers(tmp_path, part, said):
    """Of the run and the moment that are named; the linear algebra would stop without a word."""
    start, learned = (planted_model([[0.2], [0.2, 0.2]], placement="regular") for _ in range(2))
    with torch.no_grad():
        learned.state_dict()[part].fill_(float("nan"))
    text = refusal(ValueError, write_run(tmp_path / "run", start, learned))
    assert "weights learned" in text
    assert said in text


def test_metrics_without_epochs(run):
    (run / "metrics.csv").write_text("time,temperature\n1,20\n")
    with pytest.raises(ValueError, match="no column 'epoch'"):
        read_metrics(run)


def test_no_run_given():
    with pytest.raises(ValueError, match="at least one"):
        compare([])


def test_reference_is_what_the_family_would_have_set():
    """Equal to `nets.initialise` with that family, divided by the spectral radius, for every kind
    of factor."""
    for name in ("q2", "g6", "r4", "p3"):
        model = nets.create_model(name, in_channels=1, channels=(2, 2))
        init = nets.initialise(model, "constant", operator="laplacian", size=(8, 8))
        found = theory_of(model, init, reference="chebyshev:lower=0.1")
        set_up = nets.initialise(model, "chebyshev:lower=0.1", operator="keep", size=(8, 8))
        for q, level in zip(found.polynomials, set_up.levels):
            own = sorted(level.roots / level.radius, key=lambda z: (round(z.real, 5), z.imag))
            # the parameters are float32
            assert sorted(q.roots, key=lambda z: (round(z.real, 5), z.imag)) == pytest.approx(
                own, rel=1e-5
            )


def test_reference_must_be_a_family(run):
    with pytest.raises(ValueError, match="must be a family"):
        read_run(run, reference="xavier")
    with pytest.raises(ValueError, match="known are"):
        read_run(run, reference="newton")


def test_start_from_a_family_is_its_own_theory():
    model = planted_model([[0.2], [0.2, 0.2]])
    for source in (derive("chebyshev4", 2, 8.0),):
        report = nets.initialise(model, "none", operator="keep", size=(16, 16))
        found = theory_of(model, type(report)(**{**vars(report), "sources": (source,)}))
        assert found.origin == "start"
        # b of 16 x 16 points
        b = 8 * np.cos(np.pi / 34) ** 2
        assert found.polynomials[0].roots[0] == pytest.approx(5 / b)
