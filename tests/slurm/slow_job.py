"""A job whose steps take a second each, so that what happens in between is sure to."""

import os
import signal
import sys
import time
from pathlib import Path


def main():
    from polymgnet.study import job

    signal.signal(signal.SIGUSR1, job.noting(job.early))
    from nets.training.trainer import Trainer

    step = Trainer.train_step

    def train_step(self, *args):
        time.sleep(float(os.environ["SECONDS_A_STEP"]))
        step(self, *args)

    Trainer.train_step = train_step
    return job.main(Path(sys.argv[1]), int(os.environ["SLURM_ARRAY_TASK_ID"]))


if __name__ == "__main__":
    sys.exit(main())
