"""Scales of the unknowns, A = D S D: a cycle of A is that of S in other units, and D is found from
A alone, up to what is smooth."""

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory import Hierarchy, derive, poisson
from mgtheory.multigrid import scales
from mgtheory.multigrid.given import Given
from mgtheory.multigrid.krylov import krylov
from mgtheory.multigrid.options import Options
from mgtheory.multigrid.scales import alike
from mgtheory.multigrid.setup import Coarsening, grid_operator
from mgtheory.problems import create
from mgtheory.smoothers import Polynomial
from mgtheory.spectra.symmetry import asymmetry


def scaled(A, d):
    return sp.csr_array(d[:, None] * A * d)


def unit(A):
    """D^(-1/2) A D^(-1/2), D the diagonal: as many make A symmetric and its diagonal 1."""
    return scaled(A, np.abs(A.diagonal()) ** -0.5)


def random_units(n, seed=0):
    return np.exp(np.random.default_rng(seed).uniform(-1.0, 1.0, n))


def fluxes(k):
    """Finite volumes of -div(k grad u), walls around them."""
    places, A = np.arange(k.size).reshape(k.shape), sp.csr_array((k.size, k.size))
    for j in (0, 1):
        x, y = np.moveaxis(places, j, 0)[:-1].reshape(-1), np.moveaxis(places, j, 0)[1:].reshape(-1)
        c = 2.0 / (1.0 / k.reshape(-1)[x] + 1.0 / k.reshape(-1)[y])
        A = A - sp.csr_array((np.r_[c, c], (np.r_[x, y], np.r_[y, x])), shape=A.shape)
    return sp.csr_array(A - sp.diags_array(A.sum(axis=1)))


def solved(A, shape, **options):
    hierarchy = Hierarchy.build(A, shape=shape, **options)
    x = np.random.default_rng(1).standard_normal(A.shape[0]).astype(A.dtype)
    tol = 1e-9 if np.finfo(A.dtype).eps < 1e-10 else 1e-5
    return hierarchy, hierarchy.solve(A @ x, tol=tol, cycle="V")


def given(A):
    options = Options(shape=(33, 33))
    return Given.of(A, options), options


@pytest.mark.parametrize(("shape", "top"), [((4000,), 0.1), ((128, 128), 0.3)])
def test_small_differences_count_on_large_grids(shape, top):
    """What they leave of the smallest modes is their square beside the smallest eigenvalue: with a
    unit diagonal a cycle left 0.8 and 0.35, on grids of 32 points an axis as little as without."""
    rng = np.random.default_rng(0)
    k = poisson(shape, coefficient=lambda *x: 1.0 + top * rng.random(np.broadcast(*x).shape))
    assert solved(unit(k.A), shape)[1].factor < 0.09


PROBLEMS = [
    ("jump2d", 33, "dirichlet", 0.07),
    ("jump2d", 64, "dirichlet", 0.09),
    ("jump2d", 33, "neumann", 0.08),
    ("jump2d", 64, "neumann", 0.09),
    ("jump2d", 32, "periodic", 0.1),
    ("poisson2d", 33, "dirichlet", 0.07),
    ("poisson2d", 64, "neumann", 0.07),
    ("poisson2d", 32, "periodic", 0.07),
    ("poisson1d", 200, "dirichlet", 0.1),
    ("poisson3d", 17, "dirichlet", 0.15),
    ("anisotropic2d", 33, "dirichlet", 0.07),
    ("anisotropic2d", 64, "dirichlet", 0.07),
    ("poisson2d-9point", 33, "dirichlet", 0.09),
    ("poisson2d-q1", 64, "dirichlet", 0.07),
    ("variable2d", 33, "neumann", 0.08),
]


@pytest.mark.parametrize(("name", "n", "boundary", "most"), PROBLEMS)
def test_a_cycle_is_as_fast_as_in_like_units(name, n, boundary, most):
    """They left 0.85 to 0.92. Of a singular A the nullspace is found, D^-1 1."""
    problem = create(name, n, boundary=boundary)
    A, d = problem.A, random_units(problem.A.shape[0])
    hierarchy, solution = solved(scaled(A, d), problem.shape)
    assert solution.factor < most
    assert not [text for text in hierarchy.doubts if "give A D" in text]
    if boundary != "dirichlet":
        N = hierarchy.nullspace
        np.testing.assert_allclose(N[:, 0] * d, (N[:, 0] * d)[0], rtol=1e-8)
        assert np.linalg.norm(N) == pytest.approx(1.0)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_unit_diagonal(boundary, sign):
    """Where a coefficient jumps by three orders of magnitude it left 0.92 with zero values."""
    A = create("jump2d", 64, boundary=boundary).A
    _, plain = solved(A, (64, 64))
    for kind in (np.float64, np.float32, complex):
        hierarchy, solution = solved((sign * unit(A)).astype(kind), (64, 64))
        assert solution.factor < plain.factor + 0.02
        if boundary != "dirichlet":
            expected = A.diagonal() ** 0.5
            found = np.abs(hierarchy.nullspace[:, 0])
            expected *= np.linalg.norm(found) / np.linalg.norm(expected)
            np.testing.assert_allclose(found, expected, rtol=1e-6 if kind != np.float32 else 1e-3)


def test_units_of_any_size_beside_scales_of_rows_and_phases():
    """D_1 A D_2 is a symmetric matrix with scales of its rows; G^* D A D G has phases too."""
    A = create("jump2d", 33, boundary="neumann").A
    one, two = (random_units(A.shape[0], seed) for seed in (1, 2))
    hierarchy, solution = solved(sp.csr_array(one[:, None] * A * two), (33, 33))
    assert solution.factor < 0.08
    np.testing.assert_allclose(np.ptp(hierarchy.nullspace[:, 0] * two), 0.0, atol=1e-9)
    g = np.exp(1j * np.random.default_rng(3).uniform(-np.pi, np.pi, A.shape[0]))
    hierarchy, solution = solved(sp.csr_array((one * g.conj())[:, None] * A * (one * g)), (33, 33))
    assert solution.factor < 0.08
    np.testing.assert_allclose(np.ptp(hierarchy.nullspace[:, 0] * one * g), 0.0, atol=1e-9)


def test_exact_scales_are_a_gauge():
    """Of a stencil they are found exactly; then a cycle of D S D is that of S."""
    S, d = poisson((33, 33)).A, random_units(33**2)
    A = scaled(S, d)
    ours = Hierarchy.build(A, shape=(33, 33), smoother="jacobi")
    theirs = Hierarchy.build(S, shape=(33, 33), smoother="jacobi")
    r = np.random.default_rng(2).standard_normal(33**2)
    for cycle in "VW":
        expected = theirs.apply(r, cycle) / d
        np.testing.assert_allclose(ours.apply(d * r, cycle), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", ["cg", "minres", "gmres"])
def test_krylov_methods(method):
    A = unit(create("jump2d", 33).A)
    hierarchy = Hierarchy.build(A, shape=(33, 33))
    solution = krylov(hierarchy, A, np.ones(33**2), method=method)
    assert solution.converged
    assert solution.iterations <= 8


@pytest.mark.parametrize("name", ["poisson2d", "jump2d"])
@pytest.mark.parametrize("kind", ["lines", "sides", "points"])
def test_rows_that_fix_values(name, kind):
    """To rows of the identity the others still couple, which changes no eigenvalue: by the default
    for matrices that are not symmetric a unit diagonal left up to 0.99."""
    A, places = create(name, 33, boundary="neumann").A, np.arange(33**2)
    fixed = {
        "lines": (places % 33 == 0) | (places < 33),
        "sides": ~np.pad(np.ones((31, 31), dtype=bool), 1).ravel(),
        "points": np.random.default_rng(4).random(33**2) < 0.02,
    }[kind]
    rows = sp.csr_array((1.0 * ~fixed)[:, None] * A + sp.diags_array(1.0 * fixed))
    for one in (rows, unit(rows), scaled(rows, random_units(33**2))):
        hierarchy, solution = solved(one, (33, 33))
        assert solution.factor < 0.12
        assert hierarchy.levels[0].self_adjoint
        assert "chebyshev" in hierarchy.levels[0].pre.label
        assert (
            hierarchy.levels[0].smoothing_interval(hierarchy.levels[0].inverse_diagonal("auto"))[1]
            < 2.1
        )
    penalty = sp.csr_array(A + sp.diags_array(1e10 * fixed))
    assert solved(unit(penalty), (33, 33))[1].factor < 0.12


@pytest.mark.parametrize("penalty", [1e6, 1e10])
@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_penalties_on_lines_at_the_ends(penalty, spread):
    """They are in units of their own too: beside others the smoother took their couplings for
    large, and a cycle left 0.73 to 0.99."""
    A = create("jump2d", 33, boundary="neumann").A
    lines = (np.arange(33**2) % 33 == 0) | (np.arange(33**2) < 33)
    fixed = sp.csr_array(A + penalty * abs(A).max() * sp.diags_array(1.0 * lines))
    assert solved(scaled(fixed, random_units(33**2) ** spread), (33, 33))[1].factor < 0.05


def test_an_unknown_of_a_large_unit_fixes_no_value():
    """Beside its diagonal it has small couplings; taken for such a row it left 0.8."""
    A, fixed = create("jump2d", 33, boundary="neumann").A, np.isin(np.arange(33**2), (0, 33**2 - 1))
    rows = sp.csr_array((1.0 * ~fixed)[:, None] * A + sp.diags_array(1.0 * fixed))
    hierarchy, solution = solved(scaled(rows, random_units(33**2) ** 2.3), (33, 33))
    np.testing.assert_array_equal(hierarchy.levels[0].fixed, fixed)
    assert solution.factor < 0.12


def test_the_unit_of_the_matrix_plays_no_part():
    A = scaled(create("jump2d", 33).A, random_units(33**2))
    expected = Coarsening.of(*given(A)).given.scales
    for factor in (1e-8, -1e-8, 1e8):
        found = Coarsening.of(*given(factor * A)).given.scales
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_units_that_are_far_apart():
    """The search begins with a unit diagonal, whose sums are never far below 0; with 1, it did not
    reach the nullspace of a log-normal coefficient."""
    k = np.exp(2.5 * np.random.default_rng(1).standard_normal((32, 32)))
    A = fluxes(k)
    d = 10.0 ** (2.0 * (np.arange(32**2) % 3))
    hierarchy, solution = solved(scaled(A, d), (32, 32))
    assert hierarchy.nullspace is not None
    assert solution.factor < solved(A, (32, 32))[1].factor + 0.05


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_bilinear_elements_that_are_stretched(boundary):
    """Their couplings along an axis are positive; a cycle left 0.54 and 0.86."""
    A = poisson((25, 45), stencil="q1", boundary=boundary).A
    hierarchy, solution = solved(scaled(A, random_units(25 * 45)), (25, 45))
    assert solution.factor < 0.06
    assert hierarchy.nullspace is not None


def test_what_a_system_makes_least_of_may_have_two_signs():
    """Then there is no w > 0, and what is positive of it is none."""
    K = np.array([[2.0, 1.0, -0.5], [1.0, 2.0, 1.0], [-0.5, 1.0, 2.0]])
    jump = create("jump2d", 16).A
    A = sp.kron(jump, sp.eye_array(3)) + 1e3 * sp.kron(sp.eye_array(256), K)
    options = Options(shape=(16, 16, 3))
    rule = Coarsening.of(
        Given.of(scaled(A, np.exp(2.0 * np.sin(np.arange(768) / 60.0))), options), options
    )
    assert rule.given.scales is None


def test_the_search_ends_where_it_gets_no_further(monkeypatch):
    """Of a singular matrix whose entries are rounded the sums are never 0: it took all rounds."""
    rounds, cg = [], scales.sla.cg
    monkeypatch.setattr(scales.sla, "cg", lambda *a, **k: (rounds.append(1), cg(*a, **k))[1])
    A = scaled(create("jump2d", 33, boundary="neumann").A, random_units(33**2))
    A.data *= 1.0 + 1e-9 * np.random.default_rng(0).standard_normal(A.nnz)
    rule = Coarsening.of(*given(sp.csr_array((A + A.T) / 2.0)))
    assert rule.given.scales is not None
    assert len(rounds) < scales.ROUNDS


def test_parts_that_nothing_joins():
    A = create("jump2d", 33, boundary="neumann").A
    two = sp.csr_array(sp.block_diag([A, A]))
    hierarchy, solution = solved(scaled(two, random_units(2 * 33**2)), (66, 33))
    assert hierarchy.nullspace.shape == (2 * 33**2, 2)
    assert solution.factor < 0.12


def test_a_reaction_near_the_lowest_eigenvalue_and_an_indefinite_matrix():
    """Of a positive A every row sum may be negative; of an indefinite one there is no w > 0."""
    A = poisson((33, 33)).A
    identity, d = sp.eye_array(33**2), random_units(33**2)
    assert solved(scaled(A - 15.0 * identity, d), (33, 33))[1].factor < 0.08
    rule = Coarsening.of(*given(scaled(A - 100.0 * identity, d)))
    assert rule.given.scales is None


@pytest.mark.parametrize(
    "A",
    [
        create("jump2d", 33).A,
        create("variable2d", 33, boundary="neumann").A,
        poisson((33, 33)).A - 15.0 * sp.eye_array(33**2),
        poisson((33, 33)).A @ poisson((33, 33)).A,
        create("anisotropic2d", 33).A + 1e4 * sp.diags_array(np.linspace(0.0, 1.0, 33**2)),
    ],
)
def test_like_units_stay_as_they_are(A):
    assert Coarsening.of(*given(sp.csr_array(A))).given.scales is None


def test_the_form_without_scales_is_symmetric_and_has_no_negative_sums():
    A = scaled(create("jump2d", 33).A, random_units(33**2))
    level = Hierarchy.build(A, shape=(33, 33)).levels[0]
    S = level.in_phase
    np.testing.assert_array_equal(S.toarray(), alike(A, level.scales).toarray())
    assert asymmetry(S) < 1e-15
    assert (S.sum(axis=1) / S.diagonal()).min() > -1e-5


def test_a_normalised_laplacian():
    """D^(-1/2) L D^(-1/2), D the degrees of a graph, has the nullspace D^(1/2) 1, and a
    cycle as fast as that of L."""
    rng, n = np.random.default_rng(0), 1600
    ends = np.sort(rng.integers(n, size=(4 * n, 2)), axis=1)
    ends = np.vstack(
        [ends[ends[:, 0] < ends[:, 1]], np.stack([np.arange(n - 1), np.arange(1, n)], 1)]
    )
    W = sp.coo_array((np.exp(rng.standard_normal(len(ends))), ends.T), shape=(n, n)).tocsr()
    degrees = (W + W.T).sum(axis=1)
    L = sp.csr_array(sp.diags_array(degrees) - W - W.T)
    plain, ours = (Hierarchy.build(A, coarsening="pyamg") for A in (L, scaled(L, degrees**-0.5)))
    found = np.abs(ours.nullspace[:, 0])
    np.testing.assert_allclose(found, (degrees / degrees.sum()) ** 0.5, rtol=1e-9)
    x = rng.standard_normal(n)
    factors = [made.solve(made.given.A @ x, cycle="V").factor for made in (ours, plain)]
    assert factors[0] < factors[1] + 0.05


def test_a_derived_polynomial_fits_the_coarse_levels():
    """It is one of D^-1 A though D = 1: the diagonals of coarse levels vary. As one of A it left
    0.79."""
    A = unit(create("jump2d", 63).A)
    start = derive("chebyshev", 2, grid_operator(A, Options(shape=(63, 63))))
    assert start.operator.scaling == "diagonal"
    by_name = solved(A, (63, 63), smoother="chebyshev", degree=2)[1]
    assert solved(A, (63, 63), smoother=start)[1].factor == pytest.approx(by_name.factor, abs=0.01)
    assert by_name.factor < 0.08


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_the_gmres_polynomial_is_that_of_like_units(spread):
    """The norm that it makes small is not that of the largest units, which left 0.21 and 0.98."""
    S = create("poisson2d", 33).A
    d = random_units(33**2) ** spread
    options = {"shape": (33, 33), "degree": 2}
    ours = Hierarchy.build(scaled(S, d), smoother="harmonic_ritz", **options)
    level = Hierarchy.build(S, **options).levels[0]
    expected = Polynomial("harmonic_ritz", scaling="diagonal").on(level.record(1.0 / S.diagonal()))
    np.testing.assert_allclose(ours.levels[0].pre.polynomial.roots, expected.roots, rtol=1e-8)
    assert solved(scaled(S, d), (33, 33), smoother="harmonic_ritz", degree=2)[1].factor < 0.13
