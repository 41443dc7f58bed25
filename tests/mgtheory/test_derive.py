"""derive: every source a family can use, the JSON chain, and refusals."""

import json

import numpy as np
import pytest
import scipy.sparse as sp

import mgtheory
from mgtheory import InitialCoefficients, derive
from mgtheory.families import FAMILIES
from mgtheory.polynomials.gmres import gmres_polynomial
from mgtheory.polynomials.scores import gamma
from mgtheory.problems.problem import create, poisson


def test_chebyshev_from_poisson_takes_the_high_frequencies():
    problem = create("poisson2d", n=63)
    lmax = 8.0 * 64**2  # largest value of the symbol, over h^2
    start = derive("chebyshev", 3, problem=problem)
    np.testing.assert_allclose(start.interval, (lmax / 4, lmax))
    expected = lmax * (0.625 + 0.375 * np.cos(np.pi * (np.arange(1, 4) - 0.5) / 3))
    np.testing.assert_allclose(np.sort(start.roots.real), np.sort(expected), rtol=1e-13)
    assert start.provenance["source"]["problem"]["shape"] == [63, 63]


def test_relative_is_the_same_polynomial_on_the_unit_interval():
    start = derive("chebyshev4", 3, lmax=8.0)
    i = np.arange(1, 4)
    np.testing.assert_allclose(
        np.sort(start.relative.roots.real), 0.5 * (1 - np.cos(2 * np.pi * i / 7)), rtol=1e-13
    )
    t = np.linspace(0, 1, 9)
    np.testing.assert_allclose(start.relative(t), start.polynomial(8.0 * t), rtol=1e-12, atol=1e-14)


def test_every_source_of_b_gives_the_same_polynomial():
    problem = create("poisson2d", n=7)
    lmax = problem.spectrum().b
    by_lmax = derive("chebyshev4", 2, lmax=lmax)
    for other in (
        derive("chebyshev4", 2, interval=(1.0, lmax)),
        derive("chebyshev4", 2, problem=problem),
    ):
        np.testing.assert_allclose(other.roots, by_lmax.roots, rtol=1e-13)
    by_lanczos = derive("chebyshev4", 2, operator=problem.A)
    # never below, and not above the documented safety factor
    assert 1.0 <= by_lanczos.interval[1] / lmax <= 1.12


def test_harmonic_ritz_solves_like_gmres():
    A = sp.diags_array(np.array([1.0, 2.0, 4.0, 7.0]))
    b = np.ones(4)
    start = derive("harmonic_ritz", 4, operator=A, start=b)
    # four steps are exact for four eigenvalues
    np.testing.assert_allclose(A @ start.polynomial.apply(A, b), b, atol=1e-10)


@pytest.mark.parametrize(
    "family",
    [name for name, entry in FAMILIES.items() if entry.needs in ("interval", "lmax", "points")],
)
def test_json_round_trip_is_exact(family, tmp_path):
    degree = 4  # allowed in every family
    start = derive(family, degree, interval=(2.0, 8.0))
    path = tmp_path / "init.json"
    start.save(path)
    again = InitialCoefficients.load(path)
    assert again == start
    assert again.provenance == json.loads(json.dumps(start.provenance))
    assert again.provenance["formula"] == FAMILIES[family].citation
    assert again.provenance["versions"]["numpy"] == np.__version__


def test_copies_of_roots_are_recorded_and_kept(tmp_path):
    A = np.diag(np.append(np.linspace(1.0, 2.0, 58), [500.0, 1e5]))
    b = np.random.default_rng(0).standard_normal(60)
    report = gmres_polynomial(10, operator=A, start=b)
    start = derive("harmonic_ritz", 10, operator=A, start=b)
    copies = [{"root": [root.real, root.imag], "count": count} for root, count in report.copies]
    assert copies
    assert start.provenance["result"]["copies"] == copies
    assert start.provenance["degree_asked"] == 10
    assert start.degree == 10 + sum(entry["count"] for entry in copies)
    assert start.polynomial == report.polynomial
    path = tmp_path / "init.json"
    start.save(path)
    for again in (InitialCoefficients.load(path), InitialCoefficients.from_json(start.to_json())):
        assert again.provenance["result"] == start.provenance["result"]
    plain = derive("harmonic_ritz", 10, operator=A, start=b, copies=False)
    assert plain.provenance["result"] == {"copies": [], "relative_residual": report.residual_norm}
    assert plain.degree == 10


def test_searches_record_what_they_reached():
    on_points = derive("minimax", 3, points=np.linspace(1, 3, 50)).provenance["result"]
    assert on_points["converged"]
    assert on_points["lower_bound"] == pytest.approx(on_points["value"], rel=1e-8)
    two_grid = derive("two_grid_optimal", 2, problem=create("poisson1d", n=7))
    # 1/(2k + 1)^2
    assert two_grid.provenance["result"]["two_grid_factor"] == pytest.approx(1 / 25, rel=1e-3)
    assert two_grid.provenance["result"]["converged"]
    assert derive("chebyshev", 3, interval=(1, 2)).provenance["result"] == {}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_recorded_polynomial_is_that_of_the_function(family):
    sources = {
        "interval": {"interval": (2.0, 8.0)},
        "lmax": {"lmax": 8.0},
        "operator": {"operator": np.diag([1.0, 2.0, 3.0, 4.0, 5.0]), "start": np.ones(5)},
        "points": {"points": np.linspace(1, 3, 9)},
        "problem": {"problem": create("poisson1d", n=7)},
    }[family.needs]
    q, record = family.derive(4, **sources)
    assert q == family.function(4, **sources)
    assert json.loads(json.dumps(record)) == record


def test_a_flipped_sign_in_the_file_is_not_the_same_polynomial(tmp_path):
    start = derive("chebyshev", 2, interval=(2.0, 8.0))
    data = start.to_dict()
    data["polynomial"] = {"weights": [[-re, im] for re, im in data["polynomial"]["weights"]]}
    assert InitialCoefficients.from_dict(data) != start


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jacoby", 2, {"lmax": 1.0}), "family is 'jacoby', known are richardson, chebyshev"),
        (("chebyshev", 0, {"interval": (1, 2)}), "degree is 0"),
        (("chebyshev", 1000, {"interval": (1, 2)}), "degree is 1000"),
        (("chebyshev", 2.5, {"interval": (1, 2)}), "degree is 2.5"),
        (("chebyshev", 2, {}), "needs one of: interval, problem"),
        (
            ("chebyshev", 2, {"lmax": 8.0}),
            "chebyshev cannot be derived from lmax, needs one of: interval, problem",
        ),
        (
            ("chebyshev", 2, {"operator": np.eye(2)}),
            r"cannot be derived from operator, needs one of: interval, problem; .*lanczos",
        ),
        (
            ("harmonic_ritz", 2, {"interval": (1.0, 2.0)}),
            "cannot be derived from interval, needs one of: operator, problem",
        ),
        (("chebyshev", 2, {"interval": (2, 1)}), "a < b"),
        (("chebyshev", 2, {"interval": (0, 1)}), "0 < a < b"),
        (("chebyshev4", 2, {"lmax": -1.0}), "> 0"),
        (("chebyshev4", 2, {"lmax": 8.0, "shift": 1}), "unknown option 'shift'"),
        (("harmonic_ritz", 2, {"operator": np.eye(3)}), "start is missing"),
    ],
)
def test_refusals_say_what_is_allowed(arguments, message):
    family, degree, sources = arguments
    with pytest.raises(ValueError, match=message):
        derive(family, degree, **sources)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (None, FileNotFoundError, "no file"),
        ('{"kind": "initial_coef', ValueError, "truncated"),
        ('{"kind": "config"}', ValueError, "not a file of initial coefficients"),
        ("[1, 2]", ValueError, "must be an object"),
        ('{"kind": "initial_coefficients", "schema": 99}', ValueError, "schema 99"),
        ('{"kind": "initial_coefficients", "schema": 1, "degree": 2}', ValueError, "damaged"),
    ],
)
def test_a_foreign_file_is_refused(text, error, message, tmp_path):
    path = tmp_path / "init.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=message):
        InitialCoefficients.load(path)


def test_one_name_for_each_public_object():
    assert all(hasattr(mgtheory, name) for name in mgtheory.__all__)


def test_harmonic_ritz_of_a_problem_is_a_smoother():
    """Its start holds every frequency, as errors do before smoothing; the model problem's smooth
    right-hand side gave |q| = 520."""
    problem = poisson((63, 63))
    start = derive("harmonic_ritz", 3, problem=problem)
    assert "default_rng(0)" in str(start.provenance)
    assert gamma(start.relative) < 0.1
    np.testing.assert_allclose(start.roots, derive("harmonic_ritz", 3, problem=problem).roots)
