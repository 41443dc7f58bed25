"""What the solver's tables run, on a processor (`matrixfree`) and on a GPU (`gpu`) alike: the
cycles, by dimension, and the problem. A machine chooses the grid that is solved directly, no more.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from mgtheory.polynomials.classical import chebyshev
from mgtheory.smoothers import Polynomial

# the fastest to 1e-8 in processor time on one thread, of degrees 1 to 6 and coarsest grids of 1024
# to 32768 unknowns (on an EPYC 9004: 22.4 ms at 1023^2, next 23.7). In 3D all that is above an
# eighth of the spectrum is damped, not only the high frequencies, above a sixth: these by 0.10 in
# place of 0.062, but of a smooth error the coarse grid leaves most just below them, and four cycles
# do what five did at 63^3, 127^3 and 255^3 (for a random b either needs eight)
EIGHTH = Polynomial(polynomial=chebyshev(4, interval=(0.25, 2.0)), scaling="diagonal")
CYCLE: dict[int, dict[str, Any]] = {
    2: {"pre": 0, "degree": 3},
    3: {"pre": 0, "smoother": EIGHTH},
}
# in float32, where a step takes half as long beside the rest of a sweep: three cycles of degree 6
# with shifted corrections (mgtheory/matrixfree/shift.py) in place of four of degree 4, in 3 to 20 %
# less processor time at 127^3; in float64 they take longer. Without the shift there are four of
# degree 6 too
SINGLE: dict[int, dict[str, Any]] = {
    2: {},
    3: {
        "smoother": Polynomial(polynomial=chebyshev(6, interval=(0.3, 2.0)), scaling="diagonal"),
        "shift": True,
    },
}
# one full multigrid pass with an error below 1.1 times the direct solution's at every size: one
# step on the finest grids, two below (with one step on all of them the distance to the discrete
# solution doubles from size to size: 1.7 times the direct error at 4095^2). In 3D with a coarsest
# grid of 31^3 at least: 1.04 at 127^3, where one of 15^3 has 1.17
PASS: dict[int, dict[str, Any]] = {
    2: {"pre": 0, "degree": (1, 1, 1, 2)},
    3: {"pre": 0, "degree": (1, 2)},
}

# for -div(k grad u) at 511^2, the fastest in processor time on one thread: of degrees 3 to 6,
# growing or not, and coarsest grids of 64 to 1024 unknowns (38 ms, others to 50)
VARIABLE = {"variable2d": {"pre": 0, "degree": (3, 4, 5, 6)}, "jump2d": {"degree": (3, 4, 5, 6)}}


def smooth_problem(n: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """u = prod t (1 - t) exp(t), which is no eigenfunction, and b = -Laplace u, on n^dim points."""
    t = np.arange(1, n + 1) / (n + 1)
    u, f = t * (1.0 - t) * np.exp(t), t * (3.0 + t) * np.exp(t)
    parts = [
        reduce(np.multiply.outer, [f if i == j else u for i in range(dim)]) for j in range(dim)
    ]
    return reduce(np.multiply.outer, [u] * dim), np.ascontiguousarray(sum(parts))
