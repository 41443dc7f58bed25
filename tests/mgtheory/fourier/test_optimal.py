"""Two-grid optimal polynomials: known optima, the extremal property, and refusals."""

import time
from functools import cache

import numpy as np
import pytest
from scipy.special import lambertw

from mgtheory.fourier import optimal, two_grid_factor
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.fourier.descent import EXACT, minimise_maximum
from mgtheory.fourier.optimal import optimise_two_grid, two_grid_optimal
from mgtheory.polynomials.classical import chebyshev, chebyshev4
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.stencils import (
    Stencil,
    anisotropic,
    laplacian,
    mehrstellen,
    rotated_anisotropic,
)
from mgtheory.problems.symbols import spectral_radius

L2, L3 = laplacian(2), laplacian(3)
STRETCHED = anisotropic((1.0, 0.1))
WEAK = 3 * anisotropic((1.0, 0.4))
KERNEL = np.random.default_rng(1).standard_normal((2, 2, 3, 3)) / 5
KERNEL[range(2), range(2), 1, 1] += 1.2
COUPLED = Stencil.from_array(KERNEL)


@cache
def _optimum(degree, stencil, options):
    return optimise_two_grid(degree, stencil, **dict(options))


def optimum(degree, stencil, **options):
    """As `optimise_two_grid`, once of each stencil."""
    return _optimum(degree, stencil, tuple(options.items()))


@pytest.mark.parametrize(("dim", "steps"), [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_degree_one_is_the_best_jacobi(dim, steps):
    found = optimise_two_grid(1, laplacian(dim), pre=steps, post=0)
    assert found.polynomial.roots[0].real == pytest.approx(2 * dim + 1, abs=1e-5)
    assert found.factor == pytest.approx(((2 * dim - 1) / (2 * dim + 1)) ** steps, abs=1e-6)
    assert found.converged


def test_one_dimension_has_an_exact_two_grid_method():
    # q = 0 at t = 2 and t = 4 removes all that linear interpolation leaves
    found = optimise_two_grid(2, laplacian(1), pre=1, post=0)
    np.testing.assert_allclose(np.sort(found.polynomial.roots.real), [2.0, 4.0], atol=1e-4)
    assert found.factor < 1e-6
    assert found.converged


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_fourth_kind_is_optimal_in_one_dimension(degree):
    # t/4 q(t)^2 + (4-t)/4 q(4-t)^2 is the constant 1/(2k+1)^2: W_k^2 weighted by 1 - x and 1 + x is
    # a square of sine and cosine
    fourth = chebyshev4(degree, lmax=4.0)
    assert two_grid_factor(laplacian(1), fourth).factor == pytest.approx(
        (2 * degree + 1) ** -2, abs=1e-9
    )
    assert optimise_two_grid(degree, laplacian(1)).factor == pytest.approx(
        (2 * degree + 1) ** -2, rel=1e-3
    )


def test_the_proof_for_one_dimension():
    """The factor is sup s q(s)^2 + (1 - s) q(1 - s)^2, which is at least max t q^2; of no q is that
    below 1/(2k + 1)^2. With a root of its own before and after, the sum without squares is 0."""
    rng, s = np.random.default_rng(0), np.linspace(0, 1, 4001)
    for k in (1, 2, 3, 6):
        near = chebyshev4(k, lmax=1.0).roots.real
        for spread in (1e-3, 0.1, 0.5):
            q = ResidualPolynomial(near * np.exp(spread * rng.standard_normal(k)))
            square = s * q(s) ** 2
            found = two_grid_factor(laplacian(1), q.scaled(4.0)).factor
            assert found == pytest.approx((square + square[::-1]).max(), rel=1e-4)
            assert found >= square.max() * (1 - 1e-6) > (2 * k + 1) ** -2
    before, after = ResidualPolynomial([4.0]), ResidualPolynomial([2.0])
    assert two_grid_factor(laplacian(1), before, post_smoother=after).factor < 1e-7


def test_what_the_coarse_grid_leaves_along_a_diagonal_without_diffusion():
    """At theta = (tau, -tau), tau -> 0: half with the Galerkin product, 3/4 rediscretised, whatever
    the smoother."""
    stencil = rotated_anisotropic(1e-8, np.pi / 4)
    nothing, tau = ResidualPolynomial.from_weights([0.0]), np.array([[0.01, -0.01]])
    for coarsening, left in (("galerkin", 1 / 2), ("rediscretise", 3 / 4)):
        cycle = LocalCycle(stencil, nothing, pre=0, post=0, coarsening=coarsening)
        assert abs(cycle.error_operator(tau)[0, 0, 0]) == pytest.approx(left, abs=1e-3)
        smooth = two_grid_factor(stencil, "chebyshev4", degree=16, coarsening=coarsening).factor
        assert left < smooth < left + 0.02


@pytest.mark.parametrize(
    ("stencil", "degree", "options"),
    [
        (L2, 3, {}),
        (L2, 4, {"coarsening": "galerkin"}),
        (L2, 3, {"scaling": "diagonal", "pre": 2, "post": 0}),
        (mehrstellen(2), 4, {}),
        (STRETCHED, 4, {}),
        (STRETCHED, 4, {"axes": "all"}),
        (L3, 3, {}),
        (laplacian(1), 3, {"pre": 2, "post": 1}),
    ],
)
def test_no_neighbour_and_no_family_is_better(stencil, degree, options):
    found = optimum(degree, stencil, **options)
    assert found.converged
    assert found.factor < 0.99 * found.start_factor
    b = 2.0 if "scaling" in options else float(np.abs(stencil.values).sum())
    families = [
        chebyshev(degree, interval=(b / 4, b)),
        chebyshev(degree, interval=(b / 6, b)),
        chebyshev4(degree, lmax=b),
    ]
    assert all(two_grid_factor(stencil, q, **options).factor > found.factor for q in families)
    rng = np.random.default_rng(0)
    for _ in range(6):
        roots = found.polynomial.roots
        moved = (
            roots * (1 + 0.02 * rng.standard_normal(degree))
            if found.polynomial.is_real_rooted
            else roots * (1 + 0.02 * rng.standard_normal())
        )
        # the optimisation leaves the supremum within 1e-3 of the minimum
        assert two_grid_factor(
            stencil, ResidualPolynomial(moved), **options
        ).factor > found.factor * (1 - 1e-3)


@pytest.mark.parametrize(
    "stencil", [laplacian(1), mehrstellen(2), COUPLED], ids=["scalar 1D", "scalar 2D", "channels"]
)
@pytest.mark.parametrize("steps", [1, 3])
def test_gradients_are_those_of_finite_differences(stencil, steps):
    correction = LocalCycle(stencil, ResidualPolynomial.from_weights([0.0]), pre=0, post=0)
    theta = np.random.default_rng(1).uniform(-1.4, 1.4, (5, stencil.dim))
    sampled = optimal._Sampled(correction, theta, steps, 3)
    c = sampled.coefficients(chebyshev(3, interval=(sampled.b / 5, sampled.b)))
    values, slopes = sampled.pieces(c)
    # K has a nullspace: its eigenvalues 0 are rounding, and have no derivative
    clear = values > 0.01 * values.max()
    assert clear.sum() >= 5
    for direction in np.eye(3):
        step = 1e-6 * direction
        difference = (sampled.pieces(c + step)[0] - sampled.pieces(c - step)[0]) / 2e-6
        expected = (slopes @ direction)[clear]
        # rounding / 1e-6
        np.testing.assert_allclose(
            expected, difference[clear], rtol=0, atol=1e-6 * (1 + np.abs(slopes[clear]).max())
        )
    assert values.max() == pytest.approx(sampled.largest(c), rel=1e-12)


def test_factor_is_that_of_the_polynomial():
    found = optimum(3, L2)
    assert two_grid_factor(L2, found.polynomial).factor == pytest.approx(found.factor, rel=1e-12)


# minima that two different methods found, to GAP; what they leave between samples counts
REACHED = [
    (1, L2, {}, 0.36),
    (2, L2, {}, 0.11766525),
    (3, L2, {}, 0.05718097),
    (4, L2, {}, 0.03808235),
    (5, L2, {}, 0.02377212),
    (6, L2, {}, 0.01795342),
    (8, L2, {}, 0.01030451),
    (12, L2, {}, 0.00478404),
    (16, L2, {}, 0.00274549),
    (2, L3, {}, 0.14899363),
    (3, L3, {}, 0.09415117),
    (5, L3, {}, 0.03983122),
    (3, L2, {"coarsening": "galerkin"}, 0.04775545),
    (3, L2, {"pre": 2, "post": 1}, 0.03339152),
    (4, laplacian(1), {}, 0.01234568),
    (4, STRETCHED, {"axes": "all"}, 0.11774962),
]


@pytest.mark.parametrize(("degree", "stencil", "options", "factor"), REACHED)
def test_minima_are_reached(degree, stencil, options, factor):
    found = optimum(degree, stencil, **options)
    assert found.converged
    assert found.factor == pytest.approx(factor, rel=2 * optimal.GAP)


def between(stencil, q, count=10_000, **options):
    """The largest spectral radius at random frequencies and limits, which no search has seen."""
    cycle, rng = LocalCycle(stencil, q, **options), np.random.default_rng(7)
    half = np.pi / np.array(cycle.counts[0])
    theta = rng.uniform(-half, half, (count, stencil.dim))
    unit = rng.standard_normal((1000, stencil.dim))
    limits = 1e-5 * unit / np.linalg.norm(unit, axis=1, keepdims=True)
    return spectral_radius(cycle.error_operator(np.concatenate([theta, limits]))).max()


@pytest.mark.parametrize(
    ("degree", "stencil", "options"),
    [
        (12, L2, {}),
        (3, L3, {}),
        (3, rotated_anisotropic(0.1, 0.6), {}),
        (1, rotated_anisotropic(0.1, 0.6), {"restriction": "half", "pre": 0}),
        (5, rotated_anisotropic(0.01, 0.3), {"restriction": "half"}),
        (4, rotated_anisotropic(0.05, 1.2), {"coarsening": "galerkin"}),
        (6, anisotropic((1.0, 0.02)), {"axes": "all"}),
        (4, anisotropic((1.0, 0.1, 0.3)), {"axes": "all"}),
        (1, COUPLED, {}),
    ],
)
def test_nothing_is_hidden_between_the_samples(degree, stencil, options):
    """The optimisation would find whatever the supremum does not see."""
    found = optimum(degree, stencil, **options)
    assert between(stencil, found.polynomial, **options) <= found.factor * (1 + optimal.GAP)
    # and the factor is one of the polynomial, not above it
    assert two_grid_factor(
        stencil, found.polynomial, samples={1: 256, 2: 128, 3: 48}[stencil.dim], **options
    ).factor == pytest.approx(found.factor, rel=optimal.GAP)


def test_optimum_improves_with_the_degree():
    factors = [optimum(k, L2, coarsening="galerkin").factor for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(factors, [0.36, 0.0851, 0.0477, 0.0276], rtol=5e-3)


def test_degree_sixteen_in_seconds():  # of processor time, so that a busy machine does not matter
    start = time.process_time()
    found = optimise_two_grid(16, L2)
    assert time.process_time() - start < 5.0
    assert found.converged
    assert found.factor < 0.75 * found.start_factor  # measured: 0.7476


def test_coupled_channels_may_want_complex_roots():
    found = optimum(2, COUPLED)
    assert not found.polynomial.is_real_rooted
    assert found.factor < 0.8 * found.start_factor
    assert two_grid_factor(COUPLED, found.polynomial).factor == pytest.approx(
        found.factor, rel=1e-12
    )


@pytest.mark.parametrize(
    "option",
    [
        {"pre": 2},
        {"post": 0},
        {"coarsening": "galerkin"},
        {"restriction": "injection"},
        {"interpolation": "cubic"},
        {"axes": "all"},
    ],
)
def test_the_family_has_the_options_of_the_optimisation(option):
    found = two_grid_optimal(4, problem=WEAK, **option).roots
    np.testing.assert_array_equal(found, optimum(4, WEAK, **option).polynomial.roots)
    assert found != pytest.approx(optimum(4, WEAK).polynomial.roots, rel=1e-4)


def test_a_polynomial_of_the_scaled_operator_has_no_scale():
    expected = two_grid_optimal(2, problem=L2).roots
    found = two_grid_optimal(2, problem=7 * L2, scaling="diagonal").roots
    np.testing.assert_allclose(4 * found, expected, rtol=1e-6)


def test_family_is_scaled_to_the_problems_matrix():
    problem = create("poisson2d", 31)
    found = two_grid_optimal(2, problem=problem)
    np.testing.assert_allclose(
        found.roots, two_grid_optimal(2, problem=L2).roots * 32**2, rtol=1e-9
    )
    assert np.all(found.roots.real < problem.spectrum().b)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: optimise_two_grid(0, L2),
            "degree is 0, two_grid_optimal allows whole numbers from 1 to 16",
        ),
        (lambda: optimise_two_grid(17, L2), "degree is 17, two_grid_optimal"),
        (lambda: optimise_two_grid(2, L2, pre=0, post=0), "pre and post are both 0"),
        (lambda: optimise_two_grid(2, L2, coarsening="none"), "known: galerkin"),
        (lambda: two_grid_optimal(2, problem=create("variable2d", 7)), "constant coefficients"),
    ],
)
def test_wrong_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_scaling_of_a_shape_that_differs_per_axis():
    """The roots are those for its A, as they are for its stencil."""
    problem = poisson((7, 15))
    best = optimise_two_grid(2, problem.stencil / 64).polynomial
    np.testing.assert_allclose(
        two_grid_optimal(2, problem=problem).roots, best.roots * 64, rtol=1e-12
    )


# The descent alone, on minimax problems whose solutions are published or known in closed form.


# Charalambous, Bandler 1976: 1.9522245 at (1.1390, 0.8996); two functions active, so curvature
# decides
def cb2(z):
    x, y = z
    e = 2 * np.exp(y - x)
    return np.array([x**2 + y**4, (2 - x) ** 2 + (2 - y) ** 2, e]), np.array(
        [[2 * x, 4 * y**3], [2 * x - 4, 2 * y - 4], [-e, e]]
    )


def cb3(z):  # the same: 2 at (1, 1); three functions active
    x, y = z
    e = 2 * np.exp(y - x)
    return np.array([x**4 + y**2, (2 - x) ** 2 + (2 - y) ** 2, e]), np.array(
        [[4 * x**3, 2 * y], [2 * x - 4, 2 * y - 4], [-e, e]]
    )


# Rosen, Suzuki as a minimax problem: -44 at (0, 1, 2, -1); here with 100 added
def rosen_suzuki(x):
    a, b, c, d = x
    f = a**2 + b**2 + 2 * c**2 + d**2 - 5 * a - 5 * b - 21 * c + 7 * d
    slope = np.array([2 * a - 5, 2 * b - 5, 4 * c - 21, 2 * d + 7])
    g = [
        a**2 + b**2 + c**2 + d**2 + a - b + c - d - 8,
        a**2 + 2 * b**2 + c**2 + 2 * d**2 - a - d - 10,
        2 * a**2 + b**2 + c**2 + 2 * a - b - d - 5,
    ]
    slopes = [
        [2 * a + 1, 2 * b - 1, 2 * c + 1, 2 * d - 1],
        [2 * a - 1, 4 * b, 2 * c, 4 * d - 1],
        [4 * a + 2, 2 * b - 1, 2 * c, -1.0],
    ]
    values = np.array([f, *(f + 10 * value for value in g)]) + 100
    return values, np.array([slope, *(slope + 10 * np.array(row) for row in slopes)])


PUBLISHED = {
    "CB2": (cb2, [1.0, -0.1], 1.9522245, [1.1390, 0.8996]),
    "CB3": (cb3, [1.0, -0.1], 2.0, [1.0, 1.0]),
    "Rosen-Suzuki": (rosen_suzuki, np.zeros(4), 56.0, [0.0, 1.0, 2.0, -1.0]),
}


@pytest.mark.parametrize(("pieces", "start", "value", "x"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_minima(pieces, start, value, x):
    found = minimise_maximum(pieces, np.array(start), 200)
    assert found.converged
    assert found.iterations < 60
    assert found.value == pytest.approx(value, abs=1e-6)  # to the printed digits
    np.testing.assert_allclose(found.c, x, atol=2e-3)
    assert found.value == pieces(found.c)[0].max()


def test_best_line_for_the_exponential():
    """Best linear approximation of exp on [-1, 1]: the slope is (e - 1/e)/2, the error in closed
    form (Chebyshev)."""
    t = np.linspace(-1, 1, 4001)
    basis = np.stack([np.ones_like(t), t], axis=1)

    def pieces(c):
        rest = basis @ c - np.exp(t)
        return np.abs(rest), np.sign(rest)[:, None] * basis

    found = minimise_maximum(pieces, np.zeros(2), 200)
    m = np.sinh(1)
    assert found.c[1] == pytest.approx(m, abs=1e-6)
    assert found.value == pytest.approx(0.5 * (np.exp(1) - m - (m - m * np.log(m))), abs=1e-6)
    assert found.converged


def test_a_kink_with_curvature():
    """max(exp(-x), x) is least where x = exp(-x), the omega constant W(1)."""

    def pieces(x):
        return np.array([np.exp(-x[0]), x[0]]), np.array([[-np.exp(-x[0])], [1.0]])

    assert minimise_maximum(pieces, np.array([4.0]), 200).value == pytest.approx(
        float(lambertw(1).real), rel=1e-9
    )


def test_no_step_is_gained_from_a_minimum():
    found = minimise_maximum(cb3, np.ones(2), 200)
    assert (found.converged, found.value) == (True, 2.0)
    assert found.iterations <= 1
    zero = minimise_maximum(lambda x: (np.abs(x) ** 1.5, np.diag(x)), np.zeros(2), 200)
    assert (zero.converged, zero.iterations) == (True, 0)


def test_the_maximum_is_never_above_the_start():
    """However many steps are allowed."""
    for pieces, start in ((cb2, [3.0, 3.0]), (rosen_suzuki, [0.0, 3.0, -2.0, 4.0])):
        first = pieces(np.array(start))[0].max()
        values = [minimise_maximum(pieces, np.array(start), n).value for n in range(1, 30)]
        assert max(values) <= first
        assert values[0] < first
        assert min(values) == pytest.approx(values[-1], rel=1e-3)


def test_iterations_end_the_search():
    early = minimise_maximum(cb2, np.array([3.0, 3.0]), 1)
    assert (early.iterations, early.converged) == (1, False)
    assert early.value < cb2([3.0, 3.0])[0].max()
    for pieces, start, *_ in PUBLISHED.values():
        for most in range(1, 12):
            assert minimise_maximum(pieces, np.array(start), most).iterations <= most


def test_a_maximum_of_zero_is_reached():
    def pieces(x):  # |x| to a power: the minimum is 0, where relative decrease never ends
        return np.abs(x) ** 1.5, np.diag(1.5 * np.sign(x) * np.abs(x) ** 0.5)

    reached = minimise_maximum(pieces, np.array([1.0, -2.0]), 200)
    assert reached.converged
    assert reached.value <= EXACT


def test_the_start_is_not_changed():
    start = np.array([1.0, -0.1])
    minimise_maximum(cb2, start, 200)
    np.testing.assert_array_equal(start, [1.0, -0.1])
