"""The direct solver of the coarsest level: dense and sparse, regular and singular, real and
complex, against numpy's pinv; refusals."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory.multigrid.coarse import DirectSolver
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.nullspace import coarse_nullspace
from mgtheory.problems.catalogue import poisson

GRID = poisson((9, 9))


@pytest.mark.parametrize("side", [8, 23])
@pytest.mark.parametrize("boundary", ["dirichlet", "periodic"])
def test_direct_solver_is_the_pseudo_inverse(side, boundary):
    """Dense (64 unknowns) and sparse (529), regular and singular, against numpy's pinv; and after
    pickling."""
    problem = poisson((side, side), boundary=boundary)
    solver = DirectSolver(problem.A, problem.nullspace)
    r = np.random.default_rng(0).standard_normal(side**2)
    expected = np.linalg.pinv(problem.A.toarray(), rcond=1e-12) @ r
    np.testing.assert_allclose(solver(r), expected, atol=1e-11 * np.abs(expected).max())
    np.testing.assert_allclose(pickle.loads(pickle.dumps(solver))(r), solver(r), rtol=1e-12)
    short = DirectSolver(problem.A.astype(np.float32), problem.nullspace)(r.astype(np.float32))
    assert short.dtype == np.float32
    np.testing.assert_allclose(short, expected, atol=2e-3 * np.abs(expected).max())


def test_the_coarsest_nullspace_is_constant():
    """On cells that do not nest, R 1 is not constant; the nullspace of the coarsest A is all the
    same."""
    hierarchy = Hierarchy.build(poisson((23, 17), boundary="neumann"))
    assert np.ptp(hierarchy.levels[0].R @ np.ones(23 * 17)) > 0.01
    N = hierarchy.coarse_solver.nullspace
    assert np.ptp(N) < 1e-14
    assert np.abs(hierarchy.levels[-1].A @ N).max() < 1e-10


def test_a_nullspace_of_several_stays_what_restriction_makes_of_it():
    """Moduli that are constant say nothing where there are two: here (1, 1) and (1, -1)."""
    signs = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, -1.0], [1.0, -1.0]]) / 2
    N = coarse_nullspace(signs, [sp.csr_array(np.eye(4))], float)
    np.testing.assert_allclose(N @ (N.T @ signs), signs, atol=1e-14)


@pytest.mark.parametrize("side", [8, 23])
def test_direct_solver_of_rows_of_many_sizes(side):
    """Both solvers, dense and sparse factors, take rows that differ by thirty orders."""
    sizes = 10.0 ** np.linspace(0.0, 30.0, side**2)
    A = sp.csr_array(sp.diags_array(sizes) @ poisson((side, side)).A)
    x = np.random.default_rng(0).standard_normal(side**2)
    np.testing.assert_allclose(DirectSolver(A)(A @ x), x, atol=1e-11)


@pytest.mark.parametrize("side", [8, 23])
def test_direct_solver_with_a_complex_nullspace(side):
    """A Hermitian A whose nullspace is no real vector: the solution is orthogonal to it, N^* x = 0
    and not N^T x = 0."""
    problem = poisson((side, side), boundary="periodic")
    turn = np.exp(1j * np.linspace(0.0, 3.0, side**2) ** 2)
    A = sp.csr_array(sp.diags_array(turn.conj()) @ problem.A @ sp.diags_array(turn))
    N = turn.conj()[:, None] / side
    assert np.abs(A @ N).max() < 1e-9
    assert abs((N.T @ N).item()) < 0.9
    generator = np.random.default_rng(0)
    r = generator.standard_normal(side**2) + 1j * generator.standard_normal(side**2)
    x = DirectSolver(A, N)(r)
    expected = np.linalg.pinv(A.toarray(), rcond=1e-12) @ r
    np.testing.assert_allclose(x, expected, atol=1e-11 * np.abs(expected).max())
    hierarchy = Hierarchy.build(
        A, shape=(side, side), boundary="periodic", nullspace=N, coarsest=16
    )
    solution = hierarchy.solve(A @ x, maxiter=60)
    assert solution.converged
    assert abs((N.conj().T @ solution.x).item()) < 1e-10 * np.linalg.norm(solution.x)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: DirectSolver(sp.csr_array(np.ones((3, 4)))),
            r"A has shape \(3, 4\), must be square",
        ),
        (
            lambda: DirectSolver(GRID.A, np.ones((3, 1))),
            r"nullspace has shape \(3, 1\), must be \(81, m\)",
        ),
        (lambda: DirectSolver(GRID.A)(np.ones(3)), r"r has shape \(3,\), must be \(81,\)"),
        (lambda: DirectSolver(GRID.A * np.nan), "the coarsest A is singular"),
        *(  # to rounding: no pivot is 0
            (lambda n=n: DirectSolver(poisson((n, n), boundary="neumann").A), "A is singular")
            for n in (9, 23)
        ),
    ],
)
def test_refusals_of_the_direct_solver(call, words):
    with pytest.raises(ValueError, match=words):
        call()
