"""What CONTRIBUTING promises of a smoother: with a description, its symbol, its matrix and a name
it is predicted, verified, run and compared; what has no matrices refuses it in one line."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

import mgtheory
from mgtheory import fourier
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.fourier.relaxation import step_symbols
from mgtheory.multigrid.applied import set_up
from mgtheory.multigrid.smoothings import DiagonalSmoothing
from mgtheory.problems.stencils import laplacian
from mgtheory.problems.symbols import harmonic_symbols
from mgtheory.smoothers import SMOOTHERS, Jacobi, Smoother
from mgtheory.verification import verify
from nets.pde.cycle import MultigridCycle
from polymgnet.cli import main

L2, PROBLEM = laplacian(2), mgtheory.poisson((31, 31))


@dataclass(frozen=True)
class L1Jacobi(Smoother):
    """c = D^-1 r, D the sums of |a_ij| along the rows."""

    ordered = False


@step_symbols.register(L1Jacobi)
def symbol(given, stencil, theta, turns, order):
    return 1 - harmonic_symbols(stencil, theta, turns, order) / np.abs(stencil.values).sum()


@set_up.register(L1Jacobi)
def matrix(given, level, *, own=False):
    return DiagonalSmoothing(level.operator, 1 / abs(level.cycle_matrix).sum(axis=1), "l1")


@dataclass(frozen=True)
class Unread(Smoother):
    """Neither symbol nor matrix."""


@dataclass(frozen=True)
class Predicted(Smoother):
    """A symbol, no matrix."""


step_symbols.register(Predicted, symbol)


@pytest.fixture(params=["by name", "by object"])
def smoother(request, monkeypatch):
    monkeypatch.setitem(SMOOTHERS, "l1_jacobi", L1Jacobi())
    return "l1-jacobi" if request.param == "by name" else L1Jacobi()


def test_it_is_predicted(smoother):
    """D = 8 is Jacobi with 1/2: 1 - 2/8 at (pi/2, 0)."""
    assert fourier.smoothing_factor(L2, smoother).factor == pytest.approx(0.75, abs=1e-9)
    for options in ({}, {"coarsening": "rediscretise", "levels": 3}):
        mine, half = (
            fourier.cycle_factor(LocalCycle(L2, s, **options)) for s in (smoother, Jacobi(0.5))
        )
        assert mine.factor == pytest.approx(half.factor, abs=1e-9)
    assert fourier.two_grid_factor(PROBLEM, smoother).factor < 0.6
    # the eight symmetries of the square for what has no order of its own; else none is used
    assert len(LocalCycle(L2, smoother).symmetries) == len(LocalCycle(L2, "jacobi").symmetries)
    assert len(LocalCycle(L2, Predicted()).symmetries) < 4


def test_it_is_verified_and_run(smoother):
    found = verify(LocalCycle(L2, smoother), 16, rng=np.random.default_rng(0))
    assert found.agrees
    assert found.measured > 0.1
    hierarchy = mgtheory.Hierarchy.build(PROBLEM, smoother=smoother)
    assert hierarchy.levels[0].pre.label == "l1"
    A, r = PROBLEM.A.toarray(), np.arange(961.0)
    correction = hierarchy.levels[0].pre.correct(r)
    np.testing.assert_allclose(correction, r / np.abs(A).sum(axis=1), rtol=1e-14)
    assert hierarchy.solve(PROBLEM.b).converged


def test_the_command_takes_its_name(monkeypatch, capsys):
    monkeypatch.setitem(SMOOTHERS, "l1_jacobi", L1Jacobi())
    problem = ["--problem", "poisson2d", "--json"]
    assert main(["lfa", *problem, "--smoother", "l1-jacobi", "--verify"]) == 0
    assert json.loads(capsys.readouterr().out)["smoothing_factor"] == pytest.approx(0.75)
    assert main(["solve", *problem, "--n", "31", "--smoother", "l1_jacobi"]) == 0
    assert json.loads(capsys.readouterr().out)["converged"]
    few = ["--n", "31", "--family", "chebyshev", "--degrees", "1", "--repeats", "1"]
    assert main(["compare-smoothers", *problem, *few]) == 0
    rows = {row["family"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert set(rows) == {"chebyshev", *SMOOTHERS}
    assert rows["l1_jacobi"]["smoothing_factor"] == pytest.approx(0.75)
    assert not rows["l1_jacobi"]["refused"]
    assert 0 < rows["l1_jacobi"]["measured_factor"] < 1


def test_what_cannot_read_it_says_what_it_can(smoother):
    with pytest.raises(ValueError, match="polynomials or Jacobi"):
        mgtheory.StencilHierarchy.build(PROBLEM, smoother=smoother)
    with pytest.raises(
        ValueError,
        match=r"(?i)smoother is .*l1.*; a cycle learns a polynomial in A: .* name of a family",
    ):
        MultigridCycle(PROBLEM, smoother=smoother)
    with pytest.raises(ValueError, match=r"Fourier analysis knows Polynomial, Jacobi, GaussSeidel"):
        fourier.smoothing_factor(L2, Unread())
    for refused in (
        lambda: mgtheory.Hierarchy.build(PROBLEM, smoother=Unread()),
        lambda: verify(LocalCycle(L2, Predicted()), 16, rng=np.random.default_rng(0)),
    ):
        with pytest.raises(ValueError, match=r"no matrix form .* known are Jacobi, Polynomial"):
            refused()
