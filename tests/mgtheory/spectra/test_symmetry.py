"""Entries that were rounded, by printing or in single precision, leave a matrix symmetric wherever
that is asked; a wind does not."""

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory import Hierarchy, Problem, Stencil, derive, poisson
from mgtheory.multigrid.approximation import approximation_constant
from mgtheory.multigrid.krylov import krylov
from mgtheory.multigrid.solve import Watch
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems import create
from mgtheory.spectra.ritz import lanczos
from mgtheory.spectra.symmetry import EXACT, ROUNDED, asymmetry, is_symmetric

GRID = (31, 31)


def with_digits(digits, problem=None):
    """A times 1.2345678, of -u_xx - u_yy by default, each entry printed to so many digits in one of
    two ways: half of the couplings differ from those back by one unit of the last digit."""
    A = sp.coo_array(1.2345678 * (poisson(GRID) if problem is None else problem).A)
    ways = 1 + 4 * 10.0**-digits * np.random.default_rng(0).uniform(-1, 1, A.nnz)
    entries = [float(f"{value:.{digits}g}") for value in A.data * ways]
    return sp.csr_array(sp.coo_array((entries, (A.row, A.col)), shape=A.shape))


@pytest.fixture(scope="module")
def printed():
    return with_digits(6)


def with_wind(relative, n=31):
    """A wind in circles, no scale of rows: couplings to one side and to the other differ by up to
    this part of the diagonal."""
    to_and_fro = sp.diags_array([1.0, -1.0], offsets=[1, -1], shape=(n, n))
    A, place = poisson((n, n)).A, sp.diags_array(np.linspace(-1, 1, n))
    circles = sp.kron(place, to_and_fro) - sp.kron(to_and_fro, place)
    return sp.csr_array(A + 0.5 * relative * A.diagonal().max() * circles)


def test_asymmetry_is_relative_to_the_largest_of_row_and_column():
    A = np.array([[4.0, -1.0], [-1.5, 16.0]])
    assert asymmetry(sp.csr_array(A)) == pytest.approx(0.5 / 8.0)
    turned = np.array([[2.0, 1.0j], [-1.0j, 2.0]])
    assert asymmetry(sp.csr_array(turned)) == 0.0
    assert asymmetry(sp.csr_array(abs(turned) * [[1, 1j], [1j, 1]])) == pytest.approx(1.0)
    assert asymmetry(sp.csr_array((3, 3))) == 0.0


def test_a_printed_matrix_is_solved_as_a_symmetric_one(printed):
    """The default of symmetric matrices, with one line that says so; cg too."""
    assert EXACT < asymmetry(printed) < ROUNDED
    hierarchy = Hierarchy.build(printed, shape=GRID)
    assert hierarchy.levels[0].pre.label == "chebyshev(2)"
    (said,) = hierarchy.warnings
    assert "differ by up to 2e-06 of the largest entries" in said
    assert said.endswith("A is taken as symmetric")
    b = printed @ np.random.default_rng(1).standard_normal(printed.shape[0])
    exact = Hierarchy.build(sp.csr_array(0.5 * (printed + printed.T)), shape=GRID)
    assert not exact.warnings
    # and is no reason to be silent about a smoothing that amplifies
    watch = Watch(hierarchy.warnings)
    watch(hierarchy.levels[0], np.ones(961), 3.0 * np.ones(961))
    assert any("multiplied the residual by 3" in said for said in watch.warnings)
    assert hierarchy.solve(b).iterations == exact.solve(b).iterations
    assert krylov(hierarchy, printed, b, method="cg").converged
    # a matrix in single precision is one too
    single = sp.csr_array(printed.astype(np.float32) * np.float32(1 / 3))
    half = sp.triu(single, 1) * np.float32(1 + 1e-7)
    assert is_symmetric(sp.csr_array(sp.tril(single) + half))


def test_coarse_grids_of_a_printed_matrix_are_symmetric_as_it_is():
    """Semicoarsening a matrix with strong couplings on one axis makes more of what rounding left on
    each grid; a smoothing that amplifies there has another cause than that."""
    A = with_digits(6, create("anisotropic2d", 63))
    levels = Hierarchy.build(A, shape=(63, 63)).levels
    assert levels[0].symmetric
    assert max(level.asymmetry for level in levels) > ROUNDED
    watch = Watch()
    for level in levels[:-1]:
        watch(level, np.ones(level.size), 3.0 * np.ones(level.size))
    assert len(watch.warnings) == len(levels) - 1
    assert not any("not symmetric" in said for said in watch.warnings)
    # a wind's coarse grids are no more symmetric than it is
    assert not any(level.symmetric for level in Hierarchy.build(with_wind(1e-4), shape=GRID).levels)


@pytest.mark.parametrize("digits", [3, 4, 5])
def test_a_matrix_of_few_digits_is_told_why_it_is_not_taken_as_symmetric(digits):
    A = with_digits(digits)
    hierarchy = Hierarchy.build(A, shape=GRID)
    assert hierarchy.levels[0].pre.label == "harmonic_ritz(3)"
    (said,) = hierarchy.warnings
    differs = "A and its transpose differ by up to 2e-0"
    assert said.startswith(differs)
    assert said.endswith("A is not taken as symmetric; if that is rounding, give (A + A^T)/2")
    with pytest.raises(ValueError, match=f"or a symmetric positive matrix; {differs}"):
        derive("chebyshev4", 2, A)
    # what it says to give is taken
    mean = sp.csr_array(0.5 * (A + A.T))
    assert not Hierarchy.build(mean, shape=GRID).warnings
    assert derive("chebyshev4", 2, mean).operator.positive
    turned = sp.diags_array(np.exp(1j * np.arange(961)))
    hermitian = sp.csr_array(turned @ A @ turned.conj())
    (said,) = Hierarchy.build(hermitian, shape=GRID).doubts[-1:]
    assert said.endswith("give (A + A^H)/2")


def test_a_wind_is_none_of_printing():
    hierarchy = Hierarchy.build(with_wind(1e-4), shape=GRID)
    assert hierarchy.levels[0].pre.label == "harmonic_ritz(3)"
    (said,) = hierarchy.warnings
    assert "A is not taken as symmetric" in said
    assert not Hierarchy.build(with_wind(0.1), shape=GRID).warnings  # nobody's rounding
    with pytest.raises(ValueError, match="the cycle is not symmetric"):
        hierarchy.as_preconditioner()
    with pytest.raises(ValueError, match="A differs from its transpose"):
        approximation_constant(with_wind(1e-4), sp.eye_array(961, 400))
    with pytest.raises(ValueError, match="lanczos needs A = A"):
        lanczos(with_wind(1e-4))
    # the Krylov space sees its boundary alone, a 40th of it here; entries say what it is
    wide = with_wind(2e-4, 63)
    with pytest.raises(ValueError, match="or a symmetric positive matrix"):
        derive("chebyshev4", 2, wide)
    with pytest.raises(ValueError, match="not symmetric"):
        ResidualPolynomial([1e3, 1e4]).as_preconditioner(wide)
    assert lanczos(with_wind(1e-5, 63)).asymmetry == pytest.approx(1e-5)
    # a problem's numbers are exact, however weak its wind
    weak = poisson(GRID).stencil + Stencil([(0, 1), (0, -1)], [1e-3, -1e-3])
    problem = Problem.from_stencil(weak, GRID)
    assert EXACT < asymmetry(problem.A) < ROUNDED
    assert not Hierarchy.build(problem).levels[0].symmetric


def test_spectra_are_those_of_the_symmetric_part(printed):
    symmetric = sp.csr_array(0.5 * (printed + printed.T))
    found, wanted = lanczos(printed), lanczos(symmetric)
    assert found.largest == pytest.approx(wanted.largest, rel=1e-7)
    assert found.smallest == pytest.approx(wanted.smallest, rel=1e-4)
    assert EXACT < found.asymmetry < 1e-5
    assert wanted.asymmetry < 1e-12
    # a part of A is skew: it belongs to the error of a Ritz vector that is an eigenvector else
    rotated = np.diag([1.0, 2.0]) + 5e-6 * np.array([[0.0, 1.0], [-1.0, 0.0]])
    assert lanczos(rotated).errors == pytest.approx((5e-6, 5e-6), rel=1e-4)
    assert lanczos(rotated).largest == pytest.approx(2.0, abs=1e-12)


def test_polynomials_are_derived_for_a_printed_matrix(printed):
    start = derive("chebyshev4", 2, printed)
    assert start.operator.positive
    assert "A is symmetric up to" in start.operator.found
    symmetric = derive("chebyshev4", 2, sp.csr_array(0.5 * (printed + printed.T)))
    assert "symmetric" not in symmetric.operator.found
    assert start.roots == pytest.approx(symmetric.roots, rel=1e-6)


def test_the_approximation_constant_of_a_printed_matrix(printed):
    P = Hierarchy.build(poisson(GRID), max_levels=2).levels[0].P.tocsr()
    symmetric = 0.5 * (printed + printed.T)
    assert approximation_constant(printed, P) == pytest.approx(
        approximation_constant(symmetric, P), rel=1e-9
    )
