"""What made a run: the processor by its model, on every system, and the code by its revision."""

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from nets.training import environment as chapter
from nets.training.environment import environment, processor

INTEL = "12th Gen Intel(R) Core(TM) i7-1260P"


def linux(monkeypatch):
    text = f"processor\t: 0\nmodel\t\t: 154\nmodel name\t: {INTEL}\nprocessor\t: 1\n"
    monkeypatch.setattr(chapter, "open", lambda *_, **__: io.StringIO(text), raising=False)


def darwin(monkeypatch):
    monkeypatch.setattr(subprocess, "check_output", lambda words, **_: f"{INTEL}\n")


def win32(monkeypatch):
    registry = SimpleNamespace(
        HKEY_LOCAL_MACHINE=0,
        OpenKey=lambda *_: io.StringIO(),
        QueryValueEx=lambda key, name: (f"{INTEL}   ", 1),
    )
    monkeypatch.setitem(sys.modules, "winreg", registry)


@pytest.mark.parametrize("system", [linux, darwin, win32])
def test_the_processor_is_that_of_the_system(monkeypatch, system):
    system(monkeypatch)
    monkeypatch.setattr(sys, "platform", system.__name__)
    assert processor() == "12th Gen Intel Core i7-1260P"
    assert environment(torch.device("cpu"))["device"] == "cpu (12th Gen Intel Core i7-1260P)"


# a core of an AWS Graviton 2, and what lscpu says there
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\n\n"
LSCPU = "Architecture:  aarch64\nVendor ID:     ARM\n  BIOS Model name:  virt\n  Model name:  {}\n"


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (LSCPU.format("Neoverse-N1") + "  Model name:  another", "ARM Neoverse-N1"),
        (LSCPU.format("-"), "aarch64 0x41 0xd0c"),  # one that it does not know yet
        (FileNotFoundError("lscpu"), "aarch64 0x41 0xd0c"),
    ],
)
def test_a_processor_that_linux_has_by_numbers_is_decoded(monkeypatch, told, name):
    """By lscpu, in English whatever the user's language; else it is those numbers."""

    def lscpu(words, *, env, **_):
        assert words == ["lscpu"]
        assert env["LC_ALL"] == "C"
        if isinstance(told, Exception):
            raise told
        return told

    monkeypatch.setattr(chapter, "open", lambda *_, **__: io.StringIO(ARM), raising=False)
    monkeypatch.setattr(subprocess, "check_output", lscpu)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert processor() == name


@pytest.mark.parametrize(
    ("brand", "name"),
    [
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "Intel Xeon @ 2.20GHz"),
        (" AMD EPYC 7763 64-Core Processor                ", "AMD EPYC 7763 64-Core"),
        ("Apple M2 Pro", "Apple M2 Pro"),
    ],
)
def test_a_processor_has_one_short_name(monkeypatch, brand, name):
    """Whatever blanks a system puts around it."""
    monkeypatch.setattr(chapter, "_brand", lambda: brand)
    assert processor() == name


def test_where_the_system_does_not_tell_it_is_the_architecture(monkeypatch):
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    errors = FileNotFoundError("cpuinfo"), subprocess.TimeoutExpired("sysctl", 10)
    for told in ("", *errors):

        def brand(told=told):
            if told:
                raise told
            return told

        monkeypatch.setattr(chapter, "_brand", brand)
        assert processor() == "aarch64"


def test_the_revision_is_of_this_code(tmp_path, monkeypatch):
    """Whatever repository the caller's environment names, as within a hook of git."""
    before = environment(torch.device("cpu"))["revision"]
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert environment(torch.device("cpu"))["revision"] == before


def test_a_plus_says_that_sources_were_changed(tmp_path):
    """Not that a study has added its rows, as the first run does for all that follow."""

    def git(*words):
        made = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.check_output(made, cwd=tmp_path, text=True).strip()

    rows, source = tmp_path / "studies" / "rows.jsonl", tmp_path / "nets" / "steps.py"
    for path in (rows, source):
        path.parent.mkdir()
        path.write_text("1")
    git("init")
    git("add", ".")
    git("commit", "-m", "a")
    head = git("rev-parse", "HEAD")[:12]
    assert chapter._revision(tmp_path) == head
    rows.write_text("2")
    assert chapter._revision(tmp_path) == head
    source.write_text("2")
    assert chapter._revision(tmp_path) == f"{head}+"
