"""The start of a network: every scheme on every model and placement, the rules of scaling,
provenance, refusals."""

import copy
import json
from functools import cache

import numpy as np
import pytest
import torch

import nets
from mgtheory import derive, poisson
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.models.placements import PLACEMENTS
from nets.start.report import InitReport, roots_at_guard
from nets.start.schemes import list_schemes
from nets.start.spectrum import convolution_spectrum

SCHEMES = list_schemes()
# degrees 4, 7, 10; no polynomial for A^2
REFUSED = {"mls": ("q2", "g4", "g6", "g8", "p3"), "two_grid_optimal": ("g4", "g6", "g8")}


@pytest.fixture(scope="module")
def init_file(tmp_path_factory):
    def write(degree, family="chebyshev4", of=8.0):
        path = tmp_path_factory.mktemp("init") / "init.json"
        derive(family, degree, of).save(path)
        return f"file:{path}"

    return write


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_model_and_placement_starts_finite(started, scheme):
    """Finite loss and gradients at the placements that suit the factors; a scheme that cannot serve
    a model says why.

    Every second placement of a model, by turns: each meets every scheme and every model. All of
    them where a scheme serves few models.
    """
    x, y = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(4)
    served, every = 0, 1 if scheme in REFUSED else 2
    for turn, (name, operator) in enumerate(
        zip(("q2", "g4", "g6", "g8", "r4", "p3"), ("random", "laplacian", "shifted") * 2),
        start=list(SCHEMES).index(scheme),
    ):
        if name in REFUSED.get(scheme, ()):
            with pytest.raises(ValueError, match=r"allows|A\^2"):
                started(name, scheme, operator=operator)
            continue
        model, report = started(name, scheme, operator=operator, model_options={"width": 2})
        served += 1
        state = model.state_dict()
        for placement in list(PLACEMENTS)[turn % every :: every]:
            if PLACEMENTS[placement].is_quadratic and name in ("q2", "p3"):
                continue
            placed = placed_model(name, placement)
            placed.load_state_dict(state, strict=False)
            placed.zero_grad()
            loss = torch.nn.functional.cross_entropy(placed(x), y)
            loss.backward()
            assert torch.isfinite(loss), (name, placement)
            assert all(torch.isfinite(p.grad).all() for p in placed.parameters()), (name, placement)
        assert all(level.max_modulus > 0 for level in report.levels)
    assert served >= 1


@cache
def placed_model(name, placement):
    return nets.create_model(name, width=2, levels=2, placement=placement)


@pytest.mark.parametrize("family", ["chebyshev", "chebyshev4", "chebyshev4_opt"])
def test_scaling_by_the_spectral_radius(started, family):
    """Linear steps: the family on (0, 1], lower end 1/4, times b of the level's own A: of twice the
    Laplacian / 8 it is 2 on a periodic grid, 2 cos(pi / (2n + 2))^2 on n x n points."""
    for padding, grids, radii in (
        ("periodic", [(16, 16)] * 2, [2.0, 2.0]),
        ("applied", [(8, 8), (4, 4)], [2 * np.cos(np.pi / (2 * n + 2)) ** 2 for n in (8, 4)]),
    ):
        check_scaling(started, family, padding, grids, radii)


def check_scaling(started, family, padding, grids, radii):
    model, report = started(
        "q2", family, operator="laplacian", small=0.0, scale=2.0, padding=padding
    )
    relative = derive(family, 2, (0.25, 1.0)).roots.real
    for level, described, grid, b in zip(model.levels, report.levels, grids, radii):
        expected = b * relative
        # float32, Leja order
        np.testing.assert_allclose(
            [1 / step.factor().w for step in level.steps], expected, rtol=1e-6
        )
        assert described.radius == pytest.approx(b, rel=1e-6)
        assert described.grid == grid
        assert described.padding == {"applied": "zero"}.get(padding, padding)
        np.testing.assert_allclose(described.roots.real, expected, rtol=1e-6)
        assert not described.fitted


def test_known_smoothing_factors(started):
    """On a pure Laplacian Chebyshev on [b/4, b] of degree 2 and the fourth kind have the oracles
    0.2195 and 1/4.

    The first is taken at the ends of the interval, which are frequencies of the grid; the second
    between two of them.
    """
    for scheme, mu, rounding in (
        ("chebyshev", 1 / np.polynomial.chebyshev.Chebyshev([0, 0, 1])(5 / 3), 1e-5),
        ("chebyshev4", 0.25, 2e-3),
    ):
        _, report = started("q2", scheme, operator="laplacian", small=0.0, padding="periodic")
        assert report.levels[0].smoothing_factor == pytest.approx(mu, rel=rounding)
        # q(0) = 1 at the eigenvalue 0
        assert report.levels[0].max_modulus == pytest.approx(1.0, abs=1e-6)


def test_reported_modulus_is_that_of_the_true_spectrum(started):
    model, report = started("g6", "chebyshev", operator="shifted")
    for level, described in zip(model.levels, report.levels):
        values = np.linalg.eigvals(matrix_of(level.A, described.grid))
        assert described.radius == pytest.approx(np.abs(values).max(), rel=1e-6)
        assert described.max_modulus == pytest.approx(
            np.abs(level.polynomial()(values)).max(), rel=1e-5
        )
    _, random = started("q2", "chebyshev4", operator="random")
    # a disc around 0: no q is a smoother there
    assert all(level.max_modulus > 1 for level in random.levels)


def matrix_of(module, grid):
    """The module that the network calls, on unit vectors."""
    n = module.in_channels * grid[0] * grid[1]
    double = copy.deepcopy(module).double()
    with torch.no_grad():
        columns = double(torch.eye(n, dtype=torch.float64).reshape(n, -1, *grid))
    return columns.reshape(n, n).T.numpy()


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("q2", (8, 8), {"levels": 4}),  # to 1 x 1
        ("g6", (11, 7), {"levels": 3}),
        ("q2", (7, 5), {"groups": 2}),
        ("r4", (8, 8), {"kernel_size": 5, "levels": 3}),
        ("p3", (6, 6), {"padding_mode": "circular"}),
    ],
)
@pytest.mark.parametrize("operator", ["random", "laplacian", "shifted"])
def test_reported_numbers_are_those_of_what_the_network_applies(
    started, name, size, options, operator
):
    """b and max |q| of the matrix of the very operation that a forward pass does, on its grid."""
    model, report = started(name, "chebyshev4", operator=operator, size=size, model_options=options)
    seen = {}
    for level in model.levels:

        def keep(module, given, result):
            seen.setdefault(module, (given[0], result))

        level.A.register_forward_hook(keep)
    model.eval()
    with torch.no_grad():
        model(torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(3)))
    for level, described in zip(model.levels, report.levels):
        given, result = seen[level.A]
        assert described.grid == tuple(given.shape[-2:])
        matrix = matrix_of(level.A, described.grid)
        np.testing.assert_allclose(
            matrix @ given.double().reshape(-1).numpy(),
            result.reshape(-1).numpy(),
            atol=1e-5 * float(result.abs().max()),
        )
        values = np.linalg.eigvals(matrix)
        assert described.radius == pytest.approx(np.abs(values).max(), rel=1e-6)
        assert described.max_modulus == pytest.approx(
            np.abs(level.polynomial()(values)).max(), rel=1e-4
        )
        if operator == "shifted":
            assert values.real.min() > 0


def test_start_on_digits_by_the_true_radius(started):
    """What a start scaled by the periodic radius has on 8 x 8 images, and what it reported."""
    options = {"width": 8, "levels": 4, "in_channels": 1}

    def start(padding, operator="laplacian"):
        return started(
            "q2", "chebyshev4", operator=operator, padding=padding, model_options=options
        )

    model, periodic = start("periodic")
    true = {
        i: convolution_spectrum(
            model.levels[i - 1].A.weight.detach().double().numpy(), (16 // 2**i, 16 // 2**i)
        ).max_modulus(model.levels[i - 1].polynomial())
        for i in (2, 4)
    }
    assert true[2] == pytest.approx(0.80, abs=0.005)
    assert true[4] == pytest.approx(0.19, abs=0.005)
    assert periodic.levels[1].max_modulus == pytest.approx(1.21, abs=0.005)
    assert periodic.levels[3].max_modulus == pytest.approx(1.20, abs=0.005)
    _, applied = start("applied")
    assert [level.grid for level in applied.levels] == [(8, 8), (4, 4), (2, 2), (1, 1)]
    # the fourth kind of degree 2 has mu = 1/4 on a Laplacian, and 1/5 at b alone
    assert [level.smoothing_factor for level in applied.levels] == pytest.approx(
        [0.25, 0.25, 0.25, 0.2], abs=0.006
    )
    assert applied.levels[3].max_modulus == pytest.approx(0.2, abs=1e-6)
    (*_, used), (*_, right) = (start(p, "random")[1].levels for p in ("periodic", "applied"))
    assert used.radius == pytest.approx(0.71, abs=0.005)
    assert right.radius == pytest.approx(0.19, abs=0.005)


def test_padding_is_checked(started):
    with pytest.raises(ValueError, match="applied"):
        started("q2", padding="zeros")


@pytest.mark.parametrize("scheme", ["xavier", "abs_xavier"])
def test_published_start(started, scheme):
    """Roots within ±sqrt(3/c), none nearer to 0 than a hundredth of it; both signs, or the same
    sizes and positive."""
    draws = [started("q8", scheme, seed=seed) for seed in range(12)]
    for i, width in enumerate((4, 8)):
        w = np.array([step.factor().w for model, _ in draws for step in model.levels[i].steps])
        limit = (3 / width) ** 0.5
        assert (np.abs(1 / w) <= limit * (1 + 1e-6)).all()
        assert (np.abs(1 / w) >= 0.01 * limit * (1 - 1e-6)).all()
        assert (w > 0).all() == (scheme == "abs_xavier")
        assert np.abs(1 / w).mean() == pytest.approx(limit / 2, rel=0.25)  # uniform; 96 draws
    signed, positive = (
        started("q2", s)[0].levels[0].polynomial().roots for s in ("xavier", "abs_xavier")
    )
    np.testing.assert_allclose(np.sort(np.abs(signed)), np.sort(positive.real), rtol=1e-6)


def test_published_complex_pair_is_the_reciprocal(started):
    """The published code stores 1/v and takes a = |1/v|."""
    pair = started("g6", "xavier")[0].levels[0].steps[2].factor()
    root = pair.roots[0]
    assert root.real >= (4 / 3) ** 0.5
    assert root.imag == pytest.approx(0.01 * root.real, rel=1e-5)


def test_constant_and_uniform(started):
    model, _ = started("q2", "constant:value=0.5")
    assert [step.factor().w for step in model.levels[0].steps] == [2.0, 2.0]
    model, _ = started("q8", "uniform:a=2,b=3")
    assert all(1 / 3 <= step.factor().w <= 1 / 2 for step in model.levels[1].steps)


def test_file_scheme(started, init_file):
    source = init_file(2, family="chebyshev", of=(2.0, 8.0))
    pure = {"operator": "laplacian", "small": 0.0, "padding": "periodic"}
    model, report = started("q2", source, **pure)
    np.testing.assert_allclose(
        model.levels[0].polynomial().roots,
        derive("chebyshev", 2, (0.25, 1.0)).roots,
        rtol=1e-6,
    )
    assert report.sources[0].interval == (2.0, 8.0)
    assert report.levels[0].lower == pytest.approx(0.25)
    assert report.to_dict()["source"]["family"] == "chebyshev"
    model, pairs = started("g4", source, scale=3.0, **pure)
    assert "A^2" in pairs.levels[0].reasons[0]
    kappas = [step.factor().kappa for step in model.levels[0].steps]
    # the relative roots, times b^2
    expected = 1 / (9.0 * derive("chebyshev", 2, (0.25, 1.0)).roots.real)
    np.testing.assert_allclose(sorted(kappas), sorted(expected), rtol=1e-6)
    for name in ("p3", "g8"):
        with pytest.raises(ValueError, match="have degree 2, the level needs degree 3"):
            started(name, source)


def test_shared_coefficients_are_started_once(started):
    model, report = started(
        "q3",
        "chebyshev4",
        model_options={"coefficients": "level"},
        operator="laplacian",
        small=0.0,
        padding="periodic",
    )
    # fourth kind, degree 1: root 3/4
    assert [step.factor().w for step in model.levels[0].steps] == pytest.approx([4 / 3] * 3)
    assert len(report.levels[0].factors) == 3


def test_report_round_trip_and_repetition(started):
    (a, first), (b, second) = (
        started("g6", "chebyshev:lower=0.1", operator="laplacian", small=0.2) for _ in range(2)
    )
    assert (
        InitReport.from_dict(json.loads(first.to_json())).to_json()
        == first.to_json()
        == second.to_json()
    )
    assert all(
        torch.equal(p, q)
        for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )
    assert first.options == {"lower": 0.1, "small": 0.2}
    assert first.to_dict()["model"] == {"name": "g6", "overrides": {"width": 4, "levels": 2}}
    for broken in ({}, {"kind": "start", "schema": 2}, {**first.to_dict(), "levels": [{}]}):
        with pytest.raises(ValueError, match=r"start|damaged"):
            InitReport.from_dict(broken)


def test_a_report_of_the_first_schema_is_read(started):
    """It said nothing of padding, which was periodic."""
    _, report = started("g6", "chebyshev", operator="laplacian", padding="periodic")
    document = report.to_dict() | {"schema": 1}
    for level in document["levels"]:
        assert level.pop("padding") == "periodic"
        assert level.pop("found").endswith("symbols")
        assert level.pop("error") == 1e-9
    assert InitReport.from_dict(json.loads(json.dumps(document))) == report


def test_roots_at_guard_are_reported(started):
    model, report = started("g6", "chebyshev4", operator="laplacian")
    assert roots_at_guard(model, report) == []
    with torch.no_grad():
        model.levels[1].steps[0].coefficients.kappa.neg_()
    (event,) = roots_at_guard(model, report)
    assert (event["level"], event["step"], event["kind"]) == (2, 1, "symmetric_pair")
    assert "sign" in event["message"]


def test_models_without_coefficients(started):
    for name in ("mgnet", "resnet20"):
        _, report = started(name, "none")
        assert all(level.factors == () for level in report.levels)
        for scheme in ("bounded", "xavier", "chebyshev4", "bounded:features=0.6"):
            with pytest.raises(ValueError, match="has none; use none"):
                started(name, scheme)
    _, report = started("mgnet", "none", operator="laplacian", small=0.0, padding="periodic")
    assert report.levels[0].radius == pytest.approx(1.0)
    with pytest.raises(ValueError, match="multigrid levels"):
        started("resnet20", "none", operator="laplacian")
    kept = nets.create_model("q2", width=4)
    before = ResidualPolynomial.from_factors([kept.levels[0].steps[0].factor()])
    nets.initialise(kept, "none", size=(8, 8))
    assert ResidualPolynomial.from_factors([kept.levels[0].steps[0].factor()]) == before


@pytest.mark.parametrize(
    ("scheme", "options", "message"),
    [
        ("chebychev", {}, "known are: xavier"),
        ("chebyshev:lower", {}, "is not key=value"),
        ("chebyshev:lower=2", {}, "between 0 and 1"),
        ("chebyshev4:upper=2", {}, "upper"),
        ("xavier:lower=0.1", {}, "unknown option 'lower'"),
        ("uniform:a=2,b=1", {}, "a < b"),
        ("constant:value=0", {}, "not 0"),
        ("mls", {}, "3d . 1"),
        ("chebyshev4", {"operator": "laplace"}, "random, laplacian"),
        ("chebyshev4", {"size": (0, 8)}, "height, width"),
        ("chebyshev4", {"operator": "shifted", "small": 1.0}, "small"),
    ],
)
def test_bad_input(started, scheme, options, message):
    with pytest.raises(ValueError, match=message):
        started("q2", scheme, **options)


def test_what_derive_returns_is_a_scheme_as_its_file_is(started, tmp_path):
    """The same coefficients on every level."""
    start = derive("chebyshev4", 2, poisson((127, 127)))
    start.save(tmp_path / "init.json")
    (model, report), (twin, _) = (
        started("q2", scheme) for scheme in (start, f"file:{tmp_path / 'init.json'}")
    )
    for level, other in zip(model.levels, twin.levels):
        assert level.polynomial().roots.tolist() == other.polynomial().roots.tolist()
    assert report.scheme == "derived chebyshev4"


def test_a_wrapped_network_is_not_called_one_without_coefficients():
    model = nets.create_model("q2", width=4, levels=2)
    for wrapped in (torch.compile(model, backend="eager"), torch.nn.DataParallel(model)):
        with pytest.raises(ValueError, match="initialise that one, before it is compiled or wrap"):
            nets.initialise(wrapped, size=(8, 8))


def test_missing_file(started):
    with pytest.raises(FileNotFoundError):
        started("q2", "file:nowhere.json")


def test_a_file_may_lie_at_home(started, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    derive("chebyshev4", 2, 8.0).save(tmp_path / "init.json")
    model, _ = started("q2", "file:~/init.json")
    assert model.levels[0].polynomial().degree == 2


def test_default_start_is_one(tmp_path):
    """The same at every door: the function, a configuration, the digits recipe; a layer, which
    does not know what is read at the end, and the published recipe keep their own."""
    import inspect

    from nets.settings import DEFAULT_SCHEME as DEFAULT
    from nets.settings import InitSection

    assert DEFAULT == "bounded:features=0.6"
    assert inspect.signature(nets.initialise).parameters["scheme"].default == DEFAULT
    assert inspect.signature(nets.PolynomialBlock).parameters["start"].default == "bounded"
    assert InitSection().scheme == DEFAULT
    assert nets.load_config("digits", []).init.scheme == DEFAULT
    assert nets.load_config("paper", []).init.scheme == "xavier"
    model = nets.create_model("q4", width=4, levels=1, placement="plain")
    report = nets.initialise(model, size=(4, 4))
    assert report.features == pytest.approx(0.6, rel=0.03)
    M = report.options["amplification"]
    roots = report.levels[0].radius / (M ** (1 / 4) - 1)
    assert model.levels[0].polynomial().roots == pytest.approx([roots] * 4, rel=1e-5)


@pytest.mark.parametrize("given", ["file:", "file: "])
def test_a_file_without_a_path_is_told_how_to_write_it(given):
    """Not that the current folder is a folder."""
    model = nets.create_model("q2", width=2, levels=1)
    with pytest.raises(ValueError, match=r"file: has no path behind it; write file:init\.json"):
        nets.initialise(model, given, size=(8, 8))
