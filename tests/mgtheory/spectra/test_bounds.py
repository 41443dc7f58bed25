"""Intervals, exact spectra of the model problems, Gershgorin discs and the field of values, against
dense eigenvalues."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator

from mgtheory import problems
from mgtheory.problems.stencils import Stencil
from mgtheory.spectra import bounds as spectrum
from mgtheory.spectra.bounds import field_of_values, gershgorin
from mgtheory.spectra.interval import Interval

RNG = np.random.default_rng(0)


def test_interval_is_a_pair():
    a, b = Interval(1, 3)
    assert (a, b) == (1.0, 3.0) == tuple(Interval(1, 3))
    assert Interval(1, 4).relative == Interval(0.25, 1)
    assert Interval(1, 4).scaled(2) == Interval(2, 8)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (2, 1), (0, np.inf), (np.nan, 1)])
def test_no_interval(a, b):
    with pytest.raises(ValueError, match="finite ends a < b"):
        Interval(a, b)


def test_interval_scaling_needs_positive_numbers():
    for end in (0.0, -1.0):
        with pytest.raises(ValueError, match="only an interval with b > 0 can be scaled"):
            _ = Interval(-2.0, end).relative
    with pytest.raises(ValueError, match="factor > 0"):
        Interval(1, 2).scaled(-1)


CASES = [
    ("poisson1d", 9),
    ("poisson2d", 6),
    ("poisson3d", 4),
    ("poisson2d-9point", 6),
    ("poisson2d-q1", 6),
    ("anisotropic2d", 6),
]


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize(("name", "n"), CASES)
def test_exact_eigenvalues(name, n, boundary):
    problem = problems.create(name, n=n, boundary=boundary)
    exact = problem.eigenvalues()
    assert exact.shape == problem.shape
    dense = np.linalg.eigvalsh(problem.A.toarray())
    np.testing.assert_allclose(np.sort(exact.ravel()), dense, atol=1e-12 * dense[-1])
    if boundary != "periodic" or n % 2 == 0:
        np.testing.assert_allclose(
            [exact.min(), exact.max()], tuple(problem.spectrum()), atol=1e-12 * dense[-1]
        )


def test_variable_coefficients_have_no_closed_form():
    with pytest.raises(ValueError, match="use lanczos"):
        problems.create("variable2d", n=7).eigenvalues()


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_every_eigenvalue_is_in_a_gershgorin_disc(kind):
    A = RNG.standard_normal((30, 30)) + np.diag(np.linspace(-20, 40, 30))
    B = RNG.uniform(0.2, 3, 30)
    for scale in (None, B):
        discs = gershgorin(A if kind == "dense" else sp.csr_array(A), B=scale)
        eigenvalues = np.linalg.eigvals(A if scale is None else B[:, None] * A)
        assert (
            (np.abs(eigenvalues[:, None] - discs.centres) <= discs.radii + 1e-12).any(axis=1).all()
        )
        assert discs.lower <= eigenvalues.real.min()
        assert eigenvalues.real.max() <= discs.upper
        assert np.abs(eigenvalues).max() <= discs.radius


def test_gershgorin_is_sharp_for_the_periodic_laplacian():
    problem = problems.create("poisson2d", n=8, boundary="periodic")
    discs = gershgorin(problem.A)
    np.testing.assert_allclose((discs.lower, discs.upper), tuple(problem.spectrum()), atol=1e-9)


def test_gershgorin_needs_a_square_matrix():
    with pytest.raises(ValueError, match="square"):
        gershgorin(np.ones((2, 3)))


def test_field_of_values_of_a_jordan_block_is_a_disc():
    n = 8
    result = field_of_values(np.eye(n, k=1) + 2 * np.eye(n), angles=32)
    rho = np.cos(np.pi / (n + 1))
    np.testing.assert_allclose(np.abs(result.points - 2), rho, rtol=1e-12)
    np.testing.assert_allclose(result.points, 2 + rho * np.exp(1j * result.angles), atol=1e-12)
    np.testing.assert_allclose(result.support, 2 * np.cos(result.angles) + rho, atol=1e-12)
    assert result.numerical_radius == pytest.approx(2 + rho)
    assert result.converged
    assert not result.contains_zero


def test_field_of_values_of_a_normal_matrix_is_the_hull_of_its_eigenvalues():
    eigenvalues = np.array([1, 1j, -1 - 1j])
    Q, _ = np.linalg.qr(RNG.standard_normal((3, 3)) + 1j * RNG.standard_normal((3, 3)))
    # no support line along a side
    result = field_of_values(Q @ np.diag(eigenvalues) @ Q.conj().T, angles=37)
    assert (np.abs(result.points[:, None] - eigenvalues).min(axis=1) < 1e-9).all()
    assert result.contains_zero


def test_field_of_values_of_a_symmetric_matrix_is_an_interval():
    A = np.diag([1.0, 2.0, 7.0])
    result = field_of_values(A, angles=4)
    np.testing.assert_allclose(result.points[[0, 2]], [7, 1], atol=1e-12)


def test_every_rayleigh_quotient_is_between_the_polygons():
    A = RNG.standard_normal((20, 20)) + 1j * RNG.standard_normal((20, 20))
    result = field_of_values(A, angles=48)
    v = RNG.standard_normal((500, 20)) + 1j * RNG.standard_normal((500, 20))
    z = np.einsum("ij,jk,ik->i", v.conj(), A, v) / np.sum(np.abs(v) ** 2, axis=1)
    assert ((np.exp(-1j * result.angles) * z[:, None]).real <= result.support + 1e-12).all()
    assert np.abs(np.linalg.eigvals(A)).max() <= result.numerical_radius / np.cos(np.pi / 48)


def test_iterated_field_of_values_equals_the_dense_one(monkeypatch):
    A = sp.diags_array(
        [np.full(59, -1.5), np.full(60, 2.0), np.full(59, -0.5)], offsets=[-1, 0, 1]
    ).tocsr()
    dense = field_of_values(A, angles=12)
    monkeypatch.setattr(spectrum, "DENSE", 10)
    iterated = field_of_values(A, angles=12)
    np.testing.assert_allclose(iterated.support, dense.support, rtol=1e-8)
    assert iterated.converged
    wrapped = LinearOperator(
        A.shape, matvec=lambda v: A @ v, rmatvec=lambda v: A.T @ v, dtype=float
    )
    np.testing.assert_allclose(
        field_of_values(wrapped, angles=12).support, dense.support, rtol=1e-8
    )


def test_field_of_values_of_a_convolution(monkeypatch):
    """A function of real vectors without an adjoint, as a level of a network gives: written out by
    its columns; with more rows than fit it needs one."""
    kernel = RNG.standard_normal((3, 3))
    A = Stencil.from_array(kernel).dirichlet((8, 9))
    given = []

    def convolve(v):
        given.append(v.shape)
        padded = np.pad(np.real(v).reshape(8, 9), 1)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
        return np.einsum("ijkl,kl->ij", windows, kernel).ravel()

    wrapped = LinearOperator(A.shape, matvec=convolve, dtype=float)
    dense = field_of_values(A, angles=12)
    for size in (400, 10):
        monkeypatch.setattr(spectrum, "DENSE", size)
        found = field_of_values(wrapped, angles=12)
        np.testing.assert_allclose(found.support, dense.support, rtol=1e-7)
        assert np.abs(found.points.imag).max() > 0.1
    assert set(given) == {(72,)}
    monkeypatch.setattr(spectrum, "ENTRIES", 50)
    with pytest.raises(ValueError, match=r"72 rows and no adjoint, .* needs rmatvec above 50"):
        field_of_values(wrapped)


def test_zero_on_the_boundary_is_not_outside():
    assert field_of_values(np.diag([0.0, 1.0]), angles=4).contains_zero
    assert not field_of_values(np.diag([1e-6, 1.0]), angles=4).contains_zero


def test_what_did_not_converge_says_so(monkeypatch):
    """Its points lie in W(A) all the same."""

    def eigsh(*args, **options):
        raise ArpackNoConvergence("none", np.empty(0), np.empty(0))

    monkeypatch.setattr(spectrum, "eigsh", eigsh)
    found = field_of_values(sp.diags_array(np.linspace(1.0, 2.0, 401)), angles=4)
    assert not found.converged
    assert ((found.points.real > 1) & (found.points.real < 2)).all()


def test_field_of_values_needs_three_lines():
    with pytest.raises(ValueError, match="angles is 2, must be a whole number from 3 on"):
        field_of_values(np.eye(2), angles=2)


def test_gershgorin_radii_are_scaled_like_the_centres():
    discs = gershgorin(np.array([[4.0, -1.0], [2.0, 5.0]]), B=[0.5, -3.0])
    np.testing.assert_array_equal(discs.centres, [2.0, -15.0])
    np.testing.assert_array_equal(discs.radii, [0.5, 6.0])
