"""What training did to the polynomials on its way: roots after every epoch; b, max |q|, smoothing
factor and the nearest classical polynomial at the epochs whose weights were kept.

A run keeps the coefficients of every epoch and whole models after epochs 1, 2, 4, 8, ...
(`nets.training.history`); with start and end they are the moments that are measured here, by the
functions that measure start and end in the report. One that has kept nothing has these two alone.
What is found is written to RUN/report/along.json, and read from there while the run is the same;
TensorBoard shows it too (`analysis.runs.board`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from analysis.along.results import Along, Moment, Root, load_along
from analysis.levels.effective import applied_pass, has_norms
from analysis.levels.identifiability import readings
from analysis.levels.report import LevelReport
from analysis.levels.state import LevelState, level_states
from analysis.levels.verdict import nearest_classical
from analysis.numbers import plain
from analysis.runs.board import write_moments
from analysis.runs.records import RunRecord, fingerprint_of, read_run
from analysis.runs.report import FOLDER, can_write, write_files
from analysis.runs.results import SpectralReport
from mgtheory._checks import check_callable, check_kind
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.roots import roots_to_json
from nets.data.augment import normalise
from nets.data.sources import load_data
from nets.start.jacobian import jacobian_norms
from nets.start.padded import high_part, spectral_radius
from nets.start.spectrum import LevelSpectrum, convolution_spectra
from nets.start.threads import in_threads
from nets.training.checkpoint import load_model
from nets.training.folder import load, read_start
from nets.training.history import COEFFICIENTS, Levels, kept_models, read_coefficients
from nets.training.predict import DATA_FILE, read_data_facts

FILE = "along.json"
NOTHING_KEPT = (
    "the run kept no coefficients of its epochs (an earlier version, or train.record is false):"
    " start and end alone"
)
NOT_BETWEEN = (
    "b, µ and max |q| are those of the report, at the start and the end; polymgnet report {run}"
    " measures the epochs in between"
)
NO_IMAGES = "‖J‖ is not measured: the run's images are not here, or of another size"
# features of the first level that the Jacobian is taken on, over all images: a product with it is a
# few forward and backward passes
FEATURES, MOST_IMAGES = 8192, 4
Progress = Callable[[str], None]


def along_training(
    run: str | os.PathLike[str],
    *,
    write: bool = True,
    progress: Progress | None = None,
) -> Along | None:
    """A finished run along its training; None for a model without polynomials in A.

    Parameters
    ----------
    run
        The run folder.
    write
        False computes and writes nothing. With True, what is there and fits the run's files is read
        and not computed again.
    progress
        Called with a word before each of the costly parts.

    Raises
    ------
    FileNotFoundError, ValueError
        The folder is missing or unfinished, or one of its files is truncated or foreign: one line.
    """
    check_kind(run, (str, os.PathLike), "run", "the folder of a run")
    check_callable(progress, "progress")
    record = read_run(run)
    if not record.learned or not record.learned[0].factors:
        return None
    coefficients, kept = read_coefficients(record.path), kept_models(record.path)
    fingerprint, where = _fingerprint(record.path), record.path / FOLDER
    if write and (known := _known(record.path, fingerprint)) is not None:
        return known
    found = _measured(record, coefficients, kept, fingerprint, progress or (lambda word: None))
    if write and can_write(run):
        text = json.dumps(plain(found.to_dict()), allow_nan=False) + "\n"
        csv = found.table().to_csv(index=False, lineterminator="\n")
        write_files(where, {"along.csv": csv, FILE: text})
        write_moments(run, found.moments)
    return found


def along_recorded(report: SpectralReport) -> Along | None:
    """A run along its training without measuring anything: what `along_training` left there, else
    the roots that the run has recorded, with the numbers of its report at start and end. None for a
    model without polynomials in A."""
    if not report.has_polynomial:
        return None
    run, end = Path(report.run), report.facts["chosen_epoch"] or report.facts["epochs"]
    if (known := _known(run, fingerprint := _fingerprint(run))) is not None:
        return known
    moments = []
    for epoch, role in ((0, "start"), (end, "learned")):
        for level in report.levels:
            view, folded = level.views[role], level.views.get("effective") if epoch else None
            moments.append(
                Moment(
                    epoch=epoch,
                    level=level.level,
                    radius=level.operators[role].radius,
                    max_modulus=view.max_modulus,
                    smoothing_factor=view.smoothing_factor,
                    identifiable=not level.not_identifiable,
                    effective_factor=None if folded is None else folded.smoothing_factor,
                )
            )
    roots = _of_epochs(read_coefficients(run))
    notes = (NOT_BETWEEN.format(run=shlex.quote(report.run)) if roots else NOTHING_KEPT,)
    roots = roots or {
        epoch: tuple(_roots(_of(level, role).roots) for level in report.levels)
        for epoch, role in ((0, "start"), (end, "learned"))
    }
    return Along(
        report.run, tuple(roots), tuple(roots.values()), tuple(moments), end, notes, fingerprint
    )


def learned_factors(run: str | os.PathLike[str]) -> dict[str, list[float | None]]:
    """max |q|, mu and mu with the norms folded in of a finished run's levels at its end, by the
    names of `Moment`; empty for a model without polynomials."""
    path = Path(run)
    states = level_states(load(path), read_start(path))
    if not states or not states[0].factors:
        return {}
    spectra = convolution_spectra([(one.A, one.measured, one.padding) for one in states])
    pairs = enumerate(zip(states, spectra, strict=True))
    moments = [_moment(1, k, state, spectrum, near=False) for k, (state, spectrum) in pairs]
    names = ("max_modulus", "smoothing_factor", "effective_factor")
    return {name: [getattr(one, name) for one in moments] for name in names}


def _fingerprint(run: Path) -> str:
    """Of the files of a run that it is seen along its training by, whatever its report measures it
    by."""
    mark = hashlib.sha256(fingerprint_of(run).encode())
    for file in (run / COEFFICIENTS, *kept_models(run).values()):
        mark.update(file.name.encode() + (file.read_bytes() if file.is_file() else b""))
    return mark.hexdigest()


def _known(run: Path, fingerprint: str) -> Along | None:
    """What is in the run's folder, if it fits; one that is damaged is computed and replaced."""
    with suppress(FileNotFoundError, ValueError):
        found = load_along(run / FOLDER / FILE)
        if (found.fingerprint, found.run) == (fingerprint, str(run)):
            return found
    return None


def _of(level: LevelReport, role: str) -> ResidualPolynomial:
    q = level.views[role].polynomial
    assert q is not None  # of a run that has polynomials
    return q


def _roots(roots: Iterable[complex]) -> tuple[Root, ...]:
    return tuple((z[0], z[1]) if z else None for z in roots_to_json(np.array(list(roots))))


def _of_epochs(factors: Mapping[int, Levels]) -> dict[int, tuple[tuple[Root, ...], ...]]:
    """Epoch -> the roots of every level, in the order of the epochs."""
    return {
        epoch: tuple(_roots(z for f in steps for z in f.roots) for steps in levels)
        for epoch, levels in sorted(factors.items())
    }


def _measured(
    record: RunRecord,
    coefficients: dict[int, Levels],
    kept: dict[int, Path],
    fingerprint: str,
    say: Progress,
) -> Along:
    end = record.summary.best_epoch or record.summary.epochs
    states = {0: record.start}
    for epoch, file in kept.items():
        if epoch != end:
            states[epoch] = level_states(load_model(file), record.init)
            _check(file, record, states[epoch])
    states[end] = record.learned
    items = [(epoch, k) for epoch in sorted(states) for k in range(len(record.learned))]
    say("spectra along training")
    asked = [states[epoch][k] for epoch, k in items]
    spectra = convolution_spectra([(one.A, one.measured, one.padding) for one in asked])
    say("smoothing along training")
    work = list(zip(items, asked, spectra, strict=True))

    def measure(one: tuple[tuple[int, int], LevelState, LevelSpectrum]) -> Moment:
        (epoch, k), state, spectrum = one
        return _moment(epoch, k, state, spectrum)

    moments = in_threads(measure, work)
    notes: tuple[str, ...] = () if coefficients else (NOTHING_KEPT,)
    say("norms of the Jacobians")
    norms = {e: _jacobian_norms(record, w) for e, w in ((0, "start"), (end, "learned"))}
    if None in norms.values():
        notes += (NO_IMAGES,)
    else:
        moments = [
            replace(one, jacobian_norm=found[one.level - 1])
            if (found := norms.get(one.epoch))
            else one
            for one in moments
        ]
    factors = coefficients or {
        epoch: tuple(level.factors for level in levels) for epoch, levels in states.items()
    }
    roots = _of_epochs(factors)
    return Along(
        str(record.path),
        tuple(roots),
        tuple(roots.values()),
        tuple(moments),
        end,
        notes,
        fingerprint,
    )


def _check(file: Path, record: RunRecord, levels: tuple[LevelState, ...]) -> None:
    shapes = [[(one.A.shape, one.degree) for one in own] for own in (levels, record.learned)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{file}: another network than the run's; the folder is a mixture of two")


def _moment(
    epoch: int, k: int, state: LevelState, spectrum: LevelSpectrum, *, near: bool = True
) -> Moment:
    q, b = state.polynomial, spectrum.radius
    assert q is not None
    effective = None
    if epoch and has_norms(state):
        apply, high = applied_pass(state, folded=True), high_part(state.measured, state.padding)
        effective = spectral_radius(lambda v: high(apply(v)), spectrum.unknowns)
    identifiable = all(reading.identifiable for reading in readings(state))
    nearest = None
    if near and identifiable and b:
        # all eigenvalues of a middle-sized level would take longer than all the rest
        known = replace(spectrum, complete=spectrum.all_measured)
        nearest = nearest_classical(q.scaled(1.0 / b), points=known.outline / b)
    return Moment(
        epoch=epoch,
        level=k + 1,
        radius=b,
        max_modulus=spectrum.max_modulus(q),
        smoothing_factor=spectrum.smoothing_factor(q),
        identifiable=identifiable,
        effective_factor=effective,
        nearest=nearest,
    )


def _jacobian_norms(record: RunRecord, which: str) -> list[float] | None:
    """Of every level at the start or learned, on a few images of the run; None without them."""
    images = _images(record)
    if images is None:
        return None
    with torch.random.fork_rng(devices=[]):
        return jacobian_norms(load(record.path, which=which).train(), images)


def _images(record: RunRecord) -> torch.Tensor | None:
    """A few of the images that the run is tested on, as its network takes them, if they are
    here."""
    if not (record.path / DATA_FILE).is_file():
        return None
    facts, size = read_data_facts(record.path), record.init.size
    if facts.shape[1:] != size:
        return None
    try:
        data = load_data(**{**record.config.data.arguments(), "download": False})
    except (OSError, ValueError):
        return None
    if data.shape != facts.shape:
        return None
    features = record.learned[0].channels * size[0] * size[1]
    count = max(2, min(MOST_IMAGES, FEATURES // features))  # a norm needs two on small grids
    chosen = np.concatenate([data.test, data.validation, data.train])[:count]
    return normalise(torch.from_numpy(data.images[chosen]), facts.mean, facts.std)
