"""derive: every source a family can use, what is recorded of it, and refusals."""

import json

import numpy as np
import pytest
import scipy.sparse as sp

import mgtheory
from mgtheory import InitialCoefficients, derive
from mgtheory.families import FAMILIES, NEEDS
from mgtheory.polynomials.gmres import gmres_polynomial
from mgtheory.polynomials.minimax import minimax_report
from mgtheory.polynomials.scores import gamma
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.record import operator_record


def test_chebyshev_from_poisson_takes_the_high_frequencies():
    problem = create("poisson2d", n=63)
    lmax = 8.0 * 64**2  # largest value of the symbol, over h^2
    start = derive("chebyshev", 3, problem)
    np.testing.assert_allclose(start.interval, (lmax / 4, lmax))
    expected = lmax * (0.625 + 0.375 * np.cos(np.pi * (np.arange(1, 4) - 0.5) / 3))
    np.testing.assert_allclose(np.sort(start.roots.real), np.sort(expected), rtol=1e-13)
    assert start.operator.grid == (63, 63)
    assert start.operator.name == "poisson2d, 63 x 63, dirichlet"


def test_relative_is_the_same_polynomial_on_the_unit_interval():
    start = derive("chebyshev4", 3, 8.0)
    i = np.arange(1, 4)
    np.testing.assert_allclose(
        np.sort(start.relative.roots.real), 0.5 * (1 - np.cos(2 * np.pi * i / 7)), rtol=1e-13
    )
    t = np.linspace(0, 1, 9)
    np.testing.assert_allclose(start.relative(t), start.polynomial(8.0 * t), rtol=1e-12, atol=1e-14)


def test_every_source_of_b_gives_the_same_polynomial():
    problem = create("poisson2d", n=7)
    lmax = 8.0 * 8**2  # of the symbol; the largest eigenvalue on 7 x 7 is 4 % below it
    by_lmax = derive("chebyshev4", 2, lmax)
    for other in (
        derive("chebyshev4", 2, (1.0, lmax)),
        derive("chebyshev4", 2, problem),
    ):
        np.testing.assert_allclose(other.roots, by_lmax.roots, rtol=1e-13)
    by_lanczos = derive("chebyshev4", 2, problem.A)
    # never below the largest eigenvalue, and not above the documented safety factor
    assert 1.0 <= by_lanczos.interval[1] / problem.spectrum().b <= 1.12


def test_harmonic_ritz_solves_like_gmres():
    A = sp.diags_array(np.array([1.0, 2.0, 4.0, 7.0]))
    b = np.ones(4)
    start = derive("harmonic_ritz", 4, A, start=b)
    # four steps are exact for four eigenvalues
    np.testing.assert_allclose(A @ start.polynomial.apply(A, b), b, atol=1e-10)


def test_copies_of_roots_are_recorded_and_kept(tmp_path):
    A = np.diag(np.append(np.linspace(1.0, 2.0, 58), [500.0, 1e5]))
    b = np.random.default_rng(0).standard_normal(60)
    report = gmres_polynomial(10, operator=A, start=b)
    start = derive("harmonic_ritz", 10, A, start=b)
    copies = [{"root": [root.real, root.imag], "count": count} for root, count in report.copies]
    assert copies
    assert start.provenance["result"]["copies"] == copies
    assert start.provenance["degree_asked"] == 10
    assert start.provenance["start"] == "given"
    assert start.degree == 10 + sum(entry["count"] for entry in copies)
    assert start.polynomial == report.polynomial
    path = tmp_path / "init.json"
    start.save(path)
    for again in (InitialCoefficients.load(path), InitialCoefficients.from_json(start.to_json())):
        assert again.provenance["result"] == start.provenance["result"]
    plain = derive("harmonic_ritz", 10, A, start=b, copies=False)
    assert plain.provenance["result"] == {"copies": [], "relative_residual": report.residual_norm}
    assert plain.degree == 10


def test_searches_record_what_they_reached():
    on_points = derive("minimax", 3, np.linspace(1, 3, 50)).provenance["result"]
    assert on_points["converged"]
    assert on_points["lower_bound"] == pytest.approx(on_points["value"], rel=1e-8)
    report = minimax_report(3, points=np.linspace(1, 3, 50))
    assert (on_points["value"], on_points["lower_bound"]) == (report.value, report.lower)
    assert report.lower < report.value
    two_grid = derive("two_grid_optimal", 2, create("poisson1d", n=7))
    # 1/(2k + 1)^2
    assert two_grid.provenance["result"]["two_grid_factor"] == pytest.approx(1 / 25, rel=1e-3)
    assert two_grid.provenance["result"]["converged"]
    assert derive("chebyshev", 3, (1, 2)).provenance["result"] == {}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_recorded_polynomial_is_that_of_the_function(family):
    of = {
        "interval": (2.0, 8.0),
        "lmax": 8.0,
        "operator": np.diag([1.0, 2.0, 3.0, 4.0, 5.0]),
        "points": np.linspace(1, 3, 9),
        "problem": create("poisson1d", n=7),
        "radius": 8.0,
    }[family.needs]
    record = operator_record(of)
    q, came_about = family.on(4, record)
    arguments = NEEDS[family.needs].arguments(record)
    assert q == family.function(4, **arguments)
    assert q.operator.upper == record.upper
    assert json.loads(json.dumps(came_about)) == came_about


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jacoby", 2, 1.0), "family is 'jacoby', known are richardson, chebyshev"),
        (("chebyshev", 0, (1, 2)), "degree is 0"),
        (("chebyshev", 1000, (1, 2)), "degree is 1000"),
        (("chebyshev", 2.5, (1, 2)), "degree is 2.5"),
        (("chebyshev", 2, None), "a NoneType is no operator; .* a Problem, a Stencil"),
        (
            ("chebyshev", 2, 8.0),
            r"derived from a spectrum in \(0, 8\].* needs .*\(a, b\)",
        ),
        (
            ("chebyshev", 2, np.diag([1.0, 2.0])),
            "derived from a matrix .* needs .* interval",
        ),
        (
            ("harmonic_ritz", 2, (1.0, 2.0)),
            r"derived from a spectrum in \[1, 2\].* matrix",
        ),
        (("two_grid_optimal", 2, (1.0, 2.0)), "needs a Problem with constant coefficients"),
        (("two_grid_optimal", 2, create("jump2d", n=7)), "needs a Problem with constant coeff"),
        (("chebyshev", 2, (2, 1)), "a < b"),
        (("chebyshev", 2, (0, 1)), "0 < a < b"),
        (("chebyshev4", 2, -1.0), "a < b"),
        *(
            ((family, 2, np.array([1.0, 2.0, 2.0 + 1j, 2.0 - 1j])), "be derived from 4 points")
            for family in ("chebyshev4", "chebyshev", "richardson")
        ),
        (
            ("chebyshev4", 2, sp.csr_array([[2.0, -1.0], [0.0, 2.0]])),
            "a symmetric positive matrix; of any matrix: harmonic_ritz",
        ),
        (
            ("chebyshev4", 2, sp.csr_array([[2.0, 1j], [1j, 2.0]])),
            "; of a complex one: bounded, or minimax of points of its spectrum",
        ),
        (("bounded", 2, sp.eye_array(3, dtype=np.longdouble)), "up to complex128"),
        (("chebyshev4", 2, "poisson2d"), "a str is no operator"),
    ],
)
def test_refusals_say_what_is_allowed(arguments, message):
    with pytest.raises(ValueError, match=message):
        derive(*arguments)


def test_an_unknown_option_is_refused():
    with pytest.raises(ValueError, match="unknown option 'shift'"):
        derive("chebyshev4", 2, 8.0, shift=1)


def test_a_level_of_a_network_is_no_operator_without_its_grid():
    with pytest.raises(ValueError, match=r"operator_spectra\(\[level.A\], \[grid\]\)"):
        derive("chebyshev4", 2, type("Level", (), {})())


def test_one_name_for_each_public_object():
    assert all(hasattr(mgtheory, name) for name in mgtheory.__all__)


def test_harmonic_ritz_of_a_problem_is_a_smoother():
    """Its start holds every frequency, as errors do before smoothing; the model problem's smooth
    right-hand side gave |q| = 520."""
    problem = poisson((63, 63))
    start = derive("harmonic_ritz", 3, problem)
    assert "default_rng(0)" in str(start.provenance)
    assert gamma(start.relative) < 0.1
    np.testing.assert_allclose(start.roots, derive("harmonic_ritz", 3, problem).roots)


def test_krylov_families_take_ba_and_a_start_beside_the_nullspace():
    problem = create("jump2d", n=8, boundary="neumann")
    record = operator_record(problem)
    assert record.scaling == "diagonal"
    given = NEEDS["operator"].arguments(record)
    x = np.random.default_rng(1).standard_normal(64)
    A, D = problem.A, problem.A.diagonal()
    np.testing.assert_allclose(given["operator"] @ x, (A @ x) / D, rtol=1e-12, atol=1e-12)
    assert abs(given["start"].mean()) < 1e-15
    assert given["start"].std() > 0.5


def test_options_without_a_value_are_not_recorded():
    found = derive("two_grid_optimal", 1, create("poisson1d", n=7), coarsening=None, pre=2)
    assert found.provenance["options"] == {"pre": 2}


@pytest.mark.parametrize("family", ["chebyshev4", "mls", "bounded"])
def test_a_spectrum_above_the_doubles_is_refused(family):
    """Before a formula overflows, which a warning would tell of."""
    for b in (1e301, 1.7e308):
        with pytest.raises(ValueError, match=r"allowed are 1e-300 to 1e\+300: scale"):
            derive(family, 4, b)
    assert derive("chebyshev4", 256, 1e300).polynomial.roots.real.max() < 1e300


def test_a_spectrum_below_the_doubles_is_refused():
    with pytest.raises(ValueError, match="upper end is 1e-310, allowed are 1e-300 to"):
        derive("chebyshev4", 3, 1e-310)
    assert derive("chebyshev4", 3, 1e-299).polynomial.roots.real.max() < 1e-299
