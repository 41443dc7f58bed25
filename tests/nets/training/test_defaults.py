"""What the caller's program has set in torch and numpy changes no bit of a run, and comes back."""

import pytest
import torch

import nets
from nets.config import load_config
from nets.training.train import _settings

from ..states import STATES, dtype

SETS = [
    *("width=4", "levels=2", "batch_size=512", "epochs=1", "tensorboard=false", "init=chebyshev4"),
    *("optim=sgd", "policy=autoaugment", "mixup=0.4", "cutmix=1", "ema=0.9"),
]


def run(out):
    nets.train(load_config("digits", SETS), out, progress=False)
    model = nets.load(out)
    for parameter in model.parameters():
        assert parameter.device.type == "cpu"
        assert not parameter.is_inference()
    return {name: (out / name).read_bytes() for name in ("start.safetensors", "model.safetensors")}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return run(tmp_path_factory.mktemp("runs") / "plain")


@pytest.mark.parametrize("state", STATES)
def test_same_bits_whatever_the_caller_has_set(tmp_path, expected, state):
    with STATES[state]():
        assert run(tmp_path / "run") == expected


def test_warning_only_comes_back():
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with _settings(load_config("digits").train):
            assert not torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_prediction_without_gradients_leaves_nothing_behind():
    """A constant that was first made in inference mode can be part of a backward pass later."""
    model = nets.create_model("q2", width=4).eval()
    mean, std = (0.31, 0.32, 0.33), (0.4, 0.41, 0.42)
    images = torch.rand(2, 3, 8, 8)
    with torch.inference_mode(), dtype(torch.float64):
        nets.Classifier(model, mean=mean, std=std).predict(images)
    images.requires_grad_()
    nets.Classifier(model, mean=mean, std=std)(images).sum().backward()
    assert torch.isfinite(images.grad).all()
