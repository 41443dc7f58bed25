"""Paddings of a level's convolution A: what lies beyond the border of its grid.

An entry of `PADDINGS` is a padding of models (by torch's name of it), and of spectra, starts and
reports (by its key).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mgtheory.problems.symbols import grid_frequencies
from nets.models.options import one_of

Float = NDArray[np.float64]
Modes = Callable[[int], tuple[Float, NDArray[np.float64] | NDArray[np.complex128]]]


def sines(n: int) -> tuple[Float, Float]:
    """sin(theta (x + 1)), theta = j pi / (n + 1), j = 1..n: of a Laplacian with zero padding."""
    theta = np.pi * np.arange(1, n + 1) / (n + 1)
    return theta, np.sin(np.outer(np.arange(1, n + 1), theta)) * math.sqrt(2 / (n + 1))


def cosines(n: int) -> tuple[Float, Float]:
    """cos(theta (x + 1/2)), theta = j pi / n, j = 0..n-1: of a Laplacian with copied borders."""
    theta = np.pi * np.arange(n) / n
    modes = np.cos(np.outer(np.arange(n) + 0.5, theta))
    return theta, modes / np.linalg.norm(modes, axis=0)


def waves(n: int) -> tuple[Float, NDArray[np.complex128]]:
    """exp(i theta x), theta = 2 pi j / n in (-pi, pi]: of every periodic convolution."""
    theta = grid_frequencies(n).ravel()
    return theta, np.exp(1j * np.outer(np.arange(n), theta)) / math.sqrt(n)


def flipped(weight: Tensor) -> Tensor:
    """The kernel of the transpose where the padding is the same for both: channels exchanged,
    offsets reversed."""
    return weight.transpose(0, 1).flip(*range(2, weight.ndim))


@dataclass(frozen=True)
class Padding:
    """How a level's grid goes on beyond its border.

    Attributes
    ----------
    mode
        ``padding_mode`` of `torch.nn.Conv2d`.
    modes
        n -> (theta, modes): frequencies in [-pi, pi], shape (n,), and the orthonormal modes of n
        points as columns, of which those with |theta| < pi/2 along both axes are low.
    diagonal
        Whether the modes diagonalise every convolution up to its channels: then its eigenvalues are
        those of the symbol. Else they are those of a matrix, or found by Arnoldi's method.
    adjoint
        Kernel -> the kernel of the transposed convolution with the same padding; None where it is
        no such convolution: then torch differentiates.
    """

    mode: str
    modes: Modes = cosines
    diagonal: bool = False
    adjoint: Callable[[Tensor], Tensor] | None = None

    def convolve(self, u: Tensor, weight: Tensor) -> Tensor:
        """A u as the module does it, u of shape (m, channels, *grid)."""
        convolve = (F.conv1d, F.conv2d, F.conv3d)[u.ndim - 3]
        reach = [k // 2 for k in weight.shape[2:]]
        if self.mode == "zeros":
            return convolve(u, weight, padding=reach)
        both_sides = [k for k in reversed(reach) for _ in range(2)]  # the last axis first
        return convolve(F.pad(u, both_sides, mode=self.mode), weight)

    def transposed(self, weight: Tensor) -> Callable[[Tensor], Tensor]:
        """u -> A^T u."""
        if self.adjoint is not None:
            other = self.adjoint(weight)
            return lambda u: self.convolve(u, other)

        def derivative(u: Tensor) -> Tensor:
            with torch.enable_grad():
                at = torch.zeros_like(u, requires_grad=True)  # A is linear: any point will do
                return torch.autograd.grad(self.convolve(at, weight), at, u)[0]

        return derivative


PADDINGS = {
    "zero": Padding("zeros", sines, adjoint=flipped),
    "periodic": Padding("circular", waves, diagonal=True, adjoint=flipped),
}


def find_padding(name: str) -> Padding:
    """The entry of that name; ValueError for an unknown one."""
    return PADDINGS[one_of(name, "padding", PADDINGS)]


def padding_of(mode: str) -> str:
    """The name in `PADDINGS` of a ``padding_mode`` of torch; ValueError for an unknown one."""
    names = {entry.mode: name for name, entry in PADDINGS.items()}
    return names[one_of(mode, "padding_mode", names)]
