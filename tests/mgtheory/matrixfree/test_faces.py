"""Variable coefficients without matrices: the cycle against sparse matrices written down from the
definition, exact statements about its parts, convergence, and its refusals."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from mgtheory import derive
from mgtheory.matrixfree import StencilHierarchy, faces, kernel_level
from mgtheory.multigrid import transfer
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.grids import Boundary
from mgtheory.problems.manufactured import JumpCoefficient, SmoothCoefficient
from mgtheory.problems.problem import Problem
from mgtheory.smoothers import Jacobi, Polynomial
from mgtheory.solving import solve

# of D^-1 A, its roots in (0, 2) and a complex pair
Q = ResidualPolynomial(np.array([0.6, 1.9, 1.2 + 0.4j, 1.2 - 0.4j]))


def rough(*x):
    """exp of independent normal numbers: no value is near its neighbours'."""
    size = np.broadcast(*x).shape
    return np.exp(np.random.default_rng(5).standard_normal(size))


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def relative(x, y):
    return np.max(np.abs(x - y)) / np.max(np.abs(y))


def flux_interpolation(k, fine, coarse):
    """P row by row: a point that is fine along some axes is the mean of its neighbours along them,
    weighted by the faces k in between; 0 beyond the boundary."""
    axes = [j for j, (n, m) in enumerate(zip(fine, coarse, strict=True)) if n != m]
    index, places = np.arange(np.prod(fine)).reshape(fine), [np.arange(n) for n in fine]
    for j in axes:
        places[j] = places[j][1::2]
    at_coarse = index[np.ix_(*places)].reshape(-1)
    P = np.zeros((index.size, at_coarse.size))
    P[at_coarse, np.arange(at_coarse.size)] = 1.0
    points = [(sum(point[j] % 2 == 0 for j in axes), point) for point in np.ndindex(*fine)]
    for _, point in sorted(entry for entry in points if entry[0]):
        total = 0.0
        for j, side in itertools.product([j for j in axes if point[j] % 2 == 0], (0, 1)):
            face = k[j][(*point[:j], point[j] + side, *point[j + 1 :])]
            beside, total = point[j] + 2 * side - 1, total + face
            if 0 <= beside < fine[j]:
                P[index[point]] += face * P[index[(*point[:j], beside, *point[j + 1 :])]]
        P[index[point]] /= total
    return P


class Twin:
    """Cycles and full multigrid from their definition, on dense P and sparse A."""

    def __init__(self, hierarchy, polynomial):
        self.shapes = [level.shape for level in hierarchy.levels]
        self.counts = [level.counts for level in hierarchy.levels]
        self.A = [operator.matrix() for operator in hierarchy.operators]
        pairs = list(zip(self.shapes[:-1], self.shapes[1:], strict=True))
        self.P = [
            flux_interpolation(operator.faces, *pair)
            for operator, pair in zip(hierarchy.operators, pairs, strict=False)
        ]
        self.R = [
            0.5 ** sum(n != m for n, m in zip(*pair, strict=True)) * P.T
            for P, pair in zip(self.P, pairs, strict=True)
        ]
        self.q = polynomial

    def smooth(self, A, x, b):
        D = A.diagonal()
        return self.q.smooth(sp.diags_array(1.0 / D) @ A, x, b / D)

    def cycle(self, kind, x, b, l=0):
        A = self.A[l]
        if l + 1 == len(self.A):
            return sla.spsolve(sp.csc_array(A), b)
        for _ in range(self.counts[l][0]):
            x = self.smooth(A, x, b)
        r = self.R[l] @ (b - A @ x)
        e = self.cycle(kind, np.zeros_like(r), r, l + 1)
        if kind != "V" and l + 2 < len(self.A):
            e = self.cycle(kind, e, r, l + 1)
        x = x + self.P[l] @ e
        for _ in range(self.counts[l][1]):
            x = self.smooth(A, x, b)
        return x

    def full(self, b, lift, l=0):
        if l + 1 == len(self.A):
            return self.cycle("V", b, b, l)
        x = lift[l] @ self.full(self.R[l] @ b, lift, l + 1)
        return self.cycle("V", x, b, l)


@pytest.mark.parametrize(
    ("shape", "counts"),
    [
        ((23, 15), (1, 1)),
        ((16, 18), (0, 1)),
        ((7, 31), (2, 0)),  # the second axis alone is coarsened at first
        ((37,), (1, 1)),
        ((8, 7, 9), (0, 1)),
        ((7, 3, 6), (1, 1)),
        ((8, 1, 9), (1, 1)),
    ],
)
def test_cycles_equal_their_definition(shape, counts, monkeypatch):
    """At every size, of coefficients without any order, a complex pair in the smoother; the same
    from one thread and from three."""
    monkeypatch.setattr(kernel_level, "SMALL", 1)
    problem = poisson(shape, coefficient=rough)
    options = {"smoother": Polynomial(polynomial=Q, scaling="diagonal"), "coarsest": 12}
    options |= {"pre": counts[0], "post": counts[1]}
    ours, blocks = (StencilHierarchy.build(problem, threads=t, **options) for t in (1, 3))
    assert len(ours.levels) > 1
    twin = Twin(ours, Q)
    assert abs(twin.A[0] - problem.A).max() < 1e-12 * problem.A.max()
    b, x0 = noise(problem.unknowns), noise(problem.unknowns, 1)
    for kind in ("V", "W"):
        x = x0
        for _ in range(2):
            x = twin.cycle(kind, x, b)
        for hierarchy in (ours, blocks):
            found = hierarchy.solve(b, x0, cycle=kind, maxiter=2, tol=0.0)
            assert relative(found.x, x) < 1e-12  # rounding, 2 cycles of about 20 products
            size = np.linalg.norm(b - problem.A @ found.x)
            assert found.residual_norms[-1] == pytest.approx(size, rel=1e-6)
    for hierarchy in (ours, blocks):  # with kinks, a solution is interpolated like a correction
        assert relative(hierarchy.full_multigrid(b).x, twin.full(b, twin.P)) < 1e-12


def test_smooth_solutions_are_interpolated_to_their_order():
    """Cubic in full multigrid, where coarse points are a uniform grid; one pass is then as good as
    the direct solution."""
    problem = create("variable2d", 63)
    ours = StencilHierarchy.build(problem, smoother=Polynomial(polynomial=Q, scaling="diagonal"))
    twin, D = Twin(ours, Q), Boundary.DIRICHLET
    pairs = zip(twin.shapes[:-1], twin.shapes[1:], strict=True)
    lift = [transfer.interpolation(*pair, D, kind="cubic") for pair in pairs]
    assert relative(ours.full_multigrid(problem.b).x, twin.full(problem.b, lift)) < 1e-12
    uneven = create("variable2d", 22)  # half of 22 points are no uniform grid
    options = {"smoother": Polynomial(polynomial=Q, scaling="diagonal"), "coarsest": 20}
    ours = StencilHierarchy.build(uneven, **options)
    twin = Twin(ours, Q)
    assert relative(ours.full_multigrid(uneven.b).x, twin.full(uneven.b, twin.P)) < 1e-12
    fine = create("variable2d", 255)
    one = StencilHierarchy.build(fine).full_multigrid(fine.b, loads=fine.equation.load)
    direct = StencilHierarchy.build(fine).solve(fine.b, tol=1e-10)
    assert fine.error(one.x) < 1.1 * fine.error(direct.x)


@pytest.mark.parametrize("n", [15, 16])
def test_averaged_faces_are_the_galerkin_product_in_one_dimension(n):
    """R A P of an interpolation that keeps the flux is three points again: conductors in series."""
    fine, coarse = StencilHierarchy.build(poisson((n,), coefficient=rough), coarsest=10).operators
    P = flux_interpolation(fine.faces, fine.shape, coarse.shape)
    expected = 0.5 * P.T @ fine.matrix() @ P
    np.testing.assert_allclose(coarse.matrix().toarray(), expected, rtol=1e-12, atol=1e-9)


def test_a_coefficient_that_is_constant_gives_the_cycle_of_stencils():
    """On nested grids faces are then averaged to the same equation, and P is linear."""
    constant, faces_of_one = (
        poisson((31, 15, 15), **kw) for kw in ({}, {"coefficient": lambda x, y, z: 1.0 + 0.0 * x})
    )
    options = {"smoother": Polynomial(polynomial=Q, scaling="diagonal"), "coarsest": 200}
    built = [StencilHierarchy.build(p, **options) for p in (constant, faces_of_one)]
    assert [level.shape for level in built[1].levels] == [level.shape for level in built[0].levels]
    b = noise(constant.unknowns)
    one, two = (hierarchy.solve(b, maxiter=3, tol=0.0) for hierarchy in built)
    assert relative(two.x, one.x) < 1e-12
    np.testing.assert_allclose(two.residual_norms, one.residual_norms, rtol=1e-9)


def asymptotic_factor(hierarchy):
    n = hierarchy.levels[0].size
    norms = hierarchy.solve(np.zeros(n), noise(n), tol=0.0, maxiter=14).residual_norms
    return (norms[-1] / norms[-6]) ** 0.2


@pytest.mark.parametrize(
    ("coefficient", "most"), [(SmoothCoefficient(), 0.12), (JumpCoefficient(), 0.33)]
)
def test_convergence_is_independent_of_h(coefficient, most):
    """0.115 where k is smooth, at even sizes too; 0.29 to 0.31 where it jumps by 1000 (0.08 and
    0.125 with Galerkin products)."""
    for n in (31, 100, 127):
        problem = poisson((n, n), coefficient=coefficient)
        assert asymptotic_factor(StencilHierarchy.build(problem, coarsest=250)) < most


def test_the_interval_bounds_the_spectrum():
    """(0, 2) on every level, whatever the coefficient; 1.69 is reached on 3 x 3."""
    for coefficient in (rough, JumpCoefficient()):
        problem = poisson((15, 14), coefficient=coefficient)
        for operator in StencilHierarchy.build(problem, coarsest=20).operators:
            A = operator.matrix().toarray()
            values = np.linalg.eigvals(A / np.diag(A)[:, None]).real
            assert values.min() > 0.0
            assert 1.6 < values.max() < operator.record().upper == 2.0
    fine = StencilHierarchy.build(create("variable2d", 31), coarsest=60).operators[0].record()
    assert (fine.lower, fine.scaling) == (pytest.approx(0.5, rel=1e-6), "diagonal")  # b/(2 d)


def test_high_frequencies_begin_where_those_of_the_coarsened_axes_do():
    """Semi-coarsening with h_0 = 4 h_1: s_1/(s_0 + s_1) = 16/17 of the mean eigenvalue. Axes of two
    points stay, and coarse operators are no multiples of the finest one."""
    problem = poisson((15, 63), coefficient=lambda x, y: np.ones_like(x + y))
    fine, _ = StencilHierarchy.build(problem, coarsest=500).operators
    assert fine.axes == fine.record().axes == (1,)
    assert fine.record().lower == pytest.approx(16 / 17)
    rough = create("jump2d", 31)
    forms = [one.record().form for one in StencilHierarchy.build(rough, coarsest=200).operators]
    assert forms == [rough.form, None, None]
    short = poisson((2, 3), coefficient=lambda x, y: 1 + x + y)
    grids = [one.shape for one in StencilHierarchy.build(short, coarsest=1).operators]
    assert grids == [(2, 3), (2, 1)]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_a_jump_in_either_direction_along_either_axis_is_no_smooth_coefficient(axis, factor):
    shape = [(4, 5), (3, 6)]
    k = [np.ones(n) for n in shape]
    assert faces.FaceOperator((3, 5), tuple(k)).smooth
    np.moveaxis(k[axis], axis, 0)[2:] *= factor
    assert not faces.FaceOperator((3, 5), tuple(k)).smooth
    other = [np.ones(n) for n in shape]
    np.moveaxis(other[axis], 1 - axis, 0)[2:] *= factor  # beside a face, not behind it
    assert faces.FaceOperator((3, 5), tuple(other)).smooth


def test_loads_are_left_where_a_grid_above_is_not_nested():
    """22 points have 11 below that are no uniform grid, nor are the 5 of these."""
    problem = create("jump2d", 22)
    ours = StencilHierarchy.build(problem, coarsest=9)
    assert [level.aligned for level in ours.levels[:-1]] == [False, True, True]
    expected = ours.full_multigrid(problem.b).x
    found = ours.full_multigrid(problem.b, loads=problem.equation.load).x
    np.testing.assert_array_equal(found, expected)


def test_slow_cycles_advise_a_krylov_method():
    problem = poisson((31, 31, 31), coefficient=JumpCoefficient())
    ours = StencilHierarchy.build(problem, coarsest=60)
    slow = ours.solve(problem.b)
    assert "krylov='cg'" in slow.warnings[0]
    assert slow.warnings[0] in slow.message
    assert slow.factor > 0.5
    found = solve(problem, ours, krylov="cg")
    assert found.converged
    assert found.iterations < 20
    easy = create("variable2d", 31)
    ours = StencilHierarchy.build(easy, coarsest=60)
    found = ours.solve(easy.b)
    assert found.warnings == ()
    ended = ours.solve(easy.b, found.x, tol=0.0)  # at rounding no method gains more
    assert "rounding allows no less" in ended.message
    assert ended.factor > 0.5
    assert ended.warnings == ()


def test_derived_polynomials_are_those_of_the_scaled_operator():
    problem = create("variable2d", 31)
    start = derive("chebyshev4", 3, problem, scaling="diagonal")
    ours = StencilHierarchy.build(problem, smoother=start, coarsest=60)
    assert ours.solve(problem.b).converged
    x, b, D = noise(961), noise(961, 1), problem.A.diagonal()
    # both bounds of the spectrum are near 2
    q = start.polynomial.scaled(2.0 / start.operator.upper)
    expected = q.smooth(sp.diags_array(1.0 / D) @ problem.A, x, b / D)
    assert relative(ours.smooth(x, b), expected) < 1e-12
    damped = x + 0.7 * (b - problem.A @ x) / D
    assert relative(ours.with_smoothers(Jacobi(0.7)).smooth(x, b), damped) < 1e-13


def test_it_is_a_backend_like_the_others():
    """Its solution is that of sparse matrices, and b is not changed."""
    problem = create("jump2d", 40)
    b = problem.b.copy()
    ours = StencilHierarchy.build(problem).solve(problem.b, cycle="FMG", tol=1e-10)
    sparse = Hierarchy.build(problem).solve(problem.b, tol=1e-10)
    assert relative(ours.x, sparse.x) < 1e-7
    np.testing.assert_array_equal(problem.b, b)
    assert "factors of A" in str(StencilHierarchy.build(problem))
    copied = pickle.loads(pickle.dumps(StencilHierarchy.build(problem)))
    np.testing.assert_array_equal(copied.solve(b, cycle="FMG", tol=1e-10).x, ours.x)
    assert faces.FaceOperator.of(problem, None, None).finest is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coarsening": "galerkin"}, "coarsening is 'galerkin'.*mgtheory.Hierarchy"),
        ({"coarsening": "rediscretise"}, "vary, which has its own: leave coarsening out"),
        ({"interpolation": "linear"}, "interpolation is 'linear'.*'black-box'"),
        ({"smoother": Polynomial("chebyshev", scaling="identity")}, "scaling='diagonal'"),
        ({"shape": (9, 9)}, "bare stencil"),
    ],
)
def test_refuses_what_it_cannot_do(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        StencilHierarchy.build(create("variable2d", 9), **{"coarsest": 20, **options})
    assert "\n" not in str(caught.value)


def test_other_boundaries_are_refused():
    with pytest.raises(ValueError, match="dirichlet boundaries, got neumann"):
        StencilHierarchy.build(create("variable2d", 9, boundary="neumann"))
    uneven = Problem.from_stencil([[0, 0, 0], [-1.0, 2.0, 0], [0, 0, 0]], (9, 9))
    with pytest.raises(ValueError, match="even along every axis"):
        StencilHierarchy.build(uneven)
