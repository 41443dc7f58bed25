"""Settings of the whole test suite, and its processes."""

import gc
import os
import signal

import pytest

from tests.processes import begin

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background jobs inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
gc.disable()  # what is imported and collected stays: it is not looked through again and again


def pytest_collection_finish():
    gc.enable()
    gc.freeze()


@pytest.fixture
def apart():
    """start(function, *arguments, **environment) -> process; all are killed at the end of the
    test."""
    processes = []

    def start(function, *arguments, **environment):
        processes.append(process := begin(function, *arguments, **environment))
        return process

    yield start
    for process in processes:
        process.kill()
        process.join()
