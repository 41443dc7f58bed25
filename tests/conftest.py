"""Settings of the whole test suite, and processes to be killed, signalled, or joined to one
distributed run."""

import gc
import multiprocessing
import os
import signal
import traceback
from importlib import import_module

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background jobs inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
gc.disable()  # what is imported and collected stays: it is not looked through again and again


def pytest_collection_finish():
    gc.enable()
    gc.freeze()


def _child(function, arguments, environment):
    import torch

    os.environ.update(environment)
    torch.set_num_threads(1)  # a thread pool does not survive a fork
    try:
        function(*arguments)
    except KeyboardInterrupt:  # ends the process as Python does it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


@pytest.fixture
def forked():
    """start(function, *arguments, **environment) -> process; all are killed at the end of the
    test."""
    processes = []
    for name in ("lightning_fabric", "nets"):  # which every child would import
        import_module(name)

    def start(function, *arguments, **environment):
        process = multiprocessing.get_context("fork").Process(
            target=_child, args=(function, arguments, environment)
        )
        process.start()
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.join()
