"""Files of initial coefficients: exact both ways; damaged and edited ones are refused."""

import json
import pickle

import numpy as np
import pytest

from mgtheory import InitialCoefficients, ResidualPolynomial, derive
from mgtheory.families import FAMILIES
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.record import operator_record
from mgtheory.spectra.record import OperatorRecord


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


def test_a_flipped_sign_in_the_file_is_not_the_same_polynomial(tmp_path):
    start = derive("chebyshev", 2, (2.0, 8.0))
    data = start.to_dict()
    data["polynomial"] = {"roots": [[-z.real, z.imag] for z in start.roots.tolist()]}
    with pytest.raises(ValueError, match="'weights' is not that of the polynomial"):
        InitialCoefficients.from_dict(data)


def test_what_stands_twice_in_a_file_must_agree():
    """To the nine digits that another program may leave."""
    data = derive("chebyshev", 2, (2.0, 8.0)).to_dict()
    with pytest.raises(ValueError, match="damaged: degree 3 with 2 roots"):
        InitialCoefficients.from_dict(data | {"degree": 3})
    for key in ("weights", "interval"):
        rounded = (np.array(data[key]) * (1 + 1e-10)).tolist()
        assert InitialCoefficients.from_dict(data | {key: rounded}).degree == 2
        other = (np.array(data[key]) * (1 + 1e-8)).tolist()
        with pytest.raises(ValueError, match=f"damaged: '{key}' is not that"):
            InitialCoefficients.from_dict(data | {key: other})


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


@pytest.mark.parametrize(
    ("interval", "problem", "said"),
    [
        ([1.0], {}, "damaged: not enough values"),
        (["a", 2.0], {}, "damaged: could not convert string to float: 'a'"),
        ([1.0, 2.0], {"name": "poisson2d"}, "damaged: 'shape' is missing"),
    ],
)
def test_a_damaged_file_of_schema_1_is_called_so(interval, problem, said):
    data = derive("chebyshev", 3, (1.0, 2.0)).to_dict() | {"schema": 1, "interval": interval}
    data["provenance"]["source"] = {"problem": problem}
    with pytest.raises(ValueError, match=f"initial coefficients are {said}"):
        InitialCoefficients.from_dict(data)
    with pytest.raises(ValueError, match="kind is 'start', must be 'initial_coefficients'"):
        InitialCoefficients.from_dict(data | {"kind": "start"})


def test_a_file_of_schema_1_was_made_for_all_axes():
    problem = create("anisotropic2d", n=31)
    data = derive("chebyshev", 3, problem, axes="all").to_dict() | {"schema": 1}
    del data["operator"]
    named = {"name": "anisotropic2d", "shape": [31, 31], "boundary": "dirichlet"}
    data["provenance"]["source"] = {"problem": named}
    read = InitialCoefficients.from_dict(data)
    assert read.operator.axes == (0, 1)
    with pytest.raises(ValueError, match=r"made with axes \(0, 1\) coarsened"):
        read.on(problem)
    inner = InitialCoefficients.from_dict(data | {"interval": [100.0, 4000.0]})
    assert inner.interval == (100.0, 4000.0)  # the file's, on which the polynomial was made


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
