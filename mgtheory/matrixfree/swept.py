"""`SweptLevel`: one grid as the cycles see it, whatever computes its sweeps: compiled kernels
(`mgtheory.matrixfree.kernel_level`) or a device (`nets.pde.levels`)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mgtheory.matrixfree.tables import ADD, KEEP, SET, ZERO, Grid
from mgtheory.problems.grids import Shape

Array = NDArray[np.float64]


def joined(factors: list[Array], limit: float) -> list[Array]:
    """Sweeps of whole factors (their steps, shape (k, 2)), of at most `limit` steps where none is
    longer; at least one sweep, possibly of no steps."""
    sweeps: list[list[Array]] = [[]]
    for steps in factors:
        if sweeps[-1] and sum(map(len, sweeps[-1])) + len(steps) > limit:
            sweeps.append([])
        sweeps[-1].append(steps)
    return [np.concatenate([np.empty((0, 2)), *parts]) for parts in sweeps]


class SweptLevel(ABC):
    """One grid: its smoothing steps, and down- and up-leg as sweeps. A kind of it adds the sweep.

    A level as `mgtheory.multigrid.cycle` asks for it: right-hand side and solution stay in its own
    b and x, and what is handed around says how x stands: KEEP, or ZERO where it is still 0 and was
    not written.

    Attributes
    ----------
    grid
        The shape as (planes, rows, columns).
    before, after, counts
        Smoothing steps before and after the coarse-grid correction, cut into sweeps; how many
        smoothings they are.
    x, b
        Solution and right-hand side, shape `grid`; on the finest grid the caller's arrays, during a
        solve alone.
    below
        The level of the next coarser grid.
    largest
        The largest |entry| of A, or a bound of it.
    aligned
        Whether the coarse points are a uniform grid, which other right-hand sides fit.
    coarsest
        How the coarsest grid is solved, in words.
    defect_known
        Whether `subtract_product` can be asked.
    shift
        What is added to the correction from the grid below, as a multiple of its b: beta of
        `mgtheory.matrixfree.shift`.
    square
        ||b - A x||_2^2, where the last `up` was asked for it.
    """

    shape: Shape
    coarse: Shape | None
    grid: Grid
    counts: tuple[int, int]
    same: bool
    before: list[Array]
    after: list[Array]
    x: Any
    b: Any
    below: Any
    largest: float
    square: Any
    aligned = True
    defect_known = False
    shift = 0.0
    coarsest: ClassVar[str]

    @abstractmethod
    def cut(self, factors: list[Array]) -> list[Array]:
        """Join the steps of factors to sweeps; at least one, possibly of no steps."""

    @abstractmethod
    def sweep(
        self,
        start: int,
        sweeps: list[Array],
        *,
        e: Any = None,
        full: bool = False,
        to: Any = None,
        write: int = 1,
        norm: bool = False,
    ) -> Any:
        """Run the sweeps from `start` (KEEP, ZERO, or P e by SET, x + P e by ADD), the last with
        restriction to `to` and the residual's square sum.

        `write` is 0 where x stays, 1 where it is overwritten, 2 where the result is added to it.
        """

    @abstractmethod
    def fitted(self, given: Any, name: str) -> Any:
        """A right-hand side of a user, called `name`, as the level keeps it."""

    @abstractmethod
    def solve(self, r: None = None, *, add: bool = False) -> int:
        """x = A^-1 b on the coarsest grid, or x += A^-1 b."""

    @abstractmethod
    def add_b(self, factor: float) -> None:
        """x += factor b."""

    def set_smoothing(
        self, before: list[Array], counts: tuple[int, int], after: list[Array] | None = None
    ) -> None:
        """Give the level the steps of its smoothing before and after the coarse-grid correction
        (the same by default), and how often each is done."""
        self.counts, self.same = counts, after is None or after is before
        self.before = self.cut(counts[0] * before)
        self.after = self.cut(counts[1] * (before if after is None else after))

    @property
    def size(self) -> int:
        """Unknowns."""
        return math.prod(self.grid)

    @property
    def products(self) -> int:
        """Products with A of the smoothings of a visit: their steps."""
        return sum(map(len, [*self.before, *self.after]))

    @property
    def weight(self) -> int:
        """What a product with A costs, in unknowns."""
        return self.size

    @property
    def smooths_before(self) -> bool:
        """Whether anything is done before the coarse-grid correction."""
        return any(len(steps) for steps in self.before)

    @property
    def smoothing(self) -> str:
        """Products with A before + after the correction, and its shift, in words."""
        shifted = ", shifted" if self.shift else ""
        return f"degree {sum(map(len, self.before))} + {sum(map(len, self.after))}{shifted}"

    def down(self, r: None, start: int | None, *, full: bool = False) -> tuple[int, None]:
        """Smooth, and restrict the residual to the b of the grid below, in one sweep."""
        stands = ZERO if start is None else start
        write = self.smooths_before or stands == SET
        below = self.below
        self.sweep(stands, self.before, e=below.x, full=full, to=below.b, write=int(write))
        return (KEEP if write else stands), None

    def up(
        self,
        state: int,
        coarse: int = KEEP,
        *,
        norm: bool = False,
        to: Any = None,
        full: bool = False,
        add: bool = False,
    ) -> int:
        """Add the interpolated correction, shifted if it is linear, and smooth, in one sweep.

        Parameters
        ----------
        norm
            Take the square sum of the residual: `square`.
        to
            Restrict the residual to it.
        full
            Interpolate cubically.
        add
            Add the result to what x holds.
        """
        if self.shift and not full:
            self.below.add_b(self.shift)
        start, write = ADD if state == KEEP else SET, 1 + add
        self.square = self.sweep(
            start, self.after, e=self.below.x, full=full, norm=norm, to=to, write=write
        )
        return KEEP

    def residual_square(self, start: int = KEEP, *, norm: bool = True, to: Any = None) -> Any:
        """||b - A x||_2^2 if `norm` (||b||_2^2 from ZERO); restricts the residual to `to`."""
        return self.sweep(start, [np.empty((0, 2))], write=0, norm=norm, to=to)

    def subtract_product(self, below: Any) -> None:
        """below.b -= R A P below.x, with this level's A and the P of solutions, on the coarse grid
        alone; where `defect_known`."""
        raise NotImplementedError
