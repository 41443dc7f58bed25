"""Multigrid theory: residual polynomials, Poisson problems, multigrid cycles, Fourier analysis, and
initial coefficients from them.

>>> import mgtheory
>>> problem = mgtheory.poisson((63, 63))
>>> start = mgtheory.derive("chebyshev4", 3, problem=problem)
>>> hierarchy = mgtheory.Hierarchy.build(problem, smoother=start.polynomial)
>>> hierarchy.solve(problem.b, tol=1e-8).converged
True

A map of this room. Names in brackets are internal to their group.

* **One object.** `polynomial` the residual polynomial q; `factors` its real factors; (`recurrence`,
  `roots`, `frozen`).
* **Families of it.** `families` the registry and the closed forms; `fourthkind` the optimised
  fourth kind; `krylov` the GMRES polynomial; `minimax`; `optimal` for the two-grid factor
  (`leastmax`); `initialise` problem + family + degree -> initial coefficients.
* **What is it worth?** `scores` gamma, the V-cycle bound, the nearest classical family;
  `approximation` the constant of a coarse space; `spectrum` where eigenvalues are; (`ritz`,
  `peaks`).
* **Fourier analysis.** `stencils`; `fourier` smoothing, two-grid and three-grid factors;
  `verification` against real cycles; `symbolic` in exact arithmetic; (`symbols`, `relaxation`,
  `localcycle`).
* **Problems.** `problems` by name and on a grid; `equation`, `schemes`, `manufactured` what they
  are made of; (`assembly`, `tensorform`).
* **Multigrid.** `hierarchy` builds and solves; `smoothers`, `transfer`, `coarse` its replaceable
  parts; `solution` the result; (`building`, `levels`, `smoothing`, `blackbox`, `cycle`, `iterate`).
  `matrixfree` the same cycle without matrices.
* (`files`: atomic writing, JSON with clear errors; `checks` of arguments.)
"""

from mgtheory.derive import InitialCoefficients, derive
from mgtheory.fourier.analysis import (
    smoothing_factor,
    symbol,
    three_grid_factor,
    two_grid_factor,
)
from mgtheory.matrixfree import StencilHierarchy
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.solution import Solution
from mgtheory.polynomials.factors import (
    ComplexPair,
    Factor,
    General,
    Linear,
    RealPair,
    SymmetricPair,
)
from mgtheory.polynomials.recurrence import Recurrence
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.problem import Problem, poisson
from mgtheory.problems.stencils import Stencil
from mgtheory.spectra.interval import Interval

__all__ = [
    "ComplexPair",
    "Factor",
    "General",
    "Hierarchy",
    "InitialCoefficients",
    "Interval",
    "Linear",
    "Problem",
    "RealPair",
    "Recurrence",
    "ResidualPolynomial",
    "Solution",
    "Stencil",
    "StencilHierarchy",
    "SymmetricPair",
    "derive",
    "poisson",
    "smoothing_factor",
    "symbol",
    "three_grid_factor",
    "two_grid_factor",
]
