"""What steps of each kind of factor take of a scheme's polynomial."""

import numpy as np
import pytest
import torch

from mgtheory import derive
from nets.start.operators import operator_spectra


def test_symmetric_pairs_take_the_family_on_the_square(started):
    """kappa_i = 1/r_i with r_i the family's roots on (0, b^2], lower end (1/4)^2."""
    model, report = started(
        "g4", "chebyshev", operator="laplacian", small=0.0, scale=3.0, padding="periodic"
    )
    expected = 1 / (9.0 * derive("chebyshev", 2, (1 / 16, 1.0)).roots.real)
    found = [step.factor().kappa for step in model.levels[0].steps]
    np.testing.assert_allclose(sorted(found), sorted(expected), rtol=1e-6)
    assert not report.levels[0].fitted


def test_linear_steps_take_their_roots_in_leja_order(started):
    """Of roots in the order of their draws too: the largest first, then each farthest from those
    before it."""
    for level in started("q8", "uniform")[1].levels:
        roots = level.roots
        for k in range(len(roots)):
            far = np.abs(roots[k:, None] - roots[:k]).prod(axis=1) if k else np.abs(roots)
            assert far.argmax() == 0


def test_complex_pair_takes_the_mean_of_real_roots_and_says_so(started):
    model, report = started("g6", "chebyshev4", operator="laplacian", small=0.0, padding="periodic")
    roots = derive("chebyshev4", 2, 1.0).roots.real
    pair = model.levels[0].steps[2].factor()
    assert pair.roots[0].real == pytest.approx(roots.mean(), rel=1e-6)
    assert 0 < pair.roots[0].imag < 0.02 * pair.roots[0].real
    assert report.levels[0].fitted
    assert "mean of two" in report.levels[0].reasons[0]


def test_complex_pair_takes_a_conjugate_pair_where_there_is_one(started):
    model, report = started("q2", "spectral", model_options={"factors": ["complex_pair", "linear"]})
    values = operator_spectra([model.levels[0].A], [(8, 8)])[0].values
    outermost = np.abs(values[np.abs(values.imag) > 1e-6]).max()
    assert np.abs(model.levels[0].steps[0].factor().roots[0]) == pytest.approx(outermost, rel=1e-5)
    assert not report.levels[0].fitted


@pytest.mark.parametrize("name", ["q2", "q3"])
def test_spectral_takes_the_extreme_real_eigenvalues(started, name):
    """From both ends inwards, the largest first: of three two are at the right end."""
    model, _ = started(name, "spectral")
    values = operator_spectra([model.levels[0].A], [(8, 8)])[0].values
    real = np.unique(values.real[np.abs(values.imag) < 1e-9])
    found = sorted(1 / step.factor().w for step in model.levels[0].steps)
    expected = [real[0], *real[-2:]] if name == "q3" else [real[0], real[-1]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_symmetric_pairs_take_squares_of_eigenvalues_and_ritz_values_of_the_square(started):
    model, _ = started("g4", "spectral")
    A = model.levels[0].A
    values = operator_spectra([A], [(8, 8)])[0].values
    real = values.real[np.abs(values.imag) < 1e-9]
    kappas = sorted(step.factor().kappa for step in model.levels[0].steps)
    np.testing.assert_allclose(
        kappas, sorted(1 / np.array([real.min(), real.max()]) ** 2), rtol=1e-5
    )
    model, report = started("g4", "harmonic_ritz", operator="laplacian", small=0.0)
    roots = np.array([1 / step.factor().kappa for step in model.levels[0].steps])
    assert ((roots > 0) & (roots < 1)).all()
    np.testing.assert_allclose(np.sort(roots), np.sort(report.sources[0].roots.real), rtol=1e-5)
    operator = operator_spectra([model.levels[0].A], [(8, 8)])[0].A
    start = started_vector(operator.shape[0])
    used = derive("harmonic_ritz", 2, operator @ operator, start=start, copies=False)
    np.testing.assert_allclose(np.sort(roots), np.sort(used.roots.real), rtol=1e-4)


def started_vector(n):
    """What `started` draws for the first level's Krylov space, after the weights of both levels'
    operators (4 and 8 channels)."""
    generator = torch.Generator().manual_seed(0)
    for channels in (4, 8):
        torch.empty(channels, channels, 3, 3).uniform_(-1, 1, generator=generator)
    return torch.randn(n, generator=generator, dtype=torch.float64).numpy()


def test_real_pairs_and_linear_steps_take_roots_in_leja_order(started):
    expected = derive("chebyshev", 4, (0.25, 1.0)).roots.real
    pure = {"operator": "laplacian", "small": 0.0, "padding": "periodic"}
    model, _ = started("r4", "chebyshev", **pure)
    pairs = [step.factor() for step in model.levels[0].steps]
    np.testing.assert_allclose(
        [root for pair in pairs for root in sorted(pair.roots.real)],
        [*sorted(expected[:2]), *sorted(expected[2:])],
        rtol=1e-6,
    )
    model, _ = started("q4", "chebyshev", **pure)
    np.testing.assert_allclose(
        [1 / step.factor().w for step in model.levels[0].steps], expected, rtol=1e-6
    )


def test_uniform_keeps_the_sign_of_a_root_at_the_guard(started):
    for seed in range(400):
        model, report = started(
            "q8", "uniform:a=-1,b=1", seed=seed, model_options={"width": 1, "levels": 1}
        )
        roots = np.array([1 / step.factor().w for step in model.levels[0].steps])
        assert np.abs(roots).min() > 0.01 * (1 - 1e-6)
        at_guard = roots[np.abs(np.abs(roots) - 0.01) < 1e-6]
        if (at_guard < 0).any():
            assert report.levels[0].fitted
            return
    raise AssertionError("no negative root was drawn inside the guard in 400 tries of 8 at 1 %")


def test_the_mean_of_two_roots_is_kept_from_zero_too(started):
    """A complex pair takes the mean of two real roots, which may nearly cancel: max |q| was
    2.6e7."""
    least = []
    for seed in range(200):
        model, report = started(
            "g6", "uniform:a=-1,b=1", seed=seed, model_options={"width": 1, "levels": 1}
        )
        pair = model.levels[0].steps[2].factor()
        least.append(abs(pair.roots[0]))
        assert least[-1] > 0.01 * (1 - 1e-6)
        if least[-1] < 0.0101:
            assert any("moved out" in reason for reason in report.levels[0].reasons)
            return
    raise AssertionError("no mean of two roots was drawn inside the guard in 200 tries at 1 %")


@pytest.mark.parametrize("scheme", ["constant:value=2", "richardson", "uniform:a=2,b=2.0000001"])
def test_equal_roots_of_a_real_pair_part_in_training(started, scheme):
    """Equal ones would have equal gradients for ever; a start a little apart changes q by 1e-4 of
    its leading term."""
    model, report = started("r4", scheme, model_options={"width": 2, "levels": 2})
    pairs = [step.coefficients for step in model.levels[0].steps]
    assert any("apart" in reason for reason in report.levels[0].reasons)
    before = [abs(float(pair.w1.detach() - pair.w2.detach())) for pair in pairs]
    assert all(
        0.019 < gap / abs(float(pair.w1.detach())) < 0.021
        for gap, pair in zip(before, pairs, strict=True)
    )
    model(
        torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    ).square().sum().backward()
    assert all(float(pair.w1.grad) != float(pair.w2.grad) for pair in pairs)


def test_complex_roots_on_linear_steps_become_their_modulus(started):
    general, exact = started("p2", "harmonic_ritz", seed=1)
    roots = general.levels[0].polynomial().roots
    assert np.abs(roots.imag).min() > 0  # a general polynomial keeps them
    assert not exact.levels[0].fitted
    model, report = started("q2", "harmonic_ritz", seed=1)
    np.testing.assert_allclose(
        [1 / step.factor().w for step in model.levels[0].steps], np.abs(roots), rtol=1e-5
    )
    assert report.levels[0].fitted
    assert "modulus" in report.levels[0].reasons[0]


def test_general_steps_take_the_polynomial_exactly(started):
    model, _ = started("p4", "chebyshev", operator="laplacian", small=0.0, padding="periodic")
    expected = derive("chebyshev", 4, (0.25, 1.0)).polynomial.correction_coefficients
    np.testing.assert_allclose(
        model.levels[0].steps[0].coefficients.c.detach(), expected, rtol=1e-5
    )
