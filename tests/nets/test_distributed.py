"""Two processes: equal to one with ghost batch norm, and killed and resumed to the same bits."""

import csv
import os
import time
from contextlib import nullcontext

import pytest
import torch

import nets
from nets.config import load_config
from nets.models.registry import MODELS, ModelEntry
from nets.training.folder import lock_run, read_summary

SETS = [
    "width=4",
    "levels=2",
    "batch_size=200",
    "epochs=2",
    "tensorboard=false",
    "init=chebyshev4",
    "placement=regular",
    "optim=sgd",
]
SETS += ["ema=0.5", "mixup=0.2", "last_batch=keep", "checkpoint_steps=2"]


def run(out, *sets):
    nets.train(load_config("digits", [*SETS, *sets]), out, resume=True, progress=False)


def rows(out):
    with (out / "metrics.csv").open() as handle:
        return list(csv.DictReader(handle))


@pytest.fixture
def pair(apart, free_port):
    """start(out, function, *settings) -> the two processes of one run."""

    def start(out, function=run, *sets):
        env = {
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
            "GROUP_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": free_port,
        }
        env |= {"TORCHELASTIC_RUN_ID": "t"}
        return [
            apart(function, out, "devices=2", *sets, RANK=str(rank), LOCAL_RANK=str(rank), **env)
            for rank in range(2)
        ]

    return start


def joined(processes):
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def test_equal_one_with_ghost_batch_norm_and_killed_end_with_the_same_bits(tmp_path, pair):
    """One process to 1e-5 (other orders of summation). A kill -9 of both at a checkpoint changes no
    bit of the weights; the logged losses are sums that start from the checkpoint's total instead of
    each process's own: equal to rounding in double precision."""
    assert joined(pair(tmp_path / "two")) == [0, 0]
    processes = pair(tmp_path / "killed")
    while not list((tmp_path / "killed").glob("checkpoint/step-*")):
        time.sleep(0.002)
    for process in processes:
        process.kill()
    assert joined(processes) == [-9, -9]
    assert not (tmp_path / "killed" / "summary.json").exists()
    assert joined(pair(tmp_path / "killed")) == [0, 0]
    assert read_summary(tmp_path / "killed").resumed == 1
    two, killed = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("two", "killed")
    )
    assert two == killed
    run(tmp_path / "one", "ghost_groups=2")
    expected, found = (nets.load(tmp_path / name).state_dict() for name in ("one", "two"))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-5, msg=name)
    for other, close in (("one", 1e-5), ("killed", 1e-12)):
        for a, b in zip(rows(tmp_path / "two"), rows(tmp_path / other), strict=True):
            for key in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
                assert float(a[key]) == pytest.approx(float(b[key]), abs=close)


def reporting(out, *sets):
    """A run that writes beside its folder how it ended."""
    try:
        run(out, *sets)
    except Exception as error:
        (out.parent / f"said{os.environ['RANK']}").write_text(f"{type(error).__name__}: {error}")


ENDED = (
    "ConnectionError: another process of this run has failed or was killed; what was saved is kept"
)


def test_the_end_of_another_process_is_said_in_one_line(tmp_path, pair):
    first, second = pair(tmp_path / "run", reporting, "epochs=400")
    while not list((tmp_path / "run").glob("checkpoint/step-*")):
        time.sleep(0.01)
    second.kill()
    first.join(60)
    assert (tmp_path / "said0").read_text() == ENDED


@pytest.mark.parametrize("refused", ["a folder in use", "data that are not there"])
def test_what_refuses_the_first_process_is_said_by_it_alone(tmp_path, pair, refused):
    """The others waited for it, and told of the library's trouble as of a fault of the program."""
    sets = ["data=folder:nowhere"] if refused == "data that are not there" else []
    with nullcontext() if sets else lock_run(tmp_path / "run"):
        joined(pair(tmp_path / "run", reporting, *sets))
    first, second = ((tmp_path / f"said{rank}").read_text() for rank in range(2))
    assert first.startswith("FileNotFoundError: " if sets else "Busy: ")
    assert second == ENDED


class Idle(torch.nn.Module):
    """A linear layer on the average colour, beside one that is used in some steps alone."""

    def __init__(self, *, in_channels=1, num_classes=10, frozen=False):
        super().__init__()
        self.fc = torch.nn.Linear(in_channels, num_classes)
        self.other = torch.nn.Linear(in_channels, num_classes).requires_grad_(not frozen)
        self.steps = 0

    def forward(self, x):
        x = x.mean(dim=(2, 3))
        self.steps += self.training
        return self.fc(x) + (self.other(x) if self.steps % 3 else 0.0)


IDLE = ModelEntry(Idle, "two linear layers")


def idle(out, *sets):
    """A run of `Idle`, in a process that does not know of it."""
    MODELS["idle"] = IDLE
    reporting(out, *sets)


def test_parameters_without_a_gradient_are_named(tmp_path, pair, monkeypatch):
    """Every process waits for the others' gradients, and told of DDP's trouble as of a fault of the
    program; without them two processes are one."""
    sets = ["model=idle", "init=none", "epochs=1", "mixup=0", "ema=0"]
    sets += [f"model.{key}=null" for key in ("width", "levels", "placement")]
    joined(pair(tmp_path / "two", idle, *sets))
    for rank in range(2):
        said = (tmp_path / f"said{rank}").read_text()
        assert said == (
            "ValueError: the loss does not depend on other.weight, other.bias of idle at step 3: on"
            " several devices every parameter needs a gradient in every step; leave them out,"
            " freeze them by requires_grad_(False), or train on one device (train.devices=1)"
        )
    sets += ["model.options.frozen=true"]
    assert joined(pair(tmp_path / "frozen", idle, *sets)) == [0, 0]
    monkeypatch.setitem(MODELS, "idle", IDLE)
    run(tmp_path / "one", *sets)
    expected, found = (nets.load(tmp_path / name).state_dict() for name in ("one", "frozen"))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=1e-6, rtol=1e-5, msg=name)
