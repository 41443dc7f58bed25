"""Coefficients: exact conversion to factors, and parameterisations under which roots cannot lose
their meaning unnoticed."""

import copy

import numpy as np
import pytest
import torch

import nets
from mgtheory.polynomials.factors import (
    ComplexPair,
    Factor,
    General,
    Linear,
    RealPair,
    SymmetricPair,
)
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.models.coefficients import (
    PARAMETERISATIONS,
    ROOT_GUARD,
    make_coefficients,
    parse_kind,
    root_warnings,
)

FACTORS = {
    "linear": Linear(-0.7),
    "symmetric_pair": SymmetricPair(-1.3),
    "real_pair": RealPair(-0.4, 2.5),
    "complex_pair": ComplexPair(0.3, -0.8),
    "general3": General((0.5, -1.5, 0.25)),
}


def made(kind, parameterisation="weights", factor=None):
    module = make_coefficients(kind, parameterisation=parameterisation).double()
    if factor is not None:
        module.set_factor(factor)
    return module


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
@pytest.mark.parametrize("kind", FACTORS)
def test_factor_round_trip_and_correction(kind, parameterisation):
    factor = FACTORS[kind]
    module = made(kind, parameterisation, factor)
    A = torch.tensor(np.random.default_rng(0).normal(size=(4, 4)))
    r = torch.ones(4, dtype=torch.float64)
    expected = factor.correction(lambda v: A @ v, r)
    torch.testing.assert_close(
        module(lambda v: A @ v, r).detach(), expected, rtol=1e-13, atol=1e-13
    )
    np.testing.assert_allclose(
        module.factor().correction_coefficients, factor.correction_coefficients, rtol=1e-14
    )
    assert module.degree == factor.degree == parse_kind(kind)[1]


@pytest.mark.parametrize("kind", FACTORS)
@pytest.mark.parametrize("zeros", [1, 2, 3])
def test_zero_weights_go_to_factors_and_back(kind, zeros):
    """A weight 0 is a root at infinity, like any other value: nothing is lost on the way."""
    module = made(kind)
    with torch.no_grad():
        for parameter in list(module.parameters())[:zeros]:
            parameter[..., :zeros].zero_() if parameter.ndim else parameter.zero_()
    before = {name: value.clone() for name, value in module.named_parameters()}
    factor = module.factor()
    assert factor.kind == parse_kind(kind)[0]
    assert np.isinf(factor.roots).sum() == (factor.weights == 0).sum()
    module.set_factor(factor)
    for name, value in module.named_parameters():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    A = torch.tensor(np.random.default_rng(0).normal(size=(4, 4)))
    r = torch.ones(4, dtype=torch.float64)
    torch.testing.assert_close(
        module(lambda v: A @ v, r).detach(), factor.correction(lambda v: A @ v, r)
    )
    assert ResidualPolynomial.from_factors([factor]).degree == module.degree
    if zeros == 3 and kind != "general3":
        assert "infinity" in root_warnings(module)[0]


def test_a_root_at_infinity_cannot_be_trained_as_a_root():
    pair = Factor("real_pair", (0.0, 0.5))
    with pytest.raises(ValueError, match="r1 would be inf, must be finite"):
        made("real_pair", "roots", pair)
    assert made("real_pair", factor=pair).factor() == pair


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
@pytest.mark.parametrize("kind", ["real_pair", "complex_pair"])
@pytest.mark.parametrize(
    "values", [(0.0, 0.0), (0.0, 2.0), (-1e-9, 1e-12), (1e-5, -3.0), (1e3, -1e3)]
)
def test_no_value_breaks_a_pair(kind, parameterisation, values):
    """Correction and gradient are finite for every finite value, q(0) = 1, and `factor` is what is
    applied."""
    module = made(kind, parameterisation)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), values):
            parameter.fill_(value)
    r = torch.tensor([1.0, -2.0], dtype=torch.float64)
    c = module(lambda v: 0.5 * v, r)
    c.sum().backward()
    assert all(torch.isfinite(p.grad) for p in module.parameters())
    expected = module.factor().correction(lambda v: 0.5 * v, r)
    torch.testing.assert_close(c.detach(), expected, rtol=1e-12, atol=1e-12)
    modulus = np.abs(module.factor().roots)
    assert (modulus > 0).all()
    if parameterisation == "roots":
        assert (modulus >= ROOT_GUARD * (1 - 1e-12)).all()


def test_guard_keeps_the_direction():
    module = made("complex_pair", "roots", ComplexPair(3e-4, 4e-4))
    np.testing.assert_allclose(
        module.factor().roots, [ROOT_GUARD * (0.6 + 0.8j), ROOT_GUARD * (0.6 - 0.8j)], rtol=1e-12
    )
    pair = made("real_pair", "roots", RealPair(-1e-5, 1.0))
    np.testing.assert_allclose(sorted(pair.factor().roots.real), [-ROOT_GUARD, 1.0])


def test_the_sign_of_a_root_is_taken_by_what_onnx_has():
    """A zero of either sign goes to the positive side; copysign, which kept it, ended the export
    of r4 by roots."""
    module = made("real_pair", "roots").float()
    for zero in (0.0, -0.0):
        with torch.no_grad():
            module.r1.fill_(zero)
            module.r2.fill_(-1e-4)
        np.testing.assert_allclose(sorted(module.factor().roots.real), [-ROOT_GUARD, ROOT_GUARD])
    model = nets.create_model("r4", width=4, levels=1, parameterisation="roots").eval()
    graph = torch.export.export(model, (torch.randn(2, 3, 8, 8),)).graph
    assert not [one for one in graph.nodes if "copysign" in str(one.target)]


def test_a_root_passes_smoothly_through_infinity():
    """As a weight crosses 0, the correction is continuous although the root jumps from +infinity to
    -infinity."""
    r = torch.ones(3, dtype=torch.float64)
    values = []
    for weight in (1e-9, 0.0, -1e-9):
        module = made("real_pair")
        with torch.no_grad():
            module.w1.fill_(weight)
            module.w2.fill_(0.5)
        values.append(module(lambda v: 2 * v, r).detach())
    assert max((a - values[1]).abs().max() for a in values) < 1e-8


def test_events_are_reported():
    quiet = made("complex_pair", factor=ComplexPair(1.0, 0.5))
    assert root_warnings(quiet, start=ComplexPair(0.9, 0.5)) == []
    assert "sign" in root_warnings(quiet, start=ComplexPair(-0.9, 0.5))[0]
    assert "guard" in root_warnings(made("real_pair", "roots", RealPair(1e-7, 1.0)))[0]
    for inside, outside in ((0.999, 1.001), (0.6, 2.0)):
        assert (
            "guard"
            in root_warnings(made("complex_pair", "roots", ComplexPair(inside * ROOT_GUARD, 0.0)))[
                0
            ]
        )
        assert (
            root_warnings(made("complex_pair", "roots", ComplexPair(outside * ROOT_GUARD, 0.0)))
            == []
        )
    # beyond single precision on spectra of order 1
    assert "infinity" in root_warnings(made("linear", factor=Linear(1e-7)))[0]
    assert root_warnings(made("linear", factor=Linear(1e-5))) == []
    assert root_warnings(made("linear", factor=Linear(0.0)), start=Linear(1.0)) == root_warnings(
        made("linear", factor=Linear(0.0))
    )
    # a real root that changes its sign stays on its axis
    (changed,) = root_warnings(made("linear", factor=Linear(1.0)), start=Linear(-1.0))
    assert changed == "the real part of 1 root(s) changed its sign since the start"
    assert "weight" in root_warnings(made("linear", factor=Linear(1e4)))[0]
    assert "infinity" in root_warnings(made("linear", factor=Linear(0.0)))[0]
    assert (
        "axis"
        in root_warnings(
            made("symmetric_pair", factor=SymmetricPair(1.0)), start=SymmetricPair(-1.0)
        )[0]
    )


def test_coefficients_survive_deepcopy_and_half_of_a_step():
    module = made("complex_pair", factor=ComplexPair(1.0, 0.5))
    assert copy.deepcopy(module).factor() == module.factor()
    # zero-dimensional: bf16 activations stay bf16
    assert all(p.ndim == 0 for p in module.parameters())
    assert module(lambda v: v, torch.ones(2, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_bad_input():
    for kind in ("lineer", "general", "general0", "general11", "general-1"):
        with pytest.raises(ValueError, match="known are"):
            parse_kind(kind)
    with pytest.raises(ValueError, match="weights, roots"):
        make_coefficients("linear", parameterisation="logarithms")
    with pytest.raises(ValueError, match="does not fit"):
        made("linear", factor=RealPair(1.0, 2.0))
    with pytest.raises(ValueError, match="degree 2 does not fit"):
        made("general3", factor=RealPair(1.0, 2.0))


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_every_coefficient_has_a_gradient_where_a_module_starts(parameterisation):
    """A complex pair that started at b = 0 would stay a double root."""
    A = torch.tensor(np.random.default_rng(0).normal(size=(4, 4)))
    for kind in FACTORS:
        module = made(kind, parameterisation)
        module(lambda v: A @ v, torch.ones(4, dtype=torch.float64)).square().sum().backward()
        for name, p in module.named_parameters():
            assert p.grad.abs().min() > 1e-6, (kind, name)


def test_a_coefficient_keeps_the_features_precision_and_gets_the_sum_of_all_gradients():
    for kind in (torch.bfloat16, torch.float64):
        coefficient = make_coefficients("linear")
        r, g = torch.randn(3, 4, 5, 6).to(kind), torch.randn(3, 4, 5, 6).to(kind)
        c = coefficient(lambda u: u, r)
        assert c.dtype == kind
        c.backward(g)
        # bfloat16 rounds the four sums of a channel, of size about sqrt(90), and their sum
        torch.testing.assert_close(
            coefficient.w.grad.double(),
            (g.double() * r.double()).sum(),
            rtol=1e-6,
            atol=0.5 if kind == torch.bfloat16 else 1e-5,
        )


def test_a_value_beyond_single_precision_is_refused():
    single = make_coefficients("linear")
    with pytest.raises(ValueError, match=r"would be 1e\+39, must be finite in torch.float32"):
        single.set_factor(Linear(1e39))
    single.set_factor(Linear(1e38))
    assert single.factor().w == pytest.approx(1e38)
