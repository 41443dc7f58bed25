"""`train(config, out)`: a run from configuration to run folder, resumable at any moment, stopped
cleanly by SIGTERM and SIGUSR1."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mgtheory._files import read_json
from nets.config import absolute
from nets.data.augment import normalise
from nets.data.sources import DataSet, find_source, load_data
from nets.defaults import own_defaults
from nets.models.norms import convert_ghost_batchnorm
from nets.models.registry import create_model, model_options
from nets.settings import TrainConfig, TrainSection
from nets.start.block import start_blocks
from nets.start.features import affordable
from nets.start.initialise import initialise, resolve_start
from nets.start.report import InitReport
from nets.training.checkpoint import load_model
from nets.training.folder import Summary, check_run, load, lock_run, prepare_run, read_summary
from nets.training.predict import check_data, read_data_facts
from nets.training.run import Run, StopRequest, handled
from nets.training.trainer import Trainer

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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
        one without touching it. With more `train.epochs` than before it trains longer: from its
        last step on the learning rate is that of the longer run's schedule at that step, so that a
        cosine that had come down rises again; what was trained before stays.
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
    out, config = Path(out), absolute(config)
    if force and resume:
        raise ValueError("resume and force exclude one another")
    with StopRequest(stop) as request, torch.random.fork_rng(devices=[]), _settings(config.train):
        torch.manual_seed(config.train.seed)
        state = check_run(out, config, resume=resume, force=force)
        if state == "finished":
            summary = read_summary(out)
            if progress:
                print(f"{out}: finished before, nothing was done", file=sys.stderr)
            return summary
        fabric = _fabric(config.train, request)
        if state == "resume" and fabric.global_rank == 0:
            with lock_run(out):  # a study asks again and again: refused before data and spectra
                pass
        # the first rank decodes and caches the data, the others read the cache
        if fabric.global_rank > 0:
            fabric.barrier("data")
        data = load_data(**config.data.arguments())
        if fabric.global_rank == 0:
            fabric.barrier("data")
        if state == "resume":
            check_data(out, data)
        begun = _begun(out) if state == "resume" else None
        taken: list[str] = []
        model, report = begun or build(config, data, report=taken.append)
        if config.train.select == "best" and not len(data.validation):
            raise ValueError(
                "train.select is best, but there are no validation images; set data.validation > 0"
            )
        trainer = Trainer(config, fabric, _with_norms(model, config.train), data)
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
            run.notes += taken
            with _several(fabric.world_size):
                return run.execute(request)


def is_first_rank() -> bool:
    """Whether this process is the only one of its run or the first, which writes and reports."""
    group = torch.distributed
    return not (group.is_available() and group.is_initialized() and group.get_rank() > 0)


def check_start(config: TrainConfig) -> None:
    """ValueError or FileNotFoundError where the model or its start cannot be what the configuration
    says, found without data or weights."""
    with torch.device("meta"):
        model = create_model(config.model.name, **_options(config))
    resolve_start(model, config.init.scheme, config.init.operator, config.init.options)
    find_source(config.data.name)
    if config.init.weights is not None:
        _source(config.init.weights)


def _options(config: TrainConfig) -> dict[str, Any]:
    """The model's options; ValueError for keys of the configuration that it does not take, as where
    a recipe made for another model gives them, with the settings that take them out."""
    given, taken = config.model.overrides(), model_options(config.model.name)
    keys = [key for key in given if key not in taken and key not in config.model.options]
    if keys:
        fix = " ".join(f"--set {key}=null" for key in keys)
        raise ValueError(
            f"{config.model.name} has no option {', '.join(map(repr, keys))}, which the"
            f" configuration gives: take it out by {fix}; it takes: {', '.join(taken)}"
        )
    return given


SAMPLE = 64  # training images by which the start measures the features, of large ones fewer


def build(
    config: TrainConfig, data: DataSet, *, report: Callable[[str], None] = warnings.warn
) -> tuple[nn.Module, dict[str, Any]]:
    """(model, report): the configured model for a data set, started by its seed; with
    `init.weights`, one line to `report` says which of them were taken."""
    generator = torch.Generator().manual_seed(config.train.seed)
    channels, height, width = data.shape
    given = {"in_channels": channels, "num_classes": len(data.classes)} | _options(config)
    model = create_model(config.model.name, generator=generator, **given)
    if given["in_channels"] != channels or given["num_classes"] < len(data.classes):
        raise ValueError(
            f"{data.name} has {channels} channels and {len(data.classes)} classes; the model"
            " options say otherwise"
        )
    init = config.init
    if init.weights is not None:
        report(_take(model, init.weights, data))
    moments = config.data.mean or data.mean, config.data.std or data.std
    rows = _spread(data.train, affordable(SAMPLE, (height, width)))
    sample = normalise(torch.from_numpy(data.images[rows]), *moments)
    options = {"operator": init.operator, "size": (height, width), **init.options}
    started = initialise(model, init.scheme, generator=generator, sample=sample, **options)
    if not started.levels:  # blocks of polynomials start here, the same in every process
        levels = start_blocks(model, sample[:1], generator=generator)
        started = replace(started, levels=levels, scheme="none" if levels else init.scheme)
    return model, started.to_dict()


def _spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """So many of them, evenly: those of a folder are in the order of their classes."""
    evenly = np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)
    return np.take(rows, evenly)


def _source(path: str) -> nn.Module:
    """The model of a run's folder, at its trained weights, or of a file."""
    return load(path) if Path(path).is_dir() else load_model(Path(path))


def _take(model: nn.Module, path: str, data: DataSet) -> str:
    """Copy weights of equal name and shape into a model, in place, and say in one line what stays
    as it was drawn; the last layer's do where the classes are others. ValueError where less than
    half of them fit."""
    there, here = _source(path).state_dict(), model.state_dict()
    run = Path(path) if Path(path).is_dir() else Path(path).parent
    known = (run / "config.json").is_file()
    classes = read_data_facts(run).classes if known else data.classes
    head = () if classes == data.classes else ("fc.weight", "fc.bias")
    fits = [
        name
        for name, value in here.items()
        if name in there and there[name].shape == value.shape and name not in head
    ]
    weights = [name for name, _ in model.named_parameters()]
    new = [name for name in weights if name not in fits]
    count = f"{len(weights) - len(new)} of {len(weights)} tensors of weights from {path}"
    if 2 * len(new) > len(weights):
        raise ValueError(f"init.weights: only {count} fit; give the model and the width of its run")
    with torch.no_grad():
        for name in fits:
            here[name].copy_(there[name])
    others = "" if classes == data.classes else f" ({len(data.classes)} other classes)"
    rest = f"; drawn anew: {', '.join(new[:4])}{', ...' if len(new) > 4 else ''}{others}"
    return count + (rest if new else "")


def _begun(out: Path) -> tuple[nn.Module, dict[str, Any]] | None:
    """(model, report) as a begun run left them, without measuring again; None where damaged."""
    try:
        report = InitReport.from_dict(read_json(out / "init.json", "report of the start")).to_dict()
        return load_model(out / "start.safetensors").train(), report
    except (OSError, ValueError):
        return None


def _with_norms(model: nn.Module, section: TrainSection) -> nn.Module:
    if section.sync_batchnorm:
        if not torch.cuda.is_available():
            raise ValueError(
                "train.sync_batchnorm needs CUDA devices; on CPUs use train.ghost_groups or neither"
            )
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    groups = section.ghost_groups
    return convert_ghost_batchnorm(model, groups) if groups > 1 else model


# what launchers leave in the environment, in whose every process it is, of several or of one alone
LAUNCHED = ("SLURM_", "JSM_", "LSB_", "LT_", "TORCHELASTIC_")
COUNTS = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK")


LEAST_PROCESSES = 4  # that any machine may be asked for, to try them


def _fabric(section: TrainSection, request: StopRequest | None = None) -> Fabric:
    """A launched Fabric; several devices run as DDP, started here or by torchrun or Slurm."""
    named: dict[str, Any] = {"cuda": torch.cuda, "mps": torch.backends.mps}
    kind, devices = section.accelerator, section.devices
    if kind in named and not named[kind].is_available():
        raise ValueError(
            f"train.accelerator is {kind}; no {kind.upper()} device is available here, allowed are"
            " auto, cpu"
        )
    world = _launched("WORLD_SIZE") or 1
    if world > 1 and devices != "auto" and world != devices * section.nodes:
        raise ValueError(
            f"train.devices is {devices} on {section.nodes} nodes, but {world} processes were"
            " started: the environment variable WORLD_SIZE says so; unset it if this is one alone"
        )
    if devices == "auto" and world == section.nodes == 1:
        devices = max(1, torch.cuda.device_count()) if kind in ("auto", "cuda") else 1
    several = world > 1 or section.nodes > 1 or devices != 1
    if (
        world == 1
        and devices != "auto"
        and not (torch.cuda.is_available() or torch.backends.mps.is_available())
    ):
        most = max(os.cpu_count() or 1, LEAST_PROCESSES)
        if devices > most:
            raise ValueError(
                f"train.devices is {devices}, a process each; allowed are 1 to {most} on the"
                f" {os.cpu_count()} cores here"
            )
    if several:
        for name in COUNTS:
            _launched(name)
    # Fabric takes one process in a job of Slurm for one of many
    with nullcontext() if several else _without_launcher():
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments.lightning import LightningEnvironment
        from lightning_fabric.strategies.ddp import DDPStrategy

        newer = "forward_sync_buffers" in signature(DistributedDataParallel).parameters
        unsynced: dict[str, Any] = {"forward_sync_buffers" if newer else "broadcast_buffers": False}
        with warnings.catch_warnings(), _hushed("lightning_fabric"):
            # advice about machines that have more devices than are asked for
            warnings.simplefilter("ignore")
            try:
                fabric = Fabric(
                    accelerator=kind,
                    devices=devices,
                    num_nodes=section.nodes,
                    # "64": the trainer's doubles pass through unchanged
                    precision="bf16-mixed" if section.precision == "bf16" else "32-true",
                    strategy=DDPStrategy(**unsynced) if several else "auto",
                    plugins=None if several else LightningEnvironment(),
                )
            except (RuntimeError, ValueError, KeyError) as error:
                raise ValueError(
                    f"train.devices is {devices} on {section.nodes} nodes, which does not fit what"
                    f" is here: {' '.join(str(error).split())}"
                ) from error
            waits = world > 1 or section.nodes > 1 or (several and "SLURM_PROCID" in os.environ)
            with _ending_at_once(request) if waits else nullcontext():
                fabric.launch()
            if several:
                atexit.unregister(_leave)  # of a run before in this process
                atexit.register(_leave)
    return fabric


def _leave() -> None:
    """Leave the other processes before this one ends: gloo's threads are joined, of which one that
    still lets go of a tensor when the interpreter ends aborts it."""
    if torch.distributed.is_initialized():
        gc.collect()  # the trained model, which holds the group too
        torch.distributed.destroy_process_group()


def _launched(name: str) -> int | None:
    """A number in the environment that a launcher has set; None where it is not set or empty."""
    text = os.environ.get(name, "").strip()
    if text and not text.isdecimal():
        raise ValueError(
            f"the environment variable {name} is {text!r}; allowed is a whole number as torchrun"
            " sets it, unset it for one process alone"
        )
    return int(text) if text else None


@contextmanager
def _without_launcher() -> Iterator[None]:
    """The environment without what launchers set, which comes back."""
    names = [name for name in os.environ if name in COUNTS or name.startswith(LAUNCHED)]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextmanager
def _several(world: int) -> Iterator[None]:
    """ConnectionError, with a line to read, where another process of the run has ended: the
    library's own errors are many."""
    try:
        yield
    except RuntimeError as error:
        if world > 1 and any(name in str(error) for name in ("gloo", "NCCL", "Connection")):
            raise ConnectionError(
                "another process of this run has failed or was killed; what was saved is kept"
            ) from error
        raise


@contextmanager
def _ending_at_once(request: StopRequest | None) -> Iterator[None]:
    """Signals end the process, earlier ones too: it waits for others, perhaps forever."""
    with handled(("SIGTERM", "SIGINT", "SIGUSR1"), signal.SIG_DFL):
        if request is not None and request.signal is not None:
            signal.raise_signal(request.signal)
        yield


@contextmanager
def _hushed(name: str) -> Iterator[None]:
    """A library's logger without its announcements; warnings pass."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(before)


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
