"""The recurrences against the polynomials they stand for, and the textbook's form."""

import numpy as np
import pytest
from scipy.special import eval_chebyt

from mgtheory.polynomials.recurrence import (
    Recurrence,
    first_kind_recurrence,
    fourth_kind_recurrence,
)


def q(recurrence, t):
    return 1 - t * recurrence.correction(lambda z: t * z, lambda s: s, np.ones_like(t))


@pytest.mark.parametrize("k", [1, 2, 3, 16, 64])
def test_first_kind(k):
    t = np.linspace(2, 8, 101)
    expected = eval_chebyt(k, (10 - 2 * t) / 6) / eval_chebyt(k, 10 / 6)
    np.testing.assert_allclose(
        q(first_kind_recurrence(k, interval=(2.0, 8.0)), t), expected, rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("k", [1, 2, 3, 16, 64])
def test_fourth_kind(k):
    theta = np.linspace(0.05, np.pi, 101)
    # W_k = sin((k + 1/2) theta)/sin(theta/2)
    expected = np.sin((k + 0.5) * theta) / np.sin(0.5 * theta) / (2 * k + 1)
    t = 5 * np.sin(0.5 * theta) ** 2
    np.testing.assert_allclose(
        q(fourth_kind_recurrence(np.ones(k), lmax=5.0), t), expected, rtol=0, atol=1e-13
    )


def test_weights_choose_among_the_residuals():
    """x = sum_i beta_i z_i: with beta = (1, 0) the second step is not taken."""
    t = np.linspace(0, 1, 9)
    one, two = fourth_kind_recurrence([1.0], lmax=1.0), fourth_kind_recurrence([1.0, 0.0], lmax=1.0)
    np.testing.assert_allclose(q(two, t), q(one, t), atol=1e-15)


@pytest.mark.parametrize("factor", [4.0, -1.0])
def test_scaling_and_mirroring(factor):
    t, recurrence = np.linspace(1, 3, 11), first_kind_recurrence(3, interval=(1.0, 3.0))
    np.testing.assert_allclose(
        q(recurrence.scaled(factor), factor * t), q(recurrence, t), atol=1e-14
    )


def test_products_are_one_less_than_the_degree():
    calls = []
    fourth_kind_recurrence(np.ones(5), lmax=1.0).correction(
        lambda z: calls.append(1) or z, lambda s: s, np.ones(3)
    )
    assert len(calls) == 4


def test_what_is_refused():
    with pytest.raises(ValueError, match="lengths 1, 2 and 1"):
        Recurrence((1.0,), (1.0, 2.0), (1.0,))
    with pytest.raises(ValueError, match=r"recurrence: b has entries .* entry 0, .* is nan"):
        Recurrence((1.0,), (np.nan,), (1.0,))
    with pytest.raises(ValueError, match=r"recurrence: b has shape \(1, 1\), must be one-dim"):
        Recurrence((1.0,), ((1.0,),), (1.0,))
