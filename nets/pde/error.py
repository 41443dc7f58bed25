"""The error operator E of a cycle as a function of the coefficients of its smoothing polynomials:
the unknowns that are learned, and a level made of linear maps.

`nets.pde.modes` has E in the eigenvectors of constant operators, `nets.pde.energy` on the grids of
any hierarchy. The unknowns are those of `mgtheory.polynomials.series`, one set of coefficients for
all levels or one for each level and leg.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mgtheory.fourier.descent import LeastMaximum, minimise_maximum
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.smoothings import PolynomialSmoothing
from mgtheory.multigrid.solution import Cycle
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.series import coefficients, from_coefficients
from nets.pde.cycle import CYCLES, reduction

Float = NDArray[np.float64]
Map = Callable[[Any], Any]

# whose coefficients are one set -> which set smooths before and which after on level l of so many
SETS: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "cycle": lambda l, count: (0, 0),
    "level": lambda l, count: (l, l),
    "leg": lambda l, count: (l, count + l),
}
# relative asymmetry that is rounding
SYMMETRIC = 1e-10


class Watch:
    """Follows a descent: counts its cycles, and keeps the best coefficients that it met.

    Parameters
    ----------
    progress
        Called with the number of cycles so far and the smallest loss in words.

    Attributes
    ----------
    c, value
        The coefficients with the smallest loss, shape (n,), and that loss; None and infinite before
        the first.
    """

    def __init__(self, progress: Callable[[int, str], None] | None = None) -> None:
        self.progress, self.cycles = progress, 0
        self.c: Float | None = None
        self.value = math.inf

    def ran(self, cycles: int) -> None:
        """So many more."""
        self.cycles += cycles
        if self.progress is not None:
            self.progress(self.cycles, f"loss {self.value:.4g}" if self.c is not None else "")

    def reached(self, c: Float, value: float) -> None:
        """The loss of these coefficients."""
        if value < self.value:
            self.c, self.value = np.array(c), float(value)


class ErrorOperator(ABC):
    """e -> E e of a cycle with given coefficients. A kind of it adds `map`, `pieces`, `expand` and
    `project`.

    Parameters
    ----------
    hierarchy
        Of the sparse solver, smoothed by polynomials.
    degree, pre, post, kind
        Of the smoothing polynomials, and as for `nets.MultigridCycle`.
    per
        What has a set of coefficients of its own, a name of `SETS`.

    Attributes
    ----------
    sets
        How many sets of coefficients there are.
    unknowns
        How many independent errors.
    bounds
        b of the BA of each level that smooths.
    watch
        Hears of cycles and of losses.
    """

    # its largest eigenvalues are found by products with it, however large it is
    iterative: ClassVar[bool] = False
    unknowns: int

    def __init__(
        self,
        hierarchy: Hierarchy,
        degree: int,
        *,
        pre: int,
        post: int,
        kind: Cycle = Cycle.V,
        per: str = "cycle",
    ) -> None:
        self.pre, self.post, self.kind, self.degree = pre, post, kind, degree
        self.watch = Watch()
        count = len(hierarchy.levels) - 1
        self.which = [SETS[per](l, count) for l in range(count)]
        self.sets = 1 + max(after for _, after in self.which)
        self.bounds = [
            level.smoothing_interval(smoothing(level).B)[1] for level in hierarchy.levels[:-1]
        ]

    @abstractmethod
    def map(self, c: Tensor) -> Callable[[Tensor], Tensor]:
        """e -> E e for coefficients of shape (..., sets, degree) and errors as `expand` has them,
        in a batch before."""

    @abstractmethod
    def pieces(self, c: Float) -> tuple[Float, Float]:
        """The largest |eigenvalues| and their gradients, shapes (m,) and (m, sets * degree)."""

    def minimise(self, c: Float, iterations: int, tolerance: float) -> LeastMaximum:
        """A local minimum of the spectral radius, from a start and never above it, in about so many
        iterations."""

        def watched(c: Float) -> tuple[Float, Float]:
            found = self.pieces(c)
            self.watch.reached(c, found[0].max())
            return found

        return minimise_maximum(watched, c, iterations, tolerance=tolerance)

    @property
    @abstractmethod
    def entries(self) -> int:
        """Numbers in the sums by which all of E is had."""

    @abstractmethod
    def matrices(self, c: Tensor) -> Tensor:
        """E as diagonal blocks, shape (blocks, size, size)."""

    @abstractmethod
    def expand(self, e: Tensor) -> Tensor:
        """A grid function in the unknowns of E."""

    @abstractmethod
    def project(self, e: Tensor) -> Tensor:
        """e without its part in the nullspace of A, which is no error."""

    def __call__(self, c: Tensor, e: Tensor) -> Tensor:
        """E e for coefficients of shape (..., sets, degree) and a batch of errors e."""
        return self.map(c)(e)

    def factors(self, c: Float, e: Tensor) -> list[float]:
        """As `MultigridCycle.convergence_factor` measures it from the grid function e, of each of
        several coefficients, shape (m, sets * degree)."""
        sets = torch.from_numpy(np.array(c)).reshape(len(c), self.sets, self.degree)
        first = self.project(self.expand(e))
        found: list[float] = reduction(self.map(sets), first, CYCLES).ravel().tolist()
        return found

    def coefficients(self, polynomials: Sequence[ResidualPolynomial]) -> Float:
        """c, shape (sets * degree,), of the polynomials of each set, for the BA of the first level
        that it serves."""
        return np.concatenate([coefficients(q, b) for q, b in zip(polynomials, self._own_bounds)])

    def polynomials(self, c: Float) -> list[ResidualPolynomial]:
        """The inverse."""
        sets = c.reshape(self.sets, self.degree)
        return [from_coefficients(row, b) for row, b in zip(sets, self._own_bounds)]

    @property
    def _own_bounds(self) -> list[float]:
        count = len(self.bounds)
        return [self.bounds[k % count] for k in range(self.sets)]

    def legs(
        self, polynomials: Sequence[ResidualPolynomial]
    ) -> tuple[list[ResidualPolynomial], list[ResidualPolynomial]]:
        """The polynomials before and after the coarse-grid correction, for the BA of each level."""
        own = self._own_bounds
        before, after = (
            [
                polynomials[k] if own[k] == b else polynomials[k].scaled(b / own[k])
                for k, b in zip((pair[leg] for pair in self.which), self.bounds)
            ]
            for leg in range(2)
        )
        return before, after


def smoothing(level: Any) -> PolynomialSmoothing:
    """The polynomial that smooths on a level of a sparse hierarchy, before or else after.

    Raises
    ------
    ValueError
        For another smoother.
    """
    found = level.pre or level.post
    if not isinstance(found, PolynomialSmoothing):
        raise ValueError(
            f"level {level.index}: what is learned is a polynomial in BA, the level is smoothed by"
            f" {getattr(found, 'label', None)}; give a ResidualPolynomial or the name of a family"
        )
    return found


@dataclass(frozen=True)
class Smoothed:
    """One level as `mgtheory.multigrid.cycle` asks for it: A, what smooths before and after, so
    often each, and the transfers, as linear maps."""

    A: Map
    before: Map
    after: Map
    restrict: Map
    interpolate: Map
    pre: int
    post: int

    def down(self, r: Any, start: Any) -> tuple[Any, Any]:
        """Smooth A e = r, and restrict the residual."""
        e = start
        for _ in range(self.pre):
            e = self.before(r) if e is None else e + self.before(r - self.A(e))
        return (r, e), self.restrict(r if e is None else r - self.A(e))

    def up(self, state: Any, coarse: Any) -> Any:
        """Add the interpolated correction and smooth."""
        r, e = state
        step = self.interpolate(coarse)
        e = step if e is None else e + step
        for _ in range(self.post):
            e = e + self.after(r - self.A(e))
        return e


@dataclass(frozen=True)
class Solved:
    """The coarsest level: r -> A^-1 r."""

    solve: Map
