"""One default at every door: the same smoother and degrees, and float32 where it is known to do."""

import re

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory import Hierarchy, Problem, Solution, Stencil, StencilHierarchy, poisson
from mgtheory.multigrid.loop import Stop, drive
from mgtheory.multigrid.solution import Reason
from mgtheory.problems import create
from mgtheory.solving import FASTEST, solve


def test_the_hierarchies_have_one_default():
    problem = poisson((63, 63))
    one, other = (kind.build(problem, coarsest=64) for kind in (Hierarchy, StencilHierarchy))
    b = np.random.default_rng(0).standard_normal(63**2)
    for cycle in "VWF":
        expected = one.apply(b, cycle)
        np.testing.assert_allclose(
            other.apply(b, cycle), expected, atol=1e-12 * np.abs(expected).max()
        )
    assert [level.pre.polynomial.degree for level in one.levels[:-1]] == [2, 3, 4]


@pytest.mark.parametrize(
    ("problem", "single"),
    [
        (poisson((63, 63)), True),
        (poisson((64, 64), boundary="periodic"), True),
        (create("variable2d", 63), True),
        (create("jump2d", 63), False),  # 1000 times the Laplacian's 1600
        (poisson((4095,)), False),  # 7e6
        (poisson((63, 63)).A, False),  # nothing is known
    ],
)
def test_float32_where_it_is_known_to_converge(problem, single):
    options = {} if hasattr(problem, "b") else {"shape": (63, 63)}
    hierarchy = Hierarchy.build(problem, dtype="auto", **options)
    assert (hierarchy.levels[0].operator.dtype == np.float32) == single
    b = problem.b if hasattr(problem, "b") else np.ones(63**2)
    assert hierarchy.solve(b, cycle="FMG", tol=1e-9).converged


def test_builds_take_the_same_options_or_say_why_not():
    problem = poisson((63, 63))
    same = {"boundary": "dirichlet", "restriction": "full", "dtype": "auto", "nullspace": "auto"}
    for kind in (Hierarchy, StencilHierarchy):
        hierarchy = kind.build(
            problem, smoother="chebyshev4", degree=2, post_smoother="jacobi", coarsest=64, **same
        )
        assert hierarchy.solve(problem.b).converged
    # the sparse one takes the adjoint of pre-smoothing; here nothing would take its place
    with pytest.raises(ValueError, match="different smoothers before and after"):
        hierarchy.as_preconditioner()
    for name, value in (("restriction", "half"), ("dtype", np.float16), ("boundary", "neumann")):
        with pytest.raises(ValueError, match=f"{name} is .*mgtheory.Hierarchy has others"):
            StencilHierarchy.build(problem, **{name: value})
    with pytest.raises(TypeError, match="unknown option 'shpae'"):
        StencilHierarchy.build(problem, shpae=3)


@pytest.mark.parametrize("kind", [Hierarchy, StencilHierarchy])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_levels_are_as_many_as_asked_at_most(kind, most):
    assert len(kind.build(poisson((63, 63)), max_levels=most, coarsest=9).levels) == most


@pytest.mark.parametrize(
    ("left", "reason", "said"),
    [
        ([0.9996] * 30, "stagnated", "the residual stays at 9.92e-01"),  # 0.9920 after 20 cycles
        ([0.99948] * 30, "maxiter", "after the 30 cycles allowed"),  # 0.9896
        ([0.1, 2000.0], "diverged", r"grew from 1.00e-01 to 2.00e\+02 in 2 cycles"),
        ([1e-9], "converged", "after 1 cycle$"),
    ],
)
def test_why_a_loop_ends(left, reason, said):
    factors = iter(left)
    ended = drive(lambda norms: norms[-1] * next(factors), 1.0, 1.0, Stop(maxiter=30))
    assert ended.reason == reason
    assert re.search(said, ended.message)
    assert len(ended.norms) == {"stagnated": 21, "maxiter": 31}.get(reason, len(left) + 1)


def test_nothing_is_left_of_a_direct_solve():
    found = Solution(np.ones(1), (1.0, 0.0, 0.0), Reason.CONVERGED, "")
    assert np.isnan(found.factor)
    assert drive(lambda norms: 0.0, 0.0, 0.0, Stop()).message.endswith("after 0 cycles")


def test_one_call_solves_as_fast_as_the_doors_do():
    """`solve` adds full multigrid from the loads and float32 to the common default, no more."""
    problem = create("poisson2d-9point", 63)
    found = solve(problem)
    hierarchy = Hierarchy.build(problem, dtype=FASTEST["dtype"])
    expected = hierarchy.solve(problem.b, cycle=FASTEST["cycle"], loads=problem.equation.load)
    np.testing.assert_array_equal(found.x, expected.x)
    assert hierarchy.levels[0].operator.dtype == np.float32
    assert found.iterations < Hierarchy.build(problem).solve(problem.b).iterations
    assert solve(problem, krylov="cg").converged
    np.testing.assert_allclose(solve(problem, backend="stencil").x, found.x, atol=1e-6)
    with pytest.raises(ValueError, match="unknown backend 'dense', known are: sparse, stencil"):
        solve(problem, backend="dense")


@pytest.mark.parametrize("kind", [Hierarchy, StencilHierarchy])
def test_tolerances_are_relative_absolute_or_to_the_start(kind):
    problem = poisson((63, 63))
    hierarchy = kind.build(problem, coarsest=64)
    norms = hierarchy.solve(problem.b).residual_norms
    for k in (1, 3):
        found = hierarchy.solve(problem.b, tol=0.0, atol=1.01 * norms[k])
        assert (found.converged, found.iterations) == (True, k)
    # the larger of both
    assert hierarchy.solve(problem.b, tol=1e-2, atol=1e-300).iterations <= 3
    for size in (1.0, 1e-30, 1e30):
        x0 = size * np.ones(63**2)
        nothing = hierarchy.solve(0 * problem.b, x0)
        assert nothing.converged
        assert 3 <= nothing.iterations <= 12
        assert np.abs(nothing.x).max() <= 1e-6 * size
    assert hierarchy.solve(0 * problem.b).iterations == 0
    with pytest.raises(ValueError, match="atol is -1"):
        hierarchy.solve(problem.b, atol=-1)


@pytest.mark.parametrize("backend", ["sparse", "stencil"])
@pytest.mark.parametrize("krylov", [None, "cg", "minres", "gmres"])
def test_solve_goes_on_from_a_start(backend, krylov):
    """From x with a residual of 1e-6 fewer steps are needed than from 0, and from the solution
    none."""
    problem = poisson((63, 63))
    options = {"backend": backend, "coarsest": 64, "krylov": krylov, "tol": 1e-8}
    whole = solve(problem, **options)
    near = solve(problem, **{**options, "tol": 1e-4}).x
    kept = near.copy()
    found = solve(problem, x0=near, **options)
    assert found.converged
    assert found.residual_norms[0] == pytest.approx(np.linalg.norm(problem.b - problem.A @ near))
    assert found.iterations < whole.iterations or krylov == "gmres"  # of 10 steps
    np.testing.assert_array_equal(near, kept)
    assert solve(problem, x0=found.x, **options).iterations == 0


def test_a_start_has_v_cycles_and_a_full_pass_where_that_is_asked_for():
    problem = poisson((63, 63))
    x0 = np.random.default_rng(0).standard_normal(63**2)
    hierarchy = Hierarchy.build(problem, dtype="auto")
    for cycle, own in ((None, "V"), ("W", "W"), ("FMG", "FMG")):
        found = solve(problem, x0=x0, cycle=cycle)
        expected = hierarchy.solve(problem.b, x0, cycle=own)
        np.testing.assert_allclose(found.residual_norms, expected.residual_norms, rtol=1e-6)
    with pytest.raises(ValueError, match="an FMG cycle starts from 0"):
        solve(problem, x0=x0, cycle="FMG", backend="stencil")


@pytest.mark.parametrize("given", [{"backend": "sparse"}, {"smoother": "jacobi", "pre": 2}])
def test_what_a_built_hierarchy_cannot_take_is_refused(given):
    problem = poisson((15, 15))
    with pytest.raises(ValueError, match=f"^{', '.join(given)} beside a hierarchy"):
        solve(problem, Hierarchy.build(problem), **given)


def test_a_hierarchy_of_another_matrix_is_a_preconditioner_alone():
    """Its cycles solved that one, and said that this is solved."""
    problem = poisson((31, 31))
    A, b = problem.A, problem.b
    other = Hierarchy.build(
        2.0 * A + sp.diags_array(np.linspace(0.0, 100.0, b.size)), shape=(31, 31)
    )
    for one in (problem, A):
        with pytest.raises(ValueError, match="built for another matrix, which its cycles solve"):
            solve(one, other, b=b)
        found = solve(one, other, b=b, krylov="cg")
        assert np.linalg.norm(b - A @ found.x) <= 1e-8 * np.linalg.norm(b)
    own = Hierarchy.build(A, shape=(31, 31))
    for same in (A, A.tocsc(), A.tocoo(), sp.csr_matrix(A), poisson((31, 31)), A * (1 + 1e-15)):
        assert solve(same, own, b=b).converged
    with pytest.raises(ValueError, match="built for another matrix"):
        solve(poisson((15, 15)), own)


def test_a_hierarchy_without_a_matrix_knows_its_problem_too():
    """Its numbers are compared: of another stencil, coefficient or grid it would solve that one."""
    build = StencilHierarchy.build
    problem, weak = poisson((31, 31)), Stencil.from_array([[0, -1, 0], [-1, 4.1, -1], [0, -1, 0]])
    others = [
        Problem.from_stencil(weak, (31, 31)),
        poisson((31, 15)),
        create("variable2d", 31),
    ]
    for other in others:
        hierarchy = build(other)
        with pytest.raises(ValueError, match="built for another matrix"):
            solve(problem, hierarchy)
        assert not hierarchy.solves(problem.A)
        assert all(hierarchy.solves(one) for one in (other, other.A))
    for boundary in ("periodic", "neumann"):  # which these do not have
        assert not hierarchy.solves(poisson((31, 31), boundary=boundary))
    assert solve(poisson((31, 31)), build(problem)).converged


@pytest.mark.parametrize("shape", [(3, 3), (63, 63)])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"smoother": "jakobi"}, "unknown smoother 'jakobi'"),
        ({"smoother": "jacobi", "degree": 2}, "degree"),
        ({"smoother": "chebyshev", "degree": -2}, "degree is -2"),
        ({"post_smoother": "jakobi"}, "unknown smoother 'jakobi'"),
        ({"pre": -1}, "pre is -1"),
    ],
)
def test_what_no_level_asks_for_is_refused_too(shape, options, said):
    """A grid without a coarser one has no smoother: the same words as where there is one."""
    for kind in (Hierarchy, StencilHierarchy):
        with pytest.raises(ValueError, match=said):
            kind.build(poisson(shape), **options)
