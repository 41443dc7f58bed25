"""Shared checks: what they give back, and one line for whatever they refuse."""

import numpy as np
import pytest
import scipy.sparse as sp

from mgtheory._checks import (
    check_array,
    check_axes,
    check_callable,
    check_finite,
    check_generator,
    check_kind,
    check_name,
    check_number,
    check_shape,
    check_vector,
    check_whole,
    named_values,
    on_grid,
)


def test_values_come_back():
    assert check_whole(np.int64(3), "n", 3) == 3
    assert type(check_whole(np.int64(3), "n", 0)) is int
    assert check_number(np.float32(0.5), "tol") == 0.5
    assert check_number(0, "tol") == 0.0
    assert check_number(-2, "c", "of any sign") == -2.0
    assert check_name("b", ("a", "b"), "letter") == "b"
    assert check_axes(np.array([1, 0, 1]), 2) == (0, 1)
    check_callable(None, "callback")
    check_callable(len, "callback")


def test_arrays_shapes_and_objects_come_back():
    assert check_array([1, 2], "z").dtype == np.float64
    assert check_array([1, 2j], "z").dtype == np.complex128
    given = np.ones(3)
    assert np.shares_memory(check_array(given, "z"), given)
    assert np.isnan(check_array(np.nan, "z"))
    assert check_shape(4, "shape", 3) == (4, 4, 4)
    assert check_shape(np.array([4, 5]), "shape") == (4, 5)
    assert check_kind("a", str, "name", "a name") == "a"
    assert (
        check_generator(np.random.default_rng(0), "rng").random()
        == np.random.default_rng(0).random()
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: check_array([[1, 2], [3]], "z"),
            "z has rows of different lengths, must be an array of numbers",
        ),
        (lambda: check_array(None, "z"), "z is a NoneType, must be numbers"),
        (lambda: check_array(np.array(["a"]), "z"), "z is type <U1, must be numbers"),
        (lambda: check_array([1j], "z", real=True), "z is a list, must be real numbers"),
        (
            lambda: check_shape((4, 2.5), "shape", 2),
            r"shape is \(4, 2.5\), must be positive integers, one for 2 axes",
        ),
        (lambda: check_shape((4, 4), "shape", 3), "one for 3 axes"),
        (lambda: check_shape("44", "shape"), "one for each axis"),
        (lambda: check_kind(3, str, "name", "a name"), "name is an int, must be a name"),
        (lambda: check_generator(3, "rng"), "rng is an int, must be a numpy Generator"),
    ],
)
def test_arrays_shapes_and_objects_that_are_refused(call, message):
    with pytest.raises(ValueError, match=f"^{message}" if message[0] != "o" else message):
        call()


def test_vectors():
    given = np.arange(3)
    vector = check_vector(given, 3, np.float64, "b")
    assert vector.dtype == np.float64
    assert check_vector(np.ones((3, 1), np.float32), 3, np.float32, "b").shape == (3,)
    assert check_vector(np.ones(3), 3, np.complex64, "b").dtype == np.complex128
    same = np.ones(3)
    assert not np.shares_memory(check_vector(same, 3, np.float64, "b"), same)
    assert np.shares_memory(check_vector(same, 3, np.float64, "b", finite=False), same)
    assert np.isnan(check_vector([np.nan], 1, np.float64, "b", finite=False)).all()


def test_functions_on_a_grid():
    x, y = np.arange(3.0)[:, None], np.arange(2.0)[None]
    np.testing.assert_array_equal(
        on_grid(lambda x, y: x, (x, y), (3, 2), "k"), np.broadcast_to(x, (3, 2))
    )
    np.testing.assert_array_equal(
        on_grid(lambda x, y: 7, (x, y), (3, 2), "k"), np.full((3, 2), 7.0)
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: check_vector(np.ones((4, 2)), 4, float, "b"),
            r"b has shape \(4, 2\), must be \(4,\); give one column at a time",
        ),
        (lambda: check_whole(2, "n", 3), "n is 2, must be a whole number from 3 on"),
        (lambda: check_whole(2.0, "n", 0), "n is 2.0"),
        (lambda: check_whole(True, "n", 0), "n is True"),
        (lambda: check_number(-1.0, "tol"), "tol is -1.0, must be a number from 0 on"),
        (lambda: check_number(0, "h", "larger than 0"), "h is 0, must be a number larger than 0"),
        (
            lambda: check_number(np.nan, "c", "of any sign"),
            "c is nan, must be a number of any sign",
        ),
        (lambda: check_number(np.inf, "tol"), "tol is inf"),
        (lambda: check_number(1j, "tol"), "tol is 1j"),
        (lambda: check_number(True, "tol"), "tol is True"),
        (lambda: check_number("1", "tol"), "tol is '1'"),
        (
            lambda: check_name(["a"], ("a", "b"), "letter"),
            r"unknown letter \['a'\], known are: a, b",
        ),
        (lambda: check_axes([], 2), r"axes are \[\], allowed are: numbers from 0 to 1"),
        (lambda: check_axes([2], 2, names="all, or "), "allowed are: all, or numbers from 0 to 1"),
        (lambda: check_axes([-1], 2), "axes are"),
        (lambda: check_axes([0.0], 2), "axes are"),
        (lambda: check_axes("01", 2), "axes are '01'"),
        (lambda: check_axes(1, 2), "axes are 1"),
        (lambda: check_callable(3, "loads"), "loads is 3, must be callable"),
        (lambda: check_vector(np.ones(2), 3, float, "b"), r"b has shape \(2,\), must be \(3,\)"),
        (lambda: check_vector(np.ones((1, 3)), 3, float, "b"), r"b has shape \(1, 3\)"),
        (lambda: check_vector(["a"], 1, float, "b"), "must be real or complex floating"),
        (lambda: check_vector([None], 1, float, "b"), "b has type object"),
        (
            lambda: check_vector(np.ones(1, np.longdouble), 1, float, "b"),
            "must be real or complex floating",
        ),
        (
            lambda: check_vector([0.0, np.inf], 2, float, "b"),
            "b has entries that are infinite or not a number: entry 1, counted from 0, is inf",
        ),
        (lambda: check_finite(np.array([[1.0, 2.0], [np.nan, 3.0]]), "A"), r"entry \(1, 0\)"),
        (lambda: check_finite(sp.csr_array([[1, 0], [0, np.nan]]), "A"), r"entry \(1, 1\), .* nan"),
        (lambda: check_finite(sp.csc_array([[1, np.inf], [0, 2]]), "A"), r"entry \(0, 1\), .* inf"),
        (lambda: check_finite(np.array(np.nan), "x"), "it, counted from 0, is nan"),
        (lambda: check_number(2.0, "x", most=1.0), "x is 2.0, must be a number from 0 on, of mod"),
        (lambda: check_number(-2.0, "x", "of any sign", most=1.0), "of modulus up to 1"),
        (lambda: named_values("a=1,a=2", "text"), "text: a stands there twice; give it once"),
        (lambda: named_values("a", "text"), "text: 'a' is not key=value"),
        (lambda: named_values("a=1,", "text"), "text: '' is not key=value"),
        (
            lambda: on_grid(lambda x: 1j * x, [np.ones(3)], (3,), "k"),
            "k gives values of type complex128, must be real",
        ),
        (
            lambda: on_grid(lambda x: np.ones(2), [np.ones(3)], (3,), "k"),
            r"k gives values of shape \(2,\) on a grid of shape \(3,\)",
        ),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
