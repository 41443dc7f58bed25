"""All eigenvalues of a convolution with periodic padding, one eigenproblem of the width of a block
of channels per frequency: those of `mgtheory.problems.symbols.channel_eigenvalues`, in torch's
LAPACK and in threads."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import grid_frequencies, mirrored, symbol
from nets.start.padded import DOUBLE, Complex, Eigenvalues, blocks
from nets.start.threads import in_threads

NARROW = 64  # channels of a block up to which a symbol is measured in double precision
SINGLE = 1e-5  # relative accuracy; random starts of 256 channels came to 5e-6


def eigenvalues(
    kernel: NDArray[np.float64], grid: tuple[int, ...], *, extremes: bool = True
) -> Eigenvalues:
    """By frequency, shape (*grid, channels).

    Blocks wider than `NARROW` are solved in single precision first, in double where theta = -theta,
    and with `extremes` again in double where the largest modulus or the least real part may lie.
    """
    theta = grid_frequencies(grid).reshape(-1, len(grid))
    index, partner = np.arange(len(theta)), mirrored(grid)  # partner: where -theta stands
    # where theta = -theta modulo 2 pi, the symbol is real; else theta has the conjugates of -theta
    own, pairs = np.flatnonzero(index == partner), np.flatnonzero(index < partner)
    values = np.empty((len(theta), kernel.shape[0]), complex)
    widest, solved = 1, dict[bytes, Complex]()
    for channels in blocks(kernel):
        part = np.ascontiguousarray(kernel[np.ix_(channels, channels)])
        wide, key = len(channels) > NARROW, part.tobytes()
        if key not in solved:
            solved[key] = found = np.empty((len(theta), len(channels)), complex)
            stencil = Stencil.from_array(part, channels=True)
            found[own] = _of_symbols(stencil, theta[own], real=True)
            found[pairs] = _of_symbols(stencil, theta[pairs], single=wide)
            if wide and extremes:
                size, left = np.abs(found[pairs]).max(axis=1), found[pairs].real.min(axis=1)
                margin = 1e-3 * size.max()
                extreme = pairs[(size > size.max() - margin) | (left < left.min() + margin)]
                found[extreme] = _of_symbols(stencil, theta[extreme])
            found[partner[pairs]] = found[pairs].conj()
        values[:, channels] = solved[key]
        widest = max(widest, len(channels))
    accuracy = SINGLE if widest > NARROW else DOUBLE
    return Eigenvalues(
        values.reshape(*grid, -1),
        radius=float(np.abs(values).max()),
        complete=True,
        found="all eigenvalues, by Fourier symbols",
        accuracy=accuracy,
        error=DOUBLE if extremes else accuracy,
    )


def _of_symbols(
    stencil: Stencil, theta: NDArray[np.float64], *, real: bool = False, single: bool = False
) -> Complex:
    """Of the symbol at every theta, shape (len(theta), channels)."""
    if not len(theta):
        return np.empty((0, stencil.channels), complex)
    share = -(-len(theta) // (4 * torch.get_num_threads()))
    size = max(1, min(2**21 // stencil.channels**2, share))

    def solve(start: int) -> Tensor:
        matrices = torch.from_numpy(symbol(stencil, theta[start : start + size]))
        matrices = matrices.real.contiguous() if real else matrices
        found: Tensor = torch.linalg.eigvals(matrices.to(torch.complex64) if single else matrices)
        return found

    parts = in_threads(solve, range(0, len(theta), size))
    return np.asarray(torch.cat(parts).to(torch.complex128).numpy())
