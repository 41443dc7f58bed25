"""Runs of a network of one's own with polynomial blocks have a level for every block."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import analysis
import nets
from nets.models.registry import MODELS
from nets.training.history import read_coefficients

SETS = ["model=blocks", "width=null", "levels=null", "placement=null", "epochs=2"]
SETS += ["batch_size=500", "tensorboard=false"]
FREE = {"placement": "nowhere/nowhere"}


class Blocks(nn.Module):
    """Two blocks, of unlike width, on grids of 8 x 8 and 4 x 4 for the digits; another that is
    given nothing where `idle`."""

    def __init__(self, *, in_channels=1, num_classes=10, idle=False):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 2, 3, padding=1)
        self.fine = nets.PolynomialBlock(2, ["linear"] * 3, start="constant:value=2", **FREE)
        self.down = nn.Conv2d(2, 3, 3, stride=2, padding=1)
        self.coarse = nets.PolynomialBlock(3, ["symmetric_pair"], **FREE)
        self.idle = nets.PolynomialBlock(2) if idle else nn.Identity()
        self.fc = nn.Linear(3, num_classes)

    def forward(self, x):
        return self.fc(self.coarse(self.down(self.fine(x=self.stem(x)))).mean((2, 3)))


class Mixed(nn.Module):
    """A block behind a network that has levels of its own."""

    def __init__(self, *, in_channels=1, num_classes=10):
        super().__init__()
        self.body = nets.create_model("q2", width=2, in_channels=in_channels, features_only=True)
        self.block = nets.PolynomialBlock(2)
        self.fc = nn.Linear(2, num_classes)

    def forward(self, x):
        return self.fc(self.block(self.body(x)[0]).mean((2, 3)))


def dense(A, side):
    """The matrix of a convolution on a square grid, a column for every unit vector."""
    channels = A.in_channels
    unit = torch.eye(channels * side**2).view(-1, channels, side, side)
    with torch.no_grad():
        return A(unit).flatten(1).T.double().numpy()


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr("nets.models.registry.MODELS", dict(MODELS))
    nets.register_model("blocks", Blocks, "two polynomial blocks")
    nets.register_model("mixed", Mixed, "q2 and a polynomial block")


def train(run, *sets):
    return nets.train(nets.load_config("digits", [*SETS, *sets]), run, progress=False)


def test_every_block_is_a_level(known, tmp_path):
    """b, max |q| and roots at the start and learned are those of the dense matrices of its A."""
    run = tmp_path / "run"
    train(run)
    report = analysis.analyse(run)
    assert len(report.levels) == 2
    for which in ("start", "learned"):
        model = nets.load(run, which=which)
        for level, block, side in zip(report.levels, (model.fine, model.coarse), (8, 4)):
            q, view = block.level.polynomial(), level.views[which]
            np.testing.assert_allclose(view.polynomial.roots, q.roots)
            eigenvalues = np.linalg.eigvals(dense(block.level.A, side))
            radius = level.operators[which].radius
            assert radius == pytest.approx(np.abs(eigenvalues).max(), rel=1e-4)
            assert view.max_modulus == pytest.approx(np.abs(q(eigenvalues)).max(), rel=1e-4)
    # the start is in its folder before anything is learned, and it is the blocks' own
    begun = json.loads((run / "init.json").read_text())
    assert [one["grid"] for one in begun["levels"]] == [[8, 8], [4, 4]]
    assert begun["scheme"] == "none"
    first = nets.load(run, which="start").fine
    assert first.started
    assert first.level.polynomial().roots == pytest.approx([2.0] * 3)
    assert [len(steps) for steps in read_coefficients(run)[2]] == [3, 1]
    found = analysis.along_training(run)
    assert [one.level for one in found.moments] == [1, 2] * 3
    assert found.moments[0].jacobian_norm is not None


def test_a_start_is_the_seed_s_and_goes_on_where_it_was(known, tmp_path):
    """Also of a scheme of chance; a run that is taken up again is the one that was not left."""
    for name in ("one", "two"):
        train(tmp_path / name, "epochs=1")
    one, two = (nets.load(tmp_path / name, which="start") for name in ("one", "two"))
    assert all(map(torch.equal, one.state_dict().values(), two.state_dict().values()))
    config = nets.load_config("digits", [*SETS, "epochs=2"])
    nets.train(config, tmp_path / "one", progress=False, resume=True)
    assert len(analysis.analyse(tmp_path / "one").levels) == 2


def test_runs_of_earlier_versions_idle_blocks_and_other_levels_have_none(known, tmp_path):
    run = tmp_path / "run"
    train(run, "epochs=1")
    path = run / "init.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2, "levels": []}))
    assert analysis.analyse(run).levels == ()
    (note,) = train(tmp_path / "idle", "epochs=1", 'model.options={"idle": true}').notes
    assert note == ("no block is shown as a level, for these are given nothing of the images: idle")
    assert analysis.analyse(tmp_path / "idle").levels == ()
    train(tmp_path / "mixed", "epochs=1", "model=mixed")
    assert analysis.analyse(tmp_path / "mixed").levels == ()
    assert nets.load(tmp_path / "mixed", which="start").block.started
