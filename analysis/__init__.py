"""What training did to the theory's polynomials: spectra, smoothing factors, effective coefficients
and identifiability of finished runs.

`analyse(run)` reads a run folder, measures every level at the start and after training, and writes
RUN/analysis. `compare(runs)` puts several runs into one table, with mean, spread and paired
comparisons over seeds. Nothing here trains or draws.
"""

from analysis.compare import compare
from analysis.identifiability import Reading, readings
from analysis.level_report import LevelReport, analyse_level
from analysis.level_state import LevelState, NormState, StepState, level_states
from analysis.records import RunRecord, read_metrics, read_run, read_runs
from analysis.report import analyse
from analysis.results import RunComparison, SpectralReport
from analysis.spectra import Damping, Spectrum, convolution_spectrum, damping
from analysis.stats import Comparison, Estimate, estimate, fraction_interval, paired
from analysis.verdict import Verdict, judge, nearest_classical

__all__ = [
    "Comparison",
    "Damping",
    "Estimate",
    "LevelReport",
    "LevelState",
    "NormState",
    "Reading",
    "RunComparison",
    "RunRecord",
    "SpectralReport",
    "Spectrum",
    "StepState",
    "Verdict",
    "analyse",
    "analyse_level",
    "compare",
    "convolution_spectrum",
    "damping",
    "estimate",
    "fraction_interval",
    "judge",
    "level_states",
    "nearest_classical",
    "paired",
    "read_metrics",
    "read_run",
    "read_runs",
    "readings",
]
