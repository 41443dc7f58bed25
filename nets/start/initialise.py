"""The start of a network from theory: operators and polynomial coefficients of every level by name,
with a report of what was done.

``initialise(model, "chebyshev4", operator="laplacian", size=(32, 32))`` starts each level's A,
measures its spectrum as the network applies it (with its padding, on the level's own grid, or a
part of a large one), takes the family on (0, 1], scales it by the spectral radius b, and turns its
roots into the level's factors. Every level reports max |q| over that spectrum: below 1 (but for
q(0) = 1 at an eigenvalue 0) repeated passes converge, above 1 they do not, whatever the family's
name. One pass is bounded by it where A is normal; of a random A ||q(A)|| is larger.

The spectrum is that of A alone. A batch norm inside rho divides the residual by its standard
deviation s: a linear step then changes the next residual by about w b in units of s, and near given
images its factor is 1 - (w/s) t where the relu passes, 1 elsewhere. How much a level amplifies with
its norms and relus is the report's `jacobian_norm`, measured where images are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from mgtheory import InitialCoefficients
from mgtheory._checks import check_kind
from mgtheory.polynomials.bounded import AMPLIFICATION
from mgtheory.polynomials.factors import FACTORS
from nets.defaults import own_defaults
from nets.models.blocks import Level
from nets.models.checks import check_generator, check_images, check_numbers
from nets.models.classifier import MultigridClassifier
from nets.models.coefficients import Coefficients
from nets.settings import DEFAULT_SCHEME
from nets.start.factors import GENERAL, level_factors
from nets.start.features import Features, fitted_amplification
from nets.start.jacobian import jacobian_norms
from nets.start.operators import check_separable_start, level_grids, start_operators, start_options
from nets.start.report import InitReport, LevelReport
from nets.start.scheme import Notes, Rng, Scheme
from nets.start.schemes import find_scheme, scheme_text
from nets.start.spectrum import LevelSpectrum


@own_defaults()
def initialise(
    model: nn.Module,
    scheme: str | InitialCoefficients = DEFAULT_SCHEME,
    *,
    operator: str = "random",
    padding: str = "applied",
    generator: torch.Generator | None = None,
    size: Sequence[int] = (32, 32),
    images: Tensor | None = None,
    sample: Tensor | None = None,
    **options: Any,
) -> InitReport:
    """Start the operators A and the polynomial coefficients of a model, in place.

    Parameters
    ----------
    model
        Of `create_model`. A model without polynomial coefficients (MgNet, ResNet), or with those of
        `PolynomialBlock` alone, which start themselves, takes ``none``: a scheme would have nothing
        to start there, and is refused.
    scheme
        ``name``, ``name:option=value,...`` (see `list_schemes`), what `derive` returns or the file
        of it, ``file:init.json``, or ``none``; by default ``bounded:features=0.6``: on a level of
        linear steps equal roots, with one max |q| = M on every level's disc |z| <= b, the M at
        which what the classifier reads has the size 0.6 (`nets.start.features`), or 8 where no M
        gives it, as behind norms; a general step p_d has at most 3 by itself. ``bounded`` alone
        takes M = 8, ``bounded:amplification=M`` any other.
    operator
        Start of every A: ``random``, ``laplacian`` (options `small`, `scale`), ``shifted`` (option
        `margin`) or ``keep``.
    padding
        What b, max |q| and a scheme that looks at A's spectrum go by: ``applied``, A with the
        padding and on the grid (or a part of a large one) that the network applies it on; or
        ``periodic``, A with periodic padding on at least 16 points an axis, as in earlier versions.
    generator
        For every random number of the start, on the CPU; None is torch's global one.
    size
        (height, width) of the input images.
    images
        A batch of them, on which the report is to say |J|_2 of every level as it is, with norms
        and activations, beside max |q|; that takes longer than the start.
    sample
        Two of them or more, as the model takes them, on which the features' size is measured; None
        takes `images`, or without any random ones with the spectrum of photographs, which give it
        within a factor of 2, of 3 with one level.
    **options
        Of the scheme or of the operator's start, in place of or beside those in the scheme's text;
        every scheme has ``amplification``, what max |q| on a level's spectrum is scaled to, and
        ``features``, a size of the features in place of it.

    Returns
    -------
    InitReport
        Levels with factors, scale, max |q| on the true spectrum, what was fitted and why, and the
        size of the features.

    Raises
    ------
    ValueError
        For an unknown scheme, operator or option, and where a scheme cannot serve the model, with
        the reason.
    """
    check_kind(model, nn.Module, "model", "a network, as create_model makes one")
    check_numbers(model)
    check_generator(generator)
    for name, given in (("images", images), ("sample", sample)):
        if given is not None:
            check_images(given, name)
    chosen, for_operator = resolve_start(model, scheme, operator, options)
    spec = getattr(model, "spec", None)
    levels = model.multigrid_levels if isinstance(model, MultigridClassifier) else []
    spectra = start_operators(
        [level.A for level in levels],
        operator,
        level_grids(size, [level.A.in_channels for level in levels], padding),
        padding=padding,
        generator=generator,
        **for_operator,
    )
    features = Features.of(model, images if sample is None else sample, size)
    if levels and chosen is not None and chosen.features is not None:
        if features is None:
            raise ValueError(
                f"scheme {scheme} goes by what differs between images: give two or more as sample"
            )
        chosen = fitted(features, chosen, levels, spectra, generator)
    reports, notes = [], Notes()
    for i, (level, spectrum) in enumerate(zip(levels, spectra), start=1):
        report, said = start_level(i, level, chosen, spectrum, generator)
        reports.append(report)
        notes += said
    if images is not None:
        measured = jacobian_norms(model, images)
        reports = [replace(one, jacobian_norm=value) for one, value in zip(reports, measured)]
    return InitReport(
        spec and spec.to_dict(),
        scheme_text(scheme),
        (chosen.settings if chosen is not None else {}) | for_operator,
        operator,
        (size[0], size[1]),
        tuple(reports),
        notes.sources,
        None if features is None else features.size(),
    )


def resolve_start(
    model: nn.Module,
    scheme: str | InitialCoefficients,
    operator: str,
    options: Mapping[str, Any],
) -> tuple[Scheme | None, dict[str, Any]]:
    """(the scheme, None where coefficients stay; the options of the operators' start), as
    `initialise` uses them; ValueError where the model cannot be started so. Needs no weights: the
    model may be on the device ``meta``."""
    if not isinstance(operator, str):
        raise ValueError(f"operator is {operator!r}, must be text")
    extra = start_options(operator)
    for_operator = {key: value for key, value in options.items() if key in extra}
    for_scheme = {key: value for key, value in options.items() if key not in extra}
    chosen = find_scheme(scheme)
    if chosen is not None:
        chosen = chosen.with_options(for_scheme, beside=sorted(extra))
    elif for_scheme:
        raise ValueError(
            f"unknown option {next(iter(for_scheme))!r} of scheme none and operator {operator},"
            f" allowed are: {', '.join(sorted(extra)) or 'none'}"
        )
    spec = getattr(model, "spec", None)
    name = spec.name if spec is not None else type(model).__name__
    levels = model.multigrid_levels if isinstance(model, MultigridClassifier) else []
    if chosen is not None and not takes_scheme(model):
        if any(takes_scheme(module) for module in model.modules()):
            raise ValueError(
                f"a {type(model).__name__} is around the network that scheme {scheme_text(scheme)}"
                " starts: initialise that one, before it is compiled or wrapped"
            )
        has = f"and {name} has none"
        if any(isinstance(module, Coefficients) for module in model.modules()):
            has = f"of levels, {has}: a PolynomialBlock starts itself, by its own start="
        raise ValueError(
            f"scheme {scheme_text(scheme)} starts polynomial coefficients {has}; use none"
        )
    if not levels and operator not in ("random", "keep"):
        raise ValueError(
            f"operator {operator} starts the operators A of multigrid levels and {name} has none;"
            " use random"
        )
    check_separable_start([level.A for level in levels], operator)
    return chosen, for_operator


def takes_scheme(model: nn.Module) -> bool:
    """Whether it has levels with polynomial coefficients, which a scheme starts."""
    modules = model.modules() if isinstance(model, MultigridClassifier) else ()
    return any(isinstance(module, Coefficients) for module in modules)


def start_level(
    number: int, level: Level, scheme: Scheme | None, spectrum: LevelSpectrum, rng: Rng
) -> tuple[LevelReport, Notes]:
    """Set the coefficients of a level whose A has that spectrum by a scheme, in place (None: they
    stay), and report; with what is to be said of them."""
    notes = Notes() if scheme is None else _set_factors(level, scheme, spectrum, rng)
    return LevelReport.of(number, level, spectrum, notes), notes


def _set_factors(level: Level, scheme: Scheme, spectrum: LevelSpectrum, rng: Rng) -> Notes:
    factors, notes = level_factors(level, scheme, spectrum, rng)
    for step, factor in zip(level.smoothing_steps, factors):
        cast("Coefficients", step.coefficients).set_factor(factor)
    return notes


def fitted(
    features: Features,
    scheme: Scheme,
    levels: Sequence[Level],
    spectra: Sequence[LevelSpectrum],
    rng: Rng,
) -> Scheme:
    """The scheme with the amplification at which the features have the size that it asks for; as it
    is where none gives it."""
    source = torch.default_generator if rng is None else rng
    state = source.get_state()

    def measure(M: float) -> float:
        source.set_state(state)  # every time from the same random numbers
        for level, spectrum in zip(levels, spectra):
            _set_factors(level, scheme.amplifying(M), spectrum, rng)
        return features.size()

    # beyond its own limit a general step does not follow M
    general = any(
        FACTORS[step.kind].parameters is None for one in levels for step in one.smoothing_steps
    )
    first = GENERAL if general and scheme.bounds else AMPLIFICATION
    M = fitted_amplification(measure, cast("float", scheme.features), first=first)
    source.set_state(state)
    return scheme if M is None else scheme.amplifying(M)
