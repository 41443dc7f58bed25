"""What makes a cycle diverge is named, before its error has grown and after: a polynomial that
amplifies part of the spectrum."""

import numpy as np
import pytest

from mgtheory import derive
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.solution import Reason
from mgtheory.polynomials.classical import chebyshev
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import poisson


@pytest.mark.parametrize("scale", [0.7, 0.3])
def test_lmax_too_small_is_noticed(scale):
    """A polynomial for a spectrum that ends too early: the run diverges, and the smoother is named
    as the cause."""
    problem = poisson((31, 31))
    a, b = problem.smoothing_interval()
    solution = Hierarchy.build(
        problem, smoother=chebyshev(2, interval=(scale * a, scale * b))
    ).solve(problem.b)
    assert solution.reason is Reason.DIVERGED
    assert any(
        "level 0" in warning and "lmax (or interval) is too small" in warning
        for warning in solution.warnings
    )
    assert solution.warnings[0] in solution.message
    assert Hierarchy.build(problem).solve(problem.b).warnings == ()


@pytest.mark.parametrize(("coefficient", "largest"), [(None, 1.02), (lambda x, y: 1.0 + x, 1.1)])
def test_amplified_high_frequencies_are_said_before_they_grow(coefficient, largest):
    """|q| > 1 at the upper end of the spectrum: a short run converges at better than 0.9 per cycle,
    and is warned all the same.

    The end is known with constant coefficients; a Ritz value stands for it else, which is a few per
    cent inside.
    """
    problem = poisson((31, 31), coefficient=coefficient)
    reference = Hierarchy.build(problem).levels[0]
    # of BA, B the inverse diagonal
    end = np.linalg.eigvalsh(problem.A.toarray())[-1] if coefficient is None else 2.0
    solutions = []
    for value in (largest, 0.97):
        hierarchy = Hierarchy.build(
            problem, smoother=ResidualPolynomial([end / (1.0 + value)]), max_levels=2
        )
        solutions.append(hierarchy.solve(problem.b, tol=1e-2))
        assert hierarchy.warnings == solutions[-1].warnings
    assert reference.smoothing_interval(reference.inverse_diagonal("auto"))[1] == pytest.approx(
        end, rel=0.01
    )
    assert [s.reason for s in solutions] == [Reason.CONVERGED] * 2
    assert len(solutions[0].warnings) == 1
    assert (
        "level 0: the polynomial smoother multiplies high frequencies by up to 1.0"
        in solutions[0].message
    )
    assert solutions[1].warnings == ()


def test_growth_of_low_frequencies_is_no_amplification():
    """q that rises to 1.004 near 0, where the coarse grid corrects, and stays below 0.54 on the
    high frequencies: nothing to warn of."""
    problem = poisson((31, 31))
    b = problem.smoothing_interval().b
    q = ResidualPolynomial(np.array([-0.2, 0.5, 0.7, 0.95]) * b)
    assert q.q(0.02 * b) > 1.003
    solution = Hierarchy.build(problem, smoother=q).solve(problem.b)
    assert solution.converged
    assert solution.warnings == ()


@pytest.mark.parametrize("derived_before", [True, False])
def test_a_polynomial_that_amplifies_by_itself_is_no_matter_of_lmax(derived_before):
    """`bounded` of degree 1 has q(b) = 1 - 7, wherever the spectrum ends."""
    problem = poisson((31, 31))
    given = derive("bounded", 1, problem) if derived_before else "bounded"
    degree = None if derived_before else 1
    solution = Hierarchy.build(problem, smoother=given, degree=degree).solve(problem.b)
    assert solution.reason is Reason.DIVERGED
    assert "on the very spectrum that it was derived for" in solution.message
    assert "too small" not in solution.message


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("degree", [4, 12])
def test_overflow_is_divergence(degree):
    """By the smoother, however large x has become: A is not singular."""
    problem = poisson((31, 31))
    smoother = chebyshev(degree, interval=(1e-3, 1e-2))
    solution = Hierarchy.build(problem, smoother=smoother).solve(problem.b)
    assert solution.reason is Reason.DIVERGED
    assert "its lmax (or interval) is too small" in solution.message
    assert "singular" not in solution.message
