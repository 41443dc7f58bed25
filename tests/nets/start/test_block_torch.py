"""Blocks under what torch does to modules before they start: means of weights, weights drawn anew,
parametrizations, tracers and processes."""

import copy

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm
from torch.optim.swa_utils import AveragedModel

import nets
from nets.models.polymgnet import coefficient_parameters
from nets.start.block import start_blocks
from nets.start.operators import operator_spectra
from nets.start.spectrum import shortened

LINEAR = {"placement": "plain", "residual": "identity"}
KINDS = ["linear", "complex_pair", "general3"]


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def block(*arguments, seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nets.PolynomialBlock(3, *arguments, **options)


def reset(module):
    """As is done before another fold: every layer draws its weights anew."""
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()


@pytest.mark.parametrize("begun", [False, True])
def test_a_mean_of_weights_and_buffers(begun):
    """The mean of three is that of their weights, and is not started over them."""
    made, x = block(start_size=(6, 7) if begun else None), random(2, 3, 6, 7)
    mean = AveragedModel(made, use_buffers=True)
    made(x)
    first = [p.detach().clone() for p in made.parameters()]
    mean.update_parameters(made)
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(2.0)
    mean.update_parameters(made)
    assert mean.module.started
    mean(x)
    for p, start in zip(mean.parameters(), first, strict=True):
        torch.testing.assert_close(p, 1.5 * start)


@pytest.mark.parametrize("parameterisation", ["weights", "roots"])
def test_drawn_anew_it_is_as_one_that_was_just_made(parameterisation):
    """Nothing of the first training stays: neither coefficients nor that it was started."""
    x = random(2, 3, 6, 7)
    made, fresh = (block(KINDS, parameterisation=parameterisation, seed=seed) for seed in (0, 5))
    made(x)
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(1.7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        made.apply(reset)
    assert made.report is None
    for one, other in zip(made.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(made(x), fresh(x))
    assert made.report == fresh.report


def test_on_the_device_meta_it_is_given_memory_and_weights():
    with torch.device("meta"):
        made = nets.PolynomialBlock(3, KINDS)
    made.to_empty(device="cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made.apply(reset)
    x = random(2, 3, 6, 7)
    assert torch.equal(made(x), block(KINDS)(x))


def test_a_state_of_an_earlier_version_is_not_started_again():
    """There `started` was a truth value."""
    made = block(start_size=(6, 7))
    state = made.state_dict() | {"started": torch.tensor(True)}
    loaded = block(seed=5)
    loaded.load_state_dict(state)
    x = random(2, 3, 6, 7)
    assert torch.equal(loaded(x), made(x))
    assert loaded.report is None


@pytest.mark.parametrize("operator", ["keep", "laplacian", "shifted"])
def test_a_weight_norm_starts_as_the_block_without_it(operator):
    normed, x = block(operator=operator, **LINEAR), random(2, 3, 6, 7)
    twin = copy.deepcopy(normed)
    parametrizations.weight_norm(normed.level.A)
    for one in (normed, twin):
        one.start((6, 7), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(normed(x), twin(x))
    (found,) = operator_spectra([normed.level.A], [(6, 7)])
    assert normed.report.radius == pytest.approx(found.radius, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (parametrizations.spectral_norm, "has a parametrization that cannot give its start"),
        (lambda A: prune.l1_unstructured(A, "weight", amount=0.5), "is computed from other"),
        (spectral_norm, "is computed from other"),
    ],
)
def test_an_operator_that_cannot_be_set_is_kept_or_refused(change, message):
    """It was left as it was, and the report was of what it should have been, or by an old hook,
    which norms A before a pass, of the A before it."""
    for operator in ("laplacian", "shifted"):
        made = block(operator=operator)
        change(made.level.A)
        with pytest.raises(ValueError, match=f"the weight of a .* {message}"):
            made.start((6, 7))
    made = block(**LINEAR).eval()
    change(made.level.A.eval())
    made.start((6, 7))
    values = np.linalg.eigvals(
        made.level.A(torch.eye(126).reshape(126, 3, 6, 7)).detach().double().reshape(126, 126)
    )
    assert made.report.radius == pytest.approx(np.abs(values).max(), rel=1e-5)


class Positive(nn.Module):
    def forward(self, x):
        return F.softplus(x)

    def right_inverse(self, y):
        return y + torch.log(-torch.expm1(-y))


class Small(nn.Module):
    def forward(self, x):
        return 0.1 * torch.tanh(x)

    def right_inverse(self, y):
        return torch.atanh((10 * y).clamp(-0.99, 0.99))


def test_coefficients_behind_a_parametrization():
    """They start as those without; one that cannot give the start is refused."""
    made, twin = block(start_size=(6, 7)), block()
    for step in twin.level.steps:
        parametrize.register_parametrization(step.coefficients, "w", Positive())
    x = random(2, 3, 6, 7)
    torch.testing.assert_close(twin(x), made(x))
    roots = [b.level.polynomial().roots.real for b in (made, twin)]
    np.testing.assert_allclose(*roots, rtol=1e-5)
    small = block()
    parametrize.register_parametrization(small.level.steps[0].coefficients, "w", Small())
    with pytest.raises(ValueError, match=r"the w of a .* cannot give its start"):
        small(x)


def test_what_cannot_be_started_under_a_transformation_says_so():
    x, message = random(2, 3, 6, 7), r"not started cannot be traced, nor take other weights: give"
    made = block(**LINEAR)
    own = dict(made.named_parameters())
    copies = {name: p.detach().clone() for name, p in own.items()}
    call = torch.func.functional_call
    stacked = torch.func.stack_module_state([made, block(seed=1, **LINEAR)])
    for run in (
        lambda: torch.func.grad(lambda p: call(made, p, (x,)).sum())(own),
        lambda: call(made, copies, (x,)),
        lambda: torch.vmap(lambda p, b: call(made, (p, b), (x,)))(*stacked),
        lambda: torch.jit.trace(made, x),
        lambda: torch.fx.symbolic_trace(nn.Sequential(made)),
    ):
        with pytest.raises(RuntimeError, match=message):
            run()
        assert not made.started
    torch.testing.assert_close(call(made, own, (x,)), made(x))
    torch.testing.assert_close(torch.jit.trace(made, x)(2 * x), made(2 * x))
    traced = torch.fx.symbolic_trace(nn.Sequential(made))
    torch.testing.assert_close(traced(2 * x), made(2 * x))
    with pytest.raises(ValueError, match=r"has shape \(3, 6, 7\), a block with dim=2 needs 4 axes"):
        traced(x[0])


def test_an_input_of_other_channels_does_not_start_it():
    made = block()
    with pytest.raises(RuntimeError, match=r"to have 3 channels, but got 4 channels instead"):
        made(random(2, 4, 8, 8))
    made(random(2, 3, 6, 7))
    assert made.report.grid == (6, 7)


def test_complex_weights_are_refused():
    """Their imaginary parts were dropped, and the report was of what was left."""
    made = block(**LINEAR)
    with torch.no_grad():
        made.to(torch.cfloat).level.A.weight.mul_(1j)
    with pytest.raises(ValueError, match=r"weights of A are torch.complex64, and spectra are of"):
        made.start((6, 7))


def test_a_start_at_the_first_input_of_several_processes_is_told(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    block(start_size=(6, 7))(random(2, 3, 6, 7))
    with pytest.warns(UserWarning, match="starts at its first input in every process by itself"):
        block()(random(2, 3, 6, 7))


@pytest.mark.parametrize(
    ("channels", "size", "grid"),
    [
        (4, (16000,), (128,)),
        (2, (300, 7), (128, 7)),
        (256, (56, 60), (16, 16)),  # 256 * 16^2 = 2^16
        (256, (56, 4), (56, 4)),
        (512, (20, 21), (11, 11)),
        (1024, (9, 30, 12), (8, 8, 8)),
        (2, (33, 6, 5), (33, 6, 5)),
    ],
)
def test_a_start_at_a_large_first_input_is_on_a_smaller_grid(channels, size, grid):
    """It took minutes for audio of 16,000 samples. The A of a part of a grid is a part of A: where
    it is symmetric, b is not larger on it (Cauchy), and here hardly smaller."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = nets.PolynomialBlock(channels, dim=len(size))
    assert shortened(size, channels) == grid
    if channels > 8:
        return
    with torch.no_grad():
        weight = made.level.A.weight
        weight += weight.transpose(0, 1).flip(*range(2, weight.ndim))
    made(random(2, channels, *size))
    assert made.report.grid == grid
    (found,) = operator_spectra([made.level.A], [tuple(min(n, 400) for n in size)])
    assert 0.995 * found.radius < made.report.radius < (1 + 1e-3) * found.radius


@pytest.mark.parametrize(("size", "grid"), [((1000,), (128,)), ((140, 3), (128, 3))])
def test_blocks_of_a_network_on_long_axes(size, grid):
    made = nn.Sequential(nets.PolynomialBlock(2, dim=len(size), start="bounded"))
    start_blocks(made, random(2, 2, *size))
    assert made[0].report.grid == grid


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (0.0, "radius of a level's A is 0, .* start by none"),
        (float("nan"), "weights of A are not all finite"),
    ],
)
def test_an_operator_without_a_spectral_radius_is_told(weight, words):
    """As after a start of every branch at 0; with `none` it is the identity that was meant."""
    made, x = block(**LINEAR), random(2, 3, 6, 7)
    nn.init.constant_(made.level.A.weight, weight)
    with pytest.raises(ValueError, match=words):
        made(x)
    assert not made.started
    nn.init.constant_(made.level.A.weight, 0.0)
    made.scheme = "none"
    assert made(x).equal(x)


def test_parameters_that_are_loaded_without_buffers_are_not_started_over():
    """`strict=False` with what `named_parameters` has: the first batch must leave them; A alone
    leaves the coefficients to the start."""
    made, x = nets.PolynomialBlock(4, "q4"), torch.randn(2, 4, 6, 6)
    made(x)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1)
    kept = {name: value.detach().clone() for name, value in made.named_parameters()}
    whole, part = (nn.Sequential(nets.PolynomialBlock(4, "q4")) for _ in range(2))
    whole.load_state_dict({f"0.{name}": value for name, value in kept.items()}, strict=False)
    part.load_state_dict({"0.level.A.weight": kept["level.A.weight"]}, strict=False)
    for network in (whole, part):
        network(x)
    assert all(torch.equal(kept[name], value) for name, value in whole[0].named_parameters())
    assert (whole[0].report, bool(whole[0].started)) == (None, True)
    assert part[0].report is not None
    assert torch.equal(part[0].level.A.weight, kept["level.A.weight"])


def test_a_network_made_in_inference_mode_starts_as_any_other():
    """Inside or outside of it; torch lets nobody but inference mode write such tensors."""
    x = random(4, 3, 6, 7)

    def start(model):
        rng = torch.Generator().manual_seed(0)
        nets.initialise(model, size=(6, 7), sample=x, generator=rng)

    def network():
        rng = torch.Generator().manual_seed(0)
        return nets.create_model("q2", width=4, levels=2, generator=rng).eval()

    plain, plain_block = network(), block().eval()
    start(plain)
    with torch.inference_mode():
        inside, outside, waiting = network(), network(), block().eval()
        start(inside)
        assert block().eval()(x).equal(plain_block(x))
    start(outside)
    waiting.start((6, 7))
    with torch.no_grad():
        assert inside(x).equal(plain(x))
        assert outside(x).equal(plain(x))
        assert waiting(x).equal(plain_block(x))
    waiting.reset_parameters()
    assert not waiting.started


def test_what_is_no_tensor_is_told_in_a_line():
    made, x = block(), random(2, 3, 6, 7)
    with pytest.raises(ValueError, match=r"the input is a ndarray, must be a tensor \(torch.from_"):
        made(x.numpy())
    with pytest.raises(ValueError, match=r"f is a ndarray, must be a tensor of the input's shape"):
        made(x, x.numpy())
    assert not made.started


@pytest.mark.parametrize("begun", [False, True])
def test_sharded_but_for_its_coefficients(begun):
    """FSDP takes no numbers without axes, which the coefficients are: left out, all trains as
    before, of a block that was started and of one that starts now."""
    made, x = block("q4", "plain", start_size=(6, 7) if begun else None), random(2, 3, 6, 7)
    twin = copy.deepcopy(made)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        fully_shard(made, ignored_params=set(coefficient_parameters(made)))
        for one in (made, twin):
            one(x).square().mean().backward()
        for sharded, whole in zip(made.parameters(), twin.parameters(), strict=True):
            found = sharded.grad
            found = found.full_tensor() if isinstance(found, DTensor) else found
            torch.testing.assert_close(found, whole.grad)
    finally:
        dist.destroy_process_group()
