"""Starts of bounded amplification: max |q| = M on the disc |z| <= b at every degree, finite loss
and gradients everywhere; and the start near 0."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import nets
from mgtheory import derive
from nets.models.placements import PLACEMENTS
from nets.start.spectrum import convolution_spectrum

MODELS = {
    **{name: {} for name in ("q2", "q8", "q32", "g4", "g6", "p8", "p10")},
    "16 symmetric pairs": {"factors": ["symmetric_pair"] * 16},
    "16 real pairs": {"factors": ["real_pair"] * 16},
    "16 complex pairs": {"factors": ["complex_pair"] * 16},
    "mixed": {"factors": ["symmetric_pair", "linear", "complex_pair", "general3", "real_pair"]},
}


def created(name, **options):
    options = MODELS[name] | {"width": 4, "levels": 2} | options
    registered = name if name not in MODELS or not MODELS[name] else "q2"
    return nets.create_model(registered, generator=torch.Generator().manual_seed(0), **options)


def start(model, scheme):
    generator = torch.Generator().manual_seed(1)
    return nets.initialise(model, scheme, size=(8, 8), generator=generator)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("M", [2.0, 8.0])
def test_every_level_has_that_amplification(name, M):
    """On the disc of radius b: M but for the small distances of pairs, below it where kinds that
    are largest at different points are mixed; and below it on the spectrum, which does not fill the
    disc."""
    model = created(name, placement="plain")
    report = start(model, f"bounded:amplification={M}")
    for level, described in zip(model.levels, report.levels, strict=True):
        circle = described.radius * np.exp(2j * np.pi * np.arange(720) / 720)
        values = np.abs(level.polynomial()(circle))
        kinds = {step.kind for step in level.steps}
        assert values.max() <= M * 1.002
        assert values.max() >= (M / 1.002 if len(kinds) == 1 else M**0.4)
        assert 1 < described.max_modulus <= M * 1.002
    linear = name.startswith("q")
    k = model.levels[0].degree
    if linear:
        weights = [step.factor().w for step in model.levels[0].steps]
        w = (M ** (1 / k) - 1) / report.levels[0].radius
        np.testing.assert_allclose(weights, w, rtol=1e-6)
        assert report.sources[0].family == "bounded"


def test_steps_that_share_coefficients_share_the_amplification():
    model = created("q8", coefficients="level", placement="plain")
    report = start(model, "bounded")
    q, b = model.levels[0].polynomial(), report.levels[0].radius
    assert q(-b) == pytest.approx(8.0, rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_finite_at_every_placement(name):
    x, y = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(4)
    state = created(name, placement="plain")
    start(state, "bounded")
    for placement in PLACEMENTS:
        if PLACEMENTS[placement].is_quadratic and name != "g4":
            continue
        model = created(name, placement=placement)
        model.load_state_dict(state.state_dict(), strict=False)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        assert torch.isfinite(loss), placement
        assert all(torch.isfinite(p.grad).all() for p in model.parameters()), placement


def test_p8_trains_without_norms_on_its_steps():
    """It left the finite numbers within four steps from most starts."""
    model = created("p8", placement="relu_outside_nobn")
    start(model, "bounded")
    x = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    y = torch.arange(16) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", MODELS)
def test_a_start_near_zero_is_near_the_identity_and_leaves_it(name):
    """q differs from 1 by a hundredth a root of A or A^2, and every coefficient has a gradient at
    every placement: at 0 itself a relu would have none."""
    state = created(name, placement="plain")
    report = start(state, "zero")
    for level, described in zip(state.levels, report.levels, strict=True):
        assert described.max_modulus <= 1.011**level.degree
        circle = described.radius * np.exp(2j * np.pi * np.arange(360) / 360)
        assert 1.009 < np.abs(level.polynomial()(circle)).max() <= 1.011**level.degree
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for placement in PLACEMENTS:
        if PLACEMENTS[placement].is_quadratic and name != "g4":
            continue
        model = created(name, placement=placement)
        model.load_state_dict(state.state_dict(), strict=False)
        F.cross_entropy(model(x), torch.arange(4)).backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters()), placement
        for step in model.levels[-1].steps:
            assert any(p.grad.abs().max() > 0 for p in step.coefficients.parameters()), placement


@pytest.mark.parametrize("value", ["1", "0.5", "-8", "nan"])
def test_amplifications_that_are_none(value):
    with pytest.raises(ValueError, match="amplification"):
        start(created("q2"), f"bounded:amplification={value}")


def test_the_longest_step_on_a_levels_own_spectrum():
    """Of all q with max |q| = 8 on the eigenvalues of A it takes the longest step."""
    kernel = torch.randn(3, 3, 3, 3, generator=torch.Generator().manual_seed(2)).double().numpy()
    level = convolution_spectrum(kernel, (4, 4))
    equal = derive("bounded", 4, level).polynomial
    found = derive("bounded", 4, level, optimal=True)
    assert level.max_modulus(found.polynomial) == pytest.approx(8.0, rel=1e-7)
    assert level.max_modulus(equal) <= 8.0 * (1 + 1e-9)
    step = found.polynomial.weights.real.sum()
    assert step > 1.5 * equal.weights.real.sum()
    assert step == pytest.approx(found.provenance["result"]["upper_bound"], rel=1e-6)
    assert found.operator.kind == "level"


def test_weights_at_zero_are_refused():
    with pytest.raises(ValueError, match="relu has no gradient"):
        start(created("q2"), "zero:weight=0")
