"""What training did to the theory's polynomials: spectra, smoothing factors, effective coefficients
and identifiability of finished runs.

`analyse(run)` reads a run folder, measures every level at the start and after training, and writes
RUN/report. `along_training(run)` measures the epochs between. `compare(runs)` puts several runs
into one table, with mean, spread and paired comparisons over seeds. Nothing here trains or draws.

The chapters, each building on those before it: `levels` measures one level, `runs` reads a run's
folder and makes its report, `along` the epochs of its training, `studies` the rows of many runs.
`numbers` spells numbers, `stats` has means, spreads and tests over seeds. What an analysis is made
of is read best from `analysis.levels.report` and `analysis.runs.report`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.along.results import Along
    from analysis.along.training import along_training
    from analysis.runs.comparison import compare
    from analysis.runs.report import analyse
    from analysis.runs.results import RunComparison, SpectralReport
    from analysis.runs.text import comparison_text, report_text

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
    **dict.fromkeys(("RunComparison", "SpectralReport"), "runs.results"),
    **dict.fromkeys(("comparison_text", "report_text"), "runs.text"),
    **{"Along": "along.results", "along_training": "along.training"},
    **{"analyse": "runs.report", "compare": "runs.comparison"},
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(f"analysis.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
