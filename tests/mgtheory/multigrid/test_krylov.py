"""Krylov methods with a cycle as preconditioner: the solution, true norms, and why they end."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from mgtheory import Hierarchy, poisson
from mgtheory.multigrid.krylov import KRYLOV, krylov
from mgtheory.multigrid.solution import Reason
from mgtheory.problems import create
from mgtheory.smoothers import Jacobi


@pytest.mark.parametrize("method", KRYLOV)
@pytest.mark.parametrize("start", [False, True])
def test_solutions_and_norms_are_true(method, start):
    problem = create("jump2d", 31)
    A, b, heard = problem.A, problem.b, []
    x0 = np.random.default_rng(0).standard_normal(b.size) if start else None
    kept = None if x0 is None else x0.copy()
    hierarchy = Hierarchy.build(problem)
    found = krylov(
        hierarchy, A, b, x0, method=method, tol=1e-10, callback=lambda *line: heard.append(line)
    )
    assert found.reason is Reason.CONVERGED
    first = b if x0 is None else b - A @ x0
    assert found.residual_norms[0] == pytest.approx(np.linalg.norm(first))
    assert found.residual_norms[-1] == pytest.approx(np.linalg.norm(b - A @ found.x), rel=1e-6)
    assert heard == list(enumerate(found.residual_norms))
    np.testing.assert_allclose(
        found.x, sla.spsolve(sp.csc_array(A), b), atol=1e-8 * np.abs(found.x).max()
    )
    assert found.iterations < hierarchy.solve(b, tol=1e-10).iterations
    assert x0 is None or (x0 == kept).all()


@pytest.mark.parametrize("method", ["cg", "minres"])
def test_asked_for_the_impossible_it_ends_at_rounding(method):
    """With tol = 0; on 3 x 3 points the recurrences of cg came to 0/0."""
    problem = poisson((3, 3))
    found = krylov(Hierarchy.build(problem), problem.A, problem.b, method=method, tol=0.0)
    assert found.reason is Reason.STAGNATED
    assert found.message.endswith("; rounding allows no less")
    np.testing.assert_allclose(found.x, sla.spsolve(sp.csc_array(problem.A), problem.b), rtol=1e-12)


@pytest.mark.parametrize("method", KRYLOV)
def test_singular_operators(method):
    problem = poisson((16, 16), boundary="neumann")
    hierarchy, b = Hierarchy.build(problem), problem.b
    found = krylov(hierarchy, problem.A, b, method=method)
    assert found.converged
    assert abs(found.x.sum()) <= 1e-10 * np.abs(found.x).sum()
    moved = krylov(hierarchy, problem.A, b, found.x + 5.0, method=method)
    np.testing.assert_allclose(moved.x, found.x, atol=1e-6 * np.abs(found.x).max())
    wrong = krylov(hierarchy, problem.A, b + 1.0, method=method)
    assert wrong.reason is Reason.INCOMPATIBLE
    assert wrong.incompatibility == pytest.approx(16.0)
    np.testing.assert_allclose(wrong.x, found.x, atol=1e-6 * np.abs(found.x).max())


def test_when_it_ends():
    problem = poisson((31, 31))
    hierarchy, A, b = Hierarchy.build(problem), problem.A, problem.b
    few = krylov(hierarchy, A, b, maxiter=2)
    assert (few.reason, few.iterations) == (Reason.MAXITER, 2)
    for method in KRYLOV:  # no step at all: the start with its residual
        none = krylov(hierarchy, A, b, few.x, method=method, maxiter=0)
        assert (none.reason, none.iterations) == (Reason.MAXITER, 0)
        assert none.residual_norms[0] == pytest.approx(np.linalg.norm(b - A @ few.x))
        np.testing.assert_array_equal(none.x, few.x)
    assert "after 2 restarts of gmres(10)" in krylov(hierarchy, A, b, method="gmres").message
    norms = krylov(hierarchy, A, b).residual_norms
    assert krylov(hierarchy, A, b, tol=0.0, atol=1.01 * norms[3]).iterations == 3
    nothing = krylov(hierarchy, A, 0 * b, np.ones(b.size))
    assert nothing.converged
    assert np.abs(nothing.x).max() <= 1e-6
    for wrong, said in (
        ({"method": "bicg"}, "cg, minres, gmres"),
        ({"cycle": "FMG"}, "V, W and F are allowed"),
        ({"tol": -1.0}, "tol is -1"),
        ({"atol": np.nan}, "atol is nan"),
    ):
        with pytest.raises(ValueError, match=said):
            krylov(hierarchy, A, b, **wrong)


@pytest.mark.parametrize("method", [name for name, symmetric in KRYLOV.items() if symmetric])
def test_a_refusal_names_the_methods_that_take_a_wind(method):
    problem = create("convection2d", 15)
    hierarchy = Hierarchy.build(problem)
    with pytest.raises(ValueError, match=f"^krylov {method}: the cycle is not symmetric") as caught:
        krylov(hierarchy, problem.A, problem.b, method=method)
    assert str(caught.value).endswith("take krylov gmres, or cycles alone without a Krylov method")
    assert krylov(hierarchy, problem.A, problem.b, method="gmres").converged
    assert hierarchy.solve(problem.b).converged


def printed(digits):
    """-u_xx - u_yy times 1.2345678 with entries of few digits that differ from those back."""
    A = sp.coo_array(1.2345678 * poisson((15, 15)).A)
    ways = 1 + 10.0**-digits * np.random.default_rng(0).uniform(-0.5, 0.5, A.nnz)
    entries = [float(f"{value:.{digits}g}") for value in A.data * ways]
    return sp.csr_array(sp.coo_array((entries, (A.row, A.col)), shape=A.shape))


@pytest.mark.parametrize("method", KRYLOV)
def test_what_is_noticed_of_a_matrix_is_said_of_its_steps_too(method):
    A = printed(6)
    hierarchy = Hierarchy.build(A, shape=(15, 15), coarsest=20)
    found = krylov(hierarchy, A, A @ np.ones(225), method=method)
    assert found.warnings == hierarchy.warnings
    (said,) = found.warnings
    assert "A is taken as symmetric" in said
    assert found.message.endswith(f"; {said}")


def test_a_refusal_of_a_nearly_symmetric_matrix_names_its_symmetric_part():
    A = printed(4)
    hierarchy = Hierarchy.build(A, shape=(15, 15), coarsest=20)
    with pytest.raises(ValueError, match=r"differ by up to 8e-05 .* give \(A \+ A\^T\)/2; take"):
        krylov(hierarchy, A, A @ np.ones(225), method="cg")
    A = sp.csr_array(0.5 * (A + A.T))
    hierarchy = Hierarchy.build(A, shape=(15, 15), coarsest=20)
    assert krylov(hierarchy, A, A @ np.ones(225), method="cg").converged
    wind = create("convection2d", 15)  # no rounding
    with pytest.raises(ValueError, match="symmetric A and coarse solver; take krylov gmres"):
        krylov(Hierarchy.build(wind, coarsest=20), wind.A, wind.b, method="cg")


def test_what_the_refusal_of_a_preconditioner_names_takes_it():
    """Methods of SciPy, which have M alone."""
    problem = create("convection2d", 15)
    hierarchy = Hierarchy.build(problem)
    with pytest.raises(ValueError, match="the cycle is not symmetric") as caught:
        hierarchy.as_preconditioner()
    named = str(caught.value).partition("; for ")[2].removesuffix(" pass symmetric=False")
    methods = named.replace(" or ", ", ").split(", ")
    assert len(methods) == 5
    M = hierarchy.as_preconditioner(symmetric=False)
    for name in methods:
        x, failed = getattr(sla, name)(problem.A, problem.b, M=M, rtol=1e-8, maxiter=30)
        assert not failed
        assert np.linalg.norm(problem.b - problem.A @ x) <= 1e-6 * np.linalg.norm(problem.b)


def test_a_cycle_that_is_symmetric_and_not_positive():
    """Jacobi with omega > 1 amplifies the highest frequencies: of 1 - omega t on (0, 2), 1.8 at the
    end. SciPy's minres then says that A is not symmetric, and cg says nothing."""
    problem = poisson((31, 31))
    hierarchy = Hierarchy.build(problem, smoother=Jacobi(1.4))
    M = hierarchy.as_preconditioner()
    columns = np.column_stack([M @ e for e in np.eye(problem.unknowns)])
    assert np.linalg.eigvalsh(columns)[0] < 0
    b = np.random.default_rng(0).standard_normal(problem.unknowns)
    found = krylov(hierarchy, problem.A, b, maxiter=40)
    assert not found.converged
    assert "no positive definite preconditioner" in found.message
    assert found.warnings[0] in found.message
    with pytest.raises(ValueError, match=r"^krylov minres: .* no positive definite"):
        krylov(hierarchy, problem.A, b, method="minres")


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
def test_a_positive_cycle_is_not_blamed(boundary):
    problem = poisson((31, 31), boundary=boundary)
    found = krylov(Hierarchy.build(problem), problem.A, problem.b + 1.0, maxiter=2)
    assert found.reason == "maxiter"
    assert "positive" not in found.message


@pytest.mark.parametrize("method", KRYLOV)
@pytest.mark.parametrize("start", [False, True])
def test_work_is_what_is_done(method, start):
    """Products with A of the method and for the true residuals, and those of every cycle."""
    problem, done = poisson((31, 31)), []
    hierarchy, b = Hierarchy.build(problem), problem.b
    inside = hierarchy.work_units()
    as_preconditioner = hierarchy.as_preconditioner

    def told(*args, **options):
        M = as_preconditioner(*args, **options)
        done.clear()  # of what was tried for symmetry
        return sla.LinearOperator(M.shape, lambda r: [done.append(inside), M @ r][1], dtype=M.dtype)

    hierarchy.as_preconditioner = told
    A = sla.LinearOperator(
        problem.A.shape, lambda x: [done.append(1.0), problem.A @ x][1], dtype=float
    )
    x0 = np.ones(b.size) if start else None
    found = krylov(hierarchy, A, b, x0, method=method)
    assert found.work_units == pytest.approx(sum(done) - start)  # not that of the start
    assert found.work_units > found.iterations * inside


def test_an_iteration_is_called_what_it_is():
    problem = poisson((31, 31))
    hierarchy = Hierarchy.build(problem)
    for method, step in (("cg", "step of cg"), ("gmres", "restart of gmres(10)")):
        found = krylov(hierarchy, problem.A, problem.b, method=method)
        assert found.step == step
        assert f", {found.iterations} {step.replace(' ', 's ', 1)}, residual" in repr(found)
        assert f"<th>{step}</th>" in found._repr_html_()
    few = krylov(hierarchy, problem.A, problem.b, method="cg", maxiter=1)
    assert ", 1 step of cg, residual" in repr(few)
    assert ", 1 cycle, residual" in repr(hierarchy.solve(problem.b, maxiter=1))


@pytest.mark.parametrize("unit", [1e-12, 1e-3, 1e12])
def test_minres_takes_as_many_steps_in_any_unit(unit):
    """SciPy's own tests mix norms: of 1e-12 A it ended after one step, at 0.2."""
    A = create("jump2d", 33).A
    for b in (np.ones(33**2), np.random.default_rng(0).standard_normal(33**2)):
        steps = []
        for c in (1.0, unit):
            hierarchy = Hierarchy.build(sp.csr_array(c * A), shape=(33, 33))
            solution = krylov(hierarchy, c * A, b, method="minres")
            assert solution.converged
            np.testing.assert_allclose(c * A @ solution.x, b, atol=1e-6)
            steps.append(solution.iterations)
        assert steps[0] == steps[1] <= 8
