"""Faults: kills at any moment, signals, a loss that is not finite, a full disk, a damaged
checkpoint, two writers."""

import csv
import errno
import os
import random
import shutil
import signal
import sys
import time
import warnings

import lightning_fabric
import numpy as np
import pytest
import torch
from PIL import Image

import nets
from nets.config import load_config
from nets.training import checkpoint as checkpoint_module
from nets.training.folder import lock_run, prepare_run
from nets.training.trainer import Trainer
from tests.processes import SERVED, begin

SETS = [
    "width=4",
    "levels=2",
    "batch_size=128",
    "epochs=3",
    "checkpoint_steps=3",
    "tensorboard=false",
    "ema=0.9",
    "cutmix=1",
    "select=best",
]


def config(*sets):
    return load_config("digits", [*SETS, *sets])


def run(out, *sets, **options):
    return nets.train(config(*sets), out, resume=True, progress=False, **options)


def finish(process, seconds=120):
    process.join(seconds)
    return process.exitcode


def rows(out):
    """metrics.csv without what a clock wrote."""
    with (out / "metrics.csv").open() as handle:
        return [
            {k: v for k, v in row.items() if k not in ("seconds", "images_per_second")}
            for row in csv.DictReader(handle)
        ]


def assert_same(one, two):
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    assert (one / "start.safetensors").read_bytes() == (two / "start.safetensors").read_bytes()
    assert rows(one) == rows(two)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run, in a process like the others'."""
    out = tmp_path_factory.mktemp("whole") / "run"
    began = time.perf_counter()
    process = begin(run, out)
    process.join(120)
    assert process.exitcode == 0
    return out, time.perf_counter() - began


def test_killed_at_random_moments_ends_with_the_same_bits(tmp_path, apart, whole):
    reference, seconds = whole
    rng = random.Random()
    for _ in range(4):
        process = apart(run, tmp_path / "run")
        time.sleep(rng.uniform(0.1, 0.9) * seconds)
        process.kill()
        process.join()
    assert finish(apart(run, tmp_path / "run")) == 0
    assert_same(tmp_path / "run", reference)


def die_at_sync(out, count):
    """A run that kills itself at its `count`-th fsync: between writing a file aside and renaming
    it, or after it."""
    sync, left = os.fsync, [count]

    def fsync(handle):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(handle)

    os.fsync = fsync
    run(out)


def test_killed_inside_every_kind_of_write_ends_with_the_same_bits(tmp_path, apart, whole):
    for count in (2, 7, 12, 17):  # config.json, a first state, its folder, later ones
        assert finish(apart(die_at_sync, tmp_path / "run", count)) == -signal.SIGKILL
    assert finish(apart(run, tmp_path / "run")) == 0
    assert_same(tmp_path / "run", whole[0])


def slowly(out):
    """A run with a pause in every step, long enough for a signal to arrive in it; writes what it
    returned beside the folder."""
    step = Trainer.train_step

    def train_step(self, *args):
        step(self, *args)
        (out.parent / "started").touch()
        time.sleep(0.05)

    Trainer.train_step = train_step
    summary = run(out)
    (out.parent / "returned").write_text(f"{summary.finished} {summary.steps}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signal_saves_and_returns_in_the_loop(tmp_path, apart, whole, number):
    out = tmp_path / "run"
    process = apart(slowly, out)
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(process.pid, number)
    assert finish(process) == 0
    finished, steps = (tmp_path / "returned").read_text().split()
    assert finished == "False"
    assert 0 < int(steps) < 33
    assert not (out / "summary.json").exists()
    assert (out / "checkpoint" / f"step-{int(steps):09d}.safetensors").exists()
    assert finish(apart(run, out)) == 0
    assert_same(out, whole[0])


def test_callers_signal_handlers_come_back(tmp_path):
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1)]
    run(tmp_path / "run", "epochs=1")
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1)] == before


def test_loss_that_is_not_finite_stops_and_names_the_step(tmp_path, monkeypatch):
    step = Trainer.train_step

    def poisoned(self, *args):
        if self.step == 14:
            with torch.no_grad():
                next(self.raw.parameters()).fill_(float("nan"))
        step(self, *args)

    monkeypatch.setattr(Trainer, "train_step", poisoned)
    with pytest.raises(
        FloatingPointError,
        match=r"not finite at step 15 \(epoch 2\); the last good checkpoint is kept",
    ):
        run(tmp_path / "run")
    state = checkpoint_module.Checkpoints(tmp_path / "run" / "checkpoint").load()
    assert state.info["step"] == 12
    assert all(torch.isfinite(value).all() for value in state.tensors.values())
    monkeypatch.undo()
    assert run(tmp_path / "run").finished  # what was saved is good: the run goes on


DEEP = [
    "model.name=q16",
    "model.placement=regular",
    "optim.name=sgd",
    "lr=3",
    "epochs=1",
    "momentum=0.9",
]


def test_a_gradient_that_is_too_long_for_the_rate_is_told_how_to_clip(tmp_path):
    """SGD leaves the range of numbers within an epoch, and does not with the norm of the gradient
    bounded; where it is bounded already a smaller rate alone is named."""
    with pytest.raises(FloatingPointError, match=r"try a smaller lr, or optim\.clip=1$"):
        run(tmp_path / "run", *DEEP)
    assert run(tmp_path / "clipped", *DEEP, "optim.clip=1").finished
    with pytest.raises(FloatingPointError, match=r"try a smaller lr$"):
        run(tmp_path / "rate", *DEEP, "optim.clip=1", "lr=1e30")


AT_THE_END = ["validation=0", "select=last", "epochs=1", "checkpoint_steps=0"]


@pytest.mark.parametrize("what", ["weights", "statistics", "moments"])
@pytest.mark.parametrize(
    "sets", [["checkpoint_steps=1", "epochs=1"], AT_THE_END], ids=["save", "end"]
)
def test_weights_that_are_not_finite_are_never_saved(tmp_path, monkeypatch, what, sets):
    """The update may overflow though its loss was finite; without validation images nothing else
    would look at it."""
    step, last = Trainer.train_step, 12 if sets is AT_THE_END else 3

    def poisoned(self, *args):
        step(self, *args)
        if self.step == last:
            model, moment = self.raw, next(iter(self.optimizer.state.values()))["exp_avg"]
            {
                "weights": model.fc.weight.data,
                "statistics": model.stem_norm.running_var,
                "moments": moment,
            }[what].fill_(float("nan"))

    monkeypatch.setattr(Trainer, "train_step", poisoned)
    kept = (
        "there was no checkpoint yet" if sets is AT_THE_END else "the last good checkpoint is kept"
    )
    with pytest.raises(
        FloatingPointError, match=rf"a weight is not finite after step {last} \(epoch 1\); {kept}"
    ):
        run(tmp_path / "run", *sets)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    state = checkpoint_module.Checkpoints(tmp_path / "run" / "checkpoint").load()
    assert state is None if sets is AT_THE_END else state.info["step"] == 2
    monkeypatch.undo()
    assert run(tmp_path / "run", *sets).finished


def test_going_on_does_not_measure_the_start_again(tmp_path, monkeypatch, whole):
    out = tmp_path / "run"
    for name in ("config.json", "init.json", "start.safetensors"):
        out.mkdir(exist_ok=True)
        (out / name).write_bytes((whole[0] / name).read_bytes())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["nets.training.train"], "build", None)
        run(out)
    torch.set_num_threads(threads)
    assert_same(out, whole[0])
    (out / "summary.json").unlink()
    (out / "start.safetensors").write_bytes(b"")
    assert run(out).finished  # made anew where it is damaged


def test_diverging_run_stops_by_itself(tmp_path):
    with pytest.raises(FloatingPointError, match=r"step \d+|after step"):
        run(
            tmp_path / "run",
            "lr=1e30",
            "placement=relu_outside_nobn",
            "optim=sgd",
            "schedule=constant",
        )


def test_full_disk_stops_with_the_last_good_checkpoint(tmp_path, monkeypatch, whole):
    sync, left = os.fsync, [16]

    def fsync(handle):
        left[0] -= 1
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=r"could not write .*No space left on device.*intact"):
        run(tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.tmp"))
    monkeypatch.undo()
    torch_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert run(tmp_path / "run").finished
    torch.set_num_threads(torch_threads)
    assert_same(tmp_path / "run", whole[0])


def test_damaged_checkpoint_falls_back_says_so_and_ends_the_same(tmp_path, apart, whole):
    out = tmp_path / "run"
    assert finish(apart(die_at_sync, out, 20)) == -signal.SIGKILL
    newest = checkpoint_module.Checkpoints(out / "checkpoint").files()[0]
    newest.write_bytes(newest.read_bytes()[:-100])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        summary = run(out)
    torch.set_num_threads(threads)
    assert any("going back to step-" in str(w.message) for w in caught)
    assert any(newest.name in note for note in summary.notes)
    assert summary.resumed == 1
    assert_same(out, whole[0])


def test_a_foreign_start_and_damaged_facts_of_the_data_are_made_anew(tmp_path, apart, whole):
    """Both are readable as JSON: what they lack showed at the end of training, or after it."""
    out = tmp_path / "run"
    assert finish(apart(die_at_sync, out, 20)) == -signal.SIGKILL
    for name in ("init.json", "data.json"):
        (out / name).write_text("{}")
    assert finish(apart(run, out)) == 0
    assert_same(out, whole[0])
    for name in ("init.json", "data.json", "start.safetensors"):
        assert (out / name).read_bytes() == (whole[0] / name).read_bytes()


def test_data_that_changed_are_refused_on_going_on(tmp_path, monkeypatch):
    pictures = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)

    def place(*numbers, label=""):
        for i in numbers:
            folder = tmp_path / "set" / (label or "ab"[i % 2])
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures[i]).save(folder / f"{i}.png")

    monkeypatch.setenv("POLYMGNET_CACHE", str(tmp_path / "cache"))
    place(*range(50))
    sets = (f"data=folder:{tmp_path / 'set'}", "batch_size=8", "crop=0")
    assert not run(tmp_path / "run", *sets, stop=lambda: True).finished
    place(50, label="c")
    with pytest.raises(
        ValueError,
        match=(
            r"is not what .*: classes \('a', 'b'\) there and \('a', 'b', 'c'\) here; give the"
            r" data"
        ),
    ):
        run(tmp_path / "run", *sets)
    shutil.rmtree(tmp_path / "set" / "c")
    place(51)
    with pytest.raises(ValueError, match=r"images .'train'"):
        run(tmp_path / "run", *sets)
    (tmp_path / "set/b/51.png").unlink()
    pictures[:50] = 255 - pictures[:50]
    place(*range(50))
    with pytest.raises(ValueError, match="digest"):
        run(tmp_path / "run", *sets)
    pictures[:50] = 255 - pictures[:50]
    place(*range(50))
    assert run(tmp_path / "run", *sets).finished


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("early", [True, False])
def test_a_signal_ends_the_wait_for_a_second_node(apart, tmp_path, number, early):
    """It may come while it is noted for the loop, which does not begin, or in the wait itself."""
    begun = SERVED.Event()
    process = apart(_wait, tmp_path / "run", early, begun, MASTER_ADDR="127.0.0.1", NODE_RANK="0")
    assert begun.wait(30)
    time.sleep(0 if early else 2)
    os.kill(process.pid, number)
    assert finish(process, 30) == -number
    assert not (tmp_path / "run").exists()


def _wait(out, early, begun):
    """A run on two nodes of which the second never comes; it says when its handlers are there, or
    when the wait is about to begin."""
    module = sys.modules["nets.training.train"]
    place, name = (module, "check_run") if early else (lightning_fabric.Fabric, "launch")
    original = getattr(place, name)

    def told(*arguments, **options):
        begun.set()
        time.sleep(1 if early else 0)
        return original(*arguments, **options)

    setattr(place, name, told)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings = ["nodes=2", "width=2", "batch_size=500"]
    nets.train(load_config("digits", settings), out, progress=False)


def test_two_writers_are_refused(tmp_path, monkeypatch):
    prepare_run(tmp_path / "run", config(), resume=True, force=False)
    # between writing and renaming a process was killed; what no run writes stays
    (tmp_path / "run" / ".config.json.99.tmp").write_text("{")
    (tmp_path / "run" / ".mine.99.tmp").write_text("mine")
    with (
        lock_run(tmp_path / "run"),
        pytest.raises(FileExistsError, match="another process is training"),
    ):
        run(tmp_path / "run")
    assert run(tmp_path / "run", "epochs=1").finished
    assert [path.name for path in (tmp_path / "run").rglob("*.tmp")] == [".mine.99.tmp"]
    # of a begun run before data and spectra, which cost seconds each time that one asks, and with
    # no word of ways on that would be refused
    monkeypatch.delattr("nets.training.train.load_data")
    for way in ({"resume": False}, {"resume": True}, {"resume": False, "force": True}):
        with (
            lock_run(tmp_path / "run"),
            pytest.raises(FileExistsError, match="another process is training") as error,
        ):
            nets.train(config("epochs=2"), tmp_path / "run", progress=False, **way)
        assert "resume" not in str(error.value)
    with lock_run(tmp_path / "run", shared=True), lock_run(tmp_path / "run", shared=True):
        pass
