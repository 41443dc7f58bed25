"""Smoothers compared on a problem or a matrix: every family and degree, predicted by theory and
measured.

>>> from mgtheory import poisson
>>> found = compare_smoothers(poisson((31, 31)), families=["chebyshev4"], degrees=[1, 2])
>>> [round(row.smoothing_factor, 3) for row in found.rows[:2]]
[0.667, 0.25]
"""

from mgtheory.comparison.compare import compare_smoothers
from mgtheory.comparison.predicted import approximation, derived
from mgtheory.comparison.table import COLUMNS, OPTIMISED, Row, SmootherComparison

__all__ = [
    "COLUMNS",
    "OPTIMISED",
    "Row",
    "SmootherComparison",
    "approximation",
    "compare_smoothers",
    "derived",
]
