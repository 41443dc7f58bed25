"""lfa: published factors, verification, and coefficients from files."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory import (
    Hierarchy,
    ResidualPolynomial,
    Stencil,
    poisson,
    two_grid_factor,
    verification,
)


@pytest.mark.parametrize(("degree", "mu"), [(1, 2 / 3), (2, 0.25), (3, 0.233)])
def test_lfa_smoothing_factor(document, degree, mu):
    data = document("lfa", "--family", "chebyshev4", "--degree", degree)
    assert data["smoothing_factor"] == pytest.approx(mu, abs=5e-4)
    assert 0 < data["two_grid_factor"] < 1


def test_lfa_verify_agrees(document):
    run = document("lfa", "--family", "chebyshev", "--degree", 2, "--verify", "--n", 32)[
        "verification"
    ]
    assert run["agree"]
    assert run["measured"] == pytest.approx(run["predicted"], rel=0.01)


def test_what_is_measured_otherwise_is_a_failure(run, document, monkeypatch):
    own = verification.verify
    monkeypatch.setattr(verification, "verify", lambda *a, **k: replace(own(*a, **k), measured=0.9))
    words = ("lfa", "--family", "chebyshev", "--degree", 2, "--verify", "--n", 32)
    shown = run(*words)
    assert shown.status == 1
    assert "they do NOT agree" in shown.out
    assert "and measured 0.9 differ by" in shown.err
    assert not document(*words, status=1)["verification"]["agree"]


@pytest.mark.parametrize(
    ("options", "factor"), [(("--restriction", "half"), 0.125), (("--restriction", "full"), 0.074)]
)
def test_lfa_red_black(document, options, factor):
    data = document("lfa", "--smoother", "red-black", "--coarsening", "rediscretise", *options)
    assert data["two_grid_factor"] == pytest.approx(factor, abs=5e-4)


def test_lfa_takes_derived_coefficients(run, document, tmp_path):
    """Derived on another grid, moved to the infinite one: the fourth kind is the fourth kind."""
    path = tmp_path / "init.json"
    run("derive", "--family", "chebyshev4", "--degree", 2, "--out", path)
    assert document("lfa", "--init", path)["smoothing_factor"] == pytest.approx(0.25, abs=1e-9)


def test_lfa_and_solve_take_and_refuse_the_same_files(run, document, refused, tmp_path):
    """An interval's polynomial belongs to one scale: 8/h^2 with h = 1/64, not to mesh width 1."""
    fits, small = tmp_path / "fits.json", tmp_path / "small.json"
    run("derive", "--family", "chebyshev4", "--degree", 2, "--lmax", 8 * 64**2, "--out", fits)
    run("derive", "--family", "chebyshev4", "--degree", 2, "--lmax", 8, "--out", small)
    assert document("solve", "--n", 63, "--init", fits)["iterations"] <= 9
    predicted = document("lfa", "--n", 64, "--init", fits)
    assert predicted["smoothing_factor"] == pytest.approx(0.25, abs=1e-9)
    for words in (["solve", "--n", 63], ["lfa"], ["lfa", "--n", 128]):
        assert "amplifies" in refused(*words, "--init", small)
    assert "amplifies" in refused("lfa", "--n", 128, "--init", fits)


def iteration_matrix(A, grids, roots, gamma, pre, post):
    """Of the cycle on a periodic grid in 1D, Galerkin's operators below; roots are for D^-1 A."""
    eye, n = np.eye(len(A)), len(A)
    P = (eye + 0.5 * (np.roll(eye, 1, 0) + np.roll(eye, -1, 0)))[:, ::2]
    R = P.T / 2
    coarse, M = R @ A @ P, np.zeros((n // 2, n // 2))
    if grids > 2:
        M = iteration_matrix(coarse, grids - 1, roots, gamma, pre, post)
    M = np.linalg.matrix_power(M, gamma)
    smoothing = np.linalg.multi_dot([eye - A / (A[0, 0] * root) for root in roots])
    correction = eye - P @ (np.eye(n // 2) - M) @ np.linalg.pinv(coarse, rcond=1e-9) @ R @ A
    before, after = (np.linalg.matrix_power(smoothing, count) for count in (pre, post))
    return after @ correction @ before


@pytest.mark.parametrize(("cycle", "gamma"), [("V", 1), ("W", 2)])
@pytest.mark.parametrize(("pre", "post"), [(1, 1), (0, 3)])
def test_lfa_factors_are_spectral_radii(document, cycle, gamma, pre, post):
    """Of what is no constant, on 256 points: next to the supremum over all frequencies."""
    n, given = 256, ("--family", "chebyshev", "--degree", 2, "--pre", pre, "--post", post)
    data = document("lfa", "--problem", "poisson1d", "--n", 64, *given, "--cycle", cycle)
    roots = np.array([real for real, _ in data["roots"]]) / (2 * 64**2)
    A = 2 * np.eye(n) - np.roll(np.eye(n), 1, 0) - np.roll(np.eye(n), -1, 0)
    for grids, name in ((2, "two_grid_factor"), (3, "three_grid_factor")):
        M = iteration_matrix(A, grids, roots, gamma, pre, post)
        without = M - M.mean(axis=1, keepdims=True)
        assert data[name] == pytest.approx(np.abs(np.linalg.eigvals(without)).max(), rel=1e-3)


@pytest.mark.parametrize("axes", ["w", "xx", "0", "y,x"])
def test_axes_are_letters(refused, axes):
    assert "allowed are auto, all, or letters" in refused("lfa", "--axes", axes)


def test_lfa_offers_the_coarsenings_that_it_takes(run, refused):
    said = refused("lfa", "--coarsening", "pyamg")
    assert "allowed are galerkin, rediscretise" in said
    assert "pyamg" not in run("lfa", "--help").out


def test_a_matrix_of_one_unknown_is_no_stencil(refused, tmp_path):
    """And nothing is said of boundaries that were not asked for."""
    (tmp_path / "one.mtx").write_text(
        "%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 2.0\n"
    )
    said = refused("lfa", "--matrix", tmp_path / "one.mtx", "--shape", "1")
    assert "on the grid 1 A is not one stencil at all points" in said


@pytest.mark.parametrize("shape", ["1x40", "40x1x1"])
def test_axes_of_one_unknown_are_left_out(document, tmp_path, shape):
    """A was said to differ from point to point."""
    sp.save_npz(path := tmp_path / "A.npz", sp.csr_array(poisson(40).A))
    found, expected = (document("lfa", "--matrix", path, "--shape", s) for s in (shape, "40"))
    assert found["two_grid_factor"] == expected["two_grid_factor"]


@pytest.mark.parametrize(("shift", "converges"), [(100.0, True), (400.0, False)])
def test_a_symbol_that_changes_its_sign(run, document, tmp_path, shift, converges):
    """-Laplace - k^2: a factor of the infinite grid decides nothing, which is said; on a grid it is
    that of its own frequencies, where the coarse grid's symbol is small but not 0."""
    n, path, page = 63, tmp_path / "A.npz", tmp_path / "page.html"
    A = sp.csr_array(poisson((n, n)).A - shift * sp.eye_array(n * n))
    sp.save_npz(path, A)
    words = ("lfa", "--matrix", path, "--shape", "63x63")
    shown = run(*words, "--report", page).out
    assert "verdict" not in shown
    assert "it does not converge" not in page.read_text()
    assert "changes its sign: near waves" in page.read_text()
    data = document(*words)
    assert data["changes_sign"]
    assert f"runs from {-shift:.4g} to {8 * 64**2 - shift:.4g}: near" in data["remark"]
    stencil = poisson((n, n)).stencil + Stencil([(0, 0)], [-shift])
    own = {"coarsening": "galerkin", "samples": 2 * (n + 1), "refine": False}
    q = ResidualPolynomial([real for real, _ in data["roots"]])
    factor = two_grid_factor(stencil, q, **own).factor
    hierarchy = Hierarchy.build(A, shape=(n, n), smoother=q, max_levels=2)
    e = np.random.default_rng(0).standard_normal(n * n)
    for _ in range(30):
        e = e / np.linalg.norm(e)
        e = e - hierarchy.apply(A @ e)
    assert np.linalg.norm(e) == pytest.approx(factor, rel=1e-3)
    assert (factor < 1) == converges
    assert not document("lfa", "--n", 16)["changes_sign"]
