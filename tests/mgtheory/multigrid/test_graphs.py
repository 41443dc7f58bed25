"""Matrices without a grid: what `Hierarchy.build` says of a graph on a line, and PyAMG's aggregates
in the place of grids."""

import builtins
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.csgraph import laplacian
from scipy.sparse.linalg import cg

from mgtheory import (
    Hierarchy,
    StencilHierarchy,
    change_smoothers,
    compare_smoothers,
    derive,
    poisson,
)
from mgtheory.multigrid.aggregates import aggregates
from mgtheory.multigrid.transfer import interpolation
from mgtheory.problems.catalogue import create
from mgtheory.problems.grids import Boundary
from mgtheory.smoothers import Polynomial


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


@pytest.mark.parametrize("c", [-1.0, 1j])
def test_aggregates_of_a_multiple_are_those_of_the_matrix(c):
    """Of i A they left 0.9, as weights by rows have no sign."""
    rows = np.exp(np.random.default_rng(0).uniform(-1, 1, 1024))
    A = sp.csr_array(rows[:, None] * poisson((32, 32)).A)
    one, other = (
        Hierarchy.build(M, coarsening="pyamg", smoother="jacobi") for M in (A, sp.csr_array(c * A))
    )
    r = np.random.default_rng(1).standard_normal(1024)
    expected = one.apply(r)
    np.testing.assert_allclose(other.apply(c * r), expected, atol=1e-10 * np.abs(expected).max())


def test_a_graph_on_a_line_is_said():
    """Where it was built, where it is printed and where it is solved; with the way out."""
    A = graph(3000)
    hierarchy = Hierarchy.build(A, shape=3000)
    (text,) = hierarchy.doubts
    assert "does not couple neighbours on the grid 3000" in text
    i, j = A.nonzero()
    far, couplings = np.sum(abs(i - j) > 2), np.sum(i != j)
    assert f"{far} of its {couplings} couplings reach farther than 2 points" in text
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
    left = hierarchy.levels[1].size / A.shape[0]  # of the unknowns; 0.17 of the grid, 0.09 of these
    assert a == pytest.approx(max(left, 0.1) * b)
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


def test_stored_zeros_are_no_couplings():
    """PyAMG takes a stored zero for a neighbour, and its aggregates leave most of an error: 13
    cycles became more than 100. The argument keeps its entries."""
    A = poisson((31, 31)).A.tocoo()
    far = (A.col + 7) % 961
    parts = (np.r_[A.data, 0 * A.data], (np.r_[A.row, A.row], np.r_[A.col, far]))
    stored = sp.coo_array(parts, shape=A.shape).tocsr()
    count, b = stored.nnz, np.ones(961)
    solutions = [Hierarchy.build(B, coarsening="pyamg").solve(b) for B in (A, stored)]
    assert [solution.residual_norms for solution in solutions] == [solutions[0].residual_norms] * 2
    assert solutions[0].converged
    assert stored.nnz == count > A.nnz


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


@pytest.mark.parametrize("varying", [False, True])
def test_a_negative_definite_matrix_has_the_cycle_of_its_opposite(varying):
    """PyAMG smooths the prolongator of one the wrong way: a cycle left 0.68, of its opposite
    0.22."""
    A, b = shuffled(poisson((15, 15)).A), np.random.default_rng(0).standard_normal(225)
    if varying:  # A = D S
        A = sp.csr_array(np.linspace(1.0, 3.0, 225)[:, None] * A)
    one, other = (
        Hierarchy.build(sign * A, coarsening="pyamg", smoother="jacobi").solve(sign * b)
        for sign in (1.0, -1.0)
    )
    np.testing.assert_allclose(other.residual_norms, one.residual_norms, rtol=1e-6)
    np.testing.assert_allclose(other.x, one.x, atol=1e-9 * np.abs(one.x).max())


def test_refusals(monkeypatch):
    A = graph(300)
    negative, plain = shuffled(-poisson((15, 15)).A), Polynomial("chebyshev", scaling="identity")
    with pytest.raises(ValueError, match="a negative definite A must change its sign"):
        Hierarchy.build(negative, coarsening="pyamg", smoother=plain)
    with pytest.raises(ValueError, match="bare matrix"):
        Hierarchy.build(poisson((15, 15)), coarsening="pyamg")
    for given in (
        {"transfers": lambda level: None},
        {"boundary": "neumann"},
        {"axes": np.array([0])},
        {"interpolation": "linear", "restriction": "half"},
    ):
        named = " and ".join(given)
        with pytest.raises(ValueError, match=f"^{named} beside coarsening='pyamg'.* no grid"):
            Hierarchy.build(A, coarsening="pyamg", **given)
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


def elasticity():
    """Plane strain on 12 x 12 nodes: two unknowns a node in blocks, three rigid motions."""
    pyamg = pytest.importorskip("pyamg")
    A, B = pyamg.gallery.linear_elasticity((12, 12))
    assert A.blocksize == (2, 2)
    return pyamg.smoothed_aggregation_solver(A, B, max_coarse=20)


def triangles():
    """A triangulated airfoil, by Ruge and Stuben's coarse points."""
    pyamg = pytest.importorskip("pyamg")
    A = pyamg.gallery.load_example("airfoil")["A"].tocsr()
    return pyamg.ruge_stuben_solver(A, max_coarse=20)


def of_graph():
    pyamg = pytest.importorskip("pyamg")
    return pyamg.smoothed_aggregation_solver(sp.csr_matrix(graph(400)), max_coarse=20)


def factor(residuals):
    """What a cycle leaves of the residual, in the second half."""
    half = len(residuals) // 2
    return (residuals[-1] / residuals[half]) ** (1 / (len(residuals) - 1 - half))


@pytest.fixture
def seeded():
    """PyAMG draws its random starts from NumPy's global generator."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    yield
    np.random.set_state(state)  # noqa: NPY002


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("make", [elasticity, triangles, of_graph])
def test_pyamg_is_a_twin(make):
    """Its own cycle and its own polynomial smoother with our coefficients, and its cycle with our
    smoothers, give the residuals of our cycle; ours beats its own Chebyshev of the same degree."""
    from pyamg.relaxation.relaxation import polynomial

    ml = make()
    A, before = ml.levels[0].A, [level.A.toarray() for level in ml.levels]
    b = np.random.default_rng(1).standard_normal(A.shape[0])

    def history(**given):
        found = []
        ml.solve(b, tol=1e-9, maxiter=20, residuals=found, **given)
        return np.array(found)

    def on_level(level):
        """Of A itself, as PyAMG's polynomials are."""
        return derive("chebyshev", 3, level.record()).polynomial

    hierarchy = Hierarchy.from_pyamg(ml, on_level, coarse_solver=pinv)
    for own, level in zip(ml.levels[:-1], hierarchy.levels):
        coefficients = level.pre.polynomial.correction_coefficients[::-1]

        def smooth(A, x, b, coefficients=coefficients):
            polynomial(A, x, b, coefficients)

        own.presmoother = own.postsmoother = smooth
    expected = history()
    found = hierarchy.solve(b, tol=1e-9, maxiter=20)  # slow on the graph: its diagonal varies
    rounding = 1e-14 * expected[0]  # the last of these norms has few digits above it
    np.testing.assert_allclose(found.residual_norms, expected, rtol=1e-6, atol=rounding)

    for name, degree in (("chebyshev4", 3), ("chebyshev", 2)):
        change_smoothers(ml, name, degree=degree)
        named = Hierarchy.from_pyamg(ml, name, degree=degree, coarse_solver=pinv)
        found = named.solve(b, tol=1e-9, maxiter=20)
        assert found.converged
        rounding = {"rtol": 1e-6, "atol": 1e-12 * expected[0]}
        np.testing.assert_allclose(found.residual_norms, history(), **rounding)
        assert ml.symmetric_smoothing
        steps = []
        cg(A, b, rtol=1e-9, M=named.as_preconditioner(), callback=steps.append)
        assert abs(len(steps) - (len(history(accel="cg")) - 1)) <= 1
        pyamg_own = ("chebyshev", {"degree": degree})
        relaxed(ml, pyamg_own, pyamg_own)
        assert factor(found.residual_norms) < factor(history()) - 0.1
    for level, was in zip(ml.levels, before):
        np.testing.assert_array_equal(level.A.toarray(), was)


def relaxed(ml, *smoothers):
    from pyamg.relaxation.smoothing import change_smoothers

    change_smoothers(ml, *smoothers)


def pinv(A):
    inverse = np.linalg.pinv(A.toarray())
    return lambda r: inverse @ r


@pytest.mark.usefixtures("seeded")
def test_interval_of_pyamgs_levels():
    """The part of the unknowns that is left, from 1/10 to 1/2, or as asked; other smoothers need
    none, and before and after may differ."""
    ml = triangles()
    hierarchy = Hierarchy.from_pyamg(ml, "chebyshev", degree=2)
    assert hierarchy.coarsening == "pyamg"
    for level, own in zip(hierarchy.levels[:-1], ml.levels):
        a, b = level.smoothing_interval()
        assert a / b == pytest.approx(np.clip(own.P.shape[1] / own.P.shape[0], 0.1, 0.5))
    a, b = Hierarchy.from_pyamg(ml, damped=1 / 30).levels[0].smoothing_interval()
    assert a == pytest.approx(b / 30)
    several = Hierarchy.from_pyamg(ml, "jacobi", "chebyshev4", pre=2, post=lambda index: index + 1)
    assert [level.counts for level in several.levels[:2]] == [(2, 1), (2, 2)]
    assert several.levels[0].smoothing == "2 + 1 jacobi(0.8) / chebyshev4(2)"
    given = Hierarchy.from_pyamg(ml, coarse_solver=lambda A: pinv, dtype=np.float32)
    assert given.coarse_solver is pinv
    assert given.levels[0].operator.dtype == np.float32
    change_smoothers(ml, "jacobi", "chebyshev4", pre=2, post=lambda index: index + 1)
    assert not ml.symmetric_smoothing
    b, found = np.ones(ml.levels[0].A.shape[0]), []
    ml.solve(b, tol=1e-8, residuals=found)
    np.testing.assert_allclose(several.solve(b).residual_norms, found, rtol=1e-5)


def springs(n):
    """The stiffness of n x n nodes, joined by springs to their eight neighbours, and the two
    translations and the rotation that strain none of them."""
    x = np.stack(np.indices((n, n)), axis=-1).reshape(-1, 2).astype(float)
    i, j = np.triu_indices(n * n, 1)
    near = np.abs(x[i] - x[j]).max(axis=1) == 1
    i, j = i[near], j[near]
    u = (x[j] - x[i]) / np.linalg.norm(x[j] - x[i], axis=1)[:, None]
    rows = np.repeat(np.arange(len(i)), 4)
    columns = np.stack([2 * i, 2 * i + 1, 2 * j, 2 * j + 1], axis=1).ravel()
    strain = sp.csr_array((np.hstack([-u, u]).ravel(), (rows, columns)), shape=(len(i), 2 * n * n))
    turn = np.stack([-x[:, 1], x[:, 0]], axis=1).ravel()
    motions = np.stack([np.tile([1.0, 0.0], n * n), np.tile([0.0, 1.0], n * n), turn], axis=1)
    return sp.csr_array(strain.T @ strain), motions


def test_restriction_of_an_unsymmetric_matrix_is_the_interpolation_of_its_transpose():
    pytest.importorskip("pyamg")
    A = create("convection2d", 15).A
    one, two = (aggregates(sp.csr_array(M), coarsest=10, max_levels=2).levels[0] for M in (A, A.T))
    np.testing.assert_array_equal(one.R.toarray(), two.P.T.toarray())
    assert np.abs((one.R - one.P.T).data).max() > 0.1


def test_levels_that_are_taken_stay_as_they_are():
    """What is rounding beside the other entries of a coarse operator is left out of our copy."""
    fine, coarse = poisson((7,)).A, sp.csr_array(poisson((3,)).A + 0.0)
    coarse[0, 2] = coarse[2, 0] = 1e-13
    kept = coarse.copy()
    P = interpolation((7,), (3,), Boundary.DIRICHLET).tocsr()
    ml = SimpleNamespace(
        levels=[SimpleNamespace(A=fine, P=P, R=sp.csr_array(P.T)), SimpleNamespace(A=coarse)]
    )
    assert Hierarchy.from_pyamg(ml).levels[1].A.nnz == coarse.nnz - 2
    for own, before in ((coarse.data, kept.data), (coarse.indices, kept.indices)):
        np.testing.assert_array_equal(own, before)


@pytest.mark.usefixtures("seeded")
def test_singular_beyond_the_constants():
    """A graph in two parts, and a body that nothing holds, whose three rigid motions are given or
    left to be found on the coarsest level."""
    pyamg = pytest.importorskip("pyamg")
    part = graph(300) - sp.eye_array(300) / 300
    A = sp.csr_array(sp.block_diag([part, 2 * part]))
    x = np.random.default_rng(0).standard_normal(600)
    found = Hierarchy.build(A, coarsening="pyamg").solve(A @ x)
    assert found.converged
    K, motions = springs(9)
    assert np.abs(K @ motions).max() < 1e-12
    blocks = sp.bsr_matrix(K, blocksize=(2, 2))
    ml = pyamg.smoothed_aggregation_solver(blocks, motions, max_coarse=20)
    b = K @ np.random.default_rng(0).standard_normal(K.shape[0])
    for nullspace, known in (("auto", 1), (motions, 3)):
        hierarchy = Hierarchy.from_pyamg(ml, "chebyshev4", degree=3, nullspace=nullspace)
        assert hierarchy.nullspace.shape[1] == known
        assert hierarchy.solve(b).converged


def test_what_is_no_hierarchy_of_pyamg():
    for wrong in (graph(50), None, 3):
        with pytest.raises(ValueError, match="must be a MultilevelSolver") as caught:
            Hierarchy.from_pyamg(wrong)
        assert "\n" not in str(caught.value)
    ml = elasticity()
    for wrong in (0, 1, -0.1, np.nan, "a"):
        with pytest.raises(ValueError, match="damped"):
            Hierarchy.from_pyamg(ml, damped=wrong)
    with pytest.raises(ValueError, match="unknown smoother"):
        change_smoothers(ml, "nothing")
