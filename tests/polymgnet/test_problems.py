"""Problems with numbers of their own, by name on the command line."""

import pytest

import mgtheory
from mgtheory.families import high_symbol
from mgtheory.problems.catalogue import create
from mgtheory.problems.record import operator_record
from polymgnet import backends

WIND = "convection2d:peclet=1000,angle=45"


def test_derive_scores_a_wind_on_its_symbol(document, run):
    """max |q| on the high frequencies, and no gamma; the file says which problem it is for."""
    words = ("derive", "--family", "minimax", "--degree", 2, "--problem", WIND, "--n", 31)
    found = document(*words)
    values = high_symbol(operator_record(create(WIND, 31)))
    q = mgtheory.derive("minimax", 2, create(WIND, 31)).polynomial
    assert found["gamma"] is None
    assert found["points"]["largest_q"] == pytest.approx(abs(q(values)).max())
    assert found["operator"]["name"].startswith(WIND)
    assert "max |q|" in run(*words).out


@pytest.mark.parametrize(
    ("problem", "rule"), [(WIND, "rediscretise"), ("rotated2d:angle=20", "galerkin")]
)
def test_lfa_analyses_the_cycle_that_solve_runs(document, problem, rule):
    words = ("lfa", "--problem", problem, "--n", 16, "--family", "minimax", "--degree", 2)
    found = document(*words, "--verify")
    assert found["coarsening"] == rule
    assert found["verification"]["agree"]
    assert found["two_grid_factor"] < 0.5


def test_by_default_the_smoother_of_a_wind_is_said_predicted_and_analysed(document):
    """Where A is not symmetric it is another one, in its name, its factor and its analysis."""
    of = ("--problem", "convection2d:peclet=1e5", "--n", 16, "--boundary", "periodic")
    found = document("solve", *of)
    assert found["converged"]
    assert not found["warnings"]
    assert (found["family"], found["degree"], found["degree_grows"]) == ("harmonic_ritz", 3, True)
    analysed = document("lfa", *of[:4])
    assert (analysed["family"], analysed["degree"]) == ("harmonic_ritz", 3)
    problem = create(of[1], 16, boundary="periodic")
    label, q = backends.smoothing_of(mgtheory.Hierarchy.build(problem), "chebyshev", None)
    assert (label, q.degree) == ("harmonic_ritz", 3)
    factor = backends.predicted_factor(problem, q, pre=1, post=1, backend="sparse")
    assert factor == pytest.approx(analysed["two_grid_factor"], rel=1e-6)
    assert factor < 0.6
    own = document("solve", *of, "--degree", 2)
    assert (own["family"], own["degree"], own["degree_grows"]) == ("harmonic_ritz", 2, False)
    plain = document("solve", "--n", 15, "--degree", 3)
    assert (plain["family"], plain["degree"], plain["degree_grows"]) == ("chebyshev", 3, False)


def test_solve_and_compare_take_them(document):
    found = document("solve", "--problem", "rotated2d:epsilon=0.5", "--n", 31)
    assert found["converged"]
    assert found["error"] < 0.01
    words = ("--family", "minimax", "--degrees", 2, "--repeats", 1)
    table = document("compare-smoothers", "--problem", WIND, "--n", 15, *words)
    row = table["rows"][0]
    assert row["measured_factor"] < row["two_grid_factor"] < 0.5
    assert row["gamma"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--problem", "rotated2d:eps=1"),
            "unknown parameter of rotated2d 'eps', known are: epsil",
        ),
        (("--problem", "convection2d", "--boundary", "neumann"), "dirichlet or periodic"),
        (("--problem", "convection2d", "--backend", "torch"), "a stencil that is uneven"),
        (("--problem", "rotated2d", "--backend", "stencil"), "even along every axis"),
    ],
)
def test_what_they_do_not_have_is_refused(refused, words, said):
    assert said in refused("solve", "--n", "15", *words)


def test_help_shows_how_their_numbers_are_given(run):
    assert "rotated2d:epsilon=0.01,angle=30" in run("solve", "--help").out.replace("\n", "")
