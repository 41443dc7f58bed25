"""The model of a run, built: by which seed, and on which images its start measures."""

import numpy as np
import pytest
import torch

from nets import load_config, load_data, train
from nets.models.registry import MODELS, ModelEntry
from nets.training import build as module


def test_the_start_measures_training_images_as_the_run_normalises_them(monkeypatch):
    """64 of them over all classes, none that is held back; its random numbers are the seed's."""
    sets = ["width=4", "levels=2", "seed=7", "data.mean=[0.2]", "data.std=[0.5]"]
    given, real = {}, module.initialise

    def watched(model, scheme, **options):
        given.update(options)
        return real(model, scheme, **options)

    monkeypatch.setattr(module, "initialise", watched)
    data = load_data("digits")
    module.build(load_config("digits", sets), data)
    chosen = data.train[np.linspace(0, len(data.train) - 1, 64).astype(int)]
    expected = (torch.from_numpy(data.images[chosen]).double() / 255 - 0.2) / 0.5
    torch.testing.assert_close(given["sample"].double(), expected, rtol=1e-5, atol=1e-6)
    assert given["generator"].initial_seed() == 7
    assert given["size"] == (8, 8)


class Own(torch.nn.Module):
    """A linear layer on the average colour, and what else users write."""

    def __init__(self, *, in_channels=1, num_classes=10, kind="scores"):
        super().__init__()
        self.fc, self.kind = torch.nn.Linear(in_channels, num_classes), kind
        self.wide = torch.nn.Linear(100, num_classes)

    def forward(self, x):
        scores = self.fc(x.mean(dim=(2, 3)))
        wrong = {"pair": (scores, scores), "map": scores[..., None], "few": scores[:, :3]}
        if self.kind == "size":
            return self.wide(x.flatten(1))
        return scores.detach() if self.kind == "constant" else wrong.get(self.kind, scores)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("pair", r"^own makes tuple of images \(1, 1, 8, 8\), must make scores, a tensor \(images"),
        ("map", r"^own makes \(1, 10, 1\) of images"),
        ("few", r"^own makes \(1, 3\) of images .* \(images, 10 classes\)$"),
        ("size", r"^own does not take images \(1, 1, 8, 8\): mat1 and mat2 shapes cannot be multi"),
        ("constant", "^the scores of own depend on no parameter that can be trained"),
    ],
)
def test_what_is_no_classifier_is_refused_before_the_first_step(tmp_path, monkeypatch, kind, said):
    """It ended as a fault of the program, in torch's words on the loss."""
    monkeypatch.setitem(MODELS, "own", ModelEntry(Own, "a network of a user"))
    keys = ("width", "levels", "placement")
    sets = ["model=own", "epochs=1", *(f"model.{key}=null" for key in keys)]
    with pytest.raises(ValueError, match=said):
        train(load_config("digits", [*sets, f"model.options.kind={kind}"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    module.build(load_config("digits", sets), load_data("digits"))
