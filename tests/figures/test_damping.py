"""Maps of dampings are the symbol's numbers, with colours that tell what is amplified."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh

from figures import (
    draw_damping,
)
from figures.damping import amplified, colour_bar, colour_limit, draw_amplified, draw_disc
from mgtheory import (
    ResidualPolynomial,
)
from mgtheory.fourier import grid_frequencies, symbol
from mgtheory.problems.stencils import laplacian


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


def test_amplified_everywhere_is_numbers(ax):
    values = np.array([[2.0, 3.0], [4.0, 50.0]])
    assert amplified(values)
    assert not amplified(values - 1.5)
    draw_amplified(ax, values, title="level 1")
    (text,) = ax.texts
    assert text.get_text().split() == ["all", "amplified", "2", "to", "50", "median", "3.5"]
    assert not ax.collections
