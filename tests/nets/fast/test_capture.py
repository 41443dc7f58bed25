"""The captured step: what is captured and replayed when, and what happens where the device refuses.
Stand-ins play CUDA."""

from contextlib import contextmanager
from functools import partial

import pytest
import torch

from nets.fast.capture import WARMUP, CapturedStep, may_capture
from nets.settings import TrainSection


class Device:
    """CUDA's graphs in Python: what is called while capturing is not executed but recorded, and
    every replay executes it."""

    def __init__(self):
        self.capturing, self.recorded, self.replays, self.waits, self.fail = False, [], 0, [], False

    def step(self, total, log):
        """A step function that adds x to `total` in place, as a kernel: at once, or when the graph
        is replayed."""

        def run(x, count):
            log.append(("captured" if self.capturing else "run", tuple(x.shape), count))

            def work():
                total.add_(count * x.sum())

            if self.capturing:
                if self.fail:
                    raise RuntimeError("operation not permitted when stream is capturing\nand more")
                self.recorded.append(work)
            else:
                work()

        return run


@pytest.fixture
def device(monkeypatch):
    played = Device()

    class Graph:
        def replay(self):
            played.replays += 1
            for work in played.recorded:
                work()

    class Stream:
        def wait_stream(self, other):
            played.waits.append((self, other))

    @contextmanager
    def capture(graph):
        played.capturing = True
        try:
            yield
        finally:
            played.capturing = False

    @contextmanager
    def on(stream):
        yield

    default = Stream()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: default)
    return played


def test_every_call_is_one_step_and_from_the_fourth_on_a_replay(device):
    total, log = torch.zeros(()), []
    captured = partial(CapturedStep(), device.step(total, log))
    expected = 0.0
    for k in range(1, 8):
        captured(torch.full((2,), float(k)), 3)
        expected += 3 * 2 * k
        # the capture itself executes nothing: its first replay is that call's step
        assert total == expected
    assert [kind for kind, *_ in log] == ["run"] * WARMUP + ["captured"]
    assert device.replays == 7 - WARMUP
    sides = [a for a, _ in device.waits[::2]]
    # both ways
    assert all(
        device.waits[2 * i + 1] == (device.waits[2 * i][1], side) for i, side in enumerate(sides)
    )


def test_other_shapes_and_totals_run_as_they_are(device):
    total, log = torch.zeros(()), []
    captured = partial(CapturedStep(), device.step(total, log))
    for _ in range(WARMUP + 1):
        captured(torch.ones(2), 1)
    for x, count in (
        (torch.ones(1), 1),
        (torch.ones(2), 2),
        (torch.ones(2).double(), 1),
        (torch.ones(4)[::2], 1),
    ):
        before, replays = total.item(), device.replays
        captured(x, count)
        assert total == before + count * x.sum()
        assert (device.replays, log[-1]) == (replays, ("run", tuple(x.shape), count))
    for _ in range(2 * WARMUP):  # however often they come: there is one graph
        before, replays = total.item(), device.replays
        captured(torch.ones(1), 1)
        assert (total.item(), device.replays) == (before + 1, replays)
    captured(torch.full((2,), 5.0), 1)
    assert log[-1][0] == "run"  # replayed, not called


def test_arguments_may_be_reused_by_the_caller(device):
    total = torch.zeros(())
    captured = partial(CapturedStep(), device.step(total, []))
    x = torch.ones(2)
    for _ in range(WARMUP + 1):
        captured(x, 1)
    x.fill_(100.0)
    captured(torch.ones(2), 1)
    assert total == 2 * (WARMUP + 2)
    assert (x == 100.0).all()  # and are not written to


def test_a_smaller_batch_that_comes_first_is_not_the_one_that_is_captured(device):
    """As where a run goes on just before the last, smaller batch of an epoch."""
    total, log = torch.zeros(()), []
    captured = partial(CapturedStep(), device.step(total, log))
    expected = 0
    for epoch in range(3):
        for size in (1,) if epoch == 0 else (2, 2, 1):
            captured(torch.ones(size), size)
            expected += size * size
            assert total == expected
    captured(torch.ones(2), 2)
    assert ("captured", (2,), 2) in log
    assert device.replays >= 1


def test_other_errors_than_the_devices_pass_through(device):
    def wrong(x, count):
        raise TypeError("not a step")

    captured = CapturedStep()
    with pytest.raises(TypeError, match="not a step"):
        captured(wrong, torch.ones(2), 1)


def test_a_step_that_cannot_be_captured_runs_on_and_is_told_once(device):
    total, lines = torch.zeros(()), []
    captured = partial(CapturedStep(report=lines.append), device.step(total, []))
    device.fail = True
    for k in range(1, WARMUP + 4):
        captured(torch.ones(2), 1)
        assert total == 2 * k
    assert device.replays == 0
    assert lines == [
        "the step cannot be captured as a CUDA graph and runs without: operation not permitted when"
        " stream is capturing"
    ]


@pytest.mark.parametrize(
    ("sets", "device", "world", "expected"),
    [
        ({}, "cuda", 1, True),
        ({}, "cuda", 2, False),
        ({}, "cpu", 1, False),
        ({"cuda_graph": False}, "cuda", 1, False),
        ({"cuda_graph": True}, "cuda", 1, True),
        ({"compile": True, "compile_mode": "reduce-overhead"}, "cuda", 1, False),
        ({"compile": False, "compile_mode": "reduce-overhead"}, "cuda", 1, True),
        ({"compile": "auto", "compile_mode": "max-autotune"}, "cuda", 1, False),
        ({"compile_mode": "max-autotune-no-cudagraphs"}, "cuda", 1, True),
    ],
)
def test_when_steps_are_captured(sets, device, world, expected):
    assert may_capture(TrainSection(**sets), torch.device(device), world) is expected


def test_a_graph_where_there_is_none_is_refused():
    with pytest.raises(
        ValueError,
        match=(
            r"train\.cuda_graph is true; it needs one process on a CUDA device, here: 1 on cpu; use"
            r" auto or false"
        ),
    ):
        may_capture(TrainSection(cuda_graph=True), torch.device("cpu"), 1)
    with pytest.raises(ValueError, match="here: 2 on cuda"):
        may_capture(TrainSection(cuda_graph=True), torch.device("cuda"), 2)
    with pytest.raises(ValueError, match="compile_mode max-autotune makes its own graphs"):
        may_capture(
            TrainSection(cuda_graph=True, compile=True, compile_mode="max-autotune"),
            torch.device("cuda"),
            1,
        )
