"""derive: every source a family can use, the JSON chain, and refusals."""

import json
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import mgtheory
from mgtheory import Hierarchy, InitialCoefficients, ResidualPolynomial, derive
from mgtheory.families import FAMILIES, NEEDS
from mgtheory.polynomials.factors import Linear
from mgtheory.polynomials.gmres import gmres_polynomial
from mgtheory.polynomials.scores import gamma
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.manufactured import JumpCoefficient, SmoothCoefficient
from mgtheory.problems.problem import Problem
from mgtheory.problems.record import operator_record
from mgtheory.problems.stencils import laplacian, rotated_anisotropic
from mgtheory.smoothers import GaussSeidel, Jacobi, Polynomial
from mgtheory.spectra.record import OperatorRecord


def test_chebyshev_from_poisson_takes_the_high_frequencies():
    problem = create("poisson2d", n=63)
    lmax = 8.0 * 64**2  # largest value of the symbol, over h^2
    start = derive("chebyshev", 3, problem)
    np.testing.assert_allclose(start.interval, (lmax / 4, lmax))
    expected = lmax * (0.625 + 0.375 * np.cos(np.pi * (np.arange(1, 4) - 0.5) / 3))
    np.testing.assert_allclose(np.sort(start.roots.real), np.sort(expected), rtol=1e-13)
    assert start.operator.grid == (63, 63)
    assert start.operator.name == "poisson2d, 63 x 63, dirichlet"


def test_relative_is_the_same_polynomial_on_the_unit_interval():
    start = derive("chebyshev4", 3, 8.0)
    i = np.arange(1, 4)
    np.testing.assert_allclose(
        np.sort(start.relative.roots.real), 0.5 * (1 - np.cos(2 * np.pi * i / 7)), rtol=1e-13
    )
    t = np.linspace(0, 1, 9)
    np.testing.assert_allclose(start.relative(t), start.polynomial(8.0 * t), rtol=1e-12, atol=1e-14)


def test_every_source_of_b_gives_the_same_polynomial():
    problem = create("poisson2d", n=7)
    lmax = 8.0 * 8**2  # of the symbol; the largest eigenvalue on 7 x 7 is 4 % below it
    by_lmax = derive("chebyshev4", 2, lmax)
    for other in (
        derive("chebyshev4", 2, (1.0, lmax)),
        derive("chebyshev4", 2, problem),
    ):
        np.testing.assert_allclose(other.roots, by_lmax.roots, rtol=1e-13)
    by_lanczos = derive("chebyshev4", 2, problem.A)
    # never below the largest eigenvalue, and not above the documented safety factor
    assert 1.0 <= by_lanczos.interval[1] / problem.spectrum().b <= 1.12


def test_harmonic_ritz_solves_like_gmres():
    A = sp.diags_array(np.array([1.0, 2.0, 4.0, 7.0]))
    b = np.ones(4)
    start = derive("harmonic_ritz", 4, A, start=b)
    # four steps are exact for four eigenvalues
    np.testing.assert_allclose(A @ start.polynomial.apply(A, b), b, atol=1e-10)


@pytest.mark.parametrize(
    "family",
    [
        name
        for name, entry in FAMILIES.items()
        if entry.needs in ("interval", "lmax", "points", "radius")
    ],
)
def test_json_round_trip_is_exact(family, tmp_path):
    degree = 4  # allowed in every family
    start = derive(family, degree, (2.0, 8.0))
    path = tmp_path / "init.json"
    start.save(path)
    again = InitialCoefficients.load(path)
    assert again == start
    assert again.provenance == json.loads(json.dumps(start.provenance))
    assert again.provenance["formula"] == FAMILIES[family].citation
    assert again.provenance["versions"]["numpy"] == np.__version__


def test_copies_of_roots_are_recorded_and_kept(tmp_path):
    A = np.diag(np.append(np.linspace(1.0, 2.0, 58), [500.0, 1e5]))
    b = np.random.default_rng(0).standard_normal(60)
    report = gmres_polynomial(10, operator=A, start=b)
    start = derive("harmonic_ritz", 10, A, start=b)
    copies = [{"root": [root.real, root.imag], "count": count} for root, count in report.copies]
    assert copies
    assert start.provenance["result"]["copies"] == copies
    assert start.provenance["degree_asked"] == 10
    assert start.degree == 10 + sum(entry["count"] for entry in copies)
    assert start.polynomial == report.polynomial
    path = tmp_path / "init.json"
    start.save(path)
    for again in (InitialCoefficients.load(path), InitialCoefficients.from_json(start.to_json())):
        assert again.provenance["result"] == start.provenance["result"]
    plain = derive("harmonic_ritz", 10, A, start=b, copies=False)
    assert plain.provenance["result"] == {"copies": [], "relative_residual": report.residual_norm}
    assert plain.degree == 10


def test_searches_record_what_they_reached():
    on_points = derive("minimax", 3, np.linspace(1, 3, 50)).provenance["result"]
    assert on_points["converged"]
    assert on_points["lower_bound"] == pytest.approx(on_points["value"], rel=1e-8)
    two_grid = derive("two_grid_optimal", 2, create("poisson1d", n=7))
    # 1/(2k + 1)^2
    assert two_grid.provenance["result"]["two_grid_factor"] == pytest.approx(1 / 25, rel=1e-3)
    assert two_grid.provenance["result"]["converged"]
    assert derive("chebyshev", 3, (1, 2)).provenance["result"] == {}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_recorded_polynomial_is_that_of_the_function(family):
    of = {
        "interval": (2.0, 8.0),
        "lmax": 8.0,
        "operator": np.diag([1.0, 2.0, 3.0, 4.0, 5.0]),
        "points": np.linspace(1, 3, 9),
        "problem": create("poisson1d", n=7),
        "radius": 8.0,
    }[family.needs]
    record = operator_record(of)
    q, came_about = family.on(4, record)
    arguments = NEEDS[family.needs].arguments(record)
    assert q == family.function(4, **arguments)
    assert q.operator.upper == record.upper
    assert json.loads(json.dumps(came_about)) == came_about


def test_a_flipped_sign_in_the_file_is_not_the_same_polynomial(tmp_path):
    start = derive("chebyshev", 2, (2.0, 8.0))
    data = start.to_dict()
    data["polynomial"] = {"roots": [[-z.real, z.imag] for z in start.roots.tolist()]}
    with pytest.raises(ValueError, match="'weights' is not that of the polynomial"):
        InitialCoefficients.from_dict(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jacoby", 2, 1.0), "family is 'jacoby', known are richardson, chebyshev"),
        (("chebyshev", 0, (1, 2)), "degree is 0"),
        (("chebyshev", 1000, (1, 2)), "degree is 1000"),
        (("chebyshev", 2.5, (1, 2)), "degree is 2.5"),
        (("chebyshev", 2, None), "a NoneType is no operator; .* a Problem, a Stencil"),
        (
            ("chebyshev", 2, 8.0),
            r"derived from a spectrum in \(0, 8\].* needs .*\(a, b\)",
        ),
        (
            ("chebyshev", 2, np.diag([1.0, 2.0])),
            "derived from a matrix .* needs .* interval",
        ),
        (
            ("harmonic_ritz", 2, (1.0, 2.0)),
            r"derived from a spectrum in \[1, 2\].* matrix",
        ),
        (("two_grid_optimal", 2, (1.0, 2.0)), "needs a Problem with constant coefficients"),
        (("two_grid_optimal", 2, create("jump2d", n=7)), "needs a Problem with constant coeff"),
        (("chebyshev", 2, (2, 1)), "a < b"),
        (("chebyshev", 2, (0, 1)), "0 < a < b"),
        (("chebyshev4", 2, -1.0), "a < b"),
        (
            ("chebyshev4", 2, np.array([1.0, 2.0, 2.0 + 1j, 2.0 - 1j])),
            "cannot be derived from 4 points",
        ),
        (("chebyshev4", 2, "poisson2d"), "a str is no operator"),
    ],
)
def test_refusals_say_what_is_allowed(arguments, message):
    with pytest.raises(ValueError, match=message):
        derive(*arguments)


def test_an_unknown_option_is_refused():
    with pytest.raises(ValueError, match="unknown option 'shift'"):
        derive("chebyshev4", 2, 8.0, shift=1)


@pytest.mark.parametrize("of", [(2.0, 8.0), 8.0, np.linspace(1, 3, 9), create("variable2d", n=7)])
def test_a_record_survives_json(of):
    record = operator_record(of)
    again = OperatorRecord.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again == record
    assert again.source is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": 3}, "family is 3, must be a family's name"),
        ({"family": ""}, "family is '', must be"),
        ({"positive": "yes"}, "positive is 'yes', must be bool"),
        ({"name": None}, "name is None, must be str"),
        ({"found": 1}, "found is 1, must be str"),
        ({"padding": 0}, "padding is 0, must be str"),
        ({"form": 7}, "form is 7, must be str"),
        ({"kind": "level"}, "a level needs its grid and padding"),
        ({"kind": "grid"}, "unknown kind of a record 'grid'"),
    ],
)
def test_an_edited_record_is_refused(change, message):
    document = derive("chebyshev", 2, (2.0, 8.0)).to_dict()
    (document if "family" in change else document["operator"]).update(change)
    with pytest.raises(ValueError, match=message):
        InitialCoefficients.from_dict(document)


def test_a_level_of_a_network_is_no_operator_without_its_grid():
    with pytest.raises(ValueError, match=r"operator_spectra\(\[level.A\], \[grid\]\)"):
        derive("chebyshev4", 2, type("Level", (), {})())


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (None, FileNotFoundError, "no file"),
        ('{"kind": "initial_coef', ValueError, "truncated"),
        ('{"kind": "config"}', ValueError, "not a file of initial coefficients"),
        ("[1, 2]", ValueError, "must be an object"),
        ('{"kind": "initial_coefficients", "schema": 99}', ValueError, "schema 99"),
        ('{"kind": "initial_coefficients", "schema": true}', ValueError, "schema True"),
        ('{"kind": "initial_coefficients", "schema": 1, "degree": 2}', ValueError, "damaged"),
    ],
)
def test_a_foreign_file_is_refused(text, error, message, tmp_path):
    path = tmp_path / "init.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=message):
        InitialCoefficients.load(path)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ('"upper": 2.0', f'"upper": {"9" * 400}', "a whole number of 400 digits"),
        ('"seconds": ', '"seconds": NaN, "s": ', "'provenance' holds a number that is not finite"),
    ],
)
def test_numbers_beyond_the_doubles_are_refused(place, value, message, tmp_path):
    text = derive("chebyshev4", 2, 2.0).to_json()
    text = text.replace('"provenance": {', '"provenance": {\n "seconds": 1.0,')
    assert place in text
    (tmp_path / "init.json").write_text(text.replace(place, value))
    with pytest.raises(ValueError, match=message):
        InitialCoefficients.load(tmp_path / "init.json")
    with pytest.raises(ValueError, match=message):
        InitialCoefficients.from_json(text.replace(place, value))


def test_a_provenance_that_is_no_object_is_refused():
    document = derive("chebyshev4", 2, 2.0).to_dict()
    for wrong in ([], [["formula", 1]], None):
        with pytest.raises(ValueError, match="damaged: 'provenance' is no object"):
            InitialCoefficients.from_dict({**document, "provenance": wrong})


def test_one_name_for_each_public_object():
    assert all(hasattr(mgtheory, name) for name in mgtheory.__all__)


def test_harmonic_ritz_of_a_problem_is_a_smoother():
    """Its start holds every frequency, as errors do before smoothing; the model problem's smooth
    right-hand side gave |q| = 520."""
    problem = poisson((63, 63))
    start = derive("harmonic_ritz", 3, problem)
    assert "default_rng(0)" in str(start.provenance)
    assert gamma(start.relative) < 0.1
    np.testing.assert_allclose(start.roots, derive("harmonic_ritz", 3, problem).roots)


# ----------------------------------------------------------------- whose polynomial is it


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


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
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
        with pytest.raises(ValueError, match=r"coarsened axes .* and here .* are coarsened"):
            derive(family, 2, problem, axes=made).on(problem, axes=used)
    whole = derive(family, 2, problem, axes="all")
    with pytest.raises(ValueError, match=r"coarsen those with axes=\(0, 1\)"):
        Hierarchy.build(problem, smoother=whole)
    assert Hierarchy.build(problem, smoother=whole, axes="all")


def test_families_of_b_alone_do_not_ask_for_axes():
    problem = create("anisotropic2d", n=15)
    assert derive("chebyshev4", 3, problem).on(problem, axes="all")


def test_a_file_of_schema_1_was_made_for_all_axes():
    problem = create("anisotropic2d", n=31)
    data = derive("chebyshev", 3, problem, axes="all").to_dict() | {"schema": 1}
    del data["operator"]
    named = {"name": "anisotropic2d", "shape": [31, 31], "boundary": "dirichlet"}
    data["provenance"]["source"] = {"problem": named}
    read = InitialCoefficients.from_dict(data)
    assert read.operator.axes == (0, 1)
    with pytest.raises(ValueError, match="coarsened axes"):
        read.on(problem)


@pytest.mark.parametrize("family", ["chebyshev4", "chebyshev", "mls"])
def test_a_negative_definite_stencil_is_refused_like_its_matrix(family):
    stencil = poisson((15, 15)).stencil
    assert (derive(family, 4, stencil).roots.real > 0).all()
    with pytest.raises(ValueError, match="negative definite A must change its sign"):
        derive(family, 4, -1.0 * stencil)


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


def test_a_polynomial_keeps_its_record_through_json_scaling_and_pickle():
    problem = create("variable2d", n=15)
    start = derive("chebyshev4", 2, problem)
    q = start.polynomial
    assert ResidualPolynomial.from_json(q.to_json()).operator == q.operator
    assert start.relative.operator.upper == pytest.approx(1.0)
    assert start.relative.on(operator_record(problem)).roots == pytest.approx(q.roots)
    assert pickle.loads(pickle.dumps(start)) == start
    assert len(pickle.dumps(derive("chebyshev", 3, poisson((127, 127))))) < 4000  # without A


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "foo"}, "unknown kind of a record 'foo'"),
        ({"scaling": "diag"}, "scaling is 'diag', must be identity or diagonal"),
        ({"axes": [5]}, r"axes are \(5,\), allowed are: numbers from 0 to 1"),
        ({"form": []}, "its form has no tap"),
        ({"upper": 200.0}, "'interval' is not that of"),
        ({"upper": -1.0}, "upper end"),
    ],
)
def test_a_record_edited_by_hand_is_refused(change, message):
    data = derive("chebyshev", 2, poisson((7, 7))).to_dict()
    data["operator"] = data["operator"] | change
    with pytest.raises(ValueError, match=message):
        InitialCoefficients.from_dict(data)


def test_a_polynomial_by_hand_is_taken_as_meant():
    q = mgtheory.ResidualPolynomial([5.0])
    assert q.on(operator_record(create("poisson2d", n=7))) is q


def test_files_of_schema_1_are_read(tmp_path):
    """As `derive --problem poisson2d --n 63` wrote them: interval, source in the provenance."""
    problem = create("poisson2d", n=63)
    start = derive("chebyshev4", 2, problem)
    data = start.to_dict() | {"schema": 1}
    del data["operator"]
    data["polynomial"] = {"roots": [[z.real, z.imag] for z in start.roots.tolist()]}
    data["provenance"] = {
        "source": {"problem": {"name": "poisson2d", "shape": [63, 63], "boundary": "dirichlet"}},
        "formula": "",
    }
    path = tmp_path / "init.json"
    path.write_text(json.dumps(data))
    old = InitialCoefficients.load(path)
    assert old.operator.form == start.operator.form
    np.testing.assert_allclose(old.on(problem).roots, start.roots, rtol=1e-15)
    data["provenance"] = {"source": {"lmax": 8.0}}
    path.write_text(json.dumps(data))
    assert InitialCoefficients.load(path).operator.kind == "interval"


def helmholtz(k2, sign=1.0, n=63):
    laplacian = poisson((n, n)).stencil
    return mgtheory.Problem.from_stencil(
        sign * (laplacian - mgtheory.Stencil([(0, 0)], [k2])), (n, n), name="helmholtz"
    )


def test_helmholtz_is_not_told_to_change_its_sign():
    """-Laplace - k^2 with sqrt(2) k h > 2 is indefinite on the high frequencies of a level; with
    k h > sqrt(8) negative definite."""
    h = 1 / 64
    for k2, level, way in (
        (1000.0, 2, "end the levels here, max_levels=3"),
        (5000.0, 1, "end the levels here, max_levels=2"),
        (2.5 / h**2, 0, "take a finer grid"),
    ):
        problem = helmholtz(k2)
        for build in (mgtheory.Hierarchy.build, mgtheory.StencilHierarchy.build):
            with pytest.raises(
                ValueError, match=rf"^level {level}: .* indefinite.*{way}"
            ) as refusal:
                build(problem, smoother="chebyshev4", coarsest=9)
            assert "sign" not in str(refusal.value)
        if level:
            mgtheory.Hierarchy.build(problem, smoother="chebyshev4", max_levels=level + 1)
            assert derive("chebyshev4", 2, problem).interval[1] == pytest.approx(8 / h**2 - k2)
        else:
            for of in (problem, problem.stencil):
                with pytest.raises(ValueError, match=rf"indefinite there, .*{way}"):
                    derive("chebyshev4", 2, of)


@pytest.mark.parametrize("family", ["chebyshev", "chebyshev4", "minimax"])
def test_a_negative_definite_operator_is_told_to(family):
    problem = helmholtz(100.0, sign=-1.0)
    for of in (problem, problem.stencil, -laplacian(2)):
        with pytest.raises(ValueError, match="a negative definite A must change its sign"):
            derive(family, 2, of)


def test_an_indefinite_matrix_is_no_positive_one():
    """Up to its largest eigenvalue alone, q would amplify all that is below zero."""
    problem = helmholtz(200.0, n=15)
    for A in (problem.A, -problem.A):
        with pytest.raises(ValueError, match=r"cannot be derived .*symmetric positive matrix"):
            derive("chebyshev4", 2, A)
        record = operator_record(A)
        assert not record.positive
        assert record.upper >= np.abs(np.linalg.eigvalsh(A.toarray())).max()
    assert operator_record(create("poisson2d", n=15, boundary="neumann").A).positive


# ----------------------------------------------------------------- numbers that are not Python's


def of_numpy(kind):
    return lambda x: np.array(x, dtype=kind)[()]


def without_axes(x):
    return np.array(x)


def tensor(x):
    return pytest.importorskip("torch").tensor(x)


NUMBERS = {
    "int64, float32": (of_numpy(np.int64), of_numpy(np.float32)),
    "uint8, float64": (of_numpy(np.uint8), of_numpy(np.float64)),
    "arrays": (without_axes, without_axes),
    "tensors": (tensor, tensor),
}


@pytest.mark.parametrize(("whole", "real"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_become_plain(whole, real, tmp_path):
    """What is derived from numpy's numbers, or a framework's, is written like any other."""
    problem = create("poisson2d", n=7)
    calls = [
        (lambda w, r: derive("chebyshev4", w(3), r(8.0))),
        (lambda w, r: derive("chebyshev", w(3), (r(2.0), r(8.0)))),
        (lambda w, r: derive("chebyshev", w(3), (w(2), w(8)))),
        (lambda w, r: derive("mls", w(4), mgtheory.Interval(r(2.0), w(8)))),
        (lambda w, r: derive("minimax", w(3), [mgtheory.Interval(r(1.0), r(2.0))])),
        (lambda w, r: derive("two_grid_optimal", w(1), problem, pre=w(2), post=w(1))),
        (lambda w, r: derive("chebyshev4_opt", w(2), create("poisson2d", n=w(7)))),
        (lambda w, r: derive("chebyshev", w(2), poisson((w(7), w(7)), weights=(r(1.0), r(0.5))))),
        (
            lambda w, r: derive(
                "chebyshev4", w(2), poisson((9, 9), coefficient=SmoothCoefficient(r(2.0)))
            )
        ),
        (
            lambda w, r: derive(
                "chebyshev4", w(2), poisson((9, 9), coefficient=JumpCoefficient(w(9)))
            )
        ),
        (lambda w, r: derive("chebyshev4", w(2), problem, axes=[w(0)])),
        (
            lambda w, r: derive(
                "chebyshev4", w(2), OperatorRecord("interval", "x", r(8.0), r(0.5), grid=(w(3),))
            )
        ),
    ]
    for call in calls:
        expected, found = call(int, float), call(whole, real)
        found.save(tmp_path / "init.json")
        assert (tmp_path / "init.json").read_text() == expected.to_json()
        assert InitialCoefficients.load(tmp_path / "init.json") == expected


def test_options_that_are_numpys(tmp_path):
    A = np.diag(np.append(np.linspace(1.0, 2.0, 58), [500.0, 1e5]))
    start = derive("harmonic_ritz", np.int64(6), A, copies=np.bool_(False))
    assert start.provenance["options"] == {"copies": False}
    assert start.provenance["degree_asked"] == 6
    start.save(tmp_path / "init.json")


@pytest.mark.parametrize(("whole", "real"), NUMBERS.values(), ids=NUMBERS)
def test_descriptions_hold_plain_numbers(whole, real):
    for made, name, expected in (
        (Jacobi(real(0.5)), "omega", 0.5),
        (GaussSeidel(omega=real(1.5), backward=np.bool_(True)), "backward", True),
        (Polynomial("chebyshev", whole(3)), "degree", 3),
        (Polynomial("harmonic_ritz", 3, options={"copies": whole(1)}), "options", (("copies", 1),)),
        (mgtheory.Interval(real(0.5), whole(2)), "b", 2.0),
        (mgtheory.Interval(1, 2).scaled(real(0.5)), "a", 0.5),
        (OperatorRecord("interval", "x", real(8.0), axes=(whole(1),)), "axes", (1,)),
        (SmoothCoefficient(real(0.5)), "c", 0.5),
        (JumpCoefficient(whole(9)), "inside", 9.0),
        (Linear(real(0.5)), "parameters", (0.5,)),
        (mgtheory.ResidualPolynomial([5.0]).scaled(real(2.0)), "degree", 1),
        (poisson(whole(5)), "shape", (5,)),
    ):
        value = getattr(made, name)
        assert value == expected
        assert type(value) is type(expected)
        assert "numpy" not in repr(made).replace("numpy.", "")
        json.dumps(value)
    q = mgtheory.ResidualPolynomial([5.0])
    assert q.scaled(real(2.0)) == q.scaled(2.0)
    assert gamma(q, lmax=real(4.0)) == gamma(q, lmax=4.0)


def test_spellings_of_one_coefficient_are_one_equation():
    """The form of an equation with a varying coefficient is a text with its parameters."""
    one, other = (
        operator_record(poisson((7, 7), coefficient=JumpCoefficient(inside)))
        for inside in (1000, np.float32(1000.0))
    )
    assert one.form == other.form == "2D 5-point JumpCoefficient(inside=1000.0) harmonic"


def test_tensors_are_points_and_matrices():
    torch = pytest.importorskip("torch")
    points = torch.linspace(1, 3, 50, dtype=torch.float64)
    assert derive("minimax", 3, points) == derive("minimax", 3, points.numpy())
    matrix = torch.diag(points)
    assert derive("chebyshev4", 3, matrix) == derive("chebyshev4", 3, matrix.numpy())
    for wrong in (points.requires_grad_(), torch.diag(points)):
        with pytest.raises(ValueError, match=r"is a Tensor that is no array: .*detach"):
            derive("minimax", 3, wrong)
    assert derive("chebyshev4", 2, torch.tensor(8.0, requires_grad=True)).interval == (0.0, 8.0)


def test_a_spectrum_below_the_doubles_is_refused():
    with pytest.raises(ValueError, match="upper end is 1e-310, allowed are 1e-300 and more"):
        derive("chebyshev4", 3, 1e-310)
    assert derive("chebyshev4", 3, 1e-299).polynomial.roots.real.max() < 1e-299
