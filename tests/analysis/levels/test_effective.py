"""Norms folded in equal the step as it is computed, on the full periodic grid, matrix by matrix."""

import numpy as np
import pytest
import torch

import nets
from analysis.levels.effective import effective_polynomial, effective_steps, has_norms, propagator
from analysis.levels.spectra import damping
from analysis.levels.state import LevelState, NormState, StepState, level_states
from analysis.levels.verdict import weight_distance
from mgtheory import ResidualPolynomial
from mgtheory.polynomials.factors import ComplexPair, General, Linear, RealPair, SymmetricPair
from nets.models.placements import PLACEMENTS, RESIDUALS
from nets.start.spectrum import convolution_spectrum

SHAPE = (6, 5)
FACTORS = (
    Linear(0.3),
    RealPair(2.0, 5.0),
    SymmetricPair(-0.2),
    ComplexPair(2.0, 1.0),
    General((0.4, -0.1, 0.02)),
)


def kernel(rng, channels=3):
    return rng.standard_normal((channels, channels, 3, 3)) / 6


def norm(rng, channels=3):
    gamma, beta, mean = rng.standard_normal((3, channels))
    return NormState(gamma, beta, mean, rng.uniform(0.5, 2, channels), 1e-5)


def apply(weights, u):
    """Periodic cross-correlation of u (c, H, W), tap by tap."""
    size = weights.shape[2] // 2
    return sum(
        np.einsum("oi,ihw->ohw", weights[:, :, a, b], np.roll(u, (size - a, size - b), axis=(1, 2)))
        for a in range(weights.shape[2])
        for b in range(weights.shape[3])
    )


def bn(state, x):
    if state is None:
        return x
    gamma, beta, mean, var = (
        v[:, None, None] for v in (state.gamma, state.beta, state.mean, state.var)
    )
    return gamma * (x - mean) / np.sqrt(var + state.eps) + beta


def step_map(level, u):
    """The level's steps on u with f = 0, activations the identity, as the placements write them."""
    for step in level.steps:
        r = bn(step.residual_norm, -apply(level.A, u))
        if step.B is not None:
            c = apply(step.B, r)
        elif step.norm_position == "operator":
            k1, minus_k2 = step.factor.correction_coefficients
            c = k1 * r - bn(step.norm, -minus_k2 * apply(level.A, r))
        else:
            c = step.factor.correction(lambda v: apply(level.A, v), r)
        u = u + (bn(step.norm, c) if step.norm_position == "correction" else c)
        u = bn(step.norm, u) if step.norm_position == "sum" else u
    return bn(level.end_norm, u)


def dense_radius_and_norm(level):
    size = level.A.shape[0] * SHAPE[0] * SHAPE[1]
    shift = step_map(level, np.zeros((level.A.shape[0], *SHAPE)))  # the constant part of the norms
    columns = [(step_map(level, e.reshape(-1, *SHAPE)) - shift).ravel() for e in np.eye(size)]
    matrix = np.array(columns).T
    return np.abs(np.linalg.eigvals(matrix)).max(), np.linalg.norm(matrix, 2)


@pytest.mark.parametrize("position", ["nowhere", "correction", "sum", "operator"])
def test_folded_equals_the_steps_themselves(position):
    rng = np.random.default_rng(5)
    factors = [f for f in FACTORS if position != "operator" or f.degree == 2]
    for factor in factors:
        step = StepState(
            factor,
            norm=None if position == "nowhere" else norm(rng),
            norm_position=position,
            residual_norm=norm(rng),
        )
        level = LevelState(kernel(rng), (step, StepState(Linear(-0.4))), SHAPE, end_norm=norm(rng))
        found = damping(level.A, SHAPE, propagator(level, folded=True))
        radius, size = dense_radius_and_norm(level)
        # eigenvalues of a 90 x 90 non-normal matrix: condition numbers below 1e4
        np.testing.assert_allclose(
            [found.radius.max(), found.norm.max()], [radius, size], rtol=1e-9, err_msg=str(factor)
        )


def test_mgnet_convolutions():
    rng = np.random.default_rng(2)
    steps = tuple(
        StepState(
            B=kernel(rng), norm=norm(rng), norm_position="correction", residual_norm=norm(rng)
        )
        for _ in range(2)
    )
    level = LevelState(kernel(rng), steps, SHAPE)
    found = damping(level.A, SHAPE, propagator(level, folded=True))
    np.testing.assert_allclose(
        [found.radius.max(), found.norm.max()], dense_radius_and_norm(level), rtol=1e-9
    )
    assert level.polynomial is None
    assert effective_steps(level) == ()
    assert effective_polynomial(level) is None


@pytest.mark.parametrize("factor", FACTORS)
def test_without_norms_it_is_the_polynomial_on_the_eigenvalues(factor):
    rng = np.random.default_rng(3)
    level = LevelState(kernel(rng), (StepState(factor), StepState(Linear(0.7))), SHAPE)
    spectrum = convolution_spectrum(level.A, SHAPE, padding="periodic")
    found = damping(level.A, SHAPE, propagator(level, folded=False))
    np.testing.assert_allclose(found.radius, spectrum.modulus(level.polynomial), rtol=1e-9)
    assert (found.norm >= found.radius * (1 - 1e-12)).all()


def test_effective_weight_of_a_linear_step():
    """w by what both norms divide and multiply by."""
    gammas, variances = np.array([[2.0, -1.0], [3.0, 0.5]]), np.array([[4.0, 0.25], [1.0, 9.0]])
    outer, inner = (
        NormState(gamma, np.zeros(2), np.zeros(2), var, 1e-5)
        for gamma, var in zip(gammas, variances)
    )
    step = StepState(Linear(0.2), norm=outer, norm_position="correction", residual_norm=inner)
    (effective,) = effective_steps(LevelState(np.zeros((2, 2, 3, 3)), (step,), SHAPE))
    expected = 0.2 * (gammas / np.sqrt(variances + 1e-5)).prod(axis=0)
    np.testing.assert_allclose(effective.coefficients[:, 0], expected, rtol=1e-14)
    np.testing.assert_allclose(
        [effective.mean[0], effective.spread[0]], [expected.mean(), expected.std()], rtol=1e-14
    )


def test_neutral_norms_keep_the_roots():
    rng = np.random.default_rng(0)
    steps = tuple(
        StepState(f, norm=NormState.neutral(3, eps=1e-12), norm_position="correction")
        for f in FACTORS
    )
    level = LevelState(kernel(rng), steps, SHAPE)
    # simple roots, apart by more than 0.1
    assert weight_distance(effective_polynomial(level), level.polynomial) < 1e-10


def test_sum_norm_scales_the_whole_and_not_the_coefficient():
    state = NormState(np.array([3.0]), np.zeros(1), np.zeros(1), np.ones(1), 1e-12)
    step = StepState(Linear(0.2), norm=state, norm_position="sum")
    (effective,) = effective_steps(LevelState(np.zeros((1, 1, 3, 3)), (step,), SHAPE))
    np.testing.assert_allclose(
        [effective.coefficients[0, 0], effective.outer[0]], [0.2, 3.0], rtol=1e-11
    )


def test_norm_on_the_operator_scales_its_part_alone():
    state = NormState(np.array([3.0, -2.0]), np.zeros(2), np.zeros(2), np.ones(2), 1e-12)
    step = StepState(General((0.4, -0.1)), norm=state, norm_position="operator")
    (effective,) = effective_steps(LevelState(np.zeros((2, 2, 3, 3)), (step,), SHAPE))
    np.testing.assert_allclose(effective.coefficients, [[0.4, -0.3], [0.4, 0.2]], rtol=1e-11)


def test_a_norm_on_the_last_sum_is_one_at_the_end():
    """With one step a level the placements outside and outside_level are one network."""
    rng = np.random.default_rng(4)
    weights, inner, outer = kernel(rng), norm(rng), norm(rng)
    on_sum = LevelState(
        weights,
        (StepState(Linear(0.3), norm=outer, norm_position="sum", residual_norm=inner),),
        SHAPE,
    )
    at_end = LevelState(
        weights, (StepState(Linear(0.3), residual_norm=inner),), SHAPE, end_norm=outer
    )
    bare = LevelState(weights, (StepState(Linear(0.3)),), SHAPE, end_norm=outer)
    assert has_norms(bare)
    found = [
        damping(weights, SHAPE, propagator(level, folded=True)).radius for level in (on_sum, at_end)
    ]
    np.testing.assert_allclose(*found, rtol=1e-14)


def test_sizes_of_odd_images_round_up():
    model = nets.create_model("q2", width=4, levels=3, in_channels=1)
    assert [level.size for level in level_states(model, (9, 14))] == [(9, 14), (5, 7), (3, 4)]


def test_grouped_convolutions_are_written_out():
    model = nets.create_model(
        "q2", width=4, levels=2, in_channels=1, groups=2, generator=torch.Generator().manual_seed(0)
    ).double()
    images = torch.rand(
        1, 4, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    dense = torch.from_numpy(level_states(model, SHAPE)[0].A.copy())
    assert dense.shape == (4, 4, 3, 3)
    torch.testing.assert_close(
        torch.nn.functional.conv2d(images, dense, padding=1),
        model.levels[0].A(images),
        rtol=0,
        atol=1e-14,
    )


def test_level_polynomial_of_all_kinds():
    level = LevelState(np.zeros((1, 1, 3, 3)), tuple(StepState(f) for f in FACTORS), SHAPE)
    assert level.degree == sum(f.degree for f in FACTORS) == level.polynomial.degree
    t = np.linspace(0, 3, 7)
    expected = np.prod(
        [np.polynomial.polynomial.polyval(t, f.coefficients) for f in FACTORS], axis=0
    )
    np.testing.assert_allclose(level.polynomial(t), expected, rtol=1e-11, atol=1e-12)
    assert isinstance(level.polynomial, ResidualPolynomial)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "either a factor or a convolution"),
        (
            {"factor": Linear(1.0), "norm_position": "middle"},
            "allowed are nowhere, correction, sum, operator",
        ),
        ({"factor": Linear(1.0), "norm_position": "sum"}, "has no norm"),
        (
            {"factor": Linear(1.0), "norm_position": "operator", "norm": NormState.neutral(2)},
            "quadratic factors alone",
        ),
    ],
)
def test_steps_are_checked(arguments, text):
    with pytest.raises(ValueError, match=text):
        StepState(**arguments)


def test_diverged_weights_are_refused():
    with pytest.raises(ValueError, match="diverged"):
        LevelState(np.full((1, 1, 3, 3), np.nan), (), SHAPE)


@pytest.mark.parametrize("residual", RESIDUALS)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_norms_are_those_of_the_module(placement, residual):
    model = nets.create_model("g4", channels=(2, 2), placement=placement, residual=residual)
    for level, state in zip(model.levels, level_states(model, (4, 4)), strict=True):
        norms = [one for one in level.modules() if isinstance(one, torch.nn.BatchNorm2d)]
        assert has_norms(state) == bool(norms)
