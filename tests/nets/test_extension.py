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


@pytest.mark.parametrize("build", [lambda **options: nn.Linear(3, 10), nn.Linear(3, 10), dict])
def test_a_model_is_a_class(build):
    """What is none was entered, and every list of models failed on it."""
    with pytest.raises(ValueError, match=r"must be a class of torch\.nn\.Module; what a function"):
        nets.register_model("mine", build, "no class")
    assert "mine" not in nets.list_models()


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


class Own(nn.Module):
    """Weights that start in a way of their own, a dropout, and one block under two names."""

    def __init__(self, *, in_channels: int = 3, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 3, 3, padding=1)
        nn.init.constant_(self.stem.weight, 0.125)
        block = nets.PolynomialBlock(3, placement="relu_outside_nobn", start_size=(8, 8))
        self.blocks = nn.Sequential(block, nn.Dropout(0.5), block)
        self.fc = nn.Linear(3, num_classes)

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x)).mean(dim=(2, 3)))


@pytest.fixture
def own(monkeypatch):
    monkeypatch.setitem(MODELS, "own", ModelEntry(Own, "as torch's users write them"))
    none = [f"{key}=null" for key in ("width", "levels", "placement")]
    return ["model=own", *none, "ema=0.5", "checkpoint_steps=1", "epochs=2"]


def test_a_model_starts_as_its_constructor_does(tmp_path, own):
    """A generator seeds it, leaves the global one, and a block's coefficients fit its A."""
    state = torch.get_rng_state()
    one, two, other = (
        nets.create_model("own", generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, one.parameters(), two.parameters()))
    assert not torch.equal(one.fc.weight, other.fc.weight)
    trained(tmp_path / "run", *own, "epochs=1")
    for model in (one, nets.load(tmp_path / "run", which="start")):
        assert (model.stem.weight == 0.125).all()
        block = model.blocks[0]
        started = [step.factor() for step in block.level.steps]
        block.start((8, 8))
        assert [step.factor() for step in block.level.steps] == started


def test_a_model_that_draws_and_shares_goes_on_to_the_bit(tmp_path, own):
    config = nets.load_config("digits", [*SETS, *own])
    nets.train(config, tmp_path / "whole", progress=False)
    for steps in (2, 1, 9):
        asked = iter(range(1, 100))
        stop = lambda asked=asked, steps=steps: next(asked) == steps  # noqa: E731
        summary = nets.train(config, tmp_path / "parts", progress=False, resume=True, stop=stop)
    assert (summary.finished, summary.resumed) == (True, 2)
    whole, parts = (tmp_path / name / "model.safetensors" for name in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()


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
