"""Weights in the package reach what their card says, and fit what is asked for or are refused."""

import json
import os

import numpy as np
import pytest
import torch

import nets
from analysis.stats import fraction_interval
from nets.models import pretrained
from nets.models.cost import count_parameters
from nets.models.pretrained import FOLDER, list_pretrained, probe
from nets.training.checkpoint import load_model
from polymgnet import cli
from polymgnet.pretrained import main


def normalised(card, images):
    mean, std = (np.array(card[name])[:, None, None] for name in ("mean", "std"))
    return torch.from_numpy((images / 255.0 - mean) / std).float()


def images_of(card):
    """The data of a card; None where they are not at hand: those of CIFAR-10 as the JPEG files
    that were trained on, whose place the environment says."""
    if card["name"] == "digits":
        return nets.load_data("digits")
    path = os.environ.get("POLYMGNET_CIFAR10_JPEG")
    return nets.load_data(f"folder:{path}", size=card["size"][0]) if path else None


@pytest.mark.parametrize("one", list_pretrained(), ids=lambda one: f"{one.model}-{one.name}")
def test_the_card_is_true(one):
    """Scores of a synthetic image, weights, file; where its data are at hand, accuracy on the test
    part of the split of its seed, its interval, moments."""
    card, model = one.card, nets.create_model(one.model, pretrained=one.name).eval()
    with torch.inference_mode():
        scores = model(probe((len(card["mean"]), *card["size"])))[0]
    torch.testing.assert_close(scores, torch.tensor(card["probe"]), rtol=1e-3, atol=1e-3)
    assert scores.std() > 0.1
    assert len(card["classes"]) == model.num_classes
    assert card["parameters"] == count_parameters(model)
    assert model.pretrained_cfg == card
    same = load_model(one.file).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in model.state_dict().items())
    assert model.spec == load_model(one.file).spec
    assert one.file.stat().st_size < 1e6
    assert {path.suffix for path in FOLDER.iterdir()} == {".json", ".safetensors"}
    count = card["images"]["test"]
    found = fraction_interval(card["test_accuracy"], count)
    assert tuple(card["interval"]) == pytest.approx(found, abs=1e-4)
    data = images_of(card)
    if data is None:
        return
    assert {part: len(getattr(data, part)) for part in card["images"]} == card["images"]
    with torch.inference_mode():
        found = model(normalised(card, data.images[data.test])).argmax(dim=1).numpy()
    right = int((found == data.labels[data.test]).sum())
    assert right / len(data.test) == pytest.approx(card["test_accuracy"], abs=0.5 / len(data.test))
    interval = fraction_interval(right / len(data.test), len(data.test))
    assert tuple(card["interval"]) == pytest.approx(interval, abs=1e-4)
    assert card["mean"] == pytest.approx(data.mean)
    assert card["std"] == pytest.approx(data.std)


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
        ("q2", {"pretrained": "mnist"}, "no weights 'mnist' of q2; .*q2 has 'digits'"),
        ("g6", {"pretrained": "digits"}, "no weights 'digits' of g6; .*q2 has 'digits'"),
        ("q2", {"pretrained": True}, "no weights True of q2"),
        (
            "q2",
            {"pretrained": "digits", "width": 16},
            "width is 16, its weights have in_channels=1",
        ),
        ("q2", {"pretrained": "digits", "in_channels": 3}, "in_channels is 3, its weights have"),
        ("q2", {"pretrained": "digits", "num_classes": -1}, "num_classes is -1, must be a whole"),
    ],
)
def test_refusals(name, given, words):
    with pytest.raises(ValueError, match=words) as error:
        nets.create_model(name, **given)
    assert "\n" not in str(error.value)


def test_a_run_becomes_weights_of_the_package(tmp_path, monkeypatch, capsys):
    """What the command writes is found, filled in and true of the run; a run that is not finished
    is refused."""
    sets = ["epochs=1", "width=4", "levels=2", "batch_size=600", "tensorboard=false"]
    summary = nets.train(nets.load_config("digits", sets), tmp_path / "run", progress=False)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    words = ["--about", "digits", "--license", "none", "--command", "train"]
    assert main([str(tmp_path / "run"), "mine", *words]) == 0
    (one,) = list_pretrained()
    model = nets.create_model("q2", pretrained="mine").eval()
    assert one.card["test_accuracy"] == summary.test_accuracy
    assert (one.card["size"], one.card["license"]) == ([8, 8], "none")
    own = nets.load(tmp_path / "run").eval()
    x = probe((1, 8, 8))
    assert torch.equal(model(x), own(x))
    assert one.card["probe"] == pytest.approx(own(x)[0].tolist(), abs=1e-5)
    found = json.loads((tmp_path / "run/summary.json").read_text())
    (tmp_path / "run/summary.json").write_text(json.dumps(found | {"finished": False}))
    assert main([str(tmp_path / "run"), "other", *words]) == 2
    assert "not finished" in capsys.readouterr().err


@pytest.mark.parametrize("one", list_pretrained(), ids=lambda one: one.key)
def test_they_are_loaded_by_one_name_as_a_run_is(one, tmp_path, monkeypatch):
    """The network with the moments, classes and size of its card; a folder of that name is meant
    first, and there is no start."""
    model, classifier = nets.load(one.key), nets.load_classifier(one.key)
    assert not model.training
    assert model.pretrained_cfg == one.card
    card, (height, width) = one.card, one.card["size"]
    assert (list(classifier.classes), classifier.size) == (card["classes"], (height, width))
    images = np.random.default_rng(0).integers(256, size=(4, len(card["mean"]), height, width))
    images = images.astype(np.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(classifier(images), model(normalised(card, images)))
    with pytest.raises(FileNotFoundError, match=f"{one.key}: no config.json there"):
        nets.load(one.key, which="start")
    monkeypatch.chdir(tmp_path)
    (tmp_path / one.key).mkdir()
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        nets.load_classifier(one.key)


def test_the_command_measures_them_on_the_images_of_their_recipe(capsys):
    assert cli.main(["evaluate", "q2-digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["right"] == 359
    assert cli.main(["evaluate", "q2-cifar10-16"]) == 2
    assert "q2-cifar10-16 comes without its images; give some by --data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("run", "error", "words"),
    [
        (None, ValueError, "run is None, must be the path of a run folder"),
        (3, ValueError, "run is 3, must be the path"),
        ("", ValueError, "run is '', must be the path"),
        ("q2-mnist", FileNotFoundError, "weights of the package are .*q2-digits"),
    ],
)
@pytest.mark.parametrize("load", [nets.load, nets.load_classifier])
def test_what_is_no_run_is_told_in_one_line(load, run, error, words):
    with pytest.raises(error, match=words) as told:
        load(run)
    assert "\n" not in str(told.value)
