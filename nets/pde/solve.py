"""Solving with the cycle of torch: iterations until the residual is small, as a hierarchy's."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from mgtheory.multigrid.base import MultigridSolver
from mgtheory.multigrid.solution import Solution
from mgtheory.multigrid.solve import Plan, Stop, check_sizes, drive
from mgtheory.problems.problem import Problem
from nets.defaults import own_defaults
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
        self.module = MultigridCycle(problem, **{"shared": False, **options})
        self.setup_seconds = time.perf_counter() - start

    def work_units(self, cycle: str) -> float:
        """Products with A in one cycle on all levels, in units of one on the finest."""
        return float(self.module.hierarchy().work_units(cycle))

    @own_defaults()
    def _solve(self, b: ArrayLike, x0: ArrayLike | None, stop: Stop, plan: Plan) -> Solution:
        if plan.cycle is not self.module.kind:
            raise ValueError(
                f"cycle is {plan.cycle}, the module was made for {self.module.kind};"
                " full multigrid is of its hierarchy()"
            )
        if any(np.iscomplexobj(np.asarray(v)) for v in (b, x0)):
            raise ValueError(
                "b or x0 is complex, this cycle takes real ones; mgtheory.Hierarchy takes both"
            )
        n = self.problem.unknowns
        for name, v in (("b", b), ("x0", x0)):
            if v is not None and np.size(v) != n:
                raise ValueError(
                    f"{name} has shape {np.shape(v)}, must be of shape ({n},) or that of the grid,"
                    f" {self.problem.shape}"
                )
        right, x = (
            torch.from_numpy(np.array(v, dtype=np.float64).reshape(self.problem.shape))
            for v in (b, np.zeros(np.shape(b)) if x0 is None else x0)
        )
        size, first = float(right.norm()), float(self.module.residual(right, x).norm())
        check_sizes(np.asarray(b, dtype=np.float64), size, first, zero=x0 is None)

        def step(_: list[float]) -> float:
            nonlocal x
            x = self.module(right, x)
            if self.problem.nullspace is not None:
                x = x - x.mean()
            return float(self.module.residual(right, x).norm())

        with torch.no_grad():
            ended = drive(step, first, size, stop)
        return Solution(
            x.numpy().reshape(np.shape(b)),
            *ended,
            # and that of the residual
            work_units=(len(ended.norms) - 1) * (self.work_units(plan.cycle) + 1),
        )

    def as_preconditioner(self, cycle: str = "V", *, symmetric: bool = True) -> Any:
        """The sparse twin of the module as a preconditioner of SciPy's methods."""
        return self.module.hierarchy().as_preconditioner(cycle, symmetric=symmetric)

    def __str__(self) -> str:
        return str(self.module.hierarchy())
