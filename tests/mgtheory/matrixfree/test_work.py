"""Work units of the matrix-free cycle: counted, sweep by sweep."""

import numpy as np
import pytest

from mgtheory.matrixfree import StencilHierarchy
from mgtheory.matrixfree.kernel_level import KernelLevel
from mgtheory.matrixfree.level import StencilLevel
from mgtheory.matrixfree.tables import ZERO
from mgtheory.problems.catalogue import create, poisson


@pytest.fixture
def done(monkeypatch):
    """Products with A from now on, in unknowns: one for each step and each residual, but the first
    of a sweep from 0."""
    made, sweep, subtract = [], KernelLevel.sweep, StencilLevel.subtract_product
    refine = StencilLevel.refine

    def swept(self, start, sweeps, *, to=None, norm=False, **options):
        products = sum(map(len, sweeps)) + (norm or to is not None)
        made.append((products - (start == ZERO and products > 0)) * self.size)
        return sweep(self, start, sweeps, to=to, norm=norm, **options)

    def subtracted(self, below):
        made.append(below.size)
        subtract(self, below)

    def refined(self, e, factor, rest, unit):
        made.append(self.size * bool(e is not None or self.x.any()))
        return refine(self, e, factor, rest, unit)

    monkeypatch.setattr(KernelLevel, "sweep", swept)
    monkeypatch.setattr(StencilLevel, "refine", refined)
    monkeypatch.setattr(StencilLevel, "subtract_product", subtracted)
    return made


@pytest.mark.parametrize(
    ("problem", "dtype"),
    [(poisson((31, 40)), None), (create("variable2d", 31), None), (poisson((31, 40)), "float32")],
)
@pytest.mark.parametrize("counts", [(1, 1), (2, 1), (0, 2), (1, 0)])
@pytest.mark.parametrize("cycle", ["V", "W", "F"])
def test_work_units_are_what_is_done(problem, dtype, counts, cycle, done):
    """In float32 the residuals in float64 belong to it, which were left out."""
    pre, post = counts
    ours = StencilHierarchy.build(problem, coarsest=20, pre=pre, post=post, degree=3, dtype=dtype)
    assert len(ours.levels) > 2
    finest, b = ours.levels[0].size, np.ones(problem.unknowns)
    done.clear()  # of what kernels are compiled by
    ours.apply(b, cycle)
    assert ours.work_units(cycle) == pytest.approx(sum(done) / finest)
    for x0 in (None, b):
        done.clear()
        found = ours.solve(b, x0, cycle=cycle, maxiter=3, tol=0.0)
        of_start = 0 if x0 is None else finest
        assert found.work_units == pytest.approx((sum(done) - of_start) / finest)


@pytest.mark.parametrize("cycle", ["V", "W"])
@pytest.mark.parametrize("cycles", [1, 2])
@pytest.mark.parametrize("pre", [0, 1])
def test_work_units_of_full_multigrid(pre, cycles, cycle, done):
    """V-cycles without smoothing before begin with a residual on the grid below, where A has fewer
    unknowns."""
    problem = poisson((63, 31))
    ours = StencilHierarchy.build(problem, coarsest=20, pre=pre)
    finest, coarsest = ours.levels[0].size, ours.levels[-1].size
    done.clear()
    found = ours.full_multigrid(problem.b, cycle=cycle, cycles=cycles)
    saved = finest - coarsest if cycle == "V" and pre == 0 else 0
    assert found.work_units == pytest.approx((sum(done) + saved) / finest)
