"""An equation whose numbers leave the range of their type, solved as one whose numbers fit it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgtheory._checks import check_array, check_finite, own_errors
from mgtheory.multigrid.loop import Plan, Stop, norm
from mgtheory.multigrid.solution import Solution

# times the smallest normal number: where b ends below, a residual of 1e-8 ||b|| has no digits
SMALLEST = 1e6


class Unfit(Exception):
    """Squares of the norms of b or of the start's residual leave the range of their type, or no
    digit of b is left in b - A x0: `solve_fitted` has the way on."""


def _range(dtype: Any) -> tuple[float, float]:
    """Between which norms squares keep their digits."""
    range_ = np.finfo(dtype)
    low = float((range_.tiny / range_.eps) ** 0.5)
    return low, 1.0 / low


def check_sizes(b: NDArray[Any], size: float, first: float, *, zero: bool) -> None:
    """Raise `Unfit` where ||b|| = size and ||b - A x0|| = first do not fit; `zero` if x0 is 0."""
    low, high = _range(b.dtype)
    if size == 0.0 and not b.any():
        fits = zero or low <= first <= high
    else:
        fits = low <= size <= high and first <= size / float(np.finfo(b.dtype).eps)
    if not fits:
        raise Unfit


@own_errors
def solve_fitted(
    run: Callable[[Any, Any, Stop, Plan], Solution],
    b: ArrayLike,
    x0: ArrayLike | None,
    stop: Stop,
    plan: Plan,
) -> Solution:
    """run(b, x0, stop, plan); where it raises `Unfit`, that of the equation divided by a power of
    two, and from 0 where x0 does not help.

    Raises
    ------
    ValueError
        Where b is too small or too large for its digits to be those of doubles.
    """
    with suppress(Unfit):
        return run(b, x0, stop, plan)
    right, start = np.asarray(b), None if x0 is None else np.asarray(x0)
    for name, vector in (("b", right), ("x0", start)):
        if vector is not None:
            check_finite(vector, name)
    size, other = (0.0 if v is None else float(np.max(np.abs(v))) for v in (right, start))
    if not math.isfinite(size + other):
        raise ValueError("b or x0 leaves the range of numbers in modulus; scale the equation")
    dtype = np.result_type(right.dtype, np.float32)
    low, unit = _range(dtype)[0], 2.0 ** math.floor(math.log2(size or other or 1.0))
    right = right / unit
    if 0.0 < size < SMALLEST * np.finfo(dtype).tiny or unit * norm(right) > np.finfo(dtype).max:
        raise ValueError(
            f"b has entries up to {size:.1e}: with its residuals it leaves the range of {dtype};"
            " scale the equation"
        )
    stop, loads, said = replace(stop, unit=unit), plan.loads, ""
    if loads is not None:
        plan = replace(plan, loads=lambda of: check_array(loads(of), f"loads({of})") / unit)
    try:
        if other > np.finfo(dtype).max * min(unit, 1.0) or (size == 0.0 and other < low):
            raise Unfit
        found = run(right, None if start is None else start / unit, stop, plan)
    except Unfit:
        found = run(right, None, stop, plan)
        if size > 0.0:  # else 0 is the solution
            said = "b - A x0 is so much larger than b that x0 tells nothing of x: cycles began at 0"
    with np.errstate(over="ignore"):
        x = (found.x * unit).astype(found.x.dtype)
    if not np.isfinite(x).all():
        raise ValueError(f"x leaves the range of {dtype}; scale the equation")
    return replace(
        found,
        x=x,
        incompatibility=found.incompatibility * unit,
        warnings=found.warnings + ((said,) if said else ()),
        message=found.message + (f"; {said}" if said else ""),
    )
