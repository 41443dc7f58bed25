"""What the solvers are measured against: PyAMG at its best, and the direct solution by a fast sine
transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyamg
import scipy.fft
import scipy.sparse as sp

from mgtheory.problems.problem import Problem

TOL = 1e-8


def sine_transform(problem: Problem) -> np.ndarray:
    """A^-1 b by scipy.fft's fast sine transform: the direct solver for the 2d + 1 points with
    Dirichlet boundaries."""
    values = [
        4.0 / h**2 * np.sin(0.5 * np.pi * h * np.arange(1, n + 1)) ** 2
        for n, h in zip(problem.shape, problem.h, strict=True)
    ]
    grid = sum(
        v.reshape([-1 if i == j else 1 for i in range(problem.dim)]) for j, v in enumerate(values)
    )
    return scipy.fft.idstn(
        scipy.fft.dstn(problem.b.reshape(problem.shape), type=1) / grid, type=1
    ).reshape(-1)


def peers(A: sp.csr_array, b: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """PyAMG's two solvers, each alone and as a preconditioner of cg, set-up included."""
    matrix = sp.csr_matrix(A)

    def run(build: Callable[..., Any], accelerate: str | None) -> np.ndarray:
        # PyAMG's cg tests the preconditioned norm: it gets a tolerance at which the true residual
        # meets ours (checked below)
        x: np.ndarray = build(matrix).solve(
            b, tol=TOL if accelerate is None else 0.3 * TOL, accel=accelerate, maxiter=200
        )
        return x

    builders = {
        "ruge_stuben": pyamg.ruge_stuben_solver,
        "smoothed_aggregation": pyamg.smoothed_aggregation_solver,
    }
    return {
        f"pyamg {name}{' + ' + accel if accel else ''}": lambda build=build, accel=accel: run(
            build, accel
        )
        for name, build in builders.items()
        for accel in (None, "cg")
    }
