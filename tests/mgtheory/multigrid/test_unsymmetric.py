"""Matrices that are not symmetric: what smooths them by default, and what warns of them."""

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory import (
    Hierarchy,
    derive,
    poisson,
)
from mgtheory.problems import create


def test_real_intervals_and_nonsymmetric_matrices():
    A = poisson((15, 15)).A
    difference = sp.diags_array([1.0, -1.0], offsets=[0, -1], shape=(15, 15))
    upwind = sp.csr_array(A + 30000 * sp.kron(sp.eye_array(15), difference))
    for matrix, smoother, count in (
        (upwind, "chebyshev4", 1),
        (upwind, "harmonic_ritz", 0),
        (A, "chebyshev4", 0),
    ):
        warnings = Hierarchy.build(matrix, shape=(15, 15), smoother=smoother).warnings
        assert len(warnings) == count
        assert all("not symmetric" in text for text in warnings)


@pytest.mark.parametrize("coarsening", ["rediscretise", "galerkin"])
@pytest.mark.parametrize(("n", "boundary"), [(31, "dirichlet"), (16, "periodic")])
def test_by_default_a_wind_of_any_strength_is_smoothed_by_what_takes_it(coarsening, n, boundary):
    """Chebyshev on an interval stagnates from Peclet 1e4 on."""
    for peclet, angle in ((1, 30), (1e6, 200)):
        problem = create("convection2d", n, peclet=peclet, angle=angle, boundary=boundary)
        hierarchy = Hierarchy.build(problem, coarsening=coarsening, dtype="auto")
        labels = [level.pre.label for level in hierarchy.levels[:-1]]
        assert labels == [f"harmonic_ritz({min(3 + i, 6)})" for i in range(len(labels))]
        assert not hierarchy.warnings
        for cycle in ("V", "W"):
            assert hierarchy.solve(problem.b, cycle=cycle, maxiter=25).converged


def test_the_default_of_matrices_that_are_not_symmetric():
    """A degree of one's own, few unknowns, rows with scales of their own, and complex entries,
    which leave Chebyshev with its warning."""
    upwind = create("convection2d", 15, peclet=1e4).A
    (level, _) = Hierarchy.build(upwind, shape=(15, 15), degree=2).levels
    assert level.post.label == "harmonic_ritz(2)"
    lines = sp.diags_array([-1.0, 201.0, -200.0], offsets=[-1, 0, 1], shape=(9, 9))
    small = Hierarchy.build(lines, shape=(9,), degree=5, coarsest=2)
    assert [level.pre.label for level in small.levels[:-1]] == [
        "harmonic_ritz(5)",
        "harmonic_ritz(4)",  # of 4 unknowns
    ]
    assert small.solve(np.ones(9)).converged
    rows = np.exp(3.0 * np.random.default_rng(0).standard_normal(225))
    scaled = Hierarchy.build(sp.csr_array(rows[:, None] * poisson((15, 15)).A), shape=(15, 15))
    assert scaled.levels[0].pre.label == "chebyshev(2)"
    turned = Hierarchy.build(upwind + 3j * sp.eye_array(225), shape=(15, 15))
    assert turned.levels[0].pre.label == "chebyshev(2)"
    assert "not symmetric" in turned.warnings[0]
    assert "harmonic_ritz" not in turned.warnings[0]  # which takes real ones
    assert "of a complex A bounded takes its largest eigenvalue" in turned.warnings[0]
    bounded = Hierarchy.build(turned.given.A, shape=(15, 15), smoother="bounded", degree=3)
    assert not bounded.warnings
    assert bounded.solve(np.ones(225)).converged


def test_where_a_strong_wind_stops_chebyshev_its_warning_names_what_converges():
    """Angle and Peclet number at which Chebyshev on an interval amplifies on the second grid."""
    problem = create("convection2d:peclet=1e5,angle=30", n=63)
    interval = {"smoother": "chebyshev", "degree": (2, 3, 4, 5, 6)}
    stopped = Hierarchy.build(problem, **interval).solve(problem.b, tol=1e-8)
    assert not stopped.converged
    first, second = stopped.warnings
    assert "harmonic_ritz of degree 3 takes any" in first
    assert second.startswith("level 1")
    assert second.endswith("A is not symmetric")
    for angle in (0, 30, 200):
        problem = create(f"convection2d:peclet=1e5,angle={angle}", n=63)
        hierarchy = Hierarchy.build(problem, smoother="harmonic_ritz", degree=3)
        assert not hierarchy.warnings
        assert hierarchy.solve(problem.b, tol=1e-8, maxiter=20).converged


def test_a_derived_polynomial_without_its_name_is_warned_of_an_unsymmetric_matrix():
    problem = create("poisson2d", n=15)
    shear = sp.diags_array(np.linspace(0.5, 1.5, 15))  # without it the wind has a potential
    wind = sp.kron(sp.diags_array([-300.0, 300.0], offsets=[-1, 0], shape=(15, 15)), shear)
    q = derive("chebyshev4", 2, problem).polynomial
    stronger = derive("chebyshev4", 2, problem.stencil * 1.35).polynomial
    for given in (stronger, "chebyshev4"):
        built = Hierarchy.build(sp.csr_array(problem.A + wind), shape=(15, 15), smoother=given)
        assert any("A is not symmetric" in text for text in built.warnings)
    assert not any("symmetric" in w for w in Hierarchy.build(problem, smoother=q).warnings)


@pytest.mark.parametrize("scaling", ["identity", "diagonal"])
def test_what_was_derived_from_a_bare_matrix_that_is_not_symmetric_serves_it(scaling):
    """Its spectrum was found by Arnoldi; Gershgorin's bound of the level lies 1.14 times as far.
    What was derived for an A of which that is 0.8 is refused all the same."""
    A = sp.csr_array(create("convection2d", 15).A)
    start = derive("harmonic_ritz", 3, A, scaling=scaling)
    assert start.operator.found.startswith("Arnoldi")
    found = Hierarchy.build(A, shape=(15, 15), smoother=start)
    np.testing.assert_array_equal(found.levels[0].pre.polynomial.roots, start.roots)
    assert found.solve(np.ones(A.shape[0])).converged
    with pytest.raises(ValueError, match="beyond its spectrum it amplifies"):
        Hierarchy.build(1.25 * A, shape=(15, 15), smoother=derive("harmonic_ritz", 3, A))


def wind(n, peclet, *, central):
    """-u_xx - u_yy + peclet u_x on n x n points, by central or by upwind differences."""
    first = [-0.5, 0.0, 0.5] if central else [-1.0, 1.0, 0.0]
    line = sp.diags_array(first, offsets=[-1, 0, 1], shape=(n, n))
    return sp.csr_array(poisson((n, n)).A + peclet * (n + 1) * sp.kron(line, sp.eye_array(n)))


@pytest.mark.parametrize("n", [31, 32])
def test_where_cycles_fail_of_central_differences_it_is_said(n):
    """From a cell Peclet number of 2 on one coupling is positive."""
    b = np.random.default_rng(0).standard_normal(n * n)
    words = "opposite signs to both sides, as central differences of a wind"
    for peclet, central, fails in ((n, True, False), (30 * n, True, True), (1e6, False, False)):
        found = Hierarchy.build(wind(n, peclet, central=central), shape=(n, n)).solve(b)
        assert found.converged != fails
        assert (words in found.message) == fails


@pytest.mark.parametrize("peclet", [100, 1000, 1e4])
def test_coarse_grids_of_even_sizes_take_sweeps(peclet):
    """Along the wind; on coarse operators of linear interpolation they diverged."""
    A = sp.csr_array(wind(64, peclet, central=False))
    b = A @ np.random.default_rng(0).standard_normal(64**2)
    found = Hierarchy.build(A, shape=(64, 64), smoother="gauss_seidel").solve(b)
    assert found.converged
    assert found.iterations <= 12
