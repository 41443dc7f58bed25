"""Where the eigenvalues are: intervals, exact spectra, Gershgorin discs, Lanczos and Arnoldi
estimates, the field of values.

A polynomial smoother needs the largest eigenvalue b of BA, and fails if b is taken too small. The
ways to it, from sure to sharp: a Gershgorin disc is a bound that costs one look at the matrix;
`exact_eigenvalues` knows the model problems; `lanczos` and `arnoldi` run a few products with A (see
`mgtheory.spectra.ritz`), and carry an error and a bound with a margin.

Random starts come from `numpy.random.default_rng(0)` unless a generator is given, so that results
repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mgtheory.problems import grids, tensor

if TYPE_CHECKING:
    from mgtheory.problems.problem import Problem


def exact_eigenvalues(problem: Problem) -> NDArray[np.float64]:
    """All eigenvalues of a model problem's A in closed form, shape `problem.shape`: entry k belongs
    to wavenumber k of each axis.

    Raises
    ------
    ValueError
        If the coefficients vary: then there is no closed form.

    Examples
    --------
    >>> from mgtheory import problems
    >>> values = exact_eigenvalues(problems.create("poisson1d", n=3))  # (2 +- sqrt 2)/h^2, 2/h^2
    >>> values.round(4).tolist()
    [9.3726, 32.0, 54.6274]
    """
    if not hasattr(problem, "polynomial"):
        raise ValueError(
            f"problem is a {type(problem).__name__}, exact eigenvalues are known for model problems"
        )
    if problem.polynomial is None:
        raise ValueError(
            f"{problem.name}: with variable coefficients the eigenvalues have no closed form; use"
            " lanczos"
        )
    wavenumbers = (
        np.arange(n) + (1 if problem.boundary is grids.Boundary.DIRICHLET else 0)
        for n in problem.shape
    )
    axes = [
        grids.eigenvalue(k, n, problem.boundary)
        for k, n in zip(wavenumbers, problem.shape, strict=True)
    ]
    values = tensor.evaluate(problem.polynomial, np.meshgrid(*axes, indexing="ij", sparse=True))
    return np.array(np.broadcast_to(values, problem.shape), dtype=float)
