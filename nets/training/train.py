"""`train(config, out)`: a run from configuration to run folder, resumable at any moment, stopped
cleanly by SIGTERM and SIGUSR1."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mgtheory._checks import check_callable, check_kind
from nets.config import absolute
from nets.data.sources import DataSet, load_data
from nets.defaults import own_defaults
from nets.settings import TrainConfig, TrainSection
from nets.training.build import begun_model, build, with_norms
from nets.training.folder import (
    Summary,
    check_idle,
    check_run,
    lock_run,
    prepare_run,
    read_config,
    read_summary,
)
from nets.training.launch import launched_fabric, together
from nets.training.predict import check_data
from nets.training.run import Run
from nets.training.signals import StopRequest
from nets.training.trainer import Trainer


def train(
    config: TrainConfig,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: bool = True,
    callback: Callable[[dict[str, Any]], None] | None = None,
    opening: Callable[[nn.Module, DataSet], str] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Summary:
    """Trains as configured and leaves a run folder; returns its summary.

    Parameters
    ----------
    out
        The run folder, see `nets.training.folder`.
    resume
        Go on where a begun run stopped (the weights that come out are those of an uninterrupted
        run, bit by bit on a CPU); start one where there is none; return the summary of a finished
        one, on the same images, without touching it. With more `train.epochs` than before it trains
        longer: from its last step on the learning rate is that of the longer run's schedule at that
        step, so that a cosine that had come down rises again; what was trained before stays.
    force
        Remove the run that is there first.
    progress
        The run's particulars on stderr with a progress bar where that is a terminal, in a notebook
        below its cell with a bar, elsewhere with a line for every epoch and, within long ones,
        every half a minute. False: nothing is written.
    callback
        Called after every epoch with its row of metrics.csv.
    opening
        With `progress`, called before the first step with the started model and the data; the line
        that it returns is written below those on the run and its data.
    stop
        Asked between steps: True saves and returns, as SIGTERM and SIGUSR1 do.

    Returns
    -------
    Summary
        With `finished` False where a signal or `stop` asked to stop: the state is saved, `resume`
        goes on.

    Raises
    ------
    ValueError, FileNotFoundError, FileExistsError, NotADirectoryError
        Wrong input: nothing was written.
    FloatingPointError
        The loss was not finite; the message names the step, the last good checkpoint is kept.
    OSError
        A file could not be written (disk full, say); the last good checkpoint is kept.
    """
    made = "a TrainConfig, as load_config('digits', ['epochs=2']) makes one"
    check_kind(config, TrainConfig, "config", made)
    check_kind(out, (str, os.PathLike), "out", "the folder of a run")
    for name, called in (("callback", callback), ("opening", opening), ("stop", stop)):
        check_callable(called, name)
    out, config = Path(out), absolute(config)
    if force and resume:
        raise ValueError("resume and force exclude one another")
    with (
        StopRequest(stop) as request,
        torch.random.fork_rng(devices=[]),
        _settings(config.train),
        together(),
    ):
        torch.manual_seed(config.train.seed)
        check_idle(out)  # before data and spectra too: a study asks again and again
        state = check_run(out, config, resume=resume, force=force)
        if state == "finished":
            if config.data != absolute(read_config(out)).data:  # the same images elsewhere?
                check_data(out, load_data(**config.data.arguments()))
            summary = read_summary(out)
            if progress:
                print(f"{out}: finished before, nothing was done", file=sys.stderr)
            return summary
        fabric = launched_fabric(config.train, request)
        # the first rank decodes and caches the data, the others read the cache
        if fabric.global_rank > 0:
            fabric.barrier("data")
        data = load_data(**config.data.arguments())
        if fabric.global_rank == 0:
            fabric.barrier("data")
        if state == "resume":
            check_data(out, data)
        begun = begun_model(out) if state == "resume" else None
        model, report = begun or build(config, data)
        if config.train.select == "best" and not len(data.validation):
            part = config.data.validation
            way = f"no class has enough for {part:g} of them" if part else "data.validation is 0"
            raise ValueError(
                f"train.select is best, but there are no validation images: {way}; allowed is last"
            )
        trainer = Trainer(config, fabric, with_norms(model, config.train), data)
        with lock_run(out) if fabric.global_rank == 0 else nullcontext():
            if fabric.global_rank == 0:
                state = prepare_run(out, config, resume=resume, force=force)
            fabric.barrier("folder")
            if state == "finished":  # another process finished it meanwhile
                return read_summary(out)
            watched: dict[str, Any] = {
                "progress": progress,
                "callback": callback,
                "opening": opening,
            }
            run = Run(config, out, fabric, trainer, report, begun=begun is not None, **watched)
            return run.execute(request)


def _settings(section: TrainSection) -> AbstractContextManager[None]:
    """The backend's switches for a run, the caller's put back afterwards."""
    if section.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    gpu = torch.cuda.is_available()
    return own_defaults(
        deterministic=section.deterministic,
        benchmark=gpu and not section.deterministic,
        matmul="high" if gpu else "highest",
    )
