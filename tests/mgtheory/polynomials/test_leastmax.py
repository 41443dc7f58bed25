"""The smallest maximum against minimax problems whose solutions are published or known in closed
form."""

import numpy as np
import pytest
from scipy.special import lambertw

from mgtheory.polynomials.leastmax import minimise_maximum


# Charalambous, Bandler 1976: 1.9522245 at (1.1390, 0.8996); two functions active, so curvature
# decides
def cb2(z):
    x, y = z
    e = 2 * np.exp(y - x)
    return np.array([x**2 + y**4, (2 - x) ** 2 + (2 - y) ** 2, e]), np.array(
        [[2 * x, 4 * y**3], [2 * x - 4, 2 * y - 4], [-e, e]]
    )


def cb3(z):  # the same: 2 at (1, 1); three functions active
    x, y = z
    e = 2 * np.exp(y - x)
    return np.array([x**4 + y**2, (2 - x) ** 2 + (2 - y) ** 2, e]), np.array(
        [[4 * x**3, 2 * y], [2 * x - 4, 2 * y - 4], [-e, e]]
    )


# Rosen, Suzuki as a minimax problem: -44 at (0, 1, 2, -1); here with 100 added
def rosen_suzuki(x):
    a, b, c, d = x
    f = a**2 + b**2 + 2 * c**2 + d**2 - 5 * a - 5 * b - 21 * c + 7 * d
    slope = np.array([2 * a - 5, 2 * b - 5, 4 * c - 21, 2 * d + 7])
    g = [
        a**2 + b**2 + c**2 + d**2 + a - b + c - d - 8,
        a**2 + 2 * b**2 + c**2 + 2 * d**2 - a - d - 10,
        2 * a**2 + b**2 + c**2 + 2 * a - b - d - 5,
    ]
    slopes = [
        [2 * a + 1, 2 * b - 1, 2 * c + 1, 2 * d - 1],
        [2 * a - 1, 4 * b, 2 * c, 4 * d - 1],
        [4 * a + 2, 2 * b - 1, 2 * c, -1.0],
    ]
    values = np.array([f, *(f + 10 * value for value in g)]) + 100
    return values, np.array([slope, *(slope + 10 * np.array(row) for row in slopes)])


PUBLISHED = {
    "CB2": (cb2, [1.0, -0.1], 1.9522245, [1.1390, 0.8996]),
    "CB3": (cb3, [1.0, -0.1], 2.0, [1.0, 1.0]),
    "Rosen-Suzuki": (rosen_suzuki, np.zeros(4), 56.0, [0.0, 1.0, 2.0, -1.0]),
}


@pytest.mark.parametrize(("pieces", "start", "value", "x"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_minima(pieces, start, value, x):
    found = minimise_maximum(pieces, np.array(start))
    assert found.converged
    assert found.iterations < 30
    assert found.value == pytest.approx(value, abs=1e-6)  # to the printed digits
    np.testing.assert_allclose(found.x, x, atol=2e-3)
    assert found.value == pieces(found.x)[0].max()


def test_best_line_for_the_exponential():
    """Best linear approximation of exp on [-1, 1]: the slope is (e - 1/e)/2, the error in closed
    form (Chebyshev)."""
    t = np.linspace(-1, 1, 4001)
    basis = np.stack([np.ones_like(t), t], axis=1)

    def pieces(c):
        rest = basis @ c - np.exp(t)
        return np.abs(rest), np.sign(rest)[:, None] * basis

    found = minimise_maximum(pieces, np.zeros(2))
    m = np.sinh(1)
    assert found.x[1] == pytest.approx(m, abs=1e-6)
    assert found.value == pytest.approx(0.5 * (np.exp(1) - m - (m - m * np.log(m))), abs=1e-6)
    assert found.converged


def test_no_step_can_be_taken_from_a_minimum():
    found = minimise_maximum(cb3, np.ones(2))
    assert (found.iterations, found.converged, found.value) == (0, True, 2.0)


def test_the_maximum_never_rises():
    """Every step that is taken lowers it, by more than the share of the prediction that is asked
    for."""
    for pieces, start in ((cb2, [3.0, 3.0]), (rosen_suzuki, [0.0, 3.0, -2.0, 4.0])):
        values = [
            minimise_maximum(pieces, np.array(start), iterations=n).value for n in range(1, 12)
        ]
        assert values == sorted(values, reverse=True)
        assert values[0] < pieces(np.array(start))[0].max()


def test_goal_and_iterations_end_the_search():
    def pieces(x):  # |x| to a power: the minimum is 0, where relative decrease never ends
        return np.abs(x) ** 1.5, np.diag(1.5 * np.sign(x) * np.abs(x) ** 0.5)

    reached = minimise_maximum(pieces, np.array([1.0, -2.0]), goal=1e-4)
    assert reached.converged
    assert reached.value <= 1e-4
    # it went no farther than asked
    assert minimise_maximum(pieces, np.array([1.0, -2.0]), goal=0.5).value > 10 * reached.value
    assert minimise_maximum(pieces, np.zeros(2)).iterations == 0
    early = minimise_maximum(cb2, np.array([3.0, 3.0]), iterations=1)
    assert (early.iterations, early.converged) == (1, False)
    assert early.value < cb2([3.0, 3.0])[0].max()


def test_steps_out_of_the_domain_are_shortened():
    def pieces(x):  # x - log x: the minimum 1 at 1, not finite for x <= 0
        with np.errstate(invalid="ignore", divide="ignore"):
            return x - np.log(x), (1 - 1 / x)[:, None]

    found = minimise_maximum(pieces, np.array([5.0]))
    assert found.x[0] == pytest.approx(1.0, abs=1e-3)
    assert found.value == pytest.approx(1.0, abs=1e-7)


def test_a_kink_with_curvature():
    """max(exp(-x), x) is least where x = exp(-x), the omega constant W(1)."""

    def pieces(x):
        return np.array([np.exp(-x[0]), x[0]]), np.array([[-np.exp(-x[0])], [1.0]])

    assert minimise_maximum(pieces, np.array([4.0])).value == pytest.approx(
        float(lambertw(1).real), rel=1e-9
    )


def test_the_start_is_not_changed():
    start = np.array([1.0, -0.1])
    minimise_maximum(cb2, start)
    np.testing.assert_array_equal(start, [1.0, -0.1])
