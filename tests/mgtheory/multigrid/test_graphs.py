"""Matrices without a grid: what `Hierarchy.build` says of a graph on a line, and PyAMG's aggregates
in the place of grids."""

import builtins

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.csgraph import laplacian
from scipy.sparse.linalg import cg

from mgtheory import Hierarchy, StencilHierarchy, compare_smoothers, poisson


def graph(n, links=2):
    """The Laplacian of a ring with random chords, plus 1/n."""
    rng, i = np.random.default_rng(0), np.arange(n)
    i, j = (
        np.concatenate([i, np.repeat(i, links)]),
        np.concatenate([np.roll(i, -1), rng.integers(0, n, links * n)]),
    )
    W = sp.coo_array((np.ones(np.sum(i != j)), (i[i != j], j[i != j])), shape=(n, n)).tocsr()
    return sp.csr_array(laplacian(W + W.T) + sp.eye_array(n) / n)


def shuffled(A, seed=0):
    order = np.random.default_rng(seed).permutation(A.shape[0])
    return sp.csr_array(A.tocsr()[order][:, order])


def test_a_graph_on_a_line_is_said():
    """Where it was built, where it is printed and where it is solved; with the way out."""
    A = graph(3000)
    hierarchy = Hierarchy.build(A, shape=3000)
    (text,) = hierarchy.doubts
    assert "does not couple neighbours on the grid 3000" in text
    assert "coarsening='pyamg'" in text
    assert f"warning: {text}" in str(hierarchy).splitlines()
    solution = hierarchy.solve(np.ones(3000), maxiter=3)
    assert text in solution.warnings
    with pytest.raises(ValueError, match="next neighbours have 0 %"):
        Hierarchy.build(shuffled(graph(3000, 0)), shape=3000)
    with pytest.raises(ValueError, match="coarsening='pyamg'"):
        Hierarchy.build(A)
    assert "warning" not in str(Hierarchy.build(poisson((15, 15))))


@pytest.mark.parametrize(
    ("A", "complexity"),
    [(graph(3000), 5), (shuffled(poisson((50, 50)).A), 1.5)],
    ids=["random graph", "grid"],
)
def test_aggregates(A, complexity):
    """The same cycle every time, with which cg needs less than a third of the steps."""
    pytest.importorskip("pyamg")
    hierarchy, again = (Hierarchy.build(A, coarsening="pyamg") for _ in range(2))
    assert hierarchy.coarsening == "pyamg"
    assert hierarchy.warnings == ()
    assert hierarchy.operator_complexity < complexity
    assert hierarchy.levels[0].P.shape == (A.shape[0], hierarchy.levels[1].size)
    a, b = hierarchy.levels[0].smoothing_interval()
    assert a == pytest.approx(b / 10)
    rhs, steps = np.random.default_rng(1).standard_normal(A.shape[0]), {}
    np.testing.assert_array_equal(hierarchy.apply(rhs), again.apply(rhs))
    M = hierarchy.as_preconditioner()
    for name, preconditioner in (("plain", None), ("pyamg", M)):
        count = []
        x, failed = cg(A, rhs, rtol=1e-8, M=preconditioner, callback=count.append)
        assert not failed
        steps[name] = len(count)
    assert steps["pyamg"] <= 13
    assert steps["pyamg"] < steps["plain"] / 3
    found = hierarchy.solve(rhs)
    assert found.converged
    np.testing.assert_allclose(found.x, x, atol=1e-5 * np.abs(x).max())


def test_singular_nonsymmetric_and_single_precision():
    pytest.importorskip("pyamg")
    A = graph(500)
    singular = sp.csr_array(A - sp.eye_array(500) / 500)
    b = np.random.default_rng(0).standard_normal(500)
    found = Hierarchy.build(singular, coarsening="pyamg").solve(b - b.mean())
    assert found.converged
    assert abs(found.x.mean()) < 1e-10
    found = Hierarchy.build(A, coarsening="pyamg", dtype="float32").solve(b)
    assert found.converged
    skew = sp.csr_array(A + 0.2 * sp.triu(A, 1) - 0.2 * sp.tril(A, -1) + sp.eye_array(500))
    assert Hierarchy.build(skew, coarsening="pyamg").solve(b).converged
    rows = compare_smoothers(
        A, coarsening="pyamg", families=["chebyshev"], degrees=[1, 3], repeats=1
    ).rows[:2]
    assert rows[1].measured_factor < rows[0].measured_factor < 0.8


def test_refusals(monkeypatch):
    A = graph(300)
    with pytest.raises(ValueError, match="bare matrix"):
        Hierarchy.build(poisson((15, 15)), coarsening="pyamg")
    with pytest.raises(ValueError, match="transfers and coarsening"):
        Hierarchy.build(A, coarsening="pyamg", transfers=lambda level: None)
    pytest.importorskip("numba")
    with pytest.raises(ValueError, match="coarsening is 'pyamg'"):
        StencilHierarchy.build(poisson((15, 15)), coarsening="pyamg")
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "pyamg":
            raise ModuleNotFoundError("No module named 'pyamg'", name="pyamg")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=r"polymgnet\[pyamg\]") as caught:
        Hierarchy.build(A, coarsening="pyamg")
    assert "\n" not in str(caught.value)
