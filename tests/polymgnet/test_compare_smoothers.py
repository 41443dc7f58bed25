"""compare-smoothers: predicted and measured rows, bounds, axes and refusals."""

import math

import numpy as np
import pytest

from mgtheory.comparison import approximation
from mgtheory.families import FAMILIES
from mgtheory.problems.problem import Problem

SMALL = ("--problem", "poisson2d", "--n", "31")


@pytest.fixture
def polynomials_alone(monkeypatch):
    """compare-smoothers without the classical smoothers, whose rows take most of its time."""
    monkeypatch.setattr("mgtheory.comparison.compare.SMOOTHERS", {})


def test_compare_smoothers(document):
    data = document("compare-smoothers", *SMALL, "--degrees", "1,3", "--repeats", 1)
    rows = {(row["family"], row["degree"]): row for row in data["rows"]}
    assert {family for family, _ in rows} >= set(FAMILIES) | {"jacobi", "gauss_seidel", "red_black"}
    chebyshev = rows["chebyshev", 3]
    assert chebyshev["smoothing_factor"] == pytest.approx(0.0740, abs=1e-4)
    assert 1 / rows["chebyshev4", 3]["gamma"] == pytest.approx(16.0)
    assert rows["jacobi", 1]["two_grid_factor"] == pytest.approx(0.36, abs=1e-6)
    assert chebyshev["measured_factor"] < chebyshev["bound"] < 1
    assert "3d + 1" in rows["mls", 3]["refused"]
    for row in rows.values():
        assert row["refused"] or row["seconds_per_digit"] == pytest.approx(
            row["seconds_per_cycle"] / -math.log10(row["measured_factor"])
        )
    assert data["winner"]["seconds_per_digit"] == min(
        row["seconds_per_digit"] for row in rows.values() if not row["refused"]
    )
    assert any(
        "degree 3: chebyshev4_opt loses in two-grid factor" in line
        for line in data["optimised_fourth_kind_loses"]
    )


def test_compare_smoothers_says_what_the_bound_is(run):
    """Which C, and of which norm, under the table and in the help; nothing of it where there is no
    bound."""
    words = ("compare-smoothers", *SMALL, "--degrees", 1, "--family", "chebyshev4", "--repeats", 1)
    out = run(*words).out
    assert "C/(C + 1/gamma) with C = 4, the approximation constant" in out
    assert "energy norm" in out
    assert "C = " not in run(*words, "--pre", 2).out
    text = " ".join(run("compare-smoothers", "--help").out.replace("│", " ").split())
    assert "C / (C + 1/gamma) holds for the energy norm of the error" in text
    assert "4 for the 5-point stencil" in text


def test_compare_smoothers_takes_the_coarse_operator(polynomials_alone, document):
    """Chebyshev of degree 2: two-grid factor 0.1207 rediscretised, 0.0867 with Galerkin."""
    found = {}
    for rule in ("rediscretise", "galerkin"):
        data = document(
            "compare-smoothers",
            *SMALL,
            "--degrees",
            2,
            "--family",
            "chebyshev",
            "--repeats",
            1,
            "--coarsening",
            rule,
        )
        found[rule] = data["rows"][0]
    assert found["rediscretise"]["two_grid_factor"] == pytest.approx(0.1207, abs=1e-4)
    assert found["galerkin"]["two_grid_factor"] == pytest.approx(0.0867, abs=1e-4)
    assert found["galerkin"]["measured_factor"] < 0.8 * found["rediscretise"]["measured_factor"]


def test_compare_smoothers_measures_nothing(run):
    """No table without a row: the reasons, and exit status 1."""
    result = run(
        "compare-smoothers",
        *SMALL,
        "--degrees",
        1,
        "--family",
        "chebyshev4",
        "--repeats",
        1,
        "--n",
        2,
    )
    assert result.status == 1
    assert "two-grid" not in result.out
    assert result.out.count("left out: ") == 5  # the polynomial and the four of SMOOTHERS
    assert "one cycle" in result.err


def test_compare_smoothers_bound(polynomials_alone, document):
    """C = 2 in 1D and for the finite elements, 4 for the 5-point stencil; bound = C/(C + 1/gamma)
    with 1/gamma = 8/3."""
    for problem, constant in (("poisson1d", 2), ("poisson2d-q1", 2), ("poisson2d", 4)):
        words = (
            "--problem",
            problem,
            "--n",
            127,
            "--degrees",
            1,
            "--family",
            "chebyshev4",
            "--repeats",
            1,
        )
        data = document("compare-smoothers", *words)
        assert data["approximation_constant"] == pytest.approx(constant, abs=1e-9)
        assert data["rows"][0]["bound"] == pytest.approx(constant / (constant + 8 / 3), abs=1e-6)


def test_compare_smoothers_bounds_what_is_coarsened(polynomials_alone, document):
    """-u_xx - e u_yy coarsened along both axes: C = 2 (1 + 1/e) = 202 on an infinite grid, attained
    at the harmonics (0, pi/2) and (0, -pi/2)."""
    words = ("--problem", "anisotropic2d", "--n", 15, "--degrees", 1, "--family", "chebyshev4")
    for axes, constant in (("auto", 3.8125), ("all", 202)):
        data = document(
            "compare-smoothers", *words, "--axes", axes, "--coarsening", "galerkin", "--repeats", 1
        )
        row = data["rows"][0]
        assert data["approximation_constant"] == pytest.approx(constant, abs=1e-4)
        assert row["bound"] == pytest.approx(constant / (constant + 8 / 3), abs=1e-6)
        assert row["measured_factor"] < row["bound"]


def test_constants_of_stencils_of_ones_own():
    """By the symbol, with a mass too; none where A is negative definite, indefinite or not
    symmetric."""
    laplacian = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]])
    centre, east = np.zeros((2, 3, 3))
    centre[1, 1], east[1, 0] = 1, 1
    found = {
        sign: approximation(Problem.from_stencil(taps, (15, 15)))
        for sign, taps in (
            ("plain", laplacian),
            ("mass", laplacian + 0.1 * centre),
            ("negative", -laplacian),
            ("indefinite", laplacian - 0.1 * centre),
            ("upwind", laplacian + centre - east),
        )
    }
    assert found.pop("plain") == pytest.approx(4, abs=1e-9)
    # the pair (pi/2, 0), (-pi/2, 0), both with 2 of 8, now 2.1 of 8.1
    assert found.pop("mass") == pytest.approx(8.1 / 2.1, abs=1e-9)
    assert set(found.values()) == {None}


@pytest.mark.parametrize(
    ("problem", "n", "backend"),
    [("poisson1d", 31, "sparse"), ("poisson2d", 15, "stencil"), ("poisson3d", 7, "torch")],
)
def test_compare_smoothers_on_a_small_grid(polynomials_alone, document, problem, n, backend):
    """A grid that a solver would treat directly is coarsened twice, so that there is a factor; that
    of two grids, to 30 %."""
    if backend == "stencil":
        pytest.importorskip("numba")
    words = (
        "--problem",
        problem,
        "--n",
        n,
        "--degrees",
        2,
        "--family",
        "chebyshev",
        "--repeats",
        1,
        "--backend",
        backend,
    )
    row = document("compare-smoothers", *words)["rows"][0]
    assert row["measured_factor"] == pytest.approx(row["two_grid_factor"], rel=0.3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--degrees", "4-2"), "4-2 runs downwards; write 2-4"),
        (("--degrees", "1,3-2"), "3-2 runs downwards"),
        (("--degrees", "1,1"), "each once"),
        (("--degrees", ","), "whole numbers such as"),
        (("--family", "chebyshev", "--family", "chebyshev"), "each once"),
    ],
)
def test_compare_smoothers_refuses(refused, options, words):
    assert words in refused("compare-smoothers", *SMALL, *options)


def test_compare_smoothers_without_stencil(polynomials_alone, document):
    """Variable coefficients: measured alone."""
    data = document(
        "compare-smoothers",
        "--problem",
        "variable2d",
        "--n",
        31,
        "--degrees",
        2,
        "--family",
        "chebyshev",
        "--repeats",
        1,
    )
    row = data["rows"][0]
    assert row["two_grid_factor"] is None
    assert 0 < row["measured_factor"] < 1


def test_prediction_follows_the_axes_that_the_solver_coarsens(polynomials_alone, run, document):
    """On an anisotropic problem x alone is coarsened, which is said, and the run confirms it; with
    all axes both are poor."""
    problem = ("--problem", "anisotropic2d", "--family", "chebyshev", "--degree", 3)
    said = "x alone coarsened"
    data = document("lfa", *problem, "--verify")
    assert data["axes"] == [0]
    assert said in data["remark"]
    assert data["two_grid_factor"] == pytest.approx(0.04, abs=0.002)
    assert data["verification"]["agree"]
    assert said in run("lfa", *problem).out
    assert said not in run("lfa", "--problem", "poisson2d").out
    every = document("lfa", *problem, "--axes", "all")
    assert every["axes"] == [0, 1]
    assert every["two_grid_factor"] > 0.5
    solved = {
        axes: document("solve", *problem, "--n", 63, "--axes", axes)["iterations"]
        for axes in ("auto", "x", "all")
    }
    assert max(solved["auto"], solved["x"]) < 10 < solved["all"]
    words = ("compare-smoothers", "--problem", "anisotropic2d", "--n", 127, "--degrees", 3)
    row = document(*words, "--family", "chebyshev", "--repeats", 1, "--coarsening", "galerkin")
    assert row["axes"] == [0]
    assert 0 < row["rows"][0]["measured_factor"] < 0.1
