"""Coarse operators of Fourier analysis: on which axes, and of which order in h."""

import numpy as np
import pytest

from mgtheory.fourier import (
    cycle_factor,
    smoothing_factor,
    three_grid_factor,
    two_grid_factor,
)
from mgtheory.fourier.coarsening import differential_orders
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.polynomials.classical import chebyshev
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import (
    Stencil,
    anisotropic,
    laplacian,
    mehrstellen,
    multilinear,
    rotated_anisotropic,
)
from mgtheory.problems.transfers import INTERPOLATIONS, RESTRICTIONS
from mgtheory.verification import verify

EXACT = 1e-11  # a supremum found by refinement is quadratic in the distance to its place
L2 = laplacian(2)


class TestAxes:
    """Coarsened are the strongly coupled axes, as the solver does."""

    def test_high_is_high_on_a_coarsened_axis(self):
        """-u_xx - e u_yy coarsened in x: with h = 1 the high frequencies fill [2, 4 + 4e]."""
        e = 0.01
        problem = create("anisotropic2d", 15)
        q = chebyshev(3, interval=(2 * 256, (4 + 4 * e) * 256))
        found = smoothing_factor(problem, q)
        b_over_a = 2 + 2 * e
        t3 = np.cosh(3 * np.arccosh((b_over_a + 1) / (b_over_a - 1)))
        assert found.factor == pytest.approx(1 / t3, abs=EXACT)
        np.testing.assert_array_equal(found.high, np.abs(found.frequencies[..., 0]) >= np.pi / 2)
        assert smoothing_factor(problem, "chebyshev", degree=3).factor == pytest.approx(
            1 / t3, abs=EXACT
        )
        assert smoothing_factor(problem, q, axes="all").factor > 0.9
        assert smoothing_factor(problem, q, axes=[0]).factor == found.factor

    def test_red_black_removes_what_is_low_on_the_coarsened_axis(self):
        """For e -> 0 the lines in x are decoupled, and red-black is that of one dimension."""
        line = smoothing_factor(laplacian(1), "red_black", steps=2).factor
        for e in (1e-3, 1e-6):
            weak = smoothing_factor(anisotropic((1, e)), "red_black", steps=2).factor
            assert weak == pytest.approx(line, abs=5 * e)
        assert smoothing_factor(anisotropic((1, 1e-6)), "red_black", axes="all").factor > 0.9

    @pytest.mark.parametrize("smoother", ["jacobi", "red_black", "gauss_seidel"])
    def test_no_coupling_across_is_one_dimension(self, smoother):
        for levels in (2, 3):
            weak = cycle_factor(LocalCycle(anisotropic((1e-9, 1)), smoother, levels=levels))
            line = cycle_factor(LocalCycle(laplacian(1), smoother, levels=levels))
            assert weak.factor == pytest.approx(line.factor, abs=1e-6)  # red-black: nilpotent

    def test_anisotropic_problems_converge_with_the_axes_of_the_solver(self):
        problem = create("anisotropic2d", 63)
        families = {
            name: two_grid_factor(problem, name, degree=3).factor
            for name in ("two_grid_optimal", "richardson", "chebyshev", "chebyshev4")
        }
        assert families["chebyshev"] == pytest.approx(0.0401, abs=5e-5)
        assert min(families, key=families.get) == "two_grid_optimal"
        assert three_grid_factor(problem, "chebyshev", degree=3).factor == pytest.approx(
            0.0534, abs=5e-5
        )
        assert two_grid_factor(problem, "chebyshev", degree=3, axes="all").factor > 0.8

    def test_transfers_are_those_of_the_coarsened_axes(self):
        assert RESTRICTIONS["full"](2, (1,)).to_array().tolist() == [[0.25, 0.5, 0.25]]
        assert RESTRICTIONS["half"](2, (0,)).to_array().tolist() == [[0.25], [0.5], [0.25]]
        assert RESTRICTIONS["half"](2, (0, 1)).to_array()[1].tolist() == [0.125, 0.5, 0.125]
        assert INTERPOLATIONS["linear"](3, (2,)).to_array().tolist() == [[[0.5, 1.0, 0.5]]]
        assert INTERPOLATIONS["cubic"](1, (0,)).to_array().sum() == 2.0

    def test_a_coarse_operator_knows_its_mesh_widths(self):
        """Coarsened in x alone; of a problem by its scheme, of a stencil along single axes."""
        for name, n in (("anisotropic2d", 15), ("poisson2d-9point", (31, 7))):
            problem = create(name, n)
            cycle = LocalCycle(problem, "jacobi")
            assert cycle.coarsened == ((0,),)
            coarse = create(name, ((problem.shape[0] - 1) // 2, problem.shape[1])).stencil
            np.testing.assert_allclose(
                cycle.stencils[1].to_array(), coarse.to_array(), rtol=1e-12, atol=1e-9
            )
        alone = LocalCycle(create("anisotropic2d", 15).stencil, "jacobi")
        np.testing.assert_allclose(
            alone.stencils[1].to_array(),
            LocalCycle(create("anisotropic2d", 15), "jacobi").stencils[1].to_array(),
            rtol=1e-12,
        )
        compact = create("poisson2d-9point", (31, 7)).stencil
        assert LocalCycle(compact, "jacobi").coarsening == "galerkin"
        with pytest.raises(ValueError, match="no sum of differences along single axes"):
            LocalCycle(compact, "jacobi", coarsening="rediscretise")


class TestOrders:
    """Only a stencil of one order says what it is on a coarser grid."""

    upwind = L2 + 3 * Stencil(((0, 0), (-1, 0)), np.array([1.0, -1.0]))

    def test_of_one_order(self):
        cases = [
            (L2, (2,)),
            (mehrstellen(2), (2,)),
            (multilinear(3), (2,)),
            (rotated_anisotropic(), (2,)),
            (L2 @ L2, (4,)),
            (Stencil(((1,), (-1,)), np.array([0.5, -0.5])), (1,)),
            (Stencil(((0, 0),), np.ones(1)), (0,)),
            (L2 + Stencil(((0, 0),), np.ones(1)), (0, 2)),
            (self.upwind, (1, 2)),
            (Stencil(((0,), (-1,)), np.array([1.0, -1.0])), (1, 2)),
        ]
        for stencil, orders in cases:
            assert differential_orders(stencil) == orders
            assert differential_orders(1e7 / 3 * stencil) == orders

    @pytest.mark.parametrize("smoother", ["jacobi", "gauss_seidel", "red_black"])
    def test_first_order_terms_take_the_galerkin_operator(self, smoother):
        cycle = LocalCycle(self.upwind, smoother)
        assert cycle.coarsening == "galerkin"
        assert cycle_factor(cycle).factor < 0.7
        found = verify(cycle, (32, 32), rng=np.random.default_rng(0), cycles=400)
        assert found.difference < 0.01

    def test_terms_of_two_orders_are_refused(self):
        with pytest.raises(ValueError, match="the orders 1 and 2, which scale differently with h"):
            two_grid_factor(self.upwind, "jacobi", coarsening="rediscretise")
        # asked for by an order: the coarse operator is not that of the equation
        wrong = two_grid_factor(self.upwind, "jacobi", coarsening="rediscretise", order=2)
        assert wrong.factor > 0.9

    def test_the_own_order_of_a_stencil(self):
        for stencil, power in ((L2, 2), (L2 @ L2, 4)):
            cycle = LocalCycle(stencil, "jacobi", coarsening="rediscretise", levels=3)
            for level, coarse in enumerate(cycle.stencils):
                np.testing.assert_allclose(
                    coarse.to_array() * 2.0 ** (power * level), stencil.to_array(), rtol=1e-14
                )


@pytest.mark.parametrize("rule", ["galerkin", "rediscretise"])
def test_a_problem_and_its_stencil_are_coarsened_alike_where_the_rule_is_named(rule):
    """By default a problem follows its solver, which has no coarser twin of a mixed derivative."""
    problem = Problem.from_stencil(rotated_anisotropic(0.1, 0.6), (31, 31))
    of_problem, of_stencil = (
        two_grid_factor(given, "jacobi", coarsening=rule).factor
        for given in (problem, problem.stencil)
    )
    assert of_problem == pytest.approx(of_stencil, abs=EXACT)
    assert (of_problem < 0.55) == (rule == "galerkin")
    assert LocalCycle(problem, "jacobi").coarsening == "galerkin"
    assert "galerkin" in str(Hierarchy.build(problem))


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
def test_what_the_refusal_of_a_matrix_names_is_the_cycle_of_its_hierarchy(boundary):
    """On cells the factor is half of that on points, and rediscretised ones are larger by half."""
    n = (31, 31) if boundary == "dirichlet" else (32, 32)
    A = poisson(n, boundary=boundary).A
    with pytest.raises(ValueError, match=r"got csr_array; of a matrix take") as caught:
        two_grid_factor(A, "chebyshev", degree=2)
    named = str(caught.value).partition("of a matrix take ")[2].partition(" with ")[0]
    assert named.endswith(", n, boundary=...)")
    named = named.replace("shape=n", "shape=n, boundary=boundary").replace("...", "boundary")
    of = eval(named, {"Problem": Problem, "Hierarchy": Hierarchy, **locals()})
    factor = two_grid_factor(of, "chebyshev", degree=2, coarsening="galerkin").factor
    two = Hierarchy.build(A, shape=n, boundary=boundary, smoother="chebyshev", max_levels=2)
    x0 = np.random.default_rng(0).standard_normal(A.shape[0])
    norms = two.solve(np.zeros_like(x0), x0, tol=1e-40, maxiter=30).residual_norms
    assert 0.95 * factor < norms[-1] / norms[-2] < factor
