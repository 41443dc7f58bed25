"""Cycles and solves: dense twins of V, W and F, singular problems, Krylov methods, every reason why
a solve ends."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from mgtheory.matrixfree import StencilHierarchy
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.solution import Reason
from mgtheory.problems.catalogue import PROBLEMS, create, poisson
from mgtheory.smoothers import GaussSeidel, Jacobi

# symmetric ones; convection in ../problems/test_plane.py
CASES = [
    (name, boundary)
    for name, entry in PROBLEMS.items()
    for boundary in entry.boundaries
    if name != "convection2d"
]
SIDE = {1: 50, 2: 30, 3: 11}


def dense_cycle(levels, kind):
    """The matrix of one cycle by the textbook recursion on error propagators: E = S2 (I - P M R A)
    S1, cycle = (I - E) A^-1."""
    A = levels[0].A.toarray()
    if len(levels) == 1:
        return np.linalg.inv(A)

    def propagator(smoothing, count):
        if smoothing is None:
            return np.eye(len(A))
        C = np.column_stack([smoothing.correct(e) for e in np.eye(len(A))])
        return np.linalg.matrix_power(np.eye(len(A)) - C @ A, count)

    coarse = levels[1].A.toarray()
    M = dense_cycle(levels[1:], kind)
    if kind != "V" and len(levels) > 2:
        second = M if kind == "W" else dense_cycle(levels[1:], "V")
        M = M + second - second @ coarse @ M
    P, R = levels[0].P.toarray(), levels[0].R.toarray()
    E = (
        propagator(levels[0].post, levels[0].post_count)
        @ (np.eye(len(A)) - P @ M @ R @ A)
        @ propagator(levels[0].pre, levels[0].pre_count)
    )
    return (np.eye(len(A)) - E) @ np.linalg.inv(A)


@pytest.mark.parametrize("kind", ["V", "W", "F"])
@pytest.mark.parametrize(("pre", "post"), [(1, 1), (2, 0), (0, 1), (1, 2)])
def test_cycles_are_the_textbook_recursion(kind, pre, post):
    problem = poisson((14, 13), weights=(1.0, 0.7))
    for options in (
        {"smoother": "chebyshev"},
        {"smoother": GaussSeidel("red-black"), "coarsening": "galerkin"},
    ):
        hierarchy = Hierarchy.build(problem, pre=pre, post=post, coarsest=4, **options)
        assert len(hierarchy.levels) >= 3
        expected = dense_cycle(hierarchy.levels, kind)
        r = np.random.default_rng(0).standard_normal(182)
        before = r.copy()
        np.testing.assert_allclose(
            hierarchy.apply(r, kind), expected @ r, atol=1e-11 * np.abs(expected @ r).max()
        )
        assert np.array_equal(r, before)


@pytest.mark.parametrize(("name", "boundary"), CASES)
def test_every_problem_is_solved(name, boundary):
    """Even sizes, any boundary: at most 20 cycles to 1e-8 (jumps in k: 60), and the residual is
    what it says."""
    problem = create(name, SIDE[PROBLEMS[name].dim], boundary=boundary)
    hierarchy = Hierarchy.build(problem)
    seen = []
    solution = hierarchy.solve(
        problem.b,
        maxiter=60 if name == "jump2d" else 20,
        callback=lambda i, norm: seen.append((i, norm)),
    )
    assert solution.converged
    assert solution.reason is Reason.CONVERGED
    true = np.linalg.norm(problem.b - problem.A @ solution.x)
    assert solution.residual_norms[-1] == pytest.approx(true, rel=1e-3)
    assert true <= 1e-8 * np.linalg.norm(problem.b)
    assert seen == list(enumerate(solution.residual_norms))
    assert solution.iterations == len(seen) - 1
    assert solution.incompatibility == 0.0
    if problem.nullspace is not None:
        assert abs(solution.x.sum()) <= 1e-10 * np.abs(solution.x).sum()


def test_singular_and_not_symmetric():
    """Rows scaled by D: A 1 = 0, but the range is orthogonal to D^-1 1, so taking the mean off a
    compatible b would spoil it; of an incompatible one x leaves the part outside of the range."""
    n = 64
    problem = poisson((n,), boundary="neumann")
    A = sp.csr_array(sp.diags_array(np.linspace(1, 3, n)) @ problem.A)
    b = A @ problem.exact
    hierarchy = Hierarchy.build(A, shape=(n,), boundary="neumann", coarsest=8)
    solution = hierarchy.solve(b)
    assert solution.converged
    # tol = 1e-8 times the condition number
    np.testing.assert_allclose(solution.x, problem.exact, atol=1e-6)
    assert solution.residual_norms[-1] == pytest.approx(
        np.linalg.norm(b - A @ solution.x), rel=1e-3, abs=1e-12
    )
    incompatible = hierarchy.solve(b + 1.0)
    assert incompatible.reason is Reason.INCOMPATIBLE
    outside = 1 / np.linspace(1, 3, n)
    left = outside * (outside.sum() / (outside @ outside))  # of 1; b itself has none
    missed = b + 1.0 - A @ incompatible.x - left
    assert np.linalg.norm(missed) <= 1.01e-8 * np.linalg.norm(b + 1.0)  # the tolerance


def test_the_tolerance_is_relative_to_all_of_b():
    """||b - A x|| <= tol ||b|| with the part of b outside the range: beside a large one, the rest
    needs no second cycle."""
    problem = poisson((20, 20), boundary="neumann")
    hierarchy = Hierarchy.build(problem)
    outside = 1e4 * np.linalg.norm(problem.b) / 20
    solution = hierarchy.solve(problem.b + outside, tol=1e-6)
    assert solution.reason is Reason.INCOMPATIBLE
    assert solution.iterations <= 3
    assert hierarchy.solve(problem.b, tol=1e-6).iterations >= 6
    assert f"norm {solution.incompatibility:.2e} outside" in solution.message


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("poisson1d", 100),
        ("poisson2d", (63, 40)),
        ("poisson2d-q1", (20, 24)),
        ("anisotropic2d", 31),
    ],
)
@pytest.mark.parametrize("family", ["chebyshev", "chebyshev4"])
def test_small_levels_are_those_of_the_matrix_free_cycle(name, n, family):
    """Down to four unknowns both hierarchies derive the same smoothers: the same iterates, to
    rounding."""
    problem = create(name, n)
    b = np.random.default_rng(0).standard_normal(problem.b.size)
    one, two = (
        kind.build(problem, smoother=family, coarsest=4).solve(b, maxiter=3, tol=0.0).x
        for kind in (Hierarchy, StencilHierarchy)
    )
    assert np.abs(one - two).max() < 1e-12 * np.abs(one).max()


def test_small_incompatible_parts():
    """A part of b outside the range is noticed from rounding on: 1e-6 of b, though not 1e-15."""
    problem = poisson((20, 20), boundary="neumann")
    hierarchy = Hierarchy.build(problem)
    size = np.linalg.norm(problem.b) / 20
    noticed, rounding = (hierarchy.solve(problem.b + part * size) for part in (1e-6, 1e-15))
    assert noticed.reason is Reason.INCOMPATIBLE
    assert noticed.incompatibility == pytest.approx(1e-6 * np.linalg.norm(problem.b), rel=1e-6)
    assert rounding.converged
    assert rounding.incompatibility == 0.0


def test_growth_is_measured_from_the_smallest_residual():
    """A run that first converges and then grows by 1000 has diverged, though its residual is still
    below the first one."""
    problem = poisson((15, 15))
    hierarchy = Hierarchy.build(problem)
    level, calls = hierarchy.levels[0], []
    good = level.post

    class Breaks(type(good)):
        def correct(self, r):
            calls.append(1)
            return (1.0 if len(calls) <= 6 else -30.0) * super().correct(r)

    level.post = Breaks(good.A, good.polynomial, good.B, good.label)
    solution = hierarchy.solve(problem.b, tol=1e-14)
    assert solution.reason is Reason.DIVERGED
    assert solution.residual_norms[-1] < 1e3 * solution.residual_norms[0]


def test_incompatible_right_hand_side():
    """b + c has no solution: the reason says so, x is the least-squares solution, and the norms are
    those of b - A x."""
    problem = poisson((20, 20), boundary="neumann")
    hierarchy = Hierarchy.build(problem)
    b = problem.b + 0.5
    solution = hierarchy.solve(b)
    assert solution.reason is Reason.INCOMPATIBLE
    assert not solution.converged
    assert solution.incompatibility == pytest.approx(0.5 * 20)
    assert solution.residual_norms[-1] == pytest.approx(np.linalg.norm(b - problem.A @ solution.x))
    expected = np.linalg.lstsq(problem.A.toarray(), b, rcond=1e-10)[0]
    np.testing.assert_allclose(solution.x, expected, atol=1e-7 * np.abs(expected).max())
    assert "outside its range" in solution.message


@pytest.mark.parametrize("cycle", ["V", "W"])
@pytest.mark.parametrize(
    "smoother", ["chebyshev", "chebyshev4_opt", "gauss_seidel", "red_black", "jacobi"]
)
def test_preconditioner_is_symmetric_positive_definite(smoother, cycle):
    problem = create("variable2d", 11)
    M = Hierarchy.build(problem, smoother=smoother, coarsest=10).as_preconditioner(cycle)
    dense = M @ np.eye(121)
    assert np.abs(dense - dense.T).max() <= 1e-12 * np.abs(dense).max()
    values = np.linalg.eigvals(dense @ problem.A.toarray()).real
    assert 0.5 < values.min() <= values.max() < 1.5


@pytest.mark.parametrize(
    ("name", "boundary"),
    [
        ("poisson2d", "dirichlet"),
        ("variable2d", "dirichlet"),
        ("poisson2d-9point", "neumann"),
        ("jump2d", "dirichlet"),
    ],
)
def test_krylov_methods(name, boundary):
    """cg and minres with the symmetric cycle and gmres with any: at most 15 iterations to 1e-7,
    where cg alone needs over 60."""
    problem = create(name, 40, boundary=boundary)
    hierarchy = Hierarchy.build(problem)
    for method, M in (
        (sla.cg, hierarchy.as_preconditioner()),
        (sla.minres, hierarchy.as_preconditioner("W")),
        (
            sla.gmres,
            Hierarchy.build(problem, pre=2, post=0, smoother="red_black").as_preconditioner(
                "F", symmetric=False
            ),
        ),
    ):
        count = []
        options = {"callback_type": "pr_norm"} if method is sla.gmres else {}
        # minres ends by an estimate in M's norm, here 1e4 times smaller than the residual's
        rtol = 1e-12 if method is sla.minres else 1e-10
        x, info = method(problem.A, problem.b, M=M, rtol=rtol, callback=count.append, **options)
        assert info == 0
        assert len(count) <= 15
        assert np.linalg.norm(problem.b - problem.A @ x) <= 1e-7 * np.linalg.norm(problem.b)


def test_asymmetric_preconditioners_are_refused():
    problem = poisson((15, 15))
    for options, cycle, words in (
        ({}, "F", "an F-cycle is not symmetric"),
        ({"post": 2}, "V", "1 before and 2 after"),
        ({"pre": 0, "post": 0}, "V", "at least 1"),
        ({"restriction": "half"}, "V", "the cycle is not symmetric"),
    ):
        with pytest.raises(ValueError, match=words):
            Hierarchy.build(problem, **options).as_preconditioner(cycle)
    assert Hierarchy.build(problem, restriction="half").as_preconditioner(
        symmetric=False
    ).shape == (225, 225)


def test_stagnation_and_maxiter():
    problem = poisson((31, 31))
    hierarchy = Hierarchy.build(problem)
    floor = hierarchy.solve(problem.b, tol=0.0, maxiter=100)
    assert floor.reason is Reason.STAGNATED
    assert "rounding allows no less" in floor.message
    assert floor.iterations < 60
    few = hierarchy.solve(problem.b, maxiter=2)
    assert few.reason is Reason.MAXITER
    assert few.iterations == 2
    nothing = Hierarchy.build(problem, smoother=lambda level: Jacobi(1e-9)).solve(problem.b)
    assert nothing.reason is Reason.STAGNATED
    assert "does not reduce" in nothing.message
    assert hierarchy.solve(problem.b, maxiter=0).residual_norms == (
        pytest.approx(np.linalg.norm(problem.b)),
    )
    zero = hierarchy.solve(np.zeros(961))
    assert repr(zero) == "Solution(converged, 0 cycles, residual 0.00e+00)"
    assert zero.converged
    assert zero.iterations == 0


@pytest.mark.parametrize(
    ("dtype", "scale", "tol"),
    [
        ("float64", 1e-290, 1e-8),
        ("float64", 1e-170, 1e-8),
        ("float64", 1e290, 1e-8),
        ("float32", 1e-28, 1e-4),
        ("float32", 1e25, 1e-4),
    ],
)
def test_tiny_and_huge_right_hand_sides(dtype, scale, tol):
    """A b whose squares underflow is not 0, and one whose squares overflow is not solved by x =
    0."""
    problem = poisson((31, 31))
    A = problem.A.astype(dtype)
    solution = Hierarchy.build(A, shape=(31, 31)).solve((problem.b * scale).astype(dtype), tol=tol)
    assert solution.converged
    x = solution.x.astype(float) / scale
    residual = np.linalg.norm(problem.b - problem.A @ x) / np.linalg.norm(problem.b)
    assert residual < 3 * tol  # float32 itself leaves 1e-5 here
    assert solution.residual_norms[0] == pytest.approx(scale * np.linalg.norm(problem.b), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-290, 1e-160, 1e160, 1e290])
@pytest.mark.parametrize("smoother", ["chebyshev", "chebyshev4"])
@pytest.mark.parametrize("degree", [2, 6])
def test_tiny_and_huge_operators(smoother, degree, scale):
    problem = poisson((31, 31))
    plain, scaled = (
        Hierarchy.build(problem.A * s, shape=(31, 31), smoother=smoother, degree=degree)
        for s in (1.0, scale)
    )
    expected = plain.solve(problem.b).residual_norms
    # rounding in the last, smallest ones
    np.testing.assert_allclose(scaled.solve(problem.b).residual_norms, expected, rtol=1e-2)


def test_start_and_arguments():
    """A start x0 is used and kept; the exact solution as start needs no cycle."""
    problem = poisson((31, 31))
    hierarchy = Hierarchy.build(problem)
    x = hierarchy.solve(problem.b, tol=1e-10).x
    b, x0 = problem.b.copy(), x.copy()
    assert hierarchy.solve(b, x0).iterations == 0
    x0[5] += 1e-3
    kept = x0.copy()
    assert 0 < hierarchy.solve(b, x0, tol=1e-10).iterations < 10
    assert np.array_equal(x0, kept)
    assert np.array_equal(b, problem.b)
    assert hierarchy.solve(b.reshape(-1, 1)).x.shape == (961,)


def test_work_units_of_a_solve():
    """V-cycles and one residual for each; 0 for the start from zero."""
    problem = poisson((31, 31))
    hierarchy = Hierarchy.build(problem)
    solution = hierarchy.solve(problem.b)
    assert solution.work_units == pytest.approx(solution.iterations * (hierarchy.work_units() + 1))


def test_float32_cycle_reaches_float64_residuals():
    """The cycle in float32 as a preconditioner of the float64 residual: the same factor, and 1e-12
    is reached."""
    problem = poisson((127, 127))
    double, single = Hierarchy.build(problem), Hierarchy.build(problem, dtype=np.float32)
    one, two = double.solve(problem.b, tol=1e-12), single.solve(problem.b, tol=1e-12)
    assert two.converged
    assert abs(two.iterations - one.iterations) <= 1
    assert two.x.dtype == np.float64


def test_complex():
    """Real A with complex b, Hermitian A, complex symmetric A (an imaginary mass term): all
    converge; a real cycle is refused."""
    problem = poisson((31, 31))
    generator = np.random.default_rng(0)
    b = generator.standard_normal(961) + 1j * generator.standard_normal(961)
    turn = sp.diags_array(np.exp(0.05j * np.add.outer(np.arange(31), np.arange(31)).reshape(-1)))
    hermitian = sp.csr_array(turn.conj() @ problem.A @ turn)
    shifted = sp.csr_array(problem.A + 100j * sp.eye_array(961))
    for A in (problem.A, hermitian, shifted):
        hierarchy = Hierarchy.build(A, shape=(31, 31))
        assert hierarchy.levels[0].symmetric == (A is not shifted)
        solution = hierarchy.solve(b, maxiter=60)
        assert solution.converged
        assert np.linalg.norm(b - A @ solution.x) <= 1e-8 * np.linalg.norm(b)
    with pytest.raises(ValueError, match="must be complex too"):
        Hierarchy.build(hermitian, shape=(31, 31), dtype=np.float64)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda h: h.solve(np.ones(7)), r"b has shape \(7,\), must be \(961,\)"),
        (lambda h: h.solve(np.ones(961), np.ones(3)), "x0 has shape"),
        (lambda h: h.solve(np.full(961, np.nan)), "not a number"),
        (
            lambda h: h.solve(np.ones(961), cycle="X"),
            "unknown cycle 'X', allowed are: V, W, F, FMG",
        ),
        (lambda h: h.solve(np.ones(961), tol=-1.0), "tol is -1.0"),
        (lambda h: h.solve(np.ones(961), tol=None), "tol is None"),
        (lambda h: h.solve(np.ones(961), maxiter=-1), "maxiter is -1"),
        (lambda h: h.apply(np.ones(961), "FMG"), "allowed are: V, W, F"),
        (lambda h: h.full_multigrid(np.ones(961), cycles=0), "cycles is 0"),
        (
            lambda h: h.full_multigrid(np.ones(961), loads=lambda shape: np.ones(2)),
            r"loads\(\(15, 15\)\) has shape",
        ),
        (lambda h: h.solve(np.full(961, "a")), "must be real or complex floating"),
        (lambda h: h.solve(np.full(961, None)), "b has type object"),
        (lambda h: h.solve(np.ones(961), tol=True), "tol is True"),
        (lambda h: h.solve(np.ones(961), maxiter=1.0), "maxiter is 1.0"),
        (lambda h: h.solve(np.ones(961), loads=3, cycle="FMG"), "loads is 3, must be callable"),
        (
            lambda h: h.solve(np.ones(961), loads=np.ones),
            "loads belong to a full multigrid pass, the cycle is V",
        ),
        (lambda h: h.solve(np.ones(961), callback=3), "callback is 3, must be callable"),
        (lambda h: h.apply(np.ones(7)), r"r has shape \(7,\), must be \(961,\)"),
        (lambda h: h.apply(np.ones((31, 31))), "r has shape"),
        (lambda h: h.apply(np.full(961, "a")), "must be real or complex floating"),
    ],
)
def test_refusals(call, words):
    hierarchy = Hierarchy.build(poisson((31, 31)))
    with pytest.raises(ValueError, match=words):
        call(hierarchy)
