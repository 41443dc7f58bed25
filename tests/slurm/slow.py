"""A job, or the command, whose steps take longer, so that what happens in between is sure to."""

import os
import signal
import sys
import time
from pathlib import Path


def main(words):
    from polymgnet.study import job

    before = signal.signal(signal.SIGUSR1, job.noting(job.early))
    from nets.training.trainer import Trainer

    step = Trainer.train_step

    def train_step(self, *args):
        time.sleep(float(os.environ["SECONDS_A_STEP"]))
        step(self, *args)

    Trainer.train_step = train_step
    if words[0] != "train":
        return job.main(Path(words[0]), int(os.environ["SLURM_ARRAY_TASK_ID"]))
    signal.signal(signal.SIGUSR1, before)
    from polymgnet.cli import main

    return main(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
