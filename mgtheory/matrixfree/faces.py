"""-div(k grad u) without matrices: the coefficient on the faces of every grid, and the level that
smooths with it.

A grid keeps one number for each face. A coarse point is every second one, whatever the size, and a
coarse face stands for the fine ones that the flux passes: two in a row are in series, 1/(1/k_1 +
1/k_2), and what lies beside them is added in parallel, half where it belongs to two coarse faces.
With R = (1/2)^d P^T and the P that keeps the flux (`mgtheory.matrixfree.kernels.faces`) that stands
in for the Galerkin product, which would have 3^d points (R. E. Alcouffe, A. Brandt, J. E. Dendy, J.
W. Painter, SIAM J. Sci. Stat. Comput. 2 (1981) 430-454).

Smoothing is by polynomials in D^-1 A. Every row of it has the sum of moduli 2, less beside a
boundary, so that its spectrum lies in (0, 2) on every grid and whatever k is.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.matrixfree.kernel_level import KernelLevel, imported
from mgtheory.matrixfree.operators import OnGrid, as_grid, check_problem, places
from mgtheory.matrixfree.tables import CACHED, KEEP, SET, Grid
from mgtheory.multigrid.coarse import DirectSolver
from mgtheory.multigrid.doubts import JUMP
from mgtheory.multigrid.options import Options
from mgtheory.multigrid.transfer import INTERPOLATIONS, nested
from mgtheory.problems import tensor
from mgtheory.problems.grids import Boundary, Shape, choose_axes
from mgtheory.problems.problem import Problem
from mgtheory.problems.variable import variable_diagonals
from mgtheory.spectra.record import OperatorRecord

Array = NDArray[np.float64]
COARSEST = 1024  # unknowns up to which factors of A take less than the cycles below it


@dataclass(frozen=True, eq=False)
class FaceOperator(OnGrid):
    """-div(k grad u) on one grid, zero on the boundary.

    Attributes
    ----------
    shape, faces
        Unknowns per axis; k/h^2 on the faces by axis, one more than unknowns along it.
    coarse, index, problem, finest
        As of `mgtheory.matrixfree.operators.Operator`.
    """

    shape: Shape
    faces: tuple[Array, ...]
    coarse: Shape = ()
    index: int = 0
    problem: Problem | None = None
    finest: FaceOperator | None = None
    varies = True

    @property
    def numbers(self) -> tuple[Array, ...]:
        """What A is made of."""
        return self.faces

    @classmethod
    def of(cls, problem: Problem, shape: Any, h: Any) -> Self:
        """The finest operator of a problem; a ValueError where that is not supported."""
        check_problem(problem, shape, h)
        return cls(problem.shape, tuple(problem.equation.faces(problem.shape)), problem=problem)

    @property
    def diagonal(self) -> float:
        """That of D^-1 A, which the sweeps apply."""
        return 1.0

    @cached_property
    def couplings(self) -> tuple[float, ...]:
        """The mean coupling along each axis; 0 along one of a single unknown."""
        inner = (np.moveaxis(k, j, 0)[1:-1] for j, k in enumerate(self.faces))
        return tuple(float(k.mean()) if k.size else 0.0 for k in inner)

    def record(self, *, signed: bool = False) -> OperatorRecord:
        """The record of D^-1 A: b = 2 bounds the spectrum, a = b min_j s_j/(2 sum_j s_j) is where
        the high frequencies begin, s_j the couplings along the coarsened axes in the minimum and
        along all in the sum, as for matrices."""
        s = self.couplings
        coupled = [s[j] for j in self.axes or range(len(s)) if s[j] > 0.0]
        own = None if self.finest is not None or self.problem is None else self.problem.form
        return OperatorRecord(
            "problem",
            f"level {self.index} of {self.problem.name if self.problem else 'faces'}",
            2.0,
            min(coupled) / sum(s) if coupled else 1.0,
            scaling="diagonal",
            axes=self.axes or None,
            grid=self.shape,
            padding="dirichlet",
            found="the sums of the rows, a bound",
            form=own,
        )

    @cached_property
    def smooth(self) -> bool:
        """Whether no coefficient is `JUMP` times that of the next face along its axis."""
        for j, k in enumerate(self.faces):
            ratios = np.moveaxis(k, j, 0)[1:] / np.moveaxis(k, j, 0)[:-1]
            if ratios.max() > JUMP or ratios.min() < 1.0 / JUMP:
                return False
        return True

    def matrix(self) -> sp.csr_array:
        """A, as the coarsest grid is solved with."""
        diagonals = variable_diagonals(self.faces, self.shape, Boundary.DIRICHLET)
        return sp.csr_array(tensor.diagonals_to_dia(diagonals, self.shape))


def coarse_faces(faces: Sequence[Array], axes: Sequence[int]) -> tuple[Array, ...]:
    """The coefficients on the faces of the grid of every second point along the axes."""
    made = []
    for along, k in enumerate(faces):
        for j in axes:
            v = np.moveaxis(k, j, 0)
            if j == along:  # the last one of an even number of points has one face to the boundary
                one, two = v[: 2 * (v.shape[0] // 2) : 2], v[1::2]
                series = one / (1.0 + one / two)
                rest = v[2 * series.shape[0] :]
                v = np.concatenate([series, rest]) if rest.size else series
            else:
                v, rest = v[1::2] + 0.5 * v[: v.shape[0] - 1 : 2], v[2::2]
                v[: rest.shape[0]] += 0.5 * rest
            k = np.moveaxis(0.5 * v, 0, j)
        made.append(np.ascontiguousarray(k))
    return tuple(made)


@dataclass(frozen=True)
class FaceCoarsening:
    """How one grid's coefficients give the next one's, by ``axes`` and ``coarsest`` of the
    options."""

    options: Options

    def from_here(self, fine: FaceOperator) -> FaceOperator:
        """The operator with the shape of the grid below it."""
        chosen = choose_axes(fine.couplings, fine.shape, self.options.axes)
        halved = (n // 2 if j in chosen and n > 2 else n for j, n in enumerate(fine.shape))
        return replace(fine, coarse=tuple(halved))

    def next(self, fine: FaceOperator) -> FaceOperator | None:
        """The operator of the next coarser grid; None where no axis has one."""
        if not fine.axes or fine.size <= (self.options.coarsest or COARSEST):
            return None
        return self.from_here(below(fine))


def below(fine: FaceOperator) -> FaceOperator:
    """The operator on the next coarser grid."""
    faces, finest = coarse_faces(fine.faces, fine.axes), fine.finest or fine
    return replace(fine, shape=fine.coarse, faces=faces, index=fine.index + 1, finest=finest)


class FaceLevel(KernelLevel):
    """One grid of -div(k grad u): its faces, smoothing steps and workspace."""

    coarsest = "factors of A"

    def __init__(self, operator: FaceOperator, coarse: Shape | None, threads: int) -> None:
        super().__init__(operator.shape, coarse, threads)
        used = places(len(self.shape))
        self.faces = [np.zeros((2, *self.grid[1:])), np.zeros((0, 0, 0)), np.zeros((0, 0, 0))]
        for place, k in zip(used, operator.faces, strict=True):
            self.faces[place] = k.reshape(as_grid(k.shape))
        self.halved = tuple(place in {used[j] for j in operator.axes} for place in range(3))
        self.largest = 2.0 * max(float(k.max()) for k in operator.faces) * len(used)
        self._cubic: list[sp.csr_array | None] | None = None
        if coarse is None:
            inverse = DirectSolver(operator.matrix())
            self.direct = _OnGrid(inverse, self.grid)
            return
        self.aligned = nested(self.shape, coarse, Boundary.DIRICHLET)
        if self.aligned and operator.smooth:  # without kinks, as the coefficient
            pairs = zip(self.shape, coarse, strict=True)
            self._cubic = [None if n == m else _cubic(n, m) for n, m in pairs]

    @staticmethod
    @functools.cache
    def compiled() -> float:
        """See `KernelLevel.compiled`."""
        start = time.perf_counter()
        fine = FaceOperator((3,), (np.ones(4),), (1,))
        level, coarse = FaceLevel(fine, (1,), 1), FaceLevel(below(fine), None, 1)
        for each in (level, coarse):
            each.set_smoothing([], (0, 0))
            each.allocate()
        level.residual_square()
        return time.perf_counter() - start

    def _kernel(self) -> Callable[..., float]:
        run: Callable[..., float] = imported("faces").sweep_faces
        return run

    def _data(self, full: bool) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (*self.faces, *self.halved), ()

    def _tables(self) -> list[NDArray[Any]]:
        return list(self.faces)

    def _first(self, j: int) -> int:
        return 2 * j if self.halved[0] else j

    def down(self, r: None, start: int | None, *, full: bool = False) -> tuple[int, None]:
        """As of every level; the solution of the grid below is interpolated to its order in full
        multigrid, where it has no kinks."""
        if full and start == SET and self._cubic is not None:
            v = self.below.x.reshape(self.below.shape)
            for T in self._cubic:  # each axis is the first one once, and becomes the last
                if T is not None:
                    v = (T @ v.reshape(v.shape[0], -1)).reshape(-1, *v.shape[1:])
                v = np.moveaxis(v, 0, -1)
            self.x[...] = v.reshape(self.grid)
            start = KEEP
        return super().down(r, start, full=full)


@functools.lru_cache(maxsize=CACHED)
def _cubic(n: int, m: int) -> sp.csr_array:
    """Interpolation of solutions along an axis, kept for the next set-up."""
    return INTERPOLATIONS["cubic"](n, m, Boundary.DIRICHLET)


@dataclass(frozen=True)
class _OnGrid:
    """The inverse of the coarsest A on arrays of the shape of its grid."""

    inverse: DirectSolver
    grid: Grid

    def __call__(self, b: Array) -> Array:
        return self.inverse(b.reshape(-1)).reshape(self.grid)
