"""Smoothers of one's own in Fourier analysis, and every smoother on the operator it belongs to."""

import numpy as np
import pytest

from mgtheory.derive import derive
from mgtheory.fourier import smoothing_factor, two_grid_factor
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.fourier.relaxation import described, on_level, step_symbols
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.stencils import anisotropic, laplacian
from mgtheory.smoothers import GaussSeidel, Jacobi

EXACT = 1e-11  # a supremum found by refinement is quadratic in the distance to its place
L2 = laplacian(2)


def test_smoother_objects_pass_through():
    assert on_level(described(Jacobi(0.5)), L2, "auto") == Jacobi(0.5)
    assert on_level(described("red_black"), L2, "auto") == GaussSeidel("red-black")


@pytest.mark.parametrize("omega", [0.7, 1.0, 1.5])
def test_the_symbol_of_over_relaxation(omega):
    """1 - Ahat/(4/omega - exp(-i theta_1) - exp(-i theta_2)); backward its conjugate."""
    theta = np.random.default_rng(0).uniform(-np.pi, np.pi, (5, 2))
    before = np.exp(-1j * theta).sum(axis=1)
    expected = 1 - (4 - 2 * before.real) / (4 / omega - before)
    for backward, values in ((False, expected), (True, expected.conj())):
        one = GaussSeidel(omega=omega, backward=backward)
        found = step_symbols(one, L2, theta, np.zeros((1, 2), np.int64), 2)
        np.testing.assert_allclose(found.ravel(), values, rtol=1e-13)


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

    def test_a_polynomial_of_the_finest_axes_is_moved_to_grids_that_are_coarsened_along_others(
        self,
    ):
        """Weak couplings are left alone on the finest grid, and are as strong on the next."""
        weak = anisotropic((1.0, 0.3))
        q = derive("chebyshev", 2, weak).polynomial
        cycle = LocalCycle(weak, q, levels=3)
        assert cycle.coarsened == ((0,), (0, 1))
        ratio = (1 / 4 + 0.3) / (1 + 0.3)  # of the spectral radii
        moved = cycle.relaxations[1][0].polynomial.roots
        np.testing.assert_allclose(moved, q.roots * ratio, rtol=1e-12)

    @pytest.mark.parametrize("family", ["chebyshev", "chebyshev4", "two_grid_optimal"])
    def test_families_are_derived_anew_on_coarser_levels(self, family):
        """The 9-point Galerkin operator of the 5-point one is no multiple of it: a family is that
        of the coarse operator itself, by its name and as initial coefficients alike."""
        by_name = LocalCycle(L2, family, degree=2, levels=3, coarsening="galerkin")
        asked = {"coarsening": "galerkin"} if family == "two_grid_optimal" else {}
        given = derive(family, 2, L2, **asked)
        start = LocalCycle(L2, given, levels=3, coarsening="galerkin")
        own = derive(family, 2, by_name.stencils[1], **asked).polynomial
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
