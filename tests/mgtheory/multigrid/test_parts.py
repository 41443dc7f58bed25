"""Matrices of grids that fall into parts which no coupling joins: each singular part has its
nullspace, beside regular ones, in units of any size and with phases."""

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory import Hierarchy, solve
from mgtheory.multigrid.phases import Phases


def fluxes(shape, label, *, walls=0.0, around=False):
    """Finite volumes of -Laplace between cells of one label, those of label -1 without couplings;
    a face at a side of the grid has the value 0 with the coupling `walls`."""
    places, x, y = np.arange(label.size).reshape(shape), [], []
    diagonal = np.zeros(label.size)
    for j in range(len(shape)):
        lines = np.moveaxis(places, j, 0)
        for ends in (lines[0], lines[-1]):
            diagonal[ends.ravel()] += walls
        x.append((lines if around else lines[:-1]).ravel())
        y.append((np.roll(lines, -1, axis=0) if around else lines[1:]).ravel())
    x, y = np.concatenate(x), np.concatenate(y)
    joined = (label[x] == label[y]) & (label[x] >= 0)
    x, y = x[joined], y[joined]
    A = sp.csr_array((-np.ones(2 * x.size), (np.r_[x, y], np.r_[y, x])), shape=(label.size,) * 2)
    return sp.csr_array(A + sp.diags_array(diagonal * (label >= 0) - A.sum(axis=1)))


def distance(shape):
    """From the middle of the unit square, or cube."""
    axes = np.meshgrid(*((np.arange(n) + 0.5) / n - 0.5 for n in shape), indexing="ij")
    return np.sqrt(sum(x**2 for x in axes)).ravel()


def identity_in(A, label):
    return sp.csr_array(A + sp.diags_array(1.0 * (label < 0)))


def systems():
    """Name: A, the grid, the parts that are singular, as one number for each unknown (0: none), and
    what a cycle leaves at most."""
    for n in (32, 65):
        shape, r = (n, n), distance((n, n))
        hole = np.where(r < 0.25, -1, 1)
        ring = np.where(r < 0.22, 2, np.where(r < 0.3, -1, 1))
        half = 1 + (np.arange(n * n) < n * (n // 2))
        cut = np.where(r < 0.25, 2, 1)
        yield f"hole {n}", identity_in(fluxes(shape, hole), hole), shape, np.maximum(hole, 0), 0.12
        around = identity_in(fluxes(shape, ring, around=True), ring)
        yield f"ring around {n}", around, shape, np.maximum(ring, 0), 0.12
        walls = identity_in(fluxes(shape, ring, walls=2.0), ring)
        yield f"ring in walls {n}", walls, shape, 2 * (ring == 2), 0.12
        yield f"halves {n}", fluxes(shape, half), shape, half, 0.1
        one = sp.csr_array(fluxes(shape, half) + sp.diags_array(2.0 * (np.arange(n * n) < n)))
        yield f"half held {n}", one, shape, 1 * (half == 1), 0.1
        yield f"cut {n}", fluxes(shape, cut, walls=2.0), shape, 2 * (cut == 2), 0.26
    half = 1 + (np.arange(49) < 21)  # the coarsest level alone
    yield "small halves", fluxes((7, 7), half), (7, 7), half, 0.1
    shape = (12, 12, 12)
    cube = np.where(distance(shape) < 0.3, 2, 1)
    yield "cube", fluxes(shape, cube), shape, cube, 0.2


SYSTEMS = {name: system for name, *system in systems()}
UNITS = ["like", "unit", "any", "turned", "both"]


def units(A, kind):
    """G with G^* A G: 1, what makes the diagonal 1, units and phases drawn at random."""
    rng, n = np.random.default_rng(0), A.shape[0]
    size = np.exp(rng.uniform(-1.0, 1.0, n))
    turn = np.exp(1j * rng.uniform(-np.pi, np.pi, n))
    given = {"like": np.ones(n), "any": size, "turned": turn, "both": size * turn}
    return given[kind] if kind in given else A.diagonal() ** -0.5


@pytest.mark.parametrize("kind", UNITS)
@pytest.mark.parametrize("name", SYSTEMS)
def test_each_singular_part_has_its_nullspace(name, kind):
    """G^-1 1 on each, and no more. "the coarsest A is singular" was said of most, and of those with
    phases a cycle left up to 0.78, as paths across a hole forgot them."""
    S, shape, parts, most = SYSTEMS[name]
    g = units(S, kind)
    A = sp.csr_array(g.conj()[:, None] * S * g)
    hierarchy = Hierarchy.build(A, shape=shape)
    N, singular = hierarchy.nullspace, [k for k in np.unique(parts) if k]
    expected = np.stack([(parts == k) / g for k in singular], axis=1)
    expected /= np.linalg.norm(expected, axis=0)
    assert N.shape == expected.shape
    np.testing.assert_allclose(np.linalg.norm(N.conj().T @ expected, axis=0), 1.0, rtol=1e-8)
    x = np.random.default_rng(1).standard_normal(S.shape[0]) / g
    solution = hierarchy.solve(A @ x, tol=1e-10, cycle="V")
    assert solution.converged
    assert solution.iterations == 1 or solution.factor < most + 0.02
    without = x - expected @ (expected.conj().T @ x)
    np.testing.assert_allclose(solution.x, without, atol=1e-5 * np.abs(x).max())


@pytest.mark.parametrize("method", [None, "cg", "gmres"])
def test_what_no_x_reduces_is_that_of_singular_parts(method):
    """The twin: the pseudo-inverse. A b that is no sum of fluxes in the floating part alone."""
    S, shape, parts, _ = SYSTEMS["half held 32"]
    b = np.random.default_rng(2).standard_normal(S.shape[0])
    found = solve(S, b=b, shape=shape, krylov=method, tol=1e-10)
    assert found.reason == "incompatible"
    floating = parts == 1
    missing = abs(b[floating].sum()) / np.sqrt(np.count_nonzero(floating))
    assert found.incompatibility == pytest.approx(missing, rel=1e-9)
    expected = np.linalg.pinv(S.toarray(), rcond=1e-11) @ b
    np.testing.assert_allclose(found.x, expected, atol=1e-6 * np.abs(expected).max())


def test_a_part_that_loses_unknowns_to_no_coarse_one_is_regular_there():
    """Cells at a cut whose coarse neighbours are all beyond it: the coarsest A has no nullspace of
    that part, and what was taken for one took from the coarse correction: 0.29."""
    r = distance((64, 64))
    A = fluxes((64, 64), np.where(r < 0.25, 2, 1))
    hierarchy = Hierarchy.build(A, shape=(64, 64))
    assert hierarchy.nullspace.shape[1] == 2
    known = hierarchy.coarse_solver.nullspace
    assert known is None or known.shape[1] < 2
    x = np.random.default_rng(1).standard_normal(64**2)
    assert hierarchy.solve(A @ x, tol=1e-9, cycle="V").factor < 0.16


def test_a_flux_through_one_part_makes_it_regular():
    """Beside another whose phases cancel around every mesh."""
    n = 33
    half = 1 + (np.arange(n * n) < n * (n // 2))
    entries = sp.coo_array(fluxes((n, n), half))
    (x, y), (_, v) = (np.divmod(places, n) for places in entries.coords)
    angle = 0.1 * np.where(x < n // 2, x, 0) * (v - y)
    A = sp.csr_array(
        sp.coo_array((entries.data * np.exp(1j * angle), entries.coords), (n * n,) * 2)
    )
    N = Hierarchy.build(A, shape=(n, n)).nullspace
    assert N.shape == (n * n, 1)
    np.testing.assert_allclose(np.abs(N.toarray()[:, 0]) ** 2 * (half == 1).sum(), half == 1)


def test_angles_across_a_hole_are_those_around_it():
    """Of a gauge all ways are one: U(x, y) = g(y)/g(x) for any two points outside of the hole."""
    label = np.where(distance((20, 20)) < 0.3, -1, 1)
    g = np.exp(1j * np.random.default_rng(0).uniform(-np.pi, np.pi, 400))
    A = sp.csr_array(g.conj()[:, None] * fluxes((20, 20), label) * g)
    outside = np.flatnonzero(label > 0)
    x, y = np.random.default_rng(1).choice(outside, (2, 500))
    found = Phases.of(A, (20, 20)).between(x, y)
    np.testing.assert_allclose(found, g[y] / g[x], atol=1e-10)


@pytest.mark.parametrize("kind", UNITS)
def test_unknowns_without_couplings_beside_a_regular_rest(kind):
    """Their rows are empty: x is 0 there, and scales and phases of the others are found."""
    label = np.where(distance((33, 33)) < 0.25, -1, 1)
    S = fluxes((33, 33), label, walls=2.0)
    g = units(identity_in(S, label), kind)
    A = sp.csr_array(g.conj()[:, None] * S * g)
    x = np.where(label > 0, np.random.default_rng(1).standard_normal(33**2), 0.0) / g
    solution = Hierarchy.build(A, shape=(33, 33)).solve(A @ x, tol=1e-10, cycle="V")
    assert solution.factor < 0.12
    np.testing.assert_allclose(solution.x, x, atol=1e-7)
