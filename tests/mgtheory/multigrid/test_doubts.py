"""What a bare matrix says against the boundary and the scales it is given with; its order is
tested in test_matrices."""

import itertools
import re

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory import Hierarchy, poisson, solve
from mgtheory.multigrid.doubts import about_indefiniteness, row_scales
from mgtheory.multigrid.ends import kinds_of_ends
from mgtheory.multigrid.krylov import krylov
from mgtheory.multigrid.level import Level
from mgtheory.problems import create
from mgtheory.problems.grids import Ends
from mgtheory.spectra.bounds import coupling_ratio

# both ends of an axis: zero values at a node (d) or half a cell away (h), free cells (n) or a free
# node with its ghost (v), periodic (p)
ENDS = ("dd", "hh", "nn", "nd", "dn", "vv", "pp")


def second_difference(n, ends):
    A = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tolil()
    for kind, i, j in zip(ends, (0, n - 1), (1, n - 2), strict=True):
        if kind == "p":
            A[i, n - 1 - i] = -1.0
        elif kind == "v":
            A[i, j] = -2.0
        else:
            A[i, i] = {"d": 2.0, "h": 3.0, "n": 1.0}[kind]
    return sp.csr_array(A * n**2)


def laplacian(n, *axes):
    """Other ends along each axis."""
    one = [second_difference(n, ends) for ends in axes]
    eye = sp.eye_array(n)
    if len(one) == 1:
        return one[0]
    return sp.csr_array(sp.kron(one[0], eye) + sp.kron(eye, one[1]))


def cycles(A, shape, boundary):
    hierarchy = Hierarchy.build(A, shape=shape, boundary=boundary)
    x = np.random.default_rng(0).standard_normal(A.shape[0])
    solution = hierarchy.solve(A @ (x - x.mean()))
    return solution.iterations, hierarchy.doubts


@pytest.mark.parametrize(
    ("axes", "n"),
    [(axes, 33) for axes in itertools.combinations_with_replacement(ENDS, 2)]
    + [((ends, ends), 32) for ends in ENDS],
)
def test_ends_of_every_kind(axes, n):
    """Free ends want boundary='neumann', whatever the other ends are; without them, periodic ones
    want 'periodic'; zero values on all sides want 'dirichlet'. What is wanted is fast, and is what
    A has where nothing is named."""
    A, kinds = laplacian(n, *axes), "".join(axes)
    free, around = set(kinds) & set("nv"), "p" in kinds
    wanted = "neumann" if free else "periodic" if around else "dirichlet"
    count, said = cycles(A, (n, n), wanted)
    assert said == ()
    assert count <= 10
    assert cycles(A, (n, n), None) == (count, ())
    for given in {"dirichlet", "neumann", "periodic"} - {wanted}:
        said = Hierarchy.build(A, shape=(n, n), boundary=given).doubts
        if set(kinds) <= set("dh") and "h" in kinds:
            assert said == ()  # half a cell away, cells fit as well
            continue
        (text,) = said
        assert f"boundary='{wanted}'" in text
        assert f"grid {n} x {n}" in text
        assert "\n" not in text


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize(
    "name",
    [
        "variable2d",
        "jump2d",
        "anisotropic2d",
        "poisson2d-9point",
        "poisson2d-q1",
        "poisson1d",
        "poisson3d",
        "poisson3d-19point",
    ],
)
def test_model_problems(name, boundary):
    problem = create(name, 32 if "3d" not in name else 8, boundary=boundary)
    for given in ("dirichlet", "neumann", "periodic"):
        said = Hierarchy.build(problem.A, shape=problem.shape, boundary=given).doubts
        assert [f"boundary='{boundary}'" in text for text in said] == [True] * (given != boundary)
    assert Hierarchy.build(problem).doubts == ()
    level = Hierarchy.build(problem.A, shape=problem.shape).levels[0]
    assert (level.boundary, level.doubts) == (boundary, ())
    assert level.ends == (Ends.of(problem.boundary),) * problem.dim


@pytest.mark.parametrize(("n", "axes"), [(2, {1}), (3, {0, 1})])
def test_ends_of_axes_from_three_unknowns_on(n, axes):
    A = poisson((n, 30), boundary="neumann").A
    assert {axis for axis, _ in kinds_of_ends(A, (n, 30))} == axes


def test_other_terms_do_not_look_like_ends():
    """Reaction, varying or not, convection with its free outflow, fixed values, rough
    coefficients, triangles."""
    D, N = poisson((33, 33)).A, poisson((33, 33), boundary="neumann").A
    shift = sp.diags_array(np.linspace(0.0, 500.0, 33**2))
    wind = sp.kron(sp.diags_array([1.0, -1.0], offsets=[0, -1], shape=(33, 33)), sp.eye_array(33))
    rng = np.random.default_rng(0)
    rough = np.exp(3 * rng.uniform(-1, 1, (68, 68)))
    side = sp.diags_array(1e6 * (np.arange(33**2) % 33 == 0))

    def k(x, y):
        return rough[(66 * x).astype(int), (66 * y).astype(int)]

    for A, boundary in (
        (D + shift, "dirichlet"),
        (N + shift, "neumann"),
        (D + 1e4 * wind, "dirichlet"),
        (sp.tril(D), "dirichlet"),
        (N + side, "neumann"),
        (poisson((33, 33), coefficient=k).A, "dirichlet"),
        (poisson((33, 33), coefficient=k, boundary="neumann").A, "neumann"),
        (sp.csr_array(D @ D), "dirichlet"),
        (sp.csr_array(N @ N), "neumann"),
    ):
        for named in (boundary, None):
            level = Hierarchy.build(sp.csr_array(A), shape=(33, 33), boundary=named).levels[0]
            assert (level.boundary, level.doubts) == (boundary, ())
    # where a side is fixed, of the others A alone knows
    assert (
        Hierarchy.build(sp.csr_array(N + side), shape=(33, 33), boundary="dirichlet").doubts == ()
    )
    for A, given in ((N + shift, "dirichlet"), (D + shift, "periodic")):
        (text,) = Hierarchy.build(sp.csr_array(A), shape=(33, 33), boundary=given).doubts
        assert ("looks like Neumann" in text) == (given == "dirichlet")


def with_fixed_border(n, penalty):
    """-Laplace on all points of a square, and b, its border fixed: by rows of the identity, or by a
    penalty beside the diagonal."""
    border = np.zeros((n, n), bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    border = border.ravel()
    A, b = poisson((n, n)).A, np.where(border, np.linspace(0.0, 1.0, n * n), 1.0)
    if penalty is None:
        A = sp.diags_array(1.0 - border) @ A + sp.diags_array(1.0 * border)
        return sp.csr_array(A), b
    size = penalty * (n + 1) ** 2
    return sp.csr_array(A + sp.diags_array(size * border)), np.where(border, size * b, b)


def test_fixed_values_are_no_free_ends():
    """The rows beside those of the identity sum to zero, and so nearly do these beside 1/h^2."""
    A, b = with_fixed_border(33, None)
    hierarchy = Hierarchy.build(A, shape=(33, 33))
    assert hierarchy.doubts == ()
    assert set(kinds_of_ends(A, (33, 33)).values()) == {"other"}
    assert hierarchy.solve(b).work_units < 76


def test_a_penalty_that_hides_the_rest_is_said():
    """A step of cg has solved for the values at the border, and nothing else: its tolerance is
    relative to b, which has the penalty."""
    A, b = with_fixed_border(33, 1e10)
    x = sp.linalg.spsolve(sp.csc_array(A), b)
    hierarchy = Hierarchy.build(A, shape=(33, 33))
    hidden = solve(A, hierarchy, b=b, krylov="cg")
    assert hidden.converged
    assert np.abs(hidden.x - x).max() > 0.1
    (text,) = hidden.warnings
    assert "that of 128 rows that fix values by a penalty" in text
    assert text in hidden.message
    found = solve(A, hierarchy, b=b, krylov="cg", tol=float(text.split("tol=")[1].split(",")[0]))
    assert np.abs(found.x - x).max() < 1e-9
    # cycles reduce both parts alike
    told = hierarchy.solve(b)
    assert np.abs(told.x - x).max() < 1e-6
    assert told.warnings == ()
    A, b = with_fixed_border(33, None)
    assert solve(A, b=b, shape=(33, 33), krylov="gmres").warnings == ()


def test_a_free_side_among_others_is_named_by_its_axis():
    (text,) = Hierarchy.build(
        laplacian(33, "dd", "nd"), shape=(33, 33), boundary="dirichlet"
    ).doubts
    assert "axes [1]" in text


# --------------------------------------------------------------------------- scales of rows


def scaled(A, size, where):
    s = 10.0 ** np.random.default_rng(1).uniform(-size, size, A.shape[0])
    S = sp.diags_array(s)
    return sp.csr_array({"rows": S @ A, "columns": A @ S, "both": S @ A @ S}[where]), s


@pytest.mark.parametrize("size", [0.5, 3, 20, 100])
@pytest.mark.parametrize(
    ("name", "boundary"),
    [
        ("poisson2d", "dirichlet"),
        ("variable2d", "dirichlet"),
        ("jump2d", "dirichlet"),
        ("variable2d", "neumann"),
        ("poisson1d", "dirichlet"),
        ("poisson3d", "dirichlet"),
        ("variable2d", "periodic"),
    ],
)
def test_rows_of_any_scale(name, boundary, size):
    """As many cycles as without scales, an x that is right everywhere, and one sentence."""
    n = {"1": 129, "2": 32 if boundary == "periodic" else 33, "3": 9}[name[-2]]
    problem = create(name, n, boundary=boundary)
    A, _ = scaled(problem.A, size, "rows")
    x = np.random.default_rng(0).standard_normal(problem.unknowns)
    x = x if boundary == "dirichlet" else x - x.mean()
    hierarchy = Hierarchy.build(A, shape=problem.shape, boundary=boundary)
    solution = hierarchy.solve(A @ x)
    plain = Hierarchy.build(problem.A, shape=problem.shape, boundary=boundary)
    assert solution.converged
    assert solution.iterations <= plain.solve(problem.A @ x).iterations + 2
    error = solution.x if boundary == "dirichlet" else solution.x - solution.x.mean()
    assert np.abs(error - x).max() <= 1e-4
    assert sum("rows of A have scales of their own" in text for text in solution.warnings) == 1
    assert not any("looks like" in text for text in solution.warnings)


@pytest.mark.parametrize("decades", [3, 6, 20])
def test_load_without_the_scales_of_the_rows(decades):
    """Where b has not the scales of A, the plain norm of the residual grows at first by rounding in
    the large rows, and is left large by it; x is right nevertheless, and nothing has diverged."""
    problem, rng = poisson((31, 31)), np.random.default_rng(0)
    rows, b = 10 ** rng.uniform(-decades, decades, 961), rng.standard_normal(961)
    solution = Hierarchy.build(sp.csr_array(rows[:, None] * problem.A), shape=(31, 31)).solve(b)
    assert solution.reason in ("converged", "stagnated")
    assert solution.iterations <= 40
    assert f"up to 1e{np.ptp(np.log10(rows)):.0f} apart" in solution.message
    x = sp.linalg.spsolve(sp.csc_array(problem.A), b / rows)
    assert np.abs(solution.x - x).max() <= 1e-9 * np.abs(x).max()


def finest(A, n):
    return Level(0, sp.csr_array(A), (n, n), sp.csr_array(A), sp.csr_array(A))


def test_row_scales_are_found_exactly():
    for name in ("poisson2d", "jump2d"):
        A, s = scaled(create(name, 17).A, 3, "rows")
        found = row_scales(finest(A, 17))
        np.testing.assert_allclose(found / s, (found / s)[0], rtol=1e-9)
    # fixed values by rows of the identity: the diagonal serves
    M = poisson((17, 17)).A.tolil()
    M[40, :] = 0.0
    M[40, 40] = 1.0
    A, s = scaled(M.tocsr(), 20, "rows")
    x = np.random.default_rng(0).standard_normal(289)
    solution = Hierarchy.build(A, shape=(17, 17)).solve(A @ x)
    assert solution.converged
    assert np.abs(solution.x - x).max() <= 1e-5


def test_what_is_no_scale_of_rows():
    D = poisson((33, 33)).A
    wind = sp.kron(sp.diags_array([1.0, -1.0], offsets=[0, -1], shape=(33, 33)), sp.eye_array(33))
    for A in (
        D,
        create("jump2d", 33).A,
        D + 1e5 * wind,
        sp.tril(D),
    ):
        assert row_scales(finest(A, 33)) is None


def test_couplings_beside_a_diagonal_with_a_zero():
    A = sp.csr_array(np.array([[0.0, 2.0, 1.0], [1.0, -4.0, 1.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_array_equal(coupling_ratio(A), [1.0, 0.5, 1.0])


@pytest.mark.parametrize("where", ["columns", "both"])
def test_unknowns_of_any_scale_are_said_or_refused(where):
    for name in ("poisson2d", "variable2d", "jump2d"):
        for size in (1, 2, 20, 100):
            A, _ = scaled(create(name, 33).A, size, where)
            words = "level 0: the unknowns of A have scales of their own"
            if size < 10:
                hierarchy = Hierarchy.build(A, shape=(33, 33))
                said = [text for text in hierarchy.doubts if "have scales of their own" in text]
                assert "apart: coarse grids take them as alike" in said[0] if size > 1 else True
                assert hierarchy.solve(A @ np.ones(A.shape[0]), cycle="V").factor < 0.1
                continue
            with pytest.raises(ValueError, match=words) as caught:
                Hierarchy.build(A, shape=(33, 33))
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("n", "step"), [(31, 100), (63, 10)])
def test_a_step_of_implicit_euler_in_single_precision_is_regular(n, step):
    """A 1 = 1 is a dozen units of rounding of |A| there, and no x is 0."""
    neumann = poisson((n, n), boundary="neumann").A
    A = sp.csr_array(sp.eye_array(n * n) + step * neumann).astype(np.float32)
    solution = Hierarchy.build(A, shape=(n, n), boundary="neumann").solve(np.ones(n * n), tol=1e-4)
    assert solution.converged
    np.testing.assert_allclose(solution.x, 1.0, atol=1e-3)


def test_a_nullspace_that_is_larger_than_given_has_no_least_squares_solution():
    """It has dimension 2, of which the constants are given: b is outside of the range, and what
    comes out is rounding, which is said. Without them each part has its own."""
    N = poisson((20, 20), boundary="neumann").A
    b = np.repeat([1.0, -1.0], 400)
    A = sp.csr_array(sp.block_diag([N, N]))
    grid = {"shape": (40, 20), "boundary": "neumann"}
    solution = Hierarchy.build(A, **grid, nullspace=np.ones((800, 1))).solve(b)
    assert solution.reason == "stagnated"
    assert "least-squares" not in solution.message
    assert "more than is known of its nullspace" in solution.message
    for nullspace in ("auto", np.kron(np.eye(2), np.ones((400, 1)))):
        known = Hierarchy.build(A, **grid, nullspace=nullspace).solve(b)
        assert known.reason == "incompatible"
        assert np.abs(known.x).max() <= 1e-9


def test_an_empty_row_with_a_right_hand_side_is_said():
    """No x meets it; the others are met all the same."""
    A = poisson((33, 33)).A.tolil()
    A[40, :], A[:, 40] = 0.0, 0.0
    A = A.tocsr()
    b = A @ np.random.default_rng(0).standard_normal(33**2)
    hierarchy = Hierarchy.build(A, shape=(33, 33))
    assert hierarchy.solve(b).converged
    b[40] = 7.0
    solution = hierarchy.solve(b)
    assert solution.reason == "incompatible"
    assert solution.incompatibility == pytest.approx(7.0)
    assert "1 of A's rows are empty where b is not 0, the first is row 40" in solution.message
    assert "every x leaves 7.00e+00" in solution.message
    left = b - A @ solution.x
    left[40] = 0.0
    assert np.linalg.norm(left) < 1e-2


def test_an_indefinite_matrix_is_told_so_and_gmres_solves_it():
    """By Sylvester's law P^T A P has no more negative eigenvalues than A; -Laplace has the smallest
    one 2 pi^2."""
    for shift in (19.0, 100.0):
        A = sp.csr_array(poisson((33, 33)).A - shift * sp.eye_array(33**2))
        hierarchy = Hierarchy.build(A, shape=(33, 33))
        b = A @ np.random.default_rng(1).standard_normal(33**2)
        solution = hierarchy.solve(b, maxiter=30)
        found = about_indefiniteness(hierarchy.levels)
        assert solution.converged == (shift == 19.0) == (found == "")
        assert found in solution.message
    (count,) = re.findall(r"coarsest grid (\d+) are", found)
    assert 0 < int(count) <= np.count_nonzero(np.linalg.eigvalsh(A.toarray()) < 0.0)
    assert krylov(hierarchy, A, b, method="gmres").converged
