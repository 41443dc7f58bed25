"""The options, results and refusals of `StencilHierarchy`."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

from mgtheory.derive import derive
from mgtheory.matrixfree import StencilHierarchy
from mgtheory.matrixfree.faces import FaceLevel
from mgtheory.matrixfree.level import StencilLevel
from mgtheory.multigrid.solution import Reason
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.problem import Problem
from mgtheory.problems.stencils import Stencil
from mgtheory.smoothers import GaussSeidel, Jacobi, Polynomial

LAPLACE = Stencil.from_array([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])
PROBLEMS = {"nested": poisson((31, 31)), "uneven": poisson((40, 27))}


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def test_memory_is_below_four_vectors():
    cross = np.zeros((3, 3, 3))
    cross[1, 1, :] = cross[1, :, 1] = cross[:, 1, 1] = -1.0
    cross[1, 1, 1] = 6.0
    for stencil, shape in ((LAPLACE, (1023, 1023)), (Stencil.from_array(cross), (63, 63, 63))):
        assert StencilHierarchy.build(
            stencil, shape=shape, degree=4, threads=2
        ).memory_bytes < 4 * 8 * np.prod(shape)


def test_the_constant_diagonal_makes_no_difference():
    b = noise(40 * 27)
    one, two = (
        StencilHierarchy.build(
            PROBLEMS["uneven"], smoother=Polynomial("chebyshev", 3, scaling=scaling), coarsest=30
        )
        .solve(b, maxiter=2)
        .x
        for scaling in ("identity", "diagonal")
    )
    np.testing.assert_allclose(one, two, atol=1e-13 * np.abs(one).max())


def test_arguments_are_kept_and_taken_in_any_real_form():
    problem = PROBLEMS["nested"]
    ours = StencilHierarchy.build(problem, coarsest=60)
    b, x0 = noise(31 * 31), noise(31 * 31, 1)
    kept = b.copy(), x0.copy()
    expected = ours.solve(b, x0).x
    ours.smooth(x0, b)
    np.testing.assert_array_equal(b, kept[0])
    np.testing.assert_array_equal(x0, kept[1])
    b.flags.writeable = False
    np.testing.assert_array_equal(ours.solve(b, x0).x, expected)
    assert ours.solve(b.reshape(31, 31), x0.reshape(31, 31)).x.shape == (31, 31)
    assert ours.solve(b.astype(np.float32)).converged
    zero = ours.solve(np.zeros(31 * 31))
    assert zero.converged
    assert not zero.x.any()
    again = pickle.loads(pickle.dumps(ours)).solve(b, x0)
    np.testing.assert_array_equal(again.x, expected)
    out = x0.copy()
    assert ours.smooth(out, b, out=out) is out
    expected = ours.smooth(x0, b)
    np.testing.assert_array_equal(out, expected)
    out = b.copy()
    np.testing.assert_array_equal(ours.smooth(x0, out, out=out), expected)
    read_only = out.copy()
    read_only.flags.writeable = False
    for wrong in (out.astype(np.float32), np.zeros((31, 62))[:, ::2], read_only):
        with pytest.raises(ValueError, match="out must be a writeable float64 array in C order"):
            ours.smooth(x0, b, out=wrong)


def test_numpy_integers_are_numbers():
    n = np.int64(1)
    ours = StencilHierarchy.build(
        PROBLEMS["nested"],
        axes=[n - 1],
        coarsest=60 * n,
        max_levels=3 * n,
        threads=n,
        pre=n,
        post=n,
    )
    assert [level.shape for level in ours.levels] == [(31, 31), (15, 31), (7, 31)]
    assert ours.solve(noise(31 * 31), maxiter=2 * n).iterations == 2


def test_results_say_how_it_ended():
    problem = PROBLEMS["nested"]
    seen = []
    solution = StencilHierarchy.build(problem, coarsest=60).solve(
        problem.b, callback=lambda i, r: seen.append((i, r))
    )
    assert solution.reason is Reason.CONVERGED
    assert [i for i, _ in seen] == list(range(solution.iterations + 1))
    assert tuple(r for _, r in seen) == solution.residual_norms
    assert (
        StencilHierarchy.build(problem, coarsest=60).solve(problem.b, maxiter=2).reason
        is Reason.MAXITER
    )
    bad = ResidualPolynomial([100.0])  # far too large a step
    assert (
        StencilHierarchy.build(problem, smoother=bad, coarsest=60).solve(problem.b).reason
        is Reason.DIVERGED
    )
    stuck = StencilHierarchy.build(problem, coarsest=60).solve(problem.b, tol=0.0)
    assert stuck.reason is Reason.STAGNATED
    assert "rounding" in stuck.message
    assert "31x31" in str(StencilHierarchy.build(problem))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StencilHierarchy.build(poisson((9, 9), boundary="neumann")), "dirichlet"),
        (
            lambda: StencilHierarchy.build(
                poisson((9, 9), coefficient=lambda x, y: 1 + x, boundary="periodic")
            ),
            "dirichlet",
        ),
        (lambda: StencilHierarchy.build(PROBLEMS["nested"].A), "Problem or a Stencil"),
        (lambda: StencilHierarchy.build(LAPLACE), "bare stencil needs the shape"),
        (  # 1 - 2 cos(pi/3) = 0
            lambda: StencilHierarchy.build(Stencil.from_array([-1.0, 1.0, -1.0]), shape=2),
            "operator is singular",
        ),
        (lambda: StencilHierarchy.build(LAPLACE, shape=(9,)), "2 axes"),
        (lambda: StencilHierarchy.build(LAPLACE, shape=(9, 9), h=-1.0), "larger than 0"),
        (
            lambda: StencilHierarchy.build(
                Stencil.from_array([[0, 0, 0], [-1.0, 2.0, 0], [0, 0, 0]]), shape=(9, 9)
            ),
            "symmetric in every axis",
        ),
        (
            lambda: StencilHierarchy.build(Stencil.from_array([-1.0, 2.0, -1.001]), shape=(9,)),
            "symmetric in every axis, this one is not along axis 0",
        ),
        *(
            (lambda s=s: StencilHierarchy.build(s, shape=(9, 9)), "real stencils of one channel")
            for s in (
                1j * LAPLACE,
                Stencil(LAPLACE.offsets, LAPLACE.values[:, None, None] * np.eye(2)),
            )
        ),
        (
            lambda: StencilHierarchy.build(Stencil.from_array(np.ones((5, 5))), shape=(9, 9)),
            "reach one point",
        ),
        (
            lambda: StencilHierarchy.build(PROBLEMS["nested"], smoother=GaussSeidel()),
            "polynomials or Jacobi",
        ),
        (
            lambda: StencilHierarchy.build(PROBLEMS["nested"], smoother="harmonic_ritz"),
            "derive it first",
        ),
        (  # of one grid, on which nothing smooths, too
            lambda: StencilHierarchy.build(PROBLEMS["nested"], post_smoother=GaussSeidel()),
            "polynomials or Jacobi",
        ),
        (lambda: StencilHierarchy.build(PROBLEMS["nested"], h=0.1), "shape and h belong"),
        *(
            (
                lambda name=name, value=value: StencilHierarchy.build(
                    PROBLEMS["nested"], **{name: value}
                ),
                f"{name} is .* for the matrix-free cycle, .*; mgtheory.Hierarchy has others",
            )
            for name, value in (
                ("boundary", "periodic"),
                ("interpolation", "cubic"),
                ("restriction", "half"),
                ("transfers", lambda level: None),
                ("coarse_solver", lambda A: None),
                ("nullspace", np.ones(961)),
            )
        ),
        (
            lambda: StencilHierarchy.build(PROBLEMS["nested"], coarsening="none"),
            "rediscretise, galerkin and pyamg",
        ),
        (
            lambda: StencilHierarchy.build(PROBLEMS["uneven"], coarsening="galerkin", coarsest=9),
            "odd sizes",
        ),
        (lambda: StencilHierarchy.build(LAPLACE, shape=(40, 99), coarsest=9), "ratios"),
        (lambda: StencilHierarchy.build(PROBLEMS["nested"], axes=(5,)), "axes"),
        (lambda: StencilHierarchy.build(PROBLEMS["nested"], axes=None), "axes"),
        (
            lambda: StencilHierarchy.build(PROBLEMS["nested"], degree=(2, 0), coarsest=9),
            "degree is 0 on level 1",
        ),
        (lambda: StencilHierarchy.build(PROBLEMS["nested"], degree="2"), "degree"),
        (lambda: StencilHierarchy.build(PROBLEMS["nested"], threads=0), "threads"),
        (lambda: StencilHierarchy.build(PROBLEMS["nested"], max_levels=0), "max_levels is 0"),
        (lambda: StencilHierarchy.build(PROBLEMS["nested"], coarsest=-5), "coarsest is -5"),
        (
            lambda: StencilHierarchy.build(PROBLEMS["nested"]).solve(np.ones(961), tol=None),
            "tol is None",
        ),
        (
            lambda: StencilHierarchy.build(PROBLEMS["nested"]).solve(np.ones(961), callback=3),
            "callback",
        ),
        (lambda: StencilHierarchy.build(PROBLEMS["nested"]).solve(np.ones(5)), "shape"),
        (lambda: StencilHierarchy.build(PROBLEMS["nested"]).solve(np.ones(961) * 1j), "real"),
        (lambda: StencilHierarchy.build(PROBLEMS["nested"]).solve(np.ones(961, bool)), "type bool"),
        (
            lambda: StencilHierarchy.build(PROBLEMS["nested"]).apply(np.ones(961), "FMG"),
            "'FMG', allowed are: V, W, F$",
        ),
        (
            lambda: StencilHierarchy.build(
                PROBLEMS["nested"], coarsest=9, post_smoother=Jacobi(0.7)
            ).as_preconditioner(),
            "^different smoothers before and after",
        ),
        (
            lambda: StencilHierarchy.build(PROBLEMS["nested"]).solve(np.full(961, np.nan)),
            "not a number",
        ),
        (lambda: StencilHierarchy.build(PROBLEMS["nested"]).solve(np.ones(961), tol=-1.0), "tol"),
        (
            lambda: StencilHierarchy.build(PROBLEMS["nested"]).solve(np.ones(961), cycle="X"),
            "V, W, F, FMG",
        ),
        (
            lambda: StencilHierarchy.build(PROBLEMS["nested"]).solve(
                np.ones(961), np.ones(961), cycle="FMG"
            ),
            "x0",
        ),
        (
            lambda: StencilHierarchy.build(
                PROBLEMS["nested"], coarsest=9, post=0
            ).as_preconditioner(),
            "equally many",
        ),
        (
            lambda: StencilHierarchy.build(PROBLEMS["nested"]).as_preconditioner("F"),
            "not symmetric",
        ),
    ],
)
def test_refuses_what_it_cannot_do(build, message):
    with pytest.raises(ValueError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cycle", ["V", "W", "F"])
def test_tolerances_against_nothing_and_absolute_ones(cycle):
    """For b = 0 the residual of the start takes the place of ||b||; atol is SciPy's."""
    problem = PROBLEMS["uneven"]
    ours = StencilHierarchy.build(problem, coarsest=60)
    ones, zero = np.ones(40 * 27), np.zeros(40 * 27)
    solution = ours.solve(zero, ones, cycle=cycle)
    assert solution.reason is Reason.CONVERGED
    assert solution.residual_norms[0] == pytest.approx(np.linalg.norm(problem.A @ ones))
    assert solution.residual_norms[-1] <= 1e-8 * solution.residual_norms[0]
    solution = ours.solve(problem.b, tol=0.0, atol=1e-2, cycle=cycle)
    assert solution.converged
    assert np.linalg.norm(problem.b - problem.A @ solution.x) <= 1.01e-2
    assert solution.residual_norms[-1] <= 1e-2 < solution.residual_norms[-2]
    # the start is good enough: it is returned, and 0 is not replaced by what was in memory
    large = 2.0 * np.linalg.norm(problem.b)
    for atol, x0 in ((large, None), (3e5, ones)):
        solution = ours.solve(problem.b, x0, atol=atol, cycle=cycle)
        assert (solution.reason, solution.iterations) == (Reason.CONVERGED, 0)
        np.testing.assert_array_equal(solution.x, zero if x0 is None else ones)
    assert not ours.solve(zero, 1e-200 * ones, cycle=cycle).x.any()


def test_the_callers_settings_of_numpy_stop_nothing():
    problem = PROBLEMS["nested"]
    b = noise(31 * 31)
    for options in ({}, {"smoother": ResidualPolynomial([100.0])}, {"coarsening": "galerkin"}):
        expected = StencilHierarchy.build(problem, coarsest=60, **options).solve(b, cycle="F")
        with np.errstate(all="raise"):
            ours = StencilHierarchy.build(problem, coarsest=60, **options)
            np.testing.assert_array_equal(ours.solve(b, cycle="F").x, expected.x)
            one, tiny = (ours.solve(scale * b, maxiter=1).x for scale in (1.0, 1e-130))
            np.testing.assert_allclose(1e130 * tiny, one, atol=1e-12 * np.abs(one).max())


def test_other_smoothers_on_the_same_operators():
    """As built anew, with a workspace of its own: both hierarchies may work at the same time."""
    problem = PROBLEMS["nested"]
    ours = StencilHierarchy.build(problem, coarsest=60, threads=1)
    other = ours.with_smoothers("chebyshev4", Jacobi(0.7), degree=3, pre=2, post=1)
    assert [level.counts for level in other.levels] == [(2, 1), (2, 1), (0, 0)]
    assert other.operators == ours.operators
    assert other.threads == 1
    anew = StencilHierarchy.build(
        problem, coarsest=60, smoother="chebyshev4", degree=3, post_smoother=Jacobi(0.7), pre=2
    )
    b, inner = noise(31 * 31), []
    outer = ours.solve(b, callback=lambda *_: inner.append(other.solve(b, maxiter=3).x))
    np.testing.assert_array_equal(inner[0], anew.solve(b, maxiter=3).x)
    np.testing.assert_array_equal(outer.x, ours.with_smoothers().solve(b).x)
    with pytest.raises(ValueError, match="polynomials or Jacobi"):
        ours.with_smoothers(GaussSeidel())


def test_coefficients_derived_from_the_matrix_are_taken():
    """harmonic_ritz asks the operator itself; what it gave is a polynomial like any other."""
    problem = PROBLEMS["nested"]
    start = derive("harmonic_ritz", 4, problem)
    ours = StencilHierarchy.build(problem, smoother=start, coarsest=200)
    x, b = noise(31 * 31), noise(31 * 31, 1)
    expected = start.polynomial.smooth(problem.A, x, b)
    np.testing.assert_allclose(ours.smooth(x, b), expected, atol=1e-12 * np.abs(expected).max())


def test_a_polynomial_that_is_given_needs_no_positive_spectrum():
    """-Laplace - k^2 with k h > sqrt(2): nothing is derived of the interval."""
    problem = Problem.from_stencil(
        poisson((31, 31)).stencil - Stencil([(0, 0)], [2.5 * 32**2]), (31, 31)
    )
    q = ResidualPolynomial(np.array([1.0, -2.0, 5.0]) * 32**2)
    ours = StencilHierarchy.build(problem, smoother=q, coarsest=200, max_levels=2)
    x, b = noise(31 * 31), noise(31 * 31, 1)
    expected = q.smooth(problem.A, x, b)
    np.testing.assert_allclose(ours.smooth(x, b), expected, atol=1e-12 * np.abs(expected).max())


def test_options_are_those_of_the_other_hierarchy():
    with pytest.raises(TypeError, match="unknown option 'shpae', known are: shape"):
        StencilHierarchy.build(LAPLACE, shpae=(9, 9))
    for name, value in (("restriction", "half"), ("dtype", "float16"), ("boundary", "neumann")):
        with pytest.raises(ValueError, match=f"{name} is .* mgtheory.Hierarchy has others"):
            StencilHierarchy.build(PROBLEMS["nested"], **{name: value})
    assert StencilHierarchy.build(PROBLEMS["nested"], dtype="float64", nullspace=None)


def test_loads_are_read_as_right_hand_sides():
    problem = PROBLEMS["nested"]
    ours = StencilHierarchy.build(problem, coarsest=60)
    with pytest.raises(ValueError, match=r"loads\(\(15, 15\)\) has shape \(3,\)"):
        ours.full_multigrid(problem.b, loads=lambda shape: np.ones(3))
    with pytest.raises(ValueError, match="the cycle is V"):
        ours.solve(problem.b, loads=problem.equation.load)


def test_numba_is_imported_on_use_alone():
    code = "import sys, mgtheory, mgtheory.matrixfree; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    code = (
        "import sys; sys.modules['numba'] = None\nfrom mgtheory.matrixfree import"
        " StencilHierarchy\nfrom mgtheory.problems import poisson\ntry:\n   "
        " StencilHierarchy.build(poisson((9, 9)))\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True
    )
    assert "polymgnet[fast]" in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_hierarchy_at_work_refuses_a_second_caller():
    """The workspace is one: what a callback starts on the same hierarchy would spoil the solve that
    calls it."""
    problem = poisson((31, 31))
    hierarchy = StencilHierarchy.build(problem)

    def intrude(iteration, norm):
        hierarchy.apply(problem.b)

    with pytest.raises(RuntimeError, match="build one for each"):
        hierarchy.solve(problem.b, callback=intrude)
    assert hierarchy.solve(problem.b).converged  # the refusal left it free


@pytest.mark.parametrize(
    ("name", "boundary"), [("rotated2d", "dirichlet"), ("variable2d", "neumann")]
)
def test_nothing_is_compiled_for_what_is_refused(monkeypatch, name, boundary):
    """Half a minute is long to wait for an error."""

    def compiled():
        raise AssertionError("compiled before the refusal")

    for kind in (StencilLevel, FaceLevel):
        monkeypatch.setattr(kind, "compiled", compiled)
    with pytest.raises(ValueError, match=r"even along every axis|got neumann"):
        StencilHierarchy.build(create(name, 9, boundary=boundary))
