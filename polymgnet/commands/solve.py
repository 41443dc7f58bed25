"""`solve`: a Poisson problem by multigrid with a polynomial smoother, with its history and its
times."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from polymgnet import backends, console, options, systems
from polymgnet.errors import Failure
from polymgnet.options import option
from polymgnet.wording import worded

# what the document takes from the solution as it is
REPORTED = (
    *("iterations", "residual_norms", "converged", "reason", "message", "warnings", "factor"),
    *("work_units", "setup_seconds", "solve_seconds", "step"),
)
SLOW = 0.5  # of the residual left by a cycle: beyond, something else is worth a try


def solve(
    context: typer.Context,
    problem: options.Problem = None,
    n: options.Points = None,
    boundary: options.Boundary = None,
    matrix: options.Matrix = None,
    shape: options.Shape = None,
    rhs: Annotated[
        Path | None,
        option(
            "--rhs FILE",
            "Of --matrix: b in a .mtx or .npy file; without it b = A u, u of random entries.",
        ),
    ] = None,
    family: options.OptionalFamily = None,
    degree: options.OptionalDegree = None,
    init: options.Init = None,
    smoother: options.Smoother = None,
    cycle: Annotated[
        str | None,
        option(
            "--cycle KIND",
            "V, W, F, or FMG (one full multigrid pass, then V-cycles): FMG by default, V with"
            " --krylov and with torch.",
        ),
    ] = None,
    pre: options.Pre = 1,
    post: options.Post = 1,
    coarsening: options.Coarsening = None,
    axes: options.Axes = "auto",
    max_levels: Annotated[
        int | None,
        option("--max-levels N", "Most levels; the last is solved directly.", min=1),
    ] = None,
    tol: Annotated[
        float, option("--tol T", "Stop at ||b - A x|| <= max(T ||b||, T2), 2-norms.")
    ] = 1e-8,
    atol: Annotated[float, option("--atol T2", "The absolute part of the tolerance.")] = 0.0,
    maxiter: Annotated[
        int, option("--maxiter N", "Most cycles (or Krylov steps) allowed.", min=0)
    ] = 100,
    backend: Annotated[
        str,
        option(
            "--backend NAME",
            "{backends}: sparse matrices, compiled stencils without matrices (needs numba),"
            " convolutions of torch, or what stencil does on a GPU.",
        ),
    ] = "sparse",
    device: Annotated[
        str | None,
        option("--device NAME", "Of --backend gpu: cuda (the default), cuda:1, or cpu to try it."),
    ] = None,
    krylov: Annotated[
        str | None,
        option("--krylov NAME", "Use the cycle as preconditioner of cg, minres or gmres."),
    ] = None,
    levels: Annotated[
        bool,
        option(
            "--levels", "Print the levels, their sizes and smoothers, and the cycle's cost too."
        ),
    ] = False,
    out: Annotated[Path | None, option("--out FILE", "Write x into a .npy file.")] = None,
    plot: Annotated[
        Path | None,
        option(
            "--plot FILE",
            "Draw the residual norms against the cycles into a .png, .pdf or .svg file.",
        ),
    ] = None,
    report: options.Report = None,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Solve a Poisson problem, or a system of your own on a grid, by multigrid.

    Prints the residual after every cycle, the times of set-up and solve, and the distance to the
    exact solution; --plot draws the history, --report explains it. Ends with exit status 1, and the
    reason, when it does not converge.

    Example: polymgnet solve --problem poisson2d --n 1023 --family chebyshev4 --degree 3 --cycle V
    --tol 1e-8
    """
    from mgtheory._files import write_array
    from mgtheory.smoothers import DEFAULT_DEGREE
    from mgtheory.solving import FASTEST
    from mgtheory.solving import solve as solve_problem

    _check_files(out, plot, report, force=force)
    options.check_coarsening(coarsening, matrix, backend)
    system = systems.chosen(
        problem=problem,
        n=n,
        boundary=boundary,
        matrix=matrix,
        shape=shape,
        rhs=rhs,
        needs_shape=coarsening != "pyamg",
        backend=backend,
    )
    _check_tolerance(tol)
    label, smoothing = options.chosen(family=family, degree=degree, init=init, smoother=smoother)
    coarsened = options.axes_of(axes, len(system.shape))
    around: dict[str, Any] = {"pre": pre, "post": post, "coarsening": coarsening} | system.grid
    if backend != "torch":  # a module has parameters in float64 and runs one kind of cycle
        around["dtype"] = FASTEST["dtype"]
        around["shift"] = FASTEST["shift"] if krylov is None else False
    kind = cycle or ("V" if krylov or backend == "torch" else FASTEST["cycle"])
    by_default = not (family or init or smoother)  # a family is then chosen for A
    hierarchy = backends.build(
        backend,
        kind,
        system.of,
        show=not as_json,
        smoother=None if by_default else smoothing,
        degree=degree if by_default else None,
        axes=coarsened,
        device=device,
        max_levels=max_levels,
        **around,
    )
    grows = smoothing is None
    if by_default:
        label, smoothing = backends.smoothing_of(hierarchy, label, smoothing)
    with console.progress("solve", total=100, show=not as_json) as step:
        limits: dict[str, Any] = {"tol": tol, "atol": atol, "maxiter": maxiter}
        limits["callback"] = Watch(step, tol, maxiter)
        solution = solve_problem(
            system.of, hierarchy, b=system.b, cycle=kind, krylov=krylov, **limits
        )
    if out is not None:
        write_array(out, solution.x)
    document = {
        "problem": system.name,
        "boundary": system.boundary(hierarchy),
        "shape": system.shape,
        "unknowns": solution.x.size,
        "family": label,
        "degree": DEFAULT_DEGREE if smoothing is None else getattr(smoothing, "degree", 1),
        "degree_grows": grows,
        "cycle": kind,
        "pre": pre,
        "post": post,
        "backend": backend,
        "krylov": krylov,
        **{name: getattr(solution, name) for name in REPORTED},
        "message": worded(solution.message),
        "warnings": [worded(text) for text in solution.warnings],
        "compile_seconds": getattr(hierarchy, "compile_seconds", None),
        "error": system.error(solution.x, hierarchy),
        "out": out,
    }
    if levels or report is not None:
        document["levels"] = backends.levels_of(hierarchy)
    if plot is not None:
        _draw(document, tol, plot)
    if report is not None:
        around |= {"axes": coarsened, "backend": backend, "shift": backends.shift_of(hierarchy)}
        document["predicted_factor"] = backends.predicted_factor(system.of, smoothing, **around)
        document["report"] = report
        _write_page(document, solution.x, system.reference, tol, console.command_line(context))
    if as_json:
        console.emit(document)
    else:
        if levels:
            _show_levels(hierarchy, document["levels"])
        _show(document, system.reference)
    if not solution.converged:
        message = document["message"] if as_json else _ended(document)
        raise Failure(f"{solution.reason}: {message}{_way_on(document)}")


def _check_files(out: Path | None, plot: Path | None, report: Path | None, *, force: bool) -> None:
    """ValueError or FileExistsError for results that could not be written at the end."""
    if plot is not None:
        from figures.style import check_suffix

        console.refuse_existing(check_suffix(plot), force=force)
    console.check_page(report, force=force)
    if out is not None:
        if out.suffix != ".npy":
            raise ValueError(f"--out is {out}, a name ends in .npy")
        console.refuse_existing(out, force=force)


def _check_tolerance(tol: float) -> None:
    """ValueError for one that the start has already."""
    if tol >= 1:
        raise ValueError(
            f"tol is {tol:g}, must be smaller than 1: the start x = 0 has ||b - A x|| = ||b||"
        )


def _way_on(result: dict[str, Any]) -> str:
    """What helps cycles that converge, and slowly."""
    norms = result["residual_norms"]
    if result["reason"] != "maxiter" or result["krylov"] or len(norms) < 3:
        return ""
    left = norms[-1] / norms[-2]
    if not SLOW < left < 1:
        return ""
    return (
        f"; a cycle leaves {left:.2f} of it: --krylov cg (gmres, where A is not symmetric) may need"
        " far fewer, and compare-smoothers shows other smoothers"
    )


def _ended(result: dict[str, Any]) -> str:
    """How the iteration ended, without the warnings, which have lines of their own."""
    text = str(result["message"])
    for warning in result["warnings"]:
        text = text.replace(f"; {warning}", "")
    return text


class Watch:
    """Moves a bar of 100 with the digits gained, or the cycles used up, whichever is further."""

    def __init__(self, step: console.Step, tol: float, maxiter: int) -> None:
        self.step, self.tol, self.maxiter, self.first = step, tol, maxiter, 0.0

    def __call__(self, done: int, norm: float) -> None:
        """After `done` cycles ||b - A x|| is `norm`."""
        self.first = norm if done == 0 else self.first
        digits = (
            math.log(self.first / norm) / -math.log(self.tol)
            if 0 < norm < self.first and 0 < self.tol < 1
            else 0.0
        )
        part = min(1.0, max(digits, done / max(self.maxiter, 1)))
        self.step(round(100 * part), f"cycle {done}, residual {norm:.1e}")


def _problem(result: dict[str, Any], times: str) -> str:
    grid = times.join(map(str, result["shape"]))
    return ", ".join(filter(None, (result["problem"], grid, result["boundary"])))


def _method(result: dict[str, Any]) -> str:
    text = (
        f"{result['cycle']}({result['pre']},{result['post']}), {result['family']} of degree"
        f" {result['degree']}{' and more on coarser grids' if result['degree_grows'] else ''}"
    )
    return text + (f", preconditioning {result['krylov']}" if result["krylov"] else "")


def _draw(result: dict[str, Any], tol: float, path: Path) -> None:
    """The history as a figure; the tolerance as a line."""
    from figures.curves import draw_convergence
    from figures.style import DOUBLE, figure, paper, save_as
    from mgtheory.multigrid.solution import several

    norms = [float(norm) for norm in result["residual_norms"]]
    if not norms[0] > 0 or not all(map(math.isfinite, norms)):
        console.note(
            f"no figure was drawn: the residual norms go from {norms[0]:.1e} to {norms[-1]:.1e}"
        )
        return
    with paper():
        made, axes = figure(width=0.6 * DOUBLE)
        method = _method({**result, "family": Path(result["family"]).name})
        label = f"{_problem(result, ' × ')}\n{method}"
        draw_convergence(axes[0, 0], {label: norms}, tolerance=tol, steps=several(result["step"]))
        save_as(made, path)


def _write_page(result: dict[str, Any], x: Any, exact: str, tol: float, command: str) -> None:
    """The page that explains the result, in the place of --report."""
    from figures.page.solving import solve_page
    from figures.page.write import write

    page = solve_page(result, x, method=_method(result), exact=exact, tol=tol)
    write(page, result["report"], command=command)


def _show_levels(hierarchy: Any, found: list[dict[str, Any]]) -> None:
    """What the hierarchy says of itself, its levels as a table that fits the window."""
    said = str(hierarchy).splitlines()
    heads = next(k for k, line in enumerate(said) if line.split()[:2] == ["level", "grid"])
    columns: dict[str, list[Any]] = {
        "level": [one["level"] for one in found],
        "grid": ["x".join(map(str, one["grid"])) for one in found],
        "unknowns": [one["unknowns"] for one in found],
        "non-zeros": [one["nonzeros"] for one in found],
        "smoothing (pre + post)": [one["smoothing"] for one in found],
    }
    shown = {name: cells for name, cells in columns.items() if set(cells) != {None}}
    console.table(
        said[0],
        list(shown),
        list(zip(*shown.values(), strict=True)),
        caption="\n".join(said[1:heads]),  # warnings follow with the result
    )


def _show(result: dict[str, Any], exact: str) -> None:
    norms = result["residual_norms"]
    rows = [
        [k, f"{norm:.3e}", "" if k == 0 or not norms[k - 1] else f"{norm / norms[k - 1]:.4f}"]
        for k, norm in enumerate(norms)
    ]
    console.table(
        f"{_problem(result, ' x ')}: {_method(result)}",
        [result["step"], "||b - A x||", "ratio"],
        rows,
    )
    pairs = [("result", f"{result['reason']}: {_ended(result)}")]
    if result["error"] is not None:
        what = f"||x - u|| / ||u||, u {exact}"
        pairs.append(("error", f"{result['error']:.3e}   {what}"))
    if result["work_units"]:
        pairs.append(("work", f"{result['work_units']:.1f} products with A on the finest grid"))
    if result["compile_seconds"]:
        seconds = result["compile_seconds"]
        pairs.append(("compiling", f"{seconds:.3f} s, kept on disk where that can be written"))
    pairs += [
        ("set-up", f"{result['setup_seconds']:.3f} s"),
        ("solve", f"{result['solve_seconds']:.3f} s"),
        *(("warning", text) for text in result["warnings"]),
        *([("written to", str(result["out"]))] if result["out"] else []),
        *([("page", str(result["report"]))] if result.get("report") else []),
    ]
    count = result["unknowns"]
    size = f"{count:,} unknown{'s' * (count != 1)}"
    console.facts(f"{size}, backend {result['backend']}", pairs)
