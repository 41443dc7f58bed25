"""TensorBoard shows what was measured, once, and nothing where a run has none."""

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from analysis.along.results import Moment
from analysis.runs.board import write_moments, write_pictures


def moment(epoch, level, mu, **more):
    return Moment(epoch, level, 0.5 + epoch, 2.0, mu, True, **more)


def test_moments_are_scalars_over_the_epochs(tmp_path):
    (tmp_path / "tensorboard").mkdir()
    first = [moment(0, 1, 0.9), moment(7, 1, 0.1)]
    found = [
        *(moment(0, 1, 0.3, jacobian_norm=5.0), moment(4, 1, 0.4, effective_factor=0.6)),
        moment(0, 2, 0.8),
    ]
    for moments in (first, found):  # the second in the place of the first
        assert write_moments(tmp_path, moments)
    table = EventAccumulator(str(tmp_path / "tensorboard/levels")).Reload()
    values = {
        tag: [(e.step, e.value) for e in table.Scalars(tag)] for tag in table.Tags()["scalars"]
    }
    assert values["level1/mu"] == [(0, pytest.approx(0.3)), (4, pytest.approx(0.4))]
    assert values["level1/b"] == [(0, 0.5), (4, 4.5)]
    assert values["level1/mu_effective"] == [(4, pytest.approx(0.6))]
    assert values["level1/jacobian_norm"] == [(0, 5.0)]
    assert values["level2/mu"] == [(0, pytest.approx(0.8))]
    assert "level2/jacobian_norm" not in values


def test_pictures_are_those_of_the_files(tmp_path):
    (tmp_path / "tensorboard").mkdir()
    Image.fromarray(np.full((3, 5, 3), 200, np.uint8)).save(tmp_path / "along.png")
    assert write_pictures(tmp_path, {"along": tmp_path / "along.png"})
    table = EventAccumulator(str(tmp_path / "tensorboard/pictures")).Reload()
    shown = table.Images("along")[0]
    assert (shown.height, shown.width) == (3, 5)


def test_without_tensorboard_nothing_is_written(tmp_path):
    assert not write_moments(tmp_path, [moment(0, 1, 0.3)])
    assert not write_pictures(tmp_path, {})
    assert not list(tmp_path.iterdir())
