"""Starts of the operators A: their exact spectra, and what each start promises of it."""

import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

from mgtheory.problems.symbols import channel_eigenvalues
from nets.start import operators
from nets.start.operators import level_grids, operator_matrix, operator_spectra, start_operators


def conv(channels=6, groups=1, k=3, seed=0):
    made = nn.Conv2d(channels, channels, k, padding=k // 2, groups=groups, bias=False)
    with torch.no_grad():
        made.weight.normal_(generator=torch.Generator().manual_seed(seed))
    return made


def dense(operator, grid):
    """The periodic convolution as a dense matrix, through unit vectors."""
    A = operator_matrix(operator, grid)
    return np.stack([A @ column for column in np.eye(A.shape[0])], axis=1)


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


def test_spectrum_equals_the_theorys():
    operator, grid = conv(), (5, 8)
    expected = channel_eigenvalues(operator.weight.detach().double().numpy(), grid)
    found = operator_spectra([conv(2), operator], [(3, 3), grid])[1]
    np.testing.assert_allclose(np.sort_complex(found.values), np.sort_complex(expected), atol=1e-13)
    assert found.radius == pytest.approx(np.abs(expected).max())
    assert found.high.size < found.values.size


@pytest.mark.parametrize("groups", [1, 2])
def test_wide_spectrum_is_single_precision_but_for_its_extremes(monkeypatch, groups):
    monkeypatch.setattr(operators, "NARROW", 7)
    operator, grid = conv(16, groups), (6, 7)
    values = operator_spectra([operator], [grid])[0]
    monkeypatch.undo()
    operators._memory.clear()
    exact = operator_spectra([operator], [grid])[0]
    assert (values.accuracy, exact.accuracy) == (operators.SINGLE, operators.DOUBLE)
    assert values.radius == pytest.approx(exact.radius, rel=1e-13)
    assert values.values.real.min() == pytest.approx(exact.values.real.min(), rel=1e-13)
    distances = np.abs(values.values[..., :, None] - exact.values[..., None, :])
    assert distances.min(axis=-1).max() < 1e-5 * exact.radius
    assert distances.min(axis=-1).max() > 1e-9 * exact.radius  # it was single precision


def test_spectra_are_measured_once(monkeypatch):
    operator, threads = conv(5), torch.get_num_threads()
    first, other = operator_spectra([operator, operator], [(4, 4), (4, 5)])
    assert torch.get_num_threads() == threads
    monkeypatch.setattr(operators, "_measured", None)
    assert operator_spectra([operator], [(4, 4)])[0] is first
    assert other.grid == (4, 5)
    with torch.no_grad():
        operator.weight[0, 0, 0, 0] += 1
    with pytest.raises(TypeError):
        operator_spectra([operator], [(4, 4)])
    with pytest.raises(ValueError, match="read-only"):
        first.values[0, 0, 0] = 0
    assert len(operators._memory) <= operators.REMEMBERED


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

    original, seen, threads = operators.symbol, [], torch.get_num_threads()
    monkeypatch.setattr(operators, "symbol", symbol)
    operators._memory.clear()
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
    (spectrum,) = start_operators([operator], "laplacian", [(16, 16)], small=0.0)
    assert spectrum.values.real.min() == pytest.approx(0, abs=1e-7)
    assert spectrum.radius == pytest.approx(1, abs=1e-7)
    assert spectrum.high.real.min() == pytest.approx(0.25, abs=1e-7)
    np.testing.assert_allclose(
        operator.weight[2, 2].detach(), torch.tensor([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]) / 8
    )
    assert operator.weight[0, 1].abs().max() == 0
    start_operators(
        [operator], "laplacian", [(16, 16)], small=0.1, generator=torch.Generator().manual_seed(0)
    )
    assert 0 < operator.weight[0, 1].abs().max() <= 0.1 / 54**0.5
    explicit = operator.weight.detach().clone()
    start_operators([operator], "laplacian", [(16, 16)], generator=torch.Generator().manual_seed(0))
    assert torch.equal(operator.weight, explicit)  # the default


@pytest.mark.parametrize("groups", [1, 3])
def test_shifted_start(groups):
    """The whole spectrum lies in the right half-plane, exactly margin * radius of the unshifted one
    away from 0."""
    moved, grids = [conv(6, groups), conv(3)], [(16, 16), (16, 18)]
    plain = [conv(6, groups), conv(3)]
    before = start_operators(plain, "random", grids, generator=torch.Generator().manual_seed(1))
    after = start_operators(
        moved, "shifted", grids, margin=0.2, generator=torch.Generator().manual_seed(1)
    )
    (default,) = start_operators(
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
    (spectrum,) = start_operators(
        [operator], "random", [(16, 16)], generator=torch.Generator().manual_seed(0)
    )
    assert spectrum.radius == pytest.approx(3**-0.5, rel=0.25)
    assert abs(spectrum.values.mean()) < 0.05 * spectrum.radius
    kept = operator.weight.detach().clone()
    start_operators([operator], "keep", [(16, 16)])
    assert torch.equal(operator.weight, kept)


def test_grids():
    assert level_grids((32, 40), 4) == [(32, 40), (16, 20), (16, 16), (16, 16)]
    assert level_grids((8, 8), 2) == [(16, 16), (16, 16)]
    assert level_grids((65, 65), 2) == [(65, 65), (33, 33)]


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
        start_operators([conv()], name, [(16, 16)], **options)
    with pytest.raises(ValueError, match="kernel"):
        start_operators([conv(k=1)], "laplacian", [(16, 16)])
