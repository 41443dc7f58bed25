"""What training did to the theory's polynomials: spectra, smoothing factors, effective coefficients
and identifiability of finished runs.

`analyse(run)` reads a run folder, measures every level at the start and after training, and writes
RUN/report. `along_training(run)` measures the epochs between. `compare(runs)` puts several runs
into one table, with mean, spread and paired comparisons over seeds. Nothing here trains or draws.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.along import along_training
    from analysis.along_results import Along
    from analysis.comparison import compare
    from analysis.report import analyse
    from analysis.results import RunComparison, SpectralReport
    from analysis.text import comparison_text, report_text

__all__ = [
    "Along",
    "RunComparison",
    "SpectralReport",
    "along_training",
    "analyse",
    "compare",
    "comparison_text",
    "report_text",
]

# imported when they are asked for: a table of runs needs no torch
_HOMES = {
    **dict.fromkeys(("RunComparison", "SpectralReport"), "results"),
    **dict.fromkeys(("comparison_text", "report_text"), "text"),
    **{"Along": "along_results", "along_training": "along"},
    **{"analyse": "report", "compare": "comparison"},
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(f"analysis.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
