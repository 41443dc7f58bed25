"""Bare matrices as users have them: triangles, orders, several unknowns per node, rounded entries,
penalties. They are solved, refused in one line, or said to be what they are."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.csgraph import reverse_cuthill_mckee

from mgtheory import Hierarchy, poisson
from mgtheory.multigrid.krylov import krylov
from mgtheory.multigrid.solution import Reason
from mgtheory.problems import create
from mgtheory.spectra.symmetry import NEARLY, ROUNDED


def random(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def solve(A, shape, b=None, *, tol=1e-8, **options):
    """The hierarchy, the solution, and its true relative residual."""
    hierarchy = Hierarchy.build(A, shape=shape, **options)
    b = A @ random(A.shape[0]) if b is None else b
    solution = hierarchy.solve(b, tol=tol)
    return hierarchy, solution, np.linalg.norm(b - A @ solution.x) / np.linalg.norm(b)


def upwind(n):
    """First differences along both axes: couplings in the lower triangle alone."""
    D = sp.diags_array([np.ones(n), -np.ones(n - 1)], offsets=[0, -1])
    return sp.csr_array(sp.kron(D, sp.eye_array(n)) + sp.kron(sp.eye_array(n), D))


def sheared(n):
    """The same of a wind that has no potential, (c(x), c(x)): no diagonal makes it symmetric."""
    strength = np.repeat(np.linspace(0.5, 1.5, n), n)
    return sp.csr_array(sp.diags_array(strength) @ upwind(n))


def permuted(A, order):
    return sp.csr_array(A[order][:, order])


def red_black(n):
    return np.argsort(np.indices((n, n)).sum(axis=0).ravel() % 2, kind="stable")


def rounded(A, digits):
    result = sp.csr_array(A, copy=True)
    result.data = np.array([float(f"{value:.{digits - 1}e}") for value in result.data])
    return result


def penalised(A, places, size):
    return sp.csr_array(A + sp.diags_array(size * np.isin(np.arange(A.shape[0]), places)))


LAPLACIAN = poisson((33, 33)).A
LEFT = np.arange(0, 33**2, 33)


# ------------------------------------------------------------------- both triangles count


@pytest.mark.parametrize(
    ("A", "shape", "cycles"),
    [
        (sp.diags_array(np.linspace(1.0, 2.0, 81)).tocsr(), (9, 9), 5),
        (sp.diags_array(np.logspace(0, 6, 33**2)).tocsr(), (33, 33), 5),
        (sp.csr_array(3.0 * sp.eye_array(129)), (129,), 5),
        (sp.tril(LAPLACIAN).tocsr(), (33, 33), 15),
        (sp.triu(LAPLACIAN).tocsr(), (33, 33), 15),
        (sp.tril(poisson((9, 9, 9)).A).tocsr(), (9, 9, 9), 20),
        (sp.tril(poisson((129,)).A).tocsr(), (129,), 15),
        (upwind(33), (33, 33), 45),
        (upwind(33).T.tocsr(), (33, 33), 45),
        (sp.csr_array(LAPLACIAN + 33 * upwind(33)), (33, 33), 9),
    ],
)
def test_couplings_of_either_triangle(A, shape, cycles):
    _, solution, relative = solve(A, shape)
    assert solution.converged
    assert relative <= 1e-8
    assert solution.iterations <= cycles


def test_a_matrix_with_entries_in_parts_stays_as_it_is():
    """Columns in any order, a place twice: summed in a copy."""
    A = LAPLACIAN.tocoo()
    rows, columns = np.tile(A.row, 2), np.tile(A.col, 2)
    order = np.lexsort((random(rows.size), rows))
    values = np.repeat([0.25, 0.75], A.nnz) * np.tile(A.data, 2)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows))])
    given = sp.csr_array((values[order], columns[order], starts), shape=A.shape)
    kept = [array.copy() for array in (given.data, given.indices, given.indptr)]
    hierarchy, found, rest = solve(given, (33, 33))
    for array, before in zip((given.data, given.indices, given.indptr), kept, strict=True):
        np.testing.assert_array_equal(array, before)
    assert found.converged
    assert rest <= 1e-8
    assert abs(hierarchy.levels[0].A - LAPLACIAN).max() < 1e-12 * LAPLACIAN.max()


def test_a_triangle_is_coarsened_as_its_transpose_is():
    for A, shape in (
        (sp.tril(create("anisotropic2d", 33).A).tocsr(), (33, 33)),
        (upwind(33), (33, 33)),
    ):
        one, other = (Hierarchy.build(M.tocsr(), shape=shape) for M in (A, A.T))
        assert [level.shape for level in one.levels] == [level.shape for level in other.levels]
        assert one.levels[0].smoothing_interval()[0] == pytest.approx(
            other.levels[0].smoothing_interval()[0]
        )


# --------------------------------------------------------------- the order of the unknowns


@pytest.mark.parametrize(
    ("A", "shape"),
    [
        (permuted(poisson((9, 9)).A, red_black(9)), (9, 9)),
        (permuted(LAPLACIAN, red_black(33)), (33, 33)),
        (permuted(LAPLACIAN, np.random.default_rng(0).permutation(33**2)), (33, 33)),
        (sp.kron(poisson((40,)).A, sp.eye_array(2)).tocsr(), 80),
    ],
)
def test_a_matrix_without_neighbours_is_refused(A, shape):
    with pytest.raises(ValueError, match="A does not couple neighbours on the grid") as said:
        Hierarchy.build(A, shape=shape)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("A", "shape", "words"),
    [
        (poisson((15, 31)).A, (31, 15), "does not couple neighbours on the grid 31 x 15"),
        (poisson((40, 41)).A, (41, 40), "does not couple neighbours on the grid 41 x 40"),
        (create("anisotropic2d", 33).A[:, :][:1056, :1056], (33, 32), "does not couple"),
        (poisson((5, 7, 9)).A, (9, 7, 5), "does not couple neighbours on the grid 9 x 7 x 5"),
        (LAPLACIAN, 33**2, "does not couple neighbours on the grid 1089"),
        # a flat difference, which couples the end of a line with the start of the next one
        (
            sp.csr_array(LAPLACIAN - sp.eye_array(33**2, k=-1)),
            (33, 33),
            "does not couple neighbours on the grid 33 x 33",
        ),
        (
            permuted(LAPLACIAN, reverse_cuthill_mckee(sp.csr_matrix(LAPLACIAN))),
            (33, 33),
            "does not couple neighbours on the grid 33 x 33",
        ),
        (sp.kron(LAPLACIAN, sp.eye_array(2)).tocsr(), (33, 66), "a last axis of their own"),
        (sp.kron(LAPLACIAN, [[2, 1], [1, 2]]).tocsr(), (33, 66), "a last axis of their own"),
        (poisson((32, 33), boundary="periodic").A, (33, 32), "does not couple neighbours"),
        (poisson((32, 33), boundary="neumann").A, (33, 32), "does not couple neighbours"),
    ],
)
def test_another_order_or_grid_is_said(A, shape, words):
    hierarchy, solution, _ = solve(A, shape)
    (said,) = [text for text in hierarchy.warnings if "symmetric" not in text]
    assert words in said
    assert "\n" not in said
    assert said in solution.warnings
    assert said in hierarchy.with_smoothers("chebyshev4").warnings


def test_opposite_ends_that_are_coupled_are_said():
    A = poisson((32, 32), boundary="periodic").A
    hierarchy, solution, _ = solve(A, (32, 32), boundary="dirichlet")
    (said,) = hierarchy.warnings
    assert "with boundary='periodic' they are neighbours" in said
    assert said in solution.warnings


def banded(n, values, around=False):
    """A line of n points with these entries from one side to the other."""
    reach = len(values) // 2
    D = sp.diags_array(values, offsets=range(-reach, reach + 1), shape=(n, n))
    if around:
        for k, value in enumerate(values[:reach]):
            corner = sp.diags_array([value], offsets=[n - reach + k], shape=(n, n))
            D = D + corner + corner.T
    return D


def fourth_order(n, around=False):
    """13 of the widest usual couplings: (1, -16, 30, -16, 1) along both axes."""
    D = banded(n, [1.0, -16.0, 30.0, -16.0, 1.0], around)
    return sp.csr_array(sp.kron(D, sp.eye_array(n)) + sp.kron(sp.eye_array(n), D))


def trilinear(n):
    """Periodic trilinear elements with cubic cells: no coupling along an axis."""
    K, M = banded(n, [-1.0, 2.0, -1.0], True), banded(n, [1.0, 4.0, 1.0], True)
    parts = [sp.kron(sp.kron(*two), last) for two, last in (((K, M), M), ((M, K), M), ((M, M), K))]
    A = sp.csr_array(sum(parts))
    A.eliminate_zeros()
    return A


@pytest.mark.parametrize(
    ("A", "shape", "boundary"),
    [
        (LAPLACIAN, (33, 33), "dirichlet"),
        (create("jump2d", 33).A, (33, 33), "dirichlet"),
        (create("anisotropic2d", 33).A, (33, 33), "dirichlet"),
        (create("variable2d", 32, boundary="periodic").A, (32, 32), "periodic"),
        (create("variable2d", 33, boundary="neumann").A, (33, 33), "neumann"),
        (create("poisson3d-19point", 9).A, (9, 9, 9), "dirichlet"),
        (fourth_order(33), (33, 33), "dirichlet"),
        (fourth_order(32, around=True), (32, 32), "periodic"),
        (trilinear(8), (8, 8, 8), "periodic"),
        (sp.csr_array(LAPLACIAN @ LAPLACIAN), (33, 33), "dirichlet"),
        (sp.kron(LAPLACIAN, sp.eye_array(2)).tocsr(), (33, 33, 2), "dirichlet"),
        (sp.kron(sp.eye_array(2), poisson((40,)).A).tocsr(), (2, 40), "dirichlet"),
        (
            sp.csr_array(create("variable2d", 33).A + 1e-13 * sp.eye_array(1089, k=700)),
            (33, 33),
            "dirichlet",
        ),
    ],
)
def test_what_is_right_is_not_doubted(A, shape, boundary):
    for named in (boundary, None):
        hierarchy = Hierarchy.build(A, shape=shape, boundary=named)
        assert (hierarchy.levels[0].boundary, hierarchy.doubts) == (boundary, ())


# --------------------------------------------------------------- singular but for rounding


@pytest.mark.parametrize("digits", [5, 8, 10, 12])
@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_rounded_entries_of_a_singular_matrix(digits, boundary):
    exact = create("variable2d", 32, boundary=boundary).A
    A, b = rounded(exact, digits), random(32**2) + 1.0
    _, solution, _ = solve(A, (32, 32), b, boundary=boundary)
    (said,) = solution.warnings
    assert said in solution.message
    size = float(said.split("A times constants is ")[1].split()[0])
    assert 10.0**-digits <= 20 * size
    assert size <= 10.0 ** (2 - digits)
    assert "it counts as 0 up to 1.8e-15" in said
    assert "nullspace=np.ones((1024, 1))" in said
    # the way on
    ones = np.ones((1024, 1))
    hierarchy, found, _ = solve(
        A, (32, 32), b - b.mean(), tol=1e-3, boundary=boundary, nullspace=ones
    )
    assert found.converged
    assert found.warnings == ()
    expected = solve(exact, (32, 32), b - b.mean(), boundary=boundary)[1].x
    found = hierarchy.solve(b - b.mean(), tol=1e-8)
    assert found.reason in (Reason.CONVERGED, Reason.INCOMPATIBLE)
    assert found.iterations <= 12
    assert np.abs(found.x - expected).max() <= 10.0 ** (3 - digits) * np.abs(expected).max() + 1e-8
    true = np.linalg.norm(b - b.mean() - A @ found.x)
    assert found.residual_norms[-1] == pytest.approx(true, rel=1e-3)
    # b with a mean: the least-squares solution, with the mean said
    assert hierarchy.solve(b).incompatibility == pytest.approx(32 * b.mean(), rel=1e-6)
    conjugate = krylov(hierarchy, A, b - b.mean(), tol=1e-3)
    assert conjugate.converged


def test_coarse_grids_of_a_rounded_matrix_are_as_symmetric_as_it_is_taken_for():
    """One triangle rounded upwards: a wind, which doubles from grid to grid beside the rest."""
    A = sp.csr_array(sp.tril(LAPLACIAN) + (1 + 2e-5) * sp.triu(LAPLACIAN, 1))
    levels = Hierarchy.build(A, shape=(33, 33), coarsest=9).levels
    found = [level.asymmetry for level in levels]
    assert found[0] < ROUNDED < found[-1] < NEARLY
    assert all(level.symmetric for level in levels)


def test_asymmetry_of_a_coarse_operator_is_no_doubt_about_the_matrix():
    """A restriction that is no multiple of P^T."""
    hierarchy = Hierarchy.build(create("jump2d", 31), smoother="chebyshev", restriction="half")
    assert [level.symmetric for level in hierarchy.levels[:2]] == [True, False]
    assert hierarchy.warnings == ()
    A = sp.csr_array(LAPLACIAN + 33 * sheared(33))
    level = Hierarchy.build(A, shape=(33, 33)).levels[0]
    # gamma and its bound belong to a symmetric A
    assert (level.record().positive, level.operator_record().positive) == (True, False)


def test_spectra_of_unsymmetric_levels_grow_with_their_own_diagonals():
    """That of A falls by about 1/2 where a wind is strong, that of D^-1 A stays."""
    A = sp.csr_array(LAPLACIAN + 33 * sheared(33))
    levels = Hierarchy.build(A, shape=(33, 33), smoother="jacobi").levels
    assert not levels[1].symmetric
    assert levels[1].growth("diagonal") == pytest.approx(1.0, abs=0.15)
    assert levels[1].growth("identity") < 0.6


def test_regular_matrices_are_not_taken_for_singular_ones():
    A, b = create("variable2d", 33, boundary="neumann").A, random(33**2) + 1.0
    for shift in (1e-2, 1.0, 100.0):
        shifted = sp.csr_array(A + shift * sp.eye_array(33**2))
        for right in (b, np.ones(33**2)):
            _, solution, _ = solve(shifted, (33, 33), right, boundary="neumann")
            assert solution.converged
            assert solution.warnings == ()
    # without a mean nothing is lost
    _, solution, _ = solve(rounded(A, 8), (33, 33), b - b.mean(), boundary="neumann")
    assert solution.converged
    assert solution.warnings == ()
    with pytest.raises(ValueError, match=r"not zero, but up to .* allowed is 1e-04"):
        Hierarchy.build(LAPLACIAN, shape=(33, 33), nullspace=np.ones(33**2))


# --------------------------------------------------------------- rows of several scales


@pytest.mark.parametrize("size", [1e6, 1e12, 1e16, 1e30, 1e150])
@pytest.mark.parametrize(
    "places",
    [LEFT, [500], [i for i in range(33**2) if i // 33 > 16 and i % 33 > 16]],
    ids=["side", "point", "block"],
)
def test_penalties(places, size):
    """One point is the hardest: it alone holds the constants."""
    A = penalised(poisson((33, 33), boundary="neumann").A, places, size)
    b = random(33**2) + 1.0
    hierarchy, solution, relative = solve(A, (33, 33), b, boundary="neumann")
    assert hierarchy.nullspace is None
    assert solution.converged
    assert relative <= 1e-8
    assert solution.iterations <= (20 if len(places) == 1 else 10)
    free = np.setdiff1d(np.arange(33**2), places)
    assert abs(solution.x[places]).max() <= 1e5 / size
    # the others see zero values there
    inner = poisson((33, 33), boundary="neumann").A[free][:, free]
    left = np.linalg.norm(b[free] - inner @ solution.x[free])
    assert left <= (1e5 / size + 1e-7) * np.linalg.norm(b)
    M = hierarchy.as_preconditioner()
    assert M.shape == A.shape


@pytest.mark.parametrize("smoother", ["jacobi", "red_black", "gauss_seidel", "chebyshev4"])
def test_penalties_with_other_smoothers(smoother):
    A = penalised(poisson((33, 33), boundary="neumann").A, LEFT, 1e30)
    _, solution, _ = solve(A, (33, 33), boundary="neumann", smoother=smoother)
    assert solution.converged
    assert solution.iterations <= 20


@pytest.mark.parametrize("penalty", [1e4, 1e8, 1e12])
def test_a_full_pass_leaves_the_residual_of_fixed_values_alone(penalty):
    """What interpolation gave one such unknown, times its penalty, was taken for divergence."""
    A = penalised(LAPLACIAN, [400], penalty)
    b = random(33**2)
    hierarchy = Hierarchy.build(A, shape=(33, 33))
    norms = hierarchy.solve(b, cycle="FMG").residual_norms
    assert norms[1] < 0.25 * norms[0]
    assert len(norms) <= len(hierarchy.solve(b).residual_norms)


def test_fixed_values_by_rows_of_the_identity():
    A = LAPLACIAN.tolil(copy=True)
    for i in (i for i in range(33**2) if i // 33 > 16 and i % 33 > 16):
        A[i, :] = 0.0
        A[i, i] = 1.0
    _, solution, _ = solve(A.tocsr(), (33, 33), smoother="gauss_seidel")
    assert solution.converged
    assert solution.iterations <= 12


@pytest.mark.parametrize("coarsest", [64, 500, 2000])
def test_the_coarsest_level_may_hold_any_number(coarsest):
    """The inverse and sparse factors."""
    A = penalised(create("variable2d", 33).A, LEFT, 1e12)
    _, solution, relative = solve(A, (33, 33), random(33**2), coarsest=coarsest)
    assert solution.converged
    assert relative <= 1e-8
    assert solution.iterations <= 10


def test_rows_of_one_level_alone():
    """The coarsest solver too: its test of singularity is one of rows."""
    A = penalised(poisson((7, 7), boundary="neumann").A, range(7), 1e30)
    _, solution, relative = solve(A, (7, 7), random(49), boundary="neumann")
    assert solution.converged
    assert relative < 1e-12
    for scale in (1e100, 1e-100):
        assert solve(LAPLACIAN * scale, (33, 33))[1].converged


# --------------------------------------------------------------------------- empty rows


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
@pytest.mark.parametrize("n", [33, 64])
def test_points_outside_of_a_domain_have_empty_rows(n, boundary):
    """The row in the middle of the grid among them, whose stencil was looked for; x is 0 there. A
    singular rest had a coarsest matrix that was more so."""
    outside = np.zeros((n, n), bool)
    outside[n // 2 :, n // 2 :] = True
    inside = ~outside.ravel()
    left = np.flatnonzero(inside)
    A = poisson((n, n), boundary=boundary).A[left][:, left]
    if boundary == "neumann":
        A = A - sp.diags_array(A.sum(axis=1))
    E = sp.eye_array(n * n, format="csr")[:, left]
    whole = sp.csr_array(E @ A @ E.T)
    whole.eliminate_zeros()
    x = random(inside.sum())
    x -= x.mean()
    hierarchy, solution, _ = solve(whole, (n, n), E @ (A @ x), tol=1e-11)
    assert hierarchy.doubts == ()
    assert solution.factor < 0.11
    np.testing.assert_array_equal(solution.x[~inside], 0.0)
    np.testing.assert_allclose(solution.x[inside], x, atol=1e-8)


@pytest.mark.parametrize("method", ["cg", "minres", "gmres"])
def test_whole_numbers_under_a_krylov_method(method):
    """Their type has no rounding, which was asked for."""
    A = sp.csr_array(LAPLACIAN / 34**2)
    A.data = np.rint(A.data)
    b = A @ random(33**2)
    found, expected = (
        krylov(Hierarchy.build(A, shape=(33, 33)), matrix, b, method=method, tol=1e-10)
        for matrix in (A.astype(int), A)
    )
    np.testing.assert_array_equal(found.x, expected.x)
    assert found.converged
