"""Numbers of numpy and torch: taken wherever a number is, kept as plain ones."""

import json
from fractions import Fraction

import numpy as np
import pytest
import sympy

import mgtheory
from mgtheory import InitialCoefficients, derive
from mgtheory.polynomials.factors import Linear
from mgtheory.polynomials.scores import gamma
from mgtheory.problems.catalogue import create, poisson
from mgtheory.problems.manufactured import JumpCoefficient, SmoothCoefficient
from mgtheory.problems.record import operator_record
from mgtheory.smoothers import GaussSeidel, Jacobi, Polynomial
from mgtheory.spectra.record import OperatorRecord


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


def test_fractions_are_points_roots_and_entries():
    """Of Python and of sympy, as their scalars are; other objects are refused as before."""
    thirds = [Fraction(n, 3) for n in range(1, 40)]
    floats = [n / 3 for n in range(1, 40)]
    for points in (thirds, [sympy.Rational(n, 3) for n in range(1, 40)]):
        assert derive("minimax", 3, points) == derive("minimax", 3, floats)
    assert mgtheory.ResidualPolynomial(thirds[:4]) == mgtheory.ResidualPolynomial(floats[:4])
    with pytest.raises(ValueError, match="is a list, must be numbers"):
        derive("minimax", 3, [Fraction(1, 2), None])
    with pytest.raises(ValueError, match="int too large to convert to float"):
        derive("minimax", 3, [10**400, 2, 1])
