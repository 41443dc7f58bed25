"""The test images that a network takes for another class, as small pictures."""

from __future__ import annotations

import base64
import io
import os

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analysis.runs.mistakes import measured_again
from figures.page.write import Section, Thumbnail

SIDE = 64  # pixels of the longer side of a picture, at most


def mistakes(run: str | os.PathLike[str]) -> list[Section]:
    """The section of a run's page on its mistakes; none where it makes none, or its images are not
    here."""
    found = measured_again(run)
    if found is None or not found[0].mistakes:
        return []
    tested, data = found
    pictures = [
        Thumbnail(
            one.image,
            f"{one.truth}, taken for {one.answer}",
            f"{100 * one.probability:.1f} %",
            png(data.images[one.index]),
        )
        for one in tested.mistakes
    ]
    below = "name of its file" if data.names else f"place in load_data({data.name!r}).images"
    words = (
        f"{tested.about_mistakes()}, each with the probability that the network gives it and the"
        f" {below}."
    )
    return [Section("mistakes", "Mistakes in the test", words=words, thumbnails=pictures)]


def png(image: NDArray[np.uint8]) -> str:
    """An image (channels, height, width) as a PNG in a data URI, larger ones scaled down; one that
    is neither grey nor of three colours by its first channel."""
    pixels = image.transpose(1, 2, 0) if len(image) == 3 else image[0]
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
