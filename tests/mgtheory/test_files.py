"""Files appear whole or not at all; JSON that is not what was promised is refused in one line."""

import os
import resource
import signal
import stat
import time

import numpy as np
import pytest

from mgtheory._files import HALF, read_json, write_array, write_atomically


@pytest.mark.parametrize("data", ["z\u00fcgig\n", b"\x00\xff", ""])
def test_write_replaces_and_leaves_nothing_else(tmp_path, data):
    path = tmp_path / "file"
    for content in (b"an older and longer one", data):
        write_atomically(path, content)
    assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert list(tmp_path.iterdir()) == [path]


def test_content_and_name_are_synced_in_this_order(tmp_path, monkeypatch):
    """The data before the rename, the folder after it: a loss of power between the two leaves one
    whole file."""
    path, seen, sync = tmp_path / "file", [], os.fsync

    def fsync(handle):
        seen.append((stat.S_ISDIR(os.fstat(handle).st_mode), path.exists()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(path, b"new")
    assert seen == [(False, False), (True, True)]


def test_what_killed_processes_left_goes(tmp_path):
    """Of this file, of processes that are gone, and when it is surely no longer being written."""
    dead = 2**22 + 1  # more than Linux has
    names = {
        f".table[1].md.{dead}.tmp": False,
        f".table[1].md.{os.getppid()}.tmp": True,
        f".table1.md.{dead}.tmp": True,
        ".table[1].md.mine.tmp": True,
    }
    old = time.time() - 2 * HALF
    for name in names:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (old, old))
    write_atomically(tmp_path / "table[1].md", "whole")
    assert {name: (tmp_path / name).exists() for name in names} == names
    (young := tmp_path / next(iter(names))).touch()
    write_atomically(tmp_path / "table[1].md", "again")
    assert young.exists()


@pytest.mark.parametrize(
    ("write", "content"), [(write_atomically, b"x" * 5000), (write_array, np.ones(5000))]
)
def test_full_disk_keeps_what_was_there(tmp_path, write, content):
    """The operating system refuses to let the file grow, as on a full disk: the error names the
    file and the reason, the old content stays."""
    path = tmp_path / "file"
    write_atomically(path, b"old")
    limits, handler = (
        resource.getrlimit(resource.RLIMIT_FSIZE),
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OSError, match=r"could not write .*file \(File too large.*is intact"):
            write(path, content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_as_numpy_saves_them(tmp_path, order):
    array = np.array([[1.5, -2.0, 3.0], [0.0, 5.0, 6.0j]], order=order)
    write_array(tmp_path / "ours.npy", array)
    np.save(tmp_path / "theirs.npy", array)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()


def test_an_error_without_a_number_is_told_in_its_words(tmp_path):
    """As of NumPy's `tofile`."""

    def fill(file):
        raise OSError("96000 requested and 8064 written")

    with pytest.raises(OSError, match=r"could not write .*x \(96000 requested and 8064 written\)"):
        write_atomically(tmp_path / "x", fill)


def test_missing_folder_keeps_its_kind_of_error(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"could not write .*none/file \(No such file or directory\)"
    ):
        write_atomically(tmp_path / "none" / "file", b"")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ('{"a": 1}'.encode("utf-16"), r"not JSON in UTF-8 .*; save it as UTF-8"),
        (b"[1]", "holds a JSON list, must be an object"),
    ],
)
def test_json_is_read_or_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "file.json"
    with pytest.raises(FileNotFoundError, match=r"record: there is no file .*file\.json"):
        read_json(path, "record")
    write_atomically(path, '{"a": 1}')
    assert read_json(path, "record") == {"a": 1}
    write_atomically(path, b'\xef\xbb\xbf{"a": 1}')  # as some editors begin UTF-8
    assert read_json(path, "record") == {"a": 1}
    write_atomically(path, content)
    with pytest.raises(ValueError, match=rf"record: .*file\.json .*{message}") as error:
        read_json(path, "record")
    assert "\n" not in str(error.value)
