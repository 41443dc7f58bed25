"""One process trains on the one device whatever a launcher has left in its environment; a variable
that is wrong is named."""

import os
import subprocess
import sys

import pytest
import torch

from nets.config import load_config
from nets.training.launch import launched_fabric, leave, together

SETS = [
    *("width=2", "levels=1", "batch_size=1024", "epochs=1", "tensorboard=false", "init=constant"),
    *("validation=0", "accelerator=cpu"),
]
SLURM = {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
TORCH = ("TORCHINDUCTOR", "PYTORCH")  # what parts of torch set when they are imported
SURROUNDINGS = {
    "tasks of Slurm": {"SLURM_NTASKS": "4"},
    "a job of Slurm": {
        **SLURM,
        "SLURM_NODEID": "0",
        "SLURM_NNODES": "2",
        "SLURM_NODELIST": "a[1-4]",
    },
    "a shell in Slurm": {**SLURM, "SLURM_JOB_NAME": "bash"},
    "tasks per node": {**SLURM, "SLURM_NTASKS_PER_NODE": "4"},
    "nonsense of Slurm": {"SLURM_NTASKS": "four", "SLURM_PROCID": "none"},
    "an empty world": {"WORLD_SIZE": "", "RANK": "", "LOCAL_RANK": ""},
    "a world of one": {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"},
    "ranks without a world": {"RANK": "nonsense", "LOCAL_RANK": "x", "NODE_RANK": "-"},
    "LSF": {"JSM_NAMESPACE_RANK": "3", "JSM_NAMESPACE_SIZE": "4", "LSB_JOBID": "x"},
    "Lightning": {"LT_DEVICES": "4", "LT_CLI_USED": "1", "LT_ACCELERATOR": "cuda"},
    "torchrun": {"TORCHELASTIC_RUN_ID": "none", "MASTER_PORT": "x", "MASTER_ADDR": ""},
}


@pytest.fixture
def set_to(monkeypatch):
    def put(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return _surroundings()

    return put


def _surroundings():
    return {key: value for key, value in os.environ.items() if not key.startswith(TORCH)}


@pytest.mark.parametrize("devices", ["1", "auto"])
@pytest.mark.parametrize("kind", SURROUNDINGS)
def test_one_process_is_one(set_to, kind, devices):
    before = set_to(SURROUNDINGS[kind])
    fabric = launched_fabric(load_config("digits", [*SETS, f"devices={devices}"]).train)
    assert (fabric.world_size, fabric.global_rank) == (1, 0)
    assert _surroundings() == before


@pytest.mark.parametrize("kind", ["tasks of Slurm", "nonsense of Slurm", "ranks without a world"])
def test_the_command_trains(tmp_path, kind):
    """In a new interpreter, because Fabric reads some of it when it is imported."""
    sets = [word for value in SETS for word in ("--set", value)]
    words = ["train", "--config", "digits", *sets, "--out", str(tmp_path / "run"), "--no-report"]
    subprocess.run(
        [sys.executable, "-m", "polymgnet", *words],
        env=os.environ | SURROUNDINGS[kind],
        timeout=120,
        check=True,
    )
    assert (tmp_path / "run/summary.json").is_file()


@pytest.mark.parametrize(
    ("variables", "sets", "message"),
    [
        ({"WORLD_SIZE": "four"}, [], "the environment variable WORLD_SIZE is 'four'; allowed is"),
        ({"WORLD_SIZE": "-1"}, [], "WORLD_SIZE is '-1'"),
        ({"WORLD_SIZE": "4"}, [], r"but 4 processes were started: .* WORLD_SIZE .*unset it.* own$"),
        ({"WORLD_SIZE": "2", "RANK": "x"}, ["devices=2", "nodes=2"], "2 nodes, but 2 processes"),
        ({"WORLD_SIZE": "4", "RANK": "x"}, ["devices=2", "nodes=2"], "variable RANK is 'x'"),
        ({"WORLD_SIZE": "2", "RANK": "x"}, ["devices=2"], "variable RANK is 'x'"),
        ({"WORLD_SIZE": "2", "LOCAL_RANK": "1.5"}, ["devices=2"], "variable LOCAL_RANK is '1.5'"),
        ({"SLURM_NTASKS": "4"}, ["devices=2"], r"train.devices is 2 on 1 node, .* SLURM"),
        ({**SLURM, "SLURM_NTASKS_PER_NODE": "4"}, ["devices=2"], "train.devices is 2 on 1 node,"),
    ],
)
def test_what_is_wrong_is_named(set_to, variables, sets, message):
    set_to(variables)
    with pytest.raises(ValueError, match=message) as error:
        launched_fabric(load_config("digits", [*SETS, *sets]).train)
    assert "\n" not in str(error.value)


def _several(folder):
    try:
        launched_fabric(load_config("digits", [*SETS, "devices=2"]).train)
    except ValueError as error:
        folder.joinpath("said").write_text(str(error))


def test_a_worker_is_not_begun_again_for_its_devices(tmp_path, apart):
    """Fabric runs the whole program once more for each device: all runs of all workers."""
    worker = apart(_several, tmp_path)
    worker.join(60)
    assert worker.exitcode == 0
    said = (tmp_path / "said").read_text()
    assert said.startswith("train.devices is 2: for each the program is begun again, but this")


@pytest.mark.parametrize("typed", [False, True])
def test_what_is_no_file_is_not_begun_again(typed):
    """Nor what is typed or piped: Python said that it could not open the file '-c'."""
    program = (
        "from nets.config import load_config; from nets.training.launch import launched_fabric\n"
        "launched_fabric(load_config('digits', ['devices=2', 'accelerator=cpu']).train)\n"
    )
    ended = subprocess.run(
        [sys.executable, *([] if typed else ["-c", program])],
        input=program if typed else None,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1
    assert "begun again, but it is no file; write it into one" in ended.stderr


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("[gloo/transport/tcp/pair.cc:553] Connection closed by peer", "another process of this"),
        ("Connection reset by peer", "another process of this"),  # while they meet
        ("mat1 and mat2 shapes cannot be multiplied", "mat1 and mat2"),
        ("failed to connect to (nowhere, 29500): Connection refused", "failed to connect to"),
    ],
)
def test_the_end_of_another_process_is_told_from_other_errors(said, told):
    with pytest.raises((ConnectionError, RuntimeError), match=told), together():
        raise RuntimeError(said)


def test_a_process_leaves_the_others_before_it_ends():
    """Threads of gloo that a process leaves behind abort it at its end, now and then."""
    group = torch.distributed
    group.init_process_group("gloo", store=group.HashStore(), rank=0, world_size=1)
    leave()
    assert not group.is_initialized()
    leave()  # nothing to leave
