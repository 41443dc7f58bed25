"""Checkpoints: what is written is read back bit by bit, damage is noticed and passed over, nothing
is executed."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import parametrizations, prune

from nets import create_model
from nets.settings import OptimSection
from nets.training.checkpoint import (
    Checkpoints,
    State,
    load_model,
    load_optimizer,
    optimizer_state,
    save_model,
)
from nets.training.optim import make_optimizer


def model(seed=0):
    return create_model(
        "q2", generator=torch.Generator().manual_seed(seed), width=4, levels=2, in_channels=1
    )


def state(step):
    return State(
        {"model.w": torch.full((3, 2), float(step)), "sums.n": torch.tensor(step)},
        {"step": step, "rows": [{"epoch": step}]},
    )


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_model_round_trip_and_equal_files(tmp_path):
    one = model()
    with torch.no_grad():
        # running statistics
        one(torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)))
    paths = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    for path in paths:
        save_model(path, one)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    back = load_model(paths[0])
    assert equal(back.state_dict(), one.state_dict())
    assert not back.training
    assert back.spec == one.spec
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(back(x), one.eval()(x))


def test_folders_whose_names_are_not_utf8(tmp_path):
    """As those of a drive that another system wrote."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    save_model(folder / "m.safetensors", one := model())
    assert equal(load_model(folder / "m.safetensors").state_dict(), one.state_dict())
    Checkpoints(folder).save(state(3), step=3)
    assert equal(Checkpoints(folder).load().tensors, state(3).tensors)


def test_float64_weights_stay_float64(tmp_path):
    one = model().double()
    save_model(tmp_path / "m.safetensors", one)
    assert equal(load_model(tmp_path / "m.safetensors").state_dict(), one.state_dict())


def _other_head(one):
    one.fc = nn.Linear(one.num_features, 3)


def _two_layers(one):
    one.fc = nn.Sequential(nn.Linear(one.num_features, 3))


def _pruned(one):
    prune.l1_unstructured(one.levels[0].A, "weight", 0.5)


def _weight_norm(one):
    parametrizations.weight_norm(one.levels[0].A)


@pytest.mark.parametrize("change", [_other_head, _two_layers, _pruned, _weight_norm])
def test_a_model_that_its_spec_does_not_rebuild_is_not_saved(tmp_path, change):
    """Its file was written and could not be read; a new head of the model's own can."""
    path, one = tmp_path / "m.safetensors", model()
    save_model(path, one)
    before = path.read_bytes()
    change(one)
    drawn = torch.get_rng_state()
    with pytest.raises(ValueError, match="no longer what its spec rebuilds, weights do not fit"):
        save_model(path, one)
    assert path.read_bytes() == before
    assert torch.equal(torch.get_rng_state(), drawn)
    one = model()
    one.reset_classifier(3)
    save_model(path, one)
    assert load_model(path).num_classes == 3


def test_no_pickle_is_ever_opened(tmp_path, monkeypatch):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    for name, write in (("p.safetensors", pickle.dumps(Bomb())), ("t.safetensors", None)):
        path = tmp_path / name
        path.write_bytes(write) if write else torch.save({"w": Bomb()}, path)
        with pytest.raises(ValueError, match="truncated, damaged or not a file of this program"):
            load_model(path)
    assert not (tmp_path / "executed").exists()


def test_damaged_models_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    save_model(path, model())
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[-5] ^= 1
    for content in (good[:-7], good[:4], b"", good + b"x", bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="damaged") as error:
            load_model(path)
        assert "\n" not in str(error.value)
    Checkpoints(tmp_path).save(state(1), step=1)
    with pytest.raises(ValueError, match="holds checkpoint, not a model"):
        load_model(tmp_path / "step-000000001.safetensors")
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_model(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "change", ["swapped", "renamed", "type", "shape", "missing", "further", "value"]
)
def test_digest_covers_names_types_shapes_and_values(tmp_path, change):
    """A whole safetensors file with the metadata of another one, whose tensors hold the same bytes
    in the same order or nearly so."""
    path = Checkpoints(tmp_path).save(
        State({"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0, 4.0])}, {"step": 1}), step=1
    )
    with safe_open(path, framework="pt") as handle:
        metadata = handle.metadata()
    tensors = load_file(path)
    save_file(tensors, path, metadata=metadata)
    assert equal(Checkpoints(tmp_path).load().tensors, tensors)  # unchanged: accepted
    a, b = tensors["a"], tensors["b"]
    changed = {
        "swapped": {"a": b, "b": a},
        "renamed": {"a": a, "c": b},
        "type": {"a": a.view(torch.int32), "b": b},
        "shape": {"a": a[None], "b": b},
        "missing": {"a": a},
        "further": {**tensors, "c": torch.zeros(0)},
        "value": {"a": a, "b": torch.tensor([3.0, -4.0])},
    }
    save_file(changed[change], path, metadata=metadata)
    with (
        pytest.raises(ValueError, match="none of the 1 checkpoints"),
        pytest.warns(UserWarning, match="the digest does not fit"),
    ):
        Checkpoints(tmp_path).load()


def test_checkpoints_keep_two_and_load_the_newest(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoint")
    assert checkpoints.load() is None
    for step in (5, 20, 1000):
        checkpoints.save(state(step), step=step)
    assert [path.name for path in checkpoints.files()] == [
        "step-000001000.safetensors",
        "step-000000020.safetensors",
    ]
    found = checkpoints.load()
    assert found.info == state(1000).info
    assert equal(found.tensors, state(1000).tensors)
    assert equal(found.part("model"), {"w": torch.full((3, 2), 1000.0)})
    pair, three = torch.arange(6.0), torch.ones(4)  # one memory under several names is as many
    tensors = {"model.a": pair, "model.b": pair, "ema.a": three, "ema.b": three[:2]}
    tensors["ema.c"] = three[1:]
    checkpoints.save(State(tensors, {}), step=1001)
    assert equal(checkpoints.load().tensors, tensors)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign"])
def test_damaged_newest_falls_back_and_says_so(tmp_path, damage):
    said = []
    checkpoints = Checkpoints(tmp_path, report=said.append)
    for step in (1, 2):
        checkpoints.save(state(step), step=step)
    newest = checkpoints.files()[0]
    content = bytearray(newest.read_bytes())
    content[-3] ^= 64
    newest.write_bytes(
        {
            "truncated": content[:-20],
            "flipped": content,
            "empty": b"",
            "foreign": b"PK\3\4 something",
        }[damage]
    )
    assert checkpoints.load().info["step"] == 1
    assert len(said) == 1
    assert "step-000000002" in said[0]
    assert "going back to step-000000001" in said[0]
    checkpoints.files()[1].write_bytes(b"")
    with pytest.raises(ValueError, match="none of the 2 checkpoints can be read"):
        checkpoints.load()


def test_left_over_temporary_files_are_ignored_and_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state(1), step=1)
    (tmp_path / ".step-000000002.safetensors.99.tmp").write_bytes(b"half")
    assert checkpoints.load().info["step"] == 1
    checkpoints.save(state(2), step=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000000001.safetensors",
        "step-000000002.safetensors",
    ]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_optimizer_state_round_trip(name):
    section = OptimSection(name=name, lr=0.05)

    def steps(net, optimizer, count):
        for i in range(count):
            x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(i))
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()

    one = model()
    optimizer = make_optimizer(one, section)
    steps(one, optimizer, 3)
    tensors, scalars = optimizer_state(optimizer)
    tensors = {key: value.clone() for key, value in tensors.items()}
    two = model(1)
    two.load_state_dict(one.state_dict())
    fresh = make_optimizer(two, section)
    load_optimizer(fresh, tensors, scalars)
    for net, optim in ((one, optimizer), (two, fresh)):
        steps(net, optim, 2)
    assert equal(one.state_dict(), two.state_dict())
