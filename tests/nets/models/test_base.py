"""Networks under timm's names: features and head are the network, a new head leaves the rest, and a
model of one's own is entered once."""

import pytest
import torch
from torch import nn

import nets
from nets.models.cost import count_flops
from nets.models.registry import MODELS
from nets.training.checkpoint import load_model, save_model

X = torch.rand(3, 3, 16, 12, generator=torch.Generator().manual_seed(1))


def made(name, **options):
    small = {"width": 4, "generator": torch.Generator().manual_seed(0)}
    return nets.create_model(name, **small | options).eval()


@pytest.mark.parametrize("name", ["q2", "mgnet", "resnet8", "preact_resnet8"])
@torch.no_grad()
def test_features_and_head_are_the_network(name):
    model, only = made(name, levels=None), made(name, levels=None, features_only=True)
    maps = only(X)
    assert torch.equal(model.forward_head(model.forward_features(X)), model(X))
    assert torch.equal(maps[-1], model.forward_features(X))
    assert [one.shape[2:] for one in maps[:3]] == [(16, 12), (8, 6), (4, 3)]
    pooled = model.forward_head(maps[-1], pre_logits=True)
    assert pooled.shape == (3, model.num_features)
    assert torch.equal(model.fc(pooled), model(X))


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("name", ["q2", "mgnet", "resnet20"])
def test_every_resolution_halves_the_one_before_rounding_up(name, kernel_size):
    """Whatever the kernel: the first has a place for every pixel."""
    maps = nets.create_model(name, width=4, levels=3, kernel_size=kernel_size).feature_maps
    sizes = [tuple(one.shape[2:]) for one in maps(torch.zeros(2, 3, 9, 14))]
    assert sizes == [(9, 14), (5, 7), (3, 4)]


def test_counting_operations_leaves_the_model_as_it_is():
    """Four times as many for four times the pixels, but for the last layer; norms see nothing of
    the image that is passed through."""
    model = made("q2", levels=2).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wider = count_flops(model, (3, 8, 8))
    assert wider == 4 * count_flops(model, (3, 4, 4)) - 3 * 2 * model.fc.weight.numel()
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_new_head_leaves_the_rest_and_is_saved(tmp_path):
    model, before = made("q2", levels=2), made("q2", levels=2).state_dict()
    model.reset_classifier(5, generator=torch.Generator().manual_seed(3))
    assert (model.num_classes, model(X).shape) == (5, (3, 5))
    assert 0.92 < model.fc.weight.abs().max() * model.num_features**0.5 <= 1
    for key, value in model.state_dict().items():
        assert key.startswith("fc.") or torch.equal(value, before[key])
    save_model(tmp_path / "m.safetensors", model)
    again = load_model(tmp_path / "m.safetensors")
    assert torch.equal(again(X), model(X))
    with pytest.raises(ValueError, match="num_classes is -1, must be a whole number from 0 on"):
        model.reset_classifier(-1)


@pytest.mark.parametrize("name", ["q2", "mgnet", "resnet8", "preact_resnet8"])
def test_without_classes_it_gives_the_averaged_features(name, tmp_path):
    """timm's num_classes=0: made so, or left so; saved, started, and given classes again."""
    model, whole = made(name, num_classes=0), made(name)
    model.load_state_dict(whole.state_dict(), strict=False)
    pooled = whole.forward_head(whole.features(X), pre_logits=True)
    assert torch.equal(model(X), pooled)
    assert (model.num_classes, model.num_features) == (0, pooled.shape[1])
    assert not [key for key in model.state_dict() if key.startswith("fc.")]
    save_model(tmp_path / "m.safetensors", model)
    assert torch.equal(load_model(tmp_path / "m.safetensors")(X), pooled)
    whole.reset_classifier(0)
    assert torch.equal(whole(X), pooled)
    whole.reset_classifier(7)
    assert whole(X).shape == (3, 7)


def test_without_classes_it_starts_as_with_them():
    """The default start fits what the average is, which needs no last layer."""
    found = []
    for classes in (0, 10):
        model = made("q4", num_classes=classes, placement="relu_outside_nobn")
        drawn = torch.Generator().manual_seed(0)
        found.append(nets.initialise(model, size=(16, 12), sample=X, generator=drawn))
    assert found[0].features == pytest.approx(found[1].features)
    assert found[0].levels[0].factors == found[1].levels[0].factors


def test_a_model_of_ones_own_is_registered_once(monkeypatch):
    class Mine(nn.Linear):
        def __init__(self, *, in_channels: int = 3, num_classes: int = 10) -> None:
            super().__init__(in_channels, num_classes)

    monkeypatch.setattr("nets.models.registry.MODELS", dict(MODELS))
    assert nets.register_model("mine", Mine, "a linear layer", num_classes=2) is Mine
    assert nets.create_model("mine").out_features == 2
    assert "mine" in nets.list_models()
    for taken in ("mine", "q17", "resnet20"):
        with pytest.raises(ValueError, match=f"the model '{taken}' is there already"):
            nets.register_model(taken, Mine, "again")
    for unnamed in (3, "", None):
        with pytest.raises(ValueError, match=f"name is {unnamed!r}, must be the model's name"):
            nets.register_model(unnamed, Mine, "a number")
    with pytest.raises(ValueError, match="num_classes is 0, must be a positive whole number, at"):
        nets.create_model("mine", num_classes=0)
    with pytest.raises(ValueError, match="mine is no ImageModel"):
        nets.create_model("mine", features_only=True)


def test_channels_of_a_class_are_the_default_of_its_entry(monkeypatch):
    class Wide(nn.Module):
        def __init__(self, *, channels=(4, 8), in_channels: int = 3, num_classes: int = 10):
            super().__init__()
            self.channels = channels

    class Bare(nn.Module):
        def __init__(self, *, channels, in_channels: int = 3, num_classes: int = 10):
            super().__init__()

    monkeypatch.setattr("nets.models.registry.MODELS", dict(MODELS))
    nets.register_model("wide", Wide, "with channels")
    nets.register_model("bare", Bare, "without")
    assert nets.create_model("wide").channels == (4, 8)
    assert nets.create_model("wide", width=6, levels=3).channels == (6, 12, 12)
    with pytest.raises(ValueError, match="bare has no default channels"):
        nets.create_model("bare")
