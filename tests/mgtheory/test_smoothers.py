"""Smoothings against dense twins: the correction, the residual left, the adjoint; roots on the
levels; what is refused."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory.derive import derive
from mgtheory.families import FAMILIES
from mgtheory.multigrid.applied import set_up
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.polynomials.classical import chebyshev
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.manufactured import SmoothCoefficient
from mgtheory.smoothers import SMOOTHERS, GaussSeidel, Jacobi, Polynomial, growing, smoother

FOR_LEVELS = [
    name for name, entry in FAMILIES.items() if entry.needs in ("interval", "lmax", "operator")
]


def level_of(problem):
    """The finest of two levels."""
    return Hierarchy.build(problem, max_levels=2, coarsest=1).levels[0]


def matrix_of(smoothing):
    """The dense matrix of r -> c."""
    return np.column_stack([smoothing.correct(e) for e in np.eye(smoothing.A.shape[0])])


def check_smoothing(smoothing):
    """It is linear, hands on r - A c, leaves r alone, has its adjoint, and pickles."""
    r = np.random.default_rng(1).standard_normal(smoothing.A.shape[0])
    before = r.copy()
    M, A = matrix_of(smoothing), smoothing.A.toarray()
    c, s = smoothing.correct_with_residual(r)
    assert np.array_equal(r, before)
    np.testing.assert_allclose(c, M @ r, atol=1e-12 * np.abs(c).max())
    np.testing.assert_allclose(s, r - A @ c, atol=1e-11 * np.abs(r).max())
    np.testing.assert_allclose(matrix_of(smoothing.adjoint()), M.T, atol=1e-13 * np.abs(M).max())
    np.testing.assert_allclose(pickle.loads(pickle.dumps(smoothing)).correct(r), c, rtol=1e-14)
    np.testing.assert_allclose(copy.deepcopy(smoothing).correct(r), c, rtol=1e-14)


@pytest.mark.parametrize("name", SMOOTHERS)
def test_registry(name):
    for problem in (
        poisson((4, 5)),
        poisson((6,), boundary="periodic"),
        create("poisson2d-9point", 5),
    ):
        check_smoothing(set_up(smoother(name), level_of(problem)))


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5, 12])
@pytest.mark.parametrize("family", FOR_LEVELS)
def test_polynomials(family, degree):
    """c = p(BA) B r for every family, by ordered factors (low degree) and by recurrence, with and
    without the diagonal."""
    if family == "mls":
        degree = {1: 4, 2: 4, 3: 4, 4: 4, 5: 7, 12: 13}[degree]  # 3d + 1
    for problem, diagonal in (
        (poisson((5, 4)), False),
        (poisson((5, 4), coefficient=SmoothCoefficient()), True),
    ):
        smoothing = set_up(smoother(family, degree), level_of(problem))
        check_smoothing(smoothing)
        assert (smoothing.B is not None) == diagonal
        A = smoothing.A.toarray()
        B = np.eye(20) if smoothing.B is None else np.diag(smoothing.B)
        assert smoothing.polynomial.degree >= degree
        expected = np.column_stack([smoothing.polynomial.apply(A, e, B) for e in np.eye(20)])
        np.testing.assert_allclose(
            matrix_of(smoothing), expected, atol=1e-11 * np.abs(expected).max()
        )


@pytest.mark.parametrize(
    "roots",
    [[3.0], [3.0, 7.0], [2.0 + 1.0j, 2.0 - 1.0j, 5.0], [np.inf, 4.0], [3.0, 5.0, 7.0, 8.0, 2.0]],
)
def test_own_polynomial(roots):
    q = ResidualPolynomial(np.array(roots) * 36.0)
    smoothing = set_up(smoother(q), level_of(poisson((5, 5))))
    check_smoothing(smoothing)
    values, vectors = np.linalg.eigh(smoothing.A.toarray())
    c, s = smoothing.correct_with_residual(vectors[:, 7].copy())
    np.testing.assert_allclose(s, q(values[7]) * vectors[:, 7], atol=1e-12)
    np.testing.assert_allclose(c, q.p(values[7]) * vectors[:, 7], atol=1e-13)


def test_triangles_and_colours():
    """Gauss-Seidel is the inverse of the lower triangle; by colours, of the lower triangle in the
    order of the colours."""
    level = level_of(create("poisson2d-q1", 5))
    A = level.A.toarray()
    np.testing.assert_allclose(
        matrix_of(set_up(GaussSeidel(), level)), np.linalg.inv(np.tril(A)), atol=1e-14
    )
    np.testing.assert_allclose(
        matrix_of(set_up(GaussSeidel(backward=True), level)), np.linalg.inv(np.triu(A)), atol=1e-14
    )
    index = np.indices((5, 5)).reshape(2, -1)
    for ordering, colour in (
        ("red-black", index.sum(axis=0) % 2),
        ("multicolour", index[0] % 2 + 2 * (index[1] % 2)),
    ):
        lower = np.where(colour[:, None] > colour[None, :], A, 0.0) + np.diag(np.diag(A))
        np.testing.assert_allclose(
            matrix_of(set_up(GaussSeidel(ordering), level)), np.linalg.inv(lower), atol=1e-14
        )
    np.testing.assert_allclose(
        matrix_of(set_up(Jacobi(0.7), level)), 0.7 * np.diag(1 / np.diag(A)), atol=1e-15
    )


def test_over_relaxation_is_a_triangle_with_a_larger_diagonal():
    level = level_of(create("poisson2d-q1", 5))
    A = level.A.toarray()
    for omega in (0.7, 1.5):
        forward = np.tril(A, -1) + np.diag(np.diag(A)) / omega
        for ordering in ("lexicographic", "red_black"):
            check_smoothing(set_up(GaussSeidel(ordering, omega=omega), level))
        np.testing.assert_allclose(
            matrix_of(set_up(GaussSeidel(omega=omega), level)), np.linalg.inv(forward), atol=1e-14
        )


def test_searched_families_are_derived_on_levels_too():
    """On an interval minimax is Chebyshev; two_grid_optimal is searched once for all multiples of a
    stencil, and converted exactly."""
    level = level_of(poisson((15, 15)))
    one, other = (set_up(smoother(name, 3), level).polynomial for name in ("minimax", "chebyshev"))
    t = np.linspace(0.0, level.interval[1], 50)
    np.testing.assert_allclose(one(t), other(t), atol=1e-9)
    start = derive("two_grid_optimal", 3, poisson((31, 31)))
    levels = Hierarchy.build(poisson((31, 31)), smoother="two_grid_optimal", degree=3).levels
    for l, level in enumerate(levels[:-1]):
        np.testing.assert_allclose(level.pre.polynomial.roots, start.roots / 4**l, rtol=1e-9)


def test_one_spelling():
    assert smoother("red-black") == smoother("red_black") == GaussSeidel("red-black")


def test_descriptions_keep_what_was_asked():
    """B where it is named, else that of the record; the degree that copies of roots add to."""
    q = ResidualPolynomial([3.0])
    assert smoother(q, scaling="diagonal").scaling == "diagonal"
    start = derive("chebyshev", 2, create("variable2d", 9), scaling="identity")
    assert smoother(start).scaling == "identity"
    assert Polynomial(polynomial=start.polynomial, scaling="diagonal").scaling == "diagonal"
    A = np.diag(np.append(np.linspace(1.0, 2.0, 58), [500.0, 1e5]))
    start = derive("harmonic_ritz", 10, A, start=np.random.default_rng(0).standard_normal(60))
    assert start.degree > smoother(start).degree == 10


def test_the_order_of_options_does_not_matter():
    """Descriptions are keys of what was derived for them."""
    one, two = (
        Polynomial("two_grid_optimal", 2, options=dict(order))
        for order in ((("pre", 2), ("restriction", "half")), (("restriction", "half"), ("pre", 2)))
    )
    assert one == two
    assert hash(one) == hash(two)


def test_multicolour_is_gauss_seidel_for_compact_stencils():
    """With 2^d colours no two unknowns of a colour are coupled: the residual of the last colour
    vanishes."""
    level = level_of(create("poisson2d-9point", 7))
    smoothing = set_up(GaussSeidel("multicolour"), level)
    _, s = smoothing.correct_with_residual(np.random.default_rng(0).standard_normal(49))
    index = np.indices((7, 7)).reshape(2, -1)
    assert np.abs(s[(index % 2).sum(axis=0) == 2]).max() <= 1e-13
    assert np.abs(s).max() > 0.1


def test_roots_follow_the_levels():
    """A polynomial given for the finest level is scaled by the level's largest eigenvalue: 1/4 per
    level when rediscretised."""
    problem = poisson((31, 31))
    q = chebyshev(2, interval=problem.smoothing_interval())
    hierarchy = Hierarchy.build(problem, smoother=q)
    for level in hierarchy.levels[:-1]:
        np.testing.assert_allclose(level.pre.polynomial.roots, q.roots / 4**level.index, rtol=1e-12)
    named = Hierarchy.build(problem, smoother="chebyshev", degree=2)
    np.testing.assert_allclose(named.levels[1].pre.polynomial.roots, q.roots / 4, rtol=1e-12)


@pytest.mark.parametrize(("degree", "factor"), [(1, 0.6), (2, 0.2195), (3, 0.0740)])
def test_high_frequencies_are_damped_as_theory_says(degree, factor):
    """Chebyshev on [2, 8]: no high mode of a 5-point Laplacian is reduced by less than 1/T_k(5/3),
    and some mode nearly attains it."""
    problem = poisson((31, 31))
    smoothing = set_up(smoother("chebyshev", degree), level_of(problem))
    x, y = problem.grid
    left = []
    for k in range(1, 32):
        for l in (16, 23, 31):
            mode = (np.sin(k * np.pi * x) * np.sin(l * np.pi * y)).reshape(-1)
            left.append(
                np.linalg.norm(smoothing.correct_with_residual(mode)[1]) / np.linalg.norm(mode)
            )
    assert max(left) <= factor + 1e-4
    assert max(left) >= 0.95 * factor


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: smoother("sor"), "unknown smoother 'sor', known are: richardson"),
        (lambda: smoother("jacobi", 2), "belongs to a polynomial family"),
        (lambda: smoother(3.0), "must be a name"),
        (
            lambda: set_up(smoother("two_grid_optimal"), level_of(create("variable2d", 7))),
            "two_grid_optimal cannot be derived from level 0 of variable2d, 7 x 7 .*constant",
        ),
        (lambda: smoother("chebyshev", 0), "degree"),
        (lambda: Polynomial("chebyshev", scaling="row"), "known are: auto, identity, diagonal"),
        (lambda: Polynomial(), "needs a family or a polynomial"),
        (lambda: GaussSeidel("zebra"), "known are: lexicographic, red_black, multicolour"),
        (lambda: GaussSeidel(["red-black"]), "unknown ordering"),
        (lambda: GaussSeidel(backward="no"), "backward is 'no', must be True or False"),
        (lambda: Jacobi(float("nan")), "omega is nan, must be a number larger than 0"),
        (lambda: Jacobi(0), "omega is 0"),
        (lambda: Jacobi(2.5), r"omega is 2.5, must lie in \(0, 2\)"),
        (lambda: GaussSeidel(omega=2), r"omega is 2, must lie in \(0, 2\)"),
        (lambda: Jacobi("0.8"), "omega is '0.8'"),
        (lambda: Polynomial("chebyshev", scaling=["auto"]), "unknown scaling"),
        (lambda: Polynomial(["chebyshev"]), r"family is \['chebyshev'\], known are"),
        (lambda: Polynomial(polynomial=3), "polynomial is 3, must be a ResidualPolynomial"),
        (
            lambda: smoother(Polynomial(polynomial=ResidualPolynomial([3.0])), 2),
            "a degree belongs to a polynomial family given by its name",
        ),
        (
            lambda: Polynomial(polynomial=ResidualPolynomial([3.0]), options={"copies": 1}),
            "options belong to a family",
        ),
        (
            lambda: set_up(
                Jacobi(), level_of(poisson((3, 3))).__class__(0, ZERO, (4,), ZERO, ZERO)
            ),
            "4 zeros",
        ),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()


ZERO = sp.csr_array((4, 4))


def test_degrees_grow_by_one_a_level_up_to_six():
    assert [growing(level) for level in range(7)] == [2, 3, 4, 5, 6, 6, 6]
