"""The grids of a matrix-free hierarchy from a problem and options, or why there are none."""

from __future__ import annotations

from typing import Any

import numpy as np

from mgtheory.matrixfree.faces import FaceCoarsening, FaceOperator
from mgtheory.matrixfree.operators import Coarsening, make_operator
from mgtheory.matrixfree.steps import described_on
from mgtheory.multigrid.options import Options
from mgtheory.multigrid.setup import coarsened
from mgtheory.problems.problem import Problem

# types of the cycle, float32 last
WORK = (np.float64, np.dtype(np.float64), np.float32, np.dtype(np.float32))
# what `mgtheory.Hierarchy.build` lets one choose and this cycle does in one way alone
FIXED: dict[str, tuple[Any, ...]] = {
    "boundary": (None, "dirichlet"),
    "coarsening": (None, "rediscretise", "galerkin"),
    "interpolation": (None, "linear"),
    "restriction": ("full",),
    "transfers": (None,),
    "coarse_solver": (None,),
    "nullspace": ("auto", None),
    "dtype": ("float64", "float32", "auto", None, float, *WORK),
}
# where coefficients vary, these instead
VARYING: dict[str, tuple[Any, ...]] = {
    "coarsening": (None,),
    "interpolation": (None, "black-box"),
    "shift": (False, "auto"),
    "dtype": ("float64", "auto", None, float, *WORK[:2]),
}


def operators_of(
    problem: Any,
    options: Options,
    h: float | None,
    *,
    varying: dict[str, tuple[Any, ...]] = VARYING,
) -> list[Any]:
    """The operators of all grids, the finest first; `varying` are the values that options which
    cannot be chosen may have where coefficients vary. A ValueError for what is not supported."""
    varies = isinstance(problem, Problem) and problem.coefficient is not None
    where = " where coefficients vary" if varies else ""
    _check_fixed(options, FIXED | varying if varies else FIXED, where)
    rule: Any = FaceCoarsening(options) if varies else Coarsening(options)
    finest = rule.from_here(finest_of(problem, options.shape, h))
    for schedule in (options.before, options.after):
        if not schedule.is_callable:  # what a callable gives is seen on its level
            described_on(schedule, finest)
    return coarsened(finest, rule, options.max_levels)


def finest_of(problem: Any, shape: Any, h: float | None) -> Any:
    """The finest operator; a ValueError for what is not supported."""
    varies = isinstance(problem, Problem) and problem.coefficient is not None
    make: Any = FaceOperator.of if varies else make_operator
    return make(problem, shape, h)


def is_single(dtype: Any) -> bool:
    """Whether a type that the options allow is float32."""
    return dtype not in (None, "auto") and np.dtype(dtype) == np.float32


def _check_fixed(options: Options, fixed: dict[str, tuple[Any, ...]], where: str) -> None:
    """Refuse other values of what cannot be chosen here."""
    for name, known in fixed.items():
        value = getattr(options, name)
        # by identity, unless a text: a basis of the nullspace is an array
        if any(value is one or (isinstance(value, str) and value == one) for one in known):
            continue
        array = isinstance(value, np.ndarray)
        shown = f"an array of shape {value.shape}" if array else repr(value)
        named = ", ".join(repr(one) for one in known if isinstance(one, str))
        allowed = f"allowed: {named}" if named else f"which has its own: leave {name} out"
        raise ValueError(
            f"{name} is {shown} for the matrix-free cycle{where}, {allowed};"
            " mgtheory.Hierarchy has others (backend 'sparse')"
        )
