"""Steps and levels against dense float64 twins: A as a matrix with zero padding, every formula
written out once more."""

from itertools import product

import pytest
import torch
from torch import nn

from nets.models.blocks import Convolution, Level, LevelOptions, SmoothingStep
from nets.models.coefficients import ROOT_GUARD, make_coefficients
from nets.models.placements import PLACEMENTS, POSITIONS, Placement, placement_for

KINDS = ["linear", "symmetric_pair", "real_pair", "complex_pair", "general3"]
QUADRATIC = ["symmetric_pair", "real_pair", "complex_pair", "general2"]
PLAIN_PLACEMENTS = [name for name, placement in PLACEMENTS.items() if not placement.is_quadratic]
OPERATOR_PLACEMENTS = [name for name, placement in PLACEMENTS.items() if placement.is_quadratic]
CASES = [*product(KINDS, PLAIN_PLACEMENTS), *product(QUADRATIC, OPERATOR_PLACEMENTS)]
C, H, W, N = 2, 4, 5, 3


def relu(x):
    return x.clamp(min=0)


def matrix(weight, h=H, w=W):
    """The convolution as a (c h w, c h w) matrix: (A u)(x) = sum_k a_k u(x + k), zero outside,
    linear in `weight`."""
    c, k = weight.shape[0], weight.shape[-1]
    A = weight.new_zeros(c, h, w, c, h, w)
    for y, x, i, j in product(range(h), range(w), range(k), range(k)):
        yy, xx = y + i - k // 2, x + j - k // 2
        if 0 <= yy < h and 0 <= xx < w:
            A[:, y, x, :, yy, xx] = weight[:, :, i, j]
    return A.reshape(c * h * w, -1)


def batch_norm(x, norm):
    """Training-mode batch norm of (images, c h w), from its definition."""
    v = x.reshape(len(x), C, -1)
    mean, var = v.mean((0, 2), keepdim=True), v.var((0, 2), correction=0, keepdim=True)
    return (
        norm.weight[:, None] * (v - mean) / (var + norm.eps).sqrt() + norm.bias[:, None]
    ).reshape(x.shape)


def correction_terms(step):
    """(k, c) with the correction sum_j c_j A^j r as the table of factors has it, from the trained
    numbers."""
    m = step.coefficients
    if m.kind == "linear":
        return [m.w]
    if m.kind == "symmetric_pair":
        return [0 * m.kappa, m.kappa]
    if m.kind == "real_pair":
        r1, r2 = (1 / m.w1, 1 / m.w2) if m.parameterisation == "weights" else (m.r1, m.r2)
        return [(r1 + r2) / (r1 * r2), -1 / (r1 * r2)]
    if m.kind == "complex_pair":
        z = (
            1 / torch.complex(m.x, -m.y)
            if m.parameterisation == "weights"
            else torch.complex(m.a, m.b)
        )
        return [2 * z.real / (z.real**2 + z.imag**2), -1 / (z.real**2 + z.imag**2)]
    return list(m.c)


FORMULAS = {
    "regular": lambda u, c, p, bn: u + relu(bn(c)),
    "outside": lambda u, c, p, bn: relu(bn(u + c)),
    "outside_level": lambda u, c, p, bn: u + c,
    "no_relu": lambda u, c, p, bn: bn(u + c),
    "bn_correction": lambda u, c, p, bn: u + bn(c),
    "relu_outside": lambda u, c, p, bn: u + bn(c),
    "relu_outside_nobn": lambda u, c, p, bn: u + c,
    "plain": lambda u, c, p, bn: u + c,
    "bn_operator": lambda u, c, p, bn: u + p[0] - bn(-p[1]),
    "relu_operator": lambda u, c, p, bn: u + p[0] - relu(bn(-p[1])),
    "relu_outside_bn_operator": lambda u, c, p, bn: u + p[0] - bn(-p[1]),
}


def by_positions(placement):
    """The formula of any placement, from what its two positions say."""

    def formula(u, c, p, bn):
        def at(position, x):
            x = bn(x) if placement.norm == position else x
            return relu(x) if placement.activation == position else x

        c = p[0] - at("operator", -p[1]) if placement.is_quadratic else c
        return at("sum", u + at("correction", c))

    return formula


def twin(level, names, g, u):
    """The level as it is written: f = g + A u, every residual from u, then relu(f - A u)."""
    A = matrix(level.A.weight)
    f = g + u @ A.T
    placements = [Placement.parse(name) for name in names]
    for step, name, placement in zip(level.steps, names, placements, strict=True):
        r = relu(batch_norm(f - u @ A.T, step.residual_norm))
        powers, terms = r, correction_terms(step)
        parts = []
        for term in terms:
            parts.append(term * powers)
            powers = powers @ A.T
        formula = FORMULAS.get(name) or by_positions(placement)
        u = formula(u, sum(parts), parts, lambda x, norm=step.norm: batch_norm(x, norm))
    if any(placement.norm == "level" for placement in placements):
        u = batch_norm(u, level.norm)
    if any(placement.activation == "level" for placement in placements):
        u = relu(u)
    return u, relu(f - u @ A.T)


@pytest.mark.parametrize("name", FORMULAS)
def test_published_formulas_are_those_of_their_positions(name):
    torch.manual_seed(0)
    u, first, second = torch.randn(3, 50, dtype=torch.float64)

    def bn(x):  # stands for a norm: neither linear nor monotone
        return (2 * x - 0.3).sin()

    given = (u, first + second, [first, second], bn)
    found = by_positions(PLACEMENTS[name])(*given)
    torch.testing.assert_close(found, FORMULAS[name](*given), rtol=0, atol=1e-14)


def make_level(
    kinds, names, form="correction", *, residual="bn_relu", parameterisation="weights", **options
):
    """A level with random weights and norms, all in float64."""
    torch.manual_seed(0)
    placements = [Placement.parse(name) for name in names]
    steps = [
        SmoothingStep(
            make_coefficients(kind, parameterisation=parameterisation), C, where, residual=residual
        )
        for kind, where in zip(kinds, placements)
    ]
    level = Level(LevelOptions().operator(C), steps, form=form, **options).double()
    with torch.no_grad():
        for p in level.parameters():
            p.copy_(torch.rand_like(p) + 0.3 if p.ndim < 2 else torch.randn_like(p) / 3)
    return level


def inputs():
    torch.manual_seed(1)
    return [torch.randn(N, C, H, W, dtype=torch.float64, requires_grad=True) for _ in range(2)]


def with_gradients(function, level, g, u0):
    """Outputs, and gradients of a fixed functional of them with respect to the inputs and all
    parameters."""
    out = function(g, u0)
    weights = [torch.linspace(-1, 1, o.numel(), dtype=o.dtype).cos().reshape(o.shape) for o in out]
    wanted = [g, u0, *level.parameters()]
    return out, torch.autograd.grad(sum((o * w).sum() for o, w in zip(out, weights)), wanted)


@pytest.mark.parametrize("form", ["correction", "plain"])
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_level_equals_dense_twin(kind, name, form):
    level = make_level([kind, kind], [name, name], form)
    g, u0 = inputs()
    out, gradients = with_gradients(level, level, g, u0)
    expected, expected_gradients = with_gradients(
        lambda g, u: [
            o.reshape(N, C, H, W)
            for o in twin(level, [name, name], g.reshape(N, -1), u.reshape(N, -1))
        ],
        level,
        g,
        u0,
    )
    for a, b in zip([*out, *gradients], [*expected, *expected_gradients]):
        # float64: rounding of a few hundred operations, magnified by the norms' division by the
        # standard deviation
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_mixed_level_equals_dense_twin():
    names = ["regular", "outside_level", "relu_operator"]
    level = make_level(["symmetric_pair", "general3", "complex_pair"], names)
    g, u0 = inputs()
    expected = twin(level, names, g.reshape(N, -1), u0.reshape(N, -1))
    for a, b in zip(level(g, u0), expected):
        torch.testing.assert_close(a.reshape(N, -1), b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["real_pair", "complex_pair"])
def test_roots_as_parameters_equal_dense_twin(kind):
    level = make_level([kind], ["plain"], parameterisation="roots")
    g, u0 = inputs()
    _, gradients = with_gradients(level, level, g, u0)
    _, expected = with_gradients(
        lambda g, u: twin(level, ["plain"], g.reshape(N, -1), u.reshape(N, -1)), level, g, u0
    )
    for a, b in zip(gradients, expected):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("norm", "activation"), list(product(POSITIONS, POSITIONS)))
def test_forms_agree_at_every_pair_of_positions(norm, activation):
    levels = [
        make_level(["real_pair", "real_pair"], [f"{norm}/{activation}"] * 2, form)
        for form in ("correction", "plain")
    ]
    g, u0 = inputs()
    (out, gradients), (expected, expected_gradients) = (
        with_gradients(level, level, g, u0) for level in levels
    )
    for a, b in zip([*out, *gradients], [*expected, *expected_gradients]):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    statistics = [dict(level.named_buffers()) for level in levels]
    assert statistics[0].keys() == statistics[1].keys()
    for key, value in statistics[0].items():
        torch.testing.assert_close(value, statistics[1][key], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("residual", "rho"), [("identity", lambda d, n: d), ("bn", batch_norm)])
def test_residual_without_relu(residual, rho):
    level = make_level(["linear"], ["plain"], residual=residual)
    g, u0 = inputs()
    A, flat = matrix(level.A.weight), g.reshape(N, -1)
    step = level.steps[0]
    expected = u0.reshape(N, -1) + step.coefficients.w * rho(flat, step.residual_norm)
    torch.testing.assert_close(level(g, u0)[0].reshape(N, -1), expected, rtol=1e-10, atol=1e-10)
    assert A.shape == (C * H * W, C * H * W)


def test_first_level_has_zero_features():
    level = make_level(["linear", "symmetric_pair"], ["outside", "regular"])
    g, u0 = inputs()
    for a, b in zip(level(g, None), level(g, torch.zeros_like(u0))):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


def test_linear_level_multiplies_error_by_q():
    """Without norms and relu a level is the smoother: the error is multiplied by q(A), q of
    `Level.polynomial`."""
    level = make_level(
        ["linear", "complex_pair", "symmetric_pair"], ["plain"] * 3, residual="identity"
    )
    A = matrix(level.A.weight).detach()
    u_star, u0 = (torch.randn(1, C * H * W, dtype=torch.float64) for _ in range(2))
    g = (u_star - u0) @ A.T  # f - A u0
    u = level(g.reshape(1, C, H, W), u0.reshape(1, C, H, W))[0].reshape(1, -1)
    q = torch.eye(C * H * W, dtype=torch.float64)
    for j, coefficient in enumerate(level.polynomial().coefficients):
        q = coefficient * torch.linalg.matrix_power(A, j) + (0 if j == 0 else q)
    torch.testing.assert_close(u_star - u, (u_star - u0) @ q.T, rtol=1e-10, atol=1e-10)
    assert level.degree == level.polynomial().degree == 5


def test_mgnet_step_is_a_convolution():
    conv = nn.Conv2d(C, C, 3, padding=1, bias=False).double()
    step = SmoothingStep(Convolution(conv), C, Placement.parse("regular")).double()
    r = torch.randn(N, C, H, W, dtype=torch.float64)
    expected = relu(batch_norm(r.reshape(N, -1) @ matrix(conv.weight).T, step.norm))
    torch.testing.assert_close(
        step.correction(conv, r).reshape(N, -1), expected, rtol=1e-10, atol=1e-10
    )
    with pytest.raises(ValueError, match="not a polynomial"):
        step.factor()


def test_norms_that_are_not_used_are_not_built():
    norms = {
        name: len(
            [m for m in make_level(["linear"], [name]).modules() if isinstance(m, nn.BatchNorm2d)]
        )
        for name in PLAIN_PLACEMENTS
    }
    # that of the residual, and that of the placement
    assert norms == {name: 1 + (PLACEMENTS[name].norm != "nowhere") for name in PLAIN_PLACEMENTS}
    assert norms["relu_outside_nobn"] == norms["plain"] == 1


def test_placements_by_name_and_kind():
    assert Placement.parse("sum/sum").name == "outside"
    pair = next(
        pair
        for pair in product(POSITIONS, POSITIONS)
        if Placement(*pair) not in PLACEMENTS.values()
    )
    assert Placement.parse("/".join(pair)).name == "/".join(pair)
    assert (
        placement_for({"linear": "plain", "complex_pair": "outside"}, "complex_pair")
        == PLACEMENTS["outside"]
    )
    for wrong in ("regulr", "sum/nowhere/level", "sum/elsewhere"):
        with pytest.raises(ValueError, match=r"regular|allowed"):
            Placement.parse(wrong)
    with pytest.raises(ValueError, match="linear steps"):
        placement_for({"complex_pair": "outside"}, "linear")
    with pytest.raises(ValueError, match="degree 2"):
        make_level(["linear"], ["bn_operator"])


def test_guard_value():
    assert 0 < ROOT_GUARD < (3 / 256) ** 0.5 / 50
