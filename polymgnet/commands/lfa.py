"""`lfa`: what Fourier analysis predicts for a smoother and the cycle around it, and whether a run
confirms it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from polymgnet import console, options
from polymgnet.errors import Failure
from polymgnet.matrices import of_command
from polymgnet.options import option

# two numbers: of an indefinite A
SIGNS = (
    "the symbol of A runs from {:.4g} to {:.4g}: near frequencies where that of the coarse grid is"
    " 0 the factors have no bound, and a grid of your own has those of its frequencies, which solve"
    " measures"
)
SIZE = {1: 64, 2: 64, 3: 16}  # points per axis of the periodic grid, by dimension


def lfa(
    context: typer.Context,
    problem: options.Problem = None,
    matrix: options.Matrix = None,
    shape: options.Shape = None,
    family: options.OptionalFamily = None,
    degree: options.OptionalDegree = None,
    init: options.Init = None,
    smoother: options.Smoother = None,
    pre: options.Pre = 1,
    post: options.Post = 1,
    cycle: Annotated[str, option("--cycle KIND", "V or W, for the three-grid factor.")] = "V",
    coarsening: Annotated[str | None, option("--coarsening KIND", options.COARSE_OPERATORS)] = None,
    restriction: Annotated[
        str,
        option(
            "--restriction KIND",
            "full or half weighting, injection, or cells (means of fine cells).",
        ),
    ] = "full",
    axes: options.Axes = "auto",
    verify: Annotated[
        bool, option("--verify", "Run the two-grid cycle on a periodic grid and compare.")
    ] = False,
    n: Annotated[
        int | None,
        option(
            "--n N",
            "Mesh width 1/N, and points per axis of --verify's grid, then even; by default 64, in"
            " 3D 16.",
        ),
    ] = None,
    report: options.Report = None,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Predict how a smoother and its multigrid cycle converge (local Fourier analysis).

    On the infinite grid with mesh width 1/N: the smoothing factor (what one smoothing leaves of the
    high frequencies) and the two- and three-grid factors (what one cycle leaves of the error).
    Smaller is better, 1 or more does not converge.

    Example: polymgnet lfa --problem poisson2d --family chebyshev4 --degree 3 --pre 1 --post 1
    --verify
    """
    from mgtheory import fourier
    from mgtheory.fourier.cycle import LocalCycle
    from mgtheory.problems.record import operator_record

    console.check_page(report, force=force)
    _check(restriction, coarsening, n if verify else None)
    A, sizes = of_command(matrix, shape, instead={"--problem": problem, "--n": n})
    problem = str(matrix or problem or options.MODEL)
    model = _model(problem, n, stored=verify) if A is None else _inside(A, sizes)
    analysed = model if A is None else model.stencil
    if A is not None:  # as the solver has its coarse operators
        coarsening = coarsening or "galerkin"
    record = operator_record(model, axes=options.axes_of(axes, model.dim))
    coarsened = record.axes or ()
    around: dict[str, Any] = {"pre": pre, "post": post, "coarsening": coarsening}
    around["restriction"] = restriction
    asked: dict[str, Any] = {"family": family, "degree": degree, "init": init, "smoother": smoother}
    label, given = _smoother(model, record, around, **asked)
    local = LocalCycle(analysed, given, axes=coarsened, **around)
    around["coarsening"] = local.coarsening
    mu = fourier.smoothing_factor(model.stencil, given, axes=coarsened)
    two = fourier.two_grid_factor(analysed, given, axes=coarsened, **around)
    three = fourier.three_grid_factor(analysed, given, axes=coarsened, cycle=cycle, **around)
    document = {
        "problem": problem,
        "n": model.shape[0] if A is None else None,
        "family": label,
        "degree": getattr(given, "degree", 1),
        "roots": getattr(given, "roots", None),
        **around,
        "axes": coarsened,
        "cycle": cycle,
        "smoothing_factor": mu.factor,
        "two_grid_factor": two.factor,
        "two_grid_norm": two.norm,
        "three_grid_factor": three.factor,
        "worst_frequency": mu.frequency,
    }
    signs = _signs(model)
    remarks = [
        console.coarsened_remark(coarsened, model.dim),
        *([SIGNS.format(*signs)] if signs else []),
    ]
    document["changes_sign"] = signs is not None
    if remark := "; ".join(filter(None, remarks)):
        document["remark"] = remark
    if verify:
        document["verification"] = _verified(local, model.shape, show=not as_json)
    if report is not None:
        from figures.page.fourier import fourier_page
        from figures.page.write import write
        from mgtheory.fourier.relaxation import couples

        document["report"] = report
        shown: dict[str, Any] = {
            "title": _title(document),
            "coupled": couples(local.relaxations[0][0]),
        }
        page = fourier_page(document, model.stencil, mu, two, **shown)
        write(page, report, command=console.command_line(context))
    if as_json:
        console.emit(document)
    else:
        _show(document)
    run = document.get("verification")
    if run is not None and not run["agree"]:
        raise Failure(
            f"predicted {run['predicted']:.4g} and measured {run['measured']:.4g} differ by"
            f" {run['difference']:.1%}"
        )


def _check(restriction: str, coarsening: str | None, points: int | None) -> None:
    """ValueError for names that are none, and for `points` per axis of --verify that cannot be
    halved."""
    from mgtheory.fourier.coarsening import COARSENINGS
    from mgtheory.problems.transfers import RESTRICTIONS

    for name, value, allowed in (
        ("--restriction", restriction, RESTRICTIONS),
        ("--coarsening", coarsening, COARSENINGS),
    ):
        if value is not None and value not in allowed:
            raise ValueError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")
    if points is not None and (points < 2 or points % 2):
        raise ValueError(
            f"--n is {points}; the grid of --verify is coarsened by 2 and needs an even number of"
            " points per axis, at least 2"
        )


def _model(name: str, n: int | None, *, stored: bool) -> Any:
    """The periodic model problem, which has one stencil, and whose matrices this machine has the
    memory for where they are `stored`."""
    from polymgnet.backends import check_size

    model = options.model_problem(name, n, SIZE, "periodic")
    if stored:
        check_size(model, "sparse", chosen=False)
    if model.stencil is None:
        raise ValueError(
            f"{name} has variable coefficients; Fourier analysis needs constant ones, e.g."
            " poisson2d"
        )
    return model


def _smoother(
    model: Any,
    record: Any,
    around: dict[str, Any],
    *,
    family: str | None,
    degree: int | None,
    init: Path | None,
    smoother: str | None,
) -> tuple[str, Any]:
    """What to call the smoother that is asked for, as `solve` chooses it, and the smoother itself,
    a polynomial of the stencil or what `mgtheory.smoothers` makes of its name."""
    from mgtheory import smoothers
    from mgtheory.comparison import derived

    axes = record.axes or ()
    label, given = options.chosen(family=family, degree=degree, init=init, smoother=smoother)
    if not (family or init or smoother or record.positive):
        label, degree = smoothers.UNSYMMETRIC, degree or smoothers.UNSYMMETRIC_DEGREE
        given = smoothers.smoother(label, degree)
    given = smoothers.smoother(label) if given is None else given
    if isinstance(given, smoothers.Polynomial):
        given = derived(model, given.family or "", given.degree, axes=axes, around=around)
    if hasattr(given, "polynomial"):
        given = given.on(model.stencil, axes=axes).polynomial
    return label, given


def _signs(model: Any) -> tuple[float, float] | None:
    """The ends of a real symbol that changes its sign; None for any other."""
    import numpy as np

    values = np.asarray(model.eigenvalues())
    low, high = float(values.real.min()), float(values.real.max())
    rounding = 1e-9 * max(-low, high)
    real = np.abs(values.imag).max() <= rounding
    return (low, high) if real and low < -rounding and high > rounding else None


def _verified(local: Any, shape: tuple[int, ...], *, show: bool) -> dict[str, Any]:
    """The two-grid cycle run on a periodic grid of this shape, beside its prediction."""
    import numpy as np

    from mgtheory import verification

    with console.progress("run the cycle on a periodic grid", show=show):
        run = verification.verify(local, shape, rng=np.random.default_rng(0))
    return {
        "grid": run.shape,
        "predicted": run.predicted,
        "measured": run.measured,
        "difference": run.difference,
        "agree": run.agrees,
    }


def _inside(A: Any, sizes: Any) -> Any:
    """The periodic problem of the stencil that a matrix has inside its grid; of the sides Fourier
    analysis knows nothing. Where rows or unknowns have scales of their own it is that of D^-1 A in
    like units, which is smoothed there."""
    from mgtheory import Problem, Stencil
    from mgtheory.multigrid.ends import stencil_inside
    from mgtheory.multigrid.level import Level
    from mgtheory.multigrid.options import Options
    from mgtheory.multigrid.setup import grid_operator

    sizes = tuple(n for n in sizes if n > 1) or sizes  # an axis of one unknown has no neighbours
    grid = (SIZE[len(sizes)],) * len(sizes)
    of = grid_operator(A, Options(shape=sizes))
    if isinstance(of, Problem) and of.stencil is not None:
        return Problem.from_stencil(of.stencil, grid, boundary="periodic")
    taps = stencil_inside(A, sizes)  # with other ends, as of ghost points
    if taps is None and isinstance(of, Level) and of.phases is None:  # a field is more than these
        taps = stencil_inside(of.in_phase, sizes)
        taps = None if taps is None else taps / taps[(1,) * taps.ndim]
    if taps is not None:
        stencil = Stencil.from_array(taps, channels=False)
        return Problem.from_stencil(stencil, grid, boundary="periodic")
    given = " x ".join(map(str, sizes))
    raise ValueError(
        f"on the grid {given} A is not one stencil at all points inside, with equal weights on both"
        " sides of a point, as Fourier analysis of a matrix needs it; solve and compare-smoothers"
        " take it as it is; of a stencil with a wind Python has"
        " two_grid_factor(Stencil.from_array(...))"
    )


def _title(document: dict[str, Any]) -> str:
    width = "" if document["n"] is None else f" (mesh width 1/{document['n']})"
    return f"{document['family']}, degree {document['degree']}, on {document['problem']}{width}"


def _show(document: dict[str, Any]) -> None:
    cycle = f"{document['cycle']}({document['pre']},{document['post']})"
    kind = document["restriction"]
    how = f"{kind} weighting" if kind in ("full", "half") else f"restriction by {kind}"
    what = f"{document['coarsening']}, {how}"
    mu, two, three = (
        document[f"{name}_factor"] for name in ("smoothing", "two_grid", "three_grid")
    )
    pairs = [
        ("smoothing factor", f"{mu:.4f}   what one smoothing leaves of the high frequencies"),
        ("two-grid factor", f"{two:.4f}   what one cycle leaves of the error; {cycle}, {what}"),
        ("three-grid factor", f"{three:.4f}   the same with three grids"),
    ]
    if document["roots"] is not None:
        pairs.insert(0, ("roots", console.numbers(document["roots"])))
    run = document.get("verification")
    if run is not None:
        grid = " x ".join(str(n) for n in run["grid"])
        verdict = "they agree" if run["agree"] else "they do NOT agree"
        measured = f"predicted {run['predicted']:.4f}, measured {run['measured']:.4f}"
        pairs.append(("verified", f"{grid} periodic: {measured}; {verdict}"))
    if document.get("remark"):
        pairs.append(("note", document["remark"]))
    if document.get("report"):
        pairs.append(("page", str(document["report"])))
    if max(two, three) >= 1 and not document["changes_sign"]:
        pairs.append(("verdict", "does not converge: a factor is 1 or more"))
    console.facts(_title(document), pairs)
