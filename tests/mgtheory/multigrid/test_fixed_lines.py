"""Lines at the ends of a grid whose rows fix values, as those of the identity do: the nodes beyond
the ends of the others' grid."""

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory import Hierarchy, poisson
from mgtheory.multigrid.ends import stencil_inside


def with_fixed(A, shape, places, size, *, eliminated=False):
    """A with rows of the identity, times a size, at some places; `eliminated`, their columns too.
    Beside it which unknowns are left."""
    fixed = np.zeros(shape, bool)
    for place in places:
        fixed[place] = True
    kept = sp.diags_array(~fixed.ravel() * 1.0)
    whole = kept @ A @ (kept if eliminated else sp.eye_array(A.shape[0]))
    whole = sp.csr_array(whole + sp.diags_array(fixed.ravel() * size))
    whole.eliminate_zeros()
    return whole, np.flatnonzero(~fixed)


def side(axis, end):
    """The unknowns at one end of an axis."""
    return (slice(None),) * axis + (end,)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
@pytest.mark.parametrize("eliminated", [False, True])
@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((130,), [side(0, 0)]),
        ((129,), [side(0, 0), side(0, -1)]),
        ((33, 34), [side(0, 0)]),
        ((33, 34), [side(0, 0), side(0, -1)]),
        ((33, 32), [side(0, 0), side(0, -1), side(1, -1)]),
        ((33, 33), [side(j, end) for j in (0, 1) for end in (0, -1)]),
        ((35, 34), [side(0, slice(0, 2)), side(1, slice(-1, None))]),
        ((9, 9, 9), [side(j, end) for j in (0, 1, 2) for end in (0, -1)]),
        ((9, 10, 11), [side(0, 0), side(1, -1)]),
    ],
)
def test_fixed_lines_are_nodes_beyond_the_ends(shape, sides, eliminated, boundary):
    """The cycle is that of the matrix without them, whatever boundary is named and whatever number
    the rows of the identity are multiplied by."""
    A = poisson(shape, boundary="neumann").A
    every = len(sides) == 2 * len(shape)
    options = {"smoother": "jacobi", "coarsest": 8}
    size = 1.0 if eliminated == (boundary == "neumann") else 3e9
    whole, left = with_fixed(A, shape, sides, size, eliminated=eliminated)
    hierarchy = Hierarchy.build(whole, shape=shape, boundary=boundary, **options)
    assert hierarchy.doubts == ()
    sizes = [len(np.unique(i)) for i in np.unravel_index(left, shape)]
    own = {"shape": sizes, "boundary": "dirichlet" if every else "neumann"}
    inner = Hierarchy.build(sp.csr_array(whole[left][:, left]), **own, **options)
    coarse = [[level.shape for level in made.levels[1:]] for made in (hierarchy, inner)]
    assert coarse[0] == coarse[1]
    r = np.zeros(whole.shape[0])
    r[left] = np.random.default_rng(0).standard_normal(left.size)
    for cycle in "VW":
        found, expected = hierarchy.apply(r, cycle), inner.apply(r[left], cycle)
        np.testing.assert_allclose(found[left], expected, atol=1e-12 * np.abs(expected).max())
        assert np.abs(found).sum() == pytest.approx(np.abs(expected).sum(), rel=1e-12)


@pytest.mark.parametrize("eliminated", [False, True])
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic", None])
def test_fixed_values_on_all_sides(boundary, eliminated):
    """Coarse cells that barely reach inside were taken for fixed values in their turn, and the
    coarsest matrix was singular; so too where corners, which five points leave alone, are free."""
    shape = (65, 65)
    A = sp.csr_array(poisson(shape).A)
    corners = ([0, 0, -1, -1], [0, -1, 0, -1])
    for free_corners in (False, True):
        sides = [side(j, end) for j in (0, 1) for end in (0, -1)]
        if free_corners:
            sides = [(end, slice(1, -1)) for end in (0, -1)] + [
                (slice(1, -1), end) for end in (0, -1)
            ]
        whole, left = with_fixed(A, shape, sides, 1.0, eliminated=eliminated)
        assert left.size == 63**2 + 4 * free_corners
        hierarchy = Hierarchy.build(whole, shape=shape, boundary=boundary)
        x = np.random.default_rng(0).standard_normal(shape)
        x[corners] = 1.0
        solution = hierarchy.solve(whole @ x.ravel(), tol=1e-10)
        assert solution.converged
        assert solution.factor < 0.08
        np.testing.assert_allclose(solution.x, x.ravel(), atol=1e-7)


def test_the_stencil_inside_fixed_lines():
    """That of a Laplacian, although the rows beside the lines lack the couplings to them."""
    A = poisson((20, 21)).A
    whole, _ = with_fixed(A, (20, 21), [side(0, 0), side(1, -1)], 1.0, eliminated=True)
    np.testing.assert_array_equal(stencil_inside(whole, (20, 21)), stencil_inside(A, (20, 21)))
