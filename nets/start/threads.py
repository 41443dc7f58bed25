"""Linear algebra in several threads, each serial within."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _blas(modules: int) -> ThreadpoolController:
    """The BLAS libraries of the process; to look for them takes milliseconds, and there are others
    only where more modules were imported."""
    return ThreadpoolController().select(user_api="blas")


@contextmanager
def serial() -> Iterator[None]:
    """One thread for torch and for numpy's BLAS, whose threads would wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _blas(len(sys.modules)).limit(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)


def in_threads(work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """The work on each item, shared among as many threads as torch is set to, each serial within.

    torch's LAPACK, because numpy's may be one whose threads wait for those of the pool (30 times
    slower on two cores); those of numpy's BLAS, which makes the symbols, would wait likewise. Each
    worker sets torch's limit itself: a new thread starts with OpenMP's default and takes over the
    limit only at its first large torch operation.
    """
    threads = torch.get_num_threads()
    with (
        serial(),
        ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        return list(pool.map(work, items))
