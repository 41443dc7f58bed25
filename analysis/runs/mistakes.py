"""Which test images a trained network takes for another class."""

from __future__ import annotations

import os
from pathlib import Path

from nets.config import absolute
from nets.data.sources import DataSet, load_data
from nets.training.folder import read_config
from nets.training.predict import Evaluation, check_data, evaluate, load_classifier


def measured_again(run: str | os.PathLike[str]) -> tuple[Evaluation, DataSet] | None:
    """What the network of a run makes of its test images, and the data; None where these are not
    here, or no longer what it was trained on."""
    run = Path(run)
    section = absolute(read_config(run)).data
    try:
        data = load_data(**{**section.arguments(), "download": False})
        check_data(run, data)
        return evaluate(load_classifier(run), data), data
    except (OSError, ValueError):
        return None
