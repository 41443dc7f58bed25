"""What CONTRIBUTING promises: a placement, a model or a data set is one entry, and then it is known
wherever one is chosen, trains, and is read back."""

import numpy as np
import pytest
import torch
from torch import nn

import nets
from nets.data.readers import Pool
from nets.data.sources import SOURCES, Source
from nets.models.placements import PLACEMENTS, Placement
from nets.models.registry import MODELS, ModelEntry

SETS = ["epochs=1", "batch_size=500", "tensorboard=false", "width=4", "levels=2"]


def trained(folder, *sets):
    """The summary and the network of a run of one epoch."""
    config = nets.load_config("digits", [*SETS, *sets])
    summary = nets.train(config, folder, progress=False)
    assert summary.finished
    assert summary.steps == 3
    start, learned = (nets.load(folder, which=which) for which in ("start", "learned"))
    assert any(
        not torch.equal(p, q) for p, q in zip(start.parameters(), learned.parameters(), strict=True)
    )
    assert nets.load_classifier(folder).classes == tuple("0123456789")
    return summary, learned


def test_a_placement_is_one_entry(tmp_path, monkeypatch):
    taken = set(PLACEMENTS.values())
    mine = next(p for p in (Placement("sum", "level"), Placement("level", "sum")) if p not in taken)
    monkeypatch.setitem(PLACEMENTS, "mine", mine)
    _, model = trained(tmp_path / "run", "placement=mine")
    for level in model.levels:
        assert (level.norm is not None, level.activation) == (
            mine.norm == "level",
            mine.activation == "level",
        )
        assert {step.placement for step in level.steps} == {mine}
        assert {step.placement.name for step in level.steps} == {"mine"}
    assert model.spec.overrides["placement"] == "mine"
    with pytest.raises(ValueError, match=r"known are: .*mine"):
        nets.create_model("q2", placement="another")


class Linear(nn.Module):
    """The smallest classifier: the average colour, a bias."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 10, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, x):
        return self.fc(self.scale * x.mean(dim=(2, 3)))


def test_a_model_is_one_entry(tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "mine", ModelEntry(Linear, "the average colour", {"scale": 2.0}))
    assert "mine" in nets.list_models()
    sets = ["model=mine", "width=null", "levels=null", "placement=null", "init=none"]
    summary, model = trained(tmp_path / "run", *sets, "model.options.scale=3.0")
    assert isinstance(model, Linear)
    assert (model.scale, nets.create_model("mine").scale) == (3.0, 2.0)
    assert (summary.model, summary.parameters) == ("mine", 20)
    with pytest.raises(ValueError, match=r"mine has no option 'width'; it takes: .*scale"):
        nets.create_model("mine", width=4)
    fix = r"--set width=null --set levels=null --set placement=null; it takes: .*scale"
    with pytest.raises(ValueError, match=rf"mine has no option 'width', 'levels', .* by {fix}"):
        nets.train(nets.load_config("digits", [*SETS, "model=mine"]), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_data_set_is_one_entry(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (1250, 1, 8, 8), dtype=np.uint8), np.arange(1250) % 10
    pool = Pool.of({"train": (images, labels)}, tuple("0123456789"))
    monkeypatch.setitem(SOURCES, "mine", Source("mine", lambda paths: pool, crop=1))
    summary, _ = trained(tmp_path / "run", "data=mine", "batch_size=300", "validation=0.1")
    assert summary.data == "mine"
    found = nets.load_data("mine")
    assert (len(found.train), len(found.validation), len(found.test)) == (900, 100, 250)
    with pytest.raises(ValueError, match=r"known are .*mine"):
        nets.load_data("another")
