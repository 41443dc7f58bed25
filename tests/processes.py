"""Processes that tests begin to be killed, signalled, or joined to one distributed run."""

import multiprocessing
import os
import signal
import traceback

# Not forked from the process of the tests: autograd has threads there as soon as torch knows of a
# GPU. The server has imported what every child would, and nothing else.
SERVED = multiprocessing.get_context("forkserver")
SERVED.set_forkserver_preload(["lightning_fabric", "nets"])


def begin(function, *arguments, **environment):
    """A process in which `function` is called, of one thread, with these environment variables."""
    process = SERVED.Process(target=_child, args=(function, arguments, environment))
    process.start()
    return process


def _child(function, arguments, environment):
    import torch

    os.environ.update(environment)
    torch.set_num_threads(1)
    try:
        function(*arguments)
    except KeyboardInterrupt:  # ends the process as Python does it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
