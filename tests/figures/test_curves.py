"""Curves of training and solving are what was measured; axes have names and units."""

import warnings

import numpy as np
import pytest

from figures import (
    draw_convergence,
    draw_factors,
    draw_time_per_unknown,
    draw_training,
)
from figures.curves import plain_labels

from .drawn import legend_texts, line


def test_training(ax):
    runs = {"q2 theory": [[0.5, 0.7, 0.9], [0.6, 0.8, 0.8]], "q2 xavier": [[0.1, 0.2]]}
    assert draw_training(ax, runs, ylabel="validation accuracy (%)", factor=100.0) is ax
    epochs, mean = line(ax, "q2 theory (mean and range of 2 runs)").get_data()
    np.testing.assert_array_equal(epochs, [1, 2, 3])
    np.testing.assert_allclose(mean, [55.0, 75.0, 85.0])
    (band,) = ax.collections
    low, high = band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()
    assert (low, high) == pytest.approx((50.0, 90.0))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "validation accuracy (%)")
    assert legend_texts(ax) == ["q2 theory (mean and range of 2 runs)", "q2 xavier"]


def test_convergence(ax):
    histories = {"chebyshev": [8.0, 0.2, 0.5], "richardson": [4.0, 2.0, 9.0, 4.5]}
    assert draw_convergence(ax, histories) is ax
    x, y = line(ax, "chebyshev").get_data()
    np.testing.assert_array_equal(x, [0, 1, 2])
    np.testing.assert_allclose(y, [1.0, 0.025, 0.0625])
    assert ax.get_yscale() == "log"
    assert "‖b − Ax‖₂" in ax.get_ylabel()
    assert ax.get_xlabel() == "cycles"
    assert legend_texts(ax) == ["chebyshev", "richardson, diverged"]


def test_convergence_against_work(ax):
    draw_convergence(ax, {"a": [1.0, 0.1, 0.01]}, work={"a": 7.0})
    np.testing.assert_array_equal(line(ax, "a").get_xdata(), [0, 7, 14])
    assert "products with A" in ax.get_xlabel()


def test_convergence_with_a_tolerance(ax):
    """A line where runs may stop, steps by their name, and no point for a residual that is exactly
    0."""
    draw_convergence(ax, {"a": [2.0, 0.2, 0.0]}, tolerance=1e-3, steps="steps of cg")
    np.testing.assert_array_equal(line(ax, "a").get_ydata(), [1.0, 0.1, np.nan])
    assert set(line(ax, "tolerance").get_ydata()) == {1e-3}
    assert ax.get_xlabel() == "steps of cg"
    assert ax.get_ylim()[0] > 0


def test_convergence_refuses_what_has_no_scale(ax):
    with pytest.raises(ValueError, match="residual norm > 0"):
        draw_convergence(ax, {"a": [0.0, 1.0]})


def test_factors(ax):
    assert (
        draw_factors(
            ax,
            {"chebyshev": ([1, 2], [0.6, 0.2]), "xavier": ([1, 2], [3.0, 4.0])},
            xlabel="degree",
            ylabel="µ",
        )
        is ax
    )
    np.testing.assert_array_equal(line(ax, "chebyshev").get_ydata(), [0.6, 0.2])
    assert any(np.allclose(one.get_ydata(), 1.0) for one in ax.lines)  # the border of convergence
    assert legend_texts(ax) == ["chebyshev", "xavier"]


def test_time_per_unknown(ax):
    assert draw_time_per_unknown(ax, {"ours": ([1e4, 1e6], [1e-4, 5e-3])}) is ax
    np.testing.assert_allclose(line(ax, "ours").get_ydata(), [10.0, 5.0])
    assert "(ns)" in ax.get_ylabel()
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_time_per_unknown(ax.get_figure().add_subplot(), {})  # nothing is divided by 0


@pytest.mark.parametrize("low", [0.51, 0.99, 1.01, 2.01, 5.1])
@pytest.mark.parametrize("ratio", [1.3, 2.0, 5.0, 30.0, 99.0])
def test_a_logarithmic_axis_has_two_numbers_or_more(ax, low, ratio):
    ax.set_yscale("log")
    ax.set_ylim(low, ratio * low)
    plain_labels(ax)
    ax.get_figure().canvas.draw()
    at = ax.yaxis.get_majorticklocs()
    shown = [text.get_text() for text in ax.yaxis.get_majorticklabels()]
    inside = [(y, text) for y, text in zip(at, shown) if low <= y <= ratio * low]
    assert 2 <= len(inside) <= 7
    assert all(float(text) == pytest.approx(y) for y, text in inside)


def test_a_history_beyond_an_axis_is_seen_as_far_as_that_goes(ax):
    """Of a solver of your own that did not stop: a number near 10^308 left an axis to 10."""
    draw_convergence(ax, {"mine": [1.0, 1e3, 1e300], "small": [1e-300, 1e10]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax.figure.canvas.draw()
    np.testing.assert_array_equal(line(ax, "mine, diverged").get_ydata(), [1.0, 1e3, np.nan])
    assert ax.get_ylim()[0] < 1.0
    assert 1e3 < ax.get_ylim()[1] < 1e5
