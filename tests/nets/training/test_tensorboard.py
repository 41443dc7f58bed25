"""TensorBoard's event files: on the disk at once, and what keeps them from it is told."""

import threading
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nets.training.tensorboard import Board


def steps(folder, name):
    return [(one.step, one.value) for one in EventAccumulator(str(folder)).Reload().Scalars(name)]


def test_events_are_there_as_soon_as_they_are_added(tmp_path):
    """A process that is killed after an epoch has shown it; another one takes back what it does
    again."""
    threads = threading.active_count()
    first = Board(tmp_path)
    for epoch in (1, 2, 3):
        first.add_scalars({"loss": epoch / 4, "lr": 0.5}, epoch)
        assert steps(tmp_path, "loss")[-1] == (epoch, epoch / 4)
    second = Board(tmp_path, again=3)
    assert steps(tmp_path, "loss") == [(1, 0.25), (2, 0.5)]
    second.add_scalars({"loss": 8.0}, 3)
    assert steps(tmp_path, "loss") == [(1, 0.25), (2, 0.5), (3, 8.0)]
    assert steps(tmp_path, "lr") == [(1, 0.5), (2, 0.5)]
    assert threading.active_count() == threads


def test_a_full_disk_is_told_with_the_file(tmp_path):
    """It was told without, and by the traceback of a thread."""
    board = Board(tmp_path)
    board.path = Path("/dev/full")
    with pytest.raises(OSError, match=r"^\[Errno 28\] could not write /dev/full \(No space left"):
        board.add_scalars({"loss": 1.0}, 1)
