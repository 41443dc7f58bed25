"""Smoothing, two-grid and three-grid factors: published values, limits and refusals."""

import numpy as np
import pytest

from mgtheory.fourier import smoothing_factor, three_grid_factor, two_grid_factor
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.fourier.relaxation import on_level
from mgtheory.polynomials.classical import chebyshev, chebyshev4
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import create
from mgtheory.problems.stencils import (
    STENCILS,
    Stencil,
    anisotropic,
    laplacian,
    mehrstellen,
    multilinear,
    named,
    plane_stencil,
)
from mgtheory.problems.transfers import INTERPOLATIONS, RESTRICTIONS
from mgtheory.smoothers import SMOOTHERS, GaussSeidel, Jacobi, Polynomial

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

    def test_a_complex_stencil_has_a_symbol_that_is_not_even(self):
        """1 - omega (4 - 2 cos x - 2 cos y - 0.6 sin x)/4, with i times a difference in x."""
        turned = L2 + Stencil(((-1, 0), (1, 0)), 0.3j * np.array([-1.0, 1.0]))
        found = smoothing_factor(turned, Jacobi(0.8), refine=False)
        x, y = np.moveaxis(found.frequencies, -1, 0)
        symbol = 4 - 2 * np.cos(x) - 2 * np.cos(y) - 0.6 * np.sin(x)
        np.testing.assert_allclose(found.damping, abs(1 - 0.2 * symbol), atol=1e-13)

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

        jacobi, one = ResidualPolynomial([1.25]), ResidualPolynomial([1.0])  # of D^-1 A
        found = two_grid_factor(L2, jacobi, post_smoother=one, scaling="diagonal").factor
        expected = two_grid_factor(L2, Jacobi(0.8), post_smoother=Jacobi(1.0)).factor
        assert found == pytest.approx(expected, abs=1e-12)

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

    def test_a_norm_that_grows_slowly_towards_zero_is_infinite(self):
        """Half weighting leaves other harmonics in, and across a wind the coarse operator is small:
        1/theta, times the little that Gauss-Seidel in the direction of the wind leaves."""
        wind = plane_stencil((0.01, 0.01), 0.0, (1.0, 0.5), (1.0, 1.0))
        given = {"restriction": "half", "coarsening": "galerkin", "axes": "all"}
        cycle = LocalCycle(wind, "gauss_seidel", **given)
        theta = np.array([[1e-4, -2e-4], [1e-5, -2e-5]])
        far, near = np.linalg.norm(cycle.error_operator(theta), 2, axis=(1, 2))
        assert near == pytest.approx(10 * far, rel=0.01)
        assert near < 1e4
        assert two_grid_factor(wind, "gauss_seidel", **given).norm == np.inf
        # what rounding leaves of an image that vanishes along the axes grows too
        exact = two_grid_factor(L2, "red_black", coarsening="galerkin")
        assert exact.factor < exact.norm < 1

    def test_a_singular_coarse_operator_gives_infinity(self):
        found = two_grid_factor(L2, "jacobi", coarsening=0 * L2)
        assert found.factor == found.norm == np.inf
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
        (
            lambda: two_grid_factor(
                L2, "jacobi", coarsening=Stencil(L2.offsets, L2.values[:, None, None] * np.eye(2))
            ),
            "1 stencils of the operator's dimension and channels",
        ),
        (lambda: two_grid_factor(L2, "jacobi", shift=np.nan), "shift is nan, must be a number"),
        (
            lambda: two_grid_factor(
                L2, "jacobi", restriction=Stencil(L2.offsets, L2.values[:, None, None] * np.eye(2))
            ),
            "restriction is .*in 2 dimensions with 1 or 1 channels",
        ),
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
