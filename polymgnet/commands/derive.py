"""`derive`: the coefficients of a polynomial smoother, and the file that carries them on."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from polymgnet import console
from polymgnet.console import refuse_existing
from polymgnet.matrices import of_command
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
from polymgnet.wording import worded


def _read_points(path: Path) -> Any:
    """Complex sample points from a text file: a line a point, real part and, optionally, imaginary
    part; # begins a comment."""
    import numpy as np

    from mgtheory._files import check_is_file

    rule = "a line is a real part and, optionally, an imaginary part"
    check_is_file(path, "points")
    points = []
    for number, line in enumerate(
        path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1
    ):
        words = line.partition("#")[0].replace(",", " ").split()
        try:
            if len(words) > 2:
                raise ValueError
            values = [float(word) for word in words]
        except ValueError:
            raise ValueError(
                f"points file {path}, line {number} is {line[:60]!r}; {rule}"
            ) from None
        if not all(map(math.isfinite, values)):
            raise ValueError(
                f"points file {path}, line {number} is {line[:60]!r}; numbers must be finite"
            )
        if values:
            points.append(complex(*values))
    if not points:
        raise ValueError(f"points file {path} is empty; {rule}")
    return np.array(points)


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
            "Of the model problem or the matrix with --shape: dirichlet (the default), neumann or"
            " periodic.",
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
            "Derive for the eigenvalues in a text or .csv file, one a line: real [imaginary].",
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
    import mgtheory
    from mgtheory._checks import check_number
    from mgtheory.families import get_family, high_symbol
    from mgtheory.multigrid.level import Level
    from mgtheory.multigrid.options import Options
    from mgtheory.multigrid.setup import grid_operator
    from mgtheory.polynomials import scores
    from mgtheory.problems.record import operator_record
    from polymgnet.solving import check_size

    sources = {"--problem": problem, "--interval": interval, "--lmax": lmax, "--points": points}
    given = one_of({**sources, "--matrix": matrix})
    for name, value in (("--n", n), ("--boundary", boundary)):
        on_grid = name == "--boundary" and shape is not None
        if value is not None and given not in ([], ["--problem"]) and not on_grid:
            raise ValueError(f"{given[0]} and {name} are given; {name} belongs to --problem")
    if axes != "auto" and given not in ([], ["--problem"]) and shape is None:
        raise ValueError(
            f"{given[0]} and --axes are given; --axes belongs to a grid, that of --problem or"
            " --shape"
        )
    if lmax is not None:
        check_number(lmax, "--lmax", "larger than 0")
    A, sizes = of_command(matrix, shape, instead={}, needs_shape=False)
    if out is not None:
        refuse_existing(out, force=force)
    of: Any = interval if interval is not None else lmax
    if points is not None:
        of = _read_points(points)
    elif sizes is not None:
        chosen = axes_of(axes, len(sizes))
        of = grid_operator(A, Options(shape=sizes, boundary=boundary, axes=chosen))
    elif A is not None:
        of = A
    elif of is None:
        of = model_problem(problem or MODEL, n, dict.fromkeys((1, 2, 3), 63), boundary or SIDES)
        if get_family(family).needs == "operator":  # its matrix is made
            check_size(of, "sparse", chosen=False)
    doubts = [worded(text) for text in of.doubts] if isinstance(of, Level) else []
    dim = len(sizes) if sizes is not None else getattr(of, "dim", None)
    record = operator_record(of, scaling=scaling, axes=axes_of(axes, dim))
    if matrix is not None:  # by which refusals and exported files know it
        size = f"{A.shape[0]} rows" if sizes is None else " x ".join(map(str, sizes))
        record = replace(record, name=f"{matrix.name}, {size}")
    # what is made for a cycle: the coarse operators of a matrix are R A P
    made_for_cycle = sizes is not None and get_family(family).needs == "problem"
    cycle = {"coarsening": "galerkin"} if made_for_cycle else {}
    try:
        coefficients = mgtheory.derive(family, degree, record, amplification=amplification, **cycle)
    except ValueError as error:
        if A is None or sizes is not None or get_family(family).needs != "interval":
            raise
        raise ValueError(f"{error}; --shape, the grid of the matrix, gives one") from None
    on = of if points is not None else high_symbol(record)
    spread = None if on is None else _set_of(on, coefficients.polynomial)
    gamma = None if spread else scores.gamma(coefficients.relative)
    if out is not None:
        coefficients.save(out)
    if as_json:
        names = ("family", "degree", "interval", "roots", "weights", "provenance")
        document = {name: getattr(coefficients, name) for name in names}
        document |= {"interval": None, "points": spread} if spread else {}
        factors = [factor.to_dict() for factor in coefficients.polynomial.factors]
        operator = coefficients.operator.to_dict()
        console.emit(
            {
                **{**document, "gamma": gamma, "factors": factors, "operator": operator},
                **{"warnings": doubts, "out": out},
            }
        )
        return
    if spread:
        numbers = (*spread["real"], *spread["imaginary"], spread["largest_modulus"])
        ends = [console.number(end, 6) for end in numbers]
        spectrum = f"{spread['count']} points, real parts {ends[0]} to {ends[1]}, imaginary parts"
        spectrum += f" {ends[2]} to {ends[3]}, moduli up to {ends[4]}"
        largest = console.number(spread["largest_q"], 6)
        measure = ("max |q|", f"{largest}   (on the points; below 1 damps all)")
    else:
        spectrum = "[{}, {}]".format(*(console.number(end, 6) for end in coefficients.interval))
        spectrum += " of D^-1 A, D the diagonal of A" * (record.scaling == "diagonal")
        if given in (["--interval"], ["--points"]) and record.lower > coefficients.interval[0]:
            spectrum += f"; {family} takes the upper end alone, not {record.lower:.6g}"
        bound = (
            "smaller is better; the V-cycle contracts the energy norm by at most C/(C + 1/gamma)"
        )
        if gamma is not None and math.isinf(gamma):
            bound = "no smoother for a V-cycle: |q| reaches 1 or more within (0, b]"
        elif matrix is not None and not record.positive:
            bound = "of (0, b]; it bounds no V-cycle here, A is not symmetric positive definite"
        measure = ("gamma", f"{console.number(gamma, 6)}   ({bound})")
    result = coefficients.provenance["result"]
    stretched = {}  # by the amplification, where it is no parameter of the family
    if (scale := result.get("scale")) is not None:
        by = f"by {console.number(1 / scale, 6)}, to max |q| = {amplification:g}"
        stretched = {"stretched": by if scale != 1 else f"not: |q| is at most {amplification:g}"}
    console.facts(
        f"{coefficients.family}, degree {coefficients.degree}",
        [
            ("spectrum", spectrum),
            *([("found by", record.found)] if matrix is not None and record.found else []),
            ("roots", console.numbers(coefficients.roots)),
            ("step sizes", console.numbers(coefficients.weights)),
            measure,
            *([("search", result["message"])] if result.get("message") else []),
            *stretched.items(),
            *(("warning", text) for text in doubts),
            *([("written to", str(out))] if out else []),
        ],
    )
