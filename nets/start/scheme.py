"""What a scheme is: roots drawn for a level's operator, with notes on them, and its options."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mgtheory import InitialCoefficients
from mgtheory.polynomials.amplified import check_amplification
from mgtheory.polynomials.roots import leja_order
from mgtheory.spectra.record import OperatorRecord
from nets.models.options import check_number
from nets.start.spectrum import LevelSpectrum

# roots are kept at least this far from 0, relative to the scale they are drawn from or to b
GUARD = 1e-2

Roots = NDArray[np.complex128]
Rng = torch.Generator | None


@dataclass(frozen=True)
class Notes:
    """What there is to say of some factors: why a root is not what the scheme gives by itself, and
    the initial coefficients that roots were taken from; each once."""

    reasons: tuple[str, ...] = ()
    sources: tuple[InitialCoefficients, ...] = ()

    def __add__(self, other: Notes) -> Notes:
        return Notes(
            tuple(dict.fromkeys(self.reasons + other.reasons)),
            self.sources + tuple(one for one in other.sources if one not in self.sources),
        )


@dataclass(frozen=True)
class Target:
    """What roots are for: A^power of one level, whose q has that degree in A and that many
    steps."""

    spectrum: LevelSpectrum
    power: int = 1
    degree: int = 1
    steps: int = 1

    @property
    def radius(self) -> float:
        """b^power."""
        return self.spectrum.radius**self.power

    @property
    def record(self) -> OperatorRecord:
        """Of A^power."""
        return self.spectrum.operator_record(self.power)

    @property
    def points(self) -> Roots:
        """The eigenvalues of A^power, or of a curve around them."""
        return self.spectrum.outline**self.power

    def share(self, amplification: float, n: int) -> float:
        """Of n factors in A^power in the level's amplification M: M^(their degree / the level's).
        Together all have M where they are of one kind; those of different kinds are largest at
        different z, and their product is below."""
        return math.pow(check_amplification(amplification), n * self.power / self.degree)


@dataclass(frozen=True)
class Drawn:
    """Roots, what small ones are measured by, and notes."""

    roots: Roots
    scale: float
    notes: Notes = Notes()


Draw = Callable[..., Drawn]


@dataclass(frozen=True)
class Scheme:
    """One way to start.

    Attributes
    ----------
    name, summary
        And a line about it.
    draw
        ``(target, n, rng, **options) -> Drawn``: n roots for the target.
    options
        Of `draw`, with their values, at first its defaults.
    further
        Options without a default, which go on to the family's function.
    draw_pairs
        The same for the 2n roots of n complex pairs, conjugates adjacent; None for those of `draw`
        in Leja order, of which real ones are paired by the caller.
    exact
        Whether the roots are those of a file, which nothing but an amplification changes.
    amplification
        M where it was asked for: what the level's q is scaled to (`nets.start.factors`), unless the
        scheme bounds it.
    features
        The size of the network's features where it was asked for: what M is fitted to
        (`nets.start.features`).
    """

    name: str
    summary: str
    draw: Draw
    options: Mapping[str, Any]
    further: tuple[str, ...] = ()
    draw_pairs: Draw | None = None
    exact: bool = False
    amplification: float | None = None
    features: float | None = None

    @property
    def bounds(self) -> bool:
        """Whether the amplification is an option that `draw` itself keeps to."""
        return "amplification" in self.options

    @property
    def settings(self) -> dict[str, Any]:
        """The options, and amplification and size of the features where they were asked for."""
        asked = {"amplification": self.amplification, "features": self.features}
        return {**self.options, **{key: value for key, value in asked.items() if value is not None}}

    def amplifying(self, M: float) -> Scheme:
        """The scheme with that amplification, as one that was not asked for where it bounds it."""
        if self.bounds:
            return replace(self, options={**self.options, "amplification": M})
        return replace(self, amplification=M)

    def with_options(self, given: Mapping[str, Any], *, beside: Sequence[str] = ()) -> Scheme:
        """The scheme with these values of its options; ValueError for one that it does not have (it
        names those and the ones `beside` them), for a value that is not a finite number, a relative
        lower end beyond (0, 1), an amplification that is not larger than 1, a size of the features
        that is not positive, and for both of these."""
        every = ("amplification", "features")
        allowed = dict.fromkeys([*self.options, *self.further, *beside, *every])
        for key, value in given.items():
            if key not in allowed or key in beside:
                raise ValueError(
                    f"unknown option {key!r} of scheme {self.name}, allowed are:"
                    f" {', '.join(allowed)}"
                )
            if key not in self.further:
                check_number(value, f"option {key} of scheme {self.name}")
            if key == "lower" and not 0.0 < value < 1.0:
                raise ValueError(
                    f"{self.name}: lower is {value:g}, the relative lower end must be between 0 and"
                    " 1"
                )
        asked, features = given.get("amplification"), given.get("features")
        if asked is not None and features is not None:
            raise ValueError(
                f"scheme {self.name} has amplification {asked:g} and features {features:g}; the"
                " size of the features decides the amplification: give one of them"
            )
        if asked is not None:
            check_amplification(asked)
        if features is not None and features <= 0.0:
            raise ValueError(f"{self.name}: features is {features:g}, must be positive")
        common = ("features",) if self.bounds else ("amplification", "features")
        own = {key: value for key, value in given.items() if key not in common}
        if asked is None and features is None:  # else the later of the two counts
            asked, features = self.amplification, self.features
        return replace(
            self, options={**self.options, **own}, amplification=asked, features=features
        )

    def roots(self, target: Target, n: int, rng: Rng) -> Drawn:
        """n roots for the target."""
        return self.draw(target, n, rng, **self.options)

    def pairs(self, target: Target, n: int, rng: Rng) -> Drawn:
        """The 2n roots of n complex pairs."""
        if self.draw_pairs is not None:
            return self.draw_pairs(target, n, rng, **self.options)
        drawn = self.roots(target, 2 * n, rng)
        return replace(drawn, roots=leja_order(drawn.roots))


def guarded(values: NDArray[Any], scale: float) -> Drawn:
    """The values with their modulus raised to `GUARD` * scale, direction kept."""
    modulus, floor = np.abs(values), GUARD * scale
    if (modulus >= floor).all():
        return Drawn(values.astype(complex), scale)
    direction = np.where(modulus > 0, values / np.where(modulus > 0, modulus, 1.0), 1.0)
    moved = np.where(modulus < floor, floor * direction, values).astype(complex)
    reason = f"a root nearer to 0 than {floor:.3g} was moved out to that modulus"
    return Drawn(moved, scale, Notes((reason,)))
