"""A = D S with a positive diagonal D and a symmetric S, as of finite volumes divided by their sizes
or of a lumped mass: the twin of everything is the symmetric form S itself."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.csgraph import laplacian

from mgtheory import Hierarchy, derive, poisson, solve
from mgtheory.multigrid.approximation import energy_bound
from mgtheory.problems import create
from mgtheory.spectra.symmetry import is_symmetric, symmetric_rows


def axis(n, widths, between):
    """-u'' by finite volumes of the given widths, divided by them, with free ends; `between` is how
    far the points are apart."""
    own, k = widths / widths.sum(), widths.sum() / between
    K = sp.diags_array(
        [-k, np.append(k, 0.0) + np.append(0.0, k), -k], offsets=[-1, 0, 1], shape=(n, n)
    )
    return sp.diags_array(1.0 / own) @ K


def on_grid(K):
    eye = sp.eye_array(K.shape[0])
    return sp.csr_array(sp.kron(K, eye) + sp.kron(eye, K))


def ghost_points(n):
    return on_grid(axis(n, np.r_[0.5, np.ones(n - 2), 0.5], np.ones(n - 1)))


WIDTHS = np.geomspace(1.0, 2.0, 24)
GRADED = axis(24, WIDTHS, 0.5 * (WIDTHS[1:] + WIDTHS[:-1]))
GIVEN = {
    "ghost points": (ghost_points(33), 33, "neumann"),
    "graded": (on_grid(GRADED), 24, "neumann"),
    "graded from zero": (
        on_grid(GRADED + sp.diags_array(900.0 * (np.arange(24) == 0))),
        24,
        "neumann",
    ),
    "a wind with a potential": (create("convection2d", 31, peclet=10).A, 31, "dirichlet"),
}


def form_of(A):
    """S and D of A = D S, dense: d_i/d_j = a_ij/a_ji from neighbour to neighbour."""
    D = symmetric_rows(A)
    S = sp.csr_array(A / D[:, None])
    assert abs(S - S.T).max() <= 1e-12 * abs(S).max()
    return sp.csr_array((S + S.T) / 2), D


def random(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


@pytest.mark.parametrize("smoother", [None, "gauss_seidel", "chebyshev4", "jacobi"])
@pytest.mark.parametrize("name", GIVEN)
def test_the_cycle_is_that_of_the_symmetric_form(name, smoother):
    """Equal corrections of equal errors, smoothers, coarse operators and Krylov steps."""
    A, n, boundary = GIVEN[name]
    S, D = form_of(A)
    options = {"shape": (n, n), "boundary": boundary, "smoother": smoother}
    ours, theirs = Hierarchy.build(A, **options), Hierarchy.build(S, **options)
    e = random(n * n)
    found, expected = (h.apply(M @ e) for h, M in ((ours, A), (theirs, S)))
    if ours.nullspace is not None:
        found, expected = found - found.mean(), expected - expected.mean()
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())
    for mine, its in zip(ours.levels[1:], theirs.levels[1:], strict=True):
        assert abs(mine.A - its.A).max() <= 1e-12 * abs(its.A).max()
        assert mine.smoothing == its.smoothing
    b = A @ e
    for krylov in ("cg", "minres"):
        steps = [
            solve(M, h, b=right, krylov=krylov, tol=1e-8).iterations
            for M, h, right in ((A, ours, b), (S, theirs, b / D))
        ]
        assert abs(steps[0] - steps[1]) <= 1  # the norms of the stopping test differ by D
    solution = solve(A, ours, b=b, krylov="cg")
    assert solution.converged
    true = np.linalg.norm(b - A @ solution.x)
    assert solution.residual_norms[-1] == pytest.approx(true, rel=1e-3)


def test_the_factor_of_ghost_points_is_that_of_the_symmetric_form():
    """With P^T in place of P^T D^-1 it is 0.29."""
    A, n, _ = GIVEN["ghost points"]
    options = {"shape": (n, n), "boundary": "neumann", "smoother": "chebyshev", "degree": 2}
    hierarchy = Hierarchy.build(A, **options)
    M, whole = hierarchy.as_preconditioner(symmetric=False), A.toarray()
    E = np.eye(n * n) - np.column_stack([M @ column for column in whole.T])
    E -= E.mean(axis=0)  # of the constants nothing is known
    radius = np.abs(np.linalg.eigvals(E)).max()
    assert radius == pytest.approx(0.0955, abs=1e-4)
    # of A's cycle the energy norm of S bounds it
    assert radius <= energy_bound(hierarchy) < 0.5


@pytest.mark.parametrize("krylov", [None, "cg"])
def test_a_lumped_mass_on_a_graph(krylov):
    """Aggregates of S: the hierarchy of S, its first R divided by D."""
    pytest.importorskip("pyamg")
    rng = np.random.default_rng(1)
    path = sp.diags_array(np.ones(899), offsets=1)
    edges = sp.csr_array(path + sp.random_array((900, 900), density=0.002, rng=rng))
    S = sp.csr_array(laplacian(edges + edges.T) + 0.1 * sp.eye_array(900))
    D = 10.0 ** rng.uniform(-2, 2, 900)
    A = sp.csr_array(D[:, None] * S)
    ours, theirs = (Hierarchy.build(M, coarsening="pyamg") for M in (A, S))
    e = random(900)
    np.testing.assert_allclose(ours.apply(A @ e), theirs.apply(S @ e), atol=1e-10)
    assert ours.levels[0].pre.label == "chebyshev(2)"
    solution = solve(A, ours, b=A @ e, krylov=krylov)
    assert solution.converged


def test_cg_by_hand_is_refused_with_the_reason():
    A, n, boundary = GIVEN["ghost points"]
    hierarchy = Hierarchy.build(A, shape=(n, n), boundary=boundary)
    with pytest.raises(ValueError, match=r"A is so but for scales of its rows, which mgtheory"):
        hierarchy.as_preconditioner()
    assert hierarchy.as_preconditioner(symmetric=False) is not None


def test_scales_are_found_or_there_are_none():
    """Of an element matrix with entries that are rounding, whose ratios mean nothing; not of a wind
    that has no potential, nor of one whose e^(w.x) leaves the digits of A, nor of a symmetric A."""
    S = create("poisson2d-q1", 15).A.tolil()
    S[0, 30], S[30, 0] = 1e-17, 3e-16
    S = sp.csr_array(S)
    D = 10.0 ** np.random.default_rng(0).uniform(-2, 2, 225)
    found = symmetric_rows(sp.csr_array(D[:, None] * S))
    np.testing.assert_allclose(found / D, (found / D)[0], rtol=1e-12)
    assert np.log(found).mean() == pytest.approx(0.0, abs=1e-12)
    assert symmetric_rows(S) is None
    L, n = poisson((15, 15)).A, 15
    first = sp.diags_array([-1.0, 1.0], offsets=[-1, 0], shape=(n, n))
    shear = sp.diags_array(np.linspace(0.5, 1.5, n))
    assert symmetric_rows(sp.csr_array(L + 300 * sp.kron(first, sp.eye_array(n)))) is not None
    assert symmetric_rows(sp.csr_array(L + 300 * sp.kron(first, shear))) is None
    assert symmetric_rows(sp.csr_array(L + 1e6 * sp.kron(first, sp.eye_array(n)))) is None
    assert symmetric_rows(sp.csr_array(sp.tril(L))) is None


def test_a_complex_hermitian_form():
    """A magnetic field's phases: Hermitian, its rows scaled."""
    n, rng = 15, np.random.default_rng(0)
    phase = sp.diags_array(np.exp(1j * np.linspace(0.0, 1.0, n)))
    hop = sp.kron(sp.diags_array(np.ones(n - 1), offsets=1), phase)
    hop = hop + sp.kron(sp.eye_array(n), sp.diags_array(np.ones(n - 1), offsets=1))
    S = sp.csr_array(4.0 * sp.eye_array(n * n) - hop - hop.conj().T)
    assert is_symmetric(S)
    D = rng.uniform(0.5, 2.0, n * n)
    A = sp.csr_array(D[:, None] * S)
    b = rng.standard_normal(n * n) + 1j * rng.standard_normal(n * n)
    solution = solve(A, b=b, shape=(n, n), krylov="cg")
    expected = np.linalg.solve(A.toarray(), b)
    assert solution.converged
    np.testing.assert_allclose(solution.x, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("scaling", ["identity", "diagonal"])
@pytest.mark.parametrize("name", GIVEN)
def test_a_polynomial_is_derived_for_its_real_spectrum(name, scaling):
    """What needs a positive spectrum was refused, as for any A that is not symmetric."""
    A = GIVEN[name][0]
    start = derive("chebyshev4", 3, A, scaling=scaling)
    D = A.diagonal() if scaling == "diagonal" else np.ones(A.shape[0])
    values = np.linalg.eigvals(A.toarray() / D[:, None])
    assert np.abs(values.imag).max() <= 1e-8 * np.abs(values).max()
    assert values.real.max() <= start.operator.upper <= 1.05 * values.real.max()
    assert np.abs(start.polynomial(values)).max() <= 1.0 + 1e-9
