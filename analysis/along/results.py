"""What is found of a run along its training, as data: moments, roots, and where a level stops
smoothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass as checked

from analysis.levels.spectra import SMOOTHER, verdict_of
from analysis.levels.verdict import Nearest
from mgtheory._files import read_json
from mgtheory.multigrid.solution import counted
from mgtheory.polynomials.roots import roots_from_json

KIND, SCHEMA = "along_training", 2


@checked(frozen=True)
class Moment:
    """One level after one epoch.

    Attributes
    ----------
    epoch, level
        0 is the start; levels from 1.
    radius
        b, the spectral radius of A then.
    max_modulus, smoothing_factor
        max |q| and mu of the coefficients as they stand, on the spectrum of A as the network
        applies it.
    effective_factor
        mu with the batch norms folded in; None without norms, and at the start, where they have no
        statistics yet.
    jacobian_norm
        |J|_2 of the level's Jacobian, on images, with their batch's statistics in the norms (see
        `nets.start.jacobian`): at start and end; None elsewhere, and without images.
    identifiable
        Whether every coefficient has a meaning (`analysis.levels.identifiability`).
    nearest
        The classical polynomial nearest to q on the level's own spectrum, in units of b: on the
        eigenvalues, or on a curve around them where they are not all known. None where a
        coefficient has no meaning.
    """

    epoch: int
    level: int
    radius: float
    max_modulus: float
    smoothing_factor: float
    identifiable: bool
    effective_factor: float | None = None
    jacobian_norm: float | None = None
    nearest: Nearest | None = None


Root = tuple[float, float] | None  # None at infinity


@checked(frozen=True, eq=False)
class Along:
    """A run's polynomials along training.

    Attributes
    ----------
    run
        The folder.
    epochs
        Those whose coefficients are known, from 0, the start.
    roots
        Of q: epoch -> level -> root as (re, im), in the order of the steps.
    moments
        What was measured, by epoch and level.
    end
        The epoch of the run's final weights.
    notes
        What is missing, a line each.
    fingerprint
        Of the files it was computed from.
    """

    run: str
    epochs: tuple[int, ...]
    roots: tuple[tuple[tuple[Root, ...], ...], ...]
    moments: tuple[Moment, ...]
    end: int
    notes: tuple[str, ...]
    fingerprint: str

    def __repr__(self) -> str:
        """In a line: the roots of every epoch are pages."""
        levels, epochs = counted(self.levels, "level"), f"{self.epochs[0]} to {self.end}"
        return f"Along({self.run}, {levels}, epochs {epochs})"

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.roots[0])

    def of(self, level: int) -> list[Moment]:
        """The moments of a level (from 1), by epoch."""
        return [moment for moment in self.moments if moment.level == level]

    def paths(self, level: int) -> NDArray[np.complex128]:
        """The roots of a level (from 1), shape (epochs, degree); infinite ones too."""
        return np.array([roots_from_json(roots[level - 1]) for roots in self.roots])

    def table(self) -> pd.DataFrame:
        """A row for every moment."""
        rows = []
        for one in self.moments:
            numbers = {name: value for name, value in vars(one).items() if name != "nearest"}
            found: dict[str, Any] = {"nearest": "", "nearest_at": None}
            if one.nearest is not None:
                found = {"nearest": str(one.nearest), "nearest_at": one.nearest.distance}
            rows.append({**numbers, **found})
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {"kind": KIND, "schema": SCHEMA, **STORED.dump_python(self, mode="json")}

    def smoothers(self, *, folded: bool = False) -> list[Smoother]:
        """Of every level, whether it smooths: by mu of the coefficients as they stand, or with the
        norms folded in."""
        return [Smoother.of(self.of(level), folded=folded) for level in range(1, self.levels + 1)]


@dataclass(frozen=True)
class Smoother:
    """Whether a level that starts as a smoother stays one.

    Attributes
    ----------
    first, last
        (epoch, mu) of the first and last moment at which it can be said; None where there is none.
    changes
        (epoch, mu) of the moments at which the answer differs from that of the moment before.
    """

    first: tuple[int, float] | None
    last: tuple[int, float] | None
    changes: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, moments: Sequence[Moment], *, folded: bool = False) -> Smoother:
        """From a level's moments: mu as the coefficients stand, where they have a meaning, or with
        the norms folded in, where there are any."""
        known = [
            (one.epoch, mu)
            for one in moments
            if (mu := one.effective_factor if folded else one.smoothing_factor) is not None
            and (folded or one.identifiable)
        ]
        pairs = pairwise(known)
        changes = tuple(b for a, b in pairs if verdict_of(a[1]) != verdict_of(b[1]))
        return cls(known[0] if known else None, known[-1] if known else None, changes)

    @property
    def starts(self) -> bool:
        """Whether it smooths at the first moment."""
        return self.first is not None and verdict_of(self.first[1]) == SMOOTHER

    @property
    def stays(self) -> bool:
        """Whether it smooths at all of them."""
        return self.starts and not self.changes


STORED = TypeAdapter(Along)


def load_along(path: Path) -> Along:
    """From a file of `Along.to_dict`; ValueError for another kind of file, or version."""
    data = read_json(path, "a run along training")
    if data.pop("kind", None) != KIND or data.pop("schema", None) != SCHEMA:
        raise ValueError(f"{path}: another kind of file, or of another version")
    return STORED.validate_python(data)
