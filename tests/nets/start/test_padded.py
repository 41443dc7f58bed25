"""Spectra of convolutions as they are padded: dense, by Arnoldi's method, and what is stated of
their error."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.fft import dctn, dstn, idctn, idstn
from torch import nn

from mgtheory.polynomials.classical import chebyshev4
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.models.blocks import LevelOptions
from nets.models.paddings import PADDINGS, Padding
from nets.start import padded
from nets.start import spectrum as engine
from nets.start.operators import dense_kernel, start_operators
from nets.start.operators import operator_spectra as spectra_of
from nets.start.spectrum import convolution_spectrum, residual_radius

from .convolutions import conv, dense


@pytest.mark.parametrize("grid", [(8, 8), (4, 4), (2, 2), (1, 1), (3, 5), (1, 4)])
@pytest.mark.parametrize(("groups", "k"), [(1, 3), (2, 3), (4, 3), (1, 1), (1, 5), (2, 5)])
def test_zero_padding_equals_the_module(grid, groups, k):
    """All eigenvalues, b, max |q| and mu on the level's own grid, against torch's module."""
    operator = conv(4, groups, k)
    (found,) = spectra_of([operator], [grid])
    matrix = dense(operator, grid, "zeros")
    values = np.linalg.eigvals(matrix)
    assert found.complete
    assert found.padding == "zero"
    np.testing.assert_allclose(
        np.sort(np.abs(found.values)), np.sort(np.abs(values)), atol=1e-7 * found.radius
    )
    assert found.radius == pytest.approx(np.abs(values).max(), rel=1e-9)
    assert found.least_real == pytest.approx(values.real.min(), rel=1e-7)
    q = ResidualPolynomial([0.3 * found.radius, -0.8 * found.radius, 1.1 * found.radius])
    assert found.max_modulus(q) == pytest.approx(np.abs(q(values)).max(), rel=1e-7)
    # the projection, by the discrete sine transform
    low = [np.pi * np.arange(1, n + 1) / (n + 1) < np.pi / 2 - 1e-12 for n in grid]
    high = ~np.logical_and.outer(*low)
    fields = np.eye(len(matrix)).reshape(-1, 4, *grid)
    kept = idstn(high * dstn(fields, 1, axes=(2, 3)), 1, axes=(2, 3)).reshape(matrix.shape)
    smoothed = np.eye(len(matrix))
    for root in q.roots.real:
        smoothed = smoothed - matrix @ smoothed / root
    mu = np.abs(np.linalg.eigvals(kept @ smoothed)).max()
    assert found.smoothing_factor(q) == pytest.approx(mu, rel=1e-7)
    u = np.random.default_rng(0).standard_normal(len(matrix))
    np.testing.assert_allclose(found.A @ u, matrix @ u, atol=1e-12 * found.radius * 50)


def test_the_projection_of_periodic_grids_gives_the_symbols_factor():
    kernel, grid = dense_kernel(conv(3)), (6, 8)
    found = convolution_spectrum(kernel, grid, padding="periodic")
    q = ResidualPolynomial([0.5 * found.radius, -found.radius])
    mu = residual_radius(q, kernel, grid, "periodic", padded.high_part(grid, "periodic"))
    assert found.smoothing_factor(q) == pytest.approx(mu, rel=1e-9)


def test_a_modulus_beyond_single_precision():
    """Of a start of 64 random steps max |q| is 10^39 and more: here a power of one factor, on the
    2,304 eigenvalues of a periodic operator, which are known."""
    kernel, grid = dense_kernel(conv(4)), (24, 24)
    known = convolution_spectrum(kernel, grid, padding="periodic")
    q = ResidualPolynomial.from_weights(np.full(48, 9.0 / known.radius))
    largest = residual_radius(q, kernel, grid, "periodic", np.asarray)
    assert largest > 1e40
    assert largest == pytest.approx(known.max_modulus(q), rel=5e-3)


@pytest.mark.parametrize("name", ["random", "laplacian", "shifted"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_arnoldi_is_within_its_stated_error(monkeypatch, name, seed):
    operator, grid = conv(12), (8, 8)
    generator = torch.Generator().manual_seed(seed)
    monkeypatch.setattr(padded, "SMALL", 1024)
    (exact,) = start_operators([operator], name, [grid], generator=generator)
    engine._measured.cache_clear()
    monkeypatch.setattr(padded, "SMALL", 256)
    monkeypatch.setattr(padded, "DENSE", 300)
    (found,) = spectra_of([operator], [grid])
    assert (exact.complete, found.complete) == (True, False)
    assert "Arnoldi" in found.found
    assert found.error <= 1e-3
    assert abs(found.radius - exact.radius) <= max(found.error, 1e-6) * exact.radius
    assert found.least_real == pytest.approx(exact.least_real, abs=2e-3 * exact.radius)
    q = chebyshev4(3, lmax=exact.radius)
    assert found.max_modulus(q) == pytest.approx(exact.max_modulus(q), rel=1e-2)
    assert found.smoothing_factor(q) == pytest.approx(exact.smoothing_factor(q), rel=1e-2)
    engine._measured.cache_clear()


def test_b_is_the_same_whichever_of_a_conjugate_pair_is_found(monkeypatch):
    """By A the one and by its transpose the other: to rounding, far below the error of each."""
    operator, grid, original = conv(12), (8, 9), padded.outermost
    (found,) = spectra_of([operator], [grid])

    def conjugated(*given, seed, **options):
        values, vectors = original(*given, seed=seed, **options)
        return (values.conj(), vectors.conj()) if seed % 2 else (values, vectors)

    monkeypatch.setattr(padded, "outermost", conjugated)
    engine._measured.cache_clear()
    outermost = found.measured[np.abs(found.measured).argmax()]
    assert abs(outermost.imag) > 0.01 * found.radius
    assert spectra_of([operator], [grid])[0].radius == pytest.approx(found.radius, rel=1e-10)


@pytest.mark.parametrize("name", ["random", "laplacian"])
def test_all_eigenvalues_of_a_level_of_middle_size_come_where_they_are_asked_for(name):
    """b, max |q| and mu by Arnoldi's method, whatever is asked first; all eigenvalues of the
    matrix after that."""
    operator, grid = conv(12), (5, 6)
    (found,) = start_operators([operator], name, [grid], generator=torch.Generator().manual_seed(0))
    matrix = dense(operator, grid, "zeros")
    exact = np.linalg.eigvals(matrix)
    assert (found.complete, found.all_measured) == (True, False)
    assert "Arnoldi" in found.found
    assert found.radius == pytest.approx(np.abs(exact).max(), rel=1e-6)
    q = ResidualPolynomial([0.3 * found.radius, -0.8 * found.radius])
    before = found.max_modulus(q), found.smoothing_factor(q)
    np.testing.assert_allclose(
        np.sort(np.abs(found.values)), np.sort(np.abs(exact)), atol=1e-7 * found.radius
    )
    assert before == (found.max_modulus(q), found.smoothing_factor(q))
    assert before[0] == pytest.approx(np.abs(q(exact)).max(), rel=1e-4)
    assert found.least_real == pytest.approx(exact.real.min(), abs=1e-5 * found.radius)
    assert not found.is_positive


def test_a_zero_operator_and_a_failing_iteration(monkeypatch):
    assert convolution_spectrum(np.zeros((2, 2, 3, 3)), (40, 40)).radius == 0.0
    monkeypatch.setattr(padded, "RESTARTS", 1)
    monkeypatch.setattr(padded, "TOLERANCE", 1e-14)
    monkeypatch.setattr(padded, "BASIS", 9)
    monkeypatch.setattr(padded, "ATTEMPTS", 1)
    engine._measured.cache_clear()
    with pytest.raises(ValueError, match="padding=periodic"):
        convolution_spectrum(dense_kernel(conv(12)), (12, 12))


@pytest.mark.parametrize(("n", "within"), [(128, 1e-12), (400, 1e-2)])
def test_one_channel_on_a_long_grid_has_pseudo_eigenvalues(n, within):
    """A Toeplitz matrix of three weights far from normal: what is found lies between the largest
    eigenvalue, |b| + 2 sqrt|a c| cos(pi / (n + 1)) here, and the symbol's, and is one of a matrix
    within rounding: sigma_min(A - lambda) is as small."""
    a, b, c = 0.23, -0.23, 0.99
    kernel = np.reshape([a, b, c], (1, 1, 3))
    exact = abs(b) + 2 * np.sqrt(a * c) * np.cos(np.pi / (n + 1))
    theta = np.linspace(0, 2 * np.pi, 512)
    largest = np.abs(a * np.exp(-1j * theta) + b + c * np.exp(1j * theta)).max()
    found = convolution_spectrum(kernel, (n,))
    assert (1 - within) * exact < found.radius < (1 + within) * largest
    A = np.diag(np.full(n - 1, a), -1) + np.diag(np.full(n, b)) + np.diag(np.full(n - 1, c), 1)
    outermost = found.measured[np.abs(found.measured).argmax()]
    singular = np.linalg.svd(A - outermost * np.eye(n), compute_uv=False)
    assert singular[-1] < within * singular[0]


@pytest.fixture
def replicate(monkeypatch):
    monkeypatch.setitem(PADDINGS, "replicate", Padding("replicate"))
    engine._measured.cache_clear()
    yield
    engine._measured.cache_clear()


@pytest.mark.parametrize("name", PADDINGS)
def test_a_kernel_may_be_longer_along_one_axis(name):
    padding, u = PADDINGS[name], torch.randn(2, 3, 6, 7)
    options = {"padding": (1, 2), "padding_mode": padding.mode, "bias": False}
    module = nn.Conv2d(3, 3, (3, 5), **options).requires_grad_(False)
    assert torch.allclose(padding.convolve(u, module.weight), module(u), atol=1e-5)


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("grid", [(5, 5), (2, 2), (1, 1), (1, 4)])
def test_a_padding_is_one_entry(replicate, grid, k):
    """Replicated borders: the door of models, b, max |q| and mu against torch's module, its
    transpose, and Arnoldi's method with it."""
    operator = LevelOptions(padding_mode="replicate", kernel_size=k).operator(4)
    (found,) = spectra_of([operator], [grid])
    matrix = dense(operator, grid, "replicate")
    values = np.linalg.eigvals(matrix)
    assert (found.padding, found.complete) == ("replicate", True)
    np.testing.assert_allclose(
        np.sort(np.abs(found.values)), np.sort(np.abs(values)), atol=1e-7 * found.radius
    )
    assert found.radius == pytest.approx(np.abs(values).max(), rel=1e-9)
    assert found.least_real == pytest.approx(values.real.min(), rel=1e-7)
    q = ResidualPolynomial([0.7 * found.radius, 1.1 * found.radius])
    assert found.max_modulus(q) == pytest.approx(np.abs(q(values)).max(), rel=1e-7)
    # the projection, by the discrete cosine transform
    low = [np.pi * np.arange(n) / n < np.pi / 2 - 1e-12 for n in grid]
    fields = np.eye(len(matrix)).reshape(-1, 4, *grid)
    spectrum = ~np.logical_and.outer(*low) * dctn(fields, 2, axes=(2, 3))
    kept = idctn(spectrum, 2, axes=(2, 3)).reshape(matrix.shape)
    identity = np.eye(len(matrix))
    smoothed = np.linalg.multi_dot([identity - matrix / root for root in q.roots.real])
    mu = np.abs(np.linalg.eigvals(kept @ smoothed)).max()
    assert found.smoothing_factor(q) == pytest.approx(mu, rel=1e-7, abs=1e-12)
    transposed = padded.product(found.kernel, grid, "replicate", transposed=True)
    np.testing.assert_allclose(transposed(identity), matrix, atol=1e-14)


def test_arnoldi_takes_a_padding_without_an_adjoint(replicate, monkeypatch):
    kernel, grid = dense_kernel(conv(12)), (8, 8)
    exact = convolution_spectrum(kernel, grid, padding="replicate")
    engine._measured.cache_clear()
    monkeypatch.setattr(padded, "DENSE", 300)
    found = convolution_spectrum(kernel, grid, padding="replicate")
    assert (exact.complete, found.complete) == (True, False)
    assert found.error <= 1e-3
    assert found.radius == pytest.approx(exact.radius, rel=max(found.error, 1e-6))


@pytest.mark.parametrize("name", PADDINGS)
def test_transposes_and_modes_of_the_registry(name):
    """A^T is the matrix's, whichever way it is made, and the modes are orthonormal."""
    kernel, grid, entry = dense_kernel(conv(3)), (4, 5), PADDINGS[name]
    identity = np.eye(60)
    rows = padded.product(kernel, grid, name)(identity)
    for way in (entry, replace(entry, adjoint=None)):
        of = torch.from_numpy(identity).reshape(-1, 3, *grid)
        found = way.transposed(torch.from_numpy(kernel))(of).reshape(60, 60).numpy()
        np.testing.assert_allclose(found, rows.T, atol=1e-14)
    modes = entry.modes(6)[1]
    np.testing.assert_allclose(modes.conj().T @ modes, np.eye(6), atol=1e-14)


def test_a_padding_without_an_entry_is_refused():
    operator = nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect", bias=False)
    for refused in (
        lambda: LevelOptions(padding_mode="reflect"),
        lambda: spectra_of([operator], [(4, 4)]),
    ):
        with pytest.raises(ValueError, match="mode is 'reflect', allowed are: zeros, circular"):
            refused()


def test_unknown_padding():
    with pytest.raises(ValueError, match="zero, periodic"):
        convolution_spectrum(np.zeros((1, 1, 3, 3)), (4, 4), padding="mirror")
