"""Ends of a bare matrix's axes: free nodes, free cells, zero values and periodic ones, each taken
as A has it. The twin of a free node is the reflection of the grid about it."""

import itertools
from functools import reduce

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory import Hierarchy, ResidualPolynomial, poisson, solve, two_grid_factor
from mgtheory.multigrid.ends import kinds_of_ends, stencil_inside
from mgtheory.multigrid.finest import finest
from mgtheory.multigrid.given import Given
from mgtheory.multigrid.options import Options
from mgtheory.multigrid.transfer import coarse_size, interpolation, linear, nested, restriction
from mgtheory.problems import create
from mgtheory.problems.grids import Boundary, Ends
from mgtheory.smoothers import Polynomial
from mgtheory.spectra.bounds import couplings

# beyond the first and the last unknown: a free node, a zero value at the next one, a free cell, one
# with a zero value at its face
BEYOND = {"v": 0.0, "d": 1.0, "n": 0.5, "r": 0.0, "f": 0.5}


def line(n, ends):
    """-u'' in symmetric form and the control volumes of n unknowns; r has u_nu + 5 u = 0."""
    K = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tolil()
    volumes, widths = np.ones(n), n - 1 + sum(BEYOND.get(kind, 0.5) for kind in ends)
    if ends == "pp":
        K[0, -1], K[-1, 0] = -1.0, -1.0
    for i, kind in zip((0, -1), ends, strict=True):
        if kind in "vr":
            volumes[i] = 0.5
        if kind in "vnr":
            K[i, i] = 1.0 + (5.0 / widths if kind == "r" else 0.0)
        if kind == "f":
            K[i, i] = 3.0
    return sp.csr_array(K) * widths**2, sp.diags_array(volumes)


def on_grid(lines, reaction=0.0):
    """S and the volumes D^-1 of A = D S = -Laplace + reaction."""
    K, M = zip(*lines, strict=True)
    terms = [[K[j] if i == j else M[i] for i in range(len(M))] for j in range(len(M))]
    *kronecker, volumes = (reduce(sp.kron, factors) for factors in [*terms, M])
    return sp.csr_array(sum(kronecker) + reaction * volumes), volumes.diagonal()


def symmetric(shape, ends, reaction=0.0):
    return on_grid([line(n, e) for n, e in zip(shape, ends, strict=True)], reaction)[0]


def ghost_points(shape, ends, reaction=0.0):
    S, volumes = on_grid([line(n, e) for n, e in zip(shape, ends, strict=True)], reaction)
    return sp.csr_array(S / volumes[:, None])


def elements(n, ends):
    """Stiffness and mass of linear elements on n nodes; those with a zero value are left out."""
    K, M = line(n, ends)
    M = sp.diags_array([1.0, 4.0, 1.0], offsets=[-1, 0, 1], shape=(n, n)).tolil()
    for i, kind in zip((0, -1), ends, strict=True):
        M[i, i] = 2.0 if kind == "v" else 4.0
    return K, sp.csr_array(M)


def found(A, shape, boundary="neumann"):
    """The ends of a bare matrix's axes."""
    options = Options(shape=shape, boundary=boundary)
    return finest(Given.of(A, options)).ends


def named_ends(*ends):
    """Those of axes by their letters."""
    return tuple(
        Ends.of(Boundary.PERIODIC)
        if e == "pp"
        else Ends(*(BEYOND[kind] for kind in e), odd=(e[0] == "f", e[1] == "f"))
        for e in ends
    )


# --------------------------------------------------------------------------- what is found


@pytest.mark.parametrize("make", [symmetric, ghost_points])
@pytest.mark.parametrize(
    "ends",
    [
        *itertools.combinations(["vv", "dv", "nn", "dn", "rr", "pp", "dd"], 2),
        *(("rv", "vd"), ("vv", "vv"), ("dv", "dv"), ("rr", "rr"), ("dn", "nd")),
        *(("ff", "ff"), ("fn", "nn"), ("df", "fd"), ("ff", "pp"), ("fv", "nf")),
    ],
)
def test_ends_are_found(ends, make):
    expected = named_ends(*ends)
    A = make((17, 18), ends)
    kinds = set(kinds_of_ends(A, (17, 18)).values())
    boundary = "neumann" if "free" in kinds else "periodic" if "around" in kinds else "dirichlet"
    for named in (boundary, None):
        assert found(A, (17, 18), named) == expected


@pytest.mark.parametrize("make", [symmetric, ghost_points])
@pytest.mark.parametrize("across", ["vv", "dv", "vd", "nn", "dn", "pp", "dd", "ff", "fn", "fv"])
@pytest.mark.parametrize("along", ["dd", "vv"])
def test_ends_of_three_unknowns(along, across, make):
    """As those of more: free ones were taken for zero values where along the other axis nothing is
    free, and a cycle left 0.9."""
    A, shape = make((3, 100), (across, along)), (3, 100)
    expected = named_ends(across, along)
    hierarchy = Hierarchy.build(A, shape=shape)
    assert (found(A, shape, None), hierarchy.doubts) == (expected, ())
    b = A @ np.random.default_rng(0).standard_normal(300)
    assert hierarchy.solve(b).factor < 0.1


def test_three_unknowns_of_a_node_have_no_ends():
    """The first and the last are coupled too, and rows do not sum to the same."""
    for seed in range(10):
        C = np.random.default_rng(seed).standard_normal((3, 3))
        A = sp.kron(poisson((9, 9)).A, sp.eye_array(3)) + 100.0 * sp.kron(sp.eye_array(81), C @ C.T)
        assert {axis for axis, _ in kinds_of_ends(sp.csr_array(A), (9, 9, 3))} <= {0, 1}


def test_far_couplings_of_three_unknowns_go_not_around():
    """Of order 4: the last but one has -1/16 of the coupling to the next."""
    K = sp.diags_array([1.0, -16, 30, -16, 1], offsets=[-2, -1, 0, 1, 2], shape=(3, 3))
    line = sp.diags_array([1.0, -16, 30, -16, 1], offsets=[-2, -1, 0, 1, 2], shape=(40, 40))
    A = sp.csr_array(sp.kron(K, sp.eye_array(40)) + sp.kron(sp.eye_array(3), line))
    assert "around" not in kinds_of_ends(A, (3, 40)).values()


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("k", [100.0, 1e5])
def test_a_coefficient_that_jumps_at_the_seam(k, sign):
    """Two slabs, of 1 and k, which meet there: weak couplings go around as well, of an antiperiodic
    boundary too; taken for an end they left 0.9."""
    n = 32
    cells = np.where(np.arange(n) < n // 2, k, 1.0)
    faces = 2.0 / (1.0 / cells + 1.0 / np.roll(cells, -1))
    K = sp.diags_array([-faces[:-1], faces + np.roll(faces, 1), -faces[:-1]], offsets=[-1, 0, 1])
    K = K.tolil()
    K[0, -1] = K[-1, 0] = -sign * faces[-1]
    across = poisson((n,), boundary="periodic").A / n**2
    A = sp.csr_array(sp.kron(K, sp.eye_array(n)) + sp.kron(sp.diags_array(cells), across))
    assert set(kinds_of_ends(A, (n, n)).values()) == {"around"}
    b = A @ np.random.default_rng(0).standard_normal(n * n)
    assert Hierarchy.build(A, shape=(n, n)).solve(b, tol=1e-10).factor < 0.15


def test_three_unknowns_around_an_axis_with_a_jump():
    """The coupling at the seam is 2/1000 of that to the next, and goes around as well."""
    K = np.array([[1002.0, -1000.0, -2.0], [-1000.0, 1002.0, -2.0], [-2.0, -2.0, 4.0]])
    line = poisson((40,), boundary="periodic").A / 1600.0
    A = sp.csr_array(sp.kron(K, sp.eye_array(40)) + sp.kron(np.diag([1e3, 1e3, 1.0]), line))
    assert set(kinds_of_ends(A, (3, 40)).values()) == {"around"}


@pytest.mark.parametrize("ends", [("vv", "vv"), ("dv", "vd"), ("vv", "dd")])
def test_ends_of_elements(ends):
    """Bilinear and trilinear elements."""
    expected = tuple(Ends(*(BEYOND[kind] for kind in e)) for e in ends)
    Q1 = [elements(9, e) for e in ends]
    assert found(on_grid(Q1)[0], (9, 9)) == expected
    assert found(on_grid([*Q1, Q1[0]])[0], (9, 9, 9)) == (*expected, expected[0])


def test_a_given_boundary_that_a_contradicts_stays():
    """It is said (see test_doubts), and nothing is found in its place."""
    A = symmetric((17, 17), ("vv", "dd"))
    assert found(A, (17, 17), "dirichlet") == (Ends.of(Boundary.DIRICHLET),) * 2
    assert Hierarchy.build(A, shape=(17, 17), boundary="dirichlet").doubts
    assert found(A, (17, 17), None) == (Ends(0.0, 0.0), Ends.of(Boundary.DIRICHLET))


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(
    ("shape", "ends", "fits"),
    [
        ((33, 33), ("vv", "vv"), "neumann"),
        ((32, 33), ("dd", "nn"), "neumann"),
        ((32, 33), ("pp", "dd"), "periodic"),
        ((32, 33), ("pp", "vd"), "neumann"),
        ((33, 32), ("rr", "pp"), "periodic"),
        ((33, 32), ("ff", "dd"), "dirichlet"),
        ((129,), ("vn",), "neumann"),
        ((9, 8, 9), ("vv", "pp", "dd"), "neumann"),
    ],
)
def test_where_nothing_is_named_the_boundary_that_fits_counts(shape, ends, fits, scaled):
    """Cycle for cycle, also of rows that have scales of their own, which hide what ends are."""
    A = symmetric(shape, ends, 1.0)
    if scaled:
        A = sp.csr_array(10.0 ** np.random.default_rng(1).uniform(-2, 2, A.shape[0])[:, None] * A)
    r = np.random.default_rng(0).standard_normal(A.shape[0])
    known, found = (Hierarchy.build(A, shape=shape, boundary=named) for named in (fits, None))
    assert found.levels[0].boundary == fits
    assert found.doubts == known.doubts
    np.testing.assert_array_equal(found.apply(r), known.apply(r))
    assert found.solve(A @ r, tol=1e-12).factor < (0.1 if len(shape) < 3 else 0.17)


def test_smooth_and_graded_cells_are_no_nodes():
    """Where couplings change from line to line, so that the next ones are half as large too."""
    widths = 2.0 ** np.arange(12)
    k = 2.0 / (widths[1:] + widths[:-1])
    K = sp.diags_array(
        [-k, np.append(k, 0.0) + np.append(0.0, k), -k], offsets=[-1, 0, 1], shape=(12, 12)
    )
    A = on_grid([(sp.csr_array(K), sp.diags_array(widths))] * 2)[0]
    assert found(A, (12, 12)) == (Ends(0.5, 0.5),) * 2
    problem = create("variable2d", 16, boundary="neumann")
    assert found(problem.A, problem.shape) == (Ends(0.5, 0.5),) * 2


def test_one_stencil_inside():
    S = symmetric((17, 18), ("dv", "rr"), 10.0)
    shape = (17, 18)
    widths = [17.0**2, 17.0**2]
    taps = stencil_inside(S, shape)
    assert taps[1, 1] == pytest.approx(2.0 * sum(widths) + 10.0)
    assert [taps[0, 1], taps[1, 0]] == pytest.approx([-widths[0], -widths[1]])
    assert stencil_inside(create("variable2d", 17).A, (17, 17)) is None
    wind = sp.kron(sp.diags_array([-1.0, 1.0], offsets=[-1, 0], shape=(17, 17)), sp.eye_array(18))
    for A in (S + 9.0 * wind, S.astype(complex), S @ S):
        assert stencil_inside(sp.csr_array(A), shape) is None


# --------------------------------------------------------------------------- transfers


@pytest.mark.parametrize("n", [8, 9, 16, 17, 33])
def test_linear_functions_between_ends_of_any_kind(n):
    """Exact between the outer coarse unknowns; even beyond a free end, falling to 0 at the next
    node beyond one with a zero value; totals are kept between free nodes but for their halves."""
    for first, last in itertools.product((0.0, 0.5, 1.0), repeat=2):
        ends = Ends(first, last)
        m = coarse_size(n, ends)
        h, H = (1.0 / ends.intervals(size) for size in (n, m))
        x, X = (np.arange(n) + first) * h, (np.arange(m) + first) * H
        known = np.clip(x, X[0], X[-1])
        expected = 3.0 * known + 1.0
        if first == 1.0:
            expected = np.where(x < X[0], (3.0 * X[0] + 1.0) * x / X[0], expected)
        if last == 1.0:
            expected = np.where(x > X[-1], (3.0 * X[-1] + 1.0) * (1 - x) / (1 - X[-1]), expected)
        np.testing.assert_allclose(linear(n, m, ends) @ (3.0 * X + 1.0), expected, atol=1e-12)
        assert n < 12 or 0.48 <= h / H <= 0.56


def test_every_second_node_with_both_ends():
    ends = (Ends(0.0, 0.0), Ends(1.0, 0.0))
    assert [coarse_size(9, e) for e in ends] == [5, 5]
    assert nested((9, 10), (5, 5), ends)
    assert not nested((9, 9), (5, 5), ends)
    P = interpolation((9, 10), (5, 5), ends).toarray()
    assert set(P.max(axis=0)) == {1.0}
    assert linear(5, 3, ends[0]).toarray().tolist() == [
        [1, 0, 0],
        [0.5, 0.5, 0],
        [0, 1, 0],
        [0, 0.5, 0.5],
        [0, 0, 1],
    ]
    R = restriction((9, 10), (5, 5), ends, kind="injection").toarray().reshape(5, 5, 9, 10)
    assert R[4, 4, 8, 9] == R[0, 0, 0, 1] == 1.0
    with pytest.raises(ValueError, match=r"got 10 and 5 unknowns with free-node/free-node bound"):
        restriction((10,), (5,), ends[:1], kind="half")


def test_nodes_without_a_middle_are_paired():
    assert Ends(0.0, 0.0).paired(9) == Ends(0.0, 0.0)
    assert Ends(0.0, 0.0).paired(8) == Ends.of(Boundary.NEUMANN)
    assert Ends(1.0, 0.0).paired(9) == Ends(1.0, 0.0)
    assert Ends(0.0, 0.0, odd=(False, True)).paired(8) == Ends(0.5, 0.5, odd=(False, True))
    assert str(Ends(0.0, 0.0, odd=(False, True))) == "free-node/free-node"
    hierarchy = Hierarchy.build(
        symmetric((67, 66), ("vv", "vv")), shape=(67, 66), boundary="neumann"
    )
    # 67 nodes, 34 of them; 66 cells, 33 of them, 17
    assert [level.shape for level in hierarchy.levels[:3]] == [(67, 66), (34, 33), (17, 17)]


def test_couplings_of_products_that_reach_farther():
    """a/h^2 of -a u'' on nodes and on cells alike, where a Galerkin product of cells reaches two
    points."""
    for ends, n in ((Ends(0.0, 0.0), 33), (Ends(0.5, 0.5), 32)):
        K, m = line(n, "vv" if n == 33 else "nn")[0], coarse_size(n, ends)
        P = linear(n, m, ends)
        coarse = sp.csr_array(0.5 * P.T @ K @ P)
        found = couplings(coarse, (m,), reach=2)[0] / ends.intervals(m) ** 2
        assert found == pytest.approx(1.0, rel=0.1)
    np.testing.assert_allclose(couplings(coarse, (16,))[0] / 16**2, 0.5, rtol=0.1)


# --------------------------------------------------------------------------- cycles


def reflected(v, twice):
    """v on the grid that is reflected about the last node of every axis, and if it is periodic
    about the first too."""
    for j, kind in enumerate(twice):
        back = np.flip(v, j)
        inner = (slice(None),) * j + (slice(1, -1 if kind == "pp" else None),)
        v = np.concatenate([v, back[inner]], axis=j)
    return v


@pytest.mark.parametrize("make", [symmetric, ghost_points])
@pytest.mark.parametrize(
    ("shape", "ends"),
    [
        ((33, 33), ("vv", "vv")),
        ((16, 32), ("dv", "dv")),
        ((33, 32), ("vv", "dv")),
        ((9, 9, 16), ("vv", "vv", "dv")),
    ],
)
def test_a_cycle_is_that_of_the_reflected_grid(shape, ends, make):
    """Equal corrections of equal errors, in V- and W-cycles of three grids."""
    twice = tuple("pp" if e == "vv" else "dd" for e in ends)
    size = [2 * n - 2 if e == "pp" else 2 * n - 1 for n, e in zip(shape, twice, strict=True)]
    # twice as long, with 1/4 of its h^2 on the unit interval
    A, T = make(shape, ends, 10.0), ghost_points(size, twice, 40.0)
    options = {"smoother": "jacobi", "max_levels": 3, "coarsest": 2, "axes": "all"}
    ours = Hierarchy.build(A, shape=shape, boundary="neumann", **options)
    boundary = "dirichlet" if set(twice) == {"dd"} else "periodic"
    theirs = Hierarchy.build(T, shape=size, boundary=boundary, coarsening="galerkin", **options)
    assert len(ours.levels) == len(theirs.levels) == 3
    assert ours.doubts == ()
    e = np.random.default_rng(0).standard_normal(shape)
    whole = T @ reflected(e, twice).ravel()
    for cycle in "VW":
        mine = ours.apply(A @ e.ravel(), cycle).reshape(shape)
        its = theirs.apply(whole, cycle).reshape(size)[tuple(map(slice, shape))]
        np.testing.assert_allclose(mine, its, atol=1e-12 * np.abs(its).max())


@pytest.mark.parametrize("wider", ["nn", "ff"])
@pytest.mark.parametrize(
    ("shape", "ends"), [((16,), ["fn"]), ((16, 12), ["fn", "nn"]), ((8, 8, 8), ["fn", "nn", "fn"])]
)
def test_a_zero_face_is_an_odd_reflection(shape, ends, wider):
    """The cycle is that between free faces on what is odd about the zero ones, and that between
    zero faces on what is even about the free ones. B = I: diagonals differ at the ends."""

    def richardson(level):
        root = 6.0 * sum(n**2 for n in shape) / 4**level.index
        return Polynomial(polynomial=ResidualPolynomial([root]), scaling="identity")

    def cycles(size, ends, e):
        lines = [line(n, kinds) for n, kinds in zip(size, ends, strict=True)]
        scales = [(n / m) ** 2 for n, m in zip(shape, size, strict=True)]
        A = on_grid([(K * s, M) for (K, M), s in zip(lines, scales, strict=True)])[0]
        boundary = "neumann" if "n" in "".join(ends) else "dirichlet"
        options = {"smoother": richardson, "max_levels": 3, "coarsest": 2, "axes": "all"}
        given = {"shape": size, "boundary": boundary, "coarsening": "galerkin"}
        hierarchy = Hierarchy.build(A, **given, **options)
        assert len(hierarchy.levels) == 3
        return [hierarchy.apply(A @ e.ravel(), cycle).reshape(size) for cycle in "VW"]

    e = np.random.default_rng(0).standard_normal(shape)
    twice, size, others = e, list(shape), list(ends)
    for j in (j for j, kinds in enumerate(ends) if kinds == "fn"):
        back = np.flip(twice, j)
        twice = np.concatenate([-back, twice] if wider == "nn" else [twice, back], axis=j)
        size[j], others[j] = 2 * shape[j], wider
    own = tuple(slice(-n, None) if wider == "nn" else slice(0, n) for n in shape)
    for mine, its in zip(cycles(shape, ends, e), cycles(size, others, twice), strict=True):
        np.testing.assert_allclose(mine, its[own], atol=1e-12 * np.abs(its).max())


@pytest.mark.parametrize("make", [symmetric, ghost_points])
@pytest.mark.parametrize("roots", [[1.25], [0.6, 1.7]])
def test_the_factor_is_that_of_fourier_analysis(roots, make):
    """The modes cos(k pi i/N) cos(l pi j/N) are coupled as those of the periodic grid of 2 N
    points are, k with N - k."""
    A, N = make((17, 17), ("vv", "vv")), 16
    smoother = Polynomial(polynomial=ResidualPolynomial(roots), scaling="diagonal")
    options = {"smoother": smoother, "max_levels": 2, "coarsest": 2}
    hierarchy = Hierarchy.build(A, shape=(17, 17), boundary="neumann", **options)
    M, whole = hierarchy.as_preconditioner(symmetric=False), A.toarray()
    E = np.eye(17**2) - np.column_stack([M @ column for column in whole.T])
    E -= E.mean(axis=0)  # of the constants nothing is known
    exact = {"coarsening": "galerkin", "samples": 2 * N, "refine": False, "zero": "remove"}
    twin = poisson((2 * N, 2 * N), boundary="periodic")
    predicted = two_grid_factor(twin, smoother, **exact).factor
    assert np.abs(np.linalg.eigvals(E)).max() == pytest.approx(predicted, rel=1e-8)


@pytest.mark.parametrize("n", [64, 65])
@pytest.mark.parametrize("ends", ["vvvv", "dvvv", "ddvv", "ppvv", "dnnn", "rrrv", "fnnn", "fffd"])
def test_products_with_a_for_a_digit(ends, n):
    """At most 14, mostly 7 to 10: where all ends were taken for cells it was up to 20, and a factor
    of 0.20 where it is 0.09."""
    A = symmetric((n, n), (ends[:2], ends[2:]))
    boundary = "neumann" if set(ends) & set("vnr") else "dirichlet"
    hierarchy = Hierarchy.build(A, shape=(n, n), boundary=boundary)
    e = np.random.default_rng(0).standard_normal(n * n)
    solution = hierarchy.solve(A @ e, tol=1e-12)
    assert solution.factor < 0.095
    assert hierarchy.work_units() / -np.log10(solution.factor) < 14.0


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", None])
@pytest.mark.parametrize("part", [0.06, 0.1, 0.3, 0.45, 0.6, 2.0, 3.0, 6.0])
def test_cells_at_a_robin_boundary(part, boundary):
    """u_nu + c u = 0 is nearly free where values fall to 0 many mesh widths away, and nearly a
    face of the value 0 where these are less than one, whatever boundary is named: as zero nodes
    such ends left 0.79 of the error."""
    n = 64
    K = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tolil()
    K[0, 0] = K[-1, -1] = 1.0 + part
    A = on_grid([(sp.csr_array(K), sp.eye_array(n))] * 2)[0]
    hierarchy = Hierarchy.build(A, shape=(n, n), boundary=boundary)
    assert hierarchy.doubts == ()
    x = np.random.default_rng(0).standard_normal(n * n)
    assert hierarchy.solve(A @ x, tol=1e-10).factor < 0.09


@pytest.mark.parametrize("n", [64, 65])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.8, 1.4, 2.0, 5.0, 10.0])
def test_nodes_at_a_robin_boundary(part, n):
    """Of an even number, which are paired like cells, those beyond which values fall to 0 within a
    mesh width are such with a face of the value 0: as free ones they left up to 0.18."""
    K = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tolil()
    K[0, 0] = K[-1, -1] = 1.0 + part
    volumes = np.ones(n)
    volumes[[0, -1]] = 0.5
    A = on_grid([(sp.csr_array(K), sp.diags_array(volumes))] * 2)[0]
    hierarchy = Hierarchy.build(A, shape=(n, n))
    assert hierarchy.doubts == ()
    x = np.random.default_rng(0).standard_normal(n * n)
    assert hierarchy.solve(A @ x, tol=1e-10).factor < (0.1 if part < 10.0 else 0.13)


def test_the_singular_case():
    """Compatible and incompatible right-hand sides of ghost points, whose rows have the left
    nullspace of the volumes."""
    A = ghost_points((17, 17), ("vv", "vv"))
    volumes = on_grid([line(17, "vv")] * 2)[1]
    hierarchy = Hierarchy.build(A, shape=(17, 17), boundary="neumann")
    x = np.random.default_rng(0).standard_normal(289)
    x -= x.mean()
    known = hierarchy.solve(A @ x, tol=1e-10)
    np.testing.assert_allclose(known.x - known.x.mean(), x, atol=1e-8)
    other = hierarchy.solve(A @ x + volumes, tol=1e-10)
    assert other.reason == "incompatible"
    np.testing.assert_allclose(other.x - other.x.mean(), x, atol=1e-8)
    assert other.incompatibility == pytest.approx(np.linalg.norm(volumes))
    b = A @ x + 1.0
    found = solve(A, hierarchy, b=b, krylov="cg", tol=1e-8)
    assert not found.converged
