"""Starts of the operators A: their exact spectra, and what each start promises of it."""

import math
import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import nets
from analysis.levels.state import level_states
from mgtheory import derive
from mgtheory.polynomials.classical import chebyshev4
from mgtheory.problems.symbols import channel_eigenvalues
from nets.models.paddings import PADDINGS
from nets.start import padded, periodic
from nets.start import spectrum as engine
from nets.start.operators import dense_kernel, level_grids, start_operators
from nets.start.operators import operator_spectra as spectra_of
from nets.start.spectrum import convolution_spectrum

from .convolutions import conv, dense


def operator_spectra(operators, grids):
    return spectra_of(operators, grids, "periodic")


def starts(operators, name, grids, **options):
    return start_operators(operators, name, grids, padding="periodic", **options)


def as_set(values):
    return np.sort_complex(np.round(values.ravel(), 9))


@pytest.mark.parametrize("grid", [(4, 4), (3, 5)])
@pytest.mark.parametrize(("groups", "k"), [(1, 3), (2, 3), (1, 1), (1, 5)])
def test_spectrum_equals_the_dense_one(grid, groups, k):
    if k > min(grid):
        grid = (5, 6)
    operator = conv(4, groups, k)
    found = operator_spectra([operator], [grid])[0].values
    assert found.shape == (*grid, 4)
    np.testing.assert_allclose(
        as_set(found), as_set(np.linalg.eigvals(dense(operator, grid))), atol=1e-7
    )


def test_channels_that_meet_in_one_tap_alone_are_of_one_block():
    """Two channels that a quarter of a turn couples in the centre have i and -i for eigenvalues."""
    kernel = np.zeros((2, 2, 3, 3))
    kernel[0, 1, 1, 1], kernel[1, 0, 1, 1] = 1.0, -1.0
    for padding in PADDINGS:
        found = convolution_spectrum(kernel, (3, 3), padding=padding).values
        np.testing.assert_allclose(np.sort(found.imag.ravel()), np.repeat([-1.0, 1.0], 9))


def test_spectrum_equals_the_theorys():
    operator, grid = conv(), (5, 8)
    expected = channel_eigenvalues(operator.weight.detach().double().numpy(), grid)
    found = operator_spectra([conv(2), operator], [(3, 3), grid])[1]
    np.testing.assert_allclose(np.sort_complex(found.values), np.sort_complex(expected), atol=1e-13)
    assert found.radius == pytest.approx(np.abs(expected).max())
    assert found.values[found.high].size < found.values.size


@pytest.mark.parametrize("groups", [1, 2])
def test_wide_spectrum_is_single_precision_but_for_its_extremes(monkeypatch, groups):
    monkeypatch.setattr(periodic, "NARROW", 7)
    operator, grid = conv(16, groups), (6, 7)
    values = operator_spectra([operator], [grid])[0]
    monkeypatch.undo()
    engine._measured.cache_clear()
    exact = operator_spectra([operator], [grid])[0]
    assert (values.accuracy, exact.accuracy) == (periodic.SINGLE, padded.DOUBLE)
    assert values.radius == pytest.approx(exact.radius, rel=1e-13)
    assert values.values.real.min() == pytest.approx(exact.values.real.min(), rel=1e-13)
    distances = np.abs(values.values[..., :, None] - exact.values[..., None, :])
    assert distances.min(axis=-1).max() < 1e-5 * exact.radius
    assert distances.min(axis=-1).max() > 1e-9 * exact.radius  # it was single precision


def test_spectra_are_measured_once(monkeypatch):
    operator, threads = conv(5), torch.get_num_threads()
    first, other = operator_spectra([operator, operator], [(4, 4), (4, 5)])
    assert torch.get_num_threads() == threads
    monkeypatch.setattr(periodic, "eigenvalues", None)
    assert operator_spectra([operator], [(4, 4)])[0] is first
    assert other.grid == (4, 5)
    with torch.no_grad():
        operator.weight[0, 0, 0, 0] += 1
    with pytest.raises(TypeError):
        operator_spectra([operator], [(4, 4)])
    with pytest.raises(ValueError, match="read-only"):
        first.values[0, 0, 0] = 0
    assert engine._measured.cache_info().maxsize == engine.REMEMBERED


@pytest.mark.parametrize("fails", [False, True])
def test_workers_are_serial_and_the_callers_threads_come_back(monkeypatch, fails):
    """numpy's BLAS and torch's OpenMP, with it torch's LAPACK, have one thread in each worker from
    its start."""

    def blas():
        return [
            library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
        ]

    def openmp():
        found = [
            library
            for library in threadpool_info()
            if library["user_api"] == "openmp" and "torch" in library["filepath"]
        ]
        # of the calling thread; torch.get_num_threads() would set it there
        return [library["num_threads"] for library in found]

    def symbol(stencil, theta):
        seen.append((threading.current_thread(), openmp() + blas()))
        if fails:
            raise FloatingPointError("of a worker")
        return original(stencil, theta)

    original, seen, threads = periodic.symbol, [], torch.get_num_threads()
    monkeypatch.setattr(periodic, "symbol", symbol)
    engine._measured.cache_clear()
    with threadpool_limits(3, user_api="blas"):
        before = blas()
        try:
            torch.set_num_threads(4)
            with pytest.raises(FloatingPointError, match="worker") if fails else nullcontext():
                operator_spectra([conv(7)], [(5, 6)])
            assert (torch.get_num_threads(), blas()) == (4, before)
        finally:
            torch.set_num_threads(threads)
    assert threading.main_thread() not in {worker for worker, _ in seen}
    # fewer where threadpoolctl does not know the library
    assert {number for _, numbers in seen for number in numbers} <= {1}


def test_laplacian_start():
    """Without the random part: 1/8 of the 5-point Laplacian per channel, spectrum [0, 1], high
    frequencies [1/4, 1]."""
    operator = conv()
    (spectrum,) = starts([operator], "laplacian", [(16, 16)], small=0.0)
    assert spectrum.values.real.min() == pytest.approx(0, abs=1e-7)
    assert spectrum.radius == pytest.approx(1, abs=1e-7)
    assert spectrum.values[spectrum.high].real.min() == pytest.approx(0.25, abs=1e-7)
    np.testing.assert_allclose(
        operator.weight[2, 2].detach(), torch.tensor([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]) / 8
    )
    assert operator.weight[0, 1].abs().max() == 0
    starts(
        [operator], "laplacian", [(16, 16)], small=0.1, generator=torch.Generator().manual_seed(0)
    )
    assert 0 < operator.weight[0, 1].abs().max() <= 0.1 / 54**0.5
    explicit = operator.weight.detach().clone()
    starts([operator], "laplacian", [(16, 16)], generator=torch.Generator().manual_seed(0))
    assert torch.equal(operator.weight, explicit)  # the default


@pytest.mark.parametrize("groups", [1, 3])
def test_shifted_start(groups):
    """The whole spectrum lies in the right half-plane, exactly margin * radius of the unshifted one
    away from 0."""
    moved, grids = [conv(6, groups), conv(3)], [(16, 16), (16, 18)]
    plain = [conv(6, groups), conv(3)]
    before = starts(plain, "random", grids, generator=torch.Generator().manual_seed(1))
    after = starts(moved, "shifted", grids, margin=0.2, generator=torch.Generator().manual_seed(1))
    (default,) = starts(
        [conv(6, groups)], "shifted", grids[:1], generator=torch.Generator().manual_seed(1)
    )
    assert default.values.real.min() == pytest.approx(0.1 * before[0].radius, rel=1e-6)
    for old, new, operator, grid in zip(before, after, moved, grids):
        assert new.values.real.min() == pytest.approx(0.2 * old.radius, rel=1e-6)
        again = operator_spectra([operator], [grid])[0]
        assert again.radius == pytest.approx(new.radius, rel=1e-6)  # float32 weights
        assert again.values.real.min() == pytest.approx(new.values.real.min(), abs=1e-6)


def test_random_start_fills_a_disc_around_zero():
    """The circular law: radius sqrt(9 c var) = 1/sqrt(3); 32 channels are within 25 % of it."""
    operator = conv(32)
    (spectrum,) = starts(
        [operator], "random", [(16, 16)], generator=torch.Generator().manual_seed(0)
    )
    assert spectrum.radius == pytest.approx(3**-0.5, rel=0.25)
    assert abs(spectrum.values.mean()) < 0.05 * spectrum.radius
    kept = operator.weight.detach().clone()
    starts([operator], "keep", [(16, 16)])
    assert torch.equal(operator.weight, kept)


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (2, 4), (1, 8)])
def test_the_disc_of_zero_padding(grid):
    """b^2 is c var times the spectral radius of the 3 x 3 sum with zero padding, prod (1 + 2 cos(pi
    / (n + 1))); finite c lies above it."""
    generator = torch.Generator().manual_seed(0)
    spectra = start_operators(
        [conv(48) for _ in range(3)], "random", 3 * [grid], generator=generator
    )
    near = np.prod([1 + 2 * np.cos(np.pi / (n + 1)) for n in grid]) / 9
    measured = np.mean([spectrum.radius for spectrum in spectra])
    assert 0.95 < measured / (near / 3) ** 0.5 < 1.12


def test_grids():
    assert level_grids((32, 40), 4 * [8], "periodic") == [(32, 40), (16, 20), (16, 16), (16, 16)]
    assert level_grids((8, 8), [3, 3], "periodic") == [(16, 16), (16, 16)]
    assert level_grids((65, 65), [3, 3], "periodic") == [(65, 65), (33, 33)]
    assert level_grids((8, 9), 4 * [512]) == [(8, 9), (4, 5), (2, 3), (1, 2)]
    assert level_grids((32, 32), [64, 128]) == [(32, 32), (16, 16)]  # of CIFAR-10, at full width


def test_the_grids_of_large_images_are_shortened_in_the_start_and_in_what_reads_it():
    """Of photographs a start took many minutes. What `shortened` may do: test_block_torch.py."""
    assert level_grids((224, 90), [4, 8, 256]) == [(128, 90), (112, 45), (32, 23)]
    assert level_grids((32, 32), [256, 256]) == [(32, 32), (16, 16)]  # of MgNet
    assert level_grids((32, 32), [1024], "periodic") == [(32, 32)]
    model = nets.create_model("q2", width=2, levels=2, in_channels=1)
    report = nets.initialise(model, "bounded", size=(300, 20))
    assert [level.grid for level in report.levels] == [(128, 20), (128, 10)]
    for told in (report, (300, 20)):
        states = level_states(model, told)
        assert [state.size for state in states] == [(300, 20), (150, 10)]
        assert [state.measured for state in states] == [(128, 20), (128, 10)]
        assert [state.spectrum.grid for state in states] == [(128, 20), (128, 10)]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("laplace", {}, "random, laplacian, shifted"),
        ("laplacian", {"small": -1.0}, "small"),
        ("laplacian", {"scale": 0.0}, "scale"),
        ("shifted", {"margin": 0.0}, "margin"),
    ],
)
def test_bad_input(name, options, message):
    with pytest.raises(ValueError, match=message):
        starts([conv()], name, [(16, 16)], **options)
    with pytest.raises(ValueError, match="kernel"):
        starts([conv(k=1)], "laplacian", [(16, 16)])


def test_shifted_start_with_zero_padding():
    before, after = (
        start_operators(
            [conv(6)], name, [(4, 5)], generator=torch.Generator().manual_seed(1), **options
        )[0]
        for name, options in (("random", {}), ("shifted", {"margin": 0.2}))
    )
    assert after.least_real == pytest.approx(0.2 * before.radius, rel=1e-6)
    again = convolution_spectrum(after.kernel, (4, 5))
    assert again.radius == pytest.approx(after.radius, rel=1e-6)


@pytest.mark.parametrize("name", ["laplacian", "random"])
def test_a_family_is_derived_for_a_level(name):
    """The record of a level's A: b, grid and padding as the network applies it; a lower end where
    the spectrum is positive, at which the classical interval begins."""
    operator = conv(4)
    (level,) = (
        start_operators([operator], name, [(5, 6)], small=0.0)
        if name == "laplacian"
        else (
            start_operators([operator], name, [(5, 6)], generator=torch.Generator().manual_seed(0))
        )
    )
    b = np.abs(np.linalg.eigvals(dense(operator, (5, 6), "zeros"))).max()
    fourth = derive("chebyshev4", 3, level)
    np.testing.assert_allclose(fourth.roots, b * chebyshev4(3, lmax=1.0).roots, rtol=1e-7)
    record = fourth.operator
    assert (record.kind, record.grid, record.padding) == ("level", (5, 6), "zero")
    assert record.found == level.found
    assert "4 channels on 5 x 6" in str(record)
    krylov = derive("harmonic_ritz", 3, level)  # q(A) v is the GMRES residual, v the theory's start
    v = np.random.default_rng(0).standard_normal(120)
    K = [dense(operator, (5, 6), "zeros") @ v]
    for _ in range(2):
        K.append(dense(operator, (5, 6), "zeros") @ K[-1])
    least = np.linalg.lstsq(np.transpose(K), v, rcond=None)[0] @ K
    reached = v - level.apply(krylov.polynomial.apply(level.A, v))
    np.testing.assert_allclose(reached, v - least, atol=1e-8 * np.linalg.norm(v))
    if name == "laplacian":
        assert level.operator_record().positive
        assert derive("chebyshev", 2, level).interval == pytest.approx((b / 4, b), rel=1e-7)
        assert level.operator_record(2).interval == pytest.approx((b**2 / 16, b**2), rel=1e-7)
    else:
        assert not level.operator_record().positive
        with pytest.raises(ValueError, match=r"chebyshev cannot be derived from a level's A"):
            derive("chebyshev", 2, level)


def test_a_polynomial_is_taken_to_a_level_relative_to_b():
    level = convolution_spectrum(dense_kernel(conv(3)), (4, 4))
    q = derive("chebyshev", 3, (2.0, 8.0)).on(level)
    np.testing.assert_allclose(
        q.roots, level.radius * derive("chebyshev", 3, (0.25, 1.0)).roots, rtol=1e-12
    )
    assert q.operator.kind == "level"


def test_weights_without_numbers_are_refused():
    """A network on the device meta; torch said "Cannot copy out of meta tensor"."""
    with torch.device("meta"):
        model = nets.create_model("q2", width=2, levels=2)
        block = nets.PolynomialBlock(2)
    for start in (lambda: nets.initialise(model, size=(8, 8)), lambda: block.start((8, 8))):
        with pytest.raises(ValueError, match="device meta, where they have no numbers"):
            start()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_told_unless_they_are_drawn_anew(value):
    """Of a training that diverged; ARPACK spoke of its workspace."""
    model = nets.create_model("q2", width=2, levels=2)
    block = nets.PolynomialBlock(2)
    for level in (model.levels[1], block.level):
        torch.nn.init.constant_(level.A.weight, value)
    with pytest.raises(ValueError, match="weights of A are not all finite"):
        nets.initialise(model, operator="keep", size=(8, 8))
    with pytest.raises(ValueError, match="weights of A are not all finite"):
        block(torch.ones(2, 2, 8, 8))
    assert nets.initialise(model, size=(8, 8)).levels[1].radius < 2  # a disc of about 0.6
