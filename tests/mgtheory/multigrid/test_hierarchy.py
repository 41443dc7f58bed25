"""Hierarchies: what build makes of problems and matrices, Galerkin twins, intervals, types,
pickling."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.level import diagonal_storage
from mgtheory.problems.catalogue import PROBLEMS, create, poisson
from mgtheory.problems.grids import Boundary
from mgtheory.problems.tensorform import recognise
from mgtheory.spectra.bounds import couplings, largest_eigenvalue

# symmetric ones; convection in ../problems/test_plane.py
CASES = [
    (name, boundary)
    for name, entry in PROBLEMS.items()
    for boundary in entry.boundaries
    if name != "convection2d"
]
# polynomials in the second differences
EVEN = [name for name, e in PROBLEMS.items() if e.coefficient is None and e.make is None]
SIDE = {1: 40, 2: 20, 3: 9}


@pytest.mark.parametrize(("name", "boundary"), CASES)
def test_levels_fit(name, boundary):
    """Shapes of A, P, R; A in its storage is A; the interval lies below a true bound and the
    largest eigenvalue below its estimate."""
    for coarsening in ("galerkin", "rediscretise"):
        hierarchy = Hierarchy.build(
            create(name, SIDE[PROBLEMS[name].dim], boundary=boundary), coarsening=coarsening
        )
        for level, below in zip(hierarchy.levels, hierarchy.levels[1:], strict=False):
            assert level.P.shape == (level.size, below.size)
            assert level.R.shape == (below.size, level.size)
            assert abs(level.operator - level.A).max() == 0.0
            B = level.inverse_diagonal("auto")
            a, b = level.smoothing_interval(B)
            matrix = (
                level.A.toarray()
                if B is None
                else np.sqrt(B)[:, None] * level.A.toarray() * np.sqrt(B)
            )
            largest = np.linalg.eigvalsh(matrix)[-1]
            assert 0 < a < b
            assert largest * (1 - 1e-12) <= b <= 2.0 * largest, level.index
        assert hierarchy.levels[-1].size <= 64


@pytest.mark.parametrize("boundary", Boundary)
@pytest.mark.parametrize("name", EVEN)
def test_small_levels_have_exact_intervals_too(name, boundary):
    """Down to three points per axis: the symbol's range, that of the scheme on that shape; on
    nested Galerkin levels to 33 angles."""
    n = {1: 63, 2: 31, 3: 15}[PROBLEMS[name].dim] + (boundary != Boundary.DIRICHLET)
    problem = create(name, n, boundary=boundary)
    for level in Hierarchy.build(problem, coarsest=2).levels[:-1]:
        assert level.interval == tuple(problem.smoothing_interval(level.axes, shape=level.shape))
    if boundary is Boundary.DIRICHLET:
        levels = Hierarchy.build(problem, coarsening="galerkin", coarsest=3).levels[:-1]
        small = [level for level in levels if 3 <= min(level.shape) < 8]
        assert small
        for level in small:
            a, b = level.interval
            largest = np.linalg.eigvalsh(level.A.toarray())[-1]
            assert 0.8 * b < largest <= b * (1 + 1e-12)
            assert 0.1 * b < a < b


@pytest.mark.parametrize("boundary", Boundary)
@pytest.mark.parametrize(
    "name", ["poisson1d", "poisson2d-9point", "poisson3d", "anisotropic2d", "poisson2d-q1"]
)
def test_tensor_galerkin_is_the_triple_product(name, boundary):
    """The coarse operator from one-dimensional products equals R A P, entry by entry, on every
    level and for odd and even sizes."""
    for n in (17, 18):
        hierarchy = Hierarchy.build(
            create(name, n if "3d" not in name else n // 2, boundary=boundary),
            coarsening="galerkin",
            coarsest=10,
        )
        for level, below in zip(hierarchy.levels, hierarchy.levels[1:], strict=False):
            product = level.R.tocsr() @ level.A @ level.P.tocsr()
            assert abs(product - below.A).max() <= 1e-12 * abs(below.A).max()


def test_bare_matrix_gives_the_same_levels():
    problem = poisson((15, 20))
    known, bare = (
        Hierarchy.build(problem, coarsening="galerkin"),
        Hierarchy.build(sp.csr_matrix(problem.A), shape=(15, 20)),
    )
    assert [level.shape for level in known.levels] == [level.shape for level in bare.levels]
    for one, two in zip(known.levels, bare.levels, strict=True):
        assert abs(one.A - two.A).max() <= 1e-12 * abs(one.A).max()


@pytest.mark.parametrize("boundary", Boundary)
@pytest.mark.parametrize("name", EVEN)
def test_constant_stencils_are_recognised(name, boundary):
    """A bare matrix with a constant stencil, with a mass term too, gets its tensor form, from three
    points an axis on; one changed entry, or k(x), and it has none."""
    small = create(name, 3, boundary=boundary)
    assert abs(recognise(small.A, small.shape, boundary).todia() - small.A).max() <= 1e-12
    problem = create(name, SIDE[PROBLEMS[name].dim] // 2 + 4, boundary=boundary)
    shifted = sp.csr_array(problem.A + 7.0 * sp.eye_array(problem.A.shape[0]))
    for A in (problem.A, shifted):
        form = recognise(A, problem.shape, boundary)
        assert form is not None
        assert abs(form.todia() - A).max() <= 1e-12 * abs(A).max()
    changed = problem.A.copy()
    changed.data[0] *= 1.0 + 1e-9
    assert recognise(changed, problem.shape, boundary) is None
    other = create("variable2d", 12, boundary=boundary)
    assert recognise(other.A, other.shape, boundary) is None


def test_weakly_coupled_axes_are_not_coarsened():
    """h_x/h_y = 1/8 makes the couplings differ by 64: x is halved three times before y is;
    anisotropy likewise; "all" halves both."""
    shapes = [level.shape for level in Hierarchy.build(poisson((127, 15))).levels]
    assert shapes[:5] == [(127, 15), (63, 15), (31, 15), (15, 15), (7, 7)]
    shapes = [level.shape for level in Hierarchy.build(create("anisotropic2d", 63)).levels]
    assert shapes[:4] == [(63, 63), (31, 63), (15, 63), (7, 63)]
    assert Hierarchy.build(poisson((127, 15)), axes="all").levels[1].shape == (63, 7)
    assert Hierarchy.build(poisson((31, 31)), axes=[1]).levels[1].shape == (31, 15)
    A = create("anisotropic2d", 31).A
    assert couplings(A, (31, 31)) == pytest.approx([1024, 10.24], rel=1e-12)
    assert Hierarchy.build(A, shape=(31, 31)).levels[1].shape == (15, 31)


def test_types_and_formats():
    """Sparse arrays and matrices of any format, int32 and int64 indices, int, float32, float64 and
    complex entries."""
    A = poisson((20, 20)).A
    wide = A.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    integer = sp.csr_array(
        (np.rint(A.data / 441).astype(np.int64), A.indices, A.indptr), shape=A.shape
    )
    b = np.random.default_rng(0).standard_normal(400)
    for matrix in (
        A,
        wide,
        sp.csr_matrix(A),
        sp.csc_array(A),
        A.tocoo(),
        A.astype(np.complex128),
        integer,
        A.todia(),
        A.tolil(),
    ):
        solution = Hierarchy.build(matrix, shape=(20, 20)).solve(b)
        assert solution.converged
        assert np.linalg.norm(b - matrix @ solution.x) <= 1e-8 * np.linalg.norm(b)
    single = Hierarchy.build(A.astype(np.float32), shape=(20, 20))
    assert single.levels[1].A.dtype == np.float32
    assert single.solve(b.astype(np.float32), tol=1e-5).x.dtype == np.float32
    assert single.solve(b, tol=1e-5).converged
    for bad in (A.astype(np.longdouble), A.astype(bool)):
        with pytest.raises(
            ValueError, match="allowed are: float32, float64, complex64, complex128"
        ):
            Hierarchy.build(bad, shape=(20, 20))


def test_entries_are_not_changed():
    A = poisson((20, 20)).A
    data, indices = A.data.copy(), A.indices.copy()
    twice = sp.csr_array(
        (
            np.append(A.data, 0.0),
            np.append(A.indices, 3),
            np.append(A.indptr[:-1], A.indptr[-1] + 1),
        ),
        shape=A.shape,
    )
    before = twice.nnz
    for matrix in (A, twice):
        Hierarchy.build(matrix, shape=(20, 20)).solve(np.ones(400))
    assert np.array_equal(A.data, data)
    assert np.array_equal(A.indices, indices)
    assert twice.nnz == before


def test_nullspaces():
    """Known for problems, recognised for matrices with A 1 = 0, taken if given, refused if
    wrong."""
    neumann = poisson((12, 12), boundary="neumann")
    assert Hierarchy.build(neumann.A, shape=(12, 12), boundary="neumann").nullspace is not None
    assert Hierarchy.build(poisson((12, 12))).nullspace is None
    assert Hierarchy.build(
        neumann.A, shape=(12, 12), boundary="neumann", nullspace=5 * np.ones(144)
    ).nullspace == pytest.approx(-1 / 12)
    with pytest.raises(ValueError, match="not zero"):
        Hierarchy.build(neumann, nullspace=np.arange(144.0))
    with pytest.raises(ValueError, match="the coarsest A is singular; give its nullspace"):
        Hierarchy.build(neumann, nullspace=None)


def test_multiples_of_the_identity():
    """One eigenvalue is no interval; the cycle converges all the same."""
    A = 5.0 * sp.eye_array(225, format="csr")
    assert Hierarchy.build(A, shape=(15, 15), coarsest=10).solve(np.arange(225.0)).converged


def test_pickle_and_copy():
    problem = create("variable2d", 20)
    for smoother in ("chebyshev", "gauss_seidel", "red_black"):
        hierarchy = Hierarchy.build(problem, smoother=smoother)
        for twin in (pickle.loads(pickle.dumps(hierarchy)), copy.deepcopy(hierarchy)):
            assert np.array_equal(twin.solve(problem.b).x, hierarchy.solve(problem.b).x)
            assert str(twin) == str(hierarchy)


def test_estimates_of_the_largest_eigenvalue():
    """Not below the true one; Gershgorin where couplings are non-positive and compact, Lanczos with
    5 % else; non-symmetric: Gershgorin."""
    A = create("poisson2d-q1", 20).A
    true = np.linalg.eigvalsh(A.toarray())[-1]
    assert true <= largest_eigenvalue(A) <= 1.06 * true
    assert true <= largest_eigenvalue(-A) <= 1.06 * true  # a modulus
    assert largest_eigenvalue(A, compact=True) == pytest.approx(16 / 3 * 441)
    skew = sp.csr_array(A + 50 * sp.diags_array(np.ones(399), offsets=1, shape=(400, 400)))
    assert largest_eigenvalue(skew) >= np.abs(np.linalg.eigvals(skew.toarray())).max()
    # a unitary diagonal: Hermitian, the same spectrum
    turn = sp.diags_array(np.exp(1j * np.arange(400.0)))
    assert true <= largest_eigenvalue(sp.csr_array(turn.conj() @ A @ turn)) <= 1.06 * true


def test_interval_of_a_galerkin_level():
    """R A P of the 5-point Laplacian is (12, -2, -1)/16 h^2: 3 - cos x - cos y - cos x cos y is
    between 2 and 4 on the high frequencies."""
    level = Hierarchy.build(poisson((31, 31)), coarsening="galerkin").levels[1]
    assert level.interval == pytest.approx((2 * 1024 / 4, 4 * 1024 / 4))
    whole, one = (
        Hierarchy.build(poisson((31, 31), stencil="q1"), coarsening="galerkin", axes=axes).levels[1]
        for axes in ("all", [0])
    )
    assert whole.interval == pytest.approx(
        tuple(poisson((15, 15), stencil="q1").smoothing_interval())
    )
    assert one.shape == (15, 31)
    # b at the frequency (0, pi), low along the coarsened axis
    assert one.interval == pytest.approx((512.0, 4096.0))
    assert Hierarchy.build(poisson((15, 31), stencil="q1"), axes=[0]).levels[
        0
    ].interval == pytest.approx((512.0, 4096.0))


def test_interval_of_varying_coefficients():
    """Where there is no symbol: a = b min_j s_j/(2 sum_j s_j) over the coarsened axes; here s = (1,
    0.6), and b = 2 for D^-1 A."""
    k = np.linspace(1.0, 1.2, 31 * 31)
    A = poisson((31, 31), weights=(1.0, 0.6)).A
    varying = sp.csr_array(sp.diags_array(k) @ A @ sp.diags_array(k))
    for axes, smallest in (("auto", 0.6), ([0], 1.0), ([1], 0.6)):
        level = Hierarchy.build(varying, shape=(31, 31), axes=axes).levels[0]
        a, b = level.smoothing_interval(level.inverse_diagonal("auto"))
        assert level.interval is None
        assert b == pytest.approx(2.0, rel=0.02)
        assert a / b == pytest.approx(smallest / 3.2, rel=0.02)


def test_storage_by_diagonals():
    A = poisson((30, 31)).A
    assert diagonal_storage(A).format == "dia"
    assert abs(diagonal_storage(A) - A).max() == 0
    disturbed = sp.csr_array(A + sp.coo_array(([1.0], ([17], [700])), shape=A.shape))
    assert diagonal_storage(disturbed).format == "csr"
    random = sp.random_array((300, 300), density=0.05, rng=np.random.default_rng(0), format="csr")
    assert diagonal_storage(random).format == "csr"


GRID = poisson((9, 9))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"problem": np.eye(4), "shape": 4}, "must be a sparse array"),
        ({"problem": GRID.A}, "needs its grid's shape"),
        ({"problem": GRID.A, "shape": (9, 8)}, "A has 81 rows, the grid .* has 72"),
        ({"problem": GRID.A[:80], "shape": (9, 9)}, "must be square"),
        (
            {"problem": -GRID.A, "shape": (9, 9)},
            r"level 0: the high frequencies of A lie in \[-800, 0\], .* needs them positive",
        ),
        (
            {"problem": -GRID.A, "shape": (9, 9), "smoother": "chebyshev4"},
            "a negative definite A must change its sign",
        ),
        ({"problem": GRID.A * np.nan, "shape": (9, 9)}, "not a number"),
        (
            {"coarsening": "smoothed"},
            "unknown coarsening 'smoothed', allowed: rediscretise, galerkin and pyamg",
        ),
        ({"problem": GRID.A, "shape": (9, 9), "coarsening": "rediscretise"}, "needs a Problem"),
        ({"axes": "some"}, "allowed are: auto, all"),
        ({"axes": [2], "coarsest": 5}, "numbers from 0 to 1"),
        ({"pre": -1}, "pre is -1 on level 0"),
        ({"dtype": np.int32}, "allowed are: float32"),
        ({"smoother": lambda level: 3.0}, "must be a name"),
        ({"nullspace": np.ones(7)}, r"nullspace has shape \(7,\)"),
        ({"interpolation": "cubics"}, "known are: linear, cubic, quintic, black-box"),
        ({"interpolation": ["linear"]}, "unknown interpolation"),
        ({"restriction": "fully"}, "known are: full, half, injection"),
        ({"coarsening": ["galerkin"]}, "unknown coarsening"),
        ({"pre": 1.0}, "pre is 1.0 on level 0, must be a whole number from 0"),
        ({"pre": []}, r"pre is \[\] on level 0"),
        ({"post": "1"}, "post is '1' on level 0"),
        ({"post": lambda level: None}, "post is None on level 0"),
        ({"degree": 1.5}, "degree is 1.5 on level 0, must be a whole number from 1"),
        ({"degree": True}, "degree is True"),
        ({"degree": [2, 0], "coarsest": 1}, "degree is 0 on level 1"),
        ({"degree": [2, 3], "smoother": "jacobi"}, "a degree belongs to a polynomial family"),
        ({"dtype": np.complex64}, "A is float64, the cycle's type complex64 must be real too"),
        ({"dtype": "x"}, "dtype is 'x', allowed are: float32"),
        ({"max_levels": 0}, "max_levels is 0, must be a whole number from 1"),
        ({"coarsest": -5}, "coarsest is -5, must be a whole number from 1"),
        ({"coarsest": 1.5}, "coarsest is 1.5"),
        ({"shape": (3, 3)}, r"shape is \(3, 3\), the problem has \(9, 9\)"),
        ({"boundary": "neumann"}, "boundary is 'neumann', the problem has dirichlet"),
        ({"axes": None}, "axes are None"),
        ({"axes": [True]}, "numbers from 0 to 1"),
        ({"axes": 0}, "axes are 0"),
        ({"transfers": 3}, "transfers is 3, must be callable"),
        ({"coarse_solver": "direct"}, "coarse_solver is 'direct', must be callable"),
        ({"nullspace": object()}, r"nullspace has shape \(\)"),
        ({"problem": sp.csr_array((81, 81)), "shape": (9, 9)}, "A is zero"),
        (
            {"transfers": lambda level: 3},
            "level 0: transfers gave 3, must be P, R and the coarse shape, or None",
        ),
        (
            {"transfers": lambda level: (None, None, (4, 4))},
            r"level 0: P and R have shapes \(\) and \(\)",
        ),
        ({"transfers": lambda level: (None, None, (4, 0.5))}, "level 0: a coarse size is 0.5"),
        ({"coarse_solver": lambda A: A}, "must give a callable"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        Hierarchy.build(**{"problem": GRID, "coarsest": 20, **arguments})


@pytest.mark.parametrize(("dim", "n"), [(1, 63), (2, 31), (3, 11)])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_high_frequencies_of_an_operator_of_order_2m(m, dim, n):
    """Of L^m, L the Laplacian, they begin at (2 / h^2)^m, which is (1 / 2d)^m of all."""
    A = L = poisson((n,) * dim).A * (n + 1.0) ** -2
    for _ in range(m - 1):
        A = A @ L
    level = Hierarchy.build(sp.csr_array(A), shape=(n,) * dim, coarsest=8, max_levels=2).levels[0]
    theta = 2 * np.pi * np.arange(64) / 64
    symbol = sum(np.meshgrid(*[2 - 2 * np.cos(theta)] * dim)) ** m
    high = np.max(np.meshgrid(*[np.abs(np.angle(np.exp(1j * theta)))] * dim), axis=0) >= np.pi / 2
    a, b = level.smoothing_interval()
    assert a / b == pytest.approx(symbol[high].min() / symbol.max())
