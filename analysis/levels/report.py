"""What is reported of one level: spectra, roots and smoothing of theory, start, learned and
effective polynomial, and what training did.

**theory** is the theory's polynomial scaled to the spectral radius of the learned A; **start** and
**learned** are the coefficients as they stand, on the A of that moment; **effective** is learned
with the batch norms folded in. b, max |q| and mu are those of what the network applies, with its
padding on the level's own grid, or a part of a large one, activations as the identity. What is
shown over frequencies is the symbol's, on a periodic grid of at least 16 per axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, ConfigDict, Field, InstanceOf, PlainSerializer, computed_field
from pydantic.dataclasses import dataclass as checked

from analysis.levels.effective import (
    applied_pass,
    effective_polynomial,
    effective_steps,
    has_norms,
    propagator,
)
from analysis.levels.identifiability import Reading, readings
from analysis.levels.spectra import damping, verdict_of
from analysis.levels.state import LevelState, StepState
from analysis.levels.verdict import NO_SPECTRUM, TOLERANCE, Verdict, judge, weight_distance
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.roots import roots_to_json
from nets.start.padded import TOLERANCE as TOLERANCE_OF_MEASURED
from nets.start.padded import dense_eigenvalues, high_part, product, spectral_radius
from nets.start.spectrum import LevelSpectrum, convolution_spectrum, measured_grid
from nets.start.threads import serial

ROLES = ("theory", "start", "learned", "effective")
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Operator:
    """The spectrum of a level's convolution in numbers: spectral radius b, extreme real and
    imaginary parts (of the eigenvalues that are known), whether it is positive; with the padding
    and how it was found, and the relative error of b."""

    radius: float
    real_min: float
    real_max: float
    imag_max: float
    positive: bool
    padding: str
    found: str
    error: float

    @classmethod
    def of(cls, spectrum: LevelSpectrum, values: NDArray[np.complex128]) -> Operator:
        """The numbers of a spectrum, of which these eigenvalues are known."""
        ends = (values, values) if spectrum.complete else (spectrum.left, spectrum.right)
        return cls(
            spectrum.radius,
            float(ends[0].real.min()),
            float(ends[1].real.max()),
            float(np.abs(values.imag).max()),
            spectrum.is_positive,
            spectrum.padding,
            spectrum.found,
            spectrum.error,
        )


@dataclass(frozen=True)
class View:
    """One polynomial (None for MgNet) and what one pass over a level's steps leaves with it.

    Attributes
    ----------
    smoothing_factor, max_modulus
        mu and max |q| as the network applies it.
    symbol_factor, smoothing_norm
        The symbol's mu, and its largest 2-norm on high frequencies.
    """

    polynomial: InstanceOf[ResidualPolynomial] | None
    smoothing_factor: float
    max_modulus: float
    symbol_factor: float
    smoothing_norm: float

    @property
    def verdict(self) -> str:
        """The word for mu."""
        return verdict_of(self.smoothing_factor)

    def to_dict(self) -> dict[str, Any]:
        """JSON types; roots and weights as [re, im], infinite roots as null."""
        q, numbers = self.polynomial, {k: v for k, v in vars(self).items() if k != "polynomial"}
        return {
            "degree": None if q is None else q.degree,
            "roots": None if q is None else roots_to_json(q.roots),
            "weights": None if q is None else q.to_dict()["weights"],
            **numbers,
            "verdict": self.verdict,
        }


def _with_polynomial(view: Any) -> Any:
    """A view as `View.to_dict` writes it, with the polynomial of its weights."""
    if not isinstance(view, dict):
        return view
    weights = view.get("weights")
    q = None if weights is None else ResidualPolynomial.from_dict({"weights": weights})
    return {**view, "polynomial": q}


StoredView = Annotated[View, BeforeValidator(_with_polynomial), PlainSerializer(View.to_dict)]


@checked(frozen=True, eq=False, config=ConfigDict(populate_by_name=True))
class LevelReport:
    """One level of one run.

    Attributes
    ----------
    level, channels, size, grid
        Number from 1, width c, (H, W) of the features and of the symbol's periodic grid.
    kind
        "polynomial" or "convolution" (MgNet).
    operators
        "start" and "learned": the spectrum of A; MgNet also "B1", "B2", ...: those of the learned
        B, each once.
    views
        The roles that exist, in the order of `ROLES`.
    effective
        One entry a polynomial step: coefficients of the correction per channel with the norms
        folded in, their mean and spread.
    readings
        Identifiability of every learned coefficient.
    coefficients_moved
        Relative distance of the learned weights from those at the start as they stand, not scaled
        by b; None for MgNet. Together with the two spectral radii it says whether the coefficients
        moved or the operator.
    verdict
        Kept, left or rediscovered, by the coefficients as they stand.
    effective_verdict
        Near or away from the theory by the effective coefficients; None without norms. It says
        nothing of training (see `judge`).
    arrays
        Eigenvalues as applied (all, or the outermost ones where `Operator.found` says so), those of
        the symbol by frequency, its dampings and frequencies, and effective coefficients, by name;
        kept in spectra.npz.
    """

    level: int
    channels: int
    size: tuple[int, int]
    grid: tuple[int, int]
    kind: str
    operators: dict[str, Operator]
    views: dict[str, StoredView]
    effective: tuple[dict[str, Any], ...]
    readings: Annotated[
        tuple[Reading, ...],
        Field(validation_alias="coefficients", serialization_alias="coefficients"),
    ]
    coefficients_moved: float | None
    verdict: Verdict
    effective_verdict: Verdict | None
    arrays: Annotated[dict[str, Any], Field(exclude=True)] = field(repr=False, default_factory=dict)

    @property
    def not_identifiable(self) -> tuple[Reading, ...]:
        """The coefficients in which no meaning may be read."""
        return tuple(reading for reading in self.readings if not reading.identifiable)

    @property
    def largest_only(self) -> bool:
        """Whether of the learned A as applied the outermost eigenvalues alone are known."""
        known: NDArray[np.complex128] = self.arrays["eigenvalues/learned"]
        return known.size < self.channels * math.prod(measured_grid(self.size, self.channels))

    @property
    def relative(self) -> dict[str, ResidualPolynomial]:
        """The polynomials of the roles on (0, 1], each in units of its own A's spectral radius;
        without those of A = 0, and none where training left that."""
        return relative(self.views, self.operators)

    @computed_field(alias="not_identifiable")  # type: ignore[prop-decorator]
    @property
    def names_not_identifiable(self) -> list[str]:
        """The same as words, for the JSON document."""
        return [f"step {reading.step}: {reading.name}" for reading in self.not_identifiable]


def known_eigenvalues(spectrum: LevelSpectrum) -> NDArray[np.complex128]:
    """All eigenvalues where they are cheap, else the outermost ones: of a middle-sized A that is
    not symmetric in single precision, in two fifths of the time: of random A within 7e-6 of b from
    those in double precision with 400 unknowns, within 1.4e-5 with 1,024, the most there are."""
    off_axis = np.abs(spectrum.measured.imag).max() > TOLERANCE_OF_MEASURED * spectrum.radius
    if spectrum.all_measured or not spectrum.complete or not off_axis:
        return spectrum.values.ravel()
    with serial():
        apply = product(spectrum.kernel, spectrum.grid, spectrum.padding, np.float32)
        return dense_eigenvalues(apply, spectrum.unknowns).astype(complex)


def operator_of(role: str) -> str:
    """Of a level's operators the one that a role stands on: that of the start, or the learned."""
    return "start" if role == "start" else "learned"


def relative(
    views: Mapping[str, View], operators: Mapping[str, Operator]
) -> dict[str, ResidualPolynomial]:
    """As `LevelReport.relative`."""
    if not operators["learned"].radius:
        return {}
    return {
        role: view.polynomial.scaled(1.0 / radius)
        for role, view in views.items()
        if view.polynomial is not None and (radius := operators[operator_of(role)].radius) > 0
    }


def analyse_level(
    number: int,
    start: LevelState,
    learned: LevelState,
    *,
    theory: ResidualPolynomial | None = None,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> LevelReport:
    """Everything about one level.

    Parameters
    ----------
    number
        From 1.
    start, learned
        The level before and after training, of one network.
    theory
        The theory's polynomial on (0, 1]; None for MgNet.
    tolerance
        See `verdict.judge`.
    progress
        Called with a word before each of the costly parts.
    """
    say = progress or (lambda word: None)
    spectra: dict[str, LevelSpectrum] = {}
    for name, state in (("start", start), ("learned", learned)):
        say(f"spectrum, {name}")
        # the eigenproblem is the costly part: once where training left A as it was
        same = name == "learned" and np.array_equal(start.A, learned.A)
        spectra[name] = spectra["start"] if same else state.spectrum
    arrays: dict[str, NDArray[Any]] = {"theta": spectra["learned"].symbol.theta}
    views: dict[str, View] = {}

    def add(role: str, state: LevelState) -> None:
        spectrum, folded = spectra[operator_of(role)], role == "effective"
        views[role], arrays[f"damping/{role}"] = _view(state, spectrum, folded=folded)

    if theory is not None and (b := spectra["learned"].radius):
        steps = tuple(StepState(factor) for factor in theory.scaled(b).factors)
        add("theory", replace(learned, steps=steps, end_norm=None))
        views["theory"] = replace(views["theory"], polynomial=theory.scaled(b))
    for name, state in (("start", start), ("learned", learned)):
        say(f"smoothing, {name}")
        add(name, state)
    if has_norms(learned):
        say("smoothing, effective")
        add("effective", learned)
    operators = {}
    for name, spectrum in spectra.items():
        known = arrays[f"eigenvalues/{name}"] = known_eigenvalues(spectrum)
        operators[name] = Operator.of(spectrum, known)
        arrays[f"symbol/{name}"] = spectrum.symbol.values
    for name, kernel in _distinct(learned).items():
        say(f"spectrum, {name}")
        spectrum = convolution_spectrum(kernel, learned.measured, padding=learned.padding)
        known = arrays[f"eigenvalues/{name}"] = known_eigenvalues(spectrum)
        operators[name] = Operator.of(spectrum, known)
    folded = effective_steps(learned)
    for k, step in enumerate(folded, 1):
        arrays[f"effective/step{k}"] = step.coefficients
    notes = readings(learned)
    verdict, effective_verdict = _verdicts(views, operators, notes, tolerance)
    return LevelReport(
        level=number,
        channels=learned.channels,
        size=learned.size,
        grid=learned.grid,
        kind="polynomial" if learned.factors else "convolution",
        operators=operators,
        views=views,
        effective=tuple(
            {
                "step": k,
                "mean": step.mean.tolist(),
                "spread": step.spread.tolist(),
                "outer_mean": float(step.outer.mean()),
            }
            for k, step in enumerate(folded, 1)
        ),
        readings=notes,
        coefficients_moved=(
            weight_distance(learned.polynomial, start.polynomial)
            if learned.polynomial and start.polynomial
            else None
        ),
        verdict=verdict,
        effective_verdict=effective_verdict,
        arrays=arrays,
    )


def _view(
    state: LevelState, spectrum: LevelSpectrum, *, folded: bool
) -> tuple[View, NDArray[np.float64]]:
    """What a pass leaves with the coefficients as they stand, or with the norms folded in; and what
    it leaves at each frequency of the symbol."""
    propagate, q = propagator(state, folded=folded), state.polynomial
    if q is None or folded:  # one pass is no polynomial in A
        found = damping(state.A, state.grid, propagate)
        apply, n = applied_pass(state, folded=folded), spectrum.unknowns
        high = high_part(state.measured, state.padding)
        mu = spectral_radius(lambda v: high(apply(v)), n)
        largest = spectral_radius(apply, n)
    else:  # the radii by the symbol's eigenvalues, which is cheaper and exact
        found = damping(state.A, state.grid, propagate, radius=spectrum.symbol.modulus(q))
        mu, largest = spectrum.smoothing_factor(q), spectrum.max_modulus(q)
    shown = effective_polynomial(state) if folded else q
    return View(shown, mu, largest, found.smoothing_factor, found.smoothing_norm), found.radius


def _verdicts(
    views: Mapping[str, View],
    operators: Mapping[str, Operator],
    notes: tuple[Reading, ...],
    tolerance: float,
) -> tuple[Verdict, Verdict | None]:
    """By the coefficients as they stand, and by the effective ones; None without norms."""
    q = relative(views, operators)
    if views["learned"].polynomial is not None and "learned" not in q:
        none = Verdict(NO_SPECTRUM, tolerance=tolerance)
        return none, none if "effective" in views else None
    identifiable = all(note.identifiable for note in notes)
    verdict = judge(
        q.get("start"),
        q.get("learned"),
        q.get("theory"),
        identifiable=identifiable,
        tolerance=tolerance,
    )
    if "effective" not in views:
        return verdict, None
    return verdict, judge(None, q.get("effective"), q.get("theory"), tolerance=tolerance)


def _distinct(level: LevelState) -> dict[str, NDArray[np.float64]]:
    """The convolutions B of an MgNet level, each once, as B1, B2, ..."""
    kernels: list[NDArray[np.float64]] = []
    for step in level.steps:
        if step.B is not None and not any(np.array_equal(step.B, kernel) for kernel in kernels):
            kernels.append(step.B)
    return {f"B{k}": kernel for k, kernel in enumerate(kernels, 1)}
