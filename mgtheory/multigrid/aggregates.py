"""Coarse levels without a grid, for graphs, unstructured matrices and systems: those of a hierarchy
of PyAMG, its smoothed aggregates or what its owner has built. PyAMG is the extra ``pyamg``,
imported on use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.multigrid.level import Level
from mgtheory.spectra.symmetry import is_symmetric, scaled_rows, symmetric_rows, turned

# a/b is the part of the unknowns that is left, which in 2D is the part of the spectrum below a
# (Weyl's law), within these ends. Degree 2 took 93 steps of cg in all on aggregates of ten matrices
# (Poisson in 1D to 3D, elasticity, graphs, triangles), with 1/10 98, with 1/30, as PyAMG's own
# smoother has it, 137; on Ruge and Stuben's coarse points of three 16, 23 and 40
DAMPED = (0.1, 0.5)


@dataclass(frozen=True)
class Aggregates:
    """What `transfers=` takes, from a hierarchy of PyAMG: P and R of each level, and the interval
    to damp there; and the coarse operators as they are.

    Attributes
    ----------
    levels
        Its levels: each has ``A``, and all but the last ``P`` and ``R``.
    damped
        a/b of the interval [a, b]; None for `DAMPED`.
    rows
        D of the A = D S of whose S these are: R is then P^T D^-1; None where they are A's own.
    """

    levels: Sequence[Any]
    damped: float | None = None
    rows: NDArray[Any] | None = None

    def __call__(self, level: Level) -> tuple[Any, Any, tuple[int, ...]]:
        """P, R and the coarse shape, which is the level's own on the coarsest."""
        if level.index == len(self.levels) - 1:
            return None, None, level.shape
        own = self.levels[level.index]
        P, R = (sp.csr_array(T) for T in (own.P, own.R))
        ratio = P.shape[1] / P.shape[0]
        level.damped = float(np.clip(ratio, *DAMPED)) if self.damped is None else self.damped
        if self.rows is not None and level.index == 0:
            R = sp.csr_array(R * (1.0 / self.rows)[None, :])
        return P, R, (P.shape[1],)

    def operator(self, index: int) -> sp.csr_array:
        """A of that level, a copy."""
        return sp.csr_array(self.levels[index].A, copy=True)


def aggregates(
    A: sp.csr_array, *, coarsest: int, max_levels: int, scales: NDArray[np.float64] | None = None
) -> Aggregates:
    """Smoothed aggregates of A, as far as `coarsest` unknowns; of S where A = D S has a symmetric S
    that its digits carry, and of that of positive diagonal (`turned`): weights by rows have no
    sign. What they
    interpolate exactly are constants, or the `scales` of the unknowns.

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

    S = turned(A)
    if (rows := symmetric_rows(S)) is not None:
        S = scaled_rows(S, 1.0 / rows)
    if S is not A:  # an empty row has any
        D, own = A.diagonal(), S.diagonal()
        rows = np.divide(D, own, out=np.ones_like(D), where=own != 0.0)
    ml = pyamg.smoothed_aggregation_solver(
        sp.csr_matrix(S),
        B=None if scales is None else scales[:, None].astype(A.dtype),
        symmetry="hermitian" if is_symmetric(S) else "nonsymmetric",
        smooth=("jacobi", {"omega": 4.0 / 3.0, "weighting": "local"}),
        max_coarse=coarsest,
        max_levels=max_levels,
        improve_candidates=None,
    )
    return Aggregates(ml.levels, rows=rows)


def pseudo_inverse(A: sp.csr_array) -> partial[Any]:
    """r -> A^+ r on a coarsest level that is singular beyond what is known of A's nullspace: that
    of a graph in several parts, or of a body that nothing holds."""
    rounding = A.shape[0] * float(np.finfo(A.dtype).eps)
    return partial(np.matmul, np.linalg.pinv(A.toarray(), rcond=rounding))
