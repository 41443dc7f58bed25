"""Indefinite and negative definite operators, and what their owners are told."""

import re

import numpy as np
import pytest
import scipy.sparse as sp

import mgtheory
from mgtheory import derive
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.record import operator_record
from mgtheory.problems.stencils import Stencil, laplacian
from mgtheory.smoothers import Polynomial


@pytest.mark.parametrize("family", ["chebyshev4", "chebyshev", "mls"])
def test_a_negative_definite_stencil_is_refused_like_its_matrix(family):
    stencil = poisson((15, 15)).stencil
    assert (derive(family, 4, stencil).roots.real > 0).all()
    with pytest.raises(ValueError, match="negative definite A must change its sign"):
        derive(family, 4, -1.0 * stencil)


def helmholtz(k2, sign=1.0, n=63):
    laplacian = poisson((n, n)).stencil
    return mgtheory.Problem.from_stencil(
        sign * (laplacian - mgtheory.Stencil([(0, 0)], [k2])), (n, n), name="helmholtz"
    )


def test_helmholtz_is_not_told_to_change_its_sign():
    """-Laplace - k^2 with sqrt(2) k h > 2 is indefinite on the high frequencies of a level; with
    k h > sqrt(8) negative definite."""
    h = 1 / 64
    for k2, level, way in (
        (1000.0, 2, "solve directly with max_levels=1, or try max_levels=2 with krylov gmres"),
        (5000.0, 1, "solve directly with max_levels=1$"),
        (7000.0, 1, "solve directly with max_levels=1$"),  # most of level 1 is negative
        (2.5 / h**2, 0, "take a finer grid"),
    ):
        problem = helmholtz(k2)
        for build in (mgtheory.Hierarchy.build, mgtheory.StencilHierarchy.build):
            with pytest.raises(
                ValueError, match=rf"^level {level}: .* indefinite.*{way}"
            ) as refusal:
                build(problem, smoother="chebyshev4", coarsest=9)
            assert "sign" not in str(refusal.value)
        if level:
            assert mgtheory.solve(problem, max_levels=1).iterations == 1
            assert derive("chebyshev4", 2, problem).interval[1] == pytest.approx(8 / h**2 - k2)
        else:
            for of in (problem, problem.stencil):
                with pytest.raises(ValueError, match=rf"indefinite there, .*{way}"):
                    derive("chebyshev4", 2, of)


def test_a_helmholtz_problem_that_is_refused_is_solved_as_the_refusal_says():
    """With 13 points a wave: two grids, whose cycles alone diverge, under gmres."""
    problem = helmholtz(1000.0)
    with pytest.raises(ValueError, match="try max_levels=2 with krylov gmres"):
        mgtheory.solve(problem)
    found = mgtheory.solve(problem, max_levels=2, krylov="gmres")
    assert found.converged
    x = np.linalg.solve(problem.A.toarray(), problem.b)
    np.testing.assert_allclose(found.x, x, atol=1e-6 * np.abs(x).max())
    assert not mgtheory.solve(problem, max_levels=2).converged
    with pytest.raises(ValueError, match=r"minres: the cycle is no positive .*take krylov gmres"):
        mgtheory.solve(problem, max_levels=2, krylov="minres")


@pytest.mark.parametrize("family", ["chebyshev", "chebyshev4", "minimax"])
def test_a_negative_definite_operator_is_told_to(family):
    problem = helmholtz(100.0, sign=-1.0)
    for of in (problem, problem.stencil, -laplacian(2)):
        with pytest.raises(ValueError, match="a negative definite A must change its sign"):
            derive(family, 2, of)


def test_an_indefinite_stencil_that_is_negative_for_the_most_part_is_told_to():
    """The high frequencies of the Laplacian lie in [2, 8]."""
    unit = Stencil(((0, 0),), [1.0])
    for of in (3 * unit - laplacian(2), 4.5 * unit - laplacian(2)):
        with pytest.raises(ValueError, match="most of A is negative: change its sign first"):
            derive("chebyshev4", 2, of)
    with pytest.raises(ValueError, match="A is indefinite there"):
        derive("chebyshev4", 2, laplacian(2) - 3 * unit)


def test_an_indefinite_matrix_is_no_positive_one():
    """Up to its largest eigenvalue alone, q would amplify all that is below zero."""
    problem = helmholtz(200.0, n=15)
    for A in (problem.A, -problem.A):
        with pytest.raises(ValueError, match=r"cannot be derived .*symmetric positive matrix"):
            derive("chebyshev4", 2, A)
        record = operator_record(A)
        assert not record.positive
        assert record.upper >= np.abs(np.linalg.eigvalsh(A.toarray())).max()
    assert operator_record(create("poisson2d", n=15, boundary="neumann").A).positive


@pytest.mark.parametrize("angle", [0.5, np.pi / 2, 2.0, np.pi])
def test_a_complex_multiple_has_the_cycle_of_its_matrix(angle):
    """Of D^-1 A, which is the same: polynomials of A itself diverged, from an angle of 1/2 on."""
    A = poisson((33, 33)).A.astype(complex)
    b = np.random.default_rng(0).standard_normal(A.shape[0])
    c, plain = np.exp(1j * angle), Polynomial("chebyshev", 2, scaling="diagonal")
    options = {"shape": (33, 33), "interpolation": "linear"}  # by entries that of a real A alone
    one = mgtheory.Hierarchy.build(A, smoother=plain, **options).solve(b)
    other = mgtheory.Hierarchy.build(c * A, smoother="chebyshev", **options).solve(c * b)
    np.testing.assert_allclose(other.residual_norms, one.residual_norms, rtol=1e-5)
    np.testing.assert_allclose(other.x, one.x, atol=1e-9 * np.abs(one.x).max())


@pytest.mark.parametrize(
    "A",
    [
        -create("rotated2d", 33).A,
        1000j * sp.eye_array(33**2) - poisson((33, 33)).A,
        1e4j * sp.eye_array(33**2) + poisson((33, 33)).A,
    ],
)
def test_other_diagonals_that_are_not_positive(A):
    """A mixed derivative of the wrong sign, and absorption: all diverged."""
    rng = np.random.default_rng(0)
    hierarchy = mgtheory.Hierarchy.build(sp.csr_array(A), shape=(33, 33))
    found = hierarchy.solve(A @ rng.standard_normal(A.shape[0]))
    assert found.converged
    assert found.factor < 0.4


def test_absorption_is_no_rounding():
    """A that is its own transpose was told that it is nearly Hermitian."""
    A = poisson((15, 15)).A
    complex_ = sp.csr_array(A + 1e-3j * A.max() * sp.eye_array(225))
    (said,) = mgtheory.Hierarchy.build(complex_, shape=(15, 15)).warnings
    assert said.startswith("level 0: A is not symmetric")
    skew = sp.csr_array(A + 1e-3j * A.max() * sp.eye_array(225, k=15))
    words = "A and its conjugate transpose differ by up to .*A\\^H"
    assert re.search(words, mgtheory.Hierarchy.build(skew, shape=(15, 15)).warnings[0])
