"""Derive, predict, solve: the factor that Fourier analysis predicts for a derived polynomial is the
one that the solver's two-grid cycle has with it, on every problem with constant coefficients.

Measured is the spectral radius of the error operator of a `Hierarchy` with two levels, by Arnoldi
iteration. Predicted is the spectral radius over the modes of the grid itself: a periodic grid of n
points has those of n, and Neumann cells and Dirichlet points continue, evenly and oddly, to
periodic grids of 2 n and 2 (n + 1) points, where some modes are 0. That is exact, on small grids as
on large ones. `TOLERANCE`, 10 %, is that of the Arnoldi iteration, which finds the largest of many
eigenvalues of nearly one size last; most agree to 1 %. With the size of the grid the factors tend
to that of the infinite one, `two_grid_factor`.

    python tests/mgtheory/test_predict_and_solve.py      prints the whole table
"""

from functools import cache

import numpy as np
import pytest

from mgtheory.derive import InitialCoefficients, derive
from mgtheory.families import FAMILIES
from mgtheory.fourier import LocalCycle, two_grid_factor
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.problems.grids import Boundary
from mgtheory.problems.problem import PROBLEMS, create

TOLERANCE, ABOVE = 0.1, 0.005  # below, and above: Ritz values of a non-normal matrix
CONSTANT = [name for name, entry in PROBLEMS.items() if entry.coefficient is None]
# periodic points and cells; one fewer of inner points
SHAPES = {1: (32,), 2: (16, 16), 3: (8, 8, 8)}
CYCLES = ((1, 0), (1, 1), (2, 1))
STEPS, SETTLED = 30, 1e-3
DEGREES = {name: [4] if name == "mls" else list(range(1, 7)) for name in FAMILIES}


def problem_on(name, boundary):
    size = np.array(SHAPES[PROBLEMS[name].dim]) - (boundary == Boundary.DIRICHLET)
    return create(name, size.tolist(), boundary=boundary)


@cache
def searched(name, family, degree):
    """Derived once for an equation: what is found by optimisation converts to other grids."""
    return derive(family, degree, problem_on(name, "dirichlet"))


def start_for(problem, family, degree):
    if FAMILIES[family].needs == "problem":
        return searched(problem.name, family, degree).on(problem)
    return derive(family, degree, problem)


def predicted(problem, start, pre, post):
    """The factor over the modes of the grid."""
    factor, more = {
        Boundary.PERIODIC: (1, 0),
        Boundary.NEUMANN: (2, 0),
        Boundary.DIRICHLET: (2, 2),
    }[problem.boundary]
    samples = [factor * n + more for n in problem.shape]
    cycle = LocalCycle(problem, start, pre=pre, post=post)
    theta = cycle.base_frequencies(samples).reshape(-1, problem.dim)
    theta = theta[(theta >= 0).all(axis=1)]  # the stencils are those of reflected axes too
    turns, order = cycle.harmonics()
    modes = np.round((theta[:, None] / np.pi + 2 * turns / order) * samples / 2) % samples
    # modes that are 0 everywhere: sines of 0 and pi, cosines of pi between the points; constants
    absent = (modes == 0).all(axis=-1)
    if problem.boundary != Boundary.PERIODIC:
        absent |= (2 * modes == samples).any(axis=-1)
    if problem.boundary == Boundary.DIRICHLET:
        absent |= (modes == 0).any(axis=-1)
    matrices = cycle.error_operator(theta, removed=True)
    matrices = np.where(absent[:, :, None] | absent[:, None, :], 0.0, matrices)
    return float(np.abs(np.linalg.eigvals(matrices)).max())


def measured(hierarchy, problem):
    """The spectral radius of one cycle's error operator, on the complement of the constants where A
    is singular."""

    def cycle(e):
        e = e - hierarchy.apply(problem.A @ e)
        return e if problem.nullspace is None else e - e.mean()

    basis = np.zeros((STEPS + 1, problem.unknowns))
    matrix = np.zeros((STEPS + 1, STEPS))
    v = np.random.default_rng(0).standard_normal(problem.unknowns)
    v = v if problem.nullspace is None else v - v.mean()
    basis[0] = v / np.linalg.norm(v)
    radii = []
    for k in range(STEPS):
        v = cycle(basis[k])
        for _ in range(2):  # Gram-Schmidt twice is enough
            c = basis[: k + 1] @ v
            v -= c @ basis[: k + 1]
            matrix[: k + 1, k] += c
        matrix[k + 1, k] = size = np.linalg.norm(v)
        radii.append(np.abs(np.linalg.eigvals(matrix[: k + 1, : k + 1])).max())
        if size < 1e-13 or (k > 8 and abs(radii[-1] - radii[-6]) < SETTLED * radii[-1]):
            break
        basis[k + 1] = v / size
    return float(radii[-1])


def rows(name, boundary):
    """For one problem: family, degree, cycle, predicted, measured."""
    problem = problem_on(name, boundary)
    hierarchy = Hierarchy.build(problem, max_levels=2, coarsest=1)
    for family, degrees in DEGREES.items():
        for degree in degrees:
            start = start_for(problem, family, degree)
            for pre, post in CYCLES:
                smoothed = hierarchy.with_smoothers(start, pre=pre, post=post)
                expected = predicted(problem, start, pre, post)
                yield family, degree, (pre, post), expected, measured(smoothed, problem)


def table(names=CONSTANT, boundaries=tuple(Boundary)):
    """The lines of the whole table: predicted / measured for each family, degree and cycle."""
    for name in names:
        for boundary in boundaries:
            problem = problem_on(name, boundary)
            yield f"{name}, {' x '.join(map(str, problem.shape))}, {boundary}"
            yield f"  {'family':<17} k" + "".join(f"{f'V({a},{b})':>17}" for a, b in CYCLES)
            cells = []
            for family, degree, _, here, found in rows(name, boundary):
                cells.append(f"{here:.4f} / {found:.4f}")
                if len(cells) == len(CYCLES):
                    yield f"  {family:<17} {degree}" + "".join(f"{cell:>17}" for cell in cells)
                    cells = []


@pytest.mark.parametrize("boundary", Boundary)
@pytest.mark.parametrize("name", CONSTANT)
def test_predicted_is_measured(name, boundary):
    wrong = [
        f"{family}({degree}) V{cycle}: predicted {expected:.5f}, measured {found:.5f}"
        for family, degree, cycle, expected, found in rows(name, boundary)
        if not expected * (1 - TOLERANCE) - 1e-6 <= found <= expected * (1 + ABOVE) + 1e-6
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("boundary", Boundary)
@pytest.mark.parametrize(
    ("name", "sizes"),
    [("poisson1d", (16, 128)), ("poisson2d", (16, 64)), ("anisotropic2d", (16, 64))],
)
def test_grids_tend_to_the_infinite_one(name, sizes, boundary):
    factors = []
    for n in sizes:
        problem = create(name, n - (boundary == Boundary.DIRICHLET), boundary=boundary)
        start = derive("chebyshev4", 3, problem)
        factors.append(predicted(problem, start, 1, 1))
    infinite = two_grid_factor(problem, start).factor
    assert factors[0] <= factors[1] * (1 + 1e-9) <= infinite * (1 + 1e-6)
    assert factors[1] == pytest.approx(infinite, rel=0.02)
    assert two_grid_factor(problem, "chebyshev4", degree=3).factor == pytest.approx(
        infinite, rel=1e-12
    )


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("family", ["chebyshev", "chebyshev4", "chebyshev4_opt"])
def test_initial_coefficients_need_the_cycles_that_the_name_needs(name, family, tmp_path):
    """Derived, written, read again and given to the solver, also where coefficients vary."""
    problem = create(name, {1: 63, 2: 31, 3: 15}[PROBLEMS[name].dim])
    derive(family, 3, problem).save(tmp_path / "init.json")
    start = InitialCoefficients.load(tmp_path / "init.json")
    counts = [
        Hierarchy.build(problem, smoother=smoother, degree=degree).solve(problem.b).iterations
        for smoother, degree in ((start, None), (family, 3))
    ]
    # where coefficients vary, the coarse polynomial is scaled, not derived: one cycle more or less
    allowed = 0 if problem.coefficient is None else 1
    assert abs(counts[0] - counts[1]) <= allowed
    assert max(counts) < 20


if __name__ == "__main__":
    for line in table():
        print(line)
