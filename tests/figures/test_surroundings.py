"""The `draw_*` functions on axes of a reader's own: any style, large letters, small figures, many
curves and long names."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

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
from figures.runs.several import draw_compared
from figures.spectra import draw_root_strip
from figures.style import BLACK, COLOURS, ROLES, WHITE, ground, ink, looks
from mgtheory.polynomials.residual import ResidualPolynomial

from .drawn import legend_texts, line

QS = {role: ResidualPolynomial([0.3 + 0.1 * k, 1.5]) for k, role in enumerate(ROLES)}
DISC = np.array([0.9, 0.5 + 0.6j, 0.5 - 0.6j, -0.7])
CURVES = {f"curve {k}": ([1, 2, 3], [0.5, 0.3, 0.1 + 0.01 * k]) for k in range(9)}
DRAWS = {
    "training": lambda ax: draw_training(
        ax, {k: [y, y] for k, (_, y) in CURVES.items()}, ylabel=""
    ),
    "convergence": lambda ax: draw_convergence(ax, {k: y for k, (_, y) in CURVES.items()}),
    "factors": lambda ax: draw_factors(ax, CURVES, xlabel="degree", ylabel="µ"),
    "time": lambda ax: draw_time_per_unknown(ax, CURVES),
    "polynomials": lambda ax: draw_polynomials(ax, QS, high=(0.25, 1.0), eigenvalues=DISC),
    "compared": lambda ax: draw_compared(ax, {k: [q] for k, q in QS.items()}),
    "spectrum": lambda ax: draw_spectrum(
        ax,
        DISC,
        applied=DISC,
        roots={k: q.roots for k, q in QS.items()},
        damping=("theory", QS["theory"]),
    ),
    "strip": lambda ax: draw_root_strip(ax, {k: q.roots for k, q in QS.items()}),
    "accuracies": lambda ax: draw_accuracies(
        ax, {f"row {k}": [0.9, 0.95] for k in range(4)}, images={"row 0": 300}, floors={"1-nn": 0.9}
    ),
    "levels": lambda ax: draw_level_factors(ax, {role: [0.5, 2.0] for role in ROLES}),
}
STYLES = ["default", "dark_background", "grayscale", "ggplot", "seaborn-v0_8-darkgrid"]


def luminance(colour):
    """Relative luminance of WCAG 2."""
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", DRAWS)
def test_every_curve_is_seen_on_the_ground(name, style):
    """Each line and point, in the legend too, and the border of |q| < 1, which stands on a line of
    the ground's own colour."""
    with plt.style.context(style):
        ax = plt.figure().subplots()
        DRAWS[name](ax)
        behind = ground(ax)
        lines = [*ax.lines, *(ax.get_legend().get_lines() if ax.get_legend() else [])]
        assert min(contrast(one.get_color(), behind) for one in lines) > 1.5
        borders = [one for one in ax.collections if isinstance(one, ContourSet) and not one.filled]
        ratios = [contrast(one.get_edgecolor()[0][:3], behind) for one in borders]
        assert ratios == [] or (len(ratios) == 2 and ratios[0] < 1.01 and ratios[1] > 1.5)
        plt.close(ax.figure)


@pytest.mark.parametrize("face", ["black", "#222244", (0.0, 0.0, 0.0, 0.0)])
def test_black_is_the_ink_of_dark_axes_and_nothing_else_changes(face):
    made = Figure(facecolor="black")
    ax = made.subplots()
    ax.set_facecolor(face)
    labels = [*ROLES, *(f"curve {k}" for k in range(30))]
    for label, found in looks(labels, ax).items():
        plain = looks(labels)[label]
        assert found.colour == (WHITE if plain.colour == BLACK else plain.colour)
        assert (found.dashes, found.marker) == (plain.dashes, plain.marker)
    assert contrast(ink(ax), ground(ax)) > 10
    assert all(contrast(colour, "black") > 2 for colour in COLOURS if colour != BLACK)


def test_curves_added_to_dark_axes_do_not_look_like_those_there():
    """The ink that stands for black is known again as that colour."""
    with plt.style.context("dark_background"):
        ax = plt.figure().subplots()
        draw_factors(ax, dict(itertools.islice(CURVES.items(), 3)), xlabel="x", ylabel="y")
        first = {one.get_color() for one in ax.lines}
        assert WHITE in first
        draw_factors(ax, {"later": ([1, 2], [0.2, 0.1])}, xlabel="x", ylabel="y")
        assert line(ax, "later").get_color() not in first
        draw_factors(ax, {"curve 2": ([1, 2], [0.2, 0.1])}, xlabel="x", ylabel="y")
        assert ax.lines[-1].get_color() == WHITE
        plt.close(ax.figure)


@pytest.mark.parametrize("layout", [None, "constrained"])
@pytest.mark.parametrize(
    ("count", "size", "letters"),
    [(40, (4.0, 3.0), 10), (12, (3.0, 2.0), 10), (4, (4.0, 3.0), 16), (2, (4.0, 3.0), 10)],
)
@pytest.mark.parametrize("name", ["curve", "a configuration with a name as long as they get, run"])
def test_a_legend_leaves_room_for_the_curves(layout, count, size, letters, name):
    """It stays in the figure, the axes keep a fifth of its height, and every curve is named or
    counted."""
    curves = {f"{name} {k}": ([1, 2], [1.0 + k, 2.0 + k]) for k in range(count)}
    with plt.rc_context({"font.size": letters}):
        made = plt.figure(figsize=size, layout=layout)
        ax = made.subplots()
        draw_factors(ax, curves, xlabel="x", ylabel="y")
        made.canvas.draw()
        legend, page = ax.get_legend().get_window_extent(), made.bbox
        texts = legend_texts(ax)
        plt.close(made)
    assert ax.get_window_extent().height > 0.2 * page.height
    assert page.x0 - 1 <= legend.x0 < legend.x1 <= page.x1 + 1
    assert page.y0 - 1 <= legend.y0 < legend.y1 <= page.y1 + 1
    last = texts[-1].split()
    more = int(last[1]) if last[0] == "and" else 0
    assert len(texts) - bool(more) + more == count
    if count == 2:
        assert not more


def test_a_spectrum_in_a_small_figure_has_all_of_its_legend():
    """Axes of one scale are narrower than their place."""
    made = plt.figure(figsize=(4.0, 3.0), layout="constrained")
    ax = made.subplots()
    DRAWS["spectrum"](ax)
    made.canvas.draw()
    box, page = ax.get_legend().get_window_extent(), made.bbox
    plt.close(made)
    assert page.x0 - 1 <= box.x0 < box.x1 <= page.x1 + 1
    assert page.y0 - 1 <= box.y0 < box.y1 <= page.y1 + 1


def test_nothing_to_name_has_no_legend():
    ax = Figure().subplots()
    draw_training(ax, {}, ylabel="loss")
    draw_polynomials(ax, {})
    assert ax.get_legend() is None
    draw_level_factors(ax, {"learned": []})
    assert ax.get_xlim() == (0.5, 1.5)


def test_work_that_is_no_whole_number_has_numbers_that_can_be_read():
    ax = Figure(figsize=(3.2, 2.4)).subplots()
    draw_factors(ax, {"a": ([0.1, 0.25, 0.5], [0.5, 0.4, 0.2])}, xlabel="work", ylabel="µ")
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.get_xticklabels()]
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))


def test_times_within_two_powers_of_ten_have_plain_numbers():
    ax = Figure().subplots()
    draw_time_per_unknown(ax, {"a": ([1e3, 1e5], [1e-5, 4e-3])})
    ax.figure.canvas.draw()
    low, high = ax.get_ylim()
    shown = [t.get_text() for t in ax.get_yticklabels() if low <= t.get_position()[1] <= high]
    assert {"10", "20"} <= set(shown)


def test_a_history_that_starts_without_end_is_refused():
    with pytest.raises(ValueError, match="finite residual norm > 0"):
        draw_convergence(Figure().subplots(), {"a": [np.inf, 1.0]})


def test_a_map_is_alike_on_dark_axes():
    with plt.style.context("dark_background"):
        ax = plt.figure().subplots()
        draw_damping(ax, np.array([[1.0, 0.5], [0.5, 2.0]]))
        assert [patch.get_edgecolor()[:3] for patch in ax.patches] == [(1, 1, 1), (0, 0, 0)]
        plt.close(ax.figure)
