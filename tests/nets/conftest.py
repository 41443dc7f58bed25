"""Runs in forked processes of their own, to be killed, signalled, or joined to one distributed run;
and archives of pictures."""

import io
import multiprocessing
import os
import socket
import tarfile
import traceback

import lightning_fabric
import pytest
import sklearn.datasets
import torch
from PIL import Image

# here once: every forked run would import them again
PRELOADED = (lightning_fabric, sklearn.datasets)


def _child(function, arguments, environment):
    os.environ.update(environment)
    torch.set_num_threads(1)  # a thread pool does not survive a fork
    try:
        function(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


@pytest.fixture
def forked():
    """start(function, *arguments, **environment) -> process; all are killed at the end of the
    test."""
    processes = []

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


@pytest.fixture
def free_port():
    """A TCP port that was free a moment ago, as text."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def tar(path, entries, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def png(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()
