"""Going on with a run: longer than it was asked to be at first, and from another folder."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import nets
from nets.config import load_config
from nets.training.checkpoint import Checkpoints
from nets.training.folder import read_config, read_summary
from nets.training.optim import learning_rate

SETS = [
    *("width=2", "levels=2", "batch_size=512", "tensorboard=false", "init=chebyshev4"),
    *("optim=sgd", "ema=0.5", "placement=relu_outside_nobn", "checkpoint_steps=1"),
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMGNET_CACHE", str(tmp_path / "cache"))


def run(out, epochs, *sets, **options):
    config = load_config("digits", [*SETS, f"epochs={epochs}", *sets])
    return nets.train(config, out, progress=False, **options)


def rows(out):
    with (out / "metrics.csv").open() as handle:
        return list(csv.DictReader(handle))


def bits(out):
    return (out / "model.safetensors").read_bytes()


def stopping_at(step):
    """Asked between steps; True at the given one."""
    asked = iter(range(1, 1000))
    return lambda: next(asked) == step


# longer
# ------------------------------------------------------------------------------------------


def test_longer_without_a_schedule_is_the_longer_run_to_the_bit(tmp_path):
    """A rate that does not depend on the run's length: 2 and then 4 epochs are 4 epochs."""
    for name, sets in {"constant": [], "warm": ["warmup=1"]}.items():
        sets = ["schedule=constant", *sets]
        two, four = tmp_path / f"{name}-two", tmp_path / f"{name}-four"
        run(four, 4, *sets)
        short = run(two, 2, *sets)
        longer = run(two, 4, *sets, resume=True)
        assert (short.epochs, longer.epochs, longer.steps) == (2, 4, 2 * short.steps)
        assert bits(two) == bits(four)
        assert longer.test_loss == read_summary(four).test_loss
        said = f"train.epochs and its schedule: 2 from step 0, 4 from step {short.steps}"
        assert longer.notes == [said]


@pytest.mark.parametrize("schedule", ["cosine", "onecycle", "linear", "step"])
def test_longer_follows_the_longer_schedule_from_there_on(tmp_path, schedule):
    """The rate of every epoch's last step is that of 2 epochs, then that of 4; where the run is
    interrupted after it was made longer, the same bits come out."""
    sets = [f"schedule={schedule}"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for out in (whole, parts):
        run(out, 2, *sets)
    run(whole, 4, *sets, resume=True)
    assert not run(parts, 4, *sets, resume=True, stop=stopping_at(2)).finished
    assert run(parts, 4, *sets, resume=True).finished
    assert bits(whole) == bits(parts)
    assert read_summary(parts).notes == read_summary(whole).notes
    section = read_config(whole).optim
    each = int(rows(whole)[0]["step"])
    for row, epochs in zip(rows(whole), (2, 2, 4, 4), strict=True):
        counts = {"steps": epochs * each, "steps_per_epoch": each}
        expected = learning_rate(section, int(row["step"]) - 1, **counts)
        assert float(row["lr"]) == pytest.approx(expected)
    assert read_config(whole).train.epochs == 4


def test_a_begun_run_may_become_longer_or_shorter_but_not_than_it_is(tmp_path):
    out = tmp_path / "run"
    each = run(tmp_path / "once", 1).steps
    assert not run(out, 4, stop=stopping_at(2 * each + 1)).finished
    with pytest.raises(
        ValueError, match=r"run is in epoch 3; train.epochs is 2, give that or more"
    ):
        run(out, 2, resume=True)
    assert read_config(out).train.epochs == 4
    shorter = run(out, 3, resume=True)
    assert (shorter.epochs, read_config(out).train.epochs) == (3, 3)
    said = f"train.epochs and its schedule: 4 from step 0, 3 from step {2 * each + 1}"
    assert shorter.notes == [said]
    with pytest.raises(ValueError, match=r"has trained 3 epochs; train.epochs is 2, give more"):
        run(out, 2, resume=True)
    assert run(out, 3, resume=True) == shorter


def test_without_its_checkpoints_a_finished_run_stays(tmp_path):
    out = tmp_path / "run"
    summary = run(out, 1)
    for path in (out / "checkpoint").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="has no checkpoint to go on from for 2 epochs"):
        run(out, 2, resume=True)
    assert read_summary(out) == summary
    (out / "checkpoint/step-000000004.safetensors").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="truncated"), pytest.raises(ValueError, match="none of"):
        run(out, 2, resume=True)
    assert read_summary(out) == summary
    assert read_config(out).train.epochs == 1


def test_killed_between_the_two_writes_goes_on(tmp_path, monkeypatch):
    """The summary is gone and the configuration not yet the longer one."""
    out, other = tmp_path / "run", tmp_path / "other"
    for folder in (out, other):
        run(folder, 1)
    (out / "summary.json").unlink()
    for folder in (out, other):
        run(folder, 2, resume=True)
    assert bits(out) == bits(other)


def test_events_of_what_is_trained_again_are_shown_once(tmp_path):
    """As after a kill: of the third epoch there are events, and no state."""
    out = tmp_path / "run"
    run(out, 3, "tensorboard=true")
    (out / "summary.json").unlink()
    for file in Checkpoints(out / "checkpoint").files()[:1]:
        file.unlink()
    assert run(out, 3, "tensorboard=true", resume=True).resumed == 1
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    for name in ("train_loss", "lr"):
        assert [one.step for one in events.Scalars(name)] == [1, 2, 3]
    run(out, 4, "tensorboard=true", resume=True)  # and of the settings those of the longer run
    assert len(list((out / "tensorboard/settings").iterdir())) == 1


# from another folder
# ------------------------------------------------------------------------------------------


def pictures(folder, seed=0):
    rng = np.random.default_rng(seed)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 255, (8, 8), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i}.png")
    return folder


FOLDER = ["data=folder:pictures", "batch_size=8", "validation=0"]


def test_relative_paths_are_those_of_the_beginning(tmp_path, monkeypatch):
    home, away = pictures(tmp_path / "home/pictures").parent, tmp_path / "away"
    away.mkdir()
    from mgtheory import derive

    derive("chebyshev4", 2, (1, 8)).save(home / "init.json")
    sets = [*FOLDER, "init=file:init.json", "data.root=roots", "root=roots"]
    monkeypatch.chdir(home)
    assert not run("run", 2, *sets, stop=stopping_at(1)).finished
    own = read_config("run")
    assert own.data.name == f"folder:{home}/pictures"
    assert own.data.root == f"{home}/roots"
    assert own.init.scheme == f"file:{home}/init.json"
    monkeypatch.chdir(away)
    (home / "init.json").unlink()  # the start was made
    assert nets.train(own, home / "run", resume=True, progress=False).finished
    # the same words mean other files here
    pictures(away / "pictures", seed=1)
    with pytest.raises(ValueError, match=rf"init.scheme is 'file:{home}/init.json' there and"):
        run(home / "run", 2, *sets, resume=True)


def test_data_that_moved_are_the_same_data(tmp_path, monkeypatch):
    first, second = pictures(tmp_path / "a/pictures"), pictures(tmp_path / "b/pictures")
    other = pictures(tmp_path / "c/pictures", seed=1)
    monkeypatch.chdir(first.parent)
    assert not run("run", 2, *FOLDER, stop=stopping_at(1)).finished
    out = first.parent / "run"
    monkeypatch.chdir(other.parent)
    with pytest.raises(ValueError, match="is not what"):
        run(out, 2, *FOLDER, resume=True)
    monkeypatch.chdir(second.parent)
    summary = run(out, 2, *FOLDER, resume=True)
    assert summary.finished
    assert read_config(out).data.name == f"folder:{second}"
    # a finished run too is one of its images, wherever they lie
    monkeypatch.chdir(other.parent)
    with pytest.raises(ValueError, match=f"{other} is not what {out} was begun with: digest"):
        run(out, 2, *FOLDER, resume=True)
    monkeypatch.chdir(first.parent)
    assert run(out, 2, *FOLDER, resume=True) == summary


def test_left_out_files_are_in_the_first_line_and_the_summary(tmp_path, capsys):
    folder = pictures(tmp_path / "pictures")
    (folder / "cat/x.avif").write_bytes(b"")
    config = load_config(
        "digits", [*SETS, "epochs=1", "batch_size=8", "validation=0", f"data=folder:{folder}"]
    )
    summary = nets.train(config, tmp_path / "run")
    said = capsys.readouterr().err.splitlines()[0]
    assert f"on folder:{folder} (left out: 1 .avif), init" in said
    assert summary.notes == ["left out of the data: 1 .avif"]
    assert json.loads((tmp_path / "run/summary.json").read_text())["notes"] == summary.notes


def test_where_the_weights_came_from_is_said_of_an_interrupted_run_too(tmp_path):
    """What was found while it was built, that one of its earlier parts built."""
    source, whole, parts = tmp_path / "source", tmp_path / "whole", tmp_path / "parts"
    run(source, 1)
    sets = ["init=none", "init.operator=keep", f"init.weights={source}/model.safetensors"]
    notes = run(whole, 2, *sets).notes
    assert any(one.endswith(f"tensors of weights from {source}/model.safetensors") for one in notes)
    assert not run(parts, 2, *sets, stop=stopping_at(1)).finished
    (source / "model.safetensors").unlink()  # they were taken
    for epochs in (2, 2):
        assert run(parts, epochs, *sets, resume=True).notes == notes
    assert bits(whole) == bits(parts)
    longer = run(parts, 3, *sets, resume=True).notes
    assert [one for one in longer if one in notes] == notes
