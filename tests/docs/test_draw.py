"""A figure that shows the same keeps its file."""

import io

import numpy as np
import pytest
from PIL import Image

from docs import draw
from figures.style import figure


def picture(height=0.5):
    made, axes = figure()
    axes[0, 0].plot([0, 1], [0, height])
    axes[0, 0].set_ylim(0, 1)
    return made


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Draws one figure into a folder; the bytes of its file."""
    monkeypatch.setattr(draw, "FOLDER", tmp_path)
    monkeypatch.setattr(draw, "DPI", 60)
    monkeypatch.chdir(tmp_path)

    def call(height):
        monkeypatch.setattr(draw, "GALLERY", {"one": lambda: picture(height)})
        draw.main()
        return (tmp_path / "one.png").read_bytes()

    return call


def test_files_change_where_figures_do(page):
    """By the last digits nothing moves, by half a pixel the file does."""
    first = page(0.5)
    assert page(0.5 + 1e-9) == first
    assert page(0.5 + 3e-3) != first


def test_pictures_are_compared_by_their_pixels(tmp_path):
    values = np.full((4, 5, 4), 200, np.uint8)
    path, other = tmp_path / "a.png", io.BytesIO()
    assert not draw.alike(path, b"")
    Image.fromarray(values).save(path)
    for change, same in ((0, True), (draw.EDGE, True), (draw.EDGE + 1, False)):
        values[1, 2, 0] = 200 - change
        other = io.BytesIO()
        Image.fromarray(values).save(other, "png", compress_level=1)
        assert draw.alike(path, other.getvalue()) == same
    other = io.BytesIO()
    Image.fromarray(values[:3]).save(other, "png")
    assert not draw.alike(path, other.getvalue())
