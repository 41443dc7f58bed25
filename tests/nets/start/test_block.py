"""The smoothing steps as a layer of other networks: their function, their start, and that it
survives what is done to modules."""

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nets
from mgtheory import derive, poisson
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.models.polymgnet import PolyMgNet
from nets.models.registry import MODELS
from nets.start.block import start_blocks
from nets.start.operators import dense_kernel, start_operators
from nets.start.spectrum import convolution_spectrum

LINEAR = {"placement": "plain", "residual": "identity"}
GRIDS = {1: (12,), 2: (5, 6), 3: (3, 4, 5)}


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def block(channels=3, *arguments, seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nets.PolynomialBlock(channels, *arguments, **options)


def matrix_of(A, grid):
    n = A.in_channels * int(np.prod(grid))
    double = copy.deepcopy(A).double()
    with torch.no_grad():
        return double(torch.eye(n).double().reshape(n, -1, *grid)).reshape(n, n).T.numpy()


def test_starts_by_what_derive_returns():
    """Its roots are those of the polynomial times b over the end that it was derived for; b is that
    of A as a dense matrix."""
    start = derive("chebyshev4", 2, poisson((127, 127)))
    layer = block(3, "q2", "plain", start, start_size=GRIDS[2])
    b = abs(np.linalg.eigvals(matrix_of(layer.level.A, GRIDS[2]))).max()
    roots = np.sort(layer.level.polynomial().roots.real)
    assert roots * 131072 / b == pytest.approx(np.sort(start.roots.real), rel=1e-5)
    with pytest.raises(ValueError, match="must be text, such as 'bounded', or what derive returns"):
        block(3, "q2", "plain", 0.5)


@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize("operator", ["keep", "laplacian", "shifted"])
@pytest.mark.parametrize("dim", GRIDS)
def test_it_is_q_of_A_and_starts_from_the_spectrum_of_A(dim, operator, mode):
    """Without norm and activation y = q(A) x; b, max |q| and mu are those of A's matrix."""
    made = block(2, ["linear", "general2"], dim=dim, operator=operator, padding_mode=mode, **LINEAR)
    grid = GRIDS[dim]
    x, f = random(2, 2, *grid), random(2, 2, *grid, seed=1)
    with torch.no_grad():
        y, with_f = made(x), made(x, f)
    A, q = matrix_of(made.level.A, grid), made.level.polynomial()
    flat = x.reshape(2, -1).T.double().numpy()
    expected = flat - A @ q.apply(A, flat)
    np.testing.assert_allclose(y.reshape(2, -1).T, expected, atol=1e-5)
    error = np.linalg.solve(A, f.reshape(2, -1).T.double().numpy())
    fixed = flat - A @ q.apply(A, flat - error)  # error + q(A) (x - error) of A error = f
    np.testing.assert_allclose(with_f.reshape(2, -1).T, fixed, atol=1e-4 * np.abs(error).max())
    values, report = np.linalg.eigvals(A), made.report
    assert report.grid == grid
    assert report.radius == pytest.approx(np.abs(values).max(), rel=1e-6)
    assert report.max_modulus == pytest.approx(np.abs(q(values)).max(), rel=1e-5)
    assert 0 < report.smoothing_factor <= 1.5 * report.max_modulus
    if operator == "shifted":
        assert values.real.min() > 0


@pytest.mark.parametrize("dim", GRIDS)
def test_laplacian_start_in_every_dimension(dim):
    """1/(4 dim) of the (2 dim + 1)-point Laplacian: (1/dim) sum of sin(theta_j / 2)^2."""
    A = block(2, dim=dim, padding_mode="circular").level.A
    (found,) = start_operators([A], "laplacian", [GRIDS[dim]], small=0.0)
    exact = sum(
        np.meshgrid(*(np.sin(np.pi * np.arange(n) / n) ** 2 / dim for n in GRIDS[dim]), sparse=True)
    )
    np.testing.assert_allclose(
        np.sort(found.values, axis=None).real[::2], np.sort(exact, axis=None), atol=1e-7
    )
    assert found.padding == "periodic"
    assert (found.high.ndim, found.theta.shape[-1]) == (dim, dim)


@pytest.mark.parametrize("scheme", ["bounded", "chebyshev4", "harmonic_ritz", "xavier"])
def test_it_starts_as_the_same_level_of_a_model(scheme):
    model = nets.create_model("g6", width=4, levels=2, padding_mode="circular")
    made = block(
        4, ["symmetric_pair"] * 2 + ["complex_pair"], start=scheme, padding_mode="circular"
    )
    made.level.A.load_state_dict(model.levels[0].A.state_dict())
    draws = [torch.Generator().manual_seed(3) for _ in range(2)]
    report = made.start((6, 5), generator=draws[0])
    started = nets.initialise(model, scheme, operator="keep", size=(6, 5), generator=draws[1])
    assert report == started.levels[0]
    for own, other in zip(made.level.steps, model.levels[0].steps):
        assert own.factor() == other.factor()


@pytest.mark.parametrize("name", ["q2", "q4", "g6", "g8", "p4", "r4"])
def test_the_name_of_a_network_gives_the_steps_of_its_levels(name):
    """The same module as a level of that network, with its placements, and so the same function."""
    model = nets.create_model(name, width=4, levels=1)
    made, level = block(4, name).eval(), model.levels[0].eval()
    made.level.load_state_dict(level.state_dict())
    for own, other in zip(made.level.steps, level.steps, strict=True):
        assert (own.kind, own.placement) == (other.kind, other.placement)
    made.start((6, 5))
    level.load_state_dict(made.level.state_dict())
    x = random(2, 4, 6, 5)
    assert torch.equal(made(x), level(-level.A(x), x)[0])
    plain = block(4, name, "plain").level.steps
    assert {step.placement.name for step in plain} == {"plain"}


def test_the_name_of_a_registered_network_with_steps_per_level_is_refused(monkeypatch):
    monkeypatch.setattr("nets.models.registry.MODELS", dict(MODELS))
    kinds = {"same": ["linear"] * 3, "unlike": [["linear"] * 3, ["linear"] * 2]}
    for name, factors in kinds.items():
        nets.register_model(name, PolyMgNet, "mine", channels=(4, 4), factors=factors)
    assert len(block(4, "same").level.steps) == 3
    with pytest.raises(ValueError, match=r"factors is 'unlike', .* r4, p2, p3, p4, same, p<d>"):
        block(4, "unlike")


def test_the_first_input_starts_it_and_none_after_it():
    made = block()
    assert made.report is None
    assert not made.started
    made(random(2, 3, 6, 7))
    first = made.report
    assert first.grid == (6, 7)
    assert made.started
    made(random(2, 3, 8, 8))
    assert made.report is first
    early = block(start_size=(6, 7))
    assert early.report == first
    assert torch.equal(early(random(2, 3, 6, 7)), block()(random(2, 3, 6, 7)))
    spectrum = convolution_spectrum(dense_kernel(made.level.A), (6, 7))
    q = ResidualPolynomial.from_factors(first.factors)
    assert first.max_modulus == pytest.approx(spectrum.max_modulus(q))
    assert block(start="none")(random(2, 3, 6, 7)).shape == (2, 3, 6, 7)


def test_what_is_loaded_copied_and_pickled_is_not_started_again():
    x, made = random(2, 3, 6, 7), block(start_size=(6, 7))
    with torch.no_grad():  # as if it had been trained
        for parameter in made.parameters():
            parameter.mul_(1.01)
    made.eval()
    y = made(x)
    file = io.BytesIO()
    torch.save(made.state_dict(), file)
    file.seek(0)
    loaded = nn.Sequential(block(seed=5)).eval()
    loaded[0].load_state_dict(torch.load(file, weights_only=True))
    for other in (loaded[0], copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert torch.equal(other(x), y)
    fresh = copy.deepcopy(block(seed=5))
    fresh.load_state_dict(block().state_dict())  # of one that was not started
    assert torch.equal(fresh(x), block()(x))
    assert pickle.loads(pickle.dumps(block()))(x).shape == x.shape


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_start_from_the_same_spectrum(dtype):
    made, x = block().to(dtype), random(2, 3, 6, 7)
    made.start((6, 7))
    whole = block(start_size=(6, 7))
    assert made.report.radius == pytest.approx(whole.report.radius, rel=5e-3)
    error = made(x.to(dtype)).double() - whole(x).double()
    assert error.abs().max() < 30 * max(torch.finfo(dtype).eps, 1e-7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = block()
        mixed(x)
    assert mixed.report == whole.report


def test_compiled_after_its_start():
    made, x = block(start_size=(6, 7)).eval(), random(2, 3, 6, 7)
    compiled = torch.compile(made, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), made(x))


def test_compiled_before_its_start():
    """Its start is not traced, nor what the tracer would warn of in it: the first batch breaks the
    graph, the next ones do not."""
    torch.compiler.reset()
    made, x = block().eval(), random(2, 3, 6, 7)
    compiled = torch.compile(made, backend="eager")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Dynamo does not know how to trace")
        y = compiled(x)
    assert made.report == block(start_size=(6, 7)).report
    torch.testing.assert_close(y, made(x))
    torch.testing.assert_close(compiled(2 * x), made(2 * x))
    with pytest.raises(RuntimeError, match=r"not started cannot be traced, .* give start_size"):
        torch.export.export(block().eval(), (x,))


def test_exported_for_any_batch_and_grid():
    made = block(start_size=(6, 7)).eval()
    free = {"x": dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)}
    program = torch.export.export(made, (random(2, 3, 6, 7),), dynamic_shapes=free)
    x = random(4, 3, 8, 5, seed=1)
    torch.testing.assert_close(program.module()(x), made(x))


def test_a_running_mean_made_before_the_start_is_not_started_again():
    """It takes over `started` with the weights, and no start may come over these."""
    made, x = block(placement="relu_outside_nobn"), random(2, 3, 6, 7)
    mean = torch.optim.swa_utils.AveragedModel(made)
    made(x)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1.3)
    mean.update_parameters(made)
    mean(x)
    for own, other in zip(mean.module.parameters(), made.parameters(), strict=True):
        assert torch.equal(own, other)
    assert mean.module.report is None


def test_on_the_device_meta_it_waits_for_its_weights():
    x, made = random(2, 3, 6, 7), block(start_size=(6, 7)).eval()
    with torch.device("meta"):
        empty = nets.PolynomialBlock(3, start_size=(6, 7)).eval()
    with pytest.warns(UserWarning, match="which is a no-op"):
        empty.load_state_dict(made.state_dict())
    empty.load_state_dict(made.state_dict(), assign=True)
    assert torch.equal(empty(x), made(x))


def test_device_and_type_are_given_as_to_a_layer_of_torch():
    made = block(start_size=(6, 7), dtype=torch.float64)
    double, x = block().double(), random(2, 3, 6, 7).double()
    double.start((6, 7))
    assert torch.equal(made(x), double(x))
    empty = nets.PolynomialBlock(3, start_size=(6, 7), device="meta")
    assert all(tensor.is_meta for tensor in empty.state_dict().values())
    with torch.device("meta"):  # what is given goes before torch's default
        given = nets.PolynomialBlock(3, device="cpu")
    assert not any(tensor.is_meta for tensor in given.state_dict().values())


def resnet20():
    """ResNet-20 with blocks of two steps in place of those of two convolutions."""

    def stage(fine, coarse, stride):
        shape = nn.Conv2d(fine, coarse, 3, stride=stride, padding=1, bias=False)
        return nn.Sequential(shape, *(nets.PolynomialBlock(coarse, ["linear"] * 2) for _ in "123"))

    stages = [stage(3, 16, 1), stage(16, 32, 2), stage(32, 64, 2)]
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class UNet(nn.Module):
    """Two resolutions: down, a block, up, and a block on the sum with what was left there."""

    def __init__(self, dim=2):
        super().__init__()
        conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dim]
        self.stem, self.down, self.end = conv(1, 4, 1), conv(4, 8, 2, stride=2), conv(4, 1, 1)
        self.up = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[dim](
            8, 4, 2, stride=2
        )
        pair = ["symmetric_pair"]
        self.fine, self.coarse, self.out = (
            nets.PolynomialBlock(channels, pair, "outside", dim=dim) for channels in (4, 8, 4)
        )

    def forward(self, x):
        fine = self.fine(self.stem(x))
        return self.end(self.out(fine + self.up(self.coarse(self.down(fine)))))


@pytest.mark.parametrize(
    ("make", "shape", "loss"),
    [
        (resnet20, (8, 3, 16, 16), lambda y: F.cross_entropy(y, torch.arange(8))),
        *((lambda dim=dim: UNet(dim), (2, 1, *(4,) * dim), lambda y: (y - 1).square().mean())
          for dim in (1, 2, 3)),
    ],
    ids=["resnet20", "unet1d", "unet2d", "unet3d"],
)  # fmt: skip
def test_networks_of_blocks_train(make, shape, loss):
    torch.manual_seed(0)
    model, x = make(), random(*shape)
    first = loss(model(x))
    first.backward()
    parameters = list(model.parameters())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in parameters)
    for name, p in model.named_parameters():
        assert not name.endswith("level.A.weight") or p.grad.abs().max() > 0
    with torch.no_grad():
        size = sum(p.grad.square().sum() for p in parameters)
        for p in parameters:
            p -= p.grad * (0.02 * first / size)  # two hundredths of the loss, linearly
        assert loss(model(x)) < first
    blocks = [m for m in model.modules() if isinstance(m, nets.PolynomialBlock)]
    assert all(m.report is not None and m.report.max_modulus > 0 for m in blocks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 4}, "dim is 4, allowed are: 1, 2, 3"),
        ({"channels": 0}, "channels is 0, must be a whole number from 1 on"),
        ({"start": "best"}, "unknown scheme 'best'"),
        ({"operator": "best"}, "unknown operator start 'best'"),
        ({"factors": []}, r"factors is \[\], must be a list of kinds"),
        (
            {"factors": 2},
            r"factors is 2, must be a list of kinds, .* or the name of .*q2, g4, g6, g",
        ),
        ({"factors": "resnet20"}, "factors is 'resnet20', must be .* name of a network with these"),
        ({"factors": "q1"}, r"factors is 'q1', .* q<n> \(n from 2 to 64\)"),
        ({"factors": [["linear"]]}, "must be a list of kinds"),
        ({"factors": ["q4"]}, "unknown kind of step 'q4', known are: linear, "),
        ({"start_size": (4,)}, "dim=2"),
        ({"start_size": (4, 0)}, "size is"),
        ({"placement": "best"}, "unknown placement"),
        ({"dim": [2]}, r"dim is \[2\], allowed are: 1, 2, 3"),
        ({"operator": ["keep"]}, r"unknown operator start \['keep'\]"),
        ({"kernel_size": (3, 3)}, r"kernel_size is \(3, 3\), must be a whole number, odd"),
        ({"kernel_size": True}, "kernel_size is True, must be a whole number"),
        ({"groups": None}, "groups is None, must be a whole number that divides"),
        (
            {"dilation": 2},
            "no option 'dilation'; it takes: residual, kernel_size, groups, padding_",
        ),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        nets.PolynomialBlock(**({"channels": 4} | options))
    with pytest.raises(ValueError, match="dim=2 needs 4 axes"):
        block()(random(2, 3, 8))


def test_a_network_of_blocks_is_not_started_by_a_scheme():
    """Its blocks are by their own `start`: a scheme would do nothing, and is refused."""
    network = nn.Sequential(block(2, start_size=(8, 8)), nn.Flatten())
    before = copy.deepcopy(network.state_dict())
    for scheme in ("chebyshev4", "bounded:amplification=3", "bounded", "xavier"):
        with pytest.raises(ValueError, match="a PolynomialBlock starts itself, by its own start="):
            nets.initialise(network, scheme, size=(8, 8))
    with pytest.raises(ValueError, match="a PolynomialBlock starts itself, by its own start="):
        nets.initialise(network, size=(8, 8))
    report = nets.initialise(network, "none", size=(8, 8))
    assert (report.levels, report.options) == ((), {})
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_blocks_of_a_network_start_at_what_they_meet_first_and_nothing_else_moves():
    """A block that stands twice, before and behind a pooling, starts on the larger grid; norms keep
    their statistics and every module its mode."""
    made = block(3, **LINEAR)
    network = nn.Sequential(nn.BatchNorm2d(3), made, nn.AvgPool2d(2), made, nn.BatchNorm2d(3))
    network[4].eval()
    before = {name: value.clone() for name, value in network.named_buffers()}
    (report,) = start_blocks(network, random(2, 3, 8, 6)).levels
    assert (report.level, report.grid) == (1, (8, 6))
    for name, value in network.named_buffers():
        assert "started" in name or torch.equal(value, before[name]), name
    assert (network.training, network[4].training) == (True, False)
    (again,) = start_blocks(network, random(2, 3, 4, 4)).levels  # started: it is as it is
    assert again == report
    loaded = nn.Sequential(nn.BatchNorm2d(3), twin := block(3, **LINEAR), nn.AvgPool2d(2), twin)
    loaded.load_state_dict(network[:4].state_dict())
    assert start_blocks(loaded, random(2, 3, 8, 6)).levels[0].grid == (8, 6)
