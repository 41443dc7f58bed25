"""The model of a run, built: by which seed, and on which images its start measures."""

import numpy as np
import torch

from nets import load_config, load_data
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
