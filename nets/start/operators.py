"""The operators A of the levels: how they start (random, laplacian, shifted, keep), and their
spectrum on the periodic grid.

A random convolution's eigenvalues fill a disc around 0, so that every q with q(0) = 1 has |q| >= 1
somewhere on it: no polynomial is a smoother there. The starts ``laplacian`` and ``shifted`` put the
spectrum where the classical theory applies.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from inspect import signature

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import grid_frequencies, symbol

__all__ = [
    "MINIMUM_GRID",
    "OPERATOR_STARTS",
    "LevelSpectrum",
    "level_grids",
    "operator_matrix",
    "operator_spectra",
    "start_operators",
    "start_options",
]

MARGIN = 0.1  # of the start `shifted`, relative to the radius
MINIMUM_GRID = 16  # points per axis at least: on fewer the sampled spectrum misses the extremes
NARROW = 64  # channels of a group up to which the whole spectrum is measured in double precision
# relative accuracies to count on; random starts of 256 channels came to 5e-6 in single precision
DOUBLE, SINGLE = 1e-9, 1e-5
REMEMBERED = 32  # spectra of at most about 1 MiB each for the published models


@dataclass(frozen=True)
class LevelSpectrum:
    """All eigenvalues of one A on a periodic grid.

    Attributes
    ----------
    grid
        Points per axis.
    values
        Complex, shape (*grid, channels), by frequency; not to be written to.
    accuracy
        Of the values, relative to the radius, where the eigenvectors are well conditioned. The
        radius and the least real part are always in double precision.
    """

    grid: tuple[int, int]
    values: NDArray[np.complex128]
    accuracy: float = DOUBLE

    @property
    def radius(self) -> float:
        """b, the largest modulus."""
        return float(np.abs(self.values).max())

    @property
    def high(self) -> NDArray[np.complex128]:
        """The eigenvalues at the high frequencies, some |theta_j| >= pi/2."""
        theta = grid_frequencies(self.grid)
        return self.values[(np.abs(theta) >= np.pi / 2 - 1e-12).any(axis=-1)].ravel()


def level_grids(size: Sequence[int], levels: int) -> list[tuple[int, int]]:
    """The grids on which each level's spectrum is measured: images of `size` halved per level
    (rounded up), at least 16 per axis."""
    if len(size) != 2 or any(n < 1 for n in size):
        raise ValueError(f"size is {tuple(size)}, must be the image's (height, width)")
    return [
        (max(MINIMUM_GRID, math.ceil(size[0] / 2**l)), max(MINIMUM_GRID, math.ceil(size[1] / 2**l)))
        for l in range(levels)
    ]


def operator_spectra(
    operators: Sequence[nn.Conv2d], grids: Sequence[tuple[int, int]]
) -> list[LevelSpectrum]:
    """The spectra of the periodic convolutions: one eigenproblem of the group's width per frequency
    and group.

    Those of `mgtheory.problems.symbols.channel_eigenvalues`. Of theta and -theta one is solved, the
    other is its conjugate. Groups wider than `NARROW` are solved in single precision first, and
    again in double where the largest modulus or the least real part may lie, and where theta =
    -theta. The eigenproblems run in as many threads as torch is set to; the newest `REMEMBERED`
    spectra are kept, so that runs of one seed that differ in their scheme or placement measure A
    once.
    """
    return [
        _spectrum(operator.weight.detach().double().cpu().numpy(), operator.groups, grid)
        for operator, grid in zip(operators, grids)
    ]


_memory: OrderedDict[bytes, LevelSpectrum] = OrderedDict()


def _spectrum(kernel: NDArray[np.float64], groups: int, grid: tuple[int, int]) -> LevelSpectrum:
    key = hashlib.sha256(repr((kernel.shape, groups, grid)).encode() + kernel.tobytes()).digest()
    found = _memory.pop(key, None) or _measured(kernel, groups, grid)
    _memory[key] = found
    while len(_memory) > REMEMBERED:
        _memory.popitem(last=False)
    return found


def _measured(kernel: NDArray[np.float64], groups: int, grid: tuple[int, int]) -> LevelSpectrum:
    theta = grid_frequencies(grid).reshape(-1, 2)
    index = np.arange(len(theta))
    # where -theta stands
    partner = index.reshape(grid)[
        np.ix_(*[(2 * ((n - 1) // 2) - np.arange(n)) % n for n in grid])
    ].ravel()
    # theta = -theta modulo 2 pi: a real symbol
    own, pairs = np.flatnonzero(index == partner), np.flatnonzero(index < partner)
    width = kernel.shape[1]
    values = np.empty((len(theta), kernel.shape[0]), complex)
    for group, part in enumerate(np.split(kernel, groups)):
        stencil, found = (
            Stencil.from_array(part, channels=True),
            values[:, group * width : (group + 1) * width],
        )
        found[own] = _eigenvalues(stencil, theta[own], real=True)
        found[pairs] = _eigenvalues(stencil, theta[pairs], single=width > NARROW)
        if width > NARROW:
            size, left = np.abs(found[pairs]).max(axis=1), found[pairs].real.min(axis=1)
            margin = 1e-3 * size.max()
            extreme = pairs[(size > size.max() - margin) | (left < left.min() + margin)]
            found[extreme] = _eigenvalues(stencil, theta[extreme])
        found[partner[pairs]] = found[pairs].conj()
    values.setflags(write=False)
    return LevelSpectrum(grid, values.reshape(*grid, -1), SINGLE if width > NARROW else DOUBLE)


def _eigenvalues(
    stencil: Stencil, theta: NDArray[np.float64], *, real: bool = False, single: bool = False
) -> NDArray[np.complex128]:
    """Of the symbol at every theta, shape (len(theta), channels); the frequencies are shared among
    threads, each serial within.

    torch's LAPACK, because numpy's may be one whose threads wait for those of the pool (30 times
    slower on two cores); those of numpy's BLAS, which makes the symbols, would wait likewise. Each
    worker sets torch's limit itself: a new thread starts with OpenMP's default and takes over the
    limit only at its first large torch operation.
    """
    threads = torch.get_num_threads()
    size = max(1, min(2**21 // stencil.channels**2, -(-len(theta) // (4 * threads))))

    def solve(start: int) -> Tensor:
        matrices = torch.from_numpy(symbol(stencil, theta[start : start + size]))
        matrices = matrices.real.contiguous() if real else matrices
        found: Tensor = torch.linalg.eigvals(matrices.to(torch.complex64) if single else matrices)
        return found

    torch.set_num_threads(1)
    try:
        with (
            threadpool_limits(1, user_api="blas"),
            ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        ):
            parts = list(pool.map(solve, range(0, len(theta), size)))
    finally:
        torch.set_num_threads(threads)
    return (
        torch.cat(parts).to(torch.complex128).numpy()
        if parts
        else np.empty((0, stencil.channels), complex)
    )


def operator_matrix(operator: nn.Conv2d, grid: tuple[int, int]) -> LinearOperator:
    """The periodic convolution on a grid as a scipy LinearOperator on vectors of channels * height
    * width, float64."""
    weight = operator.weight.detach().double().cpu()
    pad = operator.kernel_size[0] // 2
    shape = (1, operator.in_channels, *grid)

    def apply(v: NDArray[np.float64]) -> NDArray[np.float64]:
        u = torch.from_numpy(np.ascontiguousarray(v, dtype=float)).reshape(shape)
        u = torch.nn.functional.pad(u, (pad, pad, pad, pad), mode="circular")
        result: NDArray[np.float64] = (
            torch.nn.functional.conv2d(u, weight, groups=operator.groups).reshape(-1).numpy()
        )
        return result

    n = math.prod(shape)
    return LinearOperator((n, n), matvec=apply, dtype=float)


def _random(weight: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform in ±1/sqrt(fan_in), torch's default: eigenvalues in a disc of radius about 1/sqrt(3)
    around 0."""
    bound = weight[0].numel() ** -0.5
    return torch.empty_like(weight, device="cpu").uniform_(-bound, bound, generator=generator)


def _centre(weight: Tensor) -> tuple[Tensor, Tensor, int]:
    """Indices of every channel's own tap: (output channel, input channel within its group, position
    of the centre)."""
    channels, per_group, k, _ = weight.shape
    own = torch.arange(channels)
    return own, own % per_group, k // 2


def _start_random(operator: nn.Conv2d, generator: torch.Generator | None) -> Tensor:
    return _random(operator.weight, generator)


def _start_laplacian(
    operator: nn.Conv2d,
    generator: torch.Generator | None,
    *,
    small: float = 0.1,
    scale: float = 1.0,
) -> Tensor:
    weight = operator.weight
    if weight.shape[-1] < 3:
        raise ValueError("operator laplacian needs a kernel of size 3 or more")
    if small < 0 or scale <= 0:
        raise ValueError(
            f"operator laplacian: small is {small}, scale is {scale}; needs small >= 0 and"
            " scale > 0"
        )
    start = small * _random(weight, generator)
    own, within, m = _centre(weight)
    start[own, within, m, m] += scale / 2
    for i, j in ((m - 1, m), (m + 1, m), (m, m - 1), (m, m + 1)):
        start[own, within, i, j] -= scale / 8
    return start


def _start_shifted(
    operator: nn.Conv2d, generator: torch.Generator | None, *, margin: float = MARGIN
) -> Tensor:
    if margin <= 0:
        raise ValueError(f"operator shifted: margin is {margin}, must be positive")
    return _random(operator.weight, generator)


def _start_keep(operator: nn.Conv2d, generator: torch.Generator | None) -> Tensor:
    return operator.weight.detach()


OPERATOR_STARTS: dict[str, Callable[..., Tensor]] = {
    "random": _start_random,  # uniform in ±1/sqrt(fan_in)
    # scale/8 times the 5-point Laplacian per channel (spectrum (0, scale]) plus `small` times a
    # random part
    "laplacian": _start_laplacian,
    # random, then the centre tap moved so that Re >= margin * radius on the whole spectrum
    "shifted": _start_shifted,
    "keep": _start_keep,  # as it is
}


def start_options(name: str) -> set[str]:
    """The options of an operator start; ValueError for an unknown one."""
    if name not in OPERATOR_STARTS:
        raise ValueError(
            f"unknown operator start {name!r}, known are: {', '.join(OPERATOR_STARTS)}"
        )
    return set(signature(OPERATOR_STARTS[name]).parameters) - {"operator", "generator"}


def start_operators(
    operators: Sequence[nn.Conv2d],
    name: str,
    grids: Sequence[tuple[int, int]],
    *,
    generator: torch.Generator | None = None,
    **options: float,
) -> list[LevelSpectrum]:
    """Set the weights of every A by the start of that name, in place, and return their spectra on
    the grids.

    Raises
    ------
    ValueError
        For an unknown name, or an option's value that does not fit.
    """
    start_options(name)
    for option, value in options.items():
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ValueError(f"operator {name}: {option} is {value!r}, must be a finite number")
    with torch.no_grad():
        for operator in operators:
            operator.weight.copy_(OPERATOR_STARTS[name](operator, generator, **options))
    spectra = operator_spectra(operators, grids)
    if name != "shifted":
        return spectra
    moved = []
    for operator, spectrum in zip(operators, spectra):
        shift = float(options.get("margin", MARGIN) * spectrum.radius - spectrum.values.real.min())
        own, within, m = _centre(operator.weight)
        with torch.no_grad():
            operator.weight[own, within, m, m] += shift
        # a multiple of the identity moves every eigenvalue
        moved.append(replace(spectrum, values=spectrum.values + shift))
    return moved
