"""Unsafe and damaged archives, links and names in folders: refused in one line, and nothing left
out without a word."""

import os
import stat
import tarfile
import zipfile

import numpy as np
import pytest

from nets.data.archives import members
from nets.data.sources import load_data

from ..conftest import png, tar

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMGNET_CACHE", str(tmp_path / "cache"))


def evil(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (evil("../out.png"), "outside the archive's folder"),
        (evil("/etc/out.png"), "outside the archive's folder"),
        (evil("train/a/../../../x.png"), "outside the archive's folder"),
        (evil("train/a/l.png", tarfile.SYMTYPE, "/etc/passwd"), "link or a device"),
        (evil("train/a/l.png", tarfile.LNKTYPE, "x"), "link or a device"),
        (evil("train/a/d.png", tarfile.CHRTYPE), "link or a device"),
    ],
)
def test_unsafe_member_is_refused(tmp_path, info, message):
    with pytest.raises(ValueError, match=message):
        list(members(tar(tmp_path / "evil.tar", [(info, b"")], "w")))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_truncated_anywhere_is_refused(tmp_path, mode):
    """At the end of a member tarfile itself takes the end of the data for the end of the archive,
    and reads a part of the images."""
    whole = tar(
        tmp_path / "whole.tar",
        [
            (f"{'ab'[i // 4]}/{i}.png", png(RNG.integers(0, 255, (9, 9), dtype=np.uint8)))
            for i in range(8)
        ],
        mode,
    )
    assert len(list(members(whole))) == 8
    data, cut = whole.read_bytes(), tmp_path / "cut.tar"
    end = 8 * 1024 if mode == "w" else len(data)  # behind its members a plain tar has zeros alone
    for size in range(0, end, 512 if mode == "w" else 37):
        cut.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"(truncated|damaged) archive"):
            list(members(cut))
    cut.write_bytes(data + data)
    if mode == "w":
        with pytest.raises(ValueError, match="several in one file"):
            list(members(cut))


def test_links_are_followed_and_those_that_cannot_be_are_named(tmp_path):
    """As data sets lie on clusters. A folder that is reached twice would count its images twice;
    hidden ones are left out."""
    base = tmp_path / "set" / "train"
    for folder in (
        base / "a",
        tmp_path / "elsewhere",
        base / ".ipynb_checkpoints",
        base / "a" / ".thumbnails",
    ):
        folder.mkdir(parents=True)
        for i in range(3):
            (folder / f"{i}.png").write_bytes(png(np.full((4, 4), i, np.uint8)))
    (base / "a" / "._0.png").write_bytes(b"not an image")
    (base / "b").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    found = load_data(f"folder:{tmp_path / 'set'}")
    assert found.classes == ("a", "b")
    assert len(found.labels) == 6
    for name, target, message in (
        ("c", tmp_path / "elsewhere", "are the same folder"),
        ("a/loop", tmp_path / "set", "are the same folder"),
        ("d", tmp_path / "gone", "link to nothing"),
        ("a/9.png", "nowhere.png", "link to nothing"),
    ):
        (base / name).symlink_to(target)
        with pytest.raises(ValueError, match=message):
            load_data(f"folder:{tmp_path / 'set'}")
        (base / name).unlink()
    (base / os.fsdecode(b"k\xe4tzchen")).mkdir()
    (base / os.fsdecode(b"k\xe4tzchen") / "0.png").write_bytes(png(np.zeros((4, 4), np.uint8)))
    with pytest.raises(ValueError, match="not UTF-8"):
        load_data(f"folder:{tmp_path / 'set'}")


def zipped(path, entries, change=lambda info: None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            change(info)
            archive.writestr(info, content)
    return path


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    """Of three folders with an image each, where the superuser, who may read all, tests too."""
    for name in ("cat/monday", "cat/tuesday", "dog"):
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / "0.png").write_bytes(png(np.zeros((4, 4), np.uint8)))
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("tuesday"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(PermissionError, match="cat/tuesday"):
        load_data(f"folder:{tmp_path / 'd'}")


def test_unsafe_zip(tmp_path, monkeypatch):
    def link(info):
        info.external_attr = (stat.S_IFLNK | 0o777) << 16

    with pytest.raises(ValueError, match="is a link"):
        list(members(zipped(tmp_path / "l.zip", [("train/b", b"../a")], link)))
    for name in ("../x.png", "..\\evil.png", "C:/x.png"):
        with pytest.raises(ValueError, match="outside the archive's folder"):
            list(members(zipped(tmp_path / "o.zip", [(name, b"")])))
    nameless = zipped(tmp_path / "n.zip", [("x", b"1")])
    nameless.write_bytes(nameless.read_bytes().replace(b"x", b" "))
    with pytest.raises(ValueError, match="no name"):
        list(members(nameless))
    monkeypatch.setattr("nets.data.archives.LARGEST", 999)
    with pytest.raises(ValueError, match="would be 1,000 bytes"):
        list(members(zipped(tmp_path / "b.zip", [("a.png", bytes(1000))])))
    locked = zipped(tmp_path / "e.zip", [("a.png", b"1")])
    data = bytearray(locked.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1  # the flag of an encrypted member
    locked.write_bytes(data)
    with pytest.raises(ValueError, match=r"not readable .*(encrypted|password)"):
        list(members(locked))


def test_what_unpacks_without_end_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """One large member, many of allowed size, wanted or not, and a name that fills the memory; an
    archive that is large itself may unpack to as much."""
    monkeypatch.setattr("nets.data.archives.LARGEST", 300_000)

    def deflated(info):
        info.compress_type = zipfile.ZIP_DEFLATED

    many = [(f"{i}.png", bytes(290_000)) for i in range(5)]
    for packed in (
        tar(tmp_path / "m.tar.xz", many, "w:xz"),
        tar(tmp_path / "m.tar.gz", many, "w:gz"),
        zipped(tmp_path / "m.zip", many, deflated),
    ):
        with pytest.raises(ValueError, match=r"unpack to more than \d"):
            list(members(packed))
        with pytest.raises(ValueError, match=r"unpack to more than \d"):
            list(members(packed, wanted=lambda name: False))
    with pytest.raises(ValueError, match="would be 310,000 bytes"):
        list(members(tar(tmp_path / "l.tar.gz", [("a.png", bytes(310_000))])))
    noise = [(f"{i}.png", os.urandom(290_000)) for i in range(5)]
    assert len(list(members(tar(tmp_path / "n.tar.gz", noise)))) == 5
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE):
        header = tarfile.TarInfo("name")
        header.type, header.size = kind, 3 << 30
        (tmp_path / "name.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
        with pytest.raises(ValueError, match="name of 3,221,225,472 bytes"):
            list(members(tmp_path / "name.tar"))
    # what a folder may take on its disk is no content
    folder, image = tarfile.TarInfo("a"), tarfile.TarInfo("a/0.png").tobuf(tarfile.GNU_FORMAT)
    folder.type, folder.size = tarfile.DIRTYPE, 2 << 20
    (tmp_path / "f.tar").write_bytes(folder.tobuf(tarfile.GNU_FORMAT) + image + bytes(1024))
    assert list(members(tmp_path / "f.tar")) == [("a/0.png", b"")]


@pytest.mark.parametrize("make", [tar, zipped], ids=["tar", "zip"])
def test_hidden_members_are_left_out(tmp_path, make):
    names = ["a/0.png", "a/._0.png", "a/.thumbnails/0.png", ".ipynb_checkpoints/1.png", "./a/1.png"]
    path = make(
        tmp_path / ("x.tar.gz" if make is tar else "x.zip"), [(name, b"1") for name in names]
    )
    assert [name for name, _ in members(path)] == ["a/0.png", "a/1.png"]
