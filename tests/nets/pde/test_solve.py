"""The solving loop around the cycle of torch: the iterates of the sparse hierarchy, and why it
ends."""

import numpy as np
import pytest

from mgtheory import problems
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.solution import Reason
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.pde.solve import TorchHierarchy


@pytest.mark.parametrize(
    ("shape", "boundary"), [((31,), "dirichlet"), ((15, 31), "dirichlet"), ((16, 16), "periodic")]
)
@pytest.mark.parametrize("cycle", ["V", "W", "F"])
def test_residuals_are_those_of_the_sparse_hierarchy(shape, boundary, cycle):
    problem = problems.poisson(shape, boundary=boundary)
    b, seen = problem.b, []
    sparse = Hierarchy.build(problem, smoother="chebyshev4", degree=2, coarsest=16)
    bridge = TorchHierarchy(problem, smoother="chebyshev4", degree=2, cycle=cycle, coarsest=16)
    expected = sparse.solve(b, tol=1e-8, cycle=cycle)
    found = bridge.solve(b, tol=1e-8, cycle=cycle, callback=lambda *line: seen.append(line))
    assert found.reason is expected.reason is Reason.CONVERGED
    assert found.x.shape == np.shape(b)
    np.testing.assert_allclose(found.residual_norms, expected.residual_norms, rtol=1e-4)
    assert seen == list(enumerate(found.residual_norms))
    # the error of both is 1e-8 of the right-hand side at most
    np.testing.assert_allclose(found.x, expected.x, atol=1e-7 * np.abs(expected.x).max())
    assert str(bridge) == str(bridge.module.hierarchy())


def test_why_it_ends():
    problem = problems.poisson((15, 15))
    solver = TorchHierarchy(problem, degree=2)
    none = solver.solve(problem.b, maxiter=0)
    assert (none.reason, len(none.residual_norms)) == (Reason.MAXITER, 1)
    assert (none.x == 0).all()
    one = solver.solve(problem.b, maxiter=1)
    assert (one.reason, len(one.residual_norms)) == (Reason.MAXITER, 2)
    bad = ResidualPolynomial([-0.1 * problem.smoothing_interval().b])
    grown = TorchHierarchy(problem, smoother=bad).solve(problem.b)
    assert grown.reason is Reason.DIVERGED
    assert grown.residual_norms[-1] > 1e3 * min(grown.residual_norms)
    for wrong in ({"tol": -1}, {"maxiter": -1}, {"maxiter": 1.5}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            solver.solve(problem.b, **wrong)


def test_the_default_is_that_of_every_hierarchy():
    """Degrees 2, 3, 4 from level to level, not one for all; the same cycles as the sparse twin."""
    problem = problems.poisson((63, 63))
    bridge, sparse = TorchHierarchy(problem), Hierarchy.build(problem)
    degrees = [bridge.module.polynomial(level).degree for level in range(3)]
    assert degrees == [level.pre.polynomial.degree for level in sparse.levels[:-1]] == [2, 3, 4]
    found, expected = bridge.solve(problem.b), sparse.solve(problem.b)
    np.testing.assert_allclose(found.residual_norms, expected.residual_norms, rtol=1e-4)
    assert bridge.work_units("V") == pytest.approx(sparse.work_units("V"))


def test_tolerances_against_nothing_and_absolute_ones():
    problem = problems.poisson((31, 31))
    solver = TorchHierarchy(problem)
    zero, ones = np.zeros(31 * 31), np.ones(31 * 31)
    found = solver.solve(zero, ones)
    assert found.converged
    assert found.residual_norms[0] == pytest.approx(np.linalg.norm(problem.A @ ones))
    assert found.residual_norms[-1] <= 1e-8 * found.residual_norms[0]
    found = solver.solve(problem.b, tol=0.0, atol=1e-2)
    assert found.converged
    assert found.residual_norms[-1] <= 1e-2 < found.residual_norms[-2]
    with pytest.raises(ValueError, match="cycle is W, the module was made for V"):
        solver.solve(problem.b, cycle="W")


@pytest.mark.parametrize("size", [1e-290, 1e-200, 1e200])
def test_right_hand_sides_of_any_size(size):
    problem = problems.poisson((15, 15))
    solver = TorchHierarchy(problem, degree=2, coarsest=16)
    one = solver.solve(problem.b)
    for x0 in (None, 1e300 * np.ones(225)):
        found = solver.solve(size * problem.b, x0)
        assert found.iterations == one.iterations
        np.testing.assert_allclose(found.x / size, one.x, rtol=1e-9)


def test_x_is_orthogonal_to_the_nullspace():
    """Wherever it starts."""
    problem = problems.poisson((16, 8), boundary="periodic")
    bridge = TorchHierarchy(problem, coarsest=16)
    b = problem.b - problem.b.mean()
    found = bridge.solve(b, np.full(128, 5.0))
    assert found.converged
    assert abs(found.x.mean()) < 1e-14
    np.testing.assert_allclose(found.x, bridge.solve(b).x, atol=1e-9)


def test_full_multigrid_comes_first():
    """As in the sparse hierarchy: the pass, then V-cycles; coarse grids may take the scheme's own
    loads."""
    problem = problems.poisson((31, 15))
    sparse = Hierarchy.build(problem, coarsest=16)
    bridge = TorchHierarchy(problem, cycle="FMG", coarsest=16)
    for loads in (None, problem.equation.load):
        expected = sparse.solve(problem.b, cycle="FMG", loads=loads, tol=1e-9)
        found = bridge.solve(problem.b, cycle="FMG", loads=loads, tol=1e-9)
        np.testing.assert_allclose(found.residual_norms, expected.residual_norms, rtol=1e-4)
        assert found.work_units == pytest.approx(expected.work_units)
    assert bridge.solve(problem.b, cycle="FMG", maxiter=0).work_units == 0.0
    once = bridge.full_multigrid(problem.b)
    np.testing.assert_allclose(once.x, sparse.full_multigrid(problem.b).x, rtol=1e-9)
    with pytest.raises(ValueError, match="starts from 0"):
        bridge.solve(problem.b, problem.b, cycle="FMG")
    with pytest.raises(ValueError, match="cycle is W"):
        bridge.solve(problem.b, cycle="W")
