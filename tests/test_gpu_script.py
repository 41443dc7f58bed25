"""benchmarks/gpu.sh: every part is run with its files, none holds the others up. A stand-in plays
Python."""

import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLAYED = """#!/bin/sh
case "$*" in
*"$FAILS"*) echo "cannot $*"; exit 3 ;;
*"$HANGS"*) echo "hangs $*"; exec sleep 60 ;;
esac
echo "did $*"
"""


@pytest.fixture
def script(tmp_path):
    python = tmp_path / "python"
    python.write_text(PLAYED)
    python.chmod(0o755)

    def run(*words, fails="nothing", hangs="nothing"):
        given = {"PYTHON": str(python), "FAILS": fails, "HANGS": hangs}
        return subprocess.run(
            ["bash", ROOT / "benchmarks/gpu.sh", *map(str, words)],
            env=os.environ | given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_a_part_that_fails_leaves_the_others(script, tmp_path):
    done = script(30, tmp_path / "out", fails="--kernels")
    assert done.returncode == 1, done.stderr
    said = {file.stem: file.read_text() for file in (tmp_path / "out").glob("*.txt")}
    assert {*said} == {"kernels", "solver", "training", "models", "runs", "tune", "studies"}
    assert "cannot" in said["kernels"]
    assert "== kernels: status 3" in said["kernels"]
    assert "--warm --models mgnet" in said["kernels"]
    for name in ("solver", "training", "models", "runs", "tune"):
        assert f"== {name}: status 0" in said[name]
    assert "--models q2,g4,g6,q8,mgnet,resnet18" in said["models"]
    runs = [line for line in said["runs"].splitlines() if line.startswith("did")]
    assert ["--resume" in line for line in runs] == [False, True, False]
    assert ["compile=false" in line for line in runs] == [False, False, True]
    with tarfile.open(tmp_path / "out/rows.tar.gz") as rows:
        assert any(name.endswith(".jsonl") for name in rows.getnames())
    assert len([*(tmp_path / "out").iterdir()]) == 8


def test_a_part_that_hangs_is_stopped_in_time(script, tmp_path):
    began = time.monotonic()
    done = script(3, tmp_path / "out", "tune", "solver", hangs="--tune")
    assert time.monotonic() - began < 20
    assert done.returncode == 1
    text = (tmp_path / "out/tune.txt").read_text()
    assert "hangs" in text
    assert "status 124" in text
    assert "== solver: no time is left" in done.stdout
    assert not (tmp_path / "out/solver.txt").exists()


def test_what_it_does_not_take_is_told(script, tmp_path):
    for words in ((), ("soon",)):
        assert "seconds, must be a whole number" in script(*words).stderr
    done = script(5, tmp_path / "out", "sover")
    assert done.returncode == 2
    assert "no part 'sover'; they are kernels, solver," in done.stderr
