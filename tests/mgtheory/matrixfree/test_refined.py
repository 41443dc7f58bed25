"""Cycles in float32 under residuals in float64: those of float64, to its digits."""

import numpy as np
import pytest

from mgtheory.matrixfree import StencilHierarchy, kernel_level
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.stencils import laplacian

# a complex pair for the 5-point Laplacian on 31 points
COMPLEX = ResidualPolynomial(np.array([2.0, 7.0, 4.0 + 2.0j, 4.0 - 2.0j]) * 32**2)
PROBLEMS = {
    "1d": poisson((100,)),
    "3 points": poisson((3,)),
    "nested": poisson((31, 31)),  # rows of 31 numbers are kept as 32
    "uneven": poisson((40, 27)),
    "9-point": poisson((31, 15), stencil="9-point"),
    "semi": poisson((31, 31), weights=(1.0, 0.01)),
    "3d": poisson((15, 17, 12)),
    "two rows": poisson((15, 2, 17)),
    "19-point": poisson((15, 15, 15), stencil="19-point"),
    "q1-3d": poisson((12, 9, 31), stencil="q1"),
}


def both(problem, *, coarsest=30, **options):
    """The hierarchies in float32 and in float64."""
    return (
        StencilHierarchy.build(problem, coarsest=coarsest, dtype=dtype, **options)
        for dtype in ("float32", "float64")
    )


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("options", [{}, {"pre": 0, "degree": 5}])
def test_cycles_converge_as_in_float64_and_to_its_digits(name, options):
    """The same cycles, so the same residuals to the per cent that rounding may have in
    them; at the end, where float64 rounds too, a cycle more or less."""
    problem = PROBLEMS[name]
    n = problem.A.shape[0]
    short, exact = both(problem, coarsest=1 if n == 3 else 30, **options)
    for b, cycle in ((noise(n), "FMG"), (noise(n), "V"), (problem.b, "FMG"), (problem.b, "W")):
        found, expected = (
            one.solve(b, cycle=cycle, tol=1e-12, maxiter=40) for one in (short, exact)
        )
        assert found.converged
        assert abs(found.iterations - expected.iterations) <= 1
        norms = np.array([found.residual_norms[:4], expected.residual_norms[:4]])
        floor = 1e-9 * norms[0, 0]
        np.testing.assert_allclose(*norms, rtol=0.02, atol=floor)
        true = np.linalg.norm(b - problem.A @ found.x)
        assert true <= 1.01e-12 * np.linalg.norm(b)
        assert found.residual_norms[-1] == pytest.approx(true, rel=0.1)
        np.testing.assert_allclose(found.x, expected.x, atol=1e-9 * np.abs(expected.x).max())


def test_complex_pairs_starts_and_transfers_of_loads():
    problem = PROBLEMS["nested"]
    b, x0 = noise(31 * 31), noise(31 * 31, 1)
    short, exact = both(problem, coarsest=60, smoother=COMPLEX)
    runs = [one.solve(b, x0, tol=1e-7) for one in (short, exact)]
    np.testing.assert_allclose(*(run.residual_norms[:-1] for run in runs), rtol=0.02)
    short, exact = both(problem, pre=0, coarsest=60)
    loads = problem.equation.load
    runs = [one.solve(problem.b, cycle="FMG", loads=loads, tol=1e-7) for one in (short, exact)]
    np.testing.assert_allclose(*(run.residual_norms for run in runs), rtol=0.02)
    assert short.refinement.serves  # the norms are those of float32, which tell enough
    # a single cycle is that of float64
    runs = [one.full_multigrid(problem.b).x for one in (short, exact)]
    np.testing.assert_array_equal(*runs)


@pytest.mark.parametrize("name", ["nested", "uneven", "q1-3d"])
def test_blocks_of_threads_change_nothing(name, monkeypatch):
    monkeypatch.setattr(kernel_level, "SMALL", 1)
    problem = PROBLEMS[name]
    for options in ({}, {"pre": 0}):
        one, *others = (
            StencilHierarchy.build(problem, threads=t, coarsest=30, dtype="float32", **options)
            for t in (1, 2, 3)
        )
        for cycle in ("FMG", "V"):
            expected = one.solve(problem.b, cycle=cycle, maxiter=5, tol=1e-13).x
            for other in others:
                found = other.solve(problem.b, cycle=cycle, maxiter=5, tol=1e-13).x
                np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("cycle", ["V", "FMG"])
def test_any_scale(cycle):
    """Residuals are scaled by a power of two before they are rounded to float32, so such a factor
    of b or of A changes no bit; and float32 knows no 1e-300."""
    problem = PROBLEMS["uneven"]
    short = StencilHierarchy.build(problem, coarsest=30, dtype="float32")
    b = noise(40 * 27)
    x = short.solve(b, cycle=cycle, tol=1e-11).x
    for power in (-996, -400, 3, 400, 996):  # 1e-300 to 1e300
        found = short.solve(b * 2.0**power, cycle=cycle, tol=1e-11)
        assert found.converged
        np.testing.assert_array_equal(found.x * 2.0**-power, x)
    for h in (2.0**-100, 2.0**100):
        ours = StencilHierarchy.build(
            laplacian(2), shape=(31, 31), h=h, coarsest=30, dtype="float32", pre=0
        )
        assert ours.solve(noise(31 * 31), cycle=cycle, tol=1e-11).converged


def test_a_preconditioner_of_float32():
    """A cycle by itself: that of float64 to float32's digits, at any scale, and linear."""
    problem = PROBLEMS["nested"]
    short, exact = both(problem, coarsest=60)
    r = noise(31 * 31)
    e = exact.apply(r)
    for scale in (1.0, 1e-200, 1e200):
        np.testing.assert_allclose(short.apply(scale * r) / scale, e, atol=1e-5 * np.abs(e).max())
    np.testing.assert_array_equal(short.apply(-2.0 * r), -2.0 * short.apply(r))
    assert not short.apply(0.0 * r).any()
    other = short.with_smoothers("chebyshev", degree=4)
    assert other.refinement is not None
    np.testing.assert_array_equal(
        other.apply(r),
        StencilHierarchy.build(
            problem, coarsest=60, dtype="float32", smoother="chebyshev", degree=4
        ).apply(r),
    )


def test_where_float32_has_no_digits_cycles_are_in_float64():
    """eps |A| |x| of a smooth x on 10^4 points is half of b in float32; what a full multigrid pass
    leaves is not smooth."""
    problem = poisson((10000,))
    short, exact = both(problem)
    np.testing.assert_array_equal(*(one.solve(problem.b, tol=1e-7).x for one in (short, exact)))
    runs = [one.solve(problem.b, tol=1e-7, cycle="FMG") for one in (short, exact)]
    np.testing.assert_allclose(*(run.residual_norms for run in runs), rtol=0.02)
    # that of a random b is: every cycle has a residual in float64 of its own
    b = noise(10000)
    found, expected = (one.solve(b, tol=1e-9, cycle="FMG") for one in (short, exact))
    assert found.converged
    assert found.iterations <= expected.iterations + 1
    # and where it was not known before, the first cycle tells
    short.refinement.fits = True
    found, expected = (one.solve(problem.b, tol=1e-7) for one in (short, exact))
    assert not short.refinement.serves
    assert found.converged
    assert found.iterations <= expected.iterations + 2
    np.testing.assert_allclose(found.x, expected.x, atol=1e-6 * np.abs(expected.x).max())


def test_a_pass_that_diverges_has_its_last_correction():
    """1 - t/100 amplifies by 80 where the spectrum ends."""
    problem = PROBLEMS["nested"]
    short, _ = both(problem, smoother=ResidualPolynomial([100.0]))
    found = short.solve(problem.b, cycle="FMG")
    assert found.reason == "diverged"
    true = np.linalg.norm(problem.b - problem.A @ found.x)
    assert found.residual_norms[-1] == pytest.approx(true, rel=0.01)


def test_one_grid_is_solved_directly_in_float64():
    problem = poisson((15, 15))
    found = StencilHierarchy.build(problem, dtype="float32").solve(problem.b)
    assert found.residual_norms[1] <= 1e-12 * found.residual_norms[0]


def test_refusals():
    for single in ("float32", np.float32, np.dtype("float32")):
        with pytest.raises(ValueError, match=r"dtype is .*float32.* where coefficients vary"):
            StencilHierarchy.build(create("variable2d", 9), dtype=single)
    for dtype in ("float16", np.complex128):
        with pytest.raises(ValueError, match="'float64', 'float32'"):
            StencilHierarchy.build(PROBLEMS["nested"], dtype=dtype)
