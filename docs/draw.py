"""Draw the figures of the theory page into docs/figures: the gallery of `polymgnet figures
--theory`, at screen resolution."""

from pathlib import Path

from figures.gallery import GALLERY
from figures.style import paper

FOLDER = Path(__file__).parent / "figures"
DPI = 140  # 980 pixels for the width of a page; every file stays below 150 kB


def main() -> None:
    """Every entry of the gallery as one PNG, without a date, so that equal numbers give equal
    files."""
    FOLDER.mkdir(exist_ok=True)
    with paper():
        for name, draw in GALLERY.items():
            target = FOLDER / f"{name}.png"
            draw().savefig(
                target, dpi=DPI, metadata={"Software": None}, pil_kwargs={"optimize": True}
            )
            print(f"{target.relative_to(Path.cwd())}, {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
