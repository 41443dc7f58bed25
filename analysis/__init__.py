"""What training did to the theory's polynomials: spectra, smoothing factors, effective coefficients
and identifiability of finished runs.

`analyse(run)` reads a run folder, measures every level at the start and after training, and writes
RUN/analysis. `compare(runs)` puts several runs into one table, with mean, spread and paired
comparisons over seeds. Nothing here trains or draws.
"""

from analysis.compare import RunComparison, compare
from analysis.identifiability import Reading, readings
from analysis.level_report import LevelReport, analyse_level
from analysis.level_state import LevelState, NormState, StepState, level_states
from analysis.records import RunRecord, read_metrics, read_run, read_runs
from analysis.report import SpectralReport, analyse
from analysis.spectra import Damping, damping
from analysis.stats import Comparison, Estimate, estimate, fraction_interval, paired
from analysis.verdict import Verdict, judge, nearest_classical
from nets.start.spectrum import LevelSpectrum, convolution_spectrum

__all__ = [
    "Comparison",
    "Damping",
    "Estimate",
    "LevelReport",
    "LevelSpectrum",
    "LevelState",
    "NormState",
    "Reading",
    "RunComparison",
    "RunRecord",
    "SpectralReport",
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
