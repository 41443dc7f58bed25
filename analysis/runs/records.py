"""Reading run folders safely: configuration, start, history, summary and weights, with one clear
line where something is wrong.

Weights are read through `nets.load`, which takes safetensors files alone, checks their digest and
executes nothing in them.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import nets
import nets.training.folder
from analysis.levels.state import LevelState, level_states
from mgtheory.families import FAMILIES
from mgtheory.multigrid.solution import counted
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.models.classifier import levels_of
from nets.settings import TrainConfig
from nets.start.factors import level_factors
from nets.start.report import InitReport
from nets.start.scheme import Notes, Scheme
from nets.start.schemes import find_scheme
from nets.start.spectrum import convolution_spectrum
from nets.training.folder import Summary, read_config, read_start, read_summary
from nets.training.predict import DATA_FILE, read_data_facts

# the theory a run is measured by that did not start from a family: it needs no lower end of the
# spectrum
REFERENCE = "chebyshev4"
WEIGHTS = ("start.safetensors", "model.safetensors")
# the identity on one point, b = 1: reference polynomials are wanted on (0, 1]
UNIT = convolution_spectrum(np.ones((1, 1, 1, 1)), (1, 1))


@dataclass(frozen=True)
class Theory:
    """The polynomials a run's levels are measured by.

    Attributes
    ----------
    origin
        "start" where the run started from them, "reference" where it started elsewhere; "none"
        without polynomials.
    name
        Of the scheme or family.
    polynomials
        On (0, 1], one per level; None where a level has none.
    fitted
        Why some roots are not what the family gives by itself.
    """

    origin: str
    name: str
    polynomials: tuple[ResidualPolynomial | None, ...]
    fitted: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RunRecord:
    """All of a finished run but its images.

    Attributes
    ----------
    path
        The folder.
    config, init, summary, metrics
        Configuration, report of the start, summary, and a row an epoch.
    start, learned
        The levels as arrays; empty for a ResNet.
    theory
        What they are measured by.
    fingerprint
        SHA-256 over the files the analysis depends on.
    """

    path: Path
    config: TrainConfig
    init: InitReport
    summary: Summary
    metrics: pd.DataFrame
    start: tuple[LevelState, ...]
    learned: tuple[LevelState, ...]
    theory: Theory
    fingerprint: str

    @property
    def label(self) -> str:
        """Model and scheme, e.g. ``q2 chebyshev4``; the model alone where it has no polynomial."""
        name = self.config.model.name
        return name if self.theory.origin == "none" else f"{name} {self.scheme}"

    @property
    def scheme(self) -> str:
        """The scheme of the coefficients; of a file, the family in it."""
        if self.config.init.scheme.startswith("file:") and self.init.sources:
            return self.init.sources[0].family
        return self.init.scheme


def tested_on(run: str | os.PathLike[str]) -> int | None:
    """Number of test images of a run; None for a folder from before they were counted (its data set
    is not loaded for that)."""
    path = Path(run)
    return read_data_facts(path).images["test"] if (path / DATA_FILE).is_file() else None


def read_run(run: str | os.PathLike[str], *, reference: str = REFERENCE) -> RunRecord:
    """The record of a finished run.

    Parameters
    ----------
    run
        The folder that `nets.train` wrote.
    reference
        Family (a scheme with its options) to measure a run by that did not start from one.

    Raises
    ------
    FileNotFoundError
        No such folder, or a part of it is missing: one line says which, and what to do.
    ValueError
        A part is truncated, damaged or of another program.
    """
    _family(reference)  # of a run that is its own theory too
    path = Path(run)
    if not path.is_dir():
        raise FileNotFoundError(f"run {path}: there is no such folder")
    config = read_config(path)
    if not (path / "summary.json").is_file() or not (path / "model.safetensors").is_file():
        raise FileNotFoundError(
            f"run {path}: not finished, summary.json or model.safetensors is missing; train"
            " --resume goes on with it"
        )
    init = read_start(path)
    models = {which: nets.training.folder.load(path, which=which) for which in ("start", "learned")}
    if models["start"].spec != models["learned"].spec:
        raise ValueError(
            f"run {path}: start.safetensors and model.safetensors hold different models; the folder"
            " is a mixture of two runs"
        )
    start, learned = (_levels(path, which, models[which], init) for which in ("start", "learned"))
    if len(init.levels) != len(start):
        raise ValueError(
            f"run {path}: init.json has {counted(len(init.levels), 'level')} and the model"
            f" {len(start)}; the folder is a mixture of two runs"
        )
    return RunRecord(
        path=path,
        config=config,
        init=init,
        summary=read_summary(path),
        metrics=read_metrics(path),
        start=start,
        learned=learned,
        theory=theory_of(models["start"], init, reference=reference),
        fingerprint=fingerprint_of(path, reference),
    )


def _levels(path: Path, which: str, model: Any, init: InitReport) -> tuple[LevelState, ...]:
    """The levels of a run's network; ValueError says whose weights are wrong."""
    try:
        return level_states(model, init)
    except ValueError as error:
        raise ValueError(f"run {path}, weights {which}: {error}") from error


def read_metrics(run: str | os.PathLike[str]) -> pd.DataFrame:
    """metrics.csv of a run folder: a row an epoch, numbers alone.

    Raises
    ------
    FileNotFoundError, ValueError
        It is missing; it is truncated or another kind of file.
    """
    path = Path(run) / "metrics.csv"
    if not path.is_file():
        raise FileNotFoundError(f"run {path.parent}: metrics.csv is missing")
    try:
        text = path.read_text(encoding="utf-8-sig")
        frame = pd.read_csv(io.StringIO(text)) if text else pd.DataFrame(columns=["epoch"])
    except (ValueError, UnicodeDecodeError) as error:  # pandas' parser errors are ValueErrors
        raise ValueError(
            f"{path}: truncated or not a table ({str(error).splitlines()[0]})"
        ) from error
    if "epoch" not in frame:
        raise ValueError(f"{path}: no column 'epoch' there; truncated or not the metrics of a run")
    if text and (
        not text.endswith("\n")
        or not np.isfinite(pd.to_numeric(frame["epoch"], errors="coerce")).all()
    ):
        raise ValueError(
            f"{path}: the last row is cut off or an epoch is no number; the file is truncated"
        )
    words = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    if words and len(frame):  # columns without rows have no type
        raise ValueError(f"{path}: the column {words[0]!r} has an entry that is no number")
    return frame


def theory_of(model: Any, init: InitReport, *, reference: str = REFERENCE) -> Theory:
    """The theory's polynomials of every level on (0, 1]: those the run started from, or those of
    the reference family.

    Parameters
    ----------
    model
        The model at the start, for the kinds of its steps.
    init
        The report of the start: a scheme with initial coefficients is its own theory.
    reference
        Family for all other runs, e.g. "chebyshev4" or "chebyshev:lower=0.1".
    """
    levels = levels_of(model)
    if not init.levels or not init.levels[0].factors:
        return Theory("none", "", (None,) * len(init.levels))
    if init.sources:
        own = [ResidualPolynomial.from_factors(level.factors) for level in init.levels]
        polynomials = tuple(
            q.scaled(1.0 / level.radius) if level.radius > 0 else q
            for q, level in zip(own, init.levels)
        )
        reasons = dict.fromkeys(reason for level in init.levels for reason in level.reasons)
        return Theory("start", init.sources[0].family, polynomials, tuple(reasons))
    scheme, notes, found = _family(reference), Notes(), []
    for level in levels:
        factors, said = level_factors(level, scheme, UNIT)
        found.append(ResidualPolynomial.from_factors(factors))
        notes += said
    return Theory("reference", scheme.name, tuple(found), notes.reasons)


def _family(reference: str) -> Scheme:
    """The family that runs are measured by; ValueError for a scheme that is none."""
    scheme = find_scheme(reference) if isinstance(reference, str) else None
    if scheme is None or scheme.name not in FAMILIES:
        raise ValueError(
            f"reference is {reference!r}, must be a family of polynomials, e.g. {REFERENCE}"
        )
    return scheme


def fingerprint_of(path: Path, reference: str = REFERENCE) -> str:
    """Of the files of a run that a report on it is made from, and what it is measured by."""
    mark = hashlib.sha256(reference.encode())
    for name in ("config.json", "init.json", "summary.json", *WEIGHTS):
        mark.update(name.encode())
        mark.update((path / name).read_bytes())
    return mark.hexdigest()
