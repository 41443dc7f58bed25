"""Studies: a grid of training runs from one file, here or on Slurm, with mean and spread at the
end."""

from polymgnet.study.local import run_local
from polymgnet.study.page import write_page
from polymgnet.study.plan import Study, load_study
from polymgnet.study.run import Run
from polymgnet.study.slurm import run_slurm
from polymgnet.study.summary import Row, differences, summarise, tested_on

__all__ = [
    "Row",
    "Run",
    "Study",
    "differences",
    "load_study",
    "run_local",
    "run_slurm",
    "summarise",
    "tested_on",
    "write_page",
]
