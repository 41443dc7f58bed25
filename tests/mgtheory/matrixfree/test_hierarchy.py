"""The matrix-free cycle against a sparse twin written down from the definition, the sparse
hierarchy, theory and its refusals."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from mgtheory import families
from mgtheory.matrixfree import StencilHierarchy, kernel_level, tables
from mgtheory.multigrid import transfer
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import poisson
from mgtheory.problems.grids import Boundary
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil, anisotropic, mehrstellen, multilinear
from mgtheory.smoothers import Jacobi

D = Boundary.DIRICHLET
# for the 5-point Laplacian on 31 points
COMPLEX = ResidualPolynomial(np.array([2.0, 7.0, 4.0 + 2.0j, 4.0 - 2.0j]) * 32**2)
PROBLEMS = {
    "1d": poisson((100,)),
    "nested": poisson((31, 31)),
    "uneven": poisson((40, 27)),
    "9-point": poisson((31, 15), stencil="9-point"),
    "q1": poisson((20, 24), stencil="q1"),
    "semi": poisson((31, 31), weights=(1.0, 0.01)),
    "column": poisson((40, 1)),
    "3d": poisson((15, 17, 12)),
    "two rows": poisson((23, 2, 1)),
    "19-point": poisson((15, 15, 15), stencil="19-point"),
    "q1-3d": poisson((12, 9, 11), stencil="q1"),
}


def laplace(dim):
    """The 5- or 7-point stencil."""
    kernel = np.zeros((3,) * dim)
    for j in range(dim):
        for step in (0, 2):
            kernel[tuple(step if i == j else 1 for i in range(dim))] = -1.0
    kernel[(1,) * dim] = 2.0 * dim
    return Stencil.from_array(kernel, channels=False)


class Twin:
    """V-, W-, F-cycle and full multigrid from their definition: sparse matrices and
    `ResidualPolynomial.smooth`."""

    def __init__(self, hierarchy, problem, polynomial):
        self.shapes = [level.shape for level in hierarchy.levels]
        self.counts = [level.counts for level in hierarchy.levels]
        self.A = [problem.equation.operator(shape) for shape in self.shapes]
        pairs = list(zip(self.shapes[:-1], self.shapes[1:], strict=True))
        self.P = [transfer.interpolation(n, m, D).tocsr() for n, m in pairs]
        self.R = [transfer.restriction(n, m, D).tocsr() for n, m in pairs]
        self.C = [transfer.interpolation(n, m, D, kind="cubic").tocsr() for n, m in pairs]
        self.q = [polynomial(l) for l in range(len(self.shapes) - 1)]

    def cycle(self, kind, x, b, l=0, full=False):
        A = self.A[l]
        if l + 1 == len(self.A):
            return sla.spsolve(sp.csc_array(A), b)
        for _ in range(self.counts[l][0]):
            x = self.q[l].smooth(A, x, b)
        r = self.R[l] @ (b - A @ x)
        e = self.cycle(kind, np.zeros_like(r), r, l + 1)
        if kind != "V" and l + 2 < len(self.A):
            e = self.cycle("W" if kind == "W" else "V", e, r, l + 1)
        x = x + (self.C if full else self.P)[l] @ e
        for _ in range(self.counts[l][1]):
            x = self.q[l].smooth(A, x, b)
        return x

    def full(self, kind, b, l=0, cycles=1, loads=None):
        if l + 1 == len(self.A):
            return self.cycle(kind, b, b, l)
        below = self.R[l] @ b if loads is None else loads[self.shapes[l + 1]]
        x = self.C[l] @ self.full(kind, below, l + 1, cycles, loads)
        for i in range(cycles):
            x = self.cycle(kind, x, b, l, full=i == 0)
        return x


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def bump(n, dim=2):
    """A smooth solution with zero boundary values that is no eigenfunction, its right-hand side,
    and the 5- or 7-point direct solution."""
    t = np.arange(1, n + 1) / (n + 1)
    u, f = t * (1 - t) * np.exp(t), -(np.exp(t) * (-3 * t - t**2))
    grids = [
        np.meshgrid(*[f if i == j else u for i in range(dim)], indexing="ij") for j in range(dim)
    ]
    b = sum(np.prod(grid, axis=0) for grid in grids)
    exact = np.prod(np.meshgrid(*[u] * dim, indexing="ij"), axis=0)
    k = 4.0 * (n + 1) ** 2 * np.sin(np.pi * np.arange(1, n + 1) / (2 * n + 2)) ** 2
    eigenvalues = sum(np.meshgrid(*[k] * dim, indexing="ij", sparse=True))
    direct = scipy.fft.idstn(scipy.fft.dstn(b, type=1) / eigenvalues, type=1)
    return exact, b, direct


def relative(x, y):
    return np.max(np.abs(x - y)) / np.max(np.abs(y))


# -- the same cycle as the sparse one


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("counts", [(1, 1), (0, 1), (2, 0)])
def test_cycles_equal_their_definition(name, counts):
    problem = PROBLEMS[name]
    family = families.chebyshev4_opt if counts[0] else families.chebyshev
    options = {"lmax": 1.0} if counts[0] else {"interval": (0.25, 1.0)}
    scales = []

    def polynomial(l):
        A = problem.equation.operator(scales[l])
        return family(3, **options).scaled(float(abs(A).sum(axis=1).max()))

    built = StencilHierarchy.build(problem, pre=counts[0], post=counts[1], coarsest=30)
    scales += [level.shape for level in built.levels]
    ours = StencilHierarchy.build(
        problem,
        smoother=lambda level: polynomial(level.index),
        pre=counts[0],
        post=counts[1],
        coarsest=30,
    )
    twin = Twin(ours, problem, polynomial)
    b, x0 = noise(problem.A.shape[0]), noise(problem.A.shape[0], 1)
    for kind in ("V", "W", "F"):
        x = x0
        for _ in range(3):
            x = twin.cycle(kind, x, b)
        solution = ours.solve(b, x0, cycle=kind, maxiter=3, tol=0.0)
        assert relative(solution.x, x) < 1e-12  # rounding, 3 cycles of about 20 products
        assert solution.residual_norms[-1] == pytest.approx(
            np.linalg.norm(b - problem.A @ solution.x), rel=1e-6
        )
    x = twin.cycle("V", twin.full("V", b), b)
    assert relative(ours.solve(b, cycle="FMG", maxiter=2, tol=0.0).x, x) < 1e-12
    assert relative(ours.full_multigrid(b, cycles=2).x, twin.full("V", b, cycles=2)) < 1e-12
    loads = {shape: noise(np.prod(shape), 2) for shape in twin.shapes}
    found = ours.full_multigrid(b, loads=loads.get)
    assert relative(found.x, twin.full("V", b, loads=loads)) < 1e-12


@pytest.mark.parametrize("tap", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, 1)])
def test_one_kind_of_diagonal_neighbours_is_enough(tap):
    """Beside the centre alone."""
    kernel = np.zeros((3, 3, 3))
    kernel[np.ix_(*[[0, 2] if reached else [1] for reached in tap])] = -1.0
    kernel[1, 1, 1] = 9.0
    problem = Problem.from_stencil(kernel, (9, 7, 11))
    q = ResidualPolynomial(np.array([7.0, 9.0 + 2.0j, 9.0 - 2.0j]))
    ours = StencilHierarchy.build(problem, smoother=lambda level: q, axes="all", coarsest=99)
    assert len(ours.levels) == 2
    twin = Twin(ours, problem, lambda l: q)
    b, x0 = noise(problem.unknowns), noise(problem.unknowns, 1)
    found = ours.solve(b, x0, maxiter=1, tol=0.0)
    assert relative(found.x, twin.cycle("V", x0, b)) < 1e-12
    left = np.linalg.norm(b - problem.A @ found.x)
    assert found.residual_norms[-1] == pytest.approx(left, rel=1e-6)


@pytest.mark.parametrize("counts", [(1, 1), (0, 1)])
@pytest.mark.parametrize("q", [COMPLEX, ResidualPolynomial(COMPLEX.roots[2:])])
def test_complex_pairs_are_two_steps(q, counts):
    """Where a sweep from 0 begins with one, too."""
    problem = PROBLEMS["nested"]
    ours = StencilHierarchy.build(problem, smoother=q, pre=counts[0], post=counts[1], coarsest=60)
    twin = Twin(ours, problem, lambda l: q.scaled(0.25**l))
    b = noise(31 * 31)
    assert relative(ours.solve(b, maxiter=1).x, twin.cycle("V", np.zeros_like(b), b)) < 1e-12
    assert relative(ours.smooth(b, b), q.smooth(problem.A, b, b)) < 1e-12


@pytest.mark.parametrize(
    "smoother", ["chebyshev", "chebyshev4", "chebyshev4_opt", COMPLEX, Jacobi(0.7)]
)
def test_equals_the_sparse_hierarchy(smoother):
    problem = poisson((63, 40))
    ours = StencilHierarchy.build(problem, smoother=smoother, coarsest=100)
    sparse = Hierarchy.build(problem, smoother=smoother, coarsest=100)
    b = noise(problem.A.shape[0])
    for kind in ("V", "W", "F"):
        one, two = ours.solve(b, cycle=kind, maxiter=4), sparse.solve(b, cycle=kind, maxiter=4)
        assert relative(one.x, two.x) < 1e-12
        np.testing.assert_allclose(one.residual_norms, two.residual_norms, rtol=1e-9)


@pytest.mark.parametrize("name", ["nested", "uneven", "9-point", "3d", "q1-3d"])
def test_blocks_of_threads_change_nothing(name, monkeypatch):
    monkeypatch.setattr(kernel_level, "SMALL", 1)
    problem = PROBLEMS[name]
    b = noise(problem.A.shape[0])
    for options in ({}, {"pre": 0, "degree": 5}, {"post": 0, "degree": 1}):
        one, *others = (
            StencilHierarchy.build(problem, threads=t, coarsest=30, **options) for t in (1, 2, 3)
        )
        expected = one.solve(b, cycle="FMG", maxiter=4)
        for other in others:
            solution = other.solve(b, cycle="FMG", maxiter=4)
            assert relative(solution.x, expected.x) < 1e-13
            np.testing.assert_allclose(solution.residual_norms, expected.residual_norms, rtol=1e-8)


def test_a_workspace_is_made_once_and_lies_on_cache_lines():
    for dtype in ("float64", "float32"):
        ours = StencilHierarchy.build(poisson((31, 29)), coarsest=60, dtype=dtype)
        levels = ours.refinement.levels if ours.refinement else ours.levels
        for level in levels[:-1]:
            ours.apply(noise(31 * 29))
            (space,) = level.workspace(0)
            assert all(array.ctypes.data % kernel_level.LINE == 0 for array in space[:3])
            ours.apply(noise(31 * 29))
            assert level.workspace(0)[0] is space


def test_a_second_thread_joins_long_sweeps_alone():
    level = StencilHierarchy.build(poisson((255, 255)), threads=2).levels[0]
    assert [len(level._blocks(0, steps)) for steps in (0, 2, 4)] == [1, 1, 2]


@pytest.mark.parametrize("n", [*range(3, 240), 1000, 17064])
def test_tables_are_the_sparse_transfers(n):
    """At every size, those too where halving does not nest: no coarse point has more than four fine
    ones."""
    m = tables.coarse_points(n)
    assert m == transfer.coarse_size(n, D) or (n + 1) / 2 <= m + 1 <= 0.56 * (n + 1)
    pairs = [
        (tables.linear((n, 1, n), (m, 1, m)), transfer.linear(n, m, D), n),
        (tables.cubic((n, 1, n), (m, 1, m)), transfer.cubic(n, m, D), n),
        (
            tables.restriction((n, 1, n), (m, 1, m)),
            sp.csr_array(transfer.linear(n, m, D).T) * ((m + 1) / (n + 1)),
            m,
        ),
    ]
    for table, matrix, rows in pairs:
        columns = (table.first[0, :rows, None] + np.arange(4)).ravel()
        found = sp.coo_array(
            (table.weights[0, :, :rows].T.ravel(), (np.repeat(np.arange(rows), 4), columns))
        )
        # rounding of positions up to m
        assert abs(sp.csr_array(found)[:, : matrix.shape[1]] - matrix).max() < 1e-12 + 1e-15 * n


BODY = np.zeros((3, 3, 3))  # the centre and the corners of a cube alone
BODY[::2, ::2, ::2], BODY[1, 1, 1] = -1.0, 8.0


@pytest.mark.parametrize("name", ["31", "nested", "9-point", "semi", "15x31x7", "19-point", "body"])
def test_the_defect_of_an_interpolated_solution_is_known_on_the_coarse_grid(name):
    """b - R A P x without a visit of the fine grid; with the operators in between multiplied
    out."""
    more = {"31": poisson((31,)), "15x31x7": poisson((15, 31, 7), weights=(1.0, 1.1, 0.9))}
    more["body"] = Problem.from_stencil(BODY, (15, 7, 15))
    problem = PROBLEMS.get(name) or more[name]
    options = {"smoother": Jacobi(0.5), "axes": "all" if name == "body" else "auto"}
    ours = StencilHierarchy.build(problem, coarsest=1, max_levels=2, pre=0, **options)
    twin = Twin(ours, problem, lambda l: COMPLEX)
    fine, coarse = ours.levels
    x, b = noise(coarse.size), 1e3 * noise(coarse.size, 1)
    coarse.x[...], coarse.b[...] = x.reshape(coarse.grid), b.reshape(coarse.grid)
    fine.subtract_product(coarse)
    assert relative(coarse.b.ravel(), b - twin.R[0] @ (problem.A @ (twin.C[0] @ x))) < 1e-13
    np.testing.assert_array_equal(coarse.x.ravel(), x)


@pytest.mark.parametrize("n", [3, 5, 7, 9, 11, 15, 17, 19, 21, 31, 63])
def test_tables_of_an_axis_are_those_computed_for_it(n):
    """To the last bit, whatever the other axes need."""
    m = n // 2
    for made, direct in (
        (tables.linear((n, 1, n), (m, 1, m)), tables._linear(n, m)),
        (tables.cubic((n, 1, n), (m, 1, m)), tables._cubic(n, m)),
        (tables.restriction((n, 1, n), (m, 1, m)), tables._restriction(n, m)),
    ):
        size = direct[0].size
        np.testing.assert_array_equal(made.first[2, :size], direct[0])
        np.testing.assert_array_equal(made.weights[2, :, :size], direct[1])


def test_long_polynomials_are_cut_into_sweeps():
    problem = PROBLEMS["uneven"]
    q = families.chebyshev4(40, lmax=problem.spectrum().b)
    ours = StencilHierarchy.build(problem, smoother=q, coarsest=30)
    assert [len(steps) for steps in ours.levels[0].before] == [8] * 5
    x, b = noise(problem.A.shape[0]), noise(problem.A.shape[0], 1)
    assert relative(ours.smooth(x, b), q.smooth(problem.A, x, b)) < 1e-11


# -- operators


@pytest.mark.parametrize("shape", [(31, 15), (15, 7, 15)])
def test_galerkin_stencil_is_r_a_p(shape):
    problem = poisson(shape, stencil="q1")
    ours = StencilHierarchy.build(
        problem, coarsening="galerkin", axes="all", coarsest=1, max_levels=2
    )
    A = sp.csr_array(
        Twin(ours, problem, lambda l: COMPLEX).R[0]
        @ problem.A
        @ transfer.interpolation(*[l.shape for l in ours.levels], D).tocsr()
    )
    coarse = ours.levels[1]
    middle = np.ravel_multi_index([n // 2 for n in coarse.shape], coarse.shape)
    delta = np.zeros(coarse.size)
    delta[middle] = 1.0
    coarse.x, coarse.b = np.zeros(coarse.grid), delta.reshape(coarse.grid).copy()
    coarse.solve()
    assert relative(A @ coarse.x.ravel() + 1.0, delta + 1.0) < 1e-12


def test_a_stencil_is_the_problem_of_its_shape():
    problem = poisson((63, 63))
    b = noise(63 * 63)
    one, two = (
        StencilHierarchy.build(*args, **kw).solve(b).x
        for args, kw in (((problem,), {}), ((laplace(2),), {"shape": (63, 63)}))
    )
    assert relative(one, two) < 1e-13
    uneven = StencilHierarchy.build(laplace(2), shape=(15, 31)).operators[0]
    assert uneven.c[0, 0, 0] == 4 * 16**2  # h is that of the first axis
    for given in (multilinear(2), anisotropic((1.0, 0.3)), mehrstellen(3)):
        operator = StencilHierarchy.build(given, shape=(9,) * given.dim, h=1.0).operators[0]
        np.testing.assert_allclose(operator.couplings, given.couplings(), rtol=1e-12)
    half = StencilHierarchy.build(laplace(2), shape=(63, 63), h=1.0).solve(b).x
    assert relative(half / 64**2, two) < 1e-12


@pytest.mark.parametrize("shape", [(50,), (33, 130), (7, 9, 11)])
def test_one_grid_is_a_direct_solve(shape):
    problem = poisson(shape)
    solution = StencilHierarchy.build(problem, max_levels=1).solve(problem.b, tol=1e-12)
    assert solution.iterations == 1
    assert relative(solution.x, sla.spsolve(sp.csc_array(problem.A), problem.b)) < 1e-11


# -- theory


@pytest.mark.parametrize("shape", [(130,), (82, 98), (132, 31), (82, 98, 83), (522, 522)])
def test_sizes_whose_half_would_need_five_weights(shape):
    """Halved as elsewhere, the coarse grids of 82, 130 or 522 points would have H > 2 h. Factors
    are the usual ones, solutions SciPy's."""
    problem = poisson(shape)
    # 39, 47, 63, 63, 255 have H > 2 h
    assert [tables.coarse_points(n) for n in (82, 98, 130, 132, 522)] == [43, 51, 71, 71, 287]
    hierarchy = StencilHierarchy.build(problem, coarsest=64)
    if len(shape) == 1:
        assert hierarchy.levels[0].grid == (1, 1, *shape)  # n planes would be n calls of a kernel
    solution = hierarchy.solve(problem.b, tol=1e-10)
    assert solution.converged
    assert solution.factor < 0.25  # sizes beside them, 81 or 97, have 0.21 in 3D
    if problem.unknowns < 1e5:
        assert relative(solution.x, sla.spsolve(problem.A.tocsc(), problem.b)) < 1e-9


def test_factor_does_not_depend_on_h():
    factors = []
    for n in (127, 255, 511):
        b = noise(n * n)
        factors.append(
            StencilHierarchy.build(laplace(2), shape=(n, n), coarsest=64).solve(b, tol=1e-10).factor
        )
    assert max(factors) / min(factors) < 1.1
    assert max(factors) < 0.15  # two products before and two after


@pytest.mark.parametrize(("n", "dim", "cycles"), [(255, 2, 1), (300, 2, 3), (63, 3, 2)])
def test_full_multigrid_reaches_the_discretisation_error(n, dim, cycles):
    exact, b, direct = bump(n, dim)
    solver = StencilHierarchy.build(laplace(dim), shape=(n,) * dim, pre=0)
    x = solver.full_multigrid(b, cycles=cycles).x
    assert np.max(np.abs(x - exact)) <= 1.1 * np.max(np.abs(direct - exact))
    assert np.linalg.norm(x - exact) <= 1.1 * np.linalg.norm(direct - exact)


@pytest.mark.parametrize("n", [127, 255, 511])
def test_one_step_on_the_finest_grid_is_enough_for_full_multigrid(n):
    """Degree 2 below keeps the distance to the discrete solution a fixed small part of the
    discretisation error."""
    exact, b, direct = bump(n)
    solver = StencilHierarchy.build(laplace(2), shape=(n, n), pre=0, degree=(1, 2), coarsest=1000)
    assert [sum(map(len, level.after)) for level in solver.levels[:-1]] == [1] + [2] * (
        len(solver.levels) - 2
    )
    x = solver.full_multigrid(b).x
    assert np.max(np.abs(x - exact)) <= 1.05 * np.max(np.abs(direct - exact))
    assert np.linalg.norm(x - direct) <= 0.1 * np.linalg.norm(direct - exact)


def test_full_multigrid_takes_loads_for_boundary_values():
    problem = poisson((127, 127))
    ours = StencilHierarchy.build(problem, degree=3)
    direct = StencilHierarchy.build(problem, max_levels=1).solve(problem.b, maxiter=1).x
    x = ours.full_multigrid(problem.b, cycles=2, loads=problem.equation.load).x
    assert problem.error(x) <= 1.1 * problem.error(direct)


def test_tight_tolerances_are_reached():
    problem = PROBLEMS["uneven"]
    solution = StencilHierarchy.build(problem).solve(problem.b, tol=1e-12)
    assert solution.converged
    # the two sums round differently
    assert np.linalg.norm(problem.b - problem.A @ solution.x) <= 1.5e-12 * np.linalg.norm(problem.b)


@pytest.mark.parametrize("cycle", ["V", "W"])
def test_preconditions_cg(cycle):
    problem = PROBLEMS["q1"]
    M = StencilHierarchy.build(problem, coarsest=30).as_preconditioner(cycle)
    dense = M @ np.eye(problem.A.shape[0])
    assert relative(dense, dense.T) < 1e-12
    assert np.linalg.eigvalsh(dense + dense.T).min() > 0.0
    count = []
    x, info = sla.cg(problem.A, problem.b, rtol=1e-10, M=M, callback=count.append)
    assert info == 0
    assert len(count) <= 10  # condition number below 1.3: (0.07)^10 is 1e-11
    assert relative(x, sla.spsolve(sp.csc_array(problem.A), problem.b)) < 1e-8
