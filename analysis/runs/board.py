"""What was measured of a run, for TensorBoard beside its curves: b, max |q|, mu and |J|
of every level along training, and figures.

They are written when a run is analysed and when it is drawn: the spectra of A take as long as some
epochs, so that training does not measure them, and loses no time to them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

BOARD = "tensorboard"
# tag -> attribute of an `analysis.along.results.Moment`
TAGS = {
    "b": "radius",
    "max_q": "max_modulus",
    "mu": "smoothing_factor",
    "mu_effective": "effective_factor",
    "jacobian_norm": "jacobian_norm",
}


def write_moments(run: str | os.PathLike[str], moments: Sequence[Any]) -> bool:
    """The scalars ``level1/b`` and so on over the epochs that were measured, in the place of those
    from before; False for a run without TensorBoard (`train.tensorboard` off)."""
    with _writer(run, "levels") as board:
        for one in moments if board is not None else ():
            for tag, name in TAGS.items():
                if (value := getattr(one, name)) is not None:
                    board.add_scalar(f"level{one.level}/{tag}", value, one.epoch)
        return board is not None


def write_pictures(run: str | os.PathLike[str], pictures: Mapping[str, Path]) -> bool:
    """PNG files by the name to show them under, in the place of those from before; False as for
    `write_moments`."""
    with _writer(run, "pictures") as board:
        for name, path in pictures.items() if board is not None else ():
            with Image.open(path) as picture:
                board.add_image(name, np.array(picture.convert("RGB")), dataformats="HWC")
        return board is not None


@contextmanager
def _writer(run: str | os.PathLike[str], name: str) -> Iterator[Any]:
    """Of RUN/tensorboard/NAME, emptied; None where the run has no TensorBoard or is read only."""
    home = Path(run) / BOARD
    if not home.is_dir() or not os.access(home, os.W_OK):
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(home / name, ignore_errors=True)
    with SummaryWriter(str(home / name)) as board:
        yield board
