"""Problems in the plane whose stencil is not even along the axes: rotated anisotropy and
convection-diffusion."""

import numpy as np
import pytest
import scipy.sparse.linalg as sla

import mgtheory
from mgtheory import Hierarchy, StencilHierarchy, fourier
from mgtheory.families import FAMILIES
from mgtheory.fourier import cycle_factor
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.polynomials.minimax import minimax
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.record import operator_record
from mgtheory.problems.stencils import anisotropic, plane_stencil, rotated_anisotropic
from mgtheory.problems.symbols import complex_symbols, symbol

WINDS = [30.0, 135.0, -60.0, 180.0]


@pytest.mark.parametrize("name", ["rotated2d:epsilon=0.2,angle=25", "convection2d:peclet=40"])
def test_the_symbol_has_the_eigenvalues_of_the_periodic_matrix(name):
    """Entry k is the mode k of each axis: A times the mode is its eigenvalue times the mode."""
    problem = create(name, (6, 9), boundary="periodic")
    values = problem.eigenvalues()
    x, y = problem.grid
    for k in ((0, 0), (1, 2), (3, 4), (5, 8)):
        mode = np.exp(2j * np.pi * (k[0] * x + k[1] * y)).ravel()
        np.testing.assert_allclose(
            problem.A @ mode, values[k] * mode, atol=1e-11 * abs(values).max()
        )
    dense = np.linalg.eigvals(problem.A.toarray())
    distance = np.abs(dense[:, None] - values.ravel()).min(axis=1)
    assert distance.max() <= 1e-9 * np.abs(values).max()


def test_the_symbol_of_a_wind_by_hand():
    """4/h^2 (s_1^2 + s_2^2) + sum_j |w_j|/h (1 - exp(-+ i theta_j)), upwind on either side."""
    h, theta = 1 / 16, np.array([0.7, -1.9])
    for angle in WINDS:
        problem = create("convection2d", 15, peclet=50, angle=angle)
        w = 50 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        expected = (4 / h**2 * np.sin(theta / 2) ** 2).sum()
        expected += (np.abs(w) / h * (1 - np.exp(-1j * np.sign(w) * theta))).sum()
        assert symbol(problem.stencil, theta) == pytest.approx(expected, rel=1e-12)
        assert expected.real > 0


def test_upwind_is_central_with_the_diffusion_of_half_a_cell():
    """w u_x by upwind = central - (|w| h/2) second difference, so that A stays an M-matrix."""
    for w in ((3.0, -2.0), (-1.0, 5.0)):
        taps, h = plane_stencil((1.0, 1.0), 0.0, w, (0.1, 0.2)).to_array(), (0.1, 0.2)
        added = [1.0 + abs(w_j) * h_j / 2 for w_j, h_j in zip(w, h)]
        central = plane_stencil(added, 0.0, (0.0, 0.0), h).to_array()
        central[:, 1] += np.array([-1.0, 0.0, 1.0]) * w[0] / (2 * h[0])
        central[1] += np.array([-1.0, 0.0, 1.0]) * w[1] / (2 * h[1])
        np.testing.assert_allclose(taps, central, atol=1e-12)
    A = create("convection2d:peclet=1e6,angle=200", 7).A.toarray()
    off = A - np.diag(np.diag(A))
    assert off.max() <= 0
    assert np.linalg.inv(A).min() >= 0
    assert A.sum(axis=1).min() >= -1e-9 * A.max()


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("rotated2d:epsilon=0.1,angle=30", 2),
        ("rotated2d:epsilon=0.05,angle=-45", 2),
        ("convection2d:peclet=5,angle=30", 1),
        ("convection2d:peclet=5,angle=210", 1),
    ],
)
@pytest.mark.parametrize("solution", ["exp_sine", "exponential"])
def test_order_of_the_discretisation(name, order, solution):
    """A wrong sign of the mixed derivative or of the wind leaves an error that stays; boundary
    values that are not zero too."""
    errors = []
    for n in (31, 63):
        problem = create(name, (n, 2 * n + 1), solution=solution)
        errors.append(problem.error(sla.spsolve(problem.A.tocsc(), problem.b)))
    assert problem.order == order
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)
    assert errors[1] < (3e-3 if order == 2 else 0.1)


@pytest.mark.parametrize("boundary", ["dirichlet", "periodic"])
def test_limits(boundary):
    """epsilon = 1, no wind: Poisson. Angles 0 and 90: weights. 45 with both signs: reflections."""

    def same(name, other):
        one = create(name, (8, 6), boundary=boundary)
        np.testing.assert_allclose(one.A.toarray(), other.A.toarray(), atol=1e-10)
        np.testing.assert_allclose(one.b, other.b, atol=1e-10)
        assert one.form == other.form

    plain = {"boundary": boundary}
    for name in ("rotated2d:epsilon=1,angle=33", "convection2d:peclet=0"):
        same(name, poisson((8, 6), **plain))
        assert create(name, 8, boundary="neumann").nullspace is not None
    same("rotated2d:epsilon=0.01,angle=0", create("anisotropic2d", (8, 6), **plain))
    same("rotated2d:epsilon=0.01,angle=180", create("anisotropic2d", (8, 6), **plain))
    same("rotated2d:epsilon=0.01,angle=90", poisson((8, 6), weights=(0.01, 1.0), **plain))
    near = create("rotated2d:epsilon=0.01,angle=1e-6", (8, 6), **plain)
    weights = create("anisotropic2d", (8, 6), **plain).A.toarray()
    np.testing.assert_allclose(near.A.toarray(), weights, atol=1e-5 * weights.max())
    left, right = (create(f"rotated2d:angle={a}", 6, **plain).stencil.to_array() for a in (45, -45))
    np.testing.assert_allclose(left, right[::-1], atol=1e-10)
    wind, back = (create(f"convection2d:angle={a}", 6, **plain).A for a in (30, 210))
    np.testing.assert_allclose(wind.toarray(), back.T.toarray(), atol=1e-10)
    on_square = create("rotated2d:epsilon=0.2,angle=25", 7, **plain)
    twin = rotated_anisotropic(0.2, np.radians(25)) / on_square.h[0] ** 2
    np.testing.assert_allclose(on_square.stencil.to_array(), twin.to_array(), atol=1e-9)


def test_turning_keeps_the_eigenvalues_of_the_diffusion():
    """The second moments of the stencil are -2 T diag(1, epsilon) T'."""
    stencil = rotated_anisotropic(0.03, 0.4)
    k = np.array(stencil.offsets)
    moments = -np.einsum("k,ki,kj->ij", stencil.values, k, k) / 2
    values, axes = np.linalg.eigh(moments)
    np.testing.assert_allclose(values, [0.03, 1.0], atol=1e-12)
    assert abs(axes[:, 1] @ [np.cos(0.4), np.sin(0.4)]) == pytest.approx(1)
    np.testing.assert_allclose(
        rotated_anisotropic(0.03, 0.0).to_array(), anisotropic((1.0, 0.03)).to_array(), atol=1e-15
    )


def solver_factor(hierarchy, problem):
    """Of the V-cycle, by power iteration on the complement of the constants."""
    e = np.random.default_rng(0).standard_normal(problem.unknowns)
    e -= e.mean()
    norms = hierarchy.solve(0 * e, e, tol=0.0, maxiter=60, cycle="V").residual_norms
    return (norms[-1] / norms[-11]) ** (1 / 10)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("rotated2d", "chebyshev"),
        ("rotated2d:epsilon=0.01", "chebyshev4"),
        ("rotated2d:angle=20", "minimax"),
        ("convection2d", "chebyshev"),
        ("convection2d:peclet=1000", "minimax"),
        ("convection2d:peclet=1000,angle=0", "minimax"),
    ],
)
def test_the_solver_converges_as_predicted(name, family):
    """On periodic grids, with the coarse operators, transfers and axes that both take by
    default."""
    problem = create(name, 32, boundary="periodic")
    q = mgtheory.derive(family, 2, problem)
    hierarchy = Hierarchy.build(problem, smoother=q, max_levels=2, coarsest=1)
    cycle = LocalCycle(problem, q)
    predicted = cycle_factor(cycle, samples=problem.shape, refine=False, zero="remove").factor
    assert solver_factor(hierarchy, problem) == pytest.approx(predicted, rel=0.02)


def test_what_a_point_smoother_leaves_between_the_axes():
    """At 45 degrees the two-grid factor of V(1,1) rises as epsilon goes to 0, to 0.604 with degree
    2 and to 1/2 with a high one: half of a smooth error across the strong direction is left by the
    coarse grid. Along an axis semi-coarsening keeps it."""

    def factor(epsilon, angle, degree):
        problem = create("rotated2d", 31, epsilon=epsilon, angle=angle)
        return fourier.two_grid_factor(problem, "chebyshev", degree=degree, samples=16).factor

    turned = [factor(epsilon, 45, 2) for epsilon in (0.1, 0.01, 0.001)]
    assert 0.3 < turned[0] < turned[1] < turned[2]
    assert turned[1] > 0.5
    assert factor(0.01, 45, 4) > 0.45
    assert factor(1e-6, 45, 2) == pytest.approx(0.604, abs=0.01)
    assert 0.5 <= factor(1e-6, 45, 16) < 0.52
    assert factor(0.001, 0, 2) < 0.15


def test_winds_need_points_and_coarse_grids_their_own_scheme():
    """At 1000 Chebyshev's polynomial for |Ahat| leaves 0.7, minimax on Ahat what the coarse grid
    leaves, 0.45 (smooth errors along the wind: 1/2 at most); with R A P the V-cycle diverges."""
    problem = create("convection2d:peclet=1000", 63)
    interval, points = (
        fourier.two_grid_factor(problem, family, degree=2).factor
        for family in ("chebyshev", "minimax")
    )
    assert interval > 0.65
    assert points < 0.47
    solution = Hierarchy.build(problem, smoother="minimax", degree=2).solve(problem.b, tol=1e-8)
    assert solution.converged
    assert solution.iterations < 20
    kept, galerkin = (
        Hierarchy.build(
            problem, smoother="gauss_seidel", coarsening=rule, interpolation="linear"
        ).solve(problem.b)
        for rule in (None, "galerkin")
    )
    assert kept.iterations < 10
    assert not galerkin.converged


def test_the_record_of_a_wind():
    """Its points are the high frequencies of Ahat; the field of values of the Dirichlet matrix lies
    to the right of Ahat's least real part, though its eigenvalues are real."""
    problem = create("convection2d:peclet=300", 15)
    record = operator_record(problem)
    assert not record.positive
    values = complex_symbols(problem.stencil, record.axes)
    assert record.lower == pytest.approx(np.abs(values).min(), rel=0.01)
    assert record.upper == pytest.approx(np.abs(values).max(), rel=0.01)
    q = mgtheory.derive("minimax", 3, problem).polynomial
    assert np.abs(q(values)).max() == pytest.approx(
        np.abs(minimax(3, points=values)(values)).max(), rel=1e-6
    )
    assert (
        np.abs(q(values)).max()
        < np.abs(mgtheory.derive("chebyshev", 3, problem).polynomial(values)).max()
    )
    everything = symbol(
        problem.stencil, np.stack(np.meshgrid(*[np.linspace(-3.14, 3.14, 65)] * 2), -1)
    )
    A = problem.A.toarray()
    least = np.linalg.eigvalsh((A + A.T) / 2)[0]
    assert least >= everything.real.min()
    values = np.linalg.eigvals(create("convection2d:peclet=30", 7).A.toarray())
    assert np.abs(values.imag).max() <= 1e-6 * np.abs(values).max()
    # by the diagonal the points are those of D^-1 A
    scaled = FAMILIES["minimax"].on(3, operator_record(problem, scaling="diagonal"))[0]
    np.testing.assert_allclose(
        np.sort_complex(scaled.roots * problem.A.diagonal()[0]), np.sort_complex(q.roots), rtol=1e-6
    )
    assert complex_symbols(create("rotated2d", 15)) is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: create("rotated2d", boundary="neumann"), "dirichlet or periodic boundaries, got"),
        (lambda: create("convection2d", boundary="neumann"), "even along every axis"),
        (lambda: create("rotated2d:epsilon=0"), "epsilon is 0.0, must be a number larger than 0"),
        (lambda: create("convection2d", peclet=-1), "peclet is -1"),
        (lambda: create("convection2d:wind=3"), "unknown parameter of convection2d 'wind', known"),
        (lambda: create("poisson2d:angle=3"), "unknown parameter of poisson2d 'angle', known are:"),
        (lambda: create("poisson2d", angle=3), "unknown parameter of poisson2d 'angle'"),
        (lambda: create("rotated2d:angle"), "'angle' is not key=value"),
        (lambda: create("rotated2d:angle=nan"), "angle is nan"),
        (lambda: create("rotated2d:angle=361"), "angle is 361.0, .* of modulus up to 360"),
        (lambda: create("rotated2d", angle="x"), "angle is 'x', must be a number of any sign"),
        (lambda: create("rotated2d", (3, 3, 3)), "has 2 axes"),
        (lambda: create("convection2d", 5).spectrum(), "A is not symmetric, its spectrum is no"),
        (lambda: create("rotated2d", 5).eigenvalues(), "with these boundaries the eigenvalues"),
        (lambda: StencilHierarchy.build(create("rotated2d", 9)), "even along every axis"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
