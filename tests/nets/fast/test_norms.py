"""Batch norm by our formula against torch's: values, gradients, running statistics; and that it
takes half-precision gradients as is."""

import pytest
import torch
from torch import nn

import nets
from nets.fast.fusion import prepare
from nets.fast.norms import FusedBatchNorm2d, batch_norm
from nets.models.norms import GhostBatchNorm2d, convert_ghost_batchnorm


def pair(channels, dtype):
    """torch's norm and ours with the same weights, neither 0 nor 1."""
    norms = (
        nn.BatchNorm2d(channels, momentum=0.3, eps=1e-3).to(dtype),
        FusedBatchNorm2d(channels, momentum=0.3, eps=1e-3).to(dtype),
    )
    with torch.no_grad():
        norms[0].weight.uniform_(-1, 2)
        norms[0].bias.uniform_(-1, 1)
    norms[1].load_state_dict(norms[0].state_dict())
    return norms


@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (2, 1, 1, 1), (1, 3, 7, 1)])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "aot_eager"])
def test_formula_is_the_batch_norm(shape, compiled):
    torch.manual_seed(0)
    reference, ours = pair(shape[1], torch.float64)
    formula = (
        torch.compile(ours, backend="aot_eager", fullgraph=True, dynamic=False)
        if compiled
        else ours
    )
    for _ in range(2):
        x = (3 * torch.randn(shape, dtype=torch.float64) + 1).requires_grad_()
        g = torch.randn(shape, dtype=torch.float64)
        expected, found = reference(x), formula(x)
        # rounding of sums of at most 72 numbers
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        for mine, theirs in zip(
            torch.autograd.grad(found, (x, ours.weight, ours.bias), g),
            torch.autograd.grad(expected, (x, reference.weight, reference.bias), g),
            strict=True,
        ):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-11)
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-12, atol=1e-12, msg=name)


def test_gradient_is_that_of_finite_differences():
    torch.manual_seed(1)
    x = torch.randn(3, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    weight, bias = (torch.randn(2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda *a: batch_norm(*a, 1e-2)[0], (x, weight, bias))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_variance_survives_a_mean_that_is_large(kind):
    """Mean 8, deviation 1/4: the sums of 2^14 numbers cancel 2^10 of 2^23 in bfloat16. Against
    float64 on the rounded numbers."""
    torch.manual_seed(4)
    x = (8 + torch.randn(256, 3, 8, 8) / 4).to(kind)
    _, mean, variance = batch_norm(x, torch.ones(3), torch.zeros(3), 1e-5)
    assert mean.dtype == variance.dtype == torch.float32
    torch.testing.assert_close(mean.double(), x.double().mean((0, 2, 3)), rtol=1e-6, atol=0)
    expected = x.double().var((0, 2, 3), correction=0)
    torch.testing.assert_close(
        variance.double(), expected, rtol=2**-9 if kind == torch.bfloat16 else 1e-5, atol=0
    )


def test_constant_channels_have_no_variance():
    values = torch.linspace(0.1, 30.0, 200)  # of some the mean square rounds below the mean's
    for images, *pixels in ((4, 3, 3), (4, 7, 5), (3, 11, 9), (7, 13, 3)):
        x = values[:, None, None].expand(images, 200, *pixels).bfloat16()
        y, _, variance = batch_norm(x, torch.ones(200), torch.ones(200), 1e-5)
        assert (variance >= 0).all()
        assert (variance < 1e-6 * values**2).all()
        torch.testing.assert_close(y, torch.ones_like(y), rtol=0, atol=0.01)


def test_bias_gradient_is_summed_in_single_precision():
    torch.manual_seed(5)
    x, bias = torch.randn(512, 2, 8, 8).bfloat16(), torch.zeros(2, requires_grad=True)
    g = torch.rand(512, 2, 8, 8).bfloat16()
    y, mean, variance = batch_norm(x, torch.ones(2), bias, 1e-5)
    assert not mean.requires_grad
    assert not variance.requires_grad
    torch.testing.assert_close(
        torch.autograd.grad(y, bias, g)[0].double(), g.double().sum((0, 2, 3)), rtol=1e-6, atol=0
    )


def test_second_derivatives_are_refused():
    x = torch.randn(3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    weight, bias = (
        torch.ones(2, dtype=torch.float64, requires_grad=True),
        torch.zeros(2, dtype=torch.float64),
    )
    (first,) = torch.autograd.grad(
        (batch_norm(x, weight, bias, 1e-5)[0] ** 3).sum(), x, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize(
    "options", [{"affine": False}, {"momentum": None}, {"track_running_stats": False}]
)
def test_norms_of_other_kinds_are_torchs_own(options):
    torch.manual_seed(6)
    norms = nn.BatchNorm2d(3, **options), FusedBatchNorm2d(3, **options)
    untracked = nn.BatchNorm2d(3), FusedBatchNorm2d(3)
    for norm in untracked:
        norm.track_running_stats = False
    for reference, ours in (norms, untracked):
        for _ in range(2):
            x = torch.randn(4, 3, 2, 2)
            assert torch.equal(ours(x), reference(x))
        assert all(
            torch.equal(a, b)
            for a, b in zip(
                ours.state_dict().values(), reference.state_dict().values(), strict=True
            )
        )


def test_when_the_formula_is_used(monkeypatch):
    """In training, where a channel has more than one number."""
    norm, used = FusedBatchNorm2d(2), []
    monkeypatch.setattr(
        "nets.fast.norms.batch_norm",
        lambda x, *_: used.append(len(x)) or (x, torch.zeros(2), torch.ones(2)),
    )
    norm(torch.randn(2, 2, 1, 1))
    norm.eval()(torch.randn(3, 2, 1, 1))
    with pytest.raises(ValueError, match="more than 1 value"):
        norm.train()(torch.randn(1, 2, 1, 1))
    assert used == [2]


def test_half_precision_is_as_close_as_torchs():
    """bfloat16 in and out, sums in float32: both are off the float64 result by the rounding of in-
    and output, 2^-8 of the size."""
    torch.manual_seed(2)
    reference, ours = pair(4, torch.float32)
    exact = pair(4, torch.float64)[0]
    exact.load_state_dict(reference.state_dict())
    x, g = torch.randn(64, 4, 8, 8).bfloat16(), torch.randn(64, 4, 8, 8).bfloat16()
    results = []
    for norm, kind in (
        (exact, torch.float64),
        (reference, torch.bfloat16),
        (ours, torch.bfloat16),
    ):
        z = x.to(kind).requires_grad_()
        y = norm(z)
        results.append([y, *torch.autograd.grad(y, (z, norm.weight, norm.bias), g.to(kind))])
    for true, theirs, mine in zip(*results, strict=True):
        size = true.abs().max()
        assert mine.dtype == theirs.dtype
        assert (mine.double() - true).abs().max() <= max(
            2**-8 * size, 1.5 * (theirs.double() - true).abs().max()
        )


def test_backward_pass_has_no_gradient_in_single_precision():
    """What the compiler sees: the gradient of y enters every sum and product in bfloat16, no copy
    of it in float32 has three users."""
    from torch.fx.experimental.proxy_tensor import make_fx

    def gradient(x, weight, bias, g):
        return torch.autograd.grad(batch_norm(x, weight, bias, 1e-5)[0], x, g)[0]

    x = torch.randn(4, 3, 5, 5).bfloat16().requires_grad_()
    weight, bias = torch.ones(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    graph = make_fx(gradient)(x, weight, bias, torch.randn(4, 3, 5, 5).bfloat16())
    (g,) = (node for node in graph.graph.nodes if node.name == "g_1")
    used = [node.target for node in g.users]
    assert len(used) == 3
    assert torch.ops.aten._to_copy.default not in used
    kept = [node for node in graph.graph.nodes if node.target is torch.ops.aten.as_strided.default]
    # the scale, a and b of the forward pass, k and k0 of the backward pass are not computed for
    # every pixel
    assert len(kept) >= 5


def test_models_have_torchs_own_until_they_are_prepared():
    for name in ("q2", "mgnet", "resnet20"):
        model = nets.create_model(name, width=4)
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        assert norms
        assert all(type(module) is nn.BatchNorm2d for module in norms)
        twin = prepare(model, torch.device("cuda"), generated=True)
        assert sum(type(module) is FusedBatchNorm2d for module in twin.modules()) == len(norms)
        assert all(
            type(module) is GhostBatchNorm2d
            for module in convert_ghost_batchnorm(model, 2).modules()
            if module in norms
        )
        # a ghost batch norm keeps its own statistics everywhere
        twin = prepare(model, torch.device("cuda"), generated=True)
        assert sum(type(module) is GhostBatchNorm2d for module in twin.modules()) == len(norms)


def test_out_of_training_it_is_torchs_own():
    torch.manual_seed(3)
    reference, ours = pair(3, torch.float32)
    x = torch.randn(4, 3, 2, 2)
    assert torch.equal(ours.eval()(x), reference.eval()(x))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        ours.train()(x[:1, :, :1, :1])
