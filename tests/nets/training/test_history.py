"""The record of a run's coefficients: what it holds, that an interrupted run has the same, and what
is told of a bad one."""

import json

import pytest

import nets
from nets.config import load_config
from nets.settings import WITHOUT_EFFECT
from nets.training.checkpoint import load_model
from nets.training.history import is_kept, kept_models, read_coefficients

SETS = [
    *("width=2", "levels=2", "batch_size=512", "tensorboard=false", "ema=0.5"),
    *("schedule=constant", "placement=relu_outside_nobn", "checkpoint_steps=1"),
]


def run(out, epochs, *sets, **options):
    config = load_config("digits", [*SETS, f"epochs={epochs}", *sets])
    return nets.train(config, out, progress=False, **options)


def files(out):
    """Everything that is recorded, by name."""
    kept = {path.name: path.read_bytes() for path in kept_models(out).values()}
    return {"coefficients": (out / "coefficients.jsonl").read_bytes(), **kept}


def factors(model):
    return tuple(tuple(step.factor() for step in level.smoothing_steps) for level in model.levels)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("history") / "run"
    run(out, 5)
    return out


def test_record_is_of_the_weights_that_count(whole):
    """Start and end are the factors in their files; the models between are those of their line."""
    record = read_coefficients(whole)
    assert list(record) == [0, 1, 2, 3, 4, 5]
    assert record[0] == factors(nets.load(whole, which="start"))
    assert record[5] == factors(nets.load(whole))
    assert record[5] != record[4] != record[0]
    kept = kept_models(whole)
    assert list(kept) == [1, 2, 4] == [e for e in range(6) if is_kept(e)]
    for epoch, path in kept.items():
        assert factors(load_model(path)) == record[epoch]


def test_interrupted_run_has_the_files_of_a_whole_one(tmp_path, whole):
    """Stopped within the third epoch, with the lines of a process that went on and was killed while
    it wrote the fourth."""
    out, asked = tmp_path / "run", iter(range(100))
    assert not run(out, 5, stop=lambda: next(asked) == 7).finished
    lines = (whole / "coefficients.jsonl").read_bytes().splitlines(keepends=True)
    there = (out / "coefficients.jsonl").read_bytes()
    assert there == b"".join(lines[: len(there.splitlines())])
    assert there.count(b"\n") == 3
    (out / "coefficients.jsonl").write_bytes(there + lines[3] + lines[4][:40])
    (out / "epochs" / "0004.safetensors").write_bytes(b"half a model")
    assert run(out, 5, resume=True).finished
    assert files(out) == files(whole)


def test_longer_run_has_the_files_of_one_that_was_long_at_once(tmp_path, whole):
    out = tmp_path / "run"
    run(out, 4)
    assert list(kept_models(out)) == [1, 2]  # what is after 4 is the run's own end
    run(out, 5, resume=True)
    assert files(out) == files(whole)


def test_nothing_is_recorded_where_there_is_nothing_or_it_is_off(tmp_path):
    run(tmp_path / "off", 1, "train.record=false")
    run(tmp_path / "on", 1)
    bits = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("off", "on")]
    assert bits[0] == bits[1]
    assert "record" in WITHOUT_EFFECT["train"]
    resnet = ["model.name=resnet8", "init=none", "model.placement=null", "model.levels=null"]
    run(tmp_path / "resnet", 1, *resnet)
    for name in ("off", "resnet"):
        assert not (tmp_path / name / "coefficients.jsonl").exists()
        assert not (tmp_path / name / "epochs").exists()
        assert read_coefficients(tmp_path / name) == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: [*lines[:2], lines[2][:50]], "line 3: no coefficients of an epoch"),
        (lambda lines: [lines[0], lines[2], lines[1]], "line 3: .*epochs out of order"),
        (lambda lines: [*lines[:2], lines[1]], "line 3: .*epochs out of order"),
        (lambda lines: [lines[0], lines[1].replace("linear", "cubic")], "line 2: .*'cubic'"),
        (lambda lines: [lines[0], json.dumps({"epoch": 1})], "line 2: .*'levels'"),
        (lambda lines: [lines[0], "[1]"], "line 2: "),
        (lambda lines: [lines[0], '{"epoch": 1, "levels": []}'], "line 2: .*other steps"),
    ],
)
def test_bad_file_is_told_in_one_line(tmp_path, whole, change, reason):
    lines = (whole / "coefficients.jsonl").read_text().splitlines()
    (tmp_path / "coefficients.jsonl").write_text("\n".join(change(lines)) + "\n")
    with pytest.raises(ValueError, match=rf"coefficients\.jsonl, {reason}") as error:
        read_coefficients(tmp_path)
    assert "\n" not in str(error.value)
    assert "remove the file" in str(error.value)
