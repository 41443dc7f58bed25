"""Black-box interpolation: bilinear for constant coefficients, exact in one dimension, Galerkin
products, nullspaces, refusals."""

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory.multigrid import transfer
from mgtheory.multigrid.blackbox import blackbox
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.grids import Boundary

D, P = Boundary.DIRICHLET, Boundary.PERIODIC


def rough(*x):
    """A coefficient between 1 and 1000 without any structure."""
    return 10.0 ** (1.5 + 1.5 * np.sin(37.0 * sum((j + 1) * t for j, t in enumerate(x))))


def smooth(*x):
    """A coefficient between 1/e and e that changes slowly."""
    return np.exp(np.sin(5.0 * sum(x)))


@pytest.mark.parametrize("stencil", ["5-point", "9-point", "q1"])
@pytest.mark.parametrize(
    ("boundary", "fine", "coarse"),
    [(D, (15, 11), (7, 5)), (D, (15, 10), (7, 10)), (P, (12, 16), (6, 8))],
)
def test_constant_coefficients_give_linear_interpolation(stencil, boundary, fine, coarse):
    """The lumped equation of a constant stencil is (-1, 2, -1), whatever the stencil; at cell
    centres the tensor product follows."""
    expected = transfer.interpolation(fine, coarse, boundary).tocsr()
    found = blackbox(poisson(fine, stencil=stencil, boundary=boundary).A, fine, coarse, boundary)
    assert found.shape == expected.shape
    assert abs(found - expected).max() < 1e-15


def test_three_dimensions():
    expected = transfer.interpolation((7, 5, 9), (3, 2, 4), D).tocsr()
    assert abs(blackbox(poisson((7, 5, 9)).A, (7, 5, 9), (3, 2, 4), D) - expected).max() < 1e-15
    fine, coarse = (7, 7, 7), (3, 3, 3)
    A = poisson(fine, coefficient=rough).A
    found = blackbox(A, fine, coarse, D)
    # fine along all axes: P's row solves the whole equation of the point
    centre = np.ravel_multi_index((2, 2, 2), fine)
    assert abs((A @ found)[[centre]]).max() < 1e-12 * abs(A).max()


def test_one_dimension_is_exact():
    """Fine points solve their own equations: the coarse operator is the Schur complement, and two
    grids are a direct solver."""
    problem = poisson((31,), coefficient=rough)
    A = problem.A.toarray()
    found = blackbox(problem.A, (31,), (15,), D).toarray()
    even, odd = np.arange(0, 31, 2), np.arange(1, 31, 2)
    np.testing.assert_allclose((A @ found)[even], 0.0, atol=1e-11 * abs(A).max())
    schur = A[np.ix_(odd, odd)] - A[np.ix_(odd, even)] @ np.linalg.solve(
        A[np.ix_(even, even)], A[np.ix_(even, odd)]
    )
    np.testing.assert_allclose(found.T @ A @ found, schur, atol=1e-12 * abs(A).max())


def test_flux_is_continuous_where_k_jumps():
    """Between two coarse points with k1 left and k2 right of the fine one: u = (k1 u1 + k2 u2)/(k1
    + k2)."""
    k1, k2 = 1.0, 50.0
    faces = np.array([k1, k1, k1, k2, k2, k2])
    A = np.diag(faces[:-1] + faces[1:]) - np.diag(faces[1:-1], 1) - np.diag(faces[1:-1], -1)
    found = blackbox(sp.csr_array(A), (5,), (2,), D).toarray()
    assert found[2] == pytest.approx([k1 / (k1 + k2), k2 / (k1 + k2)])


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize("n", [31, 32, 45, 64])
def test_jumps_on_grids_of_any_size(boundary, n):
    """Every second point of any size, of vertices or cells: 0.07 to 0.13 per cycle, where linear
    interpolation has up to 0.46."""
    problem = create("jump2d", n, boundary=boundary)
    hierarchy = Hierarchy.build(problem)
    coarse = n // 2 if boundary == "dirichlet" else (n + 1) // 2
    assert hierarchy.levels[1].shape == (coarse, coarse)
    b = problem.A @ np.random.default_rng(0).standard_normal(problem.unknowns)
    solution = hierarchy.solve(b, tol=1e-10)
    assert solution.converged
    assert solution.factor < (0.2 if boundary == "periodic" and n % 2 else 0.15)
    # the loads of a scheme belong to a uniform grid, and are left aside on others
    full = hierarchy.solve(problem.b, cycle="FMG", loads=problem.equation.load)
    if not hierarchy.levels[0].aligned:
        assert full.residual_norms == hierarchy.solve(problem.b, cycle="FMG").residual_norms
    assert full.iterations < hierarchy.solve(problem.b).iterations


def test_ends_of_even_sizes_keep_constants_as_far_as_the_row_has_them():
    """The last line is a coarse one there: its equation takes from the boundary what its row sum
    has, so that rough coefficients give stable values."""
    for seed in range(3):
        k = 10.0 ** np.random.default_rng(seed).uniform(-2, 2, (20, 23))
        problem = poisson((18, 21), coefficient=lambda x, y, k=k: k[: np.size(x), : np.size(y)])
        sums = blackbox(problem.A, (18, 21), (9, 10), D).sum(axis=1)
        assert sums.max() <= 1.0 + 1e-12
    expected = transfer.interpolation((15,), (7,), D).tocsr()[:14]
    found = blackbox(poisson((14, 15)).A, (14, 15), (7, 15), D)
    assert abs(found - sp.kron(expected, sp.eye_array(15))).max() < 1e-15


@pytest.mark.parametrize("reaction", [0.25, 1.0, 4.0])
def test_weights_beside_a_reaction(reaction):
    """Up to the coupling to a side, 1, they are those without it; beyond, the rest stays in the
    equation of a point: 1/(1 + s) from both sides, 1/(3 + s) from all four."""
    shape, coarse = (8, 8), (4, 4)
    h = 1.0 / 8.0
    A = sp.csr_array(h**2 * poisson(shape, boundary="periodic").A + reaction * sp.eye_array(64))
    found = blackbox(A, shape, coarse, P).toarray().reshape(*shape, *coarse)
    line, middle = 1.0 / max(2.0, 1.0 + reaction), 1.0 / max(4.0, 3.0 + reaction)
    assert found[2, 3, 1, 1] == found[2, 3, 1, 2] == found[3, 2, 1, 1] == pytest.approx(line)
    # a point between four has its neighbours' values, which have theirs from the same corners
    assert found[3, 3, 1:3, 1:3] == pytest.approx(2.0 * middle * line)


@pytest.mark.parametrize("reaction", [1e3, 3e3, 1e4, "random"])
def test_a_reaction_costs_nothing(reaction):
    """A cycle leaves no more than without it, 0.07, and where it varies about as much as with
    linear interpolation; with all of the row sum in the equations it left up to 0.11."""
    n, generator = 63, np.random.default_rng(0)
    values = 1e4 * generator.random(n * n) if reaction == "random" else np.full(n * n, reaction)
    A = sp.csr_array(poisson((n, n)).A + sp.diags_array(values))
    x, factors = generator.standard_normal(n * n), {}
    for kind in ("linear", "black-box"):
        hierarchy = Hierarchy.build(A, shape=(n, n), interpolation=kind)
        norms = hierarchy.solve(A @ x, tol=1e-10, maxiter=30).residual_norms
        factors[kind] = (norms[-1] / norms[-4]) ** (1 / 3)
    assert factors["black-box"] < 0.06
    assert reaction != "random" or factors["black-box"] < 1.1 * factors["linear"]


@pytest.mark.parametrize("name", ["variable2d", "jump2d"])
def test_constants_are_kept(name):
    """Rows of A with sum 0 give rows of P with sum 1: all of them on a periodic grid, those away
    from the boundary else."""
    assert blackbox(create(name, 16, boundary="periodic").A, (16, 16), (8, 8), P).sum(
        axis=1
    ) == pytest.approx(1.0, abs=1e-12)
    sums = blackbox(create(name, 15).A, (15, 15), (7, 7), D).sum(axis=1).reshape(15, 15)
    assert sums[1:-1, 1:-1] == pytest.approx(1.0, abs=1e-12)
    assert np.all(sums[0] < 1.0)


@pytest.mark.parametrize("boundary", ["dirichlet", "periodic"])
def test_galerkin_products_stay_compact_and_symmetric(boundary):
    """At most 9 entries in a row on every level, R = P^T/4, and A symmetric."""
    n = 63 if boundary == "dirichlet" else 64
    hierarchy = Hierarchy.build(create("jump2d", n, boundary=boundary))
    assert len(hierarchy.levels) == 4
    for level, below in zip(hierarchy.levels, hierarchy.levels[1:], strict=False):
        assert sp.issparse(level.P)
        assert abs(level.R - level.P.T / 4).max() < 1e-15
        assert np.diff(below.A.indptr).max() <= 9
        assert abs(below.A - below.A.T).max() <= 1e-12 * abs(below.A).max()


def test_what_the_default_chooses():
    """Tensor products for constant stencils, rediscretisation, complex and far from M-matrices;
    entries where coefficients vary, of sizes that do not nest and of cells too."""
    grid = (15, 15)
    nonsymmetric = sp.csr_array(
        create("variable2d", 15).A + sp.diags_array(np.full(224, 5e4), offsets=1, shape=(225, 225))
    )
    for hierarchy in (
        Hierarchy.build(poisson(grid)),
        Hierarchy.build(poisson(grid).A, shape=grid),
        Hierarchy.build(create("variable2d", 15), coarsening="rediscretise"),
        Hierarchy.build(create("variable2d", 15), interpolation="linear"),
        Hierarchy.build(
            sp.csr_array(create("variable2d", 15).A + 1j * sp.eye_array(225)), shape=grid
        ),
        Hierarchy.build(nonsymmetric, shape=grid),
    ):
        assert isinstance(hierarchy.levels[0].P, transfer.TensorOperator)
    for hierarchy in (
        Hierarchy.build(create("variable2d", 15)),
        Hierarchy.build(create("variable2d", 16)),
        Hierarchy.build(create("variable2d", 16, boundary="neumann")),
        Hierarchy.build(create("variable2d", 15).A, shape=grid),
        Hierarchy.build(create("variable2d", 15), restriction="half"),
        Hierarchy.build(poisson(grid), interpolation="black-box"),
    ):
        assert sp.issparse(hierarchy.levels[0].P)
    single = Hierarchy.build(create("variable2d", 15), dtype=np.float32).levels[0]
    assert single.P.dtype == single.R.dtype == np.float32
    jump = create("jump2d", 15)
    right = jump.b.astype(np.float32)
    full = Hierarchy.build(jump.A.astype(np.float32), shape=grid, coarsest=9).full_multigrid(right)
    assert full.x.dtype == np.float32


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
@pytest.mark.parametrize("shape", [(64, 64), (24, 24, 24)])
def test_even_sizes_take_less_work_by_entries(shape, boundary):
    """Linear coarse operators reach farther there; work units a digit."""
    A, work = poisson(shape, coefficient=smooth, boundary=boundary).A, []
    b = A @ np.random.default_rng(0).standard_normal(A.shape[0])
    for interpolation in (None, "linear"):
        hierarchy = Hierarchy.build(A, shape=shape, interpolation=interpolation)
        found = hierarchy.solve(b, tol=1e-9)
        work.append(found.work_units / np.log10(found.residual_norms[0] / found.residual_norms[-1]))
    assert work[0] < 0.8 * work[1]


def test_several_unknowns_of_a_node_are_no_reaction():
    """Couplings along their axis were taken for one: by entries a cycle left 0.6 to 0.9 where the
    matrix of a node is singular."""
    A = sp.kron(poisson((16, 16), boundary="neumann").A, sp.eye_array(2))
    A = sp.csr_array(A + 100.0 * sp.kron(sp.eye_array(256), np.array([[1.0, 2.0], [2.0, 4.001]])))
    hierarchy = Hierarchy.build(A, shape=(16, 16, 2))
    assert "several unknowns of a node" in hierarchy.levels[0].notes[0]
    assert hierarchy.solve(A @ np.random.default_rng(0).standard_normal(512)).factor < 0.3


@pytest.mark.parametrize(
    ("A", "fine", "coarse", "boundary", "words"),
    [
        (poisson((16,)).A, (16,), (7,), D, "needs nested grids"),
        (poisson((15,)).A, (15,), (7,), P, "needs nested grids"),
        (poisson((16,), boundary="neumann").A, (16,), (7,), Boundary.NEUMANN, "needs nested grids"),
        (poisson((15,)).A.astype(complex), (15,), (7,), D, "needs a real A"),
        (sp.csr_array(poisson((15,)).A @ poisson((15,)).A), (15,), (7,), D, "reaches farther"),
        (-poisson((15,)).A, (15,), (7,), D, "no stable value"),
        (
            sp.csr_array(poisson((15,)).A - 200.0 * sp.eye_array(15)),
            (15,),
            (7,),
            D,
            "no stable value",
        ),
    ],
)
def test_refusals(A, fine, coarse, boundary, words):
    with pytest.raises(ValueError, match=f"black-box interpolation .*{words}"):
        blackbox(A, fine, coarse, boundary)


@pytest.mark.parametrize(
    ("boundary", "sizes"),
    [
        ("dirichlet", (68, 72, 80, 92, 95, 100, 110)),
        ("periodic", (45, 90, 95, 101, 125)),
        ("neumann", (84, 108, 115, 117)),
    ],
)
def test_corners_of_a_jump_on_coarse_levels(boundary, sizes):
    """Galerkin products have positive couplings there, far from those of an M-matrix: with linear
    interpolation for the whole level the factor was 0.2 to 0.52."""
    for n in sizes:
        problem = create("jump2d", n, boundary=boundary)
        hierarchy = Hierarchy.build(problem)
        assert all(level.notes == () for level in hierarchy.levels)
        solution = hierarchy.solve(problem.b)
        assert solution.converged
        assert solution.factor < 0.13


def test_weights_of_one_sign_keep_their_sum_and_no_negative_one():
    """Of the points whose moduli sum up to more than 5/4; a row sum that is missing stays so."""
    A = poisson((15,)).A.tolil()
    A[6, 5], A[6, 7], A[6, 6] = 200.0, -600.0, 400.0  # weights -1/2 and 3/2
    A[8, 7], A[8, 9], A[8, 8] = 200.0, -600.0, 800.0  # -1/4 and 3/4: still stable
    A[10, 9], A[10, 11], A[10, 10] = 200.0, -800.0, 400.0  # -1/2 and 2: no more than the one around
    A[12, 11], A[12, 13], A[12, 12] = 600.0, -80.0, 400.0  # -3/2 and 1/5
    P = blackbox(sp.csr_array(A), (15,), (7,), D).toarray()
    np.testing.assert_allclose(P[10, 4:6], [0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(P[12, 5:7], [0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(P[6, 2:4], [0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(P[8, 3:5], [-0.25, 0.75], atol=1e-12)
    np.testing.assert_allclose(P[4, 1:3], [0.5, 0.5])


@pytest.mark.parametrize("n", [31, 32])
def test_a_real_matrix_of_complex_type(n):
    """It had linear interpolation, which left 0.31 of the error on 31 x 31 points."""
    A = create("jump2d", n).A
    options = {"shape": (n, n), "smoother": "jacobi"}
    ours, theirs = (Hierarchy.build(matrix, **options) for matrix in (A.astype(complex), A))
    r = np.random.default_rng(0).standard_normal(n * n)
    expected = theirs.apply(r)
    np.testing.assert_allclose(ours.apply(r), expected, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("n", [31, 32])
def test_a_negative_matrix_has_the_interpolation_of_its_opposite(n):
    """Its centres were refused, and linear interpolation left 0.38 of the error."""
    A = create("jump2d", n).A
    options = {"shape": (n, n), "smoother": "jacobi"}
    ours, theirs = (Hierarchy.build(matrix, **options) for matrix in (-A, A))
    r = np.random.default_rng(0).standard_normal(n * n)
    expected = theirs.apply(r)
    np.testing.assert_allclose(ours.apply(-r), expected, atol=1e-10 * np.abs(expected).max())


def finite_volumes(n, flux, *, closed):
    """-div(k grad u - w u) on n x n cells, k slowly varying, with an upwind flux w along the first
    axis; no flux through the sides, or the value 0 there."""
    h = 1.0 / n
    k = np.exp(np.sin(5.0 * np.add.outer(*2 * [h * (np.arange(n) + 0.5)])))
    A = np.zeros((n, n, n, n))
    cells = np.arange(n)
    for j in range(2):
        B, c = (A, k) if j == 0 else (A.transpose(1, 0, 3, 2), k.T)
        for i in range(n - 1):
            face = 2.0 / (1.0 / c[i] + 1.0 / c[i + 1]) / h**2
            out = face + (flux / h if j == 0 else 0.0)
            B[i, cells, i, cells] += out
            B[i + 1, cells, i, cells] -= out
            B[i + 1, cells, i + 1, cells] += face
            B[i, cells, i + 1, cells] -= face
        for i in () if closed else (0, n - 1):
            B[i, cells, i, cells] += 2.0 * c[i] / h**2
    return sp.csr_array(A.reshape(n * n, n * n))


@pytest.mark.parametrize(("flux", "shift", "closed"), [(10.0, 1.0, True), (0.0, -20.0, False)])
def test_rows_of_negative_sums_are_interpolated_linearly_where_grids_do_not_nest(
    flux, shift, closed
):
    """A flux against a wall, and a shift below the lowest eigenvalue: by the entries of A, whose
    weights exceed 1 there, cycles take twice as many steps, or diverge on other grids."""
    A = sp.csr_array(finite_volumes(32, flux, closed=closed) + shift * sp.eye_array(1024))
    b = A @ np.random.default_rng(0).standard_normal(1024)
    usual = Hierarchy.build(A, shape=(32, 32))
    assert "rows have negative sums" in usual.levels[0].notes[0]
    assert usual.solve(b).factor < 0.1
    assert Hierarchy.build(A, shape=(32, 32), interpolation="black-box").solve(b).factor > 0.2
