"""The cache of decoded data where several processes need the same data at once."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from nets.data.cache import cached
from nets.data.readers import Pool


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMGNET_CACHE", str(tmp_path))
    return tmp_path / "decoded" / "key"


def pool():
    images = np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4)
    return Pool.of({"all": (images, np.array([0, 1]))}, ("a", "b"), "", ("a/0", "b/0"))


def same(found):
    return all(map(np.array_equal, found[:2], pool()[:2])) and found[2:] == pool()[2:]


def test_the_copy_of_another_process_that_was_first_stays(cache):
    """It was removed for our own: who read it at that moment ended in a FileNotFoundError."""

    def make():
        assert same(cached("key", pool))  # the other, meanwhile
        made.append((cache / "images.npy").stat().st_ino)
        return pool()

    made = []
    assert same(cached("key", make))
    assert [(cache / "images.npy").stat().st_ino] == made
    assert [path.name for path in cache.parent.iterdir()] == ["key"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS])
def test_a_cache_that_cannot_be_written_names_the_way_out(cache, monkeypatch, number):
    """As a home folder for reading alone, or one that is full."""

    def mkdir(self, *arguments, **options):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(OSError, match=r"could not keep .* POLYMGNET_CACHE names another") as told:
        cached("key", pool)
    assert told.value.errno == number
    assert os.strerror(number) in str(told.value)
    assert str(cache.parent) in str(told.value)


def test_what_is_removed_before_it_is_read_again_is_known(cache, monkeypatch):
    def rename(self, target):
        shutil.rmtree(self)  # as another process does that has just found it damaged

    monkeypatch.setattr(Path, "rename", rename)
    assert same(cached("key", pool))
    assert not cache.exists()
