"""Local Fourier analysis: symbols, smoothers on harmonics, cycles, factors of smoothing and of two
and three grids, and the polynomials that minimise these."""

from mgtheory.fourier.analysis import cycle_factor, three_grid_factor, two_grid_factor
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.fourier.factor import FourierFactor
from mgtheory.fourier.optimal import OptimalTwoGrid, optimise_two_grid, two_grid_optimal
from mgtheory.fourier.smoothing import smoothing_factor
from mgtheory.problems.symbols import (
    channel_eigenvalues,
    grid_frequencies,
    high_frequencies,
    symbol,
)

__all__ = [
    "FourierFactor",
    "LocalCycle",
    "OptimalTwoGrid",
    "channel_eigenvalues",
    "cycle_factor",
    "grid_frequencies",
    "high_frequencies",
    "optimise_two_grid",
    "smoothing_factor",
    "symbol",
    "three_grid_factor",
    "two_grid_factor",
    "two_grid_optimal",
]
