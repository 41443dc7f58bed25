"""The whole speed table of solving: scipy.sparse and matrix-free backends beside PyAMG at its best
and a sine transform; factors against h.

Assembly is excluded and set-up included on both sides; every residual is recomputed from A, x and
b. PyAMG's time is that of the fastest of ruge_stuben and smoothed_aggregation, each with and
without cg, in the same run. Then: convergence factors from 31 to 1023 unknowns per axis, the error
of one full multigrid pass over the direct solution's, and the tables of `benchmarks/matrixfree.py`.

    OMP_NUM_THREADS=1 python benchmarks/solve.py [--n 1023] [--repeats 5] [--quick] [--plot FILE]
"""

from __future__ import annotations

import argparse
import warnings

import matrixfree
import numpy as np
from peers import TOL, peers, sine_transform
from table import Row, interleaved, machine, print_rows, relative_residual

from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.problem import Problem


def sparse_rows(problem: Problem, what: str, asked: float, repeats: int) -> list[Row]:
    """Ours (float64, and with a float32 cycle) against the best of PyAMG; the sine transform
    beside."""
    ours = {
        "ours, float32 cycle, FMG": lambda: (
            Hierarchy.build(problem, dtype=np.float32, degree=3)
            .solve(problem.b, tol=TOL, cycle="FMG")
            .x
        ),
        "ours, float64, FMG": lambda: (
            Hierarchy.build(problem, degree=3).solve(problem.b, tol=TOL, cycle="FMG").x
        ),
        "ours, float32 cycle, FMG, bare matrix": lambda: (
            Hierarchy.build(problem.A, shape=problem.shape, dtype=np.float32)
            .solve(problem.b, tol=TOL, cycle="FMG")
            .x
        ),
        "ours, float64, V": lambda: Hierarchy.build(problem).solve(problem.b, tol=TOL).x,
    }
    direct = (
        {"scipy.fft sine transform": lambda: sine_transform(problem)}
        if problem.polynomial and problem.boundary == "dirichlet"
        else {}
    )
    contestants = {**ours, **direct, **peers(problem.A, problem.b)}
    seconds, solutions = interleaved(contestants, repeats=repeats)
    residuals = {name: relative_residual(problem.A, x, problem.b) for name, x in solutions.items()}
    reached = [name for name in seconds if name.startswith("pyamg") and residuals[name] <= TOL]
    best = min(reached, key=seconds.__getitem__)
    for name, value in seconds.items():
        print(f"  {what}: {name:<36} {value:8.4f} s   residual {residuals[name]:.1e}", flush=True)
    rows = [
        seconds.row(
            f"{what}, {name}",
            name,
            best,
            asked=asked if i == 0 else 0.0,
            note=f"residual {residuals[name]:.1e}",
        )
        for i, name in enumerate(ours)
    ]
    first = next(iter(ours))
    rows += [seconds.row(f"{what}, {first}", first, name, note="direct") for name in direct]
    assert all(residuals[name] <= TOL for name in ours), residuals
    return rows


def print_factors(sizes: list[int]) -> None:
    """Factor per V-cycle for each size: independent of h if the spread is at most 10 %."""
    print(
        "\nconvergence factor per V(1,1)-cycle, the default smoother: Chebyshev of degree 2 and one"
        " more on each coarser level, up to 6"
    )
    for name in ("poisson2d", "poisson2d-9point", "poisson2d-q1", "anisotropic2d", "variable2d"):
        factors = []
        for n in sizes:
            factors.append(asymptotic_factor(Hierarchy.build(create(name, n))))
        spread = max(factors) / min(factors) - 1.0
        print(
            f"  {name:<18} "
            + "  ".join(f"{n}: {f:.4f}" for n, f in zip(sizes, factors, strict=True))
            + f"  spread {100 * spread:.1f} %"
        )


def asymptotic_factor(hierarchy: Hierarchy, cycles: int = 20, last: int = 8) -> float:
    """Reduction of the residual per cycle over the last ones, for b = 0 and a random start: no
    rounding floor is in the way."""
    n = hierarchy.levels[0].size
    norms = hierarchy.solve(
        np.zeros(n), np.random.default_rng(0).standard_normal(n), tol=0.0, maxiter=cycles
    ).residual_norms
    return float((norms[-1] / norms[-1 - last]) ** (1.0 / last))


def print_full_multigrid(sizes: list[int]) -> None:
    """Error of one full multigrid pass over the error of the direct solution, both against the
    exact solution."""
    print(
        "\nfull multigrid, one pass of degree 3: max-norm error over the direct solution's"
        " (scipy.fft), asked <= 1.1"
    )
    for n in sizes:
        problem = poisson((n, n))
        direct = problem.error(sine_transform(problem))
        hierarchy = Hierarchy.build(problem, degree=3)
        for cycles, loads in ((1, None), (2, None), (2, problem.equation.load)):
            solution = hierarchy.full_multigrid(problem.b, cycles=cycles, loads=loads)
            how = f"{cycles} cycle(s), coarse b {'restricted' if loads is None else 'discretised'}"
            ratio = problem.error(solution.x) / direct
            print(
                f"  {n:>5}, {how:<34}: {ratio:.4f}   {solution.work_units:.1f} work units,"
                f" {solution.solve_seconds:.3f} s"
            )


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=1023, help="unknowns per axis in 2D")
    parser.add_argument("--repeats", type=int, default=5, help="runs of which the median is taken")
    parser.add_argument("--quick", action="store_true", help="the rows of two dimensions only")
    parser.add_argument(
        "--largest", type=int, default=8191, help="largest n of the time per unknown in 2D"
    )
    parser.add_argument(
        "--plot", default="", metavar="FILE", help="draw the time per unknown to this file"
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="pyamg")
    print(machine())
    rows = sparse_rows(
        poisson((options.n, options.n)),
        f"2D Poisson {options.n}x{options.n} to 1e-8",
        3.0,
        options.repeats,
    )
    if not options.quick:
        n = min(options.n, 511)
        rows += sparse_rows(
            create("variable2d", n),
            f"2D variable k {n}x{n} to 1e-8",
            0.0,
            max(1, options.repeats // 2),
        )
        rows += sparse_rows(
            create("poisson3d", 63), "3D Poisson 63^3 to 1e-8", 0.0, max(1, options.repeats // 2)
        )
    print_rows("scipy.sparse backend, set-up + solve", rows)
    if not options.quick:
        sizes = [n for n in (31, 63, 127, 255, 511, 1023) if n <= options.n]
        print_factors(sizes)
        print_full_multigrid(sizes)
    matrixfree.report(options.quick, options.repeats, options.largest, options.plot)


if __name__ == "__main__":
    main()
