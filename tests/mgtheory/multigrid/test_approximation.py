"""The approximation constant against its definition as a supremum, Fourier analysis, and known
values."""

import itertools
import math

import numpy as np
import pytest
import scipy.linalg

from mgtheory import poisson, problems
from mgtheory.multigrid import approximation, transfer
from mgtheory.multigrid.approximation import (
    approximation_constant,
    approximation_constants,
    energy_bound,
)
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.polynomials.scores import gamma
from mgtheory.problems.problem import Problem
from mgtheory.smoothers import Polynomial


def fine_and_prolongation(name, n, boundary="dirichlet"):
    problem = problems.create(name, n=n, boundary=boundary)
    coarse = tuple(transfer.coarse_size(m, problem.boundary) for m in problem.shape)
    return problem, transfer.interpolation(problem.shape, coarse, problem.boundary).tocsr()


@pytest.mark.parametrize(
    ("name", "dim", "n"), [("poisson1d", 1, 64), ("poisson2d", 2, 16), ("poisson3d", 3, 8)]
)
def test_laplacian_with_linear_interpolation_gives_twice_the_dimension(name, dim, n):
    problem, P = fine_and_prolongation(name, n, "periodic")
    # 1D: v in the harmonics of theta, s = sin(theta/2)^2: C = 1/(s^2 + (1 - s)^2), largest at theta
    # = pi/2; likewise in d dimensions
    assert approximation_constant(problem.A, P) == pytest.approx(2 * dim, rel=1e-6)


@pytest.mark.parametrize("n", [31, 511])
def test_fourier_analysis_in_one_dimension(n):
    problem, P = fine_and_prolongation("poisson1d", n)
    s = np.sin(0.5 * np.pi * np.arange(1, n + 1) / (n + 1)) ** 2
    expected = np.max(s[-1] / (s**2 + (1 - s) ** 2))  # lmax is 4 s_n, not 4
    # dense and iterated
    assert approximation_constant(problem.A, P) == pytest.approx(expected, rel=1e-5)


def remainder(A, P):
    """A^+ - P (P^T A P)^+ P^T, dense: what the coarse-grid correction leaves of a solution."""

    def inverse(matrix):
        return np.linalg.pinv(matrix, rcond=1e-12, hermitian=True)

    return inverse(A) - P @ inverse(P.T @ A @ P) @ P.T


def dense_constant(A, P, B=None, lmax=None):
    """C by its formula; where A is singular, for right-hand sides without a mean."""
    B = np.ones(len(A)) if B is None else B
    root = 1 / np.sqrt(B)
    K = root[:, None] * remainder(A, P) * root
    if abs(A.sum(axis=1)).max() < 1e-10 * abs(A).max():
        mean = root / np.linalg.norm(root)
        off = np.eye(len(A)) - np.outer(mean, mean)
        K = off @ K @ off
    lmax = np.linalg.eigvals(B[:, None] * A).real.max() if lmax is None else lmax
    return lmax * np.linalg.norm(K, 2)


def weak_constant(A, P, B=None, lmax=None):
    """sup over v of min_w ||v - P w||^2_{B^-1} lmax / ||v||^2_A: no constant of a V-cycle."""
    M = np.diag(np.ones(len(A)) if B is None else 1 / B)
    S = M - M @ P @ np.linalg.solve(P.T @ M @ P, P.T @ M)
    lmax = scipy.linalg.eigvalsh(A, M)[-1] if lmax is None else lmax
    return lmax * scipy.linalg.eigvalsh(0.5 * (S + S.T), A)[-1]


def test_it_is_the_supremum_of_the_definition():
    """Lottes' form, sup over f of ||K f||_A^2 / ||f||_B^2, and its transpose, the quotient of
    ||v - pi v||^2_{B^-1} and ||v||^2_A: bounded by C for any f and v, and by nothing smaller."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 12))
    A, P, B = X @ X.T + np.eye(12), rng.standard_normal((12, 5)), rng.uniform(0.5, 2, 12)
    C = approximation_constant(A, P, B=B)
    lmax = np.linalg.eigvals(B[:, None] * A).real.max()
    K = remainder(A, P)

    def quotient(f):
        left = K @ f
        return lmax * (left @ A @ left) / (f @ (B * f))

    def transposed(v):
        left = v - P @ np.linalg.solve(P.T @ A @ P, P.T @ A @ v)
        return lmax * (left @ (left / B)) / (v @ A @ v)

    for form in (quotient, transposed):
        assert max(form(v) for v in rng.standard_normal((2000, 12))) <= C
    f = rng.standard_normal(12)
    for _ in range(2000):
        f = K @ f / B
        f /= np.linalg.norm(f)
    assert quotient(f) == pytest.approx(C, rel=1e-8)
    assert transposed(K @ f) == pytest.approx(C, rel=1e-8)
    assert pytest.approx(dense_constant(A, P, B), rel=1e-10) == C
    assert C > weak_constant(A, P, B) >= 1


CASES = [
    ("poisson1d", 64, "dirichlet"),  # grids that are not nested
    ("poisson2d-q1", 15, "dirichlet"),
    ("jump2d", 15, "dirichlet"),
    ("jump2d", 16, "neumann"),
    ("variable2d", 16, "periodic"),
    ("anisotropic2d", 12, "neumann"),
    ("poisson3d", 6, "periodic"),
]


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(("name", "n", "boundary"), CASES)
def test_dense_and_iterated_ones_are_the_formula(monkeypatch, name, n, boundary, scaled):
    problem, P = fine_and_prolongation(name, n, boundary)
    B = 1 / problem.A.diagonal() if scaled else None
    expected = dense_constant(problem.A.toarray(), P.toarray(), B)
    assert approximation_constant(problem.A, P, B=B) == pytest.approx(expected, rel=1e-8)
    monkeypatch.setattr(approximation, "DENSE", 0)
    assert approximation_constant(problem.A, P, B=B) == pytest.approx(expected, rel=1e-5)


def test_units_of_the_unknowns_do_not_matter():
    """S A S, S^-1 P and S^-2 B for x = S y, S a diagonal of any sizes: the same constant."""
    problem, P = fine_and_prolongation("jump2d", 9)
    S = 10.0 ** np.random.default_rng(0).uniform(-7, 7, 81)
    A = problem.A.multiply(S[:, None]).multiply(S).tocsr()
    found = approximation_constant(A, P.multiply(1 / S[:, None]).tocsr(), B=1 / S**2)
    assert found == pytest.approx(approximation_constant(problem.A, P), rel=1e-6)


def test_lmax_scales_it():
    problem, P = fine_and_prolongation("poisson1d", 15)
    assert approximation_constant(problem.A, P, lmax=3.0) == pytest.approx(
        3 * approximation_constant(problem.A, P, lmax=1.0), rel=1e-12
    )


@pytest.mark.parametrize("n", [24, 400])
def test_the_energy_norm_does_not_see_constants(n):
    """So C is finite, and what the formula says, whether the coarse space has them or not."""
    problem, P = fine_and_prolongation("poisson1d", n, "neumann")
    assert 1 <= approximation_constant(problem.A, P) < 3
    ramp = P.multiply(np.arange(1, n + 1)[:, None]).tocsr()
    for coarse in (P, ramp, P[:, 1:]):
        expected = dense_constant(problem.A.toarray(), coarse.toarray())
        assert math.isfinite(expected)
        assert approximation_constant(problem.A, coarse) == pytest.approx(expected, rel=1e-5)


def test_levels_of_a_hierarchy():
    constants = approximation_constants(
        Hierarchy.build(problems.create("poisson2d", n=31), coarsening="galerkin")
    )
    assert constants[0] == pytest.approx(4, rel=0.02)
    assert all(1 <= c < 4.5 for c in constants)
    with pytest.raises(ValueError, match="needs coarsening='galerkin'"):
        approximation_constants(
            Hierarchy.build(problems.create("poisson2d", n=31), coarsening="rediscretise")
        )


def energy_norm(hierarchy):
    """||I - M A||_A of a V-cycle M, from its dense matrix."""
    A = hierarchy.levels[0].A.toarray()
    E = np.eye(len(A)) - np.column_stack([hierarchy.apply(column) for column in A.T])
    values, vectors = np.linalg.eigh(A)
    seen = values > 1e-10 * values[-1]  # constants have no energy
    values, vectors = values[seen], vectors[:, seen]
    return np.linalg.norm(
        (np.sqrt(values)[:, None] * vectors.T) @ E @ (vectors / np.sqrt(values)), 2
    )


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("family", ["chebyshev4", "chebyshev4_opt"])
@pytest.mark.parametrize("name", ["poisson2d", "variable2d", "jump2d"])
def test_the_bound_holds_with_the_smoothers_own_scaling(name, family, count):
    """B = D^-1 where the diagonal varies, with the estimate of lmax that the polynomial has; where
    the coefficient is smooth, not far from what is measured."""
    for degree in (1, 2, 3):
        hierarchy = Hierarchy.build(
            problems.create(name, n=15),
            smoother=family,
            degree=degree,
            coarsening="galerkin",
            coarsest=10,
            pre=count,
            post=count,
        )
        measured, bound = energy_norm(hierarchy), energy_bound(hierarchy)
        assert measured <= bound * (1 + 1e-10)
        assert bound <= (1 if name == "jump2d" else 8 * measured)
    assert len(approximation_constants(hierarchy)) == len(hierarchy.levels) - 1


def rough(x, y):
    table = np.random.default_rng(1).uniform(-2, 2, (64, 64))
    return np.exp(table[np.asarray(61 * x).astype(int), np.asarray(61 * y).astype(int)])


def rotated(c=0.475):
    """-u_xx - u_yy with a mixed derivative close to losing ellipticity (at c = 0.5)."""
    taps = np.array([[-c, -1, c], [-1, 4, -1], [c, -1, -c]])
    return Problem.from_stencil(256 * taps, (15, 15))


CONSTANT = {
    "1D": lambda: poisson((31,)),
    "5-point": lambda: poisson((11, 11)),
    "9-point": lambda: problems.create("poisson2d-9point", n=11),
    "finite elements": lambda: problems.create("poisson2d-q1", n=11),
    "anisotropic": lambda: problems.create("anisotropic2d", n=11),
    "rotated": rotated,
    "Neumann": lambda: poisson((16, 12), boundary="neumann"),
    "3D": lambda: poisson((6, 6, 5)),
}
VARIABLE = {
    "rough": lambda: poisson((11, 11), coefficient=rough),
    "jump": lambda: problems.create("jump2d", n=11),
    "variable": lambda: problems.create("variable2d", n=11),
}
FAMILIES = (("chebyshev4", 1), ("chebyshev4", 4), ("chebyshev4_opt", 2), ("chebyshev", 3))


@pytest.mark.parametrize("scaling", ["identity", "diagonal"])
@pytest.mark.parametrize("name", CONSTANT | VARIABLE)
def test_no_cycle_exceeds_its_bound(name, scaling):
    """224 V-cycles in all, on two and three levels; with a variable coefficient by linear
    interpolation and by that which follows the coefficient."""
    problem = (CONSTANT | VARIABLE)[name]()
    for (family, degree), levels, interpolation in itertools.product(
        FAMILIES, (2, 3), (None, "linear") if name in VARIABLE else (None,)
    ):
        hierarchy = Hierarchy.build(
            problem,
            smoother=Polynomial(family, degree, scaling=scaling),
            coarsening="galerkin",
            coarsest=4,
            max_levels=levels,
            interpolation=interpolation,
            restriction="full",
            axes="all",
        )
        assert len(hierarchy.levels) == levels
        measured, bound = energy_norm(hierarchy), energy_bound(hierarchy)
        assert measured <= bound * (1 + 1e-10), (family, degree, levels, interpolation)
        assert bound < 1


def test_the_weak_constant_bounds_no_cycle():
    """It is smaller, and with it the bound is exceeded by half on the rotated stencil."""
    hierarchy = Hierarchy.build(
        rotated(),
        smoother=Polynomial("chebyshev4", 4, scaling="identity"),
        coarsening="galerkin",
        coarsest=16,
        max_levels=3,
        axes="all",
    )
    weak = []
    for level, C in zip(hierarchy.levels, approximation_constants(hierarchy), strict=False):
        A, P, q = level.A.toarray(), level.P.toarray(), level.pre.polynomial
        lmax = max(q.operator.upper, np.linalg.eigvalsh(A)[-1])
        assert pytest.approx(dense_constant(A, P, lmax=lmax), rel=1e-10) == C
        weak.append(weak_constant(A, P, lmax=lmax) * gamma(q, lmax=lmax))
        assert weak[-1] < C * gamma(q, lmax=lmax)
    measured = energy_norm(hierarchy)
    assert measured > 1.5 * max(weak) / (1 + max(weak))
    assert measured <= energy_bound(hierarchy) < 1


def test_nothing_is_bounded_where_the_smoother_amplifies():
    hierarchy = Hierarchy.build(
        problems.create("variable2d", n=15),
        smoother=Polynomial("harmonic_ritz", 2, scaling="identity"),
        coarsening="galerkin",
        coarsest=16,
    )
    assert energy_norm(hierarchy) > 5
    assert energy_bound(hierarchy) == math.inf


def test_the_restriction_must_belong_to_the_projection():
    """R and the coarse operator are P^T and P^T A P, both with one factor: else the correction is
    no A-orthogonal projection."""
    hierarchy = Hierarchy.build(problems.create("poisson2d", n=15), coarsening="galerkin")
    level = hierarchy.levels[0]
    level.R = 2 * level.R.tocsr()
    with pytest.raises(ValueError, match="level 0: the restriction is not the multiple of P"):
        energy_bound(hierarchy)


def test_bounds_of_what_is_no_polynomial_or_not_symmetric_are_refused():
    problem = problems.create("poisson2d", n=15)
    for smoother, options, words in (
        ("red_black", {}, "one of polynomial smoothers, this one is gauss_seidel"),
        ("chebyshev4", {"post": 2}, "same smoothing before and after"),
    ):
        hierarchy = Hierarchy.build(problem, smoother=smoother, coarsening="galerkin", **options)
        with pytest.raises(ValueError, match=words):
            energy_bound(hierarchy)


@pytest.mark.parametrize(
    ("A", "P", "options", "message"),
    [
        (np.eye(3), np.ones((4, 1)), {}, r"A has shape \(3, 3\) and P \(4, 1\)"),
        (np.eye(3), np.eye(3), {}, "0 < m < n"),
        (np.eye(3), np.ones((3, 1)), {"B": [1, -1, 1]}, "positive diagonal"),
        (-np.eye(3), np.ones((3, 1)), {}, "positive definite"),
        (np.triu(np.ones((3, 3))), np.ones((3, 1)), {}, "differs from its transpose"),
        (np.diag(np.r_[-1.0, np.ones(399)]), np.eye(400, 3), {}, "A must be symmetric positive"),
        (np.eye(3), np.ones((3, 2)), {}, "full rank"),
    ],
)
def test_bad_input(A, P, options, message):
    with pytest.raises(ValueError, match=message):
        approximation_constant(A, P, **options)
