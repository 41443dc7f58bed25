"""What one pass leaves of every Fourier mode at the epochs whose weights a run has kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.levels.state import LevelState, level_states
from nets.start.spectrum import SYMBOL, convolution_spectrum
from nets.training.checkpoint import load_model
from nets.training.folder import read_start
from nets.training.history import kept_models


def kept_dampings(run: str | Path) -> dict[int, list[NDArray[np.float64]]]:
    """Epoch -> of every level the spectral radius of q(Ahat(theta)), coefficients as they stand,
    on the grid of `LevelState.grid`: the array ``damping/learned`` of the report, of an epoch on
    the way. Empty for a run that kept nothing."""
    kept = kept_models(run)
    if not kept:
        return {}
    start = read_start(run)
    states = {epoch: level_states(load_model(file), start) for epoch, file in kept.items()}
    return {epoch: [_modulus(one) for one in own] for epoch, own in states.items()}


def _modulus(level: LevelState) -> NDArray[np.float64]:
    q = level.polynomial
    assert q is not None  # nothing is kept of a model without polynomials
    return convolution_spectrum(level.A, level.grid, padding=SYMBOL).modulus(q)
