"""Draw the figures of the theory page into docs/figures: the gallery of `polymgnet figures
--theory`, at screen resolution."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from figures.gallery import GALLERY
from figures.style import paper

FOLDER = Path(__file__).parent / "figures"
DPI = 140  # 980 pixels for the width of a page; every file stays below 150 kB
# of 255, in a channel of a pixel: what the last digits of two processors and of two versions of a
# library move at the edge of a line, 28 measured; a line that is moved by a fifth of a pixel
# changes more
EDGE = 40


def alike(one: Path, other: bytes) -> bool:
    """Whether a file is there and shows what the bytes of another show."""
    if not one.is_file():
        return False
    pictures = [Image.open(source).convert("RGBA") for source in (one, io.BytesIO(other))]
    if pictures[0].size != pictures[1].size:
        return False
    first, second = (np.asarray(picture).astype(int) for picture in pictures)
    return bool(np.abs(first - second).max() <= EDGE)


def main() -> None:
    """Every entry of the gallery as one PNG, without a date; a file that shows the same stays as it
    is, so that the committed ones change where a figure does."""
    FOLDER.mkdir(exist_ok=True)
    with paper():
        for name, draw in GALLERY.items():
            drawn = io.BytesIO()
            metadata, small = {"Software": None}, {"optimize": True}
            draw().savefig(drawn, dpi=DPI, metadata=metadata, pil_kwargs=small)
            target = FOLDER / f"{name}.png"
            same = alike(target, drawn.getvalue())
            if not same:
                target.write_bytes(drawn.getvalue())
            size = f"{target.stat().st_size / 1024:.0f} KiB"
            print(f"{target.relative_to(Path.cwd())}, {size}{', as it was' if same else ''}")


if __name__ == "__main__":
    main()
