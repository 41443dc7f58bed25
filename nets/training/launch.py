"""The processes of a run: one, several that are started here, or those of torchrun or Slurm."""

from __future__ import annotations

import atexit
import gc
import logging
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parallel import DistributedDataParallel

from mgtheory.multigrid.solution import counted
from nets.settings import TrainSection
from nets.training.signals import StopRequest, handled

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# what launchers leave in the environment, in whose every process it is, of several or of one alone
LAUNCHED = ("SLURM_", "JSM_", "LSB_", "LT_", "TORCHELASTIC_")
COUNTS = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK")
# in the library's words where another process has ended, while they meet or later
GONE = ("gloo", "NCCL", "Connection reset", "Connection closed", "Broken pipe", "failed to recv")
LEAST_PROCESSES = 4  # that any machine may be asked for, to try them


def is_first_rank() -> bool:
    """Whether this process is the only one of its run or the first, which writes and reports."""
    return not (joined() and torch.distributed.get_rank() > 0)


def joined() -> bool:
    """Whether this process is one of several of a run, of this one or of one before."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def devices_here(section: TrainSection) -> int:
    """As how many processes a run is trained on this machine: for "auto", one for each GPU."""
    if section.devices != "auto":
        return section.devices
    return max(1, torch.cuda.device_count()) if section.accelerator in ("auto", "cuda") else 1


def launched_fabric(section: TrainSection, request: StopRequest | None = None) -> Fabric:
    """A launched Fabric; several devices run as DDP, started here or by torchrun or Slurm."""
    _check_accelerator(section.accelerator)
    world = _launched("WORLD_SIZE") or 1
    devices = _devices(section, world)
    several = world > 1 or section.nodes > 1 or devices != 1
    if several:
        for name in COUNTS:
            _launched(name)
    waits = world > 1 or section.nodes > 1 or (several and "SLURM_PROCID" in os.environ)
    # Fabric takes one process in a job of Slurm for one of many
    with nullcontext() if several else _without_launcher():
        fabric = _fabric(section, devices, several=several)
        if several and not waits and (why := _once_alone()):
            raise ValueError(
                f"train.devices is {devices}: for each the program is begun again, but {why}"
            )
        with _hushed("lightning_fabric"), _ending_at_once(request) if waits else nullcontext():
            fabric.launch()
    if several:
        atexit.unregister(leave)  # of a run before in this process
        atexit.register(leave)
    return fabric


def _check_accelerator(kind: str) -> None:
    named: dict[str, Any] = {"cuda": torch.cuda, "mps": torch.backends.mps}
    if kind in named and not named[kind].is_available():
        raise ValueError(
            f"train.accelerator is {kind}; no {kind.upper()} device is available here, allowed are"
            " auto, cpu"
        )


def _devices(section: TrainSection, world: int) -> int | str:
    """What Fabric is told of devices, beside the processes that were started; ValueError where
    these are not as many, or this machine could not have so many."""
    devices = section.devices
    if world > 1:
        if devices != "auto" and world != devices * section.nodes:
            raise ValueError(
                f"train.devices is {devices} on {counted(section.nodes, 'node')}, but {world}"
                " processes were started: the environment variable WORLD_SIZE says so; unset it if"
                " this is one alone, or give a run on several devices, which sets it, a program of"
                " its own"
            )
        return devices
    if devices == "auto":
        return devices_here(section) if section.nodes == 1 else devices
    most = max(os.cpu_count() or 1, LEAST_PROCESSES)
    if devices > most and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise ValueError(
            f"train.devices is {devices}, a process each; allowed are 1 to {most} on the"
            f" {os.cpu_count()} cores here"
        )
    return devices


def _fabric(section: TrainSection, devices: int | str, *, several: bool) -> Fabric:
    """The Fabric of a run, not launched; ValueError where this machine has it not."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    newer = "forward_sync_buffers" in signature(DistributedDataParallel).parameters
    unsynced: dict[str, Any] = {"forward_sync_buffers" if newer else "broadcast_buffers": False}
    try:
        with _hushed("lightning_fabric"):
            return Fabric(
                accelerator=section.accelerator,
                devices=devices,
                num_nodes=section.nodes,
                # "64": the trainer's doubles pass through unchanged
                precision="bf16-mixed" if section.precision == "bf16" else "32-true",
                strategy=DDPStrategy(**unsynced) if several else "auto",
                plugins=None if several else LightningEnvironment(),
            )
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(
            f"train.devices is {devices} on {counted(section.nodes, 'node')}, which does not fit"
            f" what is here: {' '.join(str(error).split())}"
        ) from error


def _once_alone() -> str:
    """Why this program cannot be begun again in another process; empty where it can."""
    if multiprocessing.parent_process() is not None:
        return (
            "this process is a worker of it, and all of the program's work would be; train on one"
            " device, or in the main process"
        )
    if sys.modules["__main__"].__spec__ is None and not Path(*sys.argv[:1]).is_file():
        return "it is no file; write it into one, as train.py, or train on one device"
    return ""


def leave() -> None:
    """Leave the other processes before this one ends: gloo's threads are joined, of which one that
    still lets go of a tensor when the interpreter ends aborts it."""
    if joined():
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
def together() -> Iterator[None]:
    """ConnectionError, with a line to read, where another process of the run has ended: the
    library's own errors are many. Nothing is said of the strides of gradients: those of weights of
    one input channel, which are the same memory in both formats, are another's by chance."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            yield
    except RuntimeError as error:
        if any(name in str(error) for name in GONE):
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
    """A library's logger without its announcements, its warnings pass; and nothing of what it warns
    of by Python's, advice about machines that have more devices than are asked for."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(max(before, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
