"""Polynomial families: name -> function(degree, ...) -> ResidualPolynomial, with what each needs
and where it comes from.

Every function returns the residual polynomial q, q(0) = 1, of the asked degree (degree of q =
products with A in one smoothing). ``interval`` is an interval of BA in the scaling in which BA is
applied, ``lmax`` its largest eigenvalue. A new family is one function and one entry of `FAMILIES`;
the tests and the command line then cover it unasked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mgtheory.polynomials.classical import chebyshev, chebyshev4, chebyshev4_opt, mls, richardson
from mgtheory.polynomials.gmres import gmres_polynomial, harmonic_ritz
from mgtheory.polynomials.minimax import MAX_EXCHANGE_DEGREE, minimax, minimax_report
from mgtheory.polynomials.residual import MAX_DEGREE, ResidualPolynomial


def two_grid_optimal(
    degree: int,
    *,
    problem: Any,
    pre: int = 1,
    post: int = 1,
    coarsening: str | None = None,
    restriction: str = "full",
    interpolation: str = "linear",
    scaling: str = "identity",
) -> ResidualPolynomial:
    """The q of degree k with the smallest two-grid factor for a problem, pre and post, by numerical
    optimisation (`mgtheory.fourier.optimal`).

    Parameters
    ----------
    degree
        k, products with A, 1 to 16.
    problem
        A problem with constant coefficients (the roots then refer to its matrix A, which carries
        1/h^2), or a `Stencil` (h = 1).
    pre, post
        Smoothing steps before and after; only their sum matters.
    coarsening, restriction, interpolation, scaling
        As in `mgtheory.fourier.cycle.LocalCycle`. With scaling="diagonal" the roots refer to BA, B
        the inverse diagonal, which has no h.

    Examples
    --------
    >>> from mgtheory.problems.stencils import laplacian
    >>> two_grid_optimal(1, problem=laplacian(2)).roots.real.round(4).tolist()  # 4/5 Jacobi: 0.36
    [5.0]
    """
    return _two_grid(
        degree,
        problem=problem,
        pre=pre,
        post=post,
        coarsening=coarsening,
        restriction=restriction,
        interpolation=interpolation,
        scaling=scaling,
    )[0]


# a polynomial, and what there is to say about how it came about, as JSON types
Recorded = tuple[ResidualPolynomial, dict[str, Any]]


def _two_grid(degree: int, *, problem: Any, scaling: str = "identity", **options: Any) -> Recorded:
    # on use: it starts from the families above
    from mgtheory.fourier.optimal import optimise_two_grid

    found = optimise_two_grid(degree, problem, scaling=scaling, **options)
    h = getattr(problem, "h", None)
    polynomial = (
        found.polynomial
        if h is None or scaling == "diagonal"
        else found.polynomial.scaled(float(np.ravel(h)[0]) ** -2)
    )
    return polynomial, {
        "two_grid_factor": found.factor,
        "best_start": found.start_factor,
        "converged": found.converged,
    }


def _minimax(degree: int, **options: Any) -> Recorded:
    found = minimax_report(degree, **options)
    return found.polynomial, {
        "value": found.value,
        "lower_bound": found.lower,
        "converged": found.converged,
    }


def _harmonic_ritz(degree: int, **options: Any) -> Recorded:
    found = gmres_polynomial(degree, **options)
    copies = [{"root": [root.real, root.imag], "count": count} for root, count in found.copies]
    return found.polynomial, {"copies": copies, "relative_residual": found.residual_norm}


@dataclass(frozen=True)
class Family:
    """One entry of the registry.

    Attributes
    ----------
    name, function
        Its name and q(degree, ...).
    needs
        What the function needs beside the degree.
    citation
        Its source.
    degrees
        Which degrees it has.
    recorded
        The same function with a record beside the polynomial, where there is more to say than the
        formula.
    """

    name: str
    function: Callable[..., ResidualPolynomial]
    needs: Literal["interval", "lmax", "operator", "points", "problem"]
    citation: str
    degrees: str = f"1 to {MAX_DEGREE}"
    recorded: Callable[..., Recorded] | None = None

    def derive(self, degree: int, **arguments: Any) -> Recorded:
        """The polynomial and a record of how it came about, JSON types: values reached, bounds,
        copies of roots; empty for a formula."""
        return (
            (self.function(degree, **arguments), {})
            if self.recorded is None
            else self.recorded(degree, **arguments)
        )


_LOTTES = "J. Lottes, Numer. Linear Algebra Appl. 30(6) (2023) e2518, arXiv 2202.08830"

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "richardson",
            richardson,
            "interval",
            "L. F. Richardson, Phil. Trans. R. Soc. A 210 (1911) 307-357",
        ),
        Family(
            "chebyshev",
            chebyshev,
            "interval",
            "Y. Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., SIAM (2003), alg. 12.1",
        ),
        Family("chebyshev4", chebyshev4, "lmax", _LOTTES),
        Family("chebyshev4_opt", chebyshev4_opt, "lmax", _LOTTES),
        Family(
            "mls",
            mls,
            "lmax",
            "M. Adams, M. Brezina, J. Hu, R. Tuminaro, J. Comput. Phys. 188 (2003) 593-610",
            f"3d + 1: 4, 7, 10, .., {MAX_DEGREE}",
        ),
        Family(
            "harmonic_ritz",
            harmonic_ritz,
            "operator",
            "J. A. Loe, R. B. Morgan, Numer. Linear Algebra Appl. 29 (2022) e2427",
            f"1 to {MAX_DEGREE}, at most the grade of the start",
            _harmonic_ritz,
        ),
        Family(
            "minimax",
            minimax,
            "points",
            "B. Fischer, R. Freund, J. Approx. Theory 65 (1991) 261-272",
            f"1 to {MAX_EXCHANGE_DEGREE}, on a single interval to {MAX_DEGREE}",
            _minimax,
        ),
        Family(
            "two_grid_optimal",
            two_grid_optimal,
            "problem",
            "method of K. Madsen, J. Inst. Math. Appl. 16 (1975) 321-328, on the two-grid factor",
            "1 to 16",
            _two_grid,
        ),
    )
}


def get_family(name: str) -> Family:
    """The registry's entry of that name; an unknown name is answered with the list of known
    ones."""
    try:
        return FAMILIES[name]
    except (KeyError, TypeError):
        raise ValueError(f"family is {name!r}, known are {', '.join(FAMILIES)}") from None
