"""`derive`: the coefficients of a polynomial smoother, and the file that carries them on."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from polymgnet import console
from polymgnet.console import refuse_existing
from polymgnet.matrices import of_command, read_points
from polymgnet.options import (
    MODEL,
    SIDES,
    Axes,
    Degree,
    Family,
    Force,
    Json,
    Matrix,
    Shape,
    axes_of,
    model_problem,
    one_of,
    option,
)
from polymgnet.wording import counted, worded


def derive(
    family: Family,
    degree: Degree,
    problem: Annotated[
        str | None, option("--problem NAME", "Derive for a model problem: {problems}.")
    ] = None,
    n: Annotated[
        int | None, option("--n N", "Unknowns per axis of the model problem; 63 by default.")
    ] = None,
    boundary: Annotated[
        str | None,
        option(
            "--boundary KIND",
            "Of the model problem or the matrix with --shape: dirichlet, neumann or periodic; by"
            " default dirichlet, of a matrix as it has it.",
        ),
    ] = None,
    matrix: Matrix = None,
    shape: Shape = None,
    interval: Annotated[
        tuple[float, float] | None,
        option(
            "--interval A B",
            "Derive for a spectrum in [A, B], 0 <= A < B (A > 0 but for families that need B"
            " alone).",
        ),
    ] = None,
    lmax: Annotated[
        float | None,
        option(
            "--lmax B",
            "Derive for a spectrum in (0, B]; chebyshev4, chebyshev4_opt, mls and bounded need no"
            " more.",
        ),
    ] = None,
    points: Annotated[
        Path | None,
        option(
            "--points FILE",
            "Derive for the eigenvalues in a .npy array, or in a text or .csv file, one a line:"
            " real [imaginary], or 1-2j.",
        ),
    ] = None,
    amplification: Annotated[
        float | None,
        option(
            "--amplification M",
            "Stretch q along its axis until the largest |q| on the spectrum is M > 1; where the"
            " spectrum is positive only shorten it.",
        ),
    ] = None,
    scaling: Annotated[
        str,
        option(
            "--scaling KIND",
            "B, where the polynomial is one of B A: identity, diagonal (D^-1, the inverse diagonal"
            " of A), or auto, as the solver chooses. Of an interval, points or lmax: which B they"
            " belong to.",
        ),
    ] = "auto",
    axes: Axes = "auto",
    out: Annotated[
        Path | None,
        option(
            "--out FILE",
            "Write the coefficients and where they come from to a JSON file, for --init of solve"
            " and lfa, train --init file:FILE, and export.",
        ),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Derive the coefficients of a polynomial smoother.

    One smoothing multiplies the error by q(A), a polynomial with q(0) = 1: the product of 1 -
    A/root, one product with A for each root. The roots are chosen for the spectrum of A: that of a
    model problem, a matrix (with its --shape the high frequencies of its grid, else the largest
    eigenvalue), an interval, or given points; without any of them that of poisson2d. Prints
    roots, step sizes (1/root) and gamma, which bounds the V-cycle for a symmetric positive definite
    A; for points that are complex or not positive, and for the complex symbol of a problem with a
    wind on its high frequencies, the largest |q| on them instead.

    Example: polymgnet derive --family chebyshev4_opt --degree 3 --problem poisson2d --out init.json
    """
    from mgtheory._checks import check_number
    from mgtheory.families import high_symbol
    from mgtheory.multigrid.level import Level
    from mgtheory.polynomials import scores
    from mgtheory.problems.record import operator_record

    sources = {"--problem": problem, "--interval": interval, "--lmax": lmax, "--points": points}
    given = "".join(one_of({**sources, "--matrix": matrix}))
    _check_grid(given, {"--n": n, "--boundary": boundary, "--axes": axes}, shape)
    if lmax is not None:
        check_number(lmax, "--lmax", "larger than 0")
    if interval is not None:  # what is printed is of a positive spectrum
        check_number(interval[0], "A of --interval", "from 0 on")
    A, sizes = of_command(matrix, shape, instead={}, needs_shape=False)
    if out is not None:
        refuse_existing(out, force=force)
    of: Any = interval if interval is not None else lmax
    if points is not None:
        of = read_points(points)
    elif A is not None:
        of = _of_matrix(A, sizes, boundary, axes)
    elif of is None:
        of = _of_model(problem or MODEL, n, boundary or SIDES, family)
    doubts = [worded(text) for text in of.doubts] if isinstance(of, Level) else []
    dim = len(sizes) if sizes is not None else getattr(of, "dim", None)
    record = operator_record(of, scaling=scaling, axes=axes_of(axes, dim))
    if matrix is not None:  # by which refusals and exported files know it
        size = f"{A.shape[0]} rows" if sizes is None else " x ".join(map(str, sizes))
        record = replace(record, name=f"{matrix.name}, {size}")
    coefficients = _derived(family, degree, record, amplification, given, sizes)
    on = of if points is not None else high_symbol(record)
    spread = None if on is None else _set_of(on, coefficients.polynomial)
    gamma = None if spread else scores.gamma(coefficients.relative)
    if out is not None:
        coefficients.save(out)
    if as_json:
        console.emit(_document(coefficients, spread, gamma) | {"warnings": doubts, "out": out})
        return
    search = coefficients.provenance["result"].get("message")
    console.facts(
        f"{coefficients.family}, degree {coefficients.degree}",
        [
            ("spectrum", _spectrum(coefficients, record, spread, given)),
            *([("found by", record.found)] if matrix is not None and record.found else []),
            ("roots", console.numbers(coefficients.roots)),
            ("step sizes", console.numbers(coefficients.weights)),
            _measure(record, spread, gamma, given),
            *([("search", search)] if search else []),
            *_stretched(coefficients, amplification),
            *(("warning", text) for text in doubts),
            *([("written to", str(out))] if out else []),
        ],
    )


def _check_grid(given: str, beside: Mapping[str, Any], shape: str | None) -> None:
    """ValueError for options of a grid beside a source that has none."""
    if given in ("", "--problem"):
        return
    for name in ("--n", "--boundary"):
        if beside[name] is not None and (name == "--n" or shape is None):
            raise ValueError(f"{given} and {name} are given; {name} belongs to --problem")
    if beside["--axes"] != "auto" and shape is None:
        raise ValueError(
            f"{given} and --axes are given; --axes belongs to a grid, that of --problem or --shape"
        )


def _of_matrix(A: Any, sizes: tuple[int, ...] | None, boundary: str | None, axes: str) -> Any:
    """A matrix, or what its grid makes of it, a problem or a level."""
    from mgtheory.multigrid.options import Options
    from mgtheory.multigrid.setup import grid_operator

    if sizes is None:
        return A
    chosen = axes_of(axes, len(sizes))
    return grid_operator(A, Options(shape=sizes, boundary=boundary, axes=chosen))


def _of_model(name: str, n: int | None, boundary: str, family: str) -> Any:
    """A model problem that this machine has the memory for."""
    from mgtheory.families import get_family
    from polymgnet.backends import check_size

    problem = model_problem(name, n, dict.fromkeys((1, 2, 3), 63), boundary)
    if get_family(family).needs == "operator":  # its matrix is made
        check_size(problem, "sparse", chosen=False)
    return problem


def _derived(
    family: str,
    degree: int,
    record: Any,
    amplification: float | None,
    given: str,
    sizes: tuple[int, ...] | None,
) -> Any:
    """The coefficients, of a matrix on a grid those for its cycle, whose coarse operators are
    R A P."""
    import mgtheory
    from mgtheory.families import get_family

    needs = get_family(family).needs
    cycle = {"coarsening": "galerkin"} if sizes is not None and needs == "problem" else {}
    try:
        return mgtheory.derive(family, degree, record, amplification=amplification, **cycle)
    except ValueError as error:
        if given != "--matrix" or sizes is not None or needs != "interval":
            raise
        raise ValueError(f"{error}; --shape, the grid of the matrix, gives one") from None


def _set_of(points: Any, polynomial: Any) -> dict[str, Any] | None:
    """What to know of points that cannot be the spectrum of a symmetric positive definite A."""
    import numpy as np

    if np.all(points.imag == 0) and np.all(points.real > 0):
        return None
    return {
        "count": points.size,
        "real": [points.real.min(), points.real.max()],
        "imaginary": [points.imag.min(), points.imag.max()],
        "largest_modulus": np.abs(points).max(),
        "largest_q": np.abs(polynomial.q(points)).max(),
    }


def _document(coefficients: Any, spread: dict[str, Any] | None, gamma: float | None) -> Any:
    """What --json prints."""
    names = ("family", "degree", "interval", "roots", "weights", "provenance")
    document = {name: getattr(coefficients, name) for name in names}
    document |= {"interval": None, "points": spread} if spread else {}
    factors = [factor.to_dict() for factor in coefficients.polynomial.factors]
    operator = coefficients.operator.to_dict()
    return {**document, "gamma": gamma, "factors": factors, "operator": operator}


def _spectrum(coefficients: Any, record: Any, spread: dict[str, Any] | None, given: str) -> str:
    """The spectrum that the polynomial was derived for, of what the options gave."""
    if spread:
        numbers = (*spread["real"], *spread["imaginary"], spread["largest_modulus"])
        ends = [console.number(end, 6) for end in numbers]
        return (
            f"{counted(spread['count'], 'point')}, real parts {ends[0]} to {ends[1]}, imaginary"
            f" parts {ends[2]} to {ends[3]}, moduli up to {ends[4]}"
        )
    ends = [console.number(end, 6) for end in coefficients.interval]
    scaled = " of D^-1 A, D the diagonal of A" if record.scaling == "diagonal" else ""
    text = f"[{ends[0]}, {ends[1]}]{scaled}"
    if given in ("--interval", "--points") and record.lower > coefficients.interval[0]:
        text += f"; {coefficients.family} takes the upper end alone, not {record.lower:.6g}"
    return text


def _measure(
    record: Any, spread: dict[str, Any] | None, gamma: float | None, given: str
) -> tuple[str, str]:
    """How good the polynomial is, in a name and a number with its meaning."""
    if spread:
        largest = console.number(spread["largest_q"], 6)
        return "max |q|", f"{largest}   (on the points; below 1 damps all)"
    bound = "smaller is better; the V-cycle contracts the energy norm by at most C/(C + 1/gamma)"
    if gamma is not None and math.isinf(gamma):
        bound = "no smoother for a V-cycle: |q| reaches 1 or more within (0, b]"
    elif given == "--matrix" and not record.positive:
        bound = "of (0, b]; it bounds no V-cycle here, A is not symmetric positive definite"
    return "gamma", f"{console.number(gamma, 6)}   ({bound})"


def _stretched(coefficients: Any, amplification: float | None) -> list[tuple[str, str]]:
    """By how much the amplification has stretched q, where it is no parameter of the family."""
    scale = coefficients.provenance["result"].get("scale")
    if scale is None:
        return []
    if scale == 1:
        return [("stretched", f"not: |q| is at most {amplification:g}")]
    return [("stretched", f"by {console.number(1 / scale, 6)}, to max |q| = {amplification:g}")]
