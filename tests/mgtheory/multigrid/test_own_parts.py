"""Smoothers, transfers and coarse solvers of a user's own in a hierarchy."""

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.smoothings import Smoothing
from mgtheory.problems.catalogue import poisson
from mgtheory.smoothers import Jacobi


class Half(Smoothing):
    """An own smoothing: half of Jacobi."""

    def correct(self, r):
        return 0.5 * r / self.A.diagonal()


class Minimal:
    """The least that a smoothing needs."""

    def __init__(self, level):
        self.diagonal = level.A.diagonal()

    def correct(self, r):
        return 0.5 * r / self.diagonal


def test_own_parts():
    """Smoother on one level, transfers, coarse solver: replaced by own objects, the cycle is the
    same linear map."""
    problem = poisson((15, 15))
    r = np.random.default_rng(0).standard_normal(225)
    plain = Hierarchy.build(problem, smoother=Jacobi(0.5), coarsest=20, coarsening="galerkin")
    mixed = Hierarchy.build(
        problem,
        smoother=lambda l: Jacobi(0.5) if l.index else Half(l.operator),
        coarsest=20,
        coarsening="galerkin",
    )
    minimal = Hierarchy.build(problem, smoother=Minimal, coarsest=20, coarsening="galerkin")
    calls = []

    def solver(A):
        dense = np.linalg.inv(A.toarray())
        return lambda v: calls.append(v.size) or dense @ v

    def transfers(level):
        if level.index == len(plain.levels) - 1:
            return None, None, level.shape
        twin = plain.levels[level.index]
        return twin.P.tocsr(), twin.R.tocsr(), plain.levels[level.index + 1].shape

    own = Hierarchy.build(problem, smoother=Jacobi(0.5), transfers=transfers, coarse_solver=solver)
    for other in (mixed, minimal, own):
        for cycle in "VWF":
            np.testing.assert_allclose(other.apply(r, cycle), plain.apply(r, cycle), atol=1e-13)
    assert calls == [9] * 5  # one in V, two in W and F on three levels
    assert "Minimal" in str(minimal)


def test_own_transfers_on_one_level():
    """None leaves a level to the default."""
    problem = poisson((31, 31))
    plain = Hierarchy.build(problem, coarsening="galerkin")
    twin = plain.levels[1]

    def second(level):
        return (2 * twin.P.tocsr(), twin.R.tocsr(), (7, 7)) if level.index == 1 else None

    own = Hierarchy.build(problem, transfers=second)
    assert [level.shape for level in own.levels] == [(31, 31), (15, 15), (7, 7)]
    assert abs(own.levels[2].A - 2 * plain.levels[2].A).max() < 1e-9
    r = np.random.default_rng(0).standard_normal(961)
    # P doubled and the coarse operator too
    np.testing.assert_allclose(own.apply(r), plain.apply(r), atol=1e-13)
    single = Hierarchy.build(problem, transfers=second, dtype=np.float32)
    # own objects stay what they are
    assert [level.P.dtype for level in single.levels[:2]] == [np.float32, np.float64]


@pytest.mark.parametrize("name", ["transfers", "coarse_solver"])
def test_own_parts_are_called(name):
    with pytest.raises(ValueError, match=f"{name} is 3, must be callable"):
        Hierarchy.build(poisson((15, 15)), **{name: 3})


def test_own_transfers_need_no_grid():
    """Unknowns in random order couple no neighbours, which speaks against the default's transfers
    alone: with those of the grid in the same order the cycle is the grid's."""
    problem, options = poisson((15, 15)), {"smoother": Jacobi(0.5), "coarsening": "galerkin"}
    plain, order = Hierarchy.build(problem, **options), np.random.default_rng(0).permutation(225)
    A, P = sp.csr_array(problem.A[order][:, order]), plain.levels[0].P.tocsr()[order]

    def transfers(level):
        return (None, None, level.shape) if level.index else (P, sp.csr_array(P.T) / 4, 49)

    own, r = Hierarchy.build(A, shape=225, transfers=transfers, **options), np.arange(225.0)
    np.testing.assert_allclose(own.apply(r[order]), plain.apply(r)[order], atol=1e-13)
    assert own.doubts == ()
    assert "does not couple neighbours on the grid 225" in Hierarchy.build(A, shape=225).doubts[0]
