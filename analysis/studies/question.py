"""What a study asks: the table [report] of its file, and the numbers that it can compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from mgtheory.polynomials.bounded import AMPLIFICATION
from nets.settings import FEATURES, is_of_training


@dataclass(frozen=True)
class Measure:
    """A number of a finished run.

    Attributes
    ----------
    title, unit
        Of a table; the number times `unit` is shown.
    digits
        Decimals shown.
    smaller_is_better
        Which way an improvement goes.
    margin
        In shown units: a candidate that is worse by less is called not worse.
    log
        Whether figures have a logarithmic axis.
    """

    title: str
    unit: float = 1.0
    digits: int = 2
    smaller_is_better: bool = False
    margin: float = 0.0
    log: bool = False


MEASURES = {
    "test_accuracy": Measure("test accuracy (%)", 100.0, 2, margin=0.3),
    "val_accuracy": Measure("validation accuracy (%)", 100.0, 2, margin=0.3),
    "train_loss": Measure("training loss", 1.0, 3, smaller_is_better=True, margin=0.01),
    "factor": Measure("convergence factor", 1.0, 4, smaller_is_better=True, log=True),
    "seconds": Measure("time (s)", 1.0, 1, smaller_is_better=True),
    "images_per_second": Measure("images/s", 1.0, 0),
}
COSTS = {"parameters": "weights", "flops_per_image": "FLOPs an image", "seconds": "time (s)"}


@dataclass(frozen=True)
class AtStart:
    """A number of a run's start.

    Attributes
    ----------
    title, axis, short
        In words, on an axis, and in the names of files.
    meaning
        A sentence.
    best
        What the studies found to be good.
    shown
        The ends of a figure's axis, at which stands what lies beyond them.
    """

    title: str
    axis: str
    short: str
    meaning: str
    best: float
    shown: tuple[float, float]


STARTS = {
    "max_modulus": AtStart(
        "max |q|",
        "max |q|",
        "modulus",
        "The largest max |q| of a level, on the true spectrum of its A as the network applies it.",
        AMPLIFICATION,
        (1.0, 1e6),
    ),
    "features": AtStart(
        "size of the features",
        "features",
        "features",
        "What the classifier reads of 64 training images: the root mean square over channels of its"
        " standard deviation over the images.",
        FEATURES,
        (1e-2, 1e2),
    ),
}


@dataclass(frozen=True)
class Question:
    """What the page of a study asks: the table [report] of its file.

    Attributes
    ----------
    title, about
        Of the page, in Markdown.
    compare
        The key of the grid whose values are compared.
    along
        The key that runs along the axis of the figure, such as the degree; without one, the figure
        shows the measure against what a run costs, where that differs.
    measures
        What is compared, of `MEASURES`.
    candidate
        The value that is tested against all others; none is, where there is none.
    searched
        Values of which the best at every place is the yardstick of the candidate.
    tuned
        A key of the grid, such as the learning rate: every compared value is also shown at its own
        best setting of it.
    """

    title: str
    compare: str
    measures: tuple[str, ...]
    about: str = ""
    along: str | None = None
    candidate: str | None = None
    searched: tuple[str, ...] = ()
    tuned: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Question:
        """From a file's table; ValueError for a key or measure that is unknown or missing, and for
        a list that is none."""
        known = [field.name for field in fields(cls)]
        if unknown := [key for key in given if key not in known]:
            allowed = ", ".join(known)
            raise ValueError(f"unknown key {unknown[0]!r} of report, allowed are {allowed}")
        for key in ("title", "compare", "measures"):
            if not given.get(key):
                raise ValueError(f"report has no {key}; a page needs title, compare and measures")
        for key in ("measures", "searched"):
            if not isinstance(given.get(key, []), list | tuple):
                raise ValueError(f"{key} of report is {given[key]!r}, must be a list")
        if wrong := [name for name in given["measures"] if name not in MEASURES]:
            allowed = ", ".join(MEASURES)
            raise ValueError(f"unknown measure {wrong[0]!r} of report, allowed are {allowed}")
        lists = {key: tuple(map(str, given.get(key, ()))) for key in ("measures", "searched")}
        return cls(**{**given, **lists})

    def check(self, grid: Mapping[str, Sequence[Any]], values: Sequence[str]) -> None:
        """ValueError for a key that the grid does not have, or a compared value that none has.

        Parameters
        ----------
        grid
            Key -> its values, of one scale.
        values
            What `compare` may be, at all scales.
        """
        keys = {"compare": self.compare, "along": self.along, "tuned": self.tuned}
        for name, key in keys.items():
            if key is not None and key not in grid:
                allowed = ", ".join(grid) or "none: the file has no grid"
                raise ValueError(f"{name} of report is {key!r}, allowed are {allowed}")
        if self.tuned == self.compare:
            raise ValueError(f"tuned of report is {self.tuned!r}, which is compared already")
        candidate = () if self.candidate is None else (self.candidate,)
        for name, named in (("candidate", candidate), ("searched", self.searched)):
            if wrong := [value for value in named if value not in values]:
                allowed = ", ".join(values)
                raise ValueError(f"{name} of report has {wrong[0]!r}, allowed are {allowed}")

    @property
    def along_starts(self) -> bool:
        """Whether starts differ along the axis; those at several learning rates are the same."""
        return self.along is not None and not is_of_training(self.along)
