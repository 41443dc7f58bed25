"""Starts of bounded amplification: max |q| = M on the disc |z| <= b at every degree, finite loss
and gradients everywhere; and the start near 0."""

from functools import cache, lru_cache

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import nets
from mgtheory import derive
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.models.placements import PLACEMENTS
from nets.start import spectrum
from nets.start.operators import start_operators
from nets.start.spectrum import convolution_spectrum

MODELS = {
    **{name: {} for name in ("q2", "q8", "q32", "g4", "g6", "p8", "p10")},
    "16 symmetric pairs": {"factors": ["symmetric_pair"] * 16},
    "16 real pairs": {"factors": ["real_pair"] * 16},
    "16 complex pairs": {"factors": ["complex_pair"] * 16},
    "mixed": {"factors": ["symmetric_pair", "linear", "complex_pair", "general3", "real_pair"]},
}


FURTHER = {"p4": {}, "4 complex pairs": {"factors": ["complex_pair"] * 4}}


def created(name, **options):
    options = (MODELS | FURTHER)[name] | {"width": 2, "levels": 2} | options
    registered = "q2" if " " in name or name == "mixed" else name
    return nets.create_model(registered, generator=torch.Generator().manual_seed(0), **options)


@cache
def placed(name, placement):
    """A model to be given another one's state."""
    return created(name, placement=placement)


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
        model = placed(name, placement)
        model.load_state_dict(state.state_dict(), strict=False)
        model.zero_grad()
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
        model = placed(name, placement)
        model.load_state_dict(state.state_dict(), strict=False)
        model.zero_grad()
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


@pytest.mark.parametrize(
    "scheme", ["xavier", "constant:value=2", "chebyshev4", "harmonic_ritz", "fixup", "zero"]
)
@pytest.mark.parametrize("name", ["q2", "q32", "g6", "p8", "16 complex pairs", "mixed"])
def test_every_scheme_takes_an_amplification(name, scheme):
    """max |q| of the whole level on its own spectrum, kinds mixed or not; the shape is kept: roots
    keep their ratios."""
    text = f"{scheme}{',' if ':' in scheme else ':'}amplification=8"
    model = created(name, placement="plain")
    report = start(model, text)
    assert len(report.levels) == 2
    for described in report.levels:
        assert described.max_modulus == pytest.approx(8, rel=2e-3)  # single precision
        assert not any("shortened" in reason for reason in described.reasons)
    if name not in ("p8", "mixed"):  # their general steps are shortened by themselves
        start(plain := created(name, placement="plain"), scheme)
        one, other = model.levels[0].polynomial(), plain.levels[0].polynomial()
        ratio = one.weights / other.weights
        np.testing.assert_allclose(ratio, ratio[0].real, rtol=1e-5)


@pytest.mark.parametrize("scheme", ["chebyshev", "chebyshev4", "richardson", "constant:value=0.5"])
def test_on_a_positive_spectrum_a_level_is_only_shortened(scheme):
    """The classical families are left as they are there; what exceeds M is brought down to it."""
    text = scheme + (",amplification=8" if ":" in scheme else ":amplification=8")
    factors, largest = [], []
    for one in (scheme, text):
        model = created("q8", placement="plain")
        generator = torch.Generator().manual_seed(1)
        report = nets.initialise(
            model, one, operator="laplacian", small=0.0, scale=4.0, size=(8, 8), generator=generator
        )
        factors.append([step.factor() for step in model.levels[0].steps])
        largest.append(report.levels[0].max_modulus)
    if scheme.startswith("constant"):
        assert largest[0] > 1000
        assert largest[1] == pytest.approx(8, rel=1e-4)
    else:
        assert largest[0] < 1
        assert factors[0] == factors[1]


def test_a_file_takes_an_amplification_and_is_exact_without(tmp_path):
    derive("chebyshev4", 8, 1.0).save(tmp_path / "init.json")
    model = created("p8", placement="plain")
    assert start(model, f"file:{tmp_path / 'init.json'}").levels[0].max_modulus > 1000
    generator = torch.Generator().manual_seed(1)
    report = nets.initialise(
        model, f"file:{tmp_path / 'init.json'}", size=(8, 8), generator=generator, amplification=8
    )
    assert report.levels[0].max_modulus == pytest.approx(8, rel=2e-3)
    assert report.options["amplification"] == 8


@pytest.mark.parametrize("scheme", ["xavier", "constant", "chebyshev4", "bounded", "spectral"])
def test_general_steps_start_where_they_can_be_trained(scheme):
    """max |q| <= 3 unless more is asked for; in eight steps of AdamW at the rate of the digits'
    recipe the loss stays finite and falls, where it went beyond 1e4 for xavier and chebyshev4."""
    model = created("p8", placement="relu_outside_nobn")
    report = start(model, scheme)
    for level in report.levels:
        assert level.max_modulus <= 3 * 1.01
        assert level.fitted
    x = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), torch.arange(16) % 10)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert max(losses) < 5
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["p4", "4 complex pairs", "q8", "g4"])
def test_the_levels_own_longest_step(name):
    """On the eigenvalues it takes a longer step p(0) than equal roots do, with the same M; around
    0 `minimax` is it, and says why."""
    steps = {}
    for scheme in ("bounded", "bounded:optimal=1", "minimax"):
        model = created(name, placement="plain")
        options = "amplification=8"
        report = start(model, f"{scheme}{',' if ':' in scheme else ':'}{options}")
        q = model.levels[0].polynomial()
        steps[scheme] = q.weights.real.sum()
        assert report.levels[0].max_modulus <= 8 * 1.01
    assert steps["minimax"] == pytest.approx(steps["bounded:optimal=1"])
    assert any("surround 0" in reason for reason in report.levels[0].reasons)
    if name == "p4":
        assert steps["minimax"] > 1.5 * steps["bounded"]
        assert report.levels[0].max_modulus == pytest.approx(8, rel=1e-3)


def test_minimax_on_a_level_that_leaves_0_out():
    """With A shifted to the right of 0, on its own eigenvalues from b/4 on: below Chebyshev's of
    the real interval, and as good as `mgtheory.minimax` on these points."""
    values = {}
    for scheme in ("minimax", "chebyshev"):
        model = nets.create_model(
            "p4", width=4, levels=1, placement="plain", generator=torch.Generator().manual_seed(0)
        )
        generator = torch.Generator().manual_seed(1)
        report = nets.initialise(
            model, scheme, operator="shifted", size=(8, 8), generator=generator
        )
        kernel = model.levels[0].A.weight.detach().double().numpy()
        z = convolution_spectrum(kernel, (8, 8)).outline
        z = z[np.abs(z) >= 0.25 * report.levels[0].radius]
        values[scheme] = np.abs(model.levels[0].polynomial()(z)).max()
    assert values["minimax"] < 0.9 * values["chebyshev"]
    best = derive("minimax", 4, z).provenance["result"]["value"]
    assert values["minimax"] == pytest.approx(best, rel=1e-3)


def test_minimax_of_symmetric_pairs_is_that_of_the_squares():
    """From b/4 on, which is (b/4)^2 for A^2."""
    generator = torch.Generator().manual_seed(1)
    model = nets.create_model("g4", width=4, levels=1, placement="plain")
    options = {"operator": "laplacian", "small": 0.3, "size": (8, 8), "generator": generator}
    b = nets.initialise(model, "minimax", **options).levels[0].radius
    kernel = model.levels[0].A.weight.detach().double().numpy()
    z = convolution_spectrum(kernel, (8, 8)).values
    z = z[np.abs(z) >= 0.25 * b]
    best = derive("minimax", 2, z**2).provenance["result"]["value"]
    assert np.abs(model.levels[0].polynomial()(z)).max() == pytest.approx(best, rel=1e-3)


def test_fixup_divides_by_the_root_of_the_number_of_steps():
    for name, power, count in (("q8", 1, 8), ("16 symmetric pairs", 2, 16)):
        model = created(name, placement="plain")
        b = start(model, "fixup").levels[0].radius
        (value,) = model.levels[0].steps[0].factor().parameters
        assert value * b**power == pytest.approx(count ** (-1 / (2 * power)), rel=1e-6)


@pytest.mark.parametrize("operator", ["random", "laplacian", "shifted"])
def test_the_outline_of_a_wide_level_lies_around_its_spectrum(operator, monkeypatch):
    """Where only the outermost eigenvalues are found: every |q| is at least as large on the outline
    as on the spectrum, and not much larger for the spectrum of a Laplacian, which is flat."""
    model = created("q2", placement="plain")
    grid = (7, 7)  # not measured before: spectra are remembered
    start_operators([model.levels[0].A], operator, [grid])
    kernel = model.levels[0].A.weight.detach().double().numpy()
    all_of_it = convolution_spectrum(kernel, grid).outline
    for limit in ("SMALL", "DENSE"):
        monkeypatch.setattr(f"nets.start.padded.{limit}", 64)
    monkeypatch.setattr(spectrum, "_measured", lru_cache(spectrum._measured.__wrapped__))
    wide = convolution_spectrum(kernel, grid)
    assert not wide.complete
    outline = wide.outline
    assert outline.imag.min() >= 0
    rng = np.random.default_rng(0)
    for k in (1, 4, 16):
        for roots in (np.full(k, wide.radius), -rng.uniform(0.5, 2, k), 2j * np.ones(k)):
            q = ResidualPolynomial(np.concatenate([roots, roots.conj()]))
            ratio = np.abs(q(outline)).max() / np.abs(q(all_of_it)).max()
            assert 1 - 2e-3 * k < ratio
    if operator == "laplacian":
        q = derive("chebyshev4", 4, wide.radius).polynomial
        assert np.abs(q(outline)).max() < 2 * np.abs(q(all_of_it)).max()
        # that of -A is flat too, and to the left of 0
        other, mirrored = convolution_spectrum(-kernel, grid).outline, ResidualPolynomial(-q.roots)
        assert np.abs(mirrored(other)).max() == pytest.approx(np.abs(q(outline)).max(), rel=1e-3)


def test_minimax_says_what_it_lacks():
    """Eight roots on a level of four eigenvalues right of 0 (here, with this seed): they surround
    nothing."""
    torch.manual_seed(0)
    block = nets.PolynomialBlock(
        1, ["linear"] * 8, start="minimax", operator="shifted", start_size=(2, 2)
    )
    (why, *_) = block.report.reasons
    assert "vanishes on the 4 points" in why
    assert "surround" not in why
