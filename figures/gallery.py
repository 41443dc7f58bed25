"""The pictures of the theory, computed from mgtheory alone: families, factors against degree and
work, spectra with roots, heat maps.

Every entry of `GALLERY` computes its numbers and returns a finished figure. All are for the 2D
Poisson problem with 5 points on the h = 1 scale (spectrum in (0, 8], high frequencies in [2, 8])
unless a panel says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures.curves import draw_convergence, draw_factors
from figures.damping import colour_bar, draw_damping, draw_disc
from figures.polynomials import draw_polynomials
from figures.spectra import draw_spectrum
from figures.style import DOUBLE, GUIDE, figure, figure_legend, look, panel_letters
from mgtheory.derive import derive
from mgtheory.families import FAMILIES
from mgtheory.fourier import (
    grid_frequencies,
    high_frequencies,
    smoothing_factor,
    symbol,
    two_grid_factor,
)
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import create
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil, laplacian

B, HIGH = 8.0, (2.0, 8.0)  # of the 5-point Laplacian with h = 1
SAMPLES = 64
DEGREES = tuple(range(1, 9))
SHOWN_DEGREE = 4  # every family has it
NO_SMOOTHER = "bounded"  # made for spectra around 0: beside it the others could not be told apart
SIZE, TOLERANCE = 127, 1e-10
AMPLIFICATION, DISC_DEGREES = 8.0, (1, 2, 4, 8)
STEP_DEGREES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
CONVECTION = 8.0  # strong enough for a conjugate pair of roots


@cache
def family_polynomial(family: str, degree: int) -> ResidualPolynomial | None:
    """A family's q for the 5-point Laplacian; None where the family does not have that degree."""
    try:
        found = derive(family, degree, _problem()).on(laplacian(2)).polynomial
    except ValueError:
        return None
    return found if found.degree == degree else None


def families_of_degree(degree: int) -> dict[str, ResidualPolynomial]:
    """Every family that has this degree, by name."""
    return {name: q for name in FAMILIES if (q := family_polynomial(name, degree)) is not None}


def families() -> Figure:
    """(a), (b): q of every family that has degree 4, on (0, 8]."""
    curves = families_of_degree(SHOWN_DEGREE)
    names = list(curves)
    half = -(-len(names) // 2)
    made, axes = figure(1, 2, width=DOUBLE, height=2.9, sharey=True)
    label = "eigenvalue λ of the 5-point Laplacian (h = 1)"
    for ax, chosen in zip(axes.flat, (names[:half], names[half:])):
        shown, interval = {name: curves[name] for name in chosen}, (0.0, B)
        draw_polynomials(ax, shown, interval=interval, high=HIGH, xlabel=label, legend=False)
        ax.set_title(f"degree {SHOWN_DEGREE}")
    axes[0, 1].set_ylabel("")
    return _lettered(made, axes)


def smoothing_against_degree() -> Figure:
    """mu of every family of smoothers against the degree of q."""
    made, axes = figure(1, 1, height=3.4)
    draw_factors(
        axes[0, 0],
        _against_degree(lambda q: smoothing_factor(laplacian(2), q).factor),
        xlabel="degree of q (products with A)",
        ylabel="smoothing factor µ",
        legend=False,
    )
    axes[0, 0].set_title("5-point Laplacian")
    figure_legend(made)
    return made


def two_grid_against_work() -> Figure:
    """(a) The factor of a V(1,1) two-grid cycle against its work; (b) for each product with A."""
    made, axes = figure(1, 2, width=DOUBLE, height=3.0)
    factors = _against_degree(lambda q: two_grid_factor(laplacian(2), q, pre=1, post=1).factor)
    work = {name: (2.0 * degrees + 1.0, values) for name, (degrees, values) in factors.items()}
    label = "products with A in a V(1,1)-cycle, 2k + 1"
    draw_factors(axes[0, 0], work, xlabel=label, ylabel="two-grid factor ρ", legend=False)
    each = {name: (cost, values ** (1.0 / cost)) for name, (cost, values) in work.items()}
    one = "factor per product, $\\rho^{1/(2k + 1)}$"
    draw_factors(axes[0, 1], each, xlabel=label, ylabel=one, log=False, legend=False)
    return _lettered(made, axes)


def spectra_with_roots() -> Figure:
    """(a) 5-point Laplacian with fourth-kind roots; (b) upwind convection with minimax roots."""
    made, axes = figure(1, 2, width=DOUBLE, height=3.1)
    theta = grid_frequencies((24, 24))
    high = high_frequencies(theta)
    laplace, upwind = symbol(laplacian(2), theta), symbol(_upwind(), theta)
    panels = {
        "chebyshev4": (laplace, derive("chebyshev4", 3, B).polynomial),
        "minimax": (upwind, derive("minimax", 3, upwind[high]).polynomial),
    }
    for ax, (name, (values, q)) in zip(axes.flat, panels.items()):
        roots, damping = {name: q.roots}, (name, q)
        draw_spectrum(ax, values, high=high, roots=roots, damping=damping, legend=False)
    axes[0, 0].set_title("5-point Laplacian, degree 3")
    axes[0, 1].set_title(
        f"$-\\Delta u + {CONVECTION:g}u_x + {CONVECTION / 2:g}u_y$, upwind, degree 3"
    )
    return _lettered(made, axes)


def damping_maps() -> Figure:
    """Heat maps of degree 3: one panel for each of four families."""
    chosen = ("richardson", "chebyshev", "chebyshev4", "chebyshev4_opt")
    made, axes = figure(1, len(chosen), width=DOUBLE, height=2.1)
    values = symbol(laplacian(2), grid_frequencies((SAMPLES, SAMPLES))).real
    for ax, name in zip(axes.flat, chosen):
        q = family_polynomial(name, 3)
        assert q is not None
        mu = smoothing_factor(laplacian(2), q).factor
        draw_damping(ax, np.abs(q(values)), title=f"{name}\nµ = {mu:.3f}")
    for ax in axes.flat[1:]:
        ax.set_ylabel("")
        ax.set_yticklabels([])
    colour_bar(list(axes.flat))
    return made


def convergence() -> Figure:
    """(a) Residuals of V(1,1) cycles on the 2D Poisson problem with 127 x 127 unknowns, degree 4,
    against cycles; (b) every family at its best degree up to 4 against fine-grid products with
    A."""
    made, axes = figure(1, 2, width=DOUBLE, height=3.0)
    by_degree = {
        degree: {
            name: norms
            for name, q in families_of_degree(degree).items()
            if name != NO_SMOOTHER and (norms := _history(q))[-1] < norms[0]
        }
        for degree in (1, 2, 3, 4)
    }
    draw_convergence(axes[0, 0], by_degree[SHOWN_DEGREE], legend=False)
    axes[0, 0].set_title(f"2D Poisson {SIZE} × {SIZE}, V(1,1), degree {SHOWN_DEGREE}")
    best, work, cheapest = {}, {}, {}
    for name in by_degree[SHOWN_DEGREE]:
        own = {degree: found[name] for degree, found in by_degree.items() if name in found}
        costs = {degree: (2 * degree + 1) * (len(norms) - 1) for degree, norms in own.items()}
        degree = cheapest[name] = min(costs, key=lambda d: costs[d])
        best[name], work[name] = by_degree[degree][name], 2.0 * degree + 1.0
    draw_convergence(axes[0, 1], best, work=work, legend=False)
    usual = max(cheapest.values(), key=list(cheapest.values()).count)
    others = ", ".join(f"{name}: {degree}" for name, degree in cheapest.items() if degree != usual)
    axes[0, 1].set_title(
        f"cheapest degree up to {SHOWN_DEGREE}: {usual}{others and f' ({others})'}"
    )
    return _lettered(made, axes)


def bounded_amplification() -> Figure:
    """(a), (b): |q| on the disc |z| <= b for k equal roots and for the longest step, both with max
    |q| = 8; (c) the step p(0) against k, with its limit and its bound."""
    made, axes = figure(1, 3, width=DOUBLE, height=2.7)
    kinds = {"k equal roots": False, "longest step": True}
    given: Any = {"amplification": AMPLIFICATION}
    found = {
        label: {
            k: derive("bounded", k, 1.0, optimal=best, **given).polynomial for k in STEP_DEGREES
        }
        for label, best in kinds.items()
    }
    for ax, (label, by_degree) in zip(axes.flat, found.items()):
        draw_disc(ax, {k: by_degree[k] for k in DISC_DEGREES})
        ax.set_title(f"{label}, k = {DISC_DEGREES[-1]}")
    axes[0, 1].set_ylabel("")
    ax, M = axes[0, 2], AMPLIFICATION
    for k, (label, by_degree) in enumerate(found.items()):
        steps = [q.weights.real.sum() for q in by_degree.values()]
        ax.plot([*by_degree], steps, label=label, **look(k).marked)
    for value, text in ((np.log(M), "ln M"), (M - 1 / M, "M − 1/M")):
        ax.axhline(value, **GUIDE)
        ax.annotate(text, (32, value), (0, -10), textcoords="offset points", ha="right")
    ax.set(ylim=(0.0, M + 1), title=f"M = {M:g}", xlabel="degree k", ylabel="step b p(0)")
    ax.set_box_aspect(1.0)
    colour_bar(list(axes[0, :2]))
    return _lettered(made, axes)


GALLERY: dict[str, Callable[[], Figure]] = {
    "families": families,
    "smoothing_against_degree": smoothing_against_degree,
    "two_grid_against_work": two_grid_against_work,
    "spectra_with_roots": spectra_with_roots,
    "damping_maps": damping_maps,
    "convergence": convergence,
    "bounded_amplification": bounded_amplification,
}


def _lettered(made: Figure, axes: NDArray[Any]) -> Figure:
    """The figure with one legend and the letters of its panels."""
    figure_legend(made)
    panel_letters(axes.flat)
    return made


@cache
def _problem() -> Problem:
    return create("poisson2d", 31)


def _history(q: ResidualPolynomial) -> NDArray[np.float64]:
    problem = create("poisson2d", SIZE)
    hierarchy = Hierarchy.build(problem, smoother=q)
    return np.asarray(hierarchy.solve(problem.b, tol=TOLERANCE, maxiter=60).residual_norms)


def _against_degree(
    measure: Callable[[ResidualPolynomial], float],
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    curves = {}
    for family in [name for name in FAMILIES if name != NO_SMOOTHER]:
        found = {k: q for k in DEGREES if (q := family_polynomial(family, k)) is not None}
        if found:
            curves[family] = (np.array([*found], float), np.array([*map(measure, found.values())]))
    return curves


def _upwind() -> Stencil:
    """-laplace u + c u_x + (c/2) u_y with first-order upwind differences, h = 1."""
    c = CONVECTION
    return laplacian(2) + Stencil.from_array(
        np.array([[0.0, -c, 0.0], [-0.5 * c, 1.5 * c, 0.0], [0.0, 0.0, 0.0]])
    )
