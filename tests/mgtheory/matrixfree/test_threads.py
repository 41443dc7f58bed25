"""Blocks run at the same time, each on a processor of its own, and the processors allowed stay
allowed."""

import ctypes
import os
import threading
import time

import pytest

from mgtheory.matrixfree import threads
from mgtheory.matrixfree.threads import run_blocks, thread_count


def test_results_come_in_order_and_the_first_block_is_the_callers():
    def kernel(k):
        time.sleep(0.01 * (3 - k))
        return k, threading.current_thread() is threading.main_thread()

    assert run_blocks(kernel, [(k,) for k in range(4)]) == [
        (0, True),
        (1, False),
        (2, False),
        (3, False),
    ]


def test_an_error_of_a_block_reaches_the_caller():
    def kernel(k):
        if k == 1:
            raise ValueError("block 1")

    with pytest.raises(ValueError, match="block 1"):
        run_blocks(kernel, [(0,), (1,)])


def test_an_error_leaves_no_block_at_work():
    ended = []

    def kernel(k):
        if k == 1:
            raise ValueError("block 1")
        time.sleep(0.02)
        ended.append(k)

    with pytest.raises(ValueError, match="block 1"):
        run_blocks(kernel, [(0,), (1,), (2,)])
    assert sorted(ended) == [0, 2]


def test_callers_in_several_threads_have_workers_of_their_own():
    """A worker for two of them would wait for the other's barrier."""
    barrier, seen = threading.Barrier(4), {}

    def caller(name):
        def kernel(k):
            barrier.wait(timeout=10)
            return name, k

        seen[name] = run_blocks(kernel, [(0,), (1,)])

    others = [threading.Thread(target=caller, args=(name,)) for name in "ab"]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    assert seen == {name: [(name, 0), (name, 1)] for name in "ab"}


def test_blocks_run_one_after_the_other_where_no_thread_can_be_started(monkeypatch):
    def refused(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    threads._threads_start.cache_clear()
    try:
        callers = run_blocks(lambda k: (k, threading.current_thread()), [(0,), (1,), (2,)])
    finally:
        threads._threads_start.cache_clear()
    assert callers == [(k, threading.main_thread()) for k in range(3)]


needs_linux = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"),
    reason="threads have affinities of their own on Linux alone",
)


@needs_linux
def test_workers_keep_off_the_callers_processor(monkeypatch):
    allowed = os.sched_getaffinity(0)
    for own in sorted(allowed)[:2]:
        monkeypatch.setattr(threads, "_getcpu", lambda own=own: lambda: own)
        caller, worker = run_blocks(lambda: os.sched_getaffinity(0), [(), ()])
        assert caller == allowed
        assert worker == (allowed - {own} or allowed)  # a single processor is shared


@needs_linux
def test_without_the_c_library_threads_run_anywhere(monkeypatch):
    def missing(name):
        raise OSError("no such library")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    threads._getcpu.cache_clear()
    try:
        assert threads._other_processors() == frozenset()
        assert run_blocks(lambda k: k, [(0,), (1,)]) == [0, 1]
    finally:
        threads._getcpu.cache_clear()


@needs_linux
def test_a_sandbox_may_forbid_it(monkeypatch):
    def forbidden(thread, processors):
        raise PermissionError("not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    monkeypatch.setattr(threads, "_other_processors", lambda: frozenset({1000}))
    assert run_blocks(lambda k: k, [(0,), (1,)]) == [0, 1]


@needs_linux
def test_count_follows_the_processors_allowed():
    assert thread_count(None) == len(os.sched_getaffinity(0))
    assert thread_count(3) == 3
    for wrong in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="threads"):
            thread_count(wrong)
