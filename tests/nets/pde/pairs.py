"""A hierarchy on a device beside the compiled sweeps, and what they are compared by."""

import numpy as np

from mgtheory.matrixfree import StencilHierarchy


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def relative(x, y):
    return float(np.max(np.abs(np.asarray(x) - np.asarray(y))) / np.max(np.abs(np.asarray(y))))


def pair(problem, **options):
    """The compiled sweeps and the device's, of the same options."""
    options = {"coarsest": 30 if problem.unknowns > 60 else 1, **options}
    return StencilHierarchy.build(problem, threads=1, **options), StencilHierarchy.build(
        problem, device="cpu", **options
    )
