"""The figure of a run along its training: every root and every factor is where the data have it."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.along.results import Along, Moment
from figures.page.levels import Moving
from figures.runs.along import FAR, along_figure, draw_course, draw_roots
from figures.style import paper

from ..test_make import inside_and_apart, line

TURN = np.exp(0.1j)


def run(roots, *, levels=1):
    """A run of the roots (epochs, degree) on every level; b = 1, 1.5, ... and factors by epoch."""
    epochs = range(len(roots))
    pairs = tuple(
        tuple((z.real, z.imag) if np.isfinite(z) else None for z in np.asarray(row, complex))
        for row in roots
    )
    moments = tuple(
        Moment(e, k + 1, 1 + e / 2, 8.0 + e, 0.5 + e, True, effective_factor=e or None)
        for e in epochs
        for k in range(levels)
    )
    own = tuple((row,) * levels for row in pairs)
    return Along("run", tuple(epochs), own, moments, len(roots) - 1, (), "")


def test_complex_roots_are_followed_whatever_their_order(ax):
    """A conjugate pair that turns, stored in the other order at every second epoch."""
    path = np.array([(0.5 + 0.5j) * TURN**e for e in range(4)])
    stored = [[z, z.conjugate()] if e % 2 else [z.conjugate(), z] for e, z in enumerate(path)]
    draw_roots(ax, run(stored), 1)
    drawn = [one.get_xydata() @ [1, 1j] for one in ax.lines if len(one.get_xdata()) == 4]
    found = sorted(drawn, key=lambda z: z[0].imag)
    np.testing.assert_allclose(found, [path.conj(), path])
    for role, at in (("start", path[0]), ("learned", path[-1])):
        x, y = line(ax, f"roots, {role}").get_data()
        np.testing.assert_allclose(sorted(x + 1j * y), sorted([at.conjugate(), at]))
    assert [patch.radius for patch in ax.patches] == [1.0, 2.5]  # b at start and end
    ax.clear()
    draw_roots(ax, replace(run(stored), end=2), 1)  # the weights that count are of epoch 2
    assert [patch.radius for patch in ax.patches] == [1.0, 2.0]
    x, y = line(ax, "roots, learned").get_data()
    np.testing.assert_allclose(sorted(x + 1j * y), sorted([path[2].conjugate(), path[2]]))


def test_a_level_moves_between_the_epochs_that_were_measured():
    """b by its logarithm, and q(t b) by the recorded roots: at 0 it is 1, at root/b it is 0."""
    roots = np.array([[0.5, 2.0], [0.6, np.inf], [0.7, 3.0], [0.8, 4.0]])
    found = run(roots)
    ends = tuple(one for one in found.moments if one.epoch in (0, 3))
    moving = Moving(replace(found, moments=ends), 1)
    assert moving.radii == pytest.approx(2.5 ** (np.arange(4) / 3))
    assert [moving.at(epoch) for epoch in (-1, 0, 1, 3, 7)] == [0, 0, 1, 3, 3]
    for k, own in enumerate(roots):
        values = moving.values(k, np.array([0.0, own[0] / moving.radii[k]]))
        assert values == pytest.approx([1.0, 0.0], abs=1e-12)


def test_real_roots_are_drawn_against_the_epoch(ax):
    roots = np.array([[0.5, 2.0], [0.6, np.inf], [0.7, 3.0]])
    draw_roots(ax, run(roots), 1)
    first, second = (one for one in ax.lines if list(one.get_xdata()) == [0, 1, 2])
    np.testing.assert_allclose(first.get_ydata(), roots[:, 0])
    np.testing.assert_allclose(second.get_ydata(), [2.0, np.nan, 3.0])
    assert ax.get_ylim()[0] == 0
    (band,) = ax.collections
    assert band.get_datalim(ax.transData).y1 == 2.0  # b of the last epoch


def test_far_roots_do_not_hide_the_others(ax):
    draw_roots(ax, run([[0.5j, -0.5j, 100.0]] * 2), 1)
    assert ax.get_xlim()[1] < FAR * 1.5


def test_roots_that_all_lie_far_out_are_in_view(ax):
    """As the equal roots of a high degree: b/(M^(1/32) - 1) is 15 b for M = 8."""
    draw_roots(ax, run([[15.0, 16.0, 100.0]] * 2), 1)
    shown = [one.get_ydata()[0] for one in ax.lines if list(one.get_xdata()) == [0, 1]]
    np.testing.assert_allclose(sorted(shown)[:2], [15.0, 16.0])
    assert 16 < ax.get_ylim()[1] < 100


def test_course_shows_every_factor(ax):
    draw_course(ax, run([[0.5]] * 3), 1)
    for label, values in (("max |q|", [8, 9, 10]), ("µ", [0.5, 1.5, 2.5])):
        np.testing.assert_allclose(line(ax, label).get_data(), [[0, 1, 2], values])
    np.testing.assert_allclose(line(ax, "µ, norms folded in").get_data(), [[1, 2], [1, 2]])
    assert "‖J‖, with norms and activations" not in ax.get_legend_handles_labels()[1]


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_levels_stand_beside_one_another(levels):
    with paper():
        made = along_figure(run([[0.5 + 0.1j, 0.5 - 0.1j], [0.6, 0.4]], levels=levels))
        inside_and_apart(made)
    assert sum(ax.get_visible() for ax in made.axes) == 2 * levels
