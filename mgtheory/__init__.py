"""Multigrid theory: residual polynomials, Poisson problems, multigrid cycles, Fourier analysis, and initial coefficients from them.

>>> import mgtheory
>>> start = mgtheory.derive("chebyshev4", 2, lmax=8.0)
>>> start.roots.real.round(4).tolist()
[7.2361, 2.7639]
"""

from mgtheory.factors import ComplexPair, Factor, General, Linear, RealPair, SymmetricPair
from mgtheory.initialise import InitialCoefficients, derive
from mgtheory.polynomial import Recurrence, ResidualPolynomial

__all__ = [
    "ComplexPair",
    "Factor",
    "General",
    "InitialCoefficients",
    "Linear",
    "RealPair",
    "Recurrence",
    "ResidualPolynomial",
    "SymmetricPair",
    "derive",
]
