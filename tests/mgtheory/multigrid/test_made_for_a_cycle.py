"""A family that is made for a cycle, by its name: it is that of the cycle which it is used in."""

import numpy as np
import pytest

from mgtheory import Hierarchy, StencilHierarchy, derive, poisson, two_grid_factor
from mgtheory.smoothers import Polynomial

NAME = "two_grid_optimal"
PROBLEM = poisson((31, 31))
# a search ends where the factor gains no more than 3e-4 (`GAP`), and on another scale elsewhere
SAME = 1e-3


def used(build, level=0, **options):
    """The polynomial of a level."""
    return (
        build(PROBLEM, smoother=NAME, degree=2, coarsest=4, **options).levels[level].pre.polynomial
    )


@pytest.mark.parametrize(("pre", "post"), [(2, 1), (1, 2), (1, 0), (2, 2)])
def test_the_counts_of_the_smoothings_are_those_of_the_cycle(pre, post):
    """The optimum of V(1,1) is no better there, and with three smoothings or one a third worse."""
    counts = {"pre": pre, "post": post}
    expected = derive(NAME, 2, PROBLEM, **counts)
    factor, named, other = (
        two_grid_factor(PROBLEM, q, **counts, **degree).factor
        for q, degree in ((expected, {}), (NAME, {"degree": 2}), (derive(NAME, 2, PROBLEM), {}))
    )
    assert named == pytest.approx(factor, rel=1e-4)
    assert factor < (0.75 if pre + post in (1, 3) else 0.9) * other
    np.testing.assert_allclose(used(Hierarchy.build, **counts).roots, expected.roots, rtol=SAME)


@pytest.mark.parametrize("counts", [(2, 1), (1, 0)])
def test_the_matrix_free_cycle_has_the_same(counts):
    pre, post = counts
    options = {"pre": pre, "post": post, "coarsest": 64}
    expected = derive(NAME, 2, PROBLEM, pre=pre, post=post)
    histories = [
        build(PROBLEM, smoother=one, degree=degree, **options)
        .solve(PROBLEM.b, tol=0.0, maxiter=3)
        .residual_norms
        for build in (Hierarchy.build, StencilHierarchy.build)
        for one, degree in ((NAME, 2), (expected, None))
    ]
    for history in histories[1:]:
        np.testing.assert_allclose(history, histories[0], rtol=1e-2)


def test_only_the_sum_of_the_counts_matters():
    usual = used(Hierarchy.build)
    np.testing.assert_array_equal(used(Hierarchy.build, pre=2, post=0).roots, usual.roots)


def test_every_level_has_its_counts():
    """V(1,1) on the finest grid, V(2,1) below; the operators are multiples of one another."""
    counts = {"pre": [1, 2]}
    first, second = (used(Hierarchy.build, l, **counts) for l in (0, 1))
    usual, more = (used(Hierarchy.build, 1, pre=pre) for pre in (1, 2))
    np.testing.assert_allclose(first.roots, 4 * usual.roots, rtol=1e-12)
    np.testing.assert_allclose(second.roots, more.roots, rtol=1e-12)
    assert abs(more.roots / usual.roots - 1).max() > 0.02


def test_a_level_without_smoothing_has_none():
    built = Hierarchy.build(
        PROBLEM, smoother=NAME, degree=2, pre=lambda l: 1 - l % 2, post=0, coarsest=4
    )
    assert [level.pre is None for level in built.levels[:3]] == [False, True, False]


@pytest.mark.parametrize("restriction", ["half", "injection"])
def test_the_transfers_are_those_of_the_cycle(restriction):
    options = {"restriction": restriction}
    expected = derive(NAME, 2, PROBLEM, **options)
    named = two_grid_factor(PROBLEM, NAME, degree=2, **options).factor
    assert named == pytest.approx(two_grid_factor(PROBLEM, expected, **options).factor, rel=1e-4)
    assert named < 0.8 * two_grid_factor(PROBLEM, derive(NAME, 2, PROBLEM), **options).factor
    np.testing.assert_allclose(used(Hierarchy.build, **options).roots, expected.roots, rtol=SAME)


def test_an_interpolation_that_fourier_analysis_does_not_know_is_taken_as_linear():
    quintic = used(Hierarchy.build, interpolation="quintic").roots
    np.testing.assert_array_equal(quintic, used(Hierarchy.build).roots)
    assert abs(used(Hierarchy.build, interpolation="cubic").roots / quintic - 1).max() > 1e-3


def test_what_the_family_was_told_stays():
    """One count given by hand leaves the other at the family's own; of two smoothers neither knows
    how often it is applied."""
    given = Polynomial(NAME, 2, options={"pre": 2})
    assert dict(given.for_cycle(pre=1, post=3, restriction="half").options) == {
        "pre": 2,
        "restriction": "half",
    }
    told = Polynomial(NAME, 2, options={"restriction": "injection"})
    assert dict(told.for_cycle(restriction="half").options) == {"restriction": "injection"}
    assert Polynomial("chebyshev", 2).for_cycle(pre=2, post=2).options == ()
    with_other = used(Hierarchy.build, pre=2, post_smoother="jacobi")
    np.testing.assert_array_equal(with_other.roots, used(Hierarchy.build).roots)
    options = {"pre": 2, "post_smoother": "jacobi"}
    named = two_grid_factor(PROBLEM, NAME, degree=2, **options).factor
    usual = two_grid_factor(PROBLEM, derive(NAME, 2, PROBLEM), **options).factor
    assert named == pytest.approx(usual, rel=1e-4)


def test_the_two_grid_optimum_by_name_is_that_of_the_galerkin_cycle():
    """Of a matrix and where R A P is asked for: the optimum of the rediscretised cycle is there a
    third worse than Chebyshev's polynomial."""
    problem = PROBLEM
    expected = derive(NAME, 2, problem, coarsening="galerkin")
    assert (
        two_grid_factor(problem, expected, coarsening="galerkin").factor
        < two_grid_factor(problem, "chebyshev", degree=2, coarsening="galerkin").factor
        < two_grid_factor(problem, derive(NAME, 2, problem), coarsening="galerkin").factor
    )
    matrix = Hierarchy.build(problem.A, shape=(31, 31), smoother=NAME, degree=2)
    asked, rising = (
        Hierarchy.build(problem, smoother=NAME, degree=d, coarsening="galerkin")
        for d in (2, [2, 3])
    )
    found = [one.levels[0].pre.polynomial for one in (matrix, asked, rising)]
    options = {"coarsening": "galerkin"}
    named = two_grid_factor(problem, NAME, degree=2, **options).factor
    assert named == pytest.approx(two_grid_factor(problem, expected, **options).factor, rel=1e-4)
    for q in (*found, derive(NAME, 2, matrix.levels[0])):
        np.testing.assert_allclose(q.roots, expected.roots, rtol=SAME)
    assert rising.levels[1].pre.polynomial.degree == 3
    histories = [
        StencilHierarchy.build(problem, smoother=one, degree=degree, coarsest=64, **options)
        .solve(problem.b, tol=0.0, maxiter=3)
        .residual_norms
        for one, degree in ((NAME, 2), (expected, None))
    ]
    np.testing.assert_allclose(*histories, rtol=1e-2)
