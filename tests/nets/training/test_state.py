"""A state of a run: all that going on needs is in it, and it is written where it is asked for."""

import pytest
import torch
from torch import nn

import nets
from nets.config import load_config
from nets.data.sources import load_data
from nets.training.build import build
from nets.training.checkpoint import Checkpoints, optimizer_state
from nets.training.launch import launched_fabric
from nets.training.trainer import PROGRESS, Trainer

SETS = ["width=4", "levels=2", "batch_size=300", "epochs=4", "init=xavier", "tensorboard=false"]
STEPS = 5  # 1,295 images in batches of 300


@pytest.fixture(scope="module")
def data():
    return load_data("digits")


def trainer(data, *sets):
    config = load_config("digits", [*SETS, *sets])
    return Trainer(config, launched_fabric(config.train), build(config, data)[0], data)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_all_that_going_on_needs_comes_back(data, tmp_path, name):
    """Through a file into a trainer of another seed, within the third epoch: where it is, what it
    has measured, the best epoch's weights and row, moments, means and their number, sums."""
    sets = (f"optim={name}", "ema=0.9", "select=best", "lr=0.01")
    first = trainer(data, *sets)
    for _ in range(2):
        first.run_epoch(stop=lambda: False, tick=lambda: None, save=lambda: None)
        first.end_epoch()
    steps = iter((False, True))
    assert first.run_epoch(stop=lambda: next(steps), tick=lambda: None, save=lambda: None)
    first.seconds = 12.5
    Checkpoints(tmp_path).save(first.state(), step=first.step)
    again = trainer(data, *sets, "seed=9")
    again.restore(Checkpoints(tmp_path).load())
    assert (again.step, again.epoch, again.within) == (2 * STEPS + 2, 2, 2)
    for key in (*PROGRESS, "lengths"):
        assert getattr(again, key) == getattr(first, key), key
    assert {"rows", "best_row", "seconds", "train_seconds", "trained_images"} < set(PROGRESS)
    assert again.trained_images == 2 * 1295 + 600
    assert again.resumed == first.resumed + 1 == 1
    assert again.ema.updates == first.ema.updates == 2 * STEPS + 2
    moments = [optimizer_state(t.optimizer)[0] for t in (first, again)]
    assert moments[0]
    for one, other in (
        (first.raw.state_dict(), again.raw.state_dict()),
        (first.ema.weights, again.ema.weights),
        (first.best, again.best),
        (first.sums, again.sums),
        moments,
    ):
        assert one.keys() == other.keys()
        assert not [key for key in one if not torch.equal(one[key], other[key])]


def test_states_are_written_at_multiples_of_steps_of_the_run(data):
    """Not of the epoch, whose end has one of its own."""
    t, saved = trainer(data, "checkpoint_steps=3"), []
    for _ in range(3):
        t.run_epoch(stop=lambda: False, tick=lambda: None, save=lambda: saved.append(t.step))
        t.end_epoch()
    assert saved == [3, 6, 9, 12]  # 15 is the third epoch's end


def test_states_of_epochs_are_those_that_are_asked_for(tmp_path):
    config = load_config("digits", [*SETS, "checkpoint_epochs=2", "epochs=6"])
    nets.train(config, tmp_path / "run", progress=False)
    files = Checkpoints(tmp_path / "run/checkpoint").files()
    assert [file.stem for file in files] == ["step-000000030", "step-000000020"]
    assert not (tmp_path / "run/tensorboard").exists()


class Repeated(nn.Module):
    """A norm by two names, and a constant that is no part of the state."""

    def __init__(self):
        super().__init__()
        self.norm = self.again = nn.BatchNorm2d(1)
        self.fc = nn.Linear(1, 10)
        self.register_buffer("one", torch.ones(()), persistent=False)

    def forward(self, x):
        return self.fc(self.norm(self.one * x).mean((2, 3)))


def test_ranks_share_each_running_statistic_once(data, monkeypatch):
    """The other rank's are three times as large, so that the mean is twice: of the live ones, and
    of their running mean under every name."""
    config = load_config("digits", [*SETS, "ema=0.9"])
    t = Trainer(config, launched_fabric(config.train), Repeated(), data)
    t.run_epoch(stop=lambda: False, tick=lambda: None, save=lambda: None)
    live, mean = t.raw.norm.running_var.clone(), t.ema.weights["norm.running_var"].clone()
    assert not torch.equal(live, mean)
    monkeypatch.setattr(t, "world", 2)
    monkeypatch.setattr(t.fabric, "all_reduce", lambda value, reduce_op: (value + 3 * value) / 2)
    t.share_buffers()
    assert torch.equal(t.raw.norm.running_var, 2 * live)
    for name in ("norm", "again"):
        assert torch.equal(t.ema.weights[f"{name}.running_var"], 2 * mean)
    assert t.raw.norm.num_batches_tracked == STEPS  # counted alike on every rank
