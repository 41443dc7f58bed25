"""Weights in the package reach what their card says, and fit what is asked for or are refused."""

import numpy as np
import pytest
import torch

import nets
from analysis.stats import fraction_interval
from nets.models.pretrained import FOLDER, list_pretrained
from nets.models.registry import count_parameters
from nets.training.checkpoint import load_model


def normalised(card, images):
    mean, std = (np.array(card[name])[:, None, None] for name in ("mean", "std"))
    return torch.from_numpy((images / 255.0 - mean) / std).float()


@pytest.mark.parametrize("one", list_pretrained(), ids=lambda one: f"{one.model}-{one.name}")
def test_the_card_is_true(one):
    """Accuracy on the test part of the split of its seed, its interval, moments, weights, file."""
    card, model = one.card, nets.create_model(one.model, pretrained=one.name).eval()
    data = nets.load_data(one.name)
    assert {part: len(getattr(data, part)) for part in card["images"]} == card["images"]
    with torch.inference_mode():
        found = model(normalised(card, data.images[data.test])).argmax(dim=1).numpy()
    right = int((found == data.labels[data.test]).sum())
    assert right / len(data.test) == pytest.approx(card["test_accuracy"], abs=0.5 / len(data.test))
    interval = fraction_interval(right / len(data.test), len(data.test))
    assert tuple(card["interval"]) == pytest.approx(interval, abs=1e-4)
    assert card["mean"] == pytest.approx(data.mean)
    assert card["std"] == pytest.approx(data.std)
    assert card["parameters"] == count_parameters(model)
    assert model.pretrained_cfg == card
    same = load_model(one.file).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in model.state_dict().items())
    assert model.spec == load_model(one.file).spec
    assert one.file.stat().st_size < 1e6
    assert {path.suffix for path in FOLDER.iterdir()} == {".json", ".safetensors"}


def test_other_classes_get_a_head_of_their_own():
    kept, model = (nets.create_model("q2", pretrained="digits", num_classes=n) for n in (10, 3))
    again = nets.create_model(
        "q2", pretrained="digits", num_classes=3, generator=torch.Generator().manual_seed(0)
    )
    x = torch.ones(2, 1, 8, 8)
    assert torch.equal(kept.eval().features(x), model.eval().features(x))
    assert model(x).shape == (2, 3)
    assert model.spec.overrides["num_classes"] == 3
    assert torch.equal(again.eval().features(x), model.features(x))
    maps = nets.create_model("q2", pretrained="digits", features_only=True, width=32).eval()(x)
    assert torch.equal(maps[-1], kept.features(x))


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("q2", {"pretrained": "mnist"}, "no weights 'mnist' of q2; q2 has 'digits'"),
        ("g6", {"pretrained": "digits"}, "no weights 'digits' of g6; q2 has 'digits'"),
        ("q2", {"pretrained": True}, "no weights True of q2"),
        (
            "q2",
            {"pretrained": "digits", "width": 16},
            "width is 16, its weights have in_channels=1",
        ),
        ("q2", {"pretrained": "digits", "in_channels": 3}, "in_channels is 3, its weights have"),
        ("q2", {"pretrained": "digits", "num_classes": 0}, "num_classes is 0, must be a positive"),
    ],
)
def test_refusals(name, given, words):
    with pytest.raises(ValueError, match=words) as error:
        nets.create_model(name, **given)
    assert "\n" not in str(error.value)
