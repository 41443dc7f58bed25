"""np.seterr(all="raise") of a user's program changes no result: underflow in here is no fault."""

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory import (
    FAMILIES,
    Hierarchy,
    Interval,
    Problem,
    ResidualPolynomial,
    Stencil,
    derive,
    poisson,
    smoothing_factor,
    solve,
    three_grid_factor,
    two_grid_factor,
)
from mgtheory.polynomials.classical import chebyshev, closed_form
from mgtheory.polynomials.scores import (
    damping_number,
    gamma,
    nearest_families,
    smoothing_number,
)
from mgtheory.problems import PROBLEMS, create
from mgtheory.problems.stencils import anisotropic
from mgtheory.smoothers import SMOOTHERS
from mgtheory.spectra.ritz import arnoldi, lanczos


def alike(call):
    """The result, made twice: as numpy treats errors by itself, and as a user may want it for his
    own code."""
    expected = call()
    with np.errstate(all="raise"):
        found = call()
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    return expected


SOURCES = {
    "interval": [(1e-290, 1e-289), (1e-3, 1.0), (1e289, 1e290), (1.0, 1.0001)],
    "lmax": [1e-290, 8.0, 1e290],
    "points": [Interval(1e-290, 1e-289), np.append(np.linspace(1, 2, 60), 1e8)],
    "operator": [np.diag(np.linspace(1, 1.01, 100)), create("poisson2d", 7)],
    "problem": [create("poisson1d", 7)],
}


@pytest.mark.parametrize(
    "family",
    [family for family in FAMILIES.values() if family.needs in SOURCES],
    ids=[name for name, family in FAMILIES.items() if family.needs in SOURCES],
)
def test_derivation(family):
    for of in SOURCES[family.needs]:
        for degree in (4, 16) if family.name in ("minimax", "harmonic_ritz") else (4,):
            start = derive(family.name, degree, of)
            assert alike(lambda of=of, k=degree: derive(family.name, k, of).weights).size >= degree
            for score in (gamma, smoothing_number):
                alike(lambda score=score, q=start.relative: score(q))
    if family.needs in ("interval", "lmax") and family.name != "mls":
        alike(lambda: derive(family.name, 256, SOURCES[family.needs][1]).weights)


def test_polynomials_whose_values_leave_the_doubles():
    q = chebyshev(96, interval=(1, 1.0001))  # below 1e-400 on the interval
    t = np.linspace(1, 1.0001, 9)
    assert (alike(lambda: q(t)) == 0).any()
    alike(lambda: closed_form("chebyshev", 96, t, (1, 1.0001)))
    alike(lambda: damping_number(q, interval=(1, 1.0001)))
    alike(lambda: q.amplification(t))
    alike(lambda: q.apply(np.diag(t), np.ones(9)))
    near = q.scaled(1 / 1.0001)
    alike(lambda: [match.distance for match in nearest_families(near, degrees=[4])])
    with np.errstate(over="ignore", invalid="ignore"):
        assert ResidualPolynomial([1e-3] * 200)(1e3) == np.inf
    alike(lambda: ResidualPolynomial([1e299, 1e-299, np.inf]).scaled(2.0).weights)


@pytest.mark.parametrize("name", ["poisson2d", "poisson2d-9point", "anisotropic2d"])
def test_fourier_analysis(name):
    problem = create(name, 15)
    for smoother in (*SMOOTHERS, "chebyshev4"):
        for factor in (smoothing_factor, two_grid_factor):
            alike(lambda f=factor, s=smoother: f(problem, s).factor)
    alike(lambda: three_grid_factor(problem, "chebyshev").factor)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize("name", ["poisson1d", "poisson2d-9point", "anisotropic2d", "jump2d"])
def test_solving(name, boundary):
    problem = create(name, {1: 17, 2: 9, 3: 6}[PROBLEMS[name].dim], boundary=boundary)
    for options in ({}, {"smoother": "red_black"}, {"dtype": "float32"}):

        def build(options=options):
            return Hierarchy.build(problem, coarsest=4, **options)

        hierarchy = build()
        alike(lambda: build().solve(problem.b).x)
        for b in (0 * problem.b, 1e-300 * problem.b, 1e290 * problem.b):
            alike(lambda b=b, h=hierarchy: h.solve(b).residual_norms)
        for cycle in ("W", "F", "FMG"):
            alike(lambda c=cycle, h=hierarchy: h.solve(problem.b, cycle=c).x)
    for estimate in (lanczos, arnoldi):
        alike(lambda e=estimate: e(problem.A).radius)


@pytest.mark.parametrize("scale", [1e-250, 1e-160, 1e160, 1e290])
def test_factors_of_any_multiple(scale):
    """Squares of couplings below 1e-162 are 0 and above 1e154 infinite: all axes were taken for
    alike, and the factor was 0.98."""
    stencil = anisotropic((1.0, 0.01))
    assert (scale * stencil).couplings() == pytest.approx([scale, 0.01 * scale])
    for factor in (smoothing_factor, two_grid_factor, three_grid_factor):
        assert factor(scale * stencil, "jacobi").factor == pytest.approx(
            factor(stencil, "jacobi").factor, rel=1e-9
        )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e20, 1e33])
def test_single_precision_of_large_numbers(scale):
    """Means of entries whose sum is none, and the norm of an x whose squares are 0: the residual
    stays where it does for A of size 1, and is said to be rounding."""
    A = poisson((31, 31)).A
    one, other = (
        Hierarchy.build((A * c).astype("f4"), shape=(31, 31)).solve(np.full(961, c, "f4"))
        for c in (1.0, scale)
    )
    assert one.message.endswith("rounding allows no less")
    assert other.message.endswith("rounding allows no less")
    np.testing.assert_allclose(other.x, one.x, atol=2e-5 * np.abs(one.x).max())


@pytest.mark.filterwarnings("error")
def test_an_empty_row_by_default():
    """It has no diagonal, and no residual."""
    A = poisson((15, 15)).A.tolil()
    A[5, :] = 0.0
    x = np.random.default_rng(0).standard_normal(225)
    solution = Hierarchy.build(sp.csr_array(A), shape=(15, 15)).solve(A @ x)
    assert solution.converged


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-300, 1e-60, 1e60, 1e100])
def test_a_cycle_in_single_precision_where_that_has_the_numbers(scale):
    """By default it was one of zeros, and the coarsest A singular."""
    problem = poisson((31, 31), weights=(scale, scale))
    expected = solve(poisson((31, 31))).x
    np.testing.assert_allclose(solve(problem).x, expected, atol=1e-6)
    assert Hierarchy.build(problem, dtype="auto").levels[0].operator.dtype == np.float64
    with pytest.raises(ValueError, match="of numbers from 1e-38 to 3e\\+38, A has entries"):
        Hierarchy.build(problem, dtype="float32")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_coefficients_whose_squares_are_no_numbers(scale):
    """The harmonic mean of two was 0, or infinite."""
    one, other = (
        poisson((7, 7), coefficient=lambda x, y, c=c: c * (1.0 + x * y)).A for c in (1.0, scale)
    )
    np.testing.assert_allclose(other.data / scale, one.data, rtol=1e-12)


def test_a_multiple_of_the_identity():
    """It has one eigenvalue b, and polynomials are those of [b/2, b]."""
    stencil = Stencil([(0, 0)], [2.0])
    problem = Problem.from_stencil(stencil, (15, 15))
    for of in (stencil, problem):
        np.testing.assert_allclose(derive("chebyshev", 1, of).roots, [1.5])
        assert smoothing_factor(of, "chebyshev", degree=1).factor == pytest.approx(1 / 3)
    assert solve(problem, b=np.ones(225)).x == pytest.approx(0.5)
