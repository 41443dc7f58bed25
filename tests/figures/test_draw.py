"""What is drawn is the data: curves equal the theory's numbers, axes have names and units, legends
name every curve."""

import itertools

import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from analysis.stats import fraction_interval
from figures import (
    draw_accuracies,
    draw_convergence,
    draw_damping,
    draw_factors,
    draw_level_factors,
    draw_polynomials,
    draw_spectrum,
    draw_time_per_unknown,
    draw_training,
)
from figures.curves import plain_labels
from figures.damping import amplified, colour_bar, colour_limit, draw_amplified, draw_disc
from figures.gallery import GALLERY
from figures.polynomials import linear_then_logarithmic
from figures.runs.several import draw_compared
from figures.spectra import draw_root_strip, piled_up
from figures.style import ROLES, figure, look_of, looks, paper
from mgtheory import (
    ResidualPolynomial,
)
from mgtheory.families import FAMILIES
from mgtheory.fourier import grid_frequencies, symbol
from mgtheory.polynomials.classical import chebyshev, chebyshev4
from mgtheory.problems.stencils import laplacian

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


def mesh_of(ax):
    return next(c for c in ax.collections if isinstance(c, QuadMesh))


def test_damping(ax):
    q = ResidualPolynomial([5.0])
    values = np.abs(q(symbol(laplacian(2), grid_frequencies((16, 16))).real))
    assert draw_damping(ax, values, title="Jacobi 4/5") is ax
    drawn = mesh_of(ax).get_array()
    np.testing.assert_array_equal(drawn[1:, 1:], values)
    np.testing.assert_array_equal(drawn[0, 1:], values[-1])  # theta = -pi is theta = pi
    assert drawn[8, 8] == 1.0  # theta = 0, in the middle
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("θ₂ (rad)", "θ₁ (rad)")
    bar = colour_bar([ax])
    assert "|q|" in bar.ax.get_ylabel()
    assert (mesh_of(ax).norm.vmin, mesh_of(ax).norm.vmax) == (0.0, 1.0)


def test_damping_above_one_has_its_own_colours(ax):
    values = np.full((4, 4), 0.5)
    values[0, 0], values[1, 1], values[2, 2] = 30.0, 1.0, 1.0 + 1e-12
    draw_damping(ax, values)
    mesh = mesh_of(ax)
    assert colour_limit([values]) == mesh.norm.vmax == 100.0
    colours = mesh.cmap(mesh.norm(np.array([0.5, 1.0, 1.0001, 30.0])))
    assert colours[1][2] < 0.5 < colours[1][0]  # 1 is still the yellow end of cividis
    assert (colours[2:, 0] > 2 * colours[2:, 2]).all()  # reds
    np.testing.assert_allclose(
        mesh.norm.inverse(mesh.norm(np.array([0.2, 1.0, 7.0, 100.0]))),
        [0.2, 1.0, 7.0, 100.0],
        rtol=1e-8,
    )
    assert colour_limit([[0.3], [1.0 + 1e-12]]) == 1.0
    # around the cell of (-pi/2, -pi/2), and no other
    (border,) = (c for c in ax.collections if isinstance(c, LineCollection))
    sides = {frozenset(map(tuple, np.round(one, 9).tolist())) for one in border.get_segments()}
    corners = [(-0.75, -0.75), (-0.75, -0.25), (-0.25, -0.25), (-0.25, -0.75)]
    assert sides == {frozenset(one) for one in zip(corners, [*corners[1:], corners[0]])}


def test_a_disc_has_the_colours_of_the_highest_degree(ax):
    """(1 + 2)^3 is the largest |1 - 2z|^3 on it, (1 + 1/2) that of the other."""
    draw_disc(ax, {3: ResidualPolynomial([0.5] * 3), 1: ResidualPolynomial([2.0])})
    assert np.max(mesh_of(ax).get_array()) == pytest.approx(27.0)
    (above, below), q = ax.texts, ResidualPolynomial([0.5] * 3)
    assert (above.get_text(), below.get_text()) == ("|q| > 1", "|q| < 1")
    assert abs(q(complex(*above.get_position()))) > 1 > abs(q(complex(*below.xy)))


def test_damping_refuses_other_shapes(ax):
    with pytest.raises(ValueError, match=r"must be \(H, W\)"):
        draw_damping(ax, np.ones(5))


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


@pytest.mark.parametrize("roots", [[0.3111], [0.1234, 0.8765], [0.7, 1.5]])
def test_compared_curves_fall_to_the_floor_at_each_root(ax, roots):
    """As q does, wherever the roots lie between the points of a grid."""
    draw_compared(ax, {"a": [ResidualPolynomial(roots)]})
    t, size = ax.lines[0].get_data()
    for root in (root for root in roots if root <= 1.0):
        assert size[np.argmin(np.abs(t - root))] == 1e-3
    np.testing.assert_array_less(0.0, np.diff(t))


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


def test_amplified_everywhere_is_numbers(ax):
    values = np.array([[2.0, 3.0], [4.0, 50.0]])
    assert amplified(values)
    assert not amplified(values - 1.5)
    draw_amplified(ax, values, title="level 1")
    (text,) = ax.texts
    assert text.get_text().split() == ["all", "amplified", "2", "to", "50", "median", "3.5"]
    assert not ax.collections


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


def test_gallery_draws_the_numbers_of_theory(monkeypatch):
    monkeypatch.setattr("figures.gallery.DEGREES", (1, 2, 3))
    smoothing = GALLERY["smoothing_against_degree"]()
    (ax,) = smoothing.axes
    np.testing.assert_allclose(
        line(ax, "chebyshev").get_ydata()[:3], [0.6, 0.2195, 0.0740], atol=5e-5
    )
    np.testing.assert_allclose(
        line(ax, "chebyshev4").get_ydata()[:3], [2 / 3, 0.25, 0.233], atol=5e-4
    )
    assert [text.get_text() for text in smoothing.legends[0].get_texts()] == [
        name for name in FAMILIES if name not in ("mls", "bounded")
    ]  # from degree 4 on; no smoother
    monkeypatch.setattr("figures.gallery.STEP_DEGREES", (1, 2, 4, 8))
    steps = GALLERY["bounded_amplification"]().axes[2]
    np.testing.assert_allclose(
        line(steps, "k equal roots").get_ydata(), [7.0, 3.6569, 2.7272, 2.3747], atol=5e-5
    )
    np.testing.assert_allclose(
        line(steps, "longest step").get_ydata(), [7.0, 7.760383, 7.873141, 7.875], atol=5e-6
    )
    maps = GALLERY["damping_maps"]()
    assert maps.axes[0].get_title() == "richardson\nµ = 0.216"
