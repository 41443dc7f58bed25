"""Solving with the cycle of torch: iterations until the residual is small, as a hierarchy's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from mgtheory.multigrid.solution import Solution
from mgtheory.multigrid.solve import Stop, drive
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.problem import Problem
from nets.pde.cycle import MultigridCycle


class TorchHierarchy:
    """A `MultigridCycle` with the solving loop of a hierarchy around it.

    Parameters
    ----------
    problem, smoother, degree, cycle, **options
        Of `MultigridCycle`.

    Attributes
    ----------
    module
        The cycle.
    setup_seconds
        What it took to build it.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        smoother: ResidualPolynomial | str = "chebyshev",
        degree: int | None = None,
        cycle: str = "V",
        **options: Any,
    ) -> None:
        start = time.perf_counter()
        self.problem = problem
        self.module = MultigridCycle(
            problem, smoother=smoother, degree=degree, cycle=cycle, **options
        )
        self.setup_seconds = time.perf_counter() - start

    def work_units(self, cycle: str) -> float:
        """Products with A in one cycle on all levels, in units of one on the finest."""
        return float(self.module.hierarchy().work_units(cycle))

    def solve(
        self,
        b: ArrayLike,
        *,
        tol: float = 1e-8,
        maxiter: int = 100,
        cycle: str = "V",
        callback: Callable[[int, float], None] | None = None,
    ) -> Solution:
        """Cycles from 0 until ||b - A x||_2 <= tol ||b||_2.

        Parameters
        ----------
        b
            Shape of the grid, or flat.
        tol, maxiter
            Relative tolerance on the true residual's 2-norm, and the most cycles allowed.
        cycle
            What the module runs, which counts its work.
        callback
            Called with the number of cycles and the residual's norm, also before the first one.
        """
        start = time.perf_counter()
        right = torch.from_numpy(np.array(b, dtype=np.float64).reshape(self.problem.shape))
        x, first = torch.zeros_like(right), float(right.norm())

        def step(_: list[float]) -> float:
            nonlocal x
            x = self.module(right, x)
            if self.problem.nullspace is not None:
                x = x - x.mean()
            return float(self.module.residual(right, x).norm())

        with torch.no_grad():
            ended = drive(step, first, first, Stop(tol, maxiter, callback))
        return Solution(
            x.numpy().reshape(np.shape(b)),
            ended.norms,
            ended.reason,
            ended.message,
            # and that of the residual
            work_units=(len(ended.norms) - 1) * (self.work_units(cycle) + 1),
            setup_seconds=self.setup_seconds,
            solve_seconds=time.perf_counter() - start,
        )

    def as_preconditioner(self, cycle: str, *, symmetric: bool = True) -> Any:
        """The sparse twin of the module as a preconditioner of SciPy's methods."""
        return self.module.hierarchy().as_preconditioner(cycle, symmetric=symmetric)

    def __str__(self) -> str:
        return str(self.module.hierarchy())
