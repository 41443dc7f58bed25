"""`compare-smoothers`: every family and degree on one problem in one table, and which is
fastest."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import typer

from polymgnet import console, options
from polymgnet.errors import Failure
from polymgnet.matrices import of_command
from polymgnet.options import option
from polymgnet.wording import worded

MOST = 10_000  # timed runs of a smoother
SIZE = {1: 1023, 2: 255, 3: 31}  # unknowns per axis, by dimension


def parse_degrees(text: str) -> list[int]:
    """Degrees from `1,2,3` or `1-4`, or both mixed."""
    from mgtheory.polynomials.residual import check_degree

    degrees: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            ends = int(first), int(last if dash else first)
        except ValueError:
            allowed = "whole numbers such as 1,2,3 or 1-4"
            raise ValueError(f"--degrees is {text!r}, allowed are {allowed}") from None
        for end in ends:
            check_degree(end)
        if ends[1] < ends[0]:
            raise ValueError(
                f"--degrees is {text!r}, {part.strip()} runs downwards; write {ends[1]}-{ends[0]}"
            )
        degrees += range(ends[0], ends[1] + 1)
    if len(set(degrees)) < len(degrees):
        raise ValueError(f"--degrees is {text!r}, a degree stands there twice; give each once")
    return degrees


def compare_smoothers(
    context: typer.Context,
    problem: options.Problem = None,
    n: Annotated[
        int | None,
        option("--n N", "Unknowns per axis; 1023 in 1D, 255 in 2D, 31 in 3D by default."),
    ] = None,
    boundary: options.Boundary = None,
    matrix: options.Matrix = None,
    shape: options.Shape = None,
    families: Annotated[
        list[str] | None,
        option(
            "--family NAME",
            "Only this family; may be repeated. All of them by default: {families}.",
        ),
    ] = None,
    degrees: Annotated[str, option("--degrees LIST", "Degrees as 1,2,3 or 1-4.")] = "1-4",
    pre: options.Pre = 1,
    post: options.Post = 1,
    coarsening: options.Coarsening = None,
    axes: options.Axes = "auto",
    cycle: Annotated[
        str, option("--cycle KIND", "Order in which the levels are visited: V, W or F.")
    ] = "V",
    backend: Annotated[
        str, option("--backend NAME", "What runs the cycle: {backends}.")
    ] = "sparse",
    repeats: Annotated[
        int,
        option("--repeats N", "Timed runs of each smoother; the median counts.", min=1, max=MOST),
    ] = 3,
    report: options.Report = None,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Compare smoothers on a problem or a matrix: predicted, measured, and timed.

    One row for every family and degree, and for the classical smoothers beside them: smoothing and
    two-grid factor by Fourier analysis (where A differs from point to point the latter from a cycle
    on this grid, by Arnoldi steps), gamma and the bound of the V-cycle that follows from it,
    what a cycle really leaves of the residual, its work in products with A on the finest grid, its
    time, and the time to gain a decimal digit. The winner is the fastest per digit, here and now,
    and what ties with it within the spread of the repeated times is named beside it; where the
    optimised fourth kind loses to another family, that is said.

    bound = C / (C + 1/gamma) holds for the energy norm of the error (the measured factor is the
    residual's 2-norm), for one smoothing before and one after and Galerkin coarse operators. C is
    the approximation constant of the problem's coarse grids far from a boundary; the table says
    which (4 for the 5-point stencil). Where A differs from point to point it is that of this grid
    (up to 32,768 unknowns, 8,192 in 3D).

    Example: polymgnet compare-smoothers --problem poisson2d --n 255 --degrees 1-4
    """
    from mgtheory import comparison
    from mgtheory.families import FAMILIES, get_family
    from mgtheory.smoothers import SMOOTHERS
    from polymgnet import backends

    console.check_page(report, force=force)
    wanted = [get_family(name).name for name in families or FAMILIES]
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"--family names {', '.join(wanted)}, must be each once")
    several = parse_degrees(degrees)
    options.check_coarsening(coarsening, matrix, backend)
    A, sizes = of_command(
        matrix,
        shape,
        instead={"--problem": problem, "--n": n},
        needs_shape=coarsening != "pyamg",
        otherwise="--coarsening pyamg",
    )
    problem = str(matrix or problem or options.MODEL)
    if A is None:
        model = options.model_problem(problem, n, SIZE, boundary or options.SIDES)
        backends.check_size(model, backend)
        sizes = model.shape
    else:
        backends.check_takes_matrix(backend)
    with console.progress(
        "compare", total=len(wanted) * len(several) + len(SMOOTHERS), show=not as_json
    ) as step:
        result = comparison.compare_smoothers(
            model if A is None else A,
            shape=None if A is None else sizes,
            boundary=boundary if A is not None else None,
            families=wanted,
            degrees=several,
            pre=pre,
            post=post,
            coarsening=coarsening,
            axes=options.axes_of(axes, len(sizes or A.shape[:1])),
            cycle=cycle,
            repeats=repeats,
            build=partial(backends.build, backend, cycle, show=not as_json),
            coarsest=backends.find(backend).coarsest,
            progress=step,
        )
    rows = tuple(replace(row, refused=worded(row.refused)) for row in result.rows)
    result = replace(result, rows=rows, doubts=tuple(map(worded, result.doubts)))
    asked = {"cycle": cycle, "pre": pre, "post": post, "backend": backend}
    document = {**result.to_dict(), **asked, "problem": problem}
    where = (problem, " x ".join(map(str, result.shape)), result.boundary)
    title = ", ".join([*filter(None, where), f"{cycle}({pre},{post})", f"backend {backend}"])
    if report is not None:
        from figures.page.comparing import comparison_page
        from figures.page.write import write

        document["report"] = report
        page = comparison_page(result, document, title=f"Smoothers: {title}", repeats=repeats)
        write(page, report, command=console.command_line(context))
    if as_json:
        console.emit(document)
    else:
        _show(result, title)
        if report is not None:
            console.say(f"page: {report}")
    if result.winner is None:
        first = result.rows[0]
        raise Failure(
            f"nothing was measured; {first.family} of degree {first.degree}: {first.refused}"
        )


def _show(result: Any, title: str) -> None:
    from mgtheory.comparison import COLUMNS

    rows = [row for row in result.rows if not row.refused]
    columns = dict(zip(COLUMNS, zip(*result.table), strict=True)) if rows else {}
    computed = [row.two_grid_computed for row in rows]
    shown = {name: cells for name, cells in columns.items() if set(cells) != {None}}
    caption = [
        "work/cycle: products with A, in units of the finest level's; solve takes one more a cycle"
        " for its stopping test",
        f"{_predicted(shown, computed)}measured: of the residual's 2-norm, in the second half of"
        " the cycles",
        "± %: half of the range of the repeated times over their median",
    ]
    if "bound" in shown:
        which = f"with C = {result.constant:.4g}, the approximation constant of this problem's"
        which += " coarse grids far from a boundary"
        if any(factor is not None for factor in computed):
            which = "of the level where it is largest, C the approximation constant of its coarse"
            which += f" grid (up to {result.constant:.4g} here)"
        caption.append(
            f"bound: C/(C + 1/gamma) {which}; it is one of the energy norm of the error, for one"
            " smoothing before and one after and Galerkin coarse operators"
        )
    if rows:
        cells = list(zip(*shown.values(), strict=True))
        console.table(title, list(shown), cells, keys=2, caption="\n".join(caption))
    if remark := console.coarsened_remark(result.axes, len(result.shape)):
        console.say(f"note: {remark}")
    for text in result.left_out:
        console.say(f"left out: {text}")
    for text in result.doubts:
        console.say(f"warning: {text}")
    for line in result.verdict:
        console.say(line)


def _predicted(shown: Collection[str], computed: Sequence[float | None]) -> str:
    """Where the predicted columns come from, or why there are none."""
    if "smoothing" in shown:
        return "smoothing, two-grid: by Fourier analysis, of the error; "
    why = "A differs from point to point, so Fourier analysis predicts nothing; "
    if any(factor is not None for factor in computed):
        why += "two-grid: on this grid, the largest Ritz value of a cycle of two grids; "
    return why
