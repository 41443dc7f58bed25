"""Blocks run at the same time, each on a processor of its own, and the processors allowed stay
allowed."""

import ctypes
import os
import signal
import subprocess
import sys
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


def test_idle_workers_do_not_keep_a_process():
    code = (
        "from mgtheory.matrixfree.threads import run_blocks\n"
        "print(run_blocks(lambda k: k, [(0,), (1,)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True
    )
    assert done.stdout == "[0, 1]\n"


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


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_waits_for_the_blocks_on_their_way(times, monkeypatch):
    """While the caller waits for another's block, and where it comes again; afterwards workers
    serve, and none is left behind."""
    ended, main = [], threading.main_thread().ident
    monkeypatch.setattr(threads, "_idle", [])
    before = threading.active_count()

    def left():
        deadline = time.monotonic() + 5
        while threading.active_count() > before and time.monotonic() < deadline:
            time.sleep(1e-3)
        return threading.active_count() == before

    def kernel(k):
        while k == 2 and 0 not in ended:  # the caller's own block, which Ctrl-C would end
            time.sleep(1e-3)
        for _ in range(times if k == 2 else 0):
            time.sleep(0.01)
            signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.02 * k)
        ended.append(k)

    for _ in range(3):
        ended.clear()
        with pytest.raises(KeyboardInterrupt):
            run_blocks(kernel, [(k,) for k in range(3)])
        assert sorted(ended) == [0, 1, 2]
        assert left()
        assert run_blocks(lambda k: k, [(0,), (1,), (2,)]) == [0, 1, 2]
        assert len(threads._idle) == 2


def test_ctrl_c_between_two_that_are_begun(monkeypatch):
    """Only the first is at work."""
    ended, begin, begun = [], threads._Worker.begin, []

    def interrupted(self, *task):
        if begun:
            raise KeyboardInterrupt
        begun.append(self)
        begin(self, *task)

    monkeypatch.setattr(threads._Worker, "begin", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_blocks(lambda k: (time.sleep(0.02), ended.append(k)), [(0,), (1,), (2,)])
    assert ended == [1]


def test_ctrl_c_while_a_worker_starts_leaves_none(monkeypatch):
    """Neither the one before, nor itself, which runs already."""
    monkeypatch.setattr(threads, "_idle", [])
    monkeypatch.setattr(threads, "_threads_start", lambda: True)
    start, started = threading.Thread.start, []

    def interrupted(self):
        start(self)
        started.append(self)
        if len(started) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_blocks(lambda k: k, [(0,), (1,), (2,)])
    assert len(started) == 2
    for thread in started:
        thread.join(5)
    assert not any(thread.is_alive() for thread in started)


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
