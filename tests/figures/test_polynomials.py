"""Polynomials as drawn are the theory's numbers; axes have units, legends name every curve."""

import itertools

import numpy as np
import pytest

from figures import (
    draw_polynomials,
    draw_spectrum,
)
from figures.polynomials import linear_then_logarithmic
from figures.style import ROLES, figure, paper
from mgtheory import (
    ResidualPolynomial,
)
from mgtheory.polynomials.classical import chebyshev, chebyshev4

from .drawn import legend_texts, line


def test_polynomials(ax):
    curves = {"theory": chebyshev4(2, lmax=1.0), "learned": chebyshev(2, interval=(0.25, 1.0))}
    assert draw_polynomials(ax, curves, high=(0.25, 1.0)) is ax
    for label, q in curves.items():
        t, values = line(ax, label).get_data()
        np.testing.assert_array_equal(values, q(t))
        assert (t[0], t[-1], values[0]) == (0.0, 1.0, 1.0)
    assert legend_texts(ax) == ["high frequencies", "theory", "learned"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("t / b", "residual polynomial q")
    assert ax.get_yscale() == "linear"
    assert line(ax, "theory").get_color() == ROLES["theory"].colour


def test_polynomials_on_a_complex_spectrum(ax):
    q, values = ResidualPolynomial([-0.5]), np.array([0.5 + 0.5j, -1.0, 0.25])
    draw_polynomials(ax, {"learned": q}, eigenvalues=values)
    x, y = line(ax, "_points").get_data()
    np.testing.assert_allclose(x, np.abs(values))
    np.testing.assert_allclose(y, np.abs(1 + 2 * values))
    assert ax.get_yscale() == "asinh"  # |q| reaches 3
    assert "|q(λ)| on the spectrum of A, q learned" in legend_texts(ax)


def test_points_are_of_the_polynomial_that_is_named(ax):
    """Not of the last; of very many eigenvalues the largest is drawn too."""
    values = np.random.default_rng(0).permutation(np.linspace(0.0, 1.0, 9001))
    curves = {"start": ResidualPolynomial([0.5]), "learned": ResidualPolynomial([0.25])}
    draw_polynomials(ax, curves, eigenvalues=values, spectrum_of="start")
    x, y = line(ax, "_points").get_data()
    assert len(x) < len(values)
    assert (x.min(), x.max()) == (0.0, 1.0)
    np.testing.assert_allclose(y, np.abs(1 - 2 * x), atol=1e-12)


def test_the_largest_eigenvalues_alone_are_called_so(ax):
    """The light curve is max |q| on |z| = t, 1 + 2 t of 1 + 2 z; no point is above it."""
    q, values = ResidualPolynomial([-0.5]), np.array([0.6 + 0.8j, 0.6 - 0.8j])
    draw_polynomials(ax, {"learned": q}, eigenvalues=values, disc=True)
    t, most = line(ax, "the others at most: max |q| on |λ| = t").get_data()
    np.testing.assert_allclose(most, 1 + 2 * t)
    assert "|q(λ)| at the largest eigenvalues only, q learned" in legend_texts(ax)
    for own, size in ((values, 1.0), (np.array([1.5 + 0j, -1.0]), None)):
        ax.clear()
        draw_spectrum(ax, np.array([0.5 + 0.5j]), applied=own, largest_only=True, unit="b")
        assert "as applied, largest eigenvalues only" in legend_texts(ax)
        z = np.asarray(line(ax, "the others: within").get_xydata()) @ [1, 1j]
        if size is None:  # real ones: the interval
            np.testing.assert_allclose(z, [-1.0, 1.5])
        else:
            np.testing.assert_allclose(np.abs(z), size)
    ax.clear()
    draw_spectrum(ax, np.array([0.5 + 0.5j]), applied=values)
    assert "eigenvalues as applied" in legend_texts(ax)
    assert "the others: within" not in legend_texts(ax)


def test_axis_that_is_linear_then_logarithmic_says_so(ax):
    draw_polynomials(ax, {"q": ResidualPolynomial([0.1])})  # reaches -9
    assert "linear to ±1, logarithmic beyond" in ax.get_ylabel()
    ax.get_figure().canvas.draw()
    assert {2.0, 5.0, -9.0} <= set(ax.yaxis.get_minorticklocs())
    named = {text.get_text() for text in ax.yaxis.get_minorticklabels()}
    assert {"−2", "−5"} <= named
    assert "−3" not in named


def test_both_lines_of_that_axis_have_their_numbers(ax):
    """A curve above 0 alone: the line at -1 is drawn, and so has a number; and the largest point,
    a dot, is not cut at the edge of the panel."""
    draw_polynomials(ax, {"q": ResidualPolynomial([2.0])}, eigenvalues=[-30.0], interval=(0, 1))
    low, high = ax.get_ylim()
    edge, point = ax.transAxes.inverted().transform(ax.transData.transform([[0, high], [0, 16]]))
    assert edge[1] - point[1] > 0.03
    drawn = {float(line.get_ydata()[0]) for line in ax.lines if len(set(line.get_ydata())) == 1}
    assert {-1.0, 1.0} <= drawn
    assert {-1.0, 0.0, 1.0} <= {y for y in ax.yaxis.get_majorticklocs() if low <= y <= high}


@pytest.mark.parametrize("reach", [2.5, 30.0, 90.0, 1e3, 2e5, 1e9, 1e26])
@pytest.mark.parametrize("below", [1.0, 1e3, 1e26])
def test_its_numbers_do_not_lie_on_one_another(reach, below):
    """In panels as low as those of runs; 0 and a power of ten or more are among them."""
    with paper():
        made, axes = figure(height=2.3)
        axes[0, 0].plot([0.0, 1.0], [reach, -min(below, reach)])
        linear_then_logarithmic(axes[0, 0])
        made.draw_without_rendering()
        low, high = axes[0, 0].get_ylim()
        shown = [
            (y, text.get_window_extent())
            for y, text in zip(axes[0, 0].get_yticks(), axes[0, 0].get_yticklabels())
            if low <= y <= high
        ]
    assert {0.0} < {y for y, _ in shown}
    boxes = [box for _, box in shown]
    assert all(one.y1 <= other.y0 for one, other in itertools.pairwise(boxes))
