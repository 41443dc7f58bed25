"""Model problems: order of convergence, exact spectra, dense twins of the stencils, conservation,
and what is refused."""

import itertools
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla

import mgtheory
from mgtheory import Hierarchy, StencilHierarchy
from mgtheory.problems import grids, record, tensor, variable
from mgtheory.problems.catalogue import PROBLEMS, create, poisson
from mgtheory.problems.grids import Boundary
from mgtheory.problems.manufactured import SOLUTIONS, JumpCoefficient, SmoothCoefficient
from mgtheory.problems.problem import Problem
from mgtheory.spectra import bounds

ALL = [
    (name, boundary)
    for name, entry in PROBLEMS.items()
    for boundary in entry.boundaries
    if name != "convection2d"  # not symmetric: test_plane.py
]


def direct(problem: Problem) -> np.ndarray:
    """The solution by sparse LU; a singular A is bordered by its nullspace, which makes the mean
    zero."""
    if problem.nullspace is None:
        return sla.spsolve(sp.csc_array(problem.A), problem.b)
    N = sp.csc_array(problem.nullspace)
    return sla.spsolve(
        sp.csc_array(sp.block_array([[problem.A, N], [N.T, None]])), np.append(problem.b, 0.0)
    )[:-1]


class OrderCase:
    """Measures the order of convergence in the maximum norm; a subclass states it."""

    order: float
    problems: tuple[dict, ...]
    sizes = (16, 32, 64)
    # the finest two meshes are about 1/50: the next term of the error expansion still shows
    slack = 0.15

    def cases(self):
        return [
            (options, boundary)
            for options in self.problems
            for boundary in options.get("boundaries", list(Boundary))
        ]

    def test_order(self):
        for options, boundary in self.cases():
            arguments = {
                key: value for key, value in options.items() if key not in ("dim", "boundaries")
            }
            errors, widths = [], []
            for n in self.sizes[-2:]:
                problem = poisson((n,) * options["dim"], boundary=boundary, **arguments)
                errors.append(problem.error(direct(problem)))
                widths.append(problem.h[0])
            observed = np.log(errors[0] / errors[1]) / np.log(widths[0] / widths[1])
            assert abs(observed - self.order) <= self.slack, (options, boundary, observed)


class TestSecondOrder(OrderCase):
    order = 2
    problems = (
        {"dim": 1},
        {"dim": 2},
        {"dim": 2, "stencil": "q1"},
        {"dim": 1, "stencil": "q1"},
        {"dim": 2, "weights": (1.0, 0.01)},
        {"dim": 2, "coefficient": SmoothCoefficient()},
        {"dim": 2, "coefficient": SmoothCoefficient(), "average": "arithmetic"},
        {"dim": 2, "solution": "exponential", "boundaries": [Boundary.DIRICHLET]},
        {
            "dim": 2,
            "coefficient": SmoothCoefficient(),
            "solution": "exponential",
            "boundaries": [Boundary.DIRICHLET],
        },
        {"dim": 2, "stencil": "q1", "solution": "exponential", "boundaries": [Boundary.DIRICHLET]},
    )


class TestSecondOrderInSpace(OrderCase):
    order = 2
    sizes = (8, 16)
    slack = 0.25
    problems = (
        {"dim": 3, "boundaries": [Boundary.DIRICHLET]},
        {"dim": 3, "stencil": "q1", "boundaries": [Boundary.NEUMANN]},
    )


class TestFourthOrder(OrderCase):
    order = 4
    problems = (
        {"dim": 2, "stencil": "9-point"},
        {"dim": 2, "stencil": "9-point", "weights": (1.0, 0.5)},
        {
            "dim": 2,
            "stencil": "9-point",
            "solution": "exponential",
            "boundaries": [Boundary.DIRICHLET],
        },
    )


class TestFourthOrderInSpace(OrderCase):
    order = 4
    sizes = (8, 16)
    slack = 0.25
    problems = ({"dim": 3, "stencil": "19-point", "boundaries": [Boundary.DIRICHLET]},)


@pytest.mark.parametrize("shape", [(12, 17), (9, 30)])
def test_fourth_order_holds_with_different_mesh_widths(shape):
    """The mixed term takes both widths; with one of them for both the order would be 2 (error about
    100 times larger here)."""
    errors = [
        create("poisson2d-9point", tuple(scale * (n + 1) - 1 for n in shape)) for scale in (1, 2)
    ]
    first, second = (problem.error(direct(problem)) for problem in errors)
    assert first / second == pytest.approx(16.0, rel=0.15)


@pytest.mark.parametrize(("name", "boundary"), ALL)
def test_registry(name, boundary):
    problem = create(name, 6, boundary=boundary)
    A = problem.A.toarray()
    assert np.array_equal(A, A.T)
    values = np.linalg.eigvalsh(A)
    spectrum = problem.spectrum()
    assert spectrum.a == pytest.approx(values[0], rel=1e-9, abs=1e-9 * values[-1])
    assert spectrum.b == pytest.approx(values[-1], rel=1e-9)
    assert values[1] > 1e-6 * values[-1]  # the nullspace is the constants alone
    if problem.nullspace is None:
        assert values[0] > 0
    else:
        assert np.max(np.abs(A @ problem.nullspace)) <= 1e-13 * values[-1]
        assert abs(problem.b.sum()) <= 1e-10 * np.abs(problem.b).sum()
    assert problem.grid[0].shape == problem.shape
    if problem.exact is not None:
        assert problem.error(problem.exact) <= 1e-14 * np.abs(problem.exact).max()
        assert problem.error(problem.exact + 1.0, "l2") == pytest.approx(
            1.0 if problem.nullspace is None else 0.0, abs=1e-13
        )
    copy = pickle.loads(pickle.dumps(problem))
    assert np.array_equal(copy.b, problem.b)
    assert np.array_equal(copy.equation.load(problem.shape), problem.b)


@pytest.mark.parametrize("name", [name for name in PROBLEMS if PROBLEMS[name].coefficient is None])
def test_stencil_is_the_matrix(name):
    """The stencil on the periodic and the Dirichlet grid is A."""
    for boundary in (Boundary.PERIODIC, Boundary.DIRICHLET):
        problem = create(name, 5, boundary=boundary)
        twin = getattr(problem.stencil, boundary)(problem.shape).toarray()
        np.testing.assert_allclose(
            problem.A.toarray(), twin, rtol=0, atol=1e-12 * np.abs(twin).max()
        )


def test_known_stencils():
    five, compact, elements = (
        create(name, 5).stencil.to_array() / 36  # h = 1/6
        for name in ("poisson2d", "poisson2d-9point", "poisson2d-q1")
    )
    np.testing.assert_allclose(five, [[0, -1, 0], [-1, 4, -1], [0, -1, 0]], atol=1e-13)
    np.testing.assert_allclose(6 * compact, [[-1, -4, -1], [-4, 20, -4], [-1, -4, -1]], atol=1e-12)
    np.testing.assert_allclose(3 * elements, [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], atol=1e-12)


def test_smoothing_interval_of_the_laplacian():
    """[b/(2d), b] for 2d + 1 points; [2, 16/3] and [2, 4] for the compact scheme and finite
    elements in 2D (h = 1)."""
    for dim in (1, 2, 3):
        problem = create(f"poisson{dim}d", 7)
        a, b = problem.smoothing_interval()
        assert (a * problem.h[0] ** 2, b * problem.h[0] ** 2) == pytest.approx((2.0, 4.0 * dim))
    for name, ends in (("poisson2d-9point", (2.0, 16.0 / 3.0)), ("poisson2d-q1", (2.0, 4.0))):
        problem = create(name, 7)
        assert [end * problem.h[0] ** 2 for end in problem.smoothing_interval()] == pytest.approx(
            ends
        )
    anisotropic = create("anisotropic2d", 7)
    assert [end / 64 for end in anisotropic.smoothing_interval([0])] == pytest.approx((2.0, 4.04))


def test_extremes_are_those_of_the_whole_spectrum():
    polynomial = create("poisson2d-9point", 5).polynomial
    values = [grids.eigenvalue(np.arange(1, 6), 5, Boundary.DIRICHLET)] * 2
    everything = [tensor.evaluate(polynomial, pair) for pair in itertools.product(*values)]
    assert tensor.extremes(polynomial, [[(v[0], v[-1]) for v in values]]) == pytest.approx(
        (min(everything), max(everything))
    )


@pytest.mark.parametrize("solution", SOLUTIONS)
def test_derivatives_of_solutions(solution):
    """v' and v'' against central differences with step 1e-4: truncation below 1e-5 of the size."""
    entry, t, step = SOLUTIONS[solution], np.linspace(0.1, 0.9, 9), 1e-4
    scale = np.abs(entry.ddv(t)).max()
    np.testing.assert_allclose(
        entry.dv(t), (entry.v(t + step) - entry.v(t - step)) / (2 * step), atol=1e-5 * scale
    )
    np.testing.assert_allclose(
        entry.ddv(t), (entry.dv(t + step) - entry.dv(t - step)) / (2 * step), atol=1e-5 * scale
    )


def test_harmonic_average_is_the_exact_flux_through_a_jump():
    """In 1D with k = 1 and 1000 the discrete flux is constant and equals 1 / integral of 1/k, cell
    by cell."""
    problem = poisson(8, coefficient=JumpCoefficient(), boundary="neumann")
    faces = (
        variable.face_coefficients(JumpCoefficient(), (8,), Boundary.NEUMANN, average="harmonic")[0]
        / 64
    )
    assert faces[0] == faces[-1] == 0.0
    assert faces[2] == pytest.approx(2 * 1000 / 1001)
    assert faces[4] == pytest.approx(1000)
    x = np.array([0.0, 0.25, 0.3, 0.75, 1.0])  # the inclusion is open
    np.testing.assert_array_equal(JumpCoefficient(7.0)(x), [1, 1, 7, 1, 1])
    np.testing.assert_array_equal(JumpCoefficient(7.0)(x, 0.5), [1, 1, 7, 1, 1])
    assert problem.exact is None
    with pytest.raises(ValueError, match="exact solution is not known"):
        problem.error(problem.b)


def test_nothing_is_assembled_before_it_is_asked_for():
    """10^16 unknowns: the spectrum is a formula. A function of the user is tried at once."""
    huge = poisson((10**8, 10**8))
    assert huge.unknowns == 10**16
    assert huge.spectrum().b == pytest.approx(8e16, rel=1e-7)
    assert mgtheory.derive("chebyshev4", 2, huge).interval[1] == pytest.approx(8e16, rel=1e-7)
    assert "10000000000000000 unknowns" in repr(huge)
    problem = poisson((3, 4))
    assert problem.A is problem.A
    np.testing.assert_allclose(problem.b, problem.equation.load((3, 4)))
    with pytest.raises(ValueError, match="infinite"):
        poisson((3, 3), f=lambda x, y: np.inf + 0 * x * y)


def test_own_right_hand_side():
    problem = poisson((7, 5), f=lambda x, y: x + 0 * y)
    np.testing.assert_allclose(problem.b.reshape(7, 5), problem.grid[0])


def test_high_frequencies_of_varying_coefficients():
    """[b/(2d), b], b the largest eigenvalue, as the Laplacian on a square grid has it."""
    for dim, k in (
        (1, JumpCoefficient()),
        (2, SmoothCoefficient()),
        (2, JumpCoefficient()),
        (3, JumpCoefficient()),
    ):
        problem = poisson((7,) * dim, coefficient=k)
        b = np.linalg.eigvalsh(problem.A.toarray())[-1]
        assert tuple(problem.smoothing_interval()) == pytest.approx((b / (2 * dim), b))


def test_errors_take_every_shape_of_a_vector():
    """A column or an array of the grid is the vector, not a table of all differences."""
    problem = poisson((4, 3))
    e = problem.error(np.zeros(12))
    assert e == np.abs(problem.exact).max()
    assert (
        problem.error(np.zeros((12, 1)))
        == problem.error(np.zeros((4, 3)))
        == problem.error([0.0] * 12)
        == e
    )
    assert problem.error(np.zeros((12, 1)), "l2") == pytest.approx(
        np.sqrt(np.mean(problem.exact**2))
    )


@pytest.mark.parametrize("shape", [(2,), (2, 2), (2, 2, 2), (4, 2)])
def test_the_mean_is_taken_off_a_vanishing_right_hand_side_too(shape):
    """Two periodic points see a constant f: what is left of b is rounding, and its mean must be
    smaller still."""
    b = poisson(shape, boundary="periodic").b
    assert abs(b.sum()) <= 1e-15 * np.abs(b).sum()


def test_any_shape():
    for shape in ((1,), (2, 9), (4, 1, 6), (10, 3)):
        problem = poisson(shape)
        assert problem.A.shape[0] == np.prod(shape)
        assert problem.A.indices.dtype == np.int32
    assert poisson(2, boundary="periodic").A.toarray().tolist() == [[8.0, -8.0], [-8.0, 8.0]]


def test_compact_scheme_with_weights_and_mesh_widths_that_differ():
    """The mixed term is a_i h_j^2 + a_j h_i^2: exchanged, it shows only where both the weights and
    the mesh widths differ."""
    errors = []
    for n in (8, 16, 32):
        problem = poisson((n - 1, 2 * n - 1), stencil="9-point", weights=(1.0, 5.0))
        errors.append(problem.error(sla.spsolve(problem.A.tocsc(), problem.b)))
    assert np.log2(errors[1] / errors[2]) == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: create("poisson4d"), "unknown problem 'poisson4d', known are: poisson1d"),
        (lambda: create("poisson2d", (3, 3, 3)), "has 2 axes"),
        (lambda: create("poisson2d", boundary="robin"), "known are: dirichlet, neumann, periodic"),
        (lambda: poisson((3, 0)), "whole numbers"),
        (lambda: poisson((1, 4), boundary="periodic"), "at least 2"),
        (lambda: poisson((3, 3), stencil="7-point"), "known are: 5-point, 9-point, q1"),
        (lambda: poisson((3, 3), weights=(1.0, -1.0)), "2 positive numbers"),
        (lambda: poisson((3, 3), solution="exp_cosine"), "known are: exp_sine"),
        (lambda: poisson((3, 3), average="mean"), "known are: harmonic, arithmetic"),
        (lambda: poisson((3, 3), coefficient=lambda x, y: x - 0.5 + 0 * y), "must be positive"),
        (lambda: poisson((3, 3), coefficient=SmoothCoefficient(), stencil="q1"), "5-point stencil"),
        (lambda: create(["poisson2d"]), "unknown problem"),
        (lambda: create("poisson2d", 3.5), "shape is 3.5, allowed are 1 to 3 whole numbers"),
        (lambda: create("poisson2d", None), "shape is None"),
        (lambda: create("poisson2d", True), "whole numbers"),
        (lambda: poisson(None), "shape is None"),
        (lambda: poisson(3.0), "shape is 3.0"),
        (lambda: poisson("33"), "shape is '33'"),
        (lambda: poisson(np.array(5.0)), "whole numbers"),
        (lambda: poisson((3, 3), weights=2.0), "weights are 2.0, must be 2 positive numbers"),
        (lambda: poisson((3, 3), weights=(1.0, None)), "2 positive numbers"),
        (lambda: poisson((3, 3), weights=(1.0, 1j)), "2 positive numbers"),
        (lambda: poisson((3, 3), weights=(1.0, np.nan)), "2 positive numbers"),
        (lambda: poisson((3, 3), stencil=["q1"]), "unknown stencil"),
        (lambda: poisson((3, 3), coefficient=2.0), "coefficient is 2.0, must be callable"),
        (
            lambda: poisson((3, 3), coefficient=lambda x, y: np.ones(7)),
            r"the coefficient gives values of shape \(7,\)",
        ),
        (
            lambda: poisson((3, 3), coefficient=lambda x, y: 1j + x),
            "the coefficient gives values of type complex128",
        ),
        (lambda: poisson((3, 3), coefficient=lambda x, y: np.nan), "must be positive and finite"),
        (lambda: poisson((3, 3), f=1.0), "f is 1.0, must be callable"),
        (
            lambda: poisson((3, 3), f=lambda x, y: x / 0.5 * np.nan),
            "f gives values on the grid that are infinite",
        ),
        (
            lambda: poisson((3, 3), f=lambda x, y: x * np.nan, boundary="periodic"),
            "f gives values on the grid that are infinite",
        ),
        (lambda: poisson((3, 3), f=lambda x, y: np.ones(7)), r"f gives values of shape \(7,\)"),
        (lambda: poisson((3, 3), f=lambda x, y: x, solution="sine"), "exclude each other"),
        (
            lambda: poisson((3, 3)).error(np.zeros(3)),
            r"x has shape \(3,\), must be \(9,\) or \(3, 3\)",
        ),
        (lambda: poisson((3, 3)).error(0.0), r"x has shape \(\)"),
        (
            lambda: poisson((3, 3)).error(np.zeros(9), "rms"),
            "unknown norm 'rms', known are: max, l2",
        ),
        (lambda: poisson((3, 3)).smoothing_interval([2]), "axes are"),
        (lambda: poisson((3, 3)).smoothing_interval([]), "axes are"),
        (lambda: poisson((3, 3)).smoothing_interval(shape=(3,)), "must have 2 axes"),
        (lambda: poisson((3, 3)).couplings((3, 3, 3)), "must have 2 axes"),
        (lambda: create("poisson2d", (15,)), r"poisson2d has 2 axes, got the shape \(15,\)"),
        (lambda: create("variable2d", 7).eigenvalues(), "variable coefficients the .* no closed"),
        (lambda: create("convection2d", 7).eigenvalues(), "these boundaries the .* no closed form"),
        (lambda: SmoothCoefficient(np.nan), "c is nan"),
        (lambda: JumpCoefficient(0.0), "inside is 0.0, must be a number larger than 0"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("shape", [(2,), (1, 2), (1, 1), (3,)])
def test_spectra_of_few_unknowns_with_varying_coefficients(shape):
    problem = poisson(shape, coefficient=lambda *x: 1 + 7 * x[-1])
    values = np.linalg.eigvalsh(problem.A.toarray())
    if len(values) == 1:
        with pytest.raises(ValueError, match="a < b"):
            problem.spectrum()
        assert problem.smoothing_interval().b == pytest.approx(values[0])
    else:
        assert tuple(problem.spectrum()) == pytest.approx((values[0], values[-1]))


def test_an_axis_without_a_coarse_grid_sets_no_measure():
    assert grids.choose_axes((100.0, 1.0), (2, 65), "auto") == (0, 1)
    assert grids.choose_axes((100.0, 1.0), (3, 65), "auto") == (0,)
    assert grids.choose_axes((100.0, 50.0, 49.9), None, "auto") == (0, 1)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 1.0), (1.0, 4.0), (1.0, 1.0, 1.0)])
def test_the_interval_of_a_matrix_is_that_of_its_problem(weights):
    """[b min_j s_j / (2 sum_j s_j), b] with couplings s_j; b is that of the infinite grid."""
    problem = poisson((9,) * len(weights), weights=weights)
    axes = grids.choose_axes(problem.couplings(), problem.shape, "auto")
    bare = problem.A.diagonal()[0]
    for B, scale in ((None, 1.0), (1 / problem.A.diagonal(), bare)):
        a, b = record.matrix_interval(problem.A, problem.shape, axes, B)
        assert (a, b) == pytest.approx([end / scale for end in problem.smoothing_interval(axes)])


def test_the_end_of_a_matrix_is_a_disc_or_an_estimate_with_a_tenth_more():
    """Of a Galerkin product with positive couplings; below its largest eigenvalue q would grow."""
    A = Hierarchy.build(poisson((31, 31), weights=(1.0, 0.5)), coarsening="galerkin").levels[1].A
    for B in (None, 1 / A.diagonal()):
        end = record.matrix_interval(A, (15, 15), (0, 1), B)[1]
        disc = bounds.gershgorin(A, B=B).radius
        assert end == pytest.approx(min(disc, 1.1 * bounds.quick_ritz(A, B).radius), rel=1e-12)
        assert end < disc


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 2.0), (1.0, 1.0, 1.0), (1.0, 0.7, 1.3)])
@pytest.mark.parametrize("scheme", ["standard", "compact", "q1"])
@pytest.mark.parametrize("boundary", ["dirichlet", "periodic"])
def test_couplings_are_those_of_the_equation(boundary, scheme, weights):
    """Of the stencil and of the bare matrix, whatever corners the scheme has: of trilinear elements
    with cubic cells the next entries are 0, and rounding chose the axes."""
    dim = len(weights)
    name = {"compact": {2: "9-point", 3: "19-point"}[dim], "standard": None}.get(scheme, scheme)
    shape = (16, 12, 9)[:dim]
    problem = poisson(shape, stencil=name, weights=weights, boundary=boundary)
    assert problem.stencil.couplings() == pytest.approx(problem.couplings(), rel=1e-12)
    inside = bounds.couplings(problem.A[:, :], shape)
    if scheme == "standard":
        assert inside == pytest.approx(problem.couplings(), rel=1e-12)
    elif boundary == "dirichlet":  # beside the boundary corners are missing
        assert inside == pytest.approx(problem.couplings(), rel=0.5)
    if boundary == "dirichlet" and scheme == "q1":
        own = problem.A.toarray()
        for j in range(dim):  # the definition, point by point
            x = np.indices(shape).reshape(dim, -1)
            near = np.abs(x[:, :, None] - x[:, None, :]).max(axis=0) <= 1
            sums = []
            for way in (1, -1):
                there = near & (x[j][None, :] - x[j][:, None] == way)
                sums.append(np.abs((own * there).sum(axis=1))[there.any(axis=1)].mean())
            assert inside[j] == pytest.approx(np.mean(sums), rel=1e-12)


def test_corners_alone_couple_too():
    """The Laplacian turned by 45 degrees, with as many entries as the 5-point one: a point has one
    corner or two on each side."""
    S = mgtheory.Stencil.from_array([[-1, 0, -1], [0, 4, 0], [-1, 0, -1]])
    A = Problem.from_stencil(S, (7, 31)).A
    A.eliminate_zeros()
    assert bounds.couplings(A, (7, 31)) == pytest.approx((2 * 30 / 31, 2 * 6 / 7), rel=1e-12)
    assert S.couplings() == (2.0, 2.0)


@pytest.mark.parametrize("build", [Hierarchy.build, StencilHierarchy.build])
def test_a_bare_matrix_of_trilinear_elements_is_coarsened_along_all_axes(build):
    problem = poisson((15, 15, 15), stencil="q1")
    given = problem.A if build == Hierarchy.build else problem.stencil
    levels = build(given, shape=problem.shape, coarsest=9).levels
    assert [tuple(level.shape) for level in levels[:2]] == [(15, 15, 15), (7, 7, 7)]
