"""The result of a solve: the solution, the true residual norms and the reason why it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray

from mgtheory._html import html_table

SHOWN = 12  # cycles of a history in a notebook; of a longer one both ends


class Cycle(StrEnum):
    """The order in which levels are visited; FMG is one full multigrid pass followed by
    V-cycles."""

    V = "V"
    W = "W"
    F = "F"
    FMG = "FMG"


def check_cycle(cycle: str, *, without: tuple[Cycle, ...] = ()) -> Cycle:
    """The cycle by its name, or a ValueError that lists the allowed ones."""
    allowed = [c for c in Cycle if c not in without]
    if cycle not in allowed:
        raise ValueError(f"unknown cycle {cycle!r}, allowed are: {', '.join(allowed)}")
    return Cycle(cycle)


class Reason(StrEnum):
    """Why a solve ended.

    CONVERGED: ||b - A x||_2 <= tol ||b||_2. MAXITER: the allowed cycles are used up. DIVERGED: the
    residual grew to 1000 times its smallest value, or is not finite. STAGNATED: in 20 cycles it did
    not fall by 1 % (`message` says whether rounding is the cause). INCOMPATIBLE: A is singular and
    b has a component outside its range, so no x reaches the tolerance; x is then the least-squares
    solution.
    """

    CONVERGED = "converged"
    MAXITER = "maxiter"
    DIVERGED = "diverged"
    STAGNATED = "stagnated"
    INCOMPATIBLE = "incompatible"


def counted(count: int, step: str) -> str:
    """So many of a step, as "1 cycle" and "3 restarts of gmres(10)"."""
    return f"{count} {step if count == 1 else several(step)}"


def several(step: str) -> str:
    """The plural: "cycles", "restarts of gmres(10)"."""
    word, space, rest = step.partition(" ")
    return f"{word}s{space}{rest}"


@dataclass(frozen=True, eq=False, repr=False)
class Solution:
    """x with ||b - A x||_2 in `residual_norms`.

    Attributes
    ----------
    x
        The solution, shape (n,); orthogonal to the nullspace where A is singular.
    residual_norms
        True 2-norms of b - A x, before the first step and after each: one more than `iterations`.
    reason, message
        Why it ended, as a name and as a sentence.
    warnings
        What was noticed on the way, such as a smoother that amplifies because its lmax is too
        small.
    work_units
        Products with A on all levels, in units of one fine-grid product (weighted by non-zeros);
        residuals for the stopping test included.
    incompatibility
        ||component of b outside the range of A||_2; 0 where A is regular.
    setup_seconds, solve_seconds
        Wall-clock time of the hierarchy's set-up and of this solve.
    step
        What an iteration is: a cycle, a "step of cg", a "restart of gmres(10)".
    """

    x: NDArray[Any]
    residual_norms: tuple[float, ...]
    reason: Reason
    message: str
    warnings: tuple[str, ...] = ()
    work_units: float = 0.0
    incompatibility: float = 0.0
    setup_seconds: float = 0.0
    solve_seconds: float = 0.0
    step: str = "cycle"

    @property
    def converged(self) -> bool:
        """Whether the tolerance was reached."""
        return self.reason is Reason.CONVERGED

    @property
    def iterations(self) -> int:
        """Cycles that were run; of a Krylov method its steps, of gmres its restarts."""
        return len(self.residual_norms) - 1

    @property
    def factor(self) -> float:
        """Mean reduction of the residual norm per iteration, without the first one; NaN for fewer
        than two."""
        norms = self.residual_norms
        if len(norms) < 3 or norms[1] == 0.0:
            return float("nan")
        return float((norms[-1] / norms[1]) ** (1.0 / (len(norms) - 2)))

    def __repr__(self) -> str:
        first, last = self.residual_norms[0], self.residual_norms[-1]
        relative = f" ({last / first:.1e} of the first)" if first > 0 else ""
        done = counted(self.iterations, self.step)
        return f"Solution({self.reason}, {done}, residual {last:.2e}{relative})"

    def _repr_html_(self) -> str:
        """A row an iteration in notebooks: the residual, and what the iteration left of it."""
        norms = self.residual_norms
        ratios = [None, *(f"{b / a:.3f}" if a else None for a, b in pairwise(norms))]
        rows: list[list[Any]] = [
            [k, f"{norm:.2e}", ratio] for k, (norm, ratio) in enumerate(zip(norms, ratios))
        ]
        if len(rows) > SHOWN:
            rows[SHOWN // 2 : -SHOWN // 2] = [["…", None, None]]
        below = [repr(self), *(f"warning: {text}" for text in self.warnings)]
        return html_table([self.step, "‖b - A x‖₂", "ratio"], rows, below)
