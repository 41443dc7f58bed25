"""Studies: a grid of training runs from one file, here or on Slurm, with mean and spread at the
end."""

from polymgnet.study.local import run_local
from polymgnet.study.page import write_page
from polymgnet.study.plan import Study, load_study
from polymgnet.study.run import Run
from polymgnet.study.slurm import JOBS_GO_ON, Standing, cancel, run_slurm, standing
from polymgnet.study.summary import Row, differences, summarise, tested_on

__all__ = [
    "JOBS_GO_ON",
    "Row",
    "Run",
    "Standing",
    "Study",
    "cancel",
    "differences",
    "load_study",
    "run_local",
    "run_slurm",
    "standing",
    "summarise",
    "tested_on",
    "write_page",
]
