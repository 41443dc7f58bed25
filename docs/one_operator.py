"""Print the table of docs/one-operator.md: derive, predict, solve, for every problem, boundary and
family: `python -m docs.one_operator`, about half a minute; or for the problems that are named."""

import sys
from collections.abc import Iterator, Sequence

import numpy as np

from mgtheory import Hierarchy, InitialCoefficients, Problem, derive, two_grid_factor
from mgtheory.families import FAMILIES
from mgtheory.problems import PROBLEMS, Boundary, create

# points per axis of periodic grids and cells; inner points are one fewer
SIZES = {1: 256, 2: 32, 3: 16}
STEPS, LAST = 25, 10  # of the power iteration; its factor is the mean over the last ones
DEGREES = dict.fromkeys(FAMILIES, 2) | {"mls": 4}


def on(name: str, boundary: Boundary) -> Problem:
    """The problem on a grid that coarsens down to a few points."""
    n = SIZES[PROBLEMS[name].dim] - (boundary == Boundary.DIRICHLET)
    return create(name, n, boundary=boundary)


def measured(problem: Problem, start: InitialCoefficients) -> float:
    """What a V(1,1) cycle of two grids leaves of the error, by power iteration."""
    hierarchy = Hierarchy.build(problem, smoother=start, max_levels=2, coarsest=1)
    e = np.random.default_rng(0).standard_normal(problem.unknowns)
    norms = []
    for _ in range(STEPS):
        e = e - hierarchy.apply(problem.A @ e)
        e = e if problem.nullspace is None else e - e.mean()
        norms.append(np.linalg.norm(e))
        e /= norms[-1]
    return float(np.exp(np.mean(np.log(norms[-LAST:]))))


def cycles(problem: Problem, smoother: object, degree: int | None = None) -> str:
    """V(1,1) cycles of the solver, on all its levels, to 1e-8, from a random right-hand side."""
    hierarchy = Hierarchy.build(problem, smoother=smoother, degree=degree)
    b = np.random.default_rng(0).standard_normal(problem.unknowns)
    b = b if problem.nullspace is None else b - b.mean()
    solution = hierarchy.solve(b, tol=1e-8, maxiter=200)
    return str(solution.iterations) if solution.converged else "none"


def cell(name: str, boundary: Boundary, family: str) -> str:
    """Predicted and measured factor; cycles by name and from the file."""
    degree = DEGREES[family]
    try:
        problem = on(name, boundary)
        start = derive(family, degree, problem)
    except ValueError:
        return f"{'refused':>20}"
    constant = problem.stencil is not None
    predicted = f"{two_grid_factor(problem, start).factor:.3f}" if constant else "-"
    file = InitialCoefficients.from_json(start.to_json())  # as `--init` reads it
    counts = cycles(problem, family, degree), cycles(problem, file)
    return f"{predicted:>6} {measured(problem, start):6.3f} {counts[0]:>3} {counts[1]:>3}"


def table(names: Sequence[str]) -> Iterator[str]:
    """The lines."""
    for name in names:
        yield f"{name:21}" + "".join(f"  {boundary!s:>20}" for boundary in Boundary)
        for family, degree in DEGREES.items():
            row = "  ".join(cell(name, boundary, family) for boundary in Boundary)
            yield f"  {family:17} {degree}  {row}"


if __name__ == "__main__":
    for line in table(sys.argv[1:] or list(PROBLEMS)):
        print(line.rstrip(), flush=True)
