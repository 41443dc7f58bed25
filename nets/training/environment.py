"""What made a run, by which its numbers are judged: code, versions, device and cores."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

HOME = Path(__file__).resolve().parents[2]
# what a run's numbers come from; rows of studies, which lie beside it, change as runs finish
SOURCES = ("mgtheory", "nets", "analysis", "polymgnet")


def environment(device: torch.device) -> dict[str, Any]:
    """Revision of the code, versions, device and cores. Processors round differently, so that the
    device is named by its model."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        "revision": _revision(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": f"{device.type} ({name})",
        "threads": torch.get_num_threads(),
        "host": platform.system(),
    }


def processor() -> str:
    """The model of the processor, without what makers add to it ("AMD EPYC 7763 64-Core"); its
    architecture where the system does not tell."""
    with suppress(OSError, subprocess.SubprocessError):
        told = re.sub(r"\((?:R|TM)\)|\b(?:CPU|Processor)\b", " ", _brand(), flags=re.IGNORECASE)
        if name := " ".join(told.split()):
            return name
    return platform.processor() or platform.machine()


def _brand() -> str:
    """What the system calls its processor; empty where it does not say."""
    if sys.platform == "darwin":
        words = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.check_output(words, text=True, timeout=10, stderr=subprocess.DEVNULL)
    if sys.platform == "win32":
        import winreg

        place = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0])
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        core = _fields(lines)
    return core.get("model name") or _decoded() or _numbered(core)


def _decoded() -> str:
    """Maker and model by `lscpu`, which has the names of ARM's and others' numbers; empty where it
    is missing or has none."""
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.check_output(
            ["lscpu"],
            env=os.environ | {"LC_ALL": "C"},
            text=True,
            timeout=10,
            stderr=subprocess.DEVNULL,
        )
        found = _fields(told.splitlines())
        if (name := found.get("Model name", "-")) != "-":
            return f"{found.get('Vendor ID', '')} {name}"
    return ""


def _numbered(core: Mapping[str, str]) -> str:
    """The architecture with the numbers by which Linux knows an ARM processor; empty without."""
    maker, part = core.get("CPU implementer"), core.get("CPU part")
    return f"{platform.machine()} {maker} {part}" if maker and part else ""


def _fields(lines: Iterable[str]) -> dict[str, str]:
    """Key -> value of lines KEY: VALUE, the first one where a key comes again."""
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return found


def _revision(home: Path = HOME) -> str:
    """The git revision with a plus where sources were changed; outside of git the version."""
    # GIT_DIR and its kin would name another repository, as within a hook
    names = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*words: str) -> str:
        words = ("git", *words)
        told = subprocess.check_output(
            words, cwd=home, env=names, text=True, timeout=10, stderr=subprocess.DEVNULL
        )
        return told.strip()

    with suppress(OSError, subprocess.SubprocessError):
        # an installed package may lie in a repository that is not its own
        if (home / ".git").exists():
            changed = git("status", "--porcelain", "--untracked-files=no", "--", *SOURCES)
            return git("rev-parse", "--short=12", "HEAD") + "+" * bool(changed)
    with suppress(PackageNotFoundError):
        return f"polymgnet {version('polymgnet')}"
    return "unknown"
