"""The size of what the classifier reads: that it grows like the step p(0) and not like M, the
amplification that gives it, and the images it is measured on where there are none."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import nets
from mgtheory.polynomials.bounded import bounded
from nets.models.registry import MODELS, ModelEntry
from nets.models.resnet import ResNet
from nets.start.block import start_blocks
from nets.start.features import (
    CLOSE,
    LARGEST,
    MAX_MEASUREMENTS,
    SMALLEST,
    Features,
    affordable,
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
    model = created(levels, width=4)
    plain = start(model, scheme)
    report = start(model, f"{scheme}:features=0.3")
    assert report.features == pytest.approx(0.3, rel=1.05 * CLOSE)
    assert report.options["amplification"] > 1.0
    assert report.missed is None
    for before, after in zip(plain.levels, report.levels):
        ratio = after.roots / before.roots
        assert ratio == pytest.approx(np.full(len(ratio), ratio[0]), rel=1e-4)
    again = start(created(levels, width=4), f"{scheme}:features=0.3")
    assert [level.factors for level in again.levels] == [level.factors for level in report.levels]


def test_behind_norms_there_is_nothing_to_fit():
    """`regular` divides the size of a linear step's weight out again: M stays what it was, and the
    report has the size that there is."""
    report = start(created(2, placement="regular"), "bounded:features=0.01")
    assert report.options["amplification"] == 8.0
    assert report.features > 0.1
    assert report.missed == 0.01
    assert repr(report).endswith(
        f"amplification 8, features {report.features:.2g} (no M gives 0.01))"
    )
    assert "(amplification M = 8)" in report.about()
    assert report.about().endswith(f"{report.features:.2g}, no M gives 0.01")


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
    assert fitted_amplification(lambda M: np.log(M), np.log(8.0)) == 8.0  # as it is given
    assert fitted_amplification(lambda M: np.log(M), 1.02 * np.log(SMALLEST)) is not None
    assert fitted_amplification(lambda M: np.log(M), 0.9 * np.log(SMALLEST)) is None
    assert fitted_amplification(lambda M: np.log(M), 0.98 * np.log(LARGEST)) is not None
    assert fitted_amplification(lambda M: np.log(M), 1.1 * np.log(LARGEST)) is None
    # beyond what numbers can hold: it turns back
    assert fitted_amplification(lambda M: np.inf if M > 4 else np.log(M), 0.6) == pytest.approx(
        np.exp(0.6), rel=0.05
    )


@pytest.mark.parametrize("exponent", [0.0, 0.2, -1.0])
def test_of_what_does_not_grow_with_m_there_is_no_fit(exponent):
    """Behind norms the size goes like a low power of ln M, up or down, if it depends on M at all:
    an M of a million that reaches it all the same would be no start."""
    calls = []

    def measure(M):
        calls.append(M)
        return np.log(M) ** exponent

    assert fitted_amplification(measure, 1.5) is None
    assert len(calls) == 2


def test_a_fit_ends():
    """Where no M gives the size: of a jump across it, and of one number after another."""
    draws = iter(np.random.default_rng(0).uniform(1.0, 2.0, MAX_MEASUREMENTS))
    assert fitted_amplification(lambda M: np.log(M) + 2.0 * (M > 3.0), 2.0) is None
    assert fitted_amplification(lambda M: np.exp(np.log(M) * next(draws)), 40.0) is None


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


def test_natural_images_are_alike_along_both_axes():
    """Of any shape: from a pixel to its neighbour they change by as much down as across."""
    images = natural_images(1, (96, 24), count=128)
    down, across = (images.diff(dim=axis).square().mean() for axis in (2, 3))
    assert float(down / across) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("seed", [0, 1])
def test_norms_that_leave_a_trace_of_the_step_take_no_huge_one(seed):
    """g8 as published, on four levels of 32 x 32 points: its size goes like (ln M)^0.1 and is never
    0.6."""
    model = nets.create_model("g8", width=0.125, generator=torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    report = nets.initialise(model, generator=generator)
    assert report.features < 0.5
    assert report.options["amplification"] == 8.0
    assert all(level.max_modulus < 8.1 for level in report.levels)
    assert f"features {report.features:.2g}" in repr(report)


def test_a_general_step_is_fitted_below_its_own_limit():
    """Which is 3, unless an amplification is asked for: above it M changes nothing."""
    model = created(2, "p4")
    most = start(model, "bounded").features
    for size in (0.95 * most, 0.3 * most):
        report = start(model, f"bounded:features={size}")
        assert report.features == pytest.approx(size, rel=1.05 * CLOSE)
        assert all(1.0 < level.max_modulus < 2.99 for level in report.levels)
    beyond = start(model, f"bounded:features={1.5 * most}")
    assert beyond.features == pytest.approx(most, rel=1e-3)
    assert [level.max_modulus for level in beyond.levels] == pytest.approx([3.0] * 2, rel=1e-4)


@pytest.mark.parametrize(
    ("size", "count"),
    [((8, 8), 32), ((128, 128), 32), ((181, 181), 16), ((1024, 32), 16), ((512, 512), 8)],
)
def test_of_large_images_there_are_fewer(size, count):
    """At most half a million pixels, but for eight images."""
    assert affordable(32, size) == count
    assert len(Features.of(created(1), None, size).images) == count


def test_given_images_count():
    model = created(2)
    large = 10 * torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    sampled = start(model, "bounded:features=0.6", sample=large)
    assert sampled.features == pytest.approx(0.6, rel=1.05 * CLOSE)
    assert sampled.options["amplification"] != pytest.approx(
        start(model, "bounded:features=0.6").options["amplification"], rel=0.02
    )


def test_images_that_no_size_can_be_measured_on():
    model, images = created(2), torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    for few in (images[:1], images[:0]):
        with pytest.raises(ValueError, match="give two or more as sample"):
            start(model, "bounded:features=0.6", sample=few)
    assert start(model, "bounded", sample=images[:1]).features is None
    assert start(model, "bounded", images=images[:1]).levels[0].jacobian_norm > 1
    for other in (images[:, :1], images[0]):
        with pytest.raises(ValueError, match=r"the model takes \(images, 3, height, width\)"):
            start(model, "bounded", sample=other)
    images[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        start(model, "bounded", sample=images)
    # alike: there is nothing to fit
    alike = start(model, "bounded:features=0.6", sample=images[1:2].expand(8, 3, 8, 8))
    assert (alike.options["amplification"], alike.features) == (8.0, pytest.approx(0.0, abs=1e-6))


def test_beyond_the_range_of_numbers_it_is_infinite():
    assert start(created(2, "q2"), "bounded:amplification=1e76").features == np.inf


def test_the_callers_program_changes_no_size():
    """Default type, device and autocast of torch are as imported while a start is measured, and the
    global random numbers go on as they would."""
    expected = start(created(2), "bounded:features=0.6")
    model = created(2)
    state = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), torch.autocast("cpu"), torch.inference_mode():
            report = start(model, "bounded:features=0.6")
    finally:
        torch.set_default_dtype(torch.float32)
    assert report.to_dict() == expected.to_dict()
    assert torch.equal(torch.get_rng_state(), state)


def test_of_features_and_amplification_the_later_counts():
    model = created(1)
    assert start(model, "bounded:features=0.6", amplification=3.0).options["amplification"] == 3.0
    report = start(model, "bounded:amplification=3", features=0.6)
    assert report.features == pytest.approx(0.6, rel=1.05 * CLOSE)
    with pytest.raises(ValueError, match="give one of them"):
        start(model, "bounded:amplification=3,features=0.6")
    with pytest.raises(ValueError, match="features is -1, must be positive"):
        start(model, "bounded:features=-1")
    with pytest.raises(ValueError, match="none leaves the coefficients and takes no option"):
        start(model, "none:features=0.6")


@pytest.mark.parametrize(("name", "scheme"), [("q2", "bounded:features=0.6"), ("resnet20", "none")])
def test_features_of_a_network_whose_classifier_is_taken_off(name, scheme):
    """They are the same, whatever is to stand behind them."""
    sizes = []
    for head in (None, nn.Identity(), nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))):
        generator = torch.Generator().manual_seed(0)
        model = nets.create_model(name, width=8, generator=generator)
        model.fc = head or model.fc
        sizes.append(start(model, scheme).features)
    assert sizes == [sizes[0]] * 3


class Own(nn.Module):
    """Blocks at falling resolutions and a head of two layers, as a user's network has them; `seen`
    is what the last of them read."""

    def __init__(self, count=2, start="bounded:features=0.6", dim=2):
        super().__init__()
        torch.manual_seed(count)
        conv, norm = {2: nn.Conv2d, 3: nn.Conv3d}[dim], {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dim]
        self.stem = nn.Sequential(conv(1, 8, 3, padding=1), norm(8), nn.ReLU())
        kind = {"placement": "relu_outside_nobn", "dim": dim}
        blocks = [nets.PolynomialBlock(8, "q4", start=start, **kind) for _ in range(count)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 10))

    def forward(self, x):
        pooled = self.blocks(self.stem(x)).flatten(2).mean(2)
        self.seen = self.head[:2](pooled).detach()
        return self.head(pooled)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("size", [0.6, 2.0])
def test_blocks_of_a_network_of_ones_own_have_one_amplification(size, dim):
    """At which what its last linear layer reads has that size; the network is left in its mode with
    its norms as they were, and no start comes twice."""
    model, images = Own(start=f"bounded:features={size}", dim=dim), torch.randn(24, 1, *(8,) * dim)
    model.head.eval()
    means = model.stem[1].running_mean.clone()
    found = start_blocks(model, images)
    assert torch.equal(model.stem[1].running_mean, means)
    assert (model.training, model.head.training) == (True, False)
    model(images)
    seen = float(model.seen.std(0).square().mean().sqrt())
    assert seen == pytest.approx(size, rel=1.05 * CLOSE)
    assert found.features == pytest.approx(size, rel=1.05 * CLOSE)
    M, largest = found.options["amplification"], []
    for block in model.blocks:
        q, b = block.level.polynomial(), block.report.radius
        largest.append(abs(q(-b)))  # of equal roots the largest on the disc
    assert largest == pytest.approx([M] * 2, rel=1e-4)
    assert len(found.levels) == (2 if dim == 2 else 0)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    again = start_blocks(model, images)
    assert (again.options, again.features) == ({}, None)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_more_blocks_amplify_less():
    images = natural_images(1, (8, 8))
    found = [start_blocks(Own(k), images).options["amplification"] for k in (1, 3, 6)]
    assert found[0] > found[1] > found[2]


def test_a_block_that_asks_for_features_waits_for_its_network():
    images = natural_images(1, (8, 8))
    for use in (lambda: Own()(images), lambda: Own().blocks[0].start((8, 8))):
        with pytest.raises(
            ValueError, match=r"call nets.start.block.start_blocks\(network, images"
        ):
            use()
    unlike = nn.Sequential(*Own(1).blocks, *Own(1, "chebyshev4:features=0.6").blocks)
    with pytest.raises(ValueError, match="of schemes with features one network takes one"):
        start_blocks(unlike, torch.randn(4, 8, 8, 8))
    with pytest.raises(ValueError, match="give two or more"):
        start_blocks(Own(), images[:1])
    with pytest.raises(ValueError, match=r"the last torch.nn.Linear reads, and Sequential applies"):
        start_blocks(Own().blocks, torch.randn(4, 8, 8, 8))
    for wrong, said in (((images, 0), "a tuple"), (images.numpy(), "a ndarray")):
        with pytest.raises(ValueError, match=f"images is {said}, must be a tensor"):
            start_blocks(Own(), wrong)
    with pytest.raises(ValueError, match="values that are not finite"):
        start_blocks(Own(), images / 0)


def test_a_compiled_network_starts_as_it_does_before():
    images = natural_images(1, (8, 8))
    own = start_blocks(Own(), images)
    found = start_blocks(torch.compile(Own(), backend="aot_eager"), images)
    assert (found.options, found.features) == (own.options, own.features)


class Named(nn.Linear):
    """Called by its parameter's name."""

    def __call__(self, x):
        return super().__call__(input=x)


def test_blocks_whose_start_was_refused_wait_for_the_next():
    """Where images do not fit the head, which is met behind all blocks, none is left at M = 8."""
    model = nn.Sequential(*Own(2).blocks, nn.Flatten(), Named(8 * 16, 10))
    with pytest.raises(RuntimeError):
        start_blocks(model, torch.randn(24, 8, 8, 8))
    assert not any(block.started or block.report for block in model[:2])
    assert start_blocks(model, torch.randn(24, 8, 4, 4)).features == pytest.approx(0.6, rel=0.04)


class Called(Own):
    """As the registry makes it."""

    def __init__(self, *, in_channels=1, num_classes=10):
        super().__init__()


class Replaced(ResNet):
    """A network of the registry with other blocks."""

    def __init__(self, *, in_channels=1, num_classes=10):
        sizes = {"in_channels": in_channels, "num_classes": num_classes}
        super().__init__(channels=(8,), steps=1, **sizes)
        self.stages[0] = Own().blocks


@pytest.mark.parametrize("kind", [Called, Replaced])
def test_a_run_of_blocks_measures_them_on_its_own_images(kind, tmp_path, monkeypatch):
    name = kind.__name__.lower()
    monkeypatch.setitem(MODELS, name, ModelEntry(kind, "blocks"))
    none = [f"{key}=null" for key in ("width", "levels", "placement")]
    config = nets.load_config("digits", [f"model={name}", *none, "epochs=1", "tensorboard=false"])
    nets.train(config, tmp_path / "run", progress=False)
    report = InitReport.from_dict(json.loads((tmp_path / "run" / "init.json").read_text()))
    assert report.features == pytest.approx(0.6, rel=1.05 * CLOSE)
    assert len(report.levels) == 2
    assert f"(amplification M = {report.options['amplification']:.3g})" in report.about()


def test_a_run_measures_them_on_its_own_images(tmp_path):
    sets = ["model.width=4", "model.levels=2", "model.name=q2", "train.epochs=1"]
    nets.train(nets.load_config("digits", sets), tmp_path / "run", progress=False)
    told = json.loads((tmp_path / "run" / "init.json").read_text())
    assert told["features"] == pytest.approx(0.6, rel=1.05 * CLOSE)
    data = nets.load_data("digits")
    chosen = data.train[np.arange(64) * (len(data.train) - 1) // 63]  # evenly, of every class
    pixels = torch.from_numpy(data.images[chosen]).float() / 255
    images = (pixels - torch.tensor(data.mean)) / torch.tensor(data.std)
    started = load_model(tmp_path / "run" / "start.safetensors")
    assert Features(started, images).size() == pytest.approx(told["features"], rel=1e-4)
    former = {key: value for key, value in told.items() if key != "features"}
    assert InitReport.from_dict(former).features is None
