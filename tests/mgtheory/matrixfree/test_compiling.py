"""Kernels are compiled whatever becomes of numba's cache: it saves time and decides nothing."""

import errno
import importlib.util
import os
import subprocess
import sys
import warnings

import pytest
from numba import config
from numba.core.caching import IndexDataCacheFile

from mgtheory.matrixfree.kernels import compiling

SOURCE = """
from mgtheory.matrixfree.kernels.compiling import compiler

@compiler()
def twice(x):
    return 2.0 * x
"""


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A function that loads the file of a small kernel, as a new process does; and its folder."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(config, "CACHE_DIR", "")  # numba reads the environment when it compiles
    monkeypatch.setattr(compiling, "_told", set())
    path = tmp_path / "small_kernel.py"
    path.write_text(SOURCE)

    def load():
        spec = importlib.util.spec_from_file_location("small_kernel", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "small_kernel", module)
        spec.loader.exec_module(module)
        return module.twice

    return load, tmp_path / "__pycache__"


def check_kept(load):
    """Compiled without a warning, and then read."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load()(1.5) == 3.0
        again = load()
        assert again(1.5) == 3.0
    assert sum(again.stats.cache_hits.values()) == 1


def test_kernels_are_kept_and_read(kernel):
    load, folder = kernel
    check_kept(load)
    assert sorted(path.suffix for path in folder.glob("*.nb?")) == [".nbc", ".nbi"]


def test_no_folder_that_can_be_written(kernel, monkeypatch, tmp_path):
    """As for a user without a home, on installed packages of another one; said once for all
    kernels."""
    load, folder = kernel
    folder.write_text("no folder")  # nor can one be made: so for root too
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(folder))
    with pytest.warns(RuntimeWarning, match="not kept.*no locator.*NUMBA_CACHE_DIR") as seen:
        assert load()(1.5) == load()(1.5) == 3.0
    assert len(seen) == 1


def test_a_full_disk(kernel, monkeypatch):
    load, _ = kernel

    def full(self, key, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(IndexDataCacheFile, "save", full)
    with pytest.warns(RuntimeWarning, match="No space left") as seen:
        assert load()(1.5) == load()(1.5) == 3.0
    assert len(seen) == 1


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("rest", [b"", b"half", None])
def test_a_file_cut_off_is_written_anew(kernel, suffix, rest):
    load, folder = kernel
    load()(1.5)
    (path,) = folder.glob(f"*{suffix}")
    path.write_bytes(path.read_bytes()[:-20] if rest is None else rest)
    check_kept(load)


def test_a_cache_that_cannot_be_read(kernel):
    load, folder = kernel
    load()(1.5)
    (path,) = folder.glob("*.nbi")
    path.unlink()
    path.mkdir()  # so that reading fails for root too
    with pytest.warns(RuntimeWarning, match="not kept"):
        assert load()(1.5) == 3.0


def test_the_kernels_run_without_the_compiler():
    """NUMBA_DISABLE_JIT, for debuggers: the same numbers, slowly, and a warning."""
    code = (
        "import numpy as np\nfrom mgtheory import Hierarchy, StencilHierarchy, poisson\n"
        "for p in (poisson((15, 15)), poisson((14, 11), stencil='9-point'), poisson((7, 5, 7))):\n"
        "    kw = dict(coarsest=30, degree=2)\n"
        "    x = StencilHierarchy.build(p, **kw).solve(p.b, maxiter=2).x\n"
        "    print(np.abs(x - Hierarchy.build(p, **kw).solve(p.b, maxiter=2).x).max() < 1e-13)\n"
        "    StencilHierarchy.build(p, **kw).full_multigrid(p.b)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    )
    assert done.stdout.split() == ["True"] * 3
    assert done.stderr.count("NUMBA_DISABLE_JIT is set") == 1


def test_what_is_compiled_is_told(kernel):
    """Once by name, before it is compiled; nothing where it is read from disk."""
    load, _ = kernel
    told = []
    with compiling.watched(told.append):
        load()(1.5)
        load()(2.5)
    load()(3.5)
    assert told == ["twice"]


def test_kernels_belong_to_the_text_of_all_of_them(kernel):
    """Kernels are compiled into each other: the time of a file decides nothing, the text of any
    does."""
    load, folder = kernel
    load()(1.5)
    os.utime(folder.parent / "small_kernel.py", (1, 1))
    (folder.parent / "other.py").write_text("PAD = 8\n")
    for text, hits in (("PAD = 8\n", 0), ("PAD = 8\n", 1), ("PAD = 4\n", 0)):
        (folder.parent / "other.py").write_text(text)
        compiling._stamp.cache_clear()  # as a new process
        again = load()
        assert again(1.5) == 3.0
        assert sum(again.stats.cache_hits.values()) == hits
