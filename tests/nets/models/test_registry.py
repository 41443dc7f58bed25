"""Every registered model, unasked: size, gradients, compilation, precision, copies, export; and the
options of `create_model`."""

import copy
import io
import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn

import nets
from nets.models.classifier import MultigridClassifier
from nets.models.cost import count_parameters
from nets.models.polymgnet import coefficient_parameters, operator_products
from nets.models.registry import MODELS, ModelEntry, model_entry, model_options
from nets.models.spec import ModelSpec

NAMES = nets.list_models()
ONE_LEVEL = ("g4", "g6", "g8", "r4", "p2", "p3", "p4")
COUNTS = {
    "q2": 1_385_554,
    "g4": 1_385_554,
    "g6": 1_388_378,
    "g8": 1_391_198,
    "mgnet": 8_278_794,
    "resnet18": 11_173_962,
    "resnet20": 269_722,
}
# convolutions with A: correction form, plain form
PRODUCTS = {"q2": (7, 15), "g4": (15, 23), "g6": (23, 31)}


def narrow(name, width):
    """Options of a small model of this name, as far as it takes them."""
    taken = model_options(name)
    return {key: value for key, value in {"width": width, "levels": 2}.items() if key in taken}


def small(name, seed=0, **options):
    """A narrow model of two levels with generic coefficients; as it is where it has none."""
    generator = torch.Generator().manual_seed(seed)
    model = nets.create_model(name, generator=generator, **(narrow(name, 6) | options))
    with torch.no_grad():
        for p in coefficient_parameters(model):
            p.copy_(0.5 + torch.rand(p.shape, generator=generator))
    return model


def images(n=4, size=8, channels=3, seed=0):
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


def loss_of(model, x):
    y = torch.arange(len(x)) % 10
    return torch.nn.functional.cross_entropy(model(x), y)


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_published_sizes(name, count):
    assert count_parameters(nets.create_model(name)) == count


@pytest.mark.parametrize(("name", "products"), PRODUCTS.items())
def test_products_with_the_operators(name, products):
    model = nets.create_model(name, width=4)
    counted = []
    for form in ("correction", "plain"):
        for level in model.levels:
            level.form = form
        counted.append(operator_products(model, images(1, 16)))
    assert tuple(counted) == products


@pytest.mark.parametrize("name", NAMES)
def test_forward_and_gradients(name):
    model = small(name)
    out = model(images())
    assert out.shape == (4, 10)
    loss_of(model, images()).backward()
    assert torch.isfinite(out).all()
    for key, p in model.named_parameters():
        assert p.grad is not None, key
        assert torch.isfinite(p.grad).all(), key
        assert p.grad.abs().max() > 0, key


@pytest.mark.parametrize(
    "name", [n for n in NAMES if issubclass(model_entry(n).build, MultigridClassifier)]
)
def test_forms_are_one_function(name):
    """Values, gradients and batch-norm statistics of the correction form and the plain form."""
    models = [small(name, form=form).double() for form in ("correction", "plain")]
    losses = [loss_of(model, images().double()) for model in models]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses, rtol=1e-12, atol=1e-12)
    for (key, p), q in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(
            p.grad, q.grad, rtol=1e-8, atol=1e-10, msg=lambda m, key=key: f"{key}: {m}"
        )
    for p, q in zip(models[0].buffers(), models[1].buffers(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name):
    """Derivative along one random direction of all parameters and of the images; float64, central
    differences of step 1e-8."""
    model, x = small(name).double(), images().double().requires_grad_()
    wanted = [*model.parameters(), x]
    generator = torch.Generator().manual_seed(3)
    directions = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in wanted]
    gradients = torch.autograd.grad(loss_of(model, x), wanted)
    exact = sum((g * d).sum() for g, d in zip(gradients, directions))
    values = []
    with torch.no_grad():
        for step in (1e-8, -2e-8):
            for p, d in zip(wanted, directions):
                p += step * d
            values.append(loss_of(model, x))
    # rounding 1e-16 / 1e-8
    torch.testing.assert_close(exact, (values[0] - values[1]) / 2e-8, rtol=1e-5, atol=1e-6)


def gradients_at(model, eps):
    """(w dL/dw of every coefficient, by name) with this eps in every norm; relative, so that sizes
    do not matter."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = eps
    model.zero_grad()
    loss_of(model, images(8).double()).backward()
    ids = {id(p) for p in coefficient_parameters(model)}
    return {
        key: (p.grad * p.detach()).sum().abs().item()
        for key, p in model.named_parameters()
        if id(p) in ids
    }


@pytest.mark.parametrize(
    ("name", "placement", "lost"),
    [
        ("q2", "regular", "all"),
        ("g4", "bn_correction", "all"),
        ("g4", "relu_operator", "all"),
        ("p3", "regular", "all"),  # along its own direction: the ratios stay
        ("q2", "relu_outside_nobn", "none"),
        ("g4", "outside_level", "none"),
        ("g6", None, "symmetric"),
        ("r4", "regular", "none"),
        # level 1, step 1: u = 0, the norm follows the correction directly there
        ("q2", "outside", "first"),
    ],
)
def test_exactly_the_unidentifiable_gradients_vanish_with_eps(name, placement, lost):
    model = small(name, placement=placement).double()
    coarse, fine = gradients_at(model, 1e-4), gradients_at(model, 1e-8)
    for key in coarse:
        level, step = (int(part) for part in (key.split(".")[1], key.split(".")[3]))
        vanishes = {
            "all": True,
            "none": False,
            "symmetric": "kappa" in key,
            "first": level == step == 0,
        }[lost]
        assert (fine[key] < 2e-3 * coarse[key]) == vanishes, (key, coarse[key], fine[key])


@pytest.mark.parametrize("name", NAMES)
def test_overfits_32_images(name):
    torch.manual_seed(0)
    model = nets.create_model(name, **narrow(name, 12), generator=torch.Generator().manual_seed(0))
    x, y = images(32), torch.arange(32) % 10
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        if loss < 0.05:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_same_in_channels_last_and_bf16(name):
    model, x = small(name).eval(), images()
    expected = model(x)
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    torch.testing.assert_close(
        other(x.to(memory_format=torch.channels_last)), expected, rtol=1e-4, atol=1e-5
    )  # float32, other order of sums
    with torch.autocast("cpu", dtype=torch.bfloat16):
        close = model(x).float()
    # bf16 has 8 bits; a dozen rounded convolutions in sequence stay within a few per cent of the
    # scores' size
    assert (close - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("name", NAMES)
def test_copies_state_and_spec(name):
    model, x = small(name).eval(), images()
    expected = model(x)
    assert torch.equal(copy.deepcopy(model)(x), expected)
    spec = ModelSpec.from_dict(json.loads(json.dumps(model.spec.to_dict())))
    rebuilt = nets.create_model(spec.name, **spec.overrides).eval()
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    rebuilt.load_state_dict(torch.load(buffer, weights_only=True), strict=True)
    assert torch.equal(rebuilt(x), expected)
    storages = [t.data_ptr() for t in model.state_dict().values() if t.numel()]
    assert len(storages) == len(set(storages))  # nothing stands in the state twice


@pytest.mark.parametrize("name", NAMES)
def test_compiled_equals_eager(name):
    """Pairs and powers on one level, which takes half as long; that the next one is reached, the
    others show."""
    torch._dynamo.reset()
    fewer = {"steps": 1} if "resnet" in name else {"levels": 1} if name in ONE_LEVEL else {}
    model, x = small(name, **fewer), images()
    compiled = torch.compile(copy.deepcopy(model), backend="aot_eager", fullgraph=True)
    loss, expected = loss_of(compiled, x), loss_of(model, x)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    for p, q in zip(compiled.parameters(), model.parameters(), strict=True):
        # float32, fused differently
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None,
    reason="inductor needs a C++ compiler",
)
def test_inductor_equals_eager():
    """The smallest network with every kind of operation; generated code, forward and backward."""
    torch._dynamo.reset()
    model, x = (
        nets.create_model("p2", channels=[2], generator=torch.Generator().manual_seed(0)),
        images(2, 4),
    )
    compiled = torch.compile(copy.deepcopy(model))
    losses = [loss_of(m, x) for m in (compiled, model)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)
    for p, q in zip(compiled.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_exports_for_inference(name):
    model, x = small(name).eval(), images()
    exported = torch.export.export(model, (x,), strict=False)
    torch.testing.assert_close(exported.module()(x), model(x), rtol=1e-5, atol=1e-6)


def test_options_of_poly_mgnet():
    x = images()
    mixed = small(
        "q2",
        factors=[["linear", "complex_pair"], ["general2", "symmetric_pair", "linear"]],
        placement="plain",
    )
    assert [[step.kind for step in level.steps] for level in mixed.levels] == [
        ["linear", "complex_pair"],
        ["general", "symmetric_pair", "linear"],
    ]
    assert [level.degree for level in mixed.levels] == [3, 5]
    assert mixed(x).shape == (4, 10)
    wide = small(
        "g4", kernel_size=5, groups=2, num_classes=7, in_channels=1, padding_mode="circular"
    )
    assert wide(images(channels=1)).shape == (4, 7)
    assert wide.levels[0].A.weight.shape == (6, 3, 5, 5)
    assert [len(level.steps) for level in small("q2", steps=[1, 3]).levels] == [1, 3]
    frozen = small("g6", train_coefficients=False)
    assert not any(p.requires_grad for p in coefficient_parameters(frozen))
    assert len(nets.create_model("p7", width=2).levels[0].steps[0].coefficients.terms()) == 7


def test_shared_coefficients():
    own, shared = (small("g8", coefficients=which) for which in ("step", "level"))
    assert len(coefficient_parameters(own)) == 2 * 5
    assert len(coefficient_parameters(shared)) == 2 * 3
    mixed = small("q2", factors=["general2", "general3", "general2"], coefficients="level")
    assert [step.coefficients.degree for step in mixed.levels[0].steps] == [2, 3, 2]
    assert mixed.levels[0].steps[0].coefficients is mixed.levels[0].steps[2].coefficients
    copied = copy.deepcopy(shared)
    with torch.no_grad():
        copied.levels[0].steps[0].coefficients.kappa.fill_(9.0)
    assert [step.factor().kappa for step in copied.levels[0].steps[:3]] == [9.0] * 3
    assert shared.levels[0].steps[0].factor().kappa != 9.0


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ({"width": 8}, [8, 16, 32, 32]),
        ({"width": 0.5}, [32, 64, 128, 128]),
        ({"width": 0.12}, [8, 16, 32, 32]),
        ({"width": 1.0, "levels": 2}, [64, 128]),
        ({"levels": 5}, [64, 128, 256, 256, 256]),
        ({"channels": [4, 4, 8]}, [4, 4, 8]),
    ],
)
def test_channels(options, channels):
    assert [level.A.out_channels for level in nets.create_model("q2", **options).levels] == channels


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("q3x", {}, "known are: q2"),
        ("p1", {}, "from 2 to 10"),
        ("p64", {}, "from 2 to 10"),
        ("resnet21", {}, "6n . 2"),
        ("q2", {"widht": 8}, "did you mean width"),
        ("q2", {"width": 0}, "width is 0"),
        ("q2", {"width": -0.5}, "width is -0.5"),
        ("q2", {"width": 8, "channels": [8, 8]}, "must be null"),
        ("q2", {"levels": 0}, "1 to 16"),
        ("q2", {"channels": [4, 6]}, "multiple"),
        ("q2", {"steps": [2, 2, 2, 1]}, "no effect"),
        ("q2", {"steps": 0}, "positive whole numbers"),
        ("q2", {"steps": [2, 2]}, r"steps is \[2, 2\], must have one entry a level, 4"),
        ("g6", {"steps": 2}, "several kinds"),
        ("q2", {"factors": ["linear"]}, "no effect"),
        ("q2", {"factors": ["cubic"]}, "unknown kind"),
        ("q2", {"placement": "outsite"}, "known are: regular"),
        ("q2", {"placement": "bn_operator"}, "degree 2"),
        ("q2", {"residual": "relu"}, "bn_relu"),
        ("q2", {"kernel_size": 2}, "odd"),
        ("q2", {"groups": 3}, "divide"),
        ("q2", {"num_classes": -1}, "positive whole number or 0 for the features"),
        ("q2", {"form": "fas"}, "correction, plain"),
        ("q2", {"coefficients": "model"}, "step, level"),
        ("mgnet", {"b": "none"}, "level, step"),
        ("mgnet", {"steps": 1}, "no effect"),
        ("resnet20", {"channels": [16, 8]}, "option A"),
        ("resnet18", {"shortcut": "none"}, "projection, pad"),
    ],
)
def test_bad_input(name, options, message):
    with pytest.raises(ValueError, match=message):
        nets.create_model(name, **options)


@pytest.mark.parametrize("name", ["q2", "mgnet", "resnet20"])
def test_device_and_type_are_given_as_to_a_layer_of_torch(name):
    single, double = (
        nets.create_model(
            name, width=4, generator=torch.Generator().manual_seed(0), dtype=dtype
        ).state_dict()
        for dtype in (None, torch.float64)
    )
    for key, value in double.items():
        assert value.dtype in (torch.float64, torch.int64)
        assert torch.equal(value, single[key].to(value.dtype))
    empty = nets.create_model(name, width=4, device="meta")
    assert all(tensor.is_meta for tensor in empty.state_dict().values())
    with torch.device("meta"):  # what is given goes before torch's default
        given = nets.create_model(name, width=4, device="cpu")
    assert not any(tensor.is_meta for tensor in given.state_dict().values())


def test_numbers_of_numpy_and_torch_are_numbers():
    labels = torch.tensor([0, 2, 1])
    given = {"width": np.int64(4), "num_classes": labels.max() + 1, "in_channels": np.uint8(1)}
    model = nets.create_model("q2", pretrained=False, **given)
    assert model.spec.overrides == {"width": 4, "num_classes": 3, "in_channels": 1}
    model.reset_classifier(np.int64(5))
    assert model.spec.overrides["num_classes"] == model.num_classes == 5
    assert nets.PolynomialBlock(np.int64(4)).level.A.in_channels == 4


def test_generator_decides_the_weights():
    models = [
        nets.create_model("q2", width=4, generator=torch.Generator().manual_seed(s))
        for s in (5, 5, 6)
    ]
    assert torch.equal(models[0].levels[0].A.weight, models[1].levels[0].A.weight)
    assert not torch.equal(models[0].levels[0].A.weight, models[2].levels[0].A.weight)


@pytest.mark.parametrize("name", ["q2", "mgnet", "resnet20"])
def test_drawn_weights_are_uniform_as_torch_draws_them(name):
    """In ±fan_in^(-1/2), of mean square 1/(3 fan_in), within five standard deviations."""
    model = nets.create_model(name, width=32, generator=torch.Generator().manual_seed(0))
    drawn = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for module in drawn:
        weight = (module.weight * module.weight[0].numel() ** 0.5).detach().double()
        assert 0.97 < weight.abs().max() <= 1 + 1e-6
        deviation = (4 / 45 / weight.numel()) ** 0.5
        assert weight.square().mean() == pytest.approx(1 / 3, abs=5 * deviation)
        assert weight.mean() == pytest.approx(0, abs=5 * (3 * weight.numel()) ** -0.5)


@pytest.mark.parametrize("name", NAMES)
def test_a_traced_graph_is_the_model(name):
    """By torch.fx, for whoever asks a network for what it has inside, as torchvision does."""
    model, x = small(name), images()
    traced = torch.fx.symbolic_trace(copy.deepcopy(model))
    for one in (traced, model):
        loss_of(one, x).backward()
    own = dict(model.named_parameters())
    assert dict(traced.named_parameters()).keys() == own.keys()
    for key, p in traced.named_parameters():
        torch.testing.assert_close(p.grad, own[key].grad)


class Pixels(nn.Module):
    """A model without channels of its own: one linear layer."""

    def __init__(self, *, in_channels=3, num_classes=10):
        super().__init__()
        self.fc = nn.Linear(in_channels * 64, num_classes)

    def forward(self, x):
        return self.fc(x.flatten(1))


def test_these_tests_take_a_model_without_width(monkeypatch):
    monkeypatch.setitem(MODELS, "pixels", ModelEntry(Pixels, "a linear layer"))
    assert narrow("pixels", 6) == {}
    assert narrow("q2", 6) == {"width": 6, "levels": 2}
    for test in (
        test_forward_and_gradients,
        test_gradients_equal_finite_differences,
        test_overfits_32_images,
        test_same_in_channels_last_and_bf16,
        test_copies_state_and_spec,
    ):
        test("pixels")


def test_every_entry_says_what_it_is():
    assert all(entry.summary for entry in MODELS.values())
    assert {"width", "levels", "channels", "num_classes"} <= set(model_options("mgnet"))
