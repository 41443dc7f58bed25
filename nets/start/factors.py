"""The rules that turn the roots of a scheme into the factors of a level.

- linear steps take the roots in Leja order; a complex root is replaced by its modulus (fitted);
- symmetric pairs take the family of their number on A^2, spectrum (0, b^2]: kappa_i = 1/r_i; a kind
  with one parameter in units of 1/A^m takes it on A^m likewise;
- real pairs take two real roots each, equal ones a little apart (fitted); complex pairs a conjugate
  pair where there is one, else the mean of two real roots with a small imaginary part (fitted);
  general steps any polynomial of their degree, exactly;
- where an amplification M is asked for, the level's q, the product of all factors, is then scaled
  along its axis until max |q| on the level's spectrum is M (`mgtheory.polynomials.amplified`);
- a general step has no norm between its d products with A, and q(A) grows with A like its power d:
  in training one step of the optimiser doubles A. Unless an amplification is asked for, its q is
  shortened to max |q| <= `GENERAL` (fitted). That of a file is not.

Nothing is changed on the way: factors come back with `Notes` on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np

from mgtheory.families import amplification_scale
from mgtheory.polynomials.amplified import largest_modulus
from mgtheory.polynomials.factors import FACTORS, ComplexPair, Factor, General, RealPair
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.roots import leja_order
from nets.models.blocks import Level
from nets.models.coefficients import Coefficients
from nets.start.scheme import Notes, Rng, Roots, Scheme, Target, guarded
from nets.start.schemes import PAIR_GUARD
from nets.start.spectrum import LevelSpectrum

MODULUS = "complex roots on steps with real ones were replaced by their modulus"
APART = "equal roots of a real pair start a little apart: equal gradients would keep them equal"
MEAN = (
    "the roots are real: a complex pair takes the mean of two of them with a small imaginary part"
)
# On the digits general steps of degree 4 to 10 learn fastest from 3 to 4, by AdamW at the recipe's
# rate. By SGD at 0.1 with momentum degree 4 diverges from 4 on; degree 8 does from 2 on and wants
# its gradients clipped.
GENERAL = 3.0
NEARLY = 1.01  # pairs that start a little apart exceed M by less
SHORTER = f"the q of each general step was shortened to max |q| = {GENERAL:g} on the spectrum"


def level_factors(
    level: Level, scheme: Scheme, spectrum: LevelSpectrum, rng: Rng = None
) -> tuple[tuple[Factor, ...], Notes]:
    """The scheme's factor for every step of a level, and notes on them.

    Steps of one kind and degree take their roots together, the kinds in order of appearance; steps
    with shared coefficients are one.
    """
    own = [cast("Coefficients", step.coefficients) for step in level.smoothing_steps]
    groups: dict[tuple[str, int], list[Coefficients]] = {}
    for module in dict.fromkeys(own):
        groups.setdefault((module.kind, module.degree), []).append(module)
    chosen: dict[Coefficients, Factor] = {}
    notes = Notes()
    for (kind, degree), modules in groups.items():
        target = Target(spectrum, degree=level.degree, steps=len(own))
        found = _factors(scheme, target, kind, len(modules), degree, rng)
        for module, (factor, said) in zip(modules, found, strict=True):
            chosen[module] = factor
            notes += said
    factors, M = [chosen[module] for module in own], scheme.amplification
    if M is not None and not scheme.bounds:
        factors = _amplified(factors, spectrum, M)
    elif scheme.bounds and notes.reasons:  # what was fitted may exceed it
        factors = _amplified(factors, spectrum, scheme.options["amplification"], only_down=True)
    if M is None and not scheme.exact:
        for i, factor in enumerate(factors):
            if FACTORS[factor.kind].parameters is None:
                (factors[i],) = _amplified([factor], spectrum, GENERAL, only_down=True)
                notes += Notes((SHORTER,) if factors[i] != factor else ())
    return tuple(factors), notes


def _amplified(
    factors: list[Factor], spectrum: LevelSpectrum, M: float, *, only_down: bool = False
) -> list[Factor]:
    """The factors of q(s t), q their product, with max |q| = M on the spectrum."""
    q, record = ResidualPolynomial.from_factors(factors), spectrum.operator_record()
    if only_down and largest_modulus(q, spectrum.radius) <= NEARLY * M:
        return factors  # on the whole disc, so that the spectrum in it need not be known
    scale = amplification_scale(q, record, M, only_down=only_down)
    return [factor.scaled(1 / scale) for factor in factors]


def _factors(
    scheme: Scheme, target: Target, kind: str, count: int, degree: int, rng: Rng
) -> Iterator[tuple[Factor, Notes]]:
    """The factors of `count` steps of one kind (a general step's `degree` given)."""
    parameters = FACTORS[kind].parameters
    if parameters is None:
        for _ in range(count):
            drawn = scheme.roots(target, degree, rng)
            terms = ResidualPolynomial(drawn.roots).correction_coefficients
            yield General(tuple(terms)), drawn.notes
    elif len(parameters) == 1:  # w t^m for a parameter w in units of 1/A^m: linear in A^m
        (power,) = parameters.values()
        drawn = scheme.roots(replace(target, power=power), count, rng)
        for r in _real(leja_order(drawn.roots) if power == 1 else drawn.roots):
            yield Factor(kind, (1.0 / r,)), drawn.notes + _of_moduli(drawn.roots)
    elif kind == "real_pair":
        drawn = scheme.roots(target, 2 * count, rng)
        roots = _real(leja_order(drawn.roots))
        for first, second in zip(roots[0::2], roots[1::2]):
            notes = drawn.notes + _of_moduli(drawn.roots)
            if math.isclose(first, second, rel_tol=1e-6):  # equal in single precision
                first, second = first / (1 - PAIR_GUARD), second / (1 + PAIR_GUARD)
                notes += Notes((APART,))
            yield RealPair(first, second), notes
    elif kind == "complex_pair":
        drawn = scheme.pairs(target, count, rng)
        for z in drawn.roots[drawn.roots.imag > 0.0]:
            yield ComplexPair(float(z.real), float(z.imag)), drawn.notes
        real = drawn.roots[drawn.roots.imag == 0.0].real
        for first, second in zip(real[0::2], real[1::2]):
            mean = guarded(np.array([0.5 * (first + second)]), drawn.scale)
            a = float(mean.roots[0].real)
            notes = drawn.notes + mean.notes + Notes((MEAN,))
            yield ComplexPair(a, PAIR_GUARD * abs(a)), notes
    else:
        raise ValueError(
            f"no scheme knows how a {kind} step of {len(parameters)} coefficients starts; use none"
        )


def _real(roots: Roots) -> list[float]:
    return [float(abs(z)) if z.imag != 0.0 else float(z.real) for z in roots]


def _of_moduli(roots: Roots) -> Notes:
    return Notes((MODULUS,) if np.any(roots.imag != 0.0) else ())
