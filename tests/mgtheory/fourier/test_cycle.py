"""The matrices of coupled harmonics against the whole cycle on a periodic grid."""

import numpy as np
import pytest

from mgtheory.fourier import cycle_factor, three_grid_factor, two_grid_factor
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.polynomials.classical import chebyshev, chebyshev4
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.stencils import Stencil, laplacian, multilinear
from mgtheory.smoothers import GaussSeidel
from mgtheory.verification import PeriodicCycle

L2 = laplacian(2)
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


def test_a_coarser_grid_has_the_cycle_of_its_own_stencil():
    """Its two W-cycles on the grid below too; and a shift is over the largest entry of the stencil
    that is corrected."""
    given = {"smoother": "jacobi", "coarsening": "rediscretise", "cycle": "W", "shift": 0.1}
    theta = np.random.default_rng(0).uniform(-0.3, 0.3, (5, 2))
    whole = LocalCycle(L2, levels=4, **given).error_operator(theta, level=1)
    below = LocalCycle(L2 / 4, levels=3, **given).error_operator(theta)
    np.testing.assert_allclose(whole, below, atol=1e-12)


def test_what_is_left_of_the_constants_is_orthogonal_to_the_kernel():
    """Two channels that are coupled by a Hermitian matrix with the nullspace (1, i)."""
    coupled = Stencil(L2.offsets, L2.values[:, None, None] * np.eye(2)) + Stencil(
        ((0, 0),), np.array([[[1.0, 1j], [-1j, 1.0]]])
    )
    cycle = LocalCycle(coupled, "jacobi", coarsening="galerkin")
    basis = cycle.kernel_complement()
    assert basis.shape == (8, 7)
    np.testing.assert_allclose(basis.conj().T @ basis, np.eye(7), atol=1e-14)
    np.testing.assert_allclose(basis.conj().T @ [1, 1j, *np.zeros(6)], 0, atol=1e-14)


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


@pytest.mark.parametrize("size", [1e-306, 1e-160, 1e306])
@pytest.mark.parametrize("smoother", ["jacobi", "gauss-seidel", "red-black"])
def test_factors_do_not_depend_on_the_size_of_a(smoother, size):
    """1/Ahat near the frequency 0 was infinite where A is that of 1e-299 or less."""
    with np.errstate(all="raise", under="ignore"):
        for function, L in ((two_grid_factor, laplacian(2)), (three_grid_factor, laplacian(1))):
            found = [function(A, smoother, shift=0.1) for A in (L, size * L)]
            assert found[1].factor == pytest.approx(found[0].factor, rel=1e-6, abs=1e-9)
            assert found[1].norm == pytest.approx(found[0].norm, rel=1e-6)


def test_factors_of_polynomials_of_the_least_size():
    """Roots may be as small as 1e-300."""
    with np.errstate(all="raise", under="ignore"):
        found, expected = (two_grid_factor(s * laplacian(2), "chebyshev") for s in (1e-299, 1.0))
    assert found.factor == pytest.approx(expected.factor, rel=1e-9)
