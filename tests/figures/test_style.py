"""The looks of curves, and legends."""

import numpy as np
from matplotlib.figure import Figure

from figures import (
    draw_factors,
    draw_spectrum,
)
from figures.style import ROLES, figure, look_of, looks, paper
from mgtheory.families import FAMILIES


def test_a_legend_on_ones_own_axes_stays_inside():
    """Nothing makes room for one above; in a figure of ours it stands there."""
    curves = {f"curve {k}": ([1, 2], [0.1, 0.2 + k]) for k in range(12)}
    own = Figure(figsize=(4, 3))
    axes = own.subplots()
    draw_factors(axes, curves, xlabel="x", ylabel="y")
    own.canvas.draw()
    inside, legend = axes.get_window_extent(), axes.get_legend().get_window_extent()
    assert inside.x0 <= legend.x0 < legend.x1 <= inside.x1
    with paper():
        _, ours = figure()
        draw_factors(ours[0, 0], curves, xlabel="x", ylabel="y")
        ours[0, 0].get_figure().canvas.draw()
    assert ours[0, 0].get_legend().get_window_extent().y0 >= ours[0, 0].get_window_extent().y1 - 1


def test_a_title_stands_above_the_legend_whenever_it_is_set():
    """Before the curves are drawn, after it, and of axes that are drawn on once more."""
    curves = {f"curve {k}": ([1, 2], [0.1, 0.2 + k]) for k in range(9)}
    with paper():
        made, axes = figure(1, 3, width=9.0)
        axes[0, 0].set_title("before")
        for ax in axes.flat:
            draw_factors(ax, curves, xlabel="x", ylabel="y")
        draw_factors(axes[0, 2], {"tenth": ([1, 2], [0.5, 0.6])}, xlabel="x", ylabel="y")
        for ax in axes[0, 1:]:
            ax.set_title("after")
        made.canvas.draw()
    for ax in axes.flat:
        title, legend = ax.title.get_window_extent(), ax.get_legend().get_window_extent()
        assert ax.get_window_extent().y1 - 1 <= legend.y0 < legend.y1 <= title.y0
        assert title.y1 <= made.bbox.y1
        assert len(ax.child_axes) == 1


def test_every_look_differs_in_all_three():
    looks = [look_of(name, 0) for name in FAMILIES]
    for part in ("colour", "marker"):
        assert len({getattr(look, part) for look in looks}) == len(FAMILIES)
    assert len({str(look.dashes) for look in looks}) == len(FAMILIES)
    luminance = [
        sum(w * int(look.colour[i : i + 2], 16) for w, i in ((0.299, 1), (0.587, 3), (0.114, 5)))
        for look in ROLES.values()
    ]
    assert np.diff(np.sort(luminance)).min() > 15  # of 255: the roles differ in grey


def test_the_tenth_curve_does_not_look_like_the_first():
    """Eighty-one runs differ, any nine in a row in all three properties; a name changes nothing."""
    found = [*looks(f"run {k}" for k in range(81)).values()]
    assert len({str(one) for one in found}) == 81
    for first in range(0, 81, 9):
        for part in ("colour", "dashes", "marker"):
            assert len({str(getattr(one, part)) for one in found[first : first + 9]}) == 9
    mixed = looks(["learned", *(f"run {k}" for k in range(30)), "chebyshev"])
    assert len({str(one) for one in mixed.values()}) == 32
    assert mixed["learned"] == ROLES["learned"]


def test_a_legend_keeps_off_the_factor_of_an_axis():
    """Eigenvalues in h^-2 have a 1e6 above their axis, where the legend would begin."""
    with paper():
        made, axes = figure()
        draw_spectrum(axes[0, 0], 2e6 * np.exp(2j * np.pi * np.arange(8) / 8))
        made.canvas.draw()
        factor = axes[0, 0].yaxis.get_offset_text()
        assert factor.get_text()
        legend = axes[0, 0].get_legend().get_window_extent()
        assert legend.y0 >= factor.get_window_extent().y1
        assert legend.y1 <= made.bbox.y1
