"""Complexities and work units of cycles: by hand, and counted."""

import numpy as np
import pytest

from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.problems.catalogue import poisson


def test_complexities_and_printout():
    """Numbers by hand for 31 x 31, 15 x 15, 7 x 7: 5 n^2 - 4 n non-zeros; degree 2 costs 2 products
    before and 2 after."""
    hierarchy = Hierarchy.build(poisson((31, 31)), degree=2)
    nonzeros = np.array([5 * n * n - 4 * n for n in (31, 15, 7)])
    assert hierarchy.operator_complexity == pytest.approx(nonzeros.sum() / nonzeros[0])
    assert hierarchy.grid_complexity == pytest.approx((31**2 + 15**2 + 7**2) / 31**2)
    assert hierarchy.cycle_complexity("V") == pytest.approx(
        (2 * nonzeros[0] + 2 * nonzeros[1] + nonzeros[2]) / nonzeros[0]
    )
    assert hierarchy.cycle_complexity("W") == pytest.approx(
        (2 * nonzeros[0] + 4 * nonzeros[1] + 2 * nonzeros[2]) / nonzeros[0]
    )
    assert hierarchy.work_units("V") == pytest.approx(4 * (nonzeros[0] + nonzeros[1]) / nonzeros[0])
    assert hierarchy.work_units("W") == pytest.approx(4 + 9 * nonzeros[1] / nonzeros[0])
    assert hierarchy.work_units("F") == hierarchy.work_units("W")
    text = str(hierarchy)
    for part in (
        "3 levels",
        "31x31",
        str(nonzeros[0]),
        "1 + 1 chebyshev(2)",
        f"operator complexity {hierarchy.operator_complexity:.3f}",
    ):
        assert part in text


class Counting:
    """A x with products counted."""

    def __init__(self, A):
        self.A, self.dtype, self.shape, self.format, self.count = A, A.dtype, A.shape, "csr", 0

    def __matmul__(self, x):
        self.count += 1
        return self.A @ x

    def diagonal(self):
        return self.A.diagonal()


@pytest.mark.parametrize(
    "smoother", [("chebyshev", 3), ("chebyshev4_opt", 2), ("chebyshev", 8), ("jacobi", None)]
)
@pytest.mark.parametrize(("pre", "post"), [(1, 1), (2, 1), (0, 2), (1, 0)])
@pytest.mark.parametrize("cycle", ["V", "W", "F"])
def test_work_units_are_what_is_done(cycle, pre, post, smoother):
    hierarchy = Hierarchy.build(
        poisson((31, 31)), smoother=smoother[0], degree=smoother[1], pre=pre, post=post
    )
    done = counted(hierarchy)
    hierarchy.apply(np.ones(961), cycle)
    assert hierarchy.work_units(cycle) == pytest.approx(done())


@pytest.mark.parametrize("cycle", ["V", "W"])
@pytest.mark.parametrize("cycles", [1, 2])
def test_work_units_of_full_multigrid(cycle, cycles):
    """The pass from a residual on each level, and the residual after it; then V-cycles with
    theirs."""
    hierarchy = Hierarchy.build(poisson((31, 31)))
    done = counted(hierarchy)
    assert hierarchy.full_multigrid(
        np.ones(961), cycle=cycle, cycles=cycles
    ).work_units == pytest.approx(done())
    done = counted(hierarchy)
    assert hierarchy.solve(np.ones(961), cycle="FMG", maxiter=3).work_units == pytest.approx(done())


def counted(hierarchy):
    """Products with A are counted from now on; the result says how many, in work units."""
    for level in hierarchy.levels:
        level.operator = level.exact = Counting(level.operator)
        for smoothing in (level.pre, level.post):
            if smoothing is not None:
                smoothing.A = level.operator
    return lambda: (
        sum(level.operator.count * level.A.nnz for level in hierarchy.levels)
        / hierarchy.levels[0].A.nnz
    )


def test_counts_per_level():
    hierarchy = Hierarchy.build(poisson((63, 63)), pre=[1, 2], post=lambda l: l)
    assert [(level.pre_count, level.post_count) for level in hierarchy.levels[:-1]] == [
        (1, 0),
        (2, 1),
        (2, 2),
    ]
    assert hierarchy.levels[0].post is None
