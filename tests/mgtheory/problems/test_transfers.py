"""The taps of transfers, and that matrices and tables on nested grids have them."""

import numpy as np
import pytest

from mgtheory.matrixfree import tables
from mgtheory.multigrid.transfer import interpolation, restriction
from mgtheory.problems.grids import Boundary
from mgtheory.problems.transfers import (
    CELL_INTERPOLATIONS,
    CELL_RESTRICTIONS,
    INTERPOLATIONS,
    RESTRICTIONS,
)

GRIDS = {Boundary.DIRICHLET: (31, 15), Boundary.PERIODIC: (32, 16), Boundary.NEUMANN: (32, 16)}
NODES = [Boundary.DIRICHLET, Boundary.PERIODIC]
KINDS = [
    *(
        (make, kind, known, b)
        for b in NODES
        for make, kind, known in [
            (restriction, "full", RESTRICTIONS),
            (restriction, "half", RESTRICTIONS),
            (restriction, "injection", RESTRICTIONS),
            (interpolation, "linear", INTERPOLATIONS),
            (interpolation, "cubic", INTERPOLATIONS),
        ]
    ),
    (restriction, "full", CELL_RESTRICTIONS, Boundary.NEUMANN),
    (interpolation, "linear", CELL_INTERPOLATIONS, Boundary.NEUMANN),
    (interpolation, "cubic", CELL_INTERPOLATIONS, Boundary.NEUMANN),
]


@pytest.mark.parametrize(("make", "kind", "known", "boundary"), KINDS)
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_matrices_on_nested_grids_have_the_taps(make, kind, known, boundary, axes):
    """R takes from the fine point x + k, P gives a coarse value to x - k, with the tap of k."""
    n, m = GRIDS[boundary]
    fine, coarse = ([(n, m)[i] if j in axes else 5 for j in range(2)] for i in (0, 1))
    middle = tuple(7 if j in axes else 2 for j in range(2))  # far from the boundary
    first = 1 if boundary is Boundary.DIRICHLET else 0  # the fine point of coarse point 0
    centre = tuple(2 * i + first if j in axes else i for j, i in enumerate(middle))
    matrix = make(tuple(fine), tuple(coarse), boundary, kind=kind).toarray()
    place = np.ravel_multi_index(middle, coarse)
    found = (matrix[place] if make is restriction else matrix[:, place]).reshape(fine)
    sign = 1 if make is restriction else -1
    stencil, expected = known[kind](2, axes), np.zeros(fine)
    for k, value in zip(stencil.offsets, stencil.values):
        expected[tuple(c + sign * i for c, i in zip(centre, k))] = value
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_tables_on_nested_grids_have_the_taps():
    for table, known in (
        (tables.restriction((15,) * 3, (7,) * 3), RESTRICTIONS["full"]),
        (tables.linear((15,) * 3, (7,) * 3), INTERPOLATIONS["linear"]),
    ):
        taps = known(1, (0,)).to_array()
        dense = np.zeros((table.first.shape[1], 20))
        for i, start in enumerate(table.first[0]):
            dense[i, start : start + 4] += table.weights[0, :, i]
        line = dense[3, 6:9] if known is RESTRICTIONS["full"] else dense[6:9, 3]
        assert line.tolist() == taps.tolist()


@pytest.mark.parametrize(("down", "up"), [("full", "linear"), ("cells", "cells")])
def test_restrictions_are_transposes(down, up):
    """And keep constants; the taps of a transpose are mirrored."""
    for dim in (1, 2, 3):
        axes = tuple(range(dim))
        R, P = RESTRICTIONS[down](dim, axes), INTERPOLATIONS[up](dim, axes)
        assert R.values.sum() == 1.0
        assert dict(zip(R.offsets, R.values)) == {
            tuple(-i for i in k): value / 2**dim for k, value in zip(P.offsets, P.values)
        }
