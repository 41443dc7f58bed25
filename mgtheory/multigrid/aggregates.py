"""Coarse levels without a grid: PyAMG's smoothed aggregates, for graphs and unstructured matrices.
PyAMG is the extra ``pyamg``, imported on use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import scipy.sparse as sp

from mgtheory.multigrid.level import Level, is_symmetric

Transfers = Callable[[Level], tuple[Any, Any, tuple[int, ...]]]
# a/b of the interval to damp: with cg, 1/10 took the fewest steps, or one more, of 1/2 to 1/30, on
# graphs of points in 2D and 3D, on shuffled Poisson and on random graphs
DAMPED = 0.1


def aggregates(A: sp.csr_array, *, coarsest: int, max_levels: int) -> Transfers:
    """What `transfers=` takes: P and R of smoothed aggregates of A, as far as `coarsest` unknowns.

    The prolongator is smoothed with weights by rows, which need no random start: P is the same
    every time. See P. Vanek, J. Mandel, M. Brezina, Computing 56 (1996) 179-196.

    Raises
    ------
    ModuleNotFoundError
        Without PyAMG.
    """
    try:
        import pyamg
    except ModuleNotFoundError as error:
        needed = "coarsening 'pyamg' needs PyAMG: pip install 'polymgnet[pyamg]'"
        raise ModuleNotFoundError(needed, name="pyamg") from error

    levels = pyamg.smoothed_aggregation_solver(
        sp.csr_matrix(A),
        symmetry="hermitian" if is_symmetric(A) else "nonsymmetric",
        smooth=("jacobi", {"omega": 4.0 / 3.0, "weighting": "local"}),
        max_coarse=coarsest,
        max_levels=max_levels,
        improve_candidates=None,
    ).levels

    def transfers(level: Level) -> tuple[Any, Any, tuple[int, ...]]:
        if level.index == len(levels) - 1:
            return None, None, level.shape
        P, R = (sp.csr_array(T) for T in (levels[level.index].P, levels[level.index].R))
        level.damped = DAMPED
        return P, R, (P.shape[1],)

    return transfers
