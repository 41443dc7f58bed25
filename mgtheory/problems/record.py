"""One function that makes the record of an operator from whatever it is known by."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory._checks import check_array, check_finite, check_name, is_number, plain
from mgtheory.polynomials.exchange import intervals_of
from mgtheory.problems.grids import choose_axes
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.symbols import (
    complex_symbols,
    grid_frequencies,
    high_frequencies,
    symbol,
)
from mgtheory.spectra.arnoldi import linear_operator
from mgtheory.spectra.bounds import couplings, half_order, largest_eigenvalue
from mgtheory.spectra.interval import Interval
from mgtheory.spectra.record import Form, OperatorRecord, check_positive, stencil_form
from mgtheory.spectra.ritz import arnoldi, lanczos
from mgtheory.spectra.symmetry import (
    EXACT,
    NEARLY,
    ROUNDED,
    advice_said,
    asymmetry,
    difference_said,
    scaled_rows,
    symmetric_rows,
)

Scaling = Literal["identity", "diagonal"]
ROUNDING = 1e-9  # relative size of a negative eigenvalue that stands for 0
SCALINGS = ("auto", "identity", "diagonal")
# frequencies per axis of a stencil's symbol by dimension; pi/2 and pi among them
SAMPLES = {1: 256, 2: 64, 3: 32}
COUPLED_SAMPLES = 16  # with channels, where each frequency is an eigenvalue problem
# An estimate of the largest eigenvalue after a few steps has been 5 % low on Galerkin levels of
# rough coefficients. Above b the fourth kind grows quickly (degree 12 is 1.5 at 1.03 b), while a b
# that is 10 % high costs next to nothing.
MARGIN = 1.1
VARIES = 1e-6  # a diagonal whose entries differ by less, relative to the largest, is constant


def operator_record(
    of: Any, *, scaling: str = "auto", axes: Sequence[int] | str = "auto"
) -> OperatorRecord:
    """The record of BA.

    Parameters
    ----------
    of
        A `Problem`; a `Stencil`; an `Interval` or a pair (a, b) of the spectrum of BA; a number,
        the largest eigenvalue of BA; a square matrix or LinearOperator; points of a spectrum, an
        array of shape (m,); a list of intervals; or an object with a method ``operator_record``,
        such as the level of a hierarchy or the `LevelSpectrum` of a network's level.
    scaling
        B of a problem, stencil, matrix or level of a hierarchy: ``identity``, ``diagonal`` (the
        inverse diagonal), or ``auto``: of a problem or level as `choose_scaling` says, else the
        identity. An interval and points are those of BA already: here it says which B that is,
        unknown with ``auto``; ValueError for another B than that of what has its own, as a record.
    axes
        Of a problem or stencil, the axes that are coarsened: ``auto`` (those the solver coarsens,
        with at least half of the strongest coupling), ``all``, or their numbers.

    Examples
    --------
    >>> from mgtheory.problems import create
    >>> operator_record(create("anisotropic2d", n=3)).interval  # -u_xx is coarsened alone
    (32.0, 64.64)
    """
    check_name(scaling, SCALINGS, "scaling")
    found = _known(plain(of), scaling, axes)
    asked = str(axes) not in ("auto", "()")
    if asked and found.axes is None and not isinstance(of, OperatorRecord):
        raise ValueError(
            f"axes is {axes!r}, but {found.name} has none: axes belong to a Problem, a Stencil or"
            " a grid"
        )
    if scaling in ("auto", found.scaling):
        return found
    if found.scaling is not None:
        raise ValueError(f"scaling is {scaling!r}, but B of {found.name} is the {found.scaling}")
    return replace(found, scaling=cast(Scaling, scaling))


def _known(of: Any, scaling: str, axes: Sequence[int] | str) -> OperatorRecord:
    """The record, without B where numbers alone are given."""
    if isinstance(of, OperatorRecord):
        return of
    if hasattr(of, "operator_record"):
        return _own_record(of.operator_record, scaling)
    if isinstance(of, Problem):  # frozen: its record is made once
        records = vars(of).setdefault("_records", {})
        key = scaling, axes if isinstance(axes, str) else repr(axes)
        if key not in records:
            records[key] = _of_problem(of, scaling, axes)
        return cast(OperatorRecord, records[key])
    if isinstance(of, Stencil):
        return _of_stencil(of, scaling, axes)
    if is_number(of):
        return _of_interval(0.0, of)
    pair = isinstance(of, list | tuple) and len(of) == 2 and all(is_number(plain(e)) for e in of)
    if pair or isinstance(of, Interval):
        return _of_interval(*of)
    if intervals_of(of):
        return _of_intervals(of)
    if sp.issparse(of) or hasattr(of, "matvec"):
        return _of_matrix(of, scaling)
    if isinstance(of, list | tuple) or hasattr(of, "__array__"):  # tensors too
        array = np.asarray(check_array(of, "a matrix or points of a spectrum"))
        if array.ndim in (1, 2):
            return _of_points(array) if array.ndim == 1 else _of_matrix(array, scaling)
    raise ValueError(
        f"a {type(of).__name__} is no operator; a polynomial is derived for a Problem, a Stencil,"
        " an Interval or pair (a, b), the largest eigenvalue, a matrix, or points of a spectrum; of"
        " a network's level give nets.start.operators.operator_spectra([level.A], [grid])[0]"
    )


def _own_record(make: Callable[..., OperatorRecord], scaling: str) -> OperatorRecord:
    """Of an object that knows its own; with the B that is asked for where it has a choice."""
    choice = scaling != "auto" and "scaling" in inspect.signature(make).parameters
    return make(scaling=scaling) if choice else make()


def _of_intervals(parts: Sequence[Interval]) -> OperatorRecord:
    ends = np.abs([tuple(part) for part in parts])
    name = " and ".join(f"[{part.a:g}, {part.b:g}]" for part in parts)
    above = all(part.a > 0 for part in parts)
    return OperatorRecord("points", name, ends.max(), ends.min(), positive=above, source=parts)


def _of_interval(a: Any, b: Any) -> OperatorRecord:
    interval = Interval(a, b)
    a, b = interval
    if a < 0:
        return _of_intervals([interval])
    name = f"a spectrum in [{a:g}, {b:g}]" if a else f"a spectrum in (0, {b:g}]"
    return OperatorRecord("interval", name, b, a, source=interval)


def _of_points(points: NDArray[Any]) -> OperatorRecord:
    with np.errstate(over="ignore"):  # refused by the record
        modulus = np.abs(points)
    name = f"{points.size} points of a spectrum"
    check_finite(points, "the array of points")
    if points.size < 2:
        raise ValueError(f"points: {points.size} given, at least two are needed")
    positive = bool(np.all(points.imag == 0) and np.all(points.real > 0))
    a, b = modulus.min(), modulus.max()
    return OperatorRecord("points", name, b, a if a < b else 0.0, positive=positive, source=points)


def _of_matrix(A: Any, scaling: str) -> OperatorRecord:
    operator = linear_operator(A)
    n = operator.shape[0]
    B = None
    if scaling == "diagonal":
        if not hasattr(A, "diagonal"):
            raise ValueError("scaling 'diagonal' needs a matrix with entries, got an operator")
        if not A.diagonal().all():
            raise ValueError("scaling 'diagonal': the matrix has a 0 on its diagonal")
        B = 1.0 / A.diagonal()
        operator = linear_operator(sp.csr_array(sp.diags_array(B) @ A))
    # D S = A with a symmetric S has the spectrum of S in the inner product of D^-1
    rows = symmetric_rows(sp.csr_array(A)) if sp.issparse(A) else None
    S, D = A, B
    if rows is not None:
        S, D = scaled_rows(sp.csr_array(A), 1.0 / rows), rows if B is None else rows * B
    try:
        estimate = lanczos(S, B=D)
        found = f"Lanczos, {estimate.steps} steps, an estimate with its error and 1 %"
        found += "; A is symmetric but for scales of its rows" if rows is not None else ""
        if estimate.asymmetry > EXACT:
            part = f"{estimate.asymmetry:.0e}"
            found += f"; A is symmetric up to {part} of its norm, and taken as symmetric"
        # Ritz values lie in the spectrum: a negative one is no estimate's fault
        positive = estimate.smallest > -ROUNDING * estimate.largest
        b = estimate.upper if positive else estimate.radius
    except ValueError:  # not symmetric: real-interval families then have no interval to stand on
        b, found, positive = arnoldi(operator).radius, "Arnoldi, with its error and a margin", False
        found += _nearly_symmetric(A)
    return OperatorRecord(
        "matrix",
        f"a matrix of {n} rows",
        b,
        scaling="diagonal" if scaling == "diagonal" else "identity",
        found=found,
        positive=positive,
        diagonal=constant_diagonal(A) if B is None and hasattr(A, "diagonal") else None,
        source=A if B is None else operator,
    )


def constant_diagonal(A: Any) -> float | None:
    """The entry of A's diagonal, where all are the same positive number; else None."""
    entries = A.diagonal()
    real = not np.iscomplexobj(entries)
    alike = real and entries.min() > 0.0 and np.ptp(entries) <= VARIES * entries.max()
    return float(entries.mean(dtype=float)) if alike else None


def _nearly_symmetric(A: Any) -> str:
    """Where the entries of an A that does not count as symmetric are nearly so, how much is
    missing; else empty."""
    if not (sp.issparse(A) or isinstance(A, np.ndarray)):
        return ""
    A = sp.csr_array(A)
    differs = asymmetry(A)
    if not ROUNDED < differs <= NEARLY:
        return ""
    return f"; {difference_said(A, differs)}: {advice_said(A)}"


def _of_problem(problem: Problem, scaling: str, axes: Sequence[int] | str) -> OperatorRecord:
    size = " x ".join(map(str, problem.shape))
    name = f"{problem.name}, {size}, {problem.boundary}"
    constant = problem.stencil is not None
    kind = choose_scaling(scaling, constant, lambda: problem.A.diagonal())
    if problem.polynomial is not None:
        chosen = choose_axes(problem.couplings(), problem.shape, axes)
        a, b = problem.smoothing_interval(chosen)
        if len(chosen) < problem.dim:
            b = max(b, problem.smoothing_interval().b)
        if kind == "diagonal":
            assert problem.stencil is not None
            centre = float(problem.stencil.diagonal.item().real)
            a, b = a / centre, b / centre
        found = "the symbol, exact"
    elif problem.stencil is not None:
        same = _of_stencil(problem.stencil, kind, axes, problem.shape)
        (a, b), chosen, found = same.interval, same.axes or (), same.found
    else:
        strength = couplings(problem.A, problem.shape)
        chosen = choose_axes(strength, problem.shape, axes)
        B = None if kind == "identity" else 1.0 / problem.A.diagonal()
        a, b = matrix_interval(problem.A, problem.shape, chosen, B)
        found = "a bound of the matrix; the lower end by couplings"
    check_positive(a, b, name)
    return OperatorRecord(
        "problem",
        name,
        b,
        a,
        scaling=kind,
        axes=chosen,
        grid=problem.shape,
        padding=str(problem.boundary),
        found=found,
        form=problem.form,
        # with a wind the symbol is complex; what is made for an interval is derived all the same,
        # with |Ahat| for its ends, and the solver says what it expects
        positive=problem.stencil is None or complex_symbols(problem.stencil, chosen) is None,
        source=problem,
    )


def choose_scaling(asked: str, constant: bool, diagonal: Callable[[], NDArray[Any]]) -> Scaling:
    """B of a grid operator: as asked; ``auto`` is the identity where A has one `constant` stencil
    inside the grid, else the inverse diagonal where the diagonal varies or is no positive number,
    as of -A or i A.

    The diagonal of Neumann cells is smaller at the border alone. Fourier analysis knows no border:
    with B = I the cycle has the factor that it predicts.
    """
    if asked != "auto":
        return cast(Scaling, asked)
    if constant:
        return "identity"
    entries = diagonal()
    largest = np.abs(entries).max()
    alike = np.abs(entries - largest).max() <= VARIES * largest
    return "identity" if alike else "diagonal"


def matrix_interval(
    A: sp.csr_array, shape: Sequence[int], axes: Sequence[int], B: NDArray[Any] | None
) -> tuple[float, float]:
    """[a, b] for smoothing BA on a grid: b bounds the spectrum, a = b (min_j s_j/(2 sum_j s_j))^m.

    The s_j are the couplings along the axes, the minimum is over the coarsened ones, and 2m is the
    order of A: equal couplings give a = b/(2d) of the Laplacian L, and b/(2d)^2 of L^2. Without any
    coupling a = b/2: no frequency is another's neighbour.
    """
    compact = A.nnz <= (2 * len(shape) + 1) * A.shape[0]
    b = largest_eigenvalue(A, B, compact=compact, margin=MARGIN)
    s = couplings(A, shape)
    coupled = [s[j] for j in axes or range(len(s)) if s[j] > 0]
    if not coupled:
        return b / 2.0, b
    return b * (min(coupled) / (2.0 * sum(s))) ** half_order(A, shape), b


def _of_stencil(
    stencil: Stencil, scaling: str, axes: Sequence[int] | str, shape: Sequence[int] | None = None
) -> OperatorRecord:
    kind: Scaling = "diagonal" if scaling == "diagonal" else "identity"
    chosen = choose_axes(stencil.couplings(), shape, axes)
    samples = SAMPLES[stencil.dim] if stencil.channels == 1 else COUPLED_SAMPLES
    theta = grid_frequencies((samples,) * stencil.dim).reshape(-1, stencil.dim)
    symbols = symbol(stencil, theta).reshape(len(theta), stencil.channels, stencil.channels)
    if kind == "diagonal":
        diagonal = np.diagonal(stencil.diagonal)
        if not diagonal.all():
            raise ValueError("scaling 'diagonal': the centre tap is 0 on its diagonal, or missing")
        symbols = symbols / diagonal[:, None]
    values: NDArray[Any] = symbols[:, 0] if stencil.channels == 1 else np.linalg.eigvals(symbols)
    form: Form | None = None
    if stencil.channels == 1 and not np.iscomplexobj(stencil.values):
        form = stencil_form(stencil.offsets, stencil.values.reshape(-1))
    b = float(np.abs(values).max())
    real = bool(np.abs(values.imag).max() <= 1e-9 * b)
    high = values[high_frequencies(theta, chosen)]
    a = float(np.abs(high).min() if not real else high.real.min())
    name = f"a stencil of {len(stencil.offsets)} points in {stencil.dim}D"
    if real and a < -ROUNDING * b:
        check_positive(a, float(high.real.max()), name)
    if a == b:  # a multiple of the identity has one eigenvalue, which is no interval
        a = b / 2.0
    # in the right half-plane: of a stencil with first-order terms the solver says what it expects
    positive = float(values.real.min()) >= -ROUNDING * b
    return OperatorRecord(
        "stencil",
        name,
        b,
        max(a, 0.0),
        scaling=kind,
        axes=chosen,
        found=f"the symbol on {samples} frequencies per axis",
        form=form,
        positive=positive,
        source=stencil,
    )
