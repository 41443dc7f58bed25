"""The cycle in which a smoother is learned: its grids, its error operator on them, the polynomials
that a descent starts from, and the factor that a run measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mgtheory.families import get_family
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.nullspace import without
from mgtheory.multigrid.solution import Cycle, check_cycle
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.problem import Problem
from mgtheory.smoothers import Polynomial
from mgtheory.spectra.record import OperatorRecord
from nets.pde.cycle import CYCLES, MultigridCycle, reduction
from nets.pde.energy import EnergyCycle
from nets.pde.error import ErrorOperator, smoothing
from nets.pde.modes import ModalCycle

Float = NDArray[np.float64]


@dataclass(frozen=True)
class LearnedCycle:
    """The cycle in which something is learned: its grids and its error operator, and what
    polynomials are on them. Of several ones the order is that of `ErrorOperator.legs`.

    Attributes
    ----------
    hierarchy, operator
        The sparse solver's, smoothed by the start; E of the cycle.
    around, options
        The numbers of smoothings; options of `MultigridCycle` with which it computes the same
        cycle, None where it cannot.
    """

    problem: Any
    hierarchy: Hierarchy
    operator: ErrorOperator
    per: str
    kind: Cycle
    around: Mapping[str, int]
    options: Mapping[str, Any] | None

    @classmethod
    def of(
        cls,
        problem: Any,
        degree: int,
        start: ResidualPolynomial | str,
        *,
        per: str,
        around: Mapping[str, int],
        options: dict[str, Any],
    ) -> LearnedCycle:
        """From what `learn_smoother` is given."""
        kind = check_cycle(options.pop("cycle", "V"), without=(Cycle.FMG,))
        of_torch = {"parameterisation": options.pop("parameterisation", "weights"), "cycle": kind}
        named = None if isinstance(start, ResidualPolynomial) else degree
        hierarchy = Hierarchy.build(problem, smoother=start, degree=named, **around, **options)
        if len(hierarchy.levels) == 1:
            raise ValueError(
                f"the grid {hierarchy.levels[0].shape} has no coarser one: give a larger grid, or"
                " coarsest=, up to how many unknowns are solved directly"
            )
        how: dict[str, Any] = {**around, "kind": kind, "per": per}
        of_torch = {**around, **of_torch, **options}
        operator: ErrorOperator
        if _convolves(problem, start, named, of_torch):
            operator = ModalCycle(problem, hierarchy, degree, **how)
            return cls(problem, hierarchy, operator, per, kind, around, of_torch)
        operator = EnergyCycle(hierarchy, degree, **how)
        return cls(problem, hierarchy, operator, per, kind, around, None)

    @cached_property
    def records(self) -> list[OperatorRecord]:
        """Of BA on all levels but the coarsest one."""
        return [level.record(smoothing(level).B) for level in self.hierarchy.levels[:-1]]

    @property
    def scaling(self) -> str:
        """That of B, by its name."""
        return self.records[0].scaling or "auto"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an error, as the measured cycle takes it."""
        levels = self.hierarchy.levels
        return (levels[0].size,) if self.options is None else self.problem.shape

    def starts(
        self, start: ResidualPolynomial | str, also: Sequence[str], degree: int
    ) -> dict[str, list[ResidualPolynomial]]:
        """The start's polynomials first, then those of the families that exist here."""
        levels = self.hierarchy.levels[:-1]
        starts = {"start": self._sets([smoothing(level).polynomial for level in levels])}
        for family in [get_family(name).name for name in also]:
            with suppress(ValueError):  # it has no such degree, or none for this problem
                starts[family] = self._sets(self._of_family(family, degree))
        if self.per == "leg" and all(self.around.values()):
            # equal legs have equal gradients, and would stay equal: two that together have the
            # roots of one polynomial of twice the degree
            for name in [start, *also] if isinstance(start, str) else also:
                with suppress(ValueError):
                    pairs = [np.sort(q.roots.real) for q in self._of_family(name, 2 * degree)]
                    halves = [roots[k::2] for k in range(2) for roots in pairs]
                    starts[f"{name}, halved"] = [ResidualPolynomial(half) for half in halves]
        return starts

    def _of_family(self, family: str, degree: int) -> list[ResidualPolynomial]:
        named = Polynomial(family, degree, scaling=self.scaling)
        made = self.hierarchy.with_smoothers(named, **self.around)
        return [smoothing(level).polynomial for level in made.levels[:-1]]

    def _sets(self, of_levels: list[ResidualPolynomial]) -> list[ResidualPolynomial]:
        if self.per == "cycle":
            return of_levels[:1]
        return of_levels if self.per == "level" else of_levels * 2

    def on_levels(self, polynomials: list[ResidualPolynomial]) -> list[list[ResidualPolynomial]]:
        """Before and after the correction, each with the record of its BA."""
        legs = self.operator.legs(polynomials)
        return [[q.of(r) for q, r in zip(leg, self.records)] for leg in legs]

    def solver(self, polynomials: list[ResidualPolynomial]) -> Hierarchy:
        """The sparse solver's hierarchy, smoothed by these."""
        before, after = self.on_levels(polynomials)
        return self.hierarchy.with_smoothers(
            lambda level: before[level.index], lambda level: after[level.index], **self.around
        )

    def module(self, polynomials: list[ResidualPolynomial]) -> MultigridCycle | None:
        """The cycle in convolutions, or None."""
        if self.options is None:
            return None
        shared = self.per == "cycle"
        made = MultigridCycle(self.problem, smoother=polynomials[0], shared=shared, **self.options)
        if not shared:
            made.set_polynomials(*self.operator.legs(polynomials))
        return made

    def error(self) -> Tensor:
        """The one that factors are measured with, which is in no loss but by chance."""
        return torch.randn(self.shape, generator=_held_out(), dtype=torch.float64)

    def measured(self, polynomials: list[ResidualPolynomial]) -> float:
        """The convergence factor as a run measures it, from `error`."""
        module = self.module(polynomials)
        if module is not None:
            return module.convergence_factor(generator=_held_out())
        return measured_factor(self.solver(polynomials), self.error().numpy(), self.kind)


def _held_out() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def measured_factor(hierarchy: Hierarchy, e: Float, kind: Cycle = Cycle.V) -> float:
    """As `MultigridCycle.convergence_factor` measures it, of the sparse solver's cycle from the
    error e, shape (n,)."""
    A, N = hierarchy.levels[0].A, hierarchy.nullspace

    def projected(e: Float) -> Tensor:
        return torch.from_numpy(e if N is None else without(N, e))

    def reduced(e: Tensor) -> Tensor:
        return projected(e.numpy() - hierarchy.apply(A @ e.numpy(), kind))

    return float(reduction(reduced, projected(e), CYCLES))


def _convolves(problem: Any, start: Any, degree: int | None, given: dict[str, Any]) -> bool:
    """Whether `MultigridCycle` has the problem and all options of a hierarchy that exists."""
    if not isinstance(problem, Problem):
        return False
    with suppress(ValueError):
        MultigridCycle(problem, smoother=start, degree=degree, **given)
        return True
    return False
