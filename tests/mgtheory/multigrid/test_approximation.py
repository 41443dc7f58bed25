"""The approximation constant against its definition as a supremum, Fourier analysis, and known
values."""

import math

import numpy as np
import pytest

from mgtheory import problems
from mgtheory.multigrid import transfer
from mgtheory.multigrid.approximation import approximation_constant, approximation_constants
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
