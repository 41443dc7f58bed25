"""Coefficients shared within a level: by kind and degree, each parameter once, with the gradients
of all its steps added."""

import torch

import nets
from nets.models.polymgnet import coefficient_parameters

FACTORS = ["general2", "general3", "linear", "general2", "general3", "linear"]


def models():
    """Two models with equal weights, whose coefficients are shared and each step's own."""
    shared, own = (
        nets.create_model(
            "q2",
            width=3,
            levels=2,
            factors=FACTORS,
            placement={"general": "plain", "linear": "plain"},
            coefficients=which,
        )
        .double()
        .eval()
        for which in ("level", "step")
    )
    values = iter(torch.linspace(0.1, 0.4, 12, dtype=torch.float64))
    with torch.no_grad():
        for p in coefficient_parameters(shared):
            p.copy_(torch.stack([next(values) for _ in range(p.numel())]).reshape(p.shape))
    rest = {
        name: value
        for name, value in shared.state_dict().items()
        if "coefficients" not in name and name in own.state_dict()
    }
    own.load_state_dict(rest, strict=False)
    for one, other in zip(shared.levels, own.levels, strict=True):
        for step, alone in zip(one.steps, other.steps, strict=True):
            alone.coefficients.load_state_dict(step.coefficients.state_dict())
    return shared, own


def test_every_kind_and_degree_of_a_level_has_its_own_parameters_once():
    shared, _ = models()
    for level in shared.levels:
        modules = [step.coefficients for step in level.steps]
        assert [module is modules[i % 3] for i, module in enumerate(modules)] == [True] * 6
        assert [module.degree for module in modules[:3]] == [2, 3, 1]
        assert len({id(module) for module in modules}) == 3
    distinct = {id(p): p.numel() for p in coefficient_parameters(shared)}
    assert sum(distinct.values()) == 2 * (2 + 3 + 1)
    assert len(coefficient_parameters(shared)) == len(distinct)
    state = shared.state_dict()
    assert len(state) == len({value.data_ptr() for value in state.values()})
    assert {value.data_ptr() for value in state.values()} >= {
        p.data_ptr() for p in coefficient_parameters(shared)
    }
    assert {id(p) for p in shared.parameters()} >= set(distinct)


def test_gradient_of_a_shared_coefficient_is_the_sum_over_its_steps():
    shared, own = models()
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(shared(x), own(x), rtol=1e-13, atol=1e-13)
    for model in (shared, own):
        model(x).square().sum().backward()
    for one, other in zip(shared.levels, own.levels, strict=True):
        for i in range(3):
            pairs = zip(
                *(
                    step.coefficients.parameters()
                    for step in (one.steps[i], other.steps[i], other.steps[i + 3])
                ),
                strict=True,
            )
            for p, first, second in pairs:
                assert p.grad.abs().max() > 0
                torch.testing.assert_close(p.grad, first.grad + second.grad, rtol=1e-9, atol=1e-12)
