"""Cycles in float32 under residuals in float64: iterative refinement, in which multigrid is the
solver of the shorter type (D. Göddeke, R. Strzodka, S. Turek, Int. J. Parallel Emergent Distrib.
Syst. 22 (2007) 221-256).

Solved is A e = b - A x, with b - A x in float64 and e in float32, both scaled to numbers about 1.
One residual in float64 serves several cycles: they go on, on x + e, while the residual that they
compute themselves is well above what rounding leaves of it, about eps |A| |e|. So the cycles are
those of float64 but for rounding, and take half of the memory and of the instructions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgtheory.matrixfree.cycle import Levels, correct_below, run_cycle, run_full_multigrid
from mgtheory.matrixfree.level import StencilLevel
from mgtheory.matrixfree.operators import symbol_values
from mgtheory.matrixfree.tables import KEEP, ZERO
from mgtheory.multigrid.loop import Plan
from mgtheory.multigrid.solution import Cycle

EPS = float(np.finfo(np.float32).eps)
# times the rounding of a residual in float32: down to the first its norm is that in float64 to one
# per cent, and the next cycle is to end above; a first cycle that ends below the second has no
# digits to give
CLEAR, LOST = 8.0, 2.0
SLOW = 0.8  # of the norm before: a cycle that leaves more may be held up by rounding
USUAL = 0.1  # what a cycle leaves where the last one does not tell
FITS = 0.05  # largest eps cond(A) with which cycles from a smooth start are in float32


def _power(size: float) -> float:
    """The power of two beside a size, 1 where there is none."""
    return 2.0 ** round(math.log2(size)) if 0.0 < size < math.inf else 1.0


class Refinement:
    """The levels of a hierarchy once more, for A over a power of two in float32.

    Attributes
    ----------
    fits
        Whether float32 has digits for the residual of a smooth x.
    serves
        Whether cycles in float32 reduce the residual; False once it has turned out that a solution
        leaves them no digits, as a smooth one on a grid that is too fine for the type.
    products
        With A on the finest grid since the beginning, beside those of cycles from 0 and of the
        norms after them: residuals in float64, and those that a cycle on e begins with.
    """

    products = 0

    def __init__(self, levels: list[StencilLevel]) -> None:
        levels[0].residuals_only = True
        self.exact, self.unit = levels[0], _power(levels[0].diagonal)
        self.levels: list[Any] = [level.single(self.unit) for level in levels]
        for level, below in zip(self.levels, self.levels[1:]):
            level.below = below
        self.serves = True
        # cosines of the smoothest function on the grid
        smooth = [2.0 * np.cos(np.full(1, np.pi / (n + 1))) for n in self.exact.grid]
        lowest = float(symbol_values(self.exact.c, smooth).item())
        self.fits = EPS * self.exact.largest <= FITS * lowest

    @property
    def memory_bytes(self) -> int:
        """Of the levels."""
        return sum(level.memory_bytes for level in self.levels)

    # ------------------------------------------------------------ e = 0 for a new residual

    def _begun(self, size: float, *, passing: bool = False) -> float:
        """The factor of the next residual, whose norm is about `size`, or of a solution's of such a
        right-hand side if `passing`."""
        self.scale = _power(size / math.sqrt(self.exact.size))
        self.start, self.restricted = ZERO, False
        self.cycles, self.last = 0, 0.0 if passing else size
        return 1.0 / self.scale

    def begin(self, size: float, *, zero: bool) -> None:
        """Take the residual of x, of norm `size`; x is 0 if `zero`."""
        unit = self._begun(size)
        self.exact.refine(None, 0.0, self.levels[0].b, unit)
        self.products = int(not zero)

    def begin_pass(self, levels: Levels, plan: Plan, size: float, *, restricted: bool) -> float:
        """x interpolated from the second grid, where a full multigrid pass of V-cycles has ended,
        one on each grid, and its residual; the norm after the first cycle. `size` is ||b||."""
        run_full_multigrid(levels, plan, restricted=restricted, again=True, finest=1)
        finest, below = self.levels[:2]
        unit, self.products = self._begun(size, passing=True), 0
        corrected = correct_below(levels, 0, loaded=plan.loads is not None)
        self.exact.interpolate(finest.b, unit, restrict=not corrected)
        if corrected:
            return self._smoothed(finest.sweep(ZERO, finest.after, norm=True, to=below.b))
        below.take(levels[1].b, unit)
        self.restricted = not finest.smooths_before
        return self.cycle(plan.inner, full=True)

    # ------------------------------------------------------------ cycles on e, and x + e

    def cycle(self, kind: Cycle, *, full: bool = False) -> float:
        """One cycle on e; ||b - A (x + e)||_2 as float32 has it."""
        self.products += self.start == KEEP and not self.restricted
        square = run_cycle(
            self.levels,
            kind,
            start=self.start,
            norm=True,
            restricted=self.restricted,
            full=full,
        )
        return self._smoothed(square)

    def _smoothed(self, square: float) -> float:
        """The norm, where a cycle has ended at its square in units of `scale`."""
        self.start, self.restricted = KEEP, not self.levels[0].smooths_before
        return math.sqrt(square) * self.scale

    def ended(self, norm: float) -> bool:
        """Whether the residual of x + e, which the last cycle has left at `norm`, is to be taken in
        float64: rounding has a part in it, or cycles reduce it no more."""
        finest = self.levels[0]
        rounding = EPS * finest.largest * norm_of(finest.x) * self.scale
        factor = norm / self.last if self.last else USUAL
        if not self.cycles:
            self.serves = norm > LOST * rounding
        self.last, self.cycles = norm, self.cycles + 1
        return not (factor < SLOW and factor * norm > CLEAR * rounding)

    def refine(self, norm: float) -> float:
        """x += e, and the residual of that, which cycles expect at `norm`; its norm."""
        e, factor = self.levels[0].x, self.scale / self.unit
        square = self.exact.refine(e, factor, self.levels[0].b, self._begun(norm))
        self.products += 1
        found = math.sqrt(square)
        self.serves = self.serves and found <= 1.25 * norm
        return found

    def finish(self) -> None:
        """x += e, where a cycle was the last."""
        if self.start == KEEP:
            self.refine(self.last)

    # ------------------------------------------------------------ a cycle by itself

    def apply(self, r: NDArray[np.float64], kind: Cycle, *, out: NDArray[np.float64]) -> None:
        """out = the correction of one cycle for the residual r, shape of the grid."""
        finest = self.levels[0]
        largest = float(np.abs(r).max(initial=0.0))  # squares may leave the range
        finest.take(r, self._begun(largest * math.sqrt(r.size)))
        run_cycle(self.levels, kind)
        e, factor = finest.x[..., : r.shape[2]], self.scale / self.unit
        np.multiply(e, factor, out=out, dtype=np.float64)


def norm_of(x: NDArray[np.float32]) -> float:
    """||x||_2, from some sixteen planes."""
    part = x[:: max(1, x.shape[0] // 16)]
    return float(np.linalg.norm(part)) * math.sqrt(x.shape[0] / part.shape[0])
