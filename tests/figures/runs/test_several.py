"""Several runs and their levels side by side."""

import numpy as np
import pytest

from analysis.stats import fraction_interval
from figures import (
    draw_accuracies,
    draw_level_factors,
)
from figures.runs.several import draw_compared
from mgtheory import (
    ResidualPolynomial,
)

from ..drawn import legend_texts, line


def test_accuracies(ax):
    groups, images = {"theory": [0.98, 0.99, 1.0], "xavier": [0.5]}, {"theory": 300}
    assert draw_accuracies(ax, groups, images=images, floors={"floor": 0.9}) is ax
    np.testing.assert_allclose(line(ax, "_theory").get_xdata(), [98.0, 99.0, 100.0])
    reach = 4.302652729911275 / np.sqrt(3)  # t_2 at 97.5 %, standard deviation 1
    # cut at 100 %
    np.testing.assert_allclose(
        line(ax, "95 % interval of the mean over the seeds").get_xdata(), [99 - reach, 100.0]
    )
    band, floor = ax.patches  # none where the number of images is not known
    np.testing.assert_allclose(
        [floor.get_x(), floor.get_x() + floor.get_width()],
        100 * np.array(fraction_interval(0.9, 300)),
    )
    np.testing.assert_allclose(
        [band.get_x(), band.get_x() + band.get_width()],
        100 * np.array(fraction_interval(0.99, 300)),
    )
    assert ax.get_xlim()[0] < band.get_x()
    assert set(line(ax, "floor").get_xdata()) == {90.0}
    assert set(legend_texts(ax)) == {
        "95 % interval by the number of images",
        "95 % interval of the mean over the seeds",
        "floor",
    }
    assert [text.get_text() for text in ax.get_yticklabels()] == ["theory", "xavier"]
    assert "(%)" in ax.get_xlabel()


def test_level_factors(ax):
    assert draw_level_factors(ax, {"start": [0.3, 0.4], "learned": [5.0, None]}) is ax
    np.testing.assert_array_equal(line(ax, "start").get_ydata(), [0.3, 0.4])
    assert np.isnan(line(ax, "learned").get_ydata()[1])
    assert ax.get_yscale() == "log"
    assert legend_texts(ax) == ["start", "learned", "µ = 1: smooths below"]
    assert set(line(ax, "µ = 1: smooths below").get_ydata()) == {1.0}


def test_compared_polynomials(ax):
    """Of two seeds the mean of |q|, and nothing below the smallest that is drawn."""
    draw_compared(ax, {"a": [ResidualPolynomial([0.5]), ResidualPolynomial([0.25])]})
    t, values = line(ax, "a").get_data()
    expected = (np.abs(1 - 2 * t) + np.abs(1 - 4 * t)) / 2
    np.testing.assert_allclose(values[t > 0.75], expected[t > 0.75])
    assert values.min() >= 1e-3
    assert (ax.get_xlabel(), ax.get_yscale()) == ("t / b", "log")
    assert len(ax.collections) == 1


@pytest.mark.parametrize("roots", [[0.3111], [0.1234, 0.8765], [0.7, 1.5]])
def test_compared_curves_fall_to_the_floor_at_each_root(ax, roots):
    """As q does, wherever the roots lie between the points of a grid."""
    draw_compared(ax, {"a": [ResidualPolynomial(roots)]})
    t, size = ax.lines[0].get_data()
    for root in (root for root in roots if root <= 1.0):
        assert size[np.argmin(np.abs(t - root))] == 1e-3
    np.testing.assert_array_less(0.0, np.diff(t))


def test_factors_within_two_powers_of_ten_have_plain_numbers(ax):
    draw_level_factors(ax, {"learned": [0.5, 4.0]})
    ax.figure.canvas.draw()
    assert {"0.5", "1", "2"} <= {text.get_text() for text in ax.get_yticklabels()}
    assert {text.get_text() for text in ax.get_yticklabels(minor=True)} <= {""}
