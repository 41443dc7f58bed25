"""The matrix-free cycle beside PyAMG, scipy.fft's sine transform and the copy bandwidth of the
machine; time per unknown against size.

Compiling (or loading) the kernels happens once in a process and is reported apart. Problems are 5-
and 7-point Laplacians with zero boundary values and a smooth solution that is no eigenfunction;
residuals are recomputed from A, x and b. PyAMG's time is that of the fastest of ruge_stuben and
smoothed_aggregation, with and without cg, set-up included on both sides. `benchmarks/solve.py`
prints this table after its own.

    python benchmarks/matrixfree.py [--quick] [--repeats 7] [--plot FILE] [--largest 8191]
    OMP_NUM_THREADS=1 python benchmarks/matrixfree.py --edge    # the rows on their edge
"""

from __future__ import annotations

import argparse
import tracemalloc
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import algorithms
import numpy as np
import scipy.fft
from algorithms import VARIABLE, smooth_problem
from peers import TOL, peers
from table import Row, interleaved, machine, print_rows, relative_residual

from mgtheory.matrixfree import StencilHierarchy, tables
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.stencils import laplacian
from mgtheory.solving import solve

# the coarsest grids that are fastest on one thread of a processor
COARSEST: dict[int, dict[str, Any]] = {2: {}, 3: {"coarsest": 32768}}
CYCLE = {dim: algorithms.CYCLE[dim] | COARSEST[dim] for dim in COARSEST}
PASS = {dim: algorithms.PASS[dim] | COARSEST[dim] for dim in COARSEST}
# the type of the cycles that solve to 1e-8: float32 saves a fifth of the time in 3D, and in 2D less
# than a tenth
TYPE: dict[int, str] = {2: "float64", 3: "float32"}


def sine_solver(n: int, dim: int) -> Callable[[np.ndarray, int], np.ndarray]:
    """b, workers -> A^-1 b by scipy.fft; its eigenvalues are prepared here, outside the measured
    time."""
    k = 4.0 * (n + 1) ** 2 * np.sin(np.pi * np.arange(1, n + 1) / (2 * n + 2)) ** 2
    inverse = 1.0 / sum(k.reshape([-1 if a == j else 1 for a in range(dim)]) for j in range(dim))

    def solve(b: np.ndarray, workers: int) -> np.ndarray:
        v = scipy.fft.dstn(b, type=1, workers=workers)
        v *= inverse
        return scipy.fft.idstn(v, type=1, workers=workers, overwrite_x=True)

    return solve


def solve_rows(
    n: int, dim: int, asked: float, repeats: int, *, algebraic: bool = True
) -> list[Row]:
    """Set-up + solve to 1e-8 beside PyAMG if `algebraic` (each contestant once in 3D), and beside
    the sine transform."""
    what = f"{dim}D Poisson {'x'.join([str(n)] * dim)} to 1e-8, matrix-free"
    problem = poisson((n,) * dim)
    _, b = smooth_problem(n, dim)
    sine = sine_solver(n, dim)

    def ours(cycle: str = "FMG", dtype: str = TYPE[dim], threads: int | None = None) -> Any:
        options = CYCLE[dim] | (algorithms.SINGLE[dim] if dtype == "float32" else {})
        built = StencilHierarchy.build(problem, dtype=dtype, threads=threads, **options)
        return built.solve(b, tol=TOL, cycle=cycle).x

    # float32 does not fit a smooth start on every grid, so V-cycles from 0 are in float64
    kinds: dict[str, dict[str, Any]] = {
        "FMG": {},
        "V": {"cycle": "V", "dtype": "float64"},
        "FMG, one thread": {"threads": 1},
    }
    if TYPE[dim] != "float64":
        kinds["FMG, float64"] = {"dtype": "float64"}
        kinds["FMG, float64, one thread"] = {"dtype": "float64", "threads": 1}
    fast = {f"{what}, {name}": partial(ours, **options) for name, options in kinds.items()}
    ours()  # compiles
    direct = {f"sine transform, {w} worker(s)": lambda w=w: sine(b, w) for w in (1, 2)}
    theirs = peers(problem.A, b.reshape(-1)) if algebraic else {}
    seconds, solutions = interleaved(
        {**fast, **direct, **theirs}, repeats=repeats if dim == 2 else 1
    )
    if dim == 3:
        seconds.replace(interleaved({**fast, **direct}, repeats=repeats)[0])
    residual = {
        name: relative_residual(problem.A, np.reshape(x, -1), b.reshape(-1))
        for name, x in solutions.items()
    }
    assert all(residual[name] <= TOL for name in fast), residual
    transform = min(direct, key=seconds.__getitem__)
    first, second, *_ = fast
    notes = [f"residual {residual[name]:.1e}" for name in fast]
    rows = []
    for name, note in zip(fast, notes, strict=True):
        if name != second:
            peer = "sine transform, 1 worker(s)" if "one thread" in name else transform
            asked_of = float(dim == 3 and name == first)
            rows.append(seconds.row(name, name, peer, asked=asked_of, note=note))
    if not algebraic:
        return rows
    best = min((name for name in theirs if residual[name] <= TOL), key=seconds.__getitem__)
    return [
        seconds.row(first, first, best, asked=asked, note=notes[0]),
        seconds.row(second, second, best, note=notes[1]),
        *rows,
    ]


def variable_rows(n: int, asked: float, repeats: int, names: Iterable[str] = VARIABLE) -> list[Row]:
    """-div(k grad u), k smooth or jumping by 1000: set-up (k on the faces included) + solve to 1e-8
    beside PyAMG, which is given the matrix; and ours by sparse matrices in float64."""
    rows = []
    for name in names:
        problem, cycle = create(name, n), VARIABLE[name]
        what = f"{name} {n}x{n} to 1e-8, matrix-free"
        ours: dict[str, Callable[[], Any]] = {
            f"{what}, FMG": lambda problem=problem, cycle=cycle: (
                StencilHierarchy.build(problem, **cycle).solve(problem.b, tol=TOL, cycle="FMG").x
            ),
            f"{what}, FMG, one thread": lambda problem=problem, cycle=cycle: (
                StencilHierarchy.build(problem, threads=1, **cycle)
                .solve(problem.b, tol=TOL, cycle="FMG")
                .x
            ),
            f"{what}, by default": lambda problem=problem: (
                solve(problem, backend="stencil", tol=TOL).x
            ),
            f"{name} {n}x{n} to 1e-8, sparse matrices": lambda problem=problem: (
                Hierarchy.build(problem).solve(problem.b, tol=TOL, cycle="FMG").x
            ),
        }
        StencilHierarchy.build(problem)  # compiles
        theirs = peers(problem.A, problem.b)
        seconds, solutions = interleaved({**ours, **theirs}, repeats=repeats)
        residual = {k: relative_residual(problem.A, x, problem.b) for k, x in solutions.items()}
        assert all(residual[k] <= TOL for k in ours), residual
        best = min((k for k in theirs if residual[k] <= TOL), key=seconds.__getitem__)
        rows += [
            seconds.row(
                k,
                k,
                best,
                asked=asked if name == "variable2d" and i == 0 else 0.0,
                note=f"residual {residual[k]:.1e}",
            )
            for i, k in enumerate(ours)
        ]
    return rows


def full_multigrid_rows(n: int, repeats: int) -> list[Row]:
    """One full multigrid pass, set-up included, beside the sine transform; the error against the
    exact solution in the note."""
    exact, b = smooth_problem(n, 2)
    sine = sine_solver(n, 2)
    direct = {f"sine transform, {w} worker(s)": lambda w=w: sine(b, w) for w in (1, 2)}
    stencil = laplacian(2)
    ours = {
        f"2D {n}x{n}, full multigrid, V(0,1), {name}": lambda degree=degree: (
            StencilHierarchy.build(stencil, shape=(n, n), pre=0, degree=degree).full_multigrid(b).x
        )
        for name, degree in (
            ("degrees 1, 1, 1, 2, ...", PASS[2]["degree"]),
            ("degrees 1, 2, ...", (1, 2)),
            ("degree 2", 2),
        )
    }
    alone = f"2D {n}x{n}, full multigrid, V(0,1), degrees 1, 1, 1, 2, ..., one thread"
    single = {
        alone: lambda: (
            StencilHierarchy.build(stencil, shape=(n, n), threads=1, **PASS[2]).full_multigrid(b).x
        )
    }
    seconds, solutions = interleaved({**direct, **ours, **single}, repeats=2 * repeats)
    best = min(direct, key=seconds.__getitem__)
    error = {name: float(np.max(np.abs(x - exact))) for name, x in solutions.items()}
    assert all(error[name] <= 1.1 * error[best] for name in ours), error
    notes = [f"error {error[name] / error[best]:.3f} x the direct solution's" for name in ours]
    return [
        seconds.row(name, name, best, asked=asked, note=note)
        for name, asked, note in zip(ours, (4.5, 0.0, 0.0), notes, strict=True)
    ] + [seconds.row(alone, alone, "sine transform, 1 worker(s)")]


def copies(source: np.ndarray, target: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Copies of one array to another by one and by two threads."""
    half = source.shape[0] // 2
    pool = ThreadPoolExecutor(2)

    def together() -> None:
        parts = [
            pool.submit(np.copyto, target[part], source[part])
            for part in (slice(0, half), slice(half, None))
        ]
        for part in parts:
            part.result()

    return {"copy, 1 thread": lambda: np.copyto(target, source), "copy, 2 threads": together}


def smoother_rows(n: int, repeats: int) -> list[Row]:
    """Bandwidth of one degree of the smoother against a copy, and degree 4 against degree 1, in
    place on n x n."""
    x, b, other = (np.random.default_rng(seed).standard_normal((n, n)) for seed in range(3))
    levels = {
        k: StencilHierarchy.build(laplacian(2), shape=(n, n), smoother="chebyshev", degree=k)
        for k in (1, 2, 4, 8)
    }
    contestants: dict[str, Callable[[], Any]] = {
        f"degree {k}": lambda k=k: levels[k].smooth(x, b, out=x) for k in levels
    }
    seconds, _ = interleaved({**contestants, **copies(b, other)}, repeats=repeats)
    copy = min((name for name in seconds if name.startswith("copy")), key=seconds.__getitem__)
    rate = {"smoother": 24e-9 * n * n / seconds["degree 1"], "copy": 16e-9 * n * n / seconds[copy]}
    note = (
        f"{rate['smoother']:.1f} of {rate['copy']:.1f} GB/s; the ratio is that of bandwidths; peer:"
        f" {copy}"
    )
    longer = ", ".join(
        f"degree {k}: {seconds[f'degree {k}'] / seconds['degree 1']:.2f}" for k in (2, 4, 8)
    )
    return [
        seconds.row(
            f"one degree of the smoother, {n}x{n}, 24 bytes an unknown",
            "degree 1",
            copy,
            asked=0.8,
            note=note,
            factor=1.5,
        ),
        seconds.row(
            f"smoothing of degree 4, {n}x{n}",
            "degree 4",
            "degree 1",
            asked=0.4,
            note=f"time over degree 1: {longer}",
        ),
    ]


def memory_rows() -> list[Row]:
    """Peak of all arrays that set-up and solve allocate beside x and b, in fine-grid vectors in
    place of seconds."""
    rows = []
    for n, dim in ((1023, 2), (127, 3)):
        _, b = smooth_problem(n, dim)
        for table in (tables.linear, tables.cubic, tables.restriction, tables.bands):
            table.cache_clear()  # those kept from other rows count too
        tracemalloc.start()
        solution = StencilHierarchy.build(laplacian(dim), shape=(n,) * dim, **CYCLE[dim]).solve(
            b, tol=TOL
        )
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        vectors = (peak - solution.x.nbytes) / b.nbytes
        rows.append(
            Row(
                f"peak memory beside x and b, {'x'.join([str(n)] * dim)}, in vectors",
                vectors,
                4.0,
                "allowed",
                1.0,
                f"{vectors:.2f} vectors",
            )
        )
    return rows


def edge_rows(repeats: int) -> list[Row]:
    """The rows that stand on the edge of what is asked, without PyAMG's minutes in 3D."""
    table = solve_rows(127, 3, 0.0, 3 * repeats, algebraic=False)
    table += full_multigrid_rows(2047, repeats)
    return table + variable_rows(511, 10.0, repeats, ["variable2d"])


def rows(quick: bool = False, repeats: int = 7) -> list[Row]:
    """The rows of the speed table; `quick` leaves out three dimensions."""
    table = solve_rows(1023, 2, 30.0, repeats)
    table += variable_rows(511, 10.0, max(2, repeats // 2))
    table += full_multigrid_rows(2047, repeats)
    table += smoother_rows(4095, max(repeats, 9))
    table += memory_rows()
    if not quick:
        table += solve_rows(127, 3, 100.0, repeats)
    return [replace(row, note=row.note.strip()) for row in table]


def scaling(largest: int, repeats: int) -> dict[str, tuple[list[int], list[float]]]:
    """Label -> (unknowns, shortest seconds), set-up included: solved to 1e-8, and one full
    multigrid pass, in two and three dimensions."""
    result: dict[str, tuple[list[int], list[float]]] = {}
    for dim, sizes in ((2, (255, 511, 1023, 2047, 4095, 8191)), (3, (31, 63, 127, 255))):
        for n in [n for n in sizes if dim == 3 or n <= largest]:
            _, b = smooth_problem(n, dim)
            stencil = laplacian(dim)
            runs = {
                f"{dim}D, to 1e-8": (
                    lambda stencil=stencil, b=b, dim=dim: StencilHierarchy.build(
                        stencil, shape=b.shape, **CYCLE[dim]
                    ).solve(b, cycle="FMG", tol=TOL)
                ),
                f"{dim}D, one pass": (
                    lambda stencil=stencil, b=b, dim=dim: StencilHierarchy.build(
                        stencil, shape=b.shape, **PASS[dim]
                    ).full_multigrid(b)
                ),
            }
            seconds, solutions = interleaved(
                runs, repeats=6 * repeats if b.size < 2**22 else repeats
            )
            for name in runs:
                unknowns, times = result.setdefault(name, ([], []))
                unknowns.append(b.size)
                times.append(seconds.least[name])
            full, single = (1e9 * seconds.least[name] / b.size for name in runs)
            cycles = next(iter(solutions.values())).iterations
            print(
                f"  {dim}D {n:>5}: {full:8.2f} ns an unknown to 1e-8 ({cycles} cycles),"
                f" {single:6.2f} ns for one full multigrid pass",
                flush=True,
            )
    return result


def plot(series: dict[str, tuple[list[int], list[float]]], path: str) -> None:
    """Time per unknown against the number of unknowns, as PNG or PDF."""
    from figures import draw_time_per_unknown, figure, paper
    from figures.style import save_as

    with paper():
        made, axes = figure()
        draw_time_per_unknown(axes[0, 0], series)
        save_as(made, path)


def report(quick: bool, repeats: int, largest: int, picture: str) -> None:
    """Print the table, and without `quick` the series over sizes, drawn to the file `picture` if
    that is given."""
    small = StencilHierarchy.build(laplacian(2), shape=(9, 9), pre=0, coarsest=16)
    print(
        f"kernels compiled or loaded in {small.compile_seconds:.2f} s (once; not part of any time"
        " below)"
    )
    print_rows("matrix-free backend, set-up + solve", rows(quick, repeats))
    if quick:
        return
    print("\ntime per unknown, matrix-free, set-up included (shortest of several runs)")
    series = scaling(largest, repeats)
    if picture:
        plot(series, picture)


def main() -> None:
    """Print the table and the time per unknown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="two dimensions, without the series over sizes"
    )
    parser.add_argument("--repeats", type=int, default=7, help="runs of which the median is taken")
    parser.add_argument("--largest", type=int, default=8191, help="largest n of the series in 2D")
    parser.add_argument("--plot", default="", metavar="FILE", help="draw the series to this file")
    parser.add_argument(
        "--edge", action="store_true", help="only the rows that stand on the edge of what is asked"
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="pyamg")
    print(machine())
    if options.edge:
        print_rows("on the edge, set-up + solve", edge_rows(options.repeats))
        return
    report(options.quick, options.repeats, options.largest, options.plot)


if __name__ == "__main__":
    main()
