"""A stencil of one's own as an equation: on other grids, beside boundaries, and its right-hand
side."""

import numpy as np
import pytest
import scipy.sparse.linalg as sla

from mgtheory import Hierarchy, StencilHierarchy
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.grids import Boundary
from mgtheory.problems.problem import Problem
from mgtheory.spectra.record import proportional


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_a_right_hand_side_of_a_singular_stencil_loses_its_mean(boundary):
    """Also the f = 1 that stands where none is given: nothing is left of it."""
    laplace = poisson((6, 6), boundary=boundary).stencil
    b = np.random.default_rng(0).uniform(1, 2, 36)
    problem = Problem.from_stencil(laplace, (6, 6), boundary=boundary, b=b)
    np.testing.assert_allclose(problem.b, b - b.mean(), atol=1e-14)
    assert not Problem.from_stencil(laplace, (6, 6), boundary=boundary).b.any()


def test_a_right_hand_side_of_ones_own_is_a_copy():
    b = np.arange(5.0)
    problem = Problem.from_stencil([-1.0, 2.0, -1.0], 5, b=b)
    b[:] = 7.0
    np.testing.assert_array_equal(problem.b, np.arange(5.0))
    problem.b[:] = 8.0
    np.testing.assert_array_equal(problem.equation.load((5,)), np.arange(5.0))


def test_a_stencil_of_ones_own_is_the_problem_it_comes_from():
    """Rediscretised as the schemes are: the 9-point scheme's K_x K_y grows with h^2."""
    for name, shape in (("poisson2d", (15, 31)), ("poisson2d-9point", (15, 15)), ("poisson1d", 9)):
        for boundary in Boundary:
            model = create(name, shape, boundary=boundary)
            own = Problem.from_stencil(model.stencil, model.shape, boundary=boundary, b=model.b)
            half = tuple(n // 2 for n in model.shape)
            for sizes in (model.shape, half):
                A, B = (p.equation.operator(sizes).toarray() for p in (model, own))
                np.testing.assert_allclose(B, A, atol=1e-9 * np.abs(A).max())
            np.testing.assert_allclose(own.b, model.b, atol=1e-12 * np.abs(model.b).max())
            assert (own.nullspace is None) == (model.nullspace is None)
            assert proportional(own.form, model.form)


def test_both_hierarchies_solve_a_stencil_of_ones_own():
    """With a mass term; an odd one by the Galerkin product."""
    h = 1 / 64
    kernel = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]) / h**2
    kernel[1, 1] += 50.0
    problem = Problem.from_stencil(kernel, (63, 63))
    x = sla.spsolve(problem.A.tocsc(), problem.b)
    for kind in (Hierarchy, StencilHierarchy):
        solution = kind.build(problem, coarsest=64).solve(problem.b, tol=1e-10)
        assert solution.converged
        assert solution.iterations <= 12
        np.testing.assert_allclose(solution.x, x, atol=1e-8 * np.abs(x).max())
    # the mass term stays what it is on coarse grids
    coarse = problem.equation.operator((31, 31))
    assert coarse.diagonal()[0] == pytest.approx(4 * 32**2 + 50)
    flow = Problem.from_stencil(kernel + np.array([[0, 0, 0], [-9, 9, 0], [0, 0, 0]]), (31, 31))
    assert Hierarchy.build(flow, smoother="gauss_seidel").solve(flow.b).converged
    with pytest.raises(ValueError, match="coarsening='galerkin'"):
        Hierarchy.build(flow, coarsening="rediscretise")
    periodic = Problem.from_stencil(kernel, (16, 16), boundary="periodic")
    assert periodic.nullspace is None  # the mass term
    assert Hierarchy.build(periodic).solve(periodic.b).converged


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Problem.from_stencil([1.0, 2.0, 1.0], (3, 3)), "1 axes, the shape"),
        (lambda: Problem.from_stencil([-1.0, 2.0, -1.0], 5, b=np.ones(4)), "b has 4 entries"),
        (lambda: Problem.from_stencil([-1.0, 2.0, 0], 5, boundary="neumann"), "even along"),
        (lambda: Problem.from_stencil([-1j, 2.0, 1j], 5), "real and of one channel"),
        (
            lambda: Problem.from_stencil([-1.0, 2.0, -1.0], 5, b=1j * np.ones(5)),
            "b is type complex",
        ),
        (lambda: Problem.from_stencil([-1.0, 2.0, -1.0], 5, b="1 1 1"), "b is a str, must be real"),
        (lambda: Problem.from_stencil([-1.0, 2.0, -1.0], 2, b=[1, np.nan]), "b has entries .* nan"),
    ],
)
def test_stencils_that_do_not_fit(call, words):
    with pytest.raises(ValueError, match=words):
        call()
