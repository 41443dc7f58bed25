"""The gallery draws the theory's numbers."""

import numpy as np

from figures.gallery import GALLERY
from mgtheory.families import FAMILIES

from .drawn import line


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
