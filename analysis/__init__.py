"""What training did to the theory's polynomials: spectra, smoothing factors, effective coefficients
and identifiability of finished runs; and smoothers compared on a problem.

`analyse(run)` reads a run folder, measures every level at the start and after training, and writes
RUN/report. `along_training(run)` measures the epochs between. `compare(runs)` puts several runs
into one table, with mean, spread and paired comparisons over seeds. `compare_smoothers(problem)`
predicts and measures polynomial families. Nothing here trains or draws.

>>> import analysis
>>> from mgtheory import poisson
>>> found = analysis.compare_smoothers(poisson((31, 31)), families=["chebyshev4"], degrees=[2])
>>> abs(found.rows[0].smoothing_factor - 0.25) < 1e-9
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.along import Along, along_training
    from analysis.comparison import compare
    from analysis.report import analyse
    from analysis.results import RunComparison, SpectralReport
    from analysis.smoothers import SmootherComparison, compare_smoothers
    from analysis.text import comparison_text, report_text

__all__ = [
    "Along",
    "RunComparison",
    "SmootherComparison",
    "SpectralReport",
    "along_training",
    "analyse",
    "compare",
    "compare_smoothers",
    "comparison_text",
    "report_text",
]

# imported when they are asked for: comparing smoothers needs neither torch nor pandas
_HOMES = {
    **dict.fromkeys(("RunComparison", "SpectralReport"), "results"),
    **dict.fromkeys(("SmootherComparison", "compare_smoothers"), "smoothers"),
    **dict.fromkeys(("comparison_text", "report_text"), "text"),
    **dict.fromkeys(("Along", "along_training"), "along"),
    **{"analyse": "report", "compare": "comparison"},
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(f"analysis.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
