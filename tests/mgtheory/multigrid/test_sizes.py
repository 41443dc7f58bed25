"""Right-hand sides and starts of any size: every solver does the same, b is solved by the digits
that it has, and a start that has none of x is left."""

import numpy as np
import pytest

from mgtheory import Hierarchy, StencilHierarchy, poisson
from mgtheory.multigrid.krylov import krylov
from mgtheory.multigrid.solution import Reason
from mgtheory.problems import create

PROBLEM = poisson((31, 31))
SPARSE, STENCIL = Hierarchy.build(PROBLEM), StencilHierarchy.build(PROBLEM, coarsest=64)
SINGLE = Hierarchy.build(PROBLEM, dtype="float32")
SOLVERS = {
    "sparse": SPARSE.solve,
    "float32 cycle": SINGLE.solve,
    "stencil": STENCIL.solve,
    "cg": lambda b, x0=None, **o: krylov(SPARSE, PROBLEM.A, b, x0, **o),
    "minres": lambda b, x0=None, **o: krylov(SPARSE, PROBLEM.A, b, x0, method="minres", **o),
    "gmres": lambda b, x0=None, **o: krylov(STENCIL, PROBLEM.A, b, x0, method="gmres", **o),
}
B = np.random.default_rng(0).standard_normal(31 * 31)
ONES = np.ones(31 * 31)
X = SPARSE.solve(B, tol=1e-12).x
EACH = pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)


@EACH
@pytest.mark.parametrize("size", [1e-290, 1e-200, 1e-170, 1e160, 1e200, 1e300])
def test_the_size_of_b_does_not_matter(solve, size):
    heard = []
    found = solve(size * B, callback=lambda k, norm: heard.append(norm))
    expected = solve(B)
    assert found.reason is Reason.CONVERGED
    assert found.iterations == expected.iterations
    np.testing.assert_allclose(found.x / size, X, atol=1e-7 * np.abs(X).max())
    np.testing.assert_allclose(
        np.array(found.residual_norms) / size, expected.residual_norms, rtol=1e-2
    )
    assert heard == list(found.residual_norms)
    assert f"{found.residual_norms[-1]:.2e}" in found.message
    # atol is of the user's size too
    k = found.iterations - 1
    stopped = solve(size * B, tol=0.0, atol=1.01 * found.residual_norms[k])
    assert (stopped.converged, stopped.iterations) == (True, k)


@EACH
@pytest.mark.parametrize("size", [1e-200, 1e-20, 1.0, 1e150])
@pytest.mark.parametrize("start", [1e200, 1e300])
def test_a_start_without_a_digit_of_x_is_left(solve, size, start):
    found = solve(size * B, start * ONES)
    assert found.converged
    np.testing.assert_allclose(found.x / size, X, atol=1e-7 * np.abs(X).max())
    assert found.residual_norms[0] == pytest.approx(size * np.linalg.norm(B))
    (said,) = found.warnings
    assert "x0 tells nothing of x" in said
    assert said in found.message


@EACH
def test_other_starts_are_used(solve):
    for size in (1e-200, 1.0, 1e200):
        x0 = X + 10.0 * ONES
        found = solve(size * B, size * x0)
        assert found.converged
        assert found.warnings == ()
        assert found.residual_norms[0] == pytest.approx(
            size * np.linalg.norm(B - PROBLEM.A @ x0), rel=1e-9
        )
        assert solve(size * B, size * X).iterations <= 1


@EACH
def test_nothing_on_the_right(solve):
    """Relative to the start, whatever its size; one whose square vanishes is 0."""
    for size in (1e-30, 1e200):
        found = solve(0 * B, size * ONES)
        assert found.converged
        assert 0 < np.abs(found.x).max() <= 1e-6 * size
    single = Hierarchy.build(PROBLEM, dtype=np.float32).apply(0 * B)
    assert single.dtype == np.float64
    assert not single.any()
    for x0 in (None, 0 * B, 1e-200 * ONES, 5e-324 * ONES):
        found = solve(0 * B, x0)
        assert (found.reason, found.warnings) == (Reason.CONVERGED, ())
        assert not found.x.any()


@EACH
@pytest.mark.parametrize("b", [np.full(961, 5e-324), 1e-310 * B, 1e-305 * B, 1e308 * ONES])
def test_b_without_digits_is_refused(solve, b):
    for x0 in (None, ONES):
        with pytest.raises(ValueError, match="leaves the range of float64; scale the equation"):
            solve(b, x0)


@EACH
def test_infinite_entries_are_refused(solve):
    for b, x0 in ((np.inf * ONES, None), (B, np.nan * ONES)):
        with pytest.raises(ValueError, match="infinite"):
            solve(b, x0)


def test_full_multigrid_and_its_loads():
    load = PROBLEM.equation.load
    for solver in (SPARSE, STENCIL):
        one = solver.solve(PROBLEM.b, cycle="FMG", loads=load)
        for size in (1e-200, 1e200):
            found = solver.solve(
                size * PROBLEM.b, cycle="FMG", loads=lambda shape, s=size: s * load(shape)
            )
            assert found.iterations == one.iterations
            np.testing.assert_allclose(found.x / size, one.x, atol=1e-12)


def test_single_precision():
    A = PROBLEM.A.astype(np.float32)
    hierarchy = Hierarchy.build(A, shape=(31, 31))
    for size in (1e-30, 1e-15, 1e15, 1e30):
        b = (size * B).astype(np.float32)
        found = hierarchy.solve(b, tol=1e-4)
        assert found.x.dtype == np.float32
        np.testing.assert_allclose(found.x / np.float32(size), X, atol=1e-3 * np.abs(X).max())
    with pytest.raises(ValueError, match="range of float32"):
        hierarchy.solve(np.full(961, 1e-40, dtype=np.float32), tol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
@pytest.mark.parametrize("name", ["poisson1d", "poisson2d", "variable2d", "poisson3d"])
def test_an_incompatible_load_in_single_precision(name, boundary, dtype):
    """What rounding leaves of the rest is no reason to speak of stagnation."""
    problem = create(name, 8 if "3d" in name else 32, boundary=boundary)
    A, n = (problem.A / 3).astype(dtype), problem.unknowns
    b = np.random.default_rng(0).standard_normal(n) + 1.0
    hierarchy = Hierarchy.build(A, shape=problem.shape, boundary=boundary)
    missing = n**0.5 * b.mean()
    for right in (b.astype(dtype), b):
        for found in (hierarchy.solve(right), krylov(hierarchy, A, right)):
            assert found.reason is Reason.INCOMPATIBLE
            assert found.incompatibility == pytest.approx(missing, rel=1e-4)
            assert found.residual_norms[-1] == pytest.approx(missing, rel=1e-3)
        said = hierarchy.solve(right).message
        assert f"of norm {found.incompatibility:.2e} outside its range" in said
        wanted = float(said.split("(wanted ")[1].split(")")[0])
        assert wanted == pytest.approx(1e-8 * np.linalg.norm(b), rel=1e-2)


def test_a_cycle_that_does_not_reduce_is_not_called_incompatible():
    problem = poisson((32, 32), boundary="neumann")
    hierarchy = Hierarchy.build(problem, smoother=lambda level: Idle(level))
    found = hierarchy.solve(B[0] + np.random.default_rng(0).standard_normal(1024))
    assert found.reason is Reason.STAGNATED
    assert "the cycle does not reduce it" in found.message


class Idle:
    """Smooths nothing."""

    def __init__(self, level):
        self.n = level.size

    def correct(self, r):
        return 0.0 * r


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_what_is_outside_of_the_range_has_the_size_of_b(size):
    problem = poisson((16, 16), boundary="neumann")
    b = np.random.default_rng(0).standard_normal(256) + 1.0
    hierarchy = Hierarchy.build(problem)
    found, expected = hierarchy.solve(size * b), hierarchy.solve(b)
    assert expected.incompatibility == pytest.approx(16 * b.mean())
    assert found.incompatibility == pytest.approx(size * expected.incompatibility, rel=1e-12)
    assert found.reason == expected.reason == "incompatible"


def test_a_start_in_the_nullspace():
    problem = poisson((32, 32), boundary="neumann")
    found = Hierarchy.build(problem).solve(np.zeros(1024), np.ones(1024))
    assert found.converged
    assert not found.x.any()


def test_a_solution_beyond_the_doubles_is_refused():
    A = PROBLEM.A * 1e-20
    hierarchy = Hierarchy.build(A, shape=(31, 31))
    assert hierarchy.solve(1e280 * B).converged
    with pytest.raises(ValueError, match="x leaves the range of float64"):
        hierarchy.solve(3e288 * PROBLEM.b)  # in the middle of the grid alone


def test_counts_may_be_arrays_and_numbers_of_numpy():
    problem = poisson((15, 15))
    plain = Hierarchy.build(problem, degree=2, pre=1, post=[1, 2])
    same = Hierarchy.build(problem, degree=np.array(2), pre=np.int8(1), post=[1, np.array(2)])
    assert str(plain) == str(same)
    with pytest.raises(ValueError, match=r"degree is 2\.5 on level 0"):
        Hierarchy.build(problem, degree=np.array(2.5))


def test_minres_refuses_complex_numbers():
    problem = poisson((15, 15))
    with pytest.raises(ValueError, match="take cg or gmres"):
        krylov(Hierarchy.build(problem), problem.A, problem.b * (1 + 1j), method="minres")
    with pytest.raises(ValueError, match="take cg or gmres"):
        krylov(Hierarchy.build(problem), problem.A, problem.b, 1j * problem.b, method="minres")


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_loads_that_are_masked_are_refused_whatever_their_size(size):
    """What stands below a mask counted where b leaves the range of its squares."""
    masked = np.ma.masked_array(ONES, np.arange(31 * 31) == 5)
    with pytest.raises(ValueError, match=r"loads\(\(15, 15\)\) is a masked array, 1 of its 225"):
        SPARSE.solve(size * B, cycle="FMG", loads=lambda shape: size * masked[: np.prod(shape)])
