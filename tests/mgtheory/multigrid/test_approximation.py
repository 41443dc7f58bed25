"""The approximation constant against its definition as a supremum, Fourier analysis, and known
values."""

import math

import numpy as np
import pytest

from mgtheory import problems
from mgtheory.multigrid import transfer
from mgtheory.multigrid.approximation import (
    approximation_constant,
    approximation_constants,
    energy_bound,
)
from mgtheory.multigrid.hierarchy import Hierarchy


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


def test_it_is_the_supremum_of_the_definition():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 12))
    A, P, B = X @ X.T + np.eye(12), rng.standard_normal((12, 5)), rng.uniform(0.5, 2, 12)
    C = approximation_constant(A, P, B=B)
    lmax = np.linalg.eigvals(B[:, None] * A).real.max()
    M = np.sqrt(1 / B)

    def quotient(v):
        rest = M * v - (M[:, None] * P) @ np.linalg.lstsq(M[:, None] * P, M * v, rcond=None)[0]
        return lmax * rest @ rest / (v @ A @ v)

    assert max(quotient(v) for v in rng.standard_normal((2000, 12))) <= C
    v = rng.standard_normal(12)
    S = np.array(
        [
            [
                0.25
                * (
                    quotient(a + b) * ((a + b) @ A @ (a + b))
                    - quotient(a - b) * ((a - b) @ A @ (a - b))
                )
                if (a != b).any()
                else quotient(a) * (a @ A @ a)
                for b in np.eye(12)
            ]
            for a in np.eye(12)
        ]
    )  # polarisation
    for _ in range(2000):
        v = np.linalg.solve(A, S @ v)
        v /= np.linalg.norm(v)
    assert quotient(v) == pytest.approx(C, rel=1e-8)


def test_lmax_scales_it():
    problem, P = fine_and_prolongation("poisson1d", 15)
    assert approximation_constant(problem.A, P, lmax=3.0) == pytest.approx(
        3 * approximation_constant(problem.A, P, lmax=1.0), rel=1e-12
    )


@pytest.mark.parametrize("n", [24, 400])
def test_singular_operators_need_the_constants_in_the_coarse_space(n):
    problem, P = fine_and_prolongation("poisson1d", n, "neumann")
    assert 1 <= approximation_constant(problem.A, P) < 3
    assert (
        approximation_constant(problem.A, P.multiply(np.arange(1, n + 1)[:, None]).tocsr())
        == math.inf
    )


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
    root = vectors * np.sqrt(values) @ vectors.T
    inverse = vectors / np.sqrt(values) @ vectors.T
    return np.linalg.norm(root @ E @ inverse, 2)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("family", ["chebyshev4", "chebyshev4_opt"])
@pytest.mark.parametrize("name", ["poisson2d", "variable2d", "jump2d"])
def test_the_bound_holds_with_the_smoothers_own_scaling(name, family, count):
    """B = D^-1 where the diagonal varies, with the estimate of lmax that the polynomial has; not
    far from what is measured."""
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
        assert bound <= 8 * measured
    assert len(approximation_constants(hierarchy)) == len(hierarchy.levels) - 1


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
        (np.eye(3), np.ones((3, 2)), {}, "full rank"),
    ],
)
def test_bad_input(A, P, options, message):
    with pytest.raises(ValueError, match=message):
        approximation_constant(A, P, **options)
