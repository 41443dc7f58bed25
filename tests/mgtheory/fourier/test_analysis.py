"""Smoothing, two-grid and three-grid factors: published values, dense twins, limits and
refusals."""

import itertools

import numpy as np
import pytest

from mgtheory.derive import derive
from mgtheory.fourier.analysis import (
    cycle_factor,
    smoothing_factor,
    spectral_norm,
    three_grid_factor,
    two_grid_factor,
)
from mgtheory.fourier.coarsening import differential_orders
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.fourier.relaxation import described, on_level, step_symbols
from mgtheory.fourier.supremum import grid_peaks, quadratic_steps, search, supremum
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.polynomials.classical import chebyshev, chebyshev4
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import (
    STENCILS,
    Stencil,
    anisotropic,
    laplacian,
    mehrstellen,
    multilinear,
    named,
    rotated_anisotropic,
)
from mgtheory.problems.symbols import grid_frequencies, spectral_radius
from mgtheory.problems.transfers import INTERPOLATIONS, RESTRICTIONS
from mgtheory.smoothers import SMOOTHERS, GaussSeidel, Jacobi, Polynomial
from mgtheory.verification import PeriodicCycle, verify

EXACT = 1e-11  # a supremum found by refinement is quadratic in the distance to its place
LIMIT = 1e-8  # theta -> 0 is taken at 1e-5, to about its square
L2 = laplacian(2)


class TestSmoothing:
    @pytest.mark.parametrize(
        ("smoother", "expected"),
        [
            (Jacobi(0.8), 0.6),
            ("gauss_seidel", 0.5),
            (GaussSeidel(backward=True), 0.5),
            ("red_black", 0.25),
            (chebyshev(1, interval=(2, 8)), 3 / 5),
            (chebyshev(2, interval=(2, 8)), 9 / 41),
            (chebyshev(3, interval=(2, 8)), 27 / 365),
            (chebyshev4(1, lmax=8.0), 2 / 3),
            (chebyshev4(2, lmax=8.0), 1 / 4),
            (chebyshev4(3, lmax=8.0), (1 + 2 * np.sqrt(7)) / 27),  # 0.2330
            (ResidualPolynomial.from_weights([0.0]), 1.0),
        ],
    )
    def test_published_factors_of_the_5_point_laplacian(self, smoother, expected):
        assert smoothing_factor(L2, smoother).factor == pytest.approx(expected, abs=EXACT)

    @pytest.mark.parametrize("dim", [1, 2, 3])
    def test_jacobi_in_every_dimension(self, dim):
        # best weight 2d/(2d+1), factor (2d-1)/(2d+1)
        best = Jacobi(2 * dim / (2 * dim + 1))
        assert smoothing_factor(laplacian(dim), best).factor == pytest.approx(
            (2 * dim - 1) / (2 * dim + 1), abs=1e-14
        )

    def test_gauss_seidel_in_other_dimensions(self):
        assert smoothing_factor(laplacian(1), "gauss_seidel").factor == pytest.approx(
            5**-0.5, abs=EXACT
        )
        # Trottenberg, Oosterlee, Schueller 2001: 0.567 in 3D
        assert smoothing_factor(laplacian(3), "gauss_seidel").factor == pytest.approx(
            0.567, abs=5e-4
        )

    def test_red_black_needs_the_number_of_steps(self):
        # Stueben, Trottenberg 1982: ((2n-1)/(2n))^2 (2(2n-1))^(-1/n) per step where that exceeds
        # 1/4
        found = [smoothing_factor(L2, "red_black", steps=steps).factor for steps in (1, 2, 3, 4)]
        np.testing.assert_allclose(
            found, [0.25, 0.25, (5 / 6) ** 2 / 10 ** (1 / 3), (7 / 8) ** 2 / 14**0.25], atol=EXACT
        )

    def test_the_direction_of_a_sweep(self):
        # u(x) - u(x - 1): a sweep along the flow solves it, one against the flow only shifts the
        # error
        flow = Stencil(((0,), (-1,)), np.array([1.0, -1.0]))
        assert smoothing_factor(flow, GaussSeidel()).factor < 1e-14
        assert smoothing_factor(flow, GaussSeidel(backward=True)).factor == pytest.approx(
            1.0, abs=1e-14
        )

    def test_gauss_seidel_worst_frequency(self):
        found = smoothing_factor(L2, "gauss_seidel")
        np.testing.assert_allclose(
            np.sort(np.abs(found.frequency)), [np.arccos(0.8), np.pi / 2], atol=1e-5
        )

    def test_diagonal_scaling_is_jacobi(self):
        step = ResidualPolynomial.from_weights([0.8])
        for stencil in (L2, mehrstellen(2)):
            scaled = smoothing_factor(stencil, step, scaling="diagonal")
            np.testing.assert_allclose(
                scaled.damping, smoothing_factor(stencil, Jacobi(0.8)).damping, atol=1e-14
            )

    def test_damping_map_is_the_modulus_of_q(self):
        q = ResidualPolynomial(np.array([3 + 1j, 3 - 1j, 7.0]))
        found = smoothing_factor(L2, q, samples=16, refine=False)
        theta = found.frequencies
        expected = np.abs(q.q(4 - 2 * np.cos(theta[..., 0]) - 2 * np.cos(theta[..., 1])))
        np.testing.assert_allclose(found.damping, expected, atol=1e-13)
        assert found.damping[7, 7] == 1.0  # theta = 0
        assert found.factor == found.damping[found.high].max()
        assert found.high.sum() == 16 * 16 - 7 * 7

    def test_refinement_finds_what_samples_miss(self):
        q = ResidualPolynomial(np.array([2.1, 7.9]))  # largest inside, at t = 5
        assert (
            smoothing_factor(L2, q, samples=8, refine=False).factor
            < smoothing_factor(L2, q, samples=8).factor
        )
        assert smoothing_factor(L2, q, samples=8).factor == pytest.approx(abs(q.q(5.0)), abs=EXACT)

    def test_coupled_channels(self):
        # a rotation in the channels leaves the eigenvalues; a triangular coupling too, but not the
        # norm
        q = chebyshev(2, interval=(2, 8))
        turn = np.array([[0.6, -0.8], [0.8, 0.6]])
        rotated = Stencil(L2.offsets, np.einsum("pq,k,qr->kpr", turn, L2.values, turn.T))
        assert smoothing_factor(rotated, q).factor == pytest.approx(9 / 41, abs=1e-12)
        shear = Stencil(L2.offsets, L2.values[:, None, None] * np.array([[1.0, 0.5], [0.0, 1.0]]))
        found = smoothing_factor(shear, q, refine=False)
        # a double eigenvalue: square root of rounding
        assert found.factor == pytest.approx(9 / 41, abs=1e-6)
        assert found.norm > 0.3

    @pytest.mark.parametrize("name", STENCILS)
    @pytest.mark.parametrize("smoother", SMOOTHERS)
    def test_registered_smoothers_never_amplify_elliptic_operators(self, name, smoother):
        samples = {1: 32, 2: 16, 3: 8}[named(name).dim]
        assert 0 < smoothing_factor(named(name), smoother, samples=samples).factor < 1 + 1e-12


class TestTwoGrids:
    @pytest.mark.parametrize(
        ("restriction", "pre", "post", "expected"),
        [
            ("full", 1, 0, 1 / 4),
            ("full", 1, 1, 2 / 27),
            ("full", 2, 1, 27 / 512),
            ("half", 1, 0, 1 / 2),
            ("half", 1, 1, 1 / 8),
        ],
    )
    def test_published_red_black_factors(self, restriction, pre, post, expected):
        found = two_grid_factor(
            L2, "red_black", pre=pre, post=post, restriction=restriction, coarsening="rediscretise"
        )
        assert found.factor == pytest.approx(expected, abs=EXACT)

    @pytest.mark.parametrize("coarsening", ["galerkin", "rediscretise"])
    @pytest.mark.parametrize(("pre", "post"), [(1, 1), (2, 0), (0, 2)])
    def test_jacobi_and_sides(self, coarsening, pre, post):
        # the spectral radius depends on pre + post alone; the norm does not
        found = two_grid_factor(L2, Jacobi(0.8), pre=pre, post=post, coarsening=coarsening)
        assert found.factor == pytest.approx(0.36, abs=EXACT)

    @pytest.mark.parametrize(("pre", "expected"), [(1, 0.400), (2, 0.193), (3, 0.119)])
    def test_published_lexicographic_factors(self, pre, expected):
        found = two_grid_factor(L2, "gauss_seidel", pre=pre, post=0, coarsening="rediscretise")
        assert found.factor == pytest.approx(expected, abs=6e-4)

    def test_four_colours_are_gauss_seidel_for_compact_stencils(self):
        # every neighbour of a point has another colour: the two colours of red-black are not enough
        # for 9 points
        for coarsening in ("galerkin", "rediscretise"):
            two, four = (
                two_grid_factor(multilinear(2), name, coarsening=coarsening).factor
                for name in ("red_black", "multicolour")
            )
            assert four < 0.5 * two

    def test_one_dimension_can_be_exact(self):
        # red-black with linear interpolation is cyclic reduction; so is q with the roots 2 and 4
        # a nilpotent matrix: square root of rounding
        assert two_grid_factor(laplacian(1), "red_black", pre=1, post=0).factor < 1e-7
        assert (
            two_grid_factor(laplacian(1), ResidualPolynomial([2.0, 4.0]), pre=1, post=0).factor
            < 1e-7
        )
        assert two_grid_factor(laplacian(1), Jacobi(2 / 3), pre=1, post=0).factor == pytest.approx(
            1 / 3, abs=EXACT
        )

    def test_three_dimensions(self):
        assert two_grid_factor(laplacian(3), Jacobi(6 / 7), pre=1, post=1).factor == pytest.approx(
            (5 / 7) ** 2, abs=EXACT
        )

    def test_different_smoothers_before_and_after(self):
        first, second = chebyshev(2, interval=(2, 8)), chebyshev4(1, lmax=8.0)
        product = ResidualPolynomial(np.concatenate([first.roots, second.roots]))
        both = two_grid_factor(L2, first, post_smoother=second)
        assert both.factor == pytest.approx(
            two_grid_factor(L2, product, pre=1, post=0).factor, abs=1e-10
        )

    def test_galerkin_is_invariant_under_scaling(self):
        q = chebyshev(2, interval=(0.5, 2.0))
        found = two_grid_factor(L2 / 4, q, coarsening="galerkin").factor
        assert found == pytest.approx(
            two_grid_factor(L2, q.scaled(4), coarsening="galerkin").factor, abs=1e-12
        )

    def test_no_smoothing_leaves_the_oscillations(self):
        assert two_grid_factor(L2, "jacobi", pre=0, post=0).factor == pytest.approx(1.0, abs=LIMIT)

    def test_the_limit_at_zero_is_included(self):
        # Galerkin with half weighting is no projection: its factor 1/3 is reached only as theta ->
        # 0
        found = two_grid_factor(L2, "red_black", coarsening="galerkin", restriction="half")
        assert found.factor == pytest.approx(1 / 3, abs=LIMIT)
        assert found.frequency == (0.0, 0.0)
        assert two_grid_factor(L2, "jacobi", restriction="half").norm == np.inf

    def test_a_singular_coarse_operator_gives_infinity(self):
        assert two_grid_factor(L2, "jacobi", coarsening=0 * L2).factor == np.inf
        assert (
            three_grid_factor(L2, "red_black", coarsening=[L2 / 4, 0 * L2], samples=16).factor
            == np.inf
        )
        pair = Stencil(L2.offsets, L2.values[:, None, None] * np.eye(2))
        assert two_grid_factor(pair, "red_black", coarsening=0 * pair, samples=8).factor == np.inf

    def test_strong_anisotropy_defeats_point_smoothing(self):
        factors = [
            two_grid_factor(anisotropic((1, e)), "gauss_seidel", axes="all").factor
            for e in (1.0, 0.1, 0.01)
        ]
        assert factors[0] < 0.2 < factors[1] < factors[2] < 1
        assert factors[2] > 0.9

    def test_own_transfers_and_coarse_operator(self):
        full, linear = RESTRICTIONS["full"](2, (0, 1)), INTERPOLATIONS["linear"](2, (0, 1))
        same = two_grid_factor(
            L2, "red_black", restriction=full, interpolation=linear, coarsening=L2 / 4
        )
        assert same.factor == pytest.approx(2 / 27, abs=EXACT)

    def test_channels_without_coupling_are_scalar(self):
        system = Stencil(L2.offsets, L2.values[:, None, None] * np.diag([1.0, 0.8]))
        for smoother in ("red_black", "gauss_seidel", "jacobi"):
            found, scalar = (
                two_grid_factor(a, smoother, samples=16, refine=False, coarsening="galerkin").factor
                for a in (system, L2)
            )
            assert found == pytest.approx(scalar, abs=1e-10)

    def test_problems_bring_their_stencil(self):
        problem = create("poisson2d", 31)
        q = chebyshev(3, interval=problem.smoothing_interval())
        assert smoothing_factor(problem, q).factor == pytest.approx(27 / 365, abs=1e-12)
        with pytest.raises(ValueError, match="constant coefficients"):
            two_grid_factor(create("variable2d", 7), "jacobi")


class TestThreeGrids:
    def test_w_cycle_is_nearer_to_two_grids_than_v(self):
        two = two_grid_factor(L2, "red_black", coarsening="rediscretise").factor
        v, w = (
            three_grid_factor(
                L2, "red_black", coarsening="rediscretise", cycle=cycle, samples=32
            ).factor
            for cycle in "VW"
        )
        assert two < w < v

    def test_galerkin_v_cycle_contracts_no_worse_than_smoothing(self):
        assert three_grid_factor(
            L2, Jacobi(0.8), samples=32, coarsening="galerkin"
        ).factor == pytest.approx(0.36, abs=LIMIT)

    def test_polynomial_is_moved_with_the_spectrum(self):
        scaled = on_level(
            Polynomial(polynomial=chebyshev(2, interval=(2, 8))), L2 / 4, "auto", finest=L2
        )
        np.testing.assert_allclose(
            np.sort(scaled.polynomial.roots.real),
            np.sort(chebyshev(2, interval=(0.5, 2)).roots.real),
            rtol=1e-14,
        )
        described = Polynomial(polynomial=chebyshev(2, interval=(0.5, 2)), scaling="diagonal")
        diagonal = on_level(described, L2 / 4, "auto", finest=L2)
        np.testing.assert_allclose(
            diagonal.polynomial.roots, chebyshev(2, interval=(0.5, 2)).roots, rtol=1e-14
        )


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


CYCLES = {
    "polynomials": {
        "smoother": ResidualPolynomial(np.array([3 + 1j, 3 - 1j, 7.0])),
        "post_smoother": chebyshev4(2, lmax=9.0),
        "pre": 2,
    },
    "diagonal": {"smoother": chebyshev(2, interval=(0.5, 2.2)), "scaling": "diagonal", "post": 0},
    "red_black": {
        "smoother": "red_black",
        "post_smoother": GaussSeidel("red-black", omega=1.2, backward=True),
        "restriction": "half",
    },
    "multicolour": {
        "smoother": "multicolour",
        "post_smoother": GaussSeidel("multicolour", backward=True, omega=0.9),
    },
    "rediscretised": {
        "smoother": "jacobi",
        "coarsening": "rediscretise",
        "order": 2,
        "pre": 0,
        "interpolation": "cubic",
    },
    "injection": {
        "smoother": "red_black",
        "restriction": "injection",
        "coarsening": "rediscretise",
        "order": 2,
    },
    "three grids": {"smoother": "red_black", "levels": 3, "cycle": "W"},
}


def operators():
    rng = np.random.default_rng(8)
    shifted = Stencil(((0, 0),), np.array([0.7]))
    noise = Stencil.from_array(0.2 * rng.standard_normal((2, 2, 3, 3)))
    pair = Stencil(L2.offsets, L2.values[:, None, None] * np.eye(2)) + Stencil(
        ((0, 0),), 1.5 * np.eye(2)[None]
    )
    return {
        "scalar": L2 + shifted,
        "unsymmetric": multilinear(2) + shifted + Stencil(((0, 1),), np.array([-0.3])),
        "system": pair + noise,
    }


class TestDenseTwin:
    """On a periodic grid with regular A, the harmonics' matrices are the whole cycle: all
    eigenvalues and the norm agree."""

    @pytest.mark.parametrize("operator", ["scalar", "unsymmetric", "system"])
    @pytest.mark.parametrize("name", CYCLES)
    def test_whole_spectrum(self, operator, name):
        cycle, shape = LocalCycle(operators()[operator], **CYCLES[name]), (8, 4)
        run = PeriodicCycle(cycle, shape)
        size = run.levels[0].size
        dense = np.stack([run.apply(column, np.zeros(size)) for column in np.eye(size)], axis=1)
        theta = cycle.base_frequencies(shape).reshape(-1, 2)
        blocks = cycle.error_operator(theta)
        for power in (1, 2, 3, 4):  # traces fix the eigenvalues and are well conditioned
            expected = np.trace(np.linalg.matrix_power(dense, power))
            found = np.trace(np.linalg.matrix_power(blocks, power), axis1=1, axis2=2).sum()
            assert found == pytest.approx(expected, abs=1e-10 * size)
        factor = cycle_factor(cycle, samples=shape, refine=False, zero="remove")
        assert factor.factor == pytest.approx(np.abs(np.linalg.eigvals(dense)).max(), rel=1e-6)
        assert factor.norm == pytest.approx(np.linalg.norm(dense, 2), rel=1e-10)

    @pytest.mark.parametrize("dim", [1, 3])
    def test_other_dimensions(self, dim):
        operator = laplacian(dim) + Stencil(((0,) * dim,), np.array([0.5]))
        cycle, shape = LocalCycle(operator, "red_black"), (8,) if dim == 1 else (4, 2, 4)
        run = PeriodicCycle(cycle, shape)
        dense = np.stack(
            [run.apply(column, np.zeros(len(column))) for column in np.eye(run.levels[0].size)],
            axis=1,
        )
        found = cycle_factor(cycle, samples=shape, refine=False, zero="remove")
        assert found.norm == pytest.approx(np.linalg.norm(dense, 2), rel=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: smoothing_factor(L2, "sor"),
            "known are: .*jacobi, gauss_seidel, red_black, multicolour",
        ),
        (lambda: smoothing_factor(L2, 3), "smoother is 3, must be a name, a ResidualPolynomial"),
        (lambda: smoothing_factor(L2, "jacobi", steps=0), "whole number from 1 on"),
        (
            lambda: smoothing_factor(L2, chebyshev(1, interval=(2, 8)), scaling="row"),
            "known are: auto, identity, diagonal",
        ),
        (lambda: smoothing_factor(L2, "jacobi", samples=(8, 8, 8)), "samples"),
        (lambda: Jacobi(2.0), r"\(0, 2\)"),
        (lambda: GaussSeidel("zebra"), "known are: lexicographic, red_black, multicolour"),
        (lambda: two_grid_factor(L2, "jacobi", pre=-1), "whole number from 0 on"),
        (
            lambda: two_grid_factor(L2, "jacobi", coarsening="galerkn"),
            "known: galerkin, rediscretise",
        ),
        (
            lambda: two_grid_factor(L2, "jacobi", restriction="quarter"),
            "known: full, half, injection",
        ),
        (lambda: two_grid_factor(L2, "jacobi", interpolation=laplacian(1)), "2 dimensions"),
        (lambda: two_grid_factor(L2, "jacobi", coarsening=[L2, L2]), "1 stencils"),
        (lambda: two_grid_factor(L2, "jacobi", samples=33), "multiple of 2"),
        (lambda: two_grid_factor(L2, "jacobi", zero="skip"), "known are: limit, remove"),
        (lambda: three_grid_factor(L2, "jacobi", cycle="F"), "known are: V, W"),
        (lambda: LocalCycle(L2, "jacobi", levels=1), "whole number from 2 on"),
        (lambda: smoothing_factor(Stencil(((0, 1),), np.ones(1)), "jacobi"), "regular centre tap"),
    ],
)
def test_wrong_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_smoother_objects_pass_through():
    assert on_level(described(Jacobi(0.5)), L2, "auto") == Jacobi(0.5)
    assert on_level(described("red_black"), L2, "auto") == GaussSeidel("red-black")


class Nothing:
    """A smoother of one's own, which does nothing."""

    couples = False

    def symbols(self, stencil, theta, turns, order):
        return np.broadcast_to(np.eye(stencil.channels), (len(theta), len(turns), 1, 1))


def test_a_smoother_of_ones_own():
    assert smoothing_factor(L2, Nothing()).factor == 1.0
    assert two_grid_factor(L2, Nothing(), post_smoother="jacobi").factor == pytest.approx(
        two_grid_factor(L2, "jacobi", pre=0).factor, abs=EXACT
    )
    with pytest.raises(ValueError, match="objects with symbols and couples"):
        smoothing_factor(L2, lambda level: None)


class Registered:
    """For matrices it has `setup` alone; its symbol is registered beside it."""

    def setup(self, level):
        raise NotImplementedError


@step_symbols.register
def _(smoother: Registered, stencil, theta, turns, order):
    return step_symbols(Jacobi(0.8), stencil, theta, turns, order)


def test_a_registered_smoother_need_not_say_that_it_couples_no_modes():
    for factor in (smoothing_factor, two_grid_factor):
        assert factor(L2, Registered()).factor == factor(L2, Jacobi(0.8)).factor


class TestOneOperator:
    """A polynomial is analysed on the operator that it belongs to, whatever names it."""

    def test_every_door_takes_the_same_smoother(self):
        problem = poisson((127, 127))
        start = derive("chebyshev4", 2, problem)
        for given in (start, start.polynomial):
            assert smoothing_factor(problem, given).factor == pytest.approx(0.25, abs=EXACT)
            assert two_grid_factor(problem, given).factor == pytest.approx(0.1222, abs=5e-5)
        for operator in (problem, L2):
            assert smoothing_factor(operator, "chebyshev4", degree=2).factor == pytest.approx(
                0.25, abs=EXACT
            )
            assert two_grid_factor(operator, "chebyshev4", degree=2).factor == pytest.approx(
                two_grid_factor(problem, start).factor, abs=EXACT
            )
            # converted to the bare stencil, a multiple of the problem's
            assert smoothing_factor(operator, start).factor == pytest.approx(0.25, abs=EXACT)

    def test_both_spellings_of_a_name(self):
        for name in ("red-black", "red_black"):
            assert two_grid_factor(L2, name, pre=1, post=0).factor == pytest.approx(0.25, abs=EXACT)

    def test_another_operator_is_refused(self):
        start = derive("chebyshev4", 2, create("poisson2d-9point"))
        with pytest.raises(ValueError, match="another operator"):
            smoothing_factor(L2, start)

    @pytest.mark.parametrize("family", ["chebyshev", "chebyshev4", "two_grid_optimal"])
    def test_families_are_derived_anew_on_coarser_levels(self, family):
        """The 9-point Galerkin operator of the 5-point one is no multiple of it: a family is that
        of the coarse operator itself, by its name and as initial coefficients alike."""
        by_name = LocalCycle(L2, family, degree=2, levels=3, coarsening="galerkin")
        start = LocalCycle(L2, derive(family, 2, L2), levels=3, coarsening="galerkin")
        own = derive(family, 2, by_name.stencils[1]).polynomial
        for cycle in (by_name, start):
            np.testing.assert_allclose(
                cycle.relaxations[1][0].polynomial.roots, own.roots, rtol=1e-12
            )
        alone = LocalCycle(L2, start.relaxations[0][0].polynomial, levels=3, coarsening="galerkin")
        moved = alone.relaxations[1][0].polynomial.roots
        ratio = 8.0  # of the spectral radii, 8 and 1
        np.testing.assert_allclose(
            moved * ratio, start.relaxations[0][0].polynomial.roots, rtol=1e-12
        )


def dense_supremum(cycle, measure=spectral_radius):
    """The largest value at frequencies and limits that no search has seen."""
    rng, half = np.random.default_rng(11), np.pi / np.array(cycle.counts[0])
    angle = np.linspace(0, np.pi, 2000)
    limits = 1e-5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    theta = np.concatenate([rng.uniform(-half, half, (20_000, cycle.dim)), limits])
    return measure(cycle.error_operator(theta)).max()


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


class TestSuprema:
    def test_limits_in_every_direction(self):
        """The largest lies between the directions of small integers; a periodic grid has it in the
        limit."""
        cycle = LocalCycle(
            rotated_anisotropic(0.1, 0.6),
            ResidualPolynomial([3.3]),
            pre=0,
            post=1,
            restriction="half",
        )
        found = cycle_factor(cycle)
        assert found.factor == pytest.approx(1.1568261, abs=1e-7)
        assert found.frequency == (0.0, 0.0)
        assert np.linalg.norm(found.direction) == pytest.approx(1.0)
        along = np.array(found.direction) * np.array([[1e-4], [1e-3], [1e-2]])
        values = spectral_radius(cycle.error_operator(along))
        np.testing.assert_allclose(values, found.factor, rtol=5e-4)
        periodic = [
            cycle_factor(cycle, samples=n, refine=False, zero="remove").factor
            for n in (64, 256, 1024)
        ]
        assert periodic == sorted(periodic)
        assert found.factor - 0.003 < periodic[-1] < found.factor

    @pytest.mark.parametrize("restriction", ["full", "half"])
    @pytest.mark.parametrize(("epsilon", "angle"), [(0.1, 0.6), (0.03, 0.3), (0.01, 1.1)])
    @pytest.mark.parametrize("smoother", [ResidualPolynomial([3.3]), chebyshev(5, interval=(1, 4))])
    def test_nothing_is_larger_elsewhere(self, restriction, epsilon, angle, smoother):
        operator = rotated_anisotropic(epsilon, angle)
        cycle = LocalCycle(operator, smoother, pre=0, restriction=restriction)
        found = cycle_factor(cycle)
        assert dense_supremum(cycle) < found.factor * (1 + 1e-9)
        if np.isfinite(found.norm):
            assert dense_supremum(cycle, spectral_norm) < found.norm * (1 + 1e-9)
        # which samples are taken first does not matter
        assert cycle_factor(cycle, samples=48).factor == pytest.approx(found.factor, rel=1e-7)

    @pytest.mark.parametrize("degree", [12, 32])
    def test_polynomials_of_high_degree_have_narrow_peaks(self, degree):
        q = chebyshev(degree, interval=(0.3, 8.0))
        expected = 1 / np.cosh(degree * np.arccosh(8.3 / 7.7))
        assert smoothing_factor(L2, q).factor == pytest.approx(expected, rel=1e-9)
        cycle = LocalCycle(L2, q)
        assert dense_supremum(cycle) < cycle_factor(cycle).factor * (1 + 1e-9)

    def test_norms_are_suprema_too(self):
        found = two_grid_factor(L2, "red_black")
        samples = two_grid_factor(L2, "red_black", refine=False)
        assert samples.norm < found.norm
        assert dense_supremum(LocalCycle(L2, "red_black"), spectral_norm) <= found.norm * (1 + 1e-9)

    def test_one_peak_of_many(self):
        """Sixteen peaks of one height for any sample, one of which has a narrow tip."""
        peak = np.array([np.pi / 2, -np.pi / 2]) + 0.05
        tip = peak + np.array([0.006, -0.004])

        def comb(theta):
            tooth = 0.1 * np.exp(-((theta - tip) ** 2).sum(axis=1) / 0.02**2)
            return np.cos(2 * (theta - 0.05)).prod(axis=1) ** 2 + tooth

        theta = grid_frequencies((32, 32)).reshape(-1, 2)
        values = comb(theta)
        peaks = grid_peaks(values.reshape(32, 32))
        assert peaks.sum() == 16
        half = np.full(2, np.pi)
        start = (theta[peaks], values[peaks], half / 32)
        found, where = supremum(comb, [start], half, fold=lambda points: points, count=1024)
        grid = np.stack(np.meshgrid(*[np.linspace(-0.02, 0.02, 401)] * 2), axis=-1).reshape(-1, 2)
        assert found == pytest.approx(comb(peak + grid).max(), rel=1e-6)
        np.testing.assert_allclose(where, tip, atol=0.002)

    def test_searches_follow_a_narrow_ridge(self):
        """Curvatures of 1 and 10^4, turned: steps along the axes alone would creep."""

        def ridge(theta):
            along, across = theta @ [0.6, 0.8], theta @ [-0.8, 0.6]
            return 1 - (along - 0.3) ** 2 - 1e4 * (across - 0.1) ** 2

        half, calls = np.full(2, np.pi), []

        def counted(theta):
            calls.append(len(theta))
            return ridge(theta)

        start = (np.zeros((1, 2)), ridge(np.zeros((1, 2))), np.array([0.1, 0.1]))
        found, where = search(counted, [start], half)
        assert found == pytest.approx(1.0, abs=1e-12)
        np.testing.assert_allclose(where, [0.6 * 0.3 - 0.8 * 0.1, 0.8 * 0.3 + 0.6 * 0.1], atol=1e-6)
        assert sum(calls) < 400

    def test_the_quadratic_of_a_box(self):
        corners = list(itertools.product((-1.0, 1.0), repeat=2))
        pattern = np.array([*corners, (1, 0), (-1, 0), (0, 1), (0, -1)])
        H, g = np.array([[-2.0, 0.5], [0.5, -1.0]]), np.array([0.3, -0.2])
        values = pattern @ g + 0.5 * np.einsum("ni,ij,nj->n", pattern, H, pattern)
        steps, rises = quadratic_steps(pattern, values[None])
        top = -np.linalg.solve(H, g)
        np.testing.assert_allclose(steps[0], top, atol=1e-12)
        assert rises[0] == pytest.approx(g @ top / 2, abs=1e-12)
        flat, rises = quadratic_steps(pattern, (pattern @ [1.0, 0.0])[None])
        assert 4 < flat[0, 0] < 12  # upwards, and not far
        assert rises[0] == 0.0  # not promised

    def test_frequencies_that_stand_for_all(self):
        cycle = LocalCycle(laplacian(3), "jacobi")
        theta = np.random.default_rng(2).uniform(-1.5, 1.5, (20, 3))
        expected = cycle.representative(theta)
        for axes, signs in cycle.symmetries:
            np.testing.assert_array_equal(cycle.representative(theta[:, axes] * signs), expected)
        np.testing.assert_allclose(
            spectral_radius(cycle.error_operator(theta)),
            spectral_radius(cycle.error_operator(expected)),
            rtol=1e-9,
        )
