"""Poisson model problems: grids, schemes, tensor forms, manufactured solutions, stencils, and the
problem made of them."""

from mgtheory.problems.catalogue import PROBLEMS, create, poisson
from mgtheory.problems.grids import Boundary
from mgtheory.problems.problem import Problem
from mgtheory.problems.schemes import SCHEMES, Scheme

__all__ = ["PROBLEMS", "SCHEMES", "Boundary", "Problem", "Scheme", "create", "poisson"]
