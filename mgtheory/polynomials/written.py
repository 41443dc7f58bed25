"""A polynomial as it is written: its roots as a list, its factors in TeX and in sympy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mgtheory.polynomials.factors import Factor

if TYPE_CHECKING:
    import sympy

ROOTS = 8  # listed one and all; of more the first and the last three
FACTORS = 6  # of a product, the first of more


def listed(roots: NDArray[np.complex128]) -> str:
    """Six digits of each root, without padding, the first and last three of more than eight."""
    # 0.0 and not -0.0, also for a pair's real part
    shown = [f"{z.real + 0.0:.6g}{f'{z.imag:+.6g}j' * bool(z.imag)}" for z in roots.tolist()]
    return ", ".join(shown if len(shown) <= ROOTS else [*shown[:3], "...", *shown[-3:]])


def tex(factors: Sequence[Factor]) -> str:
    """q(t) as the product of its real factors but those that are 1 (roots at infinity), the first
    six of many, between dollars."""
    signs = {True: "-", False: "+"}
    terms = [
        "".join(
            f" {signs[c < 0]} {number(abs(c))} t{f'^{j}' * (j > 1)}".replace(" 1 t", " t")
            for j, c in enumerate(factor.coefficients)
            if j and c
        )
        for factor in factors
    ]
    product = [f"(1{one})" for one in terms if one]
    dots = r" \cdots" if len(product) > FACTORS else ""
    return f"$q(t) = {' '.join(product[:FACTORS]) or 1}{dots}$"


def number(value: float) -> str:
    """Four digits of a positive number in TeX: a decimal number from 0.001 to 9999, else with a
    power of ten, so that no row of zeros stands beside one."""
    digits, _, exponent = f"{value:.3e}".partition("e")
    if -3 <= int(exponent) <= 3:
        return f"{value:.4g}"
    power = f"10^{{{int(exponent)}}}"
    return power if float(digits) == 1.0 else rf"{float(digits):g} \cdot {power}"


def sympy_product(factors: Sequence[Factor], t: sympy.Symbol | None = None) -> sympy.Expr:
    """The product of the factors in the symbol t, with 17-digit floats."""
    import sympy

    t = sympy.Symbol("t") if t is None else t
    terms = (
        sum(sympy.Float(c, 17) * t**j for j, c in enumerate(factor.coefficients))
        for factor in factors
    )
    return sympy.Mul(*terms)
