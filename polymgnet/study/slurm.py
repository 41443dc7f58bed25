"""The runs of a study on Slurm: submitted once and waited for; a later call submits what is missing
alone."""

import json
import re
import shutil
import time
from typing import Any

from polymgnet.console import Step, silent, write_json
from polymgnet.study.plan import Study
from polymgnet.study.run import outcome


def run_slurm(
    study: Study, *, cluster: str = "slurm", poll: float = 10.0, report: Step = silent
) -> dict[str, str]:
    """Submit what is missing through submitit and wait; jobs that an earlier call submitted and
    that still run are waited for, not doubled.

    Parameters
    ----------
    cluster
        submitit's name of the executor; "local" runs the same path in processes of this machine.
    poll
        Seconds between two looks at the queue.
    """
    import submitit

    if cluster == "slurm" and not shutil.which("srun"):
        raise ValueError(
            "engine slurm needs Slurm's commands (srun, sbatch), which are not on this machine;"
            " allowed here is local"
        )
    executor = submitit.AutoExecutor(folder=study.out / "jobs", cluster=cluster)
    try:
        executor.update_parameters(name="polymgnet", **study.slurm)
    # submitit's own error for an unknown parameter is a NameError
    except (NameError, TypeError) as error:
        raise ValueError(f"slurm: {error}") from None
    book = study.out / "jobs.json"
    known = json.loads(book.read_text(encoding="utf-8")) if book.is_file() else {}
    job_class = executor._executor.job_class
    waiting, runs = {}, {run.folder.name: run for run in study.missing}
    for name, run in runs.items():
        if name in known:
            earlier = job_class(folder=executor.folder, job_id=known[name])
            if not earlier.done():
                waiting[name] = earlier
                continue
        waiting[name] = executor.submit(run, progress=True)
        known[name] = waiting[name].job_id
        write_json(book, known)
    failed: dict[str, str] = {}
    done = len(study.runs) - len(waiting)
    report(done, "")
    while waiting:
        for name in [name for name, job in waiting.items() if job.done()]:
            with study.attempt(runs[name], failed):
                _result(waiting.pop(name))
            done += 1
            report(done, finished=outcome(runs[name], failed))
        if waiting:
            report(done, f"{len(waiting)} queued or running")
            time.sleep(poll)
    return failed


def _result(job: Any) -> None:
    """Raises what the job raised; a FloatingPointError as itself, which submitit's error has in the
    last line of its traceback alone."""
    from submitit.core.utils import FailedJobError

    try:
        job.result()
    except FailedJobError as error:
        lost = re.search(r"^FloatingPointError: (.*)\s*^-{10,}$", str(error), re.MULTILINE)
        if lost is None:
            raise
        raise FloatingPointError(lost[1]) from None
