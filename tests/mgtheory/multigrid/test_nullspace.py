"""Singular A that is not symmetric: what lies outside of its range."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.csgraph import laplacian

from mgtheory import Hierarchy, solve
from mgtheory.comparison import compare_smoothers
from mgtheory.multigrid.nullspace import find_nullspace, left_nullspace, symmetriser


def ghost_points(shape):
    """-u_xx - 2 u_yy by values at the points of a grid, those at its ends included, and the widths
    of their cells, half as large at an end: a Neumann boundary doubles the coupling inwards."""
    whole, widths = sp.csr_array((1, 1)), np.ones(1)
    for factor, n in zip((1.0, 2.0), shape, strict=True):
        own = np.ones(n)
        own[[0, -1]] = 0.5
        K = sp.diags_array([-np.ones(n - 1), 2.0 * own, -np.ones(n - 1)], offsets=[-1, 0, 1])
        K = factor * (n - 1) ** 2 * sp.diags_array(1.0 / own) @ K
        whole = sp.kron(whole, sp.eye_array(n)) + sp.kron(sp.eye_array(whole.shape[0]), K)
        widths = np.kron(widths, own)
    return sp.csr_array(whole), widths


def ghost_free(shape):
    """The Laplacian of the graph of a grid."""
    A, _ = ghost_points(shape)
    joined = sp.csr_array(abs(A - sp.diags_array(A.diagonal())) > 0).astype(float)
    return sp.csr_array(laplacian(joined))


@pytest.mark.parametrize("krylov", [None, "gmres"])
def test_what_no_x_reduces_is_known_where_the_rows_have_scales(krylov):
    """The twin: the pseudo-inverse, whose x is the least-squares solution without a mean."""
    A, widths = ghost_points((17, 33))
    assert abs(A - A.T).max() > 0.1 * abs(A).max()
    b = np.random.default_rng(0).standard_normal(widths.size)
    options = {"shape": (17, 33), "boundary": "neumann", "tol": 1e-9, "krylov": krylov}
    found = solve(A, b=b - b.mean(), **options)  # without a mean, and yet not in the range
    expected = np.linalg.pinv(A.toarray(), rcond=1e-11) @ (b - b.mean())
    missing = np.linalg.norm(b - b.mean() - A @ expected)
    assert found.reason == "incompatible"
    assert found.incompatibility == pytest.approx(missing, rel=1e-9)
    assert found.residual_norms[-1] == pytest.approx(missing, rel=1e-6)
    np.testing.assert_allclose(found.x, expected, atol=1e-6 * np.abs(expected).max())
    # no load of the cells as a whole: in the range
    found = solve(A, b=b - widths @ b / widths.sum(), **options)
    assert found.converged
    assert found.incompatibility == 0.0


def test_smoothers_are_compared_on_what_has_a_solution():
    """A random b without its part outside of the range, of which a cycle would leave all, so that
    1 was measured."""
    options = {"shape": (17, 33), "boundary": "neumann", "families": ["chebyshev"], "degrees": [2]}
    found = compare_smoothers(ghost_points((17, 33))[0], **options, repeats=1).rows[0]
    assert found.two_grid_computed < found.measured_factor < 0.25


@pytest.mark.parametrize("krylov", [None, "cg"])
def test_each_part_of_a_graph_has_its_constants(krylov):
    """A forest of three grids, their nodes mixed: the twin is the pseudo-inverse, whose x has no
    mean on any part."""
    pytest.importorskip("pyamg")
    parts = [ghost_free((m, m)) for m in (9, 12, 15)]
    label = np.repeat(range(3), [A.shape[0] for A in parts])
    mixed = np.random.default_rng(0).permutation(label.size)
    A, label = sp.csr_array(sp.block_diag(parts))[mixed][:, mixed], label[mixed]
    b = np.random.default_rng(1).standard_normal(label.size)
    b -= b.mean()  # in the range of a connected graph's
    found = solve(A, b=b, coarsening="pyamg", tol=1e-10, krylov=krylov)
    expected = np.linalg.pinv(A.toarray(), rcond=1e-10) @ b
    missing = np.bincount(label, b) / np.sqrt(np.bincount(label))  # of each part its mean
    assert found.reason == "incompatible"
    assert found.incompatibility == pytest.approx(np.linalg.norm(missing), rel=1e-9)
    np.testing.assert_allclose(found.x, expected, atol=1e-7 * np.abs(expected).max())
    np.testing.assert_allclose(np.bincount(label, found.x), 0.0, atol=1e-10 * label.size)
    assert solve(A, b=A @ b, coarsening="pyamg", tol=1e-10, krylov=krylov).converged


@pytest.mark.parametrize("krylov", [None, "cg"])
@pytest.mark.parametrize("smoother", [None, "gauss_seidel"])
@pytest.mark.parametrize("sizes", [[16] * 100, [900] + [2] * 50 + [1] * 60, [900, 1]])
def test_very_many_parts(sizes, smoother, krylov):
    """Each has its constants; a node without edges is a part too, and refuses no smoother."""
    pytest.importorskip("pyamg")
    rng, n = np.random.default_rng(1), sum(sizes)
    label = np.repeat(range(len(sizes)), sizes)
    i = np.flatnonzero(label[1:] == label[:-1])  # a path through each part, and other edges
    j = rng.integers(0, n, (2, 3 * n))
    j = j[:, label[j[0]] == label[j[1]]]
    edges = sp.csr_array((np.ones(i.size), (i, i + 1)), shape=(n, n)) + sp.csr_array(
        (np.ones(j.shape[1]), j), shape=(n, n)
    )
    order = rng.permutation(n)
    A = sp.csr_array(laplacian(sp.csr_array(edges + edges.T)))[order][:, order]
    label = label[order]
    hierarchy = Hierarchy.build(sp.csr_array(A), coarsening="pyamg", smoother=smoother)
    b = rng.standard_normal(n)
    missing = np.bincount(label, b) / np.sqrt(np.bincount(label))
    found = solve(A, hierarchy, b=b, krylov=krylov, tol=1e-9)
    assert found.reason == "incompatible"
    assert found.incompatibility == pytest.approx(np.linalg.norm(missing), rel=1e-9)
    assert found.residual_norms[-1] == pytest.approx(np.linalg.norm(missing), rel=1e-6)
    means = np.bincount(label, found.x) / np.bincount(label)
    np.testing.assert_allclose(means, 0.0, atol=1e-10 * np.abs(found.x).max())
    assert solve(A, hierarchy, b=A @ b, krylov=krylov).converged


def test_the_constants_of_parts_are_orthonormal_and_few_numbers():
    pairs = sp.csr_array(sp.block_diag([np.array([[1.0, -1.0], [-1.0, 1.0]])] * 100))
    N = find_nullspace(pairs, None, "auto")
    assert N.shape == (200, 100)
    assert N.nnz == 200
    assert abs(pairs @ N).max() == 0.0
    np.testing.assert_allclose((N.T @ N).toarray(), np.eye(100), atol=1e-15)


def test_a_symmetriser_is_found_for_any_graph():
    """s of S^-1 A, A symmetric, up to a common factor, whatever s is; A^* L = 0."""
    rng = np.random.default_rng(1)
    path = sp.diags_array(np.ones(199), offsets=1)  # so that all are connected
    edges = sp.csr_array(path + sp.random_array((200, 200), density=0.02, rng=rng))
    A = sp.csr_array(laplacian(edges + edges.T))
    s = 10.0 ** rng.uniform(-3, 3, 200)
    scaled = sp.csr_array(sp.diags_array(1.0 / s) @ A)
    np.testing.assert_allclose(symmetriser(scaled), s / s.max(), rtol=1e-10)
    L = left_nullspace(scaled, np.full((200, 1), 200**-0.5))
    np.testing.assert_allclose(np.abs(L[:, 0]), s / np.linalg.norm(s), rtol=1e-10)


@pytest.mark.parametrize("krylov", [None, "gmres"])
def test_the_rows_of_each_part_have_scales_of_their_own(krylov):
    """Two Neumann boundaries by values at the points: the twin is the pseudo-inverse."""
    pytest.importorskip("pyamg")
    parts = [ghost_points(shape)[0] for shape in ((9, 17), (8, 8))]
    A = sp.csr_array(sp.block_diag(parts))
    b = np.random.default_rng(1).standard_normal(A.shape[0])
    found = solve(A, b=b, coarsening="pyamg", tol=1e-10, krylov=krylov)
    expected = np.linalg.pinv(A.toarray(), rcond=1e-11) @ b
    assert found.reason == "incompatible"
    assert found.incompatibility == pytest.approx(np.linalg.norm(b - A @ expected), rel=1e-9)
    np.testing.assert_allclose(found.x, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("phase", [0.0, np.pi / 2, 0.3])
def test_couplings_may_be_complex(phase):
    """A ring of couplings -exp(i phase), A 1 = 0: Hermitian, and by scales of the rows no more. It
    is one part where they have no real part, too; L = s by the scales."""
    n, s = 12, np.linspace(1.0, 2.0, 12)
    ahead = np.exp(1j * phase) * np.roll(np.eye(n), 1, axis=1)
    A = 2.0 * np.cos(phase) * np.eye(n) - ahead - ahead.conj().T
    N = np.full((n, 1), n**-0.5, dtype=complex)
    np.testing.assert_allclose(find_nullspace(sp.csr_array(A), None, "auto"), N)
    L = left_nullspace(sp.csr_array(A / s[:, None]), N)
    np.testing.assert_allclose(np.abs(L[:, 0]), s / np.linalg.norm(s), rtol=1e-10)


def test_where_there_is_no_symmetriser_nothing_is_made_up():
    """Transport around a circle of uneven cells: couplings one way; of one part as of two."""
    n = 12
    speed = np.linspace(1.0, 2.0, n)
    around = sp.csr_array(speed[:, None] * (np.eye(n) - np.roll(np.eye(n), 1, axis=0)))
    assert symmetriser(around) is None
    assert left_nullspace(around, np.full((n, 1), n**-0.5)) is None
    assert symmetriser(sp.csr_array(sp.block_diag([around, around]))) is None
