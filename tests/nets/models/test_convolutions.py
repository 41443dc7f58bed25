"""Strided convolutions are torch's own, and separable ones: one linear operator with a spectrum, in
networks, blocks and starts as a dense one is."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

import nets
from nets.fast.fusion import exchanged, prepare
from nets.fast.levels import FusedLevel
from nets.models.blocks import Level, LevelOptions
from nets.models.convolutions import CONVOLUTIONS, SeparableConv, StridedConv
from nets.models.cost import count_flops
from nets.models.published import from_published_state
from nets.start.initialise import resolve_start
from nets.start.operators import OPERATOR_STARTS, operator_spectra, start_operators
from nets.training.checkpoint import load_model, save_model


def made(channels=5, dim=2, seed=0, **options):
    torch.manual_seed(seed)
    return SeparableConv(channels, channels, 3, dim=dim, **options).double()


@pytest.mark.parametrize("dim", CONVOLUTIONS)
@pytest.mark.parametrize("padding_mode", ["zeros", "circular"])
@pytest.mark.parametrize("stride", [1, 2])
def test_is_the_convolution_with_its_weight(dim, padding_mode, stride):
    conv = SeparableConv(3, 5, 3, dim=dim, padding_mode=padding_mode, stride=stride).double()
    assert conv.weight.shape == (5, 3, *[3] * dim)
    u = torch.randn(2, 3, *[7] * dim, dtype=torch.float64)
    mode = {"zeros": "constant", "circular": "circular"}[padding_mode]
    convolve = (F.conv1d, F.conv2d, F.conv3d)[dim - 1]
    expected = convolve(F.pad(u, [1] * 2 * dim, mode=mode), conv.weight, stride=stride)
    torch.testing.assert_close(conv(u), expected, rtol=1e-12, atol=1e-12)


def test_spectrum_is_that_of_the_matrix_times_the_filters():
    """At each frequency the eigenvalues of P diag(D_i(theta)), a tap at k having exp(i theta k)."""
    conv = made(padding_mode="circular")
    (found,) = operator_spectra([conv], [(5, 7)])
    D, P = (part.weight.detach().numpy() for part in (conv.depthwise, conv.pointwise))
    taps = np.arange(-1, 2)
    for place in np.ndindex(5, 7):
        theta, phi = found.theta[place]
        waves = np.exp(1j * (theta * taps[:, None] + phi * taps))
        values = np.linalg.eigvals(P[:, :, 0, 0] * (D[:, 0] * waves).sum((1, 2)))
        # their polynomials, which do not ask for an order; all values are below 1, and these exact
        np.testing.assert_allclose(np.poly(found.values[place]), np.poly(values), atol=1e-12)


@pytest.mark.parametrize("start", ["made", "drawn", "started"])
def test_random_ones_fill_a_disc(start):
    """Of radius 1/3 with periodic padding, as many channels make it, at every frequency."""
    conv, rng = made(96, padding_mode="circular"), torch.Generator().manual_seed(1)
    if start == "drawn":
        model = nets.create_model(
            "q2",
            channels=[96],
            in_channels=1,
            separable=True,
            padding_mode="circular",
            generator=rng,
        )
        conv = model.levels[0].A
    if start == "started":
        start_operators([conv], "random", [(4, 4)], generator=rng)
    (found,) = operator_spectra([conv], [(4, 4)])
    radii = np.abs(found.values).max(axis=-1)
    np.testing.assert_allclose(radii, 1 / 3, rtol=0.25)
    assert np.mean(radii) == pytest.approx(1 / 3, rel=0.08)


def test_weights_and_operations_are_a_ninth():
    dense, separable = (
        nets.create_model("q2", channels=[64], in_channels=1, separable=flag)
        for flag in (False, True)
    )
    weights = [
        sum(p.numel() for p in model.levels[0].A.parameters()) for model in (dense, separable)
    ]
    assert weights == [9 * 64**2, 64**2 + 9 * 64]
    apart = count_flops(dense, (1, 8, 8)) - count_flops(separable, (1, 8, 8))
    assert apart == 2 * 64 * (weights[0] - weights[1])  # one product with A, two for a multiply-add


class Strided(TorchFunctionMode):
    """Counts convolutions that mix channels with a 1 x 1 kernel and a stride."""

    count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.conv2d:
            names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
            given = {"stride": 1, "groups": 1} | dict(zip(names, args)) | (kwargs or {})
            mixes = given["groups"] == 1 and given["weight"].shape[2:] == (1, 1)
            self.count += mixes and set(np.ravel(given["stride"])) != {1}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["resnet18", "preact_resnet18", "resnet8", "mgnet", "q2"])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_no_strided_pointwise_convolutions(name, kernel_size):
    """oneDNN's write beyond their buffers, of NHWC images with few channels on AVX2."""
    options = {"channels": [1, 2, 4], "in_channels": 1, "kernel_size": kernel_size}
    model = prepare(nets.create_model(name, **options), torch.device("cpu"), half=False)
    model = model.to(memory_format=torch.channels_last)
    x = torch.randn(4, 1, 8, 8).to(memory_format=torch.channels_last)
    with Strided() as seen:
        F.conv2d(x, torch.ones(1, 1, 1, 1), stride=2)
        assert seen.count == 1  # it would be seen
        model(x).square().sum().backward()
    assert seen.count == 1


@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 2), (1, 3), (3, 2), (1, 1)])
def test_a_strided_convolution_is_that_of_torch(kernel_size, stride):
    conv = StridedConv(4, 6, kernel_size, stride=stride, groups=2).double()
    x = torch.randn(2, 4, 7, 8, dtype=torch.float64, requires_grad=True)
    twin = F.conv2d(x, conv.weight, stride=stride, padding=kernel_size // 2, groups=2)
    for one, both in ((conv(x), twin), (conv(x[0]), twin[0])):
        torch.testing.assert_close(one, both)
    wanted = [conv.weight, x]
    for one, both in zip(
        torch.autograd.grad(conv(x).square().sum(), wanted),
        torch.autograd.grad(twin.square().sum(), wanted),
    ):
        torch.testing.assert_close(one, both)


@pytest.mark.parametrize("name", ["mgnet", "resnet8"])
def test_only_the_stem_is_dense(name):
    """MgNet's B and transfers are separable with A, as all convolutions of a ResNet's blocks."""
    model = nets.create_model(name, width=8, separable=True, in_channels=1)
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    dense = [m for m in convolutions if m.kernel_size != (1, 1) and m.groups == 1]
    assert dense == [model.stem]
    if name == "mgnet":
        c, levels = 8, len(model.multigrid_levels)
        separable = sum(m.weight.numel() for m in convolutions if m is not model.stem)
        assert separable == (2 * levels + 2 * (levels - 1)) * (c**2 + 9 * c)  # A, B; Pi, R


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_laplacian_of_each_channel(scale):
    """Without its random part the eigenvalues are the Laplacian's, as often as there are
    channels."""
    conv, rng = made(3), torch.Generator().manual_seed(0)
    options = {"generator": rng, "small": 0.0, "scale": scale}
    (found,) = start_operators([conv], "laplacian", [(4, 5)], **options)
    theta, phi = (np.pi * np.arange(1, n + 1) / (n + 1) for n in (4, 5))
    one = scale * (2 - np.cos(theta)[:, None] - np.cos(phi)) / 4
    np.testing.assert_allclose(
        np.sort(found.values.real.ravel()), np.sort(np.repeat(one.ravel(), 3)), atol=1e-7
    )
    (found,) = start_operators([conv], "laplacian", [(4, 5)], generator=rng)
    assert found.least_real > 0  # P is near to 1: where the Laplacian is positive, A is
    assert abs(found.values.imag).max() > 0


def test_a_start_that_is_no_product_is_refused(monkeypatch):
    """Said before a run begins, as by a network without weights; also of a start of one's own."""
    message = r"shifted makes a kernel that is no product.*starts by random, laplacian, keep$"
    with pytest.raises(ValueError, match=message):
        start_operators([made()], "shifted", [(4, 4)])
    with pytest.raises(ValueError, match=message):
        nets.PolynomialBlock(3, operator="shifted", separable=True)
    with torch.device("meta"):
        model = nets.create_model("q2", width=4, separable=True)
    with pytest.raises(ValueError, match=message):
        resolve_start(model, "bounded", "shifted", {})
    monkeypatch.setitem(OPERATOR_STARTS, "ones", lambda A, generator: torch.ones_like(A.weight))
    with pytest.raises(ValueError, match="operator ones makes a kernel that is no product"):
        start_operators([made()], "ones", [(4, 4)])


@pytest.mark.parametrize("name", ["q4", "g6", "r4", "p3", "mgnet"])
def test_levels_in_both_forms_and_on_a_gpu_are_one_function(name):
    """The correction form, the plain one, and the level whose code is generated for a GPU."""
    options = {"width": 4, "levels": 2, "separable": True, "in_channels": 1}
    models = [
        nets.create_model(name, form=form, **options).double() for form in ("plain", "correction")
    ]
    if name != "mgnet":
        nets.initialise(models[0], size=(8, 8))
    models[1].load_state_dict(models[0].state_dict())
    models.append(exchanged(models[1], {Level: FusedLevel}))
    assert type(models[2].levels[0]) is FusedLevel
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    for model in models[1:]:
        torch.testing.assert_close(model(x), models[0](x), rtol=1e-10, atol=1e-10)
    loss = models[2](x).square().sum()
    loss.backward()
    for name, p in models[1].named_parameters():  # the twin's tensors are the model's own
        if ".A." in name:
            assert p.grad.abs().max() > 0


@pytest.mark.parametrize("name", ["q2", "mgnet", "resnet8", "preact_resnet18"])
def test_is_saved_and_drawn_like_any_other(name, tmp_path):
    options = {"width": 4 if "18" not in name else 0.0625, "in_channels": 1, "separable": True}
    model, twin = (
        nets.create_model(name, generator=torch.Generator().manual_seed(3), **options)
        for _ in range(2)
    )
    for one, other in zip(model.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    filters = [m.depthwise.weight for m in model.modules() if isinstance(m, SeparableConv)]
    assert filters
    assert all(torch.equal(D, D.clamp(-1 / 3, 1 / 3)) for D in filters)
    assert max(D.abs().max().item() for D in filters) > 0.3
    save_model(tmp_path / "one", model)
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(load_model(tmp_path / "one")(x), model.eval()(x))


@pytest.mark.parametrize(("dim", "size"), [(1, (12,)), (2, (5, 6)), (3, (3, 4, 3))])
def test_blocks_start_from_its_spectrum(dim, size):
    """max |q| is 8 over the eigenvalues of the matrix of A, assembled by unit vectors."""
    torch.manual_seed(dim)
    block = nets.PolynomialBlock(3, "q4", "plain", start_size=size, separable=True, dim=dim)
    n = 3 * int(np.prod(size))
    A = block.level.A.double()(torch.eye(n, dtype=torch.float64).reshape(n, 3, *size))
    eigenvalues = np.linalg.eigvals(A.detach().reshape(n, n).T.numpy())
    assert block.report.radius == pytest.approx(np.abs(eigenvalues).max(), rel=1e-5)
    q = block.level.polynomial()
    assert np.abs(q(eigenvalues)).max() == pytest.approx(block.report.max_modulus, rel=1e-4)
    b = block.report.radius
    assert np.abs(q(-b)) == pytest.approx(8.0, rel=1e-4)  # equal roots, in single precision


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("q2", {"separable": 1}, "separable is 1, allowed are: true, false"),
        ("resnet18", {"separable": "yes"}, "separable is 'yes', allowed are: true, false"),
        ("q2", {"separable": True, "groups": 2}, "no groups, groups is 2; use one of both"),
        ("resnet20", {"separable": True, "groups": 2}, "no groups, groups is 2; use one of both"),
    ],
)
def test_what_is_none_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        nets.create_model(name, **options)
    if name == "q2":
        with pytest.raises(ValueError, match=message):
            LevelOptions(**options)


def test_published_networks_are_dense():
    with pytest.raises(ValueError, match="have dense operators: separable must be false"):
        from_published_state({"conv1.weight": torch.zeros(1)}, separable=True)
