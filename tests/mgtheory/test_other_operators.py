"""Whose polynomial is it: converted exactly to another operator, or refused with both records."""

import pickle

import numpy as np
import pytest

import mgtheory
from mgtheory import FAMILIES, Hierarchy, derive
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.manufactured import SmoothCoefficient
from mgtheory.problems.problem import Problem
from mgtheory.problems.record import operator_record
from mgtheory.problems.stencils import Stencil, laplacian, rotated_anisotropic
from mgtheory.spectra.interval import Interval


def test_a_problem_converts_to_its_multiples_exactly():
    """63 to 127 points multiply A by 4, the bare stencil is A at h = 1, D^-1 A is A/4 there."""
    coarse = derive("chebyshev", 3, create("poisson2d", n=63))
    for of, factor in (
        (create("poisson2d", n=127), 4.0),
        (create("poisson2d", n=63, boundary="periodic"), 63**2 / 64**2),
        (laplacian(2), 64**-2),
    ):
        np.testing.assert_allclose(coarse.on(of).roots, factor * coarse.roots, rtol=1e-12)
    scaled = coarse.on(create("poisson2d", n=63), scaling="diagonal")
    np.testing.assert_allclose(scaled.roots, coarse.roots / (4 * 64**2), rtol=1e-12)


SMOOTH = SmoothCoefficient(1.0)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        *(
            (poisson((7, 7), coefficient=SMOOTH), poisson((7, 7), **other), "another operator")
            for other in (
                {"coefficient": SmoothCoefficient(1.5)},
                {"coefficient": SMOOTH, "average": "arithmetic"},
            )
        ),
        (create("poisson2d", n=7), create("poisson2d-9point", n=7), "another operator"),
        (create("poisson2d", n=7), create("anisotropic2d", n=7), "another operator"),
        (create("variable2d", n=7), create("jump2d", n=7), "another operator"),
        (8.0, create("poisson2d", n=7), "beyond its spectrum it amplifies"),
        (create("poisson2d", n=7).A, create("poisson2d", n=15), "beyond its spectrum"),
    ],
)
def test_another_operator_is_refused_with_both(source, target, message):
    start = derive("chebyshev4", 2, source)
    with pytest.raises(ValueError, match=message) as refusal:
        start.on(target)
    for record in (start.operator, operator_record(target)):
        assert record.name in str(refusal.value)


def test_b_of_a_varying_diagonal_is_no_factor():
    problem = create("variable2d", n=7)
    start = derive("chebyshev4", 2, problem)
    assert start.operator.scaling == "diagonal"
    with pytest.raises(ValueError, match="B differs"):
        start.on(problem, scaling="identity")
    assert start.on(create("variable2d", n=15)).operator.scaling == "diagonal"


def test_apply_takes_the_b_of_the_record():
    problem = create("variable2d", n=7)
    q = derive("chebyshev4", 3, problem).polynomial
    r = np.random.default_rng(0).standard_normal(problem.unknowns)
    B = 1 / problem.A.diagonal()
    np.testing.assert_array_equal(q.apply(problem.A, r), q.apply(problem.A, r, B))
    eigenvalues = np.linalg.eigvals(B[:, None] * problem.A.toarray()).real
    assert np.abs(q(eigenvalues)).max() < 1  # a smoother for D^-1 A ..
    assert np.abs(q(np.linalg.eigvalsh(problem.A.toarray()))).max() > 1e3  # .. and none for A


def test_an_interval_of_semi_coarsening_is_refused_for_full_coarsening():
    problem = create("anisotropic2d", n=31)
    start = derive("chebyshev", 3, problem)
    assert start.operator.axes == (0,)
    with pytest.raises(ValueError, match=r"axes \(0,\).*\(0, 1\)"):
        start.on(problem, axes="all")


@pytest.mark.parametrize("family", ["richardson", "chebyshev", "minimax", "two_grid_optimal"])
def test_other_coarsened_axes_are_refused_both_ways(family):
    """For all axes the interval is [20, 4137] and not [2048, 4137]: 78 cycles where 7 are right."""
    problem = create("anisotropic2d", n=15)
    for made, used in (("all", "auto"), ("auto", "all")):
        with pytest.raises(ValueError, match=r"made with axes .* coarsened, and here those are"):
            derive(family, 2, problem, axes=made).on(problem, axes=used)
    whole = derive(family, 2, problem, axes="all")
    with pytest.raises(ValueError, match=r"coarsen those with axes=\(0, 1\)"):
        Hierarchy.build(problem, smoother=whole)
    assert Hierarchy.build(problem, smoother=whole, axes="all")


@pytest.mark.parametrize("family", [one for one in FAMILIES if FAMILIES[one].takes_upper_end])
def test_families_of_b_alone_do_not_ask_for_axes(family):
    problem = create("anisotropic2d", n=15)
    made = derive(family, 4, problem)
    np.testing.assert_array_equal(derive(family, 4, problem, axes="all").roots, made.roots)
    assert made.on(problem, axes="all")


def test_krylov_families_do_not_ask_for_axes():
    """Their polynomial is that of the whole spectrum."""
    problem = create("anisotropic2d", n=15)
    made = derive("harmonic_ritz", 3, problem)
    assert made.interval[0] == 0.0
    assert made.on(problem, axes="all").roots == pytest.approx(made.roots)


def test_a_problem_of_a_rotated_stencil_has_the_record_of_its_stencil():
    """A bound of the matrix, 4216 for 4137, beside the stencil's exact symbol made roots of equal
    forms differ by 2 %."""
    problem = Problem.from_stencil(rotated_anisotropic(0.1, 0.6), (31, 31))
    one, other = operator_record(problem), operator_record(problem.stencil)
    assert one.interval == pytest.approx(other.interval, rel=1e-12)
    assert (one.scaling, one.axes, one.form) == (other.scaling, other.axes, other.form)
    assert derive("chebyshev4", 3, problem).roots == pytest.approx(
        derive("chebyshev4", 3, problem.stencil).roots, rel=1e-12
    )


@pytest.mark.parametrize("factor", [0.2, 0.7, 1.03, 4.0])
def test_what_no_form_can_tell_apart_is_told_by_its_spectrum(factor):
    A = poisson((15, 15)).A
    start = derive("chebyshev4", 2, A)
    assert start.on(0.9 * A).roots == pytest.approx(start.roots)
    with pytest.raises(ValueError, match="amplifies" if factor > 1 else "steps are too short"):
        start.on(factor * A)


def test_a_problem_has_one_record_for_each_b_and_axes():
    """Made once: derive, prediction and solver ask for the same one; also after pickling."""
    problem = create("anisotropic2d", n=7)
    records = [operator_record(problem, axes=axes) for axes in ("auto", "all", [0], (0, 1))]
    ends = [record.interval for record in records]
    assert ends[0] == ends[2] != ends[1] == ends[3]
    diagonal = operator_record(problem, scaling="diagonal")
    assert diagonal.upper < 2.1 < records[0].upper
    again = pickle.loads(pickle.dumps(problem))
    for axes, record in zip(("auto", "all", [0], (0, 1)), records):
        assert operator_record(problem, axes=axes) is record
        assert operator_record(again, axes=axes) == record
    with pytest.raises(ValueError, match="axes"):
        operator_record(problem, axes=[0, 7])


def test_a_level_has_the_b_that_is_asked_for():
    """It was that of the smoother whatever was asked."""
    hierarchy = Hierarchy.build(create("variable2d", n=15), coarsest=9)
    for level in hierarchy.levels[:2]:
        for scaling, B in (("identity", None), ("diagonal", 1 / level.A.diagonal())):
            record = derive("chebyshev4", 2, level, scaling=scaling).operator
            assert record.scaling == scaling
            dense = level.A.toarray() if B is None else B[:, None] * level.A.toarray()
            assert 1 <= record.upper / np.linalg.eigvals(dense).real.max() < 1.4

    class Own:
        def operator_record(self):
            return operator_record(1.0, scaling="identity")

    assert operator_record(Own(), scaling="identity").upper == 1.0
    with pytest.raises(ValueError, match=r"scaling is 'diagonal', but B of .* is the identity"):
        operator_record(Own(), scaling="diagonal")


def test_a_record_has_its_own_b():
    """That of a matrix its own, of numbers the one that is said first; another is refused."""
    for own in (operator_record(poisson((7, 7)).A), operator_record((1, 2), scaling="identity")):
        assert operator_record(own, scaling="identity") is own
        with pytest.raises(ValueError, match=r"scaling is 'diagonal', but B of .* is the identity"):
            derive("chebyshev4", 2, own, scaling="diagonal")
    assert operator_record(operator_record((1, 2)), scaling="diagonal").scaling == "diagonal"


def test_points_have_a_lower_end_where_their_moduli_differ():
    assert operator_record([2.0, 2j, -2j]).interval == (0.0, 2.0)
    assert operator_record([2.0, 3j, -3j]).interval == (2.0, 3.0)
    assert operator_record([Interval(1, 2), Interval(3, 4)]).positive
    assert not operator_record([Interval(-2, -1), Interval(1, 2)]).positive


def test_a_form_keeps_the_sign_of_its_taps():
    form = operator_record(Stencil.from_array([-3.0, 2.0, -3.0])).form
    assert form == (((-1,), -1.0), ((0,), 2 / 3), ((1,), -1.0))


def test_complex_and_coupled_stencils_have_no_form():
    """A form has real taps alone: by it a stencil with phases would be the one without them."""
    turned = Stencil([(0,), (1,), (-1,)], [4.0, -np.exp(0.4j), -np.exp(-0.4j)])
    assert operator_record(turned).form is None
    coupled = np.zeros((2, 2, 3))
    coupled[[0, 1], [0, 1], 1], coupled[0, 1, 0], coupled[1, 0, 2] = 4.0, -1.0, -1.0
    assert operator_record(Stencil.from_array(coupled, channels=True)).form is None


def test_b_holds_beside_the_coarsened_axes_too():
    """Along y alone, which is not coarsened, the 9-point scheme is largest."""
    problem = poisson((15, 15), stencil="9-point", weights=(0.01, 1.0))
    record = operator_record(problem, axes=(0,))
    assert record.upper >= problem.eigenvalues().max()
    high = problem.smoothing_interval((0,))
    assert high.b < problem.eigenvalues().max()


def test_a_polynomial_by_hand_is_taken_as_meant():
    q = mgtheory.ResidualPolynomial([5.0])
    assert q.on(operator_record(create("poisson2d", n=7))) is q
