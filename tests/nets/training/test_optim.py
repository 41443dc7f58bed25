"""Optimisers, schedules, parameter groups, the running mean of weights, and ghost batch norm, each
against its formula."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import nets
from nets.models.norms import convert_ghost_batchnorm
from nets.settings import OptimSection
from nets.training.checkpoint import load_optimizer, optimizer_state
from nets.training.optim import (
    SCHEDULES,
    Ema,
    learning_rate,
    make_optimizer,
    parameter_groups,
    set_learning_rate,
)
from nets.training.tensorboard import coefficients


def test_groups_decay_weights_alone_and_coefficients_have_their_own_rate():
    model = nets.create_model("g6", width=4, levels=2)
    groups = {
        g["name"]: g
        for g in parameter_groups(model, OptimSection(weight_decay=0.1, coefficient_lr=0.25))
    }
    assert {name: (g["weight_decay"], g["lr_factor"]) for name, g in groups.items()} == {
        "weights": (0.1, 1.0),
        "norms": (0.0, 1.0),
        "coefficients": (0.0, 0.25),
    }
    assert all(p.ndim > 1 for p in groups["weights"]["params"])
    assert sum(p.numel() for p in groups["coefficients"]["params"]) == 2 * (1 + 1 + 2)
    assert sum(len(g["params"]) for g in groups.values()) == len(list(model.parameters()))
    assert len(list(coefficients(model))) == 8
    frozen = parameter_groups(
        nets.create_model("g6", width=4, levels=2, train_coefficients=False), OptimSection()
    )
    assert [g["name"] for g in frozen] == ["weights", "norms"]


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_starts_peaks_and_ends_where_it_should(name):
    section = OptimSection(lr=2.0, schedule=name)
    values = [learning_rate(section, step, steps=1000, steps_per_epoch=100) for step in range(1000)]
    first, end = {
        "cosine": (2, 0),
        "linear": (2, 0),
        "constant": (2, 2),
        "step": (2, 0.02),
        "onecycle": (0.08, 0),
    }[name]
    assert values[0] == pytest.approx(first)
    assert values[-1] == pytest.approx(end, abs=0.003)
    assert max(values) == pytest.approx(2, rel=1e-3)
    if name == "onecycle":
        assert int(np.argmax(values)) == 300
        # from the peak a cosine down to 1e-4 of it: half way the mean of both
        assert values[650] == pytest.approx(2 * (1 + 1e-4) / 2, rel=1e-6)
    if name == "cosine":
        assert values[500] == pytest.approx(1)


def test_step_schedule_falls_at_its_milestones():
    """Fractions of what follows the warm-up, each a factor gamma, at the first step that is not
    before the milestone."""
    section = OptimSection(lr=1.0, schedule="step", milestones=(0.5, 0.75), gamma=0.1, warmup=2)
    values = [learning_rate(section, step, steps=120, steps_per_epoch=10) for step in range(120)]
    assert [k for k in range(21, 120) if values[k] != values[k - 1]] == [20 + 50, 20 + 75]
    assert values[69:71] + values[94:96] == pytest.approx([1, 0.1, 0.1, 0.01])


def test_warm_up_rises_linearly_then_the_schedule_begins():
    section = OptimSection(lr=1.0, schedule="cosine", warmup=2)
    values = [learning_rate(section, step, steps=100, steps_per_epoch=10) for step in range(100)]
    np.testing.assert_allclose(np.diff(values[:20]), 1 / 21, rtol=1e-9)
    assert values[20] == 1
    assert values[60] == pytest.approx(0.5)


def test_ema_is_the_weighted_mean():
    net = nn.Linear(1, 1, bias=False)
    ema, mean = Ema(net, 0.9), net.weight.item()
    for n in range(60):
        with torch.no_grad():
            net.weight.fill_(float(n))
        ema.update()
        d = min(0.9, (1 + n) / (10 + n))
        mean = d * mean + (1 - d) * n
    assert ema.weights["weight"].item() == pytest.approx(mean, rel=1e-5)


def test_ema_counts_batches_and_adamw_takes_its_betas():
    net = nn.BatchNorm2d(2)
    ema = Ema(net, 0.9)
    net(torch.zeros(2, 2, 1, 1))
    ema.update()
    assert ema.weights["num_batches_tracked"] == 1
    groups = make_optimizer(net, OptimSection(name="adamw", betas=(0.8, 0.95))).param_groups
    assert [group["betas"] for group in groups] == [(0.8, 0.95)]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_rates_in_tensors_keep_their_place_and_give_the_same_steps(name):
    """As a captured step needs them; and a state goes from one kind of optimiser to the other, as
    from a GPU's run to a CPU's."""
    section = OptimSection(name=name, lr=0.3, weight_decay=0.01, coefficient_lr=0.25)
    models = [nets.create_model("q2", width=4, levels=2) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [
        make_optimizer(models[0], section),
        make_optimizer(models[1], section, fused=True, capturable=True),
    ]
    places = [group["lr"] for group in optimizers[1].param_groups]
    assert all(isinstance(place, torch.Tensor) for place in places)
    torch.manual_seed(0)
    x, y = torch.randn(8, 3, 8, 8), torch.randint(0, 10, (8,))

    def step(lr):
        for model, optimizer in zip(models, optimizers, strict=True):
            set_learning_rate(optimizer, lr)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    for lr in (0.01, 0.02, 0.005):
        step(lr)
        rates = {group["name"]: float(group["lr"]) for group in optimizers[1].param_groups}
        assert rates == pytest.approx({"weights": lr, "norms": lr, "coefficients": 0.25 * lr})
    assert all(
        group["lr"] is place
        for group, place in zip(optimizers[1].param_groups, places, strict=True)
    )
    states = [optimizer_state(optimizer) for optimizer in optimizers]
    for optimizer, state in zip(optimizers, reversed(states), strict=True):
        load_optimizer(optimizer, *state)
    step(0.01)
    for (parameter, mine), theirs in zip(
        models[0].named_parameters(), models[1].parameters(), strict=True
    ):
        # float32, other orders of operations
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5, msg=parameter)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_state_comes_back_in_the_memory_format_of_the_weights(name):
    """A file is contiguous, and a GPU's fused step refuses strides that differ from the weights'
    along axes of more than one entry (ATen/native/ForeachUtils.h)."""
    model = nets.create_model("q2", width=4, levels=2).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(model, OptimSection(name=name))
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    optimizer.step()
    tensors, scalars = optimizer_state(optimizer)
    load_optimizer(optimizer, {k: v.clone().contiguous() for k, v in tensors.items()}, scalars)
    assert any(p.stride() != p.contiguous().stride() for p in model.parameters())
    for p, values in optimizer.state.items():
        for key, value in values.items():
            assert value.shape == () or value.stride() == p.stride(), key
    assert all(torch.equal(value, tensors[k]) for k, value in optimizer_state(optimizer)[0].items())


def test_no_decay_where_there_is_none():
    """A step with zero gradients moves the decayed weights and nothing else."""
    model = nets.create_model("q2", width=4, levels=2)
    optimizer = make_optimizer(model, OptimSection(weight_decay=0.5, lr=0.1))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name, p in model.named_parameters() if p.ndim > 1}


def test_ghost_batch_norm_is_batch_norm_of_the_parts():
    x = torch.randn(7, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain, net = nn.BatchNorm2d(3).double(), nn.Sequential(nn.BatchNorm2d(3)).double()
    ghost = convert_ghost_batchnorm(net, 2)[0]
    parts = x.tensor_split(2)
    torch.testing.assert_close(ghost(x), torch.cat([plain(part) for part in parts]))
    mean = 0.1 * torch.stack([part.mean((0, 2, 3)) for part in parts]).mean(0)
    torch.testing.assert_close(ghost.running_mean, mean)
    var = 0.9 + 0.1 * torch.stack([part.var((0, 2, 3)) for part in parts]).mean(0)
    torch.testing.assert_close(ghost.running_var, var)
    assert ghost.num_batches_tracked == 1
    ghost.eval()
    torch.testing.assert_close(ghost(x), F.batch_norm(x, mean, var, eps=ghost.eps))
