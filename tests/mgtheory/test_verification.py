"""Every predicted factor is confirmed by a run on a periodic grid, to 1 %."""

import numpy as np
import pytest

from mgtheory.fourier import cycle_factor, two_grid_factor
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.polynomials.classical import chebyshev, chebyshev4
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import PROBLEMS, create
from mgtheory.problems.stencils import STENCILS, Stencil, anisotropic, laplacian, named
from mgtheory.smoothers import GaussSeidel
from mgtheory.verification import PeriodicCycle, verify

L2 = laplacian(2)
GRIDS = {1: 64, 2: 32, 3: 8}
COMPLEX = ResidualPolynomial(np.array([3 + 1j, 3 - 1j, 6.0]))


def run(shape, *args, cycles=200, **options):
    return verify(LocalCycle(*args, **options), shape, rng=np.random.default_rng(0), cycles=cycles)


@pytest.mark.parametrize("name", STENCILS)
@pytest.mark.parametrize("smoother", ["jacobi", "red_black", "multicolour"])
@pytest.mark.parametrize("coarsening", ["galerkin", "rediscretise"])
def test_every_stencil(name, smoother, coarsening):
    shape = GRIDS[named(name).dim]
    found = run(shape, named(name), smoother, coarsening=coarsening, axes="all")
    assert found.difference < 0.01
    assert found.measured < 1
    assert found.measured > 0.01 or (name == "3-point" and smoother != "jacobi")  # which is exact


@pytest.mark.parametrize(
    "options",
    [
        {"smoother": chebyshev(3, interval=(2, 8)), "post": 0},
        {"smoother": chebyshev(3, interval=(2, 8)), "pre": 0},
        {
            "smoother": chebyshev(3, interval=(2, 8)),
            "post_smoother": chebyshev4(2, lmax=8.0),
            "post": 2,
        },
        {"smoother": chebyshev4(2, lmax=2.0), "scaling": "diagonal"},
        {"smoother": COMPLEX},
        {"smoother": "red_black", "restriction": "half"},
        {"smoother": "red_black", "restriction": "half", "coarsening": "rediscretise"},
        {
            "smoother": "jacobi",
            "restriction": "injection",
            "coarsening": "rediscretise",
            "cycles": 1200,
        },
        {"smoother": "red_black", "interpolation": "cubic"},
        {"smoother": "jacobi", "post_smoother": GaussSeidel("red-black", omega=1.1, backward=True)},
        {"smoother": "red_black", "levels": 3},
        {"smoother": "red_black", "levels": 3, "cycle": "W", "coarsening": "rediscretise"},
        {"smoother": chebyshev(2, interval=(2, 8)), "levels": 4},
    ],
    ids=str,
)
def test_every_option(options):
    found = run((32, 48), L2, **options)
    assert found.difference < 0.01
    assert found.predicted > 0.01


@pytest.mark.parametrize(("dim", "shape"), [(1, 64), (2, 32), (3, 16)])
def test_polynomial_smoothing_in_every_dimension(dim, shape):
    found = run(shape, laplacian(dim), chebyshev(2, interval=(2.0, 4.0 * dim)), cycles=100)
    assert found.difference < 0.01
    assert found.measured < 0.2


@pytest.mark.parametrize("restriction", ["full", "half"])
@pytest.mark.parametrize("name", ["3-point", "5-point", "9-point", "7-point", "19-point"])
@pytest.mark.parametrize(
    "after", [None, GaussSeidel(backward=True, omega=1.1)], ids=["forward", "backward"]
)
def test_lexicographic_gauss_seidel(name, restriction, after):
    shape = GRIDS[named(name).dim]
    found = run(
        shape,
        named(name),
        "gauss_seidel",
        post_smoother=after,
        restriction=restriction,
        coarsening="rediscretise",
    )
    assert found.difference < 0.01
    assert found.measured > 0.01


@pytest.mark.parametrize("name", ["poisson2d", "poisson2d-9point"])
def test_lexicographic_sweeps_of_the_solver_tend_to_the_prediction(name):
    """On Dirichlet grids, from below: there the slowest mode is one of the infinite grid cut off at
    the boundary."""
    factors = []
    for n in (31, 63, 127):
        problem = create(name, n)
        hierarchy = Hierarchy.build(
            problem, smoother="gauss_seidel", coarsening="rediscretise", max_levels=2, coarsest=1
        )
        error, reductions = np.random.default_rng(0).standard_normal(problem.unknowns), []
        for _ in range(60):
            error = error / np.linalg.norm(error)
            error = error - hierarchy.apply(problem.A @ error)
            reductions.append(np.linalg.norm(error))
        factors.append(np.exp(np.mean(np.log(reductions[30:]))))
    predicted = two_grid_factor(problem, "gauss_seidel", coarsening="rediscretise").factor
    assert factors[0] < factors[1] < factors[2] < predicted
    # 2 and 3 % at 127 points; halving h halves the difference or better
    assert factors[2] == pytest.approx(predicted, rel=0.04)


def test_one_sided_red_black_is_exact_in_one_dimension():
    found = run(32, laplacian(1), "red_black", post=0)
    assert found.predicted < 1e-7
    assert found.measured < 1e-7
    assert found.difference < 1e-7


class TestSystems:
    def kernel(self, shift):
        """Two weakly coupled Laplacians, unsymmetric; `shift` is the row sum of each channel's own
        part."""
        kernel = 0.02 * np.random.default_rng(2).standard_normal((2, 2, 3, 3))
        kernel[0, 0] += L2.to_array()
        kernel[1, 1] += L2.to_array()
        kernel[:, :, 1, 1] -= kernel.sum(axis=(2, 3)) - np.diag(shift)
        return Stencil.from_array(kernel)

    # kernel of A: all constants, one of the two, none
    @pytest.mark.parametrize(("shift", "rank"), [((0.0, 0.0), 2), ((0.0, 0.5), 1), ((0.4, 0.5), 0)])
    @pytest.mark.parametrize(
        "smoother",
        [chebyshev4(2, lmax=8.5), "red_black", "jacobi"],
        ids=["chebyshev4", "red_black", "jacobi"],
    )
    def test_coupled_channels(self, shift, rank, smoother):
        cycle = LocalCycle(self.kernel(shift), smoother)
        assert PeriodicCycle(cycle, (8, 8)).kernel.shape[1] == rank
        found = verify(cycle, (32, 16), rng=np.random.default_rng(1))
        assert found.difference < 0.01
        assert 0.01 < found.measured < 1

    def test_random_convolution(self):
        kernel = np.random.default_rng(5).standard_normal((3, 3, 3, 3)) / 12
        kernel[range(3), range(3), 1, 1] += 1.0
        found = run(
            16,
            Stencil.from_array(kernel),
            ResidualPolynomial(np.array([0.9 + 0.3j, 0.9 - 0.3j])),
            cycles=400,
        )
        assert found.difference < 0.01


class TestSemiCoarsening:
    """R, P and the harmonics per axis."""

    @pytest.mark.parametrize(
        "smoother", ["jacobi", "red_black", "multicolour", "gauss_seidel", "chebyshev"]
    )
    @pytest.mark.parametrize("coarsening", ["galerkin", "rediscretise"])
    @pytest.mark.parametrize("restriction", ["full", "half"])
    @pytest.mark.parametrize("levels", [2, 3])
    def test_weak_axes_are_left_alone(self, smoother, coarsening, restriction, levels):
        operator = Stencil(L2.offsets, L2.values) + 24 * Stencil(
            ((0, 0), (0, 1), (0, -1)), np.array([2.0, -1.0, -1.0])
        )
        options = {"coarsening": coarsening, "restriction": restriction, "levels": levels}
        cycle = LocalCycle(operator, smoother, **options)
        # the couplings 1 : 25, then 1 : 6.25
        assert cycle.coarsened == ((1,), (1,))[: levels - 1]
        found = verify(cycle, (8, 16), rng=np.random.default_rng(0), cycles=400)
        assert found.difference < 0.01
        assert 0.001 < found.measured < 0.5

    def test_axes_are_chosen_anew_on_every_level(self):
        """1 : 5, then 1 : 1.25, within a factor of 2 of each other: both axes are coarsened."""
        cycle = LocalCycle(anisotropic((5.0, 1.0)), "red_black", levels=3)
        assert cycle.coarsened == ((0,), (0, 1))
        assert cycle.counts == ((4, 2), (2, 2), (1, 1))
        found = verify(cycle, (16, 8), rng=np.random.default_rng(0), cycles=400)
        assert found.difference < 0.01

    @pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (1, 2), "all"])
    def test_any_axes_in_three_dimensions(self, axes):
        found = run((8, 4, 8), laplacian(3), chebyshev4(2, lmax=12.0), axes=axes)
        assert found.difference < 0.01

    def test_the_solver_coarsens_and_converges_as_predicted(self):
        """Periodic, so that the prediction on the grid's own frequencies is exact."""
        problem = create("anisotropic2d", 32, boundary="periodic")
        for levels in (2, 3):
            hierarchy = Hierarchy.build(
                problem, smoother="chebyshev", degree=3, max_levels=levels, coarsest=1
            )
            cycle = LocalCycle(problem, "chebyshev", degree=3, levels=levels)
            assert tuple(level.axes for level in hierarchy.levels[:-1]) == cycle.coarsened
            predicted = cycle_factor(cycle, samples=32, refine=False, zero="remove").factor
            assert solver_factor(hierarchy, problem) == pytest.approx(predicted, rel=0.01)


def solver_factor(hierarchy, problem, cycles=120):
    """Mean reduction of the error over the second half of the cycles, the mean removed."""
    error, reductions = np.random.default_rng(0).standard_normal(problem.unknowns), []
    for _ in range(cycles):
        error = error - error.mean()
        error = error / np.linalg.norm(error)
        error = error - hierarchy.apply(problem.A @ error)
        reductions.append(np.linalg.norm(error - error.mean()))
        if reductions[-1] < 1e-12:
            break
    return np.exp(np.mean(np.log(reductions[len(reductions) // 2 :])))


def test_divergence_is_predicted_too():
    found = run(16, L2, ResidualPolynomial(np.array([3.0])), cycles=60)
    assert found.predicted > 1
    assert found.difference < 0.01


def test_a_flipped_sign_is_seen():
    cycle = LocalCycle(L2, chebyshev(2, interval=(2, 8)))
    wrong = PeriodicCycle(cycle, (16, 16))
    wrong.levels[0].P = -wrong.levels[0].P
    error = wrong.without_kernel(np.random.default_rng(0).standard_normal(256))
    before = np.linalg.norm(error)
    for _ in range(5):
        error = wrong.apply(error, np.zeros(256))
    assert np.linalg.norm(error) > before


def test_right_hand_side_is_solved():
    cycle = LocalCycle(L2, "red_black", levels=3)
    run_ = PeriodicCycle(cycle, (16, 16))
    x = run_.without_kernel(np.random.default_rng(0).standard_normal(256))
    found = np.zeros(256)
    for _ in range(20):
        found = run_.apply(found, run_.levels[0].A @ x)
    np.testing.assert_allclose(run_.without_kernel(found), x, atol=1e-10)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="multiple of 4"):
        run(10, L2, "jacobi", levels=3)
    with pytest.raises(ValueError, match="cycles"):
        run(8, L2, "jacobi", cycles=1)


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("coarsening", ["rediscretise", "galerkin"])
@pytest.mark.parametrize("name", ["poisson1d", "poisson2d", "poisson2d-9point", "poisson2d-q1"])
@pytest.mark.parametrize("kind", ["chebyshev", "jacobi", "multicolour"])
def test_the_solver_converges_as_predicted(kind, name, coarsening, levels):
    """The project's own hierarchy, written without a thought of Fourier, on a periodic problem."""
    problem = create(name, {1: 64, 2: 32}[PROBLEMS[name].dim], boundary="periodic")
    q = chebyshev(2, interval=problem.smoothing_interval())
    own = q if kind == "chebyshev" else kind
    hierarchy = Hierarchy.build(
        problem, smoother=own, coarsening=coarsening, max_levels=levels, coarsest=1, axes="all"
    )
    cycle = LocalCycle(problem, own, coarsening=coarsening, levels=levels)
    predicted = cycle_factor(cycle, samples=problem.shape, refine=False, zero="remove").factor
    assert solver_factor(hierarchy, problem) == pytest.approx(predicted, rel=0.01, abs=1e-7)


@pytest.mark.parametrize("backward", [False, True])
def test_sweeps_take_the_points_before(backward):
    """Row by row, away from the seam: the new values of the points before, the old ones of those
    behind."""
    n = 8
    A = L2.periodic((n, n))
    x, b = np.random.default_rng(0).standard_normal((2, n, n))
    (level, _) = PeriodicCycle(LocalCycle(L2, GaussSeidel(backward=backward)), (n, n)).levels

    def smooth(x, b):
        return x + level.pre.correct(b - A @ x)

    new = smooth(x.ravel(), b.ravel()).reshape(n, n)
    early, late = (x, new) if backward else (new, x)
    inner = slice(1, -1)
    expected = (
        b[inner, inner] + early[:-2, inner] + early[inner, :-2] + late[2:, inner] + late[inner, 2:]
    ) / 4
    np.testing.assert_allclose(new[inner, inner], expected, atol=1e-13)
    # a solution stays
    np.testing.assert_allclose(smooth(x.ravel(), A @ x.ravel()), x.ravel(), atol=1e-13)


def test_a_slow_power_iteration_goes_on():
    """Injection is far from normal: after 200 cycles the factor measured is 3 % off, after 400 it
    is not."""
    found = run((34, 34), L2, ResidualPolynomial(np.array([5.0, 5.0])), restriction="injection")
    assert len(found.reductions) > 200
    assert found.agrees


def test_the_run_ends_where_it_agrees_and_measures_its_second_half():
    found = run(16, L2, "jacobi", cycles=40)
    assert found.agrees
    assert len(found.reductions) == 40
    slow = run((34, 34), L2, ResidualPolynomial(np.array([5.0, 5.0])), restriction="injection")
    tail = slow.reductions[len(slow.reductions) // 2 :]
    assert slow.measured == pytest.approx(np.exp(np.mean(np.log(tail))), rel=1e-12)
    assert abs(tail[-1] / slow.measured - 1) > 0.005  # the last reduction alone is another number


def test_a_singular_sweep_is_refused():
    upwind = Stencil.from_array(np.array([-1.0, 1.0, 0.0]))
    with pytest.raises(ValueError, match="singular on this grid"):
        PeriodicCycle(LocalCycle(upwind, "gauss_seidel"), (16,))
