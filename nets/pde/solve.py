"""Solving with the cycle of torch: iterations until the residual is small, as a hierarchy's."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mgtheory.multigrid.base import MultigridSolver
from mgtheory.multigrid.cycle import step_products
from mgtheory.multigrid.fitted import check_sizes
from mgtheory.multigrid.given import same_matrix
from mgtheory.multigrid.loop import Plan, Stop, drive
from mgtheory.multigrid.solution import Cycle, Solution
from mgtheory.problems.problem import Problem
from nets.defaults import own_defaults
from nets.models.checks import as_tensor
from nets.pde.cycle import MultigridCycle


class TorchHierarchy(MultigridSolver):
    """A `MultigridCycle` with the solving loop of a hierarchy around it, which runs the module's
    own kind of cycle.

    Parameters
    ----------
    problem, options
        Of `MultigridCycle`; coefficients are not shared here, so that the default smoother is that
        of `mgtheory.Hierarchy`.

    Attributes
    ----------
    module
        The cycle.
    setup_seconds
        What it took to build it.
    """

    def __init__(self, problem: Problem, **options: Any) -> None:
        start = time.perf_counter()
        self.problem = problem
        if options.get("cycle") == Cycle.FMG:  # which is followed by V-cycles
            options["cycle"] = Cycle.V
        self.module = MultigridCycle(problem, **{"shared": False, **options})
        self.setup_seconds = time.perf_counter() - start

    def work_units(self, cycle: str = "V") -> float:
        """Products with A in one cycle on all levels, in units of one on the finest."""
        return float(self.module.hierarchy().work_units(cycle))

    def solves(self, given: Any) -> bool:
        """Whether the A of a problem, or a sparse matrix, is that of this one up to rounding."""
        return same_matrix(given, self.problem)

    @own_defaults()
    def _solve(self, b: ArrayLike, x0: ArrayLike | None, stop: Stop, plan: Plan) -> Solution:
        passing = plan.cycle is Cycle.FMG
        if plan.repeated is not self.module.kind:
            raise ValueError(
                f"cycle is {plan.repeated}, the module was made for {self.module.kind};"
                " make one for the other"
            )
        if passing and x0 is not None:
            raise ValueError("an FMG cycle starts from 0, x0 must be None; with x0 take V, W or F")
        right = self._taken(b, "b")
        x = torch.zeros_like(right) if x0 is None else self._taken(x0, "x0")
        size, first = float(right.norm()), float(self.module.residual(right, x).norm())
        check_sizes(right.numpy(), size, first, zero=x0 is None)

        def step(norms: list[float]) -> float:
            nonlocal x
            if passing and len(norms) == 1:
                x = self.module.full_multigrid(right, cycles=plan.cycles, loads=plan.loads)
            else:
                x = self.module(right, x)
            if self.problem.nullspace is not None:
                x = x - x.mean()
            return float(self.module.residual(right, x).norm())

        with torch.no_grad():
            ended = drive(step, first, size, stop)
        return Solution(
            x.numpy().reshape(np.shape(b)),
            *ended,
            work_units=self._work(len(ended.norms) - 1, plan),
        )

    def _taken(self, given: ArrayLike, name: str) -> Tensor:
        """A real vector, or a function of the grid, as a tensor on the grid."""
        v, n, grid = as_tensor(given, name), self.problem.unknowns, self.problem.shape
        if tuple(v.shape) not in ((n,), (n, 1), grid):
            raise ValueError(
                f"{name} has shape {tuple(v.shape)}, must be of shape ({n},) or that of the grid,"
                f" {grid}"
            )
        return v.detach().to("cpu", torch.float64, copy=True).reshape(grid)

    def _work(self, steps: int, plan: Plan) -> float:
        """Products with A of `steps` steps, those of the residuals included."""
        twin = self.module.hierarchy()  # its matrices take longer than a cycle: made once
        own = step_products(twin.levels, plan, passing=False)
        if plan.cycle is not Cycle.FMG or not steps:
            return steps * own
        return step_products(twin.levels, plan, passing=True) + (steps - 1) * own

    def as_preconditioner(self, cycle: str = "V", *, symmetric: bool = True) -> Any:
        """The sparse twin of the module as a preconditioner of SciPy's methods."""
        return self.module.hierarchy().as_preconditioner(cycle, symmetric=symmetric)

    def __str__(self) -> str:
        return str(self.module.hierarchy())
