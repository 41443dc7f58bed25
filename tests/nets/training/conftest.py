"""Trainers at their first step, on the CPU in float64."""

import pytest

from nets.config import load_config
from nets.data.sources import load_data
from nets.training.build import build
from nets.training.launch import launched_fabric
from nets.training.trainer import Trainer

SETS = [
    "width=4",
    "levels=2",
    "batch_size=500",
    "epochs=3",
    "init=xavier",
    "placement=outside",
    "precision=64",
    "optim=sgd",
]
STEPS = 3  # 1,295 images in batches of 500, 500 and 295


@pytest.fixture(scope="module")
def data():
    return load_data("digits")


@pytest.fixture
def make(data):
    """make(*sets) -> a trainer at its first step, on the CPU in float64."""

    def made(*sets):
        config = load_config("digits", [*SETS, *sets])
        return Trainer(config, launched_fabric(config.train), build(config, data)[0], data)

    return made


def epoch(t):
    assert not t.run_epoch(stop=lambda: False, tick=lambda: None, save=lambda: None)
    return t.end_epoch()
