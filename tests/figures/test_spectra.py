"""Eigenvalues and roots in the plane; axes have names and units, legends name every group."""

import numpy as np
from matplotlib.contour import ContourSet

from figures import (
    draw_spectrum,
)
from figures.spectra import draw_root_strip, piled_up
from mgtheory.fourier import grid_frequencies, symbol
from mgtheory.polynomials.classical import chebyshev4
from mgtheory.problems.stencils import laplacian

from .drawn import legend_texts, line


def test_spectrum(ax):
    theta = grid_frequencies((8, 8))
    values = symbol(laplacian(2), theta)
    high = (np.abs(theta) >= np.pi / 2 - 1e-12).any(axis=-1)
    q = chebyshev4(3, lmax=8.0)
    assert (
        draw_spectrum(ax, values, high=high, roots={"theory": q.roots}, damping=("theory", q)) is ax
    )
    drawn = line(ax, "_high frequencies")
    np.testing.assert_array_equal(np.sort(drawn.get_xdata()), np.sort(values[high].real))
    np.testing.assert_array_equal(
        np.sort(line(ax, "_low frequencies").get_xdata()), np.sort(values[~high].real)
    )
    np.testing.assert_array_equal(line(ax, "roots, theory").get_xdata(), q.roots.real)
    assert sorted(legend_texts(ax)) == [
        "high frequencies",
        "low frequencies",
        "roots, theory",
        "|q| < 1, q theory",
    ]
    contours = [
        drawn for drawn in ax.collections if isinstance(drawn, ContourSet) and not drawn.filled
    ]
    borders = [path.vertices for drawn in contours for path in drawn.get_paths()]
    # between the points of the contour's grid
    np.testing.assert_allclose(np.abs(q(np.concatenate(borders) @ [1, 1j])), 1.0, atol=2e-3)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Re λ", "Im λ")
    assert ax.get_aspect() == 1.0
    low, top = ax.get_xlim()
    assert low < 0 < 8 < top


def test_spectra_in_units_of_their_radius_are_alike(ax):
    """The view holds the whole disc, wherever the eigenvalues lie in it, and the axes name the
    unit."""
    draw_spectrum(ax, np.array([1.0, 0.5 + 0.3j, 0.5 - 0.3j]), unit="b")
    assert ax.get_xlim() == ax.get_ylim() == (-1.15, 1.15)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Re λ / b", "Im λ / b")


def test_spectrum_shows_roots_that_are_far_away(ax):
    draw_spectrum(
        ax,
        np.array([1.0 + 1.0j, 1.0 - 1.0j]),
        roots={"learned": np.array([50.0, np.inf, 0.5, -40j, 40j])},
    )
    np.testing.assert_array_equal(line(ax, "roots, learned").get_xdata(), [0.5])
    edges = [one for one in ax.lines if one.get_label() == "_edge"]
    assert len(edges) == 4
    assert legend_texts(ax).count("towards a root out of view") == 1
    right = [one.get_xdata()[0] for one in edges[:2]]
    assert all(0.9 * ax.get_xlim()[1] < x < ax.get_xlim()[1] for x in right)
    assert edges[2].get_ydata()[0] < -1.0 < 1.0 < edges[3].get_ydata()[0]
    # of a flat panel as well
    ax.clear()
    draw_spectrum(ax, np.array([0.0, 1.0]), roots={"learned": np.array([0.5 + 40j])})
    (edge,) = (one for one in ax.lines if one.get_label() == "_edge")
    assert 0.9 * ax.get_ylim()[1] < edge.get_ydata()[0] < ax.get_ylim()[1]


def test_roots_that_pile_up_stand_apart_in_a_strip(ax):
    roots = {"theory": [0.5, 1.0], "learned": [0.52 + 0.01j, 40.0, np.inf]}
    assert piled_up(roots)
    assert not piled_up({"theory": [0.5], "learned": [0.6]})
    assert piled_up({"theory": [0.5], "start": [3.0], "learned": [3.01]})  # any two
    draw_root_strip(ax, roots)
    x, y = line(ax, "_strip learned").get_data()
    np.testing.assert_allclose(x, [0.52, 40.0])
    assert set(y) == {1}
    assert [text.get_text() for text in ax.get_yticklabels()] == ["theory", "learned"]
    assert ax.get_xlim()[1] > 40.0
