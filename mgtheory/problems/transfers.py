"""The transfers between nested grids as stencils: what a coarse point takes from the fine ones, and
what it gives them.

Each is a line of taps on every coarsened axis, centred at a fine point; half weighting alone is no
product of lines. A restriction is the transpose of its interpolation over 2 per axis, so that a
constant stays itself. On grids that are not nested weights vary from point to point
(`mgtheory.multigrid.transfer`), and are these where the grids are nested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mgtheory.problems.stencils import Stencil, tensor

Taps = tuple[float, ...]
Transfer = Callable[[int, Sequence[int]], Stencil]  # dimension, coarsened axes -> stencil

LINEAR: Taps = (0.5, 1.0, 0.5)
CUBIC: Taps = (-1 / 16, 0.0, 9 / 16, 1.0, 9 / 16, 0.0, -1 / 16)
# of cells (the unknowns of Neumann problems) the coarse one lies between the fine ones 0 and 1: 1/4
# and 3/4 of its own and the next coarse value
CELLS: Taps = (0.25, 0.75, 0.75, 0.25, 0.0)
CUBIC_CELLS: Taps = tuple(n / 128 for n in (-5, -7, 35, 105, 105, 35, -7, -5, 0))
FULL_WEIGHTING, CELL_WEIGHTING = (
    tuple(weight / 2 for weight in reversed(line)) for line in (LINEAR, CELLS)
)


def along(line: Sequence[float]) -> Transfer:
    """The same line on each coarsened axis."""
    return lambda dim, axes: tensor(*(line if j in axes else (1.0,) for j in range(dim)))


def _half_weighting(dim: int, axes: Sequence[int]) -> Stencil:
    """1/2 at the coarse point and 1/(4 d) at its 2 d neighbours, d the number of coarsened axes."""
    neighbours = [
        tuple(sign if i == j else 0 for i in range(dim)) for j in axes for sign in (-1, 1)
    ]
    weights = np.array([0.5] + [0.25 / len(axes)] * len(neighbours))
    return Stencil(((0,) * dim, *neighbours), weights)


RESTRICTIONS: dict[str, Transfer] = {
    "full": along(FULL_WEIGHTING),
    "half": _half_weighting,
    "injection": along((1.0,)),
    "cells": along(CELL_WEIGHTING),
}
INTERPOLATIONS: dict[str, Transfer] = {
    "linear": along(LINEAR),
    "cubic": along(CUBIC),
    "cells": along(CELLS),
}
# by the names that they have on the points of other grids; others need nested ones
CELL_RESTRICTIONS: dict[str, Transfer] = dict.fromkeys(("full", "cells"), RESTRICTIONS["cells"])
CELL_INTERPOLATIONS: dict[str, Transfer] = {
    "linear": INTERPOLATIONS["cells"],
    "cubic": along(CUBIC_CELLS),
    "cells": INTERPOLATIONS["cells"],
}
