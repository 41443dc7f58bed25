"""Multigrid theory: residual polynomials, Poisson problems, multigrid cycles, Fourier analysis, and
initial coefficients from them.

>>> import mgtheory
>>> problem = mgtheory.poisson((63, 63))
>>> start = mgtheory.derive("chebyshev4", 3, problem)
>>> round(mgtheory.smoothing_factor(problem, start).factor, 4)
0.233
>>> mgtheory.solve(problem, smoother=start).converged
True

The chapters, each building on those before it: `spectra`, `polynomials`, `problems`, `families`,
`smoothers`, `fourier`, `export`, `derive`, `multigrid`, `matrixfree`, `solving`, `comparison`,
`verification`. Begin with `polynomials.residual`, the one object of all of them, and `families`,
where the polynomials are by name.
"""

from mgtheory.comparison import compare_smoothers
from mgtheory.derive import InitialCoefficients, derive
from mgtheory.families import FAMILIES
from mgtheory.fourier.analysis import three_grid_factor, two_grid_factor
from mgtheory.fourier.smoothing import smoothing_factor
from mgtheory.matrixfree import StencilHierarchy
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.pyamg_smoothers import change_smoothers
from mgtheory.multigrid.solution import Solution
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import poisson
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil
from mgtheory.solving import solve
from mgtheory.spectra.interval import Interval

__all__ = [
    "FAMILIES",
    "Hierarchy",
    "InitialCoefficients",
    "Interval",
    "Problem",
    "ResidualPolynomial",
    "Solution",
    "Stencil",
    "StencilHierarchy",
    "change_smoothers",
    "compare_smoothers",
    "derive",
    "poisson",
    "smoothing_factor",
    "solve",
    "three_grid_factor",
    "two_grid_factor",
]
