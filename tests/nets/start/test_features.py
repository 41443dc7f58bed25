"""The size of what the classifier reads: that it grows like the step p(0) and not like M, the
amplification that gives it, and the images it is measured on where there are none."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch

import nets
from mgtheory.polynomials.bounded import bounded
from nets.start.features import (
    CLOSE,
    LARGEST,
    SMALLEST,
    Features,
    fitted_amplification,
    natural_images,
)
from nets.start.report import InitReport
from nets.training.checkpoint import load_model


def created(levels, name="q4", placement="relu_outside_nobn", **options):
    generator = torch.Generator().manual_seed(levels)
    options = {"width": 8, "levels": levels, "placement": placement} | options
    return nets.create_model(name, generator=generator, **options)


def start(model, scheme, **options):
    generator = torch.Generator().manual_seed(1)
    return nets.initialise(model, scheme, size=(8, 8), generator=generator, **options)


@pytest.mark.parametrize("levels", [1, 4])
def test_features_grow_like_the_step_and_not_like_the_amplification(levels):
    """u = p(A) f with p(0) for the mean of p over a disc: ten times the M of every level multiplies
    the features by about the ratio of the steps, 5.9, with one level as with four, where the
    product of the levels' M grows by 10^4; relus and the spectrum's shape take up to a fifth."""
    model, size = created(levels), {}
    for M in (2.0, 20.0):
        size[M] = start(model, f"bounded:amplification={M}").features
    step = {M: bounded(4, radius=1.0, amplification=M).correction_coefficients[0] for M in size}
    assert size[20.0] / size[2.0] == pytest.approx(step[20.0] / step[2.0], rel=0.25)


def test_more_levels_make_them_larger():
    sizes = [start(created(levels), "bounded").features for levels in (1, 2, 3, 4)]
    assert all(1.2 * a < b for a, b in pairwise(sizes))


def test_size_by_its_formula():
    """As written, from the features themselves; the model is left as it was."""
    model = created(2)
    start(model, "bounded")
    images = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    size = Features(model.eval(), images).size()
    assert not model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with torch.no_grad():
        read = model.train().features(images).mean((2, 3)).double().numpy()
    assert size == pytest.approx(np.sqrt(read.var(axis=0, ddof=1).mean()), rel=1e-6)


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
@pytest.mark.parametrize("scheme", ["bounded", "constant", "chebyshev4", "xavier", "zero"])
def test_every_scheme_comes_to_the_size(levels, scheme):
    """By its amplification; one number scales all roots of a level, also of a random scheme, whose
    draws do not depend on how often they are measured."""
    model = created(levels)
    plain = start(model, scheme)
    report = start(model, f"{scheme}:features=0.3")
    assert report.features == pytest.approx(0.3, rel=1.05 * CLOSE)
    assert report.options["amplification"] > 1.0
    for before, after in zip(plain.levels, report.levels):
        ratio = after.roots / before.roots
        assert ratio == pytest.approx(np.full(len(ratio), ratio[0]), rel=1e-4)
    again = start(created(levels), f"{scheme}:features=0.3")
    assert [level.factors for level in again.levels] == [level.factors for level in report.levels]


def test_behind_norms_there_is_nothing_to_fit():
    """`regular` divides the size of a linear step's weight out again: M stays what it was, and the
    report has the size that there is."""
    report = start(created(2, placement="regular"), "bounded:features=0.01")
    assert report.options["amplification"] == 8.0
    assert report.features > 0.1


@pytest.mark.parametrize("degree", [1, 2, 8, 64])
@pytest.mark.parametrize("size", [0.05, 0.6, 5.0])
def test_fitted_amplification_solves_for_the_step(degree, size):
    """M of (1 - z/r)^k with a given k (M^(1/k) - 1)."""
    calls = []

    def measure(M):
        calls.append(M)
        return degree * np.expm1(np.log(M) / degree)

    M = fitted_amplification(measure, size)
    assert measure(M) == pytest.approx(size, rel=1.01 * CLOSE)
    assert len(calls) <= 9


def test_fitted_amplification_at_its_ends():
    assert fitted_amplification(lambda M: 2.0 + 1e-3 * np.log(M), 0.6) is None
    assert fitted_amplification(lambda M: np.log(M), 1e-9) == pytest.approx(SMALLEST)
    assert fitted_amplification(lambda M: np.log(M), 1e9) == pytest.approx(LARGEST)
    # beyond what numbers can hold: it turns back
    assert fitted_amplification(lambda M: np.inf if M > 4 else np.log(M), 0.6) == pytest.approx(
        np.exp(0.6), rel=0.05
    )


def test_natural_images_have_the_spectrum_of_photographs():
    """Amplitude 1/|f|: from one octave to the next half of it; mean 0, variance 1, always alike."""
    images = natural_images(3, (64, 48), count=64)
    assert images.shape == (64, 3, 64, 48)
    assert torch.equal(images, natural_images(3, (64, 48), count=64))
    over = (0, 2, 3)
    assert images.mean(over).numpy() == pytest.approx(np.zeros(3), abs=1e-5)
    assert images.var(over).numpy() == pytest.approx(np.ones(3), rel=1e-4)
    square = natural_images(1, (64, 64), count=64)
    window = torch.hann_window(64)
    waves = torch.fft.fft2(square * window[:, None] * window).abs().square().mean((0, 1)).sqrt()
    f = torch.hypot(torch.fft.fftfreq(64, 1 / 64)[:, None], torch.fft.fftfreq(64, 1 / 64))
    octaves = [waves[(f >= 2**k) & (f < 2 ** (k + 1))].mean() for k in (2, 3, 4)]
    assert [float(b / a) for a, b in pairwise(octaves)] == pytest.approx([0.5] * 2, abs=0.1)


def test_given_images_count():
    model = created(2)
    large = 10 * torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    sampled = start(model, "bounded:features=0.6", sample=large)
    assert sampled.features == pytest.approx(0.6, rel=1.05 * CLOSE)
    assert sampled.options["amplification"] != pytest.approx(
        start(model, "bounded:features=0.6").options["amplification"], rel=0.02
    )


def test_of_features_and_amplification_the_later_counts():
    model = created(1)
    assert start(model, "bounded:features=0.6", amplification=3.0).options["amplification"] == 3.0
    report = start(model, "bounded:amplification=3", features=0.6)
    assert report.features == pytest.approx(0.6, rel=1.05 * CLOSE)
    with pytest.raises(ValueError, match="give one of them"):
        start(model, "bounded:amplification=3,features=0.6")
    with pytest.raises(ValueError, match="features is -1, must be positive"):
        start(model, "bounded:features=-1")
    with pytest.raises(ValueError, match="a block takes bounded:amplification=M"):
        nets.PolynomialBlock(4, start="bounded:features=0.6")


def test_a_run_measures_them_on_its_own_images(tmp_path):
    sets = ["model.width=4", "model.levels=2", "model.name=q2", "train.epochs=1"]
    nets.train(nets.load_config("digits", sets), tmp_path / "run", progress=False)
    told = json.loads((tmp_path / "run" / "init.json").read_text())
    assert told["features"] == pytest.approx(0.6, rel=1.05 * CLOSE)
    data = nets.load_data("digits")
    pixels = torch.from_numpy(data.images[data.train[:64]]).float() / 255
    images = (pixels - torch.tensor(data.mean)) / torch.tensor(data.std)
    started = load_model(tmp_path / "run" / "start.safetensors")
    assert Features(started, images).size() == pytest.approx(told["features"], rel=1e-4)
    former = {key: value for key, value in told.items() if key != "features"}
    assert InitReport.from_dict(former).features is None
