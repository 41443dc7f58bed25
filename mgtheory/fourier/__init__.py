"""Local Fourier analysis: symbols, smoothers on harmonics, cycles, factors of smoothing and of two
and three grids."""

from mgtheory.fourier.analysis import (
    FourierFactor,
    cycle_factor,
    smoothing_factor,
    three_grid_factor,
    two_grid_factor,
)
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.fourier.relaxation import GaussSeidel, Jacobi, Polynomial
from mgtheory.problems.symbols import (
    channel_eigenvalues,
    grid_frequencies,
    high_frequencies,
    symbol,
)

__all__ = [
    "FourierFactor",
    "GaussSeidel",
    "Jacobi",
    "LocalCycle",
    "Polynomial",
    "channel_eigenvalues",
    "cycle_factor",
    "grid_frequencies",
    "high_frequencies",
    "smoothing_factor",
    "symbol",
    "three_grid_factor",
    "two_grid_factor",
]
