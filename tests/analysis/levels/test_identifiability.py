"""What is called not identifiable leaves the network's function as it is when it changes; what is
called identifiable does not."""

import pytest
import torch

import nets
from analysis.levels.identifiability import outlook, readings
from analysis.levels.state import level_states
from mgtheory.polynomials.factors import (
    ComplexPair,
    Factor,
    General,
    Linear,
    RealPair,
    SymmetricPair,
)
from nets.models.placements import PLACEMENTS

from ..conftest import planted_model

SIZE = (8, 8)
STARTS = {
    "linear": Linear(0.7),
    "real_pair": RealPair(1.5, 3.0),
    "symmetric_pair": SymmetricPair(0.6),
    "complex_pair": ComplexPair(1.2, 0.8),
    "general2": General((0.8, -0.3)),
    "general3": General((0.8, -0.3, 0.1)),
}
QUADRATIC = ("real_pair", "symmetric_pair", "complex_pair", "general2")
CASES = [
    (placement, kind, residual)
    for placement, entry in PLACEMENTS.items()
    for kind in STARTS
    if kind in QUADRATIC or not entry.is_quadratic
    for residual in ("bn_relu", "identity")
]


def build(placement, kind, residual="bn_relu"):
    """Two levels, one step on the first and two on the second, in float64; batch norms almost
    without eps."""
    model = nets.create_model(
        "q2",
        factors=[[kind], [kind, kind]],
        channels=(3, 3),
        placement=placement,
        residual=residual,
        in_channels=1,
        generator=torch.Generator().manual_seed(0),
    )
    model.double().train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-14
            with torch.no_grad():
                module.weight.copy_(torch.linspace(0.6, 1.4, 3))
                module.bias.copy_(torch.linspace(-0.2, 0.3, 3))
    for level in model.levels:
        for step in level.steps:
            step.coefficients.set_factor(STARTS[kind])
    return model


IMAGES = torch.rand(6, 1, *SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def output(model):
    with torch.no_grad():
        return model(IMAGES)


def changed(factor, name):
    """The factor with one coefficient multiplied by 1.3."""
    return Factor(
        factor.kind, tuple(value * (1.3 if n == name else 1) for n, value in factor.values.items())
    )


def changed_within(factor, keeps):
    """Another factor with the same kept combinations."""
    c = factor.correction_coefficients
    if "k1" in keeps:
        if factor.kind == "general":
            return General((c[0], 1.4 * c[1]))
        if factor.kind == "symmetric_pair":
            return SymmetricPair(1.4 * factor.kappa)
        if factor.kind == "real_pair":
            return Factor("real_pair", (factor.w1 + 0.1, factor.w2 - 0.1))
        return Factor("complex_pair", (factor.x, 0.9))
    if factor.kind == "real_pair":
        r1, r2 = factor.roots.real
        return RealPair(r1 + 0.3, r2 - 0.3)
    if factor.kind == "complex_pair":
        root = factor.roots[0]
        return ComplexPair(root.real, 1.5 * root.imag)
    return Factor(factor.kind, tuple(1.7 * value for value in factor.parameters))


@pytest.mark.parametrize(("placement", "kind", "residual"), CASES)
def test_readings_are_true_of_the_network(placement, kind, residual):
    model = build(placement, kind, residual)
    expected = output(model)
    for level, state in zip(model.levels, level_states(model, SIZE)):
        for reading in readings(state):
            coefficients = level.steps[reading.step - 1].coefficients
            factor = coefficients.factor()
            coefficients.set_factor(
                changed(factor, reading.name)
                if reading.identifiable
                else changed_within(factor, reading.keeps)
            )
            difference = (output(model) - expected).abs().max().item()
            coefficients.set_factor(factor)
            if reading.identifiable:
                assert difference > 1e-5, str(reading)
            else:
                assert difference < 1e-9, str(reading)  # eps = 1e-14 over variances above 1e-4


@pytest.mark.parametrize("placement", ["regular", "bn_correction", "relu_outside"])
def test_sign_is_a_symmetry_with_gamma(placement):
    model = build(placement, "linear")
    expected = output(model)
    for level in model.levels:
        for step in level.steps:
            step.coefficients.set_factor(Linear(-0.7))
            with torch.no_grad():
                step.norm.weight.neg_()
    torch.testing.assert_close(output(model), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("residual", ["bn_relu", "bn"])
@pytest.mark.parametrize("placement", ["relu_outside_nobn", "plain", "outside"])
def test_shared_scale_with_the_residual_norm(placement, residual):
    model = build(placement, "linear", residual)
    step, state = model.levels[1].steps[0], level_states(model, SIZE)[1]
    assert all(reading.identifiable and reading.shares_scale for reading in readings(state))
    expected = output(model)
    step.coefficients.set_factor(Linear(0.7 / 2.5))
    with torch.no_grad():
        step.residual_norm.weight.mul_(2.5)
        step.residual_norm.bias.mul_(2.5)
    torch.testing.assert_close(output(model), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", list(STARTS))
def test_sizes_are_relative_to_the_operator(kind):
    """A/2, its transfers adapted, and every coefficient free of the scale of A: one network, one
    number in units of A."""
    model = build("relu_outside_nobn", kind)
    expected = output(model)
    level, state = model.levels[1], level_states(model, SIZE)[1]
    before = {reading.name: reading for reading in readings(state)}
    with torch.no_grad():
        level.A.weight.div_(2.0)
        model.transfers[0].Pi.weight.mul_(2.0)
        model.fc.weight.div_(2.0)
    assert (output(model) - expected).abs().max() > 1e-5
    for step in level.steps:
        factor = step.coefficients.factor()
        scaled = {name: reading.value * 2.0**reading.power for name, reading in before.items()}
        step.coefficients.set_factor(Factor(factor.kind, tuple(scaled.values())))
    # 1e-4 for one wrong power of 2
    torch.testing.assert_close(output(model), expected, rtol=0, atol=1e-11)


def test_reasons_name_what_is_lost():
    def lost(placement, kind, level=1):
        state = level_states(build(placement, kind), SIZE)[level]
        return {
            reading.name: reading
            for reading in readings(state)
            if reading.step == 1 and not reading.identifiable
        }

    assert set(lost("regular", "linear")) == {"w"}
    assert set(lost("regular", "symmetric_pair")) == {"kappa"}
    pair = lost("regular", "real_pair")
    assert set(pair) == {"w1", "w2"}
    assert pair["w1"].keeps["r1 + r2"] == pytest.approx(4.5, rel=1e-12)
    assert "product is lost" in pair["w1"].reason
    complex_pair = lost("regular", "complex_pair")
    assert set(complex_pair) == {"x", "y"}  # of x/(x^2 + y^2) = a alone something is known
    assert complex_pair["y"].keeps["r1 + r2"] == pytest.approx(2.4, rel=1e-12)
    general = lost("regular", "general3")
    assert set(general) == {"c_0", "c_1", "c_2"}
    assert general["c_1"].keeps["c_1 / c_0"] == pytest.approx(-0.375, rel=1e-12)
    assert lost("bn_operator", "real_pair")["w1"].keeps["k1"] == pytest.approx(1.0, rel=1e-12)
    assert set(lost("bn_operator", "general2")) == {"c_1"}
    assert set(lost("bn_operator", "complex_pair")) == {"y"}  # k1 = 2x
    assert lost("relu_outside_nobn", "linear") == {}
    assert "u = 0 before this step" in lost("outside", "linear", level=0)["w"].reason
    assert lost("outside", "linear", level=1) == {}
    assert "only step" in lost("outside_level", "linear", level=0)["w"].reason
    two_steps = level_states(
        planted_model([[0.2, 0.3], [0.2, 0.2]], placement="outside_level"), SIZE
    )[0]
    # the norm at the end keeps the ratio of the steps
    assert all(reading.identifiable for reading in readings(two_steps))


@pytest.mark.parametrize(
    ("placement", "start", "end"),
    [
        (
            "regular",
            "coefficients: all 3 will have no meaning of their own: a batch norm",
            "have one",
        ),
        ("outside", "coefficients: 1 of 3 (w of level 1, step 1) will have no", "have one"),
        ("relu_outside_nobn", "coefficients: all 3 have a meaning; read", "folded in"),
    ],
)
def test_outlook_before_training(placement, start, end):
    found = outlook(level_states(build(placement, "linear"), SIZE))
    assert found.startswith(start)
    assert found.endswith(end)
    assert outlook(level_states(nets.create_model("resnet8", width=4), SIZE)) == ""
