"""A level of a network as an operator of mgtheory's: its field of values, and its radius."""

import numpy as np
import pytest
import torch

from mgtheory.spectra.bounds import DENSE, field_of_values
from mgtheory.spectra.ritz import arnoldi
from nets.start.spectrum import convolution_spectrum


@pytest.mark.parametrize(("channels", "size"), [(2, 8), (4, 12)])
def test_field_of_values_of_a_convolution(channels, size):
    """By all entries and by iteration: the convolution takes real vectors and has no adjoint."""
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(channels, channels, 3, 3, generator=generator, dtype=torch.float64)
    level = convolution_spectrum(kernel.numpy(), (size, size))
    found = field_of_values(level.A, angles=8)
    assert (level.unknowns > DENSE) == (size == 12)
    columns = torch.nn.functional.conv2d(
        torch.eye(level.unknowns, dtype=torch.float64).reshape(-1, channels, size, size),
        kernel,
        padding=1,
    )
    A = columns.reshape(level.unknowns, -1).T.numpy()
    for angle, support in zip(found.angles, found.support, strict=True):
        turned = np.exp(-1j * angle) * A
        assert support == pytest.approx(
            np.linalg.eigvalsh(0.5 * (turned + turned.conj().T))[-1], rel=1e-7
        )
    assert found.numerical_radius >= level.radius * np.cos(np.pi / 8)
    assert arnoldi(level.A, steps=level.unknowns).radius >= level.radius
