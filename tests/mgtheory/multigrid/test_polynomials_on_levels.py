"""Whose polynomial it is: derive -> solve needs the cycles that the name needs, by polynomial, by
initial coefficients and by file, in both hierarchies; what belongs to another operator is refused
in one line."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory import (
    Hierarchy,
    InitialCoefficients,
    StencilHierarchy,
    derive,
    poisson,
    smoothing_factor,
    two_grid_factor,
)
from mgtheory.multigrid.solve import Watch
from mgtheory.polynomials.classical import chebyshev, chebyshev4
from mgtheory.problems import create
from mgtheory.problems.problem import Problem
from mgtheory.problems.record import operator_record
from mgtheory.problems.stencils import Stencil
from mgtheory.smoothers import Jacobi, Polynomial

BOTH = [Hierarchy, StencilHierarchy]
LAPLACE = Stencil.from_array([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])


def cycles(kind, problem, smoother, **options):
    solution = kind.build(problem, smoother=smoother, coarsest=64, **options).solve(problem.b)
    assert solution.converged, solution
    return solution.iterations


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("given", [lambda d: d, lambda d: d.polynomial])
def test_a_polynomial_of_another_scale_is_refused_with_both_records(kind, given):
    """For (0, 8], applied to a spectrum up to 131072 it would give residuals of 1e62."""
    start = derive("chebyshev4", 2, 8.0)
    with pytest.raises(ValueError, match=r"\(0, 8\].*applied to.*127 x 127|poisson2d") as caught:
        kind.build(poisson((127, 127)), smoother=given(start))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", BOTH)
def test_a_polynomial_of_the_stencil_serves_the_operator(kind):
    """The stencil over h^2 is a multiple of the stencil: converted exactly."""
    problem = poisson((63, 63))
    for source in (LAPLACE, problem, poisson((15, 15))):
        start = derive("chebyshev4", 3, source)
        for smoother in (start, start.polynomial):
            solutions = [
                kind.build(problem, smoother=s, degree=d, coarsest=64).solve(problem.b, maxiter=3)
                for s, d in ((smoother, None), ("chebyshev4", 3))
            ]
            np.testing.assert_allclose(
                solutions[0].residual_norms, solutions[1].residual_norms, rtol=1e-6
            )


@pytest.mark.parametrize("family", ["chebyshev", "chebyshev4", "chebyshev4_opt"])
@pytest.mark.parametrize("name", ["variable2d", "jump2d"])
def test_variable_coefficients(tmp_path, name, family):
    """Derived for D^-1 A, applied to D^-1 A."""
    problem = create(name, 63)
    start = derive(family, 3, problem)
    start.save(tmp_path / "init.json")
    loaded = InitialCoefficients.load(tmp_path / "init.json")
    wanted = cycles(Hierarchy, problem, family, degree=3)
    assert wanted <= 9
    for smoother in (start, loaded):
        assert cycles(Hierarchy, problem, smoother) == wanted
    # without its family it is scaled on coarse levels, whose couplings may be others
    assert abs(cycles(Hierarchy, problem, start.polynomial) - wanted) <= 1
    with pytest.raises(ValueError, match="B differs"):
        Hierarchy.build(
            problem, smoother=Polynomial(polynomial=start.polynomial, scaling="identity")
        )


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("family", ["chebyshev", "chebyshev4"])
def test_semi_coarsening(tmp_path, kind, family):
    """Derived for the axes that are coarsened; where another one is, derived anew."""
    problem = create("anisotropic2d", 63)
    start = derive(family, 3, problem)
    start.save(tmp_path / "init.json")
    loaded = InitialCoefficients.load(tmp_path / "init.json")
    assert cycles(kind, problem, family, degree=3) == 7
    for smoother in (start, loaded):
        assert cycles(kind, problem, smoother) == 7
    assert cycles(kind, problem, start.polynomial) <= 8  # no family that could be derived anew


@pytest.mark.parametrize("kind", BOTH)
def test_the_two_grid_optimum_is_the_best_of_all(tmp_path, kind):
    """Of two grids, by name and by file, searched for with the axes that the solver coarsens: with
    the factor that Fourier analysis predicts. On all levels it needs the cycles of the others."""
    problem = create("anisotropic2d", 63)
    start = derive("two_grid_optimal", 3, problem)
    start.save(tmp_path / "init.json")

    def factor(smoother, **options):
        hierarchy = kind.build(problem, smoother=smoother, max_levels=2, coarsest=64, **options)
        x = np.random.default_rng(0).standard_normal(63**2)
        norms = hierarchy.solve(np.zeros(63**2), x, tol=0.0, maxiter=30).residual_norms
        return (norms[-1] / norms[-7]) ** (1 / 6)

    loaded = InitialCoefficients.load(tmp_path / "init.json")
    others = [factor(family, degree=3) for family in ("chebyshev", "chebyshev4", "chebyshev4_opt")]
    predicted = two_grid_factor(problem, loaded, pre=1, post=1).factor
    for found in (factor("two_grid_optimal", degree=3), factor(loaded)):
        assert found < min(others)
        assert found == pytest.approx(predicted, rel=0.05)
    assert cycles(kind, problem, loaded) == 7
    assert cycles(kind, problem, "two_grid_optimal", degree=3) == 7


def test_roots_are_scaled_by_estimates_of_one_kind():
    """A rough coefficient and B = I: a Lanczos value over Gershgorin's bound would be 0.7 of the
    growth of the largest eigenvalue, and coarse levels would amplify."""

    def rough(x, y):
        return np.exp(3 * np.sin(40 * x * (1 + y)) * np.cos(33 * y))

    problem = poisson((31, 31), coefficient=rough)
    b = problem.spectrum().b
    for q in (chebyshev(3, interval=(b / 30, b)), chebyshev4(3, lmax=b)):
        smoother = Polynomial(polynomial=q, scaling="identity")
        hierarchy = Hierarchy.build(problem, smoother=smoother, coarsening="galerkin")
        (said,) = hierarchy.warnings  # B = I is slow here, and amplifies nowhere
        assert "one of D^-1 A, derived with scaling='diagonal'" in said
        for level in hierarchy.levels[:-1]:
            largest = np.linalg.eigvalsh(level.A.toarray())[-1]
            scale = float(level.pre.polynomial.roots.real.max() / q.roots.real.max())
            assert scale * b == pytest.approx(largest, rel=0.03)
        norms = hierarchy.solve(problem.b, maxiter=20).residual_norms
        assert norms[-1] < 0.5 * norms[0]


@pytest.mark.parametrize("kind", BOTH)
def test_a_callable_gives_the_polynomial_of_its_own_level(kind):
    problem = poisson((31, 31))
    q = derive("chebyshev", 3, problem).polynomial
    one = kind.build(problem, smoother=q, coarsest=64)
    other = kind.build(problem, smoother=lambda level: q.scaled(4.0**-level.index), coarsest=64)
    np.testing.assert_allclose(other.apply(problem.b), one.apply(problem.b), atol=1e-12)


def test_matrices_and_intervals():
    """A matrix is no form that could be recognised: its spectrum must not end above the
    polynomial's; an upper bound of the very same spectrum does not count."""
    problem = create("variable2d", 31)
    wanted = cycles(Hierarchy, problem, "chebyshev4", degree=3)
    for start in (
        derive("chebyshev4", 3, problem.A, scaling="diagonal"),
        derive("chebyshev4", 3, problem),
    ):
        solution = Hierarchy.build(problem.A, shape=(31, 31), smoother=start).solve(problem.b)
        assert abs(solution.iterations - wanted) <= 1
    small = derive("chebyshev4", 3, 1.5)
    with pytest.raises(ValueError, match="beyond its spectrum it amplifies"):
        Hierarchy.build(problem, smoother=Polynomial(polynomial=small.polynomial))


def test_smoothers_are_exchanged_without_a_new_set_up():
    problem = create("variable2d", 31)
    first = Hierarchy.build(problem)
    other = first.with_smoothers("chebyshev4", degree=3, pre=2)
    built = Hierarchy.build(problem, smoother="chebyshev4", degree=3, pre=2)
    assert all(a.A is b.A and a.P is b.P for a, b in zip(first.levels, other.levels))
    assert str(other) == str(built)
    np.testing.assert_array_equal(other.solve(problem.b).x, built.solve(problem.b).x)
    assert first.levels[0].pre.label == "chebyshev(2)"  # the first one is what it was


def test_notes_say_why_there_is_no_black_box():
    A = sp.csr_array(create("variable2d", 16).A + 1j * sp.eye_array(256))
    (note,) = Hierarchy.build(A, shape=(16, 16)).levels[0].notes
    assert "needs a real A" in note
    assert "linear" in note


def test_a_polynomial_that_does_nothing_is_named():
    """Derived for an interval that is far too large: |q| is about 1 on all high frequencies."""
    problem = poisson((31, 31))
    b = problem.spectrum().b
    for scale, expected in ((1.0, ()), (1e3, ("does next to nothing",)), (0.2, ("multiplies",))):
        q = chebyshev(2, interval=(b / 4 * scale, b * scale))
        warnings = Hierarchy.build(problem, smoother=q).warnings
        assert bool(warnings) == bool(expected)
        assert all(expected[0] in text and text.startswith("level") for text in warnings)
    start = derive("chebyshev4", 2, 1e3 * b)
    with pytest.raises(ValueError, match="its steps are too short"):
        Hierarchy.build(problem, smoother=start)
    by_hand = start.polynomial.of(None)
    solution = Hierarchy.build(problem, smoother=by_hand).solve(problem.b, maxiter=3)
    assert "far too large" in solution.message


def test_a_level_of_a_hierarchy_is_an_operator():
    coarse = Hierarchy.build(poisson((31, 31))).levels[1]
    record = operator_record(coarse)
    assert (record.padding, record.found) == ("dirichlet", "the symbol, exact")
    assert record.interval == pytest.approx((8 * 16**2 / 4, 8 * 16**2))
    assert derive("chebyshev", 2, coarse).roots == pytest.approx(
        derive("chebyshev", 2, poisson((15, 15))).roots
    )


@pytest.mark.parametrize(
    ("name", "boundary"),
    [("poisson2d", "neumann"), ("rotated2d", "dirichlet"), ("convection2d", "dirichlet")],
)
def test_fourier_analysis_of_a_level_is_that_of_its_problem(name, boundary):
    """With its transfers and coarse operators, which differ from those of the bare stencil."""
    problem = create(name, n=32 - (boundary == "dirichlet"), boundary=boundary)
    level = Hierarchy.build(problem).levels[0]
    of_level, of_problem, of_stencil = (
        two_grid_factor(one, "chebyshev", degree=2).factor
        for one in (level, problem, problem.stencil)
    )
    assert of_level == of_problem != pytest.approx(of_stencil, rel=0.1)
    assert smoothing_factor(level, "jacobi").factor == smoothing_factor(problem, "jacobi").factor
    optimal = (derive("two_grid_optimal", 1, one).roots for one in (level, problem))
    np.testing.assert_allclose(*optimal, rtol=1e-6)


def test_a_level_without_a_problem_is_refused_by_fourier_analysis():
    problem = poisson((31, 31))
    product = Hierarchy.build(problem, coarsening="galerkin").levels[1]
    matrix = Hierarchy.build(problem.A, shape=(31, 31)).levels[0]
    for level in (product, matrix):
        for factor in (two_grid_factor, smoothing_factor):
            with pytest.raises(ValueError, match=r"no problem.*from_stencil") as caught:
                factor(level, "chebyshev")
            assert "\n" not in str(caught.value)


def test_what_has_setup_is_set_up_even_where_it_could_correct():
    class Own:
        """Corrects by what its setup has made."""

        def setup(self, level):
            made = Own()
            made.inverse = 0.8 / level.A.diagonal()
            return made

        def correct(self, r):
            return self.inverse * r

    built = Hierarchy.build(poisson((15, 15)), smoother=Own())
    same = Hierarchy.build(poisson((15, 15)), smoother=Jacobi(0.8))
    b = np.ones(225)
    assert built.apply(b) == pytest.approx(same.apply(b))


@pytest.mark.parametrize("amplitude", [1.0, 3.0])
def test_what_was_derived_for_a_rough_problem_fits_that_problem(amplitude):
    """Its bound lies a third above the spectrum; it is the bound of the level all the same."""
    rng = np.random.default_rng(0)
    rough = np.exp(amplitude * rng.uniform(-1, 1, (64, 64)))
    problem = poisson(
        (31, 31), coefficient=lambda x, y: rough[(63 * x).astype(int), (63 * y).astype(int)]
    )
    start = derive("chebyshev4", 2, problem, scaling="identity")
    named = Polynomial("chebyshev4", 2, scaling="identity")
    counts = {
        Hierarchy.build(problem, smoother=given).solve(problem.b, maxiter=200).iterations
        for given in (start, start.polynomial, named)
    }
    assert max(counts) - min(counts) <= 1


def rough(spread, n=63):
    values = np.exp(spread * np.random.default_rng(0).uniform(-1, 1, (130, 130)))
    return poisson(
        (n, n), coefficient=lambda x, y: values[(128 * x).astype(int), (128 * y).astype(int)]
    )


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (create("variable2d", 63), True),
        (create("variable2d", 32, boundary="neumann"), True),
        (create("jump2d", 63), True),
        (rough(1.5), True),
        (rough(0.3), False),
        # a wall: what a few rows have is no variation from place to place
        (poisson((63, 63), coefficient=lambda x, y: 1 + 9 * (abs(x - 0.5) < 0.01) + 0 * y), False),
        (poisson((63, 63)), False),
        (poisson((32, 32), boundary="neumann"), False),
        (poisson((8, 8, 8), boundary="neumann"), False),
    ],
)
@pytest.mark.parametrize("family", ["chebyshev", "chebyshev4", "harmonic_ritz"])
def test_a_polynomial_of_a_itself_on_a_varying_diagonal(problem, said, family):
    """Slow, and it says so with the way on."""
    given = [Polynomial(family, 3, scaling="identity")]
    if family != "harmonic_ritz":
        start = derive(family, 3, problem, scaling="identity")
        data = start.to_dict() | {"schema": 1}  # as a file of version 1 has it
        del data["operator"]
        data["provenance"]["source"] = {
            "problem": {
                "name": problem.name,
                "shape": list(problem.shape),
                "boundary": problem.boundary,
            }
        }
        given += [start, start.polynomial]
        if problem.name == "variable2d":
            given.append(InitialCoefficients.from_dict(data))
    for smoother in given:
        warnings = Hierarchy.build(problem, smoother=smoother).warnings
        assert ["D^-1 A" in text for text in warnings] == [True] * said
    assert Hierarchy.build(problem, smoother=family, degree=3).warnings == ()


@pytest.mark.parametrize("kind", BOTH)
def test_what_takes_a_spectrum_with_its_sign_solves_a_negative_definite_equation(kind):
    """Harmonic Ritz polynomials, by record; what needs a positive interval is refused."""
    problem = poisson((31, 31))
    negative = Problem.from_stencil(-1.0 * problem.stencil, (31, 31), b=-problem.b)
    options = {"coarsest": 64}
    start = derive("harmonic_ritz", 3, negative.A)
    assert (start.roots.real < 0).all()
    expected = kind.build(problem, smoother=derive("harmonic_ritz", 3, problem.A), **options).solve(
        problem.b
    )
    for given in (start, start.polynomial, start.polynomial.of(None)):
        found = kind.build(negative, smoother=given, **options).solve(negative.b)
        assert found.converged
        assert found.iterations == expected.iterations
        np.testing.assert_allclose(found.x, expected.x, rtol=1e-6)
    if kind is Hierarchy:
        found = kind.build(negative, smoother="harmonic_ritz", degree=3, **options)
        assert found.solve(negative.b).converged
        # D^-1 A is positive, D and A are not
        uneven, smoother = create("variable2d", 31), Polynomial("harmonic_ritz", 3)
        assert kind.build(-uneven.A, shape=(31, 31), smoother=smoother).solve(-uneven.b).converged
    for wrong in (
        "chebyshev",
        "chebyshev4",
        "bounded",
        derive("harmonic_ritz", 3, problem.A).polynomial,
    ):
        with pytest.raises(ValueError, match="a negative definite A must change its sign"):
            kind.build(negative, smoother=wrong, **options)


def test_mostly_negative_is_told_to_change_its_sign_first():
    A = sp.csr_array(10.0 * sp.eye_array(225) - poisson((15, 15)).A)
    with pytest.raises(ValueError, match="most of A is negative: change its sign first"):
        Hierarchy.build(A, shape=(15, 15))


def test_a_refusal_says_what_both_are():
    """Operator, interval, both sides, and the way on."""
    problem, varying = poisson((127, 127)), create("variable2d", 63)
    for given, on, words in (
        (
            derive("chebyshev4", 2, 8.0),
            problem,
            "the polynomial was derived for a spectrum in (0, 8], but is applied to level 0 of"
            " poisson2d, 127 x 127 (A, eigenvalues up to 131072, high frequencies from 32768):"
            " beyond its spectrum it amplifies, and that one reaches 1.638e+04 times as far;"
            " derive it for that operator",
        ),
        (
            Polynomial(polynomial=derive("chebyshev4", 2, varying).polynomial, scaling="identity"),
            varying,
            "dirichlet (D^-1 A, eigenvalues up to 2), but is applied to level 0 of variable2d,"
            " 63 x 63 (A, eigenvalues up to 240959, high frequencies from 60239.7): B differs, the"
            " inverse diagonal or the identity; apply it with scaling='diagonal', or derive it with"
            " scaling='identity'",
        ),
    ):
        with pytest.raises(ValueError) as caught:
            Hierarchy.build(on, smoother=given)
        assert str(caught.value).endswith(words)


def test_amplification_is_measured_in_the_norm_in_which_q_is_symmetric():
    """The residual after a smoothing is q(AB) r, which may be larger than r where the diagonal
    varies, for every good q; B^(1/2) A B^(1/2) is symmetric."""
    s = np.geomspace(1, 100, 8)
    A = s[:, None] * poisson((8,)).A.toarray() * s
    B = 1 / A.diagonal()
    for lmax, said in ((2.0, 0), (1.0, 1)):
        q = derive("chebyshev4", 2, lmax).polynomial
        left = np.eye(8) - A @ q.apply(A, np.eye(8), B)
        _, (grown, *_), (r, *_) = np.linalg.svd(left)
        assert grown > 1.1
        worst = np.linalg.svd(np.sqrt(B)[:, None] * left / np.sqrt(B))[2][0] / np.sqrt(B)
        watch = Watch()
        for one in (r, worst):
            made = SimpleNamespace(B=B, polynomial=q)
            watch(SimpleNamespace(index=0, symmetric=True, pre=made), one, left @ one)
        assert len(watch.warnings) == said
